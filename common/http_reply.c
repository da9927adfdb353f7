/* common/http_reply.c: answers: whole ones and streams, written in one piece from where their bytes lie. */
#include "common/http_private.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/secret.h"

#define TYPE_MAX 200

static const char crlf[] = "\r\n", last_chunk[] = "0\r\n\r\n";

struct head { /* large enough for all that is written into it below */
        char bytes[512 + TYPE_MAX];
        size_t len;
};

static void add(struct head *h, const char *text, size_t len)
{
        memcpy(h->bytes + h->len, text, len);
        h->len += len;
}

static void add_str(struct head *h, const char *text)
{
        add(h, text, strlen(text));
}

static void add_number(struct head *h, size_t n)
{
        char digits[24], *p = digits + sizeof(digits);

        do
                *--p = (char)('0' + n % 10);
        while (n /= 10);
        add(h, p, (size_t)(digits + sizeof(digits) - p));
}

/**
 * http_status_text() - a status's reason phrase (RFC 9110 15, RFC 6585)
 * @status: 200 ...
 *
 * Return: static; "Unknown" for one that nobody here sends.
 */
const char *http_status_text(int status)
{
        switch (status) {
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 303: return "See Other";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 411: return "Length Required";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 415: return "Unsupported Media Type";
        case 417: return "Expectation Failed";
        case 422: return "Unprocessable Content";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        case 505: return "HTTP Version Not Supported";
        default: return "Unknown";
        }
}

/* RFC 9110 5.6.7, once a second. By hand: strftime() speaks the locale's language. */
static const char *date(struct http_server *s)
{
        static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        time_t now = time(NULL);
        struct tm tm;

        if (now == s->date_sec || !gmtime_r(&now, &tm))
                return s->date;
        s->date_sec = now;
        (void)snprintf(s->date, sizeof(s->date), "%s, %02u %s %04u %02u:%02u:%02u GMT", days[(unsigned)tm.tm_wday % 7],
                       (unsigned)tm.tm_mday % 100, months[(unsigned)tm.tm_mon % 12],
                       (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
                       (unsigned)tm.tm_sec % 100);
        return s->date;
}

static void begin_head(struct http_conn *c, struct head *h, int status, const char *type)
{
        const char *text = http_status_text(status);

        h->len = 0;
        add_str(h, "HTTP/1.1 ");
        add_number(h, (size_t)status);
        add_str(h, " ");
        add_str(h, text);
        add_str(h, "\r\nDate: ");
        add_str(h, date(c->server));
        if (type && strlen(type) <= TYPE_MAX) {
                add_str(h, "\r\nContent-Type: ");
                add_str(h, type);
        }
        add_str(h, "\r\n");
}

/* The head, the handler's own fields, and the body: one system call, nothing copied unless the kernel's buffer is full. */
static void send_head(struct http_conn *c, struct head *h, const void *body, size_t len)
{
        const struct buf *extra = &c->request.extra;
        struct iovec iov[4];
        int n = 0;

        if (extra->len == 0)
                add_str(h, "\r\n");
        iov[n++] = (struct iovec){h->bytes, h->len};
        if (extra->len) {
                iov[n++] = (struct iovec){extra->data, extra->len};
                iov[n++] = (struct iovec){(void *)(uintptr_t)crlf, 2};
        }
        if (len)
                iov[n++] = (struct iovec){(void *)(uintptr_t)body, len};
        io_write(c, iov, n);
}

void reply_write(struct http_conn *c, int status, const char *type, const void *body, size_t len, bool close)
{
        struct head h;
        bool none = status == 204 || status == 304; /* RFC 9110 6.4.1, 8.6: neither body nor length */

        begin_head(c, &h, status, none ? NULL : type);
        if (!none) {
                add_str(&h, "Content-Length: ");
                add_number(&h, len);
                add_str(&h, "\r\n");
        }
        if (close)
                add_str(&h, "Connection: close\r\n");
        send_head(c, &h, body, none || c->request.bodiless ? 0 : len);
}

/* May this request be answered now, from this state? Not that of a doomed connection, which may not know it yet. */
static bool may_answer(const struct http_request *r, enum conn_state state)
{
        const struct http_conn *c = request_conn(r);

        if (r->open && c->state == state)
                return true;
        if (!r->open || c->state != CONN_DOOMED)
                log_error("http: a request is answered twice, or after it was gone");
        return false;
}

/* Answered in vain: there will be no on_gone either. */
static void drop_answer(struct http_request *r)
{
        if (request_conn(r)->state == CONN_DOOMED)
                r->open = false;
}

/**
 * http_reply_header() - a header field for the answer to come
 * @r:     the request
 * @name:  a token
 * @value: copied; with a control character in it (CR, LF) the field is left out, and that is logged
 */
void http_reply_header(struct http_request *r, const char *name, const char *value)
{
        for (const char *p = value; *p; p++) {
                if (((unsigned char)*p >= ' ' && *p != 0x7f) || *p == '\t')
                        continue;
                log_error("http: header field %s holds a control character; it is left out", name);
                return;
        }
        buf_str(&r->extra, name);
        buf_add(&r->extra, ": ", 2);
        buf_str(&r->extra, value);
        buf_add(&r->extra, "\r\n", 2);
}

/**
 * http_reply_close() - close the connection after this answer, and say so in it
 * @r: the request
 */
void http_reply_close(struct http_request *r)
{
        r->close = true;
}

/**
 * http_reply() - answer a request; it is gone then
 * @r:      the request
 * @status: 200 ...
 * @type:   Content-Type; NULL: none
 * @body:   copied, or sent before this returns
 * @len:    of the body; of HEAD and 204, 304 the body is left out
 */
void http_reply(struct http_request *r, int status, const char *type, const void *body, size_t len)
{
        struct http_conn *c = request_conn(r);

        if (!may_answer(r, CONN_BUSY)) {
                drop_answer(r);
                return;
        }
        reply_write(c, status, type, body, len, conn_ends(c));
        conn_answered(c);
}

/**
 * http_reply_secret() - answer with secret bytes
 * @r:      the request; gone then
 * @status: 200 ...
 * @type:   Content-Type
 * @body:   borrowed while this runs. On a plain socket the bytes go from there to the kernel; what it does not take at once,
 *          and all of it with TLS, waits in libevent's buffers, which loop.c's allocators wipe as they are freed
 */
void http_reply_secret(struct http_request *r, int status, const char *type, const struct secret *body)
{
        size_t len = secret_len(body);

        http_reply(r, status, type, len ? secret_bytes(body) : NULL, len);
}

/**
 * http_stream_begin() - answer with a stream
 * @r:      the request; borrowed until http_stream_end() or on_gone
 * @status: 200
 * @type:   Content-Type
 */
void http_stream_begin(struct http_request *r, int status, const char *type)
{
        struct http_conn *c = request_conn(r);
        struct head h;

        if (!may_answer(r, CONN_BUSY))
                return;
        if (r->raw_stream)
                r->close = true; /* HTTP/1.0: the end of the connection is the end of the body */
        begin_head(c, &h, status, type);
        if (!r->raw_stream)
                add_str(&h, "Transfer-Encoding: chunked\r\n");
        if (conn_ends(c))
                add_str(&h, "Connection: close\r\n");
        conn_set_state(c, CONN_STREAM);
        send_head(c, &h, NULL, 0);
        if (c->eof)
                conn_doom(c, "the peer closed it");
}

/**
 * http_stream_write() - send more of a stream
 * @r:     its request
 * @bytes: copied; sent as one chunk
 * @len:   nothing is sent for 0
 *
 * Where more than unsent_max waits then, the connection is closed soon, and on_gone called.
 */
void http_stream_write(struct http_request *r, const void *bytes, size_t len)
{
        struct http_conn *c = request_conn(r);
        char size[20];
        int size_len;
        struct iovec iov[3];

        if (len == 0 || !may_answer(r, CONN_STREAM) || r->bodiless)
                return;
        size_len = snprintf(size, sizeof(size), "%zx\r\n", len);
        iov[0] = (struct iovec){size, (size_t)size_len};
        iov[1] = (struct iovec){(void *)(uintptr_t)bytes, len};
        iov[2] = (struct iovec){(void *)(uintptr_t)crlf, 2};
        if (r->raw_stream)
                io_write(c, iov + 1, 1);
        else
                io_write(c, iov, 3);
        if (io_unsent(c) > c->server->limits.unsent_max)
                conn_doom(c, "the peer does not read its stream");
}

void reply_end_stream(struct http_conn *c)
{
        struct http_request *r = &c->request;

        c->request_usec = clock_boottime_usec(); /* what is unsent has the time of an answer that begins now */
        if (!r->raw_stream && !r->bodiless)
                io_write(c, &(struct iovec){(void *)(uintptr_t)last_chunk, 5}, 1);
        conn_answered(c);
}

/**
 * http_stream_end() - end a stream; its request is gone then
 * @r: the request
 */
void http_stream_end(struct http_request *r)
{
        struct http_conn *c = request_conn(r);

        if (may_answer(r, CONN_STREAM))
                reply_end_stream(c);
        else
                drop_answer(r);
}

/**
 * http_stream_unsent() - how much of a stream waits for its peer to read
 * @r: its request
 *
 * Return: bytes.
 */
size_t http_stream_unsent(const struct http_request *r)
{
        return io_unsent(request_conn(r));
}

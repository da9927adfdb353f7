/* agent/ctl_http.c: HTTP/1.1 over the agent's socket, blocking, with time limits; nothing it read stays behind. */
#include "agent/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"
#include "common/unixsock.h"

#define BODY_MAX         ((size_t)8 << 20)
#define LINE_MAX_LEN     ((size_t)4 << 20) /* one event */
#define ROOM             16384
#define CALL_TIMEOUT_S   20
#define STREAM_TIMEOUT_S 45 /* the agent says something every 15 s */
#define CONNECT_TRIES    50
#define CONNECT_PAUSE_MS 100

struct wire {
        int fd;
        char in[ROOM]; /* received and not used up: in[start, end) */
        size_t start, end;
};

struct head {
        int status;
        bool chunked, has_length;
        size_t length;
        char *retry_after;
};

static void set_timeout(int fd, time_t seconds)
{
        const struct timeval t = {.tv_sec = seconds};

        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

static int open_wire(struct wire *w, const char *socket, time_t timeout_s)
{
        const struct timespec pause = {.tv_nsec = CONNECT_PAUSE_MS * 1000000L};
        int err, flags;

        *w = (struct wire){.fd = -1};
        /* A full queue of the listener shows as -EAGAIN: it is emptied many times a second. */
        for (int tries = 0;; tries++) {
                err = unixsock_connect(socket, &w->fd);
                if (err != -EAGAIN || tries == CONNECT_TRIES)
                        break;
                nanosleep(&pause, NULL);
        }
        if (err < 0)
                return err;
        flags = fcntl(w->fd, F_GETFL);
        if (flags < 0 || fcntl(w->fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
                return -errno;
        set_timeout(w->fd, timeout_s);
        return 0;
}

static void close_wire(struct wire *w)
{
        if (w->fd >= 0)
                close(w->fd);
        secret_wipe(w->in, sizeof(w->in));
        w->fd = -1;
}

static int send_all(const struct wire *w, const char *text)
{
        size_t len = strlen(text);

        while (len > 0) {
                ssize_t n = send(w->fd, text, len, MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) /* an agent that refuses may have answered and closed already: what it said is read */
                        return errno == EAGAIN ? -ETIMEDOUT : errno == EPIPE ? 0 : -errno;
                text += n;
                len -= (size_t)n;
        }
        return 0;
}

static int send_request(const struct wire *w, const char *method, const char *path)
{
        cleanup_free char *text = mem_printf("%s %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: leasekeeper/%s\r\n"
                                             "Accept: */*\r\nConnection: close\r\n%s\r\n",
                                             method, path, LEASEKEEPER_VERSION,
                                             strcmp(method, "POST") == 0 ? "Content-Length: 0\r\n" : "");

        return send_all(w, text);
}

/* Return: 1: more is there; 0: the end; -errno. */
static int fill(struct wire *w)
{
        ssize_t n;

        if (w->start < w->end)
                return 1;
        do
                n = recv(w->fd, w->in, sizeof(w->in), 0);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EAGAIN ? -ETIMEDOUT : -errno;
        w->start = 0;
        w->end = (size_t)n;
        return n > 0;
}

/* Reads up to CR LF, which is left out. */
static int read_line(struct wire *w, struct secret *line)
{
        secret_reset(line);
        for (;;) {
                int r = fill(w);
                const char *from = w->in + w->start, *lf;
                size_t len;

                if (r <= 0)
                        return r < 0 ? r : -EPROTO;
                lf = memchr(from, '\n', w->end - w->start);
                len = lf ? (size_t)(lf - from) : w->end - w->start;
                r = secret_append(line, from, len);
                if (r < 0)
                        return r;
                w->start += lf ? len + 1 : len;
                if (lf)
                        return 0;
        }
}

static const char *line_text(const struct secret *line, size_t *ret_len)
{
        const char *text = secret_len(line) ? secret_bytes(line) : "";
        size_t len = secret_len(line);

        if (len > 0 && text[len - 1] == '\r')
                len--;
        *ret_len = len;
        return text;
}

static bool field_is(const char *line, size_t len, const char *name, const char **ret_value, size_t *ret_value_len)
{
        size_t name_len = strlen(name);

        if (len <= name_len || strncasecmp(line, name, name_len) != 0 || line[name_len] != ':')
                return false;
        line += name_len + 1;
        len -= name_len + 1;
        while (len > 0 && *line == ' ') {
                line++;
                len--;
        }
        *ret_value = line;
        *ret_value_len = len;
        return true;
}

static int read_status(const char *line, size_t len, int *ret_status)
{
        uint64_t status;

        if (len < 12 || strncmp(line, "HTTP/1.", 7) != 0 || parse_u64(line + 9, 3, 599, &status) < 0)
                return -EPROTO;
        *ret_status = (int)status;
        return 0;
}

static int read_head(struct wire *w, struct head *ret_head)
{
        cleanup_secret struct secret *line = secret_new(ROOM);
        struct head h = {0};
        const char *text, *value;
        size_t len, value_len;
        uint64_t number = 0;
        int err = read_line(w, line);

        if (err < 0)
                return err;
        text = line_text(line, &len);
        err = read_status(text, len, &h.status);
        while (err == 0) {
                err = read_line(w, line);
                if (err < 0)
                        break;
                text = line_text(line, &len);
                if (len == 0)
                        break;
                if (field_is(text, len, "Content-Length", &value, &value_len)) {
                        err = parse_u64(value, value_len, BODY_MAX, &number);
                        h.has_length = true;
                        h.length = (size_t)number;
                } else if (field_is(text, len, "Transfer-Encoding", &value, &value_len)) {
                        h.chunked = value_len == 7 && strncasecmp(value, "chunked", 7) == 0;
                } else if (!h.retry_after && field_is(text, len, "Retry-After", &value, &value_len)) {
                        h.retry_after = mem_strndup(value, value_len);
                }
        }
        if (err < 0) {
                mem_free(h.retry_after);
                return err;
        }
        *ret_head = h;
        return 0;
}

typedef int (*bytes_fn)(const char *bytes, size_t len, void *arg); /* 0, 1: enough, -errno */

static int pass_on(struct wire *w, size_t len, bytes_fn fn, void *arg)
{
        while (len > 0) {
                int r = fill(w);
                size_t n = w->end - w->start < len ? w->end - w->start : len;

                if (r <= 0)
                        return r < 0 ? r : -EPROTO;
                r = fn(w->in + w->start, n, arg);
                w->start += n;
                len -= n;
                if (r != 0)
                        return r;
        }
        return 0;
}

/* RFC 9112 7.1 */
static int read_chunks(struct wire *w, bytes_fn fn, void *arg)
{
        cleanup_secret struct secret *line = secret_new(64);

        for (;;) {
                int err = read_line(w, line);
                char *end;
                unsigned long size;

                if (err < 0)
                        return err;
                size = strtoul(secret_len(line) ? secret_bytes(line) : "x", &end, 16);
                if ((*end != '\r' && *end != '\0') || size > LINE_MAX_LEN)
                        return -EPROTO;
                if (size == 0)
                        return read_line(w, line);
                err = pass_on(w, size, fn, arg);
                if (err == 0)
                        err = read_line(w, line);
                if (err != 0)
                        return err;
        }
}

static int read_body(struct wire *w, const struct head *h, bytes_fn fn, void *arg)
{
        int r;

        if (h->status == 204 || h->status == 304)
                return 0;
        if (h->chunked)
                return read_chunks(w, fn, arg);
        if (h->has_length)
                return pass_on(w, h->length, fn, arg);
        while ((r = fill(w)) > 0) {
                r = fn(w->in + w->start, w->end - w->start, arg);
                w->start = w->end;
                if (r != 0)
                        return r;
        }
        return r;
}

static int keep(const char *bytes, size_t len, void *arg)
{
        return secret_append(arg, bytes, len);
}

static int read_reply(struct wire *w, struct head *h, struct ctl_reply *ret_reply)
{
        struct secret *body = secret_new(BODY_MAX);
        int err = read_body(w, h, keep, body);

        if (err < 0) {
                secret_free(body);
                mem_free(h->retry_after);
                return err;
        }
        *ret_reply = (struct ctl_reply){h->status, body, h->retry_after};
        return 0;
}

/**
 * ctl_call() - one request, one answer
 * @socket:    the agent's
 * @method:    "GET" or "POST" (without a body)
 * @path:      with its query, percent-encoded
 * @ret_reply: ctl_reply_done() it
 *
 * Return: 0, whatever the status; -ETIMEDOUT, -EPROTO, -EMSGSIZE, other -errno.
 */
int ctl_call(const char *socket, const char *method, const char *path, struct ctl_reply *ret_reply)
{
        struct wire w;
        struct head h;
        int err = open_wire(&w, socket, CALL_TIMEOUT_S);

        if (err == 0)
                err = send_request(&w, method, path);
        if (err == 0)
                err = read_head(&w, &h);
        if (err == 0)
                err = read_reply(&w, &h, ret_reply);
        close_wire(&w);
        return err;
}

/**
 * ctl_reply_done() - wipes and frees
 * @r: may be all zero
 */
void ctl_reply_done(struct ctl_reply *r)
{
        r->body = secret_free(r->body);
        r->retry_after = mem_free(r->retry_after);
}

/* --- streams --- */

struct lines {
        struct secret *line;
        ctl_line_fn fn;
        void *arg;
};

static int cut_lines(const char *bytes, size_t len, void *arg)
{
        struct lines *l = arg;

        while (len > 0) {
                const char *lf = memchr(bytes, '\n', len);
                size_t n = lf ? (size_t)(lf - bytes) : len, line_len;
                int err = secret_append(l->line, bytes, n);
                const char *text;

                if (err < 0)
                        return err;
                if (!lf)
                        return 0;
                text = line_text(l->line, &line_len);
                if (!l->fn(text, line_len, l->arg))
                        return 1;
                secret_reset(l->line);
                bytes += n + 1;
                len -= n + 1;
        }
        return 0;
}

/**
 * ctl_stream() - a request whose answer has no end
 * @socket:      the agent's
 * @path:        with its query, percent-encoded
 * @fn:          gets each line
 * @arg:         for fn
 * @ret_refusal: filled where the answer is no 200; status 0 otherwise; ctl_reply_done() it
 *
 * Return: 0: fn has had enough, or a refusal; -EPIPE: the agent ended the stream; else as ctl_call().
 */
int ctl_stream(const char *socket, const char *path, ctl_line_fn fn, void *arg, struct ctl_reply *ret_refusal)
{
        cleanup_secret struct secret *line = secret_new(LINE_MAX_LEN);
        struct lines lines = {line, fn, arg};
        struct wire w;
        struct head h;
        int err = open_wire(&w, socket, STREAM_TIMEOUT_S);

        *ret_refusal = (struct ctl_reply){0};
        if (err == 0)
                err = send_request(&w, "GET", path);
        if (err == 0)
                err = read_head(&w, &h);
        if (err == 0 && h.status != 200) {
                err = read_reply(&w, &h, ret_refusal);
        } else if (err == 0) {
                mem_free(h.retry_after);
                err = read_body(&w, &h, cut_lines, &lines);
                err = err == 1 ? 0 : err == 0 || err == -EPROTO ? -EPIPE : err;
        }
        close_wire(&w);
        return err;
}

/* common/http_receive.c: from the bytes of a connection to a request that the handler gets. */
#include "common/http_private.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/secret.h"

#define STEPS_MAX 64 /* heads and bodies of one connection before others get their turn */

void conn_drop_input(struct http_conn *c)
{
        if (c->in.bytes)
                secret_wipe(c->in.bytes, c->in.cap); /* a client may have sent a token where none was asked for */
        if (c->in.cap > IN_FIRST)
                held_change(c, 0, c->in.cap - IN_FIRST);
        mem_free(c->in.bytes);
        c->in = (struct conn_in){0};
}

/* Return: false: there is none for so much from all clients together; it was refused. */
static bool make_room(struct http_conn *c)
{
        struct conn_in *in = &c->in;
        size_t most = c->server->limits.head_max + c->server->limits.body_max + IN_FIRST;
        size_t cap;
        char *bytes;

        if (in->start > 0) { /* offsets count from start: nobody holds a pointer while we receive */
                memmove(in->bytes, in->bytes + in->start, in->end - in->start);
                in->end -= in->start;
                in->start = 0;
        }
        if (in->end < in->cap)
                return true;
        if (in->cap > 0 && !held_has_room(c)) {
                conn_refuse(c, 503, "too much is being received at once");
                return false;
        }
        cap = in->cap ? in->cap * 2 : IN_FIRST;
        if (cap > most)
                cap = in->cap < most ? most : in->cap + IN_FIRST;
        bytes = mem_new(cap);
        if (in->bytes) {
                memcpy(bytes, in->bytes, in->end);
                secret_wipe(in->bytes, in->cap);
                mem_free(in->bytes);
        }
        held_change(c, cap - IN_FIRST, in->cap ? in->cap - IN_FIRST : 0);
        in->bytes = bytes;
        in->cap = cap;
        return true;
}

/* Return: how many bytes came; 0 or less: none, and an end was dealt with. */
ssize_t conn_fill(struct http_conn *c)
{
        ssize_t n;

        if (c->in.end == c->in.cap && !make_room(c))
                return 0;
        n = io_read(c, c->in.bytes + c->in.end, c->in.cap - c->in.end);
        if (n > 0) {
                c->in.end += (size_t)n;
        } else if (n == 0) {
                c->eof = true;
                conn_doom(c, c->state == CONN_IDLE ? "the peer closed it" : "the peer closed it amid a request");
        } else if (n != -EAGAIN) {
                conn_doom(c, "receiving failed");
        }
        return n;
}

static void begin_request(struct http_conn *c)
{
        if (c->state != CONN_IDLE)
                return;
        c->request.start_usec = clock_monotonic_usec();
        c->request_usec = clock_boottime_usec();
        conn_set_state(c, CONN_HEAD);
}

/* RFC 9112 2.2: one empty line before the request line is let pass: old clients end a body with it. */
static bool skip_empty_line(struct http_conn *c)
{
        const char *p = c->in.bytes + c->in.start;

        if (*p != '\r' || c->skipped_crlf)
                return true;
        if (c->in.end - c->in.start < 2)
                return false;
        if (p[1] != '\n')
                return true;
        c->in.start += 2;
        c->skipped_crlf = true;
        return c->in.end > c->in.start;
}

/* Method, path, query and fields become strings where they lie: what stood behind each is parsed and not needed any more. */
static void end_strings(char *bytes, const struct http_head *h)
{
        bytes[h->method.off + h->method.len] = '\0';
        bytes[h->path.off + h->path.len] = '\0';
        bytes[h->query.off + h->query.len] = '\0';
        for (unsigned i = 0; i < h->fields_len; i++) {
                bytes[h->fields[i].name.off + h->fields[i].name.len] = '\0';
                bytes[h->fields[i].value.off + h->fields[i].value.len] = '\0';
        }
}

static enum http_scan read_head(struct http_conn *c, struct http_fault *fault)
{
        const struct http_limits *l = &c->server->limits;
        struct http_request *r = &c->request;
        enum http_scan got;

        if (!skip_empty_line(c))
                return HTTP_SCAN_MORE;
        got = http_scan_head(c->in.bytes + c->in.start, c->in.end - c->in.start, l->target_max, l->head_max,
                             &c->scan_pos, &r->head_len, fault);
        if (got != HTTP_SCAN_WHOLE)
                return got;
        if (!http_parse_head(c->in.bytes + c->in.start, r->head_len, &r->head, fault))
                return HTTP_SCAN_REFUSED;
        if (r->head.target.len > l->target_max) {
                *fault = (struct http_fault){414, "the request target is too long"};
                return HTTP_SCAN_REFUSED;
        }
        if (r->head.length > l->body_max) {
                *fault = (struct http_fault){413, "the request's body is too large"};
                return HTTP_SCAN_REFUSED;
        }
        end_strings(c->in.bytes + c->in.start, &r->head);
        r->body_len = 0;
        r->total_len = r->head_len;
        c->chunked = (struct http_chunked){0};
        conn_set_state(c, CONN_BODY);
        return HTTP_SCAN_WHOLE;
}

/* The decoded body grows right behind the head; what is not decoded yet follows it. */
static enum http_scan read_chunks(struct http_conn *c, struct http_fault *fault)
{
        struct http_request *r = &c->request;
        char *body = c->in.bytes + c->in.start + r->head_len, *end = c->in.bytes + c->in.end;
        char *out = body + r->body_len;
        size_t used, made;
        enum http_scan got = http_chunked_feed(&c->chunked, out, (size_t)(end - out), out,
                                               c->server->limits.body_max - r->body_len, &used, &made, fault);

        if (got == HTTP_SCAN_REFUSED)
                return got;
        memmove(out + made, out + used, (size_t)(end - out) - used);
        c->in.end -= used - made;
        r->body_len += made;
        r->total_len = r->head_len + r->body_len;
        return got;
}

static void say_continue(struct http_conn *c)
{
        static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

        if (!c->request.head.expect_continue || c->said_continue)
                return;
        c->said_continue = true;
        io_write(c, &(struct iovec){(void *)(uintptr_t)text, sizeof(text) - 1}, 1);
}

static enum http_scan read_body(struct http_conn *c, struct http_fault *fault)
{
        struct http_request *r = &c->request;
        size_t have = c->in.end - c->in.start - r->head_len;
        enum http_scan got;

        if (r->head.chunked) {
                got = read_chunks(c, fault);
        } else {
                r->body_len = (size_t)r->head.length;
                r->total_len = r->head_len + r->body_len;
                got = have < r->body_len ? HTTP_SCAN_MORE : HTTP_SCAN_WHOLE;
        }
        if (got == HTTP_SCAN_MORE && have == 0) /* RFC 9110 10.1.1: not where the body has begun to come already */
                say_continue(c);
        return got;
}

static void hand_over(struct http_conn *c)
{
        struct http_server *s = c->server;
        struct http_request *r = &c->request;
        const char *method = c->in.bytes + c->in.start + r->head.method.off;

        r->bodiless = strcmp(method, "HEAD") == 0;
        r->raw_stream = r->head.minor == 0;
        r->open = true;
        conn_set_state(c, CONN_BUSY);
        s->handler.on_request(r, s->arg);
}

static bool is_receiving(const struct http_conn *c)
{
        return c->state == CONN_IDLE || c->state == CONN_HEAD || c->state == CONN_BODY;
}

/* One step with what there is. Return: false where more must come first. */
static bool advance_once(struct http_conn *c)
{
        struct http_fault fault = {0};
        enum http_scan got;

        if (c->state == CONN_BODY) {
                got = read_body(c, &fault);
                if (got == HTTP_SCAN_WHOLE)
                        hand_over(c);
        } else {
                if (c->in.start == c->in.end)
                        return false;
                begin_request(c);
                got = read_head(c, &fault);
        }
        if (got == HTTP_SCAN_REFUSED)
                conn_refuse(c, fault.status, fault.detail);
        return got != HTTP_SCAN_MORE;
}

void conn_advance(struct http_conn *c)
{
        unsigned steps = 0;

        c->in_advance = true;
        while (is_receiving(c) && steps < STEPS_MAX) {
                if (advance_once(c))
                        steps++;
                else if (!c->tls || conn_fill(c) <= 0)
                        break;
        }
        c->in_advance = false;
        if (is_receiving(c) && steps == STEPS_MAX)
                conn_go_on_later(c);
}

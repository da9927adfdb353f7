/* common/http_request.c: what a handler can ask of a request and its connection. */
#include "common/http_private.h"

#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/parse.h"

struct http_conn *request_conn(const struct http_request *r)
{
        return (struct http_conn *)((uintptr_t)r - offsetof(struct http_conn, request));
}

/* The first byte of the head; stays where it is while the request is open. */
static const char *head_bytes(const struct http_request *r)
{
        const struct http_conn *c = request_conn(r);

        return c->in.bytes + c->in.start;
}

void request_reset(struct http_request *r)
{
        for (size_t i = 0; i < r->joined_len; i++)
                mem_free(r->joined[i]);
        r->joined = mem_free(r->joined);
        r->joined_len = 0;
        if (r->extra.len)
                buf_reset(&r->extra);
        r->total_len = 0;
        r->on_gone = NULL;
        r->close = r->bodiless = r->raw_stream = false;
}

/**
 * http_request_conn() - the connection that a request came on
 * @r: the request
 *
 * Return: borrowed while the request is.
 */
struct http_conn *http_request_conn(const struct http_request *r)
{
        return request_conn(r);
}

/**
 * http_request_method() - as it was sent: a token of at most 24 bytes, in the sender's case
 * @r: the request
 *
 * Return: borrowed while the request is.
 */
const char *http_request_method(const struct http_request *r)
{
        return head_bytes(r) + r->head.method.off;
}

/**
 * http_request_path() - as it was sent, without the query; percent-encodings in it are proper and none is %00
 * @r: the request
 *
 * Return: borrowed while the request is; starts with "/".
 */
const char *http_request_path(const struct http_request *r)
{
        return head_bytes(r) + r->head.path.off;
}

/**
 * http_request_query() - what follows the first "?" of the target, as it was sent
 * @r: the request
 *
 * Return: borrowed while the request is; "" where there is none.
 */
const char *http_request_query(const struct http_request *r)
{
        return head_bytes(r) + r->head.query.off;
}

static const char *next_value(const struct http_request *r, const char *name, unsigned *pos)
{
        size_t len = strlen(name);

        while (*pos < r->head.fields_len) {
                const struct http_field *f = &r->head.fields[(*pos)++];

                if (f->name.len == len && strncasecmp(head_bytes(r) + f->name.off, name, len) == 0)
                        return head_bytes(r) + f->value.off;
        }
        return NULL;
}

/**
 * http_request_header() - the value of a header field
 * @r:    the request
 * @name: in any case
 *
 * Return: borrowed while the request is, without blanks around it; several of one name joined by ", " (RFC 9110 5.3); NULL
 * where there is none.
 */
const char *http_request_header(const struct http_request *r, const char *name)
{
        struct http_request *mine = &request_conn(r)->request;
        unsigned pos = 0;
        const char *first = next_value(r, name, &pos), *more = first ? next_value(r, name, &pos) : NULL;
        struct buf text = BUF_INIT;

        if (!more)
                return first;
        for (buf_str(&text, first); more; more = next_value(r, name, &pos)) {
                buf_str(&text, ", ");
                buf_str(&text, more);
        }
        mine->joined = mem_resize(mine->joined, mine->joined_len + 1, sizeof(*mine->joined));
        mine->joined[mine->joined_len] = buf_take(&text);
        return mine->joined[mine->joined_len++];
}

/**
 * http_request_body() - the body, decoded where it came in chunks
 * @r:       the request
 * @ret_len: its length
 *
 * Return: borrowed while the request is; not ended by NUL.
 */
const char *http_request_body(const struct http_request *r, size_t *ret_len)
{
        *ret_len = r->body_len;
        return head_bytes(r) + r->head_len;
}

/**
 * http_request_has_length() - did the request have a Content-Length or a chunked body at all?
 * @r: the request
 */
bool http_request_has_length(const struct http_request *r)
{
        return r->head.has_length;
}

/**
 * http_request_start_usec() - when its first byte was read
 * @r: the request
 *
 * Return: CLOCK_MONOTONIC, usec.
 */
uint64_t http_request_start_usec(const struct http_request *r)
{
        return r->start_usec;
}

static bool is_named(const char *key, size_t key_len, const char *name)
{
        char *decoded;
        size_t len;
        bool same;

        if (parse_percent(key, key_len, true, &decoded, &len) < 0)
                return false;
        same = len == strlen(name) && memcmp(decoded, name, len) == 0;
        mem_free(decoded);
        return same;
}

/**
 * http_request_param() - a parameter of the query, "+" and percent-encodings decoded
 * @r:    the request
 * @name: of the parameter
 * @n:    which of those that are so named: 0 is the first
 *
 * Return: new; NULL where there is none, or it cannot be decoded. "name" without "=" gives "".
 */
char *http_request_param(const struct http_request *r, const char *name, unsigned n)
{
        const char *p = http_request_query(r), *end = p + r->head.query.len;

        while (p < end) {
                const char *amp = memchr(p, '&', (size_t)(end - p)), *stop = amp ? amp : end;
                const char *eq = memchr(p, '=', (size_t)(stop - p)), *key_end = eq ? eq : stop;
                char *value;
                size_t len;

                if (is_named(p, (size_t)(key_end - p), name) && n-- == 0) {
                        const char *from = eq ? eq + 1 : stop;

                        return parse_percent(from, (size_t)(stop - from), true, &value, &len) < 0 ? NULL : value;
                }
                p = amp ? amp + 1 : end;
        }
        return NULL;
}

/**
 * http_request_on_gone() - be told when the peer goes away before the answer, or the server gives up waiting for it
 * @r:   the request; dead when fn returns
 * @fn:  called at most once, never after the answer; NULL: nobody
 * @arg: for fn
 */
void http_request_on_gone(struct http_request *r, void (*fn)(struct http_request *r, void *arg), void *arg)
{
        r->on_gone = fn;
        r->on_gone_arg = arg;
}

/**
 * http_conn_peer() - who is at the other end of a UNIX socket
 * @c: the connection
 *
 * Return: borrowed for the connection's life; NULL on TCP.
 */
const struct peer *http_conn_peer(const struct http_conn *c)
{
        return c->peer;
}

/**
 * http_conn_address() - where a TCP connection comes from
 * @c: the connection
 *
 * Return: numeric, without the port; borrowed for the connection's life; "" on a UNIX socket.
 */
const char *http_conn_address(const struct http_conn *c)
{
        return c->address;
}

/**
 * http_conn_is_tls() - did the connection come in by a TLS listener?
 * @c: the connection
 */
bool http_conn_is_tls(const struct http_conn *c)
{
        return c->tls != NULL;
}

/**
 * http_conn_data() - what the handler hung on the connection
 * @c: the connection
 *
 * Return: as given to http_conn_set_data(); NULL before.
 */
void *http_conn_data(const struct http_conn *c)
{
        return c->data;
}

/**
 * http_conn_set_data() - hang something on the connection; the handler frees it in on_close
 * @c:    the connection
 * @data: not looked at
 */
void http_conn_set_data(struct http_conn *c, void *data)
{
        c->data = data;
}

/**
 * http_conn_close() - close soon, once this turn's callbacks are done; unsent bytes are dropped
 * @c: the connection; an open request of it gets on_gone then, and may still be answered, in vain, until then
 */
void http_conn_close(struct http_conn *c)
{
        conn_doom(c, "the handler closed it");
}

/* common/http_conn.c: the life of one HTTP connection: states, deadlines, the way from bytes to a request. */
#include "common/http_private.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/unixsock.h"

#define IN_KEEP       ((size_t)4 << 10) /* a larger buffer is not kept between requests */
#define LINGER_USEC   USEC_PER_SEC
#define LINGER_MAX    ((size_t)64 << 10)
#define LINGERING_MAX 256 /* connections on their way out; the oldest goes before its time */

/* --- states and deadlines --- */

static uint64_t after(uint64_t now, uint64_t usec)
{
        return usec < USEC_NEVER - now ? now + usec : USEC_NEVER;
}

static struct conn_list *list_of(struct http_conn *c, enum conn_state state)
{
        struct http_server *s = c->server;

        switch (state) {
        case CONN_IDLE: return &s->idle;
        case CONN_HEAD:
        case CONN_BODY: return &s->receiving;
        case CONN_BUSY:
        case CONN_STREAM:
        case CONN_FLUSH: return &s->busy;
        case CONN_LINGER: return &s->lingering;
        case CONN_DOOMED: return &s->doomed;
        }
        return NULL;
}

static bool counts(const struct http_conn *c, const struct conn_list *list)
{
        return list && list != &c->server->lingering && list != &c->server->doomed;
}

static void enter_list(struct http_conn *c, struct conn_list *list)
{
        struct http_server *s = c->server;

        if (c->list == list)
                return;
        s->lingering_len -= c->list == &s->lingering;
        s->lingering_len += list == &s->lingering;
        if (counts(c, c->list))
                s->conns--;
        if (counts(c, list))
                s->conns++;
        if (c->list)
                TAILQ_REMOVE(c->list, c, link);
        if (list)
                TAILQ_INSERT_TAIL(list, c, link);
        c->list = list;
        if (s->draining)
                server_run_later(s); /* it may have been the last */
        if (s->lingering_len > LINGERING_MAX)
                conn_doom(TAILQ_FIRST(&s->lingering), "too many are on their way out");
}

/*
 * The one timer of a connection is only ever moved to an earlier time here; when it fires too early, on_timer() arms it for the
 * real deadline. A connection under load therefore touches neither the heap nor the kernel's timer.
 */
static void set_deadline(struct http_conn *c, uint64_t usec)
{
        c->deadline_usec = usec;
        if (usec < loop_timer_due(c->timer))
                loop_timer_at(c->timer, usec);
}

static uint64_t deadline_of(const struct http_conn *c, enum conn_state state)
{
        const struct http_limits *l = &c->server->limits;

        switch (state) {
        case CONN_IDLE: return after(clock_boottime_usec(), c->fresh ? l->receive_usec : l->idle_usec);
        case CONN_HEAD:
        case CONN_BODY: return c->fresh ? c->deadline_usec : after(c->request_usec, l->receive_usec);
        case CONN_BUSY:
        case CONN_FLUSH: return after(c->request_usec, l->request_usec);
        case CONN_LINGER: return after(clock_boottime_usec(), LINGER_USEC);
        case CONN_STREAM:
        case CONN_DOOMED: return USEC_NEVER;
        }
        return USEC_NEVER;
}

void conn_set_state(struct http_conn *c, enum conn_state state)
{
        if (c->state == CONN_DOOMED)
                return;
        set_deadline(c, deadline_of(c, state));
        c->state = state;
        enter_list(c, list_of(c, state));
}

static void on_timer(void *arg)
{
        struct http_conn *c = arg;

        if (clock_boottime_usec() < c->deadline_usec) {
                loop_timer_at(c->timer, c->deadline_usec);
                return;
        }
        switch (c->state) {
        case CONN_IDLE: conn_doom(c, "idle for too long"); break;
        case CONN_HEAD:
        case CONN_BODY: conn_refuse(c, 408, "the request took too long to arrive"); break;
        case CONN_BUSY: conn_refuse(c, 503, "the request took too long to answer"); break;
        case CONN_FLUSH: conn_doom(c, "the answer was not read in time"); break;
        default: conn_doom(c, "lingered long enough"); break;
        }
}

/* --- birth and death --- */

struct http_conn *conn_new(struct http_server *s, int fd, struct bufferevent *tls, struct peer *peer)
{
        struct http_conn *c = mem_new(sizeof(*c));

        c->server = s;
        c->fd = fd;
        c->tls = tls;
        c->peer = peer;
        c->fresh = true;
        c->timer = loop_timer_new(s->loop, on_timer, c);
        c->state = CONN_IDLE;
        conn_set_state(c, CONN_IDLE);
        return c;
}

void conn_start(struct http_conn *c)
{
        c->accepted = true;
        if (c->state != CONN_DOOMED) /* by on_accept */
                io_open(c);
}

static void tell_gone(struct http_conn *c)
{
        struct http_request *r = &c->request;

        if (!r->open)
                return;
        r->open = false;
        if (r->on_gone)
                r->on_gone(r, r->on_gone_arg);
        request_reset(r);
}

void conn_free(struct http_conn *c)
{
        struct http_server *s = c->server;

        c->state = CONN_DOOMED; /* whatever the callbacks below still say to it is ignored */
        held_forget(c);
        tell_gone(c);
        if (c->accepted && s->handler.on_close)
                s->handler.on_close(c, s->arg);
        enter_list(c, NULL);
        if (c->is_ready)
                TAILQ_REMOVE(&s->ready, c, ready_link);
        io_close(c);
        loop_timer_free(c->timer);
        request_reset(&c->request);
        buf_done(&c->request.extra);
        conn_drop_input(c);
        if (c->peer)
                peer_done(c->peer);
        mem_free(c->peer);
        mem_free(c);
}

void conn_doom(struct http_conn *c, const char *why)
{
        if (c->state == CONN_DOOMED)
                return;
        if (log_enabled(LOG_LEVEL_DEBUG))
                log_debug("http: connection closed: %s", why);
        conn_set_state(c, CONN_DOOMED);
        held_forget(c);
        if (c->watch)
                io_want_read(c, false);
        loop_timer_cancel(c->timer);
        server_run_later(c->server);
}

/* --- closing after an answer --- */

static void close_orderly(struct http_conn *c)
{
        if (c->eof || !c->linger) {
                conn_doom(c, "its last request is answered");
                return;
        }
        io_shut(c);
        conn_set_state(c, CONN_LINGER);
        io_want_read(c, true);
}

/* Also of a request whose head has not come whole: its first bytes tell, as they came or ended by a NUL since. */
static bool is_head(const struct http_conn *c)
{
        const char *method;

        if (c->in.end - c->in.start <= 4)
                return false;
        method = c->in.bytes + c->in.start;
        return memcmp(method, "HEAD", 4) == 0 && (method[4] == ' ' || method[4] == '\0');
}

void conn_refuse(struct http_conn *c, int status, const char *detail)
{
        const struct http_handler *h = &c->server->handler;
        const char *type = "text/plain; charset=utf-8";
        cleanup_free char *body = NULL;

        if (c->state == CONN_DOOMED)
                return;
        if (log_enabled(LOG_LEVEL_DEBUG))
                log_debug("http: request refused: %d %s", status, detail);
        tell_gone(c);
        request_reset(&c->request);
        if (status == 503)
                buf_str(&c->request.extra, "Retry-After: 1\r\n");
        if (h->refusal)
                body = h->refusal(c, status, detail, &type, c->server->arg);
        if (!body)
                body = mem_printf("%s\n", detail);
        c->linger = true;
        c->request.close = true;
        c->request.bodiless = is_head(c);
        c->request_usec = clock_boottime_usec();
        reply_write(c, status, type, body, strlen(body), true);
        conn_answered(c);
}

/* Is the request that is being answered the last one? A peer that shut its sending side may have pipelined more before. */
bool conn_ends(const struct http_conn *c)
{
        const struct http_request *r = &c->request;

        if (r->close || !r->head.keep_alive || c->server->draining)
                return true;
        return c->eof && c->in.end - c->in.start <= r->total_len;
}

void conn_go_on_later(struct http_conn *c)
{
        if (c->is_ready)
                return;
        c->is_ready = true;
        TAILQ_INSERT_TAIL(&c->server->ready, c, ready_link);
        server_run_later(c->server);
}

static void next_request(struct http_conn *c)
{
        struct http_request *r = &c->request;
        bool last = conn_ends(c);

        /* Who closes while the peer may be sending must not do it with bytes unread: the reset could overtake the answer. */
        if (last && (r->close || c->server->draining || c->in.end - c->in.start > r->total_len))
                c->linger = true;
        c->in.start += r->total_len;
        if (c->in.start >= c->in.end) {
                c->in.start = c->in.end = 0;
                if (c->in.cap > IN_KEEP)
                        conn_drop_input(c);
        }
        request_reset(r);
        c->scan_pos = 0;
        c->fresh = c->skipped_crlf = c->said_continue = false;
        if (last) {
                close_orderly(c);
                return;
        }
        conn_set_state(c, CONN_IDLE);
        io_want_read(c, true);
        if (!c->in_advance && (c->in.end > c->in.start || c->tls))
                conn_go_on_later(c);
}

void conn_answered(struct http_conn *c)
{
        c->request.open = false;
        if (c->state == CONN_DOOMED)
                return;
        if (io_unsent(c) == 0) {
                next_request(c);
                return;
        }
        conn_set_state(c, CONN_FLUSH);
        io_want_read(c, false);
}

void conn_on_sent(struct http_conn *c)
{
        if (c->state == CONN_FLUSH && io_unsent(c) == 0)
                next_request(c);
}

/* --- events --- */

/* While the handler has the request: what a client pipelines stays where it is, and an end is noticed. */
static void watch_peer(struct http_conn *c)
{
        int r = io_peek(c);

        if (r == -EAGAIN)
                return;
        if (r < 0) {
                conn_doom(c, "the peer went away");
                return;
        }
        io_want_read(c, false);
        if (r > 0)
                return;
        c->eof = true; /* a half-closed peer (shutdown(2) after the request) still gets its answer, but no stream */
        if (c->state == CONN_STREAM)
                conn_doom(c, "the peer closed it");
}

static void drop_lingering(struct http_conn *c)
{
        char dropped[4096];
        ssize_t n;

        do {
                n = io_read(c, dropped, sizeof(dropped));
                if (n > 0)
                        c->lingered_len += (size_t)n;
        } while (n > 0 && c->lingered_len < LINGER_MAX);
        if (n != -EAGAIN)
                conn_doom(c, n == 0 ? "the peer closed it too" : "lingered long enough");
}

void conn_on_readable(struct http_conn *c)
{
        switch (c->state) {
        case CONN_IDLE:
        case CONN_HEAD:
        case CONN_BODY:
                if (!c->is_ready && conn_fill(c) > 0) /* else what is there comes first: the buffer stays bounded */
                        conn_advance(c);
                break;
        case CONN_BUSY:
        case CONN_STREAM: watch_peer(c); break;
        case CONN_FLUSH:
                if (c->tls_broken)
                        conn_doom(c, "the peer went away");
                break;
        case CONN_LINGER: drop_lingering(c); break;
        case CONN_DOOMED: break;
        }
}

void conn_drain(struct http_conn *c)
{
        if (c->state == CONN_STREAM) {
                tell_gone(c);
                reply_end_stream(c);
                return;
        }
        if (c->state != CONN_IDLE)
                return;      /* closes after its answer */
        conn_on_readable(c); /* a request that is here already is still answered */
        if (c->state != CONN_IDLE)
                return;
        /* A client that keeps its connection may be sending right now: cut off, it could not know whether that was done. */
        set_deadline(c, after(clock_boottime_usec(), DRAIN_USEC));
}

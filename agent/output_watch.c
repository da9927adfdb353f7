/* agent/output_watch.c: those who wait for the next version: event streams and long polls. */
#include "agent/output_socket.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "agent/config.h"
#include "agent/policy.h"
#include "agent/store_readers.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"
#include "common/unixsock.h"

#define COMMENT_USEC (15 * USEC_PER_SEC)
#define NAMES_MAX    256 /* the head's limit allows about as many */

/* The first versions of many secrets may be more than a reader is allowed to leave unread: they go out as fast as it reads. */
#define FIRST_UNSENT_MAX ((size_t)128 << 10)
#define FIRST_PAUSE_USEC (20 * USEC_PER_MSEC)
#define FIRST_PAUSES_MAX 500 /* without any progress: 10 s */

struct stream {
        TAILQ_ENTRY(stream) link;
        struct output_watch *watch;
        struct http_request *req;
        char *consumer; /* NULL: without a name */
        struct consumer *holder;
        struct store_secret **secrets; /* those that were removed are taken out */
        size_t len;
        size_t begun;             /* secrets[0, begun) have been told of; the others will be, as they are then */
        struct loop_timer *timer; /* while begun < len */
        size_t unsent;
        unsigned pauses;
};

struct poll {
        TAILQ_ENTRY(poll) link;
        struct output_watch *watch;
        struct socket_call call;
        char *consumer;
        struct consumer *holder;
        struct store_secret *s;
        uint64_t after;
        struct loop_timer *timer;
};

TAILQ_HEAD(stream_list, stream);
TAILQ_HEAD(poll_list, poll);

struct output_watch {
        struct loop *loop;
        struct store *store;
        struct stream_list streams;
        struct poll_list polls;
        struct loop_timer *comments; /* one for all streams, armed while there are any */
};

static const struct peer *peer_of(struct http_request *req)
{
        return http_conn_peer(http_request_conn(req));
}

static void on_comments(void *arg)
{
        struct output_watch *w = arg;
        struct stream *st, *next;

        for (st = TAILQ_FIRST(&w->streams); st; st = next) {
                next = TAILQ_NEXT(st, link);
                http_stream_write(st->req, ":\n\n", 3);
        }
        if (!TAILQ_EMPTY(&w->streams))
                loop_timer_in(w->comments, COMMENT_USEC);
}

/**
 * output_watch_new() - nobody waits yet
 * @ctx: its loop and store are borrowed
 *
 * Return: new; output_watch_free() it.
 */
struct output_watch *output_watch_new(const struct output_context *ctx)
{
        struct output_watch *w = mem_new(sizeof(*w));

        w->loop = ctx->loop;
        w->store = ctx->store;
        TAILQ_INIT(&w->streams);
        TAILQ_INIT(&w->polls);
        w->comments = loop_timer_new(ctx->loop, on_comments, w);
        return w;
}

/**
 * output_watch_free() - after the server's end, when everybody who waited is gone
 * @w: takes NULL
 *
 * Return: NULL.
 */
struct output_watch *output_watch_free(struct output_watch *w)
{
        if (!w)
                return NULL;
        loop_timer_free(w->comments);
        return mem_free(w);
}

static int hold(struct output_watch *w, const struct socket_call *call, const char *consumer,
                struct consumer **ret_holder)
{
        uid_t uid = peer_of(call->req)->uid;

        if (!consumer)
                return 0;
        if (store_hold_consumer(w->store, uid, consumer, ret_holder) == 0)
                return 0;
        socket_reply_error(call, 429, "consumer: %d of uid %u are known already; use their names again",
                           CONSUMERS_PER_UID, (unsigned)uid);
        return -ENOSPC;
}

/* --- streams --- */

static void stream_free(struct stream *st)
{
        TAILQ_REMOVE(&st->watch->streams, st, link);
        loop_timer_free(st->timer);
        store_release_consumer(st->watch->store, st->holder);
        mem_free(st->consumer);
        mem_free(st->secrets);
        mem_free(st);
}

static void on_stream_gone(struct http_request *req, void *arg)
{
        (void)req;
        stream_free(arg);
}

/* Return: new: "event: secret" with its id and data. */
static struct secret *secret_event(const struct store_secret *s)
{
        const struct store_version *v = store_current(s);
        cleanup_secret struct secret *body = socket_version_text(s, v);
        cleanup_free char *head = mem_printf("event: secret\nid: %s:%" PRIu64 "\ndata: ", store_name(s), v->number);
        struct secret *event = secret_new(strlen(head) + secret_len(body) + 2);

        (void)secret_append_str(event, head);
        (void)secret_append(event, secret_bytes(body), secret_len(body));
        (void)secret_append_str(event, "\n\n");
        return event;
}

/* Return: new: "event: lease". */
static char *lease_event(const struct store_secret *s)
{
        const struct store_version *v = store_current(s);
        char expires[CLOCK_TEXT_LEN + 2];

        socket_time_json(store_expires_at(v), expires, sizeof(expires));
        return mem_printf("event: lease\ndata: {\"name\":\"%s\",\"version\":%" PRIu64
                          ",\"expires_at\":%s,\"stale\":%s}\n\n",
                          store_name(s), v->number, expires, v->stale ? "true" : "false");
}

/* Return: new: "event: lost". */
static char *lost_event(const struct store_secret *s)
{
        struct buf b = BUF_INIT;
        const char *reason = store_reason(s);

        buf_printf(&b, "event: lost\ndata: {\"name\":\"%s\",\"version\":%" PRIu64 ",\"reason\":", store_name(s),
                   store_last_number(s));
        buf_json_str(&b, reason, strlen(reason));
        buf_str(&b, "}\n\n");
        return buf_take(&b);
}

/* The reader is noted before the bytes are on their way: who got them may not be forgotten by a death in between. */
static void stream_give(struct stream *st, struct store_secret *s, const struct secret *event)
{
        (void)store_give(st->watch->store, s, peer_of(st->req)->uid, st->consumer);
        http_stream_write(st->req, secret_bytes(event), secret_len(event));
}

/* Return: 0; -EINVAL, -EACCES: the call is answered and dead. */
static int read_names(const struct socket_call *call, struct store_secret ***ret_secrets, size_t *ret_len)
{
        cleanup_free struct store_secret **secrets = mem_array(NAMES_MAX, sizeof(struct store_secret *));
        size_t len = 0;

        for (unsigned n = 0;; n++) {
                cleanup_free char *name = http_request_param(call->req, "name", n);
                struct store_secret *s;
                bool known = false;

                if (!name)
                        break;
                s = socket_readable(call, name);
                if (!s) {
                        socket_reply_denied(call, name);
                        return -EACCES;
                }
                for (size_t i = 0; i < len && !known; i++)
                        known = secrets[i] == s;
                if (known)
                        continue;
                if (len == NAMES_MAX) {
                        socket_reply_error(call, 400, "name: at most %d in one stream", NAMES_MAX);
                        return -EINVAL;
                }
                secrets[len++] = s;
        }
        if (len == 0) {
                socket_reply_error(call, 400, "name: which secrets? watch?name=db&name=tls");
                return -EINVAL;
        }
        *ret_secrets = secrets;
        *ret_len = len;
        secrets = NULL;
        return 0;
}

static void send_one(struct stream *st, struct store_secret *s)
{
        if (store_current(s)) {
                cleanup_secret struct secret *event = secret_event(s);

                stream_give(st, s, event);
        } else {
                cleanup_free char *event = lost_event(s);

                http_stream_write(st->req, event, strlen(event));
        }
}

static void send_first(void *arg)
{
        struct stream *st = arg;
        size_t unsent;

        while (st->begun < st->len && http_stream_unsent(st->req) < FIRST_UNSENT_MAX)
                send_one(st, st->secrets[st->begun++]);
        if (st->begun == st->len) {
                st->timer = loop_timer_free(st->timer);
                return;
        }
        unsent = http_stream_unsent(st->req);
        st->pauses = unsent == st->unsent ? st->pauses + 1 : 0;
        st->unsent = unsent;
        if (st->pauses == FIRST_PAUSES_MAX) {
                http_conn_close(http_request_conn(st->req));
                return;
        }
        if (!st->timer)
                st->timer = loop_timer_new(st->watch->loop, send_first, st);
        loop_timer_in(st->timer, FIRST_PAUSE_USEC);
}

/**
 * output_watch_stream() - GET /agent/v1/watch: the current versions at once, then whatever changes
 * @w:    the waiting
 * @call: dead afterwards, or a stream until it is gone
 */
void output_watch_stream(struct output_watch *w, const struct socket_call *call)
{
        cleanup_free char *consumer = NULL;
        cleanup_free struct store_secret **secrets = NULL;
        struct consumer *holder = NULL;
        struct stream *st;
        size_t len;

        if (read_names(call, &secrets, &len) < 0 || socket_consumer(call, &consumer) < 0 ||
            hold(w, call, consumer, &holder) < 0)
                return;
        st = mem_new(sizeof(*st));
        *st = (struct stream){.watch = w, .req = call->req, .consumer = consumer, .holder = holder, .len = len};
        st->secrets = mem_resize(secrets, len, sizeof(struct store_secret *));
        consumer = NULL;
        secrets = NULL;
        if (TAILQ_EMPTY(&w->streams))
                loop_timer_in(w->comments, COMMENT_USEC);
        TAILQ_INSERT_TAIL(&w->streams, st, link);
        output_metrics_count(call->o->metrics, call->endpoint, 200);
        http_reply_header(call->req, "Cache-Control", "no-store");
        http_request_on_gone(call->req, on_stream_gone, st);
        http_stream_begin(call->req, 200, "text/event-stream");
        send_first(st);
}

static bool is_stopping(const struct store_secret *s)
{
        return strcmp(store_reason(s), STORE_STOPPING) == 0;
}

static size_t find_in(const struct stream *st, const struct store_secret *s)
{
        size_t i = 0;

        while (i < st->len && st->secrets[i] != s)
                i++;
        return i;
}

/* st may be dead when this returns. */
static void stream_drop(struct stream *st, size_t at)
{
        struct http_request *req = st->req;

        st->len--;
        memmove(&st->secrets[at], &st->secrets[at + 1], (st->len - at) * sizeof(struct store_secret *));
        if (at < st->begun)
                st->begun--;
        if (st->len > 0)
                return;
        stream_free(st);
        http_request_on_gone(req, NULL, NULL);
        http_stream_end(req);
}

struct change_text { /* of one change for all streams, made for the first that wants it */
        struct secret *secret;
        char *plain;
};

static void tell_stream(struct stream *st, size_t at, enum store_change change, struct change_text *text)
{
        struct store_secret *s = st->secrets[at];

        switch (change) {
        case STORE_NEW:
                if (!text->secret)
                        text->secret = secret_event(s);
                stream_give(st, s, text->secret);
                break;
        case STORE_LEASE:
        case STORE_LOST:
                if (!text->plain)
                        text->plain = change == STORE_LEASE ? lease_event(s) : lost_event(s);
                http_stream_write(st->req, text->plain, strlen(text->plain));
                break;
        case STORE_RIGHTS:
                if (!policy_may_read(store_config(s), peer_of(st->req)))
                        http_conn_close(http_request_conn(st->req));
                break;
        }
}

static void tell_streams(struct output_watch *w, struct store_secret *s, enum store_change change)
{
        bool removed = store_is_removed(s);
        /* Then they were told already, when the agent began to stop. */
        bool silent = removed && is_stopping(s);
        struct change_text text = {0};
        struct stream *st, *next;

        for (st = TAILQ_FIRST(&w->streams); st; st = next) {
                size_t at = find_in(st, s);

                next = TAILQ_NEXT(st, link);
                if (at == st->len)
                        continue;
                if (!silent && (at < st->begun || change == STORE_RIGHTS || removed))
                        tell_stream(st, at, change, &text);
                if (removed)
                        stream_drop(st, at);
        }
        secret_free(text.secret);
        mem_free(text.plain);
}

/* --- long polls --- */

static void poll_free(struct poll *p)
{
        TAILQ_REMOVE(&p->watch->polls, p, link);
        store_release_consumer(p->watch->store, p->holder);
        loop_timer_free(p->timer);
        mem_free(p->consumer);
        mem_free(p);
}

static void on_poll_gone(struct http_request *req, void *arg)
{
        (void)req;
        poll_free(arg);
}

static void on_poll_over(void *arg)
{
        struct poll *p = arg;
        const struct store_version *v = store_current(p->s);

        http_request_on_gone(p->call.req, NULL, NULL);
        if (v)
                socket_not_modified(&p->call, v);
        else
                socket_reply_nothing(&p->call, p->s);
        poll_free(p);
}

/**
 * output_watch_wait() - GET /agent/v1/secrets/NAME?after=...&wait=...: answers once there is another version
 * @w:         the waiting
 * @call:      copied; answered now or later
 * @s:         the secret: its current version is `after`, or it has none
 * @after:     the version that the reader has; 0: none
 * @wait_usec: then 304, or 503 where there is no version
 * @consumer:  NULL: it gave no name
 */
void output_watch_wait(struct output_watch *w, const struct socket_call *call, struct store_secret *s, uint64_t after,
                       uint64_t wait_usec, const char *consumer)
{
        struct consumer *holder = NULL;
        struct poll *p;

        if (hold(w, call, consumer, &holder) < 0)
                return;
        p = mem_new(sizeof(*p));
        *p = (struct poll){.watch = w, .call = *call, .holder = holder, .s = s, .after = after};
        p->call.name = NULL; /* borrowed from a request that is over by then */
        p->consumer = mem_strdup(consumer);
        p->timer = loop_timer_new(w->loop, on_poll_over, p);
        loop_timer_in(p->timer, wait_usec);
        TAILQ_INSERT_TAIL(&w->polls, p, link);
        http_request_on_gone(call->req, on_poll_gone, p);
}

static void answer_poll(struct poll *p, enum store_change change)
{
        const struct store_version *v = store_current(p->s);
        bool stopping = change == STORE_LOST && is_stopping(p->s), removed = store_is_removed(p->s);
        bool denied = change == STORE_RIGHTS && !policy_may_read(store_config(p->s), peer_of(p->call.req));

        if (!stopping && !removed && !denied && (change != STORE_NEW || v->number == p->after))
                return;
        http_request_on_gone(p->call.req, NULL, NULL);
        if (stopping) {
                http_reply_close(p->call.req);
                socket_reply_nothing(&p->call, p->s);
        } else if (removed || denied) {
                http_reply_close(p->call.req);
                socket_reply_denied(&p->call, store_name(p->s));
        } else {
                socket_give(&p->call, p->s, p->consumer);
        }
        poll_free(p);
}

/**
 * output_watch_on_change() - tells everybody who waits for that secret
 * @w:      the waiting
 * @s:      the secret
 * @change: what happened to it
 */
void output_watch_on_change(struct output_watch *w, struct store_secret *s, enum store_change change)
{
        struct poll *p, *next;

        tell_streams(w, s, change);
        for (p = TAILQ_FIRST(&w->polls); p; p = next) {
                next = TAILQ_NEXT(p, link);
                if (p->s == s)
                        answer_poll(p, change);
        }
}

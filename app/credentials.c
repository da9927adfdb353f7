/* app/credentials.c: the client of the agent's socket; the one file that knows its protocol (design: the socket). */
#include <errno.h>
#include <string.h>

#include "app/agent_conn.h"
#include "app/credentials.h"
#include "app/sse.h"
#include "common/backoff.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

#define EVENT_MAX         ((size_t)1 << 20)
#define REFUSAL_MAX       ((size_t)8 << 10)
#define BACKOFF_BASE_USEC (100 * USEC_PER_MSEC)
#define BACKOFF_CAP_USEC  (5 * USEC_PER_SEC)
#define CALL_USEC         (10 * USEC_PER_SEC)
/* The agent sends a comment every 15 s: three that did not come mean that nobody is there. */
#define WATCH_IDLE_USEC (50 * USEC_PER_SEC)

struct watched {
        char *name;
        uint64_t version; /* delivered last; 0: none, or lost since */
        uint64_t expires_usec;
        bool stale, again;
        uint64_t ack, reject; /* still to be said; 0: nothing */
        uint64_t said;        /* acknowledged last */
        struct backoff call_backoff;
        uint64_t call_usec; /* CLOCK_BOOTTIME: nothing is said before */
};

struct credentials {
        struct loop *loop;
        char *path, *consumer;
        struct watched *names;
        size_t names_len;
        const struct credentials_handler *handler;
        void *arg;

        struct agent_conn *watch;
        struct sse *sse;
        int watch_status;
        struct buf refusal; /* the body of an answer that is no stream; holds no secret */
        struct backoff watch_backoff;
        struct loop_timer *watch_timer;
        bool connected;
        char *problem; /* what on_connection() was told last; NULL: nothing yet, "" while connected */

        struct agent_conn *call; /* one ack or reject at a time */
        struct watched *call_about;
        uint64_t call_version;
        bool call_is_reject;
        int call_status;
        struct loop_timer *call_timer;
};

static struct watched *find(struct credentials *c, const char *name)
{
        for (size_t i = 0; name && i < c->names_len; i++)
                if (strcmp(c->names[i].name, name) == 0)
                        return &c->names[i];
        return NULL;
}

static void tell_connection(struct credentials *c, bool connected, const char *problem)
{
        if (c->problem && c->connected == connected && strcmp(c->problem, problem) == 0)
                return;
        mem_free(c->problem);
        c->problem = mem_strdup(problem);
        c->connected = connected;
        c->handler->on_connection(connected, problem, c->arg);
}

/* --- what comes on the stream --- */

static int read_expiry(const json_t *event, uint64_t *ret_usec)
{
        const char *text = json_str(event, "expires_at");

        if (text)
                return clock_parse_rfc3339(text, ret_usec);
        *ret_usec = USEC_NEVER;
        return 0;
}

static void deliver(struct credentials *c, struct watched *w, const json_t *data)
{
        struct credentials_version v = {
                .name = w->name,
                .version = w->version,
                .expires_usec = w->expires_usec,
                .stale = w->stale,
                .data = data,
                .again = data && w->again,
        };

        if (data)
                w->again = false;
        c->handler->on_version(&v, c->arg);
}

/* The whole of a version, or (data NULL) only its new end. */
static int on_secret(struct credentials *c, struct watched *w, const json_t *event, const json_t *data)
{
        uint64_t version, expires_usec;
        bool stale = json_flag(event, "stale"), is_new;

        if (!json_u64(event, "version", &version) || version == 0 || read_expiry(event, &expires_usec) < 0)
                return -EPROTO;
        is_new = version != w->version;
        if (!data && is_new) /* the lease of something that was never shown: its version event follows */
                return 0;
        if (!is_new && !(data && w->again)) {
                /* A new connection shows the current version once more; an agent that forgot our word is told again. */
                if (data && w->said == version)
                        credentials_ack(c, w->name, version);
                if (w->expires_usec == expires_usec && w->stale == stale)
                        return 0;
                data = NULL;
        }
        w->version = version;
        w->expires_usec = expires_usec;
        w->stale = stale;
        deliver(c, w, data);
        return 0;
}

static int read_event(struct credentials *c, const struct sse_event *event)
{
        bool is_secret = strcmp(event->type, "secret") == 0, is_lost = strcmp(event->type, "lost") == 0;
        cleanup_json json_t *body = NULL;
        const json_t *data;
        struct watched *w;
        char error[160];

        if (!is_secret && !is_lost && strcmp(event->type, "lease") != 0)
                return 0;
        body = json_read(secret_bytes(event->data), secret_len(event->data), error, sizeof(error));
        w = find(c, json_str(body, "name"));
        if (!body || !w)
                return -EPROTO;
        if (is_lost) {
                const char *reason = json_str(body, "reason");

                w->version = 0;
                w->again = false; /* what comes next is new anyway */
                c->handler->on_lost(w->name, reason ? reason : "", c->arg);
                return 0;
        }
        data = is_secret ? json_object_get(body, "data") : NULL;
        if (is_secret && !json_is_object(data))
                return -EPROTO;
        return on_secret(c, w, body, data);
}

static void on_event(const struct sse_event *event, void *arg)
{
        struct credentials *c = arg;

        /* A damaged event is passed over, not fatal: to connect again would only bring the same one, in a circle. */
        if (read_event(c, event) < 0)
                log_warn("agent: an event of type %s (id %s) cannot be understood; passed over", event->type,
                         event->id);
        else
                backoff_reset(&c->watch_backoff);
}

/* --- the watch: one connection for good --- */

static void on_watch_head(int status, void *arg)
{
        struct credentials *c = arg;

        c->watch_status = status;
        if (status == 200)
                tell_connection(c, true, "");
}

static int on_watch_body(const char *bytes, size_t len, void *arg)
{
        struct credentials *c = arg;

        if (c->watch_status == 200)
                return sse_feed(c->sse, bytes, len);
        if (c->refusal.len + len <= REFUSAL_MAX)
                buf_add(&c->refusal, bytes, len);
        return 0;
}

static void close_watch(struct credentials *c)
{
        c->watch = agent_conn_free(c->watch);
        c->sse = sse_free(c->sse);
        buf_done(&c->refusal);
        c->watch_status = 0;
}

/* The agent's own words where it gave some: {"errors":["db: permission denied"]}. New. */
static char *refusal_text(struct credentials *c)
{
        char error[160];
        cleanup_json json_t *body = json_read(buf_text(&c->refusal), c->refusal.len, error, sizeof(error));
        const char *text = json_string_value(json_array_get(json_object_get(body, "errors"), 0));

        return mem_printf("the agent answers %d%s%s", c->watch_status, text ? ": " : "", text ? text : "");
}

static char *end_text(struct credentials *c, int error)
{
        if (c->watch_status != 0 && c->watch_status != 200)
                return refusal_text(c);
        if (error == -ETIMEDOUT)
                return mem_strdup("the agent is silent");
        if (error == 0 || error == -ECONNRESET)
                return mem_strdup("the agent closed the connection");
        return mem_printf("%s: %s", c->path, strerror(-error));
}

static void retry_watch(struct credentials *c, int error)
{
        cleanup_free char *text = end_text(c, error);

        close_watch(c);
        loop_timer_in(c->watch_timer, backoff_next(&c->watch_backoff, backoff_random()));
        tell_connection(c, false, text);
}

static void on_watch_end(int error, void *arg)
{
        retry_watch(arg, error);
}

static const struct agent_conn_handler watch_handler = {on_watch_head, on_watch_body, on_watch_end};

static void open_watch(void *arg)
{
        struct credentials *c = arg;
        struct buf request __attribute__((cleanup(buf_done))) = BUF_INIT;
        int r;

        close_watch(c);
        buf_str(&request, "GET /agent/v1/watch?");
        for (size_t i = 0; i < c->names_len; i++)
                buf_printf(&request, "name=%s&", c->names[i].name);
        buf_printf(&request, "consumer=%s HTTP/1.1\r\nHost: leasekeeper\r\nAccept: text/event-stream\r\n\r\n",
                   c->consumer);
        r = agent_conn_open(c->loop, c->path, request.data, request.len, WATCH_IDLE_USEC, &watch_handler, c, &c->watch);
        if (r < 0) {
                retry_watch(c, r);
                return;
        }
        c->sse = sse_new(EVENT_MAX, on_event, c);
}

/* --- ack and reject: one short connection each, one at a time --- */

static void next_call(void *arg);

static void on_call_head(int status, void *arg)
{
        struct credentials *c = arg;

        c->call_status = status;
}

static int on_call_body(const char *bytes, size_t len, void *arg)
{
        (void)bytes;
        (void)len;
        (void)arg;
        return 0;
}

/* Nothing came of it: an ack is tried again until a newer one is due, a reject is left to the caller. */
static void call_failed(struct credentials *c, int error)
{
        struct watched *w = c->call_about;
        uint64_t wait_usec = backoff_next(&w->call_backoff, backoff_random());

        log_debug("%s: telling the agent about version %llu failed: %s (%d); next try in %llu ms", w->name,
                  (unsigned long long)c->call_version, error ? strerror(-error) : "its answer", c->call_status,
                  (unsigned long long)(wait_usec / USEC_PER_MSEC));
        if (c->call_is_reject && w->reject == c->call_version)
                w->reject = 0;
        w->call_usec = clock_boottime_usec() + wait_usec;
        loop_timer_in(c->call_timer, 0);
}

static void call_said(struct credentials *c)
{
        struct watched *w = c->call_about;
        uint64_t *due = c->call_is_reject ? &w->reject : &w->ack;

        if (c->call_status >= 400)
                log_debug("%s: the agent answers %d to %s of version %llu", w->name, c->call_status,
                          c->call_is_reject ? "a reject" : "an ack", (unsigned long long)c->call_version);
        if (*due == c->call_version)
                *due = 0;
        /* 409: not given to us in its present life; the watch will show it, and then it is said again. */
        if (!c->call_is_reject && (c->call_status == 409 || c->call_status < 300))
                w->said = c->call_version;
        backoff_reset(&w->call_backoff);
        w->call_usec = 0;
        loop_timer_in(c->call_timer, 0);
}

static void on_call_end(int error, void *arg)
{
        struct credentials *c = arg;

        c->call = agent_conn_free(c->call);
        if (error < 0 || c->call_status >= 500 || c->call_status == 429)
                call_failed(c, error);
        else
                call_said(c);
}

static const struct agent_conn_handler call_handler = {on_call_head, on_call_body, on_call_end};

static void open_call(struct credentials *c, struct watched *w, bool is_reject)
{
        struct buf request __attribute__((cleanup(buf_done))) = BUF_INIT;
        cleanup_free char *body = NULL;
        int r;

        c->call_about = w;
        c->call_is_reject = is_reject;
        c->call_version = is_reject ? w->reject : w->ack;
        c->call_status = 0;
        body = mem_printf("{\"version\":%llu,\"consumer\":\"%s\"%s}", (unsigned long long)c->call_version, c->consumer,
                          is_reject ? ",\"reason\":\"denied\"" : "");
        buf_printf(&request,
                   "POST /agent/v1/secrets/%s/%s HTTP/1.1\r\nHost: leasekeeper\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                   w->name, is_reject ? "reject" : "ack", strlen(body), body);
        r = agent_conn_open(c->loop, c->path, request.data, request.len, CALL_USEC, &call_handler, c, &c->call);
        if (r < 0)
                call_failed(c, r);
}

/* One that failed waits by itself: the trouble of one secret does not hold back what is to be said of another. */
static void next_call(void *arg)
{
        struct credentials *c = arg;
        uint64_t now = clock_boottime_usec(), soonest = USEC_NEVER;

        if (c->call)
                return;
        for (size_t i = 0; i < c->names_len; i++) {
                struct watched *w = &c->names[i];

                if (!w->reject && !w->ack)
                        continue;
                if (w->call_usec <= now) {
                        open_call(c, w, w->reject != 0);
                        return;
                }
                if (w->call_usec < soonest)
                        soonest = w->call_usec;
        }
        loop_timer_at(c->call_timer, soonest);
}

static void call_soon(struct credentials *c)
{
        if (!c->call)
                loop_timer_in(c->call_timer, 0);
}

/* --- what the header offers --- */

/**
 * credentials_new() - watches secrets at the agent's socket for good
 * @socket_path: the agent's socket
 * @consumer:    the name this process gives itself
 * @names:       NULL-terminated; copied
 * @handler:     borrowed for the watcher's life; called from the loop, never before this returns
 *
 * GET /agent/v1/watch, with back-off from 100 ms to 5 s after a failure.
 *
 * Return: new.
 */
struct credentials *credentials_new(struct loop *loop, const char *socket_path, const char *consumer,
                                    const char *const *names, const struct credentials_handler *handler, void *arg)
{
        struct credentials *c = mem_new(sizeof(*c));

        c->loop = loop;
        c->path = mem_strdup(socket_path);
        c->consumer = mem_strdup(consumer);
        c->handler = handler;
        c->arg = arg;
        while (names[c->names_len])
                c->names_len++;
        c->names = mem_array(c->names_len, sizeof(*c->names));
        c->watch_backoff = (struct backoff){.base_usec = BACKOFF_BASE_USEC, .cap_usec = BACKOFF_CAP_USEC};
        for (size_t i = 0; i < c->names_len; i++) {
                c->names[i].name = mem_strdup(names[i]);
                c->names[i].call_backoff = c->watch_backoff;
        }
        c->watch_timer = loop_timer_new(loop, open_watch, c);
        c->call_timer = loop_timer_new(loop, next_call, c);
        loop_timer_in(c->watch_timer, 0);
        return c;
}

/**
 * credentials_free() - closes all; acknowledgements that were not said yet are dropped; takes NULL; not from a callback
 */
struct credentials *credentials_free(struct credentials *c)
{
        if (!c)
                return NULL;
        close_watch(c);
        agent_conn_free(c->call);
        loop_timer_free(c->watch_timer);
        loop_timer_free(c->call_timer);
        for (size_t i = 0; i < c->names_len; i++)
                mem_free(c->names[i].name);
        mem_free(c->names);
        mem_free(c->path);
        mem_free(c->consumer);
        mem_free(c->problem);
        return mem_free(c);
}

/**
 * credentials_reread() - every name anew from the socket, delivered with again = true
 *
 * A new watch takes the place of the old one: the agent answers it with the current version of each name. May be called from
 * a callback.
 */
void credentials_reread(struct credentials *c)
{
        for (size_t i = 0; i < c->names_len; i++)
                c->names[i].again = true;
        backoff_reset(&c->watch_backoff);
        loop_timer_in(c->watch_timer, 0);
}

/**
 * credentials_ack() - the version is in use and nothing older is (POST .../ack); tried again until it is said
 */
void credentials_ack(struct credentials *c, const char *name, uint64_t version)
{
        struct watched *w = find(c, name);

        if (!w)
                return;
        w->ack = version;
        call_soon(c);
}

/**
 * credentials_reject() - the database refuses this version's login (POST .../reject, "denied"); tried once
 */
void credentials_reject(struct credentials *c, const char *name, uint64_t version)
{
        struct watched *w = find(c, name);

        if (!w)
                return;
        w->reject = version;
        call_soon(c);
}

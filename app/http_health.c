/* app/http_health.c: how notesd is doing, for machines: /healthz, /readyz, /metrics, /version, /openapi.json. */
#include <string.h>

#include "app/assets.h"
#include "app/exchange.h"
#include "app/http_health.h"
#include "app/notes.h"
#include "app/rotation.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/parse.h"

#define JSON_TYPE "application/json"
/* Probes give up after a second or two (Kubernetes: 1 s): the answer must come before that to be of use. */
#define PROBE_USEC (900 * USEC_PER_MSEC)

static void reply_text(struct exchange *x, const char *text)
{
        exchange_reply(x, 200, JSON_TYPE, text, strlen(text));
}

/**
 * http_health_live() - GET /healthz: the loop turns
 */
void http_health_live(struct exchange *x)
{
        reply_text(x, "{\"status\":\"ok\"}\n");
}

/**
 * http_health_version() - GET /version
 */
void http_health_version(struct exchange *x)
{
        const char *latency = exchange_services(x)->db_latency;
        struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

        buf_str(&out, "{\"name\":\"notesd\",\"version\":\"" LEASEKEEPER_VERSION "\",\"db_latency\":");
        if (latency)
                buf_json_str(&out, latency, strlen(latency));
        else
                buf_str(&out, "null");
        buf_str(&out, "}\n");
        exchange_reply(x, 200, JSON_TYPE, out.data, out.len);
}

/**
 * http_health_openapi() - GET /openapi.json
 */
void http_health_openapi(struct exchange *x)
{
        const struct asset *a = asset_openapi();

        exchange_reply_cached(x, "no-cache", JSON_TYPE, a->bytes, a->len, a->etag);
}

/**
 * http_health_metrics() - GET /metrics: Prometheus text (exposition format 0.0.4)
 */
void http_health_metrics(struct exchange *x)
{
        struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

        metrics_write(exchange_services(x)->metrics, &out);
        exchange_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", out.data, out.len);
}

/* --- ready --- */

struct probe {
        struct exchange *x;
        struct loop_timer *timer;
        struct notes_call *call;
};

static void free_probe(void *data)
{
        struct probe *p = data;

        loop_timer_free(p->timer);
        mem_free(p);
}

static void add_json(struct buf *out, const char *text)
{
        buf_json_str(out, text, strlen(text));
}

static void add_secret(struct buf *out, const struct rotation_secret *s)
{
        char expires[CLOCK_TEXT_LEN];

        buf_str(out, "{\"name\":");
        add_json(out, s->name);
        buf_printf(out,
                   ",\"version\":%llu,\"in_use\":%llu,\"stale\":%s,\"expires_at\":", (unsigned long long)s->version,
                   (unsigned long long)s->in_use, s->stale ? "true" : "false");
        if (s->expires_usec == USEC_NEVER)
                buf_str(out, "null");
        else
                add_json(out, clock_rfc3339(s->expires_usec, expires));
        buf_str(out, ",\"problem\":");
        if (s->problem[0])
                add_json(out, s->problem);
        else
                buf_str(out, "null");
        buf_char(out, '}');
}

static void add_reason(struct buf *out, bool *first, const char *about, const char *why)
{
        cleanup_free char *text = mem_printf("%s: %s", about, why);

        if (!*first)
                buf_char(out, ',');
        *first = false;
        add_json(out, text);
}

/* What is in use goes on without the agent until it ends; when that is stands beside each secret. */
static void add_agent_reason(struct buf *out, bool *first, const struct rotation_status *s)
{
        char since[CLOCK_TEXT_LEN];
        cleanup_free char *why =
                mem_printf("not connected since %s: %s", clock_rfc3339(s->agent_since_usec, since), s->agent_problem);

        add_reason(out, first, "agent", why);
}

/* database: NULL where it answers, else why not. A refused newer version is a reason, but what works keeps us ready. */
static void reply_ready(struct exchange *x, const char *database)
{
        struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
        struct rotation_status s;
        char since[CLOCK_TEXT_LEN];
        bool first = true, ready;

        rotation_status(exchange_services(x)->rotation, &s);
        ready = s.usable && !database;
        buf_printf(&out, "{\"status\":\"%s\",\"reasons\":[", ready ? "ready" : "not ready");
        for (size_t i = 0; i < s.secrets_len; i++)
                if (s.secrets[i].problem[0])
                        add_reason(&out, &first, s.secrets[i].name, s.secrets[i].problem);
        if (!s.agent_connected)
                add_agent_reason(&out, &first, &s);
        if (database)
                add_reason(&out, &first, "database", database);
        buf_printf(&out, "],\"database\":\"%s\",\"agent\":\"%s\",\"agent_since\":\"%s\",\"secrets\":[",
                   database ? "unavailable" : "ok", s.agent_connected ? "connected" : "not connected",
                   clock_rfc3339(s.agent_since_usec, since));
        for (size_t i = 0; i < s.secrets_len; i++) {
                if (i > 0)
                        buf_char(&out, ',');
                add_secret(&out, &s.secrets[i]);
        }
        buf_str(&out, "]}\n");
        if (!ready)
                exchange_header(x, "Retry-After", "1");
        exchange_reply(x, ready ? 200 : 503, JSON_TYPE, out.data, out.len);
}

static void on_probe(const struct notes_result *r, void *arg)
{
        struct probe *p = arg;

        exchange_wait(p->x, NULL);
        if (r->outcome == NOTES_OK)
                reply_ready(p->x, NULL);
        else
                reply_ready(p->x, r->reason && r->reason[0] ? r->reason : "it does not answer");
}

static void on_late(void *arg)
{
        struct probe *p = arg;

        notes_cancel(p->call);
        exchange_wait(p->x, NULL);
        reply_ready(p->x, "it did not answer in time");
}

/**
 * http_health_ready() - GET /readyz: the credentials are valid and the database answers
 *
 * It is asked for a note each time: sessions that were opened once say nothing about now. Many probes share one query.
 */
void http_health_ready(struct exchange *x)
{
        const struct services *services = exchange_services(x);
        struct rotation_status s;
        struct probe *p;

        rotation_status(services->rotation, &s);
        if (!s.has_db) {
                reply_ready(x, "there are no credentials that work");
                return;
        }
        p = mem_new(sizeof(*p));
        p->x = x;
        exchange_hang(x, p, free_probe);
        p->timer = loop_timer_new(services->loop, on_late, p);
        loop_timer_in(p->timer, PROBE_USEC);
        p->call = notes_list(services->notes, 1, 0, on_probe, p);
        exchange_wait(x, p->call);
}

/* agent/output_metrics.c: what the outputs count, what the store shows, and the page with all of the agent's metrics. */
#include "agent/output_socket.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/parse.h"

#define STATUSES_MAX 16

struct counted {
        int status;
        struct metric_series *series;
};

struct output_metrics {
        struct store *store;
        struct metric *requests, *consumers;
        struct counted counted[ENDPOINTS][STATUSES_MAX]; /* looked up once: each request comes here */
};

static const char *const endpoint_names[ENDPOINTS] = {
        [ENDPOINT_SECRET] = "secret",   [ENDPOINT_SECRETS] = "secrets", [ENDPOINT_WATCH] = "watch",
        [ENDPOINT_ACK] = "ack",         [ENDPOINT_REJECT] = "reject",   [ENDPOINT_HEALTH] = "health",
        [ENDPOINT_METRICS] = "metrics", [ENDPOINT_STATUS] = "status",   [ENDPOINT_ROTATE] = "rotate",
        [ENDPOINT_RELOAD] = "reload",   [ENDPOINT_VAULT] = "vault",     [ENDPOINT_NONE] = "none",
};

/* NULL: more codes than there is room for. */
static struct metric_series *series_of(struct output_metrics *m, enum socket_endpoint endpoint, int status)
{
        struct counted *row = m->counted[endpoint];
        char code[12];

        for (size_t i = 0; i < STATUSES_MAX; i++) {
                if (row[i].series && row[i].status != status)
                        continue;
                if (!row[i].series) {
                        snprintf(code, sizeof(code), "%d", status);
                        row[i].status = status;
                        row[i].series = metric_series(m->requests, endpoint_names[endpoint], code);
                }
                return row[i].series;
        }
        return NULL;
}

/* Prometheus sees no rise in a counter's first appearance: what somebody may want to hear of is there at 0. */
static void begin_at_zero(struct output_metrics *m)
{
        for (int endpoint = 0; endpoint < ENDPOINTS; endpoint++) {
                series_of(m, (enum socket_endpoint)endpoint, 403);
                series_of(m, (enum socket_endpoint)endpoint, 503);
        }
}

static void on_collect(void *arg)
{
        struct output_metrics *m = arg;

        metric_set(m->consumers, (double)store_consumers(m->store));
}

static void version_rows(struct metric_rows *rows, void *arg)
{
        const struct output_metrics *m = arg;

        for (struct store_secret *s = store_next(m->store, NULL); s; s = store_next(m->store, s)) {
                if (store_last_number(s))
                        metric_row(rows, (double)store_last_number(s), store_name(s));
        }
}

static void expiry_rows(struct metric_rows *rows, void *arg)
{
        const struct output_metrics *m = arg;

        for (struct store_secret *s = store_next(m->store, NULL); s; s = store_next(m->store, s)) {
                const struct store_version *v = store_current(s);
                uint64_t expires = v ? store_expires_at(v) : USEC_NEVER;

                if (expires != USEC_NEVER)
                        metric_row(rows, (double)expires / (double)USEC_PER_SEC, store_name(s));
        }
}

static void stale_rows(struct metric_rows *rows, void *arg)
{
        const struct output_metrics *m = arg;

        for (struct store_secret *s = store_next(m->store, NULL); s; s = store_next(m->store, s)) {
                if (store_current(s))
                        metric_row(rows, store_current(s)->stale, store_name(s));
        }
}

/* A state set: one row a state, 1 for the one that is true. */
static void health_rows(struct metric_rows *rows, void *arg)
{
        static const char *const states[] = {"ok", "degraded", "starting", "failing"};
        const struct output_metrics *m = arg;
        void *control_arg;
        const struct store_control *control = store_control(m->store, &control_arg);
        cleanup_json json_t *body = NULL;
        const char *state = NULL;

        if (control->health) {
                control->health(&body, control_arg);
                state = json_str(body, "status");
        }
        for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
                metric_row(rows, strcmp(states[i], state ? state : "starting") == 0, states[i]);
}

/**
 * output_metrics_new() - the outputs' metrics, in the agent's table
 * @ctx: its metrics and store are borrowed
 *
 * Return: new; output_metrics_free() it.
 */
struct output_metrics *output_metrics_new(const struct output_context *ctx)
{
        struct output_metrics *m = mem_new(sizeof(*m));

        m->store = ctx->store;
        m->requests = metrics_add(ctx->metrics, METRIC_COUNTER, "leasekeeper_socket_requests_total",
                                  "Requests answered on the socket and the metrics listener.", "endpoint,code", NULL);
        begin_at_zero(m);
        m->consumers = metrics_add(ctx->metrics, METRIC_GAUGE, "leasekeeper_consumers",
                                   "Named consumers that hold a version or an open stream.", "", NULL);
        metrics_add_rows(ctx->metrics, METRIC_GAUGE, "leasekeeper_secret_version",
                         "Number of the current version, or of the last one where there is none.", "secret",
                         version_rows, m);
        metrics_add_rows(ctx->metrics, METRIC_GAUGE, "leasekeeper_secret_expiry_timestamp_seconds",
                         "When the current version ends, as Unix time.", "secret", expiry_rows, m);
        metrics_add_rows(ctx->metrics, METRIC_GAUGE, "leasekeeper_secret_stale",
                         "1 while the current version is served although a renewal has failed.", "secret", stale_rows,
                         m);
        metrics_add_rows(ctx->metrics, METRIC_GAUGE, "leasekeeper_health",
                         "What GET /agent/v1/health answers: 1 for the state it is in.", "state", health_rows, m);
        metrics_on_collect(ctx->metrics, on_collect, m);
        return m;
}

/**
 * output_metrics_free() - the end of the outputs' metrics; the agent's table is not written any more after it
 * @m: takes NULL
 *
 * Return: NULL.
 */
struct output_metrics *output_metrics_free(struct output_metrics *m)
{
        return mem_free(m);
}

/**
 * output_metrics_count() - one more request was answered
 * @m:        the metrics
 * @endpoint: which call
 * @status:   HTTP status
 */
void output_metrics_count(struct output_metrics *m, enum socket_endpoint endpoint, int status)
{
        struct metric_series *series = series_of(m, endpoint, status);

        if (series)
                metric_series_inc(series, 1);
}

/**
 * socket_metrics() - GET /agent/v1/metrics, and /metrics on the TCP listener
 * @call: dead afterwards
 */
void socket_metrics(const struct socket_call *call)
{
        cleanup_buf struct buf b = BUF_INIT;

        metrics_write(call->o->ctx.metrics, &b);
        socket_reply(call, 200, "text/plain; version=0.0.4; charset=utf-8", buf_text(&b), b.len);
}

/* app/http_stats.c: counts answered requests by route, method and status, all three from closed sets. */
#include <string.h>

#include "app/http_stats.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/parse.h"

static const char *const route_texts[ROUTE_COUNT] = {
        [ROUTE_PAGE] = "/",
        [ROUTE_FORM] = "/notes",
        [ROUTE_NOTES] = "/api/v1/notes",
        [ROUTE_NOTE] = "/api/v1/notes/{id}",
        [ROUTE_HEALTHZ] = "/healthz",
        [ROUTE_READYZ] = "/readyz",
        [ROUTE_METRICS] = "/metrics",
        [ROUTE_OPENAPI] = "/openapi.json",
        [ROUTE_VERSION] = "/version",
        [ROUTE_CREDENTIALS] = "/credentials",
        [ROUTE_STYLE] = "/style.css",
        [ROUTE_SCRIPT] = "/app.js",
        [ROUTE_ICON] = "/favicon.svg",
        [ROUTE_NONE] = "none",
        [ROUTE_REFUSED] = "refused",
};

static const char *const method_texts[HTTP_METHOD_COUNT] = {"GET", "HEAD", "POST", "OPTIONS", "other"};

/* What notesd and its server can answer; the last stands for all that is not here. */
static const struct {
        int status;
        const char *text;
} codes[] = {
        {200, "200"}, {201, "201"}, {204, "204"}, {303, "303"}, {304, "304"}, {400, "400"}, {403, "403"}, {404, "404"},
        {405, "405"}, {408, "408"}, {411, "411"}, {413, "413"}, {414, "414"}, {415, "415"}, {417, "417"}, {422, "422"},
        {429, "429"}, {431, "431"}, {500, "500"}, {501, "501"}, {503, "503"}, {505, "505"}, {0, "other"},
};

struct http_stats {
        struct metric *requests;
        struct metric_series *request_series[ROUTE_COUNT][HTTP_METHOD_COUNT][array_len(codes)];
        struct metric_series *endpoint_series[ROUTE_COUNT];
        struct metric_series *duration_series[ROUTE_COUNT];
};

/**
 * http_route_text() - as it stands in metrics and logs: never what a client sent
 */
const char *http_route_text(enum http_route route)
{
        return route_texts[route];
}

/**
 * http_method_text() - likewise
 */
const char *http_method_text(enum http_method method)
{
        return method_texts[method];
}

/**
 * http_method_of() - HTTP_OTHER for what is not ours. Methods are case-sensitive (RFC 9110, 9.1)
 */
enum http_method http_method_of(const char *token)
{
        for (size_t i = 0; i < HTTP_OTHER; i++)
                if (strcmp(token, method_texts[i]) == 0)
                        return (enum http_method)i;
        return HTTP_OTHER;
}

static size_t code_index(int status)
{
        for (size_t i = 0; i < array_len(codes) - 1; i++)
                if (codes[i].status == status)
                        return i;
        return array_len(codes) - 1;
}

static struct metric_series *request_series(struct http_stats *s, enum http_route route, enum http_method method,
                                            int status)
{
        size_t code = code_index(status);
        struct metric_series **series = &s->request_series[route][method][code];

        if (!*series)
                *series = metric_series(s->requests, route_texts[route], method_texts[method], codes[code].text);
        return *series;
}

/* What alerts count begins at 0: a counter that appears with its first failure hides it from rate(). */
static void begin_failures(struct http_stats *s)
{
        static const struct {
                enum http_route route;
                enum http_method method;
        } of[] = {{ROUTE_PAGE, HTTP_GET},
                  {ROUTE_FORM, HTTP_POST},
                  {ROUTE_NOTES, HTTP_GET},
                  {ROUTE_NOTES, HTTP_POST},
                  {ROUTE_NOTE, HTTP_GET}};

        for (size_t i = 0; i < array_len(of); i++) {
                (void)request_series(s, of[i].route, of[i].method, 500);
                (void)request_series(s, of[i].route, of[i].method, 503);
        }
}

/**
 * http_stats_new() - app_requests_total, notesd_http_requests_total, notesd_http_request_duration_seconds
 */
struct http_stats *http_stats_new(struct metrics *m)
{
        static const double buckets[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                         0.25,   0.5,   1,      2.5,   5,    10,    0};
        struct http_stats *s = mem_new(sizeof(*s));
        struct metric *endpoints, *durations;

        endpoints = metrics_add(m, METRIC_COUNTER, "app_requests_total", "Requests by endpoint.", "endpoint", NULL);
        s->requests =
                metrics_add(m, METRIC_COUNTER, "notesd_http_requests_total",
                            "Requests by route, method and status code of the answer.", "route,method,code", NULL);
        durations = metrics_add(m, METRIC_HISTOGRAM, "notesd_http_request_duration_seconds",
                                "From the first byte of a request until its answer is handed over.", "route", buckets);
        for (size_t i = 0; i < ROUTE_COUNT; i++) {
                s->endpoint_series[i] = metric_series(endpoints, route_texts[i]);
                s->duration_series[i] = metric_series(durations, route_texts[i]);
        }
        begin_failures(s);
        return s;
}

/**
 * http_stats_free() - takes NULL; the families stay with their registry
 */
struct http_stats *http_stats_free(struct http_stats *s)
{
        return mem_free(s);
}

/**
 * http_stats_count() - one request was answered
 * @took_usec: from its first byte
 */
void http_stats_count(struct http_stats *s, enum http_route route, enum http_method method, int status,
                      uint64_t took_usec)
{
        metric_series_inc(request_series(s, route, method, status), 1);
        metric_series_inc(s->endpoint_series[route], 1);
        metric_series_observe(s->duration_series[route], (double)took_usec / (double)USEC_PER_SEC);
}

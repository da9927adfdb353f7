/* app/http_front.c: the HTTP server of notesd: which route gets a request, and what the server's own refusals say. */
#include <string.h>

#include "app/exchange.h"
#include "app/http_front.h"
#include "app/http_health.h"
#include "app/http_notes.h"
#include "app/http_page.h"
#include "app/tls.h"
#include "common/log.h"
#include "common/http_server.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/parse.h"

#define NOTE_PREFIX "/api/v1/notes/"

typedef void (*route_fn)(struct exchange *x);

struct route {
        const char *path;
        enum http_route route;
        route_fn get, post; /* NULL: not there. HEAD is GET without the body */
};

static const struct route routes[] = {
        {"/", ROUTE_PAGE, http_page_get, NULL},
        {"/notes", ROUTE_FORM, NULL, http_page_post},
        {"/api/v1/notes", ROUTE_NOTES, http_notes_list, http_notes_add},
        {"/healthz", ROUTE_HEALTHZ, http_health_live, NULL},
        {"/readyz", ROUTE_READYZ, http_health_ready, NULL},
        {"/metrics", ROUTE_METRICS, http_health_metrics, NULL},
        {"/openapi.json", ROUTE_OPENAPI, http_health_openapi, NULL},
        {"/version", ROUTE_VERSION, http_health_version, NULL},
        {"/credentials", ROUTE_CREDENTIALS, http_page_credentials, NULL},
        {"/style.css", ROUTE_STYLE, http_page_style, NULL},
        {"/app.js", ROUTE_SCRIPT, http_page_script, NULL},
        {"/favicon.svg", ROUTE_ICON, http_page_icon, NULL},
};

static const struct route note_route = {NOTE_PREFIX, ROUTE_NOTE, http_notes_get, NULL};
static const struct route no_route = {"", ROUTE_NONE, NULL, NULL};

struct front {
        struct services services;
        struct http_server *server;
        struct metric *conns;
};

static const struct route *find_route(const char *path)
{
        for (size_t i = 0; i < array_len(routes); i++)
                if (strcmp(routes[i].path, path) == 0)
                        return &routes[i];
        if (strncmp(path, NOTE_PREFIX, sizeof(NOTE_PREFIX) - 1) == 0)
                return &note_route;
        return &no_route;
}

static const char *allowed(const struct route *route)
{
        if (route->get && route->post)
                return "GET, HEAD, POST, OPTIONS";
        return route->get ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
}

static void on_request(struct http_request *req, void *arg)
{
        struct front *f = arg;
        const struct route *route = find_route(http_request_path(req));
        enum http_method method = http_method_of(http_request_method(req));
        struct exchange *x = exchange_new(&f->services, req, route->route, method);

        if (route == &no_route)
                exchange_problem(x, 404, NULL, "There is nothing here; /openapi.json names what there is.");
        else if (route->get && (method == HTTP_GET || method == HTTP_HEAD))
                route->get(x);
        else if (route->post && method == HTTP_POST)
                route->post(x);
        else
                exchange_not_allowed(x, allowed(route));
}

/* What tls_is_over() asks for later. The number is small enough for a pointer, and never owned. */
static int on_accept(struct http_conn *conn, void *arg)
{
        struct front *f = arg;

        if (http_conn_is_tls(conn))
                http_conn_set_data(conn, (void *)(uintptr_t)tls_generation(f->services.tls)); /* NOLINT */
        return 0;
}

static char *refusal(const struct http_conn *conn, int status, const char *detail, const char **ret_type, void *arg)
{
        struct front *f = arg;
        const struct log_field fields[] = {
                {"method", http_method_text(HTTP_OTHER), 0},
                {"route", http_route_text(ROUTE_REFUSED), 0},
                {"status", NULL, (uint64_t)status},
                {"reason", detail, 0},
                {"scheme", http_conn_is_tls(conn) ? "https" : "http", 0},
                {"client", http_conn_address(conn), 0},
        };

        http_stats_count(f->services.stats, ROUTE_REFUSED, HTTP_OTHER, status, 0);
        log_fields(f->services.access_log ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "request", fields, array_len(fields));
        *ret_type = PROBLEM_TYPE;
        return problem_text(status, NULL, detail, NULL, NULL);
}

static void collect(void *arg)
{
        struct front *f = arg;

        metric_set(f->conns, (double)http_server_conns(f->server));
}

/**
 * front_new() - the server, without a listener yet
 * @services:  copied; its members are borrowed for the front's life
 * @conns_max: connections at once; over that the longest idle one goes
 *
 * Return: new.
 */
struct front *front_new(const struct services *services, unsigned conns_max)
{
        static const struct http_handler handler = {
                .on_accept = on_accept, .on_request = on_request, .refusal = refusal};
        const struct http_limits limits = {
                .target_max = 8 << 10,
                .head_max = 16 << 10,
                .body_max = 64 << 10,
                .conns_max = conns_max,
                .evict_idle = true,
                .receive_usec = 10 * USEC_PER_SEC,
                .request_usec = 30 * USEC_PER_SEC,
                .idle_usec = 75 * USEC_PER_SEC,
                .unsent_max = 4 << 20,
                .held_max = 32 << 20,
        };
        struct front *f = mem_new(sizeof(*f));

        f->services = *services;
        f->conns = metrics_add(services->metrics, METRIC_GAUGE, "notesd_http_connections", "Open HTTP connections.", "",
                               NULL);
        f->server = http_server_new(services->loop, &limits, &handler, f);
        metrics_on_collect(services->metrics, collect, f);
        return f;
}

/**
 * front_free() - closes all connections; takes NULL. The metrics are not to be written after it
 */
struct front *front_free(struct front *f)
{
        if (!f)
                return NULL;
        http_server_free(f->server);
        return mem_free(f);
}

/**
 * front_server() - to add listeners to, and to drain
 */
struct http_server *front_server(struct front *f)
{
        return f->server;
}

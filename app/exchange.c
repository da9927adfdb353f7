/* app/exchange.c: one request of a client until its one answer, which is counted, logged and carries the common headers. */
#include <string.h>

#include "app/exchange.h"
#include "app/notes.h"
#include "app/tls.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/mem.h"

#define STATUS_GONE 499 /* in the log: the client went away before its answer; nginx has called it so first */

struct exchange {
        const struct services *services;
        struct http_request *req;
        enum http_route route;
        enum http_method method;
        struct notes_call *call;
        void *data;
        void (*free_data)(void *data);
        bool has_policy, has_caching; /* the route set its own Content-Security-Policy, Cache-Control */
};

static void discard(struct exchange *x)
{
        if (x->call)
                notes_cancel(x->call);
        if (x->free_data)
                x->free_data(x->data);
        mem_free(x);
}

/* The access log: the route and never the path or the query, which may hold what a user wrote. */
static void log_request(const struct exchange *x, int status, size_t len)
{
        const struct log_field fields[] = {
                {"method", http_method_text(x->method), 0},
                {"route", http_route_text(x->route), 0},
                {"status", NULL, (uint64_t)status},
                {"bytes", NULL, len},
                {"usec", NULL, clock_monotonic_usec() - http_request_start_usec(x->req)},
                {"scheme", exchange_is_tls(x) ? "https" : "http", 0},
                {"client", http_conn_address(http_request_conn(x->req)), 0},
        };

        log_fields(x->services->access_log ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "request", fields, array_len(fields));
}

static void on_gone(struct http_request *req, void *arg)
{
        struct exchange *x = arg;

        (void)req;
        log_request(x, STATUS_GONE, 0);
        discard(x);
}

/**
 * exchange_new() - takes charge of a request
 * @services: borrowed for the exchange's life
 * @req:      answered by exchange_reply() and its like, never beside them
 *
 * Return: new; gone with its answer, or when the peer goes away.
 */
struct exchange *exchange_new(const struct services *services, struct http_request *req, enum http_route route,
                              enum http_method method)
{
        struct exchange *x = mem_new(sizeof(*x));

        x->services = services;
        x->req = req;
        x->route = route;
        x->method = method;
        http_request_on_gone(req, on_gone, x);
        return x;
}

/**
 * exchange_request() - to read from; borrowed until the answer
 */
struct http_request *exchange_request(const struct exchange *x)
{
        return x->req;
}

/**
 * exchange_services() - what the routes work with
 */
const struct services *exchange_services(const struct exchange *x)
{
        return x->services;
}

/**
 * exchange_method() - of the request
 */
enum http_method exchange_method(const struct exchange *x)
{
        return x->method;
}

/**
 * exchange_is_tls() - did it come over TLS?
 */
bool exchange_is_tls(const struct exchange *x)
{
        return http_conn_is_tls(http_request_conn(x->req));
}

/**
 * exchange_wait() - the call that will bring the answer, within what is left of the request's time
 * @call: cancelled where the peer goes away before; NULL once it has called back
 */
void exchange_wait(struct exchange *x, struct notes_call *call)
{
        x->call = call;
        if (call)
                notes_call_began(call, clock_monotonic_usec() - http_request_start_usec(x->req));
}

/**
 * exchange_hang() - what a route must remember until its answer
 */
void exchange_hang(struct exchange *x, void *data, void (*free_data)(void *data))
{
        x->data = data;
        x->free_data = free_data;
}

/**
 * exchange_data() - what exchange_hang() was given; NULL
 */
void *exchange_data(const struct exchange *x)
{
        return x->data;
}

/**
 * exchange_header() - one more header of the answer
 */
void exchange_header(struct exchange *x, const char *name, const char *value)
{
        x->has_policy = x->has_policy || strcmp(name, "Content-Security-Policy") == 0;
        x->has_caching = x->has_caching || strcmp(name, "Cache-Control") == 0;
        http_reply_header(x->req, name, value);
}

/* Browsers keep a host's HSTS for all of its ports: on localhost it would cut off every plain http:// service of a developer. */
static bool is_localhost(const char *host)
{
        static const char name[] = "localhost";
        size_t len = host ? strcspn(host, ":") : 0, name_len = sizeof(name) - 1;

        if (len < name_len || strncmp(host + len - name_len, name, name_len) != 0)
                return false;
        return len == name_len || host[len - name_len - 1] == '.';
}

static void common_headers(struct exchange *x)
{
        http_reply_header(x->req, "X-Content-Type-Options", "nosniff");
        http_reply_header(x->req, "Referrer-Policy", "same-origin");
        if (!x->has_policy)
                http_reply_header(x->req, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
        if (!x->has_caching)
                http_reply_header(x->req, "Cache-Control", "no-store");
        if (exchange_is_tls(x) && !is_localhost(http_request_header(x->req, "Host")))
                http_reply_header(x->req, "Strict-Transport-Security", "max-age=31536000");
}

/* A connection that was accepted under a certificate that is replaced ends some time after, between two requests. */
static void end_old_connection(struct exchange *x)
{
        struct http_conn *conn = http_request_conn(x->req);

        if (http_conn_is_tls(conn) && tls_is_over(x->services->tls, (uintptr_t)http_conn_data(conn),
                                                  (unsigned)((uintptr_t)conn / sizeof(void *) / 4)))
                http_reply_close(x->req);
}

/**
 * exchange_reply() - the answer
 * @type: NULL where there is no body
 * @body: copied
 *
 * x is gone afterwards.
 */
void exchange_reply(struct exchange *x, int status, const char *type, const void *body, size_t len)
{
        uint64_t took_usec = clock_monotonic_usec() - http_request_start_usec(x->req);

        common_headers(x);
        end_old_connection(x);
        http_stats_count(x->services->stats, x->route, x->method, status, took_usec);
        log_request(x, status, len);
        http_reply(x->req, status, type, body, len);
        discard(x);
}

static bool is_same_etag(const struct exchange *x, const char *etag)
{
        const char *given = http_request_header(x->req, "If-None-Match");

        return given && (strcmp(given, "*") == 0 || strstr(given, etag));
}

/**
 * exchange_reply_cached() - something that a client may keep and ask about again
 * @caching: of Cache-Control
 * @etag:    with its quotes; If-None-Match is honoured (RFC 9110, 13.1.2)
 */
void exchange_reply_cached(struct exchange *x, const char *caching, const char *type, const char *body, size_t len,
                           const char *etag)
{
        exchange_header(x, "Cache-Control", caching);
        exchange_header(x, "ETag", etag);
        if (is_same_etag(x, etag))
                exchange_reply(x, 304, NULL, NULL, 0);
        else
                exchange_reply(x, 200, type, body, len);
}

/**
 * exchange_not_allowed() - a method that the route does not have, or OPTIONS, which asks for those that it has
 */
void exchange_not_allowed(struct exchange *x, const char *allow)
{
        exchange_header(x, "Allow", allow);
        if (x->method == HTTP_OPTIONS) {
                exchange_reply(x, 204, NULL, NULL, 0);
                return;
        }
        exchange_problem(x, 405, NULL, "This resource has other methods; the Allow header names them.");
}

/**
 * problem_text() - the body of an error (RFC 9457)
 * @type:          URN; NULL: about:blank, and the title is the status's own
 * @detail:        for people
 * @member, @value: one more string member; NULL where there is none
 *
 * Return: new.
 */
char *problem_text(int status, const char *type, const char *detail, const char *member, const char *value)
{
        struct buf out = BUF_INIT;
        const char *title = http_status_text(status);

        buf_str(&out, "{\"type\":");
        buf_json_str(&out, type ? type : "about:blank", strlen(type ? type : "about:blank"));
        buf_str(&out, ",\"title\":");
        buf_json_str(&out, title, strlen(title));
        buf_printf(&out, ",\"status\":%d,\"detail\":", status);
        buf_json_str(&out, detail, strlen(detail));
        if (member) {
                buf_char(&out, ',');
                buf_json_str(&out, member, strlen(member));
                buf_char(&out, ':');
                buf_json_str(&out, value, strlen(value));
        }
        buf_str(&out, "}\n");
        return buf_take(&out);
}

/**
 * exchange_problem_with() - an error with one more member
 */
void exchange_problem_with(struct exchange *x, int status, const char *type, const char *detail, const char *member,
                           const char *value)
{
        cleanup_free char *text = problem_text(status, type, detail, member, value);

        if (status == 503 || status == 429)
                exchange_header(x, "Retry-After", "1");
        exchange_reply(x, status, PROBLEM_TYPE, text, strlen(text));
}

/**
 * exchange_problem() - an error
 */
void exchange_problem(struct exchange *x, int status, const char *type, const char *detail)
{
        exchange_problem_with(x, status, type, detail, NULL, NULL);
}

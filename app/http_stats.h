/* app/http_stats.h: counts answered requests by route, method and status, all three from closed sets. */
#ifndef APP_HTTP_STATS_H
#define APP_HTTP_STATS_H

#include <stdint.h>

struct http_stats;
struct metrics;

enum http_route {
        ROUTE_PAGE,
        ROUTE_FORM,
        ROUTE_NOTES,
        ROUTE_NOTE,
        ROUTE_HEALTHZ,
        ROUTE_READYZ,
        ROUTE_METRICS,
        ROUTE_OPENAPI,
        ROUTE_VERSION,
        ROUTE_CREDENTIALS,
        ROUTE_STYLE,
        ROUTE_SCRIPT,
        ROUTE_ICON,
        ROUTE_NONE,    /* 404 */
        ROUTE_REFUSED, /* the server itself refused: there was no whole request */
        ROUTE_COUNT,
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OPTIONS, HTTP_OTHER, HTTP_METHOD_COUNT };

const char *http_route_text(enum http_route route); /* the route's template: "/api/v1/notes/{id}" */
const char *http_method_text(enum http_method method);
enum http_method http_method_of(const char *token);

struct http_stats *http_stats_new(struct metrics *m);
struct http_stats *http_stats_free(struct http_stats *s);
void http_stats_count(struct http_stats *s, enum http_route route, enum http_method method, int status,
                      uint64_t took_usec);

#endif

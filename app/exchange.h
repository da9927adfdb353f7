/* app/exchange.h: one request of a client until its one answer, which is counted, logged and carries the common headers. */
#ifndef APP_EXCHANGE_H
#define APP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/http_stats.h"

struct csrf;
struct exchange;
struct http_request;
struct http_stats;
struct loop;
struct metrics;
struct notes;
struct notes_call;
struct rotation;
struct tls;

struct services { /* what the routes work with; all borrowed */
        struct loop *loop;
        struct notes *notes;
        struct rotation *rotation;
        struct metrics *metrics;
        struct csrf *csrf;
        struct http_stats *stats;
        struct tls *tls;
        bool access_log;        /* one line a request at level info; else at level debug */
        const char *db_latency; /* --db-latency as it was given; NULL: off */
};

struct exchange *exchange_new(const struct services *services, struct http_request *req, enum http_route route,
                              enum http_method method);
/* Where the peer goes away before the answer, the call that waits is cancelled and what was hung on it is freed. */

struct http_request *exchange_request(const struct exchange *x);
const struct services *exchange_services(const struct exchange *x);
enum http_method exchange_method(const struct exchange *x);
bool exchange_is_tls(const struct exchange *x);
void exchange_wait(struct exchange *x, struct notes_call *call); /* NULL: it has called back */
void exchange_hang(struct exchange *x, void *data,
                   void (*free_data)(void *data)); /* freed with the exchange; replaces nothing */
void *exchange_data(const struct exchange *x);

/* The answer; x is gone afterwards. */
void exchange_header(struct exchange *x, const char *name, const char *value); /* before it */
void exchange_reply(struct exchange *x, int status, const char *type, const void *body, size_t len);
/* 200, or 304 where the client has it already; caching: of Cache-Control, e.g. "no-cache". */
void exchange_reply_cached(struct exchange *x, const char *caching, const char *type, const char *body, size_t len,
                           const char *etag);
void exchange_not_allowed(struct exchange *x, const char *allow); /* OPTIONS: 204, others 405; both with Allow */
void exchange_problem(struct exchange *x, int status, const char *type, const char *detail);
void exchange_problem_with(struct exchange *x, int status, const char *type, const char *detail, const char *member,
                           const char *value);

/* problem+json (RFC 9457); type NULL: about:blank. new */
char *problem_text(int status, const char *type, const char *detail, const char *member, const char *value);
#define PROBLEM_TYPE "application/problem+json"

#endif

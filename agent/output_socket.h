/* agent/output_socket.h: what the output_socket*.c, output_watch.c, output_vault.c and output_metrics.c files share; nobody else includes it. */
#ifndef AGENT_OUTPUT_SOCKET_H
#define AGENT_OUTPUT_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/output.h"
#include "agent/store.h"
#include "common/json.h"

struct buf;
struct http_conn;
struct http_request;
struct http_server;
struct output_metrics;
struct output_watch;
struct peer;
struct secret;
struct socket_peers;

#define SOCKET_RETRY_AFTER_S 1 /* said with 503 while a secret has nothing valid: clients had better watch */

enum socket_endpoint { /* the label of leasekeeper_socket_requests_total */
                       ENDPOINT_SECRET,
                       ENDPOINT_SECRETS,
                       ENDPOINT_WATCH,
                       ENDPOINT_ACK,
                       ENDPOINT_REJECT,
                       ENDPOINT_HEALTH,
                       ENDPOINT_METRICS,
                       ENDPOINT_STATUS,
                       ENDPOINT_ROTATE,
                       ENDPOINT_RELOAD,
                       ENDPOINT_VAULT,
                       ENDPOINT_NONE, /* no such path, or refused before it was known */
                       ENDPOINTS
};

struct output_socket {
        struct output_context ctx;               /* ctx.config changes with a reload */
        struct http_server *server, *metrics_server; /* NULL where no listener wants them */
        struct socket_peers *peers;
        struct output_watch *watch;
        struct output_metrics *metrics;
        char **paths; /* of the sockets, to be unlinked */
        size_t paths_len;
};

/* One request under way: small, copied where an answer comes later. */
struct socket_call {
        struct output_socket *o;
        struct http_request *req;
        enum socket_endpoint endpoint;
        const char *name; /* the variable segment of the path, decoded, or all of it behind "/v1/"; borrowed; NULL */
};

/* --- output_socket_reply.c: each answers the call, counts it, and ends it --- */
void socket_reply(const struct socket_call *call, int status, const char *type, const char *body, size_t len);
void socket_reply_empty(const struct socket_call *call, int status);
void socket_reply_json(const struct socket_call *call, int status,
                       json_t *body); /* steals body; nothing secret in it */
void socket_reply_secret(const struct socket_call *call, const struct secret *body);
void socket_reply_error(const struct socket_call *call, int status, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
void socket_reply_denied(const struct socket_call *call, const char *name); /* 403: unknown and forbidden look alike */
void socket_reply_nothing(const struct socket_call *call, const struct store_secret *s); /* 503: no valid version */
char *socket_error_body(const char *text);                                               /* new: {"errors":["TEXT"]} */
struct secret *socket_version_text(const struct store_secret *s, const struct store_version *v); /* new */
void socket_time_json(uint64_t wall_usec, char *text, size_t cap); /* "\"2026-...Z\"" or "null" */

/* --- output_socket_peers.c: how many connections each may have --- */
struct socket_peers *socket_peers_new(void);
struct socket_peers *socket_peers_free(struct socket_peers *p);
int socket_peers_admit(struct socket_peers *p, struct http_conn *conn,
                       const struct config *config); /* 0 or an HTTP status */
void socket_peers_leave(struct socket_peers *p, struct http_conn *conn);

/* --- output_socket_secrets.c: list, read, acknowledge, reject --- */
void socket_secrets(const struct socket_call *call);
void socket_secret(const struct socket_call *call);
void socket_ack(const struct socket_call *call);
void socket_reject(const struct socket_call *call);
struct store_secret *socket_readable(const struct socket_call *call, const char *name); /* NULL: unknown or forbidden */
int socket_consumer(const struct socket_call *call, char **ret_consumer); /* new or NULL; -EINVAL: answered with 400 */
void socket_give(const struct socket_call *call, struct store_secret *s, const char *consumer); /* answers */
void socket_not_modified(const struct socket_call *call, const struct store_version *v);

/* --- output_socket_control.c: what the agent knows and does --- */
void socket_health(const struct socket_call *call);
void socket_status(const struct socket_call *call);
void socket_rotate(const struct socket_call *call);
void socket_reload(const struct socket_call *call);

/* --- output_watch.c: streams and long polls --- */
struct output_watch *output_watch_new(const struct output_context *ctx);
struct output_watch *output_watch_free(struct output_watch *w); /* after the server: nothing waits any more */
void output_watch_stream(struct output_watch *w, const struct socket_call *call);
void output_watch_wait(struct output_watch *w, const struct socket_call *call, struct store_secret *s, uint64_t after,
                       uint64_t wait_usec, const char *consumer);
void output_watch_on_change(struct output_watch *w, struct store_secret *s, enum store_change change);

/* --- output_vault.c: /v1/ --- */
void socket_vault(const struct socket_call *call);

/* --- output_metrics.c: counters, gauges and the page --- */
struct output_metrics *output_metrics_new(const struct output_context *ctx);
struct output_metrics *output_metrics_free(struct output_metrics *m);
void output_metrics_count(struct output_metrics *m, enum socket_endpoint endpoint, int status);
void socket_metrics(const struct socket_call *call);

#endif

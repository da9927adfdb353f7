/* agent/output_socket.c: listeners, limits and routes of the socket and of the metrics port. */
#include "agent/output_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/config.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/sdnotify.h"
#include "common/unixsock.h"

#define BACKLOG 256

/* request_usec stands above the longest long poll. */
static const struct http_limits unix_limits = {
        .target_max = 8192,
        .head_max = 8192,
        .body_max = 8192,
        .conns_max = 256,
        .receive_usec = 10 * USEC_PER_SEC,
        .request_usec = 75 * USEC_PER_SEC,
        .idle_usec = 60 * USEC_PER_SEC,
        .unsent_max = 256 * 1024,
};

static const struct http_limits metrics_limits = {
        .target_max = 1024,
        .head_max = 8192,
        .body_max = 1024,
        .conns_max = 32,
        .evict_idle = true,
        .receive_usec = 10 * USEC_PER_SEC,
        .request_usec = 30 * USEC_PER_SEC,
        .idle_usec = 60 * USEC_PER_SEC,
        .unsent_max = 256 * 1024,
};

struct route {
        const char *path; /* "*" stands for one segment */
        enum socket_endpoint endpoint;
        const char *methods; /* as the Allow field has them */
        void (*answer)(const struct socket_call *call);
};

static void answer_watch(const struct socket_call *call)
{
        output_watch_stream(call->o->watch, call);
}

static const struct route unix_routes[] = {
        {"/agent/v1/secrets/*", ENDPOINT_SECRET, "GET", socket_secret},
        {"/agent/v1/secrets/*/ack", ENDPOINT_ACK, "POST", socket_ack},
        {"/agent/v1/secrets/*/reject", ENDPOINT_REJECT, "POST", socket_reject},
        {"/agent/v1/secrets", ENDPOINT_SECRETS, "GET", socket_secrets},
        {"/agent/v1/watch", ENDPOINT_WATCH, "GET", answer_watch},
        {"/agent/v1/health", ENDPOINT_HEALTH, "GET, HEAD", socket_health},
        {"/agent/v1/metrics", ENDPOINT_METRICS, "GET, HEAD", socket_metrics},
        {"/agent/v1/status", ENDPOINT_STATUS, "GET", socket_status},
        {"/agent/v1/rotate", ENDPOINT_ROTATE, "POST", socket_rotate},
        {"/agent/v1/rotate/*", ENDPOINT_ROTATE, "POST", socket_rotate},
        {"/agent/v1/reload", ENDPOINT_RELOAD, "POST", socket_reload},
};

static const struct route metrics_routes[] = {
        {"/metrics", ENDPOINT_METRICS, "GET, HEAD", socket_metrics},
        {"/agent/v1/metrics", ENDPOINT_METRICS, "GET, HEAD", socket_metrics},
        {"/agent/v1/health", ENDPOINT_HEALTH, "GET, HEAD", socket_health},
};

/* Return: does the path fit? Then ret_segment is what stands for "*". */
static bool fits(const char *pattern, const char *path, const char **ret_segment, size_t *ret_len)
{
        const char *star = strchr(pattern, '*');
        size_t before = star ? (size_t)(star - pattern) : strlen(pattern), len;

        if (strncmp(pattern, path, before) != 0)
                return false;
        if (!star)
                return path[before] == '\0';
        len = strcspn(path + before, "/");
        if (len == 0 || strcmp(path + before + len, star + 1) != 0)
                return false;
        *ret_segment = path + before;
        *ret_len = len;
        return true;
}

/* Return: new: decoded, or as it was sent where that gives no text: no secret has such a name, and the answer says so. */
static char *decode(const char *text, size_t len)
{
        char *decoded;
        size_t decoded_len;

        if (parse_percent(text, len, false, &decoded, &decoded_len) < 0)
                return mem_strndup(text, len);
        if (strlen(decoded) == decoded_len && parse_is_utf8(decoded, decoded_len))
                return decoded;
        mem_free(decoded);
        return mem_strndup(text, len);
}

static bool allows(const char *methods, const char *method)
{
        const char *at = strstr(methods, method);
        size_t len = strlen(method);

        return at && len > 0 && (at == methods || at[-1] == ' ') && (at[len] == '\0' || at[len] == ',');
}

static void dispatch(struct socket_call *call, const struct route *routes, size_t routes_len)
{
        const char *path = http_request_path(call->req), *segment = NULL;
        const struct route *route = NULL;
        cleanup_free char *name = NULL;
        size_t len = 0;

        for (size_t i = 0; i < routes_len && !route; i++) {
                if (fits(routes[i].path, path, &segment, &len))
                        route = &routes[i];
        }
        if (!route) {
                socket_reply_error(call, 404, "no such path: %s", path);
                return;
        }
        call->endpoint = route->endpoint;
        if (!allows(route->methods, http_request_method(call->req))) {
                http_reply_header(call->req, "Allow", route->methods);
                socket_reply_error(call, 405, "%s takes %s", path, route->methods);
                return;
        }
        if (segment)
                call->name = name = decode(segment, len);
        route->answer(call);
}

static void on_unix_request(struct http_request *req, void *arg)
{
        struct socket_call call = {.o = arg, .req = req, .endpoint = ENDPOINT_NONE};
        const char *path = http_request_path(req);

        if (strncmp(path, "/v1/", 4) == 0) {
                cleanup_free char *name = decode(path + 4, strlen(path + 4));

                call.endpoint = ENDPOINT_VAULT;
                call.name = name;
                socket_vault(&call);
                return;
        }
        dispatch(&call, unix_routes, array_len(unix_routes));
}

static void on_metrics_request(struct http_request *req, void *arg)
{
        struct socket_call call = {.o = arg, .req = req, .endpoint = ENDPOINT_NONE};

        dispatch(&call, metrics_routes, array_len(metrics_routes));
}

static int on_unix_accept(struct http_conn *conn, void *arg)
{
        struct output_socket *o = arg;
        int status = socket_peers_admit(o->peers, conn, o->ctx.config);

        if (status)
                output_metrics_count(o->metrics, ENDPOINT_NONE, status);
        return status;
}

static void on_unix_close(struct http_conn *conn, void *arg)
{
        struct output_socket *o = arg;

        socket_peers_leave(o->peers, conn);
}

static char *refusal(const struct http_conn *conn, int status, const char *detail, const char **ret_type, void *arg)
{
        struct output_socket *o = arg;

        (void)conn;
        output_metrics_count(o->metrics, ENDPOINT_NONE, status);
        *ret_type = "application/json";
        return socket_error_body(detail);
}

static const struct http_handler unix_handler = {
        .on_accept = on_unix_accept,
        .on_request = on_unix_request,
        .refusal = refusal,
        .on_close = on_unix_close,
};

static const struct http_handler metrics_handler = {
        .on_request = on_metrics_request,
        .refusal = refusal,
};

static void on_change(struct store_secret *s, enum store_change change, void *arg)
{
        struct output_socket *o = arg;

        output_watch_on_change(o->watch, s, change);
}

/* --- life --- */

/* Where a .socket unit made the socket, its owner and mode are the unit's, and so is its path: it outlives us. */
static int take_over_unix(const struct config_listener *l, int *ret_fd)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        struct stat st;
        int err;

        if (strlen(l->address) >= sizeof(addr.sun_path))
                return -ENOENT;
        strcpy(addr.sun_path, l->address);
        err = sdnotify_listen_socket((const struct sockaddr *)&addr, sizeof(addr), ret_fd);
        if (err < 0)
                return err;
        if (stat(l->address, &st) == 0 && (st.st_mode & 07777) != l->socket_mode)
                log_warn("%s: the socket has mode %04o, as the service manager made it, not %04o: SocketMode= in its "
                         ".socket unit counts",
                         l->where, (unsigned)(st.st_mode & 07777), (unsigned)l->socket_mode);
        log_info("listening on %s, which the service manager handed over", l->address);
        return 0;
}

/* The role says what is answered, not where the listener stands. */
static void serve(struct output_socket *o, const struct config_listener *l, int fd)
{
        struct http_server **server = l->metrics_only ? &o->metrics_server : &o->server;

        if (!*server && l->metrics_only)
                *server = http_server_new(o->ctx.loop, &metrics_limits, &metrics_handler, o);
        else if (!*server)
                *server = http_server_new(o->ctx.loop, &unix_limits, &unix_handler, o);
        http_server_add_listener(*server, fd, l->is_unix);
}

static int listen_unix(struct output_socket *o, const struct config_listener *l)
{
        int fd, err;

        err = take_over_unix(l, &fd);
        if (err == 0)
                serve(o, l, fd);
        if (err != -ENOENT)
                return err;
        err = unixsock_listen(l->address, l->socket_mode, l->socket_gid, BACKLOG, &fd);
        if (err < 0) {
                log_error("%s: cannot listen on %s: %s%s", l->where, l->address, strerror(-err),
                          err == -EADDRINUSE ? "; another agent runs there" : "");
                return err;
        }
        o->paths = mem_resize(o->paths, o->paths_len + 1, sizeof(char *));
        o->paths[o->paths_len++] = mem_strdup(l->address);
        /* A moment later than the rest, and harmless: until then the socket is the agent's own user's. */
        if (l->socket_uid != (uid_t)-1 && lchown(l->address, l->socket_uid, (gid_t)-1) < 0) {
                err = -errno;
                log_error("%s: cannot give %s to its user: %s", l->where, l->address, strerror(-err));
                close(fd);
                return err;
        }
        serve(o, l, fd);
        log_info("%s on %s", l->metrics_only ? "metrics and health" : "listening", l->address);
        return 0;
}

static int listen_tcp(struct output_socket *o, const struct config_listener *l)
{
        cleanup_free char *error = NULL;
        int fd, err;

        err = http_listen_tcp(l->address, BACKLOG, &fd, &error);
        if (err < 0) {
                log_error("%s: %s", l->where, error);
                return err;
        }
        serve(o, l, fd);
        log_info("metrics and health on http://%s", l->address);
        return 0;
}

static void socket_stop(void *self)
{
        struct output_socket *o = self;

        store_unsubscribe(o->ctx.store, on_change, o);
        http_server_free(o->server);
        http_server_free(o->metrics_server);
        for (size_t i = 0; i < o->paths_len; i++) {
                unlink(o->paths[i]);
                mem_free(o->paths[i]);
        }
        mem_free(o->paths);
        output_watch_free(o->watch);
        output_metrics_free(o->metrics);
        socket_peers_free(o->peers);
        mem_free(o);
}

static int socket_start(const struct output_context *ctx, void **ret_self)
{
        struct output_socket *o = mem_new(sizeof(*o));
        int err = 0;

        o->ctx = *ctx;
        o->peers = socket_peers_new();
        o->watch = output_watch_new(ctx);
        o->metrics = output_metrics_new(ctx);
        store_subscribe(ctx->store, on_change, o);
        for (size_t i = 0; i < ctx->config->listeners_len && err == 0; i++) {
                const struct config_listener *l = &ctx->config->listeners[i];

                err = l->is_unix ? listen_unix(o, l) : listen_tcp(o, l);
        }
        if (err < 0) {
                socket_stop(o);
                return err;
        }
        *ret_self = o;
        return 0;
}

/* The rights of streams that are open were looked at with STORE_RIGHTS; here only who is an operator changes. */
static void socket_reconfigure(void *self, const struct config *config)
{
        struct output_socket *o = self;

        o->ctx.config = config;
}

const struct output_kind output_socket = {
        .name = "socket",
        .start = socket_start,
        .reconfigure = socket_reconfigure,
        .stop = socket_stop,
};

/* agent/output_vault.c: GET /v1/PATH in Vault's own shape, so that an unmodified client reads through the socket. */
#include "agent/output_socket.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "agent/config.h"
#include "agent/policy.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"
#include "common/unixsock.h"

#define UUID_LEN    37
#define MOUNTS_PATH "sys/internal/ui/mounts/"

/* What each answer of Vault carries; clients put it in their logs to find it in the audit log again. */
static void make_request_id(char id[UUID_LEN])
{
        unsigned char b[16] = {0};

        (void)!getrandom(b, sizeof(b), GRND_NONBLOCK); /* an identifier: all zero is no danger */
        b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
        b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
        snprintf(id, UUID_LEN, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
                 b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static uint64_t seconds_left(const struct store_version *v)
{
        uint64_t now = clock_boottime_usec();

        if (!v->lease_id || v->end_boot_usec == USEC_NEVER || v->end_boot_usec <= now)
                return 0;
        return (v->end_boot_usec - now) / USEC_PER_SEC;
}

static void begin(struct buf *b, const char *lease_id, uint64_t lease_duration)
{
        char id[UUID_LEN];

        make_request_id(id);
        buf_printf(b, "{\"request_id\":\"%s\",\"lease_id\":", id);
        buf_json_str(b, lease_id, strlen(lease_id));
        buf_printf(b, ",\"renewable\":false,\"lease_duration\":%" PRIu64 ",\"data\":", lease_duration);
}

#define END ",\"wrap_info\":null,\"warnings\":null,\"auth\":null}"

static void reply_secret(const struct socket_call *call, struct store_secret *s)
{
        const struct peer *peer = http_conn_peer(http_request_conn(call->req));
        const struct store_version *v = store_current(s);
        cleanup_buf struct buf head = BUF_INIT;
        cleanup_secret struct secret *body = NULL;
        const struct secret *data;

        if (!v) {
                socket_reply_nothing(call, s);
                return;
        }
        (void)store_give(call->o->ctx.store, s, peer->uid, NULL);
        data = v->envelope ? v->envelope : v->data;
        begin(&head, v->lease_id ? v->lease_id : "", seconds_left(v));
        body = secret_new(head.len + secret_len(data) + sizeof(END));
        (void)secret_append(body, head.data, head.len);
        (void)secret_append(body, secret_bytes(data), secret_len(data));
        (void)secret_append_str(body, END);
        socket_reply_secret(call, body);
}

/* --- what clients ask on the way --- */

static void reply_data(const struct socket_call *call, const char *data)
{
        cleanup_buf struct buf b = BUF_INIT;

        begin(&b, "", 0);
        buf_str(&b, data);
        buf_str(&b, END);
        socket_reply(call, 200, "application/json", b.data, b.len);
}

static void reply_health(const struct socket_call *call)
{
        cleanup_free char *body =
                mem_printf("{\"initialized\":true,\"sealed\":false,\"standby\":false,\"performance_standby\":false,"
                           "\"server_time_utc\":%" PRIu64 ",\"version\":\"leasekeeper %s\"}",
                           clock_realtime_usec() / USEC_PER_SEC, LEASEKEEPER_VERSION);

        socket_reply(call, 200, "application/json", body, strlen(body));
}

static void reply_self(const struct socket_call *call)
{
        reply_data(call, "{\"creation_time\":0,\"creation_ttl\":0,\"display_name\":\"leasekeeper\",\"entity_id\":\"\","
                         "\"expire_time\":null,\"explicit_max_ttl\":0,\"issue_time\":null,\"meta\":null,\"num_uses\":0,"
                         "\"orphan\":true,\"path\":\"leasekeeper\",\"policies\":[],\"renewable\":false,\"ttl\":0,"
                         "\"type\":\"service\"}");
}

struct mount {
        size_t len; /* of its path, as a part of the secret's */
        const char *type;
        const char *options; /* JSON */
};

/*
 * Where the engine is mounted that a secret comes from, and what it is, as far as its path and its content tell. Nobody says
 * how long a mount's path is where the engine has no word of its own in it: the first segment is the best guess.
 */
static struct mount mount_of(const struct store_secret *s)
{
        static const struct {
                const char *word, *type, *options;
        } engines[] = {
                {"/creds/", "database", "null"},
                {"/static-creds/", "database", "null"},
                {"/data/", "kv", "{\"version\":\"2\"}"},
        };
        const char *path = store_config(s)->path, *slash = strchr(path, '/');
        const struct store_version *v = store_current(s);

        for (size_t i = 0; i < array_len(engines); i++) {
                const char *at = strstr(path, engines[i].word);

                if (at && (strcmp(engines[i].type, "kv") != 0 || !v || v->envelope))
                        return (struct mount){(size_t)(at - path), engines[i].type, engines[i].options};
        }
        return (struct mount){slash ? (size_t)(slash - path) : strlen(path), "kv", "{\"version\":\"1\"}"};
}

static bool lies_under(const char *path, const char *secret_path, size_t mount_len)
{
        return strncmp(path, secret_path, mount_len) == 0 && (path[mount_len] == '/' || path[mount_len] == '\0');
}

static void reply_one_mount(const struct socket_call *call, const struct store_secret *s, struct mount m)
{
        cleanup_buf struct buf b = BUF_INIT;
        const char *path = store_config(s)->path;

        buf_str(&b, "{\"description\":\"\",\"local\":false,\"options\":");
        buf_str(&b, m.options);
        buf_str(&b, ",\"path\":");
        /* with its slash, as Vault says it */
        buf_json_str(&b, path, path[m.len] == '/' ? m.len + 1 : m.len);
        buf_printf(&b, ",\"type\":\"%s\"}", m.type);
        reply_data(call, b.data);
}

static void reply_mount(const struct socket_call *call, const char *path)
{
        const struct store *store = call->o->ctx.store;
        struct policy_view view = {.peer = http_conn_peer(http_request_conn(call->req))};
        struct store_secret *s;
        struct mount m = {0};

        for (s = store_next(store, NULL); s; s = store_next(store, s)) {
                if (store_config(s)->is_certificate)
                        continue;
                m = mount_of(s);
                if (lies_under(path, store_config(s)->path, m.len) && policy_view_may_read(&view, store_config(s)))
                        break;
        }
        policy_view_done(&view);
        if (s)
                reply_one_mount(call, s, m);
        else
                socket_reply_denied(call, call->name);
}

/* Certificates are written for, not read, in Vault: no client would GET one. */
static struct store_secret *find_readable(const struct socket_call *call)
{
        const struct store *store = call->o->ctx.store;
        const struct peer *peer = http_conn_peer(http_request_conn(call->req));
        struct store_secret *first = NULL;

        for (struct store_secret *s = store_next_at(store, call->name, NULL); s;
             s = store_next_at(store, call->name, s)) {
                if (store_config(s)->is_certificate || !policy_may_read(store_config(s), peer))
                        continue;
                if (store_current(s))
                        return s;
                if (!first)
                        first = s;
        }
        return first;
}

/* Only the version that the agent keeps can be read, and nothing be listed; who wants else gets no wrong answer. */
static bool wants_else(const struct socket_call *call)
{
        cleanup_free char *version = http_request_param(call->req, "version", 0);
        cleanup_free char *list = http_request_param(call->req, "list", 0);

        return (version && *version && strcmp(version, "0") != 0) || (list && strcmp(list, "true") == 0);
}

/**
 * socket_vault() - GET /v1/PATH: a configured, allowed secret, or what clients ask on the way to it; all else is 403
 * @call: dead afterwards; its name is PATH
 *
 * Shapes: Vault API, "/secret/kv/kv-v2", "/secret/databases", "/system/health", "/auth/token#lookup-a-token-self".
 */
void socket_vault(const struct socket_call *call)
{
        const char *method = http_request_method(call->req);
        struct store_secret *s;

        if (strcmp(call->name, "sys/health") == 0 && (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)) {
                reply_health(call);
                return;
        }
        if (strcmp(method, "GET") != 0) {
                socket_reply_denied(call, call->name);
                return;
        }
        if (strcmp(call->name, "auth/token/lookup-self") == 0) {
                reply_self(call);
                return;
        }
        if (strncmp(call->name, MOUNTS_PATH, strlen(MOUNTS_PATH)) == 0) {
                reply_mount(call, call->name + strlen(MOUNTS_PATH));
                return;
        }
        s = find_readable(call);
        if (!s || wants_else(call))
                socket_reply_denied(call, call->name);
        else
                reply_secret(call, s);
}

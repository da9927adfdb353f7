/* agent/config_listener.c: listener blocks, as Vault Agent writes them: where the agent is reached. */
#include "agent/config_read.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include "common/mem.h"
#include "common/parse.h"

struct listener_reading {
        struct config_listener l;
        char *type, *role;
        const struct hcl_node *wants_tls; /* tls_disable = false; NULL: no */
};

static void read_socket_user(struct config_reader *r, const struct hcl_node *value, void *field)
{
        struct config_listener *l = field;

        config_read_user(r, value, &l->socket_uid);
        if (value->text && *value->text)
                l->socket_user = mem_strdup(value->text);
}

static void read_socket_group(struct config_reader *r, const struct hcl_node *value, void *field)
{
        struct config_listener *l = field;

        config_read_group(r, value, &l->socket_gid);
        if (value->text && *value->text)
                l->socket_group = mem_strdup(value->text);
}

static void read_tls_disable(struct config_reader *r, const struct hcl_node *value, void *field)
{
        bool disable = true;

        config_read_bool(r, value, &disable);
        if (!disable)
                *(const struct hcl_node **)field = value;
}

#define AT(field) offsetof(struct listener_reading, field)
#define NO_TLS    CONFIG_KEY_IGNORED, NULL, 0, "listeners speak no TLS here: the socket is local, metrics are plain HTTP"
#define BOUNDED   CONFIG_KEY_IGNORED, NULL, 0, "the limits are fixed, docs/PROTOCOL.md names them; remove it"
#define BY_KERNEL CONFIG_KEY_IGNORED, NULL, 0, "the kernel says who the peer is; remove it"
#define NO_API    CONFIG_KEY_IGNORED, NULL, 0, "the agent has its own API, docs/PROTOCOL.md; remove it"
static const struct config_key listener_keys[] = {
        {"type", CONFIG_KEY_BUILT, config_read_string, AT(type), NULL},
        {"address", CONFIG_KEY_BUILT, config_read_string, AT(l.address), NULL},
        {"role", CONFIG_KEY_BUILT, config_read_string, AT(role), NULL},
        {"socket_mode", CONFIG_KEY_BUILT, config_read_mode, AT(l.socket_mode), NULL},
        {"socket_user", CONFIG_KEY_BUILT, read_socket_user, AT(l), NULL},
        {"socket_group", CONFIG_KEY_BUILT, read_socket_group, AT(l), NULL},
        {"tls_disable", CONFIG_KEY_BUILT, read_tls_disable, AT(wants_tls), NULL},
        {"tls_cert_file", NO_TLS},
        {"tls_key_file", NO_TLS},
        {"tls_client_ca_file", NO_TLS},
        {"tls_min_version", NO_TLS},
        {"tls_max_version", NO_TLS},
        {"tls_cipher_suites", NO_TLS},
        {"tls_prefer_server_cipher_suites", NO_TLS},
        {"tls_require_and_verify_client_cert", NO_TLS},
        {"tls_disable_client_certs", NO_TLS},
        {"tls_acme_cache_path", NO_TLS},
        {"tls_acme_ca_directory", NO_TLS},
        {"tls_acme_test_ca_directory", NO_TLS},
        {"tls_acme_ca_root", NO_TLS},
        {"tls_acme_eab_key_id", NO_TLS},
        {"tls_acme_eab_mac_key", NO_TLS},
        {"tls_acme_key_type", NO_TLS},
        {"tls_acme_email", NO_TLS},
        {"tls_acme_domains", NO_TLS},
        {"tls_acme_disable_http_challenge", NO_TLS},
        {"tls_acme_disable_alpn_challenge", NO_TLS},
        {"http_read_header_timeout", BOUNDED},
        {"http_read_timeout", BOUNDED},
        {"http_write_timeout", BOUNDED},
        {"http_idle_timeout", BOUNDED},
        {"max_request_size", BOUNDED},
        {"max_request_duration", BOUNDED},
        {"max_request_json_memory", BOUNDED},
        {"max_request_json_strings", BOUNDED},
        {"max_json_depth", BOUNDED},
        {"max_json_string_value_length", BOUNDED},
        {"max_json_object_entry_count", BOUNDED},
        {"max_json_array_element_count", BOUNDED},
        {"max_json_token", BOUNDED},
        {"max_token_header_size", BOUNDED},
        {"disable_request_limiter", BOUNDED},
        {"agent_api", NO_API},
        {"proxy_api", NO_API},
        {"profiling", NO_API},
        {"telemetry", NO_API},
        {"cluster_address", NO_API},
        {"purpose", NO_API},
        {"inflight_requests_logging", NO_API},
        {"custom_response_headers", NO_API},
        {"cors_enabled", NO_API},
        {"cors_allowed_origins", NO_API},
        {"cors_allowed_headers", NO_API},
        {"chroot_namespace", NO_API},
        {"redact_addresses", NO_API},
        {"redact_cluster_name", NO_API},
        {"redact_version", NO_API},
        {"disable_replication_status_endpoints", NO_API},
        {"disable_unauthed_rekey_endpoints", NO_API},
        {"require_request_header", BY_KERNEL},
        {"proxy_protocol_behavior", BY_KERNEL},
        {"proxy_protocol_authorized_addrs", BY_KERNEL},
        {"x_forwarded_for_authorized_addrs", BY_KERNEL},
        {"x_forwarded_for_hop_skips", BY_KERNEL},
        {"x_forwarded_for_reject_not_present", BY_KERNEL},
        {"x_forwarded_for_reject_not_authorized", BY_KERNEL},
        {"x_forwarded_for_client_cert_header", BY_KERNEL},
        {"x_forwarded_for_client_cert_header_decoders", BY_KERNEL},
};
static const struct config_schema listener_schema = {listener_keys, array_len(listener_keys)};

static void check_unix(struct config_reader *r, const struct hcl_node *body, const struct config_listener *l)
{
        if (!config_check_path(r, l->where, "the socket", l->address))
                return;
        if (strlen(l->address) >= sizeof(((struct sockaddr_un *)0)->sun_path))
                config_error(r, body, "the socket's path is longer than %zu bytes; shorten it",
                             sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
        if (l->socket_group && (l->socket_mode & 0020) == 0)
                config_warn(r, body,
                            "socket_mode %04o lets nobody of group %.60s connect, which takes the right to write; use "
                            "0660",
                            (unsigned)l->socket_mode, l->socket_group);
}

/* ADDRESS:PORT, numeric: a listener must not wait for a name service. */
static bool is_tcp_address(const char *text)
{
        const char *colon = strrchr(text, ':');
        unsigned char scratch[sizeof(struct in6_addr)];
        cleanup_free char *host = NULL;
        uint64_t port;
        size_t len;

        if (!colon || parse_u64(colon + 1, strlen(colon + 1), 65535, &port) < 0)
                return false;
        len = (size_t)(colon - text);
        if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
                host = mem_strndup(text + 1, len - 2);
                return inet_pton(AF_INET6, host, scratch) == 1;
        }
        host = mem_strndup(text, len);
        return inet_pton(AF_INET, host, scratch) == 1;
}

static void check_tcp(struct config_reader *r, const struct hcl_node *body, const struct listener_reading *reading)
{
        const struct config_listener *l = &reading->l;

        if (!is_tcp_address(l->address))
                config_error(r, body,
                             "\"%.100s\" is no address for listener \"tcp\"; write it like 127.0.0.1:8201 or "
                             "[::1]:8201",
                             l->address);
        if (!l->metrics_only)
                config_error(
                        r, body,
                        "listener \"tcp\" would hand secrets to whoever connects; add role = \"metrics_only\", and "
                        "a listener \"unix\" for programs");
        if (l->socket_user || l->socket_group || l->socket_mode != MODE_UNSET)
                config_warn(r, body,
                            "socket_mode, socket_user and socket_group mean nothing to listener \"tcp\"; remove them");
        if (reading->wants_tls)
                config_warn(r, reading->wants_tls,
                            "listener \"tcp\" speaks plain HTTP whatever tls_disable says; set it to true");
}

static bool apply_role(struct config_reader *r, const struct hcl_node *body, struct listener_reading *reading)
{
        if (!reading->role || strcmp(reading->role, "default") == 0)
                return true;
        if (strcmp(reading->role, "metrics_only") == 0)
                return reading->l.metrics_only = true;
        config_error(r, body, "role \"%.60s\" is unknown; use \"default\" or \"metrics_only\"", reading->role);
        return false;
}

static bool apply_type(struct config_reader *r, const struct hcl_node *body, const char *type,
                       struct config_listener *l)
{
        if (!type)
                config_error(r, body, "the listener has no kind; write listener \"unix\" { ... }");
        else if (strcmp(type, "credential") == 0)
                config_error(r, body, "listener \"credential\" is not supported yet; remove it");
        else if (strcmp(type, "unix") != 0 && strcmp(type, "tcp") != 0)
                config_error(r, body, "listener \"%.60s\" is unknown; use \"unix\" or \"tcp\"", type);
        else
                l->is_unix = strcmp(type, "unix") == 0;
        return type && (l->is_unix || strcmp(type, "tcp") == 0);
}

static void keep(struct config *c, struct config_listener *l)
{
        c->listeners = mem_resize(c->listeners, c->listeners_len + 1, sizeof(*c->listeners));
        c->listeners[c->listeners_len++] = *l;
        *l = (struct config_listener){0};
}

static void drop(struct listener_reading *reading)
{
        mem_free(reading->l.address);
        mem_free(reading->l.socket_user);
        mem_free(reading->l.socket_group);
        mem_free(reading->l.where);
        mem_free(reading->type);
        mem_free(reading->role);
}

static void read_body(struct config_reader *r, const char *label, const struct hcl_node *body, void *config)
{
        struct listener_reading reading = {.l = {.socket_mode = MODE_UNSET,
                                                 .socket_uid = (uid_t)-1,
                                                 .socket_gid = (gid_t)-1,
                                                 .where = config_where(body)}};
        cleanup_free char *title = label ? mem_printf("listener \"%s\"", label) : mem_strdup("listener");
        struct config_listener *l = &reading.l;

        if (label && strcmp(label, "credential") == 0) {
                apply_type(r, body, label, l);
                drop(&reading);
                return;
        }
        config_read_members(r, body, &listener_schema, title, &reading);
        if (apply_type(r, body, label ? label : reading.type, l) && apply_role(r, body, &reading)) {
                if (!l->address) {
                        config_error(r, body, "%s has no address; add %s", title,
                                     l->is_unix ? "the socket's path" : "address = \"127.0.0.1:8201\"");
                } else if (l->is_unix) {
                        if (l->socket_mode == MODE_UNSET)
                                l->socket_mode = 0660;
                        check_unix(r, body, l);
                        keep(config, l);
                } else {
                        check_tcp(r, body, &reading);
                        l->socket_mode = 0;
                        keep(config, l);
                }
        }
        drop(&reading);
}

/**
 * config_read_listener() - reads listener blocks
 * @r: collects findings
 * @value: the node of a key "listener"; each block is added
 * @config: the struct config
 */
void config_read_listener(struct config_reader *r, const struct hcl_node *value, void *config)
{
        config_each_body(r, value, true, &listener_schema, read_body, config);
}

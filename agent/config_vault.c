/* agent/config_vault.c: the vault block, and the environment variables that speak of the same things. */
#include "agent/config_read.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/http_client.h"
#include "common/mem.h"
#include "common/parse.h"

#define ENVIRONMENT "environment:1"

static void read_rate_limit(struct config_reader *r, const struct hcl_node *value, void *field)
{
        struct config_vault *v = field;

        config_read_rate(r, value, &v->rate_limit);
        v->rate_burst = 2 * v->rate_limit;
}

#define AT(field) offsetof(struct config_vault, field)
static const struct config_key vault_keys[] = {
        {"address", CONFIG_KEY_BUILT, config_read_string, AT(address), NULL},
        {"ca_cert", CONFIG_KEY_BUILT, config_read_string, AT(ca_cert), NULL},
        {"ca_path", CONFIG_KEY_BUILT, config_read_string, AT(ca_path), NULL},
        {"client_cert", CONFIG_KEY_BUILT, config_read_string, AT(client_cert), NULL},
        {"client_key", CONFIG_KEY_BUILT, config_read_string, AT(client_key), NULL},
        {"tls_server_name", CONFIG_KEY_BUILT, config_read_string, AT(tls_server_name), NULL},
        {"tls_skip_verify", CONFIG_KEY_BUILT, config_read_bool, AT(skip_verify), NULL},
        {"namespace", CONFIG_KEY_BUILT, config_read_string, AT(namespace_), NULL},
        {"rate_limit", CONFIG_KEY_BUILT, read_rate_limit, 0, NULL},
        {"retry", CONFIG_KEY_IGNORED, NULL, 0,
         "failed requests are always tried again, each kind in its own rhythm; remove it"},
        {"transport_dialer", CONFIG_KEY_IGNORED, NULL, 0, "there is one way to connect; remove it"},
};
static const struct config_schema vault_schema = {vault_keys, array_len(vault_keys)};

static void read_body(struct config_reader *r, const char *label, const struct hcl_node *body, void *arg)
{
        struct config *c = arg;

        (void)label;
        r->vault = body;
        config_read_members(r, body, &vault_schema, "vault", &c->vault);
}

/**
 * config_read_vault() - reads the vault block
 * @r: collects findings
 * @value: the node of the key "vault"
 * @config: the struct config
 */
void config_read_vault(struct config_reader *r, const struct hcl_node *value, void *config)
{
        if (config_each_body(r, value, false, NULL, read_body, config) > 1)
                config_error(r, value, "\"vault\" stands twice; keep one block");
}

/* OpenBao's name for a variable goes before Vault's, as in its own client. Empty counts as not set. */
static const char *variable(const char *name, const char **ret_full)
{
        static const char *const prefixes[] = {"BAO_", "VAULT_"};
        static char full[2][64];

        for (size_t i = 0; i < array_len(prefixes); i++) {
                const char *value;

                strcpy(full[i], prefixes[i]);
                strncat(full[i], name, sizeof(full[i]) - strlen(full[i]) - 1);
                value = getenv(full[i]);
                if (value && *value) {
                        *ret_full = full[i];
                        return value;
                }
        }
        return NULL;
}

static void apply_text(struct config_reader *r, const char *name, const char *key, char **field)
{
        const char *full, *value = variable(name, &full);

        if (!value)
                return;
        if (!parse_is_utf8(value, strlen(value))) {
                config_error_at(r, ENVIRONMENT, "%s is not UTF-8 text; correct it", full);
                return;
        }
        if (*field && strcmp(*field, value) != 0)
                config_warn_at(r, ENVIRONMENT, "%s overrides vault.%s of the file; unset it to use the file's", full,
                               key);
        mem_free(*field);
        *field = mem_strdup(value);
}

static void apply_rate(struct config_reader *r)
{
        const char *full, *value = variable("RATE_LIMIT", &full);
        struct config_vault *v = &r->config->vault;
        cleanup_free char *text = NULL;
        double rate, burst;
        char *colon;

        if (!value)
                return;
        text = mem_strdup(value);
        colon = strchr(text, ':');
        if (colon)
                *colon = '\0';
        if (!config_parse_rate(text, &rate) || (colon && !config_parse_rate(colon + 1, &burst)) ||
            (colon && rate > 0 && burst < 1)) {
                config_error_at(r, ENVIRONMENT, "%s is no rate; write RATE or RATE:BURST, like 100:200", full);
                return;
        }
        v->rate_limit = rate;
        v->rate_burst = colon ? burst : 2 * rate;
}

static void warn_of_ignored(struct config_reader *r)
{
        static const char *const proxies[] = {"https_proxy", "HTTPS_PROXY", "http_proxy",       "HTTP_PROXY",
                                              "all_proxy",   "ALL_PROXY",   "VAULT_HTTP_PROXY", "BAO_HTTP_PROXY"};
        static const char *const tokens[] = {"VAULT_TOKEN", "BAO_TOKEN"};

        for (size_t i = 0; i < array_len(proxies); i++)
                if (getenv(proxies[i]) && !r->config->vault.proxy)
                        config_warn_at(r, ENVIRONMENT, "%s is ignored; only VAULT_PROXY_ADDR names a proxy",
                                       proxies[i]);
        for (size_t i = 0; i < array_len(tokens); i++)
                if (getenv(tokens[i]))
                        config_warn_at(r, ENVIRONMENT, "%s is ignored; the token comes by auto_auth alone: unset it",
                                       tokens[i]);
}

/**
 * config_apply_environment() - lays the environment over the vault block
 * @r: the configuration, read; collects findings
 *
 * A variable wins over the file, as in Vault Agent; where the two differ that is said.
 */
void config_apply_environment(struct config_reader *r)
{
        struct config_vault *v = &r->config->vault;
        const char *full, *value;

        apply_text(r, "ADDR", "address", &v->address);
        apply_text(r, "CACERT", "ca_cert", &v->ca_cert);
        apply_text(r, "CAPATH", "ca_path", &v->ca_path);
        apply_text(r, "CLIENT_CERT", "client_cert", &v->client_cert);
        apply_text(r, "CLIENT_KEY", "client_key", &v->client_key);
        apply_text(r, "TLS_SERVER_NAME", "tls_server_name", &v->tls_server_name);
        apply_text(r, "NAMESPACE", "namespace", &v->namespace_);
        apply_text(r, "PROXY_ADDR", "proxy", &v->proxy);
        value = variable("SKIP_VERIFY", &full);
        if (value && !config_parse_bool(value, &v->skip_verify))
                config_error_at(r, ENVIRONMENT, "%s is neither true nor false; correct it", full);
        value = variable("CLIENT_TIMEOUT", &full);
        if (value && (parse_duration(value, &v->timeout_usec) < 0 || v->timeout_usec < USEC_PER_SEC))
                config_error_at(r, ENVIRONMENT, "%s is no duration of at least 1s; write it like 60s", full);
        apply_rate(r);
        warn_of_ignored(r);
}

static bool is_address(const char *text, bool *ret_is_plain)
{
        const char *host;

        if (strncmp(text, "https://", 8) == 0)
                host = text + 8;
        else if (strncmp(text, "http://", 7) == 0)
                host = text + 7;
        else
                return false;
        *ret_is_plain = host == text + 7;
        if (*host == '\0' || *host == ':' || strpbrk(host, "/?#@ \t\r\n\\"))
                return false;
        for (const char *p = host; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        return false;
        return true;
}

static bool is_loopback(const char *address)
{
        const char *host = strstr(address, "://") + 3;

        return strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0 || strcmp(host, "localhost") == 0 ||
               strncmp(host, "localhost:", 10) == 0;
}

/* Where a value came from: "FILE:LINE" or the environment. */
static char *origin(struct config_reader *r, const char *key, const char *name)
{
        const char *full;

        if (variable(name, &full))
                return mem_strdup(ENVIRONMENT);
        return r->vault ? config_where(config_member(r->vault, key)) : mem_strdup(r->top);
}

/* One part at a time, so that the finding stands at its line. Return: would the start take it? */
static bool check_part(struct config_reader *r, const char *key, const char *name,
                       const struct http_client_config *part)
{
        cleanup_free char *where = origin(r, key, name), *error = http_client_check(part);

        if (error)
                config_error_at(r, where, "%s; correct vault.%s or what it names", error, key);
        return !error;
}

static void check_files(struct config_reader *r)
{
        const struct config_vault *v = &r->config->vault;
        struct http_client_config part = {.address = "https://127.0.0.1", .ca_cert = v->ca_cert};

        check_part(r, "ca_cert", "CACERT", &part);
        part = (struct http_client_config){.address = part.address, .ca_path = v->ca_path};
        if (check_part(r, "ca_path", "CAPATH", &part) && v->ca_path && access(v->ca_path, X_OK) < 0) {
                cleanup_free char *where = origin(r, "ca_path", "CAPATH");

                config_error_at(r, where, "CA folder %.200s: %m; make it readable by the agent", v->ca_path);
        }
        part = (struct http_client_config){.address = part.address, .client_cert = v->client_cert};
        if (check_part(r, "client_cert", "CLIENT_CERT", &part) && v->client_cert) {
                part.client_key = v->client_key;
                check_part(r, "client_key", "CLIENT_KEY", &part);
        }
}

/* What is a name to us, or a port, may be none to the client. */
static void check_names(struct config_reader *r)
{
        const struct config_vault *v = &r->config->vault;
        struct http_client_config part = {.address = v->address};

        if (!check_part(r, "address", "ADDR", &part))
                return;
        part.server_name = v->tls_server_name;
        check_part(r, "tls_server_name", "TLS_SERVER_NAME", &part);
}

static void check_address(struct config_reader *r, char *address)
{
        cleanup_free char *where = origin(r, "address", "ADDR");
        bool is_plain = false;

        for (size_t len = strlen(address); len > 0 && address[len - 1] == '/';)
                address[--len] = '\0';
        if (!is_address(address, &is_plain)) {
                config_error_at(r, where,
                                "the address of Vault is no https://HOST:PORT; correct vault.address or VAULT_ADDR");
                return;
        }
        check_names(r);
        if (is_plain && !is_loopback(address))
                config_warn_at(r, where,
                               "%.200s is not https: token and secrets cross the network in the clear; use https",
                               address);
}

/**
 * config_check_vault() - checks how Vault is reached
 * @r: the configuration, read, with the environment applied; collects findings
 */
void config_check_vault(struct config_reader *r)
{
        const struct config_vault *v = &r->config->vault;
        cleanup_free char *verify_where = origin(r, "tls_skip_verify", "SKIP_VERIFY");
        cleanup_free char *pair_where =
                origin(r, v->client_cert ? "client_cert" : "client_key", v->client_cert ? "CLIENT_CERT" : "CLIENT_KEY");

        check_address(r, v->address);
        if (v->skip_verify)
                config_warn_at(r, verify_where,
                               "tls_skip_verify lets anybody on the way pose as Vault; name its CA in ca_cert");
        if (!v->client_cert != !v->client_key)
                config_error_at(r, pair_where, "client_cert and client_key go together; add the missing one");
        if (r->depth == CONFIG_FULL)
                check_files(r);
}

/* agent/config_vault.c: the vault block, and the environment variables that speak of the same things. */
#include "agent/config_read.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

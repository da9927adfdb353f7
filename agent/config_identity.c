/* agent/config_identity.c: the lines of text by which saved content and logins are known as ours (rule 10), and changes. */
#include "agent/config.h"

#include <inttypes.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"

static void add_member(struct buf *b, const char *key, const char *value)
{
        if (!value)
                return;
        buf_printf(b, "%s\"%s\":", b->len > 1 ? "," : "", key);
        buf_json_str(b, value, strlen(value));
}

static void add_list(struct buf *b, const char *key, char *const *list)
{
        if (!list)
                return;
        buf_printf(b, ",\"%s\":[", key);
        for (size_t i = 0; list[i]; i++) {
                if (i > 0)
                        buf_char(b, ',');
                buf_json_str(b, list[i], strlen(list[i]));
        }
        buf_char(b, ']');
}

/**
 * config_secret_identity() - what decides whether saved content is still what the configuration asks for
 * @s: the secret
 *
 * The path and, of a certificate, what goes into its request: not who may read it, where it is written or when it is replaced.
 *
 * Return: new, one line.
 */
char *config_secret_identity(const struct config_secret *s)
{
        cleanup_buf struct buf b = BUF_INIT;

        buf_char(&b, '{');
        add_member(&b, "path", s->path);
        if (s->is_certificate) {
                const struct config_certificate *c = s->certificate;

                add_member(&b, "common_name", c->common_name);
                add_list(&b, "alt_names", c->alt_names);
                add_list(&b, "ip_sans", c->ip_sans);
                add_list(&b, "uri_sans", c->uri_sans);
                buf_printf(&b, ",\"ttl_usec\":%" PRIu64, c->ttl_usec);
                add_member(&b, "key_type", config_key_type_text(c->key_type));
        }
        buf_char(&b, '}');
        return buf_take(&b);
}

/**
 * config_vault_identity() - which Vault, and which login to it
 * @c: the configuration
 *
 * Return: new, one line.
 */
char *config_vault_identity(const struct config *c)
{
        cleanup_buf struct buf b = BUF_INIT;

        buf_char(&b, '{');
        add_member(&b, "address", c->vault.address);
        add_member(&b, "namespace", c->vault.namespace_);
        add_member(&b, "method", config_auth_method_text(c->auth.method));
        add_member(&b, "mount", c->auth.mount_path);
        buf_char(&b, '}');
        return buf_take(&b);
}

/**
 * config_way_identity() - how Vault is reached
 * @c: the configuration
 *
 * Return: new, one line; without address and namespace, which belong to config_vault_identity().
 */
char *config_way_identity(const struct config *c)
{
        cleanup_buf struct buf b = BUF_INIT;
        const struct config_vault *v = &c->vault;

        buf_char(&b, '{');
        add_member(&b, "ca_cert", v->ca_cert);
        add_member(&b, "ca_path", v->ca_path);
        add_member(&b, "client_cert", v->client_cert);
        add_member(&b, "client_key", v->client_key);
        add_member(&b, "tls_server_name", v->tls_server_name);
        add_member(&b, "proxy", v->proxy);
        buf_printf(&b, " %d %" PRIu64 " %.9g %.9g}", v->skip_verify, v->timeout_usec, v->rate_limit, v->rate_burst);
        return buf_take(&b);
}

/**
 * config_listeners_identity() - where the agent listens
 * @c: the configuration
 *
 * Return: new, one line.
 */
char *config_listeners_identity(const struct config *c)
{
        cleanup_buf struct buf b = BUF_INIT;

        buf_char(&b, '{');
        for (size_t i = 0; i < c->listeners_len; i++) {
                const struct config_listener *l = &c->listeners[i];

                add_member(&b, l->is_unix ? "unix" : "tcp", l->address);
                buf_printf(&b, " %d %o %u %u", l->metrics_only, (unsigned)l->socket_mode, (unsigned)l->socket_uid,
                           (unsigned)l->socket_gid);
        }
        buf_char(&b, '}');
        return buf_take(&b);
}

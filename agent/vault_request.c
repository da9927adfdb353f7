/* agent/vault_request.c: the requests of Vault's HTTP API that the agent makes. */
#include "agent/vault_api.h"

#include "agent/config.h"
#include "common/buf.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

#include <string.h>

#define BODY_MAX ((size_t)256 << 10)

/**
 * vault_op_text() - an operation in one word
 * @op: any
 *
 * Return: static; the "operation" of leasekeeper_vault_requests_total.
 */
const char *vault_op_text(enum vault_op op)
{
        static const char *const texts[VAULT_OPS] = {
                [VAULT_LOGIN] = "login",
                [VAULT_WRAP_LOOKUP] = "wrap_lookup",
                [VAULT_UNWRAP] = "unwrap",
                [VAULT_TOKEN_LOOKUP] = "token_lookup",
                [VAULT_TOKEN_RENEW] = "token_renew",
                [VAULT_TOKEN_REVOKE] = "token_revoke",
                [VAULT_READ] = "read",
                [VAULT_ISSUE] = "issue",
                [VAULT_LEASE_RENEW] = "lease_renew",
                [VAULT_LEASE_LOOKUP] = "lease_lookup",
                [VAULT_LEASE_REVOKE] = "lease_revoke",
                [VAULT_HEALTH] = "health",
        };

        return op < VAULT_OPS ? texts[op] : "unknown";
}

static char *api_path(const char *path, const char *end)
{
        struct buf b = BUF_INIT;

        buf_str(&b, "/v1/");
        buf_percent(&b, path, "/");
        buf_str(&b, end);
        return buf_take(&b);
}

/* Steals body. */
static void fill(struct vault_request *ret, enum vault_op op, const char *method, char *path, json_t *body)
{
        *ret = (struct vault_request){.op = op, .method = method, .path = path};
        ret->once = op == VAULT_LOGIN || op == VAULT_UNWRAP || op == VAULT_ISSUE;
        if (!body)
                return;
        ret->body = secret_new(BODY_MAX);
        /* What is too long for it leaves the body empty, and Vault says which field it misses. */
        (void)json_write_secret(body, ret->body);
        json_decref(body);
}

static void set_secret(json_t *body, const char *key, const struct secret *value)
{
        /* What is no UTF-8 cannot be sent as JSON: the member is missing then, and Vault says so. */
        if (value)
                json_object_set_new(body, key, json_stringn(secret_bytes(value), secret_len(value)));
}

static void set_text(json_t *body, const char *key, const char *value)
{
        if (value)
                json_object_set_new(body, key, json_string(value));
}

/**
 * vault_request_approle_login() - POST auth/MOUNT/login (api/auth/approle)
 * @ret:        filled; vault_request_done() it
 * @mount_path: "auth/approle"
 * @role_id:    UTF-8
 * @secret_id:  NULL where the role has bind_secret_id = false
 */
void vault_request_approle_login(struct vault_request *ret, const char *mount_path, const struct secret *role_id,
                                 const struct secret *secret_id)
{
        json_t *body = json_object();

        set_secret(body, "role_id", role_id);
        set_secret(body, "secret_id", secret_id);
        fill(ret, VAULT_LOGIN, "POST", api_path(mount_path, "/login"), body);
}

/**
 * vault_request_wrap_lookup() - POST sys/wrapping/lookup (api/system/wrapping-lookup)
 * @ret:            filled; vault_request_done() it
 * @wrapping_token: in the body; a token that stands in the header too would be used twice, and be gone
 */
void vault_request_wrap_lookup(struct vault_request *ret, const struct secret *wrapping_token)
{
        json_t *body = json_object();

        set_secret(body, "token", wrapping_token);
        fill(ret, VAULT_WRAP_LOOKUP, "POST", api_path("sys/wrapping/lookup", ""), body);
}

/**
 * vault_request_simple() - a request that is all in its path
 * @ret: filled; vault_request_done() it
 * @op:  VAULT_UNWRAP, VAULT_TOKEN_LOOKUP, VAULT_TOKEN_RENEW, VAULT_TOKEN_REVOKE, VAULT_HEALTH; anything else asks for the health
 */
void vault_request_simple(struct vault_request *ret, enum vault_op op)
{
        switch (op) {
        case VAULT_UNWRAP: fill(ret, op, "POST", api_path("sys/wrapping/unwrap", ""), NULL); break;
        case VAULT_TOKEN_LOOKUP: fill(ret, op, "GET", api_path("auth/token/lookup-self", ""), NULL); break;
        case VAULT_TOKEN_RENEW: fill(ret, op, "POST", api_path("auth/token/renew-self", ""), json_object()); break;
        case VAULT_TOKEN_REVOKE: fill(ret, op, "POST", api_path("auth/token/revoke-self", ""), NULL); break;
        default: fill(ret, VAULT_HEALTH, "GET", api_path("sys/health", ""), NULL); break;
        }
}

/**
 * vault_request_read() - GET PATH: database/creds, database/static-creds, KV
 * @ret:  filled; vault_request_done() it
 * @path: as after /v1/, not encoded
 */
void vault_request_read(struct vault_request *ret, const char *path)
{
        fill(ret, VAULT_READ, "GET", api_path(path, ""), NULL);
}

/**
 * vault_request_lease() - POST sys/leases/{renew,lookup,revoke} (api/system/leases)
 * @ret:      filled; vault_request_done() it
 * @op:       VAULT_LEASE_RENEW, VAULT_LEASE_LOOKUP, VAULT_LEASE_REVOKE
 * @lease_id: the lease
 *
 * A renewal carries no increment: one counts from now and would shorten the lease. A revocation is synchronous: its answer says
 * that the user is gone.
 */
void vault_request_lease(struct vault_request *ret, enum vault_op op, const char *lease_id)
{
        const char *path = op == VAULT_LEASE_RENEW    ? "sys/leases/renew"
                           : op == VAULT_LEASE_REVOKE ? "sys/leases/revoke"
                                                      : "sys/leases/lookup";
        json_t *body = json_object();

        set_text(body, "lease_id", lease_id);
        if (op == VAULT_LEASE_REVOKE)
                json_object_set_new(body, "sync", json_true());
        fill(ret, op, "POST", api_path(path, ""), body);
}

static void set_list(json_t *body, const char *key, char *const *items)
{
        cleanup_buf struct buf joined = BUF_INIT;

        for (char *const *item = items; item && *item; item++) {
                if (item != items)
                        buf_char(&joined, ',');
                buf_str(&joined, *item);
        }
        if (joined.len > 0)
                set_text(body, key, buf_text(&joined));
}

/* What a role with key_type "any" must be told, and every other one passes over. */
static void set_key_type(json_t *body, enum key_type type)
{
        static const struct {
                const char *name;
                int bits;
        } types[] = {
                [KEY_EC_P256] = {"ec", 256},    [KEY_EC_P384] = {"ec", 384},    [KEY_RSA_2048] = {"rsa", 2048},
                [KEY_RSA_3072] = {"rsa", 3072}, [KEY_RSA_4096] = {"rsa", 4096}, [KEY_ED25519] = {"ed25519", 0},
        };

        set_text(body, "key_type", types[type].name);
        if (types[type].bits > 0)
                json_object_set_new(body, "key_bits", json_integer(types[type].bits));
}

/**
 * vault_request_certificate() - POST PKI/sign/ROLE, PKI/issue/ROLE (api/secret/pki)
 * @ret:  filled; vault_request_done() it
 * @path: as after /v1/, not encoded
 * @c:    what is wanted
 * @csr:  PEM for .../sign/, NULL for .../issue/. A role takes the SANs of the CSR (use_csr_sans, the default) or of the request
 */
void vault_request_certificate(struct vault_request *ret, const char *path, const struct config_certificate *c,
                               const char *csr)
{
        json_t *body = json_object();

        set_text(body, "common_name", c->common_name);
        set_list(body, "alt_names", c->alt_names);
        set_list(body, "ip_sans", c->ip_sans);
        set_list(body, "uri_sans", c->uri_sans);
        set_text(body, "format", "pem");
        if (csr) {
                set_text(body, "csr", csr);
        } else {
                set_text(body, "private_key_format", "pkcs8");
                set_key_type(body, c->key_type);
        }
        if (c->ttl_usec > 0) {
                cleanup_free char *ttl = mem_printf("%llus", (unsigned long long)(c->ttl_usec / USEC_PER_SEC));

                set_text(body, "ttl", ttl);
        }
        fill(ret, VAULT_ISSUE, "POST", api_path(path, ""), body);
}

/**
 * vault_request_done() - free what a request holds
 * @r: filled before, or zeroed; zeroed afterwards
 */
void vault_request_done(struct vault_request *r)
{
        mem_free(r->path);
        secret_free(r->body);
        *r = (struct vault_request){0};
}

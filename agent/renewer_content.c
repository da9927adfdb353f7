/* agent/renewer_content.c: Vault's answer to a mint as a version: its data, its end, its lease. */
#include <errno.h>
#include <string.h>

#include "agent/keypair.h"
#include "agent/renewer_internal.h"
#include "agent/token.h"
#include "common/clock.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/secret.h"

#define CONTENT_MAX HTTP_CLIENT_BODY_MAX

void version_done(struct store_version *v)
{
        secret_free(v->data);
        secret_free(v->envelope);
        mem_free(v->lease_id);
        *v = (struct store_version){0};
}

static bool is_static_creds(const struct keeper *k)
{
        return strstr(k->cfg->path, "/static-creds/") != NULL;
}

/**
 * keeper_static_ttl() - when database/static-creds changes its password (rule 11)
 * @k: the keeper
 * @reply: the answer of a reading
 *
 * Return: usec; 0 for anything else.
 */
uint64_t keeper_static_ttl(const struct keeper *k, const struct vault_reply *reply)
{
        uint64_t ttl;

        if (!is_static_creds(k) || !json_u64(reply->data, "ttl", &ttl) || ttl > 10 * 365 * 86400ULL)
                return 0;
        return (ttl > 0 ? ttl : 1) * USEC_PER_SEC;
}

static int write_data(const json_t *data, struct secret **ret_text, char **ret_error)
{
        struct secret *text = secret_new(CONTENT_MAX);
        int r = json_write_secret(data, text);

        if (r < 0) {
                secret_free(text);
                *ret_error = mem_printf("its content is longer than %zu bytes", CONTENT_MAX);
                return r;
        }
        *ret_text = secret_new_from(secret_bytes(text), secret_len(text)); /* without the room to grow */
        secret_free(text);
        return 0;
}

/* What the consumers get: the key too, where it was made here. */
static json_t *certificate_data(const struct keeper *k, const struct vault_reply *reply)
{
        static const char *const keys[] = {"certificate", "issuing_ca", "serial_number", "expiration", "private_key"};
        json_t *data = json_object(), *chain = json_object_get(reply->data, "ca_chain"), *value;

        for (size_t i = 0; i < array_len(keys); i++) {
                value = json_object_get(reply->data, keys[i]);
                if (value)
                        json_object_set(data, keys[i], value);
        }
        if (json_is_array(chain))
                json_object_set(data, "ca_chain", chain);
        else
                json_object_set_new(data, "ca_chain", json_array());
        if (k->key) {
                const struct secret *pem = keypair_private_pem(k->key);

                json_object_set_new(data, "private_key", json_stringn(secret_bytes(pem), secret_len(pem)));
        }
        return data;
}

static int read_certificate(struct keeper *k, const struct vault_reply *reply, struct store_version *v,
                            struct lease_grant *grant, char **ret_error)
{
        cleanup_json json_t *data = certificate_data(k, reply);
        const char *pem = json_str(data, "certificate"), *key = json_str(data, "private_key");
        cleanup_secret struct secret *key_pem = key ? secret_new_from(key, strlen(key)) : NULL;
        struct certificate_facts facts;
        int r;

        if (!key_pem) {
                *ret_error = mem_strdup("it has no private key; use the path .../sign/ROLE, or .../issue/ROLE");
                return -EBADMSG;
        }
        r = certificate_check(pem, key_pem, data, &facts, ret_error);
        if (r < 0)
                return r;
        if (facts.not_after_usec <= clock_realtime_usec()) {
                *ret_error = mem_strdup("the certificate has ended already: is a clock wrong?");
                return -EBADMSG;
        }
        if (facts.not_before_usec > clock_realtime_usec())
                log_warn("%s: the certificate begins in the future: is a clock wrong?", k->name);
        grant->not_after_usec = facts.not_after_usec;
        v->end_wall_usec = facts.not_after_usec;
        return write_data(data, &v->data, ret_error);
}

static int read_any(struct keeper *k, const struct vault_reply *reply, struct store_version *v,
                    struct lease_grant *grant, char **ret_error)
{
        int r = write_data(reply->data, &v->data, ret_error);

        if (r < 0)
                return r;
        if (reply->envelope_data)
                r = write_data(reply->envelope_data, &v->envelope, ret_error);
        if (r < 0)
                return r;
        grant->asked_usec = reply->asked_usec;
        grant->duration_usec = reply->lease_usec;
        if (*grant->id != '\0' && usec_add(grant->asked_usec, grant->duration_usec) <= clock_boottime_usec()) {
                *ret_error = mem_strdup("it came when its lease may have ended already");
                return -ETIME;
        }
        grant->renewable = reply->renewable;
        (void)k;
        return 0;
}

/**
 * keeper_read_content() - an answer to a mint as a version
 * @k: the keeper
 * @reply: VAULT_OK
 * @ret_version: filled but for its number; version_done() it
 * @ret_grant: filled; borrows from @reply and @k
 * @ret_error: new, for people, names no value
 *
 * Return: 0; -errno where the answer cannot be used.
 */
int keeper_read_content(struct keeper *k, const struct vault_reply *reply, struct store_version *ret_version,
                        struct lease_grant *ret_grant, char **ret_error)
{
        struct store_version v = {
                .issued_usec = clock_realtime_usec(), .end_boot_usec = USEC_NEVER, .end_wall_usec = USEC_NEVER};
        struct lease_grant grant = {.id = reply->lease_id ? reply->lease_id : "", .token = k->asked_with};
        int r;

        if (!reply->data) {
                *ret_error = mem_strdup("it has no data");
                return -EBADMSG;
        }
        r = k->cfg->is_certificate ? read_certificate(k, reply, &v, &grant, ret_error)
                                   : read_any(k, reply, &v, &grant, ret_error);
        if (r < 0) {
                version_done(&v);
                return r;
        }
        v.lease_id = *grant.id != '\0' ? mem_strdup(grant.id) : NULL;
        *ret_version = v;
        *ret_grant = grant;
        return 0;
}

/* static-creds: the ttl counts down in each answer and is no content. */
static json_t *without_ttl(const struct secret *text)
{
        char error[80];
        json_t *data = json_read(secret_bytes(text), secret_len(text), error, sizeof(error));

        json_object_del(data, "ttl");
        return data;
}

/**
 * keeper_same_content() - is what was read what is served already? (rule 11)
 * @k: the keeper; its current version is in the store
 * @v: what was read
 */
bool keeper_same_content(const struct keeper *k, const struct store_version *v)
{
        const struct store_version *current = store_current(k->secret);
        cleanup_json json_t *a = NULL, *b = NULL;

        if (!current)
                return false;
        if (!is_static_creds(k))
                return secret_equal(current->data, v->data);
        a = without_ttl(current->data);
        b = without_ttl(v->data);
        return json_equal(a, b);
}

/* agent/vault_reply.c: what Vault answered, checked field by field before anybody acts on it. */
#include "agent/vault_api.h"

#include "agent/vault_error.h"
#include "common/http_client.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

#include <errno.h>
#include <string.h>

#define DURATION_MAX_SEC (INT64_C(10) * 366 * 86400)
#define TOKEN_LEN_MAX    16384 /* batch tokens are long */
#define UNWANTED_WRAP    "the answer is wrapped: there is nothing to use in it"
#define VERSION_DELETED  "this version of the secret was deleted or destroyed"

/**
 * vault_outcome_text() - an outcome in one word
 * @outcome: any
 *
 * Return: static, fit for a metric's label.
 */
const char *vault_outcome_text(enum vault_outcome outcome)
{
        switch (outcome) {
        case VAULT_OK: return "ok";
        case VAULT_UNREACHABLE: return "unreachable";
        case VAULT_UNAVAILABLE: return "unavailable";
        case VAULT_SEALED: return "sealed";
        case VAULT_THROTTLED: return "throttled";
        case VAULT_FORBIDDEN: return "forbidden";
        case VAULT_NOT_FOUND: return "not_found";
        case VAULT_REFUSED: return "refused";
        case VAULT_MALFORMED: return "malformed";
        }
        return "unknown";
}

/* What to say where Vault gives no reason itself. */
static const char *bare_reason(enum vault_outcome outcome)
{
        switch (outcome) {
        case VAULT_OK: return "";
        case VAULT_UNREACHABLE: return "no answer";
        case VAULT_UNAVAILABLE: return "Vault is not available";
        case VAULT_SEALED: return "Vault is sealed or not initialized";
        case VAULT_THROTTLED: return "too many requests";
        case VAULT_FORBIDDEN: return "permission denied";
        case VAULT_NOT_FOUND: return "there is nothing at this path, or it is hidden";
        case VAULT_REFUSED: return "refused without a reason";
        case VAULT_MALFORMED: return "the answer cannot be used";
        }
        return "";
}

/* --- fields. Each reader below returns NULL, or what is wrong: a fixed text, for a value may be secret. --- */

/* Absent and null count as 0. */
static bool duration(const json_t *obj, const char *key, uint64_t *ret_usec)
{
        const json_t *value = json_object_get(obj, key);
        json_int_t sec = json_integer_value(value);

        if (!value || json_is_null(value)) {
                *ret_usec = 0;
                return true;
        }
        if (!json_is_integer(value) || sec < 0 || sec > DURATION_MAX_SEC)
                return false;
        *ret_usec = (uint64_t)sec * USEC_PER_SEC;
        return true;
}

static bool there(const json_t *obj, const char *key)
{
        const json_t *value = json_object_get(obj, key);

        return value && !json_is_null(value);
}

static bool flag(const json_t *obj, const char *key, bool *ret_flag)
{
        const json_t *value = json_object_get(obj, key);

        if (there(obj, key) && !json_is_boolean(value))
                return false;
        *ret_flag = json_is_true(value);
        return true;
}

/* Absent and null count as "". */
static bool text(const json_t *obj, const char *key, char **ret_text)
{
        if (there(obj, key) && !json_is_string(json_object_get(obj, key)))
                return false;
        mem_free(*ret_text);
        *ret_text = mem_strdup(json_str(obj, key) ? json_str(obj, key) : "");
        return true;
}

static const char *read_lease_fields(const json_t *body, struct vault_reply *r)
{
        if (!text(body, "lease_id", &r->lease_id))
                return "lease_id is no text";
        if (!duration(body, "lease_duration", &r->lease_usec))
                return "lease_duration is no sane number of seconds";
        if (!flag(body, "renewable", &r->renewable))
                return "renewable is neither true nor false";
        if (!text(body, "mount_type", &r->mount_type))
                return "mount_type is no text";
        return NULL;
}

/* KV v2 is known by the shape of its answer: only newer servers tell the type of the mount. */
static bool is_kv2(const json_t *data, const char *mount_type)
{
        const json_t *metadata = json_object_get(data, "metadata");

        if (*mount_type && strcmp(mount_type, "kv") != 0)
                return false;
        return json_object_size(data) == 2 && json_object_get(data, "data") &&
               json_is_integer(json_object_get(metadata, "version")) && json_str(metadata, "created_time") &&
               json_is_string(json_object_get(metadata, "deletion_time")) &&
               json_is_boolean(json_object_get(metadata, "destroyed"));
}

static const char *read_content(const json_t *body, struct vault_reply *r)
{
        json_t *data = json_object_get(body, "data");

        if (there(body, "wrap_info"))
                return UNWANTED_WRAP;
        if (!json_is_object(data))
                return "data is no object";
        r->data = json_incref(data);
        return NULL;
}

static const char *read_secret(const json_t *body, struct vault_reply *r)
{
        const char *wrong = read_lease_fields(body, r);
        json_t *data = json_object_get(body, "data"), *inner;

        if (!wrong)
                wrong = there(body, "wrap_info") ? UNWANTED_WRAP : NULL;
        if (!wrong && *r->lease_id && r->lease_usec == 0)
                wrong = "lease_duration of a lease is missing or 0";
        if (!wrong && !json_is_object(data))
                wrong = "data is no object";
        if (wrong || !is_kv2(data, r->mount_type)) {
                r->data = wrong ? NULL : json_incref(data);
                return wrong;
        }
        inner = json_object_get(data, "data");
        if (json_is_null(inner)) {
                r->outcome = VAULT_NOT_FOUND;
                return VERSION_DELETED;
        }
        if (!json_is_object(inner))
                return "data.data is no object";
        r->is_kv2 = true;
        r->data = json_incref(inner);
        r->envelope_data = json_incref(data);
        return NULL;
}

static bool is_text_list(const json_t *value)
{
        const json_t *item;
        size_t i;

        if (!json_is_array(value))
                return false;
        json_array_foreach (value, i, item) {
                if (!json_is_string(item))
                        return false;
        }
        return true;
}

static const char *read_certificate(const json_t *body, struct vault_reply *r)
{
        static const char *const texts[] = {"issuing_ca", "private_key", "serial_number"};
        const char *wrong = read_lease_fields(body, r);
        const json_t *data = json_object_get(body, "data"), *expiration = json_object_get(data, "expiration");
        const char *certificate = json_str(data, "certificate");

        if (wrong)
                return wrong;
        if (!certificate || !*certificate)
                return "certificate is missing or no text";
        if (there(data, "ca_chain") && !is_text_list(json_object_get(data, "ca_chain")))
                return "ca_chain is no list of texts";
        if (there(data, "expiration") && (!json_is_integer(expiration) || json_integer_value(expiration) <= 0))
                return "expiration is no time";
        for (size_t i = 0; i < array_len(texts); i++) {
                if (there(data, texts[i]) && !json_is_string(json_object_get(data, texts[i])))
                        return "issuing_ca, private_key or serial_number is no text";
        }
        return read_content(body, r);
}

static bool is_token(const char *token)
{
        size_t len = token ? strlen(token) : 0;

        if (len == 0 || len > TOKEN_LEN_MAX)
                return false;
        for (const char *p = token; *p; p++) { /* it goes into a header field */
                if (*p <= 0x20 || *p == 0x7f)
                        return false;
        }
        return true;
}

static bool count(const json_t *obj, const char *key, uint64_t *ret_count)
{
        *ret_count = 0;
        return !there(obj, key) || json_u64(obj, key, ret_count);
}

static const char *read_token_life(const json_t *body, struct vault_reply *r)
{
        const json_t *auth = json_object_get(body, "auth");
        const char *type = json_str(auth, "token_type");

        if (!json_is_object(auth))
                return "auth is no object";
        if (!there(auth, "lease_duration") || !duration(auth, "lease_duration", &r->auth.ttl_usec))
                return "auth.lease_duration is no sane number of seconds";
        if (!flag(auth, "renewable", &r->auth.renewable))
                return "auth.renewable is neither true nor false";
        if (!text(auth, "accessor", &r->auth.accessor))
                return "auth.accessor is no text";
        if (!count(auth, "num_uses", &r->auth.num_uses))
                return "auth.num_uses is no number";
        r->auth.is_batch = type && strcmp(type, "batch") == 0;
        return NULL;
}

static const char *read_login(const json_t *body, struct vault_reply *r)
{
        const json_t *auth = json_object_get(body, "auth");
        const char *token = json_str(auth, "client_token");
        const char *wrong = read_token_life(body, r);

        if (wrong)
                return wrong;
        if (!is_token(token))
                return there(auth, "mfa_requirement") ? "the login wants a second factor"
                                                      : "auth.client_token is no token";
        r->auth.token = secret_new_from(token, strlen(token));
        return NULL;
}

static const char *read_token(const json_t *body, struct vault_reply *r)
{
        const json_t *data = json_object_get(body, "data"), *policies = json_object_get(data, "policies"), *policy;
        const char *type = json_str(data, "type");
        struct vault_token_info *t = &r->token;
        size_t i;

        if (!json_is_object(data))
                return "data is no object";
        if (!there(data, "ttl") || !duration(data, "ttl", &t->ttl_usec))
                return "ttl is no sane number of seconds";
        if (!duration(data, "creation_ttl", &t->creation_ttl_usec) ||
            !duration(data, "explicit_max_ttl", &t->explicit_max_ttl_usec) ||
            !duration(data, "period", &t->period_usec))
                return "creation_ttl, explicit_max_ttl or period is no sane number of seconds";
        if (!flag(data, "renewable", &t->renewable))
                return "renewable is neither true nor false";
        if (!count(data, "num_uses", &t->num_uses))
                return "num_uses is no number";
        t->is_batch = type && strcmp(type, "batch") == 0;
        json_array_foreach (policies, i, policy)
                t->is_root = t->is_root || (json_is_string(policy) && strcmp(json_string_value(policy), "root") == 0);
        return NULL;
}

static const char *read_lease_renewal(const json_t *body, struct vault_reply *r)
{
        const char *wrong = read_lease_fields(body, r);

        if (!wrong && !*r->lease_id)
                wrong = "lease_id is missing";
        if (!wrong && !there(body, "lease_duration"))
                wrong = "lease_duration is missing";
        if (!wrong && r->lease_usec == 0) /* a lease that is over is refused; this must not end one that is served */
                wrong = "lease_duration is 0";
        return wrong;
}

static const char *read_lease_lookup(const json_t *body, struct vault_reply *r)
{
        const json_t *data = json_object_get(body, "data"), *ttl = json_object_get(data, "ttl");

        if (!json_is_integer(ttl))
                return "ttl is no sane number of seconds";
        if (json_integer_value(ttl) > 0 && !duration(data, "ttl", &r->lease_usec)) /* below 0 it is as dead as at 0 */
                return "ttl is no sane number of seconds";
        if (!flag(data, "renewable", &r->renewable))
                return "renewable is neither true nor false";
        return NULL;
}

static const char *read_wrapping(const json_t *body, struct vault_reply *r)
{
        const char *path = json_str(json_object_get(body, "data"), "creation_path");

        if (!path || !*path)
                return "creation_path is missing or no text";
        r->creation_path = mem_strdup(path);
        return NULL;
}

static const char *read_health(const json_t *body, struct vault_reply *r)
{
        if (!json_is_boolean(json_object_get(body, "sealed")))
                return "the answer does not say whether Vault is sealed";
        if (json_flag(body, "sealed"))
                r->outcome = VAULT_SEALED;
        return NULL;
}

/* NULL: the operation needs nothing but the status. */
static const char *(*const readers[VAULT_OPS])(const json_t *body, struct vault_reply *r) = {
        [VAULT_LOGIN] = read_login,
        [VAULT_WRAP_LOOKUP] = read_wrapping,
        [VAULT_UNWRAP] = read_content,
        [VAULT_TOKEN_LOOKUP] = read_token,
        [VAULT_TOKEN_RENEW] = read_token_life,
        [VAULT_READ] = read_secret,
        [VAULT_ISSUE] = read_certificate,
        [VAULT_LEASE_RENEW] = read_lease_renewal,
        [VAULT_LEASE_LOOKUP] = read_lease_lookup,
        [VAULT_HEALTH] = read_health,
};

/* --- the status --- */

static enum vault_outcome outcome_of(enum vault_op op, long status, const json_t *body)
{
        if (status >= 200 && status < 300)
                return VAULT_OK;
        if (op == VAULT_HEALTH) {
                /* A standby forwards what it is asked; a quota says so in errors. 473: a performance standby. */
                if ((status == 429 && !vault_error_first(body)) || status == 473)
                        return VAULT_OK;
                if (status == 503)
                        return VAULT_SEALED;
        }
        switch (status) {
        case 403: return VAULT_FORBIDDEN;
        case 404: return VAULT_NOT_FOUND;
        case 412:
        case 472:
        case 473: return VAULT_UNAVAILABLE;
        case 429: return VAULT_THROTTLED;
        case 501: return VAULT_SEALED;
        case 503: return vault_error_says(body, "sealed") ? VAULT_SEALED : VAULT_UNAVAILABLE;
        default: break;
        }
        if (status >= 500 && status < 600)
                return VAULT_UNAVAILABLE;
        return status >= 300 && status < 500 ? VAULT_REFUSED : VAULT_MALFORMED;
}

static enum vault_lease_word lease_word_of(enum vault_op op, long status, const json_t *body)
{
        static const char *const doubtful[] = {"lease not found", "lease expired", "lease is expired",
                                               "past the max ttl", "not renewable"};

        if (status != 400)
                return VAULT_LEASE_UNKNOWN;
        if (op == VAULT_LEASE_LOOKUP)
                return vault_error_says(body, "invalid lease") ? VAULT_LEASE_INVALID : VAULT_LEASE_UNKNOWN;
        if (op != VAULT_LEASE_RENEW)
                return VAULT_LEASE_UNKNOWN;
        for (size_t i = 0; i < array_len(doubtful); i++) {
                if (vault_error_says(body, doubtful[i]))
                        return VAULT_LEASE_DOUBTFUL;
        }
        return VAULT_LEASE_UNKNOWN;
}

static const char *type_of(const struct http_client_reply *http)
{
        return *http->content_type ? http->content_type : "of no type";
}

static char *refusal_text(enum vault_op op, const struct http_client_reply *http, const json_t *body,
                          enum vault_outcome outcome)
{
        cleanup_free char *said = NULL;

        if (http->status >= 300 && http->status < 400 && *http->location) {
                said = mem_printf("Vault sends us on to %s; redirects are not followed: set that as vault.address",
                                  http->location);
                return vault_error_line(said);
        }
        if (op == VAULT_READ && outcome == VAULT_NOT_FOUND && there(json_object_get(body, "data"), "metadata"))
                return mem_strdup(VERSION_DELETED);
        if (vault_error_first(body)) {
                char *line = vault_error_line(vault_error_first(body));

                if (*line)
                        return line;
                mem_free(line);
        }
        if (!body && secret_len(http->body) > 0) {
                said = mem_printf("%s (the answer is not Vault's own: %.60s)", bare_reason(outcome), type_of(http));
                return vault_error_line(said);
        }
        return mem_strdup(bare_reason(outcome));
}

static void read_unsent(const struct http_client_reply *http, struct vault_reply *r)
{
        r->transport_error = http->error;
        r->error = vault_error_line(http->error_text);
        /* One answer that is too long, or one request that cannot be sent, says nothing about whether Vault is there. */
        r->outcome = http->error == -EMSGSIZE ? VAULT_MALFORMED
                     : http->error == -EINVAL ? VAULT_REFUSED
                                              : VAULT_UNREACHABLE;
}

static char *read_success(enum vault_op op, const struct http_client_reply *http, const json_t *body,
                          struct vault_reply *r)
{
        const char *wrong;

        if (op >= VAULT_OPS || !readers[op])
                return mem_strdup("");
        if (!body && (op != VAULT_HEALTH || http->status == 200)) {
                cleanup_free char *said = mem_printf("the answer is no JSON (%.60s)", type_of(http));

                r->outcome = VAULT_MALFORMED;
                return vault_error_line(secret_len(http->body) > 0 ? said : "the answer is empty");
        }
        wrong = body ? readers[op](body, r) : NULL;
        if (!wrong)
                return mem_strdup(bare_reason(r->outcome));
        if (r->outcome == VAULT_OK) {
                r->outcome = VAULT_MALFORMED;
                return mem_printf("the answer cannot be used: %s", wrong);
        }
        return mem_strdup(wrong);
}

/**
 * vault_reply_read() - one answer, read for one operation
 * @op:   what was asked
 * @http: borrowed
 * @ret:  filled in any case; vault_reply_done() it
 *
 * Beside the status, all that the operation's caller goes by is checked for its type and its range: nobody behind this sees a
 * number that is negative, beyond 10 years or a text. No value of data gets into ret->error.
 */
void vault_reply_read(enum vault_op op, const struct http_client_reply *http, struct vault_reply *ret)
{
        cleanup_json json_t *body = NULL;
        char unused[1];

        *ret = (struct vault_reply){.status = http->status,
                                    .retry_after_usec = http->retry_after_usec,
                                    .date_usec = http->date_usec,
                                    .lease_id = mem_strdup(""),
                                    .mount_type = mem_strdup("")};
        if (http->error) {
                read_unsent(http, ret);
                return;
        }
        if (secret_len(http->body) > 0)
                body = json_read(secret_bytes(http->body), secret_len(http->body), unused, 0);
        if (!json_is_object(body)) {
                json_decref(body);
                body = NULL;
        }
        ret->outcome = outcome_of(op, http->status, body);
        ret->lease_word = lease_word_of(op, http->status, body);
        ret->error = ret->outcome == VAULT_OK ? read_success(op, http, body, ret)
                                              : refusal_text(op, http, body, ret->outcome);
}

/**
 * vault_reply_done() - free and wipe what a reply holds
 * @r: read before, or zeroed; zeroed afterwards
 */
void vault_reply_done(struct vault_reply *r)
{
        mem_free(r->error);
        mem_free(r->lease_id);
        mem_free(r->mount_type);
        mem_free(r->creation_path);
        mem_free(r->auth.accessor);
        secret_free(r->auth.token);
        json_decref(r->data);
        json_decref(r->envelope_data);
        *r = (struct vault_reply){0};
}

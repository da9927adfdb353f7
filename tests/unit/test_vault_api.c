/* tests/unit/test_vault_api.c: requests as Vault's documentation has them; replies as Vault, OpenBao and what stands before them give them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/config.h"
#include "agent/vault_api.h"
#include "common/http_client.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

#define HOUR_USEC (3600 * USEC_PER_SEC)

static void read_typed(enum vault_op op, long status, const char *type, const char *body, struct vault_reply *ret)
{
        struct secret *content = secret_new_from(body, strlen(body));
        struct http_client_reply http = {
                .error_text = "", .status = status, .body = content, .content_type = type, .location = ""};

        vault_reply_read(op, &http, ret);
        secret_free(content);
}

static struct vault_reply read_reply(enum vault_op op, long status, const char *body)
{
        struct vault_reply r;

        read_typed(op, status, "application/json", body, &r);
        return r;
}

static void check_request(struct vault_request *r, const char *method, const char *path, const char *body)
{
        assert_string_equal(r->method, method);
        assert_string_equal(r->path, path);
        if (!body)
                assert_null(r->body);
        else
                assert_string_equal(secret_bytes(r->body), body);
        vault_request_done(r);
        assert_null(r->path);
        assert_null(r->body);
}

static void requests_are_as_documented(void **state)
{
        struct secret *id = secret_new_from("r\"1", 3), *secret_id = secret_new_from("s-1", 3);
        struct vault_request r;

        (void)state;
        vault_request_approle_login(&r, "auth/approle", id, secret_id);
        assert_int_equal(r.op, VAULT_LOGIN);
        check_request(&r, "POST", "/v1/auth/approle/login", "{\"role_id\":\"r\\\"1\",\"secret_id\":\"s-1\"}");
        vault_request_approle_login(&r, "auth/approle", id, NULL);
        check_request(&r, "POST", "/v1/auth/approle/login", "{\"role_id\":\"r\\\"1\"}");
        vault_request_wrap_lookup(&r, secret_id);
        check_request(&r, "POST", "/v1/sys/wrapping/lookup", "{\"token\":\"s-1\"}");
        vault_request_simple(&r, VAULT_UNWRAP);
        check_request(&r, "POST", "/v1/sys/wrapping/unwrap", NULL);
        vault_request_simple(&r, VAULT_TOKEN_LOOKUP);
        check_request(&r, "GET", "/v1/auth/token/lookup-self", NULL);
        vault_request_simple(&r, VAULT_TOKEN_RENEW);
        check_request(&r, "POST", "/v1/auth/token/renew-self", "{}");
        vault_request_simple(&r, VAULT_TOKEN_REVOKE);
        check_request(&r, "POST", "/v1/auth/token/revoke-self", NULL);
        vault_request_simple(&r, VAULT_HEALTH);
        check_request(&r, "GET", "/v1/sys/health", NULL);
        vault_request_lease(&r, VAULT_LEASE_RENEW, "database/creds/notes/x"); /* rule 1: no increment */
        check_request(&r, "POST", "/v1/sys/leases/renew", "{\"lease_id\":\"database/creds/notes/x\"}");
        vault_request_lease(&r, VAULT_LEASE_LOOKUP, "l");
        check_request(&r, "POST", "/v1/sys/leases/lookup", "{\"lease_id\":\"l\"}");
        vault_request_lease(&r, VAULT_LEASE_REVOKE, "l");
        check_request(&r, "POST", "/v1/sys/leases/revoke", "{\"lease_id\":\"l\",\"sync\":true}");
        secret_free(id);
        secret_free(secret_id);
}

static void paths_are_percent_encoded(void **state)
{
        struct vault_request r;

        (void)state;
        vault_request_read(&r, "kv/data/a b/c?d#e%\xc3\xa4");
        check_request(&r, "GET", "/v1/kv/data/a%20b/c%3Fd%23e%25%C3%A4", NULL);
}

static void certificate_request_holds_what_is_configured(void **state)
{
        char name[] = "notes.localhost", alt1[] = "localhost", alt2[] = "db.example", ip[] = "127.0.0.1",
             uri[] = "spiffe://x/y";
        char *alts[] = {alt1, alt2, NULL}, *ips[] = {ip, NULL}, *uris[] = {uri, NULL};
        struct config_certificate c = {
                .common_name = name, .alt_names = alts, .ip_sans = ips, .uri_sans = uris, .ttl_usec = 24 * HOUR_USEC};
        struct vault_request r;

        (void)state;
        vault_request_certificate(&r, "pki_int/sign/notes", &c, "CSR");
        check_request(&r, "POST", "/v1/pki_int/sign/notes",
                      "{\"alt_names\":\"localhost,db.example\",\"common_name\":\"notes.localhost\",\"csr\":\"CSR\","
                      "\"format\":\"pem\",\"ip_sans\":\"127.0.0.1\",\"ttl\":\"86400s\",\"uri_sans\":\"spiffe://x/y\"}");
        vault_request_certificate(&r, "pki/issue/notes", &(struct config_certificate){.common_name = name}, NULL);
        check_request(&r, "POST", "/v1/pki/issue/notes",
                      "{\"common_name\":\"notes.localhost\",\"format\":\"pem\",\"key_bits\":256,\"key_type\":\"ec\","
                      "\"private_key_format\":\"pkcs8\"}");
}

#define NO_LEASE "\"request_id\":\"r\",\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":0"

static void status_and_text_tell_the_outcome(void **state)
{
        static const struct {
                enum vault_op op;
                long status;
                const char *body;
                enum vault_outcome outcome;
                const char *error;
        } cases[] = {
                {VAULT_READ, 403, "{\"errors\":[\"permission denied\"]}", VAULT_FORBIDDEN, "permission denied"},
                {VAULT_READ, 403, "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}",
                 VAULT_FORBIDDEN, "permission denied"},
                {VAULT_READ, 403,
                 "{\"errors\":[\"2 errors occurred:\\n\\t* permission denied\\n\\t* invalid token\\n\\n\"]}",
                 VAULT_FORBIDDEN, "permission denied; invalid token"},
                {VAULT_LOGIN, 400, "{\"errors\":[\"invalid role or secret ID\"]}", VAULT_REFUSED,
                 "invalid role or secret ID"},
                {VAULT_LOGIN, 500, "{\"errors\":[\"missing role_id\"]}", VAULT_UNAVAILABLE, "missing role_id"},
                {VAULT_UNWRAP, 400, "{\"errors\":[\"wrapping token is not valid or does not exist\"]}", VAULT_REFUSED,
                 "wrapping token is not valid or does not exist"},
                {VAULT_READ, 429,
                 "{\"errors\":[\"request path \\\"database/creds/notes\\\": rate limit quota exceeded\"]}",
                 VAULT_THROTTLED, "request path \"database/creds/notes\": rate limit quota exceeded"},
                {VAULT_READ, 503, "{\"errors\":[\"Vault is sealed\"]}", VAULT_SEALED, "Vault is sealed"},
                {VAULT_READ, 503, "{\"errors\":[\"maintenance\"]}", VAULT_UNAVAILABLE, "maintenance"},
                {VAULT_READ, 501, "{\"errors\":[]}", VAULT_SEALED, "Vault is sealed or not initialized"},
                {VAULT_READ, 500,
                 "{\"errors\":[\"1 error occurred:\\n\\t* dial tcp 127.0.0.1:3306: connect: connection "
                 "refused\\n\\n\"]}",
                 VAULT_UNAVAILABLE, "dial tcp 127.0.0.1:3306: connect: connection refused"},
                {VAULT_READ, 400, "{\"errors\":[\"unknown role: missing\"]}", VAULT_REFUSED, "unknown role: missing"},
                {VAULT_READ, 404, "{\"errors\":[]}", VAULT_NOT_FOUND, "there is nothing at this path, or it is hidden"},
                {VAULT_READ, 405, "{\"errors\":[\"unsupported operation\"]}", VAULT_REFUSED, "unsupported operation"},
                {VAULT_READ, 412, "{\"errors\":[\"required index state not present\"]}", VAULT_UNAVAILABLE,
                 "required index state not present"},
                {VAULT_READ, 413, "", VAULT_REFUSED, "refused without a reason"},
                {VAULT_READ, 418, "", VAULT_REFUSED, "refused without a reason"},
                {VAULT_READ, 472, "", VAULT_UNAVAILABLE, "Vault is not available"},
                {VAULT_READ, 473, "", VAULT_UNAVAILABLE, "Vault is not available"},
                {VAULT_READ, 502, "", VAULT_UNAVAILABLE, "Vault is not available"},
                {VAULT_READ, 100, "", VAULT_MALFORMED, "the answer cannot be used"},
                {VAULT_READ, 600, "", VAULT_MALFORMED, "the answer cannot be used"},
                {VAULT_ISSUE, 400, "{\"errors\":[\"common name x not allowed by this role\"]}", VAULT_REFUSED,
                 "common name x not allowed by this role"},
                {VAULT_LEASE_REVOKE, 204, "", VAULT_OK, ""},
                {VAULT_LEASE_REVOKE, 202, "", VAULT_OK, ""},
                {VAULT_LEASE_REVOKE, 200, "{" NO_LEASE ",\"warnings\":[\"x\"]}", VAULT_OK, ""},
                {VAULT_LEASE_REVOKE, 400, "{\"errors\":[\"failed to revoke entry: ...\"]}", VAULT_REFUSED,
                 "failed to revoke entry: ..."},
                {VAULT_TOKEN_REVOKE, 204, "", VAULT_OK, ""},
                {VAULT_HEALTH, 200, "{\"initialized\":true,\"sealed\":false,\"standby\":false}", VAULT_OK, ""},
                {VAULT_HEALTH, 429, "{\"initialized\":true,\"sealed\":false,\"standby\":true}", VAULT_OK, ""},
                {VAULT_HEALTH, 429, "", VAULT_OK, ""},
                {VAULT_HEALTH, 429, "{\"errors\":[\"rate limit quota exceeded\"]}", VAULT_THROTTLED,
                 "rate limit quota exceeded"},
                {VAULT_HEALTH, 473, "{\"initialized\":true,\"sealed\":false}", VAULT_OK, ""},
                {VAULT_HEALTH, 472, "{\"initialized\":true,\"sealed\":false}", VAULT_UNAVAILABLE,
                 "Vault is not available"},
                {VAULT_HEALTH, 501, "{\"initialized\":false,\"sealed\":true}", VAULT_SEALED,
                 "Vault is sealed or not initialized"},
                {VAULT_HEALTH, 503, "{\"initialized\":true,\"sealed\":true}", VAULT_SEALED,
                 "Vault is sealed or not initialized"},
                {VAULT_HEALTH, 200, "{\"sealed\":true}", VAULT_SEALED, "Vault is sealed or not initialized"},
                {VAULT_HEALTH, 200, "{}", VAULT_MALFORMED,
                 "the answer cannot be used: the answer does not say whether Vault is sealed"},
        };

        (void)state;
        for (size_t i = 0; i < array_len(cases); i++) {
                struct vault_reply r = read_reply(cases[i].op, cases[i].status, cases[i].body);

                if (r.outcome != cases[i].outcome || strcmp(r.error, cases[i].error) != 0)
                        fail_msg("case %zu: %ld %s: %s, \"%s\"", i, cases[i].status, cases[i].body,
                                 vault_outcome_text(r.outcome), r.error);
                assert_int_equal(r.status, cases[i].status);
                assert_int_equal(r.transport_error, 0);
                assert_null(r.data);
                vault_reply_done(&r);
        }
}

static void text_of_a_400_tells_about_the_lease(void **state)
{
        static const struct {
                enum vault_op op;
                long status;
                const char *text;
                enum vault_lease_word word;
        } cases[] = {
                {VAULT_LEASE_RENEW, 400, "lease not found", VAULT_LEASE_DOUBTFUL},
                {VAULT_LEASE_RENEW, 400, "lease expired", VAULT_LEASE_DOUBTFUL},
                {VAULT_LEASE_RENEW, 400, "lease is expired and has failed previous revocation attempts",
                 VAULT_LEASE_DOUBTFUL},
                {VAULT_LEASE_RENEW, 400, "lease is not renewable", VAULT_LEASE_DOUBTFUL},
                {VAULT_LEASE_RENEW, 400,
                 "failed to renew entry: resp: (*logical.Response)(nil) err: past the max TTL, cannot renew",
                 VAULT_LEASE_DOUBTFUL},
                {VAULT_LEASE_RENEW, 400, "1 error occurred:\\n\\t* Lease not found\\n\\n", VAULT_LEASE_DOUBTFUL},
                {VAULT_LEASE_RENEW, 400, "failed to renew entry: dial tcp: i/o timeout", VAULT_LEASE_UNKNOWN},
                {VAULT_LEASE_RENEW, 400, "invalid lease", VAULT_LEASE_UNKNOWN},
                {VAULT_LEASE_RENEW, 500, "lease not found", VAULT_LEASE_UNKNOWN},
                {VAULT_LEASE_RENEW, 403, "lease not found", VAULT_LEASE_UNKNOWN},
                {VAULT_LEASE_LOOKUP, 400, "invalid lease", VAULT_LEASE_INVALID},
                {VAULT_LEASE_LOOKUP, 400, "lease not found", VAULT_LEASE_UNKNOWN},
                {VAULT_LEASE_REVOKE, 400, "invalid lease", VAULT_LEASE_UNKNOWN},
                {VAULT_READ, 400, "lease expired", VAULT_LEASE_UNKNOWN},
        };

        (void)state;
        for (size_t i = 0; i < array_len(cases); i++) {
                char *body = mem_printf("{\"errors\":[\"%s\"]}", cases[i].text);
                struct vault_reply r = read_reply(cases[i].op, cases[i].status, body);

                if (r.lease_word != cases[i].word)
                        fail_msg("case %zu: %s: %d", i, cases[i].text, r.lease_word);
                vault_reply_done(&r);
                mem_free(body);
        }
}

static void login_gives_a_token(void **state)
{
        struct vault_reply r = read_reply(
                VAULT_LOGIN, 200,
                "{" NO_LEASE
                ",\"data\":null,\"wrap_info\":null,\"warnings\":null,\"auth\":{\"client_token\":\"hvs.CAES\","
                "\"accessor\":\"acc\",\"policies\":[\"default\",\"notes\"],\"token_policies\":[\"default\",\"notes\"],"
                "\"metadata\":{\"role_name\":\"notes\"},\"lease_duration\":3600,\"renewable\":true,\"entity_id\":\"e\","
                "\"token_type\":\"service\",\"orphan\":true,\"mfa_requirement\":null,\"num_uses\":0},\"mount_type\":"
                "\"\"}");

        (void)state;
        assert_int_equal(r.outcome, VAULT_OK);
        assert_string_equal(r.error, "");
        assert_string_equal(secret_bytes(r.auth.token), "hvs.CAES");
        assert_string_equal(r.auth.accessor, "acc");
        assert_int_equal(r.auth.ttl_usec, HOUR_USEC);
        assert_true(r.auth.renewable);
        assert_false(r.auth.is_batch);
        assert_int_equal(r.auth.num_uses, 0);
        vault_reply_done(&r);
        vault_reply_done(&r);

        r = read_reply(
                VAULT_LOGIN, 200,
                "{\"auth\":{\"client_token\":\"hvb.AAAA\",\"accessor\":\"\",\"lease_duration\":30,\"renewable\":false,"
                "\"token_type\":\"batch\",\"num_uses\":3}}");
        assert_int_equal(r.outcome, VAULT_OK);
        assert_true(r.auth.is_batch);
        assert_int_equal(r.auth.num_uses, 3);
        vault_reply_done(&r);
}

static void renewed_token_keeps_its_bytes(void **state)
{
        struct vault_reply r = read_reply(VAULT_TOKEN_RENEW, 200,
                                          "{\"auth\":{\"client_token\":\"hvs.CAES\",\"accessor\":\"acc\",\"lease_"
                                          "duration\":60,\"renewable\":true,"
                                          "\"token_type\":\"service\"}}");

        (void)state;
        assert_int_equal(r.outcome, VAULT_OK);
        assert_null(r.auth.token);
        assert_int_equal(r.auth.ttl_usec, 60 * USEC_PER_SEC);
        vault_reply_done(&r);
}

static void token_lookup_tells_its_life(void **state)
{
        struct vault_reply r = read_reply(
                VAULT_TOKEN_LOOKUP, 200,
                "{" NO_LEASE
                ",\"data\":{\"accessor\":\"a\",\"creation_time\":1,\"creation_ttl\":7200,\"display_name\":\"approle\","
                "\"entity_id\":\"e\",\"expire_time\":\"2026-11-24T08:00:00Z\",\"explicit_max_ttl\":86400,\"id\":\"hvs."
                "x\","
                "\"issue_time\":\"2026-11-24T06:00:00Z\",\"meta\":null,\"num_uses\":0,\"orphan\":true,"
                "\"path\":\"auth/approle/"
                "login\",\"period\":1800,\"policies\":[\"default\"],\"renewable\":true,\"ttl\":3600,"
                "\"type\":\"service\"}}");

        (void)state;
        assert_int_equal(r.outcome, VAULT_OK);
        assert_int_equal(r.token.ttl_usec, HOUR_USEC);
        assert_int_equal(r.token.creation_ttl_usec, 2 * HOUR_USEC);
        assert_int_equal(r.token.explicit_max_ttl_usec, 24 * HOUR_USEC);
        assert_int_equal(r.token.period_usec, HOUR_USEC / 2);
        assert_true(r.token.renewable);
        assert_false(r.token.is_batch || r.token.is_root);
        assert_null(r.data); /* the token's id is in there */
        vault_reply_done(&r);

        r = read_reply(VAULT_TOKEN_LOOKUP, 200,
                       "{\"data\":{\"ttl\":0,\"creation_ttl\":0,\"expire_time\":null,\"policies\":[\"root\"],\"type\":"
                       "\"service\"}}");
        assert_int_equal(r.outcome, VAULT_OK);
        assert_int_equal(r.token.ttl_usec, 0);
        assert_true(r.token.is_root);
        vault_reply_done(&r);
}

static void dynamic_secret_has_a_lease(void **state)
{
        struct vault_reply r = read_reply(VAULT_READ, 200,
                                          "{\"request_id\":\"r\",\"lease_id\":\"database/creds/notes/"
                                          "jyW4\",\"renewable\":true,\"lease_duration\":3600,"
                                          "\"data\":{\"password\":\"-pw\",\"username\":\"v-approle-notes-x\"},\"wrap_"
                                          "info\":null,\"warnings\":null,"
                                          "\"auth\":null,\"mount_type\":\"database\"}\n");

        (void)state;
        assert_int_equal(r.outcome, VAULT_OK);
        assert_string_equal(r.lease_id, "database/creds/notes/jyW4");
        assert_int_equal(r.lease_usec, HOUR_USEC);
        assert_true(r.renewable);
        assert_string_equal(r.mount_type, "database");
        assert_string_equal(json_str(r.data, "password"), "-pw");
        assert_false(r.is_kv2);
        assert_null(r.envelope_data);
        vault_reply_done(&r);
}

#define KV2_META                                                                                                       \
        "\"metadata\":{\"created_time\":\"2026-01-01T00:00:00Z\",\"custom_metadata\":null,\"deletion_time\":\"%s\","   \
        "\"destroyed\":false,\"version\":3}"

static struct vault_reply read_kv(long status, const char *data, const char *deletion_time, const char *mount_type)
{
        char *meta = mem_printf(KV2_META, deletion_time);
        char *body = mem_printf("{\"data\":{\"data\":%s,%s},\"mount_type\":\"%s\"}", data, meta, mount_type);
        struct vault_reply r = read_reply(VAULT_READ, status, body);

        mem_free(meta);
        mem_free(body);
        return r;
}

static void kv_of_both_versions_is_understood(void **state)
{
        struct vault_reply r = read_reply(
                VAULT_READ, 200, "{\"lease_id\":\"\",\"lease_duration\":2764800,\"data\":{\"data\":{\"a\":1}}}");

        (void)state;
        assert_int_equal(r.outcome, VAULT_OK); /* v1: whatever is in it */
        assert_false(r.is_kv2);
        assert_string_equal(r.lease_id, "");
        assert_non_null(json_object_get(r.data, "data"));
        vault_reply_done(&r);

        for (int i = 0; i < 2; i++) { /* older servers do not tell the type */
                r = read_kv(200, "{\"host\":\"db\"}", "", i ? "kv" : "");
                assert_int_equal(r.outcome, VAULT_OK);
                assert_true(r.is_kv2);
                assert_string_equal(json_str(r.data, "host"), "db");
                assert_non_null(json_object_get(r.envelope_data, "metadata"));
                vault_reply_done(&r);
        }

        r = read_kv(404, "null", "2026-02-01T00:00:00Z", "kv");
        assert_int_equal(r.outcome, VAULT_NOT_FOUND);
        assert_string_equal(r.error, "this version of the secret was deleted or destroyed");
        assert_null(r.data);
        vault_reply_done(&r);
        r = read_kv(200, "null", "2026-02-01T00:00:00Z", "kv");
        assert_int_equal(r.outcome, VAULT_NOT_FOUND);
        assert_null(r.data);
        vault_reply_done(&r);
        r = read_kv(200, "7", "", "kv");
        assert_int_equal(r.outcome, VAULT_MALFORMED);
        vault_reply_done(&r);
        r = read_kv(200, "{}", "", "cubbyhole");
        assert_int_equal(r.outcome, VAULT_OK);
        assert_false(r.is_kv2);
        vault_reply_done(&r);
}

static void certificate_answer_is_taken(void **state)
{
        struct vault_reply r = read_reply(
                VAULT_ISSUE, 200,
                "{" NO_LEASE ",\"data\":{\"ca_chain\":[\"CA\"],\"certificate\":\"CERT\",\"expiration\":1795504412,"
                "\"issuing_ca\":\"CA\",\"not_before\":1795500000,\"serial_number\":\"1a:2b\"},\"mount_type\":\"pki\"}");

        (void)state;
        assert_int_equal(r.outcome, VAULT_OK);
        assert_string_equal(json_str(r.data, "certificate"), "CERT");
        assert_string_equal(r.lease_id, "");
        vault_reply_done(&r);
}

static void wrapping_is_looked_up_and_undone(void **state)
{
        struct vault_reply r = read_reply(VAULT_WRAP_LOOKUP, 200,
                                          "{\"data\":{\"creation_path\":\"auth/approle/role/notes/secret-id\","
                                          "\"creation_time\":\"2026-01-01T00:00:00Z\",\"creation_ttl\":60}}");

        (void)state;
        assert_int_equal(r.outcome, VAULT_OK);
        assert_string_equal(r.creation_path, "auth/approle/role/notes/secret-id");
        vault_reply_done(&r);
        r = read_reply(VAULT_UNWRAP, 200,
                       "{\"data\":{\"secret_id\":\"s\",\"secret_id_num_uses\":0,\"secret_id_ttl\":0}}");
        assert_int_equal(r.outcome, VAULT_OK);
        assert_string_equal(json_str(r.data, "secret_id"), "s");
        vault_reply_done(&r);
}

static void lease_is_renewed_and_looked_up(void **state)
{
        struct vault_reply r = read_reply(VAULT_LEASE_RENEW, 200,
                                          "{\"lease_id\":\"l\",\"renewable\":true,\"lease_duration\":1,\"data\":null,"
                                          "\"warnings\":[\"TTL of \\\"4s\\\" exceeded the effective max_ttl\"]}");

        (void)state;
        assert_int_equal(r.outcome, VAULT_OK);
        assert_int_equal(r.lease_usec, USEC_PER_SEC);
        assert_true(r.renewable);
        vault_reply_done(&r);

        r = read_reply(VAULT_LEASE_LOOKUP, 200,
                       "{\"data\":{\"expire_time\":\"x\",\"id\":\"l\",\"renewable\":true,\"ttl\":77}}");
        assert_int_equal(r.outcome, VAULT_OK);
        assert_int_equal(r.lease_usec, 77 * USEC_PER_SEC);
        vault_reply_done(&r);
        r = read_reply(VAULT_LEASE_LOOKUP, 200, "{\"data\":{\"id\":\"l\",\"ttl\":-3}}");
        assert_int_equal(r.outcome, VAULT_OK); /* dead, and known to be */
        assert_int_equal(r.lease_usec, 0);
        vault_reply_done(&r);
}

static void nonsense_is_malformed(void **state)
{
        static const struct {
                enum vault_op op;
                const char *body;
        } cases[] = {
                {VAULT_READ, ""},
                {VAULT_READ, "[]"},
                {VAULT_READ, "null"},
                {VAULT_READ, "{\"data\":{\"a\":1}"},
                {VAULT_READ, "{\"data\":{\"a\":1}} x"},
                {VAULT_READ, "{\"data\":null}"},
                {VAULT_READ, "{\"data\":[1]}"},
                {VAULT_READ, "{\"data\":\"x\"}"},
                {VAULT_READ, "{}"},
                {VAULT_READ, "{\"data\":{\"a\":1},\"data\":{\"a\":2}}"},
                {VAULT_READ, "{\"data\":{\"a\":1,\"a\":2}}"},
                {VAULT_READ, "{\"data\":{\"a\":\"\xff\"}}"},
                {VAULT_READ, "{\"lease_id\":\"l\",\"data\":{}}"},
                {VAULT_READ, "{\"lease_id\":\"l\",\"lease_duration\":0,\"data\":{}}"},
                {VAULT_READ, "{\"lease_id\":\"l\",\"lease_duration\":null,\"data\":{}}"},
                {VAULT_READ, "{\"lease_id\":\"l\",\"lease_duration\":-1,\"data\":{}}"},
                {VAULT_READ, "{\"lease_id\":\"l\",\"lease_duration\":\"3600\",\"data\":{}}"},
                {VAULT_READ, "{\"lease_id\":\"l\",\"lease_duration\":3600.5,\"data\":{}}"},
                {VAULT_READ, "{\"lease_id\":\"l\",\"lease_duration\":1e3,\"data\":{}}"},
                {VAULT_READ, "{\"lease_id\":\"l\",\"lease_duration\":true,\"data\":{}}"},
                {VAULT_READ, "{\"lease_id\":\"l\",\"lease_duration\":9223372036854775807,\"data\":{}}"},
                {VAULT_READ, "{\"lease_id\":\"l\",\"lease_duration\":9223372036854775808,\"data\":{}}"},
                {VAULT_READ, "{\"lease_id\":\"l\",\"lease_duration\":400000000,\"data\":{}}"},
                {VAULT_READ, "{\"lease_id\":7,\"lease_duration\":60,\"data\":{}}"},
                {VAULT_READ, "{\"lease_id\":\"l\",\"lease_duration\":60,\"renewable\":\"yes\",\"data\":{}}"},
                {VAULT_READ, "{\"lease_id\":\"\",\"lease_duration\":0,\"data\":{},\"mount_type\":1}"},
                {VAULT_READ, "{\"data\":null,\"wrap_info\":{\"token\":\"t\"}}"},
                {VAULT_READ, "<html><body>502</body></html>"},
                {VAULT_ISSUE, "{\"data\":{}}"},
                {VAULT_ISSUE, "{\"data\":{\"certificate\":\"\"}}"},
                {VAULT_ISSUE, "{\"data\":{\"certificate\":7}}"},
                {VAULT_ISSUE, "{\"data\":{\"certificate\":\"C\",\"ca_chain\":\"C\"}}"},
                {VAULT_ISSUE, "{\"data\":{\"certificate\":\"C\",\"ca_chain\":[1]}}"},
                {VAULT_ISSUE, "{\"data\":{\"certificate\":\"C\",\"expiration\":\"soon\"}}"},
                {VAULT_ISSUE, "{\"data\":{\"certificate\":\"C\",\"private_key\":{}}}"},
                {VAULT_LOGIN, "{\"auth\":null}"},
                {VAULT_LOGIN, "{\"auth\":{}}"},
                {VAULT_LOGIN, "{\"auth\":{\"client_token\":\"\",\"lease_duration\":60}}"},
                {VAULT_LOGIN, "{\"auth\":{\"client_token\":\"a\\r\\nX: y\",\"lease_duration\":60}}"},
                {VAULT_LOGIN, "{\"auth\":{\"client_token\":\"a b\",\"lease_duration\":60}}"},
                {VAULT_LOGIN, "{\"auth\":{\"client_token\":5,\"lease_duration\":60}}"},
                {VAULT_LOGIN, "{\"auth\":{\"client_token\":\"t\"}}"},
                {VAULT_LOGIN, "{\"auth\":{\"client_token\":\"t\",\"lease_duration\":-60}}"},
                {VAULT_LOGIN, "{\"auth\":{\"client_token\":\"t\",\"lease_duration\":60,\"num_uses\":-1}}"},
                {VAULT_TOKEN_RENEW, "{\"auth\":null}"},
                {VAULT_TOKEN_RENEW, "{\"auth\":{\"lease_duration\":\"1h\"}}"},
                {VAULT_TOKEN_LOOKUP, "{\"data\":{}}"},
                {VAULT_TOKEN_LOOKUP, "{\"data\":{\"ttl\":\"60\"}}"},
                {VAULT_TOKEN_LOOKUP, "{\"data\":{\"ttl\":-1}}"},
                {VAULT_TOKEN_LOOKUP, "{\"data\":{\"ttl\":60,\"period\":\"1h\"}}"},
                {VAULT_LEASE_RENEW, "{\"lease_id\":\"\",\"lease_duration\":60}"},
                {VAULT_LEASE_RENEW, "{\"lease_id\":\"l\"}"},
                {VAULT_LEASE_RENEW, "{\"lease_id\":\"l\",\"lease_duration\":-60}"},
                {VAULT_LEASE_RENEW, "{\"lease_id\":\"l\",\"lease_duration\":0}"},
                {VAULT_LEASE_LOOKUP, "{\"data\":{}}"},
                {VAULT_LEASE_LOOKUP, "{\"data\":{\"ttl\":null}}"},
                {VAULT_LEASE_LOOKUP, "{\"data\":{\"ttl\":\"0\"}}"},
                {VAULT_LEASE_LOOKUP, "{\"data\":{\"ttl\":99999999999}}"},
                {VAULT_WRAP_LOOKUP, "{\"data\":{\"creation_path\":\"\"}}"},
                {VAULT_WRAP_LOOKUP, "{\"data\":{\"creation_path\":1}}"},
                {VAULT_UNWRAP, "{\"data\":null}"},
                {VAULT_HEALTH, "ok"},
        };

        (void)state;
        for (size_t i = 0; i < array_len(cases); i++) {
                struct vault_reply r = read_reply(cases[i].op, 200, cases[i].body);

                if (r.outcome != VAULT_MALFORMED)
                        fail_msg("case %zu: %s: %s", i, cases[i].body, vault_outcome_text(r.outcome));
                assert_true(strlen(r.error) > 0);
                assert_null(r.data);
                assert_null(r.auth.token);
                vault_reply_done(&r);
        }
}

static void deep_nesting_is_survived(void **state)
{
        size_t depth = 200000;
        char *body = mem_new(2 * depth + 16);
        struct vault_reply r;

        (void)state;
        strcpy(body, "{\"data\":");
        memset(body + 8, '[', depth);
        memset(body + 8 + depth, ']', depth);
        body[8 + 2 * depth] = '}';
        r = read_reply(VAULT_READ, 200, body);
        assert_int_equal(r.outcome, VAULT_MALFORMED);
        vault_reply_done(&r);
        mem_free(body);
}

static void ten_years_are_the_most(void **state)
{
        struct vault_reply r =
                read_reply(VAULT_READ, 200, "{\"lease_id\":\"l\",\"lease_duration\":315360000,\"data\":{}}");

        (void)state;
        assert_int_equal(r.outcome, VAULT_OK);
        assert_int_equal(r.lease_usec, 315360000 * USEC_PER_SEC);
        vault_reply_done(&r);
}

static void pages_of_a_proxy_are_no_answers(void **state)
{
        struct vault_reply r;

        (void)state;
        read_typed(VAULT_READ, 502, "text/html", "<html>hunter2</html>", &r);
        assert_int_equal(r.outcome, VAULT_UNAVAILABLE);
        assert_string_equal(r.error, "Vault is not available (the answer is not Vault's own: text/html)");
        vault_reply_done(&r);
        read_typed(VAULT_READ, 403, "text/html\x1b[31m", "<html>hunter2</html>", &r);
        assert_int_equal(r.outcome, VAULT_FORBIDDEN);
        assert_null(strchr(r.error, 0x1b));
        assert_null(strstr(r.error, "hunter2"));
        vault_reply_done(&r);
        read_typed(VAULT_READ, 200, "text/html", "<html>hunter2</html>", &r);
        assert_int_equal(r.outcome, VAULT_MALFORMED);
        assert_string_equal(r.error, "the answer is no JSON (text/html)");
        vault_reply_done(&r);
        read_typed(VAULT_READ, 204, "", "", &r);
        assert_int_equal(r.outcome, VAULT_MALFORMED);
        assert_string_equal(r.error, "the answer is empty");
        vault_reply_done(&r);
}

static void redirect_names_where_to(void **state)
{
        struct secret *nothing = secret_new(1);
        struct http_client_reply http = {.error_text = "",
                                         .status = 307,
                                         .body = nothing,
                                         .content_type = "",
                                         .location = "https://vault-2:8200/v1/x"};
        struct vault_reply r;

        (void)state;
        vault_reply_read(VAULT_READ, &http, &r);
        assert_int_equal(r.outcome, VAULT_REFUSED);
        assert_non_null(strstr(r.error, "https://vault-2:8200/v1/x"));
        vault_reply_done(&r);
        secret_free(nothing);
}

static void no_answer_is_unreachable(void **state)
{
        static const struct {
                int error;
                enum vault_outcome outcome;
        } cases[] = {
                {-ETIMEDOUT, VAULT_UNREACHABLE}, {-ECONNREFUSED, VAULT_UNREACHABLE}, {-ECONNRESET, VAULT_UNREACHABLE},
                {-EPROTO, VAULT_UNREACHABLE},    {-EIO, VAULT_UNREACHABLE},          {-EMSGSIZE, VAULT_MALFORMED},
                {-EINVAL, VAULT_REFUSED},
        };
        struct secret *nothing = secret_new(1);

        (void)state;
        for (size_t i = 0; i < array_len(cases); i++) {
                struct http_client_reply http = {.error = cases[i].error,
                                                 .error_text = "https://h:1: connection refused",
                                                 .body = nothing,
                                                 .content_type = "",
                                                 .location = ""};
                struct vault_reply r;

                vault_reply_read(VAULT_LOGIN, &http, &r);
                assert_int_equal(r.outcome, cases[i].outcome);
                assert_int_equal(r.transport_error, cases[i].error);
                assert_string_equal(r.error, "https://h:1: connection refused");
                assert_int_equal(r.status, 0);
                vault_reply_done(&r);
        }
        secret_free(nothing);
}

static void error_is_one_short_line(void **state)
{
        char *longer = mem_new(2000), *body;
        struct vault_reply r;

        (void)state;
        for (size_t i = 0; i < 900; i += 2)
                memcpy(longer + i, "\xc3\xa4", 2);
        body = mem_printf("{\"errors\":[\"x%s\"]}", longer);
        r = read_reply(VAULT_READ, 400, body);
        assert_in_range(strlen(r.error), 290, 300);
        assert_string_equal(r.error + strlen(r.error) - 3, "...");
        assert_true(parse_is_utf8(r.error, strlen(r.error)));
        vault_reply_done(&r);
        mem_free(body);
        mem_free(longer);

        r = read_reply(VAULT_READ, 400, "{\"errors\":[\"a\\r\\nFAKE: log line\\u001b[2J\\t b \\u0085 c\"]}");
        assert_string_equal(r.error, "a FAKE: log line [2J b c");
        vault_reply_done(&r);
        r = read_reply(VAULT_READ, 400, "{\"errors\":[\" \\n \"]}");
        assert_string_equal(r.error, "refused without a reason");
        vault_reply_done(&r);
        r = read_reply(VAULT_READ, 400, "{\"errors\":{\"a\":1}}");
        assert_string_equal(r.error, "refused without a reason");
        vault_reply_done(&r);
        r = read_reply(VAULT_READ, 400, "{\"errors\":[\"12 apples\"]}");
        assert_string_equal(r.error, "12 apples");
        vault_reply_done(&r);
}

static void no_value_of_data_in_an_error(void **state)
{
        static const char *const bodies[] = {
                "{\"lease_id\":\"l\",\"lease_duration\":\"hunter2\",\"data\":{\"password\":\"hunter2\"}}",
                "{\"data\":{\"password\":\"hunter2\"}} hunter2",
                "{\"data\":{\"password\":\"hunter2\",\"password\":\"hunter2\"}}",
                "{\"data\":\"hunter2\"}",
                "hunter2",
        };

        (void)state;
        for (size_t i = 0; i < array_len(bodies); i++) {
                struct vault_reply r = read_reply(VAULT_READ, 200, bodies[i]);

                assert_int_equal(r.outcome, VAULT_MALFORMED);
                assert_null(strstr(r.error, "hunter2"));
                vault_reply_done(&r);
        }
}

static void all_names_are_there(void **state)
{
        (void)state;
        for (int i = 0; i < VAULT_OPS; i++)
                assert_string_not_equal(vault_op_text((enum vault_op)i), "unknown");
        for (int i = 0; i <= VAULT_MALFORMED; i++)
                assert_string_not_equal(vault_outcome_text((enum vault_outcome)i), "unknown");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(requests_are_as_documented),
                cmocka_unit_test(paths_are_percent_encoded),
                cmocka_unit_test(certificate_request_holds_what_is_configured),
                cmocka_unit_test(status_and_text_tell_the_outcome),
                cmocka_unit_test(text_of_a_400_tells_about_the_lease),
                cmocka_unit_test(login_gives_a_token),
                cmocka_unit_test(renewed_token_keeps_its_bytes),
                cmocka_unit_test(token_lookup_tells_its_life),
                cmocka_unit_test(dynamic_secret_has_a_lease),
                cmocka_unit_test(kv_of_both_versions_is_understood),
                cmocka_unit_test(certificate_answer_is_taken),
                cmocka_unit_test(wrapping_is_looked_up_and_undone),
                cmocka_unit_test(lease_is_renewed_and_looked_up),
                cmocka_unit_test(nonsense_is_malformed),
                cmocka_unit_test(deep_nesting_is_survived),
                cmocka_unit_test(ten_years_are_the_most),
                cmocka_unit_test(pages_of_a_proxy_are_no_answers),
                cmocka_unit_test(redirect_names_where_to),
                cmocka_unit_test(no_answer_is_unreachable),
                cmocka_unit_test(error_is_one_short_line),
                cmocka_unit_test(no_value_of_data_in_an_error),
                cmocka_unit_test(all_names_are_there),
        };

        json_setup();
        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* agent/auth_login.c: one login: read the credentials, unwrap, save, log in, look the new token up (rule 8). */
#include <stdlib.h>
#include <string.h>

#include "agent/auth_internal.h"
#include "agent/config.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/secret.h"

#define REFUSED_FIRST_USEC (60 * USEC_PER_SEC)
#define REFUSED_NEXT_USEC  (900 * USEC_PER_SEC)
#define MISSING_USEC       (2 * USEC_PER_SEC)

static void fail(struct auth *a, const char *outcome, uint64_t wait_usec)
{
        uint64_t now = clock_boottime_usec();

        a->phase = AUTH_IDLE;
        a->candidate = token_unref(a->candidate);
        a->login_usec = usec_add(now, wait_usec);
        metric_inc(a->logins, 1, a->method->name, outcome);
        log_warn("login to Vault (%s): %s; next try in %.1f s", a->method->name, auth_error(a),
                 (double)wait_usec / 1e6);
        auth_step(a);
}

/* Rule 8: the same credentials once more after 60 s, then once in 15 min: Vault locks a role out after 5. */
static void refused(struct auth *a)
{
        uint64_t wait;

        if (a->unwrap_only) { /* no login was refused, and what is kept is as good as it was */
                a->phase = AUTH_IDLE;
                a->credentials.wrapping = secret_free(a->credentials.wrapping);
                auth_save(a);
                log_warn("the new secret-id is not used: %s", auth_error(a));
                auth_step(a);
                return;
        }
        a->refusals++;
        wait = a->refusals == 1 ? REFUSED_FIRST_USEC : REFUSED_NEXT_USEC;
        a->candidate = token_unref(a->candidate);
        a->login_usec = usec_add(clock_boottime_usec(), wait); /* saved with the count: a restart waits as long */
        auth_save(a);
        a->events.on_refused(auth_error(a), a->arg);
        fail(a, "refused", wait);
}

static void failed(struct auth *a, const struct vault_reply *reply, const char *what)
{
        uint64_t wait;

        auth_set_error(a, "%s: %s (%ld)", what, reply->error, reply->status);
        if (reply->outcome == VAULT_REFUSED || reply->outcome == VAULT_FORBIDDEN || reply->outcome == VAULT_NOT_FOUND) {
                refused(a);
                return;
        }
        wait = usec_max(backoff_next(&a->backoff, backoff_random()),
                        usec_min(reply->retry_after_usec, 300 * USEC_PER_SEC));
        fail(a, "no_answer", wait);
}

static void send(struct auth *a, enum auth_phase phase, struct vault_request *request, struct token *t, link_fn fn)
{
        a->phase = phase;
        a->call = vault_link_send(a->link, LINK_TOKEN, request, t, 0, fn, a);
}

/* Leases cannot be kept with it. One that our login made is not left alive for nothing. */
static void refuse_limited(struct auth *a, uint64_t uses)
{
        auth_set_error(a,
                       "the token may be used %llu times only; leases cannot be kept with it: set token_num_uses = 0 "
                       "for the role",
                       (unsigned long long)uses);
        if (a->method->login) {
                auth_discard(a, a->candidate);
                a->candidate = NULL;
        }
        refused(a);
}

static void on_looked_up(const struct vault_reply *reply, void *arg)
{
        struct auth *a = arg;
        struct token *t = a->candidate;

        a->call = NULL;
        if (reply->outcome == VAULT_OK && reply->token.num_uses > 0) {
                refuse_limited(a, reply->token.num_uses);
                return;
        }
        if (reply->outcome == VAULT_FORBIDDEN && !a->method->login) {
                auth_set_error(a, "the token in the file is not known to Vault, or may not look itself up");
                refused(a);
                return;
        }
        if (reply->outcome != VAULT_OK && reply->outcome != VAULT_FORBIDDEN && !a->method->login) {
                failed(a, reply, "looking up the token failed");
                return;
        }
        if (reply->outcome == VAULT_FORBIDDEN) {
                t->refused_lookup = true;
                log_warn("the policy of the token hides auth/token/lookup-self; add: path \"auth/token/lookup-self\" { "
                         "capabilities = "
                         "[\"read\"] }");
        } else if (reply->outcome == VAULT_OK) {
                token_granted(t, auth_now(), reply->asked_usec, reply->token.ttl_usec, reply->token.renewable,
                              reply->token.is_batch);
        }
        a->candidate = NULL;
        a->phase = AUTH_IDLE;
        a->refusals = 0;
        a->login_usec = 0;
        a->said = mem_free(a->said);
        backoff_reset(&a->backoff);
        metric_inc(a->logins, 1, a->method->name, "ok");
        log_info("logged in to Vault (%s), accessor %s", a->method->name, t->accessor);
        auth_install(a, t);
        if (a->method->logged_in)
                a->method->logged_in(a->config, &a->credentials);
}

static void look_up(struct auth *a)
{
        struct vault_request request;

        vault_request_simple(&request, VAULT_TOKEN_LOOKUP);
        send(a, AUTH_LOOKUP, &request, a->candidate, on_looked_up);
}

static void on_logged_in(const struct vault_reply *reply, void *arg)
{
        struct auth *a = arg;

        a->call = NULL;
        if (reply->outcome != VAULT_OK) {
                failed(a, reply, "refused or failed");
                return;
        }
        a->candidate = token_new(++a->last_generation,
                                 secret_new_from(secret_bytes(reply->auth.token), secret_len(reply->auth.token)),
                                 reply->auth.accessor);
        token_granted(a->candidate, auth_now(), reply->asked_usec, reply->auth.ttl_usec, reply->auth.renewable,
                      reply->auth.is_batch);
        if (reply->auth.num_uses > 0) {
                refuse_limited(a, reply->auth.num_uses);
                return;
        }
        if (auth_save(a) < 0)
                log_error("the new token cannot be saved in the state: a restart will log in anew");
        look_up(a);
}

static void log_in_now(struct auth *a)
{
        struct vault_request request;
        char *error = NULL;

        if (!a->method->login) { /* the token itself was read */
                a->candidate = token_new(
                        ++a->last_generation,
                        secret_new_from(secret_bytes(a->credentials.kept), secret_len(a->credentials.kept)), "");
                look_up(a);
                return;
        }
        if (a->method->login(a->config, &a->credentials, &request, &error) < 0) {
                auth_set_error(a, "%s", error);
                mem_free(error);
                fail(a, "no_credentials", MISSING_USEC);
                return;
        }
        send(a, AUTH_LOGIN, &request, NULL, on_logged_in);
}

/* An alarm, whoever of the two requests met it: docs/OPERATIONS.md tells operators to look for these words. */
static void lose_wrapping(struct auth *a)
{
        a->credentials.wrapping = secret_free(a->credentials.wrapping);
        log_error("%s: the wrapping token was used before or has expired: somebody else may have the secret-id; make "
                  "sure, and put a fresh one there",
                  a->config->secret_id_file_path);
}

static void on_unwrapped(const struct vault_reply *reply, void *arg)
{
        struct auth *a = arg;
        const char *secret_id = reply->outcome == VAULT_OK ? json_str(reply->data, "secret_id") : NULL;

        a->call = NULL;
        if (reply->outcome == VAULT_REFUSED)
                lose_wrapping(a);
        if (!secret_id) {
                failed(a, reply, "unwrapping the secret-id failed");
                return;
        }
        secret_replace(&a->credentials.kept, secret_new_from(secret_id, strlen(secret_id)));
        a->credentials.wrapping = secret_free(a->credentials.wrapping);
        a->credentials.from_file = true;
        if (auth_save(a) < 0)
                log_error("the unwrapped secret-id cannot be saved in the state: a restart before the login needs a "
                          "fresh one");
        if (!a->unwrap_only) {
                log_in_now(a);
                return;
        }
        a->phase = AUTH_IDLE;
        log_info("the new secret-id is unwrapped and kept until a login is due");
        auth_step(a);
}

static void on_wrap_looked_up(const struct vault_reply *reply, void *arg)
{
        struct auth *a = arg;
        const char *want = a->config->secret_id_response_wrapping_path;
        struct token *wrapping;
        struct vault_request request;

        a->call = NULL;
        if (reply->outcome != VAULT_OK) {
                if (reply->outcome == VAULT_REFUSED)
                        lose_wrapping(a);
                failed(a, reply, "looking up the wrapping token failed");
                return;
        }
        if (!reply->creation_path || strcmp(reply->creation_path, want) != 0) {
                a->credentials.wrapping = secret_free(a->credentials.wrapping);
                auth_set_error(a,
                               "the wrapping token was made by %s, not by %s: it may have been swapped; not unwrapped",
                               reply->creation_path ? reply->creation_path : "nobody knows", want);
                refused(a);
                return;
        }
        wrapping = token_new(
                0, secret_new_from(secret_bytes(a->credentials.wrapping), secret_len(a->credentials.wrapping)), "");
        vault_request_simple(&request, VAULT_UNWRAP);
        send(a, AUTH_UNWRAP, &request, wrapping, on_unwrapped);
        token_unref(wrapping);
}

static void begin_unwrap(struct auth *a)
{
        struct vault_request request;

        vault_request_wrap_lookup(&request, a->credentials.wrapping);
        send(a, AUTH_WRAP_LOOKUP, &request, NULL, on_wrap_looked_up);
}

/**
 * auth_unwrap() - a wrapped secret-id came: its one use must not pass by (rule 8)
 * @a: the auth; where a login is under way, that does it
 */
void auth_unwrap(struct auth *a)
{
        if (a->phase != AUTH_IDLE || !vault_link_is_open(a->link))
                return;
        a->unwrap_only = auth_token(a) != NULL;
        begin_unwrap(a);
}

/**
 * auth_log_in() - begins a login; a->phase is AUTH_IDLE
 * @a: the auth
 */
void auth_log_in(struct auth *a)
{
        char *error = NULL;
        int r;

        if (a->phase != AUTH_IDLE)
                return;
        a->unwrap_only = false;
        r = a->method->read(a->config, &a->credentials, &error);
        if (r < 0) {
                auth_set_error(a, "%s", error);
                mem_free(error);
                if (!a->credentials.kept && !a->credentials.wrapping) {
                        fail(a, "no_credentials", MISSING_USEC);
                        return;
                }
        }
        if (r == 1)
                a->refusals = 0;
        if (r == 1 && auth_save(a) < 0)
                log_error("the login credentials cannot be saved in the state");
        if (a->credentials.wrapping) {
                begin_unwrap(a);
                return;
        }
        log_in_now(a);
}

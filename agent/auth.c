/* agent/auth.c: the life of the current token, and of those before it (rules 6, 7). Logging in is auth_login.c. */
#include "agent/auth_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/config.h"
#include "agent/state.h"
#include "common/clock.h"
#include "common/file_watch.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/secret.h"

#define DOUBT_APART_USEC      (10 * USEC_PER_SEC)
#define CREDENTIALS_LOOK_USEC (2 * USEC_PER_SEC)
#define HIDDEN_LOGIN_USEC     (900 * USEC_PER_SEC)
#define RENEW_TIMEOUT_MOST    (60 * USEC_PER_SEC) /* from there on the configured one */
#define RENEW_TIMEOUT_LEAST   (2 * USEC_PER_SEC)

struct instant auth_now(void)
{
        return (struct instant){
                .boot_usec = clock_boottime_usec(), .wall_usec = clock_realtime_usec(), .random = backoff_random()};
}

void auth_set_error(struct auth *a, const char *fmt, ...)
{
        char text[512];
        va_list ap;

        mem_free(a->error);
        a->error = NULL;
        if (!fmt)
                return;
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        a->error = mem_strdup(text);
}

static void on_timer(void *arg)
{
        auth_step(arg);
}

/**
 * auth_new() - nothing is asked yet: auth_load(), then auth_start()
 * @loop: borrowed, like @link, @state, @config and @metrics, for its whole life
 * @events: copied; @arg goes with them
 */
struct auth *auth_new(struct loop *loop, struct vault_link *link, struct state *state, const struct config_auth *config,
                      struct metrics *metrics, const struct auth_events *events, void *arg)
{
        static const char *const outcomes[] = {"ok", "refused", "no_answer", "no_credentials"};
        struct auth *a = mem_new(sizeof(*a));

        a->loop = loop;
        a->link = link;
        a->state = state;
        a->config = config;
        a->method = config->method == AUTH_APPROLE ? &login_approle : &login_token_file;
        a->events = *events;
        a->arg = arg;
        a->backoff = (struct backoff){.base_usec = USEC_PER_SEC, .cap_usec = 60 * USEC_PER_SEC};
        a->revoke_backoff = a->backoff;
        a->timer = loop_timer_new(loop, on_timer, a);
        a->logins = metrics_add(metrics, METRIC_COUNTER, "leasekeeper_logins_total", "Logins to Vault.",
                                "method,outcome", NULL);
        for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
                metric_inc(a->logins, 0, a->method->name, outcomes[i]);
        a->expiry =
                metrics_add(metrics, METRIC_GAUGE, "leasekeeper_token_expiry_timestamp_seconds",
                            "When the current Vault token ends, unless renewed; 0: never, or there is none.", "", NULL);
        return a;
}

/* From the loop: whoever is told may end it. Without this a restart would wait up to 15 min and not say why. */
static void tell_refused_before(void *arg)
{
        struct auth *a = arg;
        uint64_t now = auth_now().boot_usec;

        if (auth_token(a) || a->refusals == 0 || now >= a->login_usec)
                return;
        auth_set_error(a,
                       "Vault has refused these credentials already; put fresh ones there, or they are tried again "
                       "in %.0f s",
                       (double)(a->login_usec - now) / 1e6);
        log_warn("login to Vault (%s): %s", a->method->name, auth_error(a));
        a->events.on_refused(auth_error(a), a->arg);
}

struct auth *auth_free(struct auth *a)
{
        if (!a)
                return NULL;
        vault_link_cancel(a->call);
        vault_link_cancel(a->token_call);
        vault_link_cancel(a->revoke_call);
        token_unref(a->revoking);
        loop_timer_free(a->timer);
        loop_defer_cancel(a->loop, tell_refused_before, a);
        file_watch_free(a->files);
        token_unref(a->token);
        token_unref(a->candidate);
        for (size_t i = 0; i < a->old_len; i++)
                token_unref(a->old[i]);
        auth_credentials_done(&a->credentials);
        mem_free(a->error);
        mem_free(a->said);
        return mem_free(a);
}

static void tell_expiry(struct auth *a, struct instant now)
{
        if (a->token && !a->token->dead && a->token->end_usec != USEC_NEVER)
                metric_set(a->expiry, (double)(now.wall_usec + a->token->end_usec - now.boot_usec) / 1e6);
        else
                metric_set(a->expiry, 0);
}

void auth_discard(struct auth *a, struct token *t)
{
        if (a->old_len == AUTH_OLD_MAX) { /* left to its end */
                token_unref(a->old[0]);
                memmove(a->old, a->old + 1, (AUTH_OLD_MAX - 1) * sizeof(a->old[0]));
                a->old_len--;
        }
        a->old[a->old_len++] = t;
}

void auth_install(struct auth *a, struct token *t)
{
        struct instant now = auth_now();

        if (a->token && token_alive(a->token, now))
                auth_discard(a, a->token);
        else
                token_unref(a->token);
        a->token = t;
        vault_link_cancel(a->token_call); /* it was about the token before, and so would its answer be */
        a->token_call = NULL;
        a->renewal_forbidden = false;
        auth_set_error(a, NULL);
        tell_expiry(a, now);
        if (auth_save(a) < 0)
                log_error("the new token cannot be saved in the state: a restart will log in anew");
        a->events.on_token(t, a->arg);
        auth_tend(a);
        auth_step(a);
}

static void token_died(struct auth *a)
{
        struct token *t = a->token;

        log_warn("the Vault token (accessor %s) is not known to Vault any more: logging in anew", t->accessor);
        t->dead = true;
        tell_expiry(a, auth_now());
        a->events.on_token_dead(t, a->arg);
        auth_step(a);
}

/* Rule 7: nobody can say whether such a token lives: one login in 15 min finds out. Its end makes one due by itself. */
static void log_in_for_hidden(struct auth *a, struct instant now)
{
        if (a->hidden_login_usec != 0 && now.boot_usec < a->hidden_login_usec + HIDDEN_LOGIN_USEC)
                return;
        if (now.boot_usec < a->login_usec || a->phase != AUTH_IDLE)
                return;
        a->hidden_login_usec = now.boot_usec;
        auth_log_in(a);
}

static void on_renewed(const struct vault_reply *reply, void *arg)
{
        struct auth *a = arg;
        struct instant now = auth_now();
        uint64_t next;

        a->token_call = NULL;
        if (reply->outcome == VAULT_OK) {
                token_renewed(a->token, now, reply->asked_usec, reply->auth.ttl_usec, reply->auth.renewable);
                a->renewal_forbidden = false;
                auth_set_error(a, NULL);
                tell_expiry(a, now);
                auth_save(a);
                log_debug("token renewed for %llu s", (unsigned long long)(reply->auth.ttl_usec / USEC_PER_SEC));
        } else {
                next = token_renew_failed(a->token, now, reply->outcome, reply->retry_after_usec);
                auth_set_error(a, "renewing the token failed: %s", reply->error);
                log_warn("renewing the Vault token failed: %s (%ld); next try in %.1f s", reply->error, reply->status,
                         (double)(next - now.boot_usec) / 1e6);
                a->renewal_forbidden = reply->outcome == VAULT_FORBIDDEN;
                if (a->renewal_forbidden && a->token->refused_lookup)
                        log_in_for_hidden(a, now);
                else if (a->renewal_forbidden)
                        auth_doubt(a, a->token);
        }
        auth_step(a);
}

/* A hung renewal must not cost the token, and all leases with it: half of what is left is for another try, or a login. */
static uint64_t renew_timeout(const struct token *t, uint64_t now_usec)
{
        uint64_t left = t->end_usec > now_usec ? t->end_usec - now_usec : 0;

        return left / 2 >= RENEW_TIMEOUT_MOST ? 0 : usec_max(left / 2, RENEW_TIMEOUT_LEAST);
}

static void renew(struct auth *a)
{
        uint64_t timeout = renew_timeout(a->token, auth_now().boot_usec);
        struct vault_request request;

        vault_request_simple(&request, VAULT_TOKEN_RENEW);
        a->token_call = vault_link_send(a->link, LINK_TOKEN, &request, a->token, timeout, on_renewed, a);
}

/* It lives, and a policy forbids to renew it: its end cannot be moved, and another login comes in time (rule 6). */
static void renew_no_more(struct auth *a)
{
        log_warn(
                "the policy of the token forbids auth/token/renew-self: it is replaced by a login before it ends; add: "
                "path \"auth/token/renew-self\" { capabilities = [\"update\"] }");
        a->renewal_forbidden = false;
        a->token->renewable = false;
        a->token->renew_usec = USEC_NEVER;
}

/* The verdict on the current token: after an adoption, or after a 403. */
static void on_judged(const struct vault_reply *reply, void *arg)
{
        struct auth *a = arg;

        a->token_call = NULL;
        if (reply->outcome == VAULT_FORBIDDEN) {
                token_died(a);
                return;
        }
        if (reply->outcome == VAULT_OK) {
                token_granted(a->token, auth_now(), reply->asked_usec, reply->token.ttl_usec, reply->token.renewable,
                              reply->token.is_batch);
                tell_expiry(a, auth_now());
                if (a->renewal_forbidden)
                        renew_no_more(a);
        }
        auth_step(a);
}

/* Return: is it asked? Not while it is being renewed: that answer tells as much. */
static bool judge(struct auth *a)
{
        struct vault_request request;

        if (a->token_call || !a->token || a->token->dead || a->token->refused_lookup)
                return false;
        vault_request_simple(&request, VAULT_TOKEN_LOOKUP);
        a->token_call = vault_link_send(a->link, LINK_TOKEN, &request, a->token, 0, on_judged, a);
        return true;
}

/**
 * auth_doubt() - a request with this token was answered 403 (rule 7)
 * @a: the auth
 * @t: the token that was shown
 *
 * Asks lookup-self, once in 10 s for all who ask. Alive: a policy forbids that path. Dead: one login, on_token_dead().
 */
void auth_doubt(struct auth *a, struct token *t)
{
        uint64_t now = clock_boottime_usec();

        if (t != a->token || (a->doubted_usec != 0 && now < a->doubted_usec + DOUBT_APART_USEC))
                return;
        if (judge(a))
                a->doubted_usec = now;
}

static void token_ended(struct auth *a)
{
        log_warn("the Vault token (accessor %s) has ended", a->token->accessor);
        a->token->dead = true;
        tell_expiry(a, auth_now());
        a->events.on_token_dead(a->token, a->arg);
}

/* Rule 8: a changed credential file is noticed within 2 s, and after a refusal a login is due at once. */
static uint64_t wait_for_login(struct auth *a, struct instant now)
{
        char *error = NULL;

        if (a->refusals == 0)
                return a->login_usec;
        if (a->method->read(a->config, &a->credentials, &error) == 1) {
                a->refusals = 0;
                a->login_usec = 0;
                auth_save(a);
                return now.boot_usec;
        }
        mem_free(error);
        return usec_min(a->login_usec, now.boot_usec + CREDENTIALS_LOOK_USEC);
}

/**
 * auth_step() - does what is due and arms the timer for what is next
 * @a: the auth
 */
void auth_step(struct auth *a)
{
        struct instant now = auth_now();
        enum token_step step = TOKEN_LOGIN;
        uint64_t at = USEC_NEVER;

        auth_tend(a);
        if (a->token && !a->token->dead && now.boot_usec >= a->token->end_usec)
                token_ended(a);
        if (a->token)
                step = token_next(a->token, now, &at);
        if (step == TOKEN_RENEW && !a->token_call && vault_link_is_open(a->link))
                renew(a);
        if (step == TOKEN_LOGIN && a->phase == AUTH_IDLE && vault_link_is_open(a->link)) {
                if (now.boot_usec < a->login_usec) {
                        at = wait_for_login(a, now);
                } else {
                        auth_log_in(a);
                        if (a->phase == AUTH_IDLE) /* it failed at once, and has armed the timer for the next try */
                                return;
                }
        }
        if (step != TOKEN_LOGIN && a->credentials.wrapping && a->phase == AUTH_IDLE && vault_link_is_open(a->link)) {
                if (now.boot_usec >= a->login_usec)
                        auth_unwrap(a);
                else
                        at = usec_min(at, a->login_usec);
        }
        if (step == TOKEN_LOGIN && a->token)
                at = usec_min(at, now.boot_usec < a->token->end_usec ? a->token->end_usec : USEC_NEVER);
        if (a->revoke_usec > now.boot_usec)
                at = usec_min(at, a->revoke_usec);
        loop_timer_at(a->timer, at);
}

/* Rule 8: kept now (a wrapped one is unwrapped at once), used when a login is due; after a refusal that is at once. */
static void look_at_credentials(struct auth *a)
{
        char *error = NULL;

        if (a->method->read(a->config, &a->credentials, &error) == 1) {
                log_info("new login credentials were read; they are used when a login is due");
                auth_save(a);
                if (a->refusals > 0 || a->credentials.wrapping) {
                        a->refusals = 0;
                        a->login_usec = 0;
                }
        }
        mem_free(error); /* said when a login is due */
        auth_step(a);
}

static void on_files(void *arg)
{
        look_at_credentials(arg);
}

static void watch_files(struct auth *a)
{
        const char *const all[] = {a->config->role_id_file_path, a->config->secret_id_file_path,
                                   a->config->token_file_path};
        const char *paths[array_len(all) + 1];
        size_t len = 0;

        for (size_t i = 0; i < array_len(all); i++)
                if (all[i])
                        paths[len++] = all[i];
        paths[len] = NULL;
        file_watch_free(a->files);
        a->files = file_watch_new(a->loop, paths, on_files, a);
}

/**
 * auth_start() - the token that the state held is used at once and looked up; without one, logs in
 * @a: the auth
 */
void auth_start(struct auth *a)
{
        watch_files(a);
        if (auth_token(a)) {
                log_info("using the saved Vault token (accessor %s)", a->token->accessor);
                a->events.on_token(a->token, a->arg);
                judge(a);
        }
        auth_step(a);
        loop_defer(a->loop, tell_refused_before, a);
}

void auth_set_config(struct auth *a, const struct config_auth *config)
{
        a->config = config;
        watch_files(a);
        look_at_credentials(a);
}

void auth_vault_back(struct auth *a)
{
        if (a->refusals == 0 && a->phase == AUTH_IDLE) {
                a->login_usec = 0;
                backoff_reset(&a->backoff);
        }
        if (a->token && a->token->failing && a->token->renewable)
                a->token->renew_usec = clock_boottime_usec();
        auth_step(a);
}

struct token *auth_token(const struct auth *a)
{
        return a->token && token_alive(a->token, auth_now()) ? a->token : NULL;
}

struct token *auth_find(const struct auth *a, uint64_t generation)
{
        if (a->token && a->token->generation == generation)
                return a->token;
        for (size_t i = 0; i < a->old_len; i++)
                if (a->old[i]->generation == generation)
                        return a->old[i];
        return NULL;
}

static void drop_old(struct auth *a, size_t i)
{
        token_unref(a->old[i]);
        a->old_len--;
        memmove(&a->old[i], &a->old[i + 1], (a->old_len - i) * sizeof(a->old[0]));
}

/* Like a lease (rule 16): tried again until its own end, but where the policy forbids it, or it is dead already. */
static void on_old_revoked(const struct vault_reply *reply, void *arg)
{
        struct auth *a = arg;
        bool done = reply->outcome == VAULT_OK || reply->outcome == VAULT_FORBIDDEN;
        uint64_t now = auth_now().boot_usec;

        a->revoke_call = NULL;
        if (done) {
                for (size_t i = a->old_len; i-- > 0;)
                        if (a->old[i] == a->revoking)
                                drop_old(a, i);
                backoff_reset(&a->revoke_backoff);
                auth_save(a);
        } else {
                a->revoke_usec = usec_add(now, usec_max(backoff_next(&a->revoke_backoff, backoff_random()),
                                                        usec_min(reply->retry_after_usec, 300 * USEC_PER_SEC)));
                log_warn("revoking a replaced Vault token (accessor %s) failed: %s (%ld); next try in %.1f s",
                         a->revoking->accessor, reply->error, reply->status, (double)(a->revoke_usec - now) / 1e6);
        }
        a->revoking = token_unref(a->revoking);
        auth_step(a);
}

static void revoke_old(struct auth *a, struct token *t)
{
        struct vault_request request;

        log_info("the replaced Vault token (accessor %s) has no lease left: revoking it", t->accessor);
        a->revoking = token_ref(t);
        vault_request_simple(&request, VAULT_TOKEN_REVOKE);
        a->revoke_call = vault_link_send(a->link, LINK_LOOK_UP, &request, t, 0, on_old_revoked, a);
}

/**
 * auth_tend() - revokes the replaced tokens of which no lease is held any more, one after the other, and forgets those that ended
 * @a: the auth
 */
void auth_tend(struct auth *a)
{
        struct instant now = auth_now();
        bool may_ask = vault_link_is_open(a->link) && now.boot_usec >= a->revoke_usec, changed = false;

        for (size_t i = 0; i < a->old_len;) {
                struct token *t = a->old[i];

                if (!token_alive(t, now)) {
                        drop_old(a, i);
                        changed = true;
                        continue;
                }
                if (t->leases == 0 && !a->revoking && may_ask)
                        revoke_old(a, t);
                i++;
        }
        if (changed)
                auth_save(a);
}

const char *auth_error(const struct auth *a)
{
        return a->error ? a->error : "";
}

json_t *auth_status(const struct auth *a)
{
        struct instant now = auth_now();
        char text[CLOCK_TEXT_LEN];
        json_t *j = json_pack("{s:s, s:b, s:i, s:i}", "method", a->method->name, "valid", auth_token(a) != NULL,
                              "replaced", (int)a->old_len, "login_refusals", (int)a->refusals);

        if (a->token) {
                json_object_set_new(j, "accessor", json_string(a->token->accessor));
                json_object_set_new(j, "renewable", json_boolean(a->token->renewable));
                json_object_set_new(
                        j, "expires_at",
                        a->token->end_usec == USEC_NEVER
                                ? json_null()
                                : json_string(clock_rfc3339(now.wall_usec + a->token->end_usec - now.boot_usec, text)));
        }
        json_object_set_new(j, "error", json_string(auth_error(a)));
        return j;
}

static void on_farewell(const struct vault_reply *reply, void *arg)
{
        struct auth *a = arg;

        if (reply->outcome != VAULT_OK)
                log_warn("revoking a Vault token at the end failed: %s (%ld); it and its leases live to their own end",
                         reply->error, reply->status);
        if (--a->farewell.left == 0)
                a->farewell.done(a->farewell.arg);
}

static void say_farewell(struct auth *a, struct token *t)
{
        struct vault_request request;

        if (!t || !token_alive(t, auth_now()))
                return;
        a->farewell.left++;
        vault_request_simple(&request, VAULT_TOKEN_REVOKE);
        vault_link_send(a->link, LINK_TOKEN, &request, t, 0, on_farewell, a);
}

/**
 * auth_revoke_all() - revokes every living token, and with each its leases (rule 16, on_stop = "revoke")
 * @a: the auth; does nothing else any more
 * @done: called once all were answered, at once where there is none; @arg goes with it
 */
void auth_revoke_all(struct auth *a, void (*done)(void *arg), void *arg)
{
        loop_timer_cancel(a->timer);
        vault_link_cancel(a->call);
        vault_link_cancel(a->token_call);
        vault_link_cancel(a->revoke_call);
        a->call = a->token_call = a->revoke_call = NULL;
        a->farewell.done = done;
        a->farewell.arg = arg;
        say_farewell(a, a->token);
        say_farewell(a, a->candidate);
        for (size_t i = 0; i < a->old_len; i++)
                say_farewell(a, a->old[i]);
        if (a->farewell.left == 0)
                done(arg);
}

/**
 * auth_want_new() - the current token ends too soon for a lease that is wanted (rule 6): log in anew, if it is past half of its life
 * @a: the auth
 * @wanted_usec: the life of the lease
 *
 * Return: is a login due or under way, so that it is better to wait for its token?
 */
bool auth_want_new(struct auth *a, uint64_t wanted_usec)
{
        struct instant now = auth_now();
        const struct token *t = a->token;

        if (!auth_token(a) || t->renewable || t->end_usec == USEC_NEVER ||
            usec_add(now.boot_usec, wanted_usec) <= t->end_usec)
                return false;
        if (now.boot_usec < t->last_start_usec + (t->end_usec - t->last_start_usec) / 2 ||
            now.boot_usec < a->login_usec)
                return false;
        if (a->phase == AUTH_IDLE && vault_link_is_open(a->link))
                auth_log_in(a);
        return a->phase != AUTH_IDLE;
}

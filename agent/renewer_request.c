/* agent/renewer_request.c: what is sent to Vault for one secret, and what each answer does. */
#include <string.h>

#include "agent/auth.h"
#include "agent/keypair.h"
#include "agent/renewer_internal.h"
#include "agent/token.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/secret.h"

#define UNSAVED_RETRY_USEC  (5 * USEC_PER_SEC)
#define NEW_TOKEN_WAIT_USEC (2 * USEC_PER_SEC)
#define TIMEOUT_LEAST_USEC  (2 * USEC_PER_SEC)

/*
 * A hung request must not cost the lease; 0: the configured one. A renewal or a look-up has half of the time until the last tenth
 * begins, where a replacement would have to wait for it. A mint, which may have made what nobody would own, has a third of what
 * the lease was given.
 */
static uint64_t timeout_of(const struct keeper *k)
{
        const struct lease *lease = &k->life.current;
        uint64_t configured = 60 * USEC_PER_SEC, most, tenth;
        struct instant now = renewer_now();

        if (!k->life.has_current || lease->first_usec == 0)
                return 0;
        most = lease->first_usec / 3;
        tenth = lease_last_tenth_usec(lease, now);
        if (k->life.in_flight != LIFE_MINT && tenth > now.boot_usec)
                most = usec_min(most, (tenth - now.boot_usec) / 2);
        return most >= configured ? 0 : usec_max(most, TIMEOUT_LEAST_USEC);
}

static void send(struct keeper *k, enum link_class class, struct vault_request *request, link_fn fn)
{
        struct token *t = auth_token(k->renewer->ctx.auth);

        token_unref(k->asked_with);
        k->asked_with = token_ref(t);
        k->call = vault_link_send(k->renewer->ctx.link, class, request, t, timeout_of(k), fn, k);
}

/* Rule 7: a 403 of a living token forbids that path; of a dead one, everything: lookup-self decides. */
static void landed(struct keeper *k, const struct vault_reply *reply)
{
        k->call = NULL;
        if (reply->outcome == VAULT_FORBIDDEN && k->asked_with)
                auth_doubt(k->renewer->ctx.auth, k->asked_with);
}

static void log_failure(struct keeper *k, const char *what, const struct vault_reply *reply, uint64_t next_usec)
{
        const struct store_version *v = k->secret ? store_current(k->secret) : NULL;
        uint64_t now = clock_boottime_usec(), until = v ? store_expires_at(v) : 0;
        char text[CLOCK_TEXT_LEN];
        cleanup_free char *serving = NULL;

        keeper_fail(k, "%s failed: %s (%ld)", what, reply->error, reply->status);
        if (v && until != USEC_NEVER)
                serving = mem_printf("serving version %llu until %s", (unsigned long long)v->number,
                                     clock_rfc3339(until, text));
        else if (v)
                serving = mem_printf("serving version %llu", (unsigned long long)v->number);
        log_warn("%s: %s failed: %s (%ld); %s, next try in %.1f s", k->name, what, reply->error, reply->status,
                 serving ? serving : "nothing valid to serve", next_usec > now ? (double)(next_usec - now) / 1e6 : 0.0);
}

/* --- mint --- */

static void mint_failed(struct keeper *k, const struct vault_reply *reply, const char *what)
{
        life_on_mint_failed(&k->life, renewer_now(), reply->outcome, reply->retry_after_usec);
        if (reply->outcome == VAULT_FORBIDDEN && k->asked_with != auth_token(k->renewer->ctx.auth))
                k->life.mint_retry_usec = 0; /* of a token that is no more: it says nothing about the path */
        log_failure(k, what, reply, k->life.mint_retry_usec);
        k->key = keypair_free(k->key);
        if (k->secret && k->life.kind == KIND_STATIC && k->life.has_current)
                store_update_end(k->renewer->ctx.store, k->secret, USEC_NEVER, true);
}

static void mint_unusable(struct keeper *k, char *error)
{
        struct vault_reply reply = {.outcome = VAULT_MALFORMED, .status = 200, .error = error};

        mint_failed(k, &reply, "using Vault's answer");
        mem_free(error);
}

/* Saved, then published (rule 10). What cannot be saved waits. */
static void bring_out(struct keeper *k, struct store_version *v)
{
        metric_inc(k->renewer->rotations, 1, k->name, life_why_text(k->why));
        log_info("%s: version %llu (%s, %s)%s", k->name, (unsigned long long)v->number, secret_kind_text(k->life.kind),
                 life_why_text(k->why),
                 k->life.replaced_len > 0 ? "; the replaced one is revoked once its consumers have moved on" : "");
        if (keeper_save(k, v) < 0) {
                k->unsaved = mem_new(sizeof(*k->unsaved));
                *k->unsaved = *v;
                return;
        }
        keeper_publish(k, v);
}

static void on_static(struct keeper *k, const struct vault_reply *reply, struct store_version *v)
{
        uint64_t ttl = keeper_static_ttl(k, reply);
        bool was_failing = k->life.current.failing;

        if (k->life.has_current && keeper_same_content(k, v)) {
                life_on_same(&k->life, renewer_now(), ttl);
                version_done(v);
                if (was_failing)
                        store_update_end(k->renewer->ctx.store, k->secret, USEC_NEVER, false);
                return;
        }
        v->number = life_on_read(&k->life, renewer_now(), ttl);
        bring_out(k, v);
}

static void on_leased(struct keeper *k, struct store_version *v, const struct lease_grant *grant)
{
        struct instant now = renewer_now();
        const struct token *maker;

        v->number = life_on_content(&k->life, now, grant);
        maker = k->life.current.token;
        v->end_boot_usec = k->life.current.end_usec;
        if (maker)
                v->end_boot_usec = usec_min(v->end_boot_usec, maker->end_usec);
        if (maker && maker != auth_token(k->renewer->ctx.auth)) /* another came meanwhile, and did not see this lease */
                life_wish(&k->life, LIFE_WHY_TOKEN, now.boot_usec);
        bring_out(k, v);
}

static void on_content(struct keeper *k, const struct vault_reply *reply)
{
        struct store_version v = {0};
        struct lease_grant grant = {0};
        char *error = NULL;

        if (keeper_read_content(k, reply, &v, &grant, &error) < 0) {
                mint_unusable(k, error);
                return;
        }
        k->key = keypair_free(k->key); /* it is in the content now */
        keeper_good(k);
        if (k->cfg->is_certificate)
                k->life.kind = KIND_CERTIFICATE;
        else
                k->life.kind = *grant.id != '\0' ? KIND_DYNAMIC : KIND_STATIC;
        keeper_need_budget(k);
        if (k->life.kind == KIND_STATIC)
                on_static(k, reply, &v);
        else
                on_leased(k, &v, &grant);
}

static void on_unwanted(struct keeper *k, const struct vault_reply *reply)
{
        const struct lease_grant grant = {.id = reply->lease_id ? reply->lease_id : "",
                                          .token = k->asked_with,
                                          .asked_usec = reply->asked_usec,
                                          .duration_usec = reply->lease_usec};

        k->key = keypair_free(k->key);
        life_on_unwanted(&k->life, renewer_now(), &grant);
        keeper_save(k, NULL);
}

static void on_minted(const struct vault_reply *reply, void *arg)
{
        struct keeper *k = arg;
        struct auth *auth = k->renewer->ctx.auth;

        landed(k, reply);
        keeper_mint_over(k); /* what it made counts by itself, and readers that are told of it may begin another */
        if (reply->outcome != VAULT_OK)
                mint_failed(k, reply, k->life.kind == KIND_STATIC ? "reading" : "minting");
        else if (!k->cfg)
                on_unwanted(k, reply);
        else
                on_content(k, reply);
        if (k->asked_with != auth_token(auth))
                auth_tend(auth);
        keeper_step(k);
}

/**
 * keeper_mint_over() - the mint in flight was answered or is given up: it does not keep its token alive any more
 * @k: the keeper
 */
void keeper_mint_over(struct keeper *k)
{
        if (k->mint_holds_token)
                k->asked_with->leases--;
        k->mint_holds_token = false;
}

static int certificate_request(struct keeper *k, struct vault_request *ret_request, char **ret_error)
{
        const struct config_certificate *c = k->cfg->certificate;
        cleanup_free char *csr = NULL;
        int r;

        k->key = keypair_free(k->key);
        if (c->sign) {
                r = keypair_new(c->key_type, &k->key);
                if (r < 0) {
                        *ret_error = mem_strdup("a key cannot be made");
                        return r;
                }
                r = keypair_csr(k->key, c, &csr, ret_error);
                if (r < 0)
                        return r;
        }
        vault_request_certificate(ret_request, k->cfg->path, c, csr);
        return 0;
}

static void begin_mint(struct keeper *k, struct instant now, const struct life_action *action)
{
        enum link_class class = k->life.kind == KIND_STATIC ? LINK_LOOK_UP : LINK_MINT;
        struct vault_request request;
        char *error = NULL;

        k->why = action->why;
        /* The draw on the budget is saved before it is used, and an agent that cannot save does not mint (rule 10). */
        if ((k->life.kind != KIND_STATIC || k->renewer->save_failing) && keeper_save(k, NULL) < 0) {
                keeper_fail(k, "the state cannot be written: nothing new is asked of Vault until it can");
                life_on_mint_aborted(&k->life, now, now.boot_usec + UNSAVED_RETRY_USEC);
                return;
        }
        if (!auth_token(k->renewer->ctx.auth)) { /* it ended this moment, and that is told soon */
                life_on_mint_aborted(&k->life, now, now.boot_usec + NEW_TOKEN_WAIT_USEC);
                return;
        }
        if (k->life.kind == KIND_DYNAMIC && k->life.has_current &&
            auth_want_new(k->renewer->ctx.auth, k->life.current.first_usec)) {
                life_on_mint_aborted(&k->life, now, now.boot_usec + NEW_TOKEN_WAIT_USEC);
                return;
        }
        if (!k->cfg->is_certificate) {
                vault_request_read(&request, k->cfg->path);
                request.once = k->life.kind != KIND_STATIC;
        } else if (certificate_request(k, &request, &error) < 0) {
                mint_unusable(k, error);
                return;
        }
        if (k->life.kind != KIND_STATIC)
                metric_inc(k->renewer->mints, 1, k->name);
        send(k, action->urgent ? LINK_URGENT : class, &request, on_minted);
        if (k->asked_with) { /* what is on its way would die with it */
                k->asked_with->leases++;
                k->mint_holds_token = true;
        }
}

/* --- renew --- */

static void on_renewed(const struct vault_reply *reply, void *arg)
{
        struct keeper *k = arg;
        uint64_t number = k->life.in_flight_number;
        const struct lease *lease;

        landed(k, reply);
        metric_inc(k->renewer->renewals, 1, k->name, vault_outcome_text(reply->outcome));
        if (reply->outcome == VAULT_OK) {
                keeper_good(k);
                life_on_renewed(&k->life, renewer_now(), reply->asked_usec, reply->lease_usec, reply->renewable);
        } else {
                life_on_renew_failed(&k->life, renewer_now(), reply->outcome, reply->lease_word,
                                     reply->retry_after_usec);
        }
        lease = life_find(&k->life, number);
        if (lease && reply->outcome != VAULT_OK)
                log_failure(k, "renewing the lease", reply, lease->renew_usec);
        if (lease && lease == &k->life.current) {
                keeper_save(k, NULL);
                store_update_end(k->renewer->ctx.store, k->secret, lease_end_usec(lease, renewer_now()),
                                 lease->failing);
        }
        keeper_step(k);
}

/* --- look up --- */

static void on_looked_up(const struct vault_reply *reply, void *arg)
{
        struct keeper *k = arg;
        uint64_t number = k->life.in_flight_number;
        const struct lease *lease;

        landed(k, reply);
        if (reply->outcome == VAULT_OK) {
                life_on_looked_up(&k->life, renewer_now(), reply->asked_usec, reply->lease_usec);
        } else if (reply->outcome == VAULT_REFUSED && reply->lease_word == VAULT_LEASE_INVALID) {
                keeper_fail(k, "the lease of version %llu is not known to Vault any more", (unsigned long long)number);
                life_on_looked_up(&k->life, renewer_now(), reply->asked_usec, 0);
        } else if (reply->outcome == VAULT_FORBIDDEN && auth_token(k->renewer->ctx.auth) == k->asked_with) {
                log_warn("%s: the policy forbids sys/leases/lookup: a revocation is noticed only by renewals and "
                         "rejects",
                         k->name);
                life_on_look_up_forbidden(&k->life, renewer_now());
        } else {
                life_on_look_up_failed(&k->life, renewer_now(), reply->retry_after_usec);
        }
        lease = life_find(&k->life, number);
        if (lease && lease == &k->life.current && !lease->gone)
                store_update_end(k->renewer->ctx.store, k->secret, lease_end_usec(lease, renewer_now()),
                                 lease->failing);
        keeper_step(k);
}

/* --- revoke --- */

static void revoke_failed(struct keeper *k, uint64_t number, const struct vault_reply *reply)
{
        const struct lease *lease;

        life_on_revoke_failed(&k->life, renewer_now(), reply->outcome, reply->retry_after_usec);
        lease = life_find(&k->life, number);
        if (lease && lease->revoke_refused && !k->said_no_revoke) {
                k->said_no_revoke = true;
                log_warn("%s: the policy forbids sys/leases/revoke: replaced leases live to their own end; add: path "
                         "\"sys/leases/revoke\" { capabilities = [\"update\"] }",
                         k->name);
        } else if (lease && !lease->revoke_refused) {
                log_warn("%s: revoking the lease of version %llu failed: %s (%ld); tried again until its end", k->name,
                         (unsigned long long)number, reply->error, reply->status);
        }
}

static void on_revoked(const struct vault_reply *reply, void *arg)
{
        struct keeper *k = arg;
        uint64_t number = k->life.in_flight_number;

        landed(k, reply);
        metric_inc(k->renewer->revocations, 1, vault_outcome_text(reply->outcome));
        if (reply->outcome == VAULT_OK) {
                log_info("%s: the lease of version %llu is revoked", k->name, (unsigned long long)number);
                life_on_revoked(&k->life);
                if (k->secret)
                        store_forget_version(k->secret, number);
        } else {
                revoke_failed(k, number, reply);
        }
        keeper_save(k, NULL);
        auth_tend(k->renewer->ctx.auth);
        keeper_step(k);
}

/**
 * keeper_begin() - sends what life_next() said
 * @k: the keeper; no request of it is in flight
 * @now: now
 * @action: MINT, RENEW, LOOK_UP or REVOKE
 */
void keeper_begin(struct keeper *k, struct instant now, const struct life_action *action)
{
        const struct lease *lease = life_find(&k->life, action->number);
        struct vault_request request;

        life_begin(&k->life, now, action);
        switch (action->step) {
        case LIFE_MINT: begin_mint(k, now, action); return;
        case LIFE_RENEW:
                vault_request_lease(&request, VAULT_LEASE_RENEW, lease->id);
                send(k, LINK_RENEW, &request, on_renewed);
                return;
        case LIFE_LOOK_UP:
                vault_request_lease(&request, VAULT_LEASE_LOOKUP, lease->id);
                send(k, LINK_LOOK_UP, &request, on_looked_up);
                return;
        default:
                vault_request_lease(&request, VAULT_LEASE_REVOKE, lease->id);
                send(k, LINK_LOOK_UP, &request, on_revoked);
        }
}

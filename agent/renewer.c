/* agent/renewer.c: the secrets under care: made, adopted, stepped, published. What is sent and answered is renewer_request.c. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/auth.h"
#include "agent/keypair.h"
#include "agent/renewer_internal.h"
#include "agent/state.h"
#include "agent/token.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/secret.h"

#define STEPS_MAX       16 /* of one secret at once; more would be a loop without end */
#define SAVE_RETRY_USEC USEC_PER_SEC
#define GONE_GRACE_USEC (30 * USEC_PER_SEC) /* the default, where the state does not tell what was configured */

struct instant renewer_now(void)
{
        return (struct instant){
                .boot_usec = clock_boottime_usec(), .wall_usec = clock_realtime_usec(), .random = backoff_random()};
}

/* --- keepers --- */

static void on_due(void *arg)
{
        keeper_step(arg);
}

static enum secret_kind guess_kind(const struct config_secret *cfg)
{
        if (cfg->is_certificate)
                return KIND_CERTIFICATE;
        return strstr(cfg->path, "/creds/") ? KIND_DYNAMIC : KIND_STATIC;
}

static struct life_config life_config_of(const struct config_secret *cfg)
{
        return (struct life_config){
                .grace_usec = cfg->grace_usec, .refresh_usec = cfg->refresh_usec, .verify_usec = cfg->verify_usec};
}

/* A name that was a secret and is a certificate now, or the other way round: what was known of its kind counts no more. */
void keeper_match_kind(struct keeper *k)
{
        if (k->cfg && k->cfg->is_certificate != (k->life.kind == KIND_CERTIFICATE))
                k->life.kind = guess_kind(k->cfg);
}

/* A static secret mints nothing and has no budget; what turns out to be leased gets one. */
void keeper_need_budget(struct keeper *k)
{
        if (k->life.kind == KIND_STATIC || !k->cfg || k->budget)
                return;
        k->budget = mint_budget_get(k->renewer, k->cfg->path, k->cfg->mint_burst);
        k->life.bucket = &k->budget->bucket;
        /* From 0 on: Prometheus sees no rise in a counter's first appearance. */
        metric_inc(k->renewer->mints, 0, k->name);
        metric_inc(k->renewer->budget_waits, 0, k->name);
}

/* cfg NULL: a name that is gone from the config, whose leases are still to be revoked. */
struct keeper *keeper_new(struct renewer *r, const char *name, const struct config_secret *cfg)
{
        const struct life_config gone = {.grace_usec = GONE_GRACE_USEC};
        const struct life_config config = cfg ? life_config_of(cfg) : gone;
        struct keeper *k = mem_new(sizeof(*k));

        k->renewer = r;
        k->name = mem_strdup(name);
        k->cfg = cfg;
        k->timer = loop_timer_new(r->ctx.loop, on_due, k);
        life_init(&k->life, &config, cfg ? guess_kind(cfg) : KIND_DYNAMIC, NULL, clock_realtime_usec() / 1000 - 1);
        keeper_need_budget(k);
        k->life.away = !r->can_ask;
        k->life.leaving = !cfg;
        if (cfg) {
                k->secret = store_add(r->ctx.store, cfg, k->life.kind, k->life.last_number + 1);
                store_set_tag(k->secret, k);
                r->nothing_valid++;
        }
        k->next = r->keepers;
        if (k->next)
                k->next->prev = k;
        r->keepers = k;
        return k;
}

static void drop_unsaved(struct keeper *k)
{
        if (k->unsaved)
                version_done(k->unsaved);
        k->unsaved = mem_free(k->unsaved);
}

void keeper_free(struct keeper *k)
{
        struct renewer *r = k->renewer;

        *(k->prev ? &k->prev->next : &r->keepers) = k->next;
        if (k->next)
                k->next->prev = k->prev;
        if (k->secret && !store_current(k->secret))
                r->nothing_valid--;
        vault_link_cancel(k->call);
        keeper_mint_over(k);
        token_unref(k->asked_with);
        loop_timer_free(k->timer);
        life_done(&k->life);
        if (k->budget)
                mint_budget_put(r, k->budget);
        drop_unsaved(k);
        keypair_free(k->key);
        mem_free(k->name);
        mem_free(k->error);
        mem_free(k);
}

void keeper_fail(struct keeper *k, const char *fmt, ...)
{
        char text[512];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        mem_free(k->error);
        k->error = mem_strdup(text);
}

void keeper_good(struct keeper *k)
{
        k->error = mem_free(k->error);
        k->refreshed_usec = clock_realtime_usec();
}

static void count_valid(struct keeper *k, bool had)
{
        struct renewer *r = k->renewer;
        bool has = store_current(k->secret) != NULL;

        if (had && !has)
                r->nothing_valid++;
        else if (!had && has)
                r->nothing_valid--;
        vault_link_hurry(r->ctx.link, r->nothing_valid > 0);
}

/* Steals v's members: saved already. */
void keeper_publish(struct keeper *k, struct store_version *v)
{
        bool had = store_current(k->secret) != NULL;

        store_set_kind(k->secret, k->life.kind);
        store_publish(k->renewer->ctx.store, k->secret, v);
        count_valid(k, had);
}

static void stop_serving(struct keeper *k, uint64_t number, const char *why)
{
        bool had = store_current(k->secret) != NULL;

        log_warn("%s: version %llu is no longer served: %s", k->name, (unsigned long long)number, why);
        store_lose(k->renewer->ctx.store, k->secret, why);
        count_valid(k, had);
}

static void lose(struct keeper *k, enum life_why why)
{
        const char *reason = why == LIFE_WHY_GONE ? "its lease is not known to Vault any more" : "it has ended";
        uint64_t number = k->life.current.number;
        cleanup_free char *text =
                k->error && why != LIFE_WHY_GONE ? mem_printf("%s; %s", reason, k->error) : mem_strdup(reason);

        stop_serving(k, number, text);
        life_lost(&k->life, why);
        store_forget_version(k->secret, number);
        keeper_save(k, NULL);
        auth_tend(k->renewer->ctx.auth);
}

static void drop(struct keeper *k, uint64_t number)
{
        life_dropped(&k->life, number);
        if (k->secret)
                store_forget_version(k->secret, number);
        keeper_save(k, NULL);
        auth_tend(k->renewer->ctx.auth);
}

static void went_stale(struct keeper *k)
{
        life_stale(&k->life);
        store_update_end(k->renewer->ctx.store, k->secret, k->life.current.end_usec, true);
}

static uint64_t end_of_served(const struct keeper *k, struct instant now)
{
        const struct store_version *v = store_current(k->secret);
        const struct lease *lease = v ? life_find(&k->life, v->number) : NULL;

        if (lease)
                return lease->gone ? 0 : lease_end_usec(lease, now);
        return v ? usec_min(v->end_boot_usec, instant_wall_to_boot(now, v->end_wall_usec)) : USEC_NEVER;
}

/* Minted but not saved: nothing else happens to this secret until it is (rule 10), but that what is served meanwhile may end. */
static bool settle_unsaved(struct keeper *k)
{
        struct instant now = renewer_now();
        uint64_t end;

        if (!k->unsaved)
                return true;
        if (keeper_save(k, k->unsaved) < 0) {
                end = end_of_served(k, now);
                if (end <= now.boot_usec)
                        stop_serving(k, store_current(k->secret)->number,
                                     "it has ended, and the one after it cannot be saved");
                loop_timer_at(k->timer, usec_min(now.boot_usec + SAVE_RETRY_USEC, usec_max(end, now.boot_usec + 1)));
                return false;
        }
        if (k->life.current.gone || lease_end_usec(&k->life.current, now) <= now.boot_usec) {
                drop_unsaved(k);
                return true;
        }
        keeper_publish(k, k->unsaved);
        k->unsaved = mem_free(k->unsaved);
        return true;
}

static void tell_wait(struct keeper *k, const struct life_action *action, struct instant now)
{
        if (action->budget && !k->said_budget) {
                log_warn("%s: a new version is wanted (%s), but the mint budget of %s is spent; next in %.1f s",
                         k->name, life_why_text(action->why), k->budget->path,
                         (double)(action->at_usec - now.boot_usec) / 1e6);
                metric_inc(k->renewer->budget_waits, 1, k->name);
        }
        k->said_budget = action->budget;
}

static bool is_finished(const struct keeper *k)
{
        return !k->cfg && k->life.replaced_len == 0 && k->life.in_flight == LIFE_WAIT;
}

/* A name that is gone from the config: its leases are revoked or have ended. */
static void finish(struct keeper *k)
{
        struct renewer *r = k->renewer;

        log_info("%s: removed, and its leases with it", k->name);
        state_remove_secret(r->ctx.state, k->name);
        keeper_free(k);
        auth_tend(r->ctx.auth);
}

/**
 * keeper_step() - does what is due for one secret and arms its timer for what is next
 * @k: the keeper; may be freed when it returns, if its secret is gone from the config
 */
void keeper_step(struct keeper *k)
{
        struct life_action action;
        struct instant now;

        if (k->stopped || !settle_unsaved(k))
                return;
        for (unsigned i = 0; i < STEPS_MAX; i++) {
                if (is_finished(k)) {
                        finish(k);
                        return;
                }
                now = renewer_now();
                action = life_next(&k->life, now);
                switch (action.step) {
                case LIFE_WAIT:
                        tell_wait(k, &action, now);
                        loop_timer_at(k->timer, action.at_usec);
                        return;
                case LIFE_LOSE: lose(k, action.why); break;
                case LIFE_DROP: drop(k, action.number); break;
                case LIFE_STALE: went_stale(k); break;
                default: keeper_begin(k, now, &action);
                }
        }
        loop_timer_in(k->timer, USEC_PER_SEC);
}

/* --- the renewer --- */

static void write_next_actions(struct metric_rows *rows, void *arg)
{
        const struct renewer *r = arg;
        struct instant now = renewer_now();

        for (const struct keeper *k = r->keepers; k; k = k->next) {
                uint64_t at = loop_timer_due(k->timer);

                if (k->cfg)
                        metric_row(rows, at == USEC_NEVER ? 0 : (double)(now.wall_usec + at - now.boot_usec) / 1e6,
                                   k->name);
        }
}

static void add_metrics(struct renewer *r, struct metrics *m)
{
        r->rotations = metrics_add(m, METRIC_COUNTER, "leasekeeper_secret_rotations_total",
                                   "Published new versions, by reason.", "secret,reason", NULL);
        r->renewals = metrics_add(m, METRIC_COUNTER, "leasekeeper_secret_renewals_total", "Lease renewals, by outcome.",
                                  "secret,outcome", NULL);
        r->mints =
                metrics_add(m, METRIC_COUNTER, "leasekeeper_mints_total",
                            "Requests to Vault for new content that makes a lease or a certificate.", "secret", NULL);
        r->budget_waits = metrics_add(m, METRIC_COUNTER, "leasekeeper_mint_budget_waits_total",
                                      "Times that a new version had to wait for the mint budget.", "secret", NULL);
        r->revocations = metrics_add(m, METRIC_COUNTER, "leasekeeper_revocations_total",
                                     "Revocations of replaced leases, by outcome.", "outcome", NULL);
        for (int outcome = VAULT_OK; outcome <= VAULT_MALFORMED; outcome++)
                metric_inc(r->revocations, 0, vault_outcome_text((enum vault_outcome)outcome));
        metrics_add_rows(m, METRIC_GAUGE, "leasekeeper_secret_next_action_timestamp_seconds",
                         "When the agent does something about this secret next; 0: only when something happens.",
                         "secret", write_next_actions, r);
        metrics_add_rows(m, METRIC_GAUGE, "leasekeeper_secret_life_seconds",
                         "Length of the life that the current version's end is the end of.", "secret,kind",
                         renewer_write_lives, r);
}

struct renewer *renewer_new(const struct renewer_context *ctx)
{
        struct renewer *r = mem_new(sizeof(*r));

        r->ctx = *ctx;
        add_metrics(r, ctx->metrics);
        return r;
}

struct renewer *renewer_free(struct renewer *r)
{
        if (!r)
                return NULL;
        while (r->keepers)
                keeper_free(r->keepers);
        return mem_free(r);
}

/* What ended while nobody was there is not served; what was adopted for other parameters is replaced. */
static void adopt(struct keeper *k)
{
        int r = keeper_load(k);

        life_reconfigured(&k->life, renewer_now()); /* `verify` may have been changed while nobody was there */
        if (r == 1)
                life_wish(&k->life, LIFE_WHY_CHANGED, 0);
}

static bool is_configured(const struct config *config, const char *name)
{
        return config_find_secret(config, name) != NULL;
}

static void step_all(struct renewer *r, bool valid)
{
        struct keeper *k, *next;

        for (k = r->keepers; k; k = next) {
                next = k->next;
                if (k->life.has_current == valid)
                        keeper_step(k);
        }
}

void renewer_load(struct renewer *r, const struct config *config)
{
        char **saved = state_list_secrets(r->ctx.state);

        for (size_t i = 0; i < config->secrets_len; i++)
                adopt(keeper_new(r, config->secrets[i].name, &config->secrets[i]));
        for (size_t i = 0; saved[i]; i++) {
                if (!is_configured(config, saved[i]))
                        adopt(keeper_new(r, saved[i], NULL));
                mem_free(saved[i]);
        }
        mem_free(saved);
        step_all(r, false); /* once all leases are known: a token of which none is held is revoked */
        step_all(r, true);
        vault_link_hurry(r->ctx.link, r->nothing_valid > 0);
}

static struct keeper *find_keeper(struct renewer *r, const char *name)
{
        for (struct keeper *k = r->keepers; k; k = k->next)
                if (strcmp(k->name, name) == 0)
                        return k;
        return NULL;
}

/* Of several secrets of one path the largest counts. */
static unsigned burst_of(const struct mint_budget *b, unsigned burst)
{
        if (b->refs > 1 && burst < b->bucket.burst)
                return b->bucket.burst;
        return burst > 0 ? burst : 1;
}

static void take_config(struct keeper *k, const struct config_secret *cfg)
{
        cleanup_free char *before = config_secret_identity(k->cfg), *after = config_secret_identity(cfg);
        struct renewer *r = k->renewer;

        k->life.config = life_config_of(cfg);
        life_reconfigured(&k->life, renewer_now());
        if (k->budget)
                k->budget->bucket.burst = burst_of(k->budget, cfg->mint_burst);
        store_set_config(r->ctx.store, k->secret, cfg);
        if (strcmp(before, after) != 0) {
                if (k->budget)
                        mint_budget_put(r, k->budget);
                k->budget = NULL;
                k->life.bucket = NULL;
                k->life.in_flight_drew = false; /* the budget that it drew on is gone with the path */
                k->cfg = cfg;
                keeper_match_kind(k);
                keeper_need_budget(k);
                life_wish(&k->life, LIFE_WHY_CHANGED, 0);
        }
        k->cfg = cfg;
}

/* Gone from the config (rule 14): lost for its readers, its leases revoked after g. */
static void leave(struct keeper *k)
{
        struct renewer *r = k->renewer;
        struct lease current = {0};

        if (!store_current(k->secret))
                r->nothing_valid--;
        store_remove(r->ctx.store, k->secret);
        drop_unsaved(k); /* its lease is the current one of its life */
        k->secret = NULL;
        k->cfg = NULL;
        k->life.leaving = true;
        if (k->life.has_current) {
                current = k->life.current;
                k->life.has_current = false;
                if (*current.id != '\0')
                        life_adopt_replaced(&k->life, renewer_now(), &current);
                else
                        lease_end(&current);
        }
        keeper_save(k, NULL);
        keeper_step(k);
}

void renewer_reconfigure(struct renewer *r, const struct config *config)
{
        struct keeper *k, *next;

        for (k = r->keepers; k; k = next) {
                const struct config_secret *cfg = config_find_secret(config, k->name);

                next = k->next;
                if (!k->cfg)
                        continue;
                if (cfg) {
                        take_config(k, cfg);
                        keeper_step(k);
                } else {
                        leave(k);
                }
        }
        for (size_t i = 0; i < config->secrets_len; i++) {
                k = find_keeper(r, config->secrets[i].name);
                if (k && k->cfg)
                        continue;
                if (k) /* it was leaving and is back: what is left of it ends by itself */
                        keeper_free(k);
                k = keeper_new(r, config->secrets[i].name, &config->secrets[i]);
                adopt(k);
                keeper_step(k);
        }
        vault_link_hurry(r->ctx.link, r->nothing_valid > 0);
}

/**
 * renewer_on_gate() - may Vault be asked? The gate or the token changed
 * @r: the renewer
 *
 * Those with nothing valid go first (rule 4); the link's rate limit spreads the rest.
 */
void renewer_on_gate(struct renewer *r)
{
        bool can_ask = vault_link_is_open(r->ctx.link) && auth_token(r->ctx.auth);
        struct instant now = renewer_now();

        if (can_ask == r->can_ask)
                return;
        r->can_ask = can_ask;
        for (struct keeper *k = r->keepers; k; k = k->next) {
                if (can_ask)
                        life_on_vault_back(&k->life, now);
                else
                        life_on_vault_away(&k->life);
        }
        step_all(r, false);
        step_all(r, true);
}

static uint64_t count_leases(const struct renewer *r)
{
        uint64_t n = 0;

        for (const struct keeper *k = r->keepers; k; k = k->next)
                n += k->life.has_current && *k->life.current.id != '\0';
        return n;
}

/**
 * renewer_on_token() - another token is current: every lease of an older one is replaced (rule 6)
 * @r: the renewer
 * @t: the new token
 *
 * Spread by 20 ms a lease, over at most a minute and at most half of what the old token has left.
 */
void renewer_on_token(struct renewer *r, struct token *t)
{
        struct instant now = renewer_now();
        uint64_t most = usec_min(60 * USEC_PER_SEC, count_leases(r) * 20 * USEC_PER_MSEC);

        for (struct keeper *k = r->keepers; k; k = k->next) {
                const struct lease *c = &k->life.current;
                uint64_t end, spread;

                k->life.no_look_ups = false;
                if (!k->life.has_current || *c->id == '\0' || c->token == t)
                        continue;
                end = lease_end_usec(c, now);
                spread = usec_min(most, end > now.boot_usec ? (end - now.boot_usec) / 2 : 0);
                life_wish(&k->life, LIFE_WHY_TOKEN, now.boot_usec + (uint64_t)((double)spread * backoff_random()));
        }
        renewer_on_gate(r);
        step_all(r, false);
        step_all(r, true);
}

void renewer_on_token_dead(struct renewer *r, struct token *t)
{
        struct instant now = renewer_now();

        for (struct keeper *k = r->keepers; k; k = k->next) {
                life_on_token_gone(&k->life, now, t);
                k->life.mint_retry_usec = 0;
        }
        renewer_on_gate(r);
        step_all(r, false);
        step_all(r, true);
}

/**
 * renewer_on_clock_step() - the wall clock was set by more than 10 s (rule 13)
 * @r: the renewer
 *
 * Leases live by another clock and are looked up again, spread by 20 ms each over at most a minute; certificates are judged anew.
 */
void renewer_on_clock_step(struct renewer *r)
{
        struct instant now = renewer_now();
        uint64_t spread = usec_min(60 * USEC_PER_SEC, count_leases(r) * 20 * USEC_PER_MSEC);

        for (struct keeper *k = r->keepers; k; k = k->next)
                if (k->life.has_current && k->life.current.verify_usec != USEC_NEVER)
                        k->life.current.verify_usec =
                                usec_min(k->life.current.verify_usec,
                                         now.boot_usec + (uint64_t)((double)spread * backoff_random()));
        step_all(r, false);
        step_all(r, true);
}

/**
 * renewer_stop() - nothing is asked of Vault any more
 * @r: the renewer
 * @reason: what the readers are told; NULL: nothing, what is served stays
 */
void renewer_stop(struct renewer *r, const char *reason)
{
        for (struct keeper *k = r->keepers; k; k = k->next) {
                loop_timer_cancel(k->timer);
                vault_link_cancel(k->call);
                k->call = NULL;
                k->stopped = true;
                if (reason && k->secret) {
                        bool had = store_current(k->secret) != NULL;

                        store_lose(r->ctx.store, k->secret, reason);
                        count_valid(k, had);
                }
        }
}

/**
 * renewer_leave() - takes every secret from its readers, and its outputs with it; renewer_stop() came before
 * @r: the renewer; has nothing to do any more
 */
void renewer_leave(struct renewer *r)
{
        for (struct keeper *k = r->keepers; k; k = k->next) {
                if (!k->secret)
                        continue;
                if (!store_current(k->secret))
                        r->nothing_valid--;
                store_remove(r->ctx.store, k->secret);
                k->secret = NULL;
                k->cfg = NULL;
        }
}

void renewer_given(struct renewer *r, struct store_secret *s)
{
        struct keeper *k = store_tag(s);

        (void)r;
        if (k->life.has_current)
                k->life.current.unnamed = store_read_unnamed(s, k->life.current.number);
        keeper_save(k, NULL); /* before the reader has it */
}

void renewer_acked(struct renewer *r, struct store_secret *s)
{
        struct keeper *k = store_tag(s);
        struct instant now = renewer_now();

        (void)r;
        if (k->life.has_current && store_anyone_acked(s, k->life.current.number))
                life_on_acked(&k->life, k->life.current.number);
        for (size_t i = 0; i < k->life.replaced_len; i++) {
                uint64_t number = k->life.replaced[i].number;

                if (store_anyone_acked(s, number))
                        life_on_acked(&k->life, number);
                if (store_all_moved_on(s, number))
                        life_all_moved_on(&k->life, now, number);
        }
        keeper_save(k, NULL); /* before a revocation follows from it */
        keeper_step(k);
}

void renewer_rejected(struct renewer *r, struct store_secret *s, bool denied)
{
        struct keeper *k = store_tag(s);

        (void)r;
        life_on_reject(&k->life, renewer_now(), denied);
        keeper_step(k);
}

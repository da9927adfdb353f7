/* agent/life_events.c: what an answer, a consumer or an operator changes in one secret's life (docs/LEASES.md). */
#include <string.h>

#include "agent/life.h"
#include "agent/token.h"
#include "common/mem.h"

#define DENIED_APART_USEC  (3 * USEC_PER_SEC / 2) /* a second `denied` counts from here */
#define DENIED_FORGET_USEC (60 * USEC_PER_SEC)
#define RETRY_AFTER_MAX    (300 * USEC_PER_SEC)

static struct lease *find(struct life *l, uint64_t number)
{
        if (l->has_current && l->current.number == number)
                return &l->current;
        for (size_t i = 0; i < l->replaced_len; i++)
                if (l->replaced[i].number == number)
                        return &l->replaced[i];
        return NULL;
}

const struct lease *life_find(const struct life *l, uint64_t number)
{
        if (l->has_current && l->current.number == number)
                return &l->current;
        for (size_t i = 0; i < l->replaced_len; i++)
                if (l->replaced[i].number == number)
                        return &l->replaced[i];
        return NULL;
}

static struct lease *landed(struct life *l)
{
        l->in_flight = LIFE_WAIT;
        return find(l, l->in_flight_number);
}

static void remove_replaced(struct life *l, size_t i)
{
        lease_end(&l->replaced[i]);
        l->replaced_len--;
        memmove(&l->replaced[i], &l->replaced[i + 1], (l->replaced_len - i) * sizeof(l->replaced[0]));
        if (l->replaced_len == 0)
                l->replaced = mem_free(l->replaced);
}

/* steals lease's members */
static void add_replaced(struct life *l, const struct lease *lease)
{
        size_t victim = 0;

        if (l->replaced_len == LIFE_REPLACED_MAX) { /* left to its end: what nobody acknowledged goes first */
                for (size_t i = l->replaced_len; i-- > 0;)
                        if (!l->replaced[i].acked)
                                victim = i;
                remove_replaced(l, victim);
        }
        l->replaced = mem_resize(l->replaced, l->replaced_len + 1, sizeof(*l->replaced));
        l->replaced[l->replaced_len++] = *lease;
}

/**
 * life_begin() - the renewer sends what life_next() said
 * @l: the life
 * @now: now
 * @action: MINT, RENEW, LOOK_UP or REVOKE
 */
void life_begin(struct life *l, struct instant now, const struct life_action *action)
{
        l->in_flight = action->step;
        l->in_flight_number = action->number;
        l->in_flight_drew = false;
        if (action->step == LIFE_MINT) {
                l->in_flight_wish = l->wish;
                l->wish = LIFE_WHY_NONE;
                l->in_flight_drew = l->kind != KIND_STATIC;
                if (l->in_flight_drew)
                        bucket_take(l->bucket, now.boot_usec);
        } else if (action->step == LIFE_LOOK_UP) {
                l->reject_look_up_usec = now.boot_usec;
        }
}

static void minted(struct life *l)
{
        l->in_flight = LIFE_WAIT;
        l->in_flight_wish = LIFE_WHY_NONE;
        l->mint_failing = false;
        l->mint_retry_usec = 0;
        backoff_reset(&l->mint_backoff);
}

/* Another version is there: those that were kept for the rejected one's sake get their g now. */
static void release_kept(struct life *l, struct instant now)
{
        l->lost_unwanted = false;
        for (size_t i = 0; i < l->replaced_len; i++)
                if (l->replaced[i].acked && !l->replaced[i].revoke_refused)
                        lease_replaced(&l->replaced[i], now, l->config.grace_usec);
}

/* The current version becomes a replaced one. */
static void retire_current(struct life *l, struct instant now)
{
        struct lease old = l->current;
        bool unwanted = old.rejected && !old.acked;

        if (unwanted)
                release_kept(l, now);
        l->has_current = false;
        if (*old.id == '\0' || old.gone) {
                lease_end(&old);
                return;
        }
        lease_replaced(&old, now, l->config.grace_usec);
        if (unwanted && !old.unnamed)
                old.revoke_usec = now.boot_usec;
        add_replaced(l, &old);
}

/**
 * life_on_content() - a mint was answered: it becomes the current version
 * @l: the life
 * @now: when the answer came
 * @grant: what was granted
 *
 * Return: the number of the new version.
 */
uint64_t life_on_content(struct life *l, struct instant now, const struct lease_grant *grant)
{
        uint64_t end;

        minted(l);
        if (l->wish == LIFE_WHY_REJECTED) /* meant the version that goes */
                l->wish = LIFE_WHY_NONE;
        if (l->has_current)
                retire_current(l, now);
        else if (l->lost_unwanted)
                release_kept(l, now);
        lease_begin(&l->current, now, grant, l->no_look_ups ? 0 : l->config.verify_usec);
        l->current.number = ++l->last_number;
        l->has_current = true;
        l->denied_usec = 0;
        l->denied_again = false;
        end = lease_end_usec(&l->current, now);
        if (l->kind != KIND_STATIC)
                bucket_set_life(l->bucket, now.boot_usec, end - usec_min(end, now.boot_usec));
        return l->current.number;
}

static void plan_refresh(struct life *l, struct instant now, uint64_t ttl_usec)
{
        uint64_t wait = (uint64_t)((double)l->config.refresh_usec * (0.9 + now.random / 5));

        if (ttl_usec > 0) { /* database/static-creds: at its ttl + 1 s */
                l->change_usec = usec_add(now.boot_usec, ttl_usec);
                wait = ttl_usec + USEC_PER_SEC;
        }
        l->refresh_usec = usec_add(now.boot_usec, wait);
}

/**
 * life_on_read() - a static secret was read and its content is new
 * @l: the life
 * @now: when the answer came
 * @ttl_usec: `ttl` of database/static-creds; 0 for all else
 *
 * Return: the number of the new version.
 */
uint64_t life_on_read(struct life *l, struct instant now, uint64_t ttl_usec)
{
        const struct lease_grant nothing = {.id = ""};

        backoff_reset(&l->change_backoff);
        plan_refresh(l, now, ttl_usec);
        return life_on_content(l, now, &nothing);
}

/**
 * life_on_same() - a static secret was read and its content is what it was (rule 11)
 * @l: the life
 * @now: when the answer came
 * @ttl_usec: as in life_on_read()
 *
 * Where another password was expected by now, it is asked for again soon, whatever the new ttl says.
 */
void life_on_same(struct life *l, struct instant now, uint64_t ttl_usec)
{
        bool overdue = now.boot_usec >= l->change_usec;

        minted(l);
        l->current.failing = false;
        if (!overdue) {
                plan_refresh(l, now, ttl_usec);
                return;
        }
        l->refresh_usec =
                usec_add(now.boot_usec, usec_max(USEC_PER_SEC / 2, backoff_next(&l->change_backoff, now.random)));
}

/**
 * life_on_unwanted() - a mint was answered when its secret had left the configuration: nobody gets it, and it is revoked at once
 * @l: the life; leaving
 * @now: when the answer came
 * @grant: what was granted
 */
void life_on_unwanted(struct life *l, struct instant now, const struct lease_grant *grant)
{
        struct lease lease;

        minted(l);
        if (*grant->id == '\0')
                return;
        lease_begin(&lease, now, grant, 0);
        lease.number = ++l->last_number;
        lease.revoke_usec = now.boot_usec;
        add_replaced(l, &lease);
}

static bool is_slow(enum vault_outcome outcome)
{
        return outcome == VAULT_FORBIDDEN || outcome == VAULT_REFUSED || outcome == VAULT_NOT_FOUND;
}

/* Which of two wishes is fulfilled as the other would be, and more: sooner, or with what the other must not draw. */
static int rank(enum life_why why)
{
        switch (why) {
        case LIFE_WHY_NONE: return 0;
        case LIFE_WHY_TOKEN: return 2;
        case LIFE_WHY_CHANGED: return 3;
        case LIFE_WHY_REJECTED: return 4;
        default: return 1;
        }
}

static void restore_wish(struct life *l)
{
        l->in_flight = LIFE_WAIT;
        if (rank(l->in_flight_wish) > rank(l->wish)) {
                l->wish = l->in_flight_wish;
                l->wish_usec = 0;
        }
        l->in_flight_wish = LIFE_WHY_NONE;
}

/**
 * life_on_mint_failed() - no new version (rule 4, second part; rule 5: who gets the draw back)
 * @l: the life
 * @now: when it failed
 * @outcome: how
 * @retry_after_usec: 0: none
 */
void life_on_mint_failed(struct life *l, struct instant now, enum vault_outcome outcome, uint64_t retry_after_usec)
{
        uint64_t base = is_slow(outcome) ? 15 * USEC_PER_SEC : USEC_PER_SEC;
        uint64_t wait;

        restore_wish(l);
        l->mint_failing = true;
        if (l->mint_backoff.base_usec != base)
                l->mint_backoff = (struct backoff){
                        .base_usec = base, .cap_usec = is_slow(outcome) ? 300 * USEC_PER_SEC : 15 * USEC_PER_SEC};
        wait = usec_max(backoff_next(&l->mint_backoff, now.random), usec_min(retry_after_usec, RETRY_AFTER_MAX));
        l->mint_retry_usec = usec_add(now.boot_usec, wait);
        if (l->kind == KIND_STATIC && l->has_current)
                l->current.failing = true;
        if (outcome == VAULT_THROTTLED && l->bucket)
                bucket_empty_until(l->bucket, now.boot_usec,
                                   usec_add(now.boot_usec, usec_min(retry_after_usec, RETRY_AFTER_MAX)));
        else if (l->in_flight_drew && outcome != VAULT_UNREACHABLE && outcome != VAULT_MALFORMED)
                bucket_give_back(l->bucket, now.boot_usec);
}

/**
 * life_on_mint_aborted() - it was not asked after all (the state cannot be saved)
 * @l: the life
 * @now: now
 * @retry_usec: CLOCK_BOOTTIME of the next try
 */
void life_on_mint_aborted(struct life *l, struct instant now, uint64_t retry_usec)
{
        restore_wish(l);
        l->mint_retry_usec = retry_usec;
        if (l->in_flight_drew)
                bucket_give_back(l->bucket, now.boot_usec);
}

void life_on_renewed(struct life *l, struct instant now, uint64_t asked_usec, uint64_t duration_usec, bool renewable)
{
        struct lease *lease = landed(l);

        if (lease)
                lease_renewed(lease, now, asked_usec, duration_usec, renewable);
}

void life_on_renew_failed(struct life *l, struct instant now, enum vault_outcome outcome, enum vault_lease_word word,
                          uint64_t retry_after_usec)
{
        struct lease *lease = landed(l);

        if (!lease)
                return;
        lease_renew_failed(lease, now, outcome, word, retry_after_usec);
        if (lease->doubtful && l->no_look_ups) { /* nobody can be asked: taken for alive, its end for fixed */
                lease->doubtful = false;
                lease->movable = false;
                lease->verify_usec = USEC_NEVER;
        }
}

/* A second `denied` of a lease that lives: replaced if somebody had acknowledged it, else once (design: reject). */
static void decide_denied(struct life *l, struct instant now)
{
        if (!l->denied_again || !l->has_current)
                return;
        l->denied_usec = 0;
        l->denied_again = false;
        if (!l->current.acked && l->spent_unacked)
                return;
        if (!l->current.acked)
                l->spent_unacked = true;
        life_wish(l, LIFE_WHY_REJECTED, now.boot_usec);
}

/**
 * life_on_looked_up() - the lease in question was looked up
 * @l: the life
 * @now: when the answer came
 * @asked_usec: when it was asked, CLOCK_BOOTTIME
 * @ttl_usec: 0: gone
 */
void life_on_looked_up(struct life *l, struct instant now, uint64_t asked_usec, uint64_t ttl_usec)
{
        struct lease *lease = landed(l);

        if (!lease)
                return;
        lease_looked_up(lease, now, asked_usec, ttl_usec);
        if (ttl_usec > 0 && lease == &l->current)
                decide_denied(l, now);
}

void life_on_look_up_failed(struct life *l, struct instant now, uint64_t retry_after_usec)
{
        struct lease *lease = landed(l);

        if (lease)
                lease_look_up_failed(lease, now, usec_min(retry_after_usec, RETRY_AFTER_MAX));
}

void life_on_look_up_forbidden(struct life *l, struct instant now)
{
        struct lease *lease = landed(l);

        l->no_look_ups = true;
        if (!lease)
                return;
        lease->verify_every_usec = 0;
        lease->verify_usec = USEC_NEVER;
        if (lease->doubtful) {
                lease->doubtful = false;
                lease->movable = false;
        }
        if (lease == &l->current)
                decide_denied(l, now);
}

void life_on_revoked(struct life *l)
{
        l->in_flight = LIFE_WAIT;
        life_dropped(l, l->in_flight_number);
}

void life_on_revoke_failed(struct life *l, struct instant now, enum vault_outcome outcome, uint64_t retry_after_usec)
{
        struct lease *lease = landed(l);

        if (lease)
                lease_revoke_failed(lease, now, outcome, retry_after_usec);
}

/* A renewal that is on its way, or had no answer, may have been done: what is not served any more is still to be revoked. */
static bool may_live_on(const struct life *l)
{
        return (l->in_flight == LIFE_RENEW && l->in_flight_number == l->current.number) ||
               l->current.late_usec > l->current.end_usec;
}

/**
 * life_lost() - the renewer has stopped serving the current version
 * @l: the life
 * @why: EXPIRED or GONE: the reason of the next mint
 */
void life_lost(struct life *l, enum life_why why)
{
        if (!l->has_current)
                return;
        l->lost_unwanted = l->current.rejected && !l->current.acked;
        if (why != LIFE_WHY_GONE && may_live_on(l)) {
                l->current.revoke_usec = 0;
                add_replaced(l, &l->current);
        } else {
                lease_end(&l->current);
        }
        l->has_current = false;
        l->lost_why = why;
        l->denied_usec = 0;
        l->denied_again = false;
}

void life_dropped(struct life *l, uint64_t number)
{
        for (size_t i = 0; i < l->replaced_len; i++) {
                if (l->replaced[i].number == number) {
                        remove_replaced(l, i);
                        return;
                }
        }
}

/**
 * life_wish() - somebody wants another version: once, however often it is said
 * @l: the life
 * @why: REJECTED outranks CHANGED, that TOKEN, and that all else
 * @at_usec: CLOCK_BOOTTIME, not before
 */
void life_wish(struct life *l, enum life_why why, uint64_t at_usec)
{
        if (rank(why) <= rank(l->wish))
                return;
        l->wish = why;
        l->wish_usec = at_usec;
}

void life_on_acked(struct life *l, uint64_t number)
{
        struct lease *lease = find(l, number);

        if (!lease)
                return;
        lease->acked = true;
        if (lease != &l->current)
                return;
        lease->rejected = false;
        l->spent_unacked = false;
}

void life_all_moved_on(struct life *l, struct instant now, uint64_t number)
{
        struct lease *lease = find(l, number);

        if (lease && lease != &l->current && !lease->revoke_refused && lease->revoke_backoff.failures == 0)
                lease->revoke_usec = usec_min(lease->revoke_usec, now.boot_usec);
}

/**
 * life_on_reject() - a consumer rejects the current version
 * @l: the life
 * @now: now
 * @denied: the server refused the login
 *
 * Asks the lease at once, at most once a second for all who reject; without a lease only a second `denied` counts, and a static
 * secret is read again.
 */
void life_on_reject(struct life *l, struct instant now, bool denied)
{
        uint64_t soon = usec_max(now.boot_usec, usec_add(l->reject_look_up_usec, USEC_PER_SEC));

        if (!l->has_current)
                return;
        l->current.rejected = true;
        if (denied && (l->denied_usec == 0 || now.boot_usec - l->denied_usec > DENIED_FORGET_USEC))
                l->denied_usec = now.boot_usec;
        else if (denied && now.boot_usec - l->denied_usec >= DENIED_APART_USEC)
                l->denied_again = true;
        if (l->kind == KIND_STATIC) {
                l->refresh_usec = usec_min(l->refresh_usec, soon);
                l->reject_look_up_usec = now.boot_usec;
        } else if (*l->current.id == '\0' || l->no_look_ups) {
                decide_denied(l, now);
        } else {
                l->current.verify_usec = usec_min(l->current.verify_usec, soon);
        }
}

/**
 * life_reconfigured() - another configuration is in force: neither `refresh` nor `verify` waits for the end of what was planned
 * @l: the life; its config is the new one
 * @now: now
 */
void life_reconfigured(struct life *l, struct instant now)
{
        if (l->change_usec == USEC_NEVER)
                l->refresh_usec = usec_min(l->refresh_usec, usec_add(now.boot_usec, l->config.refresh_usec));
        if (l->has_current && !l->no_look_ups)
                lease_set_verify(&l->current, now, l->config.verify_usec);
}

/**
 * life_on_vault_away() - no request makes sense until life_on_vault_back()
 * @l: the life
 */
void life_on_vault_away(struct life *l)
{
        l->away = true;
}

void life_stale(struct life *l)
{
        l->current.failing = true;
}

/**
 * life_on_vault_back() - the probe's first 200: what failed for want of Vault is tried now
 * @l: the life
 * @now: now
 */
void life_on_vault_back(struct life *l, struct instant now)
{
        l->away = false;
        if (l->mint_failing && l->mint_backoff.base_usec == USEC_PER_SEC) {
                l->mint_retry_usec = 0;
                backoff_reset(&l->mint_backoff);
        }
        if (l->has_current && l->kind == KIND_STATIC && l->current.failing)
                l->refresh_usec = usec_min(l->refresh_usec, now.boot_usec);
        if (l->has_current && l->current.failing && l->current.movable && !l->current.doubtful) {
                l->current.renew_usec = usec_min(l->current.renew_usec, now.boot_usec);
                backoff_reset(&l->current.backoff);
        }
}

/**
 * life_on_token_gone() - a token died, and its leases with it (rule 6)
 * @l: the life
 * @now: now
 * @t: the dead one
 */
void life_on_token_gone(struct life *l, struct instant now, const struct token *t)
{
        (void)now;
        if (l->has_current && l->current.token == t && *l->current.id != '\0')
                l->current.gone = true;
        for (size_t i = 0; i < l->replaced_len; i++)
                if (l->replaced[i].token == t)
                        l->replaced[i].gone = true;
}

void life_adopt_current(struct life *l, const struct lease *lease)
{
        l->current = *lease;
        l->has_current = true;
        l->last_number = usec_max(l->last_number, lease->number);
        l->refresh_usec = 0; /* static: read again as soon as Vault allows */
}

void life_adopt_replaced(struct life *l, struct instant now, const struct lease *lease)
{
        struct lease r = *lease;

        lease_replaced(&r, now, l->config.grace_usec);
        add_replaced(l, &r);
        l->last_number = usec_max(l->last_number, lease->number);
}

bool life_has_replaced(const struct life *l)
{
        return l->replaced_len > 0;
}

/* agent/token.c: one Vault token and its life (rule 6). */
#include "agent/token.h"

#include "common/mem.h"
#include "common/secret.h"

#define SAME_END_USEC (2 * USEC_PER_SEC) /* Vault counts in whole seconds, and answers travel */

/**
 * token_new() - a token as Vault gave it
 * @generation: one more than that of the token before
 * @value: the token itself; stolen
 * @accessor: copied; NULL for none
 *
 * Return: new, one reference, no life yet: token_granted() follows.
 */
struct token *token_new(uint64_t generation, struct secret *value, const char *accessor)
{
        struct token *t = mem_new(sizeof(*t));

        t->refs = 1;
        t->generation = generation;
        t->value = value;
        t->accessor = mem_strdup(accessor ? accessor : "");
        t->renew_usec = USEC_NEVER;
        return t;
}

struct token *token_ref(struct token *t)
{
        if (t)
                t->refs++;
        return t;
}

struct token *token_unref(struct token *t)
{
        if (!t || --t->refs > 0)
                return NULL;
        secret_free(t->value);
        mem_free(t->accessor);
        mem_free(t);
        return NULL;
}

static void plan_renewal(struct token *t, struct instant now)
{
        uint64_t left_usec = t->end_usec - usec_min(t->end_usec, now.boot_usec);

        t->renew_usec = USEC_NEVER;
        if (t->renewable && t->end_usec != USEC_NEVER)
                t->renew_usec = now.boot_usec + (uint64_t)((0.6 + now.random / 10) * (double)left_usec);
}

static void set_backoff(struct token *t, uint64_t life_usec)
{
        t->backoff.base_usec = usec_min(10 * USEC_PER_SEC, life_usec / 50);
        t->backoff.cap_usec = usec_min(300 * USEC_PER_SEC, life_usec / 10);
        backoff_reset(&t->backoff);
}

/* What lookup-self says of a life that goes on: it measures nothing anew, or each 403 and each restart would put renewing off. */
static bool is_same_life(const struct token *t, uint64_t asked_usec, uint64_t ttl_usec)
{
        if (t->last_start_usec == 0 || t->end_usec == USEC_NEVER)
                return false;
        return usec_add(asked_usec, ttl_usec) <= usec_add(t->end_usec, SAME_END_USEC);
}

static void life_goes_on(struct token *t, struct instant now, uint64_t asked_usec, uint64_t ttl_usec, bool renewable)
{
        uint64_t earliest = usec_add(asked_usec, ttl_usec), latest = usec_add(now.boot_usec, ttl_usec + USEC_PER_SEC);

        /* It counts whole seconds: what is known better stays. 0: less than one is left, not that it does not end. */
        if (ttl_usec > 0 && (earliest > t->end_usec || latest < t->end_usec))
                t->end_usec = earliest;
        t->renewable = t->renewable && renewable;
        if (!t->renewable)
                t->renew_usec = USEC_NEVER;
        else if (t->renew_usec == USEC_NEVER)
                plan_renewal(t, now);
}

/**
 * token_granted() - a life begins: after a login; or a token was looked up
 * @t: the token
 * @now: when the answer came
 * @asked_usec: when it was asked, CLOCK_BOOTTIME: Vault counts from somewhere between
 * @ttl_usec: what was left then; 0: it does not end (root)
 * @renewable: may it be renewed?
 * @is_batch: batch tokens never are, and cap the leases they make
 *
 * A look-up that finds the life that is known already leaves its start, its next renewal and a failing one as they are.
 * Source: auth/token/lookup-self, the auth block of a login.
 */
void token_granted(struct token *t, struct instant now, uint64_t asked_usec, uint64_t ttl_usec, bool renewable,
                   bool is_batch)
{
        t->is_batch = is_batch;
        if (is_same_life(t, asked_usec, ttl_usec)) {
                life_goes_on(t, now, asked_usec, ttl_usec, renewable && !is_batch);
                return;
        }
        t->renewable = renewable && !is_batch;
        t->failing = false;
        t->last_start_usec = now.boot_usec;
        t->end_usec = ttl_usec == 0 ? USEC_NEVER : usec_add(asked_usec, ttl_usec);
        if (t->first_usec < ttl_usec || ttl_usec == 0)
                t->first_usec = ttl_usec;
        set_backoff(t, ttl_usec);
        plan_renewal(t, now);
}

/**
 * token_renewed() - renew-self was answered
 * @t: the token
 * @now: when the answer came
 * @asked_usec: when it was asked, CLOCK_BOOTTIME
 * @ttl_usec: auth.lease_duration, from then
 * @renewable: auth.renewable
 *
 * An answer below the longest life so far means that max_ttl caps it: its last life has begun.
 */
void token_renewed(struct token *t, struct instant now, uint64_t asked_usec, uint64_t ttl_usec, bool renewable)
{
        if (!renewable || ttl_usec < t->first_usec)
                t->renewable = false;
        t->failing = false;
        t->first_usec = usec_max(t->first_usec, ttl_usec);
        if (ttl_usec > 0) /* 0: less than a second is left */
                t->end_usec = usec_add(asked_usec, ttl_usec);
        t->last_start_usec = now.boot_usec;
        backoff_reset(&t->backoff);
        plan_renewal(t, now);
}

/**
 * token_renew_failed() - renew-self failed and the token is not known to be dead
 * @t: the token
 * @now: when it failed
 * @outcome: how
 * @retry_after_usec: as Vault asked; 0: it did not
 *
 * Return: CLOCK_BOOTTIME of the next try. A refusal (400) ends the renewing: the token is used to its end (rule 6).
 */
uint64_t token_renew_failed(struct token *t, struct instant now, enum vault_outcome outcome, uint64_t retry_after_usec)
{
        t->failing = true;
        if (outcome == VAULT_REFUSED) {
                t->renewable = false;
                t->renew_usec = USEC_NEVER;
                return now.boot_usec;
        }
        t->renew_usec = usec_add(now.boot_usec, usec_max(backoff_next(&t->backoff, now.random), retry_after_usec));
        return t->renew_usec;
}

/**
 * token_next() - what the token needs
 * @t: the token
 * @now: now
 * @ret_at_usec: when to ask again where there is nothing to do
 *
 * Return: the step. A token that cannot be renewed further is replaced at 2/3 of its last life (rule 6); one whose renewals fail
 * when the last tenth of its life has begun, between two tries to renew it.
 */
enum token_step token_next(const struct token *t, struct instant now, uint64_t *ret_at_usec)
{
        uint64_t login_at, tenth;

        *ret_at_usec = USEC_NEVER;
        if (!token_alive(t, now))
                return TOKEN_LOGIN;
        if (t->end_usec == USEC_NEVER)
                return TOKEN_WAIT;
        if (!t->renewable) {
                login_at = t->last_start_usec + (t->end_usec - t->last_start_usec) / 3 * 2;
                if (now.boot_usec >= login_at)
                        return TOKEN_LOGIN;
                *ret_at_usec = login_at;
                return TOKEN_WAIT;
        }
        if (now.boot_usec >= t->renew_usec)
                return TOKEN_RENEW;
        *ret_at_usec = usec_min(t->renew_usec, t->end_usec);
        if (!t->failing)
                return TOKEN_WAIT;
        tenth = t->end_usec - usec_min(t->end_usec, t->first_usec / 10);
        if (now.boot_usec >= tenth)
                return TOKEN_LOGIN;
        *ret_at_usec = usec_min(*ret_at_usec, tenth);
        return TOKEN_WAIT;
}

/**
 * token_alive() - may it still be shown to Vault?
 * @t: the token
 * @now: now
 */
bool token_alive(const struct token *t, struct instant now)
{
        return !t->dead && now.boot_usec < t->end_usec;
}

/* agent/lease.c: one version's life. The rules are those of docs/LEASES.md. */
#include "agent/lease.h"

#include <string.h>

#include "agent/token.h"
#include "common/mem.h"

#define VERIFY_LEAST_USEC (30 * USEC_PER_SEC)
#define SAME_END_USEC     (2 * USEC_PER_SEC) /* Vault counts in whole seconds, and answers travel */

static char no_id[] = ""; /* shared by all that are no leases: ten thousand static secrets are */

static uint64_t fraction(uint64_t usec, double part)
{
        return (uint64_t)((double)usec * part);
}

/* Rule 1: a uniform random 60-70 % of what remains. */
static void plan_renewal(struct lease *l, struct instant now)
{
        uint64_t left_usec = l->end_usec - usec_min(l->end_usec, now.boot_usec);

        l->renew_usec = l->movable ? usec_add(now.boot_usec, fraction(left_usec, 0.6 + now.random / 10)) : USEC_NEVER;
}

/* Rule 15: every third of its life, at least 30 s apart; a renewal counts as one. */
static void plan_verify(struct lease *l, struct instant now)
{
        l->verify_usec = l->verify_every_usec == 0 ? USEC_NEVER : usec_add(now.boot_usec, l->verify_every_usec);
}

static void begin_certificate(struct lease *l, struct instant now, uint64_t not_after_usec)
{
        uint64_t life = not_after_usec > now.wall_usec ? not_after_usec - now.wall_usec : 0;

        l->first_usec = life;
        l->end_wall_usec = not_after_usec;
        l->replace_wall_usec = now.wall_usec + fraction(life, 2.0 / 3 + (now.random - 0.5) / 10);
}

static uint64_t verify_every(const struct lease *l, uint64_t verify_usec)
{
        return verify_usec == USEC_NEVER ? usec_max(l->first_usec / 3, VERIFY_LEAST_USEC) : verify_usec;
}

static void begin_lease(struct lease *l, struct instant now, const struct lease_grant *grant, uint64_t verify_usec)
{
        l->first_usec = grant->duration_usec;
        l->end_usec = usec_add(grant->asked_usec, grant->duration_usec);
        l->movable = grant->renewable;
        l->backoff.base_usec = usec_min(10 * USEC_PER_SEC, grant->duration_usec / 50);
        l->backoff.cap_usec = usec_min(300 * USEC_PER_SEC, grant->duration_usec / 10);
        l->verify_every_usec = verify_every(l, verify_usec);
        plan_renewal(l, now);
        plan_verify(l, now);
        if (l->verify_every_usec > 0 && now.boot_usec - grant->asked_usec > grant->duration_usec / 10)
                l->verify_usec = now.boot_usec; /* after a slow answer only Vault knows when it ends */
}

/**
 * lease_id_new() - a lease's id member
 * @id: copied; "" or NULL where there is none
 *
 * Return: new, for a lease to own; never to be written to. lease_end() frees it.
 */
char *lease_id_new(const char *id)
{
        return id && *id ? mem_strdup(id) : no_id;
}

/**
 * lease_begin() - a version was minted or read
 * @l: to be filled; was empty or ended
 * @now: when the answer came
 * @grant: what Vault answered
 * @verify_usec: the secret's `verify`: USEC_NEVER: a third of the TTL; 0: never
 */
void lease_begin(struct lease *l, struct instant now, const struct lease_grant *grant, uint64_t verify_usec)
{
        *l = (struct lease){
                .id = lease_id_new(grant->id),
                .issued_wall_usec = now.wall_usec,
                .end_usec = USEC_NEVER,
                .end_wall_usec = USEC_NEVER,
                .replace_wall_usec = USEC_NEVER,
                .renew_usec = USEC_NEVER,
                .verify_usec = USEC_NEVER,
                .revoke_usec = USEC_NEVER,
                .revoke_backoff = {.base_usec = USEC_PER_SEC, .cap_usec = 60 * USEC_PER_SEC},
        };
        if (grant->not_after_usec > 0)
                begin_certificate(l, now, grant->not_after_usec);
        if (*l->id == '\0')
                return;
        l->token = token_ref(grant->token);
        if (l->token)
                l->token->leases++;
        if (grant->not_after_usec == 0)
                begin_lease(l, now, grant, verify_usec);
}

/**
 * lease_set_verify() - the secret's configuration was read again
 * @l: the lease
 * @now: now
 * @verify_usec: as for lease_begin()
 *
 * A planned look-up is never put off, or who reloads often enough would never see one.
 */
void lease_set_verify(struct lease *l, struct instant now, uint64_t verify_usec)
{
        uint64_t every = verify_every(l, verify_usec);

        if (*l->id == '\0' || l->end_wall_usec != USEC_NEVER || every == l->verify_every_usec)
                return;
        l->verify_every_usec = every;
        if (!l->doubtful)
                l->verify_usec = every == 0 ? USEC_NEVER : usec_min(l->verify_usec, usec_add(now.boot_usec, every));
}

/**
 * lease_end() - the version is of no interest any more
 * @l: emptied
 */
void lease_end(struct lease *l)
{
        if (l->token)
                l->token->leases--;
        token_unref(l->token);
        if (l->id != no_id)
                mem_free(l->id);
        *l = (struct lease){0};
}

/**
 * lease_end_usec() - when it dies
 * @l: the lease
 * @now: now
 *
 * Return: CLOCK_BOOTTIME usec: min(lease, token) (rule 6), or notAfter of a certificate; USEC_NEVER where it does not end.
 */
uint64_t lease_end_usec(const struct lease *l, struct instant now)
{
        uint64_t end = usec_min(l->end_usec, instant_wall_to_boot(now, l->end_wall_usec));

        if (l->token && *l->id != '\0')
                end = usec_min(end, l->token->end_usec);
        return end;
}

/**
 * lease_last_usec() - by when it is dead at Vault, whatever happened to the requests that had no answer
 * @l: the lease
 * @now: now
 *
 * Return: CLOCK_BOOTTIME usec, not before lease_end_usec().
 */
uint64_t lease_last_usec(const struct lease *l, struct instant now)
{
        struct lease late = *l;

        late.end_usec = usec_max(l->end_usec, l->late_usec);
        return lease_end_usec(&late, now);
}

/**
 * lease_last_tenth_usec() - when the last 10 % of its life begins
 * @l: the lease
 * @now: now
 *
 * Return: CLOCK_BOOTTIME usec; USEC_NEVER where it does not end.
 */
uint64_t lease_last_tenth_usec(const struct lease *l, struct instant now)
{
        uint64_t end = lease_end_usec(l, now), life = l->first_usec;

        if (end == USEC_NEVER)
                return USEC_NEVER;
        if (l->token && l->token->end_usec == end)
                life = usec_min(life, end - usec_min(end, l->token->last_start_usec));
        return end - usec_min(end, life / 10);
}

/**
 * lease_grace_usec() - how long it lives on once replaced
 * @l: the lease
 * @grace_usec: the secret's `grace`
 */
uint64_t lease_grace_usec(const struct lease *l, uint64_t grace_usec)
{
        return usec_min(grace_usec, l->first_usec / 5);
}

static bool is_ended_by_token(const struct lease *l, uint64_t due_usec)
{
        const struct token *t = l->token;

        return t && (t->end_usec < due_usec || (t->is_batch && t->end_usec <= usec_add(l->end_usec, SAME_END_USEC)));
}

/**
 * lease_replace_usec() - when its replacement is due
 * @l: the lease
 * @now: now
 * @grace_usec: the secret's `grace`
 *
 * Rule 2 (its end cannot be moved: g + 10 % of the first lease before it), rule 4 (renewals fail: when the last 10 % begins),
 * rule 12 (certificates). A lease that its token ends is not replaced for it: another one of the same token would end no later;
 * the token is replaced in time, and its leases with it (rule 6). Under a batch token Vault gives it that end right away.
 *
 * Return: CLOCK_BOOTTIME usec; USEC_NEVER.
 */
uint64_t lease_replace_usec(const struct lease *l, struct instant now, uint64_t grace_usec)
{
        uint64_t end = l->end_usec, before, due;

        if (l->replace_wall_usec != USEC_NEVER)
                return instant_wall_to_boot(now, l->replace_wall_usec);
        if (end == USEC_NEVER)
                return USEC_NEVER;
        before = l->first_usec / 10;
        if (!l->movable)
                before += lease_grace_usec(l, grace_usec);
        due = end > before ? end - before : 0;
        return is_ended_by_token(l, due) ? USEC_NEVER : due;
}

/**
 * lease_renewed() - sys/leases/renew was answered
 * @l: the lease
 * @now: when the answer came
 * @asked_usec: when it was asked, CLOCK_BOOTTIME
 * @duration_usec: lease_duration, from then
 * @renewable: the answer's renewable
 */
void lease_renewed(struct lease *l, struct instant now, uint64_t asked_usec, uint64_t duration_usec, bool renewable)
{
        l->end_usec = usec_add(asked_usec, duration_usec);
        l->late_usec = 0;
        l->failing = false;
        l->doubtful = false;
        if (!renewable || duration_usec < l->first_usec)
                l->movable = false;
        backoff_reset(&l->backoff);
        plan_renewal(l, now);
        plan_verify(l, now);
}

/**
 * lease_renew_failed() - a renewal failed (rule 4): never a reason to mint by itself
 * @l: the lease
 * @now: when it failed
 * @outcome: how
 * @word: what the text of a refusal says
 * @retry_after_usec: 0: none
 */
void lease_renew_failed(struct lease *l, struct instant now, enum vault_outcome outcome, enum vault_lease_word word,
                        uint64_t retry_after_usec)
{
        l->failing = true;
        if (outcome == VAULT_UNREACHABLE || outcome == VAULT_MALFORMED)
                l->late_usec = usec_add(now.boot_usec, l->first_usec);
        if (outcome == VAULT_REFUSED && word != VAULT_LEASE_UNKNOWN)
                l->doubtful = true;
        if (l->doubtful)
                l->verify_usec = now.boot_usec;
        l->renew_usec = usec_add(now.boot_usec, usec_max(backoff_next(&l->backoff, now.random), retry_after_usec));
}

/**
 * lease_looked_up() - sys/leases/lookup was answered
 * @l: the lease
 * @now: when the answer came
 * @asked_usec: when it was asked, CLOCK_BOOTTIME
 * @ttl_usec: what remained, in whole seconds; 0: gone (400 `invalid lease`, or a ttl of 0 or less)
 *
 * An end that agrees with what was answered is known better than by a slow answer, and stays.
 * Alive after a doubtful renewal: its end cannot be moved (rule 4, then rule 2).
 */
void lease_looked_up(struct lease *l, struct instant now, uint64_t asked_usec, uint64_t ttl_usec)
{
        uint64_t earliest = usec_add(asked_usec, ttl_usec), latest = usec_add(now.boot_usec, ttl_usec + USEC_PER_SEC);

        if (ttl_usec == 0) {
                l->gone = true;
                return;
        }
        if (earliest > l->end_usec || latest < l->end_usec)
                l->end_usec = earliest;
        l->late_usec = 0;
        if (l->doubtful) {
                l->doubtful = false;
                l->movable = false;
                l->renew_usec = USEC_NEVER;
        }
        plan_verify(l, now);
}

/**
 * lease_look_up_failed() - no answer about the lease: nothing is known, asked again with back-off
 * @l: the lease
 * @now: when it failed
 * @retry_after_usec: 0: none
 */
void lease_look_up_failed(struct lease *l, struct instant now, uint64_t retry_after_usec)
{
        uint64_t wait = usec_max(backoff_next(&l->backoff, now.random), USEC_PER_SEC / 2);

        l->verify_usec = usec_add(now.boot_usec, usec_max(wait, retry_after_usec));
}

/**
 * lease_replaced() - another version is current: g begins (rule 3)
 * @l: the lease
 * @now: when the other was published
 * @grace_usec: the secret's `grace`
 */
void lease_replaced(struct lease *l, struct instant now, uint64_t grace_usec)
{
        l->revoke_usec = usec_add(now.boot_usec, lease_grace_usec(l, grace_usec));
        l->doubtful = false;
}

/**
 * lease_revoke_failed() - it could not be revoked (rule 16): a courtesy, tried again until its end
 * @l: the lease
 * @now: when it failed
 * @outcome: VAULT_FORBIDDEN ends the trying
 * @retry_after_usec: 0: none
 */
void lease_revoke_failed(struct lease *l, struct instant now, enum vault_outcome outcome, uint64_t retry_after_usec)
{
        if (outcome == VAULT_FORBIDDEN) {
                l->revoke_refused = true;
                l->revoke_usec = USEC_NEVER;
                return;
        }
        l->revoke_usec =
                usec_add(now.boot_usec, usec_max(backoff_next(&l->revoke_backoff, now.random), retry_after_usec));
}

/* agent/life.c: which request of one secret is due now (docs/LEASES.md). What answers change is in life_events.c. */
#include "agent/life.h"

#include "agent/token.h"
#include "common/mem.h"

#define LAST_MOMENT_USEC (10 * USEC_PER_SEC) /* enough for a mint */
#define AWAY_USEC        (6 * USEC_PER_SEC)  /* so often it is asked at least whether Vault is there again (rule 4) */

const char *life_step_text(enum life_step step)
{
        static const char *const text[] = {
                [LIFE_WAIT] = "wait",     [LIFE_MINT] = "mint",   [LIFE_RENEW] = "renew", [LIFE_LOOK_UP] = "look-up",
                [LIFE_REVOKE] = "revoke", [LIFE_STALE] = "stale", [LIFE_LOSE] = "lose",   [LIFE_DROP] = "drop",
        };

        return text[step];
}

const char *life_why_text(enum life_why why)
{
        static const char *const text[] = {
                [LIFE_WHY_NONE] = "",
                [LIFE_WHY_FIRST] = "first",
                [LIFE_WHY_EXPIRED] = "expired",
                [LIFE_WHY_GONE] = "gone",
                [LIFE_WHY_DUE] = "due",
                [LIFE_WHY_FAILING] = "renewal_failing",
                [LIFE_WHY_REJECTED] = "rejected",
                [LIFE_WHY_ROTATE] = "rotate",
                [LIFE_WHY_SIGNAL] = "signal",
                [LIFE_WHY_TOKEN] = "token",
                [LIFE_WHY_CHANGED] = "changed",
        };

        return text[why];
}

/**
 * life_init() - a secret without content
 * @l: to be filled
 * @config: copied
 * @kind: as guessed from the configuration; the first answer corrects it
 * @bucket: borrowed for the life's life
 * @last_number: the first version is one more
 */
void life_init(struct life *l, const struct life_config *config, enum secret_kind kind, struct bucket *bucket,
               uint64_t last_number)
{
        *l = (struct life){
                .config = *config,
                .kind = kind,
                .bucket = bucket,
                .last_number = last_number,
                .lost_why = LIFE_WHY_FIRST,
                .refresh_usec = USEC_NEVER,
                .change_usec = USEC_NEVER,
                .change_backoff = {.base_usec = USEC_PER_SEC, .cap_usec = 60 * USEC_PER_SEC},
        };
}

/**
 * life_done() - frees what hangs on it
 * @l: the life; may be initialised again
 */
void life_done(struct life *l)
{
        if (l->has_current)
                lease_end(&l->current);
        for (size_t i = 0; i < l->replaced_len; i++)
                lease_end(&l->replaced[i]);
        l->replaced = mem_free(l->replaced);
        l->has_current = false;
        l->replaced_len = 0;
}

/*
 * Rule 3: the current version is rejected and nobody acknowledged it: the last acknowledged one is renewed and kept to its end;
 * also where the rejected one is gone and no other has come yet.
 */
static bool is_kept(const struct life *l, const struct lease *lease)
{
        bool unwanted = l->has_current ? l->current.rejected && !l->current.acked : l->lost_unwanted;

        if (!unwanted || !lease->acked)
                return false;
        for (size_t i = l->replaced_len; i-- > 0;)
                if (l->replaced[i].acked)
                        return &l->replaced[i] == lease;
        return false;
}

/* Rule 3: one replacement at a time. What cannot be revoked, or is kept for want of a better one, does not hold the next one back. */
static bool is_awaited(const struct life *l, const struct lease *r)
{
        return !r->revoke_refused && r->revoke_backoff.failures == 0 && !is_kept(l, r);
}

static bool waits_for_replaced(const struct life *l)
{
        for (size_t i = 0; i < l->replaced_len; i++)
                if (is_awaited(l, &l->replaced[i]))
                        return true;
        return false;
}

struct plan {
        struct instant now;
        struct life_action best; /* step LIFE_WAIT until something is due */
};

static void offer(struct plan *p, enum life_step step, enum life_why why, uint64_t number, uint64_t at_usec)
{
        if (p->best.step != LIFE_WAIT)
                return;
        if (at_usec > p->now.boot_usec) {
                p->best.at_usec = usec_min(p->best.at_usec, at_usec);
                return;
        }
        p->best = (struct life_action){.step = step, .why = why, .number = number, .at_usec = p->now.boot_usec};
}

static void offer_mint(const struct life *l, struct plan *p, enum life_why why, uint64_t due_usec,
                       enum bucket_class class)
{
        uint64_t at = usec_max(due_usec, l->mint_retry_usec), ready;

        if (p->best.step != LIFE_WAIT || at == USEC_NEVER)
                return;
        if (at > p->now.boot_usec) {
                p->best.at_usec = usec_min(p->best.at_usec, at);
                return;
        }
        ready = l->kind == KIND_STATIC ? 0 : bucket_ready(l->bucket, p->now.boot_usec, class);
        if (ready > p->now.boot_usec) {
                p->best.budget = true;
                p->best.why = why;
        }
        offer(p, LIFE_MINT, why, 0, ready);
}

/* Until when a new token may wait for the replaced version, which is gone within g. */
static uint64_t last_moment_usec(const struct life *l, struct instant now)
{
        uint64_t end = lease_end_usec(&l->current, now);

        return usec_max(lease_last_tenth_usec(&l->current, now), end - usec_min(end, LAST_MOMENT_USEC));
}

/* The current version must go and a new one come, in the order of need. */
static void offer_replacement(const struct life *l, struct plan *p)
{
        const struct lease *c = &l->current;
        uint64_t due = lease_replace_usec(c, p->now, l->config.grace_usec);
        uint64_t tenth = lease_last_tenth_usec(c, p->now);
        enum life_why why = c->movable && c->failing ? LIFE_WHY_FAILING : LIFE_WHY_DUE;

        if (l->wish == LIFE_WHY_REJECTED)
                offer_mint(l, p, LIFE_WHY_REJECTED, l->wish_usec, BUCKET_WISH);
        if (l->kind == KIND_STATIC)
                offer_mint(l, p, l->wish ? l->wish : LIFE_WHY_DUE, l->wish ? 0 : l->refresh_usec, BUCKET_NEED);
        if (waits_for_replaced(l)) { /* but not into the last tenth of what is served */
                offer_mint(l, p, why, due == USEC_NEVER ? USEC_NEVER : usec_max(due, tenth), BUCKET_NEED);
                if (l->wish == LIFE_WHY_TOKEN)
                        offer_mint(l, p, l->wish, usec_max(l->wish_usec, last_moment_usec(l, p->now)), BUCKET_NEED);
                return;
        }
        offer_mint(l, p, why, due, BUCKET_NEED);
        if (l->wish == LIFE_WHY_TOKEN || l->wish == LIFE_WHY_CHANGED)
                offer_mint(l, p, l->wish, l->wish_usec, BUCKET_NEED);
        else if (l->wish != LIFE_WHY_NONE && l->wish != LIFE_WHY_REJECTED)
                offer_mint(l, p, l->wish, l->wish_usec, BUCKET_WISH);
}

static void offer_upkeep(const struct lease *lease, struct plan *p)
{
        if (lease->gone)
                return;
        if (!lease->doubtful && lease->movable)
                offer(p, LIFE_RENEW, LIFE_WHY_DUE, lease->number, lease->renew_usec);
        offer(p, LIFE_LOOK_UP, LIFE_WHY_DUE, lease->number, lease->verify_usec);
}

static void offer_replaced(const struct life *l, struct plan *p)
{
        for (size_t i = 0; i < l->replaced_len; i++) {
                const struct lease *r = &l->replaced[i];

                if (is_kept(l, r))
                        offer_upkeep(r, p);
                else
                        offer(p, LIFE_REVOKE, LIFE_WHY_DUE, r->number, r->revoke_usec);
        }
}

static void offer_ends(const struct life *l, struct plan *p)
{
        if (l->has_current) {
                uint64_t end = l->current.gone ? 0 : lease_end_usec(&l->current, p->now);

                offer(p, LIFE_LOSE, l->current.gone ? LIFE_WHY_GONE : LIFE_WHY_EXPIRED, l->current.number, end);
        }
        for (size_t i = 0; i < l->replaced_len && l->in_flight == LIFE_WAIT; i++)
                offer(p, LIFE_DROP, LIFE_WHY_NONE, l->replaced[i].number,
                      l->replaced[i].gone ? 0 : lease_last_usec(&l->replaced[i], p->now));
}

/* Rule 9: what could not be renewed or read again in time is served on, and marked. */
static void offer_stale(const struct life *l, struct plan *p)
{
        if (!l->has_current || l->current.failing)
                return;
        if (l->kind == KIND_STATIC)
                offer(p, LIFE_STALE, LIFE_WHY_DUE, l->current.number, l->refresh_usec);
        else if (l->current.movable)
                offer(p, LIFE_STALE, LIFE_WHY_DUE, l->current.number, l->current.renew_usec);
}

/**
 * life_next() - what to do about one secret, now
 * @l: its life as last known
 * @now: now
 *
 * What has ended goes first, then what serves: a first version, a renewal, a replacement; then look-ups and revocations.
 *
 * Return: the action; WAIT says when to ask again.
 */
struct life_action life_next(const struct life *l, struct instant now)
{
        struct plan p = {.now = now, .best = {.step = LIFE_WAIT, .at_usec = USEC_NEVER}};

        offer_ends(l, &p);
        if (l->away) {
                offer_stale(l, &p);
        } else if (l->in_flight == LIFE_WAIT) {
                if (!l->has_current && !l->leaving) {
                        offer_mint(l, &p, l->lost_why, 0, BUCKET_NEED);
                } else if (l->has_current) {
                        if (l->current.movable && !l->current.doubtful && !l->current.gone)
                                offer(&p, LIFE_RENEW, LIFE_WHY_DUE, l->current.number, l->current.renew_usec);
                        offer_replacement(l, &p);
                        offer_upkeep(&l->current, &p);
                }
                offer_replaced(l, &p);
        }
        p.best.urgent = !l->has_current;
        return p.best;
}

/**
 * life_next_step() - what a waiting life will do next
 * @l: the life
 * @now: now
 */
enum life_step life_next_step(const struct life *l, struct instant now)
{
        struct instant then = now;
        struct life_action a = life_next(l, now);

        if (a.step != LIFE_WAIT || a.at_usec == USEC_NEVER)
                return a.step;
        then.boot_usec = a.at_usec;
        then.wall_usec = usec_add(now.wall_usec, a.at_usec - usec_min(a.at_usec, now.boot_usec));
        return life_next(l, then).step;
}

/**
 * life_wish_wait_usec() - how long a wish made now waits for Vault, the replaced version, the budget or a failed mint's next try
 * @l: the life
 * @now: now
 *
 * Return: usec from now; 0: it is done at once.
 */
uint64_t life_wish_wait_usec(const struct life *l, struct instant now)
{
        uint64_t at = usec_max(usec_add(now.boot_usec, l->away ? AWAY_USEC : 0), l->mint_retry_usec);

        if (l->kind == KIND_STATIC)
                return l->away ? AWAY_USEC : 0;
        at = usec_max(at, bucket_ready(l->bucket, now.boot_usec, l->has_current ? BUCKET_WISH : BUCKET_NEED));
        for (size_t i = 0; l->has_current && i < l->replaced_len; i++)
                if (is_awaited(l, &l->replaced[i]))
                        at = usec_max(at, usec_min(l->replaced[i].revoke_usec, lease_last_usec(&l->replaced[i], now)));
        return at - now.boot_usec;
}

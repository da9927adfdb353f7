/* agent/bucket.c: the mint budget of one path (rule 5). Pure. */
#include "agent/bucket.h"

#include "agent/instant.h"

#define REFILL_FASTEST_USEC USEC_PER_SEC
#define REFILL_SLOWEST_USEC (60 * USEC_PER_SEC)

static double tokens_at(const struct bucket *b, uint64_t now_usec)
{
        double tokens = b->tokens;

        if (now_usec > b->at_usec)
                tokens += (double)(now_usec - b->at_usec) / (double)b->interval_usec;
        return tokens > b->burst ? b->burst : tokens;
}

static void settle(struct bucket *b, uint64_t now_usec)
{
        b->tokens = tokens_at(b, now_usec);
        b->at_usec = usec_max(b->at_usec, now_usec);
}

/**
 * bucket_init() - a full bucket
 * @b: the bucket
 * @burst: how many it holds, at least 1
 * @now_usec: CLOCK_BOOTTIME
 *
 * Until the life of a lease is known it refills at the slowest pace.
 */
void bucket_init(struct bucket *b, unsigned burst, uint64_t now_usec)
{
        *b = (struct bucket){
                .burst = burst > 0 ? burst : 1,
                .tokens = burst > 0 ? burst : 1,
                .interval_usec = REFILL_SLOWEST_USEC,
                .at_usec = now_usec,
        };
}

/**
 * bucket_set_life() - the life of what is minted here sets the pace
 * @b: the bucket
 * @now_usec: CLOCK_BOOTTIME
 * @life_usec: min(lease, token) of the newest lease (rule 6)
 */
void bucket_set_life(struct bucket *b, uint64_t now_usec, uint64_t life_usec)
{
        uint64_t interval = life_usec / 10 * 6;

        settle(b, now_usec);
        b->interval_usec = usec_min(usec_max(interval, REFILL_FASTEST_USEC), REFILL_SLOWEST_USEC);
}

/**
 * bucket_ready() - when can the next one be drawn?
 * @b: the bucket
 * @now_usec: CLOCK_BOOTTIME
 * @c: who asks
 *
 * Return: CLOCK_BOOTTIME usec; not after now_usec where a draw is possible at once.
 */
uint64_t bucket_ready(const struct bucket *b, uint64_t now_usec, enum bucket_class c)
{
        double need = c == BUCKET_WISH && b->burst > 1 ? 2 : 1;
        double tokens = tokens_at(b, now_usec);
        uint64_t at = now_usec;

        if (tokens < need - 1e-9)
                at = usec_add(now_usec, (uint64_t)((need - tokens) * (double)b->interval_usec) + 1);
        return usec_max(at, b->shut_usec);
}

/**
 * bucket_take() - draws one; the caller has asked bucket_ready()
 * @b: the bucket
 * @now_usec: CLOCK_BOOTTIME
 */
void bucket_take(struct bucket *b, uint64_t now_usec)
{
        settle(b, now_usec);
        b->tokens = b->tokens >= 1 ? b->tokens - 1 : 0;
}

/**
 * bucket_give_back() - undoes one draw: Vault answered and made nothing
 * @b: the bucket
 * @now_usec: CLOCK_BOOTTIME
 */
void bucket_give_back(struct bucket *b, uint64_t now_usec)
{
        settle(b, now_usec);
        b->tokens = b->tokens + 1 > b->burst ? b->burst : b->tokens + 1;
}

/**
 * bucket_empty_until() - Vault's own limit was hit (429): nothing before its Retry-After is over
 * @b: the bucket
 * @now_usec: CLOCK_BOOTTIME
 * @until_usec: CLOCK_BOOTTIME; from then on one may be drawn
 */
void bucket_empty_until(struct bucket *b, uint64_t now_usec, uint64_t until_usec)
{
        settle(b, now_usec);
        b->shut_usec = usec_max(b->shut_usec, until_usec);
        b->tokens = 1; /* the one that may be drawn when it opens again */
        b->at_usec = usec_max(until_usec, now_usec);
}

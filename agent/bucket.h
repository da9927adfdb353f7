/* agent/bucket.h: the mint budget of one path (rule 5). Pure. */
#ifndef AGENT_BUCKET_H
#define AGENT_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
        unsigned burst;         /* mint_burst */
        double tokens;          /* what may be drawn now */
        uint64_t interval_usec; /* one more every so often */
        uint64_t at_usec;       /* when tokens was right (CLOCK_BOOTTIME) */
        uint64_t shut_usec;     /* a 429: nothing before this */
};

enum bucket_class {
        BUCKET_WISH, /* rotate, signals, rejects: never takes the last one */
        BUCKET_NEED, /* a due replacement, or nothing valid: takes what there is */
};

void bucket_init(struct bucket *b, unsigned burst, uint64_t now_usec);
void bucket_set_life(struct bucket *b, uint64_t now_usec,
                     uint64_t life_usec); /* refill every 60 % of it, within 1 s and 1 min */
uint64_t bucket_ready(const struct bucket *b, uint64_t now_usec,
                      enum bucket_class c); /* when a draw is possible; now or earlier: at once */
void bucket_take(struct bucket *b, uint64_t now_usec);
void bucket_give_back(struct bucket *b, uint64_t now_usec);                        /* Vault refused the mint */
void bucket_empty_until(struct bucket *b, uint64_t now_usec, uint64_t until_usec); /* 429 */

#endif

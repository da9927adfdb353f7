/* common/backoff.h: how long to wait after a failure: doubling, capped, full jitter. Pure. */
#ifndef COMMON_BACKOFF_H
#define COMMON_BACKOFF_H

#include <stdint.h>

struct backoff { /* small: each secret of ten thousand has four */
        uint64_t cap_usec;
        uint64_t base_usec : 40; /* up to 12 days */
        unsigned failures : 24;
};

/* random: uniform in [0,1). Return: usec to wait; counts one failure. At least a tenth of the step, so that it never spins. */
uint64_t backoff_next(struct backoff *b, double random);
void backoff_reset(struct backoff *b);
double backoff_random(void); /* uniform in [0,1) from the kernel; what callers give above outside tests */

#endif

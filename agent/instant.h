/* agent/instant.h: now, as the pure modules see it: both clocks and one draw of chance. */
#ifndef AGENT_INSTANT_H
#define AGENT_INSTANT_H

#include <stdint.h>

#include "common/parse.h"

struct instant {
        uint64_t boot_usec; /* CLOCK_BOOTTIME: leases and tokens (rule 13) */
        uint64_t wall_usec; /* CLOCK_REALTIME: certificates */
        double random;      /* uniform in [0,1) */
};

/* A point of the wall clock, seen from the boot clock: what timers are armed with. Past points give "now". */
static inline uint64_t instant_wall_to_boot(struct instant now, uint64_t wall_usec)
{
        if (wall_usec == USEC_NEVER)
                return USEC_NEVER;
        return wall_usec <= now.wall_usec ? now.boot_usec : now.boot_usec + (wall_usec - now.wall_usec);
}

static inline uint64_t usec_add(uint64_t a, uint64_t b)
{
        return a > USEC_NEVER - b ? USEC_NEVER : a + b;
}

static inline uint64_t usec_min(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

static inline uint64_t usec_max(uint64_t a, uint64_t b)
{
        return a > b ? a : b;
}

#endif

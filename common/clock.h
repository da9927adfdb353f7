/* common/clock.h: the three clocks, and times as people write them. All in microseconds. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT_LEN 32

uint64_t clock_boottime_usec(void);  /* counts through a suspend; leases live by it */
uint64_t clock_realtime_usec(void);  /* the wall clock; certificates live by it */
uint64_t clock_monotonic_usec(void); /* for durations in metrics */
const char *clock_rfc3339(uint64_t realtime_usec, char buf[CLOCK_TEXT_LEN]); /* "2026-11-24T06:49:32Z"; returns buf */
int clock_parse_rfc3339(const char *text, uint64_t *ret_realtime_usec);      /* fraction and offset accepted; -EINVAL */
const char *clock_boot_id(void); /* borrowed for ever; "" where the kernel tells none */

#endif

/* app/absence.h: how long the agent has been away, and the warnings while what it gave runs out. */
#ifndef APP_ABSENCE_H
#define APP_ABSENCE_H

#include <stdbool.h>
#include <stdint.h>

struct absence;
struct loop;
struct metrics;

struct absence *absence_new(struct loop *loop, struct metrics *metrics); /* away at first */
struct absence *absence_free(struct absence *a);
/* Told of each change: is the agent there, and which of the secrets in use ends first. NULL, USEC_NEVER: none does. */
void absence_follow(struct absence *a, bool connected, const char *first_name, uint64_t first_end_usec);
uint64_t absence_since_usec(const struct absence *a); /* wall clock: of the last change between there and away */

#endif

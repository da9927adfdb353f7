/* common/clock_step.h: tells when somebody sets the wall clock. */
#ifndef COMMON_CLOCK_STEP_H
#define COMMON_CLOCK_STEP_H

#include "common/loop.h"

struct clock_step;

/* fn is called after each step of the wall clock of more than 10 s against CLOCK_BOOTTIME. new; NULL where the kernel cannot tell. */
struct clock_step *clock_step_new(struct loop *loop, loop_fn fn, void *arg);
struct clock_step *clock_step_free(struct clock_step *c); /* takes NULL */

#endif

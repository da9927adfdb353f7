/* common/backoff.c: how long to wait after a failure. */
#include "common/backoff.h"

#include <errno.h>
#include <sys/random.h>

#define DRAWS        32               /* 256 bytes: getrandom(2) gives as many at once, or none */
#define FAILURES_MAX ((1U << 24) - 1) /* what the field holds; the step is at its cap long before */

/**
 * backoff_next() - how long to wait after one more failure
 * @b: base_usec, cap_usec set by the caller; the failure is counted here
 * @random: uniform in [0,1)
 *
 * Full jitter: uniform between nothing and the step, which doubles from the base to the cap; so that a thousand waiters
 * do not come back together. A tenth of the step is the least.
 *
 * Return: usec.
 */
uint64_t backoff_next(struct backoff *b, double random)
{
        uint64_t step = b->base_usec < b->cap_usec ? b->base_usec : b->cap_usec;
        uint64_t wait;

        for (unsigned i = 0; i < b->failures && step < b->cap_usec && step > 0; i++)
                step = step > b->cap_usec / 2 ? b->cap_usec : step * 2;
        if (b->failures < FAILURES_MAX)
                b->failures++;

        wait = (uint64_t)((double)step * random);
        return wait > step / 10 ? wait : step / 10;
}

/**
 * backoff_reset() - the next failure is the first again
 * @b: backoff
 */
void backoff_reset(struct backoff *b)
{
        b->failures = 0;
}

/**
 * backoff_random() - a random number from the kernel
 *
 * Return: uniform in [0,1).
 */
double backoff_random(void)
{
        /* A store of them: each look at each of ten thousand secrets asks for one. It protects nothing, so it may lie there. */
        static __thread uint64_t bits[DRAWS];
        static __thread size_t left;
        ssize_t n;

        if (left == 0) {
                do
                        n = getrandom(bits, sizeof(bits), 0);
                while (n < 0 && errno == EINTR);
                /* A kernel without getrandom() has nothing to spread by; the middle still waits. */
                if (n != (ssize_t)sizeof(bits))
                        return 0.5;
                left = DRAWS;
        }
        return (double)(bits[--left] >> 11) * 0x1p-53;
}

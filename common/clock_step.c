/* common/clock_step.c: tells when somebody sets the wall clock (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET). */
#include "common/clock_step.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/parse.h"

#define STEP_LEAST_USEC (10 * USEC_PER_SEC)
#define NEVER_SEC       ((time_t)9000000000) /* the year 2255, which the kernel's 64 bits of nsec still hold */

struct clock_step {
        int fd;
        struct loop_watch *watch;
        int64_t offset_usec; /* wall clock minus boot clock, when last looked at */
        loop_fn fn;
        void *arg;
};

static int64_t offset_now(void)
{
        return (int64_t)clock_realtime_usec() - (int64_t)clock_boottime_usec();
}

/* A timer that never fires: reading it fails with ECANCELED once the clock was set. */
static int arm(int fd)
{
        struct itimerspec never;

        memset(&never, 0, sizeof(never));
        never.it_value.tv_sec = NEVER_SEC;
        return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0 ? -errno : 0;
}

static void on_readable(int fd, unsigned what, void *arg)
{
        struct clock_step *c = arg;
        int64_t offset = offset_now(), step = offset - c->offset_usec;
        uint64_t expirations;

        (void)what;
        if (read(fd, &expirations, sizeof(expirations)) < 0 && errno == EAGAIN)
                return;
        if (arm(fd) < 0)
                loop_watch_set(c->watch, 0);
        c->offset_usec = offset;
        if (step > -(int64_t)STEP_LEAST_USEC && step < (int64_t)STEP_LEAST_USEC)
                return;
        log_warn("the wall clock was set by %.0f s", (double)step / 1e6);
        c->fn(c->arg);
}

/**
 * clock_step_new() - watches the wall clock
 * @loop: borrowed
 * @fn: called with @arg after each step of more than 10 s
 *
 * Return: new; NULL where the kernel cannot tell (logged).
 */
struct clock_step *clock_step_new(struct loop *loop, loop_fn fn, void *arg)
{
        int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
        struct clock_step *c;

        if (fd < 0 || arm(fd) < 0) {
                log_warn("steps of the wall clock cannot be noticed: %s", strerror(errno));
                if (fd >= 0)
                        close(fd);
                return NULL;
        }
        c = mem_new(sizeof(*c));
        *c = (struct clock_step){.fd = fd, .offset_usec = offset_now(), .fn = fn, .arg = arg};
        c->watch = loop_watch_new(loop, fd, LOOP_READ, on_readable, c);
        return c;
}

struct clock_step *clock_step_free(struct clock_step *c)
{
        if (!c)
                return NULL;
        loop_watch_free(c->watch);
        close(c->fd);
        return mem_free(c);
}

/* tests/fakes/clock.c: loaded before a program: a wall clock that a test can set. In $FAKE_CLOCK: "offset" (seconds), "bell" (a FIFO). */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int bell_fd = -1;

static void path_of(const char *name, char *ret, size_t cap)
{
        const char *folder = getenv("FAKE_CLOCK");

        snprintf(ret, cap, "%s/%s", folder ? folder : "", name);
}

static long offset_sec(void)
{
        char path[512], text[32] = "";
        ssize_t len;
        int fd;

        path_of("offset", path, sizeof(path));
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        len = pread(fd, text, sizeof(text) - 1, 0);
        close(fd);
        return len > 0 ? strtol(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
        static int (*real)(clockid_t, struct timespec *);
        int saved = errno, r;

        if (!real)
                *(void **)(void *)&real = dlsym(RTLD_NEXT, "clock_gettime");
        r = real(clock, ret);
        if (r == 0 && clock == CLOCK_REALTIME)
                ret->tv_sec += offset_sec();
        errno = r == 0 ? saved : errno;
        return r;
}

/* The one timer on the wall clock is the one that tells of its steps. */
int timerfd_create(int clock, int flags)
{
        static int (*real)(int, int);
        char path[512];

        if (clock == CLOCK_REALTIME) {
                path_of("bell", path, sizeof(path));
                bell_fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
                return bell_fd;
        }
        if (!real)
                *(void **)(void *)&real = dlsym(RTLD_NEXT, "timerfd_create");
        return real(clock, flags);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *next, struct itimerspec *ret_before)
{
        static int (*real)(int, int, const struct itimerspec *, struct itimerspec *);

        if (fd == bell_fd)
                return 0;
        if (!real)
                *(void **)(void *)&real = dlsym(RTLD_NEXT, "timerfd_settime");
        return real(fd, flags, next, ret_before);
}

ssize_t read(int fd, void *bytes, size_t len)
{
        static ssize_t (*real)(int, void *, size_t);
        ssize_t r;

        if (!real)
                *(void **)(void *)&real = dlsym(RTLD_NEXT, "read");
        r = real(fd, bytes, len);
        if (fd == bell_fd && fd >= 0 && r > 0) {
                errno = ECANCELED;
                return -1;
        }
        return r;
}

/* common/sdnotify.c: what the service manager is told (sd_notify(3)) and what it hands over (sd_listen_fds(3)). */
#include "common/sdnotify.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

/* What sd_notify() returns is left alone throughout: a service manager that cannot be told cannot be helped either. */

#define STATUS_MAX  512
#define SOCKETS_MAX 64

/* By inode: once taken and closed, the number of a descriptor may stand for something else. */
static ino_t taken[SOCKETS_MAX];
static unsigned taken_len;

/* Each line is an assignment of its own: a line break in a status would start the next. */
static void one_line(char *text)
{
        for (; *text; text++)
                if ((unsigned char)*text < 0x20)
                        *text = ' ';
}

/**
 * sdnotify_ready() - READY=1: started, or reloaded
 * @status: text for "systemctl status"; NULL leaves it
 */
void sdnotify_ready(const char *status)
{
        if (status)
                sdnotify_status("%s", status);
        sd_notify(0, "READY=1");
}

/**
 * sdnotify_status() - STATUS=
 * @fmt: printf(3) format; cut at 512 bytes
 */
void sdnotify_status(const char *fmt, ...)
{
        char text[STATUS_MAX];
        va_list ap;

        va_start(ap, fmt);
        if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
                text[0] = '\0';
        va_end(ap);
        one_line(text);
        sd_notifyf(0, "STATUS=%s", text);
}

/**
 * sdnotify_reloading() - RELOADING=1 with the MONOTONIC_USEC= that Type=notify-reload asks for; sdnotify_ready() ends it
 */
void sdnotify_reloading(void)
{
        sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_monotonic_usec());
}

/**
 * sdnotify_stopping() - STOPPING=1
 */
void sdnotify_stopping(void)
{
        sd_notify(0, "STOPPING=1");
}

/**
 * sdnotify_extend_timeout() - EXTEND_TIMEOUT_USEC=: the start or stop may take this much longer from now on
 * @usec: usec
 */
void sdnotify_extend_timeout(uint64_t usec)
{
        sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRIu64, usec);
}

/**
 * sdnotify_watchdog() - WATCHDOG=1: alive
 */
void sdnotify_watchdog(void)
{
        sd_notify(0, "WATCHDOG=1");
}

/**
 * sdnotify_watchdog_usec() - how often the service manager wants to hear of us (WatchdogSec=)
 *
 * Return: usec, ping at half of it; 0: no watchdog wanted.
 */
uint64_t sdnotify_watchdog_usec(void)
{
        uint64_t usec = 0;

        return sd_watchdog_enabled(0, &usec) > 0 ? usec : 0;
}

static bool same_address(const struct sockaddr *a, socklen_t a_len, const struct sockaddr *b, socklen_t b_len)
{
        const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
        const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;
        const struct sockaddr_un *au = (const void *)a, *bu = (const void *)b;

        if (a_len <= sizeof(sa_family_t) || b_len <= sizeof(sa_family_t) || a->sa_family != b->sa_family)
                return false;
        switch (a->sa_family) {
        case AF_UNIX: /* a path ends at its NUL, whatever the lengths count */
                return au->sun_path[0] && strncmp(au->sun_path, bu->sun_path, sizeof(au->sun_path)) == 0;
        case AF_INET: return a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
        case AF_INET6:
                return a6->sin6_port == b6->sin6_port &&
                       memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
        default: return false;
        }
}

/* Is fd a listening stream socket that is still to be had? Then ret_addr and ret_len are where, ret_inode which. */
static bool is_free(int fd, struct sockaddr_storage *ret_addr, socklen_t *ret_len, ino_t *ret_inode)
{
        struct stat st;

        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0 || fstat(fd, &st) < 0)
                return false;
        for (unsigned i = 0; i < taken_len; i++) {
                if (taken[i] == st.st_ino)
                        return false;
        }
        memset(ret_addr, 0, sizeof(*ret_addr));
        *ret_len = sizeof(*ret_addr);
        *ret_inode = st.st_ino;
        return getsockname(fd, (struct sockaddr *)ret_addr, ret_len) == 0;
}

/**
 * sdnotify_listen_socket() - a socket that the service manager listens on for us (socket activation); each is given once
 * @addr:   the address; by it, not by a name, so that configuration and .socket unit cannot mean different sockets
 * @len:    its length
 * @ret_fd: non-blocking, close-on-exec; yours to close. A path stays the manager's: do not unlink it
 *
 * Return: 0; -ENOENT: none of that address was handed over, or it was given already; -errno.
 */
int sdnotify_listen_socket(const struct sockaddr *addr, socklen_t len, int *ret_fd)
{
        struct sockaddr_storage bound;
        socklen_t bound_len;
        ino_t inode;
        int n = sd_listen_fds(0);

        if (n < 0)
                return n;
        for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n && taken_len < SOCKETS_MAX; fd++) {
                if (!is_free(fd, &bound, &bound_len, &inode) ||
                    !same_address((const struct sockaddr *)&bound, bound_len, addr, len))
                        continue;
                if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
                        return -errno;
                taken[taken_len++] = inode;
                *ret_fd = fd;
                return 0;
        }
        return -ENOENT;
}

/**
 * sdnotify_each_unused_socket() - the sockets that were handed over and that nobody has asked for
 * @fn:  is told where each listens; borrowed for the call
 * @arg: for fn
 *
 * They cannot be given back: the service manager keeps them open and lets clients queue there.
 */
void sdnotify_each_unused_socket(sdnotify_socket_fn fn, void *arg)
{
        struct sockaddr_storage bound;
        socklen_t bound_len;
        ino_t inode;
        int n = sd_listen_fds(0);

        for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; fd++) {
                if (is_free(fd, &bound, &bound_len, &inode))
                        fn((const struct sockaddr *)&bound, bound_len, arg);
        }
}

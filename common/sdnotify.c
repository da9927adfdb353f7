/* common/sdnotify.c: what the service manager is told (sd_notify(3)). */
#include "common/sdnotify.h"

#include "common/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

/* What sd_notify() returns is left alone throughout: a service manager that cannot be told cannot be helped either. */

#define STATUS_MAX 512

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

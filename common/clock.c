/* common/clock.c: the three clocks, and times as people write them. */
#include "common/clock.h"

#include "common/parse.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_usec(clockid_t id)
{
        struct timespec ts = {0, 0};

        /* These three cannot fail on a Linux that runs this program. */
        clock_gettime(id, &ts);
        return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

/**
 * clock_boottime_usec() - time since boot, suspended time included
 *
 * Return: usec.
 */
uint64_t clock_boottime_usec(void)
{
        return now_usec(CLOCK_BOOTTIME);
}

/**
 * clock_realtime_usec() - the wall clock
 *
 * Return: usec since 1970-01-01T00:00:00Z.
 */
uint64_t clock_realtime_usec(void)
{
        return now_usec(CLOCK_REALTIME);
}

/**
 * clock_monotonic_usec() - time since boot, suspended time left out
 *
 * Return: usec.
 */
uint64_t clock_monotonic_usec(void)
{
        return now_usec(CLOCK_MONOTONIC);
}

/**
 * clock_rfc3339() - a wall-clock time as text, RFC 3339 in UTC with whole seconds
 * @realtime_usec: usec since 1970; what lies past the year 9999 is written as its last second
 * @buf: where it is written
 *
 * Return: @buf.
 */
const char *clock_rfc3339(uint64_t realtime_usec, char buf[CLOCK_TEXT_LEN])
{
        const uint64_t year_9999_end = UINT64_C(253402300799);
        uint64_t sec = realtime_usec / USEC_PER_SEC;
        time_t t = (time_t)(sec < year_9999_end ? sec : year_9999_end);
        struct tm tm;

        gmtime_r(&t, &tm);
        strftime(buf, CLOCK_TEXT_LEN, "%Y-%m-%dT%H:%M:%SZ", &tm);
        return buf;
}

/* Reads exactly `count` digits at *pos. */
static bool take_number(const char **pos, int count, int min, int max, int *ret_value)
{
        int value = 0;

        for (int i = 0; i < count; i++) {
                if (!isdigit((unsigned char)(*pos)[i]))
                        return false;
                value = value * 10 + ((*pos)[i] - '0');
        }
        if (value < min || value > max)
                return false;
        *pos += count;
        *ret_value = value;
        return true;
}

static bool take_char(const char **pos, char lower)
{
        if (tolower((unsigned char)**pos) != lower)
                return false;
        (*pos)++;
        return true;
}

static int month_days(int year, int month)
{
        static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

        return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* ".123456789": what is finer than a microsecond is dropped. */
static bool take_fraction(const char **pos, uint64_t *ret_usec)
{
        uint64_t usec = 0, scale = USEC_PER_SEC / 10;

        if (!isdigit((unsigned char)**pos))
                return false;
        for (; isdigit((unsigned char)**pos); (*pos)++, scale /= 10)
                usec += (uint64_t)(**pos - '0') * scale;
        *ret_usec = usec;
        return true;
}

static bool take_offset(const char **pos, int *ret_sec)
{
        int hours, minutes, sign = **pos == '-' ? -1 : 1;

        if (take_char(pos, 'z')) {
                *ret_sec = 0;
                return true;
        }
        if (**pos != '+' && **pos != '-')
                return false;
        (*pos)++;
        if (!take_number(pos, 2, 0, 23, &hours) || !take_char(pos, ':') || !take_number(pos, 2, 0, 59, &minutes))
                return false;
        *ret_sec = sign * (hours * 3600 + minutes * 60);
        return true;
}

/**
 * clock_parse_rfc3339() - reads a time as RFC 3339 section 5.6 writes it
 * @text: "2026-11-24T06:49:32Z", "2026-11-24T08:49:32.123456789+02:00"
 * @ret_realtime_usec: usec since 1970
 *
 * Return: 0; -EINVAL for anything else, also for times before 1970 (Go's zero time "0001-01-01T00:00:00Z").
 */
int clock_parse_rfc3339(const char *text, uint64_t *ret_realtime_usec)
{
        const char *pos = text;
        uint64_t usec = 0;
        struct tm tm = {0};
        int year, month, mday, offset;
        time_t t;

        if (!take_number(&pos, 4, 0, 9999, &year) || !take_char(&pos, '-') || !take_number(&pos, 2, 1, 12, &month) ||
            !take_char(&pos, '-') || !take_number(&pos, 2, 1, month_days(year, month), &mday) || !take_char(&pos, 't'))
                return -EINVAL;
        if (!take_number(&pos, 2, 0, 23, &tm.tm_hour) || !take_char(&pos, ':') ||
            !take_number(&pos, 2, 0, 59, &tm.tm_min) || !take_char(&pos, ':') ||
            !take_number(&pos, 2, 0, 60, &tm.tm_sec))
                return -EINVAL;
        if (take_char(&pos, '.') && !take_fraction(&pos, &usec))
                return -EINVAL;
        if (!take_offset(&pos, &offset) || *pos != '\0')
                return -EINVAL;

        tm.tm_year = year - 1900;
        tm.tm_mon = month - 1;
        tm.tm_mday = mday;
        t = timegm(&tm) - offset;
        if (t < 0)
                return -EINVAL;
        *ret_realtime_usec = (uint64_t)t * USEC_PER_SEC + usec;
        return 0;
}

static char boot_id[40];

static void read_boot_id(void)
{
        int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return;
        n = read(fd, boot_id, sizeof(boot_id) - 1);
        close(fd);
        boot_id[n > 0 ? n : 0] = '\0';
        boot_id[strcspn(boot_id, "\n")] = '\0';
}

/**
 * clock_boot_id() - names this boot: CLOCK_BOOTTIME values of another one mean nothing here
 *
 * Return: borrowed for ever; "" where the kernel tells none.
 */
const char *clock_boot_id(void)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        pthread_once(&once, read_boot_id);
        return boot_id;
}

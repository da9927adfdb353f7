/* app/latency.c: latency that is added before each query: reads the option, draws, waits, counts. */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/latency.h"
#include "common/backoff.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/parse.h"

#define LONGEST_USEC (10 * USEC_PER_SEC)

/* Written before there is a second thread; the counters by all database threads. */
static struct {
        struct latency latency;
        atomic_uint_fast64_t queries, usec;
        struct metric *queries_total, *seconds_total;
} injected;

/* --- the option --- */

static int read_duration(const char *text, uint64_t *ret_usec)
{
        uint64_t usec;
        int r = parse_duration(text, &usec);

        if (r < 0 || usec > LONGEST_USEC)
                return -EINVAL;
        *ret_usec = usec;
        return 0;
}

/* Cuts `text` at the first `sign`. Return: what follows it; NULL where it does not stand there. */
static char *cut(char *text, char sign)
{
        char *at = strchr(text, sign);

        if (at)
                *at++ = '\0';
        return at;
}

static int read_two(char *text, char sign, struct latency *l)
{
        const char *second = cut(text, sign);

        if (!second || read_duration(text, &l->a_usec) < 0)
                return -EINVAL;
        return read_duration(second, &l->b_usec);
}

/* "0.01", digits and at most one point: strtod(3) follows the locale and takes much more. */
static int read_share(const char *text, double *ret_share)
{
        double value = 0, place = 1;
        bool in_fraction = false, has_digit = false;

        for (; *text; text++) {
                if (*text == '.' && !in_fraction) {
                        in_fraction = true;
                        continue;
                }
                if (*text < '0' || *text > '9')
                        return -EINVAL;
                has_digit = true;
                if (in_fraction)
                        value += (*text - '0') * (place /= 10);
                else
                        value = value * 10 + (*text - '0');
        }
        if (!has_digit || value > 1)
                return -EINVAL;
        *ret_share = value;
        return 0;
}

/* "p=0.01:500ms" */
static int read_outliers(char *text, struct latency *l)
{
        const char *duration = cut(text, ':');

        if (!duration || strncmp(text, "p=", 2) != 0 || read_share(text + 2, &l->outlier_share) < 0)
                return -EINVAL;
        return read_duration(duration, &l->outlier_usec);
}

/**
 * latency_parse() - what --db-latency asks for
 * @text: "fixed:20ms", "uniform:5ms-50ms", "normal:20ms,5ms"; ",p=0.01:500ms" may follow
 *
 * Return: 0, -EINVAL.
 */
int latency_parse(const char *text, struct latency *ret_latency)
{
        cleanup_free char *copy = mem_strdup(text);
        char *outliers = strstr(copy, ",p="), *values = cut(copy, ':');
        struct latency l = {0};
        int r;

        if (!values)
                return -EINVAL;
        if (outliers) {
                if (outliers < values)
                        return -EINVAL;
                *outliers++ = '\0';
                r = read_outliers(outliers, &l);
                if (r < 0)
                        return r;
        }
        if (strcmp(copy, "fixed") == 0) {
                l.shape = LATENCY_FIXED;
                r = read_duration(values, &l.a_usec);
        } else if (strcmp(copy, "uniform") == 0) {
                l.shape = LATENCY_UNIFORM;
                r = read_two(values, '-', &l);
                if (r == 0 && l.b_usec < l.a_usec)
                        return -EINVAL;
        } else if (strcmp(copy, "normal") == 0) {
                l.shape = LATENCY_NORMAL;
                r = read_two(values, ',', &l);
        } else {
                return -EINVAL;
        }
        if (r == 0)
                *ret_latency = l;
        return r;
}

/* --- the draw --- */

/* Twelve uniform numbers less six have mean 0, deviation 1 and a shape that nobody tells from the bell by looking. */
static double draw_normal(double (*random)(void))
{
        double sum = -6;

        for (int i = 0; i < 12; i++)
                sum += random();
        return sum;
}

/**
 * latency_draw() - how long one query waits
 * @random: uniform in [0,1)
 *
 * Return: usec, at most 10 s and a little.
 */
uint64_t latency_draw(const struct latency *l, double (*random)(void))
{
        double usec;

        if (l->outlier_share > 0 && random() < l->outlier_share)
                return l->outlier_usec;
        switch (l->shape) {
        case LATENCY_UNIFORM: return l->a_usec + (uint64_t)((double)(l->b_usec - l->a_usec) * random());
        case LATENCY_NORMAL:
                usec = (double)l->a_usec + (double)l->b_usec * draw_normal(random);
                return usec <= 0 ? 0 : usec >= (double)LONGEST_USEC ? LONGEST_USEC : (uint64_t)usec;
        case LATENCY_FIXED: return l->a_usec;
        default: return 0;
        }
}

/* --- of this process --- */

static void collect(void *arg)
{
        (void)arg;
        metric_set(injected.queries_total, (double)atomic_load(&injected.queries));
        metric_set(injected.seconds_total, (double)atomic_load(&injected.usec) / (double)USEC_PER_SEC);
}

/**
 * latency_setup() - from now on queries wait
 * @l: copied; LATENCY_OFF: they do not
 * @m: borrowed for its life: tells in either case whether latency is added, so that an alert can be made of it
 */
void latency_setup(const struct latency *l, struct metrics *m)
{
        struct metric *on =
                metrics_add(m, METRIC_GAUGE, "notesd_injected_latency_enabled",
                            "1 while latency is added before queries (--db-latency): not for production.", "", NULL);

        injected.latency = *l;
        metric_set(on, l->shape != LATENCY_OFF);
        if (l->shape == LATENCY_OFF)
                return;
        injected.queries_total = metrics_add(m, METRIC_COUNTER, "notesd_injected_latency_queries_total",
                                             "Queries that waited for added latency.", "", NULL);
        injected.seconds_total = metrics_add(m, METRIC_COUNTER, "notesd_injected_latency_seconds_total",
                                             "Seconds of latency added before queries, all together.", "", NULL);
        metrics_on_collect(m, collect, NULL);
}

/**
 * latency_inject() - waits as long as the option says; at once without it
 */
void latency_inject(void)
{
        struct timespec rest;
        uint64_t usec;

        if (injected.latency.shape == LATENCY_OFF)
                return;
        usec = latency_draw(&injected.latency, backoff_random);
        rest = (struct timespec){(time_t)(usec / USEC_PER_SEC), (long)(usec % USEC_PER_SEC) * 1000};
        while (clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, &rest) == EINTR)
                continue;
        atomic_fetch_add(&injected.queries, 1);
        atomic_fetch_add(&injected.usec, usec);
}

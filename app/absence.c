/* app/absence.c: how long the agent has been away, and the warnings while what it gave runs out. */
#include <stddef.h>

#include "app/absence.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/parse.h"

#define LAST_WARNING_USEC (20 * USEC_PER_SEC) /* less than this to go: another warning would come too late to act on */

struct absence {
        struct loop_timer *timer; /* armed while the agent is away and something ends */
        bool connected;
        uint64_t since_usec; /* wall clock */
        char *name;          /* what ends first; NULL: nothing */
        uint64_t end_usec;   /* wall clock */
        struct metric *there, *since;
};

static void set_since(struct absence *a)
{
        a->since_usec = clock_realtime_usec();
        metric_set(a->there, a->connected);
        metric_set(a->since, (double)a->since_usec / (double)USEC_PER_SEC);
}

static uint64_t left_usec(const struct absence *a)
{
        uint64_t now = clock_realtime_usec();

        return a->end_usec > now ? a->end_usec - now : 0;
}

static void on_half(void *arg)
{
        struct absence *a = arg;
        char end[CLOCK_TEXT_LEN];
        uint64_t left = left_usec(a), now = clock_realtime_usec();
        uint64_t away = now > a->since_usec ? now - a->since_usec : 0;

        log_warn(
                "agent: away for %llu s; %s ends at %s, in %llu s, and nobody replaces it; what is in use stays in use "
                "for as long as it works. Is leasekeeperd running?",
                (unsigned long long)(away / USEC_PER_SEC), a->name, clock_rfc3339(a->end_usec, end),
                (unsigned long long)(left / USEC_PER_SEC));
        if (left >= LAST_WARNING_USEC)
                loop_timer_in(a->timer, left / 2);
}

/**
 * absence_new() - begins with an agent that is away, since now
 *
 * Return: new.
 */
struct absence *absence_new(struct loop *loop, struct metrics *metrics)
{
        struct absence *a = mem_new(sizeof(*a));

        a->timer = loop_timer_new(loop, on_half, a);
        a->there = metrics_add(metrics, METRIC_GAUGE, "notesd_agent_connected",
                               "1 while the agent's socket answers, 0 while it does not.", "", NULL);
        a->since = metrics_add(metrics, METRIC_GAUGE, "notesd_agent_change_timestamp_seconds",
                               "Unix time since which notesd_agent_connected is what it is.", "", NULL);
        set_since(a);
        return a;
}

/**
 * absence_free() - takes NULL
 */
struct absence *absence_free(struct absence *a)
{
        if (!a)
                return NULL;
        loop_timer_free(a->timer);
        mem_free(a->name);
        return mem_free(a);
}

/**
 * absence_follow() - what is so now
 * @first_name:     which of the secrets in use ends first; NULL: none does
 * @first_end_usec: when, by the wall clock
 *
 * While the agent is away there is a warning at half of what is left, then at half of the rest, and so on.
 */
void absence_follow(struct absence *a, bool connected, const char *first_name, uint64_t first_end_usec)
{
        bool is_same = connected == a->connected;

        if (!is_same) {
                a->connected = connected;
                set_since(a);
        } else if (a->end_usec == first_end_usec) {
                return;
        }
        mem_free(a->name);
        a->name = first_name ? mem_strdup(first_name) : NULL;
        a->end_usec = first_end_usec;
        if (connected || !first_name || left_usec(a) == 0)
                loop_timer_cancel(a->timer);
        else
                loop_timer_in(a->timer, left_usec(a) / 2);
}

/**
 * absence_since_usec() - since when the agent is there, or away
 */
uint64_t absence_since_usec(const struct absence *a)
{
        return a->since_usec;
}

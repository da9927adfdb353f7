/* common/http_held.c: what all HTTP connections together keep in memory for slow clients, and which of them makes way. */
#include "common/http_private.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/parse.h"

#define SLOW_USEC USEC_PER_SEC /* receiving for longer makes way */

/*
 * Each connection is bounded by itself, yet thousands at their bound are more than any memory. Counted are bytes that wait to
 * be read by a client and room for what it sends beyond the first IN_FIRST.
 */
void held_change(struct http_conn *c, size_t added, size_t gone)
{
        if (c->forgotten)
                return;
        c->held += added - gone;
        c->server->held += added - gone;
}

void held_forget(struct http_conn *c)
{
        held_change(c, 0, c->held);
        c->forgotten = true;
}

static bool is_over(struct http_server *s)
{
        size_t max = s->limits.held_max;

        if (max == 0 || s->held <= max)
                return false;
        if (server_may_say(&s->held_said_usec))
                log_warn("http: more than %zu KiB wait for slow clients; the slowest make way", max >> 10);
        return true;
}

bool held_has_room(struct http_conn *c)
{
        struct http_server *s = c->server;
        uint64_t now = clock_boottime_usec();
        struct http_conn *other, *next;

        for (other = TAILQ_FIRST(&s->receiving); other && is_over(s); other = next) {
                next = TAILQ_NEXT(other, link);
                if (other != c && other->held > 0 && now - other->request_usec >= SLOW_USEC)
                        conn_doom(other, "it sent too slowly while too much was held");
        }
        return !is_over(s);
}

void held_trim(struct http_server *s)
{
        struct http_conn *c, *next;

        for (c = TAILQ_FIRST(&s->busy); c && is_over(s); c = next) {
                next = TAILQ_NEXT(c, link);
                if (c->state == CONN_FLUSH)
                        conn_doom(c, "it read too slowly while too much was held");
        }
}

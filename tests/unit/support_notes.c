/* tests/unit/support_notes.c: the loop, the swap and the notes of one test, and what came of its calls. */
#include "tests/unit/support_notes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/parse.h"
#include "common/secret.h"
#include "tests/unit/support_mariadb.h"

#define GIVE_UP_USEC (20 * USEC_PER_SEC)
#define LOOK_USEC    UINT64_C(500)

struct wait {
        struct desk *desk;
        bool (*cond)(void *arg);
        void *arg;
        uint64_t end_usec;
        struct loop_timer *timer;
        bool is_late;
};

static void on_change(const struct db_swap_status *status, void *arg)
{
        struct desk *d = arg;

        d->status = *status;
        snprintf(d->error, sizeof(d->error), "%s", status->error);
        snprintf(d->username, sizeof(d->username), "%s", status->username);
        d->status.error = d->error;
        d->status.username = d->username;
        d->changes++;
}

void desk_begin(struct desk *d, struct mariadb *mariadb, const struct notes_config *config)
{
        *d = (struct desk){.mariadb = mariadb};
        d->loop = loop_new();
        d->metrics = metrics_new();
        d->swap = db_swap_new(d->loop, d->metrics, on_change, d);
        d->notes = notes_new(d->loop, d->swap, d->metrics, config);
}

void desk_end(struct desk *d)
{
        d->notes = notes_free(d->notes);
        d->swap = db_swap_free(d->swap);
        d->metrics = metrics_free(d->metrics);
        d->loop = loop_free(d->loop);
}

void desk_login(struct desk *d, uint64_t version, const char *user, const char *password, bool again)
{
        struct db_login login = {.version = version,
                                 .username = secret_new_from(user, strlen(user)),
                                 .password = secret_new_from(password, strlen(password))};

        db_swap_offer_login(d->swap, &login, again);
}

void desk_place(struct desk *d, uint64_t version, const char *socket, bool again)
{
        struct db_place place = {.version = version,
                                 .socket = mem_strdup(socket ? socket : mariadb_socket(d->mariadb)),
                                 .database = mem_strdup(mariadb_database())};

        db_swap_offer_place(d->swap, &place, again);
}

void desk_hosts(struct desk *d, uint64_t version, const char *hosts, bool again)
{
        struct db_place place = {.version = version,
                                 .host = mem_strdup(hosts),
                                 .port = 3306,
                                 .database = mem_strdup(mariadb_database())};

        db_swap_offer_place(d->swap, &place, again);
}

void desk_ready(struct desk *d)
{
        desk_place(d, 1, NULL, false);
        desk_login(d, 1, "app", "p", false);
        desk_until_version(d, 1, 1);
}

static void look(void *arg)
{
        struct wait *w = arg;

        w->is_late = clock_monotonic_usec() > w->end_usec;
        if (w->is_late || w->cond(w->arg))
                loop_stop(w->desk->loop);
        else
                loop_timer_in(w->timer, LOOK_USEC);
}

void desk_until(struct desk *d, bool (*cond)(void *arg), void *arg)
{
        struct wait w = {.desk = d, .cond = cond, .arg = arg, .end_usec = clock_monotonic_usec() + GIVE_UP_USEC};

        w.timer = loop_timer_new(d->loop, look, &w);
        loop_timer_in(w.timer, 0);
        assert_int_equal(loop_run(d->loop), 0);
        loop_timer_free(w.timer);
        if (w.is_late)
                fail_msg("what was waited for did not happen (error: %s)", d->error);
}

struct span {
        struct outcome *outcomes;
        size_t len;
};

static bool all_done(void *arg)
{
        const struct span *s = arg;

        for (size_t i = 0; i < s->len; i++)
                if (!s->outcomes[i].done)
                        return false;
        return true;
}

void desk_until_done(struct desk *d, struct outcome *outcomes, size_t len)
{
        desk_until(d, all_done, &(struct span){outcomes, len});
}

struct versions {
        struct desk *desk;
        uint64_t login, place;
};

static bool is_in_use(void *arg)
{
        const struct versions *v = arg;
        const struct db_swap_status *s = &v->desk->status;

        return s->login_version == v->login && s->place_version == v->place && s->old_closed && s->working;
}

void desk_until_version(struct desk *d, uint64_t login, uint64_t place)
{
        desk_until(d, is_in_use, &(struct versions){d, login, place});
}

static bool is_over(void *arg)
{
        return clock_monotonic_usec() >= *(uint64_t *)arg;
}

void desk_turn(struct desk *d, uint64_t usec)
{
        uint64_t end = clock_monotonic_usec() + usec;

        desk_until(d, is_over, &end);
}

void on_outcome(const struct notes_result *r, void *outcome)
{
        struct outcome *o = outcome;

        assert_false(o->done);
        assert_true(r->len <= NOTES_LIMIT_MAX);
        *o = (struct outcome){.done = true, .outcome = r->outcome, .len = r->len, .next = r->next};
        o->done_usec = clock_monotonic_usec();
        for (size_t i = 0; i < r->len; i++)
                o->ids[i] = r->items[i].id;
        o->id = o->ids[0];
        snprintf(o->key, sizeof(o->key), "%s", r->key);
        snprintf(o->reason, sizeof(o->reason), "%s", r->reason);
}

struct outcome desk_add(struct desk *d, const char *text, const char *key)
{
        struct outcome o = {0};

        notes_add(d->notes, text, strlen(text), key, on_outcome, &o);
        desk_until_done(d, &o, 1);
        return o;
}

struct outcome desk_list(struct desk *d, unsigned limit, uint64_t before)
{
        struct outcome o = {0};

        notes_list(d->notes, limit, before, on_outcome, &o);
        desk_until_done(d, &o, 1);
        return o;
}

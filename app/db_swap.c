/* app/db_swap.c: generations of database sessions: what is offered, what is in use, and who is told. */
#include "app/db_swap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/db_bell.h"
#include "app/db_swap_state.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/secret.h"

/* --- sessions are counted, because a login may be revoked only when its last one is closed --- */

/**
 * db_session_begin() - counts a session
 * @s: locked
 * @p: whose; gets one user more
 */
void db_session_begin(struct db_swap *s, struct db_pair *p)
{
        db_pair_ref(p);
        p->sessions++;
        s->sessions += p->installed;
        db_bell_ring(s->bell);
}

/**
 * db_session_end() - counts a session no longer
 * @s: locked
 * @p: as in db_session_begin(); loses that user
 */
void db_session_end(struct db_swap *s, struct db_pair *p)
{
        p->sessions--;
        s->sessions -= p->installed;
        db_pair_unref(p);
        db_bell_ring(s->bell);
}

/* --- the status --- */

static bool is_newest(const struct db_swap *s)
{
        return s->pair && s->pair->login == s->login && s->pair->place == s->place;
}

/* Under the lock. */
static const char *why_not(const struct db_swap *s)
{
        if (!s->login)
                return "no database login was given yet";
        if (!s->place)
                return "no place of the database was given yet";
        if (s->pair && s->pair->fault && (is_newest(s) || !s->proof_fault))
                return s->pair->error;
        if (s->proof_fault)
                return s->proof_error;
        return s->pair ? "" : "the database is being dialled";
}

static unsigned old_sessions(const struct db_swap *s)
{
        return s->sessions - (s->pair ? s->pair->sessions : 0);
}

static void take_status(struct db_swap *s, struct db_swap_status *ret_status)
{
        struct db_swap_status status = {.error = s->shown_error, .username = s->shown_username};
        const struct db_pair *pair;

        pthread_mutex_lock(&s->lock);
        pair = s->pair;
        if (pair) {
                status.login_version = pair->login->login.version;
                status.place_version = pair->place->place.version;
                status.working = !pair->fault;
        }
        status.offered_login = s->login ? s->login->login.version : 0;
        status.offered_place = s->place ? s->place->place.version : 0;
        status.login_denied = s->login_denied;
        status.newest_failed = s->proof_fault != 0;
        status.old_closed = pair && old_sessions(s) == 0;
        snprintf(s->shown_error, sizeof(s->shown_error), "%s", why_not(s));
        snprintf(s->shown_username, sizeof(s->shown_username), "%s",
                 pair ? secret_bytes(pair->login->login.username) : "");
        metric_series_set(s->current_gauge, pair ? pair->sessions : 0);
        metric_series_set(s->old_gauge, old_sessions(s));
        pthread_mutex_unlock(&s->lock);
        *ret_status = status;
}

static bool is_same(const struct db_swap *s, const struct db_swap_status *now)
{
        const struct db_swap_status *then = &s->told;

        return then->login_version == now->login_version && then->place_version == now->place_version &&
               then->offered_login == now->offered_login && then->offered_place == now->offered_place &&
               then->login_denied == now->login_denied && then->newest_failed == now->newest_failed &&
               then->old_closed == now->old_closed && then->working == now->working &&
               strcmp(s->told_error, now->error) == 0 && strcmp(s->told_username, now->username) == 0;
}

static void on_bell(void *arg)
{
        struct db_swap *s = arg;
        struct db_swap_status now;

        take_status(s, &now);
        if (is_same(s, &now))
                return;
        s->told = now;
        memcpy(s->told_error, s->shown_error, sizeof(s->told_error));
        memcpy(s->told_username, s->shown_username, sizeof(s->told_username));
        s->on_change(&now, s->arg);
}

/**
 * db_swap_status() - which pair is in use, and why not the newest
 * @s:          the swap
 * @ret_status: its texts are borrowed until the next turn of the loop
 */
void db_swap_status(const struct db_swap *s, struct db_swap_status *ret_status)
{
        /* Looking needs the lock and writes the texts' room; what the swap does is not changed by it. */
        union {
                const struct db_swap *in;
                struct db_swap *out;
        } same = {.in = s};

        take_status(same.out, ret_status);
}

/* --- the swap --- */

static void begin_metrics(struct db_swap *s, struct metrics *metrics)
{
        struct metric *f =
                metrics_add(metrics, METRIC_GAUGE, "notesd_db_connections",
                            "Database sessions, by whether their credentials are the ones in use.", "state", NULL);

        s->current_gauge = metric_series(f, "current");
        s->old_gauge = metric_series(f, "old");
}

/**
 * db_swap_new() - starts without credentials
 * @loop:      borrowed until db_swap_free()
 * @metrics:   the same
 * @on_change: called from @loop
 * @arg:       for it
 *
 * Return: new.
 */
struct db_swap *db_swap_new(struct loop *loop, struct metrics *metrics, db_swap_fn on_change, void *arg)
{
        struct db_swap *s = mem_new(sizeof(*s));
        pthread_condattr_t attr;
        int r;

        pthread_mutex_init(&s->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&s->cond, &attr);
        pthread_condattr_destroy(&attr);
        s->proof_backoff = (struct backoff){.base_usec = DB_RETRY_BASE_USEC, .cap_usec = DB_RETRY_CAP_USEC};
        s->on_change = on_change;
        s->arg = arg;
        s->bell = db_bell_new(loop, on_bell, s);
        begin_metrics(s, metrics);
        r = pthread_create(&s->prover, NULL, db_prove_main, s);
        if (r) {
                log_error("no thread for the database: %s", strerror(r));
                exit(1);
        }
        return s;
}

/**
 * db_swap_free() - ends; waits for a dial that is under way (seconds at most)
 * @s: NULL is fine; who used it (notes) is freed before
 *
 * Return: NULL.
 */
struct db_swap *db_swap_free(struct db_swap *s)
{
        if (!s)
                return NULL;
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_signal(&s->cond);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->prover, NULL);
        db_pair_unref(s->pair);
        db_login_unref(s->login);
        db_place_unref(s->place);
        db_bell_free(s->bell);
        pthread_cond_destroy(&s->cond);
        pthread_mutex_destroy(&s->lock);
        return mem_free(s);
}

/* Under the lock: something newer is there, prove it now. */
static void offered(struct db_swap *s, bool again)
{
        s->offers++;
        s->again = s->again || again;
        s->proof_usec = 0;
        s->proof_fault = 0;
        s->proof_error[0] = '\0';
        backoff_reset(&s->proof_backoff);
        pthread_cond_signal(&s->cond);
        db_bell_ring(s->bell);
}

/**
 * db_swap_offer_login() - a version of the login
 * @s:     the swap
 * @login: its members are stolen
 * @again: prove and swap even where it is the version in use
 */
void db_swap_offer_login(struct db_swap *s, struct db_login *login, bool again)
{
        struct db_login_ref *ref = mem_new(sizeof(*ref));

        ref->refs = 1;
        ref->login = *login;
        *login = (struct db_login){0};
        pthread_mutex_lock(&s->lock);
        if (!again && s->login && s->login->login.version == ref->login.version) {
                db_login_unref(ref);
        } else {
                db_login_unref(s->login);
                s->login = ref;
                s->login_denied = false;
                offered(s, again);
        }
        pthread_mutex_unlock(&s->lock);
}

/**
 * db_swap_offer_place() - a version of the place
 * @s:     the swap
 * @place: its members are stolen
 * @again: prove and swap even where it is the version in use
 */
void db_swap_offer_place(struct db_swap *s, struct db_place *place, bool again)
{
        struct db_place_ref *ref = mem_new(sizeof(*ref));

        ref->refs = 1;
        ref->place = *place;
        *place = (struct db_place){0};
        pthread_mutex_lock(&s->lock);
        if (!again && s->place && s->place->place.version == ref->place.version) {
                db_place_unref(ref);
        } else {
                db_place_unref(s->place);
                s->place = ref;
                offered(s, again);
        }
        pthread_mutex_unlock(&s->lock);
}

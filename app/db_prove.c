/* app/db_prove.c: the prover's thread: tries what was offered, and makes the pair that works the one in use. */
#include <stdio.h>
#include <string.h>

#include "app/db_bell.h"
#include "app/db_host.h"
#include "app/db_swap_state.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define CANDIDATES_MAX 3
#define WARM_MAX       4 /* sessions dialled ahead: one for each thread */

struct round {
        uint64_t offers; /* as they were when it began */
        struct db_pair *candidates[CANDIDATES_MAX];
        int faults[CANDIDATES_MAX]; /* -1: not tried */
        size_t len, won;            /* won == len: none */
        char error[DB_ERROR_LEN];   /* why the first candidate, the newest of both, does not work */
        struct db_conn *warm[WARM_MAX];
        size_t warm_len;
};

static bool is_current(const struct db_pair *pair, const struct db_login_ref *login, const struct db_place_ref *place)
{
        return pair && pair->login == login && pair->place == place;
}

/**
 * db_swap_wants_proof() - is something offered that is not in use
 * @s: locked
 *
 * Return: true where it is.
 */
bool db_swap_wants_proof(const struct db_swap *s)
{
        return s->login && s->place && (s->again || !is_current(s->pair, s->login, s->place));
}

/* (new, new) first; where both changed, each of the two beside the half that is known to work. */
static void begin_round(struct db_swap *s, struct round *r)
{
        *r = (struct round){.offers = s->offers, .faults = {-1, -1, -1}};
        r->candidates[r->len++] = db_pair_new(s->login, s->place);
        if (s->pair && s->pair->login != s->login && s->pair->place != s->place) {
                r->candidates[r->len++] = db_pair_new(s->login, s->pair->place);
                r->candidates[r->len++] = db_pair_new(s->pair->login, s->place);
        }
        for (size_t i = 0; i < r->len; i++)
                if (s->pair && r->candidates[i]->place == s->pair->place)
                        r->candidates[i]->host =
                                (s->pair->host + s->pair->is_left) % db_host_count(s->pair->place->place.host);
        r->won = r->len;
}

static bool is_outdated(struct db_swap *s, const struct round *r)
{
        bool outdated;

        pthread_mutex_lock(&s->lock);
        outdated = s->stop || s->offers != r->offers;
        pthread_mutex_unlock(&s->lock);
        return outdated;
}

static int open_one(struct db_swap *s, struct db_pair *pair, char error[DB_ERROR_LEN], struct db_conn **ret_conn)
{
        int r;

        pthread_mutex_lock(&s->lock);
        db_session_begin(s, pair);
        pthread_mutex_unlock(&s->lock);
        r = db_conn_open(&pair->login->login, &pair->place->place, pair->host, error, ret_conn);
        if (r) {
                pthread_mutex_lock(&s->lock);
                db_session_end(s, pair);
                pthread_mutex_unlock(&s->lock);
        }
        return r;
}

/* From the host in use on, or from the one after it where that is to be left, round to the one before. */
static int open_first(struct db_swap *s, struct round *r, struct db_pair *pair, char error[DB_ERROR_LEN],
                      struct db_conn **ret_conn)
{
        size_t hosts = db_host_count(pair->place->place.host);
        int fault = DB_UNREACHABLE;

        for (size_t i = 0; i < hosts && (i == 0 || !is_outdated(s, r)); i++) {
                fault = open_one(s, pair, error, ret_conn);
                if (fault != DB_UNREACHABLE && fault != DB_READ_ONLY)
                        return fault;
                pair->host = (pair->host + 1) % hosts;
        }
        return fault;
}

static void try_candidates(struct db_swap *s, struct round *r)
{
        char error[DB_ERROR_LEN];

        for (size_t i = 0; i < r->len && !is_outdated(s, r); i++) {
                r->faults[i] = open_first(s, r, r->candidates[i], error, &r->warm[0]);
                if (r->faults[i] == 0) {
                        r->won = i;
                        r->warm_len = 1;
                        return;
                }
                if (i == 0)
                        memcpy(r->error, error, sizeof(error));
        }
}

/* So that no thread has to dial while a request waits. A dial that fails here is the thread's own to try again. */
static void warm_up(struct db_swap *s, struct round *r)
{
        size_t wanted = 0;
        char error[DB_ERROR_LEN];

        pthread_mutex_lock(&s->lock);
        for (const struct db_slot *slot = s->slots; slot; slot = slot->next)
                wanted++;
        pthread_mutex_unlock(&s->lock);
        while (r->warm_len < wanted && r->warm_len < WARM_MAX &&
               open_one(s, r->candidates[r->won], error, &r->warm[r->warm_len]) == 0)
                r->warm_len++;
}

/* Makes the winner the pair in use and hands each thread its session; what is left in r->warm was replaced and is to be closed. */
static void install(struct db_swap *s, struct round *r, struct db_pair *owners[WARM_MAX])
{
        struct db_pair *pair = r->candidates[r->won];
        size_t next = 0;

        for (size_t i = 0; i < r->warm_len; i++)
                owners[i] = pair;
        db_pair_unref(s->pair);
        s->pair = db_pair_ref(pair);
        pair->installed = true;
        s->sessions += pair->sessions;
        for (struct db_slot *slot = s->slots; slot; slot = slot->next) {
                if (next < r->warm_len) {
                        struct db_conn *replaced = slot->incoming;
                        struct db_pair *replaced_pair = slot->incoming_pair;

                        slot->incoming = r->warm[next];
                        slot->incoming_pair = pair;
                        r->warm[next] = replaced;
                        owners[next++] = replaced_pair;
                }
                slot->wake(slot->arg);
        }
        log_info("db: in use: login version %llu, place version %llu", (unsigned long long)pair->login->login.version,
                 (unsigned long long)pair->place->place.version);
}

/* Was the offered login refused, and by nobody taken? The third candidate has the old one. */
static bool is_login_denied(const struct round *r)
{
        if (r->won < 2 && r->won < r->len)
                return false;
        return r->faults[0] == DB_DENIED || (r->len > 1 && r->faults[1] == DB_DENIED);
}

static void schedule(struct db_swap *s, const struct round *r)
{
        bool is_news;
        uint64_t wait_usec;

        if (s->offers != r->offers) {
                s->proof_usec = 0;
                return;
        }
        s->login_denied = is_login_denied(r);
        if (r->won == 0) {
                s->again = false;
                s->proof_fault = 0;
                s->proof_error[0] = '\0';
                backoff_reset(&s->proof_backoff);
                return;
        }
        is_news = s->proof_fault != r->faults[0];
        s->proof_fault = r->faults[0];
        memcpy(s->proof_error, r->error, sizeof(s->proof_error));
        wait_usec = backoff_next(&s->proof_backoff, backoff_random());
        if (s->login_denied)
                wait_usec = DB_DENIED_RETRY_USEC;
        s->proof_usec = clock_monotonic_usec() + wait_usec;
        if (is_news)
                log_warn("db: login version %llu at place version %llu does not work: %s (%s); %s, next try in %llu ms",
                         (unsigned long long)s->login->login.version, (unsigned long long)s->place->place.version,
                         db_fault_text((enum db_fault)r->faults[0]), r->error,
                         s->pair ? "keeping what works" : "nothing works yet",
                         (unsigned long long)(wait_usec / USEC_PER_MSEC));
}

/* Under the lock, which it lets go while it dials. */
static void prove(struct db_swap *s)
{
        struct round r;
        struct db_pair *owners[WARM_MAX] = {NULL};

        begin_round(s, &r);
        pthread_mutex_unlock(&s->lock);
        try_candidates(s, &r);
        if (r.won < r.len)
                warm_up(s, &r);
        pthread_mutex_lock(&s->lock);
        if (r.won < r.len)
                install(s, &r, owners);
        schedule(s, &r);
        pthread_mutex_unlock(&s->lock);
        for (size_t i = 0; i < r.warm_len; i++)
                db_conn_close(r.warm[i]);
        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; i < r.warm_len; i++)
                if (r.warm[i])
                        db_session_end(s, owners[i]);
        for (size_t i = 0; i < r.len; i++)
                db_pair_unref(r.candidates[i]);
        db_bell_ring(s->bell);
}

/**
 * db_prove_main() - the prover's thread
 * @swap: a struct db_swap
 *
 * Return: NULL, once the swap stops.
 */
void *db_prove_main(void *swap)
{
        struct db_swap *s = swap;

        db_thread_begin();
        pthread_mutex_lock(&s->lock);
        while (!s->stop) {
                struct timespec until = {.tv_sec = (time_t)(s->proof_usec / USEC_PER_SEC),
                                         .tv_nsec = (long)(s->proof_usec % USEC_PER_SEC) * 1000};

                if (!db_swap_wants_proof(s))
                        pthread_cond_wait(&s->cond, &s->lock);
                else if (clock_monotonic_usec() < s->proof_usec)
                        pthread_cond_timedwait(&s->cond, &s->lock, &until);
                else
                        prove(s);
        }
        pthread_mutex_unlock(&s->lock);
        db_thread_end();
        return NULL;
}

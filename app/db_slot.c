/* app/db_slot.c: a database thread's place in the swap: gives it the session for its next statement. */
#include "app/db_slot.h"

#include <stdio.h>
#include <string.h>

#include "app/db_bell.h"
#include "app/db_host.h"
#include "app/db_swap_state.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

/**
 * db_slot_new() - a place for one thread
 * @s:    borrowed until db_slot_free()
 * @wake: called from any thread, must not block nor call back
 * @arg:  for it
 *
 * Return: new, without a session.
 */
struct db_slot *db_slot_new(struct db_swap *s, void (*wake)(void *arg), void *arg)
{
        struct db_slot *slot = mem_new(sizeof(*slot));

        slot->swap = s;
        slot->wake = wake;
        slot->arg = arg;
        pthread_mutex_lock(&s->lock);
        slot->next = s->slots;
        s->slots = slot;
        pthread_mutex_unlock(&s->lock);
        return slot;
}

/* Closing speaks with the server, so it is done without the lock; the session counts as open until it is closed. */
static void close_session(struct db_swap *s, struct db_conn *conn, struct db_pair *pair)
{
        if (!conn)
                return;
        db_conn_close(conn);
        pthread_mutex_lock(&s->lock);
        db_session_end(s, pair);
        pthread_mutex_unlock(&s->lock);
}

/**
 * db_slot_free() - leaves the swap; closes the sessions
 * @slot: NULL is fine
 *
 * Return: NULL.
 */
struct db_slot *db_slot_free(struct db_slot *slot)
{
        struct db_swap *s;

        if (!slot)
                return NULL;
        s = slot->swap;
        pthread_mutex_lock(&s->lock);
        for (struct db_slot **p = &s->slots; *p; p = &(*p)->next)
                if (*p == slot) {
                        *p = slot->next;
                        break;
                }
        pthread_mutex_unlock(&s->lock);
        close_session(s, slot->conn, slot->pair);
        close_session(s, slot->incoming, slot->incoming_pair);
        return mem_free(slot);
}

/**
 * db_slot_abort() - ends the statement that runs on the slot's session
 * @slot: any thread
 */
void db_slot_abort(struct db_slot *slot)
{
        pthread_mutex_lock(&slot->swap->lock);
        if (slot->conn)
                db_conn_abort(slot->conn);
        pthread_mutex_unlock(&slot->swap->lock);
}

static void note_failure(struct db_swap *s, struct db_pair *pair, int r, const char *error)
{
        uint64_t now = clock_monotonic_usec();
        bool is_news = pair->fault != r;

        db_bell_ring(s->bell);
        pair->fault = r;
        snprintf(pair->error, sizeof(pair->error), "%s", error);
        pair->retry_usec =
                now + (r == DB_DENIED ? DB_DENIED_RETRY_USEC : backoff_next(&pair->backoff, backoff_random()));
        /* With several hosts, the next one's turn comes with a new pair, so that all sessions move together. */
        if ((r == DB_UNREACHABLE || r == DB_READ_ONLY) && pair == s->pair && db_host_count(pair->place->place.host) > 1)
                s->again = true;
        if (r == DB_DENIED && pair->login == s->login) {
                s->login_denied = true;
        } else if (is_news && db_swap_wants_proof(s)) {
                /* What is in use has failed: now is the time for what is not proved yet. */
                s->proof_usec = 0;
                pthread_cond_signal(&s->cond);
        }
        if (is_news)
                log_warn("db: no session with login version %llu: %s (%s); next try in %llu ms",
                         (unsigned long long)pair->login->login.version, db_fault_text((enum db_fault)r), error,
                         (unsigned long long)((pair->retry_usec - now) / USEC_PER_MSEC));
}

static void note_success(struct db_swap *s, struct db_pair *pair, const struct db_slot *by)
{
        if (pair->fault)
                log_info("db: login version %llu works again", (unsigned long long)pair->login->login.version);
        pair->fault = 0;
        pair->retry_usec = 0;
        backoff_reset(&pair->backoff);
        if (pair->login == s->login)
                s->login_denied = false;
        for (struct db_slot *other = s->slots; other; other = other->next)
                if (other != by && other->pair != s->pair)
                        other->wake(other->arg);
        db_bell_ring(s->bell);
}

/* Under the lock, which it lets go while it dials. Return: true where the slot has a new session; the one before is handed out. */
static bool dial(struct db_slot *slot, struct db_conn **ret_old, struct db_pair **ret_old_pair)
{
        struct db_swap *s = slot->swap;
        struct db_pair *pair = s->pair;
        struct db_conn *conn = NULL;
        char error[DB_ERROR_LEN];
        int r;

        db_session_begin(s, pair);
        pthread_mutex_unlock(&s->lock);
        r = db_conn_open(&pair->login->login, &pair->place->place, pair->host, error, &conn);
        pthread_mutex_lock(&s->lock);
        if (r) {
                note_failure(s, pair, r, error);
                db_session_end(s, pair);
                return false;
        }
        note_success(s, pair, slot);
        *ret_old = slot->conn;
        *ret_old_pair = slot->pair;
        slot->conn = conn;
        slot->pair = pair;
        return true;
}

/**
 * db_slot_session() - the session for the next statement
 * @slot:           the caller's
 * @may_dial:       where there is none of the pair in use, dial one (blocks for seconds at most)
 * @ret_again_usec: when it is worth asking again (monotonic), USEC_NEVER: after a wake; may be NULL
 *
 * A newer session that is ready is taken, the older one closed: the caller has no statement on it. An older one of the same
 * server that works is used on as long as no newer can be had.
 *
 * Return: borrowed until the next call on @slot; NULL: none.
 */
struct db_conn *db_slot_session(struct db_slot *slot, bool may_dial, uint64_t *ret_again_usec)
{
        struct db_swap *s = slot->swap;
        struct db_conn *old = NULL;
        struct db_pair *old_pair = NULL;
        uint64_t again = USEC_NEVER;

        pthread_mutex_lock(&s->lock);
        if (slot->incoming) {
                old = slot->conn;
                old_pair = slot->pair;
                slot->conn = slot->incoming;
                slot->pair = slot->incoming_pair;
                slot->incoming = NULL;
                slot->incoming_pair = NULL;
        } else if (slot->conn && s->pair && !db_pair_same_server(slot->pair, s->pair)) {
                /* Whoever read there would not see what others write here. */
                old = slot->conn;
                old_pair = slot->pair;
                slot->conn = NULL;
                slot->pair = NULL;
        } else if (may_dial && s->pair && slot->pair != s->pair && clock_monotonic_usec() >= s->pair->retry_usec) {
                dial(slot, &old, &old_pair);
        }
        /* The pair may have changed while the dial went on. */
        if (slot->incoming)
                again = 0;
        else if (s->pair && slot->pair != s->pair)
                again = s->pair->retry_usec;
        pthread_mutex_unlock(&s->lock);
        close_session(s, old, old_pair);
        if (ret_again_usec)
                *ret_again_usec = again;
        return slot->conn;
}

/**
 * db_slot_leave() - the session's server takes no writes: all go to the next host of the list
 * @slot: the caller's; its session stays good for reading until there is one with the next host
 *
 * Return: false where there is no other host.
 */
bool db_slot_leave(struct db_slot *slot)
{
        struct db_swap *s = slot->swap;
        bool has_others;

        pthread_mutex_lock(&s->lock);
        has_others = slot->pair && db_host_count(slot->pair->place->place.host) > 1;
        if (has_others && slot->pair == s->pair && !s->pair->is_left) {
                s->pair->is_left = true;
                s->again = true;
                s->proof_usec = 0;
                pthread_cond_signal(&s->cond);
        }
        pthread_mutex_unlock(&s->lock);
        return has_others;
}

/**
 * db_slot_lost() - closes a session that is dead
 * @slot: the caller's
 *
 * One that did nothing good counts as a failed dial, so that a database that takes logins and nothing else is not hammered.
 */
void db_slot_lost(struct db_slot *slot)
{
        struct db_swap *s = slot->swap;
        struct db_conn *conn = slot->conn;
        struct db_pair *pair = slot->pair;

        if (!conn)
                return;
        pthread_mutex_lock(&s->lock);
        slot->conn = NULL;
        slot->pair = NULL;
        if (db_conn_served(conn) == 0)
                note_failure(s, pair, DB_UNREACHABLE, db_conn_error(conn));
        else
                log_info("db: a session of login version %llu was lost (%s)",
                         (unsigned long long)pair->login->login.version, db_conn_error(conn));
        pthread_mutex_unlock(&s->lock);
        close_session(s, conn, pair);
}

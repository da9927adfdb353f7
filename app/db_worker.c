/* app/db_worker.c: a database thread: waits for a session and for jobs, and lets one turn after the other run on both. */
#include "app/db_worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "app/db_conn.h"
#include "app/db_slot.h"
#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/parse.h"

#define PAUSE_BASE_USEC (20 * USEC_PER_MSEC)
#define PAUSE_CAP_USEC  USEC_PER_SEC

struct db_worker {
        pthread_t thread;
        struct db_queue *queue;
        struct db_slot *slot;
        db_turn_fn turn;
        struct backoff backoff; /* the thread's: after statements that the database could not do now */
        uint64_t pause_usec;    /* monotonic: nothing before */
};

static void wake(void *arg)
{
        struct db_worker *w = arg;

        db_queue_wake(w->queue);
}

static void *run(void *arg)
{
        struct db_worker *w = arg;

        db_thread_begin();
        while (!db_queue_stopped(w->queue)) {
                uint64_t again_usec;
                struct db_conn *conn = db_slot_session(w->slot, true, &again_usec);

                if (!conn)
                        db_queue_wait(w->queue, false, again_usec);
                else if (clock_monotonic_usec() < w->pause_usec)
                        db_queue_wait(w->queue, false, w->pause_usec);
                else if (db_queue_wait(w->queue, true, again_usec))
                        w->turn(w);
        }
        db_thread_end();
        return NULL;
}

/**
 * db_worker_new() - starts a database thread
 * @loop:      where answers arrive; borrowed until db_worker_free()
 * @swap:      where sessions come from; the same
 * @queue_max: jobs that may wait
 * @turn:      called from the thread when there is a session and a job
 * @on_answer: called from @loop
 * @arg:       for on_answer
 *
 * Return: new.
 */
struct db_worker *db_worker_new(struct loop *loop, struct db_swap *swap, size_t queue_max, db_turn_fn turn,
                                void (*on_answer)(struct db_answer *answer, void *arg), void *arg)
{
        struct db_worker *w = mem_new(sizeof(*w));
        int r;

        w->turn = turn;
        w->backoff = (struct backoff){.base_usec = PAUSE_BASE_USEC, .cap_usec = PAUSE_CAP_USEC};
        w->queue = db_queue_new(loop, queue_max, on_answer, arg);
        w->slot = db_slot_new(swap, wake, w);
        r = pthread_create(&w->thread, NULL, run, w);
        if (r) {
                log_error("no thread for the database: %s", strerror(r));
                exit(1);
        }
        return w;
}

/**
 * db_worker_free() - ends a database thread
 * @w:    NULL is fine; from the loop
 * @drop: takes each job that was not answered
 *
 * Return: NULL.
 */
struct db_worker *db_worker_free(struct db_worker *w, void (*drop)(struct db_job *job, void *arg))
{
        if (!w)
                return NULL;
        db_queue_stop(w->queue);
        db_slot_abort(w->slot);
        pthread_join(w->thread, NULL);
        db_slot_free(w->slot);
        db_queue_free(w->queue, drop);
        return mem_free(w);
}

/**
 * db_worker_queue() - where jobs are put
 * @w: the worker
 *
 * Return: borrowed until db_worker_free().
 */
struct db_queue *db_worker_queue(struct db_worker *w)
{
        return w->queue;
}

/**
 * db_worker_conn() - the session for a turn's next statement
 * @w: the worker
 *
 * Asked before each statement, so that a swap waits for one statement and not for a turn, and a write is sent to no server that
 * is gone: sent to it, it would be in doubt.
 *
 * Return: borrowed until the next call; NULL: there is none, put the jobs back.
 */
struct db_conn *db_worker_conn(struct db_worker *w)
{
        struct db_conn *conn = db_queue_stopped(w->queue) ? NULL : db_slot_session(w->slot, false, NULL);

        if (!conn || !db_conn_is_gone(conn))
                return conn;
        db_slot_lost(w->slot);
        return NULL;
}

/**
 * db_worker_failed() - a statement failed for no fault of its jobs
 * @w:     the worker
 * @conn:  what it ran on
 * @fault: enum db_fault; DB_DEAD, DB_REFUSED: @conn is closed and the next turn has another; else there is a pause, longer
 *         each time, and with DB_READ_ONLY another host afterwards where there is one
 */
void db_worker_failed(struct db_worker *w, const struct db_conn *conn, int fault)
{
        bool leaves;

        /* db_worker_free() cut it off itself. */
        if (db_queue_stopped(w->queue))
                return;
        /* A privilege is gone with the user, too (MariaDB looks at a table's grants each time): dialling tells which it is. */
        if (fault == DB_DEAD || fault == DB_REFUSED) {
                db_slot_lost(w->slot);
                return;
        }
        leaves = fault == DB_READ_ONLY && db_slot_leave(w->slot);
        w->pause_usec = clock_monotonic_usec() + backoff_next(&w->backoff, backoff_random());
        /* What the server says of a refused row quotes it. */
        if (w->backoff.failures == 1)
                log_warn("db: %s (%s); trying again%s until the calls have waited too long",
                         db_fault_text((enum db_fault)fault),
                         fault == DB_ROW ? "statement refused" : db_conn_error(conn),
                         leaves ? " at the next host" : "");
}

/**
 * db_worker_done() - a statement was good: the next pause is a short one again
 * @w: the worker
 */
void db_worker_done(struct db_worker *w)
{
        backoff_reset(&w->backoff);
        w->pause_usec = 0;
}

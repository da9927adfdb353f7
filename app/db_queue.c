/* app/db_queue.c: jobs on their way from the loop to a database thread, and the answers on their way back. */
#include "app/db_queue.h"

#include <pthread.h>
#include <time.h>

#include "app/db_bell.h"
#include "common/mem.h"
#include "common/parse.h"

struct db_queue {
        pthread_mutex_t lock;
        pthread_cond_t cond;
        struct db_job *head, *tail;
        size_t len, max;
        bool woken, stopped;
        struct db_answer *answers, **answers_end;
        struct db_bell *bell;
        void (*on_answer)(struct db_answer *answer, void *arg);
        void *arg;
};

static void hand_over(void *arg)
{
        struct db_queue *q = arg;
        struct db_answer *answer;

        pthread_mutex_lock(&q->lock);
        answer = q->answers;
        q->answers = NULL;
        q->answers_end = &q->answers;
        pthread_mutex_unlock(&q->lock);
        while (answer) {
                struct db_answer *next = answer->next;

                q->on_answer(answer, q->arg);
                db_rows_free(answer->rows);
                mem_free(answer);
                answer = next;
        }
}

/**
 * db_queue_new() - a queue between the loop and one thread
 * @loop:      where answers arrive; borrowed until db_queue_free()
 * @max:       jobs that may wait
 * @on_answer: called from @loop, in the order of the answers
 * @arg:       for it
 *
 * Return: new.
 */
struct db_queue *db_queue_new(struct loop *loop, size_t max, void (*on_answer)(struct db_answer *answer, void *arg),
                              void *arg)
{
        struct db_queue *q = mem_new(sizeof(*q));
        pthread_condattr_t attr;

        pthread_mutex_init(&q->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&q->cond, &attr);
        pthread_condattr_destroy(&attr);
        q->max = max;
        q->answers_end = &q->answers;
        q->on_answer = on_answer;
        q->arg = arg;
        q->bell = db_bell_new(loop, hand_over, q);
        return q;
}

static void drop_chain(struct db_job *job, void (*drop)(struct db_job *job, void *arg), void *arg)
{
        while (job) {
                struct db_job *next = job->next;

                drop(job, arg);
                job = next;
        }
}

/**
 * db_queue_free() - ends the queue
 * @q:    NULL is fine; its thread has ended
 * @drop: takes each job that was not answered yet
 *
 * Return: NULL.
 */
struct db_queue *db_queue_free(struct db_queue *q, void (*drop)(struct db_job *job, void *arg))
{
        if (!q)
                return NULL;
        db_bell_free(q->bell);
        drop_chain(q->head, drop, q->arg);
        while (q->answers) {
                struct db_answer *answer = q->answers;

                q->answers = answer->next;
                drop_chain(answer->jobs, drop, q->arg);
                db_rows_free(answer->rows);
                mem_free(answer);
        }
        pthread_cond_destroy(&q->cond);
        pthread_mutex_destroy(&q->lock);
        return mem_free(q);
}

/* --- the loop's side --- */

/**
 * db_queue_add() - puts a job at the end
 * @q:   the queue
 * @job: the queue's from now on
 *
 * Return: true; false where @max jobs wait already: @job is not taken.
 */
bool db_queue_add(struct db_queue *q, struct db_job *job)
{
        bool has_room;

        pthread_mutex_lock(&q->lock);
        has_room = q->len < q->max;
        if (has_room) {
                job->waiting = true;
                job->next = NULL;
                job->prev = q->tail;
                *(q->tail ? &q->tail->next : &q->head) = job;
                q->tail = job;
                /* A thread that is busy looks by itself; only the first job can find it asleep. */
                if (q->len++ == 0)
                        pthread_cond_signal(&q->cond);
        }
        pthread_mutex_unlock(&q->lock);
        return has_room;
}

static void unlink_job(struct db_queue *q, struct db_job *job)
{
        *(job->prev ? &job->prev->next : &q->head) = job->next;
        *(job->next ? &job->next->prev : &q->tail) = job->prev;
        job->next = job->prev = NULL;
        job->waiting = false;
        q->len--;
}

/**
 * db_queue_withdraw() - takes a job back that was never tried
 * @q:   the queue
 * @job: was added
 *
 * Return: true: it is the caller's again, nothing was written. false: it stays the queue's, as if nothing had been asked.
 */
bool db_queue_withdraw(struct db_queue *q, struct db_job *job)
{
        bool untried;

        pthread_mutex_lock(&q->lock);
        untried = job->waiting && !job->maybe_written;
        if (untried)
                unlink_job(q, job);
        pthread_mutex_unlock(&q->lock);
        return untried;
}

/**
 * db_queue_abandon() - gives a job up
 * @q:   the queue
 * @job: was added
 *
 * Return: true: it is the caller's again. false: the thread has it; it comes back in an answer, and is not tried again.
 */
bool db_queue_abandon(struct db_queue *q, struct db_job *job)
{
        bool was_waiting;

        pthread_mutex_lock(&q->lock);
        was_waiting = job->waiting;
        if (was_waiting)
                unlink_job(q, job);
        else
                job->abandoned = true;
        pthread_mutex_unlock(&q->lock);
        return was_waiting;
}

/* --- the thread's side --- */

/**
 * db_queue_wait() - sleeps until there is something to do
 * @q:          the queue
 * @for_jobs:   a waiting job ends the sleep
 * @until_usec: CLOCK_MONOTONIC; USEC_NEVER: no end
 *
 * Return: true where @for_jobs and jobs are waiting; false where it was woken, stopped, or the time came.
 */
bool db_queue_wait(struct db_queue *q, bool for_jobs, uint64_t until_usec)
{
        struct timespec until = {.tv_sec = (time_t)(until_usec / USEC_PER_SEC),
                                 .tv_nsec = (long)(until_usec % USEC_PER_SEC) * 1000};
        bool has_jobs, is_late = false;

        pthread_mutex_lock(&q->lock);
        while (!q->woken && !q->stopped && !is_late && !(for_jobs && q->head)) {
                if (until_usec == USEC_NEVER)
                        pthread_cond_wait(&q->cond, &q->lock);
                else
                        is_late = pthread_cond_timedwait(&q->cond, &q->lock, &until) != 0;
        }
        has_jobs = for_jobs && q->head && !q->woken && !q->stopped;
        q->woken = false;
        pthread_mutex_unlock(&q->lock);
        return has_jobs;
}

/**
 * db_queue_take() - takes what waits
 * @q:   the queue
 * @max: at most so many
 *
 * Return: a chain, oldest first; NULL where none waits.
 */
struct db_job *db_queue_take(struct db_queue *q, size_t max)
{
        struct db_job *head, *job;

        pthread_mutex_lock(&q->lock);
        head = job = q->head;
        for (size_t n = 0; job && n < max; n++, job = job->next) {
                job->waiting = false;
                q->len--;
        }
        if (job != head) {
                q->head = job;
                if (job) {
                        job->prev->next = NULL;
                        job->prev = NULL;
                } else {
                        q->tail = NULL;
                }
        } else {
                head = NULL;
        }
        pthread_mutex_unlock(&q->lock);
        return head;
}

static void answer_locked(struct db_queue *q, struct db_job *jobs, struct db_rows *rows, uint64_t took_usec)
{
        struct db_answer *answer = mem_new(sizeof(*answer));

        answer->jobs = jobs;
        answer->rows = rows;
        answer->took_usec = took_usec;
        if (!q->answers)
                db_bell_ring(q->bell);
        *q->answers_end = answer;
        q->answers_end = &answer->next;
}

/**
 * db_queue_put_back() - gives jobs back that could not be done now
 * @q:    the queue
 * @jobs: chain, oldest first; they come before all that wait. May make the queue longer than its maximum
 *
 * Those that nobody waits for any more end here.
 */
void db_queue_put_back(struct db_queue *q, struct db_job *jobs)
{
        struct db_job *gone = NULL, *last = NULL, *head = NULL;

        pthread_mutex_lock(&q->lock);
        while (jobs) {
                struct db_job *job = jobs;

                jobs = job->next;
                if (job->abandoned) {
                        job->outcome = NOTES_UNAVAILABLE;
                        job->next = gone;
                        gone = job;
                        continue;
                }
                job->waiting = true;
                job->next = NULL;
                job->prev = last;
                *(last ? &last->next : &head) = job;
                last = job;
                q->len++;
        }
        if (last) {
                last->next = q->head;
                *(q->head ? &q->head->prev : &q->tail) = last;
                q->head = head;
        }
        if (gone)
                answer_locked(q, gone, NULL, 0);
        pthread_mutex_unlock(&q->lock);
}

/**
 * db_queue_answer() - gives jobs back that are done
 * @q:         the queue
 * @jobs:      chain, stolen; each has its outcome
 * @rows:      stolen; NULL: none
 * @took_usec: how long the database needed
 */
void db_queue_answer(struct db_queue *q, struct db_job *jobs, struct db_rows *rows, uint64_t took_usec)
{
        pthread_mutex_lock(&q->lock);
        answer_locked(q, jobs, rows, took_usec);
        pthread_mutex_unlock(&q->lock);
}

/**
 * db_queue_stopped() - is it over
 * @q: the queue
 *
 * Return: true after db_queue_stop().
 */
bool db_queue_stopped(struct db_queue *q)
{
        bool stopped;

        pthread_mutex_lock(&q->lock);
        stopped = q->stopped;
        pthread_mutex_unlock(&q->lock);
        return stopped;
}

/**
 * db_queue_wake() - makes the thread look around
 * @q: any thread
 */
void db_queue_wake(struct db_queue *q)
{
        pthread_mutex_lock(&q->lock);
        q->woken = true;
        pthread_cond_signal(&q->cond);
        pthread_mutex_unlock(&q->lock);
}

/**
 * db_queue_stop() - tells the thread to end
 * @q: any thread
 */
void db_queue_stop(struct db_queue *q)
{
        pthread_mutex_lock(&q->lock);
        q->stopped = true;
        pthread_cond_signal(&q->cond);
        pthread_mutex_unlock(&q->lock);
}

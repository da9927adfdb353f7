/* app/db_reader.c: reads: one fresh query answers all who waited for the same. */
#include "app/db_reader.h"

#include "app/db_conn.h"
#include "app/db_worker.h"
#include "app/latency.h"
#include "common/clock.h"
#include "common/mem.h"

static bool is_same_question(const struct db_job *a, const struct db_job *b)
{
        if (a->kind != b->kind)
                return false;
        return a->kind == DB_JOB_GET ? a->id == b->id : a->limit == b->limit && a->before == b->before;
}

/* Takes the first job of a chain and all that ask the same. */
static struct db_job *take_group(struct db_job **jobs)
{
        struct db_job *group = *jobs, **end = &group->next, **pos = jobs;

        *pos = group->next;
        *end = NULL;
        while (*pos) {
                struct db_job *job = *pos;

                if (!is_same_question(group, job)) {
                        pos = &job->next;
                        continue;
                }
                *pos = job->next;
                job->next = NULL;
                *end = job;
                end = &job->next;
        }
        return group;
}

static int ask(struct db_conn *conn, const struct db_job *job, struct db_rows **ret_rows)
{
        latency_inject();
        /* One more than is shown tells whether there is a next page. */
        return job->kind == DB_JOB_GET ? db_conn_get(conn, job->id, ret_rows)
                                       : db_conn_list(conn, job->limit + 1, job->before, ret_rows);
}

static void put_back_both(struct db_worker *w, struct db_job *group, struct db_job *rest)
{
        if (rest)
                db_queue_put_back(db_worker_queue(w), rest);
        db_queue_put_back(db_worker_queue(w), group);
}

/**
 * db_reader_turn() - answers all reads that wait
 * @w: the reader's
 *
 * Only those that waited when the turn began: each query begins after all whom it answers have asked, so that everybody sees
 * what was committed before.
 */
void db_reader_turn(struct db_worker *w)
{
        struct db_job *jobs = db_queue_take(db_worker_queue(w), SIZE_MAX);

        while (jobs) {
                struct db_job *group = take_group(&jobs);
                struct db_conn *conn = db_worker_conn(w);
                struct db_rows *rows = NULL;
                uint64_t begin_usec = clock_monotonic_usec();
                int r;

                if (!conn) {
                        put_back_both(w, group, jobs);
                        return;
                }
                r = ask(conn, group, &rows);
                if (r) {
                        put_back_both(w, group, jobs);
                        db_worker_failed(w, conn, r);
                        return;
                }
                db_worker_done(w);
                for (struct db_job *job = group; job; job = job->next)
                        job->outcome = job->kind == DB_JOB_GET && rows->len == 0 ? NOTES_NOT_FOUND : NOTES_OK;
                db_queue_answer(db_worker_queue(w), group, rows, clock_monotonic_usec() - begin_usec + 1);
        }
}

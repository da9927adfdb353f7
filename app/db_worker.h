/* app/db_worker.h: a database thread: waits for a session and for jobs, and lets one turn after the other run on both. */
#ifndef APP_DB_WORKER_H
#define APP_DB_WORKER_H

#include <stddef.h>

#include "app/db_queue.h"

struct db_conn;
struct db_swap;
struct db_worker;

typedef void (*db_turn_fn)(struct db_worker *w); /* db_reader_turn, db_writer_turn: takes jobs and settles or puts back each */

struct db_worker *db_worker_new(struct loop *loop, struct db_swap *swap, size_t queue_max, db_turn_fn turn,
                                void (*on_answer)(struct db_answer *answer, void *arg), void *arg);
/* Cuts off what runs, ends the thread. What was not answered is given to drop. */
struct db_worker *db_worker_free(struct db_worker *w, void (*drop)(struct db_job *job, void *arg));
struct db_queue *db_worker_queue(struct db_worker *w); /* borrowed */

/* For turns: */
struct db_conn *db_worker_conn(struct db_worker *w);     /* borrowed until the next call: for the next statement. NULL: none now */
void db_worker_failed(struct db_worker *w, const struct db_conn *conn, int fault); /* the jobs are put back: end the turn */
void db_worker_done(struct db_worker *w);                /* a statement was good */

#endif

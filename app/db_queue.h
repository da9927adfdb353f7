/* app/db_queue.h: jobs on their way from the loop to a database thread, and the answers on their way back. Bounded. */
#ifndef APP_DB_QUEUE_H
#define APP_DB_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/db_rows.h"
#include "app/notes.h"

struct db_queue;
struct loop;

enum db_job_kind { DB_JOB_LIST, DB_JOB_GET, DB_JOB_ADD };

/* Belongs to the queue from db_queue_add() until it comes back in an answer or db_queue_withdraw()/_abandon() gives it back. */
struct db_job {
        struct db_job *next, *prev; /* in the queue; next alone: in a chain */
        bool waiting;               /* the queue's: it is in the queue */
        bool abandoned;             /* the queue's: nobody waits for it any more */
        bool maybe_written;         /* add: an attempt died without an answer, so it may be committed */
        enum db_job_kind kind;
        unsigned limit;             /* list */
        uint64_t before;            /* list */
        uint64_t id;                /* get; add: of the committed note */
        uint64_t created_usec;      /* add: of the committed note */
        const char *text;           /* add: borrowed from whoever made the job */
        size_t text_len;
        struct db_key key;          /* add */
        bool own_key;               /* add: made up by us for this job alone */
        enum notes_outcome outcome; /* set by the thread before it answers */
};

struct db_answer { /* what one statement, or one turn, gave to all its jobs */
        struct db_answer *next;
        struct db_job *jobs; /* chain */
        struct db_rows *rows; /* list, get: for all the jobs; NULL otherwise */
        uint64_t took_usec;   /* of the statements; 0: none ran */
};

/* on_answer: from the loop; steals answer->jobs, the rest is borrowed. */
struct db_queue *db_queue_new(struct loop *loop, size_t max, void (*on_answer)(struct db_answer *answer, void *arg), void *arg);
/* No thread uses it any more. What is left in it is given to drop, one job at a time. */
struct db_queue *db_queue_free(struct db_queue *q, void (*drop)(struct db_job *job, void *arg));

/* From the loop: */
bool db_queue_add(struct db_queue *q, struct db_job *job);      /* false: full, the job stays yours */
bool db_queue_withdraw(struct db_queue *q, struct db_job *job); /* true: nothing was written nor will be, the job is yours again */
bool db_queue_abandon(struct db_queue *q, struct db_job *job);  /* the same; false: a thread has it, it comes back in an answer */

/* From the one thread that serves it: */
bool db_queue_wait(struct db_queue *q, bool for_jobs, uint64_t until_usec); /* true: jobs are waiting; false: woken, or the time came */
struct db_job *db_queue_take(struct db_queue *q, size_t max);          /* chain, oldest first; NULL: none */
void db_queue_put_back(struct db_queue *q, struct db_job *jobs);       /* steals a chain: it goes to the front */
void db_queue_answer(struct db_queue *q, struct db_job *jobs, struct db_rows *rows, uint64_t took_usec); /* steals both */
bool db_queue_stopped(struct db_queue *q);

/* From any thread: */
void db_queue_wake(struct db_queue *q); /* the thread's db_queue_wait() returns */
void db_queue_stop(struct db_queue *q); /* the same, and for ever */

#endif

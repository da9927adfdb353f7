/* app/db_writer.c: writes: all that queued go in one statement; one that died without an answer is settled under its key. */
#include "app/db_writer.h"

#include <string.h>

#include "app/db_conn.h"
#include "app/db_worker.h"
#include "app/latency.h"
#include "common/clock.h"
#include "common/mem.h"

/* Well below the least max_allowed_packet that is in use (1 MiB); a longer statement would cost the session, again and again. */
#define BATCH_BYTES_MAX ((size_t)256 << 10)

struct batch {
        struct db_job *jobs[DB_BATCH_MAX]; /* no two with the same key */
        bool settled[DB_BATCH_MAX];
        size_t len;
        struct db_job *later; /* chain: those whose key is in the batch already, or whose text is too much for it */
};

/* Two with the same key cannot go in one statement: the first decides, the second asks after it. */
static void gather(struct batch *b, struct db_job *chain)
{
        struct db_job **later_end = &b->later;
        size_t bytes = 0;

        while (chain) {
                struct db_job *job = chain;
                bool is_twin = false, fits = b->len == 0 || bytes + job->text_len <= BATCH_BYTES_MAX;

                chain = job->next;
                job->next = NULL;
                for (size_t i = 0; i < b->len && !job->own_key && !is_twin; i++)
                        is_twin = db_key_equal(&b->jobs[i]->key, &job->key);
                if (is_twin || !fits) {
                        *later_end = job;
                        later_end = &job->next;
                } else {
                        bytes += job->text_len;
                        b->jobs[b->len++] = job;
                }
        }
}

static void settle(struct batch *b, size_t i, enum notes_outcome outcome, uint64_t id, uint64_t created_usec)
{
        b->jobs[i]->outcome = outcome;
        b->jobs[i]->id = id;
        b->jobs[i]->created_usec = created_usec;
        b->settled[i] = true;
}

/*
 * settle_from() - what is committed under a job's key decides
 *
 * Another text: the key was used before. The same text: it is there; whether this call made it is told by whether one of its
 * attempts may have been committed. (If the key had been there before that attempt too, 201 in place of 200 is all that differs.)
 */
static void settle_from(struct batch *b, size_t i, const struct note *note)
{
        const struct db_job *job = b->jobs[i];

        if (note->text_len != job->text_len || memcmp(note->text, job->text, job->text_len) != 0)
                settle(b, i, NOTES_KEY_REUSED, 0, 0);
        else
                settle(b, i, job->own_key || job->maybe_written ? NOTES_CREATED : NOTES_OK, note->id,
                       note->created_usec);
}

/* Indexes of jobs that are not settled, out of [from, to). */
static size_t unsettled(const struct batch *b, size_t from, size_t to, size_t ret_index[DB_BATCH_MAX])
{
        size_t n = 0;

        for (size_t i = from; i < to; i++)
                if (!b->settled[i])
                        ret_index[n++] = i;
        return n;
}

/* The insert said that some key is there. Whatever is committed is settled; what is not found is inserted again, never given up. */
static int settle_duplicates(struct db_conn *conn, struct batch *b, const size_t *index, size_t n)
{
        const struct db_key *keys[DB_BATCH_MAX];
        struct db_rows *found;
        int r;

        for (size_t i = 0; i < n; i++)
                keys[i] = &b->jobs[index[i]]->key;
        r = db_conn_find(conn, keys, n, &found);
        if (r)
                return r;
        for (size_t i = 0; i < n; i++) {
                const struct note *note = db_rows_by_key(found, keys[i]);

                if (note)
                        settle_from(b, index[i], note);
        }
        db_rows_free(found);
        return 0;
}

static int insert(struct db_conn *conn, struct batch *b, const size_t *index, size_t n)
{
        struct db_insert rows[DB_BATCH_MAX];
        int r;

        for (size_t i = 0; i < n; i++) {
                const struct db_job *job = b->jobs[index[i]];

                rows[i] = (struct db_insert){.text = job->text, .text_len = job->text_len, .key = &job->key};
        }
        latency_inject();
        r = db_conn_insert(conn, rows, n);
        for (size_t i = 0; i < n; i++) {
                if (r == DB_DEAD)
                        b->jobs[index[i]]->maybe_written = true;
                if (r == 0)
                        settle(b, index[i], NOTES_CREATED, rows[i].id, rows[i].created_usec);
        }
        return r;
}

/*
 * write_range() - settles the jobs [from, to) of a batch
 *
 * One row that is refused makes the whole statement fail, so the range is halved until the culprit stands alone.
 *
 * Return: 0; or the fault of a statement that is to be tried again: what is not settled is to be put back.
 */
static int write_range(struct db_conn *conn, struct batch *b, size_t from, size_t to)
{
        size_t index[DB_BATCH_MAX], n = unsettled(b, from, to, index), left;
        int r;

        if (n == 0)
                return 0;
        r = insert(conn, b, index, n);
        if (r == DB_DUPLICATE) {
                r = settle_duplicates(conn, b, index, n);
                if (r)
                        return r;
                left = unsettled(b, from, to, index);
                if (left < n)
                        return write_range(conn, b, from, to);
                if (n == 1)
                        return DB_BUSY; /* there a moment ago, now gone: once more, after a pause */
        } else if (r == DB_ROW && n == 1) {
                /* An attempt before this one may stand: that this one was refused does not undo it. */
                settle(b, index[0], b->jobs[index[0]]->maybe_written ? NOTES_UNKNOWN : NOTES_UNAVAILABLE, 0, 0);
                return 0;
        } else if (r != DB_ROW) {
                return r;
        }
        r = write_range(conn, b, from, index[n / 2]);
        return r ? r : write_range(conn, b, index[n / 2], to);
}

/* The chain of those that are settled, or of those that are not, in order. */
static struct db_job *chain_of(struct batch *b, bool settled)
{
        struct db_job *head = NULL, **end = &head;

        for (size_t i = 0; i < b->len; i++)
                if (b->settled[i] == settled) {
                        b->jobs[i]->next = NULL;
                        *end = b->jobs[i];
                        end = &b->jobs[i]->next;
                }
        return head;
}

/**
 * db_writer_turn() - writes what waits, up to DB_BATCH_MAX notes in a statement
 * @w: the writer's
 *
 * Each note has a key, so that a write whose answer was lost is settled by inserting it again: the server says "duplicate" only
 * for what is committed, and waits for a session that is still at it.
 */
void db_writer_turn(struct db_worker *w)
{
        struct db_queue *q = db_worker_queue(w);
        struct batch b = {.len = 0};
        struct db_conn *conn = db_worker_conn(w);
        struct db_job *done, *undone;
        uint64_t begin_usec = clock_monotonic_usec();
        int r;

        if (!conn)
                return;
        gather(&b, db_queue_take(q, DB_BATCH_MAX));
        r = write_range(conn, &b, 0, b.len);
        done = chain_of(&b, true);
        undone = chain_of(&b, false);
        if (b.later)
                db_queue_put_back(q, b.later);
        if (undone)
                db_queue_put_back(q, undone);
        if (done)
                db_queue_answer(q, done, NULL, clock_monotonic_usec() - begin_usec + 1);
        if (r)
                db_worker_failed(w, conn, r);
        else
                db_worker_done(w);
}

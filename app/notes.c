/* app/notes.c: the notes themselves: list, get, add, as calls that answer on the loop. */
#include "app/notes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "app/db_conn.h"
#include "app/db_queue.h"
#include "app/db_reader.h"
#include "app/db_swap.h"
#include "app/db_worker.h"
#include "app/db_writer.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/parse.h"

/*
 * A key that we make up is stored as 0x01, the time and 8 random bytes; no client's key is, for those are printable. Whoever is
 * told of it (NOTES_UNKNOWN) sees it as this prefix and 32 hexadecimal digits, and may send that as its own key to ask again:
 * such a text is mapped back. A client that sends it unasked gets a key of its own by all odds, like with any other text.
 */
#define MADE_UP_MARK   0x01
#define MADE_UP_BYTES  16
#define KEY_RANDOM     8
#define MADE_UP_PREFIX "notesd-"

struct notes_call {
        struct db_job job; /* first: a job is its call */
        struct notes *notes;
        struct notes_call *older, *younger;
        struct ages *ages; /* the list it stands in; NULL: answered, or to be */
        uint64_t arrived_usec, due_usec;
        notes_fn fn; /* NULL: nobody waits any more */
        void *arg;
};

struct ages { /* calls by when they are due, the first one being the oldest */
        struct notes_call *oldest, *youngest;
};

struct notes {
        struct loop *loop;
        struct db_swap *db;
        struct notes_config config;
        struct db_worker *reader, *writer;
        struct ages waiting, settling, refused; /* settling: writes past --db-wait that may be committed */
        struct loop_timer *timer, *refuse_timer;
        unsigned char random[32 * KEY_RANDOM]; /* for keys: one system call for many */
        size_t random_left;
        struct metric_series *select_latency, *insert_latency;
};

/* --- calls by age --- */

/* Nearly all of one list wait equally long, so the place is at the end or close to it. */
static void age_add(struct ages *ages, struct notes_call *c)
{
        struct notes_call *older = ages->youngest;

        while (older && older->due_usec > c->due_usec)
                older = older->older;
        c->ages = ages;
        c->older = older;
        c->younger = older ? older->younger : ages->oldest;
        *(c->older ? &c->older->younger : &ages->oldest) = c;
        *(c->younger ? &c->younger->older : &ages->youngest) = c;
}

static void age_remove(struct notes_call *c)
{
        if (!c->ages)
                return;
        *(c->older ? &c->older->younger : &c->ages->oldest) = c->younger;
        *(c->younger ? &c->younger->older : &c->ages->youngest) = c->older;
        c->older = c->younger = NULL;
        c->ages = NULL;
}

/* --- keys --- */

static void draw_random(struct notes *n)
{
        while (n->random_left < KEY_RANDOM) {
                /* Up to 256 bytes come whole. */
                ssize_t got = getrandom(n->random, sizeof(n->random), 0);

                if (got == (ssize_t)sizeof(n->random)) {
                        n->random_left = sizeof(n->random);
                } else if (got >= 0 || errno != EINTR) {
                        log_error("no random bytes: %s", strerror(errno));
                        exit(1);
                }
        }
}

static void key_make_up(struct notes *n, struct db_key *key)
{
        uint64_t now_usec = clock_realtime_usec();

        key->bytes[0] = MADE_UP_MARK;
        key->len = 1 + MADE_UP_BYTES;
        /* The time first: neighbours in time are neighbours in the index, which then needs no random page for each insert. */
        for (int i = 0; i < 8; i++)
                key->bytes[1 + i] = (unsigned char)(now_usec >> (56 - 8 * i));
        draw_random(n);
        n->random_left -= KEY_RANDOM;
        memcpy(key->bytes + 9, n->random + n->random_left, KEY_RANDOM);
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void key_from_text(const char *text, struct db_key *ret_key)
{
        size_t len = strnlen(text, NOTES_KEY_MAX), prefix_len = strlen(MADE_UP_PREFIX);
        const char *hex = text + prefix_len;

        memcpy(ret_key->bytes, text, len);
        ret_key->len = len;
        if (len != prefix_len + (size_t)2 * MADE_UP_BYTES || strncmp(text, MADE_UP_PREFIX, prefix_len) != 0 ||
            strspn(hex, "0123456789abcdef") != (size_t)2 * MADE_UP_BYTES)
                return;
        ret_key->bytes[0] = MADE_UP_MARK;
        ret_key->len = 1 + MADE_UP_BYTES;
        for (size_t i = 0; i < MADE_UP_BYTES; i++)
                ret_key->bytes[1 + i] = (unsigned char)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
}

static void key_to_text(const struct db_key *key, char ret_text[NOTES_KEY_MAX + 1])
{
        size_t at;

        if (key->len == 0 || key->bytes[0] != MADE_UP_MARK) {
                memcpy(ret_text, key->bytes, key->len);
                ret_text[key->len] = '\0';
                return;
        }
        at = (size_t)snprintf(ret_text, NOTES_KEY_MAX + 1, "%s", MADE_UP_PREFIX);
        for (size_t i = 1; i < key->len; i++)
                at += (size_t)snprintf(ret_text + at, NOTES_KEY_MAX + 1 - at, "%02x", key->bytes[i]);
}

/* --- answers --- */

static void call_free(struct notes_call *c)
{
        age_remove(c);
        mem_free(c);
}

/* Tells the caller, who may call back into this module; the call itself stays with whoever frees it. */
static void tell(struct notes_call *c, const struct notes_result *r)
{
        notes_fn fn = c->fn;

        age_remove(c);
        c->fn = NULL;
        if (fn)
                fn(r, c->arg);
}

static void tell_failure(struct notes_call *c, enum notes_outcome outcome)
{
        struct notes_result r = {.outcome = outcome, .key = "", .reason = ""};
        char key[NOTES_KEY_MAX + 1];
        struct db_swap_status status;

        if (outcome == NOTES_UNKNOWN) {
                key_to_text(&c->job.key, key);
                r.key = key;
        } else if (outcome == NOTES_UNAVAILABLE) {
                db_swap_status(c->notes->db, &status);
                r.reason = status.error[0] ? status.error : "the database did not answer in time";
        }
        tell(c, &r);
}

static void tell_read(struct notes_call *c, const struct db_rows *rows)
{
        struct notes_result r = {.outcome = c->job.outcome, .key = "", .reason = ""};

        if (rows) {
                r.items = rows->items;
                r.len = rows->len;
        }
        if (c->job.kind == DB_JOB_LIST && r.len > c->job.limit) {
                r.len = c->job.limit;
                r.next = r.items[r.len - 1].id;
        }
        tell(c, &r);
}

static void tell_write(struct notes_call *c)
{
        const struct db_job *job = &c->job;
        struct note note = {
                .id = job->id, .text = job->text, .text_len = job->text_len, .created_usec = job->created_usec};
        struct notes_result r = {.outcome = job->outcome, .key = "", .reason = ""};

        if (job->outcome == NOTES_UNKNOWN) {
                tell_failure(c, NOTES_UNKNOWN);
                return;
        }
        if (job->outcome == NOTES_OK || job->outcome == NOTES_CREATED) {
                r.items = &note;
                r.len = 1;
        } else if (job->outcome == NOTES_UNAVAILABLE) {
                r.reason = "the database refused the note";
        }
        tell(c, &r);
}

static void on_answer(struct db_answer *answer, void *arg)
{
        struct notes *n = arg;
        struct db_job *job = answer->jobs;

        if (answer->took_usec)
                metric_series_observe(job->kind == DB_JOB_ADD ? n->insert_latency : n->select_latency,
                                      (double)answer->took_usec / USEC_PER_SEC);
        answer->jobs = NULL;
        while (job) {
                struct notes_call *c = (struct notes_call *)job;
                struct db_job *next = job->next;

                if (job->kind == DB_JOB_ADD)
                        tell_write(c);
                else
                        tell_read(c, answer->rows);
                call_free(c);
                job = next;
        }
}

/* --- time --- */

static struct db_queue *queue_of(struct notes_call *c)
{
        return db_worker_queue(c->job.kind == DB_JOB_ADD ? c->notes->writer : c->notes->reader);
}

static void give_up(struct notes_call *c, enum notes_outcome outcome)
{
        bool is_ours = db_queue_abandon(queue_of(c), &c->job);

        tell_failure(c, outcome);
        if (is_ours)
                call_free(c);
}

/* --db-wait is over. A write that was tried already may be committed, so it gets the time that a whole call has. */
static void on_wait_over(struct notes_call *c)
{
        if (c->job.kind != DB_JOB_ADD) {
                give_up(c, NOTES_UNAVAILABLE);
        } else if (db_queue_withdraw(queue_of(c), &c->job)) {
                tell_failure(c, NOTES_UNAVAILABLE);
                call_free(c);
        } else {
                age_remove(c);
                c->due_usec = c->arrived_usec + c->notes->config.deadline_usec;
                age_add(&c->notes->settling, c);
        }
}

/* The deadline is over. What was never tried after all was certainly not written. */
static void on_deadline(struct notes_call *c)
{
        if (db_queue_withdraw(queue_of(c), &c->job)) {
                tell_failure(c, NOTES_UNAVAILABLE);
                call_free(c);
        } else {
                give_up(c, NOTES_UNKNOWN);
        }
}

static void arm(struct notes *n)
{
        uint64_t due = USEC_NEVER;

        if (n->waiting.oldest)
                due = n->waiting.oldest->due_usec;
        if (n->settling.oldest && n->settling.oldest->due_usec < due)
                due = n->settling.oldest->due_usec;
        loop_timer_at(n->timer, due);
}

static void on_time(void *arg)
{
        struct notes *n = arg;
        uint64_t now = clock_boottime_usec();

        while (n->waiting.oldest && n->waiting.oldest->due_usec <= now)
                on_wait_over(n->waiting.oldest);
        while (n->settling.oldest && n->settling.oldest->due_usec <= now)
                on_deadline(n->settling.oldest);
        arm(n);
}

static void on_refused(void *arg)
{
        struct notes *n = arg;

        while (n->refused.oldest) {
                struct notes_call *c = n->refused.oldest;

                tell_failure(c, NOTES_OVERLOADED);
                call_free(c);
        }
}

/* --- calls --- */

static struct notes_call *call_new(struct notes *n, enum db_job_kind kind, size_t text_len, notes_fn fn, void *arg)
{
        struct notes_call *c = mem_new(sizeof(*c) + text_len);

        c->notes = n;
        c->job.kind = kind;
        c->fn = fn;
        c->arg = arg;
        c->arrived_usec = clock_boottime_usec();
        c->due_usec = c->arrived_usec +
                      (n->config.wait_usec < n->config.deadline_usec ? n->config.wait_usec : n->config.deadline_usec);
        return c;
}

static struct notes_call *call_start(struct notes_call *c)
{
        struct notes *n = c->notes;

        if (!db_queue_add(queue_of(c), &c->job)) {
                age_add(&n->refused, c);
                loop_timer_in(n->refuse_timer, 0);
                return c;
        }
        age_add(&n->waiting, c);
        if (loop_timer_due(n->timer) > c->due_usec) /* a write that is being settled may be all it waits for */
                arm(n);
        return c;
}

/**
 * notes_list() - the newest notes
 * @n:      the notes
 * @limit:  1..NOTES_LIMIT_MAX
 * @before: only ids below; 0: no bound
 * @fn:     called once from the loop: NOTES_OK, NOTES_UNAVAILABLE, NOTES_OVERLOADED
 * @arg:    for it
 *
 * Return: borrowed until @fn is called or notes_cancel().
 */
struct notes_call *notes_list(struct notes *n, unsigned limit, uint64_t before, notes_fn fn, void *arg)
{
        struct notes_call *c = call_new(n, DB_JOB_LIST, 0, fn, arg);

        c->job.limit = limit < 1 ? 1 : limit > NOTES_LIMIT_MAX ? NOTES_LIMIT_MAX : limit;
        c->job.before = before;
        return call_start(c);
}

/**
 * notes_get() - one note
 * @n:   the notes
 * @id:  its id
 * @fn:  called once from the loop: NOTES_OK, NOTES_NOT_FOUND, NOTES_UNAVAILABLE, NOTES_OVERLOADED
 * @arg: for it
 *
 * Return: borrowed until @fn is called or notes_cancel().
 */
struct notes_call *notes_get(struct notes *n, uint64_t id, notes_fn fn, void *arg)
{
        struct notes_call *c = call_new(n, DB_JOB_GET, 0, fn, arg);

        c->job.id = id;
        return call_start(c);
}

/**
 * notes_add() - adds a note, once
 * @n:    the notes
 * @text: valid UTF-8, 1..NOTES_TEXT_CHARS_MAX characters; copied
 * @len:  its bytes
 * @key:  1..NOTES_KEY_MAX printable ASCII, copied; NULL: one is made up
 * @fn:   called once from the loop: NOTES_CREATED, NOTES_OK, NOTES_KEY_REUSED, NOTES_UNAVAILABLE, NOTES_OVERLOADED, NOTES_UNKNOWN
 * @arg:  for it
 *
 * Return: borrowed until @fn is called or notes_cancel().
 */
struct notes_call *notes_add(struct notes *n, const char *text, size_t len, const char *key, notes_fn fn, void *arg)
{
        struct notes_call *c = call_new(n, DB_JOB_ADD, len, fn, arg);
        char *copy = (char *)(c + 1);

        memcpy(copy, text, len);
        c->job.text = copy;
        c->job.text_len = len;
        c->job.own_key = !key;
        if (key)
                key_from_text(key, &c->job.key);
        else
                key_make_up(c->notes, &c->job.key);
        return call_start(c);
}

/**
 * notes_call_began() - the call's deadline counts from an earlier time
 * @call:     as it was given; not after its fn was called
 * @ago_usec: how long what it is made for has been going on
 *
 * So that a request that was slow to arrive hears what became of its note before it is cut off without a word.
 */
void notes_call_began(struct notes_call *call, uint64_t ago_usec)
{
        struct notes *n = call->notes;
        uint64_t end_usec;

        call->arrived_usec -= ago_usec < call->arrived_usec ? ago_usec : call->arrived_usec;
        end_usec = call->arrived_usec + n->config.deadline_usec;
        if (call->ages != &n->waiting || end_usec >= call->due_usec)
                return;
        age_remove(call);
        call->due_usec = end_usec;
        age_add(&n->waiting, call);
        if (loop_timer_due(n->timer) > end_usec)
                arm(n);
}

/**
 * notes_cancel() - nobody waits for a call any more
 * @call: as it was given; not after its fn was called. A write that is under way may still happen
 */
void notes_cancel(struct notes_call *call)
{
        bool is_refused = call->ages == &call->notes->refused;

        call->fn = NULL;
        if (is_refused || db_queue_abandon(queue_of(call), &call->job))
                call_free(call);
        else
                age_remove(call);
}

/* --- the whole --- */

/**
 * notes_new() - starts the database threads
 * @loop:    borrowed until notes_free()
 * @db:      where their sessions come from; the same
 * @metrics: the same
 * @config:  copied
 *
 * Return: new.
 */
struct notes *notes_new(struct loop *loop, struct db_swap *db, struct metrics *metrics,
                        const struct notes_config *config)
{
        static const double buckets[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                         0.1,    0.25,    0.5,    1,     2.5,    5,     10,   0};
        struct notes *n = mem_new(sizeof(*n));
        struct metric *f = metrics_add(metrics, METRIC_HISTOGRAM, "db_request_latency_seconds",
                                       "Time that the database took for what was asked of it at once.",
                                       "operation,table", buckets);

        n->loop = loop;
        n->db = db;
        n->config = *config;
        n->select_latency = metric_series(f, "select", "notes");
        n->insert_latency = metric_series(f, "insert", "notes");
        n->timer = loop_timer_new(loop, on_time, n);
        n->refuse_timer = loop_timer_new(loop, on_refused, n);
        n->reader = db_worker_new(loop, db, config->queue_max, db_reader_turn, on_answer, n);
        n->writer = db_worker_new(loop, db, config->queue_max, db_writer_turn, on_answer, n);
        return n;
}

static void drop(struct db_job *job, void *arg)
{
        (void)arg;
        call_free((struct notes_call *)job);
}

/**
 * notes_free() - ends the database threads; calls that wait end without a callback
 * @n: NULL is fine; not from one of its callbacks
 *
 * Return: NULL.
 */
struct notes *notes_free(struct notes *n)
{
        if (!n)
                return NULL;
        db_worker_free(n->reader, drop);
        db_worker_free(n->writer, drop);
        while (n->refused.oldest)
                call_free(n->refused.oldest);
        loop_timer_free(n->timer);
        loop_timer_free(n->refuse_timer);
        return mem_free(n);
}

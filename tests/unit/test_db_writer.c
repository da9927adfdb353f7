/* tests/unit/test_db_writer.c: what a write is told where the database's answers are made up here. */
#define db_worker_queue  fake_queue
#define db_worker_conn   fake_conn
#define db_worker_failed fake_failed
#define db_worker_done   fake_done
#define db_conn_insert   fake_insert
#define db_conn_find     fake_find

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/db_writer.c" /* NOLINT: the names above give it a database made up here */
#include "common/loop.h"

#define ANSWERS_MAX 8

static struct scene {
        struct loop *loop;
        struct db_queue *queue;
        int answers[ANSWERS_MAX]; /* of the inserts, in order */
        size_t asked;
        int failed; /* the fault that the worker was told last; 0: none */
} scene;

struct db_queue *db_worker_queue(struct db_worker *w)
{
        (void)w;
        return scene.queue;
}

/* Never looked into: the calls that take it are below. */
struct db_conn *db_worker_conn(struct db_worker *w)
{
        return (struct db_conn *)w;
}

void db_worker_failed(struct db_worker *w, const struct db_conn *conn, int fault)
{
        (void)w;
        (void)conn;
        scene.failed = fault;
}

void db_worker_done(struct db_worker *w)
{
        (void)w;
        scene.failed = 0;
}

int db_conn_insert(struct db_conn *c, struct db_insert *rows, size_t len)
{
        (void)c;
        for (size_t i = 0; i < len; i++)
                rows[i].id = 1 + i;
        assert_true(scene.asked < ANSWERS_MAX);
        return scene.answers[scene.asked++];
}

/* Nothing is found. */
int db_conn_find(struct db_conn *c, const struct db_key *const *keys, size_t len, struct db_rows **ret_rows)
{
        (void)c;
        (void)keys;
        *ret_rows = db_rows_new(len, true);
        return 0;
}

static void on_answer(struct db_answer *answer, void *arg)
{
        (void)answer;
        (void)arg;
        loop_stop(scene.loop);
}

static int set_up(void **state)
{
        (void)state;
        scene = (struct scene){.loop = loop_new()};
        scene.queue = db_queue_new(scene.loop, ANSWERS_MAX, on_answer, NULL);
        return 0;
}

static void drop(struct db_job *job, void *arg)
{
        (void)job;
        (void)arg;
}

static int tear_down(void **state)
{
        (void)state;
        db_queue_free(scene.queue, drop);
        loop_free(scene.loop);
        return 0;
}

static void turn(void)
{
        static char worker;

        db_writer_turn((struct db_worker *)&worker);
}

static void hear(void)
{
        assert_int_equal(loop_run(scene.loop), 0);
}

static struct db_job job_of(const char *text)
{
        return (struct db_job){.kind = DB_JOB_ADD, .text = text, .text_len = 1, .key = {.bytes = {text[0]}, .len = 1}};
}

static void a_refused_note_was_not_written(void **state)
{
        struct db_job job = job_of("x");

        (void)state;
        scene.answers[0] = DB_ROW;
        assert_true(db_queue_add(scene.queue, &job));
        turn();
        hear();
        assert_int_equal(job.outcome, NOTES_UNAVAILABLE);
        assert_int_equal(scene.failed, 0);
}

/* The first attempt died without an answer and may stand; that the second one is refused says nothing about it. */
static void a_note_that_is_refused_after_a_lost_attempt_is_unknown(void **state)
{
        struct db_job job = job_of("x");

        (void)state;
        scene.answers[0] = DB_DEAD;
        scene.answers[1] = DB_ROW;
        assert_true(db_queue_add(scene.queue, &job));
        turn();
        assert_int_equal(scene.failed, DB_DEAD);
        assert_false(db_queue_withdraw(scene.queue, &job)); /* nobody may be told that nothing was written */
        turn();
        hear();
        assert_int_equal(job.outcome, NOTES_UNKNOWN);
}

/* A key that is there for the insert and not for the look: tried again after a pause, never given up. */
static void a_duplicate_that_is_not_found_is_tried_again(void **state)
{
        struct db_job job = job_of("x");

        (void)state;
        scene.answers[0] = DB_DUPLICATE;
        assert_true(db_queue_add(scene.queue, &job));
        turn();
        assert_int_equal(scene.failed, DB_BUSY);
        turn();
        hear();
        assert_int_equal(job.outcome, NOTES_CREATED);
        assert_int_equal(scene.asked, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_refused_note_was_not_written),
                TEST(a_note_that_is_refused_after_a_lost_attempt_is_unknown),
                TEST(a_duplicate_that_is_not_found_is_tried_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

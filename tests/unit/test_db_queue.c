/* tests/unit/test_db_queue.c: jobs go to the thread in order, answers come back, nothing is lost or handed out twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/db_queue.h"
#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"

#define JOBS 6

struct scene {
        struct loop *loop;
        struct db_queue *q;
        struct db_job jobs[JOBS];
        char answered[64], dropped[64]; /* jobs by letter, "a" the first */
};

static void note(const struct scene *s, char *text, const struct db_job *job)
{
        char letter[2] = {(char)('a' + (job - s->jobs)), '\0'};

        strcat(text, letter);
}

static void on_answer(struct db_answer *answer, void *arg)
{
        struct scene *s = arg;

        for (struct db_job *job = answer->jobs; job; job = job->next)
                note(s, s->answered, job);
        loop_stop(s->loop);
}

static void drop(struct db_job *job, void *arg)
{
        struct scene *s = arg;

        note(s, s->dropped, job);
}

static void scene_begin(struct scene *s, size_t max)
{
        *s = (struct scene){.loop = loop_new()};
        s->q = db_queue_new(s->loop, max, on_answer, s);
}

static void scene_end(struct scene *s)
{
        db_queue_free(s->q, drop);
        loop_free(s->loop);
}

static void add(struct scene *s, size_t from, size_t to)
{
        for (size_t i = from; i < to; i++)
                assert_true(db_queue_add(s->q, &s->jobs[i]));
}

static void assert_chain(const struct scene *s, const struct db_job *job, const char *want)
{
        char got[64] = "";

        for (; job; job = job->next)
                note(s, got, job);
        assert_string_equal(got, want);
}

static void a_full_queue_refuses(void **state)
{
        struct scene s;

        (void)state;
        scene_begin(&s, 2);
        add(&s, 0, 2);
        assert_false(db_queue_add(s.q, &s.jobs[2]));
        assert_chain(&s, db_queue_take(s.q, 1), "a");
        assert_true(db_queue_add(s.q, &s.jobs[2]));
        scene_end(&s);
        assert_string_equal(s.dropped, "bc");
}

static void jobs_are_taken_in_order_and_put_back_at_the_front(void **state)
{
        struct scene s;
        struct db_job *chain;

        (void)state;
        scene_begin(&s, JOBS);
        add(&s, 0, 4);
        chain = db_queue_take(s.q, 2);
        assert_chain(&s, chain, "ab");
        add(&s, 4, 5);
        db_queue_put_back(s.q, chain);
        assert_chain(&s, db_queue_take(s.q, SIZE_MAX), "abcde");
        assert_null(db_queue_take(s.q, SIZE_MAX));
        scene_end(&s);
        assert_string_equal(s.dropped, "");
}

static void what_was_tried_cannot_be_withdrawn(void **state)
{
        struct scene s;

        (void)state;
        scene_begin(&s, JOBS);
        add(&s, 0, 3);
        s.jobs[0].maybe_written = true;
        assert_false(db_queue_withdraw(s.q, &s.jobs[0]));
        assert_true(db_queue_withdraw(s.q, &s.jobs[1]));
        assert_chain(&s, db_queue_take(s.q, SIZE_MAX), "ac");
        assert_false(db_queue_withdraw(s.q, &s.jobs[2]));
        assert_false(s.jobs[2].abandoned);
        scene_end(&s);
}

static void an_abandoned_job_comes_back_once_and_is_not_tried_again(void **state)
{
        struct scene s;
        struct db_job *chain;

        (void)state;
        scene_begin(&s, JOBS);
        add(&s, 0, 3);
        assert_true(db_queue_abandon(s.q, &s.jobs[2]));
        chain = db_queue_take(s.q, SIZE_MAX);
        assert_chain(&s, chain, "ab");
        assert_false(db_queue_abandon(s.q, &s.jobs[0]));
        db_queue_put_back(s.q, chain);
        assert_int_equal(loop_run(s.loop), 0);
        assert_string_equal(s.answered, "a");
        assert_chain(&s, db_queue_take(s.q, SIZE_MAX), "b");
        scene_end(&s);
        assert_string_equal(s.dropped, "");
}

static void answers_arrive_on_the_loop_in_order(void **state)
{
        struct scene s;

        (void)state;
        scene_begin(&s, JOBS);
        add(&s, 0, 3);
        db_queue_answer(s.q, db_queue_take(s.q, 1), NULL, 1);
        db_queue_answer(s.q, db_queue_take(s.q, 2), db_rows_new(1, false), 1);
        assert_string_equal(s.answered, "");
        assert_int_equal(loop_run(s.loop), 0);
        assert_string_equal(s.answered, "abc");
        scene_end(&s);
}

static void an_answer_that_nobody_hears_is_dropped(void **state)
{
        struct scene s;

        (void)state;
        scene_begin(&s, JOBS);
        add(&s, 0, 2);
        db_queue_answer(s.q, db_queue_take(s.q, 1), db_rows_new(1, false), 1);
        scene_end(&s);
        assert_string_equal(s.dropped, "ba");
        assert_string_equal(s.answered, "");
}

static void waiting_ends_with_jobs_wakes_time_and_stop(void **state)
{
        struct scene s;
        uint64_t begin;

        (void)state;
        scene_begin(&s, JOBS);
        begin = clock_monotonic_usec();
        assert_false(db_queue_wait(s.q, true, begin + 20000));
        assert_true(clock_monotonic_usec() >= begin + 20000);
        db_queue_wake(s.q);
        assert_false(db_queue_wait(s.q, true, USEC_NEVER));
        add(&s, 0, 1);
        assert_true(db_queue_wait(s.q, true, USEC_NEVER));
        assert_false(db_queue_wait(s.q, false, clock_monotonic_usec()));
        db_queue_stop(s.q);
        assert_false(db_queue_wait(s.q, true, USEC_NEVER));
        assert_true(db_queue_stopped(s.q));
        scene_end(&s);
}

static void rows_keep_their_texts_while_they_grow(void **state)
{
        struct db_rows *rows = db_rows_new(300, true);
        char text[3000];
        struct db_key key = {.len = 1};

        (void)state;
        for (unsigned i = 0; i < 300; i++) {
                struct note n = {.id = i, .text = text, .text_len = i * 10};

                memset(text, (char)(i % 128), sizeof(text));
                key.bytes[0] = (unsigned char)(i % 256);
                assert_int_equal(db_rows_add(rows, &n, &key), 0);
        }
        assert_int_not_equal(db_rows_add(rows, &rows->items[0], &key), 0);
        db_rows_seal(rows);
        for (unsigned i = 0; i < 300; i++) {
                memset(text, (char)(i % 128), sizeof(text));
                assert_int_equal(rows->items[i].text_len, i * 10);
                assert_memory_equal(rows->items[i].text, text, i * 10);
        }
        key.bytes[0] = 7;
        assert_int_equal(db_rows_by_key(rows, &key)->id, 7);
        key.len = 2;
        assert_null(db_rows_by_key(rows, &key));
        db_rows_free(rows);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_full_queue_refuses),
                cmocka_unit_test(jobs_are_taken_in_order_and_put_back_at_the_front),
                cmocka_unit_test(what_was_tried_cannot_be_withdrawn),
                cmocka_unit_test(an_abandoned_job_comes_back_once_and_is_not_tried_again),
                cmocka_unit_test(answers_arrive_on_the_loop_in_order),
                cmocka_unit_test(an_answer_that_nobody_hears_is_dropped),
                cmocka_unit_test(waiting_ends_with_jobs_wakes_time_and_stop),
                cmocka_unit_test(rows_keep_their_texts_while_they_grow),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_file_watch.c: a credential file is noticed however it gets there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/file_watch.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"

struct scene {
        char dir[64];
        char *path;
        struct loop *loop;
        struct loop_timer *deadline;
        struct file_watch *watch;
        unsigned told;
};

static void on_change(void *arg)
{
        struct scene *s = arg;

        s->told++;
        loop_stop(s->loop);
}

static void on_deadline(void *arg)
{
        loop_stop(((struct scene *)arg)->loop);
}

static int setup(void **state)
{
        struct scene *s = mem_new(sizeof(*s));
        const char *paths[2] = {NULL};

        snprintf(s->dir, sizeof(s->dir), "/tmp/lk-watch-XXXXXX");
        assert_non_null(mkdtemp(s->dir));
        s->path = mem_printf("%s/secret-id", s->dir);
        s->loop = loop_new();
        s->deadline = loop_timer_new(s->loop, on_deadline, s);
        paths[0] = s->path;
        s->watch = file_watch_new(s->loop, paths, on_change, s);
        assert_non_null(s->watch);
        *state = s;
        return 0;
}

static int teardown(void **state)
{
        struct scene *s = *state;

        file_watch_free(s->watch);
        loop_timer_free(s->deadline);
        loop_free(s->loop);
        unlink(s->path);
        rmdir(s->dir);
        mem_free(s->path);
        mem_free(s);
        return 0;
}

static void put(const char *path)
{
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        assert_true(fputs("content", f) >= 0);
        fclose(f);
}

static unsigned told_within(struct scene *s, uint64_t usec)
{
        s->told = 0;
        loop_timer_in(s->deadline, usec);
        loop_run(s->loop);
        loop_timer_cancel(s->deadline);
        return s->told;
}

static void written_file_is_noticed(void **state)
{
        struct scene *s = *state;

        put(s->path);
        assert_int_equal(told_within(s, 2 * USEC_PER_SEC), 1);
}

static void renamed_file_is_noticed(void **state)
{
        struct scene *s = *state;
        cleanup_free char *other = mem_printf("%s/other", s->dir);

        put(other);
        assert_int_equal(rename(other, s->path), 0);
        assert_int_equal(told_within(s, 2 * USEC_PER_SEC), 1);
}

/* Written as root with 0600, then given to the agent: only now can it be read. */
static void file_that_becomes_readable_is_noticed(void **state)
{
        struct scene *s = *state;

        put(s->path);
        assert_int_equal(told_within(s, 2 * USEC_PER_SEC), 1);
        assert_int_equal(chmod(s->path, 0640), 0);
        assert_int_equal(told_within(s, 2 * USEC_PER_SEC), 1);
}

static void other_files_are_none_of_its_business(void **state)
{
        struct scene *s = *state;
        cleanup_free char *other = mem_printf("%s/other", s->dir);

        put(other);
        assert_int_equal(told_within(s, USEC_PER_SEC / 2), 0);
        unlink(other);
}

static void folder_that_comes_back_is_watched_again(void **state)
{
        struct scene *s = *state;

        assert_int_equal(rmdir(s->dir), 0);
        told_within(s, USEC_PER_SEC / 10);
        assert_int_equal(mkdir(s->dir, 0700), 0);
        assert_int_equal(told_within(s, 5 * USEC_PER_SEC), 1); /* the file may have come with it */
        put(s->path);
        assert_int_equal(told_within(s, 2 * USEC_PER_SEC), 1);
}

static void folder_in_the_place_of_one_moved_away_is_watched(void **state)
{
        struct scene *s = *state;
        cleanup_free char *away = mem_printf("%s.away", s->dir), *old = mem_printf("%s.away/secret-id", s->dir);

        assert_int_equal(rename(s->dir, away), 0);
        assert_int_equal(mkdir(s->dir, 0700), 0);
        assert_int_equal(told_within(s, 5 * USEC_PER_SEC), 1);
        put(s->path);
        assert_int_equal(told_within(s, 2 * USEC_PER_SEC), 1);
        put(old); /* that one is not ours any more */
        assert_int_equal(told_within(s, USEC_PER_SEC / 2), 0);
        unlink(old);
        rmdir(away);
}

static void folder_that_is_not_there_at_first_is_looked_for(void **state)
{
        struct scene *s = *state;
        const char *const paths[] = {s->path, NULL};

        file_watch_free(s->watch);
        assert_int_equal(rmdir(s->dir), 0);
        s->watch = file_watch_new(s->loop, paths, on_change, s);
        assert_int_equal(mkdir(s->dir, 0700), 0);
        assert_int_equal(told_within(s, 5 * USEC_PER_SEC), 1);
        put(s->path);
        assert_int_equal(told_within(s, 2 * USEC_PER_SEC), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(written_file_is_noticed, setup, teardown),
                cmocka_unit_test_setup_teardown(renamed_file_is_noticed, setup, teardown),
                cmocka_unit_test_setup_teardown(file_that_becomes_readable_is_noticed, setup, teardown),
                cmocka_unit_test_setup_teardown(other_files_are_none_of_its_business, setup, teardown),
                cmocka_unit_test_setup_teardown(folder_that_comes_back_is_watched_again, setup, teardown),
                cmocka_unit_test_setup_teardown(folder_in_the_place_of_one_moved_away_is_watched, setup, teardown),
                cmocka_unit_test_setup_teardown(folder_that_is_not_there_at_first_is_looked_for, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

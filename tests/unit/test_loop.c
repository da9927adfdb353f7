/* tests/unit/test_loop.c: what common/loop.h promises about timers, descriptors, signals and calls. */
#include <event2/buffer.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "tests/unit/support_memscan.h"

#define GIVE_UP_USEC (20 * USEC_PER_SEC)

struct scene {
        struct loop *loop;
        struct loop_timer *give_up;
        struct loop_timer *timers[8];
        struct loop_watch *watch;
        int fds[2];
        char order[64]; /* what happened, one letter each */
        size_t order_len;
        size_t stop_at;
        uint64_t fired_usec;
        unsigned count;
};

static void on_give_up(void *arg)
{
        (void)arg;
        fail_msg("nothing happened for 20 s");
}

static int set_up(void **state)
{
        struct scene *s = mem_new(sizeof(*s));

        s->loop = loop_new();
        s->give_up = loop_timer_new(s->loop, on_give_up, s);
        loop_timer_in(s->give_up, GIVE_UP_USEC);
        s->stop_at = 1;
        s->fds[0] = s->fds[1] = -1;
        *state = s;
        return 0;
}

static int tear_down(void **state)
{
        struct scene *s = *state;

        for (size_t i = 0; i < array_len(s->timers); i++)
                loop_timer_free(s->timers[i]);
        loop_watch_free(s->watch);
        loop_timer_free(s->give_up);
        loop_free(s->loop);
        if (s->fds[0] >= 0)
                close(s->fds[0]);
        if (s->fds[1] >= 0)
                close(s->fds[1]);
        mem_free(s);
        return 0;
}

static void happened(struct scene *s, char what)
{
        s->order[s->order_len++] = what;
        if (s->order_len == s->stop_at)
                loop_stop(s->loop);
}

static void on_a(void *arg)
{
        ((struct scene *)arg)->fired_usec = clock_boottime_usec();
        happened(arg, 'a');
}

static void on_b(void *arg)
{
        happened(arg, 'b');
}

static void on_c(void *arg)
{
        happened(arg, 'c');
}

static void run_until(struct scene *s, size_t events)
{
        s->stop_at = events;
        assert_int_equal(loop_run(s->loop), 0);
}

static void timer_never_fires_early(void **state)
{
        struct scene *s = *state;

        s->timers[0] = loop_timer_new(s->loop, on_a, s);
        for (unsigned i = 0; i < 5; i++) {
                uint64_t due = clock_boottime_usec() + 3000 * i;

                loop_timer_at(s->timers[0], due);
                assert_true(loop_timer_due(s->timers[0]) == due);
                run_until(s, i + 1);
                assert_true(s->fired_usec >= due);
                assert_true(loop_timer_due(s->timers[0]) == USEC_NEVER);
        }
}

static void timers_fire_in_order(void **state)
{
        struct scene *s = *state;
        uint64_t now = clock_boottime_usec();

        s->timers[0] = loop_timer_new(s->loop, on_a, s);
        s->timers[1] = loop_timer_new(s->loop, on_b, s);
        s->timers[2] = loop_timer_new(s->loop, on_c, s);
        loop_timer_at(s->timers[0], now + 9000);
        loop_timer_at(s->timers[1], now + 6000);
        loop_timer_at(s->timers[2], now + 6000);
        run_until(s, 3);
        assert_string_equal(s->order, "bca");
}

static void timer_of_the_past_fires(void **state)
{
        struct scene *s = *state;

        s->timers[0] = loop_timer_new(s->loop, on_a, s);
        loop_timer_at(s->timers[0], 0);
        run_until(s, 1);
        loop_timer_at(s->timers[0], 1);
        run_until(s, 2);
        assert_string_equal(s->order, "aa");
}

static void moved_and_cancelled_timers(void **state)
{
        struct scene *s = *state;

        s->timers[0] = loop_timer_new(s->loop, on_a, s);
        s->timers[1] = loop_timer_new(s->loop, on_b, s);
        s->timers[2] = loop_timer_new(s->loop, on_c, s);
        loop_timer_in(s->timers[0], 2000);
        loop_timer_in(s->timers[1], 4000);
        loop_timer_in(s->timers[2], 15000);
        loop_timer_cancel(s->timers[0]);
        loop_timer_cancel(s->timers[0]);
        loop_timer_in(s->timers[1], USEC_NEVER);
        assert_true(loop_timer_due(s->timers[1]) == USEC_NEVER);
        run_until(s, 1);
        assert_string_equal(s->order, "c");
}

/* The heap against a plain model: armed, moved and cancelled at random, they fire in order of time and all of them. */
static void many_timers_fire_in_order(void **state)
{
        enum { MANY = 500 };
        struct scene *s = *state;
        struct loop_timer *timers[MANY];
        uint64_t base = clock_boottime_usec(), due[MANY], last = 0;
        unsigned seed = 7, armed = 0;

        for (unsigned i = 0; i < MANY; i++)
                timers[i] = loop_timer_new(s->loop, on_a, s);
        for (unsigned round = 0; round < 4 * MANY; round++) {
                unsigned i = (unsigned)rand_r(&seed) % MANY;

                if (rand_r(&seed) % 4 == 0)
                        loop_timer_cancel(timers[i]);
                else
                        loop_timer_at(timers[i], base + USEC_PER_SEC * 3600 + (unsigned)rand_r(&seed) % 1000);
        }
        for (unsigned i = 0; i < MANY; i++)
                armed += (due[i] = loop_timer_due(timers[i])) != USEC_NEVER;
        assert_in_range(armed, MANY / 4, MANY);
        for (unsigned done = 0; done < armed; done++) {
                unsigned first = MANY;

                for (unsigned i = 0; i < MANY; i++)
                        if (due[i] != USEC_NEVER && (first == MANY || due[i] < due[first]))
                                first = i;
                assert_true(due[first] >= last);
                last = due[first];
                due[first] = USEC_NEVER;
                loop_timer_at(timers[first], done); /* long past: the whole heap is walked through */
                s->order_len = 0;
                run_until(s, 1);
                assert_true(loop_timer_due(timers[first]) == USEC_NEVER);
        }
        for (unsigned i = 0; i < MANY; i++)
                loop_timer_free(timers[i]);
}

static void on_free_itself(void *arg)
{
        struct scene *s = arg;

        s->timers[0] = loop_timer_free(s->timers[0]);
        s->timers[1] = loop_timer_free(s->timers[1]); /* due in the same turn: must not be called */
        happened(s, 'f');
}

static void timer_freed_in_its_own_callback(void **state)
{
        struct scene *s = *state;

        s->timers[0] = loop_timer_new(s->loop, on_free_itself, s);
        s->timers[1] = loop_timer_new(s->loop, on_b, s);
        s->timers[2] = loop_timer_new(s->loop, on_c, s);
        loop_timer_at(s->timers[0], 1);
        loop_timer_at(s->timers[1], 2);
        loop_timer_at(s->timers[2], 3);
        run_until(s, 2);
        assert_string_equal(s->order, "fc");
}

static void on_again(void *arg)
{
        struct scene *s = arg;

        s->count++;
        loop_timer_at(s->timers[0], 0);
}

static void on_readable(int fd, unsigned what, void *arg)
{
        char byte;

        assert_int_equal(what, LOOP_READ);
        assert_int_equal(read(fd, &byte, 1), 1);
        happened(arg, byte);
}

static void greedy_timer_lets_descriptors_through(void **state)
{
        struct scene *s = *state;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s->fds), 0);
        s->watch = loop_watch_new(s->loop, s->fds[0], LOOP_READ, on_readable, s);
        s->timers[0] = loop_timer_new(s->loop, on_again, s);
        loop_timer_at(s->timers[0], 0);
        assert_int_equal(write(s->fds[1], "xy", 2), 2);
        run_until(s, 2);
        assert_string_equal(s->order, "xy");
        assert_true(s->count > 0);
}

static void on_pause(void *arg)
{
        struct scene *s = arg;

        assert_int_equal(s->order_len, 0); /* paused: the byte that waits was not told */
        loop_watch_set(s->watch, LOOP_READ);
}

static void paused_watch_is_silent(void **state)
{
        struct scene *s = *state;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s->fds), 0);
        s->watch = loop_watch_new(s->loop, s->fds[0], LOOP_READ, on_readable, s);
        loop_watch_set(s->watch, 0);
        assert_int_equal(write(s->fds[1], "x", 1), 1);
        s->timers[0] = loop_timer_new(s->loop, on_pause, s);
        loop_timer_in(s->timers[0], 5000);
        run_until(s, 1);
        assert_string_equal(s->order, "x");
}

static void on_free_watch(int fd, unsigned what, void *arg)
{
        struct scene *s = arg;

        (void)fd;
        assert_int_equal(what, LOOP_WRITE);
        s->watch = loop_watch_free(s->watch);
        happened(s, 'w');
}

static void watch_freed_in_its_own_callback(void **state)
{
        struct scene *s = *state;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s->fds), 0);
        s->watch = loop_watch_new(s->loop, s->fds[0], LOOP_READ | LOOP_WRITE, on_free_watch, s);
        run_until(s, 1);
        s->timers[0] = loop_timer_new(s->loop, on_a, s);
        loop_timer_in(s->timers[0], 3000);
        run_until(s, 2);
        assert_string_equal(s->order, "wa");
}

static void signal_is_told_on_the_loop(void **state)
{
        struct scene *s = *state;
        struct loop_signal *signal_usr1 = loop_signal_new(s->loop, SIGUSR1, on_a, s);

        kill(getpid(), SIGUSR1);
        run_until(s, 1);
        assert_string_equal(s->order, "a");
        loop_signal_free(signal_usr1);
}

static void sigpipe_does_not_kill(void **state)
{
        struct scene *s = *state;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s->fds), 0);
        close(s->fds[1]);
        s->fds[1] = -1;
        assert_int_equal(write(s->fds[0], "x", 1), -1);
}

static void on_defer_more(void *arg)
{
        struct scene *s = arg;

        loop_defer(s->loop, on_c, s);
        happened(s, 'd');
}

static void deferred_calls_keep_their_order(void **state)
{
        struct scene *s = *state;

        loop_defer(s->loop, on_defer_more, s);
        loop_defer(s->loop, on_a, s);
        loop_defer(s->loop, on_b, s);
        loop_defer_cancel(s->loop, on_a, s);
        run_until(s, 3);
        assert_string_equal(s->order, "dbc");
}

static void on_writable(int fd, unsigned what, void *arg)
{
        (void)fd;
        (void)what;
        ((struct scene *)arg)->count++;
}

static void busy_descriptor_lets_deferred_calls_through(void **state)
{
        struct scene *s = *state;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s->fds), 0);
        s->watch = loop_watch_new(s->loop, s->fds[0], LOOP_WRITE, on_writable, s);
        loop_defer(s->loop, on_defer_more, s);
        run_until(s, 2);
        assert_string_equal(s->order, "dc");
        assert_in_range(s->count, 1, 10);
}

static void *post_from_another_thread(void *arg)
{
        struct scene *s = arg;

        for (int i = 0; i < 10; i++) {
                loop_post(s->loop, on_b, s);
                loop_post(s->loop, on_c, s);
        }
        return NULL;
}

static void posted_calls_arrive_from_other_threads(void **state)
{
        struct scene *s = *state;
        pthread_t threads[2];

        for (size_t i = 0; i < array_len(threads); i++)
                assert_int_equal(pthread_create(&threads[i], NULL, post_from_another_thread, s), 0);
        run_until(s, 40);
        for (size_t i = 0; i < array_len(threads); i++)
                pthread_join(threads[i], NULL);
        for (const char *c = s->order; *c; c++)
                s->count += *c == 'b';
        assert_int_equal(s->count, 20);
}

static void posted_calls_that_are_left_are_dropped(void **state)
{
        struct scene *s = *state;

        loop_post(s->loop, on_a, s);
        loop_defer(s->loop, on_a, s);
        (void)s; /* tear_down frees the loop: the address sanitizer sees whether anything is left or called */
        assert_int_equal(s->order_len, 0);
}

/* Design: no wake-ups between due timers, however often they are moved. */
static void idle_loop_does_not_wake_up(void **state)
{
        struct scene *s = *state;
        struct rusage before, after;

        s->timers[0] = loop_timer_new(s->loop, on_a, s);
        s->timers[1] = loop_timer_new(s->loop, on_b, s);
        for (unsigned i = 0; i < 1000; i++)
                loop_timer_in(s->timers[1], USEC_PER_SEC * (100 + i));
        loop_timer_in(s->timers[0], 200 * USEC_PER_MSEC);
        getrusage(RUSAGE_THREAD, &before);
        run_until(s, 1);
        getrusage(RUSAGE_THREAD, &after);
        assert_in_range(after.ru_nvcsw - before.ru_nvcsw, 1, 3);
}

/* What waits to be sent stands in libevent's buffers: nothing of it is left once it is sent, or its connection is gone. */
static void what_libevent_frees_is_wiped(void **state)
{
        const unsigned seed = (unsigned)getpid() + 11;
        struct evbuffer *sent = evbuffer_new(), *dropped = evbuffer_new();
        char text[1000];

        (void)state; /* its loop has told libevent how to free */
        memset(text, '-', sizeof(text));
        memscan_fill(seed, text + 500);
        assert_int_equal(evbuffer_add(sent, text, sizeof(text)), 0);
        assert_int_equal(evbuffer_add(dropped, text, sizeof(text)), 0);
        explicit_bzero(text, sizeof(text));
        assert_int_equal(memscan_count(seed), 2);
        evbuffer_drain(sent, sizeof(text));
        evbuffer_free(dropped);
        evbuffer_free(sent);
        assert_int_equal(memscan_count(seed), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(timer_never_fires_early, set_up, tear_down),
                cmocka_unit_test_setup_teardown(timers_fire_in_order, set_up, tear_down),
                cmocka_unit_test_setup_teardown(timer_of_the_past_fires, set_up, tear_down),
                cmocka_unit_test_setup_teardown(moved_and_cancelled_timers, set_up, tear_down),
                cmocka_unit_test_setup_teardown(many_timers_fire_in_order, set_up, tear_down),
                cmocka_unit_test_setup_teardown(timer_freed_in_its_own_callback, set_up, tear_down),
                cmocka_unit_test_setup_teardown(greedy_timer_lets_descriptors_through, set_up, tear_down),
                cmocka_unit_test_setup_teardown(paused_watch_is_silent, set_up, tear_down),
                cmocka_unit_test_setup_teardown(watch_freed_in_its_own_callback, set_up, tear_down),
                cmocka_unit_test_setup_teardown(signal_is_told_on_the_loop, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_libevent_frees_is_wiped, set_up, tear_down),
                cmocka_unit_test_setup_teardown(sigpipe_does_not_kill, set_up, tear_down),
                cmocka_unit_test_setup_teardown(deferred_calls_keep_their_order, set_up, tear_down),
                cmocka_unit_test_setup_teardown(busy_descriptor_lets_deferred_calls_through, set_up, tear_down),
                cmocka_unit_test_setup_teardown(posted_calls_arrive_from_other_threads, set_up, tear_down),
                cmocka_unit_test_setup_teardown(posted_calls_that_are_left_are_dropped, set_up, tear_down),
                cmocka_unit_test_setup_teardown(idle_loop_does_not_wake_up, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

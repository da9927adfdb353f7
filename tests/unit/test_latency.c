/* tests/unit/test_latency.c: --db-latency is read strictly, and what it draws has the shape that was asked for. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/latency.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/parse.h"

#define DRAWS 20000

/* A generator of its own: the same numbers in each run. */
static uint64_t seed;

static double number(void)
{
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (double)(seed >> 33) / (double)(UINT64_C(1) << 31);
}

static struct latency parsed(const char *text)
{
        struct latency l;

        assert_int_equal(latency_parse(text, &l), 0);
        return l;
}

static void each_shape_is_read(void **state)
{
        struct latency l = parsed("fixed:20ms");

        (void)state;
        assert_true(l.shape == LATENCY_FIXED && l.a_usec == 20000 && l.outlier_share == 0);
        l = parsed("uniform:5ms-50ms");
        assert_true(l.shape == LATENCY_UNIFORM && l.a_usec == 5000 && l.b_usec == 50000);
        l = parsed("normal:20ms,5ms,p=0.01:500ms");
        assert_true(l.shape == LATENCY_NORMAL && l.a_usec == 20000 && l.b_usec == 5000);
        assert_true(l.outlier_share > 0.0099 && l.outlier_share < 0.0101 && l.outlier_usec == 500000);
        l = parsed("fixed:0s,p=1:10s");
        assert_true(l.outlier_share == 1 && l.outlier_usec == 10 * USEC_PER_SEC);
}

static void anything_else_is_refused_and_changes_nothing(void **state)
{
        static const char *const wrong[] = {"",
                                            "fixed",
                                            "fixed:",
                                            "fixed:20", /* bare seconds, as in every duration: too long */
                                            "fixed:-1ms",
                                            "fixed:11s",
                                            "fixed:1ms,5ms",
                                            "uniform:5ms",
                                            "uniform:50ms-5ms",
                                            "normal:20ms",
                                            "normal:20ms,",
                                            "normal:20ms,5ms,1ms",
                                            "gamma:1ms",
                                            "fixed:1ms,p=",
                                            "fixed:1ms,p=0.1",
                                            "fixed:1ms,p=2:1ms",
                                            "fixed:1ms,p=.:1ms",
                                            "fixed:1ms,p=0,1:1ms",
                                            "fixed:1ms,p=1e-2:1ms",
                                            "fixed:1ms,p=0.1:1m",
                                            ",p=0.1:1ms"};
        struct latency l = {.a_usec = 77};

        (void)state;
        for (size_t i = 0; i < array_len(wrong); i++) {
                if (latency_parse(wrong[i], &l) != -EINVAL)
                        fail_msg("\"%s\" is taken", wrong[i]);
        }
        assert_true(l.a_usec == 77);
}

static void draws_have_the_shape(void **state)
{
        struct latency uniform = parsed("uniform:5ms-50ms"), normal = parsed("normal:20ms,5ms"),
                       outliers = parsed("fixed:1ms,p=0.1:500ms"), fixed = parsed("fixed:7ms");
        double sum = 0, squares = 0, low_half = 0, rare = 0;

        (void)state;
        seed = 1;
        for (int i = 0; i < DRAWS; i++) {
                uint64_t u = latency_draw(&uniform, number), n = latency_draw(&normal, number),
                         o = latency_draw(&outliers, number);

                assert_in_range(u, 5000, 50000);
                low_half += u < 27500;
                sum += (double)n;
                squares += (double)n * (double)n;
                assert_true(o == 1000 || o == 500000);
                rare += o == 500000;
                assert_true(latency_draw(&fixed, number) == 7000);
        }
        assert_in_range((uintmax_t)(100 * low_half / DRAWS), 48, 52);
        assert_in_range((uintmax_t)(sum / DRAWS), 19800, 20200);
        assert_in_range((uintmax_t)(squares / DRAWS - (sum / DRAWS) * (sum / DRAWS)), 24000000, 26000000);
        assert_in_range((uintmax_t)(1000 * rare / DRAWS), 90, 110);
}

static void a_wide_bell_is_never_negative(void **state)
{
        struct latency l = parsed("normal:1ms,10s");

        (void)state;
        seed = 2;
        for (int i = 0; i < DRAWS; i++)
                assert_in_range(latency_draw(&l, number), 0, 10 * USEC_PER_SEC);
}

static void assert_written(struct metrics *m, const char *line, bool there)
{
        struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

        metrics_write(m, &out);
        assert_true((strstr(buf_text(&out), line) != NULL) == there);
}

static void it_is_off_unless_set_up_and_told_by_a_metric(void **state)
{
        struct metrics *m = metrics_new();
        const struct latency off = {0}, on = parsed("fixed:30ms");
        uint64_t begin_usec = clock_monotonic_usec();

        (void)state;
        latency_setup(&off, m);
        for (int i = 0; i < 1000; i++)
                latency_inject();
        assert_true(clock_monotonic_usec() - begin_usec < 5 * USEC_PER_SEC);
        assert_written(m, "notesd_injected_latency_enabled 0\n", true);
        assert_written(m, "notesd_injected_latency_queries_total", false);
        metrics_free(m);

        m = metrics_new();
        latency_setup(&on, m);
        begin_usec = clock_monotonic_usec();
        latency_inject();
        latency_inject();
        assert_true(clock_monotonic_usec() - begin_usec >= 60000);
        assert_written(m, "notesd_injected_latency_enabled 1\n", true);
        assert_written(m, "notesd_injected_latency_queries_total 2\n", true);
        assert_written(m, "notesd_injected_latency_seconds_total 0.06\n", true);
        metrics_free(m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_shape_is_read),
                cmocka_unit_test(anything_else_is_refused_and_changes_nothing),
                cmocka_unit_test(draws_have_the_shape),
                cmocka_unit_test(a_wide_bell_is_never_negative),
                cmocka_unit_test(it_is_off_unless_set_up_and_told_by_a_metric),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

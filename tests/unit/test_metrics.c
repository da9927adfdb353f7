/* tests/unit/test_metrics.c: what common/metrics.h promises. */
#include "common/buf.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/metrics_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_written(struct metrics *m, const char *expected)
{
        cleanup_buf struct buf out = BUF_INIT;

        metrics_write(m, &out);
        assert_string_equal(buf_text(&out), expected);
}

static void counter_and_gauge_are_written(void **state)
{
        struct metrics *m = metrics_new();
        struct metric *mints = metrics_add(m, METRIC_COUNTER, "x_mints_total", "Secrets minted.", "secret", NULL);
        struct metric *consumers = metrics_add(m, METRIC_GAUGE, "x_consumers", "Consumers.", "", NULL);
        struct metric *pairs = metrics_add(m, METRIC_COUNTER, "x_pairs_total", "Pairs.", "secret,reason", NULL);

        (void)state;
        assert_written(m, "# HELP x_consumers Consumers.\n# TYPE x_consumers gauge\nx_consumers 0\n");
        metric_inc(mints, 1, "db");
        metric_inc(mints, 2, "db");
        metric_inc(mints, -5, "db"); /* a counter never falls */
        metric_inc(mints, 1, "tls");
        metric_set(consumers, 2);
        metric_inc(consumers, -1);
        metric_inc(pairs, 1, "db", "due");
        metric_inc(pairs, 1, "d", "bdue"); /* the same letters, another series */
        assert_written(
                m, "# HELP x_mints_total Secrets minted.\n# TYPE x_mints_total counter\n"
                   "x_mints_total{secret=\"db\"} 3\nx_mints_total{secret=\"tls\"} 1\n"
                   "# HELP x_consumers Consumers.\n# TYPE x_consumers gauge\nx_consumers 1\n"
                   "# HELP x_pairs_total Pairs.\n# TYPE x_pairs_total counter\n"
                   "x_pairs_total{secret=\"db\",reason=\"due\"} 1\nx_pairs_total{secret=\"d\",reason=\"bdue\"} 1\n");
        assert_null(metrics_free(m));
        assert_null(metrics_free(NULL));
}

static void histogram_is_cumulative(void **state)
{
        static const double buckets[] = {0.005, 0.1, 1, 0};
        struct metrics *m = metrics_new();
        struct metric *h = metrics_add(m, METRIC_HISTOGRAM, "x_seconds", "Took.", "route", buckets);

        (void)state;
        metric_observe(h, 0.005, "/"); /* a bound is part of its bucket */
        metric_observe(h, 0.5, "/");
        metric_observe(h, 0.25, "/");
        metric_observe(h, 100, "/");
        assert_written(m, "# HELP x_seconds Took.\n# TYPE x_seconds histogram\n"
                          "x_seconds_bucket{route=\"/\",le=\"0.005\"} 1\n"
                          "x_seconds_bucket{route=\"/\",le=\"0.1\"} 1\n"
                          "x_seconds_bucket{route=\"/\",le=\"1\"} 3\n"
                          "x_seconds_bucket{route=\"/\",le=\"+Inf\"} 4\n"
                          "x_seconds_sum{route=\"/\"} 100.755\n"
                          "x_seconds_count{route=\"/\"} 4\n");
        metrics_free(m);
}

static void bare_histogram_has_le_alone(void **state)
{
        static const double buckets[] = {1, 0};
        struct metrics *m = metrics_new();

        (void)state;
        metrics_add(m, METRIC_HISTOGRAM, "x_seconds", "Took.", "", buckets);
        assert_written(m, "# HELP x_seconds Took.\n# TYPE x_seconds histogram\nx_seconds_bucket{le=\"1\"} 0\n"
                          "x_seconds_bucket{le=\"+Inf\"} 0\nx_seconds_sum 0\nx_seconds_count 0\n");
        metrics_free(m);
}

static void label_values_are_escaped(void **state)
{
        struct metrics *m = metrics_new();
        struct metric *f = metrics_add(m, METRIC_GAUGE, "x", "A \"b\" \\\nc.", "l", NULL);

        (void)state;
        metric_set(f, 1, "a\"b\\c\nd\xff");
        metric_set(f, 2, "");
        assert_written(
                m, "# HELP x A \"b\" \\\\\\nc.\n# TYPE x gauge\nx{l=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\"} 1\nx{l=\"\"} 2\n");
        metrics_free(m);
}

static void numbers_are_short_and_exact(void **state)
{
        static const struct {
                double value;
                const char *text;
        } numbers[] = {
                {0, "0"},
                {-0.0, "0"},
                {-3, "-3"},
                {1795502972, "1795502972"},
                {9007199254740991.0, "9007199254740991"},
                {0.1, "0.1"},
                {0.1 + 0.2, "0.30000000000000004"},
                {1e300, "1e+300"},
                {INFINITY, "+Inf"},
                {-INFINITY, "-Inf"},
                {NAN, "NaN"},
        };

        (void)state;
        for (size_t i = 0; i < array_len(numbers); i++) {
                cleanup_buf struct buf out = BUF_INIT;

                metrics_text_value(&out, numbers[i].value);
                assert_string_equal(buf_text(&out), numbers[i].text);
                if (!isnan(numbers[i].value))
                        assert_true(strtod(buf_text(&out), NULL) == numbers[i].value);
        }
}

static void series_can_be_held_and_removed(void **state)
{
        struct metrics *m = metrics_new();
        struct metric *f = metrics_add(m, METRIC_GAUGE, "x", "X.", "secret", NULL);
        struct metric_series *s = metric_series(f, "db");

        (void)state;
        metric_series_set(s, 4);
        metric_series_inc(s, 1);
        assert_ptr_equal(metric_series(f, "db"), s);
        metric_set(f, 7, "tls");
        metric_remove(f, "gone");
        metric_remove(f, "db");
        assert_written(m, "# HELP x X.\n# TYPE x gauge\nx{secret=\"tls\"} 7\n");
        metric_remove(f, "tls");
        assert_written(m, "");
        metric_set(f, 8, "db");
        assert_written(m, "# HELP x X.\n# TYPE x gauge\nx{secret=\"db\"} 8\n");
        metrics_free(m);
}

static void ten_thousand_secrets_keep_apart(void **state)
{
        struct metrics *m = metrics_new();
        struct metric *f = metrics_add(m, METRIC_COUNTER, "x_total", "X.", "secret,reason", NULL);
        cleanup_buf struct buf out = BUF_INIT;
        char name[32];

        (void)state;
        for (int round = 0; round < 3; round++) {
                for (int i = 0; i < 10000; i++) {
                        snprintf(name, sizeof(name), "secret-%d", i);
                        metric_inc(f, i, name, "due");
                }
        }
        for (int i = 0; i < 10000; i += 2) {
                snprintf(name, sizeof(name), "secret-%d", i);
                metric_remove(f, name, "due");
        }
        metrics_write(m, &out);
        assert_null(strstr(buf_text(&out), "\"secret-9998\""));
        assert_non_null(strstr(buf_text(&out), "x_total{secret=\"secret-9999\",reason=\"due\"} 29997\n"));
        assert_non_null(strstr(buf_text(&out), "x_total{secret=\"secret-1\",reason=\"due\"} 3\n"));
        metrics_free(m);
}

static void set_answer(void *arg)
{
        metric_set(arg, 42);
}

static void collectors_run_before_each_writing(void **state)
{
        struct metrics *m = metrics_new();
        struct metric *f = metrics_add(m, METRIC_GAUGE, "x", "X.", "", NULL);

        (void)state;
        metrics_on_collect(m, set_answer, f);
        assert_written(m, "# HELP x X.\n# TYPE x gauge\nx 42\n");
        metric_set(f, 1);
        assert_written(m, "# HELP x X.\n# TYPE x gauge\nx 42\n");
        metrics_free(m);
}

static void two_rows(struct metric_rows *rows, void *arg)
{
        (void)arg;
        metric_row(rows, 1.5, "d\"b", "dynamic");
        metric_row(rows, 2, "tls", "certificate");
}

static void no_rows(struct metric_rows *rows, void *arg)
{
        (void)rows;
        (void)arg;
}

static void rows_are_asked_for_with_all_their_labels(void **state)
{
        struct metrics *m = metrics_new();

        (void)state;
        metrics_add_rows(m, METRIC_GAUGE, "x_life", "Life.", "secret,kind", two_rows, NULL);
        metrics_add_rows(m, METRIC_GAUGE, "x_none", "None.", "secret", no_rows, NULL);
        assert_written(m, "# HELP x_life Life.\n# TYPE x_life gauge\n"
                          "x_life{secret=\"d\\\"b\",kind=\"dynamic\"} 1.5\n"
                          "x_life{secret=\"tls\",kind=\"certificate\"} 2\n");
        metrics_free(m);
}

static double sample(const char *text, const char *name)
{
        cleanup_free char *start = mem_printf("\n%s ", name);
        const char *found = strstr(text, start);

        if (!found)
                fail_msg("no sample of %s", name);
        return strtod(found + strlen(start), NULL);
}

static void process_is_measured(void **state)
{
        struct metrics *m = metrics_new();
        cleanup_buf struct buf before = BUF_INIT, after = BUF_INIT;
        int fd;

        (void)state;
        metrics_add_process(m);
        metrics_write(m, &before);
        fd = dup(STDERR_FILENO);
        metrics_write(m, &after);
        close(fd);
        assert_true(sample(buf_text(&after), "process_open_fds") == sample(buf_text(&before), "process_open_fds") + 1);
        assert_true(sample(buf_text(&after), "process_max_fds") >= sample(buf_text(&after), "process_open_fds"));
        assert_true(sample(buf_text(&after), "process_resident_memory_bytes") >= 100000);
        assert_true(sample(buf_text(&after), "process_virtual_memory_bytes") >=
                    sample(buf_text(&after), "process_resident_memory_bytes"));
        assert_true(sample(buf_text(&after), "process_cpu_seconds_total") > 0);
        /* The kernel counts it in hundredths since boot; this process is young. */
        assert_true(sample(buf_text(&after), "process_start_time_seconds") <= (double)time(NULL) + 1);
        assert_true(sample(buf_text(&after), "process_start_time_seconds") > (double)time(NULL) - 600);
        metrics_free(m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(counter_and_gauge_are_written),
                cmocka_unit_test(histogram_is_cumulative),
                cmocka_unit_test(bare_histogram_has_le_alone),
                cmocka_unit_test(label_values_are_escaped),
                cmocka_unit_test(numbers_are_short_and_exact),
                cmocka_unit_test(series_can_be_held_and_removed),
                cmocka_unit_test(ten_thousand_secrets_keep_apart),
                cmocka_unit_test(collectors_run_before_each_writing),
                cmocka_unit_test(rows_are_asked_for_with_all_their_labels),
                cmocka_unit_test(process_is_measured),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

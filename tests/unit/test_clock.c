/* tests/unit/test_clock.c: what common/clock.h promises. */
#include "common/clock.h"
#include "common/mem.h"
#include "common/parse.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void time_is_written_as_rfc_3339(void **state)
{
        char buf[CLOCK_TEXT_LEN];

        (void)state;
        assert_string_equal(clock_rfc3339(0, buf), "1970-01-01T00:00:00Z");
        assert_string_equal(clock_rfc3339(UINT64_C(1795502972) * USEC_PER_SEC + 999999, buf), "2026-11-24T06:49:32Z");
        assert_string_equal(clock_rfc3339(USEC_NEVER, buf), "9999-12-31T23:59:59Z");
        assert_ptr_equal(clock_rfc3339(0, buf), buf);
}

static void time_is_read_with_fraction_and_offset(void **state)
{
        static const struct {
                const char *text;
                uint64_t usec;
        } good[] = {
                {"1970-01-01T00:00:00Z", 0},
                {"2026-11-24T06:49:32Z", UINT64_C(1795502972000000)},
                {"2026-11-24t06:49:32z", UINT64_C(1795502972000000)},
                {"2026-11-24T06:49:32.123456789Z", UINT64_C(1795502972123456)},
                {"2026-11-24T06:49:32.5Z", UINT64_C(1795502972500000)},
                {"2026-11-24T08:49:32+02:00", UINT64_C(1795502972000000)},
                {"2026-11-24T01:19:32.000001-05:30", UINT64_C(1795502972000001)},
                {"2024-02-29T00:00:00Z", UINT64_C(1709164800000000)},
                {"2016-12-31T23:59:60Z", UINT64_C(1483228800000000)},
                {"1969-12-31T23:00:00-01:00", 0},
        };
        uint64_t usec;

        (void)state;
        for (size_t i = 0; i < array_len(good); i++) {
                assert_int_equal(clock_parse_rfc3339(good[i].text, &usec), 0);
                assert_true(usec == good[i].usec);
        }
}

static void other_times_are_refused(void **state)
{
        static const char *const bad[] = {
                "",
                "2026-11-24",
                "2026-11-24T06:49:32",
                "2026-11-24 06:49:32Z",
                "2026-11-24T06:49:32ZZ",
                "2026-11-24T06:49:32.Z",
                "2026-11-24T06:49Z",
                "2026-13-01T00:00:00Z",
                "2026-00-01T00:00:00Z",
                "2026-11-31T00:00:00Z",
                "2026-02-29T00:00:00Z",
                "2100-02-29T00:00:00Z",
                "2026-11-24T24:00:00Z",
                "2026-11-24T06:60:00Z",
                "2026-11-24T06:49:61Z",
                "2026-11-24T06:49:32+24:00",
                "2026-11-24T06:49:32+0200",
                "2026-11-24T06:49:32 02:00",
                "26-11-24T06:49:32Z",
                "+026-11-24T06:49:32Z",
                "0001-01-01T00:00:00Z",
        };
        uint64_t usec = 5;

        (void)state;
        for (size_t i = 0; i < array_len(bad); i++)
                assert_int_equal(clock_parse_rfc3339(bad[i], &usec), -EINVAL);
        assert_int_equal(usec, 5);
}

static void what_is_written_reads_back(void **state)
{
        char buf[CLOCK_TEXT_LEN];
        uint64_t usec;

        (void)state;
        for (uint64_t sec = 0; sec < UINT64_C(253402300799); sec += UINT64_C(86399) * 911) {
                assert_int_equal(clock_parse_rfc3339(clock_rfc3339(sec * USEC_PER_SEC, buf), &usec), 0);
                assert_true(usec == sec * USEC_PER_SEC);
        }
}

static void clocks_agree_with_the_kernel(void **state)
{
        uint64_t boot = clock_boottime_usec(), mono = clock_monotonic_usec(), real = clock_realtime_usec();

        (void)state;
        assert_true(clock_boottime_usec() >= boot);
        assert_true(clock_monotonic_usec() >= mono);
        assert_true(clock_boottime_usec() >= mono); /* it also counts suspends */
        assert_in_range(real / USEC_PER_SEC, (uint64_t)time(NULL) - 2, (uint64_t)time(NULL) + 1);
}

static void boot_id_is_one_line(void **state)
{
        (void)state;
        assert_ptr_equal(clock_boot_id(), clock_boot_id());
        assert_null(strchr(clock_boot_id(), '\n'));
        assert_true(strlen(clock_boot_id()) == 36 || strlen(clock_boot_id()) == 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(time_is_written_as_rfc_3339),  cmocka_unit_test(time_is_read_with_fraction_and_offset),
                cmocka_unit_test(other_times_are_refused),      cmocka_unit_test(what_is_written_reads_back),
                cmocka_unit_test(clocks_agree_with_the_kernel), cmocka_unit_test(boot_id_is_one_line),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

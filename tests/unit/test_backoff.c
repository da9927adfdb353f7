/* tests/unit/test_backoff.c: what common/backoff.h promises. */
#include "common/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ALMOST_ONE 0.9999999999999999

static void step_doubles_up_to_the_cap(void **state)
{
        struct backoff b = {.base_usec = 1000000, .cap_usec = 15000000};
        const uint64_t steps[] = {1000000, 2000000, 4000000, 8000000, 15000000, 15000000, 15000000};

        (void)state;
        for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
                assert_in_range(backoff_next(&b, ALMOST_ONE), steps[i] - 1, steps[i]);
        assert_int_equal(b.failures, 7);
        backoff_reset(&b);
        assert_in_range(backoff_next(&b, ALMOST_ONE), 999999, 1000000);
}

static void wait_is_jittered_but_never_spins(void **state)
{
        struct backoff b = {.base_usec = 1000000, .cap_usec = 60000000};

        (void)state;
        assert_int_equal(backoff_next(&b, 0.0), 100000);
        assert_int_equal(backoff_next(&b, 0.5), 1000000);
        assert_int_equal(backoff_next(&b, 0.05), 400000);
}

static void odd_bounds_are_harmless(void **state)
{
        struct backoff above = {.base_usec = 100, .cap_usec = 10}, none = {.base_usec = 0, .cap_usec = 10};
        struct backoff huge = {.base_usec = 1, .cap_usec = UINT64_MAX / 2, .failures = (1U << 24) - 1};

        (void)state;
        assert_in_range(backoff_next(&above, ALMOST_ONE), 9, 10);
        assert_int_equal(backoff_next(&none, ALMOST_ONE), 0);
        assert_true(backoff_next(&huge, ALMOST_ONE) > UINT64_MAX / 4);
        assert_true(huge.failures == (1U << 24) - 1);
}

static void random_is_uniform_enough(void **state)
{
        unsigned below = 0;

        (void)state;
        for (int i = 0; i < 10000; i++) {
                double x = backoff_random();

                assert_true(x >= 0.0 && x < 1.0);
                below += x < 0.5;
        }
        assert_in_range(below, 4000, 6000); /* twenty standard deviations */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(step_doubles_up_to_the_cap),
                cmocka_unit_test(wait_is_jittered_but_never_spins),
                cmocka_unit_test(odd_bounds_are_harmless),
                cmocka_unit_test(random_is_uniform_enough),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_bucket.c: rule 5: the mint budget of one path. */
#include "agent/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/instant.h"

#define S USEC_PER_SEC

static bool draw(struct bucket *b, uint64_t now_s, enum bucket_class class)
{
        if (bucket_ready(b, now_s * S, class) > now_s * S)
                return false;
        bucket_take(b, now_s * S);
        return true;
}

static void rule_5_refill_follows_the_life_within_a_second_and_a_minute(void **state)
{
        static const struct {
                uint64_t life_usec, interval_usec;
        } cases[] = {{1, S},
                     {S, S},
                     {10 * S, 6 * S},
                     {50 * S, 30 * S},
                     {100 * S, 60 * S},
                     {86400 * S, 60 * S},
                     {USEC_NEVER, 60 * S},
                     {0, S}};
        struct bucket b;

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                bucket_init(&b, 3, 0);
                bucket_set_life(&b, 0, cases[i].life_usec);
                assert_int_equal(b.interval_usec, cases[i].interval_usec);
        }
        (void)state;
}

static void rule_5_burst_then_one_each_interval(void **state)
{
        struct bucket b;
        unsigned n = 0;

        bucket_init(&b, 3, 0);
        for (uint64_t s = 0; s <= 600; s++)
                n += draw(&b, s, BUCKET_NEED);
        assert_int_equal(n, 3 + 10);
        (void)state;
}

static void rule_5_wish_leaves_the_last_one(void **state)
{
        struct bucket b;

        bucket_init(&b, 3, 0);
        assert_true(draw(&b, 0, BUCKET_WISH));
        assert_true(draw(&b, 0, BUCKET_WISH));
        assert_false(draw(&b, 0, BUCKET_WISH));
        assert_true(draw(&b, 0, BUCKET_NEED));
        assert_false(draw(&b, 0, BUCKET_NEED));
        assert_int_equal(bucket_ready(&b, 0, BUCKET_NEED), 60 * S + 1);
        assert_int_equal(bucket_ready(&b, 0, BUCKET_WISH), 120 * S + 1);
        bucket_init(&b, 1, 0); /* where there is but one, a wish may have it: or there would be no rotating at all */
        assert_true(draw(&b, 0, BUCKET_WISH));
        (void)state;
}

static void rule_5_429_empties_it_until_retry_after(void **state)
{
        struct bucket b;

        bucket_init(&b, 3, 0);
        assert_true(draw(&b, 0, BUCKET_NEED));
        bucket_empty_until(&b, 0, 29 * S);
        assert_false(draw(&b, 28, BUCKET_NEED));
        assert_true(draw(&b, 29, BUCKET_NEED));
        assert_false(draw(&b, 30, BUCKET_NEED)); /* one, not all three */
        (void)state;
}

static void rule_5_given_back_is_as_never_drawn_and_no_more(void **state)
{
        struct bucket b;

        bucket_init(&b, 2, 0);
        assert_true(draw(&b, 0, BUCKET_NEED));
        bucket_give_back(&b, 1 * S);
        bucket_give_back(&b, 1 * S);
        assert_true(draw(&b, 1, BUCKET_NEED));
        assert_true(draw(&b, 1, BUCKET_NEED));
        assert_false(draw(&b, 1, BUCKET_NEED));
        (void)state;
}

static void rule_5_shorter_lives_do_not_refill_the_past(void **state)
{
        struct bucket b;

        bucket_init(&b, 3, 0);
        for (int i = 0; i < 3; i++)
                assert_true(draw(&b, 0, BUCKET_NEED));
        bucket_set_life(&b, 30 * S, 1 * S); /* half a draw came back at the old pace, the rest comes at the new one */
        assert_false(draw(&b, 30, BUCKET_NEED));
        assert_true(draw(&b, 31, BUCKET_NEED));
        (void)state;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(rule_5_refill_follows_the_life_within_a_second_and_a_minute),
                cmocka_unit_test(rule_5_burst_then_one_each_interval),
                cmocka_unit_test(rule_5_wish_leaves_the_last_one),
                cmocka_unit_test(rule_5_429_empties_it_until_retry_after),
                cmocka_unit_test(rule_5_given_back_is_as_never_drawn_and_no_more),
                cmocka_unit_test(rule_5_shorter_lives_do_not_refill_the_past),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

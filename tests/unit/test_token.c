/* tests/unit/test_token.c: rule 6: renewed like a lease, replaced in time, measured anew by nothing but a renewal. */
#include "agent/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/secret.h"

#define S USEC_PER_SEC

static struct instant at(uint64_t seconds)
{
        return (struct instant){.boot_usec = (1000 + seconds) * S, .wall_usec = 1, .random = 0.5};
}

static struct token *granted(uint64_t ttl_s, bool renewable, bool is_batch)
{
        struct token *t = token_new(1, secret_new_from("t", 1), "a");

        token_granted(t, at(0), at(0).boot_usec, ttl_s * S, renewable, is_batch);
        return t;
}

static enum token_step next(const struct token *t, uint64_t seconds)
{
        uint64_t when;

        return token_next(t, at(seconds), &when);
}

static void rule_6_renewed_like_a_lease(void **state)
{
        struct token *t = granted(1000, true, false);
        uint64_t when;

        assert_int_equal(token_next(t, at(0), &when), TOKEN_WAIT);
        assert_int_equal(when, at(650).boot_usec);
        assert_int_equal(next(t, 650), TOKEN_RENEW);
        token_renewed(t, at(650), at(650).boot_usec, 1000 * S, true);
        assert_int_equal(next(t, 1299), TOKEN_WAIT);
        assert_int_equal(next(t, 1300), TOKEN_RENEW);
        token_unref(t);
        (void)state;
}

static void rule_6_last_life_is_two_thirds_used(void **state)
{
        struct token *t = granted(1000, true, false);

        token_renewed(t, at(650), at(650).boot_usec, 600 * S, true); /* max_ttl caps it */
        assert_int_equal(next(t, 650 + 399), TOKEN_WAIT);
        assert_int_equal(next(t, 650 + 400), TOKEN_LOGIN);
        token_unref(t);

        t = granted(900, true, true); /* a batch token is never renewed, whatever the answer says */
        assert_int_equal(next(t, 599), TOKEN_WAIT);
        assert_int_equal(next(t, 600), TOKEN_LOGIN);
        token_unref(t);
        (void)state;
}

static void rule_6_look_up_of_a_last_life_starts_none(void **state)
{
        struct token *t = granted(1000, true, false);

        token_renewed(t, at(650), at(650).boot_usec, 600 * S, true);
        token_granted(t, at(950), at(950).boot_usec, 300 * S, true,
                      false); /* a 403 somewhere: lookup-self says renewable, as ever */
        assert_int_equal(next(t, 650 + 399), TOKEN_WAIT);
        assert_int_equal(next(t, 650 + 400), TOKEN_LOGIN);
        token_unref(t);
        (void)state;
}

static void rule_6_look_up_leaves_a_renewal_where_it_was(void **state)
{
        struct token *t = granted(1000, true, false);

        for (uint64_t s = 10; s < 640; s += 10)
                token_granted(t, at(s), at(s).boot_usec, (1000 - s) * S, true, false);
        assert_int_equal(next(t, 649), TOKEN_WAIT);
        assert_int_equal(next(t, 650), TOKEN_RENEW);
        token_unref(t);
        (void)state;
}

static void rule_6_token_renewed_by_somebody_else_has_a_new_life(void **state)
{
        struct token *t = granted(1000, true, false);

        token_granted(t, at(500), at(500).boot_usec, 1000 * S, true, false);
        assert_int_equal(next(t, 650), TOKEN_WAIT);
        assert_int_equal(next(t, 1150), TOKEN_RENEW);
        token_unref(t);
        (void)state;
}

static void rule_6_failing_renewals_lead_to_a_login_in_the_last_tenth(void **state)
{
        struct token *t = granted(1000, true, false);
        uint64_t when;

        token_renew_failed(t, at(899), VAULT_UNAVAILABLE, 50 * S);
        assert_int_equal(token_next(t, at(899), &when), TOKEN_WAIT);
        assert_int_equal(when, at(900).boot_usec);
        assert_int_equal(next(t, 900), TOKEN_LOGIN);
        assert_int_equal(next(t, 949), TOKEN_RENEW); /* and is tried all the same */
        token_granted(t, at(920), at(920).boot_usec, 80 * S, true, false);
        assert_int_equal(next(t, 921), TOKEN_LOGIN); /* alive is not renewed */
        token_renewed(t, at(949), at(949).boot_usec, 1000 * S, true);
        assert_int_equal(next(t, 950), TOKEN_WAIT);
        token_unref(t);
        (void)state;
}

/* Rule 4 for the token: 2 % of its life x2, at most a tenth. */
static void rule_6_failing_renewals_are_apart(void **state)
{
        struct token *t = granted(1000, true, false);
        uint64_t now = 650, least = 0;
        unsigned tries = 0;

        while (now < 900) { /* from there on a login is due between two tries */
                uint64_t retry = token_renew_failed(t, at(now), VAULT_UNAVAILABLE, 0);

                assert_true(retry >= at(now).boot_usec + least);
                assert_int_equal(next(t, now), TOKEN_WAIT);
                least = 5 * S; /* a quarter of 20 s; the draw is one half here */
                now = (retry - at(0).boot_usec) / S + 1;
                tries++;
        }
        assert_in_range(tries, 3, 12);
        assert_true(token_renew_failed(t, at(899), VAULT_THROTTLED, 60 * S) >= at(899 + 60).boot_usec);
        token_unref(t);
        (void)state;
}

static void rule_6_refused_renewal_is_the_last(void **state)
{
        struct token *t = granted(1000, true, false);

        token_renew_failed(t, at(650), VAULT_REFUSED, 0);
        assert_int_equal(next(t, 651), TOKEN_WAIT);
        assert_int_equal(next(t, 667), TOKEN_LOGIN);
        token_unref(t);
        (void)state;
}

/* Vault counts in whole seconds: 0 is the last of them, not for ever. */
static void rule_6_no_seconds_left_is_not_for_ever(void **state)
{
        struct token *t = granted(10, true, false);

        token_granted(t, at(10) /* a moment before its end */, at(10).boot_usec, 0, true, false);
        assert_true(t->end_usec <= at(11).boot_usec);
        token_unref(t);

        t = granted(10, true, false);
        token_renewed(t, at(9), at(9).boot_usec, 0, true);
        assert_int_equal(t->end_usec, at(10).boot_usec);
        assert_int_equal(next(t, 10), TOKEN_LOGIN);
        token_unref(t);
        (void)state;
}

static void rule_6_root_does_not_end(void **state)
{
        struct token *t = granted(0, false, false);

        assert_int_equal(next(t, 1000000000), TOKEN_WAIT);
        token_granted(t, at(5), at(5).boot_usec, 0, false, false);
        assert_int_equal(next(t, 1000000000), TOKEN_WAIT);
        assert_true(token_alive(t, at(1000000000)));
        t->dead = true;
        assert_int_equal(next(t, 1), TOKEN_LOGIN);
        token_unref(t);
        (void)state;
}

/* A token from a file is met in the middle of its life: the longest life seen is what the cap is measured by. */
static void rule_6_cap_is_noticed_though_the_first_life_was_short(void **state)
{
        struct token *t = granted(10, true, false);

        token_renewed(t, at(6), at(6).boot_usec, 3600 * S, true);
        token_renewed(t, at(2400), at(2400).boot_usec, 2000 * S, true);
        assert_false(t->renewable);
        assert_int_equal(next(t, 2400 + 1334), TOKEN_LOGIN);
        token_unref(t);
        (void)state;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(rule_6_renewed_like_a_lease),
                cmocka_unit_test(rule_6_last_life_is_two_thirds_used),
                cmocka_unit_test(rule_6_look_up_of_a_last_life_starts_none),
                cmocka_unit_test(rule_6_look_up_leaves_a_renewal_where_it_was),
                cmocka_unit_test(rule_6_token_renewed_by_somebody_else_has_a_new_life),
                cmocka_unit_test(rule_6_failing_renewals_lead_to_a_login_in_the_last_tenth),
                cmocka_unit_test(rule_6_failing_renewals_are_apart),
                cmocka_unit_test(rule_6_refused_renewal_is_the_last),
                cmocka_unit_test(rule_6_no_seconds_left_is_not_for_ever),
                cmocka_unit_test(rule_6_root_does_not_end),
                cmocka_unit_test(rule_6_cap_is_noticed_though_the_first_life_was_short),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

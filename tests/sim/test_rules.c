/* tests/sim/test_rules.c: the lease rules of docs/LEASES.md, each by its number, on a simulated clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/sim/support_sim.h"

/* Rule 1: renewed at 60-70 % of what remains, never at once after minting. */
static void rule_1_renews_at_60_to_70_percent(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 0.6 * 3600 - 1);
        assert_int_equal(sim_count(s, LIFE_RENEW), 0);
        sim_run_to(s, 0.7 * 3600 + 1);
        assert_int_equal(sim_count(s, LIFE_RENEW), 1);
        assert_int_equal(sim_count(s, LIFE_MINT), 1);
        sim_free(s);
        (void)state;
}

/* Rule 2: a renewal that answered less than the first lease: replaced when g + 10 % of the first lease remains. */
static void rule_2_capped_lease_is_replaced_before_its_end(void **state)
{
        struct sim *s = sim_new(.lease_s = 5, .max_s = 10, .no_consumer = true);

        sim_run_to(s, 8.4);
        assert_int_equal(sim_count(s, LIFE_MINT), 1);
        sim_run_to(s, 8.6); /* 10 s - (1 s + 0.5 s) */
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        assert_int_equal(sim_live(s), 2);
        sim_run_to(s, 9.7); /* g is over */
        assert_int_equal(sim_live(s), 1);
        assert_true(s->served_dead_s < 1e-3);
        sim_free(s);
        (void)state;
}

static void rule_2_not_renewable_is_never_renewed(void **state)
{
        struct sim *s = sim_new(.lease_s = 100, .not_renewable = true);

        sim_run_to(s, 1000);
        assert_int_equal(sim_count(s, LIFE_RENEW), 0);
        assert_in_range(sim_count(s, LIFE_MINT), 13, 16); /* g 20 s + 10 s before the end: every 70 s */
        assert_true(s->served_dead_s < 1e-3);
        sim_free(s);
        (void)state;
}

/* Rule 3: the replaced one goes at once when every reader has moved on, else when g is over. */
static void rule_3_replaced_lease_goes_when_all_moved_on(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 10);
        sim_wish(s, LIFE_WHY_ROTATE);
        sim_run_for(s, 1);
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        assert_int_equal(sim_count(s, LIFE_REVOKE), 1);
        assert_int_equal(sim_live(s), 1);
        sim_free(s);
        (void)state;
}

static void rule_3_without_acknowledgement_g_runs_in_full(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600, .no_consumer = true);

        sim_run_to(s, 10);
        sim_wish(s, LIFE_WHY_ROTATE);
        sim_run_for(s, 29);
        assert_int_equal(sim_live(s), 2);
        sim_run_for(s, 2);
        assert_int_equal(sim_live(s), 1);
        sim_free(s);
        (void)state;
}

static void rule_3_one_replacement_at_a_time(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600, .no_consumer = true);

        sim_run_to(s, 10);
        sim_wish(s, LIFE_WHY_ROTATE);
        sim_run_for(s, 1);
        for (int i = 0; i < 5; i++) {
                sim_wish(s, LIFE_WHY_ROTATE);
                sim_run_for(s, 1);
        }
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        sim_run_for(s, 90); /* n has gone and the budget allows it: what waited is done, once */
        assert_int_equal(sim_count(s, LIFE_MINT), 3);
        sim_run_for(s, 200);
        assert_int_equal(sim_count(s, LIFE_MINT), 3);
        assert_int_equal(s->live_max, 2);
        sim_free(s);
        (void)state;
}

/* Rule 4: a failed renewal never mints by itself. */
static void rule_4_renewal_failure_never_mints(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 1);
        sim_answer(s, LIFE_RENEW, VAULT_UNAVAILABLE);
        sim_run_to(s, 3239); /* the last tenth begins at 3240 */
        assert_int_equal(sim_count(s, LIFE_MINT), 1);
        assert_in_range(sim_count(s, LIFE_RENEW), 3, 40); /* it kept trying, and it did not hammer */
        sim_run_to(s, 3600);
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        assert_true(s->served_dead_s < 1e-3);
        sim_free(s);
        (void)state;
}

static void rule_4_unknown_400_backs_off_and_never_mints(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 1);
        sim_answer(s, LIFE_RENEW, VAULT_REFUSED);
        sim_run_to(s, 3239);
        assert_int_equal(sim_count(s, LIFE_MINT), 1);
        sim_free(s);
        (void)state;
}

static void rule_4_lease_not_found_asks_the_look_up(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 1);
        sim_answer_word(s, LIFE_RENEW, VAULT_REFUSED, VAULT_LEASE_DOUBTFUL);
        sim_run_to(s, 2600); /* the look-up says alive: rule 2, its end cannot be moved */
        assert_in_range(sim_count(s, LIFE_LOOK_UP), 1, 3);
        assert_int_equal(sim_count(s, LIFE_RENEW), 1);
        assert_int_equal(sim_count(s, LIFE_MINT), 1);
        sim_run_to(s, 3600 - 360 - 29); /* g 30 s + 10 % before its end */
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        sim_free(s);
        (void)state;
}

static void rule_4_gone_lease_is_replaced_at_once(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 100);
        sim_revoke_all(s);
        sim_run_to(s, 1300); /* rule 15: looked up every third of its TTL */
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        assert_int_equal(sim_live(s), 1);
        sim_free(s);
        (void)state;
}

static void rule_4_failed_mint_backs_off(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_answer(s, LIFE_MINT, VAULT_UNAVAILABLE);
        sim_run_to(s, 600);
        assert_in_range(sim_count(s, LIFE_MINT), 40, 400); /* 1 s x2 to 15 s, full jitter */
        sim_answer(s, LIFE_MINT, VAULT_OK);
        sim_run_for(s, 16);
        assert_true(s->life.has_current);
        sim_free(s);

        s = sim_new(.lease_s = 3600);
        sim_answer(s, LIFE_MINT, VAULT_FORBIDDEN);
        sim_run_to(s, 3600);
        assert_in_range(sim_count(s, LIFE_MINT), 12, 90); /* 15 s x2 to 5 min */
        sim_free(s);
        (void)state;
}

/* Rule 4: sealed for longer than half a lease: no mint unless the last tenth has begun. */
static void rule_4_outage_does_not_mint(void **state)
{
        struct sim *s = sim_new(.lease_s = 100);

        sim_run_to(s, 40);
        sim_away(s, true);
        sim_run_to(s, 89);
        assert_int_equal(sim_count(s, LIFE_STALE), 1);
        sim_away(s, false);
        sim_run_to(s, 95);
        assert_int_equal(sim_count(s, LIFE_MINT), 1);
        assert_int_equal(sim_count(s, LIFE_RENEW), 1);
        assert_false(s->life.current.failing);
        sim_free(s);
        (void)state;
}

static void rule_4_outage_beyond_the_end_serves_again_at_once(void **state)
{
        struct sim *s = sim_new(.lease_s = 100);

        sim_run_to(s, 40);
        sim_away(s, true);
        sim_run_to(s, 300);
        assert_int_equal(sim_count(s, LIFE_LOSE), 1);
        assert_true(s->served_dead_s < 1e-3);
        sim_away(s, false);
        sim_run_for(s, 0.1);
        assert_true(s->life.has_current);
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        sim_free(s);
        (void)state;
}

/* Rule 5: the budget is a wall for rotate, signals and rejects, and they never take the last one. */
static void rule_5_rotations_stay_within_the_budget(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 1);
        for (int i = 0; i < 1000; i++) {
                sim_wish(s, LIFE_WHY_ROTATE);
                sim_run_for(s, 0.01);
        }
        assert_int_equal(sim_count(s, LIFE_MINT),
                         2); /* of 3: the first one, one rotation; the last is not for rotations */
        sim_run_to(s, 3600);
        assert_in_range(sim_count(s, LIFE_MINT), 3, 3 + 60);
        sim_free(s);
        (void)state;
}

static void rule_5_last_draw_is_for_nothing_valid(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 1);
        sim_wish(s, LIFE_WHY_ROTATE);
        sim_run_for(s, 1);
        sim_revoke_all(s);
        sim_reject(s, true);
        sim_run_for(s, 2);
        assert_int_equal(sim_count(s, LIFE_MINT), 3);
        assert_true(s->life.has_current);
        sim_free(s);
        (void)state;
}

static void rule_5_refused_mint_gives_its_draw_back(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_answer(s, LIFE_MINT, VAULT_UNAVAILABLE);
        sim_run_to(s, 300);
        assert_true(s->bucket.tokens > 2.5);
        sim_free(s);
        (void)state;
}

static void rule_5_429_waits_for_retry_after(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_answer(s, LIFE_MINT, VAULT_THROTTLED);
        s->reply[LIFE_MINT].retry_after_s = 29;
        sim_run_to(s, 28);
        assert_int_equal(sim_count(s, LIFE_MINT), 1);
        sim_answer(s, LIFE_MINT, VAULT_OK);
        sim_run_to(s, 45);
        assert_true(s->life.has_current);
        sim_free(s);
        (void)state;
}

/* Rule 6: a lease lives no longer than its token; a new token replaces it, make-before-break. */
static void rule_6_lease_ends_with_its_token(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600, .token_s = 600);

        sim_run_to(s, 599);
        assert_true(s->life.has_current);
        assert_true(s->served_dead_s < 1e-3);
        sim_free(s);
        (void)state;
}

static void rule_6_new_token_replaces_its_leases(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600, .token_s = 600);

        sim_run_to(s, 400);
        sim_new_token(s);
        sim_run_to(s, 420);
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        assert_int_equal(sim_live(s), 1);
        assert_true(s->life.current.token == s->token[1].token);
        assert_true(s->nothing_s < 0.1);
        sim_free(s);
        (void)state;
}

static void rule_6_dead_token_takes_its_leases(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 10);
        sim_revoke_token(s);
        life_on_token_gone(&s->life, (struct instant){0}, s->token[0].token);
        sim_run_for(s, 1);
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        assert_int_equal(sim_count(s, LIFE_LOSE), 1);
        sim_free(s);
        (void)state;
}

/* Rule 9: outage is not expiry: served to its own end, marked stale, not beyond. */
static void rule_9_served_to_its_end(void **state)
{
        struct sim *s = sim_new(.lease_s = 100);

        sim_run_to(s, 10);
        sim_answer(s, LIFE_RENEW, VAULT_UNREACHABLE);
        sim_answer(s, LIFE_MINT, VAULT_UNREACHABLE);
        sim_run_to(s, 99.9);
        assert_true(s->life.has_current);
        assert_true(s->life.current.failing);
        sim_run_to(s, 100.2);
        assert_false(s->life.has_current);
        assert_true(s->served_dead_s < 1e-3);
        sim_free(s);
        (void)state;
}

/* Rule 11: a static secret is read again each refresh +-10 %. */
static void rule_11_static_is_read_again(void **state)
{
        struct sim *s = sim_new(.is_static = true);

        sim_run_to(s, 3000);
        assert_in_range(sim_count(s, LIFE_MINT), 10, 12);
        assert_int_equal(s->life.last_number, 100); /* the content never changed: one version */
        sim_free(s);
        (void)state;
}

/* Rule 12: a certificate is replaced at 2/3 of its life, +-5 %. */
static void rule_12_certificate_is_replaced_at_two_thirds(void **state)
{
        struct sim *s = sim_new(.certificate_s = 86400);

        sim_run_to(s, 86400 * 0.61);
        assert_int_equal(sim_count(s, LIFE_MINT), 1);
        sim_run_to(s, 86400 * 0.72);
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        sim_free(s);
        (void)state;
}

/* Rule 13: a step of the wall clock moves certificates, not leases. */
static void rule_13_wall_clock_step_leaves_leases_alone(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 10);
        s->wall_off_s += 10 * 365 * 86400.0;
        sim_run_to(s, 2000);
        assert_int_equal(sim_count(s, LIFE_MINT), 1);
        sim_free(s);

        s = sim_new(.certificate_s = 86400);
        sim_run_to(s, 10);
        s->wall_off_s += 80000;
        sim_run_to(s, 20);
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        sim_free(s);
        (void)state;
}

/* Rule 15: a lease is looked up every third of its TTL, at least 30 s apart; a renewal counts as one. */
static void rule_15_looks_up_every_third(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 1199);
        assert_int_equal(sim_count(s, LIFE_LOOK_UP), 0);
        sim_run_to(s, 1201);
        assert_int_equal(sim_count(s, LIFE_LOOK_UP), 1);
        sim_free(s);

        s = sim_new(.lease_s = 30);
        sim_run_to(s, 300);
        assert_int_equal(sim_count(s, LIFE_LOOK_UP), 0); /* each renewal comes first */
        sim_free(s);
        (void)state;
}

/* Rule 16: a revocation that is refused leaves the lease to its end and holds nothing back. */
static void rule_16_refused_revocation_holds_nothing_back(void **state)
{
        struct sim *s = sim_new(.lease_s = 600, .no_consumer = true);

        sim_answer(s, LIFE_REVOKE, VAULT_FORBIDDEN);
        sim_run_to(s, 10);
        sim_wish(s, LIFE_WHY_ROTATE);
        sim_run_for(s, 100);
        assert_int_equal(sim_count(s, LIFE_REVOKE), 1);
        sim_wish(s, LIFE_WHY_ROTATE);
        sim_run_for(s, 100);
        assert_int_equal(sim_count(s, LIFE_MINT), 3);
        sim_free(s);
        (void)state;
}

static void rule_16_failed_revocation_is_tried_again(void **state)
{
        struct sim *s = sim_new(.lease_s = 600);

        sim_run_to(s, 10);
        sim_answer(s, LIFE_REVOKE, VAULT_UNAVAILABLE);
        sim_wish(s, LIFE_WHY_ROTATE);
        sim_run_for(s, 60);
        assert_in_range(sim_count(s, LIFE_REVOKE), 3, 30);
        sim_answer(s, LIFE_REVOKE, VAULT_OK);
        sim_run_for(s, 61);
        assert_int_equal(sim_live(s), 1);
        sim_free(s);
        (void)state;
}

/* A user dropped by hand: the lease lives; a second `denied` replaces it once. */
static void reject_of_a_living_lease_replaces_it_once(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600, .no_consumer = true);

        sim_run_to(s, 10);
        for (int i = 0; i < 100; i++) {
                sim_reject(s, true);
                sim_run_for(s, 2);
        }
        assert_int_equal(sim_count(s, LIFE_MINT), 2); /* nobody has acknowledged: once and not again */
        assert_in_range(sim_count(s, LIFE_LOOK_UP), 2, 110);
        sim_free(s);
        (void)state;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(rule_1_renews_at_60_to_70_percent),
                cmocka_unit_test(rule_2_capped_lease_is_replaced_before_its_end),
                cmocka_unit_test(rule_2_not_renewable_is_never_renewed),
                cmocka_unit_test(rule_3_replaced_lease_goes_when_all_moved_on),
                cmocka_unit_test(rule_3_without_acknowledgement_g_runs_in_full),
                cmocka_unit_test(rule_3_one_replacement_at_a_time),
                cmocka_unit_test(rule_4_renewal_failure_never_mints),
                cmocka_unit_test(rule_4_unknown_400_backs_off_and_never_mints),
                cmocka_unit_test(rule_4_lease_not_found_asks_the_look_up),
                cmocka_unit_test(rule_4_gone_lease_is_replaced_at_once),
                cmocka_unit_test(rule_4_failed_mint_backs_off),
                cmocka_unit_test(rule_4_outage_does_not_mint),
                cmocka_unit_test(rule_4_outage_beyond_the_end_serves_again_at_once),
                cmocka_unit_test(rule_5_rotations_stay_within_the_budget),
                cmocka_unit_test(rule_5_last_draw_is_for_nothing_valid),
                cmocka_unit_test(rule_5_refused_mint_gives_its_draw_back),
                cmocka_unit_test(rule_5_429_waits_for_retry_after),
                cmocka_unit_test(rule_6_lease_ends_with_its_token),
                cmocka_unit_test(rule_6_new_token_replaces_its_leases),
                cmocka_unit_test(rule_6_dead_token_takes_its_leases),
                cmocka_unit_test(rule_9_served_to_its_end),
                cmocka_unit_test(rule_11_static_is_read_again),
                cmocka_unit_test(rule_12_certificate_is_replaced_at_two_thirds),
                cmocka_unit_test(rule_13_wall_clock_step_leaves_leases_alone),
                cmocka_unit_test(rule_15_looks_up_every_third),
                cmocka_unit_test(rule_16_refused_revocation_holds_nothing_back),
                cmocka_unit_test(rule_16_failed_revocation_is_tried_again),
                cmocka_unit_test(reject_of_a_living_lease_replaces_it_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/sim/test_rules_6_to_16.c: lease rules 6 to 16 of docs/LEASES.md, as far as they are pure, on a simulated clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/secret.h"
#include "tests/sim/support_sim.h"

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

/* A lease that a batch token caps ends with it, though its seconds are whole ones and both answers travelled. */
static void rule_6_lease_of_a_batch_token_is_replaced_with_it(void **state)
{
        const uint64_t ms = 1000;
        struct token *t = token_new(1, secret_new_from("t", 1), "a");
        struct instant now = {.boot_usec = 50005 * ms, .wall_usec = 1, .random = 0.5};
        struct lease_grant grant = {.id = "lease/1", .token = t, .asked_usec = 49500 * ms, .duration_usec = 49000 * ms};
        struct lease l;

        token_granted(t, (struct instant){.boot_usec = 1}, 1, 100000 * ms, false, true);
        lease_begin(&l, now, &grant, 0);
        assert_true(lease_replace_usec(&l, now, 0) == USEC_NEVER);
        lease_end(&l);
        token_unref(t);
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

static void rule_6_token_at_its_max_ttl_is_replaced_without_a_gap(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600, .token_ttl_s = 600, .token_max_s = 1800);

        sim_run_to(s, 1);
        s->nothing_s = 0;
        sim_run_to(s, 86400);
        assert_true(s->nothing_s == 0);
        assert_in_range(s->tokens, 50, 80);
        assert_in_range(sim_tokens_live(s), 1, 2); /* the old one goes with the last of its leases */
        sim_free(s);
        (void)state;
}

static void rule_6_token_that_cannot_be_renewed_is_replaced_in_time(void **state)
{
        static const enum vault_outcome outcomes[] = {VAULT_UNAVAILABLE, VAULT_FORBIDDEN, VAULT_REFUSED,
                                                      VAULT_THROTTLED};

        for (size_t i = 0; i < 4; i++) {
                struct sim *s = sim_new(.lease_s = 3600, .token_ttl_s = 3600);

                sim_answer(s, SIM_TOKEN_RENEW, outcomes[i]);
                sim_run_to(s, 1);
                s->nothing_s = 0;
                sim_run_to(s, 3 * 86400);
                assert_true(s->nothing_s == 0);
                assert_int_equal(sim_count(s, LIFE_LOSE), 0);
                assert_in_range(sim_count(s, SIM_LOGIN), 72, 110);
                sim_free(s);
        }
        (void)state;
}

/* A secret that the policy forbids is asked for again and again, and each 403 asks lookup-self. */
static void rule_6_look_ups_put_nothing_off(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600, .token_ttl_s = 3600, .token_max_s = 4 * 3600);

        sim_run_to(s, 1);
        s->nothing_s = 0;
        while (sim_time(s) < 86400) {
                s->doubt = true;
                sim_run_for(s, 11);
        }
        assert_true(s->nothing_s == 0);
        assert_in_range(sim_count(s, SIM_LOGIN), 6, 8);
        assert_in_range(sim_count(s, SIM_TOKEN_RENEW), 24, 48);
        sim_free(s);

        s = sim_new(.lease_s = 3600, .token_ttl_s = 3600, .token_batch = true);
        for (int i = 0; i < 215; i++) { /* 2365 s; 2/3 of the token's life are 2400 s */
                s->doubt = true;
                sim_run_for(s, 11);
        }
        assert_int_equal(sim_count(s, SIM_LOGIN), 0);
        sim_run_to(s, 2402);
        assert_int_equal(sim_count(s, SIM_LOGIN), 1);
        sim_free(s);
        (void)state;
}

static void rule_6_lease_is_not_replaced_for_the_end_of_its_token(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600, .token_ttl_s = 600, .token_batch = true);

        sim_answer(s, SIM_LOGIN, VAULT_REFUSED); /* changes nothing until the token ends */
        sim_run_to(s, 599);
        assert_int_equal(sim_count(s, LIFE_MINT), 1); /* another one of this token would end no later */
        assert_true(s->life.has_current);
        assert_true(s->served_dead_s < 1e-3);
        sim_free(s);
        (void)state;
}

static void rule_6_new_token_does_not_wait_until_the_old_one_is_dead(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600, .token_s = 60, .no_consumer = true);

        sim_run_to(s, 38);
        sim_wish(s, LIFE_WHY_ROTATE);
        sim_run_to(s, 40); /* n is held for 30 s, the token lives for 20 */
        sim_new_token(s);
        sim_run_to(s, 53);
        assert_int_equal(sim_count(s, LIFE_MINT), 2); /* one replacement at a time, as long as that is possible */
        sim_run_to(s, 59);
        assert_true(s->life.current.token == s->token[1].token);
        assert_int_equal(sim_count(s, LIFE_LOSE), 0);
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

static void rule_9_serving_does_not_stop_while_vault_is_away(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 10);
        sim_away(s, true);
        sim_run_to(s, 2160 - 1);
        assert_int_equal(sim_count(s, LIFE_STALE), 0); /* nothing was due yet */
        sim_run_to(s, 3599.9);
        assert_true(s->life.has_current);
        assert_true(s->life.current.failing);
        assert_int_equal(sim_count(s, LIFE_STALE), 1);
        sim_run_to(s, 3600.1);
        assert_false(s->life.has_current);
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

static void rule_11_new_version_only_for_new_content(void **state)
{
        struct sim *s = sim_new(.is_static = true);

        sim_run_to(s, 10);
        sim_wish(s, LIFE_WHY_SIGNAL); /* read again, and it is what it was */
        sim_run_for(s, 1);
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        assert_int_equal(s->life.last_number, 100);
        s->content++;
        sim_run_for(s, 331);
        assert_int_equal(s->life.last_number, 101);
        sim_free(s);
        (void)state;
}

static void rule_11_static_creds_are_read_until_the_password_changes(void **state)
{
        struct sim *s = sim_new(.is_static = true);
        struct instant now;

        sim_run_to(s, 10);
        now = sim_instant(s);
        life_on_same(&s->life, now, 50 * 1000000); /* 50 s are left to this password */
        assert_int_equal(s->life.refresh_usec, now.boot_usec + 51 * 1000000);
        sim_run_for(s, 50.5);
        assert_int_equal(sim_count(s, LIFE_MINT), 1);
        sim_run_for(s, 1); /* the same one still, whatever ttl it names */
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        sim_run_for(s, 120);
        assert_in_range(sim_count(s, LIFE_MINT), 5, 40);
        s->content++;
        sim_run_for(s, 61);
        assert_int_equal(s->life.last_number, 101);
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

static void rule_13_suspended_machine_wakes_up_to_due_leases(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 10);
        sim_suspend(s, 2600); /* past the renewal */
        sim_run_for(s, 1);
        assert_int_equal(sim_count(s, LIFE_RENEW), 1);
        assert_int_equal(sim_count(s, LIFE_MINT), 1);
        sim_suspend(s, 7200); /* past the end: not served for a moment */
        sim_run_for(s, 1);
        assert_int_equal(sim_count(s, LIFE_LOSE), 1);
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        assert_true(s->served_dead_s < 1e-3);
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

static void rule_15_forbidden_look_up_turns_them_off(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_answer(s, LIFE_LOOK_UP, VAULT_FORBIDDEN);
        sim_run_to(s, 1300);
        assert_int_equal(sim_count(s, LIFE_LOOK_UP), 1);
        sim_answer_word(s, LIFE_RENEW, VAULT_REFUSED, VAULT_LEASE_DOUBTFUL); /* nobody can be asked: taken for alive */
        sim_run_to(s, 86400);
        assert_int_equal(sim_count(s, LIFE_LOOK_UP), 1);
        assert_true(s->life.has_current);
        sim_free(s);
        (void)state;
}

static void rule_15_look_up_honours_retry_after(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_answer(s, LIFE_LOOK_UP, VAULT_THROTTLED);
        s->reply[LIFE_LOOK_UP].retry_after_s = 200;
        sim_run_to(s, 1201);
        assert_int_equal(sim_count(s, LIFE_LOOK_UP), 1);
        sim_run_to(s, 1399);
        assert_int_equal(sim_count(s, LIFE_LOOK_UP), 1);
        sim_run_to(s, 1402);
        assert_int_equal(sim_count(s, LIFE_LOOK_UP), 2);
        sim_free(s);
        (void)state;
}

static void rule_15_reject_asks_at_once(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 10);
        sim_revoke_all(s);
        sim_reject(s, false);
        sim_run_for(s, 0.1);
        assert_int_equal(sim_count(s, LIFE_LOOK_UP), 1);
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
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

static void rule_16_revocation_is_tried_until_the_end_and_no_longer(void **state)
{
        struct sim *s = sim_new(.lease_s = 600);
        unsigned n;

        sim_run_to(s, 10);
        sim_answer(s, LIFE_REVOKE, VAULT_REFUSED); /* the database is down: 400 failed to revoke entry */
        sim_wish(s, LIFE_WHY_ROTATE);
        sim_run_to(s, 601);
        n = sim_count(s, LIFE_REVOKE);
        assert_in_range(n, 10, 120);
        sim_run_to(s, 900);
        assert_int_equal(sim_count(s, LIFE_REVOKE), n);
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
                cmocka_unit_test(rule_6_lease_ends_with_its_token),
                cmocka_unit_test(rule_6_new_token_replaces_its_leases),
                cmocka_unit_test(rule_6_lease_of_a_batch_token_is_replaced_with_it),
                cmocka_unit_test(rule_6_dead_token_takes_its_leases),
                cmocka_unit_test(rule_6_token_at_its_max_ttl_is_replaced_without_a_gap),
                cmocka_unit_test(rule_6_token_that_cannot_be_renewed_is_replaced_in_time),
                cmocka_unit_test(rule_6_look_ups_put_nothing_off),
                cmocka_unit_test(rule_6_lease_is_not_replaced_for_the_end_of_its_token),
                cmocka_unit_test(rule_6_new_token_does_not_wait_until_the_old_one_is_dead),
                cmocka_unit_test(rule_9_served_to_its_end),
                cmocka_unit_test(rule_9_serving_does_not_stop_while_vault_is_away),
                cmocka_unit_test(rule_11_static_is_read_again),
                cmocka_unit_test(rule_11_new_version_only_for_new_content),
                cmocka_unit_test(rule_11_static_creds_are_read_until_the_password_changes),
                cmocka_unit_test(rule_12_certificate_is_replaced_at_two_thirds),
                cmocka_unit_test(rule_13_wall_clock_step_leaves_leases_alone),
                cmocka_unit_test(rule_13_suspended_machine_wakes_up_to_due_leases),
                cmocka_unit_test(rule_15_looks_up_every_third),
                cmocka_unit_test(rule_15_forbidden_look_up_turns_them_off),
                cmocka_unit_test(rule_15_look_up_honours_retry_after),
                cmocka_unit_test(rule_15_reject_asks_at_once),
                cmocka_unit_test(rule_16_refused_revocation_holds_nothing_back),
                cmocka_unit_test(rule_16_failed_revocation_is_tried_again),
                cmocka_unit_test(rule_16_revocation_is_tried_until_the_end_and_no_longer),
                cmocka_unit_test(reject_of_a_living_lease_replaces_it_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

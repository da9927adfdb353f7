/* tests/sim/test_rules_1_to_5.c: lease rules 1 to 5 of docs/LEASES.md, each by its number, on a simulated clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/vault_api.h"
#include "common/http_client.h"
#include "common/secret.h"
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

static void rule_1_renewals_are_spread_evenly(void **state)
{
        double least = 1, most = 0, sum = 0;

        for (unsigned seed = 0; seed < 200; seed++) {
                struct sim *s = sim_new(.lease_s = 3600, .seed = seed * 7919);
                double left;

                sim_run_to(s, 1);
                left = ((double)s->life.current.renew_usec / 1e6 - 1000) / 3600;
                least = left < least ? left : least;
                most = left > most ? left : most;
                sum += left;
                sim_free(s);
        }
        assert_true(least >= 0.6 && least < 0.61);
        assert_true(most < 0.7001 && most > 0.69);
        assert_true(sum / 200 > 0.64 && sum / 200 < 0.66);
        (void)state;
}

static void rule_1_each_renewal_counts_from_what_remains(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 86400); /* each moves the end by an hour, some 39 min on */
        assert_in_range(sim_count(s, LIFE_RENEW), 24 * 60 / 42, 24 * 60 / 36);
        assert_int_equal(sim_count(s, LIFE_MINT), 1);
        assert_int_equal(s->life.last_number, 100); /* a renewal keeps the version */
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

static void rule_2_less_left_than_that_is_replaced_at_once(void **state)
{
        struct sim *s = sim_new(.lease_s = 100, .max_s = 105);

        sim_run_to(s, 1);
        sim_answer(s, LIFE_RENEW, VAULT_UNAVAILABLE);
        sim_run_to(s, 79);
        sim_answer(s, LIFE_RENEW, VAULT_OK);
        sim_run_to(s, 89.5); /* renewed at last, and 105 s are the end of it: less is left than g and a tenth */
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        assert_int_equal(sim_count(s, LIFE_LOSE), 0);
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
        struct sim *s = sim_new(.lease_s = 3600, .no_consumer = true, .burst = 20);

        sim_run_to(s, 10);
        sim_wish(s, LIFE_WHY_ROTATE);
        sim_run_for(s, 1);
        for (int i = 0; i < 5; i++) {
                sim_wish(s, LIFE_WHY_ROTATE);
                sim_run_for(s, 1);
        }
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        sim_run_for(s, 60); /* n has gone: what waited is done, once */
        assert_int_equal(sim_count(s, LIFE_MINT), 3);
        sim_run_for(s, 200);
        assert_int_equal(sim_count(s, LIFE_MINT), 3);
        assert_int_equal(s->live_max, 2);
        sim_free(s);
        (void)state;
}

/* n + 1 is rejected and nobody acknowledged it: n, which works, is renewed and kept, whatever happens to n + 1. */
static struct sim *with_rejected_version(void)
{
        struct sim *s = sim_new(.lease_s = 600, .live_max = 3);

        sim_run_to(s, 10);
        s->o.no_consumer = true;
        sim_wish(s, LIFE_WHY_ROTATE);
        sim_run_for(s, 1);
        sim_reject(s, true);
        sim_run_for(s, 1);
        assert_int_equal(s->life.current.number, 101);
        assert_int_equal(s->life.replaced_len, 1);
        return s;
}

static void rule_3_last_acknowledged_is_kept_while_the_new_one_is_rejected(void **state)
{
        struct sim *s = with_rejected_version();

        sim_run_for(s, 3000); /* five lives */
        assert_non_null(life_find(&s->life, 100));
        assert_int_equal(sim_count(s, LIFE_REVOKE), 0);
        assert_int_equal(sim_live(s), 2);
        life_on_acked(&s->life, 101); /* it works after all */
        sim_run_for(s, 31);
        assert_null(life_find(&s->life, 100));
        assert_int_equal(sim_live(s), 1);
        sim_free(s);
        (void)state;
}

static void rule_3_kept_version_does_not_hold_a_rotation_back(void **state)
{
        struct sim *s = with_rejected_version();

        sim_run_for(s, 300);
        sim_wish(s, LIFE_WHY_ROTATE);
        assert_int_equal(life_wish_wait_usec(&s->life, sim_instant(s)), 0);
        sim_run_for(s, 1);
        assert_int_equal(s->life.current.number, 102);
        assert_null(life_find(&s->life, 101)); /* what nobody acknowledged goes first */
        assert_non_null(life_find(&s->life, 100));
        sim_run_for(s, 31); /* nobody rejects the new one: n goes when its g is over */
        assert_null(life_find(&s->life, 100));
        sim_free(s);
        (void)state;
}

/* A consumer's rejects do not cut off who reads without a name: the file of a version keeps working for its g. */
static void rule_3_rejected_version_with_unnamed_readers_has_its_g(void **state)
{
        struct sim *s = with_rejected_version();

        sim_run_for(s, 300);
        s->life.current.unnamed = true;
        sim_wish(s, LIFE_WHY_ROTATE);
        sim_run_for(s, 1);
        assert_int_equal(s->life.current.number, 102);
        sim_run_for(s, 25);
        assert_non_null(life_find(&s->life, 101));
        sim_run_for(s, 6);
        assert_null(life_find(&s->life, 101));
        sim_free(s);
        (void)state;
}

static void rule_3_kept_version_outlives_the_rejected_one(void **state)
{
        struct sim *s = with_rejected_version();

        sim_run_for(s, 100); /* the g of n is long over */
        sim_answer(s, SIM_MINT, VAULT_UNAVAILABLE);
        sim_revoke_token(s);
        s->token[0].revoked_s = -1; /* just the lease of n + 1 */
        s->lease[1].revoked_s = s->now_s;
        sim_run_for(s, 300); /* looked up: gone, and no other can be had */
        assert_false(s->life.has_current);
        assert_non_null(life_find(&s->life, 100));
        assert_true(sim_lease_is_alive(s, &s->lease[0]));
        sim_all_well(s);
        sim_run_for(s, 16);
        assert_true(s->life.has_current);
        sim_run_for(s, 31); /* and then it has its g */
        assert_null(life_find(&s->life, 100));
        sim_free(s);
        (void)state;
}

static void rule_3_reject_means_the_version_that_goes(void **state)
{
        struct sim *s = sim_new(.certificate_s = 86400);

        sim_run_to(s, 10);
        s->latency_s = 5;
        sim_reject(s, true);
        sim_wish(s, LIFE_WHY_ROTATE);
        sim_run_for(s, 2); /* on its way already */
        sim_reject(s, true);
        sim_run_for(s, 600);
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        sim_free(s);
        (void)state;
}

static void rule_3_rejected_version_is_replaced_at_once_though_a_token_came_too(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600, .no_consumer = true);

        sim_run_to(s, 10);
        sim_wish(s, LIFE_WHY_ROTATE);
        sim_run_for(s, 70); /* of three draws there are two again */
        sim_wish(s, LIFE_WHY_ROTATE);
        sim_run_for(s, 70);
        assert_int_equal(s->life.current.number, 102);
        sim_wish(s, LIFE_WHY_REJECTED);
        life_wish(&s->life, LIFE_WHY_TOKEN, (uint64_t)((s->now_s + 60) * 1e6));
        sim_run_for(s, 1);
        assert_int_equal(s->life.current.number, 103);
        assert_int_equal(s->life.wish, LIFE_WHY_NONE); /* one mint fulfils both */
        sim_free(s);
        (void)state;
}

/* What may live on at Vault is not let go: a renewal was done and nobody heard of it. */
static void rule_3_lost_version_that_may_live_is_revoked(void **state)
{
        struct sim *s = sim_new(.lease_s = 100);

        sim_answer_lost(s, SIM_RENEW);
        sim_run_to(s, 80);
        sim_away(s, true);
        sim_run_to(s, 120);
        assert_false(s->life.has_current);
        assert_int_equal(sim_live(s), 1); /* alive, and not served: nobody knows its end */
        sim_all_well(s);
        sim_run_for(s, 1);
        assert_true(s->life.has_current);
        assert_int_equal(sim_count(s, LIFE_REVOKE), 1);
        assert_int_equal(sim_live(s), 1);
        sim_free(s);

        s = sim_new(.lease_s = 10, .grace_s = 1);
        s->latency_s = 4; /* the answer comes after the end */
        sim_run_to(s, 16);
        sim_run_for(s, 12);
        assert_int_equal(sim_live(s) - s->life.has_current, s->life.replaced_len);
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

static enum vault_lease_word word_of(const char *text)
{
        struct secret *body = secret_new(200);
        struct http_client_reply http = {
                .status = 400, .body = body, .error_text = "", .content_type = "application/json", .location = ""};
        struct vault_reply reply;
        enum vault_lease_word word;

        secret_append(body, "{\"errors\":[\"", 12);
        secret_append(body, text, strlen(text));
        secret_append(body, "\"]}", 3);
        vault_reply_read(VAULT_LEASE_RENEW, &http, &reply);
        assert_int_equal(reply.outcome, VAULT_REFUSED);
        word = reply.lease_word;
        vault_reply_done(&reply);
        secret_free(body);
        return word;
}

static void rule_4_each_text_of_a_400(void **state)
{
        static const struct {
                const char *text;
                bool asks;
        } cases[] = {
                {"lease not found", true},
                {"lease expired", true},
                {"lease is expired and has failed previous revocation attempts", true},
                {"failed to renew entry: resp: (*logical.Response)(nil) err: past the max TTL, cannot renew", true},
                {"lease is not renewable", true},
                {"failed to renew entry: dial tcp: connection refused", false},
                {"1 error occurred: something else", false},
                {"", false},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct sim *s = sim_new(.lease_s = 3600);
                unsigned looked_up;

                sim_run_to(s, 1);
                sim_answer_word(s, LIFE_RENEW, VAULT_REFUSED, word_of(cases[i].text));
                sim_run_to(s, (double)s->life.current.renew_usec / 1e6 - 1000 + 0.005);
                assert_int_equal(sim_count(s, LIFE_RENEW), 1);
                looked_up = sim_count(s, LIFE_LOOK_UP);
                sim_run_for(s, 0.1);
                assert_int_equal(sim_count(s, LIFE_LOOK_UP) - looked_up, cases[i].asks ? 1 : 0);
                assert_int_equal(sim_count(s, LIFE_MINT), 1);
                sim_free(s);
        }
        (void)state;
}

static void rule_4_doubtful_and_gone_is_replaced_at_once(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 2410); /* past the look-up that is due anyway */
        sim_revoke_all(s);
        sim_run_to(s, 2524); /* the renewal is told "lease not found", the look-up "invalid lease" */
        assert_int_equal(sim_count(s, LIFE_RENEW), 1);
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        assert_true(s->nothing_s < 0.1);
        sim_free(s);
        (void)state;
}

static void rule_4_renewal_honours_retry_after(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_run_to(s, 1);
        sim_answer(s, LIFE_RENEW, VAULT_THROTTLED);
        s->reply[LIFE_RENEW].retry_after_s = 200;
        sim_run_to(s, 3239);
        assert_in_range(sim_count(s, LIFE_RENEW), 2, 6);
        sim_free(s);
        (void)state;
}

static void rule_4_failing_renewals_back_off_and_stay_bounded(void **state)
{
        static const double leases[] = {10, 60, 3600, 86400};

        for (size_t i = 0; i < 4; i++) {
                struct sim *s = sim_new(.lease_s = leases[i]);
                double first_s;

                sim_run_to(s, 0.1);
                sim_answer(s, LIFE_RENEW, VAULT_UNREACHABLE);
                first_s = (double)s->life.current.renew_usec / 1e6 - 1000;
                sim_run_to(s, first_s + 0.02);
                assert_int_equal(sim_count(s, LIFE_RENEW), 1);
                assert_true(s->life.current.backoff.base_usec == usec_min(10000000, (uint64_t)(leases[i] * 1e6) / 50));
                assert_true(s->life.current.backoff.cap_usec == usec_min(300000000, (uint64_t)(leases[i] * 1e6) / 10));
                sim_run_to(s, leases[i] * 0.899);
                assert_int_equal(sim_count(s, LIFE_MINT), 1);
                assert_in_range(sim_count(s, LIFE_RENEW), 3, leases[i] > 7200 ? 400 : 40);
                sim_free(s);
        }
        (void)state;
}

static void rule_4_mint_honours_retry_after_up_to_five_minutes(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_answer(s, LIFE_MINT, VAULT_THROTTLED);
        s->reply[LIFE_MINT].retry_after_s = 86400;
        sim_run_to(s, 299);
        assert_int_equal(sim_count(s, LIFE_MINT), 1);
        sim_answer(s, LIFE_MINT, VAULT_OK);
        sim_run_to(s, 302);
        assert_true(s->life.has_current);
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

static void rule_5_mint_without_an_answer_keeps_its_draw(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600);

        sim_answer_lost(s, SIM_MINT); /* each one makes a database user that nobody knows */
        sim_run_to(s, 600);
        assert_in_range(s->leases, 3, 3 + 600 / 60 + 1);
        sim_free(s);
        (void)state;
}

static void rule_5_certificates_draw_too(void **state)
{
        struct sim *s = sim_new(.certificate_s = 86400);

        sim_run_to(s, 1);
        for (int i = 0; i < 100; i++) {
                sim_wish(s, LIFE_WHY_ROTATE);
                sim_run_for(s, 0.1);
        }
        assert_int_equal(sim_count(s, LIFE_MINT), 2);
        sim_free(s);
        (void)state;
}

static void rule_5_ten_thousand_rejects_cost_the_budget_at_most(void **state)
{
        struct sim *s = sim_new(.lease_s = 3600, .live_max = 3);

        sim_run_to(s, 1);
        for (int i = 0; i < 10000; i++) {
                sim_reject(s, true);
                sim_run_for(s, 0.36);
        }
        assert_in_range(sim_count(s, LIFE_MINT), 3, 3 + 3600 / 60);
        assert_in_range(sim_count(s, LIFE_LOOK_UP), 1, 3600 + 1); /* one a second serves them all */
        sim_free(s);
        (void)state;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(rule_1_renews_at_60_to_70_percent),
                cmocka_unit_test(rule_1_renewals_are_spread_evenly),
                cmocka_unit_test(rule_1_each_renewal_counts_from_what_remains),
                cmocka_unit_test(rule_2_capped_lease_is_replaced_before_its_end),
                cmocka_unit_test(rule_2_not_renewable_is_never_renewed),
                cmocka_unit_test(rule_2_less_left_than_that_is_replaced_at_once),
                cmocka_unit_test(rule_3_replaced_lease_goes_when_all_moved_on),
                cmocka_unit_test(rule_3_without_acknowledgement_g_runs_in_full),
                cmocka_unit_test(rule_3_one_replacement_at_a_time),
                cmocka_unit_test(rule_3_last_acknowledged_is_kept_while_the_new_one_is_rejected),
                cmocka_unit_test(rule_3_kept_version_does_not_hold_a_rotation_back),
                cmocka_unit_test(rule_3_rejected_version_with_unnamed_readers_has_its_g),
                cmocka_unit_test(rule_3_kept_version_outlives_the_rejected_one),
                cmocka_unit_test(rule_3_reject_means_the_version_that_goes),
                cmocka_unit_test(rule_3_rejected_version_is_replaced_at_once_though_a_token_came_too),
                cmocka_unit_test(rule_3_lost_version_that_may_live_is_revoked),
                cmocka_unit_test(rule_4_renewal_failure_never_mints),
                cmocka_unit_test(rule_4_unknown_400_backs_off_and_never_mints),
                cmocka_unit_test(rule_4_lease_not_found_asks_the_look_up),
                cmocka_unit_test(rule_4_gone_lease_is_replaced_at_once),
                cmocka_unit_test(rule_4_failed_mint_backs_off),
                cmocka_unit_test(rule_4_outage_does_not_mint),
                cmocka_unit_test(rule_4_outage_beyond_the_end_serves_again_at_once),
                cmocka_unit_test(rule_4_each_text_of_a_400),
                cmocka_unit_test(rule_4_doubtful_and_gone_is_replaced_at_once),
                cmocka_unit_test(rule_4_renewal_honours_retry_after),
                cmocka_unit_test(rule_4_failing_renewals_back_off_and_stay_bounded),
                cmocka_unit_test(rule_4_mint_honours_retry_after_up_to_five_minutes),
                cmocka_unit_test(rule_5_rotations_stay_within_the_budget),
                cmocka_unit_test(rule_5_last_draw_is_for_nothing_valid),
                cmocka_unit_test(rule_5_refused_mint_gives_its_draw_back),
                cmocka_unit_test(rule_5_429_waits_for_retry_after),
                cmocka_unit_test(rule_5_mint_without_an_answer_keeps_its_draw),
                cmocka_unit_test(rule_5_certificates_draw_too),
                cmocka_unit_test(rule_5_ten_thousand_rejects_cost_the_budget_at_most),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/sim/test_weeks.c: weeks of lease life, well and in trouble; what must hold is checked at each step (support_sim.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/support_sim.h"

#define DAY   86400.0
#define SEEDS 12

/* SIM_SEEDS=500 tries as many. */
static unsigned seeds(void)
{
        const char *many = getenv("SIM_SEEDS");

        return many ? (unsigned)atoi(many) : SEEDS;
}

/* SIM_SEED=7 runs that seed alone. */
static bool is_wanted(unsigned seed)
{
        const char *one = getenv("SIM_SEED");

        return !one || (unsigned)atoi(one) == seed;
}

static unsigned draw(struct sim *s, unsigned below)
{
        return (unsigned)(sim_random(s) * below);
}

/* --- all is well: nobody is ever without a living version, and Vault is asked no more than it takes --- */

struct calm {
        struct sim_options o;
        double days;
        unsigned mints, logins, requests; /* at most, a day */
};

static void run_calm(const struct calm *c)
{
        for (unsigned seed = 0; seed < 3; seed++) {
                struct sim_options o = c->o;
                struct sim *s;

                o.seed = seed;
                o.no_consumer = seed % 2;
                s = sim_new_(&o);
                sim_run_to(s, 1);
                s->nothing_s = 0;
                sim_run_to(s, c->days * DAY);
                sim_check(s, s->nothing_s == 0);
                sim_check(s, sim_count(s, LIFE_LOSE) == 0);
                sim_check(s, sim_count(s, SIM_MINT) <= c->mints * c->days + 1);
                sim_check(s, sim_count(s, SIM_LOGIN) <= c->logins * c->days + 1);
                sim_check(s, s->requests <= c->requests * c->days + 1);
                sim_check(s, sim_tokens_live(s) <= 2);
                sim_free(s);
        }
}

static void calm_weeks_of_a_service_token_at_its_max_ttl(void **state)
{
        /* The token lives 4 h, its last life (1 h) begins after some 3 h, the login comes 40 min later: 7 or 8 a day. */
        run_calm(&(struct calm){.o = {.lease_s = 3600, .max_s = DAY, .token_ttl_s = 3600, .token_max_s = 4 * 3600.0},
                                .days = 28,
                                .mints = 8,
                                .logins = 8,
                                .requests = 250});
        (void)state;
}

static void calm_weeks_of_batch_tokens(void **state)
{
        /* 2/3 of an hour each: 36 a day. */
        run_calm(&(struct calm){.o = {.lease_s = 3600, .token_ttl_s = 3600, .token_batch = true},
                                .days = 28,
                                .mints = 37,
                                .logins = 37,
                                .requests = 250});
        (void)state;
}

static void calm_weeks_of_a_periodic_token(void **state)
{
        run_calm(&(struct calm){.o = {.lease_s = 3600, .token_ttl_s = 3600}, .days = 28, .requests = 150});
        (void)state;
}

static void calm_days_of_short_leases(void **state)
{
        /* 5 s, capped at 10 s, g 1 s and the last tenth 0.5 s: one each 8.5 s. */
        run_calm(&(struct calm){.o = {.lease_s = 5, .max_s = 10, .token_ttl_s = 3600},
                                .days = 0.5,
                                .mints = (unsigned)(DAY / 8.4),
                                .requests = (unsigned)(DAY / 8.4) * 5});
        (void)state;
}

static void calm_weeks_of_a_certificate_and_of_a_static_secret(void **state)
{
        run_calm(&(struct calm){
                .o = {.certificate_s = DAY, .token_ttl_s = 3600}, .days = 28, .mints = 2, .requests = 60});
        run_calm(&(struct calm){
                .o = {.is_static = true, .token_ttl_s = 3600}, .days = 28, .mints = 300, .requests = 360});
        (void)state;
}

/* --- trouble --- */

static void answer_badly(struct sim *s, int op)
{
        static const enum vault_outcome outcomes[] = {VAULT_UNREACHABLE, VAULT_UNAVAILABLE, VAULT_SEALED,
                                                      VAULT_THROTTLED,   VAULT_FORBIDDEN,   VAULT_NOT_FOUND,
                                                      VAULT_REFUSED,     VAULT_MALFORMED};
        enum vault_outcome outcome = outcomes[draw(s, 8)];
        enum vault_lease_word word = VAULT_LEASE_UNKNOWN;

        if (outcome == VAULT_REFUSED && op == SIM_RENEW && draw(s, 2))
                word = VAULT_LEASE_DOUBTFUL;
        sim_answer_word(s, op, outcome, word);
        if (outcome == VAULT_THROTTLED || draw(s, 8) == 0)
                s->reply[op].retry_after_s = draw(s, 3) * 100;
        if (draw(s, 4) == 0)
                sim_answer_lost(s, op);
}

static void make_trouble(struct sim *s)
{
        static const int ops[] = {SIM_MINT,  SIM_RENEW,       SIM_LOOK_UP,      SIM_REVOKE,
                                  SIM_LOGIN, SIM_TOKEN_RENEW, SIM_TOKEN_LOOK_UP};
        static const double latency[] = {0.005, 0.005, 0.05, 1, 7, 25};

        sim_all_well(s);
        for (unsigned i = 0; i < 7; i++)
                if (draw(s, 3) == 0)
                        answer_badly(s, ops[i]);
        s->latency_s = latency[draw(s, 6)];
        s->content += draw(s, 10) == 0;
        if (draw(s, 10) == 0)
                sim_wish(s, draw(s, 2) ? LIFE_WHY_ROTATE : LIFE_WHY_CHANGED);
        if (draw(s, 12) == 0)
                sim_away(s, true);
        if (draw(s, 60) == 0)
                sim_suspend(s, draw(s, 10000));
        if (draw(s, 30) == 0)
                s->wall_off_s += (sim_random(s) - 0.5) * 7200;
        if (draw(s, 60) == 0)
                sim_revoke_all(s);
        if (s->o.token_ttl_s > 0 && draw(s, 60) == 0)
                sim_revoke_token(s);
}

static void run_trouble(const struct sim_options *options, double step_s, bool rejects)
{
        for (unsigned seed = 0; seed < seeds(); seed++) {
                struct sim_options o = *options;
                struct sim *s;

                if (!is_wanted(seed))
                        continue;
                o.seed = seed;
                o.no_consumer = seed % 3 == 0;
                s = sim_new_(&o);
                while (sim_time(s) < 14 * DAY && s->leases < SIM_LEASES_MAX - 500 && s->tokens < SIM_TOKENS_MAX - 100) {
                        make_trouble(s);
                        for (unsigned i = rejects && draw(s, 10) == 0 ? 5 : 0; i > 0; i--) {
                                sim_run_for(s, 2);
                                sim_reject(s, true);
                        }
                        sim_run_for(s, sim_random(s) * step_s);
                }
                sim_all_well(s); /* and when it is over, it is over */
                sim_run_for(s, 600 + 400);
                sim_check(s, s->life.has_current);
                sim_check(s, !s->life.current.failing || s->life.current.movable == false);
                sim_free(s);
        }
}

static void weeks_of_trouble_with_leases_of_an_hour(void **state)
{
        run_trouble(&(struct sim_options){.lease_s = 3600, .max_s = DAY}, 1200, false);
        (void)state;
}

static void weeks_of_trouble_with_leases_of_a_minute(void **state)
{
        run_trouble(&(struct sim_options){.lease_s = 60, .max_s = 600, .requests_a_minute = 150}, 240, false);
        (void)state;
}

static void weeks_of_trouble_with_leases_of_five_seconds(void **state)
{
        run_trouble(&(struct sim_options){.lease_s = 5, .max_s = 10, .requests_a_minute = 600}, 120, false);
        (void)state;
}

static void weeks_of_trouble_with_tokens(void **state)
{
        run_trouble(&(struct sim_options){.lease_s = 3600, .token_ttl_s = 3600, .token_max_s = 4 * 3600.0}, 1200,
                    false);
        run_trouble(&(struct sim_options){.lease_s = 3600, .token_ttl_s = 3600, .token_batch = true}, 1200, false);
        run_trouble(&(struct sim_options){.lease_s = 600, .max_s = 3600, .token_ttl_s = 7200}, 600, false);
        (void)state;
}

static void weeks_of_trouble_with_rejects(void **state)
{
        run_trouble(&(struct sim_options){.lease_s = 3600, .live_max = 3}, 1200, true);
        (void)state;
}

static void weeks_of_trouble_with_certificates_and_static_secrets(void **state)
{
        run_trouble(&(struct sim_options){.certificate_s = DAY}, 3600, true);
        run_trouble(&(struct sim_options){.is_static = true}, 600, true);
        (void)state;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(calm_weeks_of_a_service_token_at_its_max_ttl),
                cmocka_unit_test(calm_weeks_of_batch_tokens),
                cmocka_unit_test(calm_weeks_of_a_periodic_token),
                cmocka_unit_test(calm_days_of_short_leases),
                cmocka_unit_test(calm_weeks_of_a_certificate_and_of_a_static_secret),
                cmocka_unit_test(weeks_of_trouble_with_leases_of_an_hour),
                cmocka_unit_test(weeks_of_trouble_with_leases_of_a_minute),
                cmocka_unit_test(weeks_of_trouble_with_leases_of_five_seconds),
                cmocka_unit_test(weeks_of_trouble_with_tokens),
                cmocka_unit_test(weeks_of_trouble_with_rejects),
                cmocka_unit_test(weeks_of_trouble_with_certificates_and_static_secrets),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

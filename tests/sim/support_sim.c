/* tests/sim/support_sim.c: one secret's life against a scripted Vault on a simulated clock. */
#include "tests/sim/support_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/secret.h"

#define START_S           1000.0
#define REQUESTS_A_MINUTE 90 /* no failure may cause more of one secret */

static double sim_random(struct sim *s)
{
        s->random = s->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (double)(s->random >> 11) / 9007199254740992.0;
}

static struct instant instant_of(struct sim *s)
{
        return (struct instant){
                .boot_usec = (uint64_t)(s->now_s * 1e6),
                .wall_usec = (uint64_t)((s->now_s + s->wall_off_s) * 1e6),
                .random = sim_random(s),
        };
}

static struct token *token_of(struct sim *s, uint64_t generation)
{
        struct token *t = token_new(generation, secret_new_from("t", 1), "a");

        token_granted(t, instant_of(s), (uint64_t)(s->o.token_s * 1e6), false, false);
        return t;
}

struct sim *sim_new_(const struct sim_options *o)
{
        struct sim *s = mem_new(sizeof(*s));
        struct life_config config;

        s->o = *o;
        if (s->o.grace_s == 0)
                s->o.grace_s = 30;
        if (s->o.burst == 0)
                s->o.burst = 3;
        config = (struct life_config){
                .grace_usec = (uint64_t)(s->o.grace_s * 1e6), .refresh_usec = 300000000, .verify_usec = USEC_NEVER};
        s->now_s = START_S;
        s->wall_off_s = 1.7e9;
        s->random = 42 + o->seed;
        s->latency_s = 0.01;
        s->minute_s = START_S;
        s->mint_gap_min_s = 1e18;
        bucket_init(&s->bucket, s->o.burst, (uint64_t)(s->now_s * 1e6));
        life_init(&s->life, &config,
                  o->is_static           ? KIND_STATIC
                  : o->certificate_s > 0 ? KIND_CERTIFICATE
                                         : KIND_DYNAMIC,
                  &s->bucket, 99);
        s->token = token_of(s, 1);
        return s;
}

void sim_free(struct sim *s)
{
        life_done(&s->life);
        assert_int_equal(s->token->leases, 0);
        token_unref(s->token);
        mem_free(s);
}

static bool is_alive(const struct sim *s, const struct sim_lease *l)
{
        return l->revoked_s < 0 && s->now_s < l->end_s;
}

unsigned sim_live(const struct sim *s)
{
        unsigned n = 0;

        for (unsigned i = s->leases > 64 ? s->leases - 64 : 0; i < s->leases; i++)
                n += is_alive(s, &s->lease[i]);
        return n;
}

static struct sim_lease *find_lease(struct sim *s, const char *id)
{
        for (unsigned i = s->leases; i-- > 0;)
                if (strcmp(s->lease[i].id, id) == 0)
                        return &s->lease[i];
        return NULL;
}

static struct sim_lease *served_lease(struct sim *s)
{
        return s->life.has_current && *s->life.current.id != '\0' ? find_lease(s, s->life.current.id) : NULL;
}

static void check_invariants(struct sim *s)
{
        unsigned live = sim_live(s);

        if (live > s->live_max)
                s->live_max = live;
        assert_in_range(s->requests_in_minute_max, 0, REQUESTS_A_MINUTE);
        assert_in_range(s->life.replaced_len, 0, LIFE_REPLACED_MAX);
        if (s->flying)
                assert_int_equal(s->life.in_flight, s->action.step);
}

static void advance(struct sim *s, double to_s)
{
        struct sim_lease *l = served_lease(s);
        double dead_from;

        if (to_s <= s->now_s)
                return;
        if (!s->life.has_current)
                s->nothing_s += to_s - s->now_s;
        if (l) {
                dead_from = l->revoked_s >= 0 && l->revoked_s < l->end_s ? l->revoked_s : l->end_s;
                if (dead_from < to_s)
                        s->served_dead_s += to_s - (dead_from > s->now_s ? dead_from : s->now_s);
        }
        s->now_s = to_s;
}

static void count_request(struct sim *s, enum life_step step)
{
        s->count[step]++;
        if (s->now_s - s->minute_s >= 60) {
                s->minute_s = s->now_s;
                s->requests_in_minute = 0;
        }
        if (++s->requests_in_minute > s->requests_in_minute_max)
                s->requests_in_minute_max = s->requests_in_minute;
        if (step != LIFE_MINT)
                return;
        if (s->last_mint_s > 0 && s->now_s - s->last_mint_s < s->mint_gap_min_s)
                s->mint_gap_min_s = s->now_s - s->last_mint_s;
        s->last_mint_s = s->now_s;
}

static void mint(struct sim *s)
{
        struct lease_grant grant = {.id = "", .token = s->token, .renewable = !s->o.not_renewable};
        struct sim_lease *l;

        if (s->o.is_static) {
                if (s->life.has_current && s->content_changed_s < s->now_s - 1e9)
                        s->served = life_on_read(&s->life, instant_of(s), 0);
                else if (s->life.has_current)
                        life_on_same(&s->life, instant_of(s), 0);
                else
                        s->served = life_on_read(&s->life, instant_of(s), 0);
                return;
        }
        if (s->o.certificate_s > 0) {
                grant.not_after_usec = (uint64_t)((s->now_s + s->wall_off_s + s->o.certificate_s) * 1e6);
                s->served = life_on_content(&s->life, instant_of(s), &grant);
                return;
        }
        assert_in_range(s->leases, 0, SIM_LEASES_MAX - 1);
        l = &s->lease[s->leases++];
        snprintf(l->id, sizeof(l->id), "lease/%u", s->leases);
        l->minted_s = s->now_s;
        l->end_s = s->now_s + s->o.lease_s;
        l->max_end_s = s->o.max_s > 0 ? s->now_s + s->o.max_s : 1e18;
        l->revoked_s = -1;
        if (s->token->end_usec != USEC_NEVER && l->end_s > (double)s->token->end_usec / 1e6)
                l->end_s = (double)s->token->end_usec / 1e6;
        grant.id = l->id;
        grant.duration_usec = (uint64_t)(s->o.lease_s * 1e6);
        s->served = life_on_content(&s->life, instant_of(s), &grant);
        if (s->o.no_consumer)
                return;
        life_on_acked(&s->life, s->served);
        for (size_t i = 0; i < s->life.replaced_len; i++)
                life_all_moved_on(&s->life, instant_of(s), s->life.replaced[i].number);
}

static void renew(struct sim *s)
{
        const struct lease *lease = life_find(&s->life, s->action.number);
        struct sim_lease *l = lease ? find_lease(s, lease->id) : NULL;
        double end;

        if (!l) {
                life_on_renewed(&s->life, instant_of(s), 0, false);
                return;
        }
        if (!is_alive(s, l)) {
                life_on_renew_failed(&s->life, instant_of(s), VAULT_REFUSED, VAULT_LEASE_DOUBTFUL, 0);
                return;
        }
        end = s->now_s + s->o.lease_s;
        if (end > l->max_end_s)
                end = l->max_end_s;
        l->end_s = end;
        if (s->token->end_usec != USEC_NEVER && l->end_s > (double)s->token->end_usec / 1e6)
                l->end_s = (double)s->token->end_usec / 1e6;
        life_on_renewed(&s->life, instant_of(s), (uint64_t)((end - s->now_s) * 1e6), true);
}

static void look_up(struct sim *s)
{
        const struct lease *lease = life_find(&s->life, s->action.number);
        struct sim_lease *l = lease ? find_lease(s, lease->id) : NULL;

        life_on_looked_up(&s->life, instant_of(s), l && is_alive(s, l) ? (uint64_t)((l->end_s - s->now_s) * 1e6) : 0);
}

static void revoke(struct sim *s)
{
        const struct lease *lease = life_find(&s->life, s->action.number);
        struct sim_lease *l = lease ? find_lease(s, lease->id) : NULL;

        if (l) {
                assert_true(l->revoked_s < 0);
                l->revoked_s = s->now_s;
        }
        life_on_revoked(&s->life);
}

static void land(struct sim *s)
{
        const struct sim_reply *r = &s->reply[s->action.step];
        uint64_t retry = (uint64_t)(r->retry_after_s * 1e6);

        s->flying = false;
        switch (s->action.step) {
        case LIFE_MINT:
                if (r->set)
                        life_on_mint_failed(&s->life, instant_of(s), r->outcome, retry);
                else
                        mint(s);
                break;
        case LIFE_RENEW:
                if (r->set)
                        life_on_renew_failed(&s->life, instant_of(s), r->outcome, r->word, retry);
                else
                        renew(s);
                break;
        case LIFE_LOOK_UP:
                if (r->set && r->outcome == VAULT_FORBIDDEN)
                        life_on_look_up_forbidden(&s->life, instant_of(s));
                else if (r->set)
                        life_on_look_up_failed(&s->life, instant_of(s));
                else
                        look_up(s);
                break;
        default:
                if (r->set)
                        life_on_revoke_failed(&s->life, instant_of(s), r->outcome, retry);
                else
                        revoke(s);
        }
}

/* One thing at one moment. Return: false where only time can change something; *ret_at_s says until when. */
static bool step(struct sim *s, double *ret_at_s)
{
        struct life_action a = life_next(&s->life, instant_of(s));

        switch (a.step) {
        case LIFE_WAIT: *ret_at_s = a.at_usec == USEC_NEVER ? 1e18 : (double)a.at_usec / 1e6 + 1e-6; return false;
        case LIFE_LOSE:
                s->count[LIFE_LOSE]++;
                life_lost(&s->life, a.why);
                s->served = 0;
                return true;
        case LIFE_DROP:
                s->count[LIFE_DROP]++;
                life_dropped(&s->life, a.number);
                return true;
        case LIFE_STALE:
                s->count[LIFE_STALE]++;
                life_stale(&s->life);
                return true;
        default:
                assert_false(s->flying);
                life_begin(&s->life, instant_of(s), &a);
                count_request(s, a.step);
                s->action = a;
                s->flying = true;
                s->lands_s = s->now_s + s->latency_s;
                return true;
        }
}

void sim_run_to(struct sim *s, double seconds)
{
        double target = START_S + seconds, at, next;
        unsigned spin = 0;

        while (s->now_s < target) {
                while (step(s, &at)) {
                        assert_in_range(++spin, 0, 50);
                        check_invariants(s);
                }
                spin = 0;
                next = at < target ? at : target;
                if (s->flying && s->lands_s <= next) {
                        advance(s, s->lands_s);
                        land(s);
                } else {
                        advance(s, next);
                }
                check_invariants(s);
        }
}

void sim_run_for(struct sim *s, double seconds)
{
        sim_run_to(s, sim_time(s) + seconds);
}

double sim_time(const struct sim *s)
{
        return s->now_s - START_S;
}

void sim_answer_word(struct sim *s, enum life_step step_, enum vault_outcome outcome, enum vault_lease_word word)
{
        s->reply[step_] = (struct sim_reply){.set = outcome != VAULT_OK, .outcome = outcome, .word = word};
}

void sim_answer(struct sim *s, enum life_step step_, enum vault_outcome outcome)
{
        sim_answer_word(s, step_, outcome, VAULT_LEASE_UNKNOWN);
}

void sim_away(struct sim *s, bool away)
{
        if (away)
                life_on_vault_away(&s->life);
        else
                life_on_vault_back(&s->life, instant_of(s));
}

unsigned sim_count(const struct sim *s, enum life_step step_)
{
        return s->count[step_];
}

void sim_revoke_all(struct sim *s)
{
        for (unsigned i = 0; i < s->leases; i++)
                if (s->lease[i].revoked_s < 0)
                        s->lease[i].revoked_s = s->now_s;
}

void sim_new_token(struct sim *s)
{
        struct token *old = s->token;

        s->token = token_of(s, old->generation + 1);
        token_unref(old);
        life_wish(&s->life, LIFE_WHY_TOKEN, (uint64_t)(s->now_s * 1e6));
}

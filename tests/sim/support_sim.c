/* tests/sim/support_sim.c: the agent's side of the simulation: time, steps, and what must hold at each of them. */
#include "tests/sim/support_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/mem.h"

#define START_S 1000.0
#define NEVER_S 1e18

double sim_random(struct sim *s)
{
        s->random = s->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (double)(s->random >> 11) / 9007199254740992.0;
}

struct instant sim_instant(struct sim *s)
{
        return (struct instant){
                .boot_usec = (uint64_t)(s->now_s * 1e6),
                .wall_usec = (uint64_t)((s->now_s + s->wall_off_s) * 1e6),
                .random = sim_random(s),
        };
}

void sim_check_(struct sim *s, bool holds, const char *what, const char *file, int line)
{
        if (holds)
                return;
        print_error("seed %u, %.6f s after the start: %s does not hold\n", s->o.seed, sim_time(s), what);
        _fail(file, line);
}

/* SIM_TRACE=1 shows all that is done. */
static void trace(const struct sim *s, const char *what, uint64_t version)
{
        if (getenv("SIM_TRACE"))
                print_message("%.6f %s %llu\n", sim_time(s), what, (unsigned long long)version);
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
        if (s->o.requests_a_minute == 0)
                s->o.requests_a_minute = 90;
        if (s->o.live_max == 0)
                s->o.live_max = 2;
        config = (struct life_config){
                .grace_usec = (uint64_t)(s->o.grace_s * 1e6), .refresh_usec = 300000000, .verify_usec = USEC_NEVER};
        s->now_s = START_S;
        s->wall_off_s = 1.7e9;
        s->random = (42 + o->seed) * UINT64_C(0x9e3779b97f4a7c15);
        s->latency_s = 0.01;
        s->login_backoff = (struct backoff){.base_usec = USEC_PER_SEC, .cap_usec = 60 * USEC_PER_SEC};
        s->had_token = true;
        bucket_init(&s->bucket, s->o.burst, (uint64_t)(s->now_s * 1e6));
        s->interval_s = (double)s->bucket.interval_usec / 1e6;
        life_init(&s->life, &config,
                  o->is_static           ? KIND_STATIC
                  : o->certificate_s > 0 ? KIND_CERTIFICATE
                                         : KIND_DYNAMIC,
                  &s->bucket, 99);
        sim_token_make(s);
        return s;
}

void sim_free(struct sim *s)
{
        life_done(&s->life);
        for (unsigned i = 0; i < s->tokens; i++) {
                assert_int_equal(s->token[i].token->leases, 0);
                token_unref(s->token[i].token);
        }
        mem_free(s);
}

/* --- what must hold --- */

unsigned sim_live(const struct sim *s)
{
        unsigned n = 0;

        for (unsigned i = s->leases > 64 ? s->leases - 64 : 0; i < s->leases; i++)
                n += sim_lease_is_alive(s, &s->lease[i]);
        return n;
}

unsigned sim_tokens_live(const struct sim *s)
{
        unsigned n = 0;

        for (unsigned i = 0; i < s->tokens; i++)
                n += sim_token_is_alive(s, i);
        return n;
}

static bool is_held(const struct sim *s, const char *id)
{
        if (s->life.has_current && strcmp(s->life.current.id, id) == 0)
                return true;
        for (size_t i = 0; i < s->life.replaced_len; i++)
                if (strcmp(s->life.replaced[i].id, id) == 0)
                        return true;
        return false;
}

static double ends_s(const struct sim *s, const struct sim_lease *l)
{
        double token_s = s->token[l->token].end_s;

        return l->end_s < token_s ? l->end_s : token_s;
}

/* Vault tells ends in whole seconds: what has a second left may pass for dead. */
const struct sim_lease *sim_let_go(struct sim *s)
{
        for (unsigned i = s->leases > 64 ? s->leases - 64 : 0; i < s->leases; i++) {
                const struct sim_lease *l = &s->lease[i];

                if (sim_lease_is_alive(s, l) && ends_s(s, l) > s->now_s + 1.1 && !l->unknown && !l->excused &&
                    !s->token[l->token].late && !is_held(s, l->id))
                        return l;
        }
        return NULL;
}

static const struct sim_lease *served_lease(const struct sim *s)
{
        if (!s->life.has_current)
                return NULL;
        for (unsigned i = s->leases; i-- > 0;)
                if (strcmp(s->lease[i].id, s->life.current.id) == 0)
                        return &s->lease[i];
        return NULL;
}

static bool is_within_budget(const struct sim *s)
{
        unsigned first = s->draws > SIM_DRAWS ? s->draws - SIM_DRAWS : 0, last = s->draws - 1;
        double interval = NEVER_S, latest;

        if (s->draws == 0)
                return true;
        latest = s->draw_s[last % SIM_DRAWS];
        for (unsigned i = last + 1; i-- > first;) {
                double began = s->draw_s[i % SIM_DRAWS];

                if (last - i + 1 > s->o.burst + (latest - began) / interval + 0.01)
                        return false;
                if (s->draw_interval_s[i % SIM_DRAWS] < interval) /* it held from the draw before this one */
                        interval = s->draw_interval_s[i % SIM_DRAWS];
        }
        return true;
}

/* What keeps the current version alive goes before a revocation; with slow answers the last tenth may begin meanwhile. */
static bool has_to_queue(const struct sim *s, const struct sim_lease *l)
{
        for (size_t i = 0; i < s->life.replaced_len && s->latency_s >= 1; i++)
                if (strcmp(s->life.replaced[i].id, l->id) == 0)
                        return (double)s->life.replaced[i].revoke_usec / 1e6 <= s->now_s;
        return false;
}

/* What its own token ends within g need not be waited for. */
static bool counts_as_live(const struct sim *s, const struct sim_lease *l)
{
        bool ends_with_token = s->token[l->token].end_s < s->now_s + s->o.grace_s;

        return sim_lease_is_alive(s, l) && !l->unknown && !l->excused && !ends_with_token && !has_to_queue(s, l);
}

static void check_invariants(struct sim *s)
{
        unsigned live = 0;

        for (unsigned i = s->leases > 64 ? s->leases - 64 : 0; i < s->leases; i++)
                live += counts_as_live(s, &s->lease[i]);
        if (live > s->live_max)
                s->live_max = live;
        sim_check(s, s->live_max <= s->o.live_max);
        sim_check(s, s->served_dead_s < 1e-3);
        sim_check(s, s->life.replaced_len <= LIFE_REPLACED_MAX);
        sim_check(s, !s->flight.flying || (int)s->life.in_flight == s->flight.op);
        sim_check(s, s->flight.flying || s->life.in_flight == LIFE_WAIT);
        sim_check(s, sim_let_go(s) == NULL);
        if (s->draws != s->draws_checked)
                sim_check(s, is_within_budget(s));
        s->draws_checked = s->draws;
}

/* What is served in the time up to then counts; asleep nobody is served. */
static void advance(struct sim *s, double to_s)
{
        const struct sim_lease *l = served_lease(s);

        if (to_s <= s->now_s)
                return;
        if (!s->life.has_current)
                s->nothing_s += to_s - s->now_s;
        if (l) {
                const struct sim_token *t = &s->token[l->token];
                bool by_hand = l->by_hand || t->by_hand;
                double dead_s = ends_s(s, l);

                if (l->revoked_s >= 0 && l->revoked_s < dead_s)
                        dead_s = l->revoked_s;
                if (t->revoked_s >= 0 && t->revoked_s < dead_s)
                        dead_s = t->revoked_s;
                if (dead_s < to_s - 1e-5) /* the clock of the simulation is a little coarse */
                        *(by_hand ? &s->served_hand_s : &s->served_dead_s) +=
                                to_s - (dead_s > s->now_s ? dead_s : s->now_s);
        }
        s->now_s = to_s;
}

static void send(struct sim *s, struct sim_flight *f, int op)
{
        unsigned i = s->requests++;

        sim_check(s, !f->flying);
        *f = (struct sim_flight){
                .flying = true, .op = op, .token = s->current_token, .lands_s = s->now_s + s->latency_s};
        s->count[op]++;
        trace(s,
              op == SIM_LOGIN         ? "login"
              : op >= SIM_TOKEN_RENEW ? "token"
                                      : life_step_text(s->action.step),
              s->action.number);
        s->request_s[i % SIM_REQUESTS] = s->now_s;
        if (i >= s->o.requests_a_minute)
                sim_check(s, s->now_s - s->request_s[(i - s->o.requests_a_minute) % SIM_REQUESTS] >= 60);
}

/* --- steps --- */

/* Old tokens go once none of their leases is held; theirs is the end of auth_tend(). */
static void tend_tokens(struct sim *s)
{
        for (unsigned i = s->tokens > 32 ? s->tokens - 32 : 0; i < s->tokens; i++) {
                struct sim_token *t = &s->token[i];

                if (i != s->current_token && t->revoked_s < 0 && t->token->leases == 0)
                        t->revoked_s = s->now_s;
        }
}

static void set_away(struct sim *s)
{
        bool has_token = token_alive(s->token[s->current_token].token, sim_instant(s));
        bool away = s->gate_shut || !has_token;

        if (away && !s->life.away)
                life_on_vault_away(&s->life);
        else if (!away && s->life.away)
                life_on_vault_back(&s->life, sim_instant(s));
}

/* The agent's auth in small. Return: was there something to do? */
static bool auth_step(struct sim *s, double *ret_at_s)
{
        struct token *t = s->token[s->current_token].token;
        struct instant now = sim_instant(s);
        enum token_step what;
        uint64_t at;

        *ret_at_s = NEVER_S;
        if (!token_alive(t, now) && s->had_token) {
                s->had_token = false;
                t->dead = true;
                life_on_token_gone(&s->life, now, t);
                set_away(s);
                return true;
        }
        s->had_token = token_alive(t, now);
        if (s->o.token_ttl_s == 0 || s->gate_shut || s->auth_flight.flying)
                return false;
        what = token_next(t, now, &at);
        if (s->doubt && s->had_token) {
                s->doubt = false;
                send(s, &s->auth_flight, SIM_TOKEN_LOOK_UP);
                return true;
        }
        if (what == TOKEN_RENEW) {
                send(s, &s->auth_flight, SIM_TOKEN_RENEW);
                return true;
        }
        if (what == TOKEN_LOGIN && s->now_s >= s->login_at_s) {
                send(s, &s->auth_flight, SIM_LOGIN);
                return true;
        }
        if (at != USEC_NEVER)
                *ret_at_s = (double)at / 1e6 + 1e-6;
        if (what == TOKEN_LOGIN && s->login_at_s < *ret_at_s)
                *ret_at_s = s->login_at_s;
        if (s->had_token && t->end_usec != USEC_NEVER && (double)t->end_usec / 1e6 < *ret_at_s)
                *ret_at_s = (double)t->end_usec / 1e6 + 1e-6;
        return false;
}

/* One thing at one moment. Return: false where only time can change something; *ret_at_s says until when. */
static bool step(struct sim *s, double *ret_at_s)
{
        struct life_action a;
        double at;

        tend_tokens(s);
        if (auth_step(s, &at))
                return true;
        set_away(s);
        a = life_next(&s->life, sim_instant(s));
        switch (a.step) {
        case LIFE_WAIT:
                *ret_at_s = a.at_usec == USEC_NEVER ? NEVER_S : (double)a.at_usec / 1e6 + 1e-6;
                if (at < *ret_at_s)
                        *ret_at_s = at;
                sim_check(s, *ret_at_s > s->now_s);
                return false;
        case LIFE_LOSE:
                life_lost(&s->life, a.why);
                s->served = 0;
                break;
        case LIFE_DROP: life_dropped(&s->life, a.number); break;
        case LIFE_STALE: life_stale(&s->life); break;
        default:
                s->action = a;
                life_begin(&s->life, sim_instant(s), &a);
                if (a.step == LIFE_MINT)
                        s->drew_s = s->now_s;
                send(s, &s->flight, (int)a.step);
                return true;
        }
        trace(s, life_step_text(a.step), a.number);
        s->count[a.step]++;
        return true;
}

static struct sim_flight *next_landing(struct sim *s)
{
        struct sim_flight *a = &s->flight, *b = &s->auth_flight;

        if (!a->flying || !b->flying)
                return a->flying ? a : b->flying ? b : NULL;
        return a->lands_s <= b->lands_s ? a : b;
}

void sim_run_to(struct sim *s, double seconds)
{
        double target = START_S + seconds, at, next;
        struct sim_flight *f;
        unsigned spin = 0;

        while (s->now_s < target) {
                while (step(s, &at)) {
                        sim_check(s, ++spin <= 50);
                        check_invariants(s);
                }
                spin = 0;
                next = at < target ? at : target;
                f = next_landing(s);
                if (f && f->lands_s <= next) {
                        advance(s, f->lands_s);
                        sim_land(s, f);
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

/* --- what happens to it --- */

void sim_answer_word(struct sim *s, int op, enum vault_outcome outcome, enum vault_lease_word word)
{
        s->reply[op] = (struct sim_reply){.set = outcome != VAULT_OK, .outcome = outcome, .word = word};
}

void sim_answer(struct sim *s, int op, enum vault_outcome outcome)
{
        sim_answer_word(s, op, outcome, VAULT_LEASE_UNKNOWN);
}

void sim_answer_lost(struct sim *s, int op)
{
        s->reply[op] = (struct sim_reply){.set = true, .lost = true};
}

void sim_all_well(struct sim *s)
{
        memset(s->reply, 0, sizeof(s->reply));
        s->latency_s = 0.01;
        sim_away(s, false);
}

void sim_away(struct sim *s, bool away)
{
        s->gate_shut = away;
        set_away(s);
}

void sim_wish(struct sim *s, enum life_why why)
{
        life_wish(&s->life, why, (uint64_t)(s->now_s * 1e6));
}

void sim_reject(struct sim *s, bool denied)
{
        life_on_reject(&s->life, sim_instant(s), denied);
}

void sim_suspend(struct sim *s, double seconds)
{
        s->now_s += seconds;
        s->flight.cut = s->auth_flight.cut = true;
        s->flight.lands_s = s->auth_flight.lands_s = s->now_s;
}

unsigned sim_count(const struct sim *s, int op)
{
        return s->count[op];
}

void sim_revoke_all(struct sim *s)
{
        for (unsigned i = 0; i < s->leases; i++) {
                if (s->lease[i].revoked_s >= 0)
                        continue;
                s->lease[i].revoked_s = s->now_s;
                s->lease[i].by_hand = true;
        }
}

void sim_revoke_token(struct sim *s)
{
        struct sim_token *t = &s->token[s->current_token];

        t->revoked_s = s->now_s;
        t->by_hand = true;
}

void sim_new_token(struct sim *s)
{
        sim_token_make(s);
        s->current_token = s->tokens - 1;
        sim_wish(s, LIFE_WHY_TOKEN);
}

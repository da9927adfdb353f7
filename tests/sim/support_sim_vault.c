/* tests/sim/support_sim_vault.c: the scripted Vault: what it does with each request, and what the agent is told. */
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/secret.h"
#include "tests/sim/support_sim.h"

#define FOR_EVER 1e18

bool sim_token_is_alive(const struct sim *s, unsigned token)
{
        const struct sim_token *t = &s->token[token];

        return t->revoked_s < 0 && s->now_s < t->end_s;
}

bool sim_lease_is_alive(const struct sim *s, const struct sim_lease *l)
{
        return l->revoked_s < 0 && s->now_s < l->end_s && sim_token_is_alive(s, l->token);
}

struct sim_token *sim_token_make(struct sim *s)
{
        double ttl = s->o.token_ttl_s > 0 ? s->o.token_ttl_s : s->o.token_s;
        bool renewable = s->o.token_ttl_s > 0 && !s->o.token_batch;
        struct sim_token *t = &s->token[s->tokens];

        *t = (struct sim_token){.revoked_s = -1, .end_s = ttl > 0 ? s->now_s + ttl : FOR_EVER, .max_end_s = FOR_EVER};
        if (s->o.token_max_s > 0)
                t->max_end_s = s->now_s + s->o.token_max_s;
        t->token = token_new(s->tokens + 1, secret_new_from("t", 1), "a");
        token_granted(t->token, sim_instant(s), (uint64_t)(s->now_s * 1e6), (uint64_t)(ttl * 1e6), renewable,
                      s->o.token_batch);
        s->tokens++;
        return t;
}

/* --- what is done at the server --- */

struct done {
        enum vault_outcome outcome;
        enum vault_lease_word word;
        double ttl_s;
        struct sim_lease *lease;
};

static struct sim_lease *named(struct sim *s)
{
        const struct lease *lease = life_find(&s->life, s->action.number);

        for (unsigned i = s->leases; lease && i-- > 0;)
                if (strcmp(s->lease[i].id, lease->id) == 0)
                        return &s->lease[i];
        return NULL;
}

/* A batch token caps the leases that it makes; any other one ends them without a word. */
static double capped(const struct sim *s, const struct sim_lease *l, double end_s)
{
        double cap = s->o.token_batch ? s->token[l->token].end_s : FOR_EVER;

        if (end_s > l->max_end_s)
                end_s = l->max_end_s;
        return end_s > cap ? cap : end_s;
}

static struct done do_mint(struct sim *s, unsigned token)
{
        struct sim_lease *l = &s->lease[s->leases];

        if (s->o.is_static || s->o.certificate_s > 0)
                return (struct done){.outcome = VAULT_OK};
        sim_check(s, s->leases < SIM_LEASES_MAX);
        *l = (struct sim_lease){.token = token, .minted_s = s->now_s, .revoked_s = -1, .max_end_s = FOR_EVER};
        snprintf(l->id, sizeof(l->id), "lease/%u", ++s->leases);
        if (s->o.max_s > 0)
                l->max_end_s = s->now_s + s->o.max_s;
        l->end_s = capped(s, l, s->now_s + s->o.lease_s);
        return (struct done){.outcome = VAULT_OK, .lease = l, .ttl_s = l->end_s - s->now_s};
}

static struct done do_lease(struct sim *s, int op)
{
        struct sim_lease *l = named(s);
        struct done d = {.outcome = VAULT_OK, .lease = l};

        if (op == SIM_REVOKE) {
                if (l && l->revoked_s < 0)
                        l->revoked_s = s->now_s;
                return d;
        }
        if (!l || !sim_lease_is_alive(s, l)) {
                d.outcome = VAULT_REFUSED;
                d.word = op == SIM_RENEW ? VAULT_LEASE_DOUBTFUL : VAULT_LEASE_INVALID;
                return d;
        }
        if (op == SIM_RENEW)
                l->end_s = capped(s, l, s->now_s + s->o.lease_s);
        d.ttl_s = l->end_s - s->now_s;
        return d;
}

static struct done do_token(struct sim *s, int op, unsigned token)
{
        struct sim_token *t = &s->token[token];

        if (op == SIM_TOKEN_RENEW) {
                t->end_s = s->now_s + s->o.token_ttl_s;
                if (t->end_s > t->max_end_s)
                        t->end_s = t->max_end_s;
        }
        return (struct done){.outcome = VAULT_OK, .ttl_s = t->end_s < FOR_EVER ? t->end_s - s->now_s : 0};
}

static struct done done_at_server(struct sim *s, const struct sim_flight *f)
{
        if (f->op != SIM_LOGIN && !sim_token_is_alive(s, f->token))
                return (struct done){.outcome = VAULT_FORBIDDEN};
        switch (f->op) {
        case SIM_MINT: return do_mint(s, f->token);
        case SIM_RENEW:
        case SIM_LOOK_UP:
        case SIM_REVOKE: return do_lease(s, f->op);
        case SIM_TOKEN_RENEW:
        case SIM_TOKEN_LOOK_UP: return do_token(s, f->op, f->token);
        default: return (struct done){.outcome = VAULT_OK};
        }
}

/* --- what the agent is told --- */

static void note_draw(struct sim *s, enum vault_outcome outcome)
{
        double interval = (double)s->bucket.interval_usec / 1e6;
        unsigned i = s->draws % SIM_DRAWS;

        if (!s->life.in_flight_drew)
                return;
        if (outcome != VAULT_OK && outcome != VAULT_UNREACHABLE && outcome != VAULT_MALFORMED)
                return;
        s->draw_s[i] = s->drew_s;
        s->draw_interval_s[i] = interval < s->interval_s ? interval : s->interval_s;
        s->interval_s = interval;
        s->draws++;
}

static void published(struct sim *s, uint64_t number)
{
        s->served = number;
        if (s->o.no_consumer)
                return;
        life_on_acked(&s->life, number);
        for (size_t i = 0; i < s->life.replaced_len; i++)
                life_all_moved_on(&s->life, sim_instant(s), s->life.replaced[i].number);
}

static void minted(struct sim *s, unsigned token, const struct done *d)
{
        struct lease_grant grant = {.id = "",
                                    .token = s->token[token].token,
                                    .asked_usec = (uint64_t)(s->now_s * 1e6),
                                    .renewable = !s->o.not_renewable};

        if (s->o.is_static && s->life.has_current && s->read_content == s->content) {
                life_on_same(&s->life, sim_instant(s), 0);
        } else if (s->o.is_static) {
                s->read_content = s->content;
                published(s, life_on_read(&s->life, sim_instant(s), 0));
        } else {
                if (d->lease)
                        grant.id = d->lease->id;
                else
                        grant.not_after_usec = (uint64_t)((s->now_s + s->wall_off_s + s->o.certificate_s) * 1e6);
                grant.duration_usec = (uint64_t)(d->ttl_s * 1e6 + 0.5);
                published(s, life_on_content(&s->life, sim_instant(s), &grant));
        }
}

static void tell_secret(struct sim *s, const struct sim_flight *f, const struct done *d, uint64_t retry)
{
        struct instant now = sim_instant(s);
        bool ok = d->outcome == VAULT_OK;

        switch (f->op) {
        case SIM_MINT:
                note_draw(s, d->outcome);
                if (ok)
                        minted(s, f->token, d);
                else
                        life_on_mint_failed(&s->life, now, d->outcome, retry);
                break;
        case SIM_RENEW:
                if (ok)
                        life_on_renewed(&s->life, now, now.boot_usec, (uint64_t)(d->ttl_s * 1e6 + 0.5), true);
                else
                        life_on_renew_failed(&s->life, now, d->outcome, d->word, retry);
                break;
        case SIM_LOOK_UP:
                if (ok)
                        life_on_looked_up(&s->life, now, now.boot_usec, (uint64_t)(d->ttl_s * 1e6 + 0.5));
                else if (d->outcome == VAULT_REFUSED && d->word == VAULT_LEASE_INVALID)
                        life_on_looked_up(&s->life, now, now.boot_usec, 0);
                else if (d->outcome == VAULT_FORBIDDEN && sim_token_is_alive(s, f->token))
                        life_on_look_up_forbidden(&s->life, now);
                else
                        life_on_look_up_failed(&s->life, now, retry);
                break;
        default:
                if (ok)
                        life_on_revoked(&s->life);
                else
                        life_on_revoke_failed(&s->life, now, d->outcome, retry);
        }
}

static void logged_in(struct sim *s)
{
        sim_token_make(s);
        s->current_token = s->tokens - 1;
        backoff_reset(&s->login_backoff);
        s->life.no_look_ups = false;
        life_wish(&s->life, LIFE_WHY_TOKEN, (uint64_t)(s->now_s * 1e6) + (uint64_t)(sim_random(s) * 1e6));
}

static void tell_auth(struct sim *s, const struct sim_flight *f, const struct done *d, uint64_t retry)
{
        struct token *t = s->token[f->token].token;
        struct instant now = sim_instant(s);
        uint64_t ttl = (uint64_t)(d->ttl_s + 1e-6) * 1000000; /* whole seconds */

        if (f->op == SIM_LOGIN && d->outcome == VAULT_OK)
                logged_in(s);
        else if (f->op == SIM_LOGIN)
                s->login_at_s = s->now_s + (double)backoff_next(&s->login_backoff, now.random) / 1e6;
        else if (f->op == SIM_TOKEN_RENEW && d->outcome == VAULT_OK)
                token_renewed(t, now, now.boot_usec, ttl, true);
        else if (f->op == SIM_TOKEN_RENEW)
                token_renew_failed(t, now, d->outcome, retry);
        else if (d->outcome == VAULT_OK)
                token_granted(t, now, now.boot_usec, ttl, !s->o.token_batch, s->o.token_batch);
        else if (d->outcome == VAULT_FORBIDDEN && !sim_token_is_alive(s, f->token))
                t->dead = true;
}

/* Rule 7: a 403 of a living token forbids that path; lookup-self tells, once in 10 s for all who ask. */
static void doubt(struct sim *s, unsigned token)
{
        if (token != s->current_token || s->now_s < s->doubted_s + 10)
                return;
        s->doubt = true;
        s->doubted_s = s->now_s;
}

void sim_land(struct sim *s, struct sim_flight *f)
{
        const struct sim_reply *r = &s->reply[f->op];
        struct done d;

        f->flying = false;
        if (f->cut)
                d = (struct done){.outcome = VAULT_UNREACHABLE};
        else if (r->set && !r->lost)
                d = (struct done){.outcome = r->outcome, .word = r->word};
        else
                d = done_at_server(s, f);
        if (r->lost && !f->cut) {
                if (d.lease && f->op == SIM_MINT)
                        d.lease->unknown = true;
                if (f->op == SIM_TOKEN_RENEW)
                        s->token[f->token].late = true;
                d.outcome = VAULT_UNREACHABLE;
        }
        if (f->op == SIM_REVOKE && d.outcome != VAULT_OK && named(s))
                named(s)->excused = true;
        if (d.outcome == VAULT_FORBIDDEN && f->op != SIM_LOGIN && f->op != SIM_TOKEN_LOOK_UP)
                doubt(s, f->token);
        if (f == &s->flight)
                tell_secret(s, f, &d, (uint64_t)(r->retry_after_s * 1e6));
        else
                tell_auth(s, f, &d, (uint64_t)(r->retry_after_s * 1e6));
}

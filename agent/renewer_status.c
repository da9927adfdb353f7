/* agent/renewer_status.c: what operators see and ask of the secrets under care: status, readiness, rotate. */
#include <string.h>

#include "agent/renewer_internal.h"
#include "agent/token.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/metrics.h"

#define NAMED_MAX                                                                                                      \
        20 /* in one line or answer about what is missing: ten thousand names help nobody, and cost each time */

/**
 * renewer_rotate() - an operator wants other versions
 * @r: the renewer
 * @name: NULL: all
 * @why: ROTATE or SIGNAL
 * @ret_body: new, unless 404: {"rotating":[...],"waiting":[{"name","retry_after"}]}
 * @ret_retry_after_usec: where nothing can rotate now: when it can
 *
 * Return: HTTP status: 202; 404: no such secret; 429: none can now (they will, when they can).
 */
int renewer_rotate(struct renewer *r, const char *name, enum life_why why, json_t **ret_body,
                   uint64_t *ret_retry_after_usec)
{
        json_t *rotating = json_array(), *waiting = json_array();
        uint64_t soonest = USEC_NEVER;
        unsigned found = 0;
        struct keeper *k, *next;

        for (k = r->keepers; k; k = next) {
                struct life_action action;
                struct instant now = renewer_now();
                uint64_t wait;

                next = k->next;
                if (!k->cfg || (name && strcmp(k->name, name) != 0))
                        continue;
                found++;
                life_wish(&k->life, why, now.boot_usec);
                action = life_next(&k->life, now);
                wait = life_wish_wait_usec(&k->life, now);
                if (action.step == LIFE_MINT || wait == 0) {
                        json_array_append_new(rotating, json_string(k->name));
                } else {
                        json_array_append_new(waiting,
                                              json_pack("{s:s, s:I}", "name", k->name, "retry_after",
                                                        (json_int_t)((wait + USEC_PER_SEC - 1) / USEC_PER_SEC)));
                        soonest = usec_min(soonest, wait);
                }
                keeper_step(k);
        }
        if (name && found == 0) {
                json_decref(rotating);
                json_decref(waiting);
                return 404;
        }
        *ret_body = json_pack("{s:o, s:o}", "rotating", rotating, "waiting", waiting);
        *ret_retry_after_usec = soonest == USEC_NEVER ? 0 : soonest;
        return json_array_size(rotating) == 0 && json_array_size(waiting) > 0 ? 429 : 202;
}

static json_t *time_or_null(uint64_t wall_usec)
{
        char text[CLOCK_TEXT_LEN];

        return wall_usec == USEC_NEVER || wall_usec == 0 ? json_null() : json_string(clock_rfc3339(wall_usec, text));
}

static const char *state_text(const struct keeper *k)
{
        if (!store_current(k->secret))
                return k->error ? "failing" : "waiting";
        if (k->life.current.failing)
                return "stale";
        if (k->life.mint_failing)
                return "degraded";
        return k->life.replaced_len > 0 ? "replacing" : "valid";
}

static json_t *holders_of(const struct keeper *k)
{
        json_t *all = json_array(), *some;

        for (size_t i = 0; i < k->life.replaced_len; i++) {
                some = store_holders(k->secret, k->life.replaced[i].number);
                json_array_extend(all, some);
                json_decref(some);
        }
        return all;
}

/* A static secret is read, not minted. */
static const char *step_text(const struct keeper *k, enum life_step step)
{
        return step == LIFE_MINT && k->life.kind == KIND_STATIC ? "read" : life_step_text(step);
}

static const char *next_text(const struct keeper *k, const struct life_action *a)
{
        if (k->life.in_flight != LIFE_WAIT)
                return step_text(k, k->life.in_flight);
        if (k->life.away)
                return "wait for Vault";
        if (a->budget)
                return "wait for the mint budget";
        return step_text(k, a->step == LIFE_WAIT ? life_next_step(&k->life, renewer_now()) : a->step);
}

static json_t *describe(const struct keeper *k)
{
        struct instant now = renewer_now();
        struct life_action a = life_next(&k->life, now);
        const struct store_version *v = store_current(k->secret);
        uint64_t at = a.at_usec == USEC_NEVER ? USEC_NEVER
                                              : usec_add(now.wall_usec, a.at_usec - usec_min(a.at_usec, now.boot_usec));
        json_t *j = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "name", k->name, "kind", secret_kind_text(k->life.kind),
                              "version", (json_int_t)(v ? v->number : 0), "state", state_text(k), "next_action",
                              next_text(k, &a), "why", life_why_text(a.why != LIFE_WHY_NONE ? a.why : k->life.wish));

        json_object_set_new(j, "expires_at", v ? time_or_null(store_expires_at(v)) : json_null());
        json_object_set_new(j, "issued_at", v ? time_or_null(v->issued_usec) : json_null());
        json_object_set_new(j, "next_action_at", time_or_null(at));
        json_object_set_new(j, "refreshed_at", time_or_null(k->refreshed_usec));
        json_object_set_new(j, "refreshed_usec", json_integer((json_int_t)k->refreshed_usec));
        json_object_set_new(j, "required", json_boolean(k->cfg->required));
        json_object_set_new(j, "held_by", holders_of(k));
        json_object_set_new(j, "last_error", k->error ? json_string(k->error) : json_null());
        return j;
}

json_t *renewer_status(const struct renewer *r)
{
        json_t *list = json_array();

        for (struct store_secret *s = store_next(r->ctx.store, NULL); s; s = store_next(r->ctx.store, s))
                json_array_append_new(list, describe(store_tag(s)));
        return list;
}

/**
 * renewer_write_lives() - the samples of leasekeeper_secret_life_seconds, a metric_rows_fn
 * @rows: to be written to
 * @arg: the renewer
 *
 * The life of which alerts take a third or a tenth, as the rules count it: a lease's first duration, or its token's life where
 * that ends it; a certificate's time from receipt to notAfter.
 */
void renewer_write_lives(struct metric_rows *rows, void *arg)
{
        const struct renewer *r = arg;
        struct instant now = renewer_now();

        for (const struct keeper *k = r->keepers; k; k = k->next) {
                uint64_t end = k->life.has_current ? lease_end_usec(&k->life.current, now) : USEC_NEVER;

                if (!k->cfg || !store_current(k->secret) || end == USEC_NEVER)
                        continue;
                metric_row(rows, (double)(end - lease_last_tenth_usec(&k->life.current, now)) / 1e5, k->name,
                           secret_kind_text(k->life.kind));
        }
}

static bool is_missing(const struct keeper *k)
{
        return k->cfg && k->cfg->required && !store_current(k->secret);
}

/* What Vault said last tells more than that there is nothing yet. */
static const char *why_nothing(const struct keeper *k)
{
        return k->error ? k->error : store_reason(k->secret);
}

bool renewer_required_ready(const struct renewer *r, char **ret_missing)
{
        struct buf text = BUF_INIT;
        unsigned n = 0;

        for (const struct keeper *k = r->nothing_valid > 0 ? r->keepers : NULL; k; k = k->next)
                if (is_missing(k) && ++n <= NAMED_MAX)
                        buf_printf(&text, "%s%s (%s)", text.len > 0 ? ", " : "", k->name, why_nothing(k));
        if (n > NAMED_MAX)
                buf_printf(&text, " and %u more", n - NAMED_MAX);
        if (n == 0) {
                buf_done(&text);
                return true;
        }
        *ret_missing = buf_take(&text);
        return false;
}

static void add_reason(json_t *reasons, const char *name, const char *text)
{
        cleanup_free char *line = mem_printf("%s: %s", name, text);

        json_array_append_new(reasons, json_string(line));
}

bool renewer_all_good(const struct renewer *r, json_t *reasons)
{
        unsigned n = 0;

        if (r->save_failing)
                add_reason(reasons, "state", "it cannot be written; nothing new is asked of Vault until it can");

        for (const struct keeper *k = r->keepers; k; k = k->next) {
                const char *why = NULL;

                if (k->cfg && !store_current(k->secret))
                        why = why_nothing(k);
                else if (k->cfg && (k->life.current.failing || k->life.mint_failing))
                        why = k->error ? k->error : "cannot be renewed or read again";
                if (why && ++n <= NAMED_MAX)
                        add_reason(reasons, k->name, why);
        }
        if (n > NAMED_MAX)
                json_array_append_new(reasons, json_sprintf("%u more fail", n - NAMED_MAX));
        return n == 0 && !r->save_failing;
}

bool renewer_any_required_lost(const struct renewer *r, json_t *reasons)
{
        unsigned n = 0;

        for (const struct keeper *k = r->nothing_valid > 0 ? r->keepers : NULL; k; k = k->next)
                if (is_missing(k) && ++n <= NAMED_MAX)
                        add_reason(reasons, k->name, why_nothing(k));
        if (n > NAMED_MAX)
                json_array_append_new(reasons, json_sprintf("%u more have nothing valid", n - NAMED_MAX));
        return n > 0;
}

unsigned renewer_leaving(const struct renewer *r)
{
        unsigned n = 0;

        for (struct keeper *k = r->keepers; k; k = k->next)
                n += k->cfg == NULL;
        return n;
}

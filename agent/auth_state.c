/* agent/auth_state.c: tokens and login credentials in the state (rule 10). */
#include <stdlib.h>
#include <string.h>

#include "agent/auth_internal.h"
#include "agent/state.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/secret.h"

static void set_secret(json_t *obj, const char *key, const struct secret *s)
{
        if (s)
                json_object_set_new(obj, key, json_stringn(secret_bytes(s), secret_len(s)));
}

static struct secret *get_secret(const json_t *obj, const char *key)
{
        const json_t *value = json_object_get(obj, key);

        return json_is_string(value) ? secret_new_from(json_string_value(value), json_string_length(value)) : NULL;
}

static json_t *pack_token(const struct token *t)
{
        json_t *j = json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:b, s:b, s:b}", "generation", (json_int_t)t->generation,
                              "accessor", t->accessor, "first_usec", (json_int_t)t->first_usec, "end_usec",
                              t->end_usec == USEC_NEVER ? (json_int_t)-1 : (json_int_t)t->end_usec, "last_start_usec",
                              (json_int_t)t->last_start_usec, "renew_usec",
                              t->renew_usec == USEC_NEVER ? (json_int_t)-1 : (json_int_t)t->renew_usec, "renewable",
                              t->renewable, "is_batch", t->is_batch, "refused_lookup", t->refused_lookup);

        set_secret(j, "value", t->value);
        return j;
}

static uint64_t time_or_never(const json_t *obj, const char *key)
{
        uint64_t value;

        return json_u64(obj, key, &value) ? value : USEC_NEVER;
}

static struct token *unpack_token(const json_t *j)
{
        struct secret *value = get_secret(j, "value");
        uint64_t generation, life;
        struct token *t;

        if (!value || !json_u64(j, "generation", &generation)) {
                secret_free(value);
                return NULL;
        }
        t = token_new(generation, value, json_str(j, "accessor"));
        t->end_usec = time_or_never(j, "end_usec");
        t->renew_usec = time_or_never(j, "renew_usec");
        json_u64(j, "first_usec", &t->first_usec);
        json_u64(j, "last_start_usec", &t->last_start_usec);
        t->renewable = json_flag(j, "renewable");
        t->is_batch = json_flag(j, "is_batch");
        t->refused_lookup = json_flag(j, "refused_lookup");
        life = t->first_usec;
        t->backoff = (struct backoff){.base_usec = usec_min(10 * USEC_PER_SEC, life / 50),
                                      .cap_usec = usec_min(300 * USEC_PER_SEC, life / 10)};
        return t;
}

/**
 * auth_save() - writes tokens, login credentials and refusals
 * @a: the auth
 *
 * Return: 0, or -errno (the caller says what follows).
 */
int auth_save(struct auth *a)
{
        /* Logged in and not yet looked up: a restart takes it for current, and logs in no second time. */
        const struct token *candidate = a->method->login ? a->candidate : NULL;
        json_t *tokens = json_array(), *top;

        for (size_t i = 0; i < a->old_len; i++)
                json_array_append_new(tokens, pack_token(a->old[i]));
        if (a->token && !a->token->dead)
                json_array_append_new(tokens, pack_token(a->token));
        if (candidate)
                json_array_append_new(tokens, pack_token(candidate));
        top = json_pack("{s:o, s:b, s:I, s:i, s:I, s:I, s:b}", "tokens", tokens, "has_current",
                        candidate || (a->token && !a->token->dead), "last_generation", (json_int_t)a->last_generation,
                        "refusals", (int)a->refusals, "login_usec", (json_int_t)a->login_usec, "hidden_login_usec",
                        (json_int_t)a->hidden_login_usec, "from_file", a->credentials.from_file);
        set_secret(top, "kept", a->credentials.kept);
        set_secret(top, "wrapping", a->credentials.wrapping);
        set_secret(top, "seen", a->credentials.seen);
        set_secret(top, "role", a->credentials.role);
        return state_save_tokens(a->state, top);
}

static void load_tokens(struct auth *a, const json_t *top)
{
        json_t *list = json_object_get(top, "tokens"), *item;
        struct token *t;
        size_t i;

        json_array_foreach (list, i, item) {
                t = unpack_token(item);
                if (!t)
                        continue;
                a->last_generation = usec_max(a->last_generation, t->generation);
                if (i + 1 == json_array_size(list) && json_flag(top, "has_current"))
                        a->token = t;
                else if (a->old_len < AUTH_OLD_MAX)
                        a->old[a->old_len++] = t;
                else
                        token_unref(t);
        }
}

/**
 * auth_load() - takes over what the state holds
 * @a: new
 */
void auth_load(struct auth *a)
{
        cleanup_json json_t *top = NULL;
        uint64_t value;

        a->last_generation = clock_realtime_usec() / 1000; /* a set-aside state's leases name other generations */
        if (state_load_tokens(a->state, &top) < 0)
                return;
        load_tokens(a, top);
        if (json_u64(top, "last_generation", &value))
                a->last_generation = usec_max(a->last_generation, value);
        if (json_u64(top, "refusals", &value))
                a->refusals = (unsigned)usec_min(value, 1000);
        json_u64(top, "login_usec", &a->login_usec);
        json_u64(top, "hidden_login_usec", &a->hidden_login_usec);
        a->credentials.kept = get_secret(top, "kept");
        a->credentials.wrapping = get_secret(top, "wrapping");
        a->credentials.seen = get_secret(top, "seen");
        a->credentials.role = get_secret(top, "role");
        a->credentials.from_file = json_flag(top, "from_file");
}

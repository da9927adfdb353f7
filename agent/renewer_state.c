/* agent/renewer_state.c: one secret in the state, and back (rule 10). */
#include <errno.h>
#include <string.h>

#include "agent/auth.h"
#include "agent/renewer_internal.h"
#include "agent/state.h"
#include "agent/token.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/secret.h"

static json_t *pack_time(uint64_t usec)
{
        return json_integer(usec == USEC_NEVER ? -1 : (json_int_t)usec);
}

static uint64_t time_of(const json_t *obj, const char *key)
{
        uint64_t value;

        return json_u64(obj, key, &value) ? value : USEC_NEVER;
}

static json_t *pack_lease(const struct lease *l)
{
        json_t *j = json_pack("{s:I, s:s, s:I, s:b, s:b, s:b, s:b, s:b, s:I}", "number", (json_int_t)l->number, "id",
                              l->id, "generation", (json_int_t)(l->token ? l->token->generation : 0), "movable",
                              l->movable, "failing", l->failing, "acked", l->acked, "rejected", l->rejected,
                              "revoke_refused", l->revoke_refused, "first_usec", (json_int_t)l->first_usec);

        json_object_set_new(j, "issued_wall_usec", pack_time(l->issued_wall_usec));
        json_object_set_new(j, "end_usec", pack_time(l->end_usec));
        json_object_set_new(j, "end_wall_usec", pack_time(l->end_wall_usec));
        json_object_set_new(j, "replace_wall_usec", pack_time(l->replace_wall_usec));
        json_object_set_new(j, "renew_usec", pack_time(l->renew_usec));
        json_object_set_new(j, "verify_every_usec", pack_time(l->verify_every_usec));
        return j;
}

/* What a lease with a token that nobody knows any more is good for: it lives to its end, and is replaced soon. */
static int unpack_lease(struct keeper *k, const json_t *j, struct lease *ret_lease)
{
        const char *id = json_str(j, "id");
        struct lease l = {.revoke_usec = USEC_NEVER, .verify_usec = USEC_NEVER};
        uint64_t generation = 0;

        if (!id || !json_u64(j, "number", &l.number) || !json_u64(j, "first_usec", &l.first_usec) ||
            !json_u64(j, "issued_wall_usec", &l.issued_wall_usec))
                return -EBADMSG;
        l.end_usec = time_of(j, "end_usec");
        l.end_wall_usec = time_of(j, "end_wall_usec");
        l.replace_wall_usec = time_of(j, "replace_wall_usec");
        l.renew_usec = time_of(j, "renew_usec");
        l.verify_every_usec = time_of(j, "verify_every_usec");
        if (l.verify_every_usec == USEC_NEVER)
                l.verify_every_usec = 0;
        l.movable = json_flag(j, "movable");
        l.failing = json_flag(j, "failing");
        l.acked = json_flag(j, "acked");
        l.rejected = json_flag(j, "rejected");
        l.revoke_refused = json_flag(j, "revoke_refused");
        l.backoff = (struct backoff){.base_usec = usec_min(10 * USEC_PER_SEC, l.first_usec / 50),
                                     .cap_usec = usec_min(300 * USEC_PER_SEC, l.first_usec / 10)};
        l.revoke_backoff = (struct backoff){.base_usec = USEC_PER_SEC, .cap_usec = 60 * USEC_PER_SEC};
        l.id = lease_id_new(id);
        if (*id != '\0' && json_u64(j, "generation", &generation))
                l.token = token_ref(auth_find(k->renewer->ctx.auth, generation));
        if (l.token)
                l.token->leases++;
        *ret_lease = l;
        return 0;
}

static json_t *pack_bucket(const struct bucket *b)
{
        return json_pack("{s:f, s:I, s:I, s:I}", "tokens", b->tokens, "interval_usec", (json_int_t)b->interval_usec,
                         "at_usec", (json_int_t)b->at_usec, "shut_usec", (json_int_t)b->shut_usec);
}

static void set_text(json_t *obj, const char *key, const struct secret *text)
{
        if (text)
                json_object_set_new(obj, key, json_stringn(secret_bytes(text), secret_len(text)));
}

/**
 * keeper_save() - writes one secret's file
 * @k: the keeper
 * @newest: the version that is about to be published; NULL: the one that waits to be saved, or the store's current one
 *
 * Return: 0; -errno, logged once until it works again.
 */
int keeper_save(struct keeper *k, const struct store_version *newest)
{
        cleanup_free char *identity = k->cfg ? config_secret_identity(k->cfg) : mem_strdup("");
        const struct store_version *served = k->secret ? store_current(k->secret) : NULL;
        const struct store_version *v = newest ? newest : k->unsaved ? k->unsaved : served;
        json_t *replaced = json_array(), *top;
        int r;

        for (size_t i = 0; i < k->life.replaced_len; i++)
                json_array_append_new(replaced, pack_lease(&k->life.replaced[i]));
        top = json_pack("{s:s, s:i, s:I, s:I, s:o}", "identity", identity, "kind", (int)k->life.kind, "last_number",
                        (json_int_t)k->life.last_number, "grace_usec", (json_int_t)k->life.config.grace_usec,
                        "replaced", replaced);
        if (k->budget)
                json_object_set_new(top, "bucket", pack_bucket(&k->budget->bucket));
        if (k->secret)
                json_object_set_new(top, "readers", store_save_readers(k->secret));
        if (k->life.has_current && v) {
                json_object_set_new(top, "current", pack_lease(&k->life.current));
                set_text(top, "data", v->data);
                set_text(top, "envelope", v->envelope);
        }
        r = state_save_secret(k->renewer->ctx.state, k->name, top);
        if (r < 0 && !k->renewer->save_failing)
                log_error("%s: the state cannot be written: %s; nothing new is minted until it can: make room in "
                          "state_dir",
                          k->name, strerror(-r));
        if (r == 0 && k->renewer->save_failing)
                log_info("the state can be written again");
        k->renewer->save_failing = r < 0;
        return r;
}

static struct secret *text_of(const json_t *obj, const char *key)
{
        const json_t *value = json_object_get(obj, key);

        return json_is_string(value) ? secret_new_from(json_string_value(value), json_string_length(value)) : NULL;
}

static void load_bucket(struct keeper *k, const json_t *j)
{
        struct bucket *b = k->budget ? &k->budget->bucket : NULL;
        double tokens = json_number_value(json_object_get(j, "tokens"));
        uint64_t interval, at;

        if (!b || !json_u64(j, "interval_usec", &interval) || !json_u64(j, "at_usec", &at) || interval == 0)
                return;
        b->interval_usec = usec_min(usec_max(interval, USEC_PER_SEC), 60 * USEC_PER_SEC);
        b->tokens = tokens < b->tokens ? tokens : b->tokens;
        b->at_usec = usec_min(at, clock_boottime_usec());
        json_u64(j, "shut_usec", &b->shut_usec);
}

static void load_replaced(struct keeper *k, const json_t *list)
{
        struct lease l;
        json_t *item;
        size_t i;

        json_array_foreach (list, i, item)
                if (unpack_lease(k, item, &l) == 0)
                        life_adopt_replaced(&k->life, renewer_now(), &l);
}

/* The saved current version: served at once, to its saved end. */
static void load_current(struct keeper *k, const json_t *top)
{
        struct store_version v = {.end_boot_usec = USEC_NEVER, .end_wall_usec = USEC_NEVER};
        struct instant now = renewer_now();
        struct lease l;

        if (unpack_lease(k, json_object_get(top, "current"), &l) < 0)
                return;
        if (!k->cfg) {
                life_adopt_replaced(&k->life, now, &l);
                return;
        }
        v.data = text_of(top, "data");
        if (!v.data) {
                lease_end(&l);
                return;
        }
        l.unnamed = store_read_unnamed(k->secret, l.number);
        if (*l.id != '\0' && l.end_wall_usec == USEC_NEVER)
                l.verify_usec = now.boot_usec; /* is it still alive? Asked as soon as Vault allows */
        life_adopt_current(&k->life, &l);
        if (*l.id != '\0' && !l.token)
                life_wish(&k->life, LIFE_WHY_TOKEN, now.boot_usec);
        v.number = l.number;
        v.issued_usec = l.issued_wall_usec;
        v.end_boot_usec = l.end_wall_usec == USEC_NEVER ? lease_end_usec(&l, now) : USEC_NEVER;
        v.end_wall_usec = l.end_wall_usec;
        v.stale = l.failing;
        v.envelope = text_of(top, "envelope");
        v.lease_id = *l.id != '\0' ? mem_strdup(l.id) : NULL;
        keeper_publish(k, &v);
}

/**
 * keeper_load() - takes over what the state holds for one secret
 * @k: new
 *
 * Return: 0; 1 where it was made for another path or other parameters; -ENOENT where there is nothing to take over.
 */
int keeper_load(struct keeper *k)
{
        cleanup_free char *identity = k->cfg ? config_secret_identity(k->cfg) : NULL;
        cleanup_json json_t *top = NULL;
        uint64_t kind, last;
        const char *saved;
        int r = state_load_secret(k->renewer->ctx.state, k->name, &top);

        if (r < 0)
                return r;
        if (json_u64(top, "kind", &kind) && kind <= KIND_CERTIFICATE)
                k->life.kind = (enum secret_kind)kind;
        keeper_match_kind(k);
        keeper_need_budget(k);
        if (json_u64(top, "last_number", &last))
                k->life.last_number = last;
        if (!k->cfg) /* it went with the name; where it is damaged the default stays */
                json_u64(top, "grace_usec", &k->life.config.grace_usec);
        load_bucket(k, json_object_get(top, "bucket"));
        load_replaced(k, json_object_get(top, "replaced"));
        if (k->secret) /* before the current version is there: they are told apart by their order */
                store_load_readers(k->secret, json_object_get(top, "readers"));
        load_current(k, top);
        saved = json_str(top, "identity");
        return identity && saved && strcmp(identity, saved) != 0 ? 1 : 0;
}

/* agent/store.c: name -> current version, and whoever wants to be told when that changes. */
#include "agent/store.h"

#include <string.h>

#include "agent/config.h"
#include "agent/store_private.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

static int compare_names(const struct store_secret *a, const struct store_secret *b)
{
        return strcmp(a->cfg->name, b->cfg->name);
}

static int compare_paths(const struct store_secret *a, const struct store_secret *b)
{
        int order = strcmp(a->cfg->path, b->cfg->path);

        return order ? order : compare_names(a, b);
}

/* Return: the first place whose secret is not before `key`. */
static size_t index_place(const struct store_index *x, const struct store_secret *key)
{
        size_t from = 0, to = x->len;

        while (from < to) {
                size_t middle = from + (to - from) / 2;

                if (x->compare(x->items[middle], key) < 0)
                        from = middle + 1;
                else
                        to = middle;
        }
        return from;
}

static void index_insert(struct store_index *x, struct store_secret *s)
{
        size_t at = index_place(x, s);

        if (x->len == x->cap) {
                x->cap = x->cap ? x->cap * 2 : 16;
                x->items = mem_resize(x->items, x->cap, sizeof(struct store_secret *));
        }
        memmove(&x->items[at + 1], &x->items[at], (x->len - at) * sizeof(struct store_secret *));
        x->items[at] = s;
        x->len++;
}

static void index_remove(struct store_index *x, const struct store_secret *s)
{
        size_t at = index_place(x, s);

        x->len--;
        memmove(&x->items[at], &x->items[at + 1], (x->len - at) * sizeof(struct store_secret *));
}

static void version_done(struct store_version *v)
{
        secret_free(v->data);
        secret_free(v->envelope);
        mem_free(v->lease_id);
        *v = (struct store_version){0};
}

static void secret_done(struct store_secret *s)
{
        version_done(&s->current);
        readers_done(&s->readers, s->store->consumers);
        mem_free(s->reason);
        mem_free(s);
}

static void tell(struct store *st, struct store_secret *s, enum store_change change)
{
        for (size_t i = 0; i < st->subscribers_len; i++)
                st->subscribers[i].fn(s, change, st->subscribers[i].arg);
}

static void set_reason(struct store_secret *s, const char *reason)
{
        char *copy = mem_strdup(reason);

        mem_free(s->reason);
        s->reason = copy;
}

/**
 * store_new() - an empty store
 *
 * Return: new; store_free() it.
 */
struct store *store_new(void)
{
        struct store *st = mem_new(sizeof(*st));

        st->by_name.compare = compare_names;
        st->by_path.compare = compare_paths;
        st->consumers = consumers_new();
        return st;
}

/**
 * store_free() - wipes and frees all; tells nobody
 * @st: takes NULL; what hands out is stopped before
 *
 * Return: NULL.
 */
struct store *store_free(struct store *st)
{
        if (!st)
                return NULL;
        for (size_t i = 0; i < st->by_name.len; i++)
                secret_done(st->by_name.items[i]);
        mem_free(st->by_name.items);
        mem_free(st->by_path.items);
        consumers_free(st->consumers);
        mem_free(st->subscribers);
        return mem_free(st);
}

/* --- for renewer and agent --- */

/**
 * store_add() - a secret that is to be kept, with nothing in it yet
 * @st:            the store
 * @cfg:           borrowed until store_set_config() or store_remove(); its name is not there yet
 * @kind:          as far as it is known
 * @first_version: the number that its first content gets, where store_publish() is left to count
 *
 * Return: borrowed until store_remove().
 */
struct store_secret *store_add(struct store *st, const struct config_secret *cfg, enum secret_kind kind,
                               uint64_t first_version)
{
        struct store_secret *s = mem_new(sizeof(*s));

        s->store = st;
        s->cfg = cfg;
        s->kind = kind;
        s->first_version = first_version;
        index_insert(&st->by_name, s);
        index_insert(&st->by_path, s);
        return s;
}

/**
 * store_set_config() - the secret's rules and outputs after a reload; tells STORE_RIGHTS
 * @st:  the store
 * @s:   the secret
 * @cfg: of the same name; borrowed like store_add()'s
 */
void store_set_config(struct store *st, struct store_secret *s, const struct config_secret *cfg)
{
        index_remove(&st->by_path, s);
        index_remove(&st->by_name, s);
        s->cfg = cfg;
        index_insert(&st->by_name, s);
        index_insert(&st->by_path, s);
        tell(st, s, STORE_RIGHTS);
}

/**
 * store_set_kind() - the kind, once an answer has shown it
 * @s:    the secret
 * @kind: what it is
 */
void store_set_kind(struct store_secret *s, enum secret_kind kind)
{
        s->kind = kind;
}

static bool is_stopping(const struct store_secret *s)
{
        return s->reason && strcmp(s->reason, STORE_STOPPING) == 0;
}

/**
 * store_remove() - the secret left the configuration; tells STORE_LOST, with the reason STORE_REMOVED unless the agent is
 *                  stopping anyway
 * @st: the store
 * @s:  dead when this returns
 */
void store_remove(struct store *st, struct store_secret *s)
{
        version_done(&s->current);
        s->removed = true;
        if (!is_stopping(s))
                set_reason(s, STORE_REMOVED);
        tell(st, s, STORE_LOST);
        index_remove(&st->by_name, s);
        index_remove(&st->by_path, s);
        secret_done(s);
}

/**
 * store_publish() - another version becomes the current one; tells STORE_NEW
 * @st: the store
 * @s:  the secret
 * @v:  its members are taken and the struct is emptied but for its number; number 0: the next one is given
 */
void store_publish(struct store *st, struct store_secret *s, struct store_version *v)
{
        if (v->number == 0)
                v->number = s->last_number ? s->last_number + 1 : s->first_version;
        version_done(&s->current);
        s->current = *v;
        *v = (struct store_version){.number = s->current.number};
        if (s->current.lease_id && s->current.lease_id[0] == '\0')
                s->current.lease_id = mem_free(s->current.lease_id);
        s->last_number = s->current.number;
        s->reason = mem_free(s->reason);
        readers_publish(&s->readers, st->consumers, s->current.number, s->current.lease_id != NULL);
        tell(st, s, STORE_NEW);
}

/**
 * store_update_end() - the current version's lease was renewed, or could not be; tells STORE_LEASE where something changed
 * @st:            the store
 * @s:             the secret
 * @end_boot_usec: the lease's end
 * @stale:         has a renewal failed since the last good one (rule 9)?
 */
void store_update_end(struct store *st, struct store_secret *s, uint64_t end_boot_usec, bool stale)
{
        struct store_version *v = &s->current;

        if (!v->data || (v->end_boot_usec == end_boot_usec && v->stale == stale))
                return;
        v->end_boot_usec = end_boot_usec;
        v->stale = stale;
        tell(st, s, STORE_LEASE);
}

/**
 * store_lose() - the current version ended and none follows yet; tells STORE_LOST
 * @st:     the store
 * @s:      the secret; its data is wiped. Without a current version only the reason is noted
 * @reason: for people, copied
 */
void store_lose(struct store *st, struct store_secret *s, const char *reason)
{
        bool had = s->current.data != NULL;

        version_done(&s->current);
        set_reason(s, reason);
        if (had || is_stopping(s))
                tell(st, s, STORE_LOST);
}

/**
 * store_set_control() - where the calls from below the seam go
 * @st:      the store
 * @control: copied
 * @arg:     borrowed, for each of them
 */
void store_set_control(struct store *st, const struct store_control *control, void *arg)
{
        st->control = *control;
        st->control_arg = arg;
}

/**
 * store_control() - what store_set_control() was given
 * @st:      the store
 * @ret_arg: for each call
 *
 * Return: borrowed; each member may be NULL.
 */
const struct store_control *store_control(const struct store *st, void **ret_arg)
{
        *ret_arg = st->control_arg;
        return &st->control;
}

/* --- for what hands out --- */

/**
 * store_subscribe() - asks to be told of every change
 * @st:  the store
 * @fn:  called while the change is made: it may read the store and call store_give(), nothing else of it
 * @arg: borrowed
 */
void store_subscribe(struct store *st, store_fn fn, void *arg)
{
        st->subscribers = mem_resize(st->subscribers, st->subscribers_len + 1, sizeof(*st->subscribers));
        st->subscribers[st->subscribers_len++] = (struct subscriber){fn, arg};
}

/**
 * store_unsubscribe() - the end of store_subscribe()
 * @st:  the store
 * @fn:  as it was given
 * @arg: as it was given
 */
void store_unsubscribe(struct store *st, store_fn fn, void *arg)
{
        for (size_t i = 0; i < st->subscribers_len; i++) {
                struct subscriber *sub = &st->subscribers[i];

                if (sub->fn != fn || sub->arg != arg)
                        continue;
                st->subscribers_len--;
                memmove(sub, sub + 1, (st->subscribers_len - i) * sizeof(*sub));
                return;
        }
}

/**
 * store_find() - the secret of that name
 * @st:   the store
 * @name: any text
 *
 * Return: borrowed; NULL: none.
 */
struct store_secret *store_find(const struct store *st, const char *name)
{
        size_t from = 0, to = st->by_name.len;

        while (from < to) {
                size_t middle = from + (to - from) / 2;
                int order = strcmp(st->by_name.items[middle]->cfg->name, name);

                if (order == 0)
                        return st->by_name.items[middle];
                if (order < 0)
                        from = middle + 1;
                else
                        to = middle;
        }
        return NULL;
}

/**
 * store_next() - one secret after the other, in the order of their names
 * @st:    the store
 * @after: where to go on; NULL: at the first
 *
 * Return: borrowed; NULL: that was the last.
 */
struct store_secret *store_next(const struct store *st, const struct store_secret *after)
{
        size_t at = after ? index_place(&st->by_name, after) + 1 : 0;

        return at < st->by_name.len ? st->by_name.items[at] : NULL;
}

/**
 * store_next_at() - the secrets that are read from one path in Vault, in the order of their names
 * @st:    the store
 * @path:  as in struct config_secret
 * @after: where to go on; NULL: at the first
 *
 * Return: borrowed; NULL: that was the last.
 */
struct store_secret *store_next_at(const struct store *st, const char *path, const struct store_secret *after)
{
        size_t at;

        if (after) {
                at = index_place(&st->by_path, after) + 1;
        } else {
                size_t to = st->by_path.len;

                for (at = 0; at < to;) {
                        size_t middle = at + (to - at) / 2;

                        if (strcmp(st->by_path.items[middle]->cfg->path, path) < 0)
                                at = middle + 1;
                        else
                                to = middle;
                }
        }
        if (at >= st->by_path.len || strcmp(st->by_path.items[at]->cfg->path, path) != 0)
                return NULL;
        return st->by_path.items[at];
}

/**
 * store_config() - what the operator wants of it
 * @s: the secret
 *
 * Return: borrowed until the next STORE_RIGHTS or STORE_LOST.
 */
const struct config_secret *store_config(const struct store_secret *s)
{
        return s->cfg;
}

/**
 * store_name() - its name
 * @s: the secret
 *
 * Return: borrowed like store_config().
 */
const char *store_name(const struct store_secret *s)
{
        return s->cfg->name;
}

/**
 * store_kind() - its kind
 * @s: the secret
 *
 * Return: as far as it is known.
 */
enum secret_kind store_kind(const struct store_secret *s)
{
        return s->kind;
}

/**
 * store_current() - the version that is handed out now
 * @s: the secret
 *
 * Return: borrowed until the next change; NULL: nothing valid, store_reason() says why.
 */
const struct store_version *store_current(const struct store_secret *s)
{
        return s->current.data ? &s->current : NULL;
}

/**
 * store_last_number() - the number of the current version, or of the last one
 * @s: the secret
 *
 * Return: 0: there was none yet.
 */
uint64_t store_last_number(const struct store_secret *s)
{
        return s->last_number;
}

/**
 * store_reason() - why there is no current version
 * @s: the secret
 *
 * Return: borrowed until the next change.
 */
const char *store_reason(const struct store_secret *s)
{
        return s->reason ? s->reason : "not fetched yet";
}

/**
 * store_is_removed() - has it left the configuration?
 * @s: the secret
 *
 * Return: true only during the STORE_LOST that store_remove() tells: let go of it then.
 */
bool store_is_removed(const struct store_secret *s)
{
        return s->removed;
}

/**
 * store_expires_at() - when a version ends, by the wall clock
 * @v: the version
 *
 * Return: usec; USEC_NEVER: it does not end.
 */
uint64_t store_expires_at(const struct store_version *v)
{
        uint64_t end = v->end_wall_usec, boot, wall, lease_end;

        if (v->end_boot_usec == USEC_NEVER)
                return end;
        boot = clock_boottime_usec();
        wall = clock_realtime_usec();
        lease_end = v->end_boot_usec >= boot ? wall + (v->end_boot_usec - boot) : wall - (boot - v->end_boot_usec);
        return lease_end < end ? lease_end : end;
}

/**
 * store_tag() - what store_set_tag() was given
 * @s: the secret
 *
 * Return: borrowed; NULL at first.
 */
void *store_tag(const struct store_secret *s)
{
        return s->tag;
}

/**
 * store_set_tag() - the one pointer that the renewer may hang on a secret
 * @s:   the secret
 * @tag: borrowed
 */
void store_set_tag(struct store_secret *s, void *tag)
{
        s->tag = tag;
}

/* agent/store_readers.c: the bookkeeping behind rule 3: versions that still matter, their readers, their acknowledgements. */
#include "agent/store_readers.h"

#include <errno.h>
#include <string.h>

#include "common/mem.h"
#include "common/parse.h"

struct consumer {
        uid_t uid;
        unsigned holds; /* one for each secret that has it as a reader, one for each open stream */
        unsigned open;  /* streams */
        uint64_t heard; /* in which turn of the registry it was last there */
        char id[];
};

struct consumers_of_uid {
        uid_t uid;
        unsigned len;
        struct consumer *items[CONSUMERS_PER_UID];
};

struct consumers {
        struct consumers_of_uid **uids;
        size_t uids_len, len;
        uint64_t turn; /* counts who came: an order, not a time */
};

struct kept {
        uint64_t version;
        bool unnamed; /* somebody without a name read it */
        bool leased;  /* the renewer will say when it is forgotten */
};

struct given {
        uint64_t version;
        bool acked;
};

struct reader {
        struct consumer *who;
        uint64_t acked; /* the highest; stays when that version is forgotten: whoever took it has left the older ones */
        struct given *given;
        unsigned given_len;
};

/* --- the registry --- */

/**
 * consumers_new() - an empty registry
 *
 * Return: new; consumers_free() it.
 */
struct consumers *consumers_new(void)
{
        return mem_new(sizeof(struct consumers));
}

/**
 * consumers_free() - frees the registry, which nobody may refer to any more
 * @c: takes NULL
 *
 * Return: NULL.
 */
struct consumers *consumers_free(struct consumers *c)
{
        if (!c)
                return NULL;
        for (size_t i = 0; i < c->uids_len; i++) {
                for (unsigned k = 0; k < c->uids[i]->len; k++)
                        mem_free(c->uids[i]->items[k]);
                mem_free(c->uids[i]);
        }
        mem_free(c->uids);
        return mem_free(c);
}

/**
 * consumers_len() - how many are known, of all users
 * @c: the registry
 *
 * Return: their number.
 */
size_t consumers_len(const struct consumers *c)
{
        return c->len;
}

static struct consumers_of_uid *find_uid(const struct consumers *c, uid_t uid)
{
        for (size_t i = 0; i < c->uids_len; i++) {
                if (c->uids[i]->uid == uid)
                        return c->uids[i];
        }
        return NULL;
}

static struct consumer *find_consumer(const struct consumers *c, uid_t uid, const char *id)
{
        const struct consumers_of_uid *u = find_uid(c, uid);

        for (unsigned i = 0; u && i < u->len; i++) {
                if (strcmp(u->items[i]->id, id) == 0)
                        return u->items[i];
        }
        return NULL;
}

/**
 * consumers_hold() - finds or makes a consumer and keeps it known
 * @c:            the registry
 * @uid:          its user
 * @id:           its own name, a parse_is_name()
 * @ret_consumer: borrowed until consumers_release()
 *
 * Return: 0; -ENOSPC: that user has CONSUMERS_PER_UID others.
 */
int consumers_hold(struct consumers *c, uid_t uid, const char *id, struct consumer **ret_consumer)
{
        struct consumer *who = find_consumer(c, uid, id);
        struct consumers_of_uid *u;

        if (who) {
                who->holds++;
                who->heard = ++c->turn;
                *ret_consumer = who;
                return 0;
        }
        u = find_uid(c, uid);
        if (!u) {
                u = mem_new(sizeof(*u));
                u->uid = uid;
                c->uids = mem_resize(c->uids, c->uids_len + 1, sizeof(*c->uids));
                c->uids[c->uids_len++] = u;
        }
        if (u->len == CONSUMERS_PER_UID)
                return -ENOSPC;
        who = mem_new(sizeof(*who) + strlen(id) + 1);
        who->uid = uid;
        who->holds = 1;
        who->heard = ++c->turn;
        memcpy(who->id, id, strlen(id) + 1);
        u->items[u->len++] = who;
        c->len++;
        *ret_consumer = who;
        return 0;
}

static void drop_uid(struct consumers *c, const struct consumers_of_uid *u)
{
        for (size_t i = 0; i < c->uids_len; i++) {
                if (c->uids[i] != u)
                        continue;
                mem_free(c->uids[i]);
                c->uids[i] = c->uids[--c->uids_len];
                return;
        }
}

/**
 * consumers_release() - ends one consumers_hold(); the last one forgets the consumer
 * @c:   the registry
 * @who: takes NULL
 */
void consumers_release(struct consumers *c, struct consumer *who)
{
        struct consumers_of_uid *u;

        if (!who || --who->holds > 0)
                return;
        u = find_uid(c, who->uid);
        for (unsigned i = 0; i < u->len; i++) {
                if (u->items[i] == who) {
                        u->items[i] = u->items[--u->len];
                        break;
                }
        }
        c->len--;
        if (u->len == 0)
                drop_uid(c, u);
        mem_free(who);
}

/**
 * consumers_open() - a stream of a consumer opens: consumers_hold(), and it is not silent until consumers_close()
 * @c:            the registry
 * @uid:          its user
 * @id:           its own name
 * @ret_consumer: for consumers_close()
 *
 * Return: as consumers_hold().
 */
int consumers_open(struct consumers *c, uid_t uid, const char *id, struct consumer **ret_consumer)
{
        int err = consumers_hold(c, uid, id, ret_consumer);

        if (err == 0)
                (*ret_consumer)->open++;
        return err;
}

/**
 * consumers_close() - the end of one consumers_open()
 * @c:   the registry
 * @who: takes NULL
 */
void consumers_close(struct consumers *c, struct consumer *who)
{
        if (who)
                who->open--;
        consumers_release(c, who);
}

/**
 * consumers_silent() - who of a user has no stream open and was not heard of for the longest time
 * @c:   the registry
 * @uid: the user
 *
 * Return: borrowed; NULL: each has a stream open.
 */
struct consumer *consumers_silent(const struct consumers *c, uid_t uid)
{
        const struct consumers_of_uid *u = find_uid(c, uid);
        struct consumer *silent = NULL;

        for (unsigned i = 0; u && i < u->len; i++) {
                if (u->items[i]->open == 0 && (!silent || u->items[i]->heard < silent->heard))
                        silent = u->items[i];
        }
        return silent;
}

/* --- the versions of one secret --- */

static struct kept *find_kept(const struct readers *r, uint64_t version)
{
        for (unsigned i = 0; i < r->kept_len; i++) {
                if (r->kept[i].version == version)
                        return &r->kept[i];
        }
        return NULL;
}

static struct kept *keep(struct readers *r, uint64_t version, bool leased)
{
        struct kept *k = find_kept(r, version);

        if (!k) {
                r->kept = mem_resize(r->kept, r->kept_len + 1, sizeof(*r->kept));
                k = &r->kept[r->kept_len++];
                *k = (struct kept){.version = version};
        }
        k->leased = leased;
        return k;
}

static struct reader *find_reader(const struct readers *r, const struct consumer *who)
{
        for (unsigned i = 0; who && i < r->len; i++) {
                if (r->items[i].who == who)
                        return &r->items[i];
        }
        return NULL;
}

static struct given *find_given(const struct reader *reader, uint64_t version)
{
        for (unsigned i = 0; reader && i < reader->given_len; i++) {
                if (reader->given[i].version == version)
                        return &reader->given[i];
        }
        return NULL;
}

static void remove_reader(struct readers *r, struct consumers *c, unsigned at)
{
        consumers_release(c, r->items[at].who);
        mem_free(r->items[at].given);
        r->items[at] = r->items[--r->len];
}

/**
 * readers_done() - frees what hangs on a secret and lets go of its consumers
 * @r: all zero afterwards
 * @c: the registry
 */
void readers_done(struct readers *r, struct consumers *c)
{
        while (r->len > 0)
                remove_reader(r, c, r->len - 1);
        mem_free(r->items);
        mem_free(r->kept);
        *r = (struct readers){0};
}

/**
 * readers_publish() - a version becomes the current one
 * @r:       the secret's readers
 * @c:       the registry
 * @version: its number; known already where it was loaded from a saved state
 * @leased:  has it a lease, that is: will somebody forget it by name?
 *
 * A version without a lease dies by itself once another has followed its successor: until then a late acknowledgement of it is
 * still understood.
 */
void readers_publish(struct readers *r, struct consumers *c, uint64_t version, bool leased)
{
        uint64_t previous = r->kept_len > 0 ? r->kept[r->kept_len - 1].version : 0;

        for (unsigned i = r->kept_len; i-- > 0;) {
                if (!r->kept[i].leased && r->kept[i].version != version && r->kept[i].version != previous)
                        readers_forget(r, c, r->kept[i].version);
        }
        keep(r, version, leased);
}

/**
 * readers_forget() - nobody cares any more who read that version
 * @r:       the secret's readers
 * @c:       the registry
 * @version: its number; an unknown one is fine
 *
 * A consumer is forgotten with the last version it was given.
 */
void readers_forget(struct readers *r, struct consumers *c, uint64_t version)
{
        struct kept *k = find_kept(r, version);

        if (!k)
                return;
        memmove(k, k + 1, (size_t)(&r->kept[r->kept_len] - (k + 1)) * sizeof(*k));
        r->kept_len--;
        for (unsigned i = r->len; i-- > 0;) {
                struct reader *reader = &r->items[i];
                struct given *g = find_given(reader, version);

                if (!g)
                        continue;
                *g = reader->given[--reader->given_len];
                if (reader->given_len == 0)
                        remove_reader(r, c, i);
        }
}

static int add_reader(struct readers *r, struct consumers *c, uid_t uid, const char *id, struct reader **ret_reader)
{
        struct reader *reader = find_reader(r, find_consumer(c, uid, id));
        struct consumer *who;
        int err;

        if (!reader) {
                err = consumers_hold(c, uid, id, &who);
                if (err < 0)
                        return err;
                r->items = mem_resize(r->items, r->len + 1, sizeof(*r->items));
                reader = &r->items[r->len++];
                *reader = (struct reader){.who = who};
        }
        *ret_reader = reader;
        return 0;
}

static struct given *add_given(struct reader *reader, uint64_t version)
{
        struct given *g;

        reader->given = mem_resize(reader->given, reader->given_len + 1, sizeof(*reader->given));
        g = &reader->given[reader->given_len++];
        *g = (struct given){.version = version};
        return g;
}

/**
 * readers_give() - somebody is given a version
 * @r:         the secret's readers
 * @c:         the registry
 * @version:   a kept one
 * @uid:       the reader's user
 * @id:        the reader's name; NULL: it gave none
 * @ret_first: was that new?
 *
 * Return: 0; -ENOSPC: too many consumers of that user.
 */
int readers_give(struct readers *r, struct consumers *c, uint64_t version, uid_t uid, const char *id, bool *ret_first)
{
        struct kept *k = find_kept(r, version);
        struct reader *reader;
        int err;

        if (!k)
                return -ENOENT;
        if (!id) {
                *ret_first = !k->unnamed;
                k->unnamed = true;
                return 0;
        }
        err = add_reader(r, c, uid, id, &reader);
        if (err < 0)
                return err;
        reader->who->heard = ++c->turn;
        *ret_first = !find_given(reader, version);
        if (*ret_first)
                add_given(reader, version);
        return 0;
}

/**
 * readers_lose_name() - a consumer is forgotten: what it may still hold counts as read without a name from now on
 * @r:   the secret's readers
 * @c:   the registry
 * @who: not one that readers_give() is at work for; dead afterwards where this was its last hold
 */
void readers_lose_name(struct readers *r, struct consumers *c, const struct consumer *who)
{
        struct reader *reader = find_reader(r, who);

        if (!reader)
                return;
        for (unsigned i = 0; i < reader->given_len; i++) {
                struct kept *k = find_kept(r, reader->given[i].version);

                if (k && reader->acked <= k->version)
                        k->unnamed = true;
        }
        remove_reader(r, c, (unsigned)(reader - r->items));
}

/**
 * readers_ack() - a consumer uses that version now
 * @r:         the secret's readers
 * @c:         the registry
 * @version:   what it acknowledges
 * @uid:       its user
 * @id:        its name
 * @ret_first: was that new?
 *
 * Return: 0; 1: it was not given that version, or the version is forgotten.
 */
int readers_ack(struct readers *r, struct consumers *c, uint64_t version, uid_t uid, const char *id, bool *ret_first)
{
        struct reader *reader = find_reader(r, find_consumer(c, uid, id));
        struct given *g = find_given(reader, version);

        if (!g)
                return 1;
        reader->who->heard = ++c->turn;
        *ret_first = !g->acked;
        g->acked = true;
        if (version > reader->acked)
                reader->acked = version;
        return 0;
}

/**
 * readers_was_given() - was that consumer given that version?
 * @r:       the secret's readers
 * @c:       the registry
 * @version: any number
 * @uid:     its user
 * @id:      its name
 *
 * Return: true where it was, and the version is not forgotten.
 */
bool readers_was_given(const struct readers *r, const struct consumers *c, uint64_t version, uid_t uid, const char *id)
{
        return find_given(find_reader(r, find_consumer(c, uid, id)), version) != NULL;
}

/**
 * readers_all_moved_on() - may a replaced version go before its grace is over (rule 3)?
 * @r:       the secret's readers
 * @version: the replaced one
 *
 * Return: true where every read of it was a named consumer's and each of them has acknowledged a later one; false for a version
 * whose readers are not known.
 */
bool readers_all_moved_on(const struct readers *r, uint64_t version)
{
        const struct kept *k = find_kept(r, version);

        if (!k || k->unnamed)
                return false;
        for (unsigned i = 0; i < r->len; i++) {
                if (find_given(&r->items[i], version) && r->items[i].acked <= version)
                        return false;
        }
        return true;
}

/**
 * readers_unnamed() - was it given to somebody without a name?
 * @r:       the secret's readers
 * @version: its number
 *
 * Return: false also where it is forgotten.
 */
bool readers_unnamed(const struct readers *r, uint64_t version)
{
        const struct kept *k = find_kept(r, version);

        return k && k->unnamed;
}

/**
 * readers_anyone_acked() - has a consumer acknowledged exactly that version?
 * @r:       the secret's readers
 * @version: a kept one
 *
 * Return: false also where it is forgotten.
 */
bool readers_anyone_acked(const struct readers *r, uint64_t version)
{
        for (unsigned i = 0; i < r->len; i++) {
                const struct given *g = find_given(&r->items[i], version);

                if (g && g->acked)
                        return true;
        }
        return false;
}

/**
 * readers_holders() - who may still be using a version, for people
 * @r:       the secret's readers
 * @version: a kept one
 *
 * Return: new: ["uid/ID", ..., "(unnamed)"].
 */
json_t *readers_holders(const struct readers *r, uint64_t version)
{
        const struct kept *k = find_kept(r, version);
        json_t *list = json_array();

        for (unsigned i = 0; i < r->len; i++) {
                const struct reader *reader = &r->items[i];

                if (find_given(reader, version) && reader->acked <= version)
                        json_array_append_new(list, json_sprintf("%u/%s", (unsigned)reader->who->uid, reader->who->id));
        }
        if (k && k->unnamed)
                json_array_append_new(list, json_string("(unnamed)"));
        return list;
}

/* --- the saved form: {"versions":[[N,unnamed,leased]...],"consumers":[{"uid","id","acked","given":[[N,acked]...]}]} --- */

/**
 * readers_save() - what has to outlive the process
 * @r: the secret's readers
 *
 * Return: new; for readers_load().
 */
json_t *readers_save(const struct readers *r)
{
        json_t *versions = json_array(), *consumers = json_array();

        for (unsigned i = 0; i < r->kept_len; i++) {
                json_array_append_new(versions, json_pack("[I,b,b]", (json_int_t)r->kept[i].version,
                                                          (int)r->kept[i].unnamed, (int)r->kept[i].leased));
        }
        for (unsigned i = 0; i < r->len; i++) {
                const struct reader *reader = &r->items[i];
                json_t *given = json_array();

                for (unsigned k = 0; k < reader->given_len; k++) {
                        json_array_append_new(given, json_pack("[I,b]", (json_int_t)reader->given[k].version,
                                                               (int)reader->given[k].acked));
                }
                json_array_append_new(consumers,
                                      json_pack("{s:I,s:s,s:I,s:o}", "uid", (json_int_t)reader->who->uid, "id",
                                                reader->who->id, "acked", (json_int_t)reader->acked, "given", given));
        }
        return json_pack("{s:o,s:o}", "versions", versions, "consumers", consumers);
}

static bool read_number(const json_t *value, uint64_t *ret_number)
{
        if (!json_is_integer(value) || json_integer_value(value) <= 0)
                return false;
        *ret_number = (uint64_t)json_integer_value(value);
        return true;
}

/* Return: false where something in it is damaged. */
static bool load_given(struct readers *r, struct reader *reader, const json_t *saved)
{
        bool whole = json_is_array(saved);
        uint64_t version;
        size_t i;
        json_t *item;

        json_array_foreach (saved, i, item) {
                bool acked = json_is_true(json_array_get(item, 1));
                struct given *g;

                if (!read_number(json_array_get(item, 0), &version)) {
                        whole = false;
                        continue;
                }
                if (!find_kept(r, version))
                        continue;
                g = find_given(reader, version);
                if (!g)
                        g = add_given(reader, version);
                g->acked |= acked;
        }
        return whole;
}

/* Return: false where something in it is damaged, or there is no room to remember who it was. */
static bool load_consumer(struct readers *r, struct consumers *c, const json_t *saved)
{
        const char *id = json_str(saved, "id");
        struct reader *reader;
        uint64_t uid, acked;
        bool whole;

        if (!id || !parse_is_name(id, strlen(id)) || !json_u64(saved, "uid", &uid) || uid >= (uid_t)-1 ||
            add_reader(r, c, (uid_t)uid, id, &reader) < 0)
                return false;
        whole = load_given(r, reader, json_object_get(saved, "given"));
        if (json_u64(saved, "acked", &acked) && acked > reader->acked)
                reader->acked = acked;
        if (reader->given_len == 0)
                remove_reader(r, c, (unsigned)(reader - r->items));
        return whole;
}

/* Return: false where something in it is damaged. */
static bool load_versions(struct readers *r, const json_t *saved)
{
        bool whole = json_is_array(saved);
        uint64_t version;
        size_t i;
        json_t *item;

        json_array_foreach (saved, i, item) {
                struct kept *k;

                if (!read_number(json_array_get(item, 0), &version)) {
                        whole = false;
                        continue;
                }
                k = keep(r, version, json_is_true(json_array_get(item, 2)));
                k->unnamed |= !json_is_false(json_array_get(item, 1));
        }
        return whole;
}

/**
 * readers_load() - takes up what readers_save() gave, in another life of the process
 * @r:     the secret's readers
 * @c:     the registry
 * @saved: borrowed; what is damaged in it is left out, and then every version that is known keeps its whole grace: whom the
 *         damage hides may hold it
 */
void readers_load(struct readers *r, struct consumers *c, const json_t *saved)
{
        const json_t *consumers = json_object_get(saved, "consumers");
        bool whole = load_versions(r, json_object_get(saved, "versions")) && json_is_array(consumers);
        size_t i;
        json_t *item;

        json_array_foreach (consumers, i, item) {
                whole = load_consumer(r, c, item) && whole;
        }
        for (unsigned k = 0; !whole && k < r->kept_len; k++)
                r->kept[k].unnamed = true;
}

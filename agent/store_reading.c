/* agent/store_reading.c: who reads the store's secrets: given, acknowledged, rejected, and who still holds what. */
#include <errno.h>

#include "agent/store_private.h"

/*
 * Room for another consumer of a user whose places are all taken: names that change with each start (a process's number in them)
 * would fill them for good where a secret never changes. Return: false: each of them has a stream open.
 */
static bool make_room(struct store *st, uid_t uid)
{
        const struct consumer *silent = consumers_silent(st->consumers, uid);

        if (!silent)
                return false;
        for (struct store_secret *s = store_next(st, NULL); s; s = store_next(st, s))
                readers_lose_name(&s->readers, st->consumers, silent);
        return true;
}

/**
 * store_give() - notes that a reader is given the current version; tells control->given() where that is new
 * @st:       the store
 * @s:        the secret
 * @uid:      the reader's user
 * @consumer: its name; NULL: it gave none
 *
 * Return: 0; -ENOENT: there is no current version; -ENOSPC: that user has CONSUMERS_PER_UID consumers already, each with a
 * stream open. Where one has none, the longest silent is forgotten, and what it may hold counts as read without a name.
 */
int store_give(struct store *st, struct store_secret *s, uid_t uid, const char *consumer)
{
        bool first;
        int err;

        if (!s->current.data)
                return -ENOENT;
        err = readers_give(&s->readers, st->consumers, s->current.number, uid, consumer, &first);
        if (err == -ENOSPC && make_room(st, uid))
                err = readers_give(&s->readers, st->consumers, s->current.number, uid, consumer, &first);
        if (err < 0)
                return err;
        if (first && st->control.given)
                st->control.given(s, st->control_arg);
        return 0;
}

/**
 * store_ack() - a consumer uses that version now; tells control->acked() where that is new
 * @st:       the store
 * @s:        the secret
 * @uid:      its user
 * @consumer: its name
 * @version:  a number
 *
 * Return: 0; 1: it was not given that version.
 */
int store_ack(struct store *st, struct store_secret *s, uid_t uid, const char *consumer, uint64_t version)
{
        bool first;

        if (readers_ack(&s->readers, st->consumers, version, uid, consumer, &first) > 0)
                return 1;
        if (first && st->control.acked)
                st->control.acked(s, st->control_arg);
        return 0;
}

/**
 * store_reject() - a consumer cannot use the current version; tells control->rejected()
 * @st:       the store
 * @s:        the secret
 * @uid:      its user
 * @consumer: its name
 * @version:  a number
 * @denied:   did the server refuse the login?
 *
 * Return: 0; 1: not current, or not given to that consumer.
 */
int store_reject(struct store *st, struct store_secret *s, uid_t uid, const char *consumer, uint64_t version,
                 bool denied)
{
        if (!s->current.data || s->current.number != version ||
            !readers_was_given(&s->readers, st->consumers, version, uid, consumer))
                return 1;
        if (st->control.rejected)
                st->control.rejected(s, denied, st->control_arg);
        return 0;
}

/**
 * store_consumers() - how many named consumers are known
 * @st: the store
 *
 * Return: their number, of all users.
 */
size_t store_consumers(const struct store *st)
{
        return consumers_len(st->consumers);
}

/**
 * store_hold_consumer() - keeps a consumer known while a stream of it is open, so that its place among the 64 is safe
 * @st:         the store
 * @uid:        its user
 * @consumer:   its name
 * @ret_holder: for store_release_consumer()
 *
 * Return: 0; -ENOSPC as in store_give().
 */
int store_hold_consumer(struct store *st, uid_t uid, const char *consumer, struct consumer **ret_holder)
{
        int err = consumers_open(st->consumers, uid, consumer, ret_holder);

        if (err == -ENOSPC && make_room(st, uid))
                err = consumers_open(st->consumers, uid, consumer, ret_holder);
        return err;
}

/**
 * store_release_consumer() - the end of store_hold_consumer()
 * @st:     the store
 * @holder: takes NULL
 */
void store_release_consumer(struct store *st, struct consumer *holder)
{
        consumers_close(st->consumers, holder);
}

/* --- for renewer and agent --- */

/**
 * store_all_moved_on() - may a replaced version go before its grace is over (rule 3)?
 * @s:        the secret
 * @replaced: its number
 *
 * Return: true where every read of it was a named consumer's and each has acknowledged a later one.
 */
bool store_all_moved_on(const struct store_secret *s, uint64_t replaced)
{
        return readers_all_moved_on(&s->readers, replaced);
}

/**
 * store_read_unnamed() - was that version given to somebody without a name (rule 3)?
 * @s:       the secret
 * @version: its number
 *
 * Return: false also where it is forgotten.
 */
bool store_read_unnamed(const struct store_secret *s, uint64_t version)
{
        return readers_unnamed(&s->readers, version);
}

/**
 * store_anyone_acked() - has somebody acknowledged that version?
 * @s:       the secret
 * @version: its number
 *
 * Return: false also where it is forgotten.
 */
bool store_anyone_acked(const struct store_secret *s, uint64_t version)
{
        return readers_anyone_acked(&s->readers, version);
}

/**
 * store_holders() - who may still use a version, for people
 * @s:       the secret
 * @version: its number
 *
 * Return: new: ["uid/ID", ..., "(unnamed)"].
 */
json_t *store_holders(const struct store_secret *s, uint64_t version)
{
        return readers_holders(&s->readers, version);
}

/**
 * store_forget_version() - a version is revoked or at its end: its readers are of no interest any more
 * @s:       the secret
 * @version: its number; the current one stays known
 */
void store_forget_version(struct store_secret *s, uint64_t version)
{
        if (!s->current.data || s->current.number != version)
                readers_forget(&s->readers, s->store->consumers, version);
}

/**
 * store_save_readers() - who was given what, for the state
 * @s: the secret
 *
 * Return: new; for store_load_readers().
 */
json_t *store_save_readers(const struct store_secret *s)
{
        return readers_save(&s->readers);
}

/**
 * store_load_readers() - takes up store_save_readers() in another life of the process, before the first store_publish()
 * @s:     the secret
 * @saved: borrowed; what is damaged in it is left out, and a version left out never moves on before its time
 */
void store_load_readers(struct store_secret *s, const json_t *saved)
{
        readers_load(&s->readers, s->store->consumers, saved);
}

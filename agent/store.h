/*
 * agent/store.h: THE SEAM. The current version of each secret, who was given it, who acknowledged it. Above: renewer and agent,
 * which see the token. Below: everything that hands out secrets (output_*, status), which sees only this file.
 * It reads no clock but to turn an end into a wall-clock time.
 */
#ifndef AGENT_STORE_H
#define AGENT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/kind.h"
#include "common/json.h"

struct config_secret;
struct consumer;
struct secret;
struct store;
struct store_secret;

struct store_version {
        uint64_t number;
        uint64_t issued_usec;    /* wall clock */
        uint64_t end_boot_usec;  /* leases: CLOCK_BOOTTIME; USEC_NEVER: none */
        uint64_t end_wall_usec;  /* certificates: notAfter; USEC_NEVER: none */
        bool stale;              /* a renewal has failed since the last good one (rule 9) */
        struct secret *data;     /* a JSON object, compact */
        char *lease_id;          /* NULL without */
        struct secret *envelope; /* KV v2 through /v1: data with metadata; NULL otherwise */
};

#define STORE_REMOVED  "removed"        /* store_reason() of a secret that left the configuration: its files are unlinked */
#define STORE_STOPPING "agent stopping" /* to store_lose() with on_stop = "revoke": the files are unlinked too */

enum store_change {
        STORE_NEW,    /* another version is current */
        STORE_LEASE,  /* only its end or stale changed */
        STORE_LOST,   /* it ended and none follows yet, or the secret was removed */
        STORE_RIGHTS, /* the rules of the secret changed (reload) */
};

struct store *store_new(void);
struct store *store_free(struct store *st);

/* --- for renewer and agent --- */

/* cfg is borrowed until store_set_config() or store_remove(); first_version: what the first content gets. */
struct store_secret *store_add(struct store *st, const struct config_secret *cfg, enum secret_kind kind,
                               uint64_t first_version);
/* Tells STORE_RIGHTS. */
void store_set_config(struct store *st, struct store_secret *s, const struct config_secret *cfg);
void store_set_kind(struct store_secret *s, enum secret_kind kind);
/* Tells STORE_LOST "removed"; s is dead. */
void store_remove(struct store *st, struct store_secret *s);
/* Steals v's members; number 0: counted here. The readers of the version before are kept. Tells STORE_NEW. */
void store_publish(struct store *st, struct store_secret *s, struct store_version *v);
/* Tells STORE_LEASE, only where something changed. */
void store_update_end(struct store *st, struct store_secret *s, uint64_t end_boot_usec, bool stale);
/* Copies reason, wipes the data. Tells STORE_LOST. */
void store_lose(struct store *st, struct store_secret *s, const char *reason);

/* Readers of one version (rule 3). */
/* Was every read of `replaced` a named consumer's, and has each acknowledged a later version? */
bool store_all_moved_on(const struct store_secret *s, uint64_t replaced);
bool store_anyone_acked(const struct store_secret *s, uint64_t version);
bool store_read_unnamed(const struct store_secret *s, uint64_t version); /* by somebody without a name */
/* new: ["uid/ID", ...]: who was given it and acknowledged no later one; "(unnamed)" for reads without a name. */
json_t *store_holders(const struct store_secret *s, uint64_t version);
/* It is revoked: its readers are of no interest any more. */
void store_forget_version(struct store_secret *s, uint64_t version);
json_t *store_save_readers(const struct store_secret *s); /* new, for the state */
/* Before the first store_publish(). Where something in it is damaged, nothing moves on before its time. */
void store_load_readers(struct store_secret *s, const json_t *saved);

/* What happens below the seam, told to the one above. Set once. */
struct store_control {
        /* A reader, named or not, was given the current version for the first time; called before it has it. */
        void (*given)(struct store_secret *s, void *arg);
        void (*acked)(struct store_secret *s, void *arg);
        void (*rejected)(struct store_secret *s, bool denied, void *arg);
        /* name NULL: all. HTTP status 202, 404, 429. */
        int (*rotate)(const char *name, json_t **ret_body, uint64_t *ret_retry_after_usec, void *arg);
        int (*reload)(json_t **ret_body, void *arg); /* HTTP status 200, 400 */
        json_t *(*status)(void *arg);                /* new */
        int (*health)(json_t **ret_body, void *arg); /* HTTP status 200, 503 */
};
void store_set_control(struct store *st, const struct store_control *control, void *arg);
const struct store_control *store_control(const struct store *st, void **ret_arg);

/* --- for what hands out --- */

typedef void (*store_fn)(struct store_secret *s, enum store_change change, void *arg);
void store_subscribe(struct store *st, store_fn fn, void *arg); /* told in the order of subscribing */
void store_unsubscribe(struct store *st, store_fn fn, void *arg);

struct store_secret *store_find(const struct store *st, const char *name); /* borrowed; NULL */
/* In order of names; NULL starts and ends. store_next_at(): only those read from one path in Vault. */
struct store_secret *store_next(const struct store *st, const struct store_secret *after);
struct store_secret *store_next_at(const struct store *st, const char *path, const struct store_secret *after);

const struct config_secret *store_config(const struct store_secret *s);
const char *store_name(const struct store_secret *s);
enum secret_kind store_kind(const struct store_secret *s);
const struct store_version *store_current(const struct store_secret *s); /* borrowed until the next change; NULL: nothing valid */
uint64_t store_last_number(const struct store_secret *s); /* the current or last version's; 0: none yet */
bool store_is_removed(const struct store_secret *s);      /* it left the configuration: dead after this STORE_LOST */
const char *store_reason(const struct store_secret *s);   /* why there is none; "not fetched yet" at first */
uint64_t store_expires_at(const struct store_version *v); /* wall clock usec; USEC_NEVER: does not end */
void *store_tag(const struct store_secret *s);            /* what the renewer hung on it */
void store_set_tag(struct store_secret *s, void *tag);

/* A reader gets the current version. consumer NULL: without a name. -ENOSPC: that uid has 64 consumers already. */
int store_give(struct store *st, struct store_secret *s, uid_t uid, const char *consumer);
/* 1: it was not given that version. */
int store_ack(struct store *st, struct store_secret *s, uid_t uid, const char *consumer, uint64_t version);
/* 1: not current, or not given to it. */
int store_reject(struct store *st, struct store_secret *s, uid_t uid, const char *consumer, uint64_t version,
                 bool denied);
size_t store_consumers(const struct store *st); /* all that are known, for the metric */
/* An open stream's place among the 64; -ENOSPC. */
int store_hold_consumer(struct store *st, uid_t uid, const char *consumer, struct consumer **ret_holder);
void store_release_consumer(struct store *st, struct consumer *holder);

#endif

/* agent/renewer_internal.h: what the renewer*.c files share. Nobody else includes it. */
#ifndef AGENT_RENEWER_INTERNAL_H
#define AGENT_RENEWER_INTERNAL_H

#include "agent/config.h"
#include "agent/renewer.h"
#include "agent/store.h"
#include "agent/vault_link.h"

struct keypair;

struct mint_budget { /* one a path, shared by the secrets that read it */
        char *path;
        unsigned refs;
        struct bucket bucket;
};

/* One secret under care. */
struct keeper {
        struct renewer *renewer;
        struct keeper *prev, *next;
        char *name;
        const struct config_secret *cfg; /* NULL: gone from the config; only its leases are still to be revoked */
        struct store_secret *secret;     /* NULL with cfg */
        struct life life;
        struct mint_budget *budget; /* NULL: a static secret */
        struct loop_timer *timer;
        struct link_call *call;        /* the one request in flight */
        struct token *asked_with;      /* the token it was asked with, referenced */
        struct keypair *key;           /* certificates: the key of the mint in flight */
        struct store_version *unsaved; /* minted, and the state could not be written yet: not published */
        enum life_why why;             /* of the mint in flight, or of the unsaved version */
        bool stopped;                  /* the agent ends: no step any more */
        bool said_budget;              /* the wait for the budget was told */
        bool said_no_revoke;
        bool mint_holds_token;   /* the mint in flight counts as a lease of asked_with */
        uint64_t refreshed_usec; /* wall clock of the last good answer */
        char *error;             /* the last failure; NULL */
};

struct renewer {
        struct renewer_context ctx;
        struct keeper *keepers;
        void *budgets; /* tsearch(3) tree of mint_budget by path */
        bool can_ask;  /* the gate is open and there is a token */
        bool save_failing;
        unsigned nothing_valid; /* secrets without a valid version: the probe hurries */
        struct metric *rotations, *renewals, *mints, *budget_waits, *revocations;
};

struct metric_rows;

struct instant renewer_now(void);
void renewer_write_lives(struct metric_rows *rows, void *arg); /* renewer_status.c */
void keeper_step(struct keeper *k);
void keeper_fail(struct keeper *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void keeper_good(struct keeper *k);
void keeper_begin(struct keeper *k, struct instant now, const struct life_action *action); /* renewer_request.c */
void keeper_mint_over(struct keeper *k);                                                   /* renewer_request.c */

/* renewer_content.c: an answer to a mint as a version. -errno and ret_error (new) where it cannot be used. */
int keeper_read_content(struct keeper *k, const struct vault_reply *reply, struct store_version *ret_version,
                        struct lease_grant *ret_grant, char **ret_error);
bool keeper_same_content(const struct keeper *k, const struct store_version *v); /* static: nothing new? */
uint64_t keeper_static_ttl(const struct keeper *k, const struct vault_reply *reply);
void version_done(struct store_version *v);

/* renewer_state.c */
int keeper_save(struct keeper *k, const struct store_version *newest); /* newest: not yet in the store; NULL */
int keeper_load(struct keeper *k); /* 1: adopted, but for another path or other parameters; -ENOENT: nothing there */

/* renewer_budget.c */
struct mint_budget *mint_budget_get(struct renewer *r, const char *path, unsigned burst);
void mint_budget_put(struct renewer *r, struct mint_budget *b);

void keeper_need_budget(struct keeper *k);
void keeper_match_kind(struct keeper *k);
struct keeper *keeper_new(struct renewer *r, const char *name, const struct config_secret *cfg);
void keeper_free(struct keeper *k);
void keeper_publish(struct keeper *k, struct store_version *v);

#endif

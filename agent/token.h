/* agent/token.h: one Vault token and its life (rule 6). Pure but for the bytes it holds. Seen by auth*, renewer* and agent alone. */
#ifndef AGENT_TOKEN_H
#define AGENT_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/instant.h"
#include "agent/vault_api.h"
#include "common/backoff.h"

struct secret;

/* Shared: the state, each lease that it made and each request on its way hold a reference. */
struct token {
        unsigned refs;
        uint64_t generation; /* +1 for each login, across restarts; leases name their maker by it */
        struct secret *value;
        char *accessor;           /* not secret: for the log and Vault's operators */
        uint64_t first_usec;      /* the longest life it was given; 0: it does not end */
        uint64_t end_usec;        /* CLOCK_BOOTTIME; USEC_NEVER: does not end */
        uint64_t last_start_usec; /* when the last life began: at login, or at the renewal that answered less */
        uint64_t renew_usec;      /* when to renew; USEC_NEVER: no more */
        bool renewable;           /* its end can still be moved */
        bool is_batch;
        bool dead;           /* Vault does not know it any more */
        bool refused_lookup; /* lookup-self is forbidden to it: a 403 never judges it dead (rule 7) */
        bool failing;        /* the last renewal failed */
        struct backoff backoff;
        unsigned leases; /* leases held that it made */
};

enum token_step {
        TOKEN_WAIT,
        TOKEN_RENEW,
        TOKEN_LOGIN, /* it cannot be renewed further, or is dead: log in anew */
};

struct token *token_new(uint64_t generation, struct secret *value,
                        const char *accessor); /* steals value; one reference */
struct token *token_ref(struct token *t);      /* takes NULL */
struct token *token_unref(struct token *t);    /* takes NULL; wipes with the last reference; returns NULL */

/* asked_usec: when the answered request was sent, CLOCK_BOOTTIME: ttl_usec counts from there */
void token_granted(struct token *t, struct instant now, uint64_t asked_usec, uint64_t ttl_usec, bool renewable,
                   bool is_batch); /* login, or adopted: ttl_usec as looked up */
void token_renewed(struct token *t, struct instant now, uint64_t asked_usec, uint64_t ttl_usec, bool renewable);
uint64_t token_renew_failed(struct token *t, struct instant now, enum vault_outcome outcome,
                            uint64_t retry_after_usec); /* when the next try is */
enum token_step token_next(const struct token *t, struct instant now,
                           uint64_t *ret_at_usec); /* ret_at_usec: when to ask again */
bool token_alive(const struct token *t, struct instant now);

#endif

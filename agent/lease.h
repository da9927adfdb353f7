/* agent/lease.h: one version's life: a lease, a certificate, or nothing that ends. Pure: now and what happened go in. */
#ifndef AGENT_LEASE_H
#define AGENT_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/instant.h"
#include "agent/vault_api.h"
#include "common/backoff.h"

struct token;

struct lease {
        uint64_t number;     /* the version */
        char *id;            /* lease_id, of lease_id_new(); "" where there is none */
        struct token *token; /* its maker, referenced; NULL: long gone, or no lease */
        uint64_t issued_wall_usec;
        uint64_t first_usec;        /* lease_duration at minting; certificates: notAfter minus receipt */
        uint64_t end_usec;          /* CLOCK_BOOTTIME, by the lease alone; USEC_NEVER */
        uint64_t late_usec;         /* a renewal without an answer may have moved its end up to here; 0: none */
        uint64_t end_wall_usec;     /* certificates: notAfter; USEC_NEVER */
        uint64_t replace_wall_usec; /* certificates: rule 12; USEC_NEVER */
        uint64_t renew_usec;        /* rule 1, or the next try of rule 4; USEC_NEVER: not to be renewed */
        uint64_t verify_usec;       /* rule 15: the next look-up; USEC_NEVER */
        uint64_t verify_every_usec; /* 0: never */
        struct backoff backoff;
        bool movable;         /* a renewal can still move its end */
        bool failing;         /* the last renewal failed: stale */
        bool doubtful;        /* a renewal's answer says it may be gone: look it up now */
        bool gone;            /* Vault does not know it any more */
        bool acked, rejected; /* by its consumers */
        bool unnamed;         /* somebody without a name was given it: nothing shortens its g */
        bool revoke_refused;  /* 403: left to its end (rule 16) */
        uint64_t revoke_usec; /* once replaced: when g is over, or the next try */
        struct backoff revoke_backoff;
};

/* What a mint answered, for life_on_content(). */
struct lease_grant {
        const char *id;         /* "" where there is none */
        struct token *token;    /* borrowed; referenced by the lease */
        uint64_t asked_usec;    /* leases: when the mint was sent, CLOCK_BOOTTIME: the duration counts from there */
        uint64_t duration_usec; /* leases */
        bool renewable;
        uint64_t not_after_usec; /* certificates, wall clock; 0: none */
};

char *lease_id_new(const char *id);
void lease_begin(struct lease *l, struct instant now, const struct lease_grant *grant, uint64_t verify_usec);
void lease_set_verify(struct lease *l, struct instant now,
                      uint64_t verify_usec); /* the secret's `verify` is another now */
void lease_end(struct lease *l);             /* frees its members, gives the token back */

uint64_t lease_end_usec(const struct lease *l,
                        struct instant now); /* CLOCK_BOOTTIME: min(lease, token), or notAfter; USEC_NEVER */
uint64_t lease_last_usec(const struct lease *l,
                         struct instant now); /* by when it is dead at Vault, whatever happened */
uint64_t lease_last_tenth_usec(const struct lease *l, struct instant now); /* when the last 10 % of its life begins */
uint64_t lease_grace_usec(const struct lease *l, uint64_t grace_usec); /* g = min(grace, a fifth of the first lease) */
uint64_t lease_replace_usec(const struct lease *l, struct instant now,
                            uint64_t grace_usec); /* when rules 2, 4 or 12 replace it; USEC_NEVER */

/* asked_usec: when the answered request was sent, CLOCK_BOOTTIME: what was answered counts from there */
void lease_renewed(struct lease *l, struct instant now, uint64_t asked_usec, uint64_t duration_usec, bool renewable);
void lease_renew_failed(struct lease *l, struct instant now, enum vault_outcome outcome, enum vault_lease_word word,
                        uint64_t retry_after_usec);
void lease_looked_up(struct lease *l, struct instant now, uint64_t asked_usec,
                     uint64_t ttl_usec); /* ttl_usec 0: gone */
void lease_look_up_failed(struct lease *l, struct instant now, uint64_t retry_after_usec);
void lease_replaced(struct lease *l, struct instant now, uint64_t grace_usec); /* starts g */
void lease_revoke_failed(struct lease *l, struct instant now, enum vault_outcome outcome, uint64_t retry_after_usec);

#endif

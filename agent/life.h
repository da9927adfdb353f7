/*
 * agent/life.h: one secret's life: which request is due now, and what an answer changes (docs/LEASES.md). Pure: the renewer asks
 * life_next(), does what it says, and tells what came of it; until then one request is in flight and no other is begun.
 */
#ifndef AGENT_LIFE_H
#define AGENT_LIFE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/bucket.h"
#include "agent/kind.h"
#include "agent/lease.h"

#define LIFE_REPLACED_MAX 4 /* replaced versions that may wait for their end at once */

enum life_step {
        LIFE_WAIT,
        LIFE_MINT,    /* read, issue or sign */
        LIFE_RENEW,   /* action.number */
        LIFE_LOOK_UP, /* action.number */
        LIFE_REVOKE,  /* action.number */
        LIFE_STALE,   /* a renewal or a reading is due and Vault is away: life_stale() */
        LIFE_LOSE,    /* the current version has ended: stop serving it, then life_lost() */
        LIFE_DROP,    /* a replaced version has ended by itself: life_dropped(action.number) */
};

enum life_why {
        LIFE_WHY_NONE,
        LIFE_WHY_FIRST,    /* nothing yet */
        LIFE_WHY_EXPIRED,  /* it ended */
        LIFE_WHY_GONE,     /* Vault does not know the lease any more */
        LIFE_WHY_DUE,      /* rules 2, 11, 12 */
        LIFE_WHY_FAILING,  /* rule 4: renewals fail and the last tenth has begun */
        LIFE_WHY_REJECTED, /* a consumer was refused by the server */
        LIFE_WHY_ROTATE,   /* an operator's word */
        LIFE_WHY_SIGNAL,   /* SIGHUP, SIGUSR1 */
        LIFE_WHY_TOKEN,    /* the token that made it goes */
        LIFE_WHY_CHANGED,  /* its path or parameters were changed */
};

const char *life_step_text(enum life_step step);
const char *life_why_text(enum life_why why);

struct life_action {
        enum life_step step;
        enum life_why why;
        uint64_t number;  /* the version that RENEW, LOOK_UP, REVOKE, DROP mean */
        uint64_t at_usec; /* WAIT: CLOCK_BOOTTIME, when to ask again; USEC_NEVER: only when something happens */
        bool urgent;      /* nothing valid is served */
        bool budget;      /* WAIT: it would mint, but the bucket is empty until at_usec */
};

struct life_config {
        uint64_t grace_usec, refresh_usec, verify_usec;
};

struct life { /* by size, not by sense: ten thousand of them are to be small */
        struct life_config config;
        struct bucket *bucket; /* borrowed; shared by all secrets of one path; NULL for a static one */
        uint64_t last_number;  /* of the newest version; the next is one more */

        struct lease current;   /* where has_current */
        struct lease *replaced; /* oldest first; at most LIFE_REPLACED_MAX; NULL while there is none */
        size_t replaced_len;

        uint64_t wish_usec; /* `wish`: not before */

        struct backoff mint_backoff;
        uint64_t mint_retry_usec; /* a failed mint: not before */

        uint64_t refresh_usec; /* static: the next reading */
        uint64_t change_usec;  /* static-creds: when another password is expected; USEC_NEVER: unknown */
        struct backoff change_backoff;

        uint64_t in_flight_number;
        uint64_t denied_usec;         /* the first `denied` since the look-up said alive; 0: none */
        uint64_t reject_look_up_usec; /* the last look-up that a reject asked for */

        enum secret_kind kind;
        enum life_why wish; /* somebody wants another version */
        enum life_why lost_why;
        enum life_step in_flight;     /* LIFE_WAIT: none */
        enum life_why in_flight_wish; /* what this mint fulfils; back to `wish` where it fails */

        bool has_current;
        bool mint_failing;
        bool in_flight_drew; /* it drew on the bucket */
        bool leaving;        /* gone from the configuration: only what was replaced is seen to its end */
        bool away;           /* Vault cannot be asked, or there is no token: only ends count */
        bool denied_again;   /* a second one came, at least 1.5 s after the first */
        bool no_look_ups;    /* the policy forbids them (rule 15) */
        bool lost_unwanted;  /* what was lost had been rejected and nobody had acknowledged it */
        bool spent_unacked;  /* replaced once for a reject without anybody having acknowledged */
};

void life_init(struct life *l, const struct life_config *config, enum secret_kind kind, struct bucket *bucket,
               uint64_t last_number);
void life_done(struct life *l);

struct life_action life_next(const struct life *l, struct instant now);

/* For status: what a waiting life will do next, and how long a wish has to wait (0: it is done at once). */
enum life_step life_next_step(const struct life *l, struct instant now);
uint64_t life_wish_wait_usec(const struct life *l, struct instant now);

/* The renewer begins what life_next() said. MINT draws on the bucket. */
void life_begin(struct life *l, struct instant now, const struct life_action *action);

/* What came of it. Each ends what was in flight. */
uint64_t life_on_content(struct life *l, struct instant now,
                         const struct lease_grant *grant); /* a new version's number */
void life_on_same(struct life *l, struct instant now,
                  uint64_t ttl_usec); /* static: nothing new; ttl_usec: of static-creds, 0: none */
uint64_t life_on_read(struct life *l, struct instant now,
                      uint64_t ttl_usec); /* static: new content; ttl_usec as above. Its number */
void life_on_unwanted(struct life *l, struct instant now,
                      const struct lease_grant *grant); /* the secret left the configuration meanwhile */
void life_on_mint_failed(struct life *l, struct instant now, enum vault_outcome outcome, uint64_t retry_after_usec);
void life_on_mint_aborted(struct life *l, struct instant now,
                          uint64_t retry_usec); /* not asked after all: the draw is given back */
/* asked_usec: when the answered request was sent */
void life_on_renewed(struct life *l, struct instant now, uint64_t asked_usec, uint64_t duration_usec, bool renewable);
void life_on_renew_failed(struct life *l, struct instant now, enum vault_outcome outcome, enum vault_lease_word word,
                          uint64_t retry_after_usec);
void life_on_looked_up(struct life *l, struct instant now, uint64_t asked_usec,
                       uint64_t ttl_usec); /* ttl_usec 0: gone */
void life_on_look_up_failed(struct life *l, struct instant now, uint64_t retry_after_usec);
void life_on_look_up_forbidden(struct life *l, struct instant now); /* rule 15: no more look-ups under this token */
void life_on_revoked(struct life *l);
void life_on_revoke_failed(struct life *l, struct instant now, enum vault_outcome outcome, uint64_t retry_after_usec);
void life_lost(struct life *l, enum life_why why);
void life_dropped(struct life *l, uint64_t number);

/* What happens meanwhile. */
void life_wish(struct life *l, enum life_why why,
               uint64_t at_usec);                    /* rotate, signal, token, changed: once, whatever its number */
void life_on_acked(struct life *l, uint64_t number); /* a consumer acknowledged this version */
void life_all_moved_on(struct life *l, struct instant now, uint64_t number); /* rule 3: revoke it at once */
void life_on_reject(struct life *l, struct instant now, bool denied);        /* of the current version */
void life_reconfigured(struct life *l, struct instant now); /* l->config was changed: what is planned by it */
void life_on_vault_away(struct life *l);
void life_stale(struct life *l); /* what STALE says */
void life_on_vault_back(struct life *l,
                        struct instant now); /* the probe's first 200: failures of the outage are forgotten */
void life_on_token_gone(struct life *l, struct instant now,
                        const struct token *t);                     /* its maker died: the leases died with it */
void life_adopt_current(struct life *l, const struct lease *lease); /* steals its members (from the state) */
void life_adopt_replaced(struct life *l, struct instant now, const struct lease *lease); /* g counts anew */
bool life_has_replaced(const struct life *l);
const struct lease *life_find(const struct life *l, uint64_t number); /* borrowed; NULL */

#endif

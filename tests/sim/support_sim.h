/* tests/sim/support_sim.h: one secret's life against a scripted Vault on a simulated clock. */
#ifndef TESTS_SIM_SUPPORT_SIM_H
#define TESTS_SIM_SUPPORT_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/life.h"
#include "agent/token.h"

#define SIM_LEASES_MAX 4096

struct sim_options {
        double lease_s;       /* default_ttl; 0: no lease (static or certificate) */
        double max_s;         /* max_ttl; 0: none */
        double token_s;       /* the token's life; 0: without end */
        double certificate_s; /* a certificate of this life */
        double grace_s;       /* default 30 */
        unsigned burst;       /* default 3 */
        bool not_renewable;
        bool is_static;   /* static secret; refresh 300 s */
        bool no_consumer; /* nobody acknowledges: g runs in full */
        unsigned seed;
};

struct sim_lease { /* as the server sees it */
        char id[24];
        double minted_s, end_s, max_end_s, revoked_s; /* revoked_s < 0: not */
};

struct sim_reply { /* what one kind of request is answered while this stands */
        bool set;
        enum vault_outcome outcome;
        enum vault_lease_word word;
        double retry_after_s;
};

struct sim {
        struct sim_options o;
        struct life life;
        struct bucket bucket;
        struct token *token;
        double now_s;      /* boot clock, starts at 1000 */
        double wall_off_s; /* wall clock minus boot clock */
        uint64_t random;
        struct sim_reply reply[LIFE_DROP + 1];
        struct sim_lease lease[SIM_LEASES_MAX];
        unsigned leases;
        /* in flight */
        bool flying;
        struct life_action action;
        double lands_s, latency_s;
        /* counted */
        unsigned count[LIFE_DROP + 1];
        unsigned requests_in_minute, requests_in_minute_max;
        double minute_s;
        double served_dead_s, nothing_s; /* time that a dead version was served; time without any */
        unsigned live_max;
        double last_mint_s, mint_gap_min_s;
        uint64_t served; /* version; 0: none */
        double content_changed_s;
};

struct sim *sim_new_(const struct sim_options *o);
#define sim_new(...) sim_new_(&(struct sim_options){__VA_ARGS__})
void sim_free(struct sim *s);
void sim_run_to(struct sim *s, double seconds); /* since the start; checks the invariants at each step */
void sim_run_for(struct sim *s, double seconds);
double sim_time(const struct sim *s); /* seconds since the start */
void sim_answer(struct sim *s, enum life_step step,
                enum vault_outcome outcome); /* from now on; VAULT_OK: as the server would */
void sim_answer_word(struct sim *s, enum life_step step, enum vault_outcome outcome, enum vault_lease_word word);
void sim_away(struct sim *s, bool away); /* the gate shuts or opens */
unsigned sim_count(const struct sim *s, enum life_step step);
void sim_revoke_all(struct sim *s);     /* by hand, nobody tells the agent */
void sim_new_token(struct sim *s);      /* another generation; the old one lives on */
unsigned sim_live(const struct sim *s); /* leases alive at the server */

#endif

/*
 * tests/sim/support_sim.h: one secret's life and one token's against a scripted Vault on a simulated clock. At each step it is
 * checked what must hold whatever happens; where it does not, seed and time are printed.
 */
#ifndef TESTS_SIM_SUPPORT_SIM_H
#define TESTS_SIM_SUPPORT_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/life.h"
#include "agent/token.h"

#define SIM_LEASES_MAX 8192
#define SIM_TOKENS_MAX 1024
#define SIM_DRAWS      64
#define SIM_REQUESTS   1024 /* the most that may be asked of requests_a_minute */

enum { /* what Vault is asked; the first ones are the steps of a life */
        SIM_MINT = LIFE_MINT,
        SIM_RENEW = LIFE_RENEW,
        SIM_LOOK_UP = LIFE_LOOK_UP,
        SIM_REVOKE = LIFE_REVOKE,
        SIM_TOKEN_RENEW = LIFE_DROP + 1,
        SIM_TOKEN_LOOK_UP,
        SIM_LOGIN,
        SIM_OPS,
};

struct sim_options {
        double lease_s;       /* default_ttl; 0: no lease (static or certificate) */
        double max_s;         /* max_ttl; 0: none */
        double certificate_s; /* a certificate of this life */
        double grace_s;       /* default 30 */
        unsigned burst;       /* default 3 */
        bool not_renewable;
        bool is_static;   /* static secret; refresh 300 s */
        bool no_consumer; /* nobody acknowledges: g runs in full */
        /* The token. token_s: it lives so long and nobody sees to it. token_ttl_s: it is renewed and replaced. Both 0: no end */
        double token_s, token_ttl_s, token_max_s; /* token_max_s 0: periodic */
        bool token_batch;
        unsigned requests_a_minute; /* no failure may cause more; default 90 */
        unsigned live_max;          /* so many leases may live at once; default 2 */
        unsigned seed;
};

struct sim_token { /* as the server sees it */
        struct token *token;
        double end_s, max_end_s, revoked_s; /* revoked_s < 0: not */
        bool by_hand;                       /* revoked without the agent being told */
        bool late;                          /* it was renewed and the answer was lost: nobody knows how long it lives */
};

struct sim_lease { /* as the server sees it */
        char id[24];
        unsigned token;                               /* its maker */
        double minted_s, end_s, max_end_s, revoked_s; /* revoked_s < 0: not */
        bool by_hand;                                 /* revoked without the agent being told */
        bool unknown;                                 /* the answer that made it was lost */
        bool excused;                                 /* revoking it failed, or was refused */
};

struct sim_reply { /* what one kind of request is answered while this stands */
        bool set;
        bool lost; /* done as asked, but the answer gets lost: VAULT_UNREACHABLE */
        enum vault_outcome outcome;
        enum vault_lease_word word;
        double retry_after_s;
};

struct sim_flight { /* a request on its way */
        bool flying;
        bool cut; /* the machine slept meanwhile: it fails */
        int op;
        unsigned token; /* shown with it */
        double lands_s;
};

struct sim {
        struct sim_options o;
        struct life life;
        struct bucket bucket;
        double now_s;      /* boot clock, starts at 1000 */
        double wall_off_s; /* wall clock minus boot clock */
        uint64_t random;
        struct sim_reply reply[SIM_OPS];
        struct sim_lease lease[SIM_LEASES_MAX];
        unsigned leases;
        struct sim_token token[SIM_TOKENS_MAX];
        unsigned tokens, current_token; /* the one in use */
        struct life_action action;      /* in flight for the secret */
        struct sim_flight flight, auth_flight;
        double latency_s;
        bool gate_shut;
        unsigned content, read_content; /* static: what the server has, what was read last */
        /* the agent's auth, in small */
        double login_at_s, doubted_s;
        bool doubt; /* a 403 came: lookup-self is to be asked */
        bool had_token;
        struct backoff login_backoff;
        /* counted */
        unsigned count[SIM_OPS];
        double served_dead_s;  /* time that a version was served whose end was known */
        double served_hand_s;  /* the same after a revocation by hand */
        double nothing_s;      /* time without any */
        unsigned live_max;
        uint64_t served; /* version; 0: none */
        double request_s[SIM_REQUESTS];
        unsigned requests;
        double draw_s[SIM_DRAWS], draw_interval_s[SIM_DRAWS], interval_s, drew_s;
        unsigned draws, draws_checked;
};

struct sim *sim_new_(const struct sim_options *o);
#define sim_new(...) sim_new_(&(struct sim_options){__VA_ARGS__})
void sim_free(struct sim *s);
void sim_run_to(struct sim *s, double seconds); /* since the start; checks the invariants at each step */
void sim_run_for(struct sim *s, double seconds);
double sim_time(const struct sim *s); /* seconds since the start */
struct instant sim_instant(struct sim *s);
double sim_random(struct sim *s); /* uniform in [0,1) */

void sim_answer(struct sim *s, int op,
                enum vault_outcome outcome); /* from now on; VAULT_OK: as the server would */
void sim_answer_word(struct sim *s, int op, enum vault_outcome outcome, enum vault_lease_word word);
void sim_answer_lost(struct sim *s, int op); /* done, but nobody hears of it */
void sim_all_well(struct sim *s);                    /* every kind is answered as the server would, and at once */
void sim_away(struct sim *s, bool away);             /* the gate shuts or opens */
void sim_wish(struct sim *s, enum life_why why);
void sim_reject(struct sim *s, bool denied);
void sim_suspend(struct sim *s, double seconds); /* the machine sleeps */
void sim_revoke_all(struct sim *s);              /* by hand, nobody tells the agent */
void sim_revoke_token(struct sim *s);            /* the same */
void sim_new_token(struct sim *s);               /* another generation; the old one lives on */

unsigned sim_count(const struct sim *s, int op);
unsigned sim_live(const struct sim *s);      /* leases alive at the server */
unsigned sim_tokens_live(const struct sim *s);
const struct sim_lease *sim_let_go(struct sim *s); /* a lease that lives and that nobody holds or gave up with a reason; NULL */
bool sim_lease_is_alive(const struct sim *s, const struct sim_lease *l);
bool sim_token_is_alive(const struct sim *s, unsigned token);
struct sim_token *sim_token_make(struct sim *s);
void sim_land(struct sim *s, struct sim_flight *f); /* support_sim_vault.c: the answer comes */
void sim_check_(struct sim *s, bool holds, const char *what, const char *file, int line);
#define sim_check(s, what) sim_check_(s, what, #what, __FILE__, __LINE__)

#endif

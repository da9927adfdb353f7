/* app/db_swap_state.h: what db_swap.c, db_prove.c and db_slot.c share: which pair is in use, which is offered. For them alone. */
#ifndef APP_DB_SWAP_STATE_H
#define APP_DB_SWAP_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "app/db_conn.h"
#include "app/db_swap.h"
#include "common/backoff.h"
#include "common/parse.h"

#define DB_DENIED_RETRY_USEC (2 * USEC_PER_SEC)
#define DB_RETRY_BASE_USEC   (100 * USEC_PER_MSEC)
#define DB_RETRY_CAP_USEC    (2 * USEC_PER_SEC)

struct metric_series;

/* The three below are counted; everything in them but their content changes under db_swap.lock alone. */
struct db_login_ref {
        unsigned refs;
        struct db_login login;
};

struct db_place_ref {
        unsigned refs;
        struct db_place place;
};

struct db_pair { /* one generation */
        unsigned refs;
        struct db_login_ref *login;
        struct db_place_ref *place;
        size_t host;          /* which of the place's hosts: all sessions of a pair are with one server */
        bool is_left;         /* its host takes no writes: the next proof begins with the one after it */
        unsigned sessions;    /* open, or being dialled */
        bool installed;       /* it is or was in use: its sessions count in the swap's */
        int fault;            /* of the last dial; 0: it was good */
        char error[DB_ERROR_LEN];
        struct backoff backoff;
        uint64_t retry_usec;  /* monotonic: no dial before */
};

struct db_slot { /* one thread's place in the swap */
        struct db_slot *next;
        struct db_swap *swap;
        struct db_conn *conn; /* changed by the slot's thread alone, under the lock; used by it without */
        struct db_pair *pair; /* conn's */
        struct db_conn *incoming; /* dialled by the prover, waits to be taken */
        struct db_pair *incoming_pair;
        void (*wake)(void *arg);
        void *arg;
};

struct db_swap {
        pthread_mutex_t lock;
        pthread_cond_t cond; /* the prover's */
        pthread_t prover;
        bool stop;
        struct db_login_ref *login; /* offered */
        struct db_place_ref *place;
        uint64_t offers;            /* counts them: a proof of an older one says nothing about the newest */
        bool again;                 /* prove even what is in use */
        struct db_pair *pair;       /* in use */
        unsigned sessions;          /* of all pairs that are or were in use */
        struct db_slot *slots;
        struct backoff proof_backoff;
        uint64_t proof_usec; /* monotonic: when to prove next */
        int proof_fault;
        char proof_error[DB_ERROR_LEN];
        bool login_denied;

        /* the loop's alone */
        struct db_bell *bell;
        db_swap_fn on_change;
        void *arg;
        struct metric_series *current_gauge, *old_gauge;
        struct db_swap_status told;
        char told_error[DB_ERROR_LEN], shown_error[DB_ERROR_LEN], told_username[DB_ERROR_LEN], shown_username[DB_ERROR_LEN];
};

/* All under the lock. */
struct db_pair *db_pair_new(struct db_login_ref *login, struct db_place_ref *place); /* new; refs both; the first host */
struct db_pair *db_pair_ref(struct db_pair *p);
void db_pair_unref(struct db_pair *p);
void db_login_unref(struct db_login_ref *l);
void db_place_unref(struct db_place_ref *p);
void db_session_begin(struct db_swap *s, struct db_pair *p); /* refs p; before the dial: a login is not over while one is under way */
void db_session_end(struct db_swap *s, struct db_pair *p);   /* after the close */
bool db_pair_same_server(const struct db_pair *a, const struct db_pair *b);
bool db_swap_wants_proof(const struct db_swap *s);

void *db_prove_main(void *swap); /* the prover's thread */

#endif

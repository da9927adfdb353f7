/*
 * app/db_swap.h: generations of database sessions. A pair of (credential, place) is proved with one connection before it is
 * used; new work goes to the proved pair, sessions of the one before finish their work and close.
 */
#ifndef APP_DB_SWAP_H
#define APP_DB_SWAP_H

#include <stdbool.h>
#include <stdint.h>

struct db_swap;
struct loop;
struct metrics;
struct secret;

struct db_login { /* one version of --db-secret */
        uint64_t version;
        struct secret *username, *password;
};

struct db_place { /* one version of --db-info-secret */
        uint64_t version;
        char *host;     /* NULL where there is a socket */
        unsigned port;  /* 3306 by default */
        char *socket;   /* NULL */
        char *database;
        char *ca_cert;  /* PEM text; NULL: no TLS to the database */
};

struct db_swap_status { /* borrowed while the callback runs */
        uint64_t login_version, place_version; /* the pair in use; 0: none */
        uint64_t offered_login, offered_place; /* the newest that were offered; 0: none */
        bool login_denied;  /* the database refuses the login of offered_login: reject it */
        bool newest_failed; /* what was offered last was tried and does not work; false while it is still being proved */
        bool old_closed;    /* every session of pairs before is closed: ack it */
        const char *error;  /* for people, no secret: why the newest is not in use; "" where it is */
        const char *username; /* of the pair in use, for the page; "" */
        bool working;         /* the last dial with the pair in use was good; false without a pair */
};

/* Told on the loop whenever something in the status changed. */
typedef void (*db_swap_fn)(const struct db_swap_status *status, void *arg);

struct db_swap *db_swap_new(struct loop *loop, struct metrics *metrics, db_swap_fn on_change, void *arg);
struct db_swap *db_swap_free(struct db_swap *s);
/* A new version of either; steals the members. The pair is proved as soon as both are known. again: prove and swap even where the versions are the same (SIGHUP). */
void db_swap_offer_login(struct db_swap *s, struct db_login *login, bool again);
void db_swap_offer_place(struct db_swap *s, struct db_place *place, bool again);
void db_swap_status(const struct db_swap *s, struct db_swap_status *ret_status); /* borrowed until the next turn of the loop */

/* What the database threads use stands in app/db_conn.h and app/db_slot.h. */

#endif

/* app/rotation.h: brings each new version of a secret into use (database sessions, certificate) and tells the agent. */
#ifndef APP_ROTATION_H
#define APP_ROTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct app_config;
struct db_swap;
struct loop;
struct metrics;
struct rotation;
struct tls;

#define ROTATION_SECRETS_MAX 4

struct rotation_secret {
        const char *name;
        uint64_t version; /* the newest that the agent gave; 0: none, or lost */
        uint64_t in_use;  /* 0: none */
        uint64_t expires_usec; /* of the newest, wall clock; USEC_NEVER: does not end. Advice */
        bool stale;
        const char *problem; /* for people: why the newest is not in use, or why there is none; "" */
};

struct rotation_status { /* borrowed until the next turn of the loop */
        struct rotation_secret secrets[ROTATION_SECRETS_MAX];
        size_t secrets_len;
        const char *username;      /* of the database, in use; "" */
        bool has_db;               /* a pair of login and place is in use */
        bool usable;               /* all that is needed is there: the pair, and where https is served a living certificate,
                                    * and where clients need one, their CA */
        bool has_tls;              /* https is served */
        const char *serial;        /* of the certificate in use, as "0a:1b:..."; "" */
        uint64_t not_after_usec;   /* of the same, wall clock; 0: none */
        bool agent_connected;
        const char *agent_problem; /* "" */
        uint64_t agent_since_usec; /* wall clock: connected or not, since then */
};

struct rotation *rotation_new(struct loop *loop, const struct app_config *config, struct tls *tls, struct metrics *metrics);
struct rotation *rotation_free(struct rotation *r);
struct db_swap *rotation_db(struct rotation *r); /* borrowed for the rotation's life: what notes_new() wants */
void rotation_status(const struct rotation *r, struct rotation_status *ret_status);
void rotation_reread(struct rotation *r, void (*done)(void *arg), void *arg); /* SIGHUP; done: each name came, or 10 s passed */
void rotation_on_change(struct rotation *r, void (*fn)(void *arg), void *arg);  /* told when the status changed */

#endif

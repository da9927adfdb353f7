/*
 * tests/sim/world.h: the whole agent in a simulated world: clock, loop and the way to Vault are made here, all else is the real
 * thing. The agent runs as a coroutine, so that a test reads from top to bottom: start it, let time pass, look, kill it.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

struct world_path {    /* what stands at one path of Vault */
        char path[64]; /* "database/creds/notes" */
        int status;    /* 0: as a Vault in good health; -1: no answer; else this HTTP status */
        const char *error;
        double retry_after_s;
        double there_s, back_s; /* how long a request is on its way, and how long its answer */
        unsigned asked;
        double last_s; /* when it was asked last */
};

struct world_lease {
        unsigned token;
        double end_s, revoked_s; /* revoked_s < 0: not */
        char path[64];
};

struct world_token {
        double end_s, max_end_s;
        bool revoked;
};

struct world {
        double now_s, wall_off_s;
        uint64_t random;
        char dir[64];          /* scratch, on tmpfs */
        const char *secret_id; /* the right one */
        double lease_s, max_s, token_s, token_max_s;
        unsigned token_uses; /* 0: without limit */
        bool sealed, away, hide_lookup;
        struct world_path path[32];
        unsigned paths;
        struct world_lease lease[1024];
        unsigned leases;
        struct world_token token[256];
        unsigned tokens;
        unsigned content; /* of the KV secrets */
        unsigned logins, refused_logins, probes;
        bool exit_after_auth;
        int exit_code;
        bool running;
};

extern struct world world;

int world_setup(void **state); /* an empty world: a Vault in good health, credentials in place */
int world_teardown(void **state);
void world_config(const char *more); /* writes the configuration: vault, auto_auth, state_dir, and this */
void world_start(void);
void world_run_to(double seconds); /* since the start of the world */
void world_run_for(double seconds);
void world_signal(int signo);
void world_kill(void);                               /* kill -9 */
void world_file(const char *name, const char *text); /* writes a file in dir */
char *world_read(const char *name);                  /* new; NULL: not there */

/* --- world_vault.c --- */
struct world_path *world_at(const char *path); /* how a path behaves, and how often it was asked */
unsigned world_asked(const char *path);
bool world_lease_lives(const struct world_lease *l);
unsigned world_live(void);      /* leases alive at Vault */
void world_revoke_tokens(void); /* by hand */
unsigned world_all_requests(void);

#endif

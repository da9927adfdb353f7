/* tests/unit/support_notes.h: the loop, the swap and the notes of one test, and what came of its calls. */
#ifndef TESTS_SUPPORT_NOTES_H
#define TESTS_SUPPORT_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/db_swap.h"
#include "app/notes.h"
#include "common/loop.h"

struct mariadb;

struct outcome { /* of one call */
        bool done;
        enum notes_outcome outcome;
        size_t len;
        uint64_t id, next; /* id: of the first item */
        uint64_t ids[NOTES_LIMIT_MAX];
        char key[NOTES_KEY_MAX + 1], reason[256];
        uint64_t done_usec; /* monotonic */
};

struct desk {
        struct mariadb *mariadb;
        struct loop *loop;
        struct metrics *metrics;
        struct db_swap *swap;
        struct notes *notes;
        struct db_swap_status status; /* as told last; its texts are below */
        char error[256], username[256];
        unsigned changes;
};

void desk_begin(struct desk *d, struct mariadb *mariadb, const struct notes_config *config);
void desk_end(struct desk *d);
void desk_login(struct desk *d, uint64_t version, const char *user, const char *password, bool again);
void desk_place(struct desk *d, uint64_t version, const char *socket, bool again); /* socket NULL: the server's */
void desk_hosts(struct desk *d, uint64_t version, const char *hosts, bool again);
void desk_ready(struct desk *d); /* user "app", password "p", version 1 of both; returns when they are in use */
/* Turns the loop until cond is true; fails the test after 20 s. */
void desk_until(struct desk *d, bool (*cond)(void *arg), void *arg);
void desk_until_done(struct desk *d, struct outcome *outcomes, size_t len);
void desk_until_version(struct desk *d, uint64_t login, uint64_t place); /* in use, and all older sessions closed */
void desk_turn(struct desk *d, uint64_t usec);
struct outcome desk_add(struct desk *d, const char *text, const char *key); /* and what came of it */
struct outcome desk_list(struct desk *d, unsigned limit, uint64_t before);
void on_outcome(const struct notes_result *r, void *outcome); /* a notes_fn */

#endif

/* tests/unit/support_socket.h: the socket output on a real UNIX socket, with a fake agent above it and raw clients below. */
#ifndef TESTS_UNIT_SUPPORT_SOCKET_H
#define TESTS_UNIT_SUPPORT_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/config.h"
#include "agent/store.h"
#include "common/buf.h"

#define NOBODY          65534 /* has rights in the tests only where a test says so */
#define NOBODY_ID       "65534"
#define SECRETS_MAX     300
#define TCP_ADDRESS_LEN 64

struct loop;
struct metrics;

struct world {
        char folder[64], path[96];
        struct loop *loop;
        struct store *store;
        struct metrics *metrics;
        struct config config;
        struct config_listener listeners[1];
        struct config_secret secrets[SECRETS_MAX]; /* their configuration, by the order of world_add() */
        struct config_allow allows[SECRETS_MAX];
        size_t secrets_len;
        void *output;
        /* what the fake agent above the seam saw, and what it answers */
        unsigned given, acked, rejected, denied;
        char *rotated; /* "" for all */
        const char *waiting; /* rotate: this one waits for 90 s; NULL: none */
        int rotate_status, reload_status, health_status;
        json_t *status;
};

int world_new(void **state); /* for cmocka: a started output, listening on w->path */
int world_free(void **state);
void world_start(struct world *w); /* again, after world_stop() */
void world_stop(struct world *w);
struct store_secret *world_add(struct world *w, const char *name, const char *path, uid_t reader);
void world_publish(struct world *w, const char *name, const char *data,
                   uint64_t seconds); /* a lease of so many; 0: none */
void world_turn(struct world *w);     /* lets the loop run for a moment */

void tcp_free_address(char address[TCP_ADDRESS_LEN]); /* "127.0.0.1:PORT" */
int tcp_connect(const char *address);
int client_connect(struct world *w);               /* as ourselves */
int client_connect_as(struct world *w, uid_t uid); /* needs root: can_change_user() */
bool can_change_user(void);
void client_send(int fd, const char *text);
/* Lets the loop run until what came from fd holds `until` (NULL: until the end of the stream); fails after 5 s. */
void client_receive(struct world *w, int fd, struct buf *in, const char *until);
/* One request on a connection of its own; the whole answer, new. headers: "Name: value\r\n" or "". */
char *client_ask(struct world *w, int fd, const char *method, const char *target, const char *headers,
                 const char *body);
char *client_get(struct world *w, const char *target); /* as ourselves */
int answer_status(const char *answer);
const char *answer_body(const char *answer);
json_t *answer_json(const char *answer);                   /* new; fails where it is none */
char *answer_header(const char *answer, const char *name); /* new; NULL */

#endif

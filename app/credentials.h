/* app/credentials.h: the client of the agent's socket: watches secrets, reads them again, acknowledges, rejects. */
#ifndef APP_CREDENTIALS_H
#define APP_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/json.h"

struct credentials;
struct loop;

struct credentials_version { /* borrowed while the callback runs */
        const char *name;
        uint64_t version;
        uint64_t expires_usec; /* wall clock; USEC_NEVER: does not end */
        bool stale;
        const json_t *data;    /* NULL: only expires_usec or stale changed (event: lease) */
        bool again;            /* the answer to credentials_reread(): swap even to the same version */
};

struct credentials_handler {
        void (*on_version)(const struct credentials_version *v, void *arg);
        void (*on_lost)(const char *name, const char *reason, void *arg);
        void (*on_connection)(bool connected, const char *error, void *arg); /* to the agent: changes only */
};

/* names: NULL-terminated, copied. Connects at once, and again with back-off (100 ms x2 to 5 s) for ever. */
struct credentials *credentials_new(struct loop *loop, const char *socket_path, const char *consumer, const char *const *names,
                                    const struct credentials_handler *handler, void *arg);
struct credentials *credentials_free(struct credentials *c);
void credentials_reread(struct credentials *c);                    /* SIGHUP: every name anew from the socket */
void credentials_ack(struct credentials *c, const char *name, uint64_t version);    /* tried again until it is said or a newer one is */
void credentials_reject(struct credentials *c, const char *name, uint64_t version); /* reason "denied"; once, the caller repeats */

#endif

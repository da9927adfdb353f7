/* agent/store_readers.h: who was given which version of a secret, and who acknowledged it (rule 3). Private to the store. */
#ifndef AGENT_STORE_READERS_H
#define AGENT_STORE_READERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/json.h"

#define CONSUMERS_PER_UID 64

struct consumer;  /* one named reader, (uid, id), whatever the number of secrets it reads */
struct consumers; /* all that are known */

struct consumers *consumers_new(void);
struct consumers *consumers_free(struct consumers *c); /* after every readers_done() and consumers_release() */
size_t consumers_len(const struct consumers *c);
int consumers_hold(struct consumers *c, uid_t uid, const char *id, struct consumer **ret_consumer);
void consumers_release(struct consumers *c, struct consumer *who); /* takes NULL */
int consumers_open(struct consumers *c, uid_t uid, const char *id, struct consumer **ret_consumer);
void consumers_close(struct consumers *c, struct consumer *who); /* takes NULL */
struct consumer *consumers_silent(const struct consumers *c, uid_t uid);

struct kept;
struct reader;

struct readers {           /* of one secret; all zero: none */
        struct kept *kept; /* the versions that still matter, oldest first */
        struct reader *items;
        unsigned kept_len, len;
};

void readers_done(struct readers *r, struct consumers *c);
void readers_publish(struct readers *r, struct consumers *c, uint64_t version, bool leased);
void readers_forget(struct readers *r, struct consumers *c, uint64_t version);
int readers_give(struct readers *r, struct consumers *c, uint64_t version, uid_t uid, const char *id, bool *ret_first);
void readers_lose_name(struct readers *r, struct consumers *c, const struct consumer *who);
int readers_ack(struct readers *r, struct consumers *c, uint64_t version, uid_t uid, const char *id, bool *ret_first);
bool readers_was_given(const struct readers *r, const struct consumers *c, uint64_t version, uid_t uid, const char *id);
bool readers_all_moved_on(const struct readers *r, uint64_t version);
bool readers_unnamed(const struct readers *r, uint64_t version);
bool readers_anyone_acked(const struct readers *r, uint64_t version);
json_t *readers_holders(const struct readers *r, uint64_t version);
json_t *readers_save(const struct readers *r);
void readers_load(struct readers *r, struct consumers *c, const json_t *saved);

#endif

/* app/db_slot.h: a database thread's place in the swap: gives it the session for its next statement. */
#ifndef APP_DB_SLOT_H
#define APP_DB_SLOT_H

#include <stdbool.h>
#include <stdint.h>

struct db_conn;
struct db_slot;
struct db_swap;

/* wake: from any thread, without waiting: there is a newer session, or it is worth dialling again. */
struct db_slot *db_slot_new(struct db_swap *s, void (*wake)(void *arg), void *arg);
struct db_slot *db_slot_free(struct db_slot *slot); /* its thread has ended */
void db_slot_abort(struct db_slot *slot);           /* from any thread: the statement that runs ends with DB_DEAD */

/* From the slot's thread. Borrowed until the next call on the slot; NULL: there is none. */
struct db_conn *db_slot_session(struct db_slot *slot, bool may_dial, uint64_t *ret_again_usec); /* again: monotonic, when to ask again */
void db_slot_lost(struct db_slot *slot); /* the session is dead: close it */
bool db_slot_leave(struct db_slot *slot); /* its server takes no writes: all go to the next host. false: there is none */

#endif

/* app/db_bell.h: how a thread calls the loop to look at something. Unlike loop_post() it can be taken away for good. */
#ifndef APP_DB_BELL_H
#define APP_DB_BELL_H

struct db_bell;
struct loop;

struct db_bell *db_bell_new(struct loop *loop, void (*fn)(void *arg), void *arg);
struct db_bell *db_bell_free(struct db_bell *b); /* from the loop; fn is not called any more. No thread may ring any more */
void db_bell_ring(struct db_bell *b);            /* from any thread: fn runs soon, once for all rings until then */

#endif

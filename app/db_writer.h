/* app/db_writer.h: writes: all that queued go in one statement; one that died without an answer is settled under its key. */
#ifndef APP_DB_WRITER_H
#define APP_DB_WRITER_H

struct db_worker;

void db_writer_turn(struct db_worker *w); /* a db_turn_fn */

#endif

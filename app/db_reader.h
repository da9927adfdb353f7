/* app/db_reader.h: reads: one fresh query answers all who waited for the same. */
#ifndef APP_DB_READER_H
#define APP_DB_READER_H

struct db_worker;

void db_reader_turn(struct db_worker *w); /* a db_turn_fn */

#endif

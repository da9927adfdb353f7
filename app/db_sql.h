/* app/db_sql.h: the statements. Every one is prepared; nothing of a user's ever stands in one. Pure. */
#ifndef APP_DB_SQL_H
#define APP_DB_SQL_H

#include <stdbool.h>
#include <stddef.h>

/* What the server may have been told to do otherwise; set by each session, so that text is kept exactly or refused. */
#define DB_SQL_SETUP "SET NAMES utf8mb4, SESSION sql_mode = 'STRICT_ALL_TABLES', SESSION autocommit = 1"
/* Keyset paging on the primary key: as fast on page 5,000 as on the first. */
#define DB_SQL_LIST  "SELECT id, created_at, text FROM notes WHERE id < ? ORDER BY id DESC LIMIT ?"
#define DB_SQL_GET   "SELECT id, created_at, text FROM notes WHERE id = ?"

char *db_sql_insert(size_t rows, bool returning); /* new: text, idempotency_key a row; gives id, created_at, idempotency_key */
char *db_sql_find(size_t keys);                   /* new: gives id, created_at, text, idempotency_key */
bool db_sql_has_returning(const char *server_info); /* INSERT ... RETURNING: MariaDB 10.5, no MySQL */

#endif

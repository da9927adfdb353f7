/* app/db_conn.h: one session of the database: dialled, asked, closed; blocking, for the database threads. */
#ifndef APP_DB_CONN_H
#define APP_DB_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/db_fault.h"
#include "app/db_rows.h"

#define DB_BATCH_MAX 64
#define DB_ERROR_LEN 256

struct db_conn;
struct db_login;
struct db_place;

struct db_insert {
        const char *text; /* borrowed */
        size_t text_len;
        const struct db_key *key; /* borrowed; no two rows of a statement have the same */
        uint64_t id, created_usec; /* filled in where the insert is good */
};

void db_thread_begin(void); /* in each thread that uses a session, before the first */
void db_thread_end(void);

/* The calls below return 0 or an enum db_fault; after DB_DEAD the session is good for nothing but db_conn_close(). */
int db_conn_open(const struct db_login *login, const struct db_place *place, size_t host, char error[DB_ERROR_LEN],
                 struct db_conn **ret_conn); /* host: which of the place's, see db_host.h */
struct db_conn *db_conn_close(struct db_conn *c); /* takes NULL, returns NULL */
int db_conn_list(struct db_conn *c, unsigned limit, uint64_t before, struct db_rows **ret_rows);
int db_conn_get(struct db_conn *c, uint64_t id, struct db_rows **ret_rows);
int db_conn_find(struct db_conn *c, const struct db_key *const *keys, size_t len, struct db_rows **ret_rows);
int db_conn_insert(struct db_conn *c, struct db_insert *rows, size_t len); /* 1..DB_BATCH_MAX, all or none */
const char *db_conn_error(const struct db_conn *c);         /* borrowed: of the last fault, for people */
uint64_t db_conn_served(const struct db_conn *c);           /* statements that were good so far */
bool db_conn_is_gone(struct db_conn *c); /* the server closed it while it was idle: good for nothing but db_conn_close() */
void db_conn_abort(struct db_conn *c); /* from another thread: what runs on the session ends with DB_DEAD */

#endif

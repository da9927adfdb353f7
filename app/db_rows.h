/* app/db_rows.h: what a query found: notes and the bytes they point to, in one piece that is made and freed as a whole. */
#ifndef APP_DB_ROWS_H
#define APP_DB_ROWS_H

#include "app/notes.h"

struct db_key { /* idempotency_key as it is stored */
        unsigned char bytes[NOTES_KEY_MAX];
        size_t len;
};

struct db_rows {
        struct note *items;
        struct db_key *keys; /* one an item where the query asked for them; else NULL */
        size_t len, cap;
        char *text; /* where the items' texts lie */
        size_t text_len, text_cap;
};

struct db_rows *db_rows_new(size_t cap, bool with_keys); /* new, empty; never holds more than cap */
struct db_rows *db_rows_free(struct db_rows *r);         /* takes NULL, returns NULL */
int db_rows_add(struct db_rows *r, const struct note *note, const struct db_key *key); /* copies; -EMSGSIZE when full */
void db_rows_seal(struct db_rows *r);                    /* after the last db_rows_add(): the items' texts are valid from now on */
const struct note *db_rows_by_key(const struct db_rows *r, const struct db_key *key); /* borrowed; NULL: not among them */
bool db_key_equal(const struct db_key *a, const struct db_key *b);

#endif

/* app/db_rows.c: what a query found: notes and the bytes they point to, in one piece. */
#include "app/db_rows.h"

#include <errno.h>
#include <string.h>

#include "common/mem.h"

/**
 * db_rows_new() - room for what a query may find
 * @cap:       rows at most
 * @with_keys: keep each row's idempotency key too
 *
 * Return: new, empty.
 */
struct db_rows *db_rows_new(size_t cap, bool with_keys)
{
        struct db_rows *r = mem_new(sizeof(*r));

        r->cap = cap;
        r->items = mem_array(cap ? cap : 1, sizeof(*r->items));
        if (with_keys)
                r->keys = mem_array(cap ? cap : 1, sizeof(*r->keys));
        return r;
}

/**
 * db_rows_free() - lets go of rows and texts
 * @r: NULL is fine
 *
 * Return: NULL.
 */
struct db_rows *db_rows_free(struct db_rows *r)
{
        if (!r)
                return NULL;
        mem_free(r->items);
        mem_free(r->keys);
        mem_free(r->text);
        return mem_free(r);
}

/**
 * db_rows_add() - one more row
 * @r:    not sealed
 * @note: copied with its text
 * @key:  copied where @r keeps keys; may be NULL where it does not
 *
 * The texts move while they grow, so that only db_rows_seal() makes the pointers.
 *
 * Return: 0; -EMSGSIZE when @r is full.
 */
int db_rows_add(struct db_rows *r, const struct note *note, const struct db_key *key)
{
        if (r->len == r->cap)
                return -EMSGSIZE;
        if (note->text_len > r->text_cap - r->text_len) {
                r->text_cap = 2 * (r->text_len + note->text_len) + 1024;
                r->text = mem_resize(r->text, r->text_cap, 1);
        }
        if (note->text_len)
                memcpy(r->text + r->text_len, note->text, note->text_len);
        r->text_len += note->text_len;
        r->items[r->len] = *note;
        r->items[r->len].text = NULL;
        if (r->keys && key)
                r->keys[r->len] = *key;
        r->len++;
        return 0;
}

/**
 * db_rows_seal() - makes the items point to their texts
 * @r: gets no more rows
 */
void db_rows_seal(struct db_rows *r)
{
        const char *pos = r->text ? r->text : "";

        for (size_t i = 0; i < r->len; i++) {
                r->items[i].text = pos;
                pos += r->items[i].text_len;
        }
}

/**
 * db_rows_by_key() - the row under a key
 * @r:   keeps keys
 * @key: to look for
 *
 * Return: borrowed until @r is freed; NULL where it is not among the rows.
 */
const struct note *db_rows_by_key(const struct db_rows *r, const struct db_key *key)
{
        for (size_t i = 0; i < r->len; i++)
                if (db_key_equal(&r->keys[i], key))
                        return &r->items[i];
        return NULL;
}

/**
 * db_key_equal() - are two keys the same bytes
 * @a: one
 * @b: the other
 *
 * Return: true where they are.
 */
bool db_key_equal(const struct db_key *a, const struct db_key *b)
{
        return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

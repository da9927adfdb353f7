/* app/notes.h: the notes themselves: list, get, add, as calls that answer on the loop. Knows no HTTP and no SQL. */
#ifndef APP_NOTES_H
#define APP_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOTES_LIMIT_MAX      100
#define NOTES_TEXT_CHARS_MAX 4096
#define NOTES_KEY_MAX        64

struct db_swap;
struct loop;
struct metrics;
struct notes;
struct notes_call;

struct note {
        uint64_t id;
        const char *text; /* UTF-8, exactly as it was sent */
        size_t text_len;
        uint64_t created_usec; /* wall clock of the database, UTC */
};

enum notes_outcome {
        NOTES_OK,          /* list, get; add: the same key and text were there already */
        NOTES_CREATED,     /* add: committed */
        NOTES_NOT_FOUND,   /* get */
        NOTES_KEY_REUSED,  /* add: the key is there with another text */
        NOTES_UNAVAILABLE, /* no credentials or no database within the deadline; nothing was written */
        NOTES_OVERLOADED,  /* the queue is full; nothing was written */
        NOTES_UNKNOWN,     /* add: the deadline passed before the outcome was settled; `key` asks again */
};

struct notes_result { /* borrowed while the callback runs */
        enum notes_outcome outcome;
        const struct note *items;
        size_t len;
        uint64_t next;           /* list: `before` of the next page; 0: this was the last */
        const char *key;         /* NOTES_UNKNOWN: the key, given or made up */
        const char *reason;      /* NOTES_UNAVAILABLE: for people; "" otherwise */
};

typedef void (*notes_fn)(const struct notes_result *r, void *arg);

struct notes_config {
        uint64_t wait_usec;      /* --db-wait: how long a call waits for credentials or the database */
        uint64_t deadline_usec;  /* a whole call, at most */
        size_t queue_max;        /* waiting reads, waiting writes: each */
};

struct notes *notes_new(struct loop *loop, struct db_swap *db, struct metrics *metrics, const struct notes_config *config);
struct notes *notes_free(struct notes *n); /* calls that wait end without a callback */

/* Each calls fn exactly once, from the loop, never before it returns; or notes_cancel() before. */
struct notes_call *notes_list(struct notes *n, unsigned limit, uint64_t before, notes_fn fn, void *arg); /* before 0: newest */
struct notes_call *notes_get(struct notes *n, uint64_t id, notes_fn fn, void *arg);
/* text: valid UTF-8, checked by the caller; key: 1..64 printable ASCII or NULL. Both copied. */
struct notes_call *notes_add(struct notes *n, const char *text, size_t len, const char *key, notes_fn fn, void *arg);
/* Its deadline counts from so long ago: what the request took to arrive is part of the time that its client was promised. */
void notes_call_began(struct notes_call *call, uint64_t ago_usec);
void notes_cancel(struct notes_call *call); /* fn is not called any more; a write may still happen */

#endif

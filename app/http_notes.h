/* app/http_notes.h: the JSON interface: /api/v1/notes and /api/v1/notes/ID. */
#ifndef APP_HTTP_NOTES_H
#define APP_HTTP_NOTES_H

#include <stdbool.h>
#include <stddef.h>

struct exchange;
struct notes_result;

void http_notes_list(struct exchange *x);
void http_notes_get(struct exchange *x);
void http_notes_add(struct exchange *x);

#define PROBLEM_OUTCOME_UNKNOWN "urn:leasekeeper:problem:outcome-unknown"
#define PROBLEM_KEY_REUSED      "urn:leasekeeper:problem:key-reused"

const char *http_notes_text_fault(const char *text, size_t len); /* for people: why it cannot be a note; NULL: it can */
bool http_notes_is_key(const char *key);                         /* 1..64 printable ASCII characters */
void http_notes_refuse(struct exchange *x, const struct notes_result *r); /* every outcome but OK and CREATED */

#endif

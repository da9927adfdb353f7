/* app/note_json.h: notes as JSON. */
#ifndef APP_NOTE_JSON_H
#define APP_NOTE_JSON_H

#include <stddef.h>

struct buf;
struct note;
struct notes_result;

void note_json(struct buf *out, const struct note *note);
/* Both borrowed until the next call; ret_etag: with its quotes. */
const char *note_json_list(const struct notes_result *r, size_t *ret_len, const char **ret_etag);

#endif

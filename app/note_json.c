/* app/note_json.c: notes as JSON; a list that was written just before is not written again. */
#include <stdbool.h>
#include <string.h>

#include "app/etag.h"
#include "app/note_json.h"
#include "app/notes.h"
#include "common/buf.h"
#include "common/clock.h"

/**
 * note_json() - {"id","text","created_at"}
 */
void note_json(struct buf *out, const struct note *note)
{
        char created[CLOCK_TEXT_LEN];

        buf_printf(out, "{\"id\":%llu,\"text\":", (unsigned long long)note->id);
        buf_json_str(out, note->text, note->text_len);
        buf_printf(out, ",\"created_at\":\"%s\"}", clock_rfc3339(note->created_usec, created));
}

/* What the last list was made of. One loop, one thread: it is no more shared than the loop is. */
static struct {
        bool is_set;
        size_t len;
        uint64_t next;
        struct note items[NOTES_LIMIT_MAX]; /* text: unused; texts holds them one after the other */
        struct buf texts, json;
        char etag[ETAG_LEN + 1];
} last;

static bool is_last(const struct notes_result *r)
{
        const char *text = last.texts.data;

        if (!last.is_set || last.len != r->len || last.next != r->next)
                return false;
        for (size_t i = 0; i < r->len; i++) {
                const struct note *a = &last.items[i], *b = &r->items[i];

                if (a->id != b->id || a->created_usec != b->created_usec || a->text_len != b->text_len ||
                    memcmp(text, b->text, b->text_len) != 0)
                        return false;
                text += b->text_len;
        }
        return true;
}

static void remember(const struct notes_result *r)
{
        last.is_set = r->len > 0 && r->len <= NOTES_LIMIT_MAX;
        if (!last.is_set)
                return;
        last.len = r->len;
        last.next = r->next;
        buf_reset(&last.texts);
        for (size_t i = 0; i < r->len; i++) {
                last.items[i] = r->items[i];
                last.items[i].text = NULL;
                buf_add(&last.texts, r->items[i].text, r->items[i].text_len);
        }
}

/**
 * note_json_list() - {"notes":[...],"next":ID or null}
 * @r: a list
 *
 * Most readers ask for the newest notes and get the same ones: comparing them is far cheaper than writing them again.
 *
 * Return: borrowed until the next call, as *ret_etag is.
 */
const char *note_json_list(const struct notes_result *r, size_t *ret_len, const char **ret_etag)
{
        if (!is_last(r)) {
                buf_reset(&last.json);
                buf_str(&last.json, "{\"notes\":[");
                for (size_t i = 0; i < r->len; i++) {
                        if (i > 0)
                                buf_char(&last.json, ',');
                        note_json(&last.json, &r->items[i]);
                }
                if (r->next)
                        buf_printf(&last.json, "],\"next\":%llu}\n", (unsigned long long)r->next);
                else
                        buf_str(&last.json, "],\"next\":null}\n");
                etag_of(last.json.data, last.json.len, last.etag);
                remember(r);
        }
        *ret_etag = last.etag;
        *ret_len = last.json.len;
        return buf_text(&last.json);
}

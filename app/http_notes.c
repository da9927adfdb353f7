/* app/http_notes.c: the JSON interface: list, get and add notes. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "app/etag.h"
#include "app/exchange.h"
#include "app/http_notes.h"
#include "app/note_json.h"
#include "app/notes.h"
#include "app/query.h"
#include "common/buf.h"
#include "common/http_server.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/parse.h"

#define JSON_TYPE "application/json"

/**
 * http_notes_text_fault() - may this text be a note?
 *
 * Return: for people, why not; NULL: it may.
 */
const char *http_notes_text_fault(const char *text, size_t len)
{
        if (!parse_is_utf8(text, len))
                return "The text is not valid UTF-8.";
        if (memchr(text, '\0', len))
                return "The text must not hold the character U+0000.";
        if (len == 0)
                return "The text is empty; write 1 to 4096 characters.";
        if (parse_utf8_chars(text, len) > NOTES_TEXT_CHARS_MAX)
                return "The text is too long; write 1 to 4096 characters.";
        return NULL;
}

/**
 * http_notes_is_key() - may this be an Idempotency-Key?
 */
bool http_notes_is_key(const char *key)
{
        size_t len = strlen(key);

        if (len == 0 || len > NOTES_KEY_MAX)
                return false;
        for (; *key; key++)
                if (*key < 0x20 || *key > 0x7e)
                        return false;
        return true;
}

/**
 * http_notes_refuse() - the answer to every outcome but NOTES_OK and NOTES_CREATED
 */
void http_notes_refuse(struct exchange *x, const struct notes_result *r)
{
        switch (r->outcome) {
        case NOTES_NOT_FOUND: exchange_problem(x, 404, NULL, "There is no such note."); return;
        case NOTES_KEY_REUSED:
                exchange_problem(x, 422, PROBLEM_KEY_REUSED,
                                 "This Idempotency-Key was used for another text; use a new key for a new note.");
                return;
        case NOTES_OVERLOADED:
                exchange_problem(x, 429, NULL,
                                 "Too many requests wait for the database; nothing was written. Try again.");
                return;
        case NOTES_UNKNOWN:
                exchange_problem_with(
                        x, 503, PROBLEM_OUTCOME_UNKNOWN,
                        "The connection to the database broke before it was known whether the note was written. "
                        "Send the same text with this Idempotency-Key to find out; it is not written twice.",
                        "idempotency_key", r->key ? r->key : "");
                return;
        default:
                /* Why, with hosts and names in it, is the operator's: the log and /readyz have it. */
                exchange_problem(x, 503, NULL,
                                 "The database cannot be used at the moment; nothing was written. Try again.");
        }
}

/* --- list --- */

static void on_list(const struct notes_result *r, void *arg)
{
        struct exchange *x = arg;
        const char *body, *etag;
        size_t len;

        exchange_wait(x, NULL);
        if (r->outcome != NOTES_OK) {
                http_notes_refuse(x, r);
                return;
        }
        /* Who polls is told "unchanged" in a few bytes; yet nobody shows a list without having asked. */
        body = note_json_list(r, &len, &etag);
        exchange_reply_cached(x, "private, no-cache", JSON_TYPE, body, len, etag);
}

/**
 * http_notes_list() - GET /api/v1/notes?limit=20&before=ID
 */
void http_notes_list(struct exchange *x)
{
        struct query_page page;
        const char *fault = query_page_read(http_request_query(exchange_request(x)), &page);

        if (fault)
                exchange_problem(x, 400, NULL, fault);
        else
                exchange_wait(x, notes_list(exchange_services(x)->notes, page.limit, page.before, on_list, x));
}

/* --- get --- */

static void add_note(struct buf *body, const struct notes_result *r)
{
        note_json(body, &r->items[0]);
        buf_char(body, '\n');
}

static void on_get(const struct notes_result *r, void *arg)
{
        struct buf body __attribute__((cleanup(buf_done))) = BUF_INIT;
        struct exchange *x = arg;
        char etag[ETAG_LEN + 1];

        exchange_wait(x, NULL);
        if (r->outcome != NOTES_OK || r->len != 1) {
                http_notes_refuse(x, r);
                return;
        }
        add_note(&body, r);
        etag_of(body.data, body.len, etag);
        exchange_reply_cached(x, "private, no-cache", JSON_TYPE, body.data, body.len, etag);
}

/**
 * http_notes_get() - GET /api/v1/notes/ID
 */
void http_notes_get(struct exchange *x)
{
        const char *text = strrchr(http_request_path(exchange_request(x)), '/') + 1;
        const char *whole = http_request_path(exchange_request(x)) + strlen("/api/v1/notes/");
        uint64_t id;

        /* One note has one address: "007" and "7/" are none. */
        if (text != whole || text[0] == '0' || parse_u64(text, strlen(text), INT64_MAX, &id) < 0)
                exchange_problem(x, 404, NULL, "There is no such note.");
        else
                exchange_wait(x, notes_get(exchange_services(x)->notes, id, on_get, x));
}

/* --- add --- */

static void on_add(const struct notes_result *r, void *arg)
{
        struct exchange *x = arg;
        bool is_there = (r->outcome == NOTES_CREATED || r->outcome == NOTES_OK) && r->len == 1;
        struct buf body __attribute__((cleanup(buf_done))) = BUF_INIT;
        char location[64];

        exchange_wait(x, NULL);
        if (!is_there) {
                http_notes_refuse(x, r);
                return;
        }
        snprintf(location, sizeof(location), "/api/v1/notes/%llu", (unsigned long long)r->items[0].id);
        exchange_header(x, "Location", location);
        add_note(&body, r);
        exchange_reply(x, r->outcome == NOTES_CREATED ? 201 : 200, JSON_TYPE, body.data, body.len);
}

/* application/json, alone or with charset=utf-8 (RFC 8259, 11 knows no parameter, but clients send that one). */
static bool is_json_type(const char *type)
{
        static const char json[] = "application/json", charset[] = "charset=";
        size_t len = sizeof(json) - 1;

        if (!type || strncasecmp(type, json, len) != 0)
                return false;
        type += len + strspn(type + len, " \t");
        if (*type == '\0')
                return true;
        if (*type != ';')
                return false;
        type++;
        type += strspn(type, " \t");
        if (strncasecmp(type, charset, sizeof(charset) - 1) != 0)
                return false;
        type += sizeof(charset) - 1;
        return strcasecmp(type, "utf-8") == 0 || strcasecmp(type, "\"utf-8\"") == 0;
}

/* Head first, then the JSON, then what it says. Return: 0, or the status with *ret_fault (new). */
static int read_add(struct exchange *x, json_t **ret_body, char **ret_fault)
{
        struct http_request *req = exchange_request(x);
        const char *key = http_request_header(req, "Idempotency-Key"),
                   *encoding = http_request_header(req, "Content-Encoding");
        const char *text, *member, *fault;
        char error[160];
        const char *bytes;
        json_t *value;
        size_t len;

        if (!http_request_has_length(req)) {
                *ret_fault = mem_strdup("A Content-Length is needed.");
                return 411;
        }
        if (!is_json_type(http_request_header(req, "Content-Type")) ||
            (encoding && strcasecmp(encoding, "identity") != 0)) {
                *ret_fault = mem_strdup("The body must be application/json, in UTF-8 and without a Content-Encoding.");
                return 415;
        }
        if (key && !http_notes_is_key(key)) {
                *ret_fault = mem_strdup("The Idempotency-Key must have 1 to 64 printable ASCII characters.");
                return 400;
        }
        bytes = http_request_body(req, &len);
        *ret_body = json_read(bytes, len, error, sizeof(error));
        if (!*ret_body) {
                *ret_fault = mem_printf("The body is not valid JSON: %s.", error);
                return 400;
        }
        if (!json_is_object(*ret_body)) {
                *ret_fault = mem_strdup("The body must be an object with the member \"text\".");
                return 400;
        }
        json_object_foreach (*ret_body, member, value) {
                if (strcmp(member, "text") != 0) {
                        *ret_fault =
                                mem_strdup("The body has a member that is not known here; \"text\" is the only one.");
                        return 400;
                }
        }
        text = json_str(*ret_body, "text");
        if (!text) {
                *ret_fault = mem_strdup("The body must have the member \"text\", a string.");
                return 400;
        }
        fault = http_notes_text_fault(text, json_string_length(json_object_get(*ret_body, "text")));
        *ret_fault = mem_strdup(fault);
        return fault ? 400 : 0;
}

/**
 * http_notes_add() - POST /api/v1/notes {"text":"..."}
 */
void http_notes_add(struct exchange *x)
{
        cleanup_json json_t *body = NULL;
        cleanup_free char *fault = NULL;
        const json_t *text;
        int status = read_add(x, &body, &fault);

        if (status != 0) {
                exchange_problem(x, status, NULL, fault);
                return;
        }
        text = json_object_get(body, "text");
        exchange_wait(x, notes_add(exchange_services(x)->notes, json_string_value(text), json_string_length(text),
                                   http_request_header(exchange_request(x), "Idempotency-Key"), on_add, x));
}

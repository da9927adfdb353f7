/* app/query.c: `limit` and `before` of a request for notes, read strictly. */
#include <stdbool.h>
#include <string.h>

#include "app/notes.h"
#include "app/query.h"
#include "common/mem.h"
#include "common/parse.h"

#define LIMIT_DEFAULT 20

/* Return: NULL, or what is wrong. */
static const char *read_one(const char *key, const char *value, size_t len, struct query_page *page, unsigned *seen)
{
        bool is_limit = strcmp(key, "limit") == 0;
        unsigned bit = is_limit ? 1 : 2;
        uint64_t number;

        if (!is_limit && strcmp(key, "before") != 0)
                return NULL; /* what is not known here may be a cache-buster of a proxy */
        if (*seen & bit)
                return "Each of \"limit\" and \"before\" may stand once in the query.";
        *seen |= bit;
        if (parse_u64(value, len, is_limit ? NOTES_LIMIT_MAX : INT64_MAX, &number) < 0 || number == 0)
                return is_limit ? "\"limit\" must be a number from 1 to 100." : "\"before\" must be the id of a note.";
        if (is_limit)
                page->limit = (unsigned)number;
        else
                page->before = number;
        return NULL;
}

/**
 * query_page_read() - the query of GET /api/v1/notes and of GET /
 * @query: as it was sent, percent-encoded
 *
 * Return: NULL; or, for people, what is wrong with it (borrowed for ever).
 */
const char *query_page_read(const char *query, struct query_page *ret_page)
{
        struct query_page page = {.limit = LIMIT_DEFAULT};
        const char *end = query + strlen(query), *fault = NULL;
        unsigned seen = 0;
        int r = 0;

        while (!fault) {
                cleanup_free char *key = NULL, *value = NULL;
                size_t len;

                r = parse_form_next(&query, end, &key, &value, &len);
                if (r <= 0)
                        break;
                fault = read_one(key, value, len, &page, &seen);
        }
        if (r < 0)
                return "The query is not properly percent-encoded.";
        if (!fault)
                *ret_page = page;
        return fault;
}

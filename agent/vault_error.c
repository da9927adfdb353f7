/* agent/vault_error.c: what Vault says is wrong, as one short line for people. */
#include "agent/vault_error.h"

#include "common/buf.h"

#include <ctype.h>
#include <string.h>

/* "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n": the text behind the colon, or the text itself. */
static const char *skip_count(const char *text)
{
        const char *p = text;

        while (isdigit((unsigned char)*p))
                p++;
        if (p == text)
                return text;
        if (strncmp(p, " error occurred:", 16) == 0)
                return p + 16;
        if (strncmp(p, " errors occurred:", 17) == 0)
                return p + 17;
        return text;
}

/* Bytes of the control character or blank at p; 0 where there is none. C1 controls too: terminals obey them. */
static size_t blank_len(const char *p)
{
        unsigned char c = (unsigned char)*p;

        if (c <= 0x20 || c == 0x7f)
                return c != '\0';
        return c == 0xc2 && (unsigned char)p[1] >= 0x80 && (unsigned char)p[1] < 0xa0 ? 2 : 0;
}

static void cut(struct buf *line)
{
        size_t len = VAULT_ERROR_MAX - 3;

        if (line->len <= VAULT_ERROR_MAX)
                return;
        while (len > 0 && ((unsigned char)line->data[len] & 0xc0) == 0x80) /* not in the middle of a character */
                len--;
        line->len = len;
        line->data[len] = '\0';
        buf_str(line, "...");
}

/**
 * vault_error_line() - a text of Vault's as one line
 * @text: anything; NULL is fine
 *
 * "1 error occurred:\n\t* permission denied\n\n" becomes "permission denied", several such become "a; b".
 *
 * Return: new, at most VAULT_ERROR_MAX bytes.
 */
char *vault_error_line(const char *text)
{
        struct buf line = BUF_INIT;
        bool list = false, gap = false;

        if (!text)
                return buf_take(&line);
        list = skip_count(text) != text;
        for (const char *p = skip_count(text); *p && line.len <= VAULT_ERROR_MAX;) {
                size_t blank = blank_len(p);

                if (blank > 0) {
                        if (list && strncmp(p, "\n\t* ", 4) == 0) {
                                if (line.len > 0)
                                        buf_char(&line, ';');
                                blank = 4;
                        }
                        gap = true;
                        p += blank;
                        continue;
                }
                if (gap && line.len > 0)
                        buf_char(&line, ' ');
                gap = false;
                buf_char(&line, *p++);
        }
        cut(&line);
        return buf_take(&line);
}

/**
 * vault_error_first() - the first entry of {"errors": [...]} (api: HTTP status codes)
 * @body: any value, NULL too
 *
 * Return: borrowed, not empty; NULL where there is none.
 */
const char *vault_error_first(const json_t *body)
{
        const char *text = json_string_value(json_array_get(json_object_get(body, "errors"), 0));

        return text && *text ? text : NULL;
}

/**
 * vault_error_says() - do Vault's errors hold certain words?
 * @body:  any value, NULL too
 * @words: compared without regard to case
 *
 * Return: true where one of them does.
 */
bool vault_error_says(const json_t *body, const char *words)
{
        const json_t *errors = json_object_get(body, "errors"), *entry;
        size_t i;

        json_array_foreach (errors, i, entry) {
                if (json_is_string(entry) && strcasestr(json_string_value(entry), words))
                        return true;
        }
        return false;
}

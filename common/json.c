/* common/json.c: jansson, read strictly, wiped when freed. */
#include "common/json.h"

#include "common/harden.h"
#include "common/mem.h"
#include "common/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/**
 * json_setup() - wiping allocators, seeded hash
 *
 * Once, before any other call and before there is a second thread. What jansson frees, grown string buffers too, is
 * overwritten.
 */
void json_setup(void)
{
        json_set_alloc_funcs(wipe_malloc, wipe_free);
        json_object_seed(0);
}

/**
 * json_read() - reads one object or array (RFC 8259)
 * @text: text
 * @len: its bytes; nothing but blanks may follow the value
 * @ret_error: "line 3, column 5: what is wrong"; never quotes the text, which may be secret. Untouched on success
 * @error_cap: its size
 *
 * Return: new; NULL: see @ret_error. Duplicate keys are refused.
 */
json_t *json_read(const char *text, size_t len, char *ret_error, size_t error_cap)
{
        json_error_t error;
        json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
        char *quote;

        if (value)
                return value;
        /* jansson adds what it had just read: "... near '"password": "hunter2'". */
        quote = strstr(error.text, " '\\u"); /* jansson: invalid Unicode '\uD800' near ... */
        if (!quote)
                quote = strstr(error.text, " near '");
        if (quote)
                *quote = '\0';
        if (error_cap && error.line > 0)
                snprintf(ret_error, error_cap, "line %d, column %d: %s", error.line, error.column, error.text);
        else if (error_cap)
                snprintf(ret_error, error_cap, "%s", error.text);
        explicit_bzero(&error, sizeof(error));
        return NULL;
}

/**
 * json_str() - a string member
 * @obj: object, or anything else
 * @key: key
 *
 * Return: borrowed while @obj lives unchanged; NULL where absent or no string.
 */
const char *json_str(const json_t *obj, const char *key)
{
        return json_string_value(json_object_get(obj, key));
}

/**
 * json_u64() - an integer member
 * @obj: object, or anything else
 * @key: key
 * @ret_value: the value, untouched where there is none
 *
 * Return: false where absent, negative or no integer.
 */
bool json_u64(const json_t *obj, const char *key, uint64_t *ret_value)
{
        const json_t *value = json_object_get(obj, key);

        if (!json_is_integer(value) || json_integer_value(value) < 0)
                return false;
        *ret_value = (uint64_t)json_integer_value(value);
        return true;
}

/**
 * json_flag() - a boolean member
 * @obj: object, or anything else
 * @key: key
 *
 * Return: true only for JSON true.
 */
bool json_flag(const json_t *obj, const char *key)
{
        return json_is_true(json_object_get(obj, key));
}

/**
 * json_write_secret() - writes a value into a secret
 * @value: any value
 * @out: gets it appended, compact, keys sorted: equal content gives equal bytes
 *
 * Return: 0; -EMSGSIZE past the cap of @out, -EINVAL for NULL: @out unchanged.
 */
int json_write_secret(const json_t *value, struct secret *out)
{
        const size_t flags = JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY;
        size_t size = json_dumpb(value, NULL, 0, flags);
        char *text;
        int r;

        if (size == 0)
                return -EINVAL;
        text = mem_new(size);
        json_dumpb(value, text, size, flags);
        r = secret_append(out, text, size);
        wipe_free(text);
        return r;
}

/**
 * json_write() - writes a value as text; not for secrets
 * @value: any value but NULL
 * @pretty: with line breaks, for people
 *
 * Return: new, for mem_free().
 */
char *json_write(const json_t *value, bool pretty)
{
        const size_t flags = JSON_ENCODE_ANY | (pretty ? JSON_INDENT(2) : JSON_COMPACT);
        size_t size = json_dumpb(value, NULL, 0, flags);
        char *text = mem_new(size + 1);

        json_dumpb(value, text, size, flags);
        return text;
}

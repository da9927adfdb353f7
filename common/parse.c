/* common/parse.c: numbers, durations, names and encodings, read strictly. */
#include "common/parse.h"

#include "common/mem.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define DURATION_MAX ((uint64_t)INT64_MAX) /* 292,000 years: now plus a duration never wraps */

/**
 * parse_u64() - a decimal number
 * @text: digits alone: no sign, blank or prefix
 * @len: their number
 * @max: the largest value that is accepted
 * @ret_value: the value
 *
 * Return: 0; -EINVAL; -ERANGE above @max.
 */
int parse_u64(const char *text, size_t len, uint64_t max, uint64_t *ret_value)
{
        bool range = false;
        uint64_t value = 0;

        if (len == 0)
                return -EINVAL;
        for (size_t i = 0; i < len; i++) {
                if (!isdigit((unsigned char)text[i]))
                        return -EINVAL;
                range = range || __builtin_mul_overflow(value, UINT64_C(10), &value) ||
                        __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value);
        }
        if (range || value > max)
                return -ERANGE;
        *ret_value = value;
        return 0;
}

/* Return: the unit's length in usec and the bytes of its name; 0 for none. */
static uint64_t take_unit(const char *text, size_t *ret_len)
{
        static const struct {
                const char *name;
                uint64_t usec;
        } units[] = {{"us", 1},
                     {"ms", USEC_PER_MSEC},
                     {"s", USEC_PER_SEC},
                     {"m", 60 * USEC_PER_SEC},
                     {"h", 3600 * USEC_PER_SEC},
                     {"d", 86400 * USEC_PER_SEC}};

        for (size_t i = 0; i < array_len(units); i++) {
                size_t len = strlen(units[i].name);

                if (strncmp(text, units[i].name, len) == 0) {
                        *ret_len = len;
                        return units[i].usec;
                }
        }
        return 0;
}

/* One "1.5h": digits, perhaps a fraction, a unit. */
static int take_part(const char **pos, uint64_t *ret_usec)
{
        size_t digits = strspn(*pos, "0123456789"), unit_len;
        uint64_t whole, usec, unit, part = 0, scale = 1;
        int r = parse_u64(*pos, digits, DURATION_MAX, &whole);

        if (r < 0)
                return r;
        *pos += digits;
        if (**pos == '.') {
                digits = strspn(++*pos, "0123456789");
                if (digits == 0)
                        return -EINVAL;
                /* Eight digits: as many as a day in usec can be multiplied with; more are finer than a millisecond of it. */
                for (size_t i = 0; i < digits && i < 8; i++, scale *= 10)
                        part = part * 10 + (uint64_t)((*pos)[i] - '0');
                *pos += digits;
        }
        unit = take_unit(*pos, &unit_len);
        if (unit == 0)
                return -EINVAL;
        *pos += unit_len;
        if (__builtin_mul_overflow(whole, unit, &usec) || usec > DURATION_MAX - part * unit / scale)
                return -ERANGE;
        *ret_usec = usec + part * unit / scale;
        return 0;
}

/**
 * parse_duration() - a duration as Vault's configuration writes it
 * @text: Go's form with units us, ms, s, m, h and d ("90s", "1h30m", "1.5h", "7d"), or digits alone: seconds
 * @ret_usec: usec
 *
 * Return: 0; -EINVAL (also for signs and blanks); -ERANGE.
 */
int parse_duration(const char *text, uint64_t *ret_usec)
{
        uint64_t sum = 0, usec;
        int r = parse_u64(text, strlen(text), DURATION_MAX / USEC_PER_SEC, &usec);

        if (r != -EINVAL) {
                if (r == 0)
                        *ret_usec = usec * USEC_PER_SEC;
                return r;
        }
        if (*text == '\0')
                return -EINVAL;
        while (*text) {
                r = take_part(&text, &usec);
                if (r < 0)
                        return r;
                if (usec > DURATION_MAX - sum)
                        return -ERANGE;
                sum += usec;
        }
        *ret_usec = sum;
        return 0;
}

/**
 * parse_is_name() - may a secret or a consumer be called so?
 * @text: text
 * @len: its bytes
 *
 * Return: true for [A-Za-z0-9_.-]{1,64}.
 */
bool parse_is_name(const char *text, size_t len)
{
        if (len < 1 || len > 64)
                return false;
        for (size_t i = 0; i < len; i++) {
                unsigned char c = (unsigned char)text[i];

                if (!(c < 0x80 && isalnum(c)) && c != '_' && c != '.' && c != '-')
                        return false;
        }
        return true;
}

/**
 * parse_utf8_one() - the first code point of a text (RFC 3629 section 4)
 * @text: text
 * @len: its bytes
 *
 * Return: its bytes, 1 to 4; 0 where none is valid: surrogates, overlong forms, beyond U+10FFFF, cut off, @len 0.
 */
size_t parse_utf8_one(const char *text, size_t len)
{
        const unsigned char *c = (const unsigned char *)text;
        unsigned char low = 0x80, high = 0xbf; /* bounds of the second byte */
        size_t need;

        if (len == 0)
                return 0;
        if (c[0] < 0x80)
                return 1;
        if (c[0] < 0xc2 || c[0] > 0xf4)
                return 0;
        need = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
        if (len < need)
                return 0;
        switch (c[0]) {
        case 0xe0: low = 0xa0; break;
        case 0xed: high = 0x9f; break;
        case 0xf0: low = 0x90; break;
        case 0xf4: high = 0x8f; break;
        default: break;
        }
        if (c[1] < low || c[1] > high)
                return 0;
        for (size_t i = 2; i < need; i++)
                if ((c[i] & 0xc0) != 0x80)
                        return 0;
        return need;
}

/**
 * parse_is_utf8() - is all of a text valid UTF-8?
 * @text: text; NUL is a character like others
 * @len: its bytes
 *
 * Return: true where it is.
 */
bool parse_is_utf8(const char *text, size_t len)
{
        for (size_t i = 0, used; i < len; i += used) {
                used = parse_utf8_one(text + i, len - i);
                if (used == 0)
                        return false;
        }
        return true;
}

/**
 * parse_utf8_chars() - code points of a text
 * @text: valid UTF-8
 * @len: its bytes
 *
 * Return: their number.
 */
size_t parse_utf8_chars(const char *text, size_t len)
{
        size_t chars = 0;

        for (size_t i = 0; i < len; i++)
                if (((unsigned char)text[i] & 0xc0) != 0x80)
                        chars++;
        return chars;
}

static int hex_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

/**
 * parse_percent() - undoes percent-encoding (RFC 3986 section 2.1)
 * @text: text
 * @len: its bytes
 * @plus_is_space: "+" is a blank, as forms have it
 * @ret_text: new, NUL added; may hold a NUL of its own (%00): compare with @ret_len before it is used as a string
 * @ret_len: its bytes
 *
 * Return: 0; -EINVAL for a "%" without two hex digits.
 */
int parse_percent(const char *text, size_t len, bool plus_is_space, char **ret_text, size_t *ret_len)
{
        cleanup_free char *out = mem_new(len + 1);
        size_t out_len = 0;

        for (size_t i = 0; i < len; i++) {
                char c = text[i];

                if (c == '%') {
                        int high = i + 2 < len ? hex_value(text[i + 1]) : -1;
                        int low = i + 2 < len ? hex_value(text[i + 2]) : -1;

                        if (high < 0 || low < 0)
                                return -EINVAL;
                        c = (char)(high * 16 + low);
                        i += 2;
                } else if (c == '+' && plus_is_space) {
                        c = ' ';
                }
                out[out_len++] = c;
        }
        *ret_text = out;
        *ret_len = out_len;
        out = NULL;
        return 0;
}

/**
 * parse_form_next() - the next pair of a form or a query (WHATWG URL, application/x-www-form-urlencoded)
 * @pos: where to read; moved behind the pair
 * @end: end of the text
 * @ret_key: new
 * @ret_value: new; "" for a key without "="
 * @ret_value_len: its bytes; a value may hold a NUL
 *
 * Return: 1: a pair; 0: the end; -EINVAL: bad percent-encoding, or a NUL in the key.
 */
int parse_form_next(const char **pos, const char *end, char **ret_key, char **ret_value, size_t *ret_value_len)
{
        cleanup_free char *key = NULL;
        const char *start = *pos, *stop, *equals;
        size_t key_len;
        int r;

        while (start < end && *start == '&')
                start++;
        if (start >= end) {
                *pos = end;
                return 0;
        }
        stop = memchr(start, '&', (size_t)(end - start));
        if (!stop)
                stop = end;
        equals = memchr(start, '=', (size_t)(stop - start));
        if (!equals)
                equals = stop;

        r = parse_percent(start, (size_t)(equals - start), true, &key, &key_len);
        if (r < 0)
                return r;
        if (strlen(key) != key_len)
                return -EINVAL;
        start = equals < stop ? equals + 1 : stop;
        r = parse_percent(start, (size_t)(stop - start), true, ret_value, ret_value_len);
        if (r < 0)
                return r;
        *ret_key = key;
        key = NULL;
        *pos = stop;
        return 1;
}

#define NEAREST_LEN_MAX 64

static size_t least(size_t a, size_t b)
{
        return a < b ? a : b;
}

/* Damerau-Levenshtein (optimal string alignment), upper and lower case alike. Both words at most NEAREST_LEN_MAX long. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
        size_t rows[3][NEAREST_LEN_MAX + 1];
        size_t *before = rows[0], *last = rows[1], *row = rows[2];

        for (size_t j = 0; j <= b_len; j++)
                last[j] = before[j] = j;
        for (size_t i = 1; i <= a_len; i++) {
                row[0] = i;
                for (size_t j = 1; j <= b_len; j++) {
                        int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);

                        row[j] = least(last[j - 1] + (x != y), least(last[j], row[j - 1]) + 1);
                        if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                            y == tolower((unsigned char)a[i - 2]))
                                row[j] = least(row[j], before[j - 2] + 1);
                }

                size_t *spare = before;

                before = last;
                last = row;
                row = spare;
        }
        return last[b_len];
}

/**
 * parse_nearest() - what was meant by a mistyped word
 * @word: as written
 * @known: the words there are
 * @known_len: their number
 *
 * Return: borrowed, of @known: the nearest, the first of equals; NULL where more than a third would have to change.
 */
const char *parse_nearest(const char *word, const char *const *known, size_t known_len)
{
        size_t word_len = strlen(word), best = (word_len + 1) / 3 + 1;
        const char *found = NULL;

        if (word_len > NEAREST_LEN_MAX)
                return NULL;
        for (size_t i = 0; i < known_len; i++) {
                size_t len = strlen(known[i]), distance;

                if (len > NEAREST_LEN_MAX)
                        continue;
                distance = edit_distance(word, word_len, known[i], len);
                if (distance < best) {
                        best = distance;
                        found = known[i];
                }
        }
        return found;
}

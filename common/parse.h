/* common/parse.h: numbers, durations, names and encodings, read strictly. */
#ifndef COMMON_PARSE_H
#define COMMON_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USEC_PER_SEC  UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_NEVER    UINT64_MAX

/* decimal digits alone; -EINVAL, -ERANGE */
int parse_u64(const char *text, size_t len, uint64_t max, uint64_t *ret_value);
/* "90s" "5m" "1h30m" "250ms" "7d" or bare seconds; -EINVAL, -ERANGE */
int parse_duration(const char *text, uint64_t *ret_usec);

bool parse_is_name(const char *text, size_t len);      /* [A-Za-z0-9_.-]{1,64} */
bool parse_is_utf8(const char *text, size_t len);      /* RFC 3629: no surrogates, no overlong forms */
size_t parse_utf8_chars(const char *text, size_t len); /* code points of valid UTF-8 */
size_t parse_utf8_one(const char *text, size_t len);   /* bytes of the first code point; 0 where none is valid */

/* new, NUL added; -EINVAL */
int parse_percent(const char *text, size_t len, bool plus_is_space, char **ret_text, size_t *ret_len);
/* application/x-www-form-urlencoded: 1 and a new pair, 0 at the end, -EINVAL */
int parse_form_next(const char **pos, const char *end, char **ret_key, char **ret_value, size_t *ret_value_len);
/* borrowed; NULL where none is near */
const char *parse_nearest(const char *word, const char *const *known, size_t known_len);

#endif

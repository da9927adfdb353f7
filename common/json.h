/* common/json.h: jansson, read strictly, wiped when freed. */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secret;
struct buf;

void json_setup(void); /* wiping allocators, seeded hash; once, before any other call */
/* New; NULL: ret_error says where and what, and never quotes the text. Duplicates refused. */
json_t *json_read(const char *text, size_t len, char *ret_error, size_t error_cap);
const char *json_str(const json_t *obj, const char *key);               /* borrowed; NULL where absent or no string */
bool json_u64(const json_t *obj, const char *key, uint64_t *ret_value); /* false where absent, negative or no integer */
bool json_flag(const json_t *obj, const char *key);                     /* true only for JSON true */
int json_write_secret(const json_t *value, struct secret *out);         /* appended, compact, keys sorted; -EMSGSIZE */
char *json_write(const json_t *value, bool pretty);                     /* new; mem_free it. Not for secrets */

#define cleanup_json __attribute__((cleanup(json_decrefp))) /* jansson's own function */

#endif

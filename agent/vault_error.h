/* agent/vault_error.h: what Vault says is wrong, as one short line for people. For vault_reply.c alone. */
#ifndef AGENT_VAULT_ERROR_H
#define AGENT_VAULT_ERROR_H

#include <stdbool.h>

#include "common/json.h"

#define VAULT_ERROR_MAX 300 /* bytes, NUL not counted */

/* new: `text` on one line, no control characters, at most VAULT_ERROR_MAX bytes, Vault's list marks taken out; "" for NULL */
char *vault_error_line(const char *text);
const char *vault_error_first(const json_t *body);                /* borrowed: the first of "errors"; NULL where there is none */
bool vault_error_says(const json_t *body, const char *words);     /* does one of "errors" hold it, whatever its case? */

#endif

/* agent/state.h: the folder that outlives the process (rule 10): one file a secret, one for the tokens. The one place of truth. */
#ifndef AGENT_STATE_H
#define AGENT_STATE_H

#include "common/json.h"

struct state;

/*
 * Opens (makes) the folder, 0700, and locks it. identity: config_vault_identity(); a file of another one, of another boot, of a
 * future format or damaged is set aside (renamed to NAME.aside) with a warning, each alone, and is not loaded.
 * -EWOULDBLOCK: another agent runs on it.
 */
int state_open(const char *dir, const char *identity, struct state **ret_state);
struct state *state_free(struct state *st); /* unlocks; takes NULL */

int state_save_secret(struct state *st, const char *name, json_t *content);   /* steals content; the file is replaced as a whole; -errno */
int state_load_secret(struct state *st, const char *name, json_t **ret_content); /* new; -ENOENT: none (set aside counts as none) */
int state_remove_secret(struct state *st, const char *name);
/* The names of all saved secrets: NULL-terminated, new, mem_free each and the array. */
char **state_list_secrets(struct state *st);

int state_save_tokens(struct state *st, json_t *content); /* steals content */
int state_load_tokens(struct state *st, json_t **ret_content);
int state_remove_all(struct state *st); /* on_stop = "revoke" */

#endif

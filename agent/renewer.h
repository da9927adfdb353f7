/* agent/renewer.h: keeps every secret current: asks life_next(), sends what it says, saves, publishes, revokes. */
#ifndef AGENT_RENEWER_H
#define AGENT_RENEWER_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/life.h"
#include "common/json.h"

struct auth;
struct config;
struct loop;
struct metrics;
struct renewer;
struct state;
struct store;
struct store_secret;
struct token;
struct vault_link;

struct renewer_context { /* borrowed for the renewer's life */
        struct loop *loop;
        struct vault_link *link;
        struct auth *auth;
        struct store *store;
        struct state *state;
        struct metrics *metrics;
};

struct renewer *renewer_new(const struct renewer_context *ctx);
struct renewer *renewer_free(struct renewer *r);

/* Takes over what the state holds for the secrets of config (rule 10) and publishes it; names that config lacks are revoked after g. */
void renewer_load(struct renewer *r, const struct config *config);
/* Another config: the difference alone (rule 14). The old config may be freed when it returns. */
void renewer_reconfigure(struct renewer *r, const struct config *config);

void renewer_on_gate(struct renewer *r); /* the gate or the token changed: may Vault be asked? */
void renewer_on_token(struct renewer *r,
                      struct token *t); /* another token is current: leases of others are replaced, spread */
void renewer_on_token_dead(struct renewer *r, struct token *t);

void renewer_on_clock_step(struct renewer *r);
void renewer_stop(struct renewer *r,
                  const char *reason); /* on_stop = "revoke": readers are told `lost` with the reason */
void renewer_leave(struct renewer *r); /* after it: no secret is in the store any more */

void renewer_given(struct renewer *r, struct store_secret *s);
void renewer_acked(struct renewer *r, struct store_secret *s);
void renewer_rejected(struct renewer *r, struct store_secret *s, bool denied);
/* name NULL: all. Return: HTTP status 202, 404, 429; ret_body is new where there is one. */
int renewer_rotate(struct renewer *r, const char *name, enum life_why why, json_t **ret_body,
                   uint64_t *ret_retry_after_usec);

bool renewer_required_ready(const struct renewer *r,
                            char **ret_missing); /* ret_missing (new): "db (reason), tls (reason)" */
bool renewer_all_good(const struct renewer *r,
                      json_t *reasons); /* reasons: an array that is added to; false: something fails */
bool renewer_any_required_lost(const struct renewer *r, json_t *reasons);
json_t *renewer_status(const struct renewer *r);   /* new: an array, one object a secret */
unsigned renewer_leaving(const struct renewer *r); /* secrets that are gone from the config and not yet revoked */

#endif

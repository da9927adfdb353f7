/* agent/auth.h: keeps one living Vault token: adopts, logs in, renews, judges, replaces (rules 6, 7, 8). */
#ifndef AGENT_AUTH_H
#define AGENT_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/json.h"

struct auth;
struct config_auth;
struct loop;
struct metrics;
struct state;
struct token;
struct vault_link;

struct auth_events {
        void (*on_token)(struct token *t, void *arg); /* another token is current */
        void (*on_token_dead)(struct token *t,
                              void *arg);                 /* Vault does not know it any more: its leases died with it */
        void (*on_refused)(const char *error, void *arg); /* a login was refused (for -exit-after-auth) */
};

struct auth *auth_new(struct loop *loop, struct vault_link *link, struct state *state, const struct config_auth *config,
                      struct metrics *metrics, const struct auth_events *events, void *arg); /* config borrowed */
struct auth *auth_free(struct auth *a);
void auth_load(struct auth *a);  /* what the state holds, before anything is asked */
void auth_start(struct auth *a); /* asks Vault about the adopted token, or logs in */
void auth_set_config(struct auth *a, const struct config_auth *config); /* SIGHUP: credential files are read again */
void auth_vault_back(struct auth *a);                                   /* the gate opened */

struct token *auth_token(const struct auth *a);                     /* borrowed; NULL: none that lives */
struct token *auth_find(const struct auth *a, uint64_t generation); /* borrowed; NULL: not known any more */
void auth_doubt(struct auth *a,
                struct token *t);             /* a 403 came: asks lookup-self, once in 10 s for all who ask (rule 7) */
void auth_tend(struct auth *a);               /* leases went: old tokens without any are revoked */
const char *auth_error(const struct auth *a); /* why there is no token, or why renewing it fails; "" */
json_t *auth_status(const struct auth *a);    /* new: for status; no secret in it */
void auth_revoke_all(struct auth *a, void (*done)(void *arg), void *arg); /* on_stop = "revoke" */
bool auth_want_new(struct auth *a,
                   uint64_t wanted_usec); /* rule 6: better wait for another token than mint with this one? */

#endif

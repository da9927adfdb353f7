/*
 * agent/vault_link.h: the way to Vault: one queue for all requests, a rate limit, and the gate that shuts while Vault is away.
 * Shows each request's token to Vault and to nobody else.
 */
#ifndef AGENT_VAULT_LINK_H
#define AGENT_VAULT_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/vault_api.h"

struct config_vault;
struct http_client_config;
struct link_call;
struct loop;
struct metrics;
struct token;
struct vault_link;

/* In the order in which the queue is served; look-ups have a quarter of the rate limit at most. */
enum link_class { LINK_URGENT, LINK_RENEW, LINK_MINT, LINK_LOOK_UP, LINK_CLASSES };

typedef void (*link_fn)(const struct vault_reply *reply, void *arg); /* reply borrowed while it runs */

struct vault_link *vault_link_new(struct loop *loop, const struct config_vault *config, struct metrics *metrics,
                                  char **ret_error);
struct vault_link *vault_link_free(struct vault_link *link); /* calls end without a callback */

/* Steals the members of request; references token (NULL: none). timeout_usec 0: the configured one. Never calls back before it returns. */
struct link_call *vault_link_send(struct vault_link *link, enum link_class class, struct vault_request *request,
                                  struct token *token, uint64_t timeout_usec, link_fn fn, void *arg);
void vault_link_cancel(struct link_call *call); /* takes NULL; no callback any more */

/*
 * The gate (rule 4): shut by an answer that says unreachable or sealed, opened by the first 200 of sys/health. While it is shut
 * what waits in the queue is answered VAULT_UNREACHABLE, and whoever sends gets the same; fn is told of each change.
 */
bool vault_link_is_open(const struct vault_link *link);
void vault_link_on_gate(struct vault_link *link, void (*fn)(bool open, void *arg), void *arg);
void vault_link_hurry(struct vault_link *link, bool hurry);  /* a secret has nothing valid: probe every second */
const char *vault_link_error(const struct vault_link *link); /* why it is shut, for people; "" while open */
int64_t vault_link_skew_usec(
        const struct vault_link *link); /* Vault's clock minus ours, by its Date; 0 while unknown */

#endif

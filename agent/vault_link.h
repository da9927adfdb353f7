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

/*
 * In the order in which the queue is served. TOKEN: what every secret needs; URGENT: a mint where nothing valid is served. Look-ups
 * have a quarter of the rate limit at most. What mints and looks up may hang with the engine behind Vault: there is always a
 * place left for renewals, and one for the token.
 */
enum link_class { LINK_TOKEN, LINK_URGENT, LINK_RENEW, LINK_MINT, LINK_LOOK_UP, LINK_CLASSES };

#define VAULT_LINK_SKEW_TELL_USEC INT64_C(5000000) /* from here on the clocks' difference is told to people */

typedef void (*link_fn)(const struct vault_reply *reply, void *arg); /* reply borrowed while it runs */

struct vault_link *vault_link_new(struct loop *loop, const struct config_vault *config, struct metrics *metrics,
                                  char **ret_error);
struct vault_link *vault_link_free(struct vault_link *link); /* calls end without a callback */

/* Steals the members of request; references token (NULL: none). timeout_usec 0: the configured one. Never calls back before it returns. */
struct link_call *vault_link_send(struct vault_link *link, enum link_class class, struct vault_request *request,
                                  struct token *token, uint64_t timeout_usec, link_fn fn, void *arg);
void vault_link_cancel(struct link_call *call); /* takes NULL; no callback any more */

/*
 * The gate (rule 4): an answer that says unreachable or sealed makes sys/health be asked, for it may be the fault of one path, or of
 * one node among several. Without a good answer of it the gate shuts; the first good one opens it. Any answer but 5xx says that
 * Vault is there. While the gate is shut what waits in the queue is answered VAULT_UNREACHABLE, and whoever sends gets the same; fn
 * is told of each change.
 */
bool vault_link_is_open(const struct vault_link *link);
void vault_link_on_gate(struct vault_link *link, void (*fn)(bool open, void *arg), void *arg);
void vault_link_hurry(struct vault_link *link, bool hurry);  /* a secret has nothing valid: probe every second */
const char *vault_link_error(const struct vault_link *link); /* why it is shut, for people; "" while open */
int64_t vault_link_skew_usec(
        const struct vault_link *link); /* Vault's clock minus ours, by its Date; 0 while unknown */

#endif

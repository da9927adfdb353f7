/* agent/auth_method.h: what each login method (one file each: auth_METHOD.c) does for auth.c. */
#ifndef AGENT_AUTH_METHOD_H
#define AGENT_AUTH_METHOD_H

#include <stdbool.h>

#include "agent/vault_api.h"

struct config_auth;
struct secret;

/*
 * What a login needs and may not be there twice: kept in the state (rule 8), so that neither a dead token nor a restart strands
 * the agent.
 */
struct auth_credentials {
        struct secret *kept;     /* approle: the secret-id in use; NULL */
        struct secret *wrapping; /* a wrapping token that waits to be unwrapped; NULL */
        struct secret *seen;     /* what the file held when it was last read; NULL */
        struct secret *role;     /* approle: the role-id, when it was last read; NULL */
        bool from_file;          /* `kept` came from the file, which may be removed after the login */
};

void auth_credentials_done(struct auth_credentials *c);
int auth_read_credential(const char *path, struct secret **ret_value); /* new, trimmed; 1: empty; -errno */

struct login_method {
        const char *name; /* the metric's label */
        /* Reads the credential files. 1: the credentials changed; 0: they did not; -errno: ret_error (new) names the file */
        int (*read)(const struct config_auth *config, struct auth_credentials *c, char **ret_error);
        /* The login request. -errno and ret_error (new) where something is missing; NULL: method takes the token from `kept` */
        int (*login)(const struct config_auth *config, const struct auth_credentials *c, struct vault_request *ret,
                     char **ret_error);
        void (*logged_in)(const struct config_auth *config,
                          struct auth_credentials *c); /* after success: remove what may go */
};

extern const struct login_method login_approle;
extern const struct login_method login_token_file;

#endif

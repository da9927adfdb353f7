/* agent/auth_internal.h: what auth.c, auth_login.c and auth_state.c share. Nobody else includes it. */
#ifndef AGENT_AUTH_INTERNAL_H
#define AGENT_AUTH_INTERNAL_H

#include "agent/auth.h"
#include "agent/auth_method.h"
#include "agent/instant.h"
#include "agent/token.h"
#include "agent/vault_link.h"
#include "common/backoff.h"

#define AUTH_OLD_MAX 16 /* replaced tokens whose leases still live */

enum auth_phase {
        AUTH_IDLE,
        AUTH_WRAP_LOOKUP, /* where was this wrapping token made? */
        AUTH_UNWRAP,
        AUTH_LOGIN,
        AUTH_LOOKUP, /* the new token is looked up once */
};

struct auth {
        struct loop *loop;
        struct vault_link *link;
        struct state *state;
        const struct config_auth *config;
        const struct login_method *method;
        struct auth_events events;
        void *arg;

        struct token *token;     /* current; NULL: none */
        struct token *candidate; /* logged in, not yet looked up */
        struct token *old[AUTH_OLD_MAX];
        size_t old_len;
        struct token *revoking; /* one of them, referenced: its revocation is under way */
        struct link_call *revoke_call;
        uint64_t revoke_usec; /* the next revocation: not before */
        struct backoff revoke_backoff;
        uint64_t last_generation;

        enum auth_phase phase;
        struct link_call *call;       /* of the phase */
        struct link_call *token_call; /* renew-self, or a look-up of the current token */
        struct loop_timer *timer;
        struct file_watch *files; /* the credential files */
        bool unwrap_only;         /* no login is due: the unwrapped secret-id is only kept */
        struct auth_credentials credentials;
        uint64_t login_usec;        /* not before (CLOCK_BOOTTIME) */
        uint64_t hidden_login_usec; /* the last login because a token that may not be looked up could not be renewed */
        unsigned refusals;          /* of these credentials, in a row (rule 8) */
        struct backoff backoff;     /* no answer to a login */
        uint64_t doubted_usec;      /* the last look-up for a 403 */
        bool renewal_forbidden;     /* the last renewal was answered 403 */
        struct {                    /* on_stop = "revoke" */
                unsigned left;      /* tokens still on their way */
                void (*done)(void *arg);
                void *arg;
        } farewell;
        char *error, *said; /* said: the last failure that was logged */
        struct metric *logins, *expiry;
};

struct instant auth_now(void);
void auth_step(struct auth *a); /* what is due now; arms the timer */
void auth_set_error(struct auth *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void auth_log_in(struct auth *a); /* auth_login.c: begins a login; ends in auth_install() or a later try */
void auth_unwrap(struct auth *a); /* a wrapped secret-id came while no login is due */
void auth_install(struct auth *a, struct token *t); /* steals t: it is current from now on */
void auth_discard(struct auth *a, struct token *t); /* steals t: it is of no use, and revoked by auth_tend() */
int auth_save(struct auth *a);                      /* auth_state.c */

#endif

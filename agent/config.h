/* agent/config.h: what the operator wants, read from HCL or JSON and checked. Knows no Vault calls and no sockets. */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/kind.h"

#define MINT_BURST_MAX 100

struct buf;

/* "FILE:LINE: what is wrong; what to do", or the same as a warning. */
struct config_finding {
        char *text;
        bool is_warning;
};

struct config_findings {
        struct config_finding *items;
        size_t len;
};

struct config_vault {
        char *address; /* the environment wins over the file, as in Vault Agent; default https://127.0.0.1:8200 */
        char *ca_cert, *ca_path, *client_cert, *client_key, *tls_server_name, *namespace_, *proxy; /* NULL: none */
        bool skip_verify;
        uint64_t timeout_usec; /* default 60 s */
        double rate_limit;     /* requests a second; 0: none. Default 100 */
        double rate_burst;     /* default twice that */
};

enum auth_method { AUTH_APPROLE, AUTH_TOKEN_FILE };           /* more to come; a method that is not here is a finding */
const char *config_auth_method_text(enum auth_method method); /* "approle", "token_file" */

struct config_auth {
        enum auth_method method;
        char *mount_path; /* "auth/approle", no slash at either end; "auth/token" for token_file */
        char *role_id_file_path, *secret_id_file_path;
        char *secret_id_response_wrapping_path;   /* NULL: the secret-id file holds the secret-id itself */
        bool remove_secret_id_file_after_reading; /* default true, as in Vault Agent */
        char *token_file_path;
};

struct config_listener {
        char *address; /* unix: a path; tcp: ADDRESS:PORT */
        bool is_unix;
        bool metrics_only;  /* tcp: always */
        mode_t socket_mode; /* unix; default 0660 */
        char *socket_user, *socket_group;
        uid_t socket_uid; /* (uid_t)-1: leave */
        gid_t socket_gid; /* (gid_t)-1: leave */
        char *where;      /* "FILE:LINE", for messages */
};

struct config_allow { /* all that is set must hold */
        bool has_uid, has_gid;
        uid_t uid;
        gid_t gid;
        char *unit; /* NULL: any */
};

enum output_format { OUTPUT_JSON, OUTPUT_ENV, OUTPUT_PEM };

struct config_output {
        char *path;
        bool is_directory;
        enum output_format format; /* files */
        uid_t uid;                 /* (uid_t)-1: leave */
        gid_t gid;                 /* (gid_t)-1: leave */
        mode_t mode;
        bool allow_disk;
        char *where;
};

enum key_type { KEY_EC_P256, KEY_EC_P384, KEY_RSA_2048, KEY_RSA_3072, KEY_RSA_4096, KEY_ED25519 };
const char *config_key_type_text(enum key_type type); /* "ec-p256" ... */

struct config_certificate {
        bool sign; /* .../sign/ROLE: the key is made here; else .../issue/ROLE */
        char *common_name;
        char **alt_names, **ip_sans, **uri_sans; /* NULL-terminated; NULL where there is none */
        uint64_t ttl_usec;                       /* 0: the role's */
        enum key_type key_type;
};

struct config_secret {
        char *name;
        char *path; /* as after /v1/, no leading slash */
        bool is_certificate;
        struct config_certificate *certificate; /* NULL: it is none */
        uint64_t grace_usec;   /* default 30 s */
        uint64_t refresh_usec; /* default 5 min */
        uint64_t verify_usec;  /* rule 15; USEC_NEVER: a third of the TTL (default), 0: never */
        unsigned mint_burst;   /* default 3, MINT_BURST_MAX at most */
        bool required;         /* default true */
        struct config_allow *allow;
        size_t allow_len;
        struct config_output *outputs;
        size_t outputs_len;
        char *where; /* while the configuration is checked; NULL then */
};

struct config {
        struct config_vault vault;
        struct config_auth auth;
        struct config_listener *listeners;
        size_t listeners_len;
        struct config_secret *secrets; /* certificates too, in the order of the files */
        size_t secrets_len;
        bool has_operators_gid;
        gid_t operators_gid;
        bool revoke_on_stop; /* on_stop = "revoke" */
        bool rotate_on_hup;  /* on_hup = "rotate" (default) */
        char *state_dir;
};

enum config_depth { CONFIG_SYNTAX, CONFIG_FULL }; /* FULL also looks at users, groups, tmpfs and credential files */

/*
 * Reads every path (a file, or a folder of *.hcl and *.json in byte order), merges, checks.
 * Return: new; NULL where a finding is no warning. ret_findings is filled either way; config_findings_done() it.
 */
struct config *config_load(const char *const *paths, size_t paths_len, enum config_depth depth,
                           struct config_findings *ret_findings);
struct config *config_free(struct config *c); /* takes NULL */
void config_findings_done(struct config_findings *f);
const struct config_secret *config_find_secret(const struct config *c, const char *name); /* borrowed; NULL */

/* What decides whether saved content may be adopted (rule 10): the path and the parameters of the request, as one line of text. */
char *config_secret_identity(const struct config_secret *s); /* new */
/* Address, namespace, method and mount, as one line: a state of another one is not ours. */
char *config_vault_identity(const struct config *c); /* new */
/* What a reload cannot change: how Vault is reached, and where the agent is, each as one line. */
char *config_way_identity(const struct config *c);       /* new */
char *config_listeners_identity(const struct config *c); /* new */

#endif

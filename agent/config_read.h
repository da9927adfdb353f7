/* agent/config_read.h: how the agent/config*.c files turn nodes of the tree into values, and collect what is wrong. */
#ifndef AGENT_CONFIG_READ_H
#define AGENT_CONFIG_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/config.h"
#include "agent/hcl.h"

struct config_reader {
        struct config *config;
        struct config_findings *findings;
        enum config_depth depth;
        const char *top;              /* "FILE:1", for what is missing altogether; borrowed */
        const struct hcl_node *vault; /* the vault block; NULL: none. Borrowed */
        char *auth_where;             /* "FILE:LINE" of the method; NULL: none */
        char *method_namespace;       /* NULL: none */
        char *state_dir_where;        /* "FILE:LINE"; NULL: not given */
};

/* Each finding reads "what is wrong; what to do". */
void config_error(struct config_reader *r, const struct hcl_node *at, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
void config_warn(struct config_reader *r, const struct hcl_node *at, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
void config_error_at(struct config_reader *r, const char *where, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
void config_warn_at(struct config_reader *r, const char *where, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
void config_error_line(struct config_reader *r, char *line);                        /* steals "FILE:LINE: ..." */
const struct hcl_node *config_member(const struct hcl_node *body, const char *key); /* borrowed; body where absent */
char *config_where(const struct hcl_node *at);                                      /* new: "FILE:LINE" */

typedef void (*config_read_fn)(struct config_reader *r, const struct hcl_node *value, void *field);

enum config_key_class {
        CONFIG_KEY_BUILT,   /* stands once */
        CONFIG_KEY_REPEATS, /* a block that may stand several times */
        CONFIG_KEY_IGNORED, /* Vault Agent knows it: a warning with `why` */
        CONFIG_KEY_LATER,   /* designed, not built: an error */
};

struct config_key {
        const char *name;
        enum config_key_class class_;
        config_read_fn read; /* NULL with IGNORED and LATER */
        size_t offset;       /* of the field in the target */
        const char *why;     /* IGNORED: goes behind "is ignored: " */
};

struct config_schema {
        const struct config_key *keys;
        size_t len;
};

/* Reads each member of body into target as the schema says; title ("listener \"unix\"") is for messages, NULL at the top. */
void config_read_members(struct config_reader *r, const struct hcl_node *body, const struct config_schema *schema,
                         const char *title, void *target);

/* One block: label NULL where it has none. */
typedef void (*config_body_fn)(struct config_reader *r, const char *label, const struct hcl_node *body, void *arg);
/*
 * Calls fn for each block that a key's value stands for: an object or a list of objects, with labels where labelled is true.
 * A member named in `bare` (may be NULL) shows that the label was left out. Return: how many.
 */
size_t config_each_body(struct config_reader *r, const struct hcl_node *value, bool labelled,
                        const struct config_schema *bare, config_body_fn fn, void *arg);

#define MODE_UNSET ((mode_t)-1) /* of a mode_t field: no key says it */
/* Fields: char *, bool, uint64_t usec, unsigned, double, mode_t, uid_t, gid_t, char ** with NULL at the end. */
void config_read_string(struct config_reader *r, const struct hcl_node *value, void *field);
void config_read_bool(struct config_reader *r, const struct hcl_node *value, void *field);
void config_read_duration(struct config_reader *r, const struct hcl_node *value, void *field);
void config_read_count(struct config_reader *r, const struct hcl_node *value, void *field);
void config_read_rate(struct config_reader *r, const struct hcl_node *value, void *field);
void config_read_mode(struct config_reader *r, const struct hcl_node *value, void *field);
void config_read_user(struct config_reader *r, const struct hcl_node *value, void *field);
void config_read_group(struct config_reader *r, const struct hcl_node *value, void *field);
void config_read_list(struct config_reader *r, const struct hcl_node *value, void *field);
/* One of `names`: its index, or -1 with a finding. */
int config_read_choice(struct config_reader *r, const struct hcl_node *value, const char *const *names, size_t len);
bool config_parse_bool(const char *text, bool *ret_value); /* as Go's strconv.ParseBool */
bool config_parse_rate(const char *text, double *ret_value);

/* Is it absolute, without "//", "." or ".." parts, no trailing slash, no control characters? Else a finding. */
bool config_check_path(struct config_reader *r, const char *where, const char *what, const char *path);

/* --- the blocks, one file each --- */
void config_read_vault(struct config_reader *r, const struct hcl_node *value, void *config);
void config_read_auto_auth(struct config_reader *r, const struct hcl_node *value, void *config);
void config_read_listener(struct config_reader *r, const struct hcl_node *value, void *config);
void config_read_secret(struct config_reader *r, const struct hcl_node *value, void *config);
void config_read_certificate(struct config_reader *r, const struct hcl_node *value, void *config);
void config_apply_environment(struct config_reader *r); /* VAULT_... and BAO_... over the file, as Vault Agent does */
void config_check_vault(struct config_reader *r);       /* the vault block with the environment over it */
void config_check(struct config_reader *r);             /* what only shows when all is read */
bool config_lies_in(const char *path, const char *folder);
void config_check_machine(struct config_reader *r);     /* would state_dir and sockets be there after a start? */

#endif

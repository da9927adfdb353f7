/* agent/config_check.c: what only shows when the whole configuration is read: clashes, gaps, and who gets nothing. */
#include "agent/config_read.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* A place in the file system that the agent takes for itself. */
struct claim {
        const char *path, *what, *where; /* borrowed */
        bool covers;                     /* all below it too */
        size_t order;                    /* of the files: the later one is the one to complain about */
};

/* Orders what lies in a folder directly behind the folder. */
static int compare_paths(const char *a, const char *b)
{
        for (; *a && *a == *b; a++, b++)
                ;
        return (*a == '/' ? 1 : (unsigned char)*a) - (*b == '/' ? 1 : (unsigned char)*b);
}

static int compare_claims(const void *a, const void *b)
{
        const struct claim *x = a, *y = b;

        int by_path = compare_paths(x->path, y->path);

        return by_path ? by_path : (x->order > y->order) - (x->order < y->order);
}

/**
 * config_lies_in() - is a path below a folder?
 * @path: absolute, checked
 * @folder: absolute, checked
 *
 * Return: whether it is; a folder does not lie in itself.
 */
bool config_lies_in(const char *path, const char *folder)
{
        size_t len = strlen(folder);

        return strncmp(path, folder, len) == 0 && path[len] == '/';
}

static void check_claims(struct config_reader *r, struct claim *claims, size_t len)
{
        const struct claim *folder = NULL;

        qsort(claims, len, sizeof(*claims), compare_claims);
        for (size_t i = 0; i < len; i++) {
                const struct claim *c = &claims[i], *before = i > 0 ? &claims[i - 1] : NULL;

                if (before && strcmp(before->path, c->path) == 0)
                        config_error_at(r, c->where, "%s \"%.200s\" is also %s (%s); give each a path of its own",
                                        c->what, c->path, before->what, before->where);
                else if (folder && config_lies_in(c->path, folder->path))
                        config_error_at(r, c->where,
                                        "%s \"%.200s\" lies in %s \"%.200s\" (%s), which belongs to the agent as a "
                                        "whole; move it",
                                        c->what, c->path, folder->what, folder->path, folder->where);
                if (c->covers && !(folder && config_lies_in(c->path, folder->path)))
                        folder = c;
        }
}

static size_t add_claim(struct claim *claims, size_t len, const char *path, const char *what, const char *where,
                        bool covers)
{
        if (path && path[0] == '/') {
                claims[len] = (struct claim){path, what, where, covers, len};
                len++;
        }
        return len;
}

static void check_paths(struct config_reader *r)
{
        const struct config *c = r->config;
        const char *auth_where = r->auth_where ? r->auth_where : r->top;
        size_t len = 0, most = 4 + c->listeners_len;
        cleanup_free struct claim *claims = NULL;

        for (size_t i = 0; i < c->secrets_len; i++)
                most += c->secrets[i].outputs_len;
        claims = mem_array(most, sizeof(*claims));
        len = add_claim(claims, len, c->state_dir, "state_dir", r->state_dir_where ? r->state_dir_where : r->top, true);
        len = add_claim(claims, len, c->auth.role_id_file_path, "role_id_file_path", auth_where, false);
        len = add_claim(claims, len, c->auth.secret_id_file_path, "secret_id_file_path", auth_where, false);
        len = add_claim(claims, len, c->auth.token_file_path, "token_file_path", auth_where, false);
        for (size_t i = 0; i < c->listeners_len; i++)
                if (c->listeners[i].is_unix)
                        len = add_claim(claims, len, c->listeners[i].address, "the socket", c->listeners[i].where,
                                        false);
        for (size_t i = 0; i < c->secrets_len; i++) {
                const struct config_secret *s = &c->secrets[i];

                for (size_t k = 0; k < s->outputs_len; k++)
                        len = add_claim(claims, len, s->outputs[k].path,
                                        s->outputs[k].is_directory ? "directory" : "file", s->outputs[k].where,
                                        s->outputs[k].is_directory);
        }
        check_claims(r, claims, len);
}

static int compare_names(const void *a, const void *b)
{
        const struct config_secret *const *x = a, *const *y = b;
        int by_name = strcmp((*x)->name, (*y)->name);

        return by_name ? by_name : (*x > *y) - (*x < *y); /* the later one is the one to complain about */
}

static void check_names(struct config_reader *r)
{
        const struct config *c = r->config;
        cleanup_free const struct config_secret **sorted =
                mem_array(c->secrets_len + 1, sizeof(const struct config_secret *));

        for (size_t i = 0; i < c->secrets_len; i++)
                sorted[i] = &c->secrets[i];
        qsort(sorted, c->secrets_len, sizeof(const struct config_secret *), compare_names);
        for (size_t i = 1; i < c->secrets_len; i++)
                if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
                        config_error_at(r, sorted[i]->where,
                                        "a second secret or certificate \"%.64s\" (the first: %s); rename one",
                                        sorted[i]->name, sorted[i - 1]->where);
}

static int compare_sources(const void *a, const void *b)
{
        const struct config_secret *const *x = a, *const *y = b;
        int by_path = strcmp((*x)->path, (*y)->path);

        return by_path ? by_path : (*x > *y) - (*x < *y);
}

/* All secrets of one path draw from one budget (rule 5): more of them than it holds start a minute apart. */
static void check_budgets(struct config_reader *r)
{
        const struct config *c = r->config;
        size_t len = 0, same = 1;
        cleanup_free const struct config_secret **sorted =
                mem_array(c->secrets_len + 1, sizeof(const struct config_secret *));

        for (size_t i = 0; i < c->secrets_len; i++)
                if (c->secrets[i].path)
                        sorted[len++] = &c->secrets[i];
        qsort(sorted, len, sizeof(const struct config_secret *), compare_sources);
        for (size_t i = 0; i < len; i += same) {
                unsigned burst = 0;

                for (same = 0; i + same < len && strcmp(sorted[i]->path, sorted[i + same]->path) == 0; same++)
                        if (sorted[i + same]->mint_burst > burst)
                                burst = sorted[i + same]->mint_burst;
                if (same > burst && burst < MINT_BURST_MAX)
                        config_warn_at(
                                r, sorted[i + same - 1]->where,
                                "%zu secrets are made from \"%.100s\" and mint_burst is %u: where they are leases or "
                                "certificates, the first %u start at once and the rest up to a minute apart; raise "
                                "mint_burst to "
                                "%zu",
                                same, sorted[i]->path, burst, burst,
                                same < MINT_BURST_MAX ? same : (size_t)MINT_BURST_MAX);
        }
}

static void check_listeners(struct config_reader *r)
{
        const struct config *c = r->config;

        for (size_t i = 0; i < c->listeners_len; i++)
                for (size_t k = 0; k < i && !c->listeners[i].is_unix; k++)
                        if (!c->listeners[k].is_unix && strcmp(c->listeners[i].address, c->listeners[k].address) == 0)
                                config_error_at(r, c->listeners[i].where, "two listeners on %.100s; remove one",
                                                c->listeners[i].address);
}

/* A configuration that gives nobody anything is a mistake; one secret among others may be a draft. */
static void check_somebody_gets_something(struct config_reader *r)
{
        const struct config *c = r->config;
        bool has_socket = false, anybody = false;

        for (size_t i = 0; i < c->listeners_len; i++)
                has_socket = has_socket || (c->listeners[i].is_unix && !c->listeners[i].metrics_only);
        for (size_t i = 0; i < c->secrets_len; i++)
                anybody = anybody || c->secrets[i].outputs_len > 0 || (c->secrets[i].allow_len > 0 && has_socket);
        if (c->secrets_len == 0)
                config_error_at(
                        r, r->top,
                        "there is no secret and no certificate; add secret \"NAME\" { path = \"...\" allow { user "
                        "= \"...\" } }");
        else if (!anybody)
                config_error_at(r, r->top, "nobody gets anything; add %s",
                                has_socket ? "allow or file blocks to the secrets"
                                           : "a listener \"unix\", or file blocks");
        for (size_t i = 0; anybody && i < c->secrets_len; i++) {
                const struct config_secret *s = &c->secrets[i];

                if (s->outputs_len > 0 || (s->allow_len > 0 && has_socket))
                        continue;
                config_warn_at(r, s->where, "nobody gets \"%.64s\"; add %s", s->name,
                               s->allow_len > 0 ? "a listener \"unix\"" : "an allow or a file block");
        }
}

/* One namespace goes with all requests, the login too. */
static void apply_method_namespace(struct config_reader *r)
{
        char **of_vault = &r->config->vault.namespace_;

        if (!*of_vault)
                *of_vault = mem_strdup(r->method_namespace);
        else if (r->method_namespace && strcmp(*of_vault, r->method_namespace) != 0)
                config_error_at(r, r->auth_where,
                                "a method's namespace that is not Vault's own (vault.namespace, "
                                "VAULT_NAMESPACE) is not supported yet; make them one");
}

/**
 * config_check() - checks what no block can see alone
 * @r: the configuration, read, with the environment applied; collects findings
 */
void config_check(struct config_reader *r)
{
        apply_method_namespace(r);
        config_check_machine(r);
        check_names(r);
        check_budgets(r);
        check_listeners(r);
        check_paths(r);
        check_somebody_gets_something(r);
}

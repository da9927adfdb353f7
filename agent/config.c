/* agent/config.c: the whole configuration: files in, checked struct config out, and what names it. */
#include "agent/config.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/config_read.h"
#include "common/buf.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/parse.h"

struct files {
        struct hcl_file **items;
        size_t len;
};

static void read_operators_group(struct config_reader *r, const struct hcl_node *value, void *field)
{
        struct config *c = field;

        c->has_operators_gid = true;
        config_read_group(r, value, &c->operators_gid);
}

static const struct config_key operators_keys[] = {{"group", CONFIG_KEY_BUILT, read_operators_group, 0, NULL}};
static const struct config_schema operators_schema = {operators_keys, array_len(operators_keys)};

static void read_operators_body(struct config_reader *r, const char *label, const struct hcl_node *body, void *config)
{
        (void)label;
        config_read_members(r, body, &operators_schema, "operators", config);
        if (body->items_len == 0)
                config_error(r, body, "operators names nobody; add group = \"...\"");
}

static void read_operators(struct config_reader *r, const struct hcl_node *value, void *config)
{
        if (config_each_body(r, value, false, NULL, read_operators_body, config) > 1)
                config_error(r, value, "\"operators\" stands twice; keep one block");
}

static void read_on_stop(struct config_reader *r, const struct hcl_node *value, void *config)
{
        static const char *const words[] = {"keep", "revoke"};
        struct config *c = config;

        c->revoke_on_stop = config_read_choice(r, value, words, array_len(words)) == 1;
        if (c->revoke_on_stop)
                config_warn(r, value,
                            "on_stop = \"revoke\" makes each restart an outage; use \"keep\" where that is too much");
}

static void read_on_hup(struct config_reader *r, const struct hcl_node *value, void *config)
{
        static const char *const words[] = {"reload", "rotate"};

        ((struct config *)config)->rotate_on_hup = config_read_choice(r, value, words, array_len(words)) == 1;
}

static void read_state_dir(struct config_reader *r, const struct hcl_node *value, void *config)
{
        struct config *c = config;

        config_read_string(r, value, &c->state_dir);
        r->state_dir_where = config_where(value);
}

#define IGNORED(why) CONFIG_KEY_IGNORED, NULL, 0, why
#define LOG_SWITCH   "logs go to standard error; see -log-level and -log-format"
#define LOG_FILES    "logs go to standard error, and systemd or docker keep them; remove it"
#define RENDERING    "secrets are written by file and directory blocks; see secret"
#define CONNECTIONS  "few connections are held, and reused; remove it"
static const struct config_key top_keys[] = {
        {"vault", CONFIG_KEY_BUILT, config_read_vault, 0, NULL},
        {"auto_auth", CONFIG_KEY_BUILT, config_read_auto_auth, 0, NULL},
        {"listener", CONFIG_KEY_REPEATS, config_read_listener, 0, NULL},
        {"secret", CONFIG_KEY_REPEATS, config_read_secret, 0, NULL},
        {"certificate", CONFIG_KEY_REPEATS, config_read_certificate, 0, NULL},
        {"operators", CONFIG_KEY_BUILT, read_operators, 0, NULL},
        {"on_stop", CONFIG_KEY_BUILT, read_on_stop, 0, NULL},
        {"on_hup", CONFIG_KEY_BUILT, read_on_hup, 0, NULL},
        {"state_dir", CONFIG_KEY_BUILT, read_state_dir, 0, NULL},
        {"hook", CONFIG_KEY_LATER, NULL, 0, NULL},
        {"credential", CONFIG_KEY_LATER, NULL, 0, NULL},
        {"cache", IGNORED("what the agent holds is served from its socket; remove it")},
        {"api_proxy", IGNORED("the socket serves the configured secrets alone, with no token asked; remove it")},
        {"template", IGNORED(RENDERING)},
        {"template_config", IGNORED(RENDERING)},
        {"env_template", IGNORED(RENDERING)},
        {"exec", IGNORED("programs are started by systemd or docker, and watch the socket; remove it")},
        {"exit_after_auth", IGNORED("use -exit-after-auth")},
        {"pid_file", IGNORED("systemd and docker know the process; remove it")},
        {"log_level", IGNORED(LOG_SWITCH)},
        {"log_format", IGNORED(LOG_SWITCH)},
        {"log_file", IGNORED(LOG_FILES)},
        {"log_rotate_bytes", IGNORED(LOG_FILES)},
        {"log_rotate_duration", IGNORED(LOG_FILES)},
        {"log_rotate_max_files", IGNORED(LOG_FILES)},
        {"log_requests_level", IGNORED(LOG_FILES)},
        {"disable_idle_connections", IGNORED(CONNECTIONS)},
        {"disable_keep_alives", IGNORED(CONNECTIONS)},
        {"disable_mlock", IGNORED("memory is kept from swap by its cgroup or by noswap; remove it")},
        {"telemetry", IGNORED("metrics are on the listeners, see listener \"tcp\"; remove it")},
};
static const struct config_schema top_schema = {top_keys, array_len(top_keys)};

static void add_file(struct config_reader *r, struct files *files, const char *path)
{
        cleanup_free char *text = NULL;
        struct hcl_file *f;
        char *error;
        size_t len;
        int found = fs_read_whole(path, HCL_SIZE_MAX, &text, &len);

        if (found < 0) {
                cleanup_free char *where = mem_printf("%s:1", path);

                config_error_at(r, where, "reading the configuration failed: %s; %s",
                                found == -EMSGSIZE ? "more than 1 MiB" : strerror(-found),
                                found == -EMSGSIZE ? "split it over several files" : "correct the path, or its rights");
                return;
        }
        if (hcl_parse(path, text, len, &f, &error) < 0) {
                config_error_line(r, error);
                return;
        }
        files->items = mem_resize(files->items, files->len + 1, sizeof(struct hcl_file *));
        files->items[files->len++] = f;
}

static bool ends_in(const char *name, const char *end)
{
        size_t len = strlen(name), end_len = strlen(end);

        return len > end_len && strcmp(name + len - end_len, end) == 0;
}

static int is_config_file(const struct dirent *entry)
{
        return entry->d_name[0] != '.' && (ends_in(entry->d_name, ".hcl") || ends_in(entry->d_name, ".json"));
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

static void add_path(struct config_reader *r, struct files *files, const char *path)
{
        struct dirent **entries = NULL;
        struct stat st;
        int len;

        if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
                add_file(r, files, path);
                return;
        }
        len = scandir(path, &entries, is_config_file, by_bytes);
        if (len <= 0) {
                cleanup_free char *where = mem_printf("%s:1", path);

                config_error_at(r, where, "%s; put a file there, or name another folder",
                                len < 0 ? strerror(errno) : "no file *.hcl or *.json in this folder");
        }
        for (int i = 0; i < len; i++) {
                cleanup_free char *file = mem_printf("%s%s%s", path, ends_in(path, "/") ? "" : "/", entries[i]->d_name);

                add_file(r, files, file);
                free(entries[i]);
        }
        free(entries);
}

static bool has_key(const struct hcl_node *object, const char *key)
{
        for (size_t i = 0; i < object->items_len; i++)
                if (strcmp(object->items[i]->key, key) == 0)
                        return true;
        return false;
}

static bool is_overruled(const struct files *files, size_t file, const char *key)
{
        bool is_single = false;

        for (size_t i = 0; i < top_schema.len; i++)
                if (strcmp(top_keys[i].name, key) == 0)
                        is_single = top_keys[i].class_ == CONFIG_KEY_BUILT;
        for (size_t i = file + 1; is_single && i < files->len; i++)
                if (has_key(files->items[i]->root, key))
                        return true;
        return false;
}

/* One root out of all files, items borrowed: of single keys the last file's, of repeated ones all. */
static struct hcl_node merge(const struct files *files)
{
        struct hcl_node root = {.type = HCL_OBJECT, .file = files->items[0]->name, .line = 1};
        size_t most = 0;

        for (size_t i = 0; i < files->len; i++)
                most += files->items[i]->root->items_len;
        root.items = mem_array(most + 1, sizeof(struct hcl_node *));
        for (size_t i = 0; i < files->len; i++) {
                const struct hcl_node *from = files->items[i]->root;

                for (size_t k = 0; k < from->items_len; k++)
                        if (!is_overruled(files, i, from->items[k]->key))
                                root.items[root.items_len++] = from->items[k];
        }
        return root;
}

static char *default_state_dir(void)
{
        const char *runtime = getenv("RUNTIME_DIRECTORY");

        if (!runtime || runtime[0] != '/')
                return mem_strdup("/run/leasekeeper/state");
        return mem_printf("%.*s/state", (int)strcspn(runtime, ":"),
                          runtime); /* systemd.exec(5): several, with colons */
}

static struct config *config_new(void)
{
        struct config *c = mem_new(sizeof(*c));

        c->vault.timeout_usec = 60 * USEC_PER_SEC;
        c->vault.rate_limit = 100;
        c->vault.rate_burst = 200;
        c->auth.remove_secret_id_file_after_reading = true;
        c->rotate_on_hup = true;
        return c;
}

static void read_files(struct config_reader *r, const struct files *files)
{
        struct hcl_node root = merge(files);
        cleanup_free char *top = config_where(&root);

        r->top = top;
        config_read_members(r, &root, &top_schema, NULL, r->config);
        if (!has_key(&root, "auto_auth"))
                config_error_at(r, top, "there is no auto_auth block; add auto_auth { method \"approle\" { ... } }");
        config_apply_environment(r);
        if (!r->config->vault.address)
                r->config->vault.address = mem_strdup("https://127.0.0.1:8200");
        if (!r->config->state_dir)
                r->config->state_dir = default_state_dir();
        config_check_vault(r);
        config_check(r);
        for (size_t i = 0; i < r->config->secrets_len; i++)
                r->config->secrets[i].where = mem_free(r->config->secrets[i].where);
        mem_free(root.items);
        mem_free(r->auth_where);
        mem_free(r->method_namespace);
        mem_free(r->state_dir_where);
}

/**
 * config_load() - reads and checks the configuration
 * @paths: files, or folders of *.hcl and *.json, read in byte order; a later file's single block takes the place of an
 *         earlier one's, listeners and secrets add up
 * @paths_len: how many
 * @depth: CONFIG_FULL also asks the machine for users, groups, file systems and credential files
 * @ret_findings: filled in either case; config_findings_done() it
 *
 * Return: new; NULL where a finding is no warning.
 */
struct config *config_load(const char *const *paths, size_t paths_len, enum config_depth depth,
                           struct config_findings *ret_findings)
{
        struct config_findings findings = {0};
        struct config_reader r = {.config = config_new(), .findings = &findings, .depth = depth};
        struct files files = {0};
        bool is_good = true;

        for (size_t i = 0; i < paths_len; i++)
                add_path(&r, &files, paths[i]);
        if (paths_len == 0)
                config_error_at(&r, "-config:1", "no configuration was named; add -config PATH");
        if (findings.len == 0)
                read_files(&r, &files);
        for (size_t i = 0; i < files.len; i++)
                hcl_file_free(files.items[i]);
        mem_free(files.items);
        for (size_t i = 0; i < findings.len; i++)
                is_good = is_good && findings.items[i].is_warning;
        *ret_findings = findings;
        return is_good ? r.config : config_free(r.config);
}

/**
 * config_findings_done() - frees findings
 * @f: as config_load() filled them
 */
void config_findings_done(struct config_findings *f)
{
        for (size_t i = 0; i < f->len; i++)
                mem_free(f->items[i].text);
        mem_free(f->items);
        *f = (struct config_findings){0};
}

/**
 * config_find_secret() - finds a secret or certificate by its name
 * @c: the configuration
 * @name: the name
 *
 * Return: borrowed from @c; NULL where there is none.
 */
const struct config_secret *config_find_secret(const struct config *c, const char *name)
{
        for (size_t i = 0; i < c->secrets_len; i++)
                if (strcmp(c->secrets[i].name, name) == 0)
                        return &c->secrets[i];
        return NULL;
}

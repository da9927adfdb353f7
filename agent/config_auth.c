/* agent/config_auth.c: the auto_auth block: one method, and no sink. */
#include "agent/config_read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/parse.h"

struct method_reading {
        const char *name; /* borrowed from the tree */
        char *type, *mount_path, *namespace_;
        const struct hcl_node *config; /* NULL: none */
};

static const char *const method_names[] = {[AUTH_APPROLE] = "approle", [AUTH_TOKEN_FILE] = "token_file"};
static const char *const later_methods[] = {"cert", "jwt", "kubernetes", "userpass"};

/**
 * config_auth_method_text() - a method as it stands in the configuration
 * @method: the method
 *
 * Return: static text.
 */
const char *config_auth_method_text(enum auth_method method)
{
        return method_names[method];
}

#define AUTH(field) offsetof(struct config_auth, field)
static const struct config_key approle_keys[] = {
        {"role_id_file_path", CONFIG_KEY_BUILT, config_read_string, AUTH(role_id_file_path), NULL},
        {"secret_id_file_path", CONFIG_KEY_BUILT, config_read_string, AUTH(secret_id_file_path), NULL},
        {"secret_id_response_wrapping_path", CONFIG_KEY_BUILT, config_read_string,
         AUTH(secret_id_response_wrapping_path), NULL},
        {"remove_secret_id_file_after_reading", CONFIG_KEY_BUILT, config_read_bool,
         AUTH(remove_secret_id_file_after_reading), NULL},
};
static const struct config_key token_file_keys[] = {
        {"token_file_path", CONFIG_KEY_BUILT, config_read_string, AUTH(token_file_path), NULL},
};
static const struct config_schema method_config_schemas[] = {
        [AUTH_APPROLE] = {approle_keys, array_len(approle_keys)},
        [AUTH_TOKEN_FILE] = {token_file_keys, array_len(token_file_keys)},
};

/* Is there something to read? Never opens a FIFO for good, never looks at the content. */
static int check_file(const char *path, mode_t *ret_mode)
{
        struct stat st;
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r = 0;

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                r = -errno;
        else if (!S_ISREG(st.st_mode))
                r = -EINVAL;
        else if (st.st_size == 0)
                r = -ENODATA;
        else
                *ret_mode = st.st_mode;
        close(fd);
        return r;
}

static const char *file_trouble(int r)
{
        return r == -EINVAL ? "is no regular file" : r == -ENODATA ? "is empty" : strerror(-r);
}

/* may_be_gone: a secret-id that was consumed is no fault, the state may hold what is needed. */
static void look_at_file(struct config_reader *r, const struct hcl_node *at, const char *what, const char *path,
                         bool may_be_gone)
{
        mode_t mode = 0;
        int found;

        if (!path)
                return;
        at = config_member(at, what);
        found = check_file(path, &mode);
        if (found < 0 && may_be_gone)
                config_warn(r, at,
                            "%s %.200s: %s; only a login that is saved in state_dir will do, put a new one there", what,
                            path, file_trouble(found));
        else if (found < 0)
                config_error(r, config_member(at, "secret_id_response_wrapping_path"),
                             "%s %.200s: %s; put it there, readable by the agent", what, path, file_trouble(found));
        else if ((mode & 0004) != 0)
                config_warn(r, at, "%s %.200s can be read by every user; chmod 0400 it", what, path);
}

static void check_wrapping_path(struct config_reader *r, const struct hcl_node *at)
{
        const char *path = r->config->auth.secret_id_response_wrapping_path;

        if (!path)
                return;
        at = config_member(at, "secret_id_response_wrapping_path");
        if (!r->config->auth.secret_id_file_path)
                config_error(
                        r, at,
                        "secret_id_response_wrapping_path without secret_id_file_path; add the file that will hold "
                        "the wrapping token");
        if (path[0] == '/' || strncmp(path, "v1/", 3) == 0)
                config_error(r, at,
                             "secret_id_response_wrapping_path begins with / or v1/; write it as after /v1/, like "
                             "auth/approle/role/NAME/secret-id");
}

static void check_approle(struct config_reader *r, const struct hcl_node *at)
{
        const struct config_auth *a = &r->config->auth;

        if (!a->role_id_file_path)
                config_error(r, at, "approle has no role_id_file_path; add it to the method's config block");
        check_wrapping_path(r, at);
        if (r->depth != CONFIG_FULL)
                return;
        look_at_file(r, at, "role_id_file_path", a->role_id_file_path, false);
        look_at_file(r, at, "secret_id_file_path", a->secret_id_file_path, true);
}

static void check_token_file(struct config_reader *r, const struct hcl_node *at)
{
        const struct config_auth *a = &r->config->auth;

        if (!a->token_file_path)
                config_error(r, at, "token_file has no token_file_path; add it to the method's config block");
        else if (r->depth == CONFIG_FULL)
                look_at_file(r, at, "token_file_path", a->token_file_path, false);
}

static void read_config_body(struct config_reader *r, const char *label, const struct hcl_node *body, void *arg)
{
        (void)label;
        config_read_members(r, body, &method_config_schemas[r->config->auth.method], arg, &r->config->auth);
}

static void keep_node(struct config_reader *r, const struct hcl_node *value, void *field)
{
        (void)r;
        *(const struct hcl_node **)field = value;
}

#define METHOD(field) offsetof(struct method_reading, field)
static const struct config_key method_keys[] = {
        {"type", CONFIG_KEY_BUILT, config_read_string, METHOD(type), NULL},
        {"mount_path", CONFIG_KEY_BUILT, config_read_string, METHOD(mount_path), NULL},
        {"namespace", CONFIG_KEY_BUILT, config_read_string, METHOD(namespace_), NULL},
        {"config", CONFIG_KEY_BUILT, keep_node, METHOD(config), NULL},
        {"wrap_ttl", CONFIG_KEY_IGNORED, NULL, 0, "the token leaves for no sink, so nothing is wrapped; remove it"},
        {"min_backoff", CONFIG_KEY_IGNORED, NULL, 0, "logins are tried again after 1 s, doubling; remove it"},
        {"max_backoff", CONFIG_KEY_IGNORED, NULL, 0,
         "logins are tried again at least once a minute, refused ones every 15 "
         "minutes; remove it"},
        {"exit_on_err", CONFIG_KEY_IGNORED, NULL, 0,
         "a refused login is tried again; -exit-after-auth ends with 1 instead"},
        {"lease_renewal_threshold", CONFIG_KEY_IGNORED, NULL, 0,
         "leases are renewed at 60 to 70 % of what remains; remove it"},
};
static const struct config_schema method_schema = {method_keys, array_len(method_keys)};

static bool find_method(struct config_reader *r, const struct hcl_node *body, const char *name)
{
        const char *near;

        for (size_t i = 0; i < array_len(method_names); i++) {
                if (strcmp(name, method_names[i]) == 0) {
                        r->config->auth.method = (enum auth_method)i;
                        return true;
                }
        }
        for (size_t i = 0; i < array_len(later_methods); i++) {
                if (strcmp(name, later_methods[i]) == 0) {
                        config_error(r, body, "auth method \"%s\" is not supported yet; use approle or token_file",
                                     name);
                        return false;
                }
        }
        near = parse_nearest(name, method_names, array_len(method_names));
        config_error(r, body, "auth method \"%.60s\" is not supported; %s%s", name, near ? "did you mean " : "use ",
                     near ? near : "approle or token_file");
        return false;
}

static char *without_slashes(const char *path)
{
        size_t len;

        path += strspn(path, "/");
        for (len = strlen(path); len > 0 && path[len - 1] == '/';)
                len--;
        return mem_strndup(path, len);
}

static void finish_method(struct config_reader *r, const struct hcl_node *body, const struct method_reading *m)
{
        const struct hcl_node *config = m->config && m->config->type == HCL_OBJECT ? m->config : body;
        struct config_auth *a = &r->config->auth;
        cleanup_free char *title = NULL;

        if (!m->name) {
                config_error(r, body, "the method has no name; write method \"approle\" { ... }");
                return;
        }
        if (!find_method(r, body, m->name))
                return;
        title = mem_printf("config of method \"%s\"", m->name);
        a->mount_path = m->mount_path ? without_slashes(m->mount_path)
                                      : mem_strdup(a->method == AUTH_APPROLE ? "auth/approle" : "auth/token");
        if (strncmp(a->mount_path, "auth/", 5) != 0 || a->mount_path[5] == '\0')
                config_error(r, body, "mount_path \"%.100s\" does not begin with auth/; write auth/%.100s",
                             a->mount_path, *a->mount_path ? a->mount_path : m->name);
        if (m->config && config_each_body(r, m->config, false, NULL, read_config_body, title) > 1)
                config_error(r, m->config, "\"config\" stands twice; keep one block");
        if (a->method == AUTH_APPROLE)
                check_approle(r, config);
        else
                check_token_file(r, config);
        r->method_namespace = mem_strdup(m->namespace_);
        r->auth_where = config_where(body);
}

static void read_method_body(struct config_reader *r, const char *label, const struct hcl_node *body, void *arg)
{
        struct method_reading m = {0};

        (void)arg;
        if (r->config->auth.mount_path) {
                config_error(r, body, "a second auth method; keep one");
                return;
        }
        config_read_members(r, body, &method_schema, "method", &m);
        m.name = label ? label : m.type;
        finish_method(r, body, &m);
        mem_free(m.type);
        mem_free(m.mount_path);
        mem_free(m.namespace_);
}

static void read_method(struct config_reader *r, const struct hcl_node *value, void *field)
{
        if (config_each_body(r, value, true, &method_schema, read_method_body, field) == 0)
                config_error(r, value, "\"method\" is empty; write method \"approle\" { ... }");
}

static const char no_sink[] =
        "a token is never written anywhere; programs read their secrets from the socket or from files";
static const struct config_key auto_auth_keys[] = {
        {"method", CONFIG_KEY_BUILT, read_method, 0, NULL},
        {"sink", CONFIG_KEY_IGNORED, NULL, 0, no_sink},
        {"sinks", CONFIG_KEY_IGNORED, NULL, 0, no_sink},
        {"enable_reauth_on_new_credentials", CONFIG_KEY_IGNORED, NULL, 0,
         "a changed credential file is always noticed; remove it"},
};
static const struct config_schema auto_auth_schema = {auto_auth_keys, array_len(auto_auth_keys)};

static void read_body(struct config_reader *r, const char *label, const struct hcl_node *body, void *arg)
{
        size_t methods = 0;

        (void)label;
        config_read_members(r, body, &auto_auth_schema, "auto_auth", arg);
        for (size_t i = 0; i < body->items_len; i++)
                methods += strcmp(body->items[i]->key, "method") == 0;
        if (methods == 0)
                config_error(r, body, "auto_auth has no method; write method \"approle\" { ... } in it");
}

/**
 * config_read_auto_auth() - reads the auto_auth block
 * @r: collects findings; credential files are looked at with CONFIG_FULL alone
 * @value: the node of the key "auto_auth"
 * @config: the struct config; its vault block has been read
 */
void config_read_auto_auth(struct config_reader *r, const struct hcl_node *value, void *config)
{
        if (config_each_body(r, value, false, NULL, read_body, config) > 1)
                config_error(r, value, "\"auto_auth\" stands twice; keep one block");
}

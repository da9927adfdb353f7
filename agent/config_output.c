/* agent/config_output.c: file and directory blocks: where a secret is written, and for whom. */
#include "agent/config_secret.h"

#include <errno.h>
#include <string.h>

#include "common/fs.h"
#include "common/mem.h"

static const char *const formats[] = {[OUTPUT_JSON] = "json", [OUTPUT_ENV] = "env", [OUTPUT_PEM] = "pem"};

static void read_format(struct config_reader *r, const struct hcl_node *value, void *field)
{
        int i = config_read_choice(r, value, formats, array_len(formats));

        if (i >= 0)
                *(enum output_format *)field = (enum output_format)i;
}

#define AT(field) offsetof(struct config_output, field)
#define COMMON_KEYS                                                                                                    \
        {"perms", CONFIG_KEY_BUILT, config_read_mode, AT(mode), NULL},                                                 \
                {"user", CONFIG_KEY_BUILT, config_read_user, AT(uid), NULL},                                           \
                {"group", CONFIG_KEY_BUILT, config_read_group, AT(gid), NULL},                                         \
        {                                                                                                              \
                "allow_disk", CONFIG_KEY_BUILT, config_read_bool, AT(allow_disk), NULL                                 \
        }

static const struct config_key directory_keys[] = {COMMON_KEYS};
static const struct config_schema directory_schema = {directory_keys, array_len(directory_keys)};
static const struct config_key file_keys[] = {COMMON_KEYS, {"format", CONFIG_KEY_BUILT, read_format, AT(format), NULL}};
static const struct config_schema file_schema = {file_keys, array_len(file_keys)};

static bool names_group(const struct hcl_node *body)
{
        for (size_t i = 0; i < body->items_len; i++)
                if (strcmp(body->items[i]->key, "group") == 0)
                        return true;
        return false;
}

static void check_mode(struct config_reader *r, const struct hcl_node *body, const char *title, struct config_output *o)
{
        if (o->mode == MODE_UNSET) {
                o->mode = names_group(body) ? 0440 : 0400;
                if (o->is_directory)
                        o->mode |= names_group(body) ? 0110 : 0100;
        }
        if ((o->mode & 0007) != 0)
                config_error(r, body, "%s: perms %04o open it to every user; name a group and use %s", title,
                             (unsigned)o->mode, o->is_directory ? "0550" : "0440");
        if (o->is_directory && (o->mode & 0100) == 0)
                config_error(r, body, "%s: perms %04o make a directory that cannot be entered; use 0500 or 0550", title,
                             (unsigned)o->mode);
}

static void check_memory(struct config_reader *r, const struct hcl_node *body, const char *title,
                         const struct config_output *o)
{
        bool is_memory = true;
        int found;

        if (o->allow_disk)
                return;
        found = fs_is_memory(o->path, &is_memory);
        if (found < 0)
                config_error(r, body, "%s: looking at its file system failed: %s; make the folder reachable", title,
                             strerror(-found));
        else if (!is_memory)
                config_error(r, body,
                             "%s does not lie on tmpfs or ramfs; move it below /run, or set allow_disk = true in it",
                             title);
}

static void read_output(struct config_reader *r, const char *label, const struct hcl_node *body,
                        struct config_secret *s, bool is_directory)
{
        struct config_output o = {.is_directory = is_directory,
                                  .format = s->is_certificate ? OUTPUT_PEM : OUTPUT_JSON,
                                  .uid = (uid_t)-1,
                                  .gid = (gid_t)-1,
                                  .mode = MODE_UNSET};
        const char *word = is_directory ? "directory" : "file";
        cleanup_free char *title = NULL;

        if (!label || !*label) {
                config_error(r, body, "the %s has no path; write %s \"/run/...\" { ... }", word, word);
                return;
        }
        if (is_directory && !s->is_certificate)
                config_error(r, body, "a directory is written for certificates alone; use a file");
        title = mem_printf("%s \"%s\"", word, label);
        o.path = mem_strdup(label);
        o.where = config_where(body);
        config_read_members(r, body, is_directory ? &directory_schema : &file_schema, title, &o);
        check_mode(r, body, title, &o);
        if (o.format == OUTPUT_PEM && !s->is_certificate)
                config_error(r, body, "%s: format \"pem\" is for certificates; use \"json\" or \"env\"", title);
        if (o.format == OUTPUT_ENV && s->is_certificate)
                config_error(r, body,
                             "%s: format \"env\" has no room for the lines of a certificate; use \"pem\" or \"json\"",
                             title);
        if (config_check_path(r, o.where, word, o.path) && r->depth == CONFIG_FULL)
                check_memory(r, body, title, &o);
        s->outputs = mem_resize(s->outputs, s->outputs_len + 1, sizeof(*s->outputs));
        s->outputs[s->outputs_len++] = o;
}

static void on_file(struct config_reader *r, const char *label, const struct hcl_node *body, void *secret)
{
        read_output(r, label, body, secret, false);
}

static void on_directory(struct config_reader *r, const char *label, const struct hcl_node *body, void *secret)
{
        read_output(r, label, body, secret, true);
}

/**
 * config_read_file() - reads file blocks
 * @r: collects findings; the file system is looked at with CONFIG_FULL alone
 * @value: the node of a key "file"
 * @secret: the struct config_secret; each block is added to its outputs
 */
void config_read_file(struct config_reader *r, const struct hcl_node *value, void *secret)
{
        config_each_body(r, value, true, NULL, on_file, secret);
}

/**
 * config_read_directory() - reads directory blocks
 * @r: collects findings; the file system is looked at with CONFIG_FULL alone
 * @value: the node of a key "directory"
 * @secret: the struct config_secret; each block is added to its outputs
 */
void config_read_directory(struct config_reader *r, const struct hcl_node *value, void *secret)
{
        config_each_body(r, value, true, NULL, on_directory, secret);
}

/* agent/output_file_format.c: a secret's data as JSON, as environment lines, as PEM. */
#include "agent/output_file_format.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "common/mem.h"
#include "common/secret.h"

#define TEXT_MAX ((size_t)4 << 20) /* far above what Vault answers, quoting included */

static int refuse(char **ret_error, char *error)
{
        *ret_error = error;
        return -EINVAL;
}

static json_t *read_data(const struct secret *data)
{
        char error[128];

        return json_read(secret_bytes(data), secret_len(data), error, sizeof(error));
}

/* --- env --- */

/* Return: new: A-Z 0-9 _, not beginning with a digit (POSIX 8.1). */
static char *variable_name(const char *key)
{
        char *name = mem_printf("%s%s", isdigit((unsigned char)key[0]) || key[0] == '\0' ? "_" : "", key);

        for (char *c = name; *c; c++)
                *c = (char)(isalnum((unsigned char)*c) && !(*c & 0x80) ? toupper((unsigned char)*c) : '_');
        return name;
}

/*
 * In double quotes, with a backslash before the four characters that mean something there: the one form that sh(1) and
 * systemd's EnvironmentFile= read alike. (After a closing single quote systemd takes the next one for a character of the value.)
 */
static void add_quoted(struct secret *out, const char *text)
{
        (void)secret_append(out, "\"", 1);
        while (*text) {
                size_t plain = strcspn(text, "\"\\`$");

                (void)secret_append(out, text, plain);
                text += plain;
                if (*text) {
                        (void)secret_append(out, "\\", 1);
                        (void)secret_append(out, text++, 1);
                }
        }
        (void)secret_append(out, "\"", 1);
}

static bool has_control(const char *text)
{
        for (; *text; text++) {
                if ((unsigned char)*text < 0x20 && *text != '\t')
                        return true;
        }
        return strchr(text, 0x7f) != NULL;
}

/* Return: new: a value as text; strings as they are, anything else as JSON; null is empty. */
static struct secret *value_text(const json_t *value)
{
        struct secret *text = secret_new(TEXT_MAX);

        if (json_is_string(value))
                (void)secret_append(text, json_string_value(value), json_string_length(value));
        else if (!json_is_null(value))
                (void)json_write_secret(value, text);
        return text;
}

static int add_line(const char *key, const json_t *value, struct secret *out, json_t *names, char **ret_error)
{
        cleanup_free char *name = variable_name(key);
        cleanup_secret struct secret *text = value_text(value);
        const char *bytes = secret_len(text) ? secret_bytes(text) : "";

        if (json_object_get(names, name))
                return refuse(ret_error, mem_printf("two keys become the variable %s; use format = \"json\"", name));
        json_object_set_new(names, name, json_true());
        if (has_control(bytes))
                return refuse(
                        ret_error,
                        mem_printf("the value of %s holds a line break or another control character, which no line of "
                                   "an environment file can; use format = \"json\"",
                                   name));
        (void)secret_append_str(out, name);
        (void)secret_append(out, "=", 1);
        add_quoted(out, bytes);
        return secret_append(out, "\n", 1);
}

static int format_env(const struct secret *data, struct secret **ret_text, char **ret_error)
{
        cleanup_json json_t *obj = read_data(data), *names = json_object();
        cleanup_secret struct secret *out = secret_new(TEXT_MAX);
        const char *key;
        json_t *value;

        json_object_foreach (obj, key, value) {
                int err = add_line(key, value, out, names, ret_error);

                if (err == -EMSGSIZE)
                        return refuse(ret_error, mem_strdup("too long for an environment file"));
                if (err < 0)
                        return err;
        }
        *ret_text = out;
        out = NULL;
        return 0;
}

/* --- PEM --- */

static void add_pem(struct secret *out, const char *pem)
{
        size_t len = pem ? strlen(pem) : 0;

        if (len == 0)
                return;
        (void)secret_append(out, pem, len);
        if (pem[len - 1] != '\n')
                (void)secret_append(out, "\n", 1);
}

static void add_chain(struct secret *out, const json_t *obj)
{
        const json_t *chain = json_object_get(obj, "ca_chain");
        json_t *item;
        size_t i;

        if (json_array_size(chain) == 0) {
                add_pem(out, json_str(obj, "issuing_ca"));
                return;
        }
        json_array_foreach (chain, i, item) {
                add_pem(out, json_string_value(item));
        }
}

static json_t *read_certificate(const struct secret *data, char **ret_error)
{
        json_t *obj = read_data(data);

        if (obj && json_str(obj, "certificate") && json_str(obj, "private_key"))
                return obj;
        json_decref(obj);
        (void)refuse(ret_error,
                     mem_strdup("not a certificate with its key; PEM files and directories hold those alone"));
        return NULL;
}

static int format_pem(const struct secret *data, struct secret **ret_text, char **ret_error)
{
        cleanup_json json_t *obj = read_certificate(data, ret_error);
        struct secret *out;

        if (!obj)
                return -EINVAL;
        out = secret_new(TEXT_MAX);
        add_pem(out, json_str(obj, "private_key"));
        add_pem(out, json_str(obj, "certificate"));
        add_chain(out, obj);
        *ret_text = out;
        return 0;
}

/**
 * output_format_file() - the content of a file block
 * @format:    json: the data object and a line feed; env: KEY="value" lines; pem: key, certificate, chain
 * @data:      a JSON object
 * @ret_text:  new
 * @ret_error: new, on failure: what does not fit and what to do; nothing of the values
 *
 * Return: 0; -EINVAL.
 */
int output_format_file(enum output_format format, const struct secret *data, struct secret **ret_text, char **ret_error)
{
        switch (format) {
        case OUTPUT_JSON:
                *ret_text = secret_new(secret_len(data) + 1);
                (void)secret_append(*ret_text, secret_bytes(data), secret_len(data));
                return secret_append(*ret_text, "\n", 1);
        case OUTPUT_ENV: return format_env(data, ret_text, ret_error);
        case OUTPUT_PEM: return format_pem(data, ret_text, ret_error);
        }
        return refuse(ret_error, mem_strdup("unknown format"));
}

/**
 * output_format_directory() - the files of a directory block
 * @data:      a certificate's JSON object
 * @ret_files: new: cert is the certificate with its chain, as servers send it; ca is the chain
 * @ret_error: new, on failure
 *
 * Return: 0; -EINVAL.
 */
int output_format_directory(const struct secret *data, struct pem_files *ret_files, char **ret_error)
{
        cleanup_json json_t *obj = read_certificate(data, ret_error);
        struct pem_files f;

        if (!obj)
                return -EINVAL;
        f = (struct pem_files){secret_new(TEXT_MAX), secret_new(TEXT_MAX), secret_new(TEXT_MAX)};
        add_pem(f.cert, json_str(obj, "certificate"));
        add_chain(f.cert, obj);
        add_pem(f.key, json_str(obj, "private_key"));
        add_chain(f.ca, obj);
        *ret_files = f;
        return 0;
}

/**
 * pem_files_done() - wipes and frees
 * @f: all NULL afterwards
 */
void pem_files_done(struct pem_files *f)
{
        f->cert = secret_free(f->cert);
        f->key = secret_free(f->key);
        f->ca = secret_free(f->ca);
}

/* agent/ctl_read.c: the commands get, watch, health and reload. */
#include "agent/ctl.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/secret.h"

#define VALUE_MAX ((size_t)8 << 20)

static json_t *read_json(const struct ctl_reply *r)
{
        char error[128];

        return secret_len(r->body) ? json_read(secret_bytes(r->body), secret_len(r->body), error, sizeof(error)) : NULL;
}

static int written(int err)
{
        return err < 0 ? ctl_fail("writing to stdout failed: %s", strerror(-err)) : CTL_DONE;
}

static int no_such_field(const char *name, const char *field, json_t *data)
{
        cleanup_buf struct buf known = BUF_INIT;
        const char *key;
        json_t *value;

        json_object_foreach (data, key, value) {
                buf_printf(&known, "%s%s", known.len ? ", " : "", key);
        }
        return ctl_fail("%s has no field %s; it has: %s", name, field, buf_text(&known));
}

static int write_field(const struct ctl_reply *r, const char *name, const char *field)
{
        cleanup_json json_t *body = read_json(r);
        cleanup_secret struct secret *text = secret_new(VALUE_MAX);
        json_t *data = json_object_get(body, "data");
        const json_t *value = json_object_get(data, field);

        if (!value)
                return no_such_field(name, field, data);
        if (json_is_string(value))
                (void)secret_append(text, json_string_value(value), json_string_length(value));
        else
                (void)json_write_secret(value, text);
        /* Byte for byte for a program; a line end for a person. */
        if (isatty(STDOUT_FILENO))
                (void)secret_append(text, "\n", 1);
        return secret_len(text) ? written(ctl_write(secret_bytes(text), secret_len(text))) : CTL_DONE;
}

/**
 * ctl_get() - leasekeeper get NAME [FIELD]
 * @socket: the agent's
 * @name:   of the secret
 * @field:  of its data, written as it is; NULL: the agent's whole answer, JSON
 *
 * Return: exit code.
 */
int ctl_get(const char *socket, const char *name, const char *field)
{
        cleanup_buf struct buf path = BUF_INIT;
        struct ctl_reply r;
        int err;

        buf_str(&path, "/agent/v1/secrets/");
        buf_percent(&path, name, "");
        err = ctl_call(socket, "GET", buf_text(&path), &r);
        if (err < 0)
                return ctl_unreachable(socket, err);
        if (r.status != 200) {
                err = ctl_refused(&r);
        } else if (field) {
                err = write_field(&r, name, field);
        } else {
                (void)secret_append(r.body, "\n", 1);
                err = written(ctl_write(secret_bytes(r.body), secret_len(r.body)));
        }
        ctl_reply_done(&r);
        return err;
}

struct events {
        char event[16];
        int err; /* of stdout */
};

/* "secret {...}", "lease {...}", "lost {...}": a line an event. */
static bool on_line(const char *line, size_t len, void *arg)
{
        struct events *e = arg;
        cleanup_secret struct secret *out = NULL;

        if (len > 7 && strncmp(line, "event: ", 7) == 0) {
                snprintf(e->event, sizeof(e->event), "%.*s", (int)(len - 7), line + 7);
                return true;
        }
        if (len <= 6 || strncmp(line, "data: ", 6) != 0)
                return true;
        out = secret_new(strlen(e->event) + len);
        (void)secret_append_str(out, e->event);
        (void)secret_append(out, " ", 1);
        (void)secret_append(out, line + 6, len - 6);
        (void)secret_append(out, "\n", 1);
        e->err = ctl_write(secret_bytes(out), secret_len(out));
        return e->err == 0;
}

/**
 * ctl_watch() - leasekeeper watch NAME...
 * @socket:    the agent's
 * @names:     of secrets
 * @names_len: at least one
 *
 * Return: exit code: CTL_FAILED once the stream has ended.
 */
int ctl_watch(const char *socket, char *const *names, size_t names_len)
{
        cleanup_buf struct buf path = BUF_INIT;
        struct events events = {0};
        struct ctl_reply refusal;
        int err;

        buf_str(&path, "/agent/v1/watch");
        for (size_t i = 0; i < names_len; i++) {
                buf_str(&path, i == 0 ? "?name=" : "&name=");
                buf_percent(&path, names[i], "");
        }
        err = ctl_stream(socket, buf_text(&path), on_line, &events, &refusal);
        if (err < 0)
                err = ctl_unreachable(socket, err);
        else if (refusal.status)
                err = ctl_refused(&refusal);
        else
                err = written(events.err);
        ctl_reply_done(&refusal);
        return err;
}

/**
 * ctl_health() - leasekeeper health
 * @socket: the agent's
 *
 * Return: exit code: CTL_DONE for ok and degraded.
 */
int ctl_health(const char *socket)
{
        struct ctl_reply r;
        int err = ctl_call(socket, "GET", "/agent/v1/health", &r);
        json_t *body, *item;
        const char *status;
        size_t i;

        if (err < 0)
                return ctl_unreachable(socket, err);
        body = read_json(&r);
        status = json_str(body, "status");
        printf("%s\n", status ? status : "unknown");
        json_array_foreach (json_object_get(body, "reasons"), i, item) {
                if (json_is_string(item))
                        printf("  %s\n", json_string_value(item));
        }
        err = r.status == 200 ? CTL_DONE : CTL_FAILED;
        json_decref(body);
        ctl_reply_done(&r);
        return err;
}

/* What waits for a restart is no failure: the rest is in force. */
static void say_in_force(const struct ctl_reply *r)
{
        cleanup_json json_t *body = read_json(r);
        const json_t *warnings = json_object_get(body, "warnings"), *item;
        size_t i;

        printf("the configuration is read and in force%s\n", json_array_size(warnings) > 0 ? ", but for this:" : "");
        json_array_foreach (warnings, i, item) {
                if (json_is_string(item))
                        printf("  %s\n", json_string_value(item));
        }
}

/**
 * ctl_reload() - leasekeeper reload
 * @socket: the agent's
 *
 * Return: exit code.
 */
int ctl_reload(const char *socket)
{
        struct ctl_reply r;
        int err = ctl_call(socket, "POST", "/agent/v1/reload", &r);

        if (err < 0)
                return ctl_unreachable(socket, err);
        if (r.status != 200) {
                err = ctl_refused(&r);
        } else {
                say_in_force(&r);
                err = CTL_DONE;
        }
        ctl_reply_done(&r);
        return err;
}

/* agent/ctl_status.c: the command status: a table for people, the agent's own JSON for programs. */
#include "agent/ctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

enum { COLUMN_NAME, COLUMN_KIND, COLUMN_VERSION, COLUMN_STATE, COLUMN_EXPIRES, COLUMN_NEXT, COLUMN_HELD, COLUMNS };

static const char *const titles[COLUMNS] = {"SECRET", "KIND", "VERSION", "STATE", "EXPIRES", "NEXT", "HELD BY"};

struct row {
        char *cells[COLUMNS];
};

static const char *or_dash(const char *text)
{
        return text && *text ? text : "-";
}

/* Two units say enough: "1 h 5 min". */
static void add_duration(struct buf *b, uint64_t usec)
{
        uint64_t s = usec / USEC_PER_SEC;

        if (s < 120)
                buf_printf(b, "%" PRIu64 " s", s);
        else if (s < 7200)
                buf_printf(b, "%" PRIu64 " min", s / 60);
        else if (s < 48 * 3600)
                buf_printf(b, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
        else
                buf_printf(b, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
}

static void add_when(struct buf *b, const char *rfc3339)
{
        uint64_t now = clock_realtime_usec(), when;

        if (!rfc3339 || clock_parse_rfc3339(rfc3339, &when) < 0) {
                buf_str(b, "-");
        } else if (when >= now) {
                buf_str(b, "in ");
                add_duration(b, when - now);
        } else {
                add_duration(b, now - when);
                buf_str(b, " ago");
        }
}

static char *when_text(const json_t *secret, const char *key)
{
        struct buf b = BUF_INIT;

        add_when(&b, json_str(secret, key));
        return buf_take(&b);
}

static char *next_text(const json_t *secret)
{
        struct buf b = BUF_INIT;
        const char *action = json_str(secret, "next_action"), *why = json_str(secret, "why");

        buf_str(&b, or_dash(action));
        if (action && *action && json_str(secret, "next_action_at")) {
                buf_char(&b, ' ');
                add_when(&b, json_str(secret, "next_action_at"));
        }
        if (why && *why)
                buf_printf(&b, " (%s)", why);
        return buf_take(&b);
}

static char *held_text(const json_t *secret)
{
        struct buf b = BUF_INIT;
        json_t *item;
        size_t i;

        json_array_foreach (json_object_get(secret, "held_by"), i, item) {
                buf_printf(&b, "%s%s", b.len ? ", " : "", or_dash(json_string_value(item)));
        }
        if (b.len == 0)
                buf_char(&b, '-');
        return buf_take(&b);
}

static void fill_row(struct row *row, const json_t *secret)
{
        uint64_t version = 0;

        row->cells[COLUMN_NAME] = mem_strdup(or_dash(json_str(secret, "name")));
        row->cells[COLUMN_KIND] = mem_strdup(or_dash(json_str(secret, "kind")));
        row->cells[COLUMN_VERSION] =
                json_u64(secret, "version", &version) && version ? mem_printf("%" PRIu64, version) : mem_strdup("-");
        row->cells[COLUMN_STATE] = mem_strdup(or_dash(json_str(secret, "state")));
        row->cells[COLUMN_EXPIRES] = when_text(secret, "expires_at");
        row->cells[COLUMN_NEXT] = next_text(secret);
        row->cells[COLUMN_HELD] = held_text(secret);
}

static void print_row(const struct row *row, const size_t *widths)
{
        for (int c = 0; c < COLUMNS; c++) {
                if (c == COLUMNS - 1)
                        printf("%s\n", row->cells[c]);
                else
                        printf("%-*s  ", (int)widths[c], row->cells[c]);
        }
}

static void print_table(const json_t *secrets)
{
        size_t len = json_array_size(secrets), widths[COLUMNS] = {0};
        cleanup_free struct row *rows = mem_array(len + 1, sizeof(*rows));

        for (int c = 0; c < COLUMNS; c++)
                rows[0].cells[c] = mem_strdup(titles[c]);
        for (size_t i = 0; i < len; i++)
                fill_row(&rows[i + 1], json_array_get(secrets, i));
        for (size_t i = 0; i <= len; i++) {
                for (int c = 0; c < COLUMNS; c++) {
                        size_t width = strlen(rows[i].cells[c]);

                        widths[c] = width > widths[c] ? width : widths[c];
                }
        }
        for (size_t i = 0; i <= len; i++) {
                print_row(&rows[i], widths);
                for (int c = 0; c < COLUMNS; c++)
                        mem_free(rows[i].cells[c]);
        }
}

/* "vault: address https://..., sealed false": whatever plain values the agent tells. */
static void print_values(const char *title, json_t *values)
{
        const char *separator = ": ", *key;
        json_t *value;

        if (json_object_size(values) == 0)
                return;
        fputs(title, stdout);
        json_object_foreach (values, key, value) {
                const char *text = json_string_value(value);
                cleanup_free char *other = NULL;

                if (json_is_null(value) || json_is_object(value) || json_is_array(value) || (text && !*text))
                        continue;
                other = text ? NULL : json_write(value, false);
                printf("%s%s %s", separator, key, text ? text : other);
                separator = ", ";
        }
        putchar('\n');
}

static void print_troubles(const json_t *status)
{
        json_t *item;
        size_t i;

        json_array_foreach (json_object_get(status, "secrets"), i, item) {
                const char *error = json_str(item, "last_error");

                if (error && *error)
                        printf("%s: %s\n", or_dash(json_str(item, "name")), error);
        }
        json_array_foreach (json_object_get(status, "warnings"), i, item) {
                if (json_is_string(item))
                        printf("! %s\n", json_string_value(item));
        }
}

static void print_health(const json_t *health)
{
        json_t *item;
        size_t i;

        printf("health: %s\n", or_dash(json_str(health, "status")));
        json_array_foreach (json_object_get(health, "reasons"), i, item) {
                printf("  %s\n", or_dash(json_string_value(item)));
        }
}

static void print_status(const json_t *status)
{
        struct buf up = BUF_INIT;
        uint64_t uptime_s = 0;

        (void)json_u64(status, "uptime_s", &uptime_s);
        add_duration(&up, uptime_s * USEC_PER_SEC);
        printf("leasekeeperd %s, up %s\n", or_dash(json_str(status, "version")), buf_text(&up));
        buf_done(&up);
        print_health(json_object_get(status, "health"));
        print_values("vault", json_object_get(status, "vault"));
        print_values("token", json_object_get(status, "token"));
        print_values("kernel", json_object_get(status, "kernel"));
        putchar('\n');
        print_table(json_object_get(status, "secrets"));
        print_troubles(status);
}

/**
 * ctl_status() - leasekeeper status [-json]
 * @socket:  the agent's
 * @as_json: the agent's answer as it is
 *
 * Return: exit code.
 */
int ctl_status(const char *socket, bool as_json)
{
        struct ctl_reply r;
        int err = ctl_call(socket, "GET", "/agent/v1/status", &r), code = CTL_DONE;
        char error[128] = "no body";

        if (err < 0)
                return ctl_unreachable(socket, err);
        if (r.status != 200 || secret_len(r.body) == 0) {
                code = ctl_refused(&r);
        } else if (as_json) {
                (void)secret_append(r.body, "\n", 1);
                err = ctl_write(secret_bytes(r.body), secret_len(r.body));
                if (err < 0)
                        code = ctl_fail("writing to stdout failed: %s", strerror(-err));
        } else {
                cleanup_json json_t *status = json_read(secret_bytes(r.body), secret_len(r.body), error, sizeof(error));

                if (status)
                        print_status(status);
                else
                        code = ctl_fail("the answer is no JSON: %s", error);
        }
        ctl_reply_done(&r);
        return code;
}

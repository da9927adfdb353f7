/* agent/ctl_rotate.c: the command rotate: asks, then watches the status until all that was asked for has happened. */
#include "agent/ctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

#define WAIT_USEC (30 * USEC_PER_SEC)
#define PAUSE_MS  100

static json_t *read_json(const struct ctl_reply *r)
{
        char error[128];

        return secret_len(r->body) ? json_read(secret_bytes(r->body), secret_len(r->body), error, sizeof(error)) : NULL;
}

/* Return: new: the status' secrets; NULL: *ret_code says how it ended, and so does stderr. */
static json_t *read_secrets(const char *socket, int *ret_code)
{
        struct ctl_reply r;
        json_t *body, *secrets = NULL;
        int err = ctl_call(socket, "GET", "/agent/v1/status", &r);

        if (err < 0) {
                *ret_code = ctl_unreachable(socket, err);
                return NULL;
        }
        if (r.status == 200) {
                body = read_json(&r);
                secrets = json_incref(json_object_get(body, "secrets"));
                json_decref(body);
        }
        if (!secrets)
                *ret_code = ctl_refused(&r);
        ctl_reply_done(&r);
        return secrets;
}

static const json_t *find(const json_t *secrets, const char *name)
{
        json_t *item;
        size_t i;

        json_array_foreach (secrets, i, item) {
                const char *known = json_str(item, "name");

                if (known && strcmp(known, name) == 0)
                        return item;
        }
        return NULL;
}

/* A new version is there, or a static one was read again. One that is gone from the status is not waited for. */
static bool is_done(const json_t *before, const json_t *now, const char *name)
{
        const json_t *a = find(before, name), *b = find(now, name);
        const char *kind = json_str(b, "kind");

        if (!b || !json_equal(json_object_get(a, "version"), json_object_get(b, "version")))
                return true;
        return kind && strcmp(kind, "static") == 0 &&
               !json_equal(json_object_get(a, "refreshed_usec"), json_object_get(b, "refreshed_usec"));
}

static void print_done(const json_t *now, const char *name)
{
        uint64_t version = 0;

        if (json_u64(find(now, name), "version", &version))
                printf("%s: version %" PRIu64 "\n", name, version);
        fflush(stdout);
}

static int still_waiting(const json_t *now, const json_t *rotating)
{
        json_t *item;
        size_t i;

        json_array_foreach (rotating, i, item) {
                const char *error = json_str(find(now, json_string_value(item)), "last_error");

                ctl_fail("%s: no new version after %d s%s%s", json_string_value(item), (int)(WAIT_USEC / USEC_PER_SEC),
                         error && *error ? ": " : "", error ? error : "");
        }
        return CTL_FAILED;
}

/* Takes out of `rotating` what has happened. */
static int wait_for(const char *socket, const json_t *before, json_t *rotating)
{
        const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
        uint64_t end = clock_monotonic_usec() + WAIT_USEC;

        for (;;) {
                int code = CTL_FAILED;
                cleanup_json json_t *now = read_secrets(socket, &code);

                if (!now)
                        return code;
                for (size_t i = json_array_size(rotating); i-- > 0;) {
                        const char *name = json_string_value(json_array_get(rotating, i));

                        if (name && !is_done(before, now, name))
                                continue;
                        if (name)
                                print_done(now, name);
                        json_array_remove(rotating, i);
                }
                if (json_array_size(rotating) == 0)
                        return CTL_DONE;
                if (clock_monotonic_usec() >= end)
                        return still_waiting(now, rotating);
                nanosleep(&pause, NULL);
        }
}

/* What one that waits is waiting for, as its status tells it. Return: new. */
static char *awaited(const json_t *secret)
{
        const char *next = json_str(secret, "next_action"), *state = json_str(secret, "state");
        const char *error = json_str(secret, "last_error");
        const json_t *holders = json_object_get(secret, "held_by");
        const char *first = json_string_value(json_array_get(holders, 0));
        size_t others = first ? json_array_size(holders) - 1 : 0;

        if (next && strcmp(next, "wait for Vault") == 0)
                return error && *error ? mem_printf("Vault, after: %s", error) : mem_strdup("Vault to answer");
        if (next && strcmp(next, "wait for the mint budget") == 0)
                return mem_strdup("the mint budget of its path");
        if (first && others > 0)
                return mem_printf("the version before, which is held by %s and %zu more", first, others);
        if (first)
                return mem_printf("the version before, which is held by %s", first);
        if (state && strcmp(state, "replacing") == 0)
                return mem_strdup("the version before to go");
        return error && *error ? mem_printf("the next try, after: %s", error) : mem_strdup("its turn");
}

static void print_waiting(const char *socket, const json_t *waiting)
{
        int code;
        cleanup_json json_t *now = json_array_size(waiting) > 0 ? read_secrets(socket, &code) : NULL;
        json_t *item;
        size_t i;

        json_array_foreach (waiting, i, item) {
                const char *name = json_str(item, "name");
                cleanup_free char *what = awaited(name ? find(now, name) : NULL);
                uint64_t seconds = 0;
                char until[CLOCK_TEXT_LEN];

                (void)json_u64(item, "retry_after", &seconds);
                printf("%s: waits for %s, until %s (%" PRIu64 " s); then it is replaced by itself\n", name ? name : "?",
                       what, clock_rfc3339(clock_realtime_usec() + seconds * USEC_PER_SEC, until), seconds);
        }
        fflush(stdout);
}

/**
 * ctl_rotate() - leasekeeper rotate [-no-wait] [NAME]
 * @socket: the agent's
 * @name:   of a secret; NULL: all
 * @wait:   return once the new versions are published and static ones read again, 30 s at most
 *
 * Return: exit code: CTL_DONE where all that was named is replaced, or without @wait is going to be.
 */
int ctl_rotate(const char *socket, const char *name, bool wait)
{
        cleanup_buf struct buf path = BUF_INIT;
        cleanup_json json_t *before = NULL, *body = NULL;
        json_t *rotating, *waiting;
        struct ctl_reply r;
        int code = CTL_DONE, err;

        if (wait) {
                before = read_secrets(socket, &code);
                if (!before)
                        return code;
        }
        buf_str(&path, "/agent/v1/rotate");
        if (name) {
                buf_char(&path, '/');
                buf_percent(&path, name, "");
        }
        err = ctl_call(socket, "POST", buf_text(&path), &r);
        if (err < 0)
                return ctl_unreachable(socket, err);
        body = read_json(&r);
        if (r.status == 429)
                code = ctl_fail("nothing can be replaced now; again in %s s", r.retry_after ? r.retry_after : "a few");
        else if (r.status != 202)
                code = ctl_refused(&r);
        ctl_reply_done(&r);
        waiting = json_object_get(body, "waiting");
        print_waiting(socket, waiting);
        rotating = json_object_get(body, "rotating");
        if (code != CTL_DONE || !wait)
                return code;
        if (json_array_size(rotating) > 0)
                code = wait_for(socket, before, rotating);
        if (code == CTL_DONE && json_array_size(waiting) > 0)
                code = ctl_fail("not all are replaced yet: %zu must wait", json_array_size(waiting));
        return code;
}

/* tests/unit/test_ctl.c: the command-line client against the real socket: its output, its exit codes. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/ctl.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/parse.h"
#include "tests/unit/support_socket.h"

#define DEADLINE_USEC (10 * USEC_PER_SEC)

struct run { /* one command in a process of its own */
        pid_t pid;
        int fds[2]; /* what it says on stdout, on stderr */
        struct buf text[2];
        int code;
};

typedef int (*command_fn)(struct world *w, const char *arg);

static void begin(struct world *w, struct run *r, command_fn fn, const char *arg)
{
        int out[2], err[2];

        *r = (struct run){.text = {BUF_INIT, BUF_INIT}};
        assert_int_equal(pipe(out), 0);
        assert_int_equal(pipe(err), 0);
        fflush(NULL);
        r->pid = fork();
        assert_true(r->pid >= 0);
        if (r->pid == 0) {
                int code;

                dup2(out[1], STDOUT_FILENO);
                dup2(err[1], STDERR_FILENO);
                code = fn(w, arg);
                fflush(NULL);
                _exit(code);
        }
        close(out[1]);
        close(err[1]);
        r->fds[0] = out[0];
        r->fds[1] = err[0];
        for (int i = 0; i < 2; i++)
                fcntl(r->fds[i], F_SETFL, O_NONBLOCK);
}

static void read_some(struct run *r)
{
        for (int i = 0; i < 2; i++) {
                char bytes[4096];
                ssize_t n;

                while ((n = read(r->fds[i], bytes, sizeof(bytes))) > 0)
                        buf_add(&r->text[i], bytes, (size_t)n);
        }
}

static void wait_for_text(struct world *w, struct run *r, const char *text)
{
        uint64_t end = clock_monotonic_usec() + DEADLINE_USEC;

        for (read_some(r); !strstr(buf_text(&r->text[0]), text); read_some(r)) {
                if (clock_monotonic_usec() > end)
                        fail_msg("\"%s\" did not come: %s %s", text, buf_text(&r->text[0]), buf_text(&r->text[1]));
                world_turn(w);
        }
}

static void finish(struct world *w, struct run *r)
{
        uint64_t end = clock_monotonic_usec() + DEADLINE_USEC;
        int status;

        while (waitpid(r->pid, &status, WNOHANG) == 0) {
                if (clock_monotonic_usec() > end) {
                        kill(r->pid, SIGKILL);
                        fail_msg("the command did not end");
                }
                world_turn(w);
        }
        read_some(r);
        close(r->fds[0]);
        close(r->fds[1]);
        assert_true(WIFEXITED(status));
        r->code = WEXITSTATUS(status);
}

static void run_done(struct run *r)
{
        buf_done(&r->text[0]);
        buf_done(&r->text[1]);
}

static void assert_run(struct world *w, command_fn fn, const char *arg, int code, const char *out, const char *err)
{
        struct run r;

        begin(w, &r, fn, arg);
        finish(w, &r);
        assert_string_equal(buf_text(&r.text[1]), err);
        if (out)
                assert_string_equal(buf_text(&r.text[0]), out);
        assert_int_equal(r.code, code);
        run_done(&r);
}

static int get_field(struct world *w, const char *arg)
{
        return ctl_get(w->path, "db", arg);
}

static int get_all(struct world *w, const char *arg)
{
        return ctl_get(w->path, arg, NULL);
}

static int rotate(struct world *w, const char *arg)
{
        return ctl_rotate(w->path, arg, true);
}

static int rotate_no_wait(struct world *w, const char *arg)
{
        return ctl_rotate(w->path, arg, false);
}

static int health(struct world *w, const char *arg)
{
        (void)arg;
        return ctl_health(w->path);
}

static int reload(struct world *w, const char *arg)
{
        (void)arg;
        return ctl_reload(w->path);
}

static int status_table(struct world *w, const char *arg)
{
        (void)arg;
        return ctl_status(w->path, false);
}

static int status_json(struct world *w, const char *arg)
{
        (void)arg;
        return ctl_status(w->path, true);
}

static int watch(struct world *w, const char *arg)
{
        char *names[1];

        names[0] = mem_strdup(arg);
        return ctl_watch(w->path, names, 1);
}

/* --- get --- */

static void a_field_comes_byte_for_byte(void **state)
{
        struct world *w = *state;

        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", "{\"password\":\"-p\\u00e4 \\\"x\",\"port\":3306,\"list\":[1,\"a\"],\"empty\":\"\"}",
                      60);
        assert_run(w, get_field, "password", CTL_DONE, "-p\u00e4 \"x", "");
        assert_run(w, get_field, "port", CTL_DONE, "3306", "");
        assert_run(w, get_field, "list", CTL_DONE, "[1,\"a\"]", "");
        assert_run(w, get_field, "empty", CTL_DONE, "", "");
        assert_run(w, get_field, "user", CTL_FAILED, "",
                   "leasekeeper: db has no field user; it has: password, port, list, empty\n");
}

static void without_a_field_the_whole_answer(void **state)
{
        struct world *w = *state;
        struct run r;
        char error[128];
        cleanup_json json_t *body = NULL;

        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", "{\"password\":\"p\"}", 60);
        begin(w, &r, get_all, "db");
        finish(w, &r);
        assert_int_equal(r.code, CTL_DONE);
        body = json_read(r.text[0].data, r.text[0].len, error, sizeof(error));
        assert_non_null(body);
        assert_string_equal(json_str(json_object_get(body, "data"), "password"), "p");
        run_done(&r);
}

static void refusals_are_said_in_one_line(void **state)
{
        struct world *w = *state;
        cleanup_free char *nobody = NULL;

        assert_run(w, get_all, "no/such", CTL_FAILED, "", "leasekeeper: no/such: permission denied\n");
        world_add(w, "db", "database/creds/notes", getuid());
        assert_run(w, get_all, "db", CTL_FAILED, "", "leasekeeper: db: nothing valid to give: not fetched yet\n");
        world_stop(w);
        nobody =
                mem_printf("leasekeeper: %s: nobody listens there; is leasekeeperd running? -socket PATH names another "
                           "socket\n",
                           w->path);
        assert_run(w, get_all, "db", CTL_FAILED, "", nobody);
        world_start(w);
}

/* --- watch --- */

static void watch_prints_a_line_an_event(void **state)
{
        struct world *w = *state;
        struct store_secret *s = world_add(w, "db", "database/creds/notes", getuid());
        struct run r;

        world_publish(w, "db", "{\"password\":\"p-1\"}", 60);
        begin(w, &r, watch, "db");
        wait_for_text(w, &r, "secret {\"name\":\"db\",");
        store_update_end(w->store, s, clock_boottime_usec(), true);
        wait_for_text(w, &r, "\nlease {\"name\":\"db\",\"version\":7,");
        world_publish(w, "db", "{\"password\":\"p-2\"}", 60);
        wait_for_text(w, &r, "p-2\"}}\n");
        store_lose(w->store, s, STORE_STOPPING);
        wait_for_text(w, &r, "lost {\"name\":\"db\",\"version\":8,\"reason\":\"agent stopping\"}\n");
        world_stop(w);
        finish(w, &r);
        assert_int_equal(r.code, CTL_FAILED);
        assert_non_null(strstr(buf_text(&r.text[1]), "has closed the connection"));
        world_start(w);
        run_done(&r);
}

/* --- rotate --- */

static void set_status(struct world *w, const char *kind, int version, int refreshed_usec)
{
        json_decref(w->status);
        w->status = json_pack("{s:s,s:i,s:[{s:s,s:s,s:i,s:i,s:s,s:s,s:s,s:s,s:[s]}]}", "version", "0.1.0", "uptime_s",
                              4000, "secrets", "name", "db", "kind", kind, "version", version, "refreshed_usec",
                              refreshed_usec, "state", "valid", "expires_at", "2001-01-01T00:00:00Z", "next_action",
                              "renew", "why", "due", "held_by", "1000/app");
        assert_non_null(w->status);
}

static void begin_rotate(struct world *w, struct run *r)
{
        uint64_t end = clock_monotonic_usec() + DEADLINE_USEC;

        begin(w, r, rotate, "db");
        while (!w->rotated && clock_monotonic_usec() < end)
                world_turn(w);
        assert_string_equal(w->rotated, "db");
        for (int i = 0; i < 100; i++)
                world_turn(w);
        assert_int_equal(waitpid(r->pid, NULL, WNOHANG), 0); /* nothing has changed yet: it waits */
}

static void rotate_returns_with_the_new_version(void **state)
{
        struct world *w = *state;
        struct run r;

        world_add(w, "db", "database/creds/notes", getuid());
        set_status(w, "dynamic", 7, 1);
        begin_rotate(w, &r);
        set_status(w, "dynamic", 7, 2); /* a renewal is no rotation */
        for (int i = 0; i < 100; i++)
                world_turn(w);
        assert_int_equal(waitpid(r.pid, NULL, WNOHANG), 0);
        set_status(w, "dynamic", 8, 3);
        finish(w, &r);
        assert_int_equal(r.code, CTL_DONE);
        assert_string_equal(buf_text(&r.text[0]), "db: version 8\n");
        run_done(&r);
}

static void rotate_returns_when_a_static_one_was_read_again(void **state)
{
        struct world *w = *state;
        struct run r;

        world_add(w, "db", "kv/notes", getuid());
        set_status(w, "static", 7, 1);
        begin_rotate(w, &r);
        set_status(w, "static", 7, 2);
        finish(w, &r);
        assert_int_equal(r.code, CTL_DONE);
        assert_string_equal(buf_text(&r.text[0]), "db: version 7\n");
        run_done(&r);
}

static void set_two(struct world *w, int db_version, const char *next, const char *holder)
{
        json_decref(w->status);
        w->status = json_pack("{s:[{s:s,s:s,s:i},{s:s,s:s,s:i,s:s,s:[]}]}", "secrets", "name", "db", "kind", "dynamic",
                              "version", db_version, "name", "tls", "kind", "certificate", "version", 3, "next_action",
                              next, "held_by");
        if (holder)
                json_array_append_new(
                        json_object_get(json_array_get(json_object_get(w->status, "secrets"), 1), "held_by"),
                        json_string(holder));
}

/* What is not replaced yet is no success: named, with what it waits for and until when. */
static void rotate_names_what_has_to_wait(void **state)
{
        struct world *w = *state;
        struct run r;

        world_add(w, "db", "database/creds/notes", getuid());
        w->waiting = "tls";
        set_two(w, 7, "wait for the mint budget", NULL);
        begin(w, &r, rotate, NULL);
        wait_for_text(w, &r, "tls: waits for the mint budget of its path, until 20");
        set_two(w, 8, "wait for the mint budget", NULL);
        finish(w, &r);
        assert_int_equal(r.code, CTL_FAILED);
        assert_non_null(strstr(buf_text(&r.text[0]), "Z (90 s); then it is replaced by itself\n"));
        assert_non_null(strstr(buf_text(&r.text[0]), "db: version 8\n"));
        assert_string_equal(buf_text(&r.text[1]), "leasekeeper: not all are replaced yet: 1 must wait\n");
        run_done(&r);
        set_two(w, 8, "revoke", "1000/app");
        begin(w, &r, rotate_no_wait, NULL);
        finish(w, &r);
        assert_int_equal(r.code, CTL_DONE);
        assert_non_null(strstr(buf_text(&r.text[0]), "tls: waits for the version before, which is held by 1000/app, "));
        run_done(&r);
}

static void rotate_that_cannot_says_when(void **state)
{
        struct world *w = *state;

        world_add(w, "db", "database/creds/notes", getuid());
        assert_run(w, rotate_no_wait, NULL, CTL_DONE, "", "");
        assert_string_equal(w->rotated, "");
        w->rotate_status = 429;
        assert_run(w, rotate, NULL, CTL_FAILED, NULL, "leasekeeper: nothing can be replaced now; again in 3 s\n");
        assert_run(w, rotate, "none", CTL_FAILED, "", "leasekeeper: none: no such secret\n");
}

/* --- status, health, reload --- */

static void status_is_a_table_for_people(void **state)
{
        struct world *w = *state;
        struct run r;

        set_status(w, "dynamic", 7, 1);
        json_object_set_new(w->status, "warnings", json_pack("[s]", "swap is on"));
        begin(w, &r, status_table, NULL);
        finish(w, &r);
        assert_int_equal(r.code, CTL_DONE);
        assert_non_null(strstr(buf_text(&r.text[0]), "leasekeeperd 0.1.0, up 66 min\n"));
        assert_non_null(strstr(buf_text(&r.text[0]), "SECRET  KIND     VERSION  STATE  EXPIRES"));
        assert_non_null(strstr(buf_text(&r.text[0]), "db      dynamic  7        valid  "));
        assert_non_null(strstr(buf_text(&r.text[0]), " ago  renew (due)  1000/app\n"));
        assert_non_null(strstr(buf_text(&r.text[0]), "\n! swap is on\n"));
        run_done(&r);
}

static void status_is_json_for_programs(void **state)
{
        struct world *w = *state;

        json_decref(w->status);
        w->status = json_pack("{s:s}", "version", "0.1.0");
        assert_run(w, status_json, NULL, CTL_DONE, "{\"version\":\"0.1.0\"}\n", "");
}

static void health_is_the_exit_code(void **state)
{
        struct world *w = *state;

        assert_run(w, health, NULL, CTL_DONE, "ok\n", "");
        w->health_status = 503;
        assert_run(w, health, NULL, CTL_FAILED, "failing\n  db: Vault is sealed\n", "");
}

static void refused_reload_prints_the_findings(void **state)
{
        struct world *w = *state;

        assert_run(w, reload, NULL, CTL_DONE, NULL, "");
        w->reload_status = 400;
        assert_run(w, reload, NULL, CTL_FAILED, "", "leasekeeper: agent.hcl:3: unknown key\n");
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(a_field_comes_byte_for_byte),
                T(without_a_field_the_whole_answer),
                T(refusals_are_said_in_one_line),
                T(watch_prints_a_line_an_event),
                T(rotate_returns_with_the_new_version),
                T(rotate_returns_when_a_static_one_was_read_again),
                T(rotate_names_what_has_to_wait),
                T(rotate_that_cannot_says_when),
                T(status_is_a_table_for_people),
                T(status_is_json_for_programs),
                T(health_is_the_exit_code),
                T(refused_reload_prints_the_findings),
        };

        return cmocka_run_group_tests_name("ctl", tests, NULL, NULL);
}

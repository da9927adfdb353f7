/* tests/unit/support_fake_vault.c: tests/fakes/vault.py as a child process, and calls to it. */
#include "tests/unit/support_fake_vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

#define PYTHON     "/usr/bin/python3"
#define FAKE_VAULT "tests/fakes/vault.py"
#define SOON_USEC  (20 * USEC_PER_SEC) /* by then anything has happened, or the test fails */

struct loop *fake_loop;
struct fake fake_vault;

static void on_too_late(void *arg)
{
        (void)arg;
        fputs("the condition that the test waits for did not come\n", stderr);
        abort();
}

void fake_run_loop(void)
{
        struct loop_timer *guard = loop_timer_new(fake_loop, on_too_late, NULL);

        loop_timer_in(guard, SOON_USEC);
        assert_int_equal(loop_run(fake_loop), 0);
        loop_timer_free(guard);
}

static void on_stop(void *arg)
{
        (void)arg;
        loop_stop(fake_loop);
}

void fake_run_loop_for(uint64_t usec)
{
        struct loop_timer *t = loop_timer_new(fake_loop, on_stop, NULL);

        loop_timer_in(t, usec);
        fake_run_loop();
        loop_timer_free(t);
}

struct fake fake_start(const char *option)
{
        struct fake f = {0};
        int in[2], out[2];
        char line[2048];
        FILE *from;

        assert_int_equal(pipe(in), 0);
        assert_int_equal(pipe(out), 0);
        f.pid = fork();
        assert_true(f.pid >= 0);
        if (f.pid == 0) {
                dup2(in[0], 0);
                dup2(out[1], 1);
                close(in[1]); /* else its own copy would keep it from seeing the end */
                close(out[0]);
                execl(PYTHON, PYTHON, "-B", FAKE_VAULT, option, (char *)NULL);
                _exit(127);
        }
        close(in[0]);
        close(out[1]);
        f.stdin_fd = in[1];
        from = fdopen(out[0], "r");
        assert_non_null(fgets(line, sizeof(line), from));
        fclose(from);
        f.told = json_loads(line, 0, NULL);
        assert_non_null(f.told);
        return f;
}

void fake_stop(struct fake *f)
{
        close(f->stdin_fd);
        assert_int_equal(waitpid(f->pid, NULL, 0), f->pid);
        json_decref(f->told);
}

void fake_on_answer(const struct http_client_reply *reply, void *arg)
{
        struct fake_answer *a = arg;

        a->there = true;
        a->error = reply->error;
        a->status = reply->status;
        a->retry_after_usec = reply->retry_after_usec;
        a->date_usec = reply->date_usec;
        a->took_usec = reply->took_usec;
        snprintf(a->text, sizeof(a->text), "%s", reply->error_text);
        snprintf(a->location, sizeof(a->location), "%s", reply->location);
        secret_free(a->body);
        a->body = secret_new_from(secret_bytes(reply->body), secret_len(reply->body));
        if (a->left == 0 || --a->left == 0)
                loop_stop(fake_loop);
}

struct fake_answer fake_call(struct http_client *c, const struct http_client_request *request)
{
        struct fake_answer a = {0};

        http_client_send(c, request, fake_on_answer, &a);
        assert_false(a.there); /* never before send returns */
        fake_run_loop();
        assert_true(a.there);
        return a;
}

struct fake_answer fake_get(struct http_client *c, const char *path)
{
        return fake_call(c, &(struct http_client_request){.method = "GET", .path = path});
}

struct http_client *fake_client(const struct fake *f, struct http_client_config config)
{
        char *error = NULL;
        struct http_client *c;

        if (!config.address)
                config.address = json_str(f->told, "address");
        if (!config.ca_cert)
                config.ca_cert = json_str(f->told, "ca_cert");
        if (config.timeout_usec == 0)
                config.timeout_usec = 10 * USEC_PER_SEC;
        c = http_client_new(fake_loop, &config, &error);
        if (!c)
                fail_msg("%s", error);
        return c;
}

json_t *fake_control(const char *method, const char *path, const char *body)
{
        char *error = NULL;
        struct http_client *c = http_client_new(
                fake_loop, &(struct http_client_config){.address = json_str(fake_vault.told, "control")}, &error);
        struct secret *sent = body ? secret_new_from(body, strlen(body)) : NULL;
        struct fake_answer a =
                fake_call(c, &(struct http_client_request){.method = method, .path = path, .body = sent});
        json_t *value;

        assert_int_equal(a.error, 0);
        assert_int_equal(a.status, 200);
        value = json_loadb(secret_bytes(a.body), secret_len(a.body), JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        secret_free(a.body);
        secret_free(sent);
        http_client_free(c);
        return value;
}

void fake_script(const char *path, const char *replies)
{
        char *body = mem_printf("{\"path\":\"%s\",\"replies\":%s}", path, replies);

        json_decref(fake_control("POST", "/script", body));
        mem_free(body);
}

json_t *fake_requests(const char *pattern)
{
        char *path = mem_printf("/requests?path=%s", pattern);
        json_t *list = fake_control("GET", path, NULL);

        mem_free(path);
        return list;
}

/* The connections that requests for a path came on: how many different ones. */
size_t fake_connections(const char *pattern)
{
        json_t *list = fake_requests(pattern), *item, *seen = json_object();
        size_t i, count;

        json_array_foreach (list, i, item) {
                char number[32];

                snprintf(number, sizeof(number), "%lld",
                         (long long)json_integer_value(json_object_get(item, "connection")));
                json_object_set_new(seen, number, json_true());
        }
        count = json_object_size(seen);
        json_decref(seen);
        json_decref(list);
        return count;
}

int fake_before_each(void **state)
{
        (void)state;
        json_decref(fake_control("DELETE", "/requests", NULL));
        return 0;
}

int fake_group_setup(void **state)
{
        (void)state;
        fake_loop = loop_new();
        fake_vault = fake_start(NULL);
        return 0;
}

int fake_group_teardown(void **state)
{
        (void)state;
        fake_stop(&fake_vault);
        loop_free(fake_loop);
        return 0;
}

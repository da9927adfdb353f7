/* tests/unit/test_http_client.c: the HTTP client against a server that keeps the rules, and one that breaks them. */
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/http_client.h"
#include "common/json.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

#define PYTHON     "/usr/bin/python3"
#define FAKE_VAULT "tests/fakes/vault.py"
#define SOON_USEC  (20 * USEC_PER_SEC) /* by then anything has happened, or the test fails */

struct fake {
        pid_t pid;
        int stdin_fd;
        json_t *told; /* address, control, ca_cert, client_cert, client_key */
};

struct answer {
        bool there;
        int error;
        long status;
        char text[300];
        char location[100];
        struct secret *body;
        uint64_t retry_after_usec, date_usec, took_usec;
        unsigned left; /* answers still missing, where several are waited for */
};

static struct loop *loop;
static struct fake vault;

/* A resolver that hangs: what a dead name server does to getaddrinfo(). */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
        static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

        if (node && strcmp(node, "hanging.invalid") == 0) {
                sleep(3);
                return EAI_AGAIN;
        }
        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
        return real(node, service, hints, res);
}

static void on_too_late(void *arg)
{
        (void)arg;
        fputs("the condition that the test waits for did not come\n", stderr);
        abort();
}

static void run_loop(void)
{
        struct loop_timer *guard = loop_timer_new(loop, on_too_late, NULL);

        loop_timer_in(guard, SOON_USEC);
        assert_int_equal(loop_run(loop), 0);
        loop_timer_free(guard);
}

static void on_stop(void *arg)
{
        (void)arg;
        loop_stop(loop);
}

static void run_loop_for(uint64_t usec)
{
        struct loop_timer *t = loop_timer_new(loop, on_stop, NULL);

        loop_timer_in(t, usec);
        run_loop();
        loop_timer_free(t);
}

static struct fake fake_start(const char *option)
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

static void fake_stop(struct fake *f)
{
        close(f->stdin_fd);
        assert_int_equal(waitpid(f->pid, NULL, 0), f->pid);
        json_decref(f->told);
}

static void on_answer(const struct http_client_reply *reply, void *arg)
{
        struct answer *a = arg;

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
                loop_stop(loop);
}

static struct answer call(struct http_client *c, const struct http_client_request *request)
{
        struct answer a = {0};

        http_client_send(c, request, on_answer, &a);
        assert_false(a.there); /* never before send returns */
        run_loop();
        assert_true(a.there);
        return a;
}

static struct answer get(struct http_client *c, const char *path)
{
        return call(c, &(struct http_client_request){.method = "GET", .path = path});
}

static struct http_client *client_of(const struct fake *f, struct http_client_config config)
{
        char *error = NULL;
        struct http_client *c;

        if (!config.address)
                config.address = json_str(f->told, "address");
        if (!config.ca_cert)
                config.ca_cert = json_str(f->told, "ca_cert");
        if (config.timeout_usec == 0)
                config.timeout_usec = 10 * USEC_PER_SEC;
        c = http_client_new(loop, &config, &error);
        if (!c)
                fail_msg("%s", error);
        return c;
}

static json_t *control(const char *method, const char *path, const char *body)
{
        char *error = NULL;
        struct http_client *c =
                http_client_new(loop, &(struct http_client_config){.address = json_str(vault.told, "control")}, &error);
        struct secret *sent = body ? secret_new_from(body, strlen(body)) : NULL;
        struct answer a = call(c, &(struct http_client_request){.method = method, .path = path, .body = sent});
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

static void script(const char *path, const char *replies)
{
        char *body = mem_printf("{\"path\":\"%s\",\"replies\":%s}", path, replies);

        json_decref(control("POST", "/script", body));
        mem_free(body);
}

static json_t *requests(const char *pattern)
{
        char *path = mem_printf("/requests?path=%s", pattern);
        json_t *list = control("GET", path, NULL);

        mem_free(path);
        return list;
}

/* The connections that requests for a path came on: how many different ones. */
static size_t connections(const char *pattern)
{
        json_t *list = requests(pattern), *item, *seen = json_object();
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

static int before_each(void **state)
{
        (void)state;
        json_decref(control("DELETE", "/requests", NULL));
        return 0;
}

static void answer_comes_whole(void **state)
{
        struct http_client *c = client_of(&vault, (struct http_client_config){0});
        struct answer a = get(c, "/v1/sys/health");

        (void)state;
        assert_int_equal(a.error, 0);
        assert_string_equal(a.text, "");
        assert_int_equal(a.status, 200);
        assert_non_null(strstr(secret_bytes(a.body), "\"initialized\": true"));
        assert_in_range(a.date_usec, clock_realtime_usec() - 60 * USEC_PER_SEC,
                        clock_realtime_usec() + 60 * USEC_PER_SEC);
        assert_int_equal(a.retry_after_usec, 0);
        secret_free(a.body);

        script("other", "[{\"status\":404,\"body\":\"nothing\"}]");
        a = get(c, "/v1/other"); /* a status is data, not an error */
        assert_int_equal(a.error, 0);
        assert_int_equal(a.status, 404);
        assert_string_equal(secret_bytes(a.body), "nothing");
        secret_free(a.body);
        http_client_free(c);
}

static void request_is_sent_as_given(void **state)
{
        struct http_client *c = client_of(&vault, (struct http_client_config){0});
        struct secret *token = secret_new_from("hvs.x", 5), *body = secret_new_from("{\"a\":1}", 7);
        const char *const headers[] = {"X-Vault-Request: true", "X-Vault-Namespace: team/a", NULL};
        struct answer a = call(c, &(struct http_client_request){.method = "POST",
                                                                .path = "/v1/sent/a%20b/../c",
                                                                .headers = headers,
                                                                .secret_header = "X-Vault-Token",
                                                                .secret_value = token,
                                                                .body = body});
        struct answer empty = call(c, &(struct http_client_request){.method = "POST", .path = "/v1/sent/empty"});
        json_t *list = requests("sent/*"), *first = json_array_get(list, 0),
               *fields = json_object_get(first, "headers");

        (void)state;
        assert_int_equal(a.error, 0);
        assert_int_equal(empty.error, 0);
        assert_int_equal(json_array_size(list), 2);
        assert_string_equal(json_str(first, "method"), "POST");
        assert_string_equal(json_str(first, "path"), "sent/a b/../c");
        assert_string_equal(json_str(first, "body"), "{\"a\":1}");
        assert_string_equal(json_str(fields, "x-vault-token"), "hvs.x");
        assert_string_equal(json_str(fields, "x-vault-request"), "true");
        assert_string_equal(json_str(fields, "x-vault-namespace"), "team/a");
        assert_string_equal(json_str(fields, "content-type"), "application/json");
        assert_string_equal(json_str(fields, "user-agent"), "leasekeeper/" LEASEKEEPER_VERSION);
        assert_null(json_object_get(fields, "accept-encoding"));
        assert_null(json_object_get(fields, "expect"));
        fields = json_object_get(json_array_get(list, 1), "headers");
        assert_string_equal(json_str(fields, "content-length"), "0");
        assert_null(json_object_get(fields, "content-type"));
        assert_null(json_object_get(fields, "x-vault-token"));
        json_decref(list);
        secret_free(a.body);
        secret_free(empty.body);
        secret_free(token);
        secret_free(body);
        http_client_free(c);
}

static void what_cannot_be_sent_is_told_later(void **state)
{
        struct http_client *c = client_of(&vault, (struct http_client_config){0});
        struct secret *token = secret_new_from("hvs.x\r\nX-Other: y", 17);
        struct http_client_request bad = {
                .method = "GET", .path = "/v1/never", .secret_header = "X-Vault-Token", .secret_value = token};
        struct answer a = call(c, &bad);
        json_t *list;

        (void)state;
        assert_int_equal(a.error, -EINVAL);
        assert_null(strstr(a.text, "hvs"));
        secret_free(a.body);
        a = get(c, "/v1/never even");
        assert_int_equal(a.error, -EINVAL);
        secret_free(a.body);
        list = requests("never*");
        assert_int_equal(json_array_size(list), 0);
        json_decref(list);
        secret_free(token);
        http_client_free(c);
}

static void connection_is_reused(void **state)
{
        struct http_client *c = client_of(&vault, (struct http_client_config){0});

        (void)state;
        for (int i = 0; i < 5; i++) {
                struct answer a = get(c, "/v1/reused");

                assert_int_equal(a.error, 0);
                secret_free(a.body);
        }
        assert_int_equal(connections("reused"), 1);
        http_client_free(c);
}

static void calls_beyond_conns_max_wait_their_turn(void **state)
{
        struct http_client *c = client_of(&vault, (struct http_client_config){.conns_max = 4});
        struct answer a = {.left = 60};

        (void)state;
        script("many", "[{\"delay\":0.02,\"status\":200,\"body\":{},\"forever\":true}]");
        for (int i = 0; i < 60; i++)
                http_client_send(c, &(struct http_client_request){.method = "GET", .path = "/v1/many"}, on_answer, &a);
        run_loop();
        assert_int_equal(a.left, 0);
        assert_int_equal(a.error, 0);
        assert_in_range(connections("many"), 1, 4);
        secret_free(a.body);
        http_client_free(c);
}

static void half_open_calls_end_at_their_deadline(void **state)
{
        struct http_client *c = client_of(&vault, (struct http_client_config){.conns_max = 2});
        struct answer a = {.left = 7}; /* five of them never get a connection */
        uint64_t start_usec = clock_monotonic_usec();

        (void)state;
        script("silent", "[{\"half_open\":true,\"forever\":true}]");
        for (int i = 0; i < 7; i++)
                http_client_send(c,
                                 &(struct http_client_request){
                                         .method = "GET", .path = "/v1/silent", .timeout_usec = 400 * USEC_PER_MSEC},
                                 on_answer, &a);
        run_loop();
        assert_int_equal(a.error, -ETIMEDOUT);
        assert_int_equal(a.status, 0);
        assert_non_null(strstr(a.text, "no answer within 0.4 s"));
        assert_in_range(clock_monotonic_usec() - start_usec, 400 * USEC_PER_MSEC, 5 * USEC_PER_SEC);
        secret_free(a.body);

        a = get(c, "/v1/sys/health"); /* and the client is as good as new */
        assert_int_equal(a.status, 200);
        secret_free(a.body);
        http_client_free(c);
}

static void silent_server_does_not_hold_the_loop(void **state)
{
        struct http_client *c =
                client_of(&vault, (struct http_client_config){.address = "https://hanging.invalid:8200"});
        uint64_t start_usec = clock_monotonic_usec();
        struct answer a = call(c, &(struct http_client_request){
                                          .method = "GET", .path = "/v1/x", .timeout_usec = 200 * USEC_PER_MSEC});

        (void)state;
        assert_int_equal(a.error, -ETIMEDOUT);
        secret_free(a.body);
        http_client_free(c);
        assert_in_range(clock_monotonic_usec() - start_usec, 200 * USEC_PER_MSEC, 2 * USEC_PER_SEC);
}

static void broken_answers_are_errors(void **state)
{
        static const struct {
                const char *reply;
                int error;
        } cases[] = {
                {"{\"reset\":\"request\"}", -ECONNRESET},
                {"{\"reset\":\"head\"}", -ECONNRESET},
                {"{\"body\":\"0123456789\",\"reset\":\"body\"}", -ECONNRESET},
                {"{\"body\":\"0123456789\",\"cut\":\"body\"}", -ECONNRESET},
                {"{\"body\":\"0123456789\",\"cut\":\"body\",\"chunked\":true}", -ECONNRESET},
                {"{\"huge\":1048577}", -EMSGSIZE},
                {"{\"huge\":3000000,\"chunked\":true}", -EMSGSIZE},
                {"{\"huge_head\":80000}", -EMSGSIZE},
                {"{\"raw\":\"SSH-2.0-OpenSSH_9.2\\r\\n\"}", -EPROTO},
                {"{\"raw\":\"\"}", -ECONNRESET},
        };

        (void)state;
        for (size_t i = 0; i < array_len(cases); i++) {
                struct http_client *c = client_of(&vault, (struct http_client_config){0});
                /* Twenty times: a call on a kept connection that dies without a byte is repeated by curl itself. */
                char *list = mem_printf("[{\"times\":20,%s]", cases[i].reply + 1);
                struct answer a;

                script("broken", list);
                mem_free(list);
                a = get(c, "/v1/broken");
                if (a.error != cases[i].error)
                        fail_msg("%s: %d (%s), not %d", cases[i].reply, a.error, a.text, cases[i].error);
                assert_int_equal(a.status, 0);
                assert_int_equal(secret_len(a.body), 0);
                assert_non_null(strstr(a.text, json_str(vault.told, "address")));
                secret_free(a.body);

                a = get(c, "/v1/sys/health");
                assert_int_equal(a.status, 200);
                secret_free(a.body);
                http_client_free(c);
        }
}

static void longest_answer_is_taken(void **state)
{
        struct http_client *c = client_of(&vault, (struct http_client_config){0});
        struct answer a;

        (void)state;
        script("long", "[{\"huge\":1048576},{\"huge\":1048576,\"chunked\":true}]");
        for (int i = 0; i < 2; i++) {
                a = get(c, "/v1/long");
                assert_int_equal(a.error, 0);
                assert_int_equal(secret_len(a.body), HTTP_CLIENT_BODY_MAX);
                secret_free(a.body);
        }
        http_client_free(c);
}

static void redirect_is_not_followed(void **state)
{
        struct http_client *c = client_of(&vault, (struct http_client_config){0});
        struct answer a;
        json_t *list;

        (void)state;
        script("moved", "[{\"status\":307,\"headers\":{\"Location\":\"https://elsewhere:8200/v1/moved\"}}]");
        a = get(c, "/v1/moved");
        assert_int_equal(a.error, 0);
        assert_int_equal(a.status, 307);
        assert_string_equal(a.location, "https://elsewhere:8200/v1/moved");
        list = requests("moved");
        assert_int_equal(json_array_size(list), 1);
        json_decref(list);
        secret_free(a.body);
        http_client_free(c);
}

static void retry_after_is_read_in_both_forms(void **state)
{
        static const struct {
                const char *headers;
                uint64_t sec;
        } cases[] = {
                {"{\"Retry-After\":\"29\"}", 29},
                {"{\"Retry-After\":\"0\"}", 0},
                {"{\"Retry-After\":\"99999999999999999999999\"}", 86400},
                {"{\"Retry-After\":\"-5\"}", 0},
                {"{\"Retry-After\":\"soon\"}", 0},
                {"{\"Date\":\"Tue, 24 Nov 2026 07:00:00 GMT\",\"Retry-After\":\"Tue, 24 Nov 2026 07:01:30 GMT\"}", 90},
                {"{\"Date\":\"Tue, 24 Nov 2026 07:00:00 GMT\",\"Retry-After\":\"Tue, 24 Nov 2026 06:00:00 GMT\"}", 0},
        };
        struct http_client *c = client_of(&vault, (struct http_client_config){0});

        (void)state;
        for (size_t i = 0; i < array_len(cases); i++) {
                char *reply = mem_printf("[{\"status\":429,\"headers\":%s}]", cases[i].headers);
                struct answer a;

                script("limited", reply);
                a = get(c, "/v1/limited");
                assert_int_equal(a.status, 429);
                if (a.retry_after_usec != cases[i].sec * USEC_PER_SEC)
                        fail_msg("%s: %llu", cases[i].headers, (unsigned long long)a.retry_after_usec);
                secret_free(a.body);
                mem_free(reply);
        }
        http_client_free(c);
}

static void refuse_tls(const struct fake *f, struct http_client_config config, const char *why)
{
        struct http_client *c = client_of(f, config);
        struct secret *token = secret_new_from("hvs.x", 5);
        struct answer a = call(c, &(struct http_client_request){.method = "GET",
                                                                .path = "/v1/untrusted",
                                                                .secret_header = "X-Vault-Token",
                                                                .secret_value = token});
        json_t *list = requests("untrusted");

        if (a.error != -EPROTO)
                fail_msg("%s: %d (%s)", why, a.error, a.text);
        assert_int_equal(json_array_size(list), 0); /* the token was never sent */
        json_decref(list);
        secret_free(a.body);
        secret_free(token);
        http_client_free(c);
}

static void wrong_server_is_refused(void **state)
{
        struct fake other = fake_start("--plain"), old;
        struct http_client *c;
        struct answer a;

        (void)state;
        refuse_tls(&vault, (struct http_client_config){.ca_cert = json_str(other.told, "ca_cert")}, "another CA");
        refuse_tls(&vault,
                   (struct http_client_config){.ca_path = "/etc/ssl/certs", .ca_cert = json_str(other.told, "ca_cert")},
                   "the system's CAs");
        refuse_tls(&vault, (struct http_client_config){.server_name = "vault.example"}, "another name");
        json_decref(control("POST", "/call", "{\"set\":\"on_connect\",\"value\":\"plain\"}"));
        refuse_tls(&vault, (struct http_client_config){0}, "plain HTTP on the TLS port");
        json_decref(control("POST", "/call", "{\"set\":\"on_connect\",\"value\":null}"));
        fake_stop(&other);

        old = fake_start("--tls1");
        refuse_tls(&old, (struct http_client_config){0}, "TLS 1.1");
        fake_stop(&old);

        c = client_of(&vault, (struct http_client_config){.server_name = "localhost"});
        a = get(c, "/v1/named");
        assert_int_equal(a.error, 0);
        secret_free(a.body);
        http_client_free(c);
        c = client_of(&vault, (struct http_client_config){.server_name = "vault.example", .skip_verify = true});
        a = get(c, "/v1/named");
        assert_int_equal(a.error, 0);
        secret_free(a.body);
        http_client_free(c);
}

static void server_name_leaves_the_host_field(void **state)
{
        struct http_client *c = client_of(&vault, (struct http_client_config){.server_name = "localhost"});
        struct answer a = get(c, "/v1/named");
        json_t *list = requests("named");

        (void)state;
        assert_int_equal(a.error, 0);
        assert_string_equal(json_str(json_object_get(json_array_get(list, 0), "headers"), "host"),
                            strstr(json_str(vault.told, "address"), "//") + 2);
        json_decref(list);
        secret_free(a.body);
        http_client_free(c);
}

static void client_certificate_is_shown(void **state)
{
        struct fake strict = fake_start("--want-client-cert");
        struct http_client *c =
                client_of(&strict, (struct http_client_config){.client_cert = json_str(strict.told, "client_cert"),
                                                               .client_key = json_str(strict.told, "client_key")});
        struct answer a = get(c, "/v1/sys/health");

        (void)state;
        assert_int_equal(a.error, 0);
        assert_int_equal(a.status, 200);
        secret_free(a.body);
        http_client_free(c);
        c = client_of(&strict, (struct http_client_config){0});
        a = get(c, "/v1/sys/health");
        assert_int_not_equal(a.error, 0);
        secret_free(a.body);
        http_client_free(c);
        fake_stop(&strict);
}

static void environment_names_no_proxy(void **state)
{
        struct http_client *c;
        struct answer a;

        (void)state;
        setenv("https_proxy", "http://127.0.0.1:1", 1);
        setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
        setenv("NO_PROXY", "*", 1);
        c = client_of(&vault, (struct http_client_config){0});
        a = get(c, "/v1/sys/health");
        assert_int_equal(a.error, 0);
        secret_free(a.body);
        http_client_free(c);

        c = client_of(&vault, (struct http_client_config){.proxy = "http://127.0.0.1:1"}); /* whatever NO_PROXY says */
        a = get(c, "/v1/sys/health");
        assert_int_equal(a.error, -ECONNREFUSED);
        secret_free(a.body);
        http_client_free(c);
        unsetenv("https_proxy");
        unsetenv("ALL_PROXY");
        unsetenv("NO_PROXY");
}

static void unreachable_server_is_named(void **state)
{
        struct http_client *c = client_of(&vault, (struct http_client_config){.address = "https://127.0.0.1:1"});
        struct answer a = get(c, "/v1/x");

        (void)state;
        assert_int_equal(a.error, -ECONNREFUSED);
        assert_non_null(strstr(a.text, "https://127.0.0.1:1: "));
        secret_free(a.body);
        http_client_free(c);
}

static void bad_configuration_is_explained(void **state)
{
        static const struct {
                struct http_client_config config;
                const char *text;
        } cases[] = {
                {{.address = "127.0.0.1:8200"}, "https://HOST:PORT"},
                {{.address = "ftp://127.0.0.1"}, "https://HOST:PORT"},
                {{.address = "https://"}, "https://HOST:PORT"},
                {{.address = "https://u:p@h:8200"}, "may hold neither"},
                {{.address = "https://h:8200/?x=1"}, "may hold neither"},
                {{.address = "https://h:8200", .server_name = "no host"}, "\"no host\" is no host name"},
                {{.address = "https://h:8200", .ca_cert = "/nowhere/ca.pem"}, "CA file /nowhere/ca.pem: No such file"},
                {{.address = "https://h:8200", .ca_cert = "/etc/passwd"}, "CA file /etc/passwd: holds no PEM"},
                {{.address = "https://h:8200", .ca_path = "/etc/passwd"}, "CA folder /etc/passwd: is not a folder"},
                {{.address = "https://h:8200", .client_cert = "/nowhere"}, "client certificate /nowhere: No such file"},
                {{.address = "https://h:8200", .client_key = "/nowhere"}, "client key /nowhere: No such file"},
        };

        (void)state;
        for (size_t i = 0; i < array_len(cases); i++) {
                char *error = NULL;

                assert_null(http_client_new(loop, &cases[i].config, &error));
                assert_non_null(error);
                if (!strstr(error, cases[i].text))
                        fail_msg("case %zu: %s", i, error);
                mem_free(error);
        }
}

struct scene {
        struct http_client *client;
        struct http_call *victim;
        unsigned replies;
};

static void on_unwanted(const struct http_client_reply *reply, void *arg)
{
        (void)reply;
        (void)arg;
        fail_msg("a call that was given up has called back");
}

static void on_free_all(const struct http_client_reply *reply, void *arg)
{
        struct scene *s = arg;

        assert_int_equal(reply->error, 0);
        s->replies++;
        s->client = http_client_free(s->client);
        assert_int_equal(reply->status, 200); /* what was lent is still there */
        assert_true(secret_len(reply->body) > 0);
        loop_stop(loop);
}

static void client_may_be_freed_in_on_reply(void **state)
{
        struct scene s = {.client = client_of(&vault, (struct http_client_config){0})};

        (void)state;
        script("slow", "[{\"half_open\":true,\"times\":3}]");
        for (int i = 0; i < 3; i++)
                http_client_send(s.client, &(struct http_client_request){.method = "GET", .path = "/v1/slow"},
                                 on_unwanted, NULL);
        http_client_send(s.client, &(struct http_client_request){.method = "GET", .path = "/v1/sys/health"},
                         on_free_all, &s);
        run_loop();
        assert_int_equal(s.replies, 1);
        assert_null(s.client);
        run_loop_for(50 * USEC_PER_MSEC);
}

static void on_timeout_free(const struct http_client_reply *reply, void *arg)
{
        struct scene *s = arg;

        assert_int_equal(reply->error, -ETIMEDOUT);
        s->client = http_client_free(s->client);
        loop_stop(loop);
}

static void client_may_be_freed_at_a_deadline(void **state)
{
        struct scene s = {.client = client_of(&vault, (struct http_client_config){0})};

        (void)state;
        script("slow", "[{\"half_open\":true}]");
        http_client_send(
                s.client,
                &(struct http_client_request){.method = "GET", .path = "/v1/slow", .timeout_usec = 100 * USEC_PER_MSEC},
                on_timeout_free, &s);
        run_loop();
        assert_null(s.client);
}

static void on_last(const struct http_client_reply *reply, void *arg)
{
        struct scene *s = arg;

        assert_int_equal(reply->status, 200);
        s->replies++;
        loop_stop(loop);
}

static void on_cancel_and_send(const struct http_client_reply *reply, void *arg)
{
        struct scene *s = arg;

        assert_int_equal(reply->status, 200);
        s->replies++;
        http_call_cancel(s->victim);
        http_client_send(s->client, &(struct http_client_request){.method = "GET", .path = "/v1/sys/health"}, on_last,
                         s);
}

static void calls_may_be_made_and_cancelled_in_on_reply(void **state)
{
        struct scene s = {.client = client_of(&vault, (struct http_client_config){0})};

        (void)state;
        script("slow", "[{\"half_open\":true}]");
        s.victim = http_client_send(s.client, &(struct http_client_request){.method = "GET", .path = "/v1/slow"},
                                    on_unwanted, NULL);
        http_client_send(s.client, &(struct http_client_request){.method = "GET", .path = "/v1/sys/health"},
                         on_cancel_and_send, &s);
        run_loop();
        assert_int_equal(s.replies, 2);
        http_client_free(s.client);
}

#define MASK 0x5a

/* How often the masked text lies in this process's writable memory, unmasked. */
static size_t copies_in_memory(const unsigned char *masked, size_t len)
{
        FILE *maps = fopen("/proc/self/maps", "r"), *mem = fopen("/proc/self/mem", "r");
        char line[512];
        size_t found = 0;

        assert_non_null(maps);
        assert_non_null(mem);
        while (fgets(line, sizeof(line), maps)) {
                static unsigned char page[65536];
                unsigned long from, to;
                char rights[5];

                if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) != 3 || rights[0] != 'r' || rights[1] != 'w')
                        continue;
                if (to - from > (1UL << 30))
                        continue; /* a sanitizer's shadow */
                for (unsigned long at = from; at < to; at += sizeof(page) - 256) {
                        size_t got;

                        if ((unsigned long)page >= at && (unsigned long)page < at + sizeof(page))
                                continue;
                        got = to - at < sizeof(page) ? to - at : sizeof(page);
                        fseek(mem, (long)at, SEEK_SET);
                        got = fread(page, 1, got, mem);
                        for (size_t i = 0; i + len <= got; i++) {
                                size_t k = 0;

                                while (k < len && (page[i + k] ^ MASK) == masked[k])
                                        k++;
                                found += k == len;
                        }
                }
        }
        fclose(maps);
        fclose(mem);
        return found;
}

static void on_remember_masked(const struct http_client_reply *reply, void *arg)
{
        unsigned char *masked = arg;
        const char *at;

        assert_int_equal(reply->status, 200);
        at = strstr(secret_bytes(reply->body), "\"client_token\": \"");
        assert_non_null(at);
        for (size_t i = 0; i < 30; i++)
                masked[i] = (unsigned char)at[17 + i] ^ MASK;
        loop_stop(loop);
}

static void no_secret_stays_in_memory(void **state)
{
        struct http_client *c = client_of(&vault, (struct http_client_config){0});
        const char login[] = "{\"role_id\":\"role\",\"secret_id\":\"secret\"}";
        struct secret *body = secret_new_from(login, sizeof(login) - 1);
        unsigned char masked[30] = {0};

        (void)state;
        http_client_send(
                c, &(struct http_client_request){.method = "POST", .path = "/v1/auth/approle/login", .body = body},
                on_remember_masked, masked);
        run_loop();
        secret_free(body);
        http_client_free(c);
        assert_int_equal(copies_in_memory(masked, sizeof(masked)), 0);
}

static int group_setup(void **state)
{
        (void)state;
        loop = loop_new();
        vault = fake_start(NULL);
        return 0;
}

static int group_teardown(void **state)
{
        (void)state;
        fake_stop(&vault);
        loop_free(loop);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(answer_comes_whole, before_each),
                cmocka_unit_test_setup(request_is_sent_as_given, before_each),
                cmocka_unit_test_setup(what_cannot_be_sent_is_told_later, before_each),
                cmocka_unit_test_setup(connection_is_reused, before_each),
                cmocka_unit_test_setup(calls_beyond_conns_max_wait_their_turn, before_each),
                cmocka_unit_test_setup(half_open_calls_end_at_their_deadline, before_each),
                cmocka_unit_test_setup(silent_server_does_not_hold_the_loop, before_each),
                cmocka_unit_test_setup(broken_answers_are_errors, before_each),
                cmocka_unit_test_setup(longest_answer_is_taken, before_each),
                cmocka_unit_test_setup(redirect_is_not_followed, before_each),
                cmocka_unit_test_setup(retry_after_is_read_in_both_forms, before_each),
                cmocka_unit_test_setup(wrong_server_is_refused, before_each),
                cmocka_unit_test_setup(server_name_leaves_the_host_field, before_each),
                cmocka_unit_test_setup(client_certificate_is_shown, before_each),
                cmocka_unit_test_setup(environment_names_no_proxy, before_each),
                cmocka_unit_test_setup(unreachable_server_is_named, before_each),
                cmocka_unit_test_setup(bad_configuration_is_explained, before_each),
                cmocka_unit_test_setup(client_may_be_freed_in_on_reply, before_each),
                cmocka_unit_test_setup(client_may_be_freed_at_a_deadline, before_each),
                cmocka_unit_test_setup(calls_may_be_made_and_cancelled_in_on_reply, before_each),
                cmocka_unit_test_setup(no_secret_stays_in_memory, before_each),
        };

        if (http_client_setup() != 0)
                return 1;
        json_setup();
        if (access(PYTHON, X_OK) < 0 || access(FAKE_VAULT, R_OK) < 0) {
                fputs("needs " PYTHON " and " FAKE_VAULT "\n", stderr);
                return 1;
        }
        return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

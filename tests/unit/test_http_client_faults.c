/* tests/unit/test_http_client_faults.c: the HTTP client against servers that hang, break off, lie about who they are. */
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/http_client.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"
#include "tests/unit/support_fake_vault.h"

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

static void half_open_calls_end_at_their_deadline(void **state)
{
        struct http_client *c = fake_client(&fake_vault, (struct http_client_config){.conns_max = 2});
        struct fake_answer a = {.left = 7}; /* five of them never get a connection */
        uint64_t start_usec = clock_monotonic_usec();

        (void)state;
        fake_script("silent", "[{\"half_open\":true,\"forever\":true}]");
        for (int i = 0; i < 7; i++)
                http_client_send(c,
                                 &(struct http_client_request){
                                         .method = "GET", .path = "/v1/silent", .timeout_usec = 400 * USEC_PER_MSEC},
                                 fake_on_answer, &a);
        fake_run_loop();
        assert_int_equal(a.error, -ETIMEDOUT);
        assert_int_equal(a.status, 0);
        assert_non_null(strstr(a.text, "no answer within 0.4 s"));
        assert_in_range(clock_monotonic_usec() - start_usec, 400 * USEC_PER_MSEC, 5 * USEC_PER_SEC);
        secret_free(a.body);

        a = fake_get(c, "/v1/sys/health"); /* and the client is as good as new */
        assert_int_equal(a.status, 200);
        secret_free(a.body);
        http_client_free(c);
}

static void silent_server_does_not_hold_the_loop(void **state)
{
        struct http_client *c =
                fake_client(&fake_vault, (struct http_client_config){.address = "https://hanging.invalid:8200"});
        uint64_t start_usec = clock_monotonic_usec();
        struct fake_answer a = fake_call(
                c,
                &(struct http_client_request){.method = "GET", .path = "/v1/x", .timeout_usec = 200 * USEC_PER_MSEC});

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
                struct http_client *c = fake_client(&fake_vault, (struct http_client_config){0});
                /* Twenty times: a call on a kept connection that dies without a byte is repeated by curl itself. */
                char *list = mem_printf("[{\"times\":20,%s]", cases[i].reply + 1);
                struct fake_answer a;

                fake_script("broken", list);
                mem_free(list);
                a = fake_get(c, "/v1/broken");
                if (a.error != cases[i].error)
                        fail_msg("%s: %d (%s), not %d", cases[i].reply, a.error, a.text, cases[i].error);
                assert_int_equal(a.status, 0);
                assert_int_equal(secret_len(a.body), 0);
                assert_non_null(strstr(a.text, json_str(fake_vault.told, "address")));
                secret_free(a.body);

                a = fake_get(c, "/v1/sys/health");
                assert_int_equal(a.status, 200);
                secret_free(a.body);
                http_client_free(c);
        }
}

static void what_is_to_be_sent_once_is_not_repeated(void **state)
{
        struct http_client *c = fake_client(&fake_vault, (struct http_client_config){0});

        for (int once = 0; once < 2; once++) {
                struct http_client_request request = {.method = "GET", .path = "/v1/broken", .once = once};
                struct fake_answer a = fake_get(c, "/v1/sys/health"); /* leaves a connection behind */
                json_t *asked;

                assert_int_equal(a.status, 200);
                secret_free(a.body);
                fake_before_each(state);
                fake_script("broken", "[{\"times\":20,\"raw\":\"\"}]");
                a = fake_call(c, &request);
                assert_int_equal(a.error, -ECONNRESET);
                secret_free(a.body);
                asked = fake_requests("broken");
                assert_int_equal(json_array_size(asked), once ? 1 : 2);
                json_decref(asked);
        }
        http_client_free(c);
}

static void longest_answer_is_taken(void **state)
{
        struct http_client *c = fake_client(&fake_vault, (struct http_client_config){0});
        struct fake_answer a;

        (void)state;
        fake_script("long", "[{\"huge\":1048576},{\"huge\":1048576,\"chunked\":true}]");
        for (int i = 0; i < 2; i++) {
                a = fake_get(c, "/v1/long");
                assert_int_equal(a.error, 0);
                assert_int_equal(secret_len(a.body), HTTP_CLIENT_BODY_MAX);
                secret_free(a.body);
        }
        http_client_free(c);
}

static void refuse_tls(const struct fake *f, struct http_client_config config, const char *why)
{
        struct http_client *c = fake_client(f, config);
        struct secret *token = secret_new_from("hvs.x", 5);
        struct fake_answer a = fake_call(c, &(struct http_client_request){.method = "GET",
                                                                          .path = "/v1/untrusted",
                                                                          .secret_header = "X-Vault-Token",
                                                                          .secret_value = token});
        json_t *list = fake_requests("untrusted");

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
        struct fake_answer a;

        (void)state;
        refuse_tls(&fake_vault, (struct http_client_config){.ca_cert = json_str(other.told, "ca_cert")}, "another CA");
        refuse_tls(&fake_vault,
                   (struct http_client_config){.ca_path = "/etc/ssl/certs", .ca_cert = json_str(other.told, "ca_cert")},
                   "the system's CAs");
        refuse_tls(&fake_vault, (struct http_client_config){.server_name = "vault.example"}, "another name");
        json_decref(fake_control("POST", "/call", "{\"set\":\"on_connect\",\"value\":\"plain\"}"));
        refuse_tls(&fake_vault, (struct http_client_config){0}, "plain HTTP on the TLS port");
        json_decref(fake_control("POST", "/call", "{\"set\":\"on_connect\",\"value\":null}"));
        fake_stop(&other);

        old = fake_start("--tls1");
        refuse_tls(&old, (struct http_client_config){0}, "TLS 1.1");
        fake_stop(&old);

        c = fake_client(&fake_vault, (struct http_client_config){.server_name = "localhost"});
        a = fake_get(c, "/v1/named");
        assert_int_equal(a.error, 0);
        secret_free(a.body);
        http_client_free(c);
        c = fake_client(&fake_vault, (struct http_client_config){.server_name = "vault.example", .skip_verify = true});
        a = fake_get(c, "/v1/named");
        assert_int_equal(a.error, 0);
        secret_free(a.body);
        http_client_free(c);
}

static void copy_file(const char *from, const char *to)
{
        char *bytes;
        size_t len;
        FILE *f;

        assert_int_equal(fs_read_whole(from, 1 << 20, &bytes, &len), 0);
        f = fopen(to, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, len, f), len);
        fclose(f);
        mem_free(bytes);
}

static void changed_ca_counts_for_the_next_connection(void **state)
{
        struct fake other = fake_start("--plain");
        char path[] = "/tmp/test-http-client-XXXXXX";
        int fd = mkstemp(path);
        struct http_client *c;
        struct fake_answer a;

        (void)state;
        assert_true(fd >= 0);
        close(fd);
        copy_file(json_str(other.told, "ca_cert"), path);
        c = fake_client(&fake_vault, (struct http_client_config){.ca_cert = path});
        a = fake_get(c, "/v1/sys/health");
        assert_int_equal(a.error, -EPROTO);
        secret_free(a.body);
        copy_file(json_str(fake_vault.told, "ca_cert"), path);
        a = fake_get(c, "/v1/sys/health");
        assert_int_equal(a.error, 0);
        secret_free(a.body);
        http_client_free(c);
        unlink(path);
        fake_stop(&other);
}

static void environment_names_no_proxy(void **state)
{
        struct http_client *c;
        struct fake_answer a;

        (void)state;
        setenv("https_proxy", "http://127.0.0.1:1", 1);
        setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
        setenv("NO_PROXY", "*", 1);
        c = fake_client(&fake_vault, (struct http_client_config){0});
        a = fake_get(c, "/v1/sys/health");
        assert_int_equal(a.error, 0);
        secret_free(a.body);
        http_client_free(c);

        c = fake_client(&fake_vault,
                        (struct http_client_config){.proxy = "http://127.0.0.1:1"}); /* whatever NO_PROXY says */
        a = fake_get(c, "/v1/sys/health");
        assert_int_equal(a.error, -ECONNREFUSED);
        secret_free(a.body);
        http_client_free(c);
        unsetenv("https_proxy");
        unsetenv("ALL_PROXY");
        unsetenv("NO_PROXY");
}

static void unreachable_server_is_named(void **state)
{
        struct http_client *c = fake_client(&fake_vault, (struct http_client_config){.address = "https://127.0.0.1:1"});
        struct fake_answer a = fake_get(c, "/v1/x");

        (void)state;
        assert_int_equal(a.error, -ECONNREFUSED);
        assert_non_null(strstr(a.text, "https://127.0.0.1:1: "));
        secret_free(a.body);
        http_client_free(c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(half_open_calls_end_at_their_deadline, fake_before_each),
                cmocka_unit_test_setup(silent_server_does_not_hold_the_loop, fake_before_each),
                cmocka_unit_test_setup(broken_answers_are_errors, fake_before_each),
                cmocka_unit_test_setup(what_is_to_be_sent_once_is_not_repeated, fake_before_each),
                cmocka_unit_test_setup(longest_answer_is_taken, fake_before_each),
                cmocka_unit_test_setup(wrong_server_is_refused, fake_before_each),
                cmocka_unit_test_setup(changed_ca_counts_for_the_next_connection, fake_before_each),
                cmocka_unit_test_setup(environment_names_no_proxy, fake_before_each),
                cmocka_unit_test_setup(unreachable_server_is_named, fake_before_each),
        };

        if (http_client_setup() != 0)
                return 1;
        json_setup();
        return cmocka_run_group_tests(tests, fake_group_setup, fake_group_teardown);
}

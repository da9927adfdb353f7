/* tests/unit/test_http_client.c: what the HTTP client sends and gives back, and when it may be freed. */
#include <errno.h>
#include <fcntl.h>
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
#include "common/http_client.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"
#include "tests/unit/support_fake_vault.h"

static void answer_comes_whole(void **state)
{
        struct http_client *c = fake_client(&fake_vault, (struct http_client_config){0});
        struct fake_answer a = fake_get(c, "/v1/sys/health");

        (void)state;
        assert_int_equal(a.error, 0);
        assert_string_equal(a.text, "");
        assert_int_equal(a.status, 200);
        assert_non_null(strstr(secret_bytes(a.body), "\"initialized\": true"));
        assert_in_range(a.date_usec, clock_realtime_usec() - 60 * USEC_PER_SEC,
                        clock_realtime_usec() + 60 * USEC_PER_SEC);
        assert_int_equal(a.retry_after_usec, 0);
        secret_free(a.body);

        fake_script("other", "[{\"status\":404,\"body\":\"nothing\"}]");
        a = fake_get(c, "/v1/other"); /* a status is data, not an error */
        assert_int_equal(a.error, 0);
        assert_int_equal(a.status, 404);
        assert_string_equal(secret_bytes(a.body), "nothing");
        secret_free(a.body);
        http_client_free(c);
}

static void request_is_sent_as_given(void **state)
{
        struct http_client *c = fake_client(&fake_vault, (struct http_client_config){0});
        struct secret *token = secret_new_from("hvs.x", 5), *body = secret_new_from("{\"a\":1}", 7);
        const char *const headers[] = {"X-Vault-Request: true", "X-Vault-Namespace: team/a", NULL};
        struct fake_answer a = fake_call(c, &(struct http_client_request){.method = "POST",
                                                                          .path = "/v1/sent/a%20b/../c",
                                                                          .headers = headers,
                                                                          .secret_header = "X-Vault-Token",
                                                                          .secret_value = token,
                                                                          .body = body});
        struct fake_answer empty =
                fake_call(c, &(struct http_client_request){.method = "POST", .path = "/v1/sent/empty"});
        json_t *list = fake_requests("sent/*"), *first = json_array_get(list, 0),
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
        struct http_client *c = fake_client(&fake_vault, (struct http_client_config){0});
        struct secret *token = secret_new_from("hvs.x\r\nX-Other: y", 17);
        struct http_client_request bad = {
                .method = "GET", .path = "/v1/never", .secret_header = "X-Vault-Token", .secret_value = token};
        struct fake_answer a = fake_call(c, &bad);
        json_t *list;

        (void)state;
        assert_int_equal(a.error, -EINVAL);
        assert_null(strstr(a.text, "hvs"));
        secret_free(a.body);
        a = fake_get(c, "/v1/never even");
        assert_int_equal(a.error, -EINVAL);
        secret_free(a.body);
        list = fake_requests("never*");
        assert_int_equal(json_array_size(list), 0);
        json_decref(list);
        secret_free(token);
        http_client_free(c);
}

static void connection_is_reused(void **state)
{
        struct http_client *c = fake_client(&fake_vault, (struct http_client_config){0});

        (void)state;
        for (int i = 0; i < 5; i++) {
                struct fake_answer a = fake_get(c, "/v1/reused");

                assert_int_equal(a.error, 0);
                secret_free(a.body);
        }
        assert_int_equal(fake_connections("reused"), 1);
        http_client_free(c);
}

static void calls_beyond_conns_max_wait_their_turn(void **state)
{
        struct http_client *c = fake_client(&fake_vault, (struct http_client_config){.conns_max = 4});
        struct fake_answer a = {.left = 60};

        (void)state;
        fake_script("many", "[{\"delay\":0.02,\"status\":200,\"body\":{},\"forever\":true}]");
        for (int i = 0; i < 60; i++)
                http_client_send(c, &(struct http_client_request){.method = "GET", .path = "/v1/many"}, fake_on_answer,
                                 &a);
        fake_run_loop();
        assert_int_equal(a.left, 0);
        assert_int_equal(a.error, 0);
        assert_in_range(fake_connections("many"), 1, 4);
        secret_free(a.body);
        http_client_free(c);
}

static void redirect_is_not_followed(void **state)
{
        struct http_client *c = fake_client(&fake_vault, (struct http_client_config){0});
        struct fake_answer a;
        json_t *list;

        (void)state;
        fake_script("moved", "[{\"status\":307,\"headers\":{\"Location\":\"https://elsewhere:8200/v1/moved\"}}]");
        a = fake_get(c, "/v1/moved");
        assert_int_equal(a.error, 0);
        assert_int_equal(a.status, 307);
        assert_string_equal(a.location, "https://elsewhere:8200/v1/moved");
        list = fake_requests("moved");
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
        struct http_client *c = fake_client(&fake_vault, (struct http_client_config){0});

        (void)state;
        for (size_t i = 0; i < array_len(cases); i++) {
                char *reply = mem_printf("[{\"status\":429,\"headers\":%s}]", cases[i].headers);
                struct fake_answer a;

                fake_script("limited", reply);
                a = fake_get(c, "/v1/limited");
                assert_int_equal(a.status, 429);
                if (a.retry_after_usec != cases[i].sec * USEC_PER_SEC)
                        fail_msg("%s: %llu", cases[i].headers, (unsigned long long)a.retry_after_usec);
                secret_free(a.body);
                mem_free(reply);
        }
        http_client_free(c);
}

static void server_name_leaves_the_host_field(void **state)
{
        struct http_client *c = fake_client(&fake_vault, (struct http_client_config){.server_name = "localhost"});
        struct fake_answer a = fake_get(c, "/v1/named");
        json_t *list = fake_requests("named");

        (void)state;
        assert_int_equal(a.error, 0);
        assert_string_equal(json_str(json_object_get(json_array_get(list, 0), "headers"), "host"),
                            strstr(json_str(fake_vault.told, "address"), "//") + 2);
        json_decref(list);
        secret_free(a.body);
        http_client_free(c);
}

static void client_certificate_is_shown(void **state)
{
        struct fake strict = fake_start("--want-client-cert");
        struct http_client *c =
                fake_client(&strict, (struct http_client_config){.client_cert = json_str(strict.told, "client_cert"),
                                                                 .client_key = json_str(strict.told, "client_key")});
        struct fake_answer a = fake_get(c, "/v1/sys/health");

        (void)state;
        assert_int_equal(a.error, 0);
        assert_int_equal(a.status, 200);
        secret_free(a.body);
        http_client_free(c);
        c = fake_client(&strict, (struct http_client_config){0});
        a = fake_get(c, "/v1/sys/health");
        assert_int_not_equal(a.error, 0);
        secret_free(a.body);
        http_client_free(c);
        fake_stop(&strict);
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

                assert_null(http_client_new(fake_loop, &cases[i].config, &error));
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
        loop_stop(fake_loop);
}

static void client_may_be_freed_in_on_reply(void **state)
{
        struct scene s = {.client = fake_client(&fake_vault, (struct http_client_config){0})};

        (void)state;
        fake_script("slow", "[{\"half_open\":true,\"times\":3}]");
        for (int i = 0; i < 3; i++)
                http_client_send(s.client, &(struct http_client_request){.method = "GET", .path = "/v1/slow"},
                                 on_unwanted, NULL);
        http_client_send(s.client, &(struct http_client_request){.method = "GET", .path = "/v1/sys/health"},
                         on_free_all, &s);
        fake_run_loop();
        assert_int_equal(s.replies, 1);
        assert_null(s.client);
        fake_run_loop_for(50 * USEC_PER_MSEC);
}

static void on_timeout_free(const struct http_client_reply *reply, void *arg)
{
        struct scene *s = arg;

        assert_int_equal(reply->error, -ETIMEDOUT);
        s->client = http_client_free(s->client);
        loop_stop(fake_loop);
}

static void client_may_be_freed_at_a_deadline(void **state)
{
        struct scene s = {.client = fake_client(&fake_vault, (struct http_client_config){0})};

        (void)state;
        fake_script("slow", "[{\"half_open\":true}]");
        http_client_send(
                s.client,
                &(struct http_client_request){.method = "GET", .path = "/v1/slow", .timeout_usec = 100 * USEC_PER_MSEC},
                on_timeout_free, &s);
        fake_run_loop();
        assert_null(s.client);
}

static void on_timeout_stop(const struct http_client_reply *reply, void *arg)
{
        struct scene *s = arg;

        assert_int_equal(reply->error, -ETIMEDOUT);
        assert_non_null(strstr(reply->error_text, "within 0.1 s"));
        s->replies++;
        loop_stop(fake_loop);
}

static void a_request_waits_no_longer_than_the_client_may(void **state)
{
        struct scene s = {
                .client = fake_client(&fake_vault, (struct http_client_config){.timeout_usec = 100 * USEC_PER_MSEC})};

        (void)state;
        fake_script("slow", "[{\"half_open\":true}]");
        http_client_send(
                s.client,
                &(struct http_client_request){.method = "GET", .path = "/v1/slow", .timeout_usec = 60 * USEC_PER_SEC},
                on_timeout_stop, &s);
        fake_run_loop();
        assert_int_equal(s.replies, 1);
        s.client = http_client_free(s.client);
}

static void on_last(const struct http_client_reply *reply, void *arg)
{
        struct scene *s = arg;

        assert_int_equal(reply->status, 200);
        s->replies++;
        loop_stop(fake_loop);
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
        struct scene s = {.client = fake_client(&fake_vault, (struct http_client_config){0})};

        (void)state;
        fake_script("slow", "[{\"half_open\":true}]");
        s.victim = http_client_send(s.client, &(struct http_client_request){.method = "GET", .path = "/v1/slow"},
                                    on_unwanted, NULL);
        http_client_send(s.client, &(struct http_client_request){.method = "GET", .path = "/v1/sys/health"},
                         on_cancel_and_send, &s);
        fake_run_loop();
        assert_int_equal(s.replies, 2);
        http_client_free(s.client);
}

#define MASK 0x5a

static size_t copies_in(int mem, unsigned long from, unsigned long to, const unsigned char *masked, size_t len)
{
        static unsigned char page[65536];
        size_t found = 0;

        /* Parts overlap by less than the text, so that none is counted twice; what lies in our own part is no copy. */
        for (unsigned long at = from; at + len <= to; at += sizeof(page) - (len - 1)) {
                ssize_t got = pread(mem, page, to - at < sizeof(page) ? to - at : sizeof(page), (off_t)at);

                for (size_t i = 0; got > 0 && i + len <= (size_t)got; i++) {
                        bool ours = at + i + len > (unsigned long)page && at + i < (unsigned long)(page + sizeof(page));
                        size_t k = 0;

                        while (k < len && (page[i + k] ^ MASK) == masked[k])
                                k++;
                        found += k == len && !ours;
                }
        }
        explicit_bzero(page, sizeof(page));
        return found;
}

/* How often the masked text lies in this process's writable memory, unmasked. */
static size_t copies_in_memory(const unsigned char *masked, size_t len)
{
        FILE *maps = fopen("/proc/self/maps", "r");
        int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
        char line[512];
        size_t found = 0;

        assert_non_null(maps);
        assert_true(mem >= 0);
        while (fgets(line, sizeof(line), maps)) {
                unsigned long from, to;
                char rights[5];

                if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) != 3 || rights[0] != 'r' || rights[1] != 'w')
                        continue;
                if (to - from <= (1UL << 30)) /* else a sanitizer's shadow */
                        found += copies_in(mem, from, to, masked, len);
        }
        fclose(maps);
        close(mem);
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
        loop_stop(fake_loop);
}

static void no_secret_stays_in_memory(void **state)
{
        struct http_client *c = fake_client(&fake_vault, (struct http_client_config){0});
        const char login[] = "{\"role_id\":\"role\",\"secret_id\":\"secret\"}";
        struct secret *body = secret_new_from(login, sizeof(login) - 1);
        unsigned char masked[30] = {0};

        (void)state;
        http_client_send(
                c, &(struct http_client_request){.method = "POST", .path = "/v1/auth/approle/login", .body = body},
                on_remember_masked, masked);
        fake_run_loop();
        secret_free(body);
        http_client_free(c);
        assert_int_equal(copies_in_memory(masked, sizeof(masked)), 0);
}

/* curl copies the field twice before it is sent. The long name is a head: free(3) itself writes over the first bytes of a block. */
static void no_token_of_a_request_stays_in_memory(void **state)
{
        struct http_client *c = fake_client(&fake_vault, (struct http_client_config){0});
        struct secret *token = secret_new(30);
        struct fake_answer a;
        unsigned char masked[30];

        (void)state;
        for (size_t i = 0; i < sizeof(masked); i++) {
                char one = (char)('A' + (i * i * 7 + (size_t)getpid()) % 26);

                masked[i] = (unsigned char)one ^ MASK;
                assert_int_equal(secret_append(token, &one, 1), 0);
        }
        assert_int_equal(copies_in_memory(masked, sizeof(masked)), 1);
        a = fake_call(c, &(struct http_client_request){.method = "GET",
                                                       .path = "/v1/sys/health",
                                                       .secret_header = "X-Vault-Token-Behind-A-Head-That-Is-Long",
                                                       .secret_value = token});
        assert_int_equal(a.status, 200);
        secret_free(a.body);
        secret_free(token);
        http_client_free(c);
        assert_int_equal(copies_in_memory(masked, sizeof(masked)), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(answer_comes_whole, fake_before_each),
                cmocka_unit_test_setup(request_is_sent_as_given, fake_before_each),
                cmocka_unit_test_setup(what_cannot_be_sent_is_told_later, fake_before_each),
                cmocka_unit_test_setup(connection_is_reused, fake_before_each),
                cmocka_unit_test_setup(calls_beyond_conns_max_wait_their_turn, fake_before_each),
                cmocka_unit_test_setup(redirect_is_not_followed, fake_before_each),
                cmocka_unit_test_setup(retry_after_is_read_in_both_forms, fake_before_each),
                cmocka_unit_test_setup(server_name_leaves_the_host_field, fake_before_each),
                cmocka_unit_test_setup(client_certificate_is_shown, fake_before_each),
                cmocka_unit_test_setup(bad_configuration_is_explained, fake_before_each),
                cmocka_unit_test_setup(client_may_be_freed_in_on_reply, fake_before_each),
                cmocka_unit_test_setup(client_may_be_freed_at_a_deadline, fake_before_each),
                cmocka_unit_test_setup(a_request_waits_no_longer_than_the_client_may, fake_before_each),
                cmocka_unit_test_setup(calls_may_be_made_and_cancelled_in_on_reply, fake_before_each),
                cmocka_unit_test_setup(no_secret_stays_in_memory, fake_before_each),
                cmocka_unit_test_setup(no_token_of_a_request_stays_in_memory, fake_before_each),
        };

        if (http_client_setup() != 0)
                return 1;
        json_setup();
        return cmocka_run_group_tests(tests, fake_group_setup, fake_group_teardown);
}

/* tests/unit/test_output_vault.c: an unmodified Vault client reads through the socket, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"
#include "tests/unit/support_socket.h"

static json_t *get_json(struct world *w, const char *target, int status)
{
        cleanup_free char *answer = client_get(w, target);

        if (answer_status(answer) != status)
                fail_msg("%s: expected %d: %s", target, status, answer);
        return answer_json(answer);
}

static void assert_403(struct world *w, const char *method, const char *path)
{
        cleanup_free char *target = mem_printf("/v1/%s", path);
        cleanup_free char *answer = client_ask(w, client_connect(w), method, target, "", "");
        cleanup_free char *expected = mem_printf("{\"errors\":[\"%s: permission denied\"]}", path);

        if (answer_status(answer) != 403)
                fail_msg("%s %s: expected 403: %s", method, path, answer);
        assert_string_equal(answer_body(answer), expected);
}

static void add_kv2(struct world *w)
{
        struct store_version v = {.end_boot_usec = USEC_NEVER, .end_wall_usec = USEC_NEVER};
        const char *envelope = "{\"data\":{\"host\":\"db1\"},\"metadata\":{\"version\":4}}";

        world_add(w, "dbinfo", "kv/data/notes/dbinfo", getuid());
        store_set_kind(store_find(w->store, "dbinfo"), KIND_STATIC);
        v.data = secret_new_from("{\"host\":\"db1\"}", 14);
        v.envelope = secret_new_from(envelope, strlen(envelope));
        store_publish(w->store, store_find(w->store, "dbinfo"), &v);
}

static void a_lease_reads_as_from_vault(void **state)
{
        struct world *w = *state;
        struct store_secret *s = world_add(w, "db", "database/creds/notes", getuid());
        cleanup_json json_t *body = NULL;

        world_publish(w, "db", "{\"password\":\"p-1\",\"username\":\"v-1\"}", 3600);
        body = get_json(w, "/v1/database/creds/notes", 200);
        assert_int_equal(strlen(json_str(body, "request_id")), 36);
        assert_string_equal(json_str(body, "lease_id"), "database/creds/notes/abc");
        assert_in_range(json_integer_value(json_object_get(body, "lease_duration")), 3590, 3600);
        assert_true(json_is_false(json_object_get(body, "renewable")));
        assert_string_equal(json_str(json_object_get(body, "data"), "username"), "v-1");
        assert_true(json_is_null(json_object_get(body, "auth")));
        assert_true(json_is_null(json_object_get(body, "warnings")));
        /* nobody said who reads: the version keeps its whole grace */
        world_publish(w, "db", "{}", 3600);
        assert_false(store_all_moved_on(s, 7));
}

static void kv_version_2_keeps_its_inner_data(void **state)
{
        struct world *w = *state;
        cleanup_json json_t *answer = NULL, *body = NULL;
        const json_t *mount;

        add_kv2(w);
        /* what `vault kv get kv/notes/dbinfo` asks, in that order */
        answer = get_json(w, "/v1/sys/internal/ui/mounts/kv/notes/dbinfo", 200);
        mount = json_object_get(answer, "data");
        assert_string_equal(json_str(mount, "path"), "kv/");
        assert_string_equal(json_str(mount, "type"), "kv");
        assert_string_equal(json_str(json_object_get(mount, "options"), "version"), "2");
        body = get_json(w, "/v1/kv/data/notes/dbinfo", 200);
        assert_int_equal(json_integer_value(json_object_get(body, "lease_duration")), 0);
        assert_string_equal(json_str(json_object_get(json_object_get(body, "data"), "data"), "host"), "db1");
        assert_int_equal(json_integer_value(json_object_get(json_object_get(json_object_get(body, "data"), "metadata"),
                                                            "version")),
                         4);
        assert_403(w, "GET", "kv/metadata/notes/dbinfo");
}

static void an_older_kv_version_is_not_faked(void **state)
{
        struct world *w = *state;
        cleanup_free char *old = NULL, *any = NULL;

        add_kv2(w);
        old = client_get(w, "/v1/kv/data/notes/dbinfo?version=1");
        assert_int_equal(answer_status(old), 403);
        any = client_get(w, "/v1/kv/data/notes/dbinfo?version=0");
        assert_int_equal(answer_status(any), 200);
}

static void a_list_is_not_answered_with_the_secret(void **state)
{
        struct world *w = *state;
        cleanup_free char *list = NULL;

        add_kv2(w);
        list = client_get(w, "/v1/kv/data/notes/dbinfo?list=true");
        assert_int_equal(answer_status(list), 403);
}

static void mounts_of_other_engines(void **state)
{
        struct world *w = *state;
        cleanup_json json_t *kv1 = NULL, *database = NULL;

        world_add(w, "plain", "secret/notes/plain", getuid());
        world_add(w, "db", "db/mysql/creds/notes", getuid());
        kv1 = get_json(w, "/v1/sys/internal/ui/mounts/secret/notes/plain", 200);
        assert_string_equal(json_str(json_object_get(kv1, "data"), "path"), "secret/");
        assert_string_equal(json_str(json_object_get(json_object_get(kv1, "data"), "options"), "version"), "1");
        database = get_json(w, "/v1/sys/internal/ui/mounts/db/mysql", 200);
        assert_string_equal(json_str(json_object_get(database, "data"), "path"), "db/mysql/");
        assert_string_equal(json_str(json_object_get(database, "data"), "type"), "database");
}

static void the_token_is_not_shown(void **state)
{
        struct world *w = *state;
        cleanup_json json_t *body = get_json(w, "/v1/auth/token/lookup-self", 200);
        const json_t *data = json_object_get(body, "data");

        assert_true(json_is_object(data));
        assert_null(json_object_get(data, "id"));
        assert_null(json_object_get(data, "accessor"));
}

static void health_for_clients_that_ask_first(void **state)
{
        struct world *w = *state;
        cleanup_json json_t *body = get_json(w, "/v1/sys/health", 200);
        cleanup_free char *head = client_ask(w, client_connect(w), "HEAD", "/v1/sys/health", "", "");
        uint64_t now = 0;

        assert_true(json_flag(body, "initialized"));
        assert_true(json_is_false(json_object_get(body, "sealed")));
        assert_true(json_u64(body, "server_time_utc", &now));
        assert_in_range(now, clock_realtime_usec() / USEC_PER_SEC - 5, clock_realtime_usec() / USEC_PER_SEC);
        assert_int_equal(answer_status(head), 200);
}

static void anything_else_is_403(void **state)
{
        struct world *w = *state;

        world_add(w, "db", "database/creds/notes", getuid());
        world_add(w, "theirs", "database/creds/other", NOBODY);
        world_add(w, "tls", "pki/sign/notes", getuid());
        w->secrets[2].is_certificate = true;
        world_add(w, "far", "far/creds/notes", NOBODY); /* not even that its engine is there */
        world_publish(w, "db", "{}", 60);
        world_publish(w, "theirs", "{}", 60);
        world_publish(w, "tls", "{}", 60);
        assert_403(w, "GET", "database/creds/other");
        assert_403(w, "GET", "database/creds/none");
        assert_403(w, "GET", "pki/sign/notes");
        assert_403(w, "GET", "database/creds/notes/");
        assert_403(w, "GET", "database/creds");
        assert_403(w, "LIST", "database/creds/notes");
        assert_403(w, "POST", "database/creds/notes");
        assert_403(w, "PUT", "auth/token/revoke-self");
        assert_403(w, "POST", "auth/token/revoke-self");
        assert_403(w, "GET", "sys/mounts");
        assert_403(w, "GET", "sys/internal/ui/mounts/pki/sign/notes");
        assert_403(w, "GET", "sys/internal/ui/mounts/none");
        assert_403(w, "GET", "sys/internal/ui/mounts/far");
        assert_403(w, "GET", "sys/internal/ui/mounts/data");
        assert_int_equal(w->given, 0);
}

static void the_secret_of_a_path_that_this_peer_may_read(void **state)
{
        struct world *w = *state;
        cleanup_json json_t *body = NULL;

        world_add(w, "a", "database/creds/notes", NOBODY);
        world_add(w, "b", "database/creds/notes", getuid());
        world_publish(w, "a", "{\"username\":\"of-a\"}", 60);
        world_publish(w, "b", "{\"username\":\"of-b\"}", 60);
        body = get_json(w, "/v1/database/creds/notes", 200);
        assert_string_equal(json_str(json_object_get(body, "data"), "username"), "of-b");
}

static void nothing_valid_is_503(void **state)
{
        struct world *w = *state;
        cleanup_json json_t *body = NULL;

        world_add(w, "db", "database/creds/notes", getuid());
        body = get_json(w, "/v1/database/creds/notes", 503);
        assert_int_equal(json_array_size(json_object_get(body, "errors")), 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(a_lease_reads_as_from_vault),
                T(kv_version_2_keeps_its_inner_data),
                T(an_older_kv_version_is_not_faked),
                T(a_list_is_not_answered_with_the_secret),
                T(mounts_of_other_engines),
                T(the_token_is_not_shown),
                T(health_for_clients_that_ask_first),
                T(anything_else_is_403),
                T(the_secret_of_a_path_that_this_peer_may_read),
                T(nothing_valid_is_503),
        };

        return cmocka_run_group_tests_name("output_vault", tests, NULL, NULL);
}

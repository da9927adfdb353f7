/* tests/unit/test_http_health.c: what probes, scrapers and tools are told. */
#include "tests/unit/http_stand.h"

#include "app/exchange.c"    /* NOLINT: the stand-ins of http_stand.h go into it */
#include "app/http_health.c" /* NOLINT */

static json_t *body_json(void)
{
        char error[160];
        json_t *body = json_read(stand_body(), strlen(stand_body()), error, sizeof(error));

        if (!body)
                fail_msg("%s: \"%s\"", error, stand_body());
        return body;
}

static void alive_needs_nothing(void **state)
{
        (void)state;
        stand.rotation = (struct rotation_status){.username = "", .agent_problem = "x", .serial = ""};
        assert_int_equal(ask("GET /healthz", "", NULL), 200);
        assert_string_equal(stand_body(), "{\"status\":\"ok\"}\n");
        assert_asked("");
}

static void ready_asks_the_database(void **state)
{
        (void)state;
        assert_int_equal(ask("GET /readyz", "", NULL), 200);
        assert_asked("list 1 0;");
        assert_body_has("\"status\":\"ready\",\"reasons\":[]");
        assert_body_has("\"name\":\"db\",\"version\":9,\"in_use\":9");
        stand.outcome = NOTES_UNAVAILABLE;
        stand.reason = "no route";
        assert_int_equal(ask("GET /readyz", "", NULL), 503);
        assert_header("Retry-After", "1");
        assert_body_has("database: no route");
}

static void a_database_that_is_silent_is_not_waited_for(void **state)
{
        uint64_t begin_usec = clock_monotonic_usec();

        (void)state;
        stand.silent = true;
        assert_int_equal(ask("GET /readyz", "", NULL), 503);
        assert_body_has("did not answer in time");
        assert_int_equal(stand.cancelled, 1);
        assert_true(clock_monotonic_usec() - begin_usec >= PROBE_USEC);
}

static void what_is_missing_is_named(void **state)
{
        (void)state;
        stand.rotation.has_db = stand.rotation.usable = stand.rotation.agent_connected = false;
        stand.rotation.secrets[1].problem = "the agent gave none yet";
        stand.rotation.agent_problem = "no such socket";
        stand.rotation.agent_since_usec = ADDED_USEC;
        assert_int_equal(ask("GET /readyz", "", NULL), 503);
        assert_asked("");
        assert_body_has("\"dbinfo: the agent gave none yet\"");
        assert_body_has("\"agent: not connected since 2026-11-24T06:40:00Z: no such socket\"");
        assert_body_has("\"agent\":\"not connected\",\"agent_since\":\"2026-11-24T06:40:00Z\"");
        json_decref(body_json());
}

static void a_refused_newer_version_is_named_but_what_works_is_ready(void **state)
{
        (void)state;
        stand.rotation.secrets[0] = (struct rotation_secret){"db", 10, 9, ADDED_USEC, true, "1045: \"denied\""};
        assert_int_equal(ask("GET /readyz", "", NULL), 200);
        assert_body_has("db: 1045");
        assert_body_has("\"version\":10,\"in_use\":9,\"stale\":true,\"expires_at\":\"2026-11-24T06:40:00Z\"");
        json_decref(body_json());
}

static void without_a_certificate_where_one_is_served_it_is_not_ready(void **state)
{
        (void)state;
        stand.rotation.usable = false;
        assert_int_equal(ask("GET /readyz", "", NULL), 503);
        assert_body_has("\"database\":\"ok\"");
}

static void metrics_count_by_closed_sets(void **state)
{
        (void)state;
        ask("GET /nothing/of/the/sort?secret=1", "", NULL);
        ask("BREW /healthz", "", NULL);
        ask("GET /healthz", "", NULL);
        assert_int_equal(ask("GET /metrics", "", NULL), 200);
        assert_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
        assert_body_has("notesd_http_requests_total{route=\"none\",method=\"GET\",code=\"404\"} 1\n");
        assert_body_has("notesd_http_requests_total{route=\"/healthz\",method=\"other\",code=\"405\"} 1\n");
        assert_body_has("notesd_http_requests_total{route=\"/healthz\",method=\"GET\",code=\"200\"} 1\n");
        assert_body_has("app_requests_total{endpoint=\"/healthz\"} 2\n");
        assert_body_has("notesd_http_request_duration_seconds_count{route=\"/healthz\"} 2\n");
        assert_body_has("notesd_http_requests_total{route=\"/api/v1/notes\",method=\"POST\",code=\"503\"} 0\n");
        assert_body_has("notesd_http_connections 1\n");
        assert_body_lacks("of/the/sort");
        assert_body_lacks("BREW");
}

/* Every path that is described is served, and its methods are those that OPTIONS names. */
static void openapi_describes_what_is_there(void **state)
{
        const char *path, *method;
        json_t *document, *item, *operation;

        (void)state;
        assert_int_equal(ask("GET /openapi.json", "", NULL), 200);
        document = body_json();
        assert_string_equal(json_str(document, "openapi"), "3.1.0");
        assert_string_equal(json_str(json_object_get(document, "info"), "version"), LEASEKEEPER_VERSION);
        assert_true(json_object_size(json_object_get(document, "paths")) >= 9);
        json_object_foreach (json_object_get(document, "paths"), path, item) {
                cleanup_free char *target = mem_printf("OPTIONS %.*s", (int)strcspn(path, "{"), path);
                cleanup_free char *allow = NULL;

                assert_int_equal(ask(target, "", NULL), 204);
                allow = stand_header("Allow");
                json_object_foreach (item, method, operation) {
                        assert_non_null(strcasestr(allow, method));
                        assert_non_null(json_str(operation, "operationId"));
                }
        }
        json_decref(document);
}

static void the_build_is_told(void **state)
{
        json_t *body;

        (void)state;
        assert_int_equal(ask("GET /version", "", NULL), 200);
        body = body_json();
        assert_string_equal(json_str(body, "version"), LEASEKEEPER_VERSION);
        assert_true(json_is_null(json_object_get(body, "db_latency")));
        json_decref(body);
}

static void localhost_is_not_bound_to_tls(void **state)
{
        (void)state;
        assert_true(is_localhost("localhost"));
        assert_true(is_localhost("localhost:5443"));
        assert_true(is_localhost("notes.localhost:5443"));
        assert_false(is_localhost("notlocalhost"));
        assert_false(is_localhost("localhost.example"));
        assert_false(is_localhost("example"));
        assert_false(is_localhost(""));
        assert_false(is_localhost(NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                STAND_TEST(alive_needs_nothing),
                STAND_TEST(ready_asks_the_database),
                STAND_TEST(a_database_that_is_silent_is_not_waited_for),
                STAND_TEST(what_is_missing_is_named),
                STAND_TEST(a_refused_newer_version_is_named_but_what_works_is_ready),
                STAND_TEST(without_a_certificate_where_one_is_served_it_is_not_ready),
                STAND_TEST(metrics_count_by_closed_sets),
                STAND_TEST(openapi_describes_what_is_there),
                STAND_TEST(the_build_is_told),
                STAND_TEST(localhost_is_not_bound_to_tls),
        };

        json_setup();
        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_output_socket.c: what a program sees on the socket: reads, rights, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/output.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/secret.h"
#include "tests/unit/support_socket.h"

#define DB_DATA "{\"password\":\"p-Oe4\\\"x\",\"username\":\"v-notes-1\"}"

static void assert_header(const char *answer, const char *name, const char *value)
{
        cleanup_free char *found = answer_header(answer, name);

        if (!found)
                fail_msg("no %s in: %s", name, answer);
        assert_string_equal(found, value);
}

static void assert_status(const char *answer, int status)
{
        if (answer_status(answer) != status)
                fail_msg("expected %d: %s", status, answer);
}

/* --- reading --- */

static void read_gives_version_times_and_data(void **state)
{
        struct world *w = *state;
        cleanup_free char *answer = NULL;
        cleanup_json json_t *body = NULL;

        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", DB_DATA, 3600);
        answer = client_get(w, "/agent/v1/secrets/db");
        assert_status(answer, 200);
        assert_header(answer, "ETag", "W/\"7\"");
        assert_header(answer, "Content-Type", "application/json");
        body = answer_json(answer);
        assert_string_equal(json_str(body, "name"), "db");
        assert_string_equal(json_str(body, "kind"), "dynamic");
        assert_int_equal(json_integer_value(json_object_get(body, "version")), 7);
        assert_true(json_is_false(json_object_get(body, "stale")));
        assert_int_equal(strlen(json_str(body, "issued_at")), strlen("2026-11-24T06:49:32Z"));
        assert_int_equal(strlen(json_str(body, "expires_at")), strlen("2026-11-24T06:49:32Z"));
        assert_string_equal(json_str(json_object_get(body, "data"), "password"), "p-Oe4\"x");
        assert_int_equal(w->given, 1);
}

static void what_does_not_end_expires_null(void **state)
{
        struct world *w = *state;
        cleanup_free char *answer = NULL;
        cleanup_json json_t *body = NULL;

        world_add(w, "info", "kv/notes", getuid());
        world_publish(w, "info", "{\"a\":1}", 0);
        answer = client_get(w, "/agent/v1/secrets/info");
        body = answer_json(answer);
        assert_true(json_is_null(json_object_get(body, "expires_at")));
}

static void names_may_be_percent_encoded(void **state)
{
        struct world *w = *state;
        cleanup_free char *answer = NULL;

        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", DB_DATA, 60);
        answer = client_get(w, "/agent/v1/secrets/%64b");
        assert_status(answer, 200);
}

static void if_none_match_gives_304_with_the_end(void **state)
{
        struct world *w = *state;
        cleanup_free char *same = NULL, *other = NULL;

        world_add(w, "info", "kv/notes", getuid());
        world_publish(w, "info", "{}", 0);
        same = client_ask(w, client_connect(w), "GET", "/agent/v1/secrets/info", "If-None-Match: W/\"7\"\r\n", "");
        assert_status(same, 304);
        assert_header(same, "ETag", "W/\"7\"");
        assert_header(same, "Leasekeeper-Expires", "never");
        assert_header(same, "Leasekeeper-Stale", "false");
        assert_string_equal(answer_body(same), "");
        assert_int_equal(w->given, 0);
        other = client_ask(w, client_connect(w), "GET", "/agent/v1/secrets/info", "If-None-Match: \"6\"\r\n", "");
        assert_status(other, 200);
}

static void nothing_valid_is_503_with_the_reason(void **state)
{
        struct world *w = *state;
        cleanup_free char *before = NULL, *after = NULL;
        struct store_secret *s = world_add(w, "db", "database/creds/notes", getuid());

        before = client_get(w, "/agent/v1/secrets/db");
        assert_status(before, 503);
        assert_header(before, "Retry-After", "1");
        assert_non_null(strstr(before, "not fetched yet"));
        world_publish(w, "db", DB_DATA, 60);
        store_lose(w->store, s, "the lease has ended while Vault was sealed");
        after = client_get(w, "/agent/v1/secrets/db");
        assert_status(after, 503);
        assert_string_equal(answer_body(after),
                            "{\"errors\":[\"db: nothing valid to give: the lease has ended while Vault "
                            "was sealed\"]}");
}

static void bad_queries_are_400(void **state)
{
        struct world *w = *state;
        static const char *const bad[] = {"after=x", "after=1&wait=soon", "after=1&wait=1s&consumer=a%20b",
                                          "consumer=", "after=-1"};

        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", DB_DATA, 60);
        for (size_t i = 0; i < array_len(bad); i++) {
                cleanup_free char *target = mem_printf("/agent/v1/secrets/db?%s", bad[i]);
                cleanup_free char *answer = client_get(w, target);

                assert_status(answer, 400);
        }
        assert_int_equal(w->given, 0);
}

static void several_requests_on_one_connection(void **state)
{
        struct world *w = *state;
        struct buf in = BUF_INIT;
        int fd;

        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", DB_DATA, 60);
        fd = client_connect(w);
        for (int i = 0; i < 3; i++) {
                client_send(fd, "GET /agent/v1/secrets/db HTTP/1.1\r\nHost: x\r\n\r\n");
                client_receive(w, fd, &in, "\"username\":\"v-notes-1\"}}");
                buf_reset(&in);
        }
        close(fd);
        buf_done(&in);
}

/* --- rights --- */

static void peer_denied(void **state)
{
        struct world *w = *state;
        cleanup_free char *answer = NULL, *list = NULL;

        if (!can_change_user())
                skip();
        world_add(w, "db", "database/creds/notes", 0);
        world_add(w, "other", "database/creds/other", NOBODY);
        world_publish(w, "db", DB_DATA, 60);
        answer = client_ask(w, client_connect_as(w, NOBODY), "GET", "/agent/v1/secrets/db", "", "");
        assert_status(answer, 403);
        assert_null(strstr(answer, "p-Oe4"));
        assert_int_equal(w->given, 0);
        list = client_ask(w, client_connect_as(w, NOBODY), "GET", "/agent/v1/secrets", "", "");
        assert_string_equal(answer_body(list),
                            "{\"secrets\":[{\"name\":\"other\",\"kind\":\"dynamic\",\"version\":null,"
                            "\"state\":\"none\",\"expires_at\":null}]}");
}

static void root_needs_a_rule(void **state)
{
        struct world *w = *state;
        cleanup_free char *answer = NULL;

        world_add(w, "db", "database/creds/notes", NOBODY);
        world_publish(w, "db", DB_DATA, 60);
        answer = client_get(w, "/agent/v1/secrets/db");
        assert_status(answer, 403);
}

/* But for the name, byte for byte. */
static void unknown_and_forbidden_look_alike(void **state)
{
        struct world *w = *state;
        static const struct {
                const char *method, *target, *body;
        } calls[] = {
                {"GET", "/agent/v1/secrets/%s", ""},
                {"GET", "/agent/v1/secrets/%s?after=1&wait=1s", ""},
                {"GET", "/agent/v1/secrets/%s?after=no-number", ""},
                {"GET", "/agent/v1/watch?name=%s", ""},
                {"POST", "/agent/v1/secrets/%s/ack", "{\"version\":7,\"consumer\":\"a\"}"},
                {"POST", "/agent/v1/secrets/%s/reject", "{\"version\":7,\"consumer\":\"a\",\"reason\":\"denied\"}"},
                {"POST", "/agent/v1/secrets/%s/ack", "no JSON"},
        };

        world_add(w, "dbx", "dbx", NOBODY);
        world_publish(w, "dbx", DB_DATA, 60);
        for (size_t i = 0; i < array_len(calls); i++) {
                char forbidden_target[128], unknown_target[128];
                cleanup_free char *forbidden = NULL, *unknown = NULL, *at = NULL;

                /* calls[i].target is one of the literals above */
                at = mem_strdup(calls[i].target);
                snprintf(forbidden_target, sizeof(forbidden_target), "%.*sdbx%s", (int)(strstr(at, "%s") - at), at,
                         strstr(at, "%s") + 2);
                snprintf(unknown_target, sizeof(unknown_target), "%.*sxyz%s", (int)(strstr(at, "%s") - at), at,
                         strstr(at, "%s") + 2);
                forbidden = client_ask(w, client_connect(w), calls[i].method, forbidden_target, "", calls[i].body);
                unknown = client_ask(w, client_connect(w), calls[i].method, unknown_target, "", calls[i].body);
                assert_status(forbidden, 403);
                assert_string_equal(answer_body(forbidden), "{\"errors\":[\"dbx: permission denied\"]}");
                assert_string_equal(answer_body(unknown), "{\"errors\":[\"xyz: permission denied\"]}");
                assert_int_equal(strlen(forbidden), strlen(unknown));
        }
}

static void odd_names_are_denied_like_any_other(void **state)
{
        struct world *w = *state;
        static const char *const odd[] = {"..%2fdb", "%00", "%ff", "%zz", "db%00", "%22"};

        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", DB_DATA, 60);
        for (size_t i = 0; i < array_len(odd); i++) {
                cleanup_free char *target = mem_printf("/agent/v1/secrets/%s", odd[i]);
                cleanup_free char *answer = client_get(w, target);

                if (answer_status(answer) == 400) /* the server itself is stricter */
                        continue;
                assert_status(answer, 403);
                json_decref(answer_json(answer));
        }
}

static void operators_only(void **state)
{
        struct world *w = *state;
        static const struct {
                const char *method, *target;
        } calls[] = {{"GET", "/agent/v1/status"},
                     {"POST", "/agent/v1/rotate"},
                     {"POST", "/agent/v1/rotate/db"},
                     {"POST", "/agent/v1/reload"}};

        if (!can_change_user())
                skip();
        world_add(w, "db", "database/creds/notes", NOBODY);
        for (size_t i = 0; i < array_len(calls); i++) {
                cleanup_free char *theirs =
                        client_ask(w, client_connect_as(w, NOBODY), calls[i].method, calls[i].target, "", "");
                cleanup_free char *ours = client_ask(w, client_connect(w), calls[i].method, calls[i].target, "", "");

                assert_status(theirs, 403);
                assert_in_range(answer_status(ours), 200, 202);
        }
        w->config.has_operators_gid = true;
        w->config.operators_gid = NOBODY;
        for (size_t i = 0; i < array_len(calls); i++) {
                cleanup_free char *theirs =
                        client_ask(w, client_connect_as(w, NOBODY), calls[i].method, calls[i].target, "", "");

                assert_in_range(answer_status(theirs), 200, 202);
        }
}

/* --- acknowledge and reject --- */

static void ack_tells_who_moved_on(void **state)
{
        struct world *w = *state;
        struct store_secret *s = world_add(w, "db", "database/creds/notes", getuid());
        cleanup_free char *read7 = NULL, *read8 = NULL, *early = NULL, *ack = NULL;

        world_publish(w, "db", DB_DATA, 60);
        read7 = client_get(w, "/agent/v1/secrets/db?consumer=app-1");
        assert_status(read7, 200);
        world_publish(w, "db", DB_DATA, 60);
        early = client_ask(w, client_connect(w), "POST", "/agent/v1/secrets/db/ack", "",
                           "{\"version\":8,\"consumer\":\"app-1\"}");
        assert_status(early, 409);
        assert_false(store_all_moved_on(s, 7));
        read8 = client_get(w, "/agent/v1/secrets/db?after=7&consumer=app-1");
        assert_status(read8, 200);
        assert_false(store_all_moved_on(s, 7));
        ack = client_ask(w, client_connect(w), "POST", "/agent/v1/secrets/db/ack", "",
                         "{\"version\":8,\"consumer\":\"app-1\"}");
        assert_status(ack, 204);
        assert_true(store_all_moved_on(s, 7));
        assert_int_equal(w->acked, 1);
}

static void reports_without_a_proper_name_are_400(void **state)
{
        struct world *w = *state;
        static const char *const bad[] = {"",
                                          "{}",
                                          "[]",
                                          "{\"version\":7}",
                                          "{\"version\":7,\"consumer\":\"\"}",
                                          "{\"version\":7,\"consumer\":\"a b\"}",
                                          "{\"version\":\"7\",\"consumer\":\"a\"}",
                                          "{\"version\":7,\"version\":7,\"consumer\":\"a\"}",
                                          "{\"version\":7.0,\"consumer\":\"a\"}"};

        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", DB_DATA, 60);
        for (size_t i = 0; i < array_len(bad); i++) {
                cleanup_free char *ack =
                        client_ask(w, client_connect(w), "POST", "/agent/v1/secrets/db/ack", "", bad[i]);
                cleanup_free char *reject =
                        client_ask(w, client_connect(w), "POST", "/agent/v1/secrets/db/reject", "", bad[i]);

                assert_status(ack, 400);
                assert_status(reject, 400);
        }
        assert_int_equal(w->acked + w->rejected, 0);
}

static void reject_needs_the_current_version_and_its_reader(void **state)
{
        struct world *w = *state;
        cleanup_free char *not_given = NULL, *read = NULL, *denied = NULL, *other = NULL, *old = NULL;
        const char *report = "{\"version\":7,\"consumer\":\"app\",\"reason\":\"denied\"}";

        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", DB_DATA, 60);
        not_given = client_ask(w, client_connect(w), "POST", "/agent/v1/secrets/db/reject", "", report);
        assert_status(not_given, 409);
        read = client_get(w, "/agent/v1/secrets/db?consumer=app");
        denied = client_ask(w, client_connect(w), "POST", "/agent/v1/secrets/db/reject", "", report);
        assert_status(denied, 202);
        other = client_ask(w, client_connect(w), "POST", "/agent/v1/secrets/db/reject", "",
                           "{\"version\":7,\"consumer\":\"app\",\"reason\":\"odd characters\"}");
        assert_status(other, 202);
        assert_int_equal(w->rejected, 2);
        assert_int_equal(w->denied, 1);
        world_publish(w, "db", DB_DATA, 60);
        old = client_ask(w, client_connect(w), "POST", "/agent/v1/secrets/db/reject", "", report);
        assert_status(old, 409);
        assert_int_equal(w->rejected, 2);
}

static void a_user_has_64_consumers_at_most(void **state)
{
        struct world *w = *state;
        cleanup_free char *one_more = NULL, *known = NULL;

        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", DB_DATA, 60);
        for (int i = 0; i < 64; i++) {
                cleanup_free char *target = mem_printf("/agent/v1/secrets/db?consumer=c%d", i);
                cleanup_free char *answer = client_get(w, target);

                assert_status(answer, 200);
        }
        one_more = client_get(w, "/agent/v1/secrets/db?consumer=c64");
        assert_status(one_more, 200);
        assert_int_equal(store_consumers(w->store), 64);
        /* nobody knows any more what the longest silent one holds */
        assert_true(store_read_unnamed(store_find(w->store, "db"), store_last_number(store_find(w->store, "db"))));
        known = client_get(w, "/agent/v1/secrets/db?consumer=c63");
        assert_status(known, 200);
        assert_int_equal(store_consumers(w->store), 64);
}

/* --- limits --- */

static void a_user_has_64_connections_at_most(void **state)
{
        struct world *w = *state;
        int fds[64], more;
        struct buf in = BUF_INIT;
        cleanup_free char *operator= NULL;

        if (!can_change_user())
                skip();
        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", DB_DATA, 60);
        for (int i = 0; i < 64; i++)
                fds[i] = client_connect_as(w, NOBODY);
        more = client_connect_as(w, NOBODY);
        client_receive(w, more, &in, NULL);
        assert_status(buf_text(&in), 503);
        operator= client_get(w, "/agent/v1/secrets/db");
        assert_status(operator, 200);
        close(fds[0]);
        world_turn(w);
        world_turn(w);
        close(more);
        more = client_connect_as(w, NOBODY);
        mem_free(client_ask(w, more, "GET", "/agent/v1/health?live", "", ""));
        for (int i = 1; i < 64; i++)
                close(fds[i]);
        buf_done(&in);
}

static void operators_keep_16_connections(void **state)
{
        struct world *w = *state;
        int fds[256], more;
        struct buf in = BUF_INIT;
        cleanup_free char *live = NULL;

        if (!can_change_user())
                skip();
        for (int i = 0; i < 240; i++)
                fds[i] = client_connect_as(w, 60000 + (uid_t)i / 60);
        more = client_connect_as(w, 60009); /* its first */
        client_receive(w, more, &in, NULL);
        assert_status(buf_text(&in), 503);
        close(more);
        for (int i = 240; i < 256; i++)
                fds[i] = client_connect(w);
        more = client_connect(w); /* theirs are no more than that either */
        buf_reset(&in);
        client_receive(w, more, &in, NULL);
        assert_status(buf_text(&in), 503);
        close(more);
        live = client_ask(w, fds[255], "GET", "/agent/v1/health?live", "", ""); /* closes it */
        assert_status(live, 200);
        for (int i = 0; i < 255; i++)
                close(fds[i]);
        buf_done(&in);
}

static void oversize_requests_are_refused(void **state)
{
        struct world *w = *state;
        char big[9000];
        cleanup_free char *head = NULL, *body = NULL, *target = NULL;

        memset(big, 'a', sizeof(big) - 1);
        big[sizeof(big) - 1] = '\0';
        target = mem_printf("X-Pad: %s\r\n", big);
        head = client_ask(w, client_connect(w), "GET", "/agent/v1/secrets", target, "");
        assert_status(head, 431);
        json_decref(answer_json(head));
        body = client_ask(w, client_connect(w), "POST", "/agent/v1/secrets/db/ack", "", big);
        assert_status(body, 413);
}

static void wrong_methods_are_405_with_allow(void **state)
{
        struct world *w = *state;
        cleanup_free char *post = NULL, *get = NULL, *head = NULL, *nothing = NULL;

        world_add(w, "db", "database/creds/notes", getuid());
        post = client_ask(w, client_connect(w), "POST", "/agent/v1/secrets/db", "", "");
        assert_status(post, 405);
        assert_header(post, "Allow", "GET");
        get = client_get(w, "/agent/v1/rotate");
        assert_status(get, 405);
        assert_header(get, "Allow", "POST");
        head = client_ask(w, client_connect(w), "HEAD", "/agent/v1/secrets/db", "", "");
        assert_status(head, 405);
        nothing = client_get(w, "/agent/v2/secrets");
        assert_status(nothing, 404);
}

/* --- the agent itself --- */

static void rotate_tells_what_and_when(void **state)
{
        struct world *w = *state;
        cleanup_free char *all = NULL, *one = NULL, *late = NULL, *unknown = NULL;

        world_add(w, "db", "database/creds/notes", getuid());
        all = client_ask(w, client_connect(w), "POST", "/agent/v1/rotate", "", "");
        assert_status(all, 202);
        assert_string_equal(w->rotated, "");
        one = client_ask(w, client_connect(w), "POST", "/agent/v1/rotate/db", "", "");
        assert_status(one, 202);
        assert_string_equal(w->rotated, "db");
        assert_string_equal(answer_body(one), "{\"rotating\":[\"db\"],\"waiting\":[]}");
        w->rotate_status = 429;
        late = client_ask(w, client_connect(w), "POST", "/agent/v1/rotate/db", "", "");
        assert_status(late, 429);
        assert_header(late, "Retry-After", "3");
        unknown = client_ask(w, client_connect(w), "POST", "/agent/v1/rotate/none", "", "");
        assert_status(unknown, 404);
}

static void refused_reload_names_the_findings(void **state)
{
        struct world *w = *state;
        cleanup_free char *answer = NULL;

        w->reload_status = 400;
        answer = client_ask(w, client_connect(w), "POST", "/agent/v1/reload", "", "");
        assert_status(answer, 400);
        assert_non_null(strstr(answer, "agent.hcl:3"));
}

static void health_is_for_all(void **state)
{
        struct world *w = *state;
        cleanup_free char *ok = NULL, *failing = NULL, *live = NULL;

        ok = client_get(w, "/agent/v1/health");
        assert_status(ok, 200);
        assert_string_equal(answer_body(ok), "{\"status\":\"ok\",\"reasons\":[]}");
        w->health_status = 503;
        failing = client_get(w, "/agent/v1/health");
        assert_status(failing, 503);
        live = client_get(w, "/agent/v1/health?live");
        assert_status(live, 200);
}

static void metrics_show_versions_and_no_secret(void **state)
{
        struct world *w = *state;
        struct store_secret *s = world_add(w, "db", "database/creds/notes", getuid());
        cleanup_free char *read = NULL, *page = NULL, *after = NULL;

        world_publish(w, "db", DB_DATA, 60);
        read = client_get(w, "/agent/v1/secrets/db?consumer=a");
        page = client_get(w, "/agent/v1/metrics");
        assert_status(page, 200);
        assert_non_null(strstr(page, "leasekeeper_secret_version{secret=\"db\"} 7\n"));
        assert_non_null(strstr(page, "leasekeeper_secret_stale{secret=\"db\"} 0\n"));
        assert_non_null(strstr(page, "leasekeeper_secret_expiry_timestamp_seconds{secret=\"db\"} 1"));
        assert_non_null(strstr(page, "leasekeeper_consumers 1\n"));
        assert_non_null(strstr(page, "leasekeeper_socket_requests_total{endpoint=\"secret\",code=\"200\"} 1\n"));
        assert_null(strstr(page, "p-Oe4"));
        store_remove(w->store, s);
        after = client_get(w, "/agent/v1/metrics");
        assert_null(strstr(after, "secret=\"db\""));
}

static void metrics_tell_the_state_that_health_tells(void **state)
{
        struct world *w = *state;
        cleanup_free char *ok = NULL, *failing = NULL;

        ok = client_get(w, "/agent/v1/metrics");
        assert_non_null(strstr(ok, "leasekeeper_health{state=\"ok\"} 1\nleasekeeper_health{state=\"degraded\"} 0\n"
                                   "leasekeeper_health{state=\"starting\"} 0\n"
                                   "leasekeeper_health{state=\"failing\"} 0\n"));
        w->health_status = 503;
        failing = client_get(w, "/agent/v1/metrics");
        assert_non_null(strstr(failing, "leasekeeper_health{state=\"ok\"} 0\n"));
        assert_non_null(strstr(failing, "leasekeeper_health{state=\"failing\"} 1\n"));
}

static void refusals_are_counted_from_zero(void **state)
{
        struct world *w = *state;
        cleanup_free char *before = NULL, *denied = NULL, *after = NULL;

        before = client_get(w, "/agent/v1/metrics");
        assert_non_null(strstr(before, "leasekeeper_socket_requests_total{endpoint=\"secret\",code=\"403\"} 0\n"));
        assert_non_null(strstr(before, "leasekeeper_socket_requests_total{endpoint=\"health\",code=\"503\"} 0\n"));
        denied = client_get(w, "/agent/v1/secrets/db");
        assert_status(denied, 403);
        after = client_get(w, "/agent/v1/metrics");
        assert_non_null(strstr(after, "leasekeeper_socket_requests_total{endpoint=\"secret\",code=\"403\"} 1\n"));
}

static const char *const metrics_there[] = {"/metrics", "/agent/v1/metrics", "/agent/v1/health"};
static const char *const metrics_not_there[] = {"/agent/v1/secrets",        "/agent/v1/secrets/db",
                                                "/agent/v1/status",         "/agent/v1/rotate",
                                                "/v1/database/creds/notes", "/agent/v1/watch?name=db"};

static const char *const metrics_orders[] = {"/agent/v1/rotate", "/agent/v1/rotate/db", "/agent/v1/reload",
                                             "/agent/v1/secrets/db/ack", "/agent/v1/secrets/db/reject"};

/* address NULL: the world's own socket */
static void assert_metrics_only(struct world *w, const char *address)
{
        for (size_t i = 0; i < array_len(metrics_there); i++) {
                cleanup_free char *answer = client_ask(w, address ? tcp_connect(address) : client_connect(w), "GET",
                                                       metrics_there[i], "", "");

                assert_status(answer, 200);
        }
        for (size_t i = 0; i < array_len(metrics_not_there); i++) {
                cleanup_free char *answer = client_ask(w, address ? tcp_connect(address) : client_connect(w), "GET",
                                                       metrics_not_there[i], "", "");

                assert_status(answer, 404);
        }
        for (size_t i = 0; i < array_len(metrics_orders); i++) {
                cleanup_free char *answer = client_ask(w, address ? tcp_connect(address) : client_connect(w), "POST",
                                                       metrics_orders[i], "", "{\"version\":7,\"consumer\":\"a\"}");

                assert_status(answer, 404);
        }
}

static void a_socket_for_metrics_only_has_no_secrets(void **state)
{
        struct world *w = *state;

        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", DB_DATA, 60);
        world_stop(w);
        w->listeners[0].metrics_only = true;
        world_start(w);
        assert_metrics_only(w, NULL);
        world_stop(w);
        w->listeners[0].metrics_only = false;
        world_start(w);
}

static void the_metrics_port_has_no_secrets(void **state)
{
        struct world *w = *state;
        struct config_listener both[2] = {w->listeners[0], {.address = NULL}};
        char address[TCP_ADDRESS_LEN];

        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", DB_DATA, 60);
        world_stop(w);
        both[1] = (struct config_listener){.address = address, .metrics_only = true, .where = address};
        tcp_free_address(address);
        w->config.listeners = both;
        w->config.listeners_len = 2;
        world_start(w);
        assert_metrics_only(w, address);
        world_stop(w);
        w->config.listeners = w->listeners;
        w->config.listeners_len = 1;
        world_start(w);
}

static void the_socket_goes_with_the_agent(void **state)
{
        struct world *w = *state;

        assert_int_equal(access(w->path, F_OK), 0);
        world_stop(w);
        assert_int_not_equal(access(w->path, F_OK), 0);
        world_start(w);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(read_gives_version_times_and_data),
                T(what_does_not_end_expires_null),
                T(names_may_be_percent_encoded),
                T(if_none_match_gives_304_with_the_end),
                T(nothing_valid_is_503_with_the_reason),
                T(bad_queries_are_400),
                T(several_requests_on_one_connection),
                T(peer_denied),
                T(root_needs_a_rule),
                T(unknown_and_forbidden_look_alike),
                T(odd_names_are_denied_like_any_other),
                T(operators_only),
                T(ack_tells_who_moved_on),
                T(reports_without_a_proper_name_are_400),
                T(reject_needs_the_current_version_and_its_reader),
                T(a_user_has_64_consumers_at_most),
                T(a_user_has_64_connections_at_most),
                T(operators_keep_16_connections),
                T(oversize_requests_are_refused),
                T(wrong_methods_are_405_with_allow),
                T(rotate_tells_what_and_when),
                T(refused_reload_names_the_findings),
                T(health_is_for_all),
                T(metrics_show_versions_and_no_secret),
                T(metrics_tell_the_state_that_health_tells),
                T(refusals_are_counted_from_zero),
                T(the_metrics_port_has_no_secrets),
                T(a_socket_for_metrics_only_has_no_secrets),
                T(the_socket_goes_with_the_agent),
        };

        return cmocka_run_group_tests_name("output_socket", tests, NULL, NULL);
}

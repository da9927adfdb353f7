/* tests/unit/test_http_notes.c: the JSON interface as its clients see it. */
#include "tests/unit/http_stand.h"

#include "app/exchange.c"   /* NOLINT: the stand-ins of http_stand.h go into it */
#include "app/http_notes.c" /* NOLINT */

#define JSON "Content-Type: application/json\r\n"

/* --- list and get --- */

static void a_list_has_notes_and_the_next_page(void **state)
{
        (void)state;
        stand.items_len = 2;
        stand.next = 6;
        assert_int_equal(ask("GET /api/v1/notes?limit=2&before=9", "", NULL), 200);
        assert_asked("list 2 9;");
        assert_header("Content-Type", "application/json");
        assert_string_equal(
                stand_body(),
                "{\"notes\":[{\"id\":7,\"text\":\"buy milk\",\"created_at\":\"2026-11-24T06:40:00Z\"},"
                "{\"id\":6,\"text\":\"a <b> & \\\"c\\\"\",\"created_at\":\"2026-11-24T06:40:00Z\"}],\"next\":6}\n");
}

static void the_last_page_has_no_next(void **state)
{
        (void)state;
        stand.items_len = 0;
        assert_int_equal(ask("GET /api/v1/notes", "", NULL), 200);
        assert_asked("list 20 0;");
        assert_string_equal(stand_body(), "{\"notes\":[],\"next\":null}\n");
}

static void the_same_list_is_written_once_and_another_anew(void **state)
{
        (void)state;
        assert_int_equal(ask("GET /api/v1/notes", "", NULL), 200);
        assert_body_has("buy milk");
        assert_int_equal(ask("GET /api/v1/notes", "", NULL), 200);
        assert_body_has("buy milk");
        /* The same id, time and length: only the text tells. */
        stand.items[0].text = "buy salt";
        assert_int_equal(ask("GET /api/v1/notes", "", NULL), 200);
        assert_body_has("buy salt");
        stand.next = 3;
        assert_int_equal(ask("GET /api/v1/notes", "", NULL), 200);
        assert_body_has("\"next\":3");
        stand.items_len = 2;
        assert_int_equal(ask("GET /api/v1/notes", "", NULL), 200);
        assert_body_has("\"id\":6");
}

static void limit_and_before_are_read_strictly(void **state)
{
        static const char *const wrong[] = {
                "limit=0",  "limit=101", "limit=",      "limit=x",  "limit=+5",         "limit=5.0",
                "limit=-1", "limit=%zz", "before=0",    "before=x", "limit=5&limit=6",  "before=-5",
                "limit",    "limit=5%",  "limit=%2b05", "before=",  "before=1&before=1"};

        (void)state;
        for (size_t i = 0; i < array_len(wrong); i++) {
                cleanup_free char *target = mem_printf("GET /api/v1/notes?%s", wrong[i]);

                ask(target, "", NULL);
                assert_problem(400, "about:blank");
                assert_asked("");
        }
        assert_int_equal(ask("GET /api/v1/notes?other=1&limit=%31&&", "", NULL), 200);
        assert_asked("list 1 0;");
}

static void one_note_has_one_address(void **state)
{
        static const char *const wrong[] = {"0",   "007", "x", "1x",  "-1",
                                            "1/2", "7/",  "",  "%37", "99999999999999999999"};

        (void)state;
        assert_int_equal(ask("GET /api/v1/notes/7", "", NULL), 200);
        assert_asked("get 7;");
        assert_string_equal(stand_body(), "{\"id\":7,\"text\":\"buy milk\",\"created_at\":\"2026-11-24T06:40:00Z\"}\n");
        for (size_t i = 0; i < array_len(wrong); i++) {
                cleanup_free char *target = mem_printf("GET /api/v1/notes/%s", wrong[i]);

                ask(target, "", NULL);
                assert_problem(404, "about:blank");
                assert_asked("");
        }
        stand.outcome = NOTES_NOT_FOUND;
        ask("GET /api/v1/notes/8", "", NULL);
        assert_problem(404, "about:blank");
}

/* Who polls is told "unchanged"; a list that changed has another tag. */
static void what_a_client_has_already_is_not_sent_again(void **state)
{
        static const char *const targets[] = {"GET /api/v1/notes", "GET /api/v1/notes/7"};

        (void)state;
        for (size_t i = 0; i < array_len(targets); i++) {
                cleanup_free char *etag = NULL, *given = NULL;

                stand.items[0].text = "buy milk";
                assert_int_equal(ask(targets[i], "", NULL), 200);
                assert_header("Cache-Control", "private, no-cache");
                etag = stand_header("ETag");
                assert_non_null(etag);
                given = mem_printf("If-None-Match: W/\"x\", %s\r\n", etag);
                assert_int_equal(ask(targets[i], given, NULL), 304);
                assert_header("ETag", etag);
                assert_string_equal(stand_body(), "");
                stand.items[0].text = "buy salt";
                assert_int_equal(ask(targets[i], given, NULL), 200);
        }
}

static void head_is_get_without_the_body(void **state)
{
        (void)state;
        assert_int_equal(ask("HEAD /api/v1/notes/7", "", NULL), 200);
        assert_header("Content-Length", "63");
        assert_string_equal(stand_body(), "");
}

/* --- add --- */

static void a_note_is_created_where_location_says(void **state)
{
        (void)state;
        stand.outcome = NOTES_CREATED;
        assert_int_equal(ask("POST /api/v1/notes", JSON, "{\"text\":\"buy milk\"}"), 201);
        assert_asked("add \"buy milk\" -;");
        assert_header("Location", "/api/v1/notes/7");
        assert_string_equal(stand_body(), "{\"id\":7,\"text\":\"buy milk\",\"created_at\":\"2026-11-24T06:40:00Z\"}\n");
}

static void the_same_key_gives_the_same_note(void **state)
{
        (void)state;
        stand.outcome = NOTES_OK;
        assert_int_equal(ask("POST /api/v1/notes", JSON "Idempotency-Key: a key~1\r\n", "{\"text\":\"x\"}"), 200);
        assert_asked("add \"x\" a key~1;");
        stand.outcome = NOTES_KEY_REUSED;
        ask("POST /api/v1/notes", JSON "Idempotency-Key: k\r\n", "{\"text\":\"y\"}");
        assert_problem(422, "urn:leasekeeper:problem:key-reused");
}

static void a_key_is_1_to_64_printable_characters(void **state)
{
        char key[160];

        (void)state;
        snprintf(key, sizeof(key), JSON "Idempotency-Key: %064d\r\n", 5);
        stand.outcome = NOTES_CREATED;
        assert_int_equal(ask("POST /api/v1/notes", key, "{\"text\":\"x\"}"), 201);
        snprintf(key, sizeof(key), JSON "Idempotency-Key: %065d\r\n", 5);
        ask("POST /api/v1/notes", key, "{\"text\":\"x\"}");
        assert_problem(400, "about:blank");
        ask("POST /api/v1/notes", JSON "Idempotency-Key: \r\n", "{\"text\":\"x\"}");
        assert_problem(400, "about:blank");
        ask("POST /api/v1/notes", JSON "Idempotency-Key: k\xc3\xa9\r\n", "{\"text\":\"x\"}");
        assert_problem(400, "about:blank");
        assert_asked("");
}

static void json_is_read_strictly(void **state)
{
        static const char *const wrong[] = {
                "",
                "{",
                "[]",
                "\"text\"",
                "null",
                "{}",
                "{\"text\":5}",
                "{\"text\":null}",
                "{\"text\":\"\"}",
                "{\"text\":\"a\"} x",
                "{\"text\":\"a\",\"text\":\"b\"}",
                "{\"text\":\"a\",\"id\":1}",
                "{\"Text\":\"a\"}",
                "{\"text\":\"\\ud800\"}",
                "{\"text\":\"\\u0000\"}",
                "{\"text\":\"\xff\"}",
                "{\"text\":\"\xc0\x80\"}",
                "{'text':'a'}",
                "text=a",
        };

        (void)state;
        for (size_t i = 0; i < array_len(wrong); i++) {
                ask("POST /api/v1/notes", JSON, wrong[i]);
                assert_problem(400, "about:blank");
                assert_asked("");
        }
}

static void text_is_counted_in_characters(void **state)
{
        struct buf body __attribute__((cleanup(buf_done))) = BUF_INIT;

        (void)state;
        stand.outcome = NOTES_CREATED;
        buf_str(&body, "{\"text\":\"");
        for (int i = 0; i < NOTES_TEXT_CHARS_MAX; i++)
                buf_str(&body, "\xf0\x9f\x8e\x89");
        buf_str(&body, "\"}");
        assert_int_equal(ask("POST /api/v1/notes", JSON, body.data), 201);
        body.data[body.len - 2] = 'x';
        body.data[body.len - 1] = '"';
        buf_str(&body, "}");
        ask("POST /api/v1/notes", JSON, body.data);
        assert_problem(400, "about:blank");
}

static void other_types_are_refused(void **state)
{
        static const char *const right[] = {"application/json", "Application/JSON; charset=UTF-8",
                                            "application/json;charset=\"utf-8\""};
        static const char *const wrong[] = {"text/plain", "application/jsonp", "application/json; charset=latin1",
                                            "application/x-www-form-urlencoded", "application/json, text/plain"};

        (void)state;
        stand.outcome = NOTES_CREATED;
        for (size_t i = 0; i < array_len(right); i++) {
                cleanup_free char *type = mem_printf("Content-Type: %s\r\n", right[i]);

                assert_int_equal(ask("POST /api/v1/notes", type, "{\"text\":\"x\"}"), 201);
        }
        for (size_t i = 0; i < array_len(wrong); i++) {
                cleanup_free char *type = mem_printf("Content-Type: %s\r\n", wrong[i]);

                ask("POST /api/v1/notes", type, "{\"text\":\"x\"}");
                assert_problem(415, "about:blank");
        }
        ask("POST /api/v1/notes", "", "{\"text\":\"x\"}");
        assert_problem(415, "about:blank");
        ask("POST /api/v1/notes", JSON "Content-Encoding: gzip\r\n", "{\"text\":\"x\"}");
        assert_problem(415, "about:blank");
}

static void a_post_without_a_length_is_refused(void **state)
{
        (void)state;
        ask("POST /api/v1/notes", JSON, NULL);
        assert_problem(411, "about:blank");
}

/* --- when it cannot be done --- */

static void failures_say_when_to_come_back(void **state)
{
        (void)state;
        stand.outcome = NOTES_UNAVAILABLE;
        stand.reason = "no database";
        ask("GET /api/v1/notes", "", NULL);
        assert_problem(503, "about:blank");
        assert_header("Retry-After", "1");
        assert_body_has("The database cannot be used");
        assert_body_lacks("no database"); /* why is the operator's */
        stand.outcome = NOTES_OVERLOADED;
        ask("GET /api/v1/notes/7", "", NULL);
        assert_problem(429, "about:blank");
        assert_header("Retry-After", "1");
}

static void an_unknown_outcome_gives_the_key_to_ask_again(void **state)
{
        (void)state;
        stand.outcome = NOTES_UNKNOWN;
        ask("POST /api/v1/notes", JSON, "{\"text\":\"x\"}");
        assert_problem(503, "urn:leasekeeper:problem:outcome-unknown");
        assert_body_has("\"idempotency_key\":\"made-up-or-given\"");
        assert_header("Retry-After", "1");
}

static bool was_asked_once(void)
{
        return stand.calls == 1;
}

static bool was_cancelled(void)
{
        return stand.cancelled == 1;
}

static void a_client_that_goes_away_is_waited_for_no_longer(void **state)
{
        static const char request[] = "GET /api/v1/notes HTTP/1.1\r\nHost: x\r\n\r\n";
        const struct linger reset = {.l_onoff = 1};

        (void)state;
        stand.silent = true;
        stand_send(request, strlen(request));
        stand_run_until(was_asked_once);
        /* A reset; an end of stream alone may come from somebody who still wants the answer. */
        assert_int_equal(setsockopt(stand.client_fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        stand_hang_up();
        stand_run_until(was_cancelled);
}

/* --- routes --- */

static bool is_tick_200(void)
{
        static unsigned ticks;

        return ++ticks == 200;
}

/* A request has 30 s from its first byte on; what it took to arrive is not there for the database any more. */
static void the_time_to_arrive_counts(void **state)
{
        static const char head[] = "POST /api/v1/notes HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 12\r\n"
                                   "Connection: close\r\n\r\n",
                          body[] = "{\"text\":\"x\"}";

        (void)state;
        stand_send(head, strlen(head));
        stand_run_until(is_tick_200);
        assert_int_equal(send(stand.client_fd, body, strlen(body), MSG_NOSIGNAL), (ssize_t)strlen(body));
        stand_run_until(stand_is_closed);
        assert_true(stand.ago_usec >= 50 * USEC_PER_MSEC);
}

static void unknown_paths_and_methods_are_named(void **state)
{
        (void)state;
        ask("GET /api/v1/Notes", "", NULL);
        assert_problem(404, "about:blank");
        ask("GET /api/v1/notes/../notes", "", NULL);
        assert_problem(404, "about:blank");
        ask("DELETE /api/v1/notes", "", NULL);
        assert_problem(405, "about:blank");
        assert_header("Allow", "GET, HEAD, POST, OPTIONS");
        ask("POST /api/v1/notes/7", JSON, "{}");
        assert_problem(405, "about:blank");
        assert_header("Allow", "GET, HEAD, OPTIONS");
        ask("GET /notes", "", NULL);
        assert_problem(405, "about:blank");
        assert_header("Allow", "POST, OPTIONS");
        assert_int_equal(ask("OPTIONS /api/v1/notes", "", NULL), 204);
        assert_header("Allow", "GET, HEAD, POST, OPTIONS");
}

static void every_answer_has_the_common_headers(void **state)
{
        static const char *const targets[] = {"GET /api/v1/notes?limit=0", "GET /nothing", "OPTIONS /api/v1/notes"};

        (void)state;
        for (size_t i = 0; i < array_len(targets); i++) {
                ask(targets[i], "", NULL);
                assert_header("X-Content-Type-Options", "nosniff");
                assert_header("Cache-Control", "no-store");
                assert_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
                assert_null(stand_header("Strict-Transport-Security"));
        }
}

static void the_servers_own_refusals_are_problems_too(void **state)
{
        static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";

        (void)state;
        stand_send(request, strlen(request));
        stand_run_until(stand_is_closed);
        assert_problem(400, "about:blank");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                STAND_TEST(a_list_has_notes_and_the_next_page),
                STAND_TEST(the_last_page_has_no_next),
                STAND_TEST(the_same_list_is_written_once_and_another_anew),
                STAND_TEST(limit_and_before_are_read_strictly),
                STAND_TEST(one_note_has_one_address),
                STAND_TEST(what_a_client_has_already_is_not_sent_again),
                STAND_TEST(head_is_get_without_the_body),
                STAND_TEST(a_note_is_created_where_location_says),
                STAND_TEST(the_same_key_gives_the_same_note),
                STAND_TEST(a_key_is_1_to_64_printable_characters),
                STAND_TEST(json_is_read_strictly),
                STAND_TEST(text_is_counted_in_characters),
                STAND_TEST(other_types_are_refused),
                STAND_TEST(a_post_without_a_length_is_refused),
                STAND_TEST(failures_say_when_to_come_back),
                STAND_TEST(an_unknown_outcome_gives_the_key_to_ask_again),
                STAND_TEST(a_client_that_goes_away_is_waited_for_no_longer),
                STAND_TEST(the_time_to_arrive_counts),
                STAND_TEST(unknown_paths_and_methods_are_named),
                STAND_TEST(every_answer_has_the_common_headers),
                STAND_TEST(the_servers_own_refusals_are_problems_too),
        };

        json_setup();
        return cmocka_run_group_tests(tests, NULL, NULL);
}

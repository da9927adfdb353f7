/* tests/unit/test_http_page.c: the page and its form as a browser sees them. */
#include "tests/unit/http_stand.h"

#include "app/exchange.c"  /* NOLINT: the stand-ins of http_stand.h go into it */
#include "app/http_page.c" /* NOLINT */

#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"

/* --- a browser: it has opened the page --- */

static char cookie[160], token[CSRF_TOKEN_LEN + 1], form_key[CSRF_ID_LEN + 1];

static void take_value(const char *name, char *ret_value, size_t len)
{
        cleanup_free char *before = mem_printf("name=\"%s\" value=\"", name);
        const char *found = strstr(stand_body(), before);

        assert_non_null(found);
        memcpy(ret_value, found + strlen(before), len);
        ret_value[len] = '\0';
        assert_int_equal(found[strlen(before) + len], '"');
}

static void open_page(void)
{
        cleanup_free char *set_cookie = NULL;

        assert_int_equal(ask("GET /", "", NULL), 200);
        set_cookie = stand_header("Set-Cookie");
        assert_non_null(set_cookie);
        assert_non_null(strstr(set_cookie, "; Path=/; HttpOnly; SameSite=Strict"));
        snprintf(cookie, sizeof(cookie), FORM "Cookie: other=1; %.*s\r\n", (int)strcspn(set_cookie, ";"), set_cookie);
        take_value("csrf", token, CSRF_TOKEN_LEN);
        take_value("key", form_key, CSRF_ID_LEN);
}

static int send_form(const char *fields)
{
        cleanup_free char *body = mem_printf("csrf=%s&%s", token, fields);

        return ask("POST /notes", cookie, body);
}

/* --- the page --- */

static void the_page_shows_form_notes_and_credentials(void **state)
{
        (void)state;
        stand.items_len = 2;
        stand.next = 6;
        assert_int_equal(ask("GET /?before=9", "", NULL), 200);
        assert_asked("list 20 9;");
        assert_header("Content-Type", "text/html; charset=utf-8");
        assert_body_has("<html lang=\"en\">");
        assert_body_has("<title>");
        assert_body_has("<label for=\"text\">");
        assert_body_has("<button type=\"submit\">Add task</button>");
        assert_body_has("<form method=\"post\" action=\"/notes\">");
        assert_body_has(">buy milk</p>");
        assert_body_has("href=\"/?before=6\"");
        assert_body_has("v-approle-notes-x");
        assert_body_has("<td class=\"version\">9</td>");
        assert_body_has("<main");
}

static void what_others_wrote_is_escaped(void **state)
{
        (void)state;
        stand.items[0] = (struct note){1, "<script>alert('x')</script>", 27, ADDED_USEC};
        stand.rotation.secrets[0].in_use = 8;
        stand.rotation.secrets[0].problem = "<b>\"denied\"</b>";
        stand.rotation.username = "<i>";
        assert_int_equal(ask("GET /", "", NULL), 200);
        assert_body_has("&lt;script&gt;");
        assert_body_lacks("<script>");
        assert_body_lacks("<b>");
        assert_body_lacks("<i>");
}

static void no_inline_script_and_no_inline_style_is_allowed(void **state)
{
        (void)state;
        assert_int_equal(ask("GET /", "", NULL), 200);
        assert_header("Content-Security-Policy",
                      "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; "
                      "form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
        assert_body_lacks("style=");
        assert_body_lacks("onclick");
        assert_body_has("<script src=\"/app.js\" defer></script>");
        assert_null(strstr(strstr(stand_body(), "<script") + 1, "<script"));
}

static void without_credentials_the_page_works_and_waits_for_nothing(void **state)
{
        (void)state;
        stand.rotation = (struct rotation_status){
                .secrets = {{"db", 0, 0, USEC_NEVER, false, "the agent gave none yet"}},
                .secrets_len = 1,
                .username = "",
                .agent_problem = "no such socket",
                .serial = "",
        };
        assert_int_equal(ask("GET /", "", NULL), 200);
        assert_asked("");
        assert_body_has("the agent gave none yet");
        assert_body_has("no such socket");
        assert_body_has("Add task");
}

static void a_database_that_fails_is_said_on_the_page(void **state)
{
        (void)state;
        stand.outcome = NOTES_UNAVAILABLE;
        stand.reason = "gone away";
        assert_int_equal(ask("GET /", "", NULL), 503);
        assert_header("Retry-After", "1");
        assert_body_has("The tasks cannot be read");
        assert_body_lacks("gone away"); /* why is the operator's */
        assert_body_has("Add task");
}

static void a_wrong_page_is_refused(void **state)
{
        (void)state;
        ask("GET /?before=x", "", NULL);
        assert_problem(400, "about:blank");
}

/* --- the form --- */

static void a_form_adds_a_task_and_leads_back_to_the_page(void **state)
{
        cleanup_free char *asked = NULL;

        (void)state;
        open_page();
        stand.outcome = NOTES_CREATED;
        asked = mem_printf("key=%s&text=buy+milk+%%26+%%C3%%A9%%0D%%0Aline", form_key);
        assert_int_equal(send_form(asked), 303);
        assert_header("Location", "/");
        mem_free(asked);
        asked = mem_printf("add \"buy milk & \xc3\xa9\nline\" %s;", form_key);
        assert_asked(asked);
}

static void a_form_that_is_sent_twice_adds_one_task(void **state)
{
        (void)state;
        open_page();
        stand.outcome = NOTES_OK; /* the key was there, with this text */
        assert_int_equal(send_form("key=abc&text=x"), 303);
        assert_asked("add \"x\" abc;");
}

static void another_text_in_an_old_form_is_another_task(void **state)
{
        (void)state;
        open_page();
        stand.outcome = NOTES_KEY_REUSED;
        stand.then = NOTES_CREATED;
        assert_int_equal(send_form("key=abc&text=y"), 303);
        assert_asked("add \"y\" abc;add \"y\" -;");
}

static void a_form_needs_its_cookie_and_its_token(void **state)
{
        char other[sizeof(cookie)];

        (void)state;
        open_page();
        snprintf(other, sizeof(other), "%s", cookie);
        /* no cookie */
        assert_int_equal(ask("POST /notes", FORM, "text=kept&csrf=x"), 403);
        assert_body_has(">\nkept</textarea>");
        /* no token, a wrong one, another browser's */
        assert_int_equal(ask("POST /notes", cookie, "text=x"), 403);
        token[0] ^= 1;
        assert_int_equal(send_form("text=x"), 403);
        open_page();
        snprintf(cookie, sizeof(cookie), "%s", other);
        assert_int_equal(send_form("text=x"), 403);
        assert_asked("list 20 0;"); /* the page's notes: nothing was added */
}

static void a_form_from_another_site_is_refused(void **state)
{
        (void)state;
        open_page();
        strcat(cookie, "Sec-Fetch-Site: cross-site\r\n");
        assert_int_equal(send_form("text=x"), 403);
        open_page();
        strcat(cookie, "Sec-Fetch-Site: same-origin\r\n");
        stand.outcome = NOTES_CREATED;
        assert_int_equal(send_form("text=x"), 303);
}

static void the_refused_page_comes_with_a_form_that_works(void **state)
{
        cleanup_free char *set_cookie = NULL;

        (void)state;
        assert_int_equal(ask("POST /notes", FORM, "text=again"), 403);
        set_cookie = stand_header("Set-Cookie");
        assert_non_null(set_cookie);
        snprintf(cookie, sizeof(cookie), FORM "Cookie: %.*s\r\n", (int)strcspn(set_cookie, ";"), set_cookie);
        take_value("csrf", token, CSRF_TOKEN_LEN);
        stand.outcome = NOTES_CREATED;
        assert_int_equal(send_form("text=again"), 303);
}

static void faults_stand_beside_the_form_and_what_was_typed_stays(void **state)
{
        struct buf fields __attribute__((cleanup(buf_done))) = BUF_INIT;

        (void)state;
        open_page();
        assert_int_equal(send_form("text="), 400);
        assert_body_has("id=\"fault\" role=\"alert\">The text is empty");
        assert_body_has("aria-invalid=\"true\"");
        assert_int_equal(send_form("key=k"), 400);
        buf_str(&fields, "text=%3Cb%3E");
        for (int i = 0; i < NOTES_TEXT_CHARS_MAX; i++)
                buf_char(&fields, 'x');
        assert_int_equal(send_form(fields.data), 400);
        assert_body_has("too long");
        assert_body_has(">\n&lt;b&gt;xxxx");
        assert_int_equal(send_form("text=%FF"), 400);
        assert_body_has("not valid UTF-8");
        assert_int_equal(send_form("text=a%00b"), 400);
        assert_body_has("U+0000");
}

static void a_failed_write_keeps_text_and_key(void **state)
{
        static const struct {
                enum notes_outcome outcome;
                int status;
        } failures[] = {{NOTES_UNAVAILABLE, 503}, {NOTES_OVERLOADED, 429}, {NOTES_UNKNOWN, 503}};

        (void)state;
        for (size_t i = 0; i < array_len(failures); i++) {
                stand.outcome = NOTES_OK;
                open_page();
                stand.outcome = failures[i].outcome;
                assert_int_equal(send_form("key=abc&text=kept"), failures[i].status);
                assert_header("Retry-After", "1");
                assert_body_has(">\nkept</textarea>");
                assert_body_has("name=\"key\" value=\"abc\"");
                assert_body_has("role=\"alert\"");
        }
}

static void other_bodies_are_refused(void **state)
{
        (void)state;
        ask("POST /notes", "Content-Type: multipart/form-data; boundary=x\r\n", "--x--");
        assert_problem(415, "about:blank");
        ask("POST /notes", FORM, NULL);
        assert_problem(411, "about:blank");
        ask("POST /notes", FORM, "text=%zz");
        assert_problem(400, "about:blank");
        ask("POST /notes", FORM, "text=a&text=b");
        assert_problem(400, "about:blank");
}

/* --- what belongs to the page --- */

static void the_stylesheet_is_sent_once(void **state)
{
        cleanup_free char *etag = NULL, *given = NULL;

        (void)state;
        assert_int_equal(ask("GET /style.css", "", NULL), 200);
        assert_header("Content-Type", "text/css; charset=utf-8");
        etag = stand_header("ETag");
        given = mem_printf("If-None-Match: %s\r\n", etag);
        assert_int_equal(ask("GET /style.css", given, NULL), 304);
        assert_string_equal(stand_body(), "");
        assert_int_equal(ask("GET /style.css", "If-None-Match: \"other\"\r\n", NULL), 200);
        assert_int_equal(ask("GET /favicon.svg", "", NULL), 200);
        assert_header("Content-Type", "image/svg+xml");
}

static void the_script_is_a_file_of_its_own(void **state)
{
        (void)state;
        assert_int_equal(ask("GET /app.js", "", NULL), 200);
        assert_header("Content-Type", "text/javascript; charset=utf-8");
        assert_header("X-Content-Type-Options", "nosniff");
        assert_body_has("\"use strict\"");
}

static void the_panel_alone_is_what_stands_in_the_page(void **state)
{
        cleanup_free char *panel = NULL;

        (void)state;
        stand.rotation.has_tls = true;
        stand.rotation.serial = "0a:1b";
        stand.rotation.not_after_usec = ADDED_USEC;
        stand.rotation.secrets[0].expires_usec = ADDED_USEC;
        assert_int_equal(ask("GET /credentials", "", NULL), 200);
        assert_asked("");
        assert_body_has("<td class=\"version\">9</td>");
        assert_body_has("<code id=\"serial\">0a:1b</code>");
        assert_body_has("<time datetime=\"2026-11-24T06:40:00Z\">");
        assert_body_has("<span class=\"exact\">2026-11-24 06:40:00 UTC</span>");
        panel = mem_strdup(stand_body());
        assert_int_equal(ask("GET /", "", NULL), 200);
        assert_body_has("<table>");
        *strchr(panel, '\n') = '\0';
        assert_body_has(panel);
}

static const char *in_words(int64_t usec)
{
        static struct buf out;
        const struct note note = {1, "x", 1, (uint64_t)((int64_t)ADDED_USEC + usec)};
        const struct rotation_status rotation = {.username = "", .serial = "", .agent_problem = ""};
        const struct page_view view = {
                .token = "",
                .key = "",
                .notes = &note,
                .notes_len = 1,
                .rotation = &rotation,
                .now_usec = ADDED_USEC,
        };
        char *found;

        buf_reset(&out);
        page_html(&out, &view);
        found = strstr(strstr(out.data, "<time"), ">") + 1;
        *strchr(found, '<') = '\0';
        return found;
}

static void times_are_told_in_words(void **state)
{
        const int64_t sec = (int64_t)USEC_PER_SEC;

        (void)state;
        assert_string_equal(in_words(0), "just now");
        assert_string_equal(in_words(4 * sec), "just now");
        assert_string_equal(in_words(-5 * sec), "5 seconds ago");
        assert_string_equal(in_words(-60 * sec), "1 minute ago");
        assert_string_equal(in_words(119 * sec), "in 1 minute");
        assert_string_equal(in_words(7200 * sec), "in 2 hours");
        assert_string_equal(in_words(-86400 * sec), "1 day ago");
        assert_string_equal(in_words(-40 * 86400 * sec), "1 month ago");
        assert_string_equal(in_words(-800 * 86400 * sec), "2 years ago");
}

static void a_cookie_over_tls_is_bound_to_the_host(void **state)
{
        cleanup_free char *tls = csrf_set_cookie("0123456789abcdef0123456789abcdef", true);
        char id[CSRF_ID_LEN + 1];

        (void)state;
        assert_non_null(strstr(tls, "__Host-"));
        assert_non_null(strstr(tls, "; Secure"));
        assert_true(csrf_cookie_id("__Host-notesd_form=0123456789abcdef0123456789abcdef", true, id));
        assert_false(csrf_cookie_id("notesd_form=0123456789abcdef0123456789abcdef", true, id));
        assert_false(csrf_cookie_id("notesd_form=0123456789abcdef0123456789abcdeX", false, id));
        assert_false(csrf_cookie_id("notesd_form=0123456789abcdef0123456789abcdef0", false, id));
        assert_false(csrf_cookie_id("xnotesd_form=0123456789abcdef0123456789abcdef", false, id));
        assert_false(csrf_cookie_id("", false, id));
        assert_false(csrf_cookie_id(NULL, false, id));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                STAND_TEST(the_page_shows_form_notes_and_credentials),
                STAND_TEST(what_others_wrote_is_escaped),
                STAND_TEST(no_inline_script_and_no_inline_style_is_allowed),
                STAND_TEST(without_credentials_the_page_works_and_waits_for_nothing),
                STAND_TEST(a_database_that_fails_is_said_on_the_page),
                STAND_TEST(a_wrong_page_is_refused),
                STAND_TEST(a_form_adds_a_task_and_leads_back_to_the_page),
                STAND_TEST(a_form_that_is_sent_twice_adds_one_task),
                STAND_TEST(another_text_in_an_old_form_is_another_task),
                STAND_TEST(a_form_needs_its_cookie_and_its_token),
                STAND_TEST(a_form_from_another_site_is_refused),
                STAND_TEST(the_refused_page_comes_with_a_form_that_works),
                STAND_TEST(faults_stand_beside_the_form_and_what_was_typed_stays),
                STAND_TEST(a_failed_write_keeps_text_and_key),
                STAND_TEST(other_bodies_are_refused),
                STAND_TEST(the_stylesheet_is_sent_once),
                STAND_TEST(the_script_is_a_file_of_its_own),
                STAND_TEST(the_panel_alone_is_what_stands_in_the_page),
                cmocka_unit_test(times_are_told_in_words),
                STAND_TEST(a_cookie_over_tls_is_bound_to_the_host),
        };

        json_setup();
        return cmocka_run_group_tests(tests, NULL, NULL);
}

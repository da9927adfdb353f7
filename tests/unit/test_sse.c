/* tests/unit/test_sse.c: the reader of the agent's stream, fed in pieces of every size. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "app/sse.h"
#include "common/buf.h"
#include "common/secret.h"

/* Writes what came as "TYPE|ID|DATA;" one after the other. */
static void note(const struct sse_event *event, void *arg)
{
        buf_printf(arg, "%s|%s|%s;", event->type, event->id, secret_bytes(event->data));
}

static int feed_in_pieces(const char *text, size_t piece, struct buf *out)
{
        struct sse *s = sse_new(64, note, out);
        size_t len = strlen(text);
        int r = 0;

        for (size_t pos = 0; pos < len && r == 0; pos += piece)
                r = sse_feed(s, text + pos, len - pos < piece ? len - pos : piece);
        sse_free(s);
        return r;
}

static void expect(const char *text, const char *events)
{
        for (size_t piece = 1; piece <= strlen(text); piece++) {
                struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

                assert_int_equal(feed_in_pieces(text, piece, &out), 0);
                assert_string_equal(buf_text(&out), events);
        }
}

static void events_have_type_id_and_data(void **state)
{
        (void)state;
        expect("event: secret\nid: db:7\ndata: {\"a\":1}\n\n", "secret|db:7|{\"a\":1};");
        expect("event: secret\r\nid: db:7\r\ndata: x\r\n\r\n", "secret|db:7|x;");
        expect("data:x\n\nevent: lost\ndata: y\n\n", "message||x;lost||y;");
}

static void lines_of_data_are_joined(void **state)
{
        (void)state;
        expect("data: a\ndata\ndata:  b\n\n", "message||a\n\n b;");
}

static void comments_unknown_fields_and_empty_events_are_passed_over(void **state)
{
        (void)state;
        expect(": still here\n\nretry: 5\nfuture: x\n\nevent: e\n\ndata: x\n\n", "message||x;");
}

static void a_type_or_id_does_not_outlive_its_event(void **state)
{
        (void)state;
        expect("event: a\nid: 1\ndata: x\n\ndata: y\n\n", "a|1|x;message||y;");
}

static void an_unfinished_event_is_not_told(void **state)
{
        (void)state;
        expect("data: whole\n\nevent: secret\ndata: cut o", "message||whole;");
}

static void too_long_is_refused(void **state)
{
        struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
        char line[160], lines[512] = "";

        (void)state;
        memset(line, 'x', sizeof(line));
        memcpy(line, "data: ", 6);
        line[sizeof(line) - 1] = '\0';
        assert_int_equal(feed_in_pieces(line, 7, &out), -EMSGSIZE);
        for (int i = 0; i < 8; i++)
                strcat(lines, "data: 0123456789\n");
        assert_int_equal(feed_in_pieces(lines, 7, &out), -EMSGSIZE);
        memcpy(line, "event:", 6);
        line[50] = '\n';
        assert_int_equal(feed_in_pieces(line, 7, &out), -EPROTO);
        assert_string_equal(buf_text(&out), "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(events_have_type_id_and_data),
                cmocka_unit_test(lines_of_data_are_joined),
                cmocka_unit_test(comments_unknown_fields_and_empty_events_are_passed_over),
                cmocka_unit_test(a_type_or_id_does_not_outlive_its_event),
                cmocka_unit_test(an_unfinished_event_is_not_told),
                cmocka_unit_test(too_long_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

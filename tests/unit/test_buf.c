/* tests/unit/test_buf.c: what common/buf.h promises. */
#include "common/buf.h"
#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void pieces_make_a_text(void **state)
{
        cleanup_buf struct buf b = BUF_INIT;

        (void)state;
        assert_string_equal(buf_text(&b), "");
        buf_str(&b, "a");
        buf_char(&b, 'b');
        buf_add(&b, "cd", 2);
        buf_printf(&b, "%d", 42);
        assert_string_equal(buf_text(&b), "abcd42");
        assert_int_equal(b.len, 6);
        buf_reset(&b);
        assert_string_equal(buf_text(&b), "");
        buf_add(&b, "", 0);
        assert_int_equal(b.len, 0);
}

static void long_text_grows(void **state)
{
        cleanup_free char *thousand = mem_new(1001);
        cleanup_buf struct buf b = BUF_INIT;

        (void)state;
        memset(thousand, 'y', 1000);
        for (int i = 0; i < 100; i++)
                buf_printf(&b, "%s|", thousand);
        assert_int_equal(b.len, 100100);
        for (size_t i = 0; i < b.len; i++)
                assert_int_equal(b.data[i], i % 1001 == 1000 ? '|' : 'y');
        assert_int_equal(b.data[b.len], '\0');
}

static void take_empties(void **state)
{
        struct buf b = BUF_INIT;
        char *text = buf_take(&b);

        (void)state;
        assert_string_equal(text, "");
        mem_free(text);
        buf_str(&b, "mine");
        text = buf_take(&b);
        assert_string_equal(text, "mine");
        assert_null(b.data);
        assert_int_equal(b.len, 0);
        mem_free(text);
        buf_done(&b);
}

static void assert_json(const char *text, size_t len, const char *expected)
{
        cleanup_buf struct buf b = BUF_INIT;

        buf_json_str(&b, text, len);
        assert_string_equal(buf_text(&b), expected);
}

static void json_string_is_always_valid(void **state)
{
        (void)state;
        assert_json("", 0, "\"\"");
        assert_json("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"");
        assert_json("\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"");
        assert_json("\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\\u007f\"");
        assert_json("\xc3\xbc\xf0\x9f\x94\x91", 6, "\"\xc3\xbc\xf0\x9f\x94\x91\"");
        assert_json("\xc2\x85", 2, "\"\\u0085\"");
        assert_json("\xff\xc3", 2, "\"\\ufffd\\ufffd\"");
}

static void html_cannot_be_left(void **state)
{
        cleanup_buf struct buf b = BUF_INIT;
        const char *text = "<a href=\"x\" id='y'>&amp;";

        (void)state;
        buf_html(&b, text, strlen(text));
        assert_string_equal(buf_text(&b), "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;");
}

static void percent_keeps_the_unreserved(void **state)
{
        cleanup_buf struct buf b = BUF_INIT;

        (void)state;
        buf_percent(&b, "kv/a b%c\xc3\xbc~", "/");
        buf_char(&b, ' ');
        buf_percent(&b, "a/b", NULL);
        assert_string_equal(buf_text(&b), "kv/a%20b%25c%C3%BC~ a%2Fb");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(pieces_make_a_text),  cmocka_unit_test(long_text_grows),
                cmocka_unit_test(take_empties),        cmocka_unit_test(json_string_is_always_valid),
                cmocka_unit_test(html_cannot_be_left), cmocka_unit_test(percent_keeps_the_unreserved),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_hcl.c: the parser takes what HCL 1 and JSON write, and says where it cannot. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "agent/hcl.h"
#include "common/buf.h"
#include "common/mem.h"

/* The tree as text: key=value, objects in {}, lists in []. */
static void dump(struct buf *b, const struct hcl_node *n)
{
        static const char open[] = {[HCL_LIST] = '[', [HCL_OBJECT] = '{'},
                          close[] = {[HCL_LIST] = ']', [HCL_OBJECT] = '}'};

        if (n->key)
                buf_printf(b, "%s=", n->key);
        switch (n->type) {
        case HCL_STRING: buf_printf(b, "'%s'", n->text); break;
        case HCL_NUMBER:
        case HCL_BOOL: buf_str(b, n->text); break;
        case HCL_LIST:
        case HCL_OBJECT:
                buf_char(b, open[n->type]);
                for (size_t i = 0; i < n->items_len; i++) {
                        if (i > 0)
                                buf_char(b, ' ');
                        dump(b, n->items[i]);
                }
                buf_char(b, close[n->type]);
        }
}

static char *parse(const char *text)
{
        cleanup_buf struct buf b = BUF_INIT;
        struct hcl_file *f;
        char *error = NULL;

        if (hcl_parse("f", text, strlen(text), &f, &error) < 0)
                return error;
        dump(&b, f->root);
        hcl_file_free(f);
        return buf_take(&b);
}

static void expect(const char *text, const char *wanted)
{
        cleanup_free char *got = parse(text);

        assert_string_equal(got, wanted);
}

static void blocks_labels_and_attributes(void **state)
{
        (void)state;
        expect("", "{}");
        expect("# nothing\n// at\n/* all\n */", "{}");
        expect("x {}", "{x={}}");
        expect("x = {}", "{x={}}");
        expect("x \"a\" {}", "{x={a={}}}");
        expect("x a {}", "{x={a={}}}");
        expect("\"x\" \"a\" \"b\" { c = 1 }", "{x={a={b={c=1}}}}");
        expect("x {} x {}", "{x={} x={}}");
        expect("a = 1 b = \"2\"   c = true,d = false", "{a=1 b='2' c=true d=false}");
        expect("a-b.c_1 = 1", "{a-b.c_1=1}");
        expect("a = { b = { c = [ { d = 1 }, { d = 2 } ] } }", "{a={b={c=[{d=1} {d=2}]}}}");
        expect("\xef\xbb\xbf"
               "a = 1\r\nb = 2\r\n",
               "{a=1 b=2}");
        expect("a = [1, \"x\", true,\n # last\n]", "{a=[1 'x' true]}");
        expect("a = []", "{a=[]}");
}

static void strings_undo_their_escapes(void **state)
{
        (void)state;
        expect("a = \"q\\\"b\\\\n\\n t\\t \\u00e4 \\U0001F600 \\x41 \\101\"",
               "{a='q\"b\\n\n t\t \xc3\xa4 \xf0\x9f\x98\x80 A A'}");
        expect("{\"a\": \"\\/ \\b \\u00e4 \\ud83d\\ude00\"}", "{a='/ \b \xc3\xa4 \xf0\x9f\x98\x80'}");
        expect("a = \"\"", "{a=''}");
}

/* Nothing is evaluated: what stands in ${} is kept, with its quotes. */
static void templates_stay_text(void **state)
{
        (void)state;
        expect("a = \"x${env(\"HOME\")}y\"", "{a='x${env(\"HOME\")}y'}");
        expect("a = \"${a{b}c}\"", "{a='${a{b}c}'}");
        expect("a = \"$x {\"", "{a='$x {'}");
        expect("{\"a\": \"${\"}", "{a='${'}");
}

static void heredocs_keep_their_lines(void **state)
{
        (void)state;
        expect("a = <<EOF\n x\n\ny \"q\" \\n\nEOF\nb = 1", "{a=' x\n\ny \"q\" \\n\n' b=1}");
        expect("a = <<-EOF\n    x\n      y\n\n    EOF\n", "{a='x\n  y\n\n'}");
        expect("a = <<EOF\r\nx\r\nEOF\r\n", "{a='x\n'}");
        expect("a = <<E\nE", "{a=''}");
        expect("a = [<<E\nx\nE\n, 1]", "{a=['x\n' 1]}");
}

static void numbers_stay_as_written(void **state)
{
        (void)state;
        expect("a = 0655 b = -1 c = 1.5 d = 1e3 e = 0xFf f = 0", "{a=0655 b=-1 c=1.5 d=1e3 e=0xFf f=0}");
        expect("{\"a\": [0, -1, 1.5E+3]}", "{a=[0 -1 1.5E+3]}");
}

static void json_gives_the_same_tree(void **state)
{
        (void)state;
        expect("{}", "{}");
        expect(" { \"x\": {\"a\": {\"b\": [true, \"c\", null_]}}}",
               "f:1: null_ is no value; put it into quotes: \"null_\"");
        expect("{\"x\": {\"a\": {\"b\": [true, \"c\"]}}, \"n\": null, \"y\": 1}", "{x={a={b=[true 'c']}} y=1}");
        expect("{\"x\": 1, \"x\": 2}", "{x=1 x=2}");
}

static void each_node_knows_its_line(void **state)
{
        static const char text[] = "a = 1\n\nb \"l\" {\n  c = [1,\n 2]\n}\nd = <<E\n\n\nE\ne = 1 /*\n*/ f = 2";
        struct hcl_file *f;
        char *error;

        (void)state;
        assert_int_equal(hcl_parse("name", text, strlen(text), &f, &error), 0);
        assert_string_equal(f->root->items[1]->file, "name");
        assert_int_equal(f->root->items[0]->line, 1);
        assert_int_equal(f->root->items[1]->line, 3);
        assert_int_equal(f->root->items[1]->items[0]->line, 3);
        assert_int_equal(f->root->items[1]->items[0]->items[0]->line, 4);
        assert_int_equal(f->root->items[1]->items[0]->items[0]->items[1]->line, 5);
        assert_int_equal(f->root->items[2]->line, 7);
        assert_int_equal(f->root->items[3]->line, 11);
        assert_int_equal(f->root->items[4]->line, 12);
        hcl_file_free(f);
}

static void faults_name_their_line_and_what_to_do(void **state)
{
        static const struct {
                const char *text, *wanted;
        } cases[] = {
                {"a", "f:1: the text ends where \"=\" or \"{\" should stand; add it"},
                {"a =\n", "f:2: the text ends where a value should stand; add it"},
                {"\na {\n", "f:2: a block that begins here has no end; add \"}\""},
                {"a = 5m", "f:1: not a number; put durations, modes and names into quotes"},
                {"a = -", "f:1: not a number; put durations, modes and names into quotes"},
                {"a = 0x", "f:1: not a number; put durations, modes and names into quotes"},
                {"a = yes", "f:1: yes is no value; put it into quotes: \"yes\""},
                {"a = \"x\ny\"", "f:1: a string without its end; close it with \" on the same line"},
                {"a = \"${x\"", "f:1: a \"${\" without its end; close it with }"},
                {"a = \"\\q\"", "f:1: a string with an unknown escape; write a backslash as \\\\"},
                {"a = \"\\u0000\"", "f:1: a string with an unknown escape; write a backslash as \\\\"},
                {"a = \"\\ud800\"", "f:1: a string with an unknown escape; write a backslash as \\\\"},
                {"a = \"\\xff\"", "f:1: a string with an unknown escape; write a backslash as \\\\"},
                {"a = <<EOF\nx\n", "f:1: a heredoc without its end; repeat its word on a line of its own"},
                {"a = << EOF\nx\n", "f:1: << without a word and a line end after it; write <<EOF"},
                {"/* x", "f:1: a comment without its end; close it with */"},
                {"a \"b\" = 1", "f:1: \"=\" after a label; a block has none: a \"b\" { ... }"},
                {"a = [1 2]", "f:1: \"2\" where \",\" or \"]\" should stand; correct the line"},
                {"a = 1\n}", "f:2: \"}\" where a key should stand; correct the line"},
                {"a = 1\n@", "f:2: a character that has no meaning here; remove it, or put the value into quotes"},
                {"a b c d e f {}", "f:1: more than 4 labels; a block has one"},
                {"{\"a\": 01}", "f:1: not a number; put durations, modes and names into quotes"},
                {"{\"a\": 1,}", "f:1: \"}\" where a key in quotes should stand; correct the line"},
                {"{\"a\": [1,]}", "f:1: \"]\" where a value should stand; correct the line"},
                {"{\"a\": 1} x", "f:1: \"x\" where the end of the text should stand; correct the line"},
                {"{\"a\" = 1}", "f:1: \"=\" where \":\" should stand; correct the line"},
                {"{a: 1}", "f:1: \"a\" where a key in quotes should stand; correct the line"},
                {"{\"a\": 1 \"b\": 2}", "f:1: \"b\" where \",\" or \"}\" should stand; correct the line"},
                {"{\"a\": \"\\x41\"}", "f:1: a string with an unknown escape; write a backslash as \\\\"},
                {"{\"a\": \"\t\"}", "f:1: a string with a bare control character; write it as \\u00XX"},
                {"{ # no\n}", "f:1: a character that has no meaning here; remove it, or put the value into quotes"},
                {"a = \"\xff\"", "f:1: not UTF-8 text; is this the right file?"},
        };

        (void)state;
        for (size_t i = 0; i < array_len(cases); i++)
                expect(cases[i].text, cases[i].wanted);
}

static void nul_bytes_are_no_text(void **state)
{
        struct hcl_file *f;
        char *error = NULL;

        (void)state;
        assert_int_equal(hcl_parse("f", "a = 1\0", 6, &f, &error), -EBADMSG);
        assert_string_equal(error, "f:1: not UTF-8 text; is this the right file?");
        mem_free(error);
}

static void depth_and_size_have_an_end(void **state)
{
        static const char *const openers[] = {"a {", "a = [", "{\"a\":"};
        struct hcl_file *f;
        char *error;

        (void)state;
        for (size_t i = 0; i < array_len(openers); i++) {
                cleanup_buf struct buf b = BUF_INIT;

                for (int depth = 0; depth < 100000; depth++)
                        buf_str(&b, i == 1 && depth > 0 ? "[" : openers[i]);
                assert_int_equal(hcl_parse("f", b.data, b.len, &f, &error), -EBADMSG);
                assert_string_equal(error, "f:1: more than 32 blocks and lists in each other; write it flatter");
                mem_free(error);
        }
        {
                cleanup_free char *big = mem_new(HCL_SIZE_MAX + 1);

                memset(big, ' ', HCL_SIZE_MAX + 1);
                assert_int_equal(hcl_parse("f", big, HCL_SIZE_MAX, &f, &error), 0);
                hcl_file_free(f);
                assert_int_equal(hcl_parse("f", big, HCL_SIZE_MAX + 1, &f, &error), -EBADMSG);
                assert_non_null(strstr(error, "split it over several files"));
                mem_free(error);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(blocks_labels_and_attributes), cmocka_unit_test(strings_undo_their_escapes),
                cmocka_unit_test(templates_stay_text),          cmocka_unit_test(heredocs_keep_their_lines),
                cmocka_unit_test(numbers_stay_as_written),      cmocka_unit_test(json_gives_the_same_tree),
                cmocka_unit_test(each_node_knows_its_line),     cmocka_unit_test(faults_name_their_line_and_what_to_do),
                cmocka_unit_test(nul_bytes_are_no_text),        cmocka_unit_test(depth_and_size_have_an_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

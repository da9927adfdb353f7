/* tests/unit/test_json.c: what common/json.h promises. */
#include "common/json.h"
#include "common/mem.h"
#include "common/secret.h"
#include "tests/unit/support_memscan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static json_t *read_text(const char *text, char error[160])
{
        error[0] = '\0';
        return json_read(text, strlen(text), error, 160);
}

static void what_is_no_object_or_array_is_refused(void **state)
{
        static const char *const bad[] = {"",
                                          "1",
                                          "\"a\"",
                                          "{",
                                          "{} x",
                                          "{}{}",
                                          "{\"a\":1,}",
                                          "{'a':1}",
                                          "{a:1}",
                                          "[1 2]",
                                          "nul",
                                          "{\"a\":01}",
                                          "{\"a\":\"\xff\"}",
                                          "{\"a\":NaN}",
                                          "{\"a\":\"\\u0000\"}"};
        char error[160];

        (void)state;
        for (size_t i = 0; i < array_len(bad); i++) {
                assert_null(read_text(bad[i], error));
                assert_true(strlen(error) > 0);
        }
}

static void duplicate_keys_are_refused(void **state)
{
        char error[160];

        (void)state;
        assert_null(read_text("{\"a\":1,\n \"a\":2}", error));
        assert_string_equal(error, "line 2, column 4: duplicate object key");
}

static void error_never_quotes_the_text(void **state)
{
        static const char *const bad[] = {"{\"password\": hunter2}", "{\"password\": \"hunter2\" \"x\"}",
                                          "{\"hunter2\":1,\"hunter2\":2}", "{\"a\":\"hunter2\n\"}", "[\"hunter2\\q\"]"};
        char error[160];

        (void)state;
        for (size_t i = 0; i < array_len(bad); i++) {
                assert_null(read_text(bad[i], error));
                assert_non_null(strstr(error, "line "));
                assert_null(strstr(error, "hunter"));
                assert_null(strstr(error, "near"));
        }
        assert_null(read_text("[\"\\uD800\\u0041\"]", error));
        assert_null(strstr(error, "D800"));
}

static void error_fits_its_buffer(void **state)
{
        char error[8] = "#######";

        (void)state;
        assert_null(json_read("{", 1, error, 5));
        assert_string_equal(error, "line");
        assert_int_equal(error[5], '#');
        assert_null(json_read("{", 1, NULL, 0));
}

static void members_are_read_by_their_type(void **state)
{
        char error[160];
        cleanup_json json_t *obj =
                read_text("{\"s\":\"x\",\"n\":9007199254740993,\"m\":-1,\"r\":1.5,\"t\":true,\"o\":1}", error);
        uint64_t value = 3;

        (void)state;
        assert_non_null(obj);
        assert_string_equal(json_str(obj, "s"), "x");
        assert_null(json_str(obj, "n"));
        assert_null(json_str(obj, "absent"));
        assert_null(json_str(NULL, "s"));
        assert_false(json_u64(obj, "m", &value));
        assert_false(json_u64(obj, "r", &value));
        assert_false(json_u64(obj, "s", &value));
        assert_false(json_u64(NULL, "s", &value));
        assert_int_equal(value, 3);
        assert_true(json_u64(obj, "n", &value));
        assert_true(value == UINT64_C(9007199254740993));
        assert_true(json_flag(obj, "t"));
        assert_false(json_flag(obj, "o"));
        assert_false(json_flag(obj, "absent"));
}

static void equal_content_gives_equal_bytes(void **state)
{
        char error[160];
        cleanup_json json_t *a = read_text("{\"b\": [1, {\"d\":null,\"c\":\"x\"}],\n \"a\": 1}", error);
        cleanup_json json_t *b = read_text("{\"a\":1,\"b\":[1,{\"c\":\"x\",\"d\":null}]}", error);
        cleanup_secret struct secret *x = secret_new(4096), *y = secret_new(4096), *small = secret_new(20);

        (void)state;
        assert_int_equal(json_write_secret(a, x), 0);
        assert_int_equal(json_write_secret(b, y), 0);
        assert_string_equal(secret_bytes(x), "{\"a\":1,\"b\":[1,{\"c\":\"x\",\"d\":null}]}");
        assert_true(secret_equal(x, y));

        assert_int_equal(secret_append_str(small, "kept"), 0);
        assert_int_equal(json_write_secret(a, small), -EMSGSIZE);
        assert_int_equal(json_write_secret(NULL, small), -EINVAL);
        assert_string_equal(secret_bytes(small), "kept");
}

static void text_is_compact_or_for_people(void **state)
{
        char error[160];
        cleanup_json json_t *value = read_text("{\"b\": 1, \"a\": [\"\xc3\xbc\"]}", error);
        cleanup_free char *compact = json_write(value, false), *pretty = json_write(value, true);
        cleanup_free char *none = json_write(NULL, false);

        (void)state;
        assert_string_equal(compact, "{\"b\":1,\"a\":[\"\xc3\xbc\"]}");
        assert_string_equal(pretty, "{\n  \"b\": 1,\n  \"a\": [\n    \"\xc3\xbc\"\n  ]\n}");
        assert_string_equal(none, "");
}

static void deep_nesting_is_refused(void **state)
{
        char text[5001], error[160];

        (void)state;
        memset(text, '[', 5000);
        text[5000] = '\0';
        assert_null(read_text(text, error));
}

/* A reply that was read, looked at, written and freed leaves no copy of what was in it. */
static void nothing_is_left_behind(void **state)
{
        const unsigned seed = (unsigned)getpid() + 7;
        char text[240], error[160];
        struct secret *s = secret_new(4096);
        json_t *reply;
        int head;

        (void)state;
        /* a long value: free(3) itself writes over the first bytes of a block */
        head = snprintf(text, sizeof(text), "{\"data\":{\"username\":\"u\",\"password\":\"%064d", 0);
        memscan_fill(seed, text + head);
        memcpy(text + head + MEMSCAN_LEN, "\"}}", 4);
        reply = read_text(text, error);
        assert_non_null(reply);
        secret_wipe(text, sizeof(text));
        assert_int_equal(memscan_count(seed), 1);
        assert_int_equal(json_write_secret(reply, s), 0);
        assert_int_equal(memscan_count(seed), 2);
        json_decref(reply);
        secret_free(s);
        assert_int_equal(memscan_count(seed), 0);
}

static int setup(void **state)
{
        (void)state;
        json_setup();
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_no_object_or_array_is_refused),
                cmocka_unit_test(duplicate_keys_are_refused),
                cmocka_unit_test(error_never_quotes_the_text),
                cmocka_unit_test(error_fits_its_buffer),
                cmocka_unit_test(members_are_read_by_their_type),
                cmocka_unit_test(equal_content_gives_equal_bytes),
                cmocka_unit_test(text_is_compact_or_for_people),
                cmocka_unit_test(deep_nesting_is_refused),
                cmocka_unit_test(nothing_is_left_behind),
        };

        return cmocka_run_group_tests(tests, setup, NULL);
}

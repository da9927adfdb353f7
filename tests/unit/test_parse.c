/* tests/unit/test_parse.c: what common/parse.h promises. */
#include "common/mem.h"
#include "common/parse.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void numbers_are_digits_alone(void **state)
{
        static const char *const bad[] = {"", "+1", "-1", " 1", "1 ", "0x1", "1.0", "1e3", "\xd9\xa1"};
        uint64_t value = 7;

        (void)state;
        for (size_t i = 0; i < array_len(bad); i++)
                assert_int_equal(parse_u64(bad[i], strlen(bad[i]), UINT64_MAX, &value), -EINVAL);
        assert_int_equal(parse_u64("101", 3, 100, &value), -ERANGE);
        assert_int_equal(parse_u64("18446744073709551616", 20, UINT64_MAX, &value), -ERANGE);
        assert_int_equal(parse_u64("99999999999999999999999999", 26, UINT64_MAX, &value), -ERANGE);
        assert_int_equal(parse_u64("9999999999999999999999999x", 26, UINT64_MAX, &value), -EINVAL);
        assert_int_equal(value, 7);
        assert_int_equal(parse_u64("18446744073709551615", 20, UINT64_MAX, &value), 0);
        assert_true(value == UINT64_MAX);
        assert_int_equal(parse_u64("1002", 3, 100, &value), 0);
        assert_int_equal(value, 100);
}

static void durations_are_read_as_go_writes_them(void **state)
{
        static const struct {
                const char *text;
                uint64_t usec;
        } good[] = {
                {"0", 0},
                {"0s", 0},
                {"90", 90 * USEC_PER_SEC},
                {"90s", 90 * USEC_PER_SEC},
                {"5m", 300 * USEC_PER_SEC},
                {"1h30m", 5400 * USEC_PER_SEC},
                {"1h0m30s", 3630 * USEC_PER_SEC},
                {"250ms", 250000},
                {"3us", 3},
                {"1.5h", 5400 * USEC_PER_SEC},
                {"0.25s", 250000},
                {"0.333333333333s", 333333},
                {"7d", 604800 * USEC_PER_SEC},
                {"1d12h", 129600 * USEC_PER_SEC},
        };
        static const char *const bad[] = {"",   "s",   "-1s", "+1s", "1 s",  " 1s", "1s ",
                                          "1x", "1.s", ".5s", "1.5", "1h30", "1S",  "5mm"};
        static const char *const large[] = {"9999999999999999", "99999999999999999999s", "106751991.5d", "106751992d"};
        uint64_t usec = 77;

        (void)state;
        for (size_t i = 0; i < array_len(bad); i++)
                assert_int_equal(parse_duration(bad[i], &usec), -EINVAL);
        for (size_t i = 0; i < array_len(large); i++)
                assert_int_equal(parse_duration(large[i], &usec), -ERANGE);
        assert_int_equal(parse_duration("100000000d100000000d", &usec), -ERANGE);
        assert_int_equal(usec, 77);
        for (size_t i = 0; i < array_len(good); i++) {
                assert_int_equal(parse_duration(good[i].text, &usec), 0);
                assert_true(usec == good[i].usec);
        }
}

static void names_are_1_to_64_plain_characters(void **state)
{
        char name[65];

        (void)state;
        memset(name, 'n', sizeof(name));
        assert_true(parse_is_name("db.primary-1_X", 14));
        assert_true(parse_is_name(name, 64));
        assert_false(parse_is_name(name, 65));
        assert_false(parse_is_name("", 0));
        assert_false(parse_is_name("a/b", 3));
        assert_false(parse_is_name("a b", 3));
        assert_false(parse_is_name("a\0", 2));
        assert_false(parse_is_name("\xc3\xbc", 2));
}

static void utf8_is_checked_as_rfc_3629_says(void **state)
{
        static const char *const good[] = {"",
                                           "a",
                                           "\xc2\x80",
                                           "\xdf\xbf",
                                           "\xe0\xa0\x80",
                                           "\xed\x9f\xbf",
                                           "\xee\x80\x80",
                                           "\xef\xbf\xbf",
                                           "\xf0\x90\x80\x80",
                                           "\xf4\x8f\xbf\xbf"};
        static const char *const bad[] = {"\x80",
                                          "\xc0\xaf",
                                          "\xc1\xbf",
                                          "\xe0\x9f\xbf",
                                          "\xed\xa0\x80",
                                          "\xf0\x8f\xbf\xbf",
                                          "\xf4\x90\x80\x80",
                                          "\xf5\x80\x80\x80",
                                          "\xc3",
                                          "\xe2\x82",
                                          "\xf0\x9f\x94",
                                          "\xc3(",
                                          "\xe2(\x80",
                                          "\xe2\x82(",
                                          "a\xff"};

        (void)state;
        for (size_t i = 0; i < array_len(good); i++)
                assert_true(parse_is_utf8(good[i], strlen(good[i])));
        for (size_t i = 0; i < array_len(bad); i++)
                assert_false(parse_is_utf8(bad[i], strlen(bad[i])));
        assert_true(parse_is_utf8("a\0b", 3));
        assert_int_equal(parse_utf8_chars("a\xc3\xbc\xf0\x9f\x94\x91", 7), 3);
        assert_int_equal(parse_utf8_one("\xf0\x9f\x94\x91z", 5), 4);
        assert_int_equal(parse_utf8_one("", 0), 0);
}

static void percent_needs_two_hex_digits(void **state)
{
        static const char *const bad[] = {"%", "%4", "a%", "%g0", "%0g", "%%41", "%+1"};
        char *text = NULL;
        size_t len = 9;

        (void)state;
        for (size_t i = 0; i < array_len(bad); i++)
                assert_int_equal(parse_percent(bad[i], strlen(bad[i]), false, &text, &len), -EINVAL);
        assert_null(text);
        assert_int_equal(parse_percent("%411", 3, false, &text, &len), 0); /* reads no further than its length */
        assert_string_equal(text, "A");
        mem_free(text);
        assert_int_equal(parse_percent("a%2Fb%2f+%00", 12, false, &text, &len), 0);
        assert_int_equal(len, 6);
        assert_memory_equal(text, "a/b/+\0", 7); /* the NUL it holds, and the one that is added */
        mem_free(text);
        assert_int_equal(parse_percent("a+b", 3, true, &text, &len), 0);
        assert_string_equal(text, "a b");
        mem_free(text);
}

static void form_gives_its_pairs(void **state)
{
        static const char form[] = "text=a+%26b&&empty=&alone&x=1=2&";
        static const char *const expected[][2] = {{"text", "a &b"}, {"empty", ""}, {"alone", ""}, {"x", "1=2"}};
        const char *pos = form, *end = form + sizeof(form) - 1;
        char *key, *value;
        size_t len;

        (void)state;
        for (size_t i = 0; i < array_len(expected); i++) {
                assert_int_equal(parse_form_next(&pos, end, &key, &value, &len), 1);
                assert_string_equal(key, expected[i][0]);
                assert_string_equal(value, expected[i][1]);
                assert_int_equal(len, strlen(value));
                mem_free(key);
                mem_free(value);
        }
        assert_int_equal(parse_form_next(&pos, end, &key, &value, &len), 0);
        assert_ptr_equal(pos, end);
}

static void bad_form_is_refused(void **state)
{
        static const char *const bad[] = {"a%=1", "a=%zz", "%00=1", "a%00b"};
        char *key = NULL, *value = NULL;
        size_t len;

        (void)state;
        for (size_t i = 0; i < array_len(bad); i++) {
                const char *pos = bad[i];

                assert_int_equal(parse_form_next(&pos, pos + strlen(pos), &key, &value, &len), -EINVAL);
        }
        assert_null(key);
        assert_null(value);
}

static void nearest_word_is_found(void **state)
{
        static const char *const keys[] = {"address", "socket_mode", "socket_group", "ca_cert", "grace", "path"};

        (void)state;
        assert_string_equal(parse_nearest("socket_mod", keys, array_len(keys)), "socket_mode");
        assert_string_equal(parse_nearest("sokcet_mode", keys, array_len(keys)), "socket_mode");
        assert_string_equal(parse_nearest("cacert", keys, array_len(keys)), "ca_cert");
        assert_string_equal(parse_nearest("Path", keys, array_len(keys)), "path");
        assert_string_equal(parse_nearest("gracee", keys, array_len(keys)), "grace");
        assert_null(parse_nearest("template", keys, array_len(keys)));
        assert_null(parse_nearest("x", keys, array_len(keys)));
        assert_null(parse_nearest("", keys, array_len(keys)));
        assert_null(parse_nearest("a", NULL, 0));
}

static void nearest_word_of_any_length_is_safe(void **state)
{
        char word[200], known_text[200];
        const char *known[] = {known_text};

        (void)state;
        memset(known_text, 'k', sizeof(known_text));
        for (size_t len = 0; len < sizeof(word); len++) {
                memset(word, 'k', len);
                word[len] = '\0';
                known_text[len] = '\0';
                assert_true((parse_nearest(word, known, 1) != NULL) == (len <= 64));
                known_text[len] = 'k';
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(numbers_are_digits_alone),
                cmocka_unit_test(durations_are_read_as_go_writes_them),
                cmocka_unit_test(names_are_1_to_64_plain_characters),
                cmocka_unit_test(utf8_is_checked_as_rfc_3629_says),
                cmocka_unit_test(percent_needs_two_hex_digits),
                cmocka_unit_test(form_gives_its_pairs),
                cmocka_unit_test(bad_form_is_refused),
                cmocka_unit_test(nearest_word_is_found),
                cmocka_unit_test(nearest_word_of_any_length_is_safe),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_log.c: what common/log.h promises. */
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CAPTURE_MAX 65536

static int saved_stderr, read_fd;
static char captured[CAPTURE_MAX];

/* From here on stderr is a pipe of ours. */
static int capture(void **state)
{
        int fds[2];

        (void)state;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -1;
        fcntl(fds[0], F_SETFL, O_NONBLOCK);
        saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
        dup2(fds[1], STDERR_FILENO);
        close(fds[1]);
        read_fd = fds[0];
        unsetenv("JOURNAL_STREAM");
        log_setup("tester", LOG_LEVEL_DEBUG, false);
        return 0;
}

static int release(void **state)
{
        (void)state;
        dup2(saved_stderr, STDERR_FILENO);
        close(saved_stderr);
        close(read_fd);
        return 0;
}

static const char *logged(void)
{
        size_t len = 0;
        ssize_t n;

        while ((n = read(read_fd, captured + len, sizeof(captured) - 1 - len)) > 0)
                len += (size_t)n;
        captured[len] = '\0';
        return captured;
}

static void assert_matches(const char *text, const char *pattern)
{
        regex_t re;

        assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
        if (regexec(&re, text, 0, NULL, 0) != 0)
                fail_msg("\"%s\" does not match %s", text, pattern);
        regfree(&re);
}

static void text_line_has_time_and_level(void **state)
{
        (void)state;
        log_warn("db: %s (%d)", "sealed", 503);
        assert_matches(
                logged(),
                "^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z warn db: sealed \\(503\\)\n$");
}

static void journal_line_has_a_priority(void **state)
{
        char stream[64];
        struct stat st;

        (void)state;
        assert_int_equal(fstat(STDERR_FILENO, &st), 0);
        snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        log_setup("tester", LOG_LEVEL_TRACE, false);
        log_error("e");
        log_warn("w");
        log_info("i");
        log_debug("d");
        log_msg(LOG_LEVEL_TRACE, "t");
        assert_string_equal(logged(), "<3>e\n<4>w\n<6>i\n<7>d\n<7>t\n");
}

static void another_journal_stream_means_text(void **state)
{
        (void)state;
        setenv("JOURNAL_STREAM", "1:1", 1);
        log_setup("tester", LOG_LEVEL_INFO, false);
        log_info("x");
        assert_matches(logged(), "Z info x\n$");
}

static void levels_below_are_left_out(void **state)
{
        (void)state;
        log_setup("tester", LOG_LEVEL_WARN, false);
        assert_true(log_enabled(LOG_LEVEL_ERROR));
        assert_false(log_enabled(LOG_LEVEL_INFO));
        log_info("not this");
        assert_string_equal(logged(), "");
}

static void level_names_are_read(void **state)
{
        enum log_level level = LOG_LEVEL_TRACE;

        (void)state;
        assert_int_equal(log_level_parse("err", &level), 0);
        assert_int_equal(level, LOG_LEVEL_ERROR);
        assert_int_equal(log_level_parse("WARN", &level), 0);
        assert_int_equal(level, LOG_LEVEL_WARN);
        assert_int_equal(log_level_parse("trace", &level), 0);
        assert_int_equal(level, LOG_LEVEL_TRACE);
        assert_int_equal(log_level_parse("", &level), -EINVAL);
        assert_int_equal(log_level_parse("warning!", &level), -EINVAL);
        assert_int_equal(level, LOG_LEVEL_TRACE);
}

/* Nobody forges a second line or drives the terminal. */
static void one_event_is_one_line(void **state)
{
        const char *text;

        (void)state;
        log_info("a\nb\r\t\x1b[31m\x7f \xc2\x9b \xff gr\xc3\xbc\xc3\x9f");
        text = logged();
        assert_non_null(strstr(text, "a\\nb\\r\\t\\x1b[31m\\x7f \\xc2\\x9b \\xff gr\xc3\xbc\xc3\x9f\n"));
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void json_line_is_an_object(void **state)
{
        const char *message = "say \"hi\" \\ \n \x01 \xff end";
        char error[128] = "";
        const char *text;
        json_t *line;

        (void)state;
        log_setup("tester", LOG_LEVEL_INFO, true);
        log_error("%s", message);
        text = logged();
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
        line = json_read(text, strlen(text), error, sizeof(error));
        assert_string_equal(error, "");
        assert_int_equal(json_object_size(line), 4);
        assert_string_equal(json_str(line, "level"), "error");
        assert_string_equal(json_str(line, "program"), "tester");
        assert_string_equal(json_str(line, "message"), "say \"hi\" \\ \n \x01 \xef\xbf\xbd end");
        assert_matches(json_str(line, "time"), "^20.*\\.[0-9]{3}Z$");
        json_decref(line);
}

/* A line that programs count: words for the eye, members for what collects JSON. */
static void fields_are_members_of_the_object(void **state)
{
        const struct log_field fields[] = {
                {"method", "GET", 0}, {"reason", "a \"b\"\n", 0}, {"bytes", NULL, UINT64_MAX}};
        char error[128] = "";
        const char *text;
        json_t *line;

        (void)state;
        log_fields(LOG_LEVEL_INFO, "request", fields, 2);
        assert_matches(logged(), "Z info request method=GET reason=\"a \"b\"\\\\n\"\n$");
        log_fields(LOG_LEVEL_INFO, "request", fields + 2, 1);
        assert_matches(logged(), "Z info request bytes=18446744073709551615\n$");
        log_setup("tester", LOG_LEVEL_INFO, true);
        log_fields(LOG_LEVEL_INFO, "request", fields, 2);
        log_fields(LOG_LEVEL_DEBUG, "request", fields, 2);
        text = logged();
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
        line = json_read(text, strlen(text), error, sizeof(error));
        assert_string_equal(error, "");
        assert_int_equal(json_object_size(line), 6);
        assert_string_equal(json_str(line, "message"), "request");
        assert_string_equal(json_str(line, "method"), "GET");
        assert_string_equal(json_str(line, "reason"), "a \"b\"\n");
        json_decref(line);
        log_fields(LOG_LEVEL_INFO, "request", &(struct log_field){"usec", NULL, 7}, 1);
        assert_non_null(strstr(logged(), "\"message\":\"request\",\"usec\":7}\n"));
}

/* Whatever stands in them, the line is whole: one object and no more than a pipe takes in one piece. */
static void the_longest_fields_fit_into_a_line(void **state)
{
        cleanup_free char *bell = mem_new(1001);
        struct log_field fields[8];
        const char *text;
        json_t *line;

        (void)state;
        memset(bell, '\a', 1000);
        for (size_t i = 0; i < array_len(fields); i++)
                fields[i] = (struct log_field){"a_long_name", bell, 0};
        log_setup("tester", LOG_LEVEL_INFO, true);
        log_fields(LOG_LEVEL_INFO, "request", fields, array_len(fields));
        text = logged();
        assert_in_range(strlen(text), 3000, 4096);
        line = json_loads(text, 0, NULL);
        assert_non_null(line);
        json_decref(line);
}

static void long_line_is_cut_at_4_kib(void **state)
{
        cleanup_free char *quotes = mem_new(6001), *umlauts = mem_new(6001);
        char error[128] = "";
        const char *text;
        json_t *line;

        (void)state;
        memset(quotes, '"', 6000);
        for (size_t i = 0; i < 6000; i += 2)
                memcpy(umlauts + i, "\xc3\xbc", 2);
        log_info("%s", umlauts);
        text = logged();
        assert_in_range(strlen(text), 4000, 4096);
        assert_string_equal(text + strlen(text) - 6, "\xc3\xbc...\n");

        log_setup("tester", LOG_LEVEL_INFO, true);
        log_info("%s", quotes);
        text = logged();
        assert_in_range(strlen(text), 4000, 4096);
        line = json_read(text, strlen(text), error, sizeof(error));
        assert_string_equal(error, "");
        json_decref(line);
}

/* A journal that hangs must not hang the daemon; what it missed is counted. */
static void unread_stderr_stops_nothing(void **state)
{
        cleanup_free char *text = mem_new(1001);
        const char *after;

        (void)state;
        memset(text, 'x', 1000);
        fcntl(STDERR_FILENO, F_SETPIPE_SZ, 8192);
        for (int i = 0; i < 40; i++)
                log_info("%s", text);
        logged();
        log_info("after");
        after = logged();
        assert_matches(after, "warn log: [1-9][0-9]* lines lost: nobody read stderr\n.* info after\n$");
}

static void errno_is_kept(void **state)
{
        (void)state;
        errno = EXDEV;
        log_info("x");
        assert_int_equal(errno, EXDEV);
        logged();
}

#define CAPTURED(test) cmocka_unit_test_setup_teardown(test, capture, release)

int main(void)
{
        const struct CMUnitTest tests[] = {
                CAPTURED(text_line_has_time_and_level),
                CAPTURED(journal_line_has_a_priority),
                CAPTURED(another_journal_stream_means_text),
                CAPTURED(levels_below_are_left_out),
                CAPTURED(level_names_are_read),
                CAPTURED(one_event_is_one_line),
                CAPTURED(json_line_is_an_object),
                CAPTURED(fields_are_members_of_the_object),
                CAPTURED(the_longest_fields_fit_into_a_line),
                CAPTURED(long_line_is_cut_at_4_kib),
                CAPTURED(unread_stderr_stops_nothing),
                CAPTURED(errno_is_kept),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

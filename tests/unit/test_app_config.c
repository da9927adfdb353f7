/* tests/unit/test_app_config.c: the command line of notesd and its environment. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/config.h"
#include "common/mem.h"
#include "common/parse.h"

static int read_words(struct app_config *c, char **error, const char *const *words)
{
        char *argv[24] = {mem_strdup("notesd")};
        int argc = 1, r;

        for (; words[argc - 1]; argc++)
                argv[argc] = mem_strdup(words[argc - 1]);
        r = app_config_read(argc, argv, c, error);
        for (int i = 0; i < argc; i++)
                mem_free(argv[i]);
        return r;
}

#define READ(...) read_words(&c, &error, (const char *const[]){__VA_ARGS__, NULL})

static int clear_environment(void **state)
{
        static const char *const names[] = {
                "NOTESD_LISTEN",     "NOTESD_AGENT",           "NOTESD_DB_SECRET",        "NOTESD_TLS_SECRET",
                "NOTESD_LOG_LEVEL",  "NOTESD_DB_WAIT",         "NOTESD_CONSUMER",         "NOTESD_DB_INFO_SECRET",
                "NOTESD_LOG_FORMAT", "NOTESD_MAX_CONNECTIONS", "NOTESD_CLIENT_CA_SECRET", "NOTESD_DB_LATENCY",
                "NOTESD_ACCESS_LOG"};

        (void)state;
        for (size_t i = 0; i < array_len(names); i++)
                unsetenv(names[i]);
        return 0;
}

static void defaults_suit_one_machine(void **state)
{
        const char *const none[] = {NULL};
        struct app_config c;
        char *error = NULL;

        (void)state;
        assert_int_equal(read_words(&c, &error, none), 0);
        assert_int_equal(c.listens_len, 1);
        assert_string_equal(c.listens[0].address, "127.0.0.1:5000");
        assert_false(c.listens[0].is_tls);
        assert_false(app_config_has_tls(&c));
        assert_string_equal(c.agent, "/run/leasekeeper/agent.sock");
        assert_string_equal(c.db_secret, "db");
        assert_string_equal(c.db_info_secret, "dbinfo");
        assert_string_equal(c.tls_secret, "tls");
        assert_int_equal(c.conns_max, 4096);
        assert_true(c.db_wait_usec == 5 * USEC_PER_SEC);
        assert_int_equal(c.log_level, LOG_LEVEL_INFO);
        app_config_done(&c);
}

static void default_consumer_is_a_proper_name(void **state)
{
        const char *const none[] = {NULL};
        char pid[32], *error = NULL;
        struct app_config c;

        (void)state;
        snprintf(pid, sizeof(pid), "-%ld", (long)getpid());
        assert_int_equal(read_words(&c, &error, none), 0);
        assert_true(parse_is_name(c.consumer, strlen(c.consumer)));
        assert_non_null(strstr(c.consumer, pid));
        app_config_done(&c);
}

static void listen_is_repeatable_and_knows_tls(void **state)
{
        struct app_config c;
        char *error = NULL;

        (void)state;
        assert_int_equal(READ("--listen", "http://[::1]:5000/", "--listen=https://127.0.0.1:5443"), 0);
        assert_int_equal(c.listens_len, 2);
        assert_string_equal(c.listens[0].address, "[::1]:5000");
        assert_string_equal(c.listens[1].address, "127.0.0.1:5443");
        assert_true(c.listens[1].is_tls);
        assert_true(app_config_has_tls(&c));
        app_config_done(&c);
}

static void environment_is_read_and_the_command_line_goes_first(void **state)
{
        struct app_config c;
        char *error = NULL;

        (void)state;
        setenv("NOTESD_LISTEN", " http://127.0.0.1:1  https://127.0.0.1:2 ", 1);
        setenv("NOTESD_DB_WAIT", "250ms", 1);
        setenv("NOTESD_DB_SECRET", "from-environment", 1);
        setenv("NOTESD_CONSUMER", "", 1);
        assert_int_equal(READ("--db-secret", "from-line", "--log-level", "debug"), 0);
        assert_int_equal(c.listens_len, 2);
        assert_true(c.listens[1].is_tls);
        assert_true(c.db_wait_usec == 250 * USEC_PER_MSEC);
        assert_string_equal(c.db_secret, "from-line");
        assert_int_equal(c.log_level, LOG_LEVEL_DEBUG);
        app_config_done(&c);

        /* A list in the environment is not added to the one of the line. */
        assert_int_equal(READ("--listen", "http://127.0.0.1:3"), 0);
        assert_int_equal(c.listens_len, 1);
        app_config_done(&c);
}

static void clients_may_be_asked_for_a_certificate(void **state)
{
        struct app_config c;
        char *error = NULL;

        (void)state;
        assert_int_equal(READ("--listen", "https://127.0.0.1:1", "--client-ca-secret", "tls"), -EINVAL);
        assert_non_null(strstr(error, "different secrets"));
        mem_free(error);
        assert_int_equal(READ("--listen", "https://127.0.0.1:1", "--client-ca-secret", "clients"), 0);
        assert_string_equal(c.client_ca_secret, "clients");
        app_config_done(&c);
}

static void latency_is_off_and_the_access_log_on_unless_asked_otherwise(void **state)
{
        const char *const none[] = {NULL};
        struct app_config c;
        char *error = NULL;

        (void)state;
        assert_int_equal(read_words(&c, &error, none), 0);
        assert_int_equal(c.db_latency.shape, LATENCY_OFF);
        assert_null(c.db_latency_text);
        assert_true(c.access_log);
        app_config_done(&c);
        assert_int_equal(READ("--db-latency", "fixed:20ms", "--access-log", "off"), 0);
        assert_int_equal(c.db_latency.shape, LATENCY_FIXED);
        assert_string_equal(c.db_latency_text, "fixed:20ms");
        assert_false(c.access_log);
        app_config_done(&c);
}

static void wrong_use_gets_one_line_that_names_it(void **state)
{
        static const struct {
                const char *words[4];
                const char *says;
        } wrong[] = {
                {{"--bogus"}, "--bogus"},
                {{"--agent"}, "--agent needs a value"},
                {{"--listen", "ftp://127.0.0.1:21"}, "--listen"},
                {{"--listen", "http://"}, "--listen"},
                {{"--listen", "http://127.0.0.1:80/path"}, "--listen"},
                {{"--listen", "http://nowhere"}, "--listen"},
                {{"--max-connections", "0"}, "--max-connections"},
                {{"--max-connections", "+5"}, "--max-connections"},
                {{"--db-wait", "soon"}, "--db-wait"},
                {{"--db-wait", "10m"}, "--db-wait"},
                {{"--consumer", "a b"}, "--consumer"},
                {{"--db-secret", "../db"}, "--db-secret"},
                {{"--db-secret", ".db"}, "--db-secret"},
                {{"--log-level", "loud"}, "--log-level"},
                {{"--log-format", "xml"}, "--log-format"},
                {{"--agent", ""}, "--agent"},
                {{"stray"}, "stray"},
                {{"--db-secret", "dbinfo"}, "different secrets"},
                {{"--client-ca-secret", "ca"}, "https listener"},
                {{"--access-log", "yes"}, "on or off"},
                {{"--db-latency", "slow"}, "fixed:20ms"},
                {{"--db-latency", "fixed:1h"}, "fixed:20ms"},
        };

        (void)state;
        for (size_t i = 0; i < array_len(wrong); i++) {
                struct app_config c;
                char *error = NULL;

                assert_int_equal(read_words(&c, &error, wrong[i].words), -EINVAL);
                assert_non_null(error);
                assert_non_null(strstr(error, wrong[i].says));
                assert_null(strchr(error, '\n'));
                mem_free(error);
        }
}

static void a_wrong_environment_names_its_variable(void **state)
{
        const char *const none[] = {NULL};
        struct app_config c;
        char *error = NULL;

        (void)state;
        setenv("NOTESD_MAX_CONNECTIONS", "many", 1);
        assert_int_equal(read_words(&c, &error, none), -EINVAL);
        assert_non_null(strstr(error, "NOTESD_MAX_CONNECTIONS"));
        mem_free(error);
}

static void help_and_version_are_told_apart(void **state)
{
        struct app_config c;
        char *error = NULL;

        (void)state;
        assert_int_equal(READ("--help"), APP_CONFIG_HELP);
        assert_int_equal(READ("--agent", "/x", "--version"), APP_CONFIG_VERSION);
        assert_null(error);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(defaults_suit_one_machine, clear_environment),
                cmocka_unit_test_setup(default_consumer_is_a_proper_name, clear_environment),
                cmocka_unit_test_setup(listen_is_repeatable_and_knows_tls, clear_environment),
                cmocka_unit_test_setup(environment_is_read_and_the_command_line_goes_first, clear_environment),
                cmocka_unit_test_setup(clients_may_be_asked_for_a_certificate, clear_environment),
                cmocka_unit_test_setup(latency_is_off_and_the_access_log_on_unless_asked_otherwise, clear_environment),
                cmocka_unit_test_setup(wrong_use_gets_one_line_that_names_it, clear_environment),
                cmocka_unit_test_setup(a_wrong_environment_names_its_variable, clear_environment),
                cmocka_unit_test_setup(help_and_version_are_told_apart, clear_environment),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_db_secret.c: what the database secrets may hold, and how what is wrong is said. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/db_secret.h"
#include "app/db_swap.h"
#include "common/mem.h"
#include "common/secret.h"

static json_t *json(const char *text)
{
        char error[160];
        json_t *value = json_read(text, strlen(text), error, sizeof(error));

        if (!value)
                fail_msg("%s: %s", error, text);
        return value;
}

static struct db_place place_of(const char *text)
{
        cleanup_json json_t *data = json(text);
        struct db_place place;
        char *error = NULL;

        if (db_secret_place(data, 5, &place, &error) < 0)
                fail_msg("%s: %s", error, text);
        return place;
}

static void place_done(struct db_place *p)
{
        mem_free(p->host);
        mem_free(p->socket);
        mem_free(p->database);
        mem_free(p->ca_cert);
}

static void a_place_is_a_host_with_a_port_of_either_kind(void **state)
{
        static const struct {
                const char *text;
                unsigned port;
        } right[] = {
                {"{\"host\":\"db\",\"database\":\"notes\"}", 3306},
                {"{\"host\":\"db\",\"port\":null,\"database\":\"notes\"}", 3306},
                {"{\"host\":\"db\",\"port\":\"\",\"database\":\"notes\"}", 3306},
                {"{\"host\":\"db\",\"port\":3307,\"database\":\"notes\"}", 3307},
                {"{\"host\":\"db\",\"port\":\"3307\",\"database\":\"notes\",\"socket\":\"\"}", 3307},
                {"{\"host\":\"db\",\"port\":65535,\"database\":\"notes\",\"future\":[1]}", 65535},
        };

        (void)state;
        for (size_t i = 0; i < array_len(right); i++) {
                struct db_place p = place_of(right[i].text);

                assert_true(p.version == 5);
                assert_string_equal(p.host, "db");
                assert_int_equal(p.port, right[i].port);
                assert_null(p.socket);
                assert_null(p.ca_cert);
                assert_string_equal(p.database, "notes");
                place_done(&p);
        }
}

static void a_place_is_a_socket_or_a_list_of_hosts(void **state)
{
        struct db_place p = place_of("{\"socket\":\"/run/mysqld.sock\",\"database\":\"n\"}");

        (void)state;
        assert_string_equal(p.socket, "/run/mysqld.sock");
        assert_null(p.host);
        place_done(&p);
        p = place_of("{\"host\":\"db1:3306,db2:3306\",\"database\":\"n\","
                     "\"ca_cert\":\"-----BEGIN CERTIFICATE-----\\nx\\n\"}");
        assert_string_equal(p.host, "db1:3306,db2:3306");
        assert_non_null(p.ca_cert);
        place_done(&p);
}

static void a_wrong_place_is_named(void **state)
{
        static const struct {
                const char *text, *says;
        } wrong[] = {
                {"{}", "where is the database"},
                {"{\"database\":\"n\"}", "where is the database"},
                {"{\"host\":\"\",\"database\":\"n\"}", "where is the database"},
                {"{\"host\":\"db\",\"socket\":\"/s\",\"database\":\"n\"}", "not both"},
                {"{\"host\":5,\"database\":\"n\"}", "\"host\""},
                {"{\"host\":\"a b\",\"database\":\"n\"}", "\"host\""},
                {"{\"host\":\"a,\",\"database\":\"n\"}", "\"host\""},
                {"{\"host\":\"a,,b\",\"database\":\"n\"}", "\"host\""},
                {"{\"host\":\"a;b\",\"database\":\"n\"}", "\"host\""},
                {"{\"socket\":\"run/s\",\"database\":\"n\"}", "\"socket\""},
                {"{\"socket\":true,\"database\":\"n\"}", "\"socket\""},
                {"{\"host\":\"db\"}", "\"database\""},
                {"{\"host\":\"db\",\"database\":\"\"}", "\"database\""},
                {"{\"host\":\"db\",\"database\":7}", "\"database\""},
                {"{\"host\":\"db\",\"port\":0,\"database\":\"n\"}", "\"port\""},
                {"{\"host\":\"db\",\"port\":65536,\"database\":\"n\"}", "\"port\""},
                {"{\"host\":\"db\",\"port\":-1,\"database\":\"n\"}", "\"port\""},
                {"{\"host\":\"db\",\"port\":\"3306x\",\"database\":\"n\"}", "\"port\""},
                {"{\"host\":\"db\",\"port\":3306.5,\"database\":\"n\"}", "\"port\""},
                {"{\"host\":\"db\",\"port\":[],\"database\":\"n\"}", "\"port\""},
                {"{\"host\":\"db\",\"database\":\"n\",\"ca_cert\":\"/etc/ca.pem\"}", "\"ca_cert\""},
                {"{\"host\":\"db\",\"database\":\"n\",\"ca_cert\":true}", "\"ca_cert\""},
        };

        (void)state;
        for (size_t i = 0; i < array_len(wrong); i++) {
                cleanup_json json_t *data = json(wrong[i].text);
                struct db_place place;
                char *error = NULL;

                assert_int_equal(db_secret_place(data, 5, &place, &error), -EINVAL);
                if (!strstr(error, wrong[i].says))
                        fail_msg("%s: %s", wrong[i].text, error);
                mem_free(error);
        }
}

static void a_login_is_a_username_and_a_password(void **state)
{
        cleanup_json json_t *data = json("{\"username\":\"u\",\"password\":\"-p\"}");
        struct db_login login;
        char *error = NULL;

        (void)state;
        assert_int_equal(db_secret_login(data, 7, &login, &error), 0);
        assert_true(login.version == 7);
        assert_string_equal(secret_bytes(login.username), "u");
        assert_string_equal(secret_bytes(login.password), "-p");
        secret_free(login.username);
        secret_free(login.password);
}

static void a_wrong_login_is_named_without_its_value(void **state)
{
        static const char *const wrong[] = {"{}", "{\"username\":\"hunter2\"}", "{\"password\":\"hunter2\"}",
                                            "{\"username\":\"\",\"password\":\"hunter2\"}",
                                            "{\"username\":\"u\",\"password\":[\"hunter2\"]}"};

        (void)state;
        for (size_t i = 0; i < array_len(wrong); i++) {
                cleanup_json json_t *data = json(wrong[i]);
                struct db_login login;
                char *error = NULL;

                assert_int_equal(db_secret_login(data, 7, &login, &error), -EINVAL);
                assert_null(strstr(error, "hunter2"));
                mem_free(error);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_place_is_a_host_with_a_port_of_either_kind),
                cmocka_unit_test(a_place_is_a_socket_or_a_list_of_hosts),
                cmocka_unit_test(a_wrong_place_is_named),
                cmocka_unit_test(a_login_is_a_username_and_a_password),
                cmocka_unit_test(a_wrong_login_is_named_without_its_value),
        };

        json_setup();
        return cmocka_run_group_tests(tests, NULL, NULL);
}

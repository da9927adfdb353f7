/* tests/unit/test_db_host.c: hosts out of a list, statements and what a server's version means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/db_host.h"
#include "app/db_sql.h"
#include "common/mem.h"

static void assert_pick(const char *list, size_t index, const char *want_host, unsigned want_port)
{
        unsigned port = 0;
        char *host cleanup_free = db_host_pick(list, index, 3306, &port);

        assert_string_equal(host, want_host);
        assert_int_equal(port, want_port);
}

static void a_host_may_hold_a_port(void **state)
{
        (void)state;
        assert_pick("db", 0, "db", 3306);
        assert_pick("db:3307", 0, "db", 3307);
        assert_pick("10.0.0.1:1", 0, "10.0.0.1", 1);
        assert_pick("::1", 0, "::1", 3306);
        assert_pick("fe80::1%eth0", 0, "fe80::1%eth0", 3306);
        assert_pick("[::1]", 0, "::1", 3306);
        assert_pick("[::1]:3307", 0, "::1", 3307);
}

/* What is no port stays part of the name, which then is found nowhere: better than another port than was meant. */
static void a_bad_port_is_no_port(void **state)
{
        (void)state;
        assert_pick("db:", 0, "db:", 3306);
        assert_pick("db:0", 0, "db:0", 3306);
        assert_pick("db:65536", 0, "db:65536", 3306);
        assert_pick("db:x", 0, "db:x", 3306);
        assert_pick("[", 0, "[", 3306);
        assert_pick("", 0, "", 3306);
}

static void lists_are_told_apart(void **state)
{
        static const char list[] = "db1:3306,[::1]:3307,db3";

        (void)state;
        assert_int_equal(db_host_count(NULL), 1);
        assert_int_equal(db_host_count("db"), 1);
        assert_int_equal(db_host_count(list), 3);
        assert_pick(list, 0, "db1", 3306);
        assert_pick(list, 1, "::1", 3307);
        assert_pick(list, 2, "db3", 3306);
        assert_pick("db1,db2:5", 0, "db1", 3306);
}

static void only_mariadb_from_10_5_on_has_returning(void **state)
{
        (void)state;
        assert_true(db_sql_has_returning("10.11.19-MariaDB-0+deb12u1"));
        assert_true(db_sql_has_returning("5.5.5-10.5.1-MariaDB"));
        assert_true(db_sql_has_returning("11.8.6-MariaDB"));
        assert_false(db_sql_has_returning("5.5.5-10.4.3-MariaDB"));
        assert_false(db_sql_has_returning("10.4.30-MariaDB"));
        assert_false(db_sql_has_returning("8.4.2"));
        assert_false(db_sql_has_returning("9.7.4-1"));
        assert_false(db_sql_has_returning("MariaDB"));
        assert_false(db_sql_has_returning(""));
}

static void statements_have_a_place_for_each_row(void **state)
{
        char *one = db_sql_insert(1, false), *three = db_sql_insert(3, true), *find = db_sql_find(2);

        (void)state;
        assert_string_equal(one, "INSERT INTO notes (text, idempotency_key) VALUES (?, ?)");
        assert_string_equal(three, "INSERT INTO notes (text, idempotency_key) VALUES (?, ?), (?, ?), (?, ?)"
                                   " RETURNING id, created_at, idempotency_key");
        assert_string_equal(find,
                            "SELECT id, created_at, text, idempotency_key FROM notes WHERE idempotency_key IN (?, ?)");
        mem_free(one);
        mem_free(three);
        mem_free(find);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_host_may_hold_a_port),
                cmocka_unit_test(a_bad_port_is_no_port),
                cmocka_unit_test(lists_are_told_apart),
                cmocka_unit_test(only_mariadb_from_10_5_on_has_returning),
                cmocka_unit_test(statements_have_a_place_for_each_row),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

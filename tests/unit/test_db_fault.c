/* tests/unit/test_db_fault.c: what an error of the database means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/db_fault.h"
#include "common/mem.h"

static void assert_all(const unsigned *codes, size_t len, bool dialling, enum db_fault want)
{
        for (size_t i = 0; i < len; i++)
                if (db_fault_of(codes[i], dialling) != want)
                        fail_msg("%u is %s", codes[i], db_fault_text(db_fault_of(codes[i], dialling)));
}

static void refused_logins_are_denied(void **state)
{
        static const unsigned codes[] = {1045, 1130, 1698, 1820, 1862, 3118, 3955, 4151};

        (void)state;
        assert_all(codes, array_len(codes), true, DB_DENIED);
}

static void a_full_server_is_busy_and_no_denial(void **state)
{
        static const unsigned codes[] = {1040, 1203, 1226, 1205, 1213, 1021, 1114, 1969, 3024};

        (void)state;
        assert_all(codes, array_len(codes), true, DB_BUSY);
        assert_all(codes, array_len(codes), false, DB_BUSY);
}

/* Nothing was written, and another host may take it: neither busy nor lost. */
static void a_demoted_primary_is_read_only(void **state)
{
        static const unsigned codes[] = {1290, 1792, 1836};

        (void)state;
        assert_all(codes, array_len(codes), true, DB_READ_ONLY);
        assert_all(codes, array_len(codes), false, DB_READ_ONLY);
}

static void missing_grants_are_no_denial(void **state)
{
        static const unsigned codes[] = {1044, 1049, 1142, 1143, 1146};

        (void)state;
        assert_all(codes, array_len(codes), true, DB_REFUSED);
        assert_all(codes, array_len(codes), false, DB_REFUSED);
}

/* A code that leaves the outcome open must never look like one that says "nothing was written". */
static void lost_sessions_leave_the_outcome_open(void **state)
{
        static const unsigned codes[] = {1047, 2006, 2013, 2055, 2014, 2027, 1243, 1927,
                                         4031, 1053, 1180, 1158, 1161, 3169, 5001};

        (void)state;
        assert_all(codes, array_len(codes), false, DB_DEAD);
}

static void failed_dials_are_unreachable(void **state)
{
        static const unsigned codes[] = {1047, 2002, 2003, 2005, 2013, 2026, 2059, 1053, 5000};

        (void)state;
        assert_all(codes, array_len(codes), true, DB_UNREACHABLE);
}

static void bad_rows_are_told_from_duplicates(void **state)
{
        static const unsigned rows[] = {1406, 1366, 1048, 1264, 4025};

        (void)state;
        assert_all(rows, array_len(rows), false, DB_ROW);
        assert_int_equal(db_fault_of(1062, false), DB_DUPLICATE);
        assert_int_equal(db_fault_of(1586, false), DB_DUPLICATE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(refused_logins_are_denied),
                cmocka_unit_test(a_full_server_is_busy_and_no_denial),
                cmocka_unit_test(a_demoted_primary_is_read_only),
                cmocka_unit_test(missing_grants_are_no_denial),
                cmocka_unit_test(lost_sessions_leave_the_outcome_open),
                cmocka_unit_test(failed_dials_are_unreachable),
                cmocka_unit_test(bad_rows_are_told_from_duplicates),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

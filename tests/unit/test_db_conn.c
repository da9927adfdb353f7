/* tests/unit/test_db_conn.c: one session against a real server: what goes in comes out, and each failure is called by its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/db_conn.h"
#include "app/db_swap.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"
#include "tests/unit/support_mariadb.h"

#define PASSWORD "correct-horse-7"

static int set_up(void **state)
{
        db_thread_begin();
        mariadb_set_up(state);
        if (server)
                mariadb_sql(server, "ALTER USER app IDENTIFIED BY '" PASSWORD "'");
        return 0;
}

static int tear_down(void **state)
{
        db_thread_end();
        return mariadb_tear_down(state);
}

static struct db_place by_socket(void)
{
        return (struct db_place){.version = 1,
                                 .socket = (char *)(uintptr_t)mariadb_socket(server),
                                 .database = (char *)(uintptr_t)mariadb_database()};
}

static struct db_place by_tcp(const char *host)
{
        return (struct db_place){.version = 1,
                                 .host = (char *)(uintptr_t)host,
                                 .port = mariadb_port(server),
                                 .database = (char *)(uintptr_t)mariadb_database()};
}

static int open_as(const char *user, const char *password, const struct db_place *place, char error[DB_ERROR_LEN],
                   struct db_conn **ret_conn)
{
        struct db_login login = {.version = 1,
                                 .username = secret_new_from(user, strlen(user)),
                                 .password = secret_new_from(password, strlen(password))};
        int r = db_conn_open(&login, place, 0, error, ret_conn);

        secret_free(login.username);
        secret_free(login.password);
        return r;
}

static struct db_conn *session(void)
{
        struct db_place place = by_socket();
        struct db_conn *conn = NULL;
        char error[DB_ERROR_LEN] = "";

        if (open_as("app", PASSWORD, &place, error, &conn) != 0)
                fail_msg("%s", error);
        return conn;
}

static struct db_key key_of(const char *text)
{
        struct db_key key = {.len = strlen(text)};

        memcpy(key.bytes, text, key.len);
        return key;
}

static int insert_one(struct db_conn *conn, const char *text, size_t len, const char *key_text, uint64_t *ret_id)
{
        struct db_key key = key_of(key_text);
        struct db_insert row = {.text = text, .text_len = len, .key = &key};
        int r = db_conn_insert(conn, &row, 1);

        *ret_id = row.id;
        return r;
}

/* Text comes back byte by byte: 4-byte characters, NUL, trailing blanks, combining marks, quotes, the longest there is. */
static void text_is_kept_exactly(void **state)
{
        static const struct {
                const char *text;
                size_t len;
        } cases[] = {
                {"\0", 1},
                {"a\0b\0", 4},
                {"trailing blanks   ", 18},
                {"\xF0\x9F\xA6\x84 unicorn \xF4\x8F\xBF\xBF", 17},
                {"e\xCC\x81 \xC3\xA9 \xEF\xBB\xBF \xE2\x80\xAE", 15},
                {"'; DROP TABLE notes; -- \\ % _ \" ` \r\n\t\x1a", 38},
                {" ", 1},
        };
        char *longest = mem_new(4 * NOTES_TEXT_CHARS_MAX);
        struct db_conn *conn;
        struct db_rows *rows;
        uint64_t id;

        need_server();
        conn = session();
        for (size_t i = 0; i < array_len(cases); i++) {
                char key[16];

                snprintf(key, sizeof(key), "k%zu", i);
                assert_int_equal(insert_one(conn, cases[i].text, cases[i].len, key, &id), 0);
                assert_int_equal(db_conn_get(conn, id, &rows), 0);
                assert_int_equal(rows->len, 1);
                assert_int_equal(rows->items[0].text_len, cases[i].len);
                assert_memory_equal(rows->items[0].text, cases[i].text, cases[i].len);
                db_rows_free(rows);
        }
        for (size_t i = 0; i < NOTES_TEXT_CHARS_MAX; i++)
                memcpy(longest + 4 * i, "\xF0\x9F\xA6\x84", 4);
        assert_int_equal(insert_one(conn, longest, (size_t)4 * NOTES_TEXT_CHARS_MAX, "long", &id), 0);
        assert_int_equal(db_conn_list(conn, 1, 0, &rows), 0);
        assert_int_equal(rows->items[0].text_len, 4 * NOTES_TEXT_CHARS_MAX);
        assert_memory_equal(rows->items[0].text, longest, (size_t)4 * NOTES_TEXT_CHARS_MAX);
        db_rows_free(rows);
        mem_free(longest);
        db_conn_close(conn);
}

static void a_bad_row_is_refused_and_the_session_lives(void **state)
{
        struct db_conn *conn;
        char *too_long = mem_new(NOTES_TEXT_CHARS_MAX + 2);
        uint64_t id;

        need_server();
        conn = session();
        memset(too_long, 'x', NOTES_TEXT_CHARS_MAX + 1);
        assert_int_equal(insert_one(conn, too_long, NOTES_TEXT_CHARS_MAX + 1, "k", &id), DB_ROW);
        assert_int_equal(insert_one(conn, "\xFF\xFE", 2, "k", &id), DB_ROW);
        assert_int_equal(insert_one(conn, "good", 4, "k", &id), 0);
        assert_int_equal(mariadb_number(server, "SELECT COUNT(*) FROM notes"), 1);
        mem_free(too_long);
        db_conn_close(conn);
}

/* Each row of a statement gets its own id, while another session inserts in between. */
static void ids_belong_to_their_rows(void **state)
{
        struct db_conn *conn, *other;
        struct db_insert rows[DB_BATCH_MAX];
        struct db_key keys[DB_BATCH_MAX];
        char texts[DB_BATCH_MAX][16];
        uint64_t id;

        need_server();
        conn = session();
        other = session();
        for (size_t len = 1; len <= DB_BATCH_MAX; len += 7) {
                for (size_t i = 0; i < len; i++) {
                        snprintf(texts[i], sizeof(texts[i]), "%zu-%zu", len, i);
                        keys[i] = key_of(texts[i]);
                        rows[i] = (struct db_insert){.text = texts[i], .text_len = strlen(texts[i]), .key = &keys[i]};
                }
                assert_int_equal(db_conn_insert(conn, rows, len), 0);
                snprintf(texts[0], sizeof(texts[0]), "other %zu", len);
                assert_int_equal(insert_one(other, texts[0], strlen(texts[0]), texts[0], &id), 0);
                for (size_t i = 1; i < len; i++)
                        assert_int_equal(mariadb_number(server, "SELECT id FROM notes WHERE text = '%s'", texts[i]),
                                         rows[i].id);
        }
        db_conn_close(conn);
        db_conn_close(other);
}

/* All rows or none; afterwards the session works on (the error comes amid the rows of RETURNING). */
static void a_duplicate_stops_the_whole_statement(void **state)
{
        struct db_conn *conn;
        struct db_key keys[3] = {key_of("a"), key_of("b"), key_of("c")};
        struct db_insert rows[3];
        const struct db_key *wanted[3] = {&keys[0], &keys[1], &keys[2]};
        struct db_rows *found;
        uint64_t id;

        need_server();
        conn = session();
        for (size_t i = 0; i < 3; i++)
                rows[i] = (struct db_insert){.text = "batch", .text_len = 5, .key = &keys[i]};
        assert_int_equal(insert_one(conn, "first", 5, "b", &id), 0);
        for (int again = 0; again < 3; again++)
                assert_int_equal(db_conn_insert(conn, rows, 3), DB_DUPLICATE);
        assert_int_equal(db_conn_find(conn, wanted, 3, &found), 0);
        assert_int_equal(found->len, 1);
        assert_int_equal(db_rows_by_key(found, &keys[1])->id, id);
        assert_memory_equal(found->items[0].text, "first", 5);
        db_rows_free(found);
        assert_int_equal(insert_one(conn, "next", 4, "a", &id), 0);
        assert_int_equal(mariadb_number(server, "SELECT COUNT(*) FROM notes"), 2);
        db_conn_close(conn);
}

static void pages_are_newest_first_below_an_id(void **state)
{
        struct db_conn *conn;
        struct db_rows *rows;
        uint64_t ids[5];
        char key[8];

        need_server();
        conn = session();
        for (size_t i = 0; i < 5; i++) {
                snprintf(key, sizeof(key), "%zu", i);
                assert_int_equal(insert_one(conn, key, 1, key, &ids[i]), 0);
        }
        assert_int_equal(db_conn_list(conn, 2, 0, &rows), 0);
        assert_int_equal(rows->len, 2);
        assert_int_equal(rows->items[0].id, ids[4]);
        assert_int_equal(rows->items[1].id, ids[3]);
        db_rows_free(rows);
        assert_int_equal(db_conn_list(conn, 100, ids[2], &rows), 0);
        assert_int_equal(rows->len, 2);
        assert_int_equal(rows->items[1].id, ids[0]);
        db_rows_free(rows);
        assert_int_equal(db_conn_get(conn, ids[4] + 1000, &rows), 0);
        assert_int_equal(rows->len, 0);
        db_rows_free(rows);
        db_conn_close(conn);
}

/* Whatever time zone the server believes in. */
static void times_are_utc(void **state)
{
        struct db_conn *conn;
        struct db_rows *rows;
        uint64_t id, now;

        need_server();
        mariadb_sql(server, "SET GLOBAL time_zone = '+09:00'");
        conn = session();
        assert_int_equal(insert_one(conn, "x", 1, "x", &id), 0);
        now = clock_realtime_usec();
        assert_int_equal(db_conn_get(conn, id, &rows), 0);
        assert_in_range(rows->items[0].created_usec, now - 60 * USEC_PER_SEC, now + USEC_PER_SEC);
        db_rows_free(rows);
        mariadb_sql(server, "UPDATE notes SET created_at = '2024-02-29 23:59:59.000001'");
        assert_int_equal(db_conn_get(conn, id, &rows), 0);
        assert_int_equal(rows->items[0].created_usec, UINT64_C(1709251199000001));
        db_rows_free(rows);
        mariadb_sql(server, "SET GLOBAL time_zone = SYSTEM");
        db_conn_close(conn);
}

/* What the operator set globally must not decide whether text is kept: the session says what it needs. */
static void lax_server_settings_do_not_matter(void **state)
{
        struct db_conn *conn;
        uint64_t id;

        need_server();
        mariadb_sql(server,
                    "SET GLOBAL sql_mode = '', GLOBAL autocommit = 0, GLOBAL init_connect = 'SET NAMES latin1'");
        conn = session();
        assert_int_equal(insert_one(conn, "\xFF", 1, "bad", &id), DB_ROW);
        assert_int_equal(insert_one(conn, "\xF0\x9F\xA6\x84", 4, "good", &id), 0);
        assert_int_equal(mariadb_number(server, "SELECT COUNT(*) FROM notes WHERE HEX(text) = 'F09FA684'"), 1);
        mariadb_sql(server, "SET GLOBAL sql_mode = DEFAULT, GLOBAL autocommit = 1, GLOBAL init_connect = ''");
        db_conn_close(conn);
}

static void faults_have_names(void **state)
{
        struct db_place place, wrong;
        struct db_conn *conn = NULL;
        char error[DB_ERROR_LEN] = "", nowhere[] = "/nonexistent/sock", forbidden[] = "mysql";

        need_server();
        place = by_socket();
        assert_int_equal(open_as("app", "wrong-" PASSWORD, &place, error, &conn), DB_DENIED);
        assert_null(strstr(error, PASSWORD));
        assert_int_equal(open_as("nobody-at-all", PASSWORD, &place, error, &conn), DB_DENIED);
        assert_null(strstr(error, PASSWORD));
        wrong = place;
        wrong.socket = nowhere;
        assert_int_equal(open_as("app", PASSWORD, &wrong, error, &conn), DB_UNREACHABLE);
        wrong = place;
        wrong.database = forbidden;
        assert_int_equal(open_as("app", PASSWORD, &wrong, error, &conn), DB_REFUSED);
        mariadb_sql(server, "CREATE USER poor IDENTIFIED BY 'p'; GRANT SELECT ON notes TO poor; "
                            "CREATE USER locked IDENTIFIED BY 'p' ACCOUNT LOCK");
        assert_int_equal(open_as("poor", "p", &place, error, &conn), DB_REFUSED);
        assert_int_equal(open_as("locked", "p", &place, error, &conn), DB_DENIED);
        assert_null(conn);
}

/* MySQL has no RETURNING: the ids are read back by key, in one more statement. */
static void ids_are_read_back_where_there_is_no_returning(void **state)
{
        struct mariadb *other;
        struct db_place place;
        struct db_conn *conn = NULL;
        struct db_insert rows[5];
        struct db_key keys[5];
        char error[DB_ERROR_LEN] = "", key[8];

        need_server();
        other = mariadb_new_posing("8.4.2");
        mariadb_add_user(other, "app", PASSWORD);
        place = by_socket();
        place.socket = (char *)(uintptr_t)mariadb_socket(other);
        if (open_as("app", PASSWORD, &place, error, &conn) != 0)
                fail_msg("%s", error);
        for (size_t i = 0; i < 5; i++) {
                snprintf(key, sizeof(key), "k%zu", 9 - i);
                keys[i] = key_of(key);
                rows[i] = (struct db_insert){.text = key, .text_len = 2, .key = &keys[i]};
                assert_int_equal(db_conn_insert(conn, &rows[i], 1), 0);
                mariadb_sql(other, "DELETE FROM notes");
                rows[i].text = "same";
                rows[i].text_len = 4;
        }
        assert_int_equal(db_conn_insert(conn, rows, 5), 0);
        for (size_t i = 0; i < 5; i++)
                assert_int_equal(mariadb_number(other, "SELECT id FROM notes WHERE idempotency_key = 'k%zu'", 9 - i),
                                 rows[i].id);
        assert_int_equal(db_conn_insert(conn, rows, 5), DB_DUPLICATE);
        assert_true(rows[0].created_usec > 0);
        db_conn_close(conn);
        mariadb_free(other);
}

static void a_killed_session_is_dead(void **state)
{
        struct db_conn *conn;
        struct db_rows *rows;
        uint64_t id;

        need_server();
        conn = session();
        mariadb_kill_user(server, "app");
        assert_int_equal(db_conn_list(conn, 1, 0, &rows), DB_DEAD);
        db_conn_close(conn);
        conn = session();
        mariadb_kill_user(server, "app");
        assert_int_equal(insert_one(conn, "x", 1, "x", &id), DB_DEAD);
        db_conn_close(conn);
}

static void an_aborted_session_is_dead(void **state)
{
        struct db_conn *conn;
        struct db_rows *rows;

        need_server();
        conn = session();
        db_conn_abort(conn);
        assert_int_equal(db_conn_list(conn, 1, 0, &rows), DB_DEAD);
        db_conn_close(conn);
}

static void a_host_may_hold_its_port(void **state)
{
        struct db_place place;
        struct db_conn *conn;
        char error[DB_ERROR_LEN], host[64];

        need_server();
        snprintf(host, sizeof(host), "127.0.0.1:%u", mariadb_port(server));
        place = by_tcp(host);
        place.port = 1;
        assert_int_equal(open_as("app", PASSWORD, &place, error, &conn), 0);
        db_conn_close(conn);
}

static int open_tls(const char *host, const char *ca)
{
        struct db_place place = by_tcp(host);
        struct db_conn *conn = NULL;
        char error[DB_ERROR_LEN];
        int r;

        place.ca_cert = (char *)(uintptr_t)ca;
        r = open_as("secure", "p", &place, error, &conn);
        db_conn_close(conn);
        return r;
}

/* REQUIRE SSL makes the server the witness: without TLS the login is refused. */
static void a_ca_means_tls_and_the_right_server(void **state)
{
        struct db_place place;
        struct db_conn *conn = NULL;
        char error[DB_ERROR_LEN];

        need_server();
        mariadb_add_user(server, "secure", "p");
        mariadb_sql(server, "ALTER USER secure REQUIRE SSL");
        assert_int_equal(open_tls("127.0.0.1", NULL), DB_DENIED);
        assert_int_equal(open_tls("localhost", mariadb_ca(server)), 0);
        assert_int_equal(open_tls("127.0.0.1", mariadb_ca(server)), 0);
        /* The same server by an address that its certificate does not name. */
        place = by_tcp("127.0.0.2");
        assert_int_equal(open_as("app", PASSWORD, &place, error, &conn), 0);
        db_conn_close(conn);
        assert_int_equal(open_tls("127.0.0.2", mariadb_ca(server)), DB_UNREACHABLE);
        assert_int_equal(open_tls("127.0.0.1", "no certificate at all"), DB_UNREACHABLE);
        place = by_socket();
        place.ca_cert = (char *)(uintptr_t)mariadb_ca(server);
        assert_int_equal(open_as("secure", "p", &place, error, &conn), 0);
        db_conn_close(conn);
}

/* harden_process() makes /proc/self belong to root; the CA must reach the library all the same. */
static void the_ca_is_read_where_the_process_is_not_dumpable(void **state)
{
        pid_t pid;
        int status;

        need_server();
        pid = fork();
        if (pid == 0) {
                if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
                        _exit(2);
                if (prctl(PR_SET_DUMPABLE, 0) != 0)
                        _exit(3);
                _exit(open_tls("127.0.0.1", mariadb_ca(server)) == 0 ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(text_is_kept_exactly, mariadb_fresh),
                cmocka_unit_test_setup(a_bad_row_is_refused_and_the_session_lives, mariadb_fresh),
                cmocka_unit_test_setup(ids_belong_to_their_rows, mariadb_fresh),
                cmocka_unit_test_setup(a_duplicate_stops_the_whole_statement, mariadb_fresh),
                cmocka_unit_test_setup(pages_are_newest_first_below_an_id, mariadb_fresh),
                cmocka_unit_test_setup(times_are_utc, mariadb_fresh),
                cmocka_unit_test_setup(lax_server_settings_do_not_matter, mariadb_fresh),
                cmocka_unit_test(ids_are_read_back_where_there_is_no_returning),
                cmocka_unit_test(faults_have_names),
                cmocka_unit_test_setup(a_killed_session_is_dead, mariadb_fresh),
                cmocka_unit_test(an_aborted_session_is_dead),
                cmocka_unit_test(a_host_may_hold_its_port),
                cmocka_unit_test(a_ca_means_tls_and_the_right_server),
                cmocka_unit_test(the_ca_is_read_where_the_process_is_not_dumpable),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}

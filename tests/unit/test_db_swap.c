/* tests/unit/test_db_swap.c: credentials change while calls run: no call fails, and an old login is given up only when it is free. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/parse.h"
#include "tests/unit/support_mariadb.h"
#include "tests/unit/support_notes.h"

static const struct notes_config config = {
        .wait_usec = 15 * USEC_PER_SEC, .deadline_usec = 18 * USEC_PER_SEC, .queue_max = 1000};

static int fresh(void **state)
{
        if (server) {
                mariadb_sql(server, "DROP USER IF EXISTS app, u2, u3, u4");
                mariadb_add_user(server, "app", "p");
        }
        return mariadb_fresh(state);
}

static uint64_t sessions_of(const char *user)
{
        return mariadb_number(server, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = '%s'", user);
}

/* The server notices a close a moment after the client has said it. */
static bool app_has_no_session(void *arg)
{
        (void)arg;
        return sessions_of("app") == 0;
}

static bool app_has_one_session(void *arg)
{
        (void)arg;
        return sessions_of("app") == 1;
}

static bool is_denied(void *arg)
{
        const struct desk *d = arg;

        return d->status.login_denied;
}

static bool is_second_offered(void *arg)
{
        const struct desk *d = arg;

        return d->status.offered_login == 2;
}

static bool has_error(void *arg)
{
        const struct desk *d = arg;

        return d->error[0] != '\0' && d->status.offered_login && d->status.offered_place;
}

static void the_pair_is_proved_when_both_are_known(void **state)
{
        struct desk d;

        need_server();
        desk_begin(&d, server, &config);
        desk_login(&d, 7, "app", "p", false);
        desk_turn(&d, 30000);
        assert_int_equal(d.status.login_version, 0);
        assert_false(d.status.old_closed);
        assert_int_equal(d.status.offered_login, 7);
        assert_non_null(strstr(d.error, "place"));
        desk_place(&d, 3, NULL, false);
        desk_until_version(&d, 7, 3);
        assert_string_equal(d.username, "app");
        assert_string_equal(d.error, "");
        assert_int_equal(sessions_of("app"), 2);
        desk_end(&d);
}

/* Both threads move while they are idle, and the old login's sessions are closed before anybody is told so. */
static void idle_sessions_move_too(void **state)
{
        struct desk d;

        need_server();
        mariadb_add_user(server, "u2", "q");
        desk_begin(&d, server, &config);
        desk_ready(&d);
        desk_login(&d, 2, "u2", "q", false);
        desk_until_version(&d, 2, 1);
        desk_until(&d, app_has_no_session, NULL);
        assert_int_equal(sessions_of("u2"), 2);
        assert_int_equal(desk_list(&d, 1, 0).outcome, NOTES_OK);
        desk_end(&d);
}

struct stream {
        struct desk *desk;
        unsigned under_way, bad;
        uint64_t adds, created, lists;
        bool stop;
        char first_bad[300];
};

static void stream_next(struct stream *s);

static void on_stream(const struct notes_result *r, void *arg)
{
        struct stream *s = arg;

        s->under_way--;
        if (r->outcome == NOTES_CREATED)
                s->created++;
        else if (r->outcome == NOTES_OK)
                s->lists++;
        else if (s->bad++ == 0)
                snprintf(s->first_bad, sizeof(s->first_bad), "outcome %d: %s", r->outcome, r->reason);
        stream_next(s);
}

static void stream_next(struct stream *s)
{
        while (!s->stop && s->under_way < 16) {
                if (s->under_way++ % 2) {
                        s->adds++;
                        notes_add(s->desk->notes, "stream", 6, NULL, on_stream, s);
                } else {
                        notes_list(s->desk->notes, 20, 0, on_stream, s);
                }
        }
}

static bool stream_dry(void *arg)
{
        const struct stream *s = arg;

        return !s->under_way;
}

static void stream_end(struct stream *s)
{
        s->stop = true;
        desk_until(s->desk, stream_dry, s);
        if (s->bad)
                fail_msg("%u bad answers, the first: %s", s->bad, s->first_bad);
        assert_true(s->lists > 0);
        assert_int_equal(s->created, s->adds);
        assert_int_equal(mariadb_number(server, "SELECT COUNT(*) FROM notes"), s->created);
}

/* Fifty changes of the login, each old user dropped and cut off as soon as it is said to be free: no call fails. */
static void rotate_under_load(void **state)
{
        struct desk d;
        struct stream s = {.desk = &d};
        char user[16], old[16] = "app";

        need_server();
        desk_begin(&d, server, &config);
        desk_ready(&d);
        stream_next(&s);
        for (uint64_t version = 2; version < 52; version++) {
                snprintf(user, sizeof(user), "r%llu", (unsigned long long)version);
                mariadb_add_user(server, user, "q");
                desk_login(&d, version, user, "q", false);
                desk_until_version(&d, version, 1);
                mariadb_sql(server, "DROP USER %s", old);
                mariadb_kill_user(server, old);
                snprintf(old, sizeof(old), "%s", user);
        }
        stream_end(&s);
        mariadb_sql(server, "DROP USER %s", old);
        desk_end(&d);
}

/* SIGHUP: the same versions again are proved and swapped all the same. */
static void the_same_version_again_makes_new_sessions(void **state)
{
        struct desk d;
        struct stream s = {.desk = &d};
        uint64_t newest;

        need_server();
        desk_begin(&d, server, &config);
        desk_ready(&d);
        newest = mariadb_number(server, "SELECT MAX(id) FROM information_schema.processlist WHERE user = 'app'");
        desk_login(&d, 1, "app", "p", false);
        desk_turn(&d, 50000);
        assert_int_equal(
                mariadb_number(server, "SELECT MAX(id) FROM information_schema.processlist WHERE user = 'app'"),
                newest);
        stream_next(&s);
        desk_login(&d, 1, "app", "p", true);
        desk_place(&d, 1, NULL, true);
        desk_turn(&d, 100000);
        stream_end(&s);
        desk_until_version(&d, 1, 1);
        assert_true(mariadb_number(server, "SELECT MIN(id) FROM information_schema.processlist WHERE user = 'app'") >
                    newest);
        desk_end(&d);
}

/* A refused login is told, what works is kept, and the login is tried again while it is the newest. */
static void a_denied_login_is_told_and_tried_again(void **state)
{
        struct desk d;

        need_server();
        desk_begin(&d, server, &config);
        desk_ready(&d);
        desk_login(&d, 2, "u2", "q", false);
        desk_until(&d, is_denied, &d);
        assert_int_equal(d.status.login_version, 1);
        assert_int_equal(d.status.offered_login, 2);
        assert_true(d.status.newest_failed);
        assert_non_null(strstr(d.error, "1045"));
        assert_null(strstr(d.error, "\"q\""));
        assert_int_equal(desk_list(&d, 1, 0).outcome, NOTES_OK);
        assert_int_equal(desk_add(&d, "kept", NULL).outcome, NOTES_CREATED);
        mariadb_add_user(server, "u2", "q");
        desk_until_version(&d, 2, 1);
        assert_false(d.status.login_denied);
        assert_string_equal(d.error, "");
        desk_end(&d);
}

/* The login in use is cut off without a warning; the calls wait for the next one, and none fails. */
static void a_revoked_login_costs_no_call(void **state)
{
        struct desk d;
        struct stream s = {.desk = &d};

        need_server();
        desk_begin(&d, server, &config);
        desk_ready(&d);
        stream_next(&s);
        mariadb_sql(server, "DROP USER app");
        mariadb_kill_user(server, "app");
        desk_until(&d, is_denied, &d);
        assert_false(d.status.working);
        assert_int_equal(d.status.login_version, 1);
        mariadb_add_user(server, "u2", "q");
        desk_login(&d, 2, "u2", "q", false);
        desk_until(&d, is_second_offered, &d);
        assert_false(d.status.newest_failed); /* what the first one met is not its fault */
        desk_until_version(&d, 2, 1);
        desk_turn(&d, 50000);
        stream_end(&s);
        desk_end(&d);
}

/* With privileges on the table, the next statement of a dropped user is refused: the same as a session that was cut off. */
static void a_dropped_user_is_noticed_at_the_next_statement(void **state)
{
        struct desk d;
        struct outcome o[2] = {0};

        need_server();
        desk_begin(&d, server, &config);
        desk_ready(&d);
        mariadb_sql(server, "DROP USER app");
        notes_list(d.notes, 1, 0, on_outcome, &o[0]);
        notes_add(d.notes, "x", 1, NULL, on_outcome, &o[1]);
        desk_until(&d, is_denied, &d);
        mariadb_add_user(server, "u2", "q");
        desk_login(&d, 2, "u2", "q", false);
        desk_until_done(&d, o, 2);
        assert_int_equal(o[0].outcome, NOTES_OK);
        assert_int_equal(o[1].outcome, NOTES_CREATED);
        desk_end(&d);
}

/* With privileges on the database they live on (the server does not look again), and are used until they end. */
static void a_session_that_works_is_used_on(void **state)
{
        struct desk d;

        need_server();
        mariadb_sql(server, "GRANT SELECT, INSERT ON %s.* TO app", mariadb_database());
        desk_begin(&d, server, &config);
        desk_ready(&d);
        mariadb_sql(server, "DROP USER app");
        assert_int_equal(desk_list(&d, 1, 0).outcome, NOTES_OK);
        assert_int_equal(desk_add(&d, "still here", NULL).outcome, NOTES_CREATED);
        assert_true(d.status.working);
        desk_end(&d);
}

/* The first login is refused: nothing works yet, and the next one is taken as it comes. */
static void a_refused_first_login_is_replaced(void **state)
{
        struct desk d;
        struct outcome o = {0};

        need_server();
        desk_begin(&d, server, &config);
        desk_place(&d, 1, NULL, false);
        desk_login(&d, 1, "app", "wrong", false);
        notes_list(d.notes, 1, 0, on_outcome, &o);
        desk_until(&d, is_denied, &d);
        assert_int_equal(d.status.login_version, 0);
        assert_false(o.done);
        desk_login(&d, 2, "app", "p", false);
        desk_until_done(&d, &o, 1);
        assert_int_equal(o.outcome, NOTES_OK);
        assert_int_equal(d.status.login_version, 2);
        desk_end(&d);
}

/* Both change and the new place is wrong: the new login is used at the old place, and the status names the other. */
static void a_bad_place_does_not_hold_up_the_login(void **state)
{
        struct desk d;

        need_server();
        mariadb_add_user(server, "u2", "q");
        desk_begin(&d, server, &config);
        desk_ready(&d);
        desk_place(&d, 2, "/nonexistent/sock", false);
        desk_login(&d, 2, "u2", "q", false);
        desk_until_version(&d, 2, 1);
        desk_until(&d, has_error, &d);
        assert_int_equal(d.status.offered_place, 2);
        assert_false(d.status.login_denied);
        assert_non_null(strstr(d.error, "/nonexistent/sock"));
        assert_int_equal(desk_list(&d, 1, 0).outcome, NOTES_OK);
        desk_place(&d, 3, NULL, false);
        desk_until_version(&d, 2, 3);
        assert_string_equal(d.error, "");
        desk_end(&d);
}

/* Both change and the new login is refused: the new place is used with the old login. */
static void a_bad_login_does_not_hold_up_the_place(void **state)
{
        struct desk d;

        need_server();
        desk_begin(&d, server, &config);
        desk_ready(&d);
        desk_login(&d, 2, "u2", "q", false);
        desk_place(&d, 2, NULL, false);
        desk_until_version(&d, 1, 2);
        desk_until(&d, is_denied, &d);
        assert_int_equal(d.status.offered_login, 2);
        mariadb_add_user(server, "u2", "q");
        desk_until_version(&d, 2, 2);
        desk_end(&d);
}

/* An unreachable server is no denial; it is found again by itself. */
static void a_restarted_server_is_found_again(void **state)
{
        struct desk d;
        struct outcome o[2] = {0};

        need_server();
        desk_begin(&d, server, &config);
        desk_ready(&d);
        mariadb_crash(server);
        notes_list(d.notes, 1, 0, on_outcome, &o[0]);
        notes_add(d.notes, "x", 1, NULL, on_outcome, &o[1]);
        desk_until(&d, has_error, &d);
        assert_false(d.status.login_denied);
        assert_false(d.status.working);
        mariadb_restart(server);
        desk_until_done(&d, o, 2);
        assert_int_equal(o[0].outcome, NOTES_OK);
        assert_int_equal(o[1].outcome, NOTES_CREATED);
        desk_until_version(&d, 1, 1);
        assert_string_equal(d.error, "");
        desk_end(&d);
}

/* No privilege is no denial either: another login would not have it. The old pair stays. */
static void a_login_that_cannot_do_the_work_is_not_used(void **state)
{
        struct desk d;

        need_server();
        mariadb_sql(server, "CREATE USER u3 IDENTIFIED BY 'q'; GRANT SELECT ON notes TO u3");
        desk_begin(&d, server, &config);
        desk_ready(&d);
        desk_login(&d, 2, "u3", "q", false);
        desk_until(&d, has_error, &d);
        assert_int_equal(d.status.login_version, 1);
        assert_false(d.status.login_denied);
        assert_int_equal(desk_add(&d, "old one works", NULL).outcome, NOTES_CREATED);
        mariadb_sql(server, "GRANT INSERT ON notes TO u3");
        desk_until_version(&d, 2, 1);
        desk_end(&d);
}

/* A statement that is under way keeps the old login busy; it is not cut off, and "closed" is said after it. */
static void the_statement_under_way_is_let_finish(void **state)
{
        struct desk d;
        struct outcome o = {0};

        need_server();
        mariadb_add_user(server, "u2", "q");
        desk_begin(&d, server, &config);
        desk_ready(&d);
        mariadb_sql(server, "LOCK TABLES notes WRITE");
        notes_add(d.notes, "slow", 4, NULL, on_outcome, &o);
        desk_turn(&d, 50000);
        desk_login(&d, 2, "u2", "q", false);
        desk_until(&d, app_has_one_session, NULL);
        desk_turn(&d, 100000);
        assert_int_equal(d.status.login_version, 2);
        assert_false(d.status.old_closed);
        assert_false(o.done);
        assert_int_equal(sessions_of("app"), 1);
        mariadb_sql(server, "UNLOCK TABLES");
        desk_until_done(&d, &o, 1);
        assert_int_equal(o.outcome, NOTES_CREATED);
        desk_until_version(&d, 2, 1);
        desk_until(&d, app_has_no_session, NULL);
        desk_end(&d);
}

/* Of several hosts one is in use by all; where it fails, the calls wait for the next one. */
static void the_next_host_is_used_where_one_fails(void **state)
{
        struct mariadb *second;
        struct desk d;
        struct stream s = {.desk = &d};
        char hosts[100];

        need_server();
        second = mariadb_new();
        mariadb_add_user(second, "app", "p");
        desk_begin(&d, server, &config);
        snprintf(hosts, sizeof(hosts), "127.0.0.1:1,127.0.0.1:%u,127.0.0.1:%u", mariadb_port(second),
                 mariadb_port(server));
        desk_hosts(&d, 1, hosts, false);
        desk_login(&d, 1, "app", "p", false);
        desk_until_version(&d, 1, 1);
        assert_int_equal(desk_add(&d, "on the second", NULL).outcome, NOTES_CREATED);
        assert_int_equal(mariadb_number(second, "SELECT COUNT(*) FROM notes"), 1);
        mariadb_free(second);
        stream_next(&s);
        desk_turn(&d, 500000);
        stream_end(&s);
        desk_until_version(&d, 1, 1);
        assert_int_equal(sessions_of("app"), 2);
        desk_end(&d);
}

/* A primary that was demoted refuses the write, which goes to the next host at once; where none takes writes, reads go on. */
static void a_demoted_primary_is_left(void **state)
{
        struct mariadb *second;
        struct desk d;
        struct outcome o = {0};
        char hosts[100];

        need_server();
        second = mariadb_new();
        mariadb_add_user(second, "app", "p");
        desk_begin(&d, server, &config);
        snprintf(hosts, sizeof(hosts), "127.0.0.1:%u,127.0.0.1:%u", mariadb_port(second), mariadb_port(server));
        desk_hosts(&d, 1, hosts, false);
        desk_login(&d, 1, "app", "p", false);
        desk_until_version(&d, 1, 1);
        assert_int_equal(desk_add(&d, "before", NULL).outcome, NOTES_CREATED);
        mariadb_sql(second, "SET GLOBAL read_only = 1");
        assert_int_equal(desk_add(&d, "after", NULL).outcome, NOTES_CREATED);
        assert_int_equal(mariadb_number(second, "SELECT COUNT(*) FROM notes"), 1);
        assert_int_equal(mariadb_number(server, "SELECT COUNT(*) FROM notes"), 1);
        desk_until_version(&d, 1, 1);
        assert_int_equal(sessions_of("app"), 2);

        mariadb_sql(server, "SET GLOBAL read_only = 1");
        notes_add(d.notes, "nowhere yet", 11, NULL, on_outcome, &o);
        assert_int_equal(desk_list(&d, 1, 0).outcome, NOTES_OK);
        desk_turn(&d, 300000);
        assert_false(o.done);
        assert_int_equal(desk_list(&d, 1, 0).outcome, NOTES_OK);
        mariadb_sql(server, "SET GLOBAL read_only = 0");
        desk_until_done(&d, &o, 1);
        assert_int_equal(o.outcome, NOTES_CREATED);
        assert_int_equal(mariadb_number(server, "SELECT COUNT(*) FROM notes"), 2);
        desk_end(&d);
        mariadb_free(second);
}

static void freeing_while_it_dials_ends(void **state)
{
        struct desk d;

        need_server();
        desk_begin(&d, server, &config);
        desk_place(&d, 1, "/nonexistent/sock", false);
        desk_login(&d, 1, "app", "p", false);
        desk_end(&d);
        desk_begin(&d, server, &config);
        desk_place(&d, 1, NULL, false);
        desk_login(&d, 1, "app", "p", false);
        desk_end(&d);
        desk_begin(&d, server, &config);
        desk_ready(&d);
        assert_int_equal(desk_list(&d, 1, 0).outcome, NOTES_OK);
        desk_end(&d);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(the_pair_is_proved_when_both_are_known, fresh),
                cmocka_unit_test_setup(idle_sessions_move_too, fresh),
                cmocka_unit_test_setup(the_same_version_again_makes_new_sessions, fresh),
                cmocka_unit_test_setup(a_denied_login_is_told_and_tried_again, fresh),
                cmocka_unit_test_setup(a_revoked_login_costs_no_call, fresh),
                cmocka_unit_test_setup(a_dropped_user_is_noticed_at_the_next_statement, fresh),
                cmocka_unit_test_setup(a_session_that_works_is_used_on, fresh),
                cmocka_unit_test_setup(a_refused_first_login_is_replaced, fresh),
                cmocka_unit_test_setup(a_bad_place_does_not_hold_up_the_login, fresh),
                cmocka_unit_test_setup(a_bad_login_does_not_hold_up_the_place, fresh),
                cmocka_unit_test_setup(a_restarted_server_is_found_again, fresh),
                cmocka_unit_test_setup(a_login_that_cannot_do_the_work_is_not_used, fresh),
                cmocka_unit_test_setup(the_statement_under_way_is_let_finish, fresh),
                cmocka_unit_test_setup(the_next_host_is_used_where_one_fails, fresh),
                cmocka_unit_test_setup(a_demoted_primary_is_left, fresh),
                cmocka_unit_test_setup(freeing_while_it_dials_ends, fresh),
                cmocka_unit_test_setup(rotate_under_load, fresh),
        };

        return cmocka_run_group_tests(tests, mariadb_set_up, mariadb_tear_down);
}

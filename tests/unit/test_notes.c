/* tests/unit/test_notes.c: the notes against a real server: shared reads, batched writes, keys, deadlines, lost sessions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/parse.h"
#include "tests/unit/support_mariadb.h"
#include "tests/unit/support_notes.h"

#define MANY 200

static const struct notes_config patient = {
        .wait_usec = 15 * USEC_PER_SEC, .deadline_usec = 18 * USEC_PER_SEC, .queue_max = 1000};
static const struct notes_config hurried = {
        .wait_usec = 200 * USEC_PER_MSEC, .deadline_usec = 600 * USEC_PER_MSEC, .queue_max = 1000};

static uint64_t statements(const char *which)
{
        return mariadb_number(server,
                              "SELECT variable_value FROM information_schema.global_status WHERE variable_name = '%s'",
                              which);
}

static void a_call_never_answers_before_it_returns(void **state)
{
        struct desk d;
        struct outcome o[2] = {0};
        struct notes_config none = patient;

        need_server();
        none.queue_max = 0;
        desk_begin(&d, server, &none);
        notes_list(d.notes, 1, 0, on_outcome, &o[0]);
        notes_add(d.notes, "x", 1, NULL, on_outcome, &o[1]);
        assert_false(o[0].done || o[1].done);
        desk_until_done(&d, o, 2);
        assert_int_equal(o[0].outcome, NOTES_OVERLOADED);
        assert_int_equal(o[1].outcome, NOTES_OVERLOADED);
        desk_end(&d);
}

static void pages_end_with_no_next(void **state)
{
        struct desk d;
        struct outcome o;
        uint64_t ids[5];

        need_server();
        desk_begin(&d, server, &patient);
        desk_ready(&d);
        for (size_t i = 0; i < 5; i++)
                ids[i] = desk_add(&d, "x", NULL).id;
        o = desk_list(&d, 2, 0);
        assert_int_equal(o.outcome, NOTES_OK);
        assert_int_equal(o.len, 2);
        assert_int_equal(o.ids[0], ids[4]);
        assert_int_equal(o.next, ids[3]);
        o = desk_list(&d, 3, o.next);
        assert_int_equal(o.len, 3);
        assert_int_equal(o.ids[2], ids[0]);
        assert_int_equal(o.next, 0);
        desk_end(&d);
}

static void get_finds_or_says_not(void **state)
{
        struct desk d;
        struct outcome o[2] = {0};
        uint64_t id;

        need_server();
        desk_begin(&d, server, &patient);
        desk_ready(&d);
        id = desk_add(&d, "here", NULL).id;
        notes_get(d.notes, id, on_outcome, &o[0]);
        notes_get(d.notes, id + 1, on_outcome, &o[1]);
        desk_until_done(&d, o, 2);
        assert_int_equal(o[0].outcome, NOTES_OK);
        assert_int_equal(o[0].id, id);
        assert_int_equal(o[1].outcome, NOTES_NOT_FOUND);
        desk_end(&d);
}

/* Lists that wait together are one query; others have their own. */
static void reads_that_wait_share_a_query(void **state)
{
        struct desk d;
        struct outcome *o = mem_array(MANY, sizeof(*o));
        uint64_t before, after;

        need_server();
        desk_begin(&d, server, &patient);
        for (size_t i = 0; i < MANY; i++)
                notes_list(d.notes, i % 2 ? 10 : 20, 0, on_outcome, &o[i]);
        before = statements("Com_stmt_execute");
        desk_ready(&d);
        desk_until_done(&d, o, MANY);
        after = statements("Com_stmt_execute");
        /* Two for the queries, one each for setting up the reader's and the writer's session. */
        assert_int_equal(after - before, 4);
        for (size_t i = 0; i < MANY; i++)
                assert_int_equal(o[i].outcome, NOTES_OK);
        desk_end(&d);
        mem_free(o);
}

struct chase { /* adds one note after the other; whenever one is answered, lists, and the list must show it */
        struct desk *desk;
        unsigned rounds, stale;
        uint64_t id;
        bool done;
};

static void on_chase_list(const struct notes_result *r, void *arg);

static void on_chase_add(const struct notes_result *r, void *arg)
{
        struct chase *c = arg;

        assert_int_equal(r->outcome, NOTES_CREATED);
        c->id = r->items[0].id;
        notes_list(c->desk->notes, 20, 0, on_chase_list, c);
}

static void on_chase_list(const struct notes_result *r, void *arg)
{
        struct chase *c = arg;
        bool is_there = false;

        assert_int_equal(r->outcome, NOTES_OK);
        for (size_t i = 0; i < r->len; i++)
                is_there = is_there || r->items[i].id >= c->id;
        c->stale += !is_there;
        if (--c->rounds)
                notes_add(c->desk->notes, "chase", 5, NULL, on_chase_add, c);
        else
                c->done = true;
}

static bool chases_done(void *arg)
{
        const struct chase *c = arg;

        for (size_t i = 0; i < 8; i++)
                if (!c[i].done)
                        return false;
        return true;
}

/* A list shares only a query that began after it arrived: whoever was told "committed" sees the note. */
static void a_list_shows_what_was_answered_before_it(void **state)
{
        struct desk d;
        struct chase c[8];

        need_server();
        desk_begin(&d, server, &patient);
        desk_ready(&d);
        for (size_t i = 0; i < 8; i++) {
                c[i] = (struct chase){.desk = &d, .rounds = 100};
                notes_add(d.notes, "chase", 5, NULL, on_chase_add, &c[i]);
        }
        desk_until(&d, chases_done, c);
        for (size_t i = 0; i < 8; i++)
                assert_int_equal(c[i].stale, 0);
        desk_end(&d);
}

static void writes_that_wait_go_in_one_statement(void **state)
{
        struct desk d;
        struct outcome o[64] = {0};
        uint64_t before;

        need_server();
        desk_begin(&d, server, &patient);
        for (size_t i = 0; i < 64; i++)
                notes_add(d.notes, "batch", 5, NULL, on_outcome, &o[i]);
        before = statements("Com_stmt_execute");
        desk_ready(&d);
        desk_until_done(&d, o, 64);
        assert_int_equal(statements("Com_stmt_execute") - before, 3);
        for (size_t i = 0; i < 64; i++) {
                assert_int_equal(o[i].outcome, NOTES_CREATED);
                for (size_t j = 0; j < i; j++)
                        assert_true(o[i].id != o[j].id);
        }
        assert_int_equal(mariadb_number(server, "SELECT COUNT(*) FROM notes"), 64);
        desk_end(&d);
}

/* 64 of the longest texts are more than a small server takes in one packet. */
static void a_batch_fits_into_a_packet(void **state)
{
        struct desk d;
        struct outcome o[64] = {0};
        char *text = mem_new(4 * NOTES_TEXT_CHARS_MAX);

        need_server();
        for (size_t i = 0; i < NOTES_TEXT_CHARS_MAX; i++)
                memcpy(text + 4 * i, "\xF0\x9F\xA6\x84", 4);
        mariadb_sql(server, "SET GLOBAL max_allowed_packet = 1048576");
        desk_begin(&d, server, &patient);
        for (size_t i = 0; i < 64; i++)
                notes_add(d.notes, text, (size_t)4 * NOTES_TEXT_CHARS_MAX, NULL, on_outcome, &o[i]);
        desk_ready(&d);
        desk_until_done(&d, o, 64);
        for (size_t i = 0; i < 64; i++)
                assert_int_equal(o[i].outcome, NOTES_CREATED);
        assert_int_equal(mariadb_number(server, "SELECT COUNT(*) FROM notes"), 64);
        mariadb_sql(server, "SET GLOBAL max_allowed_packet = DEFAULT");
        desk_end(&d);
        mem_free(text);
}

static void a_bad_note_in_a_batch_fails_alone(void **state)
{
        struct desk d;
        struct outcome o[20] = {0};

        need_server();
        desk_begin(&d, server, &patient);
        for (size_t i = 0; i < 20; i++)
                notes_add(d.notes, i == 7 ? "\xFF" : "y", 1, NULL, on_outcome, &o[i]);
        desk_ready(&d);
        desk_until_done(&d, o, 20);
        for (size_t i = 0; i < 20; i++)
                assert_int_equal(o[i].outcome, i == 7 ? NOTES_UNAVAILABLE : NOTES_CREATED);
        assert_int_equal(mariadb_number(server, "SELECT COUNT(*) FROM notes"), 19);
        desk_end(&d);
}

static void the_same_key_and_text_is_the_same_note(void **state)
{
        struct desk d;
        struct outcome first, second, other;

        need_server();
        desk_begin(&d, server, &patient);
        desk_ready(&d);
        first = desk_add(&d, "text", "key-1");
        second = desk_add(&d, "text", "key-1");
        other = desk_add(&d, "text ", "key-1");
        assert_int_equal(first.outcome, NOTES_CREATED);
        assert_int_equal(second.outcome, NOTES_OK);
        assert_int_equal(second.id, first.id);
        assert_int_equal(other.outcome, NOTES_KEY_REUSED);
        assert_int_equal(desk_add(&d, "text", "KEY-1").outcome, NOTES_CREATED);
        assert_int_equal(mariadb_number(server, "SELECT COUNT(*) FROM notes"), 2);
        desk_end(&d);
}

/* Twins that wait together: the first decides. Others in their batch are not held up by old keys among them. */
static void keys_hold_within_a_batch(void **state)
{
        struct desk d;
        struct outcome old, o[8] = {0};
        static const char *const texts[8] = {"a", "a", "b", "old", "c", "d", "other", "e"};
        static const char *const keys[8] = {"k", "k", "k", "old", NULL, NULL, "old", "k2"};
        static const enum notes_outcome want[8] = {NOTES_CREATED, NOTES_OK,      NOTES_KEY_REUSED, NOTES_OK,
                                                   NOTES_CREATED, NOTES_CREATED, NOTES_KEY_REUSED, NOTES_CREATED};

        need_server();
        desk_begin(&d, server, &patient);
        desk_ready(&d);
        old = desk_add(&d, "old", "old");
        desk_end(&d);
        desk_begin(&d, server, &patient);
        for (size_t i = 0; i < 8; i++)
                notes_add(d.notes, texts[i], strlen(texts[i]), keys[i], on_outcome, &o[i]);
        desk_ready(&d);
        desk_until_done(&d, o, 8);
        for (size_t i = 0; i < 8; i++)
                assert_int_equal(o[i].outcome, want[i]);
        assert_int_equal(o[1].id, o[0].id);
        assert_int_equal(o[3].id, old.id);
        assert_int_equal(mariadb_number(server, "SELECT COUNT(*) FROM notes"), 5);
        desk_end(&d);
}

static void made_up_keys_are_no_clients(void **state)
{
        struct desk d;

        need_server();
        desk_begin(&d, server, &patient);
        desk_ready(&d);
        desk_add(&d, "x", NULL);
        assert_int_equal(mariadb_number(server, "SELECT COUNT(*) FROM notes WHERE ORD(idempotency_key) = 1 AND "
                                                "LENGTH(idempotency_key) = 17"),
                         1);
        desk_end(&d);
}

/* The key of an unknown outcome, given or made up, settles it when it is sent again. */
static void an_unknown_outcome_is_settled_by_its_key(void **state)
{
        struct desk d;
        struct outcome o[2] = {0}, again;

        need_server();
        desk_begin(&d, server, &hurried);
        desk_ready(&d);
        mariadb_pause(server);
        notes_add(d.notes, "mine", 4, NULL, on_outcome, &o[0]);
        desk_until_done(&d, &o[0], 1);
        mariadb_resume(server);
        assert_int_equal(o[0].outcome, NOTES_UNKNOWN);
        assert_in_range(strlen(o[0].key), 1, NOTES_KEY_MAX);
        for (const char *c = o[0].key; *c; c++)
                assert_in_range(*c, 0x21, 0x7e);
        again = desk_add(&d, "mine", o[0].key);
        assert_true(again.outcome == NOTES_OK || again.outcome == NOTES_CREATED);
        again = desk_add(&d, "mine", o[0].key);
        assert_int_equal(again.outcome, NOTES_OK);
        assert_int_equal(desk_add(&d, "other", o[0].key).outcome, NOTES_KEY_REUSED);
        assert_int_equal(mariadb_number(server, "SELECT COUNT(*) FROM notes"), 1);
        desk_end(&d);
}

static void without_credentials_calls_wait_and_then_fail(void **state)
{
        struct desk d;
        struct outcome o[3] = {0};
        uint64_t begin = clock_monotonic_usec();

        need_server();
        desk_begin(&d, server, &hurried);
        notes_list(d.notes, 1, 0, on_outcome, &o[0]);
        notes_get(d.notes, 1, on_outcome, &o[1]);
        notes_add(d.notes, "x", 1, NULL, on_outcome, &o[2]);
        desk_until_done(&d, o, 3);
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(o[i].outcome, NOTES_UNAVAILABLE);
                assert_true(o[i].done_usec >= begin + hurried.wait_usec);
                assert_true(o[i].done_usec < begin + hurried.wait_usec + 5 * USEC_PER_SEC);
                assert_non_null(strstr(o[i].reason, "login"));
        }
        desk_end(&d);
}

/* A server that hangs must not hold a read longer than --db-wait, nor a write longer than its deadline. */
static void a_hanging_server_does_not_hold_calls(void **state)
{
        struct desk d;
        struct outcome o[2] = {0};

        need_server();
        desk_begin(&d, server, &hurried);
        desk_ready(&d);
        mariadb_pause(server);
        notes_list(d.notes, 1, 0, on_outcome, &o[0]);
        notes_add(d.notes, "x", 1, "hang", on_outcome, &o[1]);
        desk_until_done(&d, o, 2);
        mariadb_resume(server);
        assert_int_equal(o[0].outcome, NOTES_UNAVAILABLE);
        assert_int_equal(o[1].outcome, NOTES_UNKNOWN);
        assert_string_equal(o[1].key, "hang");
        assert_true(o[0].done_usec < o[1].done_usec);
        desk_end(&d);
}

/* What a request took to arrive is part of its time: whoever began first is answered first, though it asked last. */
static void the_deadline_counts_from_the_requests_beginning(void **state)
{
        struct desk d;
        struct outcome o[4] = {0};

        need_server();
        desk_begin(&d, server, &hurried);
        notes_list(d.notes, 1, 0, on_outcome, &o[0]);
        notes_call_began(notes_list(d.notes, 1, 0, on_outcome, &o[1]), hurried.deadline_usec - 50 * USEC_PER_MSEC);
        desk_until_done(&d, o, 2);
        assert_int_equal(o[1].outcome, NOTES_UNAVAILABLE);
        assert_true(o[1].done_usec < o[0].done_usec);
        desk_ready(&d);
        mariadb_pause(server);
        notes_add(d.notes, "x", 1, "late", on_outcome, &o[2]);
        notes_call_began(notes_add(d.notes, "y", 1, "early", on_outcome, &o[3]), 300 * USEC_PER_MSEC);
        desk_until_done(&d, &o[2], 2);
        mariadb_resume(server);
        assert_int_equal(o[2].outcome, NOTES_UNKNOWN);
        assert_true(o[3].done_usec < o[2].done_usec);
        desk_end(&d);
}

static void a_cancelled_call_says_nothing(void **state)
{
        struct desk d;
        struct outcome o[4] = {0}, last = {0};
        struct notes_call *calls[4];

        need_server();
        desk_begin(&d, server, &patient);
        calls[0] = notes_list(d.notes, 1, 0, on_outcome, &o[0]);
        calls[1] = notes_add(d.notes, "no", 2, NULL, on_outcome, &o[1]);
        notes_cancel(calls[0]);
        notes_cancel(calls[1]);
        desk_ready(&d);
        calls[2] = notes_list(d.notes, 1, 0, on_outcome, &o[2]);
        calls[3] = notes_add(d.notes, "maybe", 5, NULL, on_outcome, &o[3]);
        notes_cancel(calls[2]);
        notes_cancel(calls[3]);
        last = desk_add(&d, "last", NULL);
        assert_int_equal(last.outcome, NOTES_CREATED);
        for (size_t i = 0; i < 4; i++)
                assert_false(o[i].done);
        assert_int_equal(mariadb_number(server, "SELECT COUNT(*) FROM notes WHERE text = 'no'"), 0);
        desk_end(&d);
}

static void freeing_ends_calls_without_a_word(void **state)
{
        struct desk d;
        struct outcome o[MANY] = {0};

        need_server();
        desk_begin(&d, server, &patient);
        desk_ready(&d);
        for (size_t i = 0; i < MANY; i++) {
                if (i % 2)
                        notes_list(d.notes, 5, 0, on_outcome, &o[i]);
                else
                        notes_add(d.notes, "bye", 3, NULL, on_outcome, &o[i]);
        }
        desk_end(&d);
        for (size_t i = 0; i < MANY; i++)
                assert_false(o[i].done);
}

struct stream { /* keeps some adds and lists going until it has enough; every answer must be a good one */
        struct desk *desk;
        unsigned left, under_way, bad;
        uint64_t created;
        char first_bad[300];
};

static void stream_next(struct stream *s);

static void on_stream(const struct notes_result *r, void *arg)
{
        struct stream *s = arg;

        s->under_way--;
        if (r->outcome == NOTES_CREATED)
                s->created++;
        else if (r->outcome != NOTES_OK && s->bad++ == 0)
                snprintf(s->first_bad, sizeof(s->first_bad), "outcome %d: %s", r->outcome, r->reason);
        stream_next(s);
}

static void stream_next(struct stream *s)
{
        char text[32];

        while (s->left && s->under_way < 16) {
                s->left--;
                s->under_way++;
                snprintf(text, sizeof(text), "stream %u", s->left);
                if (s->left % 2)
                        notes_add(s->desk->notes, text, strlen(text), s->left % 4 == 1 ? text : NULL, on_stream, s);
                else
                        notes_list(s->desk->notes, 20, 0, on_stream, s);
        }
}

static bool stream_done(void *arg)
{
        const struct stream *s = arg;

        return !s->left && !s->under_way;
}

static bool stream_half(void *arg)
{
        const struct stream *s = arg;

        return s->left < 2000;
}

static void assert_no_note_lost_or_doubled(const struct stream *s, unsigned adds)
{
        if (s->bad)
                fail_msg("%u bad answers, the first: %s", s->bad, s->first_bad);
        assert_int_equal(s->created, adds);
        assert_int_equal(mariadb_number(server, "SELECT COUNT(*) FROM notes"), adds);
        assert_int_equal(mariadb_number(server, "SELECT COUNT(DISTINCT text) FROM notes"), adds);
}

/* Sessions are killed in the midst of statements, again and again: no call fails, no note is lost or stands there twice. */
static void killed_sessions_lose_and_double_nothing(void **state)
{
        struct desk d;
        struct stream s = {.desk = &d, .left = 8000};

        need_server();
        desk_begin(&d, server, &patient);
        desk_ready(&d);
        stream_next(&s);
        while (!stream_done(&s)) {
                desk_turn(&d, 5000);
                mariadb_kill_user(server, "app");
        }
        assert_no_note_lost_or_doubled(&s, 4000);
        desk_end(&d);
}

/* The same against a server without RETURNING, where a write is two statements and the session may die between them. */
static void killed_sessions_lose_and_double_nothing_on_mysql(void **state)
{
        struct mariadb *own = server;

        need_server();
        server = mariadb_new_posing("8.4.2");
        mariadb_add_user(server, "app", "p");
        killed_sessions_lose_and_double_nothing(state);
        mariadb_free(server);
        server = own;
}

static void a_crashed_server_loses_and_doubles_nothing(void **state)
{
        struct desk d;
        struct stream s = {.desk = &d, .left = 4000};

        need_server();
        desk_begin(&d, server, &patient);
        desk_ready(&d);
        stream_next(&s);
        desk_until(&d, stream_half, &s);
        mariadb_crash(server);
        desk_turn(&d, 20000);
        mariadb_restart(server);
        desk_until(&d, stream_done, &s);
        assert_no_note_lost_or_doubled(&s, 2000);
        desk_end(&d);
}

static void dies_idle(struct desk *d)
{
        struct outcome o[2] = {0};

        desk_until_version(d, 1, 1);
        assert_int_equal(desk_add(d, "before", NULL).outcome, NOTES_CREATED);
        mariadb_crash(server);
        notes_add(d->notes, "after", 5, NULL, on_outcome, &o[0]);
        notes_list(d->notes, 1, 0, on_outcome, &o[1]);
        desk_until_done(d, o, 2);
        assert_int_equal(o[0].outcome, NOTES_UNAVAILABLE);
        assert_int_equal(o[1].outcome, NOTES_UNAVAILABLE);
        mariadb_restart(server);
        desk_end(d);
}

/* The server died while nobody asked it: no note is sent to it, so none is in doubt. */
static void a_server_that_died_idle_leaves_no_note_in_doubt(void **state)
{
        struct notes_config brief = {.wait_usec = USEC_PER_SEC, .deadline_usec = 3 * USEC_PER_SEC, .queue_max = 10};
        struct desk d;
        char host[32];

        need_server();
        desk_begin(&d, server, &brief);
        desk_ready(&d);
        dies_idle(&d);
        desk_begin(&d, server, &brief);
        snprintf(host, sizeof(host), "127.0.0.1:%u", mariadb_port(server));
        desk_hosts(&d, 1, host, false);
        desk_login(&d, 1, "app", "p", false);
        dies_idle(&d);
}

/* The server has no room for a statement now: the calls wait, and go through when it has. */
static void a_busy_server_is_waited_for(void **state)
{
        struct desk d;
        struct outcome o[2] = {0};

        need_server();
        desk_begin(&d, server, &patient);
        desk_ready(&d);
        mariadb_sql(server, "SET GLOBAL read_only = 1");
        notes_add(d.notes, "patience", 8, NULL, on_outcome, &o[0]);
        desk_turn(&d, 100000);
        assert_false(o[0].done);
        mariadb_sql(server, "SET GLOBAL read_only = 0");
        desk_until_done(&d, o, 1);
        assert_int_equal(o[0].outcome, NOTES_CREATED);
        desk_end(&d);
}

static void a_revoked_grant_is_unavailable_not_unknown(void **state)
{
        struct desk d;
        struct outcome o;

        need_server();
        desk_begin(&d, server, &hurried);
        desk_ready(&d);
        mariadb_sql(server, "REVOKE INSERT ON notes FROM app");
        o = desk_add(&d, "x", NULL);
        assert_int_equal(o.outcome, NOTES_UNAVAILABLE);
        assert_int_equal(desk_list(&d, 1, 0).outcome, NOTES_OK);
        mariadb_sql(server, "GRANT INSERT ON notes TO app");
        desk_end(&d);
}

static void latency_is_counted_by_operation(void **state)
{
        struct desk d;
        struct buf out = BUF_INIT;

        need_server();
        desk_begin(&d, server, &patient);
        desk_ready(&d);
        desk_add(&d, "x", NULL);
        desk_list(&d, 1, 0);
        desk_list(&d, 1, 0);
        metrics_write(d.metrics, &out);
        assert_non_null(
                strstr(buf_text(&out), "db_request_latency_seconds_count{operation=\"insert\",table=\"notes\"} 1\n"));
        assert_non_null(
                strstr(buf_text(&out), "db_request_latency_seconds_count{operation=\"select\",table=\"notes\"} 2\n"));
        assert_non_null(strstr(buf_text(&out), "notesd_db_connections{state=\"current\"} 2\n"));
        buf_done(&out);
        desk_end(&d);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(a_call_never_answers_before_it_returns, mariadb_fresh),
                cmocka_unit_test_setup(pages_end_with_no_next, mariadb_fresh),
                cmocka_unit_test_setup(get_finds_or_says_not, mariadb_fresh),
                cmocka_unit_test_setup(reads_that_wait_share_a_query, mariadb_fresh),
                cmocka_unit_test_setup(a_list_shows_what_was_answered_before_it, mariadb_fresh),
                cmocka_unit_test_setup(writes_that_wait_go_in_one_statement, mariadb_fresh),
                cmocka_unit_test_setup(a_batch_fits_into_a_packet, mariadb_fresh),
                cmocka_unit_test_setup(a_bad_note_in_a_batch_fails_alone, mariadb_fresh),
                cmocka_unit_test_setup(the_same_key_and_text_is_the_same_note, mariadb_fresh),
                cmocka_unit_test_setup(keys_hold_within_a_batch, mariadb_fresh),
                cmocka_unit_test_setup(made_up_keys_are_no_clients, mariadb_fresh),
                cmocka_unit_test_setup(an_unknown_outcome_is_settled_by_its_key, mariadb_fresh),
                cmocka_unit_test_setup(without_credentials_calls_wait_and_then_fail, mariadb_fresh),
                cmocka_unit_test_setup(a_hanging_server_does_not_hold_calls, mariadb_fresh),
                cmocka_unit_test_setup(the_deadline_counts_from_the_requests_beginning, mariadb_fresh),
                cmocka_unit_test_setup(a_cancelled_call_says_nothing, mariadb_fresh),
                cmocka_unit_test_setup(freeing_ends_calls_without_a_word, mariadb_fresh),
                cmocka_unit_test_setup(killed_sessions_lose_and_double_nothing, mariadb_fresh),
                cmocka_unit_test_setup(killed_sessions_lose_and_double_nothing_on_mysql, mariadb_fresh),
                cmocka_unit_test_setup(a_crashed_server_loses_and_doubles_nothing, mariadb_fresh),
                cmocka_unit_test_setup(a_server_that_died_idle_leaves_no_note_in_doubt, mariadb_fresh),
                cmocka_unit_test_setup(a_busy_server_is_waited_for, mariadb_fresh),
                cmocka_unit_test_setup(a_revoked_grant_is_unavailable_not_unknown, mariadb_fresh),
                cmocka_unit_test_setup(latency_is_counted_by_operation, mariadb_fresh),
        };

        return cmocka_run_group_tests(tests, mariadb_set_up, mariadb_tear_down);
}

/* tests/unit/test_output_watch.c: streams and long polls: the next version, the moment it is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/parse.h"
#include "tests/unit/support_socket.h"

#define DB_DATA "{\"password\":\"p-1\",\"username\":\"v-notes-1\"}"

static int open_stream_on(int fd, const char *query)
{
        cleanup_free char *text = mem_printf("GET /agent/v1/watch?%s HTTP/1.1\r\nHost: x\r\n\r\n", query);

        client_send(fd, text);
        return fd;
}

static int open_stream(struct world *w, const char *query)
{
        return open_stream_on(client_connect(w), query);
}

/* --- streams --- */

static void watch_gives_the_current_version_at_once(void **state)
{
        struct world *w = *state;
        struct buf in = BUF_INIT;
        int fd;

        world_add(w, "db", "database/creds/notes", getuid());
        world_add(w, "tls", "pki/sign/notes", getuid());
        world_publish(w, "db", DB_DATA, 60);
        fd = open_stream(w, "name=db&name=tls&name=db");
        client_receive(w, fd, &in,
                       "event: lost\ndata: {\"name\":\"tls\",\"version\":0,\"reason\":\"not fetched yet\"}\n\n");
        assert_int_equal(answer_status(in.data), 200);
        assert_non_null(strstr(in.data, "Content-Type: text/event-stream"));
        assert_non_null(
                strstr(in.data, "event: secret\nid: db:7\ndata: {\"name\":\"db\",\"kind\":\"dynamic\",\"version\":7,"));
        assert_non_null(strstr(in.data, "\"data\":" DB_DATA "}\n\n"));
        assert_null(strstr(strstr(in.data, "id: db:7") + 1, "id: db:7"));
        close(fd);
        buf_done(&in);
}

static void watch_tells_each_change(void **state)
{
        struct world *w = *state;
        struct buf in = BUF_INIT;
        struct store_secret *s = world_add(w, "db", "database/creds/notes", getuid());
        uint64_t end = clock_boottime_usec() + 3600 * USEC_PER_SEC;
        int fd = open_stream(w, "name=db&consumer=app");

        client_receive(w, fd, &in, "event: lost\n");
        world_publish(w, "db", DB_DATA, 60);
        client_receive(w, fd, &in, "id: db:7\n");
        store_update_end(w->store, s, end, true);
        client_receive(w, fd, &in, "event: lease\ndata: {\"name\":\"db\",\"version\":7,\"expires_at\":\"");
        client_receive(w, fd, &in, "\"stale\":true}\n\n");
        buf_reset(&in);
        store_update_end(w->store, s, end, true); /* nothing changed: nothing is said */
        world_publish(w, "db", "{\"password\":\"p-2\"}", 60);
        client_receive(w, fd, &in, "\"data\":{\"password\":\"p-2\"}}\n\n");
        assert_null(strstr(in.data, "event: lease"));
        store_lose(w->store, s, "the lease was \"revoked\"");
        client_receive(
                w, fd, &in,
                "event: lost\ndata: {\"name\":\"db\",\"version\":8,\"reason\":\"the lease was \\\"revoked\\\"\"}");
        assert_int_equal(w->given, 2);
        close(fd);
        buf_done(&in);
}

static void a_watching_consumer_is_the_reader(void **state)
{
        struct world *w = *state;
        struct store_secret *s = world_add(w, "db", "database/creds/notes", getuid());
        struct buf in = BUF_INIT;
        cleanup_free char *ack = NULL;
        int fd;

        world_publish(w, "db", DB_DATA, 60);
        fd = open_stream(w, "name=db&consumer=app");
        client_receive(w, fd, &in, "id: db:7\n");
        world_publish(w, "db", DB_DATA, 60);
        client_receive(w, fd, &in, "id: db:8\n");
        assert_false(store_all_moved_on(s, 7));
        /* A closed connection changes nothing: only its word does. */
        close(fd);
        world_turn(w);
        assert_false(store_all_moved_on(s, 7));
        ack = client_ask(w, client_connect(w), "POST", "/agent/v1/secrets/db/ack", "",
                         "{\"version\":8,\"consumer\":\"app\"}");
        assert_int_equal(answer_status(ack), 204);
        assert_true(store_all_moved_on(s, 7));
        buf_done(&in);
}

static void watch_without_names_is_400(void **state)
{
        struct world *w = *state;
        cleanup_free char *none = client_get(w, "/agent/v1/watch"), *bad = NULL;

        assert_int_equal(answer_status(none), 400);
        world_add(w, "db", "database/creds/notes", getuid());
        bad = client_get(w, "/agent/v1/watch?name=db&consumer=");
        assert_int_equal(answer_status(bad), 400);
}

static void a_stream_has_256_names_at_most(void **state)
{
        struct world *w = *state;
        struct buf most = BUF_INIT, more = BUF_INIT, in = BUF_INIT;
        int fd;

        for (int i = 0; i < 257; i++) {
                char name[16];

                snprintf(name, sizeof(name), "s%03d", i);
                world_add(w, name, "kv/notes", getuid());
                world_publish(w, name, "{}", 0);
                buf_printf(i < 256 ? &most : &more, "&name=%s", name);
        }
        fd = open_stream(w, buf_text(&most) + 1);
        client_receive(w, fd, &in, "id: s255:7\n");
        close(fd);
        buf_str(&most, buf_text(&more));
        buf_reset(&in);
        fd = open_stream(w, buf_text(&most) + 1);
        client_receive(w, fd, &in, "\r\n\r\n");
        assert_int_equal(answer_status(buf_text(&in)), 400);
        close(fd);
        buf_done(&most);
        buf_done(&more);
        buf_done(&in);
}

static void one_forbidden_name_refuses_the_stream(void **state)
{
        struct world *w = *state;
        cleanup_free char *answer = NULL;

        world_add(w, "db", "database/creds/notes", getuid());
        world_add(w, "theirs", "database/creds/other", NOBODY);
        world_publish(w, "db", DB_DATA, 60);
        answer = client_get(w, "/agent/v1/watch?name=db&name=theirs");
        assert_int_equal(answer_status(answer), 403);
        assert_string_equal(answer_body(answer), "{\"errors\":[\"theirs: permission denied\"]}");
        assert_int_equal(w->given, 0);
}

static void rights_taken_away_close_the_stream(void **state)
{
        struct world *w = *state;
        struct store_secret *s = world_add(w, "db", "database/creds/notes", getuid());
        struct config_allow other = {.has_uid = true, .uid = NOBODY};
        struct config_secret before = w->secrets[0], after = before;
        struct buf in = BUF_INIT;
        int fd, poll_fd;

        world_publish(w, "db", DB_DATA, 60);
        fd = open_stream(w, "name=db");
        client_receive(w, fd, &in, "id: db:7\n");
        poll_fd = client_connect(w);
        client_send(poll_fd, "GET /agent/v1/secrets/db?after=7&wait=60s HTTP/1.1\r\nHost: x\r\n\r\n");
        world_turn(w);

        store_set_config(w->store, s, &before); /* a reload that changes nothing for this peer */
        world_turn(w);
        store_update_end(w->store, s, clock_boottime_usec() + USEC_PER_SEC, false);
        client_receive(w, fd, &in, "event: lease");

        after.allow = &other;
        store_set_config(w->store, s, &after);
        world_publish(w, "db", "{\"password\":\"p-2\"}", 60); /* in the same turn: not for this peer any more */
        buf_reset(&in);
        client_receive(w, fd, &in, NULL);
        assert_null(strstr(buf_text(&in), "p-2"));
        close(fd);
        buf_reset(&in);
        client_receive(w, poll_fd, &in, NULL);
        assert_int_equal(answer_status(buf_text(&in)), 403);
        close(poll_fd);
        buf_done(&in);
        store_set_config(w->store, s, &w->secrets[0]);
}

static void a_removed_secret_is_lost(void **state)
{
        struct world *w = *state;
        struct store_secret *db = world_add(w, "db", "database/creds/notes", getuid());
        struct store_secret *info = world_add(w, "info", "kv/notes", getuid());
        struct buf in = BUF_INIT;
        int fd;

        world_publish(w, "db", DB_DATA, 60);
        world_publish(w, "info", "{}", 0);
        fd = open_stream(w, "name=db&name=info");
        client_receive(w, fd, &in, "id: info:7\n");
        store_remove(w->store, db);
        client_receive(w, fd, &in, "event: lost\ndata: {\"name\":\"db\",\"version\":7,\"reason\":\"removed\"}\n\n");
        world_publish(w, "info", "{\"a\":1}", 0);
        client_receive(w, fd, &in, "id: info:8\n");
        store_remove(w->store, info); /* nothing is left to watch */
        client_receive(w, fd, &in, "\r\n0\r\n\r\n");
        close(fd);
        buf_done(&in);
}

static void slow_reader(void **state)
{
        struct world *w = *state;
        cleanup_free char *big = mem_new(20001), *data = NULL;
        struct buf in = BUF_INIT, fast_in = BUF_INIT;
        int slow, fast;

        memset(big, 'x', 20000);
        data = mem_printf("{\"v\":\"%s\"}", big);
        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", data, 60);
        slow = open_stream(w, "name=db&consumer=slow");
        fast = open_stream(w, "name=db&consumer=fast");
        client_receive(w, fast, &fast_in, "\n\n");
        /* What the kernel holds for it and 256 KiB more: far less than a hundred of these. */
        for (int i = 0; i < 100; i++) {
                char id[32];

                snprintf(id, sizeof(id), "id: db:%d\n", 8 + i);
                world_publish(w, "db", data, 60);
                client_receive(w, fast, &fast_in, id);
                buf_reset(&fast_in);
        }
        client_receive(w, slow, &in, NULL); /* it is closed: the end comes after what was on its way */
        assert_true(in.len < 100 * 20000);
        world_publish(w, "db", "{\"last\":1}", 60); /* the other one is not disturbed */
        client_receive(w, fast, &fast_in, "{\"last\":1}");
        close(slow);
        close(fast);
        buf_done(&in);
        buf_done(&fast_in);
}

/* 200 secrets of 4 KiB are more than may lie unread, and a reader that reads gets them all. */
static void many_first_versions_go_out_as_fast_as_they_are_read(void **state)
{
        struct world *w = *state;
        cleanup_free char *big = mem_new(4097), *data = NULL;
        struct buf in = BUF_INIT, query = BUF_INIT;
        int fd;

        memset(big, 'x', 4096);
        data = mem_printf("{\"v\":\"%s\"}", big);
        for (int i = 0; i < 200; i++) {
                char name[16];

                snprintf(name, sizeof(name), "s%03d", i);
                world_add(w, name, "database/creds/notes", getuid());
                world_publish(w, name, data, 60);
                buf_printf(&query, "%sname=%s", i ? "&" : "", name);
        }
        fd = open_stream(w, buf_text(&query));
        for (int i = 0; i < 5; i++)
                world_turn(w);
        world_publish(w, "s199", "{\"changed\":true}", 60); /* its turn has not come yet */
        client_receive(w, fd, &in, "{\"changed\":true}");
        assert_non_null(strstr(in.data, "id: s000:7\n"));
        assert_non_null(strstr(in.data, "id: s198:7\n"));
        assert_non_null(strstr(in.data, "id: s199:8\n"));
        assert_null(strstr(in.data, "id: s199:7\n"));
        close(fd);
        buf_done(&in);
        buf_done(&query);
}

/* The first versions are still going out when the right to one whose turn has not come is taken away. */
static void a_right_taken_before_its_turn_closes_the_stream(void **state)
{
        struct world *w = *state;
        cleanup_free char *big = mem_new(20001), *data = NULL;
        struct config_allow other = {.has_uid = true, .uid = NOBODY};
        struct buf in = BUF_INIT, query = BUF_INIT;
        struct config_secret after;
        int fd;

        memset(big, 'x', 20000);
        data = mem_printf("{\"v\":\"%s\"}", big);
        for (int i = 0; i < 200; i++) { /* 4 MB: more than may lie unread and the kernel takes */
                char name[16];

                snprintf(name, sizeof(name), "s%03d", i);
                world_add(w, name, "database/creds/notes", getuid());
                world_publish(w, name, i < 199 ? data : "{\"last\":true}", 60);
                buf_printf(&query, "%sname=%s", i ? "&" : "", name);
        }
        fd = open_stream(w, buf_text(&query));
        client_receive(w, fd, &in, "id: s000:7\n");
        after = w->secrets[199];
        after.allow = &other;
        store_set_config(w->store, store_find(w->store, "s199"), &after);
        client_receive(w, fd, &in, NULL);
        assert_null(strstr(in.data, "{\"last\":true}"));
        assert_null(strstr(in.data, "id: s198:7\n"));
        store_set_config(w->store, store_find(w->store, "s199"), &w->secrets[199]);
        close(fd);
        buf_done(&in);
        buf_done(&query);
}

static void streams_end_with_the_agent(void **state)
{
        struct world *w = *state;
        struct store_secret *s = world_add(w, "db", "database/creds/notes", getuid());
        struct buf in = BUF_INIT;
        int fd, poll_fd;

        world_publish(w, "db", DB_DATA, 60);
        fd = open_stream(w, "name=db&consumer=app");
        poll_fd = client_connect(w);
        client_send(poll_fd, "GET /agent/v1/secrets/db?after=7&wait=60s&consumer=app2 HTTP/1.1\r\nHost: x\r\n\r\n");
        client_receive(w, fd, &in, "id: db:7\n");
        store_lose(w->store, s, STORE_STOPPING);
        client_receive(w, fd, &in, "\"reason\":\"agent stopping\"}");
        store_remove(w->store, s); /* as the agent does when it revokes: nothing more is said of it */
        client_receive(w, fd, &in, "\r\n0\r\n\r\n");
        assert_null(strstr(in.data, "removed"));
        close(fd);
        buf_reset(&in);
        client_receive(w, poll_fd, &in, NULL);
        assert_int_equal(answer_status(buf_text(&in)), 503);
        close(poll_fd);
        world_stop(w);
        assert_int_equal(store_consumers(w->store), 0);
        world_start(w);
        buf_done(&in);
}

/* --- long polls --- */

static void long_poll_answers_with_the_next_version(void **state)
{
        struct world *w = *state;
        struct store_secret *s = world_add(w, "db", "database/creds/notes", getuid());
        struct buf in = BUF_INIT;
        int fd = client_connect(w);

        world_publish(w, "db", DB_DATA, 60);
        client_send(fd, "GET /agent/v1/secrets/db?after=7&wait=30s&consumer=app HTTP/1.1\r\nHost: x\r\n\r\n");
        world_turn(w);
        store_update_end(w->store, s, clock_boottime_usec() + USEC_PER_SEC, false); /* a renewal is no version */
        world_turn(w);
        assert_int_equal(recv(fd, (char[1]){0}, 1, MSG_DONTWAIT | MSG_PEEK), -1);
        world_publish(w, "db", "{\"password\":\"p-2\"}", 60);
        client_receive(w, fd, &in, "\"version\":8,");
        assert_int_equal(answer_status(in.data), 200);
        assert_false(store_all_moved_on(s, 8));
        /* the connection lives on */
        buf_reset(&in);
        client_send(fd, "GET /agent/v1/health HTTP/1.1\r\nHost: x\r\n\r\n");
        client_receive(w, fd, &in, "\"ok\"");
        close(fd);
        buf_done(&in);
}

static void long_poll_answers_at_once_with_another_version(void **state)
{
        struct world *w = *state;
        cleanup_free char *answer = NULL;

        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", DB_DATA, 60);
        answer = client_get(w, "/agent/v1/secrets/db?after=9&wait=30s"); /* higher, too: any that is not mine is new */
        assert_int_equal(answer_status(answer), 200);
}

static void long_poll_ends_with_304(void **state)
{
        struct world *w = *state;
        cleanup_free char *answer = NULL, *now = NULL, *expires = NULL;

        world_add(w, "db", "database/creds/notes", getuid());
        world_publish(w, "db", DB_DATA, 60);
        answer = client_get(w, "/agent/v1/secrets/db?after=7&wait=50ms");
        assert_int_equal(answer_status(answer), 304);
        expires = answer_header(answer, "Leasekeeper-Expires");
        assert_non_null(expires);
        now = client_get(w, "/agent/v1/secrets/db?after=7");
        assert_int_equal(answer_status(now), 304);
        assert_int_equal(w->given, 0);
}

static void long_poll_for_the_first_version(void **state)
{
        struct world *w = *state;
        struct buf in = BUF_INIT;
        cleanup_free char *over = NULL;
        int fd = client_connect(w);

        world_add(w, "db", "database/creds/notes", getuid());
        over = client_get(w, "/agent/v1/secrets/db?after=0&wait=20ms");
        assert_int_equal(answer_status(over), 503);
        client_send(fd, "GET /agent/v1/secrets/db?after=0&wait=30s HTTP/1.1\r\nHost: x\r\n\r\n");
        world_turn(w);
        world_publish(w, "db", DB_DATA, 60);
        client_receive(w, fd, &in, "\"version\":7,");
        close(fd);
        buf_done(&in);
}

static void a_waiter_that_goes_away_is_forgotten(void **state)
{
        struct world *w = *state;
        int fd = client_connect(w);

        world_add(w, "db", "database/creds/notes", getuid());
        client_send(fd, "GET /agent/v1/secrets/db?after=0&wait=30s&consumer=app HTTP/1.1\r\nHost: x\r\n\r\n");
        for (int i = 0; i < 1000 && store_consumers(w->store) == 0; i++)
                world_turn(w);
        assert_int_equal(store_consumers(w->store), 1);
        close(fd);
        for (int i = 0; i < 1000 && store_consumers(w->store) > 0; i++)
                world_turn(w);
        assert_int_equal(store_consumers(w->store), 0);
        world_publish(w, "db", DB_DATA, 60);
        assert_int_equal(w->given, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(watch_gives_the_current_version_at_once),
                T(watch_tells_each_change),
                T(a_watching_consumer_is_the_reader),
                T(watch_without_names_is_400),
                T(a_stream_has_256_names_at_most),
                T(one_forbidden_name_refuses_the_stream),
                T(rights_taken_away_close_the_stream),
                T(a_removed_secret_is_lost),
                T(slow_reader),
                T(many_first_versions_go_out_as_fast_as_they_are_read),
                T(a_right_taken_before_its_turn_closes_the_stream),
                T(streams_end_with_the_agent),
                T(long_poll_answers_with_the_next_version),
                T(long_poll_answers_at_once_with_another_version),
                T(long_poll_ends_with_304),
                T(long_poll_for_the_first_version),
                T(a_waiter_that_goes_away_is_forgotten),
        };

        return cmocka_run_group_tests_name("output_watch", tests, NULL, NULL);
}

/* tests/unit/test_http_limits.c: the bounds of the HTTP server: deadlines, numbers of connections, draining, lack of descriptors. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/unixsock.h"
#include "tests/unit/support_http.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define HELLO     "\r\n\r\nhello\n"
#define SHORT     (300 * USEC_PER_MSEC)

/* --- deadlines --- */

/* Sends one byte a turn for as long as the server takes them. Return: usec until the server had enough. */
static uint64_t drip(struct http_scene *s, struct http_client_raw *c, const char *head)
{
        uint64_t start = clock_monotonic_usec();

        raw_send(c, head);
        while (!c->closed && !c->reset && clock_monotonic_usec() - start < 20 * USEC_PER_SEC) {
                if (c->received.len == 0)
                        raw_send(c, "a");
                http_scene_turn(s);
        }
        return clock_monotonic_usec() - start;
}

static void slow_head_is_cut_by_an_absolute_deadline(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;

        s->limits.receive_usec = SHORT;
        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        assert_in_range(drip(s, c, "GET /"), SHORT, 10 * USEC_PER_SEC);
        assert_true(raw_has(c, "HTTP/1.1 408 Request Timeout\r\n"));
        assert_int_equal(s->requests, 0);
}

static void slow_body_is_cut_by_the_same_deadline(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;

        s->limits.receive_usec = SHORT;
        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        raw_send(c, GET("/x")); /* the deadline counts anew from the first byte of each request */
        wait_for(s, raw_has(c, HELLO));
        raw_forget(c);
        assert_in_range(drip(s, c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8000\r\n\r\n"), SHORT,
                        10 * USEC_PER_SEC);
        assert_true(raw_has(c, "HTTP/1.1 408 "));
}

static void silent_connection_is_cut(void **state)
{
        struct http_scene *s = *state;

        s->limits.receive_usec = SHORT;
        for (int way = OVER_TCP; way <= OVER_BUFFEREVENT; way++) {
                uint64_t start = clock_monotonic_usec();
                struct http_client_raw *c;

                http_scene_start(s, (enum http_transport)way);
                c = http_scene_client(s);
                wait_for(s, c->closed);
                assert_in_range(clock_monotonic_usec() - start, SHORT, 10 * USEC_PER_SEC);
                assert_int_equal(c->received.len, 0);
                raw_close(c);
                s->server = http_server_free(s->server);
        }
}

static void idle_connection_is_closed(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;
        uint64_t start;

        s->limits.idle_usec = SHORT;
        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        for (unsigned i = 0; i < 3; i++) {
                raw_forget(c);
                raw_send(c, GET("/x"));
                wait_for(s, raw_has(c, HELLO));
                start = clock_monotonic_usec();
                while (clock_monotonic_usec() - start < SHORT / 2)
                        http_scene_turn(s);
                if (c->closed) /* only where this machine slept through the rest of the time */
                        assert_in_range(clock_monotonic_usec() - start, SHORT, UINT64_MAX);
                if (c->closed)
                        return;
        }
        wait_for(s, c->closed);
        assert_in_range(clock_monotonic_usec() - start, SHORT / 2, 10 * USEC_PER_SEC);
}

static void request_without_answer_is_ended(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;

        s->limits.request_usec = SHORT;
        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        raw_send(c, GET("/later"));
        wait_for(s, c->closed);
        assert_true(raw_has(c, "HTTP/1.1 503 Service Unavailable\r\n"));
        assert_true(raw_has(c, "Retry-After: "));
        assert_int_equal(s->gone, 1);
}

/* RFC 9110 9.3.2: of a HEAD that is refused, too, in whatever state it was. */
static void refused_head_gets_no_body(void **state)
{
        static const struct {
                const char *request, *status;
        } rows[] = {
                {"HEAD /x HTTP/1.1\r\nHost: a\r\n", " 408 "},
                {"HEAD /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n", " 408 "},
                {"HEAD /later HTTP/1.1\r\nHost: a\r\n\r\n", " 503 "},
                {"HEAD /x HTTP/1.1\r\n\r\n", " 400 "},
        };
        struct http_scene *s = *state;

        s->limits.receive_usec = s->limits.request_usec = SHORT;
        http_scene_start(s, OVER_TCP);
        for (size_t i = 0; i < array_len(rows); i++) {
                struct http_client_raw *c = http_scene_client(s);
                size_t len;

                raw_send(c, rows[i].request);
                wait_for(s, c->closed);
                len = c->received.len;
                assert_true(raw_has(c, rows[i].status));
                assert_true(raw_has(c, "Content-Length: "));
                assert_memory_equal(c->received.data + len - 4, "\r\n\r\n", 4);
                raw_close(c);
        }
}

static void answer_that_is_not_read_is_dropped(void **state)
{
        struct http_scene *s = *state;

        s->limits.request_usec = SHORT;
        for (int way = OVER_TCP; way <= OVER_BUFFEREVENT; way++) {
                struct http_client_raw *c;

                http_scene_start(s, (enum http_transport)way);
                c = http_scene_client(s);
                c->paused = true;
                raw_send(c, GET("/big"));
                wait_for(s, s->requests == (unsigned)way + 1);
                wait_for(s, http_server_conns(s->server) == 0);
                raw_close(c);
                s->server = http_server_free(s->server);
        }
}

/* Each is within its own bound; together they are not: who has let an answer wait for the longest makes way. */
static void slow_readers_make_way_together(void **state)
{
        struct http_scene *s = *state;

        s->limits.held_max = HTTP_SCENE_BIG + HTTP_SCENE_BIG / 4;
        for (int way = OVER_TCP; way <= OVER_BUFFEREVENT; way++) {
                struct http_client_raw *c[2];

                http_scene_start(s, (enum http_transport)way);
                for (size_t i = 0; i < 2; i++) {
                        c[i] = http_scene_client(s);
                        c[i]->paused = true;
                        raw_send(c[i], GET("/big"));
                        wait_for(s, s->requests == 2 * (unsigned)way + i + 1);
                }
                wait_for(s, http_server_conns(s->server) == 1);
                c[1]->paused = false;
                wait_for(s, c[1]->received.len > HTTP_SCENE_BIG);
                c[0]->paused = false;
                wait_for(s, c[0]->closed);
                assert_true(c[0]->received.len < HTTP_SCENE_BIG);
                raw_close(c[0]);
                raw_close(c[1]);
                s->server = http_server_free(s->server);
        }
}

static void send_part(struct http_client_raw *c, size_t len)
{
        static char body[16 << 10];

        memset(body, 'b', sizeof(body));
        raw_send(c, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 16000\r\n\r\n");
        raw_send_bytes(c, body, len);
}

/* The same for what is received: the slow one makes way once it has been slow, until then a new one is told to come again. */
static void slow_senders_make_way_together(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *slow, *early, *late;
        uint64_t begin;

        s->limits.held_max = 10 << 10;
        s->limits.body_max = 16 << 10;
        http_scene_start(s, OVER_TCP);
        slow = http_scene_client(s);
        send_part(slow, 12 << 10);
        begin = clock_monotonic_usec();
        for (unsigned i = 0; i < 20; i++)
                http_scene_turn(s);
        early = http_scene_client(s);
        send_part(early, 16000);
        wait_for(s, raw_has(early, "HTTP/1.1 503 Service Unavailable\r\n"));
        raw_send(http_scene_client(s), GET("/x")); /* a small one needs no room */
        wait_for(s, s->requests == 1);
        assert_false(slow->closed);
        wait_for(s, clock_monotonic_usec() - begin > 1100 * USEC_PER_MSEC);
        late = http_scene_client(s);
        send_part(late, 6000);
        wait_for(s, slow->closed);
        assert_false(late->closed);
}

static void stream_has_no_deadline(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;
        uint64_t start = clock_monotonic_usec();

        s->limits.request_usec = s->limits.receive_usec = s->limits.idle_usec = SHORT / 3;
        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        raw_send(c, GET("/stream"));
        wait_for(s, s->held);
        while (clock_monotonic_usec() - start < 2 * SHORT)
                http_scene_turn(s);
        http_stream_write(s->held, "still here", 10);
        wait_for(s, raw_has(c, "still here"));
        assert_false(c->closed);
        http_stream_end(s->held);
        s->held = NULL;
        wait_for(s, c->closed); /* idle, by now */
        assert_true(raw_has(c, "0\r\n\r\n"));
}

/* --- numbers --- */

static void too_many_connections_are_refused(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c[3], *more;

        s->limits.conns_max = 3;
        http_scene_start(s, OVER_TCP);
        for (size_t i = 0; i < array_len(c); i++) {
                c[i] = http_scene_client(s);
                raw_send(c[i], GET("/x"));
                wait_for(s, raw_has(c[i], HELLO));
        }
        more = http_scene_client(s);
        raw_send(more, GET("/x"));
        wait_for(s, more->closed);
        assert_true(raw_has(more, "HTTP/1.1 503 "));
        assert_true(raw_has(more, "{\"refused\":503}"));
        assert_int_equal(s->accepted, 3);
        assert_int_equal(s->requests, 3);
        raw_close(c[0]);
        raw_close(more);
        wait_for(s, s->closed == 1);
        more = http_scene_client(s);
        raw_send(more, GET("/x"));
        wait_for(s, raw_has(more, HELLO));
}

static void longest_idle_connection_makes_way(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c[4];

        s->limits.conns_max = 3;
        s->limits.evict_idle = true;
        http_scene_start(s, OVER_TCP);
        for (size_t i = 0; i < 3; i++) {
                c[i] = http_scene_client(s);
                raw_send(c[i], GET("/x"));
                wait_for(s, raw_has(c[i], HELLO));
        }
        raw_forget(c[0]);
        raw_send(c[0], GET("/x")); /* now the second has been idle for the longest */
        wait_for(s, raw_has(c[0], HELLO));
        c[3] = http_scene_client(s);
        raw_send(c[3], GET("/x"));
        wait_for(s, raw_has(c[3], HELLO) && c[1]->closed);
        assert_false(c[0]->closed);
        assert_false(c[2]->closed);
        assert_int_equal(http_server_conns(s->server), 3);
}

static void busy_connections_do_not_make_way(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c, *more;

        s->limits.conns_max = 1;
        s->limits.evict_idle = true;
        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        raw_send(c, GET("/later"));
        wait_for(s, s->held);
        more = http_scene_client(s);
        wait_for(s, more->closed);
        assert_true(raw_has(more, "HTTP/1.1 503 "));
        http_reply(s->held, 200, "text/plain", "late\n", 5);
        wait_for(s, raw_has(c, "late\n"));
}

static void slow_senders_make_way_where_none_is_idle(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *slow, *more;
        uint64_t start = clock_monotonic_usec();

        s->limits.conns_max = 1;
        s->limits.evict_idle = true;
        http_scene_start(s, OVER_TCP);
        slow = http_scene_client(s);
        raw_send(slow, "GET / HTTP");
        while (clock_monotonic_usec() - start < 1200 * USEC_PER_MSEC)
                http_scene_turn(s);
        more = http_scene_client(s);
        raw_send(more, GET("/x"));
        wait_for(s, raw_has(more, HELLO) && slow->closed);
}

static void handler_may_refuse_a_connection(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;

        s->accept_status = 503;
        http_scene_start(s, OVER_UNIX);
        c = http_scene_client(s);
        raw_send(c, GET("/x"));
        wait_for(s, c->closed);
        assert_true(raw_has(c, "HTTP/1.1 503 "));
        assert_int_equal(s->requests, 0);
        assert_int_equal(s->closed, 0); /* never taken, so never told of its end */
        assert_int_equal(http_server_conns(s->server), 0);
        s->accept_status = 0;
        s->close_on_accept = true;
        c = http_scene_client(s);
        wait_for(s, c->closed && s->closed == 1);
}

static void many_refused_connections_do_not_pile_up(void **state)
{
        struct http_scene *s = *state;
        int fds[300];

        s->limits.conns_max = 1;
        http_scene_start(s, OVER_TCP);
        (void)http_scene_client(s);
        wait_for(s, s->accepted == 1);
        for (size_t i = 0; i < array_len(fds); i++) {
                struct http_client_raw *c = http_scene_client(s);

                fds[i] = dup(c->fd);
                assert_true(fds[i] >= 0);
                raw_close(c);
                http_scene_turn(s);
        }
        assert_int_equal(http_server_conns(s->server), 1);
        for (size_t i = 0; i < array_len(fds); i++) {
                char answer[64] = "";

                (void)fcntl(fds[i], F_SETFL, 0);
                assert_true(read(fds[i], answer, sizeof(answer) - 1) > 0);
                assert_int_equal(strncmp(answer, "HTTP/1.1 503 ", 13), 0);
                close(fds[i]);
        }
}

/* Fault 29: at the limit of descriptors the server waits instead of spinning, and goes on when there are some again. */
static void lack_of_descriptors_is_waited_out(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;
        struct rlimit normal, none;
        struct rusage before, after;
        uint64_t start, cpu_usec;

        http_scene_start(s, OVER_TCP);
        http_scene_turn(s);
        c = http_scene_client(s);
        raw_send(c, GET("/x"));
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &normal), 0);
        none = (struct rlimit){0, normal.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        start = clock_monotonic_usec();
        getrusage(RUSAGE_THREAD, &before);
        while (clock_monotonic_usec() - start < 500 * USEC_PER_MSEC)
                http_scene_turn(s);
        getrusage(RUSAGE_THREAD, &after);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &normal), 0);
        assert_int_equal(s->accepted, 0);
        cpu_usec = (uint64_t)(after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec -
                              before.ru_stime.tv_sec) *
                           USEC_PER_SEC +
                   (uint64_t)(after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec -
                              before.ru_stime.tv_usec);
        assert_in_range(cpu_usec, 0, 200 * USEC_PER_MSEC); /* the turns of this test cost some themselves */
        wait_for(s, raw_has(c, HELLO));
}

/* The connection takes the last descriptor and none is left to pin its peer: that one is turned away, who follows waits. */
static void lack_of_a_descriptor_for_the_peer_is_waited_out(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c[3];
        struct rlimit normal, one;
        int last;

        if (!unixsock_has_peerpidfd())
                skip(); /* peers are not pinned there */
        http_scene_start(s, OVER_UNIX);
        http_scene_turn(s);
        for (size_t i = 0; i < array_len(c); i++) {
                c[i] = http_scene_client(s);
                raw_send(c[i], GET("/x"));
        }
        last = dup(STDIN_FILENO);
        assert_true(last >= 0);
        close(last);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &normal), 0);
        one = (struct rlimit){(rlim_t)last + 1, normal.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &one), 0);
        wait_for(s, c[0]->closed || c[0]->reset);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &normal), 0);
        wait_for(s, raw_has(c[1], HELLO) && raw_has(c[2], HELLO));
}

/* --- draining --- */

static void on_drained(void *arg)
{
        struct http_scene *s = arg;

        s->drained++;
        s->server = http_server_free(s->server); /* allowed there */
}

static void drain_of_nothing_is_done_at_once(void **state)
{
        struct http_scene *s = *state;

        http_scene_start(s, OVER_TCP);
        http_server_drain(s->server, on_drained, s);
        assert_int_equal(s->drained, 0); /* from the loop, never from within */
        wait_for(s, s->drained == 1);
}

static void drain_lets_requests_finish(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *idle, *busy, *half, *queued;

        http_scene_start(s, OVER_TCP);
        idle = http_scene_client(s);
        raw_send(idle, GET("/x"));
        busy = http_scene_client(s);
        raw_send(busy, GET("/later"));
        half = http_scene_client(s);
        raw_send(half, "GET /x HTTP/1.1\r\n");
        wait_for(s, raw_has(idle, HELLO) && s->held && s->accepted == 3);
        queued = http_scene_client(s); /* connected, but not accepted yet */
        raw_send(queued, GET("/x"));
        http_server_drain(s->server, on_drained, s);
        wait_for(s, idle->closed && raw_has(queued, HELLO) && queued->closed);
        assert_int_equal(s->drained, 0);
        raw_send(half, "Host: a\r\n\r\n");
        wait_for(s, raw_has(half, HELLO) && half->closed);
        assert_true(raw_has(half, "Connection: close\r\n"));
        assert_int_equal(s->drained, 0);
        http_reply(s->held, 200, "text/plain", "late\n", 5);
        s->held = NULL;
        wait_for(s, raw_has(busy, "late\n") && busy->closed);
        raw_close(idle);
        raw_close(busy);
        raw_close(half);
        raw_close(queued);
        wait_for(s, s->drained == 1);
        assert_int_equal(s->gone, 0);
        assert_int_equal(s->closed, 4);
}

/* A request on a kept connection that crosses the server's end on the wire is answered; that answer says it is the last. */
static void drain_answers_a_kept_connection_once_more(void **state)
{
        struct http_scene *s = *state;

        for (int way = OVER_TCP; way <= OVER_BUFFEREVENT; way++) {
                struct http_client_raw *kept;

                http_scene_start(s, (enum http_transport)way);
                kept = http_scene_client(s);
                raw_send(kept, GET("/x"));
                wait_for(s, raw_has(kept, HELLO));
                assert_false(raw_has(kept, "Connection: close\r\n"));
                http_server_drain(s->server, on_drained, s);
                raw_send(kept, GET("/x"));
                wait_for(s, kept->closed);
                assert_true(raw_has(kept, "Connection: close\r\n"));
                assert_false(kept->reset);
                raw_close(kept);
                wait_for(s, s->drained == (unsigned)way + 1);
        }
}

/* Whoever has been told "Connection: close" connects anew: he is not turned away while the others end. */
static void drain_takes_new_connections_while_others_end(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *kept, *next;

        http_scene_start(s, OVER_TCP);
        kept = http_scene_client(s);
        raw_send(kept, GET("/x"));
        wait_for(s, raw_has(kept, HELLO));
        http_server_drain(s->server, on_drained, s);
        http_scene_turn(s);
        assert_int_equal(s->drained, 0);
        next = http_scene_client(s);
        raw_send(next, GET("/x"));
        wait_for(s, raw_has(next, HELLO) && next->closed);
        assert_true(raw_has(next, "Connection: close\r\n"));
        assert_false(kept->closed);
        wait_for(s, kept->closed && s->drained == 1); /* it asked for nothing more */
}

static void drain_ends_streams(void **state)
{
        struct http_scene *s = *state;

        for (int way = OVER_TCP; way <= OVER_BUFFEREVENT; way++) {
                struct http_client_raw *c;

                http_scene_start(s, (enum http_transport)way);
                c = http_scene_client(s);
                raw_send(c, GET("/stream"));
                wait_for(s, s->held);
                http_stream_write(s->held, "last words", 10);
                http_server_drain(s->server, on_drained, s);
                wait_for(s, c->closed);
                assert_true(raw_has(c, "last words\r\n0\r\n\r\n"));
                raw_close(c);
                wait_for(s, s->drained == (unsigned)way + 1);
                assert_int_equal(s->gone, way + 1);
                s->held = NULL;
        }
}

static void drain_does_not_wait_for_the_silent(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;
        uint64_t start;

        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        wait_for(s, s->accepted == 1);
        start = clock_monotonic_usec();
        http_server_drain(s->server, on_drained, s);
        wait_for(s, s->drained == 1);
        assert_in_range(clock_monotonic_usec() - start, 500 * USEC_PER_MSEC, 15 * USEC_PER_SEC);
        http_scene_turn(s);
        assert_true(c->closed);
}

static void close_one(struct http_conn *conn, void *arg)
{
        unsigned *n = arg;

        (*n)++;
        http_conn_close(conn);
}

static void each_connection_can_be_closed(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c[3];
        unsigned n = 0;

        http_scene_start(s, OVER_TCP);
        for (size_t i = 0; i < array_len(c); i++)
                c[i] = http_scene_client(s);
        raw_send(c[1], GET("/stream"));
        raw_send(c[2], "GET");
        wait_for(s, s->held && s->accepted == 3);
        http_server_each_conn(s->server, close_one, &n);
        assert_int_equal(n, 3);
        wait_for(s, c[0]->closed && (c[1]->closed || c[1]->reset) && (c[2]->closed || c[2]->reset));
        assert_int_equal(s->gone, 1);
        assert_int_equal(s->closed, 3);
}

#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, http_scene_set_up, http_scene_tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                HTTP_TEST(slow_head_is_cut_by_an_absolute_deadline),
                HTTP_TEST(slow_body_is_cut_by_the_same_deadline),
                HTTP_TEST(silent_connection_is_cut),
                HTTP_TEST(idle_connection_is_closed),
                HTTP_TEST(request_without_answer_is_ended),
                HTTP_TEST(refused_head_gets_no_body),
                HTTP_TEST(answer_that_is_not_read_is_dropped),
                HTTP_TEST(slow_readers_make_way_together),
                HTTP_TEST(slow_senders_make_way_together),
                HTTP_TEST(stream_has_no_deadline),
                HTTP_TEST(too_many_connections_are_refused),
                HTTP_TEST(longest_idle_connection_makes_way),
                HTTP_TEST(busy_connections_do_not_make_way),
                HTTP_TEST(slow_senders_make_way_where_none_is_idle),
                HTTP_TEST(handler_may_refuse_a_connection),
                HTTP_TEST(many_refused_connections_do_not_pile_up),
                HTTP_TEST(lack_of_descriptors_is_waited_out),
                HTTP_TEST(lack_of_a_descriptor_for_the_peer_is_waited_out),
                HTTP_TEST(drain_of_nothing_is_done_at_once),
                HTTP_TEST(drain_lets_requests_finish),
                HTTP_TEST(drain_answers_a_kept_connection_once_more),
                HTTP_TEST(drain_takes_new_connections_while_others_end),
                HTTP_TEST(drain_ends_streams),
                HTTP_TEST(drain_does_not_wait_for_the_silent),
                HTTP_TEST(each_connection_can_be_closed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

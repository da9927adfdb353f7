/* tests/unit/test_http_server.c: requests and answers over real sockets: what common/http_server.h promises about HTTP. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/parse.h"
#include "tests/unit/support_http.h"

#define GET(path)   "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define HELLO       "\r\n\r\nhello\n"
#define BYTES(text) text, sizeof(text) - 1

static unsigned count(const struct http_client_raw *c, const char *text)
{
        unsigned n = 0;
        const char *p = buf_text(&c->received), *end = p + c->received.len;

        while ((p = memmem(p, (size_t)(end - p), text, strlen(text)))) {
                p += strlen(text);
                n++;
        }
        return n;
}

static bool ends_with(const struct http_client_raw *c, const char *text)
{
        size_t len = strlen(text);

        return c->received.len >= len && memcmp(c->received.data + c->received.len - len, text, len) == 0;
}

/* --- refusals: each is answered, says so, and closes --- */

static void what_is_not_strict_is_refused_and_closed(void **state)
{
        static const struct {
                const char *bytes;
                size_t len;
                const char *status;
        } rows[] = {
                {BYTES("GET / HTTP/1.1\nHost: a\n\n"), "400"},
                {BYTES("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), "400"},
                {BYTES("GET / HTTP/1.1\r\n\r\n"), "400"},
                {BYTES("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), "400"},
                {BYTES("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello"), "400"},
                {BYTES("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\nhello"), "400"},
                {BYTES("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
                 "400"},
                {BYTES("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n"),
                 "400"},
                {BYTES("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
                 "400"},
                {BYTES("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), "501"},
                {BYTES("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), "400"},
                {BYTES("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"), "400"},
                {BYTES("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"), "400"},
                {BYTES("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"), "400"},
                {BYTES("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"), "400"},
                {BYTES("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "400"},
                {BYTES("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"), "417"},
                {BYTES("GET / HTTP/3.0\r\nHost: a\r\n\r\n"), "505"},
                {BYTES("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8193\r\n\r\n"), "413"},
                {BYTES("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2001\r\n"), "413"},
        };
        struct http_scene *s = *state;

        http_scene_start(s, OVER_TCP);
        for (size_t i = 0; i < array_len(rows); i++) {
                struct http_client_raw *c = http_scene_client(s);
                cleanup_free char *line = mem_printf("HTTP/1.1 %s ", rows[i].status);
                cleanup_free char *body = mem_printf("\r\n\r\n{\"refused\":%s}", rows[i].status);

                raw_send_bytes(c, rows[i].bytes, rows[i].len);
                wait_for(s, c->closed || c->reset);
                if (!raw_has(c, line) || !ends_with(c, body) || !raw_has(c, "\r\nConnection: close\r\n") || c->reset)
                        fail_msg("row %zu: %s", i, buf_text(&c->received));
                raw_close(c);
        }
        assert_int_equal(s->requests, 0);
        wait_for(s, s->closed == array_len(rows));
}

static void too_long_heads_are_refused(void **state)
{
        struct http_scene *s = *state;
        cleanup_buf struct buf b = BUF_INIT;
        struct http_client_raw *c;

        http_scene_start(s, OVER_TCP);
        buf_str(&b, "GET /");
        while (b.len < 1100)
                buf_char(&b, 'a');
        c = http_scene_client(s);
        raw_send(c, b.data);
        wait_for(s, c->closed);
        assert_true(raw_has(c, "HTTP/1.1 414 "));

        buf_reset(&b);
        buf_str(&b, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
        while (b.len < 5000)
                buf_char(&b, 'a');
        c = http_scene_client(s);
        raw_send(c, b.data);
        wait_for(s, c->closed);
        assert_true(raw_has(c, "HTTP/1.1 431 "));
}

/* The rest of a refused body is swallowed for a while: closing with bytes unread would reset the answer away. */
static void refusal_is_seen_by_a_client_that_goes_on_sending(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;
        char body[30000];

        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        raw_send(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        memset(body, 'x', sizeof(body));
        raw_send_bytes(c, body, sizeof(body));
        wait_for(s, raw_has(c, "{\"refused\":413}"));
        raw_send_bytes(c, body, sizeof(body));
        wait_for(s, c->closed);
        assert_false(c->reset);
}

/* --- requests --- */

static void asked_and_answered(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;

        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        raw_send(c, "GET /asked?name=a%20b&x=1&na%6De=%E4+ HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 0\r\nx:  2 \r\n\r\n");
        wait_for(s, raw_has(c, "query="));
        assert_true(ends_with(c, "name=a b;second=\xe4 ;x=1, 2;query=name=a%20b&x=1&na%6De=%E4+"));
        assert_true(raw_has(c, "HTTP/1.1 200 OK\r\nDate: "));
        assert_true(raw_has(c, " GMT\r\nContent-Type: text/plain\r\nContent-Length: "));
        assert_false(raw_has(c, "Connection:"));
        raw_forget(c);
        raw_send(c, "\r\n" GET("http://a/asked"));
        wait_for(s, raw_has(c, "query="));
        assert_true(ends_with(c, "name=-;second=-;x=-;query="));
        assert_string_equal(s->last_path, "/asked");
        assert_int_equal(s->accepted, 1);
        assert_false(s->has_length);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;
        cleanup_buf struct buf b = BUF_INIT;

        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        for (unsigned i = 0; i < 500; i++)
                buf_printf(&b, "GET /asked?name=n%u. HTTP/1.1\r\nHost: a\r\n\r\n", i);
        raw_send(c, b.data);
        wait_for(s, raw_has(c, "name=n499."));
        assert_int_equal(count(c, "HTTP/1.1 200 OK"), 500);
        buf_reset(&b);
        for (const char *p = c->received.data; (p = strstr(p, "name=n")) && (p = strstr(p, ";second"));)
                buf_char(&b, p[-1]);
        assert_int_equal(b.len, 500);
        assert_int_equal(s->requests, 500);
}

static void pipelined_request_waits_for_the_one_before(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;

        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        raw_send(c, GET("/later") GET("/x"));
        wait_for(s, s->held);
        raw_send(c, GET("/y"));
        for (unsigned i = 0; i < 10; i++)
                http_scene_turn(s);
        assert_int_equal(s->requests, 1);
        http_reply(s->held, 200, "text/plain", "late\n", 5);
        assert_int_equal(s->requests, 1); /* never from within http_reply() */
        wait_for(s, s->requests == 3 && count(c, HELLO) == 2);
        assert_true(strstr(c->received.data, "late\n") < strstr(c->received.data, "hello\n"));
        assert_int_equal(s->gone, 0);
}

static void bodies_arrive_whole(void **state)
{
        static const char *const requests[] = {
                "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
                "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;e\r\nhello\r\n6\r\n "
                "world\r\n0\r\nT: t\r\n\r\n",
        };
        struct http_scene *s = *state;

        http_scene_start(s, OVER_TCP);
        for (size_t i = 0; i < array_len(requests); i++)
                for (size_t step = 1; step <= strlen(requests[i]); step += 25) {
                        struct http_client_raw *c = http_scene_client(s);

                        for (size_t done = 0; done < strlen(requests[i]); done += step) {
                                size_t left = strlen(requests[i]) - done;

                                raw_send_bytes(c, requests[i] + done, left < step ? left : step);
                                http_scene_turn(s);
                        }
                        raw_send(c, GET("/x"));
                        wait_for(s, raw_has(c, HELLO));
                        assert_true(raw_has(c, "Content-Length: 11\r\n\r\nhello worldHTTP/1.1 200 OK\r\n"));
                        raw_close(c);
                }
}

static void largest_body_is_taken(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;
        char body[8192];

        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        memset(body, 'x', sizeof(body));
        raw_send(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8192\r\n\r\n");
        raw_send_bytes(c, body, sizeof(body));
        wait_for(s, c->received.len > sizeof(body) && ends_with(c, "xxxx"));
        raw_forget(c);
        raw_send(c, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (unsigned i = 0; i < 8192; i++) /* the frames weigh five times the body, and count for nothing */
                raw_send(c, "1\r\nx\r\n");
        raw_send(c, "0\r\n\r\n");
        wait_for(s, c->received.len > sizeof(body) && ends_with(c, "xxxx"));
        assert_true(raw_has(c, "Content-Length: 8192\r\n"));
}

static void expectation_of_100_is_met(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;

        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        raw_send(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        wait_for(s, raw_has(c, "HTTP/1.1 100 Continue\r\n\r\n"));
        raw_send(c, "hello");
        wait_for(s, ends_with(c, "\r\n\r\nhello"));
        assert_int_equal(count(c, "100 Continue"), 1);
        raw_forget(c);
        raw_send(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\nExpect: 100-continue\r\n\r\n");
        wait_for(s, c->closed);
        assert_true(raw_has(c, "HTTP/1.1 413 "));
        assert_false(raw_has(c, "100 Continue"));
}

/* --- answers --- */

static void head_leaves_the_body_out(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;

        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        raw_send(c, "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n");
        raw_send(c, GET("/204") GET("/304") GET("/x"));
        wait_for(s, raw_has(c, HELLO));
        assert_int_equal(count(c, "hello\n"), 1);
        assert_int_equal(count(c, "Content-Length: 6\r\n"), 2);
        assert_int_equal(count(c, "Content-Length"), 2); /* neither 204 nor 304 */
        assert_true(raw_has(c, "HTTP/1.1 304 Not Modified\r\n"));
        assert_true(raw_has(c, "ETag: W/\"7\"\r\n\r\nHTTP/1.1 200 OK"));
}

static void last_answer_says_close(void **state)
{
        static const char *const requests[] = {
                "GET /x HTTP/1.0\r\n\r\n",
                "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                GET("/last"),
                GET("/last") GET("/x"),
        };
        struct http_scene *s = *state;

        http_scene_start(s, OVER_TCP);
        for (size_t i = 0; i < array_len(requests); i++) {
                struct http_client_raw *c = http_scene_client(s);

                raw_send(c, requests[i]);
                wait_for(s, c->closed);
                assert_true(raw_has(c, "HTTP/1.1 200 OK\r\n"));
                assert_true(raw_has(c, "\r\nConnection: close\r\n"));
                raw_close(c);
        }
        assert_int_equal(s->requests, array_len(requests));
}

static void header_fields_cannot_be_smuggled(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;

        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        raw_send(c, GET("/fields"));
        wait_for(s, raw_has(c, "\r\n\r\n"));
        assert_true(raw_has(c, "\r\nX-Good: yes\r\n"));
        assert_false(raw_has(c, "Smuggled"));
}

static void large_answer_arrives_whole(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;
        const char *body;

        for (int way = OVER_TCP; way <= OVER_BUFFEREVENT; way++) {
                http_scene_start(s, (enum http_transport)way);
                c = http_scene_client(s);
                raw_send(c, GET("/big") GET("/secret"));
                wait_for(s, ends_with(c, "s3cret"));
                body = (const char *)memmem(c->received.data, c->received.len, "\r\n\r\n", 4) + 4;
                assert_int_equal(strspn(body, "b"), HTTP_SCENE_BIG);
                assert_memory_equal(body + HTTP_SCENE_BIG, "HTTP/1.1 200 OK", 15);
                raw_close(c);
                s->server = http_server_free(s->server);
        }
}

/* --- deferred requests and peers that go --- */

static void half_closed_peer_gets_its_answer(void **state)
{
        struct http_scene *s = *state;

        for (int way = OVER_TCP; way <= OVER_BUFFEREVENT; way++) {
                struct http_client_raw *c;

                http_scene_start(s, (enum http_transport)way);
                c = http_scene_client(s);
                raw_send(c, GET("/later"));
                shutdown(c->fd, SHUT_WR);
                wait_for(s, s->held);
                for (unsigned i = 0; i < 5; i++)
                        http_scene_turn(s);
                assert_int_equal(s->gone, 0);
                http_reply(s->held, 200, "text/plain", "late\n", 5);
                s->held = NULL;
                wait_for(s, c->closed);
                assert_true(raw_has(c, "late\n"));
                assert_true(raw_has(c, "Connection: close\r\n"));
                raw_close(c);
                s->server = http_server_free(s->server);
        }
}

/* All that was sent before the end is answered, the last answer says so; what is no whole request ends without one. */
static void half_closed_peer_gets_all_its_answers(void **state)
{
        struct http_scene *s = *state;

        for (int way = OVER_TCP; way <= OVER_BUFFEREVENT; way++) {
                for (unsigned partial = 0; partial < 2; partial++) {
                        struct http_client_raw *c;

                        http_scene_start(s, (enum http_transport)way);
                        c = http_scene_client(s);
                        raw_send(c, partial ? GET("/later") GET("/x") "GET /y" : GET("/later") GET("/x") GET("/y"));
                        shutdown(c->fd, SHUT_WR);
                        wait_for(s, s->held);
                        for (unsigned i = 0; i < 5; i++)
                                http_scene_turn(s);
                        http_reply(s->held, 200, "text/plain", "late\n", 5);
                        s->held = NULL;
                        wait_for(s, c->closed);
                        assert_int_equal(count(c, HELLO), partial ? 1 : 2);
                        assert_int_equal(count(c, "late\n"), 1);
                        assert_int_equal(count(c, "Connection: close\r\n"), partial ? 0 : 1);
                        assert_int_equal(s->gone, 0);
                        raw_close(c);
                        s->server = http_server_free(s->server);
                }
        }
}

static void peer_that_resets_is_gone(void **state)
{
        struct http_scene *s = *state;
        unsigned gone = 0;

        for (int way = OVER_TCP; way <= OVER_BUFFEREVENT; way++) {
                struct linger now = {1, 0};
                struct http_client_raw *c;

                http_scene_start(s, (enum http_transport)way);
                c = http_scene_client(s);
                raw_send(c, GET("/later"));
                wait_for(s, s->held);
                assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
                raw_close(c);
                wait_for(s, s->gone == gone + 1);
                gone++;
                assert_null(s->held);
                wait_for(s, http_server_conns(s->server) == 0);
                s->server = http_server_free(s->server);
        }
        assert_int_equal(s->closed, 3);
}

static void connection_closed_by_its_handler(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c, *d;

        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        raw_send(c, GET("/cut"));
        wait_for(s, c->closed || c->reset);
        assert_int_equal(c->received.len, 0);
        d = http_scene_client(s);
        raw_send(d, GET("/later"));
        wait_for(s, s->held);
        http_conn_close(http_request_conn(s->held));
        assert_int_equal(s->gone, 0); /* soon, not now */
        wait_for(s, s->gone == 1 && s->closed == 2);
}

static void server_freed_with_all_kinds_of_connections(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c[4];

        http_scene_start(s, OVER_TCP);
        for (size_t i = 0; i < array_len(c); i++)
                c[i] = http_scene_client(s);
        raw_send(c[0], GET("/x"));
        raw_send(c[1], "GET / HT");
        raw_send(c[2], GET("/later"));
        raw_send(c[3], "bad\n");
        wait_for(s, s->held && raw_has(c[0], HELLO) && raw_has(c[3], "400") && s->accepted == 4);
        s->server = http_server_free(s->server);
        assert_int_equal(s->gone, 1);
        assert_int_equal(s->closed, 4);
}

/* --- streams --- */

static void stream_is_chunked(void **state)
{
        struct http_scene *s = *state;

        for (int way = OVER_TCP; way <= OVER_BUFFEREVENT; way++) {
                struct http_client_raw *c;

                http_scene_start(s, (enum http_transport)way);
                c = http_scene_client(s);
                raw_send(c, GET("/stream"));
                wait_for(s, raw_has(c, "\r\n\r\n"));
                assert_true(raw_has(c, "Transfer-Encoding: chunked\r\n"));
                assert_false(raw_has(c, "Content-Length"));
                raw_forget(c);
                http_stream_write(s->held, "first", 5);
                http_stream_write(s->held, "", 0); /* must not end it */
                http_stream_write(s->held, "0123456789abcdefg", 17);
                wait_for(s, ends_with(c, "5\r\nfirst\r\n11\r\n0123456789abcdefg\r\n"));
                http_stream_end(s->held);
                s->held = NULL;
                raw_send(c, GET("/x"));
                wait_for(s, raw_has(c, HELLO));
                assert_true(raw_has(c, "\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"));
                raw_close(c);
                s->server = http_server_free(s->server);
        }
        assert_int_equal(s->gone, 0);
}

static void stream_of_http_1_0_ends_with_the_connection(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;

        http_scene_start(s, OVER_TCP);
        c = http_scene_client(s);
        raw_send(c, "GET /stream HTTP/1.0\r\n\r\n");
        wait_for(s, s->held);
        http_stream_write(s->held, "all", 3);
        http_stream_end(s->held);
        wait_for(s, c->closed);
        assert_true(ends_with(c, "Connection: close\r\n\r\nall"));
        assert_false(raw_has(c, "chunked"));
}

static void stream_whose_peer_closes_is_gone(void **state)
{
        struct http_scene *s = *state;
        unsigned gone = 0;

        for (int way = OVER_TCP; way <= OVER_BUFFEREVENT; way++) {
                struct http_client_raw *c;

                http_scene_start(s, (enum http_transport)way);
                c = http_scene_client(s);
                raw_send(c, GET("/stream"));
                wait_for(s, s->held && raw_has(c, "\r\n\r\n"));
                raw_close(c);
                wait_for(s, s->gone == gone + 1);
                gone++;
                s->server = http_server_free(s->server);
        }
}

static void stream_that_is_not_read_is_closed(void **state)
{
        struct http_scene *s = *state;
        static char block[65536];
        unsigned gone = 0;

        for (int way = OVER_TCP; way <= OVER_BUFFEREVENT; way++) {
                struct http_client_raw *c;

                http_scene_start(s, (enum http_transport)way);
                c = http_scene_client(s);
                c->paused = true;
                raw_send(c, GET("/stream"));
                wait_for(s, s->held);
                for (unsigned i = 0; i < 1000 && s->held; i++) {
                        http_stream_write(s->held, block, sizeof(block));
                        assert_in_range(http_stream_unsent(s->held), 0, s->limits.unsent_max + sizeof(block) + 100);
                        http_scene_turn(s);
                }
                assert_int_equal(s->gone, ++gone);
                raw_close(c);
                s->server = http_server_free(s->server);
        }
}

/* --- who is at the other end --- */

static void peer_of_a_unix_socket_is_known(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;

        http_scene_start(s, OVER_UNIX);
        c = http_scene_client(s);
        raw_send(c, GET("/x"));
        wait_for(s, raw_has(c, HELLO));
        assert_true(s->peer_is_us);
        assert_false(s->is_tls);
        raw_close(c);
        wait_for(s, s->closed == 1);
}

static void bufferevent_connections_are_told_good_bye(void **state)
{
        struct http_scene *s = *state;
        struct http_client_raw *c;

        http_scene_start(s, OVER_BUFFEREVENT);
        c = http_scene_client(s);
        raw_send(c, GET("/x") GET("/x") GET("/last"));
        wait_for(s, c->closed);
        assert_int_equal(count(c, HELLO), 2);
        assert_true(ends_with(c, "last\n"));
        assert_true(s->is_tls);
        assert_int_equal(s->byes, 1);
        c = http_scene_client(s);
        raw_send(c, GET("/x"));
        wait_for(s, raw_has(c, HELLO));
        raw_close(c);
        wait_for(s, s->closed == 2);
}

static void addresses_to_listen_on_are_checked(void **state)
{
        static const char *const bad[] = {
                "",           "5000",        ":5000",           "localhost:5000", "::1:5000",    "[::1:5000",
                "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "[]:1",           "127.0.0.1:-1"};
        int fd = -7, second;
        char *error, *address;
        struct http_scene *s = *state;

        for (size_t i = 0; i < array_len(bad); i++) {
                assert_int_equal(http_listen_tcp(bad[i], 1, &fd, &error), -EINVAL);
                assert_non_null(strstr(error, bad[i]));
                mem_free(error);
                assert_int_equal(fd, -7);
        }
        assert_int_equal(http_listen_tcp("[::1]:0", 1, &fd, &error), 0);
        close(fd);
        http_scene_start(s, OVER_TCP);
        address = mem_printf("127.0.0.1:%u", s->port);
        assert_int_equal(http_listen_tcp(address, 1, &second, &error), -EADDRINUSE);
        assert_non_null(strstr(error, address));
        mem_free(address);
        mem_free(error);
}

#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, http_scene_set_up, http_scene_tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                HTTP_TEST(what_is_not_strict_is_refused_and_closed),
                HTTP_TEST(too_long_heads_are_refused),
                HTTP_TEST(refusal_is_seen_by_a_client_that_goes_on_sending),
                HTTP_TEST(asked_and_answered),
                HTTP_TEST(pipelined_requests_are_answered_in_order),
                HTTP_TEST(pipelined_request_waits_for_the_one_before),
                HTTP_TEST(bodies_arrive_whole),
                HTTP_TEST(largest_body_is_taken),
                HTTP_TEST(expectation_of_100_is_met),
                HTTP_TEST(head_leaves_the_body_out),
                HTTP_TEST(last_answer_says_close),
                HTTP_TEST(header_fields_cannot_be_smuggled),
                HTTP_TEST(large_answer_arrives_whole),
                HTTP_TEST(half_closed_peer_gets_its_answer),
                HTTP_TEST(half_closed_peer_gets_all_its_answers),
                HTTP_TEST(peer_that_resets_is_gone),
                HTTP_TEST(connection_closed_by_its_handler),
                HTTP_TEST(server_freed_with_all_kinds_of_connections),
                HTTP_TEST(stream_is_chunked),
                HTTP_TEST(stream_of_http_1_0_ends_with_the_connection),
                HTTP_TEST(stream_whose_peer_closes_is_gone),
                HTTP_TEST(stream_that_is_not_read_is_closed),
                HTTP_TEST(peer_of_a_unix_socket_is_known),
                HTTP_TEST(bufferevent_connections_are_told_good_bye),
                HTTP_TEST(addresses_to_listen_on_are_checked),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/support_http.c: a real HTTP server on loopback in this process, and raw clients that send bytes of any kind. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/bufferevent.h>

#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"
#include "common/unixsock.h"
#include "tests/unit/support_http.h"

static void on_tick(void *arg)
{
        loop_stop(((struct http_scene *)arg)->loop);
}

int http_scene_set_up(void **state)
{
        struct http_scene *s = mem_new(sizeof(*s));

        s->loop = loop_new();
        s->tick = loop_timer_new(s->loop, on_tick, s);
        s->limits = (struct http_limits){
                .target_max = 1024,
                .head_max = 4096,
                .body_max = 8192,
                .conns_max = 64,
                .receive_usec = 30 * USEC_PER_SEC,
                .request_usec = 30 * USEC_PER_SEC,
                .idle_usec = 30 * USEC_PER_SEC,
                .unsent_max = (size_t)256 << 10,
        };
        for (size_t i = 0; i < HTTP_SCENE_CLIENTS; i++)
                s->clients[i].fd = -1;
        *state = s;
        return 0;
}

int http_scene_tear_down(void **state)
{
        struct http_scene *s = *state;

        http_server_free(s->server);
        loop_timer_free(s->tick);
        loop_free(s->loop);
        for (size_t i = 0; i < HTTP_SCENE_CLIENTS; i++)
                raw_close(&s->clients[i]);
        if (s->socket_path[0])
                unlink(s->socket_path);
        mem_free(s);
        return 0;
}

/* --- the server's side --- */

static int on_accept(struct http_conn *conn, void *arg)
{
        struct http_scene *s = arg;
        const struct peer *p = http_conn_peer(conn);

        s->accepted++;
        s->peer_is_us = p && p->uid == geteuid() && p->pid == getpid();
        s->is_tls = http_conn_is_tls(conn);
        http_conn_set_data(conn, s);
        if (s->close_on_accept)
                http_conn_close(conn);
        return s->accept_status;
}

static void on_close(struct http_conn *conn, void *arg)
{
        struct http_scene *s = arg;

        assert_ptr_equal(http_conn_data(conn), s);
        s->closed++;
}

static void on_gone(struct http_request *r, void *arg)
{
        struct http_scene *s = arg;

        assert_ptr_equal(r, s->held);
        s->held = NULL;
        s->gone++;
}

static void hold(struct http_scene *s, struct http_request *r)
{
        s->held = r;
        http_request_on_gone(r, on_gone, s);
}

static void reply_big(struct http_request *r)
{
        char *big = mem_new(HTTP_SCENE_BIG);

        memset(big, 'b', HTTP_SCENE_BIG);
        http_reply(r, 200, "text/plain", big, HTTP_SCENE_BIG);
        mem_free(big);
}

static void reply_secret(struct http_request *r)
{
        struct secret *secret = secret_new_from("s3cret", 6);

        http_reply_secret(r, 200, "text/plain", secret);
        secret_free(secret);
}

/* "name=<first value of the query's name>;second=<...>;x=<header X>". */
static void reply_asked(struct http_request *r)
{
        cleanup_free char *first = http_request_param(r, "name", 0), *second = http_request_param(r, "name", 1);
        const char *x = http_request_header(r, "x");
        cleanup_free char *text = mem_printf("name=%s;second=%s;x=%s;query=%s", first ? first : "-",
                                             second ? second : "-", x ? x : "-", http_request_query(r));

        http_reply(r, 200, "text/plain", text, strlen(text));
}

static void on_request(struct http_request *r, void *arg)
{
        struct http_scene *s = arg;
        const char *path = http_request_path(r), *body;
        size_t len;

        s->requests++;
        s->has_length = http_request_has_length(r);
        (void)snprintf(s->last_method, sizeof(s->last_method), "%s", http_request_method(r));
        (void)snprintf(s->last_path, sizeof(s->last_path), "%s", path);
        body = http_request_body(r, &len);
        if (strcmp(path, "/later") == 0) {
                hold(s, r);
        } else if (strcmp(path, "/stream") == 0) {
                hold(s, r);
                http_stream_begin(r, 200, "text/event-stream");
        } else if (strcmp(path, "/echo") == 0) {
                http_reply(r, 200, "text/plain", body, len);
        } else if (strcmp(path, "/asked") == 0) {
                reply_asked(r);
        } else if (strcmp(path, "/big") == 0) {
                reply_big(r);
        } else if (strcmp(path, "/secret") == 0) {
                reply_secret(r);
        } else if (strcmp(path, "/204") == 0) {
                http_reply(r, 204, NULL, NULL, 0);
        } else if (strcmp(path, "/304") == 0) {
                http_reply_header(r, "ETag", "W/\"7\"");
                http_reply(r, 304, "text/plain", NULL, 0);
        } else if (strcmp(path, "/last") == 0) {
                http_reply_close(r);
                http_reply(r, 200, "text/plain", "last\n", 5);
        } else if (strcmp(path, "/cut") == 0) {
                http_conn_close(http_request_conn(r));
                http_reply(r, 200, "text/plain", "in vain\n", 8);
        } else if (strcmp(path, "/fields") == 0) {
                http_reply_header(r, "X-Good", "yes");
                http_reply_header(r, "X-Bad", "a\r\nX-Smuggled: b");
                http_reply(r, 200, "text/plain", NULL, 0);
        } else {
                http_reply(r, 200, "text/plain", "hello\n", 6);
        }
}

static char *refusal(const struct http_conn *conn, int status, const char *detail, const char **ret_type, void *arg)
{
        assert_string_equal(http_conn_address(conn),
                            ((struct http_scene *)arg)->transport == OVER_UNIX ? "" : "127.0.0.1");
        assert_true(detail[0] != '\0');
        *ret_type = "application/json";
        return mem_printf("{\"refused\":%d}", status);
}

static struct bufferevent *wrap(struct event_base *base, int fd, void *arg)
{
        (void)arg;
        return bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
}

static void on_bye(struct bufferevent *bev, void *arg)
{
        (void)bev;
        ((struct http_scene *)arg)->byes++;
}

void http_scene_start(struct http_scene *s, enum http_transport transport)
{
        const struct http_handler handler = {on_accept, on_request, refusal, on_close};
        struct sockaddr_in addr;
        socklen_t len = sizeof(addr);
        char *error;
        int fd;

        s->transport = transport;
        s->server = http_server_new(s->loop, &s->limits, &handler, s);
        http_server_set_tls_bye(s->server, on_bye, s);
        if (transport == OVER_UNIX) {
                (void)snprintf(s->socket_path, sizeof(s->socket_path), "/tmp/http-unit-%d.sock", (int)getpid());
                assert_int_equal(unixsock_listen(s->socket_path, 0600, (gid_t)-1, 64, &fd), 0);
                http_server_add_listener(s->server, fd, true);
                return;
        }
        assert_int_equal(http_listen_tcp("127.0.0.1:0", 64, &fd, &error), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
        s->port = ntohs(addr.sin_port);
        if (transport == OVER_BUFFEREVENT)
                http_server_add_tls_listener(s->server, fd, wrap, s);
        else
                http_server_add_listener(s->server, fd, false);
}

/* --- the clients' side --- */

static void receive(struct http_client_raw *c)
{
        char bytes[65536];
        ssize_t n;

        if (c->fd < 0 || c->closed || c->reset || c->paused)
                return;
        while ((n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
                buf_add(&c->received, bytes, (size_t)n);
        if (n == 0)
                c->closed = true;
        else if (errno != EAGAIN && errno != EINTR)
                c->reset = true;
}

void http_scene_turn(struct http_scene *s)
{
        loop_timer_in(s->tick, USEC_PER_MSEC);
        assert_int_equal(loop_run(s->loop), 0);
        for (size_t i = 0; i < HTTP_SCENE_CLIENTS; i++)
                receive(&s->clients[i]);
}

static int dial(const struct http_scene *s)
{
        struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(s->port)};
        int fd;

        if (s->transport == OVER_UNIX) {
                assert_int_equal(unixsock_connect(s->socket_path, &fd), 0);
                return fd;
        }
        addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        return fd;
}

struct http_client_raw *http_scene_client(struct http_scene *s)
{
        for (size_t i = 0; i < HTTP_SCENE_CLIENTS; i++)
                if (s->clients[i].fd < 0) {
                        s->clients[i].fd = dial(s);
                        return &s->clients[i];
                }
        fail_msg("too many clients in one scene");
        return NULL;
}

void raw_send_bytes(struct http_client_raw *c, const void *bytes, size_t len)
{
        ssize_t n = send(c->fd, bytes, len, MSG_NOSIGNAL);

        assert_int_equal(n, len);
}

void raw_send(struct http_client_raw *c, const char *text)
{
        raw_send_bytes(c, text, strlen(text));
}

void raw_close(struct http_client_raw *c)
{
        if (c->fd >= 0)
                close(c->fd);
        c->fd = -1;
        c->closed = c->reset = c->paused = false;
        buf_done(&c->received);
}

bool raw_has(const struct http_client_raw *c, const char *text)
{
        return c->received.len && memmem(c->received.data, c->received.len, text, strlen(text));
}

void raw_forget(struct http_client_raw *c)
{
        buf_reset(&c->received);
}

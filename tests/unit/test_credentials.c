/* tests/unit/test_credentials.c: the client of the agent's socket against an agent that is told what to say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/credentials.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/unixsock.h"

#define GIVE_UP_USEC (10 * USEC_PER_SEC)
#define PEERS_MAX    32
#define UNAVAILABLE  "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
#define STREAM_HEAD  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

struct scene;

struct peer_conn { /* one connection that the agent took */
        struct scene *scene;
        int fd;
        struct loop_watch *watch;
        struct buf request;
};

struct scene {
        struct loop *loop;
        char dir[32], path[64];
        int listen_fd;
        struct loop_watch *listen_watch;
        struct peer_conn peers[PEERS_MAX];
        size_t peers_len;
        int stream_fd;            /* of the newest watch; -1 */
        const char *watch_answer; /* NULL: a stream */
        const char *call_answer;  /* to a POST; "": close without a word */
        const char *call_trouble; /* a POST to such a path is answered 503; NULL: none */
        struct buf requests;      /* the first lines and bodies, in order */
        unsigned watches;

        struct credentials *credentials;
        struct buf told; /* what the callbacks were given, in order */
        bool reread_in_callback;

        struct loop_timer *tick;
        uint64_t give_up_usec;
        bool (*until)(struct scene *s);
        const char *wanted;
};

/* --- the loop turns until something holds --- */

static void on_tick(void *arg)
{
        struct scene *s = arg;

        if (s->until(s)) {
                loop_stop(s->loop);
                return;
        }
        if (clock_monotonic_usec() > s->give_up_usec)
                fail_msg("waited in vain for \"%s\"; told: \"%s\"; requests: \"%s\"", s->wanted ? s->wanted : "",
                         buf_text(&s->told), buf_text(&s->requests));
        loop_timer_in(s->tick, USEC_PER_MSEC);
}

static void run_until(struct scene *s, bool (*until)(struct scene *s), const char *wanted)
{
        s->until = until;
        s->wanted = wanted;
        s->give_up_usec = clock_monotonic_usec() + GIVE_UP_USEC;
        loop_timer_in(s->tick, 0);
        assert_int_equal(loop_run(s->loop), 0);
}

static bool was_told(struct scene *s)
{
        return strstr(buf_text(&s->told), s->wanted) != NULL;
}

static bool was_asked(struct scene *s)
{
        return strstr(buf_text(&s->requests), s->wanted) != NULL;
}

static bool is_watched_twice(struct scene *s)
{
        return s->watches >= 2 && s->stream_fd >= 0;
}

static bool is_watched(struct scene *s)
{
        return s->stream_fd >= 0;
}

static void until_told(struct scene *s, const char *what)
{
        run_until(s, was_told, what);
}

static void until_asked(struct scene *s, const char *what)
{
        run_until(s, was_asked, what);
}

static void forget(struct scene *s)
{
        buf_reset(&s->told);
        buf_reset(&s->requests);
}

static unsigned count(const struct buf *b, const char *what)
{
        unsigned n = 0;

        for (const char *p = buf_text(b); (p = strstr(p, what)); p += strlen(what))
                n++;
        return n;
}

/* --- the agent --- */

static void say(int fd, const char *text)
{
        size_t len = strlen(text);

        assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void hang_up(struct peer_conn *p)
{
        p->watch = loop_watch_free(p->watch);
        if (p->fd >= 0)
                close(p->fd);
        if (p->scene->stream_fd == p->fd)
                p->scene->stream_fd = -1;
        p->fd = -1;
        buf_done(&p->request);
}

static void answer(struct peer_conn *p, const char *body)
{
        struct scene *s = p->scene;
        const char *text = buf_text(&p->request);

        buf_printf(&s->requests, "%.*s%s;", (int)strcspn(text, "\r"), text, body);
        if (strncmp(text, "GET /agent/v1/watch?", 20) == 0) {
                s->watches++;
                say(p->fd, s->watch_answer ? s->watch_answer : STREAM_HEAD);
                if (s->watch_answer)
                        hang_up(p);
                else
                        s->stream_fd = p->fd;
                return;
        }
        if (s->call_trouble && memmem(text, strcspn(text, "\r"), s->call_trouble, strlen(s->call_trouble)))
                say(p->fd, UNAVAILABLE);
        else if (s->call_answer[0])
                say(p->fd, s->call_answer);
        hang_up(p);
}

static void on_request(int fd, unsigned what, void *arg)
{
        struct peer_conn *p = arg;
        const char *end, *length;
        char bytes[4096];
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

        (void)what;
        if (n <= 0) {
                hang_up(p);
                return;
        }
        buf_add(&p->request, bytes, (size_t)n);
        end = strstr(buf_text(&p->request), "\r\n\r\n");
        if (!end)
                return;
        length = strstr(buf_text(&p->request), "Content-Length: ");
        if (!length || strlen(end + 4) >= strtoul(length + 16, NULL, 10))
                answer(p, end + 4);
}

static void on_connect(int fd, unsigned what, void *arg)
{
        struct scene *s = arg;
        struct peer_conn *p = &s->peers[s->peers_len];
        int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

        (void)what;
        if (conn < 0)
                return;
        assert_true(s->peers_len < PEERS_MAX);
        s->peers_len++;
        p->scene = s;
        p->fd = conn;
        p->watch = loop_watch_new(s->loop, conn, LOOP_READ, on_request, p);
}

static void agent_start(struct scene *s)
{
        assert_int_equal(unixsock_listen(s->path, 0600, (gid_t)-1, 8, &s->listen_fd), 0);
        s->listen_watch = loop_watch_new(s->loop, s->listen_fd, LOOP_READ, on_connect, s);
}

static void agent_stop(struct scene *s)
{
        s->listen_watch = loop_watch_free(s->listen_watch);
        if (s->listen_fd >= 0)
                close(s->listen_fd);
        s->listen_fd = -1;
        unlink(s->path);
        for (size_t i = 0; i < s->peers_len; i++)
                hang_up(&s->peers[i]);
        s->peers_len = 0;
}

/* One event, as one chunk. */
static void event(struct scene *s, const char *type, const char *data)
{
        cleanup_free char *text = mem_printf("event: %s\nid: x:1\ndata: %s\n\n", type, data);
        cleanup_free char *chunk = mem_printf("%zx\r\n%s\r\n", strlen(text), text);

        assert_true(s->stream_fd >= 0);
        say(s->stream_fd, chunk);
}

#define DB(version)                                                                                                    \
        "{\"name\":\"db\",\"version\":" version                                                                        \
        ",\"expires_at\":null,\"stale\":false,\"data\":{\"username\":\"u" version "\"}}"

/* --- what the client tells --- */

static void on_version(const struct credentials_version *v, void *arg)
{
        struct scene *s = arg;
        const char *user = json_str(v->data, "username");
        char when[CLOCK_TEXT_LEN] = "never";

        if (v->expires_usec != USEC_NEVER)
                clock_rfc3339(v->expires_usec, when);
        buf_printf(&s->told, "%s %llu %s %s%s%s;", v->name, (unsigned long long)v->version, when,
                   v->data ? user : "lease", v->again ? " again" : "", v->stale ? " stale" : "");
        if (s->reread_in_callback) {
                s->reread_in_callback = false;
                credentials_reread(s->credentials);
        }
}

static void on_lost(const char *name, const char *reason, void *arg)
{
        struct scene *s = arg;

        buf_printf(&s->told, "lost %s (%s);", name, reason);
}

static void on_connection(bool connected, const char *error, void *arg)
{
        struct scene *s = arg;

        buf_printf(&s->told, "%s%s;", connected ? "connected" : "no connection: ", error);
}

static const struct credentials_handler handler = {on_version, on_lost, on_connection};

static int set_up(void **state)
{
        static const char *const names[] = {"db", "tls", NULL};
        struct scene *s = mem_new(sizeof(*s));

        strcpy(s->dir, "/tmp/test_credentials.XXXXXX");
        assert_non_null(mkdtemp(s->dir));
        snprintf(s->path, sizeof(s->path), "%s/agent.sock", s->dir);
        s->loop = loop_new();
        s->tick = loop_timer_new(s->loop, on_tick, s);
        s->stream_fd = s->listen_fd = -1;
        s->call_answer = "HTTP/1.1 204 No Content\r\n\r\n";
        agent_start(s);
        s->credentials = credentials_new(s->loop, s->path, "me", names, &handler, s);
        *state = s;
        return 0;
}

static int tear_down(void **state)
{
        struct scene *s = *state;

        credentials_free(s->credentials);
        agent_stop(s);
        loop_timer_free(s->tick);
        loop_free(s->loop);
        buf_done(&s->told);
        buf_done(&s->requests);
        rmdir(s->dir);
        mem_free(s);
        return 0;
}

/* --- the tests --- */

static void each_new_version_is_told_once(void **state)
{
        struct scene *s = *state;

        run_until(s, is_watched, "");
        assert_string_equal(buf_text(&s->requests), "GET /agent/v1/watch?name=db&name=tls&consumer=me HTTP/1.1;");
        event(s, "secret", DB("7"));
        event(s, "secret", DB("7"));
        event(s, "secret", DB("6"));
        until_told(s, "db 6");
        assert_string_equal(buf_text(&s->told), "connected;db 7 never u7;db 6 never u6;");
}

static void a_renewal_moves_the_end_alone(void **state)
{
        struct scene *s = *state;

        run_until(s, is_watched, "");
        event(s, "secret", DB("7"));
        event(s, "lease", "{\"name\":\"db\",\"version\":7,\"expires_at\":\"2030-01-01T00:00:00Z\",\"stale\":true}");
        event(s, "lease", "{\"name\":\"db\",\"version\":9,\"expires_at\":\"2031-01-01T00:00:00Z\",\"stale\":false}");
        event(s, "lost", "{\"name\":\"tls\",\"version\":1,\"reason\":\"expired\"}");
        until_told(s, "lost");
        assert_string_equal(buf_text(&s->told),
                            "connected;db 7 never u7;db 7 2030-01-01T00:00:00Z lease stale;lost tls (expired);");
}

static void what_follows_a_loss_is_told_even_if_it_is_the_same_version(void **state)
{
        struct scene *s = *state;

        run_until(s, is_watched, "");
        event(s, "secret", DB("7"));
        event(s, "lost", "{\"name\":\"db\",\"version\":7,\"reason\":\"agent stopping\"}");
        until_told(s, "lost db (agent stopping)");
        forget(s);
        event(s, "secret", DB("7"));
        until_told(s, "db 7 never u7;");
}

static void damaged_and_unknown_events_are_passed_over(void **state)
{
        static const char *const damaged[] = {
                "",
                "{",
                "[]",
                "{\"name\":\"db\"}",
                "{\"name\":\"other\",\"version\":1,\"data\":{}}",
                "{\"name\":\"db\",\"version\":0,\"expires_at\":null,\"data\":{}}",
                "{\"name\":\"db\",\"version\":-3,\"expires_at\":null,\"data\":{}}",
                "{\"name\":\"db\",\"version\":\"1\",\"expires_at\":null,\"data\":{}}",
                "{\"name\":\"db\",\"version\":3,\"expires_at\":\"soon\",\"data\":{}}",
                "{\"name\":\"db\",\"version\":3,\"expires_at\":null,\"data\":[]}",
                "{\"name\":\"db\",\"name\":\"db\",\"version\":3,\"expires_at\":null,\"data\":{}}",
        };
        struct scene *s = *state;

        run_until(s, is_watched, "");
        for (size_t i = 0; i < array_len(damaged); i++)
                event(s, "secret", damaged[i]);
        event(s, "future", DB("3"));
        event(s, "secret", DB("4"));
        until_told(s, "db 4");
        assert_string_equal(buf_text(&s->told), "connected;db 4 never u4;");
        assert_int_equal(s->watches, 1);
}

static void an_agent_that_comes_back_is_found_and_nothing_is_told_twice(void **state)
{
        struct scene *s = *state;

        run_until(s, is_watched, "");
        event(s, "secret", DB("7"));
        until_told(s, "db 7");
        agent_stop(s);
        until_told(s, "no connection: the agent closed the connection;");
        until_told(s, "agent.sock: No such file or directory;");
        agent_start(s);
        run_until(s, is_watched_twice, "a second watch");
        event(s, "secret", DB("7"));
        event(s, "secret", DB("8"));
        until_told(s, "db 8");
        assert_int_equal(count(&s->told, "db 7"), 1);
        assert_int_equal(count(&s->told, "connected;"), 2);
}

static void a_refusal_is_told_in_the_agents_words_and_tried_again(void **state)
{
        struct scene *s = *state;

        s->watch_answer =
                "HTTP/1.1 403 Forbidden\r\nContent-Length: 36\r\n\r\n{\"errors\":[\"db: permission denied\"]}";
        until_told(s, "no connection: the agent answers 403: db: permission denied;");
        s->watch_answer = NULL;
        until_told(s, "connected;");
        /* Tried more than once, told once. */
        assert_true(s->watches >= 2);
        assert_int_equal(count(&s->told, "no connection"), 1);
}

static void an_answer_that_is_no_http_is_no_connection(void **state)
{
        struct scene *s = *state;

        s->watch_answer = "-ERR what?\r\n\r\n";
        until_told(s, "Protocol error");
        s->watch_answer = NULL;
        until_told(s, "connected;");
}

static void reread_tells_the_same_version_again(void **state)
{
        struct scene *s = *state;

        run_until(s, is_watched, "");
        event(s, "secret", DB("7"));
        until_told(s, "db 7");
        forget(s);
        credentials_reread(s->credentials);
        run_until(s, is_watched_twice, "a second watch");
        event(s, "secret", DB("7"));
        until_told(s, "db 7 never u7 again;");
        event(s, "secret", DB("7"));
        event(s, "secret", DB("8"));
        until_told(s, "db 8");
        /* The connection was changed on purpose: nobody is told that it went. */
        assert_string_equal(buf_text(&s->told), "db 7 never u7 again;db 8 never u8;");
}

static void reread_may_be_asked_for_in_a_callback(void **state)
{
        struct scene *s = *state;

        s->reread_in_callback = true;
        run_until(s, is_watched, "");
        event(s, "secret", DB("7"));
        run_until(s, is_watched_twice, "a second watch");
        event(s, "secret", DB("7"));
        until_told(s, "again");
}

static void an_acknowledgement_is_said_as_the_protocol_wants_it(void **state)
{
        struct scene *s = *state;

        run_until(s, is_watched, "");
        credentials_ack(s->credentials, "db", 7);
        until_asked(s, "POST /agent/v1/secrets/db/ack HTTP/1.1{\"version\":7,\"consumer\":\"me\"};");
}

static void an_acknowledgement_is_tried_again_until_it_is_said(void **state)
{
        struct scene *s = *state;

        run_until(s, is_watched, "");
        s->call_answer = "";
        credentials_ack(s->credentials, "db", 7);
        until_asked(s, "/ack");
        s->call_answer = UNAVAILABLE;
        forget(s);
        until_asked(s, "/ack");
        s->call_answer = "HTTP/1.1 204 No Content\r\n\r\n";
        forget(s);
        until_asked(s, "/ack");
        /* Said: what comes next is another secret's, and no more of db's. */
        forget(s);
        credentials_ack(s->credentials, "tls", 2);
        until_asked(s, "/tls/ack");
        assert_int_equal(count(&s->requests, "/db/ack"), 0);
}

static void what_fails_for_one_secret_holds_back_no_other(void **state)
{
        struct scene *s = *state;

        run_until(s, is_watched, "");
        s->call_trouble = "/db/";
        credentials_ack(s->credentials, "db", 7);
        credentials_ack(s->credentials, "tls", 3);
        until_asked(s, "/tls/ack HTTP/1.1{\"version\":3");
        credentials_reject(s->credentials, "db", 7);
        credentials_ack(s->credentials, "tls", 4);
        until_asked(s, "/tls/ack HTTP/1.1{\"version\":4");
        s->call_trouble = NULL;
        forget(s);
        until_asked(s, "/db/ack HTTP/1.1{\"version\":7");
        assert_int_equal(count(&s->requests, "/tls/"), 0);
}

static void a_newer_acknowledgement_takes_the_older_ones_place(void **state)
{
        struct scene *s = *state;

        run_until(s, is_watched, "");
        credentials_ack(s->credentials, "db", 7);
        credentials_ack(s->credentials, "db", 8);
        until_asked(s, "\"version\":8");
        assert_int_equal(count(&s->requests, "\"version\":7"), 0);
}

static void an_acknowledgement_that_the_agent_forgot_is_said_again(void **state)
{
        struct scene *s = *state;

        run_until(s, is_watched, "");
        event(s, "secret", DB("7"));
        until_told(s, "db 7");
        credentials_ack(s->credentials, "db", 7);
        until_asked(s, "/ack");
        agent_stop(s);
        agent_start(s);
        run_until(s, is_watched_twice, "a second watch");
        forget(s);
        event(s, "secret", DB("7"));
        until_asked(s, "/db/ack HTTP/1.1{\"version\":7");
}

static void a_reject_is_tried_once(void **state)
{
        struct scene *s = *state;

        run_until(s, is_watched, "");
        s->call_answer = "";
        credentials_reject(s->credentials, "db", 7);
        until_asked(
                s,
                "POST /agent/v1/secrets/db/reject HTTP/1.1{\"version\":7,\"consumer\":\"me\",\"reason\":\"denied\"};");
        s->call_answer = "HTTP/1.1 204 No Content\r\n\r\n";
        credentials_ack(s->credentials, "tls", 2);
        until_asked(s, "/tls/ack");
        assert_int_equal(count(&s->requests, "/reject"), 1);
}

static void names_that_are_not_watched_are_not_spoken_of(void **state)
{
        struct scene *s = *state;

        run_until(s, is_watched, "");
        credentials_ack(s->credentials, "other", 7);
        credentials_reject(s->credentials, "other", 7);
        credentials_ack(s->credentials, "db", 1);
        until_asked(s, "/db/ack");
        assert_int_equal(count(&s->requests, "other"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(each_new_version_is_told_once),
                TEST(a_renewal_moves_the_end_alone),
                TEST(what_follows_a_loss_is_told_even_if_it_is_the_same_version),
                TEST(damaged_and_unknown_events_are_passed_over),
                TEST(an_agent_that_comes_back_is_found_and_nothing_is_told_twice),
                TEST(a_refusal_is_told_in_the_agents_words_and_tried_again),
                TEST(an_answer_that_is_no_http_is_no_connection),
                TEST(reread_tells_the_same_version_again),
                TEST(reread_may_be_asked_for_in_a_callback),
                TEST(an_acknowledgement_is_said_as_the_protocol_wants_it),
                TEST(an_acknowledgement_is_tried_again_until_it_is_said),
                TEST(what_fails_for_one_secret_holds_back_no_other),
                TEST(a_newer_acknowledgement_takes_the_older_ones_place),
                TEST(an_acknowledgement_that_the_agent_forgot_is_said_again),
                TEST(a_reject_is_tried_once),
                TEST(names_that_are_not_watched_are_not_spoken_of),
        };

        json_setup();
        return cmocka_run_group_tests(tests, NULL, NULL);
}

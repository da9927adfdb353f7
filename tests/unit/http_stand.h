/*
 * tests/unit/http_stand.h: the HTTP side of notesd on a real server, with notes and a rotation that the test makes up.
 *
 * A test includes this first and then the source of the module under test: the names below give that source the stand-ins.
 */
#ifndef TESTS_UNIT_HTTP_STAND_H
#define TESTS_UNIT_HTTP_STAND_H

#define notes_list      stand_list
#define notes_get       stand_get
#define notes_add       stand_add
#define notes_call_began stand_call_began
#define notes_cancel    stand_cancel
#define rotation_status stand_rotation_status

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/csrf.h"
#include "app/exchange.h"
#include "app/http_front.h"
#include "app/notes.h"
#include "app/rotation.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "common/json.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/parse.h"

#define GIVE_UP_USEC (20 * USEC_PER_SEC)
#define ADDED_USEC   (UINT64_C(1795502400) * USEC_PER_SEC) /* 2026-11-24T06:40:00Z */

struct notes_call {
        notes_fn fn;
        void *arg;
        struct loop_timer *timer;
};

static struct stand {
        struct loop *loop;
        struct metrics *metrics;
        struct services services;
        struct front *front;
        unsigned short port;

        /* what the notes answer, and what they were asked */
        enum notes_outcome outcome, then; /* then: of the second and later calls */
        bool silent;                      /* they never answer */
        struct note items[3];
        size_t items_len;
        uint64_t next;
        const char *reason;
        struct buf asked;
        unsigned calls, cancelled;
        uint64_t ago_usec; /* of notes_call_began() */
        struct notes_call call;

        struct rotation_status rotation;

        struct loop_timer *tick;
        int client_fd;
        struct buf received;
        bool is_closed;
        uint64_t give_up_usec;
        bool (*until)(void);
} stand;

/* --- stand-ins --- */

static void stand_answer(void *arg)
{
        struct notes_call *c = arg;
        struct notes_result r = {
                .outcome = stand.calls > 1 ? stand.then : stand.outcome,
                .next = stand.next,
                .key = "made-up-or-given",
                .reason = stand.reason ? stand.reason : "",
        };

        c->timer = loop_timer_free(c->timer);
        if (r.outcome == NOTES_OK || r.outcome == NOTES_CREATED) {
                r.items = stand.items;
                r.len = stand.items_len;
        }
        c->fn(&r, c->arg);
}

static struct notes_call *stand_call(notes_fn fn, void *arg)
{
        stand.calls++;
        stand.call = (struct notes_call){fn, arg, loop_timer_new(stand.loop, stand_answer, &stand.call)};
        if (!stand.silent)
                loop_timer_in(stand.call.timer, 0);
        return &stand.call;
}

struct notes_call *notes_list(struct notes *n, unsigned limit, uint64_t before, notes_fn fn, void *arg)
{
        (void)n;
        buf_printf(&stand.asked, "list %u %llu;", limit, (unsigned long long)before);
        return stand_call(fn, arg);
}

struct notes_call *notes_get(struct notes *n, uint64_t id, notes_fn fn, void *arg)
{
        (void)n;
        buf_printf(&stand.asked, "get %llu;", (unsigned long long)id);
        return stand_call(fn, arg);
}

struct notes_call *notes_add(struct notes *n, const char *text, size_t len, const char *key, notes_fn fn, void *arg)
{
        (void)n;
        buf_printf(&stand.asked, "add \"%.*s\" %s;", (int)len, text, key ? key : "-");
        return stand_call(fn, arg);
}

void notes_call_began(struct notes_call *call, uint64_t ago_usec)
{
        (void)call;
        assert_true(ago_usec < 60 * USEC_PER_SEC);
        stand.ago_usec = ago_usec;
}

void notes_cancel(struct notes_call *call)
{
        call->timer = loop_timer_free(call->timer);
        stand.cancelled++;
}

void rotation_status(const struct rotation *r, struct rotation_status *ret_status)
{
        (void)r;
        *ret_status = stand.rotation;
}

/* --- the scene --- */

static inline void stand_on_tick(void *arg)
{
        char bytes[65536];
        ssize_t n;

        (void)arg;
        while (stand.client_fd >= 0 && !stand.is_closed) {
                n = recv(stand.client_fd, bytes, sizeof(bytes), MSG_DONTWAIT);
                if (n < 0)
                        break;
                stand.is_closed = n == 0;
                buf_add(&stand.received, bytes, (size_t)n);
        }
        if (stand.until()) {
                loop_stop(stand.loop);
                return;
        }
        if (clock_monotonic_usec() > stand.give_up_usec)
                fail_msg("waited in vain; received \"%s\", asked \"%s\"", buf_text(&stand.received),
                         buf_text(&stand.asked));
        loop_timer_in(stand.tick, USEC_PER_MSEC);
}

static inline void stand_run_until(bool (*until)(void))
{
        stand.until = until;
        stand.give_up_usec = clock_monotonic_usec() + GIVE_UP_USEC;
        loop_timer_in(stand.tick, 0);
        assert_int_equal(loop_run(stand.loop), 0);
}

static inline int stand_set_up(void **state)
{
        struct sockaddr_in address;
        socklen_t len = sizeof(address);
        char *error = NULL;
        int fd;

        (void)state;
        memset(&stand, 0, sizeof(stand));
        stand.loop = loop_new();
        stand.metrics = metrics_new();
        stand.tick = loop_timer_new(stand.loop, stand_on_tick, NULL);
        stand.client_fd = -1;
        stand.items[0] = (struct note){7, "buy milk", 8, ADDED_USEC};
        stand.items[1] = (struct note){6, "a <b> & \"c\"", 11, ADDED_USEC};
        stand.items_len = 1;
        stand.rotation = (struct rotation_status){
                .secrets = {{"db", 9, 9, USEC_NEVER, false, ""}, {"dbinfo", 3, 3, USEC_NEVER, false, ""}},
                .secrets_len = 2,
                .username = "v-approle-notes-x",
                .has_db = true,
                .usable = true,
                .agent_connected = true,
                .agent_problem = "",
                .serial = "",
        };
        stand.services = (struct services){
                .loop = stand.loop,
                .metrics = stand.metrics,
                .csrf = csrf_new(),
                .stats = http_stats_new(stand.metrics),
        };
        stand.front = front_new(&stand.services, 64);
        assert_int_equal(http_listen_tcp("127.0.0.1:0", 8, &fd, &error), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
        stand.port = ntohs(address.sin_port);
        http_server_add_listener(front_server(stand.front), fd, false);
        return 0;
}

static inline void stand_hang_up(void)
{
        if (stand.client_fd >= 0)
                close(stand.client_fd);
        stand.client_fd = -1;
        stand.is_closed = false;
        buf_reset(&stand.received);
}

static inline int stand_tear_down(void **state)
{
        (void)state;
        stand_hang_up();
        front_free(stand.front);
        loop_timer_free(stand.call.timer);
        csrf_free(stand.services.csrf);
        http_stats_free(stand.services.stats);
        metrics_free(stand.metrics);
        loop_timer_free(stand.tick);
        loop_free(stand.loop);
        buf_done(&stand.received);
        buf_done(&stand.asked);
        return 0;
}

/* --- the client --- */

static inline void stand_send(const char *bytes, size_t len)
{
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_port = htons(stand.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

        stand_hang_up();
        stand.client_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(stand.client_fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(send(stand.client_fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static inline bool stand_is_closed(void)
{
        return stand.is_closed;
}

static inline int stand_status(void)
{
        return atoi(buf_text(&stand.received) + 9);
}

static inline const char *stand_body(void)
{
        const char *end = strstr(buf_text(&stand.received), "\r\n\r\n");

        assert_non_null(end);
        return end + 4;
}

/* new; NULL where the answer has no such header */
static inline char *stand_header(const char *name)
{
        const char *line = buf_text(&stand.received), *end = stand_body();

        while ((line = strstr(line, "\r\n")) && line + 4 < end) {
                line += 2;
                if (strncasecmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') {
                        const char *value = line + strlen(name) + 1 + strspn(line + strlen(name) + 1, " ");

                        return mem_strndup(value, strcspn(value, "\r"));
                }
        }
        return NULL;
}

static inline void assert_header(const char *name, const char *value)
{
        cleanup_free char *found = stand_header(name);

        if (!found)
                fail_msg("no header %s in \"%s\"", name, buf_text(&stand.received));
        assert_string_equal(found, value);
}

static inline void assert_body_has(const char *text)
{
        if (!strstr(stand_body(), text))
                fail_msg("\"%s\" is not in \"%s\"", text, stand_body());
}

static inline void assert_body_lacks(const char *text)
{
        if (strstr(stand_body(), text))
                fail_msg("\"%s\" is in \"%s\"", text, stand_body());
}

/* One request on a connection of its own, which the server closes. Return: the status. */
static inline int ask_bytes(const char *method_and_target, const char *headers, const char *body, size_t len)
{
        struct buf request __attribute__((cleanup(buf_done))) = BUF_INIT;

        buf_printf(&request, "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s", method_and_target, headers);
        if (body)
                buf_printf(&request, "Content-Length: %zu\r\n", len);
        buf_str(&request, "\r\n");
        buf_add(&request, body ? body : "", body ? len : 0);
        stand.calls = 0;
        buf_reset(&stand.asked);
        stand_send(request.data, request.len);
        stand_run_until(stand_is_closed);
        return stand_status();
}

static inline int ask(const char *method_and_target, const char *headers, const char *body)
{
        return ask_bytes(method_and_target, headers, body, body ? strlen(body) : 0);
}

static inline void assert_asked(const char *what)
{
        assert_string_equal(buf_text(&stand.asked), what);
}

/* The answer is a problem (RFC 9457) with its own status in it. */
static inline void assert_problem(int status, const char *type)
{
        char error[160];
        json_t *problem = json_read(stand_body(), strlen(stand_body()), error, sizeof(error));
        uint64_t inside = 0;

        assert_int_equal(stand_status(), status);
        assert_header("Content-Type", "application/problem+json");
        assert_non_null(problem);
        assert_string_equal(json_str(problem, "type"), type);
        assert_true(json_u64(problem, "status", &inside) && inside == (uint64_t)status);
        assert_true(json_str(problem, "title")[0] != '\0');
        assert_true(json_str(problem, "detail")[0] != '\0');
        json_decref(problem);
}

#define STAND_TEST(name) cmocka_unit_test_setup_teardown(name, stand_set_up, stand_tear_down)

#endif

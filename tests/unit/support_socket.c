/* tests/unit/support_socket.c: the socket output on a real UNIX socket, with a fake agent above it and raw clients below. */
#include "tests/unit/support_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/output.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/parse.h"
#include "common/secret.h"

#define DEADLINE_USEC (5 * USEC_PER_SEC)

/* --- the agent above the seam --- */

static void on_given(struct store_secret *s, void *arg)
{
        (void)s;
        ((struct world *)arg)->given++;
}

static void on_acked(struct store_secret *s, void *arg)
{
        (void)s;
        ((struct world *)arg)->acked++;
}

static void on_rejected(struct store_secret *s, bool denied, void *arg)
{
        struct world *w = arg;

        (void)s;
        w->rejected++;
        w->denied += denied;
}

static int on_rotate(const char *name, json_t **ret_body, uint64_t *ret_retry_after_usec, void *arg)
{
        struct world *w = arg;

        mem_free(w->rotated);
        w->rotated = mem_strdup(name ? name : "");
        if (name && !store_find(w->store, name))
                return 404;
        *ret_body = json_pack("{s:[s],s:[]}", "rotating", name ? name : "db", "waiting");
        if (w->waiting)
                json_array_append_new(json_object_get(*ret_body, "waiting"),
                                      json_pack("{s:s,s:i}", "name", w->waiting, "retry_after", 90));
        *ret_retry_after_usec = 2500000;
        return w->rotate_status;
}

static int on_reload(json_t **ret_body, void *arg)
{
        struct world *w = arg;

        *ret_body = w->reload_status == 200 ? json_pack("{s:[]}", "findings")
                                            : json_pack("{s:[s]}", "errors", "agent.hcl:3: unknown key");
        return w->reload_status;
}

static json_t *on_status(void *arg)
{
        return json_incref(((struct world *)arg)->status);
}

static int on_health(json_t **ret_body, void *arg)
{
        struct world *w = arg;

        *ret_body = w->health_status == 200
                            ? json_pack("{s:s,s:[]}", "status", "ok", "reasons")
                            : json_pack("{s:s,s:[s]}", "status", "failing", "reasons", "db: Vault is sealed");
        return w->health_status;
}

static const struct store_control control = {
        .given = on_given,
        .acked = on_acked,
        .rejected = on_rejected,
        .rotate = on_rotate,
        .reload = on_reload,
        .status = on_status,
        .health = on_health,
};

void world_start(struct world *w)
{
        w->metrics = metrics_new();
        assert_int_equal(
                output_socket.start(&(struct output_context){w->loop, w->store, w->metrics, &w->config}, &w->output),
                0);
}

void world_stop(struct world *w)
{
        if (w->output)
                output_socket.stop(w->output);
        w->output = NULL;
        w->metrics = metrics_free(w->metrics);
}

int world_new(void **state)
{
        static bool set_up;
        struct world *w = mem_new(sizeof(*w));

        if (!set_up) {
                json_setup();
                log_setup("test", LOG_LEVEL_ERROR, false);
                set_up = true;
        }
        strcpy(w->folder, "/tmp/leasekeeper-test-XXXXXX");
        assert_non_null(mkdtemp(w->folder));
        assert_int_equal(chmod(w->folder, 0755), 0);
        snprintf(w->path, sizeof(w->path), "%s/agent.sock", w->folder);
        w->loop = loop_new();
        w->store = store_new();
        store_set_control(w->store, &control, w);
        w->rotate_status = 202;
        w->reload_status = w->health_status = 200;
        w->status = json_pack("{s:s,s:[]}", "version", "0", "secrets");
        w->listeners[0] = (struct config_listener){.address = w->path, .is_unix = true, .socket_mode = 0666};
        w->listeners[0].socket_uid = (uid_t)-1;
        w->listeners[0].socket_gid = (gid_t)-1;
        w->listeners[0].where = w->folder;
        w->config.listeners = w->listeners;
        w->config.listeners_len = 1;
        world_start(w);
        *state = w;
        return 0;
}

int world_free(void **state)
{
        struct world *w = *state;

        world_stop(w);
        store_free(w->store);
        loop_free(w->loop);
        for (size_t i = 0; i < w->secrets_len; i++) {
                mem_free(w->secrets[i].name);
                mem_free(w->secrets[i].path);
        }
        json_decref(w->status);
        mem_free(w->rotated);
        rmdir(w->folder);
        mem_free(w);
        return 0;
}

struct store_secret *world_add(struct world *w, const char *name, const char *path, uid_t reader)
{
        size_t i = w->secrets_len++;

        assert_true(i < SECRETS_MAX);
        w->allows[i] = (struct config_allow){.has_uid = true, .uid = reader};
        w->secrets[i] = (struct config_secret){.name = mem_strdup(name), .path = mem_strdup(path)};
        w->secrets[i].allow = &w->allows[i];
        w->secrets[i].allow_len = 1;
        return store_add(w->store, &w->secrets[i], KIND_DYNAMIC, 7);
}

void world_publish(struct world *w, const char *name, const char *data, uint64_t seconds)
{
        struct store_version v = {
                .issued_usec = clock_realtime_usec(),
                .end_boot_usec = seconds ? clock_boottime_usec() + seconds * USEC_PER_SEC : USEC_NEVER,
                .end_wall_usec = USEC_NEVER,
                .data = secret_new_from(data, strlen(data)),
                .lease_id = mem_strdup(seconds ? "database/creds/notes/abc" : ""),
        };

        store_publish(w->store, store_find(w->store, name), &v);
}

/* --- the loop --- */

static void on_moment(void *arg)
{
        loop_stop(arg);
}

void world_turn(struct world *w)
{
        struct loop_timer *t = loop_timer_new(w->loop, on_moment, w->loop);

        loop_timer_in(t, 2000);
        assert_int_equal(loop_run(w->loop), 0);
        loop_timer_free(t);
}

/* --- clients --- */

bool can_change_user(void)
{
        return geteuid() == 0;
}

int client_connect(struct world *w)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        strcpy(addr.sun_path, w->path);
        assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
        return fd;
}

/* Free a moment ago, and ours to take: nobody else is given it so soon. */
void tcp_free_address(char address[TCP_ADDRESS_LEN])
{
        struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(addr);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
        close(fd);
        snprintf(address, TCP_ADDRESS_LEN, "127.0.0.1:%u", ntohs(addr.sin_port));
}

int tcp_connect(const char *address)
{
        struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        addr.sin_port = htons((uint16_t)atoi(strchr(address, ':') + 1));
        assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
        return fd;
}

/* The kernel notes who calls connect(), so being somebody else for that moment is enough. */
int client_connect_as(struct world *w, uid_t uid)
{
        int fd;

        assert_int_equal(setgroups(0, NULL), 0);
        assert_int_equal(setegid(uid), 0);
        assert_int_equal(seteuid(uid), 0);
        fd = client_connect(w);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(setegid(0), 0);
        return fd;
}

void client_send(int fd, const char *text)
{
        size_t len = strlen(text);

        assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
}

void client_receive(struct world *w, int fd, struct buf *in, const char *until)
{
        uint64_t end = clock_monotonic_usec() + DEADLINE_USEC;

        for (;;) {
                char bytes[65536];
                ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

                if (n > 0)
                        buf_add(in, bytes, (size_t)n);
                if (until && strstr(buf_text(in), until))
                        return;
                if (n == 0 || (n < 0 && errno == ECONNRESET)) {
                        if (until)
                                fail_msg("the stream ended before \"%s\" came: %s", until, buf_text(in));
                        return;
                }
                if (n < 0 && clock_monotonic_usec() > end)
                        fail_msg("\"%s\" did not come in 5 s: %s", until ? until : "(end)", buf_text(in));
                if (n < 0)
                        world_turn(w);
        }
}

char *client_ask(struct world *w, int fd, const char *method, const char *target, const char *headers, const char *body)
{
        struct buf in = BUF_INIT;
        cleanup_free char *text =
                mem_printf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s",
                           method, target, headers, strlen(body), body);

        client_send(fd, text);
        client_receive(w, fd, &in, NULL);
        close(fd);
        return buf_take(&in);
}

char *client_get(struct world *w, const char *target)
{
        return client_ask(w, client_connect(w), "GET", target, "", "");
}

int answer_status(const char *answer)
{
        return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : -1;
}

const char *answer_body(const char *answer)
{
        const char *end = strstr(answer, "\r\n\r\n");

        return end ? end + 4 : "";
}

json_t *answer_json(const char *answer)
{
        char error[128] = "";
        json_t *value = json_read(answer_body(answer), strlen(answer_body(answer)), error, sizeof(error));

        if (!value)
                fail_msg("%s: %s", error, answer);
        return value;
}

char *answer_header(const char *answer, const char *name)
{
        const char *end = strstr(answer, "\r\n\r\n"), *line = answer;
        size_t len = strlen(name);

        while ((line = strstr(line, "\r\n")) && line < end) {
                line += 2;
                if (strncasecmp(line, name, len) == 0 && line[len] == ':')
                        return mem_strndup(line + len + 2, strcspn(line + len + 2, "\r"));
        }
        return NULL;
}

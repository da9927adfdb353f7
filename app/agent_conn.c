/* app/agent_conn.c: one connection to the agent's socket that carries one request and its answer. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/agent_conn.h"
#include "app/agent_reply.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/secret.h"
#include "common/unixsock.h"

#define READ_SIZE 16384

struct agent_conn {
        const struct agent_conn_handler *handler;
        void *arg;
        int fd;
        struct loop_watch *watch;
        struct loop_timer *idle;
        uint64_t idle_usec;
        struct agent_reply *reply;
        char *request;
        size_t request_len, sent;
        bool ended;
};

static void end(struct agent_conn *c, int error)
{
        if (c->ended)
                return;
        c->ended = true;
        loop_watch_set(c->watch, 0);
        loop_timer_cancel(c->idle);
        c->handler->on_end(error, c->arg);
}

static void on_idle(void *arg)
{
        end(arg, -ETIMEDOUT);
}

static int send_request(struct agent_conn *c)
{
        while (c->sent < c->request_len) {
                ssize_t n = send(c->fd, c->request + c->sent, c->request_len - c->sent, MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return 0;
                /* An agent that refuses may answer before it has read: what it said is still to be read. */
                if (n < 0 && errno != EPIPE)
                        return -errno;
                if (n < 0)
                        break;
                c->sent += (size_t)n;
        }
        loop_watch_set(c->watch, LOOP_READ);
        return 0;
}

/* Return: 0: more is to come; 1: complete; negative: over. */
static int receive(struct agent_conn *c)
{
        char bytes[READ_SIZE];
        ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
        int r;

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return agent_reply_end(c->reply);
        loop_timer_in(c->idle, c->idle_usec);
        r = agent_reply_feed(c->reply, bytes, (size_t)n);
        secret_wipe(bytes, (size_t)n);
        return r;
}

static void on_ready(int fd, unsigned what, void *arg)
{
        struct agent_conn *c = arg;
        int r = 0;

        (void)fd;
        if (what & LOOP_WRITE)
                r = send_request(c);
        if (r == 0 && (what & LOOP_READ))
                r = receive(c);
        if (r != 0)
                end(c, r > 0 ? 0 : r);
}

static void pass_head(int status, void *arg)
{
        struct agent_conn *c = arg;

        c->handler->on_head(status, c->arg);
}

static int pass_body(const char *bytes, size_t len, void *arg)
{
        struct agent_conn *c = arg;

        return c->handler->on_body(bytes, len, c->arg);
}

static const struct agent_reply_handler pass = {pass_head, pass_body};

/**
 * agent_conn_open() - connects and sends one request
 * @path:      the agent's socket
 * @request:   head and body as they go out; copied
 * @idle_usec: how long the agent may be silent
 * @handler:   borrowed for the connection's life; never called before this returns
 * @ret_conn:  new
 *
 * Return: 0, or -errno of the connect.
 */
int agent_conn_open(struct loop *loop, const char *path, const char *request, size_t len, uint64_t idle_usec,
                    const struct agent_conn_handler *handler, void *arg, struct agent_conn **ret_conn)
{
        struct agent_conn *c;
        int fd, r;

        r = unixsock_connect(path, &fd);
        if (r < 0)
                return r;
        c = mem_new(sizeof(*c));
        c->handler = handler;
        c->arg = arg;
        c->fd = fd;
        c->idle_usec = idle_usec;
        c->request = mem_strndup(request, len);
        c->request_len = len;
        c->reply = agent_reply_new(&pass, c);
        c->watch = loop_watch_new(loop, fd, LOOP_READ | LOOP_WRITE, on_ready, c);
        c->idle = loop_timer_new(loop, on_idle, c);
        loop_timer_in(c->idle, idle_usec);
        *ret_conn = c;
        return 0;
}

/**
 * agent_conn_free() - closes it; no callback any more; takes NULL
 */
struct agent_conn *agent_conn_free(struct agent_conn *c)
{
        if (!c)
                return NULL;
        loop_watch_free(c->watch);
        loop_timer_free(c->idle);
        agent_reply_free(c->reply);
        close(c->fd);
        mem_free(c->request);
        return mem_free(c);
}

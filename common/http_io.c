/* common/http_io.c: bytes in and out of one connection: a plain socket, or TLS in a bufferevent. */
#include "common/http_private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "common/loop.h"

#define TLS_INPUT_MAX  ((size_t)16 << 10) /* what a pipelining client may have waiting in the bufferevent */
#define TLS_RECORD_MAX ((size_t)16 << 10) /* RFC 8446, 5.1 */

/*
 * A plain socket is written to at once: most answers leave in one sendmsg(2) from where they lie, uncopied. What the kernel does
 * not take waits in an evbuffer, which loop.c's allocators wipe when it is freed.
 */
static void set_watch(struct http_conn *c)
{
        unsigned what = c->watching;

        if (c->unsent && evbuffer_get_length(c->unsent))
                what |= LOOP_WRITE;
        loop_watch_set(c->watch, what);
}

static void flush_unsent(struct http_conn *c)
{
        while (evbuffer_get_length(c->unsent)) {
                int n = evbuffer_write(c->unsent, c->fd);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno != EAGAIN) {
                        conn_doom(c, "sending failed");
                        return;
                }
                if (n <= 0)
                        break;
        }
        set_watch(c);
        if (evbuffer_get_length(c->unsent) == 0)
                conn_on_sent(c);
}

static void on_plain(int fd, unsigned what, void *arg)
{
        struct http_conn *c = arg;

        (void)fd;
        if (what & LOOP_WRITE && c->unsent && evbuffer_get_length(c->unsent))
                flush_unsent(c);
        if (what & LOOP_READ && c->state != CONN_DOOMED && c->watching & LOOP_READ)
                conn_on_readable(c);
}

static void on_unsent_change(struct evbuffer *unsent, const struct evbuffer_cb_info *info, void *arg)
{
        (void)unsent;
        held_change(arg, info->n_added, info->n_deleted);
}

static void on_tls_read(struct bufferevent *bev, void *arg)
{
        (void)bev;
        conn_on_readable(arg);
}

static void on_tls_write(struct bufferevent *bev, void *arg)
{
        (void)bev;
        conn_on_sent(arg);
}

static void on_tls_event(struct bufferevent *bev, short what, void *arg)
{
        struct http_conn *c = arg;

        (void)bev;
        if (what & BEV_EVENT_EOF)
                c->tls_eof = true;
        else if (what & BEV_EVENT_ERROR)
                c->tls_broken = true;
        else
                return;
        conn_on_readable(c);
}

void io_open(struct http_conn *c)
{
        if (!c->tls) {
                c->watching = LOOP_READ;
                c->watch = loop_watch_new(c->server->loop, c->fd, LOOP_READ, on_plain, c);
                return;
        }
        bufferevent_setcb(c->tls, on_tls_read, on_tls_write, on_tls_event, c);
        bufferevent_setwatermark(c->tls, EV_READ, 0, TLS_INPUT_MAX);
        (void)evbuffer_add_cb(bufferevent_get_output(c->tls), on_unsent_change, c);
        bufferevent_enable(c->tls, EV_READ | EV_WRITE);
}

ssize_t io_read(struct http_conn *c, char *bytes, size_t len)
{
        ssize_t n;

        if (c->tls) {
                n = (ssize_t)bufferevent_read(c->tls, bytes, len);
                if (n > 0)
                        return n;
                return c->tls_broken ? -ECONNRESET : c->tls_eof ? 0 : -EAGAIN;
        }
        do
                n = recv(c->fd, bytes, len, 0);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

/* While the handler has a request: has the peer gone, or only shut its sending side? */
static int peek_end(const struct http_conn *c)
{
        struct pollfd p = {.fd = c->fd};

        return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR) ? -ECONNRESET : 0;
}

int io_peek(struct http_conn *c)
{
        char byte;
        ssize_t n;

        if (c->tls) {
                if (c->tls_broken)
                        return -ECONNRESET;
                return evbuffer_get_length(bufferevent_get_input(c->tls)) ? 1 : c->tls_eof ? 0 : -EAGAIN;
        }
        n = recv(c->fd, &byte, 1, MSG_PEEK);
        if (n < 0)
                return errno == EINTR ? -EAGAIN : -errno;
        return n > 0 ? 1 : peek_end(c);
}

/*
 * Most answers leave in one record and one system call, as on a plain socket. Through the bufferevent each costs two changes of what
 * epoll watches and another turn of the loop. Return: bytes sent; 0: all is still to be sent; -errno.
 */
static ssize_t send_tls(struct http_conn *c, const struct iovec *iov, int n, size_t total)
{
        char record[TLS_RECORD_MAX];
        size_t len = 0;

        if (!c->server->tls_send || total == 0 || total > sizeof(record) ||
            evbuffer_get_length(bufferevent_get_output(c->tls)))
                return 0;
        for (int i = 0; i < n; i++) {
                memcpy(record + len, iov[i].iov_base, iov[i].iov_len);
                len += iov[i].iov_len;
        }
        return c->server->tls_send(c->tls, record, len);
}

static void write_tls(struct http_conn *c, const struct iovec *iov, int n)
{
        struct evbuffer *out = bufferevent_get_output(c->tls);
        size_t total = 0;
        ssize_t sent;

        for (int i = 0; i < n; i++)
                total += iov[i].iov_len;
        sent = send_tls(c, iov, n, total);
        if (sent < 0)
                conn_doom(c, "sending failed");
        if (sent != 0) /* a record goes as a whole */
                return;
        evbuffer_expand(out, total); /* in one piece it leaves in one TLS record */
        for (int i = 0; i < n; i++)
                if (evbuffer_add(out, iov[i].iov_base, iov[i].iov_len) < 0) {
                        conn_doom(c, "no memory");
                        return;
                }
}

static void keep_unsent(struct http_conn *c, const struct iovec *iov, int n, size_t sent)
{
        if (!c->unsent) {
                c->unsent = evbuffer_new();
                if (c->unsent)
                        (void)evbuffer_add_cb(c->unsent, on_unsent_change, c);
        }
        for (int i = 0; i < n; i++) {
                size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;

                sent -= skip;
                if (!c->unsent ||
                    evbuffer_add(c->unsent, (const char *)iov[i].iov_base + skip, iov[i].iov_len - skip) < 0) {
                        conn_doom(c, "no memory");
                        return;
                }
        }
        set_watch(c);
}

void io_write(struct http_conn *c, const struct iovec *iov, int n)
{
        struct msghdr msg = {.msg_iovlen = (size_t)n};
        size_t total = 0;
        ssize_t sent = 0;

        if (c->state == CONN_DOOMED)
                return;
        if (c->tls) {
                write_tls(c, iov, n);
                held_trim(c->server);
                return;
        }
        for (int i = 0; i < n; i++)
                total += iov[i].iov_len;
        if (!c->unsent || evbuffer_get_length(c->unsent) == 0) {
                struct iovec parts[4];

                for (int i = 0; i < n; i++)
                        parts[i] = iov[i];
                msg.msg_iov = parts;
                do
                        sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
                while (sent < 0 && errno == EINTR);
                if (sent < 0 && errno != EAGAIN) {
                        conn_doom(c, "sending failed");
                        return;
                }
                if (sent < 0)
                        sent = 0;
        }
        if ((size_t)sent < total) {
                keep_unsent(c, iov, n, (size_t)sent);
                held_trim(c->server);
        }
}

size_t io_unsent(const struct http_conn *c)
{
        if (c->tls)
                return evbuffer_get_length(bufferevent_get_output(c->tls));
        return c->unsent ? evbuffer_get_length(c->unsent) : 0;
}

/* TLS needs no pause: its bufferevent stops by itself at TLS_INPUT_MAX, and conn_advance() takes from it when it wants more. */
void io_want_read(struct http_conn *c, bool on)
{
        if (c->tls)
                return;
        c->watching = on ? LOOP_READ : 0;
        set_watch(c);
}

static void say_bye(struct http_conn *c)
{
        if (c->tls_broken || c->tls_bye_said || c->fresh || !c->server->tls_bye)
                return;
        c->tls_bye_said = true;
        c->server->tls_bye(c->tls, c->server->tls_bye_arg);
}

void io_shut(struct http_conn *c)
{
        if (c->tls)
                say_bye(c);
        shutdown(c->tls ? bufferevent_getfd(c->tls) : c->fd, SHUT_WR);
}

void io_close(struct http_conn *c)
{
        c->watch = loop_watch_free(c->watch);
        if (c->unsent)
                evbuffer_free(c->unsent);
        c->unsent = NULL;
        if (c->tls) {
                if (io_unsent(c) == 0)
                        say_bye(c);
                (void)evbuffer_remove_cb(bufferevent_get_output(c->tls), on_unsent_change, c);
                bufferevent_free(c->tls);
                c->tls = NULL;
        }
        if (c->fd >= 0)
                close(c->fd);
        c->fd = -1;
}

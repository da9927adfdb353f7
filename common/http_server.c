/* common/http_server.c: the server: listeners, who is let in, draining, and the work left for a turn's end. */
#include "common/http_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/unixsock.h"

#define ACCEPT_MAX        32 /* in one wake-up: connections that are there get their turn too */
#define LAST_ACCEPTS      64 /* times that, before a listener is closed: a flood must not hold it open */
#define ACCEPT_AGAIN_USEC (100 * USEC_PER_MSEC) /* after a lack of descriptors or memory */
#define SLOW_USEC         USEC_PER_SEC          /* receiving for longer makes way at conns_max */
#define SAY_AGAIN_USEC    (10 * USEC_PER_SEC)

static void stop_listening(struct http_server *s);

/* --- at the end of a turn --- */

static void go_on_with_ready(struct http_server *s)
{
        const struct http_conn *last = TAILQ_LAST(&s->ready, conn_list);

        for (struct http_conn *c = TAILQ_FIRST(&s->ready), *next; c; c = next) {
                next = c == last ? NULL : TAILQ_NEXT(c, ready_link); /* one that comes back waits for the next turn */
                TAILQ_REMOVE(&s->ready, c, ready_link);
                c->is_ready = false;
                conn_advance(c);
        }
}

static void free_all(struct conn_list *list)
{
        struct http_conn *c;

        while ((c = TAILQ_FIRST(list)))
                conn_free(c);
}

static bool is_empty(const struct http_server *s)
{
        return s->conns == 0 && TAILQ_EMPTY(&s->lingering) && TAILQ_EMPTY(&s->doomed);
}

static void run_later(void *arg)
{
        struct http_server *s = arg;
        void (*drained)(void *) = s->drained;

        s->later = false;
        go_on_with_ready(s);
        free_all(&s->doomed);
        if (!drained || !is_empty(s))
                return;
        stop_listening(s);
        if (!is_empty(s)) /* somebody was in the queue */
                return;
        s->drained = NULL;
        drained(s->drained_arg); /* may free the server: nothing of it is touched any more */
}

void server_run_later(struct http_server *s)
{
        if (s->later)
                return;
        s->later = true;
        loop_defer(s->loop, run_later, s);
}

/* --- letting in --- */

/* One line in ten seconds: what is wrong does not get better by being said for each connection. */
bool server_may_say(uint64_t *said_usec)
{
        uint64_t now = clock_boottime_usec();

        if (*said_usec && now - *said_usec < SAY_AGAIN_USEC)
                return false;
        *said_usec = now;
        return true;
}

static void pause_accepting(struct http_server *s, int error)
{
        struct http_listener *l;

        if (server_may_say(&s->failed_said_usec))
                log_warn("http: no connection can be accepted: %s; trying again every 100 ms", strerror(error));
        TAILQ_FOREACH(l, &s->listeners, link)
        loop_watch_set(l->watch, 0);
        loop_timer_in(s->accept_again, ACCEPT_AGAIN_USEC);
}

static void on_accept_again(void *arg)
{
        struct http_server *s = arg;
        struct http_listener *l;

        TAILQ_FOREACH(l, &s->listeners, link)
        loop_watch_set(l->watch, LOOP_READ);
}

/* The longest idle connection goes; where none is idle, one that has been sending its request for more than a moment. */
static bool make_way(struct http_server *s)
{
        struct http_conn *c = TAILQ_FIRST(&s->idle);

        if (!c) {
                c = TAILQ_FIRST(&s->receiving);
                if (!c || clock_boottime_usec() - c->request_usec < SLOW_USEC)
                        return false;
        }
        conn_doom(c, "it made way for a new one");
        return true;
}

static bool has_room(struct http_server *s)
{
        if (s->conns < s->limits.conns_max)
                return true;
        if (server_may_say(&s->full_said_usec))
                log_warn("http: all %u connections are in use; %s", s->limits.conns_max,
                         s->limits.evict_idle ? "the longest idle ones make way" : "new ones are refused");
        return s->limits.evict_idle && make_way(s);
}

static int look_up_peer(int fd, struct peer **ret_peer)
{
        struct peer *p = mem_new(sizeof(*p));
        int r = unixsock_peer(fd, p);

        if (r == 0) {
                *ret_peer = p;
                return 0;
        }
        log_debug("http: connection refused: its peer cannot be told: %s", strerror(-r));
        mem_free(p);
        return r;
}

/* Kept from the beginning: of a connection that was reset the kernel tells no address any more. */
static void note_address(struct http_conn *c, const struct sockaddr_storage *from)
{
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
        const struct sockaddr_in *four = (const struct sockaddr_in *)from;

        if (from->ss_family == AF_INET)
                (void)inet_ntop(AF_INET, &four->sin_addr, c->address, sizeof(c->address));
        else if (from->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
                (void)inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], c->address, sizeof(c->address));
        else if (from->ss_family == AF_INET6)
                (void)inet_ntop(AF_INET6, &six->sin6_addr, c->address, sizeof(c->address));
}

static bool is_shortage(int error)
{
        return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Return: 0, or what there is not enough of, as -errno: who came last is turned away, and who follows has to wait. */
static int let_in(struct http_listener *l, int fd, const struct sockaddr_storage *from)
{
        struct http_server *s = l->server;
        struct bufferevent *tls = NULL;
        struct peer *peer = NULL;
        struct http_conn *c;
        bool room = has_room(s);
        int status = 0, r;

        r = l->is_unix ? look_up_peer(fd, &peer) : 0;
        if (r < 0) {
                close(fd);
                return is_shortage(-r) ? r : 0;
        }
        if (l->wrap && (!room || !(tls = l->wrap(loop_base(s->loop), fd, l->wrap_arg)))) {
                close(fd); /* a refusal over TLS would cost a handshake */
                return 0;
        }
        c = conn_new(s, tls ? -1 : fd, tls, peer);
        note_address(c, from);
        if (room && s->handler.on_accept)
                status = s->handler.on_accept(c, s->arg);
        if (room && status == 0) {
                conn_start(c);
                if (s->draining)
                        conn_drain(c);
                return 0;
        }
        io_open(c);
        conn_refuse(c, status ? status : 503, "too many connections");
        return 0;
}

/* Return: may there be more in the queue? */
static bool accept_some(struct http_listener *l)
{
        for (unsigned i = 0; i < ACCEPT_MAX; i++) {
                struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
                socklen_t from_len = sizeof(from);
                int conn_fd = accept4(l->fd, (struct sockaddr *)&from, &from_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
                int error = conn_fd < 0 ? errno : -let_in(l, conn_fd, &from);

                if (is_shortage(error))
                        pause_accepting(l->server, error);
                if (error && error != ECONNABORTED && error != EINTR && error != EPROTO && error != EPERM)
                        return false;
        }
        return true;
}

static void on_listener(int fd, unsigned what, void *arg)
{
        (void)fd;
        (void)what;
        (void)accept_some(arg);
}

static void add_listener(struct http_server *s, int fd, bool is_unix, http_wrap_fn wrap, void *arg)
{
        struct http_listener *l = mem_new(sizeof(*l));
        int flags = fcntl(fd, F_GETFL), on = 1;

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                log_warn("http: a listener cannot be made non-blocking: %s", strerror(errno));
        if (!is_unix)
                (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* what it accepts inherits it */
        l->server = s;
        l->fd = fd;
        l->is_unix = is_unix;
        l->wrap = wrap;
        l->wrap_arg = arg;
        l->watch = loop_watch_new(s->loop, fd, LOOP_READ, on_listener, l);
        TAILQ_INSERT_TAIL(&s->listeners, l, link);
}

static void remove_listeners(struct http_server *s)
{
        struct http_listener *l;

        while ((l = TAILQ_FIRST(&s->listeners))) {
                TAILQ_REMOVE(&s->listeners, l, link);
                loop_watch_free(l->watch);
                close(l->fd);
                mem_free(l);
        }
        loop_timer_cancel(s->accept_again);
        loop_timer_cancel(s->last_call);
}

/* Who is in the queue has been promised an answer; of a socket that was handed over, the queue itself stays. */
static void stop_listening(struct http_server *s)
{
        struct http_listener *l;

        TAILQ_FOREACH(l, &s->listeners, link)
        {
                unsigned rounds = 0;

                while (rounds++ < LAST_ACCEPTS && accept_some(l))
                        continue;
        }
        remove_listeners(s);
}

static void on_last_call(void *arg)
{
        stop_listening(arg);
}

/* --- what the header offers --- */

/**
 * http_server_new() - a server without listeners
 * @loop:    borrowed for the server's life
 * @limits:  copied
 * @handler: copied; on_request must be there
 * @arg:     for the handler's calls
 *
 * Return: new; http_server_free() it.
 */
struct http_server *http_server_new(struct loop *loop, const struct http_limits *limits,
                                    const struct http_handler *handler, void *arg)
{
        struct http_server *s = mem_new(sizeof(*s));

        s->loop = loop;
        s->limits = *limits;
        if (s->limits.head_max > HTTP_HEAD_MAX)
                s->limits.head_max = HTTP_HEAD_MAX;
        s->handler = *handler;
        s->arg = arg;
        TAILQ_INIT(&s->listeners);
        TAILQ_INIT(&s->idle);
        TAILQ_INIT(&s->receiving);
        TAILQ_INIT(&s->busy);
        TAILQ_INIT(&s->lingering);
        TAILQ_INIT(&s->doomed);
        TAILQ_INIT(&s->ready);
        s->accept_again = loop_timer_new(loop, on_accept_again, s);
        s->last_call = loop_timer_new(loop, on_last_call, s);
        return s;
}

/**
 * http_server_free() - close all and free
 * @s: the server or NULL; not from a callback of its handler, but from drain's done()
 *
 * Return: NULL.
 */
struct http_server *http_server_free(struct http_server *s)
{
        if (!s)
                return NULL;
        remove_listeners(s);
        s->later = true; /* nothing is deferred any more */
        free_all(&s->idle);
        free_all(&s->receiving);
        free_all(&s->busy);
        free_all(&s->lingering);
        free_all(&s->doomed); /* last: a callback of the others may have doomed some */
        loop_defer_cancel(s->loop, run_later, s);
        loop_timer_free(s->accept_again);
        loop_timer_free(s->last_call);
        return mem_free(s);
}

/**
 * http_server_add_listener() - accept plain connections
 * @s:       the server
 * @fd:      stolen; bound and listening
 * @is_unix: look up each peer, and refuse those of whom the kernel tells nothing
 */
void http_server_add_listener(struct http_server *s, int fd, bool is_unix)
{
        add_listener(s, fd, is_unix, NULL, NULL);
}

/**
 * http_server_add_tls_listener() - accept TLS connections
 * @s:    the server
 * @fd:   stolen; bound and listening
 * @wrap: makes the bufferevent of one accepted connection, which closes fd when it is freed; NULL: the server closes fd
 * @arg:  for wrap
 */
void http_server_add_tls_listener(struct http_server *s, int fd, http_wrap_fn wrap, void *arg)
{
        add_listener(s, fd, false, wrap, arg);
}

/**
 * http_server_set_tls_bye() - what to say on a TLS connection before its end
 * @s:   the server
 * @fn:  sends close_notify, so that the peer knows a proper end from a cut (RFC 8446 6.1)
 * @arg: for fn
 */
void http_server_set_tls_bye(struct http_server *s, void (*fn)(struct bufferevent *bev, void *arg), void *arg)
{
        s->tls_bye = fn;
        s->tls_bye_arg = arg;
}

/**
 * http_server_set_tls_send() - how an answer leaves a TLS connection without waiting for the loop
 * @s:  the server
 * @fn: called where nothing waits in the buffer; 0 bytes: the same bytes go through the buffer
 */
void http_server_set_tls_send(struct http_server *s,
                              ssize_t (*fn)(struct bufferevent *bev, const void *bytes, size_t len))
{
        s->tls_send = fn;
}

static struct http_conn **all_conns(struct http_server *s, size_t *ret_len)
{
        const struct conn_list *lists[] = {&s->idle, &s->receiving, &s->busy};
        struct http_conn **all = mem_array(s->conns + 1, sizeof(*all)), *c;
        size_t len = 0;

        for (size_t i = 0; i < array_len(lists); i++)
                TAILQ_FOREACH(c, lists[i], link)
        all[len++] = c;
        *ret_len = len;
        return all;
}

/**
 * http_server_drain() - end the connections that are there, each with an answer where one is wanted, and take no more
 * @s:    the server
 * @done: called once from the loop when no connection is left; may free the server
 * @arg:  for done
 *
 * Each answer is now a connection's last and says so (RFC 9112 9.6). A connection without a request waits a second for one: its
 * client may be sending, and if it were cut off it could not know whether that was done. New connections are taken as long as
 * there are such, a second at most, so that clients whose connection has ended are served meanwhile. Streams are ended and get
 * on_gone. The deadlines of struct http_limits go on: they are what bounds a drain.
 */
void http_server_drain(struct http_server *s, void (*done)(void *arg), void *arg)
{
        cleanup_free struct http_conn **all = NULL;
        size_t len;

        s->draining = true;
        s->drained = done;
        s->drained_arg = arg;
        all = all_conns(s, &len);
        for (size_t i = 0; i < len; i++)
                conn_drain(all[i]);
        loop_timer_in(s->last_call, DRAIN_USEC);
        server_run_later(s);
}

/**
 * http_server_conns() - how many connections there are, those on their way out left aside
 * @s: the server
 */
unsigned http_server_conns(const struct http_server *s)
{
        return s->conns;
}

/**
 * http_server_each_conn() - call fn for each connection that is not on its way out
 * @s:   the server
 * @fn:  may close any of them
 * @arg: for fn
 */
void http_server_each_conn(struct http_server *s, http_conn_fn fn, void *arg)
{
        size_t len;
        cleanup_free struct http_conn **all = all_conns(s, &len);

        for (size_t i = 0; i < len; i++)
                if (all[i]->state != CONN_DOOMED)
                        fn(all[i], arg);
}

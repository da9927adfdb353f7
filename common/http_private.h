/* common/http_private.h: what the http_*.c files know of each other; nobody else includes it. */
#ifndef COMMON_HTTP_PRIVATE_H
#define COMMON_HTTP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "common/buf.h"
#include "common/http_parse.h"
#include "common/http_server.h"

struct evbuffer;
struct loop_timer;
struct loop_watch;

#define IN_FIRST ((size_t)2048) /* what each connection may receive without being counted */
#define DRAIN_USEC USEC_PER_SEC /* while draining: how long a next request is waited for */
#define ADDRESS_LEN 46 /* INET6_ADDRSTRLEN */
#define DATE_LEN 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

enum conn_state {
        CONN_IDLE,   /* between requests, or nothing has come yet; nothing is unsent */
        CONN_HEAD,   /* receiving */
        CONN_BODY,   /* receiving; the head is parsed */
        CONN_BUSY,   /* the handler has the request */
        CONN_STREAM, /* the handler writes an answer without end */
        CONN_FLUSH,  /* answered; bytes are unsent */
        CONN_LINGER, /* all is sent and our side shut: what still comes is dropped for a while */
        CONN_DOOMED, /* dies in this turn of the loop */
};

struct http_request {
        struct http_head head;
        size_t head_len, body_len;
        size_t total_len;    /* what it takes up in conn.in once it is whole */
        uint64_t start_usec; /* CLOCK_MONOTONIC */
        bool open;           /* the handler has it and owes an answer */
        bool close;          /* http_reply_close() */
        bool bodiless;       /* HEAD */
        bool raw_stream;     /* HTTP/1.0: no chunks */
        struct buf extra;    /* header fields of the answer */
        char **joined;       /* values put together by http_request_header(), freed with the request */
        size_t joined_len;
        void (*on_gone)(struct http_request *r, void *arg);
        void *on_gone_arg;
};

struct conn_in { /* received and not used up: bytes[start, end) */
        char *bytes;
        size_t start, end, cap;
};

TAILQ_HEAD(conn_list, http_conn);

struct http_conn {
        struct http_server *server;
        enum conn_state state;
        TAILQ_ENTRY(http_conn) link;       /* in the server's list of its state */
        TAILQ_ENTRY(http_conn) ready_link; /* in server->ready */
        bool is_ready;
        struct conn_list *list;

        int fd;                   /* -1 with tls */
        struct loop_watch *watch; /* plain */
        unsigned watching;
        struct evbuffer *unsent; /* plain; NULL until the kernel takes less than we have */
        struct bufferevent *tls;
        bool tls_eof, tls_broken, tls_bye_said;

        struct peer *peer;
        char address[ADDRESS_LEN]; /* of the peer, numeric; "" on a UNIX socket */
        void *data;
        bool accepted;     /* the handler knows it: it gets on_close */
        bool eof;          /* the peer sends no more */
        bool linger;       /* close in two steps, so that the peer sees the last answer rather than a reset */
        bool in_advance;   /* conn_advance() is on the stack */
        bool fresh;        /* no request has begun yet */
        bool skipped_crlf; /* RFC 9112 2.2: one empty line before a request is let pass */
        bool said_continue;
        size_t lingered_len;
        size_t held; /* its part of the server's */
        bool forgotten;

        struct loop_timer *timer; /* armed for the deadline or earlier: moving it later costs nothing */
        uint64_t deadline_usec;   /* CLOCK_BOOTTIME */
        uint64_t request_usec;    /* CLOCK_BOOTTIME at the request's first byte */

        struct conn_in in;
        size_t scan_pos;
        struct http_chunked chunked;
        struct http_request request;
};

struct http_listener {
        struct http_server *server;
        int fd;
        bool is_unix;
        http_wrap_fn wrap; /* TLS */
        void *wrap_arg;
        struct loop_watch *watch;
        TAILQ_ENTRY(http_listener) link;
};

struct http_server {
        struct loop *loop;
        struct http_limits limits;
        struct http_handler handler;
        void *arg;
        void (*tls_bye)(struct bufferevent *bev, void *arg);
        void *tls_bye_arg;
        ssize_t (*tls_send)(struct bufferevent *bev, const void *bytes, size_t len); /* NULL: all goes through bev's buffer */

        TAILQ_HEAD(, http_listener) listeners;
        struct loop_timer *accept_again; /* after a lack of descriptors */
        uint64_t full_said_usec, failed_said_usec, held_said_usec;
        size_t held; /* bytes that wait for slow clients, received and unsent */

        /* Each connection is in one of them: the longest there is first. */
        struct conn_list idle, receiving, busy, lingering, doomed;
        struct conn_list ready; /* have input left, to go on with from the loop */
        unsigned conns;         /* idle, receiving and busy */
        unsigned lingering_len;
        bool later; /* run_later() is deferred */

        bool draining;
        struct loop_timer *last_call; /* while draining: new connections are taken until then */
        void (*drained)(void *arg);
        void *drained_arg;

        time_t date_sec;
        char date[DATE_LEN];
};

/* http_server.c */
bool server_may_say(uint64_t *said_usec);     /* once in ten seconds */
void server_run_later(struct http_server *s); /* the ready and the doomed ones, once this turn's callbacks are done */

/* http_conn.c: the life of one connection */
struct http_conn *conn_new(struct http_server *s, int fd, struct bufferevent *tls, struct peer *peer); /* steals all */
void conn_free(struct http_conn *c);                  /* calls on_gone and on_close; not from its own callbacks */
void conn_start(struct http_conn *c);                 /* accepted: reads from here on */
void conn_doom(struct http_conn *c, const char *why); /* dies in this turn */
void conn_refuse(struct http_conn *c, int status, const char *detail); /* says so, then closes */
bool conn_ends(const struct http_conn *c);                             /* it closes after the answer to its request */
void conn_answered(struct http_conn *c);                               /* the answer is whole, maybe unsent */
void conn_drain(struct http_conn *c);                                  /* ends with its next answer, or soon */
void conn_go_on_later(struct http_conn *c);                            /* conn_advance(), in the next turn */
void conn_on_readable(struct http_conn *c);                            /* bytes, or the end of them */
void conn_on_sent(struct http_conn *c);                                /* nothing is unsent any more */
void conn_set_state(struct http_conn *c, enum conn_state state);

/* http_held.c: what all connections together keep in memory, and who makes way */
void held_change(struct http_conn *c, size_t added, size_t gone);
void held_forget(struct http_conn *c);    /* it is on its way out: it does not count any more */
bool held_has_room(struct http_conn *c);  /* to receive more; the slowest sender makes way */
void held_trim(struct http_server *s);    /* after sending: the slowest readers make way */

/* http_receive.c: from bytes to a request */
void conn_advance(struct http_conn *c);    /* goes on with what was received */
ssize_t conn_fill(struct http_conn *c);    /* receives; 0 or less: nothing came, an end was dealt with */
void conn_drop_input(struct http_conn *c); /* wipes and frees it */

/* http_io.c: bytes in and out, plain or through TLS */
void io_open(struct http_conn *c);
void io_close(struct http_conn *c);
ssize_t io_read(struct http_conn *c, char *bytes, size_t len); /* 0: end; -EAGAIN; -errno */
int io_peek(struct http_conn *c);                              /* positive: bytes wait; 0: end; -EAGAIN; -errno: gone */
void io_write(struct http_conn *c, const struct iovec *iov,
              int n); /* copied where the kernel does not take it at once */
size_t io_unsent(const struct http_conn *c);
void io_want_read(struct http_conn *c, bool on);
void io_shut(struct http_conn *c); /* we send no more */

/* http_reply.c */
void reply_write(struct http_conn *c, int status, const char *type, const void *body, size_t len, bool close);

void reply_end_stream(struct http_conn *c);

/* http_request.c */
void request_reset(struct http_request *r); /* frees what the answered one held */
struct http_conn *request_conn(const struct http_request *r);

#endif

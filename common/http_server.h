/*
 * common/http_server.h: a strict, bounded HTTP/1.1 server on the loop, for TCP, TLS and UNIX sockets.
 *
 * Strict (RFC 9112): exactly one Host, at most one Content-Length of digits alone, Transfer-Encoding only "chunked" and never
 * beside Content-Length, chunk sizes in plain hexadecimal, CRLF line ends, no obs-fold, no NUL or other control character, no
 * space before a colon: else 400 and close (501 where another coding stands before "chunked"). Bounded by struct http_limits.
 * Requests on one connection are answered in order, one at a time (what a client pipelines waits in its receive buffer).
 */
#ifndef COMMON_HTTP_SERVER_H
#define COMMON_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bufferevent;
struct event_base;
struct http_conn;
struct http_request;
struct http_server;
struct loop;
struct peer;
struct secret;
struct sockaddr;

struct http_limits {
        size_t target_max;  /* bytes of the request target: 414 */
        size_t head_max;    /* bytes of request line and header fields: 431 */
        size_t body_max;    /* bytes: 413 */
        unsigned conns_max; /* all listeners together */
        bool evict_idle; /* at conns_max the longest idle connection goes, or one that sends slowly; else the new one is refused */
        uint64_t
                receive_usec; /* head and body, from accept (TLS handshake included) or the request's first byte: 408 */
        uint64_t request_usec; /* the whole request, until its answer is handed to the kernel; streams are free of it */
        uint64_t idle_usec;    /* between requests */
        size_t unsent_max;     /* a peer for which more waits to be sent (streams) is closed */
        size_t held_max; /* bytes that clients may have waiting here, all together; over that the slowest goes. 0: no bound */
};

struct http_handler {
        /* A connection was made. Return: 0 to take it, else an HTTP status (503) that is sent before it is closed (then there is
         * no on_close for it). May be NULL. */
        int (*on_accept)(struct http_conn *conn, void *arg);
        /* A whole request is there. Answer now or later: http_reply*() or http_stream_begin(), exactly once. */
        void (*on_request)(struct http_request *req, void *arg);
        /* The server itself refuses a request (400, 408, 413, 414, 417, 431, 501, 503, 505): the body to send. May be NULL: text/plain.
         * Return: new text (mem_free'd by the server), its content type in *ret_type. */
        char *(*refusal)(const struct http_conn *conn, int status, const char *detail, const char **ret_type, void *arg);
        /* The connection is about to go: release what hangs on it. May be NULL. */
        void (*on_close)(struct http_conn *conn, void *arg);
};

struct http_server *http_server_new(struct loop *loop, const struct http_limits *limits,
                                    const struct http_handler *handler, void *arg);
/* Closes all; no callback but on_close and on_gone is called any more. Not from a callback but drain's done(). */
struct http_server *http_server_free(struct http_server *s);

/* Steals fd (listening, non-blocking is set here). is_unix: peers are looked up (unixsock_peer) and refused where that fails. */
void http_server_add_listener(struct http_server *s, int fd, bool is_unix);
/* TLS: wrap() makes the bufferevent of one accepted connection (steals fd); where it returns NULL (no certificate yet) the
 * server closes fd itself. */
typedef struct bufferevent *(*http_wrap_fn)(struct event_base *base, int fd, void *arg);
void http_server_add_tls_listener(struct http_server *s, int fd, http_wrap_fn wrap, void *arg);
/* fn says good-bye (close_notify) on a TLS connection that ends in good order, before the server frees it. */
void http_server_set_tls_bye(struct http_server *s, void (*fn)(struct bufferevent *bev, void *arg), void *arg);
/* Past bev's empty buffer, at once. Return: bytes sent; 0: not now; -errno. */
void http_server_set_tls_send(struct http_server *s,
                              ssize_t (*fn)(struct bufferevent *bev, const void *bytes, size_t len));
/* Listens on ADDRESS, "127.0.0.1:5000" or "[::1]:5000": the service manager's socket where it made one, else our own; port 0 takes
 * a free one. -errno; ret_error (new) says what to do. */
int http_listen_tcp(const char *address, int backlog, int *ret_fd, char **ret_error);
void http_listen_warn_unused(void); /* in the log: sockets that the service manager made and that nobody took */

/* Each connection ends with its next answer (Connection: close), or after a second without a request; new ones are taken until then.
 * done() once none is left; streams are ended. */
void http_server_drain(struct http_server *s, void (*done)(void *arg), void *arg);
unsigned http_server_conns(const struct http_server *s);

/* --- a connection --- */
const struct peer *http_conn_peer(const struct http_conn *c); /* borrowed; NULL on TCP */
const char *http_conn_address(const struct http_conn *c);    /* borrowed; numeric, "" on a UNIX socket */
bool http_conn_is_tls(const struct http_conn *c);
void *http_conn_data(const struct http_conn *c); /* what the handler hung on it */
void http_conn_set_data(struct http_conn *c, void *data);
void http_conn_close(struct http_conn *c); /* soon, unsent bytes dropped; open requests get on_gone */
typedef void (*http_conn_fn)(struct http_conn *c, void *arg);
void http_server_each_conn(struct http_server *s, http_conn_fn fn, void *arg); /* fn may close */

/* --- a request: borrowed from on_request until it is answered or on_gone --- */
struct http_conn *http_request_conn(const struct http_request *r);
const char *http_request_method(const struct http_request *r); /* "GET" ...: as sent, a token */
const char *http_request_path(
        const struct http_request *r); /* as sent, percent-encoded, starts with "/"; without the query */
const char *http_request_query(const struct http_request *r); /* as sent; "" where there is none */
const char *http_request_header(const struct http_request *r,
                                const char *name); /* borrowed; several values joined by ", "; NULL */
const char *http_request_body(const struct http_request *r, size_t *ret_len);
bool http_request_has_length(const struct http_request *r);     /* was there a Content-Length or chunked body at all? */
uint64_t http_request_start_usec(const struct http_request *r); /* CLOCK_MONOTONIC at its first byte */
/* The n-th value of `name` in the query, percent-decoded: new, NULL where absent, or undecodable. */
char *http_request_param(const struct http_request *r, const char *name, unsigned n);
/* fn: the peer went away before the answer; the request is dead when fn returns. */
void http_request_on_gone(struct http_request *r, void (*fn)(struct http_request *r, void *arg), void *arg);

/* --- the answer --- */
void http_reply_header(struct http_request *r, const char *name,
                       const char *value);     /* copied; before http_reply*(). CR and LF are refused */
void http_reply_close(struct http_request *r); /* say "Connection: close" and close after this answer */
void http_reply(struct http_request *r, int status, const char *type, const void *body,
                size_t len); /* copied. HEAD: the body is left out */
void http_reply_secret(struct http_request *r, int status, const char *type,
                       const struct secret *body); /* and wiped after sending */
/* An answer without end, chunked (RFC 9112 7.1); then http_stream_write() until http_stream_end() or on_gone. */
void http_stream_begin(struct http_request *r, int status, const char *type);
void http_stream_write(struct http_request *r, const void *bytes,
                       size_t len); /* over unsent_max: closed soon, on_gone is called */
void http_stream_end(struct http_request *r);
size_t http_stream_unsent(const struct http_request *r);
const char *http_status_text(int status);

#endif

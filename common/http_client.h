/* common/http_client.h: HTTP(S) calls to one server, on the loop (curl's multi interface), connections kept alive. */
#ifndef COMMON_HTTP_CLIENT_H
#define COMMON_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_call;
struct http_client;
struct loop;
struct secret;

struct http_client_config {     /* strings borrowed until http_client_new() returns */
        const char *address;    /* "https://127.0.0.1:8200": scheme, host, port; a path is put before each request's */
        const char *ca_cert;    /* file, PEM; NULL: the system's. Read again for each new connection */
        const char *ca_path;    /* folder; NULL */
        const char *client_cert, *client_key; /* files; NULL. Changed ones need a new client: living connections keep the old identity */
        const char *server_name; /* TLS name to expect instead of the host's; NULL */
        const char *proxy;      /* NULL: none, whatever the environment says */
        bool skip_verify;
        uint64_t timeout_usec;  /* a whole call, its wait for a free connection included; 0: 60 s */
        unsigned conns_max;     /* to the server at once; 0: 4. Calls beyond wait their turn */
};

struct http_client_request { /* borrowed until http_client_send() returns */
        const char *method;
        const char *path;                   /* "/v1/sys/health", percent-encoded */
        const char *const *headers;         /* "Name: value", NULL-terminated; may be NULL. Nothing secret */
        const char *secret_header;          /* "X-Vault-Token"; NULL where there is none */
        const struct secret *secret_value;
        const struct secret *body;          /* NULL: none. Sent as application/json unless headers say otherwise */
        uint64_t timeout_usec;              /* the client's where that is shorter, or this is 0 */
        bool once;                          /* it makes something: sent on a connection of its own, for on a kept one that dies curl repeats it */
};

struct http_client_reply { /* borrowed while on_reply runs */
        int error;             /* 0: an answer came. Negative -errno: -ETIMEDOUT, -ECONNREFUSED, -ECONNRESET, -EPROTO (TLS, HTTP), -EMSGSIZE, -EIO, -EINVAL (the request could not be sent as it stands) */
        const char *error_text; /* for people, names the address; "" without an error */
        long status;           /* 0 with an error */
        const struct secret *body; /* never NULL; empty with an error */
        const char *content_type; /* "" if none */
        const char *location;  /* "" if none. Redirects are never followed by themselves */
        uint64_t retry_after_usec; /* 0: none. Seconds or a date, RFC 9110 10.2.3 */
        uint64_t date_usec;    /* realtime, of the Date header; 0: none */
        uint64_t took_usec;
};

typedef void (*http_reply_fn)(const struct http_client_reply *reply, void *arg);

#define HTTP_CLIENT_BODY_MAX ((size_t)1 << 20) /* a longer answer is -EMSGSIZE */

/* Gives curl and OpenSSL allocators that wipe. Once, first in main(), before any other call into either. 0, or -errno: they stay as they were */
int http_client_setup(void);
/* What http_client_new() would refuse, without a client: NULL, or new: what is wrong, naming the file or the address */
char *http_client_check(const struct http_client_config *config);
/* new; NULL: ret_error (new) says what is wrong (unreadable CA file, bad address) and names the file */
struct http_client *http_client_new(struct loop *loop, const struct http_client_config *config, char **ret_error);
struct http_client *http_client_free(struct http_client *c); /* takes NULL; calls that are under way end without a callback; allowed in on_reply */
/* Never calls back before it returns. The call is borrowed until on_reply or http_call_cancel(). */
struct http_call *http_client_send(struct http_client *c, const struct http_client_request *request, http_reply_fn on_reply, void *arg);
void http_call_cancel(struct http_call *call); /* no callback any more; not in its own on_reply; takes NULL */

#endif

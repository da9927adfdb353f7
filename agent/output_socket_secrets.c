/* agent/output_socket_secrets.c: the calls of those who read: list, read, acknowledge, reject. */
#include "agent/output_socket.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/policy.h"
#include "agent/store_readers.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"
#include "common/unixsock.h"

#define WAIT_MAX_USEC (60 * USEC_PER_SEC)
#define ETAG_MAX      32

static const struct peer *peer_of(const struct socket_call *call)
{
        return http_conn_peer(http_request_conn(call->req));
}

/**
 * socket_readable() - the secret of that name, if this peer may read it
 * @call: whose peer asks
 * @name: any text
 *
 * Return: borrowed; NULL: there is none, or it is not for this peer.
 */
struct store_secret *socket_readable(const struct socket_call *call, const char *name)
{
        struct store_secret *s = store_find(call->o->ctx.store, name);

        return s && policy_may_read(store_config(s), peer_of(call)) ? s : NULL;
}

static void list_one(const struct store_secret *s, struct buf *b)
{
        const struct store_version *v = store_current(s);
        char expires[CLOCK_TEXT_LEN + 2], number[24] = "null";

        socket_time_json(v ? store_expires_at(v) : USEC_NEVER, expires, sizeof(expires));
        if (store_last_number(s))
                snprintf(number, sizeof(number), "%" PRIu64, store_last_number(s));
        buf_printf(b, "{\"name\":\"%s\",\"kind\":\"%s\",\"version\":%s,\"state\":\"%s\",\"expires_at\":%s}",
                   store_name(s), secret_kind_text(store_kind(s)), number,
                   !v         ? "none"
                   : v->stale ? "stale"
                              : "valid",
                   expires);
}

/**
 * socket_secrets() - GET /agent/v1/secrets: what this peer may read
 * @call: dead afterwards
 */
void socket_secrets(const struct socket_call *call)
{
        struct policy_view view = {.peer = peer_of(call)};
        cleanup_buf struct buf b = BUF_INIT;
        const char *separator = "";

        buf_str(&b, "{\"secrets\":[");
        for (struct store_secret *s = store_next(call->o->ctx.store, NULL); s; s = store_next(call->o->ctx.store, s)) {
                if (!policy_view_may_read(&view, store_config(s)))
                        continue;
                buf_str(&b, separator);
                list_one(s, &b);
                separator = ",";
        }
        policy_view_done(&view);
        buf_str(&b, "]}");
        socket_reply(call, 200, "application/json", b.data, b.len);
}

/* --- read --- */

struct read_query {
        uint64_t after; /* 0: not given: no version is 0 */
        uint64_t wait_usec;
        char *consumer;
};

/**
 * socket_consumer() - the consumer=ID of a query
 * @call:         answered with 400 where it is no proper name
 * @ret_consumer: new; NULL where there is none
 *
 * Return: 0; -EINVAL: the call is dead.
 */
int socket_consumer(const struct socket_call *call, char **ret_consumer)
{
        char *consumer = http_request_param(call->req, "consumer", 0);

        if (consumer && !parse_is_name(consumer, strlen(consumer))) {
                mem_free(consumer);
                socket_reply_error(call, 400, "consumer: 1 to 64 characters of A-Z a-z 0-9 _ . - are a name");
                return -EINVAL;
        }
        *ret_consumer = consumer;
        return 0;
}

static int read_query(const struct socket_call *call, struct read_query *ret)
{
        cleanup_free char *after = NULL, *wait = NULL;
        struct read_query q = {0};

        if (*http_request_query(call->req) == '\0') {
                *ret = q;
                return 0;
        }
        after = http_request_param(call->req, "after", 0);
        wait = http_request_param(call->req, "wait", 0);
        if (after && parse_u64(after, strlen(after), UINT64_MAX, &q.after) < 0) {
                socket_reply_error(call, 400, "after: a version is a number");
                return -EINVAL;
        }
        if (wait && parse_duration(wait, &q.wait_usec) < 0) {
                socket_reply_error(call, 400, "wait: a duration is \"30s\", \"1m\" or a number of seconds");
                return -EINVAL;
        }
        if (q.wait_usec > WAIT_MAX_USEC)
                q.wait_usec = WAIT_MAX_USEC;
        if (socket_consumer(call, &q.consumer) < 0)
                return -EINVAL;
        *ret = q;
        return 0;
}

static void set_etag(const struct socket_call *call, const struct store_version *v)
{
        char etag[ETAG_MAX];

        snprintf(etag, sizeof(etag), "W/\"%" PRIu64 "\"", v->number);
        http_reply_header(call->req, "ETag", etag);
}

/* RFC 9110 13.1.2: weak comparison, a list or "*". */
static bool client_has(const struct socket_call *call, const struct store_version *v)
{
        const char *header = http_request_header(call->req, "If-None-Match");
        char tag[ETAG_MAX];

        if (!header)
                return false;
        snprintf(tag, sizeof(tag), "\"%" PRIu64 "\"", v->number);
        return strcmp(header, "*") == 0 || strstr(header, tag) != NULL;
}

/**
 * socket_not_modified() - answers 304: the client's version is the current one; its end may have moved
 * @call: dead afterwards
 * @v:    the current version
 */
void socket_not_modified(const struct socket_call *call, const struct store_version *v)
{
        char text[CLOCK_TEXT_LEN];
        uint64_t expires = store_expires_at(v);

        set_etag(call, v);
        http_reply_header(call->req, "Leasekeeper-Expires",
                          expires == USEC_NEVER ? "never" : clock_rfc3339(expires, text));
        http_reply_header(call->req, "Leasekeeper-Stale", v->stale ? "true" : "false");
        socket_reply_empty(call, 304);
}

/**
 * socket_give() - answers with the current version, and notes who got it
 * @call:     dead afterwards
 * @s:        has a current version
 * @consumer: NULL: it gave no name
 */
void socket_give(const struct socket_call *call, struct store_secret *s, const char *consumer)
{
        const struct store_version *v;
        cleanup_secret struct secret *body = NULL;
        uid_t uid = peer_of(call)->uid;

        if (store_give(call->o->ctx.store, s, uid, consumer) < 0) {
                socket_reply_error(call, 429, "consumer: %d of uid %u are known already; use their names again",
                                   CONSUMERS_PER_UID, (unsigned)uid);
                return;
        }
        v = store_current(s);
        body = socket_version_text(s, v);
        set_etag(call, v);
        socket_reply_secret(call, body);
}

/**
 * socket_secret() - GET /agent/v1/secrets/NAME, with If-None-Match, after, wait and consumer
 * @call: dead afterwards, or waiting
 */
void socket_secret(const struct socket_call *call)
{
        struct store_secret *s = socket_readable(call, call->name);
        const struct store_version *v;
        struct read_query q;

        if (!s) {
                socket_reply_denied(call, call->name);
                return;
        }
        if (read_query(call, &q) < 0)
                return;
        v = store_current(s);
        if (q.wait_usec > 0 && (!v || v->number == q.after))
                output_watch_wait(call->o->watch, call, s, q.after, q.wait_usec, q.consumer);
        else if (!v)
                socket_reply_nothing(call, s);
        else if (v->number == q.after || client_has(call, v))
                socket_not_modified(call, v);
        else
                socket_give(call, s, q.consumer);
        mem_free(q.consumer);
}

/* --- acknowledge, reject --- */

struct report {
        json_t *body;
        uint64_t version;
        const char *consumer; /* borrowed from body */
        struct store_secret *s;
};

/* Return: 0; -EACCES, -EINVAL: the call is answered and dead. */
static int read_report(const struct socket_call *call, struct report *ret)
{
        struct report r = {.s = socket_readable(call, call->name)};
        char error[128] = "";
        const char *text;
        size_t len;

        if (!r.s) {
                socket_reply_denied(call, call->name);
                return -EACCES;
        }
        text = http_request_body(call->req, &len);
        r.body = json_read(text, len, error, sizeof(error));
        if (!r.body) {
                socket_reply_error(call, 400, "body: %s", error);
                return -EINVAL;
        }
        r.consumer = json_str(r.body, "consumer");
        if (!json_u64(r.body, "version", &r.version))
                socket_reply_error(call, 400, "version: a number is needed");
        else if (!r.consumer || !parse_is_name(r.consumer, strlen(r.consumer)))
                socket_reply_error(call, 400, "consumer: 1 to 64 characters of A-Z a-z 0-9 _ . - are a name");
        else {
                *ret = r;
                return 0;
        }
        json_decref(r.body);
        return -EINVAL;
}

/**
 * socket_ack() - POST /agent/v1/secrets/NAME/ack
 * @call: dead afterwards
 */
void socket_ack(const struct socket_call *call)
{
        struct report r;

        if (read_report(call, &r) < 0)
                return;
        if (store_ack(call->o->ctx.store, r.s, peer_of(call)->uid, r.consumer, r.version) > 0)
                socket_reply_error(call, 409, "%s: version %" PRIu64 " was not given to consumer %s", call->name,
                                   r.version, r.consumer);
        else
                socket_reply_empty(call, 204);
        json_decref(r.body);
}

/**
 * socket_reject() - POST /agent/v1/secrets/NAME/reject
 * @call: dead afterwards
 */
void socket_reject(const struct socket_call *call)
{
        struct report r;
        const char *reason;

        if (read_report(call, &r) < 0)
                return;
        reason = json_str(r.body, "reason");
        if (store_reject(call->o->ctx.store, r.s, peer_of(call)->uid, r.consumer, r.version,
                         reason && strcmp(reason, "denied") == 0) > 0)
                socket_reply_error(call, 409, "%s: version %" PRIu64 " is not current, or was not given to consumer %s",
                                   call->name, r.version, r.consumer);
        else
                socket_reply(call, 202, "application/json", "{}", 2);
        json_decref(r.body);
}

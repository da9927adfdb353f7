/* agent/output_socket_reply.c: what answers on the socket look like; every one is counted here. */
#include "agent/output_socket.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

#define JSON_TYPE        "application/json"
#define ERROR_TEXT_MAX   1024
#define VERSION_HEAD_MAX 512 /* all of a version's answer but its data */

static void count(const struct socket_call *call, int status)
{
        output_metrics_count(call->o->metrics, call->endpoint, status);
}

/**
 * socket_reply() - answers a call
 * @call:   dead afterwards
 * @status: HTTP status
 * @type:   content type
 * @body:   copied
 * @len:    its bytes
 */
void socket_reply(const struct socket_call *call, int status, const char *type, const char *body, size_t len)
{
        count(call, status);
        http_reply(call->req, status, type, body, len);
}

/**
 * socket_reply_empty() - answers a call without a body
 * @call:   dead afterwards
 * @status: 204, 304
 */
void socket_reply_empty(const struct socket_call *call, int status)
{
        count(call, status);
        http_reply(call->req, status, NULL, NULL, 0);
}

/**
 * socket_reply_json() - answers a call with what is no secret
 * @call:   dead afterwards
 * @status: HTTP status
 * @body:   stolen
 */
void socket_reply_json(const struct socket_call *call, int status, json_t *body)
{
        cleanup_free char *text = json_write(body, false);

        json_decref(body);
        socket_reply(call, status, JSON_TYPE, text, strlen(text));
}

/**
 * socket_reply_secret() - answers a call with 200 and secret JSON
 * @call: dead afterwards
 * @body: borrowed
 */
void socket_reply_secret(const struct socket_call *call, const struct secret *body)
{
        count(call, 200);
        http_reply_secret(call->req, 200, JSON_TYPE, body);
}

/**
 * socket_error_body() - an error in Vault's shape
 * @text: for people
 *
 * Return: new: {"errors":["TEXT"]}.
 */
char *socket_error_body(const char *text)
{
        struct buf b = BUF_INIT;

        buf_str(&b, "{\"errors\":[");
        buf_json_str(&b, text, strlen(text));
        buf_str(&b, "]}");
        return buf_take(&b);
}

/**
 * socket_reply_error() - answers a call with an error in Vault's shape
 * @call:   dead afterwards
 * @status: HTTP status
 * @fmt:    what is wrong, for people
 */
void socket_reply_error(const struct socket_call *call, int status, const char *fmt, ...)
{
        char text[ERROR_TEXT_MAX];
        cleanup_free char *body = NULL;
        va_list args;

        va_start(args, fmt);
        vsnprintf(text, sizeof(text), fmt, args);
        va_end(args);
        body = socket_error_body(text);
        socket_reply(call, status, JSON_TYPE, body, strlen(body));
}

/**
 * socket_reply_denied() - answers a call with 403, the same for what is unknown and what is forbidden
 * @call: dead afterwards
 * @name: what was asked for
 */
void socket_reply_denied(const struct socket_call *call, const char *name)
{
        cleanup_free char *text = mem_printf("%s: permission denied", name);
        cleanup_free char *body = socket_error_body(text);

        socket_reply(call, 403, JSON_TYPE, body, strlen(body));
}

/**
 * socket_reply_nothing() - answers a call with 503: the secret has no valid version now
 * @call: dead afterwards
 * @s:    the secret
 */
void socket_reply_nothing(const struct socket_call *call, const struct store_secret *s)
{
        char seconds[16];

        snprintf(seconds, sizeof(seconds), "%d", SOCKET_RETRY_AFTER_S);
        http_reply_header(call->req, "Retry-After", seconds);
        socket_reply_error(call, 503, "%s: nothing valid to give: %s", store_name(s), store_reason(s));
}

/**
 * socket_time_json() - a time as a JSON value
 * @wall_usec: USEC_NEVER gives null
 * @text:      gets the value
 * @cap:       at least CLOCK_TEXT_LEN + 2
 */
void socket_time_json(uint64_t wall_usec, char *text, size_t cap)
{
        char time[CLOCK_TEXT_LEN];

        if (wall_usec == USEC_NEVER)
                snprintf(text, cap, "null");
        else
                snprintf(text, cap, "\"%s\"", clock_rfc3339(wall_usec, time));
}

/**
 * socket_version_text() - a version as the socket gives it, without a JSON tree in between: each read takes this way
 * @s: the secret
 * @v: its version
 *
 * Return: new.
 */
struct secret *socket_version_text(const struct store_secret *s, const struct store_version *v)
{
        char head[VERSION_HEAD_MAX], issued[CLOCK_TEXT_LEN + 2], expires[CLOCK_TEXT_LEN + 2];
        size_t len;
        struct secret *out;

        socket_time_json(v->issued_usec, issued, sizeof(issued));
        socket_time_json(store_expires_at(v), expires, sizeof(expires));
        /* A name needs no escaping: parse_is_name(). */
        len = (size_t)snprintf(head, sizeof(head),
                               "{\"name\":\"%s\",\"kind\":\"%s\",\"version\":%" PRIu64
                               ",\"issued_at\":%s,\"expires_at\":%s,\"stale\":%s,\"data\":",
                               store_name(s), secret_kind_text(store_kind(s)), v->number, issued, expires,
                               v->stale ? "true" : "false");
        out = secret_new(len + secret_len(v->data) + 1);
        (void)secret_append(out, head, len);
        (void)secret_append(out, secret_bytes(v->data), secret_len(v->data));
        (void)secret_append(out, "}", 1);
        return out;
}

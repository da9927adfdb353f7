/* agent/output_socket_control.c: the calls about the agent itself: health for all, status, rotate and reload for operators. */
#include "agent/output_socket.h"

#include <inttypes.h>
#include <stdio.h>

#include "agent/policy.h"
#include "common/http_server.h"
#include "common/mem.h"
#include "common/parse.h"

static const struct store_control *control_of(const struct socket_call *call, void **ret_arg)
{
        return store_control(call->o->ctx.store, ret_arg);
}

static void reply_starting(const struct socket_call *call)
{
        socket_reply_error(call, 503, "the agent is starting");
}

/* Return: false: the call is answered and dead. */
static bool is_operator(const struct socket_call *call, const char *what)
{
        if (policy_is_operator(call->o->ctx.config, http_conn_peer(http_request_conn(call->req))))
                return true;
        socket_reply_denied(call, what);
        return false;
}

/**
 * socket_health() - GET /agent/v1/health, with ?live; on the TCP listener too
 * @call: dead afterwards
 */
void socket_health(const struct socket_call *call)
{
        void *arg;
        const struct store_control *control = control_of(call, &arg);
        cleanup_free char *live = http_request_param(call->req, "live", 0);
        json_t *body = NULL;
        int status;

        if (live) {
                socket_reply_json(call, 200, json_pack("{s:s}", "status", "live"));
                return;
        }
        if (!control->health) {
                socket_reply_json(call, 503, json_pack("{s:s,s:[]}", "status", "starting", "reasons"));
                return;
        }
        status = control->health(&body, arg);
        socket_reply_json(call, status, body);
}

/**
 * socket_status() - GET /agent/v1/status
 * @call: dead afterwards
 */
void socket_status(const struct socket_call *call)
{
        void *arg;
        const struct store_control *control = control_of(call, &arg);

        if (!is_operator(call, "status"))
                return;
        if (!control->status)
                reply_starting(call);
        else
                socket_reply_json(call, 200, control->status(arg));
}

/* Retry-After is in whole seconds and never 0: RFC 9110 10.2.3. */
static void set_retry_after(const struct socket_call *call, uint64_t usec)
{
        char text[24];

        snprintf(text, sizeof(text), "%" PRIu64, usec / USEC_PER_SEC + (usec % USEC_PER_SEC || usec == 0));
        http_reply_header(call->req, "Retry-After", text);
}

/**
 * socket_rotate() - POST /agent/v1/rotate and /agent/v1/rotate/NAME
 * @call: dead afterwards
 */
void socket_rotate(const struct socket_call *call)
{
        void *arg;
        const struct store_control *control = control_of(call, &arg);
        uint64_t retry_after_usec = 0;
        json_t *body = NULL;
        int status;

        if (!is_operator(call, "rotate"))
                return;
        if (!control->rotate) {
                reply_starting(call);
                return;
        }
        status = control->rotate(call->name, &body, &retry_after_usec, arg);
        if (status == 429)
                set_retry_after(call, retry_after_usec);
        if (body)
                socket_reply_json(call, status, body);
        else
                socket_reply_error(call, status, "%s: no such secret", call->name ? call->name : "rotate");
}

/**
 * socket_reload() - POST /agent/v1/reload
 * @call: dead afterwards
 */
void socket_reload(const struct socket_call *call)
{
        void *arg;
        const struct store_control *control = control_of(call, &arg);
        json_t *body = NULL;
        int status;

        if (!is_operator(call, "reload"))
                return;
        if (!control->reload) {
                reply_starting(call);
                return;
        }
        status = control->reload(&body, arg);
        socket_reply_json(call, status, body ? body : json_object());
}

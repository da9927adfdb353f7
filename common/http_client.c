/* common/http_client.c: HTTP(S) calls to one server: curl's multi interface, driven by the loop. */
#include "common/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "common/clock.h"
#include "common/http_client_model.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

#define TIMEOUT_USEC        (60 * USEC_PER_SEC)
#define CONNS_MAX           4
#define HEAD_MAX            ((size_t)64 << 10)
#define STALL_BYTES_PER_SEC 100L
#define STALL_SEC           15L
#define RETRY_AFTER_MAX_SEC UINT64_C(86400)

struct http_sock {
        struct http_client *client;
        struct loop_watch *watch;
        LIST_ENTRY(http_sock) entry;
};

struct http_call {
        struct http_client *client;
        LIST_ENTRY(http_call) entry;
        CURL *easy;
        struct curl_slist *headers;
        struct secret *request_body;
        struct secret *body;
        struct loop_timer *timer; /* the deadline; at once for a call that could not begin */
        uint64_t start_usec, timeout_usec;
        size_t head_len;
        bool too_long;
        const char *refused; /* static; why the call could not begin */
        http_reply_fn on_reply;
        void *arg;
        char detail[CURL_ERROR_SIZE];
};

struct http_client {
        struct loop *loop;
        struct loop_timer *timer;
        CURLM *multi;
        struct http_client_model model;
        uint64_t timeout_usec;
        unsigned conns_max;
        unsigned busy; /* on_reply is running: the struct must outlive http_client_free() */
        bool is_dead;
        LIST_HEAD(, http_call) calls;
        LIST_HEAD(, http_sock) socks;
};

static int error_of(CURLcode code)
{
        switch (code) {
        case CURLE_OK: return 0;
        case CURLE_OPERATION_TIMEDOUT: return -ETIMEDOUT;
        case CURLE_COULDNT_CONNECT: return -ECONNREFUSED;
        case CURLE_SEND_ERROR:
        case CURLE_RECV_ERROR:
        case CURLE_GOT_NOTHING:
        case CURLE_PARTIAL_FILE: return -ECONNRESET;
        case CURLE_FILESIZE_EXCEEDED: return -EMSGSIZE;
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_ENGINE_NOTFOUND:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_USE_SSL_FAILED:
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_WEIRD_SERVER_REPLY:
        case CURLE_BAD_CONTENT_ENCODING:
        case CURLE_HTTP2:
        case CURLE_HTTP2_STREAM:
        case CURLE_PROXY: return -EPROTO;
        case CURLE_URL_MALFORMAT:
        case CURLE_BAD_FUNCTION_ARGUMENT: return -EINVAL;
        default: return -EIO;
        }
}

static const char *header_of(CURL *easy, const char *name)
{
        struct curl_header *h;

        return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : "";
}

static uint64_t date_of(const char *text)
{
        time_t t = *text ? curl_getdate(text, NULL) : -1;

        return t > 0 ? (uint64_t)t * USEC_PER_SEC : 0;
}

static uint64_t retry_after_of(const char *text, uint64_t date_usec)
{
        uint64_t sec, at_usec, now_usec;
        int r = parse_u64(text, strlen(text), UINT64_MAX, &sec);

        if (r == 0 || r == -ERANGE)
                return (r == 0 && sec < RETRY_AFTER_MAX_SEC ? sec : RETRY_AFTER_MAX_SEC) * USEC_PER_SEC;
        at_usec = date_of(text);
        now_usec = date_usec ? date_usec : clock_realtime_usec(); /* the server's own clock, where it tells it */
        if (at_usec <= now_usec)
                return 0;
        at_usec -= now_usec;
        return at_usec < RETRY_AFTER_MAX_SEC * USEC_PER_SEC ? at_usec : RETRY_AFTER_MAX_SEC * USEC_PER_SEC;
}

static struct http_call *call_free(struct http_call *call)
{
        if (!call)
                return NULL;
        curl_easy_cleanup(call->easy);
        curl_slist_free_all(call->headers);
        loop_timer_free(call->timer);
        secret_free(call->request_body);
        secret_free(call->body);
        return mem_free(call);
}

/* After this nothing of curl or of the loop leads to the call any more. */
static void call_detach(struct http_call *call)
{
        LIST_REMOVE(call, entry);
        if (call->easy)
                curl_multi_remove_handle(call->client->multi, call->easy);
        loop_timer_cancel(call->timer);
}

static void leave(struct http_client *c)
{
        c->busy--;
        if (c->busy == 0 && c->is_dead)
                mem_free(c);
}

/* Tells the caller and frees the call. The client may be dead afterwards unless the caller of this holds it busy. */
static void finish(struct http_call *call, int error, const char *detail)
{
        struct http_client *c = call->client;
        struct http_client_reply reply = {.error = error, .error_text = "", .content_type = "", .location = ""};
        cleanup_free char *text = NULL;

        call_detach(call);
        if (error) {
                text = mem_printf("%s: %s", c->model.address, detail);
                for (char *p = text; *p; p++) {
                        if ((unsigned char)*p < 0x20 || *p == 0x7f)
                                *p = ' ';
                }
                reply.error_text = text;
                secret_reset(call->body);
        } else {
                char *type = NULL;

                curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &reply.status);
                curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
                reply.content_type = type ? type : "";
                reply.location = header_of(call->easy, "Location");
                reply.date_usec = date_of(header_of(call->easy, "Date"));
                reply.retry_after_usec = retry_after_of(header_of(call->easy, "Retry-After"), reply.date_usec);
        }
        reply.body = call->body;
        reply.took_usec = clock_monotonic_usec() - call->start_usec;

        c->busy++;
        call->on_reply(&reply, call->arg);
        call_free(call);
        leave(c);
}

static void finish_curl(struct http_call *call, CURLcode code)
{
        int error = call->too_long ? -EMSGSIZE : error_of(code);
        const char *detail = *call->detail ? call->detail : curl_easy_strerror(code);

        if (error == -EMSGSIZE)
                detail = "the answer is longer than 1 MiB, or its head than 64 KiB";
        finish(call, error, detail);
}

/* What curl has brought to an end. */
static void collect(struct http_client *c)
{
        CURLMsg *msg;
        int left;

        c->busy++;
        while (!c->is_dead && (msg = curl_multi_info_read(c->multi, &left))) {
                CURLcode code = msg->data.result;
                char *call = NULL;

                if (msg->msg != CURLMSG_DONE)
                        continue;
                curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &call);
                finish_curl((struct http_call *)(void *)call, code);
        }
        leave(c);
}

static void on_timer(void *arg)
{
        struct http_client *c = arg;
        int running;

        curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        collect(c);
}

static void on_socket(int fd, unsigned what, void *arg)
{
        struct http_sock *s = arg;
        struct http_client *c = s->client;
        int mask = (what & LOOP_READ ? CURL_CSELECT_IN : 0) | (what & LOOP_WRITE ? CURL_CSELECT_OUT : 0), running;

        curl_multi_socket_action(c->multi, fd, mask, &running);
        collect(c);
}

static void on_deadline(void *arg)
{
        struct http_call *call = arg;
        char text[64];

        if (call->refused) {
                finish(call, -EINVAL, call->refused);
                return;
        }
        snprintf(text, sizeof(text), "no answer within %.3g s", (double)call->timeout_usec / (double)USEC_PER_SEC);
        finish(call, -ETIMEDOUT, text);
}

static int on_curl_timer(CURLM *multi, long timeout_msec, void *arg)
{
        struct http_client *c = arg;

        (void)multi;
        if (timeout_msec < 0)
                loop_timer_cancel(c->timer);
        else
                loop_timer_in(c->timer, (uint64_t)timeout_msec * USEC_PER_MSEC);
        return 0;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sock_arg)
{
        struct http_client *c = arg;
        struct http_sock *s = sock_arg;
        unsigned mask = (what & CURL_POLL_IN ? LOOP_READ : 0U) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0U);

        (void)easy;
        if (what == CURL_POLL_REMOVE) {
                if (s) {
                        LIST_REMOVE(s, entry);
                        loop_watch_free(s->watch);
                        mem_free(s);
                        curl_multi_assign(c->multi, fd, NULL);
                }
                return 0;
        }
        if (s) {
                loop_watch_set(s->watch, mask);
                return 0;
        }
        s = mem_new(sizeof(*s));
        s->client = c;
        s->watch = loop_watch_new(c->loop, fd, mask, on_socket, s);
        LIST_INSERT_HEAD(&c->socks, s, entry);
        curl_multi_assign(c->multi, fd, s);
        return 0;
}

static size_t on_curl_body(char *bytes, size_t size, size_t count, void *arg)
{
        struct http_call *call = arg;

        if (secret_append(call->body, bytes, size * count) < 0) {
                call->too_long = true;
                return 0;
        }
        return size * count;
}

static size_t on_curl_head(char *bytes, size_t size, size_t count, void *arg)
{
        struct http_call *call = arg;
        size_t len = size * count;

        call->head_len += len;
        if (call->head_len > HEAD_MAX) {
                call->too_long = true;
                return 0;
        }
        /*
         * Only an answer that has begun may be called stalled: a server that thinks for long (a mint on a slow database) must
         * not be cut off, for what it makes would be an orphan.
         */
        if (len <= 2 && (bytes[0] == '\r' || bytes[0] == '\n')) {
                curl_easy_setopt(call->easy, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES_PER_SEC);
                curl_easy_setopt(call->easy, CURLOPT_LOW_SPEED_TIME, STALL_SEC);
        }
        return len;
}

static void set_multi(struct http_client *c)
{
        long max = (long)c->conns_max;

        curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
        curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
        curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
        curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
        curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, max);
        curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, max);
        curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
}

/**
 * http_client_new() - a client for one server
 * @loop:      borrowed for the client's life
 * @config:    borrowed until this returns; its files are looked at now and read by curl for each new connection
 * @ret_error: new, only where NULL is returned: one line for people, names the file or the address
 *
 * Nothing is sent yet. A certificate or CA that changed for good wants a new client, for living connections keep the identity
 * that they were made with.
 *
 * Return: new, or NULL.
 */
struct http_client *http_client_new(struct loop *loop, const struct http_client_config *config, char **ret_error)
{
        struct http_client *c = mem_new(sizeof(*c));
        char *error;

        c->loop = loop;
        c->timeout_usec = config->timeout_usec ? config->timeout_usec : TIMEOUT_USEC;
        c->conns_max = config->conns_max ? config->conns_max : CONNS_MAX;
        c->timer = loop_timer_new(loop, on_timer, c);
        LIST_INIT(&c->calls);
        LIST_INIT(&c->socks);

        error = http_client_model_make(&c->model, config);
        c->multi = curl_multi_init();
        if (!error && !c->multi)
                error = mem_printf("%s: libcurl cannot be set up", config->address);
        if (error) {
                *ret_error = error;
                return http_client_free(c);
        }
        set_multi(c);
        return c;
}

/**
 * http_client_free() - close all connections, end all calls without a callback
 * @c: NULL is fine; allowed in on_reply of its own calls
 *
 * Return: NULL.
 */
struct http_client *http_client_free(struct http_client *c)
{
        if (!c || c->is_dead)
                return NULL;
        c->busy++;
        c->is_dead = true;
        while (!LIST_EMPTY(&c->calls))
                http_call_cancel(LIST_FIRST(&c->calls));
        if (c->multi)
                curl_multi_cleanup(c->multi);
        while (!LIST_EMPTY(&c->socks)) {
                struct http_sock *s = LIST_FIRST(&c->socks);

                LIST_REMOVE(s, entry);
                loop_watch_free(s->watch);
                mem_free(s);
        }
        loop_timer_free(c->timer);
        http_client_model_done(&c->model);
        c->multi = NULL;
        leave(c);
        return NULL;
}

static bool is_field_text(const char *text, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
                        return false;
        }
        return true;
}

static bool add_header(struct http_call *call, const char *line)
{
        struct curl_slist *longer = curl_slist_append(call->headers, line);

        if (longer)
                call->headers = longer;
        return longer != NULL;
}

/* Return: NULL, or why the call cannot be sent. */
static const char *set_headers(struct http_call *call, const struct http_client_request *request)
{
        bool good = add_header(call, "Expect:"), has_type = false;

        for (const char *const *h = request->headers; h && *h; h++) {
                if (!is_field_text(*h, strlen(*h)))
                        return "a header field of the request holds a control character";
                has_type = has_type || strncasecmp(*h, "Content-Type:", 13) == 0;
                good = good && add_header(call, *h);
        }
        if (!has_type) /* without a body an empty field: else curl would announce a form */
                good = good && add_header(call, request->body ? "Content-Type: application/json" : "Content-Type:");
        if (call->client->model.host)
                good = good && add_header(call, call->client->model.host);
        if (request->secret_header) {
                cleanup_secret struct secret *line = NULL;
                size_t len = secret_len(request->secret_value);

                if (len == 0 || !is_field_text(secret_bytes(request->secret_value), len))
                        return "the secret header field of the request is empty or holds a control character";
                line = secret_new(strlen(request->secret_header) + 2 + len);
                good = good && secret_append_str(line, request->secret_header) == 0 &&
                       secret_append_str(line, ": ") == 0 &&
                       secret_append(line, secret_bytes(request->secret_value), len) == 0 &&
                       add_header(call, secret_bytes(line));
        }
        if (good)
                good = curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK;
        return good ? NULL : "the header fields of the request cannot be made";
}

static CURLcode set_method(struct http_call *call, const struct http_client_request *request)
{
        const char *method = request->method;
        CURLcode code;

        if (strcmp(method, "HEAD") == 0)
                return curl_easy_setopt(call->easy, CURLOPT_NOBODY, 1L);
        if (!request->body && strcmp(method, "POST") != 0 && strcmp(method, "PUT") != 0)
                return curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, method);

        call->request_body =
                secret_new_from(request->body ? secret_bytes(request->body) : "", secret_len(request->body));
        code = curl_easy_setopt(call->easy, CURLOPT_POST, 1L);
        if (code == CURLE_OK)
                code = curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE, (long)secret_len(call->request_body));
        if (code == CURLE_OK)
                code = curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, secret_bytes(call->request_body));
        if (code == CURLE_OK)
                code = curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, method);
        return code;
}

/* Return: NULL, or why the call cannot be sent. */
static const char *begin(struct http_call *call, const struct http_client_request *request)
{
        struct http_client *c = call->client;
        cleanup_free char *url = mem_printf("%s%s", c->model.base, request->path);
        const char *refused;

        if (request->path[0] != '/' || !is_field_text(request->path, strlen(request->path)) ||
            strpbrk(request->path, " #"))
                return "the path of the request is not percent-encoded";
        call->easy = curl_easy_duphandle(c->model.easy);
        if (!call->easy)
                return "libcurl gave no handle";
        if (curl_easy_setopt(call->easy, CURLOPT_URL, url) != CURLE_OK || set_method(call, request) != CURLE_OK ||
            curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call) != CURLE_OK ||
            curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_curl_body) != CURLE_OK ||
            curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call) != CURLE_OK ||
            curl_easy_setopt(call->easy, CURLOPT_HEADERFUNCTION, on_curl_head) != CURLE_OK ||
            curl_easy_setopt(call->easy, CURLOPT_HEADERDATA, call) != CURLE_OK ||
            curl_easy_setopt(call->easy, CURLOPT_ERRORBUFFER, call->detail) != CURLE_OK)
                return "libcurl refuses the request";
        if (request->once && (curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, 1L) != CURLE_OK ||
                              curl_easy_setopt(call->easy, CURLOPT_FORBID_REUSE, 1L) != CURLE_OK))
                return "libcurl refuses a connection of its own";
        refused = set_headers(call, request);
        if (refused)
                return refused;
        return curl_multi_add_handle(c->multi, call->easy) == CURLM_OK ? NULL : "libcurl refuses the call";
}

/**
 * http_client_send() - begin a call
 * @c:        the client
 * @request:  borrowed until this returns
 * @on_reply: called once from the loop, never before this returns; not at all after http_call_cancel() or http_client_free()
 * @arg:      for on_reply
 *
 * What cannot be sent (a control character in a field) is told through on_reply as well, as -EINVAL. curl repeats a call by
 * itself only where a kept connection turned out to be closed before a single byte of an answer came, and never one that is to be
 * sent once.
 *
 * Return: the call, borrowed until on_reply or http_call_cancel().
 */
struct http_call *http_client_send(struct http_client *c, const struct http_client_request *request,
                                   http_reply_fn on_reply, void *arg)
{
        struct http_call *call = mem_new(sizeof(*call));

        call->client = c;
        call->on_reply = on_reply;
        call->arg = arg;
        call->start_usec = clock_monotonic_usec();
        call->timeout_usec = c->timeout_usec;
        if (request->timeout_usec && request->timeout_usec < c->timeout_usec)
                call->timeout_usec = request->timeout_usec;
        call->body = secret_new(HTTP_CLIENT_BODY_MAX);
        call->timer = loop_timer_new(c->loop, on_deadline, call);
        LIST_INSERT_HEAD(&c->calls, call, entry);

        call->refused = begin(call, request);
        loop_timer_in(call->timer, call->refused ? 0 : call->timeout_usec);
        return call;
}

/**
 * http_call_cancel() - give a call up: its on_reply is not called any more
 * @call: NULL is fine; dead afterwards. What was sent may still be carried out by the server
 */
void http_call_cancel(struct http_call *call)
{
        if (!call)
                return;
        call_detach(call);
        call_free(call);
}

/* agent/vault_link.c: the way to Vault: queue, rate limit, gate. */
#include "agent/vault_link.h"

#include <string.h>

#include "agent/config.h"
#include "agent/instant.h"
#include "agent/token.h"
#include "common/backoff.h"
#include "common/clock.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/secret.h"

#define IN_FLIGHT_MAX      8 /* a connection for each and one for the probe: a queue inside curl would forget the classes */
#define LATE_MAX           32 /* calls that take long and have given their places away */
#define LATE_USEC          (2 * USEC_PER_SEC)
#define IN_FLIGHT_SLOW_MAX 6 /* mints and look-ups: they hang where a database behind Vault does */
#define IN_FLIGHT_OF_ONE   4 /* of those, by class */
#define PROBE_FAST_USEC    USEC_PER_SEC
#define PROBE_SLOWEST_USEC (6 * USEC_PER_SEC)
#define PROBE_TIMEOUT_USEC (5 * USEC_PER_SEC)
#define SKEW_NOISE_USEC    (2 * USEC_PER_SEC) /* Date has whole seconds */

struct link_call {
        struct vault_link *link;
        struct link_call *prev, *next; /* in a class's queue, or among those in flight */
        enum link_class class;
        struct vault_request request;
        struct token *token;
        struct http_call *http; /* NULL: still in the queue */
        uint64_t sent_usec;
        bool late;
        uint64_t timeout_usec;
        link_fn fn;
        void *arg;
};

struct call_list {
        struct link_call *head, *tail;
        unsigned len;
};

struct vault_link {
        struct loop *loop;
        struct http_client *http;
        char *address, *namespace_header;
        struct call_list queue[LINK_CLASSES];
        struct call_list flying;          /* in the order of sending */
        unsigned flying_of[LINK_CLASSES]; /* without the late ones */
        unsigned late_len;
        double rate, burst, tokens, look_up_tokens;
        uint64_t refilled_usec;
        struct loop_timer *pump_timer;

        bool open, hurry, freed;
        char *error;
        struct http_call *probe;
        struct loop_timer *probe_timer;
        uint64_t probe_wait_usec;
        void (*on_gate)(bool open, void *arg);
        void *on_gate_arg;

        int64_t skew_usec;
        struct metric *requests, *durations, *skew;
};

static void list_add(struct call_list *l, struct link_call *c)
{
        c->prev = l->tail;
        c->next = NULL;
        *(l->tail ? &l->tail->next : &l->head) = c;
        l->tail = c;
        l->len++;
}

static void list_remove(struct call_list *l, struct link_call *c)
{
        *(c->prev ? &c->prev->next : &l->head) = c->next;
        *(c->next ? &c->next->prev : &l->tail) = c->prev;
        l->len--;
}

static struct call_list *list_of(struct link_call *c)
{
        return c->http ? &c->link->flying : &c->link->queue[c->class];
}

static void call_free(struct link_call *c)
{
        struct vault_link *link = c->link;

        if (c->late)
                link->late_len--;
        else if (c->http)
                link->flying_of[c->class]--;
        list_remove(list_of(c), c);
        vault_request_done(&c->request);
        token_unref(c->token);
        mem_free(c);
}

/* The call is gone when fn runs: what fn sends next is another. */
static void answer(struct link_call *c, const struct vault_reply *reply)
{
        link_fn fn = c->fn;
        void *arg = c->arg;

        call_free(c);
        fn(reply, arg);
}

static void refill(struct vault_link *link)
{
        uint64_t now = clock_boottime_usec();
        double passed = (double)(now - link->refilled_usec) / 1e6;

        link->refilled_usec = now;
        link->tokens = link->tokens + passed * link->rate;
        if (link->tokens > link->burst)
                link->tokens = link->burst;
        link->look_up_tokens = link->look_up_tokens + passed * link->rate / 4;
        if (link->look_up_tokens > link->burst / 4 + 1)
                link->look_up_tokens = link->burst / 4 + 1;
}

/*
 * What hangs with one engine behind Vault must not hold up the others: a call that takes long gives its place to the next.
 *
 * Return: usec until there is another such call; USEC_NEVER.
 */
static uint64_t let_late_ones_go(struct vault_link *link)
{
        uint64_t now = clock_boottime_usec();

        for (struct link_call *c = link->flying.head; c && link->late_len < LATE_MAX; c = c->next) {
                if (c->late)
                        continue;
                if (now < c->sent_usec + LATE_USEC)
                        return c->sent_usec + LATE_USEC - now;
                c->late = true;
                link->late_len++;
                link->flying_of[c->class]--;
        }
        return USEC_NEVER;
}

static bool has_place(const struct vault_link *link, enum link_class k)
{
        unsigned all = link->flying.len - link->late_len,
                 slow = all - link->flying_of[LINK_TOKEN] - link->flying_of[LINK_RENEW];

        if (k == LINK_TOKEN)
                return all < IN_FLIGHT_MAX;
        if (k == LINK_RENEW)
                return all < IN_FLIGHT_MAX - 1;
        return all < IN_FLIGHT_MAX - 1 && slow < IN_FLIGHT_SLOW_MAX && link->flying_of[k] < IN_FLIGHT_OF_ONE;
}

/* Which queued call goes next? Sets *ret_wait_usec where the rate limit or the want of a place holds it back. */
static struct link_call *pick(struct vault_link *link, uint64_t late_usec, uint64_t *ret_wait_usec)
{
        bool limited = link->rate > 0;

        *ret_wait_usec = USEC_NEVER;
        for (enum link_class k = 0; k < LINK_CLASSES; k++) {
                struct link_call *c = link->queue[k].head;

                if (!c)
                        continue;
                if (!has_place(link, k)) {
                        *ret_wait_usec = late_usec;
                        continue;
                }
                if (limited && link->tokens < 1) {
                        *ret_wait_usec =
                                usec_min(*ret_wait_usec, (uint64_t)((1 - link->tokens) / link->rate * 1e6) + 1);
                        return NULL;
                }
                if (limited && k == LINK_LOOK_UP && link->look_up_tokens < 1) {
                        *ret_wait_usec = usec_min(*ret_wait_usec,
                                                  (uint64_t)((1 - link->look_up_tokens) / (link->rate / 4) * 1e6) + 1);
                        return NULL;
                }
                return c;
        }
        return NULL;
}

static void on_reply(const struct http_client_reply *http, void *arg);

static void send_now(struct vault_link *link, struct link_call *c)
{
        const char *const headers[] = {"X-Vault-Request: true", "Content-Type: application/json",
                                       link->namespace_header, NULL};
        const struct http_client_request request = {
                .method = c->request.method,
                .path = c->request.path,
                .headers = headers,
                .secret_header = c->token ? "X-Vault-Token" : NULL,
                .secret_value = c->token ? c->token->value : NULL,
                .body = c->request.body,
                .timeout_usec = c->timeout_usec,
                .once = c->request.once,
        };

        list_remove(&link->queue[c->class], c);
        link->tokens -= 1;
        if (c->class == LINK_LOOK_UP)
                link->look_up_tokens -= 1;
        c->http = http_client_send(link->http, &request, on_reply, c);
        list_add(&link->flying, c);
        link->flying_of[c->class]++;
        c->sent_usec = clock_boottime_usec();
}

static void pump(struct vault_link *link)
{
        struct link_call *c;
        uint64_t wait, late;

        if (!link->open || link->probe) /* what waits must not be lost to a Vault that is in doubt */
                return;
        refill(link);
        late = let_late_ones_go(link);
        while ((c = pick(link, late, &wait)) != NULL) {
                send_now(link, c);
                late = usec_min(late, LATE_USEC);
        }
        if (wait != USEC_NEVER)
                loop_timer_in(link->pump_timer, wait);
}

static void on_pump(void *arg)
{
        pump(arg);
}

/* Those that are in the queue now: what their callbacks send is not answered here. */
static void answer_queue(struct vault_link *link)
{
        struct vault_reply away = {.outcome = VAULT_UNREACHABLE, .error = link->error};
        unsigned left = 0;

        for (enum link_class k = 0; k < LINK_CLASSES; k++)
                left += link->queue[k].len;
        for (enum link_class k = 0; k < LINK_CLASSES && !link->open; k++)
                for (; left > 0 && link->queue[k].head && !link->open; left--)
                        answer(link->queue[k].head, &away);
}

static void on_answer_queue(void *arg)
{
        struct vault_link *link = arg;

        if (!link->open && link->error)
                answer_queue(link);
}

static void on_probe_due(void *arg);

static void shut(struct vault_link *link, const char *error)
{
        if (!link->open)
                return;
        link->open = false;
        mem_free(link->error);
        link->error = mem_strdup(error);
        link->probe_wait_usec = PROBE_FAST_USEC;
        log_warn("Vault at %s: %s; serving what is valid, asking for its health until it answers", link->address,
                 error);
        loop_timer_in(link->probe_timer, USEC_PER_SEC / 4);
        if (link->on_gate)
                link->on_gate(false, link->on_gate_arg);
        loop_defer(link->loop, on_answer_queue, link);
}

static void open_gate(struct vault_link *link)
{
        if (link->open) /* it was in doubt */
                return;
        link->open = true;
        link->error = mem_free(link->error);
        log_info("Vault at %s answers again", link->address);
        loop_timer_cancel(link->probe_timer);
        if (link->on_gate)
                link->on_gate(true, link->on_gate_arg);
}

static void count(struct vault_link *link, enum vault_op op, long status, uint64_t took_usec)
{
        cleanup_free char *code = status > 0 ? mem_printf("%ld", status) : mem_strdup("none");

        metric_inc(link->requests, 1, vault_op_text(op), code);
        metric_observe(link->durations, (double)took_usec / 1e6);
}

/* Whoever refuses, or asks for patience, is there. */
static bool is_there(enum vault_outcome outcome)
{
        return outcome == VAULT_OK || outcome == VAULT_THROTTLED || outcome == VAULT_FORBIDDEN ||
               outcome == VAULT_NOT_FOUND || outcome == VAULT_REFUSED;
}

static void still_away(struct vault_link *link, const char *error)
{
        mem_free(link->error);
        link->error = mem_strdup(error);
        loop_timer_in(link->probe_timer, link->hurry ? PROBE_FAST_USEC : link->probe_wait_usec);
        link->probe_wait_usec = usec_min(2 * link->probe_wait_usec, PROBE_SLOWEST_USEC);
}

static void on_probe(const struct http_client_reply *http, void *arg)
{
        struct vault_link *link = arg;
        struct vault_reply reply;
        const char *error;

        link->probe = NULL;
        count(link, VAULT_HEALTH, http->status, http->took_usec);
        vault_reply_read(VAULT_HEALTH, http, &reply);
        error = reply.error && *reply.error ? reply.error : vault_outcome_text(reply.outcome);
        if (is_there(reply.outcome))
                open_gate(link);
        else if (link->open)
                shut(link, error);
        else
                still_away(link, error);
        vault_reply_done(&reply);
        pump(link);
}

static void on_probe_due(void *arg)
{
        struct vault_link *link = arg;
        const char *const headers[] = {"X-Vault-Request: true", NULL};
        struct vault_request health;
        struct http_client_request request;

        if (link->probe)
                return;
        vault_request_simple(&health, VAULT_HEALTH);
        request = (struct http_client_request){
                .method = health.method, .path = health.path, .headers = headers, .timeout_usec = PROBE_TIMEOUT_USEC};
        link->probe = http_client_send(link->http, &request, on_probe, link);
        vault_request_done(&health);
}

/* One call without an answer may be the fault of its path alone: then nobody else is to wait, and its own back-off is to count. */
static void doubt(struct vault_link *link)
{
        if (link->open)
                on_probe_due(link);
}

static bool is_far(int64_t skew_usec)
{
        return skew_usec > VAULT_LINK_SKEW_TELL_USEC || skew_usec < -VAULT_LINK_SKEW_TELL_USEC;
}

static void learn_skew(struct vault_link *link, uint64_t date_usec)
{
        int64_t skew, before = link->skew_usec;

        if (date_usec == 0)
                return;
        skew = (int64_t)(date_usec + USEC_PER_SEC / 2) - (int64_t)clock_realtime_usec();
        link->skew_usec = (uint64_t)(skew < 0 ? -skew : skew) < SKEW_NOISE_USEC ? 0 : skew;
        metric_set(link->skew, (double)link->skew_usec / 1e6);
        if (is_far(link->skew_usec) && !is_far(before))
                log_warn("Vault's clock is %.0f s %s ours: leases are counted by ours, certificates may seem to begin "
                         "or end at the wrong time; set the clocks",
                         (double)(skew < 0 ? -skew : skew) / 1e6, skew < 0 ? "behind" : "ahead of");
}

static void on_reply(const struct http_client_reply *http, void *arg)
{
        struct link_call *c = arg;
        struct vault_link *link = c->link;
        struct vault_reply reply;

        vault_reply_read(c->request.op, http, &reply);
        reply.asked_usec = c->sent_usec;
        count(link, c->request.op, http->status, http->took_usec);
        learn_skew(link, http->date_usec);
        if (reply.outcome == VAULT_UNREACHABLE || reply.outcome == VAULT_SEALED)
                doubt(link);
        answer(c, &reply);
        vault_reply_done(&reply);
        pump(link);
}

static void add_metrics(struct vault_link *link, struct metrics *metrics)
{
        static const char *const failures[] = {"none", "400", "403", "404", "429", "500", "503"};
        static const double buckets[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 0};

        link->requests = metrics_add(metrics, METRIC_COUNTER, "leasekeeper_vault_requests_total",
                                     "Requests to Vault by operation and HTTP status (none: no answer).",
                                     "operation,code", NULL);
        for (int op = 0; op < VAULT_OPS; op++)
                for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
                        metric_inc(link->requests, 0, vault_op_text((enum vault_op)op), failures[i]);
        link->durations = metrics_add(metrics, METRIC_HISTOGRAM, "leasekeeper_vault_request_duration_seconds",
                                      "Time from sending a request to Vault to its whole answer.", "", buckets);
        link->skew = metrics_add(metrics, METRIC_GAUGE, "leasekeeper_vault_clock_skew_seconds",
                                 "Vault's clock minus ours, by the Date of its answers; 0 below 2 s.", "", NULL);
}

/**
 * vault_link_new() - the way to one Vault
 * @loop: borrowed
 * @config: copied
 * @metrics: borrowed
 * @ret_error: new, for people, where NULL is returned
 */
struct vault_link *vault_link_new(struct loop *loop, const struct config_vault *config, struct metrics *metrics,
                                  char **ret_error)
{
        const struct http_client_config http = {
                .address = config->address,
                .ca_cert = config->ca_cert,
                .ca_path = config->ca_path,
                .client_cert = config->client_cert,
                .client_key = config->client_key,
                .server_name = config->tls_server_name,
                .proxy = config->proxy,
                .skip_verify = config->skip_verify,
                .timeout_usec = config->timeout_usec,
                .conns_max = IN_FLIGHT_MAX + LATE_MAX + 1,
        };
        struct http_client *client = http_client_new(loop, &http, ret_error);
        struct vault_link *link;

        if (!client)
                return NULL;
        link = mem_new(sizeof(*link));
        link->loop = loop;
        link->http = client;
        link->address = mem_strdup(config->address);
        if (config->namespace_)
                link->namespace_header = mem_printf("X-Vault-Namespace: %s", config->namespace_);
        link->rate = config->rate_limit;
        link->burst = config->rate_burst < 1 ? 1 : config->rate_burst;
        link->tokens = link->burst;
        link->look_up_tokens = link->burst / 4 + 1;
        link->refilled_usec = clock_boottime_usec();
        link->pump_timer = loop_timer_new(loop, on_pump, link);
        link->probe_timer = loop_timer_new(loop, on_probe_due, link);
        link->open = true;
        add_metrics(link, metrics);
        return link;
}

struct vault_link *vault_link_free(struct vault_link *link)
{
        if (!link)
                return NULL;
        for (enum link_class k = 0; k < LINK_CLASSES; k++)
                while (link->queue[k].head)
                        call_free(link->queue[k].head);
        while (link->flying.head)
                vault_link_cancel(link->flying.head);
        if (link->probe)
                http_call_cancel(link->probe);
        loop_timer_free(link->pump_timer);
        loop_timer_free(link->probe_timer);
        http_client_free(link->http);
        mem_free(link->address);
        mem_free(link->namespace_header);
        mem_free(link->error);
        return mem_free(link);
}

static void on_pump_soon(void *arg)
{
        struct vault_link *link = arg;

        if (link->open)
                pump(link);
        else
                answer_queue(link);
}

struct link_call *vault_link_send(struct vault_link *link, enum link_class class, struct vault_request *request,
                                  struct token *token, uint64_t timeout_usec, link_fn fn, void *arg)
{
        struct link_call *c = mem_new(sizeof(*c));

        *c = (struct link_call){
                .link = link,
                .class = class,
                .request = *request,
                .token = token_ref(token),
                .timeout_usec = timeout_usec,
                .fn = fn,
                .arg = arg,
        };
        *request = (struct vault_request){0};
        list_add(&link->queue[class], c);
        loop_defer(link->loop, on_pump_soon, link);
        return c;
}

void vault_link_cancel(struct link_call *call)
{
        if (!call)
                return;
        if (call->http)
                http_call_cancel(call->http);
        call_free(call);
}

bool vault_link_is_open(const struct vault_link *link)
{
        return link->open;
}

void vault_link_on_gate(struct vault_link *link, void (*fn)(bool open, void *arg), void *arg)
{
        link->on_gate = fn;
        link->on_gate_arg = arg;
}

void vault_link_hurry(struct vault_link *link, bool hurry)
{
        if (hurry && !link->hurry && !link->open)
                loop_timer_at(link->probe_timer, usec_min(loop_timer_due(link->probe_timer),
                                                          usec_add(clock_boottime_usec(), PROBE_FAST_USEC)));
        link->hurry = hurry;
}

const char *vault_link_error(const struct vault_link *link)
{
        return link->error ? link->error : "";
}

int64_t vault_link_skew_usec(const struct vault_link *link)
{
        return link->skew_usec;
}

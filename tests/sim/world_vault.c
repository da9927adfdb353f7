/* tests/sim/world_vault.c: Vault in the simulated world: stands in for common/http_client.c and answers as Vault would. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/http_client.h"
#include "common/json.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"
#include "tests/sim/world.h"

#define LATENCY_USEC (5 * USEC_PER_MSEC)
#define TIMEOUT_USEC (60 * USEC_PER_SEC)

struct answer {
        int status; /* -1: none came */
        json_t *body;
        double retry_after_s;
};

struct http_call {
        struct http_client *client;
        struct http_call *next;
        struct loop_timer *timer;
        char *path;
        json_t *body;
        unsigned token; /* shown with it, counted from 1; 0: none, or an unknown one */
        struct answer answer;
        uint64_t deadline_usec;
        http_reply_fn fn;
        void *arg;
};

struct http_client {
        struct loop *loop;
        struct http_call *calls;
};

struct world_path *world_at(const char *path)
{
        for (unsigned i = 0; i < world.paths; i++)
                if (strcmp(world.path[i].path, path) == 0)
                        return &world.path[i];
        assert_in_range(world.paths, 0, array_len(world.path) - 1);
        snprintf(world.path[world.paths].path, sizeof(world.path[0].path), "%s", path);
        return &world.path[world.paths++];
}

unsigned world_asked(const char *path)
{
        return world_at(path)->asked;
}

unsigned world_all_requests(void)
{
        unsigned n = 0;

        for (unsigned i = 0; i < world.paths; i++)
                n += world.path[i].asked;
        return n;
}

static bool token_lives(unsigned number)
{
        const struct world_token *t = &world.token[number - 1];

        return number > 0 && !t->revoked && world.now_s < t->end_s;
}

bool world_lease_lives(const struct world_lease *l)
{
        return l->revoked_s < 0 && world.now_s < l->end_s && token_lives(l->token);
}

unsigned world_live(void)
{
        unsigned n = 0;

        for (unsigned i = 0; i < world.leases; i++)
                n += world_lease_lives(&world.lease[i]);
        return n;
}

void world_revoke_tokens(void)
{
        for (unsigned i = 0; i < world.tokens; i++)
                world.token[i].revoked = true;
}

/* --- the answers --- */

static struct answer refuse(int status, const char *error)
{
        return (struct answer){.status = status, .body = json_pack("{s:[s]}", "errors", error)};
}

static struct answer log_in(const json_t *body)
{
        const char *secret_id = json_str(body, "secret_id");
        struct world_token *t = &world.token[world.tokens];
        char name[16];

        if (!secret_id || strcmp(secret_id, world.secret_id) != 0) {
                world.refused_logins++;
                return refuse(400, "invalid role or secret ID");
        }
        assert_in_range(world.tokens, 0, array_len(world.token) - 1);
        world.logins++;
        *t = (struct world_token){.end_s = world.now_s + world.token_s, .max_end_s = world.now_s + world.token_max_s};
        snprintf(name, sizeof(name), "t%u", ++world.tokens);
        return (struct answer){.status = 200,
                               .body = json_pack("{s:{s:s, s:s, s:I, s:b, s:s, s:i}}", "auth", "client_token", name,
                                                 "accessor", name, "lease_duration", (json_int_t)world.token_s,
                                                 "renewable", 1, "token_type", "service", "num_uses",
                                                 (int)world.token_uses)};
}

static struct answer token_call(const char *path, unsigned number)
{
        struct world_token *t = &world.token[number - 1];

        if (strcmp(path, "auth/token/revoke-self") == 0) {
                t->revoked = true;
                return (struct answer){.status = 204};
        }
        if (strcmp(path, "auth/token/renew-self") == 0) {
                t->end_s = world.now_s + world.token_s;
                if (t->end_s > t->max_end_s)
                        t->end_s = t->max_end_s;
                return (struct answer){.status = 200,
                                       .body = json_pack("{s:{s:I, s:b, s:s}}", "auth", "lease_duration",
                                                         (json_int_t)(t->end_s - world.now_s + 1e-6), "renewable", 1,
                                                         "accessor", "")};
        }
        if (world.hide_lookup)
                return refuse(403, "1 error occurred:\n\t* permission denied\n\n");
        return (struct answer){.status = 200,
                               .body = json_pack("{s:{s:I, s:b, s:s, s:I}}", "data", "ttl",
                                                 (json_int_t)(t->end_s - world.now_s + 1e-6), "renewable", 1, "type",
                                                 "service", "num_uses", (json_int_t)0)};
}

static struct answer mint(const char *path, unsigned token)
{
        struct world_lease *l = &world.lease[world.leases];
        char id[32], user[16];

        assert_in_range(world.leases, 0, array_len(world.lease) - 1);
        *l = (struct world_lease){.token = token, .end_s = world.now_s + world.lease_s, .revoked_s = -1};
        snprintf(l->path, sizeof(l->path), "%s", path);
        snprintf(id, sizeof(id), "lease/%u", ++world.leases);
        snprintf(user, sizeof(user), "u%u", world.leases);
        return (struct answer){.status = 200,
                               .body = json_pack("{s:s, s:I, s:b, s:{s:s, s:s}}", "lease_id", id, "lease_duration",
                                                 (json_int_t)world.lease_s, "renewable", 1, "data", "username", user,
                                                 "password", "p")};
}

static struct answer lease_call(const char *path, const json_t *body)
{
        const char *id = json_str(body, "lease_id");
        unsigned number = id ? (unsigned)atoi(id + strlen("lease/")) : 0;
        struct world_lease *l = number > 0 && number <= world.leases ? &world.lease[number - 1] : NULL;

        if (strcmp(path, "sys/leases/revoke") == 0) {
                if (l && l->revoked_s < 0)
                        l->revoked_s = world.now_s;
                return (struct answer){.status = 204};
        }
        if (!l || !world_lease_lives(l))
                return refuse(400, strcmp(path, "sys/leases/lookup") == 0 ? "invalid lease" : "lease not found");
        if (strcmp(path, "sys/leases/renew") == 0) {
                l->end_s = world.now_s + world.lease_s;
                return (struct answer){.status = 200,
                                       .body = json_pack("{s:s, s:I, s:b}", "lease_id", id, "lease_duration",
                                                         (json_int_t)world.lease_s, "renewable", 1)};
        }
        return (struct answer){.status = 200,
                               .body = json_pack("{s:{s:I, s:b}}", "data", "ttl", (json_int_t)(l->end_s - world.now_s),
                                                 "renewable", 1)};
}

static struct answer usual(struct http_call *c)
{
        const char *path = c->path;

        if (strcmp(path, "auth/approle/login") == 0)
                return log_in(c->body);
        if (!token_lives(c->token))
                return refuse(403, "permission denied");
        if (strncmp(path, "auth/token/", strlen("auth/token/")) == 0)
                return token_call(path, c->token);
        if (strncmp(path, "sys/leases/", strlen("sys/leases/")) == 0)
                return lease_call(path, c->body);
        if (strncmp(path, "database/", strlen("database/")) == 0)
                return mint(path, c->token);
        if (strncmp(path, "kv/", strlen("kv/")) == 0)
                return (struct answer){.status = 200,
                                       .body = json_pack("{s:s, s:I, s:{s:i}}", "lease_id", "", "lease_duration",
                                                         (json_int_t)2764800, "data", "content", (int)world.content)};
        return refuse(404, "no handler for route");
}

static struct answer answer_of(struct http_call *c)
{
        struct world_path *p = world_at(c->path);

        p->asked++;
        p->last_s = world.now_s;
        if (world.away || p->status < 0)
                return (struct answer){.status = -1};
        if (strcmp(c->path, "sys/health") == 0) {
                world.probes++;
                return (struct answer){.status = world.sealed ? 503 : 200,
                                       .body = json_pack("{s:b}", "sealed", world.sealed)};
        }
        if (world.sealed)
                return refuse(503, "Vault is sealed");
        if (p->status > 0) {
                struct answer a = refuse(p->status, p->error ? p->error : "so it was scripted");

                a.retry_after_s = p->retry_after_s;
                return a;
        }
        return usual(c);
}

/* --- the client --- */

static void call_free(struct http_call *c)
{
        struct http_call **p = &c->client->calls;

        while (*p != c)
                p = &(*p)->next;
        *p = c->next;
        loop_timer_free(c->timer);
        json_decref(c->body);
        json_decref(c->answer.body);
        mem_free(c->path);
        mem_free(c);
}

static void on_answer(void *arg)
{
        struct http_call *c = arg;
        struct answer a = c->answer;
        struct secret *body = secret_new(1 << 16);
        struct http_client_reply reply = {.error = a.status < 0 ? -ECONNREFUSED : 0,
                                          .error_text = a.status < 0 ? "connection refused" : "",
                                          .status = a.status < 0 ? 0 : a.status,
                                          .body = body,
                                          .content_type = "application/json",
                                          .location = "",
                                          .retry_after_usec = (uint64_t)(a.retry_after_s * 1e6),
                                          .took_usec = LATENCY_USEC};
        http_reply_fn fn = c->fn;
        void *fn_arg = c->arg;

        if (a.body)
                assert_int_equal(json_write_secret(a.body, body), 0);
        call_free(c);
        fn(&reply, fn_arg);
        secret_free(body);
}

static void on_deadline(void *arg)
{
        struct http_call *c = arg;

        json_decref(c->answer.body);
        c->answer = (struct answer){.status = -1};
        on_answer(c);
}

static void wait_for(struct http_call *c, uint64_t at_usec, loop_fn fn)
{
        loop_timer_free(c->timer);
        c->timer = loop_timer_new(c->client->loop, at_usec < c->deadline_usec ? fn : on_deadline, c);
        loop_timer_at(c->timer, at_usec < c->deadline_usec ? at_usec : c->deadline_usec);
}

/* It is carried out now, whenever its answer comes. */
static void on_arrival(void *arg)
{
        struct http_call *c = arg;
        double back_s = world_at(c->path)->back_s;

        c->answer = answer_of(c);
        if (back_s > 0)
                wait_for(c, clock_boottime_usec() + (uint64_t)(back_s * 1e6), on_answer);
        else
                on_answer(c);
}

struct http_client *http_client_new(struct loop *loop, const struct http_client_config *config, char **ret_error)
{
        struct http_client *c = mem_new(sizeof(*c));

        (void)config;
        (void)ret_error;
        c->loop = loop;
        return c;
}

struct http_client *http_client_free(struct http_client *c)
{
        while (c && c->calls)
                call_free(c->calls);
        return mem_free(c);
}

struct http_call *http_client_send(struct http_client *client, const struct http_client_request *request,
                                   http_reply_fn on_reply, void *arg)
{
        struct http_call *c = mem_new(sizeof(*c));
        char error[80];

        *c = (struct http_call){.client = client,
                                .next = client->calls,
                                .path = mem_strdup(request->path + strlen("/v1/")),
                                .fn = on_reply,
                                .arg = arg};
        if (request->body)
                c->body = json_read(secret_bytes(request->body), secret_len(request->body), error, sizeof(error));
        if (request->secret_value && secret_len(request->secret_value) > 1)
                c->token = (unsigned)atoi(secret_bytes(request->secret_value) + 1);
        client->calls = c;
        c->deadline_usec = clock_boottime_usec() + (request->timeout_usec ? request->timeout_usec : TIMEOUT_USEC);
        wait_for(c, clock_boottime_usec() + LATENCY_USEC + (uint64_t)(world_at(c->path)->there_s * 1e6), on_arrival);
        return c;
}

void http_call_cancel(struct http_call *call)
{
        if (call)
                call_free(call);
}

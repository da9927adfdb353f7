/* app/main.c: notesd: puts its parts together, listens, and ends in good order. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "app/config.h"
#include "app/csrf.h"
#include "app/exchange.h"
#include "app/http_front.h"
#include "app/latency.h"
#include "app/listeners.h"
#include "app/notes.h"
#include "app/rotation.h"
#include "app/tls.h"
#include "common/harden.h"
#include "common/http_server.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/parse.h"
#include "common/sdnotify.h"

#define DRAIN_USEC    (10 * USEC_PER_SEC)
#define DEADLINE_USEC (27 * USEC_PER_SEC) /* of a request's notes calls: the answer must still fit into its 30 s */
#define QUEUE_MAX     2048
/* Database sessions, the agent, listeners, logs; and connections that are not counted any more: on their way out, or dying. */
#define FDS_BESIDE 384

struct app {
        struct app_config config;
        struct loop *loop;
        struct metrics *metrics;
        struct http_stats *stats;
        struct tls *tls;
        struct csrf *csrf;
        struct rotation *rotation;
        struct notes *notes;
        struct front *front;
        struct listeners *listeners;
        struct loop_signal *on_hup, *on_term, *on_int;
        struct loop_timer *watchdog, *drain;
        bool stopping;
};

static void tell_status(void *arg)
{
        struct app *a = arg;
        struct rotation_status s;

        if (a->stopping)
                return;
        listeners_look(a->listeners);
        rotation_status(a->rotation, &s);
        for (size_t i = 0; i < s.secrets_len; i++) {
                if (s.secrets[i].problem[0]) {
                        sdnotify_status("%s: %s", s.secrets[i].name, s.secrets[i].problem);
                        return;
                }
        }
        sdnotify_status("%s", s.agent_connected ? "serving" : "serving; the agent is not connected");
}

static void on_reread(void *arg)
{
        struct app *a = arg;

        if (a->stopping)
                return;
        sdnotify_ready("serving");
        tell_status(a);
        log_info("reload: done");
}

static void on_hup(void *arg)
{
        struct app *a = arg;

        if (a->stopping)
                return;
        log_info("reload: reading all credentials again");
        sdnotify_reloading();
        rotation_reread(a->rotation, on_reread, a);
}

static void on_drained(void *arg)
{
        struct app *a = arg;

        log_info("stopped");
        loop_stop(a->loop);
}

static void on_drain_late(void *arg)
{
        struct app *a = arg;

        log_warn("stopped with %u connections open: 10 s are over", http_server_conns(front_server(a->front)));
        loop_stop(a->loop);
}

static void on_term(void *arg)
{
        struct app *a = arg;

        if (a->stopping) {
                log_warn("stopped at once: asked twice");
                loop_stop(a->loop);
                return;
        }
        a->stopping = true;
        log_info("stopping: finishing what is under way");
        sdnotify_stopping();
        loop_timer_in(a->drain, DRAIN_USEC);
        a->listeners = listeners_free(a->listeners);
        http_server_drain(front_server(a->front), on_drained, a);
}

static void on_watchdog(void *arg)
{
        struct app *a = arg;

        sdnotify_watchdog();
        loop_timer_in(a->watchdog, sdnotify_watchdog_usec() / 2);
}

/*
 * Each connection is a descriptor: as many as were asked for, where the machine lets us. Where it does not, fewer: clients must
 * never take those that the database and the agent need.
 */
static void raise_descriptors(struct app_config *config)
{
        rlim_t wanted = (rlim_t)config->conns_max + FDS_BESIDE;
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        if (limit.rlim_cur < wanted) {
                limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
        if (limit.rlim_cur >= wanted)
                return;
        config->conns_max =
                (unsigned)(limit.rlim_cur > 2 * FDS_BESIDE ? limit.rlim_cur - FDS_BESIDE : limit.rlim_cur / 2);
        log_warn("--max-connections: %u is taken: only %llu descriptors are allowed (LimitNOFILE=, ulimit -n)",
                 config->conns_max, (unsigned long long)limit.rlim_cur);
}

static void build_info(struct metrics *m)
{
        struct metric *f = metrics_add(m, METRIC_GAUGE, "notesd_build_info", "The build that runs.", "version", NULL);

        metric_set(f, 1, LEASEKEEPER_VERSION);
        metrics_add_process(m);
}

static void set_up(struct app *a)
{
        const struct notes_config notes_config = {
                .wait_usec = a->config.db_wait_usec,
                .deadline_usec = DEADLINE_USEC,
                .queue_max = QUEUE_MAX,
        };
        struct services services;

        a->loop = loop_new();
        a->metrics = metrics_new();
        build_info(a->metrics);
        a->stats = http_stats_new(a->metrics);
        latency_setup(&a->config.db_latency, a->metrics);
        if (a->config.db_latency_text)
                log_warn("--db-latency %s: each query waits for that on purpose; this is for learning, not for "
                         "production",
                         a->config.db_latency_text);
        a->tls = tls_new();
        if (a->config.client_ca_secret)
                tls_require_clients(a->tls);
        a->csrf = csrf_new();
        a->rotation = rotation_new(a->loop, &a->config, a->tls, a->metrics);
        a->notes = notes_new(a->loop, rotation_db(a->rotation), a->metrics, &notes_config);
        services = (struct services){
                .loop = a->loop,
                .notes = a->notes,
                .rotation = a->rotation,
                .metrics = a->metrics,
                .csrf = a->csrf,
                .stats = a->stats,
                .tls = a->tls,
                .access_log = a->config.access_log,
                .db_latency = a->config.db_latency_text,
        };
        a->front = front_new(&services, a->config.conns_max);
        http_server_set_tls_bye(front_server(a->front), tls_bye, NULL);
        http_server_set_tls_send(front_server(a->front), tls_send);
        a->listeners = listeners_new(a->loop, front_server(a->front), a->tls);
        a->on_hup = loop_signal_new(a->loop, SIGHUP, on_hup, a);
        a->on_term = loop_signal_new(a->loop, SIGTERM, on_term, a);
        a->on_int = loop_signal_new(a->loop, SIGINT, on_term, a);
        a->watchdog = loop_timer_new(a->loop, on_watchdog, a);
        a->drain = loop_timer_new(a->loop, on_drain_late, a);
}

static void tear_down(struct app *a)
{
        loop_timer_free(a->drain);
        loop_timer_free(a->watchdog);
        loop_signal_free(a->on_int);
        loop_signal_free(a->on_term);
        loop_signal_free(a->on_hup);
        listeners_free(a->listeners);
        front_free(a->front);
        notes_free(a->notes);
        rotation_free(a->rotation);
        csrf_free(a->csrf);
        tls_free(a->tls);
        http_stats_free(a->stats);
        metrics_free(a->metrics);
        loop_free(a->loop);
        app_config_done(&a->config);
}

static int run(struct app *a)
{
        int r;

        raise_descriptors(&a->config);
        set_up(a);
        r = listeners_open(a->listeners, &a->config);
        if (r == 0) {
                sdnotify_ready("waiting for credentials");
                rotation_on_change(a->rotation, tell_status, a);
                if (sdnotify_watchdog_usec() > 0)
                        on_watchdog(a);
                r = loop_run(a->loop);
                if (r < 0)
                        log_error("the event loop failed: %s", strerror(-r));
        }
        tear_down(a);
        return r < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
        struct app a = {0};
        cleanup_free char *error = NULL;
        int r;

        harden_process();
        tls_setup();
        json_setup();
        log_setup("notesd", LOG_LEVEL_INFO, false);
        r = app_config_read(argc, argv, &a.config, &error);
        if (r == APP_CONFIG_HELP) {
                fputs(app_config_usage, stdout);
                return 0;
        }
        if (r == APP_CONFIG_VERSION) {
                puts("notesd " LEASEKEEPER_VERSION);
                return 0;
        }
        if (r < 0) {
                fprintf(stderr, "notesd: %s\n", error);
                return 2;
        }
        log_setup("notesd", a.config.log_level, a.config.log_json);
        return run(&a);
}

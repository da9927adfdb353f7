/* agent/agent.c: the whole agent: puts the parts together, listens to signals, tells the service manager. */
#include "agent/agent.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "agent/agent_internal.h"
#include "agent/auth.h"
#include "agent/config.h"
#include "agent/output.h"
#include "agent/renewer.h"
#include "agent/state.h"
#include "agent/store.h"
#include "agent/swap.h"
#include "agent/vault_link.h"
#include "common/clock.h"
#include "common/clock_step.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/parse.h"
#include "common/sdnotify.h"

#define EXTEND_EVERY_USEC   (10 * USEC_PER_SEC)
#define EXTEND_BY_USEC      (30 * USEC_PER_SEC)
#define CONSUMERS_WAIT_USEC (5 * USEC_PER_SEC)
#define REVOKE_WAIT_USEC    (3 * USEC_PER_SEC)
#define LOOK_USEC           (20 * USEC_PER_MSEC) /* what changes in between is looked at once */

static const struct output_kind *const outputs[AGENT_OUTPUTS] = {&output_file, &output_socket};

/* --- readiness --- */

static bool outputs_are_current(struct agent *a)
{
        for (size_t i = 0; i < AGENT_OUTPUTS; i++)
                if (a->outputs[i] && outputs[i]->is_current && !outputs[i]->is_current(a->outputs[i]))
                        return false;
        return true;
}

/**
 * agent_output_troubles() - what keeps the secrets from being handed out
 * @a:       the agent
 * @reasons: gets a line for each
 */
void agent_output_troubles(const struct agent *a, json_t *reasons)
{
        for (size_t i = 0; i < AGENT_OUTPUTS; i++)
                if (a->outputs[i] && outputs[i]->troubles)
                        outputs[i]->troubles(a->outputs[i], reasons);
}

static void tell_output_trouble(const struct agent *a)
{
        cleanup_json json_t *reasons = json_array();

        agent_output_troubles(a, reasons);
        if (json_array_size(reasons) > 0)
                sdnotify_status("waiting for %s", json_string_value(json_array_get(reasons, 0)));
}

static void on_look(void *arg)
{
        struct agent *a = arg;
        cleanup_free char *missing = NULL;

        a->looking = false;
        if (a->ready)
                return;
        if (!renewer_required_ready(a->renewer, &missing)) {
                sdnotify_status("waiting for %s", missing);
                return;
        }
        if (!outputs_are_current(a)) {
                tell_output_trouble(a);
                loop_timer_in(a->look_timer, LOOK_USEC * 5);
                a->looking = true;
                return;
        }
        a->ready = true;
        loop_timer_cancel(a->extend_timer);
        log_info("ready: all required secrets are published");
        sdnotify_ready("all required secrets are published");
        mem_give_back();
        if (a->options.exit_after_auth) {
                a->exit_code = 0;
                loop_stop(a->loop);
        }
}

static void look_soon(struct agent *a)
{
        if (a->looking || a->ready)
                return;
        a->looking = true;
        loop_timer_in(a->look_timer, LOOK_USEC);
}

static void on_store(struct store_secret *s, enum store_change change, void *arg)
{
        (void)s;
        (void)change;
        look_soon(arg);
}

static void on_extend(void *arg)
{
        struct agent *a = arg;
        cleanup_free char *missing = NULL;

        sdnotify_extend_timeout(EXTEND_BY_USEC);
        if (!renewer_required_ready(a->renewer, &missing))
                sdnotify_status("waiting for %s%s%s", missing, *vault_link_error(a->link) ? "; Vault: " : "",
                                vault_link_error(a->link));
        loop_timer_in(a->extend_timer, EXTEND_EVERY_USEC);
}

static void on_watchdog(void *arg)
{
        struct agent *a = arg;

        sdnotify_watchdog();
        loop_timer_in(a->watchdog_timer, sdnotify_watchdog_usec() / 2);
}

/* --- events of the parts --- */

static void on_gate(bool open, void *arg)
{
        struct agent *a = arg;

        if (open)
                auth_vault_back(a->auth);
        renewer_on_gate(a->renewer);
}

static void on_token(struct token *t, void *arg)
{
        struct agent *a = arg;

        renewer_on_token(a->renewer, t);
}

static void on_token_dead(struct token *t, void *arg)
{
        struct agent *a = arg;

        renewer_on_token_dead(a->renewer, t);
}

static void on_refused(const char *error, void *arg)
{
        struct agent *a = arg;

        if (!a->options.exit_after_auth)
                return;
        log_error("login refused: %s", error);
        a->exit_code = 1;
        loop_stop(a->loop);
}

/* --- configuration, read again --- */

static void log_findings(const struct config_findings *f)
{
        for (size_t i = 0; i < f->len; i++)
                log_msg(f->items[i].is_warning ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "%s", f->items[i].text);
}

static bool needs_restart(const struct agent *a, const struct config *next)
{
        cleanup_free char *before = config_vault_identity(a->config), *after = config_vault_identity(next);

        return strcmp(before, after) != 0 || strcmp(a->config->state_dir, next->state_dir) != 0;
}

static json_t *findings_json(const struct config_findings *f)
{
        json_t *errors = json_array();

        for (size_t i = 0; i < f->len; i++)
                if (!f->items[i].is_warning)
                        json_array_append_new(errors, json_string(f->items[i].text));
        return json_pack("{s:o}", "errors", errors);
}

static void set_reload_error(struct agent *a, const json_t *body)
{
        const json_t *first = body ? json_array_get(json_object_get(body, "errors"), 0) : NULL;

        mem_free(a->reload_error);
        a->reload_error = first ? mem_strdup(json_string_value(first)) : NULL;
}

static void warn_if_changed(json_t *warnings, const char *at_start, char *now, const char *what)
{
        cleanup_free char *mine = now, *text = NULL;

        if (strcmp(at_start, mine) == 0)
                return;
        text = mem_printf("%s: that needs a restart; the old ones stay until then", what);
        log_warn("%s", text);
        json_array_append_new(warnings, json_string(text));
}

/* Compared with the start, not with the last reload: a second one finds the restart as necessary as the first did. */
static json_t *what_waits_for_a_restart(const struct agent *a, const struct config *next)
{
        json_t *warnings = json_array();

        warn_if_changed(warnings, a->way_at_start, config_way_identity(next),
                        "the vault block has changed in TLS, proxy, timeout or rate_limit");
        warn_if_changed(warnings, a->listeners_at_start, config_listeners_identity(next), "the listeners have changed");
        return json_pack("{s:o}", "warnings", warnings);
}

/* Rule 14: refused as a whole, or the difference is applied. Return: HTTP status; ret_body: new, {"errors":[...]}, or
 * {"warnings":[...]} with what is not in force yet. */
int agent_reload(struct agent *a, json_t **ret_body)
{
        struct config_findings findings = {0};
        struct config *old = a->config, *next;

        if (a->ending) {
                *ret_body = json_pack("{s:[s]}", "errors", "the agent is about to end");
                return 503;
        }
        next = config_load(a->options.config_paths, a->options.config_paths_len, CONFIG_FULL, &findings);
        log_findings(&findings);
        *ret_body = findings_json(&findings);
        config_findings_done(&findings);
        if (next && needs_restart(a, next)) {
                json_array_append_new(
                        json_object_get(*ret_body, "errors"),
                        json_string(
                                "another Vault address, namespace, login method, mount or state_dir needs a restart"));
                log_error("another Vault address, namespace, login method, mount or state_dir needs a restart; nothing "
                          "was changed");
                next = config_free(next);
        }
        if (!next) {
                set_reload_error(a, *ret_body);
                log_error("the configuration was not taken over: nothing has changed");
                return 400;
        }
        set_reload_error(a, NULL);
        json_decref(*ret_body);
        *ret_body = what_waits_for_a_restart(a, next);
        a->config = next;
        auth_set_config(a->auth, &next->auth);
        renewer_reconfigure(a->renewer, next);
        for (size_t i = 0; i < AGENT_OUTPUTS; i++)
                outputs[i]->reconfigure(a->outputs[i], next);
        config_free(old);
        log_info("the configuration was read again");
        return 200;
}

static void rotate_all(struct agent *a)
{
        cleanup_json json_t *body = NULL;
        uint64_t wait;

        renewer_rotate(a->renewer, NULL, LIFE_WHY_SIGNAL, &body, &wait);
}

static void on_hup(void *arg)
{
        struct agent *a = arg;
        cleanup_json json_t *body = NULL;

        if (a->ending)
                return;
        sdnotify_reloading();
        if (agent_reload(a, &body) == 200 && a->config->rotate_on_hup)
                rotate_all(a);
        if (a->ready)
                sdnotify_ready(a->reload_error ? a->reload_error : "the configuration was read again");
}

static void on_usr1(void *arg)
{
        struct agent *a = arg;

        if (a->ending)
                return;
        log_info("SIGUSR1: replacing every secret");
        rotate_all(a);
}

/* --- the end --- */

static void end(struct agent *a)
{
        a->exit_code = a->options.exit_after_auth && !a->ready; /* whoever waits for the secrets must not go on */
        loop_stop(a->loop);
}

static void on_all_revoked(void *arg)
{
        struct agent *a = arg;

        if (state_remove_all(a->state) < 0)
                log_warn("%s: not all of the state could be removed", a->config->state_dir);
        end(a);
}

static void on_revoke_late(void *arg)
{
        log_warn("Vault did not answer in time: what could not be revoked lives to its own end");
        on_all_revoked(arg);
}

/* The consumers had their time: outputs are unlinked, then the tokens go and their leases with them (rule 16). */
static void on_goodbye(void *arg)
{
        struct agent *a = arg;

        renewer_leave(a->renewer);
        loop_timer_free(a->end_timer);
        a->end_timer = loop_timer_new(a->loop, on_revoke_late, a);
        loop_timer_in(a->end_timer, REVOKE_WAIT_USEC);
        auth_revoke_all(a->auth, on_all_revoked, a);
}

static void on_term(void *arg)
{
        struct agent *a = arg;

        if (a->ending)
                return;
        a->ending = true;
        log_info("told to end%s", a->config->revoke_on_stop ? ": revoking every lease" : "");
        sdnotify_stopping();
        if (!a->config->revoke_on_stop) {
                end(a);
                return;
        }
        renewer_stop(a->renewer, STORE_STOPPING);
        a->end_timer = loop_timer_new(a->loop, on_goodbye, a);
        loop_timer_in(a->end_timer, store_consumers(a->store) > 0 ? CONSUMERS_WAIT_USEC : 0);
}

static void on_clock_step(void *arg)
{
        struct agent *a = arg;

        renewer_on_clock_step(a->renewer);
}

/* --- start and end --- */

static int open_parts(struct agent *a)
{
        cleanup_free char *identity = config_vault_identity(a->config), *warning = NULL;
        const struct auth_events events = {
                .on_token = on_token, .on_token_dead = on_token_dead, .on_refused = on_refused};
        char *error = NULL;
        int r = state_open(a->config->state_dir, identity, &a->state);

        if (r < 0) {
                log_error("%s: %s", a->config->state_dir,
                          r == -EWOULDBLOCK ? "another leasekeeperd runs on this state; give this one its own state_dir"
                                            : strerror(-r));
                return r;
        }
        warning = swap_warning(a->config->state_dir);
        if (warning)
                log_warn("%s", warning);
        a->link = vault_link_new(a->loop, &a->config->vault, a->metrics, &error);
        if (!a->link) {
                log_error("%s", error);
                mem_free(error);
                return -EINVAL;
        }
        vault_link_on_gate(a->link, on_gate, a);
        a->auth = auth_new(a->loop, a->link, a->state, &a->config->auth, a->metrics, &events, a);
        a->store = store_new();
        agent_control_set(a);
        a->renewer = renewer_new(&(struct renewer_context){.loop = a->loop,
                                                           .link = a->link,
                                                           .auth = a->auth,
                                                           .store = a->store,
                                                           .state = a->state,
                                                           .metrics = a->metrics});
        auth_load(a->auth);
        renewer_load(a->renewer, a->config);
        return 0;
}

static int start_outputs(struct agent *a)
{
        const struct output_context ctx = {
                .loop = a->loop, .store = a->store, .metrics = a->metrics, .config = a->config};

        for (size_t i = 0; i < AGENT_OUTPUTS; i++) {
                int r = outputs[i]->start(&ctx, &a->outputs[i]);

                if (r < 0)
                        return r;
        }
        store_subscribe(a->store, on_store, a);
        return 0;
}

static void close_parts(struct agent *a)
{
        for (size_t i = AGENT_OUTPUTS; i-- > 0;)
                if (a->outputs[i])
                        outputs[i]->stop(a->outputs[i]);
        renewer_free(a->renewer);
        auth_free(a->auth);
        vault_link_free(a->link);
        store_free(a->store);
        state_free(a->state);
        metrics_free(a->metrics);
}

static void run(struct agent *a)
{
        struct loop_signal *hup = loop_signal_new(a->loop, SIGHUP, on_hup, a);
        struct loop_signal *usr1 = loop_signal_new(a->loop, SIGUSR1, on_usr1, a);
        struct loop_signal *term = loop_signal_new(a->loop, SIGTERM, on_term, a);
        struct loop_signal *intr = loop_signal_new(a->loop, SIGINT, on_term, a);
        struct clock_step *clock;

        clock = clock_step_new(a->loop, on_clock_step, a);
        a->look_timer = loop_timer_new(a->loop, on_look, a);
        a->extend_timer = loop_timer_new(a->loop, on_extend, a);
        a->watchdog_timer = loop_timer_new(a->loop, on_watchdog, a);
        if (open_parts(a) == 0 && start_outputs(a) == 0) {
                if (sdnotify_watchdog_usec() > 0)
                        on_watchdog(a);
                loop_timer_in(a->extend_timer, 0);
                mem_give_back();
                auth_start(a->auth);
                look_soon(a);
                loop_run(a->loop);
        }
        close_parts(a);
        clock_step_free(clock);
        loop_timer_free(a->end_timer);
        loop_timer_free(a->look_timer);
        loop_timer_free(a->extend_timer);
        loop_timer_free(a->watchdog_timer);
        loop_signal_free(hup);
        loop_signal_free(usr1);
        loop_signal_free(term);
        loop_signal_free(intr);
}

/**
 * agent_run() - runs until a signal ends it
 * @options: borrowed
 * @config: stolen
 *
 * Return: the process's exit code: 0 after SIGTERM; 1 where it could not start.
 */
int agent_run(const struct agent_options *options, struct config *config)
{
        struct agent a = {.options = *options, .config = config, .exit_code = 1, .start_usec = clock_boottime_usec()};

        a.way_at_start = config_way_identity(config);
        a.listeners_at_start = config_listeners_identity(config);
        a.loop = loop_new();
        a.metrics = metrics_new();
        metrics_add_process(a.metrics);
        metric_set(metrics_add(a.metrics, METRIC_GAUGE, "leasekeeper_build_info", "1, labelled with the version.",
                               "version", NULL),
                   1, LEASEKEEPER_VERSION);
        run(&a);
        mem_free(a.reload_error);
        mem_free(a.way_at_start);
        mem_free(a.listeners_at_start);
        config_free(a.config);
        loop_free(a.loop);
        return a.exit_code;
}

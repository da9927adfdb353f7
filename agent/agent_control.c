/* agent/agent_control.c: what comes up through the seam: readers, rejects, operators' calls, status and health. */
#include <unistd.h>

#include "agent/agent_internal.h"
#include "agent/auth.h"
#include "agent/config.h"
#include "agent/renewer.h"
#include "agent/store.h"
#include "agent/swap.h"
#include "agent/vault_link.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/unixsock.h"

static void on_given(struct store_secret *s, void *arg)
{
        struct agent *a = arg;

        renewer_given(a->renewer, s);
}

static void on_acked(struct store_secret *s, void *arg)
{
        struct agent *a = arg;

        renewer_acked(a->renewer, s);
}

static void on_rejected(struct store_secret *s, bool denied, void *arg)
{
        struct agent *a = arg;

        renewer_rejected(a->renewer, s, denied);
}

static int on_rotate(const char *name, json_t **ret_body, uint64_t *ret_retry_after_usec, void *arg)
{
        struct agent *a = arg;

        return renewer_rotate(a->renewer, name, LIFE_WHY_ROTATE, ret_body, ret_retry_after_usec);
}

static int on_reload(json_t **ret_body, void *arg)
{
        return agent_reload(arg, ret_body);
}

/* A config that was refused, a login that fails, a Vault that is away, a file that cannot be written: degraded, while all secrets
 * are still good. */
static void add_common_reasons(struct agent *a, json_t *reasons)
{
        if (!vault_link_is_open(a->link))
                json_array_append_new(reasons, json_sprintf("Vault: %s", vault_link_error(a->link)));
        if (*auth_error(a->auth))
                json_array_append_new(reasons, json_sprintf("login: %s", auth_error(a->auth)));
        if (a->reload_error)
                json_array_append_new(reasons, json_sprintf("reload refused: %s", a->reload_error));
        agent_output_troubles(a, reasons);
}

static int on_health(json_t **ret_body, void *arg)
{
        struct agent *a = arg;
        json_t *reasons = json_array();
        const char *status = "ok";
        int code = 200;

        if (renewer_any_required_lost(a->renewer, reasons)) {
                status = a->ready ? "failing" : "starting";
                code = 503;
        } else if (!renewer_all_good(a->renewer, reasons)) {
                status = "degraded";
        }
        add_common_reasons(a, reasons);
        if (code == 200 && json_array_size(reasons) > 0)
                status = "degraded";
        *ret_body = json_pack("{s:s, s:o}", "status", status, "reasons", reasons);
        return code;
}

static json_t *vault_status(struct agent *a)
{
        int64_t skew = vault_link_skew_usec(a->link);
        json_t *j = json_pack("{s:s, s:b, s:s}", "address", a->config->vault.address, "reachable",
                              vault_link_is_open(a->link), "error", vault_link_error(a->link));

        if (skew > VAULT_LINK_SKEW_TELL_USEC || skew < -VAULT_LINK_SKEW_TELL_USEC)
                json_object_set_new(j, "clock_skew_seconds", json_real((double)skew / 1e6));
        return j;
}

static json_t *on_status(void *arg)
{
        struct agent *a = arg;
        cleanup_free char *warning = swap_warning(a->config->state_dir);
        json_t *health = NULL, *warnings = json_array();
        json_t *j =
                json_pack("{s:s, s:I, s:i}", "version", LEASEKEEPER_VERSION, "uptime_s",
                          (json_int_t)((clock_boottime_usec() - a->start_usec) / USEC_PER_SEC), "pid", (int)getpid());

        on_health(&health, a);
        if (warning)
                json_array_append_new(warnings, json_string(warning));
        json_object_set_new(j, "health", health);
        json_object_set_new(j, "ready", json_boolean(a->ready));
        json_object_set_new(j, "vault", vault_status(a));
        json_object_set_new(j, "token", auth_status(a->auth));
        json_object_set_new(j, "secrets", renewer_status(a->renewer));
        json_object_set_new(j, "leaving", json_integer(renewer_leaving(a->renewer)));
        json_object_set_new(j, "warnings", warnings);
        json_object_set_new(j, "kernel",
                            json_pack("{s:b, s:b, s:b}", "peerpidfd", unixsock_has_peerpidfd(), "swap", swap_is_on(),
                                      "noswap", swap_spares(a->config->state_dir)));
        return j;
}

void agent_control_set(struct agent *a)
{
        static const struct store_control control = {
                .given = on_given,
                .acked = on_acked,
                .rejected = on_rejected,
                .rotate = on_rotate,
                .reload = on_reload,
                .status = on_status,
                .health = on_health,
        };

        store_set_control(a->store, &control, a);
}

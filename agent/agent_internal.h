/* agent/agent_internal.h: what agent.c and agent_control.c share. Nobody else includes it. */
#ifndef AGENT_AGENT_INTERNAL_H
#define AGENT_AGENT_INTERNAL_H

#include <stdint.h>

#include "agent/agent.h"
#include "common/json.h"

#define AGENT_OUTPUTS 2

struct agent {
        struct agent_options options;
        struct config *config;
        struct loop *loop;
        struct metrics *metrics;
        struct state *state;
        struct vault_link *link;
        struct auth *auth;
        struct store *store;
        struct renewer *renewer;
        void *outputs[AGENT_OUTPUTS];
        struct loop_timer *look_timer, *extend_timer, *watchdog_timer, *end_timer;
        uint64_t start_usec;
        bool ready, looking, ending;
        char *way_at_start, *listeners_at_start; /* of the configuration; to change them takes a restart */
        char *reload_error;                      /* why the last reload changed nothing; NULL */
        int exit_code;
};

int agent_reload(struct agent *a, json_t **ret_body);
void agent_control_set(struct agent *a); /* agent_control.c: answers what comes from below the seam */
void agent_output_troubles(const struct agent *a, json_t *reasons); /* adds why a secret cannot be handed out */

#endif

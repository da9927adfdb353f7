/* agent/agent.h: the whole agent: puts the parts together, listens to signals, tells the service manager. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>

struct config;

struct agent_options {
        const char *const *config_paths; /* for SIGHUP and reload */
        size_t config_paths_len;
        bool exit_after_auth;
};

/* Steals config. Return: the process's exit code, once it was told to end. */
int agent_run(const struct agent_options *options, struct config *config);

#endif

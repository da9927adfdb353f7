/* agent/output.h: the table of the ways out of the agent. Each sees the store and nothing above it. */
#ifndef AGENT_OUTPUT_H
#define AGENT_OUTPUT_H

#include <stdbool.h>

#include "common/json.h"

struct config;
struct loop;
struct metrics;
struct store;

struct output_context { /* borrowed for the output's life */
        struct loop *loop;
        struct store *store;
        struct metrics *metrics;
        const struct config *config;
};

struct output_kind {
        const char *name;
        int (*start)(const struct output_context *ctx, void **ret_self); /* -errno, logged: the agent does not start */
        void (*reconfigure)(void *self, const struct config *config);    /* after a reload; the old config dies when it returns */
        bool (*is_current)(void *self);                                  /* has it written out all that the store holds? NULL: always */
        void (*troubles)(void *self, json_t *reasons);                   /* adds a line for each thing that fails now. NULL: never any */
        void (*stop)(void *self);                                        /* frees self */
};

extern const struct output_kind output_file;   /* file and directory blocks */
extern const struct output_kind output_socket; /* listener "unix" (design: docs/PROTOCOL.md) and listener "tcp" (metrics, health) */

#endif

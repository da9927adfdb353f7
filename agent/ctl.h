/* agent/ctl.h: the client of the agent's socket, for people and scripts: one call, one answer; and a stream of events. */
#ifndef AGENT_CTL_H
#define AGENT_CTL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/json.h"

struct secret;

#define CTL_DONE   0
#define CTL_FAILED 1
#define CTL_MISUSE 2

/* --- ctl_http.c --- */

struct ctl_reply {
        int status;
        struct secret *body;
        char *retry_after; /* NULL: none */
};

int ctl_call(const char *socket, const char *method, const char *path, struct ctl_reply *ret_reply);
void ctl_reply_done(struct ctl_reply *r);
/* line: without its end, borrowed; false ends the stream. Return: 0: fn ended it, else as ctl_call(), -EPIPE: the agent did. */
typedef bool (*ctl_line_fn)(const char *line, size_t len, void *arg);
int ctl_stream(const char *socket, const char *path, ctl_line_fn fn, void *arg, struct ctl_reply *ret_refusal);

/* --- what the commands share: ctl_say.c --- */
int ctl_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* says it on stderr. Return: CTL_FAILED */
int ctl_unreachable(const char *socket, int err);                         /* the same for what ctl_call() returned */
int ctl_refused(const struct ctl_reply *r);                               /* the same for an answer that is an error */
int ctl_write(const void *bytes, size_t len); /* to stdout, past stdio, which does not wipe. 0, -errno */

/* --- the commands: each returns the exit code --- */
int ctl_get(const char *socket, const char *name, const char *field);
int ctl_watch(const char *socket, char *const *names, size_t names_len);
int ctl_health(const char *socket);
int ctl_reload(const char *socket);
int ctl_rotate(const char *socket, const char *name, bool wait); /* name NULL: all */
int ctl_status(const char *socket, bool as_json);

#endif

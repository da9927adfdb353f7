/* app/agent_conn.h: one connection to the agent's socket that carries one request and its answer. */
#ifndef APP_AGENT_CONN_H
#define APP_AGENT_CONN_H

#include <stddef.h>
#include <stdint.h>

struct agent_conn;
struct loop;

struct agent_conn_handler { /* called from the loop. Only on_end may free the connection, and it must be the last thing it does */
        void (*on_head)(int status, void *arg);
        int (*on_body)(const char *bytes, size_t len, void *arg); /* a negative answer ends the connection with it */
        void (*on_end)(int error, void *arg);                     /* once. 0: the answer is complete; -ETIMEDOUT: silence */
};

/* request: the whole of it, copied. idle_usec: silence that ends it. -errno where there is no connection. */
int agent_conn_open(struct loop *loop, const char *path, const char *request, size_t len, uint64_t idle_usec,
                    const struct agent_conn_handler *handler, void *arg, struct agent_conn **ret_conn);
struct agent_conn *agent_conn_free(struct agent_conn *c);

#endif

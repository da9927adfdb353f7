/* app/agent_reply.h: reads one HTTP/1.1 answer (RFC 9112) piece by piece. Pure. */
#ifndef APP_AGENT_REPLY_H
#define APP_AGENT_REPLY_H

#include <stdbool.h>
#include <stddef.h>

struct agent_reply;

struct agent_reply_handler {                          /* called from agent_reply_feed(); must not free the reader */
        void (*on_head)(int status, void *arg); /* once, with the final status */
        int (*on_body)(const char *bytes, size_t len, void *arg); /* a negative answer ends agent_reply_feed() with it */
};

struct agent_reply *agent_reply_new(const struct agent_reply_handler *handler, void *arg);
struct agent_reply *agent_reply_free(struct agent_reply *r);
int agent_reply_feed(struct agent_reply *r, const char *bytes, size_t len); /* 1: the answer is complete */
int agent_reply_end(struct agent_reply *r); /* the peer closed. 1: that ends the answer; -ECONNRESET: too early */

#endif

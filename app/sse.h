/* app/sse.h: reads a text/event-stream (WHATWG HTML, 9.2.6) piece by piece. Pure. */
#ifndef APP_SSE_H
#define APP_SSE_H

#include <stddef.h>

struct secret;
struct sse;

struct sse_event { /* borrowed while the callback runs */
        const char *type;          /* "message" where the stream names none */
        const char *id;            /* "" where there is none */
        const struct secret *data; /* lines joined by LF */
};

typedef void (*sse_fn)(const struct sse_event *event, void *arg);

struct sse *sse_new(size_t event_max, sse_fn fn, void *arg);
struct sse *sse_free(struct sse *s);
int sse_feed(struct sse *s, const char *bytes, size_t len);

#endif

/* tests/fuzz/fuzz_app_streams.c: what the agent's socket sends to notesd: the same answer and the same events however the bytes are cut. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/agent_reply.h"
#include "app/sse.h"
#include "common/secret.h"

#define EVENT_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
        unsigned heads, bodies, events;
        size_t body_len;
        uint64_t sum;
        int end;
};

static void must(bool holds)
{
        if (!holds)
                abort();
}

static void add(struct seen *s, const char *bytes, size_t len)
{
        for (size_t i = 0; i < len; i++)
                s->sum = (s->sum ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
}

static void on_head(int status, void *arg)
{
        struct seen *s = arg;

        must(status >= 200 && status <= 999 && s->heads == 0);
        s->heads++;
        s->sum += (unsigned)status;
}

static int on_body(const char *bytes, size_t len, void *arg)
{
        struct seen *s = arg;

        must(s->heads == 1);
        s->body_len += len;
        add(s, bytes, len);
        return 0;
}

static void on_event(const struct sse_event *event, void *arg)
{
        struct seen *s = arg;

        must(secret_len(event->data) <= EVENT_MAX && *event->type != '\0');
        s->events++;
        add(s, event->type, strlen(event->type) + 1);
        add(s, event->id, strlen(event->id) + 1);
        add(s, secret_bytes(event->data), secret_len(event->data));
}

static struct seen read_reply(const char *bytes, size_t size, size_t step)
{
        static const struct agent_reply_handler handler = {.on_head = on_head, .on_body = on_body};
        struct seen s = {0};
        struct agent_reply *r = agent_reply_new(&handler, &s);

        for (size_t at = 0; at < size && s.end == 0; at += step)
                s.end = agent_reply_feed(r, bytes + at, size - at < step ? size - at : step);
        if (s.end == 0)
                s.end = agent_reply_end(r);
        must(s.end == 1 || s.end < 0);
        agent_reply_free(r);
        return s;
}

static struct seen read_events(const char *bytes, size_t size, size_t step)
{
        struct seen s = {0};
        struct sse *stream = sse_new(EVENT_MAX, on_event, &s);

        for (size_t at = 0; at < size && s.end == 0; at += step)
                s.end = sse_feed(stream, bytes + at, size - at < step ? size - at : step);
        sse_free(stream);
        return s;
}

static void must_be_same(const struct seen *a, const struct seen *b)
{
        must(a->end == b->end && a->heads == b->heads);
        if (a->end >= 0) /* what came before an error may depend on where it was met */
                must(a->body_len == b->body_len && a->events == b->events && a->sum == b->sum);
}

/* The first byte is the size of the pieces. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct seen whole, cut;
        const char *bytes;
        size_t step;

        if (size < 1)
                return 0;
        step = 1 + data[0] % 16;
        bytes = (const char *)data + 1;
        size--;
        whole = read_reply(bytes, size, size + 1);
        cut = read_reply(bytes, size, step);
        must_be_same(&whole, &cut);
        whole = read_events(bytes, size, size + 1);
        cut = read_events(bytes, size, step);
        must_be_same(&whole, &cut);
        return 0;
}

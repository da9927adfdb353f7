/* app/sse.c: reads a text/event-stream piece by piece; what it holds may be secret and is wiped. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "app/sse.h"
#include "common/mem.h"
#include "common/secret.h"

#define TYPE_MAX 32
#define ID_MAX   128

struct sse {
        sse_fn fn;
        void *arg;
        struct secret *line, *data;
        bool has_data;
        char type[TYPE_MAX], id[ID_MAX];
};

/**
 * sse_new() - a reader for one stream
 * @event_max: bytes of one line and of one event's data, at most
 * @fn: called for each event that has data
 *
 * Return: new.
 */
struct sse *sse_new(size_t event_max, sse_fn fn, void *arg)
{
        struct sse *s = mem_new(sizeof(*s));

        s->fn = fn;
        s->arg = arg;
        s->line = secret_new(event_max);
        s->data = secret_new(event_max);
        return s;
}

/**
 * sse_free() - wipes what was read; takes NULL; not from its own callback
 */
struct sse *sse_free(struct sse *s)
{
        if (!s)
                return NULL;
        secret_free(s->line);
        secret_free(s->data);
        return mem_free(s);
}

static void dispatch(struct sse *s)
{
        struct sse_event event = {.type = s->type[0] ? s->type : "message", .id = s->id, .data = s->data};

        if (s->has_data)
                s->fn(&event, s->arg);
        secret_reset(s->data);
        s->has_data = false;
        s->type[0] = '\0';
        s->id[0] = '\0';
}

static int set_field(char *field, size_t cap, const char *value, size_t len)
{
        if (len >= cap || memchr(value, '\0', len))
                return -EPROTO;
        memcpy(field, value, len);
        field[len] = '\0';
        return 0;
}

static int add_data(struct sse *s, const char *value, size_t len)
{
        int r = s->has_data ? secret_append(s->data, "\n", 1) : 0;

        if (r < 0)
                return r;
        s->has_data = true;
        return secret_append(s->data, value, len);
}

static bool is_field(const char *name, size_t len, const char *known)
{
        return len == strlen(known) && memcmp(name, known, len) == 0;
}

static int read_line(struct sse *s, const char *line, size_t len)
{
        const char *colon, *value;
        size_t name_len, value_len;

        if (len > 0 && line[len - 1] == '\r')
                len--;
        if (len == 0) {
                dispatch(s);
                return 0;
        }
        colon = memchr(line, ':', len);
        name_len = colon ? (size_t)(colon - line) : len;
        value = colon ? colon + 1 : line + len;
        value_len = len - (size_t)(value - line);
        if (value_len > 0 && *value == ' ') {
                value++;
                value_len--;
        }
        if (is_field(line, name_len, "data"))
                return add_data(s, value, value_len);
        if (is_field(line, name_len, "event"))
                return set_field(s->type, sizeof(s->type), value, value_len);
        if (is_field(line, name_len, "id"))
                return set_field(s->id, sizeof(s->id), value, value_len);
        /* Comments (an empty name) and fields of the future are passed over, as the standard asks. */
        return 0;
}

/**
 * sse_feed() - the next bytes of the stream
 *
 * Lines end in LF or CRLF (a lone CR, which the standard allows too, is never sent by the agent).
 *
 * Return: 0, -EMSGSIZE (a line or an event longer than event_max), -EPROTO (an event type or id that cannot be ours).
 */
int sse_feed(struct sse *s, const char *bytes, size_t len)
{
        while (len > 0) {
                const char *end = memchr(bytes, '\n', len);
                size_t piece = end ? (size_t)(end - bytes) : len;
                int r = secret_append(s->line, bytes, piece);

                if (r < 0)
                        return r;
                if (!end)
                        return 0;
                r = read_line(s, secret_bytes(s->line), secret_len(s->line));
                secret_reset(s->line);
                if (r < 0)
                        return r;
                bytes = end + 1;
                len -= piece + 1;
        }
        return 0;
}

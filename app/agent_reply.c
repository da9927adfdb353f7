/* app/agent_reply.c: reads one HTTP/1.1 answer piece by piece: status, length or chunks, body. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "app/agent_reply.h"
#include "common/mem.h"
#include "common/parse.h"

#define LINE_MAX_LEN 4096
#define HEAD_MAX_LEN 16384

enum agent_reply_state {
        AGENT_REPLY_STATUS,
        AGENT_REPLY_FIELDS,
        AGENT_REPLY_LENGTH,
        AGENT_REPLY_CLOSE,
        AGENT_REPLY_CHUNK_SIZE,
        AGENT_REPLY_CHUNK,
        AGENT_REPLY_CHUNK_END,
        AGENT_REPLY_TRAILER,
        AGENT_REPLY_DONE
};

struct agent_reply {
        const struct agent_reply_handler *handler;
        void *arg;
        enum agent_reply_state state;
        int status;
        bool chunked, has_length;
        uint64_t left; /* bytes of the body, or of the chunk */
        size_t head_len, line_len;
        char line[LINE_MAX_LEN];
};

/**
 * agent_reply_new() - a reader for one answer
 * @handler: borrowed for the reader's life
 *
 * Return: new.
 */
struct agent_reply *agent_reply_new(const struct agent_reply_handler *handler, void *arg)
{
        struct agent_reply *r = mem_new(sizeof(*r));

        r->handler = handler;
        r->arg = arg;
        return r;
}

/**
 * agent_reply_free() - takes NULL
 */
struct agent_reply *agent_reply_free(struct agent_reply *r)
{
        return mem_free(r);
}

static int read_status(struct agent_reply *r, const char *line, size_t len)
{
        uint64_t status;

        /* HTTP/1.1 200 OK; the reason may be missing (RFC 9112, 4). */
        if (len < 12 || strncmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' || (len > 12 && line[12] != ' '))
                return -EPROTO;
        if (parse_u64(line + 9, 3, 599, &status) < 0 || status < 100)
                return -EPROTO;
        r->status = (int)status;
        r->state = AGENT_REPLY_FIELDS;
        return 0;
}

static int read_field(struct agent_reply *r, char *line, size_t len)
{
        char *colon = memchr(line, ':', len), *value;

        if (!colon || colon == line)
                return -EPROTO;
        *colon = '\0';
        value = colon + 1 + strspn(colon + 1, " \t");
        for (char *end = line + len; end > value && (end[-1] == ' ' || end[-1] == '\t');)
                *--end = '\0';
        if (strcasecmp(line, "Content-Length") == 0) {
                if (r->has_length || parse_u64(value, strlen(value), INT64_MAX, &r->left) < 0)
                        return -EPROTO;
                r->has_length = true;
        } else if (strcasecmp(line, "Transfer-Encoding") == 0) {
                if (r->chunked || strcasecmp(value, "chunked") != 0)
                        return -EPROTO;
                r->chunked = true;
        }
        return 0;
}

/* The empty line after the fields: what kind of body follows (RFC 9112, 6.3). Return: 1 where none does. */
static int end_fields(struct agent_reply *r)
{
        if (r->status < 200) { /* an interim answer: the real one follows */
                r->state = AGENT_REPLY_STATUS;
                return r->status == 101 ? -EPROTO : 0;
        }
        if (r->chunked && r->has_length)
                return -EPROTO;
        r->handler->on_head(r->status, r->arg);
        if (r->status == 204 || r->status == 304 || (r->has_length && r->left == 0)) {
                r->state = AGENT_REPLY_DONE;
                return 1;
        }
        r->state = r->chunked ? AGENT_REPLY_CHUNK_SIZE : r->has_length ? AGENT_REPLY_LENGTH : AGENT_REPLY_CLOSE;
        return 0;
}

static int read_chunk_size(struct agent_reply *r, const char *line, size_t len)
{
        uint64_t size = 0;
        size_t i = 0;

        for (; i < len && line[i] != ';'; i++) {
                static const char digits[] = "0123456789abcdef";
                const char *digit = memchr(digits, line[i] | 0x20, sizeof(digits) - 1);

                /* `| 0x20` also maps control characters on digits; only digits and letters are let through. */
                if (!digit || line[i] < '0' || size > (INT64_MAX >> 4))
                        return -EPROTO;
                size = size << 4 | (uint64_t)(digit - digits);
        }
        if (i == 0)
                return -EPROTO;
        r->left = size;
        r->state = size ? AGENT_REPLY_CHUNK : AGENT_REPLY_TRAILER;
        return 0;
}

static int read_line(struct agent_reply *r)
{
        size_t len = r->line_len;

        if (len > 0 && r->line[len - 1] == '\r')
                len--;
        r->line[len] = '\0';
        r->line_len = 0;
        switch (r->state) {
        case AGENT_REPLY_STATUS: return read_status(r, r->line, len);
        case AGENT_REPLY_FIELDS: return len == 0 ? end_fields(r) : read_field(r, r->line, len);
        case AGENT_REPLY_CHUNK_SIZE: return read_chunk_size(r, r->line, len);
        case AGENT_REPLY_CHUNK_END: r->state = AGENT_REPLY_CHUNK_SIZE; return len == 0 ? 0 : -EPROTO;
        default:
                if (len > 0)
                        return 0;
                r->state = AGENT_REPLY_DONE;
                return 1;
        }
}

static int take_line(struct agent_reply *r, const char **bytes, size_t *len)
{
        const char *end = memchr(*bytes, '\n', *len);
        size_t piece = end ? (size_t)(end - *bytes) : *len;
        bool in_head =
                r->state == AGENT_REPLY_STATUS || r->state == AGENT_REPLY_FIELDS || r->state == AGENT_REPLY_TRAILER;

        r->head_len += in_head ? piece : 0;
        if (r->line_len + piece >= sizeof(r->line) || r->head_len > HEAD_MAX_LEN)
                return -EMSGSIZE;
        memcpy(r->line + r->line_len, *bytes, piece);
        r->line_len += piece;
        *bytes += piece + (end ? 1 : 0);
        *len -= piece + (end ? 1 : 0);
        return end ? read_line(r) : 0;
}

static int take_body(struct agent_reply *r, const char **bytes, size_t *len)
{
        size_t piece = r->state != AGENT_REPLY_CLOSE && r->left < *len ? (size_t)r->left : *len;
        int e = r->handler->on_body(*bytes, piece, r->arg);

        if (e < 0)
                return e;
        *bytes += piece;
        *len -= piece;
        if (r->state == AGENT_REPLY_CLOSE)
                return 0;
        r->left -= piece;
        if (r->left > 0)
                return 0;
        if (r->state == AGENT_REPLY_CHUNK) {
                r->state = AGENT_REPLY_CHUNK_END;
                return 0;
        }
        r->state = AGENT_REPLY_DONE;
        return 1;
}

/**
 * agent_reply_feed() - the next bytes from the peer; the callbacks run from here
 *
 * Return: 0: more is to come. 1: the answer is complete; what follows it is ignored. -EPROTO: no HTTP/1.1 answer;
 * -EMSGSIZE: its head is too long; what on_body answered.
 */
int agent_reply_feed(struct agent_reply *r, const char *bytes, size_t len)
{
        while (len > 0) {
                bool in_body = r->state == AGENT_REPLY_LENGTH || r->state == AGENT_REPLY_CLOSE ||
                               r->state == AGENT_REPLY_CHUNK;
                int e;

                if (r->state == AGENT_REPLY_DONE)
                        return 1;
                e = in_body ? take_body(r, &bytes, &len) : take_line(r, &bytes, &len);
                if (e != 0)
                        return e;
        }
        return r->state == AGENT_REPLY_DONE;
}

/**
 * agent_reply_end() - the peer closed its side
 *
 * Return: 1: the answer is complete. -ECONNRESET: it was cut off.
 */
int agent_reply_end(struct agent_reply *r)
{
        return r->state == AGENT_REPLY_DONE || r->state == AGENT_REPLY_CLOSE ? 1 : -ECONNRESET;
}

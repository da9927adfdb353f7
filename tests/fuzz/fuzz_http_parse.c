/* tests/fuzz/fuzz_http_parse.c: HTTP heads and chunked bodies: no crash, and the same answer however the bytes are cut. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/http_parse.h"

#define TARGET_MAX 512
#define HEAD_MAX   4096
#define BODY_MAX   2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
        if (!holds)
                abort();
}

static void check_span(struct http_span s, size_t len)
{
        must((size_t)s.off + s.len < len); /* the byte behind is the head's too: it becomes a NUL */
}

/* What the strictness is for: nothing that another reader could take for a line's or a string's end is left inside. */
static void check_head(const char *bytes, size_t len, const struct http_head *h)
{
        unsigned hosts = 0, framings = 0;

        check_span(h->method, len);
        check_span(h->target, len);
        check_span(h->path, len);
        check_span(h->query, len);
        must(h->path.len > 0 && bytes[h->path.off] == '/');
        must(h->fields_len <= HTTP_FIELDS_MAX);
        for (unsigned i = 0; i < h->fields_len; i++) {
                const struct http_field *f = &h->fields[i];

                check_span(f->name, len);
                check_span(f->value, len);
                must(f->name.len > 0);
                must(!memchr(bytes + f->value.off, '\0', f->value.len) &&
                     !memchr(bytes + f->value.off, '\n', f->value.len) &&
                     !memchr(bytes + f->value.off, '\r', f->value.len));
                hosts += f->name.len == 4 && strncasecmp(bytes + f->name.off, "host", 4) == 0;
                framings += (f->name.len == 14 && strncasecmp(bytes + f->name.off, "content-length", 14) == 0) ||
                            (f->name.len == 17 && strncasecmp(bytes + f->name.off, "transfer-encoding", 17) == 0);
        }
        must(hosts <= 1 && (hosts == 1 || h->minor == 0));
        must(framings <= 1 && h->has_length == (framings == 1));
}

static void fuzz_head(const char *bytes, size_t size, size_t step)
{
        struct http_fault fault = {0}, fault_cut = {0};
        size_t pos = 0, pos_cut = 0, len = 0, len_cut = 0;
        enum http_scan got = http_scan_head(bytes, size, TARGET_MAX, HEAD_MAX, &pos, &len, &fault);
        enum http_scan got_cut = HTTP_SCAN_MORE;
        static struct http_head head;

        for (size_t have = step < size ? step : size; got_cut == HTTP_SCAN_MORE;) {
                got_cut = http_scan_head(bytes, have, TARGET_MAX, HEAD_MAX, &pos_cut, &len_cut, &fault_cut);
                if (have == size)
                        break;
                have = have + step < size ? have + step : size;
        }
        must(got == got_cut || got_cut == HTTP_SCAN_REFUSED ||
             got == HTTP_SCAN_REFUSED); /* 414 may be seen early or too late */
        if (got == HTTP_SCAN_REFUSED)
                must(fault.status >= 400 && fault.detail);
        if (got != HTTP_SCAN_WHOLE)
                return;
        must(len <= size && len <= HEAD_MAX);
        if (got_cut == HTTP_SCAN_WHOLE)
                must(len == len_cut);
        if (http_parse_head(bytes, len, &head, &fault))
                check_head(bytes, len, &head);
        else
                must(fault.status >= 400 && fault.detail);
}

struct decoded {
        enum http_scan got;
        size_t used, made;
        char body[BODY_MAX];
};

static void decode(const char *bytes, size_t size, size_t step, struct decoded *ret)
{
        struct http_chunked c = {0};
        size_t used, made;

        *ret = (struct decoded){.got = HTTP_SCAN_MORE};
        while (ret->used < size && ret->got == HTTP_SCAN_MORE) {
                size_t n = size - ret->used < step ? size - ret->used : step;
                char *piece = malloc(n); /* of its very size: the sanitizer sees each step too far */
                struct http_fault fault;

                must(piece != NULL);
                memcpy(piece, bytes + ret->used, n);
                ret->got = http_chunked_feed(&c, piece, n, piece, BODY_MAX - ret->made, &used, &made, &fault);
                if (ret->got != HTTP_SCAN_REFUSED) {
                        must(used <= n && made <= used && ret->made + made <= BODY_MAX);
                        memcpy(ret->body + ret->made, piece, made);
                        ret->used += used;
                        ret->made += made;
                }
                free(piece);
        }
}

static void fuzz_chunked(const char *bytes, size_t size, size_t step)
{
        static struct decoded whole, cut;

        decode(bytes, size, size ? size : 1, &whole);
        decode(bytes, size, step, &cut);
        must(whole.got == cut.got);
        if (whole.got == HTTP_SCAN_REFUSED)
                return;
        must(whole.used == cut.used && whole.made == cut.made && memcmp(whole.body, cut.body, whole.made) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        size_t step;
        char *bytes;

        if (size < 1)
                return 0;
        step = data[0] % 61 + 1u;
        bytes = malloc(size); /* not one byte more than there is */
        must(bytes != NULL);
        memcpy(bytes, data + 1, size - 1);
        bytes = realloc(bytes, size - 1 ? size - 1 : 1);
        must(bytes != NULL);
        fuzz_head(bytes, size - 1, step);
        fuzz_chunked(bytes, size - 1, step);
        free(bytes);
        return 0;
}

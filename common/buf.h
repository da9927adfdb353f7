/* common/buf.h: text that is put together piece by piece. Not for secrets: it does not wipe. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stddef.h>

struct buf {
        char *data; /* NUL-terminated once anything was added; NULL before */
        size_t len, cap;
};

/* clang-format off */
#define BUF_INIT    {NULL, 0, 0}
/* clang-format on */
#define cleanup_buf __attribute__((cleanup(buf_done)))

void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_str(struct buf *b, const char *text);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_json_str(struct buf *b, const char *text, size_t len); /* as a JSON string, quotes included */
size_t buf_json_escape(const char *text, size_t len, char out[8], size_t *ret_out_len); /* one character; bytes read */
void buf_html(struct buf *b, const char *text, size_t len);                             /* with & < > " ' escaped */
void buf_percent(struct buf *b, const char *text, const char *keep); /* RFC 3986: unreserved and `keep` stay */
void buf_reset(struct buf *b);                                       /* empty, memory kept */
char *buf_take(struct buf *b);                                       /* new: the text ("" if none); b is empty */
const char *buf_text(const struct buf *b);                           /* borrowed: the text, "" if none */
void buf_done(struct buf *b);                                        /* frees; b may be used again */

#endif

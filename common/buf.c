/* common/buf.c: text that is put together piece by piece. */
#include "common/buf.h"

#include "common/mem.h"
#include "common/parse.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define BUF_CAP_MIN ((size_t)128)

/* Room for `len` more bytes and a NUL. */
static void reserve(struct buf *b, size_t len)
{
        size_t cap = b->cap;

        if (cap - b->len > len)
                return;
        if (cap < BUF_CAP_MIN)
                cap = BUF_CAP_MIN;
        while (cap <= b->len || cap - b->len <= len)
                cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2; /* a size that no one has ends in mem_resize() */
        b->data = mem_resize(b->data, cap, 1);
        b->cap = cap;
}

/**
 * buf_add() - adds bytes
 * @b: buffer
 * @bytes: copied; not of @b itself
 * @len: their number
 */
void buf_add(struct buf *b, const void *bytes, size_t len)
{
        reserve(b, len);
        if (len)
                memcpy(b->data + b->len, bytes, len);
        b->len += len;
        b->data[b->len] = '\0';
}

/**
 * buf_str() - adds a string
 * @b: buffer
 * @text: NUL-terminated
 */
void buf_str(struct buf *b, const char *text)
{
        buf_add(b, text, strlen(text));
}

/**
 * buf_char() - adds one byte
 * @b: buffer
 * @c: the byte
 */
void buf_char(struct buf *b, char c)
{
        buf_add(b, &c, 1);
}

/**
 * buf_printf() - adds formatted text
 * @b: buffer
 * @fmt: printf(3) format
 */
void buf_printf(struct buf *b, const char *fmt, ...)
{
        va_list ap;
        int len;

        reserve(b, BUF_CAP_MIN / 2);
        va_start(ap, fmt);
        len = vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
        va_end(ap);
        if (len < 0) {
                b->data[b->len] = '\0';
                return;
        }
        if ((size_t)len >= b->cap - b->len) {
                reserve(b, (size_t)len);
                va_start(ap, fmt);
                vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
                va_end(ap);
        }
        b->len += (size_t)len;
}

/**
 * buf_json_escape() - the first character of a text as it stands in a JSON string (RFC 8259 section 7)
 * @text: text
 * @len: its bytes, at least 1
 * @out: the escaped character, no NUL
 * @ret_out_len: its bytes
 *
 * A byte that is no UTF-8 becomes U+FFFD. DEL and the C1 controls are escaped too: terminals obey them.
 *
 * Return: bytes of @text that were used.
 */
size_t buf_json_escape(const char *text, size_t len, char out[8], size_t *ret_out_len)
{
        static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
        unsigned char c = (unsigned char)text[0];
        size_t used = parse_utf8_one(text, len);
        const char *found = c ? strchr(plain, c) : NULL;
        unsigned code = c;

        if (used == 2 && c == 0xc2 && (unsigned char)text[1] < 0xa0)
                code = (unsigned char)text[1];
        else if (used == 0)
                code = 0xfffd;

        if (found) {
                out[0] = '\\';
                out[1] = letter[found - plain];
                *ret_out_len = 2;
        } else if (used == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0)) {
                memcpy(out, "\\u", 2);
                for (unsigned i = 0; i < 4; i++)
                        out[2 + i] = "0123456789abcdef"[code >> (12 - 4 * i) & 0xf];
                *ret_out_len = 6;
        } else {
                memcpy(out, text, used);
                *ret_out_len = used;
        }
        return used ? used : 1;
}

/* Most of most texts: ASCII that stands for itself. Return: how many bytes of it come first. */
static size_t json_plain(const char *text, size_t len)
{
        size_t n = 0;

        while (n < len && text[n] >= 0x20 && text[n] < 0x7f && text[n] != '"' && text[n] != '\\')
                n++;
        return n;
}

/**
 * buf_json_str() - adds a JSON string, quotes included
 * @b: buffer
 * @text: text; NUL bytes and what is no UTF-8 are allowed, see buf_json_escape()
 * @len: its bytes
 */
void buf_json_str(struct buf *b, const char *text, size_t len)
{
        char out[8];
        size_t out_len;

        buf_char(b, '"');
        for (size_t i = 0; i < len;) {
                size_t plain = json_plain(text + i, len - i);

                if (plain) {
                        buf_add(b, text + i, plain);
                        i += plain;
                        continue;
                }
                i += buf_json_escape(text + i, len - i, out, &out_len);
                buf_add(b, out, out_len);
        }
        buf_char(b, '"');
}

/**
 * buf_html() - adds text for HTML, as content or inside a quoted attribute
 * @b: buffer
 * @text: text
 * @len: its bytes
 */
void buf_html(struct buf *b, const char *text, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                switch (text[i]) {
                case '&': buf_str(b, "&amp;"); break;
                case '<': buf_str(b, "&lt;"); break;
                case '>': buf_str(b, "&gt;"); break;
                case '"': buf_str(b, "&quot;"); break;
                case '\'': buf_str(b, "&#39;"); break;
                default: buf_char(b, text[i]);
                }
        }
}

/**
 * buf_percent() - adds text percent-encoded (RFC 3986 section 2.1)
 * @b: buffer
 * @text: NUL-terminated
 * @keep: characters that stay beside the unreserved ones ("/" for a path); NULL: none
 */
void buf_percent(struct buf *b, const char *text, const char *keep)
{
        static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

        for (; *text; text++) {
                if (strchr(unreserved, *text) || (keep && strchr(keep, *text)))
                        buf_char(b, *text);
                else
                        buf_printf(b, "%%%02X", (unsigned char)*text);
        }
}

/**
 * buf_reset() - empties, keeps the memory
 * @b: buffer
 */
void buf_reset(struct buf *b)
{
        b->len = 0;
        if (b->data)
                b->data[0] = '\0';
}

/**
 * buf_take() - gives the text away
 * @b: buffer, empty afterwards
 *
 * Return: new; "" where nothing was added.
 */
char *buf_take(struct buf *b)
{
        char *text = b->data ? b->data : mem_strdup("");

        *b = (struct buf)BUF_INIT;
        return text;
}

/**
 * buf_text() - the text
 * @b: buffer
 *
 * Return: borrowed until the next call that changes @b; "" where nothing was added.
 */
const char *buf_text(const struct buf *b)
{
        return b->data ? b->data : "";
}

/**
 * buf_done() - frees the text
 * @b: buffer, empty afterwards
 */
void buf_done(struct buf *b)
{
        mem_free(b->data);
        *b = (struct buf)BUF_INIT;
}

/* common/http_parse.c: HTTP/1.1 messages read strictly (RFC 9112): a complete head, and chunked bodies. Pure. */
#include "common/http_parse.h"

#include <string.h>
#include <strings.h>

#define METHOD_MAX     24
#define LENGTH_DIGITS  18  /* of Content-Length */
#define CHUNK_LINE_MAX 256 /* a chunk's size and its extensions */
#define TRAILER_MAX    4096

enum {
        IS_TOKEN = 1,  /* RFC 9110 5.6.2 tchar */
        IS_VALUE = 2,  /* field-vchar, SP, HTAB, obs-text */
        IS_TARGET = 4, /* what may stand in a request target, "%" checked apart */
        IS_HOST = 8,   /* RFC 3986 host and port, userinfo left out */
};

#define ALNUM (IS_TOKEN | IS_VALUE | IS_TARGET | IS_HOST)
#define T     IS_TOKEN
#define V     IS_VALUE
#define R     IS_TARGET
#define H     IS_HOST

static const unsigned char class_of[256] = {
        ['\t'] = V,
        [' '] = V,
        ['!'] = T | V | R | H,
        ['"'] = V,
        ['#'] = T | V, /* a fragment is never sent (RFC 9112 3.2) */
        ['$'] = T | V | R | H,
        ['%'] = T | V | R | H,
        ['&'] = T | V | R | H,
        ['\''] = T | V | R | H,
        ['('] = V | R | H,
        [')'] = V | R | H,
        ['*'] = T | V | R | H,
        ['+'] = T | V | R | H,
        [','] = V | R | H,
        ['-'] = T | V | R | H,
        ['.'] = T | V | R | H,
        ['/'] = V | R,
        ['0' ... '9'] = ALNUM,
        [':'] = V | R | H,
        [';'] = V | R | H,
        ['<'] = V,
        ['='] = V | R | H,
        ['>'] = V,
        ['?'] = V | R,
        ['@'] = V | R,
        ['A' ... 'Z'] = ALNUM,
        ['['] = V | R | H,
        ['\\'] = V,
        [']'] = V | R | H,
        ['^'] = T | V | R, /* "^", "`", "{", "|", "}": no URI has them, yet browsers send them in queries */
        ['_'] = T | V | R | H,
        ['`'] = T | V | R,
        ['a' ... 'z'] = ALNUM,
        ['{'] = V | R,
        ['|'] = T | V | R,
        ['}'] = V | R,
        ['~'] = T | V | R | H,
        [0x80 ... 0xff] = V,
};

#undef T
#undef V
#undef R
#undef H

static bool is(char c, unsigned wanted)
{
        return (class_of[(unsigned char)c] & wanted) != 0;
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

static bool refuse(struct http_fault *fault, int status, const char *detail)
{
        *fault = (struct http_fault){status, detail};
        return false;
}

static struct http_span span(const char *bytes, const char *from, const char *to)
{
        return (struct http_span){(uint16_t)(from - bytes), (uint16_t)(to - from)};
}

static bool equals(const char *text, size_t len, const char *word)
{
        return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

/**
 * http_scan_head() - look for the end of a head in what has arrived
 * @bytes:      from the head's first byte on
 * @len:        how many there are
 * @target_max: bytes of the request target; a longer one is refused before its line has ended
 * @head_max:   bytes of the head, its empty line included
 * @pos:        how far it was looked through; 0 at first
 * @ret_len:    set with HTTP_SCAN_WHOLE: the head's length
 * @ret_fault:  set with HTTP_SCAN_REFUSED
 *
 * A bare LF is refused as soon as it is seen: a client that ends its lines so would otherwise wait for the deadline.
 *
 * Return: what to do next. Source: RFC 9112 2.1, 2.2.
 */
enum http_scan http_scan_head(const char *bytes, size_t len, size_t target_max, size_t head_max, size_t *pos,
                              size_t *ret_len, struct http_fault *ret_fault)
{
        const size_t line_max = METHOD_MAX + target_max + sizeof(" HTTP/1.1\r\n");
        const char *lf;

        if (len && !is(bytes[0], IS_TOKEN)) {
                refuse(ret_fault, 400, "not an HTTP request");
                return HTTP_SCAN_REFUSED;
        }
        while ((lf = *pos < len ? memchr(bytes + *pos, '\n', len - *pos) : NULL)) {
                size_t at = (size_t)(lf - bytes);

                if (at == 0 || bytes[at - 1] != '\r') {
                        refuse(ret_fault, 400, "a line does not end in CR LF");
                        return HTTP_SCAN_REFUSED;
                }
                *pos = at + 1;
                if (at + 1 > head_max)
                        break;
                if (at >= 3 && bytes[at - 2] == '\n') {
                        *ret_len = at + 1;
                        return HTTP_SCAN_WHOLE;
                }
        }
        if (!lf)
                *pos = len;
        if (len > line_max && !memchr(bytes, '\n', line_max)) {
                refuse(ret_fault, 414, "the request target is too long");
                return HTTP_SCAN_REFUSED;
        }
        if (*pos > head_max || len >= head_max) {
                refuse(ret_fault, 431, "the request's header is too large");
                return HTTP_SCAN_REFUSED;
        }
        return HTTP_SCAN_MORE;
}

/* Percent-encoding must be whole, and a NUL is never meant well. */
static bool check_target(const char *from, const char *to, struct http_fault *fault)
{
        for (const char *p = from; p < to; p++) {
                if (!is(*p, IS_TARGET))
                        return refuse(fault, 400, "the request target holds a character that may not stand there");
                if (*p != '%')
                        continue;
                if (to - p < 3 || hex_digit(p[1]) < 0 || hex_digit(p[2]) < 0 || (p[1] == '0' && p[2] == '0'))
                        return refuse(fault, 400, "the request target holds a bad percent-encoding");
                p += 2;
        }
        return true;
}

/* RFC 9112 3.2.1 and 3.2.2: "/path?query", or a proxy's "http://host/path?query". */
static bool split_target(const char *bytes, const char *from, const char *to, struct http_head *h,
                         struct http_fault *fault)
{
        const char *path = from, *question;

        if (*from != '/') {
                size_t scheme = to - from > 7 && strncasecmp(from, "http://", 7) == 0    ? 7
                                : to - from > 8 && strncasecmp(from, "https://", 8) == 0 ? 8
                                                                                         : 0;
                if (!scheme)
                        return refuse(fault, 400, "the request target is neither a path nor an http URI");
                path = from + scheme;
                while (path < to && is(*path, IS_HOST))
                        path++;
                if (path == from + scheme || path == to || *path != '/')
                        return refuse(fault, 400, "the request target is not a proper http URI");
        }
        question = memchr(path, '?', (size_t)(to - path));
        h->target = span(bytes, from, to);
        h->path = span(bytes, path, question ? question : to);
        h->query = question ? span(bytes, question + 1, to) : span(bytes, to, to);
        return true;
}

static bool parse_version(const char *p, size_t len, struct http_head *h, struct http_fault *fault)
{
        if (len != 8 || memcmp(p, "HTTP/", 5) != 0 || p[5] < '0' || p[5] > '9' || p[6] != '.' || p[7] < '0' ||
            p[7] > '9')
                return refuse(fault, 400, "the request line does not end in an HTTP version");
        if (p[5] != '1' || p[7] > '1')
                return refuse(fault, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
        h->minor = (unsigned)(p[7] - '0');
        return true;
}

/* RFC 9112 3: method SP request-target SP HTTP-version, one space each. */
static bool parse_request_line(const char *bytes, const char *end, struct http_head *h, struct http_fault *fault)
{
        const char *p = bytes, *target;

        while (p < end && is(*p, IS_TOKEN))
                p++;
        if (p == bytes || p - bytes > METHOD_MAX || p == end || *p != ' ')
                return refuse(fault, 400, "the request line has no proper method");
        h->method = span(bytes, bytes, p);
        target = ++p;
        p = memchr(target, ' ', (size_t)(end - target));
        if (!p || p == target)
                return refuse(fault, 400, "the request line is not method, target and version");
        return check_target(target, p, fault) && split_target(bytes, target, p, h, fault) &&
               parse_version(p + 1, (size_t)(end - p - 1), h, fault);
}

/* RFC 9110 5.6.3: the blanks around a field's value do not belong to it. */
static bool parse_field(const char *bytes, const char *p, const char *end, struct http_head *h,
                        struct http_fault *fault)
{
        const char *name = p, *value;

        if (*p == ' ' || *p == '\t')
                return refuse(fault, 400, "a header field is folded over two lines");
        while (p < end && is(*p, IS_TOKEN))
                p++;
        if (p == name || p == end || *p != ':')
                return refuse(fault, 400, "a header field has no proper name");
        for (value = p + 1; value < end && (*value == ' ' || *value == '\t'); value++)
                ;
        for (const char *v = value; v < end; v++)
                if (!is(*v, IS_VALUE))
                        return refuse(fault, 400, "a header field holds a control character");
        while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
                end--;
        if (h->fields_len == HTTP_FIELDS_MAX)
                return refuse(fault, 431, "the request has too many header fields");
        h->fields[h->fields_len++] = (struct http_field){span(bytes, name, p), span(bytes, value, end)};
        return true;
}

/* RFC 9112 6.2, 6.3: digits alone, and no more of them than surely fit. */
static bool take_length(const char *p, size_t len, struct http_head *h, struct http_fault *fault)
{
        uint64_t value = 0;

        if (len == 0 || len > LENGTH_DIGITS)
                return refuse(fault, 400, "Content-Length is not a decimal number");
        for (size_t i = 0; i < len; i++) {
                if (p[i] < '0' || p[i] > '9')
                        return refuse(fault, 400, "Content-Length is not a decimal number");
                value = value * 10 + (uint64_t)(p[i] - '0');
        }
        h->length = value;
        return true;
}

/* RFC 9110 7.2: uri-host [ ":" port ]; empty where the client's URI has no host (a socket's path, for one). */
static bool take_host(const char *p, size_t len, struct http_fault *fault)
{
        const char *end = p + len, *name = p;

        if (p < end && *p == '[') { /* an IPv6 address: the one place for more colons */
                while (p < end && *p != ']')
                        p++;
                if (p++ == end)
                        return refuse(fault, 400, "Host is not a proper host name");
        }
        for (const char *c = name; c < p; c++)
                if (hex_digit(*c) < 0 && !strchr("[]:.", *c))
                        return refuse(fault, 400, "Host is not a proper host name");
        while (p < end && is(*p, IS_HOST) && !strchr("[]:", *p))
                p++;
        if (p < end && *p == ':')
                for (p++; p < end && *p >= '0' && *p <= '9';)
                        p++;
        return p == end || refuse(fault, 400, "Host is not a proper host name");
}

/* RFC 9110 5.6.1: one element of a list, without the blanks around it. Return: where the next begins; NULL: it was the last. */
static const char *list_element(const char *p, const char *end, const char **ret_word, size_t *ret_len)
{
        const char *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma ? comma : end;

        while (p < stop && (*p == ' ' || *p == '\t'))
                p++;
        while (stop > p && (stop[-1] == ' ' || stop[-1] == '\t'))
                stop--;
        *ret_word = p;
        *ret_len = (size_t)(stop - p);
        return comma ? comma + 1 : NULL;
}

/* RFC 9110 7.6.1: a list of tokens, of which one matters here. */
static bool take_connection(const char *p, size_t len, struct http_head *h)
{
        const char *end = p + len, *word;
        size_t word_len;

        while (p) {
                p = list_element(p, end, &word, &word_len);
                if (equals(word, word_len, "close"))
                        h->keep_alive = false;
        }
        return true;
}

struct seen {
        unsigned host, length, encoding;
        bool unknown_coding;
};

static bool is_token(const char *p, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if (!is(p[i], IS_TOKEN))
                        return false;
        return len > 0;
}

/* RFC 9112 6.3: where "chunked" is not the last coding, and that once, nobody can tell where the body ends. */
static bool take_encoding(const char *p, size_t len, struct seen *seen, struct http_head *h, struct http_fault *fault)
{
        const char *end = p + len, *word;
        size_t word_len;

        if (seen->encoding++)
                return refuse(fault, 400, "the request has more than one Transfer-Encoding");
        while (p) {
                p = list_element(p, end, &word, &word_len);
                if (h->chunked || !is_token(word, word_len))
                        return refuse(fault, 400, "Transfer-Encoding does not end in chunked alone");
                h->chunked = equals(word, word_len, "chunked");
                seen->unknown_coding = seen->unknown_coding || !h->chunked;
        }
        return h->chunked || refuse(fault, 400, "Transfer-Encoding does not end in chunked alone");
}

static bool take_field(const char *bytes, const struct http_field *f, struct seen *seen, struct http_head *h,
                       struct http_fault *fault)
{
        const char *name = bytes + f->name.off, *value = bytes + f->value.off;

        switch (f->name.len) {
        case 4:
                if (!equals(name, 4, "Host"))
                        return true;
                if (seen->host++)
                        return refuse(fault, 400, "the request has more than one Host");
                return take_host(value, f->value.len, fault);
        case 6:
                if (!equals(name, 6, "Expect"))
                        return true;
                if (!equals(value, f->value.len, "100-continue"))
                        return refuse(fault, 417, "only 100-continue can be expected");
                h->expect_continue = true;
                return true;
        case 10: return !equals(name, 10, "Connection") || take_connection(value, f->value.len, h);
        case 14:
                if (!equals(name, 14, "Content-Length"))
                        return true;
                if (seen->length++)
                        return refuse(fault, 400, "the request has more than one Content-Length");
                return take_length(value, f->value.len, h, fault);
        case 17:
                if (!equals(name, 17, "Transfer-Encoding"))
                        return true;
                return take_encoding(value, f->value.len, seen, h, fault);
        default: return true;
        }
}

/* RFC 9112 6.1, 6.3: what two readers could take for two different lengths is refused. */
static bool check_framing(const struct seen *seen, struct http_head *h, struct http_fault *fault)
{
        if (seen->host == 0 && h->minor == 1)
                return refuse(fault, 400, "the request has no Host");
        if (seen->encoding && seen->length)
                return refuse(fault, 400, "the request has both Content-Length and Transfer-Encoding");
        if (seen->encoding && h->minor == 0)
                return refuse(fault, 400, "HTTP/1.0 has no Transfer-Encoding");
        if (seen->unknown_coding) /* RFC 9112 6.1 */
                return refuse(fault, 501, "chunked is the one transfer coding that is known here");
        h->has_length = seen->encoding || seen->length;
        if (h->minor == 0)
                h->keep_alive = h->expect_continue = false;
        return true;
}

/**
 * http_parse_head() - read a whole head
 * @bytes:     as http_scan_head() found it
 * @len:       its length, the empty line included; at most HTTP_HEAD_MAX
 * @ret_head:  filled; half filled where the head is refused
 * @ret_fault: set where it is refused
 *
 * Return: false: refuse it. Source: RFC 9112 2 to 7.
 */
bool http_parse_head(const char *bytes, size_t len, struct http_head *ret_head, struct http_fault *ret_fault)
{
        const char *p = bytes, *end = bytes + len;
        struct seen seen = {0};
        struct http_head *h = ret_head;

        h->fields_len = 0;
        h->length = 0;
        h->chunked = h->has_length = h->expect_continue = false;
        h->keep_alive = true;
        if (len > HTTP_HEAD_MAX)
                return refuse(ret_fault, 431, "the request's header is too large");
        for (const char *lf; p < end && (lf = memchr(p, '\n', (size_t)(end - p))); p = lf + 1) {
                if (lf == p || lf[-1] != '\r')
                        return refuse(ret_fault, 400, "a line does not end in CR LF");
                if (p == bytes) {
                        if (!parse_request_line(bytes, lf - 1, h, ret_fault))
                                return false;
                        continue;
                }
                if (lf - 1 == p)
                        return lf + 1 == end ? check_framing(&seen, h, ret_fault)
                                             : refuse(ret_fault, 400, "the header has an empty line");
                if (!parse_field(bytes, p, lf - 1, h, ret_fault) ||
                    !take_field(bytes, &h->fields[h->fields_len - 1], &seen, h, ret_fault))
                        return false;
        }
        return refuse(ret_fault, 400, "the header has no end");
}

/* --- chunked bodies --- */

enum {
        CHUNK_SIZE, /* hexadecimal digits */
        CHUNK_EXT,  /* after ";": ignored, RFC 9112 7.1.1 */
        CHUNK_LF,
        CHUNK_DATA,
        CHUNK_DATA_CR,
        CHUNK_DATA_LF,
        TRAILER_START, /* at the first byte of a line after the last chunk */
        TRAILER_NAME,
        TRAILER_VALUE,
        TRAILER_LF,
        TRAILER_LAST_LF,
};

static bool size_byte(struct http_chunked *c, char b)
{
        int digit = hex_digit(b);

        if (++c->line_len > CHUNK_LINE_MAX)
                return false;
        if (digit >= 0) {
                if (++c->digits > 15) /* leading zeros are none of ours either */
                        return false;
                c->left = c->left * 16 + (unsigned)digit;
                return true;
        }
        c->state = b == ';' ? CHUNK_EXT : CHUNK_LF;
        return c->digits > 0 && (b == ';' || b == '\r');
}

/* Trailer fields are read as strictly as header fields, and dropped. */
static bool trailer_byte(struct http_chunked *c, char b)
{
        if (++c->trailer_len > TRAILER_MAX)
                return false;
        switch (c->state) {
        case TRAILER_START: c->state = b == '\r' ? TRAILER_LAST_LF : TRAILER_NAME; return b == '\r' || is(b, IS_TOKEN);
        case TRAILER_NAME:
                if (b == ':')
                        c->state = TRAILER_VALUE;
                return b == ':' || is(b, IS_TOKEN);
        case TRAILER_VALUE:
                if (b == '\r')
                        c->state = TRAILER_LF;
                return b == '\r' || is(b, IS_VALUE);
        default: /* TRAILER_LF */ c->state = TRAILER_START; return b == '\n';
        }
}

/* One byte that is not data. Return: false where it may not stand there. */
static bool frame_byte(struct http_chunked *c, char b)
{
        switch (c->state) {
        case CHUNK_SIZE: return size_byte(c, b);
        case CHUNK_EXT:
                if (b == '\r')
                        c->state = CHUNK_LF;
                return ++c->line_len <= CHUNK_LINE_MAX && (b == '\r' || is(b, IS_VALUE));
        case CHUNK_LF:
                c->state = c->left ? CHUNK_DATA : TRAILER_START;
                c->digits = c->line_len = 0;
                return b == '\n';
        case CHUNK_DATA_CR: c->state = CHUNK_DATA_LF; return b == '\r';
        case CHUNK_DATA_LF: c->state = CHUNK_SIZE; return b == '\n';
        default: return trailer_byte(c, b);
        }
}

/**
 * http_chunked_feed() - decode what has come of a chunked body
 * @c:         all zero at first, kept between calls
 * @in:        the bytes
 * @len:       how many
 * @out:       where the body's bytes go: in itself, or before it in the same buffer; never behind
 * @out_max:   room for the body; more is 413
 * @ret_used:  how many of in were used: all with HTTP_SCAN_MORE
 * @ret_made:  bytes written to out
 * @ret_fault: set with HTTP_SCAN_REFUSED
 *
 * Return: MORE: feed the next bytes; WHOLE: the body is complete; REFUSED. Source: RFC 9112 7.1.
 */
enum http_scan http_chunked_feed(struct http_chunked *c, const char *in, size_t len, char *out, size_t out_max,
                                 size_t *ret_used, size_t *ret_made, struct http_fault *ret_fault)
{
        size_t used = 0, made = 0;

        while (used < len) {
                if (c->state == CHUNK_DATA) {
                        size_t n = len - used < c->left ? len - used : (size_t)c->left;

                        if (n > out_max - made) {
                                refuse(ret_fault, 413, "the request's body is too large");
                                return HTTP_SCAN_REFUSED;
                        }
                        memmove(out + made, in + used, n);
                        used += n;
                        made += n;
                        c->left -= n;
                        if (c->left == 0)
                                c->state = CHUNK_DATA_CR;
                        continue;
                }
                if (c->state == TRAILER_LAST_LF && in[used] == '\n') {
                        *ret_used = used + 1;
                        *ret_made = made;
                        return HTTP_SCAN_WHOLE;
                }
                if (c->state == TRAILER_LAST_LF || !frame_byte(c, in[used++])) {
                        refuse(ret_fault, 400, "the body is not properly chunked");
                        return HTTP_SCAN_REFUSED;
                }
                if (c->state == CHUNK_DATA && c->left > out_max - made) { /* said before it is sent */
                        refuse(ret_fault, 413, "the request's body is too large");
                        return HTTP_SCAN_REFUSED;
                }
        }
        *ret_used = used;
        *ret_made = made;
        return HTTP_SCAN_MORE;
}

/* agent/hcl_lex.c: cuts HCL or JSON text into tokens. Pure. */
#include "agent/hcl_lex.h"

#include <stdint.h>
#include <string.h>

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_word_start(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_word(char c)
{
        return is_word_start(c) || is_digit(c) || c == '-' || c == '.';
}

static bool has(const struct hcl_lexer *lx, const char *text)
{
        size_t len = strlen(text);

        return (size_t)(lx->end - lx->pos) >= len && memcmp(lx->pos, text, len) == 0;
}

static void wrong(struct hcl_lexer *lx, const char *error)
{
        lx->token = HCL_TOKEN_WRONG;
        lx->error = error;
}

/**
 * hcl_lexer_start() - begins at the first token of a text
 * @lx: filled; hcl_lexer_done() it
 * @text: borrowed until then; valid UTF-8 without NUL
 * @len: bytes of @text
 *
 * A text whose first sign is "{" is JSON, as HCL 1 itself decides it; a byte order mark is skipped.
 */
void hcl_lexer_start(struct hcl_lexer *lx, const char *text, size_t len)
{
        const char *first;

        *lx = (struct hcl_lexer){.pos = text, .end = text + len, .line = 1, .token_line = 1};
        if (has(lx, "\xef\xbb\xbf"))
                lx->pos += 3;
        for (first = lx->pos; first < lx->end && strchr(" \t\r\n", *first); first++)
                ;
        lx->is_json = first < lx->end && *first == '{';
}

/**
 * hcl_lexer_done() - frees what the lexer holds
 * @lx: as started
 */
void hcl_lexer_done(struct hcl_lexer *lx)
{
        buf_done(&lx->text);
}

static void skip_line(struct hcl_lexer *lx)
{
        while (lx->pos < lx->end && *lx->pos != '\n')
                lx->pos++;
}

static bool skip_block_comment(struct hcl_lexer *lx)
{
        for (lx->pos += 2; lx->pos < lx->end; lx->pos++) {
                if (has(lx, "*/")) {
                        lx->pos += 2;
                        return true;
                }
                if (*lx->pos == '\n')
                        lx->line++;
        }
        return false;
}

/* false: a comment without end. */
static bool skip_blank(struct hcl_lexer *lx)
{
        while (lx->pos < lx->end) {
                if (*lx->pos == '\n') {
                        lx->line++;
                        lx->pos++;
                } else if (*lx->pos == ' ' || *lx->pos == '\t' || *lx->pos == '\r') {
                        lx->pos++;
                } else if (!lx->is_json && (*lx->pos == '#' || has(lx, "//"))) {
                        skip_line(lx);
                } else if (!lx->is_json && has(lx, "/*")) {
                        if (!skip_block_comment(lx))
                                return false;
                } else {
                        return true;
                }
        }
        return true;
}

static int digit_value(char c)
{
        if (is_digit(c))
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return 99;
}

static bool read_digits(struct hcl_lexer *lx, int count, int base, uint32_t *ret_value)
{
        uint32_t value = 0;

        if (lx->end - lx->pos < count)
                return false;
        for (int i = 0; i < count; i++) {
                int digit = digit_value(lx->pos[i]);

                if (digit >= base)
                        return false;
                value = value * (uint32_t)base + (uint32_t)digit;
        }
        lx->pos += count;
        *ret_value = value;
        return true;
}

static bool add_utf8(struct buf *b, uint32_t code)
{
        if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
                return false;
        if (code < 0x80) {
                buf_char(b, (char)code);
        } else if (code < 0x800) {
                buf_char(b, (char)(0xc0 | (code >> 6)));
                buf_char(b, (char)(0x80 | (code & 0x3f)));
        } else if (code < 0x10000) {
                buf_char(b, (char)(0xe0 | (code >> 12)));
                buf_char(b, (char)(0x80 | ((code >> 6) & 0x3f)));
                buf_char(b, (char)(0x80 | (code & 0x3f)));
        } else {
                buf_char(b, (char)(0xf0 | (code >> 18)));
                buf_char(b, (char)(0x80 | ((code >> 12) & 0x3f)));
                buf_char(b, (char)(0x80 | ((code >> 6) & 0x3f)));
                buf_char(b, (char)(0x80 | (code & 0x3f)));
        }
        return true;
}

/* After "\u": JSON writes what lies beyond 16 bits as two escapes (RFC 8259, 7). */
static bool read_u16(struct hcl_lexer *lx)
{
        uint32_t code, low;

        if (!read_digits(lx, 4, 16, &code))
                return false;
        if (code >= 0xd800 && code <= 0xdbff && lx->is_json && has(lx, "\\u")) {
                lx->pos += 2;
                if (!read_digits(lx, 4, 16, &low) || low < 0xdc00 || low > 0xdfff)
                        return false;
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        return add_utf8(&lx->text, code);
}

/* After the backslash. HCL's \xHH and \OOO name bytes; only those that are characters too are taken. */
static bool read_escape(struct hcl_lexer *lx)
{
        static const char names[] = "abfnrtv", values[] = "\a\b\f\n\r\t\v";
        const char *found;
        uint32_t code;
        char c;

        if (lx->pos == lx->end)
                return false;
        c = *lx->pos++;
        if (c == '"' || c == '\\' || (c == '/' && lx->is_json)) {
                buf_char(&lx->text, c);
                return true;
        }
        found = c != '\0' ? strchr(names, c) : NULL;
        if (found && !(lx->is_json && (c == 'a' || c == 'v'))) {
                buf_char(&lx->text, values[found - names]);
                return true;
        }
        if (c == 'u')
                return read_u16(lx);
        if (lx->is_json)
                return false;
        if (c == 'U')
                return read_digits(lx, 8, 16, &code) && add_utf8(&lx->text, code);
        if (c == 'x')
                return read_digits(lx, 2, 16, &code) && code < 0x80 && add_utf8(&lx->text, code);
        lx->pos--;
        return read_digits(lx, 3, 8, &code) && code < 0x80 && add_utf8(&lx->text, code);
}

/* "${...}" is kept as it stands: nothing is evaluated, and quotes and line ends inside do not end the string. */
static bool read_template(struct hcl_lexer *lx)
{
        unsigned open = 0;

        for (; lx->pos < lx->end; lx->pos++) {
                char c = *lx->pos;

                buf_char(&lx->text, c);
                if (c == '\n')
                        lx->line++;
                if (c == '{')
                        open++;
                if (c == '}' && --open == 0) {
                        lx->pos++;
                        return true;
                }
        }
        return false;
}

static void read_string(struct hcl_lexer *lx)
{
        lx->token = HCL_TOKEN_STRING;
        for (lx->pos++; lx->pos < lx->end;) {
                char c = *lx->pos;

                if (c == '"') {
                        lx->pos++;
                        return;
                }
                if (c == '\n')
                        break;
                if (!lx->is_json && has(lx, "${")) {
                        buf_char(&lx->text, c);
                        lx->pos++;
                        if (!read_template(lx)) {
                                wrong(lx, "a \"${\" without its end; close it with }");
                                return;
                        }
                } else if (c == '\\') {
                        lx->pos++;
                        if (!read_escape(lx)) {
                                wrong(lx, "a string with an unknown escape; write a backslash as \\\\");
                                return;
                        }
                } else if ((unsigned char)c < 0x20 && lx->is_json) {
                        wrong(lx, "a string with a bare control character; write it as \\u00XX");
                        return;
                } else {
                        buf_char(&lx->text, c);
                        lx->pos++;
                }
        }
        wrong(lx, "a string without its end; close it with \" on the same line");
}

static size_t indent_of(const char *line, const char *end)
{
        const char *p = line;

        while (p < end && (*p == ' ' || *p == '\t'))
                p++;
        return (size_t)(p - line);
}

static const char *line_end(const char *line, const char *end)
{
        const char *nl = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;

        return nl ? nl : end;
}

/* Is this line, but for blanks around it, the word that ends the heredoc? */
static bool is_anchor(const char *line, const char *eol, const char *anchor, size_t anchor_len)
{
        line += indent_of(line, eol);
        while (eol > line && (eol[-1] == '\r' || eol[-1] == ' ' || eol[-1] == '\t'))
                eol--;
        return (size_t)(eol - line) == anchor_len && memcmp(line, anchor, anchor_len) == 0;
}

static void add_heredoc_lines(struct hcl_lexer *lx, const char *first, const char *last, size_t indent)
{
        for (const char *line = first; line < last;) {
                const char *eol = line_end(line, last), *to = eol;
                size_t skip = indent_of(line, eol);

                line += skip < indent ? skip : indent;
                if (to > line && to[-1] == '\r')
                        to--;
                if (to > line)
                        buf_add(&lx->text, line, (size_t)(to - line));
                buf_char(&lx->text, '\n');
                line = eol + 1;
        }
}

/* <<WORD keeps its lines; <<-WORD takes away the indent that all of them, and the last WORD, share. */
static void read_heredoc(struct hcl_lexer *lx)
{
        const char *anchor, *first;
        size_t anchor_len, indent = SIZE_MAX;
        bool unindent = false;

        lx->token = HCL_TOKEN_STRING;
        lx->pos += 2;
        if (has(lx, "-")) {
                unindent = true;
                lx->pos++;
        }
        for (anchor = lx->pos; lx->pos < lx->end && is_word(*lx->pos);)
                lx->pos++;
        anchor_len = (size_t)(lx->pos - anchor);
        if (has(lx, "\r"))
                lx->pos++;
        if (anchor_len == 0 || !has(lx, "\n")) {
                wrong(lx, "<< without a word and a line end after it; write <<EOF");
                return;
        }
        first = lx->pos + 1;
        for (const char *line = first; line < lx->end;) {
                const char *eol = line_end(line, lx->end);
                size_t this_indent = indent_of(line, eol);

                lx->line++;
                if ((line + this_indent < eol && *(line + this_indent) != '\r') && this_indent < indent)
                        indent = this_indent;
                if (is_anchor(line, eol, anchor, anchor_len)) {
                        add_heredoc_lines(lx, first, line, unindent ? indent : 0);
                        lx->pos = eol;
                        return;
                }
                line = eol + 1;
        }
        lx->pos = lx->end;
        wrong(lx, "a heredoc without its end; repeat its word on a line of its own");
}

/* Numbers stay text: who reads them decides what a leading zero means. */
static void read_number(struct hcl_lexer *lx)
{
        const char *from = lx->pos, *p = lx->pos;
        bool good;

        if (*p == '-')
                p++;
        good = p < lx->end && is_digit(*p);
        if (good && *p == '0' && p + 1 < lx->end && (p[1] == 'x' || p[1] == 'X') && !lx->is_json) {
                const char *hex = p += 2;

                while (p < lx->end && digit_value(*p) < 16)
                        p++;
                good = p > hex;
        } else if (good) {
                const char *whole = p;

                while (p < lx->end && is_digit(*p))
                        p++;
                if (lx->is_json && *whole == '0' && p - whole > 1)
                        good = false;
                if (p + 1 < lx->end && *p == '.' && is_digit(p[1]))
                        for (p++; p < lx->end && is_digit(*p);)
                                p++;
                if (p < lx->end && (*p == 'e' || *p == 'E')) {
                        const char *exponent = p + 1;

                        if (exponent < lx->end && (*exponent == '+' || *exponent == '-'))
                                exponent++;
                        if (exponent < lx->end && is_digit(*exponent))
                                for (p = exponent; p < lx->end && is_digit(*p);)
                                        p++;
                }
        }
        lx->pos = p;
        if (!good || (p < lx->end && is_word(*p))) {
                wrong(lx, "not a number; put durations, modes and names into quotes");
                return;
        }
        lx->token = HCL_TOKEN_NUMBER;
        buf_add(&lx->text, from, (size_t)(p - from));
}

/**
 * hcl_lexer_next() - reads the next token
 * @lx: the lexer; token, token_line and, by token, sign, text or error are set
 *
 * After HCL_TOKEN_WRONG or HCL_TOKEN_END it must not be called again.
 */
void hcl_lexer_next(struct hcl_lexer *lx)
{
        buf_reset(&lx->text);
        if (!skip_blank(lx)) {
                lx->token_line = lx->line;
                wrong(lx, "a comment without its end; close it with */");
                return;
        }
        lx->token_line = lx->line;
        if (lx->pos == lx->end) {
                lx->token = HCL_TOKEN_END;
        } else if (*lx->pos == '"') {
                read_string(lx);
        } else if (is_digit(*lx->pos) || *lx->pos == '-') {
                read_number(lx);
        } else if (is_word_start(*lx->pos)) {
                lx->token = HCL_TOKEN_WORD;
                while (lx->pos < lx->end && is_word(*lx->pos))
                        buf_char(&lx->text, *lx->pos++);
        } else if (!lx->is_json && has(lx, "<<")) {
                read_heredoc(lx);
        } else if (strchr("=:,{}[]", *lx->pos)) {
                lx->token = HCL_TOKEN_SIGN;
                lx->sign = *lx->pos++;
        } else {
                wrong(lx, "a character that has no meaning here; remove it, or put the value into quotes");
        }
}

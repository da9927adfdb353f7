/* tests/unit/test_http_parse.c: how strictly common/http_parse.h reads: each rule of refusal is a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/http_parse.h"
#include "common/mem.h"

#define TARGET_MAX 256
#define HEAD_MAX   1024

struct row {
        const char *what;
        const char *bytes;
        size_t len; /* 0: strlen(bytes) */
        int status; /* 0: taken */
};

#define BYTES(text) text, sizeof(text) - 1
#define HOST        "Host: a\r\n"

/* As the server does it: scan, then parse. Return: the status that refuses it, 0, or -1 where more is wanted. */
static int read_head(const char *bytes, size_t len, struct http_head *ret_head, size_t *ret_len)
{
        struct http_fault fault = {0};
        size_t pos = 0;

        switch (http_scan_head(bytes, len, TARGET_MAX, HEAD_MAX, &pos, ret_len, &fault)) {
        case HTTP_SCAN_MORE: return -1;
        case HTTP_SCAN_REFUSED: return fault.status;
        case HTTP_SCAN_WHOLE: break;
        }
        return http_parse_head(bytes, *ret_len, ret_head, &fault) ? 0 : fault.status;
}

static void check_rows(const struct row *rows, size_t rows_len)
{
        for (size_t i = 0; i < rows_len; i++) {
                size_t len = rows[i].len ? rows[i].len : strlen(rows[i].bytes), head_len;
                char *exact = mem_new(len + 1); /* so that the sanitizer sees a read past the end */
                struct http_head head;
                int status;

                memcpy(exact, rows[i].bytes, len);
                exact = mem_resize(exact, len, 1);
                status = read_head(exact, len, &head, &head_len);
                mem_free(exact);
                if (status != rows[i].status)
                        fail_msg("%s: %d, not %d", rows[i].what, status, rows[i].status);
        }
}

static void request_line_is_strict(void **state)
{
        static const struct row rows[] = {
                {"plain", "GET / HTTP/1.1\r\n" HOST "\r\n", 0, 0},
                {"odd but proper method", "M-SEARCH /x HTTP/1.1\r\n" HOST "\r\n", 0, 0},
                {"absolute form", "GET http://a:80/x?y HTTP/1.1\r\n" HOST "\r\n", 0, 0},
                {"query with | and {}", "GET /?q={a|b} HTTP/1.1\r\n" HOST "\r\n", 0, 0},
                {"percent-encoded", "GET /%e4%F6?%2f HTTP/1.1\r\n" HOST "\r\n", 0, 0},
                {"two spaces before the target", "GET  / HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"two spaces before the version", "GET /  HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"tab as separator", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"space at the end", "GET / HTTP/1.1 \r\n" HOST "\r\n", 0, 400},
                {"no version", "GET /\r\n" HOST "\r\n", 0, 400},
                {"no target", "GET HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"version in lower case", "GET / http/1.1\r\n" HOST "\r\n", 0, 400},
                {"version 1.10", "GET / HTTP/1.10\r\n" HOST "\r\n", 0, 400},
                {"version 2.0", "GET / HTTP/2.0\r\n" HOST "\r\n", 0, 505},
                {"version 1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", 0, 505},
                {"version 0.9", "GET / HTTP/0.9\r\n" HOST "\r\n", 0, 505},
                {"method with a bad character", "G(T / HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"method without end", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"relative target", "GET x HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"asterisk", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"authority", "CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"URI without host", "GET http:///x HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"URI without path", "GET http://a HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"URI of another scheme", "GET ftp://a/x HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"fragment", "GET /#a HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"%00", "GET /a%00b HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"%00 in the query", "GET /a?b=%00 HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"bad percent", "GET /a%zz HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"cut percent", "GET /a%4 HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"percent at the end", "GET /a% HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"backslash", "GET /a\\b HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"byte over 127", "GET /\xe4 HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"NUL in the target", BYTES("GET /a\0b HTTP/1.1\r\n" HOST "\r\n"), 400},
                {"TLS on the plain port", BYTES("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"), 400},
                {"HTTP/2's greeting", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 400},
                {"space first", " GET / HTTP/1.1\r\n" HOST "\r\n", 0, 400},
        };

        (void)state;
        check_rows(rows, array_len(rows));
}

static void line_ends_are_strict(void **state)
{
        static const struct row rows[] = {
                {"bare LF after the request line", "GET / HTTP/1.1\n" HOST "\r\n", 0, 400},
                {"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", 0, 400},
                {"bare LF at the end", "GET / HTTP/1.1\r\n" HOST "\n", 0, 400},
                {"bare LFs alone are refused at once", "GET / HTTP/1.1\nHost: a\n\n", 0, 400},
                {"bare CR in the request line", "GET /\r HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"bare CR in a field", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 0, 400},
                {"CR CR LF", "GET / HTTP/1.1\r\r\n" HOST "\r\n", 0, 400},
                {"LF first", "\nGET / HTTP/1.1\r\n" HOST "\r\n", 0, 400},
                {"not whole yet", "GET / HTTP/1.1\r\n" HOST "\r", 0, -1},
                {"nothing yet", BYTES("G"), -1},
        };

        (void)state;
        check_rows(rows, array_len(rows));
}

static void fields_are_strict(void **state)
{
        static const struct row rows[] = {
                {"no blank after the colon", "GET / HTTP/1.1\r\nHost:a\r\n\r\n", 0, 0},
                {"blanks around the value", "GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n", 0, 0},
                {"empty value", "GET / HTTP/1.1\r\n" HOST "X:\r\n\r\n", 0, 0},
                {"bytes over 127 in a value", "GET / HTTP/1.1\r\n" HOST "X: \xe4\xff\r\n\r\n", 0, 0},
                {"space before the colon", "GET / HTTP/1.1\r\n" HOST "X : b\r\n\r\n", 0, 400},
                {"obs-fold", "GET / HTTP/1.1\r\n" HOST "X: b\r\n c\r\n\r\n", 0, 400},
                {"obs-fold with a tab", "GET / HTTP/1.1\r\n" HOST "X: b\r\n\tc\r\n\r\n", 0, 400},
                {"folded first field", "GET / HTTP/1.1\r\n " HOST "\r\n", 0, 400},
                {"no colon", "GET / HTTP/1.1\r\n" HOST "Xb\r\n\r\n", 0, 400},
                {"no name", "GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n", 0, 400},
                {"bad character in a name", "GET / HTTP/1.1\r\n" HOST "X@: b\r\n\r\n", 0, 400},
                {"byte over 127 in a name", "GET / HTTP/1.1\r\n" HOST "X\xe4: b\r\n\r\n", 0, 400},
                {"NUL in a value", BYTES("GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n"), 400},
                {"NUL in a name", BYTES("GET / HTTP/1.1\r\n" HOST "X\0: a\r\n\r\n"), 400},
                {"control character in a value", "GET / HTTP/1.1\r\n" HOST "X: a\x01\r\n\r\n", 0, 400},
                {"DEL in a value", "GET / HTTP/1.1\r\n" HOST "X: a\x7f\r\n\r\n", 0, 400},
                {"what cannot be expected", "GET / HTTP/1.1\r\n" HOST "Expect: tea\r\n\r\n", 0, 417},
        };

        (void)state;
        check_rows(rows, array_len(rows));
}

static void exactly_one_host(void **state)
{
        static const struct row rows[] = {
                {"none", "GET / HTTP/1.1\r\nX: a\r\n\r\n", 0, 400},
                {"no field at all", "GET / HTTP/1.1\r\n\r\n", 0, 400},
                {"two", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 0, 400},
                {"two alike", "GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n", 0, 400},
                {"two with HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 0, 400},
                {"none with HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 0, 0},
                {"empty, as clients of a socket send it", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 0, 0},
                {"with a port", "GET / HTTP/1.1\r\nHost: a.b-c:80\r\n\r\n", 0, 0},
                {"IPv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 0, 0},
                {"with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 0, 400},
                {"with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 0, 400},
                {"two names", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 0, 400},
                {"bad port", "GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", 0, 400},
                {"two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 0, 400},
                {"open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 0, 400},
                {"name in brackets", "GET / HTTP/1.1\r\nHost: [xyz]\r\n\r\n", 0, 400},
        };

        (void)state;
        check_rows(rows, array_len(rows));
}

static void framing_is_strict(void **state)
{
#define POST "POST / HTTP/1.1\r\n" HOST
        static const struct row rows[] = {
                {"length", POST "Content-Length: 0\r\n\r\n", 0, 0},
                {"chunked", POST "Transfer-Encoding: Chunked\r\n\r\n", 0, 0},
                {"+5", POST "Content-Length: +5\r\n\r\n", 0, 400},
                {"-5", POST "Content-Length: -5\r\n\r\n", 0, 400},
                {"0x5", POST "Content-Length: 0x5\r\n\r\n", 0, 400},
                {"5.0", POST "Content-Length: 5.0\r\n\r\n", 0, 400},
                {"5 5", POST "Content-Length: 5 5\r\n\r\n", 0, 400},
                {"5, 5", POST "Content-Length: 5, 5\r\n\r\n", 0, 400},
                {"empty", POST "Content-Length:\r\n\r\n", 0, 400},
                {"2^63", POST "Content-Length: 9223372036854775808\r\n\r\n", 0, 400},
                {"2^64 + 5", POST "Content-Length: 18446744073709551621\r\n\r\n", 0, 400},
                {"two alike", POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 0, 400},
                {"two", POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 0, 400},
                {"both", POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 400},
                {"both, the other way", POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 0, 400},
                {"gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 0, 501},
                {"two unknown, chunked", POST "Transfer-Encoding: a,b ,chunked\r\n\r\n", 0, 501},
                {"unknown and length", POST "Transfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n\r\n", 0, 400},
                {"gzip alone", POST "Transfer-Encoding: gzip\r\n\r\n", 0, 400},
                {"chunked, gzip", POST "Transfer-Encoding: chunked, gzip\r\n\r\n", 0, 400},
                {"chunked, gzip, chunked", POST "Transfer-Encoding: chunked, gzip, chunked\r\n\r\n", 0, 400},
                {"nothing, chunked", POST "Transfer-Encoding: , chunked\r\n\r\n", 0, 400},
                {"chunked, nothing", POST "Transfer-Encoding: chunked,\r\n\r\n", 0, 400},
                {"no token, chunked", POST "Transfer-Encoding: a b, chunked\r\n\r\n", 0, 400},
                {"identity", POST "Transfer-Encoding: identity\r\n\r\n", 0, 400},
                {"xchunked", POST "Transfer-Encoding: xchunked\r\n\r\n", 0, 400},
                {"chunked with a parameter", POST "Transfer-Encoding: chunked;a=b\r\n\r\n", 0, 400},
                {"chunked twice", POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 0, 400},
                {"two fields", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 400},
                {"empty coding", POST "Transfer-Encoding:\r\n\r\n", 0, 400},
                {"HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 400},
        };
#undef POST

        (void)state;
        check_rows(rows, array_len(rows));
}

static int status_of(const struct buf *b)
{
        struct http_head head;
        size_t len;

        return read_head(b->data, b->len, &head, &len);
}

static void heads_are_bounded(void **state)
{
        cleanup_buf struct buf b = BUF_INIT;

        (void)state;
        buf_str(&b, "GET /");
        while (b.len < TARGET_MAX + 3)
                buf_char(&b, 'a');
        assert_int_equal(status_of(&b), -1);
        while (b.len < TARGET_MAX + 100)
                buf_char(&b, 'a');
        assert_int_equal(status_of(&b), 414); /* before its line has ended */

        buf_reset(&b);
        buf_str(&b, "GET / HTTP/1.1\r\n" HOST "X: ");
        while (b.len < HEAD_MAX - 5)
                buf_char(&b, 'a');
        buf_str(&b, "\r\n\r");
        assert_int_equal(status_of(&b), -1);
        buf_str(&b, "\n");
        assert_int_equal(b.len, HEAD_MAX - 1);
        assert_int_equal(status_of(&b), 0);

        buf_reset(&b);
        buf_str(&b, "GET / HTTP/1.1\r\n" HOST "X: ");
        while (b.len < HEAD_MAX)
                buf_char(&b, 'a');
        assert_int_equal(status_of(&b), 431);
        buf_str(&b, "\r\n\r\n");
        assert_int_equal(status_of(&b), 431);

        buf_reset(&b);
        buf_str(&b, "GET / HTTP/1.1\r\n" HOST);
        for (unsigned i = 0; i < HTTP_FIELDS_MAX - 1; i++)
                buf_str(&b, "X:\r\n");
        buf_str(&b, "\r\n");
        assert_int_equal(status_of(&b), 0);
        b.len -= 2;
        buf_str(&b, "X:\r\n\r\n");
        assert_int_equal(status_of(&b), 431);
}

static void assert_span(const char *bytes, struct http_span s, const char *expected)
{
        assert_int_equal(s.len, strlen(expected));
        assert_memory_equal(bytes + s.off, expected, s.len);
}

static void whole_head_is_told(void **state)
{
        static const char bytes[] = "POST /a%20b?c=d&e HTTP/1.1\r\nHost: h:1\r\nX-Empty:\r\nConnection: x , CLOSE\r\n"
                                    "content-LENGTH: 007\r\nExpect: 100-Continue\r\n\r\nbody";
        struct http_head h;
        size_t len;

        (void)state;
        assert_int_equal(read_head(bytes, sizeof(bytes) - 1, &h, &len), 0);
        assert_int_equal(len, sizeof(bytes) - 1 - 4);
        assert_span(bytes, h.method, "POST");
        assert_span(bytes, h.target, "/a%20b?c=d&e");
        assert_span(bytes, h.path, "/a%20b");
        assert_span(bytes, h.query, "c=d&e");
        assert_int_equal(h.fields_len, 5);
        assert_span(bytes, h.fields[0].name, "Host");
        assert_span(bytes, h.fields[0].value, "h:1");
        assert_span(bytes, h.fields[1].value, "");
        assert_int_equal(h.minor, 1);
        assert_false(h.keep_alive);
        assert_true(h.has_length);
        assert_false(h.chunked);
        assert_true(h.expect_continue);
        assert_true(h.length == 7);
}

static void absolute_form_is_split(void **state)
{
        static const char bytes[] = "GET HTTP://u.v:8/w?x HTTP/1.0\r\n\r\n";
        struct http_head h;
        size_t len;

        (void)state;
        assert_int_equal(read_head(bytes, sizeof(bytes) - 1, &h, &len), 0);
        assert_span(bytes, h.path, "/w");
        assert_span(bytes, h.query, "x");
        assert_false(h.keep_alive);
        assert_int_equal(h.minor, 0);
}

/* The scan goes on where it stopped: any way to cut a head gives the same answer. */
static void heads_may_come_in_pieces(void **state)
{
        static const char bytes[] = "GET /abc HTTP/1.1\r\n" HOST "X: y\r\n\r\n";
        struct http_fault fault;

        (void)state;
        for (size_t step = 1; step < sizeof(bytes); step++) {
                size_t pos = 0, head_len = 0, have;
                enum http_scan got = HTTP_SCAN_MORE;

                for (have = step; got == HTTP_SCAN_MORE && have - step < sizeof(bytes) - 1; have += step)
                        got = http_scan_head(bytes, have < sizeof(bytes) - 1 ? have : sizeof(bytes) - 1, TARGET_MAX,
                                             HEAD_MAX, &pos, &head_len, &fault);
                assert_int_equal(got, HTTP_SCAN_WHOLE);
                assert_int_equal(head_len, sizeof(bytes) - 1);
        }
}

/* Feeds `bytes` in pieces of `step`. Return: the status that refuses it, 0, or -1 where more is wanted. */
static int decode(const char *bytes, size_t len, size_t step, size_t max, struct buf *ret_body, size_t *ret_used)
{
        struct http_chunked c = {0};
        size_t all = 0, done = 0;
        char piece[512];

        while (done < len) {
                size_t n = len - done < step ? len - done : step, used, made;
                struct http_fault fault;

                assert_true(n <= sizeof(piece));
                memcpy(piece, bytes + done, n);
                switch (http_chunked_feed(&c, piece, n, piece, max - all, &used, &made, &fault)) {
                case HTTP_SCAN_REFUSED: return fault.status;
                case HTTP_SCAN_WHOLE:
                        buf_add(ret_body, piece, made);
                        *ret_used = done + used;
                        return 0;
                case HTTP_SCAN_MORE: assert_int_equal(used, n); break;
                }
                buf_add(ret_body, piece, made);
                all += made;
                done += n;
        }
        return -1;
}

static void chunks_are_strict(void **state)
{
        static const struct row rows[] = {
                {"nothing", "0\r\n\r\n", 0, 0},
                {"extension", "1;a=\"b c\"\r\nx\r\n0;last\r\n\r\n", 0, 0},
                {"trailer", "1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n", 0, 0},
                {"upper and lower case", "a\r\n0123456789\r\nA\r\n0123456789\r\n00\r\n\r\n", 0, 0},
                {"not whole", "1\r\nx\r\n0\r\n", 0, -1},
                {"0x1", "0x1\r\nx\r\n0\r\n\r\n", 0, 400},
                {"+1", "+1\r\nx\r\n0\r\n\r\n", 0, 400},
                {"-1", "-1\r\nx\r\n0\r\n\r\n", 0, 400},
                {"space before", " 1\r\nx\r\n0\r\n\r\n", 0, 400},
                {"space after", "1 \r\nx\r\n0\r\n\r\n", 0, 400},
                {"space before an extension", "1 ;a\r\nx\r\n0\r\n\r\n", 0, 400},
                {"no size", "\r\nx\r\n0\r\n\r\n", 0, 400},
                {"extension without size", ";a\r\nx\r\n0\r\n\r\n", 0, 400},
                {"bare LF after the size", "1\nx\r\n0\r\n\r\n", 0, 400},
                {"bare LF after the data", "1\r\nx\n0\r\n\r\n", 0, 400},
                {"longer than it says", "1\r\nxy\r\n0\r\n\r\n", 0, 400},
                {"shorter than it says", "3\r\nx\r\n0\r\n\r\n", 0, 400},
                {"16 digits", "1000000000000001\r\nx\r\n0\r\n\r\n", 0, 400},
                {"size past 2^64", "10000000000000001\r\nx\r\n0\r\n\r\n", 0, 400},
                {"NUL in an extension", BYTES("1;\0\r\nx\r\n0\r\n\r\n"), 400},
                {"bare LF at the end", "1\r\nx\r\n0\r\n\n", 0, 400},
                {"bare LF in the trailer", "1\r\nx\r\n0\r\nA: b\n\r\n", 0, 400},
                {"folded trailer", "1\r\nx\r\n0\r\nA: b\r\n c\r\n\r\n", 0, 400},
                {"trailer without name", "1\r\nx\r\n0\r\n: b\r\n\r\n", 0, 400},
                {"larger than allowed", "65\r\n", 0, 413},
        };

        (void)state;
        for (size_t i = 0; i < array_len(rows); i++) {
                size_t len = rows[i].len ? rows[i].len : strlen(rows[i].bytes);

                for (size_t step = 1; step <= len; step++) {
                        cleanup_buf struct buf body = BUF_INIT;
                        size_t used;
                        int status = decode(rows[i].bytes, len, step, 100, &body, &used);

                        if (status != rows[i].status)
                                fail_msg("%s by %zu: %d, not %d", rows[i].what, step, status, rows[i].status);
                }
        }
}

static void chunks_are_put_together(void **state)
{
        static const char bytes[] = "5\r\nhello\r\n1;x\r\n \r\n006\r\nworld!\r\n0\r\nT: t\r\n\r\nGET /next";

        (void)state;
        for (size_t step = 1; step < sizeof(bytes); step++) {
                cleanup_buf struct buf body = BUF_INIT;
                size_t used = 0;

                assert_int_equal(decode(bytes, sizeof(bytes) - 1, step, 12, &body, &used), 0);
                assert_string_equal(buf_text(&body), "hello world!");
                assert_int_equal(used, sizeof(bytes) - 1 - strlen("GET /next"));
        }
}

static void chunk_lines_and_trailers_are_bounded(void **state)
{
        cleanup_buf struct buf b = BUF_INIT, body = BUF_INIT;
        size_t used;

        (void)state;
        buf_str(&b, "1;");
        for (int i = 0; i < 400; i++)
                buf_char(&b, 'a');
        assert_int_equal(decode(b.data, b.len, 512, 100, &body, &used), 400);
        buf_reset(&b);
        buf_str(&b, "0\r\n");
        for (int i = 0; i < 2000; i++)
                buf_str(&b, "A: b\r\n");
        assert_int_equal(decode(b.data, b.len, 512, 100, &body, &used), 400);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(request_line_is_strict),   cmocka_unit_test(line_ends_are_strict),
                cmocka_unit_test(fields_are_strict),        cmocka_unit_test(exactly_one_host),
                cmocka_unit_test(framing_is_strict),        cmocka_unit_test(heads_are_bounded),
                cmocka_unit_test(whole_head_is_told),       cmocka_unit_test(absolute_form_is_split),
                cmocka_unit_test(heads_may_come_in_pieces), cmocka_unit_test(chunks_are_strict),
                cmocka_unit_test(chunks_are_put_together),  cmocka_unit_test(chunk_lines_and_trailers_are_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* common/http_parse.h: HTTP/1.1 messages read strictly (RFC 9112): a complete head, and chunked bodies. Pure. */
#ifndef COMMON_HTTP_PARSE_H
#define COMMON_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_FIELDS_MAX 64    /* more are 431 */
#define HTTP_HEAD_MAX   65535 /* offsets have 16 bits */

struct http_span { /* offset from the head's first byte */
        uint16_t off, len;
};

struct http_field {
        struct http_span name, value; /* the value without the blanks around it */
};

struct http_head {
        struct http_span method, target, path,
                query; /* of the absolute form, path and query of its URI; query without "?" */
        struct http_field fields[HTTP_FIELDS_MAX];
        unsigned fields_len;
        unsigned minor;  /* HTTP/1.x: 0, 1 */
        bool keep_alive; /* 1.1 without "Connection: close" */
        bool has_length; /* Content-Length or chunked was there */
        bool chunked;
        bool expect_continue;
        uint64_t length; /* Content-Length; 0 */
};

/* A refusal: the HTTP status that answers it, and what is wrong, for people; static. */
struct http_fault {
        int status;
        const char *detail;
};

/*
 * Looks for a head's end in what has arrived. pos: how far it was looked through; 0 at first, kept by the caller.
 * Return: 0: not yet; 1: *ret_len is the head's length, empty line included; 2: refuse it now (*ret_fault).
 */
enum http_scan { HTTP_SCAN_MORE, HTTP_SCAN_WHOLE, HTTP_SCAN_REFUSED };
enum http_scan http_scan_head(const char *bytes, size_t len, size_t target_max, size_t head_max, size_t *pos,
                              size_t *ret_len, struct http_fault *ret_fault);

/* Reads a whole head. false: refuse it (*ret_fault); *ret_head may then be half filled. */
bool http_parse_head(const char *bytes, size_t len, struct http_head *ret_head, struct http_fault *ret_fault);

/* --- chunked bodies, decoded in place --- */

struct http_chunked { /* all zero at first */
        int state;
        unsigned digits, line_len;
        uint64_t left; /* of the chunk */
        size_t trailer_len;
};

/*
 * Decodes as much as there is: the body's bytes are moved to out (which may be in, or lie before it in the same buffer).
 * Return: like http_scan_head(): MORE: all of in was used; WHOLE: *ret_used bytes were, the rest is the next request's.
 */
enum http_scan http_chunked_feed(struct http_chunked *c, const char *in, size_t len, char *out, size_t out_max,
                                 size_t *ret_used, size_t *ret_made, struct http_fault *ret_fault);

#endif

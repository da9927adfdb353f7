/* app/page_html.h: the page as HTML; it works without a script. Pure: what is shown goes in, text comes out. */
#ifndef APP_PAGE_HTML_H
#define APP_PAGE_HTML_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct note;
struct rotation_status;

struct page_view {               /* all borrowed */
        const char *token, *key; /* hidden fields of the form: CSRF token, idempotency key */
        const char *fault;       /* beside the form; NULL: none */
        const char *typed;       /* what the form holds already */
        size_t typed_len;
        const struct note *notes;
        size_t notes_len;
        uint64_t before, next; /* paging; 0: the newest, no more */
        const char *notice;    /* why no notes can be shown; NULL: they can */
        const struct rotation_status *rotation;
        uint64_t now_usec; /* wall clock: "2 minutes ago" */
};

void page_html_credentials(struct buf *out, const struct rotation_status *r, uint64_t now_usec); /* the panel's content */
void page_html(struct buf *out, const struct page_view *view);

#endif

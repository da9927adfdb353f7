/* app/http_page.h: the page for people: GET /, POST /notes, and its stylesheet and icon. */
#ifndef APP_HTTP_PAGE_H
#define APP_HTTP_PAGE_H

struct exchange;

void http_page_get(struct exchange *x);
void http_page_post(struct exchange *x);
void http_page_credentials(struct exchange *x); /* GET /credentials: the table alone, for the page's script */
void http_page_script(struct exchange *x);
void http_page_style(struct exchange *x);
void http_page_icon(struct exchange *x);

#endif

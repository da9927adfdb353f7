/* app/http_page.c: the page for people: GET / shows it, POST /notes takes its form. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "app/assets.h"
#include "app/csrf.h"
#include "app/exchange.h"
#include "app/http_notes.h"
#include "app/http_page.h"
#include "app/notes.h"
#include "app/page_html.h"
#include "app/query.h"
#include "app/rotation.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "common/mem.h"
#include "common/parse.h"

#define NOTES_SHOWN 20

/* What the page will show; filled step by step until it is sent. */
struct page {
        char id[CSRF_ID_LEN + 1]; /* the browser's cookie */
        bool is_new_id;
        int status;
        char *fault;
        char *typed;
        size_t typed_len;
        char *key; /* of the form that was sent; NULL: a fresh one is made */
        uint64_t before;
};

static void free_page(void *data)
{
        struct page *p = data;

        mem_free(p->fault);
        mem_free(p->typed);
        mem_free(p->key);
        mem_free(p);
}

/* A browser keeps its cookie for as long as it runs: forms in its other tabs stay good. */
static struct page *begin(struct exchange *x)
{
        struct page *p = mem_new(sizeof(*p));

        p->status = 200;
        p->is_new_id = !csrf_cookie_id(http_request_header(exchange_request(x), "Cookie"), exchange_is_tls(x), p->id);
        if (p->is_new_id)
                csrf_random_id(p->id);
        exchange_hang(x, p, free_page);
        return p;
}

static void set_fault(struct page *p, int status, const char *fault)
{
        mem_free(p->fault);
        p->fault = mem_strdup(fault);
        p->status = status;
}

/* Sends the page. r: the notes; notice: why there are none to show. */
static void send_page(struct exchange *x, const struct notes_result *r, const char *notice)
{
        struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
        struct page *p = exchange_data(x);
        char token[CSRF_TOKEN_LEN + 1], fresh_key[CSRF_ID_LEN + 1];
        struct rotation_status rotation;
        struct page_view view = {
                .token = token,
                .key = p->key ? p->key : fresh_key,
                .fault = p->fault,
                .typed = p->typed,
                .typed_len = p->typed_len,
                .notes = r ? r->items : NULL,
                .notes_len = r ? r->len : 0,
                .before = p->before,
                .next = r ? r->next : 0,
                .notice = notice,
                .rotation = &rotation,
                .now_usec = clock_realtime_usec(),
        };

        csrf_random_id(fresh_key);
        csrf_token(exchange_services(x)->csrf, p->id, token);
        rotation_status(exchange_services(x)->rotation, &rotation);
        page_html(&out, &view);
        if (p->is_new_id) {
                cleanup_free char *cookie = csrf_set_cookie(p->id, exchange_is_tls(x));

                exchange_header(x, "Set-Cookie", cookie);
        }
        exchange_header(x, "Content-Security-Policy",
                        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; "
                        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
        if (p->status == 503 || p->status == 429)
                exchange_header(x, "Retry-After", "1");
        exchange_reply(x, p->status, "text/html; charset=utf-8", out.data, out.len);
}

static void on_list(const struct notes_result *r, void *arg)
{
        struct exchange *x = arg;
        struct page *p = exchange_data(x);

        exchange_wait(x, NULL);
        if (r->outcome == NOTES_OK) {
                send_page(x, r, NULL);
                return;
        }
        if (p->status == 200)
                p->status = 503;
        send_page(x, NULL, "The tasks cannot be read at the moment; the server's log and /readyz say why.");
}

/* Without credentials there is nothing to wait for: the page says so at once, it works. */
static void show(struct exchange *x)
{
        struct page *p = exchange_data(x);
        struct rotation_status rotation;

        rotation_status(exchange_services(x)->rotation, &rotation);
        if (!rotation.has_db) {
                send_page(x, NULL, "There are no credentials for the database yet; the table below says why.");
                return;
        }
        exchange_wait(x, notes_list(exchange_services(x)->notes, NOTES_SHOWN, p->before, on_list, x));
}

/**
 * http_page_get() - GET /, GET /?before=ID
 */
void http_page_get(struct exchange *x)
{
        struct query_page query;
        const char *fault = query_page_read(http_request_query(exchange_request(x)), &query);

        if (fault) {
                exchange_problem(x, 400, NULL, fault);
                return;
        }
        begin(x)->before = query.before;
        show(x);
}

/* --- the form --- */

struct form {
        char *text, *key, *token;
        size_t text_len, token_len;
};

static void form_done(struct form *f)
{
        mem_free(f->text);
        mem_free(f->key);
        mem_free(f->token);
}

/* Browsers send each line end of a textarea as CRLF (WHATWG HTML, 4.10.21.8); what was typed is a line feed. */
static void unite_line_ends(char *text, size_t *len)
{
        size_t out = 0;

        for (size_t i = 0; i < *len; i++)
                if (!(text[i] == '\r' && i + 1 < *len && text[i + 1] == '\n'))
                        text[out++] = text[i];
        text[out] = '\0';
        *len = out;
}

/* Takes the value where the field is ours. Return: 0; -EINVAL: it was there already. */
static int take_field(struct form *f, const char *name, char **value, size_t len)
{
        char **field = strcmp(name, "text") == 0 ? &f->text : strcmp(name, "key") == 0 ? &f->key : NULL;

        if (strcmp(name, "csrf") == 0)
                field = &f->token;
        if (!field)
                return 0;
        if (*field)
                return -EINVAL;
        *field = *value;
        *value = NULL;
        if (field == &f->text)
                f->text_len = len;
        else if (field == &f->token)
                f->token_len = len;
        return 0;
}

static int read_form(const char *body, size_t len, struct form *ret_form)
{
        const char *pos = body, *end = body + len;
        struct form f = {0};
        int r;

        for (;;) {
                cleanup_free char *name = NULL, *value = NULL;
                size_t value_len;

                r = parse_form_next(&pos, end, &name, &value, &value_len);
                if (r <= 0)
                        break;
                r = take_field(&f, name, &value, value_len);
                if (r < 0)
                        break;
        }
        if (r < 0) {
                form_done(&f);
                return r;
        }
        if (f.text)
                unite_line_ends(f.text, &f.text_len);
        *ret_form = f;
        return 0;
}

/* A browser says where a request comes from (Fetch Metadata); one that does not is judged by its cookie alone. */
static bool is_foreign(struct exchange *x)
{
        const char *site = http_request_header(exchange_request(x), "Sec-Fetch-Site");

        return site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
}

static void on_add(const struct notes_result *r, void *arg)
{
        struct exchange *x = arg;
        struct page *p = exchange_data(x);

        exchange_wait(x, NULL);
        switch (r->outcome) {
        case NOTES_CREATED:
        case NOTES_OK: /* the form was sent twice: the note is there once */
                exchange_header(x, "Location", "/");
                exchange_reply(x, 303, NULL, NULL, 0);
                return;
        case NOTES_KEY_REUSED:
                /* Somebody went back and wrote another text into the same form: that is another note. */
                p->key = mem_free(p->key);
                exchange_wait(x, notes_add(exchange_services(x)->notes, p->typed, p->typed_len, NULL, on_add, x));
                return;
        case NOTES_UNKNOWN:
                if (!p->key && r->key)
                        p->key = mem_strdup(r->key);
                set_fault(
                        p, 503,
                        "The connection to the database broke before it was known whether the task was written. Press "
                        "\"Add task\" again: it is not written twice.");
                break;
        case NOTES_OVERLOADED:
                set_fault(p, 429,
                          "Too many requests wait for the database; nothing was written. Press \"Add task\" again.");
                break;
        default:
                set_fault(p, 503,
                          "The database cannot be used at the moment; nothing was written. Press \"Add task\" again.");
        }
        send_page(x, NULL, "The tasks cannot be read at the moment.");
}

static void take_form(struct exchange *x, struct form *f)
{
        bool is_ours = false;
        struct page *p = begin(x);
        const char *fault;

        if (!p->is_new_id && f->token && !is_foreign(x))
                is_ours = csrf_check(exchange_services(x)->csrf, p->id, f->token, f->token_len);
        p->typed = f->text;
        p->typed_len = f->text_len;
        f->text = NULL;
        if (!is_ours) {
                set_fault(p, 403,
                          "This form is too old, or your browser keeps no cookies; nothing was written. Your text is "
                          "still "
                          "here: press \"Add task\" again.");
                show(x);
                return;
        }
        fault = http_notes_text_fault(p->typed ? p->typed : "", p->typed_len);
        if (fault) {
                set_fault(p, 400, fault);
                show(x);
                return;
        }
        if (f->key && http_notes_is_key(f->key)) {
                p->key = f->key;
                f->key = NULL;
        }
        exchange_wait(x, notes_add(exchange_services(x)->notes, p->typed, p->typed_len, p->key, on_add, x));
}

static bool is_form_type(const char *type)
{
        static const char form[] = "application/x-www-form-urlencoded";
        size_t len = sizeof(form) - 1;

        return type && strncasecmp(type, form, len) == 0 && (type[len] == '\0' || type[len] == ';' || type[len] == ' ');
}

/**
 * http_page_post() - POST /notes: the page's form
 *
 * 303 to / once the note is written. Faults are shown beside the form, and what was typed stays in it.
 */
void http_page_post(struct exchange *x)
{
        struct http_request *req = exchange_request(x);
        struct form form = {0};
        const char *body;
        size_t len;

        if (!http_request_has_length(req)) {
                exchange_problem(x, 411, NULL, "A Content-Length is needed.");
                return;
        }
        if (!is_form_type(http_request_header(req, "Content-Type"))) {
                exchange_problem(x, 415, NULL, "The body must be application/x-www-form-urlencoded.");
                return;
        }
        body = http_request_body(req, &len);
        if (read_form(body, len, &form) < 0) {
                exchange_problem(x, 400, NULL, "The form is not properly encoded, or a field stands in it twice.");
                return;
        }
        take_form(x, &form);
        form_done(&form);
}

/* --- what belongs to the page --- */

/**
 * http_page_credentials() - GET /credentials: the panel's table, as it stands in the page
 *
 * The page's script asks for it every few seconds: it must cost the database nothing.
 */
void http_page_credentials(struct exchange *x)
{
        struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
        struct rotation_status rotation;

        rotation_status(exchange_services(x)->rotation, &rotation);
        page_html_credentials(&out, &rotation, clock_realtime_usec());
        exchange_reply(x, 200, "text/html; charset=utf-8", out.data, out.len);
}

/**
 * http_page_script() - GET /app.js
 */
void http_page_script(struct exchange *x)
{
        const struct asset *a = asset_script();

        exchange_reply_cached(x, "no-cache", "text/javascript; charset=utf-8", a->bytes, a->len, a->etag);
}

/**
 * http_page_style() - GET /style.css
 */
void http_page_style(struct exchange *x)
{
        const struct asset *a = asset_style();

        exchange_reply_cached(x, "no-cache", "text/css; charset=utf-8", a->bytes, a->len, a->etag);
}

/**
 * http_page_icon() - GET /favicon.svg
 */
void http_page_icon(struct exchange *x)
{
        const struct asset *a = asset_icon();

        exchange_reply_cached(x, "no-cache", "image/svg+xml", a->bytes, a->len, a->etag);
}

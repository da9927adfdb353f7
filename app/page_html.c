/* app/page_html.c: the page as HTML; it works without a script. */
#include <stdbool.h>
#include <string.h>

#include "app/notes.h"
#include "app/page_html.h"
#include "app/rotation.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/parse.h"

static void html(struct buf *out, const char *text)
{
        buf_html(out, text, strlen(text));
}

static const struct {
        uint64_t sec;
        const char *name;
} units[] = {{365 * 86400, "year"}, {30 * 86400, "month"}, {86400, "day"},
             {3600, "hour"},        {60, "minute"},        {1, "second"}};

/* "2 minutes ago", "in 1 hour": the largest unit that fits, rounded down. app.js says it in the same words. */
static void add_relative(struct buf *out, uint64_t usec, uint64_t now_usec)
{
        bool is_past = usec <= now_usec;
        uint64_t sec = (is_past ? now_usec - usec : usec - now_usec) / USEC_PER_SEC, n;
        size_t i = 0;

        if (sec < 5) {
                buf_str(out, "just now");
                return;
        }
        while (sec < units[i].sec)
                i++;
        n = sec / units[i].sec;
        buf_printf(out, "%s%llu %s%s%s", is_past ? "" : "in ", (unsigned long long)n, units[i].name, n == 1 ? "" : "s",
                   is_past ? " ago" : "");
}

static void add_time(struct buf *out, uint64_t usec, uint64_t now_usec)
{
        char text[CLOCK_TEXT_LEN];

        clock_rfc3339(usec, text);
        buf_printf(out, "<time datetime=\"%s\">", text);
        add_relative(out, usec, now_usec);
        buf_printf(out, "</time> <span class=\"exact\">%.10s %.8s UTC</span>", text, text + 11);
}

static void add_form(struct buf *out, const struct page_view *v)
{
        buf_str(out, "<section aria-labelledby=\"add\">\n<h2 id=\"add\">Add a task</h2>\n");
        if (v->fault) {
                buf_str(out, "<p class=\"fault\" id=\"fault\" role=\"alert\">");
                html(out, v->fault);
                buf_str(out, "</p>\n");
        }
        buf_str(out, "<form method=\"post\" action=\"/notes\">\n<label for=\"text\">Task</label>\n"
                     "<textarea id=\"text\" name=\"text\" rows=\"3\" required aria-describedby=\"");
        buf_str(out, v->fault ? "fault help\" aria-invalid=\"true\">\n" : "help\">\n");
        /* The line feed after the tag is dropped by browsers: a text that begins with one keeps its own. */
        buf_html(out, v->typed ? v->typed : "", v->typed_len);
        buf_printf(out,
                   "</textarea>\n<p class=\"meta\" id=\"help\">Up to %d characters.</p>\n"
                   "<input type=\"hidden\" name=\"csrf\" value=\"%s\">\n<input type=\"hidden\" name=\"key\" value=\"",
                   NOTES_TEXT_CHARS_MAX, v->token);
        html(out, v->key);
        buf_str(out, "\">\n<button type=\"submit\">Add task</button>\n</form>\n</section>\n");
}

static void add_notes(struct buf *out, const struct page_view *v)
{
        buf_printf(out, "<section aria-labelledby=\"list\">\n<h2 id=\"list\">%s</h2>\n",
                   v->before ? "Older tasks" : "Newest tasks");
        if (v->notice) {
                buf_str(out, "<p class=\"notice\" role=\"status\">");
                html(out, v->notice);
                buf_str(out, "</p>\n");
        } else if (v->notes_len == 0) {
                buf_str(out, v->before ? "<p>There are no older tasks.</p>\n" : "<p>There are no tasks yet.</p>\n");
        } else {
                buf_str(out, "<ol class=\"notes\">\n");
                for (size_t i = 0; i < v->notes_len; i++) {
                        buf_printf(out, "<li id=\"note-%llu\"><p class=\"text\">", (unsigned long long)v->notes[i].id);
                        buf_html(out, v->notes[i].text, v->notes[i].text_len);
                        buf_str(out, "</p><p class=\"meta\">");
                        add_time(out, v->notes[i].created_usec, v->now_usec);
                        buf_str(out, "</p></li>\n");
                }
                buf_str(out, "</ol>\n");
        }
        if (v->before || v->next) {
                buf_str(out, "<nav aria-label=\"Pages of tasks\">");
                if (v->before)
                        buf_str(out, "<a href=\"/\">Newest tasks</a> ");
                if (v->next)
                        buf_printf(out, "<a href=\"/?before=%llu\">Older tasks</a>", (unsigned long long)v->next);
                buf_str(out, "</nav>\n");
        }
        buf_str(out, "</section>\n");
}

static void add_version(struct buf *out, uint64_t version)
{
        if (version)
                buf_printf(out, "%llu", (unsigned long long)version);
        else
                buf_str(out, "none");
}

static void add_secret(struct buf *out, const struct rotation_secret *s, uint64_t now_usec)
{
        buf_str(out, "<tr><th scope=\"row\">");
        html(out, s->name);
        buf_str(out, "</th><td class=\"version\">");
        add_version(out, s->in_use);
        buf_str(out, "</td><td>");
        if (s->version == 0)
                buf_str(out, "not known");
        else if (s->expires_usec == USEC_NEVER)
                buf_str(out, "when its content does");
        else
                add_time(out, s->expires_usec, now_usec);
        buf_str(out, "</td><td>");
        if (s->in_use && s->in_use == s->version) {
                buf_printf(out, "<span class=\"good\">in use%s</span>", s->stale ? ", not renewed at the moment" : "");
        } else {
                buf_str(out, "<span class=\"bad\">");
                if (s->version && s->version != s->in_use)
                        buf_printf(out, "version %llu is not in use: ", (unsigned long long)s->version);
                html(out, s->problem);
                buf_str(out, "</span>");
        }
        buf_str(out, "</td></tr>\n");
}

static void add_certificate(struct buf *out, const struct rotation_status *r, uint64_t now_usec)
{
        buf_str(out, "<dt>Certificate</dt><dd>");
        if (r->serial[0] == '\0') {
                buf_str(out, "none</dd>\n");
                return;
        }
        buf_str(out, "serial number <code id=\"serial\">");
        html(out, r->serial);
        buf_str(out, "</code></dd>\n<dd>ends ");
        add_time(out, r->not_after_usec, now_usec);
        buf_str(out, "</dd>\n");
}

/**
 * page_html_credentials() - the panel's content: which version of what is in use, and until when
 */
void page_html_credentials(struct buf *out, const struct rotation_status *r, uint64_t now_usec)
{
        buf_str(out,
                "<table>\n<caption>What this program was given, and which version of it works right now.</caption>\n"
                "<thead><tr><th scope=\"col\">Secret</th><th scope=\"col\">Version in use</th>"
                "<th scope=\"col\">Changes before</th><th scope=\"col\">State</th></tr></thead>\n<tbody>\n");
        for (size_t i = 0; i < r->secrets_len; i++)
                add_secret(out, &r->secrets[i], now_usec);
        buf_str(out, "</tbody>\n</table>\n<dl>\n<dt>Database user</dt><dd><code id=\"db-user\">");
        html(out, r->username[0] ? r->username : "none");
        buf_str(out, "</code></dd>\n");
        if (r->has_tls)
                add_certificate(out, r, now_usec);
        buf_str(out, "<dt>Agent</dt><dd>");
        if (r->agent_connected) {
                buf_str(out, "connected");
        } else {
                buf_str(out, "<span class=\"bad\">not connected: ");
                html(out, r->agent_problem);
                buf_str(out, "</span>; this began ");
                add_time(out, r->agent_since_usec, now_usec);
        }
        buf_str(out, "</dd>\n</dl>\n");
}

/* What can be scrolled can be reached by keyboard; app.js puts fresh content into #panel and its news beside it. */
static void add_credentials(struct buf *out, const struct page_view *v)
{
        buf_str(out,
                "<section aria-labelledby=\"credentials\">\n<h2 id=\"credentials\">Credentials in use</h2>\n"
                "<div class=\"scroll\" id=\"panel\" role=\"group\" aria-labelledby=\"credentials\" tabindex=\"0\">\n");
        page_html_credentials(out, v->rotation, v->now_usec);
        buf_str(out, "</div>\n<p class=\"meta\" id=\"news\" role=\"status\"></p>\n</section>\n");
}

/**
 * page_html() - the whole page
 *
 * Landmarks, labels and one heading order for those who do not see it; every text of others is escaped.
 */
void page_html(struct buf *out, const struct page_view *v)
{
        buf_str(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        buf_printf(out, "<title>%sTasks - Leasekeeper notes</title>\n", v->fault ? "Error: " : "");
        buf_str(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                     "<meta name=\"color-scheme\" content=\"light dark\">\n"
                     "<link rel=\"stylesheet\" href=\"/style.css\">\n"
                     "<script src=\"/app.js\" defer></script>\n"
                     "<link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\">\n</head>\n<body>\n"
                     "<a class=\"skip\" href=\"#main\">Skip to the tasks</a>\n"
                     "<header>\n<h1>Tasks</h1>\n"
                     "<p>Kept in a database whose password changes while you read this.</p>\n</header>\n"
                     "<main id=\"main\">\n");
        add_form(out, v);
        add_notes(out, v);
        add_credentials(out, v);
        buf_str(out, "</main>\n<footer>\n<p>notesd " LEASEKEEPER_VERSION
                     ", <a href=\"/openapi.json\">its HTTP interface</a></p>\n</footer>\n</body>\n</html>\n");
}

/* common/log.c: one line an event on stderr, as text or JSON. */
#include "common/log.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_LINE_MAX  4096 /* with its newline; what a pipe takes in one piece (PIPE_BUF) */
#define LOG_TAIL_MAX  8    /* ..."} and the newline */
#define LOG_WAIT_MSEC 200
#define FIELD_MAX     72 /* of a field's text: eight, each byte escaped to six, still fit into a line */

struct line {
        char text[LOG_LINE_MAX];
        size_t len;
};

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};

/* Written by log_setup() before there is a second thread; the lock guards what is said and lost on stderr. */
static struct {
        char program[32];
        enum log_level level;
        bool json, journal;
        pthread_mutex_t lock;
        uint64_t lost;
} sink = {.program = "", .level = LOG_LEVEL_INFO, .lock = PTHREAD_MUTEX_INITIALIZER};

/**
 * log_level_parse() - a level by its name
 * @text: "error", "err", "warn", "info", "debug", "trace", in any case
 * @ret_level: the level
 *
 * Return: 0; -EINVAL.
 */
int log_level_parse(const char *text, enum log_level *ret_level)
{
        if (strcasecmp(text, "err") == 0)
                text = "error";
        for (size_t i = 0; i < array_len(level_names); i++) {
                if (strcasecmp(text, level_names[i]) == 0) {
                        *ret_level = (enum log_level)i;
                        return 0;
                }
        }
        return -EINVAL;
}

/* systemd names the journal's stream by device and inode, since stderr may have been redirected later (systemd.exec(5)). */
static bool stderr_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        char mine[48];
        struct stat st;

        if (!stream || fstat(STDERR_FILENO, &st) < 0)
                return false;
        snprintf(mine, sizeof(mine), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
        return strcmp(stream, mine) == 0;
}

/**
 * log_setup() - how this process logs; before there is a second thread
 * @program: its name, for the JSON form; copied
 * @level: the least urgent level that is written
 * @json: one JSON object a line instead of text
 *
 * May be called again to change the level. Without a call: text, LOG_LEVEL_INFO.
 */
void log_setup(const char *program, enum log_level level, bool json)
{
        snprintf(sink.program, sizeof(sink.program), "%s", program);
        sink.level = level;
        sink.json = json;
        sink.journal = stderr_is_journal();
}

/**
 * log_enabled() - would this level be written?
 * @level: level
 *
 * Return: true where it would.
 */
bool log_enabled(enum log_level level)
{
        return level <= sink.level;
}

static void line_add(struct line *l, const char *text)
{
        size_t len = strlen(text), room = sizeof(l->text) - l->len;

        if (len > room)
                len = room;
        memcpy(l->text + l->len, text, len);
        l->len += len;
}

/* One character so that it stays on its line and moves no terminal. Return: bytes of `text` used. */
static size_t escape_plain(const char *text, size_t len, char out[8], size_t *ret_out_len)
{
        unsigned char c = (unsigned char)text[0];
        size_t used = parse_utf8_one(text, len);

        if (c == '\n' || c == '\r' || c == '\t') {
                out[0] = '\\';
                out[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
                *ret_out_len = 2;
                return 1;
        }
        if (used == 0 || c < 0x20 || c == 0x7f || (used == 2 && c == 0xc2 && (unsigned char)text[1] < 0xa0)) {
                *ret_out_len = (size_t)snprintf(out, 8, "\\x%02x", c);
                return 1;
        }
        memcpy(out, text, used);
        *ret_out_len = used;
        return used;
}

static void line_add_escaped(struct line *l, const char *text, size_t len, bool cut)
{
        char out[8];
        size_t out_len;

        for (size_t i = 0; i < len;) {
                i += sink.json ? buf_json_escape(text + i, len - i, out, &out_len)
                               : escape_plain(text + i, len - i, out, &out_len);
                if (l->len + out_len > sizeof(l->text) - LOG_TAIL_MAX) {
                        cut = true;
                        break;
                }
                memcpy(l->text + l->len, out, out_len);
                l->len += out_len;
        }
        if (cut)
                line_add(l, "...");
}

/* What stands before an event's own words. */
static void begin_line(struct line *l, enum log_level level)
{
        static const char *const priority[] = {"<3>", "<4>", "<6>", "<7>", "<7>"};
        uint64_t now = clock_realtime_usec();
        unsigned msec = (unsigned)(now / USEC_PER_MSEC % 1000);
        char date[CLOCK_TEXT_LEN], time[CLOCK_TEXT_LEN];

        snprintf(time, sizeof(time), "%.19s.%03uZ", clock_rfc3339(now, date), msec);
        l->len = 0;
        if (sink.json) {
                line_add(l, "{\"time\":\"");
                line_add(l, time);
                line_add(l, "\",\"level\":\"");
                line_add(l, level_names[level]);
                line_add(l, "\",\"program\":\"");
                line_add_escaped(l, sink.program, strlen(sink.program), false);
                line_add(l, "\",\"message\":\"");
        } else if (sink.journal) {
                line_add(l, priority[level]);
        } else {
                line_add(l, time);
                line_add(l, " ");
                line_add(l, level_names[level]);
                line_add(l, " ");
        }
}

static void compose(struct line *l, enum log_level level, const char *text, size_t len, bool cut)
{
        begin_line(l, level);
        line_add_escaped(l, text, len, cut);
        line_add(l, sink.json ? "\"}\n" : "\n");
}

static void add_field(struct line *l, const struct log_field *f)
{
        bool is_quoted = f->text && (sink.json || f->text[strcspn(f->text, " \"")]);
        char number[24];

        line_add(l, sink.json ? ",\"" : " ");
        line_add(l, f->name);
        line_add(l, sink.json ? "\":" : "=");
        if (!f->text) {
                snprintf(number, sizeof(number), "%" PRIu64, f->number);
                line_add(l, number);
                return;
        }
        line_add(l, is_quoted ? "\"" : "");
        line_add_escaped(l, f->text, strnlen(f->text, FIELD_MAX), false);
        line_add(l, is_quoted ? "\"" : "");
}

static bool stderr_is_ready(int wait_msec)
{
        struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
        int n;

        do
                n = poll(&p, 1, wait_msec);
        while (n < 0 && errno == EINTR);
        return n != 0;
}

static void write_line(const struct line *l)
{
        size_t done = 0;

        while (done < l->len) {
                ssize_t n = write(STDERR_FILENO, l->text + done, l->len - done);

                if (n > 0)
                        done += (size_t)n;
                else if (n == 0 || (errno != EINTR && (errno != EAGAIN || !stderr_is_ready(LOG_WAIT_MSEC))))
                        return;
        }
}

/*
 * A reader of stderr that stopped reading must not stop the program: the first line waits a moment for it, the others are
 * counted until it reads again. A pipe or socket that poll() calls ready takes a line of LOG_LINE_MAX without waiting.
 */
static void emit_locked(const struct line *l)
{
        struct line report;
        char text[96];

        if (!stderr_is_ready(sink.lost ? 0 : LOG_WAIT_MSEC)) {
                sink.lost++;
                return;
        }
        if (sink.lost) {
                int len = snprintf(text, sizeof(text), "log: %" PRIu64 " lines lost: nobody read stderr", sink.lost);

                compose(&report, LOG_LEVEL_WARN, text, (size_t)len, false);
                write_line(&report);
                sink.lost = 0;
                if (!stderr_is_ready(0)) {
                        sink.lost = 1;
                        return;
                }
        }
        write_line(l);
}

static void emit(const struct line *l)
{
        pthread_mutex_lock(&sink.lock);
        emit_locked(l);
        pthread_mutex_unlock(&sink.lock);
}

/* Drops the started character that a cut left at the end. */
static size_t whole_characters(const char *text, size_t len)
{
        while (len > 0 && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
                len--;
        return len > 0 && (unsigned char)text[len - 1] >= 0xc0 ? len - 1 : len;
}

/**
 * log_msg() - writes one line
 * @level: level
 * @fmt: printf(3) format, no newline; control characters are escaped, a line ends at 4 KiB. Never a secret
 *
 * May be called from any thread, not from a signal handler. errno stays as it was.
 */
void log_msg(enum log_level level, const char *fmt, ...)
{
        char text[LOG_LINE_MAX];
        int len, saved_errno = errno;
        struct line line;
        bool cut;
        va_list ap;

        if (!log_enabled(level))
                return;
        va_start(ap, fmt);
        len = vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        if (len < 0)
                len = snprintf(text, sizeof(text), "%s", fmt);
        cut = (size_t)len >= sizeof(text);
        compose(&line, level, text, cut ? whole_characters(text, sizeof(text) - 1) : (size_t)len, cut);
        emit(&line);
        errno = saved_errno;
}

/**
 * log_fields() - writes one line of named values
 * @level: level
 * @what: what they are about, a word
 * @fields: borrowed; names are words of ours, a text is cut at FIELD_MAX bytes. Never a secret
 * @len: how many; eight at most
 *
 * As text "what name=value name=value", a value that is no single word in quotes; as JSON each is a member of the line's
 * object, a number as a number. May be called where log_msg() may. errno stays as it was.
 */
void log_fields(enum log_level level, const char *what, const struct log_field *fields, size_t len)
{
        int saved_errno = errno;
        struct line line;

        if (!log_enabled(level))
                return;
        begin_line(&line, level);
        line_add(&line, what);
        line_add(&line, sink.json ? "\"" : "");
        for (size_t i = 0; i < len; i++)
                add_field(&line, &fields[i]);
        line_add(&line, sink.json ? "}\n" : "\n");
        emit(&line);
        errno = saved_errno;
}

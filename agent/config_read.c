/* agent/config_read.c: nodes of the tree into checked values by table; the findings on the way. */
#include "agent/config_read.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/parse.h"

#define FINDINGS_MAX 200
#define KEYS_MAX     128
#define PATH_LEN_MAX 4000 /* below PATH_MAX: temporary names stand beside the file */

static const char too_many[] = "too many findings; correct those above first";

/* Errors decide the exit status: warnings alone never crowd them out. */
static void add_line(struct config_reader *r, bool is_warning, char *line)
{
        struct config_findings *f = r->findings;

        if (f->len > FINDINGS_MAX || (is_warning && f->len == FINDINGS_MAX)) {
                mem_free(line);
                return;
        }
        for (char *p = line; *p; p++) /* a finding is one line, whatever a key's name holds */
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        *p = '?';
        f->items = mem_resize(f->items, f->len + 1, sizeof(*f->items));
        f->items[f->len++] = (struct config_finding){line, is_warning};
}

__attribute__((format(printf, 4, 0))) static void add_finding(struct config_reader *r, bool is_warning,
                                                              const char *where, const char *fmt, va_list args)
{
        char text[1024];

        vsnprintf(text, sizeof(text), fmt, args);
        add_line(r, is_warning, mem_printf("%s: %s", where, r->findings->len == FINDINGS_MAX ? too_many : text));
}

/**
 * config_where() - the place of a node
 * @at: the node
 *
 * Return: new, "FILE:LINE".
 */
char *config_where(const struct hcl_node *at)
{
        return mem_printf("%s:%u", at->file, at->line);
}

/**
 * config_member() - the member of a block that a message is about
 * @body: the block
 * @key: the member
 *
 * Return: borrowed; the block itself where it has no such member.
 */
const struct hcl_node *config_member(const struct hcl_node *body, const char *key)
{
        for (size_t i = 0; body->type == HCL_OBJECT && i < body->items_len; i++)
                if (strcmp(body->items[i]->key, key) == 0)
                        return body->items[i];
        return body;
}

/**
 * config_error() - notes what makes the configuration unusable
 * @r: collects
 * @at: where
 * @fmt: "what is wrong; what to do"
 */
void config_error(struct config_reader *r, const struct hcl_node *at, const char *fmt, ...)
{
        cleanup_free char *where = config_where(at);
        va_list args;

        va_start(args, fmt);
        add_finding(r, false, where, fmt, args);
        va_end(args);
}

/**
 * config_warn() - notes what the operator should know
 * @r: collects
 * @at: where
 * @fmt: "what is odd; what to do"
 */
void config_warn(struct config_reader *r, const struct hcl_node *at, const char *fmt, ...)
{
        cleanup_free char *where = config_where(at);
        va_list args;

        va_start(args, fmt);
        add_finding(r, true, where, fmt, args);
        va_end(args);
}

/**
 * config_error_at() - config_error() for a place that is known as text
 * @r: collects
 * @where: "FILE:LINE"
 * @fmt: "what is wrong; what to do"
 */
void config_error_at(struct config_reader *r, const char *where, const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        add_finding(r, false, where, fmt, args);
        va_end(args);
}

/**
 * config_error_line() - notes an error that is a whole line already
 * @r: collects
 * @line: "FILE:LINE: what is wrong; what to do"; stolen
 */
void config_error_line(struct config_reader *r, char *line)
{
        add_line(r, false, line);
}

/**
 * config_warn_at() - config_warn() for a place that is known as text
 * @r: collects
 * @where: "FILE:LINE"
 * @fmt: "what is odd; what to do"
 */
void config_warn_at(struct config_reader *r, const char *where, const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        add_finding(r, true, where, fmt, args);
        va_end(args);
}

static void unknown_key(struct config_reader *r, const struct hcl_node *item, const struct config_schema *schema,
                        const char *title)
{
        const char *names[KEYS_MAX], *near;

        for (size_t i = 0; i < schema->len && i < KEYS_MAX; i++)
                names[i] = schema->keys[i].name;
        near = parse_nearest(item->key, names, schema->len);
        config_error(r, item, "unknown key \"%.100s\"%s%.100s; %s%s%s", item->key, title ? " in " : "",
                     title ? title : "", near ? "did you mean \"" : "remove it, leasekeeperd.hcl(5) lists the keys",
                     near ? near : "", near ? "\"?" : "");
}

static const struct config_key *find_key(const struct config_schema *schema, const char *name)
{
        for (size_t i = 0; i < schema->len; i++)
                if (strcmp(schema->keys[i].name, name) == 0)
                        return &schema->keys[i];
        return NULL;
}

/**
 * config_read_members() - reads a block by its table
 * @r: collects findings
 * @body: an object
 * @schema: what may stand in it; at most KEYS_MAX keys
 * @title: the block for messages; NULL at the top
 * @target: the struct that the keys' offsets count from
 */
void config_read_members(struct config_reader *r, const struct hcl_node *body, const struct config_schema *schema,
                         const char *title, void *target)
{
        bool seen[KEYS_MAX] = {false};

        for (size_t i = 0; i < body->items_len; i++) {
                const struct hcl_node *item = body->items[i];
                const struct config_key *key = find_key(schema, item->key);
                bool *was_seen;

                if (!key) {
                        unknown_key(r, item, schema, title);
                        continue;
                }
                was_seen = &seen[key - schema->keys];
                switch (key->class_) {
                case CONFIG_KEY_IGNORED:
                        if (!*was_seen)
                                config_warn(r, item, "\"%s\"%s%.100s is ignored: %s", key->name, title ? " in " : "",
                                            title ? title : "", key->why);
                        break;
                case CONFIG_KEY_LATER:
                        config_error(r, item, "\"%s\"%s%.100s is not supported yet; remove it", key->name,
                                     title ? " in " : "", title ? title : "");
                        break;
                case CONFIG_KEY_BUILT:
                        if (*was_seen)
                                config_error(r, item, "\"%s\"%s%.100s stands twice; keep one of them", key->name,
                                             title ? " in " : "", title ? title : "");
                        else
                                key->read(r, item, (char *)target + key->offset);
                        break;
                case CONFIG_KEY_REPEATS: key->read(r, item, (char *)target + key->offset); break;
                }
                *was_seen = true;
        }
}

static bool has_label(const struct hcl_node *body, const struct config_schema *bare)
{
        if (body->items_len == 0)
                return false;
        for (size_t i = 0; i < body->items_len; i++) {
                const struct hcl_node *item = body->items[i];

                if (item->type != HCL_OBJECT && item->type != HCL_LIST)
                        return false;
                for (size_t k = 0; item->type == HCL_LIST && k < item->items_len; k++)
                        if (item->items[k]->type != HCL_OBJECT)
                                return false;
                if (bare && find_key(bare, item->key))
                        return false;
        }
        return true;
}

static size_t each_labelled(struct config_reader *r, const struct hcl_node *body, config_body_fn fn, void *arg)
{
        size_t count = 0;

        for (size_t i = 0; i < body->items_len; i++) {
                const struct hcl_node *item = body->items[i];

                if (item->type == HCL_OBJECT) {
                        fn(r, item->key, item, arg);
                        count++;
                        continue;
                }
                for (size_t k = 0; k < item->items_len; k++, count++)
                        fn(r, item->key, item->items[k], arg);
        }
        return count;
}

/**
 * config_each_body() - calls a function for each block that one key holds
 * @r: collects findings
 * @value: the key's node: an object, or a list of objects as JSON writes repeated blocks
 * @labelled: members of the object may be labels
 * @bare: with @labelled: a member of one of these names shows that it is the block itself. May be NULL
 * @fn: called with the label (NULL without) and the block
 * @arg: for @fn
 *
 * Return: how many blocks there were.
 */
size_t config_each_body(struct config_reader *r, const struct hcl_node *value, bool labelled,
                        const struct config_schema *bare, config_body_fn fn, void *arg)
{
        size_t count = 0;

        if (value->type == HCL_OBJECT) {
                if (labelled && has_label(value, bare))
                        return each_labelled(r, value, fn, arg);
                fn(r, NULL, value, arg);
                return 1;
        }
        if (value->type != HCL_LIST) {
                config_error(r, value, "\"%s\" is %s; it must be a block: %s { ... }", value->key,
                             hcl_type_text(value->type), value->key);
                return 0;
        }
        for (size_t i = 0; i < value->items_len; i++) {
                const struct hcl_node *item = value->items[i];

                if (item->type == HCL_OBJECT)
                        count += config_each_body(r, item, labelled, bare, fn, arg);
                else
                        config_error(r, item, "\"%s\" holds %s; it must be a list of blocks", value->key,
                                     hcl_type_text(item->type));
        }
        return count;
}

static const char *key_of(const struct hcl_node *value)
{
        return value->key ? value->key : "the list";
}

static void wrong_type(struct config_reader *r, const struct hcl_node *value, const char *wanted)
{
        config_error(r, value, "\"%s\" is %s; it must be %s", key_of(value), hcl_type_text(value->type), wanted);
}

/**
 * config_read_string() - reads a string; "" counts as not given
 * @r: collects findings
 * @value: the node
 * @field: char *, freed and set anew
 */
void config_read_string(struct config_reader *r, const struct hcl_node *value, void *field)
{
        char **text = field;

        if (value->type != HCL_STRING) {
                wrong_type(r, value, "a string in quotes");
                return;
        }
        mem_free(*text);
        *text = *value->text ? mem_strdup(value->text) : NULL;
}

/**
 * config_parse_bool() - reads a truth value as Vault does
 * @text: 1 t T true TRUE True, 0 f F false FALSE False
 * @ret_value: the value
 *
 * Return: whether it was one. Source: Go's strconv.ParseBool, which Vault's parseutil uses.
 */
bool config_parse_bool(const char *text, bool *ret_value)
{
        static const char *const words[] = {"0",     "1",    "f",     "t",    "F",     "T",
                                            "false", "true", "FALSE", "TRUE", "False", "True"};

        for (size_t i = 0; i < array_len(words); i++) {
                if (strcmp(text, words[i]) == 0) {
                        *ret_value = i % 2;
                        return true;
                }
        }
        return false;
}

/**
 * config_read_bool() - reads a truth value: bare, in quotes, or 0 and 1
 * @r: collects findings
 * @value: the node
 * @field: bool
 */
void config_read_bool(struct config_reader *r, const struct hcl_node *value, void *field)
{
        if (!value->text || !config_parse_bool(value->text, field))
                config_error(r, value, "\"%s\" is %s%.100s; it must be true or false", key_of(value),
                             value->text ? "" : hcl_type_text(value->type), value->text ? value->text : "");
}

/**
 * config_read_duration() - reads a duration: "90s", "5m", "1h30m", or seconds
 * @r: collects findings
 * @value: the node
 * @field: uint64_t, usec
 */
void config_read_duration(struct config_reader *r, const struct hcl_node *value, void *field)
{
        if (value->type != HCL_STRING && value->type != HCL_NUMBER)
                wrong_type(r, value, "a duration: \"90s\", \"5m\", \"1h30m\" or seconds");
        else if (parse_duration(value->text, field) < 0)
                config_error(r, value, "\"%s\" is no duration: %.100s; write \"90s\", \"5m\", \"1h30m\" or seconds",
                             key_of(value), value->text);
}

/**
 * config_read_count() - reads a whole number, 0 to 1,000,000
 * @r: collects findings
 * @value: the node
 * @field: unsigned
 */
void config_read_count(struct config_reader *r, const struct hcl_node *value, void *field)
{
        uint64_t number;

        if ((value->type != HCL_NUMBER && value->type != HCL_STRING) ||
            parse_u64(value->text, strlen(value->text), 1000000, &number) < 0)
                config_error(r, value, "\"%s\" is no whole number from 0 to 1000000; correct it", key_of(value));
        else
                *(unsigned *)field = (unsigned)number;
}

/**
 * config_parse_rate() - reads a rate: a decimal number from 0 to a million, without sign or exponent
 * @text: the number
 * @ret_value: the rate
 *
 * Return: whether it was one.
 */
bool config_parse_rate(const char *text, double *ret_value)
{
        size_t digits = strspn(text, "0123456789"), fraction = 0;
        double scale = 1, value = 0;

        if (text[digits] == '.')
                fraction = strspn(text + digits + 1, "0123456789");
        if (digits == 0 || digits > 7 || fraction > 9 || (text[digits] == '.' && fraction == 0) ||
            text[digits + (fraction ? fraction + 1 : 0)] != '\0')
                return false;
        for (size_t i = 0; i < digits; i++)
                value = value * 10 + (text[i] - '0');
        for (size_t i = 0; i < fraction; i++)
                value += (text[digits + 1 + i] - '0') * (scale /= 10);
        if (value > 1e6)
                return false;
        *ret_value = value;
        return true;
}

/**
 * config_read_rate() - reads a rate a second
 * @r: collects findings
 * @value: the node
 * @field: double
 */
void config_read_rate(struct config_reader *r, const struct hcl_node *value, void *field)
{
        if ((value->type != HCL_NUMBER && value->type != HCL_STRING) || !config_parse_rate(value->text, field))
                config_error(r, value, "\"%s\" is no rate; write requests a second, 0 for no limit", key_of(value));
}

/**
 * config_read_mode() - reads a file mode: "0440" in quotes, or 0440
 * @r: collects findings
 * @value: the node
 * @field: mode_t
 *
 * A bare number without a leading zero is refused: 440 is 0670, and nobody who writes it means that.
 */
void config_read_mode(struct config_reader *r, const struct hcl_node *value, void *field)
{
        const char *text = value->text;
        bool good = (value->type == HCL_STRING || (value->type == HCL_NUMBER && *text == '0')) && *text != '\0' &&
                    strspn(text, "01234567") == strlen(text) && strlen(text) <= 5;
        unsigned long mode = good ? strtoul(text, NULL, 8) : 0;

        if (!good || mode > 0777)
                config_error(r, value, "\"%s\" is no file mode; write it in octal and in quotes, like \"0440\"",
                             key_of(value));
        else
                *(mode_t *)field = (mode_t)mode;
}

/* The strings of a list, or one string for a list of one. */
static bool is_strings(const struct hcl_node *value)
{
        if (value->type == HCL_STRING)
                return true;
        if (value->type != HCL_LIST)
                return false;
        for (size_t i = 0; i < value->items_len; i++)
                if (value->items[i]->type != HCL_STRING)
                        return false;
        return true;
}

/**
 * config_read_list() - reads a list of strings, or one string
 * @r: collects findings
 * @value: the node
 * @field: char **, NULL at the end; stays NULL for an empty list
 */
void config_read_list(struct config_reader *r, const struct hcl_node *value, void *field)
{
        char **list, ***target = field;
        size_t len = value->type == HCL_STRING ? 1 : value->items_len;

        if (!is_strings(value)) {
                wrong_type(r, value, "a list of strings: [\"a\", \"b\"]");
                return;
        }
        if (len == 0)
                return;
        list = mem_array(len + 1, sizeof(*list));
        for (size_t i = 0; i < len; i++)
                list[i] = mem_strdup(value->type == HCL_STRING ? value->text : value->items[i]->text);
        *target = list;
}

/**
 * config_read_choice() - reads one of a few words
 * @r: collects findings
 * @value: the node
 * @names: the words
 * @len: how many
 *
 * Return: the word's index, or -1 after a finding.
 */
int config_read_choice(struct config_reader *r, const struct hcl_node *value, const char *const *names, size_t len)
{
        cleanup_buf struct buf b = BUF_INIT;

        for (size_t i = 0; value->type == HCL_STRING && i < len; i++)
                if (strcmp(value->text, names[i]) == 0)
                        return (int)i;
        for (size_t i = 0; i < len; i++)
                buf_printf(&b, "%s\"%s\"", i == 0 ? "" : i + 1 == len ? " or " : ", ", names[i]);
        config_error(r, value, "\"%s\" is %s%.60s; it must be %s", key_of(value),
                     value->text ? "" : hcl_type_text(value->type), value->text ? value->text : "", buf_text(&b));
        return -1;
}

/**
 * config_check_path() - is this a path that names one place in one way?
 * @r: collects findings
 * @where: "FILE:LINE"
 * @what: the thing at the path, for messages
 * @path: the path
 *
 * Return: whether it is absolute, free of empty, "." and ".." parts and control characters, and not too long; else a finding.
 */
bool config_check_path(struct config_reader *r, const char *where, const char *what, const char *path)
{
        const char *wrong = NULL;

        if (path[0] != '/')
                wrong = "relative; write it from / on";
        else if (strlen(path) > PATH_LEN_MAX)
                wrong = "too long; shorten it";
        else if (strstr(path, "//") || path[strlen(path) - 1] == '/')
                wrong = "written with an empty part; leave out the extra /";
        for (const char *p = path; *p && !wrong; p++) {
                size_t part = strcspn(p + 1, "/");

                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        wrong = "written with a control character; remove it";
                else if (*p == '/' && ((part == 1 && p[1] == '.') || (part == 2 && p[1] == '.' && p[2] == '.')))
                        wrong = "written with a . or .. part; write it without";
                else if (*p == '/' && part > 200)
                        wrong = "too long in one part; shorten it";
        }
        if (wrong)
                config_error_at(r, where, "the path of %s, \"%.100s\", is %s", what, path, wrong);
        return !wrong;
}

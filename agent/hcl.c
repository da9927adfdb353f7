/* agent/hcl.c: builds one tree from HCL 1 or JSON text. Pure; no expression is evaluated, "${...}" stays text. */
#include "agent/hcl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/hcl_lex.h"
#include "common/mem.h"
#include "common/parse.h"

#define LABELS_MAX 4
#define CHUNK_ROOM ((size_t)256 << 10) /* large enough for the C library to give it back to the kernel whole */

/*
 * A tree lies in a few large chunks and goes with them. Node by node it would leave holes between what the configuration keeps,
 * which with ten thousand secrets are as large as all of them.
 */
struct hcl_chunk {
        struct hcl_chunk *next;
        size_t used, room;
        char bytes[] __attribute__((aligned(16)));
};

struct parser {
        struct hcl_lexer lx;
        struct hcl_file *tree; /* borrowed */
        unsigned depth;
        char *error; /* new; the first one */
};

static int parse_value(struct parser *p, struct hcl_node *node);

__attribute__((format(printf, 3, 4))) static int fail(struct parser *p, unsigned line, const char *fmt, ...)
{
        cleanup_buf struct buf b = BUF_INIT;
        char text[512];
        va_list args;

        va_start(args, fmt);
        vsnprintf(text, sizeof(text), fmt, args);
        va_end(args);
        buf_printf(&b, "%s:%u: %s", p->tree->name, line, text);
        p->error = buf_take(&b);
        return -EBADMSG;
}

/* Zeroed; as long as the tree. */
static void *take(struct hcl_file *f, size_t size)
{
        struct hcl_chunk *c = f->chunks;
        void *ptr;

        size = (size + 15) & ~(size_t)15;
        if (!c || size > c->room - c->used) {
                size_t room = size > CHUNK_ROOM ? size : CHUNK_ROOM;

                c = mem_new(sizeof(*c) + room);
                c->room = room;
                c->next = f->chunks;
                f->chunks = c;
        }
        ptr = c->bytes + c->used;
        c->used += size;
        return ptr;
}

static char *take_text(struct hcl_file *f, const char *text)
{
        size_t size = strlen(text) + 1;

        return memcpy(take(f, size), text, size);
}

static struct hcl_node *node_new(const struct parser *p, unsigned line, const char *key)
{
        struct hcl_node *n = take(p->tree, sizeof(*n));

        n->type = HCL_OBJECT;
        n->file = p->tree->name;
        n->line = line;
        n->key = key ? take_text(p->tree, key) : NULL;
        return n;
}

static struct hcl_node *add(struct parser *p, struct hcl_node *parent, struct hcl_node *item)
{
        size_t len = parent->items_len;

        if ((len & (len - 1)) == 0) { /* a power of two, or none: full */
                struct hcl_node **items = take(p->tree, (len ? len * 2 : 1) * sizeof(struct hcl_node *));

                if (len)
                        memcpy(items, parent->items, len * sizeof(struct hcl_node *));
                parent->items = items;
        }
        parent->items[parent->items_len++] = item;
        return item;
}

static int next(struct parser *p)
{
        hcl_lexer_next(&p->lx);
        return p->lx.token == HCL_TOKEN_WRONG ? fail(p, p->lx.token_line, "%s", p->lx.error) : 0;
}

static bool at_sign(const struct parser *p, char sign)
{
        return p->lx.token == HCL_TOKEN_SIGN && p->lx.sign == sign;
}

static int expected(struct parser *p, const char *what)
{
        const struct hcl_lexer *lx = &p->lx;

        switch (lx->token) {
        case HCL_TOKEN_END: return fail(p, lx->token_line, "the text ends where %s should stand; add it", what);
        case HCL_TOKEN_SIGN:
                return fail(p, lx->token_line, "\"%c\" where %s should stand; correct the line", lx->sign, what);
        default:
                return fail(p, lx->token_line, "\"%.60s\" where %s should stand; correct the line", buf_text(&lx->text),
                            what);
        }
}

static int deeper(struct parser *p)
{
        if (++p->depth > HCL_DEPTH_MAX)
                return fail(p, p->lx.token_line, "more than %d blocks and lists in each other; write it flatter",
                            HCL_DEPTH_MAX);
        return next(p);
}

/* The token after "[". Leaves at the token after "]". */
static int parse_list(struct parser *p, struct hcl_node *node)
{
        int r = deeper(p);

        node->type = HCL_LIST;
        while (r == 0 && !at_sign(p, ']')) {
                r = parse_value(p, add(p, node, node_new(p, p->lx.token_line, NULL)));
                if (r < 0)
                        return r;
                if (at_sign(p, ']'))
                        break;
                if (!at_sign(p, ','))
                        return expected(p, "\",\" or \"]\"");
                r = next(p);
                if (r == 0 && p->lx.is_json && at_sign(p, ']'))
                        return expected(p, "a value");
        }
        p->depth--;
        return r < 0 ? r : next(p);
}

/* From a key on: KEY = VALUE, KEY { ... }, KEY "LABEL" { ... }. */
static int parse_hcl_member(struct parser *p, struct hcl_node *parent)
{
        struct hcl_node *node = parent;
        unsigned keys = 0;

        while (p->lx.token == HCL_TOKEN_WORD || p->lx.token == HCL_TOKEN_STRING) {
                int r;

                if (keys++ > LABELS_MAX)
                        return fail(p, p->lx.token_line, "more than %d labels; a block has one", LABELS_MAX);
                node = add(p, node, node_new(p, p->lx.token_line, buf_text(&p->lx.text)));
                r = next(p);
                if (r < 0)
                        return r;
        }
        if (keys == 0)
                return expected(p, "a key");
        if (at_sign(p, '=')) {
                int r = next(p);

                if (r < 0)
                        return r;
                if (keys > 1)
                        return fail(p, node->line, "\"=\" after a label; a block has none: %.60s \"%.60s\" { ... }",
                                    parent->items[parent->items_len - 1]->key, node->key);
                return parse_value(p, node);
        }
        if (at_sign(p, '{'))
                return parse_value(p, node);
        return expected(p, keys > 1 ? "\"{\"" : "\"=\" or \"{\"");
}

static int parse_json_member(struct parser *p, struct hcl_node *parent)
{
        int r;

        if (p->lx.token != HCL_TOKEN_STRING)
                return expected(p, "a key in quotes");
        add(p, parent, node_new(p, p->lx.token_line, buf_text(&p->lx.text)));
        r = next(p);
        if (r < 0)
                return r;
        if (!at_sign(p, ':'))
                return expected(p, "\":\"");
        r = next(p);
        if (r < 0)
                return r;
        if (p->lx.token == HCL_TOKEN_WORD && strcmp(buf_text(&p->lx.text), "null") == 0) {
                parent->items_len--; /* null says "not given" */
                return next(p);
        }
        return parse_value(p, parent->items[parent->items_len - 1]);
}

/* Members up to "}" or, for the root of an HCL text, to its end; leaves there. */
static int parse_members(struct parser *p, struct hcl_node *node, bool is_root)
{
        while (is_root ? p->lx.token != HCL_TOKEN_END : !at_sign(p, '}')) {
                int r;

                if (p->lx.token == HCL_TOKEN_END)
                        return fail(p, node->line, "a block that begins here has no end; add \"}\"");
                r = p->lx.is_json ? parse_json_member(p, node) : parse_hcl_member(p, node);
                if (r < 0)
                        return r;
                if (at_sign(p, ',')) {
                        r = next(p);
                        if (r < 0)
                                return r;
                        if (p->lx.is_json && at_sign(p, '}'))
                                return expected(p, "a key in quotes");
                } else if (p->lx.is_json && !at_sign(p, '}')) {
                        return expected(p, "\",\" or \"}\"");
                }
        }
        return 0;
}

static int parse_object(struct parser *p, struct hcl_node *node)
{
        int r = deeper(p);

        node->type = HCL_OBJECT;
        if (r == 0)
                r = parse_members(p, node, false);
        p->depth--;
        return r < 0 ? r : next(p);
}

static int parse_scalar(struct parser *p, struct hcl_node *node, enum hcl_type type)
{
        node->type = type;
        node->text = take_text(p->tree, buf_text(&p->lx.text));
        return next(p);
}

/* From the value's first token; leaves at the token behind it. */
static int parse_value(struct parser *p, struct hcl_node *node)
{
        if (at_sign(p, '{'))
                return parse_object(p, node);
        if (at_sign(p, '['))
                return parse_list(p, node);
        if (p->lx.token == HCL_TOKEN_STRING)
                return parse_scalar(p, node, HCL_STRING);
        if (p->lx.token == HCL_TOKEN_NUMBER)
                return parse_scalar(p, node, HCL_NUMBER);
        if (p->lx.token == HCL_TOKEN_WORD) {
                const char *word = buf_text(&p->lx.text);

                if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0)
                        return parse_scalar(p, node, HCL_BOOL);
                return fail(p, p->lx.token_line, "%.60s is no value; put it into quotes: \"%.60s\"", word, word);
        }
        return expected(p, "a value");
}

static int parse_root(struct parser *p, struct hcl_node *root)
{
        int r = next(p);

        if (r < 0)
                return r;
        if (!p->lx.is_json)
                return parse_members(p, root, true);
        r = parse_object(p, root);
        if (r == 0 && p->lx.token != HCL_TOKEN_END)
                return expected(p, "the end of the text");
        return r;
}

static int check_text(struct parser *p, const char *text, size_t len)
{
        if (len > HCL_SIZE_MAX)
                return fail(p, 1, "more than %zu bytes; split it over several files", HCL_SIZE_MAX);
        if (memchr(text, '\0', len) || !parse_is_utf8(text, len))
                return fail(p, 1, "not UTF-8 text; is this the right file?");
        return 0;
}

/**
 * hcl_parse() - reads one text into a tree
 * @name: the file's name, for messages; copied
 * @text: the text; borrowed for the call
 * @len: bytes of @text, at most HCL_SIZE_MAX
 * @ret_file: new; hcl_file_free() it
 * @ret_error: new, only on failure; "FILE:LINE: what is wrong; what to do"
 *
 * Return: 0, or -EBADMSG.
 * Source: HCL 1 (github.com/hashicorp/hcl, hcl/scanner and json/scanner), as far as Vault Agent's files go; RFC 8259.
 */
int hcl_parse(const char *name, const char *text, size_t len, struct hcl_file **ret_file, char **ret_error)
{
        struct hcl_file *f = mem_new(sizeof(*f));
        struct parser p = {0};
        int r;

        f->name = mem_strdup(name);
        p.tree = f;
        f->root = node_new(&p, 1, NULL);
        r = check_text(&p, text, len);
        if (r == 0) {
                hcl_lexer_start(&p.lx, text, len);
                r = parse_root(&p, f->root);
                hcl_lexer_done(&p.lx);
        }
        if (r < 0) {
                hcl_file_free(f);
                *ret_error = p.error;
                return r;
        }
        *ret_file = f;
        return 0;
}

/**
 * hcl_file_free() - frees a tree
 * @f: as hcl_parse() made it, or NULL
 *
 * Return: NULL.
 */
struct hcl_file *hcl_file_free(struct hcl_file *f)
{
        if (!f)
                return NULL;
        while (f->chunks) {
                struct hcl_chunk *next_chunk = f->chunks->next;

                mem_free(f->chunks);
                f->chunks = next_chunk;
        }
        mem_free(f->name);
        return mem_free(f);
}

/**
 * hcl_type_text() - what a value is, for people
 * @type: the type
 *
 * Return: static text with its article.
 */
const char *hcl_type_text(enum hcl_type type)
{
        switch (type) {
        case HCL_STRING: return "a string";
        case HCL_NUMBER: return "a number";
        case HCL_BOOL: return "true or false";
        case HCL_LIST: return "a list";
        case HCL_OBJECT: return "a block";
        }
        return "?";
}

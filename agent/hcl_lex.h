/* agent/hcl_lex.h: cuts HCL or JSON text into tokens for agent/hcl.c, and for nothing else. */
#ifndef AGENT_HCL_LEX_H
#define AGENT_HCL_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

enum hcl_token {
        HCL_TOKEN_END,
        HCL_TOKEN_WORD,   /* a bare key, true, false, null */
        HCL_TOKEN_STRING, /* quoted or a heredoc, escapes undone */
        HCL_TOKEN_NUMBER, /* as written */
        HCL_TOKEN_SIGN,   /* one of = : , { } [ ] */
        HCL_TOKEN_WRONG,  /* `error` says why */
};

struct hcl_lexer { /* set up by hcl_lexer_start() */
        const char *pos, *end;
        unsigned line; /* of pos */
        bool is_json;

        enum hcl_token token;
        unsigned token_line;
        char sign;         /* of HCL_TOKEN_SIGN */
        struct buf text;   /* of the others; NUL-terminated, never with a NUL inside */
        const char *error; /* static; of HCL_TOKEN_WRONG */
};

void hcl_lexer_start(struct hcl_lexer *lx, const char *text, size_t len); /* text borrowed; valid UTF-8 without NUL */
void hcl_lexer_next(struct hcl_lexer *lx);                                /* the next token into lx */
void hcl_lexer_done(struct hcl_lexer *lx);

#endif

/* agent/hcl.h: the subset of HCL 1 that Vault Agent's files use, and its JSON form, as one tree. Pure: no I/O. */
#ifndef AGENT_HCL_H
#define AGENT_HCL_H

#include <stddef.h>

#define HCL_SIZE_MAX  ((size_t)1 << 20) /* bytes of a text */
#define HCL_DEPTH_MAX 32                /* objects and lists in each other */

enum hcl_type { HCL_STRING, HCL_NUMBER, HCL_BOOL, HCL_LIST, HCL_OBJECT };

/* A label is an object with one member: `method "approle" { }` is the tree of `method = { approle = { } }`. */
struct hcl_node {
        enum hcl_type type;
        const char *file;        /* borrowed from the struct hcl_file */
        unsigned line;           /* where its key stands; of a list's item: where it begins */
        char *key;               /* of an object's member; NULL in a list and for the root */
        char *text;              /* string; number as written; "true" or "false" */
        struct hcl_node **items; /* list, object: in the order of the text; keys may repeat */
        size_t items_len;
};

struct hcl_file {
        char *name;
        struct hcl_node *root; /* an object */
        struct hcl_chunk *chunks; /* where the tree lies */
};

/* 0, or -EBADMSG: ret_error (new) is "FILE:LINE: what is wrong; what to do". */
int hcl_parse(const char *name, const char *text, size_t len, struct hcl_file **ret_file, char **ret_error);
struct hcl_file *hcl_file_free(struct hcl_file *f); /* takes NULL; returns NULL */
const char *hcl_type_text(enum hcl_type type);      /* "a string", "a number" ... */

#endif

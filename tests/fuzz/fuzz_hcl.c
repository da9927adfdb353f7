/* tests/fuzz/fuzz_hcl.c: whatever the text, the parser ends, frees all, and a tree holds only text that was there. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/hcl.h"
#include "common/mem.h"
#include "common/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct hcl_node *n, unsigned depth)
{
        if (depth > HCL_DEPTH_MAX * 6 || n->line == 0) /* labels nest too */
                abort();
        if ((n->text != NULL) != (n->type != HCL_LIST && n->type != HCL_OBJECT))
                abort();
        if ((n->text && !parse_is_utf8(n->text, strlen(n->text))) || (n->key && !parse_is_utf8(n->key, strlen(n->key))))
                abort();
        for (size_t i = 0; i < n->items_len; i++) {
                if ((n->items[i]->key != NULL) != (n->type == HCL_OBJECT))
                        abort();
                check(n->items[i], depth + 1);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct hcl_file *f;
        char *error = NULL;

        if (hcl_parse("fuzz", (const char *)data, size, &f, &error) < 0) {
                if (strncmp(error, "fuzz:", 5) != 0)
                        abort();
                mem_free(error);
                return 0;
        }
        check(f->root, 0);
        hcl_file_free(f);
        return 0;
}

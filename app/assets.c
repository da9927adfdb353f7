/* app/assets.c: the files that are built into notesd, and a hash of each for its ETag. */
#include <stdint.h>
#include <stdio.h>

#include "app/assets.h"

/* Paths are those of the top folder, from where make compiles. The sizes are known to the linker alone. */
#define EMBED(name, path)                                                                                              \
        __asm__(".pushsection .rodata\n"                                                                               \
                "asset_" #name "_start:\n"                                                                             \
                ".incbin \"" path "\"\n"                                                                               \
                "asset_" #name "_end:\n"                                                                               \
                ".byte 0\n"                                                                                            \
                ".popsection\n");                                                                                      \
        extern const char asset_##name##_start[] __attribute__((visibility("hidden")));                                \
        extern const char asset_##name##_end[] __attribute__((visibility("hidden")))

EMBED(openapi, "app/openapi.json");
EMBED(style, "app/style.css");
EMBED(icon, "app/favicon.svg");

/* FNV-1a, 64 bits: tells versions of our own files apart; nobody gains by a collision. */
static void fill(struct asset *a, const char *start, const char *end)
{
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        if (a->bytes)
                return;
        a->bytes = start;
        a->len = (size_t)(end - start);
        for (size_t i = 0; i < a->len; i++)
                hash = (hash ^ (unsigned char)start[i]) * UINT64_C(0x100000001b3);
        snprintf(a->etag, sizeof(a->etag), "\"%016llx\"", (unsigned long long)hash);
}

/**
 * asset_openapi() - the description of the HTTP interface (OpenAPI 3.1)
 */
const struct asset *asset_openapi(void)
{
        static struct asset a;

        fill(&a, asset_openapi_start, asset_openapi_end);
        return &a;
}

/**
 * asset_style() - the page's stylesheet
 */
const struct asset *asset_style(void)
{
        static struct asset a;

        fill(&a, asset_style_start, asset_style_end);
        return &a;
}

/**
 * asset_icon() - the page's icon
 */
const struct asset *asset_icon(void)
{
        static struct asset a;

        fill(&a, asset_icon_start, asset_icon_end);
        return &a;
}

/* app/assets.c: the files that are built into notesd, and a hash of each for its ETag. */
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
EMBED(script, "app/app.js");
EMBED(icon, "app/favicon.svg");

static void fill(struct asset *a, const char *start, const char *end)
{
        if (a->bytes)
                return;
        a->bytes = start;
        a->len = (size_t)(end - start);
        etag_of(a->bytes, a->len, a->etag);
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
 * asset_script() - what keeps the page fresh
 */
const struct asset *asset_script(void)
{
        static struct asset a;

        fill(&a, asset_script_start, asset_script_end);
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

/* app/assets.h: the files that are built into notesd. */
#ifndef APP_ASSETS_H
#define APP_ASSETS_H

#include <stddef.h>

#include "app/etag.h"

struct asset {
        const char *bytes; /* for ever */
        size_t len;
        char etag[ETAG_LEN + 1];
};

const struct asset *asset_openapi(void);
const struct asset *asset_style(void);
const struct asset *asset_script(void);
const struct asset *asset_icon(void);

#endif

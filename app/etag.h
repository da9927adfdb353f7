/* app/etag.h: a short name for some bytes, by which a client asks whether they changed (RFC 9110, 8.8.3). */
#ifndef APP_ETAG_H
#define APP_ETAG_H

#include <stddef.h>

#define ETAG_LEN 18 /* 16 digits and the quotes */

void etag_of(const char *bytes, size_t len, char ret_etag[ETAG_LEN + 1]);

#endif

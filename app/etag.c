/* app/etag.c: a short name for some bytes, by which a client asks whether they changed. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "app/etag.h"

/**
 * etag_of() - 64 bits in quotes
 *
 * FNV-1a in steps of eight bytes, since lists are hashed as often as they change. It tells versions of our own answers apart;
 * nobody gains by a collision.
 */
void etag_of(const char *bytes, size_t len, char ret_etag[ETAG_LEN + 1])
{
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        while (len > 0) {
                size_t piece = len < sizeof(uint64_t) ? len : sizeof(uint64_t);
                uint64_t word = len; /* where the text ends is part of it */

                memcpy(&word, bytes, piece);
                hash = (hash ^ word) * UINT64_C(0x100000001b3);
                hash ^= hash >> 29; /* a product's high bits never reach its low ones by themselves */
                bytes += piece;
                len -= piece;
        }
        snprintf(ret_etag, ETAG_LEN + 1, "\"%016llx\"", (unsigned long long)hash);
}

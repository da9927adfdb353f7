/* tests/unit/support_memscan.h: are some bytes anywhere in this process's memory? */
#ifndef TESTS_SUPPORT_MEMSCAN_H
#define TESTS_SUPPORT_MEMSCAN_H

#include <stddef.h>

#define MEMSCAN_LEN ((size_t)24)

/* The i-th byte of a marker; made from a seed so that no whole copy of it has to exist for the search. */
char memscan_byte(unsigned seed, size_t i);
void memscan_fill(unsigned seed, char out[MEMSCAN_LEN]);
size_t memscan_count(unsigned seed); /* copies of the marker in writable memory */

#endif

/* common/harden.h: what a process that holds secrets gives up at its start. */
#ifndef COMMON_HARDEN_H
#define COMMON_HARDEN_H

#include <stddef.h>

/*
 * Not dumpable, no core file, umask 077, no new privileges, descriptors 0-2 open. Call first in main(). Where a step fails it
 * is logged and the process goes on.
 */
void harden_process(void);

/* Allocators that wipe on free and on a moving realloc, for the libraries that take hooks (curl, jansson, OpenSSL, libevent). */
void *wipe_malloc(size_t size);
void *wipe_calloc(size_t count, size_t size);
void *wipe_realloc(void *ptr, size_t size);
char *wipe_strdup(const char *s);
void wipe_free(void *ptr);

#endif

/* common/mem.h: memory that is there or the process ends: no caller handles "no memory" (see mem.c for why). */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stddef.h>

void *mem_new(size_t size);                             /* new, zeroed; exits 1 where there is none */
void *mem_array(size_t count, size_t size);             /* new, zeroed, overflow-checked */
void *mem_resize(void *ptr, size_t count, size_t size); /* steals ptr, new; the grown part is not zeroed */
char *mem_strdup(const char *s);                        /* new; NULL gives NULL */
char *mem_strndup(const char *s, size_t len);           /* new */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* new */
void *mem_free(void *ptr);                                                    /* takes NULL, returns NULL */
void mem_give_back(void); /* to the kernel: what only the start needed */
void mem_freep(void *ptr_to_ptr);                                             /* for cleanup_free */

#define cleanup_free __attribute__((cleanup(mem_freep)))
#define array_len(a) (sizeof(a) / sizeof((a)[0]))

#endif

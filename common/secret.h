/* common/secret.h: bytes that must not be copied, printed or left behind. */
#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include <stdbool.h>
#include <stddef.h>

struct secret;

struct secret *secret_new(size_t cap);                              /* new, empty. Never grows past cap */
struct secret *secret_new_from(const void *bytes, size_t len);      /* new, cap = len */
struct secret *secret_free(struct secret *s);                       /* wipes; takes NULL; returns NULL */
void secret_replace(struct secret **slot, struct secret *value);    /* frees what was there, steals value */
void secret_freep(struct secret **s);                               /* for cleanup_secret */
int secret_append(struct secret *s, const void *bytes, size_t len); /* -EMSGSIZE past cap: s unchanged */
int secret_append_str(struct secret *s, const char *text);          /* the same for a string */
void secret_reset(struct secret *s);                                /* wipes the content, keeps the cap */
const char *secret_bytes(const struct secret *s); /* borrowed until the next call on s, ends in NUL; the one way out */
size_t secret_len(const struct secret *s);        /* takes NULL: 0 */
bool secret_equal(const struct secret *a, const struct secret *b); /* constant time for equal lengths; takes NULL */
int secret_read_file(const char *path, size_t cap, struct secret **ret_s); /* new; -errno, -EMSGSIZE past cap */
void secret_wipe(void *bytes, size_t len);                                 /* for the few bytes that others own */

#define cleanup_secret __attribute__((cleanup(secret_freep)))

#endif

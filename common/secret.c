/* common/secret.c: bytes that must not be copied, printed or left behind. */
#include "common/secret.h"

#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct secret {
        char *bytes; /* NULL while nothing was added; else `room` + 1 bytes, NUL after the content */
        uint32_t len, room, cap;
};

#define SECRET_ROOM_MIN ((size_t)64)
#define SECRET_CAP_MAX  (UINT32_MAX / 4) /* so that no sum below can wrap */

static char *wiped_free(char *bytes, size_t size)
{
        if (bytes)
                explicit_bzero(bytes, size);
        return mem_free(bytes);
}

/* Room for `len` bytes in all. Never realloc(): it may leave the old bytes behind. Return: the old block, to be wiped. */
static char *grow(struct secret *s, size_t len, size_t *ret_old_size)
{
        char *old = s->bytes;
        size_t room = s->room * 2;

        if (room < SECRET_ROOM_MIN)
                room = SECRET_ROOM_MIN;
        if (room < len)
                room = len;
        if (room > s->cap)
                room = s->cap;

        *ret_old_size = old ? s->room + 1 : 0;
        s->bytes = mem_new(room + 1);
        s->room = (uint32_t)room;
        if (s->len)
                memcpy(s->bytes, old, s->len);
        return old;
}

/**
 * secret_new() - an empty secret
 * @cap: most bytes that it will ever hold
 *
 * Return: new.
 */
struct secret *secret_new(size_t cap)
{
        struct secret *s = mem_new(sizeof(*s));

        s->cap = cap < SECRET_CAP_MAX ? (uint32_t)cap : SECRET_CAP_MAX;
        return s;
}

/**
 * secret_new_from() - a secret of some bytes
 * @bytes: copied; the caller wipes its own
 * @len: their number, and the cap
 *
 * Return: new.
 */
struct secret *secret_new_from(const void *bytes, size_t len)
{
        struct secret *s = secret_new(len);
        size_t old_size;

        if (len > s->cap) /* gigabytes: nothing that we read may be as long */
                abort();
        if (len) {
                grow(s, len, &old_size);
                memcpy(s->bytes, bytes, len);
                s->len = (uint32_t)len;
        }
        return s;
}

/**
 * secret_free() - wipes and frees
 * @s: secret or NULL
 *
 * Return: NULL.
 */
struct secret *secret_free(struct secret *s)
{
        if (s)
                wiped_free(s->bytes, s->room + 1);
        return mem_free(s);
}

/**
 * secret_freep() - what cleanup_secret calls
 * @s: address of a secret pointer
 */
void secret_freep(struct secret **s)
{
        secret_free(*s);
}

/**
 * secret_append() - adds bytes
 * @s: secret
 * @bytes: copied; may lie in @s itself
 * @len: their number
 *
 * Return: 0; -EMSGSIZE past the cap, @s unchanged.
 */
int secret_append(struct secret *s, const void *bytes, size_t len)
{
        char *old = NULL;
        size_t old_size = 0;

        if (len > s->cap - s->len)
                return -EMSGSIZE;
        if (len == 0)
                return 0;
        if (!s->bytes || len > s->room - s->len)
                old = grow(s, s->len + len, &old_size);
        memcpy(s->bytes + s->len, bytes, len);
        s->len += (uint32_t)len;
        s->bytes[s->len] = '\0';
        wiped_free(old, old_size);
        return 0;
}

/**
 * secret_append_str() - adds a string
 * @s: secret
 * @text: NUL-terminated
 *
 * Return: as secret_append().
 */
int secret_append_str(struct secret *s, const char *text)
{
        return secret_append(s, text, strlen(text));
}

/**
 * secret_reset() - wipes the content, keeps the cap
 * @s: secret
 */
void secret_reset(struct secret *s)
{
        s->bytes = wiped_free(s->bytes, s->room + 1);
        s->len = 0;
        s->room = 0;
}

/**
 * secret_bytes() - the content
 * @s: secret
 *
 * The one way out, so that a search finds every place where secret bytes are used.
 *
 * Return: borrowed until the next call that changes @s; a NUL follows the content.
 */
const char *secret_bytes(const struct secret *s)
{
        return s->bytes ? s->bytes : "";
}

/**
 * secret_len() - length of the content
 * @s: secret or NULL
 *
 * Return: bytes; 0 for NULL.
 */
size_t secret_len(const struct secret *s)
{
        return s ? s->len : 0;
}

/**
 * secret_equal() - is the content the same?
 * @a: secret or NULL
 * @b: secret or NULL
 *
 * For equal lengths the time does not tell where they differ. NULL equals NULL alone.
 *
 * Return: true where it is.
 */
bool secret_equal(const struct secret *a, const struct secret *b)
{
        volatile unsigned char differ = 0;

        if (!a || !b)
                return a == b;
        if (a->len != b->len)
                return false;
        for (size_t i = 0; i < a->len; i++)
                differ |= (unsigned char)(a->bytes[i] ^ b->bytes[i]);
        return differ == 0;
}

/* Reads to the end of the file straight into the secret: a buffer between would be one more copy to wipe. */
static int read_all(int fd, size_t size_hint, struct secret *s)
{
        for (;;) {
                size_t old_size;
                ssize_t n;

                if (!s->bytes || s->len == s->room) {
                        if (s->bytes && s->room == s->cap)
                                break;

                        char *old = grow(s, s->len ? s->len + 1 : size_hint, &old_size);

                        wiped_free(old, old_size);
                }
                n = read(fd, s->bytes + s->len, s->room - s->len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                s->len += (uint32_t)n;
        }
        s->bytes[s->len] = '\0';
        return 0;
}

/**
 * secret_read_file() - a file's content
 * @path: regular file; links are followed
 * @cap: most bytes that are accepted, and the cap of the secret
 * @ret_s: new
 *
 * Without stdio, whose buffers would keep a copy.
 *
 * Return: 0; -EMSGSIZE for a longer file; -EISDIR; -EINVAL for a FIFO, a socket or a device; another -errno.
 */
int secret_read_file(const char *path, size_t cap, struct secret **ret_s)
{
        cleanup_secret struct secret *s = secret_new(cap);
        struct stat st;
        char beyond;
        int r = 0;
        /* O_NONBLOCK: opening a FIFO that nobody writes to would wait for ever. */
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                r = -errno;
        else if (!S_ISREG(st.st_mode))
                r = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
        else if (st.st_size > 0 && (uint64_t)st.st_size > cap)
                r = -EMSGSIZE;
        if (r == 0)
                r = read_all(fd, (size_t)st.st_size, s);
        if (r == 0 && s->len == s->cap && read(fd, &beyond, 1) > 0) {
                explicit_bzero(&beyond, 1);
                r = -EMSGSIZE;
        }
        close(fd);
        if (r < 0)
                return r;
        *ret_s = s;
        s = NULL;
        return 0;
}

/**
 * secret_wipe() - overwrites bytes that another owns
 * @bytes: NULL with @len 0 is fine
 * @len: their number
 */
void secret_wipe(void *bytes, size_t len)
{
        if (bytes && len)
                explicit_bzero(bytes, len);
}

/**
 * secret_replace() - puts another secret in a place
 * @slot: what it held is wiped and freed
 * @value: stolen; may be NULL, or what is there already
 */
void secret_replace(struct secret **slot, struct secret *value)
{
        if (*slot != value)
                secret_free(*slot);
        *slot = value;
}

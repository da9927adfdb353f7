/* common/harden.c: what a process that holds secrets gives up at its start. */
#include "common/harden.h"

#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define HARDEN_STAYS_DUMPABLE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HARDEN_STAYS_DUMPABLE 1
#endif
#endif

/* A closed 0-2 would be given to the next socket or file, and a message to "stderr" would go there. */
static void open_standard_descriptors(void)
{
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd)
                        log_warn("start: descriptor %d is closed and /dev/null cannot be opened in its place", fd);
}

static void stop_dumping(void)
{
#ifndef HARDEN_STAYS_DUMPABLE
        /* Not in a leak-checking build: its checker must ptrace the process. */
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                log_warn("start: other processes of this user may read our memory: PR_SET_DUMPABLE: %s",
                         strerror(errno));
#endif
}

/* See harden.h. */
void harden_process(void)
{
        const struct rlimit none = {0, 0};

        open_standard_descriptors();
        stop_dumping();
        if (setrlimit(RLIMIT_CORE, &none) < 0)
                log_warn("start: a crash may write a core file: RLIMIT_CORE: %s", strerror(errno));
        umask(077);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                log_warn("start: programs that are run may gain privileges: PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
}

/**
 * wipe_malloc() - malloc(3), for libraries that take hooks
 * @size: bytes
 *
 * Return: new; NULL where there is none, as the library expects.
 */
void *wipe_malloc(size_t size)
{
        return malloc(size);
}

/**
 * wipe_calloc() - calloc(3), for libraries that take hooks
 * @count: how many
 * @size: bytes of one
 *
 * Return: new, zeroed; NULL where there is none.
 */
void *wipe_calloc(size_t count, size_t size)
{
        return calloc(count, size);
}

/**
 * wipe_realloc() - realloc(3) that leaves nothing behind
 * @ptr: stolen, unless NULL is returned for a @size above 0; NULL: as wipe_malloc()
 * @size: bytes; 0 frees
 *
 * Return: new; NULL where there is none, @ptr unchanged.
 */
void *wipe_realloc(void *ptr, size_t size)
{
        size_t old_size = ptr ? malloc_usable_size(ptr) : 0;
        void *fresh;

        if (ptr && size == 0) {
                wipe_free(ptr);
                return NULL;
        }
        if (ptr && size <= old_size) {
                explicit_bzero((char *)ptr + size, old_size - size);
                return ptr;
        }
        fresh = malloc(size);
        if (!fresh || !ptr)
                return fresh;
        memcpy(fresh, ptr, old_size);
        wipe_free(ptr);
        return fresh;
}

/**
 * wipe_strdup() - strdup(3), for libraries that take hooks
 * @s: string
 *
 * Return: new; NULL where there is no memory.
 */
char *wipe_strdup(const char *s)
{
        return strdup(s);
}

/**
 * wipe_free() - overwrites the whole block, then frees it
 * @ptr: block or NULL
 */
void wipe_free(void *ptr)
{
        /* The usable size, not the one asked for: a library may have used what realloc() left over. */
        if (ptr)
                explicit_bzero(ptr, malloc_usable_size(ptr));
        free(ptr);
}

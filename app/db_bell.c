/* app/db_bell.c: how a thread calls the loop to look at something. */
#include "app/db_bell.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"

struct db_bell {
        struct loop_watch *watch;
        int fd;
        void (*fn)(void *arg);
        void *arg;
};

static void on_readable(int fd, unsigned what, void *arg)
{
        struct db_bell *b = arg;
        uint64_t count;

        (void)what;
        if (read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
                b->fn(b->arg);
}

/**
 * db_bell_new() - a bell that the loop hears
 * @loop: borrowed until db_bell_free()
 * @fn:   called from @loop after a ring
 * @arg:  for it
 *
 * Return: new.
 */
struct db_bell *db_bell_new(struct loop *loop, void (*fn)(void *arg), void *arg)
{
        struct db_bell *b = mem_new(sizeof(*b));

        b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (b->fd < 0) {
                log_error("no event descriptor: %s", strerror(errno));
                exit(1);
        }
        b->fn = fn;
        b->arg = arg;
        b->watch = loop_watch_new(loop, b->fd, LOOP_READ, on_readable, b);
        return b;
}

/**
 * db_bell_free() - takes the bell away
 * @b: NULL is fine; nobody rings it any more
 *
 * Return: NULL.
 */
struct db_bell *db_bell_free(struct db_bell *b)
{
        if (!b)
                return NULL;
        loop_watch_free(b->watch);
        close(b->fd);
        return mem_free(b);
}

/**
 * db_bell_ring() - makes the loop call
 * @b: any thread
 */
void db_bell_ring(struct db_bell *b)
{
        uint64_t one = 1;
        ssize_t n;

        do
                n = write(b->fd, &one, sizeof(one));
        while (n < 0 && errno == EINTR);
        /* EAGAIN: it has rung 2^64-2 times unheard, and will be heard. */
}

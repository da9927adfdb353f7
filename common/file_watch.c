/* common/file_watch.c: tells when one of a few files changes. */
#include "common/file_watch.h"

#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/parse.h"

#define SETTLE_USEC (100 * USEC_PER_MSEC) /* a writer that is not done yet */

struct file_watch {
        int fd;
        struct loop_watch *watch;
        struct loop_timer *timer;
        char **names; /* of the files, without their folders */
        size_t names_len;
        loop_fn fn;
        void *arg;
};

static bool is_ours(const struct file_watch *w, const char *name)
{
        for (size_t i = 0; i < w->names_len; i++)
                if (strcmp(w->names[i], name) == 0 || strcmp(name, "..data") == 0)
                        return true;
        return false;
}

static void on_settled(void *arg)
{
        struct file_watch *w = arg;

        w->fn(w->arg);
}

static void on_events(int fd, unsigned what, void *arg)
{
        char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
        struct file_watch *w = arg;
        ssize_t len;

        (void)what;
        while ((len = read(fd, buf, sizeof(buf))) > 0) {
                for (char *p = buf; p < buf + len;) {
                        const struct inotify_event *e = (const void *)p;

                        bool ours = (e->mask & IN_Q_OVERFLOW) || (e->len > 0 && is_ours(w, e->name));

                        if (ours && loop_timer_due(w->timer) == USEC_NEVER)
                                loop_timer_in(w->timer, SETTLE_USEC);
                        p += sizeof(*e) + e->len;
                }
        }
}

/* IN_ATTRIB: a file that becomes readable only once its writer gives it to us. */
static void add(struct file_watch *w, const char *path)
{
        cleanup_free char *for_dir = mem_strdup(path), *for_name = mem_strdup(path);
        const char *dir = dirname(for_dir);

        w->names = mem_resize(w->names, w->names_len + 1, sizeof(*w->names));
        w->names[w->names_len++] = mem_strdup(basename(for_name));
        if (inotify_add_watch(w->fd, dir, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB) < 0)
                log_warn("%s: changes cannot be noticed: %s; use SIGHUP after a change", dir, strerror(errno));
}

/**
 * file_watch_new() - watches files
 * @loop: borrowed
 * @paths: NULL-terminated, copied; they need not be there
 * @fn: called with @arg a tenth of a second after a change
 */
struct file_watch *file_watch_new(struct loop *loop, const char *const *paths, loop_fn fn, void *arg)
{
        struct file_watch *w;
        int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

        if (fd < 0) {
                log_warn("changes of files cannot be noticed: %s; use SIGHUP after a change", strerror(errno));
                return NULL;
        }
        w = mem_new(sizeof(*w));
        *w = (struct file_watch){.fd = fd, .fn = fn, .arg = arg};
        for (; *paths; paths++)
                add(w, *paths);
        w->timer = loop_timer_new(loop, on_settled, w);
        w->watch = loop_watch_new(loop, fd, LOOP_READ, on_events, w);
        return w;
}

struct file_watch *file_watch_free(struct file_watch *w)
{
        if (!w)
                return NULL;
        loop_watch_free(w->watch);
        loop_timer_free(w->timer);
        close(w->fd);
        for (size_t i = 0; i < w->names_len; i++)
                mem_free(w->names[i]);
        mem_free(w->names);
        return mem_free(w);
}

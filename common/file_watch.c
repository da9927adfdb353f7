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
#define LOOK_USEC   USEC_PER_SEC          /* is a folder there that was not? */

/* IN_ATTRIB: a file that becomes readable only once its writer gives it to us. */
#define CHANGES (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB)

struct watched {
        char *folder, *name;
        int wd; /* -1: its folder is not there */
};

struct file_watch {
        int fd;
        struct loop_watch *watch;
        struct loop_timer *timer, *look_timer;
        struct watched *files;
        size_t files_len;
        loop_fn fn;
        void *arg;
};

static bool is_ours(const struct file_watch *w, const char *name)
{
        for (size_t i = 0; i < w->files_len; i++)
                if (strcmp(w->files[i].name, name) == 0 || strcmp(name, "..data") == 0)
                        return true;
        return false;
}

static void on_settled(void *arg)
{
        struct file_watch *w = arg;

        w->fn(w->arg);
}

static void tell_soon(struct file_watch *w)
{
        if (loop_timer_due(w->timer) == USEC_NEVER)
                loop_timer_in(w->timer, SETTLE_USEC);
}

/* The folder was removed, unmounted or moved away: another one may come under its name. */
static void folder_gone(struct file_watch *w, const struct inotify_event *e)
{
        if (e->mask & IN_MOVE_SELF)
                inotify_rm_watch(w->fd, e->wd);
        for (size_t i = 0; i < w->files_len; i++)
                if (w->files[i].wd == e->wd)
                        w->files[i].wd = -1;
        loop_timer_in(w->look_timer, LOOK_USEC);
}

/* Return: is every folder watched? */
static bool watch_folders(struct file_watch *w, bool tell)
{
        bool all = true;

        for (size_t i = 0; i < w->files_len; i++) {
                struct watched *f = &w->files[i];

                if (f->wd >= 0)
                        continue;
                f->wd = inotify_add_watch(w->fd, f->folder, CHANGES | IN_MOVE_SELF | IN_ONLYDIR);
                all = all && f->wd >= 0;
                if (f->wd >= 0 && tell)
                        tell_soon(w);
                else if (f->wd < 0 && !tell)
                        log_warn("%s: changes cannot be noticed yet: %s; use SIGHUP after a change", f->folder,
                                 strerror(errno));
        }
        return all;
}

static void on_look(void *arg)
{
        struct file_watch *w = arg;

        if (!watch_folders(w, true))
                loop_timer_in(w->look_timer, LOOK_USEC);
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

                        if (e->mask & (IN_IGNORED | IN_MOVE_SELF))
                                folder_gone(w, e);
                        else if ((e->mask & IN_Q_OVERFLOW) || (e->len > 0 && is_ours(w, e->name)))
                                tell_soon(w);
                        p += sizeof(*e) + e->len;
                }
        }
}

static void add(struct file_watch *w, const char *path)
{
        cleanup_free char *for_dir = mem_strdup(path), *for_name = mem_strdup(path);

        w->files = mem_resize(w->files, w->files_len + 1, sizeof(*w->files));
        w->files[w->files_len++] = (struct watched){
                .folder = mem_strdup(dirname(for_dir)), .name = mem_strdup(basename(for_name)), .wd = -1};
}

/**
 * file_watch_new() - watches files
 * @loop: borrowed
 * @paths: NULL-terminated, copied; they need not be there
 * @fn: called with @arg a tenth of a second after a change, or a second after their folder came back
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
        w->look_timer = loop_timer_new(loop, on_look, w);
        if (!watch_folders(w, false))
                loop_timer_in(w->look_timer, LOOK_USEC);
        w->watch = loop_watch_new(loop, fd, LOOP_READ, on_events, w);
        return w;
}

struct file_watch *file_watch_free(struct file_watch *w)
{
        if (!w)
                return NULL;
        loop_watch_free(w->watch);
        loop_timer_free(w->timer);
        loop_timer_free(w->look_timer);
        close(w->fd);
        for (size_t i = 0; i < w->files_len; i++) {
                mem_free(w->files[i].folder);
                mem_free(w->files[i].name);
        }
        mem_free(w->files);
        return mem_free(w);
}

/* common/file_watch.h: tells when one of a few files appears, changes or is replaced (inotify(7) on their folders). */
#ifndef COMMON_FILE_WATCH_H
#define COMMON_FILE_WATCH_H

#include "common/loop.h"

struct file_watch;

/* paths: NULL-terminated, copied. fn is called soon after a change of any of them; a folder that is not there, or goes, is looked for. new */
struct file_watch *file_watch_new(struct loop *loop, const char *const *paths, loop_fn fn, void *arg);
struct file_watch *file_watch_free(struct file_watch *w); /* takes NULL */

#endif

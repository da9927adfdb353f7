/* common/loop.h: the one event loop: timers on CLOCK_BOOTTIME, descriptors, signals, calls from other threads. */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct loop;
struct loop_timer;
struct loop_watch;
struct loop_signal;

typedef void (*loop_fn)(void *arg);
typedef void (*loop_fd_fn)(int fd, unsigned what, void *arg);

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

struct loop *loop_new(void);                    /* new; also ignores SIGPIPE; where there is none the process ends with 1 */
struct loop *loop_free(struct loop *loop);      /* everything made on it must be freed before */
int loop_run(struct loop *loop);                /* until loop_stop(); 0 or -errno */
void loop_stop(struct loop *loop);              /* from the loop's thread */
struct event_base *loop_base(struct loop *loop); /* borrowed; for http_server, http_client and tls alone */

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *arg); /* new, not armed; O(log n), kept in a heap */
void loop_timer_at(struct loop_timer *t, uint64_t boottime_usec); /* (re)arms; one shot; never fires early; USEC_NEVER disarms */
void loop_timer_in(struct loop_timer *t, uint64_t usec);
void loop_timer_cancel(struct loop_timer *t);
uint64_t loop_timer_due(const struct loop_timer *t);              /* USEC_NEVER when not armed */
struct loop_timer *loop_timer_free(struct loop_timer *t);         /* takes NULL; allowed in its own callback */

struct loop_watch *loop_watch_new(struct loop *loop, int fd, unsigned what, loop_fd_fn fn, void *arg); /* borrows fd; persistent */
void loop_watch_set(struct loop_watch *w, unsigned what);         /* 0 pauses */
struct loop_watch *loop_watch_free(struct loop_watch *w);         /* takes NULL; allowed in its own callback */

struct loop_signal *loop_signal_new(struct loop *loop, int signo, loop_fn fn, void *arg);
struct loop_signal *loop_signal_free(struct loop_signal *s);

void loop_defer(struct loop *loop, loop_fn fn, void *arg);        /* soon, from the loop itself, in order */
void loop_defer_cancel(struct loop *loop, loop_fn fn, void *arg); /* takes back what is not called yet */
void loop_post(struct loop *loop, loop_fn fn, void *arg);         /* the same from any thread; what is left at loop_free() is dropped */

#endif

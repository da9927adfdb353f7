/* common/loop.c: the one event loop: libevent underneath, a heap of timers behind one timerfd, calls from other threads. */
#include "common/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "common/clock.h"
#include "common/harden.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/parse.h"

#define NOT_IN_HEAP SIZE_MAX

struct loop_timer {
        struct loop *loop;
        loop_fn fn;
        void *arg;
        uint64_t due_usec;
        uint64_t seq; /* of the arming: timers of one instant fire in the order in which they were armed */
        size_t pos;   /* in the heap, or NOT_IN_HEAP */
};

struct loop_watch {
        struct loop *loop;
        struct event ev;
        int fd;
        unsigned what;
        loop_fd_fn fn;
        void *arg;
};

struct loop_signal {
        struct event ev;
        loop_fn fn;
        void *arg;
};

struct call {
        loop_fn fn; /* NULL: cancelled */
        void *arg;
};

/* First in, first out; grows as needed and keeps its memory. */
struct calls {
        struct call *items;
        size_t head, len, cap;
};

struct loop {
        struct event_base *base;
        bool stop;

        struct loop_timer **heap;
        size_t heap_len, heap_cap;
        uint64_t seq;
        int timer_fd;
        uint64_t armed_usec; /* when timer_fd fires; USEC_NEVER: it does not */
        struct event timer_ev;

        struct calls deferred;

        int post_fd;
        struct event post_ev;
        pthread_mutex_t post_lock;
        struct calls posted; /* under post_lock */
};

/* --- queues of calls --- */

static void calls_push(struct calls *q, loop_fn fn, void *arg)
{
        if (q->len == q->cap && q->head > 0) {
                memmove(q->items, q->items + q->head, (q->len - q->head) * sizeof(*q->items));
                q->len -= q->head;
                q->head = 0;
        }
        if (q->len == q->cap) {
                q->cap = q->cap ? q->cap * 2 : 16;
                q->items = mem_resize(q->items, q->cap, sizeof(*q->items));
        }
        q->items[q->len++] = (struct call){fn, arg};
}

static bool calls_pop(struct calls *q, struct call *ret_call)
{
        if (q->head == q->len)
                return false;
        *ret_call = q->items[q->head++];
        if (q->head == q->len)
                q->head = q->len = 0;
        return true;
}

static size_t calls_count(const struct calls *q)
{
        return q->len - q->head;
}

static void calls_cancel(struct calls *q, loop_fn fn, const void *arg)
{
        for (size_t i = q->head; i < q->len; i++)
                if (q->items[i].fn == fn && q->items[i].arg == arg)
                        q->items[i].fn = NULL;
}

/* --- the heap of timers --- */

static bool earlier(const struct loop_timer *a, const struct loop_timer *b)
{
        return a->due_usec != b->due_usec ? a->due_usec < b->due_usec : a->seq < b->seq;
}

static void heap_put(struct loop *l, size_t pos, struct loop_timer *t)
{
        l->heap[pos] = t;
        t->pos = pos;
}

static void heap_up(struct loop *l, size_t pos)
{
        struct loop_timer *t = l->heap[pos];

        while (pos > 0 && earlier(t, l->heap[(pos - 1) / 2])) {
                heap_put(l, pos, l->heap[(pos - 1) / 2]);
                pos = (pos - 1) / 2;
        }
        heap_put(l, pos, t);
}

static void heap_down(struct loop *l, size_t pos)
{
        struct loop_timer *t = l->heap[pos];

        for (size_t child = 2 * pos + 1; child < l->heap_len; child = 2 * pos + 1) {
                if (child + 1 < l->heap_len && earlier(l->heap[child + 1], l->heap[child]))
                        child++;
                if (!earlier(l->heap[child], t))
                        break;
                heap_put(l, pos, l->heap[child]);
                pos = child;
        }
        heap_put(l, pos, t);
}

static void heap_remove(struct loop *l, struct loop_timer *t)
{
        size_t pos = t->pos;
        struct loop_timer *last = l->heap[--l->heap_len];

        t->pos = NOT_IN_HEAP;
        if (last == t)
                return;
        heap_put(l, pos, last);
        heap_up(l, pos);
        heap_down(l, last->pos);
}

static void heap_insert(struct loop *l, struct loop_timer *t)
{
        if (l->heap_len == l->heap_cap) {
                l->heap_cap = l->heap_cap ? l->heap_cap * 2 : 64;
                l->heap = mem_resize(l->heap, l->heap_cap, sizeof(struct loop_timer *));
        }
        heap_put(l, l->heap_len++, t);
        heap_up(l, t->pos);
}

/*
 * Asks the kernel for the head's time, but only where that comes before what was asked for already: a head that moved later
 * costs one early wake-up at most, instead of a system call at each move.
 */
static void arm(struct loop *l)
{
        uint64_t due = l->heap_len ? l->heap[0]->due_usec : USEC_NEVER;
        struct itimerspec when = {0};

        if (due >= l->armed_usec)
                return;
        when.it_value.tv_sec = (time_t)(due / USEC_PER_SEC);
        when.it_value.tv_nsec = (long)(due % USEC_PER_SEC) * 1000;
        if (due == 0)
                when.it_value.tv_nsec = 1; /* zero would disarm */
        if (timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0) {
                log_error("the loop's timer cannot be set: %s", strerror(errno));
                return;
        }
        l->armed_usec = due;
}

static void on_timer_fd(evutil_socket_t fd, short what, void *arg)
{
        struct loop *l = arg;
        uint64_t expirations, now;
        size_t most = l->heap_len;

        (void)what;
        if (read(fd, &expirations, sizeof(expirations)) < 0 && errno == EAGAIN)
                return;
        l->armed_usec = USEC_NEVER;
        now = clock_boottime_usec();
        /* At most as many as there were: a timer that arms itself for "now" must not keep descriptors waiting. */
        while (most-- > 0 && l->heap_len && l->heap[0]->due_usec <= now) {
                struct loop_timer *t = l->heap[0];

                heap_remove(l, t);
                t->fn(t->arg);
        }
        arm(l);
}

/**
 * loop_timer_new() - a timer, not armed
 * @loop: borrowed for the timer's life
 * @fn:   called from the loop when it is due
 * @arg:  for fn
 *
 * Return: new; loop_timer_free() it.
 */
struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *arg)
{
        struct loop_timer *t = mem_new(sizeof(*t));

        *t = (struct loop_timer){.loop = loop, .fn = fn, .arg = arg, .pos = NOT_IN_HEAP};
        return t;
}

/**
 * loop_timer_at() - arm a timer, or move it
 * @t:             the timer
 * @boottime_usec: when, CLOCK_BOOTTIME; a time that is past fires in the next turn; USEC_NEVER disarms
 */
void loop_timer_at(struct loop_timer *t, uint64_t boottime_usec)
{
        struct loop *l = t->loop;

        if (t->pos != NOT_IN_HEAP)
                heap_remove(l, t);
        if (boottime_usec == USEC_NEVER)
                return;
        t->due_usec = boottime_usec;
        t->seq = l->seq++;
        heap_insert(l, t);
        if (t->pos == 0)
                arm(l);
}

/**
 * loop_timer_in() - arm a timer relative to now
 * @t:    the timer
 * @usec: from now; USEC_NEVER disarms
 */
void loop_timer_in(struct loop_timer *t, uint64_t usec)
{
        uint64_t now = clock_boottime_usec();

        loop_timer_at(t, usec < USEC_NEVER - now ? now + usec : USEC_NEVER);
}

/**
 * loop_timer_cancel() - disarm; one that is not armed is fine
 * @t: the timer
 */
void loop_timer_cancel(struct loop_timer *t)
{
        loop_timer_at(t, USEC_NEVER);
}

/**
 * loop_timer_due() - when a timer fires
 * @t: the timer
 *
 * Return: CLOCK_BOOTTIME, usec; USEC_NEVER when it is not armed.
 */
uint64_t loop_timer_due(const struct loop_timer *t)
{
        return t->pos == NOT_IN_HEAP ? USEC_NEVER : t->due_usec;
}

/**
 * loop_timer_free() - disarm and free, also from its own callback
 * @t: the timer or NULL
 *
 * Return: NULL.
 */
struct loop_timer *loop_timer_free(struct loop_timer *t)
{
        if (!t)
                return NULL;
        loop_timer_cancel(t);
        return mem_free(t);
}

/* --- descriptors and signals --- */

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
        struct loop_watch *w = arg;

        w->fn(fd, (what & EV_READ ? LOOP_READ : 0U) | (what & EV_WRITE ? LOOP_WRITE : 0U), w->arg);
}

/**
 * loop_watch_new() - call fn whenever fd can be read or written (level-triggered)
 * @loop: borrowed for the watch's life
 * @fd:   borrowed: close it after loop_watch_free()
 * @what: LOOP_READ, LOOP_WRITE, both, or 0 to begin paused. An error or hang-up is told as what was asked for
 * @fn:   may free the watch
 * @arg:  for fn
 *
 * Return: new; loop_watch_free() it.
 */
struct loop_watch *loop_watch_new(struct loop *loop, int fd, unsigned what, loop_fd_fn fn, void *arg)
{
        struct loop_watch *w = mem_new(sizeof(*w));

        w->loop = loop;
        w->fd = fd;
        w->fn = fn;
        w->arg = arg;
        loop_watch_set(w, what);
        return w;
}

/**
 * loop_watch_set() - change what a watch waits for
 * @w:    the watch
 * @what: as for loop_watch_new(); 0 pauses
 */
void loop_watch_set(struct loop_watch *w, unsigned what)
{
        short events = (short)((what & LOOP_READ ? EV_READ : 0) | (what & LOOP_WRITE ? EV_WRITE : 0));

        if (what == w->what)
                return;
        if (w->what)
                event_del(&w->ev);
        w->what = what;
        if (!what)
                return;
        event_assign(&w->ev, w->loop->base, w->fd, (short)(events | EV_PERSIST), on_watch, w);
        if (event_add(&w->ev, NULL) < 0) {
                log_error("descriptor %d cannot be watched: %s", w->fd, strerror(errno));
                w->what = 0;
        }
}

/**
 * loop_watch_free() - stop watching, also from the watch's own callback
 * @w: the watch or NULL; its descriptor stays open
 *
 * Return: NULL.
 */
struct loop_watch *loop_watch_free(struct loop_watch *w)
{
        if (!w)
                return NULL;
        loop_watch_set(w, 0);
        return mem_free(w);
}

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
        struct loop_signal *s = arg;

        (void)signo;
        (void)what;
        s->fn(s->arg);
}

/**
 * loop_signal_new() - call fn from the loop when the process gets a signal
 * @loop:  borrowed; one loop of a process has all its signals
 * @signo: SIGTERM ...
 * @fn:    may be called once for several signals that came together
 * @arg:   for fn
 *
 * Return: new; loop_signal_free() it.
 */
struct loop_signal *loop_signal_new(struct loop *loop, int signo, loop_fn fn, void *arg)
{
        struct loop_signal *s = mem_new(sizeof(*s));

        s->fn = fn;
        s->arg = arg;
        evsignal_assign(&s->ev, loop->base, signo, on_signal, s);
        if (evsignal_add(&s->ev, NULL) < 0)
                log_error("signal %d cannot be caught: %s", signo, strerror(errno));
        return s;
}

/**
 * loop_signal_free() - give the signal its former disposition back
 * @s: the signal or NULL
 *
 * Return: NULL.
 */
struct loop_signal *loop_signal_free(struct loop_signal *s)
{
        if (!s)
                return NULL;
        evsignal_del(&s->ev);
        return mem_free(s);
}

/* --- calls --- */

/**
 * loop_defer() - call fn soon, from the loop itself, once the callbacks of this turn are done
 * @loop: the loop; from its own thread
 * @fn:   called once, in the order of the loop_defer() calls
 * @arg:  for fn; must live until then or loop_defer_cancel()
 */
void loop_defer(struct loop *loop, loop_fn fn, void *arg)
{
        calls_push(&loop->deferred, fn, arg);
}

/**
 * loop_defer_cancel() - take back the calls that loop_defer() has not made yet
 * @loop: the loop
 * @fn:   as given
 * @arg:  as given
 */
void loop_defer_cancel(struct loop *loop, loop_fn fn, void *arg)
{
        calls_cancel(&loop->deferred, fn, arg);
}

/**
 * loop_post() - call fn from the loop; from any thread
 * @loop: the loop
 * @fn:   called once, in the order of the loop_post() calls
 * @arg:  for fn; what is left at loop_free() is dropped uncalled
 */
void loop_post(struct loop *loop, loop_fn fn, void *arg)
{
        bool first;

        pthread_mutex_lock(&loop->post_lock);
        first = calls_count(&loop->posted) == 0;
        calls_push(&loop->posted, fn, arg);
        pthread_mutex_unlock(&loop->post_lock);
        if (first)
                while (eventfd_write(loop->post_fd, 1) < 0 && errno == EINTR)
                        ;
}

static void on_post_fd(evutil_socket_t fd, short what, void *arg)
{
        struct loop *l = arg;
        struct calls batch;
        struct call call;
        eventfd_t value;

        (void)what;
        (void)eventfd_read(fd, &value);
        pthread_mutex_lock(&l->post_lock);
        batch = l->posted;
        l->posted = (struct calls){0};
        pthread_mutex_unlock(&l->post_lock);
        while (calls_pop(&batch, &call))
                call.fn(call.arg);
        mem_free(batch.items);
}

static void run_deferred(struct loop *l)
{
        struct call call;

        /* Only those that are there now: one that defers itself again gets the next turn. */
        for (size_t n = calls_count(&l->deferred); n > 0 && calls_pop(&l->deferred, &call); n--)
                if (call.fn)
                        call.fn(call.arg);
}

/* --- the loop --- */

static struct event_base *make_base(void)
{
        static bool hooked;
        struct event_config *config;
        struct event_base *base;

        if (!hooked) {
                event_set_mem_functions(wipe_malloc, wipe_realloc,
                                        wipe_free); /* what is sent and received stands in its buffers */
                hooked = true;
        }
        config = event_config_new();
        if (!config)
                return NULL;
        event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
        base = event_base_new_with_config(config);
        event_config_free(config);
        return base;
}

/**
 * loop_new() - an event loop; ignores SIGPIPE for the process
 *
 * A process that cannot have one cannot do anything: it is logged and the process ends with 1.
 *
 * Return: new; loop_free() it.
 */
struct loop *loop_new(void)
{
        struct loop *l = mem_new(sizeof(*l));

        signal(SIGPIPE, SIG_IGN);
        l->armed_usec = USEC_NEVER;
        l->base = make_base();
        l->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
        l->post_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (!l->base || l->timer_fd < 0 || l->post_fd < 0) {
                log_error("no event loop: %s", strerror(errno));
                exit(EXIT_FAILURE);
        }
        pthread_mutex_init(&l->post_lock, NULL);
        event_assign(&l->timer_ev, l->base, l->timer_fd, EV_READ | EV_PERSIST, on_timer_fd, l);
        event_assign(&l->post_ev, l->base, l->post_fd, EV_READ | EV_PERSIST, on_post_fd, l);
        if (event_add(&l->timer_ev, NULL) < 0 || event_add(&l->post_ev, NULL) < 0) {
                log_error("no event loop: %s", strerror(errno));
                exit(EXIT_FAILURE);
        }
        return l;
}

/**
 * loop_free() - free a loop; timers, watches and signals that were made on it must be gone
 * @loop: the loop or NULL. Deferred and posted calls that are left are dropped
 *
 * Return: NULL.
 */
struct loop *loop_free(struct loop *loop)
{
        if (!loop)
                return NULL;
        event_del(&loop->timer_ev);
        event_del(&loop->post_ev);
        event_base_free(loop->base);
        close(loop->timer_fd);
        close(loop->post_fd);
        pthread_mutex_destroy(&loop->post_lock);
        mem_free(loop->heap);
        mem_free(loop->deferred.items);
        mem_free(loop->posted.items);
        return mem_free(loop);
}

/**
 * loop_run() - turn until loop_stop()
 * @loop: the loop
 *
 * Return: 0, or -errno where the kernel refuses to wait.
 */
int loop_run(struct loop *loop)
{
        loop->stop = false;
        while (!loop->stop) {
                /* One turn. EVLOOP_NONBLOCK alone would go on for as long as any descriptor is ready, and the deferred wait. */
                int wait = calls_count(&loop->deferred) ? EVLOOP_NONBLOCK : 0;

                if (event_base_loop(loop->base, EVLOOP_ONCE | wait) < 0)
                        return errno ? -errno : -EIO;
                if (!loop->stop)
                        run_deferred(loop);
        }
        return 0;
}

/**
 * loop_stop() - let loop_run() return once the callbacks of this turn are done
 * @loop: the loop; from its own thread
 */
void loop_stop(struct loop *loop)
{
        loop->stop = true;
}

/**
 * loop_base() - the libevent base underneath
 * @loop: the loop
 *
 * Return: borrowed for the loop's life; for http_server, http_client and tls alone.
 */
struct event_base *loop_base(struct loop *loop)
{
        return loop->base;
}

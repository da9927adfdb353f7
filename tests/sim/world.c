/* tests/sim/world.c: time, loop and process of the simulated world: stands in for common/clock.c and common/loop.c. */
#include "tests/sim/world.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "agent/config.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"

#define STACK_SIZE  ((size_t)1 << 20)
#define FDS_MAX     256
#define DEFERS_MAX  4096
#define WATCHES_MAX 16
#define SIGNALS_MAX 8
#define START_S     1000.0

struct world world;

/* --- the clocks --- */

uint64_t clock_boottime_usec(void)
{
        return (uint64_t)(world.now_s * 1e6 + 0.5);
}

uint64_t clock_realtime_usec(void)
{
        return (uint64_t)((world.now_s + world.wall_off_s) * 1e6 + 0.5);
}

uint64_t clock_monotonic_usec(void)
{
        return clock_boottime_usec();
}

const char *clock_rfc3339(uint64_t realtime_usec, char buf[CLOCK_TEXT_LEN])
{
        time_t sec = (time_t)(realtime_usec / USEC_PER_SEC);
        struct tm tm;

        gmtime_r(&sec, &tm);
        strftime(buf, CLOCK_TEXT_LEN, "%Y-%m-%dT%H:%M:%SZ", &tm);
        return buf;
}

int clock_parse_rfc3339(const char *text, uint64_t *ret_realtime_usec)
{
        (void)text;
        (void)ret_realtime_usec;
        abort();
}

const char *clock_boot_id(void)
{
        return "this-boot";
}

/* The same chance in each run, for all that asks the kernel: a failure can be looked at again. */
ssize_t getrandom(void *bytes, size_t len, unsigned flags)
{
        unsigned char *p = bytes;

        (void)flags;
        for (size_t i = 0; i < len; i++) {
                world.random = world.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                p[i] = (unsigned char)(world.random >> 56);
        }
        return (ssize_t)len;
}

/* --- the loop --- */

struct loop_timer {
        struct loop_timer *next;
        loop_fn fn;
        void *arg;
        uint64_t due_usec;
};

struct loop_watch {
        int fd;
        unsigned what;
        loop_fd_fn fn;
        void *arg;
};

struct loop_signal {
        int signo;
        loop_fn fn;
        void *arg;
};

struct defer {
        loop_fn fn;
        void *arg;
};

struct loop {
        struct loop_timer *timers;
        struct loop_watch *watches[WATCHES_MAX];
        struct loop_signal *signals[SIGNALS_MAX];
        struct defer defers[DEFERS_MAX];
        unsigned defer_first, defer_end;
        bool stopped;
};

static struct loop *the_loop;
static ucontext_t of_test, of_agent;
static char *stack;
static double until_s; /* the agent gives way to the test then */

struct loop *loop_new(void)
{
        the_loop = mem_new(sizeof(*the_loop));
        return the_loop;
}

struct loop *loop_free(struct loop *loop)
{
        return mem_free(loop);
}

void loop_stop(struct loop *loop)
{
        loop->stopped = true;
}

struct event_base *loop_base(struct loop *loop)
{
        (void)loop;
        abort(); /* nothing here listens */
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *arg)
{
        struct loop_timer *t = mem_new(sizeof(*t));

        *t = (struct loop_timer){.next = loop->timers, .fn = fn, .arg = arg, .due_usec = USEC_NEVER};
        loop->timers = t;
        return t;
}

void loop_timer_at(struct loop_timer *t, uint64_t boottime_usec)
{
        t->due_usec = boottime_usec;
}

void loop_timer_in(struct loop_timer *t, uint64_t usec)
{
        t->due_usec = clock_boottime_usec() + usec;
}

void loop_timer_cancel(struct loop_timer *t)
{
        t->due_usec = USEC_NEVER;
}

uint64_t loop_timer_due(const struct loop_timer *t)
{
        return t->due_usec;
}

struct loop_timer *loop_timer_free(struct loop_timer *t)
{
        struct loop_timer **p = &the_loop->timers;

        while (t && *p != t)
                p = &(*p)->next;
        if (t)
                *p = t->next;
        return mem_free(t);
}

struct loop_watch *loop_watch_new(struct loop *loop, int fd, unsigned what, loop_fd_fn fn, void *arg)
{
        struct loop_watch *w = mem_new(sizeof(*w));
        unsigned i = 0;

        *w = (struct loop_watch){.fd = fd, .what = what, .fn = fn, .arg = arg};
        while (loop->watches[i])
                assert_in_range(++i, 0, WATCHES_MAX - 1);
        loop->watches[i] = w;
        return w;
}

void loop_watch_set(struct loop_watch *w, unsigned what)
{
        w->what = what;
}

struct loop_watch *loop_watch_free(struct loop_watch *w)
{
        for (unsigned i = 0; i < WATCHES_MAX; i++)
                if (w && the_loop->watches[i] == w)
                        the_loop->watches[i] = NULL;
        return mem_free(w);
}

struct loop_signal *loop_signal_new(struct loop *loop, int signo, loop_fn fn, void *arg)
{
        struct loop_signal *s = mem_new(sizeof(*s));
        unsigned i = 0;

        *s = (struct loop_signal){.signo = signo, .fn = fn, .arg = arg};
        while (loop->signals[i])
                assert_in_range(++i, 0, SIGNALS_MAX - 1);
        loop->signals[i] = s;
        return s;
}

struct loop_signal *loop_signal_free(struct loop_signal *s)
{
        for (unsigned i = 0; i < SIGNALS_MAX; i++)
                if (the_loop->signals[i] == s)
                        the_loop->signals[i] = NULL;
        return mem_free(s);
}

void loop_defer(struct loop *loop, loop_fn fn, void *arg)
{
        assert_in_range(loop->defer_end - loop->defer_first, 0, DEFERS_MAX - 1);
        loop->defers[loop->defer_end++ % DEFERS_MAX] = (struct defer){.fn = fn, .arg = arg};
}

void loop_defer_cancel(struct loop *loop, loop_fn fn, void *arg)
{
        for (unsigned i = loop->defer_first; i != loop->defer_end; i++) {
                struct defer *d = &loop->defers[i % DEFERS_MAX];

                if (d->fn == fn && d->arg == arg)
                        d->fn = NULL;
        }
}

void loop_post(struct loop *loop, loop_fn fn, void *arg)
{
        loop_defer(loop, fn, arg);
}

static bool run_one_defer(struct loop *loop)
{
        struct defer d;

        if (loop->defer_first == loop->defer_end)
                return false;
        d = loop->defers[loop->defer_first++ % DEFERS_MAX];
        if (d.fn)
                d.fn(d.arg);
        return true;
}

static bool run_one_watch(struct loop *loop)
{
        for (unsigned i = 0; i < WATCHES_MAX; i++) {
                struct loop_watch *w = loop->watches[i];
                struct pollfd p = {.events = POLLIN};

                if (!w || !(w->what & LOOP_READ))
                        continue;
                p.fd = w->fd;
                if (poll(&p, 1, 0) == 1) {
                        w->fn(w->fd, LOOP_READ, w->arg);
                        return true;
                }
        }
        return false;
}

static struct loop_timer *first_timer(struct loop *loop)
{
        struct loop_timer *first = NULL;

        for (struct loop_timer *t = loop->timers; t; t = t->next)
                if (t->due_usec != USEC_NEVER && (!first || t->due_usec < first->due_usec))
                        first = t;
        return first;
}

int loop_run(struct loop *loop)
{
        unsigned spin = 0;

        while (!loop->stopped) {
                struct loop_timer *t;

                if (run_one_defer(loop) || run_one_watch(loop)) {
                        assert_in_range(++spin, 0, 100000);
                        continue;
                }
                t = first_timer(loop);
                if (!t || (double)t->due_usec / 1e6 > until_s) {
                        world.now_s = until_s > world.now_s ? until_s : world.now_s;
                        swapcontext(&of_agent, &of_test);
                        continue;
                }
                if (t->due_usec > clock_boottime_usec()) {
                        world.now_s = (double)t->due_usec / 1e6;
                        spin = 0;
                }
                assert_in_range(++spin, 0, 100000);
                t->due_usec = USEC_NEVER;
                t->fn(t->arg);
        }
        return 0;
}

/* --- the process --- */

static void agent_main(void)
{
        char path[128];
        const char *const paths[] = {path};
        const struct agent_options options = {
                .config_paths = paths, .config_paths_len = 1, .exit_after_auth = world.exit_after_auth};
        struct config_findings findings = {0};
        struct config *config;

        snprintf(path, sizeof(path), "%s/agent.hcl", world.dir);
        config = config_load(paths, 1, CONFIG_FULL, &findings);
        for (size_t i = 0; i < findings.len; i++)
                if (!config || !findings.items[i].is_warning)
                        print_error("%s\n", findings.items[i].text);
        config_findings_done(&findings);
        world.exit_code = config ? agent_run(&options, config) : 2;
        world.running = false;
}

static void swap_in(void)
{
        swapcontext(&of_test, &of_agent);
}

void world_start(void)
{
        assert_false(world.running);
        getcontext(&of_agent);
        of_agent.uc_stack.ss_sp = stack;
        of_agent.uc_stack.ss_size = STACK_SIZE;
        of_agent.uc_link = &of_test;
        makecontext(&of_agent, agent_main, 0);
        world.running = true;
        until_s = world.now_s;
        swap_in();
}

void world_run_for(double seconds)
{
        until_s = world.now_s + seconds;
        if (world.running)
                swap_in();
        if (!world.running)
                world.now_s = until_s;
}

void world_run_to(double seconds)
{
        world_run_for(START_S + seconds - world.now_s);
}

static void on_signal(void *arg)
{
        struct loop_signal *s = arg;

        s->fn(s->arg);
}

void world_signal(int signo)
{
        for (unsigned i = 0; i < SIGNALS_MAX; i++)
                if (the_loop->signals[i] && the_loop->signals[i]->signo == signo)
                        loop_defer(the_loop, on_signal, the_loop->signals[i]);
        world_run_for(0);
}

static bool fd_was_open[FDS_MAX];

static void note_fds(void)
{
        for (int fd = 0; fd < FDS_MAX; fd++)
                fd_was_open[fd] = fcntl(fd, F_GETFD) >= 0;
}

/* A killed process gives its memory back; its coroutine here does not. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
        return 1;
}

/* Nothing of the process is left but what it wrote: its memory is given up, and so is what it held open. */
void world_kill(void)
{
        for (int fd = 0; fd < FDS_MAX; fd++)
                if (!fd_was_open[fd])
                        close(fd);
        world.running = false;
}

/* --- the scene --- */

void world_file(const char *name, const char *text)
{
        char path[256];
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", world.dir, name);
        f = fopen(path, "w");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        fclose(f);
        chmod(path, 0600);
}

char *world_read(const char *name)
{
        char path[256], text[8192];
        size_t len;
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", world.dir, name);
        f = fopen(path, "r");
        if (!f)
                return NULL;
        len = fread(text, 1, sizeof(text) - 1, f);
        fclose(f);
        return mem_strndup(text, len);
}

void world_config(const char *more)
{
        char *text = mem_printf("vault { address = \"http://127.0.0.1:1\" }\n"
                                "auto_auth { method \"approle\" { config {\n"
                                "        role_id_file_path = \"%s/role-id\"\n"
                                "        secret_id_file_path = \"%s/secret-id\"\n"
                                "        remove_secret_id_file_after_reading = false\n"
                                "} } }\n"
                                "state_dir = \"%s/state\"\n%s\n",
                                world.dir, world.dir, world.dir, more);

        world_file("agent.hcl", text);
        mem_free(text);
}

int world_setup(void **state)
{
        memset(&world, 0, sizeof(world));
        world = (struct world){.now_s = START_S,
                               .wall_off_s = 1.7e9,
                               .secret_id = "right",
                               .lease_s = 3600,
                               .max_s = 1e9,
                               .token_s = 3600,
                               .token_max_s = 1e9};
        strcpy(world.dir, "/dev/shm/lk-world-XXXXXX");
        assert_non_null(mkdtemp(world.dir));
        world_file("role-id", "role");
        world_file("secret-id", "right");
        stack = mem_new(STACK_SIZE);
        log_setup("sim", getenv("SIM_TRACE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, false);
        note_fds();
        (void)state;
        return 0;
}

static void remove_dir(const char *path)
{
        char *command = mem_printf("rm -rf -- '%s'", path);

        assert_int_equal(system(command), 0);
        mem_free(command);
}

int world_teardown(void **state)
{
        if (world.running)
                world_kill();
        remove_dir(world.dir);
        stack = mem_free(stack);
        (void)state;
        return 0;
}

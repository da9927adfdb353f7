/* common/metrics_process.c: process_* metrics, named as Prometheus's own clients name them. */
#include "common/metrics.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/parse.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct process_metrics {
        struct metric *cpu, *open_fds, *max_fds, *virtual_memory, *resident_memory, *start_time;
};

static double cpu_seconds(void)
{
        struct timespec ts = {0, 0};

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool count_open_fds(double *ret_count)
{
        DIR *dir = opendir("/proc/self/fd");
        const struct dirent *entry;
        unsigned count = 0;

        if (!dir)
                return false;
        while ((entry = readdir(dir)))
                if (entry->d_name[0] != '.')
                        count++;
        closedir(dir);
        *ret_count = count - 1; /* without the one that counts */
        return true;
}

/* proc(5): pages in all, pages resident. */
static bool read_memory(double *ret_virtual, double *ret_resident)
{
        FILE *file = fopen("/proc/self/statm", "re");
        unsigned long total, resident;
        double page = (double)sysconf(_SC_PAGESIZE);
        bool good;

        if (!file)
                return false;
        good = fscanf(file, "%lu %lu", &total, &resident) == 2;
        fclose(file);
        if (!good)
                return false;
        *ret_virtual = (double)total * page;
        *ret_resident = (double)resident * page;
        return true;
}

/* proc(5), field 22 of stat: the start, in ticks after boot. The program's name before it may hold blanks and brackets. */
static bool read_start_time(double *ret_realtime)
{
        FILE *file = fopen("/proc/self/stat", "re");
        unsigned long long ticks;
        char text[1024];
        const char *after;
        size_t len;

        if (!file)
                return false;
        len = fread(text, 1, sizeof(text) - 1, file);
        fclose(file);
        text[len] = '\0';
        after = strrchr(text, ')');
        if (!after ||
            sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                   &ticks) != 1)
                return false;
        *ret_realtime = ((double)clock_realtime_usec() - (double)clock_boottime_usec()) / (double)USEC_PER_SEC +
                        (double)ticks / (double)sysconf(_SC_CLK_TCK);
        return true;
}

static void on_collect(void *arg)
{
        const struct process_metrics *p = arg;
        double first, second;
        struct rlimit limit;

        metric_set(p->cpu, cpu_seconds());
        if (count_open_fds(&first))
                metric_set(p->open_fds, first);
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
                metric_set(p->max_fds, (double)limit.rlim_cur);
        if (read_memory(&first, &second)) {
                metric_set(p->virtual_memory, first);
                metric_set(p->resident_memory, second);
        }
}

/**
 * metrics_add_process() - CPU, memory, descriptors and start time of this process
 * @m: registry; once
 *
 * Read at each writing. The names have no prefix of the program: dashboards know them as they are.
 */
void metrics_add_process(struct metrics *m)
{
        static struct process_metrics process; /* of the one process there is */
        double start;

        process = (struct process_metrics){
                .cpu = metrics_add(m, METRIC_COUNTER, "process_cpu_seconds_total",
                                   "Total user and system CPU time spent in seconds.", "", NULL),
                .open_fds =
                        metrics_add(m, METRIC_GAUGE, "process_open_fds", "Number of open file descriptors.", "", NULL),
                .max_fds = metrics_add(m, METRIC_GAUGE, "process_max_fds", "Maximum number of open file descriptors.",
                                       "", NULL),
                .virtual_memory = metrics_add(m, METRIC_GAUGE, "process_virtual_memory_bytes",
                                              "Virtual memory size in bytes.", "", NULL),
                .resident_memory = metrics_add(m, METRIC_GAUGE, "process_resident_memory_bytes",
                                               "Resident memory size in bytes.", "", NULL),
                .start_time = metrics_add(m, METRIC_GAUGE, "process_start_time_seconds",
                                          "Start time of the process since unix epoch in seconds.", "", NULL),
        };
        if (read_start_time(&start))
                metric_set(process.start_time, start);
        metrics_on_collect(m, on_collect, &process);
}

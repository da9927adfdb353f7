/* common/metrics.h: counters, gauges and histograms, written as Prometheus text (exposition format 0.0.4). One thread. */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct metrics;
struct metric; /* one family */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metrics *metrics_new(void);
struct metrics *metrics_free(struct metrics *m);
/* labels: names separated by commas ("secret,reason"), "" for none. buckets: upper bounds in the metric's unit, ended by 0 (histograms alone). */
struct metric *metrics_add(struct metrics *m, enum metric_type type, const char *name, const char *help,
                           const char *labels, const double *buckets);
/* Values of the labels follow as strings, as many as the family has; unknown ones make a new series. Escaped on output. */
void metric_inc(struct metric *f, double by, ...);
void metric_set(struct metric *f, double value, ...);
void metric_observe(struct metric *f, double value, ...);
void metric_remove(struct metric *f, ...);

struct metric_series;                                       /* for hot paths: looked up once */
struct metric_series *metric_series(struct metric *f, ...); /* borrowed for the family's life, unless removed */
void metric_series_inc(struct metric_series *s, double by);
void metric_series_set(struct metric_series *s, double value);
void metric_series_observe(struct metric_series *s, double value);

/* A family whose samples are asked for at each writing: for gauges of ten thousand things. */
struct metric_rows;
typedef void (*metric_rows_fn)(struct metric_rows *rows, void *arg);
void metrics_add_rows(struct metrics *m, enum metric_type type, const char *name, const char *help, const char *labels,
                      metric_rows_fn fn, void *arg);
void metric_row(struct metric_rows *rows, double value, ...); /* values of the labels follow */

/* Called before each writing: refresh gauges. */
void metrics_on_collect(struct metrics *m, void (*fn)(void *arg), void *arg);
/* process_cpu_seconds_total, _resident_memory_bytes, _open_fds, ... as clients name them */
void metrics_add_process(struct metrics *m);
void metrics_write(struct metrics *m, struct buf *out);

#endif

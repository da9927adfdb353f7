/* common/metrics.c: counters, gauges and histograms, kept by name and labels. */
#include "common/metrics.h"

#include "common/buf.h"
#include "common/mem.h"
#include "common/metrics_text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/queue.h>

#define SLOTS_MIN ((size_t)8)

struct metric_series {
        TAILQ_ENTRY(metric_series) link; /* in the order of their making: what is written stays in place */
        struct metric_series *next;      /* in its slot */
        struct metric *family;
        uint64_t hash;
        char *key;        /* the label values, each with its NUL */
        double value;     /* histogram: sum */
        uint64_t *counts; /* histogram: a bucket's own observations, the last is +Inf */
};

TAILQ_HEAD(series_list, metric_series);

struct metric {
        TAILQ_ENTRY(metric) link;
        enum metric_type type;
        char *name, *help;
        char *label_names; /* each with its NUL */
        unsigned labels_len;
        double *buckets;
        size_t buckets_len;
        struct series_list series;
        struct metric_series **slots; /* a power of two of them */
        size_t slots_len, series_len;
        metric_rows_fn rows; /* NULL: series; else called for each writing, nothing is kept */
        void *rows_arg;
};

struct metric_rows {
        const struct metric *family;
        struct buf *out;
        bool begun;
};

struct collector {
        TAILQ_ENTRY(collector) link;
        void (*fn)(void *arg);
        void *arg;
};

struct metrics {
        TAILQ_HEAD(, metric) families;
        TAILQ_HEAD(, collector) collectors;
};

/**
 * metrics_new() - an empty registry
 *
 * Return: new.
 */
struct metrics *metrics_new(void)
{
        struct metrics *m = mem_new(sizeof(*m));

        TAILQ_INIT(&m->families);
        TAILQ_INIT(&m->collectors);
        return m;
}

static void series_free(struct metric_series *s)
{
        mem_free(s->counts);
        mem_free(s->key);
        mem_free(s);
}

static void family_free(struct metric *f)
{
        struct metric_series *s;

        while ((s = TAILQ_FIRST(&f->series))) {
                TAILQ_REMOVE(&f->series, s, link);
                series_free(s);
        }
        mem_free(f->slots);
        mem_free(f->buckets);
        mem_free(f->label_names);
        mem_free(f->help);
        mem_free(f->name);
        mem_free(f);
}

/**
 * metrics_free() - frees a registry with all its families and series
 * @m: registry or NULL
 *
 * Return: NULL.
 */
struct metrics *metrics_free(struct metrics *m)
{
        struct collector *c;
        struct metric *f;

        if (!m)
                return NULL;
        while ((f = TAILQ_FIRST(&m->families))) {
                TAILQ_REMOVE(&m->families, f, link);
                family_free(f);
        }
        while ((c = TAILQ_FIRST(&m->collectors))) {
                TAILQ_REMOVE(&m->collectors, c, link);
                mem_free(c);
        }
        return mem_free(m);
}

/**
 * metrics_add() - a new family
 * @m: registry
 * @type: what it is; the name of a counter, and of nothing else, ends in "_total"
 * @name: name; copied
 * @help: what it tells, one sentence; copied
 * @labels: names of the labels, separated by commas; "" for none: then its one series is there at once, with 0
 * @buckets: histogram: rising upper bounds, ended by 0; copied. NULL for the others
 *
 * Return: borrowed for the registry's life.
 */
struct metric *metrics_add(struct metrics *m, enum metric_type type, const char *name, const char *help,
                           const char *labels, const double *buckets)
{
        struct metric *f = mem_new(sizeof(*f));
        size_t name_len = strlen(name);

        assert((type == METRIC_COUNTER) == (name_len > 6 && strcmp(name + name_len - 6, "_total") == 0));
        assert((type == METRIC_HISTOGRAM) == (buckets != NULL));
        f->type = type;
        f->name = mem_strdup(name);
        f->help = mem_strdup(help);
        f->label_names = mem_strdup(labels);
        f->labels_len = *labels ? 1 : 0;
        for (char *c = f->label_names; *c; c++) {
                if (*c == ',') {
                        *c = '\0';
                        f->labels_len++;
                }
        }
        while (buckets && buckets[f->buckets_len] != 0)
                f->buckets_len++;
        if (buckets) {
                f->buckets = mem_array(f->buckets_len, sizeof(*buckets));
                memcpy(f->buckets, buckets, f->buckets_len * sizeof(*buckets));
        }
        TAILQ_INIT(&f->series);
        f->slots_len = SLOTS_MIN;
        f->slots = mem_array(f->slots_len, sizeof(struct metric_series *));
        TAILQ_INSERT_TAIL(&m->families, f, link);
        if (f->labels_len == 0)
                metric_series(f);
        return f;
}

/**
 * metrics_add_rows() - a family whose samples are asked for at each writing: nothing is kept for them in between
 * @m: registry
 * @type: METRIC_COUNTER or METRIC_GAUGE
 * @name: name; copied
 * @help: what it tells, one sentence; copied
 * @labels: names of the labels, separated by commas; copied
 * @fn: calls metric_row() for each sample
 * @arg: goes with @fn
 */
void metrics_add_rows(struct metrics *m, enum metric_type type, const char *name, const char *help, const char *labels,
                      metric_rows_fn fn, void *arg)
{
        struct metric *f = metrics_add(m, type, name, help, labels, NULL);

        assert(f->labels_len > 0);
        f->rows = fn;
        f->rows_arg = arg;
}

/**
 * metric_row() - one sample, in a metric_rows_fn
 * @rows: as the function got it
 * @value: the sample; the label values follow, as strings
 */
void metric_row(struct metric_rows *rows, double value, ...)
{
        static const char *const types[] = {"counter", "gauge", "histogram"};
        const struct metric *f = rows->family;
        const char *name = f->label_names;
        va_list values;

        if (!rows->begun)
                metrics_text_head(rows->out, f->name, f->help, types[f->type]);
        rows->begun = true;
        buf_str(rows->out, f->name);
        va_start(values, value);
        for (unsigned i = 0; i < f->labels_len; i++) {
                buf_char(rows->out, i == 0 ? '{' : ',');
                metrics_text_label(rows->out, name, va_arg(values, const char *));
                name += strlen(name) + 1;
        }
        va_end(values);
        buf_str(rows->out, "} ");
        metrics_text_value(rows->out, value);
        buf_char(rows->out, '\n');
}

/* FNV-1a over the label values, each with its NUL. The label values are the program's own: no one picks collisions. */
static uint64_t hash_values(const struct metric *f, va_list values)
{
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (unsigned i = 0; i < f->labels_len; i++) {
                const char *value = va_arg(values, const char *);

                do
                        hash = (hash ^ (unsigned char)*value) * UINT64_C(0x100000001b3);
                while (*value++);
        }
        return hash ^ hash >> 32;
}

static bool has_values(const struct metric_series *s, va_list values)
{
        const char *key = s->key;
        bool same = true;

        for (unsigned i = 0; i < s->family->labels_len && same; i++) {
                const char *value = va_arg(values, const char *);

                same = strcmp(key, value) == 0;
                key += strlen(key) + 1;
        }
        return same;
}

static struct metric_series *find(const struct metric *f, uint64_t hash, va_list values)
{
        for (struct metric_series *s = f->slots[hash & (f->slots_len - 1)]; s; s = s->next) {
                va_list again;
                bool same;

                va_copy(again, values);
                same = s->hash == hash && has_values(s, again);
                va_end(again);
                if (same)
                        return s;
        }
        return NULL;
}

static void into_slot(struct metric *f, struct metric_series *s)
{
        struct metric_series **slot = &f->slots[s->hash & (f->slots_len - 1)];

        s->next = *slot;
        *slot = s;
}

static void grow_slots(struct metric *f)
{
        struct metric_series *s;

        mem_free(f->slots);
        f->slots_len *= 2;
        f->slots = mem_array(f->slots_len, sizeof(struct metric_series *));
        TAILQ_FOREACH(s, &f->series, link)
        into_slot(f, s);
}

static struct metric_series *make(struct metric *f, uint64_t hash, va_list values)
{
        struct metric_series *s = mem_new(sizeof(*s));
        struct buf key = BUF_INIT;

        for (unsigned i = 0; i < f->labels_len; i++) {
                const char *value = va_arg(values, const char *);

                buf_add(&key, value, strlen(value) + 1);
        }
        s->family = f;
        s->hash = hash;
        s->key = mem_strndup(buf_text(&key), key.len);
        buf_done(&key);
        if (f->type == METRIC_HISTOGRAM)
                s->counts = mem_array(f->buckets_len + 1, sizeof(*s->counts));
        if (f->series_len == f->slots_len)
                grow_slots(f);
        TAILQ_INSERT_TAIL(&f->series, s, link);
        into_slot(f, s);
        f->series_len++;
        return s;
}

static struct metric_series *find_or_make(struct metric *f, va_list values)
{
        struct metric_series *s;
        va_list again;
        uint64_t hash;

        va_copy(again, values);
        hash = hash_values(f, again);
        va_end(again);
        s = find(f, hash, values);
        return s ? s : make(f, hash, values);
}

/**
 * metric_series() - one series of a family, for hot paths
 * @f: family; its label values follow, as strings
 *
 * Return: borrowed for the family's life, or until metric_remove(); made with 0 where there is none.
 */
struct metric_series *metric_series(struct metric *f, ...)
{
        struct metric_series *s;
        va_list values;

        va_start(values, f);
        s = find_or_make(f, values);
        va_end(values);
        return s;
}

/**
 * metric_series_inc() - adds to a counter or a gauge
 * @s: series
 * @by: how much; a counter ignores what is not above 0, since it never falls
 */
void metric_series_inc(struct metric_series *s, double by)
{
        assert(s->family->type != METRIC_HISTOGRAM);
        if (s->family->type == METRIC_GAUGE || by > 0)
                s->value += by;
}

/**
 * metric_series_set() - sets a gauge, or a counter that somebody else counts
 * @s: series
 * @value: value
 */
void metric_series_set(struct metric_series *s, double value)
{
        assert(s->family->type != METRIC_HISTOGRAM);
        s->value = value;
}

/**
 * metric_series_observe() - one observation of a histogram
 * @s: series
 * @value: value, in the metric's unit
 */
void metric_series_observe(struct metric_series *s, double value)
{
        const struct metric *f = s->family;
        size_t i = 0;

        assert(f->type == METRIC_HISTOGRAM);
        while (i < f->buckets_len && !(value <= f->buckets[i]))
                i++;
        s->counts[i]++;
        s->value += value;
}

/**
 * metric_inc() - adds to a counter or a gauge
 * @f: family
 * @by: as for metric_series_inc(); the label values follow, as strings
 */
void metric_inc(struct metric *f, double by, ...)
{
        va_list values;

        va_start(values, by);
        metric_series_inc(find_or_make(f, values), by);
        va_end(values);
}

/**
 * metric_set() - sets a gauge, or a counter that somebody else counts
 * @f: family
 * @value: value; the label values follow, as strings
 */
void metric_set(struct metric *f, double value, ...)
{
        va_list values;

        va_start(values, value);
        metric_series_set(find_or_make(f, values), value);
        va_end(values);
}

/**
 * metric_observe() - one observation of a histogram
 * @f: family
 * @value: value, in the metric's unit; the label values follow, as strings
 */
void metric_observe(struct metric *f, double value, ...)
{
        va_list values;

        va_start(values, value);
        metric_series_observe(find_or_make(f, values), value);
        va_end(values);
}

/**
 * metric_remove() - removes a series, as when a secret is gone from the configuration
 * @f: family; the label values follow, as strings. One that is not there is fine
 */
void metric_remove(struct metric *f, ...)
{
        struct metric_series *s, **at;
        va_list values, again;
        uint64_t hash;

        va_start(values, f);
        va_copy(again, values);
        hash = hash_values(f, again);
        va_end(again);
        s = find(f, hash, values);
        va_end(values);
        if (!s)
                return;
        for (at = &f->slots[hash & (f->slots_len - 1)]; *at != s; at = &(*at)->next)
                ;
        *at = s->next;
        TAILQ_REMOVE(&f->series, s, link);
        f->series_len--;
        series_free(s);
}

/**
 * metrics_on_collect() - asks to be called before each writing
 * @m: registry
 * @fn: sets gauges that nobody keeps current otherwise
 * @arg: for @fn
 */
void metrics_on_collect(struct metrics *m, void (*fn)(void *arg), void *arg)
{
        struct collector *c = mem_new(sizeof(*c));

        c->fn = fn;
        c->arg = arg;
        TAILQ_INSERT_TAIL(&m->collectors, c, link);
}

static void write_sample(const struct metric_series *s, const char *suffix, const char *le, double value,
                         struct buf *out)
{
        const struct metric *f = s->family;
        const char *name = f->label_names, *label = s->key;

        buf_str(out, f->name);
        buf_str(out, suffix);
        for (unsigned i = 0; i < f->labels_len; i++) {
                buf_char(out, i == 0 ? '{' : ',');
                metrics_text_label(out, name, label);
                name += strlen(name) + 1;
                label += strlen(label) + 1;
        }
        if (le) {
                buf_char(out, f->labels_len == 0 ? '{' : ',');
                metrics_text_label(out, "le", le);
        }
        if (le || f->labels_len > 0)
                buf_char(out, '}');
        buf_char(out, ' ');
        metrics_text_value(out, value);
        buf_char(out, '\n');
}

static void write_histogram(const struct metric_series *s, struct buf *out)
{
        const struct metric *f = s->family;
        cleanup_buf struct buf le = BUF_INIT;
        uint64_t count = 0;

        for (size_t i = 0; i < f->buckets_len; i++) {
                count += s->counts[i];
                buf_reset(&le);
                metrics_text_value(&le, f->buckets[i]);
                write_sample(s, "_bucket", buf_text(&le), (double)count, out);
        }
        count += s->counts[f->buckets_len];
        write_sample(s, "_bucket", "+Inf", (double)count, out);
        write_sample(s, "_sum", NULL, s->value, out);
        write_sample(s, "_count", NULL, (double)count, out);
}

/**
 * metrics_write() - writes all families as Prometheus text, format 0.0.4
 * @m: registry
 * @out: gets it appended
 *
 * Families without a series are left out.
 */
void metrics_write(struct metrics *m, struct buf *out)
{
        static const char *const types[] = {"counter", "gauge", "histogram"};
        const struct metric_series *s;
        const struct collector *c;
        const struct metric *f;

        TAILQ_FOREACH(c, &m->collectors, link)
        c->fn(c->arg);
        TAILQ_FOREACH(f, &m->families, link)
        {
                if (f->rows)
                        f->rows(&(struct metric_rows){.family = f, .out = out}, f->rows_arg);
                if (f->series_len == 0)
                        continue;
                metrics_text_head(out, f->name, f->help, types[f->type]);
                TAILQ_FOREACH(s, &f->series, link)
                {
                        if (f->type == METRIC_HISTOGRAM)
                                write_histogram(s, out);
                        else
                                write_sample(s, "", NULL, s->value, out);
                }
        }
}

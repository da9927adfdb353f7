/* app/latency.h: latency that is added before each query, to watch what it does: off unless --db-latency asks for it. */
#ifndef APP_LATENCY_H
#define APP_LATENCY_H

#include <stdint.h>

struct metrics;

enum latency_shape { LATENCY_OFF, LATENCY_FIXED, LATENCY_UNIFORM, LATENCY_NORMAL };

struct latency {
        enum latency_shape shape;
        uint64_t a_usec, b_usec; /* fixed: a; uniform: from a to b; normal: mean a, standard deviation b */
        double outlier_share;    /* in [0,1]: so many queries take outlier_usec instead */
        uint64_t outlier_usec;
};

#define LATENCY_EXPECTS                                                                                                \
        "fixed:20ms, uniform:5ms-50ms or normal:20ms,5ms, each at most 10s, and perhaps \",p=0.01:500ms\" after it"

int latency_parse(const char *text, struct latency *ret_latency); /* -EINVAL */
uint64_t latency_draw(const struct latency *l, double (*random)(void)); /* random: uniform in [0,1). usec */

/* Of this process: once, before the database threads begin. Adds the metrics that tell of it. */
void latency_setup(const struct latency *l, struct metrics *m);
void latency_inject(void); /* from a database thread, right before a query */

#endif

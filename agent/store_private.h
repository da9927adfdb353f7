/* agent/store_private.h: what the store*.c files know of each other; nobody else includes it. */
#ifndef AGENT_STORE_PRIVATE_H
#define AGENT_STORE_PRIVATE_H

#include "agent/store.h"
#include "agent/store_readers.h"

struct store_secret {
        struct store *store;
        const struct config_secret *cfg;
        struct store_version current; /* data NULL: there is none */
        uint64_t last_number, first_version;
        char *reason; /* NULL: not fetched yet */
        void *tag;
        struct readers readers;
        enum secret_kind kind;
        bool removed;
};

typedef int (*compare_fn)(const struct store_secret *a, const struct store_secret *b);

struct store_index { /* sorted; ten thousand secrets are fourteen comparisons, and an order comes with it */
        struct store_secret **items;
        size_t len, cap;
        compare_fn compare;
};

struct subscriber {
        store_fn fn;
        void *arg;
};

struct store {
        struct store_index by_name, by_path;
        struct consumers *consumers;
        struct subscriber *subscribers;
        size_t subscribers_len;
        struct store_control control;
        void *control_arg;
};

#endif

/* app/config.h: what the command line and NOTESD_... in the environment ask of notesd. */
#ifndef APP_CONFIG_H
#define APP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/latency.h"
#include "common/log.h"

struct app_listen {
        char *address; /* "127.0.0.1:5000", "[::1]:5443" */
        bool is_tls;
};

struct app_config {
        struct app_listen *listens;
        size_t listens_len;
        char *agent; /* path of the agent's socket */
        char *db_secret, *db_info_secret, *tls_secret, *consumer;
        char *client_ca_secret; /* NULL: clients need no certificate */
        enum log_level log_level;
        bool log_json, access_log;
        unsigned conns_max;
        uint64_t db_wait_usec;
        struct latency db_latency;
        char *db_latency_text; /* as it was given; NULL: off */
};

enum { APP_CONFIG_HELP = 1, APP_CONFIG_VERSION = 2 };

int app_config_read(int argc, char **argv, struct app_config *ret_config, char **ret_error);
void app_config_done(struct app_config *c);
bool app_config_has_tls(const struct app_config *c);
extern const char app_config_usage[];

#endif

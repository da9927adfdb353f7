/* app/config.c: reads the command line of notesd and its NOTESD_... environment. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/config.h"
#include "common/mem.h"
#include "common/parse.h"

#define CONNS_LIMIT 1000000

const char app_config_usage[] =
        "usage: notesd [options]\n"
        "  --listen URL            http://ADDRESS:PORT or https://ADDRESS:PORT; repeatable\n"
        "                          (default http://127.0.0.1:5000)\n"
        "  --agent PATH            the agent's socket (default /run/leasekeeper/agent.sock)\n"
        "  --db-secret NAME        secret with the database's username and password (default db)\n"
        "  --db-info-secret NAME   secret with the database's place (default dbinfo)\n"
        "  --tls-secret NAME       secret with the certificate of https listeners (default tls)\n"
        "  --client-ca-secret NAME secret with the CA of clients: https listeners then ask for a certificate\n"
        "  --consumer ID           the name this process gives itself at the agent (default HOST-PID)\n"
        "  --max-connections N     HTTP connections at once (default 4096)\n"
        "  --db-wait DURATION      how long a request waits for the database (default 5s)\n"
        "  --db-latency DIST       for learning: wait before each query, as in fixed:20ms, uniform:5ms-50ms,\n"
        "                          normal:20ms,5ms; with ,p=0.01:500ms after it for outliers (default off)\n"
        "  --access-log on|off     one line a request (default on)\n"
        "  --log-level LEVEL       error, warn, info, debug or trace (default info)\n"
        "  --log-format FORMAT     standard or json (default standard)\n"
        "  --help, --version\n"
        "Each option is also read from the environment: NOTESD_LISTEN (separated by blanks), NOTESD_DB_WAIT, ...\n"
        "The command line goes first.\n";

struct setting {
        const char *flag, *env;
        int (*apply)(struct app_config *c, const char *value);
        const char *expects; /* for the one line that a wrong value gets */
};

static int add_listen(struct app_config *c, const char *url)
{
        static const char http[] = "http://", https[] = "https://";
        const char *address;
        size_t len;
        bool is_tls;

        if (strncmp(url, http, sizeof(http) - 1) == 0) {
                is_tls = false;
                address = url + sizeof(http) - 1;
        } else if (strncmp(url, https, sizeof(https) - 1) == 0) {
                is_tls = true;
                address = url + sizeof(https) - 1;
        } else {
                return -EINVAL;
        }
        len = strlen(address);
        if (len > 0 && address[len - 1] == '/')
                len--;
        if (len == 0 || memchr(address, '/', len) || !memchr(address, ':', len))
                return -EINVAL;
        c->listens = mem_resize(c->listens, c->listens_len + 1, sizeof(*c->listens));
        c->listens[c->listens_len++] = (struct app_listen){mem_strndup(address, len), is_tls};
        return 0;
}

static int add_listens(struct app_config *c, const char *urls)
{
        cleanup_free char *copy = mem_strdup(urls);
        char *save = NULL;

        for (char *url = strtok_r(copy, " \t\n", &save); url; url = strtok_r(NULL, " \t\n", &save)) {
                int r = add_listen(c, url);

                if (r < 0)
                        return r;
        }
        return 0;
}

static void set_text(char **field, const char *value)
{
        mem_free(*field);
        *field = mem_strdup(value);
}

static int set_name(char **field, const char *value)
{
        if (!parse_is_name(value, strlen(value)))
                return -EINVAL;
        set_text(field, value);
        return 0;
}

/* A secret's name is a name that starts with neither a dot nor a dash (design: the agent's configuration). */
static int set_secret_name(char **field, const char *value)
{
        if (value[0] == '.' || value[0] == '-')
                return -EINVAL;
        return set_name(field, value);
}

static int set_agent(struct app_config *c, const char *value)
{
        if (value[0] == '\0')
                return -EINVAL;
        set_text(&c->agent, value);
        return 0;
}

static int set_db_secret(struct app_config *c, const char *value)
{
        return set_secret_name(&c->db_secret, value);
}

static int set_db_info_secret(struct app_config *c, const char *value)
{
        return set_secret_name(&c->db_info_secret, value);
}

static int set_tls_secret(struct app_config *c, const char *value)
{
        return set_secret_name(&c->tls_secret, value);
}

static int set_client_ca_secret(struct app_config *c, const char *value)
{
        return set_secret_name(&c->client_ca_secret, value);
}

static int set_consumer(struct app_config *c, const char *value)
{
        return set_name(&c->consumer, value);
}

static int set_log_level(struct app_config *c, const char *value)
{
        return log_level_parse(value, &c->log_level);
}

static int set_log_format(struct app_config *c, const char *value)
{
        if (strcmp(value, "standard") != 0 && strcmp(value, "json") != 0)
                return -EINVAL;
        c->log_json = strcmp(value, "json") == 0;
        return 0;
}

static int set_conns_max(struct app_config *c, const char *value)
{
        uint64_t n;
        int r = parse_u64(value, strlen(value), CONNS_LIMIT, &n);

        if (r < 0 || n == 0)
                return -EINVAL;
        c->conns_max = (unsigned)n;
        return 0;
}

static int set_db_wait(struct app_config *c, const char *value)
{
        uint64_t usec;
        int r = parse_duration(value, &usec);

        /* A request has 30 s in all; a longer wait would never be seen. */
        if (r < 0 || usec > 25 * USEC_PER_SEC)
                return -EINVAL;
        c->db_wait_usec = usec;
        return 0;
}

static int set_db_latency(struct app_config *c, const char *value)
{
        int r = latency_parse(value, &c->db_latency);

        if (r < 0)
                return r;
        set_text(&c->db_latency_text, value);
        return 0;
}

static int set_access_log(struct app_config *c, const char *value)
{
        if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
                return -EINVAL;
        c->access_log = strcmp(value, "on") == 0;
        return 0;
}

static const struct setting settings[] = {
        {"listen", "NOTESD_LISTEN", add_listens, "http://ADDRESS:PORT or https://ADDRESS:PORT"},
        {"agent", "NOTESD_AGENT", set_agent, "the path of the agent's socket"},
        {"db-secret", "NOTESD_DB_SECRET", set_db_secret, "a secret's name"},
        {"db-info-secret", "NOTESD_DB_INFO_SECRET", set_db_info_secret, "a secret's name"},
        {"tls-secret", "NOTESD_TLS_SECRET", set_tls_secret, "a secret's name"},
        {"client-ca-secret", "NOTESD_CLIENT_CA_SECRET", set_client_ca_secret, "a secret's name"},
        {"consumer", "NOTESD_CONSUMER", set_consumer, "1 to 64 of A-Z a-z 0-9 _ . -"},
        {"max-connections", "NOTESD_MAX_CONNECTIONS", set_conns_max, "a number from 1 to 1000000"},
        {"db-wait", "NOTESD_DB_WAIT", set_db_wait, "a duration up to 25s, as in 5s or 250ms"},
        {"db-latency", "NOTESD_DB_LATENCY", set_db_latency, LATENCY_EXPECTS},
        {"access-log", "NOTESD_ACCESS_LOG", set_access_log, "on or off"},
        {"log-level", "NOTESD_LOG_LEVEL", set_log_level, "error, warn, info, debug or trace"},
        {"log-format", "NOTESD_LOG_FORMAT", set_log_format, "standard or json"},
};

#define OPTION_HELP    ((int)array_len(settings))
#define OPTION_VERSION (OPTION_HELP + 1)

/* Return: 0, APP_CONFIG_HELP, APP_CONFIG_VERSION, or -EINVAL with *ret_error. `seen` tells which settings the line made. */
static int read_flags(int argc, char **argv, struct app_config *c, bool *seen, char **ret_error)
{
        struct option options[array_len(settings) + 3] = {0};
        int got;

        for (size_t i = 0; i < array_len(settings); i++)
                options[i] = (struct option){settings[i].flag, required_argument, NULL, (int)i};
        options[OPTION_HELP] = (struct option){"help", no_argument, NULL, OPTION_HELP};
        options[OPTION_VERSION] = (struct option){"version", no_argument, NULL, OPTION_VERSION};
        opterr = 0;
        optind = 0; /* a fresh start for glibc, so that tests can call twice */
        while ((got = getopt_long(argc, argv, "+:h", options, NULL)) != -1) {
                if (got == 'h' || got == OPTION_HELP)
                        return APP_CONFIG_HELP;
                if (got == OPTION_VERSION)
                        return APP_CONFIG_VERSION;
                if (got == ':') {
                        *ret_error = mem_printf("%s needs a value", argv[optind - 1]);
                        return -EINVAL;
                }
                if (got < 0 || got >= (int)array_len(settings)) {
                        *ret_error = mem_printf("unknown or ambiguous option %s; --help names all", argv[optind - 1]);
                        return -EINVAL;
                }
                if (settings[got].apply(c, optarg) < 0) {
                        *ret_error =
                                mem_printf("--%s: \"%s\" is not %s", settings[got].flag, optarg, settings[got].expects);
                        return -EINVAL;
                }
                seen[got] = true;
        }
        if (optind < argc) {
                *ret_error = mem_printf("unexpected argument \"%s\"; --help names all options", argv[optind]);
                return -EINVAL;
        }
        return 0;
}

static int read_environment(struct app_config *c, const bool *seen, char **ret_error)
{
        for (size_t i = 0; i < array_len(settings); i++) {
                const char *value = seen[i] ? NULL : getenv(settings[i].env);

                if (!value || value[0] == '\0')
                        continue;
                if (settings[i].apply(c, value) < 0) {
                        *ret_error = mem_printf("%s: \"%s\" is not %s", settings[i].env, value, settings[i].expects);
                        return -EINVAL;
                }
        }
        return 0;
}

/* Host name and pid, with what a consumer's name must not hold replaced. */
static char *default_consumer(void)
{
        char host[48] = "";

        if (gethostname(host, sizeof(host) - 1) < 0 || host[0] == '\0')
                strcpy(host, "notesd");
        for (char *p = host; *p; p++)
                if (!parse_is_name(p, 1))
                        *p = '_';
        return mem_printf("%s-%ld", host, (long)getpid());
}

/* Return: true where no two of the names are the same; NULL is none. */
static bool are_different(const char *const *names, size_t len)
{
        for (size_t i = 0; i < len; i++)
                for (size_t j = i + 1; j < len; j++)
                        if (names[i] && names[j] && strcmp(names[i], names[j]) == 0)
                                return false;
        return true;
}

static int check_together(struct app_config *c, char **ret_error)
{
        bool has_tls = app_config_has_tls(c);
        const char *const names[] = {c->db_secret, c->db_info_secret, has_tls ? c->tls_secret : NULL,
                                     c->client_ca_secret};

        if (c->client_ca_secret && !has_tls) {
                *ret_error = mem_strdup("--client-ca-secret needs an https listener (--listen https://...)");
                return -EINVAL;
        }
        if (!are_different(names, array_len(names))) {
                *ret_error = mem_strdup("--db-secret, --db-info-secret, --tls-secret and --client-ca-secret must name "
                                        "different secrets");
                return -EINVAL;
        }
        return 0;
}

/**
 * app_config_read() - command line first, then the environment, then the defaults
 * @argc, @argv: as main() got them
 * @ret_config:  app_config_done() it; untouched unless 0 is returned
 * @ret_error:   new, one line for people; only with -EINVAL
 *
 * Return: 0, APP_CONFIG_HELP, APP_CONFIG_VERSION (those were asked for), -EINVAL (wrong use).
 */
int app_config_read(int argc, char **argv, struct app_config *ret_config, char **ret_error)
{
        struct app_config c = {
                .log_level = LOG_LEVEL_INFO, .conns_max = 4096, .db_wait_usec = 5 * USEC_PER_SEC, .access_log = true};
        bool seen[array_len(settings)] = {false};
        int r;

        c.agent = mem_strdup("/run/leasekeeper/agent.sock");
        c.db_secret = mem_strdup("db");
        c.db_info_secret = mem_strdup("dbinfo");
        c.tls_secret = mem_strdup("tls");
        r = read_flags(argc, argv, &c, seen, ret_error);
        if (r == 0)
                r = read_environment(&c, seen, ret_error);
        if (r == 0)
                r = check_together(&c, ret_error);
        if (r != 0) {
                app_config_done(&c);
                return r;
        }
        if (c.listens_len == 0)
                add_listen(&c, "http://127.0.0.1:5000");
        if (!c.consumer)
                c.consumer = default_consumer();
        *ret_config = c;
        return 0;
}

/**
 * app_config_done() - frees what app_config_read() made
 */
void app_config_done(struct app_config *c)
{
        for (size_t i = 0; i < c->listens_len; i++)
                mem_free(c->listens[i].address);
        mem_free(c->listens);
        mem_free(c->agent);
        mem_free(c->db_secret);
        mem_free(c->db_info_secret);
        mem_free(c->tls_secret);
        mem_free(c->client_ca_secret);
        mem_free(c->consumer);
        mem_free(c->db_latency_text);
        *c = (struct app_config){0};
}

/**
 * app_config_has_tls() - is there an https listener?
 */
bool app_config_has_tls(const struct app_config *c)
{
        for (size_t i = 0; i < c->listens_len; i++)
                if (c->listens[i].is_tls)
                        return true;
        return false;
}

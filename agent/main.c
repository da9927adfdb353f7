/* agent/main.c: the command line of leasekeeperd. */
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/config.h"
#include "common/harden.h"
#include "common/http_client.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"

static const char usage[] =
        "usage: leasekeeperd -config PATH [-config PATH...] [-check[=syntax]] [-log-level LEVEL]\n"
        "                    [-log-format standard|json] [-exit-after-auth]\n"
        "       leasekeeperd --help | --version\n"
        "\n"
        "  -config PATH       a file, or a folder of *.hcl and *.json\n"
        "  -check             say what start would refuse, and end: 0 nothing, 1 findings\n"
        "  -check=syntax      the same without looking at users, groups, tmpfs and credential files\n"
        "  -log-level LEVEL   error, warn, info (default), debug\n"
        "  -exit-after-auth   end once all required secrets are published: 0; 1 where the login is refused\n"
        "\n"
        "SIGHUP reads the configuration again and replaces every secret (on_hup), SIGUSR1 replaces alone.\n"
        "Manual: leasekeeperd(8), leasekeeperd.hcl(5)\n";

struct command_line {
        const char **paths;
        size_t paths_len;
        enum log_level level;
        bool json, check, check_syntax, exit_after_auth;
};

static int wrong_use(const char *what, const char *arg)
{
        fprintf(stderr, "leasekeeperd: %s%s; see leasekeeperd --help\n", what, arg);
        return 2;
}

/* "-name", "--name", "-name=value", "-name value". Return: is it this option? *ret_value: what follows, NULL where nothing does. */
static bool is_option(const char *arg, const char *name, const char **ret_value)
{
        size_t len = strlen(name);

        while (*arg == '-')
                arg++;
        if (strncmp(arg, name, len) != 0 || (arg[len] != '\0' && arg[len] != '='))
                return false;
        *ret_value = arg[len] == '=' ? arg + len + 1 : NULL;
        return true;
}

static int set_value(struct command_line *cl, const char *name, const char *value)
{
        if (strcmp(name, "config") == 0) {
                cl->paths[cl->paths_len++] = value;
        } else if (strcmp(name, "log-level") == 0) {
                if (log_level_parse(value, &cl->level) < 0)
                        return wrong_use("-log-level takes error, warn, info or debug, not ", value);
        } else if (strcmp(value, "json") == 0 || strcmp(value, "standard") == 0) {
                cl->json = *value == 'j';
        } else {
                return wrong_use("-log-format takes standard or json, not ", value);
        }
        return 0;
}

/* Return: 0, or the exit code of a wrong use. */
static int read_options(int argc, char **argv, struct command_line *cl)
{
        static const char *const with_value[] = {"config", "log-level", "log-format"};
        const char *value;
        size_t j;
        int r;

        for (int i = 1; i < argc; i++) {
                if (argv[i][0] != '-')
                        return wrong_use("unexpected argument ", argv[i]);
                for (j = 0; j < array_len(with_value) && !is_option(argv[i], with_value[j], &value); j++)
                        ;
                if (j < array_len(with_value)) {
                        if (!value && i + 1 < argc)
                                value = argv[++i];
                        if (!value)
                                return wrong_use("a value is missing after ", argv[i]);
                        r = set_value(cl, with_value[j], value);
                        if (r != 0)
                                return r;
                } else if (is_option(argv[i], "check", &value)) {
                        if (value && strcmp(value, "syntax") != 0)
                                return wrong_use("-check takes nothing or =syntax, not =", value);
                        cl->check = true;
                        cl->check_syntax = value != NULL;
                } else if (is_option(argv[i], "exit-after-auth", &value) && !value) {
                        cl->exit_after_auth = true;
                } else {
                        return wrong_use("unknown option ", argv[i]);
                }
        }
        return cl->paths_len > 0 ? 0 : wrong_use("-config PATH is missing", "");
}

static void print_findings(const struct config_findings *f)
{
        for (size_t i = 0; i < f->len; i++)
                fprintf(stderr, "%s%s\n", f->items[i].text, f->items[i].is_warning ? " (warning)" : "");
}

static int check(const struct command_line *cl)
{
        struct config_findings findings = {0};
        struct config *config =
                config_load(cl->paths, cl->paths_len, cl->check_syntax ? CONFIG_SYNTAX : CONFIG_FULL, &findings);
        int code = config ? 0 : 1;

        print_findings(&findings);
        config_findings_done(&findings);
        config_free(config);
        return code;
}

static int start(const struct command_line *cl)
{
        const struct agent_options options = {
                .config_paths = cl->paths, .config_paths_len = cl->paths_len, .exit_after_auth = cl->exit_after_auth};
        struct config_findings findings = {0};
        struct config *config = config_load(cl->paths, cl->paths_len, CONFIG_FULL, &findings);

        for (size_t i = 0; i < findings.len; i++)
                log_msg(findings.items[i].is_warning ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "%s", findings.items[i].text);
        config_findings_done(&findings);
        if (!config)
                return 1;
        log_info("leasekeeperd " LEASEKEEPER_VERSION " starts");
        return agent_run(&options, config);
}

/* Asked for anywhere, they are all that is done. */
static bool told_about_itself(int argc, char **argv)
{
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-version") == 0) {
                        puts("leasekeeperd " LEASEKEEPER_VERSION);
                        return true;
                }
                if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-help") == 0 || strcmp(argv[i], "-h") == 0) {
                        fputs(usage, stdout);
                        return true;
                }
        }
        return false;
}

int main(int argc, char **argv)
{
        struct command_line cl = {.level = LOG_LEVEL_INFO};
        int code;

        if (told_about_itself(argc, argv))
                return 0;
        harden_process();
        if (http_client_setup() < 0) /* before anything uses OpenSSL or curl */
                return 1;
        json_setup();
        cl.paths = mem_array((size_t)argc + 1, sizeof(*cl.paths));
        code = read_options(argc, argv, &cl);
        if (code == 0) {
                log_setup("leasekeeperd", cl.level, cl.json);
                code = cl.check ? check(&cl) : start(&cl);
        }
        mem_free(cl.paths);
        return code;
}

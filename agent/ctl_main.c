/* agent/ctl_main.c: the command line of leasekeeper. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/ctl.h"
#include "common/harden.h"
#include "common/log.h"

#define DEFAULT_SOCKET "/run/leasekeeper/agent.sock"

static const char usage[] =
        "usage: leasekeeper [-socket PATH] COMMAND\n"
        "\n"
        "  status [-json]            what the agent keeps, and what it does next (operators)\n"
        "  get NAME [FIELD]          a secret as JSON, or one field of it as it is\n"
        "  watch NAME...             a line for each new version, until the agent ends\n"
        "  rotate [-no-wait] [NAME]  replace secrets now; returns once the new ones are there, with 1 where some wait\n"
        "                            for their turn (operators)\n"
        "  reload                    read the agent's configuration again (operators)\n"
        "  health                    is all well? exit code 0 while each required secret can be served\n"
        "\n"
        "  -socket PATH   the agent's socket; else LEASEKEEPER_SOCKET, else " DEFAULT_SOCKET "\n"
        "  --help, --version\n"
        "\n"
        "exit codes: 0 done, 1 failed, 2 wrong use\n";

struct line { /* what is left of the command line */
        char **args;
        int len;
};

static bool is_option(const char *arg, const char *name)
{
        if (arg[0] != '-')
                return false;
        arg += arg[1] == '-' ? 2 : 1;
        return strcmp(arg, name) == 0;
}

static bool take_option(struct line *l, const char *name)
{
        if (l->len == 0 || !is_option(l->args[0], name))
                return false;
        l->args++;
        l->len--;
        return true;
}

static int misuse(const char *what, const char *detail)
{
        fprintf(stderr, "leasekeeper: %s%s; leasekeeper --help names the commands\n", what, detail);
        return CTL_MISUSE;
}

static int run_status(const char *socket, struct line *l)
{
        bool as_json = take_option(l, "json");

        return l->len == 0 ? ctl_status(socket, as_json) : misuse("status takes only -json, not ", l->args[0]);
}

static int run_get(const char *socket, struct line *l)
{
        if (l->len < 1 || l->len > 2)
                return misuse("get takes NAME and perhaps a FIELD", "");
        return ctl_get(socket, l->args[0], l->len == 2 ? l->args[1] : NULL);
}

static int run_watch(const char *socket, struct line *l)
{
        return l->len > 0 ? ctl_watch(socket, l->args, (size_t)l->len) : misuse("watch takes at least one NAME", "");
}

static int run_rotate(const char *socket, struct line *l)
{
        bool wait = !take_option(l, "no-wait");

        if (l->len > 1 || (l->len == 1 && l->args[0][0] == '-'))
                return misuse("rotate takes -no-wait and perhaps one NAME", "");
        return ctl_rotate(socket, l->len == 1 ? l->args[0] : NULL, wait);
}

static int run_reload(const char *socket, struct line *l)
{
        return l->len == 0 ? ctl_reload(socket) : misuse("reload takes nothing, not ", l->args[0]);
}

static int run_health(const char *socket, struct line *l)
{
        return l->len == 0 ? ctl_health(socket) : misuse("health takes nothing, not ", l->args[0]);
}

static const struct {
        const char *name;
        int (*run)(const char *socket, struct line *l);
} commands[] = {
        {"status", run_status}, {"get", run_get},       {"watch", run_watch},
        {"rotate", run_rotate}, {"reload", run_reload}, {"health", run_health},
};

static int run(const char *socket, struct line *l)
{
        const char *name = l->len > 0 ? l->args[0] : NULL;

        if (!name)
                return misuse("which command?", "");
        l->args++;
        l->len--;
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
                if (strcmp(commands[i].name, name) == 0)
                        return commands[i].run(socket, l);
        }
        return misuse("there is no command ", name);
}

/* Asked for anywhere, they are all that is done. */
static bool told_about_itself(int argc, char **argv)
{
        for (int i = 1; i < argc; i++) {
                if (is_option(argv[i], "help") || is_option(argv[i], "h")) {
                        fputs(usage, stdout);
                        return true;
                }
                if (is_option(argv[i], "version")) {
                        puts("leasekeeper " LEASEKEEPER_VERSION);
                        return true;
                }
        }
        return false;
}

/* A full disk behind stdout is no success. */
static int done(int code)
{
        if (code == CTL_DONE && (fflush(stdout) == EOF || ferror(stdout)))
                return ctl_fail("writing to stdout failed");
        return code;
}

int main(int argc, char **argv)
{
        struct line l = {argv + 1, argc - 1};
        const char *socket = getenv("LEASEKEEPER_SOCKET");

        log_setup("leasekeeper", LOG_LEVEL_ERROR, false);
        harden_process();
        json_setup();
        if (!socket || !*socket)
                socket = DEFAULT_SOCKET;
        if (told_about_itself(argc, argv))
                return done(CTL_DONE);
        while (l.len > 0 && l.args[0][0] == '-') {
                if (strncmp(l.args[0], "-socket=", 8) == 0 || strncmp(l.args[0], "--socket=", 9) == 0) {
                        socket = strchr(l.args[0], '=') + 1;
                        l.args++;
                        l.len--;
                        continue;
                }
                if (!take_option(&l, "socket"))
                        return misuse("unknown option ", l.args[0]);
                if (l.len == 0)
                        return misuse("-socket takes a PATH", "");
                socket = l.args[0];
                l.args++;
                l.len--;
        }
        return done(run(socket, &l));
}

/* tests/unit/support_mariadb.c: a real MariaDB server of the test's own, in a scratch folder in memory. */
#include "tests/unit/support_mariadb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <mysql.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/parse.h"

#define NOBODY     65534
#define DATABASE   "notes_test"
#define START_USEC (60 * USEC_PER_SEC)
#define MARIADBD   "/usr/sbin/mariadbd"

struct mariadb {
        char folder[64];
        char *socket, *ca;
        char *version; /* "--version=...", NULL: its own */
        unsigned port;
        pid_t pid;
        MYSQL *root;
};

/* Runs a program, as nobody where this is root: the server refuses to run as root. Output goes to a file in the folder. */
static pid_t start(const struct mariadb *m, const char *const *argv)
{
        pid_t parent = getpid(), pid = fork();
        char *log;
        int fd;

        if (pid != 0)
                return pid;
        /* Nothing is left behind, whatever ends the test. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        log = mem_printf("%s/log", m->folder);
        fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || getppid() != parent)
                _exit(127);
        if (getuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
                _exit(127);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (chdir(m->folder) != 0)
                _exit(127);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
}

static int run(const struct mariadb *m, const char *const *argv)
{
        pid_t pid = start(m, argv);
        int status = -1;

        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return status;
}

static int run_shell(const struct mariadb *m, const char *script)
{
        return run(m, (const char *const[]){"/bin/sh", "-euc", script, NULL});
}

static unsigned free_port(void)
{
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(a);
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
        close(fd);
        return ntohs(a.sin_port);
}

static MYSQL *dial_root(const struct mariadb *m)
{
        MYSQL *root = mysql_init(NULL);

        if (mysql_real_connect(root, "localhost", "root", "", NULL, 0, m->socket, CLIENT_MULTI_STATEMENTS))
                return root;
        mysql_close(root);
        return NULL;
}

static void serve(struct mariadb *m)
{
        char *datadir cleanup_free = mem_printf("--datadir=%s/data", m->folder);
        char *socket_arg cleanup_free = mem_printf("--socket=%s", m->socket);
        char *port cleanup_free = mem_printf("--port=%u", m->port);
        uint64_t end = clock_monotonic_usec() + START_USEC;

        m->pid = start(m, (const char *const[]){MARIADBD, "--no-defaults", datadir, socket_arg, port,
                                                "--bind-address=127.0.0.1,127.0.0.2", "--skip-name-resolve",
                                                "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M",
                                                "--innodb-lock-wait-timeout=2", "--ssl-cert=../server.pem",
                                                "--ssl-key=../server.key", "--skip-log-bin",
                                                "--lc-messages-dir=/usr/share/mysql", m->version, NULL});
        while (!(m->root = dial_root(m))) {
                if (clock_monotonic_usec() > end || waitpid(m->pid, NULL, WNOHANG) != 0)
                        fail_msg("mariadbd does not start; see %s/log", m->folder);
                usleep(20000);
        }
}

static void install(struct mariadb *m)
{
        char *schema = NULL;
        size_t len;

        assert_int_equal(run_shell(m,
                                   "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "
                                   "/CN=test-ca "
                                   "-keyout ca.key -out ca.pem\n"
                                   "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost "
                                   "-keyout server.key -out server.csr\n"
                                   "echo subjectAltName=DNS:localhost,IP:127.0.0.1 >server.ext\n"
                                   "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
                                   "-extfile server.ext -out server.pem\n"
                                   "exec mariadb-install-db --no-defaults --datadir=\"$PWD/data\" --skip-test-db "
                                   "--auth-root-authentication-method=normal --innodb-log-file-size=8M"),
                         0);
        serve(m);
        assert_int_equal(fs_read_whole("app/schema.sql", 65536, &schema, &len), 0);
        mariadb_sql(m, "CREATE DATABASE " DATABASE "; USE " DATABASE "; %s", schema);
        mem_free(schema);
}

struct mariadb *mariadb_new(void)
{
        return mariadb_new_posing(NULL);
}

struct mariadb *mariadb_new_posing(const char *version)
{
        struct mariadb *m;
        char *path, *ca = NULL;
        size_t len;

        if (access(MARIADBD, X_OK) != 0) {
                print_message("skipped: there is no %s on this machine\n", MARIADBD);
                return NULL;
        }
        m = mem_new(sizeof(*m));
        m->version = version ? mem_printf("--version=%s", version) : NULL;
        snprintf(m->folder, sizeof(m->folder), "%s/leasekeeper-test.XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        assert_non_null(mkdtemp(m->folder));
        if (getuid() == 0)
                assert_int_equal(chown(m->folder, NOBODY, NOBODY), 0);
        m->socket = mem_printf("%s/sock", m->folder);
        m->port = free_port();
        install(m);
        if (version)
                assert_non_null(strstr(mysql_get_server_info(m->root), version));
        path = mem_printf("%s/ca.pem", m->folder);
        assert_int_equal(fs_read_whole(path, 65536, &ca, &len), 0);
        m->ca = ca;
        mem_free(path);
        return m;
}

static void end(struct mariadb *m)
{
        if (m->root)
                mysql_close(m->root);
        m->root = NULL;
        if (m->pid <= 0)
                return;
        kill(m->pid, SIGKILL);
        while (waitpid(m->pid, NULL, 0) < 0 && errno == EINTR)
                ;
        m->pid = 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

struct mariadb *mariadb_free(struct mariadb *m)
{
        if (!m)
                return NULL;
        end(m);
        nftw(m->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        mem_free(m->socket);
        mem_free(m->ca);
        mem_free(m->version);
        return mem_free(m);
}

const char *mariadb_socket(const struct mariadb *m)
{
        return m->socket;
}

unsigned mariadb_port(const struct mariadb *m)
{
        return m->port;
}

const char *mariadb_ca(const struct mariadb *m)
{
        return m->ca;
}

const char *mariadb_database(void)
{
        return DATABASE;
}

static MYSQL_RES *ask(struct mariadb *m, const char *sql, bool may_fail)
{
        MYSQL_RES *result;

        if (mysql_query(m->root, sql) != 0) {
                if (!may_fail)
                        fail_msg("%s: %s", sql, mysql_error(m->root));
                return NULL;
        }
        result = mysql_store_result(m->root);
        while (mysql_more_results(m->root)) {
                if (mysql_next_result(m->root) > 0)
                        fail_msg("%s: %s", sql, mysql_error(m->root));
                mysql_free_result(mysql_store_result(m->root));
        }
        return result;
}

__attribute__((format(printf, 1, 0))) static char *format(const char *fmt, va_list ap)
{
        char *text = NULL;

        assert_true(vasprintf(&text, fmt, ap) >= 0);
        return text;
}

void mariadb_sql(struct mariadb *m, const char *fmt, ...)
{
        va_list ap;
        char *sql;

        va_start(ap, fmt);
        sql = format(fmt, ap);
        va_end(ap);
        mysql_free_result(ask(m, sql, false));
        free(sql);
}

uint64_t mariadb_number(struct mariadb *m, const char *fmt, ...)
{
        va_list ap;
        char *sql;
        MYSQL_RES *result;
        MYSQL_ROW row;
        uint64_t value = 0;

        va_start(ap, fmt);
        sql = format(fmt, ap);
        va_end(ap);
        result = ask(m, sql, false);
        row = mysql_fetch_row(result);
        if (row && row[0])
                value = strtoull(row[0], NULL, 10);
        mysql_free_result(result);
        free(sql);
        return value;
}

void mariadb_add_user(struct mariadb *m, const char *name, const char *password)
{
        mariadb_sql(m,
                    "CREATE USER '%s'@'%%' IDENTIFIED BY '%s'; GRANT SELECT, INSERT ON " DATABASE ".notes TO '%s'@'%%'",
                    name, password, name);
}

void mariadb_kill_user(struct mariadb *m, const char *name)
{
        char *sql = mem_printf("KILL USER '%s'", name);

        mysql_free_result(ask(m, sql, true));
        mem_free(sql);
}

void mariadb_pause(struct mariadb *m)
{
        int status;

        /* A signal sent is none taken: the kernel says when the last of its threads stands still. */
        assert_int_equal(kill(m->pid, SIGSTOP), 0);
        assert_int_equal(waitpid(m->pid, &status, WUNTRACED), m->pid);
        assert_true(WIFSTOPPED(status));
}

void mariadb_resume(struct mariadb *m)
{
        kill(m->pid, SIGCONT);
}

void mariadb_crash(struct mariadb *m)
{
        end(m);
}

void mariadb_restart(struct mariadb *m)
{
        serve(m);
        mariadb_sql(m, "USE " DATABASE);
}

struct mariadb *server;

int mariadb_set_up(void **state)
{
        (void)state;
        server = mariadb_new();
        if (server)
                mariadb_add_user(server, "app", "p");
        return 0;
}

int mariadb_tear_down(void **state)
{
        (void)state;
        server = mariadb_free(server);
        return 0;
}

int mariadb_fresh(void **state)
{
        (void)state;
        if (server)
                mariadb_sql(server, "TRUNCATE notes");
        return 0;
}

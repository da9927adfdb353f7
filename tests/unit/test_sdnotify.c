/* tests/unit/test_sdnotify.c: what common/sdnotify.h promises, told to a service manager of ours. */
#include "common/sdnotify.h"
#include "tests/unit/support_handover.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static int manager_fd;
static char heard[4096];

/* An abstract address that the kernel picks: no file to remove. */
static int start_manager(void **state)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        socklen_t len = sizeof(addr);
        char name[sizeof(addr.sun_path) + 1] = "@";

        (void)state;
        manager_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (manager_fd < 0 || bind(manager_fd, (struct sockaddr *)&addr, sizeof(sa_family_t)) < 0 ||
            getsockname(manager_fd, (struct sockaddr *)&addr, &len) < 0)
                return -1;
        memcpy(name + 1, addr.sun_path + 1, len - offsetof(struct sockaddr_un, sun_path) - 1);
        return setenv("NOTIFY_SOCKET", name, 1);
}

static int stop_manager(void **state)
{
        (void)state;
        unsetenv("NOTIFY_SOCKET");
        unsetenv("WATCHDOG_USEC");
        unsetenv("WATCHDOG_PID");
        return close(manager_fd);
}

static const char *hear(void)
{
        ssize_t n = recv(manager_fd, heard, sizeof(heard) - 1, 0);

        heard[n > 0 ? n : 0] = '\0';
        return heard;
}

static void manager_hears_each_state(void **state)
{
        uint64_t usec = 0;

        (void)state;
        sdnotify_ready(NULL);
        assert_string_equal(hear(), "READY=1");
        sdnotify_ready("serving 3 secrets");
        assert_string_equal(hear(), "STATUS=serving 3 secrets");
        assert_string_equal(hear(), "READY=1");
        sdnotify_stopping();
        assert_string_equal(hear(), "STOPPING=1");
        sdnotify_watchdog();
        assert_string_equal(hear(), "WATCHDOG=1");
        sdnotify_extend_timeout(30000000);
        assert_string_equal(hear(), "EXTEND_TIMEOUT_USEC=30000000");
        sdnotify_reloading();
        assert_int_equal(sscanf(hear(), "RELOADING=1\nMONOTONIC_USEC=%lu", &usec), 1);
        assert_true(usec > 0);
        assert_string_equal(hear(), "");
}

/* A line break in a reason from outside must not become an assignment of its own. */
static void status_is_one_line(void **state)
{
        (void)state;
        sdnotify_status("waiting for %s\nREADY=1", "db");
        assert_string_equal(hear(), "STATUS=waiting for db READY=1");
}

static void watchdog_is_what_the_manager_wants(void **state)
{
        (void)state;
        assert_int_equal(sdnotify_watchdog_usec(), 0);
        setenv("WATCHDOG_USEC", "20000000", 1);
        assert_int_equal(sdnotify_watchdog_usec(), 20000000);
        setenv("WATCHDOG_PID", "1", 1); /* meant for another process */
        assert_int_equal(sdnotify_watchdog_usec(), 0);
}

static void no_manager_is_fine(void **state)
{
        (void)state;
        unsetenv("NOTIFY_SOCKET");
        sdnotify_ready("nobody listens");
        assert_string_equal(hear(), "");
}

/* --- sockets that are handed over: descriptors from 3 on --- */

#define PATHS "/tmp/leasekeeper-test-sdnotify"

static struct sockaddr_un unix_address(const char *what)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};

        (void)snprintf(addr.sun_path, sizeof(addr.sun_path), PATHS ".%ld.%s", (long)getpid(), what);
        return addr;
}

static void put(int from, int to)
{
        assert_true(from >= 0);
        if (from == to)
                return;
        assert_int_equal(dup2(from, to), to);
        close(from);
}

static void put_unix(const char *what, bool listening, int to)
{
        const struct sockaddr_un addr = unix_address(what);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
        if (listening)
                assert_int_equal(listen(fd, 1), 0);
        put(fd, to);
}

static int find_unix(const char *what, int *ret_fd)
{
        const struct sockaddr_un addr = unix_address(what);

        return sdnotify_listen_socket((const struct sockaddr *)&addr, sizeof(addr), ret_fd);
}

static int take_back(void **state)
{
        static const char *const made[] = {"one", "two", "deaf"};

        (void)state;
        hand_over_nothing();
        for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
                const struct sockaddr_un addr = unix_address(made[i]);

                unlink(addr.sun_path);
                close(FIRST + (int)i);
        }
        return 0;
}

static void a_socket_is_found_by_its_path(void **state)
{
        int fd = -1;

        (void)state;
        put_unix("one", true, FIRST);
        put_unix("two", true, FIRST + 1);
        put_unix("deaf", false, FIRST + 2);
        hand_over(3);
        assert_int_equal(find_unix("two", &fd), 0);
        assert_int_equal(fd, FIRST + 1);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_int_equal(find_unix("one", &fd), 0);
        assert_int_equal(fd, FIRST);
        fd = -1;
        assert_int_equal(find_unix("deaf", &fd), -ENOENT); /* bound, but it does not listen */
        assert_int_equal(find_unix("on", &fd), -ENOENT);   /* a path is no prefix */
        assert_int_equal(fd, -1);
}

static void a_tcp_socket_is_found_by_address_and_port(void **state)
{
        struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(addr);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)state;
        assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
        assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
        put(fd, FIRST);
        hand_over(1);
        assert_int_equal(sdnotify_listen_socket((struct sockaddr *)&addr, sizeof(addr), &fd), 0);
        assert_int_equal(fd, FIRST);
        addr.sin_port ^= 1;
        assert_int_equal(sdnotify_listen_socket((struct sockaddr *)&addr, sizeof(addr), &fd), -ENOENT);
}

static void sockets_for_another_process_are_not_ours(void **state)
{
        int fd = -1;

        (void)state;
        put_unix("one", true, FIRST);
        assert_int_equal(find_unix("one", &fd), -ENOENT);
        hand_over(1);
        setenv("LISTEN_PID", "1", 1);
        assert_int_equal(find_unix("one", &fd), -ENOENT);
        assert_int_equal(fd, -1);
}

#define MANAGED(test) cmocka_unit_test_setup_teardown(test, start_manager, stop_manager)

int main(void)
{
        const struct CMUnitTest tests[] = {
                MANAGED(manager_hears_each_state),
                MANAGED(status_is_one_line),
                MANAGED(watchdog_is_what_the_manager_wants),
                MANAGED(no_manager_is_fine),
                cmocka_unit_test_teardown(a_socket_is_found_by_its_path, take_back),
                cmocka_unit_test_teardown(a_tcp_socket_is_found_by_address_and_port, take_back),
                cmocka_unit_test_teardown(sockets_for_another_process_are_not_ours, take_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

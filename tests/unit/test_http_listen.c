/* tests/unit/test_http_listen.c: TCP sockets that a service manager hands over, and those that we open ourselves. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/http_server.h"
#include "common/mem.h"
#include "common/sdnotify.h"
#include "tests/unit/support_handover.h"

/* A socket on a free port of the loopback, at that descriptor. Return: its address, as a listener has it. */
static char *make(int family, int fd)
{
        struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct sockaddr *addr = family == AF_INET ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6;
        socklen_t len = family == AF_INET ? sizeof(a4) : sizeof(a6);
        int made = socket(family, SOCK_STREAM, 0);

        assert_true(made >= 0);
        assert_int_equal(bind(made, addr, len), 0);
        assert_int_equal(listen(made, 8), 0);
        assert_int_equal(getsockname(made, addr, &len), 0);
        if (made != fd) {
                assert_int_equal(dup2(made, fd), fd);
                close(made);
        }
        return family == AF_INET ? mem_printf("127.0.0.1:%u", ntohs(a4.sin_port))
                                 : mem_printf("[::1]:%u", ntohs(a6.sin6_port));
}

static int take_back(void **state)
{
        (void)state;
        hand_over_nothing();
        for (int fd = FIRST; fd < FIRST + 3; fd++)
                close(fd);
        return 0;
}

static void count_one(const struct sockaddr *addr, socklen_t len, void *arg)
{
        unsigned *n = arg;

        assert_in_range(len, sizeof(addr->sa_family), sizeof(struct sockaddr_storage));
        (*n)++;
}

static unsigned unused(void)
{
        unsigned n = 0;

        sdnotify_each_unused_socket(count_one, &n);
        return n;
}

static void a_socket_that_was_handed_over_is_taken(void **state)
{
        cleanup_free char *four = make(AF_INET, FIRST), *six = make(AF_INET6, FIRST + 1);
        char *error = NULL;
        int fd;

        (void)state;
        hand_over(2);
        assert_int_equal(unused(), 2);
        assert_int_equal(http_listen_tcp(six, 1, &fd, &error), 0);
        assert_int_equal(fd, FIRST + 1);
        assert_int_equal(unused(), 1);
        assert_int_equal(http_listen_tcp(four, 1, &fd, &error), 0);
        assert_int_equal(fd, FIRST);
        assert_int_equal(unused(), 0);
        assert_null(error);
}

/* Two listeners on one descriptor would close it twice. */
static void a_socket_is_given_once(void **state)
{
        cleanup_free char *address = make(AF_INET, FIRST), *error = NULL;
        int fd;

        (void)state;
        hand_over(1);
        assert_int_equal(http_listen_tcp(address, 1, &fd, &error), 0);
        assert_int_equal(http_listen_tcp(address, 1, &fd, &error), -EADDRINUSE);
        assert_non_null(strstr(error, address));
}

static void where_none_was_handed_over_one_is_opened(void **state)
{
        char *error = NULL;
        int fd;

        (void)state;
        mem_free(make(AF_INET, FIRST));
        hand_over(1);
        assert_int_equal(http_listen_tcp("127.0.0.1:0", 1, &fd, &error), 0);
        assert_int_not_equal(fd, FIRST);
        assert_int_equal(unused(), 1); /* our own is not among them */
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(a_socket_that_was_handed_over_is_taken, take_back),
                cmocka_unit_test_teardown(a_socket_is_given_once, take_back),
                cmocka_unit_test_teardown(where_none_was_handed_over_one_is_opened, take_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

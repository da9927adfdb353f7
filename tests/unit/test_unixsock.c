/* tests/unit/test_unixsock.c: what common/unixsock.h promises: nobody gets in early, and the kernel's word about peers. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/unixsock.h"

struct scene {
        char folder[32];
        char path[64];
        int fd;
};

/* What the path of a socket was when it was given a name, and when it began to be one that can be connected to. */
static struct {
        const char *path; /* NULL: nobody looks */
        struct stat bound, listening;
} look;

/* These stand before the C library's: what is done in between is seen by no other test. */
int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
        int r = (int)syscall(SYS_bind, fd, addr, len);

        if (look.path)
                assert_int_equal(stat(look.path, &look.bound), 0);
        return r;
}

int listen(int fd, int backlog)
{
        if (look.path)
                assert_int_equal(stat(look.path, &look.listening), 0);
        return (int)syscall(SYS_listen, fd, backlog);
}

static int set_up(void **state)
{
        struct scene *s = mem_new(sizeof(*s));

        strcpy(s->folder, "/tmp/unixsock-XXXXXX");
        if (!mkdtemp(s->folder))
                return -1;
        (void)snprintf(s->path, sizeof(s->path), "%s/s.sock", s->folder);
        s->fd = -1;
        *state = s;
        return 0;
}

static int tear_down(void **state)
{
        struct scene *s = *state;

        if (s->fd >= 0)
                close(s->fd);
        unlink(s->path);
        rmdir(s->folder);
        mem_free(s);
        return 0;
}

static void mode_and_group_are_as_asked(void **state)
{
        struct scene *s = *state;
        struct stat st;
        mode_t old = umask(0);
        gid_t gid = geteuid() == 0 ? 12345 : getegid();

        assert_int_equal(unixsock_listen(s->path, 0660, gid, 8, &s->fd), 0);
        umask(old);
        assert_int_equal(stat(s->path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0660);
        assert_int_equal(st.st_gid, gid);
        assert_int_equal(fcntl(s->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(fcntl(s->fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

/* Not for a moment has it the umask's rights, and whoever connects meets the owner and the mode that were asked for. */
static void nobody_gets_in_before_mode_and_group_are_set(void **state)
{
        struct scene *s = *state;
        mode_t old = umask(0);
        gid_t gid = geteuid() == 0 ? 12345 : getegid();

        look.path = s->path;
        assert_int_equal(unixsock_listen(s->path, 0660, gid, 8, &s->fd), 0);
        look.path = NULL;
        umask(old);
        assert_int_equal(look.bound.st_mode & 07777, 0);
        assert_int_equal(look.listening.st_mode & 07777, 0660);
        assert_int_equal(look.listening.st_gid, gid);
}

static void umask_does_not_take_from_the_mode(void **state)
{
        struct scene *s = *state;
        struct stat st;
        mode_t old = umask(0177);

        assert_int_equal(unixsock_listen(s->path, 0666, (gid_t)-1, 8, &s->fd), 0);
        umask(old);
        assert_int_equal(stat(s->path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0666);
}

static void dead_socket_is_replaced(void **state)
{
        struct scene *s = *state;
        int client;

        assert_int_equal(unixsock_listen(s->path, 0600, (gid_t)-1, 8, &s->fd), 0);
        close(s->fd); /* the process died: the path is left */
        assert_int_equal(unixsock_connect(s->path, &client), -ECONNREFUSED);
        assert_int_equal(unixsock_listen(s->path, 0600, (gid_t)-1, 8, &s->fd), 0);
        assert_int_equal(unixsock_connect(s->path, &client), 0);
        close(client);
}

static void living_socket_is_left_alone(void **state)
{
        struct scene *s = *state;
        int second = -7, client;

        assert_int_equal(unixsock_listen(s->path, 0600, (gid_t)-1, 8, &s->fd), 0);
        assert_int_equal(unixsock_listen(s->path, 0600, (gid_t)-1, 8, &second), -EADDRINUSE);
        assert_int_equal(second, -7);
        assert_int_equal(unixsock_connect(s->path, &client), 0);
        close(client);
}

static void full_queue_is_alive(void **state)
{
        struct scene *s = *state;
        int clients[8], second, r = 0;
        size_t n = 0;

        assert_int_equal(unixsock_listen(s->path, 0600, (gid_t)-1, 0, &s->fd), 0);
        while (n < array_len(clients) && (r = unixsock_connect(s->path, &clients[n])) == 0)
                n++;
        assert_int_equal(r, -EAGAIN);
        assert_int_equal(unixsock_listen(s->path, 0600, (gid_t)-1, 8, &second), -EADDRINUSE);
        while (n > 0)
                close(clients[--n]);
}

static void file_in_the_way_is_kept(void **state)
{
        struct scene *s = *state;
        int fd = open(s->path, O_WRONLY | O_CREAT, 0600);
        struct stat st;

        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(unixsock_listen(s->path, 0600, (gid_t)-1, 8, &fd), -EEXIST);
        assert_int_equal(lstat(s->path, &st), 0);
        assert_true(S_ISREG(st.st_mode));
}

static void symlink_is_refused(void **state)
{
        struct scene *s = *state;
        struct stat st;
        char target[64];
        int fd;

        (void)snprintf(target, sizeof(target), "%s/elsewhere", s->folder);
        assert_int_equal(symlink(target, s->path), 0);
        assert_int_equal(unixsock_listen(s->path, 0600, (gid_t)-1, 8, &fd), -EEXIST);
        assert_int_equal(lstat(target, &st), -1); /* nothing was made behind it either */
}

static void folder_open_to_all_is_refused(void **state)
{
        struct scene *s = *state;
        int fd;

        assert_int_equal(chmod(s->folder, 0777), 0);
        assert_int_equal(unixsock_listen(s->path, 0600, (gid_t)-1, 8, &fd), -EPERM);
        assert_int_equal(chmod(s->folder, 01777), 0);
        assert_int_equal(unixsock_listen(s->path, 0600, (gid_t)-1, 8, &s->fd), 0);
}

static void paths_that_cannot_be(void **state)
{
        char longer[200];
        int fd = -7;

        (void)state;
        memset(longer, 'a', sizeof(longer) - 1);
        memcpy(longer, "/tmp/", 5);
        longer[sizeof(longer) - 1] = '\0';
        assert_int_equal(unixsock_listen(longer, 0600, (gid_t)-1, 8, &fd), -ENAMETOOLONG);
        assert_int_equal(unixsock_listen("", 0600, (gid_t)-1, 8, &fd), -EINVAL);
        assert_int_equal(unixsock_listen("/tmp/no/such/folder/s", 0600, (gid_t)-1, 8, &fd), -ENOENT);
        assert_int_equal(unixsock_connect("/tmp/no/such/folder/s", &fd), -ENOENT);
        assert_int_equal(fd, -7);
}

static void peer_is_who_the_kernel_says(void **state)
{
        int fds[2];
        struct peer p;

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        assert_int_equal(unixsock_peer(fds[0], &p), 0);
        assert_int_equal(p.uid, geteuid());
        assert_int_equal(p.gid, getegid());
        assert_int_equal(p.pid, getpid());
        assert_int_equal(p.pidfd >= 0, unixsock_has_peerpidfd());
        if (p.pidfd >= 0)
                assert_int_equal(fcntl(p.pidfd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_true(peer_in_group(&p, getegid()));
        assert_false(peer_in_group(&p, 54321));
        peer_done(&p);
        assert_int_equal(p.pidfd, -1);
        peer_done(&p);
        close(fds[0]);
        close(fds[1]);
}

static void peer_of_something_else_fails(void **state)
{
        int fds[2];
        struct peer p;

        (void)state;
        assert_int_equal(pipe(fds), 0);
        assert_int_equal(unixsock_peer(fds[0], &p), -ENOTSOCK);
        close(fds[0]);
        close(fds[1]);
}

/* In the child: becomes somebody else with many groups, connects, and stays until the parent has looked. */
static void connect_as_another(const char *path, int go_on)
{
        gid_t groups[40];
        char byte;
        int fd;

        for (size_t i = 0; i < array_len(groups); i++)
                groups[i] = (gid_t)(70000 + i);
        if (setgroups(array_len(groups), groups) < 0 || setgid(60001) < 0 || setuid(60002) < 0)
                _exit(1);
        if (unixsock_connect(path, &fd) < 0)
                _exit(2);
        _exit(read(go_on, &byte, 1) < 0);
}

static void peer_of_another_user_with_many_groups(void **state)
{
        struct scene *s = *state;
        int go_on[2], fd, status;
        struct peer p;
        pid_t child;

        if (geteuid() != 0)
                skip();
        assert_int_equal(chmod(s->folder, 0755), 0);
        assert_int_equal(unixsock_listen(s->path, 0666, (gid_t)-1, 8, &s->fd), 0);
        assert_int_equal(pipe(go_on), 0);
        child = fork();
        if (child == 0) {
                close(go_on[1]);
                connect_as_another(s->path, go_on[0]);
        }
        close(go_on[0]);
        assert_int_equal(poll(&(struct pollfd){.fd = s->fd, .events = POLLIN}, 1, 20000), 1);
        fd = accept(s->fd, NULL, NULL);
        assert_true(fd >= 0);
        assert_int_equal(unixsock_peer(fd, &p), 0);
        assert_int_equal(p.uid, 60002);
        assert_int_equal(p.gid, 60001);
        assert_int_equal(p.pid, child);
        assert_int_equal(p.groups_len, 40);
        assert_true(peer_in_group(&p, 60001));
        assert_true(peer_in_group(&p, 70039));
        assert_false(peer_in_group(&p, 0));
        peer_done(&p);
        close(fd);
        close(go_on[1]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(mode_and_group_are_as_asked, set_up, tear_down),
                cmocka_unit_test_setup_teardown(nobody_gets_in_before_mode_and_group_are_set, set_up, tear_down),
                cmocka_unit_test_setup_teardown(umask_does_not_take_from_the_mode, set_up, tear_down),
                cmocka_unit_test_setup_teardown(dead_socket_is_replaced, set_up, tear_down),
                cmocka_unit_test_setup_teardown(living_socket_is_left_alone, set_up, tear_down),
                cmocka_unit_test_setup_teardown(full_queue_is_alive, set_up, tear_down),
                cmocka_unit_test_setup_teardown(file_in_the_way_is_kept, set_up, tear_down),
                cmocka_unit_test_setup_teardown(symlink_is_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(folder_open_to_all_is_refused, set_up, tear_down),
                cmocka_unit_test(paths_that_cannot_be),
                cmocka_unit_test(peer_is_who_the_kernel_says),
                cmocka_unit_test(peer_of_something_else_fails),
                cmocka_unit_test_setup_teardown(peer_of_another_user_with_many_groups, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

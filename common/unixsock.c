/* common/unixsock.c: UNIX sockets: made so that nobody gets in early, and who the kernel says is at the other end. */
#include "common/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/mem.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static int make_address(const char *path, struct sockaddr_un *ret_addr)
{
        size_t len = strlen(path);

        if (len == 0)
                return -EINVAL;
        if (len >= sizeof(ret_addr->sun_path))
                return -ENAMETOOLONG;
        *ret_addr = (struct sockaddr_un){.sun_family = AF_UNIX};
        memcpy(ret_addr->sun_path, path, len + 1);
        return 0;
}

/* Return: a descriptor, -errno. */
static int make_socket(void)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        return fd < 0 ? -errno : fd;
}

/* In a folder where anybody may rename, the path that clients open is not ours to promise. */
static int check_folder(const char *path)
{
        char copy[PATH_MAX];
        struct stat st;

        (void)snprintf(copy, sizeof(copy), "%s", path);
        if (stat(dirname(copy), &st) < 0)
                return -errno;
        return (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX) ? -EPERM : 0;
}

/* Return: 0 where the path is free now, -errno. */
static int remove_dead_socket(const char *path)
{
        struct stat st;
        int fd, r;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISSOCK(st.st_mode))
                return -EEXIST;
        r = unixsock_connect(path, &fd);
        if (r == 0) {
                close(fd);
                return -EADDRINUSE;
        }
        if (r == -EAGAIN || r == -EPROTOTYPE) /* its queue is full, or it is a datagram socket: alive */
                return -EADDRINUSE;
        if (r != -ECONNREFUSED && r != -ENOENT)
                return r;
        return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Neither follows a symlink that somebody put in the socket's place. */
static int set_owner_and_mode(const char *path, mode_t mode, gid_t gid)
{
        if (gid != (gid_t)-1 && fchownat(AT_FDCWD, path, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW) == 0)
                return 0;
        if (errno != EOPNOTSUPP) /* the C library needs /proc for it; without, the folder's rights must do */
                return -errno;
        return chmod(path, mode) < 0 ? -errno : 0;
}

/**
 * unixsock_listen() - bind and listen on a path
 * @path:    a socket that is there and that nobody listens on is replaced. Two starts at the same instant are not told apart:
 *           whoever needs that holds a lock (fs_lock()) first
 * @mode:    of the socket
 * @gid:     its group, (gid_t)-1 leaves the process's own
 * @backlog: for listen(2)
 * @ret_fd:  non-blocking, close-on-exec; yours to close, and the path yours to unlink
 *
 * Return: 0; -EADDRINUSE: somebody listens there; -EEXIST: something else than a socket (a symlink too); -EPERM: anybody may
 * write in the folder and it is not sticky, or the group cannot be given; -ENAMETOOLONG: past 107 bytes; -errno.
 */
int unixsock_listen(const char *path, mode_t mode, gid_t gid, int backlog, int *ret_fd)
{
        struct sockaddr_un addr;
        int fd, r;

        if ((r = make_address(path, &addr)) < 0 || (r = check_folder(path)) < 0 || (r = remove_dead_socket(path)) < 0)
                return r;
        fd = make_socket();
        if (fd < 0)
                return fd;
        /* bind(2) takes the mode from the socket's own inode: no moment with the umask's rights, and no umask(2), which threads share. */
        if (fchmod(fd, 0) < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
                r = -errno;
                close(fd);
                return r;
        }
        /* Until listen(2) every connect is refused: owner and mode stand before anyone gets in. */
        r = set_owner_and_mode(path, mode, gid);
        if (r == 0 && listen(fd, backlog) < 0)
                r = -errno;
        if (r < 0) {
                unlink(path);
                close(fd);
                return r;
        }
        *ret_fd = fd;
        return 0;
}

/**
 * unixsock_connect() - connect to a listening path
 * @path:   the socket
 * @ret_fd: connected, non-blocking, close-on-exec; yours to close
 *
 * Return: 0; -ECONNREFUSED: nobody listens; -EAGAIN: its queue is full, try again; -ENOENT, -EACCES, other -errno.
 */
int unixsock_connect(const char *path, int *ret_fd)
{
        struct sockaddr_un addr;
        int fd, r;

        if ((r = make_address(path, &addr)) < 0)
                return r;
        fd = make_socket();
        if (fd < 0)
                return fd;
        if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
                r = -errno;
                close(fd);
                return r;
        }
        *ret_fd = fd;
        return 0;
}

static int read_groups(int fd, struct peer *p)
{
        gid_t few[32];
        socklen_t len = sizeof(few);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, few, &len) == 0) {
                p->groups_len = len / sizeof(gid_t);
                p->groups = mem_array(p->groups_len ? p->groups_len : 1, sizeof(gid_t));
                memcpy(p->groups, few, p->groups_len * sizeof(gid_t));
                return 0;
        }
        if (errno == ENODATA ||
            errno == ENOPROTOOPT) /* no supplementary groups are known: the first one counts alone */
                return 0;
        if (errno != ERANGE)
                return -errno;
        p->groups = mem_array(len / sizeof(gid_t) + 1, sizeof(gid_t)); /* len says now how much there is */
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, p->groups, &len) < 0)
                return -errno;
        p->groups_len = len / sizeof(gid_t);
        return 0;
}

/**
 * unixsock_peer() - who the kernel says called connect() (or socketpair())
 * @fd:       a connected UNIX socket
 * @ret_peer: peer_done() it
 *
 * A kernel that knows SO_PEERPIDFD and refuses it (the peer has exited, no descriptor is left) fails the whole call: a peer that
 * cannot be pinned is not to be looked up by its number.
 *
 * Return: 0, -errno.
 */
int unixsock_peer(int fd, struct peer *ret_peer)
{
        struct peer p = {.pidfd = -1};
        struct ucred cred;
        socklen_t len = sizeof(cred);
        int pidfd, r;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
                return -errno;
        p.uid = cred.uid;
        p.gid = cred.gid;
        p.pid = cred.pid;
        r = read_groups(fd, &p);
        if (r < 0)
                goto fail;
        len = sizeof(pidfd);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) == 0) {
                p.pidfd = pidfd; /* the kernel makes it close-on-exec */
        } else if (errno != ENOPROTOOPT && errno != ENODATA) {
                r = -errno;
                goto fail;
        }
        *ret_peer = p;
        return 0;
fail:
        peer_done(&p);
        return r;
}

/**
 * peer_in_group() - is gid the peer's group or one of its supplementary groups?
 * @p:   the peer
 * @gid: the group
 */
bool peer_in_group(const struct peer *p, gid_t gid)
{
        if (p->gid == gid)
                return true;
        for (size_t i = 0; i < p->groups_len; i++)
                if (p->groups[i] == gid)
                        return true;
        return false;
}

/**
 * unixsock_has_peerpidfd() - does this kernel know SO_PEERPIDFD (Linux 6.5)?
 *
 * Asked once; a process that cannot make a socket pair answers no.
 */
bool unixsock_has_peerpidfd(void)
{
        static int known = -1;
        int fds[2], pidfd;
        socklen_t len = sizeof(pidfd);

        if (known >= 0)
                return known;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return false;
        known = 0;
        if (getsockopt(fds[0], SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) == 0) {
                known = 1;
                close(pidfd);
        }
        close(fds[0]);
        close(fds[1]);
        return known;
}

/**
 * peer_done() - release what unixsock_peer() made; the struct may be used again
 * @p: the peer
 */
void peer_done(struct peer *p)
{
        if (p->pidfd >= 0)
                close(p->pidfd);
        p->pidfd = -1;
        p->groups = mem_free(p->groups);
        p->groups_len = 0;
}

/* common/unixsock.h: UNIX sockets: made so that nobody gets in early, and who the kernel says is at the other end. */
#ifndef COMMON_UNIXSOCK_H
#define COMMON_UNIXSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * What the kernel tells of a peer: SO_PEERCRED (who called connect(), then), SO_PEERGROUPS (all groups) and, where the kernel
 * has it (6.5), SO_PEERPIDFD. Across containers pid is 0.
 */
struct peer {
        uid_t uid;
        gid_t gid;
        pid_t pid;
        int pidfd; /* -1: the kernel has none */
        gid_t *groups;
        size_t groups_len;
};

/*
 * Binds and listens. A path that is there: a socket nobody listens on is replaced, a living one is -EADDRINUSE, anything else
 * -EEXIST; a folder in which anybody may write and rename -EPERM. mode and gid ((gid_t)-1: leave) are in force before anyone
 * can connect.
 */
int unixsock_listen(const char *path, mode_t mode, gid_t gid, int backlog, int *ret_fd);
int unixsock_connect(const char *path, int *ret_fd); /* non-blocking, close-on-exec; connected or -errno */
int unixsock_peer(int fd, struct peer *ret_peer);    /* peer_done() it */
bool peer_in_group(const struct peer *p, gid_t gid);
bool unixsock_has_peerpidfd(void);                   /* does this kernel know SO_PEERPIDFD? */
void peer_done(struct peer *p);

#endif

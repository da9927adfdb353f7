/* common/http_listen.c: TCP sockets to listen on, by address: those that the service manager made, else our own. */
#include "common/http_server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/sdnotify.h"

#define PORT_MAX 65535

/* "127.0.0.1:5000", "[::1]:5000". Return: 0, -EINVAL. */
static int split(const char *address, char **ret_host, char **ret_port)
{
        const char *colon = strrchr(address, ':'), *host = address, *host_end = colon;
        uint64_t port;

        if (!colon || parse_u64(colon + 1, strlen(colon + 1), PORT_MAX, &port) < 0)
                return -EINVAL;
        if (*host == '[') {
                if (host_end == host + 1 || host_end[-1] != ']')
                        return -EINVAL;
                host++;
                host_end--;
        } else if (memchr(host, ':', (size_t)(host_end - host))) {
                return -EINVAL; /* an IPv6 address without brackets: where its port begins would be a guess */
        }
        if (host == host_end)
                return -EINVAL;
        *ret_host = mem_strndup(host, (size_t)(host_end - host));
        *ret_port = mem_strdup(colon + 1);
        return 0;
}

static int open_listener(const struct addrinfo *ai, int backlog)
{
        int on = 1, fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int r;

        if (fd < 0)
                return -errno;
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (ai->ai_family == AF_INET6)
                (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
        if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, backlog) < 0) {
                r = -errno;
                close(fd);
                return r;
        }
        return fd;
}

static char *explain(const char *address, int error)
{
        switch (-error) {
        case EADDRINUSE:
                return mem_printf("%s: the port is taken by another program; stop that or choose another port",
                                  address);
        case EACCES:
                return mem_printf("%s: this port needs a right (CAP_NET_BIND_SERVICE); choose one above 1023", address);
        case EAFNOSUPPORT: return mem_printf("%s: this machine has no IPv6; leave that address out", address);
        case EADDRNOTAVAIL: return mem_printf("%s: this machine has no such address", address);
        default: return mem_printf("%s: %s", address, strerror(-error));
        }
}

/**
 * http_listen_tcp() - take over the socket that a .socket unit made for this address; where there is none, bind and listen
 * @address:   "127.0.0.1:5000" or "[::1]:5000": numbers, no names; port 0 takes a free one. IPv6 does not take IPv4 along
 * @backlog:   for listen(2); of a socket that was handed over, its unit says it (Backlog=)
 * @ret_fd:    non-blocking, close-on-exec; yours to close
 * @ret_error: new where it fails: one line that names the address and says what to do
 *
 * Return: 0, -EINVAL for what is no address, -errno.
 */
int http_listen_tcp(const char *address, int backlog, int *ret_fd, char **ret_error)
{
        cleanup_free char *host = NULL, *port = NULL;
        const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                       .ai_socktype = SOCK_STREAM};
        struct addrinfo *ai;
        int fd, r;

        if (split(address, &host, &port) < 0 || getaddrinfo(host, port, &hints, &ai) != 0) {
                *ret_error =
                        mem_printf("\"%s\" is no address to listen on; write 127.0.0.1:5000 or [::1]:5000", address);
                return -EINVAL;
        }
        r = sdnotify_listen_socket(ai->ai_addr, ai->ai_addrlen, &fd);
        if (r == 0)
                log_info("%s: the service manager handed this socket over", address);
        else
                fd = r == -ENOENT ? open_listener(ai, backlog) : r;
        freeaddrinfo(ai);
        if (fd < 0) {
                *ret_error = explain(address, fd);
                return fd;
        }
        *ret_fd = fd;
        return 0;
}

static void warn_unused(const struct sockaddr *addr, socklen_t len, void *arg)
{
        const char *open = addr->sa_family == AF_INET6 ? "[" : "", *shut = *open ? "]" : "";
        char host[64], port[8];

        (void)arg;
        if (addr->sa_family == AF_UNIX ||
            getnameinfo(addr, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
                return;
        log_warn("the service manager listens on %s%s%s:%s for us, but no listener of ours has that address: who "
                 "connects there is never answered; make ListenStream= of the .socket unit agree",
                 open, host, shut, port);
}

/**
 * http_listen_warn_unused() - name the sockets of a .socket unit that no http_listen_tcp() has taken
 *
 * Call it once all listeners are there. UNIX sockets are left aside.
 */
void http_listen_warn_unused(void)
{
        sdnotify_each_unused_socket(warn_unused, NULL);
}

/* common/sdnotify.h: what the service manager is told (sd_notify(3)) and what it hands over; nothing happens where there is none. */
#ifndef COMMON_SDNOTIFY_H
#define COMMON_SDNOTIFY_H

#include <stdint.h>
#include <sys/socket.h>

void sdnotify_ready(const char *status);
void sdnotify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void sdnotify_reloading(void); /* RELOADING=1 and MONOTONIC_USEC */
void sdnotify_stopping(void);
void sdnotify_extend_timeout(uint64_t usec); /* EXTEND_TIMEOUT_USEC */
void sdnotify_watchdog(void);
uint64_t sdnotify_watchdog_usec(void); /* 0: no watchdog wanted. Ping at half of it */

/* The listening socket of that address that the manager made for us (a .socket unit), once; -ENOENT: none is left. */
int sdnotify_listen_socket(const struct sockaddr *addr, socklen_t len, int *ret_fd);
/* Those that nobody has asked for: who connects there waits in vain. */
typedef void (*sdnotify_socket_fn)(const struct sockaddr *addr, socklen_t len, void *arg);
void sdnotify_each_unused_socket(sdnotify_socket_fn fn, void *arg);

#endif

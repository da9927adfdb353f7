/* app/db_ca.c: PEM text as a file that lies on no disk. */
#include "app/db_ca.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/**
 * db_ca_open() - makes the file
 * @pem:      its content
 * @ret_path: a name under which this process can open it
 * @ret_fd:   close it when the name is not needed any more
 *
 * A memfd needs no folder to be writable, and /proc/self/fd opens it even where the process is not dumpable (then /proc/self
 * belongs to root): a process may always look at itself.
 *
 * Return: 0 or -errno.
 */
int db_ca_open(const char *pem, char ret_path[DB_CA_PATH_LEN], int *ret_fd)
{
        size_t len = strlen(pem);
        int fd = memfd_create("database-ca", MFD_CLOEXEC), r;

        if (fd < 0)
                return -errno;
        for (size_t done = 0; done < len;) {
                ssize_t n = write(fd, pem + done, len - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        r = -errno;
                        close(fd);
                        return r;
                }
                done += (size_t)n;
        }
        snprintf(ret_path, DB_CA_PATH_LEN, "/proc/self/fd/%d", fd);
        *ret_fd = fd;
        return 0;
}

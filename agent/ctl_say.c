/* agent/ctl_say.c: how the client speaks: errors on stderr in one line, secrets on stdout and nowhere else. */
#include "agent/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/secret.h"

/**
 * ctl_fail() - says on stderr what went wrong
 * @fmt: one line without its end
 *
 * Return: CTL_FAILED.
 */
int ctl_fail(const char *fmt, ...)
{
        va_list args;

        fputs("leasekeeper: ", stderr);
        va_start(args, fmt);
        vfprintf(stderr, fmt, args);
        va_end(args);
        fputc('\n', stderr);
        return CTL_FAILED;
}

/**
 * ctl_unreachable() - says on stderr why there was no answer
 * @socket: the agent's
 * @err:    negative errno
 *
 * Return: CTL_FAILED.
 */
int ctl_unreachable(const char *socket, int err)
{
        switch (err) {
        case -ENOENT:
        case -ECONNREFUSED:
                return ctl_fail("%s: nobody listens there; is leasekeeperd running? -socket PATH names another socket",
                                socket);
        case -EACCES: return ctl_fail("%s: permission denied; the socket's group may connect", socket);
        case -ETIMEDOUT: return ctl_fail("%s: the agent does not answer", socket);
        case -EPIPE: return ctl_fail("%s: the agent has closed the connection", socket);
        case -EPROTO: return ctl_fail("%s: the answer breaks off, or is no HTTP: too many connections?", socket);
        default: return ctl_fail("%s: %s", socket, strerror(-err));
        }
}

/**
 * ctl_refused() - says on stderr what the agent had to say against it
 * @r: an answer with a status of 400 or above
 *
 * Return: CTL_FAILED.
 */
int ctl_refused(const struct ctl_reply *r)
{
        char error[128];
        cleanup_json json_t *body =
                secret_len(r->body) ? json_read(secret_bytes(r->body), secret_len(r->body), error, sizeof(error))
                                    : NULL;
        const json_t *errors = json_object_get(body, "errors");
        json_t *item;
        size_t i;

        if (json_array_size(errors) == 0)
                errors = json_object_get(body, "findings");
        if (json_array_size(errors) == 0)
                return ctl_fail("the agent answered %d", r->status);
        json_array_foreach (errors, i, item) {
                const char *text = json_is_object(item) ? json_str(item, "text") : json_string_value(item);

                ctl_fail("%s", text ? text : "?");
        }
        return CTL_FAILED;
}

/**
 * ctl_write() - to stdout
 * @bytes: may be secret
 * @len:   their number
 *
 * Return: 0; -errno.
 */
int ctl_write(const void *bytes, size_t len)
{
        const char *at = bytes;

        while (len > 0) {
                ssize_t n = write(STDOUT_FILENO, at, len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                at += n;
                len -= (size_t)n;
        }
        return 0;
}

/* agent/config_machine.c: what a start needs of the machine: a state_dir of its own, and sockets that can be made. */
#include "agent/config_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/mem.h"

/* Return: new: the folder that a path lies in; the path is absolute. */
static char *folder_of(const char *path)
{
        const char *slash = strrchr(path, '/');

        return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* --- state_dir --- */

/* It is made by the start, with its parents: somewhere above it there is a folder that must let us. */
static void check_can_be_made(struct config_reader *r, const char *where, const char *dir)
{
        cleanup_free char *at = folder_of(dir);
        struct stat st;

        while (stat(at, &st) < 0 && errno == ENOENT && strcmp(at, "/") != 0) {
                char *above = folder_of(at);

                mem_free(at);
                at = above;
        }
        if (access(at, W_OK | X_OK) < 0)
                config_error_at(r, where, "state_dir %.200s cannot be made in %.200s: %m; make it, owned by the agent",
                                dir, at);
}

static void check_state_dir(struct config_reader *r, const char *where)
{
        const char *dir = r->config->state_dir;
        bool is_memory = true;
        struct stat st;
        int found = fs_is_memory(dir, &is_memory);

        if (found < 0)
                config_error_at(r, where, "state_dir %.200s: looking at its file system failed: %s; make it reachable",
                                dir, strerror(-found));
        else if (!is_memory)
                config_error_at(r, where, "state_dir %.200s does not lie on tmpfs or ramfs; move it below /run", dir);
        else if (stat(dir, &st) < 0)
                check_can_be_made(r, where, dir);
        else if (!S_ISDIR(st.st_mode))
                config_error_at(r, where, "state_dir %.200s is no folder; remove what is there", dir);
        else if (st.st_uid != geteuid() && geteuid() != 0)
                config_error_at(r, where,
                                "state_dir %.200s belongs to user %u; give it to the agent's, or name another folder",
                                dir, (unsigned)st.st_uid);
        else if (st.st_uid != geteuid()) /* root often looks for somebody else */
                config_warn_at(r, where,
                               "state_dir %.200s belongs to user %u, and only that one can start the agent on it; "
                               "check as that user",
                               dir, (unsigned)st.st_uid);
}

/* --- sockets --- */

/* An anonymous socket shows what the kernel lets us do with one that has a name. */
static bool may_give(uid_t uid, gid_t gid)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool may = fd < 0 || fchown(fd, uid, gid) == 0;

        if (fd >= 0)
                close(fd);
        return may;
}

static void check_owner(struct config_reader *r, const struct config_listener *l)
{
        if (l->socket_gid != (gid_t)-1 && !may_give((uid_t)-1, l->socket_gid))
                config_error_at(r, l->where,
                                "the agent may not give its socket to group %.60s; add its user to that group",
                                l->socket_group);
        if (l->socket_uid != (uid_t)-1 && !may_give(l->socket_uid, (gid_t)-1))
                config_error_at(r, l->where, "the agent may not give its socket to user %.60s; use socket_group",
                                l->socket_user);
}

static void check_folder(struct config_reader *r, const struct config_listener *l)
{
        cleanup_free char *folder = folder_of(l->address);
        struct stat st = {0};

        if (stat(folder, &st) < 0 && errno == ENOENT && config_lies_in(r->config->state_dir, folder))
                return; /* the start makes it, on the way to state_dir */
        if (access(folder, W_OK | X_OK) < 0)
                config_error_at(r, l->where,
                                "no socket can be made in %.200s: %m; make that folder, writable by the agent", folder);
        else if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
                config_error_at(r, l->where, "anybody may replace the socket in %.200s; chmod o-w that folder", folder);
}

static void check_socket(struct config_reader *r, const struct config_listener *l)
{
        struct stat st;

        if (lstat(l->address, &st) < 0) {
                check_folder(r, l);
                check_owner(r, l);
        } else if (!S_ISSOCK(st.st_mode)) {
                config_error_at(r, l->where, "%.200s is no socket; remove it, or give the socket another path",
                                l->address);
        } else if (st.st_uid == geteuid() && st.st_gid != l->socket_gid) { /* not one that a .socket unit made */
                check_owner(r, l);
        }
}

/**
 * config_check_machine() - checks what a start would fail at
 * @r: the configuration, read; collects findings. The machine is asked with CONFIG_FULL alone, as the caller sees it
 */
void config_check_machine(struct config_reader *r)
{
        const char *where = r->state_dir_where ? r->state_dir_where : r->top;
        const struct config *c = r->config;

        if (config_check_path(r, where, "state_dir", c->state_dir) && r->depth == CONFIG_FULL)
                check_state_dir(r, where);
        if (r->depth != CONFIG_FULL)
                return;
        if (getenv("LISTEN_FDS")) /* sockets that are handed over are made by the service manager, and as it likes */
                return;
        for (size_t i = 0; i < c->listeners_len; i++)
                if (c->listeners[i].is_unix && c->listeners[i].address[0] == '/')
                        check_socket(r, &c->listeners[i]);
}

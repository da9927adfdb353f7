/* common/fs.c: files that change as a whole, and where they may lie. */
#include "common/fs.h"

#include "common/fs_part.h"
#include "common/mem.h"
#include "common/parse.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define RANDOM_DIGITS 16
#define COMPARE_PIECE 4096

/* Return: new: the path without slashes at its end; "/" stays. */
static char *without_end_slashes(const char *path)
{
        size_t len = strlen(path);

        while (len > 1 && path[len - 1] == '/')
                len--;
        return mem_strndup(path, len);
}

/* Cuts the last part off: "/a/b" -> "/a", "/a" -> "/", "a" -> ".". */
static void to_parent(char *path)
{
        char *slash = strrchr(path, '/');

        if (!slash) {
                path[0] = '.';
                path[1] = '\0';
                return;
        }
        while (slash > path && slash[-1] == '/')
                slash--;
        slash[slash == path ? 1 : 0] = '\0';
}

/**
 * fs_is_memory() - does a path lie in memory?
 * @path: a folder, or a file that may not exist yet: then its folder counts, or the nearest parent that exists
 * @ret_memory: true on tmpfs and ramfs
 *
 * Return: 0; -errno.
 */
int fs_is_memory(const char *path, bool *ret_memory)
{
        cleanup_free char *at = NULL;
        struct statfs fs;
        struct stat st;

        if (*path == '\0')
                return -ENOENT;
        at = without_end_slashes(path);
        for (; stat(at, &st) < 0 || !S_ISDIR(st.st_mode); to_parent(at)) {
                if (lstat(at, &st) < 0 && errno != ENOENT && errno != ENOTDIR)
                        return -errno;
                if (strcmp(at, ".") == 0 || strcmp(at, "/") == 0)
                        return -ENOENT;
        }
        if (statfs(at, &fs) < 0)
                return -errno;
        *ret_memory = fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
        return 0;
}

static int make_one_folder(const char *path, mode_t mode)
{
        int fd, r;

        if (mkdir(path, 0700) < 0 && errno != EEXIST) /* another process may have been faster */
                return -errno;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = fchmod(fd, mode) < 0 ? -errno : 0; /* the umask has no say */
        close(fd);
        return r;
}

/**
 * fs_mkdir_parents() - makes a folder and its parents
 * @path: folder
 * @mode: of each folder that is made; one that is there stays as it is
 *
 * Return: 0; -ENOTDIR where something else has the name; -errno.
 */
int fs_mkdir_parents(const char *path, mode_t mode)
{
        cleanup_free char *at = without_end_slashes(path);

        if (*at == '\0')
                return -ENOENT;
        for (char *slash = at + 1;; slash++) {
                struct stat st;
                int r = 0;

                if (*slash != '/' && *slash != '\0')
                        continue;

                char kept = *slash;

                *slash = '\0';
                /* Looked at first: making what exists may say EROFS or EACCES instead of EEXIST. */
                if (stat(at, &st) < 0)
                        r = errno == ENOENT ? make_one_folder(at, mode) : -errno;
                else if (!S_ISDIR(st.st_mode))
                        r = -ENOTDIR;
                if (r < 0 || kept == '\0')
                        return r;
                *slash = kept;
        }
}

/**
 * fs_place_open() - opens the folder of a path
 * @path: file or symlink that may not exist; slashes at its end are dropped
 * @ret_place: for fs_place_close()
 *
 * Return: 0; -EINVAL for a path without a name of its own; -errno.
 */
int fs_place_open(const char *path, struct fs_place *ret_place)
{
        cleanup_free char *folder = without_end_slashes(path);
        struct fs_place place = FS_PLACE_NONE;
        const char *slash = strrchr(folder, '/'), *name = slash ? slash + 1 : folder;

        if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return -EINVAL;
        if (strlen(name) > NAME_MAX)
                return -ENAMETOOLONG;
        memcpy(place.name, name, strlen(name) + 1);
        to_parent(folder);
        place.folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (place.folder_fd < 0)
                return -errno;
        *ret_place = place;
        return 0;
}

/**
 * fs_place_close() - closes the folder
 * @place: place; FS_PLACE_NONE is fine
 */
void fs_place_close(struct fs_place *place)
{
        if (place->folder_fd >= 0)
                close(place->folder_fd);
        place->folder_fd = -1;
}

/**
 * fs_temporary_name() - a name for what is made beside a file and then renamed
 * @name: the file's name
 * @ret_temporary: ".NAME.0123456789abcdef"
 *
 * Return: 0; -ENAMETOOLONG; -errno of getrandom(2).
 */
int fs_temporary_name(const char *name, char ret_temporary[NAME_MAX + 1])
{
        uint64_t bits;

        if (strlen(name) + RANDOM_DIGITS + 2 > NAME_MAX)
                return -ENAMETOOLONG;
        if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
                return errno ? -errno : -EIO;
        snprintf(ret_temporary, NAME_MAX + 1, ".%s.%016" PRIx64, name, bits);
        return 0;
}

/**
 * fs_is_temporary_of() - did fs_temporary_name() make this name?
 * @entry: name in a folder
 * @name: of which file; NULL: of any
 *
 * Return: true where it did.
 */
bool fs_is_temporary_of(const char *entry, const char *name)
{
        size_t len = strlen(entry), name_len;

        if (len < RANDOM_DIGITS + 3 || entry[0] != '.' || entry[len - RANDOM_DIGITS - 1] != '.')
                return false;
        if (strspn(entry + len - RANDOM_DIGITS, "0123456789abcdef") != RANDOM_DIGITS)
                return false;
        name_len = len - RANDOM_DIGITS - 2;
        return !name || (strlen(name) == name_len && memcmp(entry + 1, name, name_len) == 0);
}

static int write_all(int fd, const char *bytes, size_t len)
{
        while (len > 0) {
                ssize_t n = write(fd, bytes, len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                bytes += n;
                len -= (size_t)n;
        }
        return 0;
}

/* The owner first: a mode with group bits must not hold for the old group, and chown clears bits. */
static int set_owner(int fd, const struct fs_owner *owner)
{
        if ((owner->uid != (uid_t)-1 || owner->gid != (gid_t)-1) && fchown(fd, owner->uid, owner->gid) < 0)
                return -errno;
        return fchmod(fd, owner->mode & 0777) < 0 ? -errno : 0;
}

/**
 * fs_write_new() - writes a file that is not there yet, to the end of fsync(2)
 * @folder_fd: folder
 * @name: name in it
 * @bytes: content
 * @len: its bytes
 * @owner: owner and mode; nobody else can open the file before they are set
 *
 * Return: 0; -EEXIST; -errno: nothing is left.
 */
int fs_write_new(int folder_fd, const char *name, const void *bytes, size_t len, const struct fs_owner *owner)
{
        int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        int r;

        if (fd < 0)
                return -errno;
        r = write_all(fd, bytes, len);
        if (r == 0)
                r = set_owner(fd, owner);
        if (r == 0 && fsync(fd) < 0)
                r = -errno;
        /* NFS and quotas report a full disk as late as here. */
        if (close(fd) < 0 && r == 0)
                r = -errno;
        if (r < 0)
                unlinkat(folder_fd, name, 0);
        return r;
}

/**
 * fs_write_whole() - puts a file there, or another in its place, so that no reader sees a half of it
 * @path: file; a symlink there is replaced, not followed
 * @bytes: content
 * @len: its bytes
 * @owner: owner and mode
 *
 * Return: 0; -errno: what was there stands, and no temporary is left.
 */
int fs_write_whole(const char *path, const void *bytes, size_t len, const struct fs_owner *owner)
{
        struct fs_place place = FS_PLACE_NONE;
        char temporary[NAME_MAX + 1];
        int r = fs_place_open(path, &place);

        if (r < 0)
                return r;
        r = fs_temporary_name(place.name, temporary);
        if (r == 0)
                r = fs_write_new(place.folder_fd, temporary, bytes, len, owner);
        if (r == 0 && renameat(place.folder_fd, temporary, place.folder_fd, place.name) < 0) {
                r = -errno;
                unlinkat(place.folder_fd, temporary, 0);
        }
        /* Every reader has the new file by now: a folder that cannot be synced only matters to a disk that loses power. */
        if (r == 0)
                (void)fsync(place.folder_fd);
        fs_place_close(&place);
        return r;
}

/**
 * fs_sweep() - removes the files that a killed process left half-written in a folder
 * @folder: folder; one that is not there is fine
 *
 * Only names that fs_write_whole() makes, and only files. At start, before the first writing: it would take another
 * thread's temporary away too.
 *
 * Return: 0; -errno.
 */
int fs_sweep(const char *folder)
{
        DIR *dir = opendir(folder);
        struct dirent *entry;
        int r = 0;

        if (!dir)
                return errno == ENOENT ? 0 : -errno;
        while ((entry = readdir(dir))) {
                struct stat st;

                if (!fs_is_temporary_of(entry->d_name, NULL) ||
                    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
                        continue;
                if (unlinkat(dirfd(dir), entry->d_name, 0) < 0 && errno != ENOENT)
                        r = -errno;
        }
        closedir(dir);
        return r;
}

static bool is_owned(const struct stat *st, const struct fs_owner *owner)
{
        return (owner->uid == (uid_t)-1 || st->st_uid == owner->uid) &&
               (owner->gid == (gid_t)-1 || st->st_gid == owner->gid) && (st->st_mode & 07777) == (owner->mode & 0777);
}

static int compare(int fd, const char *bytes, size_t len, bool *ret_same)
{
        char piece[COMPARE_PIECE];
        bool same = true;
        ssize_t n = 0;
        int r = 0;

        while (same) {
                n = read(fd, piece, sizeof(piece));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                same = (size_t)n <= len && memcmp(piece, bytes, (size_t)n) == 0;
                if (same) {
                        bytes += n;
                        len -= (size_t)n;
                }
        }
        if (n < 0)
                r = -errno;
        else
                *ret_same = same && len == 0;
        explicit_bzero(piece, sizeof(piece)); /* it may be a key */
        return r;
}

/**
 * fs_same_content() - would fs_write_whole() change anything?
 * @path: file
 * @bytes: content
 * @len: its bytes
 * @owner: owner and mode
 * @ret_same: true where a regular file of this content, owner and mode is there; no file at all is false
 *
 * Return: 0; -errno.
 */
int fs_same_content(const char *path, const void *bytes, size_t len, const struct fs_owner *owner, bool *ret_same)
{
        struct stat st;
        bool same = false;
        int r = 0, fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

        if (fd < 0 && errno != ENOENT && errno != ELOOP)
                return -errno;
        if (fd >= 0) {
                if (fstat(fd, &st) < 0)
                        r = -errno;
                else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size == len && is_owned(&st, owner))
                        r = compare(fd, bytes, len, &same);
                close(fd);
        }
        if (r == 0)
                *ret_same = same;
        return r;
}

/**
 * fs_read_whole() - a file's content; not for secrets (secret_read_file())
 * @path: regular file; links are followed
 * @max: most bytes that are accepted
 * @ret_bytes: new, NUL added
 * @ret_len: its bytes
 *
 * Return: 0; -EMSGSIZE for a longer file; -EISDIR; -EINVAL for a FIFO, a socket or a device; another -errno.
 */
int fs_read_whole(const char *path, size_t max, char **ret_bytes, size_t *ret_len)
{
        cleanup_free char *bytes = NULL;
        size_t len = 0, room = 0;
        struct stat st;
        int r = 0, fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                r = -errno;
        else if (!S_ISREG(st.st_mode))
                r = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
        else if (st.st_size > 0 && (uint64_t)st.st_size > max)
                r = -EMSGSIZE;
        while (r == 0) {
                ssize_t n;

                if (len == room) { /* files in /proc say size 0: the end is where read() says so */
                        room = room ? room * 2 : (size_t)st.st_size + COMPARE_PIECE;
                        bytes = mem_resize(bytes, room + 1, 1);
                }
                n = read(fd, bytes + len, room - len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        r = n < 0 ? -errno : 0;
                        break;
                }
                len += (size_t)n;
                if (len > max)
                        r = -EMSGSIZE;
        }
        close(fd);
        if (r < 0)
                return r;
        bytes[len] = '\0';
        *ret_bytes = bytes;
        *ret_len = len;
        bytes = NULL;
        return 0;
}

/**
 * fs_lock() - takes an exclusive lock
 * @path: lock file; made where there is none, and never removed: that would let two hold it
 * @ret_fd: yours to close, which gives the lock back; so does the end of the process
 *
 * Return: 0; -EWOULDBLOCK: another process holds it; -errno.
 */
int fs_lock(const char *path, int *ret_fd)
{
        int r, fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);

        if (fd < 0)
                return -errno;
        do
                r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
        while (r == -EINTR);
        if (r < 0) {
                close(fd);
                return r;
        }
        *ret_fd = fd;
        return 0;
}

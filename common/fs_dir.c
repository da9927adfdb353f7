/* common/fs_dir.c: a folder that changes as a whole: a symlink to a fresh one, swapped. */
#include "common/fs.h"

#include "common/fs_part.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens a folder to list or empty it. Return: new; NULL with errno. */
static DIR *open_dir_at(int folder_fd, const char *name)
{
        int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);

        if (!dir && fd >= 0)
                close(fd);
        return dir;
}

static int remove_folder(int folder_fd, const char *name)
{
        DIR *dir = open_dir_at(folder_fd, name);
        struct dirent *entry;
        int r = 0;

        if (!dir)
                return errno == ENOENT ? 0 : -errno;
        /* Its own mode (0500) keeps even its owner from removing files in it. */
        (void)fchmod(dirfd(dir), 0700);
        while ((entry = readdir(dir))) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (unlinkat(dirfd(dir), entry->d_name, 0) < 0)
                        r = -errno;
        }
        closedir(dir);
        if (unlinkat(folder_fd, name, AT_REMOVEDIR) < 0 && r == 0)
                r = -errno;
        return r;
}

/* Removes our folders and symlinks beside `place` but for `keep` and `before`: older versions, and what a killed process left. */
static int remove_others(const struct fs_place *place, const char *keep, const char *before)
{
        DIR *dir = open_dir_at(place->folder_fd, ".");
        struct dirent *entry;
        int r = 0;

        if (!dir)
                return -errno;
        while ((entry = readdir(dir))) {
                struct stat st;
                int q = 0;

                if (!fs_is_temporary_of(entry->d_name, place->name) || strcmp(entry->d_name, keep) == 0 ||
                    strcmp(entry->d_name, before) == 0)
                        continue;
                if (fstatat(place->folder_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                if (S_ISDIR(st.st_mode))
                        q = remove_folder(place->folder_fd, entry->d_name);
                else if (S_ISLNK(st.st_mode) && unlinkat(place->folder_fd, entry->d_name, 0) < 0)
                        q = -errno;
                r = r < 0 ? r : q;
        }
        closedir(dir);
        return r;
}

/*
 * Is what stands at the place ours to replace or remove? `target`: the folder it names; "" where there is none.
 * Return: 1: our symlink; 0: nothing there; -EEXIST: a folder, a file, or somebody else's symlink.
 */
static int look_at(const struct fs_place *place, char target[NAME_MAX + 1])
{
        ssize_t len = readlinkat(place->folder_fd, place->name, target, NAME_MAX);

        target[len < 0 ? 0 : len] = '\0';
        if (len < 0)
                return errno == ENOENT ? 0 : errno == EINVAL ? -EEXIST : -errno;
        return fs_is_temporary_of(target, place->name) ? 1 : -EEXIST;
}

static int fill_folder(int fd, const struct fs_file *files, size_t files_len, const struct fs_owner *owner)
{
        const struct fs_owner file_owner = {owner->uid, owner->gid, owner->mode & 0666};
        int r = 0;

        for (size_t i = 0; i < files_len && r == 0; i++)
                r = fs_write_new(fd, files[i].name, files[i].bytes, files[i].len, &file_owner);
        if (r < 0)
                return r;
        if ((owner->uid != (uid_t)-1 || owner->gid != (gid_t)-1) && fchown(fd, owner->uid, owner->gid) < 0)
                return -errno;
        if (fchmod(fd, owner->mode & 0777) < 0)
                return -errno;
        return fsync(fd) < 0 ? -errno : 0;
}

static int make_folder(const struct fs_place *place, const char *name, const struct fs_file *files, size_t files_len,
                       const struct fs_owner *owner)
{
        int fd, r;

        if (mkdirat(place->folder_fd, name, 0700) < 0)
                return -errno;
        fd = openat(place->folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        r = fd < 0 ? -errno : fill_folder(fd, files, files_len, owner);
        if (fd >= 0)
                close(fd);
        if (r < 0)
                remove_folder(place->folder_fd, name);
        return r;
}

/* A symlink cannot be overwritten; another one can be renamed over it. */
static int point_to(const struct fs_place *place, const char *target)
{
        char link[NAME_MAX + 1];
        int r = fs_temporary_name(place->name, link);

        if (r < 0)
                return r;
        if (symlinkat(target, place->folder_fd, link) < 0)
                return -errno;
        if (renameat(place->folder_fd, link, place->folder_fd, place->name) < 0) {
                r = -errno;
                unlinkat(place->folder_fd, link, 0);
        }
        return r;
}

/**
 * fs_swap_directory() - puts a set of files there, or another in its place, so that no reader sees a mix of two
 * @path: becomes, or is, a symlink to a folder beside it (".NAME.RANDOM")
 * @files: what the folder holds
 * @files_len: their number
 * @owner: owner of all; the folder's mode, from which the files get their own without the x bits
 *
 * A reader opens the directory once and reads beside it (openat(2)): it never gets another version's file. The folder that was
 * current before stays until the next swap, so that a reader may take its time. One writer a path.
 *
 * Return: 0; -EEXIST: what is there is no symlink of ours; -errno: what was there stands, nothing new is left.
 */
int fs_swap_directory(const char *path, const struct fs_file *files, size_t files_len, const struct fs_owner *owner)
{
        struct fs_place place = FS_PLACE_NONE;
        char folder[NAME_MAX + 1], before[NAME_MAX + 1];
        int r = fs_place_open(path, &place);

        if (r < 0)
                return r;
        r = look_at(&place, before);
        if (r >= 0)
                r = fs_temporary_name(place.name, folder);
        if (r == 0)
                r = make_folder(&place, folder, files, files_len, owner);
        if (r == 0) {
                r = point_to(&place, folder);
                if (r < 0)
                        remove_folder(place.folder_fd, folder);
        }
        if (r == 0) {
                (void)fsync(place.folder_fd);
                /* The new version is in use already: what cannot be removed now is tried again at the next swap. */
                (void)remove_others(&place, folder, before);
        }
        fs_place_close(&place);
        return r;
}

/**
 * fs_remove_directory() - removes what fs_swap_directory() made
 * @path: the symlink
 *
 * Return: 0, also where there is none; -EEXIST: what is there is no symlink of ours; -errno.
 */
int fs_remove_directory(const char *path)
{
        struct fs_place place = FS_PLACE_NONE;
        char target[NAME_MAX + 1];
        int r = fs_place_open(path, &place);

        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        r = look_at(&place, target);
        if (r == 1)
                r = unlinkat(place.folder_fd, place.name, 0) < 0 ? -errno : 0;
        if (r == 0)
                r = remove_others(&place, "", "");
        fs_place_close(&place);
        return r;
}

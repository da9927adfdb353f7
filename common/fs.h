/* common/fs.h: files that change as a whole, and where they may lie. */
#ifndef COMMON_FS_H
#define COMMON_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct secret;

struct fs_owner {
        uid_t uid; /* (uid_t)-1: leave */
        gid_t gid; /* (gid_t)-1: leave */
        mode_t mode;
};

/* Does path, its folder or its nearest existing parent lie on tmpfs or ramfs? */
int fs_is_memory(const char *path, bool *ret_memory);
/* Makes the folder and its parents; one that is there is fine. */
int fs_mkdir_parents(const char *path, mode_t mode);
/* Temporary name beside it, fchown, fchmod, fsync, rename; on failure the old file stands and no temporary is left. */
int fs_write_whole(const char *path, const void *bytes, size_t len, const struct fs_owner *owner);
/* At start: removes the temporaries that a killed process left there. */
int fs_sweep(const char *folder);
int fs_same_content(const char *path, const void *bytes, size_t len, const struct fs_owner *owner, bool *ret_same);
/* New, NUL added; -EMSGSIZE past max. Not for secrets (secret_read_file). */
int fs_read_whole(const char *path, size_t max, char **ret_bytes, size_t *ret_len);

struct fs_file {
        const char *name; /* borrowed: no slash */
        const void *bytes;
        size_t len;
};

/* Makes PATH a symlink to a fresh folder beside it (".NAME.RANDOM") that holds `files`, swapped by renaming the symlink;
 * the folder that PATH named before stays until the next swap: a reader opens PATH once and reads beside it. owner->mode is the folder's; files get it without the x bits. */
int fs_swap_directory(const char *path, const struct fs_file *files, size_t files_len, const struct fs_owner *owner);
int fs_remove_directory(const char *path); /* the symlink made above and its folder; 0 also where there is none */
/* Exclusive lock file, kept while the descriptor is open; -EWOULDBLOCK: another holds it. */
int fs_lock(const char *path, int *ret_fd);

#endif

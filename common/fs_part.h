/* common/fs_part.h: what fs.c and fs_dir.c share: a place beside which temporaries are made, and one written file. */
#ifndef COMMON_FS_PART_H
#define COMMON_FS_PART_H

#include "common/fs.h"

#include <limits.h>
#include <stdbool.h>

struct fs_place {
        int folder_fd;
        char name[NAME_MAX + 1]; /* last part of the path */
};

#define FS_PLACE_NONE ((struct fs_place){.folder_fd = -1})

int fs_place_open(const char *path, struct fs_place *ret_place); /* opens path's folder; -EINVAL for "/" or ".." */
void fs_place_close(struct fs_place *place);
int fs_temporary_name(const char *name, char ret_temporary[NAME_MAX + 1]); /* ".NAME.RANDOM"; -ENAMETOOLONG */
bool fs_is_temporary_of(const char *entry, const char *name);              /* name NULL: of any */

/* -EEXIST where it is there already; on failure nothing is left */
int fs_write_new(int folder_fd, const char *name, const void *bytes, size_t len, const struct fs_owner *owner);

#endif

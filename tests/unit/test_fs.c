/* tests/unit/test_fs.c: what common/fs.h promises. */
#include "common/fs.h"
#include "common/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct fs_owner private_owner = {(uid_t)-1, (gid_t)-1, 0400};
static const struct fs_owner folder_owner = {(uid_t)-1, (gid_t)-1, 0550};
static char folder[64], path[128];

static int enter_folder(void **state)
{
        (void)state;
        strcpy(folder, "/tmp/leasekeeper-fs-XXXXXX");
        if (!mkdtemp(folder))
                return -1;
        snprintf(path, sizeof(path), "%s/out", folder);
        umask(077);
        return 0;
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st;
        (void)ftw;
        return type == FTW_DP ? rmdir(name) : unlink(name);
}

static int open_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st;
        (void)ftw;
        return type == FTW_D ? chmod(name, 0700) : 0;
}

static int leave_folder(void **state)
{
        (void)state;
        nftw(folder, open_one, 8, FTW_PHYS);
        return nftw(folder, remove_one, 8, FTW_PHYS | FTW_DEPTH);
}

static char *at(const char *name)
{
        return mem_printf("%s/%s", folder, name);
}

static int entries(const char *where)
{
        DIR *dir = opendir(where);
        int count = -2; /* . and .. */

        assert_non_null(dir);
        while (readdir(dir))
                count++;
        closedir(dir);
        return count;
}

static void assert_content(const char *file, const char *expected, mode_t mode)
{
        cleanup_free char *bytes = NULL;
        struct stat st;
        size_t len;

        assert_int_equal(fs_read_whole(file, 1 << 20, &bytes, &len), 0);
        assert_string_equal(bytes, expected);
        assert_int_equal(len, strlen(expected));
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_mode & 07777, mode);
}

static void file_is_replaced_as_a_whole(void **state)
{
        const struct fs_owner shared = {getuid(), getgid(), 0640};
        char old[16];
        int fd;

        (void)state;
        assert_int_equal(fs_write_whole(path, "one", 3, &private_owner), 0);
        assert_content(path, "one", 0400);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(fs_write_whole(path, "second", 6, &shared), 0);
        assert_content(path, "second", 0640);
        assert_int_equal(read(fd, old, sizeof(old)), 3); /* who had opened it goes on with what it opened */
        close(fd);
        assert_int_equal(fs_write_whole(path, "", 0, &shared), 0);
        assert_content(path, "", 0640);
        assert_int_equal(entries(folder), 1);
}

static void failed_write_leaves_the_old_file(void **state)
{
        const struct fs_owner forbidden = {12345, 12345, 0400};
        cleanup_free char *inside = at("sub/deep"), *sub = at("sub"), *below = at("out/x");

        (void)state;
        assert_int_equal(fs_write_whole(path, "old", 3, &private_owner), 0);
        if (geteuid() != 0)
                assert_int_equal(fs_write_whole(path, "new", 3, &forbidden), -EPERM);
        assert_int_equal(fs_write_whole(below, "new", 3, &private_owner), -ENOTDIR);
        assert_int_equal(fs_write_whole(inside, "new", 3, &private_owner), -ENOENT);
        assert_content(path, "old", 0400);
        assert_int_equal(mkdir(sub, 0700), 0);
        assert_int_equal(fs_write_whole(sub, "new", 3, &private_owner), -EISDIR);
        assert_int_equal(entries(folder), 2);
        assert_int_equal(fs_write_whole("/", "new", 3, &private_owner), -EINVAL);
        assert_int_equal(fs_write_whole("..", "new", 3, &private_owner), -EINVAL);
}

/* A write that fails half-way, as on a full tmpfs; a limit on file sizes stands in for one. */
static void full_device_leaves_the_old_file(void **state)
{
        cleanup_free char *large = mem_new(100000);
        struct rlimit was, small;

        (void)state;
        assert_int_equal(fs_write_whole(path, "old", 3, &private_owner), 0);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
        small = was;
        small.rlim_cur = 5000;
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        assert_int_equal(fs_write_whole(path, large, 100000, &private_owner), -EFBIG);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
        assert_content(path, "old", 0400);
        assert_int_equal(entries(folder), 1);
}

static void symlink_is_replaced_not_followed(void **state)
{
        cleanup_free char *victim = at("victim");

        (void)state;
        assert_int_equal(fs_write_whole(victim, "untouched", 9, &private_owner), 0);
        assert_int_equal(symlink("victim", path), 0);
        assert_int_equal(fs_write_whole(path, "mine", 4, &private_owner), 0);
        assert_content(victim, "untouched", 0400);
        assert_content(path, "mine", 0400);
}

static void same_content_is_seen(void **state)
{
        const struct fs_owner other_mode = {(uid_t)-1, (gid_t)-1, 0440}, other_uid = {getuid() + 1, (gid_t)-1, 0400};
        cleanup_free char *large = mem_new(10001), *link = at("link");
        bool same = true;

        (void)state;
        memset(large, 'z', 10000);
        assert_int_equal(fs_same_content(path, "x", 1, &private_owner, &same), 0);
        assert_false(same);
        assert_int_equal(fs_write_whole(path, large, 10000, &private_owner), 0);
        assert_int_equal(fs_same_content(path, large, 10000, &private_owner, &same), 0);
        assert_true(same);
        assert_int_equal(fs_same_content(path, large, 9999, &private_owner, &same), 0);
        assert_false(same);
        assert_int_equal(fs_same_content(path, large, 10001, &private_owner, &same), 0);
        assert_false(same);
        assert_int_equal(fs_same_content(path, large, 10000, &other_mode, &same), 0);
        assert_false(same);
        assert_int_equal(fs_same_content(path, large, 10000, &other_uid, &same), 0);
        assert_false(same);
        large[9000] = 'y';
        assert_int_equal(fs_same_content(path, large, 10000, &private_owner, &same), 0);
        assert_false(same);
        large[9000] = 'z';
        same = true;
        assert_int_equal(symlink("out", link), 0);
        assert_int_equal(fs_same_content(link, large, 10000, &private_owner, &same), 0);
        assert_false(same);
}

static void read_takes_no_more_than_asked(void **state)
{
        cleanup_free char *fifo = at("fifo");
        char *bytes = NULL;
        size_t len;

        (void)state;
        assert_int_equal(fs_write_whole(path, "12345", 5, &private_owner), 0);
        assert_int_equal(fs_read_whole(path, 4, &bytes, &len), -EMSGSIZE);
        assert_int_equal(fs_read_whole("/proc/self/status", 4, &bytes, &len), -EMSGSIZE);
        assert_int_equal(fs_read_whole(folder, 4, &bytes, &len), -EISDIR);
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_int_equal(fs_read_whole(fifo, 4, &bytes, &len), -EINVAL);
        assert_null(bytes);
        assert_int_equal(fs_read_whole(path, 5, &bytes, &len), 0);
        assert_string_equal(bytes, "12345");
        mem_free(bytes);
}

static void leftovers_are_swept(void **state)
{
        cleanup_free char *left = at(".out.0123456789abcdef"), *other = at(".out.backup"),
                          *dir = at(".d.0123456789abcdef");

        (void)state;
        assert_int_equal(fs_write_whole(path, "x", 1, &private_owner), 0);
        assert_int_equal(fs_write_whole(left, "x", 1, &private_owner), 0);
        assert_int_equal(fs_write_whole(other, "x", 1, &private_owner), 0);
        assert_int_equal(mkdir(dir, 0700), 0);
        assert_int_equal(fs_sweep(folder), 0);
        assert_int_equal(access(left, F_OK), -1);
        assert_int_equal(entries(folder), 3);
        assert_int_equal(fs_sweep("/nonexistent/folder"), 0);
}

static void memory_is_told_from_disk(void **state)
{
        bool memory = true;

        (void)state;
        assert_int_equal(fs_is_memory("/proc/self/x/y", &memory), 0);
        assert_false(memory);
        assert_int_equal(fs_is_memory("/", &memory), 0);
        assert_int_equal(fs_is_memory("relative/file", &memory), 0);
        assert_int_equal(fs_is_memory("", &memory), -ENOENT);
        if (access("/dev/shm", F_OK) == 0) {
                memory = false;
                assert_int_equal(fs_is_memory("/dev/shm/", &memory), 0); /* the mount point itself */
                assert_true(memory);
                memory = false;
                assert_int_equal(fs_is_memory("/dev/shm/no/such//folder/", &memory), 0);
                assert_true(memory);
        }
}

static void parents_are_made(void **state)
{
        cleanup_free char *deep = at("a/b//c/"), *a = at("a"), *file = at("file"), *below = at("file/x");
        struct stat st;

        (void)state;
        assert_int_equal(fs_mkdir_parents(deep, 0750), 0);
        assert_int_equal(stat(deep, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0750); /* the umask has no say */
        assert_int_equal(chmod(a, 0701), 0);
        assert_int_equal(fs_mkdir_parents(deep, 0750), 0);
        assert_int_equal(stat(a, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0701); /* what was there stays as it was */
        assert_int_equal(fs_write_whole(file, "", 0, &private_owner), 0);
        assert_int_equal(fs_mkdir_parents(below, 0750), -ENOTDIR);
        assert_int_equal(fs_mkdir_parents(file, 0750), -ENOTDIR);
        assert_int_equal(fs_mkdir_parents("/", 0750), 0);
        assert_int_equal(fs_mkdir_parents("", 0750), -ENOENT);
}

static const struct fs_file first[] = {{"cert.pem", "cert 1", 6}, {"key.pem", "key 1", 5}, {"old.pem", "old", 3}};
static const struct fs_file second[] = {{"cert.pem", "cert 2", 6}, {"key.pem", "key 2", 5}};

static void directory_is_swapped_as_a_whole(void **state)
{
        cleanup_free char *cert = at("out/cert.pem"), *old = at("out/old.pem");
        struct stat st;
        char text[16];
        int fd, key;

        (void)state;
        assert_int_equal(fs_swap_directory(path, first, 3, &folder_owner), 0);
        assert_content(cert, "cert 1", 0440);
        assert_int_equal(lstat(path, &st), 0);
        assert_true(S_ISLNK(st.st_mode));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0550);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(fs_swap_directory(path, second, 2, &folder_owner), 0);
        assert_content(cert, "cert 2", 0440);
        assert_int_equal(access(old, F_OK), -1);
        key = openat(fd, "key.pem", O_RDONLY | O_CLOEXEC); /* key 1 beside cert 1, for a reader that takes its time */
        assert_int_equal(read(key, text, sizeof(text)), 5);
        assert_memory_equal(text, "key 1", 5);
        close(key);
        assert_int_equal(entries(folder), 3); /* the symlink, the folder it names, and the one before */
        assert_int_equal(fs_swap_directory(path, second, 2, &folder_owner), 0);
        assert_int_equal(openat(fd, "key.pem", O_RDONLY | O_CLOEXEC), -1);
        close(fd);
        assert_int_equal(entries(folder), 3);
        assert_int_equal(fs_remove_directory(path), 0);
        assert_int_equal(entries(folder), 0);
        assert_int_equal(fs_remove_directory(path), 0);
}

static void what_a_killed_process_left_is_removed(void **state)
{
        cleanup_free char *left = at(".out.0123456789abcdef"), *file = at(".out.0123456789abcdef/key.pem");
        cleanup_free char *link = at(".out.fedcba9876543210"), *other = at(".other.0123456789abcdef");

        (void)state;
        assert_int_equal(mkdir(left, 0700), 0);
        assert_int_equal(fs_write_whole(file, "key", 3, &private_owner), 0);
        assert_int_equal(chmod(left, 0500), 0);
        assert_int_equal(symlink(".out.0123456789abcdef", link), 0);
        assert_int_equal(mkdir(other, 0700), 0);
        assert_int_equal(fs_swap_directory(path, second, 2, &folder_owner), 0);
        assert_int_equal(access(left, F_OK), -1);
        assert_int_equal(entries(folder), 3);
        assert_int_equal(access(other, F_OK), 0);
}

static void what_is_not_ours_stays(void **state)
{
        cleanup_free char *real = at("real"), *link = at("link"), *file = at("file");

        (void)state;
        assert_int_equal(mkdir(real, 0700), 0);
        assert_int_equal(symlink("real", link), 0);
        assert_int_equal(fs_write_whole(file, "x", 1, &private_owner), 0);
        assert_int_equal(fs_swap_directory(real, second, 2, &folder_owner), -EEXIST);
        assert_int_equal(fs_swap_directory(link, second, 2, &folder_owner), -EEXIST);
        assert_int_equal(fs_swap_directory(file, second, 2, &folder_owner), -EEXIST);
        assert_int_equal(fs_remove_directory(real), -EEXIST);
        assert_int_equal(fs_remove_directory(link), -EEXIST);
        assert_int_equal(entries(folder), 3);
}

static void failed_swap_leaves_the_old_directory(void **state)
{
        static const struct fs_file twice[] = {{"a", "1", 1}, {"a", "2", 1}};
        cleanup_free char *cert = at("out/cert.pem"), *nowhere = at("no/out");

        (void)state;
        assert_int_equal(fs_swap_directory(path, first, 3, &folder_owner), 0);
        assert_int_equal(fs_swap_directory(path, twice, 2, &folder_owner), -EEXIST);
        assert_content(cert, "cert 1", 0440);
        assert_int_equal(entries(folder), 2);
        assert_int_equal(fs_swap_directory(nowhere, first, 3, &folder_owner), -ENOENT);
        assert_int_equal(fs_remove_directory(nowhere), 0);
}

static void lock_has_one_holder(void **state)
{
        cleanup_free char *lock = at("lock"), *nowhere = at("no/lock");
        int one = -1, two = -1;

        (void)state;
        assert_int_equal(fs_lock(lock, &one), 0);
        assert_int_equal(fs_lock(lock, &two), -EWOULDBLOCK);
        assert_int_equal(two, -1);
        close(one);
        assert_int_equal(fs_lock(lock, &two), 0);
        close(two);
        assert_int_equal(fs_lock(nowhere, &two), -ENOENT);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_FOLDER(file_is_replaced_as_a_whole),
                IN_FOLDER(failed_write_leaves_the_old_file),
                IN_FOLDER(full_device_leaves_the_old_file),
                IN_FOLDER(symlink_is_replaced_not_followed),
                IN_FOLDER(same_content_is_seen),
                IN_FOLDER(read_takes_no_more_than_asked),
                IN_FOLDER(leftovers_are_swept),
                IN_FOLDER(memory_is_told_from_disk),
                IN_FOLDER(parents_are_made),
                IN_FOLDER(directory_is_swapped_as_a_whole),
                IN_FOLDER(what_a_killed_process_left_is_removed),
                IN_FOLDER(what_is_not_ours_stays),
                IN_FOLDER(failed_swap_leaves_the_old_directory),
                IN_FOLDER(lock_has_one_holder),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

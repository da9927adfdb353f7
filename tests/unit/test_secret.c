/* tests/unit/test_secret.c: what common/secret.h and common/mem.h promise. */
#include "common/mem.h"
#include "common/secret.h"
#include "tests/unit/support_memscan.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/leasekeeper-secret-XXXXXX";

static char *in_folder(const char *name)
{
        return mem_printf("%s/%s", folder, name);
}

static void make_file(const char *path, const char *text, size_t len)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, len), len);
        close(fd);
}

static void cap_is_a_hard_limit(void **state)
{
        struct secret *s = secret_new(5);

        (void)state;
        assert_int_equal(secret_append_str(s, "abc"), 0);
        assert_int_equal(secret_append_str(s, "def"), -EMSGSIZE);
        assert_string_equal(secret_bytes(s), "abc");
        assert_int_equal(secret_append_str(s, "de"), 0);
        assert_int_equal(secret_append(s, "f", 1), -EMSGSIZE);
        assert_int_equal(secret_append(s, "", 0), 0);
        assert_int_equal(secret_append(s, "x", SIZE_MAX), -EMSGSIZE);
        assert_string_equal(secret_bytes(s), "abcde");
        assert_int_equal(secret_len(s), 5);
        assert_null(secret_free(s));
}

static void empty_secret_is_an_empty_string(void **state)
{
        struct secret *s = secret_new(0);

        (void)state;
        assert_string_equal(secret_bytes(s), "");
        assert_int_equal(secret_len(s), 0);
        assert_int_equal(secret_len(NULL), 0);
        assert_int_equal(secret_append(s, "x", 1), -EMSGSIZE);
        secret_reset(s);
        secret_free(s);
        assert_null(secret_free(NULL));
}

static void content_may_hold_any_byte(void **state)
{
        struct secret *s = secret_new_from("a\0b", 3);

        (void)state;
        assert_int_equal(secret_len(s), 3);
        assert_memory_equal(secret_bytes(s), "a\0b", 4);
        secret_free(s);
}

static void own_bytes_can_be_appended(void **state)
{
        struct secret *s = secret_new(100000);

        (void)state;
        assert_int_equal(secret_append_str(s, "0123456789"), 0);
        for (int i = 0; i < 12; i++)
                assert_int_equal(secret_append(s, secret_bytes(s), secret_len(s)), 0);
        assert_int_equal(secret_len(s), 10 << 12);
        for (size_t i = 0; i < secret_len(s); i++)
                assert_int_equal(secret_bytes(s)[i], '0' + (char)(i % 10));
        secret_free(s);
}

static void reset_keeps_the_cap(void **state)
{
        struct secret *s = secret_new(4);

        (void)state;
        assert_int_equal(secret_append_str(s, "1234"), 0);
        secret_reset(s);
        assert_int_equal(secret_len(s), 0);
        assert_int_equal(secret_append_str(s, "12345"), -EMSGSIZE);
        assert_int_equal(secret_append_str(s, "5678"), 0);
        assert_string_equal(secret_bytes(s), "5678");
        secret_free(s);
}

static void replace_frees_what_was_there(void **state)
{
        struct secret *slot = NULL, *one = secret_new_from("1", 1), *two = secret_new_from("2", 1);

        (void)state;
        secret_replace(&slot, one);
        secret_replace(&slot, one);
        assert_string_equal(secret_bytes(slot), "1");
        secret_replace(&slot, two);
        assert_string_equal(secret_bytes(slot), "2");
        secret_replace(&slot, NULL);
        assert_null(slot);
}

static void equal_compares_content_and_length(void **state)
{
        struct secret *a = secret_new_from("secret", 6), *b = secret_new_from("secret", 6);
        struct secret *c = secret_new_from("secreT", 6), *d = secret_new_from("secre", 5), *none = secret_new(9);

        (void)state;
        assert_true(secret_equal(a, b));
        assert_false(secret_equal(a, c));
        assert_false(secret_equal(a, d));
        assert_false(secret_equal(a, none));
        assert_false(secret_equal(none, NULL));
        assert_false(secret_equal(NULL, a));
        assert_true(secret_equal(NULL, NULL));
        secret_free(a);
        secret_free(b);
        secret_free(c);
        secret_free(d);
        secret_free(none);
}

/*
 * Grown, reset, read from a file, freed: the bytes are nowhere in memory afterwards. They stand behind a head, for free(3) itself
 * writes over the first ones of a block.
 */
static void nothing_is_left_behind(void **state)
{
        const unsigned seed = (unsigned)getpid();
        cleanup_free char *path = in_folder("left");
        char marker[64 + MEMSCAN_LEN];
        struct secret *s, *read_one;

        (void)state;
        memset(marker, '-', 64);
        memscan_fill(seed, marker + 64);
        make_file(path, marker, sizeof(marker));
        secret_wipe(marker, sizeof(marker));
        assert_int_equal(memscan_count(seed), 0);

        assert_int_equal(secret_read_file(path, 4096, &read_one), 0);
        assert_int_equal(memscan_count(seed), 1);
        s = secret_new(16384);
        for (int i = 0; i < 100; i++)
                assert_int_equal(secret_append(s, secret_bytes(read_one), secret_len(read_one)), 0);
        assert_int_equal(memscan_count(seed), 101);
        secret_reset(s);
        assert_int_equal(memscan_count(seed), 1);
        assert_int_equal(secret_append(s, secret_bytes(read_one), secret_len(read_one)), 0);
        secret_free(s);
        secret_free(read_one);
        assert_int_equal(memscan_count(seed), 0);
        unlink(path);
}

static void file_is_read_up_to_the_cap(void **state)
{
        cleanup_free char *path = in_folder("file");
        struct secret *s = NULL, *untouched = NULL;

        (void)state;
        make_file(path, "hvs.12345678", 12);
        assert_int_equal(secret_read_file(path, 12, &s), 0);
        assert_string_equal(secret_bytes(s), "hvs.12345678");
        secret_free(s);
        assert_int_equal(secret_read_file(path, 11, &untouched), -EMSGSIZE);
        make_file(path, "", 0);
        assert_int_equal(secret_read_file(path, 0, &s), 0);
        assert_int_equal(secret_len(s), 0);
        secret_free(s);
        assert_int_equal(secret_read_file("/proc/self/status", 1 << 20, &s), 0); /* says size 0 */
        assert_true(secret_len(s) > 100);
        assert_int_equal(strlen(secret_bytes(s)), secret_len(s));
        secret_free(s);
        assert_int_equal(secret_read_file("/proc/self/status", 10, &untouched), -EMSGSIZE);
        assert_null(untouched);
        unlink(path);
}

static void only_regular_files_are_read(void **state)
{
        cleanup_free char *fifo = in_folder("fifo"), *gone = in_folder("gone");
        struct secret *s = NULL;

        (void)state;
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_int_equal(secret_read_file(fifo, 10, &s), -EINVAL);
        assert_int_equal(secret_read_file("/dev/zero", 10, &s), -EINVAL);
        assert_int_equal(secret_read_file(folder, 10, &s), -EISDIR);
        assert_int_equal(secret_read_file(gone, 10, &s), -ENOENT);
        assert_null(s);
        unlink(fifo);
}

/* mem.h: whoever asks for what nobody has ends, with 1, not by a signal. */
static void no_memory_ends_the_process(void **state)
{
        int status, null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
        pid_t pid = fork();

        (void)state;
        if (pid == 0) {
                dup2(null_fd, STDERR_FILENO);
                mem_array(SIZE_MAX / 2, 4);
                _exit(0);
        }
        close(null_fd);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
}

static void memory_of_no_bytes_can_be_freed(void **state)
{
        char *ptr = mem_new(0);

        (void)state;
        assert_non_null(ptr);
        ptr = mem_resize(ptr, 0, 8);
        assert_non_null(ptr);
        assert_null(mem_free(ptr));
        assert_null(mem_strdup(NULL));
}

static int make_folder(void **state)
{
        (void)state;
        return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
        (void)state;
        return rmdir(folder);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(cap_is_a_hard_limit),
                cmocka_unit_test(empty_secret_is_an_empty_string),
                cmocka_unit_test(content_may_hold_any_byte),
                cmocka_unit_test(own_bytes_can_be_appended),
                cmocka_unit_test(reset_keeps_the_cap),
                cmocka_unit_test(replace_frees_what_was_there),
                cmocka_unit_test(equal_compares_content_and_length),
                cmocka_unit_test(nothing_is_left_behind),
                cmocka_unit_test(file_is_read_up_to_the_cap),
                cmocka_unit_test(only_regular_files_are_read),
                cmocka_unit_test(no_memory_ends_the_process),
                cmocka_unit_test(memory_of_no_bytes_can_be_freed),
        };

        return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

/* tests/unit/test_harden.c: what common/harden.h promises. */
#include "common/harden.h"
#include "tests/unit/support_memscan.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define EXPECT_DUMPABLE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EXPECT_DUMPABLE 1
#endif
#endif
#ifndef EXPECT_DUMPABLE
#define EXPECT_DUMPABLE 0
#endif

/* In a child: what is given up cannot be taken back. Return: the number of the first promise that is not kept; 0. */
static int look_after_hardening(void)
{
        struct rlimit limit;

        close(STDIN_FILENO);
        close(STDOUT_FILENO);
        harden_process();
        if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != EXPECT_DUMPABLE)
                return 1;
        if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_cur != 0 || limit.rlim_max != 0)
                return 2;
        if (umask(0) != 077)
                return 3;
        if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
                return 4;
        if (fcntl(STDIN_FILENO, F_GETFD) < 0 || fcntl(STDOUT_FILENO, F_GETFD) < 0)
                return 5;
        return 0;
}

static void process_gives_up_what_it_need_not(void **state)
{
        int status;
        pid_t pid = fork();

        (void)state;
        if (pid == 0)
                _exit(look_after_hardening());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

static void realloc_keeps_the_content(void **state)
{
        char *ptr = wipe_realloc(NULL, 4);

        (void)state;
        memcpy(ptr, "abc", 4);
        for (size_t size = 4; size < 100000; size = size * 3 + 1) {
                ptr = wipe_realloc(ptr, size);
                assert_string_equal(ptr, "abc");
        }
        ptr = wipe_realloc(ptr, 2);
        assert_memory_equal(ptr, "ab", 2);
        assert_null(wipe_realloc(ptr, 0));
        wipe_free(NULL);
}

static void hooks_behave_like_malloc(void **state)
{
        char *text = wipe_strdup("text"), *zero = wipe_calloc(10, 10);

        (void)state;
        assert_string_equal(text, "text");
        for (int i = 0; i < 100; i++)
                assert_int_equal(zero[i], 0);
        wipe_free(text);
        wipe_free(zero);
}

static void nothing_is_left_behind(void **state)
{
        const unsigned seed = (unsigned)getpid() + 3;
        char *ptr = wipe_malloc(MEMSCAN_LEN);

        (void)state;
        memscan_fill(seed, ptr);
        assert_int_equal(memscan_count(seed), 1);
        ptr = wipe_realloc(ptr, 100000); /* moves */
        assert_int_equal(memscan_count(seed), 1);
        memscan_fill(seed, ptr + 5000);
        ptr = wipe_realloc(ptr, 5000); /* the part that is cut off */
        assert_int_equal(memscan_count(seed), 1);
        wipe_free(ptr);
        assert_int_equal(memscan_count(seed), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(process_gives_up_what_it_need_not),
                cmocka_unit_test(realloc_keeps_the_content),
                cmocka_unit_test(hooks_behave_like_malloc),
                cmocka_unit_test(nothing_is_left_behind),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

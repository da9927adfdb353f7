/* tests/unit/test_policy.c: who may read what: deny by default, the kernel's word alone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/config.h"
#include "agent/policy.h"
#include "common/unixsock.h"

static gid_t groups[] = {20, 30};
static const struct peer peer = {.uid = 1000, .gid = 10, .pid = 0, .pidfd = -1, .groups = groups, .groups_len = 2};

static bool may_read(struct config_allow *allow, size_t len)
{
        const struct config_secret s = {.allow = allow, .allow_len = len};

        return policy_may_read(&s, &peer);
}

static void nobody_may_without_a_rule(void **state)
{
        struct config_allow empty = {0};

        (void)state;
        assert_false(may_read(NULL, 0));
        assert_false(may_read(&empty, 1));
}

static void a_user_is_a_number(void **state)
{
        struct config_allow right = {.has_uid = true, .uid = 1000}, wrong = {.has_uid = true, .uid = 1001};

        (void)state;
        assert_true(may_read(&right, 1));
        assert_false(may_read(&wrong, 1));
}

static void root_is_nobody_special(void **state)
{
        struct config_allow allow = {.has_uid = true, .uid = 1000};
        const struct config_secret s = {.allow = &allow, .allow_len = 1};
        const struct peer root = {.pidfd = -1};

        (void)state;
        assert_false(policy_may_read(&s, &root));
}

static void any_group_of_the_peer_counts(void **state)
{
        struct config_allow first = {.has_gid = true, .gid = 10}, other = {.has_gid = true, .gid = 30},
                            none = {.has_gid = true, .gid = 40};

        (void)state;
        assert_true(may_read(&first, 1));
        assert_true(may_read(&other, 1));
        assert_false(may_read(&none, 1));
}

static void all_in_a_block_any_of_the_blocks(void **state)
{
        struct config_allow both = {.has_uid = true, .uid = 1000, .has_gid = true, .gid = 40};
        struct config_allow blocks[] = {both, {.has_gid = true, .gid = 20}};

        (void)state;
        assert_false(may_read(&both, 1));
        both.gid = 20;
        assert_true(may_read(&both, 1));
        assert_true(may_read(blocks, 2));
}

/* Across containers the kernel says pid 0: such a peer has no unit, and a rule with a unit is not for it. */
static void a_peer_without_a_pid_has_no_unit(void **state)
{
        static char unit[] = "notesd.service";
        struct config_allow allow = {.has_uid = true, .uid = 1000, .unit = unit};

        (void)state;
        assert_false(may_read(&allow, 1));
}

/* What systemd says of every process. These stand before libsystemd's. */
static const char *system_unit, *user_unit;

static int say(const char *unit, char **ret_unit)
{
        if (!unit)
                return -ENODATA;
        *ret_unit = strdup(unit);
        return 0;
}

int sd_pid_get_unit(pid_t pid, char **ret_unit)
{
        (void)pid;
        return say(system_unit, ret_unit);
}

int sd_pid_get_user_unit(pid_t pid, char **ret_unit)
{
        (void)pid;
        return say(user_unit, ret_unit);
}

static bool unit_may_read(const struct peer *p)
{
        static char unit[] = "notesd.service";
        struct config_allow allow = {.unit = unit};
        const struct config_secret s = {.allow = &allow, .allow_len = 1};

        return policy_may_read(&s, p);
}

static void a_unit_is_the_systems_own_and_that_one(void **state)
{
        const struct peer self = {.uid = getuid(), .pid = getpid(), .pidfd = -1};

        (void)state;
        system_unit = "notesd.service";
        user_unit = NULL;
        assert_true(unit_may_read(&self));
        system_unit = "notesd.service.d";
        assert_false(unit_may_read(&self));
        system_unit = NULL;
        assert_false(unit_may_read(&self));
        system_unit = "notesd.service";
        user_unit = "notesd.service"; /* any user can have his manager start one of that name */
        assert_false(unit_may_read(&self));
}

/* Its number may be another's by now, and what systemd says of the number another's unit. */
static void a_peer_that_is_gone_has_no_unit(void **state)
{
        struct peer gone = {.uid = getuid(), .pidfd = -1};
        int hold[2];

        (void)state;
        assert_int_equal(pipe(hold), 0);
        gone.pid = fork();
        if (gone.pid == 0) {
                char end;

                close(hold[1]);
                _exit(read(hold[0], &end, 1) == 0 ? 0 : 1);
        }
        gone.pidfd = (int)syscall(SYS_pidfd_open, gone.pid, 0);
        assert_true(gone.pidfd >= 0);
        system_unit = "notesd.service";
        user_unit = NULL;
        assert_true(unit_may_read(&gone));
        close(hold[1]);
        close(hold[0]);
        assert_int_equal(waitpid(gone.pid, NULL, 0), gone.pid);
        assert_false(unit_may_read(&gone));
        close(gone.pidfd);
}

static void operators_are_root_the_agent_and_their_group(void **state)
{
        struct config c = {0};
        const struct peer root = {.uid = 0, .pidfd = -1}, agent = {.uid = geteuid(), .pidfd = -1};

        (void)state;
        assert_true(policy_is_operator(&c, &root));
        assert_true(policy_is_operator(&c, &agent));
        assert_false(policy_is_operator(&c, &peer));
        c.operators_gid = 30;
        assert_false(policy_is_operator(&c, &peer)); /* a number alone is no group */
        c.has_operators_gid = true;
        assert_true(policy_is_operator(&c, &peer));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nobody_may_without_a_rule),
                cmocka_unit_test(a_user_is_a_number),
                cmocka_unit_test(root_is_nobody_special),
                cmocka_unit_test(any_group_of_the_peer_counts),
                cmocka_unit_test(all_in_a_block_any_of_the_blocks),
                cmocka_unit_test(a_peer_without_a_pid_has_no_unit),
                cmocka_unit_test(a_unit_is_the_systems_own_and_that_one),
                cmocka_unit_test(a_peer_that_is_gone_has_no_unit),
                cmocka_unit_test(operators_are_root_the_agent_and_their_group),
        };

        return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}

/* tests/unit/test_state.c: rule 10: the folder that outlives the process: whose it is, and what is believed of it. */
#include "agent/state.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"
#include "common/mem.h"

static char dir[64], where[80]; /* the state's folder, and what was made for it */

static int set_up(void **state)
{
        strcpy(dir, "/tmp/lk-state-XXXXXX");
        assert_non_null(mkdtemp(dir));
        snprintf(where, sizeof(where), "%s/state", dir);
        log_setup("test", LOG_LEVEL_ERROR, false);
        (void)state;
        return 0;
}

static int tear_down(void **state)
{
        cleanup_free char *command = mem_printf("rm -rf -- '%s'", dir);

        (void)state;
        return system(command);
}

static struct state *opened(const char *identity)
{
        struct state *st = NULL;

        assert_int_equal(state_open(where, identity, &st), 0);
        return st;
}

static mode_t mode_of(const char *name)
{
        cleanup_free char *path = mem_printf("%s/%s", where, name);
        struct stat sb;

        assert_int_equal(stat(path, &sb), 0);
        return sb.st_mode & 07777;
}

static bool is_there(const char *name)
{
        cleanup_free char *path = mem_printf("%s/%s", where, name);

        return access(path, F_OK) == 0;
}

static void overwrite(const char *name, const char *text)
{
        cleanup_free char *path = mem_printf("%s/%s", where, name);
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        fputs(text, f);
        fclose(f);
}

static void save(struct state *st, const char *name, int value)
{
        assert_int_equal(state_save_secret(st, name, json_pack("{s:i}", "value", value)), 0);
}

static int load(struct state *st, const char *name)
{
        cleanup_json json_t *content = NULL;
        uint64_t value = 0;
        int r = state_load_secret(st, name, &content);

        return r < 0 ? r : json_u64(content, "value", &value) ? (int)value : -EBADMSG;
}

static void rule_10_what_was_saved_is_there_for_the_next_life(void **state)
{
        struct state *st = opened("here");
        char **names;

        save(st, "db", 1);
        save(st, "db", 2);
        save(st, "tls.one", 3);
        state_free(st);
        st = opened("here");
        assert_int_equal(load(st, "db"), 2);
        assert_int_equal(load(st, "tls.one"), 3);
        assert_int_equal(load(st, "other"), -ENOENT);
        names = state_list_secrets(st);
        assert_true(names[0] && names[1] && !names[2]);
        mem_free(names[0]);
        mem_free(names[1]);
        mem_free(names);
        state_free(st);
        (void)state;
}

static void rule_10_state_is_its_owners_alone(void **state)
{
        struct state *st;

        assert_int_equal(mkdir(where, 0755), 0);
        umask(0);
        st = opened("here");
        save(st, "db", 1);
        assert_int_equal(state_save_tokens(st, json_pack("{s:i}", "value", 1)), 0);
        assert_int_equal(mode_of("."), 0700);
        assert_int_equal(mode_of("secret-db.json"), 0600);
        assert_int_equal(mode_of("tokens.json"), 0600);
        state_free(st);
        umask(022);
        (void)state;
}

/* Who owns the folder may put there what he likes, a token of his own too. */
static void rule_10_folder_of_somebody_else_is_refused(void **state)
{
        struct state *st = NULL;

        if (geteuid() != 0)
                skip();
        assert_int_equal(mkdir(where, 0700), 0);
        assert_int_equal(chown(where, 60002, (gid_t)-1), 0);
        assert_int_equal(state_open(where, "here", &st), -EPERM);
        assert_null(st);
        assert_false(is_there("lock"));
        (void)state;
}

static void rule_10_second_agent_is_refused(void **state)
{
        struct state *st = opened("here"), *second = NULL;

        assert_int_equal(state_open(where, "here", &second), -EWOULDBLOCK);
        assert_null(second);
        state_free(st);
        state_free(opened("here"));
        (void)state;
}

static void rule_10_state_of_another_vault_is_set_aside(void **state)
{
        struct state *st = opened("here");

        save(st, "db", 1);
        state_free(st);
        st = opened("elsewhere");
        assert_int_equal(load(st, "db"), -ENOENT);
        assert_true(is_there("secret-db.json.aside"));
        assert_false(is_there("secret-db.json"));
        save(st, "db", 2);
        assert_int_equal(load(st, "db"), 2);
        state_free(st);
        (void)state;
}

static void rule_10_damaged_or_foreign_files_are_set_aside_each_alone(void **state)
{
        static const char *const texts[] = {
                "",
                "{",
                "[]",
                "null",
                "{\"format\":1}",
                "{\"format\":2,\"identity\":\"here\",\"boot_id\":\"x\",\"content\":{}}",
                "{\"format\":1,\"identity\":\"here\",\"boot_id\":\"of another boot\",\"content\":{\"value\":1}}",
                "{\"format\":1,\"identity\":\"here\",\"boot_id\":\"x\",\"content\":7}",
                "{\"format\":\"1\",\"identity\":7,\"boot_id\":[],\"content\":{}}",
        };
        struct state *st = opened("here");

        for (size_t i = 0; i < array_len(texts); i++) {
                save(st, "good", 5);
                save(st, "db", 1);
                overwrite("secret-db.json", texts[i]);
                assert_int_equal(load(st, "db"), -ENOENT);
                assert_false(is_there("secret-db.json"));
                assert_true(is_there("secret-db.json.aside"));
                assert_int_equal(load(st, "good"), 5);
        }
        state_free(st);
        (void)state;
}

static void rule_10_only_names_of_secrets_are_listed(void **state)
{
        struct state *st = opened("here");
        char **names;

        save(st, "db", 1);
        overwrite("secret-.json", "{}");
        overwrite("secret-a b.json", "{}");
        overwrite("secret-x.json.aside", "{}");
        overwrite("other.json", "{}");
        names = state_list_secrets(st);
        assert_string_equal(names[0], "db");
        assert_null(names[1]);
        mem_free(names[0]);
        mem_free(names);
        state_free(st);
        (void)state;
}

static void rule_10_failed_save_is_told_and_leaves_the_old_file(void **state)
{
        struct state *st = opened("here");
        cleanup_free char *away = mem_printf("%s.away", where);

        save(st, "db", 1);
        assert_int_equal(rename(where, away), 0);
        assert_true(state_save_secret(st, "db", json_pack("{s:i}", "value", 2)) < 0);
        assert_int_equal(rename(away, where), 0);
        assert_int_equal(load(st, "db"), 1);
        state_free(st);
        (void)state;
}

static void rule_16_revoke_on_stop_removes_the_state(void **state)
{
        struct state *st = opened("here");

        save(st, "db", 1);
        state_save_tokens(st, json_pack("{s:i}", "value", 1));
        assert_int_equal(state_remove_all(st), 0);
        assert_false(is_there("secret-db.json"));
        assert_false(is_there("tokens.json"));
        assert_int_equal(state_remove_all(st), 0);
        state_free(st);
        (void)state;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(rule_10_what_was_saved_is_there_for_the_next_life, set_up, tear_down),
                cmocka_unit_test_setup_teardown(rule_10_state_is_its_owners_alone, set_up, tear_down),
                cmocka_unit_test_setup_teardown(rule_10_folder_of_somebody_else_is_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(rule_10_second_agent_is_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(rule_10_state_of_another_vault_is_set_aside, set_up, tear_down),
                cmocka_unit_test_setup_teardown(rule_10_damaged_or_foreign_files_are_set_aside_each_alone, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(rule_10_only_names_of_secrets_are_listed, set_up, tear_down),
                cmocka_unit_test_setup_teardown(rule_10_failed_save_is_told_and_leaves_the_old_file, set_up, tear_down),
                cmocka_unit_test_setup_teardown(rule_16_revoke_on_stop_removes_the_state, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

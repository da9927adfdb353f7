/* tests/sim/test_moments.c: what happens at a bad moment: a reload, a login, a restart or the end while an answer is on its way. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/mem.h"
#include "tests/sim/world.h"

#define DB "database/creds/notes"
#define KV "kv/notes/info"

static void configure(const char *more)
{
        cleanup_free char *text = mem_printf("on_hup = \"reload\"\n%s", more);

        world_config(text);
}

static char *one(const char *name, const char *path)
{
        return mem_printf("secret \"%s\" { path = \"%s\"  file \"%s/%s.json\" { } }\n", name, path, world.dir, name);
}

static void start_with(const char *name, const char *path)
{
        cleanup_free char *text = one(name, path);

        configure(text);
        world_start();
}

static bool file_says(const char *name, const char *what)
{
        cleanup_free char *text = world_read(name);

        return text && strstr(text, what);
}

/* Rule 14: a removed secret's lease is revoked; so is the one that was on its way when it was removed. */
static void removed_while_its_mint_is_under_way_leaves_no_lease(void **state)
{
        cleanup_free char *other = one("other", "kv/notes/other");

        world_at(DB)->back_s = 5;
        start_with("db", DB);
        world_run_to(1);
        configure(other);
        world_signal(SIGHUP);
        world_run_for(10);
        assert_true(world.running);
        assert_int_equal(world.leases, 1);
        assert_int_equal(world_live(), 0);
        assert_null(world_read("state/secret-db.json"));
        assert_null(world_read("db.json"));
        (void)state;
}

/* Rule 10: what could not be saved is not published; when its secret is removed, it is revoked all the same. */
static void removed_while_its_version_cannot_be_saved_leaves_no_lease(void **state)
{
        cleanup_free char *other = one("other", "kv/notes/other"), *from = mem_printf("%s/state", world.dir),
                          *to = mem_printf("%s/elsewhere", world.dir);

        world_at(DB)->back_s = 5;
        start_with("db", DB);
        world_run_to(1);
        assert_int_equal(rename(from, to), 0);
        world_run_to(7);
        assert_int_equal(world.leases, 1);
        assert_null(world_read("db.json"));
        configure(other);
        world_signal(SIGHUP);
        world_run_for(1);
        assert_true(world.running);
        assert_int_equal(rename(to, from), 0);
        world_run_for(60);
        assert_true(world.running);
        assert_int_equal(world_live(), 0);
        (void)state;
}

/* Rule 6: a lease that was on its way when another token came is replaced under that one, as all others of the old one. */
static void lease_made_under_the_old_token_is_replaced_under_the_new_one(void **state)
{
        world.token_s = world.token_max_s = 600;
        world_at(DB)->status = 500;
        start_with("db", DB);
        world_run_to(495); /* a mint is tried every 15 s or sooner */
        world_at(DB)->status = 0;
        world_at(DB)->back_s = 50;
        world_run_to(511);
        assert_int_equal(world.leases, 1);
        assert_int_equal(world.logins, 1);
        world_run_to(541); /* 2/3 of the token's last life are over at some time from 520 on */
        world_at(DB)->back_s = 0;
        assert_int_equal(world.logins, 2);
        assert_false(world.token[0].revoked); /* it would take the lease along that nobody has yet */
        world_run_to(598);
        assert_true(file_says("db.json", "\"u2\""));
        assert_int_equal(world.lease[1].token, 2);
        assert_true(world.token[0].revoked); /* with the last of its leases */
        assert_int_equal(world_live(), 1);
        (void)state;
}

/* Rule 7: what is said of a token that was replaced meanwhile is no verdict on its successor. */
static void late_verdict_on_the_old_token_does_not_hit_the_new_one(void **state)
{
        cleanup_free char *text = NULL;
        unsigned leases;

        text = mem_printf("secret \"db\" { path = \"" DB "\"  grace = \"5s\"  file \"%s/db.json\" { } }\n"
                          "secret \"info\" { path = \"" KV "\"  refresh = \"10s\" }\n",
                          world.dir);
        configure(text);
        world.token_s = world.token_max_s = 600;
        world_start();
        world_run_to(507); /* 2/3 of the token's last life are over at some time from 520 to 540 */
        world_at("auth/token/lookup-self")->there_s = 50;
        world_at(KV)->status = 403;
        world_run_to(519);
        world_at("auth/token/lookup-self")->there_s = 0;
        world_at(KV)->status = 0;
        assert_int_equal(world.logins, 1);
        world_run_to(556);
        assert_int_equal(world.logins, 2);
        assert_true(world.token[0].revoked);
        leases = world.leases;
        world_run_to(650);
        assert_int_equal(world.logins, 2);
        assert_int_equal(world.leases, leases);
        assert_int_equal(world_live(), 1);
        (void)state;
}

/* -exit-after-auth ends with 1 where the login is refused, also where it was refused before and is not due again yet. */
static void exit_after_auth_ends_though_the_refusal_was_before_a_restart(void **state)
{
        world.secret_id = "another";
        world.exit_after_auth = true;
        for (unsigned i = 0; i < 5; i++) {
                start_with("db", DB);
                world_run_for(1);
                assert_false(world.running);
                assert_int_equal(world.exit_code, 1);
        }
        assert_int_equal(world.refused_logins, 1);
        world_file("secret-id", "another"); /* and fresh credentials are used at once */
        start_with("db", DB);
        world_run_for(1);
        assert_int_equal(world.logins, 1);
        assert_false(world.running);
        assert_int_equal(world.exit_code, 0);
        (void)state;
}

/* Told to end before the secrets are there, -exit-after-auth does not say that they are. */
static void exit_after_auth_ended_too_early_is_no_success(void **state)
{
        world.exit_after_auth = true;
        world_at(DB)->status = 500;
        start_with("db", DB);
        world_run_for(1);
        assert_true(world.running);
        world_signal(SIGTERM);
        assert_false(world.running);
        assert_int_equal(world.exit_code, 1);
        (void)state;
}

/* Rule 8: a credential file that comes in a folder which nobody could watch is found all the same. */
static void missing_credentials_are_looked_for_again(void **state)
{
        cleanup_free char *db = one("db", DB), *folder = mem_printf("%s/later", world.dir), *text = NULL;

        text = mem_printf("vault { address = \"http://127.0.0.1:1\" }\n"
                          "auto_auth { method \"approle\" { config {\n"
                          "        role_id_file_path = \"%s/role-id\"  secret_id_file_path = \"%s/secret-id\"\n"
                          "        remove_secret_id_file_after_reading = false\n"
                          "} } }\nstate_dir = \"%s/state\"\n%s",
                          world.dir, folder, world.dir, db);
        world_file("agent.hcl", text);
        assert_int_equal(mkdir(folder, 0700), 0);
        world_file("later/secret-id", "right");
        world.running = false;
        assert_int_equal(rename(folder, text = mem_printf("%s/later-on", world.dir)), 0);
        world_start();
        if (!world.running) /* refused at start: then there is nothing to look for again */
                skip();
        world_run_to(10);
        assert_int_equal(world.logins, 0);
        assert_int_equal(rename(text, folder), 0);
        world_run_for(3);
        assert_int_equal(world.logins, 1);
        (void)state;
}

/* Rule 8: the role-id was the wrong one, and not the secret-id: put right, it is used at once, also after a restart. */
static void corrected_role_id_is_used_at_once(void **state)
{
        world.secret_id = "another";
        start_with("db", DB);
        world_run_to(100);
        assert_int_equal(world.refused_logins, 2);
        world_kill();
        world_start(); /* the same role-id is no change */
        world_run_for(100);
        assert_int_equal(world.refused_logins, 2);
        world_file("role-id", "another");
        world_run_for(2);
        assert_int_equal(world.refused_logins, 3);
        world_kill();
        world.secret_id = "right"; /* this Vault looks at that alone: with the next role-id it will do */
        world_file("role-id", "role");
        world_start();
        world_run_for(2);
        assert_int_equal(world.logins, 1);
        assert_int_equal(world.refused_logins, 3);
        assert_true(file_says("db.json", "\"u1\""));
        (void)state;
}

/* Rule 8: the file is removed after the login, but not the fresh one that came a moment before. */
static void fresh_credentials_are_not_removed_unread(void **state)
{
        cleanup_free char *db = one("db", DB), *text = NULL;

        text = mem_printf("vault { address = \"http://127.0.0.1:1\" }\n"
                          "auto_auth { method \"approle\" { config {\n"
                          "        role_id_file_path = \"%s/role-id\"  secret_id_file_path = \"%s/secret-id\"\n"
                          "} } }\nstate_dir = \"%s/state\"\n%s",
                          world.dir, world.dir, world.dir, db);
        world_file("agent.hcl", text);
        world_at("auth/approle/login")->back_s = 1;
        world_start();
        world_run_for(0.98);
        world_file("secret-id", "fresh");
        world.secret_id = "fresh";
        world_run_for(0.06);
        assert_int_equal(world.logins, 1);
        assert_true(file_says("secret-id", "fresh"));
        world_run_for(1);
        assert_true(file_says("state/tokens.json", "\"kept\":\"fresh\""));
        (void)state;
}

/* Rule 10: a secret under care that becomes a certificate is treated as one, at once and after a restart. */
static void secret_that_becomes_a_certificate_is_kept_as_one(void **state)
{
        cleanup_free char *text = mem_printf("certificate \"x\" { path = \"pki/sign/x\"  common_name = \"x\"  file "
                                             "\"%s/x.json\" { format = \"json\" } }\n",
                                             world.dir);

        start_with("x", "kv/notes/x");
        world_run_to(1);
        assert_true(file_says("state/secret-x.json", "\"kind\":0"));
        configure(text);
        world_signal(SIGHUP);
        world_run_for(1);
        assert_int_equal(world_asked("pki/sign/x"), 1);
        assert_true(file_says("state/secret-x.json", "\"kind\":2"));
        assert_true(file_says("x.json", "content")); /* until there is a certificate */
        (void)state;
}

/* Rule 5: the budget goes with the path it was for; a 429 on the new one must not reach for it. */
static void throttled_after_the_path_was_changed(void **state)
{
        cleanup_free char *text = one("x", "kv/notes/x");

        start_with("x", "kv/creds/x"); /* looks like a dynamic one, and is none */
        world_run_to(1);
        configure(text);
        world_at("kv/notes/x")->status = 429;
        world_signal(SIGHUP);
        world_run_for(60);
        assert_true(world.running);
        assert_true(world_asked("kv/notes/x") > 1);
        (void)state;
}

/* Rule 10: g of a name that is gone from the configuration is what was configured, across a restart too. */
static void own_grace_of_a_name_that_is_gone_counts_after_a_restart(void **state)
{
        cleanup_free char *other = one("other", "kv/notes/other"),
                          *db = mem_printf("secret \"db\" { path = \"" DB
                                           "\"  grace = \"5s\"  file \"%s/db.json\" { } }\n",
                                           world.dir);

        configure(db);
        world_start();
        world_run_to(1);
        world_kill();
        configure(other);
        world_start();
        world_run_for(4);
        assert_int_equal(world_live(), 1);
        world_run_for(2);
        assert_int_equal(world_live(), 0);
        (void)state;
}

/* Rule 10: what a kill left half-written holds secrets too. */
static void half_written_files_of_a_killed_agent_are_removed(void **state)
{
        start_with("db", DB);
        world_run_to(1);
        world_kill();
        world_file("state/.secret-db.json.0123456789abcdef", "{\"half\":");
        world_file(".db.json.0123456789abcdef", "{\"half\":");
        world_start();
        world_run_for(1);
        assert_null(world_read("state/.secret-db.json.0123456789abcdef"));
        assert_null(world_read(".db.json.0123456789abcdef"));
        (void)state;
}

/* Rule 16: the token of a login that is not done yet is revoked too. */
static void revoke_on_stop_knows_the_token_of_a_login_under_way(void **state)
{
        cleanup_free char *db = one("db", DB), *text = mem_printf("on_stop = \"revoke\"\n%s", db);

        world_at("auth/token/lookup-self")->there_s = 2;
        world_config(text);
        world_start();
        world_run_to(1);
        assert_int_equal(world.logins, 1);
        world_signal(SIGTERM);
        world_run_for(10);
        assert_false(world.running);
        assert_true(world.token[0].revoked);
        assert_null(world_read("state/tokens.json"));
        (void)state;
}

/* A replaced one is still there for the sake of its leases. */
static void revoke_on_stop_knows_the_replaced_token(void **state)
{
        cleanup_free char *db = one("db", DB), *text = mem_printf("on_stop = \"revoke\"\n%s", db);

        world.token_s = world.token_max_s = 600;
        world_config(text);
        world_start();
        while (world.logins < 2 && world.now_s < 2000)
                world_run_for(1);
        world_run_for(1);
        assert_int_equal(world.logins, 2);
        assert_false(world.token[0].revoked);
        world_signal(SIGTERM);
        world_run_for(10);
        assert_false(world.running);
        assert_true(world.token[0].revoked);
        assert_true(world.token[1].revoked);
        assert_int_equal(world_live(), 0);
        (void)state;
}

/* Rule 6: a renewal of the token that hangs leaves time for a login. */
static void hung_renewal_of_the_token_does_not_cost_it(void **state)
{
        world.token_s = 20;
        world_at("auth/token/renew-self")->there_s = 1000;
        start_with("db", DB);
        world_run_to(1);
        for (unsigned second = 0; second < 100; second++) {
                world_run_for(1);
                assert_true(file_says("state/secret-db.json", "\"current\""));
                assert_true(world_live() > 0);
        }
        assert_in_range(world.logins, 100 / 20, 100 / 15);
        (void)state;
}

/* What hangs with four engines at once holds up nobody for longer than the 2 s after which it is known to be late. */
static void hung_mints_make_place_for_others(void **state)
{
        cleanup_free char *text = mem_printf("secret \"good\" { path = \"" DB "\"  file \"%s/good.json\" { } }\n"
                                             "secret \"a\" { path = \"database/creds/a\"  allow { user = 1 } }\n"
                                             "secret \"b\" { path = \"database/creds/b\"  allow { user = 1 } }\n"
                                             "secret \"c\" { path = \"database/creds/c\"  allow { user = 1 } }\n"
                                             "secret \"d\" { path = \"database/creds/d\"  allow { user = 1 } }\n",
                                             world.dir);
        cleanup_free char *more =
                mem_printf("%ssecret \"x\" { path = \"" KV "\"  refresh = \"2s\"  allow { user = 1 } }\n", text);
        char path[] = "database/creds/a";
        unsigned asked;

        configure(more);
        world_start();
        world_run_to(1);
        assert_int_equal(world.leases, 5);
        for (; path[sizeof(path) - 2] <= 'd'; path[sizeof(path) - 2]++)
                world_at(path)->there_s = 1000;
        world_at("sys/health")->there_s = 1;
        world_at(KV)->status = -1; /* is Vault there? All that comes waits for its health, and goes at once then */
        for (asked = world_asked(KV); world_asked(KV) == asked;)
                world_run_for(0.1);
        world_at(KV)->there_s = 1000;
        world_signal(SIGUSR1);
        world_run_for(4);
        assert_int_equal(world.leases, 6);
        assert_false(file_says("good.json", "\"u1\""));
        (void)state;
}

/* Rule 14: another `refresh` counts from the reload on. */
static void shorter_refresh_counts_at_once(void **state)
{
        cleanup_free char *text = mem_printf(
                "secret \"x\" { path = \"" KV "\"  refresh = \"30s\"  file \"%s/x.json\" { } }\n", world.dir);

        start_with("x", KV);
        world_run_to(1);
        assert_int_equal(world_asked(KV), 1);
        configure(text);
        world_signal(SIGHUP);
        world_run_for(5);
        assert_int_equal(world_asked(KV), 1); /* nothing else about it has changed */
        world_run_for(30);
        assert_int_equal(world_asked(KV), 2);
        (void)state;
}

/* Rule 10: who was given the version before the current one is still known once another restart and version lie between. */
static void readers_of_the_last_version_are_known_after_a_restart(void **state)
{
        start_with("x", KV);
        for (unsigned i = 1; i <= 3; i++) {
                world_run_for(1);
                world.content = i;
                if (i == 3) {
                        world_kill();
                        world_start();
                }
                world_signal(SIGUSR1);
        }
        world_run_for(1);
        assert_true(file_says("x.json", "3"));
        assert_false(file_says("state/secret-x.json", "[1700001000001,"));
        assert_true(file_says("state/secret-x.json", "[1700001000002,"));
        assert_true(file_says("state/secret-x.json", "[1700001000003,"));
        (void)state;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(removed_while_its_mint_is_under_way_leaves_no_lease),
                TEST(removed_while_its_version_cannot_be_saved_leaves_no_lease),
                TEST(lease_made_under_the_old_token_is_replaced_under_the_new_one),
                TEST(late_verdict_on_the_old_token_does_not_hit_the_new_one),
                TEST(exit_after_auth_ends_though_the_refusal_was_before_a_restart),
                TEST(exit_after_auth_ended_too_early_is_no_success),
                TEST(missing_credentials_are_looked_for_again),
                TEST(corrected_role_id_is_used_at_once),
                TEST(fresh_credentials_are_not_removed_unread),
                TEST(secret_that_becomes_a_certificate_is_kept_as_one),
                TEST(throttled_after_the_path_was_changed),
                TEST(own_grace_of_a_name_that_is_gone_counts_after_a_restart),
                TEST(half_written_files_of_a_killed_agent_are_removed),
                TEST(hung_renewal_of_the_token_does_not_cost_it),
                TEST(hung_mints_make_place_for_others),
                TEST(shorter_refresh_counts_at_once),
                TEST(readers_of_the_last_version_are_known_after_a_restart),
                TEST(revoke_on_stop_knows_the_token_of_a_login_under_way),
                TEST(revoke_on_stop_knows_the_replaced_token),
        };

        cmocka_set_test_filter(getenv("SIM_TEST"));
        return cmocka_run_group_tests(tests, NULL, NULL);
}

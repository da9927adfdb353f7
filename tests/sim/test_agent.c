/* tests/sim/test_agent.c: the lease rules that take more than one part, on the whole agent in a simulated world. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/mem.h"
#include "tests/sim/world.h"

#define DB    "database/creds/notes"
#define OTHER "database/creds/other"
#define KV    "kv/notes/dbinfo"

/* The configuration: secret "db", and what else is given. */
static void configure(const char *more)
{
        cleanup_free char *text =
                mem_printf("secret \"db\" { path = \"" DB "\"  file \"%s/db.json\" { } }\n%s", world.dir, more);

        world_config(text);
}

static char *also(const char *name, const char *path)
{
        return mem_printf("secret \"%s\" { path = \"%s\"  required = false  file \"%s/%s.json\" { } }\n", name, path,
                          world.dir, name);
}

static bool file_says(const char *name, const char *what)
{
        cleanup_free char *text = world_read(name);

        return text && strstr(text, what);
}

static void move_in_world(const char *from, const char *to)
{
        cleanup_free char *a = mem_printf("%s/%s", world.dir, from), *b = mem_printf("%s/%s", world.dir, to);

        assert_int_equal(rename(a, b), 0);
}

static void start_with_db(void)
{
        configure("");
        world_start();
        world_run_to(1);
        assert_true(world.running);
        assert_true(file_says("db.json", "\"u1\""));
}

static void restart(void)
{
        world_kill();
        world_start();
}

/* --- rule 4: one probe speaks for all --- */

static void rule_4_one_probe_asks_while_vault_is_away(void **state)
{
        cleanup_free char *other = also("other", OTHER);
        unsigned asked;

        configure(other);
        world_start();
        world_run_to(10);
        world.sealed = true;
        world_run_to(2600); /* both were due for a renewal, and something was the first to be told */
        asked = world_all_requests();
        world.probes = 0;
        world_run_for(600);
        assert_int_equal(world_all_requests() - world.probes, asked); /* nobody else asks */
        assert_in_range(world.probes, 600 / 6 - 1, 600 / 6 + 2);
        assert_int_equal(world_asked(DB), 1);
        world.sealed = false;
        world_run_for(7);
        assert_int_equal(world_asked(DB), 1); /* renewed, both, and not replaced */
        assert_int_equal(world_live(), 2);
        (void)state;
}

static void rule_4_serves_again_within_two_seconds_of_the_unseal(void **state)
{
        start_with_db();
        world.sealed = true;
        world_run_to(7000);
        assert_false(file_says("db.json", "u2"));
        world.probes = 0;
        world_run_for(60);
        assert_in_range(world.probes, 58, 62); /* every second while something has nothing valid */
        world.sealed = false;
        world_run_for(2);
        assert_true(file_says("db.json", "\"u2\""));
        assert_int_equal(world_live(), 1);
        (void)state;
}

/* --- rule 6: tokens --- */

/* The file keeps what has ended; the state tells whether it is served. */
static const struct world_lease *served(void)
{
        cleanup_free char *text = world_read("db.json");
        const char *key = text ? strstr(text, "username\"") : NULL, *user = key ? strstr(key, "\"u") : NULL;
        unsigned number = user ? (unsigned)atoi(user + 2) : 0;

        return number > 0 && file_says("state/secret-db.json", "\"current\"") ? &world.lease[number - 1] : NULL;
}

static void run_and_serve_nothing_dead(double seconds)
{
        for (double end_s = world.now_s + seconds; world.now_s < end_s;) {
                world_run_for(0.1);
                if (served() && !world_lease_lives(served()))
                        fail_msg("%.1f s: a dead version is served", world.now_s);
        }
}

/* What is answered late counts from the asking: nobody is there to move the end, and it is not served for a moment longer. */
static void rule_4_late_answers_move_no_end(void **state)
{
        static const char *const late[] = {DB,
                                           "sys/leases/renew",
                                           "sys/leases/lookup",
                                           "auth/approle/login",
                                           "auth/token/renew-self",
                                           "auth/token/lookup-self"};

        for (unsigned i = 0; i < array_len(late); i++) {
                bool of_token = strncmp(late[i], "auth/", strlen("auth/")) == 0;

                world_teardown(state);
                world_setup(state);
                world.lease_s = of_token ? 3600 : 90;
                world.token_s = of_token ? 90 : 3600;
                world_at(late[i])->back_s = 8;
                configure("");
                world_start();
                while (world_asked(late[i]) == 0)
                        world_run_for(1);
                world_run_for(10); /* it is answered */
                assert_non_null(served());
                world.away = true;
                run_and_serve_nothing_dead(120);
                assert_null(served());
        }
}

/* Its lease may be over when the answer comes: another one is made, and nobody is given the first. */
static void rule_4_answer_later_than_its_lease_is_given_to_nobody(void **state)
{
        world.lease_s = 10;
        world_at(DB)->back_s = 15;
        configure("");
        world_start();
        run_and_serve_nothing_dead(60);
        assert_null(world_read("db.json"));
        world_at(DB)->back_s = 0;
        world_run_for(90);
        assert_non_null(served());
        assert_true(world_lease_lives(served()));
        (void)state;
}

/* A slow engine makes its lease last, so that it lives longer than can be told: it is asked when it ends, and is not replaced early. */
static void rule_4_lease_of_a_slow_mint_is_looked_up(void **state)
{
        world.lease_s = 60;
        world_at(DB)->there_s = 30;
        configure("");
        world_start();
        world_run_for(31);
        assert_int_equal(world_asked("sys/leases/lookup"), 1);
        world.away = true;
        world_run_for(55);
        assert_non_null(served()); /* 30 s after what was known by the mint alone */
        run_and_serve_nothing_dead(10);
        assert_null(served());
        (void)state;
}

static void rule_6_days_with_tokens_at_their_max_ttl(void **state)
{
        world.token_max_s = 4 * 3600;
        start_with_db();
        for (unsigned minute = 0; minute < 3 * 24 * 60; minute++) {
                world_run_for(60);
                assert_non_null(served());
                assert_true(world_lease_lives(served()));
                assert_in_range(world_live(), 1, 2);
        }
        assert_in_range(world.logins, 3 * 6, 3 * 8);
        assert_in_range(world.leases, world.logins, world.logins + 1);
        for (unsigned i = 0; i + 2 < world.tokens; i++)
                assert_true(world.token[i].revoked); /* with the last of its leases */
        (void)state;
}

static void rule_6_token_whose_renewals_fail_is_replaced_before_its_end(void **state)
{
        world_at("auth/token/renew-self")->status = 500;
        start_with_db();
        for (unsigned minute = 0; minute < 24 * 60; minute++) {
                world_run_for(60);
                assert_non_null(served());
                assert_true(world_lease_lives(served()));
        }
        assert_in_range(world.logins, 24, 30);
        (void)state;
}

/* It is renewed once, up to its max_ttl, and 2/3 of that later another one takes over: between 520 s and 540 s. */
static void wait_for_second_login(void)
{
        while (world.logins < 2 && world.now_s < 2000)
                world_run_for(1);
        assert_int_equal(world.logins, 2);
}

/* A secret without leases: another token takes over, and nothing of the old one is held. */
static void replace_the_token(void)
{
        cleanup_free char *info = also("info", KV);

        world.token_s = world.token_max_s = 600;
        world_config(info);
        world_start();
        wait_for_second_login();
}

static void rule_6_revoking_an_old_token_is_tried_again(void **state)
{
        world_at("auth/token/revoke-self")->status = 500;
        replace_the_token();
        world_run_for(10);
        assert_in_range(world_asked("auth/token/revoke-self"), 2, 20);
        restart(); /* and it is not forgotten */
        world_run_for(10);
        world_at("auth/token/revoke-self")->status = 0;
        world_run_for(61);
        assert_true(world.token[0].revoked);
        assert_false(world.token[1].revoked);
        (void)state;
}

static void rule_6_revoking_an_old_token_ends_with_it(void **state)
{
        unsigned asked;

        world_at("auth/token/revoke-self")->status = 500;
        replace_the_token();
        world_run_to(601);
        asked = world_asked("auth/token/revoke-self");
        assert_in_range(asked, 3, 80 / 6 + 6); /* 1 s x2 to 1 min, a tenth of it at least */
        world_run_to(1000);                    /* the next one is not replaced yet */
        assert_int_equal(world_asked("auth/token/revoke-self"), asked);
        (void)state;
}

static void rule_6_forbidden_revocation_of_an_old_token_is_not_repeated(void **state)
{
        world_at("auth/token/revoke-self")->status = 403;
        replace_the_token();
        world_run_to(600);
        assert_int_equal(world_asked("auth/token/revoke-self"), 1);
        (void)state;
}

static void rule_6_token_of_limited_use_is_revoked_when_it_is_refused(void **state)
{
        world.token_uses = 5;
        configure("");
        world_start();
        world_run_for(2);
        assert_int_equal(world.logins, 1);
        assert_true(world.token[0].revoked);
        assert_int_equal(world.leases, 0);
        (void)state;
}

/* What one secret lets go of at the start says nothing about the others, which are not looked at yet. */
static void rule_6_restart_revokes_no_token_whose_lease_is_held(void **state)
{
        cleanup_free char *other = also("other", OTHER);

        world.token_s = world.token_max_s = 600;
        configure(other);
        world_start();
        world_run_to(390);
        world_at(OTHER)->status = 500; /* it cannot be replaced under the next token */
        world.lease_s = 5;
        wait_for_second_login();
        world_run_for(33); /* g of the one before is over */
        world_kill();
        world_run_for(6); /* the lease of "db" ends */
        world_start();
        world_run_for(2);
        assert_false(world.token[0].revoked);
        assert_true(file_says("other.json", "\"u2\""));
        assert_true(world_lease_lives(&world.lease[1]));
        (void)state;
}

/* --- whatever happens --- */

static void make_trouble(unsigned r)
{
        static const char *const paths[] = {DB,
                                            "sys/leases/renew",
                                            "sys/leases/lookup",
                                            "sys/leases/revoke",
                                            "auth/token/renew-self",
                                            "auth/token/lookup-self"};
        static const int statuses[] = {500, 429, 403, 400, 404, -1, 503, 412};

        for (unsigned i = 0; i < array_len(paths); i++) {
                world_at(paths[i])->status = (r >> i & 3) == 0 ? statuses[(r >> (i + 8)) % array_len(statuses)] : 0;
                world_at(paths[i])->retry_after_s = (r >> i & 7) == 1 ? 30 : 0;
                world_at(paths[i])->there_s = (r >> (i + 12) & 7) == 0 ? 7 : 0;
                world_at(paths[i])->back_s = (r >> (i + 14) & 7) == 0 ? 25 : 0;
        }
        world.sealed = r >> 20 % 16 == 0;
}

static void trouble_and_kills(unsigned seed)
{
        srandom(seed);
        world.random = seed;
        world.token_max_s = 4 * 3600;
        start_with_db();
        for (unsigned minute = 0; minute < 2 * 24 * 60; minute++) {
                if (minute % 7 == 0)
                        make_trouble((unsigned)random());
                if (random() % 50 == 0)
                        restart();
                if (random() % 100 == 0)
                        world_signal(random() % 2 ? SIGHUP : SIGUSR1);
                world_run_for(60);
                assert_true(world.running);
                if (served() && !world_lease_lives(served()))
                        fail_msg("seed %u, minute %u: a dead version is served", seed, minute);
        }
        for (unsigned i = 0; i < world.paths; i++) {
                world.path[i].status = 0;
                world.path[i].there_s = world.path[i].back_s = 0;
        }
        world.sealed = false;
        world_run_for(900 + 300); /* and when it is over, it is over */
        assert_non_null(served());
        assert_true(world_lease_lives(served()));
        assert_in_range(world_live(), 1, 2);
}

static void days_of_trouble_and_kills(void **state)
{
        const char *one = getenv("SIM_SEED");

        for (unsigned seed = 1; seed <= 8; seed++) {
                if (one && (unsigned)atoi(one) != seed)
                        continue;
                world_teardown(state);
                world_setup(state);
                trouble_and_kills(seed);
        }
}

/* --- rule 7: a 403 --- */

static void rule_7_forbidden_path_concerns_that_secret_alone(void **state)
{
        cleanup_free char *other = also("other", OTHER);

        world_at(OTHER)->status = 403;
        configure(other);
        world_start();
        world_run_to(2 * 3600);
        assert_int_equal(world.logins, 1);
        assert_int_equal(world_asked(DB), 1);
        assert_true(file_says("db.json", "\"u1\""));
        assert_in_range(world_asked(OTHER), 20, 90);                            /* 15 s x2 to 5 min */
        assert_in_range(world_asked("auth/token/lookup-self"), 2, 2 + 2 * 360); /* once in 10 s at most */
        world_at(OTHER)->status = 0;
        world_run_for(301);
        assert_true(file_says("other.json", "u2"));
        (void)state;
}

static void rule_7_dead_token_is_replaced_by_one_login(void **state)
{
        cleanup_free char *other = also("other", OTHER);

        configure(other);
        world_start();
        world_run_to(100);
        assert_int_equal(world_live(), 2);
        world_revoke_tokens(); /* and nobody tells */
        world_run_to(1300);    /* the next look-up is told 403 */
        assert_int_equal(world.logins, 2);
        assert_int_equal(world_asked(DB), 2);
        assert_int_equal(world_asked(OTHER), 2);
        assert_int_equal(world_live(), 2);
        world_run_to(3 * 3600);
        assert_int_equal(world.logins, 2);
        assert_int_equal(world.leases, 4);
        (void)state;
}

static void rule_7_403_while_the_token_is_renewed_does_not_put_the_verdict_off(void **state)
{
        world.token_s = 60;
        world_at("auth/token/renew-self")->back_s = 5;
        start_with_db();
        world_revoke_tokens(); /* and nobody tells */
        while (world_asked("auth/token/renew-self") == 0)
                world_run_for(0.1);
        world_signal(SIGUSR1); /* this mint is told 403 before the renewal is */
        world_run_for(5.5);
        assert_int_equal(world.logins, 2);
        (void)state;
}

static void rule_7_many_403_ask_lookup_self_once_in_ten_seconds(void **state)
{
        char *text = mem_strdup("");

        for (unsigned i = 0; i < 8; i++) {
                cleanup_free char *name = mem_printf("x%u", i), *path = mem_printf("database/creds/x%u", i);
                cleanup_free char *one = also(name, path), *so_far = text;

                world_at(path)->status = 403;
                text = mem_printf("%s%s", so_far, one);
        }
        configure(text);
        mem_free(text);
        world_start();
        world_run_to(9);
        assert_int_equal(world_asked("auth/token/lookup-self"), 2); /* after the login, and for all eight */
        world_run_to(600);
        assert_in_range(world_asked("auth/token/lookup-self"), 3, 62);
        assert_int_equal(world.logins, 1);
        (void)state;
}

static void rule_7_token_that_cannot_be_looked_up_is_never_judged_dead(void **state)
{
        cleanup_free char *other = also("other", OTHER);

        world.hide_lookup = true;
        world_at(OTHER)->status = 403;
        configure(other);
        world_start();
        world_run_to(2000);
        assert_int_equal(world_asked("auth/token/lookup-self"), 1); /* once after the login */
        assert_int_equal(world.logins, 1);
        world_at("auth/token/renew-self")->status = 403; /* its renewal fails: one login in 15 min */
        world_run_to(2 * 3600);
        assert_in_range(world.logins, 2, 2 + 7200 / 900);
        assert_true(file_says("db.json", "u"));
        (void)state;
}

/* --- rule 8: the login --- */

static void rule_8_refused_login_is_tried_after_60_s_then_once_in_15_min(void **state)
{
        world.secret_id = "another";
        configure("");
        world_start();
        world_run_to(59);
        assert_int_equal(world.refused_logins, 1);
        world_run_to(61);
        assert_int_equal(world.refused_logins, 2);
        world_run_to(61 + 899);
        assert_int_equal(world.refused_logins, 2);
        world_run_to(61 + 901);
        assert_int_equal(world.refused_logins, 3);
        (void)state;
}

static void rule_8_restarts_do_not_lock_the_role_out(void **state)
{
        world.secret_id = "another";
        configure("");
        world_start();
        for (unsigned i = 0; i < 50; i++) {
                world_run_for(10);
                restart();
        }
        assert_in_range(world.refused_logins, 2, 2); /* at 0 and at 60 s; the next would come at 960 s */
        (void)state;
}

static void rule_8_changed_credentials_are_used_within_two_seconds(void **state)
{
        world.secret_id = "another";
        configure("");
        world_start();
        world_run_to(100);
        assert_int_equal(world.logins, 0);
        world_file("secret-id", "another");
        world_run_for(2);
        assert_int_equal(world.logins, 1);
        assert_true(file_says("db.json", "\"u1\""));
        (void)state;
}

static void rule_8_changed_credentials_wait_until_a_login_is_due(void **state)
{
        start_with_db();
        world.secret_id = "another";
        world_file("secret-id", "another");
        world_run_to(600);
        assert_int_equal(world.logins, 1);
        world_revoke_tokens();
        world_run_to(1300);
        assert_int_equal(world.logins, 2);
        assert_int_equal(world.refused_logins, 0);
        (void)state;
}

static void rule_8_unanswered_login_backs_off_to_a_minute(void **state)
{
        world_at("auth/approle/login")->status = 500;
        configure("");
        world_start();
        world_run_to(600);
        assert_in_range(world_asked("auth/approle/login"), 15, 80);
        world_at("auth/approle/login")->status = 0;
        world_run_for(61);
        assert_int_equal(world.logins, 1);
        (void)state;
}

/* Neither a dead token nor a restart strands the agent: the file is gone, what it held is not. */
static void rule_8_login_without_the_file_after_a_restart(void **state)
{
        start_with_db();
        move_in_world("secret-id", "gone");
        world_revoke_tokens();
        restart();
        world_run_for(5);
        assert_int_equal(world.logins, 2);
        assert_int_equal(world_live(), 1);
        (void)state;
}

/* --- rule 10: a restart is not a new life --- */

static void rule_10_fifty_kills_make_no_login_and_no_lease(void **state)
{
        start_with_db();
        for (unsigned i = 0; i < 50; i++) {
                restart();
                world_run_for(0.001 * (i * 37 % 100));
                restart();
                world_run_for(31);
        }
        assert_int_equal(world.logins, 1);
        assert_int_equal(world.leases, 1);
        assert_int_equal(world_live(), 1);
        assert_true(file_says("db.json", "\"u1\""));
        (void)state;
}

static void rule_10_kills_at_any_moment_leave_one_orphan_at_most(void **state)
{
        configure("");
        for (unsigned i = 0; i < 40; i++) { /* each a millisecond later */
                world_start();
                world_run_for(0.001 * i);
                world_kill();
        }
        world_start();
        world_run_for(2);
        assert_in_range(world.leases, 1, 2);
        assert_in_range(world.logins, 1, 7); /* a login is saved once its token was looked up, 5 ms later */
        assert_true(file_says("db.json", "\"u"));
        (void)state;
}

static void rule_10_serves_what_was_saved_while_vault_is_sealed(void **state)
{
        start_with_db();
        world_kill();
        move_in_world("db.json", "db.gone");
        world.sealed = true;
        world_start();
        world_run_for(1);
        assert_true(file_says("db.json", "\"u1\""));
        world_run_to(3500);
        assert_true(file_says("db.json", "\"u1\""));
        world.sealed = false;
        world_run_for(10);
        assert_int_equal(world.logins, 1);
        assert_int_equal(world.leases, 1);
        (void)state;
}

static void rule_10_asks_about_what_it_adopts(void **state)
{
        start_with_db();
        world_kill();
        world.lease[0].revoked_s = world.now_s; /* while nobody was there */
        world_start();
        world_run_for(2);
        assert_int_equal(world_asked(DB), 2);
        assert_true(file_says("db.json", "\"u2\""));
        assert_int_equal(world.logins, 1);
        (void)state;
}

static void rule_10_entry_of_another_path_becomes_the_replaced_one(void **state)
{
        cleanup_free char *text = NULL;

        start_with_db();
        world_kill();
        text = mem_printf("secret \"db\" { path = \"" OTHER "\"  file \"%s/db.json\" { } }\n", world.dir);
        world_config(text);
        world_start();
        world_run_for(2);
        assert_true(file_says("db.json", "\"u2\""));
        assert_int_equal(world_live(), 2);
        world_run_for(31);
        assert_int_equal(world_live(), 1);
        assert_int_equal(world.logins, 1);
        (void)state;
}

static void rule_10_name_gone_from_the_config_is_revoked_after_g(void **state)
{
        cleanup_free char *text = NULL;

        start_with_db();
        world_kill();
        text = also("info", KV);
        world_config(text);
        world_start();
        world_run_for(20);
        assert_int_equal(world_live(), 1);
        world_run_for(15);
        assert_int_equal(world_live(), 0);
        (void)state;
}

static void rule_10_budget_outlives_the_process(void **state)
{
        start_with_db();
        for (unsigned i = 0; i < 20; i++) {
                world_signal(SIGUSR1);
                world_run_for(1);
                restart();
                world_run_for(1);
        }
        assert_in_range(world.leases, 2, 3); /* three draws at first, and one of them is not for signals */
        (void)state;
}

static void rule_10_damaged_file_is_set_aside_alone(void **state)
{
        cleanup_free char *info = also("info", KV);

        configure(info);
        world_start();
        world_run_to(1);
        world_kill();
        world_file("state/secret-info.json", "{\"format\":1,");
        world_start();
        world_run_for(1);
        assert_int_equal(world.leases, 1);
        assert_int_equal(world.logins, 1);
        assert_int_equal(world_asked(KV), 2);
        assert_true(file_says("state/secret-info.json.aside", "{"));
        (void)state;
}

static void rule_10_leases_go_on_where_the_tokens_file_is_damaged(void **state)
{
        start_with_db();
        world_kill();
        world_file("state/tokens.json", "nonsense");
        world_start();
        world_run_for(10);
        assert_int_equal(world.logins, 2);
        assert_true(file_says("db.json", "\"u2\"")); /* replaced under the new token, make-before-break */
        world_run_for(31);
        assert_int_equal(world_live(), 1);
        (void)state;
}

static void rule_10_nothing_is_minted_that_cannot_be_saved(void **state)
{
        start_with_db();
        move_in_world("state", "elsewhere");
        world_signal(SIGUSR1);
        world_run_for(60);
        assert_in_range(world.leases, 1, 1);
        assert_true(file_says("db.json", "\"u1\""));
        move_in_world("elsewhere", "state");
        world_run_for(10);
        assert_int_equal(world.leases, 2);
        assert_true(file_says("db.json", "\"u2\""));
        (void)state;
}

/* --- rule 14: SIGHUP, SIGUSR1 --- */

static void rule_14_sighup_replaces_every_secret(void **state)
{
        cleanup_free char *info = also("info", KV);

        configure(info);
        world_start();
        world_run_to(1);
        world_signal(SIGHUP);
        world_run_for(1);
        assert_true(file_says("db.json", "\"u2\""));
        assert_int_equal(world_asked(KV), 2); /* read again */
        assert_int_equal(world_live(), 2);    /* make before break: nobody acknowledged, g runs */
        world_run_for(31);
        assert_int_equal(world_live(), 1);
        assert_int_equal(world.logins, 1);
        (void)state;
}

static void rule_14_signals_stay_within_the_budget(void **state)
{
        start_with_db();
        for (unsigned i = 0; i < 100; i++) {
                world_signal(i % 2 ? SIGHUP : SIGUSR1);
                world_run_for(0.1);
        }
        assert_int_equal(world.leases, 2);
        (void)state;
}

static void rule_14_reload_leaves_untouched_secrets_alone(void **state)
{
        cleanup_free char *more = NULL, *info = NULL;
        unsigned asked;

        configure("on_hup = \"reload\"\n");
        world_start();
        world_run_to(1);
        asked = world_all_requests();
        world_signal(SIGHUP);
        world_run_for(5);
        assert_int_equal(world_all_requests(), asked);
        info = also("info", KV);
        more = mem_printf("on_hup = \"reload\"\n%s", info);
        configure(more);
        world_signal(SIGHUP);
        world_run_for(5);
        assert_int_equal(world_all_requests(), asked + 1); /* the new one alone */
        assert_true(file_says("info.json", "content"));
        assert_true(file_says("db.json", "\"u1\""));
        (void)state;
}

static void rule_14_config_that_does_not_check_changes_nothing(void **state)
{
        unsigned asked;

        start_with_db();
        asked = world_all_requests();
        world_config("secret \"db\" { pth = \"x\" }\n");
        world_signal(SIGHUP);
        world_run_for(5);
        assert_int_equal(world_all_requests(), asked); /* not even rotated */
        assert_true(file_says("db.json", "\"u1\""));
        assert_true(world.running);
        (void)state;
}

static void rule_14_removed_secret_is_lost_and_revoked_after_g(void **state)
{
        cleanup_free char *info = also("info", KV);

        start_with_db();
        world_config(info);
        world_signal(SIGHUP);
        world_run_for(1);
        assert_null(world_read("db.json"));
        assert_int_equal(world_live(), 1);
        world_run_for(31);
        assert_int_equal(world_live(), 0);
        assert_int_equal(world_asked("sys/leases/revoke"), 1);
        assert_null(world_read("state/secret-db.json"));
        (void)state;
}

static void rule_14_another_mount_needs_a_restart(void **state)
{
        cleanup_free char *text = NULL;
        unsigned asked;

        start_with_db();
        asked = world_all_requests();
        text = mem_printf("vault { address = \"http://127.0.0.1:2\" }\n"
                          "auto_auth { method \"approle\" { config { role_id_file_path = \"%s/role-id\" } } }\n"
                          "state_dir = \"%s/state\"\nsecret \"db\" { path = \"" OTHER "\"  file \"%s/db.json\" { } }\n",
                          world.dir, world.dir, world.dir);
        world_file("agent.hcl", text);
        world_signal(SIGHUP);
        world_run_for(5);
        assert_int_equal(world_all_requests(), asked);
        assert_true(file_says("db.json", "\"u1\""));
        (void)state;
}

static void rule_14_sigusr1_replaces_without_reading_the_config(void **state)
{
        start_with_db();
        world_file("agent.hcl", "nonsense {");
        world_signal(SIGUSR1);
        world_run_for(1);
        assert_true(file_says("db.json", "\"u2\""));
        (void)state;
}

/* --- rule 15: looked up --- */

static void configure_verify(const char *verify)
{
        cleanup_free char *text = mem_printf("on_hup = \"reload\"\nsecret \"db\" { path = \"" DB "\"  verify = \"%s\"  "
                                             "file \"%s/db.json\" { } }\n",
                                             verify, world.dir);

        world_config(text);
}

static void rule_15_changed_verify_counts_for_what_is_there(void **state)
{
        configure_verify("0s");
        world_start();
        world_run_to(1500);
        assert_int_equal(world_asked("sys/leases/lookup"), 0);
        configure_verify("60s");
        world_signal(SIGHUP);
        world_run_for(130);
        assert_int_equal(world_asked("sys/leases/lookup"), 2);
        world_kill();
        configure_verify("20s");
        world_start();
        world_run_for(65);
        assert_int_equal(world_asked("sys/leases/lookup"), 2 + 1 + 3); /* what was adopted is asked about at once */
        configure_verify("0s");
        world_signal(SIGHUP);
        world_run_for(300);
        assert_int_equal(world_asked("sys/leases/lookup"), 6);
        assert_int_equal(world_asked(DB), 1);
        (void)state;
}

/* --- rule 16: the end --- */

static void rule_16_keep_leaves_all_as_it_is(void **state)
{
        start_with_db();
        world_signal(SIGTERM);
        assert_false(world.running);
        assert_int_equal(world.exit_code, 0);
        assert_int_equal(world_live(), 1);
        world_start();
        world_run_for(1);
        assert_int_equal(world.logins, 1);
        assert_int_equal(world.leases, 1);
        (void)state;
}

static void rule_16_revoke_on_stop_leaves_nothing(void **state)
{
        configure("on_stop = \"revoke\"\n");
        world_start();
        world_run_to(1);
        world_signal(SIGTERM);
        world_run_for(10);
        assert_false(world.running);
        assert_int_equal(world_live(), 0);
        assert_true(world.token[0].revoked);
        assert_null(world_read("db.json"));
        assert_null(world_read("state/tokens.json"));
        assert_null(world_read("state/secret-db.json"));
        (void)state;
}

static void rule_16_exits_in_time_though_vault_hangs(void **state)
{
        configure("on_stop = \"revoke\"\n");
        world_start();
        world_run_to(1);
        world.away = true;
        world_signal(SIGTERM);
        world_run_for(10);
        assert_false(world.running);
        (void)state;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(rule_4_one_probe_asks_while_vault_is_away, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_4_serves_again_within_two_seconds_of_the_unseal, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_4_late_answers_move_no_end, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_4_answer_later_than_its_lease_is_given_to_nobody, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_4_lease_of_a_slow_mint_is_looked_up, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_6_days_with_tokens_at_their_max_ttl, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_6_token_whose_renewals_fail_is_replaced_before_its_end,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_6_revoking_an_old_token_is_tried_again, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_6_revoking_an_old_token_ends_with_it, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_6_forbidden_revocation_of_an_old_token_is_not_repeated,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_6_token_of_limited_use_is_revoked_when_it_is_refused, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_6_restart_revokes_no_token_whose_lease_is_held, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(days_of_trouble_and_kills, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_7_forbidden_path_concerns_that_secret_alone, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_7_dead_token_is_replaced_by_one_login, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_7_403_while_the_token_is_renewed_does_not_put_the_verdict_off,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_7_many_403_ask_lookup_self_once_in_ten_seconds, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_7_token_that_cannot_be_looked_up_is_never_judged_dead, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_8_refused_login_is_tried_after_60_s_then_once_in_15_min,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_8_restarts_do_not_lock_the_role_out, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_8_changed_credentials_are_used_within_two_seconds, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_8_changed_credentials_wait_until_a_login_is_due, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_8_unanswered_login_backs_off_to_a_minute, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_8_login_without_the_file_after_a_restart, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_10_fifty_kills_make_no_login_and_no_lease, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_10_kills_at_any_moment_leave_one_orphan_at_most, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_10_serves_what_was_saved_while_vault_is_sealed, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_10_asks_about_what_it_adopts, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_10_entry_of_another_path_becomes_the_replaced_one, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_10_name_gone_from_the_config_is_revoked_after_g, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_10_budget_outlives_the_process, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_10_damaged_file_is_set_aside_alone, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_10_leases_go_on_where_the_tokens_file_is_damaged, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_10_nothing_is_minted_that_cannot_be_saved, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_14_sighup_replaces_every_secret, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_14_signals_stay_within_the_budget, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_14_reload_leaves_untouched_secrets_alone, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_14_config_that_does_not_check_changes_nothing, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_14_removed_secret_is_lost_and_revoked_after_g, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_14_another_mount_needs_a_restart, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_14_sigusr1_replaces_without_reading_the_config, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_15_changed_verify_counts_for_what_is_there, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rule_16_keep_leaves_all_as_it_is, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_16_revoke_on_stop_leaves_nothing, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(rule_16_exits_in_time_though_vault_hangs, world_setup, world_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

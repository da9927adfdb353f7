/* tests/unit/test_store.c: the seam: versions, who is told, and who still holds what (rule 3). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/config.h"
#include "agent/store.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

struct seen {
        char text[512];
        unsigned given, acked, rejected, denied;
};

static void on_change(struct store_secret *s, enum store_change change, void *arg)
{
        static const char *const names[] = {"new", "lease", "lost", "rights"};
        struct seen *seen = arg;
        size_t len = strlen(seen->text);

        snprintf(seen->text + len, sizeof(seen->text) - len, "%s:%s ", store_name(s), names[change]);
}

static void on_given(struct store_secret *s, void *arg)
{
        (void)s;
        ((struct seen *)arg)->given++;
}

static void on_acked(struct store_secret *s, void *arg)
{
        (void)s;
        ((struct seen *)arg)->acked++;
}

static void on_rejected(struct store_secret *s, bool denied, void *arg)
{
        (void)s;
        ((struct seen *)arg)->rejected++;
        ((struct seen *)arg)->denied += denied;
}

static char name_db[] = "db", name_a[] = "a", name_z[] = "z", path_db[] = "database/creds/notes", path_other[] = "kv/x";
static struct config_secret db = {.name = name_db, .path = path_db};
static struct config_secret a = {.name = name_a, .path = path_db};
static struct config_secret z = {.name = name_z, .path = path_other};

static struct store *new_store(struct seen *seen)
{
        static const struct store_control control = {.given = on_given, .acked = on_acked, .rejected = on_rejected};
        struct store *st = store_new();

        store_set_control(st, &control, seen);
        store_subscribe(st, on_change, seen);
        return st;
}

static uint64_t publish(struct store *st, struct store_secret *s, const char *lease_id)
{
        struct store_version v = {.end_boot_usec = USEC_NEVER, .end_wall_usec = USEC_NEVER};

        v.data = secret_new_from("{}", 2);
        v.lease_id = mem_strdup(lease_id);
        store_publish(st, s, &v);
        assert_null(v.data);
        return v.number;
}

static void versions_count_up_from_the_first(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct store_secret *s = store_add(st, &db, KIND_DYNAMIC, 1764000000000);

        (void)state;
        assert_null(store_current(s));
        assert_int_equal(store_last_number(s), 0);
        assert_string_equal(store_reason(s), "not fetched yet");
        assert_int_equal(publish(st, s, "l1"), 1764000000000);
        assert_int_equal(publish(st, s, "l2"), 1764000000001);
        store_lose(st, s, "revoked");
        assert_null(store_current(s));
        assert_string_equal(store_reason(s), "revoked");
        assert_int_equal(store_last_number(s), 1764000000001);
        assert_int_equal(publish(st, s, "l3"), 1764000000002);
        assert_string_equal(seen.text, "db:new db:new db:lost db:new ");
        store_free(st);
}

static void an_adopted_version_keeps_its_number(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct store_secret *s = store_add(st, &db, KIND_DYNAMIC, 1);
        struct store_version v = {.number = 41, .end_boot_usec = USEC_NEVER, .end_wall_usec = USEC_NEVER};

        (void)state;
        v.data = secret_new_from("{}", 2);
        store_publish(st, s, &v);
        assert_int_equal(store_current(s)->number, 41);
        assert_null(store_current(s)->lease_id);
        assert_int_equal(publish(st, s, ""), 42);
        store_free(st);
}

static void only_what_changes_is_told(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct store_secret *s = store_add(st, &db, KIND_DYNAMIC, 1);

        (void)state;
        store_update_end(st, s, 5, true); /* nothing is there to end */
        store_lose(st, s, "Vault is sealed");
        assert_string_equal(store_reason(s), "Vault is sealed");
        publish(st, s, "l");
        store_update_end(st, s, 1000, false);
        store_update_end(st, s, 1000, false);
        store_update_end(st, s, 1000, true);
        store_set_config(st, s, &db);
        store_remove(st, s);
        assert_string_equal(seen.text, "db:new db:lease db:lease db:rights db:lost ");
        assert_null(store_find(st, "db"));
        store_unsubscribe(st, on_change, &seen);
        publish(st, store_add(st, &a, KIND_STATIC, 1), "");
        assert_string_equal(seen.text, "db:new db:lease db:lease db:rights db:lost ");
        store_free(st);
}

static void names_and_paths_are_found_in_order(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct store_secret *sz = store_add(st, &z, KIND_STATIC, 1), *sdb = store_add(st, &db, KIND_DYNAMIC, 1);
        struct store_secret *sa = store_add(st, &a, KIND_DYNAMIC, 1);
        struct config_secret moved = z;

        (void)state;
        assert_ptr_equal(store_next(st, NULL), sa);
        assert_ptr_equal(store_next(st, sa), sdb);
        assert_ptr_equal(store_next(st, sdb), sz);
        assert_null(store_next(st, sz));
        assert_ptr_equal(store_find(st, "db"), sdb);
        assert_null(store_find(st, "d"));
        assert_ptr_equal(store_next_at(st, path_db, NULL), sa);
        assert_ptr_equal(store_next_at(st, path_db, sa), sdb);
        assert_null(store_next_at(st, path_db, sdb));
        assert_null(store_next_at(st, "database/creds", NULL));
        moved.path = path_db;
        store_set_config(st, sz, &moved);
        assert_ptr_equal(store_next_at(st, path_db, sdb), sz);
        assert_null(store_next_at(st, path_other, NULL));
        store_free(st);
}

static void the_end_is_told_by_the_wall_clock(void **state)
{
        struct store_version v = {.end_boot_usec = USEC_NEVER, .end_wall_usec = USEC_NEVER};
        uint64_t now = clock_realtime_usec();

        (void)state;
        assert_true(store_expires_at(&v) == USEC_NEVER);
        v.end_wall_usec = 5000;
        assert_int_equal(store_expires_at(&v), 5000);
        v.end_wall_usec = USEC_NEVER;
        v.end_boot_usec = clock_boottime_usec() + 60 * USEC_PER_SEC;
        assert_in_range(store_expires_at(&v), now + 59 * USEC_PER_SEC, now + 62 * USEC_PER_SEC);
        v.end_boot_usec = 0; /* long ago */
        assert_true(store_expires_at(&v) < now);
}

/* Rule 3: at once when every read of n was a named consumer's and each has acknowledged a later version. */
static void replaced_goes_when_all_have_moved_on(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct store_secret *s = store_add(st, &db, KIND_DYNAMIC, 1);

        (void)state;
        publish(st, s, "l1");
        assert_int_equal(store_give(st, s, 1000, "x"), 0);
        assert_int_equal(store_give(st, s, 1000, "y"), 0);
        assert_int_equal(store_give(st, s, 1000, "x"), 0);
        assert_int_equal(seen.given, 2);
        assert_int_equal(store_ack(st, s, 1000, "x", 1), 0);
        publish(st, s, "l2");
        assert_false(store_all_moved_on(s, 1));
        store_give(st, s, 1000, "x");
        store_give(st, s, 1000, "y");
        assert_int_equal(store_ack(st, s, 1000, "x", 2), 0);
        assert_int_equal(store_ack(st, s, 1000, "x", 2), 0);
        assert_int_equal(seen.acked, 2);
        assert_false(store_all_moved_on(s, 1));
        assert_int_equal(store_ack(st, s, 2000, "y", 2), 1); /* another user's y */
        assert_int_equal(store_ack(st, s, 1000, "y", 3), 1);
        assert_int_equal(store_ack(st, s, 1000, "y", 2), 0);
        assert_true(store_all_moved_on(s, 1));
        store_free(st);
}

static void unnamed_reads_never_move_on(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct store_secret *s = store_add(st, &db, KIND_DYNAMIC, 1);
        cleanup_json json_t *holders = NULL;

        (void)state;
        publish(st, s, "l1");
        store_give(st, s, 1000, NULL);
        store_give(st, s, 1000, NULL);
        assert_int_equal(seen.given, 1);
        store_give(st, s, 1000, "x");
        publish(st, s, "l2");
        store_give(st, s, 1000, "x");
        store_ack(st, s, 1000, "x", 2);
        assert_false(store_all_moved_on(s, 1));
        holders = store_holders(s, 1);
        assert_int_equal(json_array_size(holders), 1);
        assert_string_equal(json_string_value(json_array_get(holders, 0)), "(unnamed)");
        store_free(st);
}

static void nobody_read_it_then_nobody_holds_it(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct store_secret *s = store_add(st, &db, KIND_DYNAMIC, 1);

        (void)state;
        publish(st, s, "l1");
        publish(st, s, "l2");
        assert_true(store_all_moved_on(s, 1));
        assert_false(store_all_moved_on(s, 99)); /* of that one nothing is known */
        store_free(st);
}

/* n+1 is gone and forgotten before n is: who took n+1 has left n all the same. */
static void an_acknowledgement_outlives_its_version(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct store_secret *s = store_add(st, &db, KIND_DYNAMIC, 1);

        (void)state;
        publish(st, s, "l1");
        store_give(st, s, 1000, "x");
        publish(st, s, "l2");
        store_give(st, s, 1000, "x");
        store_ack(st, s, 1000, "x", 2);
        publish(st, s, "l3");
        store_forget_version(s, 2);
        assert_true(store_all_moved_on(s, 1));
        assert_false(store_anyone_acked(s, 1));
        store_free(st);
}

static void acked_means_exactly_that_version(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct store_secret *s = store_add(st, &db, KIND_DYNAMIC, 1);

        (void)state;
        publish(st, s, "l1");
        store_give(st, s, 1000, "x");
        assert_false(store_anyone_acked(s, 1));
        store_ack(st, s, 1000, "x", 1);
        assert_true(store_anyone_acked(s, 1));
        publish(st, s, "l2");
        store_give(st, s, 1000, "x");
        assert_false(store_anyone_acked(s, 2));
        store_free(st);
}

static void reject_is_for_who_has_the_current_version(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct store_secret *s = store_add(st, &db, KIND_DYNAMIC, 1);

        (void)state;
        publish(st, s, "l1");
        assert_int_equal(store_reject(st, s, 1000, "x", 1, true), 1);
        store_give(st, s, 1000, "x");
        assert_int_equal(store_reject(st, s, 1000, "x", 1, true), 0);
        assert_int_equal(store_reject(st, s, 1000, "x", 1, false), 0);
        store_lose(st, s, "gone");
        assert_int_equal(store_reject(st, s, 1000, "x", 1, true), 1);
        assert_int_equal(seen.rejected, 2);
        assert_int_equal(seen.denied, 1);
        store_free(st);
}

static void a_user_has_64_consumers_over_all_secrets(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct store_secret *s = store_add(st, &db, KIND_DYNAMIC, 1), *other = store_add(st, &a, KIND_DYNAMIC, 1);
        struct consumer *holders[64], *holder = NULL;
        char id[16];

        (void)state;
        publish(st, s, "l1");
        publish(st, other, "m1");
        for (int i = 0; i < 64; i++) {
                snprintf(id, sizeof(id), "c%d", i);
                assert_int_equal(store_hold_consumer(st, 1000, id, &holders[i]), 0);
                assert_int_equal(store_give(st, i % 2 ? s : other, 1000, id), 0);
        }
        assert_int_equal(store_give(st, s, 1000, "more"), -ENOSPC);
        assert_int_equal(store_hold_consumer(st, 1000, "more", &holder), -ENOSPC);
        for (int i = 0; i < 64; i++)
                store_release_consumer(st, holders[i]);
        assert_int_equal(store_consumers(st), 64);
        assert_int_equal(store_give(st, s, 1000, "c0"), 0);
        assert_int_equal(store_give(st, s, 1001, "more"), 0);
        assert_int_equal(store_consumers(st), 65);
        /* who holds nothing any more makes room */
        publish(st, s, "l2");
        publish(st, other, "m2");
        store_forget_version(s, 1);
        assert_int_equal(store_consumers(st), 32);
        store_forget_version(other, 1);
        assert_int_equal(store_consumers(st), 0);
        store_free(st);
}

/* Names with a process's number in them: another with each start, and a secret that never changes. */
static void the_silent_make_room_and_keep_their_grace(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct store_secret *s = store_add(st, &db, KIND_DYNAMIC, 1), *info = store_add(st, &a, KIND_STATIC, 1);
        struct consumer *holder;
        char id[24];

        (void)state;
        publish(st, s, "l1");
        publish(st, info, NULL);
        assert_int_equal(store_hold_consumer(st, 1000, "stays", &holder), 0);
        assert_int_equal(store_give(st, info, 1000, "stays"), 0);
        assert_int_equal(store_give(st, s, 1000, "first"), 0);
        for (int i = 0; i < 1000; i++) {
                snprintf(id, sizeof(id), "host-%d", i);
                assert_int_equal(store_give(st, info, 1000, id), 0);
        }
        assert_int_equal(store_consumers(st), 64);
        assert_int_equal(store_ack(st, info, 1000, "stays", store_current(info)->number), 0);
        assert_int_equal(store_ack(st, info, 1000, "host-999", store_current(info)->number), 0);
        assert_int_equal(store_ack(st, s, 1000, "first", 1), 1);
        /* whoever "first" was: it may hold version 1 still */
        assert_true(store_read_unnamed(s, 1));
        publish(st, s, "l2");
        assert_false(store_all_moved_on(s, 1));
        store_release_consumer(st, holder);
        store_free(st);
}

static void an_open_stream_keeps_its_place(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct store_secret *s = store_add(st, &db, KIND_DYNAMIC, 1);
        struct consumer *holder = NULL;

        (void)state;
        assert_int_equal(store_hold_consumer(st, 1000, "x", &holder), 0);
        publish(st, s, "l1");
        store_give(st, s, 1000, "x");
        publish(st, s, "l2");
        store_forget_version(s, 1);
        assert_int_equal(store_consumers(st), 1);
        store_release_consumer(st, holder);
        assert_int_equal(store_consumers(st), 0);
        store_free(st);
}

/* Nobody will forget by name what has no lease: it goes by itself, one version late. */
static void versions_without_a_lease_are_forgotten_by_themselves(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct store_secret *s = store_add(st, &z, KIND_STATIC, 1);

        (void)state;
        publish(st, s, "");
        store_give(st, s, 1000, "x");
        publish(st, s, "");
        assert_int_equal(store_ack(st, s, 1000, "x", 1), 0); /* a late word is understood */
        publish(st, s, "");
        assert_int_equal(store_ack(st, s, 1000, "x", 1), 1);
        assert_int_equal(store_consumers(st), 0);
        store_free(st);
}

static void forgetting_the_current_version_changes_nothing(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct store_secret *s = store_add(st, &db, KIND_DYNAMIC, 1);

        (void)state;
        publish(st, s, "l1");
        store_give(st, s, 1000, "x");
        store_forget_version(s, 1);
        assert_int_equal(store_ack(st, s, 1000, "x", 1), 0);
        store_free(st);
}

/* Rule 10: consumers' acknowledgements are part of the state. */
static void readers_outlive_the_process(void **state)
{
        struct seen seen = {0};
        struct store *st = new_store(&seen), *next;
        struct store_secret *s = store_add(st, &db, KIND_DYNAMIC, 1);
        struct store_version v = {.number = 2, .end_boot_usec = USEC_NEVER, .end_wall_usec = USEC_NEVER};
        cleanup_json json_t *saved = NULL, *again = NULL;

        (void)state;
        publish(st, s, "l1");
        store_give(st, s, 1000, "x");
        store_give(st, s, 1000, "y");
        publish(st, s, "l2");
        store_give(st, s, 1000, "x");
        store_give(st, s, 1000, NULL);
        store_ack(st, s, 1000, "x", 2);
        saved = store_save_readers(s);
        store_free(st);

        next = new_store(&seen);
        s = store_add(next, &db, KIND_DYNAMIC, 1);
        store_load_readers(s, saved);
        v.data = secret_new_from("{}", 2);
        v.lease_id = mem_strdup("l2");
        store_publish(next, s, &v);
        again = store_save_readers(s);
        assert_true(json_equal(saved, again));
        assert_false(store_all_moved_on(s, 1));
        assert_true(store_anyone_acked(s, 2));
        store_give(next, s, 1000, "y");
        store_ack(next, s, 1000, "y", 2);
        assert_true(store_all_moved_on(s, 1));
        store_free(next);
}

static void damaged_readers_shorten_nothing(void **state)
{
        static const char *const damaged[] = {
                "{}",
                "[]",
                "{\"versions\":7,\"consumers\":7}",
                "{\"versions\":[[\"1\",false,true]],\"consumers\":[]}",
                "{\"versions\":[[1]],\"consumers\":[]}",
                "{\"versions\":[[1,false,true]]}",
                "{\"versions\":[[1,false,true]],\"consumers\":[7]}",
                "{\"versions\":[[1,false,true]],\"consumers\":[{\"uid\":1,\"id\":\"a\",\"acked\":9}]}",
                "{\"versions\":[[1,false,true]],\"consumers\":[{\"uid\":1,\"id\":\"a "
                "b\",\"acked\":9,\"given\":[[1,true]]}]}",
                "{\"versions\":[[1,false,true]],\"consumers\":[{\"uid\":-1,\"id\":\"a\",\"acked\":9,\"given\":[[1,true]"
                "]}]}",
                "{\"versions\":[[1,false,true]],\"consumers\":[{\"id\":\"a\",\"given\":[[1,true],[2],3]}]}",
        };

        (void)state;
        for (size_t i = 0; i < array_len(damaged); i++) {
                struct seen seen = {0};
                struct store *st = new_store(&seen);
                struct store_secret *s = store_add(st, &db, KIND_DYNAMIC, 1);
                char error[128];
                cleanup_json json_t *saved = json_read(damaged[i], strlen(damaged[i]), error, sizeof(error));

                assert_non_null(saved);
                store_load_readers(s, saved);
                if (store_all_moved_on(s, 1))
                        fail_msg("moved on after %s", damaged[i]);
                assert_int_equal(store_consumers(st), 0);
                store_free(st);
        }
}

static void ten_thousand_secrets(void **state)
{
        enum { MANY = 10000 };
        struct seen seen = {0};
        struct store *st = new_store(&seen);
        struct config_secret *configs = mem_array(MANY, sizeof(*configs));
        size_t n = 0;

        (void)state;
        store_unsubscribe(st, on_change, &seen);
        for (size_t i = 0; i < MANY; i++) {
                configs[i].name = mem_printf("secret-%zu", (i * 7919) % MANY);
                configs[i].path = path_db;
                publish(st, store_add(st, &configs[i], KIND_STATIC, 1), "");
        }
        for (struct store_secret *s = store_next(st, NULL); s; s = store_next(st, s))
                n++;
        assert_int_equal(n, MANY);
        assert_string_equal(store_name(store_find(st, "secret-4711")), "secret-4711");
        store_free(st);
        for (size_t i = 0; i < MANY; i++)
                mem_free(configs[i].name);
        mem_free(configs);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(versions_count_up_from_the_first),
                cmocka_unit_test(an_adopted_version_keeps_its_number),
                cmocka_unit_test(only_what_changes_is_told),
                cmocka_unit_test(names_and_paths_are_found_in_order),
                cmocka_unit_test(the_end_is_told_by_the_wall_clock),
                cmocka_unit_test(replaced_goes_when_all_have_moved_on),
                cmocka_unit_test(unnamed_reads_never_move_on),
                cmocka_unit_test(nobody_read_it_then_nobody_holds_it),
                cmocka_unit_test(an_acknowledgement_outlives_its_version),
                cmocka_unit_test(acked_means_exactly_that_version),
                cmocka_unit_test(reject_is_for_who_has_the_current_version),
                cmocka_unit_test(a_user_has_64_consumers_over_all_secrets),
                cmocka_unit_test(the_silent_make_room_and_keep_their_grace),
                cmocka_unit_test(an_open_stream_keeps_its_place),
                cmocka_unit_test(versions_without_a_lease_are_forgotten_by_themselves),
                cmocka_unit_test(forgetting_the_current_version_changes_nothing),
                cmocka_unit_test(readers_outlive_the_process),
                cmocka_unit_test(damaged_readers_shorten_nothing),
                cmocka_unit_test(ten_thousand_secrets),
        };

        return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}

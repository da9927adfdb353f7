/* tests/unit/test_output_file.c: files of secrets: whole, on memory, only when they differ, and gone when they should be. */
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

#include "agent/config.h"
#include "agent/output.h"
#include "agent/output_file_format.h"
#include "agent/store.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

#define CERTIFICATE                                                                                                    \
        "{\"ca_chain\":[\"CHAIN1\",\"CHAIN2\\n\"],\"certificate\":\"CERT\",\"issuing_ca\":\"CHAIN1\",\"private_key\":" \
        "\"KEY\\n\"}"

struct world {
        char folder[64];
        struct loop *loop;
        struct store *store;
        struct config_output outputs[3];
        struct config_secret secret;
        struct config config;
        struct store_secret *s;
        void *self;
};

static char name[] = "db", where[] = "test.hcl:1";

static void set_output(struct world *w, size_t i, const char *file, enum output_format format)
{
        mem_free(w->outputs[i].path);
        w->outputs[i] = (struct config_output){.path = mem_printf("%s/%s", w->folder, file), .format = format};
        w->outputs[i].uid = (uid_t)-1;
        w->outputs[i].gid = (gid_t)-1;
        w->outputs[i].mode = 0400;
        w->outputs[i].where = where;
        w->secret.outputs = w->outputs;
        w->secret.outputs_len = i + 1;
}

static void start(struct world *w)
{
        const struct output_context ctx = {w->loop, w->store, NULL, &w->config};

        assert_int_equal(output_file.start(&ctx, &w->self), 0);
}

static int world_new(void **state)
{
        static bool set_up;
        struct world *w = mem_new(sizeof(*w));

        if (!set_up) {
                json_setup();
                set_up = true;
        }
        strcpy(w->folder, "/dev/shm/leasekeeper-test-XXXXXX"); /* a tmpfs, as on every Linux */
        assert_non_null(mkdtemp(w->folder));
        w->loop = loop_new();
        w->store = store_new();
        w->secret.name = name;
        w->secret.path = name;
        w->secret.required = true;
        w->config.secrets = &w->secret;
        w->config.secrets_len = 1;
        w->s = store_add(w->store, &w->secret, KIND_DYNAMIC, 1);
        set_output(w, 0, "db.json", OUTPUT_JSON);
        *state = w;
        return 0;
}

static int world_free(void **state)
{
        struct world *w = *state;

        if (w->self)
                output_file.stop(w->self);
        store_free(w->store);
        loop_free(w->loop);
        for (size_t i = 0; i < array_len(w->outputs); i++) {
                if (w->outputs[i].path && w->outputs[i].is_directory)
                        fs_remove_directory(w->outputs[i].path);
                else if (w->outputs[i].path)
                        unlink(w->outputs[i].path);
                mem_free(w->outputs[i].path);
        }
        if (rmdir(w->folder) < 0)
                print_error("left behind in %s\n", w->folder);
        mem_free(w);
        return 0;
}

static void publish(struct world *w, const char *data)
{
        struct store_version v = {.end_boot_usec = USEC_NEVER, .end_wall_usec = USEC_NEVER};

        v.data = secret_new_from(data, strlen(data));
        v.lease_id = mem_strdup("lease");
        store_publish(w->store, w->s, &v);
}

static void assert_content(const struct world *w, const char *file, const char *expected)
{
        cleanup_free char *path = mem_printf("%s/%s", w->folder, file), *bytes = NULL;
        size_t len;

        assert_int_equal(fs_read_whole(path, 65536, &bytes, &len), 0);
        assert_string_equal(bytes, expected);
}

static bool exists(const struct world *w, const char *file)
{
        cleanup_free char *path = mem_printf("%s/%s", w->folder, file);

        return access(path, F_OK) == 0;
}

static ino_t inode(const struct world *w, const char *file)
{
        cleanup_free char *path = mem_printf("%s/%s", w->folder, file);
        struct stat st;

        assert_int_equal(stat(path, &st), 0);
        return st.st_ino;
}

static void on_moment(void *arg)
{
        loop_stop(arg);
}

static void turn(struct world *w)
{
        struct loop_timer *t = loop_timer_new(w->loop, on_moment, w->loop);

        loop_timer_in(t, 10000);
        loop_run(w->loop);
        loop_timer_free(t);
}

static void each_version_is_written(void **state)
{
        struct world *w = *state;
        struct stat st;

        start(w);
        assert_true(output_file.is_current(w->self)); /* there is nothing yet that could be written */
        publish(w, "{\"password\":\"p-1\"}");
        assert_content(w, "db.json", "{\"password\":\"p-1\"}\n");
        assert_int_equal(stat(w->outputs[0].path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0400);
        publish(w, "{\"password\":\"p-2\"}");
        assert_content(w, "db.json", "{\"password\":\"p-2\"}\n");
        assert_true(output_file.is_current(w->self));
        assert_false(store_all_moved_on(w->s, 1)); /* a file is a read without a name */
}

static void what_was_adopted_is_written_at_start(void **state)
{
        struct world *w = *state;

        publish(w, "{\"password\":\"p-1\"}");
        start(w);
        assert_content(w, "db.json", "{\"password\":\"p-1\"}\n");
}

static void the_same_content_is_not_written_again(void **state)
{
        struct world *w = *state;
        ino_t before;

        start(w);
        publish(w, "{\"password\":\"p-1\"}");
        before = inode(w, "db.json");
        publish(w, "{\"password\":\"p-1\"}");
        assert_int_equal(inode(w, "db.json"), before);
        publish(w, "{\"password\":\"p-2\"}");
        assert_int_not_equal(inode(w, "db.json"), before);
}

static void the_file_stays_when_a_version_is_lost(void **state)
{
        struct world *w = *state;

        start(w);
        publish(w, "{\"password\":\"p-1\"}");
        store_lose(w->store, w->s, "Vault is sealed");
        assert_true(exists(w, "db.json"));
}

static void the_file_goes_with_its_secret(void **state)
{
        struct world *w = *state;

        start(w);
        publish(w, "{\"password\":\"p-1\"}");
        store_remove(w->store, w->s);
        assert_false(exists(w, "db.json"));
}

static void the_file_goes_where_stopping_revokes(void **state)
{
        struct world *w = *state;

        start(w);
        publish(w, "{\"password\":\"p-1\"}");
        store_lose(w->store, w->s, STORE_STOPPING);
        assert_false(exists(w, "db.json"));
}

static void disks_are_refused_at_each_write(void **state)
{
        struct world *w = *state;
        char folder[] = "/var/tmp/leasekeeper-test-XXXXXX";
        bool memory = false;
        cleanup_free char *path = NULL;

        assert_non_null(mkdtemp(folder));
        assert_int_equal(fs_is_memory(folder, &memory), 0);
        path = mem_printf("%s/db.json", folder);
        mem_free(w->outputs[0].path);
        w->outputs[0].path = mem_strdup(path);
        if (!memory) {
                log_setup("test", LOG_LEVEL_ERROR, false);
                start(w);
                publish(w, "{\"password\":\"p-1\"}");
                assert_int_not_equal(access(path, F_OK), 0);
                assert_false(output_file.is_current(w->self));
                output_file.stop(w->self);
                w->outputs[0].allow_disk = true;
                start(w);
                assert_int_equal(access(path, F_OK), 0);
        }
        unlink(path);
        assert_int_equal(rmdir(folder), 0);
}

/* start NULL: there is none */
static void assert_trouble(const struct world *w, const char *start)
{
        cleanup_json json_t *reasons = json_array();
        const char *said;

        output_file.troubles(w->self, reasons);
        said = json_string_value(json_array_get(reasons, 0));
        assert_int_equal(json_array_size(reasons), start ? 1 : 0);
        if (start) {
                assert_int_equal(strncmp(said, start, strlen(start)), 0);
                assert_non_null(strstr(said, w->outputs[0].path));
        }
}

static void a_failed_write_is_tried_again(void **state)
{
        struct world *w = *state;
        uint64_t end = clock_monotonic_usec() + 10 * USEC_PER_SEC;

        assert_int_equal(mkdir(w->outputs[0].path, 0700), 0); /* in the way */
        start(w);
        publish(w, "{\"password\":\"p-1\"}");
        assert_false(output_file.is_current(w->self));
        assert_trouble(w, "db: writing ");
        assert_int_equal(rmdir(w->outputs[0].path), 0);
        while (!output_file.is_current(w->self) && clock_monotonic_usec() < end)
                turn(w);
        assert_trouble(w, NULL);
        assert_content(w, "db.json", "{\"password\":\"p-1\"}\n");
}

static void a_file_of_an_optional_secret_holds_nobody_back(void **state)
{
        struct world *w = *state;

        assert_int_equal(mkdir(w->outputs[0].path, 0700), 0); /* in the way */
        w->secret.required = false;
        start(w);
        publish(w, "{\"password\":\"p-1\"}");
        assert_true(output_file.is_current(w->self));
        assert_trouble(w, "db: writing ");
        assert_int_equal(rmdir(w->outputs[0].path), 0);
}

static void missing_folders_are_made(void **state)
{
        struct world *w = *state;
        cleanup_free char *folder = mem_printf("%s/out", w->folder);

        set_output(w, 0, "out/db.json", OUTPUT_JSON);
        start(w);
        publish(w, "{\"a\":1}");
        assert_content(w, "out/db.json", "{\"a\":1}\n");
        store_remove(w->store, w->s);
        assert_int_equal(rmdir(folder), 0);
}

static void reload_adds_moves_and_removes_files(void **state)
{
        struct world *w = *state;
        struct config_output both[2];
        struct config_secret changed = w->secret;
        struct config config = w->config;
        struct stat st;

        start(w);
        publish(w, "{\"a\":1}");
        both[0] = w->outputs[0];
        both[0].mode = 0440;
        both[1] = w->outputs[0];
        both[1].path = mem_printf("%s/db.env", w->folder);
        both[1].format = OUTPUT_ENV;
        changed.outputs = both;
        changed.outputs_len = 2;
        config.secrets = &changed;
        store_set_config(w->store, w->s, &changed);
        output_file.reconfigure(w->self, &config);
        assert_content(w, "db.env", "A=\"1\"\n");
        assert_int_equal(stat(w->outputs[0].path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0440);
        store_set_config(w->store, w->s, &w->secret);
        output_file.reconfigure(w->self, &w->config);
        assert_false(exists(w, "db.env"));
        assert_true(exists(w, "db.json"));
        mem_free(both[1].path);
}

static void pem_bundles_hold_key_certificate_chain(void **state)
{
        struct world *w = *state;

        set_output(w, 0, "tls.pem", OUTPUT_PEM);
        start(w);
        publish(w, CERTIFICATE);
        assert_content(w, "tls.pem", "KEY\nCERT\nCHAIN1\nCHAIN2\n");
}

static void directories_are_swapped_as_a_whole(void **state)
{
        struct world *w = *state;
        char target[2][64] = {"", ""}, text[16];
        int old_fd, old_key;

        set_output(w, 0, "tls", OUTPUT_PEM);
        w->outputs[0].is_directory = true;
        w->outputs[0].mode = 0500;
        start(w);
        publish(w, CERTIFICATE);
        assert_content(w, "tls/cert.pem", "CERT\nCHAIN1\nCHAIN2\n");
        assert_content(w, "tls/key.pem", "KEY\n");
        assert_content(w, "tls/ca.pem", "CHAIN1\nCHAIN2\n");
        assert_true(readlink(w->outputs[0].path, target[0], sizeof(target[0]) - 1) > 0);
        publish(w, CERTIFICATE); /* the same: nothing is touched */
        assert_true(readlink(w->outputs[0].path, target[1], sizeof(target[1]) - 1) > 0);
        assert_string_equal(target[0], target[1]);
        old_fd = open(w->outputs[0].path, O_RDONLY | O_DIRECTORY);
        publish(w, "{\"certificate\":\"CERT2\",\"private_key\":\"KEY2\",\"issuing_ca\":\"CA2\"}");
        assert_content(w, "tls/cert.pem", "CERT2\nCA2\n");
        assert_content(w, "tls/key.pem", "KEY2\n");
        /* whoever opened the folder before finds the old pair, never a mix */
        old_key = openat(old_fd, "key.pem", O_RDONLY);
        assert_int_equal(read(old_key, text, sizeof(text)), 4);
        assert_memory_equal(text, "KEY\n", 4);
        close(old_key);
        close(old_fd);
        store_remove(w->store, w->s);
        assert_false(exists(w, "tls"));
}

static void pem_of_something_else_is_an_error(void **state)
{
        struct world *w = *state;

        set_output(w, 0, "tls.pem", OUTPUT_PEM);
        start(w);
        publish(w, "{\"password\":\"p-1\"}");
        assert_false(exists(w, "tls.pem"));
        assert_false(output_file.is_current(w->self));
}

/* --- environment files --- */

static char *format_env(const char *data, char **ret_error)
{
        cleanup_secret struct secret *in = secret_new_from(data, strlen(data)), *out = NULL;

        *ret_error = NULL;
        if (output_format_file(OUTPUT_ENV, in, &out, ret_error) < 0)
                return NULL;
        return mem_strndup(secret_bytes(out), secret_len(out));
}

static void env_names_are_upper_case_and_legal(void **state)
{
        char *error;
        cleanup_free char *text = format_env("{\"1st\":true,\"user-name\":\"u\",\"port\":3306,\"none\":null}", &error);

        (void)state;
        assert_string_equal(text, "_1ST=\"true\"\nUSER_NAME=\"u\"\nPORT=\"3306\"\nNONE=\"\"\n");
}

/* What sh makes of the line is what was in the secret. */
static void env_values_survive_the_shell(void **state)
{
        struct world *w = *state;
        const char *value = "-p'a\"s\\s`w$o{r}d! #~ \\\\ $HOME *";
        cleanup_json json_t *obj = json_pack("{s:s}", "password", value);
        cleanup_free char *data = json_write(obj, false), *error = NULL, *text = format_env(data, &error), *out = NULL,
                          *command = NULL;
        size_t len;

        set_output(w, 0, "db.env", OUTPUT_ENV);
        start(w);
        publish(w, data);
        assert_non_null(text);
        command = mem_printf("set -eu; . %s/db.env; printf %%s \"$PASSWORD\" > %s/out", w->folder, w->folder);
        assert_int_equal(system(command), 0);
        command = mem_free(command);
        command = mem_printf("%s/out", w->folder);
        assert_int_equal(fs_read_whole(command, 1000, &out, &len), 0);
        assert_string_equal(out, value);
        unlink(command);
}

static void env_refuses_line_breaks_and_clashes(void **state)
{
        char *error = NULL;

        (void)state;
        assert_null(format_env("{\"pem\":\"a\\nb\"}", &error));
        assert_non_null(strstr(error, "PEM holds a line break"));
        assert_null(strstr(error, "a\nb"));
        mem_free(error);
        assert_null(format_env("{\"a-b\":\"1\",\"a_b\":\"2\"}", &error));
        assert_non_null(strstr(error, "two keys become the variable A_B"));
        mem_free(error);
}

#define T(test) cmocka_unit_test_setup_teardown(test, world_new, world_free)

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(each_version_is_written),
                T(what_was_adopted_is_written_at_start),
                T(the_same_content_is_not_written_again),
                T(the_file_stays_when_a_version_is_lost),
                T(the_file_goes_with_its_secret),
                T(the_file_goes_where_stopping_revokes),
                T(disks_are_refused_at_each_write),
                T(a_failed_write_is_tried_again),
                T(a_file_of_an_optional_secret_holds_nobody_back),
                T(missing_folders_are_made),
                T(reload_adds_moves_and_removes_files),
                T(pem_bundles_hold_key_certificate_chain),
                T(directories_are_swapped_as_a_whole),
                T(pem_of_something_else_is_an_error),
                cmocka_unit_test(env_names_are_upper_case_and_legal),
                T(env_values_survive_the_shell),
                cmocka_unit_test(env_refuses_line_breaks_and_clashes),
        };

        return cmocka_run_group_tests_name("output_file", tests, NULL, NULL);
}

/*
 * tests/unit/test_config.c: each fixture of tests/unit/config gives the findings that its own comments expect, HCL and JSON
 * mean the same, and what the machine is asked is asked with CONFIG_FULL alone.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/config.h"
#include "common/buf.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/unixsock.h"

#define DIR_NAME "tests/unit/config"
#define BASE     DIR_NAME "/base.hcl"

static void clear_environment(void)
{
        static const char *const names[] = {"ADDR",        "CACERT",          "CAPATH",     "CLIENT_CERT",
                                            "CLIENT_KEY",  "TLS_SERVER_NAME", "NAMESPACE",  "PROXY_ADDR",
                                            "SKIP_VERIFY", "CLIENT_TIMEOUT",  "RATE_LIMIT", "HTTP_PROXY",
                                            "TOKEN"};
        static const char *const proxies[] = {"https_proxy", "HTTPS_PROXY", "http_proxy",
                                              "HTTP_PROXY",  "all_proxy",   "ALL_PROXY"};

        for (size_t i = 0; i < array_len(names); i++) {
                cleanup_free char *vault = mem_printf("VAULT_%s", names[i]), *bao = mem_printf("BAO_%s", names[i]);

                unsetenv(vault);
                unsetenv(bao);
        }
        for (size_t i = 0; i < array_len(proxies); i++)
                unsetenv(proxies[i]);
        unsetenv("RUNTIME_DIRECTORY");
}

static void print_findings(const struct config_findings *f)
{
        for (size_t i = 0; i < f->len; i++)
                print_message("        %s: %s\n", f->items[i].is_warning ? "warning" : "error", f->items[i].text);
}

static size_t count_findings(const struct config_findings *f, bool is_warning)
{
        size_t count = 0;

        for (size_t i = 0; i < f->len; i++)
                count += f->items[i].is_warning == is_warning;
        return count;
}

static bool has_finding(const struct config_findings *f, bool is_warning, const char *start, const char *part)
{
        for (size_t i = 0; i < f->len; i++)
                if (f->items[i].is_warning == is_warning && strncmp(f->items[i].text, start, strlen(start)) == 0 &&
                    strstr(f->items[i].text, part))
                        return true;
        return false;
}

/* --- what a configuration says, as text --- */

static void dump_list(struct buf *b, const char *name, char *const *list)
{
        buf_printf(b, " %s=", name);
        for (; list && *list; list++)
                buf_printf(b, "[%s]", *list);
}

static const char *or_none(const char *text)
{
        return text ? text : "-";
}

static void dump_secret(struct buf *b, const struct config_secret *s)
{
        buf_printf(b,
                   "secret %s %s cert=%d grace=%" PRIu64 " refresh=%" PRIu64 " verify=%" PRIu64
                   " burst=%u required=%d\n",
                   s->name, s->path, s->is_certificate, s->grace_usec, s->refresh_usec, s->verify_usec, s->mint_burst,
                   s->required);
        if (s->is_certificate) {
                buf_printf(b, "  sign=%d cn=%s ttl=%" PRIu64 " key=%s", s->certificate->sign,
                           or_none(s->certificate->common_name), s->certificate->ttl_usec,
                           config_key_type_text(s->certificate->key_type));
                dump_list(b, "alt", s->certificate->alt_names);
                dump_list(b, "ip", s->certificate->ip_sans);
                dump_list(b, "uri", s->certificate->uri_sans);
                buf_char(b, '\n');
        }
        for (size_t i = 0; i < s->allow_len; i++)
                buf_printf(b, "  allow %d %u %d %u\n", s->allow[i].has_uid, s->allow[i].uid, s->allow[i].has_gid,
                           s->allow[i].gid);
        for (size_t i = 0; i < s->outputs_len; i++) {
                const struct config_output *o = &s->outputs[i];

                buf_printf(b, "  %s %s format=%d uid=%u gid=%u mode=%o disk=%d\n",
                           o->is_directory ? "directory" : "file", o->path, (int)o->format, o->uid, o->gid,
                           (unsigned)o->mode, o->allow_disk);
        }
}

static char *dump(const struct config *c)
{
        cleanup_buf struct buf b = BUF_INIT;
        const struct config_vault *v = &c->vault;
        const struct config_auth *a = &c->auth;

        buf_printf(&b,
                   "vault %s ca=%s path=%s cert=%s key=%s name=%s ns=%s proxy=%s skip=%d timeout=%" PRIu64
                   " rate=%g burst=%g\n",
                   v->address, or_none(v->ca_cert), or_none(v->ca_path), or_none(v->client_cert),
                   or_none(v->client_key), or_none(v->tls_server_name), or_none(v->namespace_), or_none(v->proxy),
                   v->skip_verify, v->timeout_usec, v->rate_limit, v->rate_burst);
        buf_printf(&b, "auth %s %s role=%s secret=%s wrap=%s remove=%d token=%s\n", config_auth_method_text(a->method),
                   a->mount_path, or_none(a->role_id_file_path), or_none(a->secret_id_file_path),
                   or_none(a->secret_id_response_wrapping_path), a->remove_secret_id_file_after_reading,
                   or_none(a->token_file_path));
        for (size_t i = 0; i < c->listeners_len; i++) {
                const struct config_listener *l = &c->listeners[i];

                buf_printf(&b, "listener %s unix=%d metrics=%d mode=%o user=%s group=%s uid=%u gid=%u\n", l->address,
                           l->is_unix, l->metrics_only, (unsigned)l->socket_mode, or_none(l->socket_user),
                           or_none(l->socket_group), l->socket_uid, l->socket_gid);
        }
        for (size_t i = 0; i < c->secrets_len; i++)
                dump_secret(&b, &c->secrets[i]);
        buf_printf(&b, "operators %d %u revoke=%d rotate=%d state=%s\n", c->has_operators_gid, c->operators_gid,
                   c->revoke_on_stop, c->rotate_on_hup, c->state_dir);
        return buf_take(&b);
}

static char *load_and_dump(const char *path)
{
        struct config_findings f;
        struct config *c = config_load(&path, 1, CONFIG_SYNTAX, &f);
        char *text;

        if (!c)
                print_findings(&f);
        assert_non_null(c);
        text = dump(c);
        config_free(c);
        config_findings_done(&f);
        return text;
}

/* --- the fixtures: one test each --- */

/* "# expect error 12: text" at the head of the file. Returns how many were met. */
static size_t check_expectations(const char *path, const char *text, const struct config_findings *f)
{
        size_t met = 0;

        for (const char *line = text; line && strncmp(line, "# expect ", 9) == 0;) {
                const char *end = strchr(line, '\n');
                bool is_warning = strncmp(line + 9, "warning ", 8) == 0;
                const char *number = strchr(line + 9, ' ') + 1, *wanted = strchr(number, ':') + 2;
                cleanup_free char *start = mem_printf("%s:%.*s", path, (int)(wanted - 1 - number), number);
                cleanup_free char *part = mem_strndup(wanted, (size_t)(end - wanted));

                if (has_finding(f, is_warning, start, part)) {
                        met++;
                } else {
                        print_findings(f);
                        fail_msg("%s: no %s \"%s\" that begins with \"%s\"", path, is_warning ? "warning" : "error",
                                 part, start);
                }
                line = end + 1;
        }
        return met;
}

static void fixture(void **state)
{
        const char *name = *state;
        cleanup_free char *path = mem_printf(DIR_NAME "/%s", name), *text = NULL;
        const char *paths[] = {BASE, path};
        bool is_alone = strncmp(name, "alone-", 6) == 0 || strcmp(name, "base.hcl") == 0;
        struct config_findings f;
        struct config *c;
        size_t len;

        clear_environment();
        assert_int_equal(fs_read_whole(path, 1 << 20, &text, &len), 0);
        c = config_load(is_alone ? &paths[1] : paths, is_alone ? 1 : 2, CONFIG_SYNTAX, &f);
        if (check_expectations(path, text, &f) != f.len) {
                print_findings(&f);
                fail_msg("%s: more findings than it expects", path);
        }
        assert_int_equal(c == NULL, count_findings(&f, false) > 0);
        config_free(c);
        config_findings_done(&f);
}

/* --- more than findings --- */

static void json_and_hcl_mean_the_same(void **state)
{
        cleanup_free char *hcl = NULL, *json = NULL;

        (void)state;
        clear_environment();
        hcl = load_and_dump(DIR_NAME "/alone-design.hcl");
        json = load_and_dump(DIR_NAME "/alone-design.json");
        assert_string_equal(hcl, json);
}

static void label_and_type_mean_the_same(void **state)
{
        cleanup_free char *label = NULL, *type = NULL;

        (void)state;
        clear_environment();
        label = load_and_dump(DIR_NAME "/alone-method-label.hcl");
        type = load_and_dump(DIR_NAME "/alone-method-type.hcl");
        assert_string_equal(label, type);
        assert_non_null(strstr(
                label, "auth approle auth/team role=/etc/leasekeeper/role-id secret=/run/leasekeeper/secret-id wrap=- "
                       "remove=1 token=-\n"));
        assert_non_null(strstr(label, " ns=org/team "));
}

static void the_example_means_what_it_says(void **state)
{
        cleanup_free char *text = NULL;

        (void)state;
        clear_environment();
        text = load_and_dump(DIR_NAME "/alone-design.hcl");
        assert_string_equal(
                text, "vault https://127.0.0.1:8200 ca=/etc/leasekeeper/vault-ca.pem path=- cert=- key=- name=- ns=- "
                      "proxy=- skip=0 "
                      "timeout=60000000 rate=100 burst=200\n"
                      "auth approle auth/approle role=/etc/leasekeeper/role-id secret=/run/leasekeeper/secret-id "
                      "wrap=auth/approle/role/notes/secret-id remove=1 token=-\n"
                      "listener /run/leasekeeper/agent.sock unix=1 metrics=0 mode=660 user=- group=1600 uid=4294967295 "
                      "gid=1600\n"
                      "listener 127.0.0.1:8201 unix=0 metrics=1 mode=0 user=- group=- uid=4294967295 "
                      "gid=4294967295\n"
                      "secret db database/creds/notes cert=0 grace=30000000 refresh=300000000 "
                      "verify=18446744073709551615 burst=3 "
                      "required=1\n"
                      "  allow 1 1500 0 4294967295\n"
                      "  file /run/leasekeeper/out/db.env format=1 uid=4294967295 gid=1600 mode=440 disk=0\n"
                      "secret dbinfo kv/notes/dbinfo cert=0 grace=30000000 refresh=300000000 "
                      "verify=18446744073709551615 burst=3 "
                      "required=1\n"
                      "  allow 1 1500 0 4294967295\n"
                      "secret tls pki_int/sign/notes cert=1 grace=30000000 refresh=300000000 "
                      "verify=18446744073709551615 burst=3 "
                      "required=1\n"
                      "  sign=1 cn=notes.localhost ttl=86400000000 key=ec-p256 alt=[localhost] ip=[127.0.0.1] uri=\n"
                      "  allow 1 1500 0 4294967295\n"
                      "  file /run/leasekeeper/out/tls.pem format=2 uid=4294967295 gid=1600 mode=440 disk=0\n"
                      "  directory /run/leasekeeper/out/tls format=2 uid=4294967295 gid=1600 mode=550 disk=0\n"
                      "operators 1 4 revoke=0 rotate=1 state=/run/leasekeeper/state\n");
}

static void what_is_left_out_has_its_default(void **state)
{
        cleanup_free char *text = NULL;

        (void)state;
        clear_environment();
        setenv("RUNTIME_DIRECTORY", "/run/lk:/run/other", 1);
        text = load_and_dump(DIR_NAME "/base.hcl");
        assert_non_null(strstr(text, "rotate=1 state=/run/lk/state\n"));
        assert_non_null(strstr(text, " mode=660 user=- group=- uid=4294967295 gid=4294967295\n"));
        assert_non_null(strstr(text, "burst=3 required=1\n"));
        unsetenv("RUNTIME_DIRECTORY");
}

/* A folder's files go in byte order; the last vault and auto_auth stand, listeners and secrets add up. */
static void later_files_win_and_lists_add_up(void **state)
{
        cleanup_free char *text = NULL;

        (void)state;
        clear_environment();
        text = load_and_dump(DIR_NAME "/dir-merge");
        assert_non_null(strstr(text, "vault https://10.0.0.2:8200 ca=- "));
        assert_non_null(strstr(text, "auth token_file auth/token role=- "));
        assert_non_null(strstr(text, "listener /run/one.sock "));
        assert_non_null(strstr(text, "listener /run/two.sock "));
        assert_non_null(strstr(text, "secret one kv/one "));
        assert_non_null(strstr(text, "secret two kv/two "));
        assert_non_null(strstr(text, "  allow 1 2 0 4294967295\n  allow 0 4294967295 1 3\n"));
        assert_non_null(strstr(text, "rotate=0 "));
}

static void the_example_that_is_shipped_checks(void **state)
{
        const char *path = "systemd/leasekeeperd.hcl.example";
        struct config_findings f;
        struct config *c;

        (void)state;
        clear_environment();
        c = config_load(&path, 1, CONFIG_SYNTAX, &f);
        print_findings(&f);
        assert_non_null(c);
        assert_int_equal(f.len, 0);
        config_free(c);
        config_findings_done(&f);
}

static void a_missing_file_is_a_finding(void **state)
{
        const char *paths[] = {DIR_NAME "/not-there.hcl", DIR_NAME "/syntax.hcl",
                               "tests/unit/config/../../fakes-not-there"};
        struct config_findings f;

        (void)state;
        assert_null(config_load(paths, 3, CONFIG_SYNTAX, &f));
        assert_int_equal(f.len, 3);
        assert_string_equal(f.items[0].text,
                            DIR_NAME "/not-there.hcl:1: reading the configuration failed: No such file or directory; "
                                     "correct the path, or its rights");
        config_findings_done(&f);
        assert_null(config_load(NULL, 0, CONFIG_SYNTAX, &f));
        assert_int_equal(f.len, 1);
        config_findings_done(&f);
}

static struct config *load_base(struct config_findings *ret_f)
{
        const char *path = BASE;

        return config_load(&path, 1, CONFIG_SYNTAX, ret_f);
}

static void the_environment_wins_and_says_so(void **state)
{
        struct config_findings f;
        struct config *c;

        (void)state;
        clear_environment();
        setenv("VAULT_ADDR", "https://10.1.1.1:8200/", 1);
        setenv("VAULT_CACERT", "/etc/env-ca.pem", 1);
        setenv("VAULT_NAMESPACE", "team", 1);
        setenv("BAO_NAMESPACE", "bao-team", 1);
        setenv("VAULT_CLIENT_TIMEOUT", "7s", 1);
        setenv("VAULT_RATE_LIMIT", "10:15", 1);
        setenv("VAULT_SKIP_VERIFY", "true", 1);
        setenv("VAULT_TOKEN", "never read", 1);
        setenv("https_proxy", "http://10.0.0.9:3128", 1);
        c = load_base(&f);
        assert_non_null(c);
        assert_string_equal(c->vault.address, "https://10.1.1.1:8200");
        assert_string_equal(c->vault.ca_cert, "/etc/env-ca.pem");
        assert_string_equal(c->vault.namespace_, "bao-team");
        assert_int_equal(c->vault.timeout_usec, 7 * USEC_PER_SEC);
        assert_true(c->vault.rate_limit == 10 && c->vault.rate_burst == 15);
        assert_true(c->vault.skip_verify);
        assert_null(c->vault.proxy);
        assert_int_equal(f.len, 4);
        assert_true(has_finding(&f, true, "environment:1: VAULT_ADDR overrides vault.address", "unset it"));
        assert_true(has_finding(&f, true, "environment:1: https_proxy is ignored", "VAULT_PROXY_ADDR"));
        assert_true(has_finding(&f, true, "environment:1: VAULT_TOKEN is ignored", "auto_auth"));
        assert_true(has_finding(&f, true, "environment:1: tls_skip_verify", ""));
        for (size_t i = 0; i < f.len; i++)
                assert_null(strstr(f.items[i].text, "never read"));
        config_free(c);
        config_findings_done(&f);

        setenv("VAULT_PROXY_ADDR", "http://10.0.0.9:3128", 1);
        c = load_base(&f);
        assert_non_null(c);
        assert_string_equal(c->vault.proxy, "http://10.0.0.9:3128");
        assert_false(has_finding(&f, true, "environment:1: https_proxy", ""));
        config_free(c);
        config_findings_done(&f);
        clear_environment();
}

static void a_broken_environment_is_a_finding(void **state)
{
        static const struct {
                const char *name, *value;
        } cases[] = {
                {"VAULT_ADDR", "127.0.0.1:8200"}, {"VAULT_SKIP_VERIFY", "perhaps"}, {"VAULT_CLIENT_TIMEOUT", "0"},
                {"VAULT_RATE_LIMIT", "ten"},      {"VAULT_RATE_LIMIT", "10:"},      {"VAULT_RATE_LIMIT", "10:0"},
                {"VAULT_CLIENT_KEY", "/etc/key"}, {"VAULT_NAMESPACE", "\xff"},
        };

        (void)state;
        for (size_t i = 0; i < array_len(cases); i++) {
                struct config_findings f;

                clear_environment();
                setenv(cases[i].name, cases[i].value, 1);
                assert_null(load_base(&f));
                assert_int_equal(count_findings(&f, false), 1);
                assert_true(has_finding(&f, false, "environment:1: ", "; "));
                config_findings_done(&f);
        }
        clear_environment();
}

/* --- CONFIG_FULL: what the machine is asked --- */

#define AGENT_UID 64003

struct scene {
        char *memory, *disk; /* folders: on tmpfs, and not */
};

static struct config *load_text(const char *folder, enum config_depth depth, struct config_findings *ret_f,
                                const char *text)
{
        cleanup_free char *path = mem_printf("%s/agent.hcl", folder);
        const char *paths[] = {path};
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
        return config_load(paths, 1, depth, ret_f);
}

static void write_file(const char *folder, const char *name, const char *text, mode_t mode)
{
        cleanup_free char *path = mem_printf("%s/%s", folder, name);
        struct fs_owner owner = {(uid_t)-1, (gid_t)-1, mode};

        assert_int_equal(fs_write_whole(path, text, strlen(text), &owner), 0);
}

static int scene_up(void **state)
{
        struct scene *s = mem_new(sizeof(*s));
        bool is_memory = false;

        s->memory = mem_strdup("/dev/shm/leasekeeper-test-XXXXXX");
        s->disk = mem_strdup("/var/tmp/leasekeeper-test-XXXXXX");
        assert_non_null(mkdtemp(s->memory));
        assert_non_null(mkdtemp(s->disk));
        assert_int_equal(fs_is_memory(s->disk, &is_memory), 0);
        clear_environment();
        *state = s;
        return is_memory; /* a machine whose disk is a tmpfs cannot show the difference */
}

static void remove_folder(const char *path)
{
        static const char *const names[] = {"agent.hcl", "role", "secret", "token", "empty", "text", "cert"};

        for (size_t i = 0; i < array_len(names); i++) {
                cleanup_free char *file = mem_printf("%s/%s", path, names[i]);

                unlink(file);
        }
        rmdir(path);
}

/* Root may do all: what is refused to an agent shows under a user id of its own, until scene_down(). */
static void become_an_agent(const struct scene *s)
{
        if (getuid() != 0)
                return;
        assert_int_equal(chown(s->memory, AGENT_UID, AGENT_UID), 0);
        assert_int_equal(setgroups(0, NULL), 0);
        assert_int_equal(setresgid(AGENT_UID, AGENT_UID, 0), 0);
        assert_int_equal(setresuid(AGENT_UID, AGENT_UID, 0), 0);
}

static int scene_down(void **state)
{
        struct scene *s = *state;

        if (setresuid(0, 0, 0) == 0 && setresgid(0, 0, 0) < 0)
                return -1;
        remove_folder(s->memory);
        remove_folder(s->disk);
        mem_free(s->memory);
        mem_free(s->disk);
        mem_free(s);
        return 0;
}

static void users_and_groups_must_exist(void **state)
{
        struct scene *s = *state;
        struct config_findings f;
        struct config *c;
        cleanup_free char *text =
                mem_printf("auto_auth { method \"token_file\" { config { token_file_path = \"%s/token\" } } }\n"
                           "listener \"unix\" { address = \"%s/a.sock\" socket_group = \"no-such-group\" }\n"
                           "secret \"db\" { path = \"kv/x\" allow { user = \"no-such-user\" group = \"root\" }\n"
                           "  allow { user = \"root\" } allow { user = 4000000 } }\n"
                           "state_dir = \"%s/state\"\n",
                           s->memory, s->memory, s->memory);

        write_file(s->memory, "token", "x", 0400);
        assert_null(load_text(s->memory, CONFIG_FULL, &f, text));
        assert_int_equal(f.len, 2);
        assert_non_null(strstr(f.items[0].text,
                               "agent.hcl:2: there is no group \"no-such-group\"; create it, or write its number"));
        assert_non_null(strstr(f.items[1].text,
                               "agent.hcl:3: there is no user \"no-such-user\"; create it, or write its number"));
        config_findings_done(&f);

        c = load_text(s->memory, CONFIG_SYNTAX, &f, text);
        assert_non_null(c);
        assert_int_equal(f.len, 0);
        config_free(c);
        config_findings_done(&f);
}

static void names_become_numbers(void **state)
{
        struct scene *s = *state;
        struct config_findings f;
        struct config *c;
        cleanup_free char *text =
                mem_printf("auto_auth { method \"token_file\" { config { token_file_path = \"%s/token\" } } }\n"
                           "listener \"unix\" { address = \"%s/a.sock\" }\n"
                           "secret \"db\" { path = \"kv/x\" allow { user = \"root\" group = \"root\" } }\n"
                           "state_dir = \"%s/state\" operators { group = \"root\" }\n",
                           s->memory, s->memory, s->memory);

        write_file(s->memory, "token", "x", 0400);
        c = load_text(s->memory, CONFIG_FULL, &f, text);
        print_findings(&f);
        assert_non_null(c);
        assert_true(c->secrets[0].allow[0].has_uid && c->secrets[0].allow[0].has_gid);
        assert_int_equal(c->secrets[0].allow[0].uid, 0);
        assert_int_equal(c->secrets[0].allow[0].gid, 0);
        assert_true(c->has_operators_gid);
        assert_int_equal(c->operators_gid, 0);
        assert_int_equal(f.len, 0);
        config_free(c);
        config_findings_done(&f);
}

static void disk_is_refused_unless_allowed(void **state)
{
        struct scene *s = *state;
        struct config_findings f;
        cleanup_free char *text =
                mem_printf("auto_auth { method \"token_file\" { config { token_file_path = \"%s/token\" } } }\n"
                           "secret \"db\" { path = \"kv/x\"\n"
                           "  file \"%s/a\" { }\n"
                           "  file \"%s/b\" { allow_disk = true }\n"
                           "  file \"%s/c\" { }\n"
                           "}\n"
                           "state_dir = \"%s/state\"\n",
                           s->memory, s->disk, s->disk, s->memory, s->disk);

        write_file(s->memory, "token", "x", 0400);
        assert_null(load_text(s->memory, CONFIG_FULL, &f, text));
        print_findings(&f);
        assert_int_equal(f.len, 2);
        assert_non_null(strstr(f.items[0].text, "agent.hcl:3: file \""));
        assert_non_null(strstr(f.items[0].text,
                               "does not lie on tmpfs or ramfs; move it below /run, or set allow_disk = true in it"));
        assert_non_null(strstr(f.items[1].text, "agent.hcl:7: state_dir "));
        config_findings_done(&f);
        config_free(load_text(s->memory, CONFIG_SYNTAX, &f, text));
        assert_int_equal(f.len, 0);
        config_findings_done(&f);
}

static void credential_files_are_looked_at(void **state)
{
        struct scene *s = *state;
        struct config_findings f;
        cleanup_free char *text = mem_printf("auto_auth { method \"approle\" { config {\n"
                                             "  role_id_file_path = \"%s/role\"\n"
                                             "  secret_id_file_path = \"%s/secret\"\n"
                                             "} } }\n"
                                             "secret \"db\" { path = \"kv/x\" file \"%s/c\" { } }\n"
                                             "state_dir = \"%s/state\"\n",
                                             s->memory, s->memory, s->memory, s->memory);
        struct config *c;

        assert_null(load_text(s->memory, CONFIG_FULL, &f, text));
        assert_int_equal(f.len, 2);
        assert_true(!f.items[0].is_warning && strstr(f.items[0].text, "agent.hcl:2: role_id_file_path "));
        assert_true(f.items[1].is_warning && strstr(f.items[1].text, "agent.hcl:3: secret_id_file_path "));
        config_findings_done(&f);

        write_file(s->memory, "role", "", 0400);
        assert_null(load_text(s->memory, CONFIG_FULL, &f, text));
        assert_non_null(strstr(f.items[0].text, "is empty"));
        config_findings_done(&f);

        write_file(s->memory, "role", "r", 0444);
        write_file(s->memory, "secret", "s", 0644);
        c = load_text(s->memory, CONFIG_FULL, &f, text);
        assert_non_null(c);
        assert_int_equal(f.len, 2);
        assert_non_null(strstr(f.items[1].text, "can be read by every user; chmod 0400 it"));
        config_free(c);
        config_findings_done(&f);
}

/* A configuration that is good but for `more`, which begins at line 3; "@" is the folder in memory. */
static char *with(const struct scene *s, const char *state_dir, const char *more)
{
        cleanup_free char *text =
                mem_printf("auto_auth { method \"token_file\" { config { token_file_path = \"@/token\" } } }\n"
                           "secret \"db\" { path = \"kv/x\" file \"@/c\" { } } state_dir = \"%s\"\n"
                           "%s\n",
                           state_dir, more);
        struct buf b = BUF_INIT;

        for (const char *p = text; *p; p++) {
                if (*p == '@')
                        buf_printf(&b, "%s", s->memory);
                else
                        buf_char(&b, *p);
        }
        return buf_take(&b);
}

/* What a start would fail at is one finding, and none where the machine is not asked. */
static void refuses(const struct scene *s, const char *state_dir, const char *more, const char *part)
{
        cleanup_free char *text = with(s, state_dir, more), *start = mem_printf("%s/agent.hcl:", s->memory);
        struct config_findings f;
        struct config *c = load_text(s->memory, CONFIG_FULL, &f, text);

        print_findings(&f);
        assert_null(c);
        assert_int_equal(f.len, 1);
        assert_true(has_finding(&f, false, start, part));
        config_findings_done(&f);
        c = load_text(s->memory, CONFIG_SYNTAX, &f, text);
        assert_non_null(c);
        assert_int_equal(f.len, 0);
        config_free(c);
        config_findings_done(&f);
}

static void accepts(const struct scene *s, const char *state_dir, const char *more)
{
        cleanup_free char *text = with(s, state_dir, more);
        struct config_findings f;
        struct config *c = load_text(s->memory, CONFIG_FULL, &f, text);

        print_findings(&f);
        assert_non_null(c);
        assert_int_equal(f.len, 0);
        config_free(c);
        config_findings_done(&f);
}

static void files_for_tls_are_what_they_should_be(void **state)
{
        struct scene *s = *state;

        write_file(s->memory, "token", "x", 0400);
        write_file(s->memory, "text", "no PEM", 0400);
        write_file(s->memory, "cert", "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n", 0400);
        refuses(s, "@/state", "vault {\n ca_cert = \"@/text\" }", "agent.hcl:4: CA file ");
        refuses(s, "@/state", "vault {\n ca_cert = \"@/nothing\" }",
                "No such file or directory; correct vault.ca_cert");
        refuses(s, "@/state", "vault { ca_path = \"@/text\" }", "is not a folder; correct vault.ca_path");
        refuses(s, "@/state", "vault { client_cert = \"@/text\" client_key = \"@/cert\" }", "client certificate ");
        refuses(s, "@/state", "vault { client_cert = \"@/cert\"\n client_key = \"@/text\" }",
                "agent.hcl:4: client key ");
        accepts(s, "@/state",
                "vault { ca_cert = \"@/cert\" ca_path = \"@\" client_cert = \"@/cert\" client_key = \"@/cert\" }");
}

static void a_socket_can_be_made(void **state)
{
        struct scene *s = *state;
        cleanup_free char *path = mem_printf("%s/a.sock", s->memory);
        int fd;

        become_an_agent(s);
        write_file(s->memory, "token", "x", 0400);
        write_file(s->memory, "text", "x", 0400);
        accepts(s, "@/state", "listener \"unix\" { address = \"@/a.sock\" }");
        refuses(s, "@/state", "listener \"unix\" { address = \"@/none/a.sock\" }", "No such file or directory; make");
        accepts(s, "@/new/state", "listener \"unix\" { address = \"@/new/a.sock\" }"); /* made with state_dir */
        refuses(s, "@/state", "listener \"unix\" { address = \"/proc/a.sock\" }", "no socket can be made in /proc: ");
        refuses(s, "@/state", "listener \"unix\" { address = \"@/text\" }", "is no socket; remove it");
        refuses(s, "@/state", "listener \"unix\" { address = \"@/a.sock\" socket_group = 0 }",
                "agent.hcl:3: the agent may not give its socket to group 0; ");
        refuses(s, "@/state", "listener \"unix\" { address = \"@/a.sock\" socket_user = 0 }", "to user 0; ");
        assert_int_equal(unixsock_listen(path, 0600, (gid_t)-1, 1, &fd), 0);
        accepts(s, "@/state", "listener \"unix\" { address = \"@/a.sock\" }"); /* that of the agent that runs */
        refuses(s, "@/state", "listener \"unix\" { address = \"@/a.sock\" socket_group = 0 }", "to group 0; ");
        close(fd);
        assert_int_equal(chmod(s->memory, 0777), 0);
        assert_int_equal(unlink(path), 0);
        refuses(s, "@/state", "listener \"unix\" { address = \"@/a.sock\" }", "anybody may replace the socket in ");
}

static void handed_over_sockets_are_the_service_managers(void **state)
{
        struct scene *s = *state;

        become_an_agent(s);
        write_file(s->memory, "token", "x", 0400);
        setenv("LISTEN_FDS", "1", 1);
        accepts(s, "@/state", "listener \"unix\" { address = \"/proc/a.sock\" socket_group = 0 }");
        unsetenv("LISTEN_FDS");
}

static void a_state_dir_is_the_agents_own(void **state)
{
        struct scene *s = *state;
        cleanup_free char *folder = mem_printf("%s/folder", s->memory), *text = with(s, "@/folder", "");
        bool is_root = geteuid() == 0;
        struct config_findings f;

        assert_int_equal(mkdir(folder, 0500), 0); /* root's, where root runs the test */
        become_an_agent(s);
        write_file(s->memory, "token", "x", 0400);
        write_file(s->memory, "text", "x", 0400);
        accepts(s, "@/a/b/state", "");
        refuses(s, "@/text", "", "text is no folder; remove what is there");
        if (is_root)
                refuses(s, "@/folder", "", "belongs to user 0; ");
        assert_int_equal(rmdir(folder), 0);
        assert_int_equal(mkdir(folder, 0500), 0);
        accepts(s, "@/folder", "");
        refuses(s, "@/folder/a/state", "", "cannot be made in ");
        if (is_root) { /* and root, who looks on behalf of the agent, is told */
                assert_int_equal(setresuid(0, 0, 0), 0);
                config_free(load_text(s->memory, CONFIG_FULL, &f, text));
                assert_int_equal(f.len, 1);
                assert_true(has_finding(&f, true, s->memory, "/folder belongs to user 64003, "));
                config_findings_done(&f);
        }
        assert_int_equal(rmdir(folder), 0);
}

static void many_findings_end_somewhere(void **state)
{
        struct scene *s = *state;
        cleanup_buf struct buf b = BUF_INIT;
        struct config_findings f;

        for (int i = 0; i < 1000; i++)
                buf_printf(&b, "\"line\\nbreak%d\" = 1\n", i);
        assert_null(load_text(s->memory, CONFIG_SYNTAX, &f, buf_text(&b)));
        assert_int_equal(f.len, 201);
        assert_non_null(strstr(f.items[200].text, "too many findings"));
        for (size_t i = 0; i < f.len; i++)
                assert_null(strchr(f.items[i].text, '\n'));
        config_findings_done(&f);
}

/* Rule 10: what is adopted after a restart depends on what is asked of Vault, on nothing else. */
static void identity_holds_what_is_asked_of_vault(void **state)
{
        struct config_findings f;
        const char *path = DIR_NAME "/alone-design.hcl";
        cleanup_free char *secret = NULL, *certificate = NULL, *vault = NULL;
        struct config *c;

        (void)state;
        clear_environment();
        c = config_load(&path, 1, CONFIG_SYNTAX, &f);
        assert_non_null(c);
        secret = config_secret_identity(config_find_secret(c, "db"));
        certificate = config_secret_identity(config_find_secret(c, "tls"));
        vault = config_vault_identity(c);
        assert_string_equal(secret, "{\"path\":\"database/creds/notes\"}");
        assert_string_equal(certificate,
                            "{\"path\":\"pki_int/sign/notes\",\"common_name\":\"notes.localhost\",\"alt_names\":["
                            "\"localhost\"],\"ip_sans\":[\"127.0.0.1\"],\"ttl_usec\":86400000000,\"key_type\":"
                            "\"ec-p256\"}");
        assert_string_equal(
                vault, "{\"address\":\"https://127.0.0.1:8200\",\"method\":\"approle\",\"mount\":\"auth/approle\"}");
        assert_null(config_find_secret(c, "nothing"));
        config_free(c);
        config_findings_done(&f);
}

static int is_fixture(const struct dirent *entry)
{
        return entry->d_name[0] != '.' && strstr(entry->d_name, ".hcl") != NULL;
}

static int run_fixtures(void)
{
        struct dirent **entries;
        struct CMUnitTest *tests;
        int len = scandir(DIR_NAME, &entries, is_fixture, alphasort), failed;

        if (len < 30) {
                print_error("only %d fixtures in " DIR_NAME "\n", len);
                return 1;
        }
        tests = mem_array((size_t)len, sizeof(*tests));
        for (int i = 0; i < len; i++) {
                cleanup_free char *name = mem_strndup(entries[i]->d_name, strlen(entries[i]->d_name) - strlen(".hcl"));

                for (char *p = name; *p; p++)
                        if (*p == '-')
                                *p = '_';
                tests[i] = (struct CMUnitTest){mem_printf("fixture_%s", name), fixture, NULL, NULL, entries[i]->d_name};
        }
        failed = _cmocka_run_group_tests("fixtures", tests, (size_t)len, NULL, NULL);
        for (int i = 0; i < len; i++) {
                mem_freep(&tests[i].name);
                free(entries[i]);
        }
        mem_free(tests);
        free(entries);
        return failed;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(json_and_hcl_mean_the_same),
                cmocka_unit_test(label_and_type_mean_the_same),
                cmocka_unit_test(the_example_means_what_it_says),
                cmocka_unit_test(what_is_left_out_has_its_default),
                cmocka_unit_test(later_files_win_and_lists_add_up),
                cmocka_unit_test(the_example_that_is_shipped_checks),
                cmocka_unit_test(a_missing_file_is_a_finding),
                cmocka_unit_test(the_environment_wins_and_says_so),
                cmocka_unit_test(a_broken_environment_is_a_finding),
                cmocka_unit_test(identity_holds_what_is_asked_of_vault),
                cmocka_unit_test_setup_teardown(users_and_groups_must_exist, scene_up, scene_down),
                cmocka_unit_test_setup_teardown(names_become_numbers, scene_up, scene_down),
                cmocka_unit_test_setup_teardown(disk_is_refused_unless_allowed, scene_up, scene_down),
                cmocka_unit_test_setup_teardown(credential_files_are_looked_at, scene_up, scene_down),
                cmocka_unit_test_setup_teardown(files_for_tls_are_what_they_should_be, scene_up, scene_down),
                cmocka_unit_test_setup_teardown(a_socket_can_be_made, scene_up, scene_down),
                cmocka_unit_test_setup_teardown(handed_over_sockets_are_the_service_managers, scene_up, scene_down),
                cmocka_unit_test_setup_teardown(a_state_dir_is_the_agents_own, scene_up, scene_down),
                cmocka_unit_test_setup_teardown(many_findings_end_somewhere, scene_up, scene_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL) + run_fixtures();
}

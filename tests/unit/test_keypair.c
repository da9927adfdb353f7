/* tests/unit/test_keypair.c: keys, certificate requests, and the check that key, certificate and chain belong together (rule 12). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/certificate.h"
#include "agent/keypair.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

static char folder[] = "/tmp/test-keypair-XXXXXX";

/* Runs a shell line in the scratch folder and gives back what it printed. The openssl command judges what our code makes. */
static char *shell(const char *line)
{
        char *command = mem_printf("cd %s && %s 2>&1", folder, line), *out = NULL;
        size_t len = 0;
        FILE *from = popen(command, "r");
        int status;

        assert_non_null(from);
        if (getdelim(&out, &len, EOF, from) < 0) {
                free(out);
                out = strdup("");
        }
        status = pclose(from);
        if (status != 0)
                fail_msg("%s: %s", line, out);
        mem_free(command);
        return out;
}

static char *load(const char *name)
{
        char *path = mem_printf("%s/%s", folder, name), *bytes;
        size_t len;

        assert_int_equal(fs_read_whole(path, 1 << 20, &bytes, &len), 0);
        mem_free(path);
        return bytes;
}

static void save(const char *name, const char *text)
{
        char *path = mem_printf("%s/%s", folder, name);
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        fputs(text, f);
        fclose(f);
        mem_free(path);
}

#define CONFIG(...) (&(struct config_certificate){__VA_ARGS__})
#define LIST(...)   ((char *[]){__VA_ARGS__, NULL})

static struct keypair *key_of(enum key_type type)
{
        struct keypair *k = NULL;

        assert_int_equal(keypair_new(type, &k), 0);
        assert_non_null(k);
        return k;
}

static char *csr_of(const struct keypair *k, const struct config_certificate *c)
{
        char *csr = NULL, *error = NULL;

        if (keypair_csr(k, c, &csr, &error) != 0)
                fail_msg("%s", error);
        return csr;
}

/* What a CA makes of it: ca.pem and ca.key are there. */
static char *signed_by(const char *ca, const char *csr)
{
        char *line = mem_printf(
                "openssl x509 -req -in t.csr -CA %s.pem -CAkey %s.key -CAcreateserial -days 1 -copy_extensions copy "
                "-out t.pem",
                ca, ca);

        save("t.csr", csr);
        free(shell(line));
        mem_free(line);
        return load("t.pem");
}

static void every_kind_of_key_is_made(void **state)
{
        static const struct {
                enum key_type type;
                const char *text;
        } cases[] = {
                {KEY_EC_P256, "prime256v1"},
                {KEY_EC_P384, "secp384r1"},
                {KEY_RSA_2048, "(2048 bit, 2 primes)"},
                {KEY_ED25519, "ED25519"},
        };
        char name[] = "localhost";

        (void)state;
        for (size_t i = 0; i < array_len(cases); i++) {
                struct keypair *k = key_of(cases[i].type);
                const struct secret *pem = keypair_private_pem(k);
                char *csr = csr_of(k, CONFIG(.common_name = name)), *out;

                assert_true(strncmp(secret_bytes(pem), "-----BEGIN PRIVATE KEY-----\n", 28) == 0);
                save("t.key", secret_bytes(pem));
                save("t.csr", csr);
                out = shell("openssl pkey -in t.key -noout -text");
                if (!strstr(out, cases[i].text))
                        fail_msg("%s is not in %s", cases[i].text, out);
                free(out);
                out = shell("openssl req -in t.csr -noout -verify -text");
                assert_non_null(strstr(out, "OK"));
                assert_non_null(strcasestr(out, cases[i].type == KEY_ED25519 ? "ED25519" : "sha256"));
                free(out);
                mem_free(csr);
                keypair_free(k);
        }
        assert_null(keypair_free(NULL));
}

static void no_two_keys_are_equal(void **state)
{
        struct keypair *a = key_of(KEY_EC_P256), *b = key_of(KEY_EC_P256);

        (void)state;
        assert_false(secret_equal(keypair_private_pem(a), keypair_private_pem(b)));
        keypair_free(a);
        keypair_free(b);
}

static void request_holds_all_names(void **state)
{
        struct keypair *k = key_of(KEY_EC_P256);
        char name[] = "notes.localhost", alt1[] = "localhost", alt2[] = "*.notes.example", alt3[] = "ops@example.org",
             v4[] = "127.0.0.1", v6[] = "2001:db8::1", uri[] = "spiffe://example/notes";
        char *csr = csr_of(k, CONFIG(.common_name = name, .alt_names = LIST(alt1, alt2, alt3), .ip_sans = LIST(v4, v6),
                                     .uri_sans = LIST(uri)));
        char *out;

        (void)state;
        save("t.csr", csr);
        out = shell("openssl req -in t.csr -noout -text -nameopt RFC2253");
        assert_non_null(strstr(out, "Subject: CN=notes.localhost\n"));
        assert_non_null(strstr(out,
                               "DNS:notes.localhost, DNS:localhost, DNS:*.notes.example, email:ops@example.org, "
                               "IP Address:127.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1, URI:spiffe://example/notes\n"));
        free(out);
        mem_free(csr);
        keypair_free(k);
}

static void common_name_is_a_san_only_if_it_is_a_dns_name(void **state)
{
        struct keypair *k = key_of(KEY_EC_P256);
        char person[] = "Notes Service", ip[] = "10.0.0.1", name[] = "Db.Example", alt[] = "db.example";
        char *csr, *out;

        (void)state;
        csr = csr_of(k, CONFIG(.common_name = person));
        save("t.csr", csr);
        mem_free(csr);
        out = shell("openssl req -in t.csr -noout -text -nameopt RFC2253");
        assert_non_null(strstr(out, "CN=Notes Service"));
        assert_null(strstr(out, "DNS:"));
        free(out);

        csr = csr_of(k, CONFIG(.common_name = ip, .ip_sans = LIST(ip)));
        save("t.csr", csr);
        mem_free(csr);
        out = shell("openssl req -in t.csr -noout -text -nameopt RFC2253");
        assert_null(strstr(out, "DNS:"));
        free(out);

        csr = csr_of(k, CONFIG(.common_name = name, .alt_names = LIST(alt))); /* not twice */
        save("t.csr", csr);
        mem_free(csr);
        out = shell("openssl req -in t.csr -noout -text -nameopt RFC2253");
        assert_non_null(strstr(out, "DNS:db.example\n"));
        assert_null(strstr(out, "DNS:Db.Example"));
        free(out);
        keypair_free(k);
}

static void bad_names_are_refused_by_name(void **state)
{
        char long_name[80], comma[] = "a.example,DNS:evil.example", ip_as_dns[] = "10.0.0.1", dash[] = "-a.example",
                            dots[] = "a..b", umlaut[] = "m\xc3\xbcller.example", octets[] = "10.0.0.256",
                            uri[] = "no uri", mail[] = "@example.org", none[] = "";
        struct {
                struct config_certificate c;
                const char *text;
        } cases[] = {
                {{.common_name = long_name}, "longer than 64"},
                {{.alt_names = LIST(comma)}, "alt_names: \"a.example,DNS:evil.example\" is neither"},
                {{.alt_names = LIST(ip_as_dns)}, "belongs into ip_sans"},
                {{.alt_names = LIST(dash)}, "\"-a.example\" is neither"},
                {{.alt_names = LIST(dots)}, "\"a..b\" is neither"},
                {{.alt_names = LIST(umlaut)}, "is neither"},
                {{.alt_names = LIST(mail)}, "is neither"},
                {{.alt_names = LIST(none)}, "is neither"},
                {{.ip_sans = LIST(octets)}, "ip_sans: \"10.0.0.256\" is no IP address"},
                {{.uri_sans = LIST(uri)}, "uri_sans: \"no uri\" is no URI"},
        };
        struct keypair *k = key_of(KEY_EC_P256);

        (void)state;
        memset(long_name, 'a', sizeof(long_name) - 1);
        long_name[sizeof(long_name) - 1] = '\0';
        for (size_t i = 0; i < array_len(cases); i++) {
                char *csr = NULL, *error = NULL;

                assert_int_equal(keypair_csr(k, &cases[i].c, &csr, &error), -EINVAL);
                assert_null(csr);
                if (!strstr(error, cases[i].text))
                        fail_msg("case %zu: %s", i, error);
                mem_free(error);
        }
        keypair_free(k);
}

static void certificate_tells_its_facts(void **state)
{
        struct keypair *k = key_of(KEY_EC_P256);
        char name[] = "localhost", *csr = csr_of(k, CONFIG(.common_name = name)), *pem = signed_by("ca", csr),
             *error = NULL;
        char *out, *p, want[130];
        struct certificate_facts facts = {0};
        uint64_t now = clock_realtime_usec();
        size_t n = 0;

        (void)state;
        assert_int_equal(certificate_read(pem, &facts, &error), 0);
        assert_in_range(facts.not_before_usec, now - 600 * USEC_PER_SEC, now + 600 * USEC_PER_SEC);
        assert_int_equal(facts.not_after_usec - facts.not_before_usec, 86400 * USEC_PER_SEC);
        out = shell("openssl x509 -in t.pem -noout -serial | cut -d= -f2 | tr A-F a-f");
        for (p = out; *p && *p != '\n'; p += 2)
                n += (size_t)snprintf(want + n, sizeof(want) - n, "%s%.2s", n ? ":" : "", p);
        assert_string_equal(facts.serial, want);
        free(out);
        mem_free(csr);
        mem_free(pem);
        keypair_free(k);
}

struct bundle {
        struct keypair *key;
        char *pem;
        json_t *data;
};

static struct bundle bundle_of(enum key_type type)
{
        char name[] = "localhost", *csr, *ca = load("ca.pem"), *root = load("root.pem");
        struct bundle b = {.key = key_of(type)};

        csr = csr_of(b.key, CONFIG(.common_name = name));
        b.pem = signed_by("ca", csr);
        b.data = json_pack("{s:s, s:[s,s]}", "issuing_ca", ca, "ca_chain", ca, root);
        mem_free(csr);
        mem_free(ca);
        mem_free(root);
        return b;
}

static void bundle_done(struct bundle *b)
{
        keypair_free(b->key);
        mem_free(b->pem);
        json_decref(b->data);
}

static void good_bundle_passes(void **state)
{
        static const enum key_type types[] = {KEY_EC_P256, KEY_RSA_2048, KEY_ED25519};

        (void)state;
        for (size_t i = 0; i < array_len(types); i++) {
                struct bundle b = bundle_of(types[i]);
                struct certificate_facts facts = {0};
                char *error = NULL;

                if (certificate_check(b.pem, keypair_private_pem(b.key), b.data, &facts, &error) != 0)
                        fail_msg("%s", error);
                assert_true(facts.not_after_usec > 0);
                assert_int_equal(certificate_check(b.pem, keypair_private_pem(b.key), NULL, &facts, &error), 0);
                bundle_done(&b);
        }
}

/* Vault's "der" keys come as PKCS#1 or SEC 1 PEM. */
static void keys_that_vault_makes_are_read(void **state)
{
        struct bundle b = bundle_of(KEY_EC_P256);
        struct certificate_facts facts;
        struct secret *key;
        char *text, *error = NULL;

        (void)state;
        save("t.key", secret_bytes(keypair_private_pem(b.key)));
        free(shell("openssl ec -in t.key -out t1.key"));
        text = load("t1.key");
        assert_non_null(strstr(text, "BEGIN EC PRIVATE KEY"));
        key = secret_new_from(text, strlen(text));
        assert_int_equal(certificate_check(b.pem, key, b.data, &facts, &error), 0);
        secret_free(key);
        mem_free(text);
        bundle_done(&b);
}

static void refuse(const char *pem, const struct secret *key, const json_t *data, const char *why)
{
        struct certificate_facts facts = {.not_after_usec = 7};
        char *error = NULL;

        assert_int_equal(certificate_check(pem, key, data, &facts, &error), -EBADMSG);
        if (!strstr(error, why))
                fail_msg("%s: %s", why, error);
        assert_null(strstr(error, "-----")); /* nothing of the bytes themselves */
        assert_int_equal(facts.not_after_usec, 7);
        mem_free(error);
}

static void what_does_not_belong_together_is_refused(void **state)
{
        struct bundle b = bundle_of(KEY_EC_P256), other = bundle_of(KEY_EC_P256);
        const struct secret *key = keypair_private_pem(b.key);
        struct secret *junk = secret_new_from("junk", 4), *empty = secret_new(1), *locked;
        char *twice = mem_printf("%s%s", b.pem, b.pem), *before = mem_printf("text\n%s", b.pem),
             *after = mem_printf("%sx", b.pem);
        char *half = mem_strndup(b.pem, strlen(b.pem) / 2), *stranger = load("stranger.pem"), *text;
        json_t *data;

        (void)state;
        refuse(b.pem, keypair_private_pem(other.key), b.data, "the private key does not belong to the certificate");
        refuse(b.pem, junk, b.data, "the private key cannot be read");
        refuse(b.pem, empty, b.data, "the private key cannot be read");
        save("t.key", secret_bytes(key));
        free(shell("openssl pkcs8 -topk8 -in t.key -passout pass:x -out t2.key"));
        text = load("t2.key");
        locked = secret_new_from(text, strlen(text));
        refuse(b.pem, locked, b.data, "the private key cannot be read"); /* and nobody is asked for a password */
        refuse("", key, b.data, "does not begin with a PEM block");
        refuse("junk", key, b.data, "does not begin with a PEM block");
        refuse(secret_bytes(key), key, b.data, "the certificate cannot be read");
        refuse(half, key, b.data, "the certificate cannot be read");
        refuse(twice, key, b.data, "more than one PEM block");
        refuse(before, key, b.data, "does not begin with a PEM block");
        refuse(after, key, b.data, "more than one PEM block, or text behind it");

        data = json_pack("{s:s}", "issuing_ca", stranger);
        refuse(b.pem, key, data, "has issued it");
        json_decref(data);
        data = json_pack("{s:[s,s]}", "ca_chain", stranger, "junk");
        refuse(b.pem, key, data, "certificate 2 of the chain does not begin with a PEM block");
        json_decref(data);
        data = json_pack("{s:[i]}", "ca_chain", 7);
        refuse(b.pem, key, data, "certificate 1 of the chain is no text");
        json_decref(data);

        mem_free(twice);
        mem_free(before);
        mem_free(after);
        mem_free(half);
        mem_free(stranger);
        mem_free(text);
        secret_free(junk);
        secret_free(empty);
        secret_free(locked);
        bundle_done(&b);
        bundle_done(&other);
}

static int group_setup(void **state)
{
        (void)state;
        assert_non_null(mkdtemp(folder));
        free(shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3 -subj /CN=Root "
                   "-keyout root.key "
                   "-out root.pem"));
        free(shell("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=Issuing -keyout ca.key "
                   "-out ca.csr"));
        free(shell("printf 'basicConstraints=critical,CA:TRUE\\nkeyUsage=keyCertSign\\n' > ca.ext && openssl x509 -req "
                   "-in ca.csr "
                   "-CA root.pem -CAkey root.key -CAcreateserial -days 2 -extfile ca.ext -out ca.pem"));
        /* The same name and key identifier, another key: only the signature tells. */
        free(shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3 -subj /CN=Issuing "
                   "-addext subjectKeyIdentifier=$(openssl x509 -in ca.pem -noout -ext subjectKeyIdentifier | "
                   "tail -n 1 | tr -d ' ') -keyout stranger.key -out stranger.pem"));
        return 0;
}

static int group_teardown(void **state)
{
        (void)state;
        free(shell("rm -rf \"$PWD\""));
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_kind_of_key_is_made),
                cmocka_unit_test(no_two_keys_are_equal),
                cmocka_unit_test(request_holds_all_names),
                cmocka_unit_test(common_name_is_a_san_only_if_it_is_a_dns_name),
                cmocka_unit_test(bad_names_are_refused_by_name),
                cmocka_unit_test(certificate_tells_its_facts),
                cmocka_unit_test(good_bundle_passes),
                cmocka_unit_test(keys_that_vault_makes_are_read),
                cmocka_unit_test(what_does_not_belong_together_is_refused),
        };

        json_setup();
        return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

/* agent/config_secret.c: secret and certificate blocks: what to fetch, and who may have it. */
#include "agent/config_read.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "agent/config_secret.h"
#include "common/mem.h"
#include "common/parse.h"

static const char *const key_types[] = {
        [KEY_EC_P256] = "ec-p256",   [KEY_EC_P384] = "ec-p384",   [KEY_RSA_2048] = "rsa-2048",
        [KEY_RSA_3072] = "rsa-3072", [KEY_RSA_4096] = "rsa-4096", [KEY_ED25519] = "ed25519",
};

/**
 * config_key_type_text() - a key type as it stands in the configuration
 * @type: the type
 *
 * Return: static text.
 */
const char *config_key_type_text(enum key_type type)
{
        return key_types[type];
}

static void read_key_type(struct config_reader *r, const struct hcl_node *value, void *field)
{
        int i = config_read_choice(r, value, key_types, array_len(key_types));

        if (i >= 0)
                *(enum key_type *)field = (enum key_type)i;
}

static void read_allow_user(struct config_reader *r, const struct hcl_node *value, void *field)
{
        struct config_allow *a = field;

        a->has_uid = true;
        config_read_user(r, value, &a->uid);
}

static void read_allow_group(struct config_reader *r, const struct hcl_node *value, void *field)
{
        struct config_allow *a = field;

        a->has_gid = true;
        config_read_group(r, value, &a->gid);
}

static const struct config_key allow_keys[] = {
        {"user", CONFIG_KEY_BUILT, read_allow_user, 0, NULL},
        {"group", CONFIG_KEY_BUILT, read_allow_group, 0, NULL},
        {"unit", CONFIG_KEY_LATER, NULL, 0, NULL},
};
static const struct config_schema allow_schema = {allow_keys, array_len(allow_keys)};

static void read_allow_body(struct config_reader *r, const char *label, const struct hcl_node *body, void *arg)
{
        struct config_allow a = {.uid = (uid_t)-1, .gid = (gid_t)-1};
        struct config_secret *s = arg;

        (void)label;
        if (body->items_len == 0)
                config_error(r, body, "an empty allow block would let everybody in; name a user or a group");
        config_read_members(r, body, &allow_schema, "allow", &a);
        s->allow = mem_resize(s->allow, s->allow_len + 1, sizeof(*s->allow));
        s->allow[s->allow_len++] = a;
}

static void read_allow(struct config_reader *r, const struct hcl_node *value, void *secret)
{
        config_each_body(r, value, false, NULL, read_allow_body, secret);
}

/* A block as it is read; what only certificates have is kept where it is one. */
struct reading {
        struct config_secret secret; /* first: also what takes a whole secret reads into it */
        struct config_certificate certificate;
};

#define AT(field)             offsetof(struct reading, secret.field)
#define CERTIFICATE_AT(field) offsetof(struct reading, certificate.field)
#define COMMON_KEYS                                                                                                    \
        {"path", CONFIG_KEY_BUILT, config_read_string, AT(path), NULL},                                                \
                {"grace", CONFIG_KEY_BUILT, config_read_duration, AT(grace_usec), NULL},                               \
                {"refresh", CONFIG_KEY_BUILT, config_read_duration, AT(refresh_usec), NULL},                           \
                {"verify", CONFIG_KEY_BUILT, config_read_duration, AT(verify_usec), NULL},                             \
                {"mint_burst", CONFIG_KEY_BUILT, config_read_count, AT(mint_burst), NULL},                             \
                {"required", CONFIG_KEY_BUILT, config_read_bool, AT(required), NULL},                                  \
                {"allow", CONFIG_KEY_REPEATS, read_allow, 0, NULL},                                                    \
                {"file", CONFIG_KEY_REPEATS, config_read_file, 0, NULL},                                               \
                {"directory", CONFIG_KEY_REPEATS, config_read_directory, 0, NULL},                                     \
        {                                                                                                              \
                "hook", CONFIG_KEY_LATER, NULL, 0, NULL                                                                \
        }

static const struct config_key secret_keys[] = {COMMON_KEYS};
static const struct config_schema secret_schema = {secret_keys, array_len(secret_keys)};
static const struct config_key certificate_keys[] = {
        COMMON_KEYS,
        {"common_name", CONFIG_KEY_BUILT, config_read_string, CERTIFICATE_AT(common_name), NULL},
        {"alt_names", CONFIG_KEY_BUILT, config_read_list, CERTIFICATE_AT(alt_names), NULL},
        {"ip_sans", CONFIG_KEY_BUILT, config_read_list, CERTIFICATE_AT(ip_sans), NULL},
        {"uri_sans", CONFIG_KEY_BUILT, config_read_list, CERTIFICATE_AT(uri_sans), NULL},
        {"ttl", CONFIG_KEY_BUILT, config_read_duration, CERTIFICATE_AT(ttl_usec), NULL},
        {"key_type", CONFIG_KEY_BUILT, read_key_type, CERTIFICATE_AT(key_type), NULL},
};
static const struct config_schema certificate_schema = {certificate_keys, array_len(certificate_keys)};

static bool check_api_path(struct config_reader *r, const struct hcl_node *at, const char *title, const char *path)
{
        const char *wrong = NULL;

        if (path[0] == '/')
                wrong = "begins with /; write it as after /v1/, like database/creds/ROLE";
        else if (strncmp(path, "v1/", 3) == 0)
                wrong = "begins with v1/; leave that out, it is added";
        else if (path[strlen(path) - 1] == '/' || strstr(path, "//"))
                wrong = "has an empty part; leave out the extra /";
        else if (strchr(path, '?') || strchr(path, '#'))
                wrong = "has a ? or #; write the path alone";
        else if (strlen(path) > 1024)
                wrong = "is longer than 1024 bytes; shorten it";
        for (const char *p = path; *p && !wrong; p++)
                if ((unsigned char)*p <= 0x20 || *p == 0x7f)
                        wrong = "has a blank or a control character; remove it";
        for (const char *p = path; p && !wrong; p = strchr(p, '/')) {
                p += *p == '/';
                if (strcspn(p, "/") <= 2 && strspn(p, ".") == strcspn(p, "/"))
                        wrong = "has a . or .. part; write it without";
        }
        if (wrong)
                config_error(r, at, "%s: path \"%.100s\" %s", title, path, wrong);
        return !wrong;
}

/* MOUNT/sign/ROLE or MOUNT/issue/ROLE, also with issuer/REF before it. */
static void apply_certificate_path(struct config_reader *r, const struct hcl_node *at, const char *title,
                                   struct config_secret *s)
{
        const char *role = strrchr(s->path, '/'), *verb = role;

        while (verb && verb > s->path && verb[-1] != '/')
                verb--;
        if (verb && verb > s->path && strncmp(verb, "sign/", 5) == 0)
                s->certificate->sign = true;
        else if (!verb || verb == s->path || strncmp(verb, "issue/", 6) != 0)
                config_error(
                        r, at,
                        "%s: path \"%.100s\" ends neither in sign/ROLE nor in issue/ROLE; write it like pki/sign/ROLE",
                        title, s->path);
}

/* Vault takes the names as one list with commas. */
static void check_names(struct config_reader *r, const struct hcl_node *at, const char *what, char *const *names)
{
        unsigned char scratch[sizeof(struct in6_addr)];

        for (; names && *names; names++) {
                const char *bad = strpbrk(*names, ", \t\r\n\"\\");

                if (**names == '\0' || bad || strlen(*names) > 1024)
                        config_error(r, at, "%s: \"%.100s\" is no single name; write each into quotes of its own", what,
                                     *names);
                else if (strcmp(what, "ip_sans") == 0 && inet_pton(AF_INET, *names, scratch) != 1 &&
                         inet_pton(AF_INET6, *names, scratch) != 1)
                        config_error(r, at, "ip_sans: \"%.100s\" is no IP address; names belong into alt_names",
                                     *names);
                else if (strcmp(what, "uri_sans") == 0 && !strchr(*names, ':'))
                        config_error(r, at, "uri_sans: \"%.100s\" is no URI; names belong into alt_names", *names);
        }
}

static void check_certificate(struct config_reader *r, const struct hcl_node *body, const char *title,
                              struct config_secret *s)
{
        const struct config_certificate *c = s->certificate;

        apply_certificate_path(r, config_member(body, "path"), title, s);
        if (!c->common_name && !c->alt_names && !c->ip_sans && !c->uri_sans)
                config_error(r, body, "%s names nobody; add common_name", title);
        if (c->common_name && strlen(c->common_name) > 64)
                config_error(r, config_member(body, "common_name"),
                             "%s: common_name is longer than 64 bytes (RFC 5280, A.1); put it into "
                             "alt_names",
                             title);
        check_names(r, config_member(body, "alt_names"), "alt_names", c->alt_names);
        check_names(r, config_member(body, "ip_sans"), "ip_sans", c->ip_sans);
        check_names(r, config_member(body, "uri_sans"), "uri_sans", c->uri_sans);
        if (c->ttl_usec % USEC_PER_SEC != 0 || c->ttl_usec > 3650 * UINT64_C(86400) * USEC_PER_SEC)
                config_error(r, config_member(body, "ttl"),
                             "%s: ttl is no whole number of seconds up to 10 years; correct it", title);
}

static void check_durations(struct config_reader *r, const struct hcl_node *body, const char *title,
                            const struct config_secret *s)
{
        if (s->refresh_usec < USEC_PER_SEC)
                config_error(r, config_member(body, "refresh"), "%s: refresh is less than 1s; raise it", title);
        if (s->verify_usec != 0 && s->verify_usec < USEC_PER_SEC)
                config_error(r, config_member(body, "verify"),
                             "%s: verify is less than 1s; raise it, or write 0 for never", title);
        if (s->mint_burst < 1 || s->mint_burst > MINT_BURST_MAX)
                config_error(r, config_member(body, "mint_burst"),
                             "%s: mint_burst is not from 1 to %d; 3 is the default", title, MINT_BURST_MAX);
        else if (s->mint_burst == 1)
                config_warn(r, config_member(body, "mint_burst"),
                            "%s: mint_burst = 1 leaves nothing for rotate, which never takes the "
                            "last one; use 2 or more",
                            title);
}

static bool is_secret_name(const char *name)
{
        return parse_is_name(name, strlen(name)) && name[0] != '.' && name[0] != '-';
}

static void read_secret_body(struct config_reader *r, const char *label, const struct hcl_node *body,
                             bool is_certificate)
{
        struct reading reading = {.secret = {.is_certificate = is_certificate,
                                             .grace_usec = 30 * USEC_PER_SEC,
                                             .refresh_usec = 300 * USEC_PER_SEC,
                                             .verify_usec = USEC_NEVER,
                                             .mint_burst = 3,
                                             .required = true}};
        struct config_secret *s = &reading.secret;
        const char *word = is_certificate ? "certificate" : "secret";
        struct config *c = r->config;
        cleanup_free char *title = NULL;

        if (!label) {
                config_error(r, body, "the %s has no name; write %s \"NAME\" { ... }", word, word);
                return;
        }
        title = mem_printf("%s \"%s\"", word, label);
        if (!is_secret_name(label))
                config_error(r, body,
                             "%.100s: a name is 1 to 64 of A-Z a-z 0-9 _ . -, not beginning with . or -; rename it",
                             title);
        s->name = mem_strdup(label);
        s->where = config_where(body);
        config_read_members(r, body, is_certificate ? &certificate_schema : &secret_schema, title, &reading);
        if (is_certificate) {
                s->certificate = mem_new(sizeof(*s->certificate));
                *s->certificate = reading.certificate;
        }
        check_durations(r, body, title, s);
        if (!s->path)
                config_error(r, body, "%s has no path; add path = \"%s\"", title,
                             is_certificate ? "pki/sign/ROLE" : "database/creds/ROLE");
        else if (check_api_path(r, config_member(body, "path"), title, s->path) && is_certificate)
                check_certificate(r, body, title, s);
        if ((c->secrets_len & (c->secrets_len - 1)) == 0) /* a power of two, or none: full */
                c->secrets = mem_resize(c->secrets, c->secrets_len ? c->secrets_len * 2 : 1, sizeof(*c->secrets));
        c->secrets[c->secrets_len++] = *s;
}

static void on_secret(struct config_reader *r, const char *label, const struct hcl_node *body, void *arg)
{
        (void)arg;
        read_secret_body(r, label, body, false);
}

static void on_certificate(struct config_reader *r, const char *label, const struct hcl_node *body, void *arg)
{
        (void)arg;
        read_secret_body(r, label, body, true);
}

/**
 * config_read_secret() - reads secret blocks
 * @r: collects findings
 * @value: the node of a key "secret"; each block is added
 * @config: the struct config
 */
void config_read_secret(struct config_reader *r, const struct hcl_node *value, void *config)
{
        config_each_body(r, value, true, NULL, on_secret, config);
}

/**
 * config_read_certificate() - reads certificate blocks
 * @r: collects findings
 * @value: the node of a key "certificate"; each block is added
 * @config: the struct config
 */
void config_read_certificate(struct config_reader *r, const struct hcl_node *value, void *config)
{
        config_each_body(r, value, true, NULL, on_certificate, config);
}

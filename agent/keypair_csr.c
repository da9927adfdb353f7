/* agent/keypair_csr.c: certificate requests: the names that are asked for, signed with the key that stays here. */
#include "agent/keypair.h"

#include "agent/keypair_internal.h"
#include "common/mem.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

#define COMMON_NAME_MAX 64 /* RFC 5280 appendix A: ub-common-name */
#define DNS_NAME_MAX    253

/* RFC 1123 2.1, with "*." in front where it is a wildcard, and "_" as Vault's roles take it. */
static bool is_dns_name(const char *name)
{
        size_t len = strlen(name), label = 0;

        if (strncmp(name, "*.", 2) == 0)
                name += 2;
        if (len == 0 || len > DNS_NAME_MAX || !*name)
                return false;
        for (const char *p = name; *p; p++) {
                if (*p == '.') {
                        if (label == 0 || p[-1] == '-')
                                return false;
                        label = 0;
                        continue;
                }
                if (!isalnum((unsigned char)*p) && *p != '_' && (*p != '-' || label == 0))
                        return false;
                if (++label > 63)
                        return false;
        }
        return label > 0 && name[strlen(name) - 1] != '-';
}

static bool is_ip(const char *text, unsigned char ret_bytes[16], int *ret_len)
{
        if (inet_pton(AF_INET, text, ret_bytes) == 1) {
                *ret_len = 4;
                return true;
        }
        if (inet_pton(AF_INET6, text, ret_bytes) == 1) {
                *ret_len = 16;
                return true;
        }
        return false;
}

static bool is_printable_ascii(const char *text)
{
        for (; *text; text++) {
                if (*text <= 0x20 || *text == 0x7f)
                        return false;
        }
        return true;
}

static bool add_name(GENERAL_NAMES *names, int type, const void *bytes, int len)
{
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_STRING *value = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

        if (!name || !value || !ASN1_STRING_set(value, bytes, len)) {
                GENERAL_NAME_free(name);
                ASN1_STRING_free(value);
                return false;
        }
        GENERAL_NAME_set0_value(name, type, value);
        if (sk_GENERAL_NAME_push(names, name) > 0)
                return true;
        GENERAL_NAME_free(name);
        return false;
}

static bool is_listed(char *const *items, const char *text)
{
        for (; items && *items; items++) {
                if (strcasecmp(*items, text) == 0)
                        return true;
        }
        return false;
}

static char *add_alt_name(GENERAL_NAMES *names, const char *name)
{
        const char *at = strchr(name, '@');
        unsigned char ip[16];
        int len;

        if (is_ip(name, ip, &len))
                return mem_printf("alt_names: \"%s\" is an IP address; it belongs into ip_sans", name);
        if (at && at > name && is_printable_ascii(name) && is_dns_name(at + 1))
                return add_name(names, GEN_EMAIL, name, (int)strlen(name)) ? NULL : keypair_error("alt_names");
        if (!is_dns_name(name))
                return mem_printf("alt_names: \"%s\" is neither a DNS name nor a mail address", name);
        return add_name(names, GEN_DNS, name, (int)strlen(name)) ? NULL : keypair_error("alt_names");
}

static char *add_names(GENERAL_NAMES *names, const struct config_certificate *c)
{
        const char *cn = c->common_name;
        unsigned char ip[16];
        char *error = NULL;
        int len;

        /* First what Vault would add itself for .../issue/: the common name. */
        if (cn && is_dns_name(cn) && !is_ip(cn, ip, &len) && !is_listed(c->alt_names, cn) &&
            !add_name(names, GEN_DNS, cn, (int)strlen(cn)))
                return keypair_error("common_name");
        for (char *const *name = c->alt_names; name && *name && !error; name++)
                error = add_alt_name(names, *name);
        for (char *const *text = c->ip_sans; text && *text && !error; text++) {
                if (!is_ip(*text, ip, &len))
                        error = mem_printf("ip_sans: \"%s\" is no IP address", *text);
                else if (!add_name(names, GEN_IPADD, ip, len))
                        error = keypair_error("ip_sans");
        }
        for (char *const *uri = c->uri_sans; uri && *uri && !error; uri++) {
                if (!is_printable_ascii(*uri) || !strchr(*uri, ':'))
                        error = mem_printf("uri_sans: \"%s\" is no URI", *uri);
                else if (!add_name(names, GEN_URI, *uri, (int)strlen(*uri)))
                        error = keypair_error("uri_sans");
        }
        return error;
}

static char *set_names(X509_REQ *req, const struct config_certificate *c)
{
        GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
        STACK_OF(X509_EXTENSION) *extensions = NULL;
        char *error;

        if (!names)
                return keypair_error("the names");
        error = add_names(names, c);
        if (!error && sk_GENERAL_NAME_num(names) > 0 &&
            (!X509V3_add1_i2d(&extensions, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) ||
             !X509_REQ_add_extensions(req, extensions)))
                error = keypair_error("the names");
        sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
        sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
        return error;
}

static char *set_subject(X509_REQ *req, const char *cn)
{
        if (!cn || !*cn)
                return NULL;
        if (strlen(cn) > COMMON_NAME_MAX)
                return mem_printf("common_name: \"%.80s\" is longer than %d characters", cn, COMMON_NAME_MAX);
        if (!X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(req), NID_commonName, MBSTRING_UTF8,
                                        (const unsigned char *)cn, -1, -1, 0))
                return keypair_error("common_name");
        return NULL;
}

static char *write_pem(X509_REQ *req, char **ret_csr)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *bytes, *error = NULL;
        long len = bio && PEM_write_bio_X509_REQ(bio, req) ? BIO_get_mem_data(bio, &bytes) : 0;

        if (len > 0)
                *ret_csr = mem_strndup(bytes, (size_t)len);
        else
                error = keypair_error("the certificate request cannot be written");
        BIO_free(bio);
        return error;
}

/**
 * keypair_csr() - a certificate request (PKCS#10, RFC 2986)
 * @k:         the key that signs it
 * @c:         common name and SANs. They must stand here: by default a role takes them from the CSR (use_csr_sans)
 * @ret_csr:   new, PEM
 * @ret_error: new, only with -EINVAL: what is wrong, naming the key of the configuration
 *
 * An alt_name with an "@" is a mail address, as for Vault. Ed25519 has its own hash (RFC 8032); all else is signed with SHA-256.
 *
 * Return: 0 or -EINVAL.
 */
int keypair_csr(const struct keypair *k, const struct config_certificate *c, char **ret_csr, char **ret_error)
{
        X509_REQ *req = X509_REQ_new();
        char *error = NULL;

        if (!req || !X509_REQ_set_version(req, X509_REQ_VERSION_1) || !X509_REQ_set_pubkey(req, k->pkey))
                error = keypair_error("the certificate request cannot be made");
        if (!error)
                error = set_subject(req, c->common_name);
        if (!error)
                error = set_names(req, c);
        if (!error && !X509_REQ_sign(req, k->pkey, EVP_PKEY_is_a(k->pkey, "ED25519") ? NULL : EVP_sha256()))
                error = keypair_error("the certificate request cannot be signed");
        if (!error)
                error = write_pem(req, ret_csr);
        X509_REQ_free(req);
        ERR_clear_error();
        if (!error)
                return 0;
        *ret_error = error;
        return -EINVAL;
}

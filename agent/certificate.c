/* agent/certificate.c: what a certificate says, and whether it, its key and its chain belong together. */
#include "agent/certificate.h"

#include "agent/keypair_internal.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PEM_MAX ((size_t)64 << 10)

/* An encrypted key must not make OpenSSL ask on the terminal. */
static int no_password(char *buf, int size, int writing, void *arg)
{
        (void)buf;
        (void)size;
        (void)writing;
        (void)arg;
        return -1;
}

static bool only_blanks_left(BIO *bio)
{
        char *rest;
        long len = BIO_get_mem_data(bio, &rest);

        for (long i = 0; i < len; i++) {
                if (!strchr(" \t\r\n", rest[i]))
                        return false;
        }
        return true;
}

/* One certificate and nothing else. */
static char *read_x509(const char *what, const char *pem, X509 **ret_cert)
{
        size_t len = strlen(pem), blank = strspn(pem, " \t\r\n");
        BIO *bio;
        X509 *cert;
        char *error = NULL;

        if (len > PEM_MAX)
                return mem_printf("%s is longer than 64 KiB", what);
        if (strncmp(pem + blank, "-----BEGIN ", 11) != 0) /* OpenSSL would skip any text before it */
                return mem_printf("%s does not begin with a PEM block", what);
        bio = BIO_new_mem_buf(pem, (int)len);
        cert = bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
        if (!cert) {
                cleanup_free char *step = mem_printf("%s cannot be read", what);

                error = keypair_error(step);
        } else if (!only_blanks_left(bio)) {
                error = mem_printf("%s: more than one PEM block, or text behind it", what);
                X509_free(cert);
        } else {
                *ret_cert = cert;
        }
        BIO_free(bio);
        return error;
}

static bool time_of(const ASN1_TIME *t, uint64_t *ret_usec)
{
        struct tm tm;
        time_t sec;

        if (!ASN1_TIME_to_tm(t, &tm))
                return false;
        sec = timegm(&tm);
        *ret_usec = sec > 0 ? (uint64_t)sec * USEC_PER_SEC : 0;
        return true;
}

/* RFC 5280 4.1.2.2: at most 20 bytes, positive. */
static bool serial_of(const X509 *cert, char *ret_text, size_t cap)
{
        const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
        const unsigned char *bytes = ASN1_STRING_get0_data(serial);
        int len = ASN1_STRING_length(serial);

        if (len < 1 || (size_t)len * 3 > cap)
                return false;
        for (int i = 0; i < len; i++)
                snprintf(ret_text + i * 3, cap - (size_t)i * 3, "%02x%s", bytes[i], i + 1 < len ? ":" : "");
        return true;
}

static char *facts_of(const X509 *cert, struct certificate_facts *ret)
{
        struct certificate_facts facts = {0};

        if (!time_of(X509_get0_notBefore(cert), &facts.not_before_usec) ||
            !time_of(X509_get0_notAfter(cert), &facts.not_after_usec)) {
                ERR_clear_error();
                return mem_strdup("the certificate's notBefore or notAfter is no time");
        }
        if (facts.not_after_usec <= facts.not_before_usec)
                return mem_strdup("the certificate ends before it begins");
        if (!serial_of(cert, facts.serial, sizeof(facts.serial)))
                return mem_strdup("the certificate's serial number is no sane number");
        *ret = facts;
        return NULL;
}

static int answer(char *error, char **ret_error)
{
        if (!error)
                return 0;
        *ret_error = error;
        return -EBADMSG;
}

/**
 * certificate_read() - when a certificate begins and ends, and its number (RFC 5280)
 * @pem:       one PEM block; blanks around it are fine, anything else is not
 * @ret_facts: filled where it is good
 * @ret_error: new, where it is not
 *
 * Return: 0 or -EBADMSG.
 */
int certificate_read(const char *pem, struct certificate_facts *ret_facts, char **ret_error)
{
        X509 *cert = NULL;
        char *error = read_x509("the certificate", pem, &cert);

        if (!error)
                error = facts_of(cert, ret_facts);
        X509_free(cert);
        return answer(error, ret_error);
}

static char *check_key(X509 *cert, const struct secret *key_pem)
{
        BIO *bio =
                secret_len(key_pem) > PEM_MAX ? NULL : BIO_new_mem_buf(secret_bytes(key_pem), (int)secret_len(key_pem));
        EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
        char *error = NULL;

        if (!key)
                error = keypair_error("the private key cannot be read");
        else if (EVP_PKEY_eq(X509_get0_pubkey(cert), key) != 1)
                error = mem_strdup("the private key does not belong to the certificate");
        ERR_clear_error();
        EVP_PKEY_free(key);
        BIO_free(bio);
        return error;
}

/* One certificate of those that may have issued the leaf. */
static char *check_issuer(const char *what, const char *pem, X509 *leaf, bool *issued)
{
        X509 *ca = NULL;
        char *error = read_x509(what, pem, &ca);

        if (error)
                return error;
        if (X509_check_issued(ca, leaf) == X509_V_OK && X509_verify(leaf, X509_get0_pubkey(ca)) == 1)
                *issued = true;
        ERR_clear_error();
        X509_free(ca);
        return NULL;
}

static char *check_chain(X509 *leaf, const json_t *data)
{
        const json_t *chain = json_object_get(data, "ca_chain"), *item;
        const char *issuing_ca = json_str(data, "issuing_ca");
        bool issued = false, any = false;
        char *error = NULL;
        size_t i;

        if (issuing_ca && *issuing_ca) {
                any = true;
                error = check_issuer("the issuing CA", issuing_ca, leaf, &issued);
        }
        json_array_foreach (chain, i, item) {
                cleanup_free char *what = mem_printf("certificate %zu of the chain", i + 1);

                if (error)
                        break;
                any = true;
                error = json_is_string(item) ? check_issuer(what, json_string_value(item), leaf, &issued)
                                             : mem_printf("%s is no text", what);
        }
        if (!error && any && !issued)
                error = mem_strdup("none of the CA certificates that came with the certificate has issued it");
        return error;
}

/**
 * certificate_check() - do certificate, key and chain belong together? (rule 12)
 * @pem:       the leaf
 * @key_pem:   its private key; PKCS#8, or what Vault calls "der": PKCS#1, SEC 1
 * @data:      an object; of it "ca_chain" and "issuing_ca" are looked at, both may be absent
 * @ret_facts: filled where all is good
 * @ret_error: new, where it is not
 *
 * Return: 0 or -EBADMSG.
 */
int certificate_check(const char *pem, const struct secret *key_pem, const json_t *data,
                      struct certificate_facts *ret_facts, char **ret_error)
{
        struct certificate_facts facts;
        X509 *leaf = NULL;
        char *error = read_x509("the certificate", pem, &leaf);

        if (!error)
                error = facts_of(leaf, &facts);
        if (!error)
                error = check_key(leaf, key_pem);
        if (!error)
                error = check_chain(leaf, data);
        if (!error)
                *ret_facts = facts;
        X509_free(leaf);
        return answer(error, ret_error);
}

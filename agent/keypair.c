/* agent/keypair.c: private keys that are made here. */
#include "agent/keypair.h"

#include "agent/keypair_internal.h"
#include "common/mem.h"
#include "common/secret.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

/**
 * keypair_error() - what OpenSSL could not do
 * @what: the step
 *
 * Empties OpenSSL's queue, so that the next failure is not explained by this one.
 *
 * Return: new.
 */
char *keypair_error(const char *what)
{
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());
        char *text = mem_printf("%s: %s", what, reason ? reason : "OpenSSL gives no reason");

        ERR_clear_error();
        return text;
}

static struct secret *private_pem(EVP_PKEY *pkey)
{
        BIO *bio = BIO_new(BIO_s_mem()); /* wipes what it frees */
        struct secret *pem = NULL;
        char *bytes;
        long len;

        if (bio && PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL)) {
                len = BIO_get_mem_data(bio, &bytes);
                if (len > 0)
                        pem = secret_new_from(bytes, (size_t)len);
        }
        BIO_free(bio);
        return pem;
}

/**
 * keypair_new() - make a private key
 * @type:  what to make
 * @ret_k: new
 *
 * Return: 0; -EIO where OpenSSL cannot.
 */
int keypair_new(enum key_type type, struct keypair **ret_k)
{
        EVP_PKEY *pkey = NULL;
        struct secret *pem;
        struct keypair *k;

        switch (type) {
        case KEY_EC_P256: pkey = EVP_EC_gen("P-256"); break;
        case KEY_EC_P384: pkey = EVP_EC_gen("P-384"); break;
        case KEY_RSA_2048: pkey = EVP_RSA_gen(2048); break;
        case KEY_RSA_3072: pkey = EVP_RSA_gen(3072); break;
        case KEY_RSA_4096: pkey = EVP_RSA_gen(4096); break;
        case KEY_ED25519: pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"); break;
        }
        pem = pkey ? private_pem(pkey) : NULL;
        ERR_clear_error();
        if (!pem) {
                EVP_PKEY_free(pkey);
                return -EIO;
        }
        k = mem_new(sizeof(*k));
        k->pkey = pkey;
        k->pem = pem;
        *ret_k = k;
        return 0;
}

/**
 * keypair_free() - wipe and free a key
 * @k: NULL is fine
 *
 * Return: NULL.
 */
struct keypair *keypair_free(struct keypair *k)
{
        if (k) {
                EVP_PKEY_free(k->pkey);
                secret_free(k->pem);
        }
        return mem_free(k);
}

/**
 * keypair_private_pem() - the private key as text (PKCS#8, RFC 5958; RFC 7468)
 * @k: the key
 *
 * Return: borrowed for the life of @k.
 */
const struct secret *keypair_private_pem(const struct keypair *k)
{
        return k->pem;
}

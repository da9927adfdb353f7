/* app/tls.c: the certificate of the https listeners: a fresh SSL_CTX a version, built and checked before it is used. */
#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/tls.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/harden.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/parse.h"

/* How long a connection goes on under a certificate that was replaced. */
#define LINGER_SEC        30U
#define LINGER_SPREAD_SEC 30U

struct tls {
        SSL_CTX *ctx; /* NULL: no certificate yet */
        uint64_t not_after_usec;
        char *serial;          /* NULL where there is no certificate */
        bool requires_clients; /* to show a certificate */
        X509_STORE *client_ca; /* NULL: none yet, or not required */
        uint64_t generation;
        uint64_t swapped_usec; /* CLOCK_BOOTTIME: when the generation before was replaced */
        bool cut;              /* the generation before has no time left: its clients may be trusted no more */
};

static void *ssl_malloc(size_t size, const char *file, int line)
{
        (void)file;
        (void)line;
        return wipe_malloc(size);
}

static void *ssl_realloc(void *ptr, size_t size, const char *file, int line)
{
        (void)file;
        (void)line;
        return wipe_realloc(ptr, size);
}

static void ssl_free(void *ptr, const char *file, int line)
{
        (void)file;
        (void)line;
        wipe_free(ptr);
}

/**
 * tls_setup() - OpenSSL wipes what it frees: a parsed private key leaves copies behind otherwise
 *
 * To be called before anything of OpenSSL (CRYPTO_set_mem_functions(3)).
 */
void tls_setup(void)
{
        if (CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free) != 1)
                log_warn("OpenSSL keeps its own allocator: what it frees is not wiped");
}

/**
 * tls_new() - without a certificate: each handshake is closed until tls_swap()
 */
struct tls *tls_new(void)
{
        return mem_new(sizeof(struct tls));
}

/**
 * tls_free() - living connections keep what they need of it; takes NULL
 */
struct tls *tls_free(struct tls *t)
{
        if (!t)
                return NULL;
        SSL_CTX_free(t->ctx);
        X509_STORE_free(t->client_ca);
        mem_free(t->serial);
        return mem_free(t);
}

static char *openssl_error(const char *what)
{
        unsigned long code = ERR_peek_last_error();
        const char *reason = code ? ERR_reason_error_string(code) : NULL;

        ERR_clear_error();
        return mem_printf("%s: %s", what, reason ? reason : "refused by OpenSSL");
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                       unsigned in_len, void *arg)
{
        static const unsigned char ours[] = "\x08http/1.1";
        unsigned char *selected;

        (void)ssl;
        (void)arg;
        if (SSL_select_next_proto(&selected, out_len, ours, sizeof(ours) - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
                return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301, 3.2: no_application_protocol */
        *out = selected;
        return SSL_TLSEXT_ERR_OK;
}

/* The key is as secret as what it protects: OpenSSL is never to ask a person for a passphrase. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
        (void)buf;
        (void)size;
        (void)writing;
        (void)arg;
        return -1;
}

static BIO *open_pem(const char *pem)
{
        size_t len = strlen(pem);

        return len > 0 && len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
}

static X509 *read_leaf(const char *pem)
{
        BIO *bio = open_pem(pem);
        X509 *leaf = bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;

        BIO_free(bio);
        return leaf;
}

static EVP_PKEY *read_key(const char *pem)
{
        BIO *bio = open_pem(pem);
        EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

        BIO_free(bio);
        return key;
}

/* Adds each certificate of the text but roots, which a client has or does not trust (RFC 8446, 4.4.2). Return: 0, -EINVAL. */
static int add_chain(SSL_CTX *ctx, const char *pem)
{
        BIO *bio = open_pem(pem);
        bool is_empty = true;
        X509 *x;
        int r = 0;

        if (!bio)
                return -EINVAL;
        while (r == 0 && (x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
                bool is_root = X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0;

                if (!is_root && SSL_CTX_add1_chain_cert(ctx, x) != 1)
                        r = -EINVAL;
                X509_free(x);
                is_empty = false;
        }
        /* The end of the text shows as "no start line"; anything else is a damaged certificate. */
        if (r == 0 && (is_empty || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE))
                r = -EINVAL;
        if (r == 0)
                ERR_clear_error();
        BIO_free(bio);
        return r;
}

static int use_chain(SSL_CTX *ctx, const json_t *data)
{
        const json_t *chain = json_object_get(data, "ca_chain");
        const char *issuer = json_str(data, "issuing_ca");

        if (json_is_array(chain) && json_array_size(chain) > 0) {
                for (size_t i = 0; i < json_array_size(chain); i++) {
                        const char *pem = json_string_value(json_array_get(chain, i));

                        if (!pem || add_chain(ctx, pem) < 0)
                                return -EINVAL;
                }
                return 0;
        }
        return issuer && issuer[0] ? add_chain(ctx, issuer) : 0;
}

static int not_after(const X509 *leaf, uint64_t *ret_usec)
{
        struct tm tm;
        time_t t;

        if (ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &tm) != 1)
                return -EINVAL;
        t = timegm(&tm);
        if (t < 0)
                return -EINVAL;
        *ret_usec = (uint64_t)t * USEC_PER_SEC;
        return 0;
}

static SSL_CTX *new_context(void)
{
        static const unsigned char session_id[] = "notesd";
        SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

        if (!ctx)
                return NULL;
        /* A new context comes with ticket keys of its own: an old ticket leads to a full handshake with the new certificate. */
        if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
            SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
            SSL_CTX_set_session_id_context(ctx, session_id, sizeof(session_id) - 1) != 1) {
                SSL_CTX_free(ctx);
                return NULL;
        }
        SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_num_tickets(ctx, 1); /* the default of two is for browsers that open several connections at once */
        SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
        return ctx;
}

/* Return: NULL, or what is wrong with it (new). */
static char *fill_context(SSL_CTX *ctx, const json_t *data, X509 *leaf, EVP_PKEY *key, uint64_t *ret_not_after_usec)
{
        uint64_t end_usec;

        if (!leaf)
                return openssl_error("the certificate cannot be read");
        if (!key)
                return openssl_error("the private key cannot be read");
        if (not_after(leaf, &end_usec) < 0)
                return mem_strdup("the certificate's end cannot be read");
        if (end_usec <= clock_realtime_usec())
                return mem_strdup("the certificate has expired");
        if (SSL_CTX_use_certificate(ctx, leaf) != 1)
                return openssl_error("the certificate cannot be used");
        if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
                return openssl_error("the private key does not fit the certificate");
        if (use_chain(ctx, data) < 0)
                return openssl_error("the CA chain cannot be read");
        *ret_not_after_usec = end_usec;
        return NULL;
}

/* "0a:1b:...", as Vault writes it. Return: new. */
static char *serial_text(const X509 *leaf)
{
        const ASN1_INTEGER *serial = X509_get0_serialNumber(leaf);
        struct buf out = BUF_INIT;

        for (int i = 0; i < serial->length; i++)
                buf_printf(&out, "%s%02x", i > 0 ? ":" : "", serial->data[i]);
        return buf_take(&out);
}

/* Where they are required: a certificate that client_ca vouches for, for clients (RFC 5280, 4.2.1.12), or no connection. */
static void ask_clients(const struct tls *t, SSL_CTX *ctx)
{
        STACK_OF(X509_OBJECT) * objects;

        if (!t->requires_clients || !t->client_ca)
                return;
        SSL_CTX_set1_verify_cert_store(ctx, t->client_ca);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        /* The names tell a client with several certificates which one to show. */
        objects = X509_STORE_get0_objects(t->client_ca);
        for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
                X509 *ca = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));

                if (ca)
                        SSL_CTX_add_client_CA(ctx, ca);
        }
}

/* ctx: stolen. cut: what was accepted before is to end at once. Living connections keep what they need of the old one. */
static void install(struct tls *t, SSL_CTX *ctx, bool is_cut)
{
        SSL_CTX_free(t->ctx);
        t->ctx = ctx;
        t->generation++;
        t->swapped_usec = clock_boottime_usec();
        t->cut = is_cut;
}

/**
 * tls_swap() - the next handshake uses this certificate; living connections go on
 * @data:      of a certificate secret: certificate, private_key, ca_chain or issuing_ca (PEM)
 * @ret_error: new, for people, nothing secret; only on failure
 *
 * The new context is built and checked before it takes the old one's place.
 *
 * Return: 0; -EINVAL: it cannot be used, the old one stays.
 */
int tls_swap(struct tls *t, const json_t *data, char **ret_error)
{
        const char *certificate = json_str(data, "certificate"), *private_key = json_str(data, "private_key");
        uint64_t end_usec = 0;
        SSL_CTX *ctx;
        EVP_PKEY *key;
        X509 *leaf;
        char *error;

        if (!certificate || !private_key) {
                *ret_error = mem_printf("the secret has no text \"%s\"", certificate ? "private_key" : "certificate");
                return -EINVAL;
        }
        ERR_clear_error();
        ctx = new_context();
        if (!ctx) {
                *ret_error = openssl_error("no TLS context");
                return -EINVAL;
        }
        leaf = read_leaf(certificate);
        key = read_key(private_key);
        error = fill_context(ctx, data, leaf, key, &end_usec);
        if (!error && X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0)
                log_warn("tls: the certificate is not valid yet by this machine's clock; in use nevertheless");
        X509_free(leaf);
        EVP_PKEY_free(key);
        if (error) {
                SSL_CTX_free(ctx);
                *ret_error = error;
                return -EINVAL;
        }
        mem_free(t->serial);
        t->serial = serial_text(SSL_CTX_get0_certificate(ctx));
        t->not_after_usec = end_usec;
        ask_clients(t, ctx);
        install(t, ctx, false);
        return 0;
}

/* --- the clients' certificates --- */

/**
 * tls_require_clients() - clients must show a certificate
 */
void tls_require_clients(struct tls *t)
{
        t->requires_clients = true;
}

/* Return: new; NULL: no certificate can be read, or something behind one cannot. */
static X509_STORE *read_store(const char *pem)
{
        BIO *bio = open_pem(pem);
        X509_STORE *store = X509_STORE_new();
        bool is_good = bio && store;
        int count = 0;
        X509 *x;

        while (is_good && (x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
                is_good = X509_STORE_add_cert(store, x) == 1;
                X509_free(x);
                count++;
        }
        is_good = is_good && count > 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
        BIO_free(bio);
        if (!is_good) {
                X509_STORE_free(store);
                return NULL;
        }
        ERR_clear_error();
        /* An intermediate authority may be all that is given: whom it signed is trusted, whoever signed it. */
        X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
        return store;
}

/* A context of its own with the same certificate, and so with ticket keys of its own. Return: new; NULL. */
static SSL_CTX *copy_context(SSL_CTX *old)
{
        SSL_CTX *ctx = new_context();
        STACK_OF(X509) *chain = NULL;

        if (!ctx)
                return NULL;
        if (SSL_CTX_use_certificate(ctx, SSL_CTX_get0_certificate(old)) != 1 ||
            SSL_CTX_use_PrivateKey(ctx, SSL_CTX_get0_privatekey(old)) != 1 ||
            SSL_CTX_get0_chain_certs(old, &chain) != 1 || SSL_CTX_set1_chain(ctx, chain) != 1) {
                SSL_CTX_free(ctx);
                return NULL;
        }
        return ctx;
}

/**
 * tls_swap_client_ca() - the next handshake asks for a certificate of this authority
 * @data:      its member ca_cert, else ca_chain (a text), else certificate: one or more certificates in PEM. The last two are
 *             what Vault answers at pki/cert/ca_chain and pki/cert/ca
 * @ret_error: new, for people; only on failure
 *
 * Connections whose client was trusted by the one before end with their next answer.
 *
 * Return: 0; -EINVAL: it cannot be used, the old one stays.
 */
int tls_swap_client_ca(struct tls *t, const json_t *data, char **ret_error)
{
        static const char *const members[] = {"ca_cert", "ca_chain", "certificate"};
        const char *pem = NULL;
        X509_STORE *store;
        SSL_CTX *ctx = NULL;

        for (size_t i = 0; i < array_len(members) && !(pem && pem[0]); i++)
                pem = json_str(data, members[i]);
        if (!pem || !pem[0]) {
                *ret_error = mem_strdup("the secret has no text \"ca_cert\", \"ca_chain\" or \"certificate\"");
                return -EINVAL;
        }
        ERR_clear_error();
        store = read_store(pem);
        if (!store) {
                *ret_error = openssl_error("the CA of clients cannot be read");
                return -EINVAL;
        }
        if (t->ctx && !(ctx = copy_context(t->ctx))) {
                *ret_error = openssl_error("no TLS context");
                X509_STORE_free(store);
                return -EINVAL;
        }
        X509_STORE_free(t->client_ca);
        t->client_ca = store;
        if (ctx) {
                ask_clients(t, ctx);
                install(t, ctx, true);
        }
        return 0;
}

/**
 * tls_has_certificate() - can a handshake succeed?
 */
bool tls_has_certificate(const struct tls *t)
{
        return t->ctx && (t->client_ca || !t->requires_clients);
}

/**
 * tls_serial() - of the certificate in use
 *
 * Return: borrowed until the next tls_swap(); "" where there is none.
 */
const char *tls_serial(const struct tls *t)
{
        return t->serial ? t->serial : "";
}

/**
 * tls_generation() - to be kept beside a connection that is accepted now, for tls_is_over()
 */
uint64_t tls_generation(const struct tls *t)
{
        return t->generation;
}

/**
 * tls_is_over() - should a connection end with its next answer?
 * @generation: when it was accepted
 * @salt:       of the connection: the ends of many are spread over LINGER_SPREAD_SEC, so that not all shake hands again at once
 *
 * Living connections go on at a swap; yet none is to show an old certificate for as long as its client likes.
 */
bool tls_is_over(const struct tls *t, uint64_t generation, unsigned salt)
{
        uint64_t linger_usec = (LINGER_SEC + salt % LINGER_SPREAD_SEC) * USEC_PER_SEC;

        if (generation == t->generation)
                return false;
        if (generation + 1 < t->generation || t->cut)
                return true;
        return clock_boottime_usec() - t->swapped_usec >= linger_usec;
}

/**
 * tls_not_after_usec() - the end of the certificate in use
 */
uint64_t tls_not_after_usec(const struct tls *t)
{
        return t->not_after_usec;
}

/**
 * tls_wrap() - the server's side of one accepted connection
 * @fd:  stolen where a bufferevent is returned
 * @tls: a struct tls
 *
 * Return: new; NULL where there is no certificate yet: the caller closes fd.
 */
struct bufferevent *tls_wrap(struct event_base *base, int fd, void *tls)
{
        struct tls *t = tls;
        struct bufferevent *bev;
        SSL *ssl = tls_has_certificate(t) ? SSL_new(t->ctx) : NULL;

        if (!ssl)
                return NULL;
        bev = bufferevent_openssl_socket_new(base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
        if (!bev) {
                SSL_free(ssl);
                return NULL;
        }
        /* HTTP/1.1 says itself where a message ends; a missing close_notify cuts nothing off. */
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
        return bev;
}

/**
 * tls_send() - sends bytes at once, past the bufferevent
 * @bev:   of tls_wrap(); its output buffer is empty
 * @bytes: up to a record; where 0 is returned, the same bytes must be sent next, by way of that buffer
 * @len:   at least 1
 *
 * Return: @len; 0: the socket takes no more now; -EPIPE.
 */
ssize_t tls_send(struct bufferevent *bev, const void *bytes, size_t len)
{
        SSL *ssl = bufferevent_openssl_get_ssl(bev);
        int n, why;

        ERR_clear_error();
        n = SSL_write(ssl, bytes, (int)len);
        if (n > 0)
                return n;
        why = SSL_get_error(ssl, n);
        ERR_clear_error();
        return why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ ? 0 : -EPIPE;
}

/**
 * tls_bye() - tells the peer that the connection ends in good order (close_notify, RFC 8446, 6.1)
 * @arg: unused
 */
void tls_bye(struct bufferevent *bev, void *arg)
{
        SSL *ssl = bufferevent_openssl_get_ssl(bev);

        (void)arg;
        if (!ssl || !SSL_is_init_finished(ssl))
                return;
        /* As if the peer had said it already: nobody waits for its answer. */
        SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN);
        SSL_shutdown(ssl);
        ERR_clear_error();
}

/* common/http_client_model.c: curl set up once: allocators, address, trust, limits. */
#include "common/http_client_model.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/harden.h"
#include "common/http_client.h"
#include "common/mem.h"
#include "common/secret.h"

#define CONNECT_TIMEOUT_MSEC 10000L
#define CONN_LIFE_SEC        300L /* so that a moved name or a changed CA is seen without a restart */
#define CONN_IDLE_SEC        90L
#define SYSTEM_CA_SEC        300L /* loading the system's bundle costs 19 ms: kept that long */
#define UNACKED_MSEC         20000
#define PEM_MAX              ((size_t)4 << 20)

static void *crypto_malloc(size_t size, const char *file, int line)
{
        (void)file;
        (void)line;
        return size ? wipe_malloc(size) : NULL;
}

static void *crypto_realloc(void *ptr, size_t size, const char *file, int line)
{
        (void)file;
        (void)line;
        return wipe_realloc(ptr, size);
}

static void crypto_free(void *ptr, const char *file, int line)
{
        (void)file;
        (void)line;
        wipe_free(ptr);
}

/**
 * http_client_setup() - give curl and OpenSSL allocators that wipe what they free
 *
 * OpenSSL takes allocators only before its first own allocation, so this comes first in main(). Without it three copies of a
 * fetched password stay in freed memory.
 *
 * Return: 0; -EALREADY where OpenSSL was used before; -EIO where curl cannot start.
 */
int http_client_setup(void)
{
        static bool done;

        if (done)
                return 0;
        if (!CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free))
                return -EALREADY;
        if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, wipe_malloc, wipe_free, wipe_realloc, wipe_strdup, wipe_calloc) !=
            CURLE_OK)
                return -EIO;
        done = true;
        return 0;
}

static char *check_file(const char *what, const char *path, const char *wanted)
{
        cleanup_secret struct secret *content = NULL; /* it may be the client's key */
        int r;

        if (!path)
                return NULL;
        r = secret_read_file(path, PEM_MAX, &content);
        if (r < 0)
                return mem_printf("%s %s: %s", what, path, strerror(-r));
        if (!memmem(secret_bytes(content), secret_len(content), wanted, strlen(wanted)))
                return mem_printf("%s %s: holds no PEM block that ends in \"%s\"", what, path, wanted);
        return NULL;
}

static char *check_files(const struct http_client_config *config)
{
        char *error = check_file("CA file", config->ca_cert, "CERTIFICATE-----");
        struct stat st;

        if (!error)
                error = check_file("client certificate", config->client_cert, "CERTIFICATE-----");
        if (!error)
                error = check_file("client key", config->client_key, "PRIVATE KEY-----");
        if (!error && config->client_key && !config->client_cert)
                error = mem_printf("client key %s: a key without a client certificate", config->client_key);
        if (!error && config->ca_path && stat(config->ca_path, &st) < 0)
                error = mem_printf("CA folder %s: %s", config->ca_path, strerror(errno));
        else if (!error && config->ca_path && !S_ISDIR(st.st_mode))
                error = mem_printf("CA folder %s: is not a folder", config->ca_path);
        return error;
}

static bool has_part(CURLU *url, CURLUPart part)
{
        char *text = NULL;
        bool there = curl_url_get(url, part, &text, 0) == CURLUE_OK;

        curl_free(text);
        return there;
}

/*
 * curl checks a certificate against the host of the URL alone. For another name the URL carries that name, connect_to leads it
 * to the real host, and the Host field says what it would have said.
 */
static bool use_server_name(struct http_client_model *m, CURLU *url, const char *name)
{
        char *host = NULL, *port = NULL;
        cleanup_free char *target = NULL;
        cleanup_free char *literal = strchr(name, ':') ? mem_printf("[%s]", name) : mem_strdup(name);
        bool good = curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                    curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                    curl_url_set(url, CURLUPART_HOST, literal, 0) == CURLUE_OK;

        if (good) {
                target = mem_printf("::%s:%s", host, port);
                m->connect_to = curl_slist_append(NULL, target);
                m->host = has_part(url, CURLUPART_PORT) ? mem_printf("Host: %s:%s", host, port)
                                                        : mem_printf("Host: %s", host);
                good = m->connect_to != NULL;
        }
        curl_free(host);
        curl_free(port);
        return good;
}

static char *set_address(struct http_client_model *m, const struct http_client_config *config)
{
        CURLU *url = curl_url();
        char *text = NULL, *scheme = NULL, *error = NULL;
        size_t len;

        if (!url || curl_url_set(url, CURLUPART_URL, config->address, 0) != CURLUE_OK ||
            curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
            (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0))
                error = mem_strdup("is not of the form https://HOST:PORT");
        else if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD) || has_part(url, CURLUPART_QUERY) ||
                 has_part(url, CURLUPART_FRAGMENT))
                error = mem_strdup("may hold neither user, password, query nor fragment");
        else if (config->server_name && strcmp(scheme, "https") == 0 && !use_server_name(m, url, config->server_name))
                error = mem_printf("the TLS server name \"%s\" is no host name", config->server_name);
        else if (curl_url_get(url, CURLUPART_URL, &text, 0) != CURLUE_OK)
                error = mem_strdup("cannot be used");
        if (!error) {
                for (len = strlen(text); len > 0 && text[len - 1] == '/';)
                        len--;
                m->base = mem_strndup(text, len);
                m->address = mem_strdup(config->address);
        }
        curl_free(text);
        curl_free(scheme);
        curl_url_cleanup(url);
        return error;
}

static int on_curl_connect(void *arg, curl_socket_t fd, curlsocktype purpose)
{
        unsigned unacked_msec = UNACKED_MSEC;

        (void)arg;
        (void)purpose;
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return CURL_SOCKOPT_ERROR;
        /* A peer that vanished is noticed by what it does not acknowledge; without this only the call's deadline would. */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked_msec, sizeof(unacked_msec));
        return CURL_SOCKOPT_OK;
}

struct long_option {
        CURLoption option;
        long value;
};

struct text_option {
        CURLoption option;
        const char *value;
};

/* A NULL is set as well: it undoes what curl was built with. */
static CURLcode set_options(CURL *easy, const struct long_option *longs, size_t longs_len,
                            const struct text_option *texts, size_t texts_len)
{
        CURLcode code = CURLE_OK;

        for (size_t i = 0; i < longs_len && code == CURLE_OK; i++)
                code = curl_easy_setopt(easy, longs[i].option, longs[i].value);
        for (size_t i = 0; i < texts_len && code == CURLE_OK; i++)
                code = curl_easy_setopt(easy, texts[i].option, texts[i].value);
        return code;
}

/* The CA: the one that was given and no other; the system's where none was. */
static CURLcode set_trust(CURL *easy, const struct http_client_config *config)
{
        const struct long_option longs[] = {
                {CURLOPT_SSL_VERIFYPEER, config->skip_verify ? 0L : 1L},
                {CURLOPT_SSL_VERIFYHOST, config->skip_verify ? 0L : 2L},
                {CURLOPT_CA_CACHE_TIMEOUT, config->ca_cert ? 0L : SYSTEM_CA_SEC},
        };
        const struct text_option own_ca[] = {
                {CURLOPT_CAINFO, config->ca_cert},
                {CURLOPT_CAPATH, config->ca_path},
        };
        bool has_own = config->ca_cert || config->ca_path;

        return set_options(easy, longs, array_len(longs), own_ca, has_own ? array_len(own_ca) : 0);
}

static CURLcode set_model(struct http_client_model *m, const struct http_client_config *config)
{
        const struct long_option longs[] = {
                {CURLOPT_NOSIGNAL, 1},
                {CURLOPT_QUICK_EXIT, 1}, /* a call that is given up must not wait for its resolver's thread */
                {CURLOPT_FOLLOWLOCATION, 0},
                {CURLOPT_PATH_AS_IS, 1},
                {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
                {CURLOPT_SUPPRESS_CONNECT_HEADERS, 1},
                {CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MSEC},
                {CURLOPT_TCP_KEEPALIVE, 1},
                {CURLOPT_TCP_KEEPIDLE, 30},
                {CURLOPT_TCP_KEEPINTVL, 10},
                {CURLOPT_MAXLIFETIME_CONN, CONN_LIFE_SEC},
                {CURLOPT_MAXAGE_CONN, CONN_IDLE_SEC},
                {CURLOPT_SSL_SESSIONID_CACHE,
                 0}, /* a resumed session is not verified again: a replaced CA must count */
                {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
                {CURLOPT_PROXY_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
                {CURLOPT_MAXFILESIZE, (long)HTTP_CLIENT_BODY_MAX},
        };
        const struct text_option texts[] = {
                {CURLOPT_PROTOCOLS_STR, "http,https"},
                {CURLOPT_USERAGENT, "leasekeeper/" LEASEKEEPER_VERSION},
                {CURLOPT_PROXY, config->proxy ? config->proxy : ""},
                {CURLOPT_NOPROXY, ""}, /* else NO_PROXY of the environment would count */
                {CURLOPT_SSLCERT, config->client_cert},
                {CURLOPT_SSLKEY, config->client_key},
                {CURLOPT_KEYPASSWD, ""}, /* else an encrypted key would ask on the terminal */
        };
        CURLcode code = set_options(m->easy, longs, array_len(longs), texts, array_len(texts));

        if (code == CURLE_OK)
                code = set_trust(m->easy, config);
        if (code == CURLE_OK && m->connect_to)
                code = curl_easy_setopt(m->easy, CURLOPT_CONNECT_TO, m->connect_to);
        if (code == CURLE_OK)
                code = curl_easy_setopt(m->easy, CURLOPT_SOCKOPTFUNCTION, on_curl_connect);
        return code;
}

/**
 * http_client_model_make() - what all calls to one server have in common
 * @m:      filled, also in part where this fails
 * @config: borrowed until this returns
 *
 * Return: NULL, or new: what is wrong, naming the file or the address.
 */
char *http_client_model_make(struct http_client_model *m, const struct http_client_config *config)
{
        char *error = check_files(config);

        *m = (struct http_client_model){0};
        if (error)
                return error;
        error = set_address(m, config);
        if (error) {
                cleanup_free char *why = error;

                return mem_printf("address \"%s\": %s", config->address, why);
        }
        m->easy = curl_easy_init();
        if (!m->easy || set_model(m, config) != CURLE_OK)
                return mem_printf("%s: %s cannot be set up as needed", config->address, curl_version());
        return NULL;
}

/**
 * http_client_model_done() - free what http_client_model_make() made
 * @m: may be made in part, or done already
 */
void http_client_model_done(struct http_client_model *m)
{
        curl_easy_cleanup(m->easy);
        curl_slist_free_all(m->connect_to);
        mem_free(m->address);
        mem_free(m->base);
        mem_free(m->host);
        *m = (struct http_client_model){0};
}

/**
 * http_client_check() - would http_client_new() take this?
 * @config: borrowed until this returns
 *
 * Return: NULL where it would, or new: what is wrong, naming the file or the address.
 */
char *http_client_check(const struct http_client_config *config)
{
        struct http_client_model m;
        char *error = http_client_model_make(&m, config);

        http_client_model_done(&m);
        return error;
}

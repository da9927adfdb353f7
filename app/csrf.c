/* app/csrf.c: the token that ties a form to the cookie of the browser it was shown in: HMAC-SHA256 of the cookie. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "app/csrf.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/secret.h"

#define KEY_LEN     32
#define COOKIE_HTTP "notesd_form"
/* The prefix makes browsers refuse the cookie from any other host and from plain HTTP (RFC 6265bis, 4.1.3.2). */
#define COOKIE_TLS "__Host-notesd_form"

struct csrf {
        unsigned char key[KEY_LEN];
};

static void random_bytes(unsigned char *bytes, size_t len)
{
        /* Up to 256 bytes come whole once the kernel is seeded (getrandom(2)); a token that can be guessed is none. */
        if (getrandom(bytes, len, 0) != (ssize_t)len) {
                log_error("the kernel gives no random bytes; ending");
                exit(1);
        }
}

static void to_hex(const unsigned char *bytes, size_t len, char *ret_text)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < len; i++) {
                ret_text[2 * i] = digits[bytes[i] >> 4];
                ret_text[2 * i + 1] = digits[bytes[i] & 15];
        }
        ret_text[2 * len] = '\0';
}

/**
 * csrf_new() - a key of this process alone: forms of an earlier life are told to be sent again
 */
struct csrf *csrf_new(void)
{
        struct csrf *c = mem_new(sizeof(*c));

        random_bytes(c->key, sizeof(c->key));
        return c;
}

/**
 * csrf_free() - wipes the key; takes NULL
 */
struct csrf *csrf_free(struct csrf *c)
{
        if (c)
                secret_wipe(c, sizeof(*c));
        return mem_free(c);
}

/**
 * csrf_random_id() - a fresh value for the cookie
 */
void csrf_random_id(char ret_id[CSRF_ID_LEN + 1])
{
        unsigned char bytes[CSRF_ID_LEN / 2];

        random_bytes(bytes, sizeof(bytes));
        to_hex(bytes, sizeof(bytes), ret_id);
}

static bool is_id(const char *text, size_t len)
{
        return len == CSRF_ID_LEN && strspn(text, "0123456789abcdef") >= len;
}

/**
 * csrf_cookie_id() - our cookie out of a Cookie header (RFC 6265, 4.2)
 * @cookie_header: NULL where the request has none
 *
 * Return: false where it is not there, or not as we made it.
 */
bool csrf_cookie_id(const char *cookie_header, bool is_tls, char ret_id[CSRF_ID_LEN + 1])
{
        const char *name = is_tls ? COOKIE_TLS : COOKIE_HTTP;
        size_t name_len = strlen(name);

        for (const char *pos = cookie_header; pos && *pos;) {
                size_t len;

                pos += strspn(pos, " ;");
                len = strcspn(pos, ";");
                if (len > name_len && pos[name_len] == '=' && memcmp(pos, name, name_len) == 0 &&
                    is_id(pos + name_len + 1, len - name_len - 1)) {
                        memcpy(ret_id, pos + name_len + 1, CSRF_ID_LEN);
                        ret_id[CSRF_ID_LEN] = '\0';
                        return true;
                }
                pos += len;
        }
        return false;
}

/**
 * csrf_set_cookie() - a session cookie that no script and no other site can use
 */
char *csrf_set_cookie(const char *id, bool is_tls)
{
        if (is_tls)
                return mem_printf(COOKIE_TLS "=%s; Path=/; HttpOnly; SameSite=Strict; Secure", id);
        return mem_printf(COOKIE_HTTP "=%s; Path=/; HttpOnly; SameSite=Strict", id);
}

/**
 * csrf_token() - what the form carries for this cookie
 */
void csrf_token(const struct csrf *c, const char *id, char ret_token[CSRF_TOKEN_LEN + 1])
{
        unsigned char mac[EVP_MAX_MD_SIZE];
        unsigned mac_len = 0;

        if (!HMAC(EVP_sha256(), c->key, sizeof(c->key), (const unsigned char *)id, strlen(id), mac, &mac_len) ||
            mac_len != CSRF_TOKEN_LEN / 2) {
                log_error("HMAC-SHA256 is not to be had from OpenSSL; ending");
                exit(1);
        }
        to_hex(mac, mac_len, ret_token);
}

/**
 * csrf_check() - does the form belong to the cookie? In constant time
 */
bool csrf_check(const struct csrf *c, const char *id, const char *token, size_t len)
{
        char wanted[CSRF_TOKEN_LEN + 1];

        csrf_token(c, id, wanted);
        return len == CSRF_TOKEN_LEN && CRYPTO_memcmp(wanted, token, len) == 0;
}

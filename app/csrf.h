/* app/csrf.h: the token that ties a form to the cookie of the browser it was shown in. */
#ifndef APP_CSRF_H
#define APP_CSRF_H

#include <stdbool.h>
#include <stddef.h>

#define CSRF_ID_LEN    32 /* hexadecimal digits, without the NUL */
#define CSRF_TOKEN_LEN 64

struct csrf;

struct csrf *csrf_new(void); /* new, with a random key of its own */
struct csrf *csrf_free(struct csrf *c);
void csrf_random_id(char ret_id[CSRF_ID_LEN + 1]);           /* 128 random bits */
bool csrf_cookie_id(const char *cookie_header, bool is_tls, char ret_id[CSRF_ID_LEN + 1]);
char *csrf_set_cookie(const char *id, bool is_tls);          /* new: the value of Set-Cookie */
void csrf_token(const struct csrf *c, const char *id, char ret_token[CSRF_TOKEN_LEN + 1]);
bool csrf_check(const struct csrf *c, const char *id, const char *token, size_t len);

#endif

/* agent/auth_method.c: what the login methods share: reading a credential file. */
#include "agent/auth_method.h"

#include <string.h>

#include "common/secret.h"

#define CREDENTIAL_MAX ((size_t)16 << 10)

/**
 * auth_read_credential() - a credential file's content, without the white space around it
 * @path: the file
 * @ret_value: new
 *
 * Return: 0; 1 where the file is empty; -errno.
 */
int auth_read_credential(const char *path, struct secret **ret_value)
{
        cleanup_secret struct secret *raw = NULL;
        const char *start, *end;
        int r = secret_read_file(path, CREDENTIAL_MAX, &raw);

        if (r < 0)
                return r;
        start = secret_bytes(raw);
        end = start + secret_len(raw);
        while (start < end && strchr(" \t\r\n", *start))
                start++;
        while (end > start && strchr(" \t\r\n", end[-1]))
                end--;
        if (start == end)
                return 1;
        *ret_value = secret_new_from(start, (size_t)(end - start));
        return 0;
}

/**
 * auth_credentials_done() - wipes and frees the members
 * @c: may be filled again
 */
void auth_credentials_done(struct auth_credentials *c)
{
        secret_free(c->kept);
        secret_free(c->wrapping);
        secret_free(c->seen);
        secret_free(c->role);
        *c = (struct auth_credentials){0};
}

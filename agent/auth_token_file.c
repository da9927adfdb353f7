/* agent/auth_token_file.c: no login at all: a token from a file is looked up and kept alive. */
#include <errno.h>
#include <string.h>

#include "agent/auth_method.h"
#include "agent/config.h"
#include "common/mem.h"
#include "common/secret.h"

static int read_token(const struct config_auth *config, struct auth_credentials *c, char **ret_error)
{
        struct secret *value = NULL;
        int r = auth_read_credential(config->token_file_path, &value);

        if (r != 0) {
                *ret_error = mem_printf("%s: %s; put a Vault token there", config->token_file_path,
                                        r > 0 ? "empty" : strerror(-r));
                return r > 0 ? -ENODATA : r;
        }
        if (c->kept && secret_equal(c->kept, value)) {
                secret_free(value);
                return 0;
        }
        secret_replace(&c->kept, value);
        return 1;
}

const struct login_method login_token_file = {
        .name = "token_file",
        .read = read_token,
};

/* agent/auth_approle.c: AppRole: role-id and secret-id files, wrapped secret-ids (POST auth/approle/login). */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/auth_method.h"
#include "agent/config.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/secret.h"

static int read_secret_id(const struct config_auth *config, struct auth_credentials *c, char **ret_error)
{
        struct secret *value = NULL;
        int r;

        if (!config->secret_id_file_path)
                return 0; /* bind_secret_id = false */
        r = auth_read_credential(config->secret_id_file_path, &value);
        if ((r == -ENOENT || r == 1) && c->kept)
                return 0; /* removed after reading, as it should be */
        if (r != 0) {
                *ret_error = mem_printf("%s: %s; put a fresh secret-id there", config->secret_id_file_path,
                                        r > 0 ? "empty" : strerror(-r));
                return r > 0 ? -ENODATA : r;
        }
        if (c->seen && secret_equal(c->seen, value)) {
                secret_free(value);
                return 0;
        }
        secret_replace(&c->seen, value);
        if (config->secret_id_response_wrapping_path) {
                secret_replace(&c->wrapping, secret_new_from(secret_bytes(value), secret_len(value)));
        } else {
                secret_replace(&c->kept, secret_new_from(secret_bytes(value), secret_len(value)));
                c->from_file = true;
        }
        return 1;
}

/* Return: is it another than was known? What is wrong with the file is said when a login is due. */
static bool takes_role_id(const struct config_auth *config, struct auth_credentials *c)
{
        struct secret *value = NULL;
        bool was_known = c->role != NULL;

        if (auth_read_credential(config->role_id_file_path, &value) != 0)
                return false;
        if (was_known && secret_equal(c->role, value)) {
                secret_free(value);
                return false;
        }
        secret_replace(&c->role, value);
        return was_known;
}

static int read_credentials(const struct config_auth *config, struct auth_credentials *c, char **ret_error)
{
        int r = read_secret_id(config, c, ret_error);

        return r >= 0 && takes_role_id(config, c) ? 1 : r;
}

static int build_login(const struct config_auth *config, const struct auth_credentials *c, struct vault_request *ret,
                       char **ret_error)
{
        cleanup_secret struct secret *role_id = NULL;
        int r = auth_read_credential(config->role_id_file_path, &role_id);

        if (r != 0) {
                *ret_error = mem_printf("%s: %s; put the role-id there", config->role_id_file_path,
                                        r > 0 ? "empty" : strerror(-r));
                return r > 0 ? -ENODATA : r;
        }
        vault_request_approle_login(ret, config->mount_path, role_id, c->kept);
        return 0;
}

/* A fresh one that came since the last reading is not to be lost unread. */
static bool is_what_was_read(const struct config_auth *config, const struct auth_credentials *c)
{
        cleanup_secret struct secret *now = NULL;

        return auth_read_credential(config->secret_id_file_path, &now) != 0 || (c->seen && secret_equal(c->seen, now));
}

static void remove_file(const struct config_auth *config, struct auth_credentials *c)
{
        if (!c->from_file || !config->secret_id_file_path || !config->remove_secret_id_file_after_reading)
                return;
        c->from_file = false;
        if (!is_what_was_read(config, c))
                return;
        if (unlink(config->secret_id_file_path) < 0 && errno != ENOENT)
                log_warn("%s: cannot be removed after reading: %s; it stays readable there",
                         config->secret_id_file_path, strerror(errno));
}

const struct login_method login_approle = {
        .name = "approle",
        .read = read_credentials,
        .login = build_login,
        .logged_in = remove_file,
};

/* agent/config_ids.c: users and groups, by name or number. */
#include "agent/config_read.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>

#include "common/mem.h"
#include "common/parse.h"

#define ID_MAX (UINT32_MAX - 1) /* 2^32 - 1 says "leave" to chown() */

/* How a name becomes a number: -errno from the look-up, 1 where nobody has the name. */
typedef int (*lookup_fn)(const char *name, uint32_t *ret_id);

/* getpwnam_r(3): some name services say "no such entry" with an error. */
static bool is_nobody(int error)
{
        return error == ENOENT || error == ESRCH;
}

static int lookup_user(const char *name, uint32_t *ret_id)
{
        struct passwd entry, *found = NULL;
        int error = ERANGE;

        for (size_t cap = 4096; error == ERANGE && cap <= 1 << 20; cap *= 4) {
                cleanup_free char *scratch = mem_array(1, cap);

                error = getpwnam_r(name, &entry, scratch, cap, &found);
                if (error == 0 && found)
                        *ret_id = found->pw_uid;
        }
        return is_nobody(error) ? 1 : error ? -error : !found;
}

static int lookup_group(const char *name, uint32_t *ret_id)
{
        struct group entry, *found = NULL;
        int error = ERANGE;

        for (size_t cap = 4096; error == ERANGE && cap <= 1 << 22; cap *= 4) {
                cleanup_free char *scratch = mem_array(1, cap);

                error = getgrnam_r(name, &entry, scratch, cap, &found);
                if (error == 0 && found)
                        *ret_id = found->gr_gid;
        }
        return is_nobody(error) ? 1 : error ? -error : !found;
}

static void read_id(struct config_reader *r, const struct hcl_node *value, const char *what, lookup_fn lookup,
                    uint32_t *ret_id)
{
        uint64_t number;
        int error;

        if ((value->type != HCL_STRING && value->type != HCL_NUMBER) || *value->text == '\0') {
                config_error(r, value, "\"%s\" names no %s; write a name in quotes or a number", value->key, what);
                return;
        }
        if (parse_u64(value->text, strlen(value->text), ID_MAX, &number) == 0) {
                *ret_id = (uint32_t)number;
                return;
        }
        if (value->type == HCL_NUMBER || strspn(value->text, "0123456789") == strlen(value->text)) {
                config_error(r, value, "%.60s is no number of a %s; write one from 0 to %u", value->text, what,
                             (unsigned)ID_MAX);
                return;
        }
        if (r->depth != CONFIG_FULL)
                return;
        error = lookup(value->text, ret_id);
        if (error > 0)
                config_error(r, value, "there is no %s \"%.60s\"; create it, or write its number", what, value->text);
        else if (error < 0)
                config_error(r, value, "looking up the %s \"%.60s\" failed: %s; write its number", what, value->text,
                             strerror(-error));
}

/**
 * config_read_user() - reads a user, by name or number
 * @r: collects findings; names are looked up with CONFIG_FULL alone
 * @value: the node
 * @field: uid_t; stays where there is a finding or no look-up. A number need not be anybody's
 */
void config_read_user(struct config_reader *r, const struct hcl_node *value, void *field)
{
        read_id(r, value, "user", lookup_user, field);
}

/**
 * config_read_group() - reads a group, by name or number
 * @r: collects findings; names are looked up with CONFIG_FULL alone
 * @value: the node
 * @field: gid_t; stays where there is a finding or no look-up. A number need not be anybody's
 */
void config_read_group(struct config_reader *r, const struct hcl_node *value, void *field)
{
        read_id(r, value, "group", lookup_group, field);
}

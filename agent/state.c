/* agent/state.c: the folder that outlives the process (rule 10). */
#include "agent/state.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

#define STATE_FORMAT   1
#define STATE_FILE_MAX ((size_t)4 << 20)
#define SECRET_PREFIX  "secret-"
#define SUFFIX         ".json"
#define TOKENS_FILE    "tokens" SUFFIX

struct state {
        char *dir, *identity;
        int lock_fd;
};

/**
 * state_open() - opens the folder and locks it
 * @dir: made with its parents where missing; must belong to us and be closed to others
 * @identity: copied
 * @ret_state: new
 *
 * Return: 0; -EWOULDBLOCK where another agent holds it; -EPERM where the folder belongs to somebody else; -errno.
 */
int state_open(const char *dir, const char *identity, struct state **ret_state)
{
        cleanup_free char *lock = mem_printf("%s/lock", dir);
        struct state *st;
        struct stat sb;
        int fd, r;

        r = fs_mkdir_parents(dir, 0700);
        if (r < 0)
                return r;
        if (stat(dir, &sb) < 0)
                return -errno;
        if (sb.st_uid != geteuid())
                return -EPERM;
        if ((sb.st_mode & 077) != 0 && chmod(dir, 0700) < 0)
                return -errno;
        r = fs_lock(lock, &fd);
        if (r < 0)
                return r;
        if (fs_sweep(dir) < 0) /* they hold secrets, and a kill in a loop would fill the memory with them */
                log_warn("%s: what a killed agent left half-written cannot be removed", dir);
        st = mem_new(sizeof(*st));
        st->dir = mem_strdup(dir);
        st->identity = mem_strdup(identity);
        st->lock_fd = fd;
        *ret_state = st;
        return 0;
}

struct state *state_free(struct state *st)
{
        if (!st)
                return NULL;
        close(st->lock_fd);
        mem_free(st->dir);
        mem_free(st->identity);
        return mem_free(st);
}

static int save(struct state *st, const char *file, json_t *content)
{
        cleanup_json json_t *top = json_pack("{s:i, s:s, s:s, s:o}", "format", STATE_FORMAT, "identity", st->identity,
                                             "boot_id", clock_boot_id(), "content", content);
        cleanup_secret struct secret *text = secret_new(STATE_FILE_MAX);
        cleanup_free char *path = mem_printf("%s/%s", st->dir, file);
        const struct fs_owner owner = {.uid = (uid_t)-1, .gid = (gid_t)-1, .mode = 0600};
        int r;

        if (!top)
                return -EINVAL;
        r = json_write_secret(top, text);
        if (r < 0)
                return r;
        return fs_write_whole(path, secret_bytes(text), secret_len(text), &owner);
}

static int set_aside(const char *path, const char *what)
{
        cleanup_free char *aside = mem_printf("%s.aside", path);

        log_warn("%s: %s; set aside as %s and not used", path, what, aside);
        if (rename(path, aside) < 0)
                log_warn("%s: cannot be set aside: %s", path, strerror(errno));
        return -ENOENT;
}

static int load(struct state *st, const char *file, json_t **ret_content)
{
        cleanup_free char *path = mem_printf("%s/%s", st->dir, file);
        cleanup_secret struct secret *text = NULL;
        cleanup_json json_t *top = NULL;
        const char *identity, *boot;
        uint64_t format;
        json_t *content;
        char error[160];
        int r;

        r = secret_read_file(path, STATE_FILE_MAX, &text);
        if (r == -ENOENT)
                return r;
        if (r < 0)
                return set_aside(path, strerror(-r));
        top = json_read(secret_bytes(text), secret_len(text), error, sizeof(error));
        if (!json_is_object(top) || !json_u64(top, "format", &format))
                return set_aside(path, "damaged");
        if (format != STATE_FORMAT)
                return set_aside(path, "written by another version of leasekeeperd");
        identity = json_str(top, "identity");
        boot = json_str(top, "boot_id");
        content = json_object_get(top, "content");
        if (!identity || !boot || !json_is_object(content))
                return set_aside(path, "damaged");
        if (strcmp(identity, st->identity) != 0)
                return set_aside(path, "made for another Vault address, namespace, login method or mount");
        if (strcmp(boot, clock_boot_id()) != 0)
                return set_aside(path, "made before this boot");
        *ret_content = json_incref(content);
        return 0;
}

int state_save_secret(struct state *st, const char *name, json_t *content)
{
        cleanup_free char *file = mem_printf(SECRET_PREFIX "%s" SUFFIX, name);

        return save(st, file, content);
}

int state_load_secret(struct state *st, const char *name, json_t **ret_content)
{
        cleanup_free char *file = mem_printf(SECRET_PREFIX "%s" SUFFIX, name);

        return load(st, file, ret_content);
}

int state_remove_secret(struct state *st, const char *name)
{
        cleanup_free char *path = mem_printf("%s/" SECRET_PREFIX "%s" SUFFIX, st->dir, name);

        return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* "secret-NAME.json" -> NAME; NULL for any other file. */
static char *name_of(const char *file)
{
        size_t len = strlen(file), pre = strlen(SECRET_PREFIX), suf = strlen(SUFFIX);

        if (len <= pre + suf || strncmp(file, SECRET_PREFIX, pre) != 0 || strcmp(file + len - suf, SUFFIX) != 0)
                return NULL;
        if (!parse_is_name(file + pre, len - pre - suf))
                return NULL;
        return mem_strndup(file + pre, len - pre - suf);
}

/**
 * state_list_secrets() - what is saved, whatever the configuration says
 * @st: the state
 *
 * Return: names, new, NULL-terminated.
 */
char **state_list_secrets(struct state *st)
{
        char **names = mem_array(1, sizeof(*names));
        struct dirent *entry;
        size_t len = 0;
        char *name;
        DIR *dir;

        dir = opendir(st->dir);
        if (!dir)
                return names;
        while ((entry = readdir(dir)) != NULL) {
                name = name_of(entry->d_name);
                if (!name)
                        continue;
                names = mem_resize(names, len + 2, sizeof(*names));
                names[len++] = name;
                names[len] = NULL;
        }
        closedir(dir);
        return names;
}

int state_save_tokens(struct state *st, json_t *content)
{
        return save(st, TOKENS_FILE, content);
}

int state_load_tokens(struct state *st, json_t **ret_content)
{
        return load(st, TOKENS_FILE, ret_content);
}

int state_remove_all(struct state *st)
{
        DIR *dir = opendir(st->dir);
        struct dirent *entry;
        int r = 0;

        if (!dir)
                return -errno;
        while ((entry = readdir(dir)) != NULL) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                    strcmp(entry->d_name, "lock") == 0)
                        continue;
                if (unlinkat(dirfd(dir), entry->d_name, 0) < 0 && errno != ENOENT)
                        r = -errno;
        }
        closedir(dir);
        return r;
}

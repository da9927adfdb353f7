/* agent/output_file.c: file and directory blocks: written whole, on memory, only when their content differs. */
#include "agent/output.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/config.h"
#include "agent/output_file_format.h"
#include "agent/store.h"
#include "common/backoff.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"
#include "common/unixsock.h"

#define RETRY_BASE_USEC (1 * USEC_PER_SEC)
#define RETRY_CAP_USEC  (60 * USEC_PER_SEC)
#define DIRECTORY_FILES 3
#define TROUBLES_MAX    20 /* lines; one full disk is not ten thousand */

struct target { /* one file or directory block */
        struct output_file *out;
        char *secret; /* its name: targets are sorted by it */
        char *path;
        bool is_directory;
        const struct config_output *cfg;
        uint64_t written;         /* version; 0: none */
        char *trouble;            /* why the current version is not written; NULL: none */
        struct loop_timer *retry; /* NULL until a write has failed */
        struct backoff backoff;
};

struct output_file {
        struct output_context ctx;
        struct target **targets;
        size_t len;
};

/* --- writing --- */

static int write_file(const struct config_output *cfg, const struct secret *data, char **ret_error)
{
        const struct fs_owner owner = {cfg->uid, cfg->gid, cfg->mode};
        cleanup_secret struct secret *text = NULL;
        bool same;
        int err;

        err = output_format_file(cfg->format, data, &text, ret_error);
        if (err < 0)
                return err;
        if (fs_same_content(cfg->path, secret_bytes(text), secret_len(text), &owner, &same) == 0 && same)
                return 0;
        return fs_write_whole(cfg->path, secret_bytes(text), secret_len(text), &owner);
}

static bool directory_is_same(const char *path, const struct fs_file *files, const struct fs_owner *owner)
{
        const struct fs_owner file_owner = {owner->uid, owner->gid, owner->mode & 0666};
        bool same = true;

        for (size_t i = 0; i < DIRECTORY_FILES && same; i++) {
                cleanup_free char *file = mem_printf("%s/%s", path, files[i].name);

                if (fs_same_content(file, files[i].bytes, files[i].len, &file_owner, &same) < 0)
                        same = false;
        }
        return same;
}

static int write_directory(const struct config_output *cfg, const struct secret *data, char **ret_error)
{
        const struct fs_owner owner = {cfg->uid, cfg->gid, cfg->mode};
        struct pem_files pem;
        int err;

        err = output_format_directory(data, &pem, ret_error);
        if (err < 0)
                return err;
        {
                const struct fs_file files[DIRECTORY_FILES] = {
                        {"cert.pem", secret_bytes(pem.cert), secret_len(pem.cert)},
                        {"key.pem", secret_bytes(pem.key), secret_len(pem.key)},
                        {"ca.pem", secret_bytes(pem.ca), secret_len(pem.ca)},
                };

                if (!directory_is_same(cfg->path, files, &owner))
                        err = fs_swap_directory(cfg->path, files, DIRECTORY_FILES, &owner);
        }
        pem_files_done(&pem);
        return err;
}

static int check_memory(const struct config_output *cfg, char **ret_error)
{
        bool memory;
        int err;

        if (cfg->allow_disk)
                return 0;
        err = fs_is_memory(cfg->path, &memory);
        if (err < 0 || memory)
                return err;
        *ret_error = mem_strdup("it lies on a disk; put it on a tmpfs, or say allow_disk = true");
        return -EXDEV;
}

static int write_content(const struct target *t, const struct store_version *v, char **ret_error)
{
        return t->is_directory ? write_directory(t->cfg, v->data, ret_error) : write_file(t->cfg, v->data, ret_error);
}

static int write_target(const struct target *t, const struct store_version *v, char **ret_error)
{
        int err = check_memory(t->cfg, ret_error);

        if (err == 0)
                err = write_content(t, v, ret_error);
        if (err == -ENOENT) { /* a tmpfs is empty after each boot: the folders above are made again */
                cleanup_free char *copy = mem_strdup(t->path);

                err = fs_mkdir_parents(dirname(copy), 0755);
                if (err == 0)
                        err = write_content(t, v, ret_error);
        }
        return err;
}

static void on_retry(void *arg);

/* Logged once for a series of failures; the health has it as long as it lasts. */
static void fail(struct target *t, const struct store_version *v, int err, const char *error)
{
        bool first = t->backoff.failures == 0;
        uint64_t wait = backoff_next(&t->backoff, backoff_random());

        if (!t->retry)
                t->retry = loop_timer_new(t->out->ctx.loop, on_retry, t);
        loop_timer_in(t->retry, wait);
        mem_free(t->trouble);
        t->trouble = mem_printf("writing %s for version %" PRIu64 " failed: %s", t->path, v->number,
                                error ? error : strerror(-err));
        if (first)
                log_error("%s: %s: %s; what was there stays, trying again every minute or sooner", t->cfg->where,
                          t->secret, t->trouble);
}

static void forget_trouble(struct target *t)
{
        backoff_reset(&t->backoff);
        if (t->retry)
                loop_timer_cancel(t->retry);
        t->trouble = mem_free(t->trouble);
}

static void succeed(struct target *t, const struct store_version *v)
{
        if (t->backoff.failures > 0)
                log_info("%s: %s is written again", t->secret, t->path);
        forget_trouble(t);
        t->written = v->number;
}

static void update(struct target *t, struct store_secret *s)
{
        const struct store_version *v = store_current(s);
        cleanup_free char *error = NULL;
        int err;

        if (!v || t->written == v->number)
                return;
        /* A reader may open the file the moment it is there, so it counts as given before. */
        (void)store_give(t->out->ctx.store, s, geteuid(), NULL);
        err = write_target(t, v, &error);
        if (err < 0)
                fail(t, v, err, error);
        else
                succeed(t, v);
}

static void on_retry(void *arg)
{
        struct target *t = arg;
        struct store_secret *s = store_find(t->out->ctx.store, t->secret);

        if (s)
                update(t, s);
}

static void unlink_target(struct target *t)
{
        int err = 0;

        forget_trouble(t);
        t->written = 0;
        if (t->is_directory)
                err = fs_remove_directory(t->path);
        else if (unlink(t->path) < 0 && errno != ENOENT)
                err = -errno;
        if (err < 0)
                log_error("%s: removing %s failed: %s; remove it by hand", t->secret, t->path, strerror(-err));
        else
                log_info("%s: removed %s", t->secret, t->path);
}

/* --- which targets there are --- */

static struct target *target_new(struct output_file *out, const struct config_secret *secret,
                                 const struct config_output *cfg)
{
        struct target *t = mem_new(sizeof(*t));

        t->out = out;
        t->secret = mem_strdup(secret->name);
        t->path = mem_strdup(cfg->path);
        t->is_directory = cfg->is_directory;
        t->cfg = cfg;
        t->backoff = (struct backoff){.base_usec = RETRY_BASE_USEC, .cap_usec = RETRY_CAP_USEC};
        return t;
}

static void target_free(struct target *t)
{
        loop_timer_free(t->retry);
        mem_free(t->trouble);
        mem_free(t->secret);
        mem_free(t->path);
        mem_free(t);
}

static size_t first_of(const struct output_file *out, const char *secret)
{
        size_t from = 0, to = out->len;

        while (from < to) {
                size_t middle = from + (to - from) / 2;

                if (strcmp(out->targets[middle]->secret, secret) < 0)
                        from = middle + 1;
                else
                        to = middle;
        }
        return from;
}

static struct target *find_target(const struct output_file *out, const char *secret, const struct config_output *cfg)
{
        for (size_t i = first_of(out, secret); i < out->len && strcmp(out->targets[i]->secret, secret) == 0; i++) {
                if (strcmp(out->targets[i]->path, cfg->path) == 0 && out->targets[i]->is_directory == cfg->is_directory)
                        return out->targets[i];
        }
        return NULL;
}

static bool same_cfg(const struct config_output *a, const struct config_output *b)
{
        return a->format == b->format && a->uid == b->uid && a->gid == b->gid && a->mode == b->mode;
}

static void add_target(struct output_file *out, const struct config_secret *secret, const struct config_output *cfg)
{
        size_t at = first_of(out, secret->name);

        while (at < out->len && strcmp(out->targets[at]->secret, secret->name) == 0)
                at++;
        out->targets = mem_resize(out->targets, out->len + 1, sizeof(struct target *));
        memmove(&out->targets[at + 1], &out->targets[at], (out->len - at) * sizeof(struct target *));
        out->targets[at] = target_new(out, secret, cfg);
        out->len++;
}

static void remove_target(struct output_file *out, size_t at)
{
        target_free(out->targets[at]);
        out->len--;
        memmove(&out->targets[at], &out->targets[at + 1], (out->len - at) * sizeof(struct target *));
}

/* Takes up what the configuration wants now; what it does not name any more keeps cfg NULL. */
static void match_targets(struct output_file *out, const struct config *config)
{
        for (size_t i = 0; i < config->secrets_len; i++) {
                const struct config_secret *secret = &config->secrets[i];

                for (size_t k = 0; k < secret->outputs_len; k++) {
                        const struct config_output *cfg = &secret->outputs[k];
                        struct target *t = find_target(out, secret->name, cfg);

                        if (t)
                                t->cfg = cfg;
                        else
                                add_target(out, secret, cfg);
                }
        }
}

static void update_all(struct output_file *out)
{
        for (size_t i = 0; i < out->len; i++) {
                struct store_secret *s = store_find(out->ctx.store, out->targets[i]->secret);

                if (s)
                        update(out->targets[i], s);
        }
}

static void on_change(struct store_secret *s, enum store_change change, void *arg)
{
        struct output_file *out = arg;
        bool gone = change == STORE_LOST && (store_is_removed(s) || strcmp(store_reason(s), STORE_STOPPING) == 0);

        if (change != STORE_NEW && !gone)
                return;
        for (size_t i = first_of(out, store_name(s)); i < out->len; i++) {
                struct target *t = out->targets[i];

                if (strcmp(t->secret, store_name(s)) != 0)
                        break;
                if (gone)
                        unlink_target(t);
                else
                        update(t, s);
        }
}

/* --- life --- */

/* What a killed agent left half-written holds secrets too. */
static void sweep_folders(const struct output_file *out)
{
        cleanup_free char *last = NULL;

        for (size_t i = 0; i < out->len; i++) {
                cleanup_free char *copy = mem_strdup(out->targets[i]->path);
                const char *folder = dirname(copy);

                if (last && strcmp(last, folder) == 0)
                        continue;
                if (fs_sweep(folder) < 0)
                        log_warn("%s: half-written files of a killed agent cannot be removed", folder);
                mem_free(last);
                last = mem_strdup(folder);
        }
}

static int file_start(const struct output_context *ctx, void **ret_self)
{
        struct output_file *out = mem_new(sizeof(*out));

        out->ctx = *ctx;
        match_targets(out, ctx->config);
        sweep_folders(out);
        store_subscribe(ctx->store, on_change, out);
        update_all(out);
        *ret_self = out;
        return 0;
}

static void file_reconfigure(void *self, const struct config *config)
{
        struct output_file *out = self;
        cleanup_free struct config_output *before = mem_array(out->len ? out->len : 1, sizeof(*before));
        size_t len = out->len;

        /* The old configuration is alive until this returns: what it said is compared with what the new one says. */
        cleanup_free struct target **old = mem_array(len ? len : 1, sizeof(struct target *));

        for (size_t i = 0; i < len; i++) {
                old[i] = out->targets[i];
                before[i] = *out->targets[i]->cfg;
                out->targets[i]->cfg = NULL;
        }
        out->ctx.config = config;
        match_targets(out, config);
        for (size_t i = 0; i < len; i++) {
                if (old[i]->cfg && !same_cfg(old[i]->cfg, &before[i]))
                        old[i]->written = 0;
        }
        for (size_t i = out->len; i-- > 0;) {
                struct target *t = out->targets[i];

                if (t->cfg)
                        continue;
                /* Of a secret that was removed the files are gone already. */
                if (t->written)
                        unlink_target(t);
                remove_target(out, i);
        }
        update_all(out);
}

/* A secret that is not required holds nobody back, nor do its files. */
static bool file_is_current(void *self)
{
        struct output_file *out = self;

        for (size_t i = 0; i < out->len; i++) {
                struct store_secret *s = store_find(out->ctx.store, out->targets[i]->secret);
                const struct store_version *v = s ? store_current(s) : NULL;

                if (v && store_config(s)->required && out->targets[i]->written != v->number)
                        return false;
        }
        return true;
}

static void file_troubles(void *self, json_t *reasons)
{
        const struct output_file *out = self;

        for (size_t i = 0; i < out->len && json_array_size(reasons) < TROUBLES_MAX; i++) {
                const struct target *t = out->targets[i];

                if (t->trouble)
                        json_array_append_new(reasons, json_sprintf("%s: %s", t->secret, t->trouble));
        }
}

static void file_stop(void *self)
{
        struct output_file *out = self;

        store_unsubscribe(out->ctx.store, on_change, out);
        for (size_t i = 0; i < out->len; i++)
                target_free(out->targets[i]);
        mem_free(out->targets);
        mem_free(out);
}

const struct output_kind output_file = {
        .name = "file",
        .start = file_start,
        .reconfigure = file_reconfigure,
        .is_current = file_is_current,
        .troubles = file_troubles,
        .stop = file_stop,
};

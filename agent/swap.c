/* agent/swap.c: may secrets in memory be written to swap? */
#include "agent/swap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/mem.h"

bool swap_is_on(void)
{
        FILE *f = fopen("/proc/swaps", "re");
        char line[256];
        unsigned lines = 0;

        while (f && fgets(line, sizeof(line), f))
                lines++;
        if (f)
                fclose(f);
        return lines > 1; /* the first is a heading */
}

static bool has_option(const char *options, const char *want)
{
        size_t len = strlen(want);

        for (const char *p = options; *p; p += strspn(p, ",")) {
                size_t n = strcspn(p, ",\n");

                if (n == len && strncmp(p, want, n) == 0)
                        return true;
                p += n;
                if (*p == '\n')
                        break;
        }
        return false;
}

/* proc(5): "ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAGS] - TYPE SOURCE SUPER-OPTIONS" */
static bool line_spares(const char *line, unsigned want_major, unsigned want_minor)
{
        const char *behind = strstr(line, " - ");
        unsigned major_, minor_;
        char type[32];
        int at = 0;

        if (sscanf(line, "%*d %*d %u:%u", &major_, &minor_) != 2 || major_ != want_major || minor_ != want_minor)
                return false;
        if (!behind || sscanf(behind, " - %31s %*s %n", type, &at) != 1)
                return false;
        return strcmp(type, "ramfs") == 0 ||
               (strcmp(type, "tmpfs") == 0 && at > 0 && has_option(behind + at, "noswap"));
}

bool swap_spares(const char *path)
{
        cleanup_free char *line = NULL;
        bool spares = false;
        size_t cap = 0;
        struct stat st;
        FILE *f;

        if (stat(path, &st) < 0)
                return false;
        f = fopen("/proc/self/mountinfo", "re");
        if (!f)
                return false;
        while (!spares && getline(&line, &cap, f) > 0)
                spares = line_spares(line, major(st.st_dev), minor(st.st_dev));
        fclose(f);
        return spares;
}

char *swap_warning(const char *path)
{
        if (!swap_is_on() || swap_spares(path))
                return NULL;
        return mem_printf(
                "%s: swap is on and this tmpfs may be swapped out: secrets could reach a disk; mount it with noswap "
                "(Linux 6.4), or turn swap off",
                path);
}

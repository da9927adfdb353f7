/* tests/fuzz/fuzz_config.c: whatever stands in a configuration, it is read or refused with findings that name the file. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        int fd = memfd_create("config", MFD_CLOEXEC);
        struct config_findings findings = {0};
        const char *paths[1];
        struct config *c;
        char path[64];
        bool errors = false;

        if (fd < 0 || write(fd, data, size) != (ssize_t)size)
                abort();
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        paths[0] = path;
        c = config_load(paths, 1, CONFIG_SYNTAX, &findings);
        for (size_t i = 0; i < findings.len; i++) {
                if (!findings.items[i].text || *findings.items[i].text == '\0')
                        abort();
                errors = errors || !findings.items[i].is_warning;
        }
        if ((c == NULL) != errors)
                abort();
        for (size_t i = 0; c && i < c->secrets_len; i++)
                if (config_find_secret(c, c->secrets[i].name) == NULL)
                        abort();
        config_findings_done(&findings);
        config_free(c);
        close(fd);
        return 0;
}

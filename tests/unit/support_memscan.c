/* tests/unit/support_memscan.c: are some bytes anywhere in this process's memory? */
#include "tests/unit/support_memscan.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE      ((size_t)65536)
#define REGION_MAX ((uint64_t)1 << 30) /* a sanitizer's shadow is larger, and holds no bytes of ours */

static char piece[PIECE + MEMSCAN_LEN];

char memscan_byte(unsigned seed, size_t i)
{
        return "abcdefghijklmnopqrstuvwxyz012345"
                [(seed * 2654435761U + (unsigned)i * 40503U + (unsigned)(i * i * i) * 97U) >> 7 & 31];
}

void memscan_fill(unsigned seed, char out[MEMSCAN_LEN])
{
        for (size_t i = 0; i < MEMSCAN_LEN; i++)
                out[i] = memscan_byte(seed, i);
}

static bool is_marker(const char *bytes, unsigned seed)
{
        for (size_t i = 0; i < MEMSCAN_LEN; i++)
                if (bytes[i] != memscan_byte(seed, i))
                        return false;
        return true;
}

static size_t count_in_region(int mem_fd, uint64_t from, uint64_t to, unsigned seed)
{
        size_t count = 0;

        for (uint64_t at = from; at < to; at += PIECE) {
                size_t want = to - at < sizeof(piece) ? (size_t)(to - at) : sizeof(piece);
                ssize_t n = pread(mem_fd, piece, want, (off_t)at);
                bool own = at < (uint64_t)(uintptr_t)piece + sizeof(piece) && at + want > (uint64_t)(uintptr_t)piece;

                for (size_t i = 0; n > 0 && !own && i < PIECE && i + MEMSCAN_LEN <= (size_t)n; i++)
                        count += is_marker(piece + i, seed);
        }
        return count;
}

size_t memscan_count(unsigned seed)
{
        FILE *maps = fopen("/proc/self/maps", "re");
        int mem_fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
        char line[512], mode[8];
        unsigned long from, to;
        size_t count = 0;

        while (maps && mem_fd >= 0 && fgets(line, sizeof(line), maps))
                if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) == 3 && mode[0] == 'r' && mode[1] == 'w' &&
                    to - from < REGION_MAX)
                        count += count_in_region(mem_fd, from, to, seed);
        if (maps)
                fclose(maps);
        if (mem_fd >= 0)
                close(mem_fd);
        return count;
}

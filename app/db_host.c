/* app/db_host.c: one host out of a place's list. */
#include "app/db_host.h"

#include <stdbool.h>
#include <string.h>

#include "common/mem.h"
#include "common/parse.h"

/**
 * db_host_count() - how many hosts a list has
 * @list: separated by commas; NULL where there is none
 *
 * Return: at least 1.
 */
size_t db_host_count(const char *list)
{
        size_t n = 1;

        for (const char *c = list ? list : ""; *c; c++)
                n += *c == ',';
        return n;
}

/* A colon that begins a port: the only one, or the one behind a bracket. "::1" has none. */
static const char *port_colon(const char *text, size_t len)
{
        const char *last = memrchr(text, ':', len);

        if (!last)
                return NULL;
        if (text[0] == '[')
                return last > text && last[-1] == ']' ? last : NULL;
        return memchr(text, ':', len) == last ? last : NULL;
}

/**
 * db_host_pick() - one host and its port
 * @list:         "db1", "db1:3307", "[::1]", "[::1]:3307", "::1", or several with commas
 * @index:        which, from 0; below db_host_count()
 * @default_port: for one without
 * @ret_port:     its port
 *
 * Return: new: the name or address alone.
 */
char *db_host_pick(const char *list, size_t index, unsigned default_port, unsigned *ret_port)
{
        const char *text = list, *colon;
        size_t len;
        uint64_t port = default_port;

        for (; index > 0 && strchr(text, ','); index--)
                text = strchr(text, ',') + 1;
        len = strcspn(text, ",");
        colon = port_colon(text, len);
        if (colon && parse_u64(colon + 1, len - (size_t)(colon + 1 - text), 65535, &port) == 0 && port > 0)
                len = (size_t)(colon - text);
        else
                port = default_port;
        *ret_port = (unsigned)port;
        if (len >= 2 && text[0] == '[' && text[len - 1] == ']')
                return mem_strndup(text + 1, len - 2);
        return mem_strndup(text, len);
}

/* app/query.h: `limit` and `before` of a request for notes, read strictly. Pure. */
#ifndef APP_QUERY_H
#define APP_QUERY_H

#include <stdint.h>

struct query_page {
        unsigned limit;  /* 1..100, 20 where the query is silent */
        uint64_t before; /* 0: the newest */
};

const char *query_page_read(const char *query, struct query_page *ret_page);

#endif

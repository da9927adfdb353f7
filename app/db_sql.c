/* app/db_sql.c: the statements whose length depends on how many rows they are for. */
#include "app/db_sql.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"

/**
 * db_sql_insert() - adds notes
 * @rows:      at least 1
 * @returning: have it answer with what it made
 *
 * Return: new.
 */
char *db_sql_insert(size_t rows, bool returning)
{
        struct buf sql = BUF_INIT;

        buf_str(&sql, "INSERT INTO notes (text, idempotency_key) VALUES (?, ?)");
        for (size_t i = 1; i < rows; i++)
                buf_str(&sql, ", (?, ?)");
        if (returning)
                buf_str(&sql, " RETURNING id, created_at, idempotency_key");
        return buf_take(&sql);
}

/**
 * db_sql_find() - notes by their keys
 * @keys: at least 1
 *
 * Return: new.
 */
char *db_sql_find(size_t keys)
{
        struct buf sql = BUF_INIT;

        buf_str(&sql, "SELECT id, created_at, text, idempotency_key FROM notes WHERE idempotency_key IN (?");
        for (size_t i = 1; i < keys; i++)
                buf_str(&sql, ", ?");
        buf_str(&sql, ")");
        return buf_take(&sql);
}

/**
 * db_sql_has_returning() - does the server know INSERT ... RETURNING
 * @server_info: as it tells its version: "10.11.19-MariaDB-0+deb12u1", "5.5.5-10.4.3-MariaDB", "8.4.0"
 *
 * Return: true for MariaDB from 10.5 on.
 */
bool db_sql_has_returning(const char *server_info)
{
        unsigned major = 0, minor = 0;

        if (!strstr(server_info, "MariaDB"))
                return false;
        /* MariaDB 10 calls itself 5.5.5-10.x, for the sake of old replicas. */
        if (strncmp(server_info, "5.5.5-", 6) == 0)
                server_info += 6;
        return sscanf(server_info, "%u.%u", &major, &minor) == 2 && (major > 10 || (major == 10 && minor >= 5));
}

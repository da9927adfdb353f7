/* app/db_host.h: one host out of a place's list, "db1:3306,[::1]:3307,db3". Pure. */
#ifndef APP_DB_HOST_H
#define APP_DB_HOST_H

#include <stddef.h>

size_t db_host_count(const char *list); /* at least 1; NULL (a socket is meant): 1 */
char *db_host_pick(const char *list, size_t index, unsigned default_port, unsigned *ret_port); /* new; index < count */

#endif

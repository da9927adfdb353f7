/* app/db_secret.h: what the database secrets hold, checked: username and password, and where the database is. Pure. */
#ifndef APP_DB_SECRET_H
#define APP_DB_SECRET_H

#include <stdint.h>

#include "common/json.h"

struct db_login;
struct db_place;

/* new members in ret_...; -EINVAL: ret_error (new) says what is wrong, without a value. */
int db_secret_login(const json_t *data, uint64_t version, struct db_login *ret_login, char **ret_error);
int db_secret_place(const json_t *data, uint64_t version, struct db_place *ret_place, char **ret_error);

#endif

/* app/db_secret.c: what the database secrets hold, checked: username and password, and where the database is. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "app/db_secret.h"
#include "app/db_swap.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

#define PORT_DEFAULT 3306
#define PORT_MAX     65535

static int refuse(char **ret_error, const char *why)
{
        *ret_error = mem_strdup(why);
        return -EINVAL;
}

/* Absent, JSON null and "" are the same: nothing given. */
static bool is_given(const json_t *data, const char *key)
{
        const json_t *value = json_object_get(data, key);

        return value && !json_is_null(value) && !(json_is_string(value) && json_string_length(value) == 0);
}

/* Text without a NUL inside, which a C library would cut off unseen. */
static const char *text_of(const json_t *data, const char *key)
{
        const json_t *value = json_object_get(data, key);
        const char *text = json_string_value(value);

        return text && strlen(text) == json_string_length(value) ? text : NULL;
}

/**
 * db_secret_login() - `data` of the secret that holds the login (database/creds or static-creds)
 *
 * Return: 0; -EINVAL.
 */
int db_secret_login(const json_t *data, uint64_t version, struct db_login *ret_login, char **ret_error)
{
        const char *username = text_of(data, "username"), *password = text_of(data, "password");

        if (!username || username[0] == '\0')
                return refuse(ret_error, "the secret has no text \"username\"");
        if (!password)
                return refuse(ret_error, "the secret has no text \"password\"");
        *ret_login = (struct db_login){
                .version = version,
                .username = secret_new_from(username, strlen(username)),
                .password = secret_new_from(password, strlen(password)),
        };
        return 0;
}

static int read_port(const json_t *data, unsigned *ret_port, char **ret_error)
{
        static const char why[] = "\"port\" must be a number from 1 to 65535";
        const json_t *value = json_object_get(data, "port");
        uint64_t port;

        if (!is_given(data, "port")) {
                *ret_port = PORT_DEFAULT;
                return 0;
        }
        if (json_is_string(value)) {
                if (parse_u64(json_string_value(value), json_string_length(value), PORT_MAX, &port) < 0)
                        return refuse(ret_error, why);
        } else if (!json_u64(data, "port", &port)) {
                return refuse(ret_error, why);
        }
        if (port == 0 || port > PORT_MAX)
                return refuse(ret_error, why);
        *ret_port = (unsigned)port;
        return 0;
}

/* One host or a list, "db1:3306,db2:3306": no part empty, nothing that cannot stand in a name or an address. */
static bool is_host(const char *host)
{
        for (const char *part = host;; part++) {
                size_t len = strcspn(part, ",");

                if (len == 0)
                        return false;
                for (; len > 0; len--, part++)
                        if (!isalnum((unsigned char)*part) && !strchr(".-_:[]%", *part))
                                return false;
                if (*part == '\0')
                        return true;
        }
}

static int check_where(const json_t *data, char **ret_error)
{
        bool has_host = is_given(data, "host"), has_socket = is_given(data, "socket");
        const char *host = text_of(data, "host"), *socket = text_of(data, "socket");

        if (has_host == has_socket)
                return refuse(ret_error,
                              has_host ? "give either \"host\" or \"socket\", not both"
                                       : "give \"host\" (and \"port\") or \"socket\": where is the database?");
        if (has_host && (!host || !is_host(host)))
                return refuse(ret_error, "\"host\" must be a name, an address, or a list as db1:3306,db2:3306");
        if (has_socket && (!socket || socket[0] != '/'))
                return refuse(ret_error, "\"socket\" must be an absolute path");
        return 0;
}

/**
 * db_secret_place() - `data` of the secret that tells where the database is
 *
 * host, port (number or string; 3306) or socket; database; optionally ca_cert (PEM: TLS to the database, identity checked).
 *
 * Return: 0; -EINVAL.
 */
int db_secret_place(const json_t *data, uint64_t version, struct db_place *ret_place, char **ret_error)
{
        const char *database = text_of(data, "database"), *ca_cert = NULL;
        unsigned port;
        int r;

        r = check_where(data, ret_error);
        if (r == 0)
                r = read_port(data, &port, ret_error);
        if (r < 0)
                return r;
        if (!database || database[0] == '\0')
                return refuse(ret_error, "the secret has no text \"database\"");
        if (is_given(data, "ca_cert")) {
                ca_cert = text_of(data, "ca_cert");
                /* Without this check a typo would mean a connection that nobody protects. */
                if (!ca_cert || !strstr(ca_cert, "-----BEGIN CERTIFICATE-----"))
                        return refuse(ret_error, "\"ca_cert\" must be a certificate in PEM text");
        }
        *ret_place = (struct db_place){
                .version = version,
                .host = is_given(data, "host") ? mem_strdup(text_of(data, "host")) : NULL,
                .port = port,
                .socket = is_given(data, "socket") ? mem_strdup(text_of(data, "socket")) : NULL,
                .database = mem_strdup(database),
                .ca_cert = mem_strdup(ca_cert),
        };
        return 0;
}

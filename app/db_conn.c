/* app/db_conn.c: one session of the database: dialled, asked, closed. The only file that knows the client library and SQL. */
#include "app/db_conn.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mysql.h>

#include "app/db_ca.h"
#include "app/db_host.h"
#include "app/db_sql.h"
#include "app/db_swap.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/secret.h"

#define CONNECT_TIMEOUT_S 3
#define READ_TIMEOUT_S    4 /* a server that hangs is left within --db-wait, so that another can still answer */
#define WRITE_TIMEOUT_S   4
#define TEXT_ROOM         ((size_t)4 * NOTES_TEXT_CHARS_MAX + 1)

enum columns { ID_CREATED_TEXT, ID_CREATED_KEY, ID_CREATED_TEXT_KEY };

struct row { /* where the library puts a row */
        unsigned long long id;
        MYSQL_TIME created;
        unsigned long text_len, key_len;
        struct db_key key;
};

struct db_conn {
        MYSQL *mysql;
        MYSQL_STMT *list, *get;
        MYSQL_STMT *insert[DB_BATCH_MAX + 1], *find[DB_BATCH_MAX + 1]; /* by rows; each made when first needed */
        bool has_returning;
        uint64_t served;
        MYSQL_BIND params[2 * DB_BATCH_MAX], columns[4];
        unsigned long param_lens[2 * DB_BATCH_MAX];
        struct row row;
        char *text;
        size_t text_cap;
        char error[DB_ERROR_LEN];
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void library_begin(void)
{
        if (mysql_library_init(0, NULL, NULL) != 0) {
                log_error("db: the MySQL client library cannot be set up");
                exit(1);
        }
}

/**
 * db_thread_begin() - makes the calling thread fit for sessions
 */
void db_thread_begin(void)
{
        pthread_once(&library_once, library_begin);
        mysql_thread_init();
}

/**
 * db_thread_end() - undoes db_thread_begin(), before the thread ends
 */
void db_thread_end(void)
{
        mysql_thread_end();
}

/* --- errors --- */

static int fault(struct db_conn *c, unsigned code, const char *text)
{
        /* No code means that the library gave up without saying why: nobody knows what the server did. */
        snprintf(c->error, sizeof(c->error), "%u: %s", code, code ? text : "no answer");
        return code ? (int)db_fault_of(code, false) : DB_DEAD;
}

static int stmt_fault(struct db_conn *c, MYSQL_STMT *stmt)
{
        /* Connector/C leaves what goes wrong amid an answer's rows with the session. */
        if (!mysql_stmt_errno(stmt))
                return fault(c, mysql_errno(c->mysql), mysql_error(c->mysql));
        return fault(c, mysql_stmt_errno(stmt), mysql_stmt_error(stmt));
}

/* --- dialling --- */

static void set_options(MYSQL *mysql, const char *ca_path)
{
        unsigned connect_s = CONNECT_TIMEOUT_S, read_s = READ_TIMEOUT_S, write_s = WRITE_TIMEOUT_S, no = 0;

        mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
        mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &read_s);
        mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &write_s);
        mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
        /* A server that is not ours must not be able to ask for our files. */
        mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &no);
#ifdef MARIADB_PACKAGE_VERSION_ID
        my_bool yes = 1;

        if (ca_path) {
                mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &yes);
                mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes);
                mysql_options(mysql, MYSQL_OPT_SSL_CA, ca_path);
        }
#if MARIADB_PACKAGE_VERSION_ID >= 30301
        /* Nor for the password as it stands (mysql_clear_password, dialog). */
        mysql_options(mysql, MARIADB_OPT_RESTRICTED_AUTH,
                      "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519,parsec");
#endif
#else
        if (ca_path) {
                unsigned mode = SSL_MODE_VERIFY_IDENTITY;

                mysql_options(mysql, MYSQL_OPT_SSL_MODE, &mode);
                mysql_options(mysql, MYSQL_OPT_SSL_CA, ca_path);
        }
#endif
}

static int prepare(struct db_conn *c, const char *sql, MYSQL_STMT **stmt)
{
        int r;

        *stmt = mysql_stmt_init(c->mysql);
        if (!*stmt)
                return fault(c, mysql_errno(c->mysql), mysql_error(c->mysql));
        if (mysql_stmt_prepare(*stmt, sql, strlen(sql)) == 0)
                return 0;
        r = stmt_fault(c, *stmt);
        mysql_stmt_close(*stmt);
        *stmt = NULL;
        return r;
}

static int prepare_insert(struct db_conn *c, size_t rows)
{
        char *sql cleanup_free = NULL;

        if (c->insert[rows])
                return 0;
        sql = db_sql_insert(rows, c->has_returning);
        return prepare(c, sql, &c->insert[rows]);
}

static int prepare_find(struct db_conn *c, size_t keys)
{
        char *sql cleanup_free = NULL;

        if (c->find[keys])
                return 0;
        sql = db_sql_find(keys);
        return prepare(c, sql, &c->find[keys]);
}

/* Prepares what every session needs: it also proves that table and privileges are there. */
static int set_up(struct db_conn *c)
{
        MYSQL_STMT *setup = NULL;
        int r = prepare(c, DB_SQL_SETUP, &setup);

        if (r)
                return r;
        if (mysql_stmt_execute(setup) != 0)
                r = stmt_fault(c, setup);
        mysql_stmt_close(setup);
        if (!r)
                r = prepare(c, DB_SQL_LIST, &c->list);
        if (!r)
                r = prepare(c, DB_SQL_GET, &c->get);
        if (!r)
                r = prepare_find(c, 1);
        if (!r)
                r = prepare_insert(c, 1);
        return r;
}

static int dial(struct db_conn *c, const struct db_login *login, const struct db_place *place, size_t host_index)
{
        char path[DB_CA_PATH_LEN];
        unsigned port = place->port;
        char *host cleanup_free = place->host ? db_host_pick(place->host, host_index, place->port, &port) : NULL;
        int ca_fd = -1, r;
        MYSQL *up;

        if (place->ca_cert) {
                r = db_ca_open(place->ca_cert, path, &ca_fd);
                if (r) {
                        snprintf(c->error, sizeof(c->error), "the CA certificate cannot be handed over: %s",
                                 strerror(-r));
                        return DB_UNREACHABLE;
                }
        }
        set_options(c->mysql, place->ca_cert ? path : NULL);
        /* "localhost" means the UNIX socket to the library; where there is none in the place, TCP is meant. */
        if (!place->socket && host && strcmp(host, "localhost") == 0) {
                unsigned tcp = MYSQL_PROTOCOL_TCP;

                mysql_options(c->mysql, MYSQL_OPT_PROTOCOL, &tcp);
        }
        up = mysql_real_connect(c->mysql, place->socket ? "localhost" : host, secret_bytes(login->username),
                                secret_bytes(login->password), place->database, port, place->socket, 0);
        if (ca_fd >= 0)
                close(ca_fd);
        if (up)
                return 0;
        snprintf(c->error, sizeof(c->error), "%u: %s", mysql_errno(c->mysql), mysql_error(c->mysql));
        return (int)db_fault_of(mysql_errno(c->mysql), true);
}

/**
 * db_conn_open() - makes a session and proves that it can do the service's work
 * @login:    borrowed; the library keeps a copy of the password until db_conn_close()
 * @place:    borrowed
 * @host:     which of the place's hosts, from 0
 * @error:    where a fault is told, for people; never holds a password
 * @ret_conn: new
 *
 * Blocks for a few seconds at most. TLS with the server's identity checked where @place has a CA, never less.
 *
 * Return: 0; DB_UNREACHABLE, DB_DENIED, DB_BUSY, DB_READ_ONLY, DB_REFUSED.
 */
int db_conn_open(const struct db_login *login, const struct db_place *place, size_t host, char error[DB_ERROR_LEN],
                 struct db_conn **ret_conn)
{
        struct db_conn *c = mem_new(sizeof(*c));
        int r;

        c->text_cap = TEXT_ROOM;
        c->text = mem_new(c->text_cap);
        c->mysql = mysql_init(NULL);
        if (!c->mysql) {
                snprintf(error, DB_ERROR_LEN, "the client library gives no session");
                db_conn_close(c);
                return DB_UNREACHABLE;
        }
        r = dial(c, login, place, host);
        if (!r) {
                c->has_returning = db_sql_has_returning(mysql_get_server_info(c->mysql));
                r = set_up(c);
                /* A session that dies under its first statements was never made; a row cannot be wrong yet. */
                if (r == DB_DEAD || r == DB_ROW)
                        r = r == DB_DEAD ? DB_UNREACHABLE : DB_REFUSED;
        }
        if (r) {
                memcpy(error, c->error, DB_ERROR_LEN);
                db_conn_close(c);
                return r;
        }
        *ret_conn = c;
        return 0;
}

/**
 * db_conn_close() - says good-bye to the server and frees the session
 * @c: NULL is fine
 *
 * Return: NULL.
 */
struct db_conn *db_conn_close(struct db_conn *c)
{
        if (!c)
                return NULL;
        /* First, so that one message ends all statements too: what is closed after it is closed here alone. */
        if (c->mysql)
                mysql_close(c->mysql);
        for (size_t i = 0; i <= DB_BATCH_MAX; i++) {
                if (c->insert[i])
                        mysql_stmt_close(c->insert[i]);
                if (c->find[i])
                        mysql_stmt_close(c->find[i]);
        }
        if (c->list)
                mysql_stmt_close(c->list);
        if (c->get)
                mysql_stmt_close(c->get);
        mem_free(c->text);
        return mem_free(c);
}

static int socket_of(const struct db_conn *c)
{
#ifdef MARIADB_PACKAGE_VERSION_ID
        return (int)mysql_get_socket(c->mysql);
#else
        return c->mysql->net.fd;
#endif
}

/**
 * db_conn_abort() - ends what runs on a session
 * @c: may be in use by another thread, which keeps it open
 */
void db_conn_abort(struct db_conn *c)
{
        shutdown(socket_of(c), SHUT_RDWR);
}

/**
 * db_conn_is_gone() - has the server closed an idle session?
 * @c: the session; nothing runs on it
 *
 * A statement that is sent to such a server only dies without an answer, and whether it was done would be unknown.
 *
 * Return: true where it has; db_conn_error() says so.
 */
bool db_conn_is_gone(struct db_conn *c)
{
        struct pollfd p = {.fd = socket_of(c), .events = POLLRDHUP};

        if (poll(&p, 1, 0) <= 0)
                return false;
        snprintf(c->error, sizeof(c->error), "the server closed it while it was idle");
        return true;
}

/**
 * db_conn_error() - the last fault in words
 * @c: the session
 *
 * Return: borrowed until the next call on @c.
 */
const char *db_conn_error(const struct db_conn *c)
{
        return c->error;
}

/**
 * db_conn_served() - how much a session has done
 * @c: the session
 *
 * Return: good statements since it was opened.
 */
uint64_t db_conn_served(const struct db_conn *c)
{
        return c->served;
}

/* --- parameters and rows --- */

static void param_u64(struct db_conn *c, size_t i, unsigned long long *value)
{
        c->params[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = value, .is_unsigned = 1};
}

static void param_bytes(struct db_conn *c, size_t i, enum enum_field_types type, const void *bytes, size_t len)
{
        c->param_lens[i] = len;
        c->params[i] = (MYSQL_BIND){.buffer_type = type, .buffer_length = len, .length = &c->param_lens[i]};
        /* The library reads from it alone; its type says otherwise because results use the same struct. */
        memcpy(&c->params[i].buffer, &bytes, sizeof(bytes));
}

static int execute(struct db_conn *c, MYSQL_STMT *stmt)
{
        if (mysql_stmt_bind_param(stmt, c->params) != 0 || mysql_stmt_execute(stmt) != 0)
                return stmt_fault(c, stmt);
        return 0;
}

/* Only after the execution: an INSERT has no columns before its first (MariaDB). */
static int bind_row(struct db_conn *c, MYSQL_STMT *stmt, enum columns what)
{
        MYSQL_BIND *b = c->columns;
        size_t n = 0;

        b[n++] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = &c->row.id, .is_unsigned = 1};
        b[n++] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_DATETIME, .buffer = &c->row.created};
        if (what != ID_CREATED_KEY)
                b[n++] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING,
                                      .buffer = c->text,
                                      .buffer_length = c->text_cap,
                                      .length = &c->row.text_len};
        if (what != ID_CREATED_TEXT)
                b[n++] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_BLOB,
                                      .buffer = c->row.key.bytes,
                                      .buffer_length = sizeof(c->row.key.bytes),
                                      .length = &c->row.key_len};
        return mysql_stmt_bind_result(stmt, b) == 0 ? 0 : stmt_fault(c, stmt);
}

/* Days since 1970 in the proleptic Gregorian calendar: years begin in March, so that the leap day comes last. */
static int64_t days_of(unsigned year, unsigned month, unsigned day)
{
        int64_t y = (int64_t)year - (month <= 2), era = y / 400, yoe = y % 400;
        int64_t doy = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;

        return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static uint64_t usec_of(const MYSQL_TIME *t)
{
        int64_t sec = days_of(t->year, t->month, t->day) * 86400 + (int64_t)t->hour * 3600 + (int64_t)t->minute * 60 +
                      t->second;

        return sec < 0 ? 0 : (uint64_t)sec * USEC_PER_SEC + t->second_part;
}

/* A text longer than any of ours (someone else's row): the row is whole all the same. */
static int fetch_long_text(struct db_conn *c, MYSQL_STMT *stmt, enum columns what)
{
        c->text_cap = c->row.text_len + 1;
        c->text = mem_resize(c->text, c->text_cap, 1);
        if (bind_row(c, stmt, what) != 0 || mysql_stmt_fetch_column(stmt, &c->columns[2], 2, 0) != 0)
                return stmt_fault(c, stmt);
        return 0;
}

static int fetch_row(struct db_conn *c, MYSQL_STMT *stmt, enum columns what, struct note *ret_note, bool *ret_end)
{
        int r = mysql_stmt_fetch(stmt);

        *ret_end = r == MYSQL_NO_DATA;
        if (r == MYSQL_NO_DATA)
                return 0;
        if (r == MYSQL_DATA_TRUNCATED && what != ID_CREATED_KEY && c->row.text_len > c->text_cap)
                r = fetch_long_text(c, stmt, what);
        else if (r != 0 && r != MYSQL_DATA_TRUNCATED)
                r = stmt_fault(c, stmt);
        else
                r = 0;
        if (r)
                return r;
        c->row.key.len = c->row.key_len < NOTES_KEY_MAX ? c->row.key_len : NOTES_KEY_MAX;
        *ret_note = (struct note){.id = c->row.id,
                                  .text = c->text,
                                  .text_len = what == ID_CREATED_KEY ? 0 : c->row.text_len,
                                  .created_usec = usec_of(&c->row.created)};
        return 0;
}

/*
 * query() - runs a statement and reads all that it gives
 * @rows: filled and sealed
 *
 * To the very end of the answer: an INSERT with RETURNING sends its rows before it commits, and only the end says that it did.
 */
static int query(struct db_conn *c, MYSQL_STMT *stmt, enum columns what, struct db_rows *rows)
{
        bool end = false;
        struct note note;
        int r = execute(c, stmt);

        if (!r)
                r = bind_row(c, stmt, what);
        while (!r) {
                r = fetch_row(c, stmt, what, &note, &end);
                if (r || end)
                        break;
                if (db_rows_add(rows, &note, &c->row.key) != 0)
                        r = fault(c, 0, NULL);
        }
        if (r == DB_DEAD)
                return r;
        mysql_stmt_free_result(stmt);
        if (r)
                return r;
        db_rows_seal(rows);
        c->served++;
        return 0;
}

static int query_new(struct db_conn *c, MYSQL_STMT *stmt, enum columns what, size_t cap, struct db_rows **ret_rows)
{
        struct db_rows *rows = db_rows_new(cap, what == ID_CREATED_TEXT_KEY);
        int r = query(c, stmt, what, rows);

        if (r)
                db_rows_free(rows);
        else
                *ret_rows = rows;
        return r;
}

/* --- what the service asks --- */

/**
 * db_conn_list() - the newest notes below an id
 * @c:        the session
 * @limit:    rows at most
 * @before:   ids below it; 0: all
 * @ret_rows: new, newest first
 *
 * Return: 0 or an enum db_fault.
 */
int db_conn_list(struct db_conn *c, unsigned limit, uint64_t before, struct db_rows **ret_rows)
{
        unsigned long long below = before ? before : UINT64_MAX, most = limit;

        param_u64(c, 0, &below);
        param_u64(c, 1, &most);
        return query_new(c, c->list, ID_CREATED_TEXT, limit, ret_rows);
}

/**
 * db_conn_get() - one note
 * @c:        the session
 * @id:       its id
 * @ret_rows: new; empty where there is none
 *
 * Return: 0 or an enum db_fault.
 */
int db_conn_get(struct db_conn *c, uint64_t id, struct db_rows **ret_rows)
{
        unsigned long long value = id;

        param_u64(c, 0, &value);
        return query_new(c, c->get, ID_CREATED_TEXT, 1, ret_rows);
}

/**
 * db_conn_find() - the committed notes under some keys
 * @c:        the session
 * @keys:     1..DB_BATCH_MAX
 * @len:      how many
 * @ret_rows: new, with keys, in no order; those that are there
 *
 * Return: 0 or an enum db_fault.
 */
int db_conn_find(struct db_conn *c, const struct db_key *const *keys, size_t len, struct db_rows **ret_rows)
{
        int r = prepare_find(c, len);

        if (r)
                return r;
        for (size_t i = 0; i < len; i++)
                param_bytes(c, i, MYSQL_TYPE_BLOB, keys[i]->bytes, keys[i]->len);
        return query_new(c, c->find[len], ID_CREATED_TEXT_KEY, len, ret_rows);
}

/* By key, not by order: nothing promises an order. A row that is missing is a server that lies; nothing can be said then. */
static int take_ids(struct db_conn *c, struct db_insert *rows, size_t len, const struct db_rows *found)
{
        for (size_t i = 0; i < len; i++) {
                const struct note *note = i < found->len && db_key_equal(&found->keys[i], rows[i].key)
                                                  ? &found->items[i]
                                                  : db_rows_by_key(found, rows[i].key);

                if (!note)
                        return fault(c, 0, NULL);
                rows[i].id = note->id;
                rows[i].created_usec = note->created_usec;
        }
        return 0;
}

/* MySQL has no RETURNING; first id + i would be wrong under concurrent writers (10 % of the rows), the keys are not. */
static int read_ids_back(struct db_conn *c, struct db_insert *rows, size_t len)
{
        const struct db_key *keys[DB_BATCH_MAX];
        struct db_rows *found = NULL;
        int r;

        for (size_t i = 0; i < len; i++)
                keys[i] = rows[i].key;
        r = db_conn_find(c, keys, len, &found);
        if (!r)
                r = take_ids(c, rows, len, found);
        db_rows_free(found);
        /* The rows are committed; whoever hears of another fault than this would believe that they are not. */
        return r ? DB_DEAD : 0;
}

/**
 * db_conn_insert() - adds notes in one statement
 * @c:    the session
 * @rows: each gets its id and time
 * @len:  1..DB_BATCH_MAX
 *
 * Committed when it returns 0, all of them. DB_DEAD alone leaves open whether they are; with any other fault none is.
 *
 * Return: 0 or an enum db_fault.
 */
int db_conn_insert(struct db_conn *c, struct db_insert *rows, size_t len)
{
        struct db_rows *found;
        int r = prepare_insert(c, len);

        if (r)
                return r;
        for (size_t i = 0; i < len; i++) {
                param_bytes(c, 2 * i, MYSQL_TYPE_STRING, rows[i].text, rows[i].text_len);
                param_bytes(c, 2 * i + 1, MYSQL_TYPE_BLOB, rows[i].key->bytes, rows[i].key->len);
        }
        if (!c->has_returning) {
                r = execute(c, c->insert[len]);
                if (r)
                        return r;
                c->served++;
                return read_ids_back(c, rows, len);
        }
        found = db_rows_new(len, true);
        r = query(c, c->insert[len], ID_CREATED_KEY, found);
        if (!r)
                r = take_ids(c, rows, len, found);
        db_rows_free(found);
        return r;
}

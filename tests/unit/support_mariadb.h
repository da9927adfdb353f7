/* tests/unit/support_mariadb.h: a real MariaDB server of the test's own, in a scratch folder in memory. */
#ifndef TESTS_SUPPORT_MARIADB_H
#define TESTS_SUPPORT_MARIADB_H

#include <stdint.h>

struct mariadb;

struct mariadb *mariadb_new(void);                     /* new, running, with the table notes; NULL, said aloud: no server on this machine */
struct mariadb *mariadb_new_posing(const char *version); /* the same, but it says that it is another: "8.4.2" */
struct mariadb *mariadb_free(struct mariadb *m);       /* ends it and removes the folder; takes NULL */
const char *mariadb_socket(const struct mariadb *m);   /* borrowed */
unsigned mariadb_port(const struct mariadb *m);        /* on 127.0.0.1 */
const char *mariadb_ca(const struct mariadb *m);       /* borrowed: PEM; signed the server's certificate for localhost and 127.0.0.1 */
const char *mariadb_database(void);
void mariadb_sql(struct mariadb *m, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* as root; fails the test */
uint64_t mariadb_number(struct mariadb *m, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* first column of the first row; 0: none */
void mariadb_add_user(struct mariadb *m, const char *name, const char *password); /* may SELECT and INSERT notes, like those that Vault makes */
void mariadb_kill_user(struct mariadb *m, const char *name); /* its sessions end, those of nobody are an error to the server and none here */
void mariadb_pause(struct mariadb *m);                 /* SIGSTOP */
void mariadb_resume(struct mariadb *m);
void mariadb_crash(struct mariadb *m);                 /* SIGKILL */
void mariadb_restart(struct mariadb *m);               /* after a crash: same data, socket and port */

/* One server for all tests of a program, made and ended by cmocka's group; its user "app" has the password "p". */
extern struct mariadb *server; /* NULL where there is none on this machine */
int mariadb_set_up(void **state);
int mariadb_tear_down(void **state);
int mariadb_fresh(void **state); /* before a test: the table is empty */

#define need_server()                                                                                                  \
        do {                                                                                                           \
                (void)state;                                                                                           \
                if (!server)                                                                                           \
                        skip();                                                                                        \
        } while (0)

#endif

/* tests/bench/rawdb.c: the service's two statements, prepared, in a loop without any HTTP: what the database alone gives. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mysql.h>

#define THREADS_MAX 64
#define TEXT_MAX    (4 * 4096)

static const char list_sql[] = "SELECT id, text, created_at FROM notes WHERE id < ? ORDER BY id DESC LIMIT 21";
static const char insert_sql[] = "INSERT INTO notes (text) VALUES (?) RETURNING id, created_at";

static const char *text;
static bool inserts;
static volatile bool over;
static unsigned long done[THREADS_MAX];

static void die(const char *what, const char *why)
{
        fprintf(stderr, "rawdb: %s: %s\n", what, why);
        exit(1);
}

static void *run(void *arg)
{
        size_t me = (size_t)arg;
        MYSQL *mysql = mysql_init(NULL);
        MYSQL_STMT *stmt;
        unsigned long long id, last = ~0ULL >> 1;
        unsigned long len = (unsigned long)strlen(text);
        char found[TEXT_MAX];
        MYSQL_TIME created;
        const char *sql = inserts ? insert_sql : list_sql;
        MYSQL_BIND param = {.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = &last};
        MYSQL_BIND columns[3] = {
                {.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = &id, .is_unsigned = 1},
                {.buffer_type = MYSQL_TYPE_STRING, .buffer = found, .buffer_length = sizeof(found)},
                {.buffer_type = MYSQL_TYPE_DATETIME, .buffer = &created, .buffer_length = sizeof(created)},
        };

        if (!mysql_real_connect(mysql, NULL, getenv("DB_USER"), getenv("DB_PASSWORD"), getenv("DB_NAME"), 0,
                                getenv("DB_SOCKET"), 0))
                die("connect", mysql_error(mysql));
        stmt = mysql_stmt_init(mysql);
        if (mysql_stmt_prepare(stmt, sql, strlen(sql)) != 0)
                die("prepare", mysql_stmt_error(stmt));
        if (inserts) {
                param = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING, .buffer_length = len, .length = &len};
                memcpy(&param.buffer, &text, sizeof(text)); /* the library reads it; its type has no const */
                columns[1] = columns[2];
        }
        mysql_stmt_bind_param(stmt, &param);
        while (!over) {
                if (mysql_stmt_execute(stmt) != 0 || mysql_stmt_bind_result(stmt, columns) != 0)
                        die("execute", mysql_stmt_error(stmt));
                while (mysql_stmt_fetch(stmt) == 0)
                        ;
                mysql_stmt_free_result(stmt);
                done[me]++;
        }
        mysql_stmt_close(stmt);
        mysql_close(mysql);
        return NULL;
}

int main(int argc, char **argv)
{
        pthread_t threads[THREADS_MAX];
        size_t n = argc == 5 ? (size_t)atoi(argv[2]) : 0;
        struct timespec begin, end;
        unsigned long total = 0;

        if (n < 1 || n > THREADS_MAX) {
                fputs("usage: rawdb list|insert THREADS SECONDS TEXT\n", stderr);
                return 2;
        }
        inserts = strcmp(argv[1], "insert") == 0;
        text = argv[4];
        mysql_library_init(0, NULL, NULL);
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (size_t i = 0; i < n; i++)
                if (pthread_create(&threads[i], NULL, run, (void *)i) != 0)
                        die("thread", "none to be had");
        nanosleep(&(struct timespec){.tv_sec = atoi(argv[3])}, NULL);
        over = true;
        for (size_t i = 0; i < n; i++) {
                pthread_join(threads[i], NULL);
                total += done[i];
        }
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("{\"requests\": %lu, \"per_second\": %.1f}\n", total,
               (double)total / ((double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9));
        return 0;
}

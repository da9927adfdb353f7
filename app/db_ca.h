/* app/db_ca.h: PEM text as a file that lies on no disk, for a library that takes file names alone. */
#ifndef APP_DB_CA_H
#define APP_DB_CA_H

#define DB_CA_PATH_LEN 32

int db_ca_open(const char *pem, char ret_path[DB_CA_PATH_LEN], int *ret_fd); /* the path is good until fd is closed */

#endif

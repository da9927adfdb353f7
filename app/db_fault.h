/* app/db_fault.h: what an error of the database means for the session, the login and the statement. Pure. */
#ifndef APP_DB_FAULT_H
#define APP_DB_FAULT_H

#include <stdbool.h>

/* Positive conditions that every db_conn call may return; 0 is good. */
enum db_fault {
        DB_DEAD = 1,    /* the session is gone: whether a write was committed is unknown */
        DB_UNREACHABLE, /* no session could be made: no server, no TLS, not this protocol */
        DB_DENIED,      /* the server refuses the login */
        DB_BUSY,        /* the server has no room or no time now; nothing was written */
        DB_READ_ONLY,   /* the server takes no writes (a demoted primary); nothing was written, another host may take it */
        DB_REFUSED,     /* a privilege, the table or the database is missing; nothing was written */
        DB_DUPLICATE,   /* a row's key is there already; nothing was written */
        DB_ROW,         /* the statement's data was refused; nothing was written */
};

enum db_fault db_fault_of(unsigned code, bool dialling);
const char *db_fault_text(enum db_fault fault); /* borrowed for ever */

#endif

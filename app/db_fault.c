/* app/db_fault.c: what an error of the database means for the session, the login and the statement. */
#include "app/db_fault.h"

/**
 * db_fault_of() - the meaning of an error code
 * @code:     mysql_errno() or mysql_stmt_errno(), not 0
 * @dialling: the error came while the session was being made
 *
 * Codes 2000..2999 are the client library's own, those from 5000 on Connector/C's own: with either, nobody knows how far the
 * server got. A code that stands in no list is about the statement, so the statement was rolled back.
 * Source: MariaDB "Error Codes", MySQL "Server Error Message Reference".
 *
 * Return: the fault.
 */
enum db_fault db_fault_of(unsigned code, bool dialling)
{
        switch (code) {
        case 1045: /* access denied */
        case 1130: /* no account at all for this host: what is left where the last user of it was dropped */
        case 1698: /* access denied, by a plugin */
        case 1820: /* password expired */
        case 1862:
        case 3118: /* account locked (MySQL) */
        case 3955: /* blocked by password lock (MySQL) */
        case 4151: /* account locked (MariaDB) */ return DB_DENIED;
        case 1021: /* disk full */
        case 1037: /* out of memory */
        case 1038:
        case 1040: /* too many connections */
        case 1041: /* out of resources */
        case 1114: /* table full */
        case 1129: /* host blocked after errors */
        case 1203: /* too many connections of this user */
        case 1205: /* lock wait timeout */
        case 1213: /* deadlock */
        case 1226: /* user's resources used up */
        case 1317: /* statement interrupted */
        case 1461: /* too many prepared statements */
        case 1969: /* max_statement_time (MariaDB) */
        case 3024: /* max_execution_time (MySQL) */ return DB_BUSY;
        case 1290: /* --read-only */
        case 1792: /* read-only transaction */
        case 1836: /* read-only mode */ return DB_READ_ONLY;
        case 1044: /* database forbidden */
        case 1046: /* no database */
        case 1049: /* unknown database */
        case 1054: /* unknown column */
        case 1142: /* table forbidden */
        case 1143: /* column forbidden */
        case 1146: /* no such table */
        case 1227: /* privilege missing */
        case 1370: return DB_REFUSED;
        case 1062: /* duplicate entry */
        case 1586: /* the same with the key's name */ return DB_DUPLICATE;
        case 1047: /* this node of a cluster cannot serve now (Galera): another one may */
        case 1053: /* shutdown in progress */
        case 1158: /* network errors as the server tells them */
        case 1159:
        case 1160:
        case 1161:
        case 1180: /* error during commit: it may stand or not */
        case 1184: /* aborted connection */
        case 1243: /* unknown statement handler: it belonged to another session */
        case 1927: /* connection killed (MariaDB) */
        case 3169: /* session killed (MySQL) */
        case 4031: /* disconnected for inactivity (MySQL) */ return dialling ? DB_UNREACHABLE : DB_DEAD;
        }
        if (dialling)
                return DB_UNREACHABLE;
        return (code >= 2000 && code < 3000) || code >= 5000 ? DB_DEAD : DB_ROW;
}

/**
 * db_fault_text() - a fault in words
 * @fault: which; 0 is "done"
 *
 * Return: borrowed for ever.
 */
const char *db_fault_text(enum db_fault fault)
{
        switch (fault) {
        case DB_DEAD: return "session lost";
        case DB_UNREACHABLE: return "database unreachable";
        case DB_DENIED: return "login denied";
        case DB_BUSY: return "database busy";
        case DB_READ_ONLY: return "database read-only";
        case DB_REFUSED: return "privilege or table missing";
        case DB_DUPLICATE: return "duplicate key";
        case DB_ROW: return "row refused";
        }
        return "done";
}

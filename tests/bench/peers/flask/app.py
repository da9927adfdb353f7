"""The notes service as the documentation of Flask and mysqlclient would have it: one connection a thread, kept.

mysqlclient has no prepared statements. With SAMPLE=1 it does as the samples do: a fresh credential and connection per request.
"""

import os
import threading

import MySQLdb
from flask import Flask, jsonify, request

app = Flask(__name__)
SAMPLE = os.environ.get("SAMPLE") == "1"
LAST = 2**63 - 1
kept = threading.local()


def dial(user, password):
    return MySQLdb.connect(unix_socket=os.environ["DB_SOCKET"], user=user, passwd=password, db=os.environ["DB_NAME"],
                           charset="utf8mb4", autocommit=True)


if SAMPLE:
    import hvac

    vault = hvac.Client(url=os.environ["VAULT_ADDR"], token=os.environ["VAULT_TOKEN"], verify=os.environ["VAULT_CACERT"])


class Connection:
    """The thread's own; in a sample a new one, closed afterwards."""

    def __enter__(self):
        if SAMPLE:
            made = vault.secrets.database.generate_credentials(os.environ["VAULT_ROLE"], os.environ["VAULT_MOUNT"])
            self.db = dial(made["data"]["username"], made["data"]["password"])
            return self.db
        if not hasattr(kept, "db"):
            kept.db = dial(os.environ["DB_USER"], os.environ["DB_PASSWORD"])
        return kept.db

    def __exit__(self, *what):
        if SAMPLE:
            self.db.close()


def note(row):
    return {"id": row[0], "text": row[1], "created_at": row[2].isoformat(timespec="microseconds") + "Z"}


@app.get("/api/v1/notes")
def list_notes():
    limit = request.args.get("limit", 20, type=int)
    if not 1 <= limit <= 100:
        return {"detail": "limit is a number from 1 to 100"}, 400
    with Connection() as db, db.cursor() as cursor:
        cursor.execute("SELECT id, text, created_at FROM notes WHERE id < %s ORDER BY id DESC LIMIT %s",
                       (request.args.get("before", LAST, type=int), limit + 1))
        rows = cursor.fetchall()
    notes = [note(row) for row in rows[:limit]]
    return jsonify(notes=notes, next=notes[-1]["id"] if len(rows) > limit else None)


@app.post("/api/v1/notes")
def add_note():
    text = (request.get_json() or {}).get("text")
    if not isinstance(text, str) or not 1 <= len(text) <= 4096:
        return {"detail": "a text has 1 to 4096 characters"}, 400
    with Connection() as db, db.cursor() as cursor:
        cursor.execute("INSERT INTO notes (text) VALUES (%s) RETURNING id, created_at", (text,))
        number, created = cursor.fetchone()
    return jsonify(note((number, text, created))), 201, {"Location": f"/api/v1/notes/{number}"}

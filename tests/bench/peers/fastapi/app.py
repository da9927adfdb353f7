"""The notes service as the documentation of FastAPI and asyncmy would have it: a pool for each worker.

asyncmy has no prepared statements.
"""

import contextlib
import os

import asyncmy
from fastapi import FastAPI, Query, Response
from pydantic import BaseModel, ConfigDict, Field

LAST = 2**63 - 1
DB = {"unix_socket": os.environ["DB_SOCKET"], "db": os.environ["DB_NAME"], "charset": "utf8mb4", "autocommit": True}


@contextlib.asynccontextmanager
async def lifespan(the_app):
    async with asyncmy.create_pool(minsize=8, maxsize=8, user=os.environ["DB_USER"], password=os.environ["DB_PASSWORD"],
                                   **DB) as pool:
        the_app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


class Note(BaseModel):
    """One note, as it goes out."""

    id: int
    text: str
    created_at: str


class Page(BaseModel):
    """What a list answers."""

    notes: list[Note]
    next: int | None


class Add(BaseModel):
    """What comes in."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(min_length=1, max_length=4096)


def note(row):
    return Note(id=row[0], text=row[1], created_at=row[2].isoformat(timespec="microseconds") + "Z")


@app.get("/api/v1/notes")
async def list_notes(limit: int = Query(20, ge=1, le=100), before: int = LAST) -> Page:
    async with app.state.pool.acquire() as db, db.cursor() as cursor:
        await cursor.execute("SELECT id, text, created_at FROM notes WHERE id < %s ORDER BY id DESC LIMIT %s",
                             (before, limit + 1))
        rows = await cursor.fetchall()
    notes = [note(row) for row in rows[:limit]]
    return Page(notes=notes, next=notes[-1].id if len(rows) > limit else None)


@app.post("/api/v1/notes", status_code=201)
async def add_note(add: Add, response: Response) -> Note:
    async with app.state.pool.acquire() as db, db.cursor() as cursor:
        await cursor.execute("INSERT INTO notes (text) VALUES (%s) RETURNING id, created_at", (add.text,))
        number, created = await cursor.fetchone()
    response.headers["Location"] = f"/api/v1/notes/{number}"
    return note((number, add.text, created))

"""The limit: a WSGI function without a framework, which asks SQLite for the same JSON and checks nothing.

It knows just the requests of the benchmark, and answers them byte for byte as the service does.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote_plus

from contacts.database import PRAGMAS
from contacts.model import COLUMNS, INSERT, RETURNING, columns
from contacts.text import EDGE

ONE = "SELECT CAST(json AS BLOB) FROM contact WHERE seq = ? AND salt = ?"
DELETE = "DELETE FROM contact WHERE seq = ? AND salt = ? AND type = 'Custom'"
LIST = """
SELECT (SELECT CASE ?1 WHEN 'Custom' THEN customs WHEN 'Queue' THEN queues ELSE users END FROM directory),
    CAST((SELECT group_concat(json) FROM (SELECT json FROM contact WHERE type = ?1 ORDER BY name_key, seq LIMIT ?2))
    AS BLOB)
"""
SEARCH = """
WITH found AS MATERIALIZED (
    SELECT seq, name_key FROM contact_search CROSS JOIN contact INDEXED BY contact_in_search
    ON seq = contact_search.rowid WHERE contact_search MATCH ?1
)
SELECT (SELECT count(*) FROM found), CAST((
    SELECT group_concat(json)
    FROM (SELECT seq FROM found ORDER BY name_key, seq LIMIT ?2) CROSS JOIN contact USING (seq)
) AS BLOB)
"""
# What a PUT changes: all that a Custom contact has, but its type.
CHANGED = [
    index for index, name in enumerate(COLUMNS) if not name.startswith(("type", "user", "first", "last", "employee"))
]
UPDATE = (
    f"UPDATE contact SET {', '.join(f'{COLUMNS[index]} = ?' for index in CHANGED)} "
    f"WHERE seq = ? AND salt = ? AND type = 'Custom' {RETURNING}"
)

writer = threading.Lock()
local = threading.local()


def connection() -> sqlite3.Connection:
    """Return the thread's connection."""
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(os.environ["CONTACTS_DATABASE"], isolation_level=None)
        for pragma, value in PRAGMAS:
            local.connection.execute(f"PRAGMA {pragma} = {value}")
    return local.connection


def written(statement: str, values: Iterable[Any]) -> Any:
    """Run a statement as a transaction of its own; return the row that it returns."""
    with writer:
        return connection().execute(statement, values).fetchone()


def located(environ: Mapping[str, Any]) -> tuple[int, str]:
    """Return what the id in the path binds."""
    contact_id = environ["PATH_INFO"][-32:]
    return int(contact_id[:12], 16), contact_id[12:]


def body(environ: Mapping[str, Any]) -> dict[str, str]:
    """Return the contact in the body, with its type."""
    return {"type": "Custom", **json.loads(environ["wsgi.input"].read())}


def one(contact: bytes) -> bytes:
    """Return the envelope with one contact."""
    return b'{"statusCode":0,"contact":%b}' % contact


def get(environ: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return one contact, or the list that the query asks for."""
    if not environ["QUERY_STRING"]:
        return "200 OK", one(connection().execute(ONE, located(environ)).fetchone()[0])
    asked = dict(pair.split("=") for pair in environ["QUERY_STRING"].split("&"))
    if "type" in asked:
        row = connection().execute(LIST, (asked["type"], asked["limit"]))
    elif "q" in asked:
        row = connection().execute(SEARCH, (f'"{unquote_plus(asked["q"]).lower()}"', asked["limit"]))
    else:
        pattern = unquote_plus(asked["filterParameters"]).lower()
        part = pattern.strip("*") if pattern.startswith("*") else EDGE[-1] + pattern[:-1]
        row = connection().execute(SEARCH, (f'{{search_names search_number}} : "{part}"', asked["limit"]))
    return "200 OK", b'{"statusCode":0,"totalCount":%d,"contacts":[%b]}' % row.fetchone()


def post(environ: Mapping[str, Any]) -> tuple[str, bytes]:
    """Add a contact."""
    return "201 Created", one(written(f"{INSERT} {RETURNING}", columns(body(environ)))[1])


def put(environ: Mapping[str, Any]) -> tuple[str, bytes]:
    """Change a contact's name and number."""
    new = columns(body(environ))
    return "200 OK", one(written(UPDATE, (*[new[index] for index in CHANGED], *located(environ)))[1])


def delete(environ: Mapping[str, Any]) -> tuple[str, bytes]:
    """Remove a contact."""
    written(DELETE, located(environ))
    return "200 OK", b'{"statusCode":0}'


METHODS = {"GET": get, "POST": post, "PUT": put, "DELETE": delete}


def app(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer a request."""
    status, answer = METHODS[environ["REQUEST_METHOD"]](environ)
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]

"""What load balancers and service managers ask: /healthz and /readyz."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from flask import Flask, Response

from contacts.database import SCHEMA_VERSION, db, result_code
from contacts.errors import RETRY_AFTER, UNAVAILABLE, ApiError, StatusCode

# Less room than this on the disk, in bytes, is none: a write needs some of it for its WAL.
LEAST_ROOM = 1024 * 1024

WELL = b'{"statusCode":0}'


def alive() -> Response:
    """Answer that the service answers."""
    return Response(WELL, mimetype="application/json")


def ready() -> Response:
    """Answer that contacts can be read and written; raise ApiError 503 when they cannot."""
    path = Path(db.database)
    try:
        # A connection of its own opens the file that is there now, and mode=rw makes none.
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=0)) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version != SCHEMA_VERSION:
                raise not_ready(f"The database has schema version {version}, and this service has {SCHEMA_VERSION}.")
            connection.isolation_level = None
            connection.execute("BEGIN IMMEDIATE")
            # Never committed. BEGIN alone goes well on a file that is read-only.
            connection.execute("UPDATE directory SET revision = revision")
    except sqlite3.Error as error:
        code = result_code(error)
        # Somebody is writing, so it can be written.
        if code not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise not_ready(UNAVAILABLE.get(code, "The directory's file cannot be used.")) from None
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise not_ready("The directory's folder cannot be written.")
    if shutil.disk_usage(path.parent).free < LEAST_ROOM:
        raise not_ready(UNAVAILABLE[sqlite3.SQLITE_FULL])
    return Response(WELL, mimetype="application/json")


def not_ready(reason: str) -> ApiError:
    """Return the answer of a service that cannot do its work now."""
    return ApiError(503, StatusCode.INTERNAL, reason, headers=[("Retry-After", RETRY_AFTER)])


def init_app(app: Flask) -> None:
    """Add both paths; they need no role."""
    app.add_url_rule("/healthz", "healthz", alive)
    app.add_url_rule("/readyz", "readyz", ready)

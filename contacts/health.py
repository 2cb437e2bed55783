"""What load balancers and service managers ask: /healthz and /readyz."""

import os
import shutil
import sqlite3
from contextlib import closing

from flask import Blueprint, Response

from contacts.database import SCHEMA_VERSION, ReplacedError, check_file, database_path, db, result_code
from contacts.errors import UNAVAILABLE, unavailable_error

MIN_FREE_DISK_BYTES = 1024 * 1024  # a write needs some for its WAL

HEALTHY = b'{"statusCode":0}'

blp = Blueprint("health", __name__)


@blp.get("/healthz")
def healthz() -> Response:
    """Answer that the service runs."""
    return Response(HEALTHY, mimetype="application/json")


@blp.get("/readyz")
def readyz() -> Response:
    """Answer that contacts can be read and written; raise ApiError 503 if they cannot."""
    path = database_path()
    try:
        check_file()
    except ReplacedError as error:
        raise unavailable_error(str(error)) from None
    try:
        # A connection of its own opens the file that is there now, and mode=rw makes none.
        with closing(sqlite3.connect(db.database, uri=True, timeout=0)) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version != SCHEMA_VERSION:
                raise unavailable_error(
                    f"The database has schema version {version}, and this service has {SCHEMA_VERSION}."
                )
            connection.isolation_level = None
            connection.execute("BEGIN IMMEDIATE")
            # Never committed. BEGIN alone goes well on a file that is read-only.
            connection.execute("UPDATE directory SET revision = revision")
    except sqlite3.Error as error:
        code = result_code(error)
        # Somebody is writing, so it can be written.
        if code not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise unavailable_error(UNAVAILABLE.get(code, "The directory's file cannot be used.")) from None
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise unavailable_error("The directory's folder cannot be written.")
    if shutil.disk_usage(path.parent).free < MIN_FREE_DISK_BYTES:
        raise unavailable_error(UNAVAILABLE[sqlite3.SQLITE_FULL])
    return Response(HEALTHY, mimetype="application/json")

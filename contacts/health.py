"""What load balancers and service managers ask: /healthz and /readyz."""

import os
import shutil
import sqlite3
from contextlib import closing

from flask import Blueprint, Response

from contacts.database import database_path, db, result_code
from contacts.errors import UNAVAILABLE, unavailable_error
from contacts.transactions import FileChangedError, check_file, check_schema

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
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise unavailable_error("The directory's folder cannot be written.")
    try:
        check_file()
        # A connection of its own opens the file that is there now, and mode=rw makes none.
        with closing(sqlite3.connect(db.database, uri=True, timeout=0)) as connection:
            check_schema(connection.execute)
            connection.isolation_level = None
            connection.execute("BEGIN IMMEDIATE")
            # Never committed. BEGIN alone goes well on a file that is read-only.
            connection.execute("UPDATE directory SET revision = revision")
    except FileChangedError as error:
        raise unavailable_error(str(error)) from None
    except sqlite3.Error as error:
        code = result_code(error)
        # Somebody is writing, so it can be written.
        if code not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise unavailable_error(UNAVAILABLE.get(code, "The directory's file cannot be used.")) from None
    if shutil.disk_usage(path.parent).free < MIN_FREE_DISK_BYTES:
        raise unavailable_error(UNAVAILABLE[sqlite3.SQLITE_FULL])
    return Response(HEALTHY, mimetype="application/json")

"""The SQLite file: its settings, its connections, and statements compiled once."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import peewee
from flask import Flask

from contacts.settings import SettingsError

SCHEMA = Path(__file__).parent.parent / "schema.sql"
SCHEMA_VERSION = 4
APPLICATION_ID = 0x436F6E74  # as schema.sql sets it

RESTORE_ADVICE = "stop the service, keep the file, and restore the last backup (flask backup --help)"

# Milliseconds that SQLite itself waits for a lock. It asks more and more rarely meanwhile, after a second only every
# 100 ms, and would miss the gaps between the transactions of a sync; so transactions.py asks again and again.
BUSY_TIMEOUT_MS = 200
# Settings of every connection: https://www.sqlite.org/pragma.html
PRAGMAS = {
    "journal_mode": "wal",  # readers never wait for a writer
    "synchronous": "full",  # an acknowledged write survives a power cut
    "busy_timeout": BUSY_TIMEOUT_MS,
    "cache_size": -2048,  # KiB, of each thread; the system keeps the file in memory, too
    "journal_size_limit": 64 * 1024 * 1024,  # bytes that the WAL keeps after a checkpoint
}

# Statements that are kept compiled: more than the clients of a site have shapes of queries, and not all that there can
# be. SQLite takes some 30 KiB for one, on each connection.
MAX_STATEMENTS = 128

# One connection for each thread, kept open.
db = peewee.SqliteDatabase(None, pragmas=PRAGMAS, cached_statements=MAX_STATEMENTS, regexp_function=True)


class Table(peewee.Model):
    """A table of schema.sql."""

    class Meta:
        database = db
        legacy_table_names = False  # contact_search, not contactsearch


def result_code(error: BaseException) -> int:
    """Return SQLite's primary result code of an error, or 0 (https://www.sqlite.org/rescode.html)."""
    original = getattr(error, "orig", error)  # the error that peewee wraps
    return int(getattr(original, "sqlite_errorcode", 0)) & 0xFF


def database_path(suffix: str = "") -> Path:
    """Return the path of the SQLite file, or of the one beside it with this suffix."""
    return Path(unquote(urlsplit(db.database).path) + suffix)


@contextmanager
def read_timeout(seconds: float) -> Iterator[None]:
    """Interrupt the statements of the block after so many seconds, with SQLITE_INTERRUPT.

    https://www.sqlite.org/c3ref/progress_handler.html
    """
    deadline = time.monotonic() + seconds
    connection = db.connection()
    # The clock is looked at after so many instructions of SQLite's virtual machine: a fraction of a millisecond.
    connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


@contextmanager
def separate_connection(**pragmas: Any) -> Iterator[peewee.SqliteDatabase]:
    """Yield a database with one connection of its own, for any thread, closed at the end of the block."""
    database = peewee.SqliteDatabase(
        db.database, pragmas=PRAGMAS | pragmas, thread_safe=False, check_same_thread=False, uri=True
    )
    with database.connection_context():
        yield database


class Parameter(NamedTuple):
    """A value that is bound when a compiled statement is executed."""

    name: str


def parameter(name: str) -> peewee.NodeList:
    """Return the place of a value in a query that is compiled.

    +? is the value itself. At a mere ? beside GLOB or a column of a partial index, SQLite looks at the value when it
    prepares the statement, and so prepares it again whenever another one is bound.
    """
    return peewee.NodeList((peewee.SQL("+"), peewee.Value(Parameter(name), converter=False, unpack=False)))


class Compiled:
    """A peewee query whose SQL is made once, as that takes ten times as long as to find a contact."""

    def __init__(self, query: Any) -> None:
        self.sql, self.parameters = query.sql()

    def bind(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the values in the order of the statement's parameters."""
        return [values[each.name] if isinstance(each, Parameter) else each for each in self.parameters]

    def execute(self, values: Mapping[str, Any], database: peewee.SqliteDatabase = db) -> Any:
        """Execute the statement; return SQLite's cursor."""
        return database.execute_sql(self.sql, self.bind(values))

    def rows(self, values: Mapping[str, Any], database: peewee.SqliteDatabase = db) -> list[dict[str, Any]]:
        """Execute the statement; return its rows by column name."""
        cursor = self.execute(values, database)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def execute_many(self, database: peewee.SqliteDatabase, rows: Iterable[Mapping[str, Any]]) -> None:
        """Execute the statement once for each mapping of values."""
        database.connection().executemany(self.sql, map(self.bind, rows))


@contextmanager
def locked(path: Path, wait: bool = True, flags: int = 0) -> Iterator[None]:
    """Lock a folder or a file for the block; without `wait`, raise BlockingIOError if another process has the lock."""
    handle = os.open(path, os.O_RDONLY | flags)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def init_app(app: Flask) -> None:
    """Point the models at the file of the settings, without opening it; raise SettingsError if SQLite is too old."""
    if sqlite3.sqlite_version_info < (3, 40):  # the oldest version that the tests have run on
        raise SettingsError(f"SQLite {sqlite3.sqlite_version} is too old; this service needs 3.40.0")
    # mode=rw: a connection never makes the file.
    db.init(f"{Path(app.config['DATABASE']).absolute().as_uri()}?mode=rw", uri=True)

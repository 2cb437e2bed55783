"""Transactions that write: one at a time, on the file and schema of the process's start, with a bounded WAL."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import peewee

from contacts import phone
from contacts.database import SCHEMA_VERSION, database_path, db, result_code, separate_connection

WRITE_TIMEOUT_S = 5  # that a write waits for other writes before it is refused
# Without a write, after which the last thread waits for its turn no more. A sync has the file for most of a second.
STALLED_S = 1
TURN_POLL_S = 0.02  # between its looks at whether writes advance

MAX_WAL_BYTES = 24 * 1024 * 1024  # a write empties a longer one. SQLite does so only when nobody reads for a moment
WAL_TIMEOUT_MS = 500  # that it waits for those who read; a search of a large directory takes less
# By which the WAL grows until it tries again: somebody may read for long (a backup), or always (Litestream).
WAL_STEP_BYTES = 4 * 1024 * 1024

MERGE_PAGES_PER_TRANSACTION = 200  # of the search index, in some 20 ms

# SQLite lets one connection write at a time; threads wait for each other here, where none waits longer than needed.
write_lock = threading.Lock()


class BusyError(peewee.OperationalError):
    """Other writes of this process took too long."""

    sqlite_errorcode = sqlite3.SQLITE_BUSY


class FileChangedError(peewee.OperationalError):
    """The file is not the one of the start any more: what would be written could be lost, or be read wrongly."""


REPLACED = (
    "The directory's file was replaced or removed while the service runs: stop the service, put the file in its "
    "place, remove the -wal and -shm files beside it, and start."
)
UPGRADED = (
    "The directory's file has another schema version or numbering plan than at this service's start: another version "
    "was started on it, or one with other settings. Restart this one."
)


class Process:
    """What this process knows of the file, and of its own writes."""

    file: os.stat_result | None = None  # of the one that it began with
    turns = threading.Semaphore(1000)  # threads that may write or wait to: all but one, see keep_a_thread_free()
    progressed = stalled = 0.0  # time.monotonic() when a write last had the file, and when the last thread gave up
    wal_limit = MAX_WAL_BYTES  # bytes above which the next write empties the WAL


def keep_a_thread_free(threads: int) -> None:
    """Let writes never take all threads of this process."""
    Process.turns = threading.Semaphore(max(1, threads - 1))


def check_file() -> None:
    """Raise FileChangedError if there is no file, or another one than at the start."""
    with suppress(FileNotFoundError):
        found = database_path().stat()
        Process.file = Process.file or found
        if os.path.samestat(found, Process.file):
            return
    raise FileChangedError(REPLACED)


def check_schema(execute: Callable[[str], Any]) -> None:
    """Raise FileChangedError if the file was upgraded since the start; `execute` runs a statement on it."""
    known = execute("SELECT user_version, numbering_plan FROM pragma_user_version, directory").fetchone()
    if known != (SCHEMA_VERSION, phone.plan_text()):
        raise FileChangedError(UPGRADED)


@contextmanager
def write_turn(began: float) -> Iterator[None]:
    """Run the block when no other thread writes; raise BusyError if that takes too long.

    The last thread is for reads: it waits for its turn only while other writes advance. Once it has given up, the next
    one gives up at once, until a write advances.
    """
    while not Process.turns.acquire(timeout=TURN_POLL_S):
        until = min(began + WRITE_TIMEOUT_S, max(began, Process.progressed) + STALLED_S)
        if Process.stalled > Process.progressed or time.monotonic() > until:
            Process.stalled = time.monotonic()
            raise BusyError("all threads but one wait to write")
    with ExitStack() as stack:
        stack.callback(Process.turns.release)
        if not write_lock.acquire(timeout=max(0, began + WRITE_TIMEOUT_S - time.monotonic())):
            raise BusyError("database is locked by other threads")
        stack.callback(write_lock.release)
        yield


@contextmanager
def write_transaction(database: peewee.SqliteDatabase = db) -> Iterator[None]:
    """Run the block as one transaction that writes, alone in this process and on the file.

    BEGIN IMMEDIATE takes the file's lock at once: one that reads first fails if another one writes meanwhile.
    Raise peewee.OperationalError if others hold the lock for WRITE_TIMEOUT_S, FileChangedError if it is another file.
    """
    began = time.monotonic()
    with write_turn(began):
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(database.atomic("IMMEDIATE"))
                    break
                except peewee.OperationalError as error:
                    if result_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > began + WRITE_TIMEOUT_S:
                        raise
            Process.progressed = time.monotonic()
            check_file()
            check_schema(database.execute_sql)
            yield
        Process.progressed = time.monotonic()
        bound_wal()


def bound_wal() -> None:
    """Empty the WAL if it is long: https://www.sqlite.org/wal.html#avoiding_excessively_large_wal_files."""
    wal = database_path("-wal")
    size = wal.stat().st_size if wal.exists() else 0
    if size <= MAX_WAL_BYTES:
        Process.wal_limit = MAX_WAL_BYTES
    elif size > Process.wal_limit:
        Process.wal_limit = size + WAL_STEP_BYTES
        # What was written is on disk, also if this fails, as while somebody reads for longer.
        with suppress(peewee.OperationalError), separate_connection(busy_timeout=WAL_TIMEOUT_MS) as database:
            database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def merge_search_index(database: peewee.SqliteDatabase) -> None:
    """Merge the pieces of the search index that many transactions have left: a search looks into each."""
    connection = database.connection()
    pages, written_rows = -MERGE_PAGES_PER_TRANSACTION, 2  # a negative number begins the merge
    while written_rows > 1:
        before = connection.total_changes
        with write_transaction(database):
            # A command of FTS5, no INSERT in truth: https://www.sqlite.org/fts5.html#the_merge_command
            database.execute_sql("INSERT INTO contact_search (contact_search, rank) VALUES ('merge', ?)", (pages,))
        pages, written_rows = MERGE_PAGES_PER_TRANSACTION, connection.total_changes - before

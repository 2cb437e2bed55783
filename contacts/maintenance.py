"""What the file of the directory needs now and then: a copy, and a check."""

import fcntl
import glob
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from contacts.database import SCHEMA, SCHEMA_VERSION, db, own_connection
from contacts.model import COLUMNS, TYPES, columns


class MaintenanceError(Exception):
    """The copy cannot be made."""


def refuse_database(path: Path) -> None:
    """Raise MaintenanceError when a file that is to be written is the database, or one that SQLite keeps beside it."""
    source = Path(db.database).resolve()
    if path.resolve() in {
        source.with_name(source.name + suffix) for suffix in ("", "-wal", "-shm", "-journal", "-sync")
    }:
        raise MaintenanceError(f"{path} is the database itself; name another file")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a new private file that takes the place of `path` at the end of the block, whole and on disk.

    When the block raises, the file goes and `path` stays as it was. A pipe or a device is lent itself.
    Raise MaintenanceError when `path` is the database.
    """
    refuse_database(path)
    path = path.resolve()
    if path.exists() and not path.is_file():
        yield path
        return
    if not path.parent.is_dir():
        raise MaintenanceError(f"there is no folder {str(path.parent)!r}")
    try:
        with unfinished(path) as (handle, temporary):
            yield temporary
            os.fsync(handle)
            os.replace(temporary, path)
    except OSError as error:
        raise error if error.filename else OSError(error.errno, error.strerror, str(path)) from None
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def unfinished(path: Path) -> Iterator[tuple[int, Path]]:
    """Lend a new private file beside `path` that goes at the end of the block, unless it got another name.

    It is locked meanwhile: one that is not was left by a run that was killed, and goes now.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(OSError):  # locked, or another user's
            handle = os.open(left, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                discard(left)
            finally:
                os.close(handle)
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.exists(name):
            break
        os.close(handle)  # another run has come in between, and taken it for one that was left
    try:
        yield handle, Path(name)
    finally:
        discard(Path(name))
        os.close(handle)


def discard(path: Path) -> None:
    """Remove an unfinished file with what SQLite keeps beside it; itself last, as the rest is found by it."""
    for suffix in ("-journal", "-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def backup(path: Path, overwrite: bool) -> int:
    """Copy the database as it is at one moment, while the service runs, and return the copy's size in bytes.

    Raise MaintenanceError when the file exists (unless `overwrite`), is the database itself, or when the copy
    is not sound; the file is then as it was.
    """
    refuse_database(path)
    refuse_existing(path, overwrite)
    with replacing(path) as temporary:
        if found := copy(temporary):
            raise MaintenanceError(f"the copy is not sound, and was not kept: {'; '.join(found)}")
        refuse_existing(path, overwrite)  # another run may have made it meanwhile
        return temporary.stat().st_size


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise MaintenanceError when a file is there that is not to be replaced."""
    if path.exists() and not (overwrite and path.is_file()):
        raise MaintenanceError(f"{path} exists; say --overwrite to replace it, or name another file")


def check() -> list[str]:
    """Return what is wrong with the database, nothing when it is sound.

    A copy is checked, beside the file: checking the search index would lock writers out for as long.
    """
    with unfinished(Path(db.database)) as (_, path):
        found = copy(path)
        if not found:
            with closing(sqlite3.connect(path)) as connection:
                found = stale(connection)
        return found


def copy(path: Path) -> list[str]:
    """Copy the database as it is at one moment, and return what is wrong with the copy.

    Raise MaintenanceError when there is no room for it.
    """
    with own_connection() as connection, closing(sqlite3.connect(path, isolation_level=None)) as target:
        try:
            connection.backup(target)
        except sqlite3.OperationalError as error:
            raise MaintenanceError(f"the database cannot be copied to {path.parent}: {error}") from None
        # One file, that needs no -wal beside it; the service goes back to WAL when it opens it.
        target.execute("PRAGMA journal_mode = DELETE")
        return problems(target)


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of contacts by type."""
    rows = connection.execute("SELECT type, count(*) FROM contact GROUP BY type")
    return dict.fromkeys(TYPES, 0) | dict(rows.fetchall())


def problems(connection: sqlite3.Connection) -> list[str]:
    """Return what is wrong with a database, nothing when it is sound."""
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(10)") if row[0] != "ok"]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            found.append(f"schema version {version}, and this service has {SCHEMA_VERSION}")
        if differing := sorted(laid_out(connection) ^ as_it_should_be()):
            found.append(f"not as schema.sql has it: {', '.join(dict.fromkeys(name for name, _ in differing))}")
        counted = tuple(counts(connection).values())
        kept = connection.execute("SELECT customs, queues, users FROM directory").fetchone()
        if counted != kept:
            found.append(f"the directory counts {kept} contacts by type and there are {counted}")
    except sqlite3.DatabaseError as error:
        return [str(error)]
    try:
        # rank 1: compare the index with the contacts: https://www.sqlite.org/fts5.html#the_integrity_check_command
        connection.execute("INSERT INTO contact_search (contact_search, rank) VALUES ('integrity-check', 1)")
    except sqlite3.DatabaseError as error:
        found.append(f"the search index does not agree with the contacts ({error})")
    return found


def laid_out(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """Return the name and the SQL of all that a database is made of, but for what SQLite keeps for itself."""
    return set(connection.execute("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"))


def as_it_should_be() -> set[tuple[str, str]]:
    """Return the same of a new database."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(SCHEMA.read_text(encoding="utf-8"))
        return laid_out(connection)


def stale(connection: sqlite3.Connection) -> list[str]:
    """Return what is wrong with the keys by which contacts are filtered, sorted and searched."""
    rows = connection.execute(f"SELECT id, json, {', '.join(COLUMNS)} FROM contact")
    wrong = [contact_id for contact_id, contact, *kept in rows if columns(json.loads(contact)) != tuple(kept)]
    return [f"{len(wrong)} contacts have other keys than their values make, the first is {wrong[0]}"] if wrong else []

"""What the file of the directory needs now and then: a copy, and a check."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from contacts.database import SCHEMA_VERSION, db, own_connection
from contacts.model import TYPES


class MaintenanceError(Exception):
    """The copy cannot be made."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a new private file beside `path` that takes its place at the end of the block, whole and on disk.

    When the block raises, the file goes and `path` stays as it was.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        yield Path(name)
        os.fsync(handle)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    finally:
        os.close(handle)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def backup(path: Path, overwrite: bool) -> int:
    """Copy the database as it is at one moment, while the service runs, and return the copy's size in bytes.

    Raise MaintenanceError when the file exists (unless `overwrite`), is the database itself, or when the copy
    is not sound; the file is then as it was.
    """
    source = Path(db.database).resolve()
    if path.resolve() in {source.with_name(source.name + suffix) for suffix in ("", "-wal", "-shm")}:
        raise MaintenanceError(f"{path} is the database itself; name another file")
    if path.exists() and not overwrite:
        raise MaintenanceError(f"{path} exists; say --overwrite to replace it, or name another file")
    with replacing(path) as temporary:
        if found := copy(temporary):
            raise MaintenanceError(f"the copy is not sound, and was not kept: {'; '.join(found)}")
        return temporary.stat().st_size


def check() -> list[str]:
    """Return what is wrong with the database, nothing when it is sound.

    A copy is checked, beside the file: checking the search index would lock writers out for as long.
    """
    with tempfile.TemporaryDirectory(prefix=".check.", dir=Path(db.database).parent) as folder:
        return copy(Path(folder) / "copy")


def copy(path: Path) -> list[str]:
    """Copy the database as it is at one moment, and return what is wrong with the copy."""
    with own_connection() as connection, closing(sqlite3.connect(path, isolation_level=None)) as target:
        connection.backup(target)
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

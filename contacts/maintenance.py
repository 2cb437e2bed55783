"""What the database file needs at times: a copy, and a check."""

import fcntl
import glob
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import peewee
from peewee import fn

from contacts.attributes import TYPES
from contacts.database import SCHEMA, SCHEMA_VERSION, database_path, locked, separate_connection
from contacts.model import Contact, Directory, differing, row_of
from contacts.transactions import write_transaction

CONTACTS_PER_REPAIR = 500  # in one transaction: others write in between

# All that a database consists of, without SQLite's own.
OBJECTS = "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"


class MaintenanceError(Exception):
    """The file cannot be written."""


def refuse_database(path: Path) -> None:
    """Raise MaintenanceError if a file to be written is the database, or one that is kept beside it."""
    source = database_path().resolve()
    if path.resolve() in {source.with_name(source.name + each) for each in ("", "-wal", "-shm", "-journal", "-sync")}:
        raise MaintenanceError(f"{path} is the database itself; name another file")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a new private file that replaces `path` at the end of the block, complete and on disk.

    If the block raises, the new file is removed and `path` stays as it was. A pipe or a device is yielded itself.
    Raise MaintenanceError if `path` is the database.
    """
    refuse_database(path)
    if path.exists() and not path.is_file():
        yield path
        return
    path = path.resolve()
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
    """Yield a new private file beside `path`; it is removed at the end of the block, unless it has been renamed.

    The file is locked meanwhile. Those that are not locked are left from runs that were killed, and are removed.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(OSError), locked(left, wait=False, flags=os.O_NOFOLLOW | os.O_NONBLOCK):
            discard(left)  # neither locked nor another user's
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.exists(name):
            break
        os.close(handle)  # another run found it before it was locked, and removed it
    try:
        yield handle, Path(name)
    finally:
        discard(Path(name))
        os.close(handle)


def discard(path: Path) -> None:
    """Remove an unfinished file and what SQLite keeps beside it; itself last, as the others are found by its name."""
    for suffix in ("-journal", "-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def backup(path: Path, overwrite: bool) -> int:
    """Copy the database as it is at one moment, while the service runs; return the size of the copy in bytes.

    Raise MaintenanceError, and leave the file as it was, if it exists (unless `overwrite`), is the database itself, or
    if the copy is damaged.
    """
    with separate_connection() as database, replacing(path) as temporary:
        refuse_existing(path, overwrite)
        copy(database.connection(), temporary)
        if found := problems(temporary):
            raise MaintenanceError(f"the copy is not sound, and was not kept: {'; '.join(found)}")
        refuse_existing(path, overwrite)  # another run may have made it meanwhile
        return temporary.stat().st_size


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise MaintenanceError if the file exists and is not to be replaced."""
    if path.exists() and not path.is_file():
        raise MaintenanceError(f"{path} is no file; name another one")
    if path.exists() and not overwrite:
        raise MaintenanceError(f"{path} exists; say --overwrite to replace it, or name another file")


def copy(source: sqlite3.Connection, path: Path) -> None:
    """Copy a database as it is at one moment; raise MaintenanceError if there is no room for the copy."""
    with closing(sqlite3.connect(path, isolation_level=None)) as target:
        try:
            source.backup(target)
        except sqlite3.OperationalError as error:
            raise MaintenanceError(f"the database cannot be copied to {path.parent}: {error}") from None
        # One file, without a WAL beside it; the service sets it to WAL again when it opens it.
        target.execute("PRAGMA journal_mode = DELETE")


def check() -> tuple[list[str], list[str]]:
    """Return what is damaged in the database, and the ids of contacts whose columns are not what their values make."""
    # A copy: a check of the search index in place would lock writers out for as long.
    with separate_connection() as database, unfinished(database_path()) as (_, path):
        copy(database.connection(), path)
        if found := problems(path):
            return found, []
        copied = peewee.SqliteDatabase(str(path))
        with copied.connection_context():
            rows = Contact.select().dicts().iterator(copied)
            return [], [row["id"] for row in rows if differing(row, row_of(json.loads(row["json"])))]


def repair(contact_ids: list[str]) -> int:
    """Make the keys of contacts anew, while the service runs; return how many are left, whose keys others have."""
    left = 0
    for batch in peewee.chunked(contact_ids, CONTACTS_PER_REPAIR):
        with write_transaction():
            for row in list(Contact.select(Contact.id, Contact.json).where(Contact.id.in_(batch)).dicts()):
                try:
                    Contact.update(row_of(json.loads(row["json"]))).where(Contact.id == row["id"]).execute()
                except peewee.IntegrityError:
                    left += 1
    return left


def problems(path: Path) -> list[str]:
    """Return what is wrong with a database file that nothing else has open."""
    database = peewee.SqliteDatabase(str(path))
    with database.connection_context():
        try:
            found = [row[0] for row in database.execute_sql("PRAGMA integrity_check(10)") if row[0] != "ok"]
            if (version := database.user_version) != SCHEMA_VERSION:
                found.append(f"schema version {version}, and this service has {SCHEMA_VERSION}")
            with closing(sqlite3.connect(":memory:")) as new:
                new.executescript(SCHEMA.read_text(encoding="utf-8"))
                expected = set(new.execute(OBJECTS))
            if others := sorted(expected.symmetric_difference(database.execute_sql(OBJECTS))):
                found.append(f"not as schema.sql has it: {', '.join(dict.fromkeys(name for name, _ in others))}")
            counted = tuple(counts(database).values())
            kept = Directory.select(Directory.customs, Directory.queues, Directory.users).tuples().first(database)
            if counted != kept:
                found.append(f"the directory counts {kept} contacts by type and there are {counted}")
        except (sqlite3.DatabaseError, peewee.DatabaseError) as error:
            return [str(error)]
        try:
            # rank 1: compare the index with the contacts: https://www.sqlite.org/fts5.html#the_integrity_check_command
            database.execute_sql("INSERT INTO contact_search (contact_search, rank) VALUES ('integrity-check', 1)")
        except peewee.DatabaseError as error:
            found.append(f"the search index does not agree with the contacts ({error})")
    return found


def counts(database: peewee.SqliteDatabase) -> dict[str, int]:
    """Return the number of contacts by type."""
    counted = Contact.select(Contact.type, fn.COUNT(Contact.seq).alias("count")).group_by(Contact.type)
    return dict.fromkeys(TYPES, 0) | {row["type"]: row["count"] for row in counted.dicts().iterator(database)}

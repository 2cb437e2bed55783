"""The SQLite file: one connection per thread, kept; a schema that is ours or none; one writer at a time."""

import fcntl
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import peewee
from flask import Flask

from contacts.settings import SettingsError

SCHEMA = Path(__file__).parent.parent / "schema.sql"
SCHEMA_VERSION = 3  # a new one has a step in upgrades.py
APPLICATION_ID = 0x436F6E74  # as schema.sql sets it
OLDEST_SQLITE = (3, 40, 0)  # the oldest that the tests have run on

# What to do about a damaged database.
RESTORE = "stop the service, keep the file, and restore the last backup (flask backup --help)"

# How long a write waits for another one, in seconds, before it is refused.
BUSY_TIMEOUT = 5

# What every connection is told.
PRAGMAS = (
    ("journal_mode", "wal"),  # readers never wait for a writer
    ("synchronous", "full"),  # an acknowledged write survives a power cut
    ("foreign_keys", "on"),
    ("busy_timeout", BUSY_TIMEOUT * 1000),
    ("cache_size", -16384),  # KiB
    ("journal_size_limit", 64 * 1024 * 1024),  # bytes that the WAL keeps after a checkpoint
)

# As often asks who waits for another one, in seconds. SQLite's own waiting soon asks every 100 ms only.
PAUSE = 0.0002


def result_code(error: Exception) -> int:
    """Return the primary result code of SQLite's that an error has, or 0."""
    original = getattr(error, "orig", error)  # what peewee wraps
    # The lower eight bits: https://www.sqlite.org/rescode.html
    return int(getattr(original, "sqlite_errorcode", 0)) & 0xFF


def eagerly(deadline: float, execute: Callable[..., Any], *arguments: Any) -> Any:
    """Return what execute() returns; raise its error when others keep it from that until the deadline (monotonic)."""
    while True:
        try:
            return execute(*arguments)
        except (sqlite3.OperationalError, peewee.OperationalError) as error:
            if result_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(PAUSE)


class Database(peewee.SqliteDatabase):
    """SQLite, with statements that wait eagerly for their turn.

    So a write of another process is followed at once, and a writer gets in between two transactions of a sync.
    """

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Return the cursor of a statement; raise peewee.OperationalError when others take longer than BUSY_TIMEOUT."""
        return eagerly(time.monotonic() + BUSY_TIMEOUT, super().execute_sql, sql, params)

    def begin(self, lock_type: str | None = None) -> None:
        """Begin a transaction that writes.

        IMMEDIATE: a read that turns into a write fails at once when another write came between.
        """
        self.execute_sql("BEGIN IMMEDIATE")

    def rollback(self) -> None:
        """Undo the transaction, unless SQLite has done so by itself, as it does when the disk is full."""
        if self.connection().in_transaction:
            super().rollback()

    def close(self) -> Any:
        """Close the connection of the thread, and that of the writer unless it is at work."""
        writer.close()
        return super().close()


# cached_statements: room for the statement of every common shape of a query.
db = Database(None, pragmas=(*PRAGMAS, ("busy_timeout", 0)), cached_statements=512)

# Connections of the parent process. Closing one here would release what the parent still holds.
_abandoned: list[sqlite3.Connection] = []


def before_waiting() -> None:
    """Do nothing, before a thread waits for the disk or another writer; a server may put something else here."""


class Busy(sqlite3.OperationalError):
    """The threads of this process kept each other waiting for too long."""

    sqlite_errorcode = sqlite3.SQLITE_BUSY


class Change:
    """A statement that a thread wants to be run, and what came of it."""

    def __init__(self, statement: str, values: Sequence[Any]) -> None:
        self.statement = statement
        self.values = values
        self.deadline = time.monotonic() + BUSY_TIMEOUT
        self.made = False
        self.row: Any = None
        self.error: BaseException | None = None


class Writer:
    """The writer of a process: changes that its threads wait with are one transaction, and wait for the disk once.

    It has a connection of its own, which still knows what it has read: SQLite lets one forget that at each change that
    another one makes.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.changes: deque[Change] = deque()
        self.connection: sqlite3.Connection | None = None

    def write(self, change: Change) -> Any:
        """Make a change, or let the thread that writes make it; return the row that its statement returns."""
        self.changes.append(change)
        before_waiting()
        if not self.lock.acquire(timeout=BUSY_TIMEOUT):
            self.withdraw(change)
        try:
            if not change.made:
                self.make_all(change)
        finally:
            self.lock.release()
        if change.error is not None:
            raise change.error
        return change.row

    def withdraw(self, change: Change) -> None:
        """Raise Busy, unless the change is being made: then wait for that."""
        try:
            self.changes.remove(change)
        except ValueError:
            self.lock.acquire()
        else:
            raise Busy("database is locked by other threads")

    def make_all(self, first: Change) -> None:
        """Make all changes that wait: all of them or none.

        When others do not make room in time for the first, it fails; the rest goes on to wait for as long as each may.
        """
        changes = [first]
        error, rows = None, []
        try:
            connection = self.opened()
            if len(self.changes) == 1:
                self.changes.remove(first)
                rows.append(eagerly(first.deadline, run, connection, first))
            else:
                with transaction(connection, "BEGIN IMMEDIATE", first.deadline):
                    changes = self.taken()
                    rows = [run(connection, change) for change in changes]
        except BaseException as raised:
            error, rows = raised, [None] * len(changes)
            with suppress(ValueError):  # where it did not come to taking it
                self.changes.remove(first)
        for change, row in zip(changes, rows, strict=True):
            change.made, change.row, change.error = True, row, error

    def taken(self) -> list[Change]:
        """Take all changes that wait; some may be withdrawn meanwhile."""
        changes: list[Change] = []
        with suppress(IndexError):
            while True:
                changes.append(self.changes.popleft())
        return changes

    def opened(self) -> sqlite3.Connection:
        """Return the connection."""
        if self.connection is None:
            self.connection = connect((("busy_timeout", 0),))
        return self.connection

    def close(self) -> None:
        """Close the connection, unless it is in use."""
        if self.lock.acquire(blocking=False):
            try:
                if self.connection is not None:
                    self.connection.close()
                    self.connection = None
            finally:
                self.lock.release()


writer = Writer()


def run(connection: sqlite3.Connection, change: Change) -> Any:
    """Run a change's statement to its end; return the row that it returns."""
    return connection.execute(change.statement, change.values).fetchone()


def write(statement: str, values: Sequence[Any]) -> Any:
    """Run a statement that changes at most one row; return what it returns of it, once that is on disk.

    Raise Busy, or sqlite3.OperationalError, when other writers do not make room in time.
    """
    return writer.write(Change(statement, values))


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str, deadline: float = 0) -> Iterator[None]:
    """Run the block as one transaction of this connection; wait for others until the deadline as eagerly() does."""
    eagerly(deadline, connection.execute, begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def own_connection(more: Iterable[tuple[str, Any]] = ()) -> Iterator[sqlite3.Connection]:
    """Lend a connection for as long as the block lasts: for what must not hold up its thread's own.

    It is told PRAGMAS, and then `more`.
    """
    connection = connect(more)
    try:
        yield connection
    finally:
        connection.close()


def connect(more: Iterable[tuple[str, Any]]) -> sqlite3.Connection:
    """Return a new connection that is told PRAGMAS, and then `more`; any thread may use it, one at a time."""
    connection = sqlite3.connect(db.database, isolation_level=None, check_same_thread=False)
    try:
        for pragma, value in (*PRAGMAS, *more):
            connection.execute(f"PRAGMA {pragma} = {value}")
    except BaseException:
        connection.close()
        raise
    return connection


def init_app(app: Flask, make: bool = True) -> None:
    """Point the models at the file that the settings name, and make it when it does not exist, unless told not to.

    Raise SettingsError when SQLite is too old, and as prepare() does.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise SettingsError(
            f"SQLite {sqlite3.sqlite_version} is too old; this service needs {'.'.join(map(str, OLDEST_SQLITE))}"
        )
    db.init(str(Path(app.config["DATABASE"]).absolute()))
    prepare(app.config["DATABASE"], make)


def prepare(name: str, make: bool = True) -> None:
    """Look at the database in this file, and make it when there is none, unless told not to.

    Raise SettingsError as alone_with() does.
    """
    with alone_with(name) as path:
        if not inspect(path) and make:
            create(path)


@contextmanager
def alone_with(name: str) -> Iterator[Path]:
    """Lend this file to one process at a time, to be made ready.

    Raise SettingsError when there is no folder for it, or when the file is another program's or a
    newer version's; such a file is not touched.
    """
    path = Path(name).absolute()
    try:
        with alone(path.parent):
            yield path
    except (OSError, sqlite3.Error, peewee.DatabaseError) as error:
        raise SettingsError(f"CONTACTS_DATABASE={name!r}: {reason(path, error)}") from None
    finally:
        # The process that made the application may fork; each one opens connections of its own.
        db.close()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one process at a time look at the folder's database and make it.

    SQLite would see to that but for the switch to WAL, which fails at once where another process does the same.
    The folder is locked, not the file: closing a file drops the locks that SQLite has on it in this process.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def only_one(suffix: str) -> Iterator[bool]:
    """Tell whether this process is the only one that has come here with this suffix, for as long as the block lasts."""
    handle = os.open(f"{db.database}{suffix}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def inspect(path: Path) -> int:
    """Return the schema version of a file of ours, or 0 for one that is new or empty.

    Raise SettingsError for a file that this version of the service cannot serve.
    """
    if path.with_name(f"{path.name}-journal").exists():
        # The power failed while the file was made, before it got its WAL: SQLite takes back what is half-made.
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema")
    if not path.exists() or path.stat().st_size == 0:
        return 0
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":  # SQLite takes a file of a few bytes for an empty one
            raise sqlite3.DatabaseError("file is not a database")
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT)
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    finally:
        connection.close()
    if (version, application, tables) == (0, 0, 0):
        return 0
    if application != APPLICATION_ID:
        raise SettingsError(
            f"{str(path)!r} is the database of another program; it is left as it is. "
            "Name another file in CONTACTS_DATABASE."
        )
    if not 0 < version <= SCHEMA_VERSION:
        raise SettingsError(
            f"{str(path)!r} has schema version {version}, and this service has {SCHEMA_VERSION}; it is left as it is. "
            "Start the version of the service that wrote it, or a later one."
        )
    return version


def create(path: Path) -> None:
    """Make the database from schema.sql, readable by its owner alone."""
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    connection = db.connection()
    connection.executescript(f"BEGIN IMMEDIATE;\n{SCHEMA.read_text(encoding='utf-8')}\nCOMMIT;")


def reason(path: Path, error: Exception) -> str:
    """Say in a few words why the file cannot be used."""
    if not os.path.isdir(path.parent):
        return f"there is no folder {str(path.parent)!r}"
    if os.path.isdir(path):
        return "that is a folder; give the path of a file"
    if "not a database" in str(error):
        return "the file is not an SQLite database; it is left as it is"
    if "malformed" in str(error):
        return f"{error}; {RESTORE}"
    if not os.access(path.parent, os.W_OK):
        return (
            f"the folder {str(path.parent)!r} cannot be written, and SQLite keeps files of its own beside the database"
        )
    return str(error)


def _after_fork() -> None:
    """Leave the parent's connection alone, unused and unclosed, and begin without one."""
    global writer  # noqa: PLW0603
    if not db.is_closed():
        _abandoned.append(db.connection())
        db.dispose()
    if writer.connection is not None:
        _abandoned.append(writer.connection)
    writer = Writer()


os.register_at_fork(after_in_child=_after_fork)

"""The database file at the start: made when it does not exist, and brought to this schema version when it is older."""

import json
import logging
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from contacts import phone
from contacts.database import APPLICATION_ID, PRAGMAS, RESTORE_ADVICE, SCHEMA, SCHEMA_VERSION, locked
from contacts.maintenance import MaintenanceError, copy, replacing
from contacts.model import ADD, row_of
from contacts.settings import SettingsError
from contacts.transactions import WRITE_TIMEOUT_S, Process

log = logging.getLogger(__name__)

# Make the tables of contacts and of the directory anew, as schema.sql has them, in a transaction that stays open.
ANEW = f"""\
BEGIN IMMEDIATE;
CREATE TEMP TABLE kept AS SELECT seq, json FROM contact;
DROP TABLE IF EXISTS contact_vocabulary;
DROP TABLE contact_search;
DROP TABLE contact;
CREATE TEMP TABLE revision AS SELECT revision FROM directory;
DROP TABLE directory;
{SCHEMA.read_text(encoding="utf-8")}
UPDATE directory SET revision = (SELECT revision FROM temp.revision);
"""
NOTE_PLAN = "UPDATE directory SET numbering_plan = ?"
# By which states of a database are told apart.
STATE = "SELECT user_version, revision, (SELECT count(*) FROM token) FROM pragma_user_version, directory"


def make_anew(path: Path, version: int) -> None:
    """Make the tables of contacts anew, as schema.sql and model.row_of() have them, in one transaction.

    A database of an older version is copied beside itself first. Users and Queues whose names are now the same text as
    an earlier one's are left out: the next sync brings in what is right.
    """
    with closing(sqlite3.connect(path, isolation_level=None, timeout=WRITE_TIMEOUT_S)) as connection:
        if version < SCHEMA_VERSION:
            backup = path.with_name(f"{path.name}.v{version}-backup")
            versions = f"from schema version {version} to {SCHEMA_VERSION}"
            log.info("upgrading the database %s; a copy of it is %s", versions, backup)
            back_up(connection, backup)
        else:
            log.info("making all keys anew for the numbering plan %s", phone.plan_text())
        connection.executescript(ANEW)
        connection.execute(NOTE_PLAN, (phone.plan_text(),))
        kept = connection.execute("SELECT json FROM kept ORDER BY seq")
        connection.executemany(ADD.sql, (ADD.bind(row_of(json.loads(row[0]))) for row in kept))
        lost = connection.execute("SELECT (SELECT count(*) FROM kept) - (SELECT count(*) FROM contact)").fetchone()[0]
        connection.execute("COMMIT")
    if lost:
        log.warning("%d Users and Queues were left out, whose names are the same text as another's; sync again", lost)


def back_up(connection: sqlite3.Connection, path: Path) -> None:
    """Copy the database to a file that only its owner can read, and check the copy.

    Raise SettingsError if a copy of another state is there, or if the copy is damaged.
    """
    if path.exists():
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as earlier:
            if earlier.execute(STATE).fetchone() != connection.execute(STATE).fetchone():
                raise SettingsError(
                    f"{str(path)!r} is there already, and is not the copy of the database that an upgrade would make; "
                    "move it away and start again. Nothing was changed."
                )
        return  # an upgrade was interrupted
    with replacing(path) as temporary:
        copy(connection, temporary)
        with closing(sqlite3.connect(temporary)) as made:
            found = made.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise SettingsError(f"{str(path)!r} would not be a sound copy before the upgrade: {found}")


def prepare(name: str, renumber: bool = False) -> None:
    """Make the database in this file unless it exists, and bring an older one to this version.

    The server's start makes the keys of numbers anew (`renumber`) for another numbering plan; a command must have the
    same. Raise SettingsError, in one line, if the file cannot be used; it is left as it is then.
    """
    path = Path(name).absolute()
    try:
        # Two processes that switch a new file to WAL at once would fail. The folder is locked, not the file: closing a
        # file drops the locks that SQLite has on it in this process.
        with locked(path.parent):
            version, plan = inspect(path)
            if not version:
                create(path)
            elif plan != phone.plan_text() and not renumber:
                raise SettingsError(
                    f"the service's CONTACTS_COUNTRY_CODE, _TRUNK_PREFIX, _INTERNATIONAL_PREFIX are {plan!r} and "
                    f"here {phone.plan_text()!r}; set them alike, or start the service with the new ones"
                )
            elif version < SCHEMA_VERSION or plan != phone.plan_text():
                make_anew(path, version)
            Process.file = path.stat()
    except (OSError, sqlite3.Error, MaintenanceError) as error:
        raise SettingsError(f"CONTACTS_DATABASE={name!r}: {why_unusable(path, error)}") from None


def inspect(path: Path) -> tuple[int, str]:
    """Return the schema version and the numbering plan of our file; 0 and "" for a file that is missing or empty.

    Raise SettingsError for a file that this version of the service cannot serve.
    """
    if path.with_name(f"{path.name}-journal").exists():
        # The power failed while the file was made, before it got its WAL: SQLite rolls the half-made file back.
        with closing(sqlite3.connect(path, timeout=WRITE_TIMEOUT_S)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema")
    if not path.exists() or path.stat().st_size == 0:
        return 0, ""
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":  # SQLite takes a file of a few bytes for an empty one
            raise sqlite3.DatabaseError("file is not a database")
    # mode=ro: one that may write removes the files of the WAL, and a full disk has no room for them afterwards.
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=WRITE_TIMEOUT_S)) as connection:
        asked = ("PRAGMA user_version", "PRAGMA application_id", "SELECT count(*) FROM sqlite_schema")
        version, application, tables = (connection.execute(each).fetchone()[0] for each in asked)
        plan = phone.plan_text()
        with suppress(sqlite3.OperationalError):  # version 3 has none; or it is damaged, and `flask check` says how
            plan = str(connection.execute("SELECT numbering_plan FROM directory").fetchone()[0])
    if (version, application, tables) == (0, 0, 0):
        return 0, ""
    if application != APPLICATION_ID:
        raise SettingsError(
            f"{str(path)!r} is the database of another program; it is left as it is. "
            "Name another file in CONTACTS_DATABASE."
        )
    if not 3 <= version <= SCHEMA_VERSION:  # none was released before 3
        raise SettingsError(
            f"{str(path)!r} has schema version {version}, and this service has {SCHEMA_VERSION}; it is left as it is. "
            "Start the version of the service that wrote it, or a later one."
        )
    return version, plan


def create(path: Path) -> None:
    """Make the database from schema.sql, readable by its owner alone."""
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma, value in PRAGMAS.items():
            connection.execute(f"PRAGMA {pragma} = {value}")
        connection.executescript(f"BEGIN IMMEDIATE;\n{SCHEMA.read_text(encoding='utf-8')}")
        connection.execute(NOTE_PLAN, (phone.plan_text(),))
        connection.execute("COMMIT")


def why_unusable(path: Path, error: Exception) -> str:
    """Return in a few words why the file cannot be used."""
    folder = str(path.parent)
    if not os.path.isdir(folder):  # not Path.is_dir, which raises for too long a name
        return f"there is no folder {folder!r}"
    if os.path.isdir(path):
        return "that is a folder; give the path of a file"
    if "not a database" in str(error):
        return "the file is not an SQLite database; it is left as it is"
    if "malformed" in str(error):
        return f"{error}; {RESTORE_ADVICE}"
    if not os.access(folder, os.W_OK):
        return f"the folder {folder!r} cannot be written, and SQLite keeps files of its own beside the database"
    return str(error)

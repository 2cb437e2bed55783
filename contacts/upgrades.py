"""Upgrades: a database of an older version becomes one of this version when the service starts."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from flask import Flask

from contacts.database import SCHEMA, SCHEMA_VERSION, alone_with, inspect
from contacts.maintenance import replacing
from contacts.model import COLUMNS
from contacts.settings import SettingsError
from contacts.text import plain_text, search_text

# All but what the search index holds.
KEPT = ", ".join(COLUMNS[:-4])

# Lay the contacts out anew, as schema.sql of this version has it: all that they are follows from their values.
ANEW = f"""\
CREATE TEMP TABLE kept AS SELECT seq, salt, {KEPT} FROM contact;
DROP TABLE contact_search;
DROP TABLE contact;
UPDATE directory SET customs = 0, queues = 0, users = 0;
{SCHEMA.read_text(encoding="utf-8")}
INSERT INTO contact (seq, salt, {", ".join(COLUMNS)})
SELECT seq, salt, {KEPT},
    search_text(name_key, user_name_key, first_name_key, last_name_key), search_text(phone_key),
    plain_text(name_key, user_name_key, first_name_key, last_name_key), plain_text(phone_key)
FROM kept ORDER BY seq;
DROP TABLE temp.kept;
"""

# The SQL that leads from a version to a later one, which it sets. What it makes is, to the letter, what schema.sql
# makes: `flask check` compares.
STEPS = {1: ANEW, 2: ANEW}


def upgrade(path: Path, version: int) -> None:
    """Copy the database beside itself, then take it step by step to this version.

    Each step is one transaction, with its version: a crash leaves one version or the next.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        back_up(connection, path.with_name(f"{path.name}.v{version}-backup"))
        for function in (search_text, plain_text):
            connection.create_function(function.__name__, -1, of_values(function))
        while version < SCHEMA_VERSION:
            connection.executescript(f"BEGIN IMMEDIATE;\n{STEPS[version]}\nCOMMIT;")
            version = state(connection)[0]


def of_values(function: Callable[[list[str]], str | None]) -> Callable[..., str | None]:
    """Return a function of text.py as SQL calls it: NULL when there are no values."""
    return lambda *keys: function(given) if (given := [key for key in keys if key is not None]) else None


def back_up(connection: sqlite3.Connection, path: Path) -> None:
    """Copy the database to a file that only its owner can read, and check the copy.

    One that is there is kept when it is of the same state: an upgrade was cut off. Raise SettingsError when it is
    of another state, or when the copy is not sound.
    """
    if path.exists():
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as earlier:
            if state(earlier) != state(connection):
                raise SettingsError(
                    f"{str(path)!r} is there already, and is not the copy of the database that an upgrade would make; "
                    "move it away and start again. Nothing was changed."
                )
        return
    with replacing(path) as temporary, closing(sqlite3.connect(temporary, isolation_level=None)) as copy:
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, that needs no -wal beside it
        found = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise SettingsError(f"{str(path)!r} would not be a sound copy before the upgrade: {found}")


def state(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Return what differs between two states of a database: its version, revision, and the number of tokens."""
    row = connection.execute(
        "SELECT (SELECT user_version FROM pragma_user_version), revision, (SELECT count(*) FROM token) FROM directory"
    ).fetchone()
    return int(row[0]), int(row[1]), int(row[2])


def init_app(app: Flask) -> None:
    """Upgrade the database that the settings name, when it is of an older version.

    Raise SettingsError when that cannot be; the database is then as it was before the step that failed.
    """
    with alone_with(app.config["DATABASE"]) as path:
        version = inspect(path)
        if 0 < version < SCHEMA_VERSION:
            upgrade(path, version)

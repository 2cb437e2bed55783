"""Upgrades: a database of the first version, with what is in it, becomes one of this version."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ADMIN, ROOT, Client, started

from contacts import upgrades
from contacts.database import SCHEMA_VERSION, db
from contacts.maintenance import problems, stale_rows
from contacts.model import ROW_COLUMNS, row_of
from contacts.settings import SettingsError
from contacts.upgrades import inspect

FIRST = (Path(__file__).parent / "schema-v1.sql").read_text(encoding="utf-8")
CONTACTS = [
    {"type": "User", "name": "Hélène Smith", "userName": "helene", "phoneNumber": "15002"},
    {"type": "Custom", "name": "Gone"},
    {"type": "Queue", "name": "Sales"},
    {"type": "Custom", "name": "Some Contact", "phoneNumber": "xxx-xxx-xxxx"},
]


@pytest.fixture
def old(path):
    """A database of the first version, with contacts and a token in it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.executescript(FIRST)
        names = (*ROW_COLUMNS[:13], "search_words", "search_number")
        connection.executemany(
            f"INSERT INTO contact ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
            [(*(row := tuple(row_of(contact).values()))[:13], row[7], row[8]) for contact in CONTACTS],
        )
        connection.execute("DELETE FROM contact WHERE name = 'Gone'")
        connection.execute("INSERT INTO token VALUES ('board', 'Agent', zeroblob(32), '2026-01-01')")
    path.chmod(0o600)
    return path


@pytest.fixture
def second(path):
    """A database of the second version, with the same contacts, whose search index has what its version put there."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.executescript((Path(__file__).parent / "schema-v2.sql").read_text(encoding="utf-8"))
        values = [tuple(row_of(contact).values()) for contact in CONTACTS]
        rows = [(*row[:13], f"\x03\x01{row[7]}\x03\x01", row[8], None, None) for row in values]
        statement = f"INSERT INTO contact ({', '.join(ROW_COLUMNS)}) VALUES ({', '.join('?' * len(ROW_COLUMNS))})"
        connection.executemany(statement, rows)
        connection.execute("DELETE FROM contact WHERE name = 'Gone'")
        connection.execute("INSERT INTO token VALUES ('board', 'Agent', zeroblob(32), '2026-01-01')")
    path.chmod(0o600)
    return path


@pytest.fixture
def start():
    """Make an application on a database file."""
    yield lambda path: started({"DATABASE": str(path), "TRUSTED_PROXIES": "127.0.0.1"})
    db.close()


def backup_of(path, version=1):
    return path.with_name(f"{path.name}.v{version}-backup")


def dump(path):
    """Return all that is in a database."""
    with closing(sqlite3.connect(path)) as connection:
        return [*connection.execute("PRAGMA user_version"), *connection.iterdump()]


def contacts(path):
    """Return each contact as the API has it, its id included."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT json FROM contact ORDER BY seq").fetchall()


@pytest.mark.parametrize("version", [1, 2])
def test_older_version_becomes_this_one(version, start, request):
    old = request.getfixturevalue({1: "old", 2: "second"}[version])
    assert inspect(old) == version
    before = dump(old)
    ids = contacts(old)
    client = Client(start(old), ADMIN)
    assert inspect(old) == SCHEMA_VERSION
    assert contacts(old) == ids
    db.close()
    assert problems(old) == stale_rows(old) == []
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("SELECT label FROM token").fetchall() == [("board",)]
    assert client.names() == ["Hélène Smith", "Sales", "Some Contact"]
    assert client.names(q="helene") == client.names(q="15") == ["Hélène Smith"]
    found = client.names(filterName="NamesOrPhoneNumberMatches", filterParameters="*c*")
    assert found == ["Some Contact"]
    assert client.get("/contacts?type=Custom").json["totalCount"] == 1
    assert client.names(filterName="NamesOrPhoneNumberMatches", filterParameters="s*t") == ["Some Contact"]
    client.create("New")
    backup = backup_of(old, version)
    assert dump(backup) == before
    assert backup.stat().st_mode & 0o777 == 0o600
    assert {each.name for each in old.parent.iterdir()} <= {old.name, f"{old.name}-wal", f"{old.name}-shm", backup.name}


def test_tests_begin_with_the_first_version(old):
    assert inspect(old) == 1
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'sync'").fetchone() == (0,)


def test_second_start_does_nothing(old, start):
    start(old)
    db.close()
    backup_of(old).unlink()
    start(old)
    assert not backup_of(old).exists()


def test_new_database_needs_no_backup(path, start):
    start(path)
    assert not list(path.parent.glob("*backup*"))


def test_backup_can_be_put_back(old, start):
    start(old)
    db.close()
    for suffix in ("-wal", "-shm"):
        old.with_name(old.name + suffix).unlink(missing_ok=True)
    os.replace(backup_of(old), old)
    assert Client(start(old), ADMIN).names() == ["Hélène Smith", "Sales", "Some Contact"]
    assert inspect(backup_of(old)) == 1


def test_step_that_fails_changes_nothing(old, start, monkeypatch):
    before = dump(old)
    monkeypatch.setitem(upgrades.STEPS, 1, f"{upgrades.STEPS[1]} INSERT INTO contact VALUES (1);")
    with pytest.raises(SettingsError) as error:
        start(old)
    assert len(str(error.value).splitlines()) == 1
    assert dump(old) == dump(backup_of(old)) == before
    monkeypatch.undo()
    start(old)
    assert inspect(old) == SCHEMA_VERSION


def test_several_steps_are_taken_in_order(old, start, monkeypatch):
    monkeypatch.setattr("contacts.upgrades.SCHEMA_VERSION", 5)
    monkeypatch.setattr("contacts.database.SCHEMA_VERSION", 5)
    monkeypatch.setitem(upgrades.STEPS, 3, "ALTER TABLE token ADD COLUMN used TEXT; PRAGMA user_version = 4;")
    monkeypatch.setitem(upgrades.STEPS, 4, "UPDATE token SET used = created; PRAGMA user_version = 5;")
    start(old)
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("SELECT used FROM token").fetchall() == [("2026-01-01",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (5,)
    assert [each.name for each in old.parent.glob("*backup")] == [backup_of(old).name]


def test_every_version_has_a_step():
    assert sorted(upgrades.STEPS) == list(range(1, SCHEMA_VERSION))


def test_backup_of_another_state_is_never_overwritten(old, start):
    start(old)
    db.close()
    first = backup_of(old).read_bytes()
    # The old version is put back, and written to.
    with closing(sqlite3.connect(backup_of(old))) as copy, closing(sqlite3.connect(old)) as database:
        copy.backup(database)
        database.execute("DELETE FROM contact WHERE type = 'Queue'")
        database.commit()
    before = dump(old)
    with pytest.raises(SettingsError, match="move it away") as error:
        start(old)
    assert len(str(error.value).splitlines()) == 1
    assert (dump(old), backup_of(old).read_bytes()) == (before, first)
    backup_of(old).rename(old.with_name("elsewhere"))
    start(old)
    assert inspect(old) == SCHEMA_VERSION


# A start that is killed where an upgrade has most to lose, by the kernel and not by Python.
KILLED = """
import os, signal, sqlite3, sys
from contacts import upgrades

where, database = sys.argv[1:]
real = upgrades.back_up

def back_up(connection, path):
    if where == "before the backup":
        os.kill(os.getpid(), signal.SIGKILL)
    real(connection, path)
    if where == "after the backup":
        os.kill(os.getpid(), signal.SIGKILL)
    if where == "in a step":
        connection.create_function("killed", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
        upgrades.STEPS[1] += "SELECT killed();"

upgrades.back_up = back_up
upgrades.prepare(database)
"""


@pytest.mark.parametrize("where", ["before the backup", "after the backup", "in a step"])
def test_start_that_is_killed_is_completed_by_the_next_one(where, old, start):
    before = dump(old)
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, where, str(old)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert dump(old) == before
    assert backup_of(old).exists() is (where != "before the backup")
    client = Client(start(old), ADMIN)
    assert inspect(old) == SCHEMA_VERSION
    assert client.get("/contacts").json["totalCount"] == len(CONTACTS) - 1
    assert dump(backup_of(old)) == before


def test_processes_that_start_at_once_upgrade_once(old):
    command = [sys.executable, "-c", f"from contacts.upgrades import prepare; prepare({str(old)!r})"]
    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    assert [(*process.communicate(timeout=60), process.returncode) for process in running] == [(None, "", 0)] * 6
    assert inspect(old) == SCHEMA_VERSION
    assert [each.name for each in old.parent.glob("*backup*")] == [backup_of(old).name]


def test_commands_upgrade_too(old):
    ran = subprocess.run(
        [sys.executable, "-m", "flask", "check"],
        cwd=ROOT,
        env={**os.environ, "CONTACTS_DATABASE": str(old)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert f"schema version: {SCHEMA_VERSION}" in ran.stdout
    assert ran.stdout.endswith("all is well\n")

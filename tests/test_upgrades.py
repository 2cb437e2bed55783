"""Upgrades: a database of the version before, with what is in it, becomes one of this version."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ADMIN, ROOT, Client, run_flask, started

from contacts import upgrades
from contacts.database import SCHEMA_VERSION, db
from contacts.maintenance import check
from contacts.settings import SettingsError
from contacts.upgrades import inspect

OLD = (Path(__file__).parent / "schema-v3.sql").read_text(encoding="utf-8")
CONTACTS = [
    {"type": "User", "name": "Hélène Smith", "user_name": "helene", "phone_number": "15002"},
    {"type": "Custom", "name": "Gone"},
    {"type": "Queue", "name": "Sales"},
    {"type": "Custom", "name": "Some Contact", "phone_number": "xxx-xxx-xxxx"},
]


def old_row(contact):
    """Return a contact's columns as version 3 had them; the keys are near enough."""
    row = {**contact, "name_key": contact["name"].lower(), "search_names": f"\x03\x01{contact['name'].lower()}\x03\x01"}
    if "phone_number" in contact:
        row |= dict.fromkeys(("phone_key", "search_number"), contact["phone_number"].replace("-", ""))
    if "user_name" in contact:
        row["user_name_key"] = contact["user_name"].lower()
    return row


def add_old(connection, contact):
    row = old_row(contact)
    connection.execute(f"INSERT INTO contact ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", [*row.values()])


@pytest.fixture
def old(path):
    """A database of version 3, with contacts and a token in it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.executescript(OLD)
        for contact in CONTACTS:
            add_old(connection, contact)
        connection.execute("DELETE FROM contact WHERE name = 'Gone'")
        connection.execute("INSERT INTO token VALUES ('board', 'Agent', zeroblob(32), '2026-01-01')")
    path.chmod(0o600)
    return path


@pytest.fixture
def start():
    """Make an application on a database file."""
    yield lambda path: started({"DATABASE": str(path), "TRUSTED_PROXIES": "127.0.0.1"})
    db.close()


def backup_of(path, version=3):
    return path.with_name(f"{path.name}.v{version}-backup")


def dump(path):
    """Return all that is in a database."""
    with closing(sqlite3.connect(path)) as connection:
        return [*connection.execute("PRAGMA user_version"), *connection.iterdump()]


def contacts(path):
    """Return each contact as the API has it, its id included."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT json FROM contact ORDER BY seq").fetchall()


def test_older_version_becomes_this_one(old, start):
    assert inspect(old)[0] == 3
    before = dump(old)
    ids = contacts(old)
    client = Client(start(old), ADMIN)
    assert inspect(old)[0] == SCHEMA_VERSION
    assert contacts(old) == ids
    assert check() == ([], [])
    db.close()
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("SELECT label FROM token").fetchall() == [("board",)]
    assert client.names() == ["Hélène Smith", "Sales", "Some Contact"]
    assert client.names(q="helene") == client.names(q="15") == ["Hélène Smith"]
    found = client.names(filterName="NamesOrPhoneNumberMatches", filterParameters="*c*")
    assert found == ["Some Contact"]
    assert client.get("/contacts?type=Custom").json["totalCount"] == 1
    assert client.names(filterName="NamesOrPhoneNumberMatches", filterParameters="s*t") == ["Some Contact"]
    client.create("New")
    backup = backup_of(old)
    assert dump(backup) == before
    assert backup.stat().st_mode & 0o777 == 0o600
    assert {each.name for each in old.parent.iterdir()} <= {old.name, f"{old.name}-wal", f"{old.name}-shm", backup.name}


def test_names_that_are_the_same_text_now_are_one_user(old, start, capsys):
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        add_old(connection, {"type": "User", "name": "Second", "user_name": "helene\u200b"})
    client = Client(start(old), ADMIN)
    assert client.names() == ["Hélène Smith", "Sales", "Some Contact"]
    logged = capsys.readouterr().out
    assert (
        f"upgrading the database from schema version 3 to {SCHEMA_VERSION}; a copy of it is {backup_of(old)}" in logged
    )
    assert "1 Users and Queues were left out" in logged
    with closing(sqlite3.connect(backup_of(old))) as copy:
        assert copy.execute("SELECT count(*) FROM contact").fetchone() == (4,)


@pytest.mark.parametrize("version", [1, 2, SCHEMA_VERSION + 1])
def test_versions_that_it_does_not_know_are_left_alone(version, old, start):
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    before = dump(old)
    with pytest.raises(SettingsError, match=f"has schema version {version}"):
        start(old)
    assert dump(old) == before


def test_keys_of_numbers_follow_the_numbering_plan(path):
    def numbers(typed, **plan):
        client = Client(started({"DATABASE": str(path), "TRUSTED_PROXIES": "127.0.0.1", **plan}), ADMIN)
        found = client.names(phoneNumber=typed)
        assert check() == ([], [])
        db.close()
        return found

    client = Client(started({"DATABASE": str(path), "TRUSTED_PROXIES": "127.0.0.1"}), ADMIN)
    made = [
        client.create("Berlin", "030 5550199"),
        client.create("Wien", "+43 1 5550199"),
        client.create("Desk", "15002"),
    ]
    assert numbers("+49 30 5550199") == []
    assert numbers("+49 30 5550199", COUNTRY_CODE="49") == ["Berlin"]
    assert numbers("01 5550199", COUNTRY_CODE="43") == ["Wien"]
    assert numbers("15002", COUNTRY_CODE="49", TRUNK_PREFIX="", INTERNATIONAL_PREFIX="011") == ["Desk"]
    assert numbers("030 5550199") == ["Berlin"]
    with closing(sqlite3.connect(path)) as connection:
        assert [json.loads(text) for (text,) in connection.execute("SELECT json FROM contact ORDER BY seq")] == made


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
    assert inspect(backup_of(old))[0] == 3


def test_step_that_fails_changes_nothing(old, start, monkeypatch):
    before = dump(old)
    monkeypatch.setattr(upgrades, "ANEW", f"{upgrades.ANEW} INSERT INTO contact VALUES (1);")
    with pytest.raises(SettingsError) as error:
        start(old)
    assert len(str(error.value).splitlines()) == 1
    assert dump(old) == dump(backup_of(old)) == before
    monkeypatch.undo()
    start(old)
    assert inspect(old)[0] == SCHEMA_VERSION


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
    assert inspect(old)[0] == SCHEMA_VERSION


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
        upgrades.ANEW += "SELECT killed();"
    if where == "in the last row":
        real_row = upgrades.row_of
        upgrades.row_of = lambda contact: contact["type"] != "Custom" and real_row(contact) or os.kill(os.getpid(), 9)

upgrades.back_up = back_up
upgrades.prepare(database)
"""


@pytest.mark.parametrize("where", ["before the backup", "after the backup", "in a step", "in the last row"])
def test_start_that_is_killed_is_completed_by_the_next_one(where, old, start):
    before = dump(old)
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, where, str(old)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert dump(old) == before
    assert backup_of(old).exists() is (where != "before the backup")
    client = Client(start(old), ADMIN)
    assert inspect(old)[0] == SCHEMA_VERSION
    assert client.get("/contacts").json["totalCount"] == len(CONTACTS) - 1
    assert dump(backup_of(old)) == before


def test_processes_that_start_at_once_upgrade_once(old):
    command = [sys.executable, "-c", f"from contacts.upgrades import prepare; prepare({str(old)!r})"]
    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    assert [(*process.communicate(timeout=60), process.returncode) for process in running] == [(None, "", 0)] * 6
    assert inspect(old)[0] == SCHEMA_VERSION
    assert [each.name for each in old.parent.glob("*backup*")] == [backup_of(old).name]


def test_commands_upgrade_too(old):
    ran = run_flask(old, "export", "-", "--format", "json")
    assert ran.returncode == 0, ran.stderr
    assert len(json.loads(ran.stdout)) == 3
    assert "upgrading the database" in ran.stderr
    assert inspect(old)[0] == SCHEMA_VERSION


def test_commands_leave_the_numbering_plan_to_the_service(path, start):
    client = Client(start(path), ADMIN)
    client.create("Berlin", "030 5550199")
    db.close()
    before = dump(path)
    for command in (["check"], ["token", "list"], ["export", "-"]):
        ran = run_flask(path, *command, environment={"CONTACTS_COUNTRY_CODE": "49"})
        assert ran.returncode == 1
        assert ran.stderr.startswith("Error: the service's CONTACTS_COUNTRY_CODE")
        assert len(ran.stderr.splitlines()) == 1
    assert dump(path) == before

"""flask import, export, backup and check; and what all commands owe the person who runs them."""

import csv
import fcntl
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ADMIN, ROOT, Client, add, run_flask, started

from contacts import maintenance
from contacts.database import SCHEMA_VERSION

CUSTOM = "name,phoneNumber\nReception,100\nWorkshop,\n"

# What makes a CSV file, a spreadsheet or a JSON reader stumble.
NASTY = [
    "=1+1",
    "+49 30",
    "-1",
    "@x",
    "'=x",
    "''+x",
    "'quoted'",
    "'",
    "＝full width",
    'a "quote"',
    "a, comma",
    "a; semicolon",
    '"',
    "\\",
    "\\n",
    "{}",
    "null",
    "None",
    "0123",
    "1e5",
    "true",
    "ЖУК",
    "Straße",
    "王小明",
    "👩‍👩‍👧",
    "a\u00a0b",
    "a\ufeffBOM",
    "שלום",
    "x" * 255,
]


@pytest.fixture
def directory(app):
    """Contacts of all types with nasty values in every attribute."""
    for number, value in enumerate(NASTY):
        add(type="Custom", name=value, phoneNumber=value[:64])
        add(type="Queue", name=value)
        add(
            type="User",
            name=value,
            userName=f"{value[:200]}{number}",
            firstName=value,
            lastName=value,
            employeeId=value,
            **({"phoneNumber": value[:64]} if number % 2 else {}),
        )
    add(type="User", name="Only a name", userName="plain")


@pytest.mark.parametrize("name", ["out.csv", "out.json", "out.ndjson"])
def test_what_export_wrote_is_unchanged_to_sync_and_import(name, flask, directory, tmp_path):
    for kind, count in (("User", len(NASTY) + 1), ("Queue", len(NASTY))):
        for options in ([], ["--type", kind]):
            flask("export", str(tmp_path / name), *options)
            output = flask("sync", kind, str(tmp_path / name), "--dry-run")
            assert output.startswith(f"{kind}: 0 added, 0 changed, 0 removed, {count} unchanged, 0 rejected")
    flask("export", str(tmp_path / name), "--type", "Custom")
    output = flask("import", str(tmp_path / name))
    assert output == f"Custom: 0 added, 0 changed, 0 removed, {len(NASTY)} unchanged, 0 rejected\n"


@pytest.mark.parametrize("name", ["out.csv", "out.json", "out.ndjson"])
def test_a_new_directory_made_of_an_export_is_the_same(name, flask, directory, admin, tmp_path):
    flask("export", str(tmp_path / name))
    before = admin.get("/contacts?sortBy=name").json["contacts"]
    other = Client(started({"DATABASE": str(tmp_path / "other.db"), "TRUSTED_PROXIES": "127.0.0.1"}), ADMIN)
    runner = other.client.application.test_cli_runner()
    for command in (["sync", "User"], ["sync", "Queue"], ["import"]):
        result = runner.invoke(args=[*command, str(tmp_path / name)])
        assert result.exit_code == 0, result.output
    after = other.get("/contacts?sortBy=name").json["contacts"]

    def bare(contacts):
        return sorted(json.dumps(contact | {"id": ""}) for contact in contacts)

    assert bare(after) == bare(before)


def test_an_exported_cell_is_no_formula(flask, directory, tmp_path):
    flask("export", str(tmp_path / "out.csv"))
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            assert not any(re.match(r"[=+\-@\t\r＝＋－＠]", cell) for cell in row)


def test_export_writes_to_standard_output(flask, custom):
    assert json.loads(flask("export", "-", "--format", "json")) == [custom]
    assert flask("export", "-", "--format", "csv", "--type", "Custom") == (
        f"id,type,name,phoneNumber\n{custom['id']},Custom,Some Contact,xxx-xxx-xxxx\n"
    )


def test_an_export_goes_to_standard_output_by_its_name(flask, custom, path):
    """A pipe there, which has no folder for a file beside it."""
    ran = run_flask(path, "export", "/dev/stdout", "--format", "json", check=True)
    assert json.loads(ran.stdout) == [custom]


def test_an_export_whose_reader_goes_away_says_nothing(flask, directory, path):
    with subprocess.Popen(
        [sys.executable, "-m", "flask", "export", "-", "--format", "ndjson"],
        cwd=ROOT,
        env={**os.environ, "CONTACTS_DATABASE": str(path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_an_empty_directory_is_exported(flask, tmp_path):
    for name, text in (("a.csv", "id,type,name,phoneNumber\n"), ("a.json", "[]\n"), ("a.ndjson", "")):
        flask("export", str(tmp_path / name), "--type", "Queue")
        assert (tmp_path / name).read_text() == text


def test_an_export_replaces_a_file_whole_and_is_private(flask, custom, tmp_path):
    file = tmp_path / "out.csv"
    file.write_text("old\n" * 10000)
    flask("export", str(file))
    assert len(file.read_text().splitlines()) == 2
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_export_to_nowhere_is_one_clear_line(flask, tmp_path):
    assert "there is no folder" in flask("export", str(tmp_path / "none" / "a.csv"), status=1)
    assert "say --format" in flask("export", str(tmp_path / "a.xlsx"), status=1)


def test_import_adds_what_is_not_there(flask, agent, custom):
    text = CUSTOM + "SOME CONTACT,XXXxxxXXXX\nSome Contact,\nWORKSHOP,\n"
    assert flask("import", file=text) == "Custom: 3 added, 0 changed, 0 removed, 2 unchanged, 0 rejected\n"
    assert sorted(agent.names()) == ["Reception", "Some Contact", "Some Contact", "Workshop"]
    assert flask("import", file=text) == "Custom: 0 added, 0 changed, 0 removed, 5 unchanged, 0 rejected\n"


def test_import_leaves_users_and_queues_alone(flask, user, queue, agent):
    assert flask("import", file="name\nSales\nJoe Johnson\n").startswith("Custom: 2 added")
    assert len(agent.names(type="Custom")) == 2
    assert len(agent.names()) == 4


def test_import_refuses_bad_rows_and_changes_nothing(flask, agent, tmp_path):
    text = "name,phoneNumber,userName\nGood,,\n,1,\nBad,,joe\n"
    output = flask("import", file=text, status=1)
    assert "line 3, name: A Custom needs one." in output
    assert "line 4, userName: A Custom has none." in output
    assert agent.names() == []
    assert "Custom: 1 added" in flask("import", "--rejects", str(tmp_path / "bad.csv"), file=text, status=2)
    assert agent.names() == ["Good"]


def test_a_backup_is_the_database_as_it_is(flask, directory, admin, tmp_path):
    file = tmp_path / "backup.db"
    assert re.fullmatch(r".*backup\.db: \d+ bytes, checked\n", flask("backup", str(file)))
    assert file.stat().st_mode & 0o777 == 0o600
    before = admin.get("/contacts").json
    admin.create("Later")
    restored = Client(started({"DATABASE": str(file), "TRUSTED_PROXIES": "127.0.0.1"}), ADMIN)
    assert restored.get("/contacts").json == before
    assert restored.names(q="straße")


def test_a_backup_is_one_file(flask, directory, tmp_path):
    before = {path.name for path in tmp_path.iterdir()}
    flask("backup", str(tmp_path / "backup.db"))
    assert {path.name for path in tmp_path.iterdir()} - before == {"backup.db"}


def test_a_backup_does_not_overwrite_unless_told(flask, custom, tmp_path):
    file = tmp_path / "backup.db"
    file.write_text("precious")
    assert "say --overwrite" in flask("backup", str(file), status=1)
    assert file.read_text() == "precious"
    flask("backup", "--overwrite", str(file))
    with closing(sqlite3.connect(file)) as copy:
        assert copy.execute("SELECT json_extract(json, '$.name') FROM contact").fetchall() == [("Some Contact",)]


def test_a_backup_does_not_replace_a_file_that_came_meanwhile(flask, custom, tmp_path, monkeypatch):
    file = tmp_path / "backup.db"
    made = maintenance.copy

    def copy(source, path):
        file.write_text("precious")
        return made(source, path)

    monkeypatch.setattr(maintenance, "copy", copy)
    assert "say --overwrite" in flask("backup", str(file), status=1)
    assert file.read_text() == "precious"


@pytest.mark.parametrize("command", [["backup"], ["export", "--format", "csv"], ["check"]], ids=" ".join)
def test_what_a_killed_run_left_goes_and_what_is_in_use_stays(command, flask, custom, path, tmp_path):
    target = path if command == ["check"] else tmp_path / "out[1]"
    left, used = (tmp_path / f".{target.name}.{name}.part" for name in ("left", "used"))
    for file in (left, used):
        for suffix in ("", "-journal"):
            Path(f"{file}{suffix}").touch()
    arguments = [] if command == ["check"] else [str(target)]
    with used.open() as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        flask(*command, *arguments)
    assert {each.name for each in tmp_path.iterdir() if ".part" in each.name} == {used.name, f"{used.name}-journal"}


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("command", [["backup", "--overwrite"], ["backup"], ["export", "--format", "csv"]])
def test_nothing_is_written_over_the_database(command, suffix, flask, custom, path, tmp_path):
    before = path.read_bytes()
    (tmp_path / "link").symlink_to(f"{path}{suffix}")
    for target in (f"{path}{suffix}", str(tmp_path / "link")):
        assert "is the database itself" in flask(*command, target, status=1)
    assert path.read_bytes() == before


def test_an_export_goes_where_a_link_points(flask, custom, tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    flask("export", str(tmp_path / "link.csv"))
    assert (tmp_path / "link.csv").is_symlink()
    assert len((tmp_path / "real.csv").read_text().splitlines()) == 2


def test_an_export_goes_into_a_pipe(flask, custom, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True)
    flask("export", str(tmp_path / "pipe"), "--format", "ndjson")
    assert json.loads(reader.communicate()[0]) == custom


def test_a_damaged_database_is_not_backed_up_over_a_good_copy(flask, custom, sql, tmp_path):
    file = tmp_path / "backup.db"
    flask("backup", str(file))
    good = file.read_bytes()
    sql("UPDATE directory SET customs = 7")
    assert "the copy is not sound" in flask("backup", "--overwrite", str(file), status=1)
    assert file.read_bytes() == good


def test_check_says_what_there_is(flask, user, queue, custom, path):
    output = flask("check")
    for line in (
        f"CONTACTS_DATABASE: {path}",
        "Custom: 1",
        "Queue: 1",
        "User: 1",
        f"schema version: {SCHEMA_VERSION}",
        "all is well",
    ):
        assert line in output.splitlines()
    assert "warning" not in output


DAMAGE = {
    "counters": "UPDATE directory SET users = 5",
    "search index": "INSERT INTO contact_search (contact_search) VALUES ('delete-all')",
    "table": "DROP TABLE directory",
    "a trigger": "DROP TRIGGER contact_changed",
    "an index": "DROP INDEX contact_by_name",
    "another table": "DROP TABLE token",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_check_finds_damage_and_says_what_to_do(damage, flask, custom, sql):
    sql(DAMAGE[damage])
    output = flask("check", status=1)
    assert "the database is damaged" in output
    assert "restore the last backup" in output
    assert "all is well" not in output


@pytest.mark.parametrize("column", ["name_key", "phone_key", "words", "texts"])
def test_keys_of_another_version_are_made_anew_from_the_values(column, flask, admin, custom, user, sql):
    before = sql("SELECT * FROM contact")
    sql(f"UPDATE contact SET {column} = 'other'")
    assert admin.names(q="some", phoneNumber="xxx-xxx-xxxx", name="Some Contact") == [] or column == "texts"
    output = flask("check", status=1)
    assert "2 contacts have other keys than their values make" in output
    assert "check --repair" in output
    assert "restore" not in output
    assert "keys made anew: 2 contacts" in flask("check", "--repair")
    assert sql("SELECT * FROM contact") == before
    assert admin.names(q="some", phoneNumber="xxx-xxx-xxxx", name="Some Contact") == ["Some Contact"]
    assert "all is well" in flask("check")


def test_contacts_that_are_right_or_gone_meanwhile_are_well(app, custom, sql):
    """A sync may come between the check and the repair."""
    before = sql("SELECT * FROM contact")
    assert maintenance.repair([custom["id"], "0" * 32]) == 0
    assert sql("SELECT * FROM contact") == before


def test_keys_that_another_contact_has_are_left(flask, user, sql):
    second = add(type="User", name="Second", userName="second")
    sql("UPDATE contact SET user_name_key = 'other' WHERE id = ?", second["id"])
    twin = json.dumps(second | {"userName": user["userName"]}, separators=(",", ":"))
    sql("UPDATE contact SET json = ? WHERE id = ?", twin, second["id"])
    output = flask("check", "--repair", status=1)
    assert "keys made anew: 0 contacts" in output
    assert "1 contacts have the same text as others: sync again" in output


def test_check_finds_a_torn_page(flask, directory, path, sql):
    sql("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[4096 * 20 : 4096 * 21] = bytes(4096)
    path.write_bytes(content)
    assert "restore the last backup" in flask("check", status=1)


def test_check_warns_of_an_open_file_and_a_closed_door(path, tmp_path):
    application = started({"DATABASE": str(path)})
    path.chmod(0o644)
    result = application.test_cli_runner().invoke(args=["check"])
    assert result.exit_code == 0
    assert "nobody can come in" in result.output
    assert "chmod 600" in result.output


def test_check_leaves_nothing_behind(flask, custom, tmp_path):
    before = {path.name for path in tmp_path.iterdir()}
    flask("check")
    assert {path.name for path in tmp_path.iterdir()} == before


def run(path, *arguments):
    """Run a command in a process of its own; return its exit status and the lines of its error."""
    done = run_flask(path, *arguments)
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("content", [None, b""], ids=["no file", "empty file"])
def test_commands_that_read_make_no_database(content, tmp_path):
    path = tmp_path / "mistyped.db"
    if content is not None:
        path.write_bytes(content)
    backup, export = str(tmp_path / "backup.db"), str(tmp_path / "out.csv")
    for command in (["check"], ["backup", backup], ["export", export], ["token", "list"], ["token", "revoke", "x"]):
        status, (error,) = run(path, *command)
        assert status == 1
        assert f"there is no database {path}" in error
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == (
        {} if content is None else {path.name: b""}
    )


def test_commands_that_write_make_the_database(tmp_path):
    file = tmp_path / "queues.csv"
    file.write_text("name\nSales\n")
    for number, command in enumerate(
        (["sync", "Queue", str(file)], ["import", str(file)], ["token", "create", "Agent", "x"])
    ):
        assert run(tmp_path / f"{number}.db", *command) == (0, [])
        assert run(tmp_path / f"{number}.db", "token", "list") == (0, [])


def test_every_command_has_help(app):
    runner = app.test_cli_runner()
    own = {"sync", "import", "export", "token", "backup", "check"}
    assert own <= set(app.cli.commands)
    for command in own:
        result = runner.invoke(args=[command, "--help"])
        assert result.exit_code == 0
        assert result.output.startswith("Usage:")

"""A disk that is full, files that are read-only, and power that fails: writes say so, reads go on, nothing is lost."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from conftest import ROOT, Service, wait_for
from torture import WRITERS, ask, check_kept, check_sound, check_unavailable, kill, write_all, writing

pytestmark = pytest.mark.slow

FULL = "The directory's disk is full."
READ_ONLY = "The directory's file cannot be written."
SEVERAL = ("--workers", "2", "--threads", "4")

# More than are answered in one piece.
MANY = 1500


def mount(*arguments):
    """Mount, and return what went wrong, if anything."""
    done = subprocess.run(["mount", *map(str, arguments)], check=False, capture_output=True, text=True)
    return done.stderr.strip()


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own, with room for more than MANY contacts."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if refused := mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", folder):
        pytest.skip(f"a disk to fill cannot be mounted here: {refused}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def path(disk):
    """The database on that disk."""
    return disk / "contacts.db"


def command(path, *arguments):
    """Run a flask command; return its exit status and the lines that it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "flask", *map(str, arguments)],
        check=False,
        cwd=ROOT,
        # SQLite's temporary files go to the same disk, as on a machine that has one.
        env={**os.environ, "CONTACTS_DATABASE": str(path), "SQLITE_TMPDIR": str(path.parent)},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def users(file, number):
    """Write a file for sync with so many Users."""
    rows = "".join(f"u{n:06},First {n} of some length,Last {n} of some length\n" for n in range(number))
    file.write_text(f"userName,firstName,lastName\n{rows}", encoding="utf-8")
    return file


def fill(disk):
    """Take all the room that there is; return the file that takes it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return ballast


def read_all(port):
    """Read the directory in every way; return the whole list."""
    status, whole, _ = ask(port, "GET", "/contacts?sortBy=id")
    assert status == 200, whole
    assert len(whole["contacts"]) == whole["totalCount"]
    for url in ("/contacts?limit=5&sortBy=phoneNumber", "/contacts?q=old", f"/contacts/{whole['contacts'][0]['id']}"):
        assert ask(port, "GET", url)[0] == 200, url
    return whole["contacts"]


@pytest.fixture
def service(path, tmp_path, disk):
    """A service with many contacts on that disk."""
    assert command(path, "sync", "User", users(tmp_path / "users.csv", MANY))[0] == 0
    running = Service(path, *SEVERAL, SQLITE_TMPDIR=str(disk))
    yield running
    running.stop()


def test_a_full_disk_refuses_writes_and_recovers(service, disk, sql):
    with writing(service.port) as writers:
        wait_for(lambda: all(writer.kept for writer in writers))
        ballast = fill(disk)
        # What is allocated already has room for some writes.
        wait_for(lambda: sum(len(writer.refused) for writer in writers) > 300)
        read_all(service.port)
    assert [writer.error for writer in writers] == [None] * WRITERS
    body = {"statusCode": 4, "statusMessage": f"{FULL} Nothing was changed; try again."}
    assert [refused for writer in writers for refused in writer.refused if refused != (503, body)] == []
    kept = check_kept(writers, sql)
    before = read_all(service.port)
    assert len(before) == MANY + sum(map(len, kept))
    refused = [ask(service.port, "POST", "/contacts", {"name": "x" * 255}) for _ in range(20)]
    check_unavailable([answer for answer in refused if answer[0] != 201][-10:], FULL)
    ballast.unlink()
    with writing(service.port, kept=kept) as writers:
        wait_for(lambda: all(writer.answers >= 20 for writer in writers))
    assert [(writer.error, writer.refused) for writer in writers] == [(None, [])] * WRITERS
    sql("DELETE FROM contact WHERE name_key GLOB 'xxx*'")
    check_kept(writers, sql)


COMMANDS = {
    "sync": ["sync", "User", "users.csv"],
    "import": ["import", "customs.csv"],
    "export": ["export", "disk/out.csv"],
    "backup": ["backup", "disk/backup.db"],
    "check": ["check"],
}


def test_commands_on_a_full_disk_end_with_one_line(service, disk, sql, tmp_path):
    users(tmp_path / "users.csv", 3 * MANY)
    (tmp_path / "customs.csv").write_text("name\n" + "".join(f"Custom {n}\n" for n in range(2000)))
    fill(disk)
    before, files = read_all(service.port), set(os.listdir(disk))
    for name, arguments in COMMANDS.items():
        status, lines = command(disk / "contacts.db", *[tmp_path / each if "." in each else each for each in arguments])
        assert (name, status) == (name, 1), lines
        errors = [line for line in lines.splitlines() if not line.startswith("CONTACTS_")]
        assert len(errors) == 1, lines
        assert "full" in errors[0] or "No space left" in errors[0]
        assert str(disk) in errors[0]
        assert set(os.listdir(disk)) - files <= {"contacts.db-sync"}
    assert read_all(service.port) == before
    check_sound(sql)


# Root may write whatever the modes say, unless it gives that away.
BOUND = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override") if os.geteuid() == 0 else ()


def start_and_stop(path, killed):
    """Run a service on a new database, and return what it holds; a killed one leaves the files of the WAL."""
    service = Service(path, *SEVERAL, launcher=BOUND)
    ask(service.port, "POST", "/contacts", {"name": "Old"})
    contacts = read_all(service.port)
    if killed:
        kill(service)
    service.stop()
    if not killed:
        # What the last one to close the database does.
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("SELECT * FROM directory").fetchall()
    assert path.with_name(f"{path.name}-wal").exists() is killed
    return contacts


def protect(*paths):
    """Make files and folders read-only."""
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)


@pytest.mark.parametrize("folder", [False, True], ids=["file", "file and folder"])
def test_read_only_files_are_read_and_writes_are_refused(folder, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    path = home / "contacts.db"
    contacts = start_and_stop(path, killed=folder)
    protect(*home.iterdir(), *([home] if folder else []))
    service = Service(path, *SEVERAL, launcher=BOUND)
    try:
        for _ in range(5):
            check_unavailable(write_all(service.port, contacts * 2), READ_ONLY)
            assert read_all(service.port) == contacts
        for each in (home, *home.iterdir()):
            each.chmod(0o700)
    finally:
        service.stop()
    service = Service(path, *SEVERAL, launcher=BOUND)
    assert ask(service.port, "PUT", f"/contacts/{contacts[0]['id']}", {"name": "New"})[0] == 200
    service.stop()


def test_files_that_become_read_only_are_read_on(tmp_path):
    path = tmp_path / "contacts.db"
    service = Service(path, *SEVERAL, launcher=BOUND)
    try:
        contacts = [ask(service.port, "POST", "/contacts", {"name": f"Old {n}"})[1]["contact"] for n in range(2)]
        protect(*tmp_path.glob("contacts.db*"), tmp_path)
        # What is open stays open: it depends on the thread.
        answers = [answer for _ in range(10) for answer in write_all(service.port, contacts)]
        check_unavailable([answer for answer in answers if answer[0] not in {200, 201, 404}], READ_ONLY)
        read_all(service.port)
    finally:
        service.stop()


def test_a_folder_where_sqlite_cannot_work_is_said_at_start(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    start_and_stop(home / "contacts.db", killed=False)
    protect(home)
    with pytest.raises(RuntimeError, match="cannot be written") as error:
        Service(home / "contacts.db", launcher=BOUND)
    said = [line for line in str(error.value).strip().splitlines() if " INFO " not in line]
    assert len(said) == 1

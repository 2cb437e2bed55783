"""/healthz and /readyz: what load balancers and service managers ask."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from conftest import ROOT, Client, Service, started

from contacts.database import SCHEMA_VERSION, db

WELL = {"statusCode": 0}


@pytest.fixture
def client(path):
    """A client without a role, of an application that trusts nobody."""
    app = started({"DATABASE": str(path), "URL_PREFIX": "/api/v2"})
    yield Client(app, {})
    db.close()


@pytest.mark.parametrize("url", ["/healthz", "/readyz"])
def test_well(url, client):
    answer = client.get(url)
    assert (answer.status_code, answer.json) == (200, WELL)
    head = client.open("HEAD", url)
    assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", answer.headers["Content-Length"])
    assert client.get(f"{url}?now=1").status_code == 200
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        refused = client.open(method, url)
        assert (refused.status_code, refused.json["statusCode"]) == (405, 2)
        assert set(refused.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def refused(client):
    """Return why the service is not ready."""
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["statusCode"]) == (503, 4)
    assert answer.headers["Retry-After"] == "1"
    assert "/" not in answer.json["statusMessage"]
    assert client.open("HEAD", "/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    return answer.json["statusMessage"]


def test_alive_without_a_database(client, path):
    assert client.get("/healthz").status_code == 200
    assert db.is_closed()
    path.unlink()
    assert client.get("/healthz").json == WELL


def test_not_ready_without_its_file(client, path):
    client.get("/readyz")
    path.unlink()
    assert refused(client).startswith("The directory's file was replaced or removed while the service runs: stop")
    assert not path.exists()


def check_takes_no_writes(admin, contact, reason):
    """Each write, and /readyz, is 503 and says why."""
    for method, url, body in (
        ("POST", "/contacts", {"name": "Lost"}),
        ("PUT", f"/contacts/{contact['id']}", {"name": "Lost"}),
        ("DELETE", f"/contacts/{contact['id']}", None),
        ("GET", "/readyz", None),
    ):
        response = admin.open(method, url, json=body)
        assert (response.status_code, response.json["statusCode"]) == (503, 4)
        assert reason in response.json["statusMessage"]


@pytest.mark.parametrize("how", ["replaced", "removed"])
def test_a_file_that_is_another_one_takes_no_writes(how, admin, custom, path, new_database):
    assert admin.get("/readyz").status_code == 200
    path.rename(path.with_name("old.db"))
    if how == "replaced":
        shutil.copy(new_database, path)
    check_takes_no_writes(admin, custom, "replaced or removed")
    assert admin.get("/healthz").status_code == 200
    assert path.exists() is (how == "replaced")
    # With its own file in its place, it goes on.
    path.with_name("old.db").rename(path)
    assert admin.get("/readyz").status_code == 200
    assert admin.create("Kept")["name"] == "Kept"
    assert admin.names() == ["Kept", "Some Contact"]


@pytest.mark.parametrize(
    ("change", "back"),
    [
        (f"PRAGMA user_version = {SCHEMA_VERSION + 1}", f"PRAGMA user_version = {SCHEMA_VERSION}"),
        ("UPDATE directory SET numbering_plan = '49,0,00'", "UPDATE directory SET numbering_plan = ',0,00'"),
    ],
    ids=["version", "numbering plan"],
)
def test_a_file_that_a_later_start_has_changed_takes_no_writes(change, back, admin, custom, sql, flask):
    sql(change)
    check_takes_no_writes(admin, custom, "Restart this one")
    assert admin.names() == ["Some Contact"]
    sql(back)
    assert admin.get("/readyz").status_code == 200
    assert admin.create("New")["name"] == "New"


@pytest.mark.parametrize("bytes_", [b"x" * 4096, b"SQLite format 3\0" + bytes(84)])
def test_not_ready_on_a_damaged_file(bytes_, client, path):
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(bytes_)
    assert refused(client).startswith("The")


def test_not_ready_on_another_version(client, sql):
    sql("PRAGMA user_version = 9")
    assert refused(client).startswith("The directory's file has another schema version")


def test_ready_while_others_write(client, path):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        other.execute("UPDATE directory SET revision = 1")
        assert client.get("/readyz").json == WELL
        other.execute("ROLLBACK")


def test_question_holds_up_no_writer(client, path):
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
        for _ in range(20):
            assert client.get("/readyz").status_code == 200
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")


# As a user who may not write: root may write everything.
ASK = """
import os, sys
from app import create_app
from contacts.database import db
client = create_app({"DATABASE": sys.argv[1]}).test_client()
assert client.get("/readyz").status_code == 200
if sys.argv[4]:
    db.execute_sql("SELECT * FROM directory").fetchall()
os.chmod(sys.argv[2], int(sys.argv[3], 8))
if not os.getuid():
    os.setgroups([])
    os.setuid(65534)
answer = client.get("/readyz")
print(answer.status_code, answer.json.get("statusMessage"))
"""


@pytest.mark.parametrize(
    ("what", "mode", "opened", "reason"),
    [
        ("contacts.db", "444", "", "file cannot be written"),
        ("contacts.db", "444", "opened", "file cannot be written"),
        ("", "555", "", "folder cannot be written"),
        ("", "555", "opened", "folder cannot be written"),
    ],
)
def test_not_ready_where_it_may_not_write(what, mode, opened, reason, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "contacts.db"
    started({"DATABASE": str(file)})
    if not os.getuid():
        file.chmod(0o666)
        folder.chmod(0o777)
        for parent in folder.parents:
            if parent.stat().st_uid == os.getuid() and not parent.stat().st_mode & 1:
                parent.chmod(parent.stat().st_mode | 0o11)
    ran = subprocess.run(
        [sys.executable, "-c", ASK, str(file), str(folder / what), mode, opened],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    folder.chmod(0o700)
    assert ran.stdout.splitlines()[-1].startswith("503 "), (ran.stdout, ran.stderr)
    assert reason in ran.stdout


FULL = """
set -e
mount -t tmpfs -o size=1500k none "$1"
exec "$2" -c '
import os, sys
from app import create_app
from contacts.upgrades import prepare
folder = sys.argv[1]
prepare(f"{folder}/contacts.db")
client = create_app({"DATABASE": f"{folder}/contacts.db"}).test_client()
print(client.get("/readyz").status_code)
with open(f"{folder}/filler", "wb") as filler:
    filler.write(bytes(800_000))
answer = client.get("/readyz")
print(answer.status_code, answer.json["statusMessage"])
' "$1"
"""


@pytest.mark.skipif(
    not shutil.which("unshare")
    or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode,
    reason="needs a file system of its own",
)
def test_not_ready_on_a_full_disk(tmp_path):
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", FULL, "sh", str(tmp_path), sys.executable],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in ran.stdout.splitlines() if " INFO " not in line]
    assert said == ["200", "503 The directory's disk is full."], ran.stderr


def test_from_outside(path):
    service = Service(path, CONTACTS_TRUSTED_PROXIES="")
    try:
        for url in ("healthz", "readyz"):
            ran = subprocess.run(["curl", "-fsS", f"{service.url}/{url}"], capture_output=True, check=True)
            assert ran.stdout == b'{"statusCode":0}'
    finally:
        service.stop()

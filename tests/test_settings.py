"""The settings, the start of the service with good and bad ones, the file it makes, and its connections."""

import logging
import os
import sqlite3
import subprocess
import sys
import threading

import pytest
from conftest import ADMIN, ROOT, Client, started

from app import create_app
from contacts import database, settings, upgrades
from contacts.database import db, separate_connection
from contacts.settings import Role, SettingsError


def without_settings():
    """The environment, without what the Makefile or a person has set for this service."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CONTACTS_")}


def start(*command, umask=-1, **environment):
    """Start a Python program from the project's root, with these settings alone."""
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**without_settings(), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        umask=umask,
    )


def ended(process):
    """Wait for a program; return its exit status (None: it went on and on) and what it wrote to stderr."""
    try:
        _, errors = process.communicate(timeout=20)
        return process.returncode, errors
    except subprocess.TimeoutExpired:
        process.terminate()
        return None, process.communicate()[1]


@pytest.fixture
def build(path, monkeypatch):
    """Make an application from environment variables alone."""
    for name in set(os.environ) - set(without_settings()):
        monkeypatch.delenv(name)

    def make(**environment):
        for name, value in {"CONTACTS_DATABASE": str(path), **environment}.items():
            monkeypatch.setenv(name, value)
        return started({})

    level = logging.getLogger("contacts").level
    yield make
    logging.getLogger("contacts").setLevel(level)
    if db.database:  # an application that was refused names none
        db.close()


def test_defaults(build, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    build()
    monkeypatch.delenv("CONTACTS_DATABASE")
    app = started({})
    found = {name: app.config[name] for name in settings.CHECKS if name != "TRUSTED_PROXIES"}
    assert found == {
        "DATABASE": "contacts.db",
        "ROLE_HEADER": "X-Role",
        "ROLES": {},
        "USER_HEADER": "X-Forwarded-User",
        "ALLOWED_ORIGINS": [],
        "URL_PREFIX": "",
        "GWS_CLIENTS": False,
        "COUNTRY_CODE": "",
        "TRUNK_PREFIX": "0",
        "INTERNATIONAL_PREFIX": "00",
        "READ_TIMEOUT": 10,
        "LOG_LEVEL": "INFO",
        "LOG_FORMAT": "text",
    }
    assert not app.config["TRUSTED_PROXIES"]
    assert (tmp_path / "contacts.db").exists()


GOOD = [
    ("CONTACTS_TRUSTED_PROXIES", "10.0.0.5", {"10.0.0.5/32"}),
    ("CONTACTS_TRUSTED_PROXIES", "10.0.0.0/8, ::1 unix", {"10.0.0.0/8", "::1/128", "unix"}),
    ("CONTACTS_TRUSTED_PROXIES", " 2001:DB8::/32 ,,", {"2001:db8::/32"}),
    ("CONTACTS_TRUSTED_PROXIES", "", set()),
    ("CONTACTS_ROLE_HEADER", "X-Genesys-Role", "X-Genesys-Role"),
    ("CONTACTS_ROLES", "cc-admins=Admin, cc-agents=Agent", {"cc-admins": Role.ADMIN, "cc-agents": Role.AGENT}),
    ("CONTACTS_ROLES", "Größe 1 = ROLE_ADMIN,,", {"Größe 1": Role.ADMIN}),
    ("CONTACTS_ROLES", "/a=b=agent,/A=b=Admin", {"/a=b": Role.AGENT, "/A=b": Role.ADMIN}),
    ("CONTACTS_ROLES", "", {}),
    ("CONTACTS_USER_HEADER", "Remote-User", "Remote-User"),
    ("CONTACTS_ALLOWED_ORIGINS", "https://desk.example", ["https://desk.example"]),
    ("CONTACTS_ALLOWED_ORIGINS", "HTTP://Desk.example:80, https://a:8443", ["http://desk.example", "https://a:8443"]),
    ("CONTACTS_ALLOWED_ORIGINS", "https://[::1]:443 http://a:443", ["https://[::1]", "http://a:443"]),
    ("CONTACTS_ALLOWED_ORIGINS", "app://desk", ["app://desk"]),
    ("CONTACTS_ALLOWED_ORIGINS", "https://[0:0:0:0:0:0:0:1]:0443,http://a:0080", ["https://[::1]", "http://a"]),
    *[("CONTACTS_GWS_CLIENTS", on, True) for on in ("1", "on", "TRUE", "yes")],
    *[("CONTACTS_GWS_CLIENTS", off, False) for off in ("0", "off", "False", "no", "")],
    ("CONTACTS_READ_TIMEOUT", "2.5", 2.5),
    ("CONTACTS_URL_PREFIX", "/api/v2", "/api/v2"),
    ("CONTACTS_URL_PREFIX", "/a-b_c.d~1", "/a-b_c.d~1"),
    ("CONTACTS_URL_PREFIX", "", ""),
    *[("CONTACTS_LOG_LEVEL", level, level) for level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")],
    ("CONTACTS_LOG_LEVEL", "debug", "DEBUG"),
    ("CONTACTS_LOG_FORMAT", "text", "text"),
    ("CONTACTS_LOG_FORMAT", "JSON", "json"),
]


@pytest.mark.parametrize(("variable", "value", "setting"), GOOD)
def test_good_values_are_taken(variable, value, setting, build):
    taken = build(**{variable: value}).config[variable.removeprefix("CONTACTS_")]
    assert ({str(peer) for peer in taken} if isinstance(setting, set) else taken) == setting


@pytest.mark.parametrize("name", ["1e3", "true", "ä ö?x#y%20z&.db", "'quoted\".db", "no-suffix"])
def test_database_may_have_any_name(name, build, tmp_path):
    file = tmp_path / name
    for total in (1, 2):
        client = Client(build(CONTACTS_DATABASE=str(file), CONTACTS_TRUSTED_PROXIES="127.0.0.1"), ADMIN)
        client.create("Some Contact")
        assert client.get("/contacts").json["totalCount"] == total
        db.close()
    assert {each.name for each in tmp_path.iterdir()} <= {name, f"{name}-wal", f"{name}-shm"}


BAD = {
    "CONTACTS_DATABASE": ["", " ", ":memory:", "file:x.db", "/no/such/folder/contacts.db", "/no\nsuch/contacts.db"],
    "CONTACTS_TRUSTED_PROXIES": ["localhost", "*", "10.0.0.300", "10.0.0.0/33", "10.0.0.5/24", "::1/129", "1.2.3.4:80"],
    "CONTACTS_ROLE_HEADER": ["", "X Role", "X-Role:", "X_Role", "Rôle", "Authorization", "X\nY"],
    "CONTACTS_ROLES": [
        "cc-admins",
        "cc-admins=",
        "=Admin",
        "a=Boss",
        "a:Admin",
        "a=Admin,a=Agent",
        "a=Admin;b=Agent",
        ",",
    ],
    "CONTACTS_USER_HEADER": ["", "Remote User", "Cookie"],
    "CONTACTS_ALLOWED_ORIGINS": [
        "*",
        "null",
        "desk.example",
        "https://a/",
        "https://a/b",
        "https://*.a",
        "https://ä.de",
        "https://a:99999",
        "https://[:::]",
        "https://a:",
    ],
    "CONTACTS_COUNTRY_CODE": ["0", "049", "0049", "+49", "4 9"],
    "CONTACTS_READ_TIMEOUT": ["", "0", "-1", "1e3", "10s", "inf"],
    "CONTACTS_GWS_CLIENTS": ["2", "8.5", "on\n"],
    "CONTACTS_URL_PREFIX": ["api", "/", "/api/", "//api", "/a b", "/ä", "http://x/api", "/api?x", "/api\n"],
    "CONTACTS_LOG_LEVEL": ["", "loud", "10", "INFO\n"],
    "CONTACTS_LOG_FORMAT": ["", "xml", "json\n"],
}


@pytest.mark.parametrize(("variable", "value"), [(variable, value) for variable in BAD for value in BAD[variable]])
def test_bad_value_is_refused_in_one_line(variable, value, build, path):
    with pytest.raises(SettingsError) as error:
        build(**{variable: value})
    assert len(str(error.value).splitlines()) == 1
    assert str(error.value).startswith(f"{variable}={value!r}: ")
    assert not path.exists()


def test_bad_value_stops_every_program_with_one_line(path):
    commands = (["wsgi.py"], ["-m", "flask", "token", "list"], ["-m", "gunicorn", "--bind", "127.0.0.1:0"])
    bad = {"CONTACTS_DATABASE": str(path), "CONTACTS_LOG_LEVEL": "loud"}
    for status, errors in map(ended, [start(*command, **bad) for command in commands]):
        assert status not in {0, None}, errors
        assert len(errors.splitlines()) == 1, errors
        assert "CONTACTS_LOG_LEVEL='loud'" in errors
    assert not path.exists()


def test_unknown_variables_warn_and_do_not_stop(path):
    unknown = ("CONTACTS_DATABSE", "CONTACTS_PORT_8000_TCP", "CONTACTS_trusted_proxies", "CONTACTS_DATABASE__FILE")
    running = {
        name: start("wsgi.py", CONTACTS_DATABASE=f"{path}-{number}", **{name: "tcp://10.0.0.1"})
        for number, name in enumerate(unknown)
    }
    results = {name: ended(process) for name, process in running.items()}
    for name, (status, errors) in results.items():
        assert (name, status) == (name, 0)
        assert len(errors.splitlines()) == 1, errors
        assert name in errors
        assert "CONTACTS_TRUSTED_PROXIES" in errors


def test_good_start_says_nothing(path):
    assert ended(start("wsgi.py", CONTACTS_DATABASE=str(path))) == (0, "")


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
def test_log_level_decides_what_is_logged(level, build):
    build(CONTACTS_LOG_LEVEL=level.lower())
    log = logging.getLogger("contacts.errors")
    wanted = logging.getLevelName(level)
    assert log.isEnabledFor(wanted)
    assert not log.isEnabledFor(wanted - 10)


@pytest.mark.parametrize("prefix", ["/api/v2", "/x"])
def test_prefix_stands_before_every_path_of_the_contacts(prefix, build):
    client = Client(build(CONTACTS_URL_PREFIX=prefix, CONTACTS_TRUSTED_PROXIES="127.0.0.1"), ADMIN)
    made = client.post(f"{prefix}/contacts", json={"name": "Some Contact"})
    contact = made.json["contact"]
    assert made.headers["Location"] == f"{prefix}/contacts/{contact['id']}"
    assert client.get(made.headers["Location"]).json["contact"] == contact
    assert client.get(f"{prefix}/contacts").json["contacts"] == [contact]
    assert client.put(f"{prefix}/contacts", json={"id": contact["id"], "name": "New"}).status_code == 200
    assert client.get(f"{prefix}/contacts&type=User").json["contacts"] == []
    assert client.get(f"{prefix}/me").json["user"] == {"role": "Contact Center Admin"}
    assert client.delete(f"{prefix}/contacts?id={contact['id']}").status_code == 200
    for lost in ("/contacts", f"/contacts/{contact['id']}", "/contacts&type=User", "/me"):
        response = client.get(lost)
        assert (response.status_code, response.json["statusCode"]) == (404, 6)
    assert f"{prefix}/contacts" in client.get("/contacts").json["statusMessage"]


def foreign(*statements):
    """Return a maker of an SQLite file."""

    def make(file):
        connection = sqlite3.connect(file, isolation_level=None)
        for statement in statements:
            connection.execute(statement)
        connection.close()

    return make


def ours(*statements):
    """Return a maker of a file of this service's that is not quite as it should be."""

    def make(file):
        started({"DATABASE": str(file)})
        foreign(*statements)(file)

    return make


OTHERS = {
    "of another program": foreign("CREATE TABLE contact (id)", "INSERT INTO contact VALUES (1)"),
    "of another program, in WAL mode": foreign("PRAGMA journal_mode = wal", "CREATE TABLE x (id)"),
    "of another program, empty": foreign("PRAGMA application_id = 5"),
    "of another program, of our version": foreign("PRAGMA user_version = 2", "CREATE TABLE x (id)"),
    "of another program, empty with a version": foreign(
        "CREATE TABLE x (id)", "DROP TABLE x", "PRAGMA user_version = 2"
    ),
    "newer": ours(f"PRAGMA user_version = {database.SCHEMA_VERSION + 1}"),
    "much newer": ours("PRAGMA user_version = 2147483647"),
    "of no version": ours("PRAGMA user_version = 0"),
    "not SQLite": lambda file: file.write_bytes(b"name,type\nSome Contact,Custom\n" * 1000),
    "not SQLite, short": lambda file: file.write_bytes(b"name\n"),
    "not SQLite, zeros": lambda file: file.write_bytes(bytes(4096)),
    "cut off": lambda file: file.write_bytes(b"SQLite format 3\0" + bytes(10)),
}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_file_of_others_is_refused_and_left_as_it_is(make, build, path):
    make(path)
    before = path.read_bytes()
    with pytest.raises(SettingsError) as error:
        build()
    assert len(str(error.value).splitlines()) == 1
    assert str(path) in str(error.value)
    assert path.read_bytes() == before


def test_place_without_a_file_is_refused(build, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for name, reason in [
        ("missing/contacts.db", "no folder"),
        ("file/contacts.db", "no folder"),
        ("folder", "that is a folder"),
        ("x" * 300, "too long"),
    ]:
        with pytest.raises(SettingsError, match=reason) as error:
            build(CONTACTS_DATABASE=str(tmp_path / name))
        assert len(str(error.value).splitlines()) == 1
        assert "CONTACTS_DATABASE" in str(error.value)
    assert {each.name for each in tmp_path.rglob("*")} == {"file", "folder"}


def test_bad_file_stops_the_start_with_one_line(path, tmp_path):
    OTHERS["of another program"](path)
    for file in (path, tmp_path, tmp_path / "missing" / "contacts.db"):
        for command in (["gunicorn", "--bind", "127.0.0.1:0"], ["flask", "token", "create", "Agent", "desk"]):
            status, errors = ended(start("-m", *command, CONTACTS_DATABASE=str(file)))
            assert status == 1
            assert errors.startswith(("contacts: ", "Error: "))
            assert len(errors.splitlines()) == 1


def test_gunicorn_ends_when_it_cannot_serve(path):
    ours(f"PRAGMA user_version = {database.SCHEMA_VERSION + 1}")(path)
    status, errors = ended(start("-m", "gunicorn", "--bind", "127.0.0.1:0", CONTACTS_DATABASE=str(path)))
    assert status not in {0, None}, errors
    assert f"schema version {database.SCHEMA_VERSION + 1}" in errors
    assert "Traceback" not in errors
    assert "Booting worker" not in errors


# A new file in the midst of its first transaction: pages without a header, and the journal that takes them back.
HALF_MADE = """
import os, sqlite3, sys

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.executescript("PRAGMA cache_size = 1; BEGIN; CREATE TABLE x (y);")
connection.executemany("INSERT INTO x VALUES (?)", [("z" * 1000,)] * 500)
os._exit(0)
"""


def test_file_that_was_half_made_when_the_power_failed_is_made_again(build, path):
    assert ended(start("-c", HALF_MADE, str(path))) == (0, "")
    assert path.read_bytes()[:16] == bytes(16)
    build()
    assert upgrades.inspect(path)[0] == database.SCHEMA_VERSION
    assert not path.with_name(f"{path.name}-journal").exists()


def test_empty_file_is_made_a_database(build, path):
    path.touch()
    build()
    assert upgrades.inspect(path)[0] == database.SCHEMA_VERSION


def test_second_start_keeps_what_there_is(build):
    contact = Client(build(CONTACTS_TRUSTED_PROXIES="127.0.0.1"), ADMIN).create("Some Contact")
    db.close()
    assert Client(build(), ADMIN).get("/contacts").json["contacts"] == [contact]


def test_files_are_the_owners_alone(build, path):
    before = os.umask(0)
    try:
        Client(build(CONTACTS_TRUSTED_PROXIES="127.0.0.1"), ADMIN).create("Some Contact")
    finally:
        os.umask(before)
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(("contacts.db", "contacts.db-wal", "contacts.db-shm"), "0o600")


# Many processes that wait for one gate, then make the same new file; some turns, as it is a matter of chance.
RACE = """
import os, sys
from contacts.upgrades import prepare

for turn in range(15):
    gate, opener = os.pipe()
    children = []
    for _ in range(8):
        child = os.fork()
        if not child:
            os.close(opener)
            os.read(gate, 1)
            try:
                prepare(f"{sys.argv[1]}/{turn}.db")
            except Exception as error:
                print(error, file=sys.stderr, flush=True)
            os._exit(0)
        children.append(child)
    os.close(gate)
    os.close(opener)
    for child in children:
        os.waitpid(child, 0)
"""


def test_processes_that_start_at_once_share_a_new_file(tmp_path):
    process = start("-c", RACE, str(tmp_path))
    assert ended(process) == (0, "")
    files = list(tmp_path.glob("*.db"))
    assert len(files) == 15
    for file in files:
        assert upgrades.inspect(file)[0] == database.SCHEMA_VERSION
        connection = sqlite3.connect(file)
        assert connection.execute("SELECT count(*) FROM directory").fetchone() == (1,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


# What SQLite reports when a connection is as PRAGMAS says.
PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,
    "busy_timeout": 200,
    "cache_size": -2048,
    "journal_size_limit": 64 * 1024 * 1024,
}


def in_thread(work):
    """Return what a function returns in a thread of its own."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def pragmas(connection):
    return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS}


def test_every_connection_has_the_pragmas(admin):
    def asked():
        assert admin.get("/contacts").status_code == 200
        found = pragmas(db.connection())
        db.close()
        return found

    assert set(PRAGMAS) == set(database.PRAGMAS)
    assert asked() == PRAGMAS
    assert in_thread(asked) == PRAGMAS
    with separate_connection(cache_size=-1024) as separate:
        assert pragmas(separate.connection()) == {**PRAGMAS, "cache_size": -1024}


def test_each_thread_keeps_one_connection(admin):
    def asked():
        connections = []
        for method in ("GET", "OPTIONS", "GET", "PATCH", "POST", "GET"):
            admin.open(method, "/contacts", json={"name": "New"} if method == "POST" else None)
            connections.append(db.connection())
        admin.delete("/contacts?id=none")
        connections.append(db.connection())
        return connections

    def asked_and_closed():
        connections = asked()
        db.close()
        return connections

    mine, others = asked(), in_thread(asked_and_closed)
    assert len(set(map(id, mine))) == 1
    assert len(set(map(id, others))) == 1
    assert mine[0] is not others[0]


def test_start_leaves_no_connection_to_fork(app):
    assert db.is_closed()


def test_application_makes_no_database(build, path, monkeypatch):
    """The server's start does, and the commands that may."""
    app = create_app({"DATABASE": str(path), "TRUSTED_PROXIES": "127.0.0.1"})
    answer = Client(app, ADMIN).get("/contacts")
    assert (answer.status_code, answer.json["statusCode"]) == (503, 4)
    assert not path.exists()
    db.close()

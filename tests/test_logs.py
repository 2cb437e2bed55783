"""The log: the line of each request, the line of each write, text and JSON, and what never stands in them."""

import http.client
import json
import logging
import re
import sqlite3
from contextlib import closing

import pytest
from conftest import ADMIN, AGENT, Client, Service, add, started
from pages import block

from contacts.database import db

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00"
ID = r"[0-9a-f]{16}"


@pytest.fixture
def lines(capfd):
    """Return the lines of the log since the last call."""

    def since():
        return capfd.readouterr().out.splitlines()

    return since


@pytest.fixture
def made(path):
    """Make an application with other settings."""

    def make(**settings):
        return started({"DATABASE": str(path), "TRUSTED_PROXIES": "127.0.0.1", **settings})

    yield make
    started({"DATABASE": str(path)})  # the log is the process's: leave it with its defaults
    db.close()


def fields(line):
    """Return the values of a line of text."""
    pairs = re.findall(r' ([a-z]+)=("(?:[^"\\]|\\.)*"|\{.*?\}|\S+)', line)
    return {name: json.loads(value) if value[0] in '"{' else value for name, value in pairs}


REQUESTS = [
    ("GET", "/contacts?q=secret", 200, "/contacts", "Agent"),
    ("HEAD", "/contacts", 200, "/contacts", "Agent"),
    ("GET", "/contacts?nmae=secret", 422, "/contacts", "Agent"),
    ("GET", "/contacts/secret", 404, "/contacts/<id>", "Agent"),
    ("POST", "/contacts", 403, "/contacts", "Agent"),
    ("PATCH", "/contacts", 405, "unmatched", "Agent"),
    ("GET", "/contacts&type=User", 200, "/contacts", "Agent"),
    ("GET", "/secret", 404, "unmatched", "-"),
    ("GET", "/healthz", 200, "/healthz", "-"),
]


@pytest.mark.parametrize(("method", "url", "status", "route", "role"), REQUESTS)
def test_each_request_is_one_line(method, url, status, route, role, agent, lines):
    answer = agent.open(method, url)
    assert answer.status_code == status
    answer.get_data()
    (line,) = lines()
    assert re.fullmatch(
        rf"{MOMENT} INFO request method={method} route={re.escape(route)} status={status} ms=\d+\.\d+ "
        rf"role={role} peer=127\.0\.0\.1 id={ID}",
        line,
    )
    assert fields(line)["id"] == answer.headers["X-Request-ID"]


def test_json_says_the_same(made, lines):
    client = Client(made(LOG_FORMAT="json"), ADMIN)
    contact = client.create("Some Contact")
    audit, line = map(json.loads, lines())
    assert re.fullmatch(MOMENT, line.pop("time"))
    assert isinstance(line.pop("ms"), float)
    assert line == {
        "level": "INFO",
        "message": "request",
        "method": "POST",
        "route": "/contacts",
        "status": 201,
        "role": "Contact Center Admin",
        "peer": "127.0.0.1",
        "id": audit["id"],
    }
    assert (audit["message"], audit["contact"]) == ("audit", contact["id"])


@pytest.mark.parametrize("given", ["1", "a.B-c_9", "x" * 64])
def test_well_formed_request_id_is_taken(given, agent, lines):
    for url in ("/contacts", "/contacts/x", "/nothing", "/readyz", "/metrics"):
        assert agent.get(url, headers={"X-Request-ID": given}).headers["X-Request-ID"] == given
    assert [fields(line)["id"] for line in lines()] == [given] * 5


@pytest.mark.parametrize(
    "given", ["", "x" * 65, "a b", "a\tb", 'a"', "ä".encode().decode("latin-1"), "a=b", "a\x85INFO"]
)
def test_other_request_ids_are_made(given, agent, lines):
    first, second = (agent.get("/contacts", headers={"X-Request-ID": given}).headers["X-Request-ID"] for _ in range(2))
    assert re.fullmatch(ID, first)
    assert first != second
    assert [fields(line)["id"] for line in lines()] == [first, second]


SECRET = "5ec4e7" * 5 + "00"


def test_error_is_logged_with_its_request(made, lines, sql):
    client = Client(made(), ADMIN)
    client.create("Secret Name", "555-0100")
    lines()
    db.execute_sql("DROP TABLE contact")
    answer = client.get(f"/contacts/{SECRET}?fields=name", headers={"X-Request-ID": "one"})
    assert answer.status_code == 500
    error, *traceback, request = lines()
    assert re.fullmatch(rf"{MOMENT} ERROR request failed method=GET route=/contacts/<id> id=one", error)
    assert traceback[0] == "  Traceback (most recent call last):"
    assert "no such table" in traceback[-1]
    assert all(line.startswith("  ") for line in traceback)
    assert fields(request)["id"] == "one"
    assert "secret" not in f"{error}{request}".lower()
    assert SECRET not in f"{error}{request}"


def test_error_in_json_is_one_line(made, lines):
    client = Client(made(LOG_FORMAT="json"), ADMIN)
    db.execute_sql("DROP TABLE contact")
    assert client.get(f"/contacts/{32 * 'a'}", headers={"X-Request-ID": "one"}).status_code == 500
    error, request = map(json.loads, lines())
    assert (error["level"], error["message"], error["id"]) == ("ERROR", "request failed", "one")
    assert error["exception"].startswith("Traceback")
    assert request["status"] == 500


def test_busy_database_is_an_error_with_its_reason(made, lines, path, monkeypatch):
    monkeypatch.setattr("contacts.transactions.WRITE_TIMEOUT_S", 0.1)
    client = Client(made(), ADMIN)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert client.post("/contacts", json={"name": "New"}).status_code == 503
    error, request = lines()
    assert fields(error) == {
        "method": "POST",
        "route": "/contacts",
        "id": fields(request)["id"],
        "error": "database is locked",
    }
    assert fields(request)["status"] == "503"


def test_streamed_answer_is_logged_at_its_end(agent, admin, lines):
    admin.create("Some Contact")
    lines()
    answer = agent.client.get("/contacts", headers=AGENT, buffered=False)
    assert lines() == []
    assert answer.json["totalCount"] == 1
    answer.close()
    (line,) = lines()
    assert "cut" not in fields(line)


def test_streamed_answer_that_is_cut_says_so(admin, lines):
    with db.atomic():
        for number in range(2000):
            add(type="Custom", name=f"Contact {number} {'x' * 200}")
    answer = admin.client.get("/contacts", headers=AGENT, buffered=False)
    next(answer.iter_encoded())
    answer.close()
    (line,) = lines()
    assert (fields(line)["status"], fields(line)["cut"]) == ("200", "by the client")


def test_audit_line_of_each_write(admin, lines):
    contact = admin.create("Some Contact", "xxx-0100")
    url = f"/contacts/{contact['id']}"
    assert admin.put(url, json={"phoneNumber": "xxx-0101"}).status_code == 200
    assert admin.put(url, json={"name": "Other Contact", "phoneNumber": None}).status_code == 200
    assert admin.put(url, json={"name": "Other Contact"}).status_code == 200  # changes nothing
    assert admin.delete(f"{url}?x=1").status_code == 422
    assert admin.delete(url).status_code == 200
    logged = lines()
    requests = [fields(line)["id"] for line in logged if " request " in line]
    audit = [line for line in logged if " audit " in line]
    assert [(each["action"], each["attributes"]) for each in map(fields, audit)] == [
        ("created", "name,type,phoneNumber"),
        ("changed", "phoneNumber"),
        ("changed", "name,phoneNumber"),
        ("removed", "name,type"),
    ]
    assert {fields(line)["contact"] for line in audit} == {contact["id"]}
    assert [fields(line)["id"] for line in audit] == [requests[number] for number in (0, 1, 2, 5)]
    assert re.fullmatch(
        rf"{MOMENT} INFO audit action=created contact={contact['id']} attributes=name,type,phoneNumber user=- "
        rf'role="Contact Center Admin" id={ID}',
        audit[0],
    )
    for secret in ("Some", "Other", "xxx"):
        assert not any(secret in line for line in logged)


def test_audit_has_the_values_at_debug_alone(made, lines):
    client = Client(made(LOG_LEVEL="DEBUG"), ADMIN)
    contact = client.create("Some Contact", "555-0100")
    client.put(f"/contacts/{contact['id']}", json={"name": "Жук"})
    client.delete(f"/contacts/{contact['id']}")
    created, changed, removed = (fields(line) for line in lines() if " audit " in line)
    whole = {"name": "Some Contact", "type": "Custom", "phoneNumber": "555-0100"}
    assert (created["old"], created["new"]) == (dict.fromkeys(whole), whole)
    assert (changed["old"], changed["new"]) == ({"name": "Some Contact"}, {"name": "Жук"})
    assert (removed["old"], removed["new"]) == (whole | {"name": "Жук"}, dict.fromkeys(whole))


@pytest.mark.parametrize("level", ["WARNING", "CRITICAL"])
def test_audit_is_written_at_every_level(level, made, lines):
    client = Client(made(LOG_LEVEL=level), ADMIN)
    client.create("Some Contact")
    client.get("/contacts")
    (line,) = lines()
    assert fields(line)["action"] == "created"


NASTY = {
    "alice": "alice",
    "Alice A": "Alice A",
    'x" role=root': 'x" role=root',
    "a\x85b": "a\ufffdb",
    "a\x0bINFO audit": "a\x0bINFO audit",
    "жук".encode().decode("latin-1"): "жук",
    "x" * 300: "x" * 255,
    "\\": "\\",
    "": "-",
}


@pytest.mark.parametrize(("sent", "logged"), NASTY.items())
def test_user_is_whom_the_trusted_proxy_names(sent, logged, admin, lines):
    admin.post("/contacts", json={"name": "New"}, headers={"X-Forwarded-User": sent})
    audit, _ = lines()
    assert fields(audit)["user"] == logged
    assert audit.isascii()
    assert audit.isprintable()


def test_user_of_a_token_is_its_label(app, flask, nobody, lines):
    token = flask("token", "create", "ROLE_ADMIN", 'wall "board" Ж').strip()
    lines()
    for headers in ({}, {"X-Forwarded-User": "alice"}):
        nobody.post("/contacts", json={"name": "New"}, headers={"Authorization": f"Bearer {token}", **headers})
    logged = lines()
    for line in (line for line in logged if " audit " in line):
        assert fields(line)["token"] == 'wall "board" Ж'
        assert "user" not in fields(line)
    assert len(logged) == 4
    assert not any(token in line for line in logged)


def test_untrusted_peer_names_nobody(app, flask, lines):
    token = flask("token", "create", "ROLE_ADMIN", "board").strip()
    client = app.test_client()
    lines()
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-User": "alice"}
    answer = client.post("/contacts", json={"name": "New"}, headers=headers, environ_base={"REMOTE_ADDR": "10.9.9.9"})
    assert answer.status_code == 201
    answer.close()
    assert not any("alice" in line for line in lines())


def test_nothing_breaks_a_line(made, lines):
    made()
    lines()
    log = logging.getLogger("contacts")
    log.warning("a\nb %s", "c\r\x1b[31md\u2028e")
    log.warning("what", extra={"fields": {"value": 'a\n"b\u2028 c=d'}})
    try:
        raise ValueError("a\n2026-01-01 INFO audit\r\x85\u2028x")
    except ValueError:
        log.exception("it failed")
    first, second, third, *traceback = lines()
    assert first.endswith(r"WARNING a\nb c\r\x1b[31md\u2028e")
    assert second.endswith(r'value="a\n\"b\u2028 c=d"')
    assert third.endswith("ERROR it failed")
    assert all(line.startswith("  ") for line in traceback)


def ask(service, path="/contacts", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    with closing(connection):
        connection.request("GET", path, headers={**AGENT, **headers})
        answer = connection.getresponse()
        answer.read()
        return answer


@pytest.mark.parametrize("form", ["text", "json"])
def test_gunicorn_writes_in_the_same_form(form, path):
    service = Service(path, CONTACTS_LOG_FORMAT=form)
    try:
        assert ask(service, **{"X-Request-ID": "one"}).headers["X-Request-ID"] == "one"
    finally:
        printed = service.stop().splitlines()
    if form == "json":
        messages = [json.loads(line)["message"] for line in printed]
        (request,) = [json.loads(line) for line in printed if '"message":"request"' in line]
    else:
        for line in printed:
            assert re.match(rf"{MOMENT} (INFO|ERROR) \S", line)
        messages = [line.split(" ", 2)[2] for line in printed]
        (request,) = [fields(line) for line in printed if " request " in line]
    assert messages[0].startswith("Starting gunicorn")
    assert request["id"] == "one"


def test_documentation_shows_real_lines(admin, lines):
    """The names of the values, in their order, are those of the page's lines."""
    admin.get("/contacts").get_data()
    admin.post("/contacts", json={"name": "New"}, headers={"X-Forwarded-User": "alice"})
    shown = block("docs/operation.md", "log").splitlines()
    assert [list(fields(line)) for line in shown] == [list(fields(line)) for line in lines()]

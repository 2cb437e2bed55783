"""Every error, whatever causes it: the HTTP status, the statusCode, the headers and the one envelope."""

import http.client
import json
import resource
import socket
import subprocess
import sys
import threading
from typing import NamedTuple

import pytest
from conftest import ADMIN, AGENT, Client, Service, started

from contacts import transactions
from contacts.database import db

UNKNOWN = "0" * 32
TOO_LONG = "x" * 256


def raw(data, content_type="application/json"):
    """A body as it is, whether it is JSON or not."""
    return {"data": data, "content_type": content_type}


class Case(NamedTuple):
    """A request, and the error that it must get. {custom}, {user} and {queue} stand for ids."""

    status_code: int
    http: int
    role: str
    method: str
    url: str
    request: dict = {}


NAMED = {"json": {"name": "New"}}
ONE, ALL = "/contacts/{custom}", "/contacts"

CASES = [
    Case(1, 422, "admin", "POST", ALL, {"json": {}}),
    Case(1, 422, "admin", "POST", ALL),
    Case(1, 422, "admin", "POST", ALL, {"json": {"phoneNumber": "1"}}),
    Case(1, 422, "admin", "POST", ALL, {"json": {"name": None}}),
    Case(1, 422, "admin", "PUT", ONE),
    Case(1, 422, "admin", "PUT", ONE, {"json": {}}),
    Case(1, 422, "admin", "PUT", ONE, {"json": {"name": None}}),
    Case(1, 422, "admin", "PUT", ALL),
    Case(1, 422, "admin", "PUT", ALL, NAMED),
    Case(1, 422, "admin", "PUT", ALL, {"json": {"id": None, "name": "New"}}),
    Case(1, 422, "admin", "DELETE", ALL),
    Case(1, 422, "agent", "GET", "/contacts?filterName=NamesOrPhoneNumberMatches"),
    Case(1, 422, "agent", "GET", "/contacts?filterParameters=a"),
    Case(2, 400, "admin", "POST", ALL, raw('{"name": "New"')),
    Case(2, 400, "admin", "PUT", ONE, raw('{"name": "New"')),
    Case(2, 405, "admin", "PATCH", ALL, NAMED),
    Case(2, 405, "admin", "POST", ONE, NAMED),
    Case(2, 405, "agent", "PATCH", ONE, NAMED),
    Case(2, 405, "admin", "TRACE", ONE),
    Case(2, 412, "admin", "PUT", ONE, {**NAMED, "headers": {"If-Match": '"stale"'}}),
    Case(2, 412, "admin", "PUT", ALL, {"json": {"id": "{custom}", "name": "New"}, "headers": {"If-Match": '"stale"'}}),
    Case(2, 412, "admin", "DELETE", ONE, {"headers": {"If-Match": '"stale"'}}),
    Case(2, 412, "admin", "DELETE", "/contacts?id={custom}", {"headers": {"If-Match": 'W/"stale"'}}),
    Case(2, 413, "admin", "POST", ALL, raw(b'{"name": "%b"}' % (b"x" * 65536))),
    Case(2, 413, "admin", "PUT", ONE, raw(b'{"name": "%b"}' % (b"x" * 65536))),
    Case(2, 415, "admin", "POST", ALL, raw('{"name": "New"}', "text/plain")),
    Case(2, 415, "admin", "POST", ALL, raw("name=New", "application/x-www-form-urlencoded")),
    Case(2, 415, "admin", "POST", ALL, raw("<name>New</name>", "application/xml")),
    Case(2, 415, "admin", "POST", ALL, {"data": b'{"name": "New"}'}),
    Case(2, 415, "admin", "PUT", ONE, raw('{"name": "New"}', "text/json")),
    Case(2, 415, "admin", "PUT", ALL, raw('{"id": "{custom}"}', "text/plain")),
    Case(2, 422, "admin", "POST", ALL, {"json": {"name": "New", "colour": "red"}}),
    Case(2, 422, "admin", "POST", ALL, {"json": {"name": "New", "Name": "New"}}),
    Case(2, 422, "admin", "POST", ALL, {"json": {"name": "New", "phone_number": "1"}}),
    Case(2, 422, "admin", "POST", ALL, {"json": {"name": "New", "": "1"}}),
    Case(2, 422, "admin", "POST", ALL, {"json": {"name": "New", "_schema": "1"}}),
    Case(2, 422, "admin", "POST", ALL, {"json": {"name": "a\tb"}}),
    Case(2, 422, "admin", "POST", "/contacts?name=New", NAMED),
    Case(2, 422, "admin", "PUT", ONE, {"json": {"colour": "red"}}),
    Case(2, 422, "admin", "PUT", ONE, {"json": {"phoneNumber": 15002}}),
    Case(2, 422, "admin", "PUT", ONE + "?fields=id", NAMED),
    Case(2, 422, "admin", "PUT", ALL, {"json": {"id": 5, "name": "New"}}),
    Case(2, 422, "admin", "PUT", ALL, {"json": {"id": ["{custom}"], "name": "New"}}),
    Case(2, 422, "admin", "DELETE", ONE + "?force=1"),
    Case(2, 422, "admin", "DELETE", "/contacts?id={custom}&name=x"),
    Case(2, 422, "admin", "DELETE", "/contacts?id={custom}&id={custom}"),
    Case(2, 422, "agent", "GET", "/contacts?colour=red"),
    Case(2, 422, "agent", "GET", "/contacts?type=Robot"),
    Case(2, 422, "agent", "GET", "/contacts?sortBy=colour"),
    Case(2, 422, "agent", "GET", "/contacts?order=up"),
    Case(2, 422, "agent", "GET", "/contacts?fields=colour"),
    Case(2, 422, "agent", "GET", "/contacts?filterName=Other&filterParameters=a"),
    Case(2, 422, "agent", "GET", ONE + "?colour=red"),
    Case(3, 403, "admin", "PUT", "/contacts/{user}", NAMED),
    Case(3, 403, "admin", "PUT", "/contacts/{queue}", {"json": {"phoneNumber": None}}),
    Case(3, 403, "admin", "PUT", ALL, {"json": {"id": "{user}", "name": "New"}}),
    Case(3, 403, "admin", "PUT", ALL, {"json": {"id": "{queue}", "name": "New"}}),
    Case(3, 403, "admin", "DELETE", "/contacts/{user}"),
    Case(3, 403, "admin", "DELETE", "/contacts/{queue}"),
    Case(3, 403, "admin", "DELETE", "/contacts?id={user}"),
    Case(3, 403, "admin", "DELETE", "/contacts?id={queue}"),
    Case(5, 403, "agent", "POST", ALL, NAMED),
    Case(5, 403, "agent", "PUT", ONE, NAMED),
    Case(5, 403, "agent", "PUT", ALL, {"json": {"id": "{custom}", "name": "New"}}),
    Case(5, 403, "agent", "DELETE", ONE),
    Case(5, 403, "agent", "DELETE", "/contacts?id={custom}"),
    Case(6, 404, "agent", "GET", f"/contacts/{UNKNOWN}"),
    Case(6, 404, "agent", "GET", "/contacts/{custom}0"),
    Case(6, 404, "agent", "GET", "/contacts/{custom}/name"),
    Case(6, 404, "agent", "GET", "/contacts/f" + "f" * 31),
    Case(6, 404, "agent", "GET", "/contacts/" + "9" * 40),
    Case(6, 404, "agent", "GET", "/contacts/" + "\u0661" * 32),
    Case(6, 404, "agent", "GET", "/contacts/%00"),
    Case(6, 404, "agent", "GET", "/contacts/%FF%FE"),
    Case(6, 404, "admin", "PUT", "/contacts", {"json": {"id": "a" * 31 + "\ud800", "name": "x"}}),
    Case(6, 404, "agent", "GET", "/contacts/-1"),
    Case(6, 404, "agent", "GET", "/contacts/' OR 1=1 --"),
    Case(6, 404, "admin", "PUT", f"/contacts/{UNKNOWN}", NAMED),
    Case(6, 404, "admin", "PUT", ALL, {"json": {"id": UNKNOWN, "name": "New"}}),
    Case(6, 404, "admin", "PUT", ALL, {"json": {"id": "nobody", "name": "New"}}),
    Case(6, 404, "admin", "DELETE", f"/contacts/{UNKNOWN}"),
    Case(6, 404, "admin", "DELETE", f"/contacts?id={UNKNOWN}"),
    Case(6, 404, "nobody", "GET", "/nothing"),
    Case(6, 404, "nobody", "POST", "/contact", NAMED),
    Case(6, 404, "admin", "GET", "/contactss"),
    Case(6, 404, "nobody", "GET", "/api/v2/contacts"),
    Case(10, 422, "admin", "POST", ALL, {"json": {"name": ""}}),
    Case(10, 422, "admin", "POST", ALL, {"json": {"name": " \u3000\u00a0"}}),
    Case(10, 422, "admin", "POST", ALL, {"json": {"name": TOO_LONG}}),
    Case(10, 422, "admin", "POST", ALL, {"json": {"name": "New", "phoneNumber": ""}}),
    Case(10, 422, "admin", "POST", ALL, {"json": {"name": "New", "phoneNumber": "1" * 65}}),
    Case(10, 422, "admin", "PUT", ONE, {"json": {"name": " "}}),
    Case(10, 422, "admin", "PUT", ONE, {"json": {"name": TOO_LONG}}),
    Case(10, 422, "admin", "PUT", ONE, {"json": {"phoneNumber": " "}}),
    Case(10, 422, "agent", "GET", "/contacts?limit=0"),
    Case(10, 422, "agent", "GET", "/contacts?limit=-1"),
    Case(10, 422, "agent", "GET", "/contacts?limit=ten"),
    Case(10, 422, "agent", "GET", "/contacts?limit=1.5"),
    Case(10, 422, "agent", "GET", "/contacts?offset=-1"),
    Case(10, 422, "agent", "GET", "/contacts?name="),
    Case(11, 422, "admin", "POST", ALL, {"json": {"name": "New", "type": "User"}}),
    Case(11, 422, "admin", "POST", ALL, {"json": {"name": "New", "type": "queue"}}),
    Case(11, 422, "admin", "POST", ALL, {"json": {"name": "New", "type": "Robot"}}),
    Case(11, 422, "admin", "POST", ALL, {"json": {"name": "New", "id": UNKNOWN}}),
    Case(11, 422, "admin", "POST", ALL, {"json": {"name": "New", "userName": "new"}}),
    Case(11, 422, "admin", "POST", ALL, {"json": {"name": "New", "firstName": "N"}}),
    Case(11, 422, "admin", "POST", ALL, {"json": {"name": "New", "lastName": "N"}}),
    Case(11, 422, "admin", "POST", ALL, {"json": {"name": "New", "employeeId": "1"}}),
    Case(11, 422, "admin", "PUT", ONE, {"json": {"name": "New", "type": "User"}}),
    Case(11, 422, "admin", "PUT", ONE, {"json": {"name": "New", "id": UNKNOWN}}),
    Case(11, 422, "admin", "PUT", ONE, {"json": {"name": "New", "userName": "new"}}),
    Case(11, 422, "admin", "PUT", ALL, {"json": {"id": "{custom}", "employeeId": "1"}}),
    Case(20, 401, "nobody", "GET", ALL),
    Case(20, 401, "nobody", "GET", ONE),
    Case(20, 401, "nobody", "POST", ALL, NAMED),
    Case(20, 401, "nobody", "PUT", ONE, NAMED),
    Case(20, 401, "nobody", "DELETE", ONE),
]

# The header that an answer of this HTTP status, and no other, carries.
HEADERS = {401: "WWW-Authenticate", 405: "Allow", 503: "Retry-After"}

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def send(admin, agent, nobody, custom, user, queue):
    """Send the request of a case on a directory with one contact of each type."""
    clients = {"admin": admin, "agent": agent, "nobody": nobody}
    ids = {"{custom}": custom["id"], "{user}": user["id"], "{queue}": queue["id"]}

    def fill(value):
        if isinstance(value, str):
            for placeholder, contact_id in ids.items():
                value = value.replace(placeholder, contact_id)
        elif isinstance(value, dict):
            value = {name: fill(member) for name, member in value.items()}
        elif isinstance(value, list):
            value = [fill(member) for member in value]
        return value

    def run(case):
        return clients[case.role].open(case.method, fill(case.url), **fill(case.request))

    return run


def check(response, http_status, *status_codes):
    """The answer is an error in its envelope, with the headers of its HTTP status and no other's."""
    assert response.status_code == http_status, response.text
    assert response.mimetype == "application/json"
    body = response.json
    assert body["statusCode"] in status_codes, body
    assert body["statusMessage"].strip()
    assert set(body) == {"statusCode", "statusMessage"} | ({"errors"} if http_status == 422 else set())
    for reasons in body.get("errors", {"": [" "]}).values():
        assert reasons
        assert all(isinstance(reason, str) and reason for reason in reasons)
    for status, header in HEADERS.items():
        assert (header in response.headers) is (status == http_status), header


def test_each_error_has_its_status_code(send, subtests):
    for case in CASES:
        with subtests.test(str(case)):
            check(send(case), case.http, case.status_code)


@pytest.mark.parametrize(
    "case",
    [
        Case(2, 422, "agent", "HEAD", "/contacts?colour=red"),
        Case(6, 404, "agent", "HEAD", f"/contacts/{UNKNOWN}"),
        Case(20, 401, "nobody", "HEAD", ALL),
    ],
    ids=lambda case: str(case.http),
)
def test_head_errors_have_no_body(case, send):
    response = send(case)
    assert (response.status_code, response.data) == (case.http, b"")


def test_every_row_of_the_contract_has_cases():
    rows = {1: {422}, 2: {400, 405, 412, 413, 415, 422}, 3: {403}, 5: {403}, 6: {404}, 10: {422}, 11: {422}, 20: {401}}
    assert {code: {case.http for case in CASES if case.status_code == code} for code in rows} == rows


@pytest.mark.parametrize(
    ("method", "url", "allow"),
    [
        ("PATCH", "/contacts", {"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"}),
        ("TRACE", "/contacts", {"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"}),
        ("POST", f"/contacts/{UNKNOWN}", {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}),
        ("PATCH", f"/contacts/{UNKNOWN}", {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}),
        ("DELETE", "/openapi.json", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_405_lists_what_is_allowed(method, url, allow, admin):
    response = admin.open(method, url, headers=JSON)
    check(response, 405, 2)
    assert {each.strip() for each in response.headers["Allow"].split(",")} == allow


def test_unknown_attribute_lists_the_known(admin):
    response = admin.post("/contacts", json={"name": "New", "colour": "red"})
    assert "phoneNumber" in response.json["statusMessage"]
    assert list(response.json["errors"]) == ["colour"]


def test_every_wrong_attribute_is_named_at_once(admin):
    response = admin.post("/contacts", json={"phoneNumber": 5, "userName": "x", "colour": "red"})
    assert set(response.json["errors"]) == {"name", "phoneNumber", "userName", "colour"}
    assert response.json["statusCode"] == 1


def nested(depth, opening="[", inside="", closing="]"):
    return opening * depth + inside + closing * depth


NAME = b'{"name": %b}'

MALFORMED = {
    "nothing but blanks": b"  \n ",
    "not closed": b'{"name": "New"',
    "closed twice": b'{"name": "New"}}',
    "two objects": b'{"name": "New"} {"name": "New"}',
    "comma at the end": b'{"name": "New",}',
    "no commas, as the reference prints it": b'{"name": "New"\n"type": "Custom"}',
    "single quotes": b"{'name': 'New'}",
    "no quotes": b"{name: New}",
    "comment": b'{"name": "New"} // mine',
    "raw newline": b'{"name": "a\nb"}',
    "bad escape": rb'{"name": "\x41"}',
    "half an escape": rb'{"name": "\u12"}',
    "NaN": NAME % b"NaN",
    "Infinity": NAME % b"Infinity",
    "-Infinity": NAME % b"-Infinity",
    "NaN alone": b"NaN",
    "5,000 digits as name": NAME % (b"9" * 5000),
    "5,000 digits as id": b'{"id": %b}' % (b"9" * 5000),
    "5,000 digits, negative": NAME % (b"-" + b"9" * 5000),
    "5,000 digits alone": b"9" * 5000,
    "5,000 digits of a fraction": NAME % (b"0." + b"9" * 5000),
    "beyond all numbers": NAME % b"1e999",
    "name twice": b'{"name": "New", "name": "Newer"}',
    "name twice, below": b'{"name": {"a": 1, "a": 2}}',
    "name twice, escaped": rb'{"name": "New", "n\u0061me": "Newer"}',
    "latin-1": '{"name": "Jürgen"}'.encode("latin-1"),
    "windows-1252": '{"name": "5 €"}'.encode("cp1252"),
    "broken off UTF-8": '{"name": "ü"}'.encode().replace(b"\xbc", b""),
    "overlong UTF-8": b'{"name": "\xc0\xaf"}',
    "beyond Unicode": b'{"name": "\xf4\x90\x80\x80"}',
    "surrogate in UTF-8": b'{"name": "\xed\xa0\x80"}',
    "surrogate pair in UTF-8": b'{"name": "\xed\xa0\xbd\xed\xb8\x80"}',
    "odd UTF-16": '{"name": "New"}'.encode("utf-16")[:-1],
    "surrogate in UTF-16": '{"name": "\ud800"}'.encode("utf-16", "surrogatepass"),
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "NUL": b'{"name": "New"}\0',
    "NUL alone": b"\0",
    "high surrogate": rb'{"name": "\ud800"}',
    "low surrogate": rb'{"name": "x\udfff"}',
    "surrogates the wrong way round": rb'{"name": "\udc00\ud800"}',
    "surrogate in a key": rb'{"name": "New", "\ud800": "x"}',
    "surrogate in a number": rb'{"name": "New", "phoneNumber": "\udead"}',
    "array": b"[]",
    "array of a contact": b'[{"name": "New"}]',
    "string": b'"New"',
    "number": b"5",
    "null": b"null",
    "true": b"true",
    "number as name": NAME % b"5",
    "fraction as name": NAME % b"5.5",
    "true as name": NAME % b"true",
    "false as name": NAME % b"false",
    "array as name": NAME % b'["New"]',
    "object as name": NAME % b'{"first": "New"}',
    "empty array as name": NAME % b"[]",
    "empty object as name": NAME % b"{}",
    "number as phone number": b'{"name": "New", "phoneNumber": 15002}',
    "number as type": b'{"name": "New", "type": 5}',
    "control character": rb'{"name": "a\u0000b"}',
    "delete character": rb'{"name": "a\u007fb"}',
    "line separator": rb'{"name": "a\u2028b"}',
    "paragraph separator": rb'{"name": "a\u2029b"}',
    "next line": rb'{"name": "a\u0085b"}',
    "newline at the end": rb'{"name": "New\n"}',
    "many unknown attributes": json.dumps({"name": "New"} | {f"a{number}": 1 for number in range(4000)}).encode(),
}


def bodies_with(body, contact_id):
    """The requests that a body can be sent with."""
    yield "POST", "/contacts", body
    yield "PUT", f"/contacts/{contact_id}", body
    yield "PUT", "/contacts", body.replace(b"{", b'{"id": "%b", ' % contact_id.encode(), 1)


def test_malformed_body_is_the_clients_error(admin, custom, subtests):
    for label, body in MALFORMED.items():
        with subtests.test(label):
            for method, url, data in bodies_with(body, custom["id"]):
                response = admin.open(method, url, **raw(data))
                assert response.status_code in {400, 422}, (method, url, response.text)
                check(response, response.status_code, *((2,) if method == "POST" else (1, 2, 11)))
            assert admin.get("/contacts").json["contacts"] == [custom]


@pytest.mark.parametrize("attribute", ["name", "phoneNumber", "id", "type", "userName", "colour"])
def test_nested_brackets_are_the_clients_error(attribute, admin, custom):
    for depth in [1, 10, 100, 500, *range(880, 1010, 7), 2000, 10_000, 32_000]:
        for brackets in (nested(depth), nested(min(depth, 10_000), '{"a":', "1", "}"), "[" * depth):
            for method, url, data in bodies_with(b'{"%b": %b}' % (attribute.encode(), brackets.encode()), custom["id"]):
                assert admin.open(method, url, **raw(data)).status_code in {400, 422}, (depth, method, url)


@pytest.mark.parametrize("body", ["[" * 90_000, nested(45_000), nested(90_000)])
def test_nested_brackets_over_64_kib_are_too_large(body, admin):
    check(admin.post("/contacts", **raw(body)), 413, 2)


def test_body_of_64_kib_is_read(admin):
    body = json.dumps({"name": "New"}).ljust(64 * 1024)
    assert admin.post("/contacts", **raw(body)).status_code == 201
    check(admin.post("/contacts", **raw(body + " ")), 413, 2)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf_8_is_read_with_and_without_bom(encoding, admin):
    response = admin.post("/contacts", **raw('{"name": "Жук 👍"}'.encode(encoding)))
    assert response.json["contact"]["name"] == "Жук 👍"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_other_unicode_encodings_are_read_right_or_refused(encoding, admin):
    response = admin.post("/contacts", **raw('{"name": "Жук 👍"}'.encode(encoding)))
    if response.status_code != 400:
        assert response.json["contact"]["name"] == "Жук 👍"


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/json;odata=verbose"],
)
def test_json_by_other_spellings_is_read(content_type, admin):
    assert admin.post("/contacts", **raw('{"name": "New"}', content_type)).status_code == 201


@pytest.fixture
def busy(app, path, monkeypatch):
    """Another process that holds the write lock until it is told to end; waiting for it is short."""
    monkeypatch.setattr(transactions, "WRITE_TIMEOUT_S", 0.02)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sqlite3, sys\n"
            "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "connection.execute('BEGIN IMMEDIATE')\n"
            "print('locked', flush=True)\n"
            "sys.stdin.read()\n",
            str(path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "locked\n"
    yield holder
    holder.communicate()


def writes(contact_id):
    """One request of each kind that writes."""
    yield "POST", "/contacts", {"json": {"name": "New"}}
    yield "PUT", f"/contacts/{contact_id}", {"json": {"name": "New"}}
    yield "PUT", "/contacts", {"json": {"id": contact_id, "name": "New"}}
    yield "DELETE", f"/contacts/{contact_id}", {}
    yield "DELETE", f"/contacts?id={contact_id}", {}


def check_unavailable(response):
    check(response, 503, 4)
    assert int(response.headers["Retry-After"]) > 0
    assert "locked" not in response.text


def test_writes_are_503_while_another_process_writes(admin, custom, busy):
    before = admin.get("/contacts")
    for method, url, request in writes(custom["id"]):
        check_unavailable(admin.open(method, url, **request))
        assert admin.get(f"/contacts/{custom['id']}").json["contact"] == custom
    after = admin.get("/contacts")
    assert (after.json, after.headers["ETag"]) == (before.json, before.headers["ETag"])
    busy.communicate()
    assert admin.put(f"/contacts/{custom['id']}", json={"name": "New"}).status_code == 200


def test_writes_are_503_while_another_thread_writes(admin, custom, monkeypatch):
    monkeypatch.setattr(transactions, "WRITE_TIMEOUT_S", 0.02)
    answers = []

    def ask():
        answers.extend(admin.open(method, url, **request) for method, url, request in writes(custom["id"]))
        answers.append(admin.get("/contacts"))
        db.close()

    with transactions.write_lock:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    *refused, read = answers
    for response in refused:
        check_unavailable(response)
    assert read.json["contacts"] == [custom]
    assert admin.put(f"/contacts/{custom['id']}", json={"name": "New"}).status_code == 200


def test_full_disk_is_503_and_leaves_the_rest_as_it_was(admin, custom, sql):
    db.connection().execute("PRAGMA max_page_count = 1")
    response, made = None, 0
    while (response := admin.post("/contacts", json={"name": f"{made:03} " + "\U0001f600" * 251})).status_code == 201:
        made += 1
        assert made < 500
    check_unavailable(response)
    assert admin.get("/contacts").json["totalCount"] == made + 1
    assert admin.delete(f"/contacts/{custom['id']}").status_code in {200, 503}
    db.connection().execute("PRAGMA max_page_count = 1000000")
    assert admin.post("/contacts", json={"name": "New"}).status_code == 201
    assert sql("PRAGMA integrity_check") == [("ok",)]


def test_disk_that_takes_no_more_is_503_and_leaves_all_as_it_was(admin, custom, sql):
    """Here SQLite ends the transaction by itself, where max_page_count only fails one statement."""
    before = admin.get("/contacts")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        for method, url, request in writes(custom["id"]):
            check_unavailable(admin.open(method, url, **request))
            after = admin.get("/contacts")
            assert (after.json, after.headers["ETag"]) == (before.json, before.headers["ETag"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    for method, url, request in list(writes(custom["id"]))[:-1]:
        assert admin.open(method, url, **request).status_code in {200, 201}
    assert sql("PRAGMA integrity_check") == [("ok",)]


def test_a_damaged_file_is_503_and_says_what_to_do(admin, custom, sql, path):
    db.close()  # with what it has read
    [(page, size)] = sql("SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = 'contact'")
    sql("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"x" * size)
    for url in ("/contacts", f"/contacts/{custom['id']}"):
        response = admin.get(url)
        check_unavailable(response)
        assert "restore the last backup" in response.json["statusMessage"]


LEAKS = ("select", "insert", "update", "delete", "table", "trigger", "sqlite", "peewee", "traceback", "error:", ".py")


def check_bug(response, path):
    check(response, 500, 4)
    for leak in (*LEAKS, str(path), path.name):
        assert leak not in response.text.lower()


def test_bug_is_500_and_tells_the_client_nothing(admin, custom, sql, path, caplog):
    sql("DROP TABLE directory")
    for method, url, request in [*writes(custom["id"]), ("GET", "/contacts", {}), ("GET", "/contacts?q=new", {})]:
        caplog.clear()
        check_bug(admin.open(method, url, **request), path)
        assert "no such table" in caplog.text
    assert admin.get(f"/contacts/{custom['id']}").json["contact"] == custom


def test_bug_in_the_role_check_is_500(nobody, sql, path):
    sql("DROP TABLE token")
    check_bug(nobody.get("/contacts", headers={"Authorization": "Bearer x"}), path)


def test_bug_in_a_plain_line_of_ours_is_500(path):
    app = started({"DATABASE": str(path)})

    @app.get("/broken")
    def broken():
        raise KeyError(f"select from {path}")

    check_bug(Client(app, {}).get("/broken"), path)
    db.close()


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """The port of a gunicorn that all tests of this file share."""
    running = Service(tmp_path_factory.mktemp("errors") / "contacts.db")
    yield running.port
    running.stop()


@pytest.fixture
def connection(port):
    opened = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    yield opened
    opened.close()


def exchange(connection, method, url, body=None, headers=None):
    """Send a request over a real connection, a list as chunks; return status, headers and JSON."""
    headers = {**ADMIN, **JSON, **(headers or {})}
    connection.request(method, url, body, headers, encode_chunked=isinstance(body, list))
    response = connection.getresponse()
    return response.status, response.headers, json.loads(response.read())


CHUNKED = {"Transfer-Encoding": "chunked"}
LONG = b'{"name": "%b"}' % (b"x" * 65536)


@pytest.mark.parametrize(
    ("http_status", "status_code", "method", "url", "body", "headers"),
    [
        (400, 2, "POST", "/contacts", [b"{"], CHUNKED),
        (404, 6, "GET", "/nothing", None, {}),
        (405, 2, "PATCH", "/contacts", b"{}", {}),
        (413, 2, "POST", "/contacts", LONG, {}),
        (413, 2, "POST", "/contacts", [LONG[:1000], LONG[1000:]], CHUNKED),
        (413, 2, "POST", "/contacts", [b'{"name": "New"}'.ljust(64 * 1024), b" "], CHUNKED),
        (413, 2, "POST", "/contacts", [b'{"name": "New"}'.ljust(64 * 1024), b"not JSON"], CHUNKED),
        (415, 2, "POST", "/contacts", [b"x"], {**CHUNKED, "Content-Type": "text/plain"}),
        (422, 1, "POST", "/contacts", [], CHUNKED),
        (422, 2, "GET", "/contacts?colour=red", None, {}),
    ],
)
def test_real_server_gives_the_same_errors(http_status, status_code, method, url, body, headers, connection):
    status, received, answer = exchange(connection, method, url, body, headers)
    assert (status, answer["statusCode"], received["Content-Type"]) == (http_status, status_code, "application/json")


def test_chunked_body_is_read(connection):
    status, _, answer = exchange(connection, "POST", "/contacts", [b'{"name": ', b'"New"}'], CHUNKED)
    assert (status, answer["contact"]["name"]) == (201, "New")


@pytest.mark.parametrize("chunk", [b"zz\r\n{}\r\n", b"-1\r\n{}\r\n", b"\r\n", b'2\r\n{"name":"New"}\r\n'])
def test_broken_chunks_are_the_clients_error(chunk, connection):
    connection.putrequest("POST", "/contacts")
    for header, value in {**ADMIN, **JSON, **CHUNKED}.items():
        connection.putheader(header, value)
    connection.endheaders(chunk + b"0\r\n\r\n")
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["statusCode"]) == (400, 2)


def test_long_url_is_answered_in_the_envelope(connection):
    """Of a longer one than gunicorn takes, the proxy's error page has the envelope."""
    _, headers, answer = exchange(connection, "GET", f"/contacts?name={'x' * 5_000}")
    assert headers["Content-Type"] == "application/json"
    assert ("statusMessage" in answer) is (answer["statusCode"] != 0)


def test_body_that_was_not_read_is_no_next_request(connection):
    """An error before the body is read must not leave it in the connection for the next one."""
    smuggled = (
        b"POST /contacts HTTP/1.1\r\nHost: x\r\nX-Role: ROLE_ADMIN\r\n"
        b'Content-Type: application/json\r\nContent-Length: 19\r\n\r\n{"name":"smuggled"}'
    ) * 50
    for role, method, url, expected in [
        ({"X-Role": "nobody"}, "POST", "/contacts", 401),
        (AGENT, "POST", "/contacts", 403),
        (ADMIN, "PATCH", "/contacts", 405),
        (ADMIN, "DELETE", f"/contacts/{UNKNOWN}", 404),
        (ADMIN, "GET", "/contacts?name=smuggled", 200),
    ]:
        status, headers, _ = exchange(connection, method, url, smuggled, role)
        assert status == expected
        if headers["Connection"] == "close":
            connection.close()
        status, _, answer = exchange(connection, "GET", "/contacts?name=smuggled")
        assert (status, answer) == (200, {"statusCode": 0, "totalCount": 0, "contacts": []})


def test_a_body_that_ends_too_early_is_refused(service, sql):
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as client:
        head = "POST /contacts HTTP/1.1\r\nHost: x\r\nX-Role: ROLE_ADMIN\r\nContent-Type: application/json\r\n"
        client.sendall(f'{head}Content-Length: 100\r\n\r\n{{"name":"Half"}}'.encode())
        client.shutdown(socket.SHUT_WR)
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert sql("SELECT count(*) FROM contact") == [(0,)]


def test_thousands_of_wrong_names_get_a_short_answer(admin):
    response = admin.post("/contacts", json={f"n{number}": 1 for number in range(5000)})
    check(response, 422, 1)
    assert len(response.data) < 10_000


def test_nulls_say_nothing(admin, custom):
    nulls = dict.fromkeys(("id", "type", "userName", "firstName", "lastName", "employeeId"))
    assert admin.put(f"/contacts/{custom['id']}", json={"name": "New", **nulls}).status_code == 200
    assert admin.post("/contacts", json={"name": "New", **nulls}).status_code == 201

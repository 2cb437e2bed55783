"""POST /contacts/import: what flask import does, for programs and the page."""

import json
import re
import sqlite3
from contextlib import closing

import pytest
from conftest import ADMIN, AGENT

from contacts import imports, transactions

CSV = "name,phoneNumber\nTaxi,1\nWorkshop,2\n"


def post(client, rows, content_type="text/csv", dry_run=None, **kwargs):
    query = {} if dry_run is None else {"dryRun": dry_run}
    return client.post("/contacts/import", data=rows, content_type=content_type, query_string=query, **kwargs)


def answer(added, unchanged, rejected=(), **more):
    """Return what an import answers."""
    summary = {"added": added, "unchanged": unchanged, "rejected": len(rejected)}
    return {"statusCode": 0, "summary": summary, "rejected": list(rejected), **more}


OBJECTS = [{"name": "Taxi", "phoneNumber": "1"}, {"name": "Workshop", "phoneNumber": "2", "type": "Custom"}]


@pytest.mark.parametrize(
    ("content_type", "rows"),
    [
        ("text/csv", CSV),
        ("text/csv; charset=utf-8", CSV),
        ("Text/CSV;charset=UTF-16", CSV.encode("utf-16")),
        ("text/csv", "\ufeff" + CSV.replace(",", ";").replace("\n", "\r\n")),
        ("application/json", json.dumps(OBJECTS)),
        ("application/json", json.dumps({"contacts": OBJECTS})),
        ("application/x-ndjson", "\n".join(map(json.dumps, OBJECTS))),
    ],
)
def test_rows_are_added_once(content_type, rows, admin):
    assert post(admin, rows, content_type).json == answer(2, 0)
    assert post(admin, rows, content_type).json == answer(0, 2)
    assert [(each["name"], each["phoneNumber"]) for each in admin.get("/contacts").json["contacts"]] == [
        ("Taxi", "1"),
        ("Workshop", "2"),
    ]


def test_an_encoding_may_be_named(admin):
    assert post(admin, "name\nJörg\n".encode("windows-1252"), "text/csv; charset=windows-1252").json == answer(1, 0)
    assert admin.names() == ["Jörg"]


def test_a_dry_run_changes_nothing(admin, flask):
    for dry_run, names in (("true", []), ("TRUE", []), ("false", ["Taxi", "Workshop"])):
        assert post(admin, CSV, dry_run=dry_run).json == answer(2, 0)
        assert admin.names() == names
    assert flask("import", file=CSV).startswith("Custom: 0 added, 0 changed, 0 removed, 2 unchanged")


EATEN = "A spreadsheet has lost digits of this number: format the column as text there."
BAD = "name,phoneNumber,userName\nTaxi,1,\n,2,\nWorkshop,3,x\nBus,4.93E+11\n"


@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_with_bad_rows_nothing_is_changed(admin, dry_run):
    response = post(admin, BAD, dry_run=dry_run)
    assert response.status_code == 422
    assert response.json == {
        "statusCode": 2,
        "statusMessage": "3 bad rows; nothing was changed.",
        "summary": {"added": 1, "unchanged": 0, "rejected": 3},
        "rejected": [
            {"line": 3, "errors": {"name": ["A Custom needs one."]}},
            {"line": 4, "errors": {"userName": ["A Custom has none."]}},
            {
                "line": 5,
                "errors": {
                    "phoneNumber": ["A spreadsheet has lost digits of this number: format the column as text there."]
                },
            },
        ],
    }
    assert admin.names() == []


def test_of_contacts_on_one_line_the_bad_ones_are_numbered(admin):
    rows = '[{"name":"A"},{"name":""},{"name":"C"},\n{"phoneNumber":"1"}]'
    response = admin.post("/contacts/import", data=rows, headers={"Content-Type": "application/json"})
    assert [(each["line"], each.get("contact")) for each in response.json["rejected"]] == [(1, 2), (2, None)]


def test_of_very_many_bad_rows_the_first_are_answered(admin):
    response = post(admin, "name,phoneNumber\n" + ",1\n" * 1500)
    assert (response.json["summary"]["rejected"], len(response.json["rejected"])) == (1500, 1000)


@pytest.mark.parametrize(
    ("content_type", "rows", "said"),
    [
        ("text/csv", "", "the file is empty"),
        ("text/csv", "name,Phone\nA,1\n", "the column 'Phone' is not known"),
        ("text/csv", b"name\n\xff\n", "not in utf-8"),
        ("text/csv", 'name,"phoneNumber" \nA,1\n', "line 1: "),
        ("text/csv", '"name\nA\n', "a quote not closed"),
        ("text/csv; charset=none", CSV, "no encoding 'none'"),
        ("text/csv; charset*=utf-8''utf-8%00", CSV, "no encoding 'utf-8\\x00'"),
        ("application/json", '[{"name":"A"}', "cut off"),
        ("application/json", '{"name":"A"}', "no list of contacts"),
        ("application/json", "", "one array of objects"),
        ("application/json", "{}", "no list of contacts: {}"),
        ("application/x-ndjson", '{"name":"A"}\n{"name":"B', "cut off"),
    ],
)
def test_what_cannot_be_read_is_refused(content_type, rows, said, admin):
    response = post(admin, rows, content_type)
    assert (response.status_code, response.json["statusCode"]) == (422, 2)
    assert said in response.json["statusMessage"]
    assert "--" not in response.json["statusMessage"]
    assert re.search(r"[^.?][.?]$", response.json["statusMessage"])
    assert admin.names() == []


def test_other_types_of_content_are_refused(admin):
    for content_type in ("text/plain", "multipart/form-data", "application/xml", ""):
        response = post(admin, CSV, content_type)
        assert (response.status_code, response.json["statusCode"]) == (415, 2)
        assert "text/csv" in response.json["statusMessage"]


def test_eight_mebibytes_are_accepted_and_no_more(admin):
    row = "x" * 200 + "\n"
    rows = ("name\n" + row * (8 * 1024 * 1024 // len(row) + 1))[: 8 * 1024 * 1024]
    assert post(admin, rows).status_code == 200
    response = post(admin, rows + "x")
    assert (response.status_code, response.json["statusCode"]) == (413, 2)
    assert "8388608 bytes" in response.json["statusMessage"]
    # Other bodies stay as small as they were.
    response = admin.post("/contacts", data=b"{" + b" " * 70_000, content_type="application/json")
    assert (response.status_code, "65536 bytes" in response.json["statusMessage"]) == (413, True)


def test_a_hundred_thousand_rows_are_the_most(admin, monkeypatch):
    monkeypatch.setattr(imports, "MAX_ROWS", 3)
    assert post(admin, "name\nA\nB\nC\n").json == answer(3, 0)
    response = post(admin, "name\nD\nE\nF\nG\n")
    assert (response.status_code, response.json["statusCode"]) == (422, 2)
    assert "more than 3 rows" in response.json["statusMessage"]
    assert admin.names() == ["A", "B", "C"]


def test_admins_alone_may(agent, nobody):
    assert post(agent, CSV).status_code == 403
    assert post(nobody, CSV).status_code == 401
    assert agent.names() == []


def test_with_other_methods_it_is_a_contact_that_there_is_not(admin):
    for method in ("GET", "PUT", "DELETE"):
        assert admin.open(method, "/contacts/import", json={} if method == "PUT" else None).status_code in {404, 422}
    assert admin.open("PATCH", "/contacts/import").status_code == 405
    assert admin.post("/contacts/import/", data=CSV, content_type="text/csv").status_code == 200


def test_parameters_are_checked(admin):
    assert post(admin, CSV, dry_run="maybe").json["errors"] == {"dryRun": ["There are: true, false."]}
    assert admin.post("/contacts/import?dryrun=true", data=CSV, content_type="text/csv").status_code == 422
    assert admin.names() == []


def test_one_at_a_time(admin, app):
    from contacts.sync import Sync  # noqa: PLC0415

    with Sync("Custom"):
        response = post(admin, CSV)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert post(admin, CSV).status_code == 200


def test_a_busy_directory_is_503(admin, path, monkeypatch):
    monkeypatch.setattr(transactions, "WRITE_TIMEOUT_S", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        response = post(admin, CSV)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert post(admin, CSV).status_code == 200


def test_an_import_is_an_audit_line(admin, capsys):
    post(admin, CSV, dry_run="true")
    post(admin, BAD)
    assert "audit" not in capsys.readouterr().out
    post(admin, CSV, headers={**ADMIN, "X-Forwarded-User": "alice"})
    assert " INFO audit action=imported added=2 user=alice " in capsys.readouterr().out
    post(admin, CSV)
    assert "audit" not in capsys.readouterr().out


def test_users_and_queues_of_a_file_are_left_out(admin):
    rows = [*OBJECTS, {"name": "Sales", "type": "Queue"}]
    assert post(admin, json.dumps(rows), "application/json").json == answer(2, 0)
    assert admin.get("/contacts", headers=AGENT).json["totalCount"] == 2

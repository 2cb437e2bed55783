"""flask sync: the Users, or the Queues, of the directory become equal to a file."""

import json
import os
import sqlite3
import threading
from contextlib import closing

import pytest
from conftest import add, run_flask

from contacts import sync_commands, transactions
from contacts.rows import Row
from contacts.sync import Rules, Sync

USERS = "userName,firstName,lastName,phoneNumber,employeeId\njoej,Joe,Johnson,15002,E-1\nanna,Anna,Müller,,\n"
UNCHANGED = "{}: 0 added, 0 changed, 0 removed, {} unchanged, 0 rejected\n"


@pytest.fixture
def sync(flask):
    """Sync Users from a text with the name of a file."""

    def run(file, *options, kind="User", **kwargs):
        return flask("sync", kind, *options, file=file, **kwargs)

    return run


def contacts(client, **params):
    return client.get("/contacts", query_string={"sortBy": "id", **params}).json["contacts"]


def test_a_first_sync_adds_all(sync, agent):
    assert sync(USERS) == "User: 2 added, 0 changed, 0 removed, 0 unchanged, 0 rejected\n"
    anna, joe = contacts(agent, sortBy="name")
    assert anna == {
        "id": anna["id"],
        "name": "Anna Müller",
        "type": "User",
        "userName": "anna",
        "firstName": "Anna",
        "lastName": "Müller",
    }
    assert joe["phoneNumber"] == "15002"
    assert joe["employeeId"] == "E-1"


def test_a_second_sync_changes_nothing_not_even_the_etag(sync, agent, sql):
    sync(USERS)
    before, tag = sql("SELECT * FROM contact"), agent.get("/contacts").headers["ETag"]
    assert sync(USERS) == UNCHANGED.format("User", 2)
    assert sql("SELECT * FROM contact") == before
    assert agent.get("/contacts").headers["ETag"] == tag


def test_a_matched_contact_keeps_its_id_and_is_searched_by_its_new_values(sync, agent):
    sync(USERS)
    before = {contact["userName"]: contact["id"] for contact in contacts(agent)}
    changed = USERS.replace("joej,Joe,Johnson,15002", "JOEJ,Jo,Johnson,15003").replace("anna,", "ben,")
    summary = sync(changed, "--max-delete", "1")
    assert summary == "User: 1 added, 1 changed, 1 removed, 0 unchanged, 0 rejected\n"
    after = {contact["userName"]: contact["id"] for contact in contacts(agent)}
    assert after["JOEJ"] == before["joej"]
    assert "anna" not in after
    assert agent.names(q="15003") == ["Jo Johnson"]
    assert agent.names(q="joe") == ["Jo Johnson"]  # the user name still holds it
    assert agent.names(q="15002") == []


def test_sync_touches_its_own_type_alone(sync, admin, queue):
    custom = admin.create("Anna", "1")
    sync(USERS)
    sync("name,phoneNumber\nSales,8001\nSupport,8002\n", kind="Queue")
    assert custom in contacts(admin)
    assert queue in contacts(admin)
    assert admin.names(type="Queue") == ["Sales", "Support"]
    assert len(contacts(admin, type="User")) == 2


FORMS = {
    "BOM": USERS.encode("utf-8-sig"),
    "CRLF": USERS.replace("\n", "\r\n"),
    "semicolons": USERS.replace(",", ";"),
    "tabs": USERS.replace(",", "\t"),
    "quotes": "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in USERS.splitlines()),
    "no newline at the end": USERS.rstrip("\n"),
    "blank lines": USERS.replace("\n", "\n\n"),
    "blank cells": USERS.replace(",,\n", ", ,\t\n"),
    "a quoted header with the other delimiter": USERS.replace("employeeId", '"employee,,,,,,,,Id"').replace(
        "employee,,,,,,,,Id", "employeeId"
    ),
    "spelling": USERS.replace("userName", "User Name")
    .replace("firstName", "first_name")
    .replace("lastName", "LAST-NAME"),
}


@pytest.mark.parametrize("form", FORMS)
def test_csv_as_people_have_it(form, sync, agent):
    sync(USERS, name="plain.csv")
    assert sync(FORMS[form]).endswith(UNCHANGED.format("User", 2))
    assert agent.names(userName="anna") == ["Anna Müller"]


OBJECTS = [
    {"userName": "joej", "firstName": "Joe", "lastName": "Johnson", "phoneNumber": 15002, "employeeId": "E-1"},
    {"User Name": "anna", "first_name": "Anna", "lastName": "Müller", "phoneNumber": None, "employeeId": ""},
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("users.json", json.dumps(OBJECTS)),
        ("users.json", json.dumps(OBJECTS, indent=2, ensure_ascii=False)),
        ("users.json", "\ufeff " + json.dumps(OBJECTS)),
        ("users.ndjson", "\n".join(json.dumps(each) for each in OBJECTS)),
        ("users.jsonl", "\n\n".join(json.dumps(each, ensure_ascii=False) for each in OBJECTS) + "\r\n"),
    ],
)
def test_json_as_programs_have_it(name, text, sync):
    sync(USERS)
    assert sync(text, name=name) == UNCHANGED.format("User", 2)


def test_an_encoding_can_be_named(sync, agent):
    sync(USERS.encode("windows-1252"), "--encoding", "windows-1252")
    assert agent.names(userName="anna") == ["Anna Müller"]
    sync(USERS.encode("utf-16"), "--encoding", "utf-16")
    assert agent.names(userName="anna") == ["Anna Müller"]


def test_a_format_and_a_delimiter_can_be_named(sync):
    text = USERS.replace(",", "|")
    assert sync(text, "--format", "csv", "--delimiter", "|", name="users.dat").startswith("User: 2 added")


def test_standard_input_is_read(path, app, agent):
    run_flask(path, "sync", "User", "-", "--format", "csv", input=USERS, check=True)
    assert len(contacts(agent)) == 2


def test_extra_columns_are_ignored_when_asked_to(sync):
    text = (
        USERS.replace("employeeId\n", "employeeId,shoeSize\n").replace("E-1\n", "E-1,Sales\n").replace(",,\n", ",,,\n")
    )
    assert "'shoeSize' is not known" in sync(text, status=1)
    assert sync(text, "--ignore-extra").startswith("left out: shoeSize\nUser: 2 added")


BAD_FILES = {
    "empty": ("users.csv", "", "the file is empty"),
    "an unknown column": (
        "users.csv",
        "userName,name,nick\na,b,c\n",
        "the column 'nick' is not known; there are: id, name",
    ),
    "a column twice": ("users.csv", "userName,name,User Name\na,b,c\n", "two columns for userName"),
    "a quote not closed": ("users.csv", 'userName,name\na,"b\n', "cut off, or a quote not closed"),
    "no such format": ("users.xlsx", "PK", "say --format"),
    "not UTF-8": ("users.csv", "userName,name\nanna,Müller\n".encode("windows-1252"), "--encoding"),
    "not JSON": ("users.json", "userName,name", "one array of objects"),
    "a cut array": ("users.json", '[{"userName":"a","name":"b"},', "cut off"),
    "a cut object": ("users.json", '[{"userName":"a","name":"b"},{"userName', "cut off"),
    "more behind the array": ("users.json", '[{"userName":"a","name":"b"}] []', "more behind the array"),
    "an answer without contacts": ("users.json", '{"statusCode":6,"statusMessage":"x"}', '"statusMessage": "x"'),
    "an error with contacts": ("users.json", '{"statusCode":4,"contacts":[{"userName":"a","name":"b"}]}', "no list of"),
    "contacts twice": ("users.json", '{"contacts":[{"userName":"a","name":"b"}],"contacts":[]}', "same name twice"),
    "a total twice": ("users.json", '{"totalCount":2,"contacts":[],"totalCount":0}', "same name twice"),
    "an attribute twice": (
        "users.json",
        '[{"userName":"a","userName":"b"}]',
        "line 1: an object has the same name twice",
    ),
    "a name that is none": ("users.json", '{1:2,"contacts":[]}', "not valid JSON"),
    "contacts that are none": ("users.json", '{"contacts":7}', "no list of contacts"),
    "a page of an answer": (
        "users.json",
        '{"totalCount":3,"contacts":[{"userName":"a","name":"b"}]}',
        "1 of 3 contacts",
    ),
    "a cut answer": ("users.json", '{"statusCode":0,"contacts":[{"userName":"a","name":"b"}]', "cut off"),
    "an answer without its end": ("users.json", '{"contacts":[],', "cut off"),
    "an answer with a name alone": ("users.json", '{"contacts"}', "not valid JSON"),
    "more behind an answer": ("users.json", '{"contacts":[]}[]', "more behind"),
    "a missing comma": ("users.json", '[{"userName":"a","name":"b"} {}]', "a comma or ] is missing"),
    "deep brackets": ("users.json", "[" * 100000, "not valid JSON"),
    "a line without end": ("users.csv", "userName,name\n" + "x" * 1100000, "line 2 is longer than"),
    "an encoding that is none": ("users.csv", USERS, "no encoding 'hex'", "--encoding", "hex"),
    "another encoding": ("users.csv", USERS, "not in utf-16", "--encoding", "utf-16"),
    "two delimiters": ("users.csv", USERS, "is not one character", "--delimiter", ";;"),
    "a quote in the header": ("users.csv", 'userName,"name" \na,b\n', "line 1: "),
    "a cut line of JSON": ("users.ndjson", '{"userName":"a","name":"b"}\n{"userName":"joej"', "cut off"),
    "a strange delimiter": ("users.csv", 'sep="\nuserName,name\na,b\n', "the column 'sep=\"' is not known"),
    "an unknown member": ("users.ndjson", '{"userName":"a","name":"b"}\n{"nick":1}', "line 2: the column 'nick'"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_read_changes_nothing(case, sync, user, sql):
    name, file, message, *options = BAD_FILES[case]
    before = sql("SELECT * FROM contact")
    output = sync(file, "--max-delete", "100%", *options, name=name, status=1)
    assert message in output
    assert output.count("\n") == 1
    assert sql("SELECT * FROM contact") == before


LONG = "x" * 256
BAD_ROWS = {
    "a missing key": ("userName,name\nok,Ok\n,Anna\n", ["line 3, userName: A User needs one."]),
    "a missing name": ("userName,name\nok,\n", ["line 2, name: A User needs one."]),
    "a long value": (
        f"userName,name\nok,{LONG}\n",
        ["line 2, name: Must not be longer than 255 characters (has 256)."],
    ),
    "a long full name": (
        f"userName,firstName,lastName\nok,{LONG[:200]},{LONG[:200]}\n",
        ["line 2, name: Made of firstName and lastName: Must not be longer than 255 characters (has 401)."],
    ),
    "a long number": (f"userName,name,phoneNumber\nok,Ok,{LONG[:65]}\n", ["line 2, phoneNumber: Must not be longer"]),
    "a line break": ('userName,name\nok,"A\nB"\nfine,Fine\n', ["line 2, name: Control characters are not allowed"]),
    "a bad row behind a line break": (
        'userName,name\nok,"A\nB"\n,Fine\n',
        ["line 2, name: Control", "line 4, userName: A User needs one."],
    ),
    "a control character": (
        "userName,name\nok,A\x00B\n",
        ["line 2, name: Control characters are not allowed (found U+0000)"],
    ),
    "a key twice": (
        "userName,name\nanna,A\nben,B\nANNA,C\n",
        ["line 2, userName: The same as on line 4.", "line 4, userName: The same as on line 2."],
    ),
    "a key three times": (
        "userName,name\nanna,A\nanna,B\nANNA,C\n",
        [f"line {n}, userName: The same as on line {other}." for n, other in ((2, 3), (3, 2), (4, 2))],
    ),
    "too many cells": ("userName,name\nok,Ok,1\n", ["line 2, row: Has 3 cells, and the header has 2."]),
    "an unknown type": (
        "userName,name,type\nok,Ok,Robot\n",
        ["line 2, type: Must be User, or another type whose rows are skipped: User, Queue, Custom.\n"],
    ),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_reported_and_nothing_changes(case, sync, user, sql):
    text, messages = BAD_ROWS[case]
    before = sql("SELECT * FROM contact")
    output = sync(text, status=1)
    for message in messages:
        assert message in output
    assert f"{len(messages)} bad row{'s'[: len(messages) > 1]}; nothing was changed" in output
    assert sql("SELECT * FROM contact") == before


def test_values_of_json_must_be_text(sync):
    text = json.dumps(
        [{"userName": "a", "name": ["x"]}, {"userName": "b", "name": True}, {"userName": "c", "name": "\ud800"}]
    )
    output = sync(text, name="users.json", status=1)
    assert output.count("name: Must be text.") == 2
    assert "an unpaired surrogate" in output


def test_a_queue_has_no_user_attributes(sync):
    output = sync("name,firstName\nSales,Joe\n", kind="Queue", status=1)
    assert "line 2, firstName: A Queue has none." in output
    # They make no name for it.
    assert "line 2, name: A Queue needs one." in sync("firstName,lastName\nJoe,Johnson\n", kind="Queue", status=1)


def test_many_bad_rows_are_summed_up(sync):
    output = sync("userName,name\n" + ",x\n" * 30, status=1)
    assert output.count("A User needs one.") == 20
    assert "… and 10 bad rows more" in output


def test_rejects_takes_the_bad_rows_and_applies_the_good_ones(sync, agent, user, tmp_path):
    file = f"userName,name,phoneNumber\nanna,Anna,1\njoej,{LONG},=1\n,Ben,2\n"
    output = sync(file, "--rejects", str(tmp_path / "bad.csv"), status=2)
    assert output.endswith("User: 1 added, 0 changed, 0 removed, 0 unchanged, 2 rejected\n")
    # A bad row does not remove the contact that it names.
    assert agent.names(type="User") == ["Anna", "Joe Johnson"]
    written = (tmp_path / "bad.csv").read_text(encoding="utf-8").splitlines()
    assert written[0].startswith("line,reason,id,name")
    assert written[1].startswith("3,name: Must not be longer")
    assert "'=1" in written[1]
    assert written[2].startswith("4,userName: A User needs one.,,Ben")


def test_rejected_rows_come_back_when_they_are_mended(sync, agent, tmp_path):
    sync("userName,name\nanna,Anna\n,Ben\n", "--rejects", str(tmp_path / "bad.csv"), status=2)
    mended = (tmp_path / "bad.csv").read_text(encoding="utf-8").replace("Ben,,,,", "Ben,,,ben,")
    sync(mended, "--ignore-extra", "--no-delete")
    assert agent.names() == ["Anna", "Ben"]


MANY = "userName,name\n" + "".join(f"u{n},Name {n}\n" for n in range(100))


def without(count):
    return "\n".join(MANY.splitlines()[: 101 - count]) + "\n"


@pytest.mark.parametrize(
    ("missing", "options", "removed"),
    [
        (10, [], 10),
        (11, [], None),
        (100, [], None),
        (11, ["--max-delete", "11"], 11),
        (11, ["--max-delete", "10"], None),
        (11, ["--max-delete", "11%"], 11),
        (1, ["--max-delete", "0"], None),
        (100, ["--max-delete", "100%"], 100),
        (100, ["--no-delete"], 0),
    ],
)
def test_a_sync_removes_no_more_than_it_may(missing, options, removed, sync, sql):
    sync(MANY)
    output = sync(without(missing), *options, status=1 if removed is None else 0)
    if removed is None:
        assert f"the file lacks {missing} of the 100 Users" in output
        assert "nothing was changed" in output
    assert sql("SELECT count(*) FROM contact") == [(100 - (removed or 0),)]


def test_a_percentage_is_of_the_contacts_of_the_type(sync):
    sync(MANY)
    sync("name\n" + "".join(f"Queue {n}\n" for n in range(100)), kind="Queue")
    assert "the file lacks 11 of the 100 Users" in sync(without(11), status=1)


@pytest.mark.parametrize("value", ["x", "-1", "-1%", "101%", "nan%", "inf%", "", "%", "1.5"])
def test_max_delete_is_a_number_or_a_percentage(value, sync):
    output = sync(MANY, "--max-delete", value, status=1)
    assert "neither a number" in output
    assert output.count("\n") == 1


def test_a_dry_run_changes_nothing(sync, sql):
    sync(MANY)
    before = sql("SELECT * FROM contact")
    output = sync(without(5) + "new,New\nu0,Other\n".replace("u0,Other\n", ""), "--dry-run")
    assert output == "User: 1 added, 0 changed, 5 removed, 95 unchanged, 0 rejected (dry run: nothing was changed)\n"
    assert sql("SELECT * FROM contact") == before


def test_rows_of_other_types_are_skipped(sync, agent):
    text = "type,userName,name\nuser,anna,Anna\nQueue,,Sales\nCustom,,Some\n"
    assert sync(text) == "User: 1 added, 0 changed, 0 removed, 0 unchanged, 0 rejected, 2 skipped\n"
    assert agent.names() == ["Anna"]


def test_keys_are_compared_ignoring_case_in_all_scripts(sync, agent):
    sync("name\nЖУК\nSTRASSE\n", kind="Queue")
    assert (
        sync("name\nжук\nStraße\n", kind="Queue") == "Queue: 0 added, 2 changed, 0 removed, 0 unchanged, 0 rejected\n"
    )
    assert sorted(agent.names()) == ["Straße", "жук"]


def test_the_search_index_follows(sync, sql):
    sync(MANY)
    sync(MANY.replace("Name 1", "Nome 1"))
    sync(without(10))
    sql("INSERT INTO contact_search (contact_search, rank) VALUES ('integrity-check', 1)")
    assert sql("SELECT users FROM directory") == [(90,)]


def test_formulas_stay_data(sync, agent):
    names = ["'=1+1", "'@x", "'+49", "'-1", "''=x", "'quoted'"]
    sync("userName,name\n" + "".join(f"u{n},{name}\n" for n, name in enumerate(names)))
    expected = ["=1+1", "@x", "+49", "-1", "'=x", "'quoted'"]
    assert [contact["name"] for contact in contacts(agent, sortBy="userName")] == expected


def test_the_types_are_read_ignoring_case_and_others_are_refused(flask):
    assert flask("sync", "user", file=USERS).startswith("User: 2 added")
    assert "'custom' is not one of" in flask("sync", "custom", file=USERS, status=1)


def test_a_missing_file_is_one_clear_line(flask, tmp_path):
    output = flask("sync", "User", str(tmp_path / "none.csv"), status=1)
    assert "No such file or directory" in output
    assert output.count("\n") == 1


def test_the_rejects_file_is_private(sync, tmp_path):
    sync("userName,name\n,Ben\n", "--rejects", str(tmp_path / "bad.csv"), status=2)
    assert os.stat(tmp_path / "bad.csv").st_mode & 0o077 == 0


def test_bad_rows_of_json_are_rows(sync, tmp_path):
    text = '{"userName":"a","name":"A"}\n"b"\n{"userName\n'
    output = sync(text, "--rejects", str(tmp_path / "bad.csv"), name="users.ndjson", status=2)
    assert "line 2, row: A contact is a JSON object" in output
    assert "line 3, row: Not valid JSON" in output
    assert "User: 1 added, 0 changed, 0 removed, 0 unchanged, 2 rejected" in output
    assert "A contact is a JSON object" in sync('["a"]', name="users.json", status=1)


def test_an_over_long_cell_is_a_bad_row(sync):
    assert "line 2, name: Must not be longer than 255" in sync(f"userName,name\na,{'x' * 500000}\n", status=1)


def test_rows_of_blanks_are_no_rows(sync):
    text = "\n  \nuserName,name\n,\nanna,Anna\n  ,\t\n ,,,\n   \n"
    assert sync(text) == "User: 1 added, 0 changed, 0 removed, 0 unchanged, 0 rejected\n"
    assert "line 4, name: A User needs one." in sync("\n\nuserName,name\nanna,\n", status=1)


def test_a_duplicate_key_leaves_its_contact_as_it_is(sync, agent, user, tmp_path):
    sync("userName,name\njoej,A\nJOEJ,B\nnew,New\n", "--rejects", str(tmp_path / "bad.csv"), status=2)
    assert agent.names(type="User") == ["Joe Johnson", "New"]


def test_a_contact_that_a_bad_row_and_a_good_one_name_stays_as_it_is(sync, agent, user, tmp_path):
    sync("userName,name\njoej,A\njoej,\nnew,New\n", "--rejects", str(tmp_path / "bad.csv"), status=2)
    assert agent.names(type="User") == ["Joe Johnson", "New"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("users.csv", "name,userName\nJohnson, Joe,joej\nNew,new\n"),
        ("users.ndjson", '{"userName":"joej","name":"Joe Johnson\n{"userName":"new","name":"New"}\n'),
    ],
)
def test_rows_that_cannot_be_read_may_be_anybodys(name, text, sync, agent, user, tmp_path):
    rejects = ("--rejects", str(tmp_path / "bad.csv"), "--max-delete", "100%")
    output = sync(text, *rejects, name=name, status=2)
    assert "warning: nobody is removed, as a bad row does not tell whose it is\n" in output
    assert agent.names(type="User") == ["Joe Johnson", "New"]
    assert "warning" not in sync("userName,name\nnew,New\nx,\n", *rejects, status=2)
    assert agent.names(type="User") == ["New"]


@pytest.mark.parametrize(
    ("row", "options"),
    [
        (",Joe Johnson,E-1,", ()),
        (f"{'j' * 256},Joe Johnson,E-1,", ()),
        ("joe2,Joe Johnson,E-1,BAD", ()),
        ("joe2,Joe Johnson,1.003E+03,", ("--match", "employeeId")),
    ],
)
def test_a_bad_row_that_does_not_tell_whose_it_is_may_be_anybodys(row, options, sync, agent, user, tmp_path):
    text = f"userName,name,employeeId,id\nnew,New,E-2,\n{row}\n"
    output = sync(text, "--rejects", str(tmp_path / "bad.csv"), "--max-delete", "100%", *options, status=2)
    assert "warning: nobody is removed, as a bad row does not tell whose it is\n" in output
    assert agent.names(type="User") == ["Joe Johnson", "New"]


def test_rejects_never_go_over_standard_input(path, app, tmp_path):
    file = tmp_path / "in.csv"
    file.write_text("userName,name\n,Ben\n")
    with file.open() as opened:
        ran = run_flask(path, "sync", "User", "-", "--format", "csv", "--rejects", str(file), stdin=opened)
    assert ran.returncode == 1
    assert "is the file that is read" in ran.stderr
    assert file.read_text() == "userName,name\n,Ben\n"


def test_a_missing_column_is_warned_of(sync, agent, user):
    output = sync("userName,firstName,lastName\njoej,Joe,Johnson\n")
    assert "warning: no row has a value for phoneNumber, and 1 contacts lose theirs" in output
    assert "phoneNumber" not in contacts(agent)[0]
    assert "warning" not in sync("userName,firstName,lastName\njoej,Joe,Johnson\n")


@pytest.mark.parametrize("target", ["contacts.db", "contacts.db-wal", "users.csv"])
def test_rejects_never_go_over_the_database_or_the_input(target, sync, user, path, tmp_path):
    before = path.read_bytes()
    output = sync("userName,name\n,Ben\n", "--rejects", str(tmp_path / target), status=1)
    assert output.count("\n") == 1
    assert path.read_bytes() == before
    assert (tmp_path / "users.csv").read_text() == "userName,name\n,Ben\n"


def test_rejects_to_nowhere_is_one_clear_line(sync, sql, tmp_path):
    output = sync("userName,name\n,Ben\n", "--rejects", str(tmp_path / "none" / "bad.csv"), status=1)
    assert "there is no folder" in output.splitlines()[-1]


def test_rejects_take_any_text(sync, tmp_path):
    text = json.dumps({"userName": "a", "name": "\ud800"})
    sync(text, "--rejects", str(tmp_path / "bad.csv"), name="users.ndjson", status=2)
    assert "\\ud800" in (tmp_path / "bad.csv").read_text(encoding="utf-8")


def test_one_sync_runs_at_a_time(flask, sync, app):
    with Sync("Queue"):
        assert "another sync or import is running" in sync(USERS, status=1)
        assert "another sync or import is running" in flask("import", file="name\nA\n", status=1)
    assert sync(USERS).startswith("User: 2 added")


def test_a_change_writes_no_more_than_what_changed(sync, app, sql):
    sync(USERS)
    sql("CREATE TRIGGER watch AFTER UPDATE OF name_key ON contact BEGIN SELECT RAISE(ABORT, 'written'); END")
    assert sync(USERS.replace("15002", "15003")) == "User: 0 added, 1 changed, 0 removed, 1 unchanged, 0 rejected\n"


def test_a_sync_in_several_transactions_leaves_the_search_index_in_one_piece(app, flask, sql, monkeypatch):
    monkeypatch.setattr("contacts.sync.MAX_DIFFERENCES_IN_ONE_TRANSACTION", 20)
    monkeypatch.setattr("contacts.sync.DIFFERENCES_PER_TRANSACTION", 5)
    rows = "".join(f"u{n},Name {n}\n" for n in range(60))
    flask("sync", "User", file=f"userName,name\n{rows}")
    # A segment's number is in the upper bits of its rows' ids: https://www.sqlite.org/fts5.html, 9.2
    assert sql("SELECT count(DISTINCT id >> 37) FROM contact_search_data WHERE id > 10") == [(1,)]
    assert sql("SELECT count(*) FROM contact_search WHERE contact_search MATCH '\"name\"'") == [(60,)]


@pytest.mark.parametrize(
    ("added", "removed", "sizes"),
    [(20, 0, [20]), (21, 0, [5, 5, 5, 5, 1]), (0, 21, [5, 5, 5, 5, 1]), (11, 10, [5, 5, 5, 5, 1]), (0, 0, [])],
)
def test_few_differences_are_one_transaction_and_many_are_several(added, removed, sizes, app, monkeypatch):
    monkeypatch.setattr("contacts.sync.MAX_DIFFERENCES_IN_ONE_TRANSACTION", 20)
    monkeypatch.setattr("contacts.sync.DIFFERENCES_PER_TRANSACTION", 5)
    for number in range(removed):
        add(type="Queue", name=f"Old {number}")
    written = []
    with Sync("Queue") as sync:
        report = sync.prepare((Row(n, {"name": f"New {n}"}) for n in range(added)), Rules(max_delete=100))
        sync.apply(report.summary, written.append)
    assert written == sizes


def test_a_sync_waits_longer_for_another_program_than_a_request_does(sync, path, monkeypatch):
    monkeypatch.setattr(transactions, "WRITE_TIMEOUT_S", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.7, other.execute, ["ROLLBACK"])
        timer.start()
        assert sync(USERS).startswith("User: 2 added")
        timer.join()


def test_of_two_failures_the_first_is_told(sync, path, monkeypatch):
    """That a sync failed cannot be noted, either, while another program writes."""
    monkeypatch.setattr(transactions, "WRITE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(sync_commands, "COMMAND_BUSY_TIMEOUT_MS", 100)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        output = sync("", status=1)
    assert (output.count("\n"), "the file is empty" in output) == (1, True)


def test_the_lock_of_syncs_is_private(sync, path):
    sync(USERS)
    assert path.with_name("contacts.db-sync").stat().st_mode & 0o777 == 0o600


A, B = "0f8fad5b-d9cb-469f-a165-70867728950e", "{7C9E6679-7425-40DE-944B-E07FC1F90AE7}"
IDS = [each.strip("{}").replace("-", "").lower() for each in (A, B)]


def logins(client):
    return {contact["userName"]: contact["id"] for contact in contacts(client, type="User")}


def test_files_give_ids(sync, agent):
    sync(f"id,userName,name\n{A},anna,Anna\n{B},ben,Ben\n,zoe,Zoe\n")
    assert [logins(agent)[each] for each in ("anna", "ben")] == IDS
    assert len(logins(agent)["zoe"]) == 32
    before = logins(agent)
    # A matched contact keeps its id, whatever the row says.
    assert sync(f"id,userName,name\n{'f' * 32},anna,Anna\n,ben,Ben\n,zoe,Zoe\n") == UNCHANGED.format("User", 3)
    assert logins(agent) == before


def test_an_id_decides_who_a_row_is(sync, agent):
    sync(f"id,userName,name\n{A},anna,Anna\n{B},ben,Ben\n")
    summary = sync(f"id,userName,name\n{IDS[0].upper()},anna.smith,Anna Smith\n{B},ben,Ben\n")
    assert summary == "User: 0 added, 1 changed, 0 removed, 1 unchanged, 0 rejected\n"
    assert logins(agent) == {"anna.smith": IDS[0], "ben": IDS[1]}
    assert agent.names(q="anna") == ["Anna Smith"]


def test_logins_may_change_hands(sync, agent, sql):
    sync(f"id,userName,name\n{A},anna,Anna\n{B},ben,Ben\n")
    summary = sync(f"id,userName,name\n{A},ben,Anna\n{B},anna,Ben\n")
    assert summary == "User: 0 added, 2 changed, 0 removed, 0 unchanged, 0 rejected\n"
    assert logins(agent) == {"ben": IDS[0], "anna": IDS[1]}
    # Somebody new has a login whose owner got another.
    summary = sync(f"id,userName,name\n{A},anna2,Anna\n{B},anna,Ben\n,ben,New\n")
    assert summary == "User: 1 added, 1 changed, 0 removed, 1 unchanged, 0 rejected\n"
    assert logins(agent).items() > {"anna2": IDS[0], "anna": IDS[1]}.items()
    # The owner goes.
    summary = sync(f"id,userName,name\n{A},anna,Anna\n", "--max-delete", "2")
    assert summary == "User: 0 added, 1 changed, 2 removed, 0 unchanged, 0 rejected\n"
    assert logins(agent) == {"anna": IDS[0]}
    assert sql("SELECT users FROM directory") == [(1,)]
    assert sql("SELECT count(*) FROM contact_search('\"anna\"')") == [(1,)]


def test_many_logins_change_hands(sync, agent, sql):
    """Each gets the next one's, more than one transaction takes."""
    count = 5200
    rows = [f"{number:032x},u{number}" for number in range(count)]
    sync("id,userName,name\n" + "".join(f"{row},Name\n" for row in rows))
    moved = [f"{number:032x},u{(number + 1) % count}" for number in range(count)]
    summary = sync("id,userName,name\n" + "".join(f"{row},Name\n" for row in moved))
    assert summary == f"User: 0 added, {count} changed, 0 removed, 0 unchanged, 0 rejected\n"
    assert {f"{contact_id},{login}" for login, contact_id in logins(agent).items()} == set(moved)
    assert sql("SELECT users FROM directory") == [(count,)]
    assert sync("id,userName,name\n" + "".join(f"{row},Name\n" for row in moved)) == UNCHANGED.format("User", count)


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (
            "id,userName,name\n{queue},anna,Anna\n",
            ["line 2, id: The directory has a contact of another type than User"],
        ),
        ("id,userName,name\nx,anna,Anna\n", ["line 2, id: Must be 32 hexadecimal digits"]),
        *(
            (f"id,userName,name\n{each},anna,Anna\n", ["line 2, id: Must be 32 hexadecimal digits"])
            for each in (
                f"{A}0",
                f"{{{A}",
                f"{A}}}",
                f"{{{{{A}}}}}",
                A.replace("-", "", 1),
                f"{{{A.replace('-', '')}}}",
            )
        ),
        (
            f"id,userName,name\n{A},anna,Anna\n{A.upper()},ben,Ben\n",
            ["line 2, id: The same as on line 3", "line 3, id"],
        ),
        ("userName,name\nu5,Five\nu5\u200b,Five\n", ["line 2, userName: The same as on line 3", "line 3, userName"]),
    ],
)
def test_bad_ids_and_keys_are_reported(text, reasons, sync, queue, sql):
    before = sql("SELECT json FROM contact")
    output = sync(text.replace("{queue}", queue["id"]), status=1)
    for reason in reasons:
        assert reason in output
    assert sql("SELECT json FROM contact") == before


def test_a_login_of_a_contact_that_stays_cannot_be_taken(sync, agent):
    sync(f"id,userName,name\n{A},anna,Anna\n{B},ben,Ben\n")
    output = sync(f"id,userName,name\n{A},ben,Anna\n", "--no-delete", status=1)
    assert "line 2, userName: A contact has it that keeps it, as no good row names that contact." in output
    assert logins(agent) == {"anna": IDS[0], "ben": IDS[1]}


def test_invisible_characters_make_no_other_user(sync, agent):
    sync("userName,name\nu5,Five\n")
    assert sync("userName,name\nu5\u200b,Five\n") == UNCHANGED.format("User", 1)
    assert sync("userName,name\nu\u00ad5,Five\n") == "User: 0 added, 1 changed, 0 removed, 0 unchanged, 0 rejected\n"
    assert len(logins(agent)) == 1


def test_imports_keep_ids_and_add_nothing_again(flask, agent):
    text = f"id,name,phoneNumber\n{A},Desk,1\n{B},Desk,1\n"
    assert flask("import", file=text) == "Custom: 2 added, 0 changed, 0 removed, 0 unchanged, 0 rejected\n"
    assert {contact["id"] for contact in contacts(agent)} >= set(IDS)
    assert flask("import", file=text) == "Custom: 0 added, 0 changed, 0 removed, 2 unchanged, 0 rejected\n"
    assert (
        flask("import", file=f"id,name\n{A},Other\n")
        == "Custom: 0 added, 0 changed, 0 removed, 1 unchanged, 0 rejected\n"
    )


PEOPLE = {letter: letter * 32 for letter in "abc"}
LONG = "x" * 300


@pytest.mark.parametrize("options", [(), ("--no-delete",)])
@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        (["{a},a2," + LONG, "{b},a,Bob", "{c},c,Cid"], "ab"),  # Ann is named by a bad row, and keeps her login
        (["{a},b,Ann", "{b},a,Bob", ",a,Other", "{c},c,Cid"], "ab"),  # a is there twice
        (["{a},a2," + LONG, ",a,New", "{b},b,Bob", "{c},c,Cid"], "ab"),
        (["{a},b,Ann", "{b},c,Bob", "{c},c2," + LONG], "abc"),  # each waits for the next
    ],
)
def test_a_contact_that_a_bad_row_names_keeps_its_login(rows, kept, options, sync, agent, tmp_path):
    sync("id,userName,name\n" + "".join(f"{PEOPLE[each]},{each},Name\n" for each in "abc"))
    text = "id,userName,name\n" + "".join(row.format(**PEOPLE) + "\n" for row in rows)
    output = sync(text, "--rejects", str(tmp_path / "bad.csv"), *options, status=2)
    there = logins(agent)
    assert {each: there[each] for each in kept} == {each: PEOPLE[each] for each in kept}
    assert len(there) == 3
    assert "0 added" in output
    # The ids of bad rows are kept with them.
    bad = (tmp_path / "bad.csv").read_text(encoding="utf-8")
    assert all(row.format(**PEOPLE).split(",")[0] in bad for row in rows[:2] if row.split(",")[1] != "c")


def test_a_bad_row_with_the_id_of_another_type_is_matched_by_its_login(sync, agent, queue, tmp_path):
    sync("userName,name\na,Ann\nb,Bob\n")
    text = f"id,userName,name\n{queue['id']},a,{LONG}\n,b,Bob\n"
    output = sync(text, "--rejects", str(tmp_path / "bad.csv"), "--max-delete", "50%", status=2)
    assert "0 removed" in output
    assert set(logins(agent)) == {"a", "b"}

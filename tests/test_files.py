"""Files as people have them: tests/files/ has one of each exporter, and the table says what becomes of each row."""

import codecs
import json
import shlex

import pytest
from conftest import ROOT

from contacts import files, ldap, sync
from contacts.rows import Columns, FileError, Reading

FILES = ROOT / "tests" / "files"
GUID = "6f9619ff8b86d011b42d00c04fc964ff"

# The file, the command, and the contacts that it makes: their values in the order of the names.
EXPORTS = {
    "excel-de.csv": (
        "sync User --encoding windows-1252 --column Rufnummer=phoneNumber --column Personalnummer=employeeId "
        "--column Anmeldename=userName --rejects bad.csv",
        ["userName", "name", "phoneNumber", "employeeId"],
        # Änne Öz' number is lost: see test_a_number_that_a_spreadsheet_has_eaten_makes_a_bad_row().
        [["jgross", "Jürgen Groß", "+49 30 5550199", "1001"], ["kmeier", "Meier; Karl", "'030 12", "1003"]],
    ),
    "excel-en.csv": (
        "sync User",
        ["userName", "name", "phoneNumber", "employeeId"],
        [
            ["bob", "Bob O'Neill", "+1 650 555-0100", "E-3"],
            ["joej", "Joe Johnson", "15002", "E-1"],
            ["zoem", "Zoë Müller", None, None],
        ],
    ),
    "excel-ja.txt": (
        "sync User",
        ["userName", "name", "phoneNumber"],
        [["yamada", "山田 太郎", "０３-１２３４"], ["suzuki", '鈴木 "花子"', None]],
    ),
    "powershell-5.csv": (
        "sync User --column Enabled=",
        ["userName", "name", "firstName", "lastName", "phoneNumber", "employeeId", "id"],
        [
            ["jdoe", "Doe, Jane", "Jane", "Doe", "+44 20 7946 0000", "42", GUID],
            ["rroe", "Richard Roe", "Richard", "Roe", None, "43", GUID.replace("6f", "7f", 1)],
        ],
    ),
    "powershell-7.csv": (
        "sync User",
        ["userName", "name", "phoneNumber"],
        [["jdoe", "Doe, Jane", "+44 20 7946 0000"], ["rroe", "Richard Roe", None]],
    ),
    "google.csv": (
        "import --ignore-extra --column Phone_1_-_Value=phoneNumber",
        ["name", "phoneNumber"],
        [["Taxi", "(030) 20 20 20"], ["Тарас Шевченко", "+380 44 123 4567"]],
    ),
    "outlook.csv": (
        "import --ignore-extra --encoding windows-1252 --column BusinessPhone=phoneNumber",
        ["name", "phoneNumber"],
        [["Françoise Noël", "+33 1 42 68 53 00"], ["Reinigung", "(030) 555-7"]],
    ),
    "gws.json": ("import", ["id", "name", "phoneNumber"], [["3e553fa1b4164908a5f36d43cec96086", "Taxi", "202020"]]),
    "openldap.ldif": (
        "sync User",
        ["userName", "name", "firstName", "lastName", "phoneNumber", "employeeId", "id"],
        [
            ["anna", "Anna Hohenfels", None, None, None, None, "0d1b4d6a5c5e4f0b9d590f8f4a2f0002"],
            ["lzak", "Łukasz Żak", "Łukasz", "Żak", "7001", "77", "0d1b4d6a5c5e4f0b9d590f8f4a2f0001"],
        ],
    ),
    "active-directory.ldif": (
        "sync User",
        ["userName", "name", "firstName", "lastName", "phoneNumber", "employeeId", "id"],
        [
            ["jdoe", "Doe, Jane", "Jane", "Doe", "+44 20 7946 0000", "42", GUID],
            ["rroe", "Jörg Roe", None, "Roe", None, None, GUID.replace("6f", "7f", 1)],
        ],
    ),
}


def test_every_file_is_in_the_table():
    assert {file.name for file in FILES.iterdir()} == set(EXPORTS)


def run(flask, tmp_path, monkeypatch, name, status=0):
    """Run the command for a file of the table; return what it prints."""
    monkeypatch.chdir(tmp_path)
    command, *options = EXPORTS[name][0].split()
    arguments = [command, options.pop(0)] if command == "sync" else [command]
    return flask(*arguments, str(FILES / name), *options, status=status)


@pytest.mark.parametrize("name", EXPORTS)
def test_what_becomes_of_each_row(name, flask, agent, tmp_path, monkeypatch):
    command, names, expected = EXPORTS[name]
    status = 2 if "--rejects" in command else 0
    run(flask, tmp_path, monkeypatch, name, status)
    contacts = agent.get("/contacts").json["contacts"]
    assert [[contact.get(each) for each in names] for contact in contacts] == expected
    assert run(flask, tmp_path, monkeypatch, name, status).splitlines()[-1].count(" 0 added, 0 changed, 0 removed") == 1


def test_a_number_that_a_spreadsheet_has_eaten_makes_a_bad_row(flask, tmp_path, monkeypatch):
    output = run(flask, tmp_path, monkeypatch, "excel-de.csv", status=2)
    assert "line 3, phoneNumber: A spreadsheet has lost digits of this number" in output
    assert "Änne Öz" in (tmp_path / "bad.csv").read_text()


@pytest.mark.parametrize("number", ["4.93E+11", "4,93056E+11", "4E+10", "1.2e+5", "\u200e4.93E+11", "4.93056E11"])
@pytest.mark.parametrize("column", ["phoneNumber", "employeeId"])
def test_eaten_numbers(number, column, flask):
    text = f'userName,name,{column}\na,A,"{number}"\n'
    assert f"line 2, {column}: A spreadsheet" in flask("sync", "User", file=text, status=1)


@pytest.mark.parametrize("number", ["1e5", "E+49", "4.93", "49E", "+4.93E+11x", "1E5", "12E+3"])
def test_numbers_that_only_look_a_little_like_it(number, flask):
    assert "1 added" in flask("sync", "User", file=f"userName,name,phoneNumber\na,A,{number}\n")


MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("encoding", MARKS)
@pytest.mark.parametrize("given", [[], ["--encoding", "windows-1252"]])
@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.ndjson"])
def test_a_byte_order_mark_is_believed(encoding, given, name, flask, agent):
    contact = {"userName": "zoe", "name": "Zoë Ж"}
    texts = {"a.csv": "userName,name\r\nzoe,Zoë Ж\r\n", "a.json": json.dumps([contact], ensure_ascii=False)}
    text = texts.get(name, json.dumps(contact, ensure_ascii=False))
    flask("sync", "User", *given, file=MARKS[encoding] + text.encode(encoding), name=name)
    assert agent.names() == ["Zoë Ж"]


HEADS = [
    '#TYPE System.Object\r\n"userName","name"\r\n',
    "sep=,\r\nuserName,name\r\n",
    '"sep=,"\r\nuserName,name\r\n',
    "SEP=;\nuserName;name\n",
    "sep=|\nuserName|name\n",
    "\r\n\r\n#TYPE X\r\nsep=,\r\nuserName,name\r\n",
    "userName,name,\r\n",
    "\ufeff\ufeffuserName,name\r\n",
]


@pytest.mark.parametrize("head", HEADS)
def test_lines_before_the_header_are_skipped(head, flask, agent):
    delimiter = next(each for each in ",;|" if f"userName{each}name" in head.replace('"', ""))
    row = f"a{delimiter}Ann\r\n"
    # Files that were joined have their heads in the middle, too.
    for text in (head + row, head + row + head + f"b{delimiter}Bob{delimiter}{delimiter}\r\n"):
        flask("sync", "User", "--no-delete", file=text)
    assert agent.names() == ["Ann", "Bob"]


JOINED = {
    "quoted cells with a mark": '\ufeff"userName","name"\n"a","Ann"\n\ufeff"userName","name"\n"b","Bob"\n',
    "a mark before sep=": "\ufeffsep=;\nuserName;name\na;Ann\n\ufeffsep=;\nuserName;name\nb;Bob\n",
    "a mark before #TYPE": '\ufeff#TYPE X\n"userName","name"\n"a","Ann"\n\ufeff#TYPE X\n"userName","name"\n"b","Bob"\n',
    "another spelling": "userName,name\na,Ann\nUser Name,NAME\nb,Bob\n",
}


@pytest.mark.parametrize("case", JOINED)
def test_files_that_were_joined(case, flask, agent):
    flask("sync", "User", file=JOINED[case])
    assert agent.names() == ["Ann", "Bob"]


@pytest.mark.parametrize(
    ("header", "again"),
    [
        ("userName,name", "name,userName"),
        ("userName,name,phoneNumber", "name,userName"),
        ("userName,name,phoneNumber", "userName,name"),
        ("userName,name,phoneNumber", "Name,user_name,employeeId"),
        ("userName,name", "sAMAccountName,displayName"),
    ],
)
def test_joined_files_with_other_columns_are_refused(header, again, flask, agent):
    output = flask("sync", "User", file=f"{header}\na,Ann\n{again}\nBob,b\n", status=1)
    assert "line 3: other columns begin here" in output
    assert agent.names() == []


def test_a_formula_that_is_text_is_text(flask, agent):
    flask("import", file='name,phoneNumber\n"=""Ann""","=""0123"""\nBob,="0456"\n\'=1,=x\n')
    found = agent.get("/contacts?fields=name,phoneNumber").json["contacts"]
    assert found == [
        {"name": "=1", "phoneNumber": "=x"},
        {"name": "Ann", "phoneNumber": "0123"},
        {"name": "Bob", "phoneNumber": "0456"},
    ]


@pytest.mark.parametrize("name", ["", "Ann Lee"])
def test_an_address_book_has_parts_of_names(name, flask, agent):
    flask("import", file=f"Name,Given Name,Surname\n{name},Ann,Lee\n")
    assert agent.get("/contacts").json["contacts"][0].keys() == {"id", "name", "type"}
    assert agent.names() == ["Ann Lee"]


def test_a_header_may_have_a_line_break_in_a_cell(flask, agent):
    flask("import", "--ignore-extra", file='name,"Phone\nnumber","Busi\nness"\nAnn,1,2\n')
    assert agent.get("/contacts?fields=name,phoneNumber").json["contacts"] == [{"name": "Ann", "phoneNumber": "1"}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '[{"name":"Ann","phoneNumber":" ","telephoneNumber":"5"}]'),
        ("a.csv", "name,phoneNumber,telephoneNumber\nAnn,\u200b ,5\n"),
        ("a.ldif", "dn: a\ncn: Ann\ntelephoneNumber:: IA==\ntelephoneNumber: 5\n\n# pagedresults: cookie=\n"),
        ("a.ldif", "dn: a\ncn: Ann\ntelephoneNumber:\nOfficePhone: 5\n\n# pagedresults: cookie=\n"),
    ],
)
def test_a_blank_value_hides_none(name, text, flask, agent):
    flask("import", file=text, name=name)
    assert agent.get("/contacts?fields=phoneNumber").json["contacts"] == [{"phoneNumber": "5"}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '[{"userName":"joej","name":"A","phoneNumbers":["5"]},{"userName":"b","name":"B"}]'),
        ("a.ldif", "dn: a\nuid: joej\ncn: A\nsn:: /w==\n\ndn: b\nuid: b\ncn: B\n\n# pagedresults: cookie=\n"),
    ],
)
def test_a_row_that_cannot_be_read_protects_whom_it_names(name, text, flask, agent, user):
    flask("sync", "User", "--no-delete", file="userName,name\ngone,Gone\n")
    flask("sync", "User", "--rejects", "/dev/null", "--max-delete", "100%", file=text, name=name, status=2)
    assert agent.names() == ["B", "Joe Johnson"]


def test_a_column_is_named_once(flask):
    twice = ("--column", "Tel=phoneNumber", "--column", "tel=employeeId")
    assert "names a column twice" in flask("sync", "User", *twice, file="Tel,userName\n1,a\n", status=1)


def test_a_contact_may_be_called_as_a_column_is(flask, agent):
    flask("import", file="name,phoneNumber\nname,1\nphoneNumber,phoneNumber\n#TYPE x,2\nsep=;,3\n")
    assert agent.names() == ["#TYPE x", "name", "phoneNumber", "sep=;"]
    assert agent.names(phoneNumber="1") == ["name"]


def test_cells_that_are_missing_at_the_end_are_blank(flask, agent):
    flask("sync", "User", file="userName,name,phoneNumber,employeeId\na,Ann\nb,Bob,1\nc,Cid,2,E-1,,\n")
    assert [len(contact) for contact in agent.get("/contacts").json["contacts"]] == [4, 5, 6]


def test_a_last_line_without_end_and_cells_may_be_cut_off(flask):
    output = flask("sync", "User", file="userName,name,phoneNumber\na,Ann,1\nb,Bo", status=1)
    assert "line 3: the last line has no end. Has 2 cells, and the header has 3. Is the file cut off?" in output
    rejects = ("--rejects", "/dev/null")
    assert "cut off" in flask("sync", "User", *rejects, file="userName,name,phoneNumber\na,Ann,1\nb,Bo", status=1)


# Columns under other names.


def test_a_column_is_read_under_another_name(flask, agent):
    text = "Login,Voll Name,Tel,name\na,Ann,1,x\n"
    columns = ("--column", "login=userName", "--column", "Voll_Name=name", "--column", "TEL=phoneNumber")
    flask("sync", "User", *columns, file=text)
    (contact,) = agent.get("/contacts?fields=userName,name,phoneNumber").json["contacts"]
    assert contact == {"userName": "a", "name": "Ann", "phoneNumber": "1"}


@pytest.mark.parametrize("name", ["a.json", "a.ndjson"])
def test_so_are_members_of_json(name, flask, agent):
    contact = {"Login": "a", "displayName": "Ann", "mail": "x", "cn": "Not Ann"}
    text = json.dumps([contact]) if name == "a.json" else json.dumps(contact)
    output = flask("sync", "User", "--column", "login=userName", "--ignore-extra", file=text, name=name)
    assert output.startswith("left out: mail\n")
    assert agent.names() == ["Ann"]


def test_a_column_without_a_name_may_be_read_or_left_out(flask, agent):
    text = '"","userName","name"\n"1","a","Ann"\n'  # as R writes it
    assert "the column '' is not known" in flask("sync", "User", file=text, status=1)
    assert "1 added" in flask("sync", "User", "--column", "=", file=text)
    assert flask("sync", "User", "--column", "=employeeId", file=text).startswith("User: 0 added, 1 changed")
    assert flask("sync", "User", "--ignore-extra", file=text).startswith("left out: ''\n")


@pytest.mark.parametrize(
    ("name", "option"),
    [("Owner's phone", """'Owner'"'"'s phone=ATTRIBUTE'"""), ('"Business\nPhone"', "'Business Phone=ATTRIBUTE'")],
)
def test_advice_on_a_column_can_be_followed(name, option, flask, agent):
    text = f"name,{name}\nAnn,5\n"
    output = flask("import", file=text, status=1)
    assert output.count("\n") == 1
    assert f" --column {option} reads it" in output.replace("(", " ")
    flask("import", "--column", shlex.split(option)[0].replace("ATTRIBUTE", "phoneNumber"), file=text)
    assert agent.names(phoneNumber="5") == ["Ann"]


@pytest.mark.parametrize("option", ["Tel", "Tel=number", "Tel=Phone", ""])
def test_a_column_that_is_none_is_refused(option, flask):
    assert "is no COLUMN=attribute" in flask("import", "--column", option, file="name\na\n", status=1)


@pytest.mark.parametrize(("name", "text"), [("a.csv", "name\nAnn\n"), ("a.json", '[{"name":"Ann"}]')])
def test_a_named_column_that_is_not_there_changes_nothing(name, text, flask, agent):
    output = flask("import", "--column", "Tel=phoneNumber", file=text, name=name, status=1)
    assert "there is no column Tel; there are: name" in output
    assert agent.names() == []


def test_an_unknown_column_says_how_to_read_it(flask):
    output = flask("import", file="name,Phone\nAnn,1\n", status=1)
    assert "the column 'Phone' is not known" in output
    assert "--column Phone=ATTRIBUTE" in output


def test_columns_that_are_left_out_are_named(flask):
    output = flask("import", "--ignore-extra", file="name,Phone,Mobile\nAnn,1,2\n")
    assert output.startswith("left out: Phone, Mobile\n")


def test_of_several_columns_for_an_attribute_the_first_with_a_value_counts(flask, agent):
    text = "uid,sAMAccountName,cn,name,displayName\na,b,c,,e\nf,,c,n,\n"
    flask("sync", "User", file=text)
    contacts = agent.get("/contacts?fields=userName,name").json["contacts"]
    assert contacts == [{"userName": "b", "name": "e"}, {"userName": "f", "name": "n"}] or contacts == contacts[::-1]
    assert sorted(each["userName"] + each["name"] for each in contacts) == ["be", "fn"]


# Who is who.

FIRST = "userName,name,employeeId\nann,Ann,1\nbob,Bob,2\ncid,Cid,\n"


@pytest.fixture
def ids(flask, agent):
    """The ids of three Users, by name."""
    flask("sync", "User", file=FIRST)
    return {each["name"]: each["id"] for each in agent.get("/contacts").json["contacts"]}


def now(agent):
    return {each["id"]: (each["userName"], each.get("employeeId")) for each in agent.get("/contacts").json["contacts"]}


def test_a_login_that_changes_stays_the_same_contact(flask, agent, ids):
    text = "userName,name,employeeId\nann.new,Ann,1\nbob,Bob,2\ncid,Cid,3\n"
    output = flask("sync", "User", "--match", "employeeId", file=text)
    assert output.startswith("matched: 0 by id, 2 by employeeId, 1 by userName\nUser: 0 added, 2 changed, 0 removed")
    assert now(agent) == {ids["Ann"]: ("ann.new", "1"), ids["Bob"]: ("bob", "2"), ids["Cid"]: ("cid", "3")}


def test_logins_may_change_hands(flask, agent, ids):
    text = "userName,name,employeeId\nbob,Ann,1\nann,Bob,2\ncid,Cid,\n"
    flask("sync", "User", "--match", "employeeId", file=text)
    assert now(agent) == {ids["Ann"]: ("bob", "1"), ids["Bob"]: ("ann", "2"), ids["Cid"]: ("cid", None)}


def test_somebody_else_who_gets_the_login_is_somebody_else(flask, agent, ids):
    text = "userName,name,employeeId\nann,Anton,9\nbob,Bob,2\ncid,Cid,\n"
    flask("sync", "User", "--match", "employeeId", file=text)
    found = now(agent)
    assert ids["Ann"] not in found
    assert sorted(found.values(), key=str) == [("ann", "9"), ("bob", "2"), ("cid", None)]


def test_an_id_tells_before_everything_else(flask, agent, ids):
    text = f"id,userName,name,employeeId\n{ids['Cid']},ann,Cid,1\n,bob,Bob,2\n"
    flask("sync", "User", "--match", "employeeId", "--max-delete", "1", file=text)
    assert now(agent) == {ids["Cid"]: ("ann", "1"), ids["Bob"]: ("bob", "2")}


def test_an_employee_id_twice_makes_bad_rows(flask, ids):
    text = "userName,name,employeeId\nann,Ann,1\nbob,Bob,1\ncid,Cid,\n"
    assert "line 2, employeeId: The same as on line 3." in flask(
        "sync", "User", "--match", "employeeId", file=text, status=1
    )
    assert "0 rejected" in flask("sync", "User", file=text)


def test_a_bad_row_protects_whom_it_names_by_any_key(flask, agent, ids):
    """By its employeeId, by its login, and against a good row that takes the login."""
    match = ("--match", "employeeId", "--rejects", "/dev/null")
    for text in (
        "userName,name,employeeId,phoneNumber\nann.new,Ann,1,4.93E+11\nbob,Bob,2,\ncid,Cid,,\n",
        "userName,name,employeeId,phoneNumber\nann,Ann,1,\nbob,Bob,1,\ncid,Cid,,\n",
        "userName,name,employeeId,phoneNumber\nann.new,Ann,1,4.93E+11\nann,New,3,\nbob,Bob,2,\ncid,Cid,,\n",
    ):
        flask("sync", "User", *match, file=text, status=2)
        assert set(now(agent)) == set(ids.values())


def test_of_contacts_with_one_employee_id_the_login_tells(flask, agent):
    flask("sync", "User", file="userName,name,employeeId\nann,Ann,0\nbob,Bob,0\n")
    before = now(agent)
    flask("sync", "User", "--match", "employeeId", file="userName,name,employeeId\nann,Ann,\nbob,Bob,0\n")
    assert now(agent) == {key: (login, None if login == "ann" else "0") for key, (login, _) in before.items()}
    flask("sync", "User", file="userName,name,employeeId\nann,Ann,0\nbob,Bob,0\n")
    text = "userName,name,employeeId\ncarl,Carl,0\nann,Ann,\nbob,Bob,\n"
    assert "line 2, employeeId: Several contacts have it" in flask(
        "sync", "User", "--match", "employeeId", file=text, status=1
    )


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_logins_that_rotate_in_several_transactions_keep_their_contacts(batch, flask, agent, monkeypatch):
    """At each moment there is everybody, and a run that is killed in between is completed by the next one."""
    people = [f"u{n},N{n},{n}" for n in range(7)]
    head = "userName,name,employeeId\n"
    flask("sync", "User", file=head + "\n".join(people) + "\n")
    before = {employee: key for key, (_, employee) in now(agent).items()}
    monkeypatch.setattr(sync, "MAX_DIFFERENCES_IN_ONE_TRANSACTION", 1)
    monkeypatch.setattr(sync, "DIFFERENCES_PER_TRANSACTION", batch)
    rotated = head + "\n".join(f"u{6 - n},N{n},{n}" for n in range(7)) + "\n"
    apply, calls = sync.apply_differences, []

    def killed(*args, **kwargs):
        calls.append(1)
        apply(*args, **kwargs)
        assert {employee: key for key, (_, employee) in now(agent).items()} == before
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(sync, "apply_differences", killed)
    flask("sync", "User", "--match", "employeeId", file=rotated, status=1)
    flask("sync", "User", "--match", "employeeId", file=rotated)
    assert {key: (f"u{6 - int(employee)}", employee) for employee, key in before.items()} == now(agent)
    assert agent.names(userName="u6") == ["N0"]


def test_queues_have_no_employee_id(flask):
    assert "for Users" in flask("sync", "Queue", "--match", "employeeId", file="name\nSales\n", status=1)


# What may go.


@pytest.mark.parametrize(
    ("users", "gone", "option", "status"),
    [
        (8, 1, [], 0),
        (8, 2, [], 1),
        (1, 1, [], 0),
        (30, 3, [], 0),
        (30, 4, [], 1),
        (8, 1, ["--max-delete", "1%"], 0),
        (8, 1, ["--max-delete", "0"], 1),
        (8, 1, ["--max-delete", "0%"], 1),
        (8, 2, ["--max-delete", "2"], 0),
        (8, 8, ["--max-delete", "100%"], 0),
    ],
)
def test_one_contact_may_always_go(users, gone, option, status, flask, agent):
    rows = [f"u{number},User {number}\n" for number in range(users)]
    flask("sync", "User", file="userName,name\n" + "".join(rows))
    output = flask("sync", "User", *option, file="userName,name\n" + "".join(rows[gone:]), status=status)
    assert ("--max-delete" in output) is (status == 1)
    assert len(agent.names()) == users - (0 if status else gone)


# Apostrophes.


def test_raw_leaves_them_out(flask, admin, tmp_path):
    admin.create("=1+1", "+49 30")
    admin.create("'quoted'", "-1")
    flask("export", str(tmp_path / "safe.csv"))
    flask("export", "--raw", str(tmp_path / "raw.csv"))
    assert "'=1+1" in (tmp_path / "safe.csv").read_text()
    assert ",=1+1," in (tmp_path / "raw.csv").read_text()
    assert ",+49 30" in (tmp_path / "raw.csv").read_text()
    for name in ("safe.csv", "raw.csv"):
        assert "0 added" in flask("import", str(tmp_path / name))


# LDIF.

ENTRY = "dn: uid=a,dc=x\nuid: a\ncn: Ann\n\n"
END = "# pagedresults: cookie=\n"
WHOLE = f"# extended LDIF\n\n{ENTRY}search: 2\nresult: 0 Success\n\n# numResponses: 2\n"
CUT = {
    "without an end": ENTRY,
    "nothing": "",
    "with another page": f"{ENTRY}# pagedresults: cookie=QUJD\n",
    "with an entry behind the end": ENTRY + END + "\n" + ENTRY,
    "failed": f"{ENTRY}search: 2\nresult: 4 Size limit exceeded\n",
    "cut in a page that was not the last": f"{ENTRY}# pagedresults: cookie=QUJD\n\nsearch: 2\nresult: 0 Success\n",
    "cut behind a page's end": f"{ENTRY}# pagedresults: cookie=",
    "cut in the last block": f"{ENTRY}search: 2\nresult: 0 Success\ncontrol: 1.2.840.113",
    "cut between lines of the last block": f"{ENTRY}search: 2\nresult: 0 Success\ncontrol: 1.2.840.113\n",
    "another answer before the end": f"# extended LDIF\n\n{ENTRY}{WHOLE}",
    "without its beginning": f"uid: a\ncn: A\n\n{ENTRY}{END}",
    "with a piece of an entry": f"{ENTRY}telephoneNumber: 123\n\n{END}",
    "two entries in one": f"{ENTRY.rstrip()}\n{ENTRY}{END}",
    "a change": f"dn: uid=a\nchangetype: delete\n\n{END}",
    "not LDIF": f"name,phone\n{END}",
    "a value in a file": f"dn: a\ncn:< file:///etc/passwd\n\n{END}",
    "not base64": f"dn: a\ncn:: ???\n\n{END}",
    "not even ASCII in base64": f"dn: a\ncn:: é\n\n{END}",
}


@pytest.mark.parametrize("case", CUT)
def test_an_answer_that_is_not_whole_changes_nothing(case, flask, agent, user):
    output = flask("sync", "User", "--max-delete", "100%", file=CUT[case], name="a.ldif", status=1)
    assert "nothing was changed" in output
    assert agent.names() == ["Joe Johnson"]


@pytest.mark.parametrize(
    "text",
    [
        ENTRY + END,
        f"version: 1\n\n{ENTRY}{END}",
        f"{ENTRY}search: 2\nresult: 0 Success\n\n# numResponses: 2\n",
        f"{WHOLE}\n{WHOLE.replace('uid: a', 'uid: b')}",
        f"{ENTRY}# pagedresults: cookie=QUJD\n\n{ENTRY.replace('uid: a', 'uid: b')}{END}",
        (ENTRY + END).replace("\n", "\r\n"),
        (ENTRY + END).replace("dn:", "DN:"),
        f"{ENTRY.rstrip()}\nmemberOf;range=0-1499: x\n\n{END}",
        ENTRY.replace("cn: Ann", "cn: A\n nn") + END,
        f"{ENTRY}ref: ldap://x/\n\n{END}",
    ],
)
def test_whole_answers(text, flask, agent):
    flask("sync", "User", file=text, name="a.ldif")
    assert set(agent.names()) == {"Ann"}


def test_values_of_ldif_that_are_no_text_make_a_bad_row(flask):
    text = f"dn: a\nuid: a\ncn:: /w==\njpegPhoto:: /w==\n\n{END}"
    output = flask("sync", "User", "--ignore-extra", file=text, name="a.ldif", status=1)
    assert "line 1, row: cn is not text." in output


@pytest.mark.parametrize(
    ("written", "contact_id"),
    [
        (": ABCDEFGHIJKLMNOP", "4443424146454847494a4b4c4d4e4f50"),
        (":: QUJDREVGR0hJSktMTU5PUA==", "4443424146454847494a4b4c4d4e4f50"),
        (": {6F9619FF-8B86-D011-B42D-00C04FC964FF}", GUID),
    ],
)
def test_an_object_guid_is_an_id(written, contact_id, flask, agent):
    flask("sync", "User", file=f"dn: a\nuid: a\ncn: Ann\nobjectGUID{written}\n\n{END}", name="a.ldif")
    assert agent.get("/contacts?fields=id").json["contacts"] == [{"id": contact_id}]


# LDAP URLs; tests/test_ldap.py has a real server.

URLS = {
    "ldaps://h/dc=x??sub?(uid=*)": ("ldaps://h", "dc=x", "sub", "(uid=*)", []),
    "ldap://h:1389/dc=x": ("ldap://h:1389", "dc=x", "sub", "(objectClass=*)", []),
    "LDAPS://[::1]:636/o=a%20b%2Cc?uid,cn?one?uid=a%3fb": (
        "ldaps://[::1]:636",
        "o=a b,c",
        "one",
        "(uid=a?b)",
        ["uid", "cn"],
    ),
    "ldaps://h/ou=%C5%81%C3%B3d%C5%BA,dc=x??BASE": ("ldaps://h", "ou=Łódź,dc=x", "base", "(objectClass=*)", []),
    "ldaps://h/dc=x??sub?(&(a=b)(!(c:1.2.840.113556.1.4.803:=2)))": (
        *("ldaps://h", "dc=x", "sub", "(&(a=b)(!(c:1.2.840.113556.1.4.803:=2)))", []),
    ),
}


@pytest.mark.parametrize("url", URLS)
def test_an_ldap_url_is_read(url):
    assert tuple(ldap.parse(url)) == URLS[url]


@pytest.mark.parametrize(
    "url",
    [
        *("ldaps://", "ldaps:///dc=x", "ldaps://h", "ldaps://h/", "ldaps://h/?uid", "ldap:dc=x", "ldaps://h:x/dc=x"),
        *(
            "ldaps://a:b@h/dc=x",
            "ldaps://-h x/dc=x",
            "ldaps://h/dc=x??all",
            "ldaps://h/dc=x?uid,-x",
            "ldaps://h:99999/dc=x",
        ),
        *(
            "ldaps://h/dc=x????!bindname=cn=x",
            "ldaps://h/dc=x#y",
            "ldaps://h;id/dc=x",
            "ldaps://[::1/dc=x",
            "ldaps://h/dc=a%00",
        ),
    ],
)
def test_what_is_no_ldap_url_is_refused_in_one_line(url, flask, agent):
    output = flask("sync", "User", url, status=1)
    assert output.count("\n") == 1
    assert "LDAP URL" in output


@pytest.mark.parametrize("option", ["--bind-dn", "--password-file", "--ca-file"])
def test_a_file_needs_no_login(option, flask, tmp_path):
    value = "cn=x" if option == "--bind-dn" else str(FILES / "gws.json")
    assert "are for LDAP servers" in flask("import", option, value, file="name\nAnn\n", status=1)


def test_no_argument_of_ldapsearch_is_an_option_of_its_own():
    search = ldap.parse("ldaps://h/-Z??sub?-x")
    arguments = ldap.command(search, "-w")
    assert "(-x)" in arguments
    assert arguments[arguments.index("-b") + 1] == "-Z"
    assert arguments[arguments.index("-D") + 1] == "-w"
    assert "-D" not in ldap.command(search, "")


def test_a_file_that_changes_while_it_is_read_is_refused(app, tmp_path):
    path = tmp_path / "users.csv"
    path.write_text("userName,name\n" + "".join(f"u{number},Name {number}\n" for number in range(5000)))
    reading = Reading("csv", Columns())
    with path.open("rb") as file:
        rows = files.read(file, reading)
        next(rows)
        with path.open("a") as other:
            other.write("late,Late\n")
        with pytest.raises(FileError, match="changed while it was read"):
            list(rows)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r"])
def test_a_last_line_without_its_end_is_warned_of(end, flask):
    output = flask("sync", "Queue", file=f"name,phoneNumber\nSales,8001\nPress,8002{end}", name="q.csv")
    assert "2 added" in output
    assert ("the last line has no end" in output) is (end == "")


def test_a_last_line_that_lacks_cells_and_its_end_is_refused(flask):
    output = flask("sync", "Queue", file="name,phoneNumber\nSales,8001\nPre", name="q.csv", status=1)
    assert "Is the file cut off?" in output
    assert flask("export", "-", "--format", "ndjson") == ""

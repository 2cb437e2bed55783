"""schema.sql: the models mirror it, its checks hold, and what it derives always agrees with the contacts."""

import json
import random
import sqlite3
import sys
import unicodedata
from itertools import count

import peewee
import pytest
from conftest import add

from contacts import database
from contacts.attributes import ATTRIBUTES, USER_ATTRIBUTES
from contacts.model import ROW_COLUMNS, Contact, Directory, LastSync, Token, row_of
from contacts.text import clean

MODELS = {"contact": Contact, "token": Token, "directory": Directory, "sync": LastSync}
TYPES = {
    peewee.AutoField: "INTEGER",
    peewee.IntegerField: "INTEGER",
    peewee.TextField: "TEXT",
    peewee.BlobField: "BLOB",
}
SCHEMA = database.SCHEMA.read_text(encoding="utf-8")


@pytest.fixture
def connection(app, path):
    """A connection to the database file that does not know the application."""
    opened = sqlite3.connect(path, isolation_level=None)
    yield opened
    opened.close()


@pytest.mark.parametrize("table", MODELS)
def test_model_mirrors_the_table(table, connection):
    fields = MODELS[table]._meta.sorted_fields
    laid_out = connection.execute(f"SELECT name, type, \"notnull\" OR pk, pk FROM pragma_table_xinfo('{table}')")
    assert {(field.column_name, TYPES[type(field)], not field.null, field.primary_key) for field in fields} == {
        (name, kind, bool(required), bool(key)) for name, kind, required, key in laid_out
    }
    unique = connection.execute(
        "SELECT column.name FROM pragma_index_list(?) AS list, pragma_index_info(list.name) AS column "
        "WHERE list.\"unique\" AND NOT partial AND origin <> 'pk'",
        (table,),
    )
    assert {field.column_name for field in fields if field.unique and not field.primary_key} == {
        name for (name,) in unique
    }


def test_every_table_is_known(connection):
    tables = {name for (name,) in connection.execute("SELECT name FROM pragma_table_list WHERE schema = 'main'")}
    shadows = {name for name in tables if name.startswith(("contact_search", "contact_vocabulary", "sqlite_"))}
    assert tables - shadows == {*MODELS}


def test_attributes_name_columns_of_the_model():
    names = {field.column_name for field in Contact._meta.sorted_fields}
    assert names == {"seq", *ROW_COLUMNS}
    assert {each.key_column for each in ATTRIBUTES.values()} | {
        each.order_column or each.key_column for each in ATTRIBUTES.values()
    } <= names


def test_file_carries_our_name_and_version(connection):
    assert connection.execute("PRAGMA user_version").fetchone() == (database.SCHEMA_VERSION,)
    assert f"version {database.SCHEMA_VERSION}." in database.SCHEMA.read_text(encoding="utf-8").splitlines()[0]
    assert connection.execute("PRAGMA application_id").fetchone() == (database.APPLICATION_ID,)
    assert database.APPLICATION_ID.to_bytes(4, "big") == b"Cont"


def dump(connection):
    """The whole file as SQL text, but for the shadow tables of the search index."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall()
    tables = ("contact", "directory", "token", "contact_search_data")
    return rows, [connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables]


def test_schema_can_be_applied_again(connection, custom, user, queue):
    before = dump(connection)
    for _ in range(2):
        connection.executescript(SCHEMA)
        assert dump(connection) == before


def test_schema_makes_by_itself_what_the_service_makes(connection):
    alone = sqlite3.connect(":memory:", isolation_level=None)
    alone.executescript(SCHEMA)
    assert dump(alone)[0] == dump(connection)[0]
    alone.close()


CUSTOM = {"type": "Custom", "name": "Some Contact"}
QUEUE = {"type": "Queue", "name": "Support"}
USER = {"type": "User", "name": "Jane Doe", "userName": "jane"}
USER_KEYS = [ATTRIBUTES[name].key_column for name in USER_ATTRIBUTES]


numbers = count(1)


def values(contact, **changes):
    """The columns of a new contact, as a write gives them, with some of them changed."""
    return {**row_of({"id": f"{next(numbers):032x}", **contact}), **changes}


def insert(connection, table, row):
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))


def update(connection, seq, row):
    changes = ", ".join(f"{name} = ?" for name in row)
    connection.execute(f"UPDATE contact SET {changes} WHERE seq = ?", [*row.values(), seq])


TOKEN = {"label": "desk", "role": "Agent", "sha256": bytes(32), "created": "2025-12-14T00:00:00+00:00"}


@pytest.fixture(scope="module")
def checked():
    """A database with one User and one Queue, made from schema.sql alone."""
    alone = sqlite3.connect(":memory:", isolation_level=None)
    alone.executescript(SCHEMA)
    insert(alone, "contact", values({**USER, "userName": "joej"}))
    insert(alone, "contact", values({**QUEUE, "name": "Sales"}))
    insert(alone, "token", TOKEN)
    yield alone
    alone.close()


ID = "0123456789abcdef0123456789abcdef"

BAD_CONTACTS = [
    *[values(CUSTOM, type=kind) for kind in ("Robot", "custom", "CUSTOM", "", None)],
    *[values(kind, **{key: "x"}) for kind in (CUSTOM, QUEUE) for key in USER_KEYS],
    *[values({**CUSTOM, "phoneNumber": "1"}, **{key: None}) for key in ("phone_key", "phone_order")],
    *[values(CUSTOM, **{key: "x"}) for key in ("phone_key", "phone_order")],
    values(USER, user_name_key=None),
    values(USER, type="Custom"),
    values(CUSTOM, type="User"),
    *[values(CUSTOM, name_key=key) for key in (None, "", b"some contact")],
    *[values(CUSTOM, **{column: None}) for column in ("words", "texts", "json")],
    values(CUSTOM, seq="one"),
    *[values({**CUSTOM, "id": each}) for each in ("", ID[1:], f"{ID}0", ID.upper(), f"{ID[1:]}g", f"{ID[1:]}-")],
    values(CUSTOM, id=None),
    values(CUSTOM, id=ID),  # another one than that of the JSON
    *[values(CUSTOM, json=json) for json in ("{}", "null", f'{{"id":"{ID}","type":"Custom"}}')],
    values({**USER, "userName": "JoeJ"}),
    values({**QUEUE, "name": "SALES"}),
]


@pytest.mark.parametrize("row", BAD_CONTACTS, ids=lambda row: str({k: v for k, v in row.items() if v})[:80])
def test_bad_contact_is_refused(row, checked):
    before = dump(checked)
    with pytest.raises(sqlite3.IntegrityError):
        insert(checked, "contact", row)
    assert dump(checked) == before


@pytest.mark.parametrize(
    "row",
    [
        values(CUSTOM),
        values({**CUSTOM, "name": "x" * 255, "phoneNumber": "1" * 64}),
        values({**CUSTOM, "name": "\U0001f600" * 255, "phoneNumber": "\U0001f600" * 64}),
        values({**CUSTOM, "name": "Sales"}),
        values({**USER, "name": "Sales"}),
        values({**CUSTOM, "phoneNumber": "-"}),
        values({**QUEUE, "phoneNumber": "8001"}),
        values({**USER, "firstName": "Jane", "lastName": "Doe", "employeeId": "7"}),
        values({**USER, **dict.fromkeys(("name", "userName", "firstName", "lastName", "employeeId"), "x" * 255)}),
    ],
    ids=lambda row: f"{row['type']} {row['name_key'][:20]}",
)
def test_good_contact_is_taken(row, checked):
    checked.execute("BEGIN")
    insert(checked, "contact", row)
    checked.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("table", "row"),
    [
        *[("token", {**TOKEN, "sha256": bytes(31) + b"x", "label": label}) for label in (None, "", "x" * 65, "desk")],
        *[
            ("token", {**TOKEN, "label": "x", "sha256": digest})
            for digest in (None, b"", bytes(31), bytes(32), "x" * 32)
        ],
        *[
            ("token", {**TOKEN, "label": "x", "sha256": b"x" * 32, "role": role})
            for role in (None, "", "Boss", "agent")
        ],
        ("token", {**TOKEN, "label": "x", "sha256": b"x" * 32, "created": None}),
        ("directory", {"one": 1, "revision": 1, "customs": 0, "queues": 0, "users": 0, "numbering_plan": ""}),
        ("directory", {"one": 2, "revision": 1, "customs": 0, "queues": 0, "users": 0, "numbering_plan": ""}),
    ],
)
def test_bad_token_or_second_directory_is_refused(table, row, checked):
    with pytest.raises(sqlite3.IntegrityError):
        insert(checked, table, row)


def test_good_token_is_taken(checked):
    checked.execute("BEGIN")
    insert(checked, "token", {**TOKEN, "label": "x" * 64, "role": "Contact Center Admin", "sha256": b"x" * 32})
    checked.execute("ROLLBACK")


@pytest.mark.parametrize("counter", ["revision", "customs", "queues", "users"])
def test_counters_are_never_absent_or_negative(counter, checked):
    for value in ("NULL", "-1", "'x'"):
        if (counter, value) != ("revision", "-1"):
            with pytest.raises(sqlite3.IntegrityError):
                checked.execute(f"UPDATE directory SET {counter} = {value}")


@pytest.mark.parametrize(
    "change",
    [
        "seq = seq + 100",
        "type = 'Queue'",
        "type = 'User', user_name_key = 'x'",
        "id = '00000000000000000000000000000000'",
    ],
)
def test_id_and_type_are_fixed(change, connection, custom):
    before = dump(connection)
    with pytest.raises(sqlite3.DatabaseError, match="fixed at creation"):
        connection.execute(f"UPDATE contact SET {change} WHERE id = ?", (custom["id"],))
    assert dump(connection) == before


def counted(connection):
    """The real counts, in the order of the counters."""
    return connection.execute(
        "SELECT count(*) FILTER (WHERE type = 'Custom'), count(*) FILTER (WHERE type = 'Queue'), "
        "count(*) FILTER (WHERE type = 'User') FROM contact"
    ).fetchone()


def check_index(connection):
    """Raise sqlite3.DatabaseError when the search index is damaged or differs from the contacts."""
    connection.execute("INSERT INTO contact_search (contact_search, rank) VALUES ('integrity-check', 1)")


WORDS = ["Anna", "Ångström", "Жук", "O'Neill", "李小龍", "x", "Müller-Lüdenscheidt", "\U0001f600", 'a"b', "12"]


def test_counters_and_search_index_follow_every_change(connection):
    chance = random.Random(7)
    seen, serial = [], 0

    def contact(kind):
        text = " ".join(chance.sample(WORDS, chance.randint(1, 4)))
        number = {"phoneNumber": str(chance.randint(1, 99999))} if chance.random() < 0.5 else {}
        if kind == "User":
            return {"type": kind, "name": text, "userName": f"u{serial}", "firstName": chance.choice(WORDS), **number}
        return {"type": kind, "name": f"{text} {serial}" if kind == "Queue" else text, **number}

    connection.execute("BEGIN")
    for serial in range(600):
        before = connection.execute("SELECT revision FROM directory").fetchone()
        rows = connection.execute("SELECT seq, type, json FROM contact").fetchall()
        action = chance.choice(["add", "add", "add", "change", "touch", "remove", "remove many"])
        changed = True
        if action == "add" or not rows:
            insert(connection, "contact", values(contact(chance.choice(["Custom", "Queue", "User"]))))
        elif action == "change":
            seq, kind, old = chance.choice(rows)
            update(connection, seq, values({**contact(kind), "id": json.loads(old)["id"]}))
            changed = connection.execute("SELECT json FROM contact WHERE seq = ?", (seq,)).fetchone() != (old,)
        elif action == "touch":
            connection.execute("UPDATE contact SET name_key = name_key")
            changed = False
        elif action == "remove":
            connection.execute("DELETE FROM contact WHERE seq = ?", (chance.choice(rows)[0],))
        else:
            connection.execute("DELETE FROM contact WHERE seq IN (SELECT seq FROM contact ORDER BY seq LIMIT 3)")
        revision, *counters = connection.execute("SELECT revision, customs, queues, users FROM directory").fetchone()
        assert tuple(counters) == counted(connection), action
        assert (revision > before[0]) is changed, action
        if not serial % 50:
            check_index(connection)
        seen.append(action)
    connection.execute("COMMIT")
    check_index(connection)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert set(seen) == {"add", "change", "touch", "remove", "remove many"}
    connection.execute("DELETE FROM contact")
    assert connection.execute("SELECT customs, queues, users FROM directory").fetchone() == (0, 0, 0)
    assert connection.execute("SELECT count(*) FROM contact_search('\"a\" *')").fetchone() == (0,)
    check_index(connection)


@pytest.mark.parametrize(
    "damage",
    [
        "INSERT INTO contact_search (rowid, words) VALUES (999, 'nobody')",
        "INSERT INTO contact_search (contact_search, rowid, words) SELECT 'delete', seq, words FROM contact LIMIT 1",
    ],
)
def test_check_of_the_search_index_sees_damage(damage, connection, custom, user):
    check_index(connection)
    connection.execute(damage)
    with pytest.raises(sqlite3.DatabaseError):
        check_index(connection)


def test_rolled_back_changes_leave_no_trace(connection, custom):
    before = dump(connection)
    connection.execute("BEGIN")
    insert(connection, "contact", values(USER))
    connection.execute("UPDATE contact SET name_key = 'x', words = 'x'")
    connection.execute("DELETE FROM contact WHERE type = 'Custom'")
    connection.execute("ROLLBACK")
    assert dump(connection) == before
    check_index(connection)


def test_json_holds_every_character_of_unicode(connection):
    # Of Chinese characters and Korean syllables, each 64th: there are 100,000, which are all alike.
    alike = range(0x3400, 0xA000), range(0xAC00, 0xD7B0), range(0x20000, 0x32000)
    codes = (code for code in range(sys.maxunicode + 1) if code % 64 == 0 or not any(code in each for each in alike))
    allowed = map(chr, codes)
    text = "".join(c for c in allowed if unicodedata.category(c) not in {"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})
    texts = [clean(f"a{text[start : start + 80]}a", 255) for start in range(0, len(text), 80)]
    connection.execute("BEGIN")
    for number, value in enumerate(texts):
        contact = {"name": f'{value}"\\', "phoneNumber": f"1 {value[:60]}".strip(), "lastName": value}
        insert(connection, "contact", values({**contact, "type": "User", "userName": f"{number} {value}"}))
    read = [json.loads(row[0]) for row in connection.execute("SELECT json FROM contact ORDER BY seq")]
    assert [each["lastName"] for each in read] == texts
    check_index(connection)
    connection.execute("ROLLBACK")


def test_keys_are_those_of_the_values(connection, user, queue, custom):
    add(type="User", name="STRASSE Ж", userName="ÅNGSTRÖM", firstName="İ", lastName="ǅ", employeeId="E-1")
    connection.row_factory = sqlite3.Row
    for row in connection.execute("SELECT * FROM contact"):
        contact = json.loads(row["json"])
        for name, attribute in ATTRIBUTES.items():
            assert row[attribute.key_column] == (attribute.make_key(contact[name]) if name in contact else None)

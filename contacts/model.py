"""The tables of schema.sql as peewee models, and the statements that write contacts."""

import json
import secrets
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import peewee

from contacts.attributes import ATTRIBUTES, ID, SEARCHED
from contacts.database import MAX_STATEMENTS, Compiled, Table, parameter
from contacts.search import search_columns
from contacts.text import order_key
from contacts.transactions import write_transaction

# The columns that a write sets; row_of() makes their values.
_columns = [column for each in ATTRIBUTES.values() for column in (each.key_column, each.order_column) if column]
ROW_COLUMNS = (*dict.fromkeys(_columns), "words", "texts", "json")
REQUIRED = {"words", "texts", "json", *(each.key_column for each in ATTRIBUTES.values() if each.required)}
UNIQUE = {each.key_column for each in ATTRIBUTES.values() if each.unique}
TextField: Any = peewee.TextField  # whose types say nothing of a null that is computed
_fields = {each: TextField(null=each not in REQUIRED, unique=each in UNIQUE) for each in ROW_COLUMNS}

# A contact of the directory: its JSON, and what it is found and sorted by. The database makes seq.
Contact: Any = type("Contact", (Table,), {"seq": peewee.AutoField(), **_fields})


class ContactSearch(Table):
    """The index of the contacts' words: https://www.sqlite.org/fts5.html."""

    seq = peewee.AutoField(column_name="rowid")
    match = peewee.TextField(column_name="contact_search")  # the column that is compared with a question by MATCH


class Token(Table):
    """A bearer token: its SHA-256, whose it is and what it may do."""

    label = peewee.TextField(primary_key=True)
    role = peewee.TextField()
    sha256 = peewee.BlobField(unique=True)
    created = peewee.TextField()


class Directory(Table):
    """The one row about the directory as a whole, kept by triggers."""

    one = peewee.IntegerField(primary_key=True)
    revision = peewee.IntegerField()
    customs = peewee.IntegerField()
    queues = peewee.IntegerField()
    users = peewee.IntegerField()
    numbering_plan = peewee.TextField()


class LastSync(Table):
    """The last sync of a type, for /metrics."""

    type = peewee.TextField(primary_key=True)
    finished = peewee.IntegerField()  # seconds since 1970
    failed = peewee.IntegerField()
    added = peewee.IntegerField()
    changed = peewee.IntegerField()
    removed = peewee.IntegerField()
    rejected = peewee.IntegerField()

    class Meta:
        table_name = "sync"


ContactRow = dict[str, str | None]  # the values of ROW_COLUMNS by column

encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def row_of(contact: Mapping[str, str]) -> ContactRow:
    """Return the row of a contact in the API's terms, whose values are clean, with its id and type."""
    values = {name: contact[name] for name in ATTRIBUTES if name in contact}
    row: ContactRow = dict.fromkeys(ROW_COLUMNS)
    for name, value in values.items():
        attribute = ATTRIBUTES[name]
        row[attribute.key_column] = attribute.make_key(value)
        if attribute.order_column:
            row[attribute.order_column] = order_key(value)
    searched = [(mark, values[name]) for name, mark in SEARCHED.items() if name in values]
    return row | search_columns(searched, values.get("phoneNumber", "")) | {"json": encode_json(values)}


JSON = Contact.json.cast("BLOB").alias("json")  # as bytes: decoding the text would only be undone
IDENTIFIED = Contact.id == parameter("id")
UNCHANGED = IDENTIFIED & (Contact.json == parameter("known_json"))  # optimistic lock: not since it was read

FIND = Compiled(Contact.select(JSON).where(IDENTIFIED))
FIND_ROW = Compiled(Contact.select().where(IDENTIFIED))
NEW_ROW = Contact.insert({column: parameter(column) for column in ROW_COLUMNS})
CREATE = Compiled(NEW_ROW)
ADD = Compiled(NEW_ROW.on_conflict_ignore())
REMOVE = Compiled(Contact.delete().where(IDENTIFIED))
REMOVE_UNCHANGED = Compiled(Contact.delete().where(UNCHANGED))
# What no two contacts of a type share. Whoever has a key that another contact takes gets one that nobody can have,
# until the sync comes to its own row.
UNIQUE_KEYS = {"User": "user_name_key", "Queue": "name_key"}
PARKED = peewee.Value("\x01").concat(Contact.id)
PARK_HOLDER = {
    type_: Compiled(Contact.update({key: PARKED}).where(Contact.type == type_, getattr(Contact, key) == parameter(key)))
    for type_, key in UNIQUE_KEYS.items()
}


@lru_cache(maxsize=MAX_STATEMENTS)
def update_statement(columns: tuple[str, ...]) -> Compiled:
    """Return the statement that sets these columns of a contact."""
    return Compiled(Contact.update({column: parameter(column) for column in columns}).where(UNCHANGED))


def differing(old: ContactRow, new: ContactRow) -> ContactRow:
    """Return the columns of a new row that differ: SQLite writes every index of a column that is set."""
    return {column: value for column, value in new.items() if value != old[column]}


def new_id() -> str:
    """Return an id that nobody has or can guess."""
    return secrets.token_hex(16)


def find(contact_id: str) -> bytes | None:
    """Return a contact's JSON, or None if there is none with this id; text that is no id names none."""
    rows = FIND.rows({"id": contact_id}) if ID.fullmatch(contact_id) else []
    return rows[0]["json"] if rows else None


def create(contact: Mapping[str, str]) -> tuple[str, bytes]:
    """Add a contact in the API's terms; return its id and JSON, once they are on disk."""
    row = row_of({**contact, "id": new_id()})
    with write_transaction():
        CREATE.execute(row)
    return str(row["id"]), str(row["json"]).encode()


def change(old: Mapping[str, str], new: Mapping[str, str], known_json: bytes) -> bytes | None:
    """Change a contact; return its JSON, once it is on disk, or None if the contact is not `known_json` any more."""
    row = row_of(new)
    changes = differing(row_of(old), row)
    statement = update_statement(tuple(changes))
    with write_transaction():
        done = statement.execute({**changes, "id": old["id"], "known_json": known_json.decode()}).rowcount
    return str(row["json"]).encode() if done else None


def remove(contact_id: str, known_json: bytes) -> bool:
    """Remove a contact; return False if it is not `known_json` any more."""
    with write_transaction():
        done = REMOVE_UNCHANGED.execute({"id": contact_id, "known_json": known_json.decode()}).rowcount
    return bool(done)


def apply_differences(
    database: peewee.SqliteDatabase, removed: Iterable[str], changed: Iterable[ContactRow], added: Iterable[ContactRow]
) -> None:
    """Write the differences of a sync in one transaction: ids to remove, rows of contacts with these ids, and new rows.

    A userName or queue's name may be that of another contact, which gets its own in this transaction or a later one.
    Changed rows are of Users or Queues: an import changes nothing.
    """
    updates: dict[tuple[str, ...], list[ContactRow]] = {}
    taking = []
    for row in changed:
        for known in FIND_ROW.rows(row, database):
            changes = differing(known, row)
            updates.setdefault(tuple(changes), []).append({**changes, "id": row["id"], "known_json": known["json"]})
            if UNIQUE_KEYS[known["type"]] in changes:
                taking.append(row)
    with write_transaction(database):
        REMOVE.execute_many(database, ({"id": each} for each in removed))
        for row in taking:
            PARK_HOLDER[str(row["type"])].execute(row, database)
        for columns, values in updates.items():
            update_statement(columns).execute_many(database, values)
        ADD.execute_many(database, added)

"""The attributes of a contact, the tables of schema.sql as peewee models, and the statements that write contacts."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import peewee

from contacts.database import Compiled, db, parameter, write_transaction
from contacts.text import fold, number_key, plain_text, search_text

TYPES = ("Custom", "Queue", "User")


class Attribute(NamedTuple):
    """What an attribute is; schemas, filters, sorts, files and the document are made from it."""

    name: str  # in the API and in files
    column: str
    key_column: str  # the column that filters and sorts compare
    make_key: Callable[[str], str]  # from a value to its key
    max_length: int  # characters
    types: tuple[str, ...]  # the types of contacts that have it
    description: str
    example: str
    required: bool = False
    client_writes: bool = False  # clients write it on Custom contacts
    searched_as_name: bool = False  # q and filterParameters look into it


USER = ("User",)

# In the order of the JSON. The id begins with the number of the row (seq), so a sort by seq is a sort by id.
_TABLE = [
    Attribute(
        *("id", "id", "seq", str.lower, 32, TYPES),
        *("Identifies the contact; it never changes.", "00000000006a0b3eb57387d2b79d756c"),
        required=True,
    ),
    Attribute(
        *("name", "name", "name_key", fold, 255, TYPES),
        *("The name of a queue, or a user's first and last name.", "Joe Johnson"),
        required=True,
        client_writes=True,
        searched_as_name=True,
    ),
    Attribute(*("type", "type", "type", str.capitalize, 6, TYPES), "What the contact is.", "User", required=True),
    Attribute(
        *("phoneNumber", "phone_number", "phone_key", number_key, 64, TYPES),
        *("The number at which the contact is reached, as it was written.", "15002"),
        client_writes=True,
    ),
    Attribute(
        *("userName", "user_name", "user_name_key", fold, 255, USER),
        *("The name with which a User logs in.", "joej"),
        searched_as_name=True,
    ),
    Attribute(
        *("firstName", "first_name", "first_name_key", fold, 255, USER),
        *("A User's first name.", "Joe"),
        searched_as_name=True,
    ),
    Attribute(
        *("lastName", "last_name", "last_name_key", fold, 255, USER),
        *("A User's last name.", "Johnson"),
        searched_as_name=True,
    ),
    Attribute(*("employeeId", "employee_id", "employee_id_key", fold, 255, USER), "A User's employee ID.", "E-1000"),
]
ATTRIBUTES = {attribute.name: attribute for attribute in _TABLE}

# The attributes that have a value of their own beside id and type: files bring them, and each has a key column.
VALUES = {name: attribute for name, attribute in ATTRIBUTES.items() if name not in {"id", "type"}}
USER_ATTRIBUTES = tuple(name for name, attribute in VALUES.items() if attribute.types == ("User",))
NAME_ATTRIBUTES = tuple(name for name, attribute in VALUES.items() if attribute.searched_as_name)
CLIENT_ATTRIBUTES = tuple(name for name, attribute in VALUES.items() if attribute.client_writes)

VALUE_COLUMNS = tuple(attribute.column for attribute in VALUES.values())
KEY_COLUMNS = tuple(attribute.key_column for attribute in VALUES.values())
SEARCH_COLUMNS = ("search_names", "search_number", "plain_names", "plain_number")

# The columns that a write sets; row_of() makes their values.
ROW_COLUMNS = ("type", *VALUE_COLUMNS, *KEY_COLUMNS, *SEARCH_COLUMNS)

REQUIRED_COLUMNS = {"type", "name", "name_key", "search_names"}
UNIQUE_COLUMNS = {"user_name_key"}


class Table(peewee.Model):
    """A table of schema.sql."""

    class Meta:
        database = db


def text_column(name: str) -> Any:
    """Return the field of a column that a write sets."""
    options: dict[str, Any] = {"null": name not in REQUIRED_COLUMNS, "unique": name in UNIQUE_COLUMNS}
    return peewee.TextField(**options)


# The database makes seq, salt, id and json.
Contact: Any = type(
    "Contact",
    (Table,),
    {
        "__module__": __name__,
        "__doc__": "A contact of the directory, with a column for each attribute and one for its key.",
        "seq": peewee.AutoField(),
        "salt": peewee.TextField(),
        "id": peewee.TextField(),
        **{column: text_column(column) for column in ROW_COLUMNS},
        "json": peewee.TextField(),
    },
)


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


# A contact's row: the values of ROW_COLUMNS by column.
Row = dict[str, str | None]


def row_of(contact: Mapping[str, str]) -> Row:
    """Return the row of a contact in the API's terms, whose values are clean, in the order of ROW_COLUMNS."""
    row: Row = {"type": contact["type"]}
    for name, attribute in VALUES.items():
        row[attribute.column] = contact.get(name)
    for name, attribute in VALUES.items():
        value = contact.get(name)
        row[attribute.key_column] = attribute.make_key(value) if value else None
    names = [key for name in NAME_ATTRIBUTES if (key := row[VALUES[name].key_column])]
    numbers = [key for key in (row["phone_key"],) if key is not None]
    row["search_names"] = search_text(names)
    row["search_number"] = search_text(numbers) if numbers else None
    row["plain_names"] = plain_text(names)
    row["plain_number"] = plain_text(numbers)
    return row


class Location(NamedTuple):
    """Where a contact's row is, without an index: an id is the number of the row and its salt."""

    seq: int
    salt: str


def locate(contact_id: str) -> Location:
    """Return where the contact with an id is; for text that is no id, a place where no row is."""
    number = row_number(contact_id)
    return Location(number, contact_id[12:] if number >= 0 else "")


def row_number(contact_id: str) -> int:
    """Return the number of the row that an id begins with, or -1 for text that is no id."""
    if len(contact_id) != 32 or contact_id.strip("0123456789abcdef"):
        return -1
    return int(contact_id[:12], 16)


JSON = Contact.json.cast("BLOB").alias("json")  # as bytes: decoding the text would only be undone
LOCATED = (Contact.seq == parameter("seq")) & (Contact.salt == parameter("salt"))
UNCHANGED = Contact.json == parameter("known_json")

FIND = Compiled(Contact.select(JSON).where(LOCATED))
FIND_ROW = Compiled(Contact.select(*(getattr(Contact, column) for column in ROW_COLUMNS)).where(LOCATED))
NEW_ROW = Contact.insert({column: parameter(column) for column in ROW_COLUMNS})
CREATE = Compiled(NEW_ROW.returning(Contact.id, JSON))
ADD = Compiled(NEW_ROW.on_conflict_ignore())
REMOVE = Compiled(Contact.delete().where(LOCATED))
REMOVE_UNCHANGED = Compiled(Contact.delete().where(LOCATED & UNCHANGED).returning(Contact.seq))


@lru_cache(maxsize=256)
def update_statement(columns: tuple[str, ...], if_unchanged: bool) -> Compiled:
    """Return the statement that sets these columns of a contact."""
    update = Contact.update({column: parameter(column) for column in columns})
    if if_unchanged:
        return Compiled(update.where(LOCATED & UNCHANGED).returning(JSON))
    return Compiled(update.where(LOCATED))


def differing(old: Row, new: Row) -> Row:
    """Return the columns of a new row that differ: SQLite writes every index of a column that is set."""
    return {column: value for column, value in new.items() if value != old[column]}


def find(contact_id: str) -> bytes | None:
    """Return a contact's JSON, or None if there is none with this id."""
    rows = FIND.rows(locate(contact_id)._asdict())
    return rows[0]["json"] if rows else None


def create(contact: Mapping[str, str]) -> tuple[str, bytes]:
    """Add a contact in the API's terms; return its id and JSON, once they are on disk."""
    row = row_of(contact)
    with write_transaction():
        made = CREATE.rows(row)[0]
    return made["id"], made["json"]


def change(contact_id: str, known_json: bytes, old: Mapping[str, str], new: Mapping[str, str]) -> bytes | None:
    """Change a contact; return its JSON, once it is on disk.

    Optimistic lock: return None and change nothing if the contact is not `known_json` any more.
    """
    changes = differing(row_of(old), row_of(new))
    statement = update_statement(tuple(changes), if_unchanged=True)
    with write_transaction():
        rows = statement.rows({**changes, **locate(contact_id)._asdict(), "known_json": known_json.decode()})
    return rows[0]["json"] if rows else None


def remove(contact_id: str, known_json: bytes) -> bool:
    """Remove a contact; return whether it was removed, by the optimistic lock of change()."""
    with write_transaction():
        return bool(REMOVE_UNCHANGED.rows({**locate(contact_id)._asdict(), "known_json": known_json.decode()}))


def apply_differences(
    database: peewee.SqliteDatabase,
    removed: Iterable[str],
    changed: Mapping[str, Mapping[str, str]],
    added: Iterable[Mapping[str, str]],
) -> None:
    """Write the differences of a sync in one transaction: ids to remove, contacts by id, and new contacts.

    Each statement does nothing where another run has done its work. All that can be computed is, before the lock.
    """
    updates: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for contact_id, contact in changed.items():
        location, new = locate(contact_id)._asdict(), row_of(contact)
        rows = FIND_ROW.rows(location, database)
        if rows and (changes := differing(rows[0], new)):
            updates.setdefault(tuple(changes), []).append(changes | location)
    new_rows = [row_of(contact) for contact in added]
    with write_transaction(database):
        REMOVE.execute_many(database, (locate(contact_id)._asdict() for contact_id in removed))
        for columns, values in updates.items():
            update_statement(columns, if_unchanged=False).execute_many(database, values)
        ADD.execute_many(database, new_rows)


def entity_tag(json: bytes) -> str:
    """Return the ETag of one contact, without quotes: a digest of what the client sees."""
    return blake2b(json, digest_size=8).hexdigest()

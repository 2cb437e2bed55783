"""The contact and the bearer token, as schema.sql lays them out, and the rules of a contact's values."""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import NamedTuple

import peewee

from contacts.database import db
from contacts.text import fold, number_key, plain_text, search_text

TYPES = ("Custom", "Queue", "User")


class Attribute(NamedTuple):
    """Where an attribute is kept, and how it is compared."""

    column: str
    key: str  # the column that filters and sorts look at
    fold: Callable[[str], str]  # a value to what that column holds
    longest: int  # characters


# By the name in the API, in the order of the JSON. The id begins with the row's number (seq), so that
# a sort by the one is a sort by the other.
ATTRIBUTES = {
    "id": Attribute("id", "seq", str.lower, 32),
    "name": Attribute("name", "name_key", fold, 255),
    "type": Attribute("type", "type", str.capitalize, 6),
    "phoneNumber": Attribute("phone_number", "phone_key", number_key, 64),
    "userName": Attribute("user_name", "user_name_key", fold, 255),
    "firstName": Attribute("first_name", "first_name_key", fold, 255),
    "lastName": Attribute("last_name", "last_name_key", fold, 255),
    "employeeId": Attribute("employee_id", "employee_id_key", fold, 255),
}
USER_ATTRIBUTES = ("userName", "firstName", "lastName", "employeeId")


class Contact(peewee.Model):
    """A contact of the directory. The database makes seq, salt, id and json."""

    seq = peewee.AutoField()
    salt = peewee.TextField()
    id = peewee.TextField()
    type = peewee.TextField()
    name = peewee.TextField()
    phone_number = peewee.TextField(null=True)
    user_name = peewee.TextField(null=True)
    first_name = peewee.TextField(null=True)
    last_name = peewee.TextField(null=True)
    employee_id = peewee.TextField(null=True)
    name_key = peewee.TextField()
    phone_key = peewee.TextField(null=True)
    user_name_key = peewee.TextField(null=True, unique=True)
    first_name_key = peewee.TextField(null=True)
    last_name_key = peewee.TextField(null=True)
    employee_id_key = peewee.TextField(null=True)
    search_names = peewee.TextField()
    search_number = peewee.TextField(null=True)
    plain_names = peewee.TextField(null=True)
    plain_number = peewee.TextField(null=True)
    json = peewee.TextField()

    class Meta:
        database = db


class Token(peewee.Model):
    """A bearer token: its SHA-256, whose it is and what it may do."""

    label = peewee.TextField(primary_key=True)
    role = peewee.TextField()
    sha256 = peewee.BlobField(unique=True)
    created = peewee.TextField()

    class Meta:
        database = db


# The values of COLUMNS.
Row = tuple[str | None, ...]

# What a write gives to the database; columns() makes it.
COLUMNS = (
    *("type", "name", "phone_number", "user_name", "first_name", "last_name", "employee_id"),
    *("name_key", "phone_key", "user_name_key", "first_name_key", "last_name_key", "employee_id_key"),
    *("search_names", "search_number", "plain_names", "plain_number"),
)
# The way to a contact without an index; locate() returns what it binds.
WHERE = "WHERE seq = ? AND salt = ?"
SELECT = f"SELECT CAST(json AS BLOB) FROM contact {WHERE}"
INSERT = f"INSERT INTO contact ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
DELETE = f"DELETE FROM contact {WHERE}"
# A change comes to nothing when the contact is not any more what it was when it was looked at.
UNCHANGED = "AND json = ?"
RETURNING = "RETURNING id, CAST(json AS BLOB)"


def update(old: Row, new: Row) -> tuple[str, Row]:
    """Return the statement that changes the values of COLUMNS, and what it binds before what locate() returns.

    It sets those that differ and no others: SQLite writes every index of a column that is set. At least one must.
    """
    differs = [index for index in range(len(COLUMNS)) if new[index] != old[index]]
    assignments = ", ".join(f"{COLUMNS[index]} = ?" for index in differs)
    return f"UPDATE contact SET {assignments} {WHERE}", tuple(new[index] for index in differs)


def columns(contact: Mapping[str, str]) -> Row:
    """Return the values of COLUMNS for a contact in the API's terms, whose values are clean."""
    name, number = contact["name"], contact.get("phoneNumber")
    user = [contact.get(attribute) for attribute in USER_ATTRIBUTES]
    name_key, phone_key = fold(name), number_key(number) if number else None
    user_keys = [fold(value) if value else None for value in user]
    names = [name_key, *filter(None, user_keys[:3])]  # all but the employee ID
    return (
        *(contact["type"], name, number, *user),
        *(name_key, phone_key, *user_keys),
        search_text(names),
        search_text([phone_key]) if phone_key is not None else None,
        plain_text(names),
        plain_text([phone_key]) if phone_key is not None else None,
    )


def locate(contact_id: str) -> tuple[int, str]:
    """Return what WHERE binds; of what is not an id, nothing: it may not even be Unicode."""
    number = row_number(contact_id)
    return number, contact_id[12:] if number >= 0 else ""


def row_number(contact_id: str) -> int:
    """Return the number of the row that an id begins with, or -1 for what is not an id."""
    if len(contact_id) != 32 or contact_id.strip("0123456789abcdef"):
        return -1
    return int(contact_id[:12], 16)


def entity_tag(json: bytes) -> str:
    """Return the ETag of one contact, without quotes: a digest of what the client sees."""
    return blake2b(json, digest_size=8).hexdigest()

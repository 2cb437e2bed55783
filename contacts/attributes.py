"""The attributes of a contact: schemas, filters, sorts, files and the document are made from this table."""

import re
from collections.abc import Callable
from typing import NamedTuple

from contacts.phone import number_key
from contacts.search import LOGIN, NAME
from contacts.text import clean, order_key, same_key

TYPES = ("Custom", "Queue", "User")
USER = ("User",)


class Attribute(NamedTuple):
    """What an attribute is."""

    key_column: str  # what filters and sorts compare
    description: str
    example: str
    make_key: Callable[[str], str] = order_key  # from a value to its key
    order_column: str = ""  # what sorts compare, if it is not the key
    max_length: int = 255  # characters
    types: tuple[str, ...] = TYPES  # the types of contacts that have it
    required: bool = False
    unique: bool = False  # no two contacts have the same
    client_writes: bool = False  # clients write it on Custom contacts
    search_mark: str | None = None  # None, or q and filterParameters look into it as a name: the mark of its words
    # Of several filters, the one with the least finds contacts (of two, the upper one here), the others test them: 0
    # where hardly two share a value, 4 where nearly all do. Without statistics, SQLite takes all indexes for equal.
    lookup_rank: int = 0
    other_names: tuple[str, ...] = ()  # of its column in files; an LDAP server is asked for these alone
    is_number: bool = False  # a spreadsheet may take a value for a number, and lose digits
    name: str = ""  # in the API and in files: the key of the table below


ID = re.compile("[0-9a-f]{32}")
GIVEN_ID = re.compile(r"[0-9a-f]{32}|(\{)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?(1)\})", re.IGNORECASE)


def id_key(text: str) -> str:
    """Return an id as it is kept: a GUID without its braces and dashes, in lower case."""
    return same_key(text).strip("{}").replace("-", "")


def read_id(text: str) -> str:
    """Return the id that a file gives; raise ValueError if it is none."""
    given = clean(text, longest=64)
    if not GIVEN_ID.fullmatch(given):
        raise ValueError("Must be 32 hexadecimal digits, with or without the dashes and braces of a GUID.")
    return id_key(given)


# In the order of the JSON.
_TABLE = {
    "id": Attribute(
        key_column="id",
        description="Identifies the contact; it never changes.",
        example="6a0b3eb57387d2b79d756c41f02c8e13",
        make_key=id_key,
        max_length=32,
        required=True,
        unique=True,
        other_names=("objectGUID", "entryUUID"),
    ),
    "name": Attribute(
        key_column="name_key",
        description="The name of a queue, or a user's first and last name.",
        example="Joe Johnson",
        required=True,
        client_writes=True,
        search_mark=NAME,
        lookup_rank=3,
        other_names=("displayName", "cn"),
    ),
    "type": Attribute(
        key_column="type",
        description="What the contact is.",
        example="User",
        make_key=str.capitalize,
        required=True,
        lookup_rank=4,
    ),
    "phoneNumber": Attribute(
        key_column="phone_key",
        description="The number at which the contact is reached, as it was written.",
        example="15002",
        make_key=number_key,
        order_column="phone_order",
        max_length=64,
        client_writes=True,
        other_names=("telephoneNumber", "OfficePhone"),
        is_number=True,
    ),
    "userName": Attribute(
        key_column="user_name_key",
        description="The name with which a User logs in.",
        example="joej",
        types=USER,
        unique=True,
        search_mark=LOGIN,
        other_names=("sAMAccountName", "uid"),
    ),
    "firstName": Attribute(
        key_column="first_name_key",
        description="A User's first name.",
        example="Joe",
        types=USER,
        search_mark=NAME,
        lookup_rank=2,
        other_names=("givenName",),
    ),
    "lastName": Attribute(
        key_column="last_name_key",
        description="A User's last name.",
        example="Johnson",
        types=USER,
        search_mark=NAME,
        lookup_rank=1,
        other_names=("sn", "Surname"),
    ),
    "employeeId": Attribute(
        key_column="employee_id_key",
        description="A User's employee ID.",
        example="E-1000",
        types=USER,
        other_names=("employeeID", "employeeNumber"),
        is_number=True,
    ),
}
ATTRIBUTES = {name: attribute._replace(name=name) for name, attribute in _TABLE.items()}

# The attributes that have a value of their own beside id and type: files bring them.
VALUES = {name: attribute for name, attribute in ATTRIBUTES.items() if name not in {"id", "type"}}
USER_ATTRIBUTES = tuple(name for name, attribute in VALUES.items() if attribute.types == USER)
CLIENT_ATTRIBUTES = tuple(name for name, attribute in VALUES.items() if attribute.client_writes)
SEARCHED = {name: attribute.search_mark for name, attribute in VALUES.items() if attribute.search_mark is not None}

"""The query language of GET /contacts: from a Query to the statements of its shape, and from those to a list."""

import json
import tempfile
from collections.abc import Callable, Sequence
from typing import IO, Any, NamedTuple

from contacts import search
from contacts.attributes import ATTRIBUTES, USER_ATTRIBUTES
from contacts.database import db
from contacts.patterns import pattern_tests
from contacts.phone import split_numbers
from contacts.statements import (
    STATE,
    Shape,
    count_statement,
    hits_statement,
    page_statement,
    rank_statements,
    rows_statement,
    sort_statement,
)

# Longer lists go through a file, in blocks of so many rows.
SPOOL_BLOCK_ROWS = 1000

# So many hits, or a share of the directory, are looked at and sorted for a page; of more, the contacts are walked in
# their order until a page is full.
MAX_SORTED_HITS, MAX_SORTED_SHARE = 500, 1 / 64

# The largest integer that SQLite binds.
MAX_INTEGER = 2**63 - 1


class Query(NamedTuple):
    """The query of a client. Its values are as the client wrote them, trimmed."""

    filters: dict[str, list[str]]  # by attribute; any of the values
    q: str = ""
    patterns: Sequence[str] = ()  # of filterParameters; all of them
    sort: tuple[str, ...] = ()  # attributes; (): the best hits of q first, else by name
    descending: bool = False
    offset: int = 0
    limit: int | None = None
    fields: tuple[str, ...] | None = None


class Found(NamedTuple):
    """What a query finds."""

    shape: Shape
    values: dict[str, Any]  # to bind
    total: int  # contacts
    seqs: str | None  # the contacts that a search finds, as JSON; None for too many to sort, and without a search
    size: int  # contacts of the directory

    @property
    def by_order(self) -> bool:
        """Return whether contacts are read in their order, and not by an index of a filter, which leaves most."""
        return 2 * self.total > self.size


class Answer(NamedTuple):
    """The directory's revision, and the JSON of the list: in one piece, or in a file to be read and closed."""

    revision: int
    body: bytes | IO[bytes]


def list_contacts(query: Query, present: Callable[[bytes], bytes] = bytes) -> Answer:
    """Return the list of contacts that the query asks for, from one snapshot of the directory.

    `present` makes of the JSON of contacts, with commas between, what the list has of them.
    """
    with db.atomic():
        state = STATE.rows({})[0]
        found = find(query, state)
        wanted = min(found.values["limit"], found.total - query.offset)
        if wanted > SPOOL_BLOCK_ROWS:
            return Answer(state["revision"], spooled(found, present))
        contacts = page_of(found, wanted) if wanted > 0 else b""
        return Answer(state["revision"], b"%b%b]}" % (beginning(found), present(contacts)))


def find(query: Query, state: dict[str, int]) -> Found:
    """Return what a query finds in a directory in this state, by the best match that finds any."""
    for match, searched in search.matches(query.q) if query.q else [("", {})]:
        shape, values = plan(query, match, searched)
        total, seqs = count(shape, values, state)
        if total:
            return Found(shape, values, total, seqs, state["size"])
    return Found(shape._replace(match="start" if query.q else ""), values, 0, "[]", state["size"])


def count(shape: Shape, values: dict[str, Any], state: dict[str, int]) -> tuple[int, str | None]:
    """Return the number of contacts of a shape, and the seqs that a search finds as JSON; None for too many to sort."""
    if shape.indexed or shape.tests:
        few = max(MAX_SORTED_HITS, int(MAX_SORTED_SHARE * state["size"]))
        hits = hits_statement(shape).rows(values | {"limit": few + 1})[0]
        if hits["number"] <= few:
            return hits["number"], hits["seqs"]
    elif not shape.filters:
        return state["size"], None
    elif shape.filters == (("type", "one"),):
        return state[values["type"]], None
    return count_statement(shape).rows(values)[0]["number"], None


def beginning(found: Found) -> bytes:
    """Return the answer up to the contacts."""
    match = b'"match":"%b",' % found.shape.match.encode() if found.shape.match else b""
    return b'{"statusCode":0,"totalCount":%d,%b"contacts":[' % (found.total, match)


def page_of(found: Found, wanted: int) -> bytes:
    """Return a page of `wanted` contacts, by the way that suits their number.

    Hits that are few are sorted. Else SQLite looks contacts up by a filter or reads all in their order, from the end
    for a page behind the middle.
    """
    shape, values = found.shape, found.values | {"limit": wanted}
    if found.seqs is not None:
        return bytes(sort_statement(shape).rows(values | {"seqs": found.seqs})[0]["contacts"])
    if shape.ranking == "start":
        return best_hits(shape, values)
    searched = shape.indexed or bool(shape.tests)
    by_order = searched or found.by_order
    if not searched and values["offset"] > found.total / 2:
        values["offset"] = found.total - values["offset"] - wanted
        rows = rows_statement(shape, by_order, backward=True).rows(values)
        return b",".join(row["json"] for row in reversed(rows))
    return bytes(page_statement(shape, by_order).rows(values)[0]["contacts"])


def best_hits(shape: Shape, values: dict[str, Any]) -> bytes:
    """Return a page of many hits: rank by rank, each looked up by an index of its own."""
    pages: list[bytes] = []
    skipped, missing = values["offset"], values["limit"]
    for rank in range(4):
        page_of_rank, count_of_rank = rank_statements(shape, rank)
        page = page_of_rank.rows(values | {"offset": skipped, "limit": missing})[0]
        pages += [page["contacts"]] if page["number"] else []
        missing -= page["number"]
        if not missing:
            break
        # Where the page begins behind this rank, all of the rank is skipped.
        if pages:
            skipped = 0
        elif skipped:
            skipped -= count_of_rank.rows(values)[0]["number"]
    return b",".join(pages)


def spooled(found: Found, present: Callable[[bytes], bytes]) -> IO[bytes]:
    """Return a long list in a temporary file without a name, which is gone when it is closed.

    A client that reads it slowly holds no snapshot of the directory, which would let the WAL grow, and no memory.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        cursor = rows_statement(found.shape, found.by_order and not found.shape.indexed).execute(found.values)
        file.write(beginning(found))
        separator = b""
        while block := cursor.fetchmany(SPOOL_BLOCK_ROWS):
            file.write(separator + present(b",".join(row[0] for row in block)))
            separator = b","
        file.write(b"]}")
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def revision() -> int:
    """Return the directory's revision, which moves with every change of a contact."""
    return int(STATE.rows({})[0]["revision"])


def plan(query: Query, match: str, searched: dict[str, Any]) -> tuple[Shape, dict[str, Any]]:
    """Return the query's shape and the values to bind, for one match of q, as search.matches() yields them."""
    values: dict[str, Any] = {"limit": MAX_INTEGER if query.limit is None else query.limit, "offset": query.offset}
    filters = []
    given = query.filters
    if "type" in given and any(attribute in given for attribute in USER_ATTRIBUTES):  # which tell the type
        users = "User" in given["type"]
        given = {name: each for name, each in given.items() if name != "type"} if users else {"type": []}
    for name in sorted(given, key=lambda name: ATTRIBUTES[name].lookup_rank):
        kind, values[name] = plan_filter(name, given[name])
        filters.append((name, kind))
    filters.sort(key=lambda each: each[1] == "present")  # most have one
    tested = pattern_tests(query.patterns)
    index_query = " AND ".join(filter(None, (searched.get("index_query"), tested.index_query)))
    values |= searched | tested._asdict() | {"index_query": index_query}
    return Shape(tuple(filters), bool(index_query), tested.tests, match, query.sort, query.descending), values


def plan_filter(name: str, given: list[str]) -> tuple[str, Any]:
    """Return the key of FILTERS for an attribute and its values, any of which may match, and the value to bind.

    A value matches as a whole, and in parts where it has commas. One without letters and digits is no number.
    """
    split = split_numbers if name == "phoneNumber" else lambda value: map(str.strip, value.split(","))
    parts = [part for value in given if "," in value for part in split(value) if part]
    wanted = [*given, *parts]
    if name == "phoneNumber" and "*" in wanted:
        return "present", None
    keys = list(dict.fromkeys(filter(None, map(ATTRIBUTES[name].make_key, wanted))))
    if not keys:
        return "never", None
    return ("one", keys[0]) if len(keys) == 1 else ("many", json.dumps(keys))

"""The query language of GET /contacts: from a Query to statements, and from those to pages and streams.

A statement depends only on the shape of a query: which attributes filter and in which way, how it searches and sorts.
It is made once for each shape; values are always bound.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from operator import or_
from typing import IO, Any, NamedTuple

import peewee
from peewee import SQL, Case, Expression, NodeList, fn

from contacts import search
from contacts.database import MAX_STATEMENTS, Compiled, db, parameter
from contacts.model import ATTRIBUTES, JSON, SEARCHED, USER_ATTRIBUTES, Contact, ContactSearch, Directory
from contacts.phone import split_numbers

# Longer lists go through a file, in blocks of so many rows.
SPOOL_BLOCK_ROWS = 1000

# So many hits, or a share of the directory, are looked at and sorted for a page; of more, the contacts are walked in
# their order until a page is full.
MAX_SORTED_HITS, MAX_SORTED_SHARE = 500, 1 / 64

# The largest integer that SQLite binds.
MAX_INTEGER = 2**63 - 1

# The attributes of which a value may be shared by many contacts, by ever more. SQLite looks contacts up by the first
# attribute that a query filters by, and tests the others: without statistics, it takes all indexes for equally good.
SHARED = ("lastName", "firstName", "name", "type")


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


class Answer(NamedTuple):
    """The directory's revision, and the JSON of the list: in one piece, or in a file to be read and closed."""

    revision: int
    body: bytes | IO[bytes]


class Shape(NamedTuple):
    """All that the statements of a query depend on."""

    filters: tuple[tuple[str, str], ...]  # attribute and key of FILTERS, the attribute to look up by first
    matched: bool  # the index finds the hits
    test: str  # of patterns, key of TESTS
    way: str  # of q, as search.ways() names it
    sort: tuple[str, ...]
    descending: bool

    @property
    def ranking(self) -> str:
        """Return the way by whose ranks the contacts are sorted; "" where something else is asked for."""
        return "" if self.sort else self.way


def plus(column: Any) -> Any:
    """Return a column by which SQLite is not to look up or sort (https://www.sqlite.org/optoverview.html)."""
    return NodeList((SQL("+"), column))


def glob(column: Any, name: str) -> Any:
    """Return the test of a column by a pattern."""
    return Expression(column, "GLOB", parameter(name))


def listed(name: str) -> Any:
    """Return the values of a list that is bound as JSON."""
    return peewee.Select([fn.JSON_EACH(parameter(name))], [SQL("value")])


# How a column is compared with what is bound by the name of the attribute.
FILTERS: dict[str, Any] = {
    "one": lambda column, name: Expression(column, "=", parameter(name)),
    "many": lambda column, name: Expression(column, "IN", listed(name)),
    "present": lambda column, _: Expression(column, ">", ""),
    "never": lambda _column, _name: SQL("0"),
}

SIZE = Directory.customs + Directory.queues + Directory.users

# The patterns of filterParameters: one that a GLOB decides, or others.
GLOBS = glob(Contact.texts, "glob") | glob(Contact.texts, "number_glob")
TESTS: dict[str, tuple[Any, ...]] = {
    "": (),
    "glob": (GLOBS,),
    "regexp": (GLOBS, Contact.texts.regexp(parameter("regexp"))),
}

# What the index finds, with the columns that counts and sorts need of it.
HITS = NodeList((ContactSearch, SQL("CROSS JOIN"), Contact, SQL("INDEXED BY contact_in_search")))
MATCHED = (
    Expression(ContactSearch.match, "MATCH", parameter("match")),
    Expression(Contact.seq, "=", ContactSearch.seq),
)

# The ranks of the hits of q: the whole of a value; whole words of the name, in order; the start of the name; the rest.
WHOLE = glob(Contact.texts, "whole") | glob(Contact.texts, "whole_dialled")
IN_ORDER = reduce(or_, (glob(Contact.words, f"in_order_{place}") for place in range(4)))
OF_BASE = (Contact.name_key >= parameter("base")) & (Contact.name_key < parameter("end"))
STARTS = OF_BASE & (glob(Contact.name_key, "start") | glob(Contact.texts, "start_text"))
RANK = Case(None, ((WHOLE, 0), (IN_ORDER, 1), (STARTS, 2)), 3)
# How many levels of similar words have a contact among those that they find: the more, the nearer.
NEARNESS = (
    ContactSearch.select(ContactSearch.seq.alias("seq"), fn.COUNT(SQL("*")).alias("levels"))
    .from_(NodeList((fn.JSON_EACH(parameter("levels")), SQL("AS level CROSS JOIN"), ContactSearch)))
    .where(Expression(ContactSearch.match, "MATCH", SQL("level.value")))
    .group_by(ContactSearch.seq)
    .alias("nearness")
)


def read(query: Query, present: Callable[[bytes], bytes] | None = None) -> Answer:
    """Return the list of contacts that the query asks for, from one snapshot of the directory.

    `present` makes of a contact's JSON what the list has of it.
    """
    with db.atomic():
        state = STATE.rows({})[0]
        for way, searched in search.ways(query.q) if query.q else [("", {})]:
            shape, values = plan(query, way, searched)
            total, found = hits(shape, values, state["size"])
            if total:
                break
        else:
            shape = shape._replace(way="start" if query.q else "")
        wanted = min(values["limit"], total - query.offset)
        if wanted > SPOOL_BLOCK_ROWS:
            return Answer(state["revision"], spooled(shape, values, total, state["size"], present))
        contacts = page(shape, values | {"limit": wanted}, total, found, state["size"]) if wanted > 0 else []
        return Answer(state["revision"], b"".join((beginning(shape, total), listing(contacts, present), b"]}")))


def hits(shape: Shape, values: dict[str, Any], size: int) -> tuple[int, list[int] | None]:
    """Return the number of contacts of a shape, and those that a search finds, by seq; None for too many to sort."""
    if shape.matched or shape.test:
        few = max(MAX_SORTED_HITS, int(MAX_SORTED_SHARE * size))
        found = [row[0] for row in hits_statement(shape).execute(values | {"limit": few + 1})]
        if len(found) <= few:
            return len(found), found
    return count_statement(shape).rows(values)[0]["total"], None


def beginning(shape: Shape, total: int) -> bytes:
    """Return the answer up to the contacts."""
    match = b'"match":"%b",' % shape.way.encode() if shape.way else b""
    return b'{"statusCode":0,"totalCount":%d,%b"contacts":[' % (total, match)


def listing(contacts: list[bytes], present: Callable[[bytes], bytes] | None) -> bytes:
    """Return contacts with commas between."""
    return b",".join(map(present, contacts) if present else contacts)


def page(shape: Shape, values: dict[str, Any], total: int, found: list[int] | None, size: int) -> list[bytes]:
    """Return a page of contacts, by a way that suits their number.

    Hits that are few are sorted. Else SQLite looks contacts up by a filter, or, where the filters leave most of them,
    walks all in their order, from the end for a page behind the middle.
    """
    offset, wanted = values["offset"], values["limit"]
    if found is not None:
        return rows(sort_statement(shape), values | {"found": json.dumps(found)})
    if shape.ranking == "start":
        return best_hits(shape, values)
    searched = shape.matched or bool(shape.test)
    if backward := not searched and offset > total / 2:
        values = values | {"offset": total - offset - wanted}
    contacts = rows(page_statement(shape, searched or 2 * total > size, backward), values)
    return contacts[::-1] if backward else contacts


def best_hits(shape: Shape, values: dict[str, Any]) -> list[bytes]:
    """Return a page of many hits: rank by rank, each looked up by an index of its own."""
    found: list[bytes] = []
    skipped, limit = values["offset"], values["limit"]
    for rank in range(4):
        page_of_rank, count_of_rank = rank_statements(shape, rank)
        found += rows(page_of_rank, values | {"offset": skipped, "limit": limit - len(found)})
        if len(found) == limit:
            break
        # Where the page begins behind this rank, all of the rank is skipped.
        skipped = 0 if found else skipped - count_of_rank.rows(values)[0]["total"]
    return found


def rows(statement: Compiled, values: dict[str, Any]) -> list[bytes]:
    """Return the contacts that a statement selects, as JSON."""
    return [row["json"] for row in statement.rows(values)]


def spooled(
    shape: Shape, values: dict[str, Any], total: int, size: int, present: Callable[[bytes], bytes] | None
) -> IO[bytes]:
    """Return a long list in a temporary file without a name, which is gone when it is closed.

    A client that reads it slowly holds no snapshot of the directory, which would let the WAL grow, and no memory.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        cursor = page_statement(shape, 2 * total > size and not shape.matched).execute(values)
        file.write(beginning(shape, total))
        separator = b""
        while block := cursor.fetchmany(SPOOL_BLOCK_ROWS):
            file.write(separator + listing([row[0] for row in block], present))
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


def plan(query: Query, way: str, searched: dict[str, Any]) -> tuple[Shape, dict[str, Any]]:
    """Return the query's shape and the values to bind, for a way to find what was typed."""
    values: dict[str, Any] = {"limit": MAX_INTEGER if query.limit is None else query.limit, "offset": query.offset}
    filters = []
    given = simplified(query.filters)
    for name in (*(name for name in given if name not in SHARED), *(name for name in SHARED if name in given)):
        kind, values[name] = plan_filter(name, given[name])
        filters.append((name, kind))
    filters.sort(key=lambda each: each[1] == "present")  # most have one
    tested = search.patterns(query.patterns)
    match = " AND ".join(filter(None, (searched.get("match"), tested and tested.match)))
    test = "" if tested is None else "glob" if tested.regexp is None else "regexp"
    values |= searched | (tested._asdict() if tested else {}) | {"match": match}
    return Shape(tuple(filters), bool(match), test, way, query.sort, query.descending), values


def simplified(filters: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the filters without a type that the others imply, as only Users have a userName."""
    if "type" in filters and any(attribute in filters for attribute in USER_ATTRIBUTES):
        users = "User" in filters["type"]
        return {name: values for name, values in filters.items() if name != "type"} if users else {"type": []}
    return filters


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


def conditions(shape: Shape, walk: bool = False) -> list[Any]:
    """Return the filters and tests of a shape; `walk`: no index of a filter is used."""
    found = []
    names = {name for name, _ in shape.filters}
    for place, (name, kind) in enumerate(shape.filters):
        column = getattr(Contact, ATTRIBUTES[name].key_column)
        # The indexes of other attributes have the name, too.
        looked_up = not walk and (place == 0 or (name == "name" and not {"id", "userName"} & names))
        found.append(FILTERS[kind](column if looked_up else plus(column), name))
    return [*found, *TESTS[shape.test]]


def order(shape: Shape, backward: bool = False) -> list[Any]:
    """Return the order of the contacts, without the rank: equals in the order of the name, then of their creation.

    Contacts without the attribute come last.
    """
    attributes = [ATTRIBUTES[name] for name in dict.fromkeys((*shape.sort, "name"))]
    if attributes[0].unique and len(shape.sort) == 1:
        attributes.pop()  # the index of such an attribute does not have the name
    down = shape.descending != backward
    nulls = "FIRST" if backward else "LAST"
    ordered = []
    for attribute in attributes:
        column = getattr(Contact, attribute.order_column)
        directed = column.desc() if down else column.asc()
        ordered.append(directed if attribute.required else NodeList((directed, SQL(f"NULLS {nulls}"))))
    return [*ordered, Contact.seq.desc() if down else Contact.seq.asc()]


def source(shape: Shape, columns: Sequence[Any], walk: bool = False) -> Any:
    """Return the query for columns of all contacts of a shape; `walk`: in their order, by no index of a filter."""
    if not shape.matched:
        in_order = shape.filters[:1] == (("type", "one"),) and shape.sort in {(), ("name",), ("type",)}
        return Contact.select(*columns).where(SQL("1"), *conditions(shape, walk and not in_order))
    if walk:
        hits = ContactSearch.select(ContactSearch.seq).where(MATCHED[0])
        return Contact.select(*columns).where(Expression(plus(Contact.seq), "IN", hits), *conditions(shape, walk))
    return Contact.select(*columns).from_(HITS).where(*MATCHED, *conditions(shape, walk=True))


def ranked(shape: Shape, backward: bool = False) -> list[Any]:
    """Return the order of the contacts: where nothing else is asked for, the best hits of q first."""
    ordered = order(shape, backward)
    ranks: dict[str, list[Any]] = {"start": [RANK], "similar": [SQL("nearness.levels DESC")]}
    return [*ranks.get(shape.ranking, []), *ordered]


def measured(shape: Shape, query: Any) -> Any:
    """Return the query for contacts, with their nearness where ranked() asks for it."""
    if shape.ranking == "similar":
        return query.join(NEARNESS, "LEFT JOIN", on=(Contact.seq == SQL("nearness.seq")))
    return query


@lru_cache(maxsize=MAX_STATEMENTS)
def count_statement(shape: Shape) -> Compiled:
    """Return the statement for the number of contacts of a shape."""
    if not shape.matched and not shape.test and not shape.filters:
        return Compiled(Directory.select(SIZE.alias("total")))
    if shape == Shape((("type", "one"),), False, "", "", shape.sort, shape.descending):
        by_type = (("Custom", Directory.customs), ("Queue", Directory.queues), ("User", Directory.users))
        return Compiled(Directory.select(Case(parameter("type"), by_type).alias("total")))
    return counting(found_alone(shape))


@lru_cache(maxsize=MAX_STATEMENTS)
def hits_statement(shape: Shape) -> Compiled:
    """Return the statement for what a search finds, by seq, in no order."""
    return Compiled(found_alone(shape).limit(parameter("limit")))


def found_alone(shape: Shape) -> Any:
    """Return the query for the seq of all contacts of a shape; the index of words alone is asked where it tells."""
    if shape.matched and not shape.filters and not shape.test:
        return ContactSearch.select(ContactSearch.seq.alias("seq")).where(MATCHED[0])
    return source(shape, [Contact.seq])


@lru_cache(maxsize=MAX_STATEMENTS)
def sort_statement(shape: Shape) -> Compiled:
    """Return the statement for a page of the contacts that a search has found."""
    found = Contact.select(JSON).where(Contact.seq.in_(listed("found")))
    return Compiled(paged(measured(shape, found).order_by(*ranked(shape))))


@lru_cache(maxsize=MAX_STATEMENTS)
def page_statement(shape: Shape, walk: bool, backward: bool = False) -> Compiled:
    """Return the statement for a page of contacts; `walk`: they are walked in their order, by no index of a filter."""
    if shape.test and not shape.matched:  # an index is walked that has all to test and to sort by
        ordered = order(shape, backward)
        return contacts_of(paged(source(shape, [Contact.seq]).order_by(*map(plus, ordered))), ordered)
    found = source(shape, [JSON], walk)
    return Compiled(paged(measured(shape, found).order_by(*ranked(shape, backward))))


def paged(query: Any) -> Any:
    """Return the query for a page of a query."""
    return query.limit(parameter("limit")).offset(parameter("offset"))


def contacts_of(seqs: Any, ordered: list[Any]) -> Compiled:
    """Return the statement for the contacts of a page whose seqs a query selects: only their rows are read."""
    return Compiled(Contact.select(JSON).where(Contact.seq.in_(seqs)).order_by(*ordered))


@lru_cache(maxsize=MAX_STATEMENTS)
def rank_statements(shape: Shape, rank: int) -> tuple[Compiled, Compiled]:
    """Return the statements for a page of the hits of a rank, and for their number."""
    tests = [~test for test in (WHOLE, IN_ORDER, STARTS)[:rank]] + conditions(shape, walk=True)
    ordered = order(shape)
    if rank == 0:
        # Each index has its contacts in the order of the name: SQLite merges them.
        keys = [(Contact.phone_key, "whole_number")]
        keys += [(getattr(Contact, ATTRIBUTES[name].key_column), "whole_key") for name in SEARCHED]
        of_keys = [
            Contact.select(Contact.name_key, Contact.seq).where(key == parameter(to), *tests) for key, to in keys
        ]
        merged = reduce(or_, of_keys)
        by_name = [SQL("name_key DESC"), SQL("seq DESC")] if shape.descending else [SQL("name_key"), SQL("seq")]
        seqs = peewee.Select([paged(merged.order_by(*by_name))], [SQL("seq")])
        return contacts_of(seqs, ordered), counting(merged)
    if rank == 1:
        whole_words = Expression(ContactSearch.match, "MATCH", parameter("whole_words"))
        hits = Contact.select(Contact.seq).from_(HITS).where(whole_words, MATCHED[1], IN_ORDER, *tests)
        return contacts_of(paged(hits.order_by(*ordered)), ordered), counting(hits)
    if rank == 2:
        tests.append(STARTS)
    hits = source(shape, [JSON], walk=True).where(*tests)
    return Compiled(paged(hits.order_by(*ordered))), counting(hits)


def counting(query: Any) -> Compiled:
    """Return the statement for the number of rows of a query."""
    return Compiled(peewee.Select([query], [fn.COUNT(SQL("*")).alias("total")]))


STATE = Compiled(Directory.select(Directory.revision, SIZE.alias("size")))

"""The statements of GET /contacts, by the shape of a query: each is made once, and its values are bound.

A shape is which attributes filter and in which way, what is searched for and how contacts are sorted.
"""

from collections.abc import Sequence
from functools import lru_cache, reduce
from operator import or_
from typing import Any, NamedTuple

import peewee
from peewee import SQL, Case, Expression, NodeList, fn

from contacts.attributes import ATTRIBUTES, SEARCHED
from contacts.database import MAX_STATEMENTS, Compiled, parameter
from contacts.model import JSON, Contact, ContactSearch, Directory
from contacts.text import SPELLINGS


class Shape(NamedTuple):
    """All that the statements of a query depend on."""

    filters: tuple[tuple[str, str], ...]  # attribute and key of FILTERS, the attribute to look up by first
    indexed: bool  # the search index finds the hits
    tests: tuple[str, ...]  # of patterns, keys of TESTS
    match: str  # of q: start, inside or similar; "" without one
    sort: tuple[str, ...]
    descending: bool

    @property
    def ranking(self) -> str:
        """Return the match by whose ranks the contacts are sorted; "" where something else is asked for."""
        return "" if self.sort else self.match


def without_index(column: Any) -> Any:
    """Return a column by which SQLite is not to look up or sort (https://www.sqlite.org/optoverview.html)."""
    return NodeList((SQL("+"), column))


def glob(column: Any, name: str) -> Any:
    """Return the test of a column by a pattern."""
    return Expression(column, "GLOB", parameter(name))


def bound_list(name: str) -> Any:
    """Return the values of a list that is bound as JSON."""
    return peewee.Select([fn.JSON_EACH(parameter(name))], [SQL("value")])


# How a column is compared with what is bound by the name of the attribute.
FILTERS: dict[str, Any] = {
    "one": lambda column, name: Expression(column, "=", parameter(name)),
    "many": lambda column, name: Expression(column, "IN", bound_list(name)),
    "present": lambda column, _: Expression(column, ">", ""),
    "never": lambda _column, _name: SQL("0"),
}

NUMBER = fn.COUNT(SQL("*")).alias("number")  # of the rows of a subquery

# How patterns of filterParameters are tested. A GLOB more takes half as long again.
TEXT = glob(Contact.texts, "glob")
TESTS: dict[str, Any] = {
    "text": TEXT,
    "text or number": TEXT | glob(Contact.texts, "number_glob"),
    "regexp": Contact.texts.regexp(parameter("regexp")),
}

# What the index finds, with the columns that counts and sorts need of it.
HITS = NodeList((ContactSearch, SQL("CROSS JOIN"), Contact, SQL("INDEXED BY contact_in_search")))
FOUND_BY_INDEX = Expression(ContactSearch.match, "MATCH", parameter("index_query"))
SAME_CONTACT = Expression(Contact.seq, "=", ContactSearch.seq)

# The ranks of the hits of q: the whole of a value; whole words of the name, in order; the start of the name; the rest.
WHOLE = glob(Contact.texts, "whole") | glob(Contact.texts, "whole_dialled")
IN_ORDER = reduce(or_, (glob(Contact.words, f"in_order_{place}") for place in range(SPELLINGS)))
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


def conditions(shape: Shape, by_order: bool = False) -> list[Any]:
    """Return the filters and tests of a shape; `by_order`: by no index of a filter.

    Without statistics, SQLite may look contacts up by the filter that most of them pass: it is shown the index of the
    first filter alone.
    """
    found = []
    names = {name for name, _ in shape.filters}
    for place, (name, kind) in enumerate(shape.filters):
        column = getattr(Contact, ATTRIBUTES[name].key_column)
        # The indexes of other attributes have the name, too.
        may_use_index = not by_order and (place == 0 or (name == "name" and not {"id", "userName"} & names))
        found.append(FILTERS[kind](column if may_use_index else without_index(column), name))
    return [*found, *(TESTS[name] for name in shape.tests)]


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
        column = getattr(Contact, attribute.order_column or attribute.key_column)
        directed = column.desc() if down else column.asc()
        ordered.append(directed if attribute.required else NodeList((directed, SQL(f"NULLS {nulls}"))))
    return [*ordered, Contact.seq.desc() if down else Contact.seq.asc()]


def source(shape: Shape, columns: Sequence[Any], by_order: bool = False) -> Any:
    """Return the query for columns of all contacts of a shape; `by_order`: in their order, by no index of a filter."""
    if not shape.indexed:
        of_one_type = shape.filters[:1] == (("type", "one"),) and shape.sort in {(), ("name",), ("type",)}
        # SQL("1"): there may be no filter.
        return Contact.select(*columns).where(SQL("1"), *conditions(shape, by_order and not of_one_type))
    if by_order:
        hits = ContactSearch.select(ContactSearch.seq).where(FOUND_BY_INDEX)
        return Contact.select(*columns).where(
            Expression(without_index(Contact.seq), "IN", hits), *conditions(shape, by_order)
        )
    return Contact.select(*columns).from_(HITS).where(FOUND_BY_INDEX, SAME_CONTACT, *conditions(shape, by_order=True))


def ranked(shape: Shape, backward: bool = False) -> list[Any]:
    """Return the order of the contacts: where nothing else is asked for, the best hits of q first."""
    ordered = order(shape, backward)
    ranks: dict[str, list[Any]] = {"start": [RANK], "similar": [SQL("nearness.levels DESC")]}
    return [*ranks.get(shape.ranking, []), *ordered]


def with_nearness(shape: Shape, query: Any) -> Any:
    """Return the query for contacts, with their nearness where ranked() asks for it."""
    if shape.ranking == "similar":
        return query.join(NEARNESS, "LEFT JOIN", on=(Contact.seq == SQL("nearness.seq")))
    return query


@lru_cache(maxsize=MAX_STATEMENTS)
def count_statement(shape: Shape) -> Compiled:
    """Return the statement for the number of contacts of a shape."""
    return counting(seqs_of_hits(shape))


@lru_cache(maxsize=MAX_STATEMENTS)
def hits_statement(shape: Shape) -> Compiled:
    """Return the statement for what a search finds, in no order: the number, and the seqs as JSON."""
    hits = seqs_of_hits(shape).limit(parameter("limit"))
    return Compiled(peewee.Select([hits], [NUMBER, fn.JSON_GROUP_ARRAY(SQL("seq")).alias("seqs")]))


def seqs_of_hits(shape: Shape) -> Any:
    """Return the query for the seq of all contacts of a shape; the index of words alone is asked where it tells."""
    if shape.indexed and not shape.filters and not shape.tests:
        return ContactSearch.select(ContactSearch.seq.alias("seq")).where(FOUND_BY_INDEX)
    return source(shape, [Contact.seq])


def joined(query: Any) -> Compiled:
    """Return the statement for a page of contacts, in one row: their number, and their JSON with commas between.

    SQLite keeps the order of a page (https://www.sqlite.org/optoverview.html#omitorderby). Each row that it returns
    hands Python's lock to other threads, which takes longer than to read a contact.
    """
    return Compiled(peewee.Select([query], [NUMBER, fn.GROUP_CONCAT(SQL("json")).cast("BLOB").alias("contacts")]))


@lru_cache(maxsize=MAX_STATEMENTS)
def sort_statement(shape: Shape) -> Compiled:
    """Return the statement for a page of the contacts that a search has found."""
    found = Contact.select(JSON).where(Contact.seq.in_(bound_list("seqs")))
    return joined(paged(with_nearness(shape, found).order_by(*ranked(shape))))


@lru_cache(maxsize=MAX_STATEMENTS)
def page_statement(shape: Shape, by_order: bool) -> Compiled:
    """Return the statement for a page of contacts, in one row; `by_order`: as source() has it."""
    return joined(page_query(shape, by_order))


@lru_cache(maxsize=MAX_STATEMENTS)
def rows_statement(shape: Shape, by_order: bool, backward: bool = False) -> Compiled:
    """Return the statement for a page of contacts, in a row each; `backward`: from the end."""
    return Compiled(page_query(shape, by_order, backward))


def page_query(shape: Shape, by_order: bool, backward: bool = False) -> Any:
    """Return the query for a page of contacts."""
    if shape.tests and not shape.indexed:  # an index is walked that has all to test and to sort by
        ordered = order(shape, backward)
        return page_of_rows(paged(source(shape, [Contact.seq]).order_by(*map(without_index, ordered))), ordered)
    found = source(shape, [JSON], by_order)
    return paged(with_nearness(shape, found).order_by(*ranked(shape, backward)))


def paged(query: Any) -> Any:
    """Return the query for a page of a query."""
    return query.limit(parameter("limit")).offset(parameter("offset"))


def page_of_rows(seqs: Any, ordered: list[Any]) -> Any:
    """Return the query for the contacts of a page whose seqs a query selects: only their rows are read."""
    return Contact.select(JSON).where(Contact.seq.in_(seqs)).order_by(*ordered)


@lru_cache(maxsize=MAX_STATEMENTS)
def rank_statements(shape: Shape, rank: int) -> tuple[Compiled, Compiled]:
    """Return the statements for a page of the hits of a rank, and for their number."""
    tests = [~test for test in (WHOLE, IN_ORDER, STARTS)[:rank]] + conditions(shape, by_order=True)
    ordered = order(shape)
    if rank == 0:
        # Each index has its contacts in the order of the name: SQLite merges them.
        keys = {getattr(Contact, ATTRIBUTES[name].key_column): "whole_key" for name in SEARCHED}
        keys[Contact.phone_key] = "whole_number"
        of_keys = (Contact.select(Contact.name_key, Contact.seq).where(k == parameter(keys[k]), *tests) for k in keys)
        hits = reduce(or_, of_keys)
        by_name = [SQL("name_key DESC"), SQL("seq DESC")] if shape.descending else [SQL("name_key"), SQL("seq")]
        seqs = peewee.Select([paged(hits.order_by(*by_name))], [SQL("seq")])
        return joined(page_of_rows(seqs, ordered)), counting(hits)
    if rank == 1:
        whole_words = Expression(ContactSearch.match, "MATCH", parameter("whole_words"))
        hits = Contact.select(Contact.seq).from_(HITS).where(whole_words, SAME_CONTACT, IN_ORDER, *tests)
        return joined(page_of_rows(paged(hits.order_by(*ordered)), ordered)), counting(hits)
    if rank == 2:
        tests.append(STARTS)
    hits = source(shape, [JSON], by_order=True).where(*tests)
    return joined(paged(hits.order_by(*ordered))), counting(hits)


def counting(query: Any) -> Compiled:
    """Return the statement for the number of rows of a query."""
    return Compiled(peewee.Select([query], [NUMBER]))


# The directory's revision, and the number of all contacts and of each type.
STATE = Compiled(
    Directory.select(
        Directory.revision,
        (Directory.customs + Directory.queues + Directory.users).alias("size"),
        Directory.customs.alias("Custom"),
        Directory.queues.alias("Queue"),
        Directory.users.alias("User"),
    )
)

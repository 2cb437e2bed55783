"""The query language of GET /contacts, as SQL.

The text of a statement depends only on the query's shape (which filters, which kinds of search terms,
which sort), and is made once for each shape. Values are always bound parameters.
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from contacts.database import db, own_connection
from contacts.model import ATTRIBUTES, USER_ATTRIBUTES, row_number
from contacts.text import MARK, fold, number_key, plain, trigrams

# As many contacts are answered in one piece; more are streamed, in blocks of as many.
BLOCK = 1000

# The largest number that SQLite binds.
MOST = 2**63 - 1

NAMES = ("name_key", "user_name_key", "first_name_key", "last_name_key")


class Query(NamedTuple):
    """What a client asks for. Its values are as the client wrote them, trimmed."""

    filters: dict[str, list[str]]  # by attribute; any of the values
    words: list[str]  # of q; all of them
    patterns: list[str]  # of filterParameters; all of them
    sort: str = "name"
    descending: bool = False
    offset: int = 0
    limit: int | None = None
    fields: tuple[str, ...] | None = None


class Answer(NamedTuple):
    """The directory's revision, and the JSON of the list: in one piece, or in blocks as they are read."""

    revision: int
    body: bytes | Iterator[bytes]


class Shape(NamedTuple):
    """All that the text of a statement depends on."""

    filters: tuple[tuple[str, str], ...]  # attribute and key of FILTERS
    match: bool  # the search index narrows the rows down
    tests: tuple[str, ...]  # keys of TESTS
    sort: str
    descending: bool
    fields: tuple[str, ...] | None


# How a row is compared with the values of a filter: {} is the attribute's key column, each ? is bound.
FILTERS = {
    "one": "{} = ?",
    "many": "{} IN (SELECT value FROM json_each(?))",
    "ids": "{} IN (SELECT value FROM json_each(?)) AND id IN (SELECT value FROM json_each(?))",
    "present": "{} IS NOT NULL",
    "never": "0",
}

# What remains to be tested on the rows that the search index finds.
NUMBER_PART = "substr(contact.search_text, instr(contact.search_text, char(3)))"
TESTS = {
    "word": "instr(contact.search_text, ?)",
    "word or number": f"(instr(contact.search_text, ?) OR instr({NUMBER_PART}, ?))",
    "pattern": f"({' OR '.join(f'{name} GLOB ?' for name in NAMES)} OR phone_key GLOB ?)",
    "name pattern": f"({' OR '.join(f'{name} GLOB ?' for name in NAMES)})",
}


def read(query: Query) -> Answer:
    """Return the list of contacts that the query asks for, from one snapshot of the directory."""
    shape, values = plan(query)
    limit = MOST if query.limit is None else query.limit
    page = (*values, min(limit, BLOCK), query.offset)
    revision, total, contacts = db.execute_sql(page_sql(shape), page).fetchone()
    if min(limit, total - query.offset) > BLOCK:
        blocks = stream(shape, values, limit, query.offset)
        return Answer(int(next(blocks)), blocks)
    return Answer(revision, b'{"statusCode":0,"totalCount":%d,"contacts":[%b]}' % (total, contacts or b""))


def stream(shape: "Shape", values: list[Any], limit: int, offset: int) -> Iterator[bytes]:
    """Yield the directory's revision, then the list in blocks, in bounded memory.

    The snapshot lasts until the iterator is exhausted or closed.
    """
    with own_connection() as connection:
        connection.execute("BEGIN")
        revision, total, _ = connection.execute(page_sql(shape), (*values, 0, 0)).fetchone()
        yield b"%d" % revision
        yield b'{"statusCode":0,"totalCount":%d,"contacts":[' % total
        rows = connection.execute(rows_sql(shape), (*values, limit, offset))
        separator = b""
        while block := rows.fetchmany(BLOCK):
            yield separator + b",".join([row[0] for row in block])
            separator = b","
        yield b"]}"


def revision() -> int:
    """Return the directory's revision, which moves with every change of a contact."""
    return int(db.execute_sql("SELECT revision FROM directory").fetchone()[0])


def plan(query: Query) -> tuple[Shape, list[Any]]:
    """Return the query's shape and the values to bind, in the order of the statement's parameters."""
    filters: list[tuple[str, str]] = []
    values: list[Any] = []
    for attribute, given in simplified(query.filters).items():
        kind, bound = plan_filter(attribute, given)
        filters.append((attribute, kind))
        values += bound
    terms = [plan_word(word) for word in query.words] + [plan_pattern(pattern) for pattern in query.patterns]
    match = " AND ".join(dict.fromkeys(term.match for term in terms if term.match))
    exact = all(term.exact for term in terms)
    if match:
        values.append(match)
    tests = [] if exact else terms
    values += [value for term in tests for value in term.values]
    shape = Shape(
        tuple(filters),
        bool(match),
        tuple(term.test for term in tests),
        query.sort,
        query.descending,
        query.fields,
    )
    return shape, values


def simplified(filters: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the filters without a type that goes without saying, as only Users have a userName."""
    if "type" in filters and any(attribute in filters for attribute in USER_ATTRIBUTES):
        users = "user" in map(str.lower, filters["type"])
        return {name: values for name, values in filters.items() if name != "type"} if users else {"type": []}
    return filters


def plan_filter(attribute: str, given: list[str]) -> tuple[str, list[Any]]:
    """Return the key of FILTERS for an attribute and the values any of which may match, and what it binds.

    A value matches as a whole, and in parts where it has commas.
    """
    parts = [part.strip() for value in given if "," in value for part in value.split(",")]
    wanted = [*given, *filter(None, parts)]
    if attribute == "phoneNumber" and "*" in wanted:
        return "present", []
    keys = list(dict.fromkeys(ATTRIBUTES[attribute].fold(value) for value in wanted))
    if attribute == "id":
        return "ids", [as_json([row_number(key) for key in keys]), as_json(keys)]
    if not keys:
        return "never", []
    return ("one", keys) if len(keys) == 1 else ("many", [as_json(keys)])


class Term(NamedTuple):
    """One search term."""

    match: str  # for the search index: finds every contact that matches, and maybe more; "": all
    exact: bool  # the search index finds just those
    test: str  # key of TESTS: decides
    values: list[str]  # what the test binds


def plan_word(word: str) -> Term:
    """Look for a word of q in the names, and for its letters and digits in the number."""
    name, number = needle(plain(word)), needle(plain(number_key(word)))
    if name == number or not number:
        return Term(match_all(name), len(name) == 3, "word", [name])
    return Term(f"({match_all(name)} OR {match_all(number)})", False, "word or number", [name, number])


def needle(word: str) -> str:
    """Return what to look for: a short word behind the marks that say where words start."""
    return MARK * (3 - len(word)) + word if 0 < len(word) < 3 else word


def match_all(text: str) -> str:
    """Return the search index's query for all that text holds."""
    return "(" + " AND ".join('"' + three.replace('"', '""') + '"' for three in trigrams(text)) + ")"


def plan_pattern(pattern: str) -> Term:
    """Compare a whole name with the pattern, and the number with its letters and digits, when it has any."""
    parts = re.split(r"\*+", fold(pattern))
    name = "*".join(re.sub(r"[\[?]", r"[\g<0>]", part) for part in parts)
    in_names = match_pieces([plain(part) for part in parts])
    if not number_key(pattern):
        return Term(in_names, False, "name pattern", [name] * len(NAMES))
    number_parts = [number_key(part) for part in parts]
    number = re.sub(r"\*+", "*", "*".join(number_parts))
    in_numbers = match_pieces([plain(part) for part in number_parts])
    either = " OR ".join(dict.fromkeys([in_names, in_numbers])) if in_names and in_numbers else ""
    return Term(either and f"({either})", False, "pattern", [name] * len(NAMES) + [number])


def match_pieces(parts: list[str]) -> str:
    """Return the search index's query for the literal parts of a pattern; "": it cannot help."""
    found = [piece for index, part in enumerate(parts) for piece in pieces(part, index == 0)]
    return f"({' AND '.join(map(match_all, found))})" if found else ""


def pieces(part: str, first: bool) -> list[str]:
    """Return what the search index can look for in the literal part of a pattern.

    A word that is known to start here (at the start of the value, or behind a blank) has its marks.
    """
    found = []
    for index, word in enumerate(part.split()):
        starts = first or index > 0 or part[0].isspace()
        found.append(MARK + MARK + word if starts else word)
        first = False
    return [piece for piece in found if len(piece) >= 3]


def as_json(values: list[Any]) -> str:
    """Return a list as one value to bind, so that the statement is the same for any number."""
    return json.dumps(values, ensure_ascii=False)


@lru_cache(maxsize=1024)
def page_sql(shape: Shape) -> str:
    """Return the statement that gives a whole Page; it ends in the parameters limit and offset."""
    where = numbered(shape)
    return (
        f"SELECT revision, ({total_sql(shape)}), (SELECT CAST(group_concat(json) AS BLOB) FROM "
        f"(SELECT {columns_sql(shape.fields)} AS json {where} ORDER BY {order_sql(shape)} "
        f"LIMIT ?{parameters(where) + 1} OFFSET ?{parameters(where) + 2})) FROM directory"
    )


@lru_cache(maxsize=1024)
def rows_sql(shape: Shape) -> str:
    """Return the statement that gives the contacts row by row, with the parameters of page_sql."""
    where = numbered(shape)
    return (
        f"SELECT CAST({columns_sql(shape.fields)} AS BLOB) {where} ORDER BY {order_sql(shape)} "
        f"LIMIT ?{parameters(where) + 1} OFFSET ?{parameters(where) + 2}"
    )


def numbered(shape: Shape) -> str:
    """Return the FROM and WHERE clauses; the parameters are numbered, as a statement may repeat them."""
    tests = [FILTERS[kind].format(ATTRIBUTES[attribute].key) for attribute, kind in shape.filters]
    source = "FROM contact"
    if shape.match:
        # CROSS: the search index comes first, then the rows that it names.
        source = "FROM contact_search CROSS JOIN contact ON contact.seq = contact_search.rowid"
        tests.append("contact_search MATCH ?")
    tests += [TESTS[test] for test in shape.tests]
    clause = f"{source} WHERE {' AND '.join(tests)}" if tests else source
    numbers = iter(range(1, clause.count("?") + 1))
    return re.sub(r"\?", lambda _: f"?{next(numbers)}", clause)


def parameters(clause: str) -> int:
    """Return how many parameters a clause binds."""
    return clause.count("?")


def total_sql(shape: Shape) -> str:
    """Return the query for the number of contacts that match: the counters', where they know it."""
    narrowed = (shape.filters, shape.match, shape.tests)
    if narrowed == ((), False, ()):
        return "customs + queues + users"
    if narrowed == ((("type", "one"),), False, ()):
        return "CASE ?1 WHEN 'Custom' THEN customs WHEN 'Queue' THEN queues ELSE users END"
    if narrowed == ((), True, ()):
        return "SELECT count(*) FROM contact_search WHERE contact_search MATCH ?1"
    return f"SELECT count(*) {numbered(shape)}"


def order_sql(shape: Shape) -> str:
    """Return the ORDER BY terms: contacts without the attribute last, the id between equals.

    Descending is the reverse of ascending, but for the contacts without the attribute.
    """
    key, direction = ATTRIBUTES[shape.sort].key, " DESC" if shape.descending else ""
    if key == "seq":
        return f"contact.seq{direction}"
    nulls = " NULLS LAST" if shape.sort not in {"name", "type"} else ""
    return f"{key}{direction}{nulls}, contact.seq{direction}"


@lru_cache(maxsize=256)
def columns_sql(fields: tuple[str, ...] | None) -> str:
    """Return the expression for a contact's JSON with these attributes; None: with all of them."""
    if fields is None:
        return "json"
    columns = [(name, ATTRIBUTES[name].column) for name in fields]
    members = [f"""iif({column} IS NULL, '', ',"{name}":' || json_quote({column}))""" for name, column in columns]
    return f"'{{' || substr({' || '.join(members)}, 2) || '}}'"

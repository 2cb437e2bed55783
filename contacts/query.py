"""The query language of GET /contacts, as SQL.

The SQL of a query depends only on its shape (which filters, how many search terms, which sort), and is made once for
each shape. Values are always bound parameters.
"""

import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

from contacts.database import db, separate_connection
from contacts.model import ATTRIBUTES, USER_ATTRIBUTES, row_number
from contacts.text import BETWEEN, EDGE, HEAD, WORD, fold, marked, number_key, plain, without_accents

# Longer lists are streamed, in blocks of so many rows.
STREAM_BLOCK_ROWS = 1000

# So many hits of a search are counted, sorted and answered by one statement.
MAX_SORTED_HITS = 100

# So many hits that must be tested are counted and sorted by the statement that tests them.
MAX_TESTED_HITS = 60_000

# So many rows are read in their order first: to skip them, or to see how dense the hits are.
GLANCE_ROWS = 500

# So many rows are read at most, in the order of the name, to find a page of a search's hits.
WALK_ROWS = 8000

# The largest integer that SQLite binds.
MAX_INTEGER = 2**63 - 1


class Query(NamedTuple):
    """The query of a client. Its values are as the client wrote them, trimmed."""

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
    """All that the SQL of a query depends on."""

    filters: tuple[tuple[str, str], ...]  # attribute and key of FILTERS
    tests: tuple[tuple[str, bool], ...]  # key of TESTS, and whether the search index has decided it
    searched: bool  # the search index finds the rows
    unordered: bool  # the filters may leave most contacts, and no index has those in their order
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

# The attributes of which a value is shared by ever more contacts. SQLite looks contacts up by the first of a query's
# filters, and tests the others: without statistics, it takes all indexes for equally good.
SELECTIVE = ("id", "userName", "employeeId", "phoneNumber", "lastName", "firstName", "type")

# The attributes whose filters join in the look-up by another: the indexes end in the name or have both, but for those
# by which one contact is found.
JOINED: dict[str, set[str]] = {"lastName": {"name", "firstName"}, "id": set(), "userName": set()}

# How a row is compared with a search term.
NAMES = ("name_key", "user_name_key", "first_name_key", "last_name_key")
FOUND = "instr(contact.search_{0}, ?) OR instr(contact.plain_{0}, ?)"
TESTS = {
    "word": f"({FOUND.format('names')} OR {FOUND.format('number')})",
    "start": f"({FOUND.format('names')} OR {FOUND.format('names')} OR {FOUND.format('number')})",
    "pattern": f"({' OR '.join(f'{name} GLOB ?' for name in NAMES)} OR phone_key GLOB ?)",
}


def read(query: Query) -> Answer:
    """Return the list of contacts that the query asks for, from one snapshot of the directory."""
    shape, values = plan(query)
    limit, offset = MAX_INTEGER if query.limit is None else query.limit, query.offset
    if shape.searched and is_narrow(shape):
        revision, total, contacts = run(hits_sql(shape, MAX_SORTED_HITS + 1), (*values, limit, offset))
        if total <= MAX_SORTED_HITS:
            return answer(revision, total, contacts)
    if shape.searched or shape.unordered or limit > STREAM_BLOCK_ROWS or offset > GLANCE_ROWS:
        revision, total, contacts = find(shape, values, limit, offset)
    else:
        revision, total, contacts = run(page_sql(shape), (*values, limit, offset))
    if contacts is None and min(limit, total - offset) > STREAM_BLOCK_ROWS:
        blocks = stream(shape, values, limit, offset)
        return Answer(int(next(blocks)), blocks)
    return answer(revision, total, contacts)


def answer(revision: int, total: int, contacts: bytes | None) -> Answer:
    """Return a list in one piece."""
    return Answer(revision, b'{"statusCode":0,"totalCount":%d,"contacts":[%b]}' % (total, contacts or b""))


def find(shape: Shape, values: list[Any], limit: int, offset: int) -> tuple[int, int, bytes | None]:
    """Return the revision, the total and a page of contacts, or None for a long one, by a way that suits the total.

    A page behind the middle is looked for from the end. Where the filters leave most contacts, walking all in their
    order is quicker than sorting those. Where a search's hits are dense, walking the contacts in their order meets a
    page of them soon; where they are rare, or far from the first, finding all and sorting them is quicker. Where each
    must be tested, it is tested once.
    """
    with db.atomic():
        if shape.searched and not is_decided(shape) and limit <= STREAM_BLOCK_ROWS:
            found, contacts = 0, None
            if shape.sort == "name":
                found, contacts = run(found_sql(shape, "glance"), (*values, limit, offset))
            if found == limit:
                revision, _, total = run(head_sql(shape), values)
                return revision, total, contacts
            revision, total, contacts = run(hits_sql(shape, MAX_TESTED_HITS + 1), (*values, limit, offset))
            if total <= MAX_TESTED_HITS:
                return revision, total, contacts
        revision, size, total = run(head_sql(shape), values)
        wanted = min(limit, total - offset)
        if not 0 < wanted <= STREAM_BLOCK_ROWS:
            return revision, total, None
        source = "search" if shape.searched else "order" if shape.unordered and 2 * total > size else "table"
        backward = not shape.searched and offset > total / 2
        # A contact that is walked over takes longer than four hits that are found.
        worth = min(total // 4, WALK_ROWS)
        if shape.searched and shape.sort == "name" and (offset + wanted) * size < 0.75 * worth * total:
            found, contacts = run(found_sql(shape, "glance"), (*values, wanted, offset))
            # An offset hides how dense the first ones are.
            if found < wanted and (offset or wanted * GLANCE_ROWS < worth * found):
                found, contacts = run(found_sql(shape, "walk"), (*values, wanted, offset))
            if found == wanted:
                return revision, total, contacts
        skipped = total - offset - wanted if backward else offset
        _, contacts = run(found_sql(shape, source, backward), (*values, wanted, skipped))
    return revision, total, contacts


def run(statement: str, values: Sequence[Any]) -> Any:
    """Return the one row of a statement."""
    return db.execute_sql(*binding(statement, values)).fetchone()


def binding(statement: str, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """Return a statement and the values that it needs: one that counts takes no limit and offset."""
    return statement, values[: parameters(statement)]


@lru_cache(maxsize=4096)
def parameters(statement: str) -> int:
    """Return the highest number of a statement's parameters."""
    return max(map(int, re.findall(r"\?(\d+)", statement)), default=0)


def stream(shape: Shape, values: list[Any], limit: int, offset: int) -> Iterator[bytes]:
    """Yield the directory's revision, then the list in blocks, in bounded memory.

    The snapshot lasts until the iterator is exhausted or closed.
    """
    # A small cache: each row is read once.
    with separate_connection(cache_size=-1024) as database, database.atomic():
        revision, _, total = database.execute_sql(*binding(head_sql(shape), values)).fetchone()
        yield b"%d" % revision
        yield b'{"statusCode":0,"totalCount":%d,"contacts":[' % total
        statement = f"SELECT CAST(json AS BLOB) FROM ({rows_sql(shape, 'search' if shape.searched else 'table')})"
        rows = database.execute_sql(*binding(statement, (*values, limit, offset)))
        separator = b""
        while block := rows.fetchmany(STREAM_BLOCK_ROWS):
            yield separator + b",".join([row[0] for row in block])
            separator = b","
        yield b"]}"


def revision() -> int:
    """Return the directory's revision, which moves with every change of a contact."""
    return int(db.execute_sql("SELECT revision FROM directory").fetchone()[0])


def plan(query: Query) -> tuple[Shape, list[Any]]:
    """Return the query's shape and the values to bind, in the order of fragments()."""
    filters: list[tuple[str, str]] = []
    values: list[Any] = []
    for attribute, given in simplified(query.filters).items():
        kind, bound = plan_filter(attribute, given)
        filters.append((attribute, kind))
        values += bound
    # Every contact has a name that * matches.
    patterns = [pattern for pattern in query.patterns if pattern.strip("*")]
    terms = [plan_word(word) for word in query.words] + [plan_pattern(pattern) for pattern in patterns]
    match = " AND ".join(dict.fromkeys(term.match for term in terms))
    values.append(match)
    values += [value for term in terms for value in term.values]
    # A filter by anything but the type leaves few rows, quicker to test than to search for.
    broad = all(attribute == "type" or kind == "present" for attribute, kind in filters)
    ordered = not filters or (filters == [("type", "one")] and query.sort in {"id", "name", "type"})
    shape = Shape(
        tuple(filters),
        tuple((term.test, term.exact) for term in terms),
        broad and bool(terms),
        broad and not ordered,
        query.sort,
        query.descending,
        query.fields,
    )
    return shape, values


def simplified(filters: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the filters without a type that the others imply, as only Users have a userName."""
    if "type" in filters and any(attribute in filters for attribute in USER_ATTRIBUTES):
        users = "user" in map(str.lower, filters["type"])
        return {name: values for name, values in filters.items() if name != "type"} if users else {"type": []}
    return filters


def plan_filter(attribute: str, given: list[str]) -> tuple[str, list[Any]]:
    """Return the key of FILTERS for an attribute and its values, any of which may match, and the values to bind.

    A value matches as a whole, and in parts where it has commas. One without letters and digits is no number.
    """
    parts = [part.strip() for value in given if "," in value for part in value.split(",")]
    wanted = [*given, *filter(None, parts)]
    if attribute == "phoneNumber" and "*" in wanted:
        return "present", []
    keys = list(dict.fromkeys(filter(None, map(ATTRIBUTES[attribute].make_key, wanted))))
    if attribute == "id":
        return "ids", [as_json([row_number(key) for key in keys]), as_json(keys)]
    if not keys:
        return "never", []
    return ("one", keys) if len(keys) == 1 else ("many", [as_json(keys)])


class Term(NamedTuple):
    """One search term."""

    match: str  # what the search index looks for: it finds every contact that matches
    exact: bool  # the search index finds just those
    test: str  # key of TESTS
    values: Sequence[str | None]  # what the test binds


def plan_word(word: str) -> Term:
    """Return the term of a word of q: in the names, and its letters and digits in the number; a short one at starts."""
    name = plain(word)
    number = without_accents(number_key(word)) or name
    names, numbers = [marked(name)], [number]
    if len(name) < 3:
        names = [start[len(name) - 3 :] + names[0] for start in (EDGE, WORD)]
    if len(number) < 3:
        numbers = [EDGE[len(number) - 3 :] + number]
    match = any_of(names)  # in any column: a number has no words in it
    if name != number:
        match = f"({{search_names plain_names}} : {match} OR {{search_number plain_number}} : {any_of(numbers)})"
    values = [text for text in names + numbers for _ in range(2)]
    return Term(match, True, "word" if len(names) == 1 else "start", values)


def plan_pattern(pattern: str) -> Term:
    """Return the term of a pattern: for a whole name, and its letters and digits, if it has any, for the number."""
    folded = fold(pattern)
    name = _wildcards.sub("*", folded)
    found, exact = needles(name)
    match = f"(search_names : {all_of(found)})"
    number = _wildcards.sub("*", "".join(each for each in folded if each == "*" or each.isalnum()))
    if number.strip("*"):
        digits, both = needles(number)
        exact = exact and both
        if digits == found:
            match = f"({{search_names search_number}} : {all_of(found)})"
        else:
            match = f"({match} OR (search_number : {all_of(digits)}))"
    glob = _special.sub(r"[\g<0>]", name)
    return Term(match, exact, "pattern", (*[glob] * len(NAMES), number if number.strip("*") else None))


# One or more *, and what else means something to GLOB.
_wildcards = re.compile(r"\*+")
_special = re.compile(r"[\[?]")


def needles(pattern: str) -> tuple[list[str], bool]:
    """Return the texts in the search index for the literal parts of a pattern, and whether they decide the match.

    Of several, it does not know whether one value has them, in this order, but for what a value starts and ends with:
    its first characters follow its end. Whether it is long enough for both it does not know: n is not what n*n means.
    """
    first, *between, last = pattern.split("*") if "*" in pattern else (pattern, "")
    found = [needle(part, False, False) for part in between if part]
    start = marked(first)
    if start and last and len(start) <= HEAD:
        found.append(marked(last) + EDGE + start)
        overlaps = any(first.endswith(last[:size]) for size in range(1, len(last) + 1))
        exact = len(found) == 1 and not overlaps
    else:
        if first:
            found.append(needle(first, True, "*" not in pattern))
        if last:
            found.append(needle(last, False, True))
        exact = len(found) == 1
    return list(dict.fromkeys(found)), exact


def needle(part: str, starts: bool, ends: bool) -> str:
    """Return the text in the search index, of three characters or more, for a part where a value starts or ends."""
    if starts or ends:
        before, behind = starts * EDGE, ends * EDGE
        text = marked(part)
        if len(text) > 1 or (starts and ends):
            before, behind = before[-1:], behind[:1]
        return before + text + behind
    return BETWEEN.join(part).center(3, BETWEEN) if len(part) < 3 else marked(part)


def any_of(texts: list[str]) -> str:
    """Return the search index's query for any of these texts."""
    return f"({' OR '.join(map(quoted, texts))})"


def all_of(texts: list[str]) -> str:
    """Return the search index's query for all of these texts."""
    return f"({' AND '.join(map(quoted, texts))})"


def quoted(text: str) -> str:
    """Return the search index's query for three or more characters in a row."""
    return '"' + text.replace('"', '""') + '"'


def as_json(values: list[Any]) -> str:
    """Return a list as one value to bind, so that the statement is the same for any number."""
    return json.dumps(values, ensure_ascii=False)


class Fragments(NamedTuple):
    """The conditions of a shape, their parameters numbered, so that each statement takes those it needs."""

    filters: list[str]
    match: str
    tests: list[str]
    limit: str


def fragments(shape: Shape, only_tests: bool = False) -> Fragments:
    """Return the conditions of a shape; the parameters are the filters', the match, the tests', limit and offset.

    only_tests: no index serves a filter.
    """
    numbers = count(1)

    def number(sql: str) -> str:
        return re.sub(r"\?", lambda _: f"?{next(numbers)}", sql)

    filters = dict(shape.filters)
    first = next((attribute for attribute in SELECTIVE if filters.get(attribute, "present") != "present"), "")
    looked_up = {first, *JOINED.get(first, {"name"})} if first else set(filters)

    def tested(attribute: str) -> str:
        # +: no index serves it.
        return ("+" if only_tests or attribute not in looked_up else "") + ATTRIBUTES[attribute].key_column

    return Fragments(
        [number(FILTERS[kind].format(tested(attribute))) for attribute, kind in shape.filters],
        number("contact_search MATCH ?"),
        [number(TESTS[test]) for test, _ in shape.tests],
        number("LIMIT ? OFFSET ?"),
    )


def source_sql(shape: Shape, source: str) -> str:
    """Return the FROM and WHERE clauses of the contacts that match, found in one of five ways.

    table: by the filters' indexes, or all; order: by the sort's index; search: by the search index; glance and walk:
    among the first in their order.
    """
    parts = fragments(shape, source == "order")
    if source == "search":
        undecided = [test for test, (_, exact) in zip(parts.tests, shape.tests, strict=True) if not exact]
        index = "INDEXED BY contact_in_search" if is_narrow(shape) else ""
        # CROSS: the search index comes first, then the rows that it names.
        return (
            f"FROM contact_search CROSS JOIN contact {index} ON contact.seq = contact_search.rowid "
            f"WHERE {' AND '.join([parts.match, *parts.filters, *undecided])}"
        )
    conditions = [*parts.filters, *parts.tests]
    if source in {"glance", "walk"}:
        length = GLANCE_ROWS if source == "glance" else WALK_ROWS
        filters = f"WHERE {' AND '.join(parts.filters)}" if parts.filters else ""
        comparison, beyond, direction = (">=", "''", "DESC") if shape.descending else ("<=", "x'ff'", "ASC")
        last = f"SELECT name_key FROM contact {filters} ORDER BY name_key {direction} LIMIT 1 OFFSET {length}"
        conditions.append(f"name_key {comparison} coalesce(({last}), {beyond})")
    return "FROM contact" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")


def is_narrow(shape: Shape) -> bool:
    """Return whether the index contact_in_search is enough to count and sort the hits of a search."""
    needed = {shape.sort, *(attribute for attribute, _ in shape.filters)}
    return needed <= {"id", "type", "name"} and is_decided(shape)


def is_decided(shape: Shape) -> bool:
    """Return whether all that the search index finds matches."""
    return all(exact for _, exact in shape.tests)


@lru_cache(maxsize=1024)
def hits_sql(shape: Shape, most: int) -> str:
    """Return the statement for the revision, the number of hits (`most` at most), and a page of the hits."""
    key = ATTRIBUTES[shape.sort].key_column
    columns = "contact.seq" if key == "seq" else f"contact.seq, {key}"
    found = f"SELECT {columns} {source_sql(shape, 'search')} LIMIT {most}"
    page = f"SELECT contact.seq FROM found AS contact ORDER BY {order_sql(shape)} {fragments(shape).limit}"
    rows = f"SELECT {columns_sql(shape.fields)} AS json FROM ({page}) AS page CROSS JOIN contact USING (seq)"
    contacts = f"SELECT CAST(group_concat(json) AS BLOB) FROM ({rows})"
    return (
        f"WITH found AS MATERIALIZED ({found}) "
        f"SELECT revision, (SELECT count(*) FROM found), ({contacts}) FROM directory"
    )


@lru_cache(maxsize=1024)
def page_sql(shape: Shape) -> str:
    """Return the statement for the revision, the total and a page of contacts.

    SQLite works a subquery for one value out in place; one that is joined needs a table of its own.
    """
    contacts = f"SELECT CAST(group_concat(json) AS BLOB) FROM ({rows_sql(shape, 'table')})"
    return f"SELECT revision, ({total_sql(shape)}), ({contacts}) FROM directory"


@lru_cache(maxsize=1024)
def head_sql(shape: Shape) -> str:
    """Return the statement for the revision, the number of all contacts, and the number of those that match."""
    return f"SELECT revision, customs + queues + users, ({total_sql(shape)}) FROM directory"


@lru_cache(maxsize=1024)
def found_sql(shape: Shape, source: str, backward: bool = False) -> str:
    """Return the statement for the number of contacts on a page, and the contacts."""
    return f"SELECT count(*), CAST(group_concat(json) AS BLOB) FROM ({rows_sql(shape, source, backward)})"


@lru_cache(maxsize=1024)
def rows_sql(shape: Shape, source: str, backward: bool = False) -> str:
    """Return the query for the JSON of a page of contacts, one by one.

    backward: limit and offset count from the last contact.
    """
    order, columns, limit = order_sql(shape, backward), columns_sql(shape.fields), fragments(shape).limit
    if source == "table" and shape.sort == "name" and not backward:
        return f"SELECT {columns} AS json {source_sql(shape, source)} ORDER BY {order} {limit}"
    # The page's numbers come first, from an index alone where one is in the right order: the rows that an offset
    # skips are not read, and a sort does not carry them along. CROSS: in the order of the page.
    page = f"SELECT contact.seq {source_sql(shape, source)} ORDER BY {order} {limit}"
    again = f"ORDER BY {order_sql(shape)}" if backward else ""
    return f"SELECT {columns} AS json FROM ({page}) AS page CROSS JOIN contact USING (seq) {again}"


def total_sql(shape: Shape) -> str:
    """Return the query for the number of contacts that match, from the counters if they have it."""
    if not shape.filters and not shape.tests:
        return "customs + queues + users"
    if shape.filters == (("type", "one"),) and not shape.tests:
        return "CASE ?1 WHEN 'Custom' THEN customs WHEN 'Queue' THEN queues ELSE users END"
    if shape.searched and not shape.filters and is_decided(shape):
        return f"SELECT count(*) FROM contact_search WHERE {fragments(shape).match}"
    return f"SELECT count(*) {source_sql(shape, 'search' if shape.searched else 'table')}"


def order_sql(shape: Shape, backward: bool = False) -> str:
    """Return the ORDER BY terms: contacts without the attribute last, the id between equals.

    Descending is the reverse of ascending, but for the contacts without the attribute. backward: the reverse of all.
    """
    key, direction = ATTRIBUTES[shape.sort].key_column, " DESC" if shape.descending is not backward else ""
    if key == "seq":
        return f"contact.seq{direction}"
    nulls = f" NULLS {'FIRST' if backward else 'LAST'}" if shape.sort not in {"name", "type"} else ""
    return f"{key}{direction}{nulls}, contact.seq{direction}"


@lru_cache(maxsize=256)
def columns_sql(fields: tuple[str, ...] | None) -> str:
    """Return the expression for a contact's JSON with these attributes; None: with all of them."""
    if fields is None:
        return "json"
    columns = [(name, ATTRIBUTES[name].column) for name in fields]
    members = [f"""iif({column} IS NULL, '', ',"{name}":' || json_quote({column}))""" for name, column in columns]
    return f"'{{' || substr({' || '.join(members)}, 2) || '}}'"

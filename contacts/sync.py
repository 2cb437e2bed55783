"""The directory sync: makes the Users, or the Queues, of the directory equal to a file.

The file is read, checked and compared without holding up anybody: in temporary tables that only this
connection sees. Then just the differences are written: a few in one transaction, many in several.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any, NamedTuple, Self

from contacts.database import only_one, own_connection, transaction
from contacts.files import Row
from contacts.model import ATTRIBUTES, COLUMNS, DELETE, INSERT, WHERE, columns, locate, update
from contacts.text import clean, fold, number_key

# As many differences are one transaction, all or nothing.
WHOLE = 5000
# More go in several of this size: a writer of the service waits for one of them at the most.
BATCH = 4000

# As many pages of the search index are merged in one transaction.
MERGE = 200

# What the connection of a sync is told beside database.PRAGMAS.
PRAGMAS = (
    ("busy_timeout", 60_000),  # milliseconds: it can wait for the service's writers longer than they for it
    ("cache_size", -32768),  # KiB
    ("wal_autocheckpoint", 10_000),  # pages: most are written several times, and so once for several transactions
)

VALUES = ("name", "phoneNumber", "userName", "firstName", "lastName", "employeeId")
VALUE_COLUMNS = COLUMNS[1 : 1 + len(VALUES)]

# What a type has, the attribute that its contacts are matched by, and that match in SQL.
ATTRIBUTES_OF = {"User": set(VALUES), "Queue": {"name", "phoneNumber"}, "Custom": {"name", "phoneNumber"}}
LONGEST = {name: attribute.longest for name, attribute in ATTRIBUTES.items()}
KEY_OF = {"User": "userName", "Queue": "name", "Custom": "name"}
MATCHES = {
    "User": "contact.user_name_key = incoming.key",
    "Queue": "contact.type = 'Queue' AND contact.name_key = incoming.key",
    "Custom": "contact.type = 'Custom' AND contact.name_key = incoming.key AND contact.phone_key IS incoming.phone_key",
}

TEMPORARY = f"""
CREATE TEMP TABLE incoming (
    number INTEGER PRIMARY KEY, line INTEGER, key TEXT, phone_key TEXT, {" TEXT, ".join(VALUE_COLUMNS)} TEXT
);
CREATE TEMP TABLE kept (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE rejected (line INTEGER, reasons TEXT, row TEXT);
CREATE TEMP TABLE difference (action TEXT, id TEXT, number INTEGER);
"""
INTO_INCOMING = (
    f"INSERT INTO incoming (line, key, phone_key, {', '.join(VALUE_COLUMNS)}) "
    f"VALUES (?, ?, ?{', ?' * len(VALUE_COLUMNS)})"
)

# Each row whose key another row has, with the line of the first other one.
DUPLICATES = """
WITH
    firsts AS (SELECT key, min(number) AS first FROM incoming GROUP BY key HAVING count(*) > 1),
    twice AS MATERIALIZED (
        SELECT key, first, (
            SELECT min(number) FROM incoming WHERE incoming.key = firsts.key AND number > first
        ) AS second
        FROM firsts
    )
SELECT incoming.number, incoming.line, other.line
FROM twice
JOIN incoming ON incoming.key = twice.key
JOIN incoming AS other ON other.number = iif(incoming.number = first, second, first)
"""


class SyncError(Exception):
    """The sync cannot be done; nothing was changed."""


class Rejected(NamedTuple):
    """A row that is refused: its line, the reasons by column, and its values as they were."""

    line: int
    reasons: dict[str, str]
    values: dict[str, Any]


class Summary(NamedTuple):
    """What a sync did, or would do: numbers of contacts."""

    added: int
    changed: int
    removed: int
    unchanged: int
    rejected: int
    skipped: int

    def __str__(self) -> str:
        parts = [f"{count} {name}" for name, count in self._asdict().items() if count or name != "skipped"]
        return ", ".join(parts)


class BadRowError(Exception):
    """A row breaks the rules of its values: reasons by column."""


def checked(type_: str, row: Row) -> dict[str, str] | None:
    """Return a row's contact in the API's terms, or None for a row of another type.

    Raise BadRowError with the reasons by column when the row breaks the rules of the type.
    """
    if row.problem:
        raise BadRowError({"row": row.problem})
    contact, reasons = cleaned(row)
    kind = contact.pop("type", type_).capitalize()
    if kind in ATTRIBUTES_OF and kind != type_:
        return None
    if kind != type_:
        reasons["type"] = f"Must be {type_}, or another type whose rows are skipped: {', '.join(ATTRIBUTES_OF)}."
    if not contact.keys() <= ATTRIBUTES_OF[type_]:
        reasons |= {name: f"A {type_} has none." for name in contact if name not in ATTRIBUTES_OF[type_]}
    if type_ == "User" and "name" not in contact and "name" not in reasons:
        contact |= full_name(contact, reasons)
    for name in ("name", KEY_OF[type_]):
        if name not in contact:
            reasons.setdefault(name, f"A {type_} needs one.")
    if reasons:
        raise BadRowError(reasons)
    return contact


def cleaned(row: Row) -> tuple[dict[str, str], dict[str, str]]:
    """Return a row's values as they are stored, but for its id, and the reasons why some cannot be."""
    contact: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for name, value in row.values.items():
        if name == "id":
            continue
        try:
            if not isinstance(value, str):
                raise ValueError("Must be text.")
            if not value.isspace():
                contact[name] = clean(value, LONGEST[name])
        except ValueError as error:
            reasons[name] = str(error)
    return contact, reasons


def full_name(contact: dict[str, str], reasons: dict[str, str]) -> dict[str, str]:
    """Return the name that a User's first and last name make, if any."""
    name = " ".join(contact[part] for part in ("firstName", "lastName") if part in contact)
    try:
        return {"name": clean(name, LONGEST["name"])} if name else {}
    except ValueError as error:
        reasons["name"] = f"Made of firstName and lastName: {error}"
        return {}


class Sync:
    """One run: load() the rows, then look at rejected(), compare() and apply(). A context manager."""

    def __init__(self, type_: str) -> None:
        self.type = type_
        self.skipped = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if not stack.enter_context(only_one("-sync")):
                raise SyncError("another sync or import is running; run this one when it is done")
            self.connection = stack.enter_context(own_connection(PRAGMAS))
            self.connection.executescript(TEMPORARY)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    def load(self, rows: Iterable[Row]) -> None:
        """Check the rows and keep them, the bad ones apart. Raise files.FileError as reading does."""
        # Only temporary tables are written, so this transaction holds up nobody.
        with transaction(self.connection, "BEGIN"):
            good = self._good(rows)
            while batch := list(islice(good, WHOLE)):
                self.connection.executemany(INTO_INCOMING, batch)
            self.connection.execute("CREATE INDEX incoming_key ON incoming (key, phone_key)")
            if self.type != "Custom":
                self._reject_duplicates()

    def _good(self, rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
        """Yield what INTO_INCOMING binds for each good row."""
        for row in rows:
            try:
                contact = checked(self.type, row)
            except BadRowError as error:
                self._reject(row.line, error.args[0], row.values)
                continue
            if contact is None:
                self.skipped += 1
                continue
            number = contact.get("phoneNumber")
            phone_key = number_key(number) if number and self.type == "Custom" else None
            yield (row.line, fold(contact[KEY_OF[self.type]]), phone_key, *map(contact.get, VALUES))

    def _reject(self, line: int, reasons: dict[str, str], values: dict[str, Any]) -> None:
        """Keep a bad row apart. A contact that it names is neither changed nor removed."""
        self.connection.execute(
            "INSERT INTO rejected VALUES (?, ?, ?)", (line, json.dumps(reasons), json.dumps(values, default=str))
        )
        key = values.get(KEY_OF[self.type])
        if isinstance(key, str):
            self.connection.execute(
                "INSERT OR IGNORE INTO kept VALUES (?)", (fold(key.strip()).encode("utf-8", "replace").decode(),)
            )

    def _reject_duplicates(self) -> None:
        """Reject the rows whose key another row has: there is no telling which one is right."""
        attribute = KEY_OF[self.type]
        for number, line, other in self.connection.execute(DUPLICATES).fetchall():
            values = self._incoming(number)
            self._reject(line, {attribute: f"The same as on line {other}."}, values)
            self.connection.execute("DELETE FROM incoming WHERE number = ?", (number,))

    def _incoming(self, number: int) -> dict[str, str]:
        """Return an incoming contact in the API's terms."""
        row = self.connection.execute(
            f"SELECT {', '.join(VALUE_COLUMNS)} FROM incoming WHERE number = ?", (number,)
        ).fetchone()
        return {name: value for name, value in zip(VALUES, row, strict=True) if value is not None}

    def rejected(self) -> Iterator[Rejected]:
        """Yield the bad rows in the order of their lines."""
        for line, reasons, values in self.connection.execute("SELECT * FROM rejected ORDER BY line"):
            yield Rejected(line, json.loads(reasons), json.loads(values))

    def compare(self, delete: bool = True) -> Summary:
        """Find the differences between the rows and the directory, and return their numbers."""
        match, run = MATCHES[self.type], self.connection.execute
        with transaction(self.connection, "BEGIN"):
            run("DELETE FROM difference")
            if delete:
                run(
                    "INSERT INTO difference SELECT 'removed', id, NULL FROM contact WHERE type = ? "
                    f"AND NOT EXISTS (SELECT 1 FROM incoming WHERE {match}) "
                    f"AND NOT EXISTS (SELECT 1 FROM kept AS incoming WHERE {match})",
                    (self.type,),
                )
            if self.type != "Custom":
                differs = f"({columns_of('contact')}) IS NOT ({columns_of('incoming')})"
                run(
                    "INSERT INTO difference SELECT 'changed', contact.id, incoming.number "
                    f"FROM incoming CROSS JOIN contact ON {match} WHERE {differs}"
                )
            # min(): of the same Custom contact twice in a file, the first.
            run(
                "INSERT INTO difference SELECT 'added', NULL, min(number) FROM incoming "
                f"WHERE NOT EXISTS (SELECT 1 FROM contact WHERE {match}) GROUP BY key, phone_key ORDER BY key"
            )
            counts = dict(run("SELECT action, count(*) FROM difference GROUP BY action").fetchall())
            rows = run("SELECT count(*) FROM incoming").fetchone()[0]
            rejected = run("SELECT count(*) FROM rejected").fetchone()[0]
        added, changed, removed = (counts.get(action, 0) for action in ("added", "changed", "removed"))
        return Summary(added, changed, removed, rows - added - changed, rejected, self.skipped)

    def lost(self) -> dict[str, int]:
        """Return the attributes that no row has and that contacts would lose, with the number of those."""
        counted = ", ".join(f"count({column})" for column in VALUE_COLUMNS)
        given = self.connection.execute(f"SELECT {counted} FROM incoming").fetchone()
        absent = [index for index, number in enumerate(given) if not number]
        lost = {}
        for index in absent:
            query = f"SELECT count(contact.{VALUE_COLUMNS[index]}) FROM incoming JOIN contact ON {MATCHES[self.type]}"
            lost[VALUES[index]] = self.connection.execute(query).fetchone()[0]
        return {attribute: number for attribute, number in lost.items() if number}

    def present(self) -> int:
        """Return how many contacts of the type the directory has."""
        return int(self.connection.execute("SELECT count(*) FROM contact WHERE type = ?", (self.type,)).fetchone()[0])

    def apply(self, progress: Callable[[int], None] = lambda _: None) -> None:
        """Write the differences, in one transaction or in several; `progress` gets the size of each.

        Each statement does nothing where another run has done its work, so a killed run is completed
        by the next one.
        """
        several = self._differences() > WHOLE
        statement = (
            f"SELECT difference.rowid, action, id, {', '.join(VALUE_COLUMNS)} "
            "FROM difference LEFT JOIN incoming USING (number) WHERE difference.rowid > ? "
            f"ORDER BY difference.rowid LIMIT {BATCH if several else WHOLE}"
        )
        last = 0
        while batch := self.connection.execute(statement, (last,)).fetchall():
            last = batch[-1][0]
            # What there is to compute is computed before the lock is taken.
            removed = [locate(contact_id) for _, action, contact_id, *_ in batch if action == "removed"]
            changed = self._updates(
                {contact_id: values for _, action, contact_id, *values in batch if action == "changed"}
            )
            added = [self._columns(values) for _, action, _, *values in batch if action == "added"]
            with transaction(self.connection, "BEGIN IMMEDIATE"):
                self.connection.executemany(DELETE, removed)
                for statement_of_columns, rows in changed.items():
                    self.connection.executemany(statement_of_columns, rows)
                self.connection.executemany(f"{INSERT} ON CONFLICT DO NOTHING", added)
            progress(len(batch))
        if several:
            self._merge()

    def _merge(self) -> None:
        """Make one piece of what the transactions have added to the search index, as a search looks into each.

        In steps of some 20 ms, so that others write in between (https://www.sqlite.org/fts5.html, 6.9).
        """
        pages, work = -MERGE, 2
        while work > 1:
            before = self.connection.total_changes
            with transaction(self.connection, "BEGIN IMMEDIATE"):
                self.connection.execute(
                    "INSERT INTO contact_search (contact_search, rank) VALUES ('merge', ?)", (pages,)
                )
            pages, work = MERGE, self.connection.total_changes - before

    def record(self, summary: Summary | None) -> None:
        """Keep what the sync did, None: it failed, and when, for /metrics. Imports are not kept."""
        if self.type == "Custom":
            return
        numbers = (summary.added, summary.changed, summary.removed, summary.rejected) if summary else (0, 0, 0, 0)
        with transaction(self.connection, "BEGIN IMMEDIATE"):
            self.connection.execute(
                "INSERT OR REPLACE INTO sync (type, finished, failed, added, changed, removed, rejected) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (self.type, int(time.time()), summary is None, *numbers),
            )

    def _differences(self) -> int:
        """Return how many differences there are."""
        return int(self.connection.execute("SELECT count(*) FROM difference").fetchone()[0])

    def _updates(self, changed: dict[str, list[str | None]]) -> dict[str, list[tuple[Any, ...]]]:
        """Return the statements that change contacts, each with what it binds for every contact that it changes."""
        updates: dict[str, list[tuple[Any, ...]]] = {}
        select = f"SELECT {', '.join(COLUMNS)} FROM contact {WHERE}"
        for contact_id, values in changed.items():
            new = self._columns(values)
            # Another run may have changed the contact meanwhile, or removed it.
            old = self.connection.execute(select, locate(contact_id)).fetchone() or new
            if new != old:
                statement, bound = update(old, new)
                updates.setdefault(statement, []).append((*bound, *locate(contact_id)))
        return updates

    def _columns(self, values: list[str | None]) -> tuple[str | None, ...]:
        """Return what INSERT and UPDATE bind for an incoming contact."""
        contact = {name: value for name, value in zip(VALUES, values, strict=True) if value is not None}
        return columns({"type": self.type, **contact})


def columns_of(table: str) -> str:
    """Return the columns of a contact's values in a table, with commas between."""
    return ", ".join(f"{table}.{column}" for column in VALUE_COLUMNS)

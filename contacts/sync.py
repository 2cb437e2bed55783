"""The sync of Users or Queues with the rows of a file, and the import of Custom contacts.

The rows are read, checked and compared without a lock, in temporary tables. Then only the differences are written: a
few in one transaction, many in several.
"""

import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple, Self

import peewee

from contacts.attributes import ATTRIBUTES, TYPES, read_id
from contacts.database import BUSY_TIMEOUT_MS, database_path, locked
from contacts.model import Contact, LastSync, apply_differences
from contacts.rows import Row, bad_rows
from contacts.staging import MATCHED_BY, staging
from contacts.text import clean
from contacts.transactions import merge_search_index, write_transaction

# So many differences are one transaction, all or nothing.
MAX_DIFFERENCES_IN_ONE_TRANSACTION = 5000
# More are split into transactions of this size: another write waits for one of them at most.
DIFFERENCES_PER_TRANSACTION = 4000


# A number as a spreadsheet writes one that is too long for it; the digits are lost.
POWER_OF_TEN = re.compile(r"\d([.,]\d+E\+?|E\+)\d+", re.IGNORECASE)


class SyncError(Exception):
    """The sync cannot be done; nothing was changed."""


class Summary(NamedTuple):
    """What a sync did, or would do: numbers of contacts."""

    added: int
    changed: int
    removed: int
    unchanged: int
    rejected: int
    skipped: int

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self._asdict().items() if count or name != "skipped")


class Rules(NamedTuple):
    """What a sync may do."""

    delete: bool = True
    max_delete: float = 10  # contacts, or percent of those of the type
    is_percentage: bool = True
    despite_rejected: bool = False  # apply the good rows though there are bad ones


class Report(NamedTuple):
    """What a sync finds before it changes anything."""

    summary: Summary
    matched: dict[str, int]  # rows that are contacts of the directory, by the attribute that tells so
    lost: dict[str, int]  # contacts that lose an attribute for which no row has a value
    refused: str = ""  # why nothing may be changed
    unnamed: bool = False  # a bad row does not tell whose it is: it may be anybody's, so that nobody is removed


def check(type_: str, row: Row) -> tuple[dict[str, str] | None, dict[str, str]]:
    """Return a row's contact in the API's terms, None for a row of another type, and the reasons if it is a bad one.

    The reasons are by column; a bad row breaks the rules of the type.
    """
    if row.problem:
        return {}, {"row": row.problem}
    contact, reasons = clean_values(row)
    contact["type"] = row_type = contact.get("type", type_).capitalize()
    if row_type in TYPES and row_type != type_:
        return None, {}
    if row_type != type_:
        reasons["type"] = f"Must be {type_}, or another type whose rows are skipped: {', '.join(MATCHED_BY)}."
    if type_ != "Queue" and "name" not in contact and "name" not in reasons:
        contact |= full_name(contact, reasons)
    if type_ == "Custom":  # an address book has first and last names
        contact = {name: value for name, value in contact.items() if name not in {"firstName", "lastName"}}
    reasons |= {name: f"A {type_} has none." for name in contact if type_ not in ATTRIBUTES[name].types}
    for name in ("name", MATCHED_BY[type_]):
        if name not in contact:
            reasons.setdefault(name, f"A {type_} needs one.")
    return contact, reasons


def clean_values(row: Row) -> tuple[dict[str, str], dict[str, str]]:
    """Return a row's values as they are stored, and the reasons why some cannot be."""
    contact: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for name, value in row.values.items():
        try:
            if not isinstance(value, str):
                raise ValueError("Must be text.")
            attribute = ATTRIBUTES[name]
            contact[name] = read_id(value) if name == "id" else clean(value, attribute.max_length)
            if attribute.is_number and POWER_OF_TEN.fullmatch(contact[name]):
                raise ValueError("A spreadsheet has lost digits of this number: format the column as text there.")
        except ValueError as error:
            reasons[name] = str(error)
    return contact, reasons


def full_name(contact: dict[str, str], reasons: dict[str, str]) -> dict[str, str]:
    """Return the name that the first and the last name make, if any."""
    name = " ".join(contact[part] for part in ("firstName", "lastName") if part in contact)
    try:
        return {"name": clean(name, ATTRIBUTES["name"].max_length)} if name else {}
    except ValueError as error:
        reasons["name"] = f"Made of firstName and lastName: {error}"
        return {}


class Sync:
    """One sync or import: prepare(), then apply(). Leaving the block with an error records a failed sync."""

    def __init__(
        self, type_: str, dry_run: bool = False, match_by: str = "", busy_timeout_ms: int = BUSY_TIMEOUT_MS
    ) -> None:
        self.type = type_
        self.dry_run = dry_run
        self.match_by = match_by
        self.busy_timeout_ms = busy_timeout_ms
        self.skipped = 0
        self.unnamed = False

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            lock = database_path("-sync")
            lock.touch(mode=0o600)
            try:
                stack.enter_context(locked(lock, wait=False))
            except BlockingIOError:
                raise SyncError("another sync or import is running; run this one when it is done") from None
            self.staging = stack.enter_context(staging(self.type, self.match_by, self.busy_timeout_ms))
            self.database = self.staging.database
            self.stack = stack.pop_all()
        return self

    def __exit__(self, error_type: Any, error: BaseException | None, traceback: Any) -> None:
        with self.stack:
            if isinstance(error, Exception):
                # If this fails too, the first failure is the one to report.
                with suppress(sqlite3.Error, peewee.DatabaseError):
                    self.record(None)

    def prepare(self, rows: Iterable[Row], rules: Rules) -> Report:
        """Check the rows, compare them with the directory, and return what is to be done, or why it must not be.

        Raise rows.FileError as reading does.
        """
        with self.database.atomic():  # of temporary tables: no other write waits for it
            self.staging.add(self.checked(rows))
        with self.database.atomic():
            delete = rules.delete and not self.unnamed
            summary = Summary(**self.staging.compare(delete), skipped=self.skipped)
        lost = {} if self.type == "Custom" else self.staging.lost()
        unnamed = rules.delete and self.unnamed
        return Report(summary, self.staging.matched, lost, self.refusal(summary, rules), unnamed)

    def refusal(self, summary: Summary, rules: Rules) -> str:
        """Return why nothing may be changed: bad rows, or more removals than allowed, as the file may be cut off."""
        if summary.rejected and not rules.despite_rejected:
            return (
                f"{bad_rows(summary.rejected)}; nothing was changed. "
                "Mend what is wrong, or say --rejects FILE to put bad rows there and apply the rest."
            )
        present = Contact.select().where(Contact.type == self.type).count(self.database)
        limit = rules.max_delete
        if rules.is_percentage and limit:
            limit = max(1, limit * present / 100)
        if summary.removed <= limit:
            return ""
        return (
            f"the file lacks {summary.removed} of the {present} {self.type}s of the directory; nothing was "
            f"changed. If they are to go, say --max-delete {summary.removed}; if they are to stay, --no-delete."
        )

    def checked(self, rows: Iterable[Row]) -> Iterator[tuple[Row, dict[str, str], dict[str, str]]]:
        """Yield each row of the type with its contact and the reasons if it is a bad one."""
        names = {"id", MATCHED_BY[self.type], self.match_by}
        for row in rows:
            contact, reasons = check(self.type, row)
            self.unnamed |= not row.readable or not names.isdisjoint(reasons)
            if contact is None:
                self.skipped += 1
            else:
                yield row, contact, reasons

    def apply(self, summary: Summary, progress: Callable[[int], None] = lambda _: None) -> None:
        """Write the differences, in one transaction or in several; `progress` gets the number in each.

        A run that is killed is completed by the next one.
        """
        differences = summary.added + summary.changed + summary.removed
        several = differences > MAX_DIFFERENCES_IN_ONE_TRANSACTION
        for batch in self.staging.differences(DIFFERENCES_PER_TRANSACTION if several else differences):
            apply_differences(self.database, **batch)
            progress(sum(map(len, batch.values())))
        if several:
            merge_search_index(self.database)
        self.record(summary)

    def record(self, summary: Summary | None) -> None:
        """Keep for /metrics that a sync ended, and what it did; None: it failed. Imports are not kept."""
        if self.dry_run or self.type == "Custom":
            return
        counts = summary._asdict() if summary else {}
        changes = {name: counts.get(name, 0) for name in ("added", "changed", "removed", "rejected")}
        last = LastSync.replace(type=self.type, finished=int(time.time()), failed=summary is None, **changes)
        with write_transaction(self.database):
            last.execute(self.database)

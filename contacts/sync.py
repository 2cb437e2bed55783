"""The directory sync: makes the Users, or the Queues, of the directory equal to the rows of a file.

The rows are read, checked and compared without a lock, in temporary tables. Then only the differences are written: a
few in one transaction, many in several.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple, Self

import peewee

from contacts.database import merge_search_index, try_lock, write_transaction
from contacts.files import Row
from contacts.model import ATTRIBUTES, TYPES, Contact, LastSync, apply_differences, read_id
from contacts.staging import MATCHED_BY, staging
from contacts.text import clean, is_blank

# So many differences are one transaction, all or nothing.
MAX_DIFFERENCES_IN_ONE_TRANSACTION = 5000
# More are split into transactions of this size: another write waits for one of them at most.
DIFFERENCES_PER_TRANSACTION = 4000


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


def check(type_: str, row: Row) -> tuple[dict[str, str] | None, dict[str, str]]:
    """Return a row's contact in the API's terms, None for a row of another type, and the reasons if it is a bad one.

    The reasons are by column; a bad row breaks the rules of the type.
    """
    if row.problem:
        return {}, {"row": row.problem}
    contact, reasons = clean_values(row)
    row_type = contact.pop("type", type_).capitalize()
    if row_type in TYPES and row_type != type_:
        return None, {}
    if row_type != type_:
        reasons["type"] = f"Must be {type_}, or another type whose rows are skipped: {', '.join(MATCHED_BY)}."
    reasons |= {name: f"A {type_} has none." for name in contact if type_ not in ATTRIBUTES[name].types}
    if type_ == "User" and "name" not in contact and "name" not in reasons:
        contact |= full_name(contact, reasons)
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
            if is_blank(value):
                continue
            contact[name] = read_id(value) if name == "id" else clean(value, ATTRIBUTES[name].max_length)
        except ValueError as error:
            reasons[name] = str(error)
    return contact, reasons


def full_name(contact: dict[str, str], reasons: dict[str, str]) -> dict[str, str]:
    """Return the name that a User's first and last name make, if any."""
    name = " ".join(contact[part] for part in ("firstName", "lastName") if part in contact)
    try:
        return {"name": clean(name, ATTRIBUTES["name"].max_length)} if name else {}
    except ValueError as error:
        reasons["name"] = f"Made of firstName and lastName: {error}"
        return {}


class Sync:
    """One run: load() the rows, compare(), check what staging says of them, apply() and record(). A context manager."""

    def __init__(self, type_: str, dry_run: bool = False) -> None:
        self.type = type_
        self.dry_run = dry_run
        self.skipped = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if not stack.enter_context(try_lock("-sync")):
                raise SyncError("another sync or import is running; run this one when it is done")
            self.staging = stack.enter_context(staging(self.type))
            self.database = self.staging.database
            self.stack = stack.pop_all()
        return self

    def __exit__(self, error_type: Any, error: BaseException | None, traceback: Any) -> None:
        with self.stack:
            if isinstance(error, Exception):
                # If this fails too, the first failure is the one to report.
                with suppress(sqlite3.Error, peewee.DatabaseError):
                    self.record(None)

    def load(self, rows: Iterable[Row]) -> None:
        """Check the rows and stage them. Raise files.FileError as reading does."""
        with self.database.atomic():  # of temporary tables: no other write waits for it
            self.staging.add(self.checked(rows))

    def checked(self, rows: Iterable[Row]) -> Iterator[tuple[Row, dict[str, str], dict[str, str]]]:
        """Yield each row of the type with its contact and the reasons if it is a bad one."""
        for row in rows:
            contact, reasons = check(self.type, row)
            if contact is None:
                self.skipped += 1
            else:
                yield row, contact, reasons

    def compare(self, delete: bool = True) -> Summary:
        """Find the differences between the rows and the directory, and return their numbers."""
        with self.database.atomic():
            return Summary(**self.staging.compare(delete), skipped=self.skipped)

    def check_removals(self, summary: Summary, limit: float, is_percentage: bool) -> None:
        """Raise SyncError if more contacts are missing from the file than the limit: it may be cut off."""
        present = Contact.select().where(Contact.type == self.type).count(self.database)
        if summary.removed > (limit * present / 100 if is_percentage else limit):
            raise SyncError(
                f"the file lacks {summary.removed} of the {present} {self.type}s of the directory; nothing was "
                f"changed. If they are to go, say --max-delete {summary.removed}; if they are to stay, --no-delete."
            )

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

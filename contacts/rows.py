"""A row of a file, and which attribute of a contact each of its columns stands for."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from contacts.attributes import ATTRIBUTES

NOT_SPELLED = re.compile(r"[\s_\ufeff-]")


class FileError(Exception):
    """A file cannot be read; the message says where and why."""


class Row(NamedTuple):
    """A row of a file: the line that it begins on, its values by attribute, and what is wrong with its form."""

    line: int
    values: dict[str, Any]
    problem: str = ""
    readable: bool = True  # False: the values may be those of other columns, or lack
    nth: int = 0  # of a JSON array, where others stand on the same line: its number in the array, from 1

    @property
    def place(self) -> str:
        """Return where the row is, for a person."""
        return f"line {self.line}, contact {self.nth}" if self.nth else f"line {self.line}"


def bad_rows(number: int) -> str:
    """Return in words how many rows are bad."""
    return f"{number} bad row{'' if number == 1 else 's'}"


def on_one_line(text: str) -> str:
    """Return text as it can be printed in one line. A column's name is the same one still, to spelling()."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


class Column(NamedTuple):
    """What a column stands for: an attribute ("": it is left out), and the rank among the columns for it."""

    attribute: str
    rank: int = 0


def spelling(name: str) -> str:
    """Return a column's name as it is compared: ignoring case, blanks, _ and -."""
    return NOT_SPELLED.sub("", name).lower()


# By the spellings of what the attributes are called, also by Active Directory, LDAP and PowerShell. Of several columns
# for one attribute, the first that has a value counts; its own name before all others.
COLUMNS = {
    spelling(called): Column(name, rank)
    for name, attribute in ATTRIBUTES.items()
    for rank, called in enumerate((name, *attribute.other_names))
}


class Columns:
    """The columns of one file.

    `named` has attributes by the names of columns, as --column says; "" leaves a column out.
    `advice` returns what to do about an unknown column.
    """

    def __init__(
        self,
        named: Mapping[str, str] | None = None,
        ignore_extra: bool = False,
        advice: Callable[[str], str] = lambda _: "",
    ) -> None:
        self.named = named or {}
        self.table = COLUMNS | {spelling(name): Column(attribute, -1) for name, attribute in self.named.items()}
        self.ignore_extra = ignore_extra
        self.advice = advice
        self.known: dict[str, Column] = {}  # by the names in the file
        self.warnings: list[str] = []  # of the file, once it is read

    def attributes(self, names: Collection[str], where: str = "") -> dict[str, str]:
        """Return what columns stand for, by their names; of several for one attribute, the last with a value counts.

        Raise FileError, which says `where` first, if a column is not known, or two have the same name.
        """
        for name in names:
            if name not in self.known:
                column = self.table.get(spelling(name))
                if not column and not self.ignore_extra:
                    known = f"{where}the column {name!r} is not known; there are: {', '.join(ATTRIBUTES)}"
                    raise FileError(known + self.advice(on_one_line(name)))
                self.known[name] = column or Column("")
        named = [(name, self.known[name]) for name in names if self.known[name].attribute]
        columns = [column for _, column in named]
        if len(set(columns)) < len(columns):
            twice = next(column.attribute for column in columns if columns.count(column) > 1)
            raise FileError(f"{where}there are two columns for {twice}")
        return {name: column.attribute for name, column in sorted(named, key=lambda each: -each[1].rank)}

    def left_out(self) -> list[str]:
        """Return the columns of the file that stand for nothing."""
        return [on_one_line(name) or "''" for name, column in self.known.items() if not column.attribute]

    def check_named(self) -> None:
        """Raise FileError if --column names a column that the file does not have."""
        present = set(map(spelling, self.known))
        if missing := [name for name in self.named if spelling(name) not in present]:
            raise FileError(f"there is no column {', '.join(missing)}; there are: {', '.join(self.known)}")


class Reading(NamedTuple):
    """How a file is to be read."""

    format: str
    columns: Columns
    encoding: str = "utf-8"  # a byte order mark says otherwise
    delimiter: str = ""  # "": detected in the header
    encoding_advice: str = "say its --encoding (windows-1252 is what spreadsheets often write)"
    ended_well: bool = False  # the program that printed it said that it did all of its work

"""A row of a file, and which attribute of a contact each of its columns stands for."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
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


def spelling(name: str) -> str:
    """Return a column's name as it is compared: ignoring case, blanks, _ and -."""
    return NOT_SPELLED.sub("", name).lower()


# By the spellings of what the attributes are called, also by Active Directory, LDAP and PowerShell. Of several columns
# for one attribute, the first here that has a value counts.
COLUMNS = {spelling(called): name for name, each in ATTRIBUTES.items() for called in (name, *each.other_names)}


@dataclass
class Columns:
    """The columns of one file."""

    named: Mapping[str, str] = field(default_factory=dict)  # --column: attributes by columns; "" leaves a column out
    ignore_extra: bool = False
    advice: Callable[[str], str] = lambda _: ""  # what to do about an unknown column
    spellings: dict[str, str] = field(default_factory=dict)  # of the names in the file
    warnings: list[str] = field(default_factory=list)  # of the file, once it is read

    def __post_init__(self) -> None:
        named = {spelling(name): attribute for name, attribute in self.named.items()}
        self.table = named | COLUMNS | named  # once more, as its values count

    def attributes(self, names: Iterable[str], where: str = "") -> dict[str, str]:
        """Return the attributes of columns, the one that counts last; raise FileError for an unknown or double one."""
        called: dict[str, str] = {}
        for name in names:
            if name not in self.spellings:
                self.spellings[name] = spelling(name)
            key = self.spellings[name]
            if key not in self.table and not self.ignore_extra:
                known = f"{where}the column {name!r} is not known; there are: {', '.join(ATTRIBUTES)}"
                raise FileError(known + self.advice(on_one_line(name)))
            if key in called and self.table.get(key):
                raise FileError(f"{where}there are two columns for {self.table[key]}")
            called[key] = name
        return {called[key]: found for key, found in reversed(self.table.items()) if found and key in called}

    def left_out(self) -> list[str]:
        """Return the columns of the file that stand for nothing."""
        return [on_one_line(name) or "''" for name, key in self.spellings.items() if not self.table.get(key)]

    def check_named(self) -> None:
        """Raise FileError if --column names a column that the file does not have."""
        if missing := [name for name in self.named if spelling(name) not in self.spellings.values()]:
            raise FileError(f"there is no column {', '.join(missing)}; there are: {', '.join(self.spellings)}")


class Reading(NamedTuple):
    """How a file is to be read."""

    format: str
    columns: Columns
    encoding: str = "utf-8"  # a byte order mark says otherwise
    delimiter: str = ""  # "": detected in the header
    encoding_advice: str = "say its --encoding (windows-1252 is what spreadsheets often write)"
    ended_well: bool = False  # the program that printed it said that it did all of its work

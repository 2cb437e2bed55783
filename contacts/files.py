"""The files that directories come in and go out as: CSV, JSON arrays and NDJSON, row by row."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import PurePath
from typing import Any, BinaryIO, NamedTuple, TextIO

from contacts.model import ATTRIBUTES

EXTENSIONS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson"}
DELIMITERS = ",;\t"

# How much is read at a time, and the longest row there may be, in characters.
CHUNK = 1 << 16
LONGEST_ROW = 1 << 20
csv.field_size_limit(LONGEST_ROW)

_blanks = re.compile(r"\s*")

# A spreadsheet runs a cell that begins so as a formula. An apostrophe in front keeps it text.
_formula = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")


class FileError(Exception):
    """A file cannot be read at all; the message says where and why."""


class Row(NamedTuple):
    """One row of a file: the line it begins on, its values by attribute, and what is wrong with its form."""

    line: int
    values: dict[str, Any]
    problem: str = ""


class Reading(NamedTuple):
    """How a file is to be read."""

    format: str
    encoding: str = "utf-8-sig"
    delimiter: str = ""  # "": found out from the header
    ignore_extra: bool = False


def format_of(name: str) -> str:
    """Return the format that a file's name tells; raise FileError when it does not."""
    extension = PurePath(name).suffix.lower()
    if extension not in EXTENSIONS:
        raise FileError("the name does not tell the format; say --format csv, json or ndjson")
    return EXTENSIONS[extension]


def read(file: BinaryIO, reading: Reading) -> Iterator[Row]:
    """Yield the rows of a file, in bounded memory.

    Raise FileError when the file is not what `reading` says, or has columns that are not attributes.
    """
    try:
        # newline="": a quoted cell keeps its line breaks as they are (and is refused for them, by its line).
        text = io.TextIOWrapper(file, encoding=reading.encoding, newline="" if reading.format == "csv" else None)
    except LookupError:
        raise FileError(f"there is no encoding {reading.encoding!r}; try utf-8, windows-1252 or utf-16") from None
    if reading.delimiter and (len(reading.delimiter) != 1 or reading.delimiter in '"\r\n'):
        raise FileError(f"the delimiter {reading.delimiter!r} is not one character, such as ;")
    line = 1
    try:
        for row in READERS[reading.format](text, reading):
            line = row.line
            yield row
    except UnicodeError:
        raise FileError(
            f"after line {line}: the file is not in {reading.encoding.removesuffix('-sig')}; "
            "say its --encoding (windows-1252 is what spreadsheets often write)"
        ) from None
    finally:
        with suppress(ValueError):  # the file is closed already
            text.detach()


def read_csv(text: io.TextIOWrapper, reading: Reading) -> Iterator[Row]:
    """Yield the rows below the header of a CSV file."""
    lines = enumerate(bounded(text), 1)
    before, first = next(((number, line) for number, line in lines if line.strip()), (0, ""))
    if not first:
        raise FileError("the file is empty: a CSV file begins with a line of column names")
    delimiter = reading.delimiter or max(DELIMITERS, key=re.sub('"[^"]*"', "", first).count)
    header = next(csv.reader([first], delimiter=delimiter))
    names = [attribute(name, reading.ignore_extra) for name in header]
    check_twice(names)
    columns = [(index, name) for index, name in enumerate(names) if name]
    rows = csv.reader((line for _, line in lines), delimiter=delimiter, strict=True)
    line = before + 1
    try:
        for cells in rows:
            if not "".join(cells).strip():
                pass  # spreadsheets end files with rows of blanks
            elif len(cells) == len(names):
                yield Row(line, {name: unescaped(cells[index]) for index, name in columns if cells[index]})
            else:
                values = {name: unescaped(cells[index]) for index, name in columns if index < len(cells)}
                yield Row(line, values, f"Has {len(cells)} cells, and the header has {len(names)}.")
            line = before + rows.line_num + 1
    except csv.Error as error:
        raise FileError(f"line {line}: {error}; is the file cut off, or a quote not closed?") from None


class Scanner:
    """Reads JSON values from a stream one after the other."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self.text = text
        self.buffer, self.at = "", 0
        self.line = 1
        self.decode = json.JSONDecoder().raw_decode

    def more(self) -> bool:
        """Read on; return whether there was more."""
        chunk = self.text.read(CHUNK)
        self.buffer, self.at = self.buffer[self.at :] + chunk, 0
        return bool(chunk)

    def move(self, end: int) -> None:
        """Go on behind what was read, counting lines."""
        self.line += self.buffer.count("\n", self.at, end)
        self.at = end

    def peek(self) -> str:
        """Return the next character that is not blank, "" at the end."""
        while True:
            self.move(_blanks.match(self.buffer, self.at).end())  # type: ignore[union-attr]
            if self.at < len(self.buffer):
                return self.buffer[self.at]
            if not self.more():
                return ""

    def take(self) -> str:
        """Return the next character that is not blank, and go on behind it."""
        character = self.peek()
        self.at += len(character)
        return character

    def value(self) -> Any:
        """Return the next value; raise FileError when there is none."""
        while True:
            try:
                value, end = self.decode(self.buffer, self.at)
            except (ValueError, RecursionError):
                if len(self.buffer) - self.at < LONGEST_ROW and self.more():
                    continue
                raise FileError(f"line {self.line}: not valid JSON; is the file cut off?") from None
            self.move(end)
            return value


def bounded(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines of a file; raise FileError for one that would not fit into memory."""
    for number in count(1):
        line = text.readline(LONGEST_ROW + 1)
        if not line:
            return
        if len(line) > LONGEST_ROW:
            raise FileError(f"line {number} is longer than {LONGEST_ROW} characters")
        yield line


def read_json(text: io.TextIOWrapper, reading: Reading) -> Iterator[Row]:
    """Yield the objects of a JSON array, one at a time."""
    scanner = Scanner(text)
    names: dict[str, str] = {}
    if scanner.take() != "[":
        raise FileError("a JSON file is one array of objects: [ {…}, {…} ]")
    separator = scanner.take() if scanner.peek() == "]" else ","
    while separator == ",":
        scanner.peek()
        line = scanner.line
        yield members(scanner.value(), line, names, reading)
        separator = scanner.take()
    if separator != "]":
        raise FileError(f"line {scanner.line}: a comma or ] is missing; is the file cut off?")
    if scanner.peek():
        raise FileError(f"line {scanner.line}: there is more behind the array")


def read_ndjson(text: io.TextIOWrapper, reading: Reading) -> Iterator[Row]:
    """Yield the objects of a file with one JSON object a line."""
    names: dict[str, str] = {}
    for line, written in enumerate(bounded(text), 1):
        if not written.strip():
            continue
        try:
            value = json.loads(written)
        except (ValueError, RecursionError):
            yield Row(line, {}, "Not valid JSON; is the file cut off?")
        else:
            yield members(value, line, names, reading)


READERS: dict[str, Callable[[io.TextIOWrapper, Reading], Iterator[Row]]] = {
    "csv": read_csv,
    "json": read_json,
    "ndjson": read_ndjson,
}


def members(value: Any, line: int, names: dict[str, str], reading: Reading) -> Row:
    """Return a JSON object as a row; `names` remembers the spellings met so far."""
    if not isinstance(value, dict):
        return Row(line, {}, f"A contact is a JSON object, this is {json.dumps(value)[:40]}.")
    for name in value:
        if name not in names:
            try:
                names[name] = attribute(name, reading.ignore_extra)
            except FileError as error:
                raise FileError(f"line {line}: {error}") from None
    found = [names[name] for name in value]
    if len(set(found)) < len(found):
        check_twice(found)
    # null and "" are no value; a number is written as it reads, as employee IDs and extensions often are one.
    return Row(
        line,
        {
            names[name]: str(member) if type(member) is int else member
            for name, member in value.items()
            if names[name] and member is not None and member != ""
        },
    )


def attribute(name: str, ignore_extra: bool) -> str:
    """Return the attribute that a column is, ignoring case, blanks, _ and -; "" for one to be ignored.

    Raise FileError for a column that is none.
    """
    spelling = re.sub(r"[\s_-]", "", name).lower()
    if spelling in SPELLINGS:
        return SPELLINGS[spelling]
    if ignore_extra:
        return ""
    raise FileError(
        f"the column {name!r} is not known; there are: {', '.join(ATTRIBUTES)} (--ignore-extra leaves others out)"
    )


SPELLINGS = {name.lower(): name for name in ATTRIBUTES}


def check_twice(names: list[str]) -> None:
    """Raise FileError when two columns are the same attribute."""
    for name in names:
        if name and names.count(name) > 1:
            raise FileError(f"there are two columns for {name}")


def write_csv(text: TextIO, contacts: Iterable[str], attributes: Iterable[str]) -> None:
    """Write contacts, each as JSON, as CSV with a column for each attribute."""
    names = list(attributes)
    writer = csv.writer(text)
    writer.writerow(names)
    for contact in contacts:
        values = json.loads(contact)
        writer.writerow([escaped(values.get(name, "")) for name in names])


def write_json(text: TextIO, contacts: Iterable[str], _: Iterable[str]) -> None:
    """Write contacts, each as JSON, as a JSON array with a line for each."""
    separator = "[\n"
    for contact in contacts:
        text.write(f"{separator}{contact}")
        separator = ",\n"
    text.write("[]\n" if separator == "[\n" else "\n]\n")


def write_ndjson(text: TextIO, contacts: Iterable[str], _: Iterable[str]) -> None:
    """Write contacts, each as JSON, one a line."""
    for contact in contacts:
        text.write(f"{contact}\n")


WRITERS: dict[str, Callable[[TextIO, Iterable[str], Iterable[str]], None]] = {
    "csv": write_csv,
    "json": write_json,
    "ndjson": write_ndjson,
}


def unescaped(cell: str) -> str:
    """Return what a CSV cell says, without the apostrophe that keeps it from being a formula."""
    return cell[1:] if cell[:1] == "'" and _formula.match(cell) else cell


def escaped(value: str) -> str:
    """Return a value as a CSV cell that no spreadsheet runs as a formula."""
    return f"'{value}" if _formula.match(value) else value

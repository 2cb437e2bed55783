"""Readers and writers of files with contacts: CSV, JSON and NDJSON, row by row."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import PurePath
from typing import Any, BinaryIO, NamedTuple, TextIO

from contacts import gws
from contacts.model import ATTRIBUTES

EXTENSIONS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson"}
DELIMITERS = ",;\t"

READ_CHARACTERS = 1 << 16  # at a time
MAX_ROW_CHARACTERS = 1 << 20
csv.field_size_limit(MAX_ROW_CHARACTERS)

BLANKS = re.compile(r"\s*")

# A spreadsheet runs a cell that begins like this as a formula. An apostrophe before it keeps it text.
FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")


class FileError(Exception):
    """A file cannot be read; the message says where and why."""


class Row(NamedTuple):
    """A row of a file: the line that it begins on, its values by attribute, and what is wrong with its form."""

    line: int
    values: dict[str, Any]
    problem: str = ""


class Reading(NamedTuple):
    """How a file is to be read."""

    format: str
    encoding: str = "utf-8-sig"
    delimiter: str = ""  # "": detected in the header
    ignore_extra: bool = False


def format_of(name: str) -> str:
    """Return the format that a file's extension stands for; raise FileError if it is unknown."""
    extension = PurePath(name).suffix.lower()
    if extension not in EXTENSIONS:
        raise FileError("the name does not tell the format; say --format csv, json or ndjson")
    return EXTENSIONS[extension]


def read(file: BinaryIO, reading: Reading) -> Iterator[Row]:
    """Yield the rows of a file, in bounded memory.

    Raise FileError if the file is not as `reading` says, or has columns that are no attributes.
    """
    try:
        # newline="": the line breaks in a quoted cell stay as they are (and the row is refused for them).
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
    refuse_duplicates(names)
    columns = [(index, name) for index, name in enumerate(names) if name]
    rows = csv.reader((line for _, line in lines), delimiter=delimiter, strict=True)
    line = before + 1
    try:
        for cells in rows:
            if not "".join(cells).strip():
                pass  # spreadsheets write blank rows at the end
            elif len(cells) == len(names):
                yield Row(line, {name: unescaped(cells[index]) for index, name in columns if cells[index]})
            else:
                values = {name: unescaped(cells[index]) for index, name in columns if index < len(cells)}
                yield Row(line, values, f"Has {len(cells)} cells, and the header has {len(names)}.")
            line = before + rows.line_num + 1
    except csv.Error as error:
        raise FileError(f"line {line}: {error}; is the file cut off, or a quote not closed?") from None


class Scanner:
    """A stream of JSON values, read one after the other."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self.text = text
        self.buffer, self.position = "", 0
        self.line = 1
        self.decode = json.JSONDecoder(object_pairs_hook=unique).raw_decode

    def more(self) -> bool:
        """Read more into the buffer; return whether there was more."""
        chunk = self.text.read(READ_CHARACTERS)
        self.buffer, self.position = self.buffer[self.position :] + chunk, 0
        return bool(chunk)

    def move(self, end: int) -> None:
        """Move to a position in the buffer, counting lines."""
        self.line += self.buffer.count("\n", self.position, end)
        self.position = end

    def peek(self) -> str:
        """Return the next character that is not blank, or "" at the end."""
        while True:
            self.move(BLANKS.match(self.buffer, self.position).end())  # type: ignore[union-attr]
            if self.position < len(self.buffer):
                return self.buffer[self.position]
            if not self.more():
                return ""

    def take(self) -> str:
        """Return the next character that is not blank, and move past it."""
        character = self.peek()
        self.position += len(character)
        return character

    def value(self) -> Any:
        """Return the next value; raise FileError if there is none."""
        while True:
            try:
                value, end = self.decode(self.buffer, self.position)
                if end == len(self.buffer) and self.more():  # a number may go on
                    continue
            except FileError as error:
                raise FileError(f"line {self.line}: {error}") from None
            except (ValueError, RecursionError):
                if len(self.buffer) - self.position < MAX_ROW_CHARACTERS and self.more():
                    continue
                raise FileError(f"line {self.line}: not valid JSON; is the file cut off?") from None
            self.move(end)
            return value


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raise FileError if it has a name twice, as only one value could be kept."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise FileError("an object has the same name twice")
    return members


def bounded(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines of a file; raise FileError for one that is too long."""
    for number in count(1):
        line = text.readline(MAX_ROW_CHARACTERS + 1)
        if not line:
            return
        if len(line) > MAX_ROW_CHARACTERS:
            raise FileError(f"line {number} is longer than {MAX_ROW_CHARACTERS} characters")
        yield line


def read_json(text: io.TextIOWrapper, reading: Reading) -> Iterator[Row]:
    """Yield the objects of a JSON array, or of an answer to GET /contacts, one at a time."""
    scanner = Scanner(text)
    readers = {"[": read_array, "{": read_answer}
    opening = scanner.take()
    if opening not in readers:
        raise FileError("a JSON file is one array of objects: [ {…}, {…} ], or an answer to GET /contacts")
    yield from readers[opening](scanner, reading)
    if scanner.peek():
        raise FileError(f"line {scanner.line}: there is more behind the array")


def read_array(scanner: Scanner, reading: Reading) -> Iterator[Row]:
    """Yield the objects of an array whose bracket is taken."""
    names: dict[str, str] = {}
    separator = scanner.take() if scanner.peek() == "]" else ","
    while separator == ",":
        scanner.peek()
        line = scanner.line
        yield object_row(scanner.value(), line, names, reading)
        separator = scanner.take()
    if separator != "]":
        raise FileError(f"line {scanner.line}: a comma or ] is missing; is the file cut off?")


def read_answer(scanner: Scanner, reading: Reading) -> Iterator[Row]:
    """Yield the contacts of an answer to GET /contacts whose brace is taken, this service's or Genesys Web Services'.

    Raise FileError if it is no list of contacts, or not a whole one.
    """
    members: dict[str, Any] = {}
    count = None
    separator = ","
    while separator == ",":
        scanner.peek()
        name = scanner.value()
        if not isinstance(name, str) or name in members or scanner.take() != ":":
            raise FileError(f"line {scanner.line}: not valid JSON, or the same name twice; is the file cut off?")
        if scanner.peek() == "[" and name == "contacts":
            scanner.take()
            members[name] = []
            count = 0
            for row in read_array(scanner, reading):
                count += 1
                yield row
        else:
            members[name] = scanner.value()
        separator = scanner.take()
    if separator != "}":
        raise FileError(f"line {scanner.line}: a comma or }} is missing; is the file cut off?")
    if members.get("statusCode", 0) != 0 or count is None:
        raise FileError(f"it is no list of contacts: {json.dumps(members, ensure_ascii=False)[:200]}")
    if members.get("totalCount", count) != count:
        raise FileError(f"it has {count} of {members['totalCount']} contacts; get all, without offset and limit")


def read_ndjson(text: io.TextIOWrapper, reading: Reading) -> Iterator[Row]:
    """Yield the objects of a file that has one JSON object per line."""
    names: dict[str, str] = {}
    for line, written in enumerate(bounded(text), 1):
        if not written.strip():
            continue
        try:
            value = json.loads(written, object_pairs_hook=unique)
        except FileError as error:
            yield Row(line, {}, f"{error}.".capitalize())
        except (ValueError, RecursionError):
            yield Row(line, {}, "Not valid JSON; is the file cut off?")
        else:
            yield object_row(value, line, names, reading)


READERS: dict[str, Callable[[io.TextIOWrapper, Reading], Iterator[Row]]] = {
    "csv": read_csv,
    "json": read_json,
    "ndjson": read_ndjson,
}


def object_row(value: Any, line: int, names: dict[str, str], reading: Reading) -> Row:
    """Return a JSON object as a row; `names` caches the attributes by spelling."""
    if not isinstance(value, dict):
        return Row(line, {}, f"A contact is a JSON object, this is {json.dumps(value)[:40]}.")
    try:
        value = gws.plain(value)
    except ValueError as error:
        return Row(line, {}, str(error))
    for name in value:
        if name not in names:
            try:
                names[name] = attribute(name, reading.ignore_extra)
            except FileError as error:
                raise FileError(f"line {line}: {error}") from None
    found = [names[name] for name in value]
    if len(set(found)) < len(found):
        refuse_duplicates(found)
    # null and "" are no value. An integer becomes text: employee IDs and extensions are often written as one.
    return Row(
        line,
        {
            names[name]: str(member) if type(member) is int else member
            for name, member in value.items()
            if names[name] and member is not None and member != ""
        },
    )


def attribute(name: str, ignore_extra: bool) -> str:
    """Return the attribute that a column stands for, ignoring case, blanks, _ and -; "" for a column to be ignored.

    Raise FileError for an unknown column.
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


def refuse_duplicates(names: list[str]) -> None:
    """Raise FileError if two columns stand for the same attribute."""
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
    """Write contacts, each as JSON, one per line."""
    for contact in contacts:
        text.write(f"{contact}\n")


WRITERS: dict[str, Callable[[TextIO, Iterable[str], Iterable[str]], None]] = {
    "csv": write_csv,
    "json": write_json,
    "ndjson": write_ndjson,
}


def unescaped(cell: str) -> str:
    """Return the value of a CSV cell, without the apostrophe that keeps it from being a formula."""
    return cell[1:] if cell[:1] == "'" and FORMULA.match(cell) else cell


def escaped(value: str) -> str:
    """Return a value as a CSV cell that no spreadsheet runs as a formula."""
    return f"'{value}" if FORMULA.match(value) else value

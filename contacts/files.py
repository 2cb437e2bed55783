"""Readers and writers of files with contacts, row by row: CSV here, JSON and LDIF in modules of their own."""

import codecs
import csv
import io
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import PurePath
from typing import Any, TextIO

from contacts.json_files import read_json, read_ndjson
from contacts.ldif import read_ldif
from contacts.rows import COLUMNS, FileError, Reading, Row, spelling
from contacts.text import is_blank

EXTENSIONS = {
    **{".csv": "csv", ".tsv": "csv", ".txt": "csv"},
    **{".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson", ".ldif": "ldif"},
}

BYTE_ORDER_MARKS = {
    "utf-8-sig": (codecs.BOM_UTF8,),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),  # begins as UTF-16's does
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}

MAX_LINE_CHARACTERS = 1 << 20
csv.field_size_limit(MAX_LINE_CHARACTERS)

# What PowerShell writes before the header, and spreadsheets to say what parts the cells.
HEAD = re.compile(r"#TYPE\b.*|(?i:sep)=(.?)")

# A spreadsheet runs a cell that begins like this as a formula. An apostrophe before it keeps it text.
FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
# Such an apostrophe, or a formula that is nothing but text, as programs write numbers for spreadsheets: ="0123".
PROTECTION = re.compile(rf"""\A'(?={FORMULA.pattern})|\A="([^"]*)"\Z""")


def format_of(name: str) -> str:
    """Return the format that a file's extension stands for; raise FileError if it is unknown."""
    extension = PurePath(name).suffix.lower()
    if extension not in EXTENSIONS:
        raise FileError(f"the name does not tell the format; say --format, one of: {', '.join(READERS)}")
    return EXTENSIONS[extension]


def read(file: "io.BufferedReader[Any]", reading: Reading) -> Iterator[Row]:
    """Yield the rows of a file, in bounded memory; raise FileError if it is not as `reading` says."""
    before = status_of(file)
    start = file.peek(4)
    encoding = next((name for name, marks in BYTE_ORDER_MARKS.items() if start.startswith(marks)), reading.encoding)
    try:
        # newline="": the line breaks in a quoted cell stay as they are (and the row is refused for them).
        text = io.TextIOWrapper(file, encoding=encoding, newline="" if reading.format == "csv" else None)
    except (LookupError, ValueError):  # ValueError: of a name with a null character
        raise FileError(f"there is no encoding {encoding!r}; try utf-8, windows-1252 or utf-16") from None
    if reading.delimiter and (len(reading.delimiter) != 1 or reading.delimiter in '"\r\n'):
        raise FileError(f"the delimiter {reading.delimiter!r} is not one character, such as ;")
    line = 1
    try:
        for row in READERS[reading.format](text, reading):
            line = row.line
            yield row
        after = status_of(file)
        if before and after and (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise FileError("it changed while it was read: write it under another name, and rename it when it is done")
    except UnicodeError:
        raise FileError(
            f"after line {line}: the file is not in {encoding.removesuffix('-sig')}; {reading.encoding_advice}"
        ) from None
    finally:
        with suppress(ValueError):  # the file is closed already
            text.detach()
    reading.columns.check_named()


def status_of(file: "io.BufferedReader[Any]") -> os.stat_result | None:
    """Return what the system knows of an open file; None of a pipe, or of one in memory, as the body of a request."""
    with suppress(io.UnsupportedOperation):
        status = os.fstat(file.fileno())
        return status if stat.S_ISREG(status.st_mode) else None
    return None


class Lines:
    """The lines of a file; knows the number and the text of the last one read. Raises FileError for one too long."""

    def __init__(self, text: io.TextIOBase) -> None:
        self.text = text
        self.number, self.last = 0, ""

    def __iter__(self) -> Iterator[str]:
        for line in iter(partial(self.text.readline, MAX_LINE_CHARACTERS + 1), ""):
            self.number, self.last = self.number + 1, line
            if len(line) > MAX_LINE_CHARACTERS:
                raise FileError(f"line {self.number} is longer than {MAX_LINE_CHARACTERS} characters")
            yield line.lstrip("\ufeff")  # of files that were joined


def read_csv(text: io.TextIOBase, reading: Reading) -> Iterator[Row]:
    """Yield the rows below the header of a CSV file."""
    lines = Lines(text)
    rows = cells_of_rows(lines, reading.delimiter)
    _, header = next(rows)
    while len(header) > 1 and not header[-1].strip():
        header.pop()  # a delimiter at the end of the line
    named = [(header.index(name), attribute) for name, attribute in reading.columns.attributes(header).items()]
    spelled = list(map(spelling, header))
    known = {*COLUMNS, *spelled}
    for line, cells in rows:
        while len(cells) > len(header) and not cells[-1].strip():
            cells.pop()
        if not is_data(cells, spelled, known, line):
            continue
        counts = "" if len(cells) == len(header) else f"Has {len(cells)} cells, and the header has {len(header)}."
        if len(cells) < len(header) and not lines.last.endswith(("\n", "\r")):
            raise FileError(f"line {line}: the last line has no end. {counts} Is the file cut off?")
        problem = counts if len(cells) > len(header) else ""  # those at the end of a row may be missing
        whole = "".join(cells)
        given = [PROTECTION.sub(r"\1", cell) for cell in cells] if "'" in whole or '="' in whole else cells
        values = {name: given[at] for at, name in named if at < len(given) and not is_blank(given[at])}
        yield Row(line, values, problem, readable=not problem)
    if not lines.last.endswith(("\n", "\r")):
        reading.columns.warnings.append("the last line has no end: if the file is cut off, sync it again")


def cells_of_rows(lines: Lines, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row, those of the header first, with the line that they begin on."""
    for first in lines:
        if (found := HEAD.fullmatch(first.strip('"\r\n'))) and found[1] != "":
            delimiter = delimiter or found[1] or ""
        elif first.strip():
            break
    else:
        raise FileError("the file is empty: a CSV file begins with a line of column names")
    line = lines.number
    delimiter = delimiter or max(",;\t", key=re.sub('"[^"]*"', "", first).count)
    try:
        for cells in csv.reader(chain([first], lines), delimiter=delimiter, strict=True):
            yield line, cells
            line = lines.number + 1
    except csv.Error as error:
        raise FileError(f"line {line}: {error}; is the file cut off, or a quote not closed?") from None


def is_data(cells: list[str], header: list[str], known: set[str], line: int) -> bool:
    """Return whether cells are a contact's: not blank, as spreadsheets end a file, nor the head of one joined to it."""
    first = cells[0] if cells else ""
    if (not first.strip() or HEAD.fullmatch(first)) and not "".join(cells[1:]).strip():
        return False
    if spelling(first) not in known:
        return True
    again = list(map(spelling, cells))
    names = [name for name in again if name]
    if again != header and known.issuperset(names) and len(names) == len(set(names)) > 1:
        raise FileError(f"line {line}: other columns begin here: sync the files that were joined one by one")
    return again != header


READERS: dict[str, Callable[[io.TextIOBase, Reading], Iterator[Row]]] = {
    "csv": read_csv,
    "json": read_json,
    "ndjson": lambda text, reading: read_ndjson(Lines(text), reading),
    "ldif": lambda text, reading: read_ldif(Lines(text), reading),
}


def write_csv(text: TextIO, contacts: Iterable[str], attributes: list[str], raw: bool) -> None:
    """Write contacts, each as JSON, as CSV with a column for each attribute."""
    cell = str if raw else escaped
    writer = csv.writer(text)
    writer.writerow(attributes)
    for contact in contacts:
        values = json.loads(contact)
        writer.writerow([cell(values.get(name, "")) for name in attributes])


def write_json(text: TextIO, contacts: Iterable[str], *_: object) -> None:
    """Write contacts, each as JSON, as a JSON array with a line for each."""
    separator = "[\n"
    for contact in contacts:
        text.write(f"{separator}{contact}")
        separator = ",\n"
    text.write("[]\n" if separator == "[\n" else "\n]\n")


WRITERS: dict[str, Callable[[TextIO, Iterable[str], list[str], bool], None]] = {
    "csv": write_csv,
    "json": write_json,
    "ndjson": lambda text, contacts, *_: text.writelines(f"{contact}\n" for contact in contacts),
}


def escaped(value: str) -> str:
    """Return a value as a CSV cell that no spreadsheet runs as a formula."""
    return f"'{value}" if FORMULA.match(value) else value

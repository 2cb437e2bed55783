"""Reader of JSON: arrays of contacts, answers to GET /contacts, and files with a contact on each line (NDJSON)."""

import io
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from contacts import gws
from contacts.rows import FileError, Reading, Row
from contacts.text import is_blank

READ_CHARACTERS = 1 << 20  # at a time; a longer value may be refused

BLANKS = re.compile(r"\s*")


class Scanner:
    """A stream of JSON values, read one after the other."""

    def __init__(self, text: io.TextIOBase) -> None:
        self.text = text
        self.buffer, self.position = "", 0
        self.line = 1

    def move(self, end: int) -> None:
        """Move to a position in the buffer, counting lines."""
        self.line += self.buffer.count("\n", self.position, end)
        self.position = end

    def peek(self) -> str:
        """Return the next character that is not blank, or "" at the end; the value there is wholly in the buffer."""
        while True:
            self.move(BLANKS.match(self.buffer, self.position).end())  # type: ignore[union-attr]
            has_value = len(self.buffer) - self.position >= READ_CHARACTERS
            if has_value or not (chunk := self.text.read(READ_CHARACTERS)):
                return self.buffer[self.position : self.position + 1]
            self.buffer, self.position = self.buffer[self.position :] + chunk, 0

    def take(self) -> str:
        """Return the next character that is not blank, and move past it."""
        character = self.peek()
        self.position += len(character)
        return character

    def value(self) -> Any:
        """Return the next value; raise FileError if there is none."""
        self.peek()
        try:
            value, end = DECODER.raw_decode(self.buffer, self.position)
        except FileError as error:
            raise FileError(f"line {self.line}: {error}") from None
        except (ValueError, RecursionError):
            raise FileError(f"line {self.line}: not valid JSON; is the file cut off?") from None
        self.move(end)
        return value

    def items(self, closing: str) -> Iterator[int]:
        """Yield the line of each item of an array or object, to be read then, up to the bracket that closes it."""
        separator = self.take() if self.peek() == closing else ","
        while separator == ",":
            self.peek()
            yield self.line
            separator = self.take()
        if separator != closing:
            raise FileError(f"line {self.line}: a comma or {closing} is missing; is the file cut off?")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raise FileError if it has a name twice, as only one value could be kept."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise FileError("an object has the same name twice")
    return members


DECODER = json.JSONDecoder(object_pairs_hook=unique)


def read_json(text: io.TextIOBase, reading: Reading) -> Iterator[Row]:
    """Yield the objects of a JSON array, or of an answer to GET /contacts, one at a time."""
    scanner = Scanner(text)
    reader = {"[": read_array, "{": read_answer}.get(scanner.take())
    if not reader:
        raise FileError("a JSON file is one array of objects: [ {…}, {…} ], or an answer to GET /contacts")
    yield from reader(scanner, reading)
    if scanner.peek():
        raise FileError(f"line {scanner.line}: there is more behind the array")


def read_array(scanner: Scanner, reading: Reading) -> Iterator[Row]:
    """Yield the objects of an array whose bracket is taken."""
    before = scanner.line
    for nth, line in enumerate(scanner.items("]"), 1):
        yield object_row(scanner.value(), line, reading)._replace(nth=nth if line == before else 0)
        before = line


def read_answer(scanner: Scanner, reading: Reading) -> Iterator[Row]:
    """Yield the contacts of an answer to GET /contacts whose brace is taken; raise FileError if it lacks some."""
    members: dict[str, Any] = {}
    count = None
    for _ in scanner.items("}"):
        name = scanner.value()
        if not isinstance(name, str) or name in members or scanner.take() != ":":
            raise FileError(f"line {scanner.line}: not valid JSON, or the same name twice; is the file cut off?")
        if name == "contacts" and scanner.peek() == "[":
            scanner.take()
            members[name], count = [], 0
            for row in read_array(scanner, reading):
                count += 1
                yield row
        else:
            members[name] = scanner.value()
    if members.get("statusCode", 0) != 0 or count is None:
        raise FileError(f"it is no list of contacts: {json.dumps(members, ensure_ascii=False)[:200]}")
    if members.get("totalCount", count) != count:
        raise FileError(f"it has {count} of {members['totalCount']} contacts; get all, without offset and limit")


def read_ndjson(lines: Iterable[str], reading: Reading) -> Iterator[Row]:
    """Yield the objects of a file that has one JSON object per line."""
    for line, written in enumerate(lines, 1):
        if not written.strip():
            continue
        try:
            value = DECODER.decode(written)
        except FileError as error:
            yield Row(line, {}, f"{error}.".capitalize(), readable=False)
        except (ValueError, RecursionError):
            if not written.endswith("\n"):
                raise FileError(f"line {line}: not valid JSON, and without an end; is the file cut off?") from None
            yield Row(line, {}, "Not valid JSON.", readable=False)
        else:
            yield object_row(value, line, reading)


def object_row(value: Any, line: int, reading: Reading) -> Row:
    """Return a JSON object as a row."""
    if not isinstance(value, dict):
        return Row(line, {}, f"A contact is a JSON object, this is {json.dumps(value)[:40]}.", readable=False)
    problem = ""
    try:
        members = gws.plain(value)
    except ValueError as error:
        members, problem = gws.plain(value | {"phoneNumbers": None}), str(error)
    values = {}
    for name, attribute in reading.columns.attributes(members, f"line {line}: ").items():
        # An integer becomes text: employee IDs and extensions are often written as one.
        member = str(members[name]) if type(members[name]) is int else members[name]
        if member is not None and not (isinstance(member, str) and is_blank(member)):
            values[attribute] = member
    return Row(line, values, problem)

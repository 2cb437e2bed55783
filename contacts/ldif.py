"""Reader of LDIF (RFC 2849) as ldapsearch prints it; an answer that does not show its own end is refused."""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from uuid import UUID

from contacts.rows import FileError, Reading, Row
from contacts.text import is_blank

LINE = re.compile(r"([A-Za-z0-9.-]+)((?:;[A-Za-z0-9=*-]+)*):(:|<|) *(.*)", re.DOTALL)

# What ldapsearch prints before an answer, and behind each of its pages; behind the last one without a cookie.
BEGINNING = re.compile("# extended LDIF|version: 1")
PAGE_END = re.compile(r"(?:# )?pagedresults: (?:.*\s)?cookie=(.*)")

# Names of lines of blocks that are no entries.
NO_ATTRIBUTES = {"version", "ref", "search", "result", "control", "pagedresults", "matcheddn", "text"}

Values = dict[str, list[str | bytes]]


class Block(NamedTuple):
    """The lines between blank lines, with their numbers; `closed`: a blank line came behind."""

    lines: list[tuple[int, str]]
    closed: bool


def unfolded(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield lines with those that go on in the next one joined, each with its number.

    Raise FileError if the last one has no end.
    """
    first, parts = 0, [""]
    for number, line in enumerate(lines, 1):
        written = line.rstrip("\r\n")
        if line == written:
            raise FileError(f"line {number} has no end; is the file cut off?")
        if written.startswith(" ") and parts[0]:
            parts.append(written[1:])
            continue
        if first:
            yield first, "".join(parts)
        first, parts = number, [written]
    if first:
        yield first, "".join(parts)


def blocks(lines: Iterable[str]) -> Iterator[Block]:
    """Yield the lines block by block."""
    block: list[tuple[int, str]] = []
    for number, line in unfolded(lines):
        if line:
            block.append((number, line))
        elif block:
            yield Block(block, closed=True)
            block = []
    if block:
        yield Block(block, closed=False)


def read_ldif(lines: Iterable[str], reading: Reading) -> Iterator[Row]:
    """Yield the entries of an answer; raise FileError if it failed, or is not shown to be whole."""
    begun = paged = complete = False
    for block in blocks(lines):
        for number, line in block.lines:
            if BEGINNING.fullmatch(line):
                if begun and not complete:
                    raise FileError(f"line {number}: another answer begins, and the one before has no end")
                paged = False
            elif found := PAGE_END.fullmatch(line):
                paged, complete = True, not found[1].strip()
        values = values_of(block)
        if "dn" in values:
            begun, complete = True, False
            yield entry_row(block.lines[0][0], values, reading)
        elif "result" in values:
            if not str(values["result"][0]).startswith("0 "):
                raise FileError(f"the search failed: {values['result'][0]!s}")
            complete = complete if paged else block.closed
    if not complete and (paged or not reading.ended_well):
        raise FileError(
            "it does not show its end, so that some of it may be missing; ldapsearch does with -E pr=500/noprompt"
        )


def values_of(block: Block) -> Values:
    """Return the values of a block by attribute; raise FileError if it is neither an entry nor what is around them."""
    values: Values = {}
    for number, line in block.lines:
        if not line.startswith("#"):
            add_value(values, line, number)
    first = block.lines[0][0]
    if len(values.get("dn", [])) > 1:
        raise FileError(f"line {first}: two entries without a blank line between them; is a part missing?")
    if "changetype" in values:
        raise FileError(f"line {first}: a change, and no entry")
    if "dn" not in values and values.keys() - NO_ATTRIBUTES:
        raise FileError(f"line {first}: an entry without its dn; is the beginning cut off?")
    return values


def add_value(values: Values, line: str, number: int) -> None:
    """Add the value of a line to those of its attribute; raise FileError if the line is none."""
    found = LINE.fullmatch(line)
    if not found:
        raise FileError(f"line {number}: not LDIF; is the file cut off?")
    name, options, kind, value = found.groups()
    if name.lower() in {"dn", "changetype", *NO_ATTRIBUTES}:
        name = name.lower()
    if kind == "<":
        raise FileError(f"line {number}: {name} is in another file, which is not read")
    try:
        # A value with an option (displayName;lang-de) stands beside the one that counts.
        if not options:
            values.setdefault(name, []).append(b64decode(value, validate=True) if kind else value)
    except Base64Error:
        raise FileError(f"line {number}: {name} is not base64; is the file cut off?") from None


def entry_row(line: int, values: Values, reading: Reading) -> Row:
    """Return an entry as a row; of several values of an attribute the least counts, as they come in no order."""
    found: dict[str, str] = {}
    problem = ""
    for name, attribute in reading.columns.attributes(
        [each for each in values if each != "dn"], f"line {line}: "
    ).items():
        try:
            given = [text(attribute, value) for value in values[name]]
        except UnicodeDecodeError:
            given, problem = [], f"{name} is not text."
        if filled := [value for value in given if not is_blank(value)]:
            found[attribute] = min(filled)
    return Row(line, found, problem)


def text(attribute: str, value: str | bytes) -> str:
    """Return a value as text; a GUID of 16 bytes as Microsoft prints it, whose first three parts are little-endian."""
    written = value if isinstance(value, bytes) else value.encode()
    if attribute == "id" and len(written) == 16:  # some are 16 letters by chance, and not in base64
        return UUID(bytes_le=written).hex
    return written.decode()

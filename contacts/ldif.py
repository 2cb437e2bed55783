"""Reader of LDIF (RFC 2849) as ldapsearch prints it; an answer that does not show its own end is refused."""

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from uuid import UUID

from contacts.rows import FileError, Reading, Row
from contacts.text import is_blank

LINE = re.compile(r"([A-Za-z0-9.-]+)((?:;[A-Za-z0-9=*-]+)*):(:|<|) *(.*)", re.DOTALL)

# What ldapsearch prints before an answer, and behind each of its pages; behind the last one without a cookie.
BEGINNING = re.compile("# extended LDIF|version: 1")
PAGE_END = re.compile(r"(?:# )?pagedresults: (?:.*\s)?cookie=(.*)")

# Names of lines that are no attributes, in entries and around them.
RESERVED = {"dn", "changetype", "version", "ref", "search", "result", "control", "pagedresults", "matcheddn", "text"}

Values = dict[str, list[bytes]]


def blocks(lines: Iterable[str]) -> Iterator[tuple[dict[int, list[str]], bool]]:
    """Yield the lines between blank lines by number, in parts, and if one followed; raise FileError for a cut line."""
    block: dict[int, list[str]] = {}
    parts: list[str] = []
    for number, line in enumerate(lines, 1):
        written = line.rstrip("\r\n")
        if line == written:
            raise FileError(f"line {number} has no end; is the file cut off?")
        if written.startswith(" ") and block:
            parts.append(written[1:])
        elif written:
            block[number] = parts = [written]
        elif block:
            yield block, True
            block = {}
    if block:
        yield block, False


def read_ldif(lines: Iterable[str], reading: Reading) -> Iterator[Row]:
    """Yield the entries of an answer; raise FileError if it failed, or is not shown to be whole."""
    paged, complete = False, None  # None: no answer has begun
    for block, closed in blocks(lines):
        values: Values = {}
        for number, parts in block.items():
            line = "".join(parts)
            if BEGINNING.fullmatch(line):
                if complete is False:
                    raise FileError(f"line {number}: another answer begins, and the one before has no end")
                paged = False
            elif found := PAGE_END.fullmatch(line):
                paged, complete = True, not found[1].strip()
            if not line.startswith("#"):
                add_value(values, line, number)
        first = min(block)
        if "dn" in values:
            complete = False
            yield entry_row(first, values, reading)
        elif values.keys() - RESERVED:
            raise FileError(f"line {first}: an entry without its dn; is the beginning cut off?")
        elif "result" in values:
            result = values["result"][0].decode()
            if not result.startswith("0 "):
                raise FileError(f"the search failed: {result}")
            complete = complete if paged else closed
    if not complete and (paged or not reading.ended_well):
        raise FileError(
            "it does not show its end, so that some of it may be missing; ldapsearch does with -E pr=500/noprompt"
        )


def add_value(values: Values, line: str, number: int) -> None:
    """Add the value of a line to those of its attribute; raise FileError if the line is none."""
    found = LINE.fullmatch(line)
    if not found:
        raise FileError(f"line {number}: not LDIF; is the file cut off?")
    name, options, kind, value = found.groups()
    if name.lower() in RESERVED:
        name = name.lower()
    if kind == "<":
        raise FileError(f"line {number}: {name} is in another file, which is not read")
    if options:  # displayName;lang-de stands beside the value that counts
        return
    try:
        values.setdefault(name, []).append(b64decode(value, validate=True) if kind else value.encode())
    except ValueError:  # also of characters that are not ASCII
        raise FileError(f"line {number}: {name} is not base64; is the file cut off?") from None


def entry_row(line: int, values: Values, reading: Reading) -> Row:
    """Return an entry as a row; of several values of an attribute the least counts, as they come in no order."""
    if len(values.pop("dn")) > 1:
        raise FileError(f"line {line}: two entries without a blank line between them; is a part missing?")
    if "changetype" in values:
        raise FileError(f"line {line}: a change, and no entry")
    members: dict[str, str] = {}
    problem = ""
    for name, attribute in reading.columns.attributes(values, f"line {line}: ").items():
        # objectGUID has 16 bytes; Microsoft prints the first three parts of a GUID as little-endian numbers.
        guid_length = 16 if attribute == "id" else None
        try:
            given = [UUID(bytes_le=each).hex if len(each) == guid_length else each.decode() for each in values[name]]
        except UnicodeDecodeError:
            given, problem = [], f"{name} is not text."
        if filled := [value for value in given if not is_blank(value)]:
            members[attribute] = min(filled)
    return Row(line, members, problem)

"""Reader of LDIF (RFC 2849) as ldapsearch prints it; an answer that does not show its own end is refused."""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from contacts.rows import FileError, Reading, Row

LINE = re.compile(r"([A-Za-z0-9.-]+)((?:;[A-Za-z0-9-]+)*):(:|<|) *(.*)", re.DOTALL)

# What ldapsearch prints behind each page of an answer; behind the last one without a cookie.
PAGE_END = re.compile(r"(?:# )?pagedresults: (?:.*\s)?cookie=(.*)")

# Names of lines that are no attributes.
NO_ATTRIBUTES = {"dn", "version", "ref", "search", "result", "control", "pagedresults"}


def unfolded(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield lines with those that go on in the next one joined, each with its number."""
    first, parts = 0, [""]
    for number, line in enumerate(lines, 1):
        written = line.rstrip("\r\n")
        if written.startswith(" ") and parts[0]:
            parts.append(written[1:])
            continue
        if first:
            yield first, "".join(parts)
        first, parts = number, [written]
    if first:
        yield first, "".join(parts)


def blocks(lines: Iterable[str]) -> Iterator[list[tuple[int, str]]]:
    """Yield the lines between blank lines, with their numbers; at the end a last block without any."""
    block: list[tuple[int, str]] = []
    for number, line in unfolded(lines):
        if line:
            block.append((number, line))
        elif block:
            yield block
            block = []
    yield block


def read_ldif(lines: Iterable[str], reading: Reading) -> Iterator[Row]:
    """Yield the entries of an answer; raise FileError if it failed, or is not shown to be whole."""
    paged = complete = False
    for block in blocks(lines):
        for _, line in block:
            if found := PAGE_END.fullmatch(line):
                paged, complete = True, not found[1].strip()
        values: dict[str, list[str | bytes]] = {}
        for number, line in block:
            if not line.startswith("#"):
                add_value(values, line, number)
        if "dn" in values:
            complete = False
            yield entry_row(block[0][0], values, reading)
        elif "result" in values:
            if not str(values["result"][0]).startswith("0 "):
                raise FileError(f"the search failed: {values['result'][0]!s}")
            complete = complete if paged else True
    if not complete:
        raise FileError(
            "it does not show its end, so that some of it may be missing; ldapsearch does with -E pr=500/noprompt"
        )


def add_value(values: dict[str, list[str | bytes]], line: str, number: int) -> None:
    """Add the value of a line to those of its attribute; raise FileError if the line is none."""
    found = LINE.fullmatch(line)
    if not found:
        raise FileError(f"line {number}: not LDIF; is the file cut off?")
    name, options, kind, value = found.groups()
    if kind == "<":
        raise FileError(f"line {number}: {name} is in another file, which is not read")
    try:
        # A value with an option (displayName;lang-de) stands beside the one that counts.
        if not options:
            values.setdefault(name, []).append(b64decode(value, validate=True) if kind else value)
    except Base64Error:
        raise FileError(f"line {number}: {name} is not base64; is the file cut off?") from None


def entry_row(line: int, values: dict[str, list[str | bytes]], reading: Reading) -> Row:
    """Return an entry as a row; of several values of an attribute the least counts, as they come in no order."""
    members: dict[str, Any] = {}
    try:
        for name in values.keys() - NO_ATTRIBUTES:
            if attribute := reading.columns.column(name).attribute:
                members[name] = min(text(attribute, value) for value in values[name])
            else:
                members[name] = None
        return Row(line, reading.columns.values(members))
    except UnicodeDecodeError:
        return Row(line, {}, f"{name} is not text.")
    except FileError as error:
        raise FileError(f"line {line}: {error}") from None


def text(attribute: str, value: str | bytes) -> str:
    """Return a value as text; a GUID of 16 bytes as Microsoft prints it, whose first three parts are little-endian."""
    written = value if isinstance(value, bytes) else value.encode()
    if attribute == "id" and len(written) == 16:  # some are 16 letters by chance, and not in base64
        return UUID(bytes_le=written).hex
    return written.decode()

"""Answers to requests that succeed: JSON bytes, ETag and 304, files."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import IO, Any

from flask import Response, request
from werkzeug.datastructures import ETags

from contacts import gws
from contacts.errors import ApiError, StatusCode
from contacts.facts import Facts, facts
from contacts.model import encode_json

FILE_BLOCK_BYTES = 64 * 1024

ONE_CONTACT = b'{"statusCode":0,"contact":%b}'

# The JSON of contacts as the directory keeps it, with commas between, to their JSON in an answer.
Presentation = Callable[[bytes], bytes]


def presentation(fields: tuple[str, ...] | None = None) -> Presentation:
    """Return how contacts are shown, with these attributes only."""
    uri = gws.contacts_uri()
    if not uri and not fields:
        return bytes  # as they are

    def shown(values: dict[str, Any]) -> dict[str, Any]:
        values |= gws.attributes_of(values, uri) if uri else {}
        return {name: values[name] for name in fields if name in values} if fields else values

    def present(contacts: bytes) -> bytes:
        return encode_json(list(map(shown, json.loads(b"[%b]" % contacts))))[1:-1].encode()

    return present


def list_tag(revision: int) -> str:
    """Return the ETag of all lists at a revision of the directory, without quotes."""
    return f"{revision:x}{variant()}"


def entity_tag(contact: bytes) -> str:
    """Return the ETag of one contact, without quotes: a digest of its JSON."""
    return f"{digest(contact)}{variant()}"


def variant() -> str:
    """Return what distinguishes the ETags of clients that see other JSON: that of an address."""
    uri = gws.contacts_uri()
    return f"g{digest(uri.encode())}" if uri else ""


def digest(text: bytes) -> str:
    """Return a short digest, as hexadecimal digits."""
    return blake2b(text, digest_size=8).hexdigest()


def read_headers(tag: str) -> dict[str, str]:
    """Return the headers of a read: the client may keep what it read, and asks again each time."""
    return {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}


def json_answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with a JSON body."""
    return Response(body, status, headers, content_type="application/json")


def blocks_of(file: IO[bytes], known: Facts) -> Iterator[bytes]:
    """Yield a file in blocks, and note if the client did not wait for its end; the log line has it."""
    try:
        while block := file.read(FILE_BLOCK_BYTES):
            yield block
    except GeneratorExit:
        known.interrupted = "by the client"
        raise


def read_answer(body: bytes | IO[bytes], tag: str) -> Response:
    """Return the answer to a read, whose body may be in a file."""
    if isinstance(body, bytes):
        return json_answer(body, headers=read_headers(tag))
    response = Response(blocks_of(body, facts()), headers=read_headers(tag), content_type="application/json")
    response.content_length = os.fstat(body.fileno()).st_size
    response.call_on_close(body.close)
    return response


def write_answer(contact: bytes, status: int = 200, **headers: str) -> Response:
    """Return the answer to a write: the contact as it is now."""
    shown = presentation()(contact)
    body = ONE_CONTACT % shown
    if status == 201 and gws.is_on():
        body = encode_json(gws.created(json.loads(shown))).encode()
    return json_answer(body, status, {"ETag": f'"{entity_tag(contact)}"', **headers})


def is_current(tag: str) -> bool:
    """Return whether the client has this state (If-None-Match, weak comparison: RFC 9110, 13.1.2)."""
    return "If-None-Match" in request.headers and has(request.if_none_match, tag)


def not_modified(tag: str) -> Response:
    """Return the answer to a client that has the current state."""
    return Response(status=304, headers=read_headers(tag))


def check_if_match(tag: str) -> None:
    """Raise ApiError 412 if the request expects another state (If-Match: RFC 9110, 13.1.1).

    Weak tags count, as a proxy that compresses weakens them.
    """
    if "If-Match" in request.headers and not has(request.if_match, tag):
        raise ApiError(412, StatusCode.INVALID, "The contact has changed since you read it (If-Match); read it again.")


def has(tags: ETags, tag: str) -> bool:
    """Return whether tags that a client sends have this one, also weak (W/"x") or as a proxy suffixed it ("x-gzip")."""
    return bool(tags.star_tag) or tag in {
        each.partition("-")[0] for each in filter(None, tags.as_set(include_weak=True))
    }

"""The facts about a request, in one object on flask.g: set as they become known, read by logs, metrics and audit."""

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from flask import g


@dataclass
class Facts:
    """The facts about one request."""

    request_id: str
    method: str
    route: str  # the rule that the path matches, logged and counted in its place, or "unmatched"
    peer: str  # the address of the direct peer, or "unix"
    began: float = field(default_factory=perf_counter)  # seconds of time.perf_counter()
    role: str = "-"
    token: str = ""  # the label of the bearer token, if it gave the role
    user: str = ""  # whom the proxy names, if it gave the role
    gws_attributes: dict[str, Any] = field(default_factory=dict)  # as contacts/gws.py has them, of a PUT
    interrupted: str = ""  # why a streamed answer ended too soon


def facts() -> Facts:
    """Return the facts about the current request."""
    known: Facts = g.facts
    return known

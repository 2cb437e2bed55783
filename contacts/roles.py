"""Who may do what: the role of a request, checked before anything else in it is looked at."""

import ipaddress
import re
from enum import StrEnum
from functools import lru_cache, partial
from typing import NoReturn

from flask import Flask, request
from werkzeug.datastructures import Headers

from contacts import tokens
from contacts.errors import ApiError, StatusCode
from contacts.facts import facts
from contacts.settings import Peers


class Role(StrEnum):
    """The two roles of the Contacts API."""

    ADMIN = "Contact Center Admin"
    AGENT = "Agent"


# As a header or a command may spell them, in lower case.
SPELLINGS = {
    "contact center admin": Role.ADMIN,
    "role_admin": Role.ADMIN,
    "agent": Role.AGENT,
    "role_agent": Role.AGENT,
}

_bearer = re.compile(r"(?:^|,)\s*bearer(?:\s(.*))?$", re.IGNORECASE)

WRITE_METHODS = {"POST", "PUT", "DELETE"}


def check(contacts_path: str, header: str, trusted: Peers) -> None:
    """Let a request to the contacts pass only with a role, and a write only with the admin's.

    Raise ApiError 401 without a believable role, 403 if the role is not enough.
    """
    # The rule that the router matched decides: a path has many spellings (//contacts).
    path = request.url_rule.rule if request.url_rule else request.path
    if not path.startswith(contacts_path) or path[len(contacts_path) : len(contacts_path) + 1] not in {"", "/", "&"}:
        return
    known = facts()
    role, known.token = role_and_token(request.headers, header, request.remote_addr or "", trusted)
    known.role = role.value
    if role is not Role.ADMIN and known.method in WRITE_METHODS:  # in upper case, as the router compares it
        raise ApiError(403, StatusCode.ROLE, f"The role {role} may read the contacts; writing takes {Role.ADMIN}.")


def role_and_token(headers: Headers, header: str, peer: str, trusted: Peers) -> tuple[Role, str]:
    """Return the role that the bearer token or the trusted proxy gives a request, and the token's label or "".

    Raise ApiError 401 if there is none to believe. A token, when sent, decides alone.
    """
    # The server joins several Authorization headers with commas.
    authorization = headers.get("Authorization")
    if authorization and (bearer := _bearer.search(authorization)):
        token = tokens.find((bearer[1] or "").strip())
        if not token:
            unauthenticated("The bearer token is not known here, or was revoked.", 'error="invalid_token"')
        return Role(token["role"]), token["label"]
    name = headers.get(header)
    if name is None:
        unauthenticated(f"Send a bearer token, or the header {header} by way of a trusted proxy.")
    if not is_trusted(peer, trusted):
        unauthenticated(
            f"The header {header} was ignored: the peer {peer or 'unix'} is not trusted. If it is your "
            "authenticating proxy, add it to CONTACTS_TRUSTED_PROXIES and restart; else send a bearer token."
        )
    if name.strip().lower() not in SPELLINGS:
        unauthenticated(f"The header {header} names no role; there are: {Role.ADMIN}, {Role.AGENT}.")
    return SPELLINGS[name.strip().lower()], ""


def unauthenticated(message: str, challenge: str = "") -> NoReturn:
    """Refuse a request without a believable role (WWW-Authenticate: RFC 6750, section 3)."""
    value = ", ".join(filter(None, ['Bearer realm="contacts"', challenge]))
    raise ApiError(401, StatusCode.UNAUTHENTICATED, message, headers=[("WWW-Authenticate", value)])


@lru_cache(maxsize=1024)
def is_trusted(peer: str, trusted: Peers) -> bool:
    """Return whether the role header is believed from a peer: an address, or "" for a unix socket."""
    if not peer:
        return "unix" in trusted
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    # A socket that listens on both families shows IPv4 peers as ::ffff:10.0.0.5.
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in trusted if not isinstance(network, str))


def init_app(app: Flask) -> None:
    """Check every request, those that end in 404 and 405 too."""
    contacts_path = f"{app.config['URL_PREFIX']}/contacts"
    app.before_request(partial(check, contacts_path, app.config["ROLE_HEADER"], app.config["TRUSTED_PROXIES"]))

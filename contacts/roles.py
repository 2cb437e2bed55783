"""Who may do what: the role of a request, checked before anything else in it is looked at."""

import ipaddress
import re
from enum import StrEnum
from functools import lru_cache
from typing import NoReturn

from flask import Flask, current_app, request

from contacts import tokens
from contacts.errors import ApiError, StatusCode
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

WRITES = {"POST", "PUT", "DELETE"}


def check() -> None:
    """Let a request to the contacts pass only with a role, and a write only with the admin's.

    Raise ApiError 401 without a believable role, 403 when the role is not enough.
    """
    contacts = f"{current_app.config['URL_PREFIX']}/contacts"
    if not request.path.startswith(contacts) or request.path[len(contacts) :][:1] not in {"", "/", "&"}:
        return
    role = role_of_request()
    if role is not Role.ADMIN and request.method in WRITES:
        raise ApiError(403, StatusCode.ROLE, f"The role {role} may read the contacts; writing takes {Role.ADMIN}.")


def role_of_request() -> Role:
    """Return the role that the request's bearer token or its trusted proxy gives it.

    Raise ApiError 401 when there is none to believe. A token, when sent, decides alone.
    """
    # Also where it is not the only Authorization header: the server puts commas between several.
    # environ: a look-up in request.headers takes ten times as long.
    environ = request.environ
    authorization = environ.get("HTTP_AUTHORIZATION")
    if authorization and (bearer := _bearer.search(authorization)):
        role = tokens.role_of((bearer[1] or "").strip())
        if not role:
            unauthenticated("The bearer token is not known here, or was revoked.", 'error="invalid_token"')
        return Role(role)
    config = current_app.config
    header, peer = config["ROLE_HEADER"], environ.get("REMOTE_ADDR", "")
    name = environ.get(f"HTTP_{header.upper().replace('-', '_')}")
    if name is None:
        unauthenticated(f"Send a bearer token, or the header {header} by way of a trusted proxy.")
    if not is_trusted(peer, config["TRUSTED_PROXIES"]):
        unauthenticated(
            f"The header {header} was ignored: the peer {peer or 'unix'} is not trusted. If it is your "
            "authenticating proxy, add it to CONTACTS_TRUSTED_PROXIES and restart; else send a bearer token."
        )
    if name.strip().lower() not in SPELLINGS:
        unauthenticated(f"The header {header} names no role; there are: {Role.ADMIN}, {Role.AGENT}.")
    return SPELLINGS[name.strip().lower()]


def unauthenticated(message: str, challenge: str = "") -> NoReturn:
    """Refuse a request without a believable role (WWW-Authenticate: RFC 6750, section 3)."""
    value = ", ".join(filter(None, ['Bearer realm="contacts"', challenge]))
    raise ApiError(401, StatusCode.UNAUTHENTICATED, message, headers=[("WWW-Authenticate", value)])


@lru_cache(maxsize=1024)
def is_trusted(peer: str, trusted: Peers) -> bool:
    """Tell whether the role header is believed from a peer: an address, or "" for a unix socket."""
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
    app.before_request(check)

"""Who may do what: the role of a request, checked before anything else in it is looked at."""

import ipaddress
import re
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any, NoReturn

from flask import Flask

from contacts import tokens
from contacts.errors import ApiError, StatusCode
from contacts.service import current
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


def check(contacts: str, header: str, trusted: Peers) -> None:
    """Let a request to the contacts pass only with a role, and a write only with the admin's.

    Raise ApiError 401 without a believable role, 403 when the role is not enough.
    """
    # The rule that the router found decides; paths have more spellings (//contacts) than one would think of.
    request = current()
    rule = request.url_rule
    path = request.path if rule is None else rule.rule
    if not path.startswith(contacts) or path[len(contacts) : len(contacts) + 1] not in {"", "/", "&"}:
        return
    # environ: a look-up in request.headers takes thirty times as long.
    environ = request.environ
    role = environ["contacts.role"] = role_of(environ, header, trusted)
    if role is not Role.ADMIN and request.method in WRITES:  # in upper case, as the router takes it
        raise ApiError(403, StatusCode.ROLE, f"The role {role} may read the contacts; writing takes {Role.ADMIN}.")


def role_of(environ: dict[str, Any], header: str, trusted: Peers) -> Role:
    """Return the role that the request's bearer token or its trusted proxy gives it.

    Raise ApiError 401 when there is none to believe. A token, when sent, decides alone, and leaves its label.
    """
    # Also where it is not the only Authorization header: the server puts commas between several.
    authorization = environ.get("HTTP_AUTHORIZATION")
    if authorization and (bearer := _bearer.search(authorization)):
        holder = tokens.holder((bearer[1] or "").strip())
        if not holder:
            unauthenticated("The bearer token is not known here, or was revoked.", 'error="invalid_token"')
        environ["contacts.token"], role = holder
        return Role(role)
    peer = environ.get("REMOTE_ADDR", "")
    name = environ.get(f"HTTP_{header.upper().replace('-', '_')}")
    if name is None:
        unauthenticated(f"Send a bearer token, or the header {header} by way of a trusted proxy.")
    if not is_trusted(peer, trusted):
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
    contacts = f"{app.config['URL_PREFIX']}/contacts"
    app.before_request(partial(check, contacts, app.config["ROLE_HEADER"], app.config["TRUSTED_PROXIES"]))

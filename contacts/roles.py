"""Who may do what: the role of a request, checked before anything else in it is looked at."""

import ipaddress
import re
from functools import lru_cache, partial

from flask import Flask, current_app, request

from contacts import origins, tokens
from contacts.errors import ApiError, StatusCode
from contacts.facts import facts
from contacts.settings import ROLE_SPELLINGS, Peers, Role, api_path

_bearer = re.compile(r"(?:^|,)\s*bearer(?:\s(.*))?$", re.IGNORECASE)

MAX_USER_LENGTH = 255  # characters of a user's name that a proxy sends


def check_role(api_path: re.Pattern[str]) -> None:
    """Let a request to the API pass only with a role, and a write only with the admin's.

    Raise ApiError 401 without a believable role, 403 if the role is not enough.
    """
    # The rule that the router matched decides: a path has many spellings (//contacts).
    known = facts()
    path = request.path if known.route == "unmatched" else known.route
    if not api_path.match(path) or origins.is_preflight():
        return
    role = bearer_role() or proxy_role()  # a token, when sent, decides alone
    known.role = role.value
    # The method is in upper case, as the router compares it.
    if role is not Role.ADMIN and known.method in {"POST", "PUT", "DELETE"}:
        raise ApiError(403, StatusCode.ROLE, f"The role {role} may read the contacts; writing takes {Role.ADMIN}.")


def bearer_role() -> Role | None:
    """Return the role of the request's bearer token, None without one; raise ApiError 401 if it is not known."""
    # The server joins several Authorization headers with commas.
    sent = _bearer.search(request.headers.get("Authorization", ""))
    if not sent:
        return None
    token = tokens.find((sent[1] or "").strip())
    if not token:
        raise unauthenticated_error("The bearer token is not known here, or was revoked.", ', error="invalid_token"')
    facts().token = token["label"]
    return Role(token["role"])


def proxy_role() -> Role:
    """Return the role that a trusted proxy gives, and note the user; raise ApiError 401 if there is none to believe."""
    config = current_app.config
    header, peer = config["ROLE_HEADER"], request.remote_addr or ""
    if header not in request.headers:
        raise unauthenticated_error(f"Send a bearer token, or the header {header} by way of a trusted proxy.")
    if not is_trusted(peer, config["TRUSTED_PROXIES"]):
        raise unauthenticated_error(
            f"The header {header} was ignored: the peer {peer or 'unix'} is not trusted. If it is your "
            "authenticating proxy, add it to CONTACTS_TRUSTED_PROXIES and restart; else send a bearer token."
        )
    value = header_text(header).strip()
    if config["ROLES"]:
        found = {config["ROLES"].get(name.strip()) for name in value.split(",")}
        role = next((each for each in Role if each in found), None)  # the highest first
    else:
        role = ROLE_SPELLINGS.get(value.lower())
    if not role and config["ROLES"]:
        raise unauthenticated_error(f"The header {header} has no name that CONTACTS_ROLES gives a role.")
    if not role:
        raise unauthenticated_error(f"The header {header} names no role; there are: {', '.join(Role)}.")
    facts().user = header_text(config["USER_HEADER"])[:MAX_USER_LENGTH]
    return role


def header_text(name: str) -> str:
    """Return a header of the request, "" without one. WSGI decodes headers as Latin-1; proxies write UTF-8."""
    return request.headers.get(name, "").encode("latin-1").decode("utf-8", "replace")


def unauthenticated_error(message: str, details: str = "") -> ApiError:
    """Return the answer to a request without a believable role (WWW-Authenticate: RFC 6750, section 3)."""
    challenge = f'Bearer realm="contacts"{details}'
    return ApiError(401, StatusCode.UNAUTHENTICATED, message, headers=[("WWW-Authenticate", challenge)])


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
    app.before_request(partial(check_role, api_path(app.config)))

"""The settings: environment variables that begin with CONTACTS_, read once and checked at start."""

import ipaddress
import logging
import os
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from flask import Flask

PREFIX = "CONTACTS_"

log = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Peers = frozenset[Network | str]


class Role(StrEnum):
    """The two roles of the Contacts API."""

    ADMIN = "Contact Center Admin"
    AGENT = "Agent"


# As the role header may spell them (Agent, ROLE_AGENT), in lower case.
ROLE_SPELLINGS = {spelling.lower(): role for role in Role for spelling in (role, f"role_{role.name}")}
# As settings and commands may.
ADMINISTRATOR_SPELLINGS = {**ROLE_SPELLINGS, "admin": Role.ADMIN}


class SettingsError(Exception):
    """A setting or the database is not valid, and the service cannot start."""


class Defaults:
    """Every setting with its default, as docs/settings.md lists them."""

    DATABASE = "contacts.db"
    TRUSTED_PROXIES = ""
    ROLE_HEADER = "X-Role"
    ROLES = ""
    USER_HEADER = "X-Forwarded-User"
    ALLOWED_ORIGINS = ""
    URL_PREFIX = ""
    GWS_CLIENTS = "off"
    COUNTRY_CODE = ""
    TRUNK_PREFIX = "0"
    INTERNATIONAL_PREFIX = "00"
    READ_TIMEOUT = "10"
    LOG_LEVEL = "INFO"
    LOG_FORMAT = "text"


def database(value: str) -> str:
    """Check the path of the SQLite file; contacts/upgrades.py finds out whether it can be opened."""
    if not value.strip() or value == ":memory:" or value.startswith("file:"):
        raise ValueError("give the path of a file")
    return value


def trusted_proxies(value: str) -> Peers:
    """Return the peers whose role header is believed, from addresses, CIDR ranges and `unix`."""
    peers: set[Network | str] = set()
    for entry in value.replace(",", " ").split():
        if entry.lower() == "unix":
            peers.add("unix")
            continue
        try:
            peers.add(unmapped(ipaddress.ip_network(entry)))
        except ValueError as error:
            raise ValueError(
                f"{error}; give addresses (10.0.0.5), ranges (10.0.0.0/24) or unix, with commas between"
            ) from None
    return frozenset(peers)


def unmapped(network: Network) -> Network:
    """Return the IPv4 range of one that is written as IPv6 (::ffff:10.0.0.0/120); another range as it is."""
    if network.version == 6 and network.prefixlen >= 96 and (mapped := network.network_address.ipv4_mapped):
        return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def header_name(value: str) -> str:
    """Check that the value names a header that a proxy may set (a token of RFC 9110, 5.6.2)."""
    if not re.fullmatch(r"[A-Za-z0-9-]+", value):
        raise ValueError("give a header's name: letters, digits and -")
    if value.lower() in {"authorization", "host", "cookie", "content-type", "content-length"}:
        raise ValueError(f"{value} has a meaning of its own; give another header's name")
    return value


def roles(value: str) -> dict[str, Role]:
    """Return the roles by the names that a site has for them, from `name=role` with commas between."""
    found: dict[str, Role] = {}
    for entry in filter(None, map(str.strip, value.split(","))):
        name, _, spelling = (part.strip() for part in entry.rpartition("="))
        role = ADMINISTRATOR_SPELLINGS.get(spelling.lower())
        if not name or ";" in name or not role:
            raise ValueError(
                f"{entry!r} is no name=role; give names with Admin or Agent and commas between, such as cc-admins=Admin"
            )
        if found.setdefault(name, role) != role:
            raise ValueError(f"{name!r} has two roles; give it one")
    if value.strip() and not found:
        raise ValueError("give names with their roles, such as cc-admins=Admin, or nothing")
    return found


def allowed_origins(value: str) -> list[str]:
    """Return origins as browsers send them (RFC 6454, 6.2): in lower case, without the port that the scheme implies."""
    origins = []
    for entry in value.replace(",", " ").split():
        if not re.fullmatch(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]+)?", entry.lower()):
            raise ValueError(
                f"{entry!r} is no origin; give scheme, host and port alone, such as https://desk.example.com"
            )
        parts = urlsplit(entry.lower())
        host = parts.hostname or ""
        host = f"[{ipaddress.IPv6Address(host)}]" if ":" in host else host
        implied = {"http": 80, "https": 443}.get(parts.scheme)
        port = "" if parts.port in {None, implied} else f":{parts.port}"
        origins.append(f"{parts.scheme}://{host}{port}")
    return origins


def form(pattern: str, advice: str, read: Callable[[str], Any] = str) -> Callable[[str], Any]:
    """Return the check of a value that has a form, ignoring case; `read` makes of it what it stands for."""

    def check(value: str) -> Any:
        if not re.fullmatch(pattern, value, re.IGNORECASE | re.ASCII):
            raise ValueError(advice)
        return read(value)

    return check


PLAN_ADVICE = "give digits, such as 49, or nothing"

CHECKS: dict[str, Callable[[str], Any]] = {
    "DATABASE": database,
    "TRUSTED_PROXIES": trusted_proxies,
    "ROLE_HEADER": header_name,
    "ROLES": roles,
    "USER_HEADER": header_name,
    "ALLOWED_ORIGINS": allowed_origins,
    "URL_PREFIX": form(
        r"(/[A-Z0-9._~-]+)*", "give a path that begins with / and does not end with one, such as /api/v2"
    ),
    "GWS_CLIENTS": form(
        "(1|on|true|yes|0|off|false|no)?", "give on or off", lambda value: value.lower() in {"1", "on", "true", "yes"}
    ),
    # None begins with 0 (ITU-T E.164).
    "COUNTRY_CODE": form("([1-9][0-9]{0,7})?", f"{PLAN_ADVICE}: the country code without 0 or 00 before it"),
    "TRUNK_PREFIX": form("[0-9]{0,8}", PLAN_ADVICE),
    "INTERNATIONAL_PREFIX": form("[0-9]{0,8}", PLAN_ADVICE),
    "READ_TIMEOUT": form(r"(?=.*[1-9])[0-9]{1,4}([.][0-9]{1,3})?", "give seconds, such as 10 or 2.5", float),
    "LOG_LEVEL": form(
        "DEBUG|INFO|WARNING|ERROR|CRITICAL", "give one of DEBUG, INFO, WARNING, ERROR, CRITICAL", str.upper
    ),
    "LOG_FORMAT": form("text|json", "give text or json", str.lower),
}


def init_app(app: Flask, config: Mapping[str, Any] | None = None) -> None:
    """Put the checked settings into app.config: defaults, then the environment, then `config`.

    Raise SettingsError, in one line, for a value that is not valid.
    """
    app.config.from_object(Defaults)
    # Not from_prefixed_env: it reads a database called 1e3 as a number, and CONTACTS_DATABASE__X as a dictionary.
    for variable, value in os.environ.items():
        name = variable.removeprefix(PREFIX)
        if name in CHECKS and name != variable:
            app.config[name] = value
        elif name != variable:
            log.warning(
                "%s is not a setting and is ignored; there are: %s", variable, ", ".join(map(PREFIX.__add__, CHECKS))
            )
    app.config.update(config or {})
    for name, check in CHECKS.items():
        try:
            app.config[name] = check(app.config[name])
        except ValueError as error:
            raise SettingsError(f"{PREFIX}{name}={app.config[name]!r}: {error}") from None


def api_path(config: Mapping[str, Any]) -> re.Pattern[str]:
    """Return the pattern of the paths that take a role: what is asked for and the router's rules match it."""
    return re.compile(rf"{re.escape(config['URL_PREFIX'])}/(contacts|me)(/|\Z)")

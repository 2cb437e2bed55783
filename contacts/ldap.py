"""Reads an LDAP server by OpenLDAP's ldapsearch, and believes nothing but a whole answer."""

import os
import re
import socket
import ssl
import subprocess  # nosec B404 # a list of arguments, no shell
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from contacts import files
from contacts.attributes import ATTRIBUTES
from contacts.rows import Columns, FileError, Reading, Row

MAX_SEARCH_S = 600  # a server that freezes is given up after so many seconds
MAX_CONNECT_S = 10

NO_TLS = "no safe connection: the server has no TLS here, or its certificate is not for this host or not from --ca-file"

# What ldapsearch's exit status means, and what to do.
REASONS = {
    4: "the server gives no more entries than its size limit: let it give all to this bind DN",
    8: "the server asks for a safer login: TLS, or another bind DN",
    10: "the base is a referral to another server",
    32: "the server has no such base",
    49: "the server does not know this bind DN with this password",
    **dict.fromkeys((52, 254, 255), "the server cannot be reached, or went away"),
}

HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?")
ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


class Search(NamedTuple):
    """What an LDAP URL names."""

    server: str  # ldaps://host:port
    base: str
    scope: str
    filter: str
    attributes: list[str]


def parse(url: str) -> Search:
    """Return what an LDAP URL (RFC 4516) names; without a scope, all below the base. Raise FileError if it is none."""
    try:
        parts = urlsplit(url)
        has_host = HOST.fullmatch(parts.netloc) and parts.port != 0
    except ValueError as error:
        raise FileError(f"not an LDAP URL: {error}") from None
    attributes, scope, filter_, *extensions = (*map(unquote, parts.query.split("?")), "", "", "")[:4]
    base = unquote(parts.path.removeprefix("/"))
    names = [name for name in attributes.split(",") if name]
    problems = {
        "a host": not has_host,
        "a base, such as /OU=Staff,DC=corp,DC=example": not base,
        "a scope: base, one or sub": scope.lower() not in {"", "base", "one", "sub"},
        "names of attributes": not all(map(ATTRIBUTE.fullmatch, names)),
        "no extensions, and no fragment": any(extensions) or bool(parts.fragment),
        "one line of text": not f"{base}{filter_}".isprintable(),
    }
    if wanted := [each for each, is_missing in problems.items() if is_missing]:
        raise FileError(f"an LDAP URL has {wanted[0]}: ldaps://host/base??sub?(filter)")
    filter_ = filter_ if filter_.startswith("(") else f"({filter_ or 'objectClass=*'})"
    return Search(f"{parts.scheme}://{parts.netloc}", base, scope.lower() or "sub", filter_, names)


def command(search: Search, bind_dn: str) -> list[str]:
    """Return the arguments of ldapsearch, which reads the password; ldap: means StartTLS and nothing less."""
    return [
        *("ldapsearch", "-LLL", "-x", "-H", search.server, *(["-ZZ"] if search.server.startswith("ldap:") else [])),
        *(("-D", bind_dn, "-y", "/dev/stdin") if bind_dn else ()),
        *("-b", search.base, "-s", search.scope, "-z", "0", "-E", "pr=500/noprompt"),
        *("-o", "ldif-wrap=no", "-o", f"nettimeout={MAX_CONNECT_S}", search.filter, *search.attributes),
    ]


def read(url: str, columns: Columns, bind_dn: str, password_file: Path | None, ca_file: Path | None) -> Iterator[Row]:
    """Yield the entries that an LDAP URL names as rows, once all are here; raise FileError unless it is whole."""
    search = parse(url)
    if bool(bind_dn) != bool(password_file):
        raise FileError("--bind-dn and --password-file go together")
    if not search.attributes:
        named = [name for name, attribute in columns.named.items() if attribute]
        known = [name for attribute in ATTRIBUTES.values() for name in attribute.other_names]
        search = search._replace(attributes=named + known)
    if wrong := [name for name in search.attributes if not ATTRIBUTE.fullmatch(name)]:
        raise FileError(f"{wrong[0]!r} is no attribute of LDAP")
    try:
        ssl.create_default_context(cafile=ca_file)
    except OSError:
        raise FileError(f"{ca_file} has no certificate in PEM") from None
    # ldapsearch takes the line break at the end of a file for a part of the password.
    password = password_file.read_bytes().rstrip(b"\r\n") if password_file else b""
    if password_file and not password:
        raise FileError(f"{password_file} is empty, and a server would let anybody in as nobody")
    with tempfile.TemporaryDirectory(prefix="contacts-ldap-") as folder:
        run(search, bind_dn, password, ca_file, folder)
        with Path(folder, "answer").open("rb") as answer:
            yield from files.read(answer, Reading("ldif", columns, ended_well=True))


def run(search: Search, bind_dn: str, password: bytes, ca_file: Path | None, folder: str) -> None:
    """Run ldapsearch, whose answer goes into a file in a folder of its own; raise FileError if it does not end well."""
    # No ldaprc of a user's may allow a certificate that is not right.
    env = {"HOME": folder, "LANG": "C.UTF-8", "LDAPTLS_REQCERT": "demand", "PATH": os.getenv("PATH", os.defpath)}
    if ca_file:
        env["LDAPTLS_CACERT"] = str(ca_file.absolute())
    try:
        with Path(folder, "answer").open("wb") as answer:
            ended = subprocess.run(  # noqa: S603 # nosec B603
                command(search, bind_dn),
                env=env,
                cwd=folder,
                stdout=answer,
                stderr=subprocess.PIPE,
                timeout=MAX_SEARCH_S,
                check=False,
                input=password,
            )
    except FileNotFoundError:
        raise FileError(
            "there is no ldapsearch: install ldap-utils (Debian, Ubuntu) or openldap-clients (Red Hat)"
        ) from None
    except subprocess.TimeoutExpired:
        raise FileError(f"the server has not answered in {MAX_SEARCH_S} seconds") from None
    if ended.returncode:
        said = " ".join(ended.stderr.decode("utf-8", "replace").split())
        reason = REASONS.get(ended.returncode, "the search failed")
        if "Can't contact" in said:
            reason = REASONS[255]
        elif "ldap_start_tls" in said:
            reason = NO_TLS
        problem = certificate_problem(search.server, ca_file) if search.server.startswith("ldaps:") else ""
        raise FileError(f"{reason} (ldapsearch: {said or ended.returncode}){problem}")


def certificate_problem(server: str, ca_file: Path | None) -> str:
    """Return what is wrong with the certificate of a server, "" if nothing is: ldapsearch says only that it gave up."""
    parts = urlsplit(server)
    try:
        context = ssl.create_default_context(cafile=ca_file)
        with socket.create_connection((parts.hostname, parts.port or 636), MAX_CONNECT_S) as connection:
            context.wrap_socket(connection, server_hostname=parts.hostname).close()
    except ssl.SSLError as error:
        return f"; its certificate: {getattr(error, 'verify_message', '') or error.reason}"
    except (OSError, ValueError):  # also of a name that is none
        pass
    return ""

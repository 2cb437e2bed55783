"""Bearer tokens: made, listed and revoked on the command line. The database holds only their SHA-256."""

import secrets
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256

from contacts.database import Compiled, parameter
from contacts.model import Token
from contacts.text import clean
from contacts.transactions import write_transaction

MAX_LABEL_LENGTH = 64  # characters


FIND = Compiled(Token.select(Token.label, Token.role).where(Token.sha256 == parameter("sha256")))


class TokenError(Exception):
    """A token cannot be made or revoked."""


def find(token: str) -> dict[str, str] | None:
    """Return the label and the role of a token, or None for an unknown one."""
    rows = FIND.rows({"sha256": digest(token)})  # by the digest, so that the time it takes tells nothing of the token
    return rows[0] if rows else None


def create(role: str, label: str) -> str:
    """Make a token and return it; raise TokenError if the label is taken, blank or too long."""
    try:
        label = clean(label, MAX_LABEL_LENGTH)
    except ValueError as error:
        raise TokenError(f"the label {label!r} cannot be used: {error}") from None
    token = f"contacts_{secrets.token_urlsafe(32)}"  # one found in a log or a repository shows what it opens
    created = datetime.now(UTC).isoformat(timespec="seconds")
    with write_transaction():
        if Token.get_or_none(Token.label == label):
            raise TokenError(f"there is a token {label!r} already; revoke it first, or choose another label")
        Token.create(label=label, role=role, sha256=digest(token), created=created)
    return token


def revoke(label: str) -> None:
    """Delete the token with this label, which is refused from now on; raise TokenError if there is none."""
    with suppress(ValueError):  # no label is like that
        label = clean(label, MAX_LABEL_LENGTH)
    with write_transaction():
        revoked = Token.delete().where(Token.label == label).execute()
    if not revoked:
        raise TokenError(f"there is no token {label!r}; `flask token list` shows the labels")


def digest(token: str) -> bytes:
    """Return the SHA-256 of a token, which is all that the database holds of it."""
    return sha256(token.encode("utf-8", "surrogateescape")).digest()

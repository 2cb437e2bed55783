"""Bearer tokens: made, listed and revoked on the command line. The database holds only their SHA-256."""

import secrets
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256

from contacts.database import Compiled, parameter
from contacts.model import Token
from contacts.text import clean
from contacts.transactions import write_transaction

# A token found in a log or a repository shows what it opens.
PREFIX = "contacts_"

MAX_LABEL_LENGTH = 64  # characters


class TokenError(Exception):
    """A token cannot be made or revoked."""


FIND = Compiled(Token.select(Token.label, Token.role).where(Token.sha256 == parameter("sha256")))


def find(token: str) -> dict[str, str] | None:
    """Return the label and the role of a token, or None for an unknown one.

    The look-up is by the token's digest, so its time tells nothing about the token.
    """
    rows = FIND.rows({"sha256": digest(token)})
    return rows[0] if rows else None


def create(role: str, label: str) -> str:
    """Make a token with this role and label, and return it; it cannot be shown again.

    Raise TokenError if the label is taken, blank or too long.
    """
    try:
        label = clean(label, MAX_LABEL_LENGTH)
    except ValueError as error:
        raise TokenError(f"the label {label!r} cannot be used: {error}") from None
    token = PREFIX + secrets.token_urlsafe(32)
    with write_transaction():
        if Token.get_or_none(Token.label == label):
            raise TokenError(f"there is a token {label!r} already; revoke it first, or choose another label")
        Token.create(
            label=label,
            role=role,
            sha256=digest(token),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    return token


def revoke(label: str) -> None:
    """Delete the token with this label; requests that send it are refused from now on.

    Raise TokenError if there is none.
    """
    with suppress(ValueError):  # no label is like that
        label = clean(label, MAX_LABEL_LENGTH)
    with write_transaction():
        revoked = Token.delete().where(Token.label == label).execute()
    if not revoked:
        raise TokenError(f"there is no token {label!r}; `flask token list` shows the labels")


def digest(token: str) -> bytes:
    """Return the SHA-256 of a token, which is all that the database holds of it."""
    return sha256(token.encode("utf-8", "surrogateescape")).digest()

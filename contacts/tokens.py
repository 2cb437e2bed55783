"""Bearer tokens: made, listed and revoked on the command line. The database holds only their SHA-256."""

import secrets
from datetime import UTC, datetime
from hashlib import sha256

from contacts.database import db
from contacts.model import Token
from contacts.text import clean

# So that a token found in a log or a repository tells what it opens.
PREFIX = "contacts_"


class TokenError(Exception):
    """A token cannot be made or revoked."""


def holder(token: str) -> tuple[str, str] | None:
    """Return the label and the role of a token, or None for one that is not known.

    The look-up is by the token's digest, so its time tells nothing about the token.
    """
    row: tuple[str, str] | None = db.execute_sql(
        "SELECT label, role FROM token WHERE sha256 = ?", (digest(token),)
    ).fetchone()
    return row


def create(role: str, label: str) -> str:
    """Make a token with this role and label, and return it: it cannot be had again.

    Raise TokenError when the label is taken, blank or too long.
    """
    try:
        label = clean(label, 64)
    except ValueError as error:
        raise TokenError(f"the label {label!r} cannot be used: {error}") from None
    token = PREFIX + secrets.token_urlsafe(32)
    with db.atomic():
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
    """Forget the token with this label; requests that send it are refused from now on.

    Raise TokenError when there is none.
    """
    if not Token.delete().where(Token.label == label.strip()).execute():
        raise TokenError(f"there is no token {label!r}; `flask token list` shows the labels")


def digest(token: str) -> bytes:
    """Return what the database holds of a token."""
    return sha256(token.encode("utf-8", "surrogateescape")).digest()

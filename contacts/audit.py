"""The audit line: who changed what of which contact."""

import logging
from collections.abc import Mapping
from typing import Any

from flask import request

from contacts import logs
from contacts.model import ATTRIBUTES

log = logging.getLogger(__name__)

# Of a name that a proxy sends, in characters.
LONGEST_USER = 255


def wrote(action: str, contact_id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Log a write that is on disk: the names of the attributes that differ; their values at DEBUG alone."""
    environ = request.environ
    names = [name for name in ATTRIBUTES if name != "id" and old.get(name) != new.get(name)]
    fields: dict[str, Any] = {"action": action, "contact": contact_id, "attributes": ",".join(names)}
    if log.isEnabledFor(logging.DEBUG):
        fields |= {"old": {name: old.get(name) for name in names}, "new": {name: new.get(name) for name in names}}
    fields |= {**who(environ), "role": environ["contacts.role"], "id": environ["contacts.request_id"]}
    logs.event(log, "audit", fields)


def who(environ: Mapping[str, Any]) -> dict[str, str]:
    """Return the label of the request's token, or the user that the proxy names.

    A write without a token has its role from a trusted proxy (roles.py), and so its user too.
    """
    if "contacts.token" in environ:
        return {"token": environ["contacts.token"]}
    # WSGI hands headers over as Latin-1; proxies write UTF-8.
    user = environ.get("HTTP_X_FORWARDED_USER", "").encode("latin-1").decode("utf-8", "replace")
    return {"user": user[:LONGEST_USER] or "-"}

"""The log: one line per event on standard output, as text or as JSON; and the audit lines."""

import json
import logging
import logging.config
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from werkzeug.local import LocalProxy

from contacts.attributes import ATTRIBUTES
from contacts.facts import facts

audit_log = logging.getLogger("contacts.audit")

_unquoted = re.compile(r"[!#-<>-\[\]-~]+")
_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


class TextFormatter(logging.Formatter):
    """2026-11-23T21:08:11.123+00:00 INFO what happened name=value name="another value"."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. The lines of a traceback follow, indented, so that none of them looks like an event."""
        fields = "".join(f" {name}={quoted(value)}" for name, value in getattr(record, "fields", {}).items())
        line = f"{timestamp(record)} {record.levelname} {escaped(record.getMessage())}{fields}"
        if record.exc_info:
            line += "".join(f"\n  {escaped(each)}" for each in self.formatException(record.exc_info).split("\n"))
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object with time, level, message and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback is one of its values."""
        line = {"time": timestamp(record), "level": record.levelname, "message": record.getMessage()}
        line |= getattr(record, "fields", {})  # log.info("request", extra={"fields": {"status": 200}})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line)


def without_request(record: logging.LogRecord) -> bool:
    """Cut what a client sent from a message of gunicorn's about a request that fails outside the application."""
    if found := re.match(r"Invalid request from ip=\S*?(?=: )|Error handling request", record.getMessage()):
        record.msg, record.args = found[0], ()
    return True


def timestamp(record: logging.LogRecord) -> str:
    """Return the time of an event in UTC, with milliseconds."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def quoted(value: Any) -> str:
    """Return a value as it stands in a line of text: quoted, with escapes, unless its end is clear without."""
    return value if isinstance(value, str) and _unquoted.fullmatch(value) else _encode(value)


def escaped(text: str) -> str:
    """Return text without characters that end a line or move the cursor."""
    return text if text.isprintable() else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def configuration(log_format: str, level: str = "INFO") -> dict[str, Any]:
    """Return the configuration of the service's and gunicorn's logs, for logging.config.dictConfig()."""
    formatter = JsonFormatter if log_format.lower() == "json" else TextFormatter
    stdout = LocalProxy(lambda: sys.stdout)  # as it is at the moment of writing
    to_stdout = {"handlers": ["stdout"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "formatter": "line", "stream": stdout}},
        "loggers": {
            "contacts": {**to_stdout, "level": level},
            # Audit lines are written at every level.
            "contacts.audit": {"level": min(logging.getLevelName(level), logging.INFO)},
            "gunicorn.error": {**to_stdout, "level": "INFO", "filters": [without_request]},
        },
    }


def audit(action: str, contact_id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Log a write that is on disk: who it was, and the attributes that differ; their values only at DEBUG."""
    names = [name for name in ATTRIBUTES if name != "id" and old.get(name) != new.get(name)]
    fields: dict[str, Any] = {"action": action, "contact": contact_id, "attributes": ",".join(names)}
    if audit_log.isEnabledFor(logging.DEBUG):
        fields |= {"old": {name: old.get(name) for name in names}, "new": {name: new.get(name) for name in names}}
    write_audit(fields)


def write_audit(fields: dict[str, Any]) -> None:
    """Write an audit line, with who it was."""
    known = facts()
    fields |= {"token": known.token} if known.token else {"user": known.user or "-"}
    audit_log.info("audit", extra={"fields": {**fields, "role": known.role, "id": known.request_id}})


def init_app(app: Flask) -> None:
    """Write the log in the format and from the level that the settings name."""
    logging.config.dictConfig(configuration(app.config["LOG_FORMAT"], app.config["LOG_LEVEL"]))

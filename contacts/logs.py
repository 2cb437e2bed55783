"""The log: one line per event on standard output, as text or as JSON."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

from flask import Flask, Request

# What no line shows need not be found out for each: https://docs.python.org/3/howto/logging.html#optimization
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

# What stands in a line of text without quotes.
_plain = re.compile(r"[!#-<>-\[\]-~]+")

_encoded = json.JSONEncoder(separators=(",", ":"), default=str).encode


class Stdout(logging.StreamHandler[TextIO]):
    """Standard output, whatever it is at the moment."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Return where lines go."""
        return sys.stdout


HANDLER = Stdout()


class Text(logging.Formatter):
    """2026-11-23T21:08:11.123+00:00 INFO what happened name=value name="another value"."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; those of a traceback follow, indented, so that none of them passes for an event."""
        message = record.getMessage()
        if not message.isprintable():
            message = escaped(message)
        line = f"{moment(record)} {record.levelname} {message}"
        for name, value in fields(record).items():
            line += f" {name}={value if type(value) in NUMBERS else shown(value)}"
        if record.exc_info:
            line += "".join(f"\n  {escaped(each)}" for each in self.formatException(record.exc_info).split("\n"))
        return line


class Json(logging.Formatter):
    """One JSON object with time, level, message and what else there is to say."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback is one of its values."""
        line = {
            "time": moment(record),
            "level": record.levelname,
            "message": record.getMessage(),
            **fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encoded(line)


NUMBERS = {int, float}

FORMATS: dict[str, type[logging.Formatter]] = {"text": Text, "json": Json}


def moment(record: logging.LogRecord) -> str:
    """Return when it happened, in UTC."""
    seconds = int(record.created)
    return f"{second(seconds)}.{int((record.created - seconds) * 1000):03}+00:00"


@lru_cache(maxsize=1)
def second(seconds: int) -> str:
    """Return the same without fractions of the second: most lines have that of the last one."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the names and values that came with the message: log.info("request", extra={"fields": …})."""
    return getattr(record, "fields", {})


def shown(value: Any) -> str:
    """Return a value that ends where it seems to: in quotes, with escapes, unless it is plain."""
    return value if isinstance(value, str) and _plain.fullmatch(value) else _encoded(value)


def escaped(text: str) -> str:
    """Return a text without what would end its line, or move the cursor."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def route(request: Request) -> str:
    """Return the rule that a request's path matches: what is logged and counted in the place of the path."""
    return request.url_rule.rule if request.url_rule else "unmatched"


def event(log: logging.Logger, message: str, fields: dict[str, Any]) -> None:
    """Log at INFO. It takes half the time of log.info, which looks for the line of code that calls it."""
    record = logging.LogRecord(log.name, logging.INFO, "", 0, message, (), None)
    record.fields = fields
    log.handle(record)


def take_over(log: logging.Logger) -> None:
    """Send what a logger is told here, and to no other place of its own."""
    log.handlers = [HANDLER]


def init_app(app: Flask) -> None:
    """Write the log in the form and from the level that the settings name; audit lines at every level."""
    HANDLER.setFormatter(FORMATS[app.config["LOG_FORMAT"]]())
    log = logging.getLogger("contacts")
    take_over(log)
    log.setLevel(app.config["LOG_LEVEL"])
    logging.getLogger("contacts.audit").setLevel(min(log.level, logging.INFO))

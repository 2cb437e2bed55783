"""The one envelope of all errors: whatever raises, the answer is made here."""

import errno
import json
import logging
import sqlite3
from collections.abc import Iterable, Mapping
from enum import IntEnum
from itertools import islice
from typing import Any

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, InternalServerError

from contacts.database import result_code
from contacts.facts import facts
from contacts.transactions import FileChangedError

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024

MAX_NAMES_WITH_REASONS = 20  # attributes or parameters in one answer

RETRY_AFTER_S = "1"  # seconds after which a client may try again


class StatusCode(IntEnum):
    """The statusCode of an answer, as Genesys Web Services have it; openapi.json says what each means."""

    OK = 0
    MISSING = 1
    INVALID = 2
    READ_ONLY_CONTACT = 3
    INTERNAL = 4
    ROLE = 5
    NOT_FOUND = 6
    RANGE = 10
    READ_ONLY_ATTRIBUTE = 11
    UNAUTHENTICATED = 20


def reason(status_code: StatusCode, message: str) -> dict[str, Any]:
    """Return an error message for marshmallow that has a statusCode (its error_messages may be dictionaries)."""
    return {"message": message, "statusCode": status_code}


class ApiError(HTTPException):
    """An error with its HTTP status, its statusCode and a message for the person who reads it."""

    def __init__(
        self,
        code: int,
        status_code: StatusCode,
        message: str,
        errors: dict[str, list[str]] | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status_code = status_code
        self.message = message
        self.errors = errors
        self.headers = list(headers)

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Return the headers that this error asks for."""
        return self.headers


def invalid_error(errors: Mapping[str, Any]) -> ApiError:
    """Return the answer to a request with invalid attributes or parameters.

    `errors` has marshmallow's messages by name: a reason(), text, or a list of them. The statusCode is the first that
    applies, in the order of the contract's table. Of a body with thousands of wrong names, only the first are answered.
    """
    status_codes, messages = set(), {}
    for name, found in islice(errors.items(), MAX_NAMES_WITH_REASONS):
        reasons = [
            each if isinstance(each, dict) else reason(StatusCode.INVALID, str(each))
            for each in (found if isinstance(found, list) else [found])
        ]
        status_codes |= {each["statusCode"] for each in reasons}
        messages[name] = [each["message"] for each in reasons]
    text = " ".join(f"{name}: {message}" for name in messages for message in messages[name])
    return ApiError(422, min(status_codes), text, messages)


# Errors that the framework raises by itself: statusCode and message by HTTP status.
STATUS_CODES = {401: StatusCode.UNAUTHENTICATED, 403: StatusCode.ROLE, 404: StatusCode.NOT_FOUND}
MESSAGES = {
    404: "There is nothing at this path; the contacts are at {contacts}.",
    405: "{method} is not possible here; the Allow header lists what is.",
    413: "The body is too large: {limit} bytes at most.",
    415: "Send the body as JSON, with the header Content-Type: application/json.",
    500: "Something went wrong in the service; its log has the details.",
}

# Errors that are temporary or fixable, by SQLite's result code.
UNAVAILABLE = {
    **dict.fromkeys((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED), "The directory is busy with other changes."),
    sqlite3.SQLITE_INTERRUPT: "The search takes too long: narrow it, by more letters or by fewer patterns.",
    sqlite3.SQLITE_FULL: "The directory's disk is full.",
    sqlite3.SQLITE_READONLY: "The directory's file cannot be written.",
    sqlite3.SQLITE_IOERR: "The directory's disk does not answer as it should.",
    sqlite3.SQLITE_CANTOPEN: "The directory's file cannot be opened.",
    **dict.fromkeys(
        (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB),
        "The directory's file is damaged: stop the service, keep the file, and restore the last backup.",
    ),
}

# Errors of files that are no database's, as an answer that is too long for memory is kept in one.
UNAVAILABLE_FILES = {
    errno.ENOSPC: "The disk for temporary files is full.",
    errno.EDQUOT: "The disk for temporary files is full.",
    errno.EMFILE: "The service has too many files open.",
    errno.ENFILE: "The machine has too many files open.",
}


def envelope(error: HTTPException) -> Response:
    """Return the answer to any error: the envelope, and the error's own headers (Allow, Retry-After, …)."""
    code = error.code or 500
    if isinstance(error, ApiError):
        body: dict[str, Any] = {"statusCode": int(error.status_code), "statusMessage": error.message}
        body |= {} if error.errors is None else {"errors": error.errors}
    else:
        status_code = STATUS_CODES.get(code, StatusCode.INTERNAL if code >= 500 else StatusCode.INVALID)
        path = f"{request.script_root}{current_app.config['URL_PREFIX']}/contacts"
        message = MESSAGES.get(code, f"{error.name}.")
        limit = (request.max_content_length or 0) - 1
        message = message.format(method=request.method, limit=limit, contacts=path)
        body = {"statusCode": int(status_code), "statusMessage": message}
    response = Response(json.dumps(body, separators=(",", ":")), code, mimetype="application/json")
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers.add(name, value)
    return response


def unavailable(error: Exception) -> str:
    """Return a message if the error is temporary or fixable, else ""."""
    found: BaseException | None = error
    while found:
        if isinstance(found, FileChangedError):
            return str(found)
        if message := UNAVAILABLE.get(result_code(found)):
            return message
        if isinstance(found, OSError) and (message := UNAVAILABLE_FILES.get(found.errno or 0)):
            return message
        # A rollback that fails, as SQLite has done it by itself on a full disk, hides the error that led to it.
        found = found.__context__
    return ""


def unavailable_error(message: str) -> ApiError:
    """Return the answer that the service cannot do this now."""
    return ApiError(503, StatusCode.INTERNAL, message, headers=[("Retry-After", RETRY_AFTER_S)])


def failed(error: Exception) -> Response:
    """Answer 503 if the error is temporary or fixable, else 500; the details go to the log only."""
    known = facts()
    # Not its path, which may hold private data.
    fields = {"method": known.method, "route": known.route, "id": known.request_id}
    if message := unavailable(error):
        log.error("request failed", extra={"fields": {**fields, "error": str(error)}})
        return envelope(unavailable_error(f"{message} Nothing was changed; try again."))
    log.error("request failed", extra={"fields": fields}, exc_info=error)
    return envelope(InternalServerError())


def init_app(app: Flask) -> None:
    """Answer every error here. After flask-smorest's registration, whose handler of HTTPException this one replaces."""
    app.register_error_handler(HTTPException, envelope)
    app.register_error_handler(Exception, failed)

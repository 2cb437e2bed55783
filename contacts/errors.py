"""The one envelope of all errors: whatever raises, the answer is made here."""

import json
import logging
import sqlite3
from collections.abc import Iterable
from enum import IntEnum
from itertools import islice
from typing import Any

import peewee
from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.http import HTTP_STATUS_CODES

from contacts.database import result_code
from contacts.logs import route

log = logging.getLogger(__name__)

# The longest body that is read, in bytes.
LONGEST_BODY = 64 * 1024

# As many attributes or parameters are told what is wrong with them at once.
MOST_REASONS = 20

# How long a client should wait before it tries again, in seconds.
RETRY_AFTER = "1"


class StatusCode(IntEnum):
    """The statusCode of an answer, as Genesys Web Services have it."""

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


MEANINGS = {
    StatusCode.MISSING: "a required attribute or parameter is missing",
    StatusCode.INVALID: "the request, an attribute or a parameter is not valid",
    StatusCode.READ_ONLY_CONTACT: "the contact is a User or a Queue, which clients cannot write",
    StatusCode.INTERNAL: "the service is busy (try again), or has a defect",
    StatusCode.ROLE: "the role may not do this",
    StatusCode.NOT_FOUND: "there is no such contact or path",
    StatusCode.RANGE: "a value is out of range: too long, blank, a limit of 0",
    StatusCode.READ_ONLY_ATTRIBUTE: "clients cannot write the attribute",
    StatusCode.UNAUTHENTICATED: "the request has no role that is believed",
}


class Reason(str):
    """What is wrong with one attribute or parameter, and the statusCode that says so."""

    status_code: StatusCode

    def __new__(cls, status_code: StatusCode, text: str) -> "Reason":
        """Make the text and remember its statusCode."""
        reason = super().__new__(cls, text)
        reason.status_code = status_code
        return reason

    def __getnewargs__(self) -> tuple[StatusCode, str]:  # type: ignore[override]
        """Let copies (flask-smorest makes some of each schema) keep the statusCode."""
        return self.status_code, str(self)


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


def invalid(errors: dict[str, list[Any]]) -> ApiError:
    """Return the answer to a request whose attributes or parameters are wrong: name to reasons.

    The statusCode is the first that applies, in the order of the contract's table. A body can have thousands of
    wrong names; nobody reads as many reasons, so only the first names are told.
    """
    errors = dict(islice(errors.items(), MOST_REASONS))
    reasons = [(name, reason) for name in errors for reason in errors[name]]
    status_code = min(getattr(reason, "status_code", StatusCode.INVALID) for _, reason in reasons)
    return ApiError(422, status_code, " ".join(f"{name}: {reason}" for name, reason in reasons), errors)


# What the framework raises by itself: the statusCode and the message of an HTTP status.
STATUS_CODES = {
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.ROLE,
    404: StatusCode.NOT_FOUND,
}
MESSAGES = {
    404: "There is nothing at this path; the contacts are at {contacts}.",
    405: "{method} is not possible here; the Allow header lists what is.",
    408: "The request took too long to arrive.",
    413: "The body is too large: {limit} bytes at most.",
    415: "Send the body as JSON, with the header Content-Type: application/json.",
    500: "Something went wrong in the service; its log has the details.",
}

# What another moment or the administrator can mend, by SQLite's result code.
UNAVAILABLE = {
    sqlite3.SQLITE_BUSY: "The directory is busy with other changes.",
    sqlite3.SQLITE_LOCKED: "The directory is busy with other changes.",
    sqlite3.SQLITE_FULL: "The directory's disk is full.",
    sqlite3.SQLITE_READONLY: "The directory's file cannot be written.",
    sqlite3.SQLITE_IOERR: "The directory's disk does not answer as it should.",
    sqlite3.SQLITE_CANTOPEN: "The directory's file cannot be opened.",
}


def envelope(error: HTTPException) -> Response:
    """Return the answer to any error: the envelope, and the error's own headers (Allow, Retry-After, …)."""
    code = error.code or 500
    if isinstance(error, ApiError):
        status_code, message, errors = error.status_code, error.message, error.errors
    else:
        status_code = STATUS_CODES.get(code, StatusCode.INTERNAL if code >= 500 else StatusCode.INVALID)
        message = MESSAGES.get(code, f"{HTTP_STATUS_CODES.get(code, 'Error')}.").format(
            method=request.method,
            limit=LONGEST_BODY,
            contacts=f"{request.script_root}{current_app.config['URL_PREFIX']}/contacts",
        )
        errors = None
    body: dict[str, Any] = {"statusCode": int(status_code), "statusMessage": message}
    if errors is not None:
        body["errors"] = errors
    response = Response(json.dumps(body, separators=(",", ":")), code, mimetype="application/json")
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers.add(name, value)
    return response


def unavailable(error: Exception) -> str:
    """Return what another moment or the administrator can mend, or "" for another error of the database."""
    return UNAVAILABLE.get(result_code(error), "")


def database_error(error: Exception) -> Response:
    """Answer 503 to what passes or can be mended, 500 to the rest; the details go to the log alone."""
    message = unavailable(error)
    if not message:
        return unexpected_error(error)
    log.error("request failed", extra={"fields": {**about_request(), "error": str(error)}})
    return envelope(
        ApiError(
            503,
            StatusCode.INTERNAL,
            f"{message} Nothing was changed; try again.",
            headers=[("Retry-After", RETRY_AFTER)],
        )
    )


def unexpected_error(error: Exception) -> Response:
    """Answer 500 to a defect of ours, and write where it happened to the log."""
    log.error("request failed", extra={"fields": about_request()}, exc_info=error)
    return envelope(InternalServerError())


def about_request() -> dict[str, str]:
    """Return what the log says of a request that failed; not its path, which may hold what is nobody's business."""
    return {
        "method": request.method,
        "route": route(request),
        "id": request.environ["contacts.request_id"],
    }


def init_app(app: Flask) -> None:
    """Send every error through here; flask-smorest sends the HTTPExceptions (see app.py)."""
    app.register_error_handler(peewee.DatabaseError, database_error)
    app.register_error_handler(sqlite3.Error, database_error)
    app.register_error_handler(Exception, unexpected_error)

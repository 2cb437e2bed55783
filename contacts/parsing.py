"""How requests are parsed: one webargs parser for the parameters and the JSON bodies of all views."""

import json
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from flask import Request
from flask_smorest import Blueprint
from marshmallow import RAISE, Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, UnsupportedMediaType

from contacts import gws
from contacts.errors import MAX_BODY_BYTES, ApiError, StatusCode, invalid_error
from contacts.json_files import unique
from contacts.rows import FileError


class Parser(FlaskParser):
    """webargs with unknown names refused, repeated parameters seen, and every failure in the envelope."""

    def load_querystring(self, req: Request, schema: Schema) -> dict[str, list[str]]:
        """Return the texts that were given for each parameter; raise ApiError 422 if they are not UTF-8."""
        try:
            unquote_to_bytes(req.query_string).decode()
        except UnicodeDecodeError:
            raise invalid_error({"query": "Must be UTF-8: ü is %C3%BC in a URL."}) from None
        return req.args.to_dict(flat=False)

    def load_json(self, req: Request, schema: Schema) -> Any:
        """Return the JSON of the body; an empty body is as {}.

        Raise ApiError 400 if it is not JSON, UnsupportedMediaType if its Content-Type is not, RequestEntityTooLarge.
        """
        if not req.is_json and (req.content_length or req.headers.get("Transfer-Encoding")):
            raise UnsupportedMediaType
        body = read_body(req, MAX_BODY_BYTES)
        return parse_json(body) if body else {}

    def pre_load(self, location_data: Any, *, schema: Schema, req: Request, location: str) -> Any:
        """Return what is to be read, without what only clients of Genesys Web Services send."""
        return gws.accepted(location_data, location) if gws.is_on() else location_data

    def handle_error(self, error: ValidationError, *args: Any, **kwargs: Any) -> NoReturn:
        """Answer 422 with the reasons, which webargs keeps under the location of the parameters."""
        (messages,) = error.normalized_messages().values()
        raise invalid_error({"body" if name == "_schema" else name: reasons for name, reasons in messages.items()})


class ContactsBlueprint(Blueprint):
    """flask-smorest's blueprint with this parser."""

    ARGUMENTS_PARSER = Parser(unknown=RAISE)


def read_body(req: Request, max_bytes: int) -> bytes:
    """Return the body of a request; raise RequestEntityTooLarge, or ApiError 400 if it is not whole."""
    req.max_content_length = max_bytes + 1  # a chunked body is cut there without an error, and seen to be too long
    try:
        body = req.get_data(cache=False)
    except HTTPException:
        raise
    except Exception:  # gunicorn's, for a chunked body that breaks its own rules
        raise malformed_error("it could not be read to its end") from None
    if len(body) > max_bytes:
        raise RequestEntityTooLarge
    if len(body) < (req.content_length or 0):
        raise malformed_error("it is shorter than its Content-Length")
    return body


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text; raise ApiError 400 if it is not valid."""
    try:
        return json.loads(body, object_pairs_hook=unique, parse_constant=refuse)
    except FileError as error:
        raise malformed_error(str(error)) from None
    except RecursionError:
        raise malformed_error("it is nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise malformed_error(str(error)) from None
    except ValueError:  # an integer with more digits than Python reads
        raise malformed_error("a number has too many digits") from None


def malformed_error(why: str) -> ApiError:
    """Return the answer to a body that is not JSON."""
    return ApiError(400, StatusCode.INVALID, f"The body is not valid JSON: {why}.")


def refuse(constant: str) -> NoReturn:
    """Raise ApiError for NaN and Infinity, which Python reads and JSON does not have."""
    raise malformed_error(f"{constant} is not JSON")

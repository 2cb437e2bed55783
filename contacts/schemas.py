"""What comes in and goes out: query parameters, bodies and answers."""

import json
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from flask import Request
from flask_smorest import Blueprint
from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validates_schema
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, UnsupportedMediaType

from contacts.errors import LONGEST_BODY, MEANINGS, ApiError, Reason, StatusCode, invalid
from contacts.model import ATTRIBUTES, TYPES
from contacts.query import MOST, Query
from contacts.service import current
from contacts.text import LengthError, check_characters, clean, plain

FILTER_NAME = "NamesOrPhoneNumberMatches"
ORDERS = ("Ascending", "Descending")

# One line that is not blank: contacts.text decides, this tells programs.
_CONTROL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
LINE = f"^[^{_CONTROL}]*[^\\s{_CONTROL}][^{_CONTROL}]*$"

# A part of a value with commas, likewise.
PART = LINE.replace("[^", "[^,")

# The attributes, as the document describes them.
DESCRIBED: dict[str, dict[str, Any]] = {
    "id": {
        "description": "What the contact is known by; it keeps it for ever.",
        "pattern": "^[0-9a-f]{32}$",
        "example": "00000000006a0b3eb57387d2b79d756c",
    },
    "name": {"description": "That of a queue, or a user's first and last name.", "example": "Joe Johnson"},
    "type": {"description": "What the contact is.", "enum": list(TYPES), "example": "User"},
    "phoneNumber": {"description": "Where the contact is reached, in any spelling.", "example": "15002"},
    "userName": {"description": "What a User logs in with.", "example": "joej"},
    "firstName": {"description": "A User's.", "example": "Joe"},
    "lastName": {"description": "A User's.", "example": "Johnson"},
    "employeeId": {"description": "A User's.", "example": "E-1000"},
}
for name in DESCRIBED.keys() - {"id", "type"}:
    DESCRIBED[name] |= {"minLength": 1, "maxLength": ATTRIBUTES[name].longest, "pattern": LINE}
READ_ONLY = {name: {**described, "readOnly": True} for name, described in DESCRIBED.items()}
READ_ONLY["type"]["enum"] = [*TYPES, None]

# More words than this, or longer ones (in characters), are not a search but a mistake.
MOST_TERMS = 32
LONGEST_TERM = 4000


def load(schema: Schema, req: Request) -> Any:
    """Return what the body says; an empty body is as {}.

    Raise ApiError 422 when it is not what the schema has, and as read_json() does.
    """
    try:
        return schema.load(read_json(req), unknown=RAISE)
    except ValidationError as error:
        messages = error.normalized_messages()
        raise invalid({"body" if name == "_schema" else name: list(messages[name]) for name in messages}) from None


def read_json(req: Request) -> Any:
    """Return the body's JSON.

    Raise ApiError 400 when it is not JSON, UnsupportedMediaType when it does not claim to be,
    RequestEntityTooLarge when it is too long.
    """
    if not req.is_json and (req.content_length or req.headers.get("Transfer-Encoding")):
        raise UnsupportedMediaType
    try:
        body = req.get_data()
    except HTTPException:
        raise
    except Exception:  # gunicorn's, for a chunked body that breaks its own rules
        raise malformed("it could not be read to its end") from None
    if len(body) > LONGEST_BODY:
        raise RequestEntityTooLarge
    if len(body) < (req.content_length or 0):
        raise malformed("it is shorter than its Content-Length")
    if not body:
        return {}
    try:
        return json.loads(body, object_pairs_hook=unique, parse_constant=refuse)
    except RecursionError:
        raise malformed("it is nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise malformed(str(error)) from None
    except ValueError:  # an integer of more digits than Python reads
        raise malformed("a number has too many digits") from None


def malformed(why: str) -> ApiError:
    """Return the answer to a body that is not JSON."""
    return ApiError(400, StatusCode.INVALID, f"The body is not valid JSON: {why}.")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raise ApiError when it has a name twice, as only one value could be kept."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise malformed("an object has the same name twice")
    return members


def refuse(constant: str) -> NoReturn:
    """Raise ApiError for NaN and Infinity, which Python reads and JSON does not have."""
    raise malformed(f"{constant} is not JSON")


class Parameter(fields.String):
    """A query parameter that is given once and is not blank."""

    def parse(self, texts: list[str]) -> Any:
        """Return what the texts that were given say; raise ValidationError when they cannot be."""
        if len(texts) > 1:
            raise ValidationError([Reason(StatusCode.INVALID, "Give it once.")])
        return self.read(one_line(texts[0]))

    def read(self, text: str) -> Any:
        """Return what the text says; raise ValidationError when it cannot be."""
        return text


class Number(Parameter):
    """A whole number from `least` on, of any size."""

    def __init__(self, least: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.least = least
        self.metadata = {**self.metadata, "type": "integer", "minimum": least}

    def read(self, text: str) -> int:
        """Return the number; raise ValidationError for anything else."""
        digits = text.lstrip("0") or "0"
        if not re.fullmatch("[0-9]+", digits) or int(digits[:20]) < self.least:
            raise ValidationError([Reason(StatusCode.RANGE, f"Give a whole number, {self.least} or more.")])
        return min(int(digits[:20]), MOST)


class Choice(Parameter):
    """One of a few words, read ignoring case."""

    def __init__(self, choices: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.choices = choices
        self.metadata = {**self.metadata, "enum": list(choices)}

    def read(self, text: str) -> str:
        """Return the word as it is written in the documentation."""
        for choice in self.choices:
            if text.lower() == choice.lower():
                return choice
        raise ValidationError([Reason(StatusCode.INVALID, f"There are: {', '.join(self.choices)}.")])


class Values(fields.List):
    """A query parameter that may have several values."""

    def __init__(self, item: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(fields.String(metadata=item or {"pattern": LINE}), **kwargs)
        self.metadata = {**self.metadata, "minItems": 1}

    def parse(self, texts: list[str]) -> Any:
        """Return what the texts that were given say; raise ValidationError when they cannot be."""
        return self.read([one_line(text) for text in texts])

    def read(self, texts: list[str]) -> list[str]:
        """Return the values; raise ValidationError when they cannot be."""
        return texts


class Listed(Values):
    """Values with commas between; `choices` lists those there are."""

    def __init__(self, choices: tuple[str, ...] = (), ignore_case: bool = False, **kwargs: Any) -> None:
        super().__init__({"enum": list(choices)} if choices else {"pattern": PART}, **kwargs)
        self.choices = choices
        self.ignore_case = ignore_case

    def read(self, texts: list[str]) -> list[str]:
        """Return the parts; raise ValidationError for a part that is not a choice, or when there is none."""
        parts = [part.strip() for text in texts for part in text.split(",") if part.strip()]
        if not parts:
            raise ValidationError([Reason(StatusCode.RANGE, "Must not be blank.")])
        if self.choices:
            for part in parts:
                if (part.capitalize() if self.ignore_case else part) not in self.choices:
                    raise ValidationError(
                        [Reason(StatusCode.INVALID, f"{part} is none of: {', '.join(self.choices)}.")]
                    )
        return parts


class Words(Parameter):
    """What is searched for, with blanks between."""

    def read(self, text: str) -> list[str]:
        """Return the words; raise ValidationError for none, or too many."""
        return terms(words(text))


class Patterns(Listed):
    """What is searched for, with commas between."""

    def read(self, texts: list[str]) -> list[str]:
        """Return the parts."""
        return terms(super().read(texts))


def words(text: str) -> list[str]:
    """Return the words of q, each once; one of accents alone says nothing."""
    return [word for word in dict.fromkeys(text.split()) if plain(word)]


def terms(found: list[str]) -> list[str]:
    """Return what to search for; raise ValidationError when it is nothing, or too much."""
    if not found:
        raise ValidationError([Reason(StatusCode.RANGE, "Must not be blank.")])
    if max(map(len, found)) > LONGEST_TERM:
        raise ValidationError([Reason(StatusCode.RANGE, f"Give words of {LONGEST_TERM} characters at most.")])
    if len(found) > MOST_TERMS:
        raise ValidationError([Reason(StatusCode.RANGE, f"Give {MOST_TERMS} words at most.")])
    return found


class Fields(Listed):
    """The parameter `fields`: the attributes to answer with."""

    def __init__(self) -> None:
        description = "Return just these attributes, with commas between; `*`: all, as without this parameter."
        metadata = {"description": description, "example": ["id", "name", "phoneNumber"]}
        super().__init__((*ATTRIBUTES, "*"), data_key="fields", metadata=metadata)

    def read(self, texts: list[str]) -> Any:
        """Return the attributes in the order of the JSON; None: all."""
        names = super().read(texts)
        return None if "*" in names else tuple(name for name in ATTRIBUTES if name in names)


def one_line(text: str) -> str:
    """Return a parameter without surrounding blanks; raise ValidationError when it is blank or not one line."""
    try:
        check_characters(text)
    except ValueError as error:
        raise ValidationError([Reason(StatusCode.INVALID, str(error))]) from None
    if not text.strip():
        raise ValidationError([Reason(StatusCode.RANGE, "Must not be blank.")])
    return text.strip()


class Strict(Schema):
    """A schema that says which names there are when it meets another one."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        names = ", ".join(field.data_key or name for name, field in self.fields.items()) or "none"
        self.error_messages = {
            "unknown": Reason(StatusCode.INVALID, f"Unknown; there are: {names}."),
            "type": Reason(StatusCode.INVALID, "Send a JSON object."),
        }


class Parameters(Strict):
    """The parameters in a request's URL."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.by_key: dict[str, tuple[str, Any]] = {
            field.data_key or name: (name, field) for name, field in self.fields.items()
        }
        self.required = [(key, name, field) for key, (name, field) in self.by_key.items() if field.required]

    def read(self, query: str) -> Any:
        """Return what the part of an address behind its ? means; raise ApiError 422 for parameters that are wrong.

        As load() does, but looking at the parameters that are given and not at all that there are: a request
        gives few of many.
        """
        given: dict[str, list[str]] = {}
        if not query.isascii():  # WSGI hands bytes over as Latin-1
            query = query.encode("latin-1").decode("utf-8", "replace")
        # errors: what is no UTF-8 stays as it was written.
        for key, text in parse_qsl(query, keep_blank_values=True, errors="werkzeug.url_quote"):
            given.setdefault(key, []).append(text)
        data: dict[str, Any] = {}
        errors: dict[str, list[Any]] = {}
        for key, texts in given.items():
            name, field = self.by_key.get(key, ("", None))
            if field is None:
                errors[key] = [self.error_messages["unknown"]]
                continue
            try:
                data[name] = field.parse(texts)
            except ValidationError as error:
                errors[key] = list(error.messages)
        for key, name, field in self.required:
            if name not in data and key not in errors:
                errors[key] = [field.error_messages["required"]]
        if errors := errors or self.check(data):
            raise invalid(errors)
        return self.meaning(data)

    def check(self, data: dict[str, Any]) -> dict[str, list[Reason]]:
        """Return what is wrong with the parameters together: nothing."""
        return {}

    def meaning(self, data: dict[str, Any]) -> Any:
        """Return what the view gets: the values by name."""
        return data


class ListQuery(Parameters):
    """The query language of GET /contacts."""

    id = Values(metadata={"description": "The contacts with these ids.", "example": [DESCRIBED["id"]["example"]]})
    name = Values(
        metadata={
            "description": "The contacts of this name, as a whole, ignoring case. This and the other attributes may be "
            "given several times, or several values with commas between: one of them must match.",
            "example": ["Joe Johnson"],
        }
    )
    type = Listed(TYPES, ignore_case=True, metadata={"description": "Ignoring case.", "example": ["Queue", "Custom"]})
    phoneNumber = Values(
        metadata={
            "description": "The contacts with this number, by its letters and digits. `*`: with any number.",
            "example": ["+1 (650) 555-0100"],
        }
    )
    userName = Values(metadata={"description": "The User of this user name, ignoring case.", "example": ["joej"]})
    firstName = Values(metadata={"description": "The Users of this first name, ignoring case.", "example": ["Joe"]})
    lastName = Values(metadata={"description": "The Users of this last name, ignoring case.", "example": ["Johnson"]})
    employeeId = Values(
        metadata={"description": "The Users of this employee ID, ignoring case.", "example": ["E-1000"]}
    )
    filterName = Choice(
        (FILTER_NAME,),
        metadata={"description": "Search by filterParameters; goes with it.", "example": FILTER_NAME},
    )
    filterParameters = Patterns(
        metadata={
            "description": "Arguments with commas between. For each, a whole name (name, userName, firstName, "
            "lastName) or the phone number must match; `*` stands for any characters, also none.",
            "example": ["support*", "800*"],
            "maxItems": MOST_TERMS,
        }
    )
    q = Words(
        metadata={
            "description": "Search as you type: each word occurs in a name or the phone number, ignoring case and "
            "accents. A word of one or two characters matches where a word or number starts.",
            "pattern": LINE,
            "example": "jo smi",
        }
    )
    sortBy = Choice(
        tuple(ATTRIBUTES),
        metadata={
            "description": "Contacts without the attribute come last.",
            "default": "name",
            "example": "lastName",
        },
    )
    order = Choice(
        ORDERS,
        metadata={
            "description": "Descending is the exact reverse of Ascending (ids, which break ties, too), "
            "but contacts without the attribute stay last.",
            "default": ORDERS[0],
            "example": ORDERS[1],
        },
    )
    offset = Number(0, metadata={"description": "How many contacts to skip.", "default": 0, "example": 20})
    limit = Number(1, metadata={"description": "How many contacts to return at most; all without it.", "example": 10})
    chosen = Fields()

    def check(self, data: dict[str, Any]) -> dict[str, list[Reason]]:
        """Return what is wrong with the parameters together."""
        for one, other in (("filterName", "filterParameters"), ("filterParameters", "filterName")):
            if one in data and other not in data:
                return {other: [Reason(StatusCode.MISSING, f"Goes with {one}.")]}
        return {}

    def meaning(self, data: dict[str, Any]) -> Query:
        """Return the Query that the parameters spell."""
        return Query(
            filters={name: data[name] for name in data if name in ATTRIBUTES},
            words=data.get("q", []),
            patterns=data.get("filterParameters", []),
            sort=data.get("sortBy", "name"),
            descending=data.get("order") == "Descending",
            offset=data.get("offset", 0),
            limit=data.get("limit"),
            fields=data.get("chosen"),
        )


class OneQuery(Parameters):
    """The parameters of GET /contacts/{id}."""

    chosen = Fields()

    def meaning(self, data: dict[str, Any]) -> tuple[str, ...] | None:
        """Return the attributes to answer with; None: all."""
        return data.get("chosen")


class IdQuery(Parameters):
    """The parameters of DELETE /contacts."""

    id = Parameter(
        required=True,
        error_messages={"required": Reason(StatusCode.MISSING, "Say which contact: ?id=…")},
        metadata={
            "description": "The contact to remove.",
            "pattern": "^[0-9A-Fa-f]{32}$",
            "example": DESCRIBED["id"]["example"],
        },
    )


class NoQuery(Parameters):
    """A request without parameters in its URL."""


class Text(fields.String):
    """An attribute of a contact: one line of text, trimmed."""

    def __init__(self, **kwargs: Any) -> None:
        missing = Reason(StatusCode.MISSING, "A contact needs one.")
        super().__init__(error_messages={"required": missing, "null": missing}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        try:
            return clean(must_be_text(value), ATTRIBUTES[attr or ""].longest)
        except LengthError as error:
            raise ValidationError([Reason(StatusCode.RANGE, str(error))]) from None
        except ValueError as error:
            raise ValidationError([Reason(StatusCode.INVALID, str(error))]) from None


class CustomType(fields.String):
    """The type of a contact that a client makes: Custom, ignoring case."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if must_be_text(value).strip().lower() != "custom":
            reason = "Only Custom contacts are made here; Users and Queues come from the directory sync."
            raise ValidationError([Reason(StatusCode.READ_ONLY_ATTRIBUTE, reason)])
        return "Custom"


class ReadOnly(fields.String):
    """An attribute that clients cannot write; null says nothing and is accepted."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> NoReturn:
        raise ValidationError([Reason(StatusCode.READ_ONLY_ATTRIBUTE, "Clients cannot write this.")])


def must_be_text(value: Any) -> str:
    """Return the value; raise ValidationError when it is not a string."""
    if not isinstance(value, str):
        raise ValidationError([Reason(StatusCode.INVALID, "Must be a string.")])
    return value


class Same(fields.Raw):
    """An attribute that must be as it is, where a client sends it back; null says nothing and is accepted."""

    def __init__(self, *, allow_none: bool = True, metadata: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(allow_none=allow_none, metadata={**metadata, "type": "string"}, **kwargs)


class NewContact(Strict):
    """A Custom contact to be made."""

    name = Text(required=True, metadata=DESCRIBED["name"])
    type = CustomType(
        allow_none=True, metadata={"description": "Ignoring case.", "enum": ["Custom", None], "example": "Custom"}
    )
    phoneNumber = Text(allow_none=True, metadata=DESCRIBED["phoneNumber"])
    id = ReadOnly(allow_none=True, metadata=READ_ONLY["id"])
    userName = ReadOnly(allow_none=True, metadata=READ_ONLY["userName"])
    firstName = ReadOnly(allow_none=True, metadata=READ_ONLY["firstName"])
    lastName = ReadOnly(allow_none=True, metadata=READ_ONLY["lastName"])
    employeeId = ReadOnly(allow_none=True, metadata=READ_ONLY["employeeId"])

    @post_load
    def contact(self, data: dict[str, Any], **_: Any) -> dict[str, str]:
        """Return the contact without the attributes that have no value."""
        return {name: value for name, value in data.items() if value is not None} | {"type": "Custom"}


class ContactChanges(Strict):
    """What is to change on a Custom contact; the attributes that clients cannot write must be as they are."""

    name = Text(metadata=DESCRIBED["name"])
    phoneNumber = Text(
        allow_none=True, metadata={**DESCRIBED["phoneNumber"], "description": "null: no number any more."}
    )
    id = Same(metadata=READ_ONLY["id"])
    type = Same(metadata=READ_ONLY["type"])
    userName = Same(metadata=READ_ONLY["userName"])
    firstName = Same(metadata=READ_ONLY["firstName"])
    lastName = Same(metadata=READ_ONLY["lastName"])
    employeeId = Same(metadata=READ_ONLY["employeeId"])

    @validates_schema
    def check_empty(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse an empty body: a mistake, not a change of nothing."""
        if not data:
            raise ValidationError([Reason(StatusCode.MISSING, "Send the attributes that are to change.")])


class ContactChangesWithId(ContactChanges):
    """What is to change, and on which contact."""

    id = Same(
        required=True,
        allow_none=False,
        error_messages=dict.fromkeys(
            ("required", "null"), Reason(StatusCode.MISSING, "Say which contact is to change.")
        ),
        metadata=DESCRIBED["id"],
    )


class SelectedContactSchema(Schema):
    """A contact with the attributes that `fields` selects. Those that it does not have are absent."""

    id = fields.String(metadata=DESCRIBED["id"])
    name = fields.String(metadata=DESCRIBED["name"])
    type = fields.String(metadata=DESCRIBED["type"])
    phoneNumber = fields.String(metadata=DESCRIBED["phoneNumber"])
    userName = fields.String(metadata=DESCRIBED["userName"])
    firstName = fields.String(metadata=DESCRIBED["firstName"])
    lastName = fields.String(metadata=DESCRIBED["lastName"])
    employeeId = fields.String(metadata=DESCRIBED["employeeId"])


class ContactSchema(SelectedContactSchema):
    """A contact. The attributes that its type does not have, or that have no value, are absent."""

    id = fields.String(required=True, metadata=DESCRIBED["id"])
    name = fields.String(required=True, metadata=DESCRIBED["name"])
    type = fields.String(required=True, metadata=DESCRIBED["type"])


class Done(Schema):
    """The answer to a request that leaves nothing to show."""

    statusCode = fields.Integer(required=True, metadata={"enum": [0], "x-enum-varnames": ["OK"]})


class ContactAnswer(Done):
    """The answer with one contact."""

    contact = fields.Nested(ContactSchema, required=True)


class SelectedAnswer(Done):
    """The answer with one contact, or with some of its attributes."""

    contact = fields.Nested(SelectedContactSchema, required=True)


class ContactList(Done):
    """The answer with a list of contacts."""

    totalCount = fields.Integer(
        required=True, metadata={"description": "How many contacts match in all.", "minimum": 0}
    )
    contacts = fields.List(fields.Nested(SelectedContactSchema), required=True)


class ErrorSchema(Schema):
    """The answer to any request that failed; nothing was changed."""

    statusCode = fields.Integer(
        required=True,
        metadata={
            "description": "What is wrong:\n\n" + "\n".join(f"- {code}: {text}" for code, text in MEANINGS.items()),
            "enum": [int(code) for code in MEANINGS],
            "x-enum-varnames": [code.name for code in MEANINGS],
        },
    )
    statusMessage = fields.String(required=True, metadata={"description": "What is wrong, for a person to read."})
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={"description": "The reasons by attribute or parameter."},
    )


class LeanBlueprint(Blueprint):
    """flask-smorest's blueprint for views that answer with a Response.

    Its decorators document as ever, but do no more at run time than such views need: a small GET takes a
    fifth less time.
    """

    def arguments(self, schema: Any, *, location: str = "json", **kwargs: Any) -> Callable[..., Any]:
        """Give the view what the body says, or what the parameters in the URL mean."""
        decorate: Callable[..., Any] = super().arguments(schema, location=location, **kwargs)

        def lean(view: Any) -> Any:
            @wraps(view)
            def wrapper(*args: Any, **path: str) -> Any:
                request = current()
                if location == "query":
                    return view(*args, schema.read(request.environ.get("QUERY_STRING", "")), **path)
                return view(*args, load(schema, request), **path)

            wrapper._apidoc = decorate(view)._apidoc  # type: ignore[attr-defined]
            return wrapper

        return lean

    def response(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """Document the answer."""
        decorate = super().response(*args, **kwargs)

        def lean(view: Any) -> Any:
            view._apidoc = decorate(view)._apidoc
            return view

        return lean

"""Bodies as marshmallow schemas, made from the attribute table."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema

from contacts.attributes import ATTRIBUTES, CLIENT_ATTRIBUTES, TYPES
from contacts.errors import StatusCode, reason
from contacts.facts import facts
from contacts.text import LengthError, clean

# One line that is not blank, for programs that read the document; contacts/text.py decides.
_CONTROL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
LINE = f"^[^{_CONTROL}]*[^\\s{_CONTROL}][^{_CONTROL}]*$"
LINE_WITHOUT_COMMAS = LINE.replace("[^", "[^,")


def documented(name: str, **more: Any) -> dict[str, Any]:
    """Return what the document says of an attribute, as metadata of a field."""
    attribute = ATTRIBUTES[name]
    values: dict[str, dict[str, Any]] = {"id": {"pattern": "^[0-9a-f]{32}$"}, "type": {"enum": list(TYPES)}}
    line = {"minLength": 1, "maxLength": attribute.max_length, "pattern": LINE}
    known = {"type": "string", "description": attribute.description, "example": attribute.example}
    return {**known, **values.get(name, line), **more}


class Strict(Schema):
    """A schema whose message about an unknown name lists the names that there are."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        names = ", ".join(field.data_key or name for name, field in self.fields.items())
        known = f"there are: {names}" if names else "there is none here"
        unknown: Any = reason(StatusCode.INVALID, f"Unknown; {known}.")
        other_type: Any = reason(StatusCode.INVALID, "Send a JSON object.")
        self.error_messages = {"unknown": unknown, "type": other_type}


def field_error(status_code: StatusCode, message: str) -> ValidationError:
    """Return the error of one attribute or parameter."""
    return ValidationError([reason(status_code, message)])


def missing(message: str) -> dict[str, Any]:
    """Return the messages of a field that must have a value."""
    return dict.fromkeys(("required", "null"), reason(StatusCode.MISSING, message))


NOT_A_STRING: dict[str, Any] = {"invalid": reason(StatusCode.INVALID, "Must be a string.")}


class AttributeValue(fields.String):
    """An attribute of a contact: one line of text, trimmed."""

    default_error_messages = NOT_A_STRING | missing("A contact needs one.")

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            return clean(text, ATTRIBUTES[attr or ""].max_length)
        except LengthError as found:
            raise field_error(StatusCode.RANGE, str(found)) from None
        except ValueError as found:
            raise field_error(StatusCode.INVALID, str(found)) from None


def check_custom(value: str) -> None:
    """Refuse other types than Custom, ignoring case, for a contact that a client makes."""
    if value.strip().lower() != "custom":
        message = "Only Custom contacts are made here; Users and Queues come from the directory sync."
        raise field_error(StatusCode.READ_ONLY_ATTRIBUTE, message)


def refuse(_: Any) -> None:
    """Refuse any value."""
    raise field_error(StatusCode.READ_ONLY_ATTRIBUTE, "Clients cannot write this.")


def read_only(name: str, **kwargs: Any) -> fields.Field:
    """Return the field of an attribute that clients may only send back as it is; null says nothing."""
    more = {"enum": [*TYPES, None]} if name == "type" else {}
    return fields.Raw(allow_none=True, metadata=documented(name, readOnly=True, **more), **kwargs)


CUSTOM = {"description": "Ignoring case.", "enum": ["Custom", None], "example": "Custom"}
NEW_CONTACT = {name: read_only(name, validate=refuse) for name in ATTRIBUTES} | {
    "type": fields.String(allow_none=True, validate=check_custom, error_messages=NOT_A_STRING, metadata=CUSTOM)
}
CHANGES = {name: read_only(name) for name in ATTRIBUTES}
for name in CLIENT_ATTRIBUTES:
    required = ATTRIBUTES[name].required
    cleared = {} if required else {"description": "null clears it."}
    NEW_CONTACT[name] = AttributeValue(required=required, allow_none=not required, metadata=documented(name))
    CHANGES[name] = AttributeValue(allow_none=not required, metadata=documented(name, **cleared))


class NewContact(Strict.from_dict(NEW_CONTACT)):  # type: ignore[misc]
    """A Custom contact to be made."""

    @post_load
    def contact(self, data: dict[str, Any], **_: Any) -> dict[str, str]:
        """Return the contact without the attributes that have no value."""
        return {name: value for name, value in data.items() if value is not None} | {"type": "Custom"}


class ContactChanges(Strict.from_dict(CHANGES)):  # type: ignore[misc]
    """The changes to a Custom contact; the view compares the attributes that clients cannot write."""

    @validates_schema
    def check_empty(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse an empty body: it is a mistake, not a change of nothing."""
        if not data and not facts().gws_attributes:
            raise field_error(StatusCode.MISSING, "Send the attributes that are to change.")


class ContactChangesWithId(ContactChanges):
    """The changes, and the contact to change."""

    id = fields.Raw(required=True, metadata=documented("id"), error_messages=missing("Say which contact is to change."))

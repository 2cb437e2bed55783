"""Bodies and answers as marshmallow schemas, made from the attribute table."""

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


def documented(name: str) -> dict[str, Any]:
    """Return what the document says of an attribute, as metadata of a field."""
    attribute = ATTRIBUTES[name]
    known = {"description": attribute.description, "example": attribute.example}
    if name == "id":
        return {**known, "pattern": "^[0-9a-f]{32}$"}
    if name == "type":
        return {**known, "enum": list(TYPES)}
    return {**known, "minLength": 1, "maxLength": attribute.max_length, "pattern": LINE}


def read_only(name: str) -> dict[str, Any]:
    """Return the same of an attribute that clients may only send back as it is."""
    metadata = {**documented(name), "readOnly": True}
    return metadata | {"enum": [*TYPES, None]} if name == "type" else metadata


class Strict(Schema):
    """A schema whose message about an unknown name lists the names that there are."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        names = ", ".join(field.data_key or name for name, field in self.fields.items())
        known = f"there are: {names}" if names else "there is none here"
        messages: Any = {
            "unknown": reason(StatusCode.INVALID, f"Unknown; {known}."),
            "type": reason(StatusCode.INVALID, "Send a JSON object."),
        }
        self.error_messages = messages


def field_error(status_code: StatusCode, message: str) -> ValidationError:
    """Return the error of one attribute or parameter."""
    return ValidationError([reason(status_code, message)])


def string(value: Any) -> str:
    """Return the value; raise ValidationError if it is not a string."""
    if not isinstance(value, str):
        raise field_error(StatusCode.INVALID, "Must be a string.")
    return value


class AttributeValue(fields.String):
    """An attribute of a contact: one line of text, trimmed."""

    def __init__(self, **kwargs: Any) -> None:
        missing = reason(StatusCode.MISSING, "A contact needs one.")
        super().__init__(error_messages={"required": missing, "null": missing}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        try:
            return clean(string(value), ATTRIBUTES[attr or ""].max_length)
        except LengthError as found:
            raise field_error(StatusCode.RANGE, str(found)) from None
        except ValueError as found:
            raise field_error(StatusCode.INVALID, str(found)) from None


class CustomType(fields.String):
    """The type of a contact that a client makes: Custom, ignoring case."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if string(value).strip().lower() != "custom":
            message = "Only Custom contacts are made here; Users and Queues come from the directory sync."
            raise field_error(StatusCode.READ_ONLY_ATTRIBUTE, message)
        return "Custom"


class ReadOnly(fields.String):
    """An attribute that clients cannot write; null says nothing and is accepted."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        raise field_error(StatusCode.READ_ONLY_ATTRIBUTE, "Clients cannot write this.")


class SentBack(fields.Raw):
    """An attribute that must be as it is, if a client sends it back; the view compares. null says nothing."""

    def __init__(self, *, metadata: dict[str, Any], allow_none: bool = True, **kwargs: Any) -> None:
        super().__init__(allow_none=allow_none, metadata={**metadata, "type": "string"}, **kwargs)


def writable(name: str, **kwargs: Any) -> AttributeValue:
    """Return the field of an attribute that clients write."""
    return AttributeValue(allow_none=not ATTRIBUTES[name].required, **kwargs)


NEW_CONTACT: dict[str, fields.Field] = {
    name: writable(name, required=attribute.required, metadata=documented(name))
    if name in CLIENT_ATTRIBUTES
    else ReadOnly(allow_none=True, metadata=read_only(name))
    for name, attribute in ATTRIBUTES.items()
} | {
    "type": CustomType(
        allow_none=True, metadata={"description": "Ignoring case.", "enum": ["Custom", None], "example": "Custom"}
    )
}


class NewContact(Strict.from_dict(NEW_CONTACT)):  # type: ignore[misc]
    """A Custom contact to be made."""

    @post_load
    def contact(self, data: dict[str, Any], **_: Any) -> dict[str, str]:
        """Return the contact without the attributes that have no value."""
        return {name: value for name, value in data.items() if value is not None} | {"type": "Custom"}


def change_of(name: str) -> fields.Field:
    """Return the field of an attribute in a PUT."""
    if name not in CLIENT_ATTRIBUTES:
        return SentBack(metadata=read_only(name))
    described = documented(name) if ATTRIBUTES[name].required else documented(name) | {"description": "null clears it."}
    return writable(name, metadata=described)


class ContactChanges(Strict.from_dict({name: change_of(name) for name in ATTRIBUTES})):  # type: ignore[misc]
    """The changes to a Custom contact; the attributes that clients cannot write must be as they are."""

    @validates_schema
    def check_empty(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse an empty body: it is a mistake, not a change of nothing."""
        if not data and not facts().gws_attributes:
            raise field_error(StatusCode.MISSING, "Send the attributes that are to change.")


class ContactChangesWithId(ContactChanges):
    """The changes, and the contact to change."""

    id = SentBack(
        required=True,
        allow_none=False,
        error_messages=dict.fromkeys(
            ("required", "null"), reason(StatusCode.MISSING, "Say which contact is to change.")
        ),
        metadata=documented("id"),
    )


# Contacts in answers: they document, and are not used to make the JSON. What is around them stands in document.json.

ANSWERED: dict[str, fields.Field] = {
    name: fields.String(required=attribute.required, metadata=documented(name))
    for name, attribute in ATTRIBUTES.items()
}


class ContactSchema(Schema.from_dict(ANSWERED)):  # type: ignore[misc]
    """A contact. The attributes that its type does not have, or that have no value, are absent."""

"""What programs written for Genesys Web Services send and see besides, where CONTACTS_GWS_CLIENTS is on."""

import json
from collections.abc import Mapping
from typing import Any

from apispec import APISpec, BasePlugin
from flask import current_app, request, url_for

from contacts.facts import facts
from contacts.text import is_blank

# What each contact has besides, as the document describes it.
GWS_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "phoneNumbers": {
        "type": "array",
        "items": {"type": "object", "properties": {"phoneNumber": {"type": "string"}}, "required": ["phoneNumber"]},
        "description": "The phoneNumber, as a list of one.",
        "readOnly": True,
    },
    "uri": {"type": "string", "description": "Where the contact is.", "readOnly": True},
    "path": {"type": "string", "description": "Where the contact is, below the prefix.", "readOnly": True},
}

CREATED_ATTRIBUTES = ("id", "uri", "path")  # beside the contact in the answer to a POST
IGNORED_PARAMETERS = ("roles", "includeUsersInBusinessUnits", "channel", "subresources", "_")  # of no meaning here


def is_on() -> bool:
    """Return whether the service has such clients."""
    return bool(current_app.config["GWS_CLIENTS"])


def contacts_uri() -> str:
    """Return the URI of the contacts, as such a client knows it; "" where there are none."""
    if not is_on():
        return ""
    # Not url_for(_external=True): it knows no host whose name has an underscore.
    host = request.headers.get("Host") or request.host
    return f"{request.scheme}://{host}{url_for('contacts.Contacts')}"


def attributes_of(contact: Mapping[str, Any], uri: str) -> dict[str, Any]:
    """Return what these clients see besides of a contact, given the URI of the contacts."""
    number = contact.get("phoneNumber")
    numbers = {"phoneNumbers": [{"phoneNumber": number}]} if number else {}
    return {**numbers, "uri": f"{uri}/{contact['id']}", "path": f"/contacts/{contact['id']}"}


def changed_attributes(contact: Mapping[str, str], changes: Mapping[str, Any]) -> list[str]:
    """Return which of these a PUT changes; the uri may have another host, and phoneNumbers the new phoneNumber."""
    before, after = attributes_of(contact, ""), attributes_of({**contact, **changes}, "")
    sent = facts().gws_attributes
    same = {
        "phoneNumbers": sent.get("phoneNumbers") in (before.get("phoneNumbers", []), after.get("phoneNumbers", [])),
        "uri": str(sent.get("uri")).endswith(before["path"]),
        "path": sent.get("path") == before["path"],
    }
    return [name for name, value in sent.items() if value is not None and not same[name]]


def plain(printed: Mapping[str, Any]) -> dict[str, Any]:
    """Return a contact in a file, as Genesys Web Services may have printed it, by the attributes of this service.

    The first number that is not blank is the number. Raise ValueError if phoneNumbers is not a list of objects.
    """
    contact = {name: value for name, value in printed.items() if name not in GWS_ATTRIBUTES}
    numbers = printed.get("phoneNumbers") or []
    if not isinstance(numbers, list) or not all(isinstance(number, dict) for number in numbers):
        raise ValueError('phoneNumbers must be a list: [{"phoneNumber": "…"}].')
    found = (each.get("phoneNumber") for each in (contact, *numbers))
    filled = (number for number in found if number is not None and not is_blank(str(number)))
    return contact | {"phoneNumber": next(filled, None)} if numbers else contact


def accepted(sent: Any, location: str) -> Any:
    """Return parameters without those that mean nothing here, or a change without the attributes; facts keep these."""
    if location == "query":
        given = {name: [text for text in texts if not is_blank(text)] for name, texts in sent.items()}
        return {name: texts for name, texts in given.items() if texts and name not in IGNORED_PARAMETERS}
    if request.method == "PUT" and isinstance(sent, dict):
        facts().gws_attributes = {name: sent[name] for name in GWS_ATTRIBUTES if name in sent}
        return {name: value for name, value in sent.items() if name not in GWS_ATTRIBUTES}
    return sent


def created(contact: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a POST, which has some attributes of the contact beside it."""
    return {"statusCode": 0, "contact": contact, **{name: contact[name] for name in CREATED_ATTRIBUTES}}


class DocumentPlugin(BasePlugin):
    """apispec plugin: adds to the document what these clients send and see."""

    def init_spec(self, spec: APISpec) -> None:
        """Add the attributes to contacts, the parameters, and what the answer to a POST has besides."""
        ignored = "Accepted from clients of Genesys Web Services; it changes nothing."
        for name in IGNORED_PARAMETERS:
            described = {"name": name, "schema": {"type": "string"}, "description": ignored}
            spec.components.parameter(f"GWS_{name.upper()}", "query", described)
        schemas = spec.options["components"]["schemas"]
        nullable = {name: {**each, "type": [each["type"], "null"]} for name, each in GWS_ATTRIBUTES.items()}
        for name in ("Contact", "SelectedContact"):
            schemas[name]["properties"] |= GWS_ATTRIBUTES
        for name in ("ContactChanges", "ContactChangesWithId"):
            schemas[name]["properties"] |= nullable
        schemas["Contact"]["required"] += ["uri", "path"]
        # In the one schema of all writes, so that a program reads the answers of either mode by the same name.
        created_attribute = {"type": "string", "description": "Of a new contact."}
        schemas["ContactAnswer"]["properties"] |= dict.fromkeys(CREATED_ATTRIBUTES, created_attribute)

    def operation_helper(self, path: str | None = None, operations: dict[str, Any] | None = None, **_: Any) -> None:
        """Add the parameters, what `fields` may select, and what is answered besides."""
        for operation in (operations or {}).values():
            parameters = operation.setdefault("parameters", [])
            for parameter in (each for each in parameters if isinstance(each, dict) and each["in"] == "query"):
                parameter["allowEmptyValue"] = not parameter["required"]
                if parameter["name"] == "fields":
                    items = parameter["schema"]["items"]
                    parameter["schema"]["items"] = {**items, "enum": [*items["enum"], *GWS_ATTRIBUTES]}
            parameters += [f"GWS_{name.upper()}" for name in IGNORED_PARAMETERS]
            for status, answer in operation["responses"].items():
                if isinstance(answer, dict) and "content" in answer:
                    content = answer["content"]["application/json"]
                    content["example"] = json.loads(json.dumps(content["example"]), object_hook=completed)
                    if str(status) == "201":
                        content["example"] = created(content["example"]["contact"])


def completed(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object of an example, with what it has besides if it is a contact."""
    return value | attributes_of(value, "https://contacts.example.com/api/v2/contacts") if "id" in value else value

"""The Contacts API: /contacts and /contacts/{id}."""

import json
from typing import Any

from flask import Response, current_app, request, url_for
from flask.views import MethodView

from contacts import answers, examples, gws, logs, model, query, schemas
from contacts.attributes import ATTRIBUTES, CLIENT_ATTRIBUTES, id_key
from contacts.database import read_timeout
from contacts.errors import ApiError, StatusCode, invalid_error, reason
from contacts.facts import facts
from contacts.model import encode_json
from contacts.openapi import READ_HEADERS, WRITE_HEADERS
from contacts.parameters import IdQuery, ListQuery, NoQuery, OneQuery
from contacts.parsing import ContactsBlueprint

blp = ContactsBlueprint("contacts", __name__, description="One directory of Users, Queues and Custom contacts.")

# The {id} of a path.
ID_PARAMETER = {
    "in": "path",
    "name": "id",
    "description": "The id of the contact, ignoring case.",
    "schema": {"type": "string", "pattern": "^[0-9A-Fa-f]{32}$"},
    "example": ATTRIBUTES["id"].example,
}


@blp.route("/contacts")
class Contacts(MethodView):
    """The directory."""

    init_every_request = False

    @blp.doc(operationId="listContacts")
    @blp.arguments(ListQuery(partial=True), location="query")  # partial: only what is given is looked at
    @blp.response(200, "ContactList", example=examples.FOUND, headers=READ_HEADERS)
    def get(self, asked: query.Query) -> Response:
        """List the contacts that match, in order, with their total count."""
        if "If-None-Match" in request.headers and answers.is_current(tag := answers.list_tag(query.revision())):
            return answers.not_modified(tag)
        with read_timeout(current_app.config["READ_TIMEOUT"]):
            found = query.list_contacts(asked, answers.presentation(asked.fields))
        return answers.read_answer(found.body, answers.list_tag(found.revision))

    @blp.doc(operationId="createContact")
    @blp.arguments(NoQuery(), location="query")
    @blp.arguments(schemas.NewContact(), example=examples.NEW)
    @blp.response(201, "ContactAnswer", example=examples.CREATED, headers={"Location": "LOCATION", **WRITE_HEADERS})
    def post(self, _: Any, contact: dict[str, str]) -> Response:
        """Create a Custom contact."""
        contact_id, made = model.create(contact)
        logs.audit("created", contact_id, {}, contact)
        return answers.write_answer(made, 201, Location=url_for("contacts.Contact", id=contact_id))

    @blp.doc(operationId="updateContactById")
    @blp.arguments(NoQuery(), location="query")
    @blp.arguments(schemas.ContactChangesWithId(), example=examples.CHANGES_WITH_ID)
    @blp.response(200, "ContactAnswer", example=examples.CHANGED, headers=WRITE_HEADERS)
    @blp.alt_response(404, "NOT_FOUND")
    def put(self, _: Any, changes: dict[str, Any]) -> Response:
        """Modify the Custom contact with the id in the body."""
        return change(changes["id"], changes)

    @blp.doc(operationId="deleteContactById")
    @blp.arguments(IdQuery(), location="query")
    @blp.response(200, "Done", example=examples.DONE)
    @blp.alt_response(404, "NOT_FOUND")
    def delete(self, asked: dict[str, str]) -> Response:
        """Remove the Custom contact with this id."""
        return remove(asked["id"])


@blp.route("/contacts/<id>", parameters=[ID_PARAMETER])
class Contact(MethodView):
    """One contact."""

    init_every_request = False

    @blp.doc(operationId="getContact")
    @blp.arguments(OneQuery(), location="query")
    @blp.response(200, "SelectedAnswer", example=examples.ONE, headers=READ_HEADERS)
    @blp.alt_response(404, "NOT_FOUND")
    def get(self, asked: dict[str, Any], id: str) -> Response:
        """Get one contact."""
        contact = get_or_404(id)
        if "type" in asked and json.loads(contact)["type"] not in asked["type"]:
            raise ApiError(404, StatusCode.NOT_FOUND, f"The contact with this id is no {' or '.join(asked['type'])}.")
        tag = answers.entity_tag(contact)
        if answers.is_current(tag):
            return answers.not_modified(tag)
        shown = answers.presentation(asked.get("selection"))(contact)
        return answers.read_answer(answers.ONE_CONTACT % shown, tag)

    @blp.doc(operationId="updateContact")
    @blp.arguments(NoQuery(), location="query")
    @blp.arguments(schemas.ContactChanges(), example=examples.CHANGES)
    @blp.response(200, "ContactAnswer", example=examples.CHANGED, headers=WRITE_HEADERS)
    @blp.alt_response(404, "NOT_FOUND")
    def put(self, _: Any, changes: dict[str, Any], id: str) -> Response:
        """Modify a Custom contact: an absent attribute keeps its value, null clears the phone number."""
        return change(id, changes)

    @blp.doc(operationId="deleteContact")
    @blp.arguments(NoQuery(), location="query")
    @blp.response(200, "Done", example=examples.DONE)
    @blp.alt_response(404, "NOT_FOUND")
    def delete(self, _: Any, id: str) -> Response:
        """Remove a Custom contact."""
        return remove(id)


@blp.route("/me")
@blp.doc(operationId="getMe")
@blp.arguments(NoQuery(), location="query")
@blp.response(200, "MeAnswer", example=examples.ME)
def me(_: Any) -> Response:
    """Tell who the caller is to the service."""
    known = facts()
    user = {"role": known.role} | ({"userName": name} if (name := known.token or known.user) else {})
    return answers.json_answer(encode_json({"statusCode": 0, "user": user}).encode())


def get_or_404(contact_id: str) -> bytes:
    """Return a contact's JSON; raise ApiError 404 if there is none with this id."""
    if found := model.find(id_key(contact_id)):
        return found
    raise ApiError(404, StatusCode.NOT_FOUND, "There is no contact with this id.")


def find_writable(contact_id: str) -> tuple[bytes, dict[str, str]]:
    """Return the JSON of a contact that the request may change or remove, as bytes and read.

    Raise ApiError 404 if there is none, 403 if the directory sync owns it, 412 as check_if_match() does.
    """
    found = get_or_404(contact_id)
    contact: dict[str, str] = json.loads(found)
    if contact["type"] != "Custom":
        message = f"This contact is a {contact['type']}: the directory sync writes it, clients write Custom contacts."
        raise ApiError(403, StatusCode.READ_ONLY_CONTACT, message)
    answers.check_if_match(answers.entity_tag(found))
    return found, contact


def change(contact_id: Any, changes: dict[str, Any]) -> Response:
    """Change a Custom contact and answer with it."""
    if not isinstance(contact_id, str):
        raise invalid_error({"id": reason(StatusCode.INVALID, "Must be a string.")})
    while True:
        found, contact = find_writable(contact_id)
        refuse_read_only(contact, changes)
        changed = contact | {name: changes[name] for name in CLIENT_ATTRIBUTES if name in changes}
        changed = {name: value for name, value in changed.items() if value is not None}
        if changed == contact:
            return answers.write_answer(found)
        # None if somebody else has changed it since it was read: read it again.
        if made := model.change(contact, changed, found):
            logs.audit("changed", contact["id"], contact, changed)
            return answers.write_answer(made)


def refuse_read_only(contact: dict[str, str], changes: dict[str, Any]) -> None:
    """Raise ApiError 422 if an attribute that clients cannot write is sent with another value."""
    read_only = reason(StatusCode.READ_ONLY_ATTRIBUTE, "Clients cannot write this.")
    errors = dict.fromkeys(gws.changed_attributes(contact, changes), read_only)
    for name, value in changes.items():
        same = value is None or value == contact.get(name)
        if name in {"id", "type"} and isinstance(value, str):
            same = ATTRIBUTES[name].make_key(value.strip()) == contact[name]
        if name not in CLIENT_ATTRIBUTES and not same:
            errors[name] = read_only
    if errors:
        raise invalid_error(errors)


def remove(contact_id: str) -> Response:
    """Remove a Custom contact."""
    while True:
        found, contact = find_writable(contact_id)
        if model.remove(contact["id"], found):
            logs.audit("removed", contact["id"], contact, {})
            return answers.json_answer(b'{"statusCode":0}')

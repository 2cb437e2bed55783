"""The Contacts API: /contacts and /contacts/{id}."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from flask import Flask, redirect, request, url_for
from flask.views import MethodView
from werkzeug.http import parse_etags

from contacts import audit, docs, query
from contacts.database import db, write
from contacts.docs import operation
from contacts.errors import ApiError, Reason, StatusCode, invalid
from contacts.model import DELETE, INSERT, RETURNING, SELECT, UNCHANGED, columns, entity_tag, locate, update
from contacts.schemas import (
    ContactAnswer,
    ContactChanges,
    ContactChangesWithId,
    ContactList,
    Done,
    IdQuery,
    LeanBlueprint,
    ListQuery,
    NewContact,
    NoQuery,
    OneQuery,
    SelectedAnswer,
)
from contacts.service import Answer, current

blp = LeanBlueprint("contacts", __name__, description="One directory of Users, Queues and Custom contacts.")

WRITABLE = ("name", "phoneNumber")


@blp.route("/contacts")
class Contacts(MethodView):
    """The directory."""

    init_every_request = False

    @operation("listContacts", 304, condition="If-None-Match")
    @blp.arguments(ListQuery(), location="query")
    @blp.response(200, ContactList, example=docs.FOUND, headers=docs.READ)
    def get(self, asked: query.Query) -> Answer:
        """List the contacts that match, in order, with their total count."""
        if "HTTP_IF_NONE_MATCH" in current().environ and is_current(tag := f"{query.revision():x}"):
            return not_modified(tag)
        answer = query.read(asked)
        return answered(answer.body, f"{answer.revision:x}")

    @operation("createContact", 400, 403, 413, 415)
    @blp.arguments(NoQuery(), location="query")
    @blp.arguments(NewContact(), example=docs.NEW)
    @blp.response(201, ContactAnswer, example=docs.CREATED, headers=docs.headers("Location", "ETag"))
    def post(self, _: Any, contact: dict[str, str]) -> Answer:
        """Create a Custom contact."""
        contact_id, made = write(f"{INSERT} {RETURNING}", columns(contact))
        audit.wrote("created", contact_id, {}, contact)
        answer = written(made, "201 CREATED")
        # url_for() takes as long as the database for a small read.
        answer.headers.append(("Location", quote(f"{request.root_path}{request.path}/{contact_id}")))
        return answer

    @operation("updateContactById", 400, 403, 404, 412, 413, 415, condition="If-Match")
    @blp.arguments(NoQuery(), location="query")
    @blp.arguments(ContactChangesWithId(), example=docs.CHANGES_WITH_ID)
    @blp.response(200, ContactAnswer, example=docs.CHANGED, headers=docs.headers("ETag"))
    def put(self, _: Any, changes: dict[str, Any]) -> Answer:
        """Modify the Custom contact that `id` names."""
        return change(changes["id"], changes)

    @operation("deleteContactById", 403, 404, 412, condition="If-Match")
    @blp.arguments(IdQuery(), location="query")
    @blp.response(200, Done, example=docs.DONE)
    def delete(self, asked: dict[str, str]) -> Answer:
        """Remove the Custom contact that `id` names."""
        return remove(asked["id"])


@blp.route("/contacts/<id>", parameters=[docs.ID])
class Contact(MethodView):
    """One contact."""

    init_every_request = False

    @operation("getContact", 304, 404, condition="If-None-Match")
    @blp.arguments(OneQuery(), location="query")
    @blp.response(200, SelectedAnswer, example=docs.ONE, headers=docs.READ)
    def get(self, fields: tuple[str, ...] | None, id: str) -> Answer:
        """Get one contact."""
        contact = find(id)
        tag = entity_tag(contact)
        if "HTTP_IF_NONE_MATCH" in current().environ and is_current(tag):
            return not_modified(tag)
        if fields is not None:
            members = json.loads(contact)
            contact = as_json({name: members[name] for name in fields if name in members})
        return answered(one(contact), tag)

    @operation("updateContact", 400, 403, 404, 412, 413, 415, condition="If-Match")
    @blp.arguments(NoQuery(), location="query")
    @blp.arguments(ContactChanges(), example=docs.CHANGES)
    @blp.response(200, ContactAnswer, example=docs.CHANGED, headers=docs.headers("ETag"))
    def put(self, _: Any, changes: dict[str, Any], id: str) -> Answer:
        """Modify a Custom contact: what is absent keeps its value, `"phoneNumber": null` clears it."""
        return change(id, changes)

    @operation("deleteContact", 403, 404, 412, condition="If-Match")
    @blp.arguments(NoQuery(), location="query")
    @blp.response(200, Done, example=docs.DONE)
    def delete(self, _: Any, id: str) -> Answer:
        """Remove a Custom contact."""
        return remove(id)


def find(contact_id: str) -> bytes:
    """Return a contact's JSON; raise ApiError 404 when there is none."""
    found = db.execute_sql(SELECT, locate(contact_id.lower())).fetchone()
    if found is None:
        raise ApiError(404, StatusCode.NOT_FOUND, "There is no contact with this id.")
    return bytes(found[0])


def find_writable(contact_id: str) -> tuple[bytes, dict[str, str]]:
    """Return the JSON of a contact that the request may change or remove, and what it says.

    Raise ApiError 404 when there is none, 403 when the directory sync owns it, 412 when the request
    knows another state of it (If-Match: RFC 9110, 13.1.1; weak tags count, as gzip in a proxy weakens
    them).
    """
    found = find(contact_id)
    contact: dict[str, str] = json.loads(found)
    if contact["type"] != "Custom":
        raise ApiError(
            403,
            StatusCode.READ_ONLY_CONTACT,
            f"This contact is a {contact['type']}: the directory sync writes it, clients write Custom contacts.",
        )
    expected = request.headers.get("If-Match")
    if expected is not None and not parse_etags(expected).contains_weak(entity_tag(found)):
        raise ApiError(412, StatusCode.INVALID, "The contact has changed since you read it (If-Match); read it again.")
    return found, contact


def change(contact_id: Any, changes: dict[str, Any]) -> Answer:
    """Change a Custom contact and answer with it."""
    if not isinstance(contact_id, str):
        raise invalid({"id": [Reason(StatusCode.INVALID, "Must be a string.")]})
    while True:
        found, contact = find_writable(contact_id)
        refuse_read_only(contact, changes)
        changed = contact | {name: changes[name] for name in WRITABLE if name in changes}
        changed = {name: value for name, value in changed.items() if value is not None}
        if changed == contact:
            return written(found)
        statement, values = update(columns(contact), columns(changed))
        # Nothing, when somebody else has changed it since: look again.
        if row := write(f"{statement} {UNCHANGED} {RETURNING}", (*values, *locate(contact["id"]), found.decode())):
            audit.wrote("changed", contact["id"], contact, changed)
            return written(row[1])


def refuse_read_only(contact: dict[str, str], changes: dict[str, Any]) -> None:
    """Raise ApiError 422 when an attribute that clients cannot write is sent with another value."""
    errors = {}
    for name, value in changes.items():
        same = value is None or value == contact.get(name)
        if name in {"id", "type"} and isinstance(value, str):
            same = value.lower() == contact[name].lower()
        if name not in WRITABLE and not same:
            errors[name] = [Reason(StatusCode.READ_ONLY_ATTRIBUTE, "Clients cannot write this.")]
    if errors:
        raise invalid(errors)


def remove(contact_id: str) -> Answer:
    """Remove a Custom contact."""
    while True:
        found, contact = find_writable(contact_id)
        if write(f"{DELETE} {UNCHANGED} {RETURNING}", (*locate(contact["id"]), found.decode())):
            audit.wrote("removed", contact["id"], contact, {})
            return done(b'{"statusCode":0}', "200 OK")


def one(contact: bytes) -> bytes:
    """Return the envelope with one contact."""
    return b'{"statusCode":0,"contact":%b}' % contact


def as_json(contact: dict[str, str]) -> bytes:
    """Return a contact's JSON, written as the database writes it."""
    return json.dumps(contact, ensure_ascii=False, separators=(",", ":")).encode()


def answered(body: bytes | Iterator[bytes], tag: str) -> Answer:
    """Return the answer to a read, to be kept by the client but asked for again each time."""
    headers = [("Content-Type", "application/json"), ("ETag", f'"{tag}"'), ("Cache-Control", "private, no-cache")]
    if isinstance(body, bytes):
        headers.append(("Content-Length", str(len(body))))
        return Answer("200 OK", headers, (body,))
    return Answer("200 OK", headers, body)


def written(contact: bytes, status: str = "200 OK") -> Answer:
    """Return the answer to a write: the contact as it is now."""
    return done(one(contact), status, ("ETag", f'"{entity_tag(contact)}"'))


def done(body: bytes, status: str, *headers: tuple[str, str]) -> Answer:
    """Return the answer to a write."""
    headers = (("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers)
    return Answer(status, list(headers), (body,))


def is_current(tag: str) -> bool:
    """Tell whether the client has this state (If-None-Match, weak comparison: RFC 9110, 13.1.2)."""
    sent = current().environ["HTTP_IF_NONE_MATCH"]
    return sent == f'"{tag}"' or parse_etags(sent).contains_weak(tag)


def not_modified(tag: str) -> Answer:
    """Return the answer to a client that has the current state."""
    return Answer("304 NOT MODIFIED", [("ETag", f'"{tag}"'), ("Cache-Control", "private, no-cache")])


def ampersand(**_: str) -> Any:
    """Send /contacts&type=User, as the reference prints its first example, to /contacts?type=User."""
    # The query as it was sent, with its escapes: after the first & of the request's target.
    target = request.environ.get("RAW_URI") or request.full_path
    written = re.split("&|%26", target, maxsplit=1)[1].replace("?", "&", 1)
    return redirect(f"{url_for('contacts.Contacts')}?{written}", 308)


def init_app(app: Flask) -> None:
    """Add what the API's documentation leaves out."""
    app.add_url_rule(f"{app.config['URL_PREFIX']}/contacts&<path:query>", view_func=ampersand)

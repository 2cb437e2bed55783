"""A program as users write it, on the client that openapi-python-client makes of openapi.json."""

import sys
from http import HTTPStatus
from typing import Any

from contacts_client import AuthenticatedClient, Client
from contacts_client.api.contacts import (
    create_contact,
    delete_contact,
    delete_contact_by_id,
    get_contact,
    list_contacts,
    update_contact,
    update_contact_by_id,
)
from contacts_client.models import (
    Contact,
    ContactAnswer,
    ContactChanges,
    ContactChangesWithId,
    ContactList,
    ContactType,
    Done,
    Error,
    ErrorStatusCode,
    ListContactsFieldsItem,
    ListContactsFilterName,
    ListContactsOrder,
    ListContactsSortByItem,
    ListContactsTypeItem,
    NewContact,
    SelectedAnswer,
)
from contacts_client.types import UNSET, Response

url, token = sys.argv[1:]
admin = Client(base_url=url, headers={"X-Role": "Contact Center Admin"})
agent = AuthenticatedClient(base_url=url, token=token)
nobody = Client(base_url=url)


def create(name: str, phone_number: str) -> Contact:
    answer = create_contact.sync(client=admin, body=NewContact(name=name, phone_number=phone_number))
    assert isinstance(answer, ContactAnswer), answer
    return answer.contact


def found(**query: Any) -> ContactList:
    answer = list_contacts.sync(client=agent, **query)
    assert isinstance(answer, ContactList), answer
    return answer


def names(**query: Any) -> list[object]:
    return [contact.name for contact in found(**query).contacts]


def fails(response: Response[Any], status: int, status_code: ErrorStatusCode) -> Error:
    error = response.parsed
    assert isinstance(error, Error)
    assert (response.status_code, error.status_code) == (status, status_code), error
    assert error.status_message
    return error


# Create
created = [create(f"Typed {name}", "555-0100") for name in ("Ann", "Bob", "Cid", "Dee", "Eve")]
ann, bob, *_ = created
assert ann.type_ is ContactType.CUSTOM

# List, search, page
assert names(name=["Typed Ann", "Typed Bob"]) == ["Typed Ann", "Typed Bob"]
users = found(
    type_=[ListContactsTypeItem.USER, ListContactsTypeItem.QUEUE],
    fields=[ListContactsFieldsItem.NAME, ListContactsFieldsItem.TYPE],
)
assert [contact.to_dict() for contact in users.contacts] == [
    {"name": "Joe Johnson", "type": "User"},
    {"name": "Sales", "type": "Queue"},
]
assert users.contacts[0].id is UNSET
expected = [contact.name for contact in created]
assert names(q="ty", sort_by=[ListContactsSortByItem.NAME], order=ListContactsOrder.DESCENDING) == expected[::-1]
assert (
    names(filter_name=ListContactsFilterName.NAMESORPHONENUMBERMATCHES, filter_parameters=["typed*", "*e*"]) == expected
)
paged: list[object] = []
while len(paged) < found(q="typed").total_count:
    paged += names(q="typed", offset=len(paged), limit=2)
assert paged == expected

# Get, update
read = get_contact.sync_detailed(ann.id, client=agent)
assert isinstance(read.parsed, SelectedAnswer)
assert read.parsed.contact.to_dict() == ann.to_dict()
tag = read.headers["ETag"]
changed = update_contact.sync_detailed(ann.id, client=admin, body=ContactChanges(phone_number=None), if_match=tag)
assert isinstance(changed.parsed, ContactAnswer)
assert changed.parsed.contact.phone_number is UNSET
again = update_contact_by_id.sync(client=admin, body=ContactChangesWithId(id=bob.id, name="Typed Bobby"))
assert isinstance(again, ContactAnswer)
assert again.contact.name == "Typed Bobby"
kept = get_contact.sync_detailed(ann.id, client=agent, if_none_match=changed.headers["ETag"])
assert kept.status_code is HTTPStatus.NOT_MODIFIED

# Errors
fails(list_contacts.sync_detailed(client=nobody), 401, ErrorStatusCode.UNAUTHENTICATED)
fails(create_contact.sync_detailed(client=agent, body=NewContact(name="x")), 403, ErrorStatusCode.ROLE)
joe = found(user_name=["joej"]).contacts[0]
assert isinstance(joe.id, str)
fails(delete_contact_by_id.sync_detailed(client=admin, id=joe.id), 403, ErrorStatusCode.READ_ONLY_CONTACT)
fails(get_contact.sync_detailed("0" * 32, client=agent), 404, ErrorStatusCode.NOT_FOUND)
late = update_contact.sync_detailed(ann.id, client=admin, body=ContactChanges(name="Late"), if_match=tag)
fails(late, 412, ErrorStatusCode.INVALID)
# On a connection of its own: gunicorn closes it, as it throws no more than 64 KiB of a body away.
other = Client(base_url=url, headers={"X-Role": "Contact Center Admin"})
large = create_contact.sync_detailed(client=other, body=NewContact(name="x" * 70_000))
fails(large, 413, ErrorStatusCode.INVALID)
empty = update_contact.sync_detailed(ann.id, client=admin, body=ContactChanges())
fails(empty, 422, ErrorStatusCode.MISSING)
control = create_contact.sync_detailed(client=admin, body=NewContact(name="a\tb"))
fails(control, 422, ErrorStatusCode.INVALID)
long = create_contact.sync_detailed(client=admin, body=NewContact(name="x" * 256))
assert list(fails(long, 422, ErrorStatusCode.RANGE).to_dict()["errors"]) == ["name"]
user = create_contact.sync_detailed(client=admin, body=NewContact(name="x", user_name="x"))
fails(user, 422, ErrorStatusCode.READ_ONLY_ATTRIBUTE)

# Delete
assert isinstance(delete_contact.sync(ann.id, client=admin), Done)
for contact in created[1:]:
    assert isinstance(delete_contact_by_id.sync(client=admin, id=contact.id), Done)
fails(delete_contact.sync_detailed(ann.id, client=admin), 404, ErrorStatusCode.NOT_FOUND)
print("all is well")

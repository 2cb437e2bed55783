"""What clients of Genesys Web Services find besides, on the client that openapi-python-client makes of openapi.json."""

import sys

from contacts_client import AuthenticatedClient, Client
from contacts_client.api.contacts import create_contact, delete_contact, get_contact, list_contacts, update_contact
from contacts_client.models import (
    ContactAnswer,
    ContactChanges,
    ContactList,
    Done,
    ListContactsFieldsItem,
    ListContactsTypeItem,
    NewContact,
    SelectedAnswer,
)
from contacts_client.types import UNSET, Unset

url, token = sys.argv[1:]
admin = Client(base_url=url, headers={"X-Role": "ROLE_ADMIN"})
agent = AuthenticatedClient(base_url=url, token=token)

users = list_contacts.sync(client=agent, type_=[ListContactsTypeItem.USER], roles="ROLE_AGENT", subresources="*")
assert isinstance(users, ContactList)
(joe,) = users.contacts
assert not isinstance(joe.phone_numbers, Unset)
assert joe.phone_numbers[0].phone_number == "15002"
assert isinstance(joe.id, str)
assert joe.path == f"/contacts/{joe.id}"
assert joe.uri == f"{url}/api/v2{joe.path}"

chosen = list_contacts.sync(client=agent, fields=[ListContactsFieldsItem.URI, ListContactsFieldsItem.PHONENUMBERS])
assert isinstance(chosen, ContactList)
assert {frozenset(contact.to_dict()) for contact in chosen.contacts} == {frozenset({"uri", "phoneNumbers"})}

made = create_contact.sync(client=admin, body=NewContact(name="Typed"))
assert isinstance(made, ContactAnswer)
assert (made.id, made.uri, made.path) == (made.contact.id, made.contact.uri, made.contact.path)
assert made.contact.phone_numbers is UNSET

# The whole contact, as it was read, goes back.
read = get_contact.sync(made.contact.id, client=agent)
assert isinstance(read, SelectedAnswer)
whole = ContactChanges.from_dict(read.contact.to_dict())
whole.phone_number = "7"
changed = update_contact.sync(made.contact.id, client=admin, body=whole)
assert isinstance(changed, ContactAnswer)
assert changed.contact.phone_number == "7"
assert isinstance(delete_contact.sync(made.contact.id, client=admin), Done)
print("all is well")

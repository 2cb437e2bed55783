"""The examples of requests and answers in the document."""

from contacts.attributes import ATTRIBUTES

USER = {name: attribute.example for name, attribute in ATTRIBUTES.items()}
QUEUE = {"id": "00000000010e01af229c39b0bb2e0148", "name": "Support", "type": "Queue", "phoneNumber": "8003"}
NEW = {"name": "Some Contact", "type": "Custom", "phoneNumber": "xxx-xxx-xxxx"}
CUSTOM = {"id": "00000000010f7f59112af024edf8f046", **NEW}
CHANGES = {"phoneNumber": "1-800-FLOWERS"}
CHANGES_WITH_ID = {"id": CUSTOM["id"], **CHANGES}
ME = {"statusCode": 0, "user": {"role": "Agent", "userName": "joej"}}
DONE = {"statusCode": 0}
FOUND = {**DONE, "totalCount": 3, "contacts": [USER, CUSTOM, QUEUE]}
ONE = {**DONE, "contact": USER}
CREATED = {**DONE, "contact": CUSTOM}
CHANGED = {**DONE, "contact": CUSTOM | CHANGES}

IMPORT_CSV = "name,phoneNumber\nSome Contact,xxx-xxx-xxxx\n"
IMPORTED = {**DONE, "summary": {"added": 1, "unchanged": 0, "rejected": 0}, "rejected": []}
IMPORT_REFUSED = {
    "statusCode": 2,
    "statusMessage": "1 bad row; nothing was changed.",
    "summary": {"added": 0, "unchanged": 1, "rejected": 1},
    "rejected": [{"line": 3, "errors": {"name": ["A Custom needs one."]}}],
}

"""What openapi.json cannot say to schemathesis."""

import schemathesis
from marshmallow import ValidationError

from contacts.parameters import search_text


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Hold the answers to what each operation lists, not to the `default` for what the server in front refuses."""
    for path in raw_schema["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict):
                operation["responses"].pop("default", None)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Keep requests what they are meant to be.

    Leave out of valid ones filterName alone, and q of too many words. To clients of Genesys Web Services a blank value
    is an absent one (allowEmptyValue), and null is sent as one or as a text: invalid requests with such a value get a
    type that there is not.
    """
    query = case.query
    if not query or not case.meta:
        return
    if not case.meta.generation.mode.is_positive:
        texts = ["".join(map(str, value)) if isinstance(value, list) else str(value or "") for value in query.values()]
        if case.operation.path.startswith("/api/v2/") and not all(map(str.strip, texts)):
            query["type"] = "Blank"
        return
    pair = ("filterName", "filterParameters")
    if len([name for name in pair if "".join(query.get(name, "")).strip()]) == 1:  # blank ones are absent, or refused
        for name in pair:
            query.pop(name, None)
    try:
        search_text([str(query.get("q", "x"))])
    except ValidationError:
        del query["q"]

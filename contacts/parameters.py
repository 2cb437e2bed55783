"""The parameters in the URL: functions from the texts that were given to a value, in marshmallow schemas."""

import re
from collections.abc import Callable
from typing import Any

from marshmallow import ValidationError, fields, post_load, validates_schema

from contacts import gws
from contacts.attributes import ATTRIBUTES, SEARCHED, TYPES
from contacts.errors import StatusCode, reason
from contacts.query import MAX_INTEGER, Query
from contacts.schemas import LINE, LINE_WITHOUT_COMMAS, Strict, field_error, missing
from contacts.text import check_characters, is_blank, same_key, words

FILTER_NAME = "NamesOrPhoneNumberMatches"
ORDERS = ("Ascending", "Descending")

MAX_SEARCH_TERMS = 32  # words of q, or arguments of filterParameters
MAX_TERM_LENGTH = 4000  # characters


def line(text: str) -> str:
    """Return a text without surrounding blanks; raise ValidationError if it is blank or not one line."""
    try:
        check_characters(text)
    except ValueError as found:
        raise field_error(StatusCode.INVALID, str(found)) from None
    if is_blank(text):
        raise field_error(StatusCode.RANGE, "Must not be blank.")
    return text.strip()


def single(texts: list[str]) -> str:
    """Return the value of a parameter that is given once; raise ValidationError for several."""
    if len(texts) > 1:
        raise field_error(StatusCode.INVALID, "Give it once.")
    return line(texts[0])


def whole_number(minimum: int) -> Callable[[list[str]], int]:
    """Return the reader of a number of any size; those beyond SQLite's integers count as the largest of them."""

    def read(texts: list[str]) -> int:
        digits = single(texts).lstrip("0") or "0"
        if not re.fullmatch("[0-9]+", digits) or int(digits[:20]) < minimum:
            raise field_error(StatusCode.RANGE, f"Give a whole number, {minimum} or more.")
        return min(int(digits[:20]), MAX_INTEGER)

    return read


def choice(*choices: str) -> Callable[[list[str]], str]:
    """Return the reader of one of a few words, ignoring case."""
    by_key = {each.lower(): each for each in choices}

    def read(texts: list[str]) -> str:
        if found := by_key.get(single(texts).lower()):
            return found
        raise field_error(StatusCode.INVALID, f"There are: {', '.join(choices)}.")

    return read


def parts(texts: list[str]) -> list[str]:
    """Return what stands between commas; raise ValidationError if it is nothing."""
    if found := [part.strip() for text in texts for part in line(text).split(",") if not is_blank(part)]:
        return found
    raise field_error(StatusCode.RANGE, "Must not be blank.")


def chosen(found: list[str], choices: tuple[str, ...]) -> list[str]:
    """Return the parts; raise ValidationError if one is no choice."""
    for part in found:
        if part not in choices:
            raise field_error(StatusCode.INVALID, f"{part} is none of: {', '.join(choices)}.")
    return found


def types(texts: list[str]) -> list[str]:
    """Return types, in the spelling of the API."""
    return chosen([part.capitalize() if part.capitalize() in TYPES else part for part in parts(texts)], TYPES)


def selection(texts: list[str]) -> tuple[str, ...] | None:
    """Return the attributes that `fields` selects, in the order of the JSON; None for all."""
    shown = (*ATTRIBUTES, *(gws.GWS_ATTRIBUTES if gws.is_on() else ()))
    names = chosen(parts(texts), (*shown, "*"))
    return None if "*" in names else tuple(name for name in shown if name in names)


def limited(terms: list[str]) -> list[str]:
    """Return the terms of a search; raise ValidationError for too many or too long ones."""
    if max(len(same_key(term)) for term in terms) > MAX_TERM_LENGTH:  # a ligature may be many letters
        raise field_error(StatusCode.RANGE, f"Give words of {MAX_TERM_LENGTH} characters at most.")
    if len(terms) > MAX_SEARCH_TERMS:
        raise field_error(StatusCode.RANGE, f"Give {MAX_SEARCH_TERMS} words at most.")
    return terms


def search_text(texts: list[str]) -> str:
    """Return the text of q; raise ValidationError if it is blank, or has too many words or too long ones."""
    text = single(texts)
    limited([text])
    limited(words(text) or [text])
    return text


def field(
    read: Callable[[list[str]], Any], description: str, example: Any, data_key: str | None = None, **schema: Any
) -> fields.Function:
    """Return the field of a parameter; `schema` describes its values in the document."""
    metadata = {"type": "string", **schema, "description": description, "example": example}
    return fields.Function(deserialize=read, data_key=data_key, metadata=metadata)


def several(commas: bool = True, **items: Any) -> dict[str, Any]:
    """Return the schema of a parameter with several values, between commas or as the parameter repeated."""
    return {"type": "array", "items": {"type": "string", **items}, "minItems": 1, "commas": commas}


FILTER_DESCRIPTIONS = {
    "id": "Contacts with these ids.",
    "name": "Contacts of this name, as a whole: without regard to case, width, kinds of blanks, apostrophes and "
    "hyphens, and invisible characters; accents count. This and the other attributes may be given several times, or "
    "have several values with commas between: one of them must match.",
    "phoneNumber": "Contacts with this number, as it is dialled: without punctuation and suffixes (x123), `+49…` and "
    "`0049…` being the same. `*` for any number.",
}
FILTER_FIELDS = {
    name: field(
        lambda texts: list(map(line, texts)),
        FILTER_DESCRIPTIONS.get(name, f"Contacts with this value, ignoring case. {attribute.description}"),
        [attribute.example],
        **several(commas=False, pattern=LINE),
    )
    for name, attribute in ATTRIBUTES.items()
} | {"type": field(types, "Ignoring case.", ["Queue", "Custom"], **several(enum=list(TYPES)))}

SELECTION = field(
    selection,
    "Return only these attributes, with commas between; `*` for all.",
    ["id", "name", "phoneNumber"],
    data_key="fields",
    **several(enum=[*ATTRIBUTES, "*"]),
)


class ListQuery(Strict.from_dict(FILTER_FIELDS)):  # type: ignore[misc]
    """The query language of GET /contacts."""

    filterName = field(
        choice(FILTER_NAME), "Search by filterParameters; goes with it.", FILTER_NAME, enum=[FILTER_NAME]
    )
    filterParameters = field(
        lambda texts: limited(parts(texts)),
        f"Arguments with commas between. For each, a whole name ({', '.join(SEARCHED)}) or the phone number must "
        "match; `*` stands for any characters, also none.",
        ["support*", "800*"],
        maxItems=MAX_SEARCH_TERMS,
        **several(pattern=LINE_WITHOUT_COMMAS),
    )
    q = field(
        search_text,
        "Search as you type: each word starts a word of a name, or stands in the phone number (at its start below "
        "three characters), ignoring case and accents. Where nothing is found so, words are looked for inside others, "
        "and then similar ones.",
        "jo smi",
        pattern=LINE,
    )
    sortBy = field(
        lambda texts: tuple(dict.fromkeys(chosen(parts(texts), tuple(ATTRIBUTES)))),
        "Contacts without the attribute come last, equals in the order of the name. Without it, the best hits of q "
        "come first, and otherwise contacts are in the order of the name.",
        ["lastName", "firstName"],
        **several(enum=list(ATTRIBUTES)),
    )
    order = field(
        choice(*ORDERS),
        "Descending is the exact reverse of Ascending (also of the ids, which break ties), but contacts without the "
        "attribute stay last.",
        ORDERS[1],
        default=ORDERS[0],
        enum=list(ORDERS),
    )
    offset = field(whole_number(0), "The number of contacts to skip.", 20, type="integer", minimum=0, default=0)
    limit = field(
        whole_number(1), "The number of contacts to return at most; all without it.", 10, type="integer", minimum=1
    )
    selection = SELECTION

    @validates_schema
    def check_pair(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse filterName without filterParameters, and the reverse."""
        for one, other in (("filterName", "filterParameters"), ("filterParameters", "filterName")):
            if one in data and other not in data:
                raise ValidationError({other: [reason(StatusCode.MISSING, f"Goes with {one}.")]})

    @post_load
    def query(self, data: dict[str, Any], **_: Any) -> Query:
        """Return the Query that the parameters mean."""
        return Query(
            filters={name: values for name, values in data.items() if name in ATTRIBUTES},
            q=data.get("q", ""),
            patterns=data.get("filterParameters", []),
            sort=data.get("sortBy", ()),
            descending=data.get("order") == "Descending",
            offset=data.get("offset", 0),
            limit=data.get("limit"),
            fields=data.get("selection"),
        )


class OneQuery(Strict):
    """The parameters of GET /contacts/{id}."""

    type = FILTER_FIELDS["type"]
    selection = SELECTION


class IdQuery(Strict):
    """The parameters of DELETE /contacts."""

    id = fields.Function(
        deserialize=single,
        required=True,
        error_messages=missing("Say which contact: ?id=…"),
        metadata={
            **{"type": "string", "pattern": "^[0-9A-Fa-f]{32}$", "example": ATTRIBUTES["id"].example},
            "description": "The contact to remove.",
        },
    )


class NoQuery(Strict):
    """No parameters."""

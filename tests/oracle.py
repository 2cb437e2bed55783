"""A plain reading of the contract: which contacts match a query, in which order, on which page."""

from functools import cache
from unicodedata import category, combining, normalize

ATTRIBUTES = ("id", "name", "type", "phoneNumber", "userName", "firstName", "lastName", "employeeId")
NAMES = ("name", "userName", "firstName", "lastName")
TYPES = ("Custom", "Queue", "User")


@cache
def fold(text):
    """Return text without regard to case (and in one normal form)."""
    return normalize("NFC", normalize("NFD", text).casefold())


@cache
def plain(text):
    """Return text without regard to case and accents."""
    return normalize("NFC", "".join(c for c in normalize("NFD", fold(text)) if not combining(c)))


def is_punctuation(character):
    """Tell whether a character is neither letter nor digit, nor a mark that belongs to one."""
    return category(character)[0] not in "LNM"


def is_letter_or_digit(character):
    return category(character)[0] in "LN"


@cache
def key(text):
    """Return the letters and digits of text."""
    return "".join(filter(is_letter_or_digit, fold(text)))


def comparable(attribute, value):
    return key(value) if attribute == "phoneNumber" else fold(value)


def passes(contact, attribute, given):
    """Tell whether a contact has one of the values that a filter names, whole or between commas."""
    if attribute not in contact:
        return False
    wanted = [*given, *(part for value in given if "," in value for part in value.split(",") if part.strip())]
    if attribute == "phoneNumber" and "*" in (value.strip() for value in wanted):
        return True
    # A value without letters and digits is no number.
    wanted_keys = {comparable(attribute, value.strip()) for value in wanted} - {""}
    return comparable(attribute, contact[attribute]) in wanted_keys


def like(value, pattern):
    """Tell whether a whole value is as a pattern says, in which * stands for any characters."""
    first, *others = pattern.split("*")
    if not others:
        return value == pattern
    *middle, last = others
    if not value.startswith(first):
        return False
    position = len(first)
    for part in middle:
        position = value.find(part, position)
        if position < 0:
            return False
        position += len(part)
    return value.endswith(last) and position + len(last) <= len(value)


def fits(contact, argument):
    """Tell whether an argument of filterParameters matches a name, or its letters and digits the number's."""
    pattern = fold(argument)
    if any(like(fold(contact[name]), pattern) for name in NAMES if name in contact):
        return True
    number = "".join(c for c in pattern if is_letter_or_digit(c) or c == "*")
    return bool(number.strip("*")) and "phoneNumber" in contact and like(key(contact["phoneNumber"]), number)


def starts(value, position):
    """Tell whether a word starts at a position of a value."""
    before, here = value[position - 1 : position], value[position]
    return not before or before.isspace() or (is_letter_or_digit(here) and is_punctuation(before))


def occurs(word, value):
    """Tell whether a value holds a word: anywhere, or where a word starts when it is short."""
    if len(word) > 2 or not word:
        return word in value
    return any(value.startswith(word, i) and starts(value, i) for i in range(len(value)))


def holds(contact, word):
    """Tell whether a word of q matches a contact."""
    name, number = plain(word), plain(key(word))
    if any(occurs(name, plain(contact[attribute])) for attribute in NAMES if attribute in contact):
        return True
    if not number or "phoneNumber" not in contact:
        return False
    whole = plain(key(contact["phoneNumber"]))
    return number in whole if len(number) > 2 else whole.startswith(number)


def ordered(contacts, attribute, descending):
    """Return contacts in order: the id between equals, those without the attribute last."""
    by_id = sorted(contacts, key=lambda each: each["id"], reverse=descending)
    having = [each for each in by_id if attribute in each]
    lacking = [each for each in by_id if attribute not in each]
    return sorted(having, key=lambda each: comparable(attribute, each[attribute]), reverse=descending) + lacking


def answer(contacts, query):
    """Return what the contract promises to answer."""
    filters = [(name, query[name]) for name in ATTRIBUTES if name in query]
    arguments = [part.strip() for value in query.get("filterParameters", []) for part in value.split(",")]
    words = query.get("q", "").split()
    found = [
        contact
        for contact in contacts
        if all(passes(contact, name, values) for name, values in filters)
        and all(fits(contact, argument) for argument in arguments if argument)
        and all(holds(contact, word) for word in words)
    ]
    page = ordered(found, query.get("sortBy", "name"), query.get("order", "").lower() == "descending")
    page = page[query.get("offset", 0) :][: query.get("limit", len(found))]
    fields = query.get("fields", ",".join(ATTRIBUTES)).split(",")
    page = [{name: each[name] for name in each if name in fields} for each in page]
    return {"statusCode": 0, "totalCount": len(found), "contacts": page}

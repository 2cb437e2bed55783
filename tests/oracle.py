"""A plain reading of the contract: which contacts match a query, in which order, on which page."""

import re
from functools import cache
from unicodedata import digit

from contacts.phone import (
    number_key,
    number_prefixes,
    number_spellings,
    number_text,
    number_words,
    split_numbers,
    typed_number,
    whole_number_starts,
)
from contacts.text import order_key, order_start, same_key, spellings, word_forms, word_starts, words

# The attributes, written down once more, so that the tests can disagree with the service.
USER_ATTRIBUTES = ("userName", "firstName", "lastName", "employeeId")
ATTRIBUTES = ("id", "name", "type", "phoneNumber", *USER_ATTRIBUTES)
SEARCHED_INSIDE = ("name", "firstName", "lastName")
SEARCHED = (*SEARCHED_INSIDE, "userName")
TYPES = ("Custom", "Queue", "User")
MATCHES = ("start", "inside", "similar")

NUMBER = re.compile(
    r"(?<![^\s,;:/.-])[+(]*\d+(?:[\s()./-]+\d+)*(?:[./-]\w+)*(?:\s*(?:x|ext(?:ension)?)[\s.:]*\d+)?(?![^\s,;:)/.-])"
)


def comparable(attribute, value):
    """Return the key by which a filter compares a value; "" is equal to nothing."""
    if attribute == "id":
        return re.sub("[-{}]", "", same_key(value))
    return number_key(value) if attribute == "phoneNumber" else same_key(value)


def passes(contact, attribute, given):
    """Tell whether a contact has one of the values that a filter names, whole or between commas."""
    split = split_numbers if attribute == "phoneNumber" else lambda value: value.split(",")
    wanted = [*given, *(part for value in given for part in split(value))]
    here = comparable(attribute, contact.get(attribute, ""))
    if attribute == "phoneNumber" and "*" in (value.strip() for value in wanted):
        return here != ""
    return here != "" and here in {comparable(attribute, value) for value in wanted}


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


def letters_and_digits(text):
    """Return the letters, digits and stars of text."""
    return "".join(str(digit(c)) if c.isdigit() else c for c in text if c.isalnum() or c == "*")


def fits(contact, argument):
    """Tell whether an argument of filterParameters matches a name, or its letters and digits the number's."""
    pattern = same_key(argument)
    if any(like(same_key(contact[name]), pattern) for name in SEARCHED if name in contact):
        return True
    number = letters_and_digits(pattern)
    stored = contact.get("phoneNumber", "")
    dialled = [*number_spellings(number_key(stored)), letters_and_digits(same_key(stored).replace("*", ""))]
    return number.strip("*") != "" and any(like(each, number) for each in dialled if each)


@cache
def terms(q):
    """Return the terms of q: for each the ways to read it."""
    if typed_number(q):
        return [ways(q)]
    q = same_key(q)
    parts = [*NUMBER.findall(q), *(word for part in NUMBER.split(q) for word in words(part))]
    return [ways(part) for part in dict.fromkeys(parts)]  # a word that comes twice has its slips once


def ways(run):
    """Return the ways to read a term: words that names have, with the starts of number_words that the number has."""
    number = number_text(run)
    found = [(words(run), []), ([], starts_of_number(number))]
    for place in [group.start() for group in re.finditer(r"[^\W_]+", number)][1:5]:
        before, behind = number[:place], number[place:]
        if behind[0].isalpha():
            found.append((words(behind), starts_of_number(before)))
        elif number[0] != "+":
            found.append((words(before), starts_of_number(behind)))
    return [way for way in found if any(way)]


def starts_of_number(text):
    """Return the starts of number_words that text looks for."""
    return typed_number(text) or number_prefixes(letters_and_digits(text))


@cache
def start_forms(text):
    """Return the forms of the words of text, from each place where they can be found."""
    return {form for word in words(text) for start in word_starts(word) for form in word_forms(start)}


@cache
def distance(a, b):
    """Return how many slips make b of a: a letter too many, missing or wrong, or two neighbours swapped."""
    rows = [list(range(len(b) + 1))]
    for i in range(1, len(a) + 1):
        rows.append([i])
        for j in range(1, len(b) + 1):
            least = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 2 : i] == b[j - 1] + b[j - 2]:
                least = min(least, rows[i - 2][j - 2] + 1)
            rows[i].append(least)
    return rows[-1][-1]


def word_slips(contact, word, match):
    """Return how many slips a typed word is away from the contact's words, None when it does not match."""
    forms = word_forms(word)
    starts = [start for name in SEARCHED for start in start_forms(contact.get(name, ""))]
    if any(start.startswith(form) for start in starts for form in forms):
        return 0
    wholes = [whole for name in SEARCHED_INSIDE for whole in start_forms(contact.get(name, ""))]
    if match == "inside" and len(word) >= 3 and any(form in whole for whole in wholes for form in forms):
        return 0
    if match == "similar" and len(word) >= 3 and any(map(str.isalpha, word)):
        slips = 2 if len(word) >= 8 else 1
        near = [(form, whole) for form in forms for whole in wholes if abs(len(form) - len(whole)) <= slips]
        return min((d for form, whole in near if (d := distance(form, whole)) <= slips), default=None)
    return None


def slips(contact, q, match):
    """Return how many slips q is away from the contact, None when a term of it does not match."""
    if match == "start" and has_number(contact, whole_number_starts(q)):
        return 0
    total = 0
    for term in terms(q):
        found = [far for way in term if (far := way_slips(contact, *way, match)) is not None]
        if not found:
            return None
        total += min(found)
    return total


def has_number(contact, starts):
    """Tell whether a word of the contact's number begins with one of these."""
    return any(word.startswith(tuple(starts)) for word in number_words(contact.get("phoneNumber", "")))


def way_slips(contact, typed, starts, match):
    """Return how many slips a way to read a term is away from the contact, None when it does not match."""
    found = [word_slips(contact, word, match) for word in typed]
    return None if None in found or (starts and not has_number(contact, starts)) else sum(found)


def in_order(typed, name):
    """Tell whether typed words, all in one spelling, are whole words of a name, each behind the one before."""
    rest = iter(words(name))
    return all(any(word in word_forms(whole) for whole in rest) for word in typed)


def rank(contact, q):
    """Return how well a contact matches q whose words all match at a start: 0 is best."""
    if any(order_key(q) == order_key(contact[name]) for name in SEARCHED if name in contact):
        return 0
    if number_key(q) == number_key(contact.get("phoneNumber", "")) != "":
        return 0
    if any(in_order(typed, contact["name"]) for typed in zip(*map(spellings, words(q)), strict=True)):
        return 1
    starts = order_key(contact["name"]).startswith(order_start(q)) or same_key(contact["name"]).startswith(same_key(q))
    return 2 if starts else 3


def ordered(contacts, attributes, descending):
    """Return contacts in order: equals by name and as they were made, those without the attribute last."""
    page = contacts[::-1] if descending else contacts[:]
    if attributes != ["userName"]:
        page.sort(key=lambda each: order_key(each["name"]), reverse=descending)
    for attribute in reversed(attributes):
        key = str if attribute in ("id", "type") else order_key
        page.sort(key=lambda each: key(each.get(attribute, "")), reverse=descending)
        page.sort(key=lambda each: attribute not in each)
    return page


def matching(contacts, q):
    """Return how contacts match q, and with those that do how far they are from it: at starts if any does so."""
    for match in MATCHES:
        found = [(contact, slips(contact, q, match)) for contact in contacts]
        found = [(contact, far) for contact, far in found if far is not None]
        if found:
            return match, [(contact, rank(contact, q) if match == "start" else far) for contact, far in found]
    return "start", []


def answer(contacts, query):
    """Return what the contract promises to answer; the contacts are given in the order in which they were made."""
    filters = [(name, query[name]) for name in ATTRIBUTES if name in query]
    arguments = [part for value in query.get("filterParameters", []) for part in value.split(",") if same_key(part)]
    found = [
        contact
        for contact in contacts
        if all(passes(contact, name, values) for name, values in filters)
        and all(fits(contact, argument) for argument in arguments)
    ]
    matched, far = {}, {}
    if "q" in query:
        match, nearest = matching(found, query["q"])
        matched, far = {"match": match}, {contact["id"]: how for contact, how in nearest}
        found = [contact for contact, _ in nearest]
    attributes = query["sortBy"].split(",") if "sortBy" in query else []
    page = ordered(found, attributes, query.get("order", "").lower() == "descending")
    if "q" in query and not attributes:
        page.sort(key=lambda each: far[each["id"]])
    page = page[query.get("offset", 0) :][: query.get("limit", len(found))]
    fields = query.get("fields", "*").replace("*", ",".join(ATTRIBUTES)).split(",")
    page = [{name: each[name] for name in each if name in fields} for each in page]
    return {"statusCode": 0, "totalCount": len(found), **matched, "contacts": page}

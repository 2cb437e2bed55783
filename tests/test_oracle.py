"""The service against a plain reading of the contract: the same answers to thousands of odd queries."""

import random
from functools import cache
from unicodedata import category, combining, normalize

import pytest
from conftest import add

from contacts.database import db

CONTACTS = 150
QUERIES = 250

ATTRIBUTES = ("id", "name", "type", "phoneNumber", "userName", "firstName", "lastName", "employeeId")
NAMES = ("name", "userName", "firstName", "lastName")
TYPES = ("Custom", "Queue", "User")

# What names are made of: cases, accents, scripts, punctuation, and the syntax of GLOB, LIKE, FTS5 and JSON.
SCRAPS = r"""
    a A ann Anna ANNA Joe jo doe Jane smith Müller mueller MULLER Hélène helene Zoë é É e q o'neil x y z null AND OR NOT
    I i İ ı İstanbul ß ẞ ss Straße STRASSE ﬁ fi ﬃ ŉ ǆ ǅ Å å Łódź ø ª ² ½ Ⅷ ⅷ Σίσυφος ΟΔΟΣ οδος ς σ ΐ ᾳ αι
    жук ЖУК Ёлка елка й и Ա և محمّد محمد علي שָׁלוֹם हिन्दी की ไทย 王 小明 王小明 김 각 가 が ｱﾞ 𐐀 𐐨 𝒜 😀 👍🏽 👩‍💻 ❤️
    1 12 007 650 ٣ ０ C++ c# a.b x_y * ** *a a* ? [ ] [a-z] [!x] \ \\ " "" ' % _ NEAR( ) name: - -- & + # / | ; :
    , 、 ^ { } < = ~ ` ´ ¨ ·
"""
PIECES = [*SCRAPS.split(), "e\u0301", "\u0301", "\u0345", "\u0651", "\u212a", "\u212b", "\u1100", "\u2060", "\ufeff"]
GAPS = ["", "", " ", " ", "  ", "-", ".", ", ", ",", "_", "'", "*", "\u00a0", "\u3000", "\u2009"]
DIGITS = ["1", "49", "650", "555", "0100", "15002", "FLOWERS", "xxx", "é", "ß", "Ж", "٣", "½", *"#*+()/"]
NUMBER_GAPS = ["", "", "-", " ", ".", "(", ")", "--"]


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


class Chance:
    """Contacts and queries at random, the same for the same seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def likely(self, share):
        return self.random.random() < share

    def pick(self, choices):
        return self.random.choice(choices)

    def joined(self, pieces, gaps, most):
        return "".join(self.pick(pieces) + self.pick(gaps) for _ in range(self.random.randint(1, most)))

    def text(self):
        """Return a name as it is stored: trimmed, not blank, in NFC."""
        return normalize("NFC", self.joined(PIECES, GAPS, 4).strip())

    def number(self):
        return normalize("NFC", self.joined(DIGITS, NUMBER_GAPS, 5).strip())

    def contact(self, taken):
        """Return a new contact; `taken` are the names that only one User or Queue may have."""
        contact = {"type": self.pick([*TYPES, "User"]), "name": self.text()}
        if self.likely(0.6):
            contact["phoneNumber"] = self.number()
        if contact["type"] == "User":
            contact["userName"] = self.text()
            contact |= {name: self.text() for name in ("firstName", "lastName", "employeeId") if self.likely(0.6)}
        unique = (contact["type"], fold(contact.get("userName", contact["name"])))
        if contact["type"] != "Custom" and unique in taken:
            return self.contact(taken)
        taken.add(unique)
        return contact

    def said(self, text):
        """Return text as somebody may write it who means the same, or nearly."""
        same = [str, str.upper, str.lower, str.swapcase, lambda text: normalize("NFD", text), lambda text: f"  {text} "]
        near = [str.title, plain, key, lambda text: text[1:]]
        return self.pick(near if self.likely(0.2) else same)(text)

    def value(self, contact, attribute):
        """Return the contact's value, mostly, or another."""
        return self.said(contact[attribute] if attribute in contact and self.likely(0.9) else self.text())

    def searchable(self, contact):
        return self.value(contact, self.pick([name for name in (*NAMES, "phoneNumber") if name in contact]))

    def values(self, contact, others, attribute):
        """Return the values of a filter: the contact's, and maybe some of other contacts."""
        values = [self.value(each, attribute) for each in (contact, *others)]
        if attribute == "phoneNumber" and self.likely(0.1):
            values.append("*")
        if attribute == "type":
            values = [self.pick([str.upper, str.lower, str])(each["type"]) for each in (contact, *others)]
        return [",".join(values)] if self.likely(0.3) else values

    def argument(self, contact):
        """Return an argument of filterParameters: a value, parts of which give way to stars."""
        text = self.searchable(contact)
        for _ in range(self.random.randrange(3)):
            i, j = sorted(self.random.choices(range(len(text) + 1), k=2))
            text = f"{text[:i]}*{text[j:]}"
        return self.pick([text, text, f"{text}*", f"*{text}", f"*{text}*"])

    def word(self, contact):
        """Return a part of a value, for q; more than a word when it has a blank in it."""
        text = self.searchable(contact)
        start = self.random.randrange(len(text)) if text and self.likely(0.6) else 0
        return self.said(text[start : start + self.random.randint(1, 6)])

    def query(self, contacts):
        """Return the parameters of a query that the service must accept, about one of the contacts mostly."""
        contact = self.pick(contacts)
        query = {}
        filters = ATTRIBUTES if self.likely(0.1) else tuple(contact)
        amount = self.pick([0, 1, 1, 1, 1, 2, 2, 3])
        for what in self.random.choices([*filters, *["filterParameters", "q"] * 4], k=amount):
            if what == "filterParameters":
                arguments = [self.argument(contact) for _ in range(self.pick([1, 1, 2]))]
                query["filterName"] = "NamesOrPhoneNumberMatches"
                query[what] = arguments if self.likely(0.5) else [",".join(arguments)]
            elif what == "q":
                words = [self.word(contact) for _ in range(self.pick([1, 1, 2, 3]))]
                query[what] = self.pick([" ", "  ", "\u00a0"]).join(words)
            else:
                query[what] = self.values(contact, self.random.sample(contacts, self.pick([0, 0, 1, 2])), what)
        if self.likely(0.7):
            query["sortBy"] = self.pick(ATTRIBUTES)
        if self.likely(0.5):
            query["order"] = self.pick(["Ascending", "Descending", "DESCENDING"])
        if self.likely(0.2):
            query["offset"] = self.pick([0, 1, 7, CONTACTS - 1, CONTACTS, 2**70])
        if self.likely(0.3):
            query["limit"] = self.pick([1, 2, 10, CONTACTS, 2**70])
        if self.likely(0.2):
            query["fields"] = ",".join(self.random.sample(ATTRIBUTES, self.random.randint(1, 4)))
        return query if self.valid(query) else self.query(contacts)

    def valid(self, query):
        """Tell whether no value is blank."""
        values = [value for name in ATTRIBUTES if name in query for value in query[name]]
        arguments = query.get("filterParameters", [])
        return (
            all(value.strip() for value in [*values, *arguments])
            and ("q" not in query or any(plain(word) for word in query["q"].split()))
            and ("filterName" not in query or any(part.strip() for part in ",".join(arguments).split(",")))
        )


@pytest.mark.parametrize("seed", range(10))
def test_answers_as_the_contract_says(app, agent, seed):
    chance = Chance(seed)
    taken = set()
    with db.atomic():
        contacts = [add(**chance.contact(taken)) for _ in range(CONTACTS)]
    telling = 0
    for number in range(QUERIES):
        query = chance.query(contacts)
        expected = answer(contacts, query)
        given = agent.get("/contacts", query_string=query).json
        assert given == expected, f"seed {seed}, query {number}: {query}"
        telling += 0 < expected["totalCount"] < CONTACTS
    assert telling > QUERIES / 3

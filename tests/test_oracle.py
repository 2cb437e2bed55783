"""The service against a plain reading of the contract: the same answers to thousands of odd queries."""

import random
from unicodedata import normalize

import pytest
from conftest import add
from oracle import ATTRIBUTES, NAMES, TYPES, answer, fold, key, plain

from contacts.database import db

CONTACTS = 150
QUERIES = 250

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

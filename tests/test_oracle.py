"""The service against a plain reading of the contract: the same answers to thousands of odd queries."""

import random
from collections import Counter
from unicodedata import normalize

import pytest
from conftest import add
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from oracle import ATTRIBUTES, MATCHES, SEARCHED, TYPES, USER_ATTRIBUTES, answer

from contacts.database import db
from contacts.text import clean, same_key, spellings, words

CONTACTS = 150
QUERIES = 250

# What names are made of: cases, accents, scripts, punctuation, and the syntax of GLOB, LIKE, FTS5 and JSON.
SCRAPS = r"""
    a A ann Anna ANNA Joe jo doe Jane smith Müller mueller MULLER Hélène helene Zoë é É e q o'neil x y z null AND OR NOT
    I i İ ı İstanbul ß ẞ ss Straße STRASSE ﬁ fi ﬃ ŉ ǆ ǅ Å å Łódź ø ª ² ½ Ⅷ ⅷ Σίσυφος ΟΔΟΣ οδος ς σ ΐ ᾳ αι
    жук ЖУК Ёлка елка й и Ա և محمّد محمد علي שָׁלוֹם हिन्दी की ไทย 王 小明 王小明 김 각 가 が ｱﾞ 𐐀 𐐨 𝒜 😀 👍🏽 👩‍💻 ❤️
    1 12 007 650 ٣ ０ C++ c# a.b x_y * ** *a a* ? [ ] [a-z] [!x] \ \\ " "" ' % _ NEAR( ) name: - -- & + # / | ; :
    , 、 ^ { } < = ~ ` ´ ¨ · ’ ‑ –
    Queue Support Schmidt Alexander Katharina Öztürk Göteborg Åse Søren Yılmaz Łukasz Þór Œuvre Нина Щукин Александр
    Παπαδόπουλος Ουρανία O’Neill D'Angelo Marie-Claire Sales2 2 10 ３ 7017
"""
PIECES = [*SCRAPS.split(), "e\u0301", "\u0301", "\u0345", "\u0651", "\u212a", "\u212b", "\u1100", "\u2060", "\ufeff"]
GAPS = ["", "", " ", " ", "  ", "-", ".", ", ", ",", "_", "'", "*", "\u00a0", "\u3000", "\u2009"]
ALIKE = ["Alexander Schmidt", "Katharina Müller"]
NUMBERS = [
    *("1", "49", "650", "555", "0100", "15002", "7017", "305550", "6505550100", "FLOWERS", "xxx"),
    *("é", "ß", "Ж", "٣", "٥٥٥", "½", *"#*+()/"),
]
NUMBER_GAPS = ["", "", "-", " ", ".", "(", ")", "--"]
PREFIXES = ["", "", "", "+", "00", "0", "tel:", "tel:+", "+49", "0049 ", "+49 (0)", "(0", "(030) ", "+1 ("]
SUFFIXES = ["", "", "", "", " x12", "x123", " ext. 7", ",,12#", ";ext=3", ";;9", ", 5", " (0)", "#", " extra"]


def alone(text):
    """Return text in letters and digits, folded."""
    return "".join(filter(str.isalnum, same_key(text)))


def spelt(i):
    """Return a function that writes words in the i-th of their spellings."""
    return lambda text: " ".join(spellings(word)[i] for word in words(text))


# How somebody may write a value who means the same, or nearly.
SAME = [
    *(str, str, str.upper, str.lower, str.swapcase, lambda text: normalize("NFD", text), lambda text: f"  {text} "),
    *(lambda text: text.replace("'", "’"), lambda text: text.replace(" ", "\u00a0"), lambda text: text + "\u200b"),
]
NEAR = [
    *(str.title, alone, spelt(0), spelt(1), spelt(2), spelt(3), lambda text: text[1:], lambda text: text[:-1]),
    *(lambda text: " ".join(text.split()[::-1]), lambda text: text.replace(" ", "-"), "{}.".format, "«{}»".format),
]
# What a slip at a place makes of a word: a letter wrong, missing, doubled, swapped with the next.
SLIPS = [
    lambda word, i: f"{word[:i]}q{word[i + 1 :]}",
    lambda word, i: word[:i] + word[i + 1 :],
    lambda word, i: word[: i + 1] + word[i:],
    lambda word, i: word[:i] + word[i : i + 2][::-1] + word[i + 2 :],
]
# How somebody may write a number who means the same, or nearly.
SAME_NUMBER = [
    *(lambda text: text.replace("+", "00", 1), lambda text: text.removeprefix("tel:"), lambda text: f"tel:{text}"),
    *("{} x12".format, "{},,12".format, lambda text: text.replace("-", " "), lambda text: ".".join(text.split())),
    *(lambda text: text.removeprefix("00"), lambda text: text.removeprefix("0"), "+{}".format, alone),
    lambda text: " ".join(text[i : i + 2] for i in range(0, len(text), 2)),
]


def stored(value, longest):
    """Return a value as it is stored, or None when it is refused."""
    try:
        return clean(value, longest)
    except ValueError:
        return None


def is_blank(value):
    return not (stored(value, len(value) or 1) and same_key(value))


def unique_key(contact):
    """Return what only one contact may have: a User's userName, a Queue's name."""
    return contact["type"], same_key(contact.get("userName", contact["name"]))


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
        """Return a name as it is stored."""
        if self.likely(0.2):
            # Names that are like each other: some are nearer to what is typed.
            return " ".join(self.slipped(word) if self.likely(0.4) else word for word in self.pick(ALIKE).split())
        return stored(self.joined(PIECES, GAPS, 4), 255) or self.text()

    def number(self):
        """Return a number as it is stored."""
        digits = self.joined(NUMBERS, NUMBER_GAPS, 4) * (5 if self.likely(0.1) else 1)
        number = self.pick(PREFIXES) + digits + self.pick(SUFFIXES)
        return stored(number, 64) or self.number()

    def contact(self, taken):
        """Return a new contact; `taken` are the names that only one User or Queue may have."""
        contact = {"type": self.pick([*TYPES, "User"]), "name": self.text()}
        if self.likely(0.6):
            contact["phoneNumber"] = self.number()
        if contact["type"] == "User":
            contact["userName"] = self.text()
            contact |= {name: self.text() for name in USER_ATTRIBUTES if name != "userName" and self.likely(0.6)}
        unique = unique_key(contact)
        if contact["type"] != "Custom" and unique in taken:
            return self.contact(taken)
        taken.add(unique)
        return contact

    def said(self, text):
        """Return text as somebody may write it who means the same, or nearly."""
        return self.pick(NEAR if self.likely(0.3) else SAME)(text)

    def value(self, contact, attribute):
        """Return the contact's value, mostly, or another."""
        if attribute not in contact or self.likely(0.1):
            return self.number() if attribute == "phoneNumber" else self.text()
        value = contact[attribute]
        if attribute == "phoneNumber" and self.likely(0.5):
            return self.pick(SAME_NUMBER)(value)
        if attribute == "id":
            guid = "-".join((value[:8], value[8:12], value[12:16], value[16:20], value[20:]))
            return self.pick([value, value.upper(), guid, f"{{{guid.upper()}}}", value[1:]])
        return self.said(value)

    def searchable(self, contact):
        return self.value(contact, self.pick([name for name in (*SEARCHED, "phoneNumber") if name in contact]))

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

    def slipped(self, word):
        return self.pick(SLIPS)(word, self.random.randrange(len(word))) if word else word

    def word(self, contact):
        """Return a part of a value, for q: more than a word when it has a blank in it."""
        text = self.searchable(contact)
        start = self.random.randrange(len(text)) if text and self.likely(0.6) else 0
        return self.said(text[start : start + self.random.randint(1, 6)])

    def long_word(self, contact):
        """Return a word of a name in one of its spellings, one of some letters if there is any."""
        found = [word for name in SEARCHED for word in words(contact.get(name, ""))] or ["smith"]
        return self.pick(spellings(self.pick([word for word in found if len(word) > 3] or found)))

    def inside(self, contact):
        """Return what stands inside a word."""
        word = self.long_word(contact)
        return word[self.pick([1, 1, 2, 3]) :][: self.pick([2, 3, 4, 9])]

    def misspelt(self, contact):
        """Return a word of a name with a slip or two."""
        word = self.slipped(self.long_word(contact))
        return self.slipped(word) if self.likely(0.2) else word

    def number_typed(self, contact):
        """Return a number, or what one types of it."""
        number = self.value(contact, "phoneNumber")
        return number if self.likely(0.3) else number[self.pick([0, 0, 1, 2, 4]) :][: self.random.randint(1, 10)]

    def q(self, contact):
        """Return what one types to find a contact: the whole of a value, or some of its words and numbers."""
        if self.likely(0.2):
            return self.searchable(contact)
        # One way of missing a word's start, and starts beside it, or all ways at once.
        way = self.pick([self.word, self.inside, self.inside, self.misspelt, self.misspelt, self.number_typed])
        others = [way, way, self.word, self.number_typed] if self.likely(0.8) else [self.inside, self.misspelt]
        typed = [way(contact), *(self.pick(others)(contact) for _ in range(self.pick([0, 0, 0, 1, 1, 2])))]
        self.random.shuffle(typed)
        return self.pick([" ", " ", "  ", "\u00a0", ", ", "-", "."]).join(typed)

    def query(self, contacts):
        """Return the parameters of a query that the service must accept, about one of the contacts mostly."""
        contact = self.pick(contacts)
        query = {}
        filters = ATTRIBUTES if self.likely(0.1) else tuple(contact)
        amount = self.pick([0, 1, 1, 1, 1, 2, 2, 3])
        for what in self.random.choices([*filters, *["filterParameters", "q", "q"] * 4], k=amount):
            if what == "filterParameters":
                arguments = [self.argument(contact) for _ in range(self.pick([1, 1, 2]))]
                query["filterName"] = "NamesOrPhoneNumberMatches"
                query[what] = arguments if self.likely(0.5) else [",".join(arguments)]
            elif what == "q":
                query[what] = self.q(contact)
            else:
                query[what] = self.values(contact, self.random.sample(contacts, self.pick([0, 0, 1, 2])), what)
        if self.likely(0.3 if "q" in query else 0.7):
            query["sortBy"] = ",".join(self.random.sample(ATTRIBUTES, self.pick([1, 1, 1, 2, 3])))
        if self.likely(0.5):
            query["order"] = self.pick(["Ascending", "Descending", "DESCENDING"])
        if self.likely(0.2):
            query["offset"] = self.pick([0, 1, 7, CONTACTS - 1, CONTACTS, 2**70])
        if self.likely(0.3):
            query["limit"] = self.pick([1, 2, 10, CONTACTS, 2**70])
        if self.likely(0.2):
            query["fields"] = self.pick(["*", ",".join(self.random.sample(ATTRIBUTES, self.random.randint(1, 4)))])
        return query if self.valid(query) else self.query(contacts)

    def valid(self, query):
        """Tell whether no value is blank, and there is a word to search for and are not too many."""
        values = [value for name in ATTRIBUTES if name in query for value in query[name]]
        arguments = query.get("filterParameters", [])
        return (
            not any(is_blank(value) for value in [*values, *arguments])
            and ("q" not in query or (0 < len(words(query["q"])) <= 32 and len(query["q"]) <= 255))
            and ("filterName" not in query or any(not is_blank(part) for part in ",".join(arguments).split(",")))
        )


@pytest.mark.parametrize("seed", range(4))
def test_answers_as_the_contract_says(app, agent, seed):
    chance = Chance(seed)
    taken = set()
    with db.atomic():
        contacts = [add(**chance.contact(taken)) for _ in range(CONTACTS)]
    telling = 0
    matches = Counter()
    for number in range(QUERIES):
        query = chance.query(contacts)
        expected = answer(contacts, query)
        given = agent.get("/contacts", query_string=query).json
        assert given == expected, f"seed {seed}, query {number}: {query}"
        assert list(given) == list(expected)
        matches[expected.get("match")] += expected["totalCount"] > 0
        telling += 0 < expected["totalCount"] < CONTACTS
    assert telling > QUERIES / 3
    assert all(matches[match] > QUERIES / 100 for match in MATCHES)


ANYTHING = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=20)
DIGIT_GROUPS = st.lists(st.from_regex(r"[0-9]{1,5}", fullmatch=True), min_size=1, max_size=4)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(ANYTHING, st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(" ".join)),
    DIGIT_GROUPS,
    st.sampled_from(["", "+"]),
    st.sampled_from([" ", "-", ".", "/", "", " - ", "\u00a0"]),
)
def test_what_is_stored_is_found_by_each_part_of_it(app, agent, name, groups, plus, between):
    assume(0 < len(words(name)) <= 32)
    name = clean(name, 255)
    contact = add(type="Custom", name=name, phoneNumber=plus + " ".join(groups))
    add(type="Custom", name="Somebody else")
    whole = plus + between.join(groups)
    parts = [word[:end] for word in words(name) for end in range(1, len(word) + 1)]
    for asked in (name, f"  {name.swapcase()} ", *parts, whole):
        found = agent.get("/contacts", query_string={"q": asked}).json
        assert contact in found["contacts"], asked
        assert found["match"] == "start", asked
    for filters in ({"name": name}, {"phoneNumber": whole}, {"id": contact["id"].upper()}):
        assert contact in agent.get("/contacts", query_string=filters).json["contacts"], filters
    db.execute_sql("DELETE FROM contact")

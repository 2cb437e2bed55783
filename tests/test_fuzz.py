"""Directories, queries and bodies that hypothesis makes up, against a plain reading of the contract."""

import json
import os
import tempfile
from collections import Counter

import pytest
from conftest import ADMIN, add
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import ATTRIBUTES, MATCHES, SEARCHED, TYPES, answer
from test_oracle import NEAR, PREFIXES, SAME, SAME_NUMBER, SLIPS, SUFFIXES, is_blank, stored, unique_key

from contacts.database import db
from contacts.text import spellings, words

pytestmark = pytest.mark.slow

# So many directories are made up, with this number of queries for each: a hundred thousand in `make fuzz-long`.
DIRECTORIES = int(os.environ.get("FUZZ_DIRECTORIES", "400"))
QUERIES = 10

fuzz = settings(
    max_examples=DIRECTORIES,
    deadline=None,
    database=None,
    # The directory is emptied for each example.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

# Few letters, so that much is found; and what is hard to fold, to compose and to quote.
LETTERS = [
    *"aAbBoOeEsSiIzZ  -.',*?[]\"\\%_()^&+#@/:;=<>{}|!0123456789",
    *("é", "e\u0301", "É", "ü", "Ü", "å", "\u212b", "ñ", "ç", "ø", "ł", "ß", "ẞ", "ss", "SS", "ﬁ", "fi", "ŉ", "ǆ"),
    *("ǅ", "ĳ", "İ", "ı", "i\u0307", "Σ", "σ", "ς", "ΐ", "ᾳ", "ж", "Ж", "й", "Й", "ё", "և", "द", "ी", "क", "्", "ि"),
    *("ไ", "ม", "่", "ه", "ّ", "ש", "ָ", "王", "각", "ᄀ", "ᅡ", "ｱ", "ﾞ", "𐐀", "𐐨", "😀", "👍🏽", "½", "²", "Ⅷ", "٣", "०"),
    *("\u0301", "\u0345", "\u0323", "\u00a0", "\u3000", "\u200d", "\u2060", "\ufeff", "、", "‘", "·", "ʼ", "an", "ann"),
    *("Jo", "smith", "Müller", "АНДРЕЙ", "AND", "NEAR(", "650", "555", "ae", "ue", "ø", "ου", "щ", "’", "‑"),
]
# Words that are long enough for slips and for what stands inside of them.
WORDS = [
    *("Anna", "smith", "Müller", "mueller", "Alexander", "Øresund", "Łukasz", "Yılmaz", "Straße", "O'Neill", "Щукин"),
    *("Александр", "Παπαδόπουλος", "Ουρανία", "محمّد", "हिन्दी", "王小明", "Queue2", "Support", "Marie-Claire"),
]
DIGITS = [*"0123456789", *"-.() +*#/xX", "é", "ß", "Ж", "٣", "½", "650", "555", "ext"]

anything = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cn", "Co"]), max_size=6)


def as_stored(pieces, longest):
    """Return values as they are stored."""
    return pieces.map(lambda text: stored(text, longest)).filter(bool)


def joined(letters, most):
    return st.lists(st.sampled_from(letters), min_size=1, max_size=most).map("".join)


names = as_stored(
    st.one_of(
        joined(LETTERS, 3),
        joined(LETTERS, 6),
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
        st.tuples(st.sampled_from(WORDS), joined(LETTERS, 2)).map("".join),
        st.tuples(joined(LETTERS, 3), joined(LETTERS, 3)).map(" ".join),
        anything,
        st.tuples(joined(LETTERS, 3), st.integers(20, 120)).map(lambda of: of[0] * of[1]),
    ),
    255,
)
numbers = as_stored(st.tuples(st.sampled_from(PREFIXES), joined(DIGITS, 8), st.sampled_from(SUFFIXES)).map("".join), 64)


def contacts_of(type_):
    """Return contacts of a type; what they may lack, they lack as often as not."""
    optional = {"phoneNumber": numbers}
    required = {"type": st.just(type_), "name": names}
    if type_ == "User":
        required["userName"] = names
        optional |= {"firstName": names, "lastName": names, "employeeId": names}
    return st.fixed_dictionaries(required, optional=optional)


def unique(contact):
    """Return what only one contact may have."""
    return id(contact) if contact["type"] == "Custom" else unique_key(contact)


directories = st.lists(st.one_of([contacts_of(type_) for type_ in TYPES]), min_size=4, max_size=8, unique_by=unique)


@st.composite
def said(draw, contacts, attributes):
    """Return a value of one of the contacts as somebody may write it, or another."""
    contact = draw(st.sampled_from(contacts))
    having = [name for name in attributes if name in contact]
    if not having or draw(st.integers(0, 9)) == 9:
        return draw(numbers if attributes == ["phoneNumber"] else names)
    attribute = draw(st.sampled_from(having))
    sayings = SAME_NUMBER if attribute == "phoneNumber" and draw(st.booleans()) else [*SAME, *NEAR]
    return draw(st.sampled_from(sayings))(contact[attribute])


@st.composite
def word(draw, contacts):
    """Return a word of a name in one of its spellings: the whole, some letters in a row of it, or with slips."""
    contact = draw(st.sampled_from(contacts))
    found = [word for name in SEARCHED for word in words(contact.get(name, ""))] or ["smith"]
    long = [word for word in found if len(word) > 3]
    text = draw(st.sampled_from(spellings(draw(st.sampled_from(long or found)))))[:20]
    if draw(st.booleans()):
        return text[draw(st.integers(0, 3)) :][: draw(st.integers(1, 9))]
    for _ in range(draw(st.integers(0, 2))):
        if text:
            text = draw(st.sampled_from(SLIPS))(text, draw(st.integers(0, len(text) - 1)))
    return text


@st.composite
def typed(draw, contacts):
    """Return what one types to find one of the contacts."""
    about = [draw(st.sampled_from(contacts))]
    ways = [word(about), word(about), word(about), part(about), said(about, ["phoneNumber"]), said(about, SEARCHED)]
    gap = draw(st.sampled_from([" ", " ", "  ", "\u00a0", ", ", "-"]))
    return gap.join(draw(st.one_of(ways)) for _ in range(draw(st.sampled_from([1, 1, 1, 2, 2, 3]))))


@st.composite
def part(draw, contacts):
    """Return some letters in a row of a searchable value."""
    text = draw(said(contacts, (*SEARCHED, "phoneNumber")))
    start = draw(st.integers(0, max(len(text) - 1, 0)))
    return text[start : start + draw(st.integers(1, 6))]


@st.composite
def pattern(draw, contacts):
    """Return a searchable value, parts of which give way to stars."""
    text = draw(said(contacts, (*SEARCHED, "phoneNumber")))
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(text)))
        text = f"{text[:start]}*{text[start + draw(st.integers(0, 4)) :]}"
    return draw(st.sampled_from(["{}", "{}", "{}*", "*{}", "*{}*"])).format(text)


@st.composite
def queries(draw, contacts):
    """Return the parameters of a query that the service must accept."""
    query = {}
    kinds = st.sampled_from([*ATTRIBUTES, *["filterParameters", "q", "q"] * 4])
    for kind in draw(st.one_of(st.lists(kinds, min_size=1, max_size=1), st.lists(kinds, max_size=3, unique=True))):
        if kind == "q":
            query[kind] = draw(typed(contacts))
        elif kind == "type":
            query[kind] = draw(st.lists(st.sampled_from(["user", "QUEUE", "Custom"]), min_size=1, max_size=2))
        else:
            one = pattern(contacts) if kind == "filterParameters" else said(contacts, [kind])
            if kind == "phoneNumber":
                one = st.one_of(one, one, one, one, st.just("*"))
            values = draw(st.lists(one, min_size=1, max_size=3))
            query[kind] = [",".join(values)] if draw(st.booleans()) else values
    if "filterParameters" in query:
        query["filterName"] = "NamesOrPhoneNumberMatches"
    return query | draw(
        st.fixed_dictionaries(
            {},
            optional={
                "sortBy": st.lists(st.sampled_from(ATTRIBUTES), min_size=1, max_size=3, unique=True).map(",".join),
                "order": st.sampled_from(["Ascending", "Descending", "descending"]),
                "offset": st.sampled_from([0, 1, 3, 2**70]),
                "limit": st.sampled_from([1, 2, 5, 2**70]),
                "fields": st.lists(st.sampled_from(ATTRIBUTES), min_size=1, max_size=3).map(",".join) | st.just("*"),
            },
        )
    )


def is_valid(query):
    """Tell whether no value is blank, and there are neither too few nor too many words to search for."""
    listed = [value for name in (*ATTRIBUTES, "filterParameters") for value in query.get(name, [])]
    arguments = [part for part in ",".join(query.get("filterParameters", ["a"])).split(",") if not is_blank(part)]
    q = query.get("q", "a")
    few = 0 < len(arguments) <= 32 and 0 < len(words(q)) <= 32 and len(q) <= 255
    return few and not any(is_blank(value) for value in listed)


def empty():
    with db.atomic():
        db.execute_sql("DELETE FROM contact")


# The queries are made from the directory, which hypothesis would print.
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@fuzz
@given(st.data())
def test_queries_find_what_the_contract_says(app, agent, data):
    directory = data.draw(directories)
    empty()
    with db.atomic():
        contacts = [add(**contact) for contact in directory]
    for _ in range(QUERIES):
        query = data.draw(queries(contacts).filter(is_valid))
        expected = answer(contacts, query)
        assert agent.get("/contacts", query_string=query).json == expected, query
        found[0 < expected["totalCount"] < len(contacts)] += 1
        matches[expected.get("match") if expected["totalCount"] else None] += 1


# How many queries found some of the contacts, and how many all or none; and in which way.
found = Counter()
matches = Counter()


def test_queries_told_contacts_apart():
    assert found[True] > 0.3 * found.total()
    assert all(matches[match] > 0.003 * found.total() for match in MATCHES)


# Values that a body may hold: good ones, those that are nearly so, and any other.
values = st.one_of(
    names,
    numbers,
    st.sampled_from(
        [
            "Custom",
            "custom",
            "User",
            "",
            " ",
            "\t",
            "a\nb",
            "a\0",
            "\ud800",
            "\u2028",
            " x ",
            "e\u0301" * 300,
            "x" * 256,
        ]
    ),
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=4,
    ),
)
members = st.dictionaries(
    st.one_of(
        st.just("name"), st.just("name"), st.just("phoneNumber"), st.sampled_from(ATTRIBUTES), st.text(max_size=3)
    ),
    values,
    max_size=4,
)
bodies = st.one_of(members, members.map(lambda some: {"name": "New", **some}), values)


def cleaned(value, longest):
    """Return a value as it is to be stored, or None when it is to be refused."""
    return stored(value, longest) if isinstance(value, str) else None


def changed(contact, body):
    """Return the contact after a body was accepted, or None when it must not be; {}: one that is to be made."""
    if not isinstance(body, dict) or not set(body) <= set(ATTRIBUTES):
        return None
    result = dict(contact)
    for name, value in body.items():
        if name in ("name", "phoneNumber"):
            if name == "phoneNumber" and value is None:
                result.pop(name, None)
                continue
            result[name] = cleaned(value, 64 if name == "phoneNumber" else 255)
            if result[name] is None:
                return None
        elif value is not None:
            kept = contact.get(name) or ("Custom" if name == "type" else None)
            said = value.strip() if isinstance(value, str) and name == "type" and not contact else value
            same = (
                said.lower() == kept.lower()
                if isinstance(said, str) and kept and name in ("id", "type")
                else said == kept
            )
            if not same:
                return None
    return result if body and "name" in result else None


@fuzz
@given(st.lists(st.tuples(st.booleans(), bodies), min_size=1, max_size=QUERIES))
def test_bodies_are_kept_as_the_contract_says_or_refused(app, admin, requests):
    empty()
    kept = admin.create("Old", "1")
    for make, body in requests:
        if make:
            response, expected = admin.post("/contacts", data=json.dumps(body), headers=JSON), changed({}, body)
        else:
            response, expected = (
                admin.put(f"/contacts/{kept['id']}", data=json.dumps(body), headers=JSON),
                changed(kept, body),
            )
        assert response.status_code in ({201} if make and expected else {200} if expected else {400, 422}), body
        if expected:
            contact = response.json["contact"]
            assert contact == {"id": contact["id"], **expected, "type": "Custom"}
            assert admin.get(f"/contacts/{contact['id']}").json["contact"] == contact
            if not make:
                kept = contact
        assert admin.get(f"/contacts/{kept['id']}").json["contact"] == kept
    export_and_read_back(app, admin)


def export_and_read_back(app, admin):
    """What is stored goes out and comes back in every format: nothing changes, and a new directory is the same."""
    before = admin.get("/contacts").json["contacts"]
    with tempfile.TemporaryDirectory() as folder:
        for name, *options in (("a.csv",), ("raw.csv", "--raw"), ("a.json",), ("a.ndjson",)):
            file = os.path.join(folder, name)
            runner = app.test_cli_runner()
            assert runner.invoke(args=["export", file, *options]).exit_code == 0
            again = runner.invoke(args=["import", file]).output
            assert again == f"Custom: 0 added, 0 changed, 0 removed, {len(before)} unchanged, 0 rejected\n"
            empty()
            added = runner.invoke(args=["import", file]).output
            assert added.startswith(f"Custom: {len(before)} added"), added
            assert by_id(admin.get("/contacts").json["contacts"]) == by_id(before)


def by_id(contacts):
    return {contact["id"]: contact for contact in contacts}


JSON = {"Content-Type": "application/json"}


@fuzz
@given(bodies.map(lambda body: json.dumps(body).encode()), st.data())
def test_bytes_are_never_a_bug(app, admin, body, data):
    """A JSON body of which some bytes are others, or none."""
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 8)))
    sent = body[:start] + data.draw(st.binary(max_size=4)) + body[end:]
    assert admin.post("/contacts", data=sent, headers=JSON).status_code in {201, 400, 422}


@fuzz
@given(
    st.dictionaries(
        st.one_of(
            st.sampled_from([*ATTRIBUTES, "q", "filterName", "filterParameters", "sortBy", "order"]),
            st.text(max_size=3),
        ),
        st.one_of(
            st.text(max_size=6), st.sampled_from(["NamesOrPhoneNumberMatches", "name", "1", "*", "Ascending", "User"])
        ),
        max_size=4,
    ),
    st.dictionaries(
        st.sampled_from(
            ["If-None-Match", "If-Match", "Authorization", "Content-Type", "X-Role", "Accept", "Range", "Cookie"]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=8),
        max_size=2,
    ),
)
def test_parameters_and_headers_are_never_a_bug(app, admin, parameters, headers):
    for url in ("/contacts", f"/contacts/{'0' * 32}"):
        response = admin.get(url, query_string=parameters, headers={**ADMIN, **headers})
        assert response.status_code in {200, 304, 401, 404, 422}

"""What GET /contacts and GET /contacts/{id} answer: filters, searches, order, pages, fields, tags and streams."""

import json
import os
import re
import urllib.request
from contextlib import suppress
from itertools import islice
from unicodedata import normalize

import pytest
from conftest import AGENT, Client, add, started
from oracle import ATTRIBUTES, USER_ATTRIBUTES

from contacts import query as query_language
from contacts import search, statements
from contacts.answers import FILE_BLOCK_BYTES
from contacts.database import db
from contacts.parameters import ListQuery
from contacts.query import SPOOL_BLOCK_ROWS as BLOCK
from contacts.text import order_key, words

PARAMETERS = (*ATTRIBUTES, "filterName", "filterParameters", "q", "sortBy", "order", "offset", "limit", "fields")
PATTERNS = "NamesOrPhoneNumberMatches"


def user(user_name, name, **values):
    return {"type": "User", "userName": user_name, "name": name, **values}


def custom(name, number=None):
    return {"type": "Custom", "name": name} | ({"phoneNumber": number} if number else {})


def queue(name, number=None):
    return custom(name, number) | {"type": "Queue"}


def fill(*contacts):
    """Add the contacts in one transaction; their ids ascend in this order."""
    with db.atomic():
        return [add(**contact) for contact in contacts]


def found(client, **params):
    """Return the names that a query finds, as a set."""
    names = client.names(**params)
    assert len(names) == len(set(names))
    return set(names)


def refusal(client, url="/contacts", **params):
    """Return the HTTP status and the statusCode of an error."""
    response = client.get(url, query_string=params or None)
    return response.status_code, response.json["statusCode"]


# Enough of a directory to tell most queries apart.
PEOPLE = [
    user("joej", "Joe Johnson", phoneNumber="15002", firstName="Joe", lastName="Johnson", employeeId="E-1"),
    user("joes", "Joe Smith", phoneNumber="+1 (650) 555-0100", firstName="Joe", lastName="Smith", employeeId="E-2"),
    user("azhuk", "Анна Жук", phoneNumber="1-800-FLOWERS", firstName="Анна", lastName="Жук", employeeId="Ж-7"),
    user("zoe", "Zoë"),
    queue("Sales", "8001"),
    queue("Straße"),
    custom("Doe, Jane", "15-002"),
    custom("joe johnson"),
]
NAMES = {each["name"] for each in PEOPLE}
NUMBERED = {each["name"] for each in PEOPLE if "phoneNumber" in each}
USERS = {each["name"] for each in PEOPLE if each["type"] == "User"}


class Readers:
    """Tests that share one directory, which they only read."""

    CONTACTS = PEOPLE

    @pytest.fixture(scope="class")
    @classmethod
    def app(cls, tmp_path_factory):
        """The application on CONTACTS."""
        database = tmp_path_factory.mktemp("directory") / "contacts.db"
        yield started({"DATABASE": str(database), "TRUSTED_PROXIES": "127.0.0.1"})
        db.close()

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def people(cls, app):
        """CONTACTS, as the API shows them."""
        return fill(*cls.CONTACTS)


class TestEnvelope(Readers):
    def test_a_list_has_each_contact_with_just_the_values_it_has(self, people, agent):
        answer = agent.get("/contacts?sortBy=id").json
        assert answer == {"statusCode": 0, "totalCount": len(PEOPLE), "contacts": people}
        assert [{key: each[key] for key in each if key != "id"} for each in people] == PEOPLE

    def test_ids_are_32_hex_digits(self, people):
        assert all(len(each["id"]) == 32 and set(each["id"]) <= set("0123456789abcdef") for each in people)

    @pytest.mark.parametrize("spell", [str, str.upper])
    def test_one_contact_is_found_by_its_id(self, people, agent, spell):
        for each in people:
            response = agent.get(f"/contacts/{spell(each['id'])}")
            assert (response.status_code, response.mimetype) == (200, "application/json")
            assert response.json == {"statusCode": 0, "contact": each}

    @pytest.mark.parametrize("contact_id", ["0" * 32, "f" * 32, "f" * 64, "1", "joej", "😀", "%00", "' OR 1=1 --", "*"])
    def test_an_unknown_id_is_404(self, agent, contact_id):
        assert refusal(agent, f"/contacts/{contact_id}") == (404, 6)

    @pytest.mark.parametrize("tag", [{}, {"If-None-Match": "*"}])
    def test_another_type_than_the_contacts_is_404(self, people, agent, tag):
        for each in people:
            for asked in ("User", "queue", "CUSTOM", "User,Queue", "Custom, User"):
                url = f"/contacts/{each['id']}?type={asked}&fields=*"
                if each["type"].lower() in asked.lower():
                    assert agent.get(url).json["contact"] == each
                else:
                    assert refusal(agent, url) == (404, 6)
                    assert agent.get(url, headers=tag).status_code == 404
        assert refusal(agent, f"/contacts/{people[0]['id']}?type=Boss") == (422, 2)
        assert refusal(agent, f"/contacts/{people[0]['id']}?name=Joe Johnson") == (422, 2)

    def test_a_slash_at_the_end_of_a_path_changes_nothing(self, people, agent):
        for path in ("/contacts", f"/contacts/{people[0]['id']}", "/me", "/healthz", "/readyz"):
            assert agent.get(f"{path}/").data == agent.get(path).data
        assert agent.get("/contacts/?type=Queue").json == agent.get("/contacts?type=Queue").json
        assert agent.get("/docs/").headers["Location"] == "../docs"

    def test_an_id_counts_to_its_last_digit(self, people, agent):
        contact_id = people[0]["id"]
        other = contact_id[:-1] + ("0" if contact_id[-1] != "0" else "1")
        assert refusal(agent, f"/contacts/{other}") == (404, 6)
        assert agent.names(id=other) == []

    def test_a_body_is_no_part_of_a_read(self, agent):
        assert agent.get("/contacts?name=Sales", json={"name": "Straße"}).json["totalCount"] == 1


class TestText:
    """What a write brings in, a read brings back."""

    def test_an_empty_directory_is_200(self, agent):
        response = agent.get("/contacts")
        assert (response.status_code, response.mimetype) == (200, "application/json")
        assert response.json == {"statusCode": 0, "totalCount": 0, "contacts": []}

    @pytest.mark.parametrize(
        "name",
        ['"quoted"', "back\\slash", "</script>", "it's", "zero\u200dwidth", "a\ufeffb", "😀\U0010fffd", "{}[],:"],
    )
    def test_comes_back_as_it_went_in(self, admin, name):
        made = admin.create(name)
        assert made["name"] == name
        assert admin.get("/contacts").json["contacts"] == [made]
        assert admin.get("/contacts?fields=name").json["contacts"] == [{"name": name}]
        assert admin.get(f"/contacts/{made['id']}").json["contact"] == made
        assert admin.get(f"/contacts/{made['id']}?fields=name").json["contact"] == {"name": name}

    def test_is_kept_in_nfc(self, admin):
        made = admin.create(normalize("NFD", "Hélène Ångström"))
        assert made["name"] == normalize("NFC", "Hélène Ångström")
        assert admin.names(name="HÉLÈNE ÅNGSTRÖM") == [made["name"]]

    def test_is_found_as_it_is_now(self, admin):
        made = admin.create("First Name", "555-0100")
        admin.put(f"/contacts/{made['id']}", json={"name": "Second Name", "phoneNumber": None})
        for old in ({"q": "fir"}, {"q": "fi"}, {"q": "5550"}, {"name": "first name"}, {"phoneNumber": "*"}):
            assert admin.names(**old) == []
        current = ({"q": "sec"}, {"q": "se"}, {"q": "nam"}, {"name": "second name"})
        assert [admin.names(**each) for each in current] == [["Second Name"]] * 4
        admin.delete(f"/contacts/{made['id']}")
        assert [admin.names(**each) for each in current] == [[]] * 4


# One text, as stored and as somebody asks for it.
SAME = [
    ("Joe", "jOE"),
    ("Hélène", "HÉLÈNE"),
    ("Жук", "ЖУК"),
    ("Ёлка", "ёЛКА"),
    ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
    ("οδος", "οδοσ"),
    ("Straße", "STRASSE"),
    ("STRASSE", "straße"),
    ("GROẞ", "groß"),
    ("İzmir", "i\u0307ZMIR"),
    ("İzmir", "izmir"),
    ("Kay O’Neill", "kay o'neill"),
    ("Front\u00a0Desk", "Front  Desk"),
    ("７０１７", "7017"),
    ("Anna  Bell", "Anna Bell"),
    ("a\u200bb", "ab"),
    ("a–b", "a-b"),
    ("ﬁnance", "FINANCE"),
    ("ᾳ", "ΑΙ"),
    ("ǆ", "ǅ"),
    ("\u212aelvin", "kELVIN"),
    ("ա", "Ա"),
    ("محمد", "محمد"),
    ("王小明", "王小明"),
    ("김철수", "김철수"),
    ("😀 Team", "😀 tEAM"),
    ("x\u0323\u0307", "X\u0307\u0323"),
]
# Two texts that differ in more than case.
DIFFERENT = [
    ("Hélène", "Helene"),
    ("Ёлка", "Елка"),
    ("Straße", "Strase"),
    ("ısparta", "isparta"),
    ("Жук", "Жу"),
    ("王小明", "王小"),
    ("각", "가"),
    ("محمد", "مُحمد"),
    ("😀", "😁"),
    ("Anna", "Ann"),
    ("Ann", "Anna"),
    ("Anna Bell", "AnnaBell"),
    ("Anna", "*"),
    ("Anna", "Ann*"),
    ("Anna", "Ann_"),
    ("Anna", "Ann%"),
    ("A-1", "A1"),
]
TEXTS = ["name", *USER_ATTRIBUTES]


class TestComparison:
    """How a text filter compares, whichever the attribute."""

    def fill(self, value):
        """Add a User who has the value in every text attribute, and one who has it in none; return the first."""
        return fill(user("other", "Other"), {"type": "User", **dict.fromkeys(TEXTS, value)})[1]

    @pytest.mark.parametrize(("stored", "asked"), SAME)
    def test_ignores_case_in_every_script(self, app, agent, stored, asked):
        contact = self.fill(normalize("NFC", stored))
        for attribute in TEXTS:
            for form in ("NFC", "NFD"):
                query = {attribute: f" {normalize(form, asked)} "}
                assert agent.get("/contacts", query_string=query).json["contacts"] == [contact], query

    @pytest.mark.parametrize(("stored", "asked"), DIFFERENT)
    def test_takes_the_whole_value(self, app, agent, stored, asked):
        self.fill(stored)
        for attribute in TEXTS:
            assert agent.names(**{attribute: asked}) == [], attribute

    @pytest.mark.parametrize("amount", [2, 1000])
    def test_takes_many_values(self, app, agent, amount):
        fill(custom("wanted", "5551"), custom("other", "9999"))
        names = [f"n{number}" for number in range(amount)] + ["wanted"]
        assert agent.names(name=",".join(names)) == ["wanted"]
        assert agent.names(name=names, phoneNumber=",".join(["5551", *names])) == ["wanted"]

    @pytest.mark.parametrize(
        ("stored", "asked", "same"),
        [
            ("+1 650 555 0100", "+1 (650) 555-0100", True),
            ("1-650-555-0100", "+1 (650) 555-0100", False),
            ("tel:+1-650-555-0100;ext=9", "+1 (650) 555-0100 x123", True),
            ("1 (650) 555-0100", "1.650.555.0100", True),
            ("0049 30 5550199", "+49 (0)30 5550199", True),
            ("٠٣٠ ٥٥٥", "030-555", True),
            ("+1 650 555 0100 x123", "123", False),
            ("1-800-FLOWERS", "1800flowers", True),
            ("xxx-xxx-xxxx", "XXXXXXXXXX", True),
            ("*72", "72", True),
            ("#31#", "31", True),
            ("доб. 15", "ДОБ15", True),
            ("49 30 1234", "/49/30/1234", True),
            ("1-650-555-0100", "650-555-0100", False),
            ("1-650-555-0100", "1-650-555-010", False),
            ("1-800-FLOWERS", "1-800-3569377", False),
            ("15002", "1500*", False),
            ("15002", "015002", False),
        ],
    )
    def test_number_is_its_letters_and_digits(self, app, agent, stored, asked, same):
        fill(custom("wanted", stored), custom("other", "777"), custom("none"))
        assert agent.names(phoneNumber=asked) == ["wanted"] * same


class TestFilter(Readers):
    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ({}, NAMES),
            ({"name": "joe johnson"}, {"Joe Johnson", "joe johnson"}),
            ({"userName": "JOEJ"}, {"Joe Johnson"}),
            ({"firstName": "joe"}, {"Joe Johnson", "Joe Smith"}),
            ({"lastName": "жук"}, {"Анна Жук"}),
            ({"employeeId": "ж-7"}, {"Анна Жук"}),
            ({"employeeId": "e2"}, set()),
            ({"userName": "Sales"}, set()),
            ({"firstName": "Joe", "lastName": "Johnson", "userName": "joej"}, {"Joe Johnson"}),
            ({"firstName": "Joe", "lastName": "Smith", "userName": "joej"}, set()),
            ({"firstName": "Joe", "employeeId": "E-2", "phoneNumber": "+16505550100"}, {"Joe Smith"}),
            ({"name": "JOE JOHNSON", "type": "custom"}, {"joe johnson"}),
            ({"name": "JOE JOHNSON", "type": "user"}, {"Joe Johnson"}),
            ({"phoneNumber": "15002", "type": "Custom"}, {"Doe, Jane"}),
            ({"phoneNumber": "*", "type": "Queue"}, {"Sales"}),
            ({"type": "User", "firstName": "Joe"}, {"Joe Johnson", "Joe Smith"}),
            ({"type": "Custom", "firstName": "Joe"}, set()),
            ({"type": "Custom,User", "firstName": "Joe", "lastName": "Smith"}, {"Joe Smith"}),
            ({"type": "Queue", "userName": "joej"}, set()),
            ({"q": "joe", "type": "Custom"}, {"joe johnson"}),
            ({"q": "joe", "lastName": "smith"}, {"Joe Smith"}),
            ({"filterName": PATTERNS, "filterParameters": "joe*", "type": "Custom"}, {"joe johnson"}),
            ({"filterName": PATTERNS, "filterParameters": "joe*", "q": "650"}, {"Joe Smith"}),
            (
                {"filterName": PATTERNS, "filterParameters": "*0*", "q": "o", "phoneNumber": "*", "type": "User"},
                set(),
            ),
            (
                {"filterName": PATTERNS, "filterParameters": "*0*", "q": "j", "phoneNumber": "*", "type": "User"},
                {"Joe Johnson", "Joe Smith"},
            ),
        ],
    )
    def test_ands_all_attributes_and_searches(self, agent, query, names):
        assert found(agent, **query) == names

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ({"name": ["sales", "zoë"]}, {"Sales", "Zoë"}),
            ({"name": "sales,zoë"}, {"Sales", "Zoë"}),
            ({"name": " sales , zoë ,"}, {"Sales", "Zoë"}),
            ({"name": ["sales,zoë", "STRASSE"]}, {"Sales", "Zoë", "Straße"}),
            ({"name": ["sales", "nobody"]}, {"Sales"}),
            ({"name": ["sales", "SALES", "sales,Sales"]}, {"Sales"}),
            ({"name": "doe, jane"}, {"Doe, Jane"}),
            ({"name": ["doe, jane", "sales"]}, {"Doe, Jane", "Sales"}),
            ({"name": "doe,jane"}, set()),
            ({"name": "Doe"}, set()),
            ({"name": ","}, set()),
            ({"userName": "JOEJ,zoe"}, {"Joe Johnson", "Zoë"}),
            ({"userName": ["joej", "zoe"], "firstName": "joe,анна"}, {"Joe Johnson"}),
            ({"lastName": ["smith", "johnson"]}, {"Joe Johnson", "Joe Smith"}),
            ({"employeeId": "E-1,E-2,E-3"}, {"Joe Johnson", "Joe Smith"}),
            ({"phoneNumber": ["8001", "1 5002"]}, {"Sales", "Joe Johnson", "Doe, Jane"}),
            ({"phoneNumber": "8001,(+1)650-555-0100"}, {"Sales", "Joe Smith"}),
            ({"phoneNumber": ["8001", "*"]}, NUMBERED),
            ({"type": "Custom,queue"}, NAMES - USERS),
            ({"type": ["CUSTOM", "queue"]}, NAMES - USERS),
            ({"type": ["Custom", "queue,User"]}, NAMES),
        ],
    )
    def test_any_of_several_values_may_match(self, agent, query, names):
        assert found(agent, **query) == names

    @pytest.mark.parametrize("asked", ["*", " * ", ["*", "1"], "1,*"])
    def test_star_means_any_number(self, agent, asked):
        assert found(agent, phoneNumber=asked) == NUMBERED

    @pytest.mark.parametrize(
        ("asked", "types"),
        [
            ("Custom", {"Custom"}),
            ("custom", {"Custom"}),
            ("QUEUE", {"Queue"}),
            (" uSER ", {"User"}),
            ("user,queue", {"User", "Queue"}),
        ],
    )
    def test_type_ignores_case(self, people, agent, asked, types):
        expected = [each for each in people if each["type"] in types]
        answer = agent.get("/contacts", query_string={"type": asked, "sortBy": "id"}).json
        assert (answer["totalCount"], answer["contacts"]) == (len(expected), expected)

    @pytest.mark.parametrize("asked", ["Users", "use", "*", "Custom,Person", ["Custom", "Person"], "null", "Üser"])
    def test_type_takes_only_its_three_values(self, agent, asked):
        assert refusal(agent, type=asked) == (422, 2)

    def test_id_filters_as_any_attribute(self, people, agent):
        first, second, *_ = [each["id"] for each in people]
        for asked in (
            [first, second],
            f"{first},{second}",
            f"{first.upper()} , {second}",
            [first, second, "x", "0" * 32],
        ):
            assert found(agent, id=asked) == {"Joe Johnson", "Joe Smith"}
        assert found(agent, id=first.upper()) == {"Joe Johnson"}
        assert found(agent, id=f"{first}\u200b".replace("1", "１")) == {"Joe Johnson"}
        assert found(agent, id=[first, second], lastName="Smith") == {"Joe Smith"}
        for asked in (first[:-1], first + "0", first[:12], "*", "😀", "9" * 40):
            assert found(agent, id=asked) == set()


class TestPatterns(Readers):
    """filterName=NamesOrPhoneNumberMatches."""

    CONTACTS = [
        user("anna.m", "Anna Müller", phoneNumber="+1 (650) 555-0100", firstName="Anna", lastName="Müller"),
        user("hanns", "Ann", firstName="Annegret", lastName="Bell", employeeId="secret"),
        custom("[x] Team", "1-800-FLOWERS"),
        custom("Who?"),
        custom("a*b"),
        custom("C:\\temp"),
        custom('Say "hi"'),
        custom("O'Neil"),
        custom("50% off_now"),
        custom("^caret]"),
        custom("Σίσυφος Straße"),
        custom("王小明", "15002"),
        custom("😀"),
    ]
    ALL = {each["name"] for each in CONTACTS}

    @pytest.mark.parametrize(
        ("arguments", "names"),
        [
            ("ann", {"Ann"}),
            ("ANN", {"Ann"}),
            ("ann*", {"Ann", "Anna Müller"}),
            ("*ann", {"Ann"}),
            ("*ann*", {"Ann", "Anna Müller"}),
            ("anna müller", {"Anna Müller"}),
            ("ANNA MÜLLER", {"Anna Müller"}),
            ("anna mu\u0308ller", {"Anna Müller"}),
            ("anna muller", set()),
            ("*MÜLLER", {"Anna Müller"}),
            ("* müller", {"Anna Müller"}),
            ("*nna mül*", {"Anna Müller"}),
            ("a*a*m*r", {"Anna Müller"}),
            ("a*m*a*r", set()),
            ("a***r", {"Anna Müller"}),
            ("anna müller*", {"Anna Müller"}),
            ("*anna müller", {"Anna Müller"}),
            ("anna*anna", set()),
            ("bell", {"Ann"}),
            ("anne*et", {"Ann"}),
            ("anna.*", {"Anna Müller"}),
            ("*.m", {"Anna Müller"}),
            ("hanns", {"Ann"}),
            ("secret", set()),
            ("*ecre*", set()),
            ("*", ALL),
            ("**", ALL),
            ("who?", {"Who?"}),
            ("*?", {"Who?"}),
            ("an?", set()),
            ("???", set()),
            ("[x] team", {"[x] Team"}),
            ("[x]*", {"[x] Team"}),
            ("[*", {"[x] Team"}),
            ("*]", {"^caret]"}),
            ("[a-z]*", set()),
            ("[!x]*", set()),
            ("[^x]*", set()),
            ("a*b", {"a*b"}),
            ("c:\\*", {"C:\\temp"}),
            ("*\\*", {"C:\\temp"}),
            ("\\*", set()),
            ('say "*"', {'Say "hi"'}),
            ('*"', {'Say "hi"'}),
            ("o'neil", {"O'Neil"}),
            ("*'*", {"O'Neil"}),
            ("50%*", {"50% off_now"}),
            ("%", set()),
            ("*off_now", {"50% off_now"}),
            ("_nn", set()),
            ("^caret*", {"^caret]"}),
            ("*ΦΟΣ STRASSE", {"Σίσυφος Straße"}),
            ("ΣΊΣ*SSE", {"Σίσυφος Straße"}),
            ("*小*", {"王小明"}),
            ("小*", set()),
            ("😀", {"😀"}),
            ("16505550100", {"Anna Müller"}),
            ("+1 (650) 555-0100", {"Anna Müller"}),
            ("+1 (650)*", {"Anna Müller"}),
            ("1-650-*", {"Anna Müller"}),
            ("*555-0100", {"Anna Müller"}),
            ("1*650*0100", {"Anna Müller"}),
            ("650*", set()),
            ("*5550*", {"Anna Müller"}),
            ("1800flowers", {"[x] Team"}),
            ("1-800-fl*", {"[x] Team"}),
            ("*flow*", {"[x] Team"}),
            ("*0-flow*", {"[x] Team"}),
            ("*٥٥٥٠*", {"Anna Müller"}),
            ("*r*1*", set()),
            ("1*", {"Anna Müller", "[x] Team", "王小明"}),
            ("1-800-[a-z]*", set()),
            ("1500?", set()),
            ("-", set()),
            ("(*)", set()),
            ("ann*,*5550100", {"Anna Müller"}),
            ("ann* , bell", {"Ann"}),
            ("ann*,bell,hanns", {"Ann"}),
            ("ann*,nobody", set()),
            ("ann,", {"Ann"}),
            (["ann*", "*650*"], {"Anna Müller"}),
            (["ann*,*", "hanns"], {"Ann"}),
        ],
    )
    def test_every_argument_matches_a_whole_name_or_number(self, agent, arguments, names):
        assert found(agent, filterName=PATTERNS, filterParameters=arguments) == names

    @pytest.mark.parametrize(
        ("query", "status_code"),
        [
            ({"filterName": "NamesMatch", "filterParameters": "a"}, 2),
            ({"filterName": PATTERNS + "X", "filterParameters": "a"}, 2),
            ({"filterName": [PATTERNS, PATTERNS], "filterParameters": "a"}, 2),
            ({"filterName": PATTERNS}, 1),
            ({"filterParameters": "a"}, 1),
            ({"filterName": PATTERNS, "filterParameters": ""}, 10),
            ({"filterName": PATTERNS, "filterParameters": " , "}, 10),
        ],
    )
    def test_refuses_half_a_filter(self, agent, query, status_code):
        assert refusal(agent, **query) == (422, status_code)


class TestSearch(Readers):
    """q, the typeahead."""

    CONTACTS = [
        user("hdubois", "Hélène Dubois", phoneNumber="+49 (30) 1234-567", firstName="Hélène", lastName="Dubois"),
        user("anna.mueller", "Anna Müller", firstName="Änne", lastName="O'Neil-Smith", employeeId="X99"),
        user("joes", "Joe Smith", phoneNumber="1-800-FLOWERS", firstName="Joseph"),
        queue("Straße (Süd)", "15002"),
        custom("Сергей Ёлкин"),
        custom("Σίσυφος"),
        custom("İzmir"),
        custom("محمّد علي"),
        custom("王小明"),
        custom("김철수"),
        custom("😀 Team_B"),
        custom('AND "NEAR(x)" name:y ^up *z -w', "#7"),
        custom("C++ / C#"),
        custom("wxyz xyzw", "8989-9898"),
    ]
    FTS = 'AND "NEAR(x)" name:y ^up *z -w'
    DUBOIS, MUELLER, SMITH, STREET = "Hélène Dubois", "Anna Müller", "Joe Smith", "Straße (Süd)"

    @pytest.mark.parametrize(
        ("q", "names"),
        [
            ("helene", {DUBOIS}),
            ("HELENE", {DUBOIS}),
            ("hélène", {DUBOIS}),
            ("he\u0301le\u0300ne", {DUBOIS}),
            ("helène dubois", {DUBOIS}),
            ("dubois helene", {DUBOIS}),
            ("elen", {DUBOIS}),
            ("ubo ele", {DUBOIS}),
            ("helene dubois smith", set()),
            ("helenedubois", set()),
            ("hdub", {DUBOIS}),
            ("jo smi", {SMITH}),
            ("smi jo", {SMITH}),
            ("  jo \u00a0\u3000 smi ", {SMITH}),
            ("joseph joes joe", {SMITH}),
            ("mueller", {MUELLER}),
            ("muller", {MUELLER}),
            ("anne", {MUELLER}),
            ("x99", set()),
            ("strasse", {STREET}),
            ("STRASSE", {STREET}),
            ("straße sud", {STREET}),
            ("сергеи елкин", {"Сергей Ёлкин"}),
            ("ЁЛК", {"Сергей Ёлкин"}),
            ("σισυφοσ", {"Σίσυφος"}),
            ("ΣΙΣΥΦΟΣ", {"Σίσυφος"}),
            ("συφος", {"Σίσυφος"}),
            ("izmir", {"İzmir"}),
            ("İZMİR", {"İzmir"}),
            ("محمد", {"محمّد علي"}),
            ("王小", {"王小明"}),
            ("王小明", {"王小明"}),
            ("小明", {"王小明"}),
            ("김철수", {"김철수"}),
            ("김", {"김철수"}),
            (normalize("NFD", "김철"), {"김철수"}),
            ("철", {"김철수"}),
            ("😀", set()),
            ("eam_b", {"😀 Team_B"}),
            ("xyz", {"wxyz xyzw"}),
            ("wxyzw", {"wxyz xyzw"}),
            ("xyz wxyzw", {"wxyz xyzw"}),
        ],
    )
    def test_every_word_occurs_in_a_name(self, agent, q, names):
        assert found(agent, q=q) == names

    @pytest.mark.parametrize(
        ("q", "names"),
        [
            ("j", {SMITH}),
            ("jo", {SMITH}),
            ("oe", set()),
            ("os", set()),
            ("sm", {SMITH, MUELLER}),
            ("mi", {"王小明"}),
            ("m", {MUELLER, "محمّد علي", "王小明"}),
            ("mu", {MUELLER}),
            ("ue", set()),
            ("ne", {FTS}),
            ("h", {DUBOIS}),
            ("hé", {DUBOIS}),
            ("d", {DUBOIS}),
            ("su", {STREET, "김철수"}),
            ("ud", set()),
            ("(s", {MUELLER, SMITH, STREET, "Σίσυφος", "Сергей Ёлкин", "김철수"}),
            ("b", {"😀 Team_B"}),
            ("ё", {"Сергей Ёлкин"}),
            ("ел", {"Сергей Ёлкин"}),
            ("лк", set()),
            ("с+", {MUELLER, SMITH, STREET, "Σίσυφος", "Сергей Ёлкин", "김철수"}),
            ("c+", {"C++ / C#", "김철수"}),
            ("c#", {"C++ / C#", "김철수"}),
            ("/", set()),
            ("#", set()),
            ("++", set()),
            ("عل", {"محمّد علي"}),
            ("لي", {"محمّد علي"}),
        ],
    )
    def test_a_short_word_stands_where_a_word_starts(self, agent, q, names):
        assert found(agent, q=q) == names

    @pytest.mark.parametrize(
        ("q", "names"),
        [
            ("4930", {DUBOIS}),
            ("+49 30", {DUBOIS}),
            ("+4930", {DUBOIS}),
            ("301234", {DUBOIS}),
            ("30-12-34", {DUBOIS}),
            ("(1234)567", {DUBOIS}),
            ("1234 567", {DUBOIS}),
            ("567", {DUBOIS}),
            ("67", set()),
            ("89898", set()),
            ("98-99", {"wxyz xyzw"}),
            ("49", {DUBOIS}),
            ("+4", {DUBOIS}),
            ("9", set()),
            ("30", set()),
            ("1", {SMITH, STREET}),
            ("15", {STREET}),
            ("1-5", {STREET}),
            ("flow", {SMITH}),
            ("800-FL", {SMITH}),
            ("fl", set()),
            ("dubois 4930", {DUBOIS}),
            ("dubois 15002", set()),
            ("7", {FTS}),
            ("#7", {FTS}),
        ],
    )
    def test_digits_match_a_number_however_it_is_punctuated(self, agent, q, names):
        assert found(agent, q=q) == names

    @pytest.mark.parametrize(
        ("q", "names"),
        [
            ('"', set()),
            ('""', set()),
            ('"near(x)"', {FTS}),
            ("NEAR(", {FTS}),
            ("near(y)", {FTS}),
            ("AND", {FTS}),
            ("and near", {FTS}),
            ("OR", set()),
            ("joe OR anna", set()),
            ("joe NOT anna", set()),
            ("NOT", set()),
            ("*", set()),
            ("*z", {FTS}),
            ("jo*", {SMITH}),
            ("joe*", {SMITH}),
            ("-", set()),
            ("-w", {FTS, "wxyz xyzw", "王小明"}),
            ("-joe", {SMITH}),
            ("^up", {FTS}),
            ("^joe", {SMITH}),
            ("name:y", {FTS}),
            ("name:joe", set()),
            ("search_names:joe", set()),
            ("{name}:joe", set()),
            ("+joe", {SMITH}),
            ("(joe)", {SMITH}),
            ("joe;", {SMITH}),
            ("'", set()),
            ("o'n", {MUELLER}),
            ("o''n", {MUELLER}),
            ("%", set()),
            ("_", set()),
            ("jo%", {SMITH}),
            ("j_e", set()),
            ("\\", set()),
            ("?", set()),
            ("[j]oe", set()),
        ],
    )
    def test_punctuation_stands_for_itself(self, agent, q, names):
        assert found(agent, q=q) == names


class TestLength:
    """The longest values, and queries as long."""

    def test_takes_many_stars(self, app, agent):
        fill(custom("a" * 255, "1" * 64))
        assert agent.names(filterName=PATTERNS, filterParameters="*a" * 100 + "*b") == []
        assert agent.names(filterName=PATTERNS, filterParameters="*a" * 100 + "*") == ["a" * 255]

    @pytest.mark.parametrize(
        "query", ["q={}", "name={}", "phoneNumber={}", f"filterName={PATTERNS}&filterParameters={{}}"]
    )
    def test_longer_than_any_value_finds_nothing_or_is_refused(self, app, agent, query):
        fill(custom("a" * 255, "1" * 64))
        for text in ("a" * 60_000, "1" * 60_000):
            response = agent.get(f"/contacts?{query.format(text)}")
            assert (response.status_code, response.json["statusCode"]) in {(200, 0), (422, 10)}
            assert not response.json.get("totalCount")

    def test_takes_a_long_word(self, app, agent):
        name = "".join(chr(0x4E00 + number) for number in range(255))
        fill(custom(name), custom(name[:-1]))
        # Words of scripts without blanks are told apart by their first 32 characters.
        assert agent.names(q=name) == [name, name[:-1]]
        assert agent.names(q=name * 4) == [name[:-1], name]


def key_of(*attributes):
    """Return how contacts compare in a sort by attributes that they have: equals by name, then in order of creation."""
    names = (*attributes, "id") if attributes in {("id",), ("userName",)} else (*attributes, "name", "id")
    return lambda contact: [contact[name] if name in {"id", "type"} else order_key(contact[name]) for name in names]


# The contacts without a userName stand in the order of creation, others without an attribute in that of the name.
LACKING = {"userName": ("id",)}


class TestOrder(Readers):
    CONTACTS = [
        user("u3", "b", phoneNumber="2-1", firstName="Zoe", lastName="Ä", employeeId="9"),
        queue("B", "21"),
        custom("a"),
        custom("A", "(1) 9"),
        custom("a", "19"),
        user("U1", "c", firstName="zoe", employeeId="10"),
        user("u2", "C", phoneNumber="xx", firstName="Anna", lastName="Z"),
        queue("жук"),
        custom("ЖУК", "1-8"),
        custom("Straße"),
        custom("STRASSF", "1.8"),
        custom("STRASSA"),
    ]

    @pytest.mark.parametrize("attribute", ATTRIBUTES)
    @pytest.mark.parametrize("order", [None, "Ascending", "ASCENDING", "Descending", "descending"])
    def test_sorts_by_any_attribute_and_then_the_id(self, people, agent, attribute, order):
        """Descending reverses all, the ids of equals too, but the contacts without the attribute stay last."""
        having = sorted((each for each in people if attribute in each), key=key_of(attribute))
        lacking = sorted((each for each in people if attribute not in each), key=key_of(*LACKING.get(attribute, ())))
        if order and order.lower() == "descending":
            having, lacking = having[::-1], lacking[::-1]
        query = {"sortBy": attribute} | ({"order": order} if order else {})
        assert agent.get("/contacts", query_string=query).json["contacts"] == having + lacking

    def test_is_by_name_ignoring_case_by_default(self, people, agent):
        expected = sorted(people, key=key_of("name"))
        assert [each["name"] for each in expected][:5] == ["a", "A", "a", "b", "B"]
        assert agent.get("/contacts").json["contacts"] == expected
        assert agent.get("/contacts?order=descending").json["contacts"] == expected[::-1]

    @pytest.mark.parametrize("attribute", ATTRIBUTES)
    @pytest.mark.parametrize("order", ["Ascending", "Descending"])
    def test_pages_neither_repeat_nor_skip(self, agent, attribute, order):
        for narrowed in ({}, {"type": "Custom"}, {"q": "a"}, {"phoneNumber": "*"}):
            query = narrowed | {"sortBy": attribute, "order": order}
            whole = agent.get("/contacts", query_string=query).json
            pages = []
            for offset in range(0, whole["totalCount"] + 2, 2):
                page = agent.get("/contacts", query_string={**query, "offset": offset, "limit": 2}).json
                assert page["totalCount"] == whole["totalCount"]
                pages += page["contacts"]
            assert len(pages) > 2
            assert pages == whole["contacts"]

    @pytest.mark.parametrize(
        ("query", "status_code"),
        [
            ({"sortBy": "salt"}, 2),
            ({"sortBy": "name_key"}, 2),
            ({"sortBy": "name;--"}, 2),
            ({"sortBy": "name,salt"}, 2),
            ({"order": "Up"}, 2),
            ({"order": "Desc"}, 2),
            ({"sortBy": ""}, 10),
            ({"order": " "}, 10),
        ],
    )
    def test_refuses_other_sorts(self, agent, query, status_code):
        assert refusal(agent, **query) == (422, status_code)


class TestPage(Readers):
    @pytest.mark.parametrize(
        ("offset", "limit", "expected"),
        [
            (None, 3, slice(0, 3)),
            (0, 1, slice(0, 1)),
            (2, 3, slice(2, 5)),
            (3, None, slice(3, None)),
            (len(PEOPLE) - 1, 5, slice(-1, None)),
            (len(PEOPLE), 5, slice(0, 0)),
            (len(PEOPLE), None, slice(0, 0)),
            (0, 2**31, slice(None)),
            (1, 2**63 - 1, slice(1, None)),
            (1, 2**63, slice(1, None)),
            (0, 10**40, slice(None)),
            (2**63 - 1, None, slice(0, 0)),
            (2**63, 2**63, slice(0, 0)),
            (10**400, 1, slice(0, 0)),
            (2**63 - 1, 10**40, slice(0, 0)),
        ],
    )
    def test_is_a_piece_of_the_whole(self, people, agent, offset, limit, expected):
        query = {"sortBy": "id", "offset": offset, "limit": limit}
        answer = agent.get("/contacts", query_string={key: query[key] for key in query if query[key] is not None}).json
        assert (answer["totalCount"], answer["contacts"]) == (len(PEOPLE), people[expected])

    @pytest.mark.parametrize(
        "query", [{"type": "User"}, {"q": "joe"}, {"name": ["Sales", "Zoë"]}, {"lastName": "Johnson"}]
    )
    def test_total_counts_all_that_match(self, agent, query):
        whole = agent.get("/contacts", query_string=query).json
        for page in ({"limit": 1}, {"offset": 1}, {"offset": 100}):
            assert agent.get("/contacts", query_string=query | page).json["totalCount"] == len(whole["contacts"])

    @pytest.mark.parametrize("name", ["offset", "limit"])
    @pytest.mark.parametrize(
        "value", ["-1", "-99999999999999999999", "1.5", "1e3", "0x1", "ten", "", " ", "1,2", "NaN"]
    )
    def test_refuses_what_is_no_number(self, agent, name, value):
        assert refusal(agent, **{name: value}) == (422, 10)

    def test_limit_is_at_least_1(self, agent):
        assert refusal(agent, limit=0) == (422, 10)
        assert refusal(agent, limit="000") == (422, 10)


class TestFields(Readers):
    @pytest.mark.parametrize(
        ("fields", "names"),
        [
            ("id,name,phoneNumber", {"id", "name", "phoneNumber"}),
            (" phoneNumber , id,", {"id", "phoneNumber"}),
            (["name", "type"], {"name", "type"}),
            ("name,name", {"name"}),
            ("employeeId", {"employeeId"}),
            ("userName,firstName,lastName", {"userName", "firstName", "lastName"}),
            ("*", set(ATTRIBUTES)),
            ("id,*", set(ATTRIBUTES)),
            (",".join(ATTRIBUTES), set(ATTRIBUTES)),
        ],
    )
    def test_returns_just_these(self, people, agent, fields, names):
        expected = [{name: each[name] for name in each if name in names} for each in people]
        answer = agent.get("/contacts", query_string={"fields": fields, "sortBy": "id"}).json
        assert answer == {"statusCode": 0, "totalCount": len(people), "contacts": expected}
        for each, part in zip(people, expected, strict=True):
            response = agent.get(f"/contacts/{each['id']}", query_string={"fields": fields})
            assert response.json == {"statusCode": 0, "contact": part}

    @pytest.mark.parametrize(
        ("fields", "status_code"),
        [("nam", 2), ("id,salt", 2), ("json", 2), ("name_key", 2), ("id,1", 2), ("**", 2), ("", 10), (" , ", 10)],
    )
    def test_refuses_unknown_ones(self, people, agent, fields, status_code):
        for url in ("/contacts", f"/contacts/{people[0]['id']}"):
            assert refusal(agent, url, fields=fields) == (422, status_code)


class TestRefusals(Readers):
    @pytest.mark.parametrize("name", ["nmae", "Name", "phone", "filter", "page", "seq", "name_key", "ids", "", "имя"])
    def test_an_unknown_parameter_names_the_known_ones(self, agent, name):
        response = agent.get("/contacts", query_string={name: "x", "type": "User"})
        assert (response.status_code, response.json["statusCode"]) == (422, 2)
        message = response.json["statusMessage"]
        assert all(each in message.replace(",", " ").replace(".", " ").split() for each in PARAMETERS)
        assert list(response.json["errors"]) == [name]

    def test_one_contact_takes_only_fields(self, people, agent):
        response = agent.get(f"/contacts/{people[0]['id']}?name=Sales")
        assert (response.status_code, response.json["statusCode"]) == (422, 2)
        assert "fields" in response.json["statusMessage"]

    @pytest.mark.parametrize("name", PARAMETERS)
    def test_a_blank_is_no_value(self, agent, name):
        pair = {"filterName": PATTERNS, "filterParameters": "a"} if name.startswith("filter") else {}
        for blank in ("", " ", "\u00a0\u3000"):
            assert refusal(agent, **pair | {name: blank}) == (422, 10)

    @pytest.mark.parametrize("name", sorted({*PARAMETERS} - {"offset", "limit"}))
    def test_control_characters_are_refused(self, agent, name):
        pair = {"filterName": PATTERNS, "filterParameters": "a"} if name.startswith("filter") else {}
        for character in "\t\n\r\x00\x1b\x7f\x85":
            for value in (f"a{character}b", f"a{character}", f"{character}a"):
                assert refusal(agent, **pair | {name: value}) == (422, 2), (character, value)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("q", "joe"),
            ("order", "Ascending"),
            ("offset", "1"),
            ("limit", "1"),
            ("filterName", PATTERNS),
        ],
    )
    def test_a_single_value_is_given_once(self, agent, name, value):
        pair = {"filterName": PATTERNS, "filterParameters": "a"} if name == "filterName" else {}
        assert refusal(agent, **pair | {name: [value, value]}) == (422, 2)

    @pytest.mark.parametrize("query", ["name=M%FCller", "q=%ED%A0%80", "id=%C3", "%FF=1"])
    def test_other_encodings_than_utf_8_are_refused(self, agent, query):
        for path in ("/contacts", "/me"):
            answer = agent.get(f"{path}?{query}")
            assert (answer.status_code, answer.json["statusCode"], [*answer.json["errors"]]) == (422, 2, ["query"])
        assert agent.get("/contacts?name=%").json["totalCount"] == 0


# The same state, another one, and neither: {} is the tag without its quotes.
CONDITIONS = [
    ('"{}"', 304),
    ('W/"{}"', 304),
    ('"x", "{}"', 304),
    ('"x",W/"{}" , "y"', 304),
    ("*", 304),
    ('"x"', 200),
    ('W/"x", "y"', 200),
    ('"{}x"', 200),
    ('"x{}"', 200),
    ('""', 200),
]


class TestTags(Readers):
    """ETag and If-None-Match."""

    @pytest.mark.parametrize(("condition", "status"), CONDITIONS)
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_a_state_that_the_client_has_is_304(self, people, agent, condition, status, method):
        one = f"/contacts/{people[0]['id']}"
        for url in (
            "/contacts",
            "/contacts?type=User&limit=1&fields=id",
            "/contacts?q=nobody",
            one,
            f"{one}?fields=id",
        ):
            first = agent.open(method, url)
            tag = first.headers["ETag"]
            assert (tag[0], tag[-1], first.headers["Cache-Control"]) == ('"', '"', "private, no-cache")
            response = agent.open(method, url, headers={"If-None-Match": condition.format(tag[1:-1])})
            assert response.status_code == status
            assert response.headers["ETag"] == tag
            assert response.headers["Cache-Control"] == "private, no-cache"
            assert response.data == (b"" if status == 304 else first.data)
            assert response.headers.get("Content-Type") == (None if status == 304 else "application/json")

    @pytest.mark.parametrize("form", ['"{}-gzip"', 'W/"{}-br"', '"x", "{}--gzip"', 'W/"{}-zstd", "x"', '"{}-deflate"'])
    def test_a_tag_that_a_proxy_has_suffixed_is_the_tag(self, people, agent, form):
        for url in ("/contacts", "/contacts?q=joe", f"/contacts/{people[0]['id']}"):
            tag = agent.get(url).headers["ETag"].strip('"')
            for sent, status in ((form.format(tag), 304), (form.format(f"{tag}0"), 200), (form.format(tag[1:]), 200)):
                assert agent.get(url, headers={"If-None-Match": sent}).status_code == status

    def test_an_error_stays_one(self, agent):
        anything = {"If-None-Match": "*"}
        assert agent.get("/contacts?nmae=x", headers=anything).status_code == 422
        assert agent.get(f"/contacts/{'0' * 32}", headers=anything).status_code == 404

    def test_every_contact_has_its_own(self, people, agent):
        assert len({agent.get(f"/contacts/{each['id']}").headers["ETag"] for each in people}) == len(people)


# Each changes a contact, through the API or past it.
NEW_ID = "f" * 32

WRITES = {
    "create": lambda admin, sql, contact: admin.create("New"),
    "rename": lambda admin, sql, contact: admin.put(f"/contacts/{contact['id']}", json={"name": "changed"}),
    "other case": lambda admin, sql, contact: admin.put(f"/contacts/{contact['id']}", json={"name": "DOE, JANE"}),
    "same digits": lambda admin, sql, contact: admin.put(f"/contacts/{contact['id']}", json={"phoneNumber": "15002"}),
    "clear": lambda admin, sql, contact: admin.put("/contacts", json={"id": contact["id"], "phoneNumber": None}),
    "remove": lambda admin, sql, contact: admin.delete(f"/contacts/{contact['id']}"),
    "remove by query": lambda admin, sql, contact: admin.delete(f"/contacts?id={contact['id']}"),
    "sync adds": lambda admin, sql, contact: add(**user("new", "New")),
    "sql inserts": lambda admin, sql, contact: sql(
        "INSERT INTO contact (id, type, name_key, words, texts, json) VALUES (?, 'Custom', 'new', 'new', 'new', ?)",
        NEW_ID,
        f'{{"id":"{NEW_ID}","name":"New","type":"Custom"}}',
    ),
    "sql updates": lambda admin, sql, contact: sql(
        "UPDATE contact SET json = json_set(json, '$.employeeId', 'X') WHERE user_name_key GLOB 'joej*'"
    ),
    "sql deletes": lambda admin, sql, contact: sql("DELETE FROM contact WHERE name_key GLOB 'sales*'"),
    "sql deletes all": lambda admin, sql, contact: sql("DELETE FROM contact"),
}

# None of these changes a contact.
IDLE = {
    "same name": lambda admin, sql, contact: admin.put(f"/contacts/{contact['id']}", json={"name": " Doe, Jane "}),
    "same number": lambda admin, sql, contact: admin.put(
        "/contacts", json={"id": contact["id"], "phoneNumber": contact["phoneNumber"]}
    ),
    "whole contact": lambda admin, sql, contact: admin.put(f"/contacts/{contact['id']}", json=contact),
    "refused change": lambda admin, sql, contact: admin.put(
        f"/contacts/{contact['id']}", json={"name": "x", "type": "User"}
    ),
    "stale change": lambda admin, sql, contact: admin.put(
        f"/contacts/{contact['id']}", json={"name": "x"}, headers={"If-Match": '"x"'}
    ),
    "refused creation": lambda admin, sql, contact: admin.post("/contacts", json={"name": ""}),
    "refused removal": lambda admin, sql, contact: admin.delete("/contacts?name=Doe"),
    "read": lambda admin, sql, contact: admin.get("/contacts?q=doe"),
    "sql updates": lambda admin, sql, contact: sql("UPDATE contact SET name_key = name_key"),
    "sql deletes": lambda admin, sql, contact: sql("DELETE FROM contact WHERE name_key = 'nobody'"),
}


class TestTagsAndWrites:
    """What makes a tag stale, and what does not."""

    @pytest.fixture
    def jane(self, app):
        """The Custom contact among PEOPLE that has a number."""
        return fill(*PEOPLE)[6]

    @pytest.mark.parametrize("write", WRITES)
    def test_any_change_makes_every_list_new(self, jane, admin, sql, write):
        urls = ("/contacts", "/contacts?type=Queue", "/contacts?q=nobody", "/contacts?limit=1&fields=id")
        tags = {url: admin.get(url).headers["ETag"] for url in urls}
        WRITES[write](admin, sql, jane)
        for url, tag in tags.items():
            response = admin.get(url, headers={"If-None-Match": tag})
            assert response.status_code == 200
            assert response.headers["ETag"] != tag
            assert response.json == admin.get(url).json

    @pytest.mark.parametrize("idle", IDLE)
    def test_what_changes_nothing_keeps_all_tags(self, jane, admin, sql, idle):
        urls = ("/contacts", "/contacts?q=doe", f"/contacts/{jane['id']}")
        tags = {url: admin.get(url).headers["ETag"] for url in urls}
        IDLE[idle](admin, sql, jane)
        for url, tag in tags.items():
            assert admin.get(url, headers={"If-None-Match": tag}).status_code == 304

    def test_a_contacts_tag_moves_with_it_alone(self, jane, admin, sql):
        urls = [f"/contacts/{each['id']}" for each in admin.get("/contacts?sortBy=id").json["contacts"]]
        tags = [admin.get(url).headers["ETag"] for url in urls]
        admin.put(urls[6], json={"name": "changed"})
        sql("UPDATE contact SET json = json_set(json, '$.employeeId', 'X') WHERE user_name_key GLOB 'joej*'")
        answers = [admin.get(url, headers={"If-None-Match": tag}) for url, tag in zip(urls, tags, strict=True)]
        assert [answer.status_code for answer in answers] == [200, 304, 304, 304, 304, 304, 200, 304]

    def test_a_write_answers_with_the_tag_of_the_read(self, admin):
        made = admin.post("/contacts", json={"name": "Some Contact"})
        url = f"/contacts/{made.json['contact']['id']}"
        assert made.headers["ETag"] == admin.get(url).headers["ETag"]
        changed = admin.put(url, json={"name": "Other"})
        assert made.headers["ETag"] != changed.headers["ETag"] == admin.get(url).headers["ETag"]


class TestMethods(Readers):
    def test_head_answers_as_get_without_the_body(self, people, agent):
        one = f"/contacts/{people[0]['id']}"
        for url in ("/contacts", "/contacts?q=joe&limit=1", one, f"{one}?fields=id", "/contacts?nmae=x", "/contacts/x"):
            get, head = (agent.open(method, url, headers={"X-Request-ID": "one"}) for method in ("GET", "HEAD"))
            assert (head.status_code, dict(head.headers)) == (get.status_code, dict(get.headers))
            assert head.data == b""

    @pytest.mark.parametrize(
        ("url", "methods"),
        [
            ("/contacts", {"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"}),
            ("/contacts/{id}", {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}),
        ],
    )
    def test_options_and_405_list_what_is_possible(self, people, admin, url, methods):
        url = url.format(**people[0])
        options, patch = admin.open("OPTIONS", url), admin.open("PATCH", url)
        assert (options.status_code, options.data) == (200, b"")
        assert (patch.status_code, patch.json["statusCode"]) == (405, 2)
        for response in (options, patch):
            assert set(response.headers["Allow"].replace(",", " ").split()) == methods


class TestAmpersand(Readers):
    """GET /contacts&type=User, as the reference prints it."""

    @pytest.mark.parametrize(
        ("asked", "location"),
        [
            ("/contacts&type=User", "/contacts?type=User"),
            ("/contacts&type=User&sortBy=id", "/contacts?type=User&sortBy=id"),
            ("/contacts&type=User?sortBy=id", "/contacts?type=User&sortBy=id"),
            ("/contacts&name=a%26b%3Dc%20d%2Be", "/contacts?name=a%26b%3Dc%20d%2Be"),
            ("/contacts&name=a%2Fb", "/contacts?name=a%2Fb"),
            ("/contacts&name=%D0%96%D1%83%D0%BA", "/contacts?name=%D0%96%D1%83%D0%BA"),
        ],
    )
    def test_answers_as_the_query_does(self, agent, asked, location):
        for path in (asked, asked.replace("/contacts", "/contacts/", 1), asked.replace("&", "%26", 1)):
            response = agent.get(path)
            assert response.status_code == 200
            assert response.json == agent.get(location).json

    def test_answers_with_the_contacts(self, agent):
        response = agent.get("/contacts&type=User")
        assert {each["name"] for each in response.json["contacts"]} == USERS

    def test_refuses_what_the_query_refuses(self, agent):
        response = agent.get("/contacts&tpye=User")
        assert (response.status_code, list(response.json["errors"])) == (422, ["tpye"])

    def test_belongs_to_the_list_alone(self, agent):
        for path in (f"/contacts/{'0' * 32}&fields=name", "/contacts/x&type=User", "/contact&type=User"):
            assert agent.get(path).status_code == 404

    def test_of_a_server_that_tells_the_decoded_path_alone(self, agent):
        environ = {"PATH_INFO": "/contacts&type=User&name=Doe, J\xc3\xa4ne?", "RAW_URI": "", "QUERY_STRING": "limit=1"}
        response = agent.client.get("/", headers=AGENT, environ_overrides=environ)
        assert (response.status_code, response.json["totalCount"]) == (200, 0)


# More than two blocks; three share each name.
MANY = [custom(f"Müller {number % (BLOCK * 2 // 3 + 3):05}") for number in range(2 * BLOCK + 7)]


def by_name(contacts):
    return sorted(contacts, key=lambda each: (each["name"], each["id"]))


class TestLongList(Readers):
    CONTACTS = MANY

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", slice(None)),
            ("order=Descending", slice(None, None, -1)),
            ("type=Custom&q=mul", slice(None)),
            ("q=mu", slice(None)),
            ("filterName=NamesOrPhoneNumberMatches&filterParameters=m*", slice(None)),
            (f"limit={BLOCK}", slice(BLOCK)),
            (f"limit={BLOCK + 1}", slice(BLOCK + 1)),
            (f"limit={2 * BLOCK}&offset=3", slice(3, 2 * BLOCK + 3)),
            (f"limit={10**30}&offset={BLOCK + 6}", slice(BLOCK + 6, None)),
            (f"offset={BLOCK + 7}", slice(BLOCK + 7, None)),
            (f"offset={BLOCK + 6}&order=Descending", slice(BLOCK, None, -1)),
        ],
    )
    def test_is_whole_and_in_order(self, people, agent, query, expected):
        contacts = by_name(people)[expected]
        answer = agent.get(f"/contacts?{query}")
        match = {"match": "start"} if "q=" in query else {}
        assert answer.json == {"statusCode": 0, "totalCount": len(MANY), **match, "contacts": contacts}
        answer = agent.get(f"/contacts?fields=name&{query}")
        names = [{"name": each["name"]} for each in contacts]
        assert answer.json == {"statusCode": 0, "totalCount": len(MANY), **match, "contacts": names}

    def test_comes_in_blocks(self, app):
        with app.test_client().get("/contacts", headers=AGENT) as response:
            blocks = list(response.iter_encoded())
        assert max(map(len, blocks)) <= FILE_BLOCK_BYTES
        assert sum(map(len, blocks)) == response.content_length
        assert len(json.loads(b"".join(blocks))["contacts"]) == len(MANY)

    def test_has_its_tag(self, agent):
        answer = agent.get("/contacts")
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert agent.get("/contacts?limit=1").headers["ETag"] == answer.headers["ETag"]
        assert agent.get("/contacts", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def unnamed_files():
    """Return the files without a name that this process has open."""
    paths = []
    for each in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            paths.append(os.readlink(f"/proc/self/fd/{each}"))
    return sorted(path for path in paths if path.endswith("(deleted)"))


class TestLongListAndWrites:
    @pytest.fixture
    def many(self, app):
        """MANY, as the API shows them, in order."""
        return by_name(fill(*MANY))

    @pytest.mark.parametrize("read", [0, 1, 2, 3])
    def test_is_as_it_was_when_it_began(self, many, app, admin, sql, read):
        response = app.test_client().get("/contacts", headers=AGENT)
        blocks = response.iter_encoded()
        start = b"".join(islice(blocks, read))
        admin.create("Müller 99999")
        admin.delete(f"/contacts/{many[-1]['id']}")
        admin.put(f"/contacts/{many[-2]['id']}", json={"name": "Aaa"})
        sql("DELETE FROM contact WHERE json_extract(json, '$.name') BETWEEN 'Müller 00300' AND 'Müller 00600'")
        rest = b"".join(blocks)
        response.close()
        assert json.loads(start + rest) == {"statusCode": 0, "totalCount": len(MANY), "contacts": many}
        later = admin.get("/contacts", headers={"If-None-Match": response.headers["ETag"]})
        assert later.status_code == 200
        assert later.json["totalCount"] == len(MANY) - 3 * 301
        assert later.json["contacts"][0]["name"] == "Aaa"

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_given_up_leaves_no_reader_behind(self, many, app, admin, sql, method):
        """A snapshot that stays open would keep the write-ahead log from being emptied: a slow client has none."""
        before = unnamed_files()
        with app.test_client().open("/contacts", method=method, headers=AGENT) as response:
            next(response.iter_encoded(), None)
            admin.create("New")
            ((busy, _, _),) = sql("PRAGMA wal_checkpoint(TRUNCATE)")
            assert not busy
        assert unnamed_files() == before

    def test_is_whole_through_gunicorn(self, many, service):
        request = urllib.request.Request(f"{service.url}/contacts&type=Custom", headers=AGENT)
        with urllib.request.urlopen(request) as response:
            assert json.load(response) == {"statusCode": 0, "totalCount": len(MANY), "contacts": many}


@pytest.fixture
def short_walk(monkeypatch):
    """Take few hits for many."""
    monkeypatch.setattr(query_language, "MAX_SORTED_HITS", 10)


@pytest.mark.usefixtures("short_walk")
@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("searched", [{"q": "zoe"}, {"filterName": PATTERNS, "filterParameters": "zoe*"}])
def test_hits_are_found_wherever_they_cluster(order, searched, app, agent):
    with db.atomic():
        for number in range(100):
            add(type="Custom", name=f"Anna {number:03}")
            add(type="Custom", name=f"Zoe {number:03}")
        for number in range(100):
            add(type="Custom", name=f"Zuse {number:03}")
    expected = sorted((f"Zoe {number:03}" for number in range(100)), reverse=order == "Descending")
    for offset in (0, 5, 98):
        assert agent.names(**searched, order=order, limit=3, offset=offset) == expected[offset : offset + 3]


ZOES = [
    *(
        custom(f"{first} {last}")
        for first in ("Zoe", "Ann", "Anna", "Zo")
        for last in ("Zoe", "Zoellner", "An", "Ann Zoe")
    ),
    *(user(f"zoe{n}", f"Ann {n:02}", firstName="Zoe" if n % 3 else "Ann", lastName="Zoe An") for n in range(12)),
    *(queue(f"Ann-Zoe {n}", "3000") for n in range(12)),
    custom("Bob", "300"),
    *(custom(name, number) for name, number in (("7 Up", None), ("01 Alpha", "+1 007"), ("1b", None), ("P", "0070"))),
    *(custom(f"Queue {n}") for n in (1, 2, 10, 101)),
    custom("1a Queue"),
]


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize(
    "asked",
    [
        "zoe",
        "z",
        "ann",
        "zoe an",
        "an zo",
        "3000",
        "300",
        "ann zoe",
        "ann-zoe",
        "3",
        "007",
        "1",
        "1 a",
        "queue 1",
        "01",
    ],
)
@pytest.mark.parametrize("params", [{}, {"type": "Custom,Queue"}, {"sortBy": "type"}, {"sortBy": "lastName"}])
def test_the_page_of_hits_is_the_same_by_either_way_to_it(params, asked, order, app, agent, monkeypatch):
    fill(*ZOES)
    asked = {**params, "q": asked, "order": order}
    monkeypatch.setattr(query_language, "MAX_SORTED_HITS", 1000)
    everything = agent.get("/contacts", query_string=asked).json
    assert everything["match"] == "start"
    assert everything["totalCount"] == len(everything["contacts"]) > 0
    monkeypatch.setattr(query_language, "MAX_SORTED_HITS", 0)
    monkeypatch.setattr(query_language, "MAX_SORTED_SHARE", 0)
    assert agent.get("/contacts", query_string=asked).json == everything
    for offset in range(0, len(everything["contacts"]), 2):
        page = agent.get("/contacts", query_string={**asked, "limit": 3, "offset": offset}).json
        assert page == {**everything, "contacts": everything["contacts"][offset : offset + 3]}


ROWS = [
    ("Queue 10", "15002"),
    ("Agent 7", "15007"),
    ("Joe", "15009"),
    ("Desk 12", "+49 30 5550199"),
    ("Ann Lee", "+1 (650) 555-0100 x123"),
    ("Bob Lee", "040 777 ext. 5"),
]
WITH_LETTERS = [
    ("Cab", "0800 TAXI 24"),
    ("Courier", "1 800 GO FEDEX"),
    ("Hotline", "CALL-US"),
    ("Gate", "1A 2B"),
    ("Room", "030#5"),
    ("Both", "15112 or 15113"),
]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        *((f"{name} {number}", name) for name, number in ROWS),
        *((number, name) for name, number in (*ROWS, *WITH_LETTERS)),
        ("Queue 10 (15002)", "Queue 10"),
        ("queue 10 - 150", "Queue 10"),
        ("10 15002", "Queue 10"),
        ("15002 queue 10", "Queue 10"),
        ("desk 12 030", None),
        ("desk 12 +49 30", "Desk 12"),
        ("+49 30 12", None),
        ("15009/joe", "Joe"),
        ("15009-jo", "Joe"),
        ("joe-15009", "Joe"),
        ("15009-ann", None),
        ("0800 T", "Cab"),
        ("800 taxi", "Cab"),
        ("#1a", "Gate"),
        ("lee 650 555-0100 x123", "Ann Lee"),
        ("650 555 0100 x123 ann", "Ann Lee"),
        ("ann 123", None),
        ("777 ext. 5 lee", "Bob Lee"),
        ("777 e", None),
    ],
)
def test_a_row_is_found_as_it_is_shown(typed, name, app, agent):
    fill(*(custom(*row) for row in (*ROWS, *WITH_LETTERS)))
    assert agent.names(q=typed) == [name] * (name is not None)


@pytest.mark.parametrize(("name", "number"), [*ROWS, *WITH_LETTERS])
def test_a_number_is_found_with_every_character_that_is_typed(name, number, app, agent):
    fill(*(custom(*row) for row in (*ROWS, *WITH_LETTERS)))
    typed = [number[:end] for end in range(1, len(number) + 1)]
    assert [text for text in typed if words(text) and name not in agent.names(q=text)] == []


@pytest.mark.parametrize(
    ("name", "typed", "match"),
    [
        ("Johnson", "jonson", "similar"),
        ("राजेश", "राजेछ", "similar"),
        ("தமிழ்செல்வன்", "தமிழ்செல்வள்", "similar"),
        ("สุรชัย", "สุรชัม", "similar"),
        ("Жуков", "жуоков", "similar"),
        ("Level2 Team", "lvel2", "similar"),
        ("Zuerichs", "zuerich", "start"),
        ("Katharina", "kathrnna", "similar"),  # two slips, of eight letters
        ("Zürich", "zürih", "similar"),
        ("Zuerichs", "zürochz", None),  # of seven, whatever they are written out
        ("Katharin", "ktharnx", None),
        ("Οὐρανός", "ourano", "start"),
        ("Line 123456", "123465", None),
    ],
)
def test_words_are_found_by_similar_ones(name, typed, match, app, agent):
    fill(custom(name))
    answer = agent.get("/contacts", query_string={"q": typed}).json
    assert (answer["totalCount"], answer["match"]) == ((1, match) if match else (0, "start"))


@pytest.mark.parametrize(
    ("q", "names"),
    [
        # Whole words of the name in their order, the start of the name, the rest; each by name.
        ("anna smith", ["Anna Smith", "Dr Anna Smith", "A Smith Anna", "Anna Bea Smithson"]),
        # The whole number, as it is dialled from abroad or not.
        ("+49 30 12345", ["Zoe", "Ann"]),
        ("0049 30 12345", ["Zoe", "Ann"]),
        ("8001", ["Yul", "Bob"]),
    ],
)
def test_the_best_hits_come_first(q, names, app, agent):
    fill(
        *map(custom, ("Anna Smith", "Dr Anna Smith", "Anna Bea Smithson", "A Smith Anna")),
        *(custom("Ann", "+49 30 123456"), custom("Zoe", "+49 30 12345")),
        *(custom("Bob", "80012"), custom("Yul", "8001")),
    )
    assert agent.names(q=q) == names


def test_the_nearest_of_similar_words_come_first(app, agent):
    fill(custom("Mulleraan"), custom("Mullerian"), custom("Müllerin"))
    # Typed is mullerinn or muellerinn, too: of the slips, the fewest count.
    assert agent.names(q="müllerinn") == ["Mullerian", "Müllerin", "Mulleraan"]


def test_of_very_many_words_the_shortest_are_looked_for(app, agent, monkeypatch):
    monkeypatch.setattr(search, "MAX_ALTERNATIVES", 1)
    fill(custom("aazqxaa"), custom("bzqx"))
    assert agent.names(q="zqx") == ["bzqx"]


def test_of_very_many_similar_words_some_are_looked_for(app, agent, monkeypatch):
    monkeypatch.setattr(search, "MAX_ALTERNATIVES", 10)
    fill(*(custom(f"jonso{letter}") for letter in "abcdefghijkl"))
    assert agent.get("/contacts?q=jonsoz").json["totalCount"] == 10


def test_of_very_many_words_that_hold_another_some_are_looked_for(app, agent, monkeypatch):
    monkeypatch.setattr(search, "MAX_ALTERNATIVES", 10)
    fill(*(custom(f"a{number:02}zqx team") for number in range(12)))
    assert agent.get("/contacts?q=zqx").json["totalCount"] == 10
    assert agent.get("/contacts?q=zqx eam").json["totalCount"] == 5


@pytest.mark.usefixtures("short_walk")
@pytest.mark.parametrize("hits", [0, 1, 9, 10, 11, 12])
@pytest.mark.parametrize("params", [{"q": "zoe"}, {"q": "zoe", "type": "Custom"}, {"q": "z", "sortBy": "id"}])
def test_few_hits_and_many_are_counted_and_paged_alike(hits, params, app, agent):
    names = [f"Zoe {number:02}" for number in range(hits)]
    fill(custom("Anna"), *map(custom, names), queue("Anna Q"))
    assert agent.names(**params) == names
    for page in ({"limit": 3}, {"limit": 3, "offset": 8}, {"limit": 100, "offset": 2}):
        answer = agent.get("/contacts", query_string={**params, **page}).json
        start = page.get("offset", 0)
        assert [contact["name"] for contact in answer["contacts"]] == names[start : start + page["limit"]]
        assert answer["totalCount"] == hits


@pytest.mark.usefixtures("short_walk")
@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("params", [{}, {"type": "User"}, *({"sortBy": attribute} for attribute in ATTRIBUTES)])
def test_far_pages_continue_the_near_ones(params, order, app, agent):
    fill(
        *(user(f"u{n}", f"Name {n % 7}", firstName=f"F{n % 3}", employeeId=f"E{n % 11}") for n in range(40)),
        *(custom(f"Name {n % 5}", f"800{n % 4}" if n % 2 else None) for n in range(40)),
        *(queue(f"Queue {n}", "8001") for n in range(10)),
    )
    everything = agent.get("/contacts", query_string={**params, "order": order}).json["contacts"]
    assert len(everything) == (40 if "type" in params else 90)
    for offset in range(len(everything) + 2):
        page = agent.get("/contacts", query_string={**params, "order": order, "limit": 3, "offset": offset}).json
        assert page["contacts"] == everything[offset : offset + 3]
        assert page["totalCount"] == len(everything)


def planned(params):
    """The shape of the query that parameters mean, and the values to bind."""
    asked = ListQuery().load({name: [value] for name, value in params.items()})
    match, searched = next(search.matches(asked.q)) if asked.q else ("", {})
    return query_language.plan(asked, match, searched)


def steps(statement, values):
    """What SQLite does for a statement, step by step; not that it joins the rows of a page."""
    rows = db.execute_sql(f"EXPLAIN QUERY PLAN {statement.sql}", statement.bind({"limit": 100, "offset": 0, **values}))
    found = [row[3] for row in rows]
    pages = {each.removeprefix("CO-ROUTINE ") for each in found if each.startswith("CO-ROUTINE ")}
    return [each for each in found if each.removeprefix("CO-ROUTINE ").removeprefix("SCAN ") not in pages]


@pytest.mark.parametrize(
    ("params", "others"),
    [
        ({"limit": "7777", "offset": "8888"}, {"limit": "9999", "offset": "6666"}),
        *(({attribute: "V1alue"}, {attribute: "O2ther"}) for attribute in ATTRIBUTES if attribute != "type"),
        ({"name": "V1alue,O3ther", "firstName": "V1alue"}, {"name": "A4,B5,C6", "firstName": "'; DROP TABLE contact"}),
        ({"q": "V1alue o3ther"}, {"q": "s2om' \"thing 12 34 x,y"}),
        ({"q": "v1"}, {"q": "%_"}),
        (
            {"filterName": PATTERNS, "filterParameters": "V1*,*o3"},
            {"filterName": PATTERNS, "filterParameters": "x*,*[x"},
        ),
        ({"q": "v1x", "type": "User", "sortBy": "lastName"}, {"q": "x1v", "type": "Queue", "sortBy": "lastName"}),
    ],
)
def test_the_text_of_a_statement_depends_on_the_shape_alone(params, others):
    """All SQL of a read is made by these; what a client wrote is bound, never a part of it."""

    def sql_of(given):
        shape, _ = planned(given)
        made = [statements.count_statement(shape), statements.hits_statement(shape)]
        made.append(statements.sort_statement(shape))
        made += [statements.rows_statement(shape, many, back) for many in (False, True) for back in (False, True)]
        made.append(statements.page_statement(shape, True))
        if shape.match == "start" and not shape.sort:
            made += [each for rank in range(4) for each in statements.rank_statements(shape, rank)]
        return [each.sql for each in made]

    assert sql_of(params) == sql_of(others)


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"type": "User", "phoneNumber": "1"}, "contact_by_phone (phone_key=?)"),
        ({"lastName": "a", "phoneNumber": "1"}, "contact_by_phone (phone_key=?)"),
        ({"name": "a", "phoneNumber": "1"}, "contact_by_phone (phone_key=? AND name_key=?)"),
        ({"firstName": "a", "employeeId": "1"}, "contact_by_employee_id (employee_id_key=?)"),
        ({"firstName": "a", "lastName": "b"}, "contact_by_last_name (last_name_key=?)"),
        ({"firstName": "a", "name": "b"}, "contact_by_first_name (first_name_key=? AND name_key=?)"),
        ({"type": "Queue", "name": "a"}, "contact_by_name (name_key=?)"),
        ({"lastName": "a", "userName": "b"}, "user_by_user_name (user_name_key=?)"),
        ({"name": "a", "userName": "b,c"}, "user_by_user_name (user_name_key=?)"),
        ({"name": "a", "employeeId": "b"}, "contact_by_employee_id (employee_id_key=? AND name_key=?)"),
        ({"lastName": "a", "id": "0" * 32}, "sqlite_autoindex_contact_1 (id=?)"),
        ({"firstName": "a", "phoneNumber": "*"}, "contact_by_first_name (first_name_key=?)"),
        ({"name": "a"}, "contact_by_name (name_key=?)"),
    ],
)
def test_contacts_are_looked_up_by_the_filter_that_leaves_the_fewest(filters, index, app):
    """A million contacts share a type, a hundred thousand a last name, and hardly two a number."""
    shape, values = planned(filters)
    for statement in (statements.page_statement(shape, False), statements.count_statement(shape)):
        looked_up = [step for step in steps(statement, values) if step.startswith("SEARCH t")]
        assert all(step.endswith(index) for step in looked_up), looked_up
    assert looked_up


INDEXES_OF_ORDERS = {
    **{name: "contact_by_" + re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name) for name in ATTRIBUTES},
    "id": "sqlite_autoindex_contact_1",
    "phoneNumber": "contact_in_phone_order",
    "userName": "user_by_user_name",
}


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("sort", ATTRIBUTES)
@pytest.mark.parametrize("filters", [{}, {"phoneNumber": "*"}, {"type": "User,Queue"}, {"q": "anna"}])
def test_many_contacts_are_walked_in_the_order_of_an_index(filters, sort, order, backward, app):
    shape, values = planned({**filters, "sortBy": sort, "order": order})
    first, *others = steps(statements.rows_statement(shape, True, backward), values)
    assert backward or steps(statements.page_statement(shape, True), values) == [first, *others]
    assert first == f"SCAN t1 USING INDEX {INDEXES_OF_ORDERS[sort]}"
    # Those of the same last and whole name are sorted by seq: the first name stands before it in that index.
    of_equals = ["USE TEMP B-TREE FOR RIGHT PART OF ORDER BY"] if sort == "lastName" else []
    assert [step for step in others if "TEMP B-TREE" in step] == of_equals


def test_hits_are_looked_up_by_the_indexes_that_are_meant(app):
    shape, values = planned({"q": "anna smith"})
    found = [str(steps(statements.rank_statements(shape, rank)[0], values)) for rank in range(4)]
    for index in ("contact_by_name", "contact_by_phone", "contact_by_first_name", "contact_by_last_name"):
        assert f"SEARCH t1 USING COVERING INDEX {index}" in found[0]
    assert "user_by_user_name" in found[0]
    assert "VIRTUAL TABLE INDEX 0:M1" in found[1]
    assert found[2].startswith("['SEARCH t1 USING INDEX contact_by_name (name_key>? AND name_key<?)'")
    assert found[3].startswith("['SCAN t1 USING INDEX contact_by_name'")
    assert steps(statements.hits_statement(shape), values) == ["SCAN t1 VIRTUAL TABLE INDEX 0:M1"]
    # Of names, only those with a number in this place are looked at.
    for typed, first, end in (("49", "0", "9\U0010ffff"), ("Queue 1", "queue 0", "queue 9\U0010ffff")):
        numbered = planned({"q": typed})[1]
        assert (numbered["base"], numbered["end"]) == (first, end)
    few = steps(statements.sort_statement(shape), {**values, "seqs": "[1]"})
    assert few[0] == "SEARCH t1 USING INTEGER PRIMARY KEY (rowid=?)"
    shape, values = planned({"q": "anna smith", "type": "User"})
    assert "contact_in_search (seq=?)" in str(steps(statements.hits_statement(shape), values))
    for pattern, scan in (("*smith", "USING COVERING INDEX contact_in_search"), ("smi*", "VIRTUAL TABLE INDEX 0:M1")):
        shape, values = planned({"filterName": PATTERNS, "filterParameters": pattern})
        assert scan in str(steps(statements.count_statement(shape), values))
        assert scan in str(steps(statements.hits_statement(shape), values))


@pytest.mark.usefixtures("short_walk")
@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("sort", ATTRIBUTES)
@pytest.mark.parametrize("params", [{"type": "User"}, {"type": "User,Queue"}, {"phoneNumber": "*"}, {"type": "Custom"}])
def test_filters_that_leave_most_contacts_keep_the_order(params, sort, order, app, agent):
    fill(
        *(user(f"u{n}", f"Name {n % 7}", **({"phoneNumber": f"8{n % 5}"} if n % 4 else {})) for n in range(40)),
        *(custom(f"Name {n % 5}", "800") for n in range(10)),
        *(queue(f"Queue {n}") for n in range(3)),
    )
    everything = agent.get("/contacts", query_string={"sortBy": sort, "order": order}).json["contacts"]
    types = params.get("type", "User,Queue,Custom").split(",")
    wanted = [c for c in everything if c["type"] in types and ("phoneNumber" in c or "phoneNumber" not in params)]
    for page in ({}, {"limit": 4}, {"limit": 4, "offset": 3}, {"limit": 5, "offset": 33}):
        answer = agent.get("/contacts", query_string={**params, "sortBy": sort, "order": order, **page}).json
        start = page.get("offset", 0)
        assert answer["contacts"] == wanted[start : start + page.get("limit", 100)]
        assert answer["totalCount"] == len(wanted)


SHORT = [
    "a",
    "aa",
    "aaa",
    "ab",
    "aba",
    "abab",
    "ba",
    "b",
    "n",
    "an",
    "ana",
    "anna",
    "anana",
    "a b",
    "a-b",
    "-a",
    "-a-b",
    "b a",
]
STARTS = ["a", "b", "n", "an", "ab", "aa", "-", "-a", "a ", "a-", "ana", "anan", "é"]


@pytest.mark.parametrize("most", [0, 1000], ids=["walked", "sorted"])
@pytest.mark.parametrize("params", [{}, {"type": "Custom"}, {"sortBy": "phoneNumber"}])
def test_what_starts_and_ends_is_one_value_and_long_enough(most, params, app, agent, monkeypatch):
    monkeypatch.setattr(query_language, "MAX_SORTED_HITS", most)
    monkeypatch.setattr(query_language, "MAX_SORTED_SHARE", 0)
    fill(
        *(custom(name, number_of(name)) for name in SHORT),
        user("ab", "ba", firstName="an", lastName="na"),
        custom("é n"),
    )
    contacts = agent.get("/contacts", query_string=params).json["contacts"]
    for pattern in [f"{start}*{end}" for start in STARTS for end in (*STARTS, "b*a", "a*n", "*")]:
        # Blanks at the edges of an argument are trimmed.
        whole = re.compile(".*".join(map(re.escape, pattern.strip().split("*"))))
        wanted = [contact for contact in contacts if any(whole.fullmatch(text) for text in texts(contact))]
        asked = {**params, "filterName": PATTERNS, "filterParameters": pattern}
        assert agent.get("/contacts", query_string=asked).json["contacts"] == wanted, pattern
        page = agent.get("/contacts", query_string={**asked, "limit": 2, "offset": 1}).json
        assert (page["contacts"], page["totalCount"]) == (wanted[1:3], len(wanted)), pattern


def number_of(name):
    """Return a number that no pattern of letters finds."""
    return f"8{SHORT.index(name):02}"


def texts(contact):
    return [contact[name] for name in ("name", "userName", "firstName", "lastName") if name in contact]


def test_a_part_that_comes_again_is_looked_for_once(app, agent):
    fill(custom("a"), custom("aa"), custom("aaa"), custom("ab"))
    asked = {"filterName": PATTERNS, "filterParameters": f"*{'a*' * 1900}"}
    assert agent.get("/contacts", query_string=asked).json["contacts"] == []
    assert agent.names(filterName=PATTERNS, filterParameters="*a*a*") == ["aa", "aaa"]


def test_a_number_is_found_by_how_it_was_written(app, agent):
    """Letters that a hyphen keeps apart would be one without it."""
    fill(custom("Contact", "\u1100-\u1161x1"))
    assert agent.names(q="\u1100-\u1161x1") == ["Contact"]


@pytest.mark.parametrize("query", ["name=M\u00fcller".encode().decode("latin-1"), "name=M%C3%BCller"])
def test_parameters_that_a_server_does_not_escape_are_utf_8(query, app, agent):
    fill(custom("M\u00fcller"))
    answer = agent.client.get("/contacts", headers=agent.headers, environ_overrides={"QUERY_STRING": query})
    assert answer.json["totalCount"] == 1


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("1*2", ["12", "1-2", "1 22 2"]), ("12*2", ["1 22 2"]), ("1*1", []), ("+1*2*2", ["1 22 2"]), ("1*22", ["1 22 2"])],
)
def test_numbers_that_start_and_end_so_are_found_by_their_digits(pattern, found, app, agent):
    fill(*(custom(f"Contact {number}", number) for number in ("1", "12", "1-2", "1 22 2", "21", "2")))
    answer = agent.get("/contacts", query_string={"filterName": PATTERNS, "filterParameters": pattern}).json
    assert sorted(contact["phoneNumber"] for contact in answer["contacts"]) == sorted(found)


def test_a_name_starts_with_what_was_typed_also_where_that_ends_in_a_number(app, agent):
    fill(*(custom(name) for name in ("Queue 1", "1a Queue", "Queue 10", "Queue 2")))
    assert agent.names(q="queue 1") == ["Queue 1", "Queue 10", "1a Queue"]


@pytest.mark.parametrize(
    ("stored", "patterns"),
    [
        ("+49 (0)30 5550199", ["+49 (0)30 5550199", "+49 (0)30*", "+49 30 5550199", "*0199"]),
        ("0049 30 5550188", ["0049 30 5550188", "0049*", "4930*"]),
        ("+1 (650) 555-0100 x123", ["+1 (650) 555-0100 x123", "*x123", "*0100", "1650*"]),
        ("tel:+4930777", ["tel:+4930777", "tel*", "4930777"]),
        ("030;;12,5", ["030;;12*", "030*"]),
    ],
)
def test_numbers_are_matched_as_they_are_written_and_as_they_are_dialled(stored, patterns, app, agent):
    fill(custom("wanted", stored), custom("other", "777"))
    for pattern in patterns:
        asked = {"filterName": PATTERNS, "filterParameters": pattern.replace(",", "*")}
        assert agent.names(**asked) == ["wanted"], pattern


@pytest.mark.parametrize("q", ["+(0)", "+ (0", "+(" * 300 + "0"])
def test_a_number_without_digits_finds_nobody(q, app, agent):
    fill(custom("one", "15002"), custom("two", "49 30 1"))
    assert agent.names(q=q) == []


@pytest.mark.parametrize("text", ["N" + "[" * 17000, "\ufdfa" * 1700, "N*" + "\ufdfa" * 1700, "a " * 3000])
def test_texts_that_are_longer_than_they_look_are_refused(text, app, agent):
    fill(custom("N0"))
    for query in ({"q": text}, {"filterName": PATTERNS, "filterParameters": f"*{text}"}):
        assert refusal(agent, **query) == (422, 10)


class TestTimeout:
    """A search that takes too long is given up."""

    PATTERNS = {"filterName": PATTERNS, "filterParameters": ",".join(["*a*b*"] * 32)}

    @pytest.fixture
    def impatient(self, path):
        """A client of a service that gives reads no time, with enough contacts to need some."""
        app = started({"DATABASE": str(path), "TRUSTED_PROXIES": "127.0.0.1", "READ_TIMEOUT": "0.001"})
        fill(*(custom(f"{'ab' * 100} {number}") for number in range(2000)))
        yield Client(app, AGENT)
        db.close()

    def test_it_is_503_and_says_what_to_do(self, impatient):
        response = impatient.get("/contacts", query_string=self.PATTERNS)
        assert (response.status_code, response.json["statusCode"]) == (503, 4)
        assert "narrow it" in response.json["statusMessage"]
        assert response.headers["Retry-After"] == "1"

    def test_it_leaves_nothing_behind(self, impatient, sql):
        for _ in range(3):
            assert impatient.get("/contacts", query_string=self.PATTERNS).status_code == 503
        assert impatient.get("/contacts?limit=1").json["totalCount"] == 2000
        contact_id = impatient.get("/contacts?limit=1").json["contacts"][0]["id"]
        assert impatient.get(f"/contacts/{contact_id}").status_code == 200
        ((busy, _, _),) = sql("PRAGMA wal_checkpoint(TRUNCATE)")
        assert not busy

    def test_a_usual_limit_lets_it_end(self, impatient):
        impatient.app.config["READ_TIMEOUT"] = 10
        assert impatient.names(**self.PATTERNS)

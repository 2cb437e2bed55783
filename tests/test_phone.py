"""The keys and words of phone numbers."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contacts import phone
from contacts.phone import number_prefixes, split_numbers

NO_COUNTRY = {"country_code": "", "trunk_prefix": "0", "international_prefix": "00"}
GERMANY = {**NO_COUNTRY, "country_code": "49"}
FRANCE = {**NO_COUNTRY, "country_code": "33"}
AMERICA = {"country_code": "1", "trunk_prefix": "1", "international_prefix": "011"}
HUNGARY = {**NO_COUNTRY, "country_code": "36", "trunk_prefix": "06"}
RUSSIA = {"country_code": "7", "trunk_prefix": "8", "international_prefix": "810"}
SPAIN = {**NO_COUNTRY, "country_code": "34", "trunk_prefix": ""}


def in_plan(function):
    """Return a function of phone.py that takes the numbering plan as well."""

    def call(text, plan=NO_COUNTRY):
        before = dict(vars(phone.plan))
        vars(phone.plan).update(plan)
        phone.number_key.cache_clear()
        try:
            return function(text)
        finally:
            vars(phone.plan).update(before)
            phone.number_key.cache_clear()

    return call


number_key, number_words, typed_number = map(in_plan, (phone.number_key, phone.number_words, phone.typed_number))


def finds(typed, stored, plan=NO_COUNTRY):
    """Tell whether what is typed as a number stands in the stored one."""
    return stands_in(typed_number(typed, plan), stored, plan)


def stands_in(starts, stored, plan=NO_COUNTRY):
    return any(word.startswith(start) for word in number_words(stored, plan) for start in starts)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("15002", "15002"),
        ("xxx-xxx-xxxx", "xxxxxxxxxx"),
        ("1-800-FLOWERS", "1800flowers"),
        ("+1-800-Flowers", "+1800flowers"),
        ("+49 30 1234", "+49301234"),
        ("030;;12,5", "030"),
        ("+1 (650) 555-0100 x123", "+16505550100"),
        ("(+49) 30 1234", "+49301234"),
        ("０３０ １２３４", "0301234"),
        ("＋４９ （０） ３０ １２３４", "+49301234"),
        ("٠٣٠ ١٢٣٤", "0301234"),
        ("+۴۹ ۳۰", "+4930"),
        ("०३०-१२३४", "0301234"),
        ("๐๓๐ ๑๒๓๔", "0301234"),
        ("\u202a+49 30 1234\u202c", "+49301234"),
        ("ШКОЛА-12", "школа12"),
        ("*31#", "31"),
        ("", ""),
        ("+", ""),
        ("--- ☎ ;,", ""),
        ("0049 30 5550199", "+49305550199"),
        ("00 49-30-555 0199", "+49305550199"),
        ("0049 (0)30 5550199", "+49305550199"),
        ("00", "00"),
        ("0", "0"),
        ("000", "000"),
        ("0049", "0049"),
        ("030 5550199", "0305550199"),
        ("(0)30 5550199", "0305550199"),
    ],
)
def test_number_key(text, key):
    assert number_key(text) == key


@pytest.mark.parametrize(
    "text",
    [
        "+49 30 5550199",
        "+49305550199",
        "+49 (30) 555-01-99",
        "+49 (0)30 5550199",
        "+49(0)30/5550199",
        "+49 ( 0 ) 30.555.0199",
        "0049 30 5550199",
        "0049 (0) 30 5550199",
        "tel:+49-30-5550199",
        "TEL: +49 30 5550199",
        "tel:+49-30-5550199;ext=12",
        "tel:+49305550199;phone-context=example.com",
        "+49 30 5550199 x12",
        "+49 30 5550199x12",
        "+49 30 5550199 X 12",
        "+49 30 5550199 ext. 12",
        "+49 30 5550199 ext12",
        "+49 30 5550199, Ext. 12",
        "+49 30 5550199x12;ext=4",
        "+49 30 5550199 (extension 12)",
        "+49 30 5550199 extn 12 (Anna)",
        "+49 30 5550199,,12#",
        "+49 30 5550199,12",
        "+49 30 5550199;12",
        "+49 30 5550199;;12,5",
        "+49 30 5550199;ext=12",
        "+49\u00a030\u00a05550199",
        "+49–30–5550199",
    ],
)
@pytest.mark.parametrize("plan", [NO_COUNTRY, GERMANY, FRANCE])
def test_one_number_in_many_spellings(text, plan):
    assert number_key(text, plan) == "+49305550199"


@pytest.mark.parametrize(
    ("text", "plan", "key"),
    [
        ("030 1234", GERMANY, "+49301234"),
        ("(030) 5550199 x12", GERMANY, "+49305550199"),
        ("(0)30 5550199", GERMANY, "+49305550199"),
        ("01 23 45 67 89", FRANCE, "+33123456789"),
        ("0049 30 5550199", FRANCE, "+49305550199"),
        ("15002", GERMANY, "15002"),
        ("5550199", GERMANY, "5550199"),
        ("49 30 5550199", GERMANY, "49305550199"),
        ("0", GERMANY, "0"),
        ("00", GERMANY, "00"),
        ("0815", GERMANY, "0815"),
        ("112", GERMANY, "112"),
        ("030;;12,5", GERMANY, "030"),
        ("0800-FLOWERS", GERMANY, "+49800flowers"),
        ("1-800-FLOWERS", AMERICA, "+1800flowers"),
        ("1 (650) 555-0100", AMERICA, "+16505550100"),
        ("011 49 30 5550199", AMERICA, "+49305550199"),
        ("0049 30 5550199", AMERICA, "0049305550199"),
        ("15002", AMERICA, "15002"),
        ("1st floor", AMERICA, "1stfloor"),
        ("06 1 234 5678", HUNGARY, "+3612345678"),
        ("8 (495) 123-45-67", RUSSIA, "+74951234567"),
        ("8 10 49 30 5550199", RUSSIA, "+49305550199"),
        ("912 345 678", SPAIN, "912345678"),
        ("0034 912 345 678", SPAIN, "+34912345678"),
        ("xxx-xxx-xxxx", GERMANY, "xxxxxxxxxx"),
        ("", GERMANY, ""),
    ],
)
def test_number_key_in_a_plan(text, plan, key):
    assert number_key(text, plan) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("1-800-TAXI", "1800taxi"),
        ("1-800-FAX-ME", "1800faxme"),
        ("1-800-NEXT", "1800next"),
        ("1-800-4-EXTRA", "18004extra"),
        ("1-800-2x4-HELP", "18002x4help"),
        ("x123", "x123"),
        ("ext. 123", "ext123"),
        ("ext 5 5550100", "ext55550100"),
        ("Room 12, Anna", "room12anna"),
        ("1-800-FLOWERS,,12#", "1800flowers"),
        ("1-800-FLOWERS x12", "1800flowers"),
        ("1-855-GOFEDEX ext. 45", "1855gofedex"),
        ("1-855-GOFEDEX (extension 45)", "1855gofedex"),
        ("1-855-GOFEDEX", "1855gofedex"),
        ("1-800-TEXT 4", "1800text4"),
        ("1-800-MAX 4", "1800max4"),
        ("555-xxx-0100", "555xxx0100"),
        ("TEL-1234", "tel1234"),
    ],
)
def test_letters_are_no_suffix_of_themselves(text, key):
    assert number_key(text) == key


def test_a_suffix_alone_finds_nothing():
    assert number_key("+16505550100") == number_key("+1 (650) 555-0100 x123")
    for suffix in ("123", "x123", "ext. 123", ",,123#", ";ext=123"):
        assert number_key(suffix) != number_key("+1 (650) 555-0100 x123")
        assert not finds(suffix, "+1 (650) 555-0100 x123")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("15002", ["15002"]),
        ("15002,15003", ["15002", "15003"]),
        (" 15002 , +49 30 1234 ", ["15002", "+49 30 1234"]),
        ("+1 650 555 0100,,123#", ["+1 650 555 0100,,123#"]),
        ("+1 650 555 0100,,123#,15002", ["+1 650 555 0100,,123#", "15002"]),
        ("030;;12,5", ["030;;12", "5"]),
        ("15002,", ["15002"]),
        (",", []),
        (",,", []),
        ("", []),
    ],
)
def test_split_numbers(text, numbers):
    assert split_numbers(text) == numbers


@pytest.mark.parametrize(
    ("typed", "stored", "plan"),
    [
        ("030 555", "+49 30 5550199", GERMANY),
        ("030 555", "030 5550199", GERMANY),
        ("030 555", "0049 (0)30 5550199", GERMANY),
        ("+49 30 555", "030 5550199", GERMANY),
        ("+49 (0)30 555", "030 5550199", GERMANY),
        ("+49 (0", "030 5550199", GERMANY),
        ("0049 30 555", "030 5550199", GERMANY),
        ("0049 (0)30 555", "030 5550199", GERMANY),
        ("+49 30 555", "0049305550199", NO_COUNTRY),
        ("0049 30 555", "+49 30 5550199", NO_COUNTRY),
        ("30 555", "+49 30 5550199", NO_COUNTRY),
        ("030 555", "030 5550199", NO_COUNTRY),
        ("01 23 45", "0123456789", NO_COUNTRY),
        ("01 23 45", "+33 1 23 45 67 89", FRANCE),
        ("01.23.45-67/89", "0123456789", NO_COUNTRY),
        ("0199", "+49 30 5550199", NO_COUNTRY),
        ("199", "+49 30 5550199", NO_COUNTRY),
        ("+", "+49 30 5550199", None),
        ("+4", "+49 30 5550199", NO_COUNTRY),
        ("0", "030 5550199", NO_COUNTRY),
        ("15", "15002", NO_COUNTRY),
        ("002", "15002", NO_COUNTRY),
        ("12", "12", NO_COUNTRY),
        ("tel:+16505550100", "+1 (650) 555-0100 x123", NO_COUNTRY),
        ("+1 (650) 555-0100 x123", "+16505550100", NO_COUNTRY),
        ("٠٣٠ ٥٥٥", "030 5550199", NO_COUNTRY),
        ("030", "٠٣٠ ٥٥٥", NO_COUNTRY),
        ("011 49", "+49 30 5550199", AMERICA),
        ("1 650", "+1 650 555 0100", AMERICA),
        ("12345678901234567890123456789012345", "12345678901234567890123456789012345678", NO_COUNTRY),
    ],
)
def test_typed_numbers_find(typed, stored, plan):
    if plan is None:
        assert typed_number(typed) == []
    else:
        assert finds(typed, stored, plan)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("50", "15002"),
        ("02", "15002"),
        ("030 555", "+49 30 5550199"),
        ("+30 555", "+49 30 5550199"),
        ("123", "+1 650 555-0100 x123"),
    ],
)
def test_typed_numbers_do_not_find(typed, stored):
    assert not finds(typed, stored)


@pytest.mark.parametrize("text", ["anna", "anna 5", "1-800-FLOWERS", "", " ", "+", "()", "7a", "#31#"])
def test_not_a_number_alone(text):
    assert typed_number(text) == []


def test_letters_find_a_number_too():
    for typed in ("flowers", "flow", "800flow", "1"):
        assert stands_in(number_prefixes(typed), "1-800-FLOWERS")
    assert not stands_in(number_prefixes("fl"), "1-800-FLOWERS")


def test_number_words():
    assert number_words("15002") == ["+15002", "#15002", "#5002", "#002"]
    assert number_words("12") == ["+12"]
    assert number_words("☎") == []
    assert number_words("030 1234", GERMANY)[:3] == ["+0049301234", "+49301234", "+0301234"]


DIGITS = st.text("0123456789", min_size=1, max_size=20)
BETWEEN = st.sampled_from(["", " ", "-", ".", "/", "\u00a0", "–", " - ", "\u200b", ") "])


@given(DIGITS, st.data(), st.sampled_from(["", "+", "tel:", "(+"]), st.sampled_from([NO_COUNTRY, GERMANY, AMERICA]))
def test_a_number_has_one_key_however_it_is_punctuated(digits, data, before, plan):
    written = before + "".join(digit + data.draw(BETWEEN) for digit in digits)
    plain = ("+" if "+" in before else "") + digits
    assert number_key(written, plan) == number_key(plain, plan)
    assert number_words(written, plan) == number_words(plain, plan)
    for suffix in (" x123", "ext. 123", ",,123#", ";ext=123", " , 7"):
        assert number_key(written + suffix, plan) == number_key(plain, plan)


@given(DIGITS, st.sampled_from("٠०๐０೦𝟎"))
def test_digits_of_every_script_are_digits(digits, zero):
    assert number_key("".join(chr(ord(zero) + int(digit)) for digit in digits)) == number_key(digits)


@given(st.text(), st.sampled_from([NO_COUNTRY, GERMANY]))
def test_the_key_of_any_text_holds_letters_and_digits(text, plan):
    key = number_key(text, plan)
    assert key == "" or key.removeprefix("+").isalnum()
    assert number_key(key, plan) == key
    assert (number_words(text, plan) == []) == (key == "")


@given(st.from_regex(r"\A\+?[0-9]{1,20}\Z"), st.data(), st.sampled_from([NO_COUNTRY, GERMANY, AMERICA]))
def test_three_digits_find_a_number_anywhere_and_fewer_at_its_start(number, data, plan):
    key = number_key(number, plan)
    digits = key.removeprefix("+")
    start = data.draw(st.integers(0, len(digits) - 1))
    end = data.draw(st.integers(start + 1, len(digits)))
    assert finds(digits[start:end], number, plan) or (end - start < 3 and start > 0)
    assert finds(number[: data.draw(st.integers(1 + number.startswith("+"), len(number)))], number, plan)


@given(st.from_regex(r"\A[1-9][0-9]{5,11}\Z"))
def test_the_spellings_of_a_national_number_find_each_other(number):
    spellings = [f"+49 {number}", f"0049{number}", f"+49 (0){number}", f"0{number}", f"(0){number}"]
    assert len({number_key(spelling, GERMANY) for spelling in spellings}) == 1
    for typed in spellings:
        for stored in spellings:
            assert finds(typed, stored, GERMANY)


@pytest.mark.parametrize(
    "text", ["1" + "," * 100_000 + "a", "1 " * 50_000 + "x", "1x" * 50_000, "(0" * 50_000, "1ext" * 25_000]
)
def test_long_text_is_fast(text):
    began = time.perf_counter()
    number_key(text)
    typed_number(text)
    assert time.perf_counter() - began < 2

"""Phone numbers as text: the key by which they are compared, and the words by which they are found."""

import re
from functools import lru_cache
from types import SimpleNamespace
from unicodedata import digit

from flask import Flask

from contacts.text import same_key

# The numbering plan of the site: digits only. Without a country code, national numbers stay as they are.
plan = SimpleNamespace(country_code="", trunk_prefix="0", international_prefix="00")


def plan_text() -> str:
    """Return the numbering plan as the directory notes it."""
    return ",".join(vars(plan).values())


# What stands behind a prefix: at least five digits or letters, no 0 first. 0, 00, 000, 15002 and 0815 have no prefix.
_behind_prefix = re.compile(r"[1-9][^\W_]{4}")

# A pause (, or ;) before a digit or a parameter of RFC 3966; ext; x, if no letters follow but such a parameter. Behind
# a number only; behind its letters (1-800-FLOWERS x12), ext and x stand alone.
_SUFFIX = re.compile(
    r"(?:(?<=[^\W_])(?:[^\w,;]|_)*+[,;][\W_]*+(?:(?:ext(?:ension|n)?[\W_]*+)?(?=\d)|[a-z-]+=)"
    r"|(?:(?<=\d)[\W_]*+|(?<=[^\W\d_])[\s(]++)"
    r"(?:ext(?:ension|n)?[\W_]*+(?=\d)|x[\W_]*+(?=\d)[\W\d_]*+(?:[a-z-]+=|\Z))).*",
    re.DOTALL,
)
_SUFFIX_SIGN = re.compile("[,;x]")  # each suffix has one; most numbers have none
_TYPED_SUFFIX = re.compile(r"(?<=\d)[\s(,;]+(?:x|e|ex|ext|exte(?:n(?:s(?:i(?:on?)?)?)?)?)?[\s.:]*\Z")
# The 0 that is not dialled behind a country code. What is being typed may end in it.
_BRACKETED_ZERO = re.compile(r"\(\s*0\s*(?:\)|\Z)")
_NOT_DIALLED = re.compile(r"[^\w+]|_")
_PATTERN_PARTS = re.compile(r"[^\W_]+|\*")
_STARS = re.compile(r"\*+")
_NUMBER_ALONE = re.compile(r"(?=.*\d)[\d+\s()./-]+")

NUMBER_START, NUMBER_PART = "+", "#"  # marks before the words of numbers: no words of text have them
NUMBER_WORD_CHARACTERS = 32  # by which numbers are compared


@lru_cache(maxsize=4096)  # a number is asked for its key and its words
def number_key(text: str) -> str:
    """Return the key of the same number, "" if text has no letters and digits.

    An international number begins with +, as does a national one when the plan has a country code. Suffixes are cut:
    the key of 030;;12,5 is 030, as the pauses are no part of the number.
    """
    number = _dialled(number_text(text))
    if number.startswith("+"):
        return number if number != "+" else ""
    national_prefix = plan.trunk_prefix if plan.country_code else ""
    for prefix, country in ((plan.international_prefix, ""), (national_prefix, plan.country_code)):
        behind = number.removeprefix(prefix)
        if behind != number and _behind_prefix.match(behind):
            return f"+{country}{behind}"
    return number


def split_numbers(text: str) -> list[str]:
    """Return the numbers of a list with commas. Two commas or more begin a suffix."""
    return [number.strip() for number in re.split("(?<!,),(?!,)", text) if number.strip(", ")]


def number_words(text: str) -> list[str]:
    """Return the words under which a number is found: it from its start, and from each place with three digits left.

    An international number has them as it is dialled in the country of the plan, too, and its start as from abroad.
    """
    key = number_key(text)
    spellings = number_spellings(key)
    abroad = [plan.international_prefix + key[1:]] if key.startswith("+") else []
    starts = [NUMBER_START + number[:NUMBER_WORD_CHARACTERS] for number in (*abroad, *spellings)]
    parts = [NUMBER_PART + each[i : i + NUMBER_WORD_CHARACTERS] for each in spellings for i in range(len(each) - 2)]
    return list(dict.fromkeys(starts + parts))


def number_spellings(key: str) -> list[str]:
    """Return the letters and digits of a number_key, and those that reach the number within the country of the plan."""
    digits = key.removeprefix("+")
    within = digits.removeprefix(plan.country_code) if digits != key else digits
    return list(filter(None, [digits, plan.trunk_prefix + within if within != digits else ""]))


def typed_number(text: str) -> list[str]:
    """Return the starts of number_words that typed text looks for; none if it is not a number alone."""
    number = number_text(text)
    return number_prefixes(_dialled(number)) if _NUMBER_ALONE.fullmatch(number) else []


def whole_number_starts(text: str) -> list[str]:
    """Return the start of number_words that typed text looks for as a whole, with letters (0800 TAXI 24)."""
    number = _dialled(_TYPED_SUFFIX.sub("", number_text(text))).removeprefix("+")
    return [NUMBER_START + number[:NUMBER_WORD_CHARACTERS]] if number else []


def number_prefixes(number: str) -> list[str]:
    """Return the starts of number_words that letters and digits look for.

    Below three, behind a + and behind the international prefix it is the start of a number.
    """
    typed = number.removeprefix("+")
    abroad = plan.international_prefix and typed.startswith(plan.international_prefix)
    marks = [NUMBER_START] if typed != number or len(typed) < 3 else [NUMBER_PART, *[NUMBER_START] * bool(abroad)]
    return [mark + typed[:NUMBER_WORD_CHARACTERS] for mark in marks if typed]


def wildcard_number(pattern: str) -> str:
    """Return the letters, digits and * of a pattern (as same_key has it); "" if it has stars alone."""
    kept = _STARS.sub("*", _with_digits("".join(_PATTERN_PARTS.findall(pattern))))
    return kept if kept.strip("*") else ""


def number_text(text: str) -> str:
    """Return text folded, digits of every script as 0 to 9, without tel: and suffix."""
    text = text.lower() if text.isascii() else _with_digits(same_key(text))
    text = text.lstrip().removeprefix("tel:")
    return _SUFFIX.sub("", text, count=1) if _SUFFIX_SIGN.search(text) else text


def _with_digits(text: str) -> str:
    """Return text with digits of every script as 0 to 9."""
    return text if text.isascii() else "".join(str(digit(c)) if c.isdigit() else c for c in text)


def _dialled(text: str) -> str:
    """Return the letters and digits of folded text, behind a + if it begins with one."""
    country, *rest = _BRACKETED_ZERO.split(text, maxsplit=1)
    dialled = _NOT_DIALLED.sub("", country)
    if rest:
        international = dialled.startswith(("+", plan.international_prefix or "+"))
        dialled += ("" if international else "0") + _NOT_DIALLED.sub("", rest[0])
    return dialled[:1] + dialled[1:].replace("+", "")


def init_app(app: Flask) -> None:
    """Take the numbering plan from the settings."""
    for name in vars(plan):
        setattr(plan, name, app.config[name.upper()])
    number_key.cache_clear()

"""The rules of text: what a value may hold, and how values are compared and found."""

import re
from collections.abc import Iterable
from unicodedata import category, combining, normalize

# Two of these stand before every word of the search index. Values hold no control characters.
MARK = "\x02"

# Cc: tab, newline, NUL and the like; Zl and Zp: the line and paragraph separators of Unicode.
_LINE_BREAKING = {"Cc", "Zl", "Zp"}


def clean(value: str, longest: int) -> str:
    """Return the value as it is stored: one line, trimmed, in Unicode NFC.

    Raise ValueError with the reason when it holds control characters or unpaired surrogates, and
    LengthError when it is blank or has more than `longest` characters.
    """
    check_characters(value)
    value = value.strip()
    # NFC makes one character of four at the most, and takes long for very many.
    if not value.isascii() and len(value) <= 4 * longest:
        value = normalize("NFC", value)
    if not value:
        raise LengthError("Must not be blank.")
    if len(value) > longest:
        raise LengthError(f"Must not be longer than {longest} characters (has {len(value)}).")
    return value


class LengthError(ValueError):
    """A value is blank or too long."""


def check_characters(value: str) -> None:
    """Raise ValueError when text holds control characters or unpaired surrogates."""
    if value.isprintable():
        return
    for character in value:
        if category(character) in _LINE_BREAKING:
            raise ValueError(f"Control characters are not allowed (found U+{ord(character):04X}).")
        if category(character) == "Cs":
            raise ValueError(f"Not valid Unicode (an unpaired surrogate, U+{ord(character):04X}).")


def fold(text: str) -> str:
    """Return the key by which text is compared without regard to case.

    Canonical caseless matching as Unicode defines it (The Unicode Standard, D145): ЖУК and Жук,
    STRASSE and Straße have the same key.
    """
    if text.isascii():
        return text.lower()
    return normalize("NFC", normalize("NFD", text).casefold())


def number_key(text: str) -> str:
    """Return the key by which phone numbers are compared: letters and digits, without case."""
    return "".join(filter(str.isalnum, fold(text)))


class _WithoutAccents(dict[int, str]):
    """A table for str.translate, filled as characters are met."""

    def __missing__(self, code: int) -> str:
        letters = [c for c in normalize("NFD", chr(code)) if not combining(c)]
        self[code] = normalize("NFC", "".join(letters))
        return self[code]


_without_accents = _WithoutAccents()


def plain(text: str) -> str:
    """Return text without case and accents, character by character: a part of it stays a part."""
    return without_accents(fold(text))


def without_accents(key: str) -> str:
    """Return a key (of fold or number_key) without accents."""
    return key if key.isascii() else key.translate(_without_accents)


_behind_no_letter = re.compile(r"(?<=[\W_])[^\W_]")


def inner_words(word: str) -> list[str]:
    """Return the two characters with which words start inside a word: smith in doe-smith, mueller in anna.mueller.

    They start at a letter or digit behind what is neither, nor a mark that belongs to a letter (as vowels do in
    Indian scripts).
    """
    starts = [found.start() for found in _behind_no_letter.finditer(word)]
    return [word[start : start + 2] for start in starts if category(word[start - 1])[0] != "M"]


def search_words(keys: Iterable[str | None]) -> str:
    """Return what the search index holds of a contact's names, given their keys: each word once, marked."""
    words = dict.fromkeys(without_accents(" ".join(filter(None, keys))).split())
    inner = dict.fromkeys(start for word in words if not word.isalnum() for start in inner_words(word))
    return f" {MARK}{MARK}".join(["", *words, *inner])


def search_number(key: str) -> str:
    """Return what the search index holds of a phone number, given its key."""
    return MARK + MARK + without_accents(key)

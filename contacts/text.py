"""The rules of text: which values are valid, and the keys by which values are compared and found."""

import re
from collections.abc import Iterable, Sequence
from unicodedata import category, combining, normalize

# The marks of the search index; values hold no control characters. The index finds three characters in a row:
# with these marks, three tell where a value starts and ends, where a word starts, and hold one or two alone.
START, END, WORD, BETWEEN = "\x01", "\x03", "\x02\x02", "\x04"
EDGE = END + START

# So many characters of a value's start stand behind its end, so that the index finds what starts and ends with a text.
HEAD = 2

# Cc: tab, newline, NUL and the like; Zl and Zp: the line and paragraph separators of Unicode.
_LINE_BREAKING = {"Cc", "Zl", "Zp"}


def clean(value: str, longest: int) -> str:
    """Return the value as it is stored: one line, trimmed, in Unicode NFC.

    Raise ValueError with the reason if it has control characters or unpaired surrogates, and LengthError if it is blank
    or has more than `longest` characters.
    """
    check_characters(value)
    value = value.strip()
    # NFC makes one character of at most four, and takes long for very many.
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
    """Raise ValueError if text has control characters or unpaired surrogates."""
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


# Words start behind a blank, and at a letter or digit behind what is neither: smith in Doe-Smith and anna.smith.
_word_start = re.compile(r"(?<=\s)(?=\S)|(?<=[\W_])(?=[^\W_])")


def marked(text: str) -> str:
    """Return text with WORD before every word in it but the first; of a part, it is a part of the whole's."""
    if text.isalnum():
        return text
    if text.isascii():
        return _word_start.sub(WORD, text)
    # A mark that belongs to a letter (as vowels do in Indian scripts) is neither letter nor digit.
    return _word_start.sub(lambda found: "" if category(text[found.start() - 1])[0] == "M" else WORD, text)


def search_text(keys: Sequence[str]) -> str:
    """Return the text in the search index for a contact's names, or for its number, given their keys.

    The values with marks at their edges and words, each with its head behind its end, and then once more with marks
    between the characters: so any one or two characters are found as three in a row, too.
    """
    parts: list[str] = []
    for key in sorted(keys, key=len, reverse=True):
        if not any(key in part for part in parts):
            parts.append(key)
    apart = [BETWEEN.join(["", *part, ""]) for part in parts]
    whole = [f"{EDGE}{text}{EDGE}{text[:HEAD]}{BETWEEN}" for text in map(marked, dict.fromkeys(keys))]
    return "".join(whole + apart)


def plain_text(keys: Iterable[str]) -> str | None:
    """Return the text in the search index for a search without accents: of the values that have some, or None."""
    plain_keys = dict.fromkeys(plain_key for key in keys if (plain_key := without_accents(key)) != key)
    return EDGE + "".join(marked(key) + EDGE for key in plain_keys if key) if plain_keys else None

"""The rules of text: what a value may hold, and the keys and words by which values are compared, sorted and found."""

import re
from functools import lru_cache
from unicodedata import category, combining, digit, name, normalize

from anyascii import anyascii

# Character classes, as they stand between the brackets of a regular expression.
# Format characters (Cf) without a shape of their own, and the fillers of Hangul.
_FORMAT = (
    "\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
)
# Invisible characters that say how the one before them looks: variation selectors, the tags of flags.
_SELECTORS = "\u034f\u17b4\u17b5\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0000-\U000e0fff"
_BLANKS = r"\s\u2800"
# The signs that kill a vowel in Indic scripts. A joiner behind one shapes the letter: Malayalam names end so.
_VIRAMAS = "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca"
# Scripts without blanks between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese; in Korean, names have none.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u312f\u31a0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)

_REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TRIMMED = f"[{_BLANKS}{_FORMAT}{_SELECTORS}]"
_EDGE = re.compile(_TRIMMED)
_BLANK = re.compile(f"{_TRIMMED}*+")
# Each part matches at one place of a run of blanks at most, so that a long run takes no longer than its length.
_EDGES = re.compile(
    rf"\A{_TRIMMED}++"
    rf"|(?:(?<![{_BLANKS}{_FORMAT}{_VIRAMAS}])|(?<=[{_VIRAMAS}])(?![\u200c\u200d])|(?<=[{_VIRAMAS}][\u200c\u200d]))"
    rf"[{_BLANKS}{_FORMAT}]++\Z"
)
_IGNORED = re.compile(f"[{_FORMAT}{_SELECTORS}]+")
_APOSTROPHES = re.compile(
    "[`\u00b4\u02b9\u02bb-\u02bf\u02c8\u02ca\u02cb\u0374\u0384\u055a\u05f3\u07f4\u07f5\u1fbd\u1fef\u1ffd"
    "\u2018\u2019\u201b\u2032\u2035\ua78b\ua78c\uff07\uff40]"
)
_HYPHENS = re.compile("[\u02d7\u058a\u05be\u1400\u1806\u2010-\u2015\u2043\u2212\u2e3a\u2e3b\U00010ead]")
_DOTTED_I = re.compile("i\u0307+")


class LengthError(ValueError):
    """A value is blank or too long."""


def clean(value: str, longest: int) -> str:
    """Return the value as it is stored: one line, trimmed, in Unicode NFC.

    Raise ValueError with the reason when it holds control characters or unpaired surrogates, and
    LengthError when it is blank or has more than `longest` characters.
    """
    check_characters(value)
    if value.isascii():
        value = value.strip()
    else:
        if _EDGE.search(value[0] + value[-1]):  # else _EDGES tries each place of the value in vain
            value = _EDGES.sub("", value)
        # NFC makes one character of four at the most, and takes long for very many.
        if len(value) <= 4 * longest:
            value = normalize("NFC", value)
    if not value:
        raise LengthError("Must not be blank.")
    if len(value) > longest:
        raise LengthError(f"Must not be longer than {longest} characters (has {len(value)}).")
    return value


def is_blank(value: str) -> bool:
    """Return whether nothing is left of a value when it is trimmed."""
    return _BLANK.fullmatch(value) is not None


def check_characters(value: str) -> None:
    """Raise ValueError when text holds control characters, line separators or unpaired surrogates."""
    if value.isprintable() or not (found := _REFUSED.search(value)):
        return
    code = ord(found[0])
    if category(found[0]) == "Cs":
        raise ValueError(f"Not valid Unicode (an unpaired surrogate, U+{code:04X}).")
    raise ValueError(f"Control characters are not allowed (found U+{code:04X}).")


@lru_cache(maxsize=4096)  # a value is asked for its keys and its words
def same_key(text: str) -> str:
    """Return the key of the same text: ЖУК and Жук, STRASSE and Straße, O’Neill and O'Neill have one.

    Compatibility caseless matching (The Unicode Standard, D146), without invisible characters. The key of a key
    is the key itself.
    """
    if text.isascii():
        return " ".join(text.lower().replace("`", "'").split())
    folded = _folded(text)
    while folded != text:
        text, folded = folded, _folded(folded)
    return folded


def _folded(text: str) -> str:
    text = _HYPHENS.sub("-", _APOSTROPHES.sub("'", _IGNORED.sub("", text)))
    text = _DOTTED_I.sub("i", normalize("NFKD", text).casefold())
    return " ".join(normalize("NFKC", text).split())


# Marks that are no accents, by their combining class: vowel signs, viramas, the voiced sound mark of kana.
_LETTER_MARKS = {0, 8, 9, 84, 91, 103, 118, 129, 130, 132}

# The breve of й makes another letter, which stands behind и. The Arabic tatweel only stretches a word.
_PLAIN_LETTERS = {"й": "й", "ـ": ""}


@lru_cache(maxsize=10_000)
def _plain_letter(character: str) -> str:
    """Return a character of a same_key without accents, Latin letters as a to z, digits of every script as 0 to 9."""
    if character in _PLAIN_LETTERS:
        return _PLAIN_LETTERS[character]
    if character.isdigit():
        return str(digit(character))
    if name(character, "").startswith("LATIN"):
        return "".join(filter(str.isalnum, anyascii(character).lower())) or character
    return normalize("NFC", "".join(c for c in normalize("NFD", character) if combining(c) in _LETTER_MARKS))


_NUMBER = re.compile("[0-9]+")
_LEADING_ZEROS = re.compile("0(?<![0-9]0)0*(?=[0-9])")  # begins with a character that is soon looked for


@lru_cache(maxsize=4096)  # many people share a first or last name
def order_key(text: str) -> str:
    r"""Return the key of the order of text, for comparison by code points or by the bytes of UTF-8.

    It is the text without accents, numbers in order of value, up to a mark: "ann" is "ann\x02", as that is all there is
    to it. Of text with accents, or with zeros before a number, the same_key follows, so that equal keys mean the same
    text; the mark says on which side of the plain text it stands: "änn" is "ann\x03änn", and "queue 02" is
    "queue 02\x01queue 02" before "queue 2", which is "queue 02\x02".
    """
    same = same_key(text)
    if same.isascii() and not _NUMBER.search(same):  # as most are
        return f"{same}\x02"
    plain = _plain(same)
    least = _LEADING_ZEROS.sub("", plain)
    start = _NUMBER.sub(_ordered_number, plain)
    if same == least:
        return f"{start}\x02"
    return f"{start}\x01{same}" if same < least else f"{start}\x03{same}"


def order_start(text: str) -> str:
    """Return the start that the order_key of all text has that begins like this, accents or not; a number is whole."""
    return _NUMBER.sub(_ordered_number, _plain(same_key(text)))


def _plain(same: str) -> str:
    return same if same.isascii() else "".join(map(_plain_letter, same))


def _ordered_number(found: re.Match[str]) -> str:
    # The number of digits stands in front, so that a longer number is a greater one: 0 for one digit to 8 for nine,
    # 90 for ten to 98 for eighteen, 990 for nineteen and so on. Queue 2 becomes queue 02, Queue 10 queue 110.
    digits = found[0].lstrip("0") or "0"
    nines, rest = divmod(len(digits) - 1, 9)
    return f"{'9' * nines}{rest}{digits}"


_ASCII_WORD = re.compile("[a-z0-9]+")
_LETTER = re.compile(r"[^\W_]")

# Words of scripts without blanks are compared by this many characters of them.
UNSPACED_WORD_CHARACTERS = 32


def words(text: str) -> list[str]:
    """Return the words of text, folded: runs of letters, digits and their marks. An apostrophe joins."""
    key = same_key(text)
    if "'" in key:
        key = same_key(key.replace("'", ""))
    if key.isascii():
        return _ASCII_WORD.findall(key)
    runs = "".join(c if c.isalnum() or category(c)[0] == "M" else " " for c in key).split()
    return [run[letter.start() :] for run in runs if (letter := _LETTER.search(run))]


_unspaced = re.compile(f"[{_UNSPACED}]")
_word_start = re.compile(rf"\A.|[{_UNSPACED}]|(?<=[{_UNSPACED}])[^{_UNSPACED}]", re.DOTALL)


def word_starts(word: str) -> list[str]:
    """Return the word from each place where it can be found: its start and, in scripts without blanks, each letter."""
    if word.isascii() or not _unspaced.search(word):
        return [word]
    places = [found.start() for found in _word_start.finditer(word) if category(found[0])[0] != "M"]
    return list(dict.fromkeys(_shortened(word[place:]) for place in places))


def _shortened(word: str) -> str:
    return word[:UNSPACED_WORD_CHARACTERS] if _unspaced.match(word) else word


_WRITTEN_OUT = {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"}


SPELLINGS = 4


def spellings(word: str) -> list[str]:
    """Return the four ways to write a word: as it is, plain, with umlauts written out, and in Latin letters.

    Plain is without accents, and with letters taken apart: soren for søren. Each is made character by character, so
    that the spellings of a word's start are the starts of the word's spellings.
    """
    if word.isascii():
        return [word] * SPELLINGS
    word = _shortened(word)
    plain = "".join(map(_plain_letter, word))
    written_out = "".join(_WRITTEN_OUT.get(character) or _plain_letter(character) for character in word)
    # Greek ου is ou to everybody, and oy to the library.
    latin = "".join(filter(str.isalnum, anyascii(re.sub("ο[υύὐὑὒὓὔὕὖὗὺῦ]", "ou", word)).lower()))
    return [word, plain, written_out, latin or word]


def word_forms(word: str) -> list[str]:
    """Return the forms under which a word (of words or word_starts) is found, each once.

    What is typed finds a word when any form of the one is the start of any form of the other.
    """
    return [word] if word.isascii() else list(dict.fromkeys(filter(None, spellings(word))))

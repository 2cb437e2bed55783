r"""How contacts are found by words: what is stored of a contact for it, and what q looks for.

Two columns of schema.sql serve it. `words` is indexed: the words of the name, each with all its forms, in their order,
then other words, those of the userName and of the number with a mark in front. `texts` is tested, also by patterns.py:
values as same_key has them, then the number in the ways to dial it.

    words: " søren  soren  soeren | wolf \n!swolf +0045123 +45123 #45123 #5123 #123"
    texts: "<VALUE>søren wolf<VALUE>swolf<VALUE><NUMBER>45123<ABROAD>"
"""

import glob
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import peewee
from rapidfuzz import process
from rapidfuzz.distance import OSA

from contacts.database import Compiled, Table
from contacts.phone import (
    NUMBER_WORD_CHARACTERS,
    number_key,
    number_prefixes,
    number_spellings,
    number_text,
    number_words,
    typed_number,
    whole_number_starts,
    wildcard_number,
)
from contacts.text import SPELLINGS, order_key, order_start, same_key, spellings, word_forms, word_starts, words

# The marks of texts: in front of and behind values; in front of the ways to dial a number; behind the one that its key
# has, international or not, and behind others.
VALUE, NUMBER, ABROAD, HERE, DIALLED = "\x01", "\x02", "\x03", "\x04", "\x05"

# Finds no contact.
NOTHING = '""'

# The marks of words: none of those of names. Nobody shares those of a userName, so that inside and similar would look
# through them in vain.
NAME, LOGIN = "", "!"
# The mark of a number's letters and digits as they are written, where it is dialled otherwise. For patterns alone.
WRITTEN = "%"
# All words with marks stand before this one.
FIRST_UNMARKED = "0"

# Words of fewer characters are found by their starts alone.
MIN_INSIDE = 3
# Words of so many letters may have two slips, shorter ones have one.
TWO_SLIPS = 8
# So many of the words that hold those of a search, or are similar to them, are looked for, of all its words together;
# the shortest, or the nearest. SQLite takes 5 KiB of memory for each.
MAX_ALTERNATIVES = 2000


def search_columns(values: Sequence[tuple[str, str]], number: str) -> dict[str, str]:
    """Return the columns texts and words for values, each with its mark, the name first, and for a number or ""."""
    named = [word_forms(word) for word in words(values[0][1])]
    found = dict.fromkeys(mark + form for mark, value in values for form in forms(value))
    of_name = set().union(*named)
    others = [word for word in (*found, *number_words(number)) if word not in of_name]
    texts = [VALUE + same_key(value) for _, value in values]
    key = number_key(number)
    ends = (ABROAD if key.startswith("+") else HERE, DIALLED)
    spelled = number_spellings(key)
    dialled = [f"{NUMBER}{digits}{end}" for digits, end in zip(spelled, ends, strict=False)]
    if (written := wildcard_number(same_key(number).replace("*", ""))) and written not in spelled:
        dialled.append(f"{NUMBER}{written}{DIALLED}")
        others.append(WRITTEN + written[:NUMBER_WORD_CHARACTERS])
    return {
        "words": "|".join("".join(f" {form} " for form in each) for each in named) + "\n" + " ".join(others),
        "texts": "".join((*texts, VALUE, *dialled)),
    }


@lru_cache(maxsize=4096)  # many people share a first or last name
def forms(value: str) -> tuple[str, ...]:
    """Return the forms of the words of a value, from each place where they can be found."""
    return tuple(form for word in words(value) for start in word_starts(word) for form in word_forms(start))


class Vocabulary(Table):
    """The words that the index has: https://www.sqlite.org/fts5.html#the_fts5vocab_virtual_table_module."""

    term = peewee.TextField(primary_key=True)

    class Meta:
        table_name = "contact_vocabulary"


WORDS_OF_NAMES = Compiled(Vocabulary.select(Vocabulary.term).where(Vocabulary.term >= FIRST_UNMARKED))


class Way(NamedTuple):
    """A way to read a part of q: names have all these words, and the number has a word with one of these starts."""

    words: list[str]
    number_starts: list[str]


# A part of q, which is read in any of these ways.
Term = list[Way]

# Groups of digits that stand alone, letters that they are joined with, and a suffix: 01 23 45, 1-800-flo, 030 5 x12.
_dialled = re.compile(
    r"(?<![^\s,;:/.-])[+(]*\d+(?:[\s()./-]+\d+)*(?:[./-]\w+)*(?:\s*(?:x|ext(?:ension)?)[\s.:]*\d+)?(?![^\s,;:)/.-])"
)
_group = re.compile(r"[^\W_]+")

# So many groups of digits are read as the end of a name before a number: Queue 10 15002.
MAX_GROUPS_OF_NAME = 4


def terms(text: str) -> list[Term]:
    """Return the terms of q: digits in whatever groups are one."""
    if typed_number(text):
        return [ways(text)]
    text, place, found = same_key(text), 0, []
    for run in _dialled.finditer(text):
        found += [ways(word) for word in words(text[place : run.start()])]
        found.append(ways(run[0]))
        place = run.end()
    return found + [ways(word) for word in words(text[place:])]


def ways(run: str) -> Term:
    """Return the ways to read a word, or digits in groups: as words of names, as one number, or as both.

    Both are digits of a name before a number (10 15002) and letters behind one (15002-joe).
    """
    number = number_text(run)
    found = [Way(words(run), []), Way([], number_starts(number))]
    for group in list(_group.finditer(number))[1 : MAX_GROUPS_OF_NAME + 1]:
        before, behind = number[: group.start()], number[group.start() :]
        if group[0].isalpha():
            found.append(Way(words(behind), number_starts(before)))
        elif not before.startswith("+"):
            found.append(Way(words(before), number_starts(behind)))
    return [way for way in found if way.words or way.number_starts]


def number_starts(text: str) -> list[str]:
    """Return the starts of a number's words that letters and digits look for."""
    return typed_number(text) or number_prefixes(wildcard_number(text))


def any_of(starts: Iterable[str], wholes: Iterable[str] = ()) -> str:
    """Return what looks for words that start like one of these, or are one of those, in the language of the index."""
    return "(" + " OR ".join([*map('"{}"*'.format, starts), *map('"{}"'.format, wholes)]) + ")"  # words hold no quotes


def word_query(word: str, alternatives: Iterable[str] = ()) -> str:
    """Return what looks for the words that begin with a word in any of its forms, or that are one of the others."""
    return any_of([mark + form for form in word_forms(word) for mark in (NAME, LOGIN)], alternatives)


def terms_query(asked: list[Term], alternatives: Mapping[str, Iterable[str]]) -> str:
    """Return what looks for the contacts that all terms find, none without terms; `alternatives` by word."""
    terms = []
    for term in asked:
        ways = []
        for way in term:
            parts = [word_query(word, alternatives.get(word, ())) for word in way.words]
            numbers = [any_of(way.number_starts)] if way.number_starts else []
            ways.append(" AND ".join(parts + numbers))
        terms.append(f"(({') OR ('.join(ways)}))")
    return " AND ".join(terms) or NOTHING


def rank_values(text: str) -> dict[str, Any]:
    """Return the values of statements.RANK, by which the hits of q are ranked."""
    typed = words(text)
    number = number_key(text)
    in_order = zip(*map(spellings, typed), strict=True)
    orders = [*dict.fromkeys(f"*{'*|*'.join(f' {word} ' for word in way)}*\n*" for way in in_order), *[""] * SPELLINGS]
    same, start = same_key(text), order_start(text)
    # The order has numbers as wholes: what begins with queue 1, as Queue 10 does, is found among queues with numbers.
    base = re.sub(r"[0-9]+\Z", "", start)
    is_number = base != start
    return {
        "whole_key": order_key(text),
        "whole_number": number or None,
        "whole": f"*{VALUE}{glob.escape(same)}{VALUE}*",
        "whole_dialled": f"*{NUMBER}{number.strip('+')}{ABROAD if '+' in number else HERE}*" if number else "",
        "whole_words": " AND ".join(any_of([], word_forms(word)) for word in typed),
        **{f"in_order_{i}": orders[i] for i in range(SPELLINGS)},
        "base": f"{base}0" if is_number else base,
        "end": f"{base}9\U0010ffff" if is_number else f"{base}\U0010ffff",
        "start": f"{glob.escape(start)}*",
        "start_text": f"{VALUE}{glob.escape(same)}*",
    }


def inside(word: str, known: list[str], most: int) -> list[str]:
    """Return the known words that hold a word, the shortest first, so many at most."""
    if len(word) < MIN_INSIDE:
        return []
    found = {other for form in word_forms(word) for other in known if form in other}
    return sorted(found, key=lambda other: (len(other), other))[:most]


def similar(word: str, known: list[str], most: int) -> dict[str, int]:
    """Return the known words that are a slip or two away, so many at most, each with the number of slips.

    It is the distance of optimal string alignment. Digits alone are a number, which resembles no other.
    """
    found: dict[str, int] = {}
    slips = 2 if len(word) >= TWO_SLIPS else 1
    for form in word_forms(word) if len(word) >= MIN_INSIDE and any(map(str.isalpha, word)) else ():
        near = process.extract(form, known, scorer=OSA.distance, score_cutoff=slips, limit=most)
        for other, distance, _ in near:
            found[other] = min(distance, found.get(other, distance))
    return found


def matches(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the matches of what was typed, the best first: each by its name in the answer, with the values to bind."""
    asked = terms(text)
    found = terms_query(asked, {})
    if len(asked) > 1 and (whole := whole_number_starts(text)):  # one term looks for it by itself
        found = f"({found} OR {any_of(whole)})"
    yield "start", {"index_query": found, **rank_values(text)}
    if not asked:  # marks alone
        return
    typed = dict.fromkeys(word for term in asked for way in term for word in way.words)
    known = [row[0] for row in WORDS_OF_NAMES.execute({})]
    most = MAX_ALTERNATIVES // len(typed)  # each term has words
    yield "inside", {"index_query": terms_query(asked, {word: inside(word, known, most) for word in typed})}
    near = {word: similar(word, known, most) for word in typed}
    # For each word and each number of slips below its most, what looks for the words within it: the more of these find
    # a contact, the nearer it is.
    levels = [
        word_query(word, [each for each, slips in found.items() if slips <= level])
        for word, found in near.items()
        for level in range(max(found.values(), default=0))
    ]
    yield "similar", {"index_query": terms_query(asked, near), "levels": json.dumps(levels)}

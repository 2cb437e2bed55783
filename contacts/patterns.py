"""filterParameters: how arguments with * are tested, in the column texts of schema.sql."""

import glob
import re
from collections.abc import Iterable
from typing import NamedTuple

from contacts.phone import NUMBER_START, NUMBER_WORD_CHARACTERS, wildcard_number
from contacts.search import ABROAD, DIALLED, NUMBER, VALUE, WRITTEN, any_of, word_query
from contacts.text import same_key, words


class Patterns(NamedTuple):
    """How the arguments of filterParameters are tested, all of them."""

    tests: tuple[str, ...]  # keys of statements.TESTS: the globs alone, where they tell
    index_query: str  # what finds all contacts that match and maybe others; "" if the index does not help
    glob: str  # of the first argument, in texts
    number_glob: str
    regexp: str  # of all arguments, in texts; "" where the globs tell


NO_PATTERNS = Patterns((), "", "", "", "")  # every contact matches


def pattern_tests(arguments: Iterable[str]) -> Patterns:
    """Return how the arguments are tested."""
    # Every contact has a name that * matches.
    texts = [text for each in arguments if (text := re.sub(r"\*+", "*", same_key(each))) != "*"]
    if not texts:
        return NO_PATTERNS
    numbers = [wildcard_number(each) for each in texts]
    queries = filter(None, map(start_query, texts, numbers))
    simple = len(texts) == 1 and all(len(each.strip("*").split("*")) == 1 for each in (texts[0], numbers[0]))
    both = zip(texts, numbers, strict=True)
    text_glob, number = glob.escape(texts[0]).replace("[*]", "*"), numbers[0]
    anywhere = text_glob.startswith("*") and text_glob.endswith("*")
    one_glob = not number or (anywhere and number == text_glob)
    return Patterns(
        ("text" if one_glob else "text or number", *(() if simple else ("regexp",))),
        " AND ".join(queries),
        text_glob if anywhere else f"*{VALUE}{text_glob}{VALUE}*",
        f"*{NUMBER}{number}[{ABROAD}-{DIALLED}]*",
        "" if simple else rf"(?s)\A{''.join(f'(?=.*?{regexp(*each)})' for each in both)}",
    )


def start_query(text: str, number: str) -> str:
    """Return what finds the contacts with a value that begins as a pattern does; "" if that says nothing."""
    starts = words(text.split("*", maxsplit=1)[0])
    digits = number.split("*", maxsplit=1)[0]
    if not starts or (number and not digits):
        return ""
    names = " AND ".join(map(word_query, starts))
    numbers = any_of([mark + digits[:NUMBER_WORD_CHARACTERS] for mark in (NUMBER_START, WRITTEN)])
    return f"(({names}) OR {numbers})" if number else names


def regexp(text: str, number: str) -> str:
    """Return the regular expression of a pattern for values, or for numbers."""
    either = [f"{VALUE}{between_stars(text)}{VALUE}"]
    if number:
        either.append(f"{NUMBER}{between_stars(number)}[{ABROAD}-{DIALLED}]")
    return f"(?:{'|'.join(either)})"


def between_stars(pattern: str) -> str:
    """Return the regular expression of a pattern within one value. Atomic groups: each part is looked for once."""
    within = f"[^{VALUE}-{DIALLED}]*"
    first, *middle, last = map(re.escape, pattern.split("*")) if "*" in pattern else (re.escape(pattern), "")
    if "*" not in pattern:
        return first
    return f"{first}{''.join(f'(?>{within}?{part})' for part in middle)}{within}{last}"

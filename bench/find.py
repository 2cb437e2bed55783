"""How many keystrokes it takes until q finds someone, beside the best order, and who is found in spite of spelling."""

import random
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import mean
from typing import Any
from unicodedata import combining, normalize

from faker import Faker
from flask.testing import FlaskClient

from app import create_app
from bench.people import fill_with
from contacts.database import db

LOCALES = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "pl_PL", "tr_TR", "sv_SE", "nl_NL")
PEOPLE = 1000  # of each locale
WANTED = 400
SEED = 1

TOP = 5  # where someone is seen while typing
PAGE = 20  # and once the whole name is typed
GOAL_RATIO = 1.03
GOALS = {"one slip in one of the names": 0.95, "accents left out": 1.0, "umlauts written out": 1.0}

PLAIN = str.maketrans({"ł": "l", "ø": "o", "ı": "i", "đ": "d", "ß": "ss", "æ": "ae"})
WRITTEN_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "ø": "oe"})

Person = tuple[str, str, str]  # the user name, and the first and last name as they are typed


def contacts() -> Iterator[dict[str, str]]:
    """Yield made-up Users, the same in each run, without Faker's broken names (N˜zamett˜n). Only names have letters."""
    for area, locale in enumerate(LOCALES, 10):
        fake = Faker(locale)
        fake.seed_instance(SEED)
        for number in range(area * PEOPLE, (area + 1) * PEOPLE):
            first, last = fake.first_name(), fake.last_name()
            if all(character.isalpha() or character in " '.-" for character in first + last):
                names = {"name": f"{first} {last}", "firstName": first, "lastName": last}
                yield {"type": "User", "userName": str(number), "phoneNumber": f"+49 30 {number}"} | names


def fill(path: Path, users: Iterable[dict[str, str]]) -> None:
    """Make a database of these."""
    fill_with(path, users)


def ask(client: FlaskClient, text: str, limit: int) -> list[str]:
    """Return the user names of the first contacts that the service finds."""
    agent: dict[str, Any] = {"headers": {"X-Role": "Agent"}, "environ_base": {"REMOTE_ADDR": "127.0.0.1"}}
    answer: Any = client.get("/contacts", query_string={"q": text, "limit": limit}, **agent)
    if answer.status_code != 200:
        raise RuntimeError(f"{text!r} is answered {answer.status_code}: {answer.text}")
    return [contact["userName"] for contact in answer.json["contacts"]]


def lower(name: str) -> str:
    """Return a name in small letters, each of them one character."""
    return normalize("NFC", name).replace("İ", "i").lower()


def plain(text: str) -> str:
    """Return text in small letters without accents."""
    return "".join(character for character in normalize("NFD", text.translate(PLAIN)) if not combining(character))


def words(text: str) -> list[str]:
    """Return the words of text in small letters, without accents."""
    return re.findall(r"[^\W_]+", plain(text).replace("'", ""))


class Best:
    """The best order: of all who share the typed starts those first of whose words the fewest letters are missing.

    Equals stand in the order of the name: an order cannot know who is wanted.
    """

    def __init__(self, people: list[Person]) -> None:
        self.missing: dict[str, dict[str, int]] = defaultdict(dict)  # letters, by the start of a word and the person
        self.names = {who: plain(f"{first} {last}") for who, first, last in people}
        for who, first, last in people:
            for word in sorted(words(f"{first} {last}"), key=len, reverse=True):
                for length in range(1, len(word) + 1):
                    self.missing[word[:length]][who] = len(word) - length

    def shows(self, text: str, wanted: str) -> bool:
        """Tell whether the wanted one is among the first of this order."""
        starts = [self.missing[word] for word in words(text)]
        shared = set(starts[0]).intersection(*starts[1:])
        places = {who: (sum(start[who] for start in starts), self.names[who]) for who in shared}
        return sum(place < places[wanted] for place in places.values()) < TOP


def starts(text: str) -> list[str]:
    """Return what is typed of a text after each keystroke but for blanks."""
    return [text[: place + 1] for place, character in enumerate(text) if character != " "]


def in_turn(first: str, last: str) -> list[str]:
    """Return what is typed when letters of both names take turns: a, a s, an s, an sm and so on."""
    one, other = ["", *starts(first)], ["", *starts(last)]
    counts = range(1, len(one) + len(other) - 1)
    firsts = [min(len(one) - 1, max((count + 1) // 2, count - len(other) + 1)) for count in counts]
    return [f"{one[letters]} {other[count - letters]}".strip() for count, letters in zip(counts, firsts, strict=True)]


def keystrokes(texts: list[str], shown: Callable[[str], bool]) -> int:
    """Return after how many keystrokes someone is shown: one more than there are when they never are."""
    return next((count for count, text in enumerate(texts, 1) if words(text) and shown(text)), len(texts) + 1)


def type_all(client: FlaskClient, best: Best, name: str, typed: dict[str, list[str]]) -> bool:
    """Type what finds each user name; print a line, and return whether the goal is met."""
    ours = [keystrokes(texts, lambda text, who=who: who in ask(client, text, TOP)) for who, texts in typed.items()]
    ideal = [keystrokes(texts, lambda text, who=who: best.shows(text, who)) for who, texts in typed.items()]
    never = sum(count > len(texts) for count, texts in zip(ours, typed.values(), strict=True))
    met = (ratio := mean(ours) / mean(ideal)) <= GOAL_RATIO
    print(f"| {name} | {mean(ours):.2f} | {mean(ideal):.2f} | {ratio:.3f} {'✓✗'[not met]} | {GOAL_RATIO} | {never} |")
    return met


def slip(text: str) -> str:
    """Return names with a random letter wrong, missing, doubled or swapped with the next."""
    chance, slipped = random.Random(f"{SEED} {text}"), text
    while plain(slipped) == plain(text):
        place = chance.choice([place for place, character in enumerate(text) if character.isalpha()])
        letter, after, wrong = text[place], text[place + 1 :], chance.choice("abcdefghijklmnopqrstuvwxyz")
        swapped = after[:1] + letter + after[1:] if after[:1].isalpha() else letter + after
        slipped = text[:place] + chance.choice((wrong + after, after, letter + letter + after, swapped))
    return slipped


def look_up(client: FlaskClient, name: str, spelled: dict[str, str]) -> bool:
    """Look up each user name by both names, spelled so; print a line, and return whether the goal is met."""
    share = mean(who in ask(client, text, PAGE) for who, text in spelled.items())
    met = share >= GOALS[name]
    print(f"| {name} | {len(spelled)} | {share:.1%} {'✓✗'[not met]} | {GOALS[name]:.0%} |")
    return met


def main() -> None:
    """Measure, print two tables, and exit with 1 when a goal is missed."""
    users = list(contacts())
    people = [(user["userName"], lower(user["firstName"]), lower(user["lastName"])) for user in users]
    wanted, best = random.Random(SEED).sample(people, WANTED), Best(people)
    print(f"{len(people):,} people of {len(LOCALES)} locales, {WANTED} of them wanted\n")
    with tempfile.TemporaryDirectory() as folder:
        fill(path := Path(folder) / "find.db", users)
        client = create_app({"DATABASE": str(path), "TRUSTED_PROXIES": "127.0.0.1", "URL_PREFIX": ""}).test_client()
        print(f"| keystrokes until among the first {TOP} | mean | best order | ratio | goal, at most | never found |")
        print("|---|---:|---:|---:|---:|---:|")
        typed = {
            "first letters of both names": {who: in_turn(first, last) for who, first, last in wanted},
            "last name first": {who: starts(f"{last} {first}") for who, first, last in wanted},
            "first name first": {who: starts(f"{first} {last}") for who, first, last in wanted},
        }
        met = [type_all(client, best, name, texts) for name, texts in typed.items()]
        print(f"\n| found among the first {PAGE} | people | share | goal |\n|---|---:|---:|---:|")
        names = {who: f"{first} {last}" for who, first, last in wanted}
        for name, spell in zip(GOALS, (slip, plain, lambda text: text.translate(WRITTEN_OUT)), strict=True):
            met.append(look_up(client, name, {who: spell(text) for who, text in names.items() if spell(text) != text}))
        db.close()
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()

"""How long the service takes to answer a list, inside the process: from the query string to the last byte.

The same queries over more and more contacts, the total and the order exact in each. Prints the growth in Markdown.
"""

import argparse
import json
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.parse import parse_qs, quote

from app import create_app
from bench import machine
from bench.people import DATA, database
from contacts import query
from contacts.attributes import ATTRIBUTES
from contacts.database import db
from contacts.parameters import ListQuery


class Goal(NamedTuple):
    """How long a query may take, in milliseconds."""

    p50: float
    worst: float


# By the number of contacts: of equality filters, sorts and pages; of q by starts; of patterns and other ways of q.
GOALS = {
    100_000: (Goal(1, 5), Goal(2, 25), Goal(60, 60), None),
    1_000_000: (Goal(1, 700), Goal(25, 250), Goal(700, 700), None),
}
FILTER, TYPED, PATTERN, REST = range(4)

SCHEMA = ListQuery()


class Group(NamedTuple):
    """Queries of one kind."""

    name: str
    goal: int  # which of GOALS
    queries: list[str]


class Measured(NamedTuple):
    """How long queries took, in milliseconds."""

    times: list[tuple[float, str]]

    @property
    def p50(self) -> float:
        """Return the median."""
        return median(taken for taken, _ in self.times)

    @property
    def slowest(self) -> tuple[float, str]:
        """Return how long the slowest took, and which it is."""
        return max(self.times)


def answer(asked: str) -> bytes:
    """Return the answer to a query string, as the service makes it."""
    body = query.list_contacts(SCHEMA.load(parse_qs(asked))).body
    return body if isinstance(body, bytes) else b"".join(body)


def groups(path: Path) -> Iterator[Group]:
    """Yield what is asked of a database, chosen by what it holds."""
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM contact").fetchone()
        chance = random.Random(3)
        some = ", ".join(map(str, chance.sample(range(1, count + 1), min(count, 2000))))
        rows = connection.execute(f"SELECT json FROM contact WHERE seq IN ({some})").fetchall()
    contacts = [dict.fromkeys(ATTRIBUTES, "") | json.loads(row[0]) for row in rows]
    yield from filters(contacts, chance)
    sorts = [f"sortBy={name}&order={order}&limit=100" for name in ATTRIBUTES for order in ("Ascending", "Descending")]
    yield Group("any sort", FILTER, sorts)
    yield Group("a sort within a type", REST, [f"type={type}&{sort}" for type in ("User", "Custom") for sort in sorts])
    yield from searches(contacts, chance)
    deep = f"offset={count * 9 // 10}&limit=100"
    yield Group("offset of nine tenths", FILTER, [deep])


def filters(contacts: list[dict[str, str]], chance: random.Random) -> Iterator[Group]:
    """Yield equality filters: on the values of some contacts, and on the most common ones."""
    common = {
        name: Counter(contact[name] for contact in contacts if contact[name]).most_common(3) for name in ATTRIBUTES
    }
    choices = {
        name: [value for value, _ in common[name]]
        + [contact[name] for contact in chance.sample(contacts, 40) if contact[name]][:5]
        for name in ATTRIBUTES
    }

    def equal(*pairs: tuple[str, str]) -> str:
        return "&".join(f"{name}={quote(value)}" for name, value in pairs) + "&limit=100"

    single = [equal((name, value)) for name in ATTRIBUTES for value in choices[name]]
    yield Group("equality", FILTER, single)
    pairs = []
    for one, other in combinations(ATTRIBUTES, 2):
        both = [contact for contact in contacts if contact[one] and contact[other]]
        pairs += [equal((one, contact[one]), (other, contact[other])) for contact in both[:3]]
        pairs += [equal((one, a), (other, b)) for a in choices[one][:3] for b in choices[other][:3]]
    yield Group("two equalities", FILTER, pairs)
    present = [f"phoneNumber=*&{rest}limit=100" for rest in ("", "type=Custom&", "type=User&", "lastName=M%C3%BCller&")]
    yield Group("has a number", REST, present)


def searches(contacts: list[dict[str, str]], chance: random.Random) -> Iterator[Group]:
    """Yield searches: with common terms and rare ones, of contacts side by side in the order and far apart."""
    # What stands at the start of a name is found side by side, what stands in a last name far apart.
    texts = [contact["name"].lower() for contact in contacts]
    lasts = [contact["lastName"].lower() for contact in contacts if contact["lastName"]]
    numbers = ["".join(filter(str.isdigit, contact["phoneNumber"])) for contact in contacts if contact["phoneNumber"]]
    for size in (1, 2, 3, 4, 6):
        starts = terms((text[:size] for text in (*texts, *lasts)), size, chance)
        inner = terms((last[at : at + size] for last in lasts for at in (1, 2, 3)), size, chance) if size > 2 else []
        digits = terms((number[:size] for number in numbers), size, chance)[:4]
        name = f"{size} character{'s' if size > 1 else ''}"
        asked = [f"q={quote(term)}&limit=20" for term in (*starts, *digits)]
        yield Group(f"q of {name}", TYPED, asked)
        prefixes = [pattern(term + "*") for term in starts] + [pattern(digits[0] + "*")]
        yield Group(f"pattern, start of {name}", PATTERN, prefixes)
        yield Group(f"pattern, end of {name}", PATTERN, [pattern("*" + term) for term in ends(lasts, size, chance)])
        anywhere = [pattern(f"*{term}*") for term in (*(inner or starts), digits[0])]
        yield Group(f"pattern, {name} anywhere", PATTERN, anywhere)
        if inner:
            yield Group(f"q of {name}, inside", PATTERN, [f"q={quote(term)}&limit=20" for term in inner])
    wrong = [f"{last[:2]}x{last[3:]}" for last in lasts[:12] if len(last) > 4]
    yield Group("q, similar", PATTERN, [f"q={quote(each)}&limit=20" for each in wrong])
    words = [contact for contact in chance.sample(contacts, 40) if contact["lastName"]][:12]
    first = [contact["firstName"].lower() for contact in words]
    last = [contact["lastName"].lower() for contact in words]
    two = list(zip(first, last, strict=True))
    yield Group(
        "q of two words", TYPED, [f"q={quote(a[:n])}+{quote(b[:n])}&limit=20" for a, b in two for n in (1, 2, 4)]
    )
    yield Group("pattern of two parts", PATTERN, [pattern(f"{a[:n]}*{b[-n:]}") for a, b in two for n in (1, 2, 3, 4)])
    # No index knows what comes after what in a value, so each that has both parts is looked at.
    yield Group(
        "pattern of two parts anywhere", PATTERN, [pattern(f"*{a[:n]}*{b[-n:]}*") for a, b in two for n in (1, 2)]
    )


def terms(found: Iterator[str], size: int, chance: random.Random) -> list[str]:
    """Return the four most common of the terms that were found, and eight others; each of this size."""
    counted = [
        term for term, _ in Counter(term for term in found if len(term) == size and term.isalnum()).most_common()
    ]
    return counted[:4] + chance.sample(counted[4:], min(8, len(counted[4:])))


def ends(texts: list[str], size: int, chance: random.Random) -> list[str]:
    """Return what texts end with."""
    return terms((text[-size:] for text in texts), size, chance)


def pattern(argument: str) -> str:
    """Return the query string of a wildcard search."""
    return f"filterName=NamesOrPhoneNumberMatches&filterParameters={quote(argument)}&limit=100"


def measured(group: Group, act: Callable[[str], object]) -> Measured:
    """Take the best of several times of each query, after once without: what is more is the machine's."""
    times = []
    for asked in group.queries:
        act(asked)
        taken: list[float] = []
        while len(taken) < 3 or (len(taken) < 9 and sum(taken) < 20):
            started = time.perf_counter()
            act(asked)
            taken.append((time.perf_counter() - started) * 1000)
        times.append((min(taken), asked))
    return Measured(times)


def measure(count: int) -> dict[str, tuple[int, Measured]]:
    """Return what was measured over as many contacts, with which of GOALS goes with it, by the name of the group."""
    path = database(count)
    create_app({"DATABASE": str(path)})
    results = {group.name: (group.goal, measured(group, answer)) for group in groups(path)}
    for goal, name in ((TYPED, "all of q, by starts"), (PATTERN, "all patterns, inside and similar")):
        times = [each for kind, result in results.values() if kind == goal for each in result.times]
        results[name] = goal, Measured(times)
    tag = Group("list's ETag check", FILTER, ["ETag"])
    results[tag.name] = FILTER, measured(tag, lambda _: query.revision())
    db.close()
    return results


def judged(result: Measured, goal: Goal | None) -> str:
    """Return the times, with a mark whether they are within the goal."""
    worst = result.slowest[0]
    mark = "" if goal is None else " ✓" if result.p50 <= goal.p50 and worst <= goal.worst else " ✗"
    return f"{shown(result.p50)} / {shown(worst)}{mark}"


def shown(milliseconds: float) -> str:
    """Return a time with two digits that matter."""
    return f"{milliseconds:.0f}" if milliseconds >= 10 else f"{milliseconds:.2g}"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000], help="numbers of contacts")
    sizes = parser.parse_args().sizes
    DATA.mkdir(exist_ok=True)
    print(f"{machine.describe()}\n")
    results = {size: measure(size) for size in sizes}
    print(f"| p50 / worst, ms | {' | '.join(f'{size:,} contacts' for size in sizes)} | goal | slowest |")
    print("|---|" + "---|" * (len(sizes) + 2))
    for name, (goal, last) in results[sizes[-1]].items():
        goals = [GOALS.get(size, (None,) * 4)[goal] for size in sizes]
        cells = [judged(results[size][name][1], size_goal) for size, size_goal in zip(sizes, goals, strict=True)]
        aim = f"{goals[-1].p50:g} / {goals[-1].worst:g}" if goals[-1] else ""
        print(f"| {name} | {' | '.join(cells)} | {aim} | `{last.slowest[1]}` |")


if __name__ == "__main__":
    main()

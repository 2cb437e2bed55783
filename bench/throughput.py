"""How many requests a second the service answers, beside a bare Flask view and its peers.

Everything is measured in turns within one run, and ratios are taken between neighbours: a machine that is
busier for a while is so for all. Prints tables in Markdown; fails when anything answers what it should not.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench import machine, mixed, plot, whole
from bench.people import DATA, database
from bench.server import Load, Run, Server, ask, running, write
from bench.sides import READS, REMOVED, WORKS, Sample, Side, bare, peers, requests, sample, service, slug, tidy

# The goals: the least throughput beside a bare Flask view.
GOALS = {
    "GET one": 0.65,
    "GET one, 304": 0.65,
    "list of 100 by type": 0.50,
    "typeahead, 20 hits": 0.50,
    "filterName search": 0.45,
    "POST": 0.30,
    "PUT": 0.25,
    "DELETE": 0.28,
}

# The goals beside the fastest peer: times as many requests.
PEER_GOALS = {"GET one": 2, "list of 100 by type": 5, "typeahead, 20 hits": 5, "POST": 1.2, "PUT": 1.2, "DELETE": 1.2}

# By side and kind of work: the requests a second of each round.
Rates = dict[tuple[str, str], list[float]]


class Bench:
    """Sides that run until the stack is closed, and what they are asked."""

    def __init__(self, stack: ExitStack, sides: Sequence[Side], about: Sample, count: int, file: Path) -> None:
        self.stack = stack
        self.sides: dict[str, Side] = {}
        self.servers: dict[str, Server] = {}
        self.about = about
        self.count = count  # the contacts that are always there
        self.file = file  # of requests
        for side in sides:
            self.add(side)

    def add(self, side: Side) -> None:
        """Start a side."""
        self.sides[side.name] = side
        self.servers[side.name] = self.stack.enter_context(running(side.command, side.environment))

    def ask(self, name: str, work: str, most: int) -> list[bytes]:
        """Send the first requests of a kind of work; return the bodies, all of the right status."""
        side = self.sides[name]
        answers = ask(self.servers[name].port, requests(side, work, self.about, 0, most)[:most])
        statuses = {status for status, _, _ in answers}
        if not statuses <= ({WORKS[work]} if work != "DELETE" else {200, 204}):
            raise RuntimeError(f"{name} answers {work} with {statuses}: {answers[-1][2][:500]!r}")
        if work not in READS:
            tidy(side, self.count)
        return [body for _, _, body in answers]

    def run(self, side: Side, work: str, round_: int, seconds: int) -> Run:
        """Let wrk send requests; raise RuntimeError when one of them failed."""
        sent = requests(side, work, self.about, round_, REMOVED * seconds)
        run = Load(self.servers[side.name], write(self.file, sent), seconds).result()
        if run.failed:
            raise RuntimeError(f"{side.name} failed {run.failed} times at {work}")
        if work not in READS:
            tidy(side, self.count)
        return run

    def compare(self, rounds: int, seconds: int) -> Rates:
        """Measure all sides at all works that they know, in turns."""
        rates: Rates = {}
        for work in WORKS:
            sides = [side for side in self.sides.values() if work in side.paths]
            for round_ in range(1, rounds + 1):
                for side in sides[round_ % len(sides) :] + sides[: round_ % len(sides)]:
                    rates.setdefault((side.name, work), []).append(self.run(side, work, round_, seconds).rate)
        return rates


def ratio(rates: Rates, one: str, other: str, work: str) -> float:
    """Return the median of what one side does of another's work, round by round."""
    return median(a / b for a, b in zip(rates[one, work], rates[other, work], strict=True))


def beside_bare(folder: Path, count: int, about: Sample, rounds: int, seconds: int) -> Rates:
    """Measure the service and bare Flask views, which answer with the service's own answers."""
    path = shutil.copy(database(count), folder / "contacts.db")
    answers = folder / "answers.json"
    with ExitStack() as stack:
        bench = Bench(stack, [service(path)], about, count, folder / "requests")
        middle = {}
        for work, status in WORKS.items():
            bodies = bench.ask("service", work, 300 if work in READS else 3)
            middle[slug(work)] = status, sorted(bodies, key=len)[len(bodies) // 2].decode()
        answers.write_text(json.dumps(middle), encoding="utf-8")
        bench.add(bare(answers))
        return bench.compare(rounds, seconds)


def beside_peers(folder: Path, count: int, about: Sample, rounds: int, seconds: int) -> Rates:
    """Measure the service and its peers."""
    path = shutil.copy(database(count), folder / "beside-peers.db")
    with ExitStack() as stack:
        bench = Bench(stack, [service(path), *peers(folder, path)], about, count, folder / "requests")
        for side in bench.sides.values():
            for work in side.paths:
                bench.ask(side.name, work, 3)
        return bench.compare(rounds, seconds)


def table_beside_bare(rates: Rates) -> str:
    """Return the ratios to the bare view, with their goals."""
    lines = ["| work | requests/s | beside bare Flask | goal |", "|---|---|---|---|"]
    for work, goal in GOALS.items():
        value = ratio(rates, "service", "bare", work)
        lines.append(row([work, f"{median(rates['service', work]):,.0f}", *judged(value, goal)]))
    return "\n".join(lines)


def judged(value: float, goal: float, at_most: bool = False) -> list[str]:
    """Return a value and its goal, as cells that say whether it is met."""
    met = value <= goal if at_most else value >= goal
    return [f"{value:.2f}", f"{goal:.2f} {'✓' if met else '✗'}"]


def row(cells: Sequence[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"


def table_beside_peers(rates: Rates) -> str:
    """Return how many times as many requests the service answers as each peer."""
    names = list(dict.fromkeys(name for name, _ in rates if name != "service"))
    works = [work for work in WORKS if any((name, work) in rates for name in names)]
    lines = [row(["service beside", *works]), "|---" * (len(works) + 1) + "|"]
    for name in names:
        ratios = [ratio(rates, "service", name, work) if (name, work) in rates else None for work in works]
        lines.append(row([name, *("" if value is None else f"{value:.1f}" for value in ratios)]))
    fastest = [min(ratio(rates, "service", name, work) for name in names if (name, work) in rates) for work in works]
    goals = [PEER_GOALS.get(work) for work in works]
    judgements = [
        f"{value:.1f}" if goal is None else " of ".join(judged(value, goal))
        for value, goal in zip(fastest, goals, strict=True)
    ]
    return "\n".join([*lines, row(["the fastest", *judgements])])


def table_of_rest(streamed: whole.Whole, count: int, both: mixed.Mixed) -> str:
    """Return what else was measured."""
    lines = ["| | | goal |", "|---|---|---|"]
    for name, cells in {
        f"whole list of {count:,}, streamed ({streamed.seconds:.2f} s), beside json_group_array in that order": judged(
            streamed.ratio, whole.GOAL_RATIO, True
        ),
        "beside json_group_array in any order": [f"{streamed.to_unordered:.2f}", ""],
        "extra memory meanwhile, MiB": judged(streamed.extra, whole.GOAL_MEMORY, True),
        f"mixed load: two workers ({both.rate:,.0f} requests/s; wrk: {both.generator:.2f} cores) beside one": judged(
            both.gain, mixed.GOAL_GAIN
        ),
        "mixed load: p50 and p99 of a write, ms": [f"{both.write_p50:.1f}, {both.write_p99:.1f}", ""],
        "memory of a worker (PSS), MiB": [f"{both.memory:.0f}", ""],
        "bytes of the database a contact": [f"{streamed.per_contact:.0f}", ""],
    }.items():
        lines.append(row([name, *cells]))
    return "\n".join(lines)


def panels(own: Rates, others: Rates) -> list[plot.Panel]:
    """Return the plot: the service beside the bare views, and the peers beside the service."""
    groups = [
        (work, [plot.Bar("beside bare Flask", ratio(own, "service", "bare", work), goal)])
        for work, goal in GOALS.items()
    ]
    drawn = [plot.Panel("The service's throughput beside a bare Flask view; black: the goal", groups)]
    names = list(dict.fromkeys(name for name, _ in others if name != "service"))
    groups = []
    for work in WORKS:
        bars = [plot.Bar(name, ratio(others, name, "service", work)) for name in names if (name, work) in others]
        if bars:
            groups.append((work, bars))
    if groups:
        drawn.append(plot.Panel("The peers' throughput beside the service's (the grey line: as much)", groups))
    return drawn


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=10_000)
    parser.add_argument("--whole", type=int, default=100_000, help="contacts in the whole list that is streamed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each run in a round")
    parser.add_argument("--peers", action="store_true", help="measure the peers as well")
    parser.add_argument("--plot", type=Path, help="an SVG file to write")
    given = parser.parse_args()
    DATA.mkdir(exist_ok=True)
    print(f"{machine.describe()}\n\n{given.contacts:,} contacts, one worker of four threads, four connections\n")
    with tempfile.TemporaryDirectory(dir=DATA) as name:
        folder = Path(name)
        about = sample(database(given.contacts))
        own = beside_bare(folder, given.contacts, about, given.rounds, given.seconds)
        print(table_beside_bare(own), end="\n\n", flush=True)
        streamed = whole.measure(given.whole, given.rounds)
        both = mixed.measure(folder, given.contacts, about, given.rounds, 2 * given.seconds)
        print(table_of_rest(streamed, given.whole, both), end="\n\n", flush=True)
        others: Rates = {}
        if given.peers:
            others = beside_peers(folder, given.contacts, about, min(given.rounds, 3), 1)
            print(table_beside_peers(others), flush=True)
    if given.plot:
        plot.draw(given.plot, panels(own, others))


if __name__ == "__main__":
    main()

"""Reads and writes together: two workers beside one, and how long a write takes meanwhile."""

import random
import resource
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench import machine
from bench.people import database
from bench.server import Load, Request, Server, running, write
from bench.sides import Sample, Side, requests, service, tidy

GOAL_GAIN = 1.6

# Of a hundred requests; a tenth are writes.
SHARES = {
    "GET one": 40,
    "GET one, 304": 10,
    "typeahead, 20 hits": 25,
    "list of 100 by type": 10,
    "filterName search": 5,
    "POST": 5,
    "PUT": 5,
}
CONNECTIONS = 8

# Between two writes whose time is taken, in milliseconds: they are few beside the others.
PAUSE = 10


class Mixed(NamedTuple):
    """What was measured, as medians."""

    gain: float  # of two workers beside one
    rate: float  # requests a second of two workers
    generator: float  # cores that wrk took of the machine meanwhile
    write_p50: float  # milliseconds
    write_p99: float
    memory: float  # MiB of a worker


def mix(side: Side, about: Sample, round_: int) -> list[Request]:
    """Return the requests of a round, shuffled."""
    chance = random.Random(round_)
    kinds = {work: requests(side, work, about, round_, 0) for work in SHARES}
    order = random.Random(round_).choices(list(SHARES), list(SHARES.values()), k=5000)
    return [chance.choice(kinds[work]) for work in order]


def measure(folder: Path, count: int, about: Sample, rounds: int, seconds: int) -> Mixed:
    """Measure one worker and two in turns; raise RuntimeError when a request failed."""
    gains, rates, generators, p50s, p99s = [], [], [], [], []
    with ExitStack() as stack:
        sides = {}
        for workers in (1, 2):
            path = shutil.copy(database(count), folder / f"mixed-{workers}.db")
            side = service(path, workers)
            sides[workers] = (side, stack.enter_context(running(side.command, side.environment)))
        for round_ in range(rounds):
            measured = {}
            for workers in ((1, 2), (2, 1))[round_ % 2]:
                measured[workers] = load(*sides[workers], about, folder, round_, seconds)
                tidy(sides[workers][0], count)
            gains.append(measured[2][0] / measured[1][0])
            for values, value in zip((rates, generators, p50s, p99s), measured[2], strict=True):
                values.append(value)
        memory = median(machine.share(pid) for pid in sides[2][1].workers())
    return Mixed(*map(median, (gains, rates, generators, p50s, p99s)), memory)


def load(
    side: Side, server: Server, about: Sample, folder: Path, round_: int, seconds: int
) -> tuple[float, float, float, float]:
    """Return the requests a second, the cores that wrk took, and the median and 99th percentile of a write's time."""
    used, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    everything = Load(server, write(folder / "mix", mix(side, about, round_)), seconds, CONNECTIONS)
    posts = requests(side, "POST", about, round_, 0)
    writes = Load(server, write(folder / "writes", posts), seconds, 1, PAUSE).result()
    run = everything.result()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.failed or writes.failed:
        raise RuntimeError(f"{run.failed} requests and {writes.failed} writes failed under mixed load")
    generator = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return run.rate + writes.rate, generator / (time.perf_counter() - started), writes.p50, writes.p99

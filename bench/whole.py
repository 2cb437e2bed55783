"""The whole list, streamed, beside json_group_array(json_object(…)) in SQLite."""

import socket
import sqlite3
import time
from contextlib import closing
from statistics import median
from typing import NamedTuple

from bench import machine
from bench.people import database
from bench.server import Request, Server, ask, running
from bench.sides import AGENT, service
from contacts.database import PRAGMAS

GOAL_RATIO = 0.80
GOAL_MEMORY = 8  # MiB

UNORDERED = "SELECT json_group_array(json(json)) FROM contact"
# The same list, in the same order, as the service's.
ORDERED = "SELECT json_group_array(json(json)) FROM (SELECT * FROM contact ORDER BY name_key, seq)"


class Whole(NamedTuple):
    """What was measured."""

    ratio: float  # of the time that SQLite takes for the list in the same order
    to_unordered: float  # and in any order
    seconds: float
    extra: float  # MiB that the worker holds more
    per_contact: float  # bytes of the database


def measure(count: int, rounds: int) -> Whole:
    """Read the whole list in turns from SQLite and from the service."""
    path = database(count)
    side = service(path)
    plain, unordered, times, extras = [], [], [], []
    with running(side.command, side.environment) as server, closing(sqlite3.connect(path)) as connection:
        for pragma, value in PRAGMAS.items():
            connection.execute(f"PRAGMA {pragma} = {value}")
        for _ in range(8):  # as each thread opens its connection
            ask(server.port, [Request("GET", "/contacts?limit=100", AGENT)])
        for _ in range(rounds):
            plain.append(timed(connection, ORDERED))
            seconds, extra = stream(server, count)
            times.append(seconds)
            extras.append(extra)
            unordered.append(timed(connection, UNORDERED))
    ratios = [median(ours / theirs for ours, theirs in zip(times, other, strict=True)) for other in (plain, unordered)]
    return Whole(*ratios, median(times), max(extras), path.stat().st_size / count)


def timed(connection: sqlite3.Connection, statement: str) -> float:
    """Return how many seconds a statement takes."""
    started = time.perf_counter()
    connection.execute(statement).fetchone()
    return time.perf_counter() - started


def stream(server: Server, count: int) -> tuple[float, float]:
    """Read the whole list; return the seconds, and how many MiB the worker held more than before."""
    (worker,) = server.workers()
    before = machine.memory(worker, "VmRSS")
    machine.forget_most(worker)
    request = Request("GET", "/contacts", {**AGENT, "Connection": "close"}).raw().encode()
    started = time.perf_counter()
    buffer = bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(request)
        first, last = b"", b""
        while got := connection.recv_into(buffer):
            first = first if len(first) > 500 else first + bytes(buffer[:got])
            last = (last + bytes(buffer[max(got - 100, 0) : got]))[-100:]
    seconds = time.perf_counter() - started
    if b" 200 OK" not in first or b'"totalCount":%d,' % count not in first or b"]}" not in last:
        raise RuntimeError(f"the whole list begins with {first[:200]!r} and ends with {last!r}")
    return seconds, machine.memory(worker, "VmHWM") - before

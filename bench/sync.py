"""How long a directory sync takes, beside a plain executemany of the same rows into the same schema.

Prints ratios measured in one run: the baseline is run before and after, and its mean is what counts.
"""

import argparse
import csv
import os
import platform
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from peewee import SqliteDatabase

from bench.people import contacts
from contacts import staging
from contacts.database import PRAGMAS
from contacts.model import ADD, new_id, row_of
from contacts.upgrades import prepare

ROOT = Path(__file__).parent.parent
HEADER = ("userName", "firstName", "lastName", "name", "phoneNumber", "employeeId")

# The goals: how long each may take, as a multiple of the baseline.
GOALS = {"first sync": 1.2, "nothing changed": 0.15, "1 % changed": 0.2}


def users(count: int) -> list[tuple[str, ...]]:
    """Return made-up Users in the order of HEADER, the same in every run."""
    made = (contact for contact in contacts(2 * count) if contact["type"] == "User")
    return [tuple(user.get(name, "") for name in HEADER) for user in islice(made, count)]


def write(path: Path, rows: list[tuple[str, ...]]) -> None:
    """Write rows as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])


def plain_insert(path: Path, rows: list[tuple[str, ...]]) -> float:
    """Return how many seconds executemany takes to insert the rows, whose columns are there already."""
    prepare(str(path))
    users = [{name: value for name, value in zip(HEADER, row, strict=True) if value} for row in rows]
    ready = [row_of({"id": new_id(), "type": "User", **user}) for user in users]
    database = SqliteDatabase(str(path), pragmas=PRAGMAS | staging.PRAGMAS)
    with database.connection_context():
        started = time.perf_counter()
        with database.atomic("IMMEDIATE"):
            ADD.execute_many(database, ready)
        return time.perf_counter() - started


# Runs a command, and prints the most memory that it held (KiB). It must be small itself: a child begins with
# the memory of its parent.
WRAPPER = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


def sync(database: Path, file: Path) -> tuple[float, float]:
    """Return how many seconds `flask sync` takes, its start included, and how many MiB it held at most."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "flask", "sync", "User", str(file)]
    environment = {**os.environ, "CONTACTS_DATABASE": str(database)}
    ran = subprocess.run(
        [sys.executable, "-c", WRAPPER, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True
    )
    return time.perf_counter() - started, int(ran.stdout) / 1024


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = users(count := parser.parse_args().rows)
    print(f"{count:,} Users; {os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}")
    with tempfile.TemporaryDirectory() as folder:
        base, file, database = Path(folder), Path(folder) / "users.csv", Path(folder) / "sync.db"
        before = plain_insert(base / "before.db", rows)
        write(file, rows)
        measured = {"first sync": sync(database, file), "nothing changed": sync(database, file)}
        write(file, [(*row[:4], "15002", row[5]) if number % 100 == 0 else row for number, row in enumerate(rows)])
        measured["1 % changed"] = sync(database, file)
        after = plain_insert(base / "after.db", rows)
    baseline = (before + after) / 2
    print(f"\n{'':18}{'seconds':>9}{'rows/s':>9}{'ratio':>7}{'goal':>6}{'MiB':>6}")
    print(f"{'executemany':18}{baseline:9.2f}{count / baseline:9.0f}{1:7.2f}")
    for name, (seconds, memory) in measured.items():
        print(f"{name:18}{seconds:9.2f}{count / seconds:9.0f}{seconds / baseline:7.2f}{GOALS[name]:6}{memory:6.0f}")


if __name__ == "__main__":
    main()

"""What the benchmarks run on, and what the processes that they measure use of it."""

import os
import platform
import re
import sqlite3
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.people import DATA


def describe() -> str:
    """Return a line that says what was measured on; it names no host."""
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    versions = (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, Linux {platform.release().split('-')[0]}"
    )
    cores = len(os.sched_getaffinity(0))
    return f"{processor[1] if processor else platform.machine()}, {cores} cores, {versions}, {disk()}"


def disk() -> str:
    """Return the file system on which the databases lie, and how long it takes to put a page on the disk."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    _, system = max((mount for mount in mounts if DATA.is_relative_to(mount[0])), key=lambda mount: len(mount[0]))
    times = []
    with tempfile.TemporaryFile(dir=DATA) as file:
        for _ in range(100):
            file.write(b"x" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - started)
    return f"{system} with an fdatasync of {median(times) * 1000:.2f} ms"


def memory(pid: int, what: str) -> float:
    """Return VmRSS, the memory that a process holds, or VmHWM, the most that it held, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(rf"^{what}:\s*(\d+) kB", status, re.MULTILINE)[1]) / 1024  # type: ignore[index]


def share(pid: int) -> float:
    """Return a process's share of the memory that it and others hold (PSS), in MiB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    return int(re.search(r"^Pss:\s*(\d+) kB", rollup, re.MULTILINE)[1]) / 1024  # type: ignore[index]


def forget_most(pid: int) -> None:
    """Begin VmHWM anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="utf-8")

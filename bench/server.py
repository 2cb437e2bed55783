"""Servers under test: started on a free port of 127.0.0.1, asked, and ended by their process id."""

import http.client
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent


class Server(NamedTuple):
    """A server that runs."""

    port: int
    pid: int

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]


@contextmanager
def running(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run a server for as long as the block lasts; {port} in its command is where it shall listen.

    Raise RuntimeError when it does not begin to listen.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [str(part).replace("{port}", str(port)) for part in command]
    process = subprocess.Popen(
        arguments, cwd=ROOT, env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"did not start: {' '.join(arguments)}")
            time.sleep(0.05)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait(60)


def listens(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Request(NamedTuple):
    """An HTTP request."""

    method: str
    path: str
    headers: Mapping[str, str] = {}
    body: str = ""

    def raw(self) -> str:
        """Return it as it is sent."""
        headers = {"Host": "127.0.0.1", **self.headers}
        if self.body:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(self.body.encode()))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{lines}\r\n{self.body}"


def ask(port: int, requests: Sequence[Request]) -> list[tuple[int, Mapping[str, str], bytes]]:
    """Send requests in turn, up to one that the server fails at; return the status, headers and body of each."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    answers = []
    for request in requests:
        headers = {**request.headers, **({"Content-Type": "application/json"} if request.body else {})}
        connection.request(request.method, request.path, request.body.encode() or None, headers)
        response = connection.getresponse()
        answers.append((response.status, response.headers, response.read()))
        if response.status >= 500:
            break
    connection.close()
    return answers


class Run(NamedTuple):
    """What wrk measured: requests a second, failed ones, and times in milliseconds."""

    rate: float
    failed: int
    p50: float
    p99: float


class Load:
    """wrk, sending requests in turn over four connections that are kept, without pipelining."""

    def __init__(self, server: Server, file: Path, seconds: int, connections: int = 4, pause: int = 0) -> None:
        self.process = subprocess.Popen(
            [
                *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", ROOT / "bench/wrk.lua"),
                *(f"http://127.0.0.1:{server.port}", "--", file, str(pause)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )

    def result(self) -> Run:
        """Wait for the end and return what was measured."""
        printed, _ = self.process.communicate(timeout=300)
        found = re.search(r"^measured (.*)$", printed, re.MULTILINE)
        if self.process.returncode or not found:
            raise RuntimeError(f"wrk failed: {printed}")
        rate, failed, p50, p99 = map(float, found[1].split())
        return Run(rate, int(failed), p50, p99)


def write(path: Path, requests: Sequence[Request]) -> Path:
    """Write requests as wrk.lua reads them."""
    path.write_text("\0".join(request.raw() for request in requests), encoding="utf-8", newline="")
    return path

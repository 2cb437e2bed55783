"""Clients that are slow, silent or do not close: none of them keeps the others from being served."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack, closing, suppress
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import ROOT, Service, wait_for, workers

from contacts.worker import Turns

# gunicorn.conf.py with one thread, and shorter limits, so that the tests need not wait.
CONFIG = f"""
from contacts import worker
exec(open({str(ROOT / "gunicorn.conf.py")!r}).read())
worker.REQUEST_TIMEOUT = worker.ANSWER_TIMEOUT = worker.SILENCE = 0.5
workers = threads = 1
"""

ADMIN = "Host: x\r\nX-Role: ROLE_ADMIN\r\nContent-Type: application/json\r\n"

# What clients begin to send, and do not go on with.
HALVES = {
    "a letter": "G",
    "a request line": "GET /contacts HTTP/1.1\r\n",
    "headers": f"GET /contacts HTTP/1.1\r\n{ADMIN}",
    "a body": f'POST /contacts HTTP/1.1\r\n{ADMIN}Content-Length: 99\r\n\r\n{{"name":',
    "a chunk": f'POST /contacts HTTP/1.1\r\n{ADMIN}Transfer-Encoding: chunked\r\n\r\n9\r\n{{"name":',
    "a chunk's size": f"POST /contacts HTTP/1.1\r\n{ADMIN}Transfer-Encoding: chunked\r\n\r\n9",
}


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worker")
    (folder / "conf.py").write_text(CONFIG)
    running = Service(folder / "contacts.db", "--config", str(folder / "conf.py"))
    yield running
    running.stop()


def connect(service):
    return socket.create_connection(("127.0.0.1", service.port), timeout=20)


def answer(client):
    """Return the status, the headers and the body of the last answer on a connection."""
    head, _, body = client.makefile("rb").read().decode().partition("\r\n\r\n")
    return int(head.split()[1]), head, json.loads(body)


def served(service):
    """Tell whether another client is served before it gives up."""
    with connect(service) as client:
        client.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return answer(client)[0] == 404


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
def test_a_request_that_does_not_arrive_is_given_up(half, impatient):
    with connect(impatient) as client:
        client.sendall(half.encode())
        assert served(impatient)
        status, head, body = answer(client)
        assert (status, body) == (408, {"statusCode": 2, "statusMessage": "The request took too long to arrive."})
        assert "Content-Type: application/json" in head


@pytest.mark.parametrize("half", ["headers", "a body"])
def test_a_request_that_goes_on_a_byte_at_a_time_is_given_up(half, impatient):
    with connect(impatient) as client:
        client.sendall(HALVES[half].encode())
        client.settimeout(0.1)
        received = b""
        for _ in range(200):  # two letters a second, for ever
            client.sendall(b"x")
            try:
                received = client.recv(1000)
                break
            except TimeoutError:
                pass
        assert received.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /nothing HTTP/1.0\r\n\r\n",
        "GET\r\n\r\n",
    ],
    ids=["silent", "answered", "answered to HTTP/1.0", "refused"],
)
def test_clients_that_say_nothing_and_do_not_close_keep_nobody_waiting(sent, impatient):
    with ExitStack() as clients:
        for _ in range(60):
            clients.enter_context(connect(impatient)).sendall(sent.encode())
        assert served(impatient)


def test_they_are_closed(impatient):
    with connect(impatient) as silent, connect(impatient) as answered:
        answered.sendall(b"GET /nothing HTTP/1.0\r\n\r\n")
        assert silent.recv(1) == b""
        assert answer(answered)[0] == 404


def test_an_answer_arrives_though_the_client_still_sends(impatient):
    """Closing with something unread would reset the connection, and take the answer away."""
    with connect(impatient) as client:
        client.sendall(f"POST /contacts HTTP/1.1\r\n{ADMIN}Content-Length: 4000000\r\n\r\n".encode())
        client.sendall(b" " * 4_000_000)
        assert answer(client)[0] == 413


@pytest.mark.parametrize("role", ["ROLE_ADMIN", "ROLE_AGENT", "nobody"])
@pytest.mark.parametrize("size", [300, 65_535, 65_536, 65_537, 70_000, 1_000_000])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_connection_is_not_closed_without_a_word(chunked, size, role, impatient):
    """A client that is not told sends its next request on it, and gets no answer."""
    client = http.client.HTTPConnection("127.0.0.1", impatient.port, timeout=20)
    body = b'{"name":"' + b"x" * (size - 11) + b'"}'
    headers = {"X-Role": role, "Content-Type": "application/json"}
    client.request("POST", "/contacts", [body] if chunked else body, headers, encode_chunked=chunked)
    with client.getresponse() as response:
        response.read()
    assert response.status in {401, 403, 413, 422}
    if not response.will_close:
        client.request("GET", "/healthz")
        with client.getresponse() as response:
            assert response.status == 200
    client.close()


def test_each_request_of_a_connection_has_a_time_of_its_own(impatient):
    connection = http.client.HTTPConnection("127.0.0.1", impatient.port, timeout=20)
    connection.connect()
    first = connection.sock
    for _ in range(4):
        connection.request("GET", "/nothing")
        assert connection.getresponse().read()
        assert connection.sock is first
        time.sleep(0.2)
    connection.close()


def test_what_gunicorn_refuses_is_not_logged(path):
    running = Service(path)
    for request in (
        "GET /contacts?q=Jos\xe9 HTTP/1.1\r\n\r\n",
        "GET /contacts?q=Jos\xe9\r\n\r\n",
        "GET / HTTP/1.1\r\nJos\xe9: x\r\n\r\n",
        "Jos\xe9 / HTTP/1.1\r\n\r\n",
    ):
        with connect(running) as client:
            client.sendall(request.encode("latin-1"))
            assert answer(client)[0] == 400
    log = running.stop()
    assert log.count("Invalid request from 127.0.0.1: ") == 4
    assert "Jos" not in log


@pytest.fixture
def turns():
    """Threads that take turns, and the loop that gives them."""
    threads, over = Turns(3), threading.Event()

    def loop():
        while not over.wait(0.001):
            threads.go_on()

    loops = threading.Thread(target=loop)
    loops.start()
    yield threads
    over.set()
    loops.join()


def submit(turns, function, *args):
    """Give the threads a task; return the future of what it returns."""
    future = Future()
    turns.add(lambda: future.set_result(function(*args)))
    return future


def test_threads_take_turns(turns):
    """They would work at once, 20 tasks of a millisecond each."""
    spans = []

    def task():
        began = time.monotonic()
        time.sleep(0.001)
        spans.append((began, time.monotonic(), threading.get_ident()))

    for future in [submit(turns, task) for _ in range(20)]:
        future.result(20)
    overlaps = sum(begins < ends for (_, ends, _), (begins, _, _) in pairwise(sorted(spans)))
    # A machine that stops for a moment passes for a task that takes long.
    assert overlaps < 10
    assert len(spans) == 20


def test_who_takes_long_is_overtaken_and_comes_back(turns):
    for _ in range(5):  # more often than there are threads
        gate = threading.Event()
        slow = [submit(turns, gate.wait, 20) for _ in range(2)]
        assert submit(turns, lambda: "quick").result(20) == "quick"
        gate.set()
        assert all(future.result(20) for future in slow)


def test_who_waits_for_the_last_thread_gets_it(turns):
    gate = threading.Event()
    slow = [submit(turns, gate.wait, 20) for _ in range(3)]
    waiting = submit(turns, lambda: "late")
    with pytest.raises(TimeoutError):
        waiting.result(0.2)
    gate.set()
    assert waiting.result(20) == "late"
    assert all(future.result(20) for future in slow)


def test_who_is_going_to_wait_lets_others_go_on(turns, monkeypatch):
    monkeypatch.setattr("contacts.worker.PATIENCE", 1000)
    gate = threading.Event()

    def wait():
        turns.pass_on()
        return gate.wait(20)

    waiting = [submit(turns, wait) for _ in range(2)]
    assert submit(turns, lambda: "next").result(20) == "next"
    gate.set()
    assert all(future.result(20) for future in waiting)
    # Whoever has not got the turn cannot pass it on.
    gate.clear()
    began = threading.Event()
    slow = submit(turns, lambda: began.set() or gate.wait(20))
    assert began.wait(20)
    turns.pass_on()
    late = submit(turns, lambda: "late")
    with pytest.raises(TimeoutError):
        late.result(0.2)
    gate.set()
    assert (slow.result(20), late.result(20)) == (True, "late")


# A thread that has the turn keeps it, unless it says that it waits.
PATIENT = f"""
from contacts import worker
exec(open({str(ROOT / "gunicorn.conf.py")!r}).read())
worker.PATIENCE = 1000
workers = 1
"""


def test_reads_are_answered_while_writes_wait(tmp_path, path):
    (tmp_path / "conf.py").write_text(PATIENT)
    running = Service(path, "--config", str(tmp_path / "conf.py"))
    with ExitStack() as clients, closing(sqlite3.connect(path, isolation_level=None)) as other:
        clients.callback(running.stop)
        other.execute("BEGIN IMMEDIATE")
        # The first waits for the other program, the second for the first.
        writes = [clients.enter_context(connect(running)) for _ in range(2)]
        for write in writes:
            write.sendall(f'POST /contacts HTTP/1.0\r\n{ADMIN}Content-Length: 15\r\n\r\n{{"name":"Name"}}'.encode())
            assert served(running)
        other.execute("ROLLBACK")
        assert [answer(write)[0] for write in writes] == [201, 201]


BROKEN = f"""
{CONFIG}
import os
threads = 2
handle = worker.Worker.handle

def broken(self, connection):
    if os.path.exists("FLAG"):
        raise SystemExit
    return handle(self, connection)

worker.Worker.handle = broken
"""


def test_what_ends_a_request_ends_no_thread(tmp_path, path):
    flag = tmp_path / "broken"
    (tmp_path / "conf.py").write_text(BROKEN.replace("FLAG", str(flag)))
    running = Service(path, "--config", str(tmp_path / "conf.py"))
    try:
        flag.touch()
        for _ in range(5):
            with connect(running) as client:
                client.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
                assert client.recv(1) == b""
        flag.unlink()
        assert served(running)
    finally:
        log = running.stop()
    assert log.count("A request failed") >= 5


def sockets(pid):
    """Return how many sockets a process has."""
    names = []
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            names.append(os.readlink(handle))
    return sum(name.startswith("socket:") for name in names)


def test_the_worker_with_fewer_clients_takes_the_next(tmp_path, path):
    """A client stays with the worker that took its connection."""
    (tmp_path / "conf.py").write_text(f"{CONFIG}\nworkers = 2\nworker.COURTESY = 0.02\n")
    running = Service(path, "--config", str(tmp_path / "conf.py"))
    wait_for(lambda: running.output().count("Booting worker") == 2)
    quick, late = workers(running.process.pid)
    with ExitStack() as clients:
        os.kill(late, signal.SIGSTOP)
        for _ in range(10):
            served_and_kept(clients.enter_context(connect(running)))
        os.kill(late, signal.SIGCONT)
        before = sockets(quick)
        for _ in range(6):
            served_and_kept(clients.enter_context(connect(running)))
            time.sleep(0.25)  # longer than a worker with ten waits
        taken = sockets(quick) - before
    running.stop()
    assert taken <= 0  # the connection that saw it start may be closed by now


def served_and_kept(client):
    client.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.recv(12) == b"HTTP/1.1 404"


def test_nobody_names_the_path_in_a_header(impatient):
    with connect(impatient) as client:
        client.sendall(b"GET /nothing HTTP/1.0\r\nSCRIPT_NAME: /x\r\nPATH_INFO: /contacts\r\n\r\n")
        assert answer(client)[0] == 404

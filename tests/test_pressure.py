"""Neighbours that harm nobody: slow downloads, hostile searches, waiting writes, odd text, full disks, wrong clocks."""

import http.client
import json
import os
import random
import re
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from conftest import ADMIN, AGENT, ROOT, Service, wait_for, workers
from doors import HOST, JSON, Door, flask
from prometheus_client.parser import text_string_to_metric_families
from test_attack import behind_nginx
from test_torture_disk import fill, mount
from test_writing import Wire
from torture import ask, check_unavailable, writing

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
MAX_WAL_BYTES = 64 * MIB
USERS = 100_000


@contextmanager
def wal_watched(path):
    """Watch the size of the WAL while the block lasts; yield a list that has the largest, in bytes, at its end."""
    wal, sizes, stopped = path.with_name(f"{path.name}-wal"), [0], threading.Event()

    def watch():
        while not stopped.wait(0.005):
            if wal.exists():
                sizes[0] = max(sizes[0], wal.stat().st_size)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield sizes
    finally:
        stopped.set()
        watcher.join()
        print(f"WAL: {sizes[0] / MIB:.1f} MiB at most")  # noqa: T201


def check_written(writers):
    """All that was written was acknowledged."""
    assert [(writer.error, writer.refused) for writer in writers] == [(None, [])] * len(writers)


def written(writers):
    """Return how many writes were answered."""
    return sum(writer.answers for writer in writers)


@contextmanager
def asking(port, *urls):
    """Ask for each URL again and again while the block lasts; yield the statuses of the answers."""
    statuses, stopped = [], threading.Event()

    def ask_on(url):
        with Wire(port) as wire:
            while not stopped.is_set():
                statuses.append(wire("GET", url)[0])

    threads = [threading.Thread(target=ask_on, args=[url]) for url in urls]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def deleted_files(service):
    """Return the files without a name that the workers have open, but for what gunicorn has."""
    found = []
    for pid in workers(service.process.pid):
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                name = os.readlink(handle)
                if int(handle.name) > 2 and name.endswith(" (deleted)") and "wgunicorn-" not in name:
                    found.append(name)
    return found


def begin_download(client, port):
    """Ask for the whole list by a socket that takes little at once; return the first of it, when it has been read."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(b"GET /contacts HTTP/1.1\r\nHost: x\r\nX-Role: Agent\r\nConnection: close\r\n\r\n")
    return client.recv(1)


def read_on(client):
    """Return all that comes until the other side closes."""
    received = b""
    while data := client.recv(1 << 20):
        received += data
    return received


# --- the WAL


@pytest.fixture
def single(path):
    """A service with one worker."""
    running = Service(path, "--workers", "1")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A directory of many Users, made by a sync beside writers."""
    path = tmp_path_factory.mktemp("large") / "contacts.db"
    rows = "".join(f"u{n},First{n % 977},Last{n % 9973},+49 30 {n:07},E{n}\n" for n in range(USERS))
    file = path.with_name("users.csv")
    file.write_text(f"userName,firstName,lastName,phoneNumber,employeeId\n{rows}")
    service = Service(path, "--workers", "1")
    try:
        with writing(service.port, 3) as writers, wal_watched(path) as largest:
            done = subprocess.run(
                [sys.executable, "-m", "flask", "sync", "User", str(file)],
                cwd=ROOT,
                env={**os.environ, "CONTACTS_DATABASE": str(path)},
                check=True,
                capture_output=True,
                text=True,
            )
    finally:
        service.stop()
    assert done.stdout.startswith(f"User: {USERS} added,")
    return path, writers, largest[0]


@pytest.fixture
def busy(large):
    """A service on that directory."""
    running = Service(large[0])
    yield running
    running.stop()


def test_a_first_sync_bounds_the_wal_and_refuses_no_writer(large):
    _, writers, largest = large
    assert largest < MAX_WAL_BYTES
    check_written(writers)


def test_a_slow_download_bounds_the_wal_and_is_whole(large, busy):
    with wal_watched(large[0]) as largest, socket.socket() as client:
        received = begin_download(client, busy.port)
        with writing(busy.port, 2) as writers:
            while written(writers) < 2500 and largest[0] < MAX_WAL_BYTES:
                received += client.recv(1024)
                time.sleep(0.01)
        assert deleted_files(busy)
        received += read_on(client)
    check_written(writers)
    assert largest[0] < MAX_WAL_BYTES
    whole = json.loads(received.partition(b"\r\n\r\n")[2])
    assert len(whole["contacts"]) == whole["totalCount"] >= USERS
    wait_for(lambda: not deleted_files(busy))


def test_searches_that_overlap_bound_the_wal(large, busy):
    pattern = "/contacts?filterName=NamesOrPhoneNumberMatches&filterParameters=*a*1*9*"
    urls = ["/contacts?q=last1", pattern] * 2
    with wal_watched(large[0]) as largest, asking(busy.port, *urls) as statuses, writing(busy.port) as writers:
        wait_for(lambda: written(writers) >= 1200)
    assert set(statuses) == {200}
    check_written(writers)
    assert largest[0] < MAX_WAL_BYTES


def test_a_reader_that_stays_slows_writers_little(single, path):
    """As a backup of a large directory does, and Litestream always: its snapshot keeps the WAL from being emptied."""
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM directory").fetchall()
        with wal_watched(path) as largest, writing(single.port) as writers:
            wait_for(lambda: largest[0] > 24 * MIB)
            before = written(writers)
            wait_for(lambda: written(writers) > before + 400)
    check_written(writers)


# --- searches made to take long

PARTS = ("nen", "ene", "nan", "ana", "anen", "enan", "nene", "enen")
HOSTILE_NAMES = 8000


def hostile_words(number, end):
    """Return words that resemble each other, made by chance."""
    chance = random.Random(number)
    return [f"x{''.join(chance.choices(PARTS, k=5))}{chance.choice(end)}" for _ in range(16)]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A service on names made for hostile searches: of thousands of words that hold and resemble each other."""
    path = tmp_path_factory.mktemp("hostile") / "contacts.db"
    names = [" ".join(hostile_words(number, "klm")) for number in range(HOSTILE_NAMES)]
    # All words of a search are there, many times, in the wrong order.
    names += [f"b{' a' * 120}{number}" for number in range(HOSTILE_NAMES)]
    file = path.with_name("names.ndjson")
    file.write_text("".join(json.dumps({"name": name[:255]}) + "\n" for name in names))
    flask(path, "import", str(file))
    running = Service(path, CONTACTS_READ_TIMEOUT="1")
    yield running
    running.stop()


HOSTILE = [
    {"q": " ".join(["a"] * 31 + ["b"])},
    {"q": " ".join(["a", "b"] * 16)},
    {"q": " ".join(f"{part}{other}" for part in PARTS for other in ("n", "a", "e", "na"))},
    {"q": " ".join(f"{part}{other}nnaneene"[:12] for part in PARTS for other in ("n", "a", "e", "na"))},
    {"q": " ".join(f"x{part}{other}" for part in PARTS for other in ("n", "a", "e", "na")), "sortBy": "phoneNumber"},
    {"q": " ".join(hostile_words(1, "q") + hostile_words(2, "q"))},
    {"q": " ".join("abcdefghijklmnopqrstuvwxyz123456")},
    {"q": " ".join([*"nx" * 16])},
    {"filterName": "NamesOrPhoneNumberMatches", "filterParameters": ",".join(f"*a*a*a*{n}*b" for n in range(32))},
    {"filterName": "NamesOrPhoneNumberMatches", "filterParameters": ",".join(f"*{'n*e*' * 10}{n}" for n in range(32))},
    {"filterName": "NamesOrPhoneNumberMatches", "filterParameters": ",".join(["x*n*a*", "*e*n*"] * 16)},
]
NARROW = {
    "statusCode": 4,
    "statusMessage": "The search takes too long: narrow it, by more letters or by fewer patterns. Nothing was changed; "
    "try again.",
}


def test_hostile_searches_end_in_time_and_hold_nobody_up(hostile):
    found = []

    def search(parameters):
        with Wire(hostile.port) as wire:
            found.append(wire("GET", f"/contacts?limit=10&{urlencode(parameters)}")[:2])

    with ThreadPoolExecutor(len(HOSTILE)) as pool, asking(hostile.port, "/healthz") as health:
        for each in [pool.submit(search, parameters) for parameters in HOSTILE]:
            each.result()
        answered = len(health)
    assert answered > len(found)
    assert set(health) == {200}
    assert {status for status, _ in found} == {200, 503}
    assert [answer for status, answer in found if status == 503 and answer != NARROW] == []


# --- writes that wait


def test_writes_that_wait_hold_no_reader_up_and_are_done_in_time(single, path):
    answered = []

    def write(number):
        answered.append(("write", ask(single.port, "POST", "/contacts", {"name": f"Waiting {number}"})[0]))

    with closing(sqlite3.connect(path, isolation_level=None)) as other, ThreadPoolExecutor(32) as pool:
        other.execute("BEGIN IMMEDIATE")
        waiting = [pool.submit(write, number) for number in range(12)]
        while not all(each.done() for each in waiting):
            for url in ("/contacts", "/healthz", "/readyz"):
                answered.append((url, ask(single.port, "GET", url)[0]))
        other.execute("ROLLBACK")
        # While three threads wait to the end for their turn, the last one answers.
        writes = [place for place, (what, _) in enumerate(answered) if what == "write"]
        assert writes[9] - writes[8] > 60
        assert {status for what, status in answered if what == "write"} == {503}
        assert {status for what, status in answered if what != "write"} == {200}
        assert ask(single.port, "POST", "/contacts", {"name": "First"})[0] == 201
        answered.clear()
        # As a sync does, which has the lock for half a second.
        other.execute("BEGIN IMMEDIATE")
        waiting = [pool.submit(write, number) for number in range(4)]
        time.sleep(0.5)
        assert not answered
        other.execute("ROLLBACK")
        list(pool.map(write, range(32)))
        for each in waiting:
            each.result()
        assert answered == [("write", 201)] * 36


# --- memory and descriptors

MAX_WORKER_BYTES = 120 * MIB


def memory(service):
    """Return the memory of each worker, in bytes."""
    status = [Path(f"/proc/{pid}/status").read_text() for pid in workers(service.process.pid)]
    return [int(re.search(r"VmRSS:\s+(\d+) kB", each)[1]) * 1024 for each in status]


def descriptors(service):
    """Return the number of open files of each worker."""
    return [len(os.listdir(f"/proc/{pid}/fd")) for pid in workers(service.process.pid)]


def ask_all(port, urls, clients=4):
    """Ask for all, by several clients at once; return how many answers of each status there were."""

    def ask_for(some):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        statuses = Counter()
        for url in some:
            connection.request("GET", url, headers=AGENT)
            with connection.getresponse() as response:
                response.read()
                statuses[response.status] += 1
        connection.close()
        return statuses

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(ask_for, [urls[client::clients] for client in range(clients)]), Counter())


def shapes(number):
    """Yield queries of as many shapes, by chance."""
    chance = random.Random(1)
    names = ["id", "name", "type", "phoneNumber", "userName", "firstName", "lastName", "employeeId"]
    for _ in range(number):
        query = {
            name: chance.choice(["User", "User,Queue"] if name == "type" else ["x", "x,y"])
            for name in chance.sample(names, chance.randrange(4))
        }
        if chance.random() < 0.5:
            query["q"] = chance.choice(["an ma", "first1 last2"])
        if chance.random() < 0.3:
            query["filterName"] = "NamesOrPhoneNumberMatches"
            query["filterParameters"] = chance.choice(["a*", "*a*b*", "a*,b*"])
        query["sortBy"] = ",".join(chance.sample(names, chance.randrange(1, 8)))
        yield f"/contacts?{urlencode(query)}&limit=1&order={chance.choice(['Ascending', 'Descending'])}"


def test_a_worker_stays_small_whatever_clients_ask(large):
    text = "".join(chr(code) for code in range(0x20, 0x30000) if not 0xD800 <= code < 0xE000)
    chance = random.Random(1)
    asked = {
        "names of all of Unicode": [
            f"/contacts?limit=1&name={quote(text[at : at + 120])}" for at in range(0, len(text), 120)
        ],
        "words of all of Unicode": [
            f"/contacts?limit=1&q={quote(' '.join(text[at : at + 120][n : n + 8] for n in range(0, 120, 8)))}"
            for at in range(0, len(text), 360)
        ],
        "long values": [f"/contacts?limit=1&name={quote(''.join(chance.choices('äöüßé', k=600)))}" for _ in range(600)],
        "shapes": list(shapes(4000)),
        "similar words": [f"/contacts?limit=1&q={word}" for word in ("frsit1", "lsat99", "zzz", "irst") * 5],
        "whole lists": ["/contacts"] * 8,
    }
    service = Service(large[0], "--workers", "1")
    try:
        for what, urls in asked.items():
            statuses = ask_all(service.port, urls)
            print(f"{what}: {max(memory(service)) / MIB:.0f} MiB")  # noqa: T201
            assert not {status for status in statuses if status >= 500}, what
            assert max(memory(service)) < MAX_WORKER_BYTES, what
    finally:
        service.stop()


HELD = 300
FEW_FILES = ("sh", "-c", 'ulimit -n 128; exec "$@"', "sh")


def test_a_worker_goes_on_when_more_clients_come_than_it_may_open_files(path):
    service = Service(path, "--workers", "2", launcher=FEW_FILES)
    try:
        wait_for(lambda: len(workers(service.process.pid)) == 2)
        pids = workers(service.process.pid)
        with ExitStack() as stack:
            held = [stack.enter_context(Wire(service.port)) for _ in range(HELD)]
            # All connect before the first one is answered, and keep the connection where the service does.
            for wire in held:
                wire.connection.connect()
            for _ in range(2):
                assert {wire("GET", "/contacts")[0] for wire in held} == {200}
            assert held[0]("POST", "/contacts", {"name": "Made meanwhile"})[0] == 201
        assert {ask(service.port, "GET", "/contacts")[0] for _ in range(20)} == {200}
        assert workers(service.process.pid) == pids
    finally:
        service.stop()


# --- a mixed load

REQUESTS = int(os.environ.get("PRESSURE_REQUESTS", "30000"))
CLIENTS = 8
ROUNDS = 10
NOBODY = "0" * 32

# Requests that are answered the same each time: method, URL, body, headers, route and status.
STEADY = [
    ("GET", "/contacts?limit=20", None, AGENT, "/contacts", 200),
    ("GET", "/contacts?q=us+1&limit=10", None, AGENT, "/contacts", 200),
    ("GET", "/contacts?q=ussr&limit=10", None, AGENT, "/contacts", 200),
    ("GET", "/contacts?userName=u17", None, AGENT, "/contacts", 200),
    ("GET", "/contacts?sortBy=phoneNumber&order=Descending&offset=100&limit=5", None, AGENT, "/contacts", 200),
    (
        *("GET", "/contacts?filterName=NamesOrPhoneNumberMatches&filterParameters=*ser*9,*1*&limit=10"),
        *(None, AGENT, "/contacts", 200),
    ),
    ("GET", "/contacts", None, {**AGENT, "If-None-Match": "*"}, "/contacts", 304),
    ("HEAD", "/contacts?limit=1", None, AGENT, "/contacts", 200),
    ("GET", "/me", None, AGENT, "/me", 200),
    ("GET", "/healthz", None, {}, "/healthz", 200),
    ("GET", "/readyz", None, {}, "/readyz", 200),
    ("GET", "/contacts?limit=1", None, {}, "/contacts", 401),
    ("GET", "/contacts", None, {"Authorization": "Bearer contacts_none"}, "/contacts", 401),
    ("POST", "/contacts", {"name": "New"}, AGENT, "/contacts", 403),
    ("GET", f"/contacts/{NOBODY}", None, AGENT, "/contacts/<id>", 404),
    ("DELETE", f"/contacts/{NOBODY}", None, ADMIN, "/contacts/<id>", 404),
    ("GET", "/nothing/here", None, AGENT, "unmatched", 404),
    ("PATCH", "/contacts", None, ADMIN, "unmatched", 405),
    # gunicorn closes after a body that was not read to its end.
    ("POST", "/contacts", {"name": "x" * 70_000}, {**ADMIN, "Connection": "close"}, "/contacts", 413),
    ("POST", "/contacts", "name", {**ADMIN, "Content-Type": "text/plain"}, "/contacts", 415),
    ("POST", "/contacts", {"name": " "}, ADMIN, "/contacts", 422),
    ("POST", "/contacts", {"name": "New", "userName": "new"}, ADMIN, "/contacts", 422),
    ("GET", "/contacts?colour=red", None, AGENT, "/contacts", 422),
    ("GET", "/contacts?limit=-1", None, AGENT, "/contacts", 422),
]


class Client:
    """Sends requests of all kinds by chance, and counts the answers; each must be the expected one."""

    def __init__(self, port, number):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.chance = random.Random(number)
        self.kept = []  # ids of contacts of its own
        self.counted = Counter()  # by route, method and status
        self.unexpected = []

    def run(self, number):
        """Send so many requests; one that has changed a contact is followed by one that reads it."""
        for _ in range(number):
            kind = self.chance.random()
            if kind < 0.7:
                self.send(*self.chance.choice(STEADY))
            elif kind < 0.76 or not self.kept:  # as many as are removed: the directory stays as large as it is
                made = self.send("POST", "/contacts", {"name": f"Made {kind}"}, ADMIN, "/contacts", 201)
                self.kept.append(json.loads(made)["contact"]["id"])
            else:
                self.use(kind)

    def use(self, kind):
        """Send a request about a contact of its own."""
        url = f"/contacts/{self.chance.choice(self.kept)}"
        if kind < 0.85:
            self.send("GET", url, None, AGENT, "/contacts/<id>", 200)
        elif kind < 0.9:
            self.send("PUT", url, {"phoneNumber": f"+49 30 {kind}"[:30]}, ADMIN, "/contacts/<id>", 200)
        elif kind < 0.92:
            self.send("PUT", url, {"name": "Other"}, {**ADMIN, "If-Match": '"other"'}, "/contacts/<id>", 412)
        elif kind < 0.94:
            self.send("PUT", url, {"type": "User"}, ADMIN, "/contacts/<id>", 422)
        else:
            self.kept.remove(url.rpartition("/")[2])
            self.send("DELETE", url, None, ADMIN, "/contacts/<id>", 200)

    def send(self, method, url, body, headers, route, status):
        """Send a request and return the body of its answer."""
        sent = json.dumps(body) if body else None
        self.connection.request(method, url, sent, {"Content-Type": "application/json", **headers})
        response = self.connection.getresponse()
        answer = response.read()
        self.counted[route, method, response.status] += 1
        if response.status != status:
            self.unexpected.append((method, url[:80], response.status, answer[:200]))
        return answer


def counts(service):
    """Return what /metrics has counted, by route, method and status."""
    with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)) as connection:
        connection.request("GET", "/metrics")
        families = text_string_to_metric_families(connection.getresponse().read().decode())
    return Counter(
        {
            (each.labels["route"], each.labels["method"], int(each.labels["status"])): int(each.value)
            for family in families
            for each in family.samples
            if each.name == "contacts_http_requests_total" and each.labels["route"] != "/metrics"
        }
    )


def test_a_long_mixed_load_is_answered_as_expected_and_leaves_nothing(path):
    rows = "".join(f"u{n},User {n},15{n:03}\n" for n in range(300))
    flask(path, "sync", "User", "-", "--format", "csv", input=f"userName,name,phoneNumber\n{rows}")
    service = Service(path, "--workers", "2")
    clients = [Client(service.port, number) for number in range(CLIENTS)]
    try:
        wait_for(lambda: len(workers(service.process.pid)) == 2)
        pids, sizes = workers(service.process.pid), []
        with ThreadPoolExecutor(CLIENTS) as pool:
            for _ in range(ROUNDS):
                list(pool.map(lambda client: client.run(REQUESTS // CLIENTS // ROUNDS), clients))
                sizes.append((max(memory(service)), max(descriptors(service))))
        print(f"{REQUESTS} requests: memory and files", [(size // MIB, files) for size, files in sizes])  # noqa: T201
        assert [client.unexpected[:3] for client in clients] == [[]] * CLIENTS
        assert counts(service) == sum((client.counted for client in clients), Counter())
        assert workers(service.process.pid) == pids
        assert sizes[-1][0] - sizes[0][0] < 8 * MIB
        assert sizes[-1][1] - sizes[0][1] < 8
        assert max(size for size, _ in sizes) < MAX_WORKER_BYTES
    finally:
        for client in clients:
            client.connection.close()
        service.stop()


# --- clients that hang up


def hang_up(door, number):
    """Begin a request or to read its answer, in one of several ways, and go."""
    head = f"HTTP/1.1\r\n{HOST}{door.credentials}\r\n"
    sent, awaited = (
        (f"GET /contacts {head}\r\n", True),
        (f"GET /contacts {head}\r\n", False),
        (f"GET /contacts?q=user+1 {head}\r\n", False),
        (f'POST /contacts {head}{JSON}Content-Length: 15\r\n\r\n{{"name":"Gone"}}', False),
        (f"POST /contacts {head}{JSON}Content-Length: 60000\r\n\r\n{{", False),
        (f"POST /contacts {head}{JSON}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n", False),
        ("GET /con", False),
    )[number % 7]
    with suppress(OSError), door.connect() as client:
        if number % 2:  # with a reset
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(sent.encode())
        if awaited:
            client.recv(1000)


@pytest.mark.parametrize("directly", [False, True], ids=["through nginx", "directly"])
def test_clients_that_hang_up_and_reloads_fail_no_other_request(directly, large, tmp_path):
    with behind_nginx(tmp_path, large[0], "--workers", "2") as (service, nginx, logs), ThreadPoolExecutor(6) as pool:
        direct = Door(service.port)
        alice = direct.with_credentials(f"X-Role: {ADMIN['X-Role']}") if directly else nginx.alice
        statuses, stopped = Counter(), threading.Event()

        def use():
            while not stopped.is_set():
                statuses[alice.ask("GET", "/contacts?limit=5").status] += 1
                statuses[alice.ask("POST", "/contacts", body='{"name":"Stays"}').status] += 1

        def leave(first):
            for number in range(first, 84, 3):
                hang_up(alice, number)

        users = [pool.submit(use) for _ in range(3)]
        leavers = [pool.submit(leave, first) for first in range(3)]
        if not directly:  # gunicorn may reset connections that it has not looked at yet
            service.process.send_signal(signal.SIGHUP)
        for each in leavers:
            each.result(120)
        stopped.set()
        for each in users:
            each.result(60)
        assert statuses.keys() == {200, 201}
        wait_for(lambda: not deleted_files(service))
        assert {alice.ask("GET", "/contacts?limit=1").status for _ in range(20)} == {200}
    assert "Traceback" not in "".join(logs)


# --- disks that another program fills


@pytest.fixture
def disks(tmp_path):
    """Two small disks, for the database and for temporary files."""
    mounted = []
    for name, size in (("database", "384m"), ("temporary", "40m")):
        (tmp_path / name).mkdir()
        if refused := mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", tmp_path / name):
            pytest.skip(f"a disk to fill cannot be mounted here: {refused}")
        mounted.append(tmp_path / name)
    yield mounted
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def test_disks_that_fill_up_during_a_download_cut_nothing(disks):
    database, temporary = disks
    path = database / "contacts.db"
    # Their list has some 10 MB, more than sockets hold.
    rows = "".join(f"u{n},{n:05} {'x' * 240},{'y' * 250},{'z' * 250}\n" for n in range(10_000))
    flask(path, "sync", "User", "-", "--format", "csv", input=f"userName,name,firstName,lastName\n{rows}")
    service = Service(path, "--workers", "2", TMPDIR=str(temporary), SQLITE_TMPDIR=str(temporary))
    try:
        wait_for(lambda: len(workers(service.process.pid)) == 2)
        pids = workers(service.process.pid)
        with socket.socket() as client:
            received = begin_download(client, service.port)
            ballast = [fill(database), fill(temporary)]
            refused = [ask(service.port, "GET", "/contacts") for _ in range(10)]
            check_unavailable(refused, "The disk for temporary files is full.")
            assert {ask(service.port, "GET", f"/contacts?q=x&offset={n}&limit=5")[0] for n in range(10)} == {200}
            # What is allocated already has room for some writes.
            wait_for(lambda: ask(service.port, "POST", "/contacts", {"name": "x" * 255})[0] == 503)
            not_ready = {"statusCode": 4, "statusMessage": "The directory's disk is full."}
            assert ask(service.port, "GET", "/readyz") == (503, not_ready, "1")
            received += read_on(client)
        for file in ballast:
            file.unlink()
        whole = json.loads(received.partition(b"\r\n\r\n")[2])
        assert len(whole["contacts"]) == whole["totalCount"] == 10_000
        assert ask(service.port, "POST", "/contacts", {"name": "New"})[0] == 201
        assert ask(service.port, "GET", "/readyz")[0] == 200
        status, whole, _ = ask(service.port, "GET", "/contacts")
        assert (status, len(whole["contacts"])) == (200, whole["totalCount"])
        assert workers(service.process.pid) == pids
    finally:
        service.stop()


# --- clocks that jump

YEAR_S = 365 * 24 * 60 * 60


@pytest.fixture
def clock(tmp_path):
    """A command that runs another one with a clock that can be set, and a function that sets it, in years from now."""
    library, offset = tmp_path / "clock.so", tmp_path / "offset"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, ROOT / "tests" / "clock.c"], check=True)

    def jump(years):
        (tmp_path / "new").write_text(f"{years * YEAR_S}")
        (tmp_path / "new").rename(offset)

    jump(0)
    return ("env", f"LD_PRELOAD={library}", f"CLOCK_OFFSET={offset}"), jump


def test_a_clock_that_jumps_by_years_stops_nothing(path, clock):
    launcher, jump = clock
    token = flask(path, "token", "create", "Agent", "wallboard")
    service = Service(path, "--timeout", "3", launcher=launcher)
    years = (0, 10, -10, 30, -20, 0)
    try:
        wait_for(lambda: len(workers(service.process.pid)) > 1)
        pids = workers(service.process.pid)
        with Wire(service.port) as kept, Wire(service.port, {"Authorization": f"Bearer {token}"}) as wallboard:
            for year in years:
                with closing(sqlite3.connect(path, isolation_level=None)) as other, ThreadPoolExecutor(1) as pool:
                    other.execute("BEGIN IMMEDIATE")
                    waiting = pool.submit(ask, service.port, "POST", "/contacts", {"name": "Waits"})
                    time.sleep(0.2)  # it waits
                    jump(year)
                    assert kept("GET", "/contacts?q=made")[0] == 200
                    assert not waiting.done()
                    other.execute("ROLLBACK")
                    assert waiting.result()[0] == 201
                assert wallboard("GET", "/contacts?limit=1")[0] == 200
                status, made, _ = kept("POST", "/contacts", {"name": "Made"})
                assert status == 201
                assert kept("DELETE", f"/contacts/{made['contact']['id']}")[0] == 200
            counted = counts(service)
            assert counted["/contacts", "POST", 201] == 2 * len(years)
            assert counted["/contacts", "GET", 200] == 2 * len(years)
        time.sleep(4)  # longer than a worker may show no life
        assert workers(service.process.pid) == pids
    finally:
        printed = service.stop()
    now = datetime.now(UTC)
    logged = {datetime.fromisoformat(line.split()[0]) for line in printed.splitlines()}
    for year in years:
        assert any(abs(each - now - timedelta(days=365 * year)) < timedelta(days=1) for each in logged), year
    assert "Traceback" not in printed

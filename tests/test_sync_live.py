"""A large sync beside the running service, and one that is killed half-way."""

import http.client
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from conftest import ADMIN, AGENT, ROOT

pytestmark = pytest.mark.slow

ROWS = 50_000
BATCH = 4_000


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A CSV file of many Users."""
    path = tmp_path_factory.mktemp("sync") / "users.csv"
    rows = "".join(f"u{n:05},First{n % 977},Last{n % 1009},{n:05},E{n}\n" for n in range(ROWS))
    path.write_text(f"userName,firstName,lastName,phoneNumber,employeeId\n{rows}", encoding="utf-8")
    return path


def sync(path, file, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "sync", "User", str(file), *options],
        cwd=ROOT,
        env={**os.environ, "CONTACTS_DATABASE": str(path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process):
    output = process.communicate(timeout=100)[0]
    assert process.returncode == 0, output
    return output


def check(sql):
    """The database is sound, its index and counters agree with its contacts, and each contact is whole."""
    assert sql("PRAGMA integrity_check") == [("ok",)]
    sql("INSERT INTO contact_search (contact_search, rank) VALUES ('integrity-check', 1)")
    assert sql("SELECT users FROM directory") == sql("SELECT count(*) FROM contact WHERE type = 'User'")
    values = ", ".join(f"json_extract(json, '$.{name}')" for name in ("userName", "name", "phoneNumber"))
    for user_name, name, phone in sql(f"SELECT {values} FROM contact WHERE type = 'User'"):
        number = int(user_name[1:])
        assert (name, phone) == (f"First{number % 977} Last{number % 1009}", f"{number:05}")


def test_a_killed_sync_leaves_contacts_whole_and_the_next_run_completes_it(app, path, sql, file):
    process = sync(path, file)
    while process.poll() is None:
        if sql("SELECT users FROM directory") > [(10_000,)]:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert process.returncode == -signal.SIGKILL, process.communicate()
    process.stdout.close()
    done = sql("SELECT users FROM directory")[0][0]
    assert 10_000 < done < ROWS
    assert done % BATCH == 0
    check(sql)
    ids = dict(sql("SELECT json_extract(json, '$.userName'), id FROM contact"))
    expected = f"User: {ROWS - done} added, 0 changed, 0 removed, {done} unchanged, 0 rejected\n"
    assert finished(sync(path, file)) == expected
    check(sql)
    assert ids.items() <= dict(sql("SELECT json_extract(json, '$.userName'), id FROM contact")).items()


KILLS = 20


def test_a_sync_killed_at_twenty_random_moments_beside_a_writer(service, path, sql, file):
    moments = random.Random(16)
    written = []

    def write(caller):
        body = json.dumps({"name": f"Custom {caller.answers}"})
        written.append(caller.request("POST", "/contacts", ADMIN, body)["contact"]["id"])

    began = time.monotonic()
    finished(sync(path, file, "--dry-run"))
    longest = 2 * (time.monotonic() - began)
    writer = Caller(service.port, write)
    writer.start()
    try:
        for _ in range(KILLS):
            process = sync(path, file)
            with suppress(subprocess.TimeoutExpired):
                process.wait(moments.uniform(0, longest))
            process.kill()
            process.communicate()
            check(sql)
            if process.returncode == 0:  # it was done before its time: begin anew
                sql("DELETE FROM contact WHERE type = 'User'")
    finally:
        writer.stopped.set()
        writer.join()
    assert writer.error is None
    assert "0 rejected" in finished(sync(path, file))
    check(sql)
    assert sql("SELECT users FROM directory") == [(ROWS,)]
    assert {row[0] for row in sql("SELECT id FROM contact WHERE type = 'Custom'")} == set(written)


def test_up_to_5000_differences_are_all_or_nothing(app, path, sql, file, tmp_path):
    small = tmp_path / "small.csv"
    small.write_text("".join(file.read_text(encoding="utf-8").splitlines(keepends=True)[:5001]), encoding="utf-8")
    seen = set()
    process = sync(path, small)
    while process.poll() is None:
        seen.add(sql("SELECT users FROM directory")[0][0])
    finished(process)
    assert seen <= {0, 5_000}
    assert sql("SELECT users FROM directory") == [(5_000,)]


class Caller(threading.Thread):
    """Sends one request after the other until it is told to stop, and keeps what went wrong."""

    def __init__(self, port, step):
        super().__init__()
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.step = step
        self.stopped = threading.Event()
        self.answers = 0
        self.error = None

    def request(self, method, url, headers, body=None):
        self.connection.request(method, url, body, {**headers, "Content-Type": "application/json"})
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        assert response.status in {200, 201}, answer
        self.answers += 1
        return answer

    def run(self):
        try:
            while not self.stopped.is_set():
                self.step(self)
        except (AssertionError, OSError, ValueError) as error:
            self.error = error
        finally:
            self.connection.close()


def test_the_service_reads_and_writes_while_a_large_sync_runs(service, path, sql, file):
    written = []

    def write(caller):
        body = json.dumps({"name": f"Custom {caller.answers}"})
        written.append(caller.request("POST", "/contacts", ADMIN, body)["contact"])

    def read(caller):
        page = caller.request("GET", "/contacts?q=fir&limit=20&sortBy=userName", AGENT)
        assert len(page["contacts"]) == min(20, page["totalCount"])

    callers = [Caller(service.port, write), Caller(service.port, read)]
    for caller in callers:
        caller.start()
    try:
        output = finished(sync(path, file))
    finally:
        for caller in callers:
            caller.stopped.set()
            caller.join()
    assert output == f"User: {ROWS} added, 0 changed, 0 removed, 0 unchanged, 0 rejected\n"
    assert [caller.error for caller in callers] == [None, None]
    assert all(caller.answers > 10 for caller in callers)
    kept = {json.dumps(contact) for contact in written}
    assert kept == {json.dumps(json.loads(row[0])) for row in sql("SELECT json FROM contact WHERE type = 'Custom'")}
    check(sql)


def test_a_backup_beside_writes_is_sound(service, path, file, tmp_path):
    caller = Caller(service.port, lambda self: self.request("POST", "/contacts", ADMIN, b'{"name":"Custom"}'))
    caller.start()
    process = sync(path, file)
    copies = []
    try:
        while process.poll() is None:
            copies.append(tmp_path / f"{len(copies)}.db")
            subprocess.run(
                [sys.executable, "-m", "flask", "backup", str(copies[-1])],
                cwd=ROOT,
                env={**os.environ, "CONTACTS_DATABASE": str(path)},
                check=True,
            )
    finally:
        caller.stopped.set()
        caller.join()
    finished(process)
    assert caller.error is None
    assert copies
    for copy in copies:
        connection = sqlite3.connect(copy)
        users = connection.execute("SELECT count(*) FROM contact WHERE type = 'User'").fetchone()[0]
        connection.close()
        assert users % BATCH == 0 or users == ROWS

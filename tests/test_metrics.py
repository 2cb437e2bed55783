"""/metrics: what is counted, by whom it may be read, and several workers that count together."""

import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from conftest import AGENT, Client, Service, started, wait_for
from prometheus_client.parser import text_string_to_metric_families

from contacts.database import db

USERS = "userName,name\na,A\nb,B\n"


def samples(text):
    """Return the samples of an exposition: name and labels to value."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def metrics(app):
    """Read the metrics: one by its name and labels, 0 when there is none."""

    def read(name, **labels):
        answer = app.test_client().get("/metrics")
        assert (answer.status_code, answer.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
        return samples(answer.text).get((name, *sorted(labels.items())), 0)

    return read


def test_requests_are_counted_by_route_method_and_status(metrics, agent, admin, custom):
    cases = [
        ("GET", "/contacts", "/contacts", 200),
        ("GET", "/contacts?q=some", "/contacts", 200),
        ("GET", f"/contacts/{custom['id']}", "/contacts/<id>", 200),
        ("GET", "/contacts/x", "/contacts/<id>", 404),
        ("HEAD", "/contacts/y", "/contacts/<id>", 404),
        ("DELETE", "/contacts/x", "/contacts/<id>", 403),
        ("GET", "/some/where", "unmatched", 404),
        ("GET", "/else/where", "unmatched", 404),
        ("BREW", "/else/where", "unmatched", 404),
        ("STEEP", "/else/where", "unmatched", 404),
    ]

    def labels(method, route, status):
        return {"method": method if method not in {"BREW", "STEEP"} else "other", "route": route, "status": str(status)}

    def counts():
        return [
            (
                metrics("contacts_http_requests_total", **labels(method, route, status)),
                metrics(
                    "contacts_http_request_duration_seconds_count", method=labels(method, "", "")["method"], route=route
                ),
            )
            for method, _, route, status in cases
        ]

    before = counts()
    for method, url, _, status in cases:
        answer = agent.open(method, url)
        answer.get_data()
        assert answer.status_code == status
    expected = [
        (
            sum(labels(*other[::2], other[3]) == labels(*case[::2], case[3]) for other in cases),
            sum(labels(*other[::2], 0) == labels(*case[::2], 0) for other in cases),
        )
        for case in cases
    ]
    assert [(a - c, b - d) for (a, b), (c, d) in zip(counts(), before, strict=True)] == expected


def test_duration_is_in_buckets(metrics, agent):
    agent.get("/contacts")
    buckets = [
        metrics("contacts_http_request_duration_seconds_bucket", route="/contacts", method="GET", le=le)
        for le in ("0.0005", "0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.5", "1.0", "5.0", "+Inf")
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == metrics("contacts_http_request_duration_seconds_count", route="/contacts", method="GET") > 0
    assert metrics("contacts_http_request_duration_seconds_sum", route="/contacts", method="GET") > 0


def test_directory_is_as_it_is_now(metrics, admin, user, queue, path):
    def numbers():
        return [metrics("contacts_directory_contacts", type=each) for each in ("Custom", "Queue", "User")]

    assert numbers() == [0, 1, 1]
    admin.create("Some Contact")
    assert numbers() == [1, 1, 1]
    size = metrics("contacts_database_size_bytes")
    assert size == path.stat().st_size + path.with_name(f"{path.name}-wal").stat().st_size


def test_last_sync_is_told(metrics, flask):
    def last(type_):
        told = [metrics(f"contacts_last_sync_{name}", type=type_) for name in ("timestamp_seconds", "success")]
        changes = ("added", "changed", "removed", "rejected")
        return told, [metrics("contacts_last_sync_contacts", type=type_, change=change) for change in changes]

    before = int(time.time())
    flask("sync", "User", "--dry-run", file=USERS)
    flask("sync", "User", "--delimiter", "xx", file=USERS, status=1)
    (at, success), _ = last("User")
    assert (before <= at <= time.time(), success) == (True, 0)
    flask("sync", "user", file=USERS)
    (at, success), changes = last("User")
    assert (before <= at <= time.time(), success, changes) == (True, 1, [2, 0, 0, 0])
    assert last("Queue") == ([0, 0], [0, 0, 0, 0])
    flask("sync", "User", "--max-delete", "1", "--rejects", "/dev/null", file="userName,name\na,New\nc,\n", status=2)
    assert last("User")[1] == [0, 1, 1, 1]
    flask("sync", "User", "--max-delete", "0", file="userName,name\n", status=1)
    (_, success), changes = last("User")
    assert (success, changes) == (0, [0, 0, 0, 0])
    flask("import", file="name\nSome Contact\n")
    assert last("Custom") == ([0, 0], [0, 0, 0, 0])


def test_dry_run_leaves_no_trace(metrics, flask, sql):
    flask("sync", "User", "--dry-run", file=USERS)
    flask("sync", "User", "--dry-run", file="userName\n=\n", status=1)
    assert sql("SELECT * FROM sync") == []


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("127.8.9.1", {}, 200),
        ("::1", {}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        ("10.0.0.5", {}, 200),
        ("10.0.0.6", {}, 403),
        ("", {}, 403),
        ("10.0.0.6", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "10.0.0.6"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {"Forwarded": "for=10.0.0.6"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": ""}, 200),
        ("10.0.0.6", {"X-Role": "Contact Center Admin"}, 403),
    ],
)
def test_metrics_are_for_this_machine_and_trusted_peers(peer, headers, status, path):
    client = Client(started({"DATABASE": str(path), "TRUSTED_PROXIES": "10.0.0.5"}), {})
    answer = client.get("/metrics", headers=headers, environ_base={"REMOTE_ADDR": peer})
    assert answer.status_code == status
    if status == 403:
        assert answer.json["statusCode"] == 5
        assert "contacts_" not in answer.text
    db.close()


def test_other_methods_are_refused(nobody):
    assert nobody.open("HEAD", "/metrics").status_code == 200
    answer = nobody.open("POST", "/metrics")
    assert (answer.status_code, set(answer.headers["Allow"].split(", "))) == (405, {"GET", "HEAD", "OPTIONS"})


def ask(service, url, method="GET"):
    """Send one request on a connection of its own, for any worker to take."""
    with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)) as connection:
        connection.request(method, url, headers=AGENT)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def answered(service, url="/contacts"):
    """Return how many requests to a route all workers have counted."""
    route = re.sub("[0-9a-f]{32}", "<id>", url)
    counted = samples(ask(service, "/metrics")[1])
    return sum(
        value
        for (name, *labels), value in counted.items()
        if name == "contacts_http_requests_total" and ("route", route) in labels
    )


def booted(service):
    """Return all workers that were ever started."""
    return [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", service.output())]


def folders(service):
    """Return the folders in which the workers that live count."""
    alive = [pid for pid in booted(service) if os.path.exists(f"/proc/{pid}")]
    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in alive)
    return {os.path.dirname(name) for name in re.findall(r"/\S*contacts-metrics-\S*", maps)}


def test_workers_count_together_and_a_dead_one_is_not_forgotten(path):
    service = Service(path, "--workers", "3")
    try:
        wait_for(lambda: len(booted(service)) == 3)
        for _ in range(60):
            assert ask(service, "/contacts")[0] == 200
        wait_for(lambda: answered(service) == 60)
        # Each in turn, in the worst way.
        for pid in booted(service):
            before = len(booted(service))
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: len(booted(service)) == before + 1)  # noqa: B023
        assert answered(service) == 60
        for _ in range(60):
            ask(service, "/contacts")
        wait_for(lambda: answered(service) == 120)
    finally:
        service.stop()


def test_a_start_removes_what_killed_masters_left(path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    shared = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir())
    left, used = (shared / f"contacts-metrics-{pid}-test" for pid in (dead.pid, os.getpid()))
    left.mkdir()
    used.mkdir()
    try:
        Service(path).stop()
        assert (left.exists(), used.exists()) == (False, True)
    finally:
        used.rmdir()


def test_restart_counts_from_nothing_and_leaves_nothing(path):
    for _ in range(2):
        service = Service(path, "--workers", "2")
        try:
            wait_for(lambda: len(booted(service)) == 2)  # noqa: B023
            ask(service, "/contacts")
            wait_for(lambda: answered(service) == 1)  # noqa: B023
            (folder,) = folders(service)
            assert os.path.isdir(folder)
        finally:
            service.stop()
        assert not os.path.exists(folder)


def test_question_waits_while_a_worker_makes_its_file(path):
    service = Service(path)
    try:
        ask(service, "/contacts")
        wait_for(lambda: answered(service) == 1)
        (folder,) = folders(service)
        file = Path(folder, "counter_late.db")
        file.touch()
        made = threading.Timer(0.1, os.truncate, (file, 1 << 16))
        made.start()
        assert answered(service) == 1
        made.join()
    finally:
        service.stop()


def test_recycled_workers_lose_no_request_and_no_count(path):
    service = Service(path, "--workers", "2", "--max-requests", "40", "--max-requests-jitter", "10")
    try:
        for number in range(150):
            status, body = ask(service, "/contacts")
            assert (number, status, body) == (number, 200, '{"statusCode":0,"totalCount":0,"contacts":[]}')
        wait_for(lambda: answered(service) == 150)
        assert len(booted(service)) > 3
    finally:
        service.stop()

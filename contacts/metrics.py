"""What Prometheus reads at /metrics: requests, counted by all workers together, and what the database tells."""

import fcntl
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from flask import Flask, Response, current_app, request
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from contacts.database import db
from contacts.errors import ApiError, StatusCode
from contacts.model import TYPES
from contacts.roles import is_trusted
from contacts.settings import trusted_proxies

LOOPBACK = trusted_proxies("127.0.0.0/8, ::1")

# Other methods, which anybody can think of, are counted as one.
METHODS = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"}

# Seconds.
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)

counted = CollectorRegistry()
REQUESTS = Counter(
    "contacts_http_requests", "Requests that were answered.", ("route", "method", "status"), registry=counted
)
DURATION = Histogram(
    "contacts_http_request_duration_seconds",
    "Time from a request to the end of its answer.",
    ("route", "method"),
    registry=counted,
    buckets=BUCKETS,
)

# Of the folders in which workers count.
PREFIX = "contacts-metrics-"
NEW = 5  # seconds

# The worker that this process is.
worker = "none"

_children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}


def count(route: str, method: str, status: int, seconds: float) -> None:
    """Count one request."""
    if method not in METHODS:
        method = "other"
    key = (route, method, status)
    # labels() takes longer than to count.
    if key not in _children:
        _children[key] = REQUESTS.labels(*key), DURATION.labels(route, method)
    requests, duration = _children[key]
    requests.inc()
    duration.observe(seconds)


def share(place: str | None) -> str:
    """Make the processes that this one forks count together, in a new folder that is returned.

    Each is to set `worker` to a name that no other living one has. One that takes the name of a dead one goes on
    with its counts: so they are not lost, and there are never more files than workers.
    """
    global counted  # noqa: PLW0603
    remove_left(Path(place or tempfile.gettempdir()))
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=place)
    # Not closed: the lock is held for as long as this process or one that it forks lives.
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    values.ValueClass = values.MultiProcessValue(lambda: worker)
    counted = CollectorRegistry()
    MultiProcessCollector(counted, folder)
    return folder


def remove_left(place: Path) -> None:
    """Remove the folders of services that were killed; of those that live, they are locked."""
    for folder in place.glob(f"{PREFIX}*"):
        # A new one may not be locked yet.
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > NEW:
                handle = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
                finally:
                    os.close(handle)


class Directory(Collector):
    """What the database tells at the moment of the question."""

    def collect(self) -> Iterator[Metric]:
        """Yield the numbers of contacts, the size of the file, and the last sync of each type."""
        contacts = GaugeMetricFamily("contacts_directory_contacts", "Contacts of the directory.", labels=("type",))
        row = db.execute_sql("SELECT customs, queues, users FROM directory").fetchone()
        for type_, number in zip(TYPES, row, strict=True):
            contacts.add_metric([type_], number)
        yield contacts

        size = 0
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                size += os.stat(f"{db.database}{suffix}").st_size
        yield GaugeMetricFamily("contacts_database_size_bytes", "Size of the database file and its WAL.", value=size)

        finished = GaugeMetricFamily(
            "contacts_last_sync_timestamp_seconds", "When the last sync of the type ended.", labels=("type",)
        )
        success = GaugeMetricFamily(
            "contacts_last_sync_success", "1 when the last sync was done, 0 when it failed.", labels=("type",)
        )
        changes = GaugeMetricFamily(
            "contacts_last_sync_contacts", "What the last sync did, in contacts or rows.", labels=("type", "change")
        )
        for type_, at, failed, *numbers in db.execute_sql(
            "SELECT type, finished, failed, added, changed, removed, rejected FROM sync"
        ):
            finished.add_metric([type_], at)
            success.add_metric([type_], 1 - failed)
            for change, number in zip(("added", "changed", "removed", "rejected"), numbers, strict=True):
                changes.add_metric([type_, change], number)
        yield from (finished, success, changes)


kept = CollectorRegistry()
kept.register(Directory())


def show() -> Response:
    """Answer with the metrics, to this machine and to trusted peers that come without a proxy."""
    environ = request.environ
    peer = environ.get("REMOTE_ADDR", "")
    # What a proxy passes on comes from this machine only as far as can be seen.
    passed_on = environ.get("HTTP_X_FORWARDED_FOR") or environ.get("HTTP_FORWARDED")
    if passed_on or not is_trusted(peer, LOOPBACK | current_app.config["TRUSTED_PROXIES"]):
        raise ApiError(
            403,
            StatusCode.ROLE,
            "The metrics are for this machine and the peers in CONTACTS_TRUSTED_PROXIES, and not by way of a proxy.",
        )
    return Response(counts() + generate_latest(kept), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def counts() -> bytes:
    """Return what the workers have counted; wait while one of them makes its file, which is empty for a moment."""
    deadline = time.monotonic() + NEW
    while True:
        try:
            return generate_latest(counted)
        except struct.error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.001)


def init_app(app: Flask) -> None:
    """Add /metrics."""
    app.add_url_rule("/metrics", "metrics", show)

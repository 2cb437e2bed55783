"""What Prometheus reads at /metrics: requests, counted by all workers together, and facts of the database."""

import os
import struct
import time
from collections.abc import Iterator
from functools import lru_cache

from flask import Blueprint, Response, current_app, request
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from contacts.attributes import TYPES
from contacts.database import database_path
from contacts.errors import ApiError, StatusCode
from contacts.model import Directory, LastSync
from contacts.roles import is_trusted
from contacts.settings import trusted_proxies

LOOPBACK = trusted_proxies("127.0.0.0/8, ::1")

# Counted in this process; under several workers, in files (PROMETHEUS_MULTIPROC_DIR, set in gunicorn.conf.py).
own_counts = CollectorRegistry()
REQUESTS = Counter(
    "contacts_http_requests", "Requests that were answered.", ("route", "method", "status"), registry=own_counts
)
DURATION = Histogram(
    *("contacts_http_request_duration_seconds", "Time from a request to the end of its answer.", ("route", "method")),
    registry=own_counts,
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
)

blp = Blueprint("metrics", __name__)


@lru_cache(maxsize=1024)
def children(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    """Return the counter and the histogram of a kind of request: labels() takes longer than to count."""
    if method not in {"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"}:
        method = "other"  # anybody can make up methods, and each kind takes memory
    return REQUESTS.labels(route, method, status), DURATION.labels(route, method)


def count(route: str, method: str, status: int, seconds: float) -> None:
    """Count one request."""
    requests, duration = children(route, method, status)
    requests.inc()
    duration.observe(seconds)


class DirectoryCollector(Collector):
    """Facts of the database at the moment of the question."""

    def collect(self) -> Iterator[Metric]:
        """Yield the number of contacts by type, the size of the file, and the last sync of each type."""
        directory, syncs = Directory.get(), list(LastSync.select())
        contacts = {(type_,): getattr(directory, f"{type_.lower()}s") for type_ in TYPES}
        files = [database_path(), database_path("-wal")]
        size = sum(file.stat().st_size for file in files if file.exists())
        finished = {(sync.type,): sync.finished for sync in syncs}
        success = {(sync.type,): 1 - sync.failed for sync in syncs}
        kinds = ("added", "changed", "removed", "rejected")
        counts = {(sync.type, kind): getattr(sync, kind) for sync in syncs for kind in kinds}
        for name, text, labels, values in (
            ("contacts_directory_contacts", "Contacts of the directory.", ["type"], contacts),
            ("contacts_database_size_bytes", "Size of the database file and its WAL.", [], {(): size}),
            ("contacts_last_sync_timestamp_seconds", "When the last sync of the type ended.", ["type"], finished),
            ("contacts_last_sync_success", "1 when the last sync was done, 0 when it failed.", ["type"], success),
            ("contacts_last_sync_contacts", "What the last sync did, in contacts or rows.", ["type", "change"], counts),
        ):
            gauge = GaugeMetricFamily(name, text, labels=labels)
            for label_values, value in values.items():
                gauge.add_metric(label_values, value)
            yield gauge


directory_facts = CollectorRegistry()
directory_facts.register(DirectoryCollector())


@blp.get("/metrics")
def metrics() -> Response:
    """Answer with the metrics, to this machine and to trusted peers, not through a proxy."""
    # What a proxy passes on seems to come from this machine.
    forwarded = request.headers.get("X-Forwarded-For") or request.headers.get("Forwarded")
    if forwarded or not is_trusted(request.remote_addr or "", LOOPBACK | current_app.config["TRUSTED_PROXIES"]):
        text = "The metrics are for this machine and the peers in CONTACTS_TRUSTED_PROXIES, and not by way of a proxy."
        raise ApiError(403, StatusCode.ROLE, text)
    return Response(request_counts() + generate_latest(directory_facts), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def request_counts() -> bytes:
    """Return what all workers have counted (https://prometheus.github.io/client_python/multiprocess/)."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(own_counts)
    deadline = time.monotonic() + 5  # seconds; a worker that has just started needs less to make its file
    while True:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        try:
            return generate_latest(registry)
        except struct.error:  # a worker has made its file, and has not given it its size yet
            if time.monotonic() > deadline:
                raise
            time.sleep(0.001)

"""Clients that write all the time and remember what was acknowledged, and the check of what is left of it."""

import http.client
import json
import os
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from conftest import ADMIN, workers
from test_writing import Wire

from contacts.model import ROW_COLUMNS, row_of

# As many clients write at once.
WRITERS = 6

# A request that meets one of these has no answer: it may have happened or not.
BROKEN = (OSError, http.client.HTTPException)


class Writer(threading.Thread):
    """Makes, changes and removes contacts of its own over one connection, until it is told to stop or is cut off."""

    def __init__(self, port, number, kept=None, fresh=False):
        super().__init__(daemon=True)
        self.port = port
        self.number = number
        self.kept = kept or {}  # what the directory holds of this writer, by id
        self.removed = set()
        self.fresh = fresh  # a connection of its own for each request
        self.pending = None  # what was sent and not answered: (id or None, contact or None)
        self.answers = 0
        self.refused = []  # answers that are none of success
        self.error = None
        self.stopped = threading.Event()
        self.chance = random.Random()

    def run(self):
        try:
            while not self.stopped.is_set():
                with Wire(self.port) as wire:
                    self.write(wire)
                    while not (self.fresh or self.stopped.is_set()):
                        self.write(wire)
        except BROKEN as error:
            self.error = error

    def write(self, wire):
        """Send one request at random, and note what the answer promises."""
        name = f"{self.number}-{self.chance.getrandbits(64):x}"
        wanted = {"type": "Custom", "name": name, "phoneNumber": name[-12:]}
        kind = self.chance.choice(["make", "make", "change", "change", "remove"]) if self.kept else "make"
        contact_id = None if kind == "make" else self.chance.choice(list(self.kept))
        self.pending = contact_id, None if kind == "remove" else wanted
        if kind == "make":
            status, answer, _ = wire("POST", "/contacts", wanted)
        elif kind == "change":
            status, answer, _ = wire("PUT", f"/contacts/{contact_id}", wanted)
        else:
            status, answer, _ = wire("DELETE", f"/contacts/{contact_id}")
        self.pending = None
        self.answers += 1
        if status not in {200, 201}:
            self.refused.append((status, answer))
        elif kind == "remove":
            del self.kept[contact_id]
            self.removed.add(contact_id)
        else:
            contact = answer["contact"]
            assert contact == {**wanted, "id": contact_id or contact["id"]}
            self.kept[contact["id"]] = contact


@contextmanager
def writing(port, number=WRITERS, kept=(), fresh=False):
    """Let writers write while the block lasts; `kept` is what earlier writers left, by writer."""
    kept = dict(enumerate(kept))
    writers = [Writer(port, index, kept.get(index), fresh) for index in range(number)]
    for writer in writers:
        writer.start()
    try:
        yield writers
    finally:
        for writer in writers:
            writer.stopped.set()
        for writer in writers:
            writer.join()


def check_kept(writers, sql):
    """All that was acknowledged is in the database, and nothing else but what was asked for without an answer.

    Return what there is, by writer.
    """
    check_sound(sql)
    there = read_contacts(sql)
    kept = []
    for writer in writers:
        expected, pending = dict(writer.kept), writer.pending
        if pending:
            settle(expected, pending, there)
        assert {key: there.pop(key, None) for key in expected} == expected
        assert not writer.removed & there.keys()
        kept.append(expected)
    assert there == {}
    return kept


def settle(expected, pending, there):
    """Change what is expected when a request that had no answer has happened; wholly, or it is not expected."""
    contact_id, wanted = pending
    if contact_id is None:
        made = [contact for contact in there.values() if contact["name"] == wanted["name"]]
        expected.update({contact["id"]: {**wanted, "id": contact["id"]} for contact in made[:1]})
    elif wanted is None:
        if contact_id not in there:
            del expected[contact_id]
    elif there[contact_id]["name"] == wanted["name"]:
        expected[contact_id] = {**wanted, "id": contact_id}


def read_contacts(sql):
    """The Custom contacts, by id, as their columns have them."""
    read = [json.loads(contact) for (contact,) in sql("SELECT json FROM contact WHERE type = 'Custom'")]
    return {each["id"]: {"phoneNumber": None} | each for each in read}


def check_sound(sql):
    """The database is sound, and its search index, its counters and its derived columns agree with its contacts."""
    assert sql("PRAGMA integrity_check") == [("ok",)]
    sql("INSERT INTO contact_search (contact_search, rank) VALUES ('integrity-check', 1)")
    counted = dict(sql("SELECT type, count(*) FROM contact GROUP BY type"))
    assert sql("SELECT customs, queues, users FROM directory") == [
        tuple(counted.get(kind, 0) for kind in ("Custom", "Queue", "User"))
    ]
    for contact, *kept in sql(f"SELECT json, {', '.join(ROW_COLUMNS)} FROM contact"):
        assert tuple(row_of(json.loads(contact)).values()) == tuple(kept)


def kill(service):
    """Kill a service and all its workers at once, as a machine that runs out of memory would."""
    for pid in [service.process.pid, *workers(service.process.pid)]:
        os.kill(pid, signal.SIGKILL)
    service.process.wait()


def ask(port, method, url, body=None):
    """Send one request in a connection of its own; return the HTTP status, the JSON and the header Retry-After."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        headers = {**ADMIN, "Content-Type": "application/json"}
        connection.request(method, url, body and json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read()), response.headers["Retry-After"]
    finally:
        connection.close()


def write_all(port, contacts, at_once=True):
    """Make, change and remove several contacts, all at once or one by one; return what ask() returns of each."""
    half = len(contacts) // 2
    requests = [("POST", "/contacts", {"name": "New"}) for _ in contacts[:half]]
    requests += [("PUT", f"/contacts/{contact['id']}", {"name": "Changed"}) for contact in contacts[:half]]
    requests += [("DELETE", f"/contacts/{contact['id']}") for contact in contacts[half:]]
    with ThreadPoolExecutor(len(requests) if at_once else 1) as pool:
        return [future.result() for future in [pool.submit(ask, port, *request) for request in requests]]


def check_unavailable(answers, message):
    """Each answer says that nothing was changed, why, and when to try again."""
    body = {"statusCode": 4, "statusMessage": f"{message} Nothing was changed; try again."}
    assert answers == [(503, body, "1")] * len(answers)

"""What is measured: the service, what it is compared with, and how each is asked to do the same work."""

import json
import random
import re
import sqlite3
import sys
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from bench.server import ROOT, Request, ask, running
from contacts.model import ADD, new_id, row_of

# The kinds of work, and which status answers each.
WORKS = {
    "GET one": 200,
    "GET one, 304": 304,
    "list of 100 by type": 200,
    "typeahead, 20 hits": 200,
    "filterName search": 200,
    "POST": 201,
    "PUT": 200,
    "DELETE": 200,
}
READS = ("GET one", "GET one, 304", "list of 100 by type", "typeahead, 20 hits", "filterName search")

AGENT = {"X-Role": "Agent"}
ADMIN = {"X-Role": "Contact Center Admin"}

# Contacts and terms that requests name, in turn: enough that no cache of a few answers would help.
VARIETY = 300

# More contacts than any side removes in a second.
REMOVED = 4000


class Side(NamedTuple):
    """One of those that are compared."""

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str]
    paths: Mapping[str, str]  # by kind of work; {id}, {type}, {q}, {pattern}: what a request is about
    database: Path | None = None  # in which writes are made ready, and undone
    insert: str = ""  # adds a Custom contact there


def gunicorn(executable: Path, config: str, app: str) -> list[str | Path]:
    """Return the command that serves an application with one worker of four threads."""
    bind = ["--bind", "127.0.0.1:{port}", "--workers", "1", "--threads", "4", "--log-level", "warning"]
    return [executable, "-m", "gunicorn", "--config", config, *bind, app]


ITEM = dict.fromkeys(("GET one", "PUT", "DELETE"), "/contacts/{id}")
SERVICE = {
    **ITEM,
    "GET one, 304": "/contacts/{id}",
    "list of 100 by type": "/contacts?type={type}&limit=100",
    "typeahead, 20 hits": "/contacts?q={q}&limit=20",
    "filterName search": "/contacts?filterName=NamesOrPhoneNumberMatches&filterParameters={pattern}&limit=20",
    "POST": "/contacts",
}
OURS = Path(sys.executable)


def service(database: Path, workers: int = 1) -> Side:
    """Return the service, under its own gunicorn.conf.py."""
    command = [*gunicorn(OURS, "gunicorn.conf.py", "wsgi:app"), "--workers", str(workers)]
    environment = {
        "CONTACTS_DATABASE": str(database),
        "CONTACTS_TRUSTED_PROXIES": "127.0.0.1",
        "CONTACTS_LOG_LEVEL": "WARNING",  # nobody else writes a line for each request
    }
    return Side("service", command, environment, SERVICE, database, ADD.sql)


def bare(answers: Path) -> Side:
    """Return the bare Flask views; `answers` is the file of what they answer."""
    paths = {work: f"/{slug(work)}" for work in WORKS}
    return Side(
        "bare", gunicorn(OURS, "bench/gunicorn.conf.py", "bench.bare:app"), {"BENCH_ANSWERS": str(answers)}, paths
    )


PEERS = ROOT / "bench/.venv/bin"
PLAIN_INSERT = "INSERT INTO contact (id, type, name, phoneNumber) VALUES (?, ?, ?, ?)"


def peers(folder: Path, source: Path) -> list[Side]:
    """Return the peers, each with the contacts of a database of the service; their files go into the folder."""

    def filled(name: str) -> Path:
        (folder / name).mkdir()
        return plain_database(folder / name / "contacts.db", rows)

    with closing(sqlite3.connect(source)) as connection:
        rows = [json.loads(row) for (row,) in connection.execute("SELECT json FROM contact ORDER BY seq")]
    usual = {**ITEM, "POST": "/contacts", "list of 100 by type": "/contacts?type={type}&limit=100"}
    flask, fast, drf, datasette = map(filled, ("flask", "fastapi", "drf", "datasette"))
    with closing(sqlite3.connect(datasette)) as connection:
        searched = "name, userName, firstName, lastName, phoneNumber"
        # Spelled so that Datasette sees whose index it is.
        connection.execute(f"CREATE VIRTUAL TABLE contact_fts USING fts5 ({searched}, content=[contact])")
        connection.execute("INSERT INTO contact_fts (contact_fts) VALUES ('rebuild')")
        connection.commit()
    (folder / "db.json").write_text(json.dumps({"contacts": rows}), encoding="utf-8")
    python = PEERS / "python"
    return [
        Side(
            f"Flask {version('flask')} with Flask-SQLAlchemy {version('flask-sqlalchemy')}",
            gunicorn(python, "bench/gunicorn.conf.py", "bench.peers.alchemy:app"),
            {"BENCH_DATABASE": str(flask)},
            {**usual, "typeahead, 20 hits": "/contacts?q={q}&limit=20"},
            flask,
            PLAIN_INSERT,
        ),
        Side(
            f"FastAPI {version('fastapi')} with SQLModel {version('sqlmodel')}",
            [
                *(python, "-m", "uvicorn", "bench.peers.fast:app", "--port", "{port}"),
                *("--no-access-log", "--log-level", "warning"),
            ],
            {"BENCH_DATABASE": str(fast)},
            {**usual, "typeahead, 20 hits": "/contacts?q={q}&limit=20"},
            fast,
            PLAIN_INSERT,
        ),
        Side(
            f"Django REST framework {version('djangorestframework')}",
            gunicorn(python, "bench/gunicorn.conf.py", "bench.peers.drf:app"),
            {"BENCH_DATABASE": str(drf)},
            {**usual, "typeahead, 20 hits": "/contacts?search={q}&limit=20"},
            drf,
            PLAIN_INSERT,
        ),
        Side(
            f"json-server {json.loads((ROOT / 'bench/peers/package.json').read_text())['dependencies']['json-server']}",
            [
                *(ROOT / "bench/peers/node_modules/.bin/json-server", "--quiet", "--host", "127.0.0.1"),
                *("--port", "{port}", folder / "db.json"),
            ],
            {},
            {
                **usual,
                "list of 100 by type": "/contacts?type={type}&_sort=name&_page=1&_limit=100",
                "typeahead, 20 hits": "/contacts?q={q}&_sort=name&_page=1&_limit=20",
            },
        ),
        Side(
            f"Datasette {version('datasette')}",
            [PEERS / "datasette", "serve", datasette, "--port", "{port}", "--setting", "suggest_facets", "off"],
            {},
            {
                "GET one": "/contacts/contact/{id}.json?_shape=array",
                "list of 100 by type": "/contacts/contact.json?type={type}&_sort=name&_size=100&_shape=objects",
                "typeahead, 20 hits": "/contacts/contact.json?_search={q}*&_searchmode=raw&_sort=name&_size=20"
                "&_shape=objects",
            },
        ),
    ]


def version(package: str) -> str:
    """Return the version of a peer's package."""
    pinned = (ROOT / "bench/requirements.txt").read_text(encoding="utf-8")
    return re.search(rf"^{package}==(.*)$", pinned, re.MULTILINE)[1]  # type: ignore[index]


def plain_database(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """Make the database of a peer."""
    names = ("id", "name", "type", "phoneNumber", "userName", "firstName", "lastName", "employeeId")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript((ROOT / "bench/peers/contacts.sql").read_text(encoding="utf-8"))
        statement = f"INSERT INTO contact ({', '.join(names)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        connection.executemany(statement, [[row.get(name) for name in names] for row in rows])
        connection.execute("ANALYZE")
        connection.commit()
    return path


class Sample(NamedTuple):
    """What the requests are about."""

    ids: list[str]
    tags: list[str]  # the ETags of these
    customs: list[str]  # the ids of Custom contacts that are changed
    others: list[str]  # the ids of those that are removed where none can be added for that
    terms: list[str]  # of q: each has some twenty hits
    patterns: list[str]  # of filterParameters: likewise


def sample(database: Path) -> Sample:
    """Choose what the requests to a database of the service, and to copies of it, are about."""
    chance = random.Random(2)
    with closing(sqlite3.connect(database)) as connection:
        ids = [row for (row,) in connection.execute("SELECT id FROM contact ORDER BY seq")]
        customs = [row for (row,) in connection.execute("SELECT id FROM contact WHERE type = 'Custom' ORDER BY seq")]
        users = [json.loads(row) for (row,) in connection.execute("SELECT json FROM contact WHERE type = 'User'")]
    ids = chance.choices(ids, k=VARIETY)
    starts = Counter(part for user in users for part in starts_of(user["firstName"], user["lastName"]))
    parts = [part for part, hits in starts.items() if 10 <= hits <= 40 and part.isascii() and part.isalnum()]
    chance.shuffle(parts)
    ends = [f"{part}*" if number % 2 else f"*{part}*" for number, part in enumerate(parts)]
    ours = service(database)
    with running(ours.command, ours.environment) as server:
        answers = ask(server.port, [Request("GET", f"/contacts/{id}", AGENT) for id in ids])
        return Sample(
            ids,
            [headers["ETag"] for _, headers, _ in answers],
            customs[:VARIETY],
            customs[VARIETY:],
            some_hits(server.port, "q={}", parts),
            some_hits(server.port, "filterName=NamesOrPhoneNumberMatches&filterParameters={}", ends),
        )


def starts_of(*names: str) -> list[str]:
    """Return what names start with, three to six characters of it."""
    return [part for name in names for part in {name[:size].lower() for size in range(3, 7)}]


def some_hits(port: int, query: str, terms: Sequence[str]) -> list[str]:
    """Return terms that find 20 to 40 contacts."""
    found: list[str] = []
    for start in range(0, len(terms), 100):
        some = terms[start : start + 100]
        asked = [Request("GET", f"/contacts?{query.format(quote(term))}&limit=1", AGENT) for term in some]
        totals = [json.loads(body)["totalCount"] for _, _, body in ask(port, asked)]
        found += [term for term, total in zip(some, totals, strict=True) if 20 <= total <= 40]
        if len(found) >= VARIETY:
            break
    return found[:VARIETY]


def requests(side: Side, work: str, about: Sample, round_: int, removed: int) -> list[Request]:
    """Return the requests for a side's run of a kind of work, in order; `removed`: how many contacts it may remove."""
    path = side.paths[work]
    method = "GET" if work in READS else work
    if method == "PUT" and side.name not in {"service", "bare"}:
        method = "PATCH"
    if work == "GET one, 304":
        pairs = zip(about.ids, about.tags, strict=True)
        return [Request(method, path.format(id=id), {**AGENT, "If-None-Match": tag}) for id, tag in pairs]
    if method == "GET":
        types = ("User", "Queue", "Custom") * (VARIETY // 3)
        turns = zip_cycled(id=about.ids, type=types, q=about.terms, pattern=map(quote, about.patterns))
        return [Request(method, path.format(**turn), AGENT) for turn in turns]
    if method == "DELETE":
        return [Request(method, path.format(id=id), ADMIN) for id in removable(side, about, round_, removed)]
    # Each PUT to a contact brings another name and number than the one before.
    news = [body(f"{round_}-{turn}", number) for turn in range(20) for number in range(VARIETY)]
    customs = about.customs * (len(news) // len(about.customs) + 1)
    return [Request(method, path.format(id=id), ADMIN, new) for id, new in zip(customs, news, strict=False)]


def body(turn: str, number: int) -> str:
    """Return the body of a write."""
    return json.dumps({"name": f"Some Contact {turn} {number}", "phoneNumber": f"+49 30 {turn} {number}"})


def zip_cycled(**columns: Any) -> list[dict[str, str]]:
    """Return VARIETY combinations of the values, each from its first to its last, and again."""
    lists = {name: list(values) for name, values in columns.items()}
    return [{name: values[turn % len(values)] for name, values in lists.items()} for turn in range(VARIETY)]


def removable(side: Side, about: Sample, round_: int, count: int) -> list[str]:
    """Return the ids of contacts to remove: they are added first, where a side has a database to add them to."""
    if side.name == "bare":
        return about.ids
    if side.database is None:
        return about.others[round_ * 100 :]
    new = [{"type": "Custom", **json.loads(body("gone", number))} for number in range(count)]
    if side.name == "service":
        rows: Any = [ADD.bind(row_of({"id": new_id(), **contact})) for contact in new]
    else:
        rows = [(uuid.uuid4().hex, *contact.values()) for contact in new]
    with closing(sqlite3.connect(side.database, timeout=30)) as connection:
        (last,) = connection.execute("SELECT max(rowid) FROM contact").fetchone()
        connection.executemany(side.insert, rows)
        connection.commit()
        return [row for (row,) in connection.execute("SELECT id FROM contact WHERE rowid > ?", (last,))]


def tidy(side: Side, count: int) -> None:
    """Remove the contacts that were added to the first ones."""
    if side.database is not None:
        time.sleep(0.1)  # for what wrk left under way
        with closing(sqlite3.connect(side.database, timeout=30)) as connection:
            connection.execute("DELETE FROM contact WHERE rowid > ?", (count,))
            connection.commit()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def slug(work: str) -> str:
    """Return the name of a kind of work for a path."""
    return re.sub(r"\W+", "-", work.lower())

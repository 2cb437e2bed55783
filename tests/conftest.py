"""The application on a temporary database, and a gunicorn that serves one."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from jsonschema import Draft202012Validator
from werkzeug.exceptions import HTTPException

from app import create_app
from contacts import database, logs, model, phone, transactions
from contacts.database import db
from contacts.upgrades import prepare

pytest.register_assert_rewrite("pages")  # for its assertions to show what differs

# The settings of whoever runs the tests are not those of the tests.
for variable in [name for name in os.environ if name.startswith("CONTACTS_")]:
    del os.environ[variable]

# Thousands of small databases, each synced to the disk, are quicker in memory where there is a place for files.
if os.access("/dev/shm", os.W_OK | os.X_OK):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")

# No test fails by the clock: machines are busy.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")

ROOT = Path(__file__).parent.parent
ADMIN = {"X-Role": "Contact Center Admin"}
AGENT = {"X-Role": "Agent"}


@pytest.fixture
def path(tmp_path):
    """The database file of this test."""
    return tmp_path / "contacts.db"


@pytest.fixture(scope="session")
def new_database(tmp_path_factory):
    """A new database, made once: a copy of it costs no waiting for the disk."""
    path = tmp_path_factory.mktemp("new") / "contacts.db"
    prepare(str(path))
    return path


def started(settings):
    """The application as a server starts it: with its database made."""
    app = create_app(settings)
    prepare(app.config["DATABASE"], renumber=True)
    return app


@pytest.fixture(scope="session")
def shared_app():
    """An application with loopback trusted, made once, as that takes longer than most tests."""
    return create_app({"TRUSTED_PROXIES": "127.0.0.1, ::1"})


@pytest.fixture
def app(path, new_database, shared_app):
    """The shared application, on a database of this test's own."""
    shutil.copy(new_database, path)
    shared_app.config["DATABASE"] = str(path)
    for part in (logs, phone, database):  # what they set is the process's, and other tests set it, too
        part.init_app(shared_app)
    transactions.Process.file = None
    yield shared_app
    db.close()


class Document:
    """openapi.json: what the operations of an application may answer."""

    def __init__(self, app):
        self.spec = app.extensions["flask-smorest"]["apis"][""]["ext_obj"].spec.to_dict()
        self.validators = {}

    def operation(self, rule, method):
        """Return what is said of an operation; HEAD is answered as GET."""
        path = re.sub("<(.*?)>", r"{\1}", rule)
        return self.spec["paths"].get(path, {}).get("get" if method == "HEAD" else method.lower())

    def resolve(self, part):
        """Return a part of the document, or what it refers to."""
        *_, kind, name = part.get("$ref", "//").split("/")
        return self.spec["components"][kind][name] if name else part

    def validate(self, schema, value):
        """Fail when a value is not as a schema of the document has it."""
        key = json.dumps(schema)
        if key not in self.validators:
            self.validators[key] = Draft202012Validator({**schema, "components": self.spec["components"]})
        self.validators[key].validate(value)

    def check(self, app, response):
        """Fail when an answer has a status, headers or a body that its operation does not document."""
        request = response.request
        try:
            rule, _ = app.url_map.bind("localhost").match(
                request.path.partition("&")[0], request.method, return_rule=True
            )
        except HTTPException:
            return
        operation = self.operation(rule.rule, request.method)
        if operation is None:
            return
        answers = operation["responses"]
        assert str(response.status_code) in answers, (request.method, rule.rule, response.status_code)
        answer = self.resolve(answers[str(response.status_code)])
        told = answer.get("headers", {})
        assert told.keys() <= set(response.headers.keys())
        assert {"ETag", "Location", "Retry-After", "WWW-Authenticate"} & set(response.headers.keys()) <= told.keys()
        if "content" in answer and request.method != "HEAD":
            self.validate(
                answer["content"][response.mimetype]["schema"], response.json if response.is_json else response.text
            )
        elif request.method != "HEAD":
            assert not response.data


DOCUMENTS = {}


def document(app):
    """The document of an application: it is the same for all that have the same prefix and kind of clients."""
    key = (app.config["URL_PREFIX"], app.config["GWS_CLIENTS"])
    if key not in DOCUMENTS:
        DOCUMENTS[key] = Document(app)
    return DOCUMENTS[key]


class Client:
    """A client with the headers of one role; every answer must be in the envelope, and in openapi.json."""

    def __init__(self, app, headers):
        self.app = app
        self.client = app.test_client()
        self.headers = headers

    def open(self, method, url, headers=None, **kwargs):
        kwargs.setdefault("buffered", True)  # as a server does: the request ends with its answer
        response = self.client.open(url, method=method, headers={**self.headers, **(headers or {})}, **kwargs)
        if response.mimetype == "application/json" and method != "HEAD" and response.status_code != 304:
            success = response.status_code < 400
            assert (response.json["statusCode"] == 0) is success
            assert ("statusMessage" in response.json) is not success
        document(self.app).check(self.app, response)
        return response

    def get(self, url, **kwargs):
        return self.open("GET", url, **kwargs)

    def post(self, url, **kwargs):
        return self.open("POST", url, **kwargs)

    def put(self, url, **kwargs):
        return self.open("PUT", url, **kwargs)

    def delete(self, url, **kwargs):
        return self.open("DELETE", url, **kwargs)

    def create(self, name, phone=None):
        """Make a Custom contact and return it."""
        body = {"name": name} if phone is None else {"name": name, "phoneNumber": phone}
        response = self.post("/contacts", json=body)
        assert response.status_code == 201, response.text
        return response.json["contact"]

    def names(self, **params):
        """Return the names of the contacts that a query finds, in order; the total must agree."""
        response = self.get("/contacts", query_string=params)
        assert response.status_code == 200, response.text
        contacts = response.json["contacts"]
        if not {"limit", "offset"} & set(params):
            assert response.json["totalCount"] == len(contacts)
        return [contact["name"] for contact in contacts]


@pytest.fixture
def admin(app):
    return Client(app, ADMIN)


@pytest.fixture
def agent(app):
    return Client(app, AGENT)


@pytest.fixture
def nobody(app):
    return Client(app, {})


numbers = count(1)


def add(**values):
    """Add a contact of any type to the current database, past the API, and return it; ids ascend.

    Takes the API's names: type, name, phoneNumber, userName, firstName, lastName, employeeId.
    """
    row = model.row_of({"id": f"{next(numbers):012x}{secrets.token_hex(10)}", **values})
    with model.write_transaction():
        model.CREATE.execute(row)
    return json.loads(row["json"])


@pytest.fixture
def user(app):
    return add(
        type="User",
        name="Joe Johnson",
        phoneNumber="15002",
        userName="joej",
        firstName="Joe",
        lastName="Johnson",
        employeeId="E-1",
    )


@pytest.fixture
def queue(app):
    return add(type="Queue", name="Sales", phoneNumber="8001")


@pytest.fixture
def custom(admin):
    return admin.create("Some Contact", "xxx-xxx-xxxx")


@pytest.fixture
def flask(app, tmp_path):
    """Run a flask command; what is given as `file` is put into a file that the command gets."""

    def run(*args, file=None, name="users.csv", status=0):
        arguments = list(args)
        if file is not None:
            path = tmp_path / name
            path.write_bytes(file if isinstance(file, bytes) else file.encode())
            arguments.insert(2 if args[0] == "sync" else 1, str(path))
        result = app.test_cli_runner().invoke(args=arguments)
        assert result.exit_code == status, (result.output, result.exception)
        assert "Traceback" not in result.output
        return result.output

    return run


@pytest.fixture
def sql(path):
    """Run SQL on the database file, as another program would."""

    def run(statement, *values):
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    return run


def run_flask(path, *arguments, environment=(), **kwargs):
    """Run a command on a database in a process of its own, and return that, with what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "flask", *arguments],
        cwd=ROOT,
        env={**os.environ, "CONTACTS_DATABASE": str(path), **dict(environment)},
        capture_output=True,
        check=kwargs.pop("check", False),
        text=True,
        **kwargs,
    )


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(process, port):
    """Wait until a process that was started listens on a port; tell whether it does."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.05)
    return False


def wait_for(condition):
    """Wait until a condition holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def workers(pid):
    """Return the processes that a process has started."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(child) for child in children.read().split()]


def is_master(pid):
    """Return whether a process has the signal handlers of gunicorn's master, as a worker has that was just forked."""
    with suppress(FileNotFoundError, ProcessLookupError):
        caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())[1]
        return bool(int(caught, 16) >> (signal.SIGHUP - 1) & 1)
    return False


class Service:
    """A real gunicorn on 127.0.0.1, with its own database; `launcher` is a command that starts it."""

    def __init__(self, database, *arguments, launcher=(), **environment):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # Not a pipe: nobody reads it meanwhile.
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        server = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", *arguments, "wsgi:app"]
        self.process = subprocess.Popen(
            [*launcher, *server],
            cwd=ROOT,
            env={
                **os.environ,
                "CONTACTS_DATABASE": str(database),
                "CONTACTS_TRUSTED_PROXIES": "127.0.0.1",
                **environment,
            },
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        if not listens(self.process, self.port):
            raise RuntimeError(f"gunicorn did not start: {self.stop()}")

    def output(self):
        """Return what it has printed so far."""
        return os.pread(self.log.fileno(), 1 << 30, 0).decode()

    def stop(self):
        """End it and return what it printed."""
        # gunicorn waits for as long as a request may take for a worker that was sent the signal too early.
        if is_master(self.process.pid):
            wait_for(lambda: not any(map(is_master, workers(self.process.pid))))
        self.process.terminate()
        self.process.wait(timeout=40)
        if not self.log.closed:
            self.log.seek(0)
            self.printed = self.log.read().decode()
            self.log.close()
        return self.printed


@pytest.fixture
def service(path):
    running = Service(path)
    yield running
    running.stop()


@pytest.fixture
def browser(tmp_path):
    """Chromium, which logs what it asks for and what it complains of."""
    webdriver = pytest.importorskip("selenium.webdriver")  # `make browser` installs it, `make test` does without
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    options.accept_insecure_certs = True
    for flag in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"),
        *("disable-component-update", "disable-sync", "window-size=1200,1600", f"user-data-dir={tmp_path / 'profile'}"),
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    yield driver
    driver.quit()

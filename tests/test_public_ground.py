"""The service is an ordinary Flask application: only documented names, and every hook of Flask's at work on the API."""

import ast

import flask
import pytest
from conftest import ADMIN, AGENT, ROOT, Client, started

from contacts.database import db
from contacts.views import blp

SOURCES = [ROOT / name for name in ("app.py", "wsgi.py", "gunicorn.conf.py")] + sorted(
    (ROOT / "contacts").rglob("*.py")
)

# What documentation offers with an underscore: namedtuples, fields of marshmallow, models of peewee.
DOCUMENTED = {"_asdict", "_replace", "_fields", "_make", "_deserialize", "_serialize", "_meta"}


def private_names(source):
    """Return the names with a leading underscore that a program imports, or reaches for."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module != "_typeshed.wsgi":
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        elif isinstance(node, ast.Attribute) and not (
            isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
        ):
            names = [node.attr]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"getattr", "setattr", "hasattr"}:
            names = [argument.value for argument in node.args[1:2] if isinstance(argument, ast.Constant)]
        else:
            continue
        yield from (
            name for name in names if name.startswith("_") and not name.endswith("__") and name not in DOCUMENTED
        )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_private_name_of_a_package_is_used(path):
    assert list(private_names(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "from flask.globals import _cv_app",
        "import gunicorn._compat",
        "view._apidoc",
        "self.app._got_first",
        "getattr(view, '_apidoc', {})",
    ],
)
def test_private_names_are_found(source):
    assert list(private_names(source))


@pytest.fixture
def app(path):
    """An application of its own for each test, as hooks must be registered before its first request."""
    yield started({"DATABASE": str(path), "TRUSTED_PROXIES": "127.0.0.1", "SECRET_KEY": "for the test of sessions"})
    db.close()


@pytest.fixture
def admin(app):
    return Client(app, ADMIN)


def test_before_request_may_refuse(app):
    app.before_request(lambda: ("closed for today", 403))
    answer = app.test_client().get("/contacts", headers=AGENT)
    assert (answer.status_code, answer.text) == (403, "closed for today")


def test_after_request_sees_flasks_own_responses(app, admin):
    seen = []

    @app.after_request
    def mark(response):
        seen.append(type(response))
        response.headers["X-Marked"] = "yes"
        return response

    contact = admin.create("Some Contact")
    answers = [
        admin.get("/contacts"),
        admin.get("/contacts", headers={"If-None-Match": "*"}),
        admin.get(f"/contacts/{contact['id']}"),
        admin.get("/contacts/none"),
        admin.put(f"/contacts/{contact['id']}", json={"name": "Other"}),
        admin.delete(f"/contacts/{contact['id']}"),
    ]
    assert [answer.headers["X-Marked"] for answer in answers] == ["yes"] * 6
    assert set(seen) == {flask.Response}


def test_streams_are_flasks_own_responses(app, admin):
    seen = []
    app.after_request(lambda response: seen.append((type(response), response.is_streamed)) or response)
    with db.atomic():
        for number in range(1001):
            admin.create(f"Contact {number}")
    seen.clear()
    assert admin.get("/contacts").json["totalCount"] == 1001
    assert seen == [(flask.Response, True)]


@pytest.mark.parametrize("url", ["/contacts", "/contacts/none", "/contacts?colour=red"])
def test_teardown_runs_after_every_request(url, app, admin):
    ended = []
    app.teardown_request(lambda error: ended.append(("request", error)))
    app.teardown_appcontext(lambda error: ended.append(("application", error)))
    admin.get(url)
    assert ended == [("request", None), ("application", None)]


def test_hooks_of_the_blueprint_run_on_the_api_only(app, admin, monkeypatch):
    called = []
    # On this application only: the blueprint is that of all of them.
    monkeypatch.setitem(app.before_request_funcs, blp.name, [lambda: called.append("before")])
    monkeypatch.setitem(app.after_request_funcs, blp.name, [lambda response: called.append("after") or response])
    admin.get("/contacts")
    admin.get("/healthz")
    assert called == ["before", "after"]


def test_g_lasts_for_a_request(app, admin):
    seen = []

    @app.before_request
    def begin():
        seen.append(flask.g.get("mine"))
        flask.g.mine = "set"

    @app.after_request
    def end(response):
        seen.append(flask.g.mine)
        return response

    admin.get("/contacts")
    admin.get("/contacts")
    assert seen == [None, "set"] * 2


def test_signals_are_sent(app, admin, monkeypatch):
    sent = []
    with (
        flask.request_started.connected_to(lambda *_, **__: sent.append("started"), app),
        flask.request_finished.connected_to(lambda *_, **__: sent.append("finished"), app),
        flask.got_request_exception.connected_to(lambda *_, exception, **__: sent.append(type(exception)), app),
    ):
        admin.get("/contacts")
        monkeypatch.setattr("contacts.query.list_contacts", lambda _: 1 / 0)
        assert admin.get("/contacts").status_code == 500
    assert sent == ["started", "finished", "started", "finished"]


def test_sessions_come_back(app):
    @app.before_request
    def count():
        flask.session["requests"] = flask.session.get("requests", 0) + 1

    @app.after_request
    def tell(response):
        response.headers["X-Requests"] = flask.session["requests"]
        return response

    client = app.test_client()
    assert [client.get("/contacts", headers=AGENT).headers["X-Requests"] for _ in range(3)] == ["1", "2", "3"]


def test_errors_of_views_end_in_the_envelope(app, monkeypatch):
    def broken(*_, **__):
        raise SystemError("out of order")

    for endpoint in ("health.healthz", "contacts.Contacts"):
        monkeypatch.setitem(app.view_functions, endpoint, broken)
    for url in ("/healthz", "/contacts"):
        answer = Client(app, AGENT).get(url)
        assert (answer.status_code, answer.json["statusCode"]) == (500, 4)

"""The short way of a request through Flask leads where Flask's own would."""

import gc
import weakref
from functools import partial

import pytest
from conftest import AGENT, Client
from flask import has_app_context, has_request_context, request
from werkzeug.exceptions import HTTPException
from werkzeug.test import EnvironBuilder

from app import create_app
from contacts.database import db

PATHS = [
    *("", "/", "//", "/x", "/contacts", "/contacts/", "//contacts", "/contacts//", "/contacts/1", "/contacts//1"),
    *("/contacts/1/", "/contacts/1/2", "/contacts/<", "/contacts/<id>", "/contacts/é", "/contacts/a b", "/contacts/?"),
    *("/contacts&type=User", "/contacts&", "/contacts/&", "/contactsx", "/CONTACTS", "/contacts/.", "/contacts/.."),
    *("/docs", "/docs/", "/docs/start.js", "/docs/index.css", "/docs/a/b", "/healthz", "/healthz/1", "/openapi.json"),
]
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "QUERY"]


def looked_up():
    """Return the rule and arguments that the service found."""
    if request.routing_exception:
        raise request.routing_exception
    return request.url_rule, request.view_args


def found(find):
    """Return the rule and arguments that are found, or how none is."""
    try:
        rule, arguments = find()
    except HTTPException as error:
        return type(error), getattr(error, "new_url", None), sorted(getattr(error, "valid_methods", None) or ())
    return rule.rule, dict(arguments)


@pytest.mark.parametrize("prefix", ["", "/api/v2"])
def test_a_path_leads_where_werkzeug_leads_it(path, prefix):
    app = create_app({"DATABASE": str(path), "URL_PREFIX": prefix})
    for url in [*PATHS, *(f"/api/v2{url}" for url in PATHS)]:
        for method in METHODS:
            environ = EnvironBuilder(method=method).get_environ()
            environ["PATH_INFO"] = url.encode().decode("latin-1")
            with app.request_context(environ) as context:
                assert found(looked_up) == found(partial(context.url_adapter.match, return_rule=True)), (method, url)
    db.close()


@pytest.mark.parametrize("url", ["/contacts", "/contacts/1", "/nothing", "/healthz"])
def test_nothing_is_left_of_a_request(app, url):
    requests = weakref.WeakSet()

    class Watched(app.request_class):
        def __init__(self, *args):
            super().__init__(*args)
            requests.add(self)

    app.request_class = Watched
    gc.collect()
    gc.disable()
    try:
        Client(app, AGENT).client.get(url, headers=AGENT, buffered=True)
        assert not has_request_context()
        assert not has_app_context()
        assert not [each for each in requests if each.environ["werkzeug.request"]]
    finally:
        gc.enable()


def test_what_breaks_a_view_is_answered(app, monkeypatch):
    def broken(*_, **__):
        raise SystemError("out of order")

    for endpoint in ("healthz", "contacts.Contacts"):
        monkeypatch.setitem(app.view_functions, endpoint, broken)
    monkeypatch.setattr("contacts.views.Contacts.get", broken)
    for url in ("/healthz", "/contacts"):
        answer = Client(app, AGENT).get(url)
        assert (answer.status_code, answer.json["statusCode"]) == (500, 4)

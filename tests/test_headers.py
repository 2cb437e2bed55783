"""The headers that keep browsers from guessing and caches from keeping."""

import pytest
from conftest import ADMIN, Client

from contacts.database import db

# A request, and what is said of keeping its answer.
ANSWERS = [
    ("GET", "/contacts", {}, 200, "private, no-cache"),
    ("HEAD", "/contacts", {}, 200, "private, no-cache"),
    ("GET", "/contacts/{id}", {}, 200, "private, no-cache"),
    ("GET", "/contacts", {"headers": {"If-None-Match": "*"}}, 304, "private, no-cache"),
    ("GET", "/contacts/{id}", {"headers": {"If-None-Match": "*"}}, 304, "private, no-cache"),
    ("GET", "/openapi.json", {}, 200, "no-store"),
    ("OPTIONS", "/contacts", {}, 200, "no-store"),
    ("GET", "/contacts&type=User", {}, 200, "private, no-cache"),
    ("POST", "/contacts", {"json": {"name": "New"}}, 201, "no-store"),
    ("PUT", "/contacts/{id}", {"json": {"name": "New"}}, 200, "no-store"),
    ("DELETE", "/contacts/{id}", {}, 200, "no-store"),
    ("GET", "/contacts?colour=red", {}, 422, "no-store"),
    ("GET", "/contacts", {"headers": {"X-Role": "Boss"}}, 401, "no-store"),
    ("GET", "/nothing", {}, 404, "no-store"),
    ("PATCH", "/contacts", {}, 405, "no-store"),
    ("POST", "/contacts", {"data": "x"}, 415, "no-store"),
]


@pytest.mark.parametrize(
    ("method", "url", "request_", "status", "kept"), ANSWERS, ids=[f"{a[0]} {a[1]} {a[3]}" for a in ANSWERS]
)
def test_every_answer_says_who_may_keep_it_and_what_it_is(method, url, request_, status, kept, admin, custom):
    arguments = {**request_, "headers": {**ADMIN, **request_.get("headers", {})}}
    response = admin.client.open(url.format(id=custom["id"]), method=method, **arguments)
    assert response.status_code == status
    assert response.headers.getlist("Cache-Control") == [kept]
    assert response.headers.getlist("X-Content-Type-Options") == ["nosniff"]


def test_a_bug_is_not_kept_either(app, monkeypatch):
    monkeypatch.setattr(db, "execute_sql", lambda *_: 1 / 0)
    response = Client(app, ADMIN).get("/contacts")
    assert (response.status_code, response.headers["Cache-Control"]) == (500, "no-store")
    assert response.headers["X-Content-Type-Options"] == "nosniff"

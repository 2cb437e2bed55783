"""The page as it is served: its files, what it may load, and where it finds the API."""

import re

import pytest
from conftest import started

from contacts.database import db


@pytest.fixture
def client(app):
    return app.test_client()


def test_the_page_and_its_files_need_no_role_and_allow_only_themselves(client):
    page = client.get("/")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    names = set(re.findall('(?:href|src)="(.*?)"', page.text))
    assert names == {"docs", "page/icon.svg", "page/page.css", "page/page.js"}
    policy = page.headers["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy
    assert {rule.split(" ", 1)[1] for rule in policy} == {"'none'", "'self'"}
    for name in ("page.js", "page.css", "icon.svg", "api.js", "list.js", "text.js", "admin.js"):
        with client.get(f"/page/{name}") as file:
            assert file.status_code == 200
            assert file.headers["Content-Security-Policy"] == page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("place", ["/", "/page/page.js", "/page/page.css"])
def test_a_browser_keeps_what_it_has_until_it_changes(client, place):
    with client.get(place) as first:
        assert first.headers["Cache-Control"] == "no-cache"
        tag = first.headers["ETag"]
    with client.get(place, headers={"If-None-Match": tag}) as again:
        assert (again.status_code, again.data) == (304, b"")


def test_modules_import_only_files_that_are_served(client):
    asked, known = ["page.js"], set()
    while asked:
        known.add(name := asked.pop())
        with client.get(f"/page/{name}") as file:
            assert file.mimetype in {"text/javascript", "application/javascript"}
            asked += set(re.findall(r'from "\./(.*?)"', file.text)) - known
    assert known == {"page.js", "api.js", "list.js", "text.js", "admin.js"}


@pytest.mark.parametrize("name", ["__init__.py", "index.html", "none.js", "../app.py", "%2e%2e/views.py", ""])
def test_nothing_else_of_the_folder_is_served(client, name):
    answer = client.get(f"/page/{name}")
    assert (answer.status_code, answer.json["statusCode"]) == (404, 6)


@pytest.mark.parametrize("prefix", ["", "/api/v2"])
def test_the_page_finds_the_api_relative_to_itself(path, prefix):
    app = started({"DATABASE": str(path), "TRUSTED_PROXIES": "127.0.0.1", "URL_PREFIX": prefix})
    page = app.test_client().get("/", headers={"X-Forwarded-Prefix": "/gateway", "X-Forwarded-Host": "a.example"})
    assert f'data-api=".{prefix}/"' in page.text
    assert "gateway" not in page.text
    assert app.test_client().get(f"{prefix}/me").status_code == 401
    db.close()

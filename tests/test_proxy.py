"""Behind a proxy: scheme, host and prefix of the address that clients know."""

import http.client
from contextlib import closing

import pytest
from conftest import ADMIN, Client, Service, started
from flask import request

from contacts.database import db

HERE = "http://localhost/"
PUBLIC = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "contacts.example.com:8443",
    "X-Forwarded-Prefix": "/directory",
}


@pytest.fixture
def client(path):
    """A client of an application that tells at /where what it takes for its address."""
    app = started({"DATABASE": str(path), "TRUSTED_PROXIES": "127.0.0.1"})
    app.add_url_rule("/where", "where", lambda: f"{request.url_root} {request.remote_addr}")
    yield Client(app, ADMIN)
    db.close()


def test_trusted_proxy_tells_the_address(client):
    assert client.get("/where", headers=PUBLIC).text == "https://contacts.example.com:8443/directory/ 127.0.0.1"
    made = client.post("/contacts", json={"name": "New"}, headers=PUBLIC)
    assert made.headers["Location"] == f"/directory/contacts/{made.json['contact']['id']}"


def test_other_peers_are_not_believed(client):
    peer = {"REMOTE_ADDR": "10.9.9.9"}
    assert client.get("/where", headers=PUBLIC, environ_base=peer).text == f"{HERE} 10.9.9.9"


def test_unix_socket_is_believed_when_it_is_trusted(path):
    for trusted, root in (("unix", "https://contacts.example.com:8443/directory/"), ("127.0.0.1", HERE)):
        app = started({"DATABASE": str(path), "TRUSTED_PROXIES": trusted})
        app.add_url_rule("/where", "where", lambda: request.url_root)
        assert app.test_client().get("/where", headers=PUBLIC, environ_base={"REMOTE_ADDR": ""}).text == root
    db.close()


def test_role_and_forwarded_for_are_the_direct_peers(client):
    assert client.get("/contacts", headers={**PUBLIC, "X-Forwarded-For": "10.9.9.9"}).status_code == 200
    away = {"REMOTE_ADDR": "10.9.9.9"}
    assert (
        client.get("/contacts", headers={**PUBLIC, "X-Forwarded-For": "127.0.0.1"}, environ_base=away).status_code
        == 401
    )


@pytest.mark.parametrize(
    ("header", "value", "root"),
    [
        ("X-Forwarded-Proto", "https", "https://localhost/"),
        ("X-Forwarded-Proto", "http, https", "https://localhost/"),
        *[("X-Forwarded-Proto", bad, HERE) for bad in ("", "javascript", "https:", "ftp", "https,", "x" * 5000, '"')],
        ("X-Forwarded-Host", "a.example", "http://a.example/"),
        ("X-Forwarded-Host", "evil.example, a.example:80", "http://a.example/"),
        ("X-Forwarded-Host", "[::1]:8000", "http://[::1]:8000/"),
        *[
            ("X-Forwarded-Host", bad, HERE)
            for bad in ("a b", "a/b", "user@a", "a:", "a:1:2", "a\\b", "ä", "[", ":80", "a:999999", "<script>", '"a b"')
        ],
        ("X-Forwarded-Prefix", "/a", "http://localhost/a/"),
        ("X-Forwarded-Prefix", "/a/b-c_d/", "http://localhost/a/b-c_d/"),
        *[
            ("X-Forwarded-Prefix", bad, HERE)
            for bad in (
                "/",
                "a",
                "//evil.example",
                "/a//b",
                "https://evil.example",
                "/a b",
                "/%0d%0a",
                "/a?b",
                "\\\\x",
                "/ä",
            )
        ],
    ],
)
def test_only_well_formed_values_are_taken(header, value, root, client):
    value = value.encode().decode("latin-1")
    assert client.get("/where", headers={header: value}).text == f"{root} 127.0.0.1"
    made = client.post("/contacts", json={"name": "New"}, headers={header: value})
    assert made.status_code == 201
    assert made.headers["Location"].removeprefix("/a").removeprefix("/b-c_d").startswith("/contacts/")


@pytest.mark.parametrize(("trusted", "location"), [("127.0.0.1", "/directory/contacts/"), ("", "/contacts/")])
def test_gunicorn_believes_nobody_by_itself(trusted, location, path, tmp_path):
    # Not long: gunicorn misses a stop that comes right after the start.
    service = Service(path, "--graceful-timeout", "3", CONTACTS_TRUSTED_PROXIES=trusted)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        with closing(connection):
            # SCRIPT_NAME and PATH_INFO are headers that gunicorn would take from this machine.
            headers = {**PUBLIC, "SCRIPT_NAME": "/x", "PATH_INFO": "/healthz", **ADMIN}
            connection.request("POST", "/contacts", '{"name":"New"}', {**headers, "Content-Type": "application/json"})
            answer = connection.getresponse()
            if trusted:
                assert answer.status == 201
                assert answer.headers["Location"].startswith(location)
            else:
                assert (answer.status, answer.headers["Location"]) == (401, None)
    finally:
        service.stop()

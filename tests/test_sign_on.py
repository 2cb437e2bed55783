"""deploy/'s logins in a real nginx: the sign-on of a site, pages of other origins, and GWS beside the service."""

import json
import re
from http.server import BaseHTTPRequestHandler

import pytest
from conftest import ROOT, Service, free_port
from doors import Nginx, basic, bearer, flask, http_server
from pages import block

pytestmark = pytest.mark.slow

ORIGIN = "https://agents.example"

# Who is logged in with which session, and the groups that the sign-on knows.
SESSIONS = {
    "ann": "staff,cc-admins",
    "bob": "cc-agents,staff",
    "zoë": "cc-agents",
    "eve": "staff",
    "sue": "",
}


class StandIn(BaseHTTPRequestHandler):
    """Answers nginx's question who a session belongs to, as oauth2-proxy and Authelia do."""

    def do_GET(self):
        session = re.search("session=([^;]*)", self.headers.get("Cookie", ""))
        name = session[1].encode("latin-1").decode() if session else ""
        if self.path.startswith("/oauth2/auth"):
            self.answer(202, "X-Auth-Request", name)
        elif self.path == "/api/authz/auth-request":
            self.server.asked.append((self.headers["X-Original-Method"], self.headers["X-Original-URL"]))
            self.answer(200, "Remote", name)
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"sign in: {self.path}".encode())

    def answer(self, status, prefix, name):
        self.send_response(status if name in SESSIONS else 401)
        if name in SESSIONS:
            for header, value in (("User", name), ("Groups", SESSIONS[name])):
                self.send_header(f"{prefix}-{header}", value.encode().decode("latin-1"))
        elif prefix == "Remote":
            self.send_header("Location", f"https://auth.example/?rd={self.headers['X-Original-URL']}")
        self.end_headers()

    def log_message(self, *args):
        pass


# The login, and the settings that its file asks for.
LOGINS = {
    "oauth2-proxy": ("X-Auth-Request-Groups", "X-Auth-Request-User"),
    "authelia": ("Remote-Groups", "Remote-User"),
}


class Site:
    """The service behind nginx and a sign-on."""

    def __init__(self, login, door, sign_on, token):
        self.login = login
        self.door = door
        self.sign_on = sign_on
        self.token = token

    def session(self, name):
        """Return the way in of somebody who is logged in."""
        return self.door.with_credentials(f"Cookie: other=1; session={name.encode().decode('latin-1')}")


@pytest.fixture(scope="module", params=LOGINS)
def site(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    sample = (ROOT / "deploy" / f"nginx-{request.param}.conf").read_text()
    asked_for = dict(re.findall(r'^#   CONTACTS_([A-Z_]+)="?(.*?)"?$', sample, re.MULTILINE))
    assert (asked_for["ROLE_HEADER"], asked_for["USER_HEADER"]) == LOGINS[request.param]
    settings = {f"CONTACTS_{name}": value for name, value in asked_for.items()}
    token = flask(folder / "contacts.db", "token", "create", "Agent", "wallboard")
    service = Service(folder / "contacts.db", CONTACTS_ALLOWED_ORIGINS=ORIGIN, **settings)
    (folder / "nginx").mkdir()
    with http_server(StandIn) as sign_on:
        nginx = Nginx(folder / "nginx", service.port, login=request.param, sign_on=sign_on.server_port)
        try:
            yield Site(request.param, nginx.door, sign_on, token)
        finally:
            nginx.stop()
            service.stop()


def user(door, *headers):
    """Return who the caller is to the service, or the HTTP status that says nobody."""
    answer = door.ask("GET", "/me", *headers)
    return json.loads(answer.body)["user"] if answer.status == 200 else answer.status


def test_groups_are_roles(site):
    assert user(site.session("ann")) == {"role": "Contact Center Admin", "userName": "ann"}
    assert user(site.session("bob")) == {"role": "Agent", "userName": "bob"}
    assert user(site.session("zoë")) == {"role": "Agent", "userName": "zoë"}
    assert site.session("bob").ask("POST", "/contacts", body='{"name":"x"}').status == 403
    made = site.session("ann").ask("POST", "/contacts", body='{"name":"x"}')
    assert made.status == 201
    assert site.session("ann").ask("DELETE", made.headers["location"]).status == 200


def test_who_is_in_no_group_or_not_logged_in_is_nobody(site):
    for name in ("eve", "sue"):
        answer = site.session(name).ask("GET", "/contacts")
        assert (answer.status, "CONTACTS_ROLES" in answer.body or "header" in answer.body) == (401, True)
    for door in (site.door, site.session("mallory")):
        answer = door.ask("GET", "/contacts")
        assert (answer.status, json.loads(answer.body)["statusCode"]) == (401, 20)
        assert "Log in" in answer.body


FORGED = [
    *("Remote-Groups: cc-admins", "remote-groups: cc-admins", "Remote_Groups: cc-admins", "Remote-User: ann"),
    *("X-Auth-Request-Groups: cc-admins", "X_Auth_Request_Groups: cc-admins", "X-Auth-Request-User: ann"),
    *("X-Role: cc-admins", "X-Role: ROLE_ADMIN", "X-Forwarded-User: ann", "X-Forwarded-Groups: cc-admins"),
    "Remote-Groups: cc-admins\r\nX-Auth-Request-Groups: cc-admins\r\nX-Role: ROLE_ADMIN\r\nRemote-User: ann",
    *("Authorization: Basic YW5uOmFubg==", "X-Original-URL: /healthz", "X-Original-Method: OPTIONS"),
    *("X-HTTP-Method-Override: OPTIONS", f"Origin: {ORIGIN}\r\nAccess-Control-Request-Method: GET"),
]


@pytest.mark.parametrize("forged", FORGED)
def test_a_clients_own_headers_of_these_names_never_get_through(site, forged):
    assert user(site.door, forged) == 401
    assert user(site.session("eve"), forged) == 401
    assert user(site.session("bob"), forged) == {"role": "Agent", "userName": "bob"}
    # A token, good or bad, is not asked about at the sign-on.
    assert user(site.door, forged.partition("Authorization")[0] or "X: y", bearer("wrong")) == 401


def test_a_token_needs_no_session(site):
    for forged in FORGED[:8]:
        assert user(site.door, forged, bearer(site.token)) == {"role": "Agent", "userName": "wallboard"}


def test_people_are_sent_to_the_sign_on_and_programs_are_not(site):
    for accept in ("Accept: */*", "Accept: application/json", "X: y"):
        assert site.door.ask("GET", "/contacts?q=x", accept).status == 401
    answer = site.door.ask("GET", "/docs?q=x", "Accept: text/html,application/xhtml+xml")
    assert answer.status == 302
    places = {"oauth2-proxy": "/oauth2/start?rd=/docs?q=x", "authelia": "https://auth.example/?rd="}
    location = answer.headers["location"].removeprefix(f"https://contacts.example.com:{site.door.port}")
    assert location.startswith(places[site.login])
    assert site.session("bob").ask("GET", "/docs", "Accept: text/html").status == 200
    if site.login == "oauth2-proxy":
        with site.door.connect() as client:
            client.sendall(b"GET /oauth2/sign_in HTTP/1.0\r\nHost: contacts.example.com\r\n\r\n")
            assert client.recv(1 << 16).endswith(b"sign in: /oauth2/sign_in")
    else:
        assert ("GET", "https://contacts.example.com/docs?q=x") in site.sign_on.asked


def test_the_question_itself_is_not_for_clients(site):
    for path in ("/oauth2/auth", "/contacts-authelia", "/contacts-no-login", "/contacts-error"):
        answer = site.door.ask("GET", path)
        assert answer.status in {401, 404}
        assert "cc-admins" not in str(answer)


def preflight(door, *headers, origin=ORIGIN, target="/contacts", method="OPTIONS"):
    asked = ("Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization,ssid")
    return door.ask(method, target, f"Origin: {origin}", *asked, *headers)


def test_a_preflight_passes_and_nothing_with_it(site):
    answer = preflight(site.door)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert answer.headers["access-control-allow-headers"] == "authorization, ssid"
    other = preflight(site.door, origin="https://other.example")
    assert (other.status, "access-control-allow-origin" in other.headers) == (401, False)
    for method in ("GET", "HEAD", "POST", "DELETE", "PATCH"):
        assert preflight(site.door, method=method).status == 401
    assert preflight(site.door, target="/metrics").status == 404


def test_a_sign_on_that_is_gone_is_an_error_of_ours(site, tmp_path):
    nginx = Nginx(tmp_path, 1, login=site.login, sign_on=free_port())
    try:
        answer = nginx.door.ask("GET", "/contacts", "Cookie: session=ann")
        assert (answer.status, json.loads(answer.body)["statusCode"]) == (502, 4)
        assert answer.headers["retry-after"] == "5"
    finally:
        nginx.stop()


# Names and passwords, and pages of other origins.


def test_a_preflight_passes_the_passwords_and_nobody_with_it(tmp_path):
    service = Service(tmp_path / "contacts.db", CONTACTS_ALLOWED_ORIGINS=ORIGIN)
    (tmp_path / "nginx").mkdir()
    nginx = Nginx(tmp_path / "nginx", service.port)
    try:
        # With a name whose password was never looked at, too.
        for headers in ((), (basic("alice", "wrong"),), ("Authorization: preflight x",)):
            answer = preflight(nginx.door, *headers)
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
            for method in ("GET", "POST", "OPTIONS"):
                assert nginx.door.ask(method, "/contacts", f"Origin: {ORIGIN}", *headers).status == 401
        assert preflight(nginx.door, basic("alice", "wrong"), origin="https://other.example").status == 401
        assert user(nginx.bob, f"Origin: {ORIGIN}") == {"role": "Agent", "userName": "bob"}
        assert nginx.bob.ask("GET", "/me", f"Origin: {ORIGIN}").headers["access-control-allow-origin"] == ORIGIN
    finally:
        nginx.stop()
        service.stop()


# Genesys Web Services beside the service.


class Gws(BaseHTTPRequestHandler):
    """Stands in for Genesys Web Services: says which path was asked for."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"GWS: {self.path}".encode())

    def log_message(self, *args):
        pass


def test_the_contacts_go_to_the_service_and_the_rest_to_gws(tmp_path):
    snippet = block("docs/gws.md", "location")
    service = Service(tmp_path / "contacts.db", CONTACTS_URL_PREFIX="/api/v2", CONTACTS_GWS_CLIENTS="on")
    (tmp_path / "nginx").mkdir()
    with http_server(Gws) as gws:
        locations = snippet.replace("10.0.0.20", f"127.0.0.1:{gws.server_port}")
        nginx = Nginx(tmp_path / "nginx", service.port, locations=locations)
        try:
            made = json.loads(nginx.alice.ask("POST", "/api/v2/contacts", body='{"name":"Taxi"}').body)
            assert made["uri"] == f"https://contacts.example.com/api/v2{made['path']}"
            for path in ("/contacts", "/contacts/", made["path"], "/contacts&type=Custom", "/contacts?name=taxi"):
                assert "Taxi" in nginx.bob.ask("GET", f"/api/v2{path}").body
            for path in ("/api/v2/me", "/api/v2/contactsx", "/api/v2/", "/api/v2/queues?q=/api/v2/contacts", "/"):
                assert raw(nginx.bob, path).endswith(f"GWS: {path}")
        finally:
            nginx.stop()
            service.stop()


def raw(door, target):
    """Return an answer that need not be of the service's form."""
    with door.connect() as client:
        request = f"GET {target} HTTP/1.0\r\nHost: contacts.example.com\r\n{door.credentials}\r\n\r\n"
        client.sendall(request.encode())
        received = b""
        while data := client.recv(1 << 16):
            received += data
    return received.decode()

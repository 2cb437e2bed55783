"""Who may do what: the matrix of roles, whose word about a role is believed, and bearer tokens."""

import http.client
import os
import socket
import subprocess
import sys
from hashlib import sha256

import pytest
from conftest import ADMIN, AGENT, ROOT, Client, started

from contacts.database import db

UNKNOWN = "0" * 32

# What a contact of each type, and what everything else, answers: HTTP status and statusCode.
OK, MADE = (200, 0), (201, 0)
NO_ROLE, NOT_ALLOWED, NOT_CUSTOM, NO_METHOD = (401, 20), (403, 5), (403, 3), (405, 2)
READS = {"GET": OK, "HEAD": OK, "OPTIONS": OK, "PATCH": NO_METHOD}
MATRIX = {
    ("admin", "/contacts"): {**READS, "POST": MADE, "PUT": NOT_CUSTOM, "DELETE": NOT_CUSTOM},
    ("admin", "/contacts/{id}"): {**READS, "POST": NO_METHOD, "PUT": NOT_CUSTOM, "DELETE": NOT_CUSTOM},
    ("agent", "/contacts"): {**READS, "POST": NOT_ALLOWED, "PUT": NOT_ALLOWED, "DELETE": NOT_ALLOWED},
    ("agent", "/contacts/{id}"): {**READS, "POST": NOT_ALLOWED, "PUT": NOT_ALLOWED, "DELETE": NOT_ALLOWED},
    ("nobody", "/contacts"): dict.fromkeys([*READS, "POST", "PUT", "DELETE"], NO_ROLE),
    ("nobody", "/contacts/{id}"): dict.fromkeys([*READS, "POST", "PUT", "DELETE"], NO_ROLE),
}


@pytest.mark.parametrize(
    ("role", "place", "method", "expected"),
    [(*place, method, expected) for place, row in MATRIX.items() for method, expected in row.items()],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_matrix(role, place, method, expected, request, custom, queue, user, sql):
    client = request.getfixturevalue(role)
    for contact in (user, queue, custom):
        before = sql("SELECT json FROM contact")
        url, body = place.format(id=contact["id"]), {"name": "New"}
        if (place, method) == ("/contacts", "PUT"):
            body["id"] = contact["id"]
        if (place, method) == ("/contacts", "DELETE"):
            url += f"?id={contact['id']}"
        response = client.open(method, url, json=body if method in {"POST", "PUT", "PATCH"} else None)
        http_status, status_code = OK if contact is custom and expected == NOT_CUSTOM else expected
        assert response.status_code == http_status, (contact, response.text)
        if method not in {"HEAD", "OPTIONS"}:
            assert response.json["statusCode"] == status_code
        changed = http_status < 300 and method in {"POST", "PUT", "DELETE"}
        assert (sql("SELECT json FROM contact") != before) is changed


SPELLINGS = {
    (200, 201): [
        "Contact Center Admin",
        "contact center admin",
        "ROLE_ADMIN",
        "role_admin",
        "Role_Admin",
        " ROLE_ADMIN ",
    ],
    (200, 403): ["Agent", "agent", "AGENT", "ROLE_AGENT", "role_agent", " Agent\t"],
    (401, 401): [
        *("", " ", "Admin", "Agents", "ContactCenterAdmin", "Contact  Center Admin", "ROLE_ROOT", "*", "null"),
        *("Contact Center Admin, Agent", "Agent;ROLE_ADMIN", "Agent, Agent", "'ROLE_ADMIN'", "R\xf4le_Admin"),
        "\u0430gent".encode().decode("latin-1"),  # with a Cyrillic letter
    ],
}


def test_role_is_read_in_its_spellings_only(nobody, subtests):
    for (read, write), spellings in SPELLINGS.items():
        for spelling in spellings:
            with subtests.test(spelling):
                headers = {"X-Role": spelling}
                assert nobody.get("/contacts", headers=headers).status_code == read
                assert nobody.post("/contacts", json={"name": "New"}, headers=headers).status_code == write


@pytest.mark.parametrize("roles", [("Agent", "ROLE_ADMIN"), ("ROLE_ADMIN", "Agent"), ("ROLE_ADMIN", "ROLE_ADMIN")])
def test_role_sent_twice_is_not_believed(roles, app):
    response = app.test_client().get("/contacts", headers=[("X-Role", role) for role in roles])
    assert (response.status_code, response.json["statusCode"]) == (401, 20)


@pytest.fixture
def build(path):
    """Make an application with these settings, and no others of the environment's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CONTACTS_")]:
            patch.delenv(name)
        yield lambda **settings: started({"DATABASE": str(path), **settings})
    db.close()


# The setting, peers that it names, and others.
PEERS = [
    ("", [], ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""]),
    (
        "127.0.0.1",
        ["127.0.0.1", "::ffff:127.0.0.1"],
        ["127.0.0.2", "::ffff:127.0.0.2", "::1", "::127.0.0.1", "", "localhost", "127.0.0.1, 10.0.0.1"],
    ),
    ("::1", ["::1", "0:0:0:0:0:0:0:1"], ["127.0.0.1"]),
    ("10.0.0.0/8", ["10.255.0.1", "::ffff:10.1.2.3"], ["11.0.0.1", "::ffff:11.1.2.3"]),
    ("0.0.0.0/0", ["203.0.113.9"], ["2001:db8::1", ""]),
    ("2001:DB8::/32", ["2001:db8:1::5"], []),
    ("2001:db8::/32", [], ["2001:db9::5"]),
    ("fe80::/10", ["fe80::1%eth0"], []),
    ("::ffff:10.0.0.5", ["::ffff:10.0.0.5"], ["::ffff:10.0.0.6"]),
    ("unix", [""], ["127.0.0.1", "unix"]),
    ("UNIX", [""], []),
    ("10.0.0.5, 192.168.0.0/16,unix", ["10.0.0.5", "192.168.7.7", ""], ["10.0.0.6"]),
]


@pytest.mark.parametrize(("trusted", "believed", "ignored"), PEERS, ids=[trusted for trusted, _, _ in PEERS])
def test_role_is_believed_from_trusted_peers_only(trusted, believed, ignored, build):
    client = Client(build(TRUSTED_PROXIES=trusted), ADMIN)
    for peer in believed:
        assert client.get("/contacts", environ_base={"REMOTE_ADDR": peer}).status_code == 200, peer
    for peer in ignored:
        response = client.get("/contacts", environ_base={"REMOTE_ADDR": peer})
        assert response.status_code == 401, peer
        assert "CONTACTS_TRUSTED_PROXIES" in response.json["statusMessage"]
        assert (peer or "unix") in response.json["statusMessage"]


@pytest.mark.parametrize(
    ("headers", "peer", "message"),
    [
        (
            {"Authorization": "Bearer x"},
            "127.0.0.1",
            "The bearer token is not known here, or was revoked.",
        ),
        (
            {"X-Role": "Boss"},
            "127.0.0.1",
            "The header X-Role names no role; there are: Contact Center Admin, Agent.",
        ),
        (
            ADMIN,
            "",
            "The header X-Role was ignored: the peer unix is not trusted. If it is your authenticating proxy, add it "
            "to CONTACTS_TRUSTED_PROXIES and restart; else send a bearer token.",
        ),
    ],
)
def test_who_is_refused_is_told_what_to_do(headers, peer, message, nobody):
    response = nobody.get("/contacts", headers=headers, environ_base={"REMOTE_ADDR": peer})
    assert (response.status_code, response.json["statusMessage"]) == (401, message)


def test_default_trusts_nobody(build):
    client = Client(build(), ADMIN)
    for peer in ("127.0.0.1", "::1", "", "10.0.0.1"):
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"):
            assert client.open(method, "/contacts", environ_base={"REMOTE_ADDR": peer}).status_code == 401


def test_no_header_makes_a_peer_trusted(admin):
    for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "X-Forwarded-Host"):
        headers = {header: "for=127.0.0.1" if header == "Forwarded" else "127.0.0.1"}
        response = admin.get("/contacts", headers=headers, environ_base={"REMOTE_ADDR": "10.0.0.9"})
        assert response.status_code == 401, header


def test_role_header_may_have_another_name(build):
    client = Client(build(TRUSTED_PROXIES="127.0.0.1", ROLE_HEADER="X-Genesys-Role"), {})
    assert client.get("/contacts", headers={"X-Genesys-Role": "Agent"}).status_code == 200
    assert client.get("/contacts", headers={"x-genesys-role": "Agent"}).status_code == 200
    refused = client.get("/contacts", headers=ADMIN)
    assert refused.status_code == 401
    assert "X-Genesys-Role" in refused.json["statusMessage"]


@pytest.mark.parametrize("headers", [{}, {"X-Role": ""}, {"X-Role": "Boss"}, {"Authorization": "Bearer x"}])
def test_401_says_how_to_do_it_right(headers, nobody):
    response = nobody.get("/contacts", headers=headers)
    assert response.status_code == 401
    more = ', error="invalid_token"' if "Authorization" in headers else ""
    assert response.headers["WWW-Authenticate"] == f'Bearer realm="contacts"{more}'
    assert "X-Role" in response.json["statusMessage"] or "token" in response.json["statusMessage"]


JSON = {"content_type": "application/json"}


# Requests with something wrong, and what an Agent gets; None where the role does not suffice.
WRONG = [
    ("GET", "/contacts?colour=red", {}, 422),
    ("GET", "/contacts?limit=none", {}, 422),
    ("GET", f"/contacts/{UNKNOWN}", {}, 404),
    ("GET", "/contacts/no/such/path", {}, 404),
    ("GET", "/contacts/?colour=red", {}, 422),
    ("HEAD", f"/contacts/{UNKNOWN}", {}, 404),
    ("OPTIONS", "/contacts/no/such/path", {}, 404),
    ("PATCH", "/contacts", {"data": "{", **JSON}, 405),
    ("GET", "/contacts&type=Users", {}, 422),
    ("GET", "/me?colour=red", {}, 422),
    ("POST", "/contacts", {"data": "{", **JSON}, None),
    ("POST", "/contacts", {"data": "x", "content_type": "text/plain"}, None),
    ("POST", "/contacts", {"data": "x" * 100_000, **JSON}, None),
    ("POST", "/contacts", {"json": {}}, None),
    ("POST", "/contacts?colour=red", {"json": {"name": "New"}}, None),
    ("POST", f"/contacts/{UNKNOWN}", {"json": {"name": "New"}}, None),
    ("POST", "/contacts/no/such/path", {"json": {"name": "New"}}, None),
    ("PUT", f"/contacts/{UNKNOWN}", {"json": {"name": "New"}}, None),
    ("PUT", f"/contacts/{UNKNOWN}", {"json": {"name": "New"}, "headers": {"If-Match": '"x"'}}, None),
    ("PUT", "/contacts", {"json": {"id": 5}}, None),
    ("PUT", "/contacts/no/such/path", {}, None),
    ("DELETE", "/contacts", {}, None),
    ("DELETE", f"/contacts/{UNKNOWN}?colour=red", {}, None),
]


@pytest.mark.parametrize("method", ["post", "Put", "delete"])
def test_a_method_in_small_letters_takes_the_same_role(method, agent, custom):
    """Some servers let it through, and the router takes it."""
    overrides = {"REQUEST_METHOD": method}
    response = agent.client.open(
        f"/contacts/{custom['id']}" if method != "post" else "/contacts",
        headers=AGENT,
        json={"name": "New"} if method != "delete" else None,
        environ_overrides=overrides,
    )
    assert (response.status_code, response.json["statusCode"]) == (403, 5)


def test_role_is_checked_first(nobody, agent, subtests):
    for method, url, request, status in WRONG:
        with subtests.test(f"{method} {url}"):
            assert nobody.open(method, url, **request).status_code == 401
            response = agent.open(method, url, **request)
            assert response.status_code == (status or 403)
            if status is None:
                assert response.json["statusCode"] == 5


SIDE_DOORS = [
    *(
        "/%63ontacts",
        "/contacts%3Fname=x",
        "//contacts",
        "/./contacts",
        "/x/../contacts",
        "/CONTACTS",
        "/contacts/",
    ),
    *(
        "/contacts//",
        "/contacts;x",
        "/contacts%00",
        "/contacts%20",
        "/contacts&",
        "/contacts%2F{id}",
        "/contacts//{id}",
    ),
    *("/contacts/%2e/{id}", "/contacts?X-Role=ROLE_ADMIN", "/contacts#x", "http://other/contacts"),
]


def test_no_other_path_leads_past_the_role(nobody, custom, subtests):
    for url in SIDE_DOORS:
        with subtests.test(url):
            for method in ("GET", "DELETE"):
                response = nobody.open(method, url.replace("{id}", custom["id"]))
                # 200: the page at the root, for which the test client takes //contacts.
                assert response.status_code in {308, 401, 404, 405} or response.mimetype == "text/html"
                assert custom["name"] not in response.text


def test_role_is_checked_behind_a_prefix(build):
    client = Client(build(URL_PREFIX="/api/v2", TRUSTED_PROXIES="127.0.0.1"), {})
    for url in (
        "/api/v2/contacts",
        f"/api/v2/contacts/{UNKNOWN}",
        "/api/v2/contacts/a/b",
        "/api/v2/contacts&type=User",
    ):
        assert client.get(url).status_code == 401
        assert client.get(url, headers=AGENT).status_code != 401
    assert client.get("/contacts").status_code == 404


def test_what_stands_beside_the_contacts_needs_no_role(nobody):
    for url, status in (("/openapi.json", 200), ("/nothing", 404), ("/contactsx", 404)):
        assert nobody.client.get(url).status_code == status


@pytest.fixture
def token(app):
    """Run `flask token …`."""

    def run(*arguments):
        return app.test_cli_runner().invoke(args=["token", *arguments])

    return run


def make(token, role, label="desk"):
    result = token("create", role, label)
    assert (result.exit_code, result.stderr) == (0, "")
    (line,) = result.stdout.splitlines()
    return line


def bearer(token, scheme="Bearer"):
    return {"Authorization": f"{scheme} {token}"}


@pytest.mark.parametrize("header", [None, "Contact Center Admin", "Agent", "Boss", ""])
@pytest.mark.parametrize(("role", "write"), [("Contact Center Admin", 201), ("Agent", 403), ("role_admin", 201)])
def test_token_decides_alone(role, write, header, nobody, token):
    headers = bearer(make(token, role)) | ({} if header is None else {"X-Role": header})
    for peer in ("127.0.0.1", "203.0.113.9", ""):
        request = {"headers": headers, "environ_base": {"REMOTE_ADDR": peer}}
        assert nobody.get("/contacts", **request).status_code == 200
        assert nobody.post("/contacts", json={"name": "New"}, **request).status_code == write


def test_bad_token_is_401_whatever_the_header_says(admin, token, subtests):
    made = make(token, "Contact Center Admin")
    for authorization in (
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {made[:-1]}",
        f"Bearer {made[1:]}",
        f"Bearer {made}x",
        f"Bearer {made.swapcase()}",
        f"Bearer {made} {made}",
        f"Bearer {made}, Bearer {made}",
        f'Bearer "{made}"',
        f"Bearer {sha256(made.encode()).hexdigest()}",
        "Bearer desk",
        "Bearer %",
        "Bearer \xe9\xff",
        "Bearer ' OR 1=1 --",
        "Bearer " + "x" * 5000,
    ):
        with subtests.test(authorization[:20]):
            response = admin.get("/contacts", headers={"Authorization": authorization})
            assert (response.status_code, response.json["statusCode"]) == (401, 20)
            assert "token" in response.json["statusMessage"]
            assert response.headers["WWW-Authenticate"].startswith("Bearer ")


def test_scheme_is_read_ignoring_case_and_blanks(nobody, token):
    made = make(token, "Agent")
    for scheme in ("bearer", "BEARER", "Bearer ", " Bearer"):
        assert nobody.get("/contacts", headers=bearer(made, scheme)).status_code == 200, scheme


def test_other_schemes_are_no_tokens(admin, nobody, token):
    made = make(token, "Contact Center Admin")
    for scheme in ("Basic", "Digest", "Token", "Bearer2", ""):
        headers = bearer(made, scheme)
        assert nobody.get("/contacts", headers=headers).status_code == 401, scheme
        assert admin.post("/contacts", json={"name": "New"}, headers=headers).status_code == 201, scheme


def test_tokens_are_listed_without_the_token(token):
    made = {label: make(token, role, label) for role, label in [("ROLE_ADMIN", "provisioning"), ("agent", "Büro 2")]}
    listed = token("list")
    lines = listed.stdout.splitlines()
    assert (listed.exit_code, len(lines)) == (0, 2)
    assert "Büro 2" in lines[0]
    assert "Agent" in lines[0]
    assert "provisioning" in lines[1]
    assert "Contact Center Admin" in lines[1]
    for each in made.values():
        assert each not in listed.output


@pytest.mark.parametrize("spelling", ["Admin", " admin ", "ROLE_ADMIN", "contact center admin"])
def test_an_admin_s_token_is_made_by_any_name_of_the_role(spelling, nobody, token):
    headers = bearer(make(token, spelling))
    assert nobody.get("/me", headers=headers).json["user"]["role"] == "Contact Center Admin"
    assert nobody.get("/contacts", headers={"X-Role": "Admin"}).status_code == 401


@pytest.mark.parametrize("label", ["Zoe\u0308", "wall\u200b", " board "])
def test_a_token_is_revoked_by_the_label_of_its_creation(label, token):
    make(token, "Agent", label)
    assert token("revoke", label).exit_code == 0


def test_revoked_token_is_refused_at_once(nobody, token):
    kept, lost = make(token, "Agent", "kept"), make(token, "Agent", "lost")
    assert nobody.get("/contacts", headers=bearer(lost)).status_code == 200
    assert token("revoke", "lost").exit_code == 0
    assert nobody.get("/contacts", headers=bearer(lost)).status_code == 401
    assert nobody.get("/contacts", headers=bearer(kept)).status_code == 200
    assert "lost" not in token("list").output
    assert make(token, "Agent", "lost") != lost


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("create", "Boss", "desk 2"), "Agent"),
        (("create", "", "desk 2"), "Agent"),
        (("create", "Agent", "desk"), "desk"),
        (("create", "Agent", " desk "), "desk"),
        (("create", "Agent", " "), "blank"),
        (("create", "Agent", "x" * 65), "64"),
        (("create", "Agent", "a\nb"), "ontrol"),
        (("create", "Agent"), "LABEL"),
        (("create",), "ROLE"),
        (("revoke", "nobody's"), "nobody's"),
        (("revoke", ""), "no token"),
        (("revoke",), "LABEL"),
    ],
)
def test_token_commands_refuse_in_one_line(arguments, reason, token, sql):
    make(token, "Agent")
    before = sql("SELECT * FROM token")
    result = token(*arguments)
    error = [line for line in result.stderr.splitlines() if not line.startswith(("Usage:", "Try "))]
    assert (result.exit_code != 0, result.stdout, len([line for line in error if line])) == (True, "", 1)
    assert reason in error[-1]
    assert sql("SELECT * FROM token") == before


@pytest.mark.parametrize("arguments", [("--help",), ("create", "--help"), ("list", "--help"), ("revoke", "--help")])
def test_token_commands_explain_themselves(arguments, token):
    result = token(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Usage:" in result.stdout


def test_label_of_64_characters_fits(token):
    make(token, "Agent", "\U0001f600" * 64)
    assert token("revoke", "\U0001f600" * 64).exit_code == 0


def test_database_holds_only_the_digest(path, token, sql, nobody):
    made = make(token, "Agent")
    assert nobody.get("/contacts", headers=bearer(made)).status_code == 200
    assert sql("SELECT sha256 FROM token") == [(sha256(made.encode()).digest(),)]
    secret = made.removeprefix("contacts_")
    assert len(secret) >= 43
    for file in path.parent.iterdir():
        assert secret.encode() not in file.read_bytes(), file


def test_token_made_in_another_process_opens_at_once(path, nobody):
    command = [sys.executable, "-m", "flask", "token", "create", "Agent", "desk"]
    environment = {**os.environ, "CONTACTS_DATABASE": str(path)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert nobody.get("/contacts", headers=bearer(ended.stdout.strip())).status_code == 200


def test_tokens_outlive_a_change_of_settings(path, token, build):
    made = make(token, "Agent")
    assert Client(build(ROLE_HEADER="X-Other"), bearer(made)).get("/contacts").status_code == 200


class UnixConnection(http.client.HTTPConnection):
    """A connection to a server that listens on a unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


@pytest.mark.parametrize(("trusted", "status"), [("unix", 200), ("127.0.0.1,::1", 401)])
def test_unix_socket_is_a_peer_of_its_own(trusted, status, path, tmp_path):
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--bind", f"unix:{tmp_path}/socket", "--workers", "1"],
        cwd=ROOT,
        env={**os.environ, "CONTACTS_DATABASE": str(path), "CONTACTS_TRUSTED_PROXIES": trusted},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert any("Listening at" in line for line in server.stdout)
        connection = UnixConnection(f"{tmp_path}/socket")
        connection.request("GET", "/contacts", headers=AGENT)
        assert connection.getresponse().status == status
        connection.close()
    finally:
        server.terminate()
        server.communicate()


def test_underscores_do_not_spell_the_header(service):
    """A proxy that overwrites X-Role lets X_Role pass, and both have the same name in WSGI."""
    for headers, status in [
        ({"X_Role": "ROLE_ADMIN"}, 401),
        ({"X-Role": "Agent", "X_Role": "ROLE_ADMIN"}, 403),
        ({"X_Role": "ROLE_ADMIN", "X-Role": "Agent"}, 403),
        ({"X-Role": "ROLE_ADMIN"}, 422),
    ]:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        connection.request("POST", "/contacts", headers=headers)
        assert connection.getresponse().status == status
        connection.close()


@pytest.mark.parametrize(
    "authorization", ["Bearer\tbad", "Basic eDp5, Bearer bad", "Basic eDp5,bearer bad", "Bearer", "bearer "]
)
def test_a_token_decides_however_it_is_sent(authorization, admin):
    response = admin.get("/contacts", headers={"Authorization": authorization})
    assert (response.status_code, response.json["statusCode"]) == (401, 20)


@pytest.mark.parametrize("authorization", ["Basic YmVhcmVyOng=", "Negotiate bearer", "", "Digest username=bearer"])
def test_what_is_no_token_leaves_the_decision_to_the_role_header(authorization, admin):
    assert admin.get("/contacts", headers={"Authorization": authorization}).status_code == 200


@pytest.mark.parametrize(
    "spelling", ["//contacts", "///contacts", "/contacts/", "//contacts/{id}", "/contacts//{id}", "/./contacts"]
)
@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_no_spelling_of_the_path_opens_the_door(spelling, method, nobody, admin, custom):
    """The path as a server hands it on, past the test client's own tidying."""
    environ = {"PATH_INFO": spelling.format(id=custom["id"]), "REQUEST_METHOD": method, "REMOTE_ADDR": "127.0.0.1"}
    response = nobody.client.open("/", environ_overrides=environ)
    assert response.status_code in {308, 401, 404, 405}
    assert admin.get(f"/contacts/{custom['id']}").status_code == 200


def test_a_token_is_looked_up_by_its_digest_alone(nobody, path, flask):
    """What is compared is not the token, so that the time it takes tells nothing about it."""
    token = flask("token", "create", "Agent", "label").strip()
    statements = []
    db.connection().set_trace_callback(statements.append)
    for sent, status in ((token, 200), (f"{token}x", 401), (f"{token[:-1]}", 401)):
        statements.clear()
        assert nobody.get("/contacts?limit=1", headers={"Authorization": f"Bearer {sent}"}).status_code == status
        assert sha256(sent.encode()).hexdigest() in statements[0].lower()
        assert not [statement for statement in statements if sent in statement]
    assert token.encode() not in path.read_bytes() + path.with_name(f"{path.name}-wal").read_bytes()


# Names of a site's own, as CONTACTS_ROLES maps them.

LISTS = [
    ("cc-admins", "Contact Center Admin"),
    ("cc-agents", "Agent"),
    ("cc-agents,cc-admins", "Contact Center Admin"),
    (" staff , cc-agents,, vpn", "Agent"),
    ("cc-admins, cc-admins", "Contact Center Admin"),
    ("Büro/Leitung", "Contact Center Admin"),
    ("role:desk=1,other", "Agent"),
    *((names, None) for names in ("", " ", ",", "staff", "Agent", "Contact Center Admin", "ROLE_ADMIN,Admin")),
    *(
        (names, None)
        for names in (
            "cc-admins;cc-agents",
            "CC-Admins",
            "cc-admin\u017f",
            "cc-admins x",
            "xcc-admins",
            "cc",
            "cc-admins\xff",
        )
    ),
]


@pytest.mark.parametrize(("names", "role"), LISTS)
def test_names_of_the_site_are_roles(names, role, build):
    roles = "cc-admins=Admin, cc-agents=Agent, Büro/Leitung=role_admin, role:desk=1=Agent"
    app = build(TRUSTED_PROXIES="127.0.0.1", ROLES=roles, ROLE_HEADER="Remote-Groups")
    response = Client(app, {}).get("/me", headers={"Remote-Groups": names.encode().decode("latin-1"), **ADMIN})
    if role:
        assert response.json == {"statusCode": 0, "user": {"role": role}}
        return
    assert (response.status_code, response.json["statusCode"]) == (401, 20)
    assert "CONTACTS_ROLES" in response.json["statusMessage"]


def test_a_list_of_names_may_come_as_several_headers(build):
    app = build(TRUSTED_PROXIES="127.0.0.1", ROLES="cc-admins=Admin,cc-agents=Agent")
    headers = [("X-Role", "cc-agents"), ("X-Role", "cc-admins")]
    assert app.test_client().get("/me", headers=headers).json["user"]["role"] == "Contact Center Admin"


def test_names_are_believed_from_trusted_peers_alone(build):
    client = Client(build(TRUSTED_PROXIES="10.0.0.1", ROLES="cc-admins=Admin"), {"X-Role": "cc-admins"})
    assert client.get("/me").status_code == 401
    assert client.get("/me", environ_base={"REMOTE_ADDR": "10.0.0.1"}).status_code == 200


# GET /me.


def test_me_is_who_the_proxy_says(build):
    client = Client(build(TRUSTED_PROXIES="127.0.0.1", USER_HEADER="Remote-User"), {})
    named = {"Remote-User": "Zoë".encode().decode("latin-1"), "X-Forwarded-User": "mallory"}
    for headers, user in (
        (AGENT, {"role": "Agent"}),
        ({"X-Role": "role_admin", "X-Forwarded-User": "mallory"}, {"role": "Contact Center Admin"}),
        ({**AGENT, **named}, {"role": "Agent", "userName": "Zoë"}),
        ({**AGENT, "Remote-User": ""}, {"role": "Agent"}),
        ({**AGENT, "Remote-User": "x" * 256}, {"role": "Agent", "userName": "x" * 255}),
    ):
        response = client.get("/me", headers=headers)
        assert (response.status_code, response.json) == (200, {"statusCode": 0, "user": user})
        assert response.headers["Cache-Control"] == "no-store"


def test_me_is_whose_the_token_is(nobody, token):
    made = make(token, "Agent")
    headers = {**bearer(made), **ADMIN, "X-Forwarded-User": "mallory"}
    assert nobody.get("/me", headers=headers).json["user"] == {"role": "Agent", "userName": "desk"}


def test_me_is_nobody_s_without_a_role(nobody, agent):
    for method in ("GET", "HEAD", "OPTIONS", "POST", "DELETE"):
        assert nobody.open(method, "/me").status_code == 401
    assert agent.open("POST", "/me").status_code == 403
    assert agent.open("PATCH", "/me").status_code == 405

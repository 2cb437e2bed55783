"""Attacks on the real service, directly and through a real nginx that is set up as deploy/nginx.conf has it."""

import base64
import json
import os
import re
import signal
import sqlite3
import ssl
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest
from conftest import ROOT, Service, wait_for, workers
from doors import CLOSE, HOST, INSIDE, JSON, Door, Nginx, basic, bearer, flask

pytestmark = pytest.mark.slow

BODY = '{"name":"Intruder"}'

USERS = """userName,firstName,lastName,phoneNumber,employeeId
joej,Joe,Johnson,15002,E-1
zoem,Zoë,Müller,+49 30 1234,E-2
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The database, with contacts of each type in it."""
    path = tmp_path_factory.mktemp("attack") / "contacts.db"
    for type_, rows in (("User", USERS), ("Queue", "name,phoneNumber\nSales,8001\n")):
        (path.parent / "rows.csv").write_text(rows)
        flask(path, "sync", type_, str(path.parent / "rows.csv"))
    (path.parent / "rows.csv").write_text("name,phoneNumber\nVictim,555-0100\n")
    flask(path, "import", str(path.parent / "rows.csv"))
    return path


@pytest.fixture(scope="module")
def trusting(file):
    """The service, which believes the X-Role of this machine."""
    running = Service(file)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def direct(trusting):
    return Door(trusting.port)


@pytest.fixture(scope="module")
def untrusting(file):
    """The service as it is without a setting: it believes nobody."""
    running = Service(file, CONTACTS_TRUSTED_PROXIES="")
    yield Door(running.port)
    running.stop()


@pytest.fixture(scope="module")
def nginx(trusting, tmp_path_factory):
    running = Nginx(tmp_path_factory.mktemp("nginx"), trusting.port)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def tokens(file):
    """A token of each role, and one that was revoked."""
    made = {label: flask(file, "token", "create", role, label) for label, role in TOKENS.items()}
    flask(file, "token", "revoke", "revoked")
    return made


TOKENS = {"admin": "ROLE_ADMIN", "agent": "ROLE_AGENT", "revoked": "ROLE_ADMIN"}


def content(file):
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT json FROM contact ORDER BY seq").fetchall()


@pytest.fixture(autouse=True)
def unchanged(file):
    """No attack leaves anything behind."""
    before = content(file)
    yield
    assert content(file) == before


@pytest.fixture(scope="module")
def victim(file):
    """The id of the one contact that clients may write."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT id FROM contact WHERE name_key GLOB 'victim*'").fetchone()[0]


# --- who may come in

FORGED = [
    "X-Role: ROLE_ADMIN",
    "X-Role: Contact Center Admin",
    "x-role: ROLE_ADMIN",
    "X-ROLE:ROLE_ADMIN",
    "X-Role:\tROLE_ADMIN\t",
    "X-Role:   ROLE_ADMIN   ",
    "X-Role : ROLE_ADMIN",
    "X-Role\t: ROLE_ADMIN",
    " X-Role: ROLE_ADMIN",
    "X-Role:\r\n ROLE_ADMIN",
    "X-Role: Agent\r\nX-Role: ROLE_ADMIN",
    "X-Role: ROLE_ADMIN\r\nX-Role: ROLE_ADMIN",
    "X-Role: ROLE_ADMIN\r\nx-role: Agent",
    "X-Role: ROLE_ADMIN\nX-Role: ROLE_ADMIN",
    "X: y\rX-Role: ROLE_ADMIN",
    "X: y\nX-Role: ROLE_ADMIN",
    "X-Role\0: ROLE_ADMIN",
    "X-Role: ROLE_ADMIN\0",
    "X-R\xf4le: ROLE_ADMIN",
    "X_Role: ROLE_ADMIN",
    "X_ROLE: ROLE_ADMIN",
    "X_Role: ROLE_ADMIN\r\nX-Role: ROLE_ADMIN",
    "HTTP_X_ROLE: ROLE_ADMIN",
    "HTTP-X-Role: ROLE_ADMIN",
    "X-Role: ROLE_ADMIN\r\nX-Forwarded-For: 127.0.0.1",
    "X-Role: ROLE_ADMIN\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1",
    "X-Role: ROLE_ADMIN\r\nREMOTE_ADDR: 127.0.0.1\r\nRemote-Addr: 127.0.0.1",
    "X-Role: ROLE_ADMIN\r\nConnection: X-Role",
    "X-Role: ROLE_ADMIN\r\nConnection: close, X-Role, Authorization",
    "X-Forwarded-User: alice\r\nX-Remote-User: alice\r\nRemote-User: alice\r\nREMOTE_USER: alice",
    "X-Forwarded-Prefix: /contacts\r\nSCRIPT_NAME: /contacts\r\nPATH_INFO: /contacts",
    "Cookie: X-Role=ROLE_ADMIN; role=ROLE_ADMIN",
    "Trailer: X-Role\r\nX-Role: ROLE_ADMIN",
    "Authorization: Basic\r\nX-Role: ROLE_ADMIN",
    "Authorization: ROLE_ADMIN",
    "Proxy-Authorization: Basic YWxpY2U6d29uZGVybGFuZA==\r\nX-Role: ROLE_ADMIN",
]


@pytest.mark.parametrize("forged", FORGED, ids=repr)
def test_a_forged_role_is_not_believed(forged, nginx, untrusting):
    # Nobody stays nobody, nginx's mallory has no role, and bob stays an agent.
    for door, read, write in (
        (untrusting, {400, 401}, {400, 401}),
        (nginx.door, {400, 401}, {400, 401}),
        (nginx.mallory, {400, 401}, {400, 401}),
        (nginx.bob, {200, 400}, {400, 403}),
    ):
        assert door.ask("GET", "/contacts?name=none", forged).status in read
        assert door.ask("POST", "/contacts", forged, body=BODY).status in write


@pytest.mark.parametrize("underscored", ["X_Role: ROLE_ADMIN", "x_role: ROLE_ADMIN"])
def test_an_underscore_is_not_a_hyphen_even_from_a_trusted_peer(underscored, direct):
    assert direct.ask("GET", "/contacts", underscored).status == 401
    assert direct.ask("POST", "/contacts", "X-Role: Agent", underscored, body=BODY).status == 403


@pytest.mark.parametrize("first", ["Basic", "Bearer"])
def test_two_authorizations_let_nobody_in(first, nginx, tokens):
    """What one of them says must not be taken for proven by the other."""
    lies = [basic("alice", "wrong"), bearer(tokens["agent"])]
    for headers in (lies, lies[::-1]):
        assert nginx.door.ask("POST", "/contacts", *headers, body=BODY).status in {400, 401, 403}


def test_nginx_gives_the_role_of_who_gave_the_password(nginx):
    assert nginx.bob.ask("GET", "/contacts").status == 200
    made = nginx.alice.ask("POST", "/contacts", "X-Role: Agent", body=BODY)
    assert made.status == 201
    assert nginx.bob.ask("DELETE", made.headers["location"]).status == 403
    assert nginx.alice.ask("DELETE", made.headers["location"]).status == 200
    for wrong in ("", "wrong", "Wonderland", "wonderland "):
        answer = nginx.door.ask("GET", "/contacts", basic("alice", wrong))
        assert (answer.status, json.loads(answer.body)["statusCode"]) == (401, 20)
        assert answer.headers["www-authenticate"].startswith("Basic ")


def test_nginx_lets_tokens_through_and_the_service_judges_them(nginx, tokens):
    agent, admin = (nginx.door.with_credentials(bearer(tokens[label])) for label in ("agent", "admin"))
    assert agent.ask("GET", "/contacts").status == 200
    assert agent.ask("POST", "/contacts", "X-Role: ROLE_ADMIN", body=BODY).status == 403
    made = admin.ask("POST", "/contacts", "X-Role: Agent", body=BODY)
    assert made.status == 201
    assert admin.ask("DELETE", made.headers["location"]).status == 200


def wrong_tokens(tokens):
    """Return what is nearly a token."""
    good = tokens["admin"]
    swapped = f"{good[:-2]}{good[-1]}{good[-2]}" if good[-1] != good[-2] else good[:-1]
    return [
        tokens["revoked"],
        *("", "x", "contacts_", "null", "*", "%", "' OR 1=1 --", "x' OR ''='", '"', "\\", "\xff\xfe"),
        *("contacts_" * 500, good[:-1], good[1:], f"{good}x", f"x{good}", f"{good}=", f"{good},", f"{good} x"),
        *(f"{good} {good}", swapped, good.upper(), good.lower(), good.swapcase(), f'"{good}"', f"{good};"),
        good.replace("_", "%5f", 1),
        base64.b64encode(good.encode()).decode(),
        good.encode().hex(),
    ]


def test_only_the_whole_token_counts(untrusting, nginx, tokens):
    assert untrusting.ask("GET", "/contacts", bearer(tokens["admin"])).status == 200
    for token in wrong_tokens(tokens):
        for door in (untrusting, nginx.door):
            answer = door.ask("GET", "/contacts", bearer(token), "X-Role: ROLE_ADMIN")
            assert (answer.status, json.loads(answer.body)["statusCode"]) == (401, 20), token
            assert "www-authenticate" in answer.headers


def test_a_token_is_read_from_its_header_only(untrusting, nginx, tokens):
    token = tokens["admin"]
    for door in (untrusting, nginx.door):
        for name in ("access_token", "token", "Authorization", "authorization", "bearer", "api_key", "X-Role"):
            assert door.ask("GET", f"/contacts?{name}={token}").status == 401
            assert door.ask("GET", "/contacts", f"Cookie: {name}={token}").status == 401
            assert door.ask("POST", "/contacts", body=json.dumps({name: token, "name": "x"})).status == 401
        for header in (f"X-Token: {token}", f"X-Api-Key: {token}", f"Proxy-Authorization: Bearer {token}"):
            assert door.ask("GET", "/contacts", header).status == 401
        for header in (
            basic("token", token),
            basic(token, ""),
            f"Authorization: {token}",
            f"Authorization: Token {token}",
        ):
            assert door.ask("GET", "/contacts", header).status == 401


# --- what may come in

SYNTAX = [
    *("'", '"', "''", '""', "`", "';--", "' OR '1'='1", '" OR "1"="1', "x' UNION ALL SELECT sha256,1 FROM token --"),
    *("1; DROP TABLE contact", "') OR 1=1 --", "?1", "?", ":name", "@name", "$name", "||'a'", "/**/", "\\", "\\'"),
    *("\\u0000", "*", "**", "a*", "*a", "^", "^a", "NEAR(", "NEAR(a b, 5)", "a NEAR b", "{a b}:", "{search_words}: a"),
    *("search_words:a", "-", "- a", "-a", "--", "AND", "a AND", "OR", "NOT", "a NOT b", "(", ")", "()", "(((("),
    *("a OR (b", '"a" + "b"', "+", "[", "]", "[]", "[a-z]", "[^a]", "[!a]", "[a-z]*", "?*", "a?c", "[[]", "%", "_"),
    *("%%", "a%", "{", "}", "[1,2]", "{}", "\x00", "a\x00b", "\x01", "\x02", "\x02\x02a", "\x1a", "\x7f", "\n"),
    *("\r\n", "\t", "\u2028", "\ufeff", "\ufffe", "\U0010ffff", "0", "-1", "1e9", "0x10", "9" * 400, "-" + "9" * 400),
    *("1.5", "NaN", "Infinity", "null", "true", "None", "٣", "%s%s%n", "{0}", "{{7*7}}", "${7*7}", "<script>"),
    *("../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1/", "a" * 4001, "," * 500, "a," * 500),
    *(" ".join("abc" for _ in range(100)), "*" * 2000, "*a" * 1000, "'" * 2000),
]
EXACT = ("id", "name", "userName", "firstName", "lastName", "employeeId")
PARAMETERS = (
    *EXACT,
    *("type", "phoneNumber", "filterParameters", "q", "sortBy", "order", "offset", "limit", "fields", "filterName"),
)


def quoted(text):
    return "".join(f"%{byte:02x}" for byte in text.encode())


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_syntax_in_a_parameter_is_only_text(parameter, trusting, direct, file):
    door = direct.with_credentials("X-Role: Agent")
    for text in SYNTAX:
        beside = "&filterName=NamesOrPhoneNumberMatches" if parameter == "filterParameters" else ""
        for written in (quoted(text), f"x{quoted(text)}", f"{quoted(text)}x"):
            answer = door.ask("GET", f"/contacts?{parameter}={written}{beside}")
            assert answer.status in {200, 414, 422}, (text, answer)
            if answer.status == 200 and parameter in EXACT:
                assert json.loads(answer.body)["totalCount"] == 0, text
        # As the parameter's name.
        answer = door.ask("GET", f"/contacts?{quoted(text)}=1")
        assert answer.status in {414, 422}, (text, answer)
        assert door.ask("GET", f"/contacts/{quoted(text).replace('%2f', '/')}").status in {200, 404, 414}, text


@pytest.mark.parametrize(
    "raw", ["%", "%f", "%zz", "%ff", "%c3", "%ed%a0%80", "%f4%90%80%80", "%00", "%u0041", "+", "&", "=", ";"]
)
def test_escapes_that_are_none_are_refused_or_text(raw, direct):
    door = direct.with_credentials("X-Role: Agent")
    for parameter in PARAMETERS:
        assert door.ask("GET", f"/contacts?{parameter}={raw}").status in {200, 400, 422}
    assert door.ask("GET", f"/contacts?{raw}").status in {200, 400, 422}
    # /contacts/& is the list, with nothing behind the &.
    assert door.ask("GET", f"/contacts/{raw}").status in ({200} if raw == "&" else {400, 404})


SIDE_DOORS = [
    *("//contacts", "///contacts", "/./contacts", "/x/../contacts", "/contacts/", "/contacts//", "/contacts/."),
    *("/contacts/..;/", "/..;/contacts", "/contacts/..;/contacts", "/contacts;x", "/contacts;x=1", "/;/contacts"),
    *("/contacts%3bx", "/contacts%3fx", "/%63ontacts", "/%2563ontacts", "/%2e/contacts", "/%2e%2e/contacts"),
    *("/x/%2e%2e/contacts", "/contacts%00", "/contacts%20", "/contacts%0a", "/contacts%0d%0aX-Role:%20ROLE_ADMIN"),
    *("/contacts%09", "/contacts%2f{id}", "/contacts/%2f{id}", "/contacts%5c{id}", "/contacts\\{id}"),
    *("/contacts/x/../{id}", "/contacts/{id}/", "/contacts/{id}/..", "/contacts/{id};x", "/contacts/{id}%00"),
    *("/contacts/{id}.json", "/CONTACTS", "/Contacts/{id}", "/openapi.json/../contacts", "/contacts&type=User"),
    *("/openapi.json/..%2fcontacts", "/healthz/..%2f..%2fcontacts/{id}", "/docs/../contacts/{id}"),
    *("/docs/%2e%2e/contacts/{id}", "/metrics/../contacts", "http://contacts.example.com/contacts"),
    *("http://127.0.0.1/contacts/{id}", "https://x/contacts", "/contacts#/", "/contacts?", "/contacts??"),
    *("/contacts?X-Role=ROLE_ADMIN", "/contacts/{id}?X-Role=ROLE_ADMIN", "*", "/*"),
]


@pytest.mark.parametrize("path", SIDE_DOORS)
def test_no_path_leads_past_the_role(path, nginx, untrusting, direct, victim):
    target = path.format(id=victim)
    for door in (nginx.door, nginx.mallory, untrusting, direct):
        for method in ("GET", "DELETE", "OPTIONS", "HEAD"):
            answer = door.ask(method, target)
            # The document and its page are for everybody.
            public = path.startswith(("/docs", "/openapi.json")) or (method, path) == ("OPTIONS", "*")
            assert answer.status >= 300 or public, (method, answer)
            assert "Victim" not in answer.body
    # And an agent writes nothing by any of them.
    for door in (nginx.bob, direct.with_credentials("X-Role: Agent")):
        for method in ("DELETE", "POST", "PUT"):
            assert door.ask(method, target, body=BODY if method != "DELETE" else "").status >= 300


@pytest.mark.parametrize(
    "path",
    ["/metrics", "//metrics", "/%6detrics", "/x/../metrics", "/./metrics", "/metrics?x", "/%2e/metrics", "/metrics#x"],
)
def test_nginx_shows_no_metrics(path, nginx, tokens):
    for door in (nginx.door, nginx.alice, nginx.door.with_credentials(bearer(tokens["admin"]))):
        answer = door.ask("GET", path)
        # Of nginx itself: the service is not asked.
        assert (answer.status, json.loads(answer.body)["statusMessage"]) == (404, "There is nothing at this path.")


@pytest.mark.parametrize(
    "path", ["/metrics/", "/metrics;x", "/metrics%00", "/METRICS", "/metrics/.", "/metrics%20", "/metrics%3f"]
)
def test_no_other_path_leads_to_the_metrics(path, nginx):
    assert nginx.alice.ask("GET", path).status in {400, 404}


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"])
def test_the_method_is_the_one_of_the_request(name, nginx, direct, victim):
    admin, agent = (direct.with_credentials(f"X-Role: {role}") for role in ("ROLE_ADMIN", "ROLE_AGENT"))
    for door in (admin, agent, nginx.alice, nginx.bob):
        assert door.ask("GET", f"/contacts/{victim}", f"{name}: DELETE").status == 200
        assert door.ask("GET", f"/contacts/{victim}?{name}=DELETE").status == 422
        answer = door.ask("POST", f"/contacts/{victim}", f"{name}: DELETE", body=json.dumps({name: "DELETE"}))
        assert answer.status in {403, 405}
        assert door.ask("POST", f"/contacts?{name}=DELETE&id={victim}", body=f"{name}=DELETE").status in {400, 403, 422}


@pytest.mark.parametrize(
    "method", ["TRACE", "CONNECT", "PATCH", "PROPFIND", "get", "GETS", "G", "DELETE\t", "X" * 30, "\xe9"]
)
def test_other_methods_are_refused(method, nginx, untrusting, direct, victim):
    for door in (nginx.door, nginx.alice, untrusting, direct.with_credentials("X-Role: ROLE_ADMIN")):
        assert door.ask(method, f"/contacts/{victim}").status in {400, 401, 405}


BODIES = {
    "deep": "[" * 30_000,
    "deep and closed": "[" * 30_000 + "]" * 30_000,
    "deep objects": '{"name":' * 8_000,
    "deep name": f'{{"name":{"[" * 30_000}{"]" * 30_000}}}',
    "huge number": f'{{"name":{"9" * 60_000}}}',
    "huge exponent": '{"name":1e999999999}',
    "negative zero": '{"name":-0}',
    "many members": "{" + ",".join(f'"{n}":1' for n in range(6_000)) + "}",
    "the same member": "{" + ",".join('"name":"x"' for _ in range(5_000)) + "}",
    "many elements": f"[{'1,' * 30_000}1]",
    "surrogate": '{"name":"\\ud800"}',
    "surrogates the wrong way": '{"name":"\\udc00\\ud800"}',
    "NUL": '{"name":"a\\u0000b"}',
    "NUL byte": '{"name":"a\0b"}',
    "long name": json.dumps({"name": "x" * 60_000}),
    "combining marks": json.dumps({"name": "e" + "\u0301" * 9_000}),
    "not JSON": "name=Intruder",
    "XML": '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><x>&y;</x>',
    "NaN": '{"name":NaN}',
    "a string": '"Intruder"',
    "prototype": '{"__proto__":{"name":"x"},"constructor":{}}',
    "id": '{"name":"Intruder","id":"000000000001' + "0" * 20 + '"}',
    "type": '{"name":"Intruder","type":"User"}',
    "SQL as attribute": '{"name":"Intruder","name\\" = 1; --":"x"}',
    "too long": " " * 65_537,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bodies_that_are_no_contact_are_refused(body, nginx, direct, victim):
    for door in (direct.with_credentials("X-Role: ROLE_ADMIN"), nginx.alice):
        assert door.ask("POST", "/contacts", body=body).status in {400, 413, 422}
        assert door.ask("PUT", f"/contacts/{victim}", body=body).status in {400, 413, 422}
        assert door.ask("PUT", "/contacts", body=body).status in {400, 413, 422, 404}


TOO_MUCH = {
    "10,000 parameters": f"GET /contacts?{'&'.join(f'name={n}' for n in range(10_000))} HTTP/1.1\r\n{CLOSE}",
    "a parameter 2,000 times": f"GET /contacts?{'&'.join(['q=a'] * 2_000)} HTTP/1.1\r\n{CLOSE}",
    "unknown parameters": f"GET /contacts?{'&'.join(f'{n}=' for n in range(1_300))} HTTP/1.1\r\n{CLOSE}",
    "1 MB URL": f"GET /{'x' * 1_000_000} HTTP/1.1\r\n{CLOSE}",
    "1 MB parameter": f"GET /contacts?q={'x' * 1_000_000} HTTP/1.1\r\n{CLOSE}",
    "1 MB header": f"GET /contacts HTTP/1.1\r\n{CLOSE}X: {'x' * 1_000_000}\r\n",
    "1 MB header name": f"GET /contacts HTTP/1.1\r\n{CLOSE}{'x' * 1_000_000}: x\r\n",
    "1 MB role": f"GET /contacts HTTP/1.1\r\n{CLOSE}X-Role: {'x' * 1_000_000}\r\n",
    "1 MB token": f"GET /contacts HTTP/1.1\r\n{CLOSE}Authorization: Bearer {'x' * 1_000_000}\r\n",
    "10,000 headers": f"GET /contacts HTTP/1.1\r\n{CLOSE}" + "".join(f"X-{n}: x\r\n" for n in range(10_000)),
    "1,000 headers": f"GET /contacts HTTP/1.1\r\n{CLOSE}" + "".join(f"X-{n}: x\r\n" for n in range(1_000)),
    "a header of 8 KB": f"GET /contacts HTTP/1.1\r\n{CLOSE}X: {'x' * 7_990}\r\n",
    "a URL of 8 KB": f"GET /contacts?name={'x' * 7_970} HTTP/1.1\r\n{CLOSE}",
    "1 MB method": f"{'X' * 1_000_000} / HTTP/1.1\r\n{CLOSE}",
    "1 MB tags": f"GET /contacts HTTP/1.1\r\n{CLOSE}If-None-Match: {chr(34)}{'x' * 1_000_000}{chr(34)}\r\n",
}


@pytest.mark.parametrize("request_", TOO_MUCH.values(), ids=TOO_MUCH)
def test_too_much_is_refused(request_, nginx, direct):
    for door, role in ((direct, "X-Role: Agent"), (nginx.door, nginx.bob.credentials)):
        given = door.send(f"{request_}{role}\r\n\r\n")
        # Without an answer: reset while it still sent.
        assert [answer.status for answer in given] in [[200], [400], [401], [414], [422], [431], []]
        assert door.ask("GET", "/contacts?limit=1", role).status == 200


def test_many_tags_are_compared(direct):
    tags = ", ".join(f'"{n}"' for n in range(900))
    for header in (f"If-None-Match: {tags}", 'If-None-Match: W/"', "If-None-Match: \xff", f"If-Match: {tags}"):
        assert direct.ask("GET", "/contacts", "X-Role: Agent", header).status == 200


# --- one request, or two?

# The request that must not get through: the admin's, if anybody believed it.
INNER = f"POST /contacts HTTP/1.1\r\n{HOST}X-Role: ROLE_ADMIN\r\n{JSON}Content-Length: 19\r\n\r\n{BODY}"
CHUNKED = f"0\r\n\r\n{INNER}"
BEHIND_CHUNKS = f"{len(INNER):x}\r\n{INNER}\r\n0\r\n\r\n"
TE, CL = "Transfer-Encoding", "Content-Length"


def outer(*headers, body=CHUNKED, version="HTTP/1.1", end="\r\n"):
    return end.join(
        [
            f"POST /contacts {version}",
            "Host: contacts.example.com",
            "Content-Type: application/json",
            *headers,
            "",
            body,
        ]
    )


SMUGGLED = {
    "CL and TE": outer(f"{CL}: {len(CHUNKED)}", f"{TE}: chunked"),
    "TE and CL": outer(f"{TE}: chunked", f"{CL}: {len(CHUNKED)}"),
    "CL of the chunks' head, and TE": outer(f"{CL}: 4", f"{TE}: chunked", body=BEHIND_CHUNKS),
    "CL 0 and TE": outer(f"{CL}: 0", f"{TE}: chunked", body=BEHIND_CHUNKS),
    "two CLs": outer(f"{CL}: {len(INNER)}", f"{CL}: 0", body=INNER),
    "two CLs, the other way": outer(f"{CL}: 0", f"{CL}: {len(INNER)}", body=INNER),
    "the same CL twice": outer(f"{CL}: 0", f"{CL}: 0", body=INNER),
    **{
        f"CL {value!r}": outer(f"{CL}: {value}", body=INNER)
        for value in (
            "0, 0",
            f"0, {len(INNER)}",
            "+0",
            "-0",
            "-1",
            "0x0",
            "0 0",
            "",
            "a",
            "0\0",
            "0;",
            "1e1",
            "\xb2",
            "9" * 30,
            "0_0",
        )
    },
    **{
        f"TE {value!r}": outer(f"{TE}: {value}")
        for value in (
            *("xchunked", "chunked, identity", "identity", "chunked;x=y", "chunked, chunked"),
            *("gzip, chunked", "gzip", "\x0bchunked", "chunked\0", '"chunked"', "chunked,", ", chunked", ""),
            *("chunked x", "chun\xe7ed", "cow"),
        )
    },
    "TE and identity": outer(f"{TE}: chunked", f"{TE}: identity"),
    "TE twice": outer(f"{TE}: chunked", f"{TE}: chunked"),
    "blank before the colon": outer(f"{TE} : chunked", f"{CL}: {len(CHUNKED)}"),
    "tab before the colon": outer(f"{TE}\t: chunked", f"{CL}: {len(CHUNKED)}"),
    "CL with a blank before the colon": outer(f"{CL} : {len(INNER)}", body=INNER),
    "folded TE": outer(f"{TE}:\r\n chunked", f"{CL}: {len(CHUNKED)}"),
    "folded into another": outer("X: y\r\n Transfer-Encoding: chunked", f"{CL}: {len(CHUNKED)}"),
    "underscored TE": outer("Transfer_Encoding: chunked", f"{CL}: {len(CHUNKED)}"),
    "TE behind a CR": outer(f"X: y\r{TE}: chunked", f"{CL}: {len(CHUNKED)}"),
    "TE behind an LF": outer(f"X: y\n{TE}: chunked", f"{CL}: {len(CHUNKED)}"),
    "TE behind a NUL": outer(f"X: y\0\r\n{TE}: chunked", f"{CL}: {len(CHUNKED)}"),
    "a header without a colon": outer("X", f"{CL}: 0", body=INNER),
    "a header that begins with a blank": outer(f" {CL}: 0", body=INNER),
    "bare LFs": outer(f"{CL}: {len(INNER)}", body=INNER, end="\n"),
    "bare CRs": outer(f"{CL}: {len(INNER)}", body=INNER, end="\r"),
    "TE in HTTP/1.0": outer(f"{TE}: chunked", version="HTTP/1.0"),
    "CL and TE in HTTP/1.0": outer(
        f"{CL}: {len(CHUNKED)}", f"{TE}: chunked", "Connection: keep-alive", version="HTTP/1.0"
    ),
    "HTTP/0.9": f"GET /contacts\r\n{INNER}",
    "HTTP/1.2": outer(f"{CL}: {len(INNER)}", body=INNER, version="HTTP/1.2"),
    "HTTP/2.0": f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{INNER}",
    "HTTP/9.9": outer(f"{CL}: {len(INNER)}", body=INNER, version="HTTP/9.9"),
    "a chunk shorter than it says": outer(f"{TE}: chunked", body=f"{len(INNER) + 9:x}\r\n{INNER}\r\n0\r\n\r\n"),
    "a chunk longer than it says": outer(f"{TE}: chunked", body=f"1\r\nxx\r\n0\r\n\r\n{INNER}"),
    "a negative chunk": outer(f"{TE}: chunked", body=f"-1\r\n{INNER}\r\n0\r\n\r\n"),
    "a chunk of 0x0": outer(f"{TE}: chunked", body=f"0x0\r\n\r\n{INNER}"),
    "a chunk beyond 64 bits": outer(f"{TE}: chunked", body=f"10000000000000000\r\n\r\n{INNER}"),
    "a chunk's extension with an LF": outer(f"{TE}: chunked", body=f"1;x\n\r\nx\r\n0\r\n\r\n{INNER}"),
    "chunks with bare LFs": outer(f"{TE}: chunked", body=f"0\n\n{INNER}"),
    "a role in the trailer": outer(f"{TE}: chunked", body=f"0\r\nX-Role: ROLE_ADMIN\r\n{CL}: 5\r\n\r\n"),
    "no Host, a role as the target": f"GET http://x/contacts\tHTTP/1.1\r\n\r\n{INNER}",
    "two Hosts": outer("Host: 127.0.0.1", f"{CL}: {len(INNER)}", body=INNER),
    "h2c": outer(
        "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", body=""
    ),
    "websocket": outer("Connection: Upgrade", "Upgrade: websocket", f"{CL}: {len(INNER)}", body=INNER),
    "Expect": outer("Expect: 100-continue", f"{CL}: {len(INNER)}", body=INNER),
    "an Expect that nobody knows": outer("Expect: the unexpected", f"{CL}: {len(INNER)}", body=INNER),
}


@pytest.mark.parametrize("request_", SMUGGLED.values(), ids=SMUGGLED)
def test_no_second_request_hides_in_the_first(request_, nginx, untrusting, direct, tokens):
    """The fixture `unchanged` sees to it that nothing is written; here: nobody was told that it was."""
    head, _, rest = request_.partition("Content-Type")
    for door, credentials in (
        (nginx.door, nginx.bob.credentials),
        (nginx.door, bearer(tokens["agent"])),
        (untrusting, bearer(tokens["agent"])),
        (direct, "X-Role: Agent"),
    ):
        # The credentials of an agent stand before what is odd.
        sent = f"{head}{credentials}{chr(10) if 'bare LF' in request_ else chr(13) + chr(10)}Content-Type{rest}"
        given = door.send(sent if rest else request_, quiet=0.5)
        assert not [answer for answer in given if answer.status < 400], given
        if door is direct:
            # Here, a second request would be believed; there must be none. Of a body that breaks behind the answer,
            # gunicorn says so in its own words, and closes.
            assert len([answer for answer in given if answer.headers["content-type"] != "text/html"]) <= 1, given


# --- who takes their time


@contextmanager
def behind_nginx(folder, database, *arguments, patience=10):
    """Lend a service with arguments of its own, an nginx before it, and a list that gets their logs at the end."""
    logs = []
    (folder / "nginx").mkdir()
    service = Service(database, *arguments)
    try:
        nginx = Nginx(folder / "nginx", service.port, patience)
        try:
            yield service, nginx, logs
        finally:
            logs.append(nginx.stop())
    finally:
        logs.append(service.stop())


ONE_THREAD = ("--workers", "1", "--threads", "1")

# Longer than any client here waits for an answer, so that one that must wait for a slow client gets none.
AGES = 100


def begin(nginx):
    """What slow clients send first: nothing, or a part of the headers or of the body."""
    head = f"POST /contacts HTTP/1.1\r\n{HOST}{nginx.alice.credentials}\r\n{JSON}"
    return {
        "nothing": "",
        "a part of a line": "POST /",
        "headers": f"{head}X: ",
        "a body": f"{head}Content-Length: 60000\r\n\r\n{BODY}",
        "chunks": f"{head}{TE}: chunked\r\n\r\n1\r\n{{\r\nea60\r\n",
    }


def trickle(clients, stopped):
    """Send a byte of each client's request now and then."""
    while not stopped.wait(0.05):
        for client in clients:
            with suppress(OSError):  # disconnected
                client.sendall(b" ")


@pytest.mark.parametrize("bytewise", [False, True], ids=["silent", "byte by byte"])
def test_slow_clients_hold_nginx_and_not_the_service(bytewise, tmp_path):
    running = behind_nginx(tmp_path, tmp_path / "contacts.db", *ONE_THREAD, patience=AGES)
    stopped = threading.Event()
    with running as (service, nginx, _), ThreadPoolExecutor(1) as pool, ExitStack() as clients:
        clients.callback(stopped.set)
        slow = [clients.enter_context(nginx.door.connect()) for _ in range(100)]
        for client, begun in zip(slow, list(begin(nginx).values()) * 20, strict=True):
            client.sendall(begun.encode())
        # These have not even begun with TLS.
        for _ in range(20):
            clients.enter_context(Door(nginx.port).connect())
        if bytewise:
            pool.submit(trickle, slow, stopped)
        for _ in range(20):
            assert nginx.alice.ask("GET", "/contacts").status == 200
            assert Door(service.port).ask("GET", "/contacts", "X-Role: Agent").status == 200


@pytest.mark.parametrize(
    ("begun", "bytewise"),
    [
        *[(begun, False) for begun in ("nothing", "a part of a line", "headers", "a body", "chunks")],
        # From one piece of a body to the next, nginx begins to wait anew; the whole of the headers has one time.
        *[(begun, True) for begun in ("a part of a line", "headers")],
    ],
)
def test_nginx_disconnects_slow_clients(begun, bytewise, impatient):
    stopped = threading.Event()
    with impatient.door.connect() as client, ThreadPoolExecutor(1) as pool:
        client.sendall(begin(impatient)[begun].encode())
        try:
            if bytewise:
                pool.submit(trickle, [client], stopped)
            with suppress(ConnectionResetError):
                assert client.recv(1000) == b""
        finally:
            stopped.set()


@pytest.fixture(scope="module")
def impatient(trusting, tmp_path_factory):
    """An nginx that waits for a second."""
    running = Nginx(tmp_path_factory.mktemp("impatient"), trusting.port, patience=1)
    yield running
    running.stop()


def test_one_address_does_not_take_all_of_nginx(nginx):
    """What is refused for that is refused in the shape of all errors; other addresses are answered."""
    (most,) = re.findall(r"limit_conn contacts (\d+);", (ROOT / "deploy" / "nginx.conf").read_text())
    with ExitStack() as clients:
        for _ in range(int(most)):
            clients.enter_context(nginx.door.connect()).sendall(begin(nginx)["a body"].encode())
        wait_for(lambda: nginx.bob.ask("GET", "/contacts?limit=1").status == 503)
        refused = nginx.bob.ask("GET", "/contacts?limit=1")
        assert (refused.status, json.loads(refused.body)["statusCode"]) == (503, 4)
        assert refused.headers["retry-after"] == "5"
        with nginx.bob.connect("127.0.0.2") as other:
            other.sendall(f"GET /contacts?limit=1 HTTP/1.1\r\n{CLOSE}{nginx.bob.credentials}\r\n\r\n".encode())
            assert other.recv(1000).startswith(b"HTTP/1.1 200 ")
    wait_for(lambda: nginx.bob.ask("GET", "/contacts?limit=1").status == 200)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A directory whose list is larger than what the sockets on its way hold."""
    folder = tmp_path_factory.mktemp("large")
    rows = "".join(f'{{"name":"{"n" * 200}{n}"}}\n' for n in range(60_000))
    (folder / "rows.ndjson").write_text(rows)
    flask(folder / "contacts.db", "import", str(folder / "rows.ndjson"))
    return folder / "contacts.db"


def begin_to_read(door):
    """Ask for the whole list, and read only its beginning."""
    client = door.connect()
    client.sendall(f"GET /contacts HTTP/1.1\r\n{HOST}{door.credentials}\r\n\r\n".encode())
    assert client.recv(1000).startswith(b"HTTP/1.1 200")
    return client


def test_clients_that_do_not_take_their_answer_hold_nginx_and_not_the_service(large, tmp_path):
    with behind_nginx(tmp_path, large, *ONE_THREAD, patience=AGES) as (_, nginx, _), ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(begin_to_read(nginx.bob))
        assert nginx.bob.ask("GET", "/contacts?limit=1").status == 200


def test_nginx_disconnects_clients_that_do_not_take_their_answer(large, tmp_path):
    with behind_nginx(tmp_path, large, patience=3) as (_, nginx, _), begin_to_read(nginx.bob) as client:
        time.sleep(9)  # three times as long as nginx waits
        received = 0
        with suppress(ConnectionResetError, ssl.SSLError):
            while data := client.recv(1 << 20):
                received += len(data)
    with closing(sqlite3.connect(large)) as connection:
        whole = connection.execute("SELECT sum(length(json)) FROM contact").fetchone()[0]
    assert received < whole


# --- what the service does not answer itself

MANY = "X: x\r\n" * 9_000


@pytest.mark.parametrize(
    ("request_", "status", "status_code"),
    [
        ("GET /contacts HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, 2),
        ("GET /contacts HTTP/1.1\r\nHost: a b\r\n\r\n", 400, 2),
        ("GET /contacts HTTP/1.1\r\nConnection: close\r\n\r\n", 400, 2),
        ("broken\r\n\r\n", 400, 2),
        (f"get /contacts HTTP/1.1\r\n{CLOSE}\r\n", 400, 2),
        (f"GET /contacts?q=\xe9 HTTP/1.1\r\n{CLOSE}\r\n", 400, 2),
        (f"POST /contacts HTTP/1.1\r\n{CLOSE}{TE}: chunked\r\n\r\nbroken\r\n\r\n", 400, 2),
        (f"GET /contacts HTTP/1.1\r\n{CLOSE}\r\n", 401, 20),
        (f"GET /metrics HTTP/1.1\r\n{CLOSE}\r\n", 404, 6),
        (f"TRACE /contacts HTTP/1.1\r\n{CLOSE}\r\n", 405, 2),
        (f"POST /contacts HTTP/1.1\r\n{CLOSE}Content-Length: {8 * 1024 * 1024 + 1}\r\n\r\n", 413, 2),
        (f"GET /{'x' * 8_000} HTTP/1.1\r\n{CLOSE}\r\n", 414, 2),
        (f"GET /contacts HTTP/1.1\r\n{CLOSE}X: {'x' * 8_000}\r\n\r\n", 431, 2),
        (f"GET /contacts HTTP/1.1\r\n{CLOSE}{MANY}\r\n", 431, 2),
        (f"GET /contacts HTTP/1.1\r\n{CLOSE}{TE}: gzip\r\n\r\n", 501, 2),
        (f"GET /contacts HTTP/9.9\r\n{CLOSE}\r\n", 505, 2),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else str(value),
)
def test_what_nginx_refuses_has_the_shape_of_all_errors(request_, status, status_code, nginx):
    (answer,) = nginx.door.send(request_)
    assert (answer.status, json.loads(answer.body)["statusCode"]) == (status, status_code)
    assert answer.headers["content-type"] == "application/json"
    assert "retry-after" not in answer.headers


def test_nginx_answers_for_a_service_that_does_not(tmp_path):
    path = tmp_path / "contacts.db"
    with behind_nginx(tmp_path, path, patience=1) as (service, nginx, _):

        def refused(status, door=nginx.bob, method="GET", body=""):
            answer = door.ask(method, "/contacts", body=body)
            assert answer.status == status
            assert int(answer.headers["retry-after"]) > 0
            assert json.loads(answer.body)["statusCode"] == 4
            return json.loads(answer.body)["statusMessage"]

        # What the service itself refuses passes as it is.
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert "busy" in refused(503, nginx.alice, "POST", BODY)
        frozen = workers(service.process.pid)
        for worker in frozen:
            os.kill(worker, signal.SIGSTOP)
        assert refused(504) == "The service does not answer; try again."
        for worker in frozen:
            os.kill(worker, signal.SIGCONT)
        assert nginx.bob.ask("GET", "/contacts").status == 200
        service.stop()
        assert refused(502) == "The service does not answer; try again."


# --- what is left behind


def test_logs_hold_no_tokens_names_or_numbers(tmp_path):
    path = tmp_path / "contacts.db"
    (tmp_path / "rows.csv").write_text(USERS.replace("Joe,Johnson,15002", "Secretname,Secretname,07770123"))
    flask(path, "sync", "User", str(tmp_path / "rows.csv"))
    token = flask(path, "token", "create", "ROLE_ADMIN", "label")
    with behind_nginx(tmp_path, path) as (service, nginx, logs):
        direct = Door(service.port)
        ask_for_secrets(direct.with_credentials(bearer(token)), token, path)
        ask_for_secrets(direct.with_credentials("X-Role: ROLE_ADMIN"), token, path)
        ask_for_secrets(nginx.alice, token, path)
        for target in ("/contacts/Secretname/07770123", "/contacts/Secretname%0a07770123"):
            direct.ask("GET", target, bearer(token))
        with closing(sqlite3.connect(path)) as other:
            other.execute("DROP TABLE contact")
        with direct.connect() as client:
            client.sendall(f"GET /contacts?q=Secretname HTTP/1.1\r\n{CLOSE}{bearer(token)}\r\n\r\n".encode())
            bug = client.makefile("rb").read().decode()
        assert bug.startswith("HTTP/1.1 500 ")
        assert not INSIDE.search(bug.partition("\r\n\r\n")[2])
        service.process.terminate()
        service.process.wait(40)
        assert nginx.alice.ask("GET", "/contacts?q=Secretname").status == 502
    log = "".join(logs)
    assert "no such table" in log
    assert "POST /contacts 201" in log
    for secret in ("Secretname", "07770123", token[9:], basic("alice", "wonderland").split()[-1], "wonderland"):
        assert secret not in log


def ask_for_secrets(door, token, path):
    """Send names, numbers and a token wherever they fit, and where they do not."""
    body = json.dumps({"name": "Secretname", "phoneNumber": "07770123"})
    made = door.ask("POST", "/contacts", body=body)
    assert made.status == 201
    place = made.headers["location"]
    for method, target, sent in (
        ("GET", "/contacts?q=Secretname", ""),
        ("GET", f"/contacts?token={token}", ""),
        ("GET", "/contacts?phoneNumber=07770123&name=Secretname", ""),
        ("GET", "/contacts?Secretname=07770123", ""),
        ("GET", "/contacts&name=Secretname", ""),
        ("GET", f"/contacts?{'Secretname' * 1000}", ""),
        ("GET", "/contacts?name=Secretname\xe9", ""),
        ("PUT", place, body),
        ("PUT", place, body[:-1]),
        ("PATCH", place, body),
        ("POST", "/contacts?name=Secretname", body),
    ):
        door.ask(method, target, body=sent)
    door.ask("GET", "/contacts", "Secretname")
    for credentials in (bearer(f"{token}x"), basic("alice", "wonderland!")):
        door.with_credentials(credentials).ask("GET", "/contacts?q=Secretname")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert door.ask("PUT", place, body=body.replace("Secretname", "Secretname, new")).status == 503
        assert door.ask("DELETE", place).status == 503
        assert door.ask("DELETE", "/contacts?id=Secretname07770123").status == 404


def test_every_file_is_its_owners_alone(tmp_path):
    """Also under an umask that would let others read."""
    path = tmp_path / "folder" / "contacts.db"
    path.parent.mkdir()
    (tmp_path / "rows.csv").write_text("userName,name\na,A\nb,\tB\n,C\n")
    made = ("export.csv", "export.json", "export.ndjson", "rejects.csv", "backup.db")
    before = os.umask(0)
    try:
        service = Service(path)
        Door(service.port).ask("POST", "/contacts", "X-Role: ROLE_ADMIN", body=BODY)
        rejects = str(path.parent / "rejects.csv")
        flask(path, "sync", "User", str(tmp_path / "rows.csv"), "--rejects", rejects, check=False)
        for name in made[:3]:
            flask(path, "export", str(path.parent / name))
        flask(path, "backup", str(path.parent / "backup.db"))
        flask(path, "check")
        found = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
        service.stop()
    finally:
        os.umask(before)
    assert {"contacts.db", "contacts.db-wal", "contacts.db-shm", "contacts.db-sync", *made} <= set(found)
    assert set(found.values()) == {0o600}, found


# --- what a stop and a reload do to clients


@pytest.mark.parametrize("signals", [[signal.SIGHUP] * 3, [signal.SIGTERM]], ids=["reload", "stop"])
def test_no_client_of_nginx_is_cut_off(signals, tmp_path):
    """Each request gets an answer: of a service that has stopped, nginx's own. What was acknowledged is kept."""
    path = tmp_path / "contacts.db"
    statuses, acknowledged, stopped = [], [], threading.Event()

    def write(client):
        number = 0
        while not stopped.is_set():
            number += 1
            made = nginx.alice.ask("POST", "/contacts", body=json.dumps({"name": f"{client}-{number}"}))
            statuses.append(made.status)
            if made.status == 201:
                acknowledged.append(f"{client}-{number}")
            statuses.append(nginx.bob.ask("GET", "/contacts?limit=1").status)

    with behind_nginx(tmp_path, path, "--workers", "2") as (service, nginx, _), ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(write, client) for client in range(4)]
        try:
            for each in signals:
                before = len(statuses)
                wait_for(lambda before=before: len(statuses) > before + 60)
                service.process.send_signal(each)
            before = len(statuses)
            wait_for(lambda: len(statuses) > before + 60)
        finally:
            stopped.set()
        for future in futures:
            future.result(60)
        assert set(statuses) == ({200, 201} if signal.SIGHUP in signals else {200, 201, 502})
    with closing(sqlite3.connect(path)) as connection:
        kept = {name for (name,) in connection.execute("SELECT json_extract(json, '$.name') FROM contact")}
    assert set(acknowledged) <= kept

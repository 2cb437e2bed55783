"""Pages of other origins: what a browser is told, and that nothing but its preflight goes without a role."""

import pytest
from conftest import ADMIN, AGENT, Client, started

from contacts.database import db

DESK, LOCAL = "https://desk.example", "http://[::1]:8080"
ASKED = {"Access-Control-Request-Method": "GET"}

# What Genesys Web Services let pages send.
GWS_HEADERS = "X-Requested-With,Content-Type,Accept,Origin,Cookie,authorization,ssid,surl,ContactCenterId,X-CSRF-TOKEN"


@pytest.fixture(params=["", "/api/v2"])
def prefix(request):
    return request.param


@pytest.fixture
def client(path, prefix):
    """A client without a role, of a service that lets two origins call it."""
    settings = {"TRUSTED_PROXIES": "127.0.0.1", "ALLOWED_ORIGINS": f"{DESK}, {LOCAL}", "URL_PREFIX": prefix}
    yield Client(started({"DATABASE": str(path), **settings}), {})
    db.close()


def told(response):
    """Return what an answer tells browsers about other origins, without the beginning that all such headers have."""
    start = "Access-Control-"
    return {name.removeprefix(start): value for name, value in response.headers if name.startswith(start)}


@pytest.mark.parametrize("origin", [DESK, LOCAL, DESK.upper()])
@pytest.mark.parametrize("place", ["/contacts", f"/contacts/{'0' * 32}", "/me", "/contacts/", "/contacts&type=User"])
def test_a_preflight_is_answered_without_a_role(client, prefix, origin, place):
    for method in ("GET", "PUT", "DELETE"):
        headers = {"Origin": origin, "Access-Control-Request-Method": method}
        response = client.open("OPTIONS", prefix + place, headers=headers)
        assert (response.status_code, response.data) == (200, b"")
        answer = told(response)
        assert (answer["Allow-Origin"], answer["Allow-Credentials"]) == (origin, "true")
        assert method in answer["Allow-Methods"].split(", ")
        assert "Origin" in response.headers["Vary"]


def test_a_preflight_allows_the_headers_of_gws_and_not_the_proxys(client, prefix):
    wanted = f"{GWS_HEADERS},If-Match,If-None-Match,X-Role,X-Forwarded-User,X-Other"
    headers = {"Origin": DESK, **ASKED, "Access-Control-Request-Headers": wanted}
    answer = told(client.open("OPTIONS", f"{prefix}/contacts", headers=headers))
    assert set(answer["Allow-Headers"].split(", ")) == set(wanted.split(",")) - {
        "X-Role",
        "X-Forwarded-User",
        "X-Other",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://other.example", **ASKED},
        {"Origin": f"{DESK}.evil.example", **ASKED},
        {"Origin": f"{DESK}:8443", **ASKED},
        {"Origin": DESK.replace("https", "http"), **ASKED},
        {"Origin": "https://deskxexample", **ASKED},
        {"Origin": "null", **ASKED},
        {"Origin": "", **ASKED},
        ASKED,
        {"Origin": DESK},
    ],
)
def test_nothing_else_goes_without_a_role(client, prefix, headers):
    for place in ("/contacts", "/me"):
        response = client.open("OPTIONS", prefix + place, headers=headers)
        assert response.status_code == 401
        if headers.get("Origin") != DESK:
            assert told(response) == {}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"])
def test_no_other_method_passes_for_a_preflight(client, prefix, method):
    response = client.open(method, f"{prefix}/contacts", headers={"Origin": DESK, **ASKED})
    assert response.status_code == 401
    assert told(response)["Allow-Origin"] == DESK  # so that the page can read what is wrong


def test_a_page_may_read_each_answer(client, prefix):
    made = client.post(f"{prefix}/contacts", json={"name": "New"}, headers={**ADMIN, "Origin": DESK})
    assert made.status_code == 201
    tag = client.get(f"{prefix}/contacts", headers=AGENT).headers["ETag"]
    for place, headers, status in (
        ("/contacts", {}, 200),
        ("/contacts", {"If-None-Match": tag}, 304),
        ("/contacts?nmae=x", {}, 422),
        ("/contacts/x", {}, 404),
        ("/me", {}, 200),
        ("/contacts", {"X-Role": "Boss"}, 401),
    ):
        response = client.get(prefix + place, headers={**AGENT, "Origin": LOCAL, **headers})
        assert response.status_code == status
        answer = told(response)
        assert (answer["Allow-Origin"], answer["Allow-Credentials"]) == (LOCAL, "true")
        assert {"ETag", "Location", "Retry-After"} <= set(answer["Expose-Headers"].split(", "))


def test_other_pages_and_programs_are_told_nothing(client, prefix):
    for origin in ("https://other.example", "null", f"{DESK}/", f"{DESK}, {LOCAL}"):
        response = client.get(f"{prefix}/contacts", headers={**AGENT, "Origin": origin})
        assert (response.status_code, told(response)) == (200, {})
    assert told(client.get(f"{prefix}/contacts", headers=AGENT)) == {}


@pytest.mark.parametrize("origin", [{}, {"Origin": DESK}, {"Origin": "https://other.example"}])
def test_each_answer_says_that_it_depends_on_the_origin(client, prefix, origin):
    """So that nobody keeps the answer to one for another."""
    for headers in (AGENT, {}, {**AGENT, "If-None-Match": "*"}):
        for place in ("/contacts", "/contacts/x", "/me"):
            assert client.get(prefix + place, headers={**headers, **origin}).headers.getlist("Vary") == ["Origin"]


def test_what_is_beside_the_api_is_told_of_nobody(client):
    for place in ("/healthz", "/readyz", "/docs", "/metrics", "/contactsx"):
        assert told(client.get(place, headers={"Origin": DESK})) == {}


def test_no_page_may_call_a_service_that_names_none(nobody):
    assert nobody.open("OPTIONS", "/contacts", headers={"Origin": DESK, **ASKED}).status_code == 401
    assert told(nobody.get("/contacts", headers={**AGENT, "Origin": DESK})) == {}

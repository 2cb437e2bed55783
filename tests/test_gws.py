"""Programs that were written for Genesys Web Services: what they send, what they see, and the lists that GWS prints."""

import json
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler

import pytest
from conftest import ADMIN, AGENT, Client, Service, add, started
from doors import basic, http_server
from pages import examples, follow, shell_with_flask

from contacts.attributes import ATTRIBUTES
from contacts.database import db
from contacts.json_files import READ_CHARACTERS

PREFIX = "/api/v2"
TOTAL = ',"totalCount":'
GWS_ID = "1e553fa1b4164908a5f36d43cec96086"

# A list as Genesys Web Services print it.
PRINTED = {
    "statusCode": 0,
    "totalCount": 3,
    "contacts": [
        {
            "id": GWS_ID,
            "name": "test1",
            "type": "User",
            "phoneNumbers": [{"phoneNumber": "1003", "description": "", "switchName": "SIP_Switch"}],
            "userName": "test1",
            "firstName": "test1",
            "lastName": "test1",
            "employeeId": "test1",
            "uri": f"http://h/api/v2/contacts/{GWS_ID}",
            "path": f"/contacts/{GWS_ID}",
        },
        {"id": "2" * 32, "name": "Support", "type": "Queue", "phoneNumbers": [], "path": f"/contacts/{'2' * 32}"},
        {
            "id": "3" * 32,
            "name": "Taxi",
            "type": "Custom",
            "phoneNumbers": [{"phoneNumber": "1"}, {"phoneNumber": "2"}],
        },
    ],
}
# What this service keeps of it.
KEPT = [
    {
        "id": GWS_ID,
        "name": "test1",
        "type": "User",
        "phoneNumber": "1003",
        "userName": "test1",
        "firstName": "test1",
        "lastName": "test1",
        "employeeId": "test1",
    },
    {"id": "2" * 32, "name": "Support", "type": "Queue"},
    {"id": "3" * 32, "name": "Taxi", "type": "Custom", "phoneNumber": "1"},
]


def seen(contact, base="http://localhost"):
    """Return a contact as these clients see it."""
    numbers = {"phoneNumbers": [{"phoneNumber": contact["phoneNumber"]}]} if "phoneNumber" in contact else {}
    path = f"/contacts/{contact['id']}"
    return {**contact, **numbers, "uri": f"{base}{PREFIX}{path}", "path": path}


@pytest.fixture
def gws(path):
    """An admin's client of a service with these clients, which has what GWS printed."""
    app = started({"DATABASE": str(path), "TRUSTED_PROXIES": "127.0.0.1", "URL_PREFIX": PREFIX, "GWS_CLIENTS": "on"})
    for contact in KEPT:
        add(**contact)
    yield Client(app, ADMIN)
    db.close()


# Lists that GWS printed.


def take(flask):
    """Sync and import what GWS printed."""
    text = json.dumps(PRINTED)
    return [
        flask("sync", "User", file=text, name="gws.json"),
        flask("sync", "Queue", file=text, name="gws.json"),
        flask("import", file=text, name="gws.json"),
    ]


def test_a_printed_list_is_read_with_its_ids(flask, agent):
    assert all(": 1 added, 0 changed" in output for output in take(flask))
    assert all(": 0 added, 0 changed" in output for output in take(flask))
    assert agent.get("/contacts?sortBy=id").json["contacts"] == KEPT
    assert agent.get(f"/contacts/{GWS_ID}?type=User").json["contact"] == KEPT[0]


def test_lines_of_a_printed_list_are_read_too(flask, agent):
    text = "\n".join(map(json.dumps, PRINTED["contacts"]))
    flask("sync", "User", file=text, name="gws.ndjson")
    assert agent.get("/contacts").json["contacts"] == KEPT[:1]


def test_the_answer_of_a_list_is_a_file(agent, admin, flask, custom, user, queue):
    text = agent.get("/contacts").text
    for command in (["sync", "User"], ["sync", "Queue"], ["import"]):
        assert ": 0 added, 0 changed" in flask(*command, file=text, name="answer.json")


@pytest.mark.parametrize(
    ("numbers", "kept"),
    [
        ([], None),
        (None, None),
        ([{"phoneNumber": ""}, {"phoneNumber": None}, {"phoneNumber": " \u200b"}, {"phoneNumber": "2"}], "2"),
        ([{"phoneNumber": ""}], None),
        ([{"description": "x"}], None),
        ([{"phoneNumber": 1003}], "1003"),
        ([{"phoneNumber": "1003"}] * 3, "1003"),
    ],
)
def test_the_first_number_is_the_number(numbers, kept, flask, agent):
    flask("import", file=json.dumps({"contacts": [{"name": "Taxi", "phoneNumbers": numbers}]}), name="a.json")
    (contact,) = agent.get("/contacts").json["contacts"]
    assert contact.get("phoneNumber") == kept


def test_a_number_beside_the_list_of_numbers_counts(flask, agent):
    row = {"name": "Taxi", "phoneNumber": "1", "phoneNumbers": [{"phoneNumber": "2"}]}
    flask("import", file=json.dumps([row]), name="a.json")
    assert agent.get("/contacts").json["contacts"][0]["phoneNumber"] == "1"


def test_a_blank_number_beside_it_does_not(flask, agent):
    row = {"name": "Taxi", "phoneNumber": "  ", "phoneNumbers": [{"phoneNumber": "2"}]}
    flask("import", file=json.dumps([row]), name="a.json")
    assert agent.get("/contacts").json["contacts"][0]["phoneNumber"] == "2"


@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_number_may_stand_where_a_piece_of_the_file_ends(before, flask):
    start = '{"statusCode":0,"contacts":[' + ",".join(f'{{"name":"{n}"}}' for n in range(1000)) + "]"
    text = f"{start}{' ' * (READ_CHARACTERS - len(start) - len(TOTAL) - before)}{TOTAL}1000}}"
    assert text[READ_CHARACTERS - before :].startswith("1000")
    assert "1000 added" in flask("import", file=text, name="a.json")


@pytest.mark.parametrize("numbers", ["1003", ["1003"], {"phoneNumber": "1003"}, [None], 7, [[]], [{}, 7]])
def test_numbers_in_another_form_make_a_bad_row(numbers, flask, agent):
    rows = {"contacts": [{"name": "Taxi", "phoneNumbers": numbers}]}
    output = flask("import", file=json.dumps(rows), name="a.json", status=1)
    assert "line 1, contact 1, row: phoneNumbers must be a list" in output


class Gws(BaseHTTPRequestHandler):
    """Stands in for Genesys Web Services: prints four contacts."""

    def do_GET(self):
        ann = {"id": "4" * 32, "name": "Ann", "type": "User", "userName": "ann", "phoneNumbers": []}
        printed = {**PRINTED, "totalCount": 4, "contacts": [*PRINTED["contacts"], ann]}
        known = basic("admin", "password") == f"Authorization: {self.headers['Authorization']}"
        self.send_response(200 if known and self.path == f"{PREFIX}/contacts" else 404)
        self.end_headers()
        self.wfile.write(json.dumps(printed).encode())

    def log_message(self, *args):
        pass


def test_the_commands_of_the_documentation(path, tmp_path):
    with http_server(Gws) as gws, shell_with_flask("contacts-flask", tmp_path / "home", path) as shell:
        host = f"127.0.0.1:{gws.server_port}"
        follow(shell, examples("docs/gws.md", "gws"), lambda command: command.replace("gws.example.com", host))


# What the clients see.


def test_each_contact_has_what_they_look_for(gws):
    everybody = [seen(contact) for contact in KEPT]
    assert gws.get(f"{PREFIX}/contacts?sortBy=id").json == {"statusCode": 0, "totalCount": 3, "contacts": everybody}
    for contact in everybody:
        assert gws.get(contact["uri"]).json == {"statusCode": 0, "contact": contact}


def test_the_uri_is_right_behind_a_proxy(gws):
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "h.example:8443", "X-Forwarded-Prefix": "/gws"}
    contact = gws.get(f"{PREFIX}/contacts/{GWS_ID}", headers=headers).json["contact"]
    assert contact == seen(KEPT[0], "https://h.example:8443/gws")
    away = gws.get(f"{PREFIX}/contacts", headers={**headers, "Host": "direct"}, query_string={"id": GWS_ID})
    assert away.json["contacts"] == [contact]


@pytest.mark.parametrize("host", ["h_1:8000", "[::1]:8000", "h.example"])
def test_the_uri_has_the_host_that_was_asked(gws, host):
    (contact,) = gws.get(f"{PREFIX}/contacts?id={GWS_ID}", headers={"Host": host}).json["contacts"]
    assert contact["uri"] == f"http://{host}{PREFIX}/contacts/{GWS_ID}"


def test_an_answer_with_other_uris_is_not_current(gws):
    for url in (f"{PREFIX}/contacts", f"{PREFIX}/contacts/{GWS_ID}"):
        tag = {"If-None-Match": gws.get(url).headers["ETag"]}
        assert gws.get(url, headers=tag).status_code == 304
        for here in ({"X-Forwarded-Proto": "https"}, {"Host": "h"}, {"X-Forwarded-Prefix": "/gws"}):
            assert gws.get(url, headers={**tag, **here}).status_code == 200


def test_without_the_setting_a_state_is_current_at_any_address(agent, custom):
    for url in ("/contacts", f"/contacts/{custom['id']}"):
        tag = {"If-None-Match": agent.get(url).headers["ETag"]}
        for here in ({"X-Forwarded-Proto": "https"}, {"Host": "h"}, {"X-Forwarded-Prefix": "/gws"}):
            assert agent.get(url, headers={**tag, **here}).status_code == 304


def test_fields_may_name_them(gws):
    for fields, names in (
        ("path,phoneNumbers", ["phoneNumbers", "path"]),
        ("uri,id", ["id", "uri"]),
        ("*", list(seen(KEPT[0]))),
    ):
        for url in (f"{PREFIX}/contacts/{GWS_ID}", f"{PREFIX}/contacts?id={GWS_ID}"):
            answer = gws.get(f"{url}{'&' if '?' in url else '?'}fields={fields}").json
            contact = answer.get("contact") or answer["contacts"][0]
            assert contact == {name: seen(KEPT[0])[name] for name in names}
    for parameter in ("sortBy=uri", "fields=switchName", "path=x"):
        assert gws.get(f"{PREFIX}/contacts?{parameter}").status_code == 422


def test_a_post_answers_with_them_beside_the_contact(gws):
    made = gws.post(f"{PREFIX}/contacts", json={"name": "New", "phoneNumber": "7"})
    contact = made.json["contact"]
    assert contact == seen({"id": contact["id"], "name": "New", "type": "Custom", "phoneNumber": "7"})
    assert made.json == {"statusCode": 0, "contact": contact} | {name: contact[name] for name in ("id", "uri", "path")}
    assert gws.post(f"{PREFIX}/contacts", json={"name": "New", "uri": "x"}).status_code == 422


@pytest.mark.parametrize("by_path", [True, False])
def test_a_put_takes_them_back_unchanged(gws, by_path):
    url = f"{PREFIX}/contacts/{'3' * 32}"
    whole = gws.get(url).json["contact"]
    put_to = url if by_path else f"{PREFIX}/contacts"
    assert gws.put(put_to, json=whole).json["contact"] == whole
    changed = gws.put(put_to, json={**whole, "phoneNumber": "8", "path": None}).json
    assert changed == {
        "statusCode": 0,
        "contact": {**whole, "phoneNumber": "8", "phoneNumbers": [{"phoneNumber": "8"}]},
    }
    # With both changed alike; as it is without a number; and as it was read from another address.
    both = {"phoneNumber": "9", "phoneNumbers": [{"phoneNumber": "9"}]}
    assert gws.put(put_to, json={**whole, **both}).json["contact"] == {**whole, **both}
    cleared = {"id": whole["id"], "phoneNumber": None, "phoneNumbers": []}
    assert gws.put(put_to, json={**cleared, "phoneNumber": "9"}).status_code == 422
    for _ in range(2):
        assert "phoneNumber" not in gws.put(put_to, json=cleared).json["contact"]
    there = {**whole, "uri": f"https://there.example/gws{whole['path']}"}
    assert gws.put(put_to, json=there).json["contact"] == whole
    assert gws.put(put_to, json={"id": whole["id"], "path": whole["path"]}).json["contact"] == whole
    # A list of another number is no change that could be told from a mistake, also beside a phoneNumber.
    other = [{"phoneNumber": "8"}]
    for name, value in (("uri", "http://other/"), ("path", 7), ("phoneNumbers", other), ("uri", [])):
        refused = gws.put(put_to, json={"id": whole["id"], "name": "Other", name: value})
        assert (refused.status_code, refused.json["statusCode"], list(refused.json["errors"])) == (422, 11, [name])
        refused = gws.put(put_to, json={**whole, "name": "Other", name: value})
        assert (refused.status_code, refused.json["statusCode"], list(refused.json["errors"])) == (422, 11, [name])
    assert gws.get(url).json["contact"]["name"] == "Taxi"


IGNORED = "roles=ROLE_AGENT&includeUsersInBusinessUnits=a,b&channel=voice&subresources=*&_=1700000000000"


def test_what_they_send_without_meaning_here_is_ignored(gws):
    for url in ("/contacts", f"/contacts/{GWS_ID}", "/me"):
        assert gws.get(f"{PREFIX}{url}?{IGNORED}").data == gws.get(PREFIX + url).data
    made = gws.post(f"{PREFIX}/contacts?{IGNORED}", json={"name": "New"})
    assert gws.delete(f"{PREFIX}/contacts?id={made.json['id']}&{IGNORED}").status_code == 200
    for unknown in ("role=x", "__=1", "Roles=x", "channels=voice"):
        assert gws.get(f"{PREFIX}/contacts?{IGNORED}&{unknown}").status_code == 422


def test_blank_parameters_are_absent(gws):
    everything = gws.get(f"{PREFIX}/contacts").json
    for blank in ("name=", "type=&limit=%20", "q=", "sortBy=&order=&offset=%E2%80%8B", "filterName=&filterParameters="):
        assert gws.get(f"{PREFIX}/contacts?{blank}").json == everything
    assert gws.get(f"{PREFIX}/contacts?type=&type=User").json["totalCount"] == 1
    assert gws.get(f"{PREFIX}/contacts?nmae=").json == everything
    assert gws.delete(f"{PREFIX}/contacts?id=").json["statusCode"] == 1


def test_an_answer_of_the_other_mode_is_not_current(gws, agent):
    # `agent` reads the same database without the setting.
    for url in ("/contacts", f"/contacts/{GWS_ID}"):
        plain, besides = agent.get(url), gws.get(PREFIX + url)
        assert gws.get(PREFIX + url, headers={"If-None-Match": plain.headers["ETag"]}).status_code == 200
        assert agent.get(url, headers={"If-None-Match": besides.headers["ETag"]}).status_code == 200
        assert gws.get(PREFIX + url, headers={"If-None-Match": besides.headers["ETag"]}).status_code == 304


def test_without_the_setting_there_is_nothing_of_it(admin, custom):
    assert set(admin.get(f"/contacts/{custom['id']}").json["contact"]) == {"id", "name", "type", "phoneNumber"}
    assert set(admin.post("/contacts", json={"name": "New"}).json) == {"statusCode", "contact"}
    for unknown in (*IGNORED.split("&"), "fields=uri", "name="):
        assert admin.get(f"/contacts?{unknown}").status_code == 422
    refused = admin.put(f"/contacts/{custom['id']}", json={"path": f"/contacts/{custom['id']}"})
    assert (refused.status_code, refused.json["statusCode"]) == (422, 2)


def test_a_long_list_has_them_too(gws):
    with db.atomic():
        for number in range(1100):
            add(type="Custom", name=f"Contact {number:04}", phoneNumber=f"5{number:04}")
    contacts = gws.get(f"{PREFIX}/contacts?phoneNumber=*&type=Custom").json["contacts"]
    assert len(contacts) == 1101
    for contact in contacts:
        assert contact["phoneNumbers"] == [{"phoneNumber": contact["phoneNumber"]}]
        assert contact["uri"].endswith(contact["path"])


def test_the_document_says_which_clients_there_are(gws, app):
    with_them, without = (each.test_client().get("/openapi.json").text for each in (gws.app, app))
    for name in ("phoneNumbers", "uri", "path", "includeUsersInBusinessUnits", "subresources", "_"):
        assert f'"{name}"' in with_them
        assert f'"{name}"' not in without.replace('"in": "path"', "")
    fields = json.loads(with_them)["paths"][f"{PREFIX}/contacts"]["get"]["parameters"]
    (fields,) = [each for each in fields if each.get("name") == "fields"]
    assert fields["schema"]["items"]["enum"][-3:] == ["phoneNumbers", "uri", "path"]
    assert set(fields["schema"]["items"]["enum"][:-3]) == {*ATTRIBUTES, "*"}


# The programs that were seen, at a real gunicorn.

LOGIN = f"{PREFIX}/contacts/{GWS_ID}?type=User"
AGENTS = (
    f"{PREFIX}/contacts?type=User&includeUsersInBusinessUnits=true&roles=ROLE_AGENT&limit=100"
    "&filterName=NamesOrPhoneNumberMatches&filterParameters=*&sortBy=name&order=Ascending"
)
ORIGIN = "https://agents.example"


def ask(service, target, method="GET", **headers):
    """Send a request; return its status, headers and JSON."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(service.url + target, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request) as response:
            body = response.read()
            return response.status, response.headers, json.loads(body) if body else None
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.load(error)


@pytest.fixture
def moved(flask, path):
    """A service that has what GWS printed, for its clients."""
    take(flask)
    settings = {"URL_PREFIX": PREFIX, "GWS_CLIENTS": "1", "ALLOWED_ORIGINS": ORIGIN}
    running = Service(path, **{f"CONTACTS_{name}": value for name, value in settings.items()})
    yield running
    running.stop()


def test_the_programs_that_were_seen_get_what_they_expect(moved):
    # A desktop, at login: its own user, by the id that GWS gave it.
    status, _, body = ask(moved, LOGIN, **{"X-Role": "ROLE_AGENT"})
    assert (status, body["contact"]["id"], body["contact"]["userName"]) == (200, GWS_ID, "test1")

    # A phone application: the numbers, the names of Users, and itself left out by comparing ids.
    _, _, body = ask(moved, f"{PREFIX}/contacts", **AGENT)
    others = [contact for contact in body["contacts"] if contact["id"] != GWS_ID]
    assert len(others) == 2
    (me,) = [contact for contact in body["contacts"] if contact["id"] == GWS_ID]
    assert (me["firstName"], me["lastName"], me["phoneNumbers"][0]["phoneNumber"]) == ("test1", "test1", "1003")

    # A web agent of another origin, with credentials: first the browser's question, then the request.
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,ssid,surl"}
    status, headers, _ = ask(moved, AGENTS, "OPTIONS", Origin=ORIGIN, **asked)
    assert (status, headers["Access-Control-Allow-Credentials"]) == (200, "true")
    assert headers["Access-Control-Allow-Headers"] == "authorization, ssid, surl"
    status, headers, body = ask(moved, AGENTS, Origin=ORIGIN, **AGENT)
    assert (status, headers["Access-Control-Allow-Origin"], body["totalCount"]) == (200, ORIGIN, 1)

    # Each contact has what GWS printed of it, but for what is known of a number besides.
    (printed, *_), (contact,) = PRINTED["contacts"], body["contacts"]
    assert contact.keys() - printed.keys() == {"phoneNumber"}
    assert contact["path"] == printed["path"]
    assert contact["uri"] == f"{moved.url}{PREFIX}{printed['path']}"
    assert ask(moved, f"{PREFIX}/contacts&type=User", **AGENT)[2]["contacts"] == [contact]


def test_bad_rows_of_one_line_are_told_apart(flask):
    """As GWS prints its list."""
    rows = [{"type": "User", "name": "Ann", "userName": "ann"}, {"type": "User", "name": "Bob"}]
    rows += [{"type": "User", "name": "Cid", "userName": "ann"}]
    text = json.dumps({"statusCode": 0, "contacts": rows})
    assert flask("sync", "User", file=text, name="gws.json", status=1).splitlines()[:3] == [
        "line 1, contact 1, userName: The same as on line 1, contact 3.",
        "line 1, contact 2, userName: A User needs one.",
        "line 1, contact 3, userName: The same as on line 1, contact 1.",
    ]
    text = json.dumps(rows, indent=0)
    assert "line 7, userName: A User needs one." in flask("sync", "User", file=text, name="users.json", status=1)

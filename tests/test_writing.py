"""POST, PUT and DELETE: what is kept of a contact, what fails without a trace, and many writers at once."""

import http.client
import json
import os
import random
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from unicodedata import normalize

import pytest
from conftest import ADMIN, AGENT, Service, add, workers
from test_errors import CASES, send  # noqa: F401  (send is a fixture)

from contacts import transactions
from contacts.database import db

LONGEST = {"name": 255, "phoneNumber": 64}


def by_path(client, method, contact_id, **request):
    """PUT or DELETE a contact on its own path."""
    return client.open(method, f"/contacts/{contact_id}", **request)


def by_list(client, method, contact_id, **request):
    """PUT or DELETE a contact on the path of the list."""
    if method == "DELETE":
        return client.delete("/contacts", query_string={"id": contact_id}, **request)
    body = {"id": contact_id, **request.pop("json", {})}
    return client.put("/contacts", json=body, **request)


both_ways = pytest.mark.parametrize("send_to", [by_path, by_list])


def test_post_answers_with_the_contact_and_where_it_is(admin, agent):
    response = admin.post("/contacts", json={"name": "Some Contact", "type": "Custom", "phoneNumber": "xxx-xxx-xxxx"})
    contact = response.json["contact"]
    assert response.status_code == 201
    assert response.json == {"statusCode": 0, "contact": contact}
    assert contact == {"id": contact["id"], "name": "Some Contact", "type": "Custom", "phoneNumber": "xxx-xxx-xxxx"}
    assert len(contact["id"]) == 32
    assert set(contact["id"]) <= set("0123456789abcdef")
    assert response.headers["Location"].endswith(f"/contacts/{contact['id']}")
    read = agent.get(response.headers["Location"])
    assert read.json == response.json
    assert read.headers["ETag"] == response.headers["ETag"]


@both_ways
def test_put_answers_with_the_contact(send_to, admin, agent, custom):
    response = send_to(admin, "PUT", custom["id"], json={"name": "Other", "phoneNumber": "2"})
    assert response.status_code == 200
    assert response.json == {"statusCode": 0, "contact": {**custom, "name": "Other", "phoneNumber": "2"}}
    read = agent.get(f"/contacts/{custom['id']}")
    assert (read.json, read.headers["ETag"]) == (response.json, response.headers["ETag"])


@both_ways
def test_delete_removes_for_good(send_to, admin, custom):
    kept = admin.create("Kept")
    response = send_to(admin, "DELETE", custom["id"])
    assert (response.status_code, response.json) == (200, {"statusCode": 0})
    assert admin.get(f"/contacts/{custom['id']}").status_code == 404
    assert send_to(admin, "DELETE", custom["id"]).status_code == 404
    assert send_to(admin, "PUT", custom["id"], json={"name": "New"}).status_code == 404
    assert admin.get("/contacts").json["contacts"] == [kept]


def test_ids_are_never_given_again(admin):
    ids = set()
    for number in range(20):
        contact = admin.create(f"Contact {number}")
        ids.add(contact["id"])
        assert admin.delete(f"/contacts/{contact['id']}").status_code == 200
    assert len(ids) == 20


def test_equal_contacts_may_stand_side_by_side(admin, user, queue):
    for name in ("Some Contact", "Some Contact", user["name"], queue["name"]):
        admin.create(name, "1")
    assert admin.get("/contacts").json["totalCount"] == 6


@pytest.mark.parametrize("spelling", ["Custom", "custom", "CUSTOM"])
def test_type_is_read_ignoring_case(spelling, admin):
    response = admin.post("/contacts", json={"name": "New", "type": spelling})
    assert response.json["contact"]["type"] == "Custom"


@pytest.mark.parametrize("number", ["xxx-xxx-xxxx", "1-800-FLOWERS", "15002", "+49 30 1234", "*", "-", "(0)/#;ext=5"])
def test_number_is_free_text(number, admin):
    assert admin.create("New", number)["phoneNumber"] == number


@pytest.mark.parametrize("request_", [{"name": "New"}, {"name": "New", "phoneNumber": None}])
def test_absent_is_absent_and_not_null(request_, admin):
    made = admin.post("/contacts", json=request_).json["contact"]
    assert set(made) == {"id", "name", "type"}
    for url in (f"/contacts/{made['id']}", "/contacts"):
        assert "null" not in admin.get(url).text
        assert "phoneNumber" not in admin.get(url).text


BLANKS = [" ", "   ", "\u00a0", "\u2003", "\u3000", "\u202f", " \u2009 "]


@pytest.mark.parametrize("attribute", LONGEST)
def test_surrounding_blanks_are_trimmed(attribute, admin):
    for blank in BLANKS:
        made = admin.post("/contacts", json={"name": "New", attribute: f"{blank}a  b{blank}"}).json["contact"]
        assert made[attribute] == "a  b"
        changed = admin.put(f"/contacts/{made['id']}", json={attribute: f"c d{blank}"}).json["contact"]
        assert changed[attribute] == "c d"


@pytest.mark.parametrize("attribute", LONGEST)
def test_length_counts_characters_after_trimming(attribute, admin):
    longest = LONGEST[attribute]
    for fits in ("x" * longest, "  " + "x" * longest + " ", "\U0001f600" * longest, "u\u0308" * longest, "ß" * longest):
        response = admin.post("/contacts", json={"name": "New", attribute: fits})
        assert response.status_code == 201, response.text
        assert response.json["contact"][attribute] == normalize("NFC", fits.strip())
        assert len(response.json["contact"][attribute]) == longest
    for too_long in ("x" * (longest + 1), "\U0001f600" * (longest + 1), "x\u0323" * longest, "\u0958" * longest):
        response = admin.post("/contacts", json={"name": "New", attribute: too_long})
        assert (response.status_code, response.json["statusCode"]) == (422, 10)
        assert list(response.json["errors"]) == [attribute]
        assert str(longest) in response.json["statusMessage"]


@pytest.mark.parametrize("attribute", LONGEST)
def test_control_characters_are_refused(attribute, admin, custom):
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029):
        for text in (f"a{chr(code)}b", f"{chr(code)}ab", f"ab{chr(code)}"):
            for response in (
                admin.post("/contacts", json={"name": "New", attribute: text}),
                admin.put(f"/contacts/{custom['id']}", json={attribute: text}),
            ):
                assert (response.status_code, response.json["statusCode"]) == (422, 2)
                assert f"U+{code:04X}" in response.json["statusMessage"]
    assert admin.get("/contacts").json["contacts"] == [custom]


TEXTS = {
    "English": "Some Contact",
    "German": "Jürgen Groß-Weiß",
    "French": "Hélène d'Œuvre",
    "Polish": "Łukasz Żółć",
    "Turkish": "İbrahim Işık",
    "Vietnamese": "Nguyễn Thị Ánh",
    "Greek": "Ἀλέξανδρος Παπαδόπουλος",
    "Russian": "Жук Ёлкин",
    "Armenian": "Արամ Խաչատրյան",
    "Georgian": "შოთა რუსთაველი",
    "Hebrew": "דָּוִד בן־גוריון",
    "Arabic": "محمد عبد الله",
    "Arabic, with a mark for its direction": "محمد\u200e 5",
    "Persian, with a joiner": "می\u200cخواهم",
    "Devanagari": "क्षत्रिय शर्मा",
    "Tamil": "சுப்பிரமணியன்",
    "Thai": "สมชาย ใจดี",
    "Amharic": "ኃይለ ሥላሴ",
    "Chinese": "王小明",
    "Chinese, beyond the BMP": "𠮷野家",
    "Japanese": "ﾔﾏﾀﾞ 太郎 ヤマダ",
    "Korean": "김철수",
    "Korean, in parts": normalize("NFD", "김철수"),
    "decomposed": normalize("NFD", "Hélène Müller"),
    "compatibility forms": "ﬁne ① ½ Ⅷ",
    "angstrom and ohm": "\u212b \u2126",
    "emoji": "👍 😀",
    "emoji of several characters": "👩‍👩‍👧‍👦 🇩🇪 👍🏽 ❤️",
    "astral": "\U0001d54f\U00010348\U0001f6d1",
    "last code points": "\ufffd \U0010fffd \ue000",
    "quotes": "\"x\" 'y' `z` «ö»",
    "backslashes": r"\ \\ \n \u0041 \" C:\temp",
    "SQL": "'); DROP TABLE contact; --",
    "percent and wildcards": "100% _ * ? [a-z]",
    "markup": "<script>alert(1)</script> &amp; </b>",
    "JSON": '{"name": null}',
    "words of JSON": "null",
    "digits": "007",
    "commas": "Doe, Jane",
    "soft hyphen and BOM": "a\u00adb\ufeffc",
}


@pytest.mark.parametrize("attribute", LONGEST)
def test_text_comes_back_as_it_went_in(attribute, admin, agent, sql):
    for text in TEXTS.values():
        for ensure_ascii in (True, False):
            body = json.dumps({"name": "New", attribute: text}, ensure_ascii=ensure_ascii)
            made = admin.post("/contacts", data=body.encode(), content_type="application/json")
            contact_id = made.json["contact"]["id"]
            kept = normalize("NFC", text)
            assert made.json["contact"][attribute] == kept
            assert agent.get(f"/contacts/{contact_id}").json == made.json
            assert agent.get(f"/contacts?id={contact_id}").json["contacts"] == [made.json["contact"]]
            assert sql(f"SELECT json_extract(json, '$.{attribute}') FROM contact WHERE id = ?", contact_id) == [(kept,)]
            changed = admin.put(f"/contacts/{contact_id}", json={attribute: "x"})
            back = admin.put(f"/contacts/{contact_id}", json={attribute: text})
            assert changed.json != made.json
            assert back.json == made.json
            assert back.headers["ETag"] == made.headers["ETag"]


PUTS = [
    ({"name": "New"}, {"name": "New"}),
    ({"phoneNumber": "2"}, {"phoneNumber": "2"}),
    ({"phoneNumber": None}, {"phoneNumber": None}),
    ({"name": "New", "phoneNumber": None}, {"name": "New", "phoneNumber": None}),
    ({"name": " New ", "phoneNumber": " 2 "}, {"name": "New", "phoneNumber": "2"}),
    ({"name": "Ju\u0308rgen"}, {"name": "Jürgen"}),
    ({"name": "New", "type": "Custom"}, {"name": "New"}),
    ({"name": "New", "type": " custom"}, {"name": "New"}),
]


@both_ways
def test_put_changes_what_it_names_and_keeps_the_rest(send_to, admin, custom, subtests):
    for body, changes in PUTS:
        with subtests.test(str(body)):
            made = admin.create("Some Contact", "xxx-xxx-xxxx")
            expected = {name: value for name, value in {**made, **changes}.items() if value is not None}
            assert send_to(admin, "PUT", made["id"], json=body).json["contact"] == expected
            assert admin.get(f"/contacts/{made['id']}").json["contact"] == expected
            assert admin.get(f"/contacts/{custom['id']}").json["contact"] == custom


@both_ways
def test_cleared_number_can_be_set_again(send_to, admin, custom):
    for number in (None, "1", None, "2"):
        contact = send_to(admin, "PUT", custom["id"], json={"phoneNumber": number}).json["contact"]
        assert contact.get("phoneNumber") == number


@both_ways
def test_changed_contact_is_found_by_its_new_values_only(send_to, admin, custom):
    send_to(admin, "PUT", custom["id"], json={"name": "Zoë Quux", "phoneNumber": None})
    for found in ({"name": "zoë quux"}, {"q": "quux"}, {"q": "zoe"}):
        assert admin.names(**found) == ["Zoë Quux"]
    for lost in ({"name": custom["name"]}, {"q": "contact"}, {"phoneNumber": "*"}, {"phoneNumber": "xxx-xxx-xxxx"}):
        assert admin.names(**lost) == []


@both_ways
def test_whole_contact_may_be_sent_back(send_to, admin, custom):
    for contact in (custom, admin.create("No number")):
        response = send_to(admin, "PUT", contact["id"], json=contact)
        assert (response.status_code, response.json["contact"]) == (200, contact)
        renamed = send_to(admin, "PUT", contact["id"], json={**contact, "name": "New"})
        assert renamed.json["contact"] == {**contact, "name": "New"}


DIFFERENT = [
    ("id", "0" * 32),
    ("id", 5),
    ("type", "User"),
    ("type", "Queue"),
    ("type", "Robot"),
    ("type", 5),
    ("type", ["Custom"]),
    ("userName", "x"),
    ("firstName", "x"),
    ("lastName", "x"),
    ("employeeId", "x"),
    ("employeeId", 0),
    ("employeeId", False),
    ("employeeId", ""),
]


def test_read_only_attributes_are_refused_if_they_differ(admin, custom, subtests):
    for attribute, value in DIFFERENT:
        with subtests.test(f"{attribute}={value!r}"):
            response = admin.put(f"/contacts/{custom['id']}", json={**custom, "name": "New", attribute: value})
            assert (response.status_code, response.json["statusCode"]) == (422, 11)
            assert list(response.json["errors"]) == [attribute]
            assert admin.get(f"/contacts/{custom['id']}").json["contact"] == custom


@both_ways
@pytest.mark.parametrize("owner", ["user", "queue"])
def test_what_the_sync_writes_is_read_only(owner, send_to, admin, request):
    contact = request.getfixturevalue(owner)
    for method, body in [
        ("PUT", {"name": "New"}),
        ("PUT", {"phoneNumber": None}),
        ("PUT", contact),
        ("PUT", {"userName": "x"}),
        ("DELETE", None),
    ]:
        response = send_to(admin, method, contact["id"], **({"json": body} if body else {}))
        assert (response.status_code, response.json["statusCode"]) == (403, 3)
        assert contact["type"] in response.json["statusMessage"]
    assert admin.get(f"/contacts/{contact['id']}").json["contact"] == contact


def state(sql):
    """All that a write could change: the contacts, how they are found, and the list's ETag."""
    return [
        sql(f"SELECT * FROM {table} ORDER BY 1") for table in ("contact", "directory", "token", "contact_search_data")
    ]


def test_failed_request_changes_nothing(send, admin, sql, subtests):  # noqa: F811
    before, tag = state(sql), admin.get("/contacts").headers["ETag"]
    for case in CASES:
        with subtests.test(str(case)):
            assert send(case).status_code == case.http
            assert state(sql) == before
            assert admin.get("/contacts").headers["ETag"] == tag


def tags(client, contact):
    """The ETags of the list and of a contact."""
    return [client.get(url).headers["ETag"] for url in ("/contacts", f"/contacts/{contact['id']}")]


@both_ways
def test_put_of_nothing_new_leaves_the_etags_alone(send_to, admin, custom):
    before = tags(admin, custom)
    for body in (custom, {"name": custom["name"]}, {"name": f" {custom['name']} "}, {"phoneNumber": "xxx-xxx-xxxx"}):
        response = send_to(admin, "PUT", custom["id"], json=body)
        assert (response.json["contact"], response.headers["ETag"]) == (custom, before[1])
        assert tags(admin, custom) == before


@both_ways
def test_every_change_moves_the_etags(send_to, admin, custom):
    seen = [tags(admin, custom)]
    for body in ({"name": "some contact"}, {"name": "New"}, {"phoneNumber": "2"}, {"phoneNumber": None}):
        assert send_to(admin, "PUT", custom["id"], json=body).status_code == 200
        seen.append(tags(admin, custom))
    assert len({one for _, one in seen}) == len(seen)
    assert len({whole for whole, _ in seen}) == len(seen)
    before = admin.get("/contacts").headers["ETag"]
    assert send_to(admin, "DELETE", custom["id"]).status_code == 200
    assert admin.get("/contacts").headers["ETag"] != before


MATCHES = [
    ("{tag}", 200),
    ("W/{tag}", 200),
    ('"other", {tag}', 200),
    ('"other",{tag},"another"', 200),
    ('W/"other", W/{tag}', 200),
    ("*", 200),
    ('"other"', 412),
    ('W/"other"', 412),
    ('"other", "another"', 412),
    ('"{tag}x"', 412),
    ("{list}", 412),
    ("{suffixed}", 200),
    ('"other-gzip", W/{suffixed}', 200),
    ('"other-gzip"', 412),
    ('""', 412),
]


@both_ways
@pytest.mark.parametrize(("method", "body"), [("PUT", {"json": {"name": "New"}}), ("DELETE", {})])
def test_if_match(method, body, send_to, admin, subtests):
    for if_match, status in MATCHES:
        with subtests.test(if_match):
            contact = admin.create("Some Contact")
            list_tag, tag = tags(admin, contact)
            headers = {"If-Match": if_match.replace("{tag}", tag).replace("{list}", list_tag)}
            headers["If-Match"] = headers["If-Match"].replace("{suffixed}", f'{tag[:-1]}-gzip"')
            response = send_to(admin, method, contact["id"], headers=headers, **body)
            assert response.status_code == status
            assert response.json["statusCode"] == (2 if status == 412 else 0)
            if status == 412:
                assert tags(admin, contact) == [list_tag, tag]


@both_ways
def test_stale_tag_is_refused_and_no_tag_is_not(send_to, admin, custom):
    _, stale = tags(admin, custom)
    fresh = send_to(admin, "PUT", custom["id"], json={"name": "New"}, headers={"If-Match": stale}).headers["ETag"]
    for method in ("PUT", "DELETE"):
        body = {"json": {"name": "Newer"}} if method == "PUT" else {}
        assert send_to(admin, method, custom["id"], headers={"If-Match": stale}, **body).status_code == 412
    assert send_to(admin, "PUT", custom["id"], json={"name": "New"}, headers={"If-Match": stale}).status_code == 412
    assert send_to(admin, "PUT", custom["id"], json={"name": "New"}, headers={"If-Match": fresh}).status_code == 200
    assert send_to(admin, "PUT", custom["id"], json={"name": "Newest"}).status_code == 200
    assert send_to(admin, "DELETE", custom["id"]).status_code == 200


def test_if_match_does_not_hide_what_else_is_wrong(admin, user):
    headers = {"If-Match": "*"}
    assert admin.delete(f"/contacts/{'0' * 32}", headers=headers).status_code in {404, 412}
    assert admin.delete(f"/contacts/{user['id']}", headers=headers).status_code == 403


def test_a_slash_at_the_end_changes_no_write(admin):
    made = admin.post("/contacts/", json={"name": "Some Contact"})
    url = f"/contacts/{made.json['contact']['id']}"
    assert (made.status_code, made.headers["Location"]) == (201, url)
    assert admin.put(f"{url}/", json={"name": "New"}).json["contact"]["name"] == "New"
    assert admin.delete(f"{url}/").status_code == 200


def test_write_is_seen_by_another_connection_at_once(admin, sql):
    made = admin.create("Some Contact", "1")
    assert [json.loads(text) for (text,) in sql("SELECT json FROM contact")] == [made]
    changed = admin.put(f"/contacts/{made['id']}", json={"name": "Ä"}).json["contact"]
    assert [json.loads(text) for (text,) in sql("SELECT json FROM contact")] == [changed]
    admin.delete(f"/contacts/{made['id']}")
    assert sql("SELECT json FROM contact") == []


def test_change_of_another_process_is_seen_at_once(admin, custom, sql):
    before = tags(admin, custom)
    sql("UPDATE contact SET json = json_set(json, '$.phoneNumber', '7') WHERE id = ?", custom["id"])
    assert admin.get(f"/contacts/{custom['id']}").json["contact"]["phoneNumber"] == "7"
    assert all(now != then for now, then in zip(tags(admin, custom), before, strict=True))
    stale = admin.put(f"/contacts/{custom['id']}", json={"name": "New"}, headers={"If-Match": before[1]})
    assert stale.status_code == 412


@both_ways
@pytest.mark.parametrize("careful", [True, False], ids=["with If-Match", "without"])
@pytest.mark.parametrize(("method", "body"), [("PUT", {"json": {"name": "New"}}), ("DELETE", {})])
def test_what_comes_between_the_look_and_the_change_is_seen(method, body, careful, send_to, admin, custom, path):
    """Another program writes at the moment when the contact has been read and is about to be changed."""
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    attempts = []

    def interfere(statement):
        if statement == "BEGIN IMMEDIATE" and not attempts:
            attempts.append(statement)
            other.execute("UPDATE contact SET json = json_set(json, '$.phoneNumber', '7', '$.name', 'Other')")

    _, tag = tags(admin, custom)
    db.connection().set_trace_callback(interfere)
    response = send_to(admin, method, custom["id"], headers={"If-Match": tag} if careful else {}, **body)
    db.connection().set_trace_callback(None)
    other.close()
    assert attempts
    assert response.status_code == (412 if careful else 200)
    left = admin.get(f"/contacts/{custom['id']}")
    if careful:
        assert (left.json["contact"]["name"], left.json["contact"]["phoneNumber"]) == ("Other", "7")
    elif method == "PUT":
        assert left.json["contact"] == response.json["contact"]
        assert (left.json["contact"]["name"], left.json["contact"]["phoneNumber"]) == ("New", "7")
    else:
        assert left.status_code == 404


def at_once(admin, *bodies):
    """Send POSTs from as many threads; return their answers in this order."""

    def post(body):
        try:
            return admin.post("/contacts", json=body)
        finally:
            db.close()

    with ThreadPoolExecutor(len(bodies)) as pool, transactions.write_lock:
        futures = [pool.submit(post, body) for body in bodies]
        time.sleep(0.2)  # all of them wait for the lock now, or soon will
    return [future.result(20) for future in futures]


def test_a_write_that_fails_is_alone_with_it(admin, sql):
    """Four writes at once, one of which the database refuses."""
    sql(
        "CREATE TRIGGER refuse BEFORE INSERT ON contact WHEN new.name_key GLOB 'refused*' "
        "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
    )
    answers = at_once(admin, {"name": "1"}, {"name": "refused"}, {"name": "2"}, {"name": "3"})
    assert [answer.status_code for answer in answers] == [201, 500, 201, 201]
    assert "not this one" not in answers[1].text
    assert admin.names() == ["1", "2", "3"]


def test_each_change_is_one_transaction(admin):
    statements = []
    db.connection().set_trace_callback(statements.append)
    contact = admin.create("New")
    admin.put(f"/contacts/{contact['id']}", json={"name": "Other"})
    admin.delete(f"/contacts/{contact['id']}")
    db.connection().set_trace_callback(None)
    ends = [each for each in statements if each in {"BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"}]
    assert ends == ["BEGIN IMMEDIATE", "COMMIT"] * 3


def test_a_write_that_gives_up_waiting_has_changed_nothing(admin, monkeypatch):
    monkeypatch.setattr(transactions, "WRITE_TIMEOUT_S", 0.02)
    (late,) = at_once(admin, {"name": "late"})
    assert late.status_code == 503
    admin.create("next")
    assert admin.names() == ["next"]


def test_writes_wait_for_another_program(admin, path):
    with closing(sqlite3.connect(path, isolation_level=None)) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        answers = pool.submit(at_once, admin, {"name": "1"}, {"name": "2"})
        time.sleep(0.5)  # longer than SQLite itself waits
        assert not answers.done()
        other.execute("ROLLBACK")
        assert [answer.status_code for answer in answers.result(20)] == [201, 201]
    assert admin.names() == ["1", "2"]


class Wire:
    """A kept connection to a real server."""

    def __init__(self, port, headers=ADMIN):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {**headers, "Content-Type": "application/json"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def __call__(self, method, url, body=None, **headers):
        """Send a request; return the HTTP status, the JSON and the ETag."""
        self.connection.request(method, url, body and json.dumps(body), {**self.headers, **headers})
        response = self.connection.getresponse()
        return response.status, json.loads(response.read()), response.headers["ETag"]


THREADS, WRITES = 8, 20


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """The port of a gunicorn that the tests of races share."""
    running = Service(tmp_path_factory.mktemp("writing") / "contacts.db")
    yield running.port
    running.stop()


def test_many_writers_at_once_lose_nothing(service):
    """Each thread makes, changes and removes contacts of its own, and all change one that they share."""
    with Wire(service.port) as wire:
        shared = wire("POST", "/contacts", {"name": "Shared"})[1]["contact"]["id"]

    def work(number):
        kept, statuses, chance = {}, [], random.Random(number)
        with Wire(service.port) as send_:
            for write in range(WRITES):
                kind = chance.choice(["make", "make", "change", "remove", "share"]) if kept else "make"
                if kind == "make":
                    status, answer, _ = send_("POST", "/contacts", {"name": f"{number}-{write}"})
                    kept[answer["contact"]["id"]] = answer["contact"]
                elif kind == "share":
                    status, answer, _ = send_("PUT", f"/contacts/{shared}", {"phoneNumber": f"{number}-{write}"})
                    assert answer["contact"]["phoneNumber"] == f"{number}-{write}"
                else:
                    mine = chance.choice(list(kept))
                    if kind == "remove":
                        status, _, _ = send_("DELETE", f"/contacts/{mine}")
                        del kept[mine]
                    else:
                        status, answer, _ = send_("PUT", "/contacts", {"id": mine, "name": f"{number}-{write} changed"})
                        assert answer["contact"]["name"] == f"{number}-{write} changed"
                        kept[mine] = answer["contact"]
                statuses.append(status)
        return kept, statuses

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(work, range(THREADS)))
    assert [status for _, statuses in results for status in statuses if status not in {200, 201}] == []
    with Wire(service.port, AGENT) as wire:
        _, answer, _ = wire("GET", "/contacts")
    found = {contact["id"]: contact for contact in answer["contacts"] if contact["id"] != shared}
    assert found == {contact_id: contact for kept, _ in results for contact_id, contact in kept.items()}
    assert answer["totalCount"] == len(found) + 1


@pytest.mark.parametrize("methods", [("PUT", "PUT"), ("PUT", "DELETE"), ("DELETE", "DELETE")], ids="-".join)
def test_of_two_writers_who_know_the_same_state_one_wins(methods, port):
    with Wire(port) as one, Wire(port) as other, ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            _, answer, tag = one("POST", "/contacts", {"name": "Start"})
            url = f"/contacts/{answer['contact']['id']}"
            barrier = threading.Barrier(2)

            def change(wire, method, name, url=url, tag=tag, barrier=barrier):
                barrier.wait()
                return method, wire(method, url, {"name": name} if method == "PUT" else None, **{"If-Match": tag})

            answers = list(pool.map(change, (one, other), methods, ("one", "other")))
            assert sum(status == 200 for _, (status, _, _) in answers) == 1
            assert {status for _, (status, _, _) in answers} <= {200, 404, 412}
            ((method, won),) = [(method, answer) for method, answer in answers if answer[0] == 200]
            status, read, tag = one("GET", url)
            assert (status, read, tag) == won if method == "PUT" else status == 404


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="finds the workers in /proc")
def test_acknowledged_writes_survive_kill_9(path, service, sql):
    acknowledged, enough = [], threading.Event()

    def work(number):
        try:
            with Wire(service.port) as send_:
                for write in range(10_000):
                    status, answer, _ = send_("POST", "/contacts", {"name": f"{number}-{write}"})
                    assert status == 201
                    acknowledged.append(answer["contact"]["id"])
                    if len(acknowledged) > 40:
                        enough.set()
        except (OSError, http.client.HTTPException):
            return

    with ThreadPoolExecutor(4) as pool:
        for number in range(4):
            pool.submit(work, number)
        assert enough.wait(60)
        victims = [service.process.pid, *workers(service.process.pid)]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
    assert len(victims) > 1
    kept = {contact_id for (contact_id,) in sql("SELECT id FROM contact")}
    assert set(acknowledged) <= kept
    assert sql("PRAGMA integrity_check") == [("ok",)]
    again = Service(path)
    try:
        with Wire(again.port) as send_:
            assert send_("GET", "/contacts?limit=1")[1]["totalCount"] == len(kept)
            assert send_("POST", "/contacts", {"name": "After"})[0] == 201
    finally:
        again.stop()


def test_custom_contacts_do_not_meet_the_syncs_rules_of_uniqueness(admin, user, queue):
    made = admin.create(queue["name"], queue["phoneNumber"])
    assert admin.put(f"/contacts/{made['id']}", json={"name": user["name"]}).status_code == 200
    assert add(type="Queue", name="Support")["type"] == "Queue"
    assert admin.get("/contacts").json["totalCount"] == 4


def test_an_id_may_be_written_as_a_guid(admin, custom):
    id_ = custom["id"]
    guid = f"{id_[:8]}-{id_[8:12]}-{id_[12:16]}-{id_[16:20]}-{id_[20:]}"
    for written in (id_.upper(), guid, f"{{{guid.upper()}}}"):
        assert admin.get(f"/contacts/{written}").json["contact"] == custom
        assert admin.put(f"/contacts/{written}", json={**custom, "id": guid}).json["contact"] == custom
        assert admin.put("/contacts", json={"id": written, "name": custom["name"]}).json["contact"] == custom
    assert admin.delete("/contacts", query_string={"id": guid}).status_code == 200

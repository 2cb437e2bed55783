"""The page in real Chromium, behind a proxy that gives roles and can be slow, broken or asked what it saw."""

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import ROOT, Service
from doors import flask

from contacts.phone import number_key

conditions = pytest.importorskip("selenium.webdriver.support.expected_conditions")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
# The page makes an element anew while a test looks at it.
STALE = pytest.importorskip("selenium.common.exceptions").StaleElementReferenceException

pytestmark = pytest.mark.slow

ADMIN, AGENT = "Contact Center Admin", "Agent"
HOSTILE = ["<img src=x onerror=alert(1)>", "Quote \" ' & <b>", "Right \u202e to left", "محمد علي"]
JOE = "Joe Johnson"


class Gateway(BaseHTTPRequestHandler):
    """A proxy that adds a role; the server's attributes say how it behaves."""

    protocol_version = "HTTP/1.1"

    def handle_one(self):
        gateway = self.server
        path = self.path.removeprefix(gateway.prefix)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        gateway.asked.append((time.monotonic(), self.command, path))
        (asked,) = parse_qs(urlsplit(path).query).get("q", [f"{self.command} {path}"])
        time.sleep(gateway.delays.get(asked, 0))  # by what is looked for, or by what is done
        if gateway.is_broken and self.command == "POST":  # a browser would send it again by itself
            self.send_error(502)
            return
        if gateway.is_broken or (path == self.path and gateway.prefix):
            self.close_connection = True
            return
        status, headers, answer = self.forward(path, body)
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in {"connection", "transfer-encoding", "content-length", "server", "date"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        with suppress(ConnectionError):  # the page wants this answer no more
            self.end_headers()
            self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = handle_one

    def forward(self, path, body):
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        if self.server.role and "Authorization" not in headers:
            headers |= {"X-Role": self.server.role, "X-Forwarded-User": "zoe"}
        connection = HTTPConnection("127.0.0.1", self.server.upstream, timeout=30)
        connection.request(self.command, path, body or None, headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        return response.status, response.getheaders(), answer

    def log_message(self, *args):
        pass


@contextmanager
def gateway_to(port, prefix=""):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    server.upstream, server.prefix, server.role = port, prefix, AGENT
    server.asked, server.delays, server.is_broken = [], {}, False
    server.url = f"http://127.0.0.1:{server.server_port}{prefix}/"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A service with the sample directory and some Custom contacts; tests make others with names of their own."""
    folder = tmp_path_factory.mktemp("page")
    path = folder / "contacts.db"
    flask(path, "sync", "User", "demo/users.csv")
    flask(path, "sync", "Queue", "demo/queues.csv")
    customs = folder / "custom.csv"
    rows = [*((name, "") for name in HOSTILE), ("Taxi", "+49 (0)30 1234"), ("Vanity", "1-800-FLOWERS"), ("X", "xxx")]
    customs.write_text(
        "name,phoneNumber\n" + "".join(f'"{name.replace(chr(34), chr(34) * 2)}","{number}"\n' for name, number in rows)
    )
    flask(path, "import", str(customs))
    service = Service(path)
    service.path = path
    yield service
    service.stop()


@pytest.fixture
def gateway(demo):
    with gateway_to(demo.port) as running:
        yield running


class Page:
    """The page, as a person uses it."""

    def __init__(self, browser, url):
        self.browser = browser
        self.wait = WebDriverWait(browser, 20, poll_frequency=0.05, ignored_exceptions=[STALE])
        self.open(url)

    def open(self, url):
        self.browser.get(url)
        # What a click on a tel: link would start, noted in the place of starting it.
        self.browser.execute_script("""
            window.dialled = [];
            addEventListener("click", (event) => {
              const link = event.target.closest("a[href^='tel:']");
              if (link) { event.preventDefault(); window.dialled.push(link.getAttribute("href")); }
            });""")

    def all(self, selector):
        return self.browser.find_elements("css selector", selector)

    def one(self, selector):
        return self.wait.until(conditions.visibility_of_element_located(("css selector", selector)))

    def script(self, text, *arguments):
        return self.browser.execute_script(f"return {text.strip()}", *arguments)

    def until(self, condition):
        """Wait until the condition holds; the page may be making its elements anew meanwhile."""
        return self.wait.until(lambda _: condition())

    def names(self):
        return self.script("[...document.querySelectorAll('[role=option] .name')].map((each) => each.textContent)")

    def text(self, selector):
        return self.script("document.querySelector(arguments[0]).textContent", selector)

    def type(self, text):
        self.one("#q").send_keys(text)

    def search(self, text, *names):
        """Look for something, and wait for these names, in this order."""
        self.one("#q").clear()
        self.type(text)
        self.until(lambda: self.names()[: len(names)] == list(names))

    def choose(self, name):
        self.search(name, name)
        self.type(Keys.ENTER)
        self.until(lambda: self.one("#card h2").text == name)

    def active(self):
        return self.script(
            "document.getElementById(document.getElementById('q').getAttribute('aria-activedescendant'))"
            "?.querySelector('.name').textContent"
        )

    def button(self, selector, text):
        return next(each for each in self.all(f"{selector} button") if each.is_displayed() and each.text == text)

    def counts(self):
        return self.script("[...document.querySelectorAll('#types span')].map((each) => each.textContent)")


@pytest.fixture
def page(browser, gateway):
    """The page, with the role Agent; it must say nothing on the console, and ask nobody else."""
    opened = Page(browser, gateway.url)
    yield opened
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith((gateway.url, "data:", "chrome:"))} == set()
    # An answer of 4xx, and a connection that is lost, are told there by the browser itself.
    assert [entry for entry in browser.get_log("browser") if entry["source"] != "network"] == []


@pytest.fixture
def admin(gateway, page):
    gateway.role = ADMIN
    page.open(gateway.url)
    page.one("#add")
    return page


@pytest.fixture
def api(demo):
    """The API, as another program uses it."""

    def ask(method, path, body=None):
        connection = HTTPConnection("127.0.0.1", demo.port, timeout=30)
        headers = {"X-Role": ADMIN, "Content-Type": "application/json"}
        connection.request(method, path, body and json.dumps(body), headers)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    return ask


# Agents.


def test_an_agent_finds_chooses_and_calls_by_keyboard_alone(page):
    page.until(lambda: page.text("#me") == "zoe – Agent")
    assert page.script("document.activeElement.id") == "q"
    page.type("joe jo")
    page.until(lambda: page.names()[:1] == [JOE])
    assert page.one("[role=option] mark").text == "Joe"
    page.type(Keys.ARROW_DOWN * 2)
    page.until(lambda: page.active() == page.names()[1])
    page.type(Keys.ARROW_UP)
    assert page.active() == JOE
    page.type(Keys.ENTER)
    assert page.one("#card h2").text == JOE
    assert page.text("#status") == "Joe Johnson is chosen. Enter calls 15002."
    assert page.script("window.dialled") == []
    page.type(Keys.ENTER)
    assert page.script("window.dialled") == ["tel:15002"]
    page.type(Keys.ESCAPE)
    page.until(lambda: page.script("location.search") == "" and len(page.names()) > 10)
    assert (page.one("#q").get_attribute("value"), page.all("#card:not([hidden])")) == ("", [])


def test_enter_before_the_answer_chooses_the_first_of_it(page, gateway):
    gateway.delays["joe johnson"] = 0.5
    page.type(f"joe johnson{Keys.ENTER}")
    assert page.one("#card h2").text == JOE
    assert page.script("window.dialled") == []


def test_the_mouse_chooses_and_calls(page):
    page.search("joe johnson", JOE)
    page.one("[role=option] .name").click()
    assert page.one("#card h2").text == JOE
    assert page.script("window.dialled") == []
    page.one("[role=option] .number").click()
    page.one("#card a").click()
    assert page.script("window.dialled") == ["tel:15002"] * 2
    page.button("#card", "Copy").click()
    page.until(lambda: page.text("#status").startswith(("15002 is copied", "This browser does not let")))


@pytest.mark.parametrize(
    ("name", "url"),
    [("Taxi", "tel:+49301234"), ("Vanity", "tel:18003569377"), ("X", None), ("Sales", "tel:8001")],
)
def test_a_number_is_dialled_as_a_telephone_does(page, name, url):
    page.choose(name)
    assert [link.get_dom_attribute("href") for link in page.all("#card a")] == [url] * bool(url)


DIALLED = [
    *("(+49) 30 1234", "0049 (0)30 1234", "+49 ( 0 ) 30 1234", "15002 (x123)", "15002 extension 12", "15002 ext: 12"),
    *("030 1;031 2", "030 1, 031 2", "tel:7042;phone-context=example.com", "1\u09684", "+४९ ३० 1234", "१२३४"),
    *("1-800-FLOWERS", "+1 (650) 555-0100 x123", "030;;12,5", "7042;ext=5", "７０１７", "\u200e+49 30\u200c 1"),
    *(f"030 1234{suffix}" for suffix in ("-x5", " - ext 5", "/ext 5", " [ext 5]", " Ext.: 5", " ext . 5", "; ext=5")),
    *(f"030 1234{suffix}" for suffix in ("ext5", " extn 5", " x.5", " x:5", " EXT 5 / 6", " ext # 5", ",,5#", "#5")),
]


def test_what_is_dialled_is_the_number_that_is_compared(page):
    """As contacts/phone.py has it, without the suffix."""
    script = """
        const [numbers, done] = arguments;
        import(new URL("page/text.js", document.baseURI)).then(({ telUrl }) => done(numbers.map(telUrl)));
    """
    for number, url in zip(DIALLED, page.browser.execute_async_script(script, DIALLED), strict=True):
        dialled = url.removeprefix("tel:").partition(";")[0]
        assert dialled.replace("00", "+", 1) if dialled.startswith("00") else dialled, number
        assert number_key(dialled) == number_key(number) or number == "1-800-FLOWERS", (number, url)
    (url,) = page.browser.execute_async_script(script, ["#31#0301234"])
    assert url == "tel:%2331%230301234"


def test_enter_calls_whom_the_page_says(page):
    page.search("johnson")
    page.until(lambda: page.names()[:1] == ["Björn Johnson"])
    next(each for each in page.all("[role=option] .name") if each.text == JOE).click()
    page.until(lambda: "Enter calls 15002" in page.text("#status"))
    page.browser.switch_to.active_element.send_keys(Keys.ENTER)
    page.until(lambda: page.script("window.dialled") == ["tel:15002"])


@pytest.mark.parametrize(
    ("q", "name", "marked"),
    [
        ("chloe", "Chloé Johnson", "Chloé"),
        ("weiss", "Carlos Weiß", "Weiß"),
        ("0049 30 1234", "Taxi", "30 1234"),
        ("+49-30/1234", "Taxi", "30 1234"),
        ("1 650 555-0001", "Chloé Johnson", "1-650-555-0001"),
        ("محمد", HOSTILE[3], "محمد"),
    ],
)
def test_what_matched_is_marked(page, q, name, marked):
    page.type(q)
    page.until(lambda: name in page.names())
    page.until(lambda: marked in [each.text for each in page.all("mark")])


def test_a_number_is_marked_where_it_is_found(page):
    script = """
        const [pairs, done] = arguments;
        import(new URL("page/text.js", document.baseURI)).then(({ markedNumber }) => done(pairs.map(([number, q]) =>
          markedNumber(number, q).filter((each) => each.tagName).map((each) => each.textContent).join())));
    """
    pairs = {("+49 30 7010", "10"): "", ("+49 30 7010", "49"): "49", ("+49 30 7010", "010"): "010"}
    pairs |= {("𝟙𝟝𝟘𝟘𝟟", "1500"): "𝟙𝟝𝟘𝟘", ("15002", "1"): "1", ("15002", "2"): "", ("15002", "002"): "002"}
    assert page.browser.execute_async_script(script, list(pairs)) == list(pairs.values())


def test_similar_ones_are_named_as_such(page):
    page.search("jonson joe", JOE)
    assert "similar" in page.text("#status")
    page.one("#q").clear()
    page.type("ohnso")
    page.until(lambda: "inside" in page.text("#status"))
    page.type("zzzz")
    page.until(lambda: page.text("#status") == "No contact found.")
    assert page.one("#q").get_attribute("aria-expanded") == "false"


def test_what_enter_does_is_not_said_of_what_is_not_chosen_any_more(page, gateway):
    page.choose(JOE)
    page.until(lambda: "Enter calls 15002" in page.text("#status"))
    gateway.delays["sales"] = 1
    page.one("#q").clear()
    page.type("sales")
    assert page.text("#status") == ""
    page.until(lambda: "contact" in page.text("#status"))
    gateway.delays.clear()


def test_late_answers_are_thrown_away_and_requests_are_few(page, gateway):
    page.until(lambda: len(page.names()) > 10 and all(page.counts()))
    gateway.asked.clear()
    text = "joe johnson is there"[:11]
    for end in range(1, len(text)):
        gateway.delays[text[:end].strip()] = 1
    page.script(
        """(async () => {
          const q = document.getElementById("q");
          for (const char of arguments[0]) {
            q.value += char;
            q.dispatchEvent(new Event("input"));
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
        })()""",
        text,
    )
    page.until(lambda: page.names() == [JOE])
    times = [at for at, _, path in gateway.asked if path.startswith("/contacts")]
    assert len(times) <= 7
    gateway.delays.clear()
    page.until(lambda: all(page.counts()))
    assert page.names() == [JOE]


def test_the_address_keeps_what_is_looked_for(page, gateway):
    page.type("sales")
    page.script("document.querySelector('#types [value=Queue]').click()")
    page.until(lambda: page.script("location.search") == "?q=sales&type=Queue")
    page.open(page.browser.current_url)
    page.until(lambda: page.names()[:1] == ["Sales"])
    assert page.one("#q").get_attribute("value") == "sales"
    assert page.one("#types :checked").get_attribute("value") == "Queue"
    page.open(f"{gateway.url}?q=15002")
    page.until(lambda: page.names() == [JOE])
    page.open(f"{gateway.url}?q=+49301234&type=custom")
    page.until(lambda: page.names() == ["Taxi"])


def test_filters_have_the_counts_of_what_is_typed(page, api):
    def totals(q):
        return [
            f"{api('GET', f'/contacts?limit=1{q}{kind}')['totalCount']:,}"
            for kind in ("", "&type=User", "&type=Queue", "&type=Custom")
        ]

    page.until(lambda: page.counts() == totals(""))
    page.type("sa")
    page.until(lambda: page.counts() == totals("&q=sa"))
    page.script("document.querySelector('#types :checked').focus()")
    page.browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    page.until(lambda: {each.text.split()[0] for each in page.all("[role=option] .about")} == {"User"})
    page.until(lambda: page.counts() == totals("&q=sa"))


IS_FILLED = """
    [...document.querySelectorAll(".block:empty")].every((block) => {
      const { top, bottom } = block.getBoundingClientRect();
      return bottom < 0 || top > innerHeight;
    })
"""


def test_scrolling_reads_on_to_the_end_in_bounded_memory(page, demo, gateway, tmp_path):
    (tmp_path / "many.csv").write_text("name\n" + "".join(f"Many {number:04}\n" for number in range(3000)))
    flask(demo.path, "import", str(tmp_path / "many.csv"))
    page.search("many", "Many 0000")
    assert page.text("#status") == "3,000 contacts."
    seen, most = set(), 0
    while "Many 2999" not in seen:
        seen |= set(page.names())
        most = max(most, len(page.names()))
        page.script("scrollBy(0, 2000)")
        page.until(lambda: page.script(IS_FILLED))
    assert len(seen) == 3000
    assert most <= 500
    page.type(Keys.ARROW_DOWN)
    page.until(lambda: page.active() == "Many 0000")
    page.type(Keys.PAGE_DOWN * 13)
    page.until(lambda: page.active() == "Many 0130")
    assert page.script("document.querySelector('[aria-selected=true]').ariaPosInSet") == "131"


def test_names_are_text_in_their_own_direction(page):
    for name in HOSTILE:
        page.choose(name)
        assert page.all("#card img, #card b, #found img, #found b") == []
    assert page.script("document.querySelector('#card bdi').matches(':dir(rtl)')")


# Who one is, and what is lost.


def test_without_a_role_a_token_is_asked_for(browser, demo):
    page = Page(browser, f"{demo.url}/")
    assert "flask token create Agent LABEL" in page.one("#login").text
    assert not page.all("#directory:not([hidden])")
    token = flask(demo.path, "token", "create", "Agent", "desk")
    try:
        page.one("#token").send_keys(f"nonsense{Keys.ENTER}")
        page.until(lambda: "not known" in page.text("#token-error"))
        page.one("#token").send_keys(f"schön{Keys.ENTER}")
        page.until(lambda: page.text("#token-error") == "This is not a token.")
        page.one("#token").send_keys(token + Keys.ENTER)
        page.until(lambda: page.text("#me") == "desk – Agent")
        browser.refresh()
        page.until(page.names)
        page.one("#forget").click()
        page.one("#login")
        page.one("#token").send_keys(token + Keys.ENTER)
        page.until(lambda: page.names() and all(page.counts()))
    finally:
        flask(demo.path, "token", "revoke", "desk")
    page.type("x")
    assert "not known" in page.one("#login .error").text


def test_a_lost_connection_is_said_and_retried(page, gateway):
    page.until(page.names)
    gateway.is_broken = True
    page.type("joe johnson")
    assert "cannot be reached" in page.one("[role=alert]").text
    gateway.is_broken = False
    page.until(lambda: page.names() == [JOE])
    assert not page.one("#q").get_attribute("disabled")
    assert not page.all("#alert:not([hidden])")


# Admins.


def test_an_agent_is_offered_no_changes(page):
    page.choose("Taxi")
    assert [each.text for each in page.all("button") if each.is_displayed()] == ["Copy"]


def test_an_admin_adds_changes_and_removes(admin, api):
    admin.one("#add").click()
    admin.one("#edit-name").send_keys(Keys.ENTER)
    admin.until(lambda: admin.text("#edit-name-error"))
    assert admin.one("#edit-name").get_attribute("aria-invalid") == "true"
    admin.one("#edit-phoneNumber").send_keys("1" * 65)
    admin.one("#edit-name").send_keys(f"Added <b>{Keys.ENTER}")
    admin.until(lambda: "64" in admin.text("#edit-phoneNumber-error"))
    assert admin.text("#edit-name-error") == ""
    admin.one("#edit-phoneNumber").clear()
    admin.one("#edit-phoneNumber").send_keys(f"555{Keys.ENTER}")
    admin.until(lambda: admin.text("#status") == "Added <b> is added.")
    admin.button("#card", "Change").click()
    admin.one("#edit-name").clear()
    admin.one("#edit-phoneNumber").clear()
    admin.one("#edit-name").send_keys(f"Changed{Keys.ENTER}")
    admin.until(lambda: admin.text("#status") == "Changed is changed.")
    (contact,) = api("GET", "/contacts?name=Changed")["contacts"]
    assert contact.keys() == {"id", "name", "type"}
    admin.search("Changed", "Changed")
    admin.type(Keys.ENTER)
    admin.button("#card", "Remove").click()
    assert "Changed" in admin.one("#remove dl").text
    admin.button("#remove", "Remove").click()
    admin.until(lambda: admin.text("#status") == "Changed is removed.")
    assert api("GET", "/contacts?name=Changed,Added <b>".replace(" ", "%20"))["totalCount"] == 0


@pytest.mark.parametrize("name", [JOE, "Sales"])
def test_why_others_are_not_changed_is_said(admin, name):
    admin.choose(name)
    assert "The directory sync writes" in admin.one("#card").text
    assert [each.text for each in admin.all("#card button")] == ["Copy"]


def test_what_somebody_else_changed_is_shown_and_not_overwritten_unasked(admin, api):
    contact = api("POST", "/contacts", {"name": "Contended", "phoneNumber": "1"})["contact"]
    place = f"/contacts/{contact['id']}"
    admin.choose("Contended")
    admin.button("#card", "Change").click()
    admin.one("#edit-name")
    api("PUT", place, {"phoneNumber": "2"})
    admin.one("#edit-phoneNumber").clear()
    admin.one("#edit-phoneNumber").send_keys(f"3{Keys.ENTER}")
    assert "Contended\nNumber\n2" in admin.one(".theirs dl").text
    assert admin.one("#edit-phoneNumber").get_attribute("value") == "3"
    assert api("GET", place)["contact"]["phoneNumber"] == "2"
    api("PUT", place, {"phoneNumber": "4"})
    admin.button("#edit", "Save mine over it").click()
    admin.until(lambda: "Number4" in admin.text(".theirs dl"))
    assert api("GET", place)["contact"]["phoneNumber"] == "4"
    admin.button("#edit", "Save mine over it").click()
    admin.until(lambda: admin.text("#status") == "Contended is changed.")
    assert api("GET", place)["contact"]["phoneNumber"] == "3"

    admin.button("#card", "Remove").click()
    admin.one("#remove dl")
    api("PUT", place, {"phoneNumber": "5"})
    admin.button("#remove", "Remove").click()
    admin.until(lambda: "meanwhile" in admin.text("#remove [role=alert]"))
    assert "5" in admin.one("#remove dl").text
    assert api("GET", place)["contact"]["phoneNumber"] == "5"
    admin.button("#remove", "Remove").click()
    admin.until(lambda: admin.text("#status") == "Contended is removed.")
    assert api("GET", place)["statusCode"] == 6


def test_a_dialog_stays_with_its_focus_while_it_waits(admin, api, gateway):
    contact = api("POST", "/contacts", {"name": "Waited for"})["contact"]
    admin.choose("Waited for")
    admin.button("#card", "Change").click()
    admin.one("#edit-name").send_keys(" long")
    gateway.delays[f"PUT /contacts/{contact['id']}"] = 1
    admin.button("#edit", "Save").click()
    for _ in range(3):
        admin.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert admin.one("#edit[open]")
    assert admin.browser.switch_to.active_element.text == "Save"
    admin.until(lambda: admin.text("#status") == "Waited for long is changed.")
    gateway.delays.clear()
    api("DELETE", f"/contacts/{contact['id']}")


def test_a_dialog_that_comes_late_does_not_come(admin, api, gateway):
    contact = api("POST", "/contacts", {"name": "Spared"})["contact"]
    place = f"/contacts/{contact['id']}"
    admin.choose("Spared")
    admin.button("#card", "Remove").click()
    admin.until(lambda: admin.browser.switch_to.active_element.text == "Cancel")  # Enter removes nobody
    admin.browser.switch_to.active_element.send_keys(Keys.ENTER)
    gateway.delays[f"GET {place}"] = 0.5
    gateway.asked.clear()
    admin.button("#card", "Remove").click()
    admin.until(lambda: f"GET {place}" in [f"{method} {path}" for _, method, path in gateway.asked])
    admin.search("joe johnson", JOE)
    time.sleep(1)  # the answer is there
    assert not admin.all("dialog[open]")
    gateway.delays.clear()
    api("DELETE", place)


def test_a_write_without_connection_is_not_repeated(admin, gateway):
    admin.one("#add").click()
    admin.one("#edit-name").send_keys("Twice")
    admin.until(lambda: all(admin.counts()))
    gateway.is_broken = True
    gateway.asked.clear()
    admin.one("#edit-name").send_keys(Keys.ENTER)
    admin.until(lambda: "cannot be reached" in admin.text("#edit [role=alert]"))
    assert Counter(method for _, method, _ in gateway.asked)["POST"] == 1
    gateway.is_broken = False


def test_a_file_that_was_mended_may_be_chosen_again(admin, tmp_path):
    file = tmp_path / "mended.csv"
    file.write_text("name\n,\n")
    admin.one("#upload").click()
    for rows, result in (("name,phoneNumber\n,1\n", "3"), ("name\nMended\n", "")):
        file.write_text(rows)
        admin.script("document.getElementById('file').value = ''")  # as a click does
        admin.one("#file").send_keys(str(file))
        admin.until(lambda: admin.text("#import tbody") or admin.text("#import .result"))
        assert bool(admin.text("#import tbody")) is bool(result)
    assert "1 to add" in admin.text("#import .result")


def test_a_file_is_tried_and_then_uploaded(admin, api, gateway, tmp_path):
    bad, good = tmp_path / "bad.csv", tmp_path / "good.csv"
    bad.write_text("name,phoneNumber\nUploaded 1,1\n,2\n")
    good.write_text("name,phoneNumber\nUploaded 1,1\nUploaded 2,2\n")
    admin.one("#upload").click()
    admin.one("#file").send_keys(str(bad))
    admin.until(lambda: admin.text("#import tbody"))
    assert [cell.text for cell in admin.all("#import td")][:2] == ["3", "name"]
    assert [each.text for each in admin.all("#import button") if each.is_displayed()] == ["Close"]
    admin.one("#file").send_keys(str(good))
    admin.until(lambda: admin.text("#import .result"))
    assert admin.text("#import tbody") == ""
    assert api("GET", "/contacts?q=uploaded")["totalCount"] == 0
    admin.button("#import", "Add 2 contacts").click()
    admin.until(lambda: admin.text("#status") == "2 contacts are added.")
    assert api("GET", "/contacts?q=uploaded")["totalCount"] == 2


# How it looks, and where it is.


WIDTH = """
    Math.max(document.documentElement.scrollWidth,
      ...[...document.querySelectorAll("dialog[open], dialog[open] *")].map((e) => e.getBoundingClientRect().right))
"""


def test_it_fits_320_pixels_and_text_at_200_percent(admin):
    admin.choose("Chloé Johnson")
    for size, percent in ((320, 100), (640, 200)):
        admin.browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size, "height": 800, "deviceScaleFactor": 1, "mobile": False},
        )
        admin.script("document.documentElement.style.setProperty('font-size', arguments[0])", f"{percent}%")
        for dialog in ("", "add", "upload"):
            if dialog:
                admin.one(f"#{dialog}").send_keys(Keys.ENTER)
            assert admin.script(WIDTH) <= size, (dialog, percent)
            if dialog:
                admin.button("dialog[open]", "Cancel" if dialog == "add" else "Close").click()
    admin.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("prefix", ["/gateway", "/a/b"])
def test_it_works_under_a_prefix_of_the_proxy_and_of_the_api(browser, tmp_path, prefix):
    path = tmp_path / "contacts.db"
    service = Service(path, CONTACTS_URL_PREFIX="/api/v2")
    try:
        flask(path, "sync", "Queue", "demo/queues.csv")
        with gateway_to(service.port, prefix) as gateway:
            page = Page(browser, gateway.url)
            page.search("sales", "Sales")
            assert {path.split("/")[1] for _, _, path in gateway.asked if "contacts" in path} == {"api"}
            assert browser.get_log("browser") == []
    finally:
        service.stop()


def test_the_picture_of_the_documentation(page):
    page.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1000, "height": 640, "deviceScaleFactor": 1, "mobile": False}
    )
    page.search("john", "Björn Johnson")
    page.until(lambda: all(page.counts()))
    page.type(Keys.ARROW_DOWN * 3 + Keys.ENTER)
    page.until(lambda: page.one("#card h2").text == JOE)
    page.browser.save_screenshot(str(ROOT / "docs" / "page.png"))

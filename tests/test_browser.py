"""A real browser: /docs, behind a proxy that adds a prefix, too; and pages of other origins that call the API."""

import json
import ssl
import subprocess
from http.server import BaseHTTPRequestHandler

import pytest
from conftest import ROOT, Service, free_port, listens
from doors import Nginx, flask
from test_sign_on import http_server

# `make browser` installs it, `make test` does without.
conditions = pytest.importorskip("selenium.webdriver.support.expected_conditions")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait

pytestmark = pytest.mark.slow

SCREENSHOTS = ROOT / "tests" / "screenshots"


@pytest.fixture(params=["", "/gateway"], ids=["direct", "nginx"])
def address(request, service, tmp_path):
    """Where the browser finds the service: directly, or behind nginx under a prefix that the service is not told."""
    if not request.param:
        yield service.url
        return
    port = free_port()
    (tmp_path / "nginx.conf").write_text(
        NGINX.format(folder=tmp_path, port=port, prefix=request.param, url=service.url)
    )
    process = subprocess.Popen(["nginx", "-c", tmp_path / "nginx.conf", "-e", tmp_path / "error.log"])
    try:
        assert listens(process, port)
        yield f"http://127.0.0.1:{port}{request.param}"
    finally:
        process.terminate()
        process.wait(40)


NGINX = """
daemon off;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port};
        location {prefix}/ {{
            proxy_pass {url}/;
        }}
    }}
}}
"""


class Page:
    """The page, as a person uses it."""

    def __init__(self, browser, url):
        self.browser = browser
        self.wait = WebDriverWait(browser, 30)
        browser.get(url)

    def click(self, selector):
        self.wait.until(conditions.element_to_be_clickable(("css selector", selector))).click()

    def element(self, selector):
        return self.wait.until(conditions.presence_of_element_located(("css selector", selector)))

    def authorise(self, value):
        self.click(".scheme-container .authorize")
        self.element("#api_key_value").send_keys(value)
        self.click(".auth-container:has(#api_key_value) .authorize")
        self.click(".btn-done")

    def execute(self, operation):
        """Open an operation, send it as it is, and return the status and the body of its answer."""
        block = f"#operations-contacts-{operation}"
        self.click(f"{block} .opblock-summary-control")
        self.click(f"{block} .execute")
        status = self.element(f"{block} .live-responses-table .response .response-col_status").text
        return status.split()[0], json.loads(self.element(f"{block} .live-responses-table .response .microlight").text)


def test_page_works_and_asks_nobody_else(browser, address):
    page = Page(browser, f"{address}/docs")
    page.authorise("Contact Center Admin")
    status, created = page.execute("createContact")
    assert status == "201"
    assert created["contact"]["name"] == "Some Contact"
    status, found = page.execute("listContacts")
    assert status == "200"
    assert found == {"statusCode": 0, "totalCount": 1, "contacts": [created["contact"]]}

    SCREENSHOTS.mkdir(exist_ok=True)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    browser.set_window_size(1200, height)
    browser.execute_script("window.scrollTo(0, 0)")
    browser.save_screenshot(str(SCREENSHOTS / "docs.png"))

    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert f"{address}/docs" in asked
    # chrome: the browser's own first page.
    assert {url for url in asked if not url.startswith((f"{address}/", "data:", "chrome:"))} == set()
    links = {link.get_attribute("href") for link in browser.find_elements("css selector", "a[href]")}
    assert {link for link in links if not link.startswith(f"{address}/")} == set()
    assert browser.get_log("browser") == []


# Pages of other origins.


class OtherPage(BaseHTTPRequestHandler):
    """A page of another origin."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *args):
        pass


# As web agents of Genesys Web Services ask: by XMLHttpRequest. Returns the status, the JSON and a header.
ASK = """
const [method, url, credentials, headers, body, done] = arguments;
const request = new XMLHttpRequest();
request.open(method, url);
request.withCredentials = credentials;
for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
if (body) request.setRequestHeader("Content-Type", "application/json");
request.onload = () => done([request.status, JSON.parse(request.responseText), request.getResponseHeader("ETag")]);
request.onerror = () => done("refused");
request.send(body && JSON.stringify(body));
"""
AGENTS = (
    "/api/v2/contacts?type=User&includeUsersInBusinessUnits=true&roles=ROLE_AGENT&limit=100"
    "&filterName=NamesOrPhoneNumberMatches&filterParameters=*&sortBy=name&order=Ascending"
)


class Origins:
    """A service that lets the pages of one of two origins call it; both have a page."""

    def __init__(self, folder, allowed, other):
        self.allowed, self.other = (f"https://127.0.0.1:{each.server_port}" for each in (allowed, other))
        self.token = flask(folder / "contacts.db", "token", "create", "ROLE_ADMIN", "agents")
        settings = {"ALLOWED_ORIGINS": self.allowed, "URL_PREFIX": "/api/v2", "GWS_CLIENTS": "on"}
        self.service = Service(
            folder / "contacts.db", **{f"CONTACTS_{name}": value for name, value in settings.items()}
        )


@pytest.fixture
def origins(tmp_path):
    (tmp_path / "nginx").mkdir()
    with http_server(OtherPage) as allowed, http_server(OtherPage) as other:
        running = Origins(tmp_path, allowed, other)
        running.nginx = Nginx(tmp_path / "nginx", running.service.port)
        try:
            for server in (allowed, other):  # with nginx's certificate
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                context.load_cert_chain(tmp_path / "nginx" / "contacts.pem", tmp_path / "nginx" / "contacts.key")
                server.socket = context.wrap_socket(server.socket, server_side=True)
            yield running
        finally:
            running.nginx.stop()
            running.service.stop()


def ask(browser, method, url, credentials=False, headers=None, body=None):
    return browser.execute_async_script(ASK, method, url, credentials, headers or {}, body)


def test_a_page_of_another_origin_calls_the_service(browser, origins):
    token = {"Authorization": f"Bearer {origins.token}"}
    url = origins.service.url
    browser.get(origins.allowed)
    for credentials in (False, True):
        status, answer, tag = ask(browser, "GET", url + AGENTS, credentials, {**token, "ssid": "1", "surl": "x"})
        assert (status, answer) == (200, {"statusCode": 0, "totalCount": 0, "contacts": []})
        assert tag
        status, made, tag = ask(browser, "POST", f"{url}/api/v2/contacts", credentials, token, {"name": "Taxi"})
        assert status == 201
        changes = {"name": "Cab"}
        assert ask(browser, "PUT", made["uri"], credentials, {**token, "If-Match": tag}, changes)[0] == 200
        assert ask(browser, "PUT", made["uri"], credentials, {**token, "If-Match": tag}, changes)[0] == 412
        assert ask(browser, "DELETE", made["uri"], credentials, token)[0] == 200
        # Errors can be read, too.
        assert ask(browser, "GET", f"{url}/api/v2/contacts", credentials)[:2][0] == 401
        # The role is the proxy's to name: not a page's, even on a machine that is trusted.
        assert ask(browser, "GET", f"{url}/api/v2/contacts", credentials, {"X-Role": "Agent"}) == "refused"
        assert ask(browser, "GET", f"{url}/healthz", credentials) == "refused"
    browser.get(origins.other)
    for credentials in (False, True):
        assert ask(browser, "GET", url + AGENTS, credentials, token) == "refused"
        assert ask(browser, "GET", url + AGENTS, credentials) == "refused"


def test_a_page_of_another_origin_calls_the_service_behind_nginx(browser, origins):
    host = f"127.0.0.1:{origins.nginx.port}"
    url = f"https://{host}"
    token = {"Authorization": f"Bearer {origins.token}"}
    # The browser logs in, and keeps name and password for this host.
    browser.get(f"https://bob:{Nginx.PASSWORDS['bob']}@{host}/api/v2/me")
    assert '"userName":"bob"' in browser.page_source
    browser.get(origins.allowed)
    assert ask(browser, "GET", f"{url}/api/v2/me", True)[1]["user"] == {"role": "Agent", "userName": "bob"}
    # With a header that makes the browser ask first: the preflight has no password.
    assert ask(browser, "GET", url + AGENTS, True, {"ssid": "1"})[:2] == [
        200,
        {"statusCode": 0, "totalCount": 0, "contacts": []},
    ]
    assert ask(browser, "POST", f"{url}/api/v2/contacts", True, {}, {"name": "Taxi"})[0] == 403
    # Without credentials, the password is not sent; a token is.
    assert ask(browser, "GET", f"{url}/api/v2/me", False) == "refused"
    assert ask(browser, "GET", f"{url}/api/v2/me", False, token)[1]["user"]["userName"] == "agents"
    assert ask(browser, "POST", f"{url}/api/v2/contacts", False, token, {"name": "Taxi"})[0] == 201
    browser.get(origins.other)
    for credentials, headers in ((True, {}), (True, {"ssid": "1"}), (False, token)):
        assert ask(browser, "GET", url + AGENTS, credentials, headers) == "refused"

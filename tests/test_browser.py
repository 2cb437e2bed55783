"""/docs in a real browser, behind a proxy that adds a prefix."""

import json
import subprocess

import pytest
from conftest import ROOT, free_port, listens

# `make browser` installs it, `make test` does without.
webdriver = pytest.importorskip("selenium.webdriver")
conditions = pytest.importorskip("selenium.webdriver.support.expected_conditions")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait

pytestmark = pytest.mark.slow

SCREENSHOTS = ROOT / "tests" / "screenshots"


@pytest.fixture
def browser(tmp_path):
    """Chromium, which logs what it asks for and what it complains of."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"),
        *("disable-component-update", "disable-sync", "window-size=1200,1600", f"user-data-dir={tmp_path / 'profile'}"),
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


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
    page = Page(browser, f"{address}/")
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

"""Ways into the service: sockets that send raw requests, and a real nginx with the site of deploy/nginx.conf."""

import base64
import json
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from http.server import ThreadingHTTPServer
from typing import NamedTuple

from conftest import ROOT, free_port, listens, run_flask

HOST = "Host: contacts.example.com\r\n"
CLOSE = f"{HOST}Connection: close\r\n"
JSON = "Content-Type: application/json\r\n"
# What no answer may show: the inside of the service.
INSIDE = re.compile(
    rf"""sqlite|peewee|werkzeug|flask|gunicorn/|Traceback|File "|syntax error|no such (table|column)|near "|fts5"""
    rf"""|malformed MATCH|OperationalError|{re.escape(str(ROOT))}|/usr/|\.py\b|contact_search""",
    re.IGNORECASE,
)


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: str


class Door:
    """A way into the service: a port, with TLS or without."""

    def __init__(self, port, tls=False, credentials=""):
        self.port = port
        self.tls = tls
        self.credentials = credentials

    def connect(self, address="127.0.0.1"):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=30, source_address=(address, 0))
        if not self.tls:
            return client
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(client)

    def send(self, request, quiet=30.0):
        """Send raw bytes and return the answers that come until the other side closes, or is quiet for so long."""
        received = b""
        with self.connect() as client:
            with suppress(OSError):  # refused before all of it was sent
                client.sendall(request if isinstance(request, bytes) else request.encode("latin-1"))
            client.settimeout(quiet)
            with suppress(OSError):
                while data := client.recv(1 << 16):
                    received += data
        return [checked(answer, behind_nginx=self.tls) for answer in answers(received)]

    def ask(self, method, target, *headers, body="", version="HTTP/1.1"):
        """Send one request and return its one answer."""
        lines = "".join(f"{header}\r\n" for header in (*self.headers(), *headers))
        length = f"{JSON}Content-Length: {len(body.encode())}\r\n" if body else ""
        request = f"{method} {target} {version}\r\n{CLOSE}{lines}{length}\r\n".encode("latin-1") + body.encode()
        (answer,) = self.send(request)
        return answer

    def headers(self):
        return [self.credentials] if self.credentials else []

    def with_credentials(self, credentials):
        return Door(self.port, self.tls, credentials)


def answers(received):
    """Return what was received, answer by answer."""
    found = []
    while received.startswith(b"HTTP/"):  # what answers HTTP/0.9 has no head
        head, _, rest = received.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in lines)}
        if int(line.split()[1]) == 100:
            received = rest
            continue
        length = int(headers.get("content-length", 0))
        found.append(Answer(int(line.split()[1]), headers, rest[:length].decode(errors="replace")))
        received = rest[length:]
    return found


def checked(answer, behind_nginx):
    """Return an answer that is as all must be: no bug, in the envelope, and nothing of the inside in it.

    Asked directly, gunicorn refuses what is no HTTP in its own words.
    """
    assert answer.status != 500, answer
    if not behind_nginx and answer.headers.get("content-type") == "text/html":
        assert answer.status in {400, 405, 413, 414, 417, 431, 501, 505}, answer
        assert answer.headers["connection"] == "close", answer
        assert not INSIDE.search(answer.body), answer
        return answer
    assert answer.headers.get("x-content-type-options") == "nosniff", answer
    assert "no-store" in answer.headers["cache-control"] or answer.status == 200, answer
    if answer.status >= 400 and answer.body:
        body = json.loads(answer.body)
        assert body["statusCode"] > 0, answer
        assert body["statusMessage"], answer
        assert not INSIDE.search(answer.body), answer
    return answer


@contextmanager
def http_server(handler):
    """Serve on a port of this machine for as long as the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def basic(name, password):
    return f"Authorization: Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def bearer(token):
    return f"Authorization: Bearer {token}"


def flask(path, *arguments, **kwargs):
    """Run a command beside the service, and return what it printed."""
    return run_flask(path, *arguments, check=kwargs.pop("check", True), **kwargs).stdout.strip()


class Nginx:
    """A real nginx with the site of deploy/nginx.conf, in front of a service.

    `login` names the file for logins, `sign_on` the port that it asks; `locations` stand before the service's.
    """

    PASSWORDS = {"alice": "wonderland", "bob": "builder", "mallory": "in the middle"}

    def __init__(self, folder, upstream, patience=10, login="passwords", sign_on=None, locations=""):
        self.folder = folder
        self.port = free_port()
        for name, password in self.PASSWORDS.items():
            made = subprocess.run(["openssl", "passwd", "-6", password], capture_output=True, check=True, text=True)
            with (folder / "contacts.htpasswd").open("a") as file:
                file.write(f"{name}:{made.stdout.strip()}\n")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "contacts.key"]
        subprocess.run(
            ["openssl", "req", "-x509", *key, "-out", "contacts.pem", "-subj", "/CN=localhost"],
            cwd=folder,
            check=True,
            capture_output=True,
        )
        site = (ROOT / "deploy" / "nginx.conf").read_text()
        for written, here in {
            "listen 443 ": f"listen 127.0.0.1:{self.port} ",
            "/etc/ssl/certs/": f"{folder}/",
            "/etc/ssl/private/": f"{folder}/",
            "/etc/nginx/": f"{folder}/",
            "/var/log/nginx/": f"{folder}/",
            "127.0.0.1:8000": f"127.0.0.1:{upstream}",
            " 10s;": f" {patience}s;",
            " 60s;": f" {6 * patience}s;",
        }.items():
            assert written in site
            site = site.replace(written, here)
        (folder / "site.conf").write_text(site.replace("    location / {", f"{locations}    location / {{"))
        logins = (ROOT / "deploy" / f"nginx-{login}.conf").read_text().replace("/etc/nginx/", f"{folder}/")
        if sign_on:
            logins = re.sub("127.0.0.1:[0-9]+", f"127.0.0.1:{sign_on}", logins)
        (folder / "contacts-login.conf").write_text(logins)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
        (folder / "nginx.conf").write_text(
            f"{'user root;' if os.getuid() == 0 else ''} daemon off; worker_processes 1; pid {folder}/pid;"
            f"error_log {folder}/error.log; events {{}} http {{ access_log off; {places} include site.conf; }}"
        )
        self.process = subprocess.Popen(
            ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
        )
        assert listens(self.process, self.port), (folder / "error.log").read_text()
        self.door = Door(self.port, tls=True)
        self.alice, self.bob, self.mallory = (
            self.door.with_credentials(basic(name, password)) for name, password in self.PASSWORDS.items()
        )

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        return "".join(log.read_text() for log in self.folder.glob("*.log"))

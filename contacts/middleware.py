"""Around every request: what a trusted proxy says of the address, the request id, common headers, log line, metrics."""

import logging
import re
from collections.abc import Iterable
from random import getrandbits
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Flask, Response, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from contacts import metrics
from contacts.facts import Facts, facts
from contacts.roles import is_trusted
from contacts.settings import Peers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

# The headers that a trusted proxy may send, and their form; other values are dropped, as they would reach a Location.
FORWARDED = {
    "HTTP_X_FORWARDED_PROTO": re.compile(r"https?"),
    "HTTP_X_FORWARDED_HOST": re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"),
    "HTTP_X_FORWARDED_PREFIX": re.compile(r"(/[A-Za-z0-9._~-]+)+"),
}

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def forwarded(app: "WSGIApplication", trusted: Peers) -> "WSGIApplication":
    """WSGI middleware: Werkzeug's ProxyFix for X-Forwarded-Proto, -Host and -Prefix, from trusted proxies only."""
    # x_for=0: REMOTE_ADDR stays the direct peer, on which trust is decided.
    fixed = ProxyFix(app, x_for=0, x_proto=1, x_host=1, x_prefix=1)

    def call(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if FORWARDED.keys().isdisjoint(environ) or not is_trusted(environ.get("REMOTE_ADDR", ""), trusted):
            return app(environ, start_response)
        for header, form in FORWARDED.items():
            # The last of several values is the proxy's own.
            value = environ.get(header, "").rpartition(",")[2].strip().removesuffix("/")
            environ[header] = value if form.fullmatch(value) else ""
        return fixed(environ, start_response)

    return call


def ampersand(app: "WSGIApplication", contacts_path: str) -> "WSGIApplication":
    """WSGI middleware: /contacts&type=User, as the reference prints its first example, is /contacts?type=User."""

    def call(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path, found, _ = environ["PATH_INFO"].partition("&")
        if found and path.rstrip("/") == contacts_path:
            # The query as it was sent, with its escapes, which PATH_INFO does not have any more.
            decoded = quote(environ["PATH_INFO"], safe="/&=+,*", encoding="latin-1") + f"?{environ['QUERY_STRING']}"
            sent = re.split("&|%26", environ.get("RAW_URI") or decoded, maxsplit=1)[1].replace("?", "&", 1)
            environ = {**environ, "PATH_INFO": path, "QUERY_STRING": sent}
        return app(environ, start_response)

    return call


def begin() -> None:
    """Note what is known of a request at its start."""
    request_id = request.headers.get("X-Request-ID", "")
    if not REQUEST_ID.fullmatch(request_id):
        request_id = f"{getrandbits(64):016x}"  # nosec B311 # it need not be unguessable
    matched = request.url_rule.rule if request.url_rule else "unmatched"
    g.facts = Facts(request_id, request.method, matched, request.remote_addr or "unix")


def finish(response: Response) -> Response:
    """Set the headers of every answer; log and count the request when the answer is sent."""
    known = facts()
    headers = response.headers
    headers.add("X-Request-ID", known.request_id)
    headers.add("X-Content-Type-Options", "nosniff")
    headers.setdefault("Cache-Control", "no-store")
    response.call_on_close(lambda: sent(known, response.status_code))
    return response


def sent(known: Facts, status: int) -> None:
    """Log and count a request whose answer is sent."""
    seconds = perf_counter() - known.began
    metrics.count(known.route, known.method, status, seconds)
    if log.isEnabledFor(logging.INFO):
        fields = {"method": known.method, "route": known.route, "status": status, "ms": round(seconds * 1000, 2)}
        fields |= {"role": known.role, "peer": known.peer, "id": known.request_id}
        log.info("request", extra={"fields": fields | ({"cut": known.interrupted} if known.interrupted else {})})


def init_app(app: Flask) -> None:
    """Register the hooks; first of all, so that they see every request."""
    inner = ampersand(app.wsgi_app, f"{app.config['URL_PREFIX']}/contacts")
    app.wsgi_app = forwarded(inner, app.config["TRUSTED_PROXIES"])  # type: ignore[assignment, method-assign]
    app.before_request(begin)
    app.after_request(finish)

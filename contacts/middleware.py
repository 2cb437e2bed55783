"""What stands around the application: the proxy's word about its address, and an eye on every request."""

import logging
import re
from collections.abc import Iterable, Iterator
from random import getrandbits
from time import perf_counter
from typing import TYPE_CHECKING, Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from contacts import logs, metrics
from contacts.roles import is_trusted
from contacts.settings import Peers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

# The form of what a proxy may say. Another one is not looked at: it would end up in a Location.
FORWARDED = {
    "HTTP_X_FORWARDED_PROTO": re.compile(r"https?"),
    "HTTP_X_FORWARDED_HOST": re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"),
    "HTTP_X_FORWARDED_PREFIX": re.compile(r"(/[A-Za-z0-9._~-]+)+"),
}

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Forwarded:
    """Take scheme, host and prefix from X-Forwarded-Proto, -Host and -Prefix when a trusted proxy sends them."""

    def __init__(self, app: "WSGIApplication", trusted: Peers) -> None:
        self.app = app
        self.trusted = trusted
        # Not REMOTE_ADDR: whose word counts is a matter of the direct peer.
        self.fixed = ProxyFix(app, x_for=0, x_proto=1, x_host=1, x_prefix=1)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        if FORWARDED.keys().isdisjoint(environ) or not is_trusted(environ.get("REMOTE_ADDR", ""), self.trusted):
            return self.app(environ, start_response)
        for header, form in FORWARDED.items():
            # Of several, the last one: the proxy's own.
            value = environ.get(header, "").rpartition(",")[2].strip().removesuffix("/")
            environ[header] = value if form.fullmatch(value) else ""
        return self.fixed(environ, start_response)


class Watched:
    """Give every request an id; log and count it when its answer is out.

    Forbid browsers to guess what an answer is, and everybody to keep one that does not say who may.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        self.app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        began = perf_counter()
        request_id = environ.get("HTTP_X_REQUEST_ID", "")
        if not REQUEST_ID.fullmatch(request_id):
            # Unguessable it need not be. os.urandom would let other threads go first: a twentieth of a small request.
            request_id = f"{getrandbits(64):016x}"  # nosec B311
        environ["contacts.request_id"] = request_id

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            # Flask takes the request out of environ before the body is sent.
            environ["contacts.route"] = logs.route(environ["werkzeug.request"])
            environ["contacts.status"] = int(status[:3])
            headers += (("X-Request-ID", request_id), ("X-Content-Type-Options", "nosniff"))
            if "Cache-Control" not in dict(headers):
                headers.append(("Cache-Control", "no-store"))
            return start_response(status, headers, exc_info)

        return watched(self.app(environ, start), environ, began)


def watched(body: Iterable[bytes], environ: "WSGIEnvironment", began: float) -> Iterator[bytes]:
    """Pass the body on; at its end, also one that comes too soon, log and count the request."""
    cut = ""
    try:
        for block in body:  # noqa: UP028 - it would close the body too, which comes below
            yield block
    except GeneratorExit:
        cut = "by the client"
        raise
    except Exception as error:
        cut = f"{type(error).__name__}: {error}"
        raise
    finally:
        if hasattr(body, "close"):
            body.close()
        answered(environ, perf_counter() - began, cut)


def answered(environ: "WSGIEnvironment", seconds: float, cut: str) -> None:
    """Log and count one request."""
    method, route, status = environ["REQUEST_METHOD"], environ["contacts.route"], environ["contacts.status"]
    metrics.count(route, method, status, seconds)
    if log.isEnabledFor(logging.INFO):
        fields = {
            "method": method,
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 2),
            "role": environ.get("contacts.role", "-"),
            "peer": environ.get("REMOTE_ADDR") or "unix",
            "id": environ["contacts.request_id"],
        }
        if cut:
            fields["cut"] = cut
        logs.event(log, "request", fields)


def init_app(app: Flask) -> None:
    """Stand around the application."""
    app.wsgi_app = Watched(Forwarded(app.wsgi_app, app.config["TRUSTED_PROXIES"]))  # type: ignore[method-assign]

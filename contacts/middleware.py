"""What stands around the application: the proxy's word about its address."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from contacts.roles import is_trusted
from contacts.settings import Peers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# The form of what a proxy may say. Another one is not looked at: it would end up in a Location.
FORWARDED = {
    "HTTP_X_FORWARDED_PROTO": re.compile(r"https?"),
    "HTTP_X_FORWARDED_HOST": re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"),
    "HTTP_X_FORWARDED_PREFIX": re.compile(r"(/[A-Za-z0-9._~-]+)+"),
}


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


def init_app(app: Flask) -> None:
    """Stand around the application."""
    app.wsgi_app = Forwarded(app.wsgi_app, app.config["TRUSTED_PROXIES"])  # type: ignore[method-assign]

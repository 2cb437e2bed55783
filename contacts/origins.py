"""Pages of other origins that may call the API (CORS: https://fetch.spec.whatwg.org/#http-cors-protocol)."""

import re

from flask import Flask, Response, current_app, request
from flask_cors import CORS

from contacts.settings import api_path

# What clients of Genesys Web Services send, and what this API reads; not the role header: it is the proxy's.
REQUEST_HEADERS = [
    *("X-Requested-With", "Content-Type", "Accept", "Origin", "Cookie", "Authorization", "ssid", "surl"),
    *("ContactCenterId", "X-CSRF-TOKEN", "If-Match", "If-None-Match", "X-Request-ID"),
]


def is_preflight() -> bool:
    """Return whether a browser asks if a page of an allowed origin may send a request: that takes no role."""
    return (
        request.method == "OPTIONS"
        and "Access-Control-Request-Method" in request.headers
        and request.headers.get("Origin", "").lower() in current_app.config["ALLOWED_ORIGINS"]
    )


def init_app(app: Flask) -> None:
    """Tell browsers what pages of the allowed origins may do, with credentials; nothing of any other page."""
    origins = app.config["ALLOWED_ORIGINS"]
    if not origins:
        return
    paths = api_path(app.config)

    @app.after_request
    def vary(response: Response) -> Response:
        """Say of each answer of the API that it depends on the origin, also where it allows none."""
        if paths.match(request.path):
            response.vary.add("Origin")
        return response

    CORS(
        app,
        resources=paths,
        # As patterns: of texts, flask-cors takes those with brackets (IPv6) for patterns of its own.
        origins=[re.compile(rf"{re.escape(origin)}\Z", re.IGNORECASE) for origin in origins],
        methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
        allow_headers=REQUEST_HEADERS,
        expose_headers=["ETag", "Location", "Retry-After", "WWW-Authenticate", "X-Request-ID"],
        supports_credentials=True,
        max_age=600,  # seconds for which a browser may keep what it was allowed
        always_send=False,  # nothing to a request without an Origin
        intercept_exceptions=False,  # contacts/errors.py answers errors
    )

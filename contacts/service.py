"""Flask, doing no more for a request to the API than it needs.

There are no sessions, signals, coroutines or hooks but those that run before a request, and most addresses need no
parsing. Other requests, and all errors, go Flask's own way.
"""

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from flask import Flask, Request
from flask.ctx import RequestContext
from flask.globals import _cv_app, _cv_request
from flask.sessions import NullSession
from werkzeug.routing import MapAdapter, Rule

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

NO_SESSION = NullSession()


class Answer:
    """A complete answer of the API's, which Flask passes on as it is."""

    def __init__(self, status: str, headers: list[tuple[str, str]], body: Iterable[bytes] = ()) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        start_response(self.status, self.headers)
        return () if environ["REQUEST_METHOD"].upper() == "HEAD" else self.body


class Route(NamedTuple):
    """What a path and a method lead to: a rule, and the method of a view that answers, or None where Flask finds it."""

    rule: Rule
    handler: Callable[..., "WSGIApplication"] | None


def current() -> Request:
    """Return the request: what `request` stands for, in a fifth of the time."""
    return _cv_request.get().request


class Context(RequestContext):
    """What `request` and its like stand for: without a session, and with an address that is bound when asked for."""

    handler: Callable[..., "WSGIApplication"] | None = None

    def __init__(self, app: "Service", environ: "WSGIEnvironment", request: Request | None = None, *_: Any) -> None:
        self.app: Service = app
        self.request = request or app.request_class(environ)
        self.flashes = None
        self._session = NO_SESSION
        self._after_request_functions = []

    @cached_property
    def url_adapter(self) -> MapAdapter | None:  # type: ignore[override]
        """Return what matches and makes addresses."""
        return self.app.create_url_adapter(self.request)

    def match_request(self) -> None:
        """Find the rule of the request's path by looking it up, when that is possible."""
        request, routes = self.request, self.app.routes
        # As http://host has no path, though request.path has one.
        path, method = request.environ["PATH_INFO"] and request.path, request.method
        if route := routes.get((path, method, False)):
            request.view_args = {}
        else:
            before, _, last = path.rpartition("/")
            route = routes.get((before, method, True))
            if not route or not last:
                super().match_request()
                return
            request.view_args = dict.fromkeys(route.rule.arguments, last)
        request.url_rule, self.handler = route

    def push(self) -> None:
        """Begin to stand for the request."""
        self.bound = _cv_request.set(self), _cv_app.set(self.app.app_context())
        self.match_request()

    def pop(self, exc: BaseException | None = None) -> None:
        """Stand for it no more."""
        request, app = self.bound
        _cv_request.reset(request)
        _cv_app.reset(app)
        # The request knows its environ: together they would stay until Python looks for such circles.
        self.request.environ["werkzeug.request"] = None


class Service(Flask):
    """The application."""

    def request_context(self, environ: "WSGIEnvironment") -> Context:
        """Return the context of a request."""
        return Context(self, environ)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is: there are no coroutines."""
        return func

    @cached_property
    def routes(self) -> dict[tuple[str, str, bool], Route]:
        """Return the routes that can be looked up, by path and method, and whether an argument follows the path."""
        return {
            (found[1], method, bool(found[2])): Route(rule, self.handler(rule, method))
            for rule in self.url_map.iter_rules()
            if (found := re.fullmatch(r"([^<]*?)(/<\w+>)?", rule.rule))
            for method in rule.methods or ()
        }

    def handler(self, rule: Rule, method: str) -> Callable[..., "WSGIApplication"] | None:
        """Return the method of the API's view that answers, or None for what is not of the API."""
        view_class = getattr(self.view_functions[rule.endpoint], "view_class", None)
        name = "get" if method == "HEAD" else method.lower()
        return getattr(view_class(), name, None) if view_class else None

    def full_dispatch_request(self) -> "WSGIApplication":  # type: ignore[override]
        """Return the answer to the request that is bound."""
        context = cast(Context, _cv_request.get())
        if context.handler is None:
            return super().full_dispatch_request()
        try:
            for check in self.before_request_funcs[None]:
                check()
            return context.handler(**context.request.view_args or {})
        except Exception as error:
            return self.finalize_request(self.handle_user_exception(error))

    def wsgi_app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        context = self.request_context(environ)
        context.push()
        try:
            try:
                answer = self.full_dispatch_request()
            except Exception as error:
                answer = self.handle_exception(error)
            return answer(environ, start_response)
        finally:
            context.pop()

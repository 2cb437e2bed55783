"""The directory's own page (/): plain HTML, CSS and JavaScript that use nothing but the API."""

from pathlib import Path

from flask import Blueprint, Response, abort, current_app, make_response, render_template, request, send_from_directory

from contacts import openapi

FOLDER = Path(__file__).parent
FILES = {file.name for file in FOLDER.iterdir() if file.suffix in {".css", ".js", ".svg"}}

blp = Blueprint("page", __name__, template_folder=FOLDER)


@blp.get("/")
def page() -> Response:
    """Show the page; it reads from its own HTML where the API is, relative to it."""
    api = f".{current_app.config['URL_PREFIX']}/"
    response = make_response(render_template("index.html", api=api))
    response.cache_control.no_cache = True
    response.add_etag()
    response.make_conditional(request)
    return response


@blp.get("/page/<name>")
def file(name: str) -> Response:
    """Send one of the page's files; a browser keeps it, and asks each time whether it is still the same."""
    if name not in FILES:
        abort(404)
    return send_from_directory(FOLDER, name, max_age=None)


@blp.after_request
def protect(response: Response) -> Response:
    """Let the page load nothing from elsewhere, and no other page show it."""
    response.headers["Content-Security-Policy"] = openapi.POLICY.replace(" data:", "")
    response.headers["Referrer-Policy"] = "no-referrer"  # the address has what was looked for
    return response

"""The pages: the directory's own (/), of plain files that use nothing but the API, and Swagger UI (/docs)."""

from typing import Any

from flask import Blueprint, Response, current_app, redirect, render_template, request, send_from_directory

blp = Blueprint("page", __name__, template_folder=".", static_folder="static", static_url_path="/page")
docs = Blueprint("docs", "flask_swagger_ui", static_folder="dist", static_url_path="/docs")

# https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Content-Security-Policy
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'{data}; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@blp.get("/")
def page() -> Any:
    """Show the page; it reads from its own HTML where the API is, relative to it."""
    response = Response(render_template("index.html", api=f".{current_app.config['URL_PREFIX']}/"))
    response.cache_control.no_cache = True
    response.add_etag()
    return response.make_conditional(request)


@docs.get("/docs")
def docs_page() -> Any:
    """Show the document in Swagger UI; its links are relative to the path without a slash at the end."""
    return redirect("../docs") if request.path.endswith("/") else render_template("docs.html")


@docs.get("/docs/start.js")
def script() -> Response:
    """Start Swagger UI; the page's policy allows no script inside it."""
    return send_from_directory("page", "docs.js")


@blp.after_request
@docs.after_request
def protect(response: Response) -> Response:
    """Let the pages load nothing from elsewhere, and no other page show them."""
    data = " data:" if request.blueprint == "docs" else ""  # Swagger UI has images in its text
    response.headers["Content-Security-Policy"] = POLICY.format(data=data)
    response.headers["Referrer-Policy"] = "no-referrer"  # the address has what was looked for
    return response

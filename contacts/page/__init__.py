"""The directory's own page (/): plain HTML, CSS and JavaScript that use nothing but the API."""

from flask import Blueprint, Response, current_app, make_response, render_template, request

from contacts import openapi

# The page has no images in its text, as Swagger UI has.
POLICY = openapi.POLICY.replace(" data:", "")

blp = Blueprint("page", __name__, template_folder=".", static_folder="static", static_url_path="/page")


@blp.get("/")
def page() -> Response:
    """Show the page; it reads from its own HTML where the API is, relative to it."""
    api = f".{current_app.config['URL_PREFIX']}/"
    response = make_response(render_template("index.html", api=api))
    response.cache_control.no_cache = True
    response.add_etag()
    response.make_conditional(request)
    return response


@blp.after_request
def protect(response: Response) -> Response:
    """Let the page load nothing from elsewhere, and no other page show it."""
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"  # the address has what was looked for
    return response

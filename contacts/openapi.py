"""The document of the API, and the page that shows it (/docs). Its constant parts stand in document.json."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import flask_swagger_ui
from apispec import BasePlugin
from flask import Blueprint, Flask, Response, redirect, request
from flask_smorest import Api
from marshmallow import fields

from contacts import gws
from contacts.schemas import ContactChanges, ContactSchema

FOLDER = Path(__file__).parent


# The headers of answers, by their names among the components of document.json.
READ_HEADERS = {"ETag": "ETAG", "Cache-Control": "CACHE_CONTROL"}
WRITE_HEADERS = {"ETag": "ETAG"}


class OperationPlugin(BasePlugin):
    """apispec plugin: adds the headers and errors that follow from the method of an operation on the contacts."""

    # What a method answers beside its success, and what each with a body does.
    STATUSES = {"get": [304], "post": [403], "put": [403, 412], "delete": [403, 412]}
    BODY_STATUSES = [400, 413, 415]
    ALWAYS = [401, 422, 500, 503]
    CONDITIONS = {"get": "IF_NONE_MATCH", "put": "IF_MATCH", "delete": "IF_MATCH"}

    def operation_helper(self, path: str | None = None, operations: dict[str, Any] | None = None, **_: Any) -> None:
        """Complete the operations of a path."""
        for method, operation in (operations or {}).items():
            statuses = self.ALWAYS + (self.BODY_STATUSES if "requestBody" in operation else [])
            if path and not path.endswith("/me"):
                statuses = statuses + self.STATUSES[method]
                if method in self.CONDITIONS:
                    operation.setdefault("parameters", []).append(self.CONDITIONS[method])
            said = {str(status) for status in operation["responses"]}
            names = {str(status): HTTPStatus(status).name for status in statuses}
            operation["responses"] |= {status: name for status, name in names.items() if status not in said}


class ContactsApi(Api):
    """flask-smorest with the error schema of Genesys Web Services."""

    ERROR_SCHEMA = "Error"


def parameter_example(_: Any, field: fields.Field, *, ret: dict[str, Any]) -> dict[str, Any]:
    """Document a parameter's example beside its schema, and which parameters take commas."""
    ret["schema"].pop("writeOnly", None)  # apispec says so of fields that are only read from requests
    found = {"example": ret["schema"].pop("example")} if "example" in ret["schema"] else {}
    return {**found, "explode": False} if field.metadata.get("commas") else found


def init_app(app: Flask) -> ContactsApi:
    """Return flask-smorest's Api, whose document has the constant parts as well."""
    constant = json.loads((FOLDER / "document.json").read_text(encoding="utf-8"))
    constant["components"]["securitySchemes"]["role"]["name"] = app.config["ROLE_HEADER"]
    if app.config["ROLES"]:
        described = (
            "Groups, with commas between, as CONTACTS_ROLES maps them to roles; of the proxies that are trusted."
        )
        constant["components"]["securitySchemes"]["role"]["description"] = described
    plugins: list[BasePlugin] = [OperationPlugin()]
    if app.config["GWS_CLIENTS"]:
        gws.describe(constant["components"])
        plugins.append(gws.DocumentPlugin())
    api = ContactsApi(app, spec_kwargs={**constant, "extra_plugins": plugins})
    del api.spec.components.schemas["PaginationMetadata"]  # flask-smorest's paging is not used
    api.ma_plugin.converter.add_parameter_attribute_function(parameter_example)
    api.spec.components.schema("Contact", schema=ContactSchema)
    api.spec.components.schema("SelectedContact", schema=ContactSchema(partial=True))
    # marshmallow has no such limit.
    api.spec.components.schema("ContactChanges", {"minProperties": 1}, schema=ContactChanges)
    return api


PAGE = (FOLDER / "swagger/index.html").read_text(encoding="utf-8")
SCRIPT = (FOLDER / "swagger/start.js").read_text(encoding="utf-8")

blp = Blueprint(
    "docs", __name__, static_folder=Path(flask_swagger_ui.__file__).parent / "dist", static_url_path="/docs"
)

# https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Content-Security-Policy
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@blp.get("/docs")
def docs_page() -> Any:
    """Show the document in Swagger UI; its links are relative to the path without a slash at the end."""
    if request.path.endswith("/"):
        return redirect("../docs")
    return Response(PAGE, mimetype="text/html")


@blp.get("/docs/start.js")
def script() -> Response:
    """Start Swagger UI; the page's policy allows no script inside it."""
    return Response(SCRIPT, mimetype="text/javascript")


@blp.after_request
def protect(response: Response) -> Response:
    """Let the page load nothing from elsewhere, and no other page show it."""
    response.headers["Content-Security-Policy"] = POLICY
    return response

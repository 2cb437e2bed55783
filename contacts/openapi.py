"""The document of the API. Its constant parts stand in document.json."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

from apispec import BasePlugin
from flask import Flask
from flask_smorest import Api
from marshmallow import fields

from contacts import gws
from contacts.attributes import ATTRIBUTES
from contacts.schemas import documented

# The headers of answers, by their names among the components of document.json.
READ_HEADERS = {"ETag": "ETAG", "Cache-Control": "CACHE_CONTROL"}
WRITE_HEADERS = {"ETag": "ETAG"}


class OperationPlugin(BasePlugin):
    """apispec plugin: adds the headers and errors that follow from the method of an operation on the contacts."""

    # What a method answers beside its success.
    STATUSES = {"get": [304], "post": [403], "put": [403, 412], "delete": [403, 412]}
    CONDITIONS = {"get": "IF_NONE_MATCH", "put": "IF_MATCH", "delete": "IF_MATCH"}

    def operation_helper(self, path: str | None = None, operations: dict[str, Any] | None = None, **_: Any) -> None:
        """Complete the operations of a path."""
        for method, operation in (operations or {}).items():
            statuses = [401, 422, 500, 503, *([400, 413, 415] if "requestBody" in operation else [])]
            if path and not path.endswith("/me"):
                statuses += self.STATUSES[method]
                if method in self.CONDITIONS:
                    operation.setdefault("parameters", []).append(self.CONDITIONS[method])
            for status in statuses:
                operation["responses"].setdefault(status, HTTPStatus(status).name)


def parameter_example(_: Any, field: fields.Field, *, ret: dict[str, Any]) -> dict[str, Any]:
    """Document a parameter's example beside its schema, and which parameters take commas."""
    ret["schema"].pop("writeOnly", None)  # apispec says so of fields that are only read from requests
    found = {"example": ret["schema"].pop("example")} if "example" in ret["schema"] else {}
    return {**found, "explode": False} if field.metadata.get("commas") else found


def init_app(app: Flask) -> Api:
    """Return flask-smorest's Api, whose document has the constant parts as well."""
    constant = json.loads(Path(__file__).with_name("document.json").read_text(encoding="utf-8"))
    schemas = constant["components"]["schemas"]
    for name in ("Contact", "SelectedContact"):
        schemas[name]["properties"] = {each: documented(each) for each in ATTRIBUTES}
    schemas["Contact"]["required"] = [name for name, each in ATTRIBUTES.items() if each.required]
    role = constant["components"]["securitySchemes"]["role"]
    role["name"] = app.config["ROLE_HEADER"]
    if app.config["ROLES"]:
        groups = "Groups, with commas between, as CONTACTS_ROLES maps them to roles"
        role["description"] = f"{groups}; of the proxies that are trusted."
    plugins = [OperationPlugin(), *([gws.DocumentPlugin()] if app.config["GWS_CLIENTS"] else [])]
    api = Api()
    api.ERROR_SCHEMA = "Error"  # of document.json
    api.init_app(app, spec_kwargs={**constant, "extra_plugins": plugins})
    del api.spec.components.schemas["PaginationMetadata"]  # flask-smorest's paging is not used
    api.ma_plugin.converter.add_parameter_attribute_function(parameter_example)
    return api

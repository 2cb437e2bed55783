"""The document of the API (/openapi.json), and the page that shows it (/docs)."""

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import flask_swagger_ui
from flask import Blueprint, Flask, Response, redirect
from flask_smorest import Api
from marshmallow import fields

from contacts.errors import LONGEST_BODY, MESSAGES, RETRY_AFTER, UNAVAILABLE, StatusCode
from contacts.schemas import ContactChanges, Listed

DESCRIPTION = f"""\
The contact directory of a contact centre, through the Contacts API of Genesys Web Services: agents find whom to
transfer to among Users, Queues and Custom contacts; administrators write the Custom ones.

Every answer is JSON with a `statusCode`: 0 on success; in an error the number that says what is wrong, with a
`statusMessage` for the person who reads it. A request that fails changes nothing. Parameters and attributes that an
operation does not list are refused.

HEAD is answered as GET, without the body; OPTIONS with the header `Allow`; other methods than those listed with 405.
A body is JSON of {LONGEST_BODY // 1024} KiB at most.
"""

USER = {
    "id": "00000000006a0b3eb57387d2b79d756c",
    "name": "Joe Johnson",
    "type": "User",
    "phoneNumber": "15002",
    "userName": "joej",
    "firstName": "Joe",
    "lastName": "Johnson",
    "employeeId": "E-1000",
}
QUEUE = {"id": "00000000010e01af229c39b0bb2e0148", "name": "Support", "type": "Queue", "phoneNumber": "8003"}
NEW = {"name": "Some Contact", "type": "Custom", "phoneNumber": "xxx-xxx-xxxx"}
CUSTOM = {"id": "00000000010f7f59112af024edf8f046", **NEW}
CHANGES = {"phoneNumber": "1-800-FLOWERS"}
CHANGES_WITH_ID = {"id": CUSTOM["id"], **CHANGES}
DONE: dict[str, Any] = {"statusCode": 0}
FOUND = {**DONE, "totalCount": 3, "contacts": [USER, CUSTOM, QUEUE]}
ONE = {**DONE, "contact": USER}
CREATED = {**DONE, "contact": CUSTOM}
CHANGED = {**DONE, "contact": CUSTOM | CHANGES}

TAG = '"2f1c8a0b63d9e475"'

# Headers of answers: name to description and example.
HEADERS = {
    "ETag": ("The state that was answered, for If-None-Match and, of one contact, If-Match.", TAG),
    "Cache-Control": ("The client alone may keep what it read, and asks again each time.", "private, no-cache"),
    "Location": ("Where the new contact is.", f"/contacts/{CUSTOM['id']}"),
    "WWW-Authenticate": ("How to say who asks (RFC 6750).", 'Bearer realm="contacts"'),
    "Retry-After": ("Try again after so many seconds.", RETRY_AFTER),
    "Allow": ("With 405: the methods that the path takes.", "DELETE, GET, HEAD, OPTIONS, PUT"),
}

# Headers of requests, likewise.
CONDITIONS = {
    "If-None-Match": ("ETags of what the client has, or `*`: while one of them is current, the answer is 304.", TAG),
    "If-Match": ("The ETag of the contact that is to change: when it has changed meanwhile, the answer is 412.", TAG),
}

# The {id} in a path.
ID = {
    "in": "path",
    "name": "id",
    "description": "The id of the contact, ignoring case.",
    "schema": {"type": "string", "pattern": "^[0-9A-Fa-f]{32}$"},
    "example": CUSTOM["id"],
}


def headers(*names: str) -> dict[str, str]:
    """Return the headers of an answer, as the document refers to them."""
    return {name: component(name) for name in names}


def component(name: str) -> str:
    """Return the name in the document of a header, parameter or status."""
    return name.upper().replace("-", "_")


READ = headers("ETag", "Cache-Control")


def failed(status_code: StatusCode, message: str, **errors: list[str]) -> dict[str, Any]:
    """Return the example of an error."""
    body = {"statusCode": int(status_code), "statusMessage": message}
    return {**body, "errors": errors} if errors else body


def wrong(status_code: StatusCode, name: str, reason: str) -> dict[str, Any]:
    """Return the example of an error in one attribute or parameter."""
    return failed(status_code, f"{name}: {reason}", **{name: [reason]})


# What an operation answers when it does not succeed: HTTP status to description, headers and examples of the body.
ERRORS: dict[int | str, tuple[str, dict[str, str], dict[str, Any]]] = {
    304: ("The client has the current state.", READ, {}),
    400: (
        "The body is not JSON.",
        {},
        {"malformed": failed(StatusCode.INVALID, "The body is not valid JSON: it is nested too deeply.")},
    ),
    401: (
        "The request has no role that is believed.",
        headers("WWW-Authenticate"),
        {
            "token": failed(StatusCode.UNAUTHENTICATED, "The bearer token is not known here, or was revoked."),
            "header": failed(StatusCode.UNAUTHENTICATED, "The header X-Role names no role; there are: …"),
        },
    ),
    403: (
        "The role may not write, or the contact is a User or Queue; the metrics are not for this peer.",
        {},
        {
            "role": failed(StatusCode.ROLE, "The role Agent may read the contacts; writing takes …"),
            "contact": failed(StatusCode.READ_ONLY_CONTACT, "This contact is a User: the directory sync writes it, …"),
        },
    ),
    404: (
        "There is no such contact.",
        {},
        {"contact": failed(StatusCode.NOT_FOUND, "There is no contact with this id.")},
    ),
    405: (
        "The path does not take this method.",
        headers("Allow"),
        {"method": failed(StatusCode.INVALID, MESSAGES[405].format(method="PATCH"))},
    ),
    412: (
        "The contact is not the one that If-Match names.",
        {},
        {"changed": failed(StatusCode.INVALID, "The contact has changed since you read it (If-Match); read it again.")},
    ),
    413: (
        "The body is too large.",
        {},
        {"large": failed(StatusCode.INVALID, MESSAGES[413].format(limit=LONGEST_BODY))},
    ),
    415: ("The body does not claim to be JSON.", {}, {"type": failed(StatusCode.INVALID, MESSAGES[415])}),
    422: (
        "Attributes or parameters are wrong.",
        {},
        {
            "missing": wrong(StatusCode.MISSING, "name", "A contact needs one."),
            "unknown": wrong(StatusCode.INVALID, "nmae", "Unknown; there are: …"),
            "range": wrong(StatusCode.RANGE, "limit", "Give a whole number, 1 or more."),
            "readOnly": wrong(StatusCode.READ_ONLY_ATTRIBUTE, "userName", "Clients cannot write this."),
        },
    ),
    500: ("The service has a defect.", {}, {"defect": failed(StatusCode.INTERNAL, MESSAGES[500])}),
    503: (
        "The directory is busy, or its disk is full.",
        headers("Retry-After"),
        {"busy": failed(StatusCode.INTERNAL, f"{next(iter(UNAVAILABLE.values()))} Nothing was changed; try again.")},
    ),
    "default": (
        "Any other error: another method (405, with Allow), or what the server refuses before the operation is known "
        "(400, 408, 414, 431).",
        headers("Allow"),
        {"method": failed(StatusCode.INVALID, MESSAGES[405].format(method="PATCH"))},
    ),
}

# What stands beside the contacts, without a role or a prefix: endpoint to method of clients, summary, success, errors.
JSON_DONE = {"application/json": {"schema": "Done", "example": DONE}}
METRICS = '# TYPE contacts_directory_contacts gauge\ncontacts_directory_contacts{type="Queue"} 20.0\n'
SERVICE: dict[str, tuple[str, str, dict[str, Any], tuple[int, ...]]] = {
    "healthz": ("isAlive", "Tell that the service runs.", JSON_DONE, (405,)),
    "readyz": ("isReady", "Tell that contacts can be read and written.", JSON_DONE, (405, 503)),
    "metrics": (
        "getMetrics",
        "Tell Prometheus what was counted; for this machine and the service's trusted peers.",
        {"text/plain": {"schema": {"type": "string"}, "example": METRICS}},
        (403, 405, 503),
    ),
}

# What every operation on the contacts can answer.
ALWAYS = (401, 422, 500, 503)


def operation(name: str, *statuses: int, condition: str | None = None) -> Callable[[Any], Any]:
    """Document what a view's other decorators do not say.

    `name` is that of the method in generated clients, `statuses` are those it can answer beside its success and
    ALWAYS, `condition` is the header it looks at.
    """

    def decorate(view: Any) -> Any:
        documented = view._apidoc
        # flask-smorest's own 422 would come first.
        documented["arguments"] = {
            "parameters": [*documented["arguments"]["parameters"], *([component(condition)] if condition else [])]
        }
        answers = {status: response_name(status) for status in (*sorted({*statuses, *ALWAYS}), "default")}
        documented["manual_doc"] = {"operationId": name, "responses": answers}
        return view

    return decorate


def response_name(status: object) -> str:
    """Return the name in the document of an answer; flask-smorest uses the same."""
    return HTTPStatus(status).name if isinstance(status, int) else Api.DEFAULT_ERROR_RESPONSE_NAME


def parameter(_: Any, field: fields.Field, *, ret: dict[str, Any]) -> dict[str, Any]:
    """Document a parameter's example beside its schema, and which ones take commas."""
    found = {"example": ret["schema"].pop("example")} if "example" in ret["schema"] else {}
    return {**found, "explode": False} if isinstance(field, Listed) else found


def init_app(app: Flask, api: Api) -> None:
    """Put into the document what its operations refer to, and serve the page."""
    app.register_blueprint(page)
    parts = api.spec.components
    # flask-smorest's pages, which are not used here.
    del parts.schemas["PaginationMetadata"]
    api.ma_plugin.converter.add_parameter_attribute_function(parameter)
    for name, (description, example) in HEADERS.items():
        header = {"description": description, "schema": {"type": "string"}, "example": example}
        parts.header(component(name), header, lazy=True)
    for name, (description, example) in CONDITIONS.items():
        condition = {"name": name, "description": description, "schema": {"type": "string"}, "example": example}
        parts.parameter(component(name), "header", condition, lazy=True)
    for status, (description, names, examples) in ERRORS.items():
        answer: dict[str, Any] = {"description": description, "headers": names}
        if examples:
            shown = {name: {"value": example} for name, example in examples.items()}
            answer["content"] = {"application/json": {"schema": api.ERROR_SCHEMA, "examples": shown}}
        parts.response(response_name(status), answer, lazy=True)
    # What marshmallow does not know.
    parts.schema("ContactChanges", {"minProperties": 1}, schema=ContactChanges)
    api.spec.tag({"name": "service", "description": "For those who watch over the service."})
    for endpoint, (name, summary, content, statuses) in SERVICE.items():
        answers = {200: {"description": "OK", "content": content}}
        answers |= {status: response_name(status) for status in (*statuses, 500, "default")}  # type: ignore[misc]
        asked = {"operationId": name, "summary": summary, "tags": ["service"], "security": [], "responses": answers}
        (rule,) = app.url_map.iter_rules(endpoint)
        api.spec.path(rule=rule, operations={"get": asked})
    parts.security_scheme(
        "token",
        {"type": "http", "scheme": "bearer", "description": "Made by `flask token create`; decides alone when sent."},
    )
    parts.security_scheme(
        "role",
        {
            "type": "apiKey",
            "in": "header",
            "name": app.config["ROLE_HEADER"],
            "description": "`Contact Center Admin` or `Agent`; believed from the proxies that the service trusts.",
        },
    )


# The rest of the document. Its URL is the service's as well: relative to it, the server is right behind any proxy.
OPTIONS = {
    "info": {"description": DESCRIPTION, "license": {"name": "MIT", "identifier": "MIT"}},
    "servers": [{"url": ".", "description": "Where this document is."}],
    "security": [{"token": []}, {"role": []}],
}

page = Blueprint(
    "docs", __name__, static_folder=Path(flask_swagger_ui.__file__).parent / "dist", static_url_path="/docs"
)

# All addresses are relative: the page works under any prefix.
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Contacts</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<script defer src="docs/swagger-ui-bundle.js"></script>
<script defer src="docs/start.js"></script>
</head>
<body><div id="swagger-ui"></div></body>
</html>
"""

# As parameters' examples, Swagger UI would send them; of the licence, it would make a link to another host. With a
# validatorUrl, it would ask that host about the document.
START = """\
const shown = (text) => {
  const spec = JSON.parse(text);
  delete spec.info.license;
  const operations = Object.values(spec.paths).flatMap(Object.values);
  const parameters = operations.flatMap((operation) => operation.parameters ?? []);
  for (const parameter of [...parameters, ...Object.values(spec.components.parameters)]) {
    if (!parameter.required && "example" in parameter) {
      parameter.description += ` Example: \\`${parameter.example}\\``;
      delete parameter.example;
    }
  }
  return JSON.stringify(spec);
};

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  validatorUrl: null,
  tryItOutEnabled: true,
  plugins: [
    () => ({ statePlugins: { spec: { wrapActions: { updateSpec: (next) => (text) => next(shown(text)) } } } }),
  ],
});
"""

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}


@page.get("/")
def start() -> Any:
    """Send who looks at the service to its documentation."""
    return redirect("docs")


@page.get("/docs")
def show() -> Response:
    """Show the document in Swagger UI, which is served from here."""
    return Response(PAGE, mimetype="text/html")


@page.get("/docs/start.js")
def script() -> Response:
    """Start Swagger UI: a file of its own, as the page's policy allows no script inside it."""
    return Response(START, mimetype="text/javascript")


@page.after_request
def protect(response: Response) -> Response:
    """Let the page load nothing from elsewhere, and nobody else show it."""
    response.headers["Content-Security-Policy"] = "; ".join(f"{name} {value}" for name, value in POLICY.items())
    return response

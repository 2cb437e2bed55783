"""openapi.json: valid, whole, and what the service does; conftest.py holds every answer of all other tests to it."""

import json
import re

import pytest
from conftest import Document, document, started
from openapi_spec_validator import validate

from contacts import imports, parameters
from contacts.errors import StatusCode

# What is not of the API: the pages and the document.
UNDOCUMENTED = {"/", "/page/<path:filename>", "/docs", "/docs/start.js", "/docs/<path:filename>", "/openapi.json"}

# What stands beside the contacts, without a role and a prefix.
SERVICE = {"/healthz", "/readyz", "/metrics"}

ALWAYS = {"401", "422", "500", "503", "default"}
BODY = {"400", "413", "415"}
ANSWERS = {
    "listContacts": {"200", "304"},
    "createContact": {"201", "403"} | BODY,
    "updateContactById": {"200", "403", "404", "412"} | BODY,
    "deleteContactById": {"200", "403", "404", "412"},
    "getContact": {"200", "304", "404"},
    "updateContact": {"200", "403", "404", "412"} | BODY,
    "deleteContact": {"200", "403", "404", "412"},
}
QUERIES = {
    "listContacts": parameters.ListQuery,
    "deleteContactById": parameters.IdQuery,
    "getContact": parameters.OneQuery,
    "importContacts": imports.ImportQuery,
}
CONDITIONS = {
    "listContacts": "If-None-Match",
    "getContact": "If-None-Match",
    **dict.fromkeys(("updateContactById", "deleteContactById", "updateContact", "deleteContact"), "If-Match"),
}


@pytest.fixture
def spec(app):
    return Document(app).spec


def operations(spec):
    """The operations of the document: path, method, operation and all of its parameters."""
    for path, item in spec["paths"].items():
        common = item.get("parameters", [])
        for method in item.keys() - {"parameters"}:
            operation = item[method]
            yield path, method, operation, [*common, *operation.get("parameters", [])]


def test_is_valid(spec):
    validate(spec)


def test_command_writes_what_is_served(app, flask, tmp_path):
    flask("openapi", "write", str(tmp_path / "openapi.json"))
    served = app.test_client().get("/openapi.json")
    assert (tmp_path / "openapi.json").read_text(encoding="utf-8") == f"{served.text}\n"


@pytest.mark.parametrize("prefix", ["", "/api/v2"])
def test_every_route_and_method_is_there(prefix, path, new_database):
    app = started({"DATABASE": str(path), "URL_PREFIX": prefix})
    routes = {
        (re.sub("<(.*?)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.replace(prefix, "", 1) not in UNDOCUMENTED
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert routes == {(route, method) for route, method, *_ in operations(Document(app).spec)}
    assert {route for route, _ in routes} == {
        f"{prefix}/contacts",
        f"{prefix}/contacts/{{id}}",
        f"{prefix}/contacts/import",
        f"{prefix}/me",
    } | SERVICE


def test_every_answer_is_there(spec):
    answers = {operation["operationId"]: set(operation["responses"]) for _, _, operation, _ in operations(spec)}
    assert answers == {name: statuses | ALWAYS for name, statuses in ANSWERS.items()} | {
        "importContacts": {"200", "400", "401", "403", "413", "415", "422", "500", "503", "default"},
        "getMe": {"200", "401", "422", "500", "503", "default"},
        "isAlive": {"200", "405", "500", "default"},
        "isReady": {"200", "405", "500", "503", "default"},
        "getMetrics": {"200", "403", "405", "500", "503", "default"},
    }


def test_service_paths_need_no_role(spec):
    assert {route for route, _, operation, _ in operations(spec) if operation.get("security") == []} == SERVICE


def test_every_parameter_is_there(app, spec):
    resolve = document(app).resolve
    for path, _, operation, described in operations(spec):
        name = operation["operationId"]
        resolved = [resolve(parameter) for parameter in described]
        told = {kind: {p["name"] for p in resolved if p["in"] == kind} for kind in ("path", "query", "header")}
        query = QUERIES[name]() if name in QUERIES else parameters.NoQuery()
        assert told == {
            "path": set(re.findall("{(.*?)}", path)),
            "query": {field.data_key or name for name, field in query.fields.items()},
            "header": {CONDITIONS[name]} if name in CONDITIONS else set(),
        }
        for parameter in resolved:
            assert parameter["description"]
            document(app).validate(parameter["schema"], parameter["example"])


def test_every_statuscode_is_there(spec):
    error = spec["components"]["schemas"]["Error"]["properties"]["statusCode"]
    assert error["enum"] == [int(code) for code in StatusCode if code]
    assert error["x-enum-varnames"] == [code.name for code in StatusCode if code]
    assert [f"- {code}: " in error["description"] for code in error["enum"]] == [True] * len(error["enum"])


def test_every_request_and_answer_has_an_example_that_fits(app, spec):
    resolve = document(app).resolve
    for _, _, operation, _ in operations(spec):
        contents = [resolve(answer).get("content") for answer in operation["responses"].values()]
        for content in filter(None, [*contents, operation.get("requestBody", {}).get("content")]):
            for shown in content.values():
                examples = [example["value"] for example in shown.get("examples", {}).values()]
                examples += [shown["example"]] if "example" in shown else []
                assert examples
                for example in examples:
                    document(app).validate(shown["schema"], example)


def test_role_header_is_the_configured_one(path, new_database):
    app = started({"DATABASE": str(path), "ROLE_HEADER": "X-Rank"})
    spec = Document(app).spec
    assert spec["components"]["securitySchemes"]["role"]["name"] == "X-Rank"
    assert spec["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert spec["security"] == [{"token": []}, {"role": []}]


def test_contacts_come_before_the_service_and_summaries_are_plain(spec):
    """Swagger UI shows the tags in this order, and summaries as they are."""
    assert [tag["name"] for tag in spec["tags"]] == ["contacts", "service"]
    assert not [operation["summary"] for _, _, operation, _ in operations(spec) if "`" in operation["summary"]]


def test_refers_to_no_host(spec):
    assert "//" not in json.dumps(spec)


@pytest.mark.parametrize("query", [{"fields": ["id", "name"]}, {"fields": "id,name"}])
@pytest.mark.parametrize("types", [["User", "Custom"], "User,Custom"])
def test_lists_are_taken_with_commas_and_repeated(agent, user, custom, query, types):
    response = agent.get("/contacts", query_string={**query, "type": types})
    assert [contact.keys() for contact in response.json["contacts"]] == [{"id", "name"}] * 2


def test_page_and_its_files_need_no_role(app):
    client = app.test_client()
    page = client.get("/docs")
    assert page.mimetype == "text/html"
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    files = re.findall('(?:href|src)="(.*?)"', page.text)
    assert len(files) == 4
    for file in files:
        with client.get(f"/{file}") as response:
            assert response.status_code == 200
            assert response.headers["Content-Security-Policy"] == page.headers["Content-Security-Policy"]

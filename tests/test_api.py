"""openapi.json in the hands of others: a linter, a tester, and the clients that generators make of it."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import ROOT, Service

from app import create_app

pytestmark = pytest.mark.slow

CLIENTS = ROOT / "tests" / "clients"
BIN = Path(sys.prefix) / "bin"
NODE_BIN = CLIENTS / "node_modules" / ".bin"


def run(*command, cwd, **environment):
    """Run a program that must succeed, and return what it prints."""
    ran = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


@pytest.fixture
def spec(flask, tmp_path):
    """openapi.json, as the command writes it."""
    flask("openapi", "write", str(tmp_path / "openapi.json"))
    return tmp_path / "openapi.json"


@pytest.fixture
def token(flask):
    return flask("token", "create", "Agent", "client").strip()


@pytest.fixture
def directory(app, path, user, queue):
    """A service with a User and a Queue."""
    running = Service(path)
    yield running
    running.stop()


def test_linter_has_nothing_to_say(spec, tmp_path):
    output = run(
        *(NODE_BIN / "redocly", "lint", spec, "--extends", "recommended", "--format", "json"),
        cwd=tmp_path,
        REDOCLY_TELEMETRY="off",
        REDOCLY_SUPPRESS_UPDATE_NOTICE="true",
    )
    report = json.loads(output[output.index("{\n") : output.rindex("}") + 1])
    assert report["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}, output


@pytest.mark.parametrize("role", ["Contact Center Admin", "Agent", "nobody"])
def test_answers_are_as_documented_to_thousands_of_requests(directory, tmp_path, role):
    for name in ("schemathesis.toml", "schemathesis_hooks.py"):
        shutil.copy(CLIENTS / name, tmp_path)
    output = run(
        *(BIN / "schemathesis", "run", f"{directory.url}/openapi.json", "--url", directory.url),
        *("--checks", "all", "--max-examples", "100", "--seed", "1", "--continue-on-failure"),
        cwd=tmp_path,
        ROLE=role,
        PYTHONPATH=str(ROOT),
    )
    assert int(re.search(r"(\d+) generated", output)[1]) >= 1000, output


@pytest.fixture
def gws_spec(path, tmp_path, monkeypatch):
    """openapi.json of a service with clients of Genesys Web Services."""
    app = create_app({"DATABASE": str(path), "GWS_CLIENTS": "on", "URL_PREFIX": "/api/v2"})
    (tmp_path / "gws.json").write_text(app.test_client().get("/openapi.json").text)
    return tmp_path / "gws.json"


@pytest.fixture
def gws_directory(app, path, user, queue):
    """A service of that kind with a User and a Queue."""
    running = Service(path, CONTACTS_GWS_CLIENTS="on", CONTACTS_URL_PREFIX="/api/v2")
    yield running
    running.stop()


def test_linter_has_nothing_to_say_with_clients_of_gws_either(gws_spec, tmp_path):
    test_linter_has_nothing_to_say(gws_spec, tmp_path)


def test_answers_to_clients_of_gws_are_as_documented(gws_directory, tmp_path):
    test_answers_are_as_documented_to_thousands_of_requests(gws_directory, tmp_path, "Contact Center Admin")


def test_python_client_of_gws(gws_spec, gws_directory, token, tmp_path):
    """The same program, and one for what is there besides."""
    test_python_client(gws_spec, gws_directory, token, tmp_path)
    environment = {"PYTHONPATH": str(tmp_path / "made"), "MYPYPATH": str(tmp_path / "made")}
    program = CLIENTS / "gws_client.py"
    run(BIN / "mypy", "--strict", "--config-file", os.devnull, program, cwd=tmp_path, **environment)
    assert run(sys.executable, program, gws_directory.url, token, cwd=tmp_path, **environment) == "all is well\n"


def test_python_client(spec, directory, token, tmp_path):
    run(BIN / "openapi-python-client", "generate", "--path", spec, "--output-path", tmp_path / "made", cwd=tmp_path)
    environment = {"PYTHONPATH": str(tmp_path / "made"), "MYPYPATH": str(tmp_path / "made")}
    run(BIN / "mypy", "--strict", "--config-file", os.devnull, CLIENTS / "client.py", cwd=tmp_path, **environment)
    output = run(sys.executable, CLIENTS / "client.py", directory.url, token, cwd=tmp_path, **environment)
    assert output == "all is well\n"


def test_typescript_client(spec, directory, token, tmp_path):
    (tmp_path / "node_modules").symlink_to(CLIENTS / "node_modules")
    for name in ("client.ts", "package.json"):
        shutil.copy(CLIENTS / name, tmp_path)
    run(NODE_BIN / "openapi-typescript", spec, "--output", "schema.d.ts", cwd=tmp_path)
    options = ("--strict", "--noUncheckedIndexedAccess", "--target", "es2022", "--module", "nodenext")
    run(NODE_BIN / "tsc", *options, "client.ts", cwd=tmp_path)
    assert run("node", "client.js", directory.url, token, cwd=tmp_path) == "all is well\n"


def test_java_client(spec, directory, token, tmp_path):
    # The generator's jar has what the code that it makes needs: Jackson, and the annotations of JSR 305.
    jar = Path(find_spec("openapi_generator_cli").origin).parent / "openapi-generator.jar"
    options = "openApiNullable=false,useSingleRequestParameter=true"
    run(
        *("java", "-jar", jar, "generate", "-i", spec, "-o", "made", "-g", "java", "--library", "native"),
        *("--additional-properties", options),
        cwd=tmp_path,
    )
    sources = [
        CLIENTS / "Client.java",
        CLIENTS / "Generated.java",
        *(tmp_path / "made" / "src" / "main").rglob("*.java"),
    ]
    run("javac", "-nowarn", "-cp", jar, "-d", "classes", *sources, cwd=tmp_path)
    output = run("java", "-cp", f"classes:{jar}", "Client", directory.url, token, cwd=tmp_path)
    assert output == "all is well\n"

"""A new attribute by the recipe of CONTRIBUTING.md, in a copy: all else follows from it."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from pages import block

FILE = "userName,name,location\njoej,Joe Johnson,Berlin\njane,Jane Doe,\nzoe,Zoe Zed,Aachen\n"

ASKED = """
import json, subprocess, sys
from app import create_app

client = create_app({"DATABASE": sys.argv[1], "TRUSTED_PROXIES": "127.0.0.1"}).test_client()
admin = {"X-Role": "ROLE_ADMIN"}

def get(url):
    return client.get(url, headers=admin).json

document = get("/openapi.json")
print(json.dumps({
    "filtered": get("/contacts?location=BERLIN"),
    "sorted": get("/contacts?sortBy=location&order=Descending"),
    "selected": get("/contacts?fields=name,location&name=Joe Johnson"),
    "created": client.post("/contacts", json={"name": "New", "location": "Berlin"}, headers=admin).json,
    "unknown": get("/contacts?colour=red"),
    "parameters": [each["name"] for each in document["paths"]["/contacts"]["get"]["parameters"] if "name" in each],
    "described": document["components"]["schemas"]["Contact"]["properties"]["location"],
}))
"""


def changes():
    """Yield what the recipe changes: a file, the lines that are there, and those that shall be."""
    for part in block("CONTRIBUTING.md", "attribute").split("--- ")[1:]:
        name, _, lines = part.partition("\n")
        lines = lines.splitlines(keepends=True)
        yield name, *("".join(line[1:] for line in lines if line[0] in signs) for signs in (" -", " +"))


@pytest.fixture
def copy(tmp_path):
    """A copy of the project."""
    folder = tmp_path / "copy"
    shutil.copytree(ROOT / "contacts", folder / "contacts", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "wsgi.py", "schema.sql"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def run(copy):
    """Run Python there, on the copy's own database."""

    def python(*arguments):
        environment = {**os.environ, "CONTACTS_DATABASE": "contacts.db", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return python


def test_new_attribute_is_seen_everywhere(copy, run):
    (copy / "old.csv").write_text(re.sub(",[^,]*$", "", FILE, flags=re.MULTILINE), encoding="utf-8")
    (copy / "users.csv").write_text(FILE, encoding="utf-8")
    assert "3 added" in run("-m", "flask", "sync", "User", "old.csv")
    for name, old, new in changes():
        text = (copy / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, old
        (copy / name).write_text(text.replace(old, new), encoding="utf-8")
    for name, version in (("schema.sql", "user_version = "), ("contacts/database.py", "SCHEMA_VERSION = ")):
        text = (copy / name).read_text(encoding="utf-8")
        raised, count = re.subn(rf"(?<={version})\d+", lambda found: str(int(found[0]) + 1), text)
        assert count == 1
        (copy / name).write_text(raised, encoding="utf-8")

    # The database that is there is brought to the new version.
    assert "2 changed, 0 removed, 1 unchanged" in run("-m", "flask", "sync", "User", "users.csv")
    assert run("-m", "flask", "check").endswith("all is well\n")
    answers = json.loads(run("-c", ASKED, "contacts.db"))
    assert [contact["name"] for contact in answers["filtered"]["contacts"]] == ["Joe Johnson"]
    assert [contact.get("location") for contact in answers["sorted"]["contacts"]] == ["Berlin", "Aachen", None]
    assert answers["selected"]["contacts"] == [{"name": "Joe Johnson", "location": "Berlin"}]
    assert answers["created"]["statusCode"] == 11
    assert "location" in answers["unknown"]["statusMessage"]
    assert "location" in answers["parameters"]
    assert answers["described"]["maxLength"] == 255
    run("-m", "flask", "export", "contacts.csv")
    assert "location" in (copy / "contacts.csv").read_text(encoding="utf-8").splitlines()[0]
    assert "3 unchanged" in run("-m", "flask", "sync", "User", "contacts.csv")

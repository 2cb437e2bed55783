"""A new attribute is a row of the attribute table and columns in schema.sql; all else follows from them."""

import json
import os
import shutil
import subprocess
import sys

from conftest import ROOT

# What the recipe says: a row of ATTRIBUTES, and the column of its key in schema.sql.
CHANGES = {
    "contacts/model.py": [
        (
            "]\nATTRIBUTES = {",
            "    Attribute(\n"
            '        *("department", "department_key", "department_key", order_key, 255, USER),\n'
            '        *("A department.", "Sales"),\n'
            "    ),\n"
            "]\nATTRIBUTES = {",
        )
    ],
    "schema.sql": [("    employee_id_key TEXT,\n", "    employee_id_key TEXT,\n    department_key TEXT,\n")],
}

FILE = "userName,name,department\njoej,Joe Johnson,Sales\njane,Jane Doe,\nzoe,Zoe Zed,Accounts\n"

ASKED = """
import json, subprocess, sys
from app import create_app

client = create_app({"DATABASE": sys.argv[1], "TRUSTED_PROXIES": "127.0.0.1"}).test_client()
admin = {"X-Role": "ROLE_ADMIN"}

def get(url):
    return client.get(url, headers=admin).json

document = get("/openapi.json")
print(json.dumps({
    "filtered": get("/contacts?department=SALES"),
    "sorted": get("/contacts?sortBy=department&order=Descending"),
    "selected": get("/contacts?fields=name,department&name=Joe Johnson"),
    "created": client.post("/contacts", json={"name": "New", "department": "Sales"}, headers=admin).json,
    "unknown": get("/contacts?colour=red"),
    "parameters": [each["name"] for each in document["paths"]["/contacts"]["get"]["parameters"] if "name" in each],
    "described": document["components"]["schemas"]["Contact"]["properties"]["department"],
}))
"""


def test_new_attribute_is_seen_everywhere(tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "contacts", copy / "contacts", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "wsgi.py", "schema.sql"):
        shutil.copy(ROOT / name, copy)
    for name, changes in CHANGES.items():
        text = (copy / name).read_text(encoding="utf-8")
        for old, new in changes:
            assert text.count(old) == 1
            text = text.replace(old, new)
        (copy / name).write_text(text, encoding="utf-8")
    (copy / "users.csv").write_text(FILE, encoding="utf-8")

    def run(*command):
        environment = {**os.environ, "CONTACTS_DATABASE": "contacts.db", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "3 added" in run("-m", "flask", "sync", "User", "users.csv")
    answers = json.loads(run("-c", ASKED, "contacts.db"))
    assert [contact["name"] for contact in answers["filtered"]["contacts"]] == ["Joe Johnson"]
    assert [contact.get("department") for contact in answers["sorted"]["contacts"]] == ["Sales", "Accounts", None]
    assert answers["selected"]["contacts"] == [{"name": "Joe Johnson", "department": "Sales"}]
    assert answers["created"]["statusCode"] == 11
    assert "department" in answers["unknown"]["statusMessage"]
    assert "department" in answers["parameters"]
    assert answers["described"]["maxLength"] == 255
    run("-m", "flask", "export", "contacts.csv")
    assert "department" in (copy / "contacts.csv").read_text(encoding="utf-8").splitlines()[0]
    assert "3 unchanged" in run("-m", "flask", "sync", "User", "contacts.csv")

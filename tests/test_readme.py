"""The README keeps its word: its commands, run in order, print what it says."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, free_port, listens

README = (ROOT / "README.md").read_text(encoding="utf-8")

# What differs from run to run: ids, ETags, tokens, dates.
CHANGING = (
    (re.compile(r"\b[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r"contacts_[\w-]{43}"), "contacts_…"),
    (re.compile(r"\d+ bytes"), "<n> bytes"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:]{8}\+00:00"), "<date>"),
)


def examples(marker, text=README):
    """Return the commands under `<!-- marker -->`, each with what it prints."""
    for block in re.findall(rf"<!-- {marker} -->\n```console\n(.*?)```", text, re.DOTALL):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = example.partition("\n")
            yield command, output


def stable(text):
    for pattern, replacement in CHANGING:
        text = pattern.sub(replacement, text)
    return text


@pytest.fixture(params=["run", "demo"])
def target(request, tmp_path):
    """`make run` or `make demo` on a copy of the project, on a port of its own."""
    project = tmp_path / "project"
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in tracked.stdout.decode().splitlines():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        # With its time: an older requirements.txt than the stamp in .venv has make install nothing.
        shutil.copy2(ROOT / name, project / name)
    (project / ".venv").symlink_to(Path(sys.prefix))
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CONTACTS_", "MAKE"))}
    environment["GUNICORN_CMD_ARGS"] = f"--bind 127.0.0.1:{port}"
    environment["PATH"] = f"{Path(sys.prefix) / 'bin'}:{environment['PATH']}"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["make", request.param], cwd=project, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        assert listens(process, port), (tmp_path / "log").read_text()
        yield request.param, project, port, environment
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(40)


def test_commands_print_what_the_readme_says(target):
    name, project, port, environment = target
    ids = {}
    count = 0
    for command, expected in examples(name):
        real = command.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        # The README's ids are those of another run.
        for written, here in ids.items():
            real = real.replace(written, here)
        if command.startswith("export "):
            # What the person's shell remembers; .venv is on the PATH already.
            environment.update(re.findall(r"(CONTACTS_\w+)=(\S+)", command))
        ran = subprocess.run(
            real,
            shell=True,
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        printed = ran.stdout + ran.stderr
        assert stable(printed.rstrip("\n")) == stable(expected.rstrip("\n")), command
        pattern = re.compile(r"\b[0-9a-f]{32}\b")
        ids.update(zip(pattern.findall(expected), pattern.findall(printed), strict=True))
        count += 1
    assert count >= {"run": 1, "demo": 14}[name]


def test_a_new_user_finds_a_private_database(target):
    name, project, *_ = target
    file = project / ("contacts.db" if name == "run" else "demo.db")
    assert file.stat().st_mode & 0o777 == 0o600

"""The documentation keeps its word: its commands print what it says, and its links lead somewhere."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, free_port, listens
from flask import Flask
from pages import PAGES, Shell, blocks, examples, follow

from contacts.attributes import ATTRIBUTES
from contacts.errors import StatusCode
from contacts.settings import CHECKS, PREFIX, Defaults, init_app

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()

# The tests that run the blocks under a mark: on any page, or on one page.
MARKS = {
    "run": "test_docs.py",
    "demo": "test_docs.py",
    "shell": "test_docs.py",
    "make": "test_docs.py",
    "settings": "test_docs.py",
}
PAGE_MARKS = {
    ("CONTRIBUTING.md", "attribute"): "test_attribute.py",
    ("docs/deployment.md", "deploy"): "test_deploy.py",
    ("docs/deployment.md", "nginx"): "test_deploy.py",
    ("docs/directory.md", "every-hour"): "test_deploy.py",
    ("docs/directory.md", "ldap"): "test_ldap.py",
    ("docs/gws.md", "gws"): "test_gws.py",
    ("docs/gws.md", "gws-check"): "test_deploy.py",
    ("docs/gws.md", "location"): "test_sign_on.py",
    ("docs/operation.md", "log"): "test_logs.py",
    ("docs/operation.md", "restore"): "test_deploy.py",
    ("docs/operation.md", "upgrade"): "test_deploy.py",
}
# Why a block cannot be run: `<!-- not run: docker -->`.
NOT_RUN = {
    "docker": "test_deploy.py builds and starts the image without Docker, as machines that test have none",
    "Active Directory": "test_ldap.py reads an OpenLDAP server with Active Directory's attributes",
    "generators": "they take minutes; `make api` runs these",
}


# How long a page may be, in lines.
MAX_README_LINES, MAX_PAGE_LINES = 150, 200


def marked(mark):
    """Return the pages with blocks under a mark."""
    return [page for page in PAGES if any(each.mark == mark for each in blocks(page))]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_a_test_or_a_reason(page):
    for each in blocks(page):
        if each.language == "text":
            assert not re.search(r"^\$ ", each.text, re.MULTILINE), each
            continue
        name = PAGE_MARKS.get((page, each.mark), MARKS.get(each.mark, ""))
        reason = NOT_RUN.get(each.mark.removeprefix("not run: "))
        assert name or reason, f"{each.mark or 'no mark'} before:\n{each.text}"
        assert not name or f'"{each.mark}"' in (ROOT / "tests" / name).read_text(encoding="utf-8")
    assert PAGES[page].count("```") == 2 * len(list(blocks(page)))


def test_every_mark_is_used():
    used = {(page, each.mark) for page in PAGES for each in blocks(page)}
    assert set(PAGE_MARKS) <= used
    assert {*MARKS, *(f"not run: {reason}" for reason in NOT_RUN)} <= {mark for _, mark in used}


# The commands.


@pytest.fixture
def project(tmp_path):
    """A copy of the project."""
    copy = tmp_path / "project"
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(lambda name: (ROOT / name).exists(), tracked.stdout.decode().splitlines()):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        # With its time: an older requirements.txt than the stamp in .venv has make install nothing, and what Python has
        # compiled is good for a copy.
        shutil.copy2(ROOT / name, copy / name)
    for compiled in (ROOT / "contacts").rglob("__pycache__"):
        shutil.copytree(compiled, copy / compiled.relative_to(ROOT))
    (copy / ".venv").symlink_to(Path(sys.prefix))
    return copy


@pytest.fixture
def environment():
    """The environment of a person who has just opened a terminal, with .venv/bin on the PATH."""
    ours = ("CONTACTS_", "MAKE", "PYTEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PATH": f"{Path(sys.prefix) / 'bin'}:{kept['PATH']}"}


@pytest.fixture
def shell(project, environment):
    """A shell in the copy."""
    running = Shell(project, environment)
    yield running
    running.stop()


@pytest.fixture
def serve(project, environment, tmp_path):
    """Start `make run` or `make demo` in the copy, and return its port."""
    started = []

    def start(target):
        port = free_port()
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                ["make", target],
                cwd=project,
                env={**environment, "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        started.append(process)
        assert listens(process, port), (tmp_path / "log").read_text()
        return port

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(40)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "target"), [(page, target) for target in ("run", "demo") for page in marked(target)])
def test_commands_print_what_the_page_says(page, target, serve, shell, project):
    port = serve(target)
    follow(shell, examples(page, target), lambda command: command.replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
    file = project / ("contacts.db" if target == "run" else "demo.db")
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
@pytest.mark.parametrize("page", marked("shell"))
def test_commands_that_need_no_service_print_what_the_page_says(page, shell):
    follow(shell, examples(page, "shell"))


def test_there_are_the_targets_that_are_named():
    named = {name for page in PAGES.values() for name in re.findall(r"`make ([\w-]+)", page)}
    for page in marked("make"):
        for command, _ in examples(page, "make"):
            named |= set(re.fullmatch(r"make ([\w-]+)", command).groups())
    assert {"run", "demo", "test"} <= named <= set(TARGETS)


@pytest.mark.parametrize("page", marked("settings"))
def test_the_settings_that_are_shown_are_valid(page):
    for each in blocks(page):
        if each.mark == "settings":
            lines = [line.split("=", 1) for line in each.text.splitlines()]
            shown = {name.removeprefix(PREFIX): value.strip('"') for name, value in lines}
            assert shown.keys() <= {*CHECKS, "GUNICORN_CMD_ARGS"}
            init_app(Flask("settings"), shown)


# What the pages are, and what they must not leave out.


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_short(page):
    assert len(PAGES[page].splitlines()) <= (MAX_README_LINES if page == "README.md" else MAX_PAGE_LINES)


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", PAGES[page], re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md", "BENCHMARKS.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]*)\)", text):
        if link.startswith(("http:", "https:")):
            continue
        file, _, anchor = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.resolve().relative_to(ROOT).as_posix()), link


def test_readme_links_to_every_page():
    assert all(f"({page})" in PAGES["README.md"] for page in PAGES if page != "README.md")


ALL = "\n".join(PAGES.values())


def test_files_that_are_named_exist():
    paths = re.findall(r"`((?:\.ci|bench|contacts|deploy|docs|tests)/[\w./-]*)`", ALL)
    modules = re.findall(r"`(\w+\.(?:py|sql|conf|js|html|css))`", ALL)
    assert len(paths) > 10
    assert len(modules) > 10
    assert not [path for path in paths if not (ROOT / path).exists()]
    folders = [ROOT / folder for folder in (".", "contacts", "contacts/page", "contacts/page/static", "deploy")]
    assert not [name for name in modules if not any((folder / name).exists() for folder in folders)]


def test_every_setting_stands_in_the_table_with_its_default():
    rows = re.findall(rf"^\| `{PREFIX}(\w+)` \| (.*?) \|", PAGES["docs/settings.md"], re.MULTILINE)
    shown = {name: "" if default == "empty" else default.strip("`") for name, default in rows}
    assert shown == {name: getattr(Defaults, name) for name in CHECKS}


def test_there_are_the_settings_that_are_named():
    assert set(re.findall(rf"\b{PREFIX}([A-Z_]+[A-Z])\b", ALL)) <= set(CHECKS)


def commands(group, name="flask"):
    """Yield the names and the options of the commands of the project."""
    for each in group.commands.values():
        if hasattr(each, "commands"):
            yield from commands(each, f"{name} {each.name}")
        elif each.callback.__module__.startswith("contacts"):
            yield f"{name} {each.name}", [option for given in each.params for option in given.opts if option[0] == "-"]


def test_every_command_and_option_is_named(app):
    found = dict(commands(app.cli))
    assert {"flask sync", "flask backup", "flask token create"} <= found.keys()
    for command, options in found.items():
        assert command in ALL
        assert not [option for option in options if not re.search(rf"{option}\b", ALL)], command


def test_there_are_the_commands_that_are_named(app):
    named = set(re.findall(r"`(?:contacts-)?flask (\w+)", ALL))
    assert named <= app.cli.commands.keys()


def test_every_metric_is_named(agent):
    counted = agent.get("/metrics").text
    # The _created ones come from a single process only.
    metrics = {name for name in re.findall(r"^# TYPE (contacts_\w+)", counted, re.MULTILINE) if name[-8:] != "_created"}
    assert metrics == set(re.findall(r"^\| `(contacts_\w+)`", PAGES["docs/operation.md"], re.MULTILINE))


def test_every_attribute_is_named():
    for name, attribute in ATTRIBUTES.items():
        assert f"`{name}`" in PAGES["docs/api.md"]
        assert f"`{name}`" in PAGES["docs/files.md"].split("The columns are the attributes:")[1].split(".")[0]
        others = [f"`{each}`" for each in attribute.other_names]
        assert not others or f"| `{name}` | {', '.join(others)} |" in PAGES["docs/files.md"]


def test_every_status_code_is_named():
    table = re.findall(r"^\| (\d+) \|", PAGES["docs/api.md"], re.MULTILINE)
    assert [int(number) for number in table] == [code for code in StatusCode if code]


def test_the_version_is_the_application_s(app):
    named = set(re.findall(r"contacts-(\d+\.\d+)", ALL))
    assert named == {app.config["API_VERSION"]}


LOGINS = {"oauth2-proxy": "X-Auth-Request-Groups", "authelia": "Remote-Groups"}


@pytest.mark.parametrize("login", LOGINS)
def test_a_sign_on_has_the_settings_that_its_file_asks_for(login):
    asked = re.findall(r"^#   (CONTACTS_.*)$", (ROOT / "deploy" / f"nginx-{login}.conf").read_text(), re.MULTILINE)
    shown = [each.text for each in blocks("docs/deployment.md") if LOGINS[login] in each.text]
    assert [text.splitlines()[1:] for text in shown] == [asked]

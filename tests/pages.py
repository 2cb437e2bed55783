"""The pages of the documentation, and the commands in them.

A mark before each block of code, as in `<!-- demo -->`, says which test runs it; MARKS in test_docs.py lists them.
"""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import NamedTuple

from conftest import ROOT

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [*(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")), *ROOT.glob("docs/*.md")]
}

BLOCK = re.compile(
    r"^(?: *<!-- (?P<mark>.*) -->\n)?(?P<indent> *)```(?P<language>.*)\n(?P<text>(?:.*\n)*?) *```$", re.M
)

# What differs from run to run: ids, ETags, tokens, sizes, dates, times.
CHANGING = (
    (re.compile(r"\b[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r'"[0-9a-f]{8,32}"'), "<ETag>"),
    (re.compile(r"contacts_[\w-]{43}"), "contacts_…"),
    (re.compile(r"\d+ bytes"), "<n> bytes"),
    (re.compile(r"\d+ deselected in [\d.]+s"), "<n> deselected in <n>s"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:]{8}\+00:00"), "<date>"),
)


class Block(NamedTuple):
    """A block of code on a page."""

    mark: str
    language: str
    text: str


def blocks(page):
    """Yield the blocks of a page."""
    for found in BLOCK.finditer(PAGES[page]):
        text = re.sub(f"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
        yield Block(found["mark"] or "", found["language"], text)


def block(page, mark):
    """Return the text of the one block with a mark."""
    (found,) = (each.text for each in blocks(page) if each.mark == mark)
    return found


def examples(page, mark):
    """Return the commands under a mark, each with what the page says that it prints."""
    found = []
    for each in blocks(page):
        if each.mark == mark:
            for example in re.split(r"^\$ ", each.text, flags=re.MULTILINE)[1:]:
                command, output = re.fullmatch(r"((?:.*\\\n)*.*)\n((?:.*\n)*)", example).groups()
                found.append((command, output.rstrip("\n")))
    assert found, f"{page} has no command under {mark}"
    return found


def stable(text):
    """Return a text without what differs from run to run."""
    for pattern, replacement in CHANGING:
        text = pattern.sub(replacement, text)
    return text.rstrip("\n")


class Shell:
    """A shell that runs commands one after the other, as a person does."""

    def __init__(self, folder, environment):
        self.process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, command):
        """Return what a command prints, as a terminal shows it."""
        self.process.stdin.write(f"{{ {command}\n}} < /dev/null; printf '\\0'\n".encode())
        self.process.stdin.flush()
        printed = b""
        while not printed.endswith(b"\0"):
            read = self.process.stdout.read1()
            assert read, (command, printed)
            printed += read
        return printed[:-1].decode().replace("\r\n", "\n")

    def stop(self):
        """End it."""
        self.process.communicate(timeout=40)


@contextmanager
def shell_with_flask(command, folder, database):
    """Have a shell in a new folder for as long as the block lasts, in which a command is flask on a database."""
    folder.mkdir()
    variables = {"CONTACTS_DATABASE": str(database), "FLASK_APP": str(ROOT / "app.py"), "LANG": "C.UTF-8"}
    shell = Shell(folder, {**os.environ, **variables})
    try:
        shell.run(f'{command}() {{ {sys.executable} -m flask "$@"; }}')
        yield shell
    finally:
        shell.stop()


def follow(shell, commands, adapt=lambda command: command):
    """Run a page's commands and compare what they print; `adapt` makes of one what is to be run here."""
    id_ = re.compile(r"\b[0-9a-f]{32}\b")
    ids = {}  # the page's ids are those of another run
    for command, expected in commands:
        real = adapt(command)
        for written, here in ids.items():
            real = real.replace(written, here)
        printed = shell.run(real)
        assert stable(printed) == stable(expected), command
        ids.update(zip(id_.findall(expected), id_.findall(printed), strict=True))

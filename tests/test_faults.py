"""docs/faults.md: its messages are the service's."""

import re

import pytest
from conftest import ROOT

from contacts.errors import MESSAGES, UNAVAILABLE, UNAVAILABLE_FILES
from contacts.transactions import REPLACED, UPGRADED

PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())


def code():
    """The strings of the service, without the places where they are broken into several."""
    sources = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "contacts").rglob("*.py")))
    return re.sub(r'"\s*f?"', "", sources)


@pytest.mark.parametrize("message", sorted({*UNAVAILABLE.values(), *UNAVAILABLE_FILES.values(), REPLACED, UPGRADED}))
def test_every_message_is_explained(message):
    assert message in TEXT


SAID = [
    "Nothing was changed; try again.",
    "The directory's folder cannot be written.",
    "The directory's file cannot be used.",
    "all threads but one wait to write",
    "database is locked by other threads",
    "Start the version of the service that wrote it, or a later one.",
    "set them alike, or start the service with the new ones",
    "; stop the service, keep the file, and restore the last backup (flask backup --help)",
    "the file is not an SQLite database; it is left as it is",
    "the database is damaged:",
    "a sync that was killed, or another version of the service, has left them; nothing is lost: "
    "run the same sync again, or flask check --repair, which makes the keys anew",
    "keys made anew:",
    "contacts have the same text as others",
    MESSAGES[500],
]


@pytest.mark.parametrize("message", SAID)
def test_what_the_page_quotes_is_said(message):
    assert message in TEXT
    assert message.removeprefix("; ") in code()


def test_links_lead_to_headings():
    headings = {re.sub(r"[^a-z -]", "", line[3:].lower()).replace(" ", "-") for line in re.findall("## .*", PAGE)}
    assert set(re.findall(r"\(#(.*?)\)", PAGE)) <= headings

"""The power is cut: what was synced is there, of the rest anything may be; all that was acknowledged must be.

strace writes down what the processes of a service do to the database's files and what they answer, in order. From
that, the disk is made anew as it may be found after a cut at any moment.
"""

import json
import random
import re
import shutil
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing

import pytest
from conftest import Service, wait_for
from torture import WRITERS, check_sound, writing

from contacts.upgrades import prepare

pytestmark = pytest.mark.slow

ANSWERS = 200

CALLS = "openat,pwrite64,write,ftruncate,fsync,fdatasync,unlink,recvfrom,sendto"

# What power that fails leaves whole, in bytes.
SECTOR = 512

_line = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(\(| resumed>)(.*)")
_hex = re.compile(r"(?:\\x[0-9a-f]{2})+")
_request = re.compile(rb"(POST|PUT|DELETE) /contacts/?(\w*)")


class File:
    """What a file holds on disk, and what was written to it since it was last synced."""

    def __init__(self):
        self.synced = bytearray()
        self.pending = []

    def sync(self, number):
        """Bring the first so many changes to the disk."""
        for change in self.pending[:number]:
            apply(self.synced, change)
        del self.pending[:number]

    def torn(self, chance):
        """Return the content when any sectors of what was not synced are on disk."""
        content = bytearray(self.synced)
        for offset, data in self.pending:
            if data is None:
                if chance.random() < 0.5:
                    apply(content, (offset, None))
            else:
                for start in range(0, len(data), SECTOR):
                    if chance.random() < 0.5:
                        apply(content, (offset + start, data[start : start + SECTOR]))
        return content


def apply(content, change):
    """Write to a content, or cut it (no data) or lengthen it."""
    offset, data = change
    if data is None:
        del content[offset:]
        data = b""
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


class Disk:
    """The files of a folder, as processes see them and as the disk has them."""

    def __init__(self):
        self.files = {}
        self.synced = {}

    def after_a_cut(self, chance=None):
        """Return the files' contents when just what was synced is there, or by chance some of the rest."""
        if chance is None:
            return {name: file.synced for name, file in self.synced.items()}
        names = self.files if chance.random() < 0.5 else self.synced
        return {name: file.torn(chance) for name, file in names.items()}


class Promises:
    """What the service has acknowledged, and what it was asked for and has not answered yet."""

    def __init__(self):
        self.kept = {}
        self.removed = set()
        self.asked = {}  # by thread: method and id

    def answer(self, thread, answer):
        method, contact_id = self.asked.pop(thread)
        if method == "DELETE":
            del self.kept[contact_id]
            self.removed.add(contact_id)
        else:
            self.kept[answer["contact"]["id"]] = answer["contact"]

    def check(self, there):
        """The contacts that are there are those that were acknowledged, but for what was asked for meanwhile."""
        assert not self.removed & there.keys()
        open_ = {contact_id for _, contact_id in self.asked.values()}
        new = there.keys() - self.kept.keys()
        assert len(new) <= sum(method == "POST" for method, _ in self.asked.values())
        for contact_id, contact in self.kept.items():
            assert there.get(contact_id) == contact or contact_id in open_
        for contact in there.values():
            assert contact["phoneNumber"] == contact["name"][-12:]


class Log:
    """The calls in a file of strace's: on_cut(disk, promises, kind) is called where the power may fail."""

    def __init__(self, file, folder, on_cut):
        self.file = file
        self.folder = str(folder)
        self.on_cut = on_cut
        self.disk = Disk()
        self.promises = Promises()
        self.begun = {}  # by thread: the first half of a call's line
        self.checkpoints = 0
        self.syncing = {}  # by thread: the file, and the number of its changes that a sync will bring to the disk

    def replay(self):
        with open(self.file, encoding="latin-1") as lines:
            for line in lines:
                if match := _line.match(line):
                    self.call(*match.groups())

    def call(self, thread, name, begins, rest):
        """Look at a line: a whole call, or the first or the second half of one."""
        if begins == "(":
            self.begin(thread, name, rest)
            if rest.endswith("<unfinished ...>"):
                self.begun[thread] = rest.removesuffix("<unfinished ...>")
                return
        else:
            rest = self.begun.pop(thread) + rest
        arguments, _, result = rest.rpartition(" = ")
        if not result.startswith("-"):
            self.end(thread, name, _hex.sub(unhex, arguments.rstrip().removesuffix(")")))

    def begin(self, thread, name, rest):
        """Act on what a call does as soon as it begins: an answer may be seen, a sync knows what there is to sync."""
        if name == "sendto":
            sent = _hex.search(rest.partition('"')[2])
            text = unhex(sent) if sent else ""
            if text.startswith('{"statusCode":0') and thread in self.promises.asked:
                self.promises.answer(thread, json.loads(text.encode("latin-1")))
                self.on_cut(self.disk, self.promises, "answer")
        elif name in {"fsync", "fdatasync"} and (file := self.at(_hex.sub(unhex, rest))):
            self.on_cut(self.disk, self.promises, "sync")
            self.syncing[thread] = file, len(file.pending)

    def end(self, thread, name, arguments):
        """Act on what a call has done."""
        if name == "recvfrom":
            if match := _request.search(arguments.encode("latin-1")):
                self.promises.asked[thread] = match[1].decode(), match[2].decode()
        elif name == "openat":
            path = arguments.split('"')[1]
            if "O_CREAT" in arguments and (key := self.key(path)):
                self.disk.files.setdefault(key, File())
        elif name == "unlink":
            self.disk.files.pop(self.key(arguments.split('"')[1]), None)
        elif name in {"fsync", "fdatasync"}:
            if thread in self.syncing:
                file, number = self.syncing.pop(thread)
                file.sync(number)
                self.checkpoints += bool(self.promises.kept) and file is self.disk.files["contacts.db"]
            elif f"<{self.folder}>" in arguments:
                self.disk.synced = dict(self.disk.files)
            self.on_cut(self.disk, self.promises, "synced")
        elif file := self.at(arguments):
            if name == "pwrite64":
                data, _, numbers = arguments.partition(', "')[2].rpartition('", ')
                file.pending.append((int(numbers.split(", ")[1]), data.encode("latin-1")))
            elif name == "ftruncate":
                file.pending.append((int(arguments.rpartition(", ")[2]), None))
            else:
                raise AssertionError(f"{name} is not expected of SQLite")

    def at(self, arguments):
        """Return the file that a call's first argument, with its path in <>, names, if it is one of the folder's."""
        match = re.match(r"\d+<([^>]*)>", arguments)
        return self.disk.files.get(self.key(match[1])) if match else None

    def key(self, path):
        """Return the name of a file of the database's that is to survive; "" for others."""
        folder, _, name = path.rpartition("/")
        return name if folder == self.folder and not name.endswith("-shm") else ""


def unhex(match):
    """Return what strace has written as \\x61\\x62."""
    return bytes.fromhex(match[0].replace("\\x", "")).decode("latin-1")


def test_a_power_cut_loses_nothing_acknowledged(tmp_path):
    home, found, log = tmp_path / "home", tmp_path / "found", tmp_path / "log"
    home.mkdir()
    strace = ("strace", "-D", "-f", "-y", "-xx", "-s", "10000", "-o", str(log), "-e", f"trace={CALLS}")
    if subprocess.run(["strace", "-o", str(log), "true"], check=False, capture_output=True).returncode:
        pytest.skip("strace may not look at processes here")
    service = Service(home / "contacts.db", "--workers", "2", launcher=strace)
    try:
        with writing(service.port) as writers:
            wait_for(lambda: sum(writer.answers for writer in writers) > ANSWERS)
    finally:
        service.stop()
    assert [(writer.error, writer.refused) for writer in writers] == [(None, [])] * WRITERS
    last = re.compile(rf"^{service.process.pid} .*\+\+\+ exited with 0", re.MULTILINE)
    wait_for(lambda: last.search(log.read_text("latin-1")))

    chance, seen = random.Random(), Counter()

    def cut(disk, promises, kind):
        seen[kind] += 1
        check(disk.after_a_cut(chance if kind == "sync" else None), promises)

    def check(contents, promises):
        shutil.rmtree(found, ignore_errors=True)
        found.mkdir()
        for name, content in contents.items():
            (found / name).write_bytes(content)
        prepare(str(found / "contacts.db"))
        with closing(sqlite3.connect(found / "contacts.db", isolation_level=None)) as connection:

            def sql(statement, *values):
                return connection.execute(statement, values).fetchall()

            check_sound(sql)
            promises.check({row[0]: json.loads(row[1]) for row in sql("SELECT id, json FROM contact")})

    replayed = Log(log, home, cut)
    replayed.replay()
    assert seen["answer"] == sum(writer.answers for writer in writers)
    assert replayed.checkpoints > 0

"""Processes that are killed, stopped and reloaded under load, and writers that meet: nothing acknowledged is lost."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from conftest import ADMIN, ROOT, Service, wait_for, workers
from torture import BROKEN, WRITERS, ask, check_kept, check_unavailable, kill, read_contacts, write_all, writing

pytestmark = pytest.mark.slow

ROUNDS = 20
SEVERAL = ("--workers", "3", "--threads", "4")


def answers(writers):
    return sum(writer.answers for writer in writers)


def outcomes(writers):
    """What broke the connections of writers, and the answers that were none of success."""
    return [(writer.error, writer.refused) for writer in writers]


def test_what_was_acknowledged_survives_kill_9(path, sql):
    kept, cut_off = (), 0
    for _ in range(ROUNDS):
        service = Service(path, *SEVERAL)
        with writing(service.port, kept=kept) as writers:
            wait_for(lambda writers=writers: answers(writers) >= 10)
            time.sleep(random.random())
            kill(service)
        service.stop()
        assert [refused for _, refused in outcomes(writers)] == [[]] * WRITERS
        cut_off += sum(writer.pending is not None for writer in writers)
        kept = check_kept(writers, sql)
    # Some were killed in the midst of it.
    assert cut_off > ROUNDS
    assert sum(map(len, kept)) > ROUNDS


@pytest.fixture
def several(path):
    """A service with several workers and threads."""
    running = Service(path, *SEVERAL)
    yield running
    running.stop()


def test_a_killed_worker_takes_nothing_along_and_another_takes_its_place(several, sql):
    kept, cut_off = (), 0
    for _ in range(5):
        with writing(several.port, kept=kept) as writers:
            wait_for(lambda writers=writers: answers(writers) >= 20)
            victim = random.choice(workers(several.process.pid))
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda victim=victim: len(set(workers(several.process.pid)) - {victim}) == 3)
        assert [refused for _, refused in outcomes(writers)] == [[]] * WRITERS
        cut_off += sum(writer.error is not None for writer in writers)
        kept = check_kept(writers, sql)
    assert 0 < cut_off < 5 * WRITERS


def test_a_new_start_beside_the_workers_of_a_killed_master(several, path, sql):
    orphans = workers(several.process.pid)
    with writing(several.port) as writers:
        wait_for(lambda: answers(writers) >= 10)
        several.process.kill()
        several.process.wait()
        again = Service(path, *SEVERAL)
        with writing(again.port) as others:
            wait_for(lambda: answers(others) >= 50)
        again.stop()
    assert outcomes(others) == [(None, [])] * WRITERS
    check_kept([*writers, *others], sql)
    # They have noticed that they are alone.
    wait_for(lambda: not any(is_alive(pid) for pid in orphans))


def is_alive(pid):
    """Tell whether a process runs; one that has ended may stay in the list until somebody has asked for its status."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


BY = pytest.mark.parametrize("fresh", [False, True], ids=["kept connections", "new connections"])


@BY
def test_reload_under_load_fails_no_request(fresh, several, sql):
    with writing(several.port, fresh=fresh) as writers:
        for _ in range(3):
            old = set(workers(several.process.pid))
            several.process.send_signal(signal.SIGHUP)
            wait_for(lambda old=old: len(now := set(workers(several.process.pid))) == 3 and not now & old)
            # The last answers of the old workers and the first of the new ones.
            now = answers(writers)
            wait_for(lambda now=now: answers(writers) >= now + 50)
    assert outcomes(writers) == [(None, [])] * WRITERS
    check_kept(writers, sql)


@BY
def test_stop_under_load_loses_nothing_that_was_acknowledged(fresh, several, sql):
    """gunicorn may reset a connection when it stops; through nginx, nobody sees that (the attack suite shows it)."""
    with writing(several.port, fresh=fresh) as writers:
        wait_for(lambda: answers(writers) >= 100)
        several.process.terminate()
        assert several.process.wait(timeout=30) == 0
        for writer in writers:
            writer.join()
    assert all(isinstance(writer.error, BROKEN) for writer in writers)
    assert [writer.refused for writer in writers] == [[]] * WRITERS
    check_kept(writers, sql)


def test_16_writers_at_once_are_all_served(path, sql):
    service = Service(path, "--workers", "4", "--threads", "4")
    try:
        with writing(service.port, 16) as writers:
            wait_for(lambda: all(writer.answers >= 50 for writer in writers))
    finally:
        printed = service.stop()
    assert outcomes(writers) == [(None, [])] * 16
    assert "locked" not in printed
    check_kept(writers, sql)


@pytest.fixture
def contacts(several):
    """Some contacts of the running service."""
    made = [ask(several.port, "POST", "/contacts", {"name": f"Old {n}"})[1]["contact"] for n in range(6)]
    return sorted(made, key=lambda contact: contact["id"])


def test_a_write_waits_for_another_process_and_gives_up_in_time(several, path, sql, contacts):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE contact SET name_key = 'other'")
        with ThreadPoolExecutor(1) as pool:
            answers = pool.submit(write_all, several.port, contacts)
            while not answers.done():
                status, answer, _ = ask(several.port, "GET", "/contacts?sortBy=id")
                assert (status, answer["contacts"]) == (200, contacts)
            check_unavailable(answers.result(), "The directory is busy with other changes.")
        other.execute("ROLLBACK")
    assert read_contacts(sql) == {contact["id"]: {**contact, "phoneNumber": None} for contact in contacts}
    # One by one: a worker whose last thread has waited in vain keeps it for reads until its next write is done.
    check_written(several, contacts, write_all(several.port, contacts, at_once=False))


def check_written(service, contacts, answers):
    """All that write_all() asked for was done."""
    half = len(contacts) // 2
    assert [status for status, *_ in answers] == [201] * half + [200] * 2 * half
    names = [contact["name"] for contact in ask(service.port, "GET", "/contacts")[1]["contacts"]]
    assert names == ["Changed"] * half + ["New"] * half


@pytest.fixture
def roomy(path):
    """A service in which nine writes leave threads free, in whichever worker they come."""
    running = Service(path, "--workers", "2", "--threads", "16")
    yield running
    running.stop()


def test_a_write_that_gets_its_turn_in_time_is_done(roomy, path):
    made = [ask(roomy.port, "POST", "/contacts", {"name": f"Old {n}"})[1]["contact"] for n in range(6)]
    contacts = sorted(made, key=lambda contact: contact["id"])
    with closing(sqlite3.connect(path, isolation_level=None)) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        answers = pool.submit(write_all, roomy.port, contacts)
        time.sleep(2)
        assert not answers.done()
        other.execute("ROLLBACK")
        check_written(roomy, contacts, answers.result())


def test_a_killed_command_leaves_nothing_that_the_next_run_does_not_remove(path, tmp_path):
    (tmp_path / "users.csv").write_text("userName,name\n" + "".join(f"u{n},User {n}\n" for n in range(20_000)))

    def flask(*arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "flask", *arguments], cwd=ROOT, env={**os.environ, "CONTACTS_DATABASE": str(path)}
        )

    def unfinished():
        return list(tmp_path.glob(".*.part"))

    assert flask("sync", "User", str(tmp_path / "users.csv")).wait() == 0
    for command, file in (("backup", "backup.db"), ("export", "out.csv"), ("check", None)):
        arguments = [command, str(tmp_path / file)] if file else [command]
        process = flask(*arguments)
        wait_for(lambda process=process: unfinished() or process.poll() is not None)
        process.kill()
        process.wait()
        assert unfinished(), f"{command} was quicker than the kill"
        assert not file or not (tmp_path / file).exists()
        assert flask(*arguments).wait() == 0
        assert list(tmp_path.glob(".*")) == []
        assert not file or (tmp_path / file).exists()


def test_a_file_that_is_replaced_under_a_running_service_takes_no_writes(several, path, contacts, tmp_path):
    """A restore that forgot to stop the service: nothing is acknowledged that is lost."""

    def post():
        request = urllib.request.Request(
            f"{several.url}/contacts", b'{"name":"New"}', {**ADMIN, "Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code

    assert [post() for _ in range(20)] == [201] * 20
    flask = [sys.executable, "-m", "flask", "backup", str(tmp_path / "backup.db")]
    subprocess.run(flask, cwd=ROOT, env={**os.environ, "CONTACTS_DATABASE": str(path)}, check=True)
    os.replace(tmp_path / "backup.db", path)
    assert {post() for _ in range(20)} == {503}

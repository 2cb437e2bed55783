"""flask sync from a real LDAP server: what it brings in, and that nothing but a whole answer changes anything."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import UUID

import pytest
from conftest import ROOT, wait_for, workers
from pages import examples, follow, shell_with_flask
from slapd import BASE, PLACES, Gate, Slapd

from contacts import ldap

pytestmark = pytest.mark.slow

PEOPLE = 3000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with three thousand people."""
    with Slapd(tmp_path_factory.mktemp("slapd") / "server", PEOPLE) as running:
        yield running


@pytest.fixture
def sync(flask):
    """Sync the Users with what an LDAP URL names, with the reader's login of a server."""

    def run(server, *options, url=None, ca=None, password=None, status=0):
        login = ["--bind-dn", server.bind_dn, "--password-file", str(password or server.password_file)]
        trusted = ["--ca-file", str(ca or server.ca)] if ca is not False else []
        return flask("sync", "User", url or server.url(), *login, *trusted, *options, status=status)

    return run


def expected(entry):
    """Return the contact that an entry makes, without its id."""
    numbers = entry.get("telephoneNumber", [])
    contact = {
        "name": entry["displayName"][0],
        "type": "User",
        "userName": entry.get("sAMAccountName", entry["uid"])[0],
        "firstName": entry["givenName"][0],
        "lastName": entry["sn"][0],
        "employeeId": entry.get("employeeID", entry["employeeNumber"])[0],
    }
    return contact | ({"phoneNumber": min(numbers)} if numbers else {})


@pytest.mark.parametrize("scheme", ["ldaps", "ldap"])
def test_everybody_comes_in_and_a_second_run_changes_nothing(scheme, server, sync, agent):
    url = server.url(scheme)
    assert sync(server, url=url) == f"User: {PEOPLE} added, 0 changed, 0 removed, 0 unchanged, 0 rejected\n"
    found = {each["userName"]: each for each in agent.get("/contacts").json["contacts"]}
    entries = [expected(entry) for entry in server.people.values()]
    assert {name: {**each, "id": None} for name, each in found.items()} == {
        each["userName"]: {**each, "id": None} for each in entries
    }
    # An objectGUID as Microsoft prints it.
    guids = [
        (each["sAMAccountName"][0], each["objectGUID"][0]) for each in server.people.values() if "objectGUID" in each
    ]
    assert len(guids) == PEOPLE / 3
    assert all(found[name]["id"] == UUID(bytes_le=guid).hex for name, guid in guids)
    assert sync(server, url=url) == f"User: 0 added, 0 changed, 0 removed, {PEOPLE} unchanged, 0 rejected\n"


@pytest.mark.parametrize(
    ("path", "people"),
    [
        (f"/{PLACES[0]}??one?(objectClass=inetOrgPerson)", lambda dn, _: dn.partition(",")[2] == PLACES[0]),
        (f"/{PLACES[1]}???objectClass=inetOrgPerson", lambda dn, _: dn.endswith(PLACES[1])),
        (
            f"/{BASE}??sub?(%26(objectClass=adPerson)(uid=*)(!(userAccountControl=514))(!(userAccountControl=66082)))",
            lambda _, entry: entry.get("userAccountControl", ["514"])[0] not in {"514", "66082"},
        ),
        (f"/{PLACES[2].replace('Łó', '%C5%81%C3%B3')}?uid,cn?sub?(uid=*)", lambda dn, _: dn.endswith(PLACES[2])),
    ],
)
def test_the_url_says_who(path, people, server, sync, agent):
    sync(server, url=server.url(path=path))
    wanted = [expected(entry) for dn, entry in server.people.items() if people(dn, entry)]
    assert wanted
    assert {each["userName"].lower() for each in agent.get("/contacts").json["contacts"]} == {
        each["userName"].lower() for each in wanted
    }


def test_the_commands_of_the_documentation(server, path, tmp_path):
    here = {
        "ldaps://ldap.corp.example": f"ldaps://127.0.0.1:{server.tls_port}",
        "ldap://ldap.corp.example": f"ldap://127.0.0.1:{server.port}",
        "/etc/contacts/ldap-password": str(server.password_file),
        "/etc/contacts/ldap-ca.pem": str(server.ca),
    }

    def adapt(command):
        for written, real in here.items():
            command = command.replace(written, real)
        return command

    with shell_with_flask("flask", tmp_path / "home", path) as shell:
        follow(shell, examples("docs/directory.md", "ldap"), adapt)


def test_columns_may_be_named(server, sync, agent):
    sync(server, "--column", "description=phoneNumber", "--column", "telephoneNumber=", status=1)
    sync(
        server, "--column", "uidNumber=", "--ignore-extra", url=server.url(path=f"/{BASE}?mail??(uid=u00001)"), status=1
    )
    assert agent.names() == []


def test_a_login_that_changes_stays_the_same_contact(tmp_path, sync, agent):
    with Slapd(tmp_path / "server", people=20) as server:
        sync(server)
        before = {each["employeeId"]: each["id"] for each in agent.get("/contacts").json["contacts"]}
        dn = next(dn for dn in server.people if "u00001" in dn)
        server.ldapmodify(f"dn: {dn}\nchangetype: modrdn\nnewrdn: uid=renamed\ndeleteoldrdn: 1\n")
        assert "0 added, 1 changed, 0 removed" in sync(server)
        assert {each["employeeId"]: each["id"] for each in agent.get("/contacts").json["contacts"]} == before
        server.delete(next(dn for dn in server.people if "u00002" in dn))
        assert "0 added, 0 changed, 1 removed, 19 unchanged" in sync(server)


# What must change nothing.


@pytest.fixture
def kept(user, agent):
    """There is a User before, and still after."""
    yield
    assert agent.names() == ["Joe Johnson"]


EVERYTHING = ("--max-delete", "100%")


def test_a_certificate_of_somebody_else_is_refused(kept, server, sync):
    for scheme in ("ldaps", "ldap"):
        for ca in (server.other_ca, False):  # False: what the system believes
            output = sync(server, *EVERYTHING, url=server.url(scheme), ca=ca, status=1)
            assert "certificate" in output.lower()
            assert "nothing was changed" in output


def test_a_certificate_for_another_host_is_refused(kept, server, sync):
    output = sync(server, *EVERYTHING, url=server.url(host="127.0.0.2").replace("127.0.0.2", "ip6-localhost"), status=1)
    assert "nothing was changed" in output


def test_no_ldaprc_lets_another_certificate_in(kept, server, sync, tmp_path, monkeypatch):
    for name in ("ldaprc", ".ldaprc"):
        (tmp_path / name).write_text("TLS_REQCERT never\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for variable, value in {"LDAPTLS_REQCERT": "never", "LDAPRC": "ldaprc", "LDAPCONF": f"{tmp_path}/ldaprc"}.items():
        monkeypatch.setenv(variable, value)
    assert "certificate" in sync(server, *EVERYTHING, ca=server.other_ca, status=1).lower()


def test_starttls_is_the_least(kept, sync, tmp_path):
    with Slapd(tmp_path / "server", people=10, tls=False) as plain:
        output = sync(plain, *EVERYTHING, url=plain.url("ldap"), status=1)
    assert "nothing was changed" in output
    assert plain.password not in (tmp_path / "server" / "slapd.log").read_text(errors="replace")
    assert " BIND " not in (tmp_path / "server" / "slapd.log").read_text(errors="replace")


def test_a_wrong_password_is_said(kept, server, sync, tmp_path):
    (tmp_path / "password").write_text("wrong")
    output = sync(server, *EVERYTHING, password=tmp_path / "password", status=1)
    assert "does not know this bind DN with this password" in output
    (tmp_path / "password").write_text("\n")
    assert "is empty" in sync(server, *EVERYTHING, password=tmp_path / "password", status=1)


def test_a_line_break_behind_the_password_is_no_part_of_it(server, sync, agent, tmp_path):
    (tmp_path / "password").write_text(f"{server.password}\n", encoding="utf-8")
    sync(server, password=tmp_path / "password")
    assert agent.get("/contacts?limit=1").json["totalCount"] == PEOPLE


def test_nobody_finds_nothing(kept, server, flask):
    output = flask("sync", "User", server.url(), "--ca-file", str(server.ca), *EVERYTHING, status=1)
    assert "nothing was changed" in output
    for half in (["--bind-dn", "cn=x"], ["--password-file", str(server.password_file)]):
        assert "go together" in flask("sync", "User", server.url(), *half, status=1)


def test_a_base_that_is_not_there_is_said(kept, server, sync):
    output = sync(server, *EVERYTHING, url=server.url(path="/ou=Nowhere,dc=corp,dc=example"), status=1)
    assert "has no such base" in output


def test_a_size_limit_is_said(kept, sync, tmp_path):
    with Slapd(tmp_path / "server", people=1200, paged_limit=1000) as server:
        output = sync(server, *EVERYTHING, status=1)
    assert "size limit" in output
    assert "nothing was changed" in output


def test_a_server_that_is_not_there_is_said(kept, server, sync):
    output = sync(server, *EVERYTHING, url=server.url(port=1), status=1)
    assert "cannot be reached" in output


def gated(server, sync, what, **options):
    """Sync through a gate that stops in the middle of the answer, where `what` happens; return what is printed."""
    gate = Gate(server.tls_port, 100_000)

    def happen():
        gate.full.wait(60)
        what(gate)

    thread = threading.Thread(target=happen)
    thread.start()
    output = sync(server, *EVERYTHING, url=server.url(port=gate.port), status=1)
    thread.join()
    assert gate.full.is_set()
    return output


def test_a_server_that_goes_in_the_middle_changes_nothing(kept, server, sync):
    output = gated(server, sync, lambda gate: gate.cut())
    assert "went away" in output
    assert "nothing was changed" in output


def test_a_server_that_is_killed_in_the_middle_changes_nothing(kept, sync, tmp_path):
    with Slapd(tmp_path / "server", people=1500) as server:

        def kill(gate):
            server.kill()
            gate.open()

        assert "nothing was changed" in gated(server, sync, kill)


def test_a_server_that_freezes_is_given_up(kept, server, sync, monkeypatch):
    monkeypatch.setattr(ldap, "MAX_SEARCH_S", 3)
    output = gated(server, sync, lambda gate: None)
    assert "has not answered in 3 seconds" in output
    server.freeze()
    try:
        assert "has not answered" in sync(server, *EVERYTHING, status=1)
    finally:
        server.thaw()


def test_without_ldapsearch_it_says_what_to_install(kept, server, sync, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install ldap-utils" in sync(server, status=1)


def test_a_host_that_is_none_is_said(kept, server, sync):
    for host in ("dc1..corp.example", "x" * 70):
        assert "nothing was changed" in sync(server, url=f"ldaps://{host}/dc=x", status=1)


def test_a_ca_file_that_is_none_is_said(kept, server, sync, tmp_path):
    (tmp_path / "ca.der").write_bytes(b"\x30\x82")
    assert "has no certificate in PEM" in sync(server, ca=tmp_path / "ca.der", status=1)


@pytest.mark.parametrize("column", ["-n=phoneNumber", "-Hldap://x=phoneNumber", "a b=name"])
def test_a_column_is_no_option_of_ldapsearch(column, kept, server, sync):
    assert "is no attribute of LDAP" in sync(server, "--column", column, status=1)


def comm(pid):
    """Return the name of what a process runs."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_a_command_that_is_told_to_end_takes_ldapsearch_along(server, path, tmp_path):
    (tmp_path / "temporary").mkdir()
    server.freeze()
    try:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "flask", "sync", "User", server.url(), "--ca-file", str(server.ca)),
                *("--bind-dn", server.bind_dn, "--password-file", str(server.password_file)),
            ],
            cwd=ROOT,
            env={**os.environ, "CONTACTS_DATABASE": str(path), "TMPDIR": str(tmp_path / "temporary")},
        )
        wait_for(lambda: [comm(child) for child in workers(process.pid)] == ["ldapsearch"])
        (child,) = workers(process.pid)
        files = [file.read_bytes() for file in (tmp_path / "temporary").rglob("*") if file.is_file()]
        assert server.password.encode() not in b"".join(files)
        time.sleep(0.5)  # it waits for ldapsearch: at the moment of its start, Python could not end it yet
        process.terminate()
        assert process.wait(30) == 128 + 15
        assert not os.path.exists(f"/proc/{child}")
        assert list((tmp_path / "temporary").iterdir()) == []
    finally:
        server.thaw()


def test_nothing_of_a_search_stays_behind(server, sync, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    sync(server)
    sync(server, ca=server.other_ca, status=1)
    assert list((tmp_path / "temporary").iterdir()) == []

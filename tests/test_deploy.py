"""deploy/ does what the documentation says, on a machine that has just been booted: a real systemd, and no network.

The machine is this one's files, under an overlay that takes what is written, in namespaces of its own.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT, free_port, wait_for
from pages import block, examples, stable
from test_gws import PRINTED

from contacts.settings import CHECKS, PREFIX

pytestmark = pytest.mark.slow

DEPLOY = ROOT / "deploy"
SERVICES = ["contacts.service", "contacts-backup.service", "contacts-sync@User.service", "contacts-ldap.service"]

# What systemd may find the exposure to be, in tenths: up to 2.0 is OK, 9.6 is a service that nobody shut in.
EXPOSURE = 12

# A machine's own Python, not one that somebody has in his home.
PYTHON = "/usr/bin/python3"
PLAIN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}

OVERLAY = """
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
"""


def may_mount():
    """Tell whether namespaces and mounts are to be had here: in most containers they are not."""
    return (
        subprocess.run(
            ["unshare", "--mount", "--net", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=False, capture_output=True
        ).returncode
        == 0
    )


needs_mounts = pytest.mark.skipif(not may_mount(), reason="needs root, and a kernel that lets it mount")


def run(*command, **kwargs):
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **kwargs)
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


# What can be said without a machine.


@pytest.fixture
def units(tmp_path):
    """The units, for a project that is where these tests are."""
    folder = tmp_path / "units"
    shutil.copytree(DEPLOY, folder)
    for file in folder.rglob("contacts*"):
        if file.is_file():
            text = file.read_text().replace("/opt/contacts/.venv", sys.prefix).replace("/opt/contacts", str(ROOT))
            file.write_text(text)
    (folder / "contacts-sync@.service").rename(folder / "contacts-sync@User.service")
    return folder


def test_systemd_finds_nothing_wrong_with_the_units(units):
    kinds = {".service", ".socket", ".timer"}
    files = [str(file) for file in units.iterdir() if file.suffix in kinds and "@." not in file.name]
    assert len(files) == 7
    assert run("systemd-analyze", "verify", *files) == ""


@pytest.mark.parametrize("name", SERVICES)
def test_the_units_are_shut_in(units, name):
    run("systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE}", str(units / name))


def test_commands_may_do_what_the_service_may():
    service, commands = (
        (DEPLOY / name).read_text() for name in ("contacts.service", "contacts-.service.d/command.conf")
    )
    sandbox = service[service.index("ProtectSystem=") : service.index("\n[Install]")]
    assert len(sandbox.splitlines()) > 20
    assert sandbox.rstrip() in commands


def test_the_sample_has_settings_that_there_are():
    names = re.findall(r"^#?([A-Z_]+)=", (DEPLOY / "contacts.env").read_text(), re.MULTILINE)
    assert names
    assert set(names) <= {PREFIX + name for name in CHECKS} | {"GUNICORN_CMD_ARGS"}


def test_the_service_tells_systemd_when_it_is_ready_and_ends_well(units, tmp_path):
    unit = dict(re.findall(r"^(\w+)=(.*)$", (units / "contacts.service").read_text(), re.MULTILINE))
    assert unit["Type"] == "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(60)
        process = subprocess.Popen(
            unit["ExecStart"].split(),
            cwd=unit["WorkingDirectory"],
            env={
                **PLAIN,
                "CONTACTS_DATABASE": str(tmp_path / "contacts.db"),
                "NOTIFY_SOCKET": str(tmp_path / "notify"),
                "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{free_port()}",
            },
        )
        try:
            assert b"READY=1" in notify.recv(4096).splitlines()
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(int(unit["TimeoutStopSec"])) == 0


# The bundle, on a machine.


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """What `make bundle` makes of this commit, in a clone of its own."""
    clone = tmp_path_factory.mktemp("bundle") / "contacts"
    run("git", "clone", "--quiet", str(ROOT), str(clone))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    run("make", "bundle", f"PYTHON={PYTHON}", cwd=clone, env=environment)
    return clone / "dist"


def comm(pid):
    """Return the name of what a process runs, "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


class Machine:
    """A machine that has just been booted, with a folder of this one under /mnt."""

    def __init__(self, folder, mnt):
        booted = Path("/run/systemd/system").is_dir()
        spawn = (
            f'systemd-nspawn --directory="$1/root" --bind-ro={mnt}:/mnt --private-network --console=pipe --quiet '
            # What systemd filters a unit's addresses with.
            "--capability=CAP_BPF --system-call-filter=bpf "
            f"--register=no {'' if booted else '--keep-unit'} --link-journal=no --resolv-conf=off --timezone=off "
            "--boot -- --unit=basic.target"
        )
        self.process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-ec", f"{OVERLAY} exec {spawn}", "sh", str(folder)],
            # The one hierarchy of control groups that today's systems have.
            env={**PLAIN, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.init = None
        deadline = time.monotonic() + 60
        while not self.is_up():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"the machine did not boot: {self.stop()}")
            time.sleep(0.1)

    def is_up(self):
        """Tell whether it has booted: whether its init, which has namespaces of its own, says so."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.init = next((pid for pid in children if comm(pid) == "systemd"), None)
        return self.init and self.run("systemctl is-system-running", check=False).returncode == 0

    def run(self, script, check=True, **kwargs):
        """Run a script there, as root."""
        ran = subprocess.run(
            ["nsenter", "--all", "--target", self.init, "bash", "-c", f"cd /mnt && {script}"],
            env=PLAIN,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **kwargs,
        )
        assert ran.returncode == 0 or not check, f"{script}\n{ran.stdout}\n{self.journal() if check else ''}"
        return ran

    def journal(self):
        return self.run("journalctl --no-pager --lines 40", check=False).stdout

    def stop(self):
        """Switch it off, and return what it printed."""
        self.process.terminate()
        return self.process.communicate(timeout=60)[0].decode()


@pytest.fixture(scope="module")
def machine(bundle, tmp_path_factory):
    running = Machine(tmp_path_factory.mktemp("machine"), bundle)
    yield running
    running.stop()


def follow(machine, page, mark, date=""):
    """Run the commands under a mark on a page, in one shell as a person does, and compare what they print."""
    expected = examples(page, mark)
    # As careful administrators have it.
    script = "umask 077\n" + "\n".join(
        f"{command.replace('2026-11-23', date)}\nprintf '\\0'" for command, _ in expected
    )
    printed = machine.run(f"set -e\n{script}").stdout.split("\0")
    for (command, output), real in zip(expected, printed[:-1], strict=True):
        assert stable(real.rstrip("\n")) == stable(output.rstrip("\n")), command


@pytest.fixture(scope="module")
def deployed(machine):
    """A machine on which somebody followed docs/deployment.md."""
    assert machine.run("ip route get 192.0.2.1", check=False).returncode != 0
    follow(machine, "docs/deployment.md", "deploy")
    follow(machine, "docs/deployment.md", "nginx")
    machine.run('printf "alice:%s\\n" "$(openssl passwd -6 secret)" >> /etc/nginx/contacts.htpasswd')
    return machine


def contacts(machine, type_="User,Queue,Custom"):
    """Return what the service there answers."""
    url = f"http://127.0.0.1:8000/contacts?limit=1&type={type_}"
    return machine.run(f"curl --silent --show-error --header 'X-Role: Agent' '{url}'").stdout


@contextmanager
def setting(machine, lines, starts=True):
    """Start the service anew with some settings more, for as long as the block lasts."""
    machine.run(f"cp -p /etc/contacts/contacts.env /tmp/ && echo {shlex.quote(lines)} >> /etc/contacts/contacts.env")
    try:
        assert (machine.run("systemctl restart contacts", check=False).returncode == 0) is starts
        yield
    finally:
        machine.run("cp -p /tmp/contacts.env /etc/contacts/; systemctl restart contacts")


@needs_mounts
def test_the_page_deploys_the_service_without_network(deployed):
    assert '"statusCode":0' in contacts(deployed)
    user, *rest = deployed.run("ps -o user= -p $(systemctl show --value --property MainPID contacts)").stdout.split()
    assert (user, rest) == ("contacts", [])
    listing = deployed.run("stat --format '%U %a %n' /var/lib/private/contacts/* /var/lib/private/contacts").stdout
    assert set(listing.splitlines()) >= {
        "contacts 700 /var/lib/private/contacts",
        "contacts 600 /var/lib/private/contacts/contacts.db",
        "contacts 600 /var/lib/private/contacts/contacts.db-wal",
    }
    assert "contacts" not in deployed.run("cat /etc/passwd").stdout.split(":")


@needs_mounts
def test_the_timers_wait_for_their_time(deployed):
    listed = deployed.run("systemctl list-timers --no-pager --no-legend 'contacts*'").stdout
    assert sorted(re.findall(r"contacts\S+timer", listed)) == [
        "contacts-backup.timer",
        "contacts-sync@Queue.timer",
        "contacts-sync@User.timer",
    ]


@needs_mounts
def test_a_sync_takes_the_file_that_is_there_and_does_nothing_without(deployed):
    deployed.run("install -D -m 600 /opt/contacts/demo/users.csv /srv/contacts/User.csv")
    deployed.run("systemctl start contacts-sync@User contacts-sync@Queue")
    assert '"totalCount":250' in contacts(deployed, "User")
    assert '"totalCount":0' in contacts(deployed, "Queue")
    # A file that was cut off removes nobody, and is seen.
    deployed.run("head -3 /opt/contacts/demo/users.csv > /srv/contacts/User.csv")
    assert deployed.run("systemctl start contacts-sync@User", check=False).returncode != 0
    assert "contacts-sync@User" in deployed.run("systemctl --failed --no-legend").stdout
    assert "nothing was changed" in deployed.run("journalctl --no-pager --unit contacts-sync@User").stdout
    assert '"totalCount":250' in contacts(deployed, "User")
    deployed.run("rm /srv/contacts/User.csv && systemctl reset-failed")


@needs_mounts
def test_a_sync_with_ldap_has_the_password_as_a_credential(deployed):
    follow(deployed, "docs/directory.md", "every-hour")
    deployed.run("cp /etc/ssl/certs/contacts.pem /etc/contacts/ldap-ca.pem")
    deployed.run("sed -i s,dc1.corp.example,127.0.0.1:1, /etc/contacts/ldap.env")
    assert deployed.run("systemctl start contacts-ldap", check=False).returncode != 0
    said = deployed.run("journalctl --no-pager --unit contacts-ldap").stdout
    assert "the server cannot be reached" in said, said
    assert "nothing was changed" in said
    deployed.run("systemctl reset-failed; systemctl disable --quiet --now contacts-ldap.timer")


@needs_mounts
def test_a_command_takes_and_gives_files_by_its_standard_streams(deployed):
    deployed.run("contacts-flask import - --format csv < <(printf 'name,phoneNumber\nTaxi,123\n')")
    assert "Taxi,123" in deployed.run("contacts-flask export - --format csv --type Custom").stdout
    failed = deployed.run("contacts-flask token revoke nobody", check=False)
    assert failed.returncode == 1
    assert "there is no token" in failed.stdout


BACKUPS = "/var/lib/contacts/backups"


@needs_mounts
def test_backups_older_than_two_weeks_go_but_only_after_a_good_one(deployed):
    deployed.run(f"touch -d '20 days ago' {BACKUPS}/contacts-2020-01-01.db && touch -d '20 days ago' {BACKUPS}/other")
    deployed.run(f"touch -d '10 days ago' {BACKUPS}/contacts-2020-01-11.db")
    # A day's backup that cannot be made.
    deployed.run(f"mkdir {BACKUPS}/contacts-$(date +%F).db")
    assert deployed.run("systemctl start contacts-backup", check=False).returncode != 0
    assert "contacts-2020-01-01.db" in deployed.run(f"ls {BACKUPS}").stdout
    deployed.run(f"rmdir {BACKUPS}/contacts-$(date +%F).db")
    deployed.run("systemctl start contacts-backup && systemctl start contacts-backup")
    today = deployed.run("date +%F").stdout.strip()
    assert deployed.run(f"ls {BACKUPS}").stdout.split() == ["contacts-2020-01-11.db", f"contacts-{today}.db", "other"]


@needs_mounts
def test_a_damaged_database_is_restored_as_the_page_says(deployed):
    deployed.run("systemctl start contacts-backup")
    before = contacts(deployed)
    database = "/var/lib/contacts/contacts.db"
    deployed.run(f"systemctl stop contacts && head -c 100000 /dev/urandom > {database}")
    assert deployed.run("systemctl start contacts", check=False).returncode != 0
    assert "not an SQLite database; it is left as it is" in deployed.journal()
    backup = deployed.run(f"ls -t {BACKUPS}/contacts-*.db | head -1").stdout
    follow(deployed, "docs/operation.md", "restore", date=re.search(r"\d{4}-\d\d-\d\d", backup)[0])
    assert contacts(deployed) == before
    assert deployed.run(f"stat --format '%U %a' {database}").stdout == "contacts 600\n"
    deployed.run(
        "curl -sSf -H 'X-Role: ROLE_ADMIN' -H 'Content-Type: application/json' -d '{\"name\":\"New\"}' "
        "http://127.0.0.1:8000/contacts"
    )


@needs_mounts
def test_a_new_version_is_installed_as_the_page_says(deployed):
    before = contacts(deployed)
    follow(deployed, "docs/operation.md", "upgrade")
    assert contacts(deployed) == before


@needs_mounts
def test_the_service_is_reloaded_restarted_and_stopped_in_order(deployed):
    def pid():
        return deployed.run("systemctl show --value --property MainPID contacts").stdout.strip()

    old = pid()
    deployed.run("systemctl reload contacts")
    assert '"statusCode":0' in contacts(deployed)
    assert pid() == old
    deployed.run(f"kill -9 {old}")
    deadline = time.monotonic() + 30
    while pid() in {old, "0"} or deployed.run("systemctl is-active contacts", check=False).stdout != "active\n":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert '"statusCode":0' in contacts(deployed)
    deployed.run("systemctl stop contacts")
    ended = deployed.run("systemctl show --property Result,ExecMainStatus contacts").stdout
    assert ended.split() == ["Result=success", "ExecMainStatus=0"]
    deployed.run("systemctl start contacts")


# Sends requests through nginx until a file is gone; each answer is a line of another one.
CLIENTS = """
import base64, http.client, os, ssl, sys, threading

context = ssl._create_unverified_context()

def send(name, method, target, body, headers):
    headers = {"Authorization": "Basic " + base64.b64encode(f"{name}:secret".encode()).decode(), **headers}
    while os.path.exists("/tmp/load/running"):
        client = http.client.HTTPSConnection("127.0.0.1", context=context, timeout=60)
        try:
            for _ in range(20):
                client.request(method, target, body, headers)
                answer = client.getresponse()
                answer.read()
                answers.write(f"{method} {answer.status}\\n")
        except Exception as error:
            answers.write(f"{method} {error!r}\\n")
        client.close()

READ = ("bob", "GET", "/contacts?limit=5", None, {})
WRITE = ("alice", "POST", "/contacts", '{"name":"Under load"}', {"Content-Type": "application/json"})
with open("/tmp/load/answers", "w", buffering=1) as answers:
    threads = [threading.Thread(target=send, args=request) for request in [READ] * 4 + [WRITE] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
os.mkdir("/tmp/load/done")
"""


class Load:
    """Clients of nginx on a machine, six at once: four that read, and two that write."""

    def __init__(self, machine):
        self.machine = machine
        machine.run("rm -rf /tmp/load; mkdir /tmp/load; touch /tmp/load/running /tmp/load/answers")
        machine.run("cat > /tmp/load/clients.py", input=CLIENTS)
        machine.run(f"({PYTHON} /tmp/load/clients.py &) < /dev/null > /tmp/load/log 2>&1")

    def answers(self):
        """Return the answers so far: the method and the status of each."""
        return self.machine.run("cat /tmp/load/answers").stdout.splitlines()

    def go_on(self):
        """Wait until there are some answers more."""
        before = len(self.answers())
        wait_for(lambda: len(self.answers()) > before + 100)

    def stop(self):
        """End them, and return which answers there were."""
        self.machine.run("rm /tmp/load/running; while ! [ -e /tmp/load/done ]; do sleep 0.1; done", timeout=120)
        return set(self.answers())


@needs_mounts
def test_no_client_of_nginx_sees_a_reload_or_a_restart(deployed):
    load = Load(deployed)
    load.go_on()
    for command in ("reload", "restart", "reload", "restart"):
        deployed.run(f"systemctl {command} contacts")
        load.go_on()
    assert load.stop() == {"GET 200", "POST 201"}


@needs_mounts
def test_no_reader_behind_nginx_sees_a_killed_process(deployed):
    load = Load(deployed)
    load.go_on()
    main = "$(systemctl show --value --property MainPID contacts)"
    for victim in (f"$(pgrep --oldest --parent {main})", main, f"$(pgrep --newest --parent {main})", main):
        deployed.run(f"kill -9 {victim}")
        load.go_on()
    # A write may have been done when its answer was lost: nginx does not send it again.
    assert load.stop() - {"POST 502"} == {"GET 200", "POST 201"}
    # What the killed ones counted is gone.
    assert deployed.run("ls -d /dev/shm/contacts-metrics-* | wc -l").stdout == "1\n"


@needs_mounts
def test_a_bad_setting_stops_the_start_with_a_line_in_the_journal(deployed):
    with setting(deployed, "CONTACTS_LOG_LEVEL=loud", starts=False):
        assert "CONTACTS_LOG_LEVEL='loud': give one of" in deployed.journal()
        for _ in range(6):  # more than systemd allows in ten seconds, unless it is told otherwise
            assert deployed.run("systemctl start contacts", check=False).returncode != 0
        assert deployed.run("systemctl is-active contacts.socket").stdout == "active\n"


@needs_mounts
def test_the_units_are_right_where_they_are_installed(deployed):
    assert deployed.run(f"systemd-analyze verify {' '.join(SERVICES)} contacts-backup.timer").stdout == ""
    deployed.run(f"systemd-analyze security --no-pager --threshold={EXPOSURE} {' '.join(SERVICES)}")


ATTEMPT = """
import os, socket
for path in ("/opt/contacts/x", "/etc/x", "/usr/x", "/var/lib/x", "/srv/x", "/root/x"):
    try:
        open(path, "w")
    except OSError:
        continue
    print(path)
try:
    socket.create_connection(("127.0.0.1", 8000), timeout=2)
    print("connected")
except TimeoutError:
    pass
print(os.getuid() != 0, os.listdir("/var/lib/contacts") != [])
"""


@needs_mounts
def test_a_command_writes_to_the_service_s_folder_alone_and_speaks_to_nobody(deployed):
    attempt = "systemd-run --quiet --collect --pipe --wait --unit=contacts-attempt /opt/contacts/.venv/bin/python -"
    assert deployed.run(attempt, input=ATTEMPT).stdout == "True True\n"


@needs_mounts
@pytest.mark.parametrize(("allow", "status"), [("", 28), ("IPAddressAllow=192.0.2.1", 0)])
def test_the_service_answers_this_machine_alone_until_others_are_allowed(allow, status, deployed):
    deployed.run("ip address replace 192.0.2.1/32 dev lo")
    folder = "/etc/systemd/system/contacts.socket.d"
    listen = f"[Socket]\nListenStream=\nListenStream=0.0.0.0:8000\n{allow}\n"
    deployed.run(f"mkdir {folder} && printf '{listen}' > {folder}/override.conf && systemctl daemon-reload")
    deployed.run("systemctl restart contacts.socket")
    try:
        assert '"statusCode":0' in contacts(deployed)
        attempt = "curl --silent --max-time 2 --output /dev/null http://192.0.2.1:8000/healthz"
        assert deployed.run(attempt, check=False).returncode == status
    finally:
        deployed.run(f"rm -r {folder} && systemctl daemon-reload && systemctl restart contacts.socket")


@needs_mounts
def test_a_site_of_genesys_web_services_moves_as_the_page_says(deployed):
    deployed.run("cat > /tmp/gws.json", input=json.dumps({**PRINTED, "totalCount": len(PRINTED["contacts"])}))
    deployed.run("contacts-flask sync User - --format json --no-delete < /tmp/gws.json")
    with setting(deployed, block("docs/gws.md", "settings")):
        follow(deployed, "docs/gws.md", "gws-check")


@needs_mounts
def test_a_bundle_for_another_python_says_so(machine):
    machine.run("mkdir /tmp/other && tar -xzf contacts-*.tar.gz -C /tmp/other --strip-components 1")
    machine.run("echo cpython-399-vax > /tmp/other/wheels/ABI")
    failed = machine.run("make -C /tmp/other install", check=False)
    assert failed.returncode == 2
    assert "This bundle is for cpython-399-vax, and python3 is cpython-3" in failed.stdout
    assert machine.run("ls /tmp/other/.venv", check=False).returncode != 0


# The container image.

# What belongs to the project, and not into the image.
OUTSIDE = {
    ".ci",
    ".dockerignore",
    ".gitignore",
    "Makefile",
    "bench",
    "demo",
    "deploy",
    "docs",
    "pyproject.toml",
    "tests",
}

BUILD = """
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --rbind /dev "$1/root/dev"
chroot "$1/root" /usr/bin/python3 -m venv /usr/local/python
"""
START = """
mount -t overlay overlay -o "lowerdir=$1/upper:/" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/tmp"
mount --bind "$2" "$1/root/data"
ip link set lo up
shift 2
exec chroot "$0" env --ignore-environment --chdir=/opt/contacts "$@"
"""


def dockerfile():
    """Return the Dockerfile's instructions, each with its argument."""
    return re.findall(r"^([A-Z]+) (.*)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)


def test_hadolint_finds_nothing_wrong_with_the_dockerfile():
    assert run(f"{sys.prefix}/bin/hadolint", "--failure-threshold=style", str(DEPLOY / "Dockerfile")) == ""


def test_the_image_has_all_that_the_service_is_made_of():
    tracked = {name.split("/")[0] for name in run("git", "ls-files", cwd=ROOT).split()}
    copied = {word.rstrip("/") for name, argument in dockerfile() if name == "COPY" for word in argument.split()[:-1]}
    assert copied == {name for name in tracked - OUTSIDE if not re.search(r"\.md$|-(api|audit|dev)\.txt$", name)}


class Image:
    """What the Dockerfile makes, but for the base image: this machine's files and a Python are in its place."""

    def __init__(self, folder):
        self.folder = folder
        self.said = {}
        context = folder / "context"
        for pattern in re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE):
            for file in ROOT.glob(pattern):
                (context / file.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, context / file.relative_to(ROOT))
        self.environment = {"PATH": f"/usr/local/python/bin:{PLAIN['PATH']}"}
        run("unshare", "--mount", "sh", "-ec", BUILD + "\n".join(self.steps()), "sh", str(folder), cwd=context)

    def steps(self):
        """Do what each instruction says, or keep it for the start of a container."""
        for name, argument in dockerfile():
            match name:
                case "WORKDIR":
                    yield f'mkdir -p "$1/root{argument}"'
                case "COPY":
                    *sources, target = argument.split()
                    place = f'"$1/root{self.said["WORKDIR"]}/{target}"'
                    yield f"mkdir -p {place}"
                    yield from (f"cp -r {source}{'.' * source.endswith('/')} {place}" for source in sources)
                case "RUN":
                    path = f"PATH={self.environment['PATH']}"
                    yield f'chroot "$1/root" env --chdir={self.said["WORKDIR"]} {path} {argument}'
                case "ENV":
                    variable, value = argument.split("=")
                    self.environment[variable] = value
            self.said[name] = argument

    def command(self, *command):
        """Return what runs a command as the image says: as its user, without any privilege."""
        user, group = self.said["USER"].split(":")
        return [
            "/usr/bin/setpriv",
            f"--reuid={user}",
            f"--regid={group}",
            "--clear-groups",
            "--bounding-set=-all",
            "--no-new-privs",
            "/usr/bin/env",
            "--ignore-environment",
            f"--chdir={self.said['WORKDIR']}",
            *(f"{name}={value}" for name, value in self.environment.items()),
            *command,
        ]


class Container:
    """The image's service: a root that is read-only, a /tmp in memory, a volume, and a network of its own."""

    def __init__(self, image, volume):
        self.image = image
        self.process = subprocess.Popen(
            [
                *("unshare", "--mount", "--net", "sh", "-ec", START, str(image.folder / "root"), str(image.folder)),
                str(volume),
                *image.command(*json.loads(image.said["CMD"])),
            ]
        )
        healthy = json.loads(image.said["HEALTHCHECK"].removeprefix("CMD "))
        deadline = time.monotonic() + 60
        # gunicorn is the last of those that make the namespaces and then run the next.
        while comm(self.process.pid) != "gunicorn" or self.run(*healthy).returncode != 0:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"the container is not healthy; it ended with {self.stop()}")
            time.sleep(0.1)

    def run(self, *command):
        """Run a command in it."""
        enter = ["nsenter", f"--target={self.process.pid}", "--mount", "--net", "--root", "--wd"]
        return subprocess.run(
            enter + self.image.command(*command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def stop(self):
        self.process.terminate()
        return self.process.wait(60)


@needs_mounts
def test_a_container_serves_from_a_read_only_root_and_keeps_its_volume(tmp_path):
    image = Image(tmp_path)
    user = int(image.said["USER"].split(":")[0])
    # As an engine makes a new volume: like the folder in the image.
    made = tmp_path / "upper" / image.said["VOLUME"].lstrip("/")
    assert (made.stat().st_uid, made.stat().st_mode & 0o777) == (user, 0o700)
    volume = tmp_path / "volume"
    run("cp", "--archive", str(made), str(volume))

    container = Container(image, volume)
    try:
        assert container.run("touch", "/opt/contacts/x", "/data/x", "/tmp/x").stdout.count("Read-only") == 1
        assert container.run("sh", "-c", "id -u; grep CapBnd /proc/self/status").stdout.split() == [
            str(user),
            "CapBnd:",
            "0000000000000000",
        ]
        token = container.run("flask", "token", "create", "Agent", "wallboard").stdout.strip()
        curl = ["curl", "--silent", "--header", f"Authorization: Bearer {token}", "http://127.0.0.1:8000/contacts"]
        assert '"statusCode":0' in container.run(*curl).stdout
        for page in ("openapi.json", "docs"):
            assert container.run("curl", "--silent", "--fail", f"http://127.0.0.1:8000/{page}").returncode == 0
    finally:
        assert container.stop() == 0
    assert {(file.name, file.stat().st_uid) for file in volume.iterdir()} >= {("contacts.db", user)}

    container = Container(image, volume)
    try:
        assert '"statusCode":0' in container.run(*curl).stdout
    finally:
        assert container.stop() == 0

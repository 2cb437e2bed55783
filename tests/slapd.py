"""A real OpenLDAP server on loopback, full of people (Debian: slapd and ldap-utils)."""

import contextlib
import random
import signal
import socket
import subprocess
import threading
import uuid
from base64 import b64encode
from pathlib import Path

from conftest import free_port, listens

BASE = "dc=corp,dc=example"
PLACES = [f"ou=Staff,{BASE}", f"ou=Berlin,ou=Staff,{BASE}", f"ou=Łódź,ou=Staff,{BASE}"]
NAMES = [
    "Ada Byron",
    "Zoë Müller",
    "Łucja Żółć",
    "Ольга Иванова",
    "美咲 佐藤",
    "ليلى حداد",
    "Søren Ærø",
    "Ann O'Neil, Jr.",
]
PHOTO = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)) + b"\xff\xd9"

# The object identifiers of the attributes are Microsoft's.
SCHEMA = """
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch
  SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.2 NAME 'objectGUID' EQUALITY octetStringMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.35 NAME 'employeeID' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.32473.1 NAME 'adPerson' SUP top AUXILIARY
  MAY ( sAMAccountName $ objectGUID $ employeeID $ userAccountControl ) )
"""

CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include "{folder}/ad.schema"
modulepath /usr/lib/ldap
moduleload back_mdb
{tls}
access to attrs=userPassword by dn.exact="{reader}" read by anonymous auth by * none
access to * by dn.exact="{reader}" read by * none
database mdb
suffix "{base}"
rootdn "{admin}"
rootpw {admin_password}
directory "{folder}/data"
maxsize 1073741824
dbnosync
index objectClass,uid,sAMAccountName eq
limits dn.exact="{reader}" size={size} size.prtotal={paged}
"""


def person(number):
    """The attributes of one of the people, the same in every run."""
    chance = random.Random(number)
    given, _, family = NAMES[number % len(NAMES)].partition(" ")
    uid = f"u{number:05}"
    entry = {
        "objectClass": ["inetOrgPerson"],
        "uid": [uid],
        "cn": [f"{given} {family} {number}"],
        "sn": [family],
        "givenName": [given],
        "displayName": [f"{family}, {given}"],
        "employeeNumber": [str(100000 + number)],
    }
    if number % 10:  # the others have no telephone
        numbers = chance.sample(range(1000, 10000), 3 if number % 7 == 0 else 1)
        entry["telephoneNumber"] = [f"+49 30 5550 {extension}" for extension in numbers]
    if number % 50 == 1:
        entry["jpegPhoto"] = [PHOTO]
    if number % 20 == 2:
        entry["displayName;lang-de"] = [f"{given} {family} (Zürich)"]
    if number % 3 == 0:
        entry["objectClass"].append("adPerson")
        entry["sAMAccountName"] = [uid.upper()]
        entry["objectGUID"] = [uuid.UUID(int=chance.getrandbits(128), version=4).bytes_le]
        entry["employeeID"] = [f"E{number}"]
        entry["userAccountControl"] = [{0: "514", 1: "66082"}.get(number // 3 % 20, "512")]  # the first two: disabled
    return f"uid={uid},{PLACES[number % 3 if number % 9 else 1]}", entry


def ldif(dn, entry):
    lines = [("dn", dn), *((name, value) for name, values in entry.items() for value in values)]
    as_bytes = [(name, value if isinstance(value, bytes) else value.encode()) for name, value in lines]
    return "".join(f"{name}:: {b64encode(value).decode()}\n" for name, value in as_bytes) + "\n"


def certificate(folder, name, *options):
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / f"{name}.key"]
    command = ["openssl", "req", "-x509", *key, "-out", folder / f"{name}.pem", "-subj", f"/CN={name}", *options]
    subprocess.run(command, check=True, capture_output=True)


class Slapd:
    """A server with its own folder; `people` tells, by dn, what the entries of its people are."""

    base = BASE
    bind_dn = f"cn=reader,{BASE}"
    password = 'Grüne "Tür" \'n 7'
    admin_dn = f"cn=admin,{BASE}"
    admin_password = "admin"

    def __init__(self, folder, people=3000, size_limit=None, tls=True, paged_limit=None):
        """`size_limit` is for what comes without paging, `paged_limit` for all pages together."""
        self.folder = folder = Path(folder)
        (folder / "data").mkdir(parents=True)
        self.ca, self.other_ca = folder / "ca.pem", folder / "other-ca.pem"
        self.password_file = folder / "password"
        self.password_file.touch(0o600)  # or ldapsearch warns
        self.password_file.write_text(self.password, encoding="utf-8")
        certificate(folder, "ca")
        certificate(folder, "other-ca")
        # For "localhost", OpenLDAP's client looks for the machine's own name in a certificate.
        names = f"IP:127.0.0.1,DNS:localhost,DNS:{socket.gethostname()},DNS:{socket.getfqdn()}"
        options = ["-addext", f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:FALSE"]
        certificate(folder, "server", "-CA", self.ca, "-CAkey", folder / "ca.key", *options)
        (folder / "ad.schema").write_text(SCHEMA)
        configuration = CONFIGURATION.format(
            folder=folder,
            tls=f'TLSCertificateFile "{folder}/server.pem"\nTLSCertificateKeyFile "{folder}/server.key"' if tls else "",
            base=BASE,
            reader=self.bind_dn,
            admin=self.admin_dn,
            admin_password=self.admin_password,
            size=size_limit or "unlimited",
            paged=paged_limit or "unlimited",
        )
        (folder / "slapd.conf").write_text(configuration)
        self.people = dict(map(person, range(people)))
        load = ["/usr/sbin/slapadd", "-q", "-f", folder / "slapd.conf"]
        subprocess.run(load, input=self.entries(), check=True, capture_output=True, encoding="utf-8")
        self.port = free_port()
        self.tls_port = free_port() if tls else None
        self.start()

    def entries(self):
        reader = {"objectClass": ["organizationalRole", "simpleSecurityObject"], "userPassword": [self.password]}
        elsewhere = f"ldap://a-server-with-a-long-name.elsewhere.corp.example:389/ou=Elsewhere,{BASE}"
        others = {
            BASE: {"objectClass": ["dcObject", "organization"], "o": ["Corp"]},
            self.bind_dn: reader,
            **{place: {"objectClass": ["organizationalUnit"]} for place in PLACES},
            f"ou=Elsewhere,{BASE}": {"objectClass": ["referral", "extensibleObject"], "ref": [elsewhere]},
        }
        for number in range(5):
            computer = {"objectClass": ["device", "adPerson"], "sAMAccountName": [f"PC{number}$"]}
            others[f"cn=PC{number},{PLACES[0]}"] = {**computer, "userAccountControl": ["4096"]}
        return "".join(ldif(dn, entry) for dn, entry in {**others, **self.people}.items())

    def start(self):
        addresses = f"ldap://127.0.0.1:{self.port}"
        if self.tls_port:
            addresses += f" ldaps://127.0.0.1:{self.tls_port}"
        command = ["/usr/sbin/slapd", "-f", self.folder / "slapd.conf", "-h", addresses, "-d", "stats"]
        with (self.folder / "slapd.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        if not all(listens(self.process, port) for port in (self.port, self.tls_port) if port):
            self.stop()
            raise RuntimeError((self.folder / "slapd.log").read_text(errors="replace"))

    def url(self, scheme="ldaps", path=f"/{PLACES[0]}??sub?(objectClass=inetOrgPerson)", host="127.0.0.1", port=None):
        port = port or (self.tls_port if scheme == "ldaps" else self.port)
        return f"{scheme}://{host}:{port}{path}"

    def ldapmodify(self, changes):
        """Change entries as the administrator may."""
        command = ["ldapmodify", "-x", "-H", self.url("ldap", ""), "-D", self.admin_dn, "-w", self.admin_password]
        subprocess.run(command, input=changes, check=True, capture_output=True, encoding="utf-8", timeout=60)

    def delete(self, dn):
        self.ldapmodify(ldif(dn, {"changetype": ["delete"]}))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.thaw()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Gate:
    """A port before a server's port: it is `full` once `amount` bytes came from the server, and holds what follows."""

    def __init__(self, port, amount):
        self.target, self.left = port, amount
        self.full, self.decided = threading.Event(), threading.Event()
        self.whole = True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except ConnectionRefusedError:
                client.close()
                continue
            for ends in ((client, server, 0), (server, client, 1)):
                threading.Thread(target=self.relay, args=ends, daemon=True).start()

    def relay(self, source, sink, counted):
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                self.left -= len(data) * counted
                if self.left < 0:
                    self.full.set()
                    self.decided.wait()
                    if not self.whole:
                        break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):  # a close alone does not wake the other thread
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def open(self):
        self.decided.set()

    def cut(self):
        """Break the connection, in the middle of an entry most often."""
        self.whole = False
        self.decided.set()

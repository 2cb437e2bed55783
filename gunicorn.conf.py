"""How gunicorn runs the service; override with GUNICORN_CMD_ARGS or on its command line."""

import atexit
import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from contacts import logs

bind = "127.0.0.1:8000"
wsgi_app = "wsgi:app"

# A bad setting stops the start at once, with one line, instead of every worker in turn.
preload_app = True

# Threads wait for the disk and for other writes; Python computes on one at a time.
worker_class = "gthread"
threads = 4
# One worker for each core that this process may use. Two at least, so that one answers while another starts anew;
# eight at most, as all of them wait for one writer.
workers = max(2, min(len(os.sched_getaffinity(0)), 8))

# Seconds. Longer than a proxy keeps an idle connection (nginx: 60), so that it is the proxy that closes it: a request
# that is on its way when the service closes fails.
keepalive = 75
# Seconds after which a worker that shows no life is killed; requests may take longer.
timeout = 30
# Seconds that running requests have when the service stops. systemd's TimeoutStopSec must be longer.
graceful_timeout = 30

# The heartbeat files of the workers, in memory: a slow disk would look like a dead worker, and one that is full ends a
# worker that counts in a file there (SIGBUS).
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 # nosec B108 # names are new

# Connections of one worker. They leave room for other files among those that a process may open: a worker that can open
# none ends.
worker_connections = min(500, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)

# A socket for an administration that this service does not use.
control_socket_disable = True

# Bytes of a request line, the most that gunicorn allows (some 240 ids in one filter), and headers of a request: more
# than nginx takes in deploy/nginx.conf.
limit_request_line = 8190
limit_request_fields = 8192

# gunicorn itself believes no header about scheme and path (it would those of this machine and of unix sockets):
# contacts/middleware.py does, from the peers in CONTACTS_TRUSTED_PROXIES.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""

# gunicorn's own log, in the service's lines. Its access log stays off: contacts/middleware.py writes one.
logconfig_dict = {**logs.configuration(os.environ.get("CONTACTS_LOG_FORMAT", "text")), "root": {}}

# The folder in which the workers count together: prometheus-client wants it named and empty before its first import.
# gunicorn reads this file again at a reload, when the folder is in use; a new master makes a folder of its own, and
# removes those of masters that were killed.
MASTER = os.getpid()
if f"contacts-metrics-{MASTER}-" not in os.environ.get("PROMETHEUS_MULTIPROC_DIR", ""):
    for left in Path(worker_tmp_dir or tempfile.gettempdir()).glob("contacts-metrics-*-*"):
        if not Path("/proc", left.name.split("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=f"contacts-metrics-{MASTER}-", dir=worker_tmp_dir)


@atexit.register
def remove_counts() -> None:
    """Remove what the workers counted, also after a start that failed; workers that exit leave it."""
    if os.getpid() == MASTER:
        shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


def on_starting(_: Any) -> None:
    """Make the database, or bring it to this version, before the first worker starts."""
    from contacts import settings, upgrades  # noqa: PLC0415
    from wsgi import app  # noqa: PLC0415

    tempfile.gettempdir()  # chosen here: a worker that finds it full would choose another one
    try:
        upgrades.prepare(app.config["DATABASE"], renumber=True)
    except settings.SettingsError as error:
        sys.exit(f"contacts: {error}")


def post_worker_init(worker: Any) -> None:
    """Keep one of the threads for reads."""
    from contacts import transactions  # noqa: PLC0415

    transactions.keep_a_thread_free(worker.cfg.threads)


def child_exit(_: Any, worker: Any) -> None:
    """Let prometheus-client forget what a dead worker measures."""
    from prometheus_client import multiprocess  # noqa: PLC0415

    multiprocess.mark_process_dead(worker.pid)

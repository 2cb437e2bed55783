"""How gunicorn runs the service; override with GUNICORN_CMD_ARGS or on its command line."""

import os
import shutil
from itertools import count

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from contacts import logs, metrics

bind = "127.0.0.1:8000"
wsgi_app = "wsgi:app"

# A bad setting stops the start at once, with one line, instead of every worker in turn.
preload_app = True

# gthread, with threads that take turns, and time limits for slow clients.
worker_class = "contacts.worker.Worker"
# One for each core that this process may use: Python computes on one at a time. Two at least, so that one answers
# while another starts anew; eight at most, as all of them wait for one writer.
workers = max(2, min(len(os.sched_getaffinity(0)), 8))
# They take turns: more than one is at work only while a request takes long.
threads = 4

# Seconds. Longer than a proxy keeps an idle connection (nginx: 60), so that it is the proxy that closes it: a request
# that is on its way when the service closes fails.
keepalive = 75
# A worker that shows no life for so long is killed; requests may take longer.
timeout = 30
# Requests that run when the service stops have so long to end. systemd's TimeoutStopSec is to be longer.
graceful_timeout = 30

# A worker starts anew after so many requests, whatever its memory has come to; not all at once.
max_requests = 100_000
max_requests_jitter = 20_000

# Where files are memory: a slow disk would pass for a worker without life, and slow down every count.
MEMORY = "/dev/shm"  # noqa: S108 # nosec B108 # what is made there has a new name
worker_tmp_dir = MEMORY if os.access(MEMORY, os.W_OK) else None

# As many connections of one worker leave room for the database's files among the 1024 that a process may open.
worker_connections = 500

# A socket for an administration that this service does not use.
control_socket_disable = True

# The longest that gunicorn allows: some 240 ids in one filter.
limit_request_line = 8190

# gunicorn itself believes no header about scheme and path (it would those of this machine and of unix sockets):
# contacts/middleware.py does, from the peers in CONTACTS_TRUSTED_PROXIES.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""


class ServiceLogger(Logger):
    """gunicorn's own log, among the service's lines. Its access log stays off: contacts/middleware.py has one."""

    def setup(self, cfg: Config) -> None:
        """Write to where the service writes, unless --error-logfile names a file."""
        super().setup(cfg)
        if cfg.errorlog == "-":
            logs.take_over(self.error_log)


logger_class = ServiceLogger


def on_starting(server: Arbiter) -> None:
    """Let the workers count together."""
    server.metrics_folder = metrics.share(worker_tmp_dir)


def pre_fork(server: Arbiter, worker: ThreadWorker) -> None:
    """Give a worker the lowest number that none has; so it goes on with the counts of one that is gone."""
    taken = {each.number for each in server.WORKERS.values()}
    worker.number = next(number for number in count(1) if number not in taken)


def post_fork(_: Arbiter, worker: ThreadWorker) -> None:
    """Count under the worker's number. Connections to the database are dropped by contacts/database.py."""
    metrics.worker = str(worker.number)


def on_exit(server: Arbiter) -> None:
    """Remove what the workers counted."""
    shutil.rmtree(server.metrics_folder, ignore_errors=True)

"""How gunicorn runs the service; override with GUNICORN_CMD_ARGS or on its command line."""

import json
import socket

from gunicorn import util
from gunicorn.workers.gthread import ThreadWorker

bind = "127.0.0.1:8000"
wsgi_app = "wsgi:app"

# A bad setting stops the start at once, with one line, instead of every worker in turn.
preload_app = True


class Worker(ThreadWorker):
    """gunicorn's own, but that a stop answers everybody who is connected and refuses everybody else at once."""

    def set_accept_enabled(self, enabled: bool) -> None:
        """Begin or stop to accept connections."""
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        # gunicorn leaves those who wait to be accepted where they are, until the system cuts them off.
        for listener in self.sockets:
            accepted = -1
            while accepted != self.nr_conns:
                accepted = self.nr_conns
                self.accept(listener)
            listener.close()
        self.sockets = []


worker_class = Worker
workers = 2
threads = 4

# A socket for an administration that this service does not use.
control_socket_disable = True

# The longest that gunicorn allows: some 240 ids in one filter.
limit_request_line = 8190

# gunicorn itself believes no header about scheme and path (it would those of this machine and of unix sockets):
# contacts/middleware.py does, from the peers in CONTACTS_TRUSTED_PROXIES.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""


def write_error(sock: socket.socket, status_int: int, reason: str, mesg: str) -> None:
    """Answer what gunicorn itself refuses (a URL too long, a broken header) in the one envelope of all errors."""
    code = 4 if status_int >= 500 else 2
    body = json.dumps({"statusCode": code, "statusMessage": mesg or reason}, separators=(",", ":"))
    util.write_nonblock(
        sock,
        f"HTTP/1.1 {status_int} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode("latin-1"),
    )


# Where gunicorn's workers look it up; there is no setting for it.
util.write_error = write_error

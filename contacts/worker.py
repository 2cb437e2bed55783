"""gunicorn's threaded worker, whose threads take turns, and in which a slow or silent client holds none for long.

As gunicorn has it, all threads work at once and wait for each other at every statement and every answer, as Python
computes on one at a time. A connection takes a thread before it has sent anything, keeps it until the request is there,
however long that takes, and the loop that serves all connections waits for each client to close its own.
"""

import errno
import json
import math
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from selectors import EVENT_READ
from typing import Any

from gunicorn.http import errors
from gunicorn.http.body import ChunkedReader
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker
from werkzeug.exceptions import RequestTimeout
from werkzeug.http import HTTP_STATUS_CODES

from contacts import database
from contacts.errors import LONGEST_BODY, MESSAGES, StatusCode

# A request must be here within this time after its first bytes, in seconds.
REQUEST_TIMEOUT = 10

# A client must take a piece of an answer (BLOCK contacts, at most) within this time, in seconds.
ANSWER_TIMEOUT = 10

# A client that is connected must begin a request within this time, in seconds, and close after its last one.
SILENCE = 2

# A thread that takes longer for a request lets the next one go on with the others, in seconds.
PATIENCE = 0.005

# For each connection that it has, and for ten at most, a worker lets the others go first before it takes one more.
COURTESY = 0.00005

# The HTTP status of what gunicorn itself refuses; of the rest of its errors: 400.
STATUS = {
    RequestTimeout: 408,
    errors.LimitRequestLine: 414,
    errors.ExpectationFailed: 417,
    errors.LimitRequestHeaders: 431,
    errors.UnsupportedTransferCoding: 501,
    errors.ConfigurationProblem: 500,
    errors.InvalidResponseHeader: 500,
    errors.InvalidResponseHeaderName: 500,
}


class Client(socket.socket):
    """The socket of a client, for which nobody waits too long."""

    deadline: float | None = None

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return what the client sent; raise RequestTimeout when its request is not here by the deadline."""
        if self.deadline is None:
            return super().recv(size, flags)
        try:
            return super().recv(size, flags | socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
        self.settimeout(max(self.deadline - time.monotonic(), 0.001))
        try:
            return super().recv(size, flags)
        except TimeoutError:
            raise RequestTimeout from None
        finally:
            self.settimeout(None)

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]
        """Send all of it; raise ConnectionResetError when the client does not take it in time."""
        try:
            sent = self.send(data, flags | socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.settimeout(ANSWER_TIMEOUT)
            try:
                super().sendall(memoryview(data)[sent:], flags)
            except TimeoutError:
                raise ConnectionResetError(errno.ECONNRESET, "the client takes its answer too slowly") from None
            finally:
                self.settimeout(None)


class Turns:
    """Threads that take turns: one does all that there is to do, while each task is a quick one.

    With four clients, it answers half as many requests again as threads that all work at once.
    """

    def __init__(self, threads: int) -> None:
        self.tasks: deque[Callable[[], object]] = deque()
        self.lock = threading.Lock()
        self.turns: SimpleQueue[int] = SimpleQueue()
        self.turn = 0  # the last one: whoever has another one was overtaken
        self.holder = 0  # the thread that took the last task of this turn
        self.began: float | None = None  # when that was; None: nobody has the turn
        self.idle = threads
        for _ in range(threads):
            threading.Thread(target=self.work, daemon=True).start()

    def add(self, task: Callable[[], object]) -> None:
        """Add a task, for the next go_on(). It must not raise anything."""
        self.tasks.append(task)

    def go_on(self) -> None:
        """Give the turn to another thread when the one that has it takes too long, or none has it."""
        with self.lock:
            now = time.monotonic()
            if self.tasks and self.idle and (self.began is None or now - self.began > PATIENCE):
                self.turn += 1
                self.idle -= 1
                self.began = now
                self.turns.put(self.turn)

    def pass_on(self) -> None:
        """Let another thread go on from now on, as the one that calls is going to wait."""
        if threading.get_ident() == self.holder:
            self.began = -math.inf
            self.go_on()

    def work(self) -> None:
        """Do tasks, in a thread, whenever it has the turn."""
        while True:
            turn = self.turns.get()
            while task := self.take(turn):
                task()

    def take(self, turn: int) -> Callable[[], object] | None:
        """Return the next task of a turn; None when it is over."""
        with self.lock:
            if turn == self.turn and self.tasks:
                self.holder = threading.get_ident()
                self.began = time.monotonic()
                return self.tasks.popleft()
            if turn == self.turn:
                self.began = None
            self.idle += 1
            return None

    def shutdown(self, wait: bool = True) -> None:
        """Do nothing: the threads end with the process."""


class Worker(ThreadWorker):
    """A worker whose threads have only to do with clients that have something to say."""

    sockets: list[socket.socket]
    tpool: Turns

    def get_thread_pool(self) -> Turns:
        """Return the threads; who waits for the disk or another writer lets others go on."""
        threads = Turns(self.cfg.threads)
        database.before_waiting = threads.pass_on
        return threads

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Take what clients send to the threads."""
        super().wait_for_and_dispatch_events(min(timeout, PATIENCE) if self.tpool.tasks else timeout)
        self.tpool.go_on()

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, and wait for its first bytes without a thread."""
        if self.alive and self.cfg.workers > 1:
            # Clients keep their connections: all that one worker has taken, it will have to serve alone.
            time.sleep(COURTESY * min(self.nr_conns, 10))
        try:
            accepted, address = listener.accept()
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.ECONNABORTED}:
                raise
            return
        connection = TConn(self.cfg, Client(fileno=accepted.detach()), address, listener.getsockname())
        self.nr_conns += 1
        self.park(connection, self.on_pending_socket_readable)

    def park(self, connection: TConn, wake: Callable[[TConn, Client], None]) -> None:
        """Wait without a thread for what a client sends; close the connection when it is silent for too long."""
        connection.sock.setblocking(False)
        connection.timeout = time.monotonic() + SILENCE
        self.pending_conns.append(connection)
        self.poller.register(connection.sock, EVENT_READ, partial(wake, connection))

    def set_accept_enabled(self, enabled: bool) -> None:
        """Begin or stop to accept connections.

        A stop answers everybody who is connected and refuses everybody else at once: gunicorn leaves those who wait
        to be accepted where they are, until the system cuts them off.
        """
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for listener in self.sockets:
            accepted = -1
            while accepted != self.nr_conns:
                accepted = self.nr_conns
                self.accept(listener)
            listener.close()
        self.sockets = []

    def handle(self, conn: TConn) -> Any:
        """Read a request, in a thread, and answer it."""
        conn.sock.deadline = time.monotonic() + REQUEST_TIMEOUT
        try:
            return super().handle(conn)
        finally:
            conn.sock.deadline = None

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Answer a request; for the rest of its body, when the answer did not need it, gunicorn has a deadline.

        gunicorn throws less than 64 KiB of it away. Of more, or of nobody knows how much, the client must be told in
        the answer that the connection ends with it (RFC 9112, 9.6), or its next request would be lost.
        """
        reader = req.body.reader
        if isinstance(reader, ChunkedReader) or reader.length >= LONGEST_BODY:
            req.force_close()
        keep = super().handle_request(req, conn)
        conn.sock.deadline = None
        return keep

    def enqueue_req(self, conn: TConn) -> None:
        """Let a thread answer the request on a connection."""
        self.tpool.add(partial(self.serve, conn))

    def serve(self, connection: TConn) -> None:
        """Answer a request, in a thread, and wait for the next one on its connection.

        gunicorn sends word to the loop for that, which costs a fifth of a small request: Python would have to turn to
        the loop's thread and back.
        """
        keep = False
        try:
            keep = self.handle(connection)
            if keep and self.alive and not connection.parser.unreader.buf.getvalue():
                self.keep(connection)
                return
        except BaseException:  # even SystemExit is not to end the thread
            self.log.exception("A request failed")
        done: Future[bool] = Future()
        done.set_result(keep)
        self.method_queue.defer(self.finish_request, connection, done)

    def keep(self, connection: TConn) -> None:
        """Wait without a thread for the next request on a connection."""
        connection.sock.setblocking(False)
        connection.set_timeout()
        self.keepalived_conns.append(connection)
        self.poller.register(connection.sock, EVENT_READ, partial(self.on_client_socket_readable, connection))
        if not self.alive:  # since a moment ago: the loop may have looked at those that it keeps already
            self.method_queue.defer(self._cap_keepalive, time.monotonic() + STOP_KEEPALIVE_LINGER)

    def _cap_keepalive(self, deadline: float) -> None:
        """Close the connections that are kept by a deadline; threads may add to them meanwhile."""
        for connection in tuple(self.keepalived_conns):
            connection.timeout = min(connection.timeout, deadline)

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """Keep the connection for the next request, or let the client close it first.

        Closing it here at once could take the answer from a client that is still sending: RFC 9112, 9.6.
        """
        if fs.result():
            super().finish_request(conn, fs)
            return
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:  # the client has gone
            self.nr_conns -= 1
            conn.close()
        else:
            self.park(conn, self.drain)

    def drain(self, connection: TConn, client: Client) -> None:
        """Throw away what comes after the last answer, until the client closes."""
        try:
            if client.recv(1 << 16):
                return
        except OSError:
            pass
        self.poller.unregister(client)
        self.pending_conns.remove(connection)
        self.nr_conns -= 1
        connection.close()

    def handle_error(self, req: Any, client: Client, addr: Any, exc: Exception) -> None:
        """Answer what gunicorn refuses by itself in the one envelope of all errors.

        The log says what kind of thing is wrong, and holds nothing that the client sent.
        """
        if client.deadline is None:  # a body that is broken behind what the answer needed; it was answered
            return
        if isinstance(exc, errors.ParseException | RequestTimeout):
            status = STATUS.get(type(exc), 400)
            self.log.warning("Invalid request from %s: %s", addr[0] if addr else "unix", type(exc).__name__)
        else:
            status = 500
            self.log.error("A request failed", exc_info=exc)
        code = StatusCode.INTERNAL if status >= 500 else StatusCode.INVALID
        message = MESSAGES.get(status, str(exc))
        body = json.dumps({"statusCode": code, "statusMessage": message}, separators=(",", ":"))
        head = (
            f"HTTP/1.1 {status} {HTTP_STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: application/json\r\n"
            "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        )
        with suppress(OSError):  # the client has gone
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode("latin-1"))

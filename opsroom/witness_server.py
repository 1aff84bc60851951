"""``birddog witness serve``: a witness's ledger behind HTTP (C2SP tlog-witness), plain on loopback, else with mutual TLS.

``POST PREFIX/add-checkpoint`` as the standard has it; ``GET PREFIX/checkpoint/SHA-256-OF-ORIGIN``, ours, gives the newest
checkpoint that was signed of a log, so that a log that was cut or put back finds it at its start.

The standard library's server, a thread a connection: a witness is asked once a minute by a handful of logs.  A caller has ten
seconds for a request; of those beyond ``MOST_CALLERS`` at a time each waits for another to end.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from birddog.errors import BirddogError, UsageError
from birddog.witness import MOST_BYTES, Answer, Ledger
from ingest.certificates import ServerTls

log = logging.getLogger(__name__)

MOST_CALLERS = 64
CALLER_S = 10.0


class _Handler(BaseHTTPRequestHandler):
    server: WitnessServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "birddog", ""
    timeout = CALLER_S

    def do_POST(self) -> None:
        """``add-checkpoint``."""
        length = self.headers.get("Content-Length", "")
        if self.path != f"{self.server.prefix}/add-checkpoint":
            self.close_connection = True
            self._answer(Answer(404, "there is add-checkpoint\n"))
        elif not (length.isascii() and length.isdigit()) or int(length) > MOST_BYTES:
            self.close_connection = True
            self._answer(Answer(411 if not length else 413, f"wants a body of at most {MOST_BYTES} bytes\n"))
        else:
            try:
                answer = self.server.ledger.add(self.rfile.read(int(length)), int(time.time()))
            except (BirddogError, OSError) as error:
                log.error("%s", error)
                answer = Answer(500, "the witness's folder cannot be used\n", "")
            if answer.words:
                log.log(logging.INFO if answer.status == 200 else logging.WARNING, "%d %s", answer.status, answer.words)
            self._answer(answer)

    def do_GET(self) -> None:
        """The newest checkpoint of a log."""
        found = re.fullmatch(re.escape(self.server.prefix) + "/checkpoint/([0-9a-f]{64})", self.path)
        note = ""
        if found is not None:
            try:
                note = next((one.note for one in self.server.ledger.logs()
                             if sha256(one.origin.encode()).hexdigest() == found[1]), "")
            except (BirddogError, OSError) as error:
                log.error("%s", error)
                self._answer(Answer(500, "the witness's folder cannot be used\n"))
                return
        self._answer(Answer(200, note) if note else Answer(404, "nothing of such a log was signed here\n"))

    def _answer(self, answer: Answer) -> None:
        body = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Each request is said by its answer, above."""


class WitnessServer(ThreadingHTTPServer):
    """Listens; ``serve_forever`` runs it, ``shutdown`` ends it.

    Args:
        tls: of mutual TLS; None on loopback.

    Raises:
        UsageError: the address cannot be listened on.
    """

    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def __init__(self, ledger: Ledger, host: str, port: int, *, prefix: str = "", tls: ServerTls | None = None):
        self.ledger, self.prefix, self._tls = ledger, prefix, tls
        self._callers = threading.BoundedSemaphore(MOST_CALLERS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}", field="--port") from error

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for a caller, when one of those that are there is free."""
        if not self._callers.acquire(timeout=CALLER_S):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The handshake is the caller's thread's: one that never ends it keeps nobody else waiting."""
        try:
            if self._tls is not None:
                self._tls.changed()
                request.settimeout(CALLER_S)
                request = self._tls.context.wrap_socket(request, server_side=True)
            super().process_request_thread(request, client_address)
        except (OSError, UsageError) as error:
            log.info("a caller was not let in: %s", error)
            self.shutdown_request(request)
        finally:
            self._callers.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is none of ours; a fault of ours is said, without words of the caller's."""
        from sys import exc_info

        from birddog.errors import place_of

        error = exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            log.error("a request failed: %s", place_of(error))

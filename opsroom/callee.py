"""Somebody's server that we ask by HTTP: a witness, a time stamping authority; beyond this machine only by TLS."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from birddog.errors import BirddogError, ConfigError
from ingest.address import is_loopback


class Refusal(BirddogError):
    """It does not do what it was asked, or cannot be reached; the words say why."""


class Callee:
    """One server.

    Args:
        who: what it is called where it does not answer.
        field: of the configuration, with what its settings' names begin ("witness 'customs'.", "evidence.tsa_").
        ca: PEM of who signed its certificate; cert, key_file: ours, where it asks for one.
        most_bytes: of an answer.

    Raises:
        ConfigError: it cannot be asked so.
    """

    def __init__(self, who: str, url: str, *, field: str, ca: str = "", cert: str = "", key_file: str = "", timeout_s: float,
                 most_bytes: int, ca_field: str = "ca"):
        self.who, self._timeout_s, self._most_bytes = who, timeout_s, most_bytes
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise ConfigError(str(error), field=f"{field}url") from error
        if parts.scheme not in ("http", "https") or not host or parts.username or parts.query or parts.fragment:
            raise ConfigError("wants https://HOST[:PORT][/PREFIX]", field=f"{field}url")
        if parts.scheme == "http" and not is_loopback(host):
            raise ConfigError(f"beyond this machine ({host}) wants https", field=f"{field}url")
        if bool(cert) != bool(key_file):
            raise ConfigError("name both cert and key_file, or neither", field=f"{field}cert")
        self._host, self._port, self._prefix = host, port, parts.path.rstrip("/")
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            try:
                self._tls = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca or None)
            except (OSError, ValueError) as error:
                raise ConfigError(f"cannot be used: {error}", field=f"{field}{ca_field}") from error
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
            try:
                if cert:
                    self._tls.load_cert_chain(cert, key_file, password=lambda: "")
            except (OSError, ValueError) as error:
                raise ConfigError(f"cannot be used: {error}", field=f"{field}cert") from error

    def call(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, str, bytes]:
        """(status, the answer's kind, the answer).

        Raises:
            Refusal: it cannot be reached, or says too much.
        """
        connection: http.client.HTTPConnection
        if self._tls is not None:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._tls)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            connection.request(method, self._prefix + path or "/", body, {"Content-Type": kind} if kind else {})
            answer = connection.getresponse()
            raw = answer.read(self._most_bytes + 1)
            if len(raw) > self._most_bytes:
                raise Refusal(f"{self.who} answers with more than {self._most_bytes} bytes")
            return answer.status, answer.getheader("Content-Type", ""), raw
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Refusal(f"{self.who} cannot be reached: {error or type(error).__name__}") from error
        finally:
            connection.close()

"""Mutual TLS for whoever listens to devices: the server's context, and what its files say.

A device's certificate must be signed by the CA that is named, must not be on its revocation list, and
its one common name is the device's identity.  ``ssl`` of the standard library does the proving; it
cannot list a CRL's serial numbers or tell when a file expires: those ``cryptography`` reads.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from birddog.errors import UsageError
from birddog.odd_certificates import quietly

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]+)-----END \1-----")


class ServerTls:
    """A listener's side of mutual TLS.

    A server listens with ``context``, which stays the same object.  Each handshake is carried on with a second one,
    made anew whenever the files are: a CA that was taken away is no longer believed (a context forgets no CA).

    Args:
        cert, key: PEM files of the server; ca: PEM of who signs the devices' certificates.
        crl: PEM of revoked certificates, or "".
        field: leads the fields that errors name.
        greeted: called at the beginning of every handshake.

    Raises:
        UsageError: a file is missing, unreadable, or holds no such thing; one line names it.
    """

    def __init__(
        self, cert: str, key: str, ca: str, crl: str = "", *, field: str = "endpoint",
        greeted: Callable[[], None] = lambda: None,
    ):  # fmt: skip
        self._files = {"cert": cert, "key": key, "ca": ca, "crl": crl}
        self._field, self._greeted = field, greeted
        for name in ("cert", "key", "ca"):
            if not self._files[name]:
                raise UsageError("mutual TLS needs cert, key and ca", field=f"{field}.{name}")
        self.revoked: frozenset[int] = frozenset()
        self.expires_s = 0
        self._seen = self._state()
        self._present = self._load()
        self.context = self._load()
        self.context.sni_callback = self._greet

    def _greet(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        self._greeted()
        connection.context = self._present

    def changed(self) -> bool:
        """Read the files again if one of them is another than before; True where that was done.

        Raises:
            UsageError: what is there now cannot be used; what was read before stays in force, and
                this is said once for each change.
        """
        try:
            state = self._state()
        except UsageError:
            # replaced file by file: the next look finds the new one
            return False
        if state == self._seen:
            return False
        self._seen = state
        self._present = self._load()
        return True

    def _state(self) -> list[tuple[int, int, int]]:
        out = []
        for field, file in self._files.items():
            if file:
                try:
                    found = Path(file).stat()
                except OSError as error:
                    raise UsageError(f"cannot be read: {error.strerror}", file=file, field=f"{self._field}.{field}") from None
                out.append((found.st_mtime_ns, found.st_size, found.st_ino))
        return out

    def _load(self) -> ssl.SSLContext:
        """A context of what the files say now."""
        files, context = self._files, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        # a resumed session would not ask for the certificate again
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        if files["crl"]:
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        ends: list[int] = []
        revoked: set[int] = set()
        for field in ("cert", "ca", "crl"):
            if not files[field]:
                continue
            blocks = _blocks(files[field], "X509 CRL" if field == "crl" else "CERTIFICATE", f"{self._field}.{field}")
            try:
                for der in blocks:
                    ends.append(_crl(der, revoked) if field == "crl" else _not_after(der))
            except (ValueError, IndexError):
                raise UsageError("holds a damaged block", file=files[field], field=f"{self._field}.{field}") from None
        try:
            # a key with a pass phrase must not ask for it on the terminal
            context.load_cert_chain(files["cert"], files["key"], password=lambda: "")
        except (OSError, ValueError) as error:
            raise UsageError(f"does not fit the certificate, or is no PEM without a pass phrase ({_said(error)})",
                             file=files["key"], field=f"{self._field}.key") from None
        for field in ("ca", "crl"):
            if files[field]:
                try:
                    context.load_verify_locations(cafile=files[field])
                except OSError as error:
                    raise UsageError(f"cannot be used ({_said(error)})", file=files[field],
                                     field=f"{self._field}.{field}") from None
        self.revoked, self.expires_s = frozenset(revoked), min(ends)
        return context


def common_name(certificate: dict[str, Any] | None) -> str:
    """The one common name of a certificate as ``ssl`` gives it; "" where it has none, several, or one that nobody can read."""
    names = [value for part in (certificate or {}).get("subject", ()) for key, value in part if key == "commonName"]
    return names[0] if len(names) == 1 and names[0].isprintable() else ""


def serial(certificate: dict[str, Any] | None) -> int:
    """The serial number of a certificate as ``ssl`` gives it."""
    return int((certificate or {}).get("serialNumber", "0"), 16)


def _said(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error)


def _blocks(file: str, kind: str, field: str) -> list[bytes]:
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=file, field=field) from None
    try:
        found = [base64.b64decode(b"".join(body.split()), validate=True) for name, body in _PEM.findall(data)
                 if name.decode() == kind]
    except binascii.Error:
        found = []
    if not found:
        raise UsageError(f"holds no PEM block {kind}", file=file, field=field)
    return found


def _not_after(der: bytes) -> int:
    """When a certificate expires, POSIX seconds."""
    from cryptography import x509

    with quietly():
        return int(x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp())


def _crl(der: bytes, revoked: set[int]) -> int:
    """Adds the serial numbers that a list revokes; when the next is due (or this one was made), POSIX seconds."""
    from cryptography import x509

    found = x509.load_der_x509_crl(der)
    revoked.update(one.serial_number for one in found)
    return int((found.next_update_utc or found.last_update_utc).timestamp())

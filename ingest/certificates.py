"""Mutual TLS for device endpoints: the server's context, and what its files say.

Only what ``ssl`` of the standard library offers; a device's certificate must be signed by the CA that
is named, and its one common name is the device's identity.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from birddog.errors import UsageError


def server_context(cert: str, key: str, ca: str, crl: str = "") -> ssl.SSLContext:
    """A context that asks every client for a certificate of ``ca``.

    Args:
        cert, key: PEM files of the server; ca: PEM of who signs the devices' certificates.
        crl: PEM of revoked certificates, or "".

    Raises:
        UsageError: a file is missing, unreadable, or holds no such thing; one line names it.
    """
    for field, file in (("cert", cert), ("key", key), ("ca", ca)):
        if not file:
            raise UsageError("mutual TLS needs cert, key and ca", field=f"endpoint.{field}")
    for field, file in (("cert", cert), ("key", key), ("ca", ca), ("crl", crl)):
        if file:
            try:
                Path(file).read_bytes()
            except OSError as error:
                raise UsageError(f"cannot be read: {error.strerror}", file=file, field=f"endpoint.{field}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        # a wrong pass phrase must not ask on the terminal
        context.load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(f"certificate and key do not fit or are no PEM: {_said(error)}", file=cert,
                         field="endpoint.cert") from None
    for field, file in (("ca", ca), ("crl", crl)):
        if file:
            try:
                context.load_verify_locations(cafile=file)
            except ssl.SSLError as error:
                raise UsageError(f"is no PEM of the kind: {_said(error)}", file=file, field=f"endpoint.{field}") from None
    if crl:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def _said(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error)

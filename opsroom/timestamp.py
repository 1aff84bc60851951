"""Time stamps as RFC 3161 has them: a question to an authority, and whether what it answered holds.

The one place that knows rfc3161-client, an extra (``pip install birddog[rfc3161]``); who only takes stamps along, or looks what
they are over (``opsroom.verifier.stamp_of``), does without.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birddog.errors import BirddogError, UsageError
from birddog.odd_certificates import quietly

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

#: An answer is some 5 kB, with the certificates of its chain.
MOST_BYTES = 65_536


class NotStamped(BirddogError):
    """What was answered is no time stamp over these bytes by an authority that we trust; the words say why."""


def library() -> Any:
    """rfc3161-client.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import rfc3161_client
    except ImportError as error:
        raise UsageError("time stamps are asked for, and held against their authority, by rfc3161-client: pip install "
                         "birddog[rfc3161]") from error
    return rfc3161_client


def authorities(file: str) -> list[Certificate]:
    """The certificates of a PEM file, by which stamps are trusted.

    Raises:
        UsageError: it cannot be read, or holds none.
    """
    from cryptography.x509 import load_pem_x509_certificates

    try:
        with quietly():
            return load_pem_x509_certificates(Path(file).read_bytes())
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=file) from error
    except ValueError as error:
        raise UsageError("is no PEM of certificates", file=file) from error


def question(data: bytes) -> tuple[bytes, int]:
    """(what an authority is asked so that it stamps some bytes: TimeStampReq over their SHA-256, its nonce)."""
    found = library()
    made = found.TimestampRequestBuilder().data(data).hash_algorithm(found.HashAlgorithm.SHA256).build()
    return made.as_bytes(), made.nonce


def stamped_by(answer: bytes, data: bytes, trusted: Sequence[Certificate], nonce: int | None = None) -> str:
    """Who stamped some bytes: the name in the certificate that signed, which leads to one that is trusted.

    RFC 3161, section 2.4.2: granted, over this SHA-256, with the nonce that was sent, signed by a key that is for time stamping
    and whose certificate was valid then.  That it was not revoked is not asked for.

    Raises:
        NotStamped: nobody did whom we trust.
    """
    from cryptography.x509 import load_der_x509_certificate

    found = library()
    try:
        with quietly():
            builder = found.VerifierBuilder(roots=list(trusted), nonce=nonce)
            response = found.decode_timestamp_response(answer)
            builder.build().verify_message(response, data)
            [signer] = response.signed_data.signer_infos
            for raw in response.signed_data.certificates:
                certificate = load_der_x509_certificate(raw)
                if (certificate.issuer, certificate.serial_number) == (signer.issuer, signer.serial_number):
                    return certificate.subject.rfc4514_string()
    except (found.VerificationError, ValueError) as error:
        raise NotStamped(f"is no time stamp of an authority that is trusted: {error}") from error
    raise NotStamped("does not hold the certificate of who signed it")


def certificates_of(token: bytes) -> list[Certificate]:
    """The certificates that a stamp brings with it."""
    from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates

    try:
        with quietly():
            return load_der_pkcs7_certificates(token)
    except ValueError:
        return []

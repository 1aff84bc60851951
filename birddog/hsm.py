"""The master key in a token (PKCS #11 v2.40, OASIS): a smart card, a network HSM, SoftHSM.  It never leaves the token.

It is named by a URI (RFC 7512) in the place of a file, ``[journal] master_key``::

    pkcs11:token=LABEL;object=LABEL?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/birddog/pin

``pin-source`` is a file of mode 0600 that holds the PIN.  A data key is wrapped with AES-GCM in the token (CKM_AES_GCM, a
random nonce in front, the key's name as associated data), as a master key in a file does it.  Needs ``python-pkcs11``, which
is asked for here and nowhere else (``pip install birddog[pkcs11]``).
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from birddog.config import read_secret
from birddog.errors import ConfigError
from birddog.master import NONCE_BYTES, KeyringError

SCHEME = "pkcs11:"
_TAG_BITS = 128


class TokenMaster:
    """A master key in a token; ``Master`` of ``birddog.master``.

    Args:
        uri: see the module's docstring.
        make: whether the key is made in the token where it is not there.

    Raises (also every method):
        KeyringError: the token, the key or the PIN is not there, or the token refuses.
    """

    def __init__(self, uri: str, *, make: bool):
        said = _taken_apart(uri)
        self._token, self._object = said["token"], said["object"]
        try:
            pin = read_secret(Path(said["pin-source"].removeprefix("file:")), setting="pin-source")
        except ConfigError as error:
            raise KeyringError(f"the master key: {error}") from error
        try:
            import pkcs11
        except ImportError as error:
            raise KeyringError("a master key in a token needs python-pkcs11: pip install birddog[pkcs11]") from error
        self._pkcs11: Any = pkcs11
        self._alone = threading.Lock()  # a session does one thing at a time
        try:
            token = pkcs11.lib(said["module-path"]).get_token(token_label=self._token)
            try:
                self._session = token.open(rw=make, user_pin=pin)
            except pkcs11.UserAlreadyLoggedIn:  # a process logs in once, for all its sessions (PKCS #11, section 5.6)
                self._session = token.open(rw=make)
            self._key = self._found(make)
        except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
            raise KeyringError(f"the master key: {self._where}: {_words(error)}") from error

    @property
    def _where(self) -> str:
        return f"object {self._object!r} of token {self._token!r}"

    def _found(self, make: bool) -> Any:
        p = self._pkcs11
        try:
            return self._session.get_key(label=self._object, object_class=p.ObjectClass.SECRET_KEY, key_type=p.KeyType.AES)
        except p.NoSuchKey:
            if not make:
                raise
        kept = {p.Attribute.SENSITIVE: True, p.Attribute.EXTRACTABLE: False, p.Attribute.PRIVATE: True}
        return self._session.generate_key(p.KeyType.AES, 256, label=self._object, store=True, template=kept,
                                          capabilities=p.MechanismFlag.ENCRYPT | p.MechanismFlag.DECRYPT)  # fmt: skip

    def wrap(self, key: bytes, name: bytes) -> bytes:
        """See ``Master``."""
        nonce = os.urandom(NONCE_BYTES)
        try:
            return nonce + self._done("encrypt", key, nonce, name)
        except self._pkcs11.PKCS11Error as error:
            raise KeyringError(f"the master key: {self._where}: {_words(error)}") from error

    def unwrap(self, wrapped: bytes, name: bytes) -> bytes:
        """See ``Master``."""
        try:
            return self._done("decrypt", wrapped[NONCE_BYTES:], wrapped[:NONCE_BYTES], name)
        except (self._pkcs11.PKCS11Error, ValueError) as error:
            raise KeyringError(f"{self._where} is not the master key of the key {name.decode()!r}, or that was changed, or the "
                               f"token refuses: {_words(error)}") from error

    def _done(self, verb: str, data: bytes, nonce: bytes, name: bytes) -> bytes:
        p = self._pkcs11
        with self._alone:
            found = getattr(self._key, verb)(data, mechanism=p.Mechanism.AES_GCM,
                                             mechanism_param=p.GCMParams(nonce, name, _TAG_BITS))  # fmt: skip
        return bytes(found)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}{f': {error}' if str(error) else ''}"


def _taken_apart(uri: str) -> dict[str, str]:
    path, _, query = uri.removeprefix(SCHEME).partition("?")
    said: dict[str, str] = {}
    for part in [*path.split(";"), *query.split("&")]:
        name, _, value = part.partition("=")
        if not part:
            continue
        if name not in ("token", "object", "module-path", "pin-source") or name in said or not value:
            raise KeyringError(f"the master key: {name[:40]!r} in {SCHEME}… is not read; it wants "
                               "pkcs11:token=LABEL;object=LABEL?module-path=FILE&pin-source=file:FILE")
        said[name] = unquote(value)
    missing = {"token", "object", "module-path", "pin-source"} - set(said)
    if missing:
        raise KeyringError(f"the master key: {SCHEME}… lacks {', '.join(sorted(missing))}")
    return said

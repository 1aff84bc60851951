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
from birddog.master import NONCE_BYTES, KeyringError, KeysClosed

SCHEME = "pkcs11:"
_TAG_BITS = 128
_FORM = f"write {SCHEME}token=LABEL;object=LABEL?module-path=FILE&pin-source=file:FILE"
#: PINs that a token has refused: a card locks itself after a few, so this process does not try one twice.
_refused: set[tuple[str, str, str]] = set()


class TokenMaster:
    """A master key in a token; ``Master`` of ``birddog.master``.

    Args:
        uri: see the module's docstring.
        make: whether the key is made in the token where it is not there.

    Raises:
        KeysClosed: the module, the token, the key or the PIN is not there, or the token refuses.
    """

    def __init__(self, uri: str, *, make: bool):
        said = _taken_apart(uri)
        self._token, self._object = said["token"], said["object"]
        self._pkcs11, self._session = opened(uri, make=make)
        p = self._pkcs11
        self._alone = threading.Lock()  # a session does one thing at a time
        try:
            self._key = self._found(make)
        except p.NoSuchKey as error:
            raise KeysClosed(f"there is no key {self._object!r} in the token {self._token!r}",
                             "plug in the token that holds it; it is never made anew where keys were made with it") from error
        except p.MultipleObjectsReturned as error:
            raise KeysClosed(f"there are several keys {self._object!r} in the token {self._token!r}",
                             "take away those that the keys were not made with") from error
        except p.PKCS11Error as error:
            raise _closed(self._token, error) from error

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
            raise _closed(self._token, error) from error

    def unwrap(self, wrapped: bytes, name: bytes) -> bytes:
        """See ``Master``."""
        try:
            return self._done("decrypt", wrapped[NONCE_BYTES:], wrapped[:NONCE_BYTES], name)
        except (self._pkcs11.PKCS11Error, ValueError) as error:
            p = self._pkcs11
            # CKR_GENERAL_ERROR is SoftHSM's word for a tag that does not hold
            if not isinstance(error, (ValueError, p.EncryptedDataInvalid, p.EncryptedDataLenRange, p.DataInvalid,
                                      p.DataLenRange, p.GeneralError, p.FunctionFailed, p.ArgumentsBad)):
                raise _closed(self._token, error) from error
            said = f"{self._where} is not the master key of the key {name.decode()!r}, or that was changed"
            raise KeyringError(said) from error

    def _done(self, verb: str, data: bytes, nonce: bytes, name: bytes) -> bytes:
        p = self._pkcs11
        with self._alone:
            found = getattr(self._key, verb)(data, mechanism=p.Mechanism.AES_GCM,
                                             mechanism_param=p.GCMParams(nonce, name, _TAG_BITS))  # fmt: skip
        return bytes(found)


def opened(uri: str, *, make: bool) -> tuple[Any, Any]:
    """The library, and a session in the token, logged in.

    Raises:
        KeysClosed: the PIN file, the module or the token is not there, or the token refuses.
    """
    said = _taken_apart(uri)
    label, module, pin_file = said["token"], said["module-path"], Path(said["pin-source"].removeprefix("file:"))
    try:
        pin = read_secret(pin_file, setting="pin-source")
    except ConfigError as error:
        mend = f"chmod 600 {pin_file}" if pin_file.exists() else f"put the PIN of the token {label!r} there, mode 0600"
        raise KeysClosed(f"the PIN file {error.message.removesuffix(f': {mend}')}", mend) from error
    try:
        import pkcs11
    except ImportError as error:
        raise KeysClosed("a master key in a token needs python-pkcs11", "pip install birddog[pkcs11]") from error
    try:
        library = pkcs11.lib(module)
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
        raise KeysClosed(f"the PKCS #11 module {module} cannot be loaded ({_words(error)})",
                         "install it, or correct module-path") from error
    try:
        token = library.get_token(token_label=label)
    except pkcs11.NoSuchToken as error:
        raise KeysClosed(f"there is no token {label!r} ({module})",
                         "plug it in, or start what reaches it; a wrong name is corrected in the URI") from error
    except pkcs11.MultipleTokensReturned as error:
        raise KeysClosed(f"there are several tokens {label!r} ({module})", "leave one of them plugged in") from error
    except pkcs11.PKCS11Error as error:
        raise _closed(label, error) from error
    tried = (module, label, pin)
    if tried in _refused:
        raise _no_pin(label, pin_file)
    try:
        return pkcs11, token.open(rw=make, user_pin=pin)
    except pkcs11.UserAlreadyLoggedIn:  # a process logs in once, for all its sessions (PKCS #11, section 5.6)
        return pkcs11, token.open(rw=make)
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange) as error:
        _refused.add(tried)
        raise _no_pin(label, pin_file) from error
    except (pkcs11.PinLocked, pkcs11.PinExpired) as error:
        how = "is locked after wrong ones" if isinstance(error, pkcs11.PinLocked) else "has expired"
        raise KeysClosed(f"the PIN of the token {label!r} {how}",
                         "whoever manages the token sets a new one (its security officer's PIN)") from error
    except pkcs11.PKCS11Error as error:
        raise _closed(label, error) from error


def _no_pin(label: str, pin_file: Path) -> KeysClosed:
    return KeysClosed(f"the token {label!r} refuses the PIN in {pin_file}",
                      "correct it; a token locks itself after a few wrong ones, and this process tries none twice")


def _closed(label: str, error: BaseException) -> KeysClosed:
    return KeysClosed(f"the token {label!r} refuses ({_words(error)})", "look to the token and what reaches it")


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
            raise KeysClosed(f"{name[:40]!r} in the master key's {SCHEME}… is not read", _FORM)
        said[name] = unquote(value)
    missing = {"token", "object", "module-path", "pin-source"} - set(said)
    if missing:
        raise KeysClosed(f"the master key's {SCHEME}… lacks {', '.join(sorted(missing))}", _FORM)
    return said

"""Reads a pasted private key, and says what is wrong with it before anything connects."""

import base64
import io
from typing import Any

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

MAKE_ONE = "Make a key with: ssh-keygen -t ed25519"
DSA = f"Keys of the kind DSA are no longer accepted by SSH. {MAKE_ONE}"
PUBLIC = ("ssh-", "ecdsa-sha2-", "sk-", "---- BEGIN SSH2 PUBLIC KEY", "-----BEGIN PUBLIC KEY",
          "-----BEGIN RSA PUBLIC KEY")  # fmt: skip
CLASSES: dict[type, type[paramiko.PKey]] = {
    rsa.RSAPrivateKey: paramiko.RSAKey,
    ec.EllipticCurvePrivateKey: paramiko.ECDSAKey,
    ed25519.Ed25519PrivateKey: paramiko.Ed25519Key,
}


class KeyUnusable(ValueError):
    """The text is no key that can log in. The message is a sentence for the user."""


def read_private_key(text: str, passphrase: str = "") -> paramiko.PKey:
    """The key in OpenSSH's format or PEM: RSA, ECDSA or Ed25519. Raises ``KeyUnusable``."""
    text = "\n".join(line.strip() for line in text.strip().splitlines()) + "\n"
    _refuse_what_is_none(text)
    key = _load(text.encode(), passphrase.encode())
    for kind, made in CLASSES.items():
        if isinstance(key, kind):
            return _as_paramiko(made, key)
    raise KeyUnusable(f"Keys of this kind cannot log in by SSH. {MAKE_ONE}")


def _refuse_what_is_none(text: str) -> None:
    if text.startswith("PuTTY-User-Key-File"):
        raise KeyUnusable(
            "This is a key of PuTTY (.ppk). Open it in PuTTYgen, choose Conversions, Export "
            "OpenSSH key, and paste what that writes."
        )
    if text.startswith(PUBLIC):
        raise KeyUnusable(
            "This is the public half of a key. Paste the private half: the file of the same name "
            "without .pub, whose first line is -----BEGIN … PRIVATE KEY-----."
        )
    if "-----BEGIN DSA PRIVATE KEY" in text or b"\x07ssh-dss" in _body(text):
        raise KeyUnusable(DSA)
    if not text.startswith("-----BEGIN ") or "PRIVATE KEY-----" not in text:
        raise KeyUnusable(
            "This is no private key: its first line should be -----BEGIN … PRIVATE KEY-----. Paste "
            "the whole file."
        )


def _body(text: str) -> bytes:
    """What stands between the first and the last line, as far as it is base64."""
    try:
        return base64.b64decode("".join(text.splitlines()[1:-1]))
    except ValueError:
        return b""


def _load(data: bytes, passphrase: bytes) -> Any:
    try:
        return _open(data, passphrase)
    except TypeError:
        raise KeyUnusable("This key is locked with a passphrase: give it as well.") from None
    except UnsupportedAlgorithm as error:
        raise KeyUnusable(f"This kind of key is not known here ({error}). {MAKE_ONE}") from None
    except ValueError:
        raise KeyUnusable(_fault(data, passphrase)) from None


def _open(data: bytes, passphrase: bytes) -> Any:
    load = load_ssh_private_key if b"BEGIN OPENSSH" in data else load_pem_private_key
    if not passphrase:
        return load(data, None)
    try:
        return load(data, passphrase)
    except TypeError:
        return load(data, None)  # a passphrase for a key that has none does no harm


def _fault(data: bytes, passphrase: bytes) -> str:
    if passphrase and _is_locked(data):
        return "The passphrase does not open this key. Give the one that it was made with."
    return "This key is damaged. Was the whole file pasted, from the first dash to the last?"


def _is_locked(data: bytes) -> bool:
    try:
        _open(data, b"")
    except TypeError:
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return False


def _as_paramiko(made: type[paramiko.PKey], key: Any) -> paramiko.PKey:
    # paramiko reads fewer formats than cryptography does, and all kinds in this one.
    text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return made.from_private_key(io.StringIO(text))

"""Host keys: what a machine shows, and whether it is what the user confirmed."""

import base64
import hashlib
from dataclasses import dataclass

import paramiko

from compute.runners.base import HostKeyRefused
from compute.runners.ssh.address import Address

# A key of type ssh-rsa signs with SHA-2 nowadays, under names of their own.
SIGNED_BY = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


@dataclass(frozen=True)
class HostKey:
    """A host's public key (``ssh-ed25519 AAAA…``) and its fingerprint as ssh-keygen prints it."""

    text: str
    fingerprint: str


def host_key_of(transport: paramiko.Transport) -> HostKey:
    """The key that the server has just proved to have."""
    key = transport.get_remote_server_key()
    return HostKey(f"{key.get_name()} {key.get_base64()}", fingerprint(key.get_base64()))


def fingerprint(blob: str) -> str:
    """``SHA256:…`` of a key in base64. Raises ``ValueError`` when it is no base64."""
    digest = hashlib.sha256(base64.b64decode(blob, validate=True)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def confirmed(address: Address) -> HostKey | None:
    """The key that the user confirmed; a comment after it does not count. None: none yet."""
    if not address.host_key.strip():
        return None
    try:
        kind, blob = address.host_key.split()[:2]
        return HostKey(f"{kind} {blob}", fingerprint(blob))
    except ValueError:
        raise HostKeyRefused(
            f"The host key kept for {address} cannot be read. Confirm its key again."
        ) from None


def algorithms_for(key: HostKey) -> tuple[str, ...]:
    """What to ask a server with several keys for, so that it shows this one."""
    kind = key.text.split()[0]
    return SIGNED_BY.get(kind, (kind,))


def check(address: Address, shown: HostKey) -> None:
    """Raise ``HostKeyRefused`` unless this very key was confirmed."""
    expected = confirmed(address)
    if expected is None:
        raise HostKeyRefused(
            f"The host key of {address} was not confirmed yet. It is {shown.fingerprint}: compare "
            "it with what ssh-keygen -l prints on that machine, then confirm it."
        )
    if shown != expected:
        raise HostKeyRefused(
            f"The host key of {address} changed: {expected.fingerprint} was confirmed, "
            f"{shown.fingerprint} is shown now. Either the machine was set up anew, or someone "
            "stands in between. Nothing was sent. Confirm the new key only if you know why."
        )

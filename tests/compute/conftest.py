from collections.abc import Callable

import pytest
from django.test import Client

from compute.runners.base import RunnerError
from compute.runners.ssh import hostkeys
from compute.runners.ssh.address import Address
from compute.runners.ssh.hostkeys import HostKey


@pytest.fixture
def boss(client: Client, staff: object) -> Client:
    """A browser in which somebody of the staff is logged in."""
    client.force_login(staff)  # type: ignore[arg-type]
    return client


Shows = Callable[..., None]


@pytest.fixture
def shows(monkeypatch: pytest.MonkeyPatch) -> Shows:
    """A fake scan of host keys: what each host shows; one that is not named does not answer."""

    def set_up(**hosts: str) -> None:
        def fake_scan(address: Address, within: float = 10) -> HostKey:
            for name, digest in hosts.items():
                if address.host == name.replace("_", "."):
                    return HostKey(f"ssh-ed25519 {digest}", f"SHA256:{digest}")
            raise RunnerError(f"{address.host} does not answer within {within:.0f} s.")

        monkeypatch.setattr(hostkeys, "scan", fake_scan)

    return set_up

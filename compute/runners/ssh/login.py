"""Logs in with what the user gave alone: neither an agent nor keys of this machine are used."""

import paramiko
from paramiko.ssh_exception import AuthenticationException, BadAuthenticationType

from compute.runners.base import LoginRefused, Unreachable
from compute.runners.ssh.address import Address, Login
from compute.runners.ssh.keys import KeyUnusable, read_private_key

LOGIN_WITHIN = 15.0  # seconds an answer may take: some machines ask a directory far away


def log_in(transport: paramiko.Transport, address: Address) -> None:
    """Show the key, then the password, as far as they were given. Raises ``LoginRefused``."""
    login = address.login
    if not login.user:
        raise LoginRefused(f"There is no user to log in to {address} with.")
    if not (login.password or login.private_key):
        raise LoginRefused(
            f"There is neither a password nor a private key for {login.user} at {address}."
        )
    transport.auth_timeout = LOGIN_WITHIN
    try:
        _try_all(transport, address)
    except AuthenticationException as error:
        if "timeout" in str(error).lower():  # the login was not refused
            late = f"{address} did not say within {LOGIN_WITHIN:.0f} s whether {login.user}"
            raise Unreachable(f"{late} may log in.") from None
        raise LoginRefused(_refused(address, error)) from None
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise Unreachable(f"{address} went away during the login ({error}).") from error


def _try_all(transport: paramiko.Transport, address: Address) -> None:
    login = address.login
    if login.private_key:
        key = _read(address)
        try:
            transport.auth_publickey(login.user, key)
        except AuthenticationException:
            if not login.password:
                raise
    # A key may be one of two things that the machine asks for.
    if login.password and not transport.is_authenticated():
        transport.auth_password(login.user, login.password)
    if not transport.is_authenticated():
        raise AuthenticationException("something more is asked for")


def _read(address: Address) -> paramiko.PKey:
    try:
        return read_private_key(address.login.private_key, address.login.passphrase)
    except KeyUnusable as error:
        raise LoginRefused(f"The private key for {address} cannot be used. {error}") from None


def _refused(address: Address, error: AuthenticationException) -> str:
    login = address.login
    if isinstance(error, BadAuthenticationType):
        takes = ", ".join(error.allowed_types) or "nothing"
        return f"{address} does not take {_given(login)} from {login.user}; it takes: {takes}."
    return (
        f"{address} does not let {login.user} in with this {_given(login)}. "
        + ("Check user and password." if login.password else "Is its public half in "
           "~/.ssh/authorized_keys of that user?")
    )  # fmt: skip


def _given(login: Login) -> str:
    if login.password and login.private_key:
        return "key and password"
    return "password" if login.password else "key"

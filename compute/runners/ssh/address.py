"""Where a machine is and how to log in to it. Pure data; secrets stay out of every ``repr``."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Login:
    """How to log in: a user of the far machine, with a password, a private key's text, or both."""

    user: str
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)


@dataclass(frozen=True)
class Address:
    """A machine that speaks SSH. ``host_key`` is what the user confirmed (``ssh-ed25519 AAAA…``);
    while it is empty nothing logs in. ``jump`` is reached first, and must be confirmed as well."""

    host: str
    login: Login
    port: int = 22
    host_key: str = ""
    jump: "Address | None" = None

    def __str__(self) -> str:
        return self.host if self.port == 22 else f"{self.host}:{self.port}"

"""Encrypt secrets in the database, with keys that are kept outside of it.

A value is decrypted only where it is used, by ``Sealed.open``. A page, a log, a dump or an error
can show its cipher text only.
"""

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.db import models, transaction
from environs import Env, ValidationError

VARIABLE = "TRAINYARD_SECRET_KEYS"
MARK = "fernet:"  # every cipher text begins with it, also in plain JSON


class SecretError(Exception):
    """A value cannot be decrypted. The message says how to repair that."""


@dataclass(frozen=True)
class Sealed:
    """A secret in the encrypted form that the database holds."""

    token: str = field(repr=False)

    def open(self) -> str:
        """Return the decrypted secret. Raises ``SecretError`` when no key fits."""
        return decrypt(self.token)

    def __str__(self) -> str:
        return "(secret)"


def encrypt(text: str) -> str:
    """Encrypt a secret with the newest key; return the cipher text."""
    return MARK + _fernet().encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    try:
        return _fernet().decrypt(token.removeprefix(MARK)).decode()
    except InvalidToken:
        raise SecretError(
            f"A stored secret does not open with the keys at hand: give the old key back "
            f"({VARIABLE}, or the file {key_file()}), or set the secret again."
        ) from None


class EncryptedTextField(models.TextField[str | Sealed, Sealed]):
    """A text field that is encrypted in the database; its value is a ``Sealed``."""

    def from_db_value(self, value: str | None, *_: Any) -> Sealed | None:
        return None if value is None else Sealed(value)

    def get_prep_value(self, value: Any) -> str | None:
        if isinstance(value, Sealed):
            return value.token
        return None if value is None else encrypt(str(value))

    def to_python(self, value: Any) -> Any:
        # A dump already holds the cipher text.
        sealed = isinstance(value, str) and value.startswith(MARK)
        return Sealed(value) if sealed else value

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj)) or ""

    def get_lookup(self, lookup_name: str) -> Any:
        # Equal texts have different cipher texts, so a lookup by value finds nothing.
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None


def all_keys() -> list[str]:
    """All keys that may open a secret, the newest first."""
    return given_keys() or _kept_keys()


def given_keys() -> list[str]:
    """The keys from the environment; empty when the keys are kept in the home folder."""
    return Env().list(VARIABLE, [], validate=_are_keys)


def key_file() -> Path:
    return Path(settings.TRAINYARD_HOME) / "secret_keys"


def add_key() -> None:
    """Make a new key and put it first, so that new secrets are encrypted with it."""
    _replace(key_file(), [_new_key(), *_kept_keys()])


def forget_old_keys() -> int:
    """Keep only the newest key; return how many were removed. Call ``reencrypt`` first."""
    newest, *old = _kept_keys()
    _replace(key_file(), [newest])
    return len(old)


def reencrypt() -> int:
    """Encrypt every secret of every app with the newest key; return how many there are.

    Raises ``SecretError``, and changes nothing, when one of them cannot be decrypted.
    """
    with transaction.atomic():
        return sum(_reencrypt(model, name) for model, name in _encrypted_fields())


def _encrypted_fields() -> Iterable[tuple[type[models.Model], str]]:
    for model in apps.get_models():
        for one in model._meta.concrete_fields:
            if isinstance(one, EncryptedTextField) and one.model is model:
                yield model, one.name


def _reencrypt(model: type[models.Model], name: str) -> int:
    rows = model._base_manager.select_for_update().exclude(**{f"{name}__isnull": True})
    found = list(rows.values_list("pk", name))
    for pk, sealed in found:
        model._base_manager.filter(pk=pk).update(**{name: sealed.open()})
    return len(found)


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in all_keys()])


def _are_keys(texts: list[str]) -> None:
    for text in texts:
        try:
            Fernet(text)
        except ValueError:
            raise ValidationError(
                "Not a list of keys, separated by commas, the newest first. A key is 32 random "
                "bytes in URL-safe base64."
            ) from None


def _kept_keys() -> list[str]:
    path = key_file()
    if not path.exists():
        part = _write_beside(path, [_new_key()])
        # Several processes may come here at once: one of them wins, the others read its file.
        with suppress(FileExistsError):
            os.link(part, path)
        part.unlink()
    return path.read_text().split()


def _replace(path: Path, lines: list[str]) -> None:
    _write_beside(path, lines).replace(path)


def _write_beside(path: Path, lines: list[str]) -> Path:
    handle, part = tempfile.mkstemp(dir=path.parent)  # mkstemp gives the file mode 0600
    with os.fdopen(handle, "w") as file:
        file.write("\n".join(lines) + "\n")
    return Path(part)


def _new_key() -> str:
    return Fernet.generate_key().decode()


given_keys()  # a variable that holds anything but keys is refused at the start, by its name

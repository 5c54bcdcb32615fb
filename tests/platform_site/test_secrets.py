import io
import json
import multiprocessing
import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.core.exceptions import FieldError
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from environs import EnvValidationError

from jobs.models import TrackerSecret
from platform_site import secrets
from platform_site.secrets import Sealed, SecretError, decrypt, encrypt

TEXT = "correct horse battery staple, größe 🚂"


def make_secret(owner: User, value: str = TEXT, variable: str = "WANDB_API_KEY") -> TrackerSecret:
    return TrackerSecret.objects.create(
        owner=owner, tracker="wandb", variable=variable, value=value, set_at=timezone.now()
    )


def stored(secret: TrackerSecret) -> str:
    """The column as any reader of the database sees it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM jobs_trackersecret WHERE id = %s", [secret.pk])
        return str(cursor.fetchone()[0])


def rotate(*argv: str) -> str:
    out = io.StringIO()
    call_command("rotate_secrets", *argv, stdout=out)
    return out.getvalue()


def test_what_is_encrypted_can_be_read_again() -> None:
    token = encrypt(TEXT)
    assert TEXT not in token
    assert decrypt(token) == TEXT
    assert encrypt(TEXT) != token


def test_the_key_is_made_once_for_its_owner_alone(home: Path) -> None:
    first = secrets.all_keys()
    path = home / "secret_keys"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secrets.all_keys() == first
    assert sorted(part.name for part in home.iterdir()) == ["secret_keys", "static"]


def test_processes_that_start_together_agree_on_the_key(home: Path) -> None:
    context = multiprocessing.get_context("fork")
    with context.Pool(8) as pool:
        found = pool.starmap(secrets.all_keys, [()] * 8)
    assert len({tuple(keys) for keys in found}) == 1
    assert found[0] == secrets.all_keys()


def test_keys_from_the_environment_come_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    monkeypatch.setenv("TRAINYARD_SECRET_KEYS", old)
    token = encrypt(TEXT)
    monkeypatch.setenv("TRAINYARD_SECRET_KEYS", f"{new},{old}")
    assert decrypt(token) == TEXT
    assert Fernet(new).decrypt(encrypt(TEXT).removeprefix("fernet:")).decode() == TEXT
    assert not (home / "secret_keys").exists()


@pytest.mark.parametrize("junk", ["short", "x" * 44, "a,b"])
def test_junk_for_keys_is_refused_by_the_variables_name(
    junk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINYARD_SECRET_KEYS", junk)
    with pytest.raises(EnvValidationError, match="TRAINYARD_SECRET_KEYS"):
        secrets.all_keys()


def test_an_empty_variable_is_none_at_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINYARD_SECRET_KEYS", "")
    assert len(secrets.all_keys()) == 1


def test_without_its_key_a_secret_says_what_to_do(home: Path) -> None:
    token = encrypt(TEXT)
    (home / "secret_keys").unlink()
    with pytest.raises(SecretError, match=r"give the old key back .* or set the secret again"):
        decrypt(token)


def test_a_token_that_was_tampered_with_does_not_open() -> None:
    token = encrypt(TEXT)
    with pytest.raises(SecretError):
        decrypt(token[:-4] + "AAAA")


@pytest.mark.backends
def test_the_field_holds_cipher_text_and_gives_it_sealed(user: User) -> None:
    secret = make_secret(user)
    secret.refresh_from_db()
    assert TEXT not in stored(secret)
    assert stored(secret).startswith("fernet:")
    assert secret.value.open() == TEXT
    for shown in (repr(secret.value), str(secret.value), f"{secret.value}", repr(secret)):
        assert TEXT not in shown
        assert "gAAAA" not in shown


def test_saving_a_loaded_object_keeps_the_secret(user: User) -> None:
    secret = make_secret(user)
    before = stored(secret)
    loaded = TrackerSecret.objects.get(pk=secret.pk)
    loaded.save()
    assert stored(secret) == before


def test_a_secret_cannot_be_searched_by_its_value(user: User) -> None:
    make_secret(user)
    with pytest.raises(FieldError):
        TrackerSecret.objects.filter(value=TEXT).exists()
    assert TrackerSecret.objects.filter(value__isnull=False).exists()


def test_a_dump_holds_cipher_text_and_can_be_loaded_again(user: User, tmp_path: Path) -> None:
    secret = make_secret(user)
    dump = tmp_path / "dump.json"
    call_command("dumpdata", "jobs.trackersecret", output=str(dump))
    assert "correct horse" not in dump.read_text()
    TrackerSecret.objects.all().delete()
    call_command("loaddata", str(dump), verbosity=0)
    assert TrackerSecret.objects.get(pk=secret.pk).value.open() == TEXT


@pytest.mark.backends
def test_rotation_encrypts_all_with_a_new_key(user: User, home: Path) -> None:
    one, two = make_secret(user), make_secret(user, "second", "WANDB_ENTITY")
    before, old = stored(one), secrets.all_keys()[0]
    assert json.loads(rotate("--json")) == {"secrets": 2, "keys": 2, "forgotten": 0}
    assert secrets.all_keys()[1] == old
    assert stored(one) != before
    assert json.loads(rotate("--forget", "--json")) == {"secrets": 2, "keys": 1, "forgotten": 2}
    assert old not in secrets.all_keys()
    for secret, text in ((one, TEXT), (two, "second")):
        secret.refresh_from_db()
        assert secret.value.open() == text
    assert stat.S_IMODE((home / "secret_keys").stat().st_mode) == 0o600


def test_rotation_with_a_key_that_is_lost_changes_nothing(user: User, home: Path) -> None:
    good = make_secret(user, "good")
    make_secret(user, "bad", "WANDB_ENTITY")
    with connection.cursor() as cursor:
        lost = "fernet:" + Fernet(Fernet.generate_key()).encrypt(b"x").decode()
        cursor.execute(
            "UPDATE jobs_trackersecret SET value = %s WHERE variable = %s", [lost, "WANDB_ENTITY"]
        )
    before = stored(good)
    with pytest.raises(CommandError, match="does not open"):
        rotate("--forget")
    assert stored(good) == before
    good.refresh_from_db()
    assert good.value.open() == "good"


def test_keys_of_the_environment_are_not_forgotten_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINYARD_SECRET_KEYS", Fernet.generate_key().decode())
    with pytest.raises(CommandError, match="TRAINYARD_SECRET_KEYS: remove the old ones there"):
        rotate("--forget")


def test_rotation_uses_the_first_key_of_the_environment(
    user: User, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    monkeypatch.setenv("TRAINYARD_SECRET_KEYS", old)
    secret = make_secret(user)
    monkeypatch.setenv("TRAINYARD_SECRET_KEYS", f"{new},{old}")
    assert "1 encrypted" in rotate()
    monkeypatch.setenv("TRAINYARD_SECRET_KEYS", new)
    secret.refresh_from_db()
    assert secret.value.open() == TEXT
    assert not (home / "secret_keys").exists()


def test_sealed_values_are_equal_when_their_tokens_are() -> None:
    token = encrypt(TEXT)
    assert Sealed(token) == Sealed(token)
    assert Sealed(token) != Sealed(encrypt(TEXT))

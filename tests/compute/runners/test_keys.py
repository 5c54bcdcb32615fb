import base64
from pathlib import Path

import pytest

from compute.runners.ssh.keys import KeyUnusable, read_private_key
from tests.sshd import make_key

PPK = "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n"
DSA = "-----BEGIN DSA PRIVATE KEY-----\nMIIBuwIBAAKBgQ==\n-----END DSA PRIVATE KEY-----\n"
PASSPHRASE = "größe 5'"


@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
@pytest.mark.parametrize("form", ["", "PEM", "PKCS8"])
@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_every_kind_in_every_format(tmp_path: Path, kind: str, form: str, passphrase: str) -> None:
    text = make_key(tmp_path / "key", kind, passphrase, form)
    key = read_private_key(f"\n  {text}".replace("\n", "\r\n"), passphrase)
    public = (tmp_path / "key.pub").read_text().split()
    assert [key.get_name(), key.get_base64()] == public[:2]


def test_a_passphrase_for_a_key_without_one_does_no_harm(tmp_path: Path) -> None:
    assert read_private_key(make_key(tmp_path / "key"), "needless").get_name() == "ssh-ed25519"


@pytest.mark.parametrize("form", ["", "PEM", "PKCS8"])
def test_a_wrong_passphrase_and_none(tmp_path: Path, form: str) -> None:
    text = make_key(tmp_path / "key", "rsa", PASSPHRASE, form)
    with pytest.raises(KeyUnusable, match="The passphrase does not open this key"):
        read_private_key(text, "wrong")
    with pytest.raises(KeyUnusable, match="locked with a passphrase: give it as well"):
        read_private_key(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PPK, "a key of PuTTY"),
        (DSA, "DSA are no longer accepted"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== me", "the public half of a key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "the public half of a key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "This is no private key"),
        ("my secret password", "This is no private key"),
        ("", "This is no private key"),
        ("-----BEGIN RSA PRIVATE KEY-----\n!\n-----END RSA PRIVATE KEY-----", "key is damaged"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n-----END OPENSSH PRIVATE KEY-----",
         "key is damaged"),
    ],
)  # fmt: skip
def test_what_is_no_key_is_told(text: str, words: str) -> None:
    with pytest.raises(KeyUnusable, match=words):
        read_private_key(text)


def test_half_a_key(tmp_path: Path) -> None:
    text = make_key(tmp_path / "key", "rsa")
    with pytest.raises(KeyUnusable, match=r"damaged\. Was the whole file pasted"):
        read_private_key(text[: len(text) // 2], "passphrase")


def test_a_dsa_key_of_openssh() -> None:
    body = base64.b64encode(b"openssh-key-v1\0 and so on \0\0\0\x07ssh-dss").decode()
    text = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n"
    with pytest.raises(KeyUnusable, match="DSA are no longer accepted"):
        read_private_key(text)

import pytest

from monitoring.readers.masking import lead_for, masked

SECRETS = [b"abcdefgh", b"0123456"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", b""),
        (b"nothing here", b"nothing here"),
        (b"key=abcdefgh!", b"key=********!"),
        (b"abcdefghabcdefgh 0123456", b"**************** *******"),
        (b"key=abcd", b"key=****"),
        (b"key=abcdefg", b"key=*******"),
        (b"key=abc", b"key=abc"),
        (b"key=01234", b"key=*****"),
        (b"abcd in the middle", b"abcd in the middle"),
    ],
)
def test_as_many_stars_as_bytes(data: bytes, expected: bytes) -> None:
    assert masked(data, SECRETS) == expected


def test_without_secrets_nothing_changes() -> None:
    assert masked(b"abcdefgh", []) == b"abcdefgh"
    assert lead_for([]) == 0


def test_a_secret_in_two_parts_is_in_neither() -> None:
    text = b"xx abcdefgh yy"
    lead = lead_for(SECRETS)
    assert lead == 7
    for cut in range(1, len(text)):
        start = max(0, cut - lead)
        first, second = masked(text[:cut], SECRETS), masked(text[start:], SECRETS)[cut - start :]
        shown = first + second
        assert len(shown) == len(text)
        assert b"defgh" not in shown
        assert shown.startswith(b"xx ")
        assert shown.endswith(b" yy")

from collections.abc import Sequence

import pytest

from compute.runners.base import RunnerError
from surgery.making import trying

SEEN = b'progress\n{"tensors": 50, "bytes_in": 4096, "bytes_out": 2048, "source": "/m"}\n'


class FakeLook:
    """Stands in for the node's program with --check, whose Python has torch."""

    def __init__(self) -> None:
        self.asked: list[Sequence[str]] = []
        self.refusal = ""

    def __call__(self, argv: Sequence[str], stdin: bytes, within: float) -> bytes:
        self.asked.append(argv)
        if self.refusal:
            raise RunnerError(self.refusal)
        return SEEN


@pytest.fixture(autouse=True)
def look(monkeypatch: pytest.MonkeyPatch) -> FakeLook:
    fake = FakeLook()
    monkeypatch.setattr(trying, "run_here", fake)
    return fake

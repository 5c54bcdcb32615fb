"""The parts in their stages, and a stop among them."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from trainyard_node.rehearse.plan import Plan
from trainyard_node.rehearse.stages import go_through
from trainyard_node.rehearse.told import Told


@pytest.fixture(autouse=True)
def kept_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_second_stop_does_not_break_off_the_cleaning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(str(tmp_path), "rl", "", (), (), {}, {}, 2, 8, 4, 4, 32, "error")
    (tmp_path / "checkpoints").mkdir()
    delete = shutil.rmtree

    def stopped_again(*given: Any, **more: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        delete(*given, **more)

    def stopped(_: Plan) -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        return "It went on."

    monkeypatch.setattr(shutil, "rmtree", stopped_again)
    with pytest.raises(SystemExit):
        go_through(plan, ({"training": stopped},), Told(("training",)), ("checkpoints",))
    assert not (tmp_path / "checkpoints").exists()

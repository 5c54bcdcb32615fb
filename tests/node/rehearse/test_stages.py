"""The parts in their stages, and a stop among them."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from trainyard_node.rehearse.places import check_folders
from trainyard_node.rehearse.plan import Fault, Move, Plan
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


def test_a_folder_has_room_for_the_checkpoint_of_the_jobs_own_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    header = json.dumps({
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "BF16", "shape": [1 << 15, 1 << 14], "data_offsets": [0, 1 << 30]},
        "b": {"dtype": "BF16", "shape": [], "data_offsets": [0, 2]},
    }).encode()  # fmt: skip
    (model / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    source = Move(str(model), str(model))
    own = {"model": source}
    plan = Plan(str(tmp_path), "rl", "", (), (), own, {}, 2, 8, 4, 4, 32, "error")
    free = 11 << 30

    def said(**more: Any) -> str:
        little = shutil.disk_usage(tmp_path)._replace(free=free)
        monkeypatch.setattr("trainyard_node.rehearse.places.shutil.disk_usage", lambda _: little)
        return check_folders(replace(plan, **more))

    assert said().endswith("11 GiB are free.")
    assert said(saved={"model": 12.0}).endswith("and a checkpoint takes about 6.0 GiB of them.")
    critic = {"model": 12.0, "critic": 12.0}  # it starts from the same model
    with pytest.raises(Fault, match=r"takes about 12\.0 GiB here, and 11\.0 GiB are free"):
        said(saved=critic)
    assert said(saved=critic, machines=2).endswith("takes about 6.0 GiB of them.")
    (model / "model.safetensors").write_bytes(b"short")
    assert said(saved=critic).endswith("how much a checkpoint of the model takes is not known.")

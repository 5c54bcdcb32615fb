"""The rows that a resumed RL run sees, with the data loader that verl uses."""

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from trainyard_node.hooks import rows, shape

ROWS, BATCH, EPOCH = 22, 4, 5  # two rows are left over


class FakeTrainer:
    """The former trainer's loading and looping, without its models."""

    def __init__(self, workers: int, path: str = "") -> None:
        settings = {"resume_mode": "resume_path", "resume_from_path": path, "default_local_dir": ""}
        self.config = SimpleNamespace(trainer=OmegaConf.create(settings))
        self.train_dataloader = loader(workers)
        self.global_steps = 0

    def _load_checkpoint(self) -> None:
        path = self.config.trainer.resume_from_path
        self.global_steps = int(path.rpartition("_")[2]) if path else 0
        if self.global_steps % len(self.train_dataloader):
            state = torch.load(Path(path, "data.pt"), weights_only=False)
            self.train_dataloader.load_state_dict(state)

    def run(self, steps: int, save: dict[int, Path]) -> list[list[int]]:
        self._load_checkpoint()
        seen: list[list[int]] = []
        for _ in range(self.global_steps // EPOCH, 3):
            for batch in self.train_dataloader:
                seen.append(batch)
                if (folder := save.get(len(seen))) is not None:
                    torch.save(self.train_dataloader.state_dict(), folder / "data.pt")
                if len(seen) == steps:
                    return seen
        return seen


def loader(workers: int) -> Any:
    torchdata = importlib.import_module("torchdata.stateful_dataloader")
    sampler = importlib.import_module("torchdata.stateful_dataloader.sampler")
    return torchdata.StatefulDataLoader(
        dataset=range(ROWS),
        batch_size=BATCH,
        num_workers=workers,
        drop_last=True,
        collate_fn=list,
        sampler=sampler.RandomSampler(range(ROWS), generator=torch.Generator()),
    )


@pytest.fixture
def hooked(monkeypatch: pytest.MonkeyPatch) -> type[FakeTrainer]:
    class Hooked(FakeTrainer):
        _load_checkpoint = FakeTrainer._load_checkpoint

    # The fake does not look like verl's in every respect; that is checked elsewhere.
    monkeypatch.setattr(shape, "check", lambda *args: None)
    rows.attach_to_former(Hooked)
    return Hooked


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("step", [3, 5, 7, 10])
def test_the_former_trainer_goes_on_with_the_same_rows(
    hooked: type[FakeTrainer], tmp_path: Path, workers: int, step: int
) -> None:
    folder = tmp_path / f"global_step_{step}"
    folder.mkdir()
    straight = hooked(workers).run(13, {step: folder})
    assert len({tuple(batch) for batch in straight}) == 13
    resumed = hooked(workers, str(folder)).run(13 - step, {})
    assert resumed == straight[step:]


def test_without_the_hook_the_first_order_would_come_again(tmp_path: Path) -> None:
    folder = tmp_path / "global_step_5"
    folder.mkdir()
    straight = FakeTrainer(0).run(10, {5: folder})
    assert FakeTrainer(0, str(folder)).run(5, {}) == straight[:5] != straight[5:]


def test_a_checkpoint_without_rows_is_left_to_verl(
    hooked: type[FakeTrainer], tmp_path: Path
) -> None:
    folder = tmp_path / "global_step_5"
    folder.mkdir()
    assert len(hooked(0, str(folder)).run(5, {})) == 5


def test_where_an_epoch_ends() -> None:
    found = [step for step in range(12) if rows.is_boundary(step, 5)]
    assert found == [5, 10]
    assert not rows.is_boundary(5, 0)

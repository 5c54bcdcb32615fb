"""Examining checkpoints: whole ones as verl writes them, and each kind of damage."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from trainyard_node.examine import examine, main

PARTS = ("model", "optim", "extra_state")


def torch_file(path: Path) -> None:
    """What torch.save writes, as far as a reader without torch can tell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}/data.pkl", b"pickled " * 20)
        archive.writestr(f"{path.stem}/data/0", bytes(range(256)) * 8)


def shards(folder: Path, ranks: int) -> None:
    for rank in range(ranks):
        for part in PARTS:
            torch_file(folder / f"{part}_world_size_{ranks}_rank_{rank}.pt")
    facts = {"FSDP_version": 2, "world_size": ranks}
    (folder / "fsdp_config.json").write_text(json.dumps(facts))


@pytest.fixture
def supervised(tmp_path: Path) -> Path:
    """Two ranks, two data loaders."""
    folder = tmp_path / "checkpoints/global_step_20"
    shards(folder, 2)
    for rank in range(2):
        torch_file(folder / f"data_{rank}.pt")
    return folder


@pytest.fixture
def rl(tmp_path: Path) -> Path:
    """One rank, with a critic."""
    folder = tmp_path / "checkpoints/global_step_8"
    shards(folder / "actor", 1)
    shards(folder / "critic", 1)
    torch_file(folder / "data.pt")
    return folder


def faults(folder: Path, *, deep: bool = False) -> list[str]:
    return list(examine(folder, deep=deep).faults)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def test_a_whole_supervised_checkpoint_has_no_faults(supervised: Path) -> None:
    found = examine(supervised, deep=True)
    assert (found.step, found.world_size, found.faults) == (20, 2, [])


def test_a_whole_rl_checkpoint_has_no_faults(rl: Path) -> None:
    found = examine(rl, deep=True)
    assert (found.step, found.world_size, found.faults) == (8, 1, [])


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (
            "model_world_size_2_rank_1.pt",
            "The model of rank 1 of 2 is missing (model_world_size_2_rank_1.pt).",
        ),
        (
            "extra_state_world_size_2_rank_0.pt",
            "The state of the learning rate and of the random numbers of rank 0 of 2 is missing "
            "(extra_state_world_size_2_rank_0.pt).",
        ),
        (
            "data_0.pt",
            "The state of a data loader is missing (data_0.pt): a resumed run would begin with the "
            "first rows again.",
        ),
        ("fsdp_config.json", "fsdp_config.json is missing: saving was cut off."),
    ],
)
def test_a_missing_file_is_named(supervised: Path, gone: str, said: str) -> None:
    (supervised / gone).unlink()
    assert faults(supervised) == [said]
    assert examine(supervised).world_size == 2


def test_no_optimizer_state_at_all_is_one_fault(supervised: Path) -> None:
    for path in supervised.glob("optim_*"):
        path.unlink()
    assert faults(supervised) == [
        "The optimizer state of every rank is missing (optim_world_size_2_rank_*.pt)."
    ]


@pytest.mark.parametrize("said_by", ["the checkpoint beside it", "the command"])
def test_a_data_loader_that_is_missed_by_others(supervised: Path, said_by: str) -> None:
    if said_by == "the command":
        hydra = supervised.parent.parent / "hydra/.hydra"
        hydra.mkdir(parents=True)
        (hydra / "overrides.yaml").write_text("- optim.lr=1\n")
    else:
        shutil.copytree(supervised, supervised.with_name("global_step_10"))
    (supervised / "data_1.pt").unlink()
    assert len(faults(supervised)) == 1
    assert "data_1.pt" in faults(supervised)[0]


def test_sequence_parallel_ranks_share_a_data_loader(supervised: Path) -> None:
    hydra = supervised.parent.parent / "hydra/.hydra"
    hydra.mkdir(parents=True)
    (hydra / "overrides.yaml").write_text("- engine.ulysses_sequence_parallel_size=2\n")
    (supervised / "data_1.pt").unlink()
    assert faults(supervised) == []


@pytest.mark.parametrize("size", [0, 1, 300, -1])
def test_a_file_that_is_cut_short(supervised: Path, size: int) -> None:
    cut(supervised / "optim_world_size_2_rank_1.pt", size)
    (fault,) = faults(supervised)
    assert fault == (
        "optim_world_size_2_rank_1.pt is damaged: it is cut short or no file of torch.save: "
        "File is not a zip file."
    )


def test_a_list_of_parts_without_the_parts(supervised: Path) -> None:
    path = supervised / "model_world_size_2_rank_0.pt"
    whole = path.read_bytes()
    # A hole in the middle, closed: the list at the end is as it was.
    path.write_bytes(whole[:200] + whole[900:])
    (fault,) = faults(supervised)
    assert fault.startswith("model_world_size_2_rank_0.pt is damaged: ")


def test_wrong_bytes_are_found_by_reading_all(supervised: Path) -> None:
    path = supervised / "model_world_size_2_rank_0.pt"
    content = bytearray(path.read_bytes())
    content[500:600] = bytes(100)
    path.write_bytes(content)
    assert faults(supervised) == []
    assert faults(supervised, deep=True) == [
        "model_world_size_2_rank_0.pt is damaged: the checksum of its part "
        "model_world_size_2_rank_0/data/0 is wrong."
    ]


def test_a_zip_file_of_something_else(supervised: Path) -> None:
    with zipfile.ZipFile(supervised / "data_1.pt", "w") as archive:
        archive.writestr("letter.txt", "dear")
    assert faults(supervised) == [
        "data_1.pt is damaged: it is no file of torch.save: it has no data.pkl."
    ]


def test_a_file_that_may_not_be_read(supervised: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = supervised / "data_0.pt"
    real = zipfile.ZipFile

    def refusing(path: Any, *args: Any, **kwargs: Any) -> Any:
        if path == target:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(zipfile, "ZipFile", refusing)
    assert faults(supervised) == ["data_0.pt is damaged: it cannot be read: Permission denied."]


@pytest.mark.parametrize("name", ["model_world_size_2_rank_0.pt", "fsdp_config.json"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_would_be_read_for_ever_is_not_opened(
    supervised: Path, name: str, make: Callable[[Path], None]
) -> None:
    (supervised / name).unlink()
    make(supervised / name)
    assert f"{name} is damaged: it is no plain file." in faults(supervised)


def test_facts_that_are_no_json(supervised: Path) -> None:
    (supervised / "fsdp_config.json").write_text('{"FSDP_version": 2, "wor')
    assert faults(supervised) == ["fsdp_config.json is damaged: it is cut short or no JSON."]
    assert examine(supervised).world_size == 2


def test_an_adapter_without_its_facts(supervised: Path) -> None:
    beside = supervised.with_name("global_step_10")
    shutil.copytree(supervised, beside)
    (beside / "lora_train_meta.json").write_text('{"r": 4}')
    assert faults(beside) == []
    assert faults(supervised) == [
        "The facts of the LoRA adapter are missing (lora_train_meta.json): saving was cut off."
    ]


def test_rl_needs_its_actor_and_its_rows(rl: Path) -> None:
    (rl / "data.pt").unlink()
    (rl / "actor/model_world_size_1_rank_0.pt").unlink()
    assert faults(rl) == [
        "The model of rank 0 of 1 is missing (actor/model_world_size_1_rank_0.pt).",
        "The state of the data loader is missing (data.pt): a resumed run would begin with the "
        "first rows again.",
    ]
    shutil.rmtree(rl / "actor")
    assert faults(rl)[0] == "There is no model in actor: saving was cut off."


def test_a_critic_is_missed_when_a_checkpoint_beside_has_one(rl: Path) -> None:
    beside = rl.with_name("global_step_4")
    shutil.copytree(rl, beside)
    shutil.rmtree(rl / "critic")
    assert faults(rl) == ["There is no model in critic: saving was cut off."]
    shutil.rmtree(beside)
    assert faults(rl) == []


def test_an_empty_folder_and_none(tmp_path: Path) -> None:
    folder = tmp_path / "global_step_3"
    assert examine(folder).faults == [f"There is no folder {folder}."]
    folder.mkdir()
    found = examine(folder)
    assert (found.step, found.world_size) == (3, 0)
    assert found.faults[0] == "There is no model in it: saving was cut off."


def test_the_command_prints_json(rl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(rl)]) == 0
    assert json.loads(capsys.readouterr().out) == {"step": 8, "world_size": 1, "faults": []}


def test_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], [str(tmp_path)], ["a", "b"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    assert "is no global_step_N" in capsys.readouterr().err


def test_it_imports_no_torch() -> None:
    code = (
        "import sys, trainyard_node.examine;"
        "print(sorted({'torch', 'verl', 'ray', 'numpy', 'psutil'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code]) == b"[]\n"


@pytest.mark.verl
def test_what_verl_saves_is_whole(sft_run: Run, grpo_run: Run) -> None:
    for run, step in ((sft_run, 32), (sft_run, 64), (grpo_run, 8), (grpo_run, 16)):
        found = examine(run.root / f"checkpoints/global_step_{step}", deep=True)
        assert (found.step, found.world_size, found.faults) == (step, 1, [])


@pytest.mark.verl
def test_what_verl_saves_is_found_cut_at_any_place(sft_run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "global_step_32"
    shutil.copytree(sft_run.root / "checkpoints/global_step_32", folder)
    for path in sorted(folder.glob("*.pt")):
        whole = path.stat().st_size
        kept = path.read_bytes()
        for size in (whole - 1, whole // 2, 64):
            os.truncate(path, size)
            assert len(faults(folder)) == 1, (path.name, size)
        path.write_bytes(kept)
    assert faults(folder) == []

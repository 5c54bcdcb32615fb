"""The command that writes down an installed verl's keys, on a small verl of its own."""

import json
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

CONFIG = (
    "_target_: verl.workers.config.Small\nlr: 0.1\noptim:\n  _target_: verl.x.Optim\n  name: a\n"
)
CLASSES = (
    "class Base:\n    extra: dict\n\nclass Optim(Base):\n    name: str\n    betas: list[float]\n"
)


@pytest.fixture
def small_verl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package named verl beside this Python: two configurations and its data classes."""
    root = tmp_path / "site"
    config, classes = root / "verl/trainer/config", root / "verl/workers/config"
    info = root / "verl-0.8.5.dist-info"
    for folder in (config, classes, info):
        folder.mkdir(parents=True)
    (root / "verl/__init__.py").write_text("raise RuntimeError('verl must not be imported')\n")
    (root / "verl/base_config.py").write_text("")
    (classes / "small.py").write_text(CLASSES)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: verl\nVersion: 0.8.5\n")
    for name in ("sft_trainer_engine", "ppo_trainer"):
        (config / f"{name}.yaml").write_text(CONFIG)
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv("TRAINYARD_RUN_ENV", "PYTHONPATH")
    return root


def told(*argv: str) -> str:
    out = StringIO()
    call_command("verl_schema", "--python", sys.executable, *argv, stdout=out)
    return out.getvalue()


def test_it_says_which_release_it_found(small_verl: Path) -> None:
    lines = told().splitlines()
    assert lines[0] == "verl 0.8.5"
    assert [line.split() for line in lines[1:]] == [
        ["ppo_trainer", "4", "keys"],
        ["sft_trainer_engine", "4", "keys"],
    ]


def test_it_writes_one_file_for_each_trainer(small_verl: Path, tmp_path: Path) -> None:
    out = tmp_path / "new/schema"
    data = json.loads(told("--out", str(out), "--json"))
    assert data == {
        "verl": "0.8.5",
        "out": str(out),
        "keys": {"ppo_trainer": 4, "sft_trainer_engine": 4},
    }
    assert sorted(path.name for path in out.iterdir()) == [
        "ppo_trainer.json",
        "sft_trainer_engine.json",
    ]
    schema = json.loads((out / "ppo_trainer.json").read_text())
    assert schema["verl"] == "0.8.5"
    assert schema["keys"]["lr"] == {"default": 0.1, "type": "float"}
    assert schema["fields"] == {"optim.betas": "list", "optim.extra": "dict"}


def test_a_python_without_verl_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(CommandError, match=r"has no verl that can be read: .*verl"):
        told("--out", str(tmp_path / "schema"))
    assert not (tmp_path / "schema").exists()


def test_a_path_that_is_no_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be run: No such file"):
        call_command("verl_schema", "--python", str(tmp_path / "python"))
    with pytest.raises(CommandError, match="cannot be run: Permission denied"):
        call_command("verl_schema", "--python", str(tmp_path))


def test_a_folder_that_cannot_be_made_is_refused(small_verl: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="cannot be written: Not a directory"):
        told("--out", str(tmp_path / "file/schema"))

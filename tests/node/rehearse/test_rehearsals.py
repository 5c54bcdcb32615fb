"""Real rehearsals with real verl: one that passes, and two whose training was made to break."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import read_lines
from rehearsal_plans import Job, planned
from trainyard_node.rehearse.told import FAILED, PASSED, SKIPPED

pytestmark = pytest.mark.verl
PARTS = (
    "config", "folders", "packages", "model", "data", "reward", "training", "validation",
    "checkpoint", "resume",
)  # fmt: skip
JOBS = {
    "whole": Job(),
    "loss": Job({"lr": 1e9}, recipe="sample-sft"),
    "optimizer": Job(
        overrides=("+optim.override_optimizer_config={no_such:1}",), recipe="sample-sft"
    ),
}


@dataclass(frozen=True)
class Ended:
    code: int
    root: Path
    log: str

    @property
    def parts(self) -> dict[str, tuple[str, str]]:
        """The state of each part and what it said, as the last report has them."""
        told = read_lines(self.root / "events.jsonl")
        said = [event for event in told if event["kind"] == "rehearsed"]
        return {part["name"]: (part["state"], part["said"]) for part in said[-1]["parts"]}

    @property
    def states(self) -> list[str]:
        assert [*self.parts] == [*PARTS]
        return [state for state, _ in self.parts.values()]


class Rehearse:
    """Runs each of the jobs' rehearsals, once."""

    def __init__(self, samples: str, folder: Path) -> None:
        self.folder = folder
        self.commands = planned(JOBS, samples, folder)

    def __call__(self, name: str) -> Ended:
        root, command = self.folder / name, self.commands[name]
        root.mkdir()
        with (root / "log").open("wb") as log:
            done = subprocess.run(
                command.argv, cwd=root, stdout=log, stderr=log, timeout=1500, check=False,
                env={**os.environ, **command.env, "TRAINYARD_RUN_DIR": str(root)},
            )  # fmt: skip
        return Ended(done.returncode, root, (root / "log").read_text(errors="replace"))


@pytest.fixture(scope="module")
def rehearse(samples: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Rehearse:
    return Rehearse(samples["directory"], tmp_path_factory.mktemp("rehearsals"))


def test_grpo_passes_all_parts(rehearse: Rehearse) -> None:
    ended = rehearse("whole")
    assert (ended.code, ended.states) == (0, [PASSED] * len(PARTS)), ended.log[-6000:]
    assert ended.parts["resume"][1] == "It went on from the checkpoint with step 3."
    assert ended.parts["training"][1].startswith("2 steps ran to their end; ")
    folder = ended.root / "rehearsal"
    assert [line["step"] for line in read_lines(folder / "resumed.jsonl")] == [3]
    assert len(set(re.findall(r"TaskRunnerV1 pid=(\d+)", ended.log))) == 2  # one trainer each
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("loss", "is no number: the loss of a run that begins so does not recover."),
        ("optimizer", "got an unexpected keyword argument 'no_such'"),
    ],
)
def test_sft_that_breaks_in_training_is_named(rehearse: Rehearse, name: str, words: str) -> None:
    ended = rehearse(name)
    assert ended.code == 1
    assert words in ended.parts["training"][1]
    assert ended.states == [PASSED] * 6 + [FAILED] + [SKIPPED] * 3
    assert not (ended.root / "rehearsal/model").exists()

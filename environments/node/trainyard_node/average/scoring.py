"""The score of a model: a loss that the trainer's own command writes, the lower the better."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainyard_node.export.program import check_keys
from trainyard_node.export.refused import Refused
from trainyard_node.rehearse.legs import METRICS, lines_of
from trainyard_node.rehearse.plan import Fault
from trainyard_node.rehearse.running import run

KEYS = ("argv", "env", "metric", "step")
MODEL = "model"  # below the folder of the scores: where the command finds what it scores
MINUTES = 24 * 60.0  # whoever waits may stop it


@dataclass(frozen=True)
class Score:
    """`argv` is the command that scores the model in `model` of the folder of `folder_of`. It
    writes its metrics there, and the score is `metric` at `step`."""

    argv: Sequence[str]
    metric: str
    step: int
    env: Mapping[str, str] = field(default_factory=dict)

    def measured(self, folder: Path) -> float:
        """The score of the model that lies there; not finite where the loss is no number. Raises
        Refused where there is none."""
        env = {"VERL_FILE_LOGGER_PATH": str(folder / METRICS), **self.env}
        try:
            run(self.argv, folder, env, MINUTES)
        except Fault as fault:
            raise Refused(f"The model cannot be scored. {fault}") from fault
        lines = [line for line in lines_of(folder / METRICS) if line.get("step") == self.step]
        data = [line["data"] for line in lines if isinstance(line.get("data"), dict)]
        found = [each[self.metric] for each in data if self.metric in each]
        if not found:
            raise Refused(
                f"The model cannot be scored: its trainer wrote no {self.metric} at step "
                f"{self.step}."
            )
        value = found[-1]
        return float(value) if type(value) in (int, float) else math.nan  # null: NaN


def score_of(value: Any) -> Score:
    """Raises Refused with a sentence that names the part which is wrong."""
    if not isinstance(value, dict):
        raise Refused("score has the command that scores a model: argv, metric and step.")
    check_keys(value, KEYS)
    argv, env, step = value.get("argv"), value.get("env", {}), value.get("step")
    if not isinstance(argv, list) or not argv or not all(isinstance(one, str) for one in argv):
        raise Refused("argv of score is a list of words.")
    if not isinstance(env, dict) or not all(isinstance(one, str) for one in env.values()):
        raise Refused("env of score is a mapping of words.")
    if not isinstance(value.get("metric"), str) or not value["metric"]:
        raise Refused("metric of score is the name of a metric, such as val/loss.")
    if type(step) is not int or step < 0:
        raise Refused(f"step of score is a whole number of 0 or more, not {step!r}.")
    return Score(argv, value["metric"], step, env)


def folder_of(target: Path) -> Path:
    """Where models are scored on the way to `target`."""
    return target.parent / f".{target.name}.scoring"


def check_reads(score: Score, folder: Path) -> None:
    """Raises Refused where the command does not name the model that it is to score."""
    model = str(folder / MODEL)
    if not any(model in word for word in score.argv):
        raise Refused(f"The command of score does not name {model}, where each model will lie.")

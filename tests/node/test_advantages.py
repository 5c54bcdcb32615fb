"""The advantages that pages compute again from a rollout file are verl's own."""

import json
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

ROOT = str(Path(__file__).parents[2])
N, LONGEST = 4, 6


@pytest.fixture(autouse=True)
def pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform's pure rooms, after all else: its `datasets` is not Hugging Face's."""
    monkeypatch.setattr(sys, "path", [*sys.path, ROOT])


def rows(seed: int) -> list[dict[str, Any]]:
    """Groups of four answers, one group of a single one, and one without deviation."""
    chance = random.Random(seed)
    found = []
    for prompt, size in enumerate((N, N, N, 1)):
        for number in range(size):
            score = 0.5 if prompt == 1 else chance.choice((0.0, 0.1, 0.7, 1.0))
            found.append(
                {
                    "input": f"p{prompt}", "output": "x", "score": score,
                    "uid": f"p{prompt}_{number}_0",
                    "trainyard_tokens": LONGEST, "trainyard_trained": chance.randint(2, LONGEST),
                }
            )  # fmt: skip
    return found


def of_verl(name: str, lines: list[dict[str, Any]], config: Any) -> list[float]:
    """The mean of each answer's tokens, as the functions that verl registered compute it."""
    from verl.trainer.ppo import core_algos

    mask, rewards = torch.zeros(len(lines), LONGEST), torch.zeros(len(lines), LONGEST)
    for at, line in enumerate(lines):
        count = line["trainyard_trained"]
        mask[at, :count] = 1
        rewards[at, count - 1] = line["score"]
    index = np.array([line["uid"].split("_")[0] for line in lines], dtype=object)
    more = {"norm_adv_by_std_in_grpo": config.norm_adv_by_std_in_grpo} if "grpo" in name else {}
    advantages, _ = core_algos.get_adv_estimator_fn(name)(
        token_level_rewards=rewards, response_mask=mask, index=index, config=config, **more
    )
    return [float(value) for value in (advantages * mask).sum(1) / mask.sum(1)]


class Config(SimpleNamespace):
    def get(self, name: str, default: Any = None) -> Any:
        return getattr(self, name, default)


@pytest.mark.verl
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "by_deviation", "gamma"),
    [
        ("grpo", True, 1.0),
        ("grpo", False, 1.0),  # Dr. GRPO
        ("grpo_vectorized", True, 1.0),
        ("grpo_passk", True, 1.0),
        ("grpo_passk", False, 1.0),
        ("rloo", True, 1.0),
        ("rloo_vectorized", True, 1.0),
        ("opo", True, 1.0),
        ("gpg", True, 1.0),
        ("reinforce_plus_plus", True, 1.0),
        ("reinforce_plus_plus", True, 0.9),
        ("reinforce_plus_plus_baseline", True, 1.0),
    ],
)
def test_they_are_verls_own(
    name: str, by_deviation: bool, gamma: float, seed: int, tmp_path: Path
) -> None:
    from monitoring.answers.advantage import Method, advantages
    from monitoring.answers.kept import step_of

    lines = rows(seed)
    if name == "grpo_passk":  # verl wants two answers to each prompt
        lines = lines[:-1]
    path = tmp_path / "1.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = Config(gamma=gamma, norm_adv_by_std_in_grpo=by_deviation)
    found = advantages(step_of(path), Method(name, by_deviation, gamma))
    assert found.values is not None
    assert found.values.tolist() == pytest.approx(of_verl(name, lines, config), abs=1e-4)

"""Pause, save now and resume, with real verl on the CPU: what a run does that was interrupted is
what it would have done, to the row.

Epochs are 20 steps long, so that a pause after step 20 falls between two of them. The last leg of
each run is asked to pause during its last step, which must change nothing.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import commands
import pytest
import read_keys
import torch
from conftest import SAVE_TIME, Run, read_lines, train, until
from torch.utils.data import DistributedSampler
from trainyard_node.examine import examine

pytestmark = pytest.mark.verl

STEPS, HALF, BATCH = 40, 20, 8
# 20 batches an epoch, and some rows that are left out of it.
ROWS = HALF * BATCH + 6
# A learning rate that still rises after the pause: one that began anew would be seen.
SUPERVISED = [
    "data.val_files=null", f"data.train_batch_size={BATCH}", "data.micro_batch_size_per_gpu=8",
    f"data.train_max_samples={ROWS}", "trainer.total_epochs=2", "optim.lr_warmup_steps=30",
    "trainer.save_freq=15", "trainer.test_freq=-1",
    "checkpoint.save_contents=[model,optimizer,extra]",
]  # fmt: skip
RL_BATCH = 4
ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
RL = [
    f"data.train_batch_size={RL_BATCH}", f"{ACTOR}.ppo_mini_batch_size={RL_BATCH}",
    f"{ACTOR}.ppo_micro_batch_size_per_gpu=8", f"{ROLLOUT}.n=2",
    f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu=8", f"{ACTOR}.optim.lr_warmup_steps=30",
    "trainer.total_epochs=2", "trainer.total_training_steps=null", "trainer.test_freq=-1",
    # Without a seed verl draws the rows of train_max_samples anew at each start.
    "data.seed=1",
]  # fmt: skip
REMAX = ["algorithm.adv_estimator=remax", "trainer.use_v1=False"]
# Asked of the platform: one step of the critic alone, then its rows by four, and a tight clip.
PPO = {
    "log_prob_micro_batch_size": 8,
    "critic_warmup": 1,
    "critic_micro_batch_size": 4,
    "clip_grad": 1e-3,
    "use_kl_loss": True,
}
SHORTEST = "data.max_response_length=1"  # an answer of one token has ended only if it is empty
PAUSED = "paused after step {0}; its checkpoint is saved"
Start = Callable[..., Run]


@pytest.fixture(scope="session")
def leg(samples: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Runs one attempt to its end: leg(make_command, overrides, {"pause": 20}, after=(run, 20))."""

    def start(
        make: Callable[..., commands.Command],
        more: Sequence[str],
        asks: dict[str, int] | None = None,
        after: tuple[Run, int] | None = None,
    ) -> Run:
        root = tmp_path_factory.mktemp("leg")
        overrides = [*more, *(resume_from(*after) if after else [])]
        command = make(Path(samples["directory"]), root, overrides)
        return train(root, observed(command, root, asks or {}), 420)

    return start


def sft(samples: Path, root: Path, overrides: Sequence[str]) -> commands.Command:
    return commands.sft(samples, root, 1, *SUPERVISED, *overrides)


def dpo(samples: Path, root: Path, overrides: Sequence[str]) -> commands.Command:
    return commands.dpo(samples, root, 1, *SUPERVISED, *overrides)


def rl(samples: Path, root: Path, overrides: Sequence[str]) -> commands.Command:
    return commands.grpo(samples, root, *RL, *overrides)


def ppo(samples: Path, root: Path, overrides: Sequence[str]) -> commands.Command:
    asked = read_keys.others_of_ppo(**PPO, critic_model=f"{samples}/model-warm")
    command = rl(samples, root, ["algorithm.adv_estimator=gae", *asked, *overrides])
    return commands.recorded(command, root)


def resume_from(run: Run, step: int) -> list[str]:
    path = run.root / f"checkpoints/global_step_{step}"
    return ["trainer.resume_mode=resume_path", f"trainer.resume_from_path={path}"]


def observed(command: commands.Command, root: Path, asks: dict[str, int]) -> commands.Command:
    modules = [command.env.get("VERL_USE_EXTERNAL_MODULES", ""), "observed"]
    env = {
        "VERL_USE_EXTERNAL_MODULES": ",".join(filter(None, modules)),
        "PYTHONPATH": commands.TESTS,
        "OBSERVED_ROWS": f"{root}/rows",
        "OBSERVED_ASKS": json.dumps(asks),
    }
    return replace(command, env={**command.env, **env})


def rows(run: Run, rank: int = 0) -> list[int]:
    return [int(line) for line in (run.root / f"rows-{rank}").read_text().split()]


def steps(*runs: Run) -> list[int]:
    return [line["step"] for run in runs for line in run.step_lines()]


def series(name: str, *runs: Run) -> list[float]:
    return [line["data"][name] for run in runs for line in run.step_lines()]


def timed(run: Run) -> list[int]:
    """The steps whose save was measured."""
    found = {line["step"]: line["data"] for line in read_lines(run.root / "metrics.jsonl")}
    return sorted(step for step, data in found.items() if data.get(SAVE_TIME, 0) > 0)


def saved(run: Run) -> list[int]:
    folders = (run.root / "checkpoints").glob("global_step_*")
    return sorted(int(path.name.rpartition("_")[2]) for path in folders)


def answered(run: Run) -> bool:
    """Whether no request is left."""
    return not any((run.root / "control" / name).exists() for name in ("pause", "save"))


def assert_paused(run: Run, step: int) -> None:
    """It ended by itself, whole, and with nothing of a real end."""
    (event,) = [e for e in read_lines(run.root / "events.jsonl") if e["kind"] == "paused"]
    assert (event["step"], event["message"]) == (step, PAUSED.format(step))
    assert answered(run)
    assert steps(run)[-1] == step
    checkpoints = run.root / "checkpoints"
    assert (checkpoints / "latest_checkpointed_iteration.txt").read_text() == str(step)
    assert examine(checkpoints / f"global_step_{step}", deep=True).faults == []
    assert "Final validation metrics" not in (run.root / "train.log").read_text(errors="replace")

    assert step in timed(run)


def assert_completed(run: Run, step: int) -> None:
    assert "paused" not in run.kinds()
    assert answered(run)
    assert steps(run)[-1] == saved(run)[-1] == step
    assert timed(run) == saved(run)


@pytest.fixture(scope="module")
def sft_legs(leg: Start) -> tuple[Run, Run, Run]:
    first = leg(sft, [], {"pause": HALF})
    return leg(sft, [], {"save": 13}), first, leg(sft, [], {"pause": HALF}, (first, HALF))


def test_sft_goes_on_as_if_it_had_not_been_paused(sft_legs: tuple[Run, Run, Run]) -> None:
    straight, first, second = sft_legs
    assert_paused(first, HALF)
    assert_completed(second, STEPS)
    assert steps(first, second) == steps(straight) == list(range(1, STEPS + 1))
    assert rows(first) + rows(second) == rows(straight)
    assert len(rows(straight)) == STEPS * BATCH
    assert set(rows(first)) != set(rows(second)), "each epoch leaves out other rows"
    for name in ("train/loss", "train/lr", "train/grad_norm"):
        assert series(name, first, second) == pytest.approx(series(name, straight), rel=1e-5)
    assert series("train/lr", second)[0] == pytest.approx(2e-3 * (HALF + 1) / 30)


def test_sft_saves_now_and_goes_on(sft_legs: tuple[Run, Run, Run]) -> None:
    straight = sft_legs[0]
    assert saved(straight) == [13, 15, 30, STEPS]
    assert "paused" not in straight.kinds()
    assert examine(straight.root / "checkpoints/global_step_13", deep=True).faults == []


def test_sft_resumes_within_an_epoch(sft_legs: tuple[Run, Run, Run], leg: Start) -> None:
    straight = sft_legs[0]
    short = leg(sft, [], {"pause": 4}, (straight, 13))
    assert_paused(short, 17)
    assert rows(short) == rows(straight)[13 * BATCH : 17 * BATCH]
    assert series("train/loss", short) == pytest.approx(series("train/loss", straight)[13:17])


def test_sft_on_two_ranks_is_paused_from_outside(samples: dict[str, Any], tmp_path: Path) -> None:
    folder, ranks = Path(samples["directory"]), 2
    long = [*SUPERVISED, "data.train_max_samples=2048", "data.micro_batch_size_per_gpu=4"]
    root = tmp_path / "attempt-1"
    run = Run(root, observed(commands.sft(folder, root, ranks, *long), root, {}).script(root))
    try:
        run.detach()
        metrics = root / "metrics.jsonl"
        until(lambda: metrics.exists() and len(read_lines(metrics)) >= 3, 120)
        (root / "control").mkdir()
        (root / "control/pause").touch()
        assert run.exit_code(60) == 0, (root / "train.log").read_text()[-4000:]
    finally:
        run.clean_up()
    paused = steps(run)[-1]
    assert_paused(run, paused)
    assert 3 <= paused < 512
    assert examine(root / f"checkpoints/global_step_{paused}").world_size == ranks
    root = tmp_path / "attempt-2"
    overrides = [*long, *resume_from(run, paused)]
    again = train(
        root, observed(commands.sft(folder, root, ranks, *overrides), root, {"pause": 3}), 120
    )
    assert_paused(again, paused + 3)
    assert steps(run, again) == list(range(1, paused + 4))
    for rank in range(ranks):
        order = list(DistributedSampler(range(2048), ranks, rank, drop_last=True))
        assert rows(run, rank) + rows(again, rank) == order[: (paused + 3) * BATCH // ranks]


def test_dpo_goes_on_as_if_it_had_not_been_paused(leg: Start) -> None:
    straight, first = leg(dpo, [], {"save": 13}), leg(dpo, [], {"pause": HALF})
    second = leg(dpo, [], {"pause": HALF}, (first, HALF))
    assert saved(straight) == [13, 15, 30, STEPS]
    assert_paused(first, HALF)
    assert_completed(second, STEPS)
    assert steps(first, second) == steps(straight) == list(range(1, STEPS + 1))
    # Before its first step a run reads all pairs for the reference's log-probabilities.
    trained = rows(straight)[-STEPS * BATCH :]
    half = HALF * BATCH
    assert rows(first)[-half:] + rows(second)[-half:] == trained
    for name in ("train/loss", "train/lr", "train/epoch", "train/rewards/margin"):
        both = series(name, first, second)
        assert both == pytest.approx(series(name, straight), rel=1e-4, abs=1e-6), name


def prompts(run: Run, step: int) -> list[str]:
    return sorted(line["input"] for line in read_lines(run.root / f"rollouts/{step}.jsonl"))


def cut(run: Run) -> list[int]:
    """How many answers of each step were cut, where the first token is the last: all but those
    that ended with it."""
    wrote = [read_lines(run.root / f"rollouts/{step}.jsonl") for step in steps(run)]
    return [sum(row["output"] != "" for row in rows) for rows in wrote]


def shuffled(count: int, batches: int) -> list[int]:
    """The rows of an RL run's first two epochs, each of so many batches."""
    generator = torch.Generator().manual_seed(1)
    epochs = [torch.randperm(count, generator=generator).tolist() for _ in range(2)]
    return [row for epoch in epochs for row in epoch[: batches * RL_BATCH]]


def test_grpo_goes_on_as_if_it_had_not_been_paused(leg: Start) -> None:
    more = [f"data.train_max_samples={HALF * RL_BATCH + 2}", "trainer.save_freq=15"]
    straight, first = leg(rl, more, {"save": 7}), leg(rl, more, {"pause": HALF})
    second = leg(rl, more, {"pause": HALF}, (first, HALF))
    assert saved(straight) == [7, 15, 30, STEPS]
    assert_paused(first, HALF)
    assert_completed(second, STEPS)
    assert steps(first, second) == steps(straight) == list(range(1, STEPS + 1))
    assert rows(first) + rows(second) == rows(straight)
    assert rows(straight) == shuffled(HALF * RL_BATCH + 2, HALF)
    for step in range(1, STEPS + 1):
        part = first if step <= HALF else second
        assert prompts(part, step) == prompts(straight, step)
    for name in ("actor/lr", "training/epoch", "training/global_step"):
        assert series(name, first, second) == series(name, straight), name
    assert series("training/epoch", straight) == [0] * HALF + [1] * HALF
    assert series("actor/lr", second)[0] == pytest.approx(2.5e-4 * (HALF + 1) / 30)


def test_ppo_is_paused_with_its_critic(leg: Start) -> None:
    more = ["data.train_max_samples=9", "trainer.save_freq=-1"]
    first = leg(ppo, more, {"pause": 1})
    assert_paused(first, 1)
    assert (first.root / "checkpoints/global_step_1/critic/fsdp_config.json").exists()
    second = leg(ppo, more, {"save": 1}, (first, 1))
    assert steps(first, second) == [1, 2, 3, 4]
    assert rows(first) + rows(second) == shuffled(9, 2)
    assert saved(second) == [2], "the last step is not saved when nothing ever is"
    assert_settings_are_at_work(first, second)
    read_keys.check("ppo", second.root)


def assert_settings_are_at_work(first: Run, second: Run) -> None:
    """What the form says of PPO, seen in what verl's engines did."""
    lines = [line["data"] for run in (first, second) for line in run.step_lines()]
    learnt = {name: [f"{name}/grad_norm" in line for line in lines] for name in ("critic", "actor")}
    assert learnt == {"critic": [True] * 4, "actor": [False, True, True, True]}
    for role in ("actor", "ref", "critic"):
        assert read_keys.work_of(second.root, role, "computes_in") == ["torch.float32"], role
    taken = read_keys.work_of(second.root, "critic", "rows")
    assert {rows for batch in taken for rows in batch} == {4}
    assert {sum(batch) for batch in taken} == {RL_BATCH * 2}
    for role in ("actor", "critic"):
        norms = read_keys.work_of(second.root, role, "norm")
        clipped = read_keys.work_of(second.root, role, "clipped")
        assert min(norms) > 1e-3, "the gradient is above the clip"
        assert clipped == pytest.approx([1e-3] * len(norms), rel=0.05), role


def test_the_former_trainer_is_paused_between_epochs(leg: Start) -> None:
    more = [*REMAX, "data.train_max_samples=9", "trainer.save_freq=-1", SHORTEST]
    first = leg(rl, more, {"pause": 2})
    assert_paused(first, 2)
    second = leg(rl, more, {"save": 1}, (first, 2))
    assert steps(first, second) == [1, 2, 3, 4]
    assert series("training/epoch", first, second) == [0, 0, 1, 1]
    # Its loop has the next batch at hand before it can be left.
    assert rows(first)[: 2 * RL_BATCH] + rows(second) == shuffled(9, 2)
    assert saved(second) == [3]
    assert [len(prompts(second, step)) for step in (3, 4)] == [8, 8]
    assert series("training/answers_cut", first, second) == [*cut(first), *cut(second)]
    assert sum(cut(first)) > 0
    told = [e for e in read_lines(first.root / "events.jsonl") if e["kind"] == "answers_cut"]
    assert (told[-1]["total"], told[-1]["of"]) == (sum(cut(first)), 2 * 8)

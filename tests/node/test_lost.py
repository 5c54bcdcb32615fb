"""Answers that verl's V1 trainer drops are counted, told, and end the run where they are many."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import commands
import pytest
import read_keys
from conftest import Run, read_lines
from omegaconf import OmegaConf
from trainyard_node.hooks import limited, lost
from trainyard_node.hooks.lost import TAG, Lost, TooManyLost, count

REWARD = """\
calls = 0

def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    global calls
    calls += 1
    assert calls % 3, f"call {calls}"
    return 1.0
"""

GSPO = [
    "actor_rollout_ref.actor.policy_loss.loss_mode=gspo",
    "actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-mean",
]


@pytest.mark.verl
def test_a_run_says_which_answers_failed_and_stops(samples: dict[str, Any], tmp_path: Path) -> None:
    reward, root = tmp_path / "reward.py", tmp_path / "attempt"
    reward.write_text(REWARD)
    more = [
        *GSPO,
        "data.max_response_length=1",  # an answer of one token has ended only if it is empty
        "data.train_batch_size=4",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=8",
        "actor_rollout_ref.rollout.n=2",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=8",
        f"reward.custom_reward_function.path={reward}",
        "trainer.total_training_steps=4",
        "trainer.test_freq=-1",
        "trainer.save_freq=-1",
        "+trainer.v1.sampler.sampler_kwargs.trainyard_most_lost=0.3",
    ]
    command = commands.recorded(commands.grpo(Path(samples["directory"]), root, *more), root)
    run = Run(root, command.script(root))
    try:
        run.detach()
        code = run.exit_code(420)
    finally:
        run.tool("stop", "--grace", "5")
        run.clean_up()
    log = (root / "train.log").read_text(errors="replace")
    told = [e for e in read_lines(root / "events.jsonl") if e["kind"] == "answers_lost"]
    assert [(e["step"], e["lost"], e["of"], e["total"]) for e in told] == [
        (1, 2, 8, 2),
        (2, 3, 8, 5),
    ], log[-6000:]
    assert told[0]["first"].startswith("AssertionError: call ")
    rows = read_lines(root / "rollouts/1.jsonl")
    assert sum(str(row["uid"]).startswith("pad") for row in rows) == told[0]["lost"]
    cut = sum(not str(row["uid"]).startswith("pad") and row["output"] != "" for row in rows)
    steps = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]
    assert [(s["step"], s["data"]["training/answers_lost"]) for s in steps] == [(1, 2)]
    assert [s["data"]["training/answers_cut"] for s in steps] == [cut]
    [first] = [e for e in read_lines(root / "events.jsonl") if e["kind"] == "answers_cut"]
    assert (first["total"], first["of"]) == (cut, 6)
    read_keys.check("gspo", root)
    assert code == 1
    assert "TooManyLost: Step 2: 3 of 8 answers failed." in log


def keys(*names: str) -> dict[str, dict[str, Any]]:
    return {name: {} for name in names}


def tag(asked: int, first: str = "") -> dict[str, Any]:
    return {"status": "failure" if first else "finished", TAG: {"asked": asked, "first": first}}


@pytest.mark.parametrize(
    ("tags", "found", "answer"),
    [
        ({"a": tag(2), "b": tag(2)}, ["a_0_0", "a_1_0", "b_0_0", "b_1_0"], Lost(0, 4, "")),
        ({"a": tag(2), "b": tag(2, "E: x")}, ["a_0_0", "a_1_0", "b_1_0"], Lost(1, 4, "E: x")),
        # Several outputs of one session are one answer; an answer without any is lost too.
        ({"a": tag(2), "b": tag(3)}, ["a_0_0", "a_0_1", "b_0_0"], Lost(3, 5, "")),
        ({"a": tag(4), "b": {"status": "failure"}}, ["a_0_0"], Lost(7, 8, "")),
        ({"a": {}, "b": {}}, ["a_0_0", "a_1_0"], Lost(2, 4, "")),
        ({"a": tag(1, "E"), "b": tag(1, "F")}, [], Lost(2, 2, "E")),
    ],
)
def test_what_is_lost_of_a_batch(
    tags: dict[str, dict[str, Any]], found: list[str], answer: Lost
) -> None:
    assert count(tags, ["a", "b"], [*found, "other_0_0"]) == answer


def test_the_worker_tells_why() -> None:
    put: list[Any] = []

    async def async_kv_put(key: str, partition_id: str, tag: Any = None) -> None:
        put.append(tag)

    async def settle(tasks: list[Any]) -> list[BaseException]:
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return [result for result in results if isinstance(result, BaseException)]

    module: Any = SimpleNamespace(
        _settle_session_tasks=settle, tq=SimpleNamespace(async_kv_put=async_kv_put)
    )
    assert lost.attach_to_worker(module)
    assert lost.attach_to_worker(module)

    async def prompt(*errors: Exception | None) -> None:
        async def session(error: Exception | None) -> None:
            if error:
                raise error

        await module.tq.async_kv_put(key="a", partition_id="train", tag={"status": "running"})
        tasks = [asyncio.create_task(session(error)) for error in errors]
        failed = await module._settle_session_tasks(tasks)
        status = "failure" if failed else "finished"
        await module.tq.async_kv_put(key="a", partition_id="train", tag={"status": status})

    async def both() -> None:
        await asyncio.create_task(prompt(None, None))
        wrapped = RuntimeError("ray::f() (pid=1)\n…")
        wrapped.cause = ValueError("bad\nmore")  # type: ignore[attr-defined]
        await asyncio.create_task(prompt(None, wrapped, AssertionError()))

    asyncio.run(both())
    assert put == [
        {"status": "running"},
        {"status": "finished", TAG: {"asked": 2, "first": ""}},
        {"status": "running"},
        {"status": "failure", TAG: {"asked": 3, "first": "ValueError: bad"}},
    ]


class Buffer:
    sampler_kwargs: dict[str, Any] = {}
    found: dict[str, Any] = {}
    partitions: dict[str, dict[str, Any]] = {"train": {}}

    def _evict_terminal_groups(
        self, global_steps: int, partition_id: str, eviction_reasons: Any
    ) -> Any:
        self._clear_groups(partition_id, eviction_reasons[2])

    def _clear_groups(self, partition_id: str, uids: Any) -> None: ...

    def _select_prompt_uids(self, partition_id: str, sampleable_keys: Any, batch_size: int) -> Any:
        return ["a", "b"], self.found, {}

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> Any:
        _, snapshot, _ = self._select_prompt_uids(partition_id, {"a", "b"}, batch_size)
        if not snapshot:
            raise RuntimeError("Enable sync_refill_failed_groups")
        return "batch", {"x": 1}


class Async(Buffer):
    """As verl's: whole groups with a failed answer are thrown away, and others asked for."""

    evicted: list[set[str]] = []

    def wait_for_sampleable(self, global_steps: int, partition_id: str, target_count: int) -> Any:
        for uids in self.evicted:
            self._evict_terminal_groups(global_steps, partition_id, (set(), set(), uids, {}))

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> Any:
        self.wait_for_sampleable(global_steps, partition_id, batch_size)
        self._select_prompt_uids(partition_id, {"a", "b"}, batch_size)
        return "batch", {"x": 1}


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The driver's module, whose queue has two prompts of two answers; of one an answer failed."""
    monkeypatch.setenv("TRAINYARD_RUN_DIR", str(tmp_path))
    made: Any = type("ReplayBuffer", (Buffer,), dict(Buffer.__dict__))
    other: Any = type("ReplayBufferAsync", (made,), dict(Async.__dict__))
    tags = {"a": tag(2), "b": tag(2, "E: x")}
    queue = SimpleNamespace(kv_list=lambda partition_id: {partition_id: tags})
    module = SimpleNamespace(ReplayBuffer=made, ReplayBufferAsync=other, tq=queue)
    assert lost.attach_to_driver(module)  # type: ignore[arg-type]
    return module


@pytest.fixture
def buffer(driver: Any) -> Any:
    return driver.ReplayBuffer()


def test_groups_that_an_asynchronous_trainer_throws_away_are_counted(
    driver: Any, tmp_path: Path
) -> None:
    buffer = driver.ReplayBufferAsync()
    buffer.found = keys("a_0_0", "a_1_0", "b_0_0", "b_1_0")
    buffer.partitions = {"train": keys("b_0_0")}
    buffer.evicted = [{"b"}, {"b"}]
    assert take(buffer, 1) == ("batch", {"x": 1, "training/answers_lost": 2})
    buffer.evicted = []
    assert take(buffer, 2) == ("batch", {"x": 1})
    [event] = events(tmp_path)
    assert event["message"] == "Step 1: 2 of 8 answers failed. The first: E: x"


def test_a_trainer_that_only_throws_away_ends(driver: Any, tmp_path: Path) -> None:
    buffer = driver.ReplayBufferAsync()
    buffer.evicted = [{"b"}] * 1000
    for n, wait in enumerate((take, waits)):
        with pytest.raises(TooManyLost, match=r"Step 1: 6 of 6 answers failed. The first: E: x"):
            wait(buffer)
        assert len(events(tmp_path)) == n + 1


def waits(buffer: Any) -> None:
    """As the trainer with machines of its own for rollout does before it takes a batch."""
    buffer.wait_for_sampleable(global_steps=1, partition_id="train", target_count=2)


def take(buffer: Any, step: int = 1, partition: str = "train") -> Any:
    return buffer.sample(global_steps=step, partition_id=partition, batch_size=2)


def events(tmp_path: Path) -> list[dict[str, Any]]:
    path = tmp_path / "events.jsonl"
    return read_lines(path) if path.exists() else []


def test_a_whole_batch_is_left_as_it_is(buffer: Any, tmp_path: Path) -> None:
    buffer.found = keys("a_0_0", "a_1_0", "b_0_0", "b_1_0")
    assert take(buffer) == ("batch", {"x": 1})
    assert events(tmp_path) == []


def test_half_may_be_lost_and_is_told_step_by_step(buffer: Any, tmp_path: Path) -> None:
    buffer.found = keys("a_0_0", "a_1_0")
    assert take(buffer, 1) == ("batch", {"x": 1, "training/answers_lost": 2})
    buffer.found = keys("a_0_0", "a_1_0", "b_0_0")
    take(buffer, 2)
    found = events(tmp_path)
    assert [e["message"] for e in found] == [
        "Step 1: 2 of 4 answers failed. The first: E: x",
        "Step 2: 1 of 4 answers failed. The first: E: x",
    ]
    assert [e["total"] for e in found] == [2, 3]


@pytest.mark.parametrize("found", [keys("a_0_0"), {}])
def test_more_end_the_run_with_the_reason(
    buffer: Any, tmp_path: Path, found: dict[str, Any]
) -> None:
    buffer.found = found
    with pytest.raises(TooManyLost, match=r"of 4 answers failed. The first: E: x .at most 50% may"):
        take(buffer)
    assert len(events(tmp_path)) == 1


def test_the_limit_is_the_users(buffer: Any) -> None:
    buffer.sampler_kwargs = {"trainyard_most_lost": 0.25}
    buffer.found = keys("a_0_0", "a_1_0")
    with pytest.raises(TooManyLost):
        take(buffer)
    buffer.sampler_kwargs = {"trainyard_most_lost": 1.0}
    take(buffer)
    buffer.found = {}
    with pytest.raises(RuntimeError, match="Enable"):
        take(buffer)


def test_validation_is_told_and_goes_on(buffer: Any, tmp_path: Path) -> None:
    buffer.found = keys("a_0_0")
    assert take(buffer, partition="val") == ("batch", {"x": 1})
    [event] = events(tmp_path)
    assert (event["kind"], event["lost"], event["total"]) == ("validation_lost", 3, 0)


def test_another_verl_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert not lost.attach_to_worker(SimpleNamespace())  # type: ignore[arg-type]
    assert not lost.attach_to_driver(SimpleNamespace())  # type: ignore[arg-type]
    assert "does not count answers that fail" in capsys.readouterr().err


@pytest.fixture
def manager() -> Any:
    """verl's own class, hooked."""
    from verl.experimental.reward_loop.reward_manager import limited as module

    assert limited.attach(module)
    assert limited.attach(module)
    return module.RateLimitedRewardManager


def scored(manager: Any, reward: Any, timeout: float = 60) -> Any:
    import numpy as np
    import torch
    from verl import DataProto

    ones = torch.ones(1, 4, dtype=torch.int64)
    data = DataProto.from_dict(
        tensors={"responses": ones[:, :2], "attention_mask": ones},
        non_tensors={
            "data_source": np.array(["x"], dtype=object),
            "reward_model": np.array([{"ground_truth": "1"}], dtype=object),
            "extra_info": np.array([{}], dtype=object),
        },
    )

    async def score() -> Any:
        manager._class_initialized = False
        config = OmegaConf.create({"reward": {"timeout": timeout}})
        tokenizer = SimpleNamespace(decode=lambda ids, **_: "answer")
        return await manager(config, tokenizer, reward).run_single(data)

    return asyncio.run(score())


def test_a_rate_limited_reward_that_works_is_left_as_it_is(manager: Any) -> None:
    assert scored(manager, lambda **_: 0.5)["reward_score"] == 0.5
    told = {"score": 0.0, "error": "of the user's own"}
    assert scored(manager, lambda **_: told) == {"reward_score": 0.0, "reward_extra_info": told}


async def slow(**_: Any) -> float:
    await asyncio.Event().wait()
    return 1.0


def test_a_rate_limited_reward_that_fails_is_no_score_of_0(manager: Any) -> None:
    def broken(**_: Any) -> float:
        raise ConnectionError("the judge is down")

    with pytest.raises(ConnectionError, match="the judge is down"):
        scored(manager, broken)
    with pytest.raises(KeyError, match="score"):
        scored(manager, lambda **_: {"points": 1})
    with pytest.raises(TimeoutError, match=r"more than 0.01 s"):
        scored(manager, slow, timeout=0.01)

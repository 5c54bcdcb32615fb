"""The rule reward, and the parts of a dict reward in the rollout record."""

import ast
import importlib
import importlib.util
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import Run, read_lines
from trainyard_node import imports
from trainyard_node.rewards import parts
from trainyard_node.rewards.arithmetic import compute_score


@pytest.mark.parametrize(
    ("answer", "truth", "score"),
    [
        ("12", "12", 1.0),
        (" 12\n", 12, 1.0),
        ("-3", "-3", 1.0),
        ("012", "12", 1.0),
        ("13", "12", 0.1),
        ("about 12", "12", 0.0),
        ("", "12", 0.0),
        ("1e3", "1000", 0.0),
        ("9" * 5000, "12", 0.0),
        ("\x00\ud800", "12", 0.0),
        ("12", None, 0.1),
        ("nothing", "nothing", 0.0),
    ],
)
def test_score(answer: str, truth: Any, score: float) -> None:
    found = compute_score("trainyard/arithmetic", answer, truth, None, more=1)
    number = float(score > 0)
    assert found == {"score": score, "acc": float(score == 1), "number": number}


class Fields(list[Any]):
    def tolist(self) -> list[Any]:
        return list(self)


class Queue:
    """Answers as TransferQueue does, by key. A reward's ``advantage`` is of three tokens, the
    second of which a tool wrote."""

    def __init__(self, rewards: dict[str, Any]) -> None:
        self.rewards, self.asked = rewards, 0

    def kv_batch_get(self, keys: Any, partition_id: str, select_fields: Any) -> Any:
        assert partition_id == "train"
        self.asked += 1
        rewards = [self.rewards[key] for key in keys]
        if select_fields == ["extra_fields"]:
            return {"extra_fields": Fields({"reward_extra_info": reward} for reward in rewards)}
        assert select_fields == ["response_mask", "advantages"]
        masks = torch.tensor([[1, 0, 1]] * len(keys))
        advantages = [[reward.get("advantage", 0.0), 9.0, 0.5] for reward in rewards]
        return {"response_mask": masks, "advantages": torch.tensor(advantages)}


def trainer_module(queue: Any) -> Any:
    class PPOTrainer:
        def _dump_generations(
            self,
            inputs: Any,
            outputs: Any,
            gts: Any,
            scores: Any,
            reward_extra_infos_dict: Any,
            dump_path: Any,
        ) -> Any:
            return reward_extra_infos_dict

    return SimpleNamespace(PPOTrainer=PPOTrainer, tq=queue)


def dump(module: Any, infos: Any) -> Any:
    given: dict[str, Any] = {
        "inputs": [],
        "outputs": [],
        "gts": [],
        "scores": [],
        "dump_path": "/d",
    }
    return module.PPOTrainer()._dump_generations(**given, reward_extra_infos_dict=infos)


def test_parts_are_added_to_a_rollout() -> None:
    of_b = {"why": float("nan"), "trainyard_tokens": 99}
    queue = Queue({"a": {"score": 1.0, "acc": 1, "uid": "x", "advantage": 1.5}, "b": of_b})
    module = trainer_module(queue)
    assert parts.keep_parts(module)
    assert parts.keep_parts(module)  # a second time changes nothing
    assert dump(module, {"uid": ["b", "a"]}) == {
        "why": ["nan", None],
        "acc": [None, 1],
        "advantage": [None, 1.5],
        "uid": ["b", "a"],
        "trainyard_tokens": [3, 3],
        "trainyard_trained": [2, 2],
        "trainyard_advantage": [0.25, 1.0],
    }
    assert queue.asked == 2


def test_a_validation_record_is_left_alone() -> None:
    module = trainer_module(Queue({}))
    parts.keep_parts(module)
    infos = {"reward": [1], "acc": [1], "uid": ["a"]}
    assert dump(module, infos) is infos


def test_a_queue_that_fails_costs_the_parts_only(capsys: pytest.CaptureFixture[str]) -> None:
    module = trainer_module(Queue({}))
    parts.keep_parts(module)
    infos = {"uid": ["gone"]}
    assert dump(module, infos) == infos
    dump(module, infos)
    assert capsys.readouterr().err == (
        "trainyard_node: the parts of the rewards are not in the rollout record: KeyError: 'gone'\n"
        "trainyard_node: tokens and advantages are not in the rollout record: KeyError: 'gone'\n"
    )


@pytest.mark.parametrize("missing", ["PPOTrainer", "tq", "parameters"])
def test_another_verl_is_left_as_it_is(missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = trainer_module(Queue({}))
    if missing == "parameters":
        module.PPOTrainer._dump_generations = lambda self, batch: batch
    else:
        delattr(module, missing)
    before = vars(module.PPOTrainer).copy() if missing != "PPOTrainer" else None
    assert not parts.keep_parts(module)
    assert before is None or vars(module.PPOTrainer) == before
    assert "this verl writes its rollouts in another way" in capsys.readouterr().err


def test_the_module_is_looked_at_when_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some_trainer.py").write_text(
        "import types\ntq = types.SimpleNamespace(kv_batch_get=None)\n"
        "class PPOTrainer:\n    def _dump_generations("
        "self, inputs, outputs, gts, scores, reward_extra_infos_dict, dump_path): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(parts, "MODULE", "some_trainer")
    # Without the finder of an earlier test, which may still wait for a module of its own.
    others = [finder for finder in sys.meta_path if type(finder).__module__ != imports.__name__]
    monkeypatch.setattr(sys, "meta_path", others)
    finders = len(sys.meta_path)
    parts.install()
    parts.install()
    assert len(sys.meta_path) == finders + 1
    module = importlib.import_module("some_trainer")
    monkeypatch.delitem(sys.modules, "some_trainer")
    assert hasattr(module.PPOTrainer._dump_generations, "__keeps_parts__")
    assert len(sys.meta_path) == finders
    loader: Any = module.__loader__
    assert "class PPOTrainer" in loader.get_source("some_trainer")


@pytest.mark.verl
def test_the_installed_verl_is_the_one_that_is_expected(clean_environment: dict[str, str]) -> None:
    code = (
        "import verl, sys; from verl.trainer.ppo.v1.trainer_base import PPOTrainer as T;"
        "print(hasattr(T._dump_generations, '__keeps_parts__'))"
    )
    for mark, expected in (("1", "True"), ("", "False")):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env={**clean_environment, "TRAINYARD_ATTEMPT": mark},
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split()[-1] == expected, done.stderr


def test_the_platform_lists_the_data_sources_of_verl() -> None:
    """verl compares the data source with lists of literals: those, and no others, are listed."""
    verl = importlib.util.find_spec("verl")
    assert verl is not None
    assert verl.submodule_search_locations
    source = Path(verl.submodule_search_locations[0]) / "utils/reward_score/__init__.py"
    function = next(
        node
        for node in ast.parse(source.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == "default_compute_score"
    )
    tests = [node.test for node in ast.walk(function) if isinstance(node, ast.If)]
    about = [test for test in tests if "data_source" in ast.unparse(test)]
    literals = {
        node.value
        for test in about
        for node in ast.walk(test)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    ours = Path(__file__).parents[2] / "datasets/formats/scorers.py"
    spec = importlib.util.spec_from_file_location("scorers", ours)
    assert spec is not None
    assert spec.loader is not None
    scorers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorers)
    assert literals == {*scorers.DATA_SOURCES, *scorers.PREFIXES}


@pytest.mark.verl
def test_each_line_of_a_rollout_holds_the_parts(grpo_run: Run) -> None:
    for path in (grpo_run.root / "rollouts").glob("*.jsonl"):
        for line in read_lines(path):
            assert (line["acc"], line["number"]) in ((0, 0), (0, 1), (1, 1)), line
            assert line["score"] == pytest.approx(0.9 * line["acc"] + 0.1 * line["number"])
    assert "not in the rollout record" not in (grpo_run.root / "train.log").read_text()


@pytest.mark.verl
def test_each_line_of_a_rollout_holds_tokens_and_the_advantage(grpo_run: Run) -> None:
    """The mean over all tokens is verl's own; an advantage is that of the group's scores."""
    for told in grpo_run.step_lines():
        mean = told["data"]["critic/advantages/mean"]
        lines = read_lines(grpo_run.root / f"rollouts/{told['step']}.jsonl")
        tokens = [line["trainyard_trained"] for line in lines]
        assert [line["trainyard_tokens"] for line in lines] == tokens
        total = sum(n * line["trainyard_advantage"] for n, line in zip(tokens, lines, strict=True))
        assert total / sum(tokens) == pytest.approx(mean, abs=1e-5)
        groups = defaultdict(list)
        for line in lines:
            groups[line["uid"].split("_")[0]].append(line)
        for group in groups.values():
            scores = torch.tensor([line["score"] for line in group])
            expected = (scores - scores.mean()) / (scores.std() + 1e-6)
            found = [line["trainyard_advantage"] for line in group]
            assert found == pytest.approx(expected.tolist(), abs=1e-4)

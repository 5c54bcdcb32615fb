"""What is asked of an engine and of a reward function, without a model."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from trainyard_node.evaluating.answers import HOPELESS, Asking, Kept, reward_of
from trainyard_node.evaluating.generating import Answer
from trainyard_node.evaluating.prompts import Prompt, Prompts, spooled
from trainyard_node.evaluating.spec import Asked
from trainyard_node.export.refused import Refused
from trainyard_node.rollout.choice import Request, Settings

CONTEXT = 64
TOLD = ("tools", "enable_thinking")


class Engine:
    most, room, stop, longest = 10, 10**9, frozenset[int](), 0

    def answer(self, requests: Sequence[Request], longest: int) -> list[Answer]:
        self.longest = longest
        return [Answer([1], True) for _ in requests]


class Asks(Prompts):
    def at(self, indices: Sequence[int]) -> list[Prompt]:
        return [Prompt(index, f"{index:016x}", (1, 2, 3), "1", "x", {}) for index in indices]


def asked(scores: Any, count: int = 200) -> tuple[Engine, Kept]:
    """As the engine and what was kept are, once `count` prompts were asked for a long answer."""
    nothing = SimpleNamespace(keep=lambda _: None, move=lambda *_: None)
    tokenizer = SimpleNamespace(decode=lambda ids, skip_special_tokens: "1")
    described: Any = SimpleNamespace(context=CONTEXT, tokenizer=tokenizer)
    prompts, kept, engine = Asks(Path()), Kept(1), Engine()
    prompts.lengths = dict.fromkeys(range(count), 3)
    asking = Asking(Asked(max_new_tokens=2**31 - 1), described, prompts, kept, nothing)  # type: ignore[arg-type]
    scorer = SimpleNamespace(score=lambda rows: [scores(row) for row in rows])
    try:
        asking.run(engine, scorer, nothing)  # type: ignore[arg-type]
    except Refused as error:
        kept.first_failure = str(error)
    return engine, kept


def test_no_answer_is_longer_than_the_model_reads() -> None:
    engine, kept = asked(lambda _: {"score": 1.0}, 20)
    assert engine.longest == CONTEXT
    assert kept.done == 20


def test_a_reward_that_always_fails_ends_the_evaluation_soon() -> None:
    _, kept = asked(lambda _: {"score": None, "problem": {"message": "ValueError: no"}})
    assert kept.counts["answers"] == HOPELESS
    assert kept.first_failure == (
        f"None of the first {HOPELESS} answers could be scored, the first because of ValueError: no"
    )


def test_a_reward_that_scores_some_goes_on() -> None:
    told = iter([True])
    failed = {"score": None, "problem": {"message": "no"}}
    _, kept = asked(lambda _: {"score": 1.0} if next(told, False) else failed, 100)
    assert kept.counts["answers"] == 100


def test_a_greedy_request_draws_nothing() -> None:
    greedy, drawn = Request((1,), 4, 0.0, seed=1), Request((1,), 4, 1.0, seed=1)
    both = Settings.of([greedy, drawn]).uniform
    assert both[0].tolist() == [0.0] * 4
    assert both[1].tolist() == Settings.of([drawn]).uniform[0].tolist()
    assert both[1].any()


def test_the_arguments_of_verls_own_function_tell_evaluators_apart() -> None:
    assert reward_of(Asked(reward_kwargs={"strict": 1}))["kwargs"] == {"strict": 1}


@pytest.mark.parametrize(
    ("more", "told"),
    [({}, {}), ({"tools": [], "enable_thinking": None}, {}),
     ({"enable_thinking": False}, {"enable_thinking": False}),
     ({"tools": [{"name": "add", "none": None}]}, {"tools": [{"name": "add"}]})],
)  # fmt: skip
def test_the_template_is_told_what_a_row_of_sft_says_beside_its_turns(
    more: dict[str, Any], told: dict[str, Any], tmp_path: Path
) -> None:
    given: list[dict[str, Any]] = []

    def template(said: Any, **options: Any) -> list[int]:
        given.append({name: value for name, value in options.items() if name in TOLD})
        return [1, 2, 3]

    tokenizer = SimpleNamespace(chat_template="x", apply_chat_template=template)
    described: Any = SimpleNamespace(context=CONTEXT, tokenizer=tokenizer, source="/m")
    turns = [{"role": "user", "content": "1+1=?"}, {"role": "assistant", "content": "2"}]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in (
        {"messages": turns}, {"messages": turns, **more})))  # fmt: skip
    found = spooled(Asked(files=(str(file),)), described, tmp_path)
    assert given == [{}, told]
    assert (found.keys[0] == found.keys[1]) is (not told)  # other tools ask another thing

"""A question, written and read again."""

import json
from dataclasses import replace

import pytest

from compute.sizing.question import Lora, Question, Served
from compute.sizing.written import as_json, read_question
from tests.compute.sizing.speed import questions

LORA = replace(questions.sft(), actor=replace(questions.sft().actor, lora=Lora(8, ("q_proj",))))
SERVED = replace(questions.grpo(), reward_model=Served(questions.LLAMA), host_memory=1 << 40)
MIXTURE = questions.sft(model=questions.MIXTURE)


@pytest.mark.parametrize("asked", [questions.sft(), questions.grpo(), LORA, SERVED, MIXTURE])
def test_what_was_written_is_read_again(asked: Question) -> None:
    assert read_question(json.loads(json.dumps(as_json(asked)))) == asked


def test_what_another_version_wrote_is_read_as_far_as_it_goes() -> None:
    written = as_json(questions.sft()) | {"colour": "blue"}
    del written["saving"]

    assert read_question(written) == questions.sft()


@pytest.mark.parametrize("change", [{"gpus": "8"}, {"algorithm": "dance"}, {"gpu": None}])
def test_what_is_of_another_type_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_question(as_json(questions.sft()) | change)


def test_what_lacks_is_said() -> None:
    written = as_json(questions.sft())
    del written["rows"]

    with pytest.raises(ValueError, match="rows"):
        read_question(written)

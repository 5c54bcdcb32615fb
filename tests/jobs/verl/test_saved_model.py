import json
from dataclasses import dataclass

import pytest

from jobs.verl.saved_model import expected_folder, leaves_no_model, newest_model
from tests.factories import grpo_spec, sft_spec


@dataclass(frozen=True)
class File:
    path: str
    size: int = 1
    modified: float = 0.0


def found(*paths: str, latest: int | None = 9, index: object = None) -> str | None:
    def read(path: str) -> bytes:
        return index if isinstance(index, bytes) else json.dumps(index).encode()

    return newest_model([File(path) for path in paths], latest, read)


def folder(step: int, *names: str, actor: str = "") -> list[str]:
    names = names or ("config.json", "model.safetensors")
    return [f"global_step_{step}/{actor}huggingface/{name}" for name in names]


def test_the_newest_whole_folder() -> None:
    assert found(*folder(2), *folder(8), *folder(4)) == "global_step_8/huggingface"
    assert found(*folder(3, actor="actor/")) == "global_step_3/actor/huggingface"
    assert found(*folder(10), *folder(9)) == "global_step_9/huggingface"


def test_a_step_that_was_not_saved_to_its_end_does_not_count() -> None:
    assert found(*folder(2), *folder(4), latest=3) == "global_step_2/huggingface"
    assert found(*folder(2), latest=0) is None


def test_where_the_report_of_the_last_save_is_lost_the_files_count() -> None:
    assert found(*folder(2), *folder(4), latest=None) == "global_step_4/huggingface"
    assert found(*folder(2), *folder(4, "config.json"), latest=None) == (
        "global_step_2/huggingface"
    )


@pytest.mark.parametrize(
    "names",
    [
        ("config.json", "tokenizer.json"),  # what verl writes when no model was asked for
        ("model.safetensors",),
        ("config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors"),
    ],
)
def test_a_folder_that_is_not_whole_is_passed_over(names: tuple[str, ...]) -> None:
    parts = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    assert found(*folder(4, *names), *folder(2), index={"weight_map": parts}) == (
        "global_step_2/huggingface"
    )


def test_all_parts_of_the_index_are_there() -> None:
    names = ("config.json", "model.safetensors.index.json", "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors"}}
    assert found(*folder(4, *names), index=index) == "global_step_4/huggingface"


@pytest.mark.parametrize(
    "index", [b"", b"{", b"[]", b'{"weight_map": 3}', b'{"weight_map": {"a": []}}']
)
def test_an_index_that_cannot_be_read_is_not_whole(index: bytes) -> None:
    names = ("config.json", "model.safetensors.index.json", "model-1.safetensors")
    assert found(*folder(4, *names), index=index) is None


def test_an_empty_file_is_none() -> None:
    files = [File("global_step_1/huggingface/config.json"),
             File("global_step_1/huggingface/model.safetensors", size=0)]  # fmt: skip
    assert newest_model(files, 9, lambda path: b"") is None


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "no Hugging Face folder"),
        ({"save_contents": "model,optimizer"}, "no Hugging Face folder"),
        ({"save_contents": "model,hf_model"}, "never saves"),
        ({"save_contents": "model,hf_model", "save_freq": -1}, "never saves"),
        ({"save_contents": "model,hf_model", "save_freq": 5, "lora_rank": 8}, "LoRA"),
        ({"save_contents": "model,hf_model", "save_freq": 5}, ""),
    ],
)
def test_what_leaves_no_model_says_why(values: dict[str, object], why: str) -> None:
    said = leaves_no_model(grpo_spec(**values))
    assert why in said if why else said == ""


def test_sft_saves_at_its_end_by_itself() -> None:
    assert leaves_no_model(sft_spec(save_contents="hf_model")) == ""


def test_where_it_will_be() -> None:
    assert expected_folder(sft_spec()) == "global_step_N/huggingface"
    assert expected_folder(grpo_spec()) == "global_step_N/actor/huggingface"

"""The catalogue of models: what its values come to, and how a model is found."""

import pytest

from compute.sizing.models import find_model, known_models
from compute.sizing.parameters import parameters_of
from jobs.verl.model_dir import HUB_NAME


def test_every_model_has_as_many_parameters_as_its_page_tells() -> None:
    listed = known_models().values()
    assert {one.slug: parameters_of(one.facts).total for one in listed} == {
        one.slug: one.parameters for one in listed
    }


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("qwen2.5-0.5b", 494_032_768),
        ("Qwen/Qwen2.5-72B-Instruct", 72_706_203_648),
        ("qwen3-235b-a22b", 235_093_634_560),
        ("meta-llama/Llama-3.3-70B-Instruct", 70_553_706_496),
        ("deepseek-v3", 671_026_404_352),  # 14,848 more with the buffers of its routers
        ("google/gemma-3-27b-it", 27_009_346_304),
        ("gpt-oss-120b", 116_829_156_672),
    ],
)
def test_published_totals(name: str, parameters: int) -> None:
    model = find_model(name)
    assert model
    assert model.parameters == parameters


def test_models_are_named_once_and_as_the_hub_names_them() -> None:
    listed = known_models().values()
    names = [name.lower() for one in listed for name in (one.slug, *one.hubs)]
    assert len(names) == len(set(names))
    assert len(listed) >= 60
    assert all(HUB_NAME.fullmatch(hub) for one in listed for hub in one.hubs)
    assert all(one.facts.is_known and one.facts.max_positions for one in listed)


def test_a_name_is_found_whatever_its_case_and_no_other_is() -> None:
    model = find_model(" QWEN/qwen3-8b ")
    assert model is find_model("qwen3-8b")
    assert model is known_models()["qwen3-8b"]
    assert find_model("Qwen/Qwen3-9B") is None
    assert find_model("") is None

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compute.runners.local.runner import LocalRunner
from jobs.order.preflight import Preflight, find_model
from jobs.places import places
from jobs.verl.recipes import all_recipes
from jobs.verl.spec import TrainSpec
from tests import factories, tokenizers


def spec(slug: str, *overrides: str, **values: object) -> TrainSpec:
    recipe = all_recipes()[slug].spec(places())
    return TrainSpec(recipe.kind, {**recipe.values, **values}, overrides)  # type: ignore[dict-item]


@pytest.mark.parametrize("slug", ["sample-sft", "sample-grpo"])
def test_the_samples_pass(samples: Path, slug: str) -> None:
    preflight = Preflight(all_recipes()[slug].spec(places()))
    assert preflight.problems == []
    assert preflight.rows == 2048
    assert preflight.steps > 0


def test_the_steps_are_told(samples: Path) -> None:
    preflight = Preflight(spec("sample-sft", train_batch_size=64, epochs=3))
    assert preflight.steps == 96
    assert preflight.steps_note == "2048 rows, 32 steps an epoch"


def test_every_fault_is_told_at_once(samples: Path, home: Path) -> None:
    found = Preflight(
        spec(
            "sample-grpo",
            "nonsense.key=1",
            train_files=str(home / "none"),
            val_files="/etc/passwd",
            model_path=str(home),
            engine="vllm",
            tensor_parallel=2,
        )
    ).problems
    assert [problem.field for problem in found] == [
        "overrides",
        "train_files",
        "val_files",
        "model_path",
        "engine",
        "tensor_parallel",
    ]


def test_a_model_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "models--Qwen--Tiny/snapshots/abc"
    factories.make_model_folder(snapshot, 64)
    (tmp_path / "models--Qwen--Tiny/refs").mkdir()
    (tmp_path / "models--Qwen--Tiny/refs/main").write_text("abc")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert find_model("Qwen/Tiny").context == 64
    assert find_model("Qwen/Tiny").problem == ""
    assert find_model("Qwen/Other").problem == (
        "Qwen/Other is neither a folder nor in this machine's Hugging Face cache. "
        "Fetch it first: hf download Qwen/Other"
    )


def test_ones_own_reward_function(samples: Path, home: Path) -> None:
    (home / "reward.py").write_text("")
    assert Preflight(spec("sample-grpo", reward_file=str(home / "reward.py"))).problems == []


def write_config(model: Path, **values: object) -> None:
    config = json.loads((model / "config.json").read_text()) | values
    (model / "config.json").write_text(json.dumps(config))


def told(slug: str, **values: object) -> list[tuple[str, str]]:
    found = Preflight(spec(slug, **values)).problems
    return [(problem.field, problem.message) for problem in found]


@pytest.mark.parametrize("slug", ["sample-sft", "sample-dpo", "sample-grpo", "sample-ppo"])
def test_a_model_that_cannot_be_trained_is_refused(samples: Path, slug: str) -> None:
    model = Path(str(spec(slug).values["model_path"]))
    write_config(model, architectures=["Qwen2Model"])
    ((field, message),) = told(slug)
    assert field == "model_path"
    assert "the class Qwen2Model, which verl would load without a language head" in message


def test_a_critic_needs_no_language_head(samples: Path, home: Path) -> None:
    critic = factories.make_model_folder(home / "critic")
    write_config(critic, architectures=["Qwen2ForTokenClassification"])
    assert told("sample-ppo", critic_model=str(critic)) == []
    (critic / "model.safetensors").write_bytes(b"")
    assert told("sample-ppo", critic_model=str(critic)) == [
        ("critic_model", f"{critic}/model.safetensors is empty.")
    ]


def test_a_model_that_cannot_be_saved_is_refused_where_it_is_saved(samples: Path) -> None:
    file = samples / "model/generation_config.json"
    file.write_text('{"temperature": 0.5}')
    ((field, message),) = told("sample-sft", save_contents="model,hf_model")
    assert field == "model_path"
    assert message.startswith(f"{file} would end the run at its first save")
    assert told("sample-sft", save_contents="model,optimizer,extra") == []


def test_a_quantisation_without_its_package(
    samples: Path, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = {"gptqmodel", "bitsandbytes"}
    monkeypatch.setattr(LocalRunner, "lacking", lambda self, names: lacking & set(names))
    write_config(samples / "model", quantization_config={"quant_method": "gptq"})
    assert told("sample-sft") == [
        (
            "model_path",
            "The weights are quantised by gptq, and the training environment has no gptqmodel. "
            "Take the model that is not quantised, or install that.",
        )
    ]
    write_config(samples / "model", quantization_config={"quant_method": "torchao"})
    assert told("sample-sft") == []
    write_config(samples / "model", quantization_config={"quant_method": "mine"})
    assert "quantises the weights by mine, which transformers" in told("sample-sft")[0][1]


NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('No system.') }}{% endif %}"


def with_system(path: Path) -> str:
    """Three conversations; the last one begins with a system prompt."""
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rows = [turns, turns, [{"role": "system", "content": "c"}, *turns]]
    pq.write_table(pa.table({"messages": rows}), path)
    return str(path)


@pytest.mark.parametrize(
    ("template", "overrides", "told"),
    [
        (tokenizers.CHATML, (), []),
        (NO_SYSTEM + tokenizers.CHATML, (), ["train_files", "val_files"]),
        (NO_SYSTEM + tokenizers.CHATML, ("data.custom_cls.path=x.py",), []),
        ("{{ style }}" + tokenizers.CHATML, (), []),
        (None, (), ["model_path"]),
    ],
)
def test_rows_that_the_template_refuses(
    samples: Path, home: Path, template: str | None, overrides: tuple[str, ...], told: list[str]
) -> None:
    factories.make_model_folder(home / "model", 64)
    tokenizers.save(home / "model", template)
    rows = with_system(home / "rows.parquet")
    changes = {"model_path": str(home / "model"), "train_files": rows, "val_files": rows}
    found = Preflight(spec("sample-sft", *overrides, **changes)).rendered
    assert [problem.field for problem in found] == told
    if "train_files" in told:
        assert found[0].message.startswith("The run would stop at row 2: The chat template refuses")
    assert Preflight(spec("sample-sft", *overrides, **changes), knows_model=False).rendered == []

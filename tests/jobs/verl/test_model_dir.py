import json
from pathlib import Path

import pytest

from jobs.verl.model_dir import HUB_NAME, ModelFolder, cached_model, inspect_model
from tests.factories import make_model_folder


def test_a_whole_model(tmp_path: Path) -> None:
    assert inspect_model(make_model_folder(tmp_path / "m", 512)) == ModelFolder("", 512)


def test_a_context_that_is_not_stated(tmp_path: Path) -> None:
    assert inspect_model(make_model_folder(tmp_path / "m", None)) == ModelFolder("", None)


def test_older_weights_count_too(tmp_path: Path) -> None:
    model = make_model_folder(tmp_path / "m")
    (model / "model.safetensors").rename(model / "pytorch_model-00001-of-00002.bin")
    assert inspect_model(model).problem == ""


def test_no_folder(tmp_path: Path) -> None:
    assert inspect_model(tmp_path / "m").problem == f"There is no folder {tmp_path / 'm'}."


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("config.json", "has no config.json: it is not a Hugging Face model folder."),
        ("model.safetensors", "has no weights (*.safetensors or pytorch_model*.bin)."),
        ("tokenizer.json", "has no tokenizer (tokenizer.json or tokenizer.model)."),
    ],
)
def test_a_part_that_is_missing_is_named(tmp_path: Path, missing: str, words: str) -> None:
    model = make_model_folder(tmp_path / "m")
    (model / missing).unlink()
    assert inspect_model(model).problem == f"{model} {words}"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "is no JSON object."),
        ("{}", "names no model_type."),
        ("[" * 100_000, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_config_that_is_none(tmp_path: Path, config: str | bytes, words: str) -> None:
    model = make_model_folder(tmp_path / "m")
    (model / "config.json").write_bytes(config if isinstance(config, bytes) else config.encode())
    assert words in inspect_model(model).problem


def test_a_context_of_another_type_is_refused_by_its_key(tmp_path: Path) -> None:
    model = make_model_folder(tmp_path / "m")
    config = {"model_type": "x", "max_position_embeddings": "many"}
    (model / "config.json").write_text(json.dumps(config))
    assert inspect_model(model).problem == (
        f"{model}: max_position_embeddings in config.json is 'many': it must be a whole number "
        "from 1 to 2147483648."
    )


def test_the_language_model_of_one_that_sees_images(tmp_path: Path) -> None:
    model = make_model_folder(tmp_path / "m")
    text = {"max_position_embeddings": 4096, "num_attention_heads": 8}
    (model / "config.json").write_text(json.dumps({"model_type": "x", "text_config": text}))
    assert inspect_model(model) == ModelFolder("", 4096, 8)


def test_a_model_in_the_cache(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--Qwen--Qwen2-0.5B/snapshots/abc"
    snapshot.mkdir(parents=True)
    refs = tmp_path / "models--Qwen--Qwen2-0.5B/refs"
    refs.mkdir()
    (refs / "main").write_text("abc\n")
    assert cached_model("Qwen/Qwen2-0.5B", tmp_path) == snapshot


def test_a_model_that_was_not_fetched(tmp_path: Path) -> None:
    assert cached_model("Qwen/Qwen2-0.5B", tmp_path) is None


@pytest.mark.parametrize("text", ["Qwen/Qwen2-0.5B", "a/b"])
def test_a_hub_name(text: str) -> None:
    assert HUB_NAME.fullmatch(text)


@pytest.mark.parametrize("text", ["/a/b", "a", "a/b/c", "~/model", "a b/c", ""])
def test_no_hub_name(text: str) -> None:
    assert not HUB_NAME.fullmatch(text)

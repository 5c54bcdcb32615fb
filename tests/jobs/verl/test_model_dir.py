import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from jobs.verl.model_dir import HUB_NAME, ModelFolder, cached_model, inspect_model
from tests.factories import make_model_folder, safetensors


def configure(model: Path, **values: Any) -> None:
    config = json.loads((model / "config.json").read_text()) | values
    (model / "config.json").write_text(json.dumps(config))


def test_a_whole_model(tmp_path: Path) -> None:
    assert inspect_model(make_model_folder(tmp_path / "m", 512)) == ModelFolder("", 512)


def test_a_context_that_is_not_stated(tmp_path: Path) -> None:
    assert inspect_model(make_model_folder(tmp_path / "m", None)) == ModelFolder("", None)


def test_older_weights_count_too(tmp_path: Path) -> None:
    model = make_model_folder(tmp_path / "m")
    (model / "model.safetensors").unlink()
    with zipfile.ZipFile(model / "pytorch_model.bin", "w") as archive:
        archive.writestr("archive/data.pkl", b"weights")
    assert inspect_model(model).problem == ""
    (model / "pytorch_model.bin").write_bytes(b"\x80\x02}q.")
    assert inspect_model(model).problem == ""


def test_no_folder(tmp_path: Path) -> None:
    assert inspect_model(tmp_path / "m").problem == f"There is no folder {tmp_path / 'm'}."


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("config.json", "has no config.json: it is not a Hugging Face model folder."),
        (
            "model.safetensors",
            "has no weights (model.safetensors, pytorch_model.bin, or the index of their parts).",
        ),
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
    configure(model, max_position_embeddings="many")
    assert inspect_model(model).problem == (
        f"{model}: max_position_embeddings in config.json is 'many': it must be a whole number "
        "from 1 to 2147483648."
    )


def test_the_language_model_of_one_that_sees_images(tmp_path: Path) -> None:
    model = make_model_folder(tmp_path / "m")
    text = {"max_position_embeddings": 4096, "num_attention_heads": 8}
    configure(model, text_config=text, vision_config={}, max_position_embeddings=None)
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


def weigh(model: Path, name: str = "model.safetensors", **shapes: list[int]) -> None:
    named = {key.replace("__", "."): shape for key, shape in shapes.items()}
    (model / name).write_bytes(safetensors(named))


@pytest.mark.parametrize("named", [None, [], ["A", "B"], "Qwen2ForCausalLM", [7]])
def test_a_config_that_does_not_name_one_class(tmp_path: Path, named: Any) -> None:
    model = make_model_folder(tmp_path / "m")
    configure(model, architectures=named)
    assert "in architectures, and verl needs one." in inspect_model(model).problem


@pytest.mark.parametrize(
    ("values", "is_headless"),
    [
        ({"architectures": ["Qwen2Model"]}, True),
        ({"architectures": ["GPT2LMHeadModel"]}, True),
        ({"architectures": ["Qwen2ForSequenceClassification"]}, True),
        ({"architectures": ["T5ForConditionalGeneration"]}, True),
        ({"architectures": ["Qwen2VLForConditionalGeneration"], "vision_config": {}}, False),
        ({"architectures": ["Mine"], "auto_map": {"AutoModelForCausalLM": "code.Mine"}}, False),
        ({"architectures": ["Mine"], "auto_map": {"AutoModel": "code.Mine"}}, True),
    ],
)
def test_a_class_without_a_head(tmp_path: Path, values: Any, is_headless: bool) -> None:
    model = make_model_folder(tmp_path / "m")
    configure(model, **values)
    found = inspect_model(model)
    assert found.problem == ""
    assert ("would load without a language head" in found.headless) == is_headless


def test_an_embedding_of_another_size_than_the_vocabulary(tmp_path: Path) -> None:
    model = make_model_folder(tmp_path / "m")
    weigh(model, model__embed_tokens__weight=[64, 8])
    configure(model, vocab_size=64)
    assert inspect_model(model).problem == ""
    configure(model, vocab_size=32)
    assert inspect_model(model).problem == (
        f"{model}: vocab_size in config.json is 32, and model.embed_tokens.weight in the weights "
        "has 64 rows."
    )


def test_weights_with_fewer_layers_than_the_config(tmp_path: Path) -> None:
    model = make_model_folder(tmp_path / "m")
    weigh(model, model__layers__0__x=[1], model__layers__1__x=[1])
    configure(model, num_hidden_layers=2)
    assert inspect_model(model).problem == ""
    configure(model, num_hidden_layers=3)
    assert "has 3 layers, and the weights have 2" in inspect_model(model).problem


def test_weights_without_the_head_that_is_not_tied(tmp_path: Path) -> None:
    model = make_model_folder(tmp_path / "m")
    configure(model, tie_word_embeddings=False)
    assert "the weights have no lm_head.weight" in inspect_model(model).problem
    weigh(model, lm_head__weight=[64, 8])
    assert inspect_model(model).problem == ""


@pytest.mark.parametrize(
    ("told", "method"),
    [
        (None, ""),
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"load_in_4bit": True}, "bitsandbytes"),
        ({"bits": 4}, "unknown"),
    ],
)
def test_how_the_weights_are_quantised(tmp_path: Path, told: Any, method: str) -> None:
    model = make_model_folder(tmp_path / "m")
    configure(model, quantization_config=told)
    assert inspect_model(model).quantised == method


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_pointer_in_place_of_a_file(tmp_path: Path, name: str) -> None:
    model = make_model_folder(tmp_path / "m")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n"
    (model / name).write_text(pointer)
    assert inspect_model(model).problem == (
        f"{model / name} is a Git LFS pointer of {len(pointer)} bytes, not the file itself: "
        "run git lfs pull."
    )

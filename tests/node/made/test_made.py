"""Each kind of surgery as its job runs it: the platform's command, the node's program, the
platform's verdict."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from surgery_jobs import ran
from trainyard_node.export.digest import digest_of

Q, EMBED = "model.layers.{}.self_attn.q_proj.weight", "model.embed_tokens.weight"
CONFIG = {
    "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": 4,
    "num_hidden_layers": 2, "vocab_size": 6, "tie_word_embeddings": True,
}  # fmt: skip


def model(folder: Path, value: float) -> str:
    """A model all of whose numbers are one number."""
    folder.mkdir()
    tensors = {Q.format(layer): torch.full((4, 4), value) for layer in (0, 1)}
    save_file(tensors | {EMBED: torch.full((6, 4), value)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return str(folder)


def test_an_average_by_values(tmp_path: Path) -> None:
    told = [
        {"path": model(tmp_path / name, value), "step": step, "value": share}
        for name, value, step, share in (("a", 1.0, 10, 1.0), ("b", 5.0, 20, 3.0))
    ]
    spec = {"method": "weights", "checkpoints": told}
    made = ran("average", spec, tmp_path / "run")
    assert made["verdict"]["status"] == "completed", made["log"]
    assert made["verdict"]["reason"].startswith("The average is made: 3 tensors")
    assert made["measured"]["digest"] == digest_of(made["folder"])
    again = ran("average", spec, tmp_path / "again")
    assert again["measured"]["digest"] == made["measured"]["digest"]
    tensors = load_file(made["folder"] / "model.safetensors")
    assert {float(value) for tensor in tensors.values() for value in tensor.flatten()} == {4.0}


def test_an_average_that_is_refused(tmp_path: Path) -> None:
    told = [{"path": model(tmp_path / "a", 1.0), "step": 1}, {"path": "/none", "step": 2}]
    made = ran("average", {"method": "uniform", "checkpoints": told}, tmp_path / "run")
    assert made["verdict"]["status"] == "failed"
    assert "There is no model at /none" in made["log"]
    assert not made["folder"].exists()


def test_a_comparison(tmp_path: Path) -> None:
    spec = {"before": model(tmp_path / "a", 1.0), "after": model(tmp_path / "b", 1.5)}
    made = ran("compare", spec, tmp_path / "run")
    assert made["verdict"] == {
        "status": "completed", "reason": "The models are compared: 3 tensors.",
    }, made["log"]  # fmt: skip
    found = json.loads((made["folder"] / "comparison.json").read_text())
    assert found["whole"]["relative"] == 0.5


def test_an_adapter_is_extracted_and_merged_again(tmp_path: Path) -> None:
    base, tuned = model(tmp_path / "a", 1.0), model(tmp_path / "b", 3.0)
    save_file(  # embeddings are no part of a LoRA: they stay as they are
        load_file(f"{tuned}/model.safetensors") | {EMBED: torch.ones(6, 4)},
        f"{tuned}/model.safetensors",
    )
    spec = {"base": base, "tuned": tuned, "rank": 1}
    made = ran("lora_extract", spec, tmp_path / "extraction")
    assert made["verdict"]["status"] == "completed", made["log"]
    assert made["measured"]["digest"] == digest_of(made["folder"])
    adapters = [{"path": str(made["folder"]), "weight": 0.5}]
    merged = ran("lora_merge", {"base": base, "adapters": adapters}, tmp_path / "merge")
    assert merged["verdict"]["status"] == "completed", merged["log"]
    tensors = load_file(merged["folder"] / "model.safetensors")
    for layer in (0, 1):
        assert torch.allclose(tensors[Q.format(layer)], torch.full((4, 4), 2.0), atol=1e-5)


def test_a_conversion(tmp_path: Path) -> None:
    spec = {"source": model(tmp_path / "a", 1.5), "dtype": "bfloat16", "vocab": 8, "layers": [1]}
    made = ran("convert", spec, tmp_path / "run")
    assert made["verdict"]["status"] == "completed", made["log"]
    tensors = load_file(made["folder"] / "model.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        Q.format(0): (4, 4), EMBED: (8, 4),
    }  # fmt: skip
    assert tensors[EMBED].dtype == torch.bfloat16
    config = json.loads((made["folder"] / "config.json").read_text())
    assert (config["num_hidden_layers"], config["vocab_size"]) == (1, 8)

"""verl's FSDP shards as a model: bit for bit what verl's merger makes, without the whole model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from trainyard_node.average.__main__ import main
from trainyard_node.comparing.__main__ import main as compare
from trainyard_node.lora.__main__ import main as adapters
from trainyard_node.merge.merging import merge, plan
from trainyard_node.merge.recipe import read_recipe
from trainyard_node.merge.shape import some_rows
from trainyard_node.shards.opening import open_model

CASES = [
    f"{strategy}-{sizes}"
    for strategy in ("fsdp", "fsdp2")
    for sizes in ("1-1", "2-1", "4-1", "8-1", "4-2")
]


@pytest.fixture(scope="session")
def saves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saves")
    script = Path(__file__).with_name("sharded_saves.py")
    subprocess.run([sys.executable, script, folder], check=True, timeout=600, capture_output=True)
    return folder


@pytest.mark.parametrize("case", CASES)
def test_a_merge_of_one_checkpoint_is_what_verl_makes(
    case: str, saves: Path, tmp_path: Path
) -> None:
    recipe = f"""
        merge_method: passthrough
        models: [{{model: {saves / case / "global_step_1"}}}]
        dtype: bfloat16
        """
    made = merge(plan(read_recipe(recipe)), tmp_path / "model")
    ours = load_file(made / "model.safetensors")
    verls = load_file(saves / case / "merged/model.safetensors")
    assert ours.keys() == verls.keys()
    for name, tensor in verls.items():
        assert ours[name].dtype == tensor.dtype
        assert torch.equal(ours[name].view(torch.int16), tensor.view(torch.int16)), name


@pytest.mark.parametrize("case", ["fsdp-8-1", "fsdp2-8-1"])
def test_rows_are_read_across_the_pieces_of_ranks(case: str, saves: Path) -> None:
    stored = open_model(saves / case / "global_step_1")
    name = "model.embed_tokens.weight"
    whole = stored.rows(name, 0, 101)
    assert whole.shape == (101, 36)
    assert stored.bytes_read == 101 * 36 * 4
    for first, end in ((0, 1), (12, 14), (5, 80), (100, 101)):
        assert torch.equal(stored.rows(name, first, end), whole[first:end])


def test_checkpoints_of_other_world_sizes_are_averaged(saves: Path, tmp_path: Path) -> None:
    """They hold the same weights, so that their mean is each of them."""
    folders = [saves / case / "global_step_1" for case in ("fsdp-8-1", "fsdp2-4-2")]
    checkpoints = [{"path": str(path), "step": at} for at, path in enumerate(folders)]
    spec = {"method": "uniform", "checkpoints": checkpoints}
    assert main(["--text", json.dumps(spec), "--out", str(tmp_path / "out")]) == 0
    found = load_file(tmp_path / "out/model.safetensors")
    verls = load_file(saves / "fsdp2-4-1/merged/model.safetensors")
    assert found.keys() == verls.keys()
    for name, tensor in verls.items():
        assert torch.equal(found[name].bfloat16(), tensor), name


def test_a_checkpoint_is_compared_and_gets_adapters(saves: Path, tmp_path: Path) -> None:
    one, other = (saves / case / "global_step_1" for case in ("fsdp-8-1", "fsdp2-4-2"))
    spec = json.dumps({"models": [str(one), str(other)]})
    assert compare(["--text", spec, "--out", str(tmp_path / "compared")]) == 0
    found = json.loads((tmp_path / "compared/comparison.json").read_text())
    assert found["models"] == [str(one), str(other)]
    assert found["whole"]["distance"] == 0

    module = "base_model.model.model.layers.1.self_attn.o_proj"
    matrices = {f"{module}.lora_{part}.weight": torch.rand(36, 36) for part in "AB"}
    (tmp_path / "adapter").mkdir()
    save_file(matrices, tmp_path / "adapter/adapter_model.safetensors")
    said = {"peft_type": "LORA", "r": 36, "lora_alpha": 36}
    (tmp_path / "adapter/adapter_config.json").write_text(json.dumps(said))
    spec = json.dumps({"base": str(one), "adapters": [{"path": str(tmp_path / "adapter")}]})
    assert adapters(["merge", "--text", spec, "--out", str(tmp_path / "merged")]) == 0
    changed = load_file(tmp_path / "merged/model.safetensors")
    name = "model.layers.1.self_attn.o_proj.weight"
    up, down = matrices[f"{module}.lora_B.weight"], matrices[f"{module}.lora_A.weight"]
    expected = open_model(one).rows(name, 0, 36) + up @ down
    assert torch.allclose(changed[name], expected)
    spec = json.dumps({"base": str(one), "adapters": [{"path": str(tmp_path / "adapter")}]})
    inside = one / "merged"
    assert adapters(["merge", "--text", spec, "--out", str(inside), "--check"]) == 1
    assert not inside.exists()


def test_an_adapter_is_extracted_from_checkpoints(saves: Path, tmp_path: Path) -> None:
    """The tuned model is a checkpoint, or the base, or both; the other is a folder."""
    one, other = (saves / case / "global_step_1" for case in ("fsdp-8-1", "fsdp2-4-2"))
    folder = merge(plan(read_recipe(f"{{merge_method: passthrough, models: [{{model: {one}}}]}}")),
                   tmp_path / "folder")  # fmt: skip
    tensors = load_file(folder / "model.safetensors")
    torch.manual_seed(3)
    down = {name for name in tensors if name.endswith("mlp.down_proj.weight")}
    for name in down:
        tensors[name] += torch.randn(36, 4) @ torch.randn(4, 50)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for base, tuned in ((one, folder), (folder, other)):
        out = tmp_path / f"from-{base.name}"
        spec = json.dumps({"base": str(base), "tuned": str(tuned), "rank": 4})
        assert adapters(["extract", "--text", spec, "--out", str(out)]) == 0
        said = json.loads((out / "extraction.json").read_text())
        assert {f"{each['module']}.weight" for each in said["modules"]} == down
        assert said["error"] < 1e-5
        spec = json.dumps({"base": str(base), "adapters": [{"path": str(out)}]})
        again = tmp_path / f"again-{base.name}"
        assert adapters(["merge", "--text", spec, "--out", str(again)]) == 0
        made, wanted = load_file(again / "model.safetensors"), open_model(tuned)
        for name, tensor in made.items():
            rows = wanted.rows(name, 0, len(tensor)).reshape(tensor.shape)
            assert (tensor - rows).abs().max() < 1e-4, name
    spec = json.dumps({"base": str(one), "tuned": str(other), "rank": 4})
    assert adapters(["extract", "--text", spec, "--out", str(tmp_path / "same")]) == 1


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_experts_are_read_by_their_rows_however_they_are_cut(dim: int) -> None:
    whole = torch.arange(4 * 6 * 8.0).reshape(4, 6, 8)
    pieces = list(whole.chunk(2, dim)) if dim else [whole]
    for first, end in ((0, 24), (0, 1), (5, 7), (11, 13), (23, 24)):
        found = some_rows(pieces, whole.shape, first, end, dim)
        assert torch.equal(found, whole.reshape(24, 8)[first:end])

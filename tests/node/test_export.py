"""A checkpoint as a Hugging Face folder: real ones as verl saved them, and each that is refused."""

import errno
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run, read_lines
from safetensors.torch import load_file
from trainyard_node.export.__main__ import main
from trainyard_node.export.adapter import fold
from trainyard_node.export.check import check_adapter, check_state
from trainyard_node.export.digest import digest_of
from trainyard_node.export.place import is_no_space, making
from trainyard_node.export.refused import Refused
from trainyard_node.export.source import find_source
from trainyard_node.export.told import Told, size_of
from trainyard_node.lora.__main__ import main as lora
from trainyard_node.record import RUN_DIR
from transformers import AutoModelForCausalLM, AutoTokenizer

Model = Any


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run directory that an export tells its story in."""
    folder = tmp_path / "attempt-1"
    folder.mkdir()
    monkeypatch.setenv(RUN_DIR, str(folder))
    return folder


def checkpoint_of(model: Model, folder: Path, tokenizer: Path, *, ranks: int = 1) -> Path:
    """What verl leaves of a model that every rank held whole."""
    folder.mkdir(parents=True)
    for rank in range(ranks):
        torch.save(model.state_dict(), folder / f"model_world_size_{ranks}_rank_{rank}.pt")
    facts = {"FSDP_version": 2, "world_size": ranks}
    (folder / "fsdp_config.json").write_text(json.dumps(facts))
    keep = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(tokenizer, folder / "huggingface", ignore=keep)
    return folder


@pytest.fixture
def sample(samples: dict[str, Any]) -> Path:
    return Path(samples["directory"]) / "model-warm"


@pytest.fixture
def saved(sample: Path, tmp_path: Path) -> Path:
    """A checkpoint of the sample model."""
    model = AutoModelForCausalLM.from_pretrained(sample)
    return checkpoint_of(model, tmp_path / "checkpoints/global_step_7", sample)


def adapted(sample: Path) -> Model:
    """The sample model with a LoRA adapter that changes what it does."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(sample), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture
def with_adapter(sample: Path, tmp_path: Path) -> Path:
    folder = checkpoint_of(adapted(sample), tmp_path / "checkpoints/global_step_7", sample)
    facts = {"r": 4, "lora_alpha": 8, "task_type": "CAUSAL_LM"}
    (folder / "lora_train_meta.json").write_text(json.dumps(facts))
    return folder


def refusal(checkpoint: Path, target: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """The last line of an export that leaves nothing behind."""
    beside = set(target.parent.iterdir())
    assert main([str(checkpoint), str(target), *more]) == 1
    assert set(target.parent.iterdir()) == beside
    return capsys.readouterr().err.splitlines()[-1].removeprefix("ExportError: ")


def answer(model: Model, tokenizer: Any) -> torch.Tensor:
    inputs = tokenizer("2 + 3 =", return_tensors="pt")
    with torch.no_grad():
        logits: torch.Tensor = model(**inputs).logits
    return logits.float()


@pytest.mark.verl
def test_a_run_of_sft_becomes_a_folder_that_transformers_loads(sft_run: Run, run_dir: Path) -> None:
    exports(sft_run.root / "checkpoints/global_step_32", run_dir)


@pytest.mark.verl
def test_the_actor_of_a_run_of_grpo_becomes_one(grpo_run: Run, run_dir: Path) -> None:
    exports(grpo_run.root / "checkpoints/global_step_8", run_dir)


def exports(checkpoint: Path, run_dir: Path) -> None:
    """A whole export, told in `run_dir`, whose folder transformers loads."""
    target = run_dir / "model"
    assert main([str(checkpoint), str(target)]) == 0
    _, found = AutoModelForCausalLM.from_pretrained(target, output_loading_info=True)
    assert not any(found[how] for how in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokenizer = AutoTokenizer.from_pretrained(target)
    assert tokenizer.decode(tokenizer("2 + 3 = 5").input_ids) == "2 + 3 = 5"
    said = {event["kind"]: event for event in read_lines(run_dir / "events.jsonl")}
    weights = load_file(target / "model.safetensors")
    assert said["exported"]["path"] == str(target)
    assert said["exported"]["bytes"] == size_of(target)
    assert said["exported"]["digest"] == digest_of(target)
    assert said["exported"]["tensors"] == len(weights) == 50
    assert read_lines(run_dir / "metrics.jsonl")[-1]["step"] == said["planned"]["steps"]


@pytest.mark.verl
def test_the_folder_is_the_one_that_verl_saves_itself(sft_run: Run, tmp_path: Path) -> None:
    checkpoint = sft_run.root / "checkpoints/global_step_64"
    assert main([str(checkpoint), str(tmp_path / "model")]) == 0
    ours = load_file(tmp_path / "model/model.safetensors")
    verls = load_file(checkpoint / "huggingface/model.safetensors")
    assert ours.keys() == verls.keys()
    for name, tensor in verls.items():
        assert torch.equal(ours[name], tensor.bfloat16()), name


@pytest.mark.verl
def test_an_adapter_is_folded_into_the_weights(
    with_adapter: Path, sample: Path, run_dir: Path
) -> None:
    assert main([str(with_adapter), str(run_dir / "model")]) == 0
    folded = AutoModelForCausalLM.from_pretrained(run_dir / "model", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(sample)
    wanted = answer(adapted(sample).merge_and_unload(), tokenizer)
    without = answer(AutoModelForCausalLM.from_pretrained(sample), tokenizer)
    # bfloat16 rounds; what the adapter changes is far larger.
    assert (answer(folded, tokenizer) - wanted).abs().max() < 0.3
    assert (without - wanted).abs().max() > 1
    assert not (run_dir / "model/lora_adapter").exists()
    said = read_lines(run_dir / "events.jsonl")[-1]["message"]
    assert "the adapter is folded into 28 weights" in said


@pytest.mark.verl
def test_an_adapter_is_kept_beside_the_weights(
    with_adapter: Path, sample: Path, run_dir: Path
) -> None:
    from peft import PeftModel

    target = run_dir / "model"
    assert main([str(with_adapter), str(target), "--keep-adapter"]) == 0
    base = AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32)
    both = PeftModel.from_pretrained(base, target / "lora_adapter")
    tokenizer = AutoTokenizer.from_pretrained(sample)
    wanted = answer(adapted(sample), tokenizer)
    assert (answer(both, tokenizer) - wanted).abs().max() < 0.3
    said = read_lines(run_dir / "events.jsonl")[-1]["message"]
    assert "the 56 tensors of the adapter lie beside them in lora_adapter" in said


@pytest.mark.verl
def test_an_adapter_that_was_kept_is_merged_later(with_adapter: Path, run_dir: Path) -> None:
    kept, folded, merged = (run_dir / name for name in ("kept", "folded", "merged"))
    assert main([str(with_adapter), str(kept), "--keep-adapter"]) == 0
    assert main([str(with_adapter), str(folded)]) == 0
    spec = {"base": str(kept), "adapters": [{"path": str(kept)}]}
    assert lora(["merge", "--text", json.dumps(spec), "--out", str(merged)]) == 0
    found, expected = (load_file(each / "model.safetensors") for each in (merged, folded))
    assert found.keys() == expected.keys()
    for name, tensor in found.items():  # the base that was kept was rounded once before
        step = expected[name].float().abs().max() * 2**-7
        assert (tensor.float() - expected[name].float()).abs().max() <= step, name
    assert AutoModelForCausalLM.from_pretrained(merged) is not None


@pytest.mark.verl
def test_an_adapter_without_its_alpha(
    with_adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (with_adapter / "lora_train_meta.json").unlink()
    for more in ((), ("--keep-adapter",)):
        said = refusal(with_adapter, tmp_path / "model", capsys, *more)
        assert said.startswith("The checkpoint does not say the rank and the alpha")


@pytest.mark.verl
def test_a_tensor_that_the_shards_lack(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved / "model_world_size_1_rank_0.pt"
    state = torch.load(path)
    del state["model.layers.2.mlp.up_proj.weight"]
    torch.save(state, path)
    assert refusal(saved, tmp_path / "model", capsys) == (
        "The merged model does not hold 1 tensors: model.layers.2.mlp.up_proj.weight."
    )
    state["base_model.odd.weight"] = torch.zeros(2)
    state["model.layers.2.mlp.up_proj.weight"] = torch.zeros(2, 3)
    torch.save(state, path)
    assert refusal(saved, tmp_path / "model", capsys).endswith("tensors: base_model.odd.weight.")
    del state["base_model.odd.weight"]
    torch.save(state, path)
    assert "in another shape than its config.json says" in refusal(
        saved, tmp_path / "model", capsys
    )


@pytest.mark.verl
def test_too_little_room(
    saved: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    little = shutil.disk_usage(tmp_path)._replace(free=1_500_000)
    monkeypatch.setattr("trainyard_node.export.place.shutil.disk_usage", lambda path: little)
    assert refusal(saved, tmp_path / "model", capsys) == (
        "The disk has 1.4 MiB free, and the model takes 2.0 MiB."
    )


@pytest.mark.verl
def test_a_config_of_another_model(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved / "huggingface/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "architectures": ["Odd"]}))
    assert refusal(saved, tmp_path / "model", capsys).startswith("verl's merger ended with ")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda c: (c / "model_world_size_2_rank_1.pt").unlink(), "of 1 of 2 ranks is missing"),
        (lambda c: (c / "fsdp_config.json").unlink(), "fsdp_config.json is missing"),
        (lambda c: (c / "model_world_size_2_rank_0.pt").write_bytes(b"x"), "is damaged"),
        (lambda c: (c / "huggingface/config.json").unlink(), "config.json is not in"),
        (lambda c: (c / "huggingface/config.json").write_text("{"), "it is no JSON"),
        (lambda c: (c / "huggingface/config.json").write_text("{}"), "names no architecture"),
        (shutil.rmtree, "There is no folder"),
        (
            lambda c: (c.parent / "latest_checkpointed_iteration.txt").write_text("6"),
            "The checkpoint of step 7 is not complete",
        ),
        (
            lambda c: [path.unlink() for path in c.glob("*.*")],
            "There is no model in the checkpoint",
        ),
    ],
)
def test_a_checkpoint_that_is_not_whole(
    harm: Callable[[Path], object],
    said: str,
    sample: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = torch.nn.Linear(2, 2)
    checkpoint = checkpoint_of(model, tmp_path / "c/global_step_7", sample, ranks=2)
    assert find_source(checkpoint).step == 7
    harm(checkpoint)
    assert said in refusal(checkpoint, tmp_path / "model", capsys)


def test_the_optimizer_is_not_asked_for(saved: Path) -> None:
    assert not list(saved.glob("optim*"))
    source = find_source(saved)
    assert source.size == (saved / "model_world_size_1_rank_0.pt").stat().st_size


def test_a_folder_that_is_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(tmp_path, tmp_path / "model", capsys) == (
        f"{tmp_path.name} is no checkpoint: its name is not global_step_N."
    )


@pytest.mark.parametrize("there", ["file", "folder", "dead link"])
def test_a_target_that_is_there(
    there: str, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "model"
    if there == "file":
        target.write_text("mine")
    elif there == "folder":
        target.mkdir()
    else:
        target.symlink_to(tmp_path / "gone")
    assert refusal(saved, target, capsys) == (f"{target} is there already: nothing is overwritten.")


def test_a_target_that_came_meanwhile(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with pytest.raises(Refused, match="is there already"), making(target):
        target.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert not list(target.iterdir())


def test_a_target_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be written: "):
        making(tmp_path / "file/model").__enter__()


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    with (
        pytest.raises(Refused, match=f"The disk of {tmp_path} is full."),
        making(tmp_path / "model"),
    ):
        Path("/dev/full").write_bytes(b"x")
    assert not list(tmp_path.iterdir())
    assert is_no_space(RuntimeError("I/O error: No space left on device (os error 28)"))
    assert not is_no_space(OSError(errno.EACCES, "Permission denied"))


def stopped_at(path: Path) -> None:
    path.write_bytes(b"half")
    raise SystemExit(143)


def test_a_stop_leaves_nothing_half_made(tmp_path: Path) -> None:
    with pytest.raises(SystemExit), making(tmp_path / "model") as folder:
        stopped_at(folder / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_progress_is_told_to_the_last_mebibyte(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.plan(int(5.5 * 2**20), int(3.25 * 2**20))
    told.read(int(5.5 * 2**20))
    told.finished()
    assert read_lines(tmp_path / "events.jsonl")[0]["steps"] == 9
    lines = read_lines(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == [5, 9]
    assert lines[0]["data"] == {"export/read_mib": 5.5, "export/written_mib": 0.0}


def test_an_adapter_without_its_weight() -> None:
    state = {
        "base_model.model.a.lora_A.default.weight": torch.ones(2, 3),
        "base_model.model.a.lora_B.default.weight": torch.ones(4, 2),
        "base_model.model.a.base_layer.weight": torch.zeros(4, 3),
        "base_model.model.a.base_layer.bias": torch.zeros(4),
    }
    folded = dict(state)
    assert fold(folded, {"r": 2, "lora_alpha": 4}) == 1
    assert folded.keys() == {"a.weight", "a.bias"}
    assert torch.equal(folded["a.weight"], torch.full((4, 3), 4.0))
    for name, said in (
        ("base_model.model.a.base_layer.weight", "The adapter of a has no weight"),
        ("base_model.model.a.lora_A.default.weight", "1 tensors of the adapter cannot be folded"),
    ):
        with pytest.raises(Refused, match=said):
            fold({key: state[key] for key in state if key != name}, {"r": 2, "lora_alpha": 4})


def test_one_of_two_tied_tensors_is_enough() -> None:
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False)
    )
    model[1].weight = model[0].weight
    check_state({"1.weight": torch.zeros(3, 3)}, model)
    with pytest.raises(Refused, match=r"does not hold 2 tensors: 0\.weight, 1\.weight"):
        check_state({}, model)


def test_an_adapter_that_was_not_written(tmp_path: Path) -> None:
    check_adapter(tmp_path, 0)
    with pytest.raises(Refused, match="has 56 tensors, and 0 of them were written"):
        check_adapter(tmp_path, 56)

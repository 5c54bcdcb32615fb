"""Programs that make models, killed or out of space at any moment: nothing is half made, and the
next start finishes."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

KILLS, FULL = 20, 8
FIRST_FULL = 1000  # so that the results of the other test are not in the way
BROKEN = """
import errno, importlib, io, os, signal, sys
how, program, out, *rest = sys.argv[1:]
moments, argv = rest[:rest.index("--")], rest[rest.index("--") + 1:]
main = importlib.import_module(f"trainyard_node.{program}.__main__").main
CALLS = [(os, name) for name in ("pwrite", "fsync", "rename", "unlink", "mkdir", "posix_fallocate")]
CALLS.append((io, "open"))
made = [0]

def needs_room(name, given):
    if name == "pwrite":
        return given[2] + len(given[1]) > os.fstat(given[0]).st_size
    writes = name == "open" and any(mode in str(given[1:2]) for mode in "wa")
    return writes or name in ("mkdir", "posix_fallocate")

def broken(real, name, moment):
    def call(*given, **more):
        made[0] += 1
        if made[0] > moment and how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if made[0] > moment - 1000 and how == "full" and needs_room(name, given):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*given, **more)
    return call

def child(moment):
    for module, name in CALLS:
        setattr(module, name, broken(getattr(module, name), name, moment))
    code = main([*argv, "--out", f"{out}{moment}"])
    print("calls", made[0], file=sys.stderr, flush=True)
    os._exit(code)

for moment in map(int, moments):
    pid = os.fork()  # one import of PyTorch for all; nothing has run in it yet
    if not pid:
        child(moment)
    print(moment, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=sys.stderr, flush=True)
"""
NEVER = 10**6
CONFIG = {"model_type": "qwen2", "num_hidden_layers": 2, "tie_word_embeddings": True}
MODULE = "model.layers.{}.self_attn.q_proj"


def model(folder: Path, seed: int) -> Path:
    """Tensors by which each program has several to write."""
    torch.manual_seed(seed)
    folder.mkdir()
    tensors = {f"{MODULE.format(n)}.weight": torch.randn(8, 8) for n in range(2)}
    tensors["model.embed_tokens.weight"] = torch.zeros(12, 8)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({**CONFIG, "vocab_size": 12}))
    return folder


def adapter(folder: Path) -> Path:
    folder.mkdir()
    names = [f"base_model.model.{MODULE.format(number)}" for number in range(2)]
    pairs = {f"{name}.lora_{part}.weight": torch.ones(8, 8) for name in names for part in "AB"}
    save_file(pairs, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    said = {"peft_type": "LORA", "r": 8, "lora_alpha": 8}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    return folder


def average(root: Path) -> list[str]:
    paths = [{"path": str(model(root / f"m{n}", n)), "step": n} for n in (1, 2)]
    return ["average", "--text", json.dumps({"method": "uniform", "checkpoints": paths})]


def convert(root: Path) -> list[str]:
    source = str(model(root / "m1", 1))
    return ["convert", "--text", json.dumps({"source": source, "shard_bytes": 200, "vocab": 16})]


def lora_merge(root: Path) -> list[str]:
    spec = {"base": str(model(root / "m1", 1)), "adapters": [{"path": str(adapter(root / "a"))}]}
    return ["lora", "merge", "--text", json.dumps(spec)]


def lora_extract(root: Path) -> list[str]:
    spec = {"base": str(model(root / "m1", 1)), "tuned": str(model(root / "m2", 2)), "rank": 2}
    return ["lora", "extract", "--text", json.dumps(spec)]


Prepare = Callable[[Path], list[str]]
PROGRAMS = [average, convert, lora_merge, lora_extract]


class Broken:
    """A program run in children that are broken at moments of their system calls."""

    def __init__(self, root: Path, prepare: Prepare) -> None:
        self.folder = root / "made"
        self.folder.mkdir()
        self._program, *self._argv = prepare(root)
        told = self._run("never", [NEVER])
        self.calls = int(next(line for line in told if line.startswith("calls")).split()[1])
        self.expected = self.files(NEVER)

    def ends(self, how: str, moments: list[int]) -> dict[int, int]:
        """Exit codes by moment."""
        told = self._run(how, moments)
        found = [line.split() for line in told if line.split()[0].isdigit()]
        return {int(moment): int(code) for moment, code in found}

    def files(self, moment: int) -> dict[str, bytes]:
        made = self.folder / str(moment)
        return {path.name: path.read_bytes() for path in made.iterdir()} if made.exists() else {}

    def hidden(self) -> list[Path]:
        return list(self.folder.glob(".*"))

    def _run(self, how: str, moments: list[int]) -> list[str]:
        argv = [sys.executable, "-c", BROKEN, how, self._program, f"{self.folder}/"]
        argv += [*map(str, moments), "--", *self._argv]
        # A forked child that begins threads of its own is slow where others work on the machine.
        own = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        done = subprocess.run(argv, capture_output=True, text=True, check=True, env=own)
        self.told = done.stderr
        return [line for line in self.told.splitlines() if line.strip()]


@pytest.fixture(scope="module", params=PROGRAMS)
def broken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Broken:
    return Broken(tmp_path_factory.mktemp("broken"), request.param)


def test_killed_at_any_moment_the_next_start_finishes(broken: Broken) -> None:
    moments = random.Random(3).sample(range(broken.calls), min(KILLS, broken.calls))
    ended = broken.ends("kill", moments)
    assert set(ended.values()) == {-signal.SIGKILL}
    whole = [moment for moment in moments if broken.files(moment)]
    assert all(broken.files(moment) == broken.expected for moment in whole)
    # A start whose only missing step was to forget the work finds the result in its place.
    again = broken.ends("never", moments)
    assert all(broken.files(moment) == broken.expected for moment in moments)
    assert all(code == 0 or moment in whole for moment, code in again.items()), broken.told
    assert not broken.hidden()


def test_a_disk_that_is_full_is_said_and_nothing_is_left(broken: Broken) -> None:
    moments = [FIRST_FULL + moment for moment in range(0, broken.calls, broken.calls // FULL)]
    ended = broken.ends("full", moments)
    assert 1 in ended.values()
    for moment, code in ended.items():
        assert broken.files(moment) == ({} if code else broken.expected)
    said = broken.told.count(f"The disk of {broken.folder} is full.")
    assert said == sum(code == 1 for code in ended.values()), broken.told
    assert not broken.hidden()

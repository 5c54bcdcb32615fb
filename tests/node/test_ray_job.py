"""One attempt as a job of a Ray cluster: what it tells on its output. No Ray is needed for that."""

import base64
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

SCRIPT = """cd "$1" 2>/dev/null || cd {folder}
echo one; env > env.txt; mkdir -p checkpoints/global_step_2 rollouts
echo '{{}}' > rollouts/1.jsonl; echo weights > checkpoints/global_step_2/model.pt
echo 2 > checkpoints/latest_checkpointed_iteration.txt; exit {code}
"""


def run(folder: Path, code: int = 0, **env: str) -> tuple[int, list[tuple[str, int, bytes]]]:
    """Its exit code and the frames that it told: file, offset, bytes."""
    order = {"folder": str(folder), "script": SCRIPT.format(folder=folder, code=code)}
    packed = base64.b64encode(zlib.compress(json.dumps(order).encode())).decode()
    done = subprocess.run(
        [sys.executable, "-m", "trainyard_node.ray_job", packed],
        env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    told = []
    for line in filter(lambda one: one.startswith("@trainyard\t"), done.stdout.splitlines()):
        _, head, body = line.split("\t")
        facts, data = json.loads(head), zlib.decompress(base64.b64decode(body))
        assert zlib.crc32(data) == facts["crc"]
        told.append((facts["file"], facts["at"], data))
    return done.returncode, told


def test_all_that_a_run_leaves_is_told_and_its_verdict_last(tmp_path: Path) -> None:
    code, told = run(tmp_path / "attempt-1", code=3)
    assert code == 3
    files: dict[str, bytes] = {}
    for name, at, data in told:
        files[name] = files.get(name, b"")[:at] + data
    for name in ("train.log", "events.jsonl", "run.sh", "rollouts/1.jsonl"):
        assert files[name] == (tmp_path / "attempt-1" / name).read_bytes()
    assert [name for name, _, _ in told][-2:] == ["exit_code", "ended"]
    assert files["exit_code"] == b"3\n"
    listed = {name: size for name, size, _ in json.loads(files["checkpoints.json"])}
    assert listed["global_step_2/model.pt"] == 8
    names = [name for name, _, _ in told]
    event = next(n for n, (name, _, data) in enumerate(told) if b'"checkpoint"' in data)
    assert names.index("checkpoints.json") < event


def test_a_run_does_not_take_its_devices_for_ones_that_it_chooses(tmp_path: Path) -> None:
    run(tmp_path / "attempt-1", RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES="1", RAY_ADDRESS="a:1")
    env = (tmp_path / "attempt-1/env.txt").read_text()
    assert "NOSET" not in env
    assert "RAY_ADDRESS=a:1\n" in env


def test_a_second_start_is_refused(tmp_path: Path) -> None:
    assert run(tmp_path / "attempt-1")[0] == 0
    code, told = run(tmp_path / "attempt-1")
    assert (code, told) == (1, [])

"""What another engine, or another version of one, has answered is not taken over."""

from pathlib import Path
from typing import Any

import pytest
from evaluating_cases import evaluate, lines, result, write_lines
from trainyard_node.evaluating import losses
from trainyard_node.evaluating import result as results

VERSION = results._version


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each call to the model had; the first evaluation ends after the first."""
    counts: list[int] = []
    real = losses.nll_of

    def counted(loaded: Any, batch: Any, pad: int) -> list[float]:
        if len(counts) == 1:
            counts.append(0)
            raise KeyboardInterrupt
        counts.append(len(batch))
        found: list[float] = real(loaded, batch, pad)
        return found

    monkeypatch.setattr(losses, "nll_of", counted)
    return counts


def versions(package: str, version: str) -> Any:
    return lambda name: version if name == package else VERSION(name)


@pytest.mark.parametrize("newer", ["", "torch", "transformers", "verl"])
def test_an_evaluation_goes_on_with_the_same_versions_alone(
    newer: str, samples: dict[str, Any], read: list[int], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    file = write_lines(tmp_path / "texts.jsonl", [{"text": f"{n}+{n}=?"} for n in range(6)])
    warm = f"{samples['directory']}/model-warm"
    spec = {"model": warm, "way": "loss", "files": [file], "batch_size": 2}
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path / "out", **spec)
    assert len(lines(tmp_path / "out/.rows.jsonl")) == 2
    monkeypatch.setattr(results, "_version", versions(newer, "99"))
    assert evaluate(tmp_path / "out", **spec) == 0
    assert sum(read[2:]) == (6 if newer else 4)
    assert result(tmp_path / "out")["counts"]["prompts"] == 6
    plan = f"all of them anew: other {newer} ({VERSION(newer)} before, 99 now)" if newer else (
        "6 prompts, 2 rows are kept of an earlier attempt"
    )  # fmt: skip
    assert plan in capsys.readouterr().out


def test_the_version_of_the_backend_counts() -> None:
    assert results.versions("transformers").keys() == {"verl", "transformers", "torch"}
    assert "vllm" in results.versions("vllm")

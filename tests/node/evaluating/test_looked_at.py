"""A check looks at the first rows alone, however many there are."""

import json
from pathlib import Path
from typing import Any

import pytest
from evaluating_cases import evaluate, write_lines
from trainyard_node.evaluating import program


@pytest.mark.parametrize(("limit", "seen"), [(None, 5), (7, 5), (3, 3)])
def test_only_the_first_rows_are_read(
    limit: int | None, seen: int, samples: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(program, "LOOKED_AT", 5)
    rows = [*({"text": f"{n}+{n}=?"} for n in range(6)), "no row at all"]
    spec = {"model": f"{samples['directory']}/model-warm", "way": "loss", "limit": limit,
            "files": [write_lines(tmp_path / "texts.jsonl", rows)]}  # fmt: skip
    assert evaluate(tmp_path / "out", "--check", **spec) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["prompts"] == seen
    assert said.get("first_rows") == (5 if seen == 5 else None)

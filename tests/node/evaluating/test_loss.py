"""The loss and perplexity of texts, against a direct computation with transformers."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from evaluating_cases import evaluate, lines, result, write_lines
from trainyard_node.evaluating import losses
from trainyard_node.evaluating.texts import Text
from transformers import AutoModelForCausalLM, AutoTokenizer

CLOSE = 1e-5


@pytest.fixture(scope="module")
def warm(samples: dict[str, Any]) -> str:
    return f"{samples['directory']}/model-warm"


@pytest.fixture(scope="module")
def model(warm: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(warm).eval()


def direct(model: Any, ids: list[int], mask: list[int]) -> tuple[float, int]:
    """transformers' own loss of one row: the mean over the tokens that bear one."""
    labels = [token if bears else -100 for token, bears in zip(ids, mask, strict=True)]
    with torch.inference_mode():
        loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss
    count = sum(mask[1:])
    return float(loss) * count, count


def test_it_is_that_of_verls_tokens_and_transformers(
    samples: dict[str, Any], model: Any, warm: str, tmp_path: Path
) -> None:
    """As a direct loop gives it over what verl's own data set makes of the file."""
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

    file = samples["files"]["sft/val.parquet"]["path"]
    spec = {"model": warm, "way": "loss", "files": [file]}
    assert evaluate(tmp_path / "out", **spec) == 0
    data = MultiTurnSFTDataset(
        [file], AutoTokenizer.from_pretrained(warm), {"pad_mode": "no_padding"}
    )
    rows = [data[at] for at in range(len(data))]
    sums = [direct(model, row["input_ids"].tolist(), row["loss_mask"].tolist()) for row in rows]
    loss = math.fsum(nll for nll, _ in sums) / sum(count for _, count in sums)
    found = result(tmp_path / "out")
    assert found["metrics"]["eval/loss"] == pytest.approx(loss, abs=CLOSE)
    assert found["metrics"]["eval/perplexity"] == pytest.approx(math.exp(loss), rel=CLOSE)
    scores = lines(tmp_path / "out/scores.jsonl")
    assert [each["tokens"] for each in scores] == [count for _, count in sums]
    assert [each["nll"] for each in scores] == pytest.approx([nll for nll, _ in sums], abs=1e-3)
    assert found["counts"]["prompts"] == len(pd.read_parquet(file)) == 32
    told = lines(tmp_path / "out/metrics.jsonl")
    assert told[-1]["step"] == 32
    assert told[-1]["data"] == found["metrics"]


def test_plain_text_bears_a_loss_at_every_token_but_the_first(
    warm: str, model: Any, tmp_path: Path
) -> None:
    texts = ["1+2=?", "the answer is about 12", "x", "7" * 600, "3+4=7 " * 20]
    file = write_lines(tmp_path / "texts.jsonl", [{"text": text} for text in texts])
    spec = {"model": warm, "way": "loss", "files": [file], "batch_size": 2}
    assert evaluate(tmp_path / "out", **spec) == 0
    tokenizer = AutoTokenizer.from_pretrained(warm)
    fitting = [tokenizer.encode(text) for text in (*texts[:2], texts[4])]
    sums = [direct(model, ids, [0] + [1] * (len(ids) - 1)) for ids in fitting]
    loss = math.fsum(nll for nll, _ in sums) / sum(count for _, count in sums)
    found = result(tmp_path / "out")
    assert found["metrics"]["eval/loss"] == pytest.approx(loss, abs=CLOSE)
    assert found["counts"] | {"tokens": 0} == {
        "prompts": 5, "answers": 0, "failed_scores": 0, "too_long": 1, "clipped": 0, "empty": 1,
        "not_finite": 0, "tokens": 0,
    }  # fmt: skip
    assert "1 of 5 rows are longer than the model reads" in found["left_out"][0]
    scores = lines(tmp_path / "out/scores.jsonl")
    assert scores[3]["nll"] is None
    assert scores[3]["too_long"] == len(tokenizer.encode(texts[3]))


def test_a_row_that_is_read_in_pieces_has_the_same_loss(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [
        Text(0, tuple(range(3, 63)), (0, *[1] * 59)),
        Text(1, tuple(range(5, 45)), (0, *[0] * 19, *[1] * 20)),
    ]
    whole = losses.nll_of(model, batch, 0)
    alone = [direct(model, list(text.ids), list(text.mask))[0] for text in batch]
    assert whole == pytest.approx(alone, rel=CLOSE)
    monkeypatch.setattr(losses, "piece_of", lambda model: 14)
    assert losses.nll_of(model, batch, 0) == pytest.approx(whole, rel=CLOSE)


def test_bf16_is_used_where_it_is_asked(warm: str, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "texts.jsonl", [{"text": "1+2=3 and so on"}])
    losses_of = {}
    for dtype in ("", "bf16"):
        out = tmp_path / f"out{dtype}"
        assert evaluate(out, model=warm, way="loss", files=[file], dtype=dtype) == 0
        found = result(out)
        losses_of[found["evaluator"]["dtype"]] = found["metrics"]["eval/loss"]
    assert losses_of.keys() == {"float32", "bfloat16"}
    assert losses_of["bfloat16"] != losses_of["float32"]
    assert losses_of["bfloat16"] == pytest.approx(losses_of["float32"], rel=0.02)

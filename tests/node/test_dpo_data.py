"""Preference pairs: rendering, truncation, batches, their order, and what is refused."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch
from omegaconf import OmegaConf
from trainyard_node.dpo import settings
from trainyard_node.dpo.data import PairDataset, batches, pair_tokens
from trainyard_node.dpo.encode import Pair, encode, truncate
from trainyard_node.dpo.kept import Kept, Scan, fingerprint
from trainyard_node.dpo.order import Order, Share, Training, every_row
from trainyard_node.dpo.refused import Refused
from trainyard_node.samples import model

DATA = {"max_length": 64, "truncation": "error", "apply_chat_template_kwargs": {}}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return model.build_tokenizer(["1+2=?", "3"])


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def row(prompt: str = "1+2=?", chosen: str = "3", rejected: str = "42") -> dict[str, Any]:
    return {
        "prompt": [said("user", prompt)],
        "chosen": [said("assistant", chosen)],
        "rejected": [said("assistant", rejected)],
    }


def write(path: Path, *rows: dict[str, Any]) -> str:
    parquet.write_table(pa.Table.from_pylist(list(rows)), path)
    return str(path)


def test_a_pair_is_the_template_cut_at_the_generation_prompt(tokenizer: Any) -> None:
    pair = encode(tokenizer, row(), {})
    shown = [tokenizer.decode(ids) for ids in (pair.prompt, pair.chosen, pair.rejected)]
    assert shown == [
        "<|im_start|>user\n1+2=?<|im_end|>\n<|im_start|>assistant\n",
        "3<|im_end|>\n",
        "42<|im_end|>\n",
    ]
    assert pair.length == len(pair.prompt) + len(pair.rejected)
    assert pair.tokens == 2 * len(pair.prompt) + len(pair.chosen) + len(pair.rejected)


def test_a_template_that_ends_the_prompt_otherwise_moves_the_start_of_the_answer(
    tokenizer: Any,
) -> None:
    """As reasoning models do: the generation prompt opens a thought that the answer lacks."""
    thinking = (
        "{% for m in messages %}{{ m['role'] }}:{{ m['content'] }};{% endfor %}"
        "{% if add_generation_prompt %}assistant:<think>{% endif %}"
    )
    pair = encode(tokenizer, row(), {"chat_template": thinking})
    assert tokenizer.decode(pair.prompt) == "user:1+2=?;assistant:"
    assert tokenizer.decode(pair.chosen) == "3;"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"chosen": []}, "chosen is not a list of messages"),
        ({"prompt": "1+2=?"}, "prompt is not a list of messages"),
        ({"rejected": [{"content": "3"}]}, "a message without a role"),
        ({"chosen": [said("user", "3")]}, "the assistant's turns only"),
    ],
)
def test_rows_that_are_no_pairs(tokenizer: Any, change: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused, match=why):
        encode(tokenizer, row() | change, {})


PAIR = Pair(prompt=(1, 2, 3, 4), chosen=(5, 6), rejected=(7, 8, 9))


@pytest.mark.parametrize(
    ("longest", "how", "left"),
    [
        (7, "error", PAIR),
        (6, "left", Pair((2, 3, 4), (5, 6), (7, 8, 9), cut=1)),
        (4, "left", Pair((4,), (5, 6), (7, 8, 9), cut=3)),
        (6, "right", Pair((1, 2, 3, 4), (5, 6), (7, 8), cut=1)),
        (5, "right", Pair((1, 2, 3, 4), (5,), (7,), cut=3)),
    ],
)
def test_truncation(longest: int, how: str, left: Pair) -> None:
    assert truncate(PAIR, longest, how) == left


@pytest.mark.parametrize(
    ("longest", "how", "why"),
    [
        (6, "error", "7 tokens are more than data.max_length=6"),
        (3, "left", "longer answer alone"),
        (4, "right", "prompt alone"),
    ],
)
def test_no_answer_is_cut_away(longest: int, how: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        truncate(PAIR, longest, how)


def test_answers_that_truncation_makes_the_same_are_refused() -> None:
    with pytest.raises(Refused, match="the same within"):
        truncate(Pair((1, 2), (5, 6, 7), (5, 6, 8)), 4, "right")


def test_a_batch_holds_pairs_side_by_side(tokenizer: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "pairs.parquet", row(), row("9-1=?", "8", "100"))
    dataset = PairDataset([file], tokenizer, DATA)
    (batch,) = batches(dataset, [[(1, 1.0), (0, 0.0)]])
    texts = [tokenizer.decode(ids) for ids in batch["input_ids"].unbind()]
    assert [text.split("assistant\n")[1] for text in texts] == [
        "8<|im_end|>\n", "100<|im_end|>\n", "3<|im_end|>\n", "42<|im_end|>\n",
    ]  # fmt: skip
    sequences, masks = batch["input_ids"].unbind(), batch["loss_mask"].unbind()
    answers = [ids[mask == 1] for ids, mask in zip(sequences, masks, strict=True)]
    assert [tokenizer.decode(ids) for ids in answers] == [t.split("assistant\n")[1] for t in texts]
    assert [p.tolist() for p in batch["position_ids"].unbind()] == [
        list(range(len(ids))) for ids in batch["input_ids"].unbind()
    ]
    assert batch["weight"].tolist() == [1, 1, 0, 0]
    assert batch["rows"].tolist() == [1, 0]
    assert pair_tokens(batch).tolist() == [dataset[1, 1.0][2].tokens, dataset[0, 1.0][2].tokens]


def test_several_files_are_one_data_set_and_errors_name_the_row(
    tokenizer: Any, tmp_path: Path
) -> None:
    bad = row() | {"chosen": [said("user", "3")]}
    one = write(tmp_path / "one.parquet", row())
    # Other columns, and messages with fields of their own.
    named = row() | {"prompt": [{"role": "user", "content": "hi", "name": "x"}], "id": 3}
    two = write(tmp_path / "two.parquet", named, bad)
    dataset = PairDataset([one, two], tokenizer, DATA)
    assert len(dataset) == 3
    assert tokenizer.decode(dataset[1, 1.0][2].prompt).startswith("<|im_start|>user\nhi")
    with pytest.raises(Refused, match=r"two\.parquet, row 1: chosen holds a message of 'user'"):
        dataset[2, 1.0]
    dataset.keep(2)
    assert len(dataset) == 2


def test_files_that_hold_no_pairs(tokenizer: Any, tmp_path: Path) -> None:
    without = write(tmp_path / "without.parquet", {"messages": [said("user", "hi")]})
    with pytest.raises(Refused, match=r"without\.parquet lacks the column prompt"):
        PairDataset([without], tokenizer, DATA)
    (tmp_path / "text.parquet").write_text("no parquet")
    for name in ("text.parquet", "absent.parquet"):
        with pytest.raises(Refused, match=f"{name} cannot be read as parquet"):
            PairDataset([str(tmp_path / name)], tokenizer, DATA)


def test_each_epoch_is_another_shuffle_and_ranks_share_its_batches() -> None:
    order = Order(rows=10, batch_size=4, seed=1)
    assert order.steps_per_epoch == 2
    first = [*order.batch(0), *order.batch(1)]
    second = [*order.batch(2), *order.batch(3)]
    assert len(set(first)) == len(set(second)) == 8
    assert first != second
    assert [*Order(10, 4, seed=1).batch(1)] == first[4:]
    assert [*Order(10, 4, seed=2).batch(0)] != first[:4]
    slots = [(number, 1.0) for number in order.batch(0)]
    assert Share(0, 2).of(slots) + Share(1, 2).of(slots) == slots


def test_training_goes_on_where_it_was_left_also_across_epochs() -> None:
    order = Order(rows=10, batch_size=4, seed=1)
    whole = list(Training(order, Share(0, 1), steps=5))
    assert len(whole) == 5
    left = Training(order, Share(0, 1), steps=5)
    left.next_step = 2
    again = Training(order, Share(0, 1), steps=5)
    again.load_state_dict(left.state_dict())
    assert (len(again), again.warnings) == (3, [])
    assert list(again) == whole[2:]
    other = Training(Order(rows=12, batch_size=4, seed=1), Share(0, 1), steps=5)
    other.load_state_dict(left.state_dict())
    assert other.warnings[0].startswith("rows was 10 at the checkpoint and is 12")


@pytest.mark.parametrize("rows", [1, 3, 4, 7, 8])
def test_every_row_counts_once(rows: int) -> None:
    ranks = [every_row(rows, 4, Share(rank, 2)) for rank in (0, 1)]
    assert {len(slots) for part in ranks for slots in part} == {2}
    counted = [row for part in ranks for slots in part for row, weight in slots if weight]
    assert sorted(counted) == list(range(rows))


def test_kept_scans_answer_only_for_what_they_are_of(tokenizer: Any, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    weights = tmp_path / "model/weights"
    weights.write_text("w")
    file = write(tmp_path / "pairs.parquet", row())
    config = OmegaConf.create(
        {
            "data": DATA,
            "model": {"path": str(tmp_path / "model")},
            "engine": {"mixed_precision": {"param_dtype": "float32"}},
        }
    )
    home = [tmp_path / "new", tmp_path / "old"]

    def facts() -> dict[str, Any]:
        return fingerprint([file], 1, config, tokenizer)

    before = facts()
    scan = Scan(torch.tensor([[-1.0, -2.0]]), cut=0, longest=20)
    Kept(home[1:], "train", before).write(scan)
    found = Kept(home, "train", facts()).read()
    assert found is not None
    assert (found.log_probs.tolist(), found.cut, found.longest) == ([[-1.0, -2.0]], 0, 20)
    assert Kept(home, "val", before).read() is None

    config.data.max_length = 32
    assert Kept(home, "train", facts()).read() is None
    config.data.max_length = 64
    config.engine.mixed_precision.param_dtype = "bfloat16"
    assert Kept(home, "train", facts()).read() is None
    config.engine.mixed_precision.param_dtype = "float32"
    os.utime(weights, (1, 1))
    assert Kept(home, "train", facts()).read() is None
    write(tmp_path / "pairs.parquet", row(chosen="4"))
    assert facts()["files"] != before["files"]
    (home[1] / "train.pt").write_bytes(b"torn")
    assert Kept(home, "train", before).read() is None


def config_of(**changes: Any) -> Any:
    base: dict[str, Any] = {
        "dpo": {
            "loss_type": "sigmoid", "beta": 0.1, "label_smoothing": 0.0,
            "length_normalize": False, "reference": "precomputed",
        },
        "model": {"lora_rank": 0},
        "engine": {"strategy": "fsdp2"},
        "data": {
            "train_files": "x.parquet", "truncation": "error", "pad_mode": "no_padding",
            "train_batch_size": 12, "micro_batch_size_per_gpu": 2, "use_dynamic_bsz": False,
            "messages_key": "messages",
        },
    }  # fmt: skip
    config = OmegaConf.create(base)
    for key, value in changes.items():
        OmegaConf.update(config, key.replace("__", "."), value)
    return config


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"engine__strategy": "megatron"}, "DPO runs on fsdp and fsdp2"),
        ({"dpo__reference": "model"}, "known: precomputed, lora_base"),
        ({"dpo__reference": "lora_base"}, "set model.lora_rank above 0"),
        ({"dpo__beta": -1}, "dpo.beta is -1.0"),
        ({"data__truncation": "middle"}, "known: error, left, right"),
        ({"data__pad_mode": "right"}, "data.pad_mode has no meaning"),
        ({"data__messages_key": "chat"}, "data.messages_key has no meaning"),
        ({"data__train_files": None}, "data.train_files is empty"),
        ({"data__train_batch_size": 10}, "a multiple of 4"),
        ({"data__use_dynamic_bsz": True, "data__train_batch_size": 7}, "a multiple of 2"),
    ],
)
def test_settings_are_refused_with_what_would_be_right(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused, match=why):
        check(config_of(**changes))


def check(config: Any) -> None:
    settings.objective_of(config)
    settings.check_engine(config.engine)
    settings.check_data(config.data)
    settings.check_batch(config.data, ranks=2)


def test_good_settings_pass() -> None:
    config = config_of(dpo__reference="lora_base", model__lora_rank=8)
    assert settings.objective_of(config).beta == 0.1
    check(config)
    assert [settings.every(f, 9) for f in (-1, 0, 4, "after_each_epoch")] == [0, 0, 4, 9]
    files = OmegaConf.create(["a", "b"])
    assert [settings.files_of(f) for f in (None, "a", files)] == [[], ["a"], ["a", "b"]]

"""The memory of a merge: what each tensor needs at most, and what all may take together."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from merge_cases import CASES, inputs_of, ours, save_model, values_of
from mergekit.merge_methods.api import merge_tensors
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from trainyard_node.merge import budget, inputs, merging
from trainyard_node.merge.budget import Budget, need_of
from trainyard_node.merge.layout import Piece
from trainyard_node.merge.merging import merge, plan, rows_of
from trainyard_node.merge.methods import METHODS
from trainyard_node.merge.recipe import read_recipe
from trainyard_node.merge.rules import largest
from trainyard_node.merge.rules.base import Rule
from trainyard_node.merge.rules.largest import Largest
from trainyard_node.merge.shape import as_rows
from trainyard_node.merge.stored import Entry

NAME = "model.layers.0.mlp.up_proj.weight"


class Counted(TorchDispatchMode):  # type: ignore[misc]
    """Counts the bytes of all tensors that are made while it is on, as long as they live."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else (made,):
            if isinstance(each, Tensor):
                storage = each.untyped_storage()
                ref = StorageWeakRef(storage)
                self._alive.setdefault(ref.cdata, (ref, storage.nbytes()))
        self._alive = {key: each for key, each in self._alive.items() if not each[0].expired()}
        self.most = max(self.most, sum(size for _, size in self._alive.values()))
        return made


@pytest.mark.parametrize(("name", "base", "count", "given"), CASES)
def test_no_method_takes_more_than_it_says(
    name: str, base: int | None, count: int, given: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(inputs, "CHUNK", 1 << 12)
    for shape in ((300, 128), (5, 60, 128)):
        torch.manual_seed(1)
        tensors = [each.bfloat16() for each in inputs_of(shape, count, base, seed=2)]
        folders = [
            save_model(tmp_path / f"{len(shape)}-{nr}", {NAME: tensor})
            for nr, tensor in enumerate(tensors)
        ]
        made = plan(read_recipe(recipe_of(name, base, folders, given)))
        (piece,) = made.pieces
        rule = merging.rule_of(piece, made)
        with Counted() as counted:
            # NumPy's copies are not counted.
            found = [rows.numpy().copy() for rows in rows_of(piece, made, rule)]
        assert 0 < counted.most <= need_of(piece, rule)
        whole = ours(name, [each.float() for each in tensors], base, given, rows=300)
        made_rows = torch.from_numpy(numpy.concatenate(found))
        assert (made_rows - as_rows(whole)).abs().max() <= 1e-5  # experts by their rows among them


def recipe_of(name: str, base: int | None, folders: list[Path], given: dict[str, Any]) -> str:
    """As YAML, which JSON is."""
    each = {key: value for key, value in given.items() if isinstance(value, list)}
    others = iter(range(len(folders)))
    models = []
    for nr, folder in enumerate(folders):
        own = {} if nr == base else {key: value[0] for key, value in each.items()}
        if nr != base:
            place = next(others)
            own = {key: value[place] for key, value in each.items()}
        models.append({"model": str(folder), "parameters": own})
    recipe: dict[str, Any] = {"merge_method": name, "models": models}
    if base is not None:
        recipe["base_model"] = str(folders[base])
    shared = {key: value for key, value in given.items() if key not in each}
    return json.dumps({**recipe, "parameters": shared})


def test_what_is_needed_grows_with_neither_models_nor_sizes() -> None:
    values = values_of("ties", 3, 0, {"weight": [1.0, 1.0], "density": 0.5}, (9, 9), 0)

    def need(shape: tuple[int, ...], count: int) -> int:
        entry = Entry(NAME, shape, torch.bfloat16, Path("/m"))
        piece = Piece(NAME, torch.bfloat16, (entry,) * count, None)  # type: ignore[arg-type]
        given = {"weight": [1.0] * (count - 1), "density": 0.5}
        own = values_of("ties", count, 0, given, shape, 0)
        return need_of(piece, METHODS["ties"].rule(own))

    assert METHODS["ties"].rule(values).near() < 1 << 18
    huge = (152_064, 16_384)
    assert need(huge, 3) <= budget.MOST
    assert need(huge, 64) <= 1.5 * budget.MOST
    assert need(huge, 512) <= 1.5 * need(huge, 64)
    assert need((128, 1536, 4096), 8) <= budget.MOST  # experts


def test_threads_wait_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen threads and a budget for two tensors: there are never three at a time, and nobody
    waits forever for a tensor that is larger than all of it."""
    tensors = {f"model.layers.{nr}.mlp.up_proj.weight": torch.randn(64, 64) for nr in range(30)}
    tensors["model.embed_tokens.weight"] = torch.randn(512, 64)
    folders = [save_model(tmp_path / name, tensors, num_hidden_layers=30) for name in "ab"]
    made = plan(read_recipe(recipe_of("linear", None, folders, {"weight": [0.5, 0.5]})))
    rule = merging.rule_of(made.pieces[0], made)
    small = min(need_of(piece, rule) for piece in made.pieces)
    most = 2 * small + 1
    lock, taken, seen = threading.Lock(), [0, 0], [0, 0, 0]
    monkeypatch.setattr(merging, "_threads", lambda: 16)
    monkeypatch.setattr(merging, "Budget", lambda: Budget(most))

    def counted(piece: Piece, rule: Rule) -> int:
        return need_of(piece, rule)

    def rows(piece: Piece, *rest: Any) -> Any:
        size = need_of(piece, rule)
        with lock:
            taken[0] += size
            taken[1] += 1
            seen[0] = max(seen[0], taken[0] if taken[1] > 1 else 0)
            seen[1] = max(seen[1], taken[1])
            seen[2] = max(seen[2], size)
        try:
            yield from rows_of(piece, *rest)
        finally:
            with lock:
                taken[0] -= size
                taken[1] -= 1

    monkeypatch.setattr(merging, "need_of", counted)
    monkeypatch.setattr(merging, "rows_of", rows)
    merge(made, tmp_path / "out")
    assert seen[2] > most  # the embedding, alone
    assert 0 < seen[0] <= most
    assert seen[1] == 2


def found(values: Tensor, k: int) -> tuple[float, float, Tensor, int]:
    """The least of the k largest, their sum, which they are, and how many looks it took."""
    each, looks = Largest(k, values.numel(), sums=True), 0
    each.sample(values[::50])
    while not looks or not each.settle():
        looks += 1
        assert looks < 20
        for chunk in values.split(40):
            each.look(chunk)
    return each.least, each.kept_sum, torch.cat([each.kept(c) for c in values.split(40)]), looks


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["spread", "ties", "alike", "negative"])
def test_bins_find_the_same_as_all_values_kept(
    dtype: torch.dtype, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for 50 values, of which the window has thousands."""
    torch.manual_seed(4)
    values = torch.rand(200, 300, dtype=dtype)
    if kind == "ties":
        values = (values * 7).round()
    elif kind == "alike":
        values = 1 + values * 1e-6
    elif kind == "negative":
        values = values - 0.3

    ranks = (1, 3000, 30_000, 59_999)
    plain = [found(values, k) for k in ranks]
    monkeypatch.setattr(largest, "most_near", lambda total, beside=1: 50)
    again = [found(values, k) for k in ranks]
    for k, (least, total, kept, _), (own, own_total, own_kept, _) in zip(ranks, plain, again,
                                                                        strict=True):  # fmt: skip
        assert (own, int(own_kept.sum())) == (least, k)
        # Sums are of values of 0 or more.
        assert kind == "negative" or own_total == pytest.approx(total, rel=1e-9)
        assert torch.equal(own_kept, kept)
    assert sum(each[3] for each in again) > sum(each[3] for each in plain)


def test_ties_by_bins_is_that_of_mergekit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(largest, "most_near", lambda total, beside=1: 20)
    tensors = inputs_of((60, 50), 4, 0, seed=3)
    given = {"weight": [0.3, 0.5, 0.7], "density": 0.4}
    theirs = merge_tensors(tensors, "ties", parameters=given, base_index=0)
    assert (ours("ties", tensors, 0, given, rows=7) - theirs).abs().max() <= 1e-6

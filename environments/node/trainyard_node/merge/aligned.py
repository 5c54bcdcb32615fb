"""A model whose embedding and output head have the rows of another vocabulary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from trainyard_node.export.refused import Refused
from trainyard_node.merge.choice import TokenRow
from trainyard_node.merge.layout import EMBEDDING, HEAD
from trainyard_node.merge.recipe import Recipe, Slice
from trainyard_node.merge.stored import Entry, Stored
from trainyard_node.merge.view import View
from trainyard_node.merge.vocabularies import LACKS, Vocabulary

STEP = 4096  # rows that are read at a time
ZEROS, MEAN = -2, -1  # in the place of a model's index


@dataclass(frozen=True)
class Defaults:
    """The embedding that each token has in the models that lack it: row `row` of the model with
    the index `model` in `members`, or ZEROS or MEAN. `is_forced` is where all models take it."""

    members: Sequence[str]
    model: Tensor
    row: Tensor
    is_forced: Tensor


class Aligned(View):
    """`stored` as a model of `vocabulary`. `others` has all models as they are stored."""

    def __init__(
        self, name: str, others: Mapping[str, Stored], vocabulary: Vocabulary,
        defaults: Mapping[str, Defaults],
    ) -> None:  # fmt: skip
        super().__init__(others[name])
        self._others = others
        self._vocabulary, self._defaults = vocabulary, defaults
        self.config = {**self._stored.config, "vocab_size": vocabulary.size}
        self._own = vocabulary.rows[name]
        self.entries: Mapping[str, Entry] = {
            key: self._resized(entry) for key, entry in self._stored.entries.items()
        }

    def rows(self, name: str, first: int, end: int) -> Tensor:
        """Rows of a tensor as (rows, width), in its own type; a vector is one row."""
        if not is_words(name):
            return self._stored.rows(name, first, end)
        count = len(self._vocabulary.numbers)
        made = self._of_tokens(name, first, min(end, count))
        if end <= count:
            return made
        return torch.cat([made, self._means[name].expand(end - max(first, count), -1)])

    def picked(self, name: str, numbers: Sequence[int]) -> Tensor:
        """Some rows of a matrix, as `rows` gives them."""
        if not is_words(name):
            return self._stored.picked(name, numbers)
        return super().picked(name, numbers)

    def _of_tokens(self, name: str, first: int, end: int) -> Tensor:
        entry, defaults = self.entries[name], self._defaults[name]
        first = min(first, end)
        made = torch.zeros(end - first, entry.shape[1], dtype=entry.dtype)
        own, forced = self._own[first:end], defaults.is_forced[first:end]
        keeps = (own != LACKS) & ~forced
        made[keeps] = _read(self._stored, name, own[keeps]).to(entry.dtype)
        model, row = defaults.model[first:end], defaults.row[first:end]
        for index, other in enumerate(defaults.members):
            takes = ~keeps & (model == index)
            made[takes] = _read(self._others[other], name, row[takes]).to(entry.dtype)
        means = ~keeps & (model == MEAN)
        if bool(means.any()):
            numbers = torch.arange(first, end)[means]
            made[means] = self._mean_of_models(name, numbers).to(entry.dtype)
        return made

    def _mean_of_models(self, name: str, numbers: Tensor) -> Tensor:
        """The mean row of each token, over the models that have the token."""
        total = torch.zeros(len(numbers), self.entries[name].shape[1], dtype=torch.float64)
        count = torch.zeros(len(numbers), 1)
        for other in self._defaults[name].members:
            own = self._vocabulary.rows[other][numbers]
            has = own != LACKS
            total[has] += _read(self._others[other], name, own[has]).double()
            count[has] += 1
        return total / count.clamp(min=1)

    @cached_property
    def _means(self) -> Mapping[str, Tensor]:
        """By tensor, the mean of its tokens' rows: what rows beyond the tokens get."""
        return {name: self._mean(name) for name in self.entries if is_words(name)}

    def _mean(self, name: str) -> Tensor:
        count, entry = len(self._vocabulary.numbers), self.entries[name]
        total = torch.zeros(1, entry.shape[1], dtype=torch.float64)
        for first in range(0, count, STEP):
            total += self._of_tokens(name, first, min(count, first + STEP)).double().sum(0)
        return (total / count).to(entry.dtype)

    def _resized(self, entry: Entry) -> Entry:
        if not is_words(entry.name):
            return entry
        dtype = entry.dtype
        for other in self._defaults[entry.name].members:
            if entry.name in self._others[other].entries:
                dtype = torch.promote_types(dtype, self._others[other].entries[entry.name].dtype)
        return Entry(entry.name, (self._vocabulary.size, *entry.shape[1:]), dtype, entry.file)


def is_words(name: str) -> bool:
    """Whether a tensor has a row for each token."""
    return name.endswith((EMBEDDING, HEAD))


def aligned(recipe: Recipe, models: Mapping[str, Stored], made: Vocabulary) -> dict[str, Stored]:
    """All models with the rows of the result's vocabulary. Raises Refused where a row is asked for
    that no model has."""
    for each in (recipe.slices[0], recipe.slices[-1]):
        _check_words(each, models)
    names = {name for stored in models.values() for name in stored.entries if is_words(name)}
    defaults = {
        name: _defaults(recipe.slices[-1 if name == HEAD else 0], models, made, name)
        for name in names
    }
    return {name: Aligned(name, models, made, defaults) for name in models}


def _check_words(each: Slice, models: Mapping[str, Stored]) -> None:
    """Raises Refused unless all models have the same tensors of tokens, in the same width."""
    stored = [models[source.model] for source in each.sources]
    found = [
        {name: entry.shape[1:] for name, entry in one.entries.items() if is_words(name)}
        for one in stored
    ]
    for one, words in zip(stored, found, strict=True):
        if not any(name.endswith(EMBEDDING) for name in words):
            raise Refused(f"{one.root} has no {EMBEDDING}, whose rows a tokenizer would change.")
        if "lm_head.bias" in one.entries:
            raise Refused(
                f"{one.root} has a bias in its output head: its tokenizer is not changed."
            )
        for name in words:
            if one.entries[name].shape[0] < one.config["vocab_size"]:
                raise Refused(
                    f"{name} of {one.root} has {one.entries[name].shape[0]} rows, and its "
                    f"configuration says vocab_size {one.config['vocab_size']}."
                )
        if words != found[0]:
            raise Refused(
                f"{one.root} and {stored[0].root} differ in {EMBEDDING} or {HEAD}, which one may "
                "share and the other not: their vocabularies are not brought together."
            )


def _defaults(each: Slice, models: Mapping[str, Stored], made: Vocabulary, name: str) -> Defaults:
    members = [source.model for source in each.sources]
    members = [member for member in members if name in models[member].entries]
    lacking = [torch.full((len(made.numbers),), LACKS)]  # where the slice has no such tensor
    rows = torch.stack([made.rows[member] for member in members] or lacking)
    has = rows != LACKS
    count = has.sum(0)
    model = torch.full((len(made.numbers),), MEAN)
    if each.base in members:
        model[has[members.index(each.base)]] = members.index(each.base)
    model = torch.where(count == 1, has.int().argmax(0), model)
    model[count == 0] = ZEROS
    row = rows.gather(0, model.clamp(min=0).unsqueeze(0)).squeeze(0)
    forced = torch.zeros(len(made.numbers), dtype=torch.bool)
    for token, wish in made.choice.tokens.items():
        number = made.numbers[token]
        forced[number] = wish.is_forced
        if wish.is_zero:
            model[number] = ZEROS
        elif wish.is_set:
            model[number] = _member(token, wish, members, name)
            row[number] = _row(token, wish, models[wish.model], made, name)
        elif bool((~has[:, number]).any()):
            raise Refused(f"The token {token!r} is in not all models, and has no source.")
    return Defaults(members, model, row, forced)


def _member(token: str, wish: TokenRow, members: Sequence[str], name: str) -> int:
    if wish.model not in members:
        raise Refused(
            f"The source of {token!r} is {wish.model}, which is none of the models whose {name} is "
            "merged."
        )
    return members.index(wish.model)


def _row(token: str, wish: TokenRow, stored: Stored, made: Vocabulary, name: str) -> int:
    if wish.number is not None:
        if wish.number >= stored.entries[name].shape[0]:
            raise Refused(f"token_id {wish.number} in the source of {token!r} is no row of "
                          f"{stored.root}.")  # fmt: skip
        return wish.number
    wanted = token if wish.token is None else wish.token
    found = made.of_model[wish.model].get(wanted)
    if found is None:
        raise Refused(f"The source of {token!r} is {wanted!r} of {stored.root}, which it has not.")
    return found


def _read(stored: Stored, name: str, numbers: Tensor) -> Tensor:
    """Rows of a matrix by their numbers; those that follow each other are read as they lie."""
    if not len(numbers):
        return torch.empty(0, stored.entries[name].shape[1])
    first, count = int(numbers[0]), len(numbers)
    if bool((numbers == torch.arange(first, first + count)).all()):
        return stored.rows(name, first, first + count)
    return stored.picked(name, numbers.tolist())

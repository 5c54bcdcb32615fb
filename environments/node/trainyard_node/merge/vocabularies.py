"""The tokenizer of a result whose models have other tokens, and each model's rows for its tokens.

The rules are those of mergekit 0.1.5: a token of the result keeps the row that a model has for it.
A model that lacks the token gets the base's row, or that of the only model which has it, or else
the mean of those that have it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainyard_node.export.refused import Refused
from trainyard_node.merge.beside import TOKENIZER, files_beside
from trainyard_node.merge.choice import BASE, UNION, Choice
from trainyard_node.merge.stored import Stored

LACKS = -1  # in the place of a row


@dataclass(frozen=True)
class Vocabulary:
    """`numbers` has the number of each token of the result. `rows` has, by model, the row of each
    number in that model's embedding, or LACKS; `of_model` each model's own numbers."""

    tokenizer: Any
    numbers: Mapping[str, int]
    rows: Mapping[str, Tensor]
    of_model: Mapping[str, Mapping[str, int]]
    choice: Choice
    files: Sequence[Path] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Rows of the embeddings."""
        count, multiple = len(self.numbers), max(1, self.choice.multiple)
        return -(-count // multiple) * multiple

    def in_no_model(self) -> list[str]:
        """The tokens that no model has a row for, and for which the recipe names none."""
        has = torch.stack([*self.rows.values()]).amax(0) != LACKS
        named = {token for token, wish in self.choice.tokens.items() if wish.is_set}
        return [token for token in _in_order(self.numbers)
                if not has[self.numbers[token]] and token not in named]  # fmt: skip

    def renumbered(self, config: Mapping[str, Any], model: str) -> dict[str, Any]:
        """A configuration of `model` that names tokens by their numbers in the result; None for a
        token that the result lacks."""
        own = self.rows[model].tolist()
        new = {before: number for number, before in enumerate(own) if before != LACKS}
        if all(new.get(number) == number for number in self.of_model[model].values()):
            return dict(config)
        named = {key: each for key, each in config.items() if key.endswith("_token_id")}
        return {**config, **{key: _renumbered(each, new) for key, each in named.items()}}


def _renumbered(value: Any, new: Mapping[int, int]) -> Any:
    if isinstance(value, list):
        return [new[number] for number in value if number in new] or None
    return new.get(value)


def vocabulary_of(choice: Choice, models: Mapping[str, Stored], base: str) -> Vocabulary:
    """Build the tokenizer that `choice` asks for; `base` names one of the models. Raises Refused
    where a tokenizer cannot be read, or a token has no row in its model."""
    order = [base, *(name for name in models if name != base)]
    folders = {name: models[name].folder for name in order}
    tokenizers = {name: _tokenizer(folder) for name, folder in folders.items()}
    of_model = {name: dict(each.get_vocab()) for name, each in tokenizers.items()}
    for name, numbers in of_model.items():
        _check_rows(models[name], numbers)
    if choice.source == UNION:
        made = _union(_tokenizer(folders[base]), list(tokenizers.values()))
    elif choice.source == BASE:
        made = _tokenizer(folders[base])
    else:
        folders.setdefault(choice.source, Path(choice.source).expanduser().absolute())
        made = _tokenizer(folders[choice.source])
    made.add_tokens([each for each in choice.tokens if each not in made.get_vocab()])
    numbers = dict(made.get_vocab())
    if sorted(numbers.values()) != list(range(len(numbers))):
        raise Refused("The numbers of the result's tokens have gaps: it has no rows to fill them.")
    rows = {name: _rows(numbers, own) for name, own in of_model.items()}
    files = [path for folder in folders.values() for path in files_beside(folder, TOKENIZER)]
    return Vocabulary(made, numbers, rows, of_model, choice, files)


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    if not files_beside(folder, TOKENIZER):
        raise Refused(f"{folder} has no tokenizer.")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # each class of transformers' raises its own
        words = " ".join(str(error).split())[:300]
        raise Refused(f"The tokenizer of {folder} cannot be read: {words}") from error


def _union(first: Any, tokenizers: Sequence[Any]) -> Any:
    """`first` with the tokens of all: plain ones, then those that were added to a vocabulary."""
    added: dict[str, Any] = {}
    plain: dict[str, None] = {}
    for each in tokenizers:
        plain |= dict.fromkeys(_in_order(each.get_vocab()))
        for info in each.added_tokens_decoder.values():
            added.setdefault(info.content, info)
    known = first.get_vocab()
    first.add_tokens([token for token in plain if token not in added and token not in known])
    first.add_tokens(list(added.values()))
    return first


def _in_order(numbers: Mapping[str, int]) -> list[str]:
    """transformers gives the tokens in an order that changes from start to start."""
    return sorted(numbers, key=lambda token: numbers[token])


def _rows(numbers: Mapping[str, int], own: Mapping[str, int]) -> Tensor:
    made = torch.full((len(numbers),), LACKS)
    for token, number in numbers.items():
        made[number] = own.get(token, LACKS)
    return made


def _check_rows(stored: Stored, numbers: Mapping[str, int]) -> None:
    size = stored.config.get("vocab_size")
    highest = max(numbers.values(), default=LACKS)
    if type(size) is not int:
        raise Refused(f"The configuration of {stored.root} has no vocab_size: its tokenizer is not "
                      "changed.")  # fmt: skip
    if highest >= size:
        raise Refused(
            f"{stored.root} has a token of the number {highest}, and its configuration says "
            f"vocab_size {size}: the token has no row."
        )

"""The tokenizer that a recipe asks for, and where its tokens have their embeddings from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trainyard_node.export.refused import Refused

UNION, BASE = "union", "base"
KEYS = ("source", "tokens", "pad_to_multiple_of")
OF_TOKEN = ("source", "force")
OF_ROW = ("kind", "model", "token", "token_id")
MODEL_TOKEN, ZERO = "model_token", "zero"
MOST_MULTIPLE = 1 << 20


@dataclass(frozen=True)
class TokenRow:
    """The embedding of one token for the models that lack the token; with `is_forced`, for all.

    It is the row of `token` or `number` of `model`, and of the token itself where both are None.
    Without a model it is zeros where `is_zero`, and else what the models say.
    """

    model: str = ""
    token: str | None = None
    number: int | None = None
    is_zero: bool = False
    is_forced: bool = False

    @property
    def is_set(self) -> bool:
        return bool(self.model) or self.is_zero


@dataclass(frozen=True)
class Choice:
    """`source` is UNION, BASE or a folder; empty where the recipe asks for none. The rows of the
    embeddings are filled up to a multiple of `multiple`, where that is not 0."""

    source: str = ""
    tokens: Mapping[str, TokenRow] = field(default_factory=dict)
    multiple: int = 0


def read_choice(data: Mapping[str, Any], model_of: Callable[[Any, str], str]) -> Choice:
    """What a recipe says in tokenizer or tokenizer_source. `model_of` reads a model's name.
    Raises Refused."""
    nested, plain = data.get("tokenizer"), data.get("tokenizer_source")
    if nested is None:
        return Choice(_source(plain, model_of)) if plain else Choice()
    if plain:
        raise Refused("A recipe has tokenizer or tokenizer_source, and not both.")
    if not isinstance(nested, dict):
        raise Refused("tokenizer is a mapping with a source.")
    _known(nested, KEYS, "tokenizer")
    return Choice(
        _source(nested.get("source") or UNION, model_of),
        _tokens(nested.get("tokens"), model_of),
        _multiple(nested.get("pad_to_multiple_of")),
    )


def _source(given: Any, model_of: Callable[[Any, str], str]) -> str:
    return given if given in (UNION, BASE) else model_of(given, "The source of the tokenizer")


def _multiple(value: Any) -> int:
    if value is None:
        return 0
    if type(value) is not int or not 1 <= value <= MOST_MULTIPLE:
        raise Refused(f"pad_to_multiple_of is a whole number from 1 to {MOST_MULTIPLE}, "
                      f"not {value!r}.")  # fmt: skip
    return value


def _tokens(data: Any, model_of: Callable[[Any, str], str]) -> dict[str, TokenRow]:
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(each, str) and each for each in data):
        raise Refused("tokens of a tokenizer is a mapping of tokens to their sources.")
    return {token: _token(token, said, model_of) for token, said in data.items()}


def _token(token: str, data: Any, model_of: Callable[[Any, str], str]) -> TokenRow:
    if not isinstance(data, dict):
        raise Refused(f"The token {token!r} has a mapping with a source, not {data!r}.")
    _known(data, OF_TOKEN, f"The token {token!r}")
    source, is_forced = data.get("source"), data.get("force", False)
    if not isinstance(is_forced, bool):
        raise Refused(f"force of the token {token!r} is true or false, not {is_forced!r}.")
    if is_forced and source is None:
        raise Refused(f"force of the token {token!r} needs a source.")
    if source is None:
        return TokenRow()
    kind = source.get("kind") if isinstance(source, dict) else None
    if kind is None:
        return TokenRow(model_of(source, f"The source of {token!r}"), is_forced=is_forced)
    _known(source, OF_ROW, f"The source of {token!r}")
    if kind == ZERO:
        return TokenRow(is_zero=True, is_forced=is_forced)
    if kind != MODEL_TOKEN:
        raise Refused(f"The source of {token!r} is of the kind {ZERO} or {MODEL_TOKEN}, "
                      f"not {kind!r}.")  # fmt: skip
    return _row_of_model(token, source, is_forced, model_of)


def _row_of_model(
    token: str, source: Mapping[str, Any], is_forced: bool, model_of: Callable[[Any, str], str]
) -> TokenRow:
    named, number = source.get("token"), source.get("token_id")
    if (named is None) == (number is None):
        raise Refused(f"The source of {token!r} has a token or a token_id, and not both.")
    if named is not None and not isinstance(named, str):
        raise Refused(f"token in the source of {token!r} is a token, not {named!r}.")
    if number is not None and (type(number) is not int or number < 0):
        raise Refused(f"token_id in the source of {token!r} is a number of 0 or more, "
                      f"not {number!r}.")  # fmt: skip
    model = model_of(source.get("model"), f"The source of {token!r}")
    return TokenRow(model, named, number, is_forced=is_forced)


def _known(data: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in data:
        if key not in keys:
            raise Refused(f"{where} has no {key}. It has: {', '.join(keys)}.")

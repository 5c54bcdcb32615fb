"""What a recipe says of the tokenizer and of the chat template of its result.

The rules are those of ``trainyard_node.merge.choice`` and ``.templates``, as far as they can be
known without the models. A test compares the names.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

BASE, UNION, FOLDER = "base", "union", "folder"  # the last in a form alone: it is named beside it
AUTO = "auto"  # the chat template that most of the models have
TEMPLATES = ("alpaca", "chatml", "exaone", "llama3", "mistral")
MOST_MULTIPLE = 2**20
KEYS = ("source", "tokens", "pad_to_multiple_of")
OF_TOKEN = ("source", "force")
OF_ROW = ("kind", "model", "token", "token_id")
KINDS = ("zero", "model_token")


def faults(data: Mapping[str, Any], models: Collection[str]) -> Iterator[str]:
    """What is wrong with the tokenizer and the chat template of a recipe of these models, in
    sentences."""
    template = data.get("chat_template")
    if template and not _is_template(template):
        known = ", ".join((*TEMPLATES, AUTO))
        yield f"chat_template {template!r} is unknown. There are: {known}; or write it in Jinja."
    nested = data.get("tokenizer")
    if nested is None:
        return
    if data.get("tokenizer_source"):
        yield "A recipe has tokenizer or tokenizer_source, and not both."
    if not isinstance(nested, dict):
        yield "tokenizer is a mapping with a source."
        return
    yield from _unknown(nested, KEYS, "tokenizer")
    multiple = nested.get("pad_to_multiple_of")
    if multiple is not None and not (type(multiple) is int and 1 <= multiple <= MOST_MULTIPLE):
        yield f"pad_to_multiple_of is a whole number from 1 to {MOST_MULTIPLE}, not {multiple!r}."
    yield from _of_tokens(nested.get("tokens"), models)


def _is_template(value: Any) -> bool:
    return isinstance(value, str) and ("{" in value or value in (*TEMPLATES, AUTO))


def _of_tokens(tokens: Any, models: Collection[str]) -> Iterator[str]:
    if tokens is None:
        return
    if not isinstance(tokens, dict):
        yield "tokens of a tokenizer is a mapping of tokens to their sources."
        return
    for token, said in tokens.items():
        if not isinstance(token, str) or not token:
            yield f"{token!r} is no token: it is a text, in quotes where it looks like a number."
        elif not isinstance(said, dict):
            yield f"The token {token!r} has a mapping with a source, not {said!r}."
        else:
            yield from _unknown(said, OF_TOKEN, f"The token {token!r}")
            yield from _of_token(token, said, models)


def _of_token(token: str, said: Mapping[str, Any], models: Collection[str]) -> Iterator[str]:
    source, force = said.get("source"), said.get("force", False)
    if not isinstance(force, bool):
        yield f"force of the token {token!r} is true or false, not {force!r}."
    if source is None:
        if force:
            yield f"force of the token {token!r} needs a source."
        return
    row = source if isinstance(source, dict) and "kind" in source else None
    if row is None:
        yield from _of_model(token, source, models)
        return
    yield from _unknown(row, OF_ROW, f"The source of {token!r}")
    if row["kind"] not in KINDS:
        yield f"The source of {token!r} is of the kind {' or '.join(KINDS)}, not {row['kind']!r}."
    elif row["kind"] == "model_token":
        yield from _of_model(token, row.get("model"), models)
        if (row.get("token") is None) == (row.get("token_id") is None):
            yield f"The source of {token!r} has a token or a token_id, and not both."


def _of_model(token: str, model: Any, models: Collection[str]) -> Iterator[str]:
    if isinstance(model, str) and model not in models:
        yield f"The source of {token!r} is {model}, which is none of the recipe's models."
    elif not isinstance(model, str | dict):
        yield f"The source of {token!r} is a folder, not {model!r}."


def _unknown(data: Mapping[str, Any], known: Collection[str], where: str) -> Iterator[str]:
    for key in data:
        if key not in known:
            yield f"{where} has no {key}. It has: {', '.join(known)}."

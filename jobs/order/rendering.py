"""Render some rows with the model's own chat template before a run starts, as the run will."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets.formats.chat import MEDIA, ChatOptions
from datasets.formats.rows import page
from datasets.formats.tokenizer_dir import NoTemplate
from datasets.formats.tokens import ChatTokenizer, load
from jobs.order import lengths
from jobs.verl.algorithms import algorithm_of
from jobs.verl.overrides import below, readable
from jobs.verl.spec import Problem, TrainSpec
from platform_site.paths import inside

TRIED = 20
KWARGS = "data.apply_chat_template_kwargs"
# With these the run reads rows by other code, or by another template, than the model's own.
OTHER: tuple[str, ...] = ("custom_cls.path", "custom_chat_template", "chat_template_func")
OTHER += ("messages_key", "prompt_key")


def look(spec: TrainSpec, model: Path) -> list[lengths.Told]:
    """The first rows that the run would stop at, then those that are too long for it; nothing
    where they cannot be read here."""
    given = {override.key: override.value for override in readable(spec.overrides)}
    if not model.is_dir() or any(key.endswith(OTHER) for key in given):
        return []
    try:
        tokenizer = load(model, _options(given, below(spec.overrides, KWARGS)))
    except NoTemplate as error:
        return [Problem("model_path", str(error))]
    except ValueError:  # a tokenizer with code of its own, say, which only the run may execute
        return []
    found = (_refused(spec, field, tokenizer) for field in ("train_files", "val_files"))
    refused: list[lengths.Told] = [problem for each in found for problem in each]
    return refused or [lengths.told(spec, long) for long in lengths.measured(spec, tokenizer)]


def _options(given: dict[str, Any], kwargs: dict[str, Any]) -> ChatOptions:
    thinking = given.get("data.enable_thinking_default", True)
    return ChatOptions(
        template_kwargs=kwargs,
        enable_thinking=None if thinking is None else bool(thinking),
        ignore_mismatch=given.get("data.ignore_input_ids_mismatch") is True,
    )


def _refused(spec: TrainSpec, field: str, tokenizer: ChatTokenizer) -> Iterator[Problem]:
    target = algorithm_of(spec.kind).target
    rows = page(inside(str(spec.values[field])), 0, TRIED).rows
    for number, row in rows:
        if set(MEDIA) & row.keys():  # verl then renders with a processor
            return
        if refusal := tokenizer.view(row, target).refusal:
            yield Problem(field, f"The run would stop at row {number}: {refusal}")
            return

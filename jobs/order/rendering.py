"""Render some rows with the model's own chat template before a run starts, as the run will."""

from pathlib import Path
from typing import Any

from datasets.formats.chat import ChatOptions
from datasets.formats.refused import first_refused
from datasets.formats.shown import TOKENIZERS
from datasets.formats.tokenizer_dir import NoTemplate
from jobs.order import lengths
from jobs.verl.algorithms import algorithm_of
from jobs.verl.overrides import below, readable
from jobs.verl.spec import Problem, TrainSpec
from platform_site.bounded.calls import call
from platform_site.bounded.limits import TEMPLATES, TooMuch
from platform_site.paths import inside

TRIED = 20
FILES = ("train_files", "val_files")
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
    options = _options(given, below(spec.overrides, KWARGS))
    files = {name: inside(str(spec.values[name])) for name in FILES}
    target = algorithm_of(spec.kind).target
    try:
        found = call(TEMPLATES, TOKENIZERS, first_refused, model, options, target, files, TRIED)
    except NoTemplate as error:
        return [Problem("model_path", str(error))]
    except TooMuch as error:
        what = "Its chat template cannot be tried on the first rows"
        return [Problem("model_path", f"{what}. {error}")]
    if found is None:
        return []
    refused: list[lengths.Told] = [
        Problem(name, f"The run would stop at row {number}: {refusal}")
        for name, (number, refusal) in found.items()
    ]
    return refused or lengths.look(spec, model, options, files)


def _options(given: dict[str, Any], kwargs: dict[str, Any]) -> ChatOptions:
    thinking = given.get("data.enable_thinking_default", True)
    return ChatOptions(
        template_kwargs=kwargs,
        enable_thinking=None if thinking is None else bool(thinking),
        ignore_mismatch=given.get("data.ignore_input_ids_mismatch") is True,
    )

"""Read rows as their source has them: without parquet's empty fields, and with its marks.

Parquet gives each object the fields of all others, empty where it has no value, and a chat template
prints these as null. A turn that is marked as not to be trained on bears no loss.
"""

import functools
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from trainyard_node.hooks import shape
from trainyard_node.imports import when_imported

MARKS = ("weight", "train", "training", "trainable", "loss")  # false or 0: not to be trained on
TURN = ("self", "index", "message", "full_message", "tools", "enable_thinking")


def install() -> None:
    """Hook into verl's data sets once they are imported; this call imports nothing of verl."""
    when_imported("verl.utils.dataset.multiturn_sft_dataset", attach_to_sft)
    when_imported("verl.utils.dataset.rl_dataset", attach_to_rl)


def pruned(value: Any) -> Any:
    """The value without the empty fields of its objects."""
    if isinstance(value, Mapping):
        return {key: pruned(inner) for key, inner in value.items() if inner is not None}
    return [pruned(inner) for inner in value] if isinstance(value, list) else value


def present(turn: Any) -> Any:
    """A turn without its empty fields; an empty content stays, because verl looks for it."""
    if not isinstance(turn, Mapping):
        return turn
    content = {"content": turn["content"]} if "content" in turn else {}
    return {**pruned(turn), **content}


def is_masked(turn: Mapping[str, Any]) -> bool:
    return any(turn.get(mark) is not None and not turn[mark] for mark in MARKS)


def attach_to_sft(module: ModuleType) -> None:
    dataset: Any = module.MultiTurnSFTDataset
    if not shape.attached(lambda: _mask(dataset), "cannot leave a marked turn out of training"):
        _refuse_marks(dataset)
    shape.attached(lambda: _prune_sft(module), "cannot read rows without empty fields")


def attach_to_rl(module: ModuleType) -> None:
    shape.attached(
        lambda: _prune_rl(module.RLHFDataset), "cannot read prompts without empty fields"
    )


def _mask(dataset: Any) -> None:
    original = dataset._process_single_message
    shape.check(original, TURN)

    @functools.wraps(original)
    def process(self: Any, *args: Any, **options: Any) -> Any:
        ids, loss, *rest = original(self, *args, **options)
        message = options["message"] if "message" in options else args[1]
        return (ids, loss * 0 if is_masked(message) else loss, *rest)

    dataset._process_single_message = process


def _refuse_marks(dataset: Any) -> None:
    original = dataset.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        if any(is_masked(turn) for turns in getattr(self, "messages", ()) for turn in turns):
            raise ValueError("The data mark turns as not to be trained on; this verl trains on all")

    dataset.__init__ = init


def _prune_sft(module: Any) -> None:
    original = module.convert_nested_value_to_list_recursive

    @functools.wraps(original)
    def nested(value: Any) -> Any:
        found = original(value)
        return [present(item) for item in found] if isinstance(found, list) else found

    read = module.MultiTurnSFTDataset._read_files_and_process
    shape.check(read, ("self",), ("tools_key", "tools", "dataframe"))

    @functools.wraps(read)
    def read_files(self: Any) -> None:
        read(self)
        if self.tools is not None:  # from the cells: by Series.apply, 1 beside null becomes 1.0
            cells = self.dataframe[self.tools_key].array
            self.tools = [pruned(cell) if isinstance(cell, list) else cell for cell in cells]

    module.convert_nested_value_to_list_recursive = nested
    module.MultiTurnSFTDataset._read_files_and_process = read_files


def _prune_rl(dataset: Any) -> None:
    build, filter_long = dataset._build_messages, dataset.maybe_filter_out_long_prompts
    shape.check(build, ("self", "example", "key"))
    shape.check(filter_long, ("self", "dataframe"), ("tokenizer",))

    @functools.wraps(build)
    def build_messages(self: Any, example: Any, key: str) -> Any:
        turns = [present(turn) for turn in example[key]]
        extra = example.get("extra_info")
        if isinstance(extra, dict) and extra.get("tools_kwargs"):
            extra["tools_kwargs"] = pruned(extra["tools_kwargs"])
        return build(self, {**example, key: turns}, key)

    @functools.wraps(filter_long)
    def filter_prompts(self: Any, dataframe: Any = None) -> Any:
        real, self.tokenizer = self.tokenizer, Tokenizer(self.tokenizer)
        try:
            return filter_long(self, dataframe)
        finally:
            self.tokenizer = real

    dataset._build_messages = build_messages
    dataset.maybe_filter_out_long_prompts = filter_prompts


class Tokenizer:
    """Renders turns without their empty fields; the length of a prompt is all that is asked."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def apply_chat_template(self, turns: Any, **options: Any) -> Any:
        return self._real.apply_chat_template([present(turn) for turn in turns], **options)

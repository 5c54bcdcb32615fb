"""Never cut a prompt: verl's RL trainers keep its last tokens only, and go on without a word.

Every prompt is measured as the filter of verl measures it. With the filter the run says how many
rows it left out; without it, a row that is too long ends the run before its first step.
"""

import functools
from pathlib import Path
from types import ModuleType
from typing import Any

from trainyard_node.hooks import shape
from trainyard_node.record import tell

MODULE = "verl.utils.dataset.rl_dataset"
USES = ("filter_overlong_prompts", "num_workers")


class PromptsTooLong(ValueError):
    """Prompts would be cut, or none is left."""


def attach(module: ModuleType) -> bool:
    """Measure the prompts of each data set. If verl differs, return False and log a line."""
    return shape.attached(lambda: _attach(module), "does not count prompts that are too long")


def _attach(module: Any) -> None:
    dataset = module.RLHFDataset
    original = dataset.maybe_filter_out_long_prompts
    if hasattr(original, "__measures__"):
        return
    shape.check(original, ("self", "dataframe"), USES)

    @functools.wraps(original)
    def maybe_filter_out_long_prompts(self: Any, dataframe: Any = None) -> Any:
        is_asked, self.filter_overlong_prompts = self.filter_overlong_prompts, True
        try:
            short = original(self, dataframe)
        finally:
            self.filter_overlong_prompts = is_asked
        left_out = len(dataframe) - len(short)
        if left_out:
            _answer_for(self, left_out, len(dataframe), is_asked)
        return short

    maybe_filter_out_long_prompts.__measures__ = True  # type: ignore[attr-defined]
    dataset.maybe_filter_out_long_prompts = maybe_filter_out_long_prompts


def _answer_for(dataset: Any, left_out: int, rows: int, is_asked: bool) -> None:
    """Report the rows that are left out. Raises PromptsTooLong where they must not be."""
    limit = dataset.max_prompt_length
    files = ", ".join(Path(str(file)).name for file in dataset.data_files)
    what = (
        f"{left_out} of {rows} prompts of {files} have more than {limit} tokens, or the model's "
        "template refuses them"
    )
    if not is_asked:
        raise PromptsTooLong(f"{what}. Raise the longest prompt, or drop long prompts.")
    if left_out == rows:
        raise PromptsTooLong(f"{what}: none is left. Raise the longest prompt.")
    tell("prompts_left_out", f"{what}: left out.", rows=rows, left_out=left_out)

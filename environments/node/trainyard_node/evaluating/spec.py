"""What an evaluation is asked for: the spec, read and checked before anything is opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from trainyard_node.export.program import check_keys, is_number
from trainyard_node.export.refused import Refused

LOSS, ANSWERS, TASKS = "loss", "answers", "tasks"
WAYS = (LOSS, ANSWERS, TASKS)
BACKENDS = ("auto", "transformers", "vllm", "sglang")
DTYPES = {
    "fp32": "float32", "bf16": "bfloat16", "fp16": "float16",
    "float32": "float32", "bfloat16": "bfloat16", "float16": "float16",
}  # fmt: skip
MOST = 2**31  # of any count
LISTS = ("files", "tasks", "task_files")
DRAWN = ("temperature", "top_p", "top_k")
WORDS = ("model", "adapter", "reward_file", "reward_name", "template")
# The least that each may be; None is allowed where it is its default.
LEAST = {
    "limit": 1, "samples": 1, "seed": 0, "max_prompt_tokens": 1, "max_new_tokens": 1,
    "batch_size": 0, "few_shot": 0, "of_step": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """`model` is a folder or a hub name. `files` hold the rows, `limit` the first so many of them;
    without a `reward_file` verl's own function scores. A `temperature` of 0 is greedy, a
    `batch_size` of 0 as many as fit, a `dtype` of nothing that of the model's file. `of_step` names
    the file of answers."""

    model: str = ""
    adapter: str = ""
    way: str = ANSWERS
    files: Sequence[str] = ()
    limit: int | None = None
    reward_file: str = ""
    reward_name: str = ""
    reward_kwargs: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = -1
    seed: int = 0
    max_prompt_tokens: int | None = None
    max_new_tokens: int = 512
    batch_size: int = 0
    template: str = ""
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    tasks: Sequence[str] = ()
    task_files: Sequence[str] = ()
    few_shot: int | None = None
    backend: str = "auto"
    dtype: str = ""
    of_step: int | None = None

    @property
    def sampling(self) -> dict[str, Any]:
        """All that decides which answers come."""
        names = ("samples", "temperature", "top_p", "top_k", "seed", "max_prompt_tokens",
                 "max_new_tokens")  # fmt: skip
        return {name: getattr(self, name) for name in names}


def read_spec(spec: Mapping[str, Any]) -> Asked:
    """Raises Refused with a sentence that names the part which is wrong."""
    check_keys(spec, [each.name for each in fields(Asked)])
    for name in WORDS:
        _check(isinstance(spec.get(name, ""), str), f"{name} is a text, not {spec.get(name)!r}.")
    for name in LISTS:
        listed = spec.get(name, [])
        whole = isinstance(listed, list) and all(isinstance(one, str) and one for one in listed)
        _check(whole, f"{name} is a list of texts, not {listed!r}.")
    for name in ("reward_kwargs", "template_kwargs"):
        given = spec.get(name, {})
        _check(isinstance(given, dict), f"{name} is an object, not {given!r}.")
    _check_numbers(spec)
    asked = Asked(**{**spec, **{name: tuple(spec.get(name, ())) for name in LISTS}})
    _check_whole(asked)
    return asked


def _check_numbers(spec: Mapping[str, Any]) -> None:
    usual = Asked()
    for name, least in LEAST.items():
        value = spec.get(name, getattr(usual, name))
        if value is None and getattr(usual, name) is None:
            continue
        is_count = type(value) is int and least <= value < MOST
        _check(is_count, f"{name} is a whole number of {least} or more, not {value!r}.")
    heat, top_p, top_k = (spec.get(name, getattr(usual, name)) for name in DRAWN)
    is_heat = is_number(heat) and heat >= 0
    _check(is_heat, f"temperature is a number of 0 or more, not {heat!r}.")
    is_share = is_number(top_p) and 0 < top_p <= 1
    _check(is_share, f"top_p is above 0 and at most 1, not {top_p!r}.")
    is_count = type(top_k) is int and (top_k == -1 or 1 <= top_k < MOST)
    _check(is_count, f"top_k is a whole number of 1 or more, or -1 for none, not {top_k!r}.")


def _check_whole(asked: Asked) -> None:
    _check(bool(asked.model), "model is the model that is evaluated: a folder or a hub name.")
    for name, allowed in {"way": WAYS, "backend": BACKENDS, "dtype": ("", *DTYPES)}.items():
        value = getattr(asked, name)
        known = ", ".join(filter(None, allowed))
        _check(value in allowed, f"{name} is one of {known}, not {value!r}.")
    _check_way(asked)
    for path in filter(None, (*asked.files, *asked.task_files, asked.reward_file)):
        _check(Path(path).is_file(), f"There is no file {path}.")


def _check_way(asked: Asked) -> None:
    if asked.way == TASKS:
        _check(bool(asked.tasks or asked.task_files), "tasks names no task of lm-eval.")
    else:
        _check(bool(asked.files), "files names no file of rows.")
    if asked.way != ANSWERS:
        is_ours = asked.backend in ("auto", "transformers")
        _check(is_ours, f"The way {asked.way} uses transformers, not {asked.backend}.")
    elif asked.samples > 1:
        same = f"{asked.samples} answers to a prompt would be one answer at a temperature of 0."
        _check(asked.temperature > 0, same)


def _check(is_right: bool, why: str) -> None:
    if not is_right:
        raise Refused(why)

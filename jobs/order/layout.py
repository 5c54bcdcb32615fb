"""In which order the form shows its fields: what matters first, then the other knobs by group."""

from collections.abc import Iterator
from dataclasses import dataclass

from django import forms

from jobs.verl.knobs import knobs_of

# Model, data, what is learnt and how, for how long, on what, and what is rewarded.
FIRST = (
    "name", "machine", "model_path", "lora_rank", "dataset", "train_files", "val_files",
    "variant", "dpo_loss", "beta", "rollout_n", "epochs", "steps", "device", "gpus",
    "reward_file", "reward_name",
)  # fmt: skip
LAST = ("after", "after_checkpoint", "retries", "max_hours")
OPEN = ("Data", "Optimiser")


@dataclass(frozen=True)
class Group:
    """Fields under one title, which can be folded."""

    title: str
    fields: list[forms.BoundField]
    is_open: bool


def first(form: forms.Form) -> list[forms.BoundField]:
    return [form[name] for name in FIRST if name in form.fields]


def groups(form: forms.Form, kind: str) -> Iterator[Group]:
    """The knobs that do not stand first, then free overrides, then when it starts and ends."""
    rest = [knob for knob in knobs_of(kind) if knob.name not in FIRST]
    for title in dict.fromkeys(knob.group for knob in rest):
        fields = [form[knob.name] for knob in rest if knob.group == title]
        yield Group(title, fields, title in OPEN or _asks_to_be_seen(fields))
    overrides = form["overrides"]
    yield Group("More overrides", [overrides], bool(overrides.value() or overrides.errors))
    last = [form[name] for name in LAST]
    yield Group("Start after, retries and limits", last, _is_used(form) or _asks_to_be_seen(last))


def _asks_to_be_seen(fields: list[forms.BoundField]) -> bool:
    return any(field.errors for field in fields)


def _is_used(form: forms.Form) -> bool:
    return any(form[name].value() not in (None, "", "0", 0, False) for name in LAST)

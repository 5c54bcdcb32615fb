"""A training job cut down to its worst steps, for a dry-fire: its own settings, with two steps of
its longest rows and full answers, one validation and one checkpoint."""

from collections.abc import Iterator
from dataclasses import replace

from jobs.verl import outside
from jobs.verl.algorithms import is_rl
from jobs.verl.keys import ROLLOUT
from jobs.verl.knobs import find, number, value_of
from jobs.verl.overrides import readable
from jobs.verl.releases import ENVIRONMENTS
from jobs.verl.schema import load
from jobs.verl.small import GROUPS, SAMPLES, drops_groups
from jobs.verl.spec import TrainSpec, Value

STEPS = 2  # the second one has the state of the optimizer
DISTINCT = 8  # of the longest rows: a batch is filled with them
IGNORE_END = f"{ROLLOUT}.ignore_eos"
# What would keep one of the two steps from being whole, or asks for fewer rows than there are.
LEFT = (*SAMPLES, IGNORE_END, "trainer.total_training_steps", "trainer.critic_warmup",
        "trainer.save_freq", "trainer.test_freq", "trainer.val_before_train",
        "trainer.val_only", "trainer.resume_mode", "trainer.resume_from_path", "trainer.logger",
        "trainer.total_epochs")  # fmt: skip


def worst(spec: TrainSpec) -> TrainSpec:
    """The spec of the dry-fire's run. Model, engine, devices, batches and micro batches stay."""
    values: dict[str, Value] = {k: v for k, v in spec.values.items() if k != "loggers"}
    values |= {"epochs": 1, "steps": STEPS, "save_freq": STEPS, "test_freq": STEPS}
    if find(spec.kind, "val_before_train"):
        values["val_before_train"] = False
    if find(spec.kind, "critic_warmup"):
        values["critic_warmup"] = 0  # the actor learns at once
    if find(spec.kind, "filter_groups"):
        # Answers that never end mostly score alike: verl would ask for other groups without end.
        values["filter_groups"] = False
    left = left_out(spec)
    kept = [text for text in spec.overrides if text not in left]
    if _ignores_end(spec):
        kept.append(f"{IGNORE_END}=true")
    return replace(spec, values=values, overrides=tuple(kept))


def rows_of(spec: TrainSpec) -> int:
    """The rows that the steps read."""
    return STEPS * number(spec, "train_batch_size")


def left_out(spec: TrainSpec) -> list[str]:
    """The free overrides that a dry-fire goes without."""
    return [
        each.text
        for each in readable(spec.overrides)
        if each.key in LEFT or outside.is_written(each) or f"{each.key}.".startswith(f"{GROUPS}.")
    ]


def _ignores_end(spec: TrainSpec) -> bool:
    known = load(ENVIRONMENTS, spec.kind, spec.verl) if is_rl(spec.kind) else None
    return known is not None and known.takes(IGNORE_END, adds=False)


def not_tried(spec: TrainSpec) -> Iterator[str]:
    """What a dry-fire of this job says nothing of, in short sentences."""
    yield f"Growth over many steps: it ran {STEPS}."
    if value_of(spec, "loggers"):
        yield f"Trackers: {value_of(spec, 'loggers')} had no part in it."
    if is_rl(spec.kind) and drops_groups(spec):
        yield "Dropping groups without a difference: answers that never end mostly score alike."
    if is_rl(spec.kind) and value_of(spec, "engine") == "sglang":
        yield "Full answers: verl does not tell SGLang to go on after an end token."
    if left := left_out(spec):
        yield f"These overrides, which were left out: {', '.join(left)}."

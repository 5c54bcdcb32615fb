"""Compare the settings of runs, the most important ones first."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.process import Setting
from jobs.verl import schema
from jobs.verl.defaults import UNKNOWN, found_at, stands_for
from jobs.verl.knobs import BY_NAME, COMMAND, KNOBS, Knob, knobs_of
from jobs.verl.overrides import parse, write_value
from jobs.verl.releases import translate
from jobs.verl.spec import LATEST, TrainSpec

# Learning rate, batch sizes, lengths, KL, data, model; then the others in the form's order.
IMPORTANT = (
    "lr", "critic_lr",
    "train_batch_size", "mini_batch_size", "micro_batch_size", "rollout_n",
    "max_length", "max_prompt_length", "max_response_length",
    "use_kl_loss", "kl_loss_coef", "kl_loss_type", "use_kl_in_reward", "kl_coef", "kl_penalty",
    "beta",
    "train_files", "val_files",
    "model_path", "lora_rank", "lora_alpha", "target_modules",
)  # fmt: skip
# The meaning of a knob that has no key of verl's and is not set; other such knobs mean nothing.
# trainyard_node.hooks.lost has the share of answers that may fail.
UNSET: Mapping[str, Any] = {"variant": "grpo", "most_lost": 0.5}
# What verl takes where its configuration has no such key (workers/engine/fsdp/transformer_impl.py).
UNLISTED = {"dtype": "bfloat16"}


@dataclass(frozen=True)
class Run:
    """A spec, with the values that a run uses where the spec sets none.

    ``fixed`` holds by Hydra key what the command sets: the value, and whether the method, the
    platform or a knob of the spec does, which need not be the key's own; ``defaults`` what verl
    takes otherwise. Keys are as the newest release names them.
    ``others`` holds by name the settings of a kind of job that has no knobs.
    """

    spec: TrainSpec
    fixed: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """The value that one run uses for a setting.

    ``given`` says who set it: ``set`` (the job), ``method``, ``platform``, ``default`` (verl's;
    ``text`` is empty where it is unknown), ``unset`` (nobody: verl has no such setting), or
    ``resolved`` (nobody, and the run told that it is not verl's default), or ``absent`` (the run
    has no such setting).
    """

    text: str
    given: str


@dataclass(frozen=True)
class Row:
    """One setting of all runs; ``key`` is its Hydra key, or several keys where the kinds differ."""

    name: str
    label: str
    key: str
    unit: str
    cells: tuple[Cell, ...]
    differs: bool


def run_of(
    spec: TrainSpec,
    settings: Iterable[Setting],
    environments: Path,
    resolved: Mapping[str, Any] | None = None,
) -> Run:
    """Make a run from its spec and its command's settings.

    ``environments`` holds the dumped schemas. What nobody set is as the run ``resolved`` it, where
    it told that.
    """
    fixed = {}
    for setting in settings:
        given = setting.origin if setting.origin in ("method", "platform") else "set"
        with suppress(ValueError):
            fixed[setting.key] = (parse(setting.text).value, given)
    defaults, made = _not_set(spec, environments, resolved or {})
    return Run(spec, made | fixed, defaults)


def _not_set(
    spec: TrainSpec, environments: Path, resolved: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, tuple[Any, str]]]:
    """What verl takes where nobody sets a key: its defaults, and what a run made of them which
    are not these."""
    try:
        known = schema.load(environments, spec.kind, spec.verl).keys
    except (OSError, KeyError, ValueError):
        return {}, {}  # this release or kind has no dump, so its defaults are unknown
    keys = {knob.key(spec.kind) for knob in knobs_of(spec.kind)}
    named = {key: name for key in keys if (name := _in_release(key, spec))}
    defaults = {key: known[name]["default"] for key, name in named.items() if name in known}
    made = {}
    for key, name in named.items():
        value = found_at(resolved, name)
        if value is UNKNOWN:
            continue
        if name in known and stands_for(known[name]["default"], name, resolved) == value:
            defaults[key] = value
        else:
            made[key] = (value, "resolved")
    return defaults, made


def _in_release(key: str, spec: TrainSpec) -> str | None:
    return key if spec.verl == LATEST else translate(key, spec.kind, spec.verl).key


def compare(runs: Sequence[Run]) -> list[Row]:
    """One row for each setting of any of the runs, the important ones first.

    Runs that use the same value are equal, whoever set it.
    """
    rows = [_knob_row(knob, runs) for knob in ordered(run.spec.kind for run in runs)]
    rows += [_other_row(name, runs) for name in dict.fromkeys(n for r in runs for n in r.others)]
    return rows + [_free_row(key, runs) for key in _free_keys(runs)]


def ordered(kinds: Iterable[str]) -> list[Knob]:
    """The knobs of these kinds: the important ones, then the others in the form's order."""
    wanted = set(kinds)
    known = [knob for knob in KNOBS if wanted & set(knob.keys)]
    first = [BY_NAME[name] for name in IMPORTANT if BY_NAME[name] in known]
    return first + [knob for knob in known if knob not in first]


def _knob_row(knob: Knob, runs: Sequence[Run]) -> Row:
    found = [_read(knob, run) for run in runs]
    cells = tuple(Cell("" if given == "absent" else _plain(v), given) for v, given in found)
    keys = dict.fromkeys(knob.key(r.spec.kind) for r in runs if r.spec.kind in knob.keys)
    shown = " · ".join(key for key in keys if key != COMMAND)
    return Row(knob.name, knob.label, shown, knob.unit, cells, _knobs_differ(found))


def _knobs_differ(found: Sequence[tuple[Any, str]]) -> bool:
    """Whether runs use different values, or one has set a knob that another kind lacks."""
    has = [(_comparable(value), given) for value, given in found if given != "absent"]
    lacks = len(has) < len(found) and any(given in ("set", "method") for _, given in has)
    return lacks or _differ([value for value, _ in has])


def _read(knob: Knob, run: Run) -> tuple[Any, str]:
    """The value that a run uses for a knob, and who set it."""
    if run.spec.kind not in knob.keys:
        return None, "absent"
    value = run.spec.values.get(knob.name)
    if value not in (None, ""):
        return (str(value).split(",") if knob.type is list else value), "set"
    key = knob.key(run.spec.kind)
    if key == COMMAND:
        return UNSET.get(knob.name, ""), "unset"
    unlisted = UNLISTED.get(knob.name, "")
    return run.fixed.get(key) or (run.defaults.get(key, unlisted), "default")


def given_to(knob: Knob, run: Run) -> Cell:
    """The value that a run uses for a knob, as text."""
    value, given = _read(knob, run)
    return Cell(_plain(value), given)


def _comparable(value: Any) -> Any:
    # Python treats true and 1 as equal.
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return ("number", float(value)) if number else (type(value).__name__, value)


def _differ(values: Sequence[Any]) -> bool:
    return any(value != values[0] for value in values[1:])


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _other_row(name: str, runs: Sequence[Run]) -> Row:
    found = [_plain(run.others[name]) if name in run.others else None for run in runs]
    cells = tuple(Cell(text or "", "absent" if text is None else "set") for text in found)
    return Row(name, name.replace("_", " ").capitalize(), "", "", cells, _differ(found))


def _free_keys(runs: Iterable[Run]) -> list[str]:
    return sorted({key for run in runs for key in _free(run.spec)})


def _free_row(key: str, runs: Sequence[Run]) -> Row:
    texts = [_free(run.spec).get(key) for run in runs]
    cells = tuple(Cell(text or "", "absent" if text is None else "set") for text in texts)
    return Row(key, "Override", key, "", cells, _differ(texts))


def _free(spec: TrainSpec) -> dict[str, str]:
    """The last free override of each key; an unreadable one is listed under its own text."""
    found = {}
    for text in spec.overrides:
        try:
            override = parse(text)
        except ValueError:
            found[text] = text
            continue
        found[override.key] = "removed" if override.removes else _written(override.value)
    return found


def _written(value: Any) -> str:
    return write_value(value) if isinstance(value, str) else _plain(value)

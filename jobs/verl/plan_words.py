"""A plan in words: what each setting is now, what it becomes, and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compute.sizing.plan.reasons import Reason
from compute.sizing.plan.search import Choice
from jobs.verl.knobs import BY_NAME
from jobs.verl.overrides import key_of
from jobs.verl.planned import TOLD_AT
from jobs.verl.spec import TrainSpec, Value
from platform_site.counts import size_text

BEST = {
    "fastest": "The fastest that fits",
    "cheapest": "The cheapest that fits",
    "safest": "The safest: the smallest peak, at most 1.5 times as slow as the fastest",
    "longest": "The longest context that fits",
    "fewest": "The fewest GPUs on which it fits",
    "largest": "The largest model of the catalogue that fits",
}

# Of settings that no other value is weighed against.
ALWAYS = {"dynamic_batch": "A plan counts tokens: the micro batch does not count then."}
BEATS = "Left out, since it would beat what is planned."
LONG = 16  # digits: no setting has as many
LITTLE = 0.02  # a share that nobody would choose by


@dataclass(frozen=True)
class Row:
    """A setting of the job: its name and label, the value it has, the planned one, and why."""

    name: str
    label: str
    now: str
    planned: str
    why: str = ""

    @property
    def is_changed(self) -> bool:
        return self.now != self.planned


def rows(
    before: TrainSpec, after: TrainSpec, used: Mapping[str, Value], why: Mapping[str, str]
) -> Iterator[Row]:
    """What the plan sets: knobs in the order of the form, then overrides. ``used`` are the values
    that the job has now, whoever set them, and ``why`` the reasons, by the setting."""
    for name, knob in BY_NAME.items():
        old, new = before.values.get(name), after.values.get(name)
        if name in why or new != old:
            now = in_words(used.get(name) if old is None else old)
            planned = now if new == old else in_words(new)
            always = ALWAYS.get(name, "") if why else ""
            yield Row(name, knob.label, now, planned, why.get(name, always))
    reasons = {key: why[name] for name, keys in TOLD_AT.items() if name in why for key in keys}
    yield from _free_rows(before, after, reasons)


def _free_rows(before: TrainSpec, after: TrainSpec, why: Mapping[str, str]) -> Iterator[Row]:
    old, new = _pairs(before), _pairs(after)
    for key, value in new.items():
        if old.get(key) != value:
            yield Row(key, key, _free(old.get(key)), _free(value), why.get(key, ""))
    for key, value in old.items():
        if key not in new:
            yield Row(key, key, _free(value), _free(None), why.get(key, BEATS))


def _free(text: str | None) -> str:
    return in_words(int(text) if text and text.isdecimal() and len(text) < LONG else text)


def in_words(value: Value | None) -> str:
    if value is None or value == "":
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def why(reason: Reason, seconds: float, memory: int) -> str:
    """What the other value alone would do, against the planned ``seconds`` of a step and the
    ``memory`` of a GPU in bytes."""
    other = in_words(reason.other)
    if reason.verdict == "does not fit":
        return f"{other} does not fit: up to {size_text(reason.peak)} of {size_text(memory)}."
    if reason.verdict == "slower":
        return f"{other} is {_percent(reason.seconds / seconds - 1)} slower."
    if reason.verdict == "larger peak":
        return f"{other} is as fast, and takes up to {size_text(reason.peak)}."
    if reason.verdict == "faster":
        return f"{other} is {_percent(1 - reason.seconds / seconds)} faster."
    return f"{other} makes no difference that shows."


def against(other: Choice, best: Choice) -> str:
    """In what another choice is better, and worse, than the best one."""
    parts = [
        _compared(other.seconds, best.seconds, "faster", "slower"),
        _compared(other.memory.band[1], best.memory.band[1], "smaller peak", "larger peak"),
    ]
    gpus = other.question.gpus
    if gpus != best.question.gpus:
        parts.append(_compared(other.cost, best.cost, "cheaper", "dearer"))
        parts.append(f"on {gpus} GPU{'' if gpus == 1 else 's'}")
    return f"Or: {', '.join(part for part in parts if part)}"


def _compared(value: float, best: float, less: str, more: str) -> str:
    share = value / best - 1 if best else 0
    if abs(share) < LITTLE:
        return ""
    return f"{_percent(abs(share))} {less if share < 0 else more}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share < 10 else f"{1 + share:.0f} times"


def _pairs(spec: TrainSpec) -> dict[str, str]:
    return {
        key_of(line): value.strip()
        for line, (_, sign, value) in ((line, line.partition("=")) for line in spec.overrides)
        if sign
    }

"""What a knob that is left empty stands for: the value, and who sets it."""

from jobs.verl.diff import Run, given_to
from jobs.verl.knobs import Knob, knobs_of
from jobs.verl.variants import VARIANTS, variant_of

UNKNOWN = "verl's default"


def words_of_unset(run: Run) -> dict[str, str]:
    """For each optional knob that the run does not set, such as ``verl: 0.2``, by its name."""
    spec = run.spec
    variant = variant_of(spec.kind, spec.values.get("variant"))
    who = {"method": variant.label if variant else "", "platform": "Trainyard", "default": "verl"}
    who["unset"] = "Trainyard"
    words = {}
    for knob in knobs_of(spec.kind):
        if knob.required or spec.values.get(knob.name) not in (None, ""):
            continue
        cell = given_to(knob, run)
        words[knob.name] = _words(cell.text, who.get(cell.given) or _setter(knob, run))
    return words | ({"variant": f"verl: {VARIANTS['grpo'].label}"} if "variant" in words else {})


def _setter(knob: Knob, run: Run) -> str:
    """The label of another knob that sets the key as well, such as both halves of a ratio."""
    spec, key = run.spec, knob.key(run.spec.kind)
    set_ = (other for other in knobs_of(spec.kind) if spec.values.get(other.name) not in (None, ""))
    return next((other.label for other in set_ if key in other.keys[spec.kind]), "")


def _words(text: str, who: str) -> str:
    if not text or "${" in text:  # nobody says so before the run
        return UNKNOWN if who == "verl" else "none"
    return f"{who}: {text}" if who else text

"""Whether a job fits its machine, in a few words: for the form, the recipes and the list."""

import logging
from dataclasses import dataclass
from typing import Any, TypeGuard

from compute.models import Machine
from jobs.fit import guarded
from jobs.fit.ledger import Ledger, ledger_of
from jobs.fit.lookups import Lookups
from jobs.fit.services import NotKnown, QuestionError, estimate_of
from jobs.verl.spec import TrainSpec
from platform_site.counts import size_text

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fit:
    """``why`` says why there is no ``ledger``: something is not known, and nothing is guessed, or
    the estimate itself ``failed``."""

    ledger: Ledger | None
    why: str = ""
    failed: bool = False

    @property
    def status(self) -> str:
        return self.ledger.status if self.ledger else "draft"

    @property
    def words(self) -> str:
        return self.ledger.verdict.capitalize() if self.ledger else "Fit not known"

    @property
    def title(self) -> str:
        """Where it comes from, in sentences."""
        if self.ledger is None:
            return self.why
        return f"An estimate. {self.ledger.estimate.told}".strip()

    @property
    def sizes(self) -> str:
        """The peak and the card's memory; empty where they are not known."""
        if self.ledger is None:
            return ""
        peak, memory = self.ledger.estimate.memory.peak, self.ledger.gpu.memory
        return f"{size_text(peak)} of {size_text(memory)}"

    @property
    def warning(self) -> str:
        """A sentence where it does not fit, may not, or nobody can say; empty otherwise."""
        if self.failed:
            return self.why
        if self.ledger is None or self.ledger.estimate.fits:
            return ""
        estimate = self.ledger.estimate
        if estimate.memory.band[1] <= self.ledger.gpu.memory:  # it is not the GPU that is full
            why = " ".join(remark.message for remark in estimate.remarks)
            return f"By the estimate it {self.ledger.verdict}. {why}".strip()
        low, high = map(size_text, estimate.memory.band)
        memory = size_text(self.ledger.gpu.memory)
        return (
            f"By the estimate it {self.ledger.verdict}: a GPU needs {low} to {high} at the peak, "
            f"and {self.ledger.gpu.name} has {memory}."
        )


def runs_on_gpus(spec: Any) -> TypeGuard[TrainSpec]:
    """Whether there is anything to estimate: a training that is not on the CPU."""
    return isinstance(spec, TrainSpec) and spec.values.get("device") != "cpu"


FAILED = Fit(None, guarded.FAILED, failed=True)


def fit_of(spec: TrainSpec, machine: Machine, lookups: Lookups | None = None) -> Fit:
    """What the estimate says of a job on its machine, or why it says nothing.

    Never raises: whoever asks does something else, which goes on without an estimate.
    """
    try:
        return Fit(_ledger(spec, machine, lookups or Lookups()))
    except (NotKnown, QuestionError) as error:
        return Fit(None, str(error))
    except Exception:
        log.exception("The estimate of a %s on %s failed", spec.kind, machine)
        return FAILED


def _ledger(spec: TrainSpec, machine: Machine, lookups: Lookups) -> Ledger:
    cards = lookups.cards(machine)
    estimate = estimate_of(spec, machine, lookups)
    return ledger_of(estimate, cards.gpu, lookups.price(machine))

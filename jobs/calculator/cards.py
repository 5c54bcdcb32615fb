"""Every card of the catalogue for one job: how many it needs, how long it takes, what it costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from compute.sizing.answer import Estimate
from compute.sizing.estimate import estimate
from compute.sizing.gpus import Gpu, catalogue
from compute.sizing.speed.times import ROOFLINE
from jobs.calculator.forms import CalculatorForm
from jobs.fit.guarded import guarded
from jobs.fit.learned import correction_for
from jobs.fit.services import QuestionError
from jobs.fit.sources import NotKnown

COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SORTS: Mapping[str, Callable[["Row"], float | str | None]] = {
    "name": lambda row: row.gpu.name,
    "memory": lambda row: row.gpu.memory,
    "gpus": lambda row: row.gpus,
    "seconds": lambda row: row.seconds,
    "cost": lambda row: row.step_cost,
}
MEMORIES = {"24": "24 GiB or more", "40": "40 GiB or more", "79": "79 GiB or more",
            "139": "139 GiB or more"}  # fmt: skip
BASES = {"measured": "Measured kernels", "roofline": "Roofline"}


@dataclass(frozen=True)
class Row:
    """A card, and the fewest of it on which the job fits with its settings."""

    gpu: Gpu
    gpus: int
    found: Estimate
    price: float | None

    @property
    def seconds(self) -> float | None:
        return self.found.time.seconds if self.found.time else None

    @property
    def is_measured(self) -> bool:
        return self.found.time is not None and self.found.time.basis != ROOFLINE

    @property
    def step_cost(self) -> float | None:
        if self.price is None or self.seconds is None:
            return None
        return self.price * self.gpus * self.seconds / 3600


def rows_of(form: CalculatorForm) -> tuple[list[Row], list[Gpu]]:
    """Those that fit, for a valid form, and those whose estimate failed."""
    rows, failed = list[Row](), list[Gpu]()
    for gpu in catalogue().values():
        try:
            with guarded(f"The estimate on {gpu.name}"):
                row = _row(form, gpu)
        except NotKnown:
            failed.append(gpu)
        else:
            rows += [row] if row else []
    return rows, failed


def _row(form: CalculatorForm, gpu: Gpu) -> Row | None:
    price = form.price_of(gpu)
    for gpus in COUNTS:
        try:
            question = form.asked_on(gpu, gpus)
            taught = correction_for(question) if gpu.slug in form.taught else None
            found = estimate(question, price, taught)
        except (QuestionError, NotKnown):  # its batches or heads do not divide by so many
            continue
        if found.fits:
            return Row(gpu, gpus, found, price)
    return None


def filtered(rows: list[Row], filters: Mapping[str, str]) -> list[Row]:
    """Those that fit all filters; an unknown value of a filter filters nothing."""
    least = int(filters["memory"]) << 30 if filters["memory"] in MEMORIES else 0
    makers = {row.gpu.maker for row in rows}
    return [
        row
        for row in rows
        if row.gpu.memory >= least
        and filters["maker"] in ("", row.gpu.maker, *_unknown(filters["maker"], makers))
        and filters["basis"] in ("", BASIS[row.is_measured], *_unknown(filters["basis"], BASES))
    ]


BASIS = {True: "measured", False: "roofline"}


def _unknown(value: str, known: object) -> tuple[str, ...]:
    return () if value in known else (value,)  # type: ignore[operator]


def in_order(rows: list[Row], sort: str) -> list[Row]:
    """Those of which it is not known come last."""
    by = SORTS[sort.removeprefix("-")]
    known = [row for row in rows if by(row) is not None]
    known.sort(key=lambda row: (by(row), row.gpu.name), reverse=sort.startswith("-"))
    return known + [row for row in rows if by(row) is None]

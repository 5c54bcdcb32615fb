"""By what is chosen, as a form or a command asks for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from surgery.choice.candidate import Candidate, Choice
from surgery.choice.criteria import ChoiceError, by_formula, by_metric, by_validation
from surgery.choice.formula import FormulaError, parse
from surgery.choice.pareto import by_pareto

VALIDATION, METRIC, PARETO, FORMULA = "validation", "metric", "pareto", "formula"
LABELS: Mapping[str, str] = {
    VALIDATION: "Best validation",
    METRIC: "Best of a metric",
    PARETO: "Reward against KL",
    FORMULA: "A formula",
}


@dataclass(frozen=True)
class Criterion:
    """``higher`` says whether more is better; None leaves that to a metric's name, and of a formula
    more is then better."""

    by: str = VALIDATION
    metric: str = ""
    formula: str = ""
    higher: bool | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that it names. Raises ``FormulaError``."""
        if self.by == FORMULA:
            return parse(self.formula).metrics
        return (self.metric,) if self.by == METRIC else ()

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        """Raises ``ChoiceError`` where it cannot choose among these."""
        if not candidates:
            raise ChoiceError("There is no whole checkpoint to choose from.")
        if self.by == METRIC:
            return by_metric(candidates, self.metric, self.higher)
        if self.by == PARETO:
            return by_pareto(candidates).choice
        if self.by == FORMULA:
            try:
                formula = parse(self.formula)
            except FormulaError as error:
                raise ChoiceError(str(error)) from None
            return by_formula(candidates, formula, self.higher is not False)
        return by_validation(candidates)

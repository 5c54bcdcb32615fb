"""What a chain is made of: steps, each of which names those before it that it needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from surgery.choice.formula import parse

TRAIN, AVERAGE, MERGE, CONVERT = "train", "average", "merge", "convert"
ADAPTER, LORA = "adapter", "lora"
EVALUATE, MODELS, CHOOSE, GATE = "evaluate", "models", "choose", "gate"
JOBS = (TRAIN, AVERAGE, MERGE, ADAPTER, LORA, CONVERT, EVALUATE)  # whose steps are jobs
DECIDES = (MODELS, CHOOSE, GATE)  # whose steps need no job
VERBS = (*JOBS, *DECIDES)
CHECKPOINTS = "checkpoints"  # among which a step may choose
BEST, FORMULA, PARETO = "best", "formula", "pareto"


@dataclass(frozen=True)
class Source:
    """A model that a step works on: those that an earlier step made, or the one at a path."""

    step: str = ""
    path: str = ""

    def __str__(self) -> str:
        return self.step or self.path


@dataclass(frozen=True)
class Wish:
    """By what a step chooses. ``metric`` is what counts, or what ``formula`` says of several;
    of a Pareto front ``metric`` is to be high and ``less`` low. ``higher`` says whether more of
    the metric is better, None leaves that to its name. ``keep`` are so many. With ``checkpoints``
    it chooses among all that the jobs saved, by what was logged at their steps."""

    by: str = BEST
    metric: str = ""
    formula: str = ""
    less: str = ""
    higher: bool | None = None
    keep: int = 1
    checkpoints: bool = False

    @property
    def names(self) -> list[str]:
        """The metrics that it looks at."""
        asked = parse(self.formula).metrics if self.by == FORMULA else (self.metric, self.less)
        return [name for name in asked if name]


@dataclass(frozen=True)
class Limit:
    """What a gate asks of a metric. ``not_worse_than`` and ``better_than`` name models with which
    each is compared, prompt by prompt; ``margin`` is how much worse is still taken for as good."""

    metric: str = ""
    at_least: float | None = None
    at_most: float | None = None
    not_worse_than: str = ""
    better_than: str = ""
    margin: float = 0.0

    @property
    def other(self) -> str:
        """The step with whose model each is compared."""
        return self.not_worse_than or self.better_than


@dataclass(frozen=True)
class Step:
    """One step. ``of`` is a recipe's slug (train) or a recipe's text (merge). The first of the
    ``models`` of a step with LoRA is the base, the others are adapters. ``sets`` are fields
    of the form that makes its jobs; ``over`` are those with several values: a job for each.
    ``scores`` names the evaluations by which it decides."""

    name: str
    verb: str
    of: str = ""
    models: Sequence[Source] = ()
    sets: Mapping[str, str] = field(default_factory=dict)
    over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sweep: str = ""
    machine: str = ""
    after: Sequence[str] = ()
    scores: str = ""
    wish: Wish | None = None
    limit: Limit | None = None

    @property
    def needs(self) -> list[str]:
        """The steps that must be done before it, each once, in the order in which it names them."""
        return list(dict.fromkeys([*self.uses, *self.after]))

    @property
    def judges(self) -> list[str]:
        """The steps whose evaluations or models it only looks at."""
        other = self.limit.other if self.limit else ""
        return [name for name in dict.fromkeys((self.scores, other)) if name]

    @property
    def uses(self) -> list[str]:
        """The steps whose models or evaluations it needs; for others it only waits."""
        named = [source.step for source in self.models if source.step]
        return list(dict.fromkeys([*named, *self.judges]))

    @property
    def has_jobs(self) -> bool:
        return self.verb in JOBS

    @property
    def reads_checkpoints(self) -> bool:
        """Whether it works on what a run saved on its way, and not on its last model alone."""
        is_choice = self.wish is not None and self.wish.checkpoints
        return is_choice or self.verb in (AVERAGE, ADAPTER)

    @property
    def decides(self) -> bool:
        return self.verb in DECIDES


@dataclass(frozen=True)
class Recipe:
    """The recipe of a chain: its steps in an order in which each follows those that it needs."""

    name: str
    steps: Sequence[Step]
    about: str = ""
    machine: str = ""

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    def passes_checkpoint(self, name: str) -> bool:
        """Whether a step passes on a checkpoint that was chosen, by itself or by one before it."""
        step = self.step(name)
        if not step.decides:
            return False
        is_choice = step.wish is not None and step.wish.checkpoints
        return is_choice or any(
            self.passes_checkpoint(each.step) for each in step.models if each.step
        )

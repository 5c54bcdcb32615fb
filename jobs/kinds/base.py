"""What a kind of job is. All else in the house works with jobs of any kind by asking these.

A kind is plain Python: it decides, and writes nothing. ``jobs.kinds.registry`` finds the kinds.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from jobs.process import Command, Placement, Spread
from jobs.verl.startup import Phase as StartPhase
from jobs.verl.timing import Part
from jobs.warning import FieldWarning, Range

# Sorts of products.
CHECKPOINTS, MODEL, ADAPTER, REPORT = "checkpoints", "model", "adapter", "report"
# The panels that a job's page has unless its kind says otherwise, in their order.
USUAL = ("charts", "log", "system", "events", "checkpoints", "config")
PANELS = (*USUAL, "timing", "report", "comparison", "result", "evaluation")  # all that there are
Read = Callable[[str], bytes]
"""Gives the beginning of a file of the job's, by its path below the folder that was asked for."""


class Spec(Protocol):
    """What one job was asked to do. ``kind`` is the slug of the kind that understands it."""

    @property
    def kind(self) -> str: ...

    def to_json(self) -> dict[str, Any]: ...


class FileFact(Protocol):
    """One file: its path from the folder asked about, bytes, and change time (epoch seconds)."""

    @property
    def path(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def modified(self) -> float: ...


@dataclass(frozen=True)
class Reads:
    """What a job reads, each by the name of the setting that says so.

    ``files`` are of this machine and are sent to the job's own; ``models`` are folders with a
    model, or a hub's names, and are sent where the job's machine has no such folder; what
    ``inputs`` names by its role (a checkpoint) lies on the job's machine already.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Product:
    """What a job makes: of which sort, and where below its run directory.

    ``sort`` is ``CHECKPOINTS`` for a folder of saved steps, ``MODEL`` for one with a whole model as
    Hugging Face's libraries read it, ``ADAPTER`` for one with an adapter as peft writes it, and
    ``REPORT`` for one with findings.
    """

    sort: str
    path: str


@dataclass(frozen=True)
class Measured:
    """What a job told of a product: ``size`` in bytes, and ``digest``, a SHA-256 in hex."""

    size: int | None = None
    digest: str = ""


@dataclass(frozen=True)
class Line:
    """One part of a report. ``state`` is waiting, passed, warned, failed or skipped; of what is
    chosen among several: waiting, trying, kept or left_out."""

    name: str
    state: str
    said: str
    seconds: float | None = None


@dataclass(frozen=True)
class Phase:
    """A phase of a step as a GPU had it: bytes at its peak, None where nobody measured.

    ``allocated`` and ``reserved`` are PyTorch's in the training process; ``card`` is all that was
    taken of the card. It ``failed`` where it broke off; where it ``ran_out`` of memory, it needs
    more than these.
    """

    name: str
    allocated: int | None = None
    reserved: int | None = None
    card: int | None = None
    seconds: float | None = None
    failed: bool = False
    ran_out: bool = False


@dataclass(frozen=True)
class Report:
    """What a job found out, for the panel ``report`` of its page: its parts in their order, and
    what it says nothing of, in sentences.

    ``phases`` were measured on cards of ``limit`` bytes, with rows of at most ``longest`` tokens
    (in RL: prompts).
    """

    lines: tuple[Line, ...] = ()
    not_tried: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()
    limit: int | None = None
    longest: int | None = None


@dataclass(frozen=True)
class End:
    """How a process ended, and what is known of it.

    ``step`` of ``steps`` is its progress. ``said`` holds what the job itself told in this attempt:
    the data of its last event of each kind and its message. ``stop_asked`` is that somebody asked
    it to end, and ``then_stop`` that the pause which was asked is an end.
    """

    exit_code: int
    step: int = 0
    steps: int | None = None
    stop_asked: bool = False
    then_stop: bool = False
    said: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """``status`` is completed, failed, stopped or paused; ``reason`` says why in a sentence."""

    status: str
    reason: str


class JobKind(ABC):
    """One kind of job. What has an answer here need not be answered by a kind."""

    slug: ClassVar[str]  # in the database, in addresses and on the command line
    label: ClassVar[str]
    # What its progress is counted in: one of them, and several.
    unit: ClassVar[str] = "step"
    units: ClassVar[str] = "steps"
    # Whether all its devices must be of one node.
    one_node: ClassVar[bool] = True
    # Whether it starts a Ray of its own, which not every Python can do.
    starts_ray: ClassVar[bool] = False
    # The setting that names the model which it begins with, for a job before it to fill.
    base_model: ClassVar[str] = ""
    # Whether its settings are knobs that a recipe, a form and a copy of the job can fill.
    has_recipes: ClassVar[bool] = False
    # Whether it ran elsewhere and was imported: it has no command, and never starts here.
    ran_elsewhere: ClassVar[bool] = False
    # The panels that its page has, in their order; no others are shown.
    panels: ClassVar[Sequence[str]] = USUAL
    # Whether its run asks the model for answers, and writes them for each step.
    writes_answers: bool = False
    # Whether it can be tried before it runs, rehearsed and dry-fired: its spec is one of training.
    can_rehearse: bool = False

    @abstractmethod
    def read(self, data: Mapping[str, Any]) -> Any:
        """The spec that a job keeps as JSON. What it does not know is left out, not refused."""

    @abstractmethod
    def command(self, spec: Any, placement: Placement, origins: Mapping[str, str]) -> Command:
        """The process to start at a place. ``origins`` says who gave each setting, by its name.

        Raises ``ValueError`` where there is no such command.
        """

    @abstractmethod
    def judge(self, spec: Any, end: End) -> Verdict:
        """What an end was worth. Exit code 0 alone is never success."""

    def devices(self, spec: Any) -> int:
        """The GPUs that it takes; 0 for a slot of the CPU."""
        return 0

    def ranks(self, spec: Any) -> int:
        """The processes that it is laid out for, with or without GPUs."""
        return max(1, self.devices(spec))

    def devices_at_start(self, spec: Any) -> int:
        """The GPUs that the process itself takes of a Ray cluster; others are asked for later."""
        return self.devices(spec)

    def spread(self, spec: Any, nodes: Sequence[int]) -> Spread:
        """How it lies on the nodes of a cluster, of which each has so many devices.

        Raises ``ValueError`` with a sentence where it cannot.
        """
        needed = self.devices(spec)
        if needed and max(nodes, default=0) < needed:
            shown = ", ".join(map(str, sorted(nodes, reverse=True))) or "none"
            raise ValueError(f"It takes {needed} devices of one node: none has them ({shown}).")
        return Spread(1, needed)

    def reads(self, spec: Any) -> Reads:
        """What it reads."""
        return Reads()

    def placed(self, spec: Any, paths: Mapping[str, str]) -> Any:
        """The spec with the paths that its machine has, by the names that ``reads`` gave."""
        return spec

    def makes(self, spec: Any) -> Sequence[Product]:
        """What it makes. The one place where a job's products are declared."""
        return ()

    def measured(self, product: Product, said: Mapping[str, Mapping[str, Any]]) -> Measured:
        """What the job told of a product, in the data of its last event of each kind."""
        return Measured()

    def read_digests(self, said: Mapping[str, Mapping[str, Any]]) -> Mapping[str, str]:
        """The SHA-256 that the job told of what it read, by the path of each."""
        return {}

    def report(self, spec: Any, said: Mapping[str, Mapping[str, Any]]) -> Report:
        """What it found out so far, from the data of its last event of each kind."""
        return Report()

    def leaves_no_model(self, spec: Any) -> str:
        """Why another job cannot train on from what it makes; empty when it can."""
        if any(product.sort == MODEL for product in self.makes(spec)):
            return ""
        return f"{self.label} makes no model"

    def newest_model(self, files: Iterable[FileFact], read: Read) -> str | None:
        """The newest whole model among the files of the folder that a ``MODEL`` product lies in,
        which is the first part of its path.

        It is a path from there: ``""`` is the folder itself, and None says that there is none.
        """
        return None

    def cannot_save(self, spec: Any) -> str:
        """Why it cannot be asked to save and to pause, as a sentence; empty when it can."""
        return f"{self.label} cannot be paused, nor saved on the way."

    def planned(self, lines: Iterable[str]) -> int | None:
        """How many steps its log says that it will do, if the log is where that is said.

        A job says it best itself, by an event ``planned`` with ``steps``.
        """
        return None

    def is_repeatable(self, spec: Any) -> bool:
        """Whether the same settings make the same bytes out of the same inputs."""
        return False

    def values(self, spec: Any) -> Mapping[str, Any]:
        """Its settings by name."""
        return {}

    def recorded(self, spec: Any) -> Mapping[str, Any]:
        """The configuration that another tool recorded of it, where it ran elsewhere."""
        return {}

    def warnings(self, spec: Any, ranges: Mapping[str, Range]) -> Sequence[FieldWarning]:
        """What is allowed but seldom meant, each at its setting. They refuse nothing.

        ``ranges`` are the usual values that the job's recipe names, by the setting.
        """
        return ()

    def key_metrics(self, spec: Any) -> Sequence[str]:
        """The metrics whose charts stand first on its page, in their order, where it logs them.

        ``val-core/`` stands for the scores that it validates by.
        """
        return ()

    def step_parts(self, spec: Any) -> Sequence[Part]:
        """The times that it logs of its steps' parts, in the order in which a step does them."""
        return ()

    def phases(self, spec: Any) -> Sequence[StartPhase]:
        """What its start consists of, in order, where its run tells when each of them is over."""
        return ()

    def release(self, spec: Any) -> str:
        """The release of verl that runs it; empty where that is its machine's affair."""
        return ""

    def trackers(self, spec: Any) -> Sequence[str]:
        """The trackers that it logs to, whose accounts its process is given."""
        return ()


def ended_early(end: End, unit: str = "step") -> Verdict:
    """The verdict on a process that did not do what it promised."""
    progress = f"{unit} {end.step} of {end.steps}" if end.steps else f"{unit} {end.step}"
    if end.stop_asked:
        return Verdict("stopped", f"Stopped on request at {progress}.")
    if end.exit_code == 0:
        return Verdict("failed", f"Ended without an error, but at {progress}.")
    if end.exit_code > 128:
        return Verdict("failed", f"Killed by signal {end.exit_code - 128} at {progress}.")
    return Verdict("failed", f"Exit code {end.exit_code} at {progress}.")

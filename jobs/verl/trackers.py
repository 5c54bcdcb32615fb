"""Trackers that verl can log to, beside its console and its file, and the variables of each.

verl itself reads ``WANDB_ENTITY``, ``MLFLOW_TRACKING_URI``, ``SWANLAB_API_KEY``, ``SWANLAB_MODE``
and ``TENSORBOARD_DIR`` (``verl/utils/tracking.py``); the tracker's own package reads the others.
Project and run name come from verl's ``trainer.project_name`` and ``trainer.experiment_name``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.verl.knobs import chosen
from jobs.verl.overrides import readable
from jobs.verl.spec import TrainSpec

KNOB = "loggers"
KEY = "trainer.logger"
SHORTEST = 6


@dataclass(frozen=True)
class Variable:
    """An environment variable of a tracker; if it has ``choices``, it takes no other value.

    All values are stored encrypted; a ``secret`` one also gives access to whoever reads it.
    """

    name: str
    label: str
    help: str = ""
    choices: tuple[str, ...] = ()
    secret: bool = False

    def must_hide(self, value: str) -> bool:
        """Whether a log must not show a value: it is a secret, or an address with a password.

        A value of a few letters is shown: hiding it would hide half of the log, and it is no real
        secret.
        """
        return len(value) >= SHORTEST and (self.secret or "@" in value)


@dataclass(frozen=True)
class Tracker:
    """``package`` is the module that the training environment imports.

    ``needed`` names the variable without which the tracker cannot log. It is not needed if
    ``unless`` (a variable and some of its values) says that the data stay on the machine, or if
    ``only_with`` is unset.
    """

    name: str
    label: str
    package: str
    about: str
    variables: tuple[Variable, ...] = ()
    needed: str = ""
    unless: tuple[str, frozenset[str]] = field(default=("", frozenset()))
    only_with: str = ""

    def missing(self, given: Mapping[str, str]) -> str | None:
        """The variable that is needed but not given, or None."""
        variable, values = self.unless
        if not self.needed or self.needed in given or given.get(variable) in values:
            return None
        if self.only_with and self.only_with not in given:
            return None
        return self.needed


ALL = (
    Tracker(
        "wandb", "Weights & Biases", "wandb", "Charts at wandb.ai or on a server of your own.",
        (
            Variable("WANDB_API_KEY", "API key", "From the settings of your account there.",
                     secret=True),
            Variable("WANDB_ENTITY", "Entity", "User or team; empty is your account's default."),
            Variable("WANDB_BASE_URL", "Server", "Only for a server of your own."),
            Variable("WANDB_MODE", "Mode", "Offline keeps the run on the machine, for wandb sync.",
                     ("online", "offline")),
        ),
        "WANDB_API_KEY", ("WANDB_MODE", frozenset({"offline"})),
    ),
    Tracker(
        "tensorboard", "TensorBoard", "tensorboard",
        "Event files in the run directory, under tensorboard. It needs no account.",
    ),
    Tracker(
        "mlflow", "MLflow", "mlflow", "A tracking server, or a file or database that you name.",
        (
            Variable("MLFLOW_TRACKING_URI", "Tracking URI",
                     "Such as https://mlflow.example. Without it verl writes below /tmp."),
            Variable("MLFLOW_TRACKING_USERNAME", "User", "Where the server asks for one."),
            Variable("MLFLOW_TRACKING_PASSWORD", "Password", secret=True),
            Variable("MLFLOW_TRACKING_TOKEN", "Token", "In place of user and password.",
                     secret=True),
        ),
        "MLFLOW_TRACKING_URI",
    ),
    Tracker(
        "swanlab", "SwanLab", "swanlab", "Charts at swanlab.cn or on a server of your own.",
        (
            Variable("SWANLAB_API_KEY", "API key", "From the settings of your account there.",
                     secret=True),
            Variable("SWANLAB_MODE", "Mode", "All but cloud keep the run on the machine.",
                     ("cloud", "local", "offline")),
            Variable("SWANLAB_WORKSPACE", "Workspace", "Empty is your own."),
            Variable("SWANLAB_API_HOST", "API server", "Only for a server of your own."),
            Variable("SWANLAB_WEB_HOST", "Web server", "Only for a server of your own."),
        ),
        "SWANLAB_API_KEY", ("SWANLAB_MODE", frozenset({"local", "offline"})),
    ),
    Tracker(
        "trackio", "Trackio", "trackio",
        "Local by itself; a Hugging Face Space or a server of your own when one is named.",
        (
            Variable("TRACKIO_SPACE_ID", "Space", "Such as user/space. It needs the token."),
            Variable("TRACKIO_DATASET_ID", "Dataset", "Where the Space keeps its data."),
            Variable("TRACKIO_SERVER_URL", "Server", "Only for a server of your own."),
            Variable("HF_TOKEN", "Hugging Face token", "With the right to write.", secret=True),
        ),
        "HF_TOKEN", only_with="TRACKIO_SPACE_ID",
    ),
)  # fmt: skip
TRACKERS: Mapping[str, Tracker] = {tracker.name: tracker for tracker in ALL}


def trackers_of(spec: TrainSpec) -> list[Tracker]:
    """The trackers that a run will log to; a free override of verl's key replaces the knob."""
    names = list(chosen(spec, KNOB))
    for override in readable(spec.overrides):
        if override.key == KEY and isinstance(override.value, list):
            names = [str(name) for name in override.value]
    return [TRACKERS[name] for name in dict.fromkeys(names) if name in TRACKERS]


def asked_by(spec: TrainSpec) -> str:
    """The form field that names the trackers."""
    freely = any(override.key == KEY for override in readable(spec.overrides))
    return "overrides" if freely else KNOB

"""The roles that columns of a source can take, as the mapping form offers them."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

MOST_FIELDS = 500  # columns that an import counts
LONGEST_NAME = 200  # characters of a column's name that it keeps


class Role(NamedTuple):
    """A role that a column can take."""

    name: str
    label: str
    required: bool = False
    constant: str = ""  # an example, where every row may have the same value instead of a column


class Shape(NamedTuple):
    """A common layout of rows: the targets it can become (the likeliest first), and its roles."""

    label: str
    targets: tuple[str, ...]
    roles: tuple[Role, ...]


class Option(NamedTuple):
    """A setting of a mapping; ``choices`` is empty for free text."""

    name: str
    label: str
    help: str
    choices: tuple[str, ...] = ()


SYSTEM = Role("system", "System prompt", constant="Be brief.")
TRUTH = Role("truth", "Ground truth (RL)")
SOURCE = Role("data_source", "Data source (RL)", constant="openai/gsm8k")
ABILITY = Role("ability", "Ability (RL)", constant="math")
EXTRA = Role("extra_info", "Extra info (RL)")
AGENT = Role("agent_name", "Agent loop (RL)", constant="tool_agent")
FOR_RL = (TRUTH, SOURCE, ABILITY, EXTRA, AGENT)
TOOLS = Role("tools", "Tools (SFT)", constant="[]")
THINKING = Role("enable_thinking", "Thinking on or off (SFT)", constant="false")
IMAGES = Role("images", "Images")
VIDEOS = Role("videos", "Videos")
AUDIOS = Role("audios", "Audios (RL)")

SHAPES: Mapping[str, Shape] = {
    "messages": Shape(
        "Conversation of role and content",
        ("sft", "rl"),
        (
            Role("messages", "Conversation", True),
            SYSTEM,
            TOOLS,
            THINKING,
            IMAGES,
            *FOR_RL,
        ),
    ),
    "prompt_response": Shape(
        "Prompt and response",
        ("sft", "rl"),
        (
            Role("prompt", "Prompt (text or turns)", True),
            Role("response", "Response", True),
            SYSTEM,
            TOOLS,
            IMAGES,
            *FOR_RL,
        ),
    ),
    "instruction": Shape(
        "Instruction, input, output (Alpaca)",
        ("sft", "rl"),
        (
            Role("instruction", "Instruction", True),
            Role("input", "Input"),
            Role("output", "Output", True),
            SYSTEM,
            *FOR_RL,
        ),
    ),
    "sharegpt": Shape(
        "Conversation of from and value (ShareGPT)",
        ("sft", "rl"),
        (Role("conversations", "Conversation", True), SYSTEM, TOOLS, IMAGES, *FOR_RL),
    ),
    "preference": Shape(
        "Chosen and rejected",
        ("dpo", "sft"),
        (
            Role("prompt", "Prompt (text or turns)"),
            Role("chosen", "Chosen", True),
            Role("rejected", "Rejected", True),
            SYSTEM,
        ),
    ),
    "question_answer": Shape(
        "Question and answer",
        ("rl", "sft"),
        (
            Role("question", "Question", True),
            Role("answer", "Answer or ground truth", True),
            SYSTEM,
            IMAGES,
            SOURCE,
            ABILITY,
            EXTRA,
            AGENT,
        ),
    ),
    "verl_rl": Shape(
        "verl's own for RL",
        ("rl",),
        (
            Role("prompt", "Prompt", True),
            Role("reward_model", "Reward (style, ground_truth)", True),
            SYSTEM,
            SOURCE,
            ABILITY,
            EXTRA,
            AGENT,
            IMAGES,
            VIDEOS,
            AUDIOS,
        ),
    ),
    "verl_sft": Shape(
        "verl's own for SFT",
        ("sft",),
        (Role("messages", "Conversation", True), TOOLS, THINKING, IMAGES, VIDEOS),
    ),
    "text": Shape("Text without turns", ("sft",), (Role("text", "Text", True),)),
}
NO_SOURCE = (
    "RL needs a data source: by it the trainer chooses the reward. Choose its column, or write the "
    "same for every row, such as =openai/gsm8k."
)
ROLES = {name: shape.roles for name, shape in SHAPES.items()}

OPTIONS: Mapping[str, Option] = {
    option.name: option
    for option in (
        Option("system", "System prompt where a row has none", "Put first in such a row."),
        Option("suffix", "Added to each prompt", "Such as how the answer must be written."),
        Option(
            "data_source",
            "Data source where a row has none",
            "By it verl chooses the scorer: openai/gsm8k.",
        ),
        Option(
            "ability", "Ability where a row has none", "A label that verl keeps with the row: math."
        ),
        Option("style", "Reward style", "By a rule or by a model.", ("rule", "model")),
        Option(
            "extract",
            "Ground truth is",
            "auto: what follows ####, else what is in \\boxed{}, else the whole answer.",
            ("auto", "whole", "after_hashes", "boxed"),
        ),
        Option("keep", "Columns to keep", "Names by commas; they go into extra_info."),
    )
}


@dataclass(frozen=True)
class ColumnMapping:
    """The role of each column, for one target. A dotted column name leads into objects.

    What begins with ``=`` is no column but the value that every row has: ``=openai/gsm8k``.
    """

    target: str
    shape: str
    columns: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ColumnMapping":
        return cls(**data)

    def problems(self) -> list[str]:
        """Reasons why this mapping cannot be used, as sentences."""
        if self.shape not in SHAPES:
            return [f"There is no shape {self.shape!r}; it is one of {', '.join(SHAPES)}."]
        targets = SHAPES[self.shape].targets
        if self.target not in targets:
            return [f"Rows of the shape {self.shape} can become {' or '.join(targets)}."]
        return [*self._role_problems(), *self._option_problems()]

    def _role_problems(self) -> list[str]:
        roles = {role.name: role for role in ROLES[self.shape]}
        missing = [r.label for r in roles.values() if r.required and not self.columns.get(r.name)]
        unknown = [name for name in self.columns if name not in roles]
        found = [f"Choose the column for: {', '.join(missing)}."] if missing else []
        found += [
            f"{role.label} takes a column, and not the same for every row."
            for role in roles.values()
            if constant_of(self.columns.get(role.name, "")) is not None and not role.constant
        ]
        empty = [r.label for r in roles.values() if constant_of(self.columns.get(r.name, "")) == ""]
        found += [f"{label}: write the value of every row after the =." for label in empty]
        if unknown:
            found.append(f"The shape {self.shape} has no place for: {', '.join(unknown)}.")
        return found

    def _option_problems(self) -> list[str]:
        found = [f"There is no option {name}." for name in self.options if name not in OPTIONS]
        for name, value in self.options.items():
            choices = OPTIONS[name].choices if name in OPTIONS else ()
            if value and choices and value not in choices:
                found.append(f"{OPTIONS[name].label} is one of {', '.join(choices)}.")
        source = self.options.get("data_source") or self.columns.get("data_source")
        if self.target == "rl" and not source:
            found.append(NO_SOURCE)
        reserved = {"index", "line", "split"} & set(kept_columns(self))
        if reserved:
            found.append(f"extra_info has a field {', '.join(sorted(reserved))} of its own.")
        return found


def constant_of(column: str) -> str | None:
    """The value that every row has, where a role is given one in place of a column."""
    return column[1:].strip() if column.startswith("=") else None


def unknown_columns(mapping: ColumnMapping, known: Collection[str]) -> dict[str, str]:
    """By role, a sentence on a column that no row has. ``known`` are the names that rows have."""
    roles = {role.name: role for role in ROLES[mapping.shape]}
    found = {
        name: f"There is no column {column}. {_instead(roles[name], column, known)}"
        for name, column in mapping.columns.items()
        if name in roles and is_unknown(column, known)
    }
    if gone := [name for name in kept_columns(mapping) if is_unknown(name, known)]:
        found["keep"] = f"There is no column {', '.join(gone)}."
    return found


def is_unknown(column: str, known: Collection[str]) -> bool:
    """Whether no row has a column. Of very many columns not all are known."""
    if not column or constant_of(column) is not None:
        return False
    if len(known) >= MOST_FIELDS or len(column) > LONGEST_NAME:
        return False
    return column not in known and column.split(".", maxsplit=1)[0] not in known


def _instead(role: Role, column: str, known: Collection[str]) -> str:
    if role.constant:
        return f"For the same in every row, write ={column}"
    shown = sorted(known)
    more = f" and {len(shown) - 12} more" if len(shown) > 12 else ""
    return f"The rows have: {', '.join(shown[:12])}{more}."


def kept_columns(mapping: ColumnMapping) -> list[str]:
    """The columns that are copied into extra_info unchanged."""
    return list(
        dict.fromkeys(n.strip() for n in mapping.options.get("keep", "").split(",") if n.strip())
    )

"""Try reward functions before a run, with the training Python, in separate processes."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from platform_site.bounded.environment import passed_on

MARGIN = 20.0  # seconds to start, and to end the remaining processes
AT_ONCE = threading.BoundedSemaphore(2)


class TrialError(Exception):
    """The trial itself failed; the message says why and gives advice."""


@dataclass(frozen=True)
class Subject:
    """The function to try: in a file or, without a path, verl's scorers by data source."""

    path: str = ""
    name: str = "compute_score"
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def argv(self) -> list[str]:
        if not self.path:
            return ["--builtin"]
        return ["--path", self.path, "--name", self.name, "--kwargs", json.dumps(self.kwargs)]


@dataclass(frozen=True)
class Limits:
    """Seconds for one answer, for loading the file and for the whole trial; MiB of memory."""

    call: float = 10.0
    load: float = 60.0
    total: float = 90.0
    memory_mb: int = 4096

    @property
    def argv(self) -> list[str]:
        seconds = {"call": self.call, "load": self.load, "total": self.total}
        limits = [f"--{name}-seconds={value}" for name, value in seconds.items()]
        return [*limits, f"--memory-mb={self.memory_mb}"]


@dataclass(frozen=True)
class Case:
    """One answer to score. Answers to the same prompt have the same ``group``."""

    group: int
    question: str
    answer: str
    ground_truth: Any = None
    data_source: str = ""
    extra_info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> dict[str, Any]:
        return {
            "data_source": self.data_source,
            "solution_str": self.answer,
            "ground_truth": self.ground_truth,
            "extra_info": dict(self.extra_info),
        }


@dataclass(frozen=True)
class Scored:
    """The result of one case: a score with its parts, or a problem."""

    case: Case
    score: float | None
    parts: Mapping[str, Any]
    seconds: float | None
    kind: str = ""
    problem: str = ""
    traceback: str = ""
    output: str = ""

    @property
    def milliseconds(self) -> float | None:
        return None if self.seconds is None else self.seconds * 1000


@dataclass(frozen=True)
class Trial:
    """``problem``, ``kind`` and ``traceback`` say why the function could not be loaded, else are
    empty.
    """

    scored: tuple[Scored, ...]
    seconds: float
    problem: str = ""
    kind: str = ""
    traceback: str = ""
    signature_problem: str = ""
    output: str = ""

    @property
    def groups(self) -> list[list[Scored]]:
        found: dict[int, list[Scored]] = {}
        for answer in self.scored:
            found.setdefault(answer.case.group, []).append(answer)
        return list(found.values())

    @property
    def compared(self) -> int:
        """The number of prompts with several answers that were all scored."""
        return sum(_is_compared(group) for group in self.groups)

    @property
    def flat(self) -> int:
        """The number of those prompts whose answers all score the same: they teach GRPO nothing."""
        groups = [group for group in self.groups if _is_compared(group)]
        return sum(len({answer.score for answer in group}) == 1 for group in groups)

    @property
    def failed(self) -> int:
        return sum(answer.score is None for answer in self.scored)

    @property
    def mean(self) -> float | None:
        scores = [answer.score for answer in self.scored if answer.score is not None]
        return sum(scores) / len(scores) if scores else None


def _is_compared(group: Sequence[Scored]) -> bool:
    return len(group) > 1 and all(answer.score is not None for answer in group)


def try_reward(subject: Subject, cases: Sequence[Case], limits: Limits | None = None) -> Trial:
    """Score the cases, even if the function fails. Raises TrialError."""
    limits = limits or Limits()
    if not AT_ONCE.acquire(timeout=MARGIN):
        raise TrialError("Other trials are running. Try again when they are through.")
    try:
        document = _run(subject, cases, limits)
    finally:
        AT_ONCE.release()
    return read_trial(document, cases)


def read_trial(document: Mapping[str, Any], cases: Sequence[Case]) -> Trial:
    """The trial in the node's document about these cases."""
    load = document["load"]
    return Trial(
        scored=tuple(_scored(row, case) for row, case in zip(document["rows"], cases, strict=True)),
        seconds=document["seconds"],
        problem=load.get("problem", ""),
        kind=load.get("kind", ""),
        traceback="\n".join(load.get("traceback", [])),
        signature_problem=load.get("signature_problem", ""),
        output=load.get("output", ""),
    )


def _scored(row: Mapping[str, Any], case: Case) -> Scored:
    problem = row.get("problem") or {}
    return Scored(
        case,
        row["score"],
        row.get("parts", {}),
        row.get("seconds"),
        problem.get("kind", ""),
        problem.get("message", ""),
        "\n".join(problem.get("traceback", [])),
        row.get("output", ""),
    )


def _run(subject: Subject, cases: Sequence[Case], limits: Limits) -> dict[str, Any]:
    argv = [str(settings.TRAINYARD_TRAIN_PYTHON), "-m", "trainyard_node.rewards.trial"]
    lines = "".join(json.dumps(case.row, default=str) + "\n" for case in cases)
    try:
        process = subprocess.Popen(
            [*argv, *subject.argv, *limits.argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # The site's folder would hide Hugging Face's `datasets` by its own.
            cwd="/",
            # The function is the user's: it gets none of the site's settings and keys.
            env=passed_on(),
            start_new_session=True,
        )
    except OSError as error:
        raise TrialError(
            f"The training Python {settings.TRAINYARD_TRAIN_PYTHON} cannot be started "
            f"({error.strerror}): see TRAINYARD_TRAIN_PYTHON."
        ) from error
    return _document(process, lines, limits.total + MARGIN)


def _document(process: "subprocess.Popen[str]", lines: str, within: float) -> dict[str, Any]:
    with process:
        try:
            out, errors = process.communicate(lines, timeout=within)
        except subprocess.TimeoutExpired:
            _end(process)
            raise TrialError(f"The trial did not end within {within:g} s.") from None
    try:
        document: dict[str, Any] = json.loads(out)
    except ValueError as error:
        said = errors.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        raise TrialError(f"The trial gave no answer: {said[0]}") from error
    return document


def _end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)  # it ends the function's process first
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()


def cases_of(row: Mapping[str, Any], group: int, answers: Sequence[str]) -> Iterator[Case]:
    """A case for each answer to one row of RL data."""
    turns = row.get("prompt") or []
    question = str(turns[-1].get("content") or "") if turns else ""
    for answer in answers:
        yield Case(
            group,
            question,
            answer,
            (row.get("reward_model") or {}).get("ground_truth"),
            str(row.get("data_source") or ""),
            row.get("extra_info") or {},
        )


def truth_of(row: Mapping[str, Any]) -> str:
    """The ground truth as the text of an answer."""
    truth = (row.get("reward_model") or {}).get("ground_truth")
    return truth if isinstance(truth, str) else json.dumps(truth, default=str)

"""How long answers get, as runs that have ended measured it: only a run can tell."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from compute.sizing.question import Lengths
from jobs import measured
from jobs.fit.data import Data
from jobs.fit.sources import NotKnown, facts_of
from jobs.models import Job
from jobs.verl.algorithms import has_answers
from jobs.verl.phases import ANSWER, CUT, PROMPT
from jobs.verl.question import QuestionError, max_answer_of
from jobs.verl.spec import TrainSpec

NEWEST = 3  # those of them that are asked what they measured
FEW = 0.05  # a share of answers that may have been cut at their longest


@dataclass(frozen=True)
class Run:
    """What a run measured in the mean, in tokens. ``longest`` is what it let an answer have, of
    which the share ``cut`` had not enough: all of them, where that was not measured."""

    prompt: float
    answer: float
    longest: int
    cut: float

    def tells_of(self, longest: int) -> bool:
        """Whether answers that may have ``longest`` tokens would be as long."""
        return self.longest >= longest or self.cut <= FEW

    @property
    def words(self) -> str:
        """Without its number: whoever reads them may not see the run."""
        return f"Answers of an earlier run on this data: {self.answer:,.0f} tokens on average."


def runs_of(spec: TrainSpec, family: str, data: Data) -> Sequence[Run]:
    """Runs of the same algorithm on the same data set, the newest first: those of the same model,
    then those of its family on GPUs, since small samples on the CPU tell nothing of others."""
    if not has_answers(spec.kind):
        return ()
    ended = [job for job in data.ended(spec) if _is_of(job, spec, family)]
    ended.sort(key=lambda job: not _is_own(job, spec))
    told = [job for job in ended if data.measured_answers(job)][:NEWEST]
    return [run for run in map(_run, told) if run]


def with_answers(known: Lengths | None, spec: TrainSpec, runs: Collection[Run]) -> Lengths | None:
    """The lengths that are known of the data, with the answers of the first run that tells."""
    for run in runs:
        if run.tells_of(max_answer_of(spec)):
            prompt = known.prompt if known else run.prompt
            return Lengths(prompt, 0, run.answer, 0, "runs", run.words)
    return known


def _is_of(job: Job, spec: TrainSpec, family: str) -> bool:
    """Whether a job trained the same model, or on GPUs one of the family as far as that is known
    here."""
    if _is_own(job, spec):
        return True
    try:
        return job.gpus > 0 and facts_of(_path(job.spec_of_kind)).model_type == family
    except NotKnown:
        return False


def _is_own(job: Job, spec: TrainSpec) -> bool:
    path = _path(spec)
    return bool(path) and _path(job.spec_of_kind) == path


def _path(spec: TrainSpec) -> str:
    return str(spec.values.get("model_path") or "")


def _run(job: Job) -> Run | None:
    usual = measured.steady(job.pk, (PROMPT, ANSWER, CUT))
    prompt, answer = usual.get(PROMPT, 0), usual.get(ANSWER, 0)
    if not (prompt > 0 and answer > 0):
        return None
    try:
        longest = max_answer_of(job.spec_of_kind)
    except QuestionError:
        return None
    return Run(prompt, answer, longest, usual.get(CUT, 1))

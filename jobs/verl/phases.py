"""Which metrics of a run tell what the estimate speaks of: its peak, its phases, its lengths."""

from collections.abc import Mapping
from dataclasses import replace

from compute.sizing import answer
from compute.sizing.learning import Measured
from compute.sizing.question import Lengths, Question
from jobs.verl.algorithms import is_rl

GIB = 1 << 30
# The highest ``max_memory_allocated`` of the training process, in GiB. verl's RL trainers put the
# role before it (``rename_dict`` in ray_trainer.py); its SFT trainer and the DPO trainer do not.
PEAKS = (
    "actor/perf/max_memory_allocated_gb",
    "critic/perf/max_memory_allocated_gb",
    "perf/max_memory_allocated_gb",
)
# Seconds of each phase of a step, as ``marked_timer`` in ray_trainer.py names them.
PHASES: Mapping[str, str] = {
    answer.ROLLOUT: "timing_s/gen",
    answer.LOG_PROB: "timing_s/old_log_prob",
    answer.REF: "timing_s/ref",
    answer.VALUES: "timing_s/values",
    answer.UPDATE: "timing_s/update_actor",
    answer.CRITIC: "timing_s/update_critic",
    answer.SYNC: "timing_s/update_weights",
    answer.SAVE: "timing_s/save_checkpoint",
}
STEP = "timing_s/step"  # seconds; SFT has none, its steps are timed by when they were written
PROMPT, ANSWER = "prompt_length/mean", "response_length/mean"  # tokens
CUT = "response_length/clip_ratio"  # the share of answers that were cut at the longest
TOKENS = "train/global_tokens"  # of all rows of a step of SFT
METRICS = (*PHASES.values(), STEP, PROMPT, ANSWER, TOKENS)


def measured_of(
    question: Question,
    usual: Mapping[str, float],
    highest: Mapping[str, float],
    pace: float | None,
) -> Measured:
    """What a run of a question measured.

    ``usual`` are the usual values of its ``METRICS``, ``highest`` the greatest of its ``PEAKS``,
    ``pace`` the usual seconds from one step to the next. A save counts as the estimate counts it:
    spread over the steps between two of them.
    """
    peak = max(highest.values(), default=0.0) * GIB
    phases = {phase: usual[name] for phase, name in PHASES.items() if _is_told(usual, name)}
    if not is_rl(question.algorithm):
        phases = {}  # one process does all of a step, and only the whole is timed
    elif question.saving.every > 0 and answer.SAVE in phases:
        phases[answer.SAVE] /= question.saving.every
    else:
        phases.pop(answer.SAVE, None)
    seconds = usual[STEP] if _is_told(usual, STEP) else None
    if question.algorithm == "sft":
        seconds = pace if pace and pace > 0 else None
    return Measured(peak if peak > 0 else None, phases, seconds)


def with_lengths(question: Question, usual: Mapping[str, float]) -> Lengths:
    """The lengths of a question, with the means that its run measured."""
    told = question.lengths
    if is_rl(question.algorithm) and _is_told(usual, PROMPT) and _is_told(usual, ANSWER):
        return replace(told, prompt=usual[PROMPT], answer=usual[ANSWER], source="runs", told="")
    if question.algorithm == "sft" and _is_told(usual, TOKENS):
        return replace(told, prompt=usual[TOKENS] / question.rows, source="runs")
    return told


def _is_told(usual: Mapping[str, float], name: str) -> bool:
    return usual.get(name, 0.0) > 0

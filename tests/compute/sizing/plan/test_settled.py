"""A plan changes no setting without a difference that shows, and says what the change does."""

import pytest

from compute.sizing.plan.reasons import LITTLE, can_have, reasons, verdict
from compute.sizing.plan.search import GOALS, Goal, judged, search
from compute.sizing.plan.settings import chosen, settings_of
from compute.sizing.plan.settled import settled
from compute.sizing.plan.shapes import with_rollout, with_tokens, with_trained
from compute.sizing.question import Question
from tests.compute.sizing.plan.questions import grpo, sft

STARTS = {
    "as it is": grpo(),
    "offloaded": with_trained(grpo(), param_offload=True, optimizer_offload=True),
    "another engine": with_rollout(grpo(), tensor_parallel=4, memory_share=0.5),
    "odd tokens": with_tokens(grpo(), 10_240),
    "sft": with_tokens(sft(), 5_000),
}


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("start", list(STARTS.values()), ids=list(STARTS))
def test_what_decides_nothing_stays(start: Question, goal: Goal) -> None:
    best = search([start], goal).best
    assert best

    kept = settled(best, start)

    assert kept.fits
    assert kept.seconds <= best.seconds * (1 + LITTLE)
    assert kept.memory.band[1] <= best.memory.band[1] * (1 + LITTLE)
    changed = [one for one in settings_of(start) if one.read(kept.question) != one.read(start)]
    assert {one.name for one in changed} <= _changed(best.question, start)
    told = {reason.setting: reason.other for reason in reasons(kept, start)}
    for setting in changed:
        if can_have(setting, kept.question, setting.read(start)):
            back = judged(setting.put(kept.question, setting.read(start)))
            assert verdict(best, back) not in ("no difference", "faster"), setting.name
            assert told[setting.name] == setting.read(start), "the reason is against what was"


def test_a_setting_without_a_difference_is_as_the_job_has_it() -> None:
    start = with_rollout(with_tokens(grpo(), 10_240), most_sequences=512)
    best = search([start], "fastest").best
    assert best
    assert chosen(best.question)["max_num_seqs"] != 512

    kept = chosen(settled(best, start).question)

    assert kept["max_num_seqs"] == 512


def _changed(question: Question, start: Question) -> set[str]:
    before = chosen(start)
    return {name for name, value in chosen(question).items() if value != before[name]}

"""Training by verl, as a kind of job."""

import pytest

from jobs.kinds.base import End, Verdict
from jobs.kinds.registry import kind_of
from tests.factories import grpo_spec, sft_spec, spec_of


def judged(end: End) -> Verdict:
    spec = sft_spec()
    return kind_of(spec).judge(spec, end)


@pytest.mark.parametrize(
    ("exit_code", "step", "steps", "stop_asked", "verdict"),
    [
        (0, 64, 64, False, Verdict("completed", "All 64 steps done.")),
        (0, 65, 64, False, Verdict("completed", "All 64 steps done.")),
        (0, 64, 64, True, Verdict("completed", "All 64 steps done.")),
        (0, 63, 64, False, Verdict("failed", "Ended without an error, but at step 63 of 64.")),
        (0, 0, 64, False, Verdict("failed", "Ended without an error, but at step 0 of 64.")),
        (
            0,
            5,
            None,
            False,
            Verdict("failed", "Ended without an error at step 5, but promised no steps."),
        ),
        (143, 10, 64, True, Verdict("stopped", "Stopped on request at step 10 of 64.")),
        (0, 10, 64, True, Verdict("stopped", "Stopped on request at step 10 of 64.")),
        (1, 64, 64, True, Verdict("stopped", "Stopped on request at step 64 of 64.")),
        (137, 10, 64, False, Verdict("failed", "Killed by signal 9 at step 10 of 64.")),
    ],
)
def test_verdict(
    exit_code: int, step: int, steps: int | None, stop_asked: bool, verdict: Verdict
) -> None:
    assert judged(End(exit_code, step, steps, stop_asked)) == verdict


@pytest.mark.parametrize(
    ("exit_code", "paused_at", "then_stop", "status", "reason"),
    [
        (0, 20, False, "paused", "Paused after step 20, whose checkpoint is saved."),
        (0, 20, True, "stopped", "Stopped after step 20, whose checkpoint is saved."),
        (1, 20, False, "failed", "Exit code 1 at step 20 of 64."),
        (0, None, False, "failed", "Ended without an error, but at step 20 of 64."),
    ],
)
def test_a_pause_is_one_only_where_the_run_says_so_and_ends_well(
    exit_code: int, paused_at: int | None, then_stop: bool, status: str, reason: str
) -> None:
    said = {} if paused_at is None else {"paused": {"step": paused_at}}
    end = End(exit_code, 20, 64, then_stop=then_stop, said=said)
    assert judged(end) == Verdict(status, reason)


def test_the_last_step_is_completed_even_when_a_pause_was_asked() -> None:
    end = End(0, 64, 64, said={"paused": {"step": 64}})
    assert judged(end).status == "completed"


def test_an_exit_code_is_named() -> None:
    verdict = judged(End(1, 64, 64))
    assert verdict.status == "failed"
    assert verdict.reason.startswith("Exit code 1 at step 64 of 64.")


def test_key_metrics_are_what_an_algorithm_logs() -> None:
    def of(kind: str) -> list[str]:
        spec = spec_of(kind)
        return list(kind_of(spec).key_metrics(spec))

    assert of("sft") == ["train/loss", "val/loss", "train/grad_norm"]
    assert of("dpo")[2:5] == [
        "train/rewards/accuracy",
        "train/rewards/margin",
        "val/rewards/accuracy",
    ]
    assert {"critic/score/mean", "critic/vf_loss", "perf/throughput"} <= set(of("ppo"))
    # An override gives these a critic too.
    assert of("ppo") == of("grpo") == of("gspo")
    assert not set(of("ppo")) & set(of("sft"))


def test_only_torchrun_takes_devices_at_its_start() -> None:
    specs = [sft_spec(device="cuda", gpus=4), sft_spec(gpus=4), grpo_spec(device="cuda", gpus=4)]
    assert [kind_of(spec).devices_at_start(spec) for spec in specs] == [4, 0, 0]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"total": 7}, "All 16 steps done, but 7 answers failed and were not trained on."),
        ({"total": "7"}, "All 16 steps done."),
        ({"total": True}, "All 16 steps done."),
        ({}, "All 16 steps done."),
    ],
)
def test_answers_that_failed_are_part_of_the_verdict(said: dict[str, object], words: str) -> None:
    verdict = judged(End(0, 16, 16, said={"answers_lost": said}))
    assert verdict == Verdict("completed", words)


def test_what_was_cut_is_part_of_it_too() -> None:
    said = {"answers_lost": {"total": 7}, "answers_cut": {"total": 9}}
    assert judged(End(0, 16, 16, said=said)).reason == (
        "All 16 steps done, but 7 answers failed and were not trained on and 9 answers were cut at "
        "their longest."
    )
    verdict = judged(End(0, 16, 16, said={"rows_cut": {"total": 3}}))
    assert verdict.reason == "All 16 steps done, but 3 rows were cut at their longest."

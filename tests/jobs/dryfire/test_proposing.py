"""What is proposed from the peaks of a fake card."""

from typing import Any

import pytest

from compute.sizing import answer
from jobs.dryfire import proposing
from jobs.dryfire.proposing import Found, found_in
from jobs.dryfire.services import question_at_most
from jobs.models import Job
from jobs.rehearsal.report import report_of
from jobs.verl.planned import LOG_PROB_TOKENS
from jobs.verl.proposing import FULL
from tests.jobs.dryfire.conftest import GIB, LIMIT, Make, dry_fired

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]
LOW = {"update": 20 * GIB, "log_prob": 15 * GIB, "rollout": 60 * GIB}


def found(run: Job) -> Found:
    told = found_in(run, report_of(run))
    assert told
    return told


def rows(run: Job) -> dict[str, tuple[str, str]]:
    proposal = found(run).proposal
    assert proposal, found(run).why
    return {row.name: (row.now, row.planned) for row in proposal.rows}


def test_a_card_that_is_not_filled_gets_larger_micro_batches(job_on_fakes: Make) -> None:
    run = dry_fired(job_on_fakes(), LOW)
    now, proposed = rows(run)["micro_batch_size"]
    assert now == "4"
    assert int(proposed) > 4
    told = found(run)
    assert told.proposal
    for row in told.phases:
        assert row.expected is not None
        assert row.expected <= FULL * LIMIT
    assert told.proposal.expected["update"] > LOW["update"]


def test_a_card_that_is_too_full_gets_smaller_ones(job_on_fakes: Make) -> None:
    full = {"update": 78 * GIB, "log_prob": 78 * GIB}
    run = dry_fired(job_on_fakes(micro_batch_size=8, log_prob_micro_batch_size=8), full)
    found_rows = rows(run)
    assert int(found_rows["micro_batch_size"][1]) < 8
    assert int(found_rows["log_prob_micro_batch_size"][1]) < 8
    assert "gpu_memory" not in found_rows  # the rollout was not measured


def test_a_phase_that_ran_out_needs_more_than_the_card_has(job_on_fakes: Make) -> None:
    run = dry_fired(job_on_fakes(micro_batch_size=8), {"update": 70 * GIB}, failed="update")
    proposal = found(run).proposal
    assert proposal
    (row,) = proposal.rows
    assert int(row.planned) < 8
    assert row.why.startswith("Memory ran out in update.")


def test_a_phase_that_broke_off_for_another_reason_gives_no_figure(job_on_fakes: Make) -> None:
    job = job_on_fakes(micro_batch_size=8)
    run = dry_fired(job, {"update": 70 * GIB}, failed="update", ran_out=False)
    told = found(run)
    assert (told.proposal, told.why) == (None, proposing.BROKE_OFF)
    peaks = {"update": 70 * GIB, "log_prob": 15 * GIB}
    run = dry_fired(job, peaks, failed="update", ran_out=False)
    assert rows(run).keys() == {"log_prob_micro_batch_size"}
    assert "ran out" not in str(proposing.as_json(found(run), report_of(run))["proposal"])


def test_where_nothing_fits_it_says_so(job_on_fakes: Make) -> None:
    run = dry_fired(job_on_fakes(micro_batch_size=1), {"update": 78 * GIB}, failed="update")
    told = found(run)
    assert told.proposal
    assert not told.proposal.fits
    assert told.why == "No micro batch or share was found that fits: see the table."
    assert "that is too much" in told.proposal.rows[0].why


def test_where_no_setting_has_a_figure_it_says_so(job_on_fakes: Make) -> None:
    told = found(dry_fired(job_on_fakes(), {"save": 20 * GIB}))
    assert told.proposal
    assert told.proposal.rows == ()
    assert told.why == "None of its settings could be judged."


def test_a_card_that_is_filled_well_is_left_as_it_is(job_on_fakes: Make) -> None:
    first = dry_fired(job_on_fakes(), {"update": 20 * GIB})
    best = int(rows(first)["micro_batch_size"][1])
    proposal = found(first).proposal
    assert proposal
    again = dry_fired(job_on_fakes(micro_batch_size=best), {"update": proposal.expected["update"]})
    assert found(again).why == "The settings fill the card well already. Nothing else is proposed."


@pytest.mark.parametrize("card", [0, 2**63 - 1])
@pytest.mark.parametrize("limit", [1, 2**63 - 1])
def test_figures_that_no_card_has_break_nothing(job_on_fakes: Make, card: int, limit: int) -> None:
    run = dry_fired(job_on_fakes(), {"update": card, "rollout": card}, limit=limit)
    assert found(run).why or found(run).proposal


def test_what_the_measurement_is_off_by_moves_what_is_proposed(job_on_fakes: Make) -> None:
    job = job_on_fakes(micro_batch_size=2)
    low = int(rows(dry_fired(job, {"update": 12 * GIB}))["micro_batch_size"][1])
    high = int(rows(dry_fired(job, {"update": 40 * GIB}))["micro_batch_size"][1])
    assert low > high


def test_the_share_grows_only_until_all_answers_have_room(job_on_fakes: Make) -> None:
    job = job_on_fakes(gpu_memory=0.9)
    assert rows(dry_fired(job, {"rollout": 74 * GIB}))["gpu_memory"] == ("0.9", "0.2")


def test_a_share_that_takes_too_much_is_cut(job_on_fakes: Make) -> None:
    large = {"max_num_seqs": 1024, "max_response_length": 16384}
    job = job_on_fakes(gpu_memory=0.8, train_batch_size=8192, mini_batch_size=8192, **large)
    run = dry_fired(job, {"rollout": 78 * GIB})
    now, proposed = rows(run)["gpu_memory"]
    assert (now, proposed) == ("0.8", "0.7")
    proposal = found(run).proposal
    assert proposal
    assert proposal.expected["rollout"] == 78 * GIB - round(0.1 * LIMIT)


def test_budgets_of_tokens(job_on_fakes: Make) -> None:
    job = job_on_fakes(dynamic_batch=True, max_tokens_per_gpu=4096, remove_padding=True)
    run = dry_fired(job, {"update": 12 * GIB, "log_prob": 40 * GIB})
    found_rows = rows(run)
    tokens = int(found_rows["max_tokens_per_gpu"][1].replace(",", ""))
    assert tokens > 4096
    proposal = found(run).proposal
    assert proposal
    assert proposal.spec.values["max_tokens_per_gpu"] == tokens
    passes = int(found_rows["log_prob_tokens"][1].replace(",", ""))
    assert set(proposal.spec.overrides) == {f"{key}={passes}" for key in LOG_PROB_TOKENS}


def test_the_critic_of_ppo_has_a_micro_batch_of_its_own(job_on_fakes: Make) -> None:
    job = job_on_fakes("ppo", micro_batch_size=4)
    run = dry_fired(job, {"update": 12 * GIB, "critic": 70 * GIB, "values": 60 * GIB})
    found_rows = rows(run)
    assert int(found_rows["micro_batch_size"][1]) > 4
    now, proposed = found_rows["critic_micro_batch_size"]
    assert now == "4"
    assert int(proposed) < 8
    told = found(run).proposal
    assert told
    assert told.spec.values["critic_micro_batch_size"] == int(proposed)
    assert all(told.expected[phase] <= FULL * LIMIT for phase in ("critic", "values"))


def test_a_critic_that_was_not_measured_keeps_its_micro_batch(job_on_fakes: Make) -> None:
    run = dry_fired(job_on_fakes("ppo", micro_batch_size=4), {"update": 12 * GIB})
    assert int(rows(run)["micro_batch_size"][1]) > 4
    assert rows(run)["critic_micro_batch_size"] == ("4", "4")
    told = found(run).proposal
    assert told
    assert told.spec.values["critic_micro_batch_size"] == 4


def test_the_critic_of_ppo_has_a_budget_of_tokens_of_its_own(job_on_fakes: Make) -> None:
    by_tokens = {"dynamic_batch": True, "max_tokens_per_gpu": 32768, "remove_padding": True}
    job = job_on_fakes("ppo", **by_tokens)
    peaks = {"update": 12 * GIB, "critic": 74 * GIB, "values": 60 * GIB}
    run = dry_fired(job, peaks)
    found_rows = {
        name: [int(text.replace(",", "")) for text in row] for name, row in rows(run).items()
    }
    assert found_rows["max_tokens_per_gpu"] == [32768, 65536]
    assert found_rows["critic_tokens"][0] == 32768
    assert found_rows["critic_tokens"][1] < 32768
    assert found_rows["log_prob_tokens"] == [32768, 32768]  # it was not measured
    told = found(run).proposal
    assert told
    budget = found_rows["critic_tokens"][1]
    assert f"critic.ppo_infer_max_token_len_per_gpu={budget}" in told.spec.overrides
    assert all(told.expected[phase] <= FULL * LIMIT for phase in ("critic", "values"))


def test_an_override_of_a_setting_makes_way_for_what_is_proposed(job_on_fakes: Make) -> None:
    key = "critic.fsdp.micro_batch_size_per_gpu"
    job = job_on_fakes("ppo", f"{key}=2", "trainer.balance_batch=true", micro_batch_size=4)
    run = dry_fired(job, {"critic": 12 * GIB, "values": 12 * GIB})
    now, proposed = rows(run)["critic_micro_batch_size"]
    assert int(proposed) > int(now)
    told = found(run).proposal
    assert told
    assert told.spec.overrides == ("trainer.balance_batch=true",)


def test_an_override_of_a_whole_node_leaves_nothing_to_propose(job_on_fakes: Make) -> None:
    job = job_on_fakes("grpo", "actor_rollout_ref.actor={ppo_micro_batch_size_per_gpu: 2}")
    assert rows(dry_fired(job, {"update": 12 * GIB})) == {"micro_batch_size": ("2", "2")}


def test_sft_has_its_micro_batch_alone(job_on_fakes: Make) -> None:
    run = dry_fired(job_on_fakes("sft"), {"update": 20 * GIB, "validation": 12 * GIB})
    assert rows(run).keys() == {"micro_batch_size"}


def test_nothing_but_its_own_settings_is_changed(job_on_fakes: Make) -> None:
    job = job_on_fakes("grpo", "trainer.balance_batch=true")
    run = dry_fired(job, LOW)
    proposal = found(run).proposal
    assert proposal
    before = job.spec_of_kind
    changed = {k for k, v in proposal.spec.values.items() if before.values.get(k) != v}
    assert changed <= {"micro_batch_size", "log_prob_micro_batch_size", "gpu_memory"}
    assert proposal.spec.overrides == before.overrides


@pytest.mark.parametrize("more", [{}, {"limit": None}])
def test_without_figures_there_is_no_proposal(job_on_fakes: Make, more: dict[str, Any]) -> None:
    peaks = {"update": 20 * GIB if more else None}
    told = found(dry_fired(job_on_fakes(), peaks, **more))
    assert told.proposal is None
    assert told.why == proposing.NO_FIGURES


def test_a_phase_without_a_figure_is_left_as_it_is(job_on_fakes: Make) -> None:
    run = dry_fired(job_on_fakes(), {"update": 20 * GIB, "log_prob": None})
    assert rows(run).keys() == {"micro_batch_size"}


def test_the_question_has_rows_as_long_as_those_that_ran(job_on_fakes: Make) -> None:
    job = job_on_fakes()
    asked = question_at_most(job.spec_of_kind, job.machine, 100)
    assert (asked.lengths.longest_prompt, asked.lengths.longest_answer) == (100, 1024)
    assert asked.lengths.prompt == 100
    longer = question_at_most(job.spec_of_kind, job.machine, 4000)
    assert longer.lengths.longest_prompt == 512  # the job's own limit


def test_a_card_that_nobody_knows_gives_no_proposal(job_on_fakes: Make) -> None:
    run = dry_fired(job_on_fakes(), LOW)
    run.machine.samples.all().delete()
    told = found(run)
    assert told.proposal is None
    assert "no estimate to go by" in told.why
    assert [row.phase.card for row in told.phases] == [*LOW.values()]


def test_its_phases_are_those_of_the_estimate(job_on_fakes: Make) -> None:
    run = dry_fired(job_on_fakes(), dict.fromkeys((answer.UPDATE, answer.ROLLOUT), 20 * GIB))
    assert all(row.estimated for row in found(run).phases)


def test_a_proposal_that_fails_leaves_the_report(
    job_on_fakes: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a formula that nobody tried so")

    monkeypatch.setattr(proposing, "propose", broken)
    told = found(dry_fired(job_on_fakes(), LOW))
    assert told.proposal is None
    assert told.why.endswith("The estimate failed. The log says why.")
    assert [row.phase.card for row in told.phases] == [*LOW.values()]
    assert "a formula that nobody tried so" in caplog.text

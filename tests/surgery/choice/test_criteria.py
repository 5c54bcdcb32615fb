import pytest

from jobs.verl.better import is_higher_better
from surgery.choice.candidate import Candidate
from surgery.choice.criteria import ChoiceError, by_formula, by_metric, by_validation
from surgery.choice.formula import parse
from surgery.choice.metrics import kl_of, reward_of, validation_of
from surgery.choice.pareto import by_pareto


def at(step: int, **metrics: float) -> Candidate:
    named = {name.replace("__", "/"): value for name, value in metrics.items()}
    return Candidate(step, f"checkpoint of step {step}", step, named)


@pytest.mark.parametrize(
    ("name", "higher"),
    [
        ("val/loss", False),
        ("train/loss", False),
        ("val/rewards/accuracy", True),
        ("val-core/openai/gsm8k/acc/mean@8", True),
        ("val-core/loss_of_life/reward/mean@1", True),
        ("val-core/x/acc/std@8", None),
        ("critic/score/mean", True),
        ("actor/kl_loss", False),
        ("actor/ppo_kl", False),
        ("actor/pg_loss", None),
        ("actor/entropy", None),
        ("response_length/mean", None),
    ],
)
def test_the_name_says_which_side_is_better(name: str, higher: bool | None) -> None:
    assert is_higher_better(name) is higher


def test_what_validation_reward_and_kl_are_called() -> None:
    names = [
        "critic/score/mean",
        "actor/ppo_kl",
        "val-aux/x/reward/mean@1",
        "val-core/x/acc/mean@1",
    ]
    assert validation_of(names) == "val-core/x/acc/mean@1"
    assert validation_of(["val/rewards/accuracy", "val/loss"]) == "val/loss"
    assert validation_of(["train/loss", "val/tokens"]) is None
    assert reward_of(names) == "val-core/x/acc/mean@1"
    assert reward_of(["critic/rewards/mean", "val/loss"]) == "critic/rewards/mean"
    assert kl_of(names) is None
    assert kl_of([*names, "actor/kl_loss"]) == "actor/kl_loss"


def test_the_best_of_a_metric_with_its_runners_up() -> None:
    chosen = by_metric(
        [at(10, val__loss=2.0), at(20, val__loss=1.5), at(30, val__loss=1.75)], "val/loss"
    )
    assert chosen.chosen is not None
    assert (chosen.chosen.step, chosen.value) == (20, 1.5)
    assert [(each.candidate.step, each.distance) for each in chosen.runners_up] == [
        (30, 0.25),
        (10, 0.5),
    ]
    assert chosen.reason == (
        "The checkpoint of step 20 has the lowest val/loss, 1.5, of 3. The next, the checkpoint of "
        "step 30, is 0.25 behind."
    )


def test_of_equals_the_earliest_step_is_chosen() -> None:
    chosen = by_metric([at(30, acc=0.5), at(10, acc=0.5), at(20, acc=0.25)], "acc")
    assert chosen.chosen is not None
    assert chosen.chosen.step == 10
    assert "worth the same as checkpoint of step 30; of equals the earliest" in chosen.reason


def test_what_is_unknown_never_wins() -> None:
    rows = [at(10, acc=0.25), at(20), at(30, acc=float("nan")), at(40, acc=float("inf"))]
    chosen = by_metric(rows, "acc")
    assert chosen.chosen is not None
    assert chosen.chosen.step == 10
    assert chosen.runners_up == []
    assert [(each.step, why) for each, why in chosen.unknown] == [
        (20, "acc is not known at step 20."),
        (30, "acc is not known at step 30."),
        (40, "acc is not known at step 40."),
    ]
    assert chosen.reason.endswith("Not compared, since a value is unknown: 3.")


def test_where_nothing_is_known_nothing_is_chosen() -> None:
    chosen = by_metric([at(10, acc=float("nan"))], "acc")
    assert (chosen.chosen, chosen.value) == (None, None)
    assert chosen.reason == "Of no checkpoint is acc known."
    with pytest.raises(ChoiceError, match="No checkpoint has a value of acc at its step"):
        by_metric([at(10)], "acc")


def test_the_better_side_is_asked_for_where_the_name_does_not_say() -> None:
    rows = [at(1, actor__entropy=0.5), at(2, actor__entropy=0.25)]
    with pytest.raises(ChoiceError, match="Say higher or lower"):
        by_metric(rows, "actor/entropy")
    chosen = by_metric(rows, "actor/entropy", higher=True).chosen
    assert chosen is not None
    assert chosen.step == 1


def test_the_best_validation() -> None:
    chosen = by_validation([at(1, val__loss=2.0), at(2, val__loss=1.0, train__loss=0.5), at(3)])
    assert chosen.chosen is not None
    assert chosen.chosen.step == 2
    with pytest.raises(ChoiceError, match="No checkpoint was validated at its step"):
        by_validation([at(1, train__loss=1.0)])


def test_a_weighted_formula() -> None:
    rows = [at(1, acc=0.5, kl=0.25), at(2, acc=0.75, kl=1.0), at(3, acc=1.0)]
    chosen = by_formula(rows, parse("acc - 0.5 * kl"))
    assert chosen.chosen is not None
    assert (chosen.chosen.step, chosen.value) == (1, 0.375)
    assert [(each.candidate.step, each.distance) for each in chosen.runners_up] == [(2, 0.125)]
    assert [why for _, why in chosen.unknown] == ["kl is not known at this step."]


def test_the_front_of_reward_against_kl() -> None:
    rows = [
        at(10, r=0.0, actor__kl_loss=0.0),
        at(20, r=0.75, actor__kl_loss=0.25),
        at(30, r=0.5, actor__kl_loss=0.5),  # step 20 has more for less
        at(40, r=1.0, actor__kl_loss=1.0),
        at(50, r=2.0),
    ]
    front = by_pareto(rows, reward="r")
    assert [each.step for each in front.members] == [10, 20, 40]
    assert front.choice.chosen is not None
    assert front.choice.chosen.step == 20
    assert [each.candidate.step for each in front.choice.runners_up] == [10, 40]
    assert [each.step for each, _ in front.choice.unknown] == [50]
    assert [each.step for each in front.choice.ranking] == [20, 10, 40, 30]
    assert front.choice.reason.startswith("Of 4, 3 are on the front:")


def test_a_front_of_what_is_to_be_less_in_both() -> None:
    rows = [at(10, loss=3.0, kl=0.0), at(20, loss=1.0, kl=0.25), at(30, loss=2.0, kl=0.5)]
    front = by_pareto(rows, "loss", "kl", higher=False)
    assert [each.step for each in front.members] == [10, 20]
    assert front.choice.chosen is not None
    assert front.choice.chosen.step == 20
    assert "both less loss and less kl" in front.choice.reason
    assert "with 1 and 0.25;" in front.choice.reason


def test_a_front_needs_both() -> None:
    with pytest.raises(ChoiceError, match="a metric of KL from the model"):
        by_pareto([at(1, val__acc=1.0)])
    with pytest.raises(ChoiceError, match="a metric of reward"):
        by_pareto([at(1, actor__kl_loss=1.0)])
    with pytest.raises(ChoiceError, match="No checkpoint has both"):
        by_pareto([at(1, val__acc=1.0), at(2, actor__kl_loss=1.0)])

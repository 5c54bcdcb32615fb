from surgery.choice.candidate import Candidate
from surgery.choice.flags import flags_of


def run(**series: list[float | None]) -> list[Candidate]:
    """A checkpoint every ten steps."""
    count = max(len(values) for values in series.values())
    return [
        Candidate(step, f"step {step}", step, {
            name.replace("__", "/"): value
            for name, values in series.items()
            if (value := values[step // 10 - 1]) is not None
        })
        for step in range(10, 10 * count + 1, 10)
    ]  # fmt: skip


def told(candidates: list[Candidate]) -> dict[int, list[str]]:
    return {key: [flag.numbers for flag in flags] for key, flags in flags_of(candidates).items()}


def test_validation_that_gets_worse_while_training_gets_better_is_overfitting() -> None:
    candidates = run(train__loss=[2.0, 1.5, 1.0, 0.5], val__loss=[2.0, 1.5, 1.51, 1.75])
    assert told(candidates) == {
        40: ["val/loss is 1.75, and was 1.5 at step 20; train/loss went from 1.5 to 0.5."]
    }
    (flag,) = flags_of(candidates)[40]
    assert flag.name == "overfitting"
    assert flag.rule.startswith("Validation is more than 2 % worse")


def test_reward_in_training_up_and_accuracy_of_validation_down_is_overfitting() -> None:
    series: dict[str, list[float | None]] = {
        "critic/score/mean": [0.25, 0.5],
        "val-core/x/acc/mean@1": [0.5, 0.25],
    }
    candidates = run(**series)
    assert told(candidates) == {
        20: [
            "val-core/x/acc/mean@1 is 0.25, and was 0.5 at step 10; critic/score/mean went from "
            "0.25 to 0.5."
        ]
    }


def test_both_worse_is_no_overfitting_and_a_missing_value_says_nothing() -> None:
    assert told(run(train__loss=[1.0, 1.5], val__loss=[1.0, 1.5])) == {}
    assert told(run(train__loss=[1.0, None], val__loss=[1.0, 1.5])) == {}
    assert told(run(train__loss=[1.0, 0.5], val__loss=[1.0, None])) == {}
    assert told(run(val__loss=[1.0, 1.5])) == {}
    assert flags_of([]) == {}


def test_kl_far_above_the_median_before_is_drift() -> None:
    candidates = run(actor__kl_loss=[0.25, 0.25, 0.75, 0.875])
    assert told(candidates) == {
        40: ["actor/kl_loss is 0.875; the median of the 3 checkpoints before is 0.25."]
    }


def test_drift_needs_two_before_and_more_than_noise() -> None:
    assert told(run(actor__kl_loss=[0.1, 5.0])) == {}
    assert told(run(actor__kl_loss=[0.001, 0.001, 0.009])) == {}
    assert told(run(actor__ppo_kl=[0.1, 0.1, 5.0])) == {}
